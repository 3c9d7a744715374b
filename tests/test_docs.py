"""The pages of docs: what a command writes is what lies there."""

import importlib.util
import json
import re
from pathlib import Path

import lab_memory
import pytest
import scaling

DOCS = Path(__file__).parent.parent / "docs"


def script(name):
    """The module docs/NAME.py."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def claims():
    return script("claims")


@pytest.fixture(scope="module")
def labs():
    return script("labs")


def test_the_page_of_the_lectures_claims_is_what_the_shipped_numbers_say(claims):
    assert (DOCS / "claims.md").read_text(encoding="utf-8") == claims.page()


def test_every_claim_names_a_notebook_that_is_there(claims):
    folder = DOCS.parent / "notebooks"
    for _, number, _ in claims.CLAIMS:
        assert len(list(folder.glob(f"{number}_*.ipynb"))) == 1, number


def test_few_runs_are_named_as_few(claims):
    assert claims.told([0.5]) == ".50 (one run)"
    assert claims.told([0.25, 0.75]) == ".50 (.25 to .75, two runs)"
    assert claims.told([0.9, 1.0, 0.1]) == ".90 (.10 to 1.00)"


def test_the_page_on_many_processes_has_the_table_of_today():
    text = (DOCS / "many_processes.md").read_text(encoding="utf-8")
    assert scaling.page(text) == text


def test_a_ring_sends_every_byte_twice_and_pools_send_theirs_to_all_others():
    hops = scaling.LATENCY * 3  # log2(8)
    assert scaling.cost([450e9], 0, 8) == pytest.approx(2 * 7 / 8 + hops)  # one second of bytes
    assert scaling.cost([0, 0], 450e9, 8) == pytest.approx(7 + 2 * hops)
    assert scaling.cost([50e9], 0, 16) == pytest.approx(2 * 15 / 16 + scaling.LATENCY * 4)


def test_every_players_gradients_are_counted_once():
    method = scaling.ROWS["CycleGAN, 256 px, batch 1"][2]()
    generators, discriminators = scaling.messages(method)
    assert generators == 2 * 4 * 11_378_179 and discriminators == 2 * 4 * 2_764_737


# ------------------------------------------------------------------ labs


def test_the_page_for_instructors_has_the_tables_of_today(labs):
    """Otherwise: python docs/labs.py"""
    text = (DOCS / "labs.md").read_text(encoding="utf-8")
    assert labs.page(text) == text


def test_the_minutes_of_a_plan_are_those_of_the_notebooks(labs):
    """Class and home together are all headings of a notebook, read here in another way."""
    for sessions in labs.PLANS.values():
        for session in sessions:
            found, computing, exercises = labs.of_session(session), 0, 0
            for number in session:
                path, = (DOCS.parent / "notebooks").glob(f"{number}_*.ipynb")
                text = path.read_text(encoding="utf-8")
                computing += float(re.search(r"machine\.expect\(minutes=([\d.]+)\)", text)[1])
                exercises += sum(map(int, re.findall(r"### Exercise .*\((\d+) minutes\)", text)))
            assert found["cells"] == computing
            assert found["class"] + found["home"] == exercises
            assert sum(len(numbers) for numbers in found["in class"].values()) == sum(
                map(len, session.values())), "a plan names an exercise that is not there"
            assert labs.SESSION - found["cells"] - found["class"] >= 45, "half is for the text"


def test_a_table_row_of_an_exercise(labs):
    rows = labs.exercises().splitlines()
    assert ("| [03](../notebooks/03_cyclegan.ipynb) | 1 · The cycle loss, both directions | 5 | 1 "
            "| `my_cycle_loss(x, y, G_xy, G_yx)`: both cycles. | 14 |") in rows
    count = sum(len(labs.tasks(notebook)) for notebook in labs.SOURCES.values())
    assert len([row for row in rows if row.startswith("| [")]) == count
    assert f"Together {count} exercises" in rows[-1]


def test_the_words_that_the_page_quotes_are_those_of_a_check(labs):
    text = " ".join((DOCS / "labs.md").read_text(encoding="utf-8").split())
    quoted = re.search(r"for instance \*(.*?)\*", text)[1]
    assert any(quoted in words for found in labs.SOURCES.values() for task in labs.tasks(found)
               for words in task.exercise.words.values())


def test_the_memory_of_a_kernel_is_read_in_megabytes():
    status = "Name:\tpython\nVmHWM:\t 1953125 kB\nVmRSS:\t 1000 kB\nRssFile:\t  500000 kB\n"
    assert lab_memory.read(status) == {"peak": 2000, "shared": 512}


def test_memory_was_measured_on_notebooks_that_are_there(labs):
    """All were run in the test profile, the largest as a reader runs it too."""
    measured = json.loads((DOCS / "lab_memory.json").read_text(encoding="utf-8"))
    assert set(measured["cpu"]) <= set(measured["test"]) <= set(labs.SOURCES)
    largest = max(measured["test"], key=lambda name: measured["test"][name]["peak"])
    assert largest in measured["cpu"] and len(measured["test"]) >= 10
