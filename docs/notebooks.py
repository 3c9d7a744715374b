"""Writes docs/notebooks.md: how long each notebook is, and how long it takes.

    python docs/notebooks.py

tests/test_docs.py says when the page is out of date.
"""

import json
import re
from pathlib import Path

from gantutor.saving import atomically

PAGE = Path(__file__).with_name("notebooks.md")
NOTEBOOKS = sorted((PAGE.parent.parent / "notebooks").glob("*.ipynb"))
WORDS, LINES = 4000, 400  # at most, in one notebook; tests/test_notebooks.py holds all to these
HEAD = f"""# The notebooks in numbers

`python docs/notebooks.py` writes this page. *Words*: all Markdown cells, split at white space (at
most {WORDS:,}). *Code*: lines of the code cells that are neither empty nor a comment (at most
{LINES}). The setup cell, the same in all, does not count. *Exercises* are those with a heading of
their own. *Minutes* are those that the notebook's first cell states, on two quiet cores.

| notebook | words | code | cells | exercises | minutes |
|---|---|---|---|---|---|
"""


def sources(path, kind):
    """The texts of a notebook's cells of one kind, "markdown" or "code"."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def words(path):
    """How many words the Markdown cells have, folded text and formulas included."""
    return sum(len(text.split()) for text in sources(path, "markdown"))


def code_lines(path):
    """How many lines of the code cells are neither empty nor a comment; not of the setup cell."""
    cells = [text for text in sources(path, "code") if "machine.expect(" not in text]
    lines = (line.strip() for text in cells for line in text.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def minutes(path):
    """The minutes that the notebook states, as it writes them; "?" where it states none."""
    found = re.search(r"^machine\.expect\(minutes=([\d.]+)\)$", "\n".join(sources(path, "code")),
                      re.M)
    return found[1] if found else "?"


def row(path):
    """The notebook's line of the table."""
    texts = sources(path, "markdown")
    title = re.search(r"^# (.+)$", "\n".join(texts), re.M)[1]
    exercises = len(re.findall(r"^### Exercise", "\n".join(texts), re.M))
    return (f"| [{title}](../notebooks/{path.name}) | {words(path):,} | {code_lines(path)} | "
            f"{len(texts) + len(sources(path, 'code'))} | {exercises} | {minutes(path)} |\n")


def page(paths=NOTEBOOKS):
    """The page's text."""
    return HEAD + "".join(map(row, paths))


if __name__ == "__main__":
    atomically(PAGE, lambda to: to.write_text(page(), encoding="utf-8"))
