"""`gantutor release`: no solution in students' files, points, and a folder that is whole or absent.

test_grading.py hands the editions to nbgrader and to Otter.
"""

import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from gantutor import __main__ as command_line
from gantutor.labs import edition
from gantutor.labs.notebooks import for_nbgrader, for_otter, instructors, solved, students, tasks

ROOT = Path(__file__).parent.parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOURCES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in PATHS}
ALL = [task for notebook in SOURCES.values() for task in tasks(notebook)]
DETAILS = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.S)
every_notebook = pytest.mark.parametrize("name", SOURCES)


def text(cell):
    return "".join(cell["source"])


def lines(notebook):
    """How often each line stands in the cells of a notebook, without its indentation."""
    return Counter(line.strip() for cell in notebook["cells"] for line in text(cell).splitlines())


def folded(notebook):
    """[(summary, text)] of everything that is folded away."""
    return [found for cell in notebook["cells"] for found in DETAILS.findall(text(cell))]


def solutions(notebook):
    """The lines of every folded solution and answer."""
    return {line.strip() for summary, body in folded(notebook)
            if not summary.startswith("Hint") for line in body.splitlines()
            if line.strip() and not line.startswith("```")}


def told_elsewhere(notebook):
    """How often a line stands outside the solutions: shown code, stubs, hints, text."""
    without = copy.deepcopy(notebook)
    for cell in without["cells"]:
        cell["source"] = DETAILS.sub(
            lambda m: m[0] if m[1].startswith("Hint") else "", text(cell))
    return lines(without)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("labs") / "plain"
    return out, edition.release("plain", out, PATHS)


# ------------------------------------------------------------------ without solutions


@every_notebook
def test_no_line_of_a_solution_is_in_the_students_file(name, plain):
    """A line may stand there as often as outside the solutions: it is shown code, or "return x"."""
    source, released = SOURCES[name], plain[0] / "students" / "notebooks" / f"{name}.ipynb"
    found, allowed = lines(json.loads(released.read_text("utf-8"))), told_elsewhere(source)
    more = {line: found[line] for line in solutions(source) if found[line] > allowed[line]}
    assert more == {}
    assert {summary for summary, _ in folded(json.loads(released.read_text("utf-8")))} <= {
        "Hint 1", "Hint 2", "Hint 3"}


def test_that_test_sees_what_is_there():
    """Every exercise has lines that no other cell has; the notebooks of the course fail."""
    for notebook in SOURCES.values():
        if tasks(notebook):
            for task in tasks(notebook):
                own = {line.strip() for line in task.exercise.solution.splitlines()}
                assert own - {""} <= solutions(notebook)
                assert any(told_elsewhere(notebook)[line] == 0 for line in own), task.name
            assert any(lines(notebook)[line] > told_elsewhere(notebook)[line]
                       for line in solutions(notebook))


def test_the_students_package_knows_no_solution(plain):
    prose = {p.name: p.read_text("utf-8") for p in
             (plain[0] / "students" / "gantutor" / "check").glob("*.md")}
    assert set(prose) == {p.name for p in (ROOT / "gantutor" / "check").glob("*.md")}
    assert not any("### Solution" in text for text in prose.values())
    for task in ALL:
        text = prose[f"{task.exercise.__module__.rpartition('.')[2]}.md"]
        assert task.exercise.solution.strip() not in text
        assert all(hint in text for hint in task.exercise.hints)
        assert task.exercise.section("Right") in text


@pytest.mark.slow
def test_the_students_package_checks_and_hints_and_says_who_has_the_solution(plain):
    """In a process that sees nothing but the folder that was handed out."""
    code = """if True:
        import gantutor
        from gantutor import check
        from gantutor.saving import data_folder
        print(gantutor.__file__, data_folder())
        bce = check.direct.bce_loss
        print(bce(lambda s: s.sum()).state, bce(bce.right).state)
        print(bce.hint(2), bce.solve(), sep="\\n")
    """
    folder = plain[0] / "students"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder / "notebooks", check=True,
                          capture_output=True, text=True, env={"PYTHONPATH": str(folder)})
    first, states, *words = done.stdout.splitlines()
    assert first == f"{folder / 'gantutor' / '__init__.py'} {folder / 'data'}"
    assert states == "wrong right" and "softplus" in words[0]
    assert words[-1] == "Your instructor has the solution."


# ------------------------------------------------------------------ what is in an edition


def test_points_follow_from_minutes():
    by_name = {task.name: task for task in ALL}
    assert [by_name[name].points for name in (
        "direct_even_players", "stargan_code", "hiding_noisy_cycle", "cyclegan_generator_loss")
        ] == [1, 1, 2, 3]  # 3, 5, 10 and 15 minutes


@every_notebook
def test_a_students_copy_is_the_notebook_but_for_solutions_and_points(name):
    source, made = SOURCES[name], students(SOURCES[name])
    kept = [c for c in source["cells"] if "answers" not in c["metadata"].get("tags", [])]
    assert [cell["id"] for cell in made["cells"]] == [cell["id"] for cell in kept]
    headings = {source["cells"][task.cell - 1]["id"]: task for task in tasks(source)}
    for before, after in zip(kept, made["cells"], strict=True):
        if before["id"] in headings:
            task = headings[before["id"]]
            minutes, points = task.minutes, task.points
            said = f"({minutes} minutes, {points} point{'s' * (points > 1)})"
            assert text(after) == text(before).replace(f"({minutes} minutes)", said, 1)
            assert said in text(after)
        elif "<summary>" not in text(before):
            assert text(after) == text(before).rstrip("\n") or before["cell_type"] == "code"
            assert text(after).rstrip("\n") == text(before).rstrip("\n")


def test_a_cell_that_prints_the_answers_is_left_out_of_the_students_copy():
    notebook = SOURCES["10_theory_and_projects"]
    gone = {c["id"] for c in notebook["cells"]} - {c["id"] for c in students(notebook)["cells"]}
    told = {c["id"] for c in notebook["cells"] if "theory.count_renamings(" in text(c)}
    assert told and told <= gone
    assert gone <= {c["id"] for c in notebook["cells"]
                    if "answers" in c["metadata"].get("tags", [])}
    assert {c["id"] for c in instructors(notebook)["cells"]} >= gone


@every_notebook
def test_an_instructors_copy_answers_every_stub(name):
    """The definition that counts is the solution; the call of the check is still the last line."""
    made = instructors(SOURCES[name])
    for task in tasks(SOURCES[name]):
        cell = text(made["cells"][task.cell])
        assert cell.splitlines()[-1] == text(SOURCES[name]["cells"][task.cell]).splitlines()[-1]
        names = {}
        body = [s for s in ast.parse(cell).body if not isinstance(s, ast.Expr)]
        exec(compile(ast.Module(body, []), name, "exec"), names | {"torch": None}, names)
        answer = names[task.answer]
        if not callable(answer):
            assert task.exercise(answer).state == "right"
    assert solutions(made) == solutions(SOURCES[name])  # folded as well, with what explains them


@every_notebook
def test_an_assignment_of_nbgrader_has_a_stub_and_a_hidden_test_for_each_exercise(name):
    cells = for_nbgrader(SOURCES[name])["cells"]
    about = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    wanted = tasks(SOURCES[name])
    assert [one["grade_id"] for one in about if one["solution"]] == [t.name for t in wanted]
    assert {one["grade_id"]: one["points"] for one in about if one["grade"]} == {
        f"{t.name}_points": t.points for t in wanted}
    assert len({one["grade_id"] for one in about}) == len(about) == 2 * len(wanted)
    assert [one["locked"] for one in about] == [False, True] * len(wanted)
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            shown = re.sub(r"### BEGIN HIDDEN.*### END HIDDEN TESTS", "", text(cell), flags=re.S)
            assert shown.strip().startswith("#") and "check." not in shown


@every_notebook
def test_an_assignment_of_otter_is_bracketed(name):
    raw = [text(cell).splitlines()[0] for cell in for_otter(SOURCES[name], name)["cells"]
           if cell["cell_type"] == "raw"]
    assert raw == ["# ASSIGNMENT CONFIG"] + len(tasks(SOURCES[name])) * [
        "# BEGIN QUESTION", "# BEGIN SOLUTION", "# END SOLUTION", "# BEGIN TESTS", "# END TESTS",
        "# END QUESTION"]


def test_grading_by_otter_skips_cells_with_interact():
    """Its runner may wait for them forever: https://github.com/jupyter/nbclient/issues/312."""
    skipped = {name: [text(cell) for cell in for_otter(notebook, name)["cells"]
                      if "otter_ignore" in cell["metadata"].get("tags", [])]
               for name, notebook in SOURCES.items()}
    assert sum(map(len, skipped.values())) >= 5
    assert all("interact(" in cell for cells in skipped.values() for cell in cells)
    assert len(skipped["00_start_here"]) == len(skipped["06_domain_discriminator"]) == 1


def test_links_between_notebooks_follow_them_into_their_folders():
    every = "".join(text(cell) for cell in for_nbgrader(SOURCES["00_start_here"])["cells"])
    assert "](01_direct_transform.ipynb)" in "".join(map(text, SOURCES["00_start_here"]["cells"]))
    assert "](../01_direct_transform/01_direct_transform.ipynb)" in every
    assert "](01_direct_transform.ipynb)" not in every


def test_a_solution_stands_below_its_stub_and_above_the_call():
    task = next(task for task in ALL if task.name == "direct_even_players")
    made = solved("my_losses = None\n\n\ncheck.direct.even_players(my_losses)", task, "# (", "# )")
    assert made == ("my_losses = None\n# (\nmy_losses = (0.25, 0.25)\n# )\n\n"
                    "check.direct.even_players(my_losses)")


def test_a_stub_without_heading_is_named(tmp_path):
    notebook = {"cells": [
        {"cell_type": "markdown", "id": "a", "source": "### Exercise 1 · No minutes"},
        {"cell_type": "code", "id": "b", "source": "x = None\ncheck.direct.picture(my_picture)"}]}
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(ValueError, match=r"n\.ipynb, cell b: check\.direct\.picture.*minutes"):
        edition.release("plain", tmp_path / "out", [tmp_path / "n.ipynb"])
    assert [p.name for p in tmp_path.iterdir()] == ["n.ipynb"]  # and nothing half-written


def test_the_readme_of_an_edition_lists_points_and_what_comes_next(tmp_path, capsys):
    command_line.main(["release", "--for", "nbgrader", "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    total = sum(task.points for task in ALL)
    assert f"{len(PATHS)} notebooks, {len(ALL)} exercises, {total} points" in said
    readme = (tmp_path / "out" / "README.md").read_text("utf-8")
    rows = [line.split(" | ") for line in readme.splitlines() if re.match(r"\| \d\d", line)]
    assert sum(int(row[3]) for row in rows) == total and "generate_assignment" in readme
    project = tomllib.loads((tmp_path / "out" / "course" / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["name"] == "gantutor"
    assert "test" in (tmp_path / "out" / "nbgrader_config.py").read_text("utf-8")


# ------------------------------------------------------------------ the folder


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A folder with a small edition."""
    def one_file(folder):
        folder.mkdir(exist_ok=True)
        (folder / "a.py").write_text("1\n")

    monkeypatch.setattr(edition, "copy_course", one_file)
    edition.release("plain", tmp_path / "out", PATHS[:1])
    return tmp_path / "out"


def test_an_edition_that_nobody_changed_is_replaced(out):
    (out / "students" / "__pycache__").mkdir()
    (out / "students" / "__pycache__" / "a.pyc").write_text("compiled")
    edition.release("nbgrader", out, PATHS[:1])
    assert (out / "source").is_dir() and not (out / "students").exists()
    assert [p.name for p in out.parent.iterdir()] == ["out"]  # nothing is left beside it


@pytest.mark.parametrize("spoil,named", [
    (lambda out: (out / "gradebook.db").write_text("grades"), "gradebook.db"),
    (lambda out: (out / "instructor" / "00_start_here.ipynb").write_text("{}"),
     "instructor/00_start_here.ipynb"),
    (lambda out: (out / "edition.json").unlink(), "README.md"),
    (lambda out: (out / "edition.json").write_text("["), "README.md"),
    (lambda out: (shutil.rmtree(out), out.write_text("a file")), "is a file")])
def test_what_somebody_else_put_there_is_kept_and_named(out, spoil, named):
    spoil(out)
    before = {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()}
    with pytest.raises(ValueError, match=re.escape(named)):
        edition.release("plain", out, PATHS[:1])
    assert {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()} == before
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_write_that_fails_leaves_the_earlier_edition(out, monkeypatch):
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}

    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(edition, "copy_course", full)
    with pytest.raises(OSError, match=r"out: cannot be written \(No space left"):
        edition.release("plain", out, PATHS[:1])
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_move_that_fails_brings_the_earlier_edition_back(out, monkeypatch):
    before, move = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}, os.replace

    def refuse(source, place):
        if str(source).endswith(".new.tmp"):
            raise PermissionError(13, "Permission denied")
        move(source, place)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"out: cannot be written \(Permission denied"):
        edition.release("plain", out, PATHS[:1])
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_without_notebooks_the_command_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(edition, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="gantutor release:.*no notebooks there.*a checkout"):
        command_line.main(["release", "--for", "plain", "--out", str(tmp_path / "out")])
