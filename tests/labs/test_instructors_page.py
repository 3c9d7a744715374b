"""docs/labs.md, the page for instructors: its tables are those of the notebooks."""

import importlib.util
import json
import re
from pathlib import Path

import lab_memory
import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def labs():
    """The script that writes the page's tables."""
    spec = importlib.util.spec_from_file_location("labs_page", DOCS / "labs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    row, = (row for row in rows if "my_cycle_loss" in row)
    assert row.startswith("| [03](../notebooks/03_cyclegan.ipynb) | 1 · ")
    assert row.endswith(" | 5 | 1 | `my_cycle_loss(x, y, G_xy, G_yx)`: both cycles. | 14 |")
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
