"""`gantutor release`: a folder with the notebooks for a class.

    --for plain      notebooks to hand out, and the same with the solutions in their cells
    --for nbgrader   a course folder of nbgrader
    --for otter      sources for `otter assign`

It is made from a checkout of the course. Its README says what comes next.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

from gantutor import __version__
from gantutor.labs.notebooks import counted, for_nbgrader, for_otter, instructors, students, tasks
from gantutor.saving import data_folder, target

ROOT = Path(__file__).parent.parent.parent
MANIFEST = "edition.json"
PROSE = re.compile(r"^### Solution\n.*?(?=^##|\Z)", re.M | re.S)  # in gantutor/check/*.md
NBGRADER_CONFIG = '''# nbgrader's settings for this course folder, written by `gantutor release`.
import os

from nbclient.output_widget import OutputWidget

# Autograding runs whole notebooks. In this profile a training takes some steps, not minutes.
os.environ["GANTUTOR_PROFILE"] = "test"
os.environ["OMP_NUM_THREADS"] = "1"

# The graders' notebook runner, nbclient, can miss a cell's end while it sends the texts that
# `interact` has printed to the kernel: https://github.com/jupyter/nbclient/issues/312.
OutputWidget.sync_state = lambda self: None

c = get_config()
c.CourseDirectory.course_id = "gantutor"
c.ClearSolutions.code_stub = {"python": ""}  # the stub stands above the solution
c.Execute.timeout = 180  # seconds a cell
c.Execute.iopub_timeout = 60  # seconds for its output on a machine with much to do
'''
README = """# gantutor {version} for a class: {kind}

`gantutor release --for {kind}` wrote this folder. The page for instructors is `docs/labs.md` of the
course.

{next}
| notebook | exercise | minutes | points | name |
|---|---|---|---|---|
{rows}
"""
OPEN = """# gantutor {version}

The package of the course, its data and, for students, its notebooks. Python 3.11 or newer is
needed. The authors of the photographs are named in data/README.md.

```sh
python3 -m venv .venv && .venv/bin/pip install '.[lab]' && .venv/bin/jupyter lab
```
"""


def _plain(notebook, name):
    return {f"students/notebooks/{name}": students(notebook),
            f"instructor/{name}": instructors(notebook)}


def _nbgrader(notebook, name):
    return {f"source/{name}/{name}": for_nbgrader(notebook)}


def _otter(notebook, name):
    return {f"{name}/{name}": for_otter(notebook, name)}


KINDS = {"plain": _plain, "nbgrader": _nbgrader, "otter": _otter}  # {file: its notebook} of one


def release(kind, out, notebooks):
    """Writes the edition `kind` of the notebooks (their paths) into the folder `out`.

    The folder appears whole or not at all. An edition that nobody has changed is replaced.
    Returns {name of a notebook: its tasks}. ValueError where anything else is in the way.
    """
    require_free(out)
    place = target(out)
    temporary, before = (place.with_name(f".{place.name}.{os.getpid()}.{what}.tmp")
                         for what in ("new", "old"))
    try:
        temporary.mkdir(parents=True)
        found = _write_edition(kind, temporary, notebooks)
        if place.exists():
            os.replace(place, before)
        os.replace(temporary, place)
    except OSError as error:
        raise OSError(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        if before.exists() and not place.exists():  # as it was
            os.replace(before, place)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
    return found


def require_free(out):
    """ValueError unless `out` is missing, empty, or an edition as `release` has written it."""
    place = target(out)
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not place.is_dir():
        raise ValueError(f"--out {out}: is a file, expected a folder")
    try:
        known = dict(json.loads((place / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    strange = [name for name, digest in _digests(place).items() if digest != known.get(name)]
    if strange or not known:
        raise ValueError(f"--out {out}: holds {(strange or ['other folders'])[0]}, which is not of "
                         "an earlier edition, or was changed; expected a new or an empty folder")


def _digests(folder):
    """{name: sha256} of the files below a folder, without the manifest and compiled Python."""
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path != folder / MANIFEST and path.parent.name != "__pycache__"}


def _write_edition(kind, folder, paths):
    """All files of an edition, the manifest last. Returns {name of a notebook: its tasks}."""
    found = {}
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        try:
            found[path.stem] = tasks(notebook)
        except ValueError as error:
            raise ValueError(f"{path.name}, {error}") from None
        for place, made in KINDS[kind](notebook, path.stem).items():
            _write(folder / f"{place}.ipynb", json.dumps(made, indent=1, ensure_ascii=False))
    copy_course(folder / ("students" if kind == "plain" else "course"))
    if kind == "nbgrader":
        _write(folder / "nbgrader_config.py", NBGRADER_CONFIG)
    rows = [f"| {name} | {task.number} · {task.title} | {task.minutes} | {task.points} | "
            f"{task.name} |" for name, of in found.items() for task in of]
    after = Path(__file__).with_name(f"{kind}.md").read_text(encoding="utf-8")
    _write(folder / "README.md", README.format(version=__version__, kind=kind, next=after,
                                               rows="\n".join(rows)))
    about = {"for": kind, "version": __version__, "files": _digests(folder)}
    _write(folder / MANIFEST, json.dumps(about, indent=1))
    return found


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def copy_course(folder):
    """Package and data as a folder that pip can install. Its exercises know no solutions."""
    skip = shutil.ignore_patterns("__pycache__", "_data")
    shutil.copytree(ROOT / "gantutor", folder / "gantutor", ignore=skip)
    shutil.copytree(data_folder(), folder / "data", ignore=skip)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    _write(folder / "README.md", OPEN.format(version=__version__))
    for path in (folder / "gantutor" / "check").glob("*.md"):
        _write(path, PROSE.sub("", path.read_text(encoding="utf-8")))


# ------------------------------------------------------------------ the command


def add_command(commands):
    """`gantutor release --for KIND --out DIR`."""
    command = commands.add_parser(
        "release", help="editions of the notebooks for a class: students' and instructor's files",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--for", dest="kind", required=True, choices=KINDS,
                         help="the program that grades; plain: none does")
    command.add_argument("--out", required=True, metavar="DIR", help="the folder to write: a new "
                         "one, an empty one, or an earlier edition that nobody has changed")
    command.set_defaults(act=act)
    return command


def act(options):
    """Does `gantutor release`; returns the exit code."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"{ROOT / 'notebooks'}: no notebooks there; expected a checkout of "
                                "the course, an installed package has none")
    found = release(options.kind, options.out, notebooks)
    every = [task for of in found.values() for task in of]
    print(f"{options.out}: {counted(len(found), 'notebook')}, {counted(len(every), 'exercise')}, "
          f"{counted(sum(task.points for task in every), 'point')}; its README.md says what comes "
          "next", file=sys.stderr)
    return 0
