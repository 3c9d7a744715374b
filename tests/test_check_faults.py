"""Notebook 09's exercises: every shipped run carries the sign of its fault, and no other's."""

import pytest
from test_notebooks import NOTEBOOKS, cells

from gantutor import faults
from gantutor.check import faults as exercises
from gantutor.faults import CASES, FAULTS

BROKEN = [run for run in faults.RUNS if run[0]]


@pytest.mark.parametrize("fault,seed", faults.RUNS)
def test_a_run_has_the_sign_of_its_own_fault_alone(fault, seed):
    """So each wrong guess is contradicted by the figure."""
    seen = exercises.signs(fault, seed)
    assert [name for name, sign in exercises.SIGNS.items() if sign(seen)] == [fault] * bool(fault)


def test_every_fault_has_a_sign():
    assert exercises.SIGNS.keys() == FAULTS.keys() and {fault for fault, _ in BROKEN} == {*FAULTS}


def test_from_when_on_D_is_right_or_wrong():
    for seed in exercises.SEEDS:
        swapped, same = (faults.run(fault, seed)["curves"] for fault in (
            "labels swapped", "same batch"))
        at = dict(zip(swapped["step"], swapped["D_y is right"], strict=True))
        assert all(value < 0.25 for step, value in at.items() if step >= 200)
        at = dict(zip(same["step"], same["D_y is right"], strict=True))
        assert all(value > 0.97 for step, value in at.items() if step >= 300)


def test_a_guess_is_answered_with_the_numbers_of_the_case():
    letter = next(k for k, fault in CASES.items() if fault == "labels swapped")
    verdict = getattr(exercises, f"case_{letter.lower()}")("same batch")
    right = exercises.signs("labels swapped")["right"]
    assert verdict.state == "wrong" and f"D_y is right in {right:.2f}" in verdict.reason
    assert not any(fault in verdict.reason for fault in FAULTS)


@pytest.mark.parametrize("letter", CASES)
def test_what_is_no_name_of_a_fault_is_refused(letter):
    check = getattr(exercises, f"case_{letter.lower()}")
    assert "cycle weight zero is not a name" in check("cycle weight zero").reason
    assert 'e.g. "cycle weight 0"' in check(["same batch"]).reason


def test_the_alarm_names_what_it_rings_for_and_what_it_misses():
    quiet = exercises.alarm(lambda curves: faults.end(curves)["D_y is right"] > 0.9
                            or faults.end(curves)["cycle"] > 0.2)
    assert quiet.state == "wrong" and "silent for case" in quiet.reason
    first = faults.run(None, 1)["curves"]["cycle"][0]
    nervous = exercises.alarm(lambda curves: exercises.sure(curves) or curves["cycle"][0] == first)
    assert "it rings for the sound run of seed 1" in nervous.reason
    assert "the number 1" in exercises.alarm(lambda curves: 1).reason


def test_an_alarm_cannot_spoil_the_curves():
    def spoils(curves):
        rings = exercises.sure(curves)
        curves["cycle"].clear()
        return rings

    assert exercises.alarm(spoils).state == "right" == exercises.alarm(spoils).state


def test_the_notebook_names_no_fault_before_the_answer():
    """Only in the list of all, and folded away."""
    (path,) = (p for p in NOTEBOOKS if p.name.startswith("09"))
    sources = [cell["source"] for _, cell in cells(path)]
    before = sources[:next(k for k, text in enumerate(sources) if text.startswith("## Break it"))]
    (listed,) = (text for text in before if all(f'"{fault}"' in text for fault in FAULTS))
    open_text = [text for text in before if text != listed and not text.startswith("<details>")]
    assert len(open_text) > 15
    assert [text for text in open_text for fault in FAULTS if fault in text] == []
