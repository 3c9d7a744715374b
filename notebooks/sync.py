"""Writes into the notebooks what stands somewhere else: hints and solutions of the exercises.

    python notebooks/sync.py

The hints and solutions stand in gantutor/check/*.md. Here they are folded into the cell that
follows each exercise's stub. Cells are found by the stub's last line, `check.MODULE.NAME(...)`.
"""

import json
import re
from pathlib import Path

from gantutor import check
from gantutor.check.machine import Exercise

NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))
CALL = re.compile(r"^check\.(\w+)\.(\w+)\(my_\w+\)\Z", re.M)


def folded(exercise):
    """The Markdown of an exercise's hints and solution, each folded away."""
    parts = [*((f"Hint {n}", hint) for n, hint in enumerate(exercise.hints, 1)),
             ("Solution", exercise.section("Solution"))]
    return "\n\n".join(f"<details><summary>{title}</summary>\n\n{text}\n</details>"
                       for title, text in parts)


def exercises(notebook):
    """[(exercise, the cell with its folded text)] of a notebook; raises where there is no cell."""
    found = []
    for stub, after in zip(notebook["cells"], [*notebook["cells"][1:], {}], strict=True):
        called = CALL.search("".join(stub["source"]))
        if called:
            exercise = getattr(getattr(check, called[1]), called[2])
            if not "".join(after.get("source", "")).startswith("<details>"):
                raise ValueError(f"{stub['id']}: no cell for the hints of {called[0]} follows")
            if isinstance(exercise, Exercise):  # the others still have the old form
                found.append((exercise, after))
    return found


def write_folded(path):
    """Writes hints and solutions into the notebook; True where something has changed."""
    old = path.read_text(encoding="utf-8")
    notebook = json.loads(old)
    for exercise, cell in exercises(notebook):
        cell["source"] = folded(exercise).splitlines(keepends=True)
    new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


def main():
    for path in NOTEBOOKS:
        if write_folded(path):
            print(f"{path.name}: hints and solutions written")


if __name__ == "__main__":
    main()
