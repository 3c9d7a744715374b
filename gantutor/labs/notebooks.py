"""One notebook for a class: its exercises with their points, and its copies in every edition.

An exercise is a stub whose last line calls its check (gantutor/check/machine.py), after a heading
with its minutes. A notebook is the dict that its file holds as JSON; none is changed.
"""

import re
from copy import deepcopy
from typing import NamedTuple

from gantutor import check
from gantutor.check.machine import Exercise

MINUTES_A_POINT = 5
HEADING = re.compile(r"^### Exercise (\d+) · (\S.*) \((\d+) minutes\)$", re.M)
CALL = re.compile(r"^check\.(\w+)\.(\w+)\((my_\w+)\)\Z", re.M)
FOLDED = re.compile(r"<details><summary>(?!Hint).*?</details>\n*", re.S)  # solutions, answers
LINK = re.compile(r"\]\((\w+)\.ipynb")

NBGRADER_TEST = """# {points}, given by the program that grades: it runs the check of {answer} here.
### BEGIN HIDDEN TESTS
from gantutor import check

_verdict = {call}
assert _verdict.state == "right", _verdict
### END HIDDEN TESTS"""
OTTER_TEST = """def test_{name}({answer}):
    from gantutor import check

    verdict = {call}
    assert verdict.state == "right", verdict"""
OTTER_CONFIG = """# ASSIGNMENT CONFIG
name: {name}
export_cell:
    pdf: false
generate: true
tests:
    ok_format: false
"""


# ------------------------------------------------------------------ what is in a notebook


class Task(NamedTuple):
    """One exercise of a notebook. cell: the index of its stub; answer: what the stub defines."""

    cell: int
    number: int
    title: str
    minutes: int
    name: str  # "cyclegan_cycle_loss", the same in every edition
    answer: str
    exercise: Exercise

    @property
    def points(self):
        """One point for each five minutes, and one at least."""
        return max(1, round(self.minutes / MINUTES_A_POINT))


def tasks(notebook):
    """The exercises of a notebook that have a check, in their order.

    ValueError where no heading with minutes stands before a stub.
    """
    found = []
    for k, cell in enumerate(notebook["cells"]):
        call = CALL.search(_source(cell)) if cell["cell_type"] == "code" else None
        if call:
            heading = HEADING.search(_source(notebook["cells"][k - 1]))
            if not heading:
                raise ValueError(f"cell {cell['id']}: {call[0]} follows no heading, expected one "
                                 'like "### Exercise 1 · The cycle loss (5 minutes)"')
            module, name, answer = call.groups()
            found.append(Task(k, int(heading[1]), heading[2], int(heading[3]), f"{module}_{name}",
                              answer, getattr(getattr(check, module), name)))
    return found


def _source(cell):
    return "".join(cell["source"])


def counted(number, word):
    return f"{number} {word}{'s' * (number != 1)}"


def with_points(notebook):
    """A copy whose headings say the points: "(5 minutes, 1 point)"."""
    made = deepcopy(notebook)
    for task in tasks(notebook):
        heading = made["cells"][task.cell - 1]
        end = f" minutes, {counted(task.points, 'point')})"
        heading["source"] = re.sub(r" minutes\)$", end, _source(heading), count=1, flags=re.M)
    return made


def students(notebook):
    """A copy without solutions; only hints stay folded. The headings say the points.

    Cells with the tag "answers" print or explain solutions: they are left out.
    """
    made = with_points(notebook)
    made["cells"] = [c for c in made["cells"] if "answers" not in c["metadata"].get("tags", [])]
    for cell in made["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = FOLDED.sub("", _source(cell)).rstrip("\n")
    return made


def solved(stub, task, begin="\n", end=""):
    """The stub's text with the solution below the stub, which it replaces when the cell is run."""
    above, _, call = stub.rstrip().rpartition("\n")
    return f"{above.rstrip()}\n{begin}\n{task.exercise.solution.strip()}\n{end}\n\n{call}"


# ------------------------------------------------------------------ the three kinds of edition


def instructors(notebook):
    """A copy with the solutions in the cells of the stubs; the headings say the points."""
    made = with_points(notebook)
    for task in tasks(notebook):
        cell = made["cells"][task.cell]
        cell["source"] = solved(_source(cell), task)
    return made


def _replaced(notebook, cells_of):
    """The students' copy, each stub's cell replaced by the list cells_of(cell, task)."""
    made = students(notebook)
    by_id = {notebook["cells"][task.cell]["id"]: task for task in tasks(notebook)}
    made["cells"] = [part for cell in made["cells"] for part in (
        cells_of(cell, by_id[cell["id"]]) if cell["id"] in by_id else [cell])]
    for cell in made["cells"]:  # every notebook lies in a folder of its own
        if cell["cell_type"] == "markdown":
            cell["source"] = LINK.sub(r"](../\1/\1.ipynb", _source(cell))
    return made


def for_nbgrader(notebook):
    """The source of an assignment of nbgrader."""
    def about(task, **kind):
        return {"nbgrader": {"schema_version": 3, "task": False, "grade": False, "solution": False,
                             "locked": False, "grade_id": task.name} | kind}

    def cells(cell, task):
        stub = solved(_source(cell), task, "### BEGIN SOLUTION", "### END SOLUTION")
        test = NBGRADER_TEST.format(points=counted(task.points, "point"), answer=task.answer,
                             call=CALL.search(stub)[0])
        return [cell | {"source": stub, "metadata": about(task, solution=True)},
                _code(f"{cell['id']}-points", test, about(task, grade=True, locked=True,
                      points=task.points, grade_id=f"{task.name}_points"))]

    return _replaced(notebook, cells)


def for_otter(notebook, name):
    """The source of an assignment of Otter.

    Otter's runner can wait forever for a cell with `interact` (edition.py says why), so grading
    skips these cells. No exercise needs what they define.
    """
    def cells(cell, task):
        stub = solved(_source(cell), task, "# BEGIN SOLUTION NO PROMPT", "# END SOLUTION")
        test = OTTER_TEST.format(name=task.name, answer=task.answer, call=CALL.search(stub)[0])
        parts = (f"# BEGIN QUESTION\nname: {task.name}\npoints: {task.points}", "# BEGIN SOLUTION",
                 cell | {"source": stub}, "# END SOLUTION", "# BEGIN TESTS",
                 _code(f"{cell['id']}-points", test), "# END TESTS", "# END QUESTION")
        return [_raw(f"{cell['id']}-otter-{k}", part) if isinstance(part, str) else part
                for k, part in enumerate(parts)]

    made = _replaced(notebook, cells)
    for cell in made["cells"]:
        if cell["cell_type"] == "code" and re.search(r"\binteract\(", _source(cell)):
            tags = cell["metadata"].get("tags", [])
            cell["metadata"] = cell["metadata"] | {"tags": [*tags, "otter_ignore"]}
    made["cells"].insert(0, _raw("otter", OTTER_CONFIG.format(name=name)))
    return made


def _code(identity, text, metadata=None):
    return {"cell_type": "code", "execution_count": None, "id": identity[-64:],
            "metadata": metadata or {}, "outputs": [], "source": text}


def _raw(identity, text):
    return {"cell_type": "raw", "id": identity[-64:], "metadata": {}, "source": text}
