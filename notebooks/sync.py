"""Writes into the notebooks what stands somewhere else, so that it stands there once.

    python notebooks/sync.py

Hints and solutions stand in gantutor/check/*.md. Here they are folded into the cell that follows
each exercise's stub. Cells are found by the stub's last line, `check.MODULE.NAME(...)`.
A cell that begins with `# shown: DOTTED.NAME` gets the source of that class or function; the lines
before the definition, the imports, stay as they are.
The first code cell of every notebook is SETUP, with the minutes that stand in its last line, the
package's version and the repository's address. The badge opens the notebook at the same tag.
The address stands in pyproject.toml under [project.urls]. It is written into README.md and
CITATION.cff as well. Until it is known its owner is OWNER.UNKNOWN: no account on GitHub can have a
dot in its name, so nobody can put code there.
"""

import ast
import inspect
import json
import pkgutil
import re
import tomllib
from pathlib import Path

from gantutor import __version__, check
from gantutor.labs.notebooks import CALL

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))
SHOWN = re.compile(r"# shown: (\S+)")
ADDRESS = re.compile(r"github(?P<dot>\.com)?/[\w.-]+/gantutor")
MINUTES = re.compile(r"^machine\.expect\(minutes=([\d.]+)\)\Z", re.M)
COLAB = "https://colab.research.google.com"
BADGE = re.compile(rf"\[!\[Open in Colab\]\({COLAB}/assets/colab-badge\.svg\)\]\([^)]*\)")
SETUP = """\
# Setup: the course's package comes from the checkout around this notebook; else it is the one that
# is installed, if its version is right; else it is fetched from ADDRESS. Nothing else is installed.
import subprocess
import sys
from importlib import metadata
from pathlib import Path

VERSION, ADDRESS = "{version}", "{address}"
nearby = [Path.cwd().parent, Path.cwd(), *Path.cwd().glob("gantutor*")]
checkouts = [str(p) for p in nearby if (p / "gantutor" / "__init__.py").exists()]
sys.path[:0] = checkouts[:1]
installed = next((d.version for d in metadata.distributions(name="gantutor")), None)
if not checkouts and installed != VERSION:
    print(f"This notebook needs gantutor {VERSION}. Installed here: {installed or 'none'}.")
    fetch = [sys.executable, *"-m pip install -q --no-deps".split(), f"git+{ADDRESS}@v{VERSION}"]
    if ("OWNER.UNKNOWN" in ADDRESS or subprocess.call(fetch)) and not installed:
        raise SystemExit(
            f"gantutor {VERSION} cannot be fetched. Clone the course's repository and open the "
            "notebook there, or unpack its archive beside this notebook. Then run this cell again. "
            "Install no package of this name from an index: it may be a stranger's.")

from gantutor import machine

machine.in_step(VERSION)
machine.expect(minutes={minutes})"""


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


# ------------------------------------------------------------------ shown code


def with_source(text):
    """A cell's text, its shown definition set to the package's source; other cells as they are.

    ValueError where a shown cell holds no definition.
    """
    match = SHOWN.match(text)
    if not match:
        return text
    source = inspect.getsource(pkgutil.resolve_name(match[1])).rstrip("\n").split("\n")
    lines = text.split("\n")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = min(part.lineno for part in (node, *node.decorator_list))
            return "\n".join([*lines[:first - 1], *source, *lines[node.end_lineno:]])
    raise ValueError(f"{match[1]}: the cell that shows it holds no definition")


def write_shown(path):
    """Writes the package's source into the cells that show it; True where something has changed."""
    old = path.read_text(encoding="utf-8")
    notebook = json.loads(old)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = with_source("".join(cell["source"])).splitlines(keepends=True)
    new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


# ------------------------------------------------------------------ badge and setup cell


def setup_cell(minutes, version=__version__, address=None):
    """The first code cell of a notebook that computes for `minutes`, a number or its text."""
    values = {"version": version, "address": address or f"https://github.com/{repository()}",
              "minutes": minutes}
    return re.sub(r"\{(version|address|minutes)\}", lambda match: str(values[match[1]]), SETUP)


def badge(name, file, version=__version__):
    """The Markdown of the badge that opens notebooks/`file` of repository `name` on Colab."""
    return (f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"
            f"({COLAB}/github/{name}/blob/v{version}/notebooks/{file})")


def write_setup(path):
    """Writes badge and setup cell of a notebook; True where something has changed.

    ValueError where the notebook's first code cell does not end in `machine.expect(minutes=...)`.
    """
    old = path.read_text(encoding="utf-8")
    notebook = json.loads(old)
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    minutes = MINUTES.search("".join(first["source"]))
    if not minutes:
        raise ValueError(f"{path.name}: expected a first code cell that ends in "
                         "machine.expect(minutes=...)")
    first["source"] = setup_cell(minutes[1]).splitlines(keepends=True)
    title = notebook["cells"][0]
    title["source"] = BADGE.sub(badge(repository(), path.name),
                                "".join(title["source"])).splitlines(keepends=True)
    new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


# ------------------------------------------------------------------ the address


def repository(root=ROOT):
    """"owner/name" from `root`/pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "/".join(project["urls"]["Repository"].rstrip("/").split("/")[-2:])


def rewrite(text, name):
    """`text` with every address of this repository (github.com/... and Colab's) set to `name`."""
    return ADDRESS.sub(lambda match: f"github{match['dot'] or ''}/{name}", text)


def write_address(path, name):
    """Writes the repository's `name` into a file; True where something has changed."""
    old = path.read_text(encoding="utf-8")
    new = rewrite(old, name)
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


def main():
    for path in NOTEBOOKS:
        if write_folded(path):
            print(f"{path.name}: hints and solutions written")
        if write_shown(path):
            print(f"{path.name}: shown code written")
        if write_setup(path):
            print(f"{path.name}: badge and setup cell written")
    for path in [ROOT / "README.md", ROOT / "CITATION.cff", *NOTEBOOKS]:
        if write_address(path, repository()):
            print(f"{path.name}: now at {repository()}")


if __name__ == "__main__":
    main()
