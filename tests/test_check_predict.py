"""Predictions: kept once, compared by hand-counted pairs, and never in a reader's way."""

import json
import os
import re

import pytest
from test_check import GARBAGE
from test_notebooks import NOTEBOOKS, cells

from gantutor.check import predict

ROWS = ["a", "b", "c", "d"]
# More is better: a 4, b 3, c 2, d 1.
TABLE = {"a": [4.0], "b": [3.0], "c": [2.0], "d": [1.0]}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file(folder):
    return folder / "runs" / "predictions.json"


# ------------------------------------------------------------------ pairs


@pytest.mark.parametrize("order, right, tau", [
    ("abcd", 6, 1.0), ("dcba", 0, -1.0), ("bacd", 5, 2 / 3),
    ("cabd", 4, 1 / 3),   # c before a, c before b: two of the six are wrong
    ("dabc", 3, 0.0)])
def test_pairs_in_the_right_order_by_hand(order, right, tau):
    found, tied, pairs, wrong = predict.agreement(list(order), TABLE)
    assert (found, tied, pairs) == (right, 0, 6) and len(wrong) == 6 - right
    assert 2 * found / pairs - 1 == pytest.approx(tau)  # Kendall's tau


def test_rows_whose_seeds_overlap_are_right_in_either_order():
    """x 1 to 3, y 2 to 4 overlap; z 5 to 6 is ahead of both."""
    rows = {"x": [1.0, 3.0], "y": [2.0, 4.0], "z": [5.0, 6.0]}
    assert predict.agreement(["z", "x", "y"], rows)[:3] == (3, 1, 3)
    assert predict.agreement(["z", "y", "x"], rows)[:3] == (3, 1, 3)
    right, tied, pairs, wrong = predict.agreement(["x", "z", "y"], rows)
    assert (right, tied, pairs, wrong) == (2, 1, 3, [(3.5, "x", "z")])
    touching = {"x": [1.0, 2.0], "y": [2.0, 3.0]}
    assert predict.agreement(["x", "y"], touching)[:3] == (1, 1, 1)


def test_paired_rows_are_in_order_only_where_all_splits_agree():
    """Splits differ by 10, rows by 1: the ranges overlap, the differences have one sign."""
    rows = {"x": [1.0, 11.0], "y": [2.0, 12.0], "w": [0.0, 13.0]}
    assert predict.agreement(["x", "y"], rows)[:2] == (1, 1)
    assert predict.agreement(["x", "y"], rows, paired=True)[:2] == (0, 0)
    assert predict.agreement(["x", "w"], rows, paired=True)[:2] == (1, 1)  # both signs


def test_outcome_says_pairs_and_the_largest_surprise_with_the_tables_numbers():
    """By error: best is lowest. c, a, b, d against a .1, b .2, c .5, d .9."""
    predict.ranking("t", ["c", "a", "b", "d"], ROWS)
    said = predict.outcome("t", {"a": [0.1], "b": [0.2], "c": [0.4, 0.6], "d": [0.9]},
                           best="lowest")
    assert "You had 4 of 6 pairs in the right order." in said
    assert ("you put *c* before *a*. The table has 0.500 (0.400 to 0.600) for *c* and "
            "0.100 (one value) for *a*.") in said
    table = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    assert [line[1:3] for line in table[2:]] == [["c", "a"], ["a", "b"], ["b", "c"], ["d", "d"]]
    assert said._repr_markdown_() == said and "count" not in said


def test_no_surprise_and_ties_in_words():
    predict.ranking("t", ["x", "y"], ["x", "y"])
    said = predict.outcome("t", {"x": [1.0, 3.0], "y": [2.0, 4.0]}, best="highest")
    assert "1 of 1 pairs" in said and "No pair is in the wrong order." in said
    assert "1 counts in either order, because the ranges of their seeds overlap" in said
    said = predict.outcome("t", {"x": [1.0, 3.0], "y": [2.0, 2.0]}, best="highest", paired=True)
    assert "because their differences have both signs" in said


def test_an_author_who_asks_about_other_rows_hears_it():
    predict.ranking("t", ..., ROWS)
    with pytest.raises(ValueError, match=r"t: the prediction was asked about \['a', 'b'"):
        predict.outcome("t", {"a": [1.0]}, best="highest")
    with pytest.raises(ValueError, match="best='most': expected 'highest' or 'lowest'"):
        predict.outcome("t", TABLE, best="most")


# ------------------------------------------------------------------ what a reader writes


@pytest.mark.parametrize("nothing", [..., None])
def test_no_answer_is_friendly_and_writes_nothing(nothing, in_an_empty_folder):
    assert predict.ranking("t", nothing, ROWS).startswith("No prediction; the table opens")
    assert predict.number("n", nothing).startswith("No prediction; the table opens")
    assert predict.outcome("t", TABLE, best="highest") == predict.measured("n", 1) == predict.NONE
    assert list(in_an_empty_folder.iterdir()) == []


@pytest.mark.parametrize("wrong, said", [
    (["a", "e", "f"], "no row is called 'e', 'f'; the rows are 'a', 'b', 'c', 'd'"),
    (["a", "b", "a"], "'a' stands there more than once"),
    (["a"], "a ranking needs two names at least"), ([], "a ranking needs two names"),
    (["a", ...], "a ... is left in the list"), ("abcd", "expected a list of names, found"),
    (["a", 3], "the list holds an object of type int, expected names in quotation marks")])
def test_what_is_wrong_in_a_ranking_is_said_and_not_kept(wrong, said, in_an_empty_folder):
    assert predict.ranking("t", wrong, ROWS).startswith("Not kept: ") and said in predict.ranking(
        "t", wrong, ROWS)
    assert not file(in_an_empty_folder).exists()


def test_missing_rows_are_named_and_not_compared():
    assert "not compared: 'b', 'd'." in predict.ranking("t", ("c", "a"), ROWS)
    assert "0 of 1 pairs" in predict.outcome("t", TABLE, best="highest")


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_never_raises(name):
    for said in (predict.ranking("t", GARBAGE[name], ROWS), predict.number("n", GARBAGE[name])):
        assert said.startswith(("Not kept: ", "Kept on ")) and len(said) < 400


def test_a_number_beside_what_was_measured():
    """0.5 against seeds .56 to .59: too low by .06; .57 is within; .7 too high by .11."""
    assert "Kept on " in predict.number("n", 0.5)
    said = predict.measured("n", [0.56, 0.59])
    assert "0.5. Measured: 0.575 (0.560 to 0.590). Yours is too low by 0.060." in said
    predict.forget("n")
    predict.number("n", 0.57)
    assert "Yours is within what was measured." in predict.measured("n", (0.56, 0.59))
    predict.forget("n")
    predict.number("n", 1)
    assert "Measured: 0.250. Yours is too high by 0.750." in predict.measured("n", 0.25)


# ------------------------------------------------------------------ what is kept


def test_the_first_prediction_stays_and_the_last_one_is_shown_beside_it(in_an_empty_folder):
    predict.ranking("t", ["a", "b", "c", "d"], ROWS)
    assert predict.ranking("t", ["a", "b", "c", "d"], ROWS).startswith("Kept on ")
    predict.ranking("t", ["b", "a", "c", "d"], ROWS)
    said = predict.ranking("t", ["d", "c", "b", "a"], ROWS)
    assert said.startswith("Your first prediction stays") and "a > b > c > d" in said
    assert "Kept beside it: d > c > b > a." in said
    kept = json.loads(file(in_an_empty_folder).read_text())["t"]
    assert [one["value"] for one in kept] == [["a", "b", "c", "d"], ["d", "c", "b", "a"]]
    said = predict.outcome("t", TABLE, best="highest")
    assert "**Your ranking.** You had 6 of 6" in said
    assert "**Your later ranking.** You had 0 of 6" in said
    assert predict.ranking("t", ..., ROWS).startswith("Kept on ")  # a new session, not filled in


def test_forget_removes_one_or_all(in_an_empty_folder):
    for name in "uvw":
        predict.number(name, 1)
    assert predict.forget("u") == "The prediction 'u' is forgotten."
    assert set(json.loads(file(in_an_empty_folder).read_text())) == {"v", "w"}
    assert predict.measured("u", 1) == predict.NONE != predict.measured("v", 1)
    predict.forget()
    assert predict.measured("v", 1) == predict.NONE
    assert json.loads(file(in_an_empty_folder).read_text()) == {}


@pytest.mark.parametrize("damaged", [
    b"", b"{", b"[]", b'{"t": 3}', b'{"t": [{"when": 1, "value": 2}]}', b"\xff\xfe\x00",
    b'{"t": [{"when": "today"}]}', b'{"t": [{"when": "today", "value": [1]}]}'])
def test_a_damaged_file_is_left_alone_and_named(damaged, in_an_empty_folder):
    file(in_an_empty_folder).parent.mkdir()
    file(in_an_empty_folder).write_bytes(damaged)
    said = predict.ranking("t", ["a", "b", "c", "d"], ROWS)
    assert "lasts for this session only" in said and "predictions.json" in said
    assert "6 of 6" in predict.outcome("t", TABLE, best="highest")
    assert file(in_an_empty_folder).read_bytes() == damaged
    assert "nothing was removed" in predict.forget("t")
    assert predict.forget() == "Forgotten."
    assert predict.outcome("t", TABLE, best="highest") == predict.NONE


def test_a_folder_that_cannot_be_written(in_an_empty_folder, monkeypatch):
    """Root may write anywhere, so a file stands where the folder should be."""
    (in_an_empty_folder / "runs").write_text("not a folder")
    said = predict.number("n", 0.5)
    assert said.startswith("Kept on ") and "lasts for this session only" in said
    assert "too low" in predict.measured("n", 0.6)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anyway")
def test_a_read_only_folder(in_an_empty_folder):
    (in_an_empty_folder / "runs").mkdir(mode=0o500)
    assert "lasts for this session only" in predict.number("n", 0.5)


def test_a_number_kept_where_a_ranking_was_asked_for_is_no_ranking():
    predict.number("t", 0.5)
    assert predict.outcome("t", TABLE, best="highest") == predict.NONE


# ------------------------------------------------------------------ the notebooks


def asked(path):
    """[(what is called, the prediction's name)] of a notebook, in order."""
    return [call for _, cell in cells(path, "code") for call in re.findall(
        r'check\.predict\.(ranking|number|outcome|measured)\(\s*"([^"]+)"', cell["source"])]


def test_every_notebook_asks_before_its_table_opens():
    found = {path.name.partition("_")[0]: asked(path) for path in NOTEBOOKS}
    assert {name for name, calls in found.items() if calls} == {
        "01", "02", "03", "03b", "04", "05", "06", "07", "08"}
    names = [name for calls in found.values() for kind, name in calls
             if kind in ("ranking", "number")]
    assert len(names) == len(set(names))
    for notebook, calls in found.items():
        for (first, name), (second, again) in zip(calls[::2], calls[1::2], strict=True):
            assert (first, second) in (("ranking", "outcome"), ("number", "measured"))
            assert name == again and name.startswith(f"{notebook} ")
