"""nbgrader and Otter themselves grade a right and a wrong submission of the notebooks.

A right submission is made of the exercises' solutions, a wrong one of their named mistakes.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gantutor.labs import edition
from gantutor.labs.notebooks import CALL, tasks

ROOT = Path(__file__).parent.parent.parent
SOURCES = {path.stem: json.loads(path.read_text(encoding="utf-8"))
           for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
GRADED = [name for name, notebook in SOURCES.items() if tasks(notebook)]
SHORT = [name for name in GRADED if name.startswith(("01", "03b"))]  # two for Otter


def needs(module):
    return pytest.mark.skipif(not importlib.util.find_spec(module), reason=f"{module} is missing: "
                              "pip install -e '.[labs]'")


def mistaken(task):
    """(code that gives a named mistake to the stub's name, the words for it)."""
    name = next(iter(task.exercise.mistakes))
    module = task.exercise.__module__.rpartition(".")[2]
    code = (f"{task.answer} = check.{module}.{task.exercise.__name__}.mistakes[{name!r}].broken[0]")
    return f"from gantutor import check\n\n{code}", task.exercise.words[name]


def submission(released, name, is_right):
    """A students' file with every stub answered."""
    notebook = json.loads(released.read_text(encoding="utf-8"))
    for task in tasks(SOURCES[name]):
        call = f"check.{task.exercise.__module__.rpartition('.')[2]}.{task.exercise.__name__}("
        for cell in notebook["cells"]:
            text = "".join(cell["source"])
            if call in text and CALL.search(text):
                answer = task.exercise.solution if is_right else mistaken(task)[0]
                cell["source"] = text.replace(call, f"{answer}\n\n{call}")
    return json.dumps(notebook)


def ask(folder, *command):
    """Runs a program of this environment in `folder`, in a course that lies beside it."""
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                          env=os.environ | {"PATH": place, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def assert_told(task, message):
    """The message is the one that the check has for the mistake."""
    for words in re.split(r"\{.*?\}", mistaken(task)[1]):
        assert words in message, (task.name, message)


def note(name, who, points, possible, messages):
    """A row for the page of labs; shown by pytest -s."""
    print(f"\n{name}, {who}: {points:g} of {possible:g} points")
    for task, message in messages.items():
        print(f"  {task}: {message}")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """nbgrader's course folder."""
    out = tmp_path_factory.mktemp("labs") / "nbgrader"
    edition.release("nbgrader", out, sorted((ROOT / "notebooks").glob("*.ipynb")))
    return out


@needs("nbgrader")
@pytest.mark.slow
@pytest.mark.parametrize("name", GRADED)
def test_nbgrader_gives_all_points_or_names_the_mistakes(name, course):
    from nbgrader.api import Gradebook

    ask(course, "nbgrader", "generate_assignment", name)
    released = course / "release" / name / f"{name}.ipynb"
    for who in ("right", "wrong"):
        place = course / "submitted" / who / name / f"{name}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(submission(released, name, who == "right"), encoding="utf-8")
    before = os.times()
    ask(course, "nbgrader", "autograde", name)
    after = os.times()
    seconds = sum(after[2:4]) - sum(before[2:4])  # of its children, waiting left out
    assert seconds / 2 < 120, seconds
    wanted = {f"{task.name}_points": task for task in tasks(SOURCES[name])}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for who in ("right", "wrong"):
            grades = {grade.name: grade for notebook in book.find_submission(name, who).notebooks
                      for grade in notebook.grades}
            assert {key: grade.max_score for key, grade in grades.items()} == {
                key: task.points for key, task in wanted.items()}
            assert {key: grade.auto_score for key, grade in grades.items()} == {
                key: task.points if who == "right" else 0 for key, task in wanted.items()}
            told = messages(course / "autograded" / who / name / f"{name}.ipynb")
            note(name, f"{who}, {seconds / 2:.0f} s", sum(g.auto_score for g in grades.values()),
                 sum(g.max_score for g in grades.values()), told)
            for key, task in wanted.items():
                if who == "wrong":
                    assert_told(task, told[key])


def messages(path):
    """{grade_id: the words of the error below a cell that gives points}."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {cell["metadata"]["nbgrader"]["grade_id"]: output["evalue"] for cell in cells
            if cell["metadata"].get("nbgrader", {}).get("grade") for output in cell["outputs"]
            if output["output_type"] == "error"}


@needs("nbgrader")
@pytest.mark.slow
def test_what_nbgrader_hands_out_is_the_students_copy(course):
    """A stub as in the course, and no solution."""
    name = SHORT[0]
    ask(course, "nbgrader", "generate_assignment", name, "--force")
    cells = json.loads((course / "release" / name / f"{name}.ipynb").read_text())["cells"]
    source = {cell["id"]: "".join(cell["source"]) for cell in SOURCES[name]["cells"]}
    for cell in cells:
        text = "".join(cell["source"])
        assert "SOLUTION" not in text and "_verdict" not in text
        if CALL.search(text):
            assert text == source[cell["id"]]


@needs("otter")
@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_otter_gives_all_points_or_names_the_mistakes(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GANTUTOR_PROFILE", "test")
    out = tmp_path / "otter"
    edition.release("otter", out, [ROOT / "notebooks" / f"{name}.ipynb"])
    folder = out / name
    ask(folder, "otter", "assign", f"{name}.ipynb", "dist")
    archive, = (folder / "dist" / "autograder").glob("*.zip")
    released = folder / "dist" / "student" / f"{name}.ipynb"
    assert "SOLUTION" not in released.read_text(encoding="utf-8")
    for who in ("right", "wrong"):
        (folder / f"{who}.ipynb").write_text(submission(released, name, who == "right"))
        (folder / who).mkdir()
        ask(folder, "otter", "run", f"{who}.ipynb", "-a", str(archive), "-o", who)
        found = json.loads((folder / who / "results.json").read_text(encoding="utf-8"))["tests"]
        graded = {test["name"]: test for test in found if test.get("max_score")}
        told = {key: " ".join(test["output"].split()) for key, test in graded.items()}
        note(name, f"otter, {who}", sum(test["score"] for test in graded.values()),
             sum(test["max_score"] for test in graded.values()), told)
        for task in tasks(SOURCES[name]):
            test = graded[task.name]
            assert test["max_score"] == task.points
            assert test["score"] == (task.points if who == "right" else 0)
            if who == "wrong":
                assert_told(task, told[task.name])
