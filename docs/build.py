"""Builds the site of the course: static pages that need no network.

    pip install -e '.[site]'
    python docs/build.py --out build/site
    python docs/check.py build/site

Notebooks that the folder --executed does not hold yet, or holds with other cells, are executed into
it, one after the other. GANTUTOR_PROFILE says how long that takes: "cpu" (some minutes a notebook)
is what readers should see, "test" is for trying. Delete the folder to execute all of them again.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import docstrings
import executing
import pages

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
# Pages, and what they link to.
COPIED = ["*.md", "docs/**/*", "data/*.*", "data/pictures/*", "benchmarks/*.md"]
MATHJAX = ["tex-chtml.js", "output/chtml/fonts/woff-v2/*.woff"]


def write_sources(source, executed):
    """The folder that Sphinx reads: the repository's pages at their places, and some made here."""
    import gantutor

    for path in sorted(path for pattern in COPIED for path in ROOT.glob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            (source / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / path.relative_to(ROOT))
    shutil.copy(ROOT / "docs" / "index.md", source)
    (source / "notebooks").mkdir()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        made = pages.page(executing.read(executed / path.name))
        (source / "notebooks" / path.name).write_text(json.dumps(made), encoding="utf-8")
    (source / "api").mkdir()
    (source / "api" / "index.md").write_text(docstrings.overview(gantutor), encoding="utf-8")
    for room in docstrings.rooms(gantutor):
        (source / "api" / f"{room}.md").write_text(docstrings.room_page(gantutor, room),
                                                   encoding="utf-8")


def add_mathjax(static):
    """MathJax as the package sphinx-mathjax-offline brings it: the program and its fonts."""
    origin = importlib.util.find_spec("sphinx-mathjax-offline").origin
    folder = Path(origin).parent / "static" / "mathjax"
    for path in (path for pattern in MATHJAX for path in folder.glob(pattern)):
        (static / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, static / path.relative_to(folder))


def build(out, executed):
    """Builds the site into the folder `out`, which is emptied first. Any warning stops it."""
    from sphinx.cmd.build import build_main

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "source", Path(folder) / "site"
        source.mkdir()
        write_sources(source, executed)
        if build_main(["-q", "-W", "--keep-going", "-c", str(ROOT / "docs"),
                       "-d", str(Path(folder) / "doctrees"), str(source), str(made)]):
            sys.exit("docs/build.py: the site is not built, see the warnings above")
        add_mathjax(made / "_static" / "mathjax")
        for path in NOTEBOOKS.glob("*.ipynb"):  # a download runs anew: without outputs
            shutil.copy(path, made / "_sources" / "notebooks")
        for path in [*made.rglob("*.map"), *made.rglob("*webpack-macros.html")]:
            path.unlink(missing_ok=True)
        (made / ".nojekyll").touch()  # GitHub's pages would leave out _static
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(made, out)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the site's folder: it is replaced")
    parser.add_argument("--executed", type=Path, default=ROOT / "build" / "executed",
                        help="the folder of the executed notebooks (default: build/executed)")
    named = parser.parse_args(arguments)
    if named.out.exists() and any(named.out.iterdir()) and not (named.out / "_static").is_dir():
        parser.error(f"--out {named.out}: this folder holds something else than a site")
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    executing.execute_missing(NOTEBOOKS, named.executed)
    begin = time.monotonic()
    build(named.out, named.executed)
    files = [path for path in named.out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"{named.out}: {sum(path.suffix == '.html' for path in files)} pages, {size:.0f} MB, "
          f"built in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
