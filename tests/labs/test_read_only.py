"""One installation for a class: where nobody may write, a notebook runs as it does anywhere.

The kernel stands in for Linux here: an attempt to write into the checkout fails as on a read-only
disk, whoever runs the tests.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

READER = '''
import errno, json, os, sys
from pathlib import Path

root, notebook = sys.argv[1:]
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate",
           "os.chmod", "os.chown", "os.utime"}
tried = []


def refuse(event, arguments):
    """A read-only disk below `root`."""
    if event == "open":
        path, mode, flags = arguments
        if not (set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR)):
            return
        paths = [path]
    elif event in CHANGES:
        paths = arguments[:2]
    else:
        return
    for path in paths:
        if isinstance(path, (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(path))
            if path.startswith(root + os.sep):
                if "__pycache__" not in path:  # Python itself goes on without
                    tried.append(f"{event} {path}")
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
sys.addaudithook(refuse)
for cell in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        done = shell.run_cell("".join(cell["source"]))
        if not done.success:
            sys.exit(f"cell {cell['id']}: {done.error_in_exec or done.error_before_exec}")
import gantutor
try:
    open(Path(gantutor.__file__).parent / "x", "w")
except OSError:
    tried.pop()  # the disk is read-only indeed
else:
    sys.exit("could write")
print("tried", tried, gantutor.__file__)
'''


def read_only(notebook, here, tmp_path):
    """Runs a notebook's cells in the folder `here`; what it printed. Nothing may be refused."""
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    settings = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"),
                "PYTHONPATH": str(ROOT), "GANTUTOR_PROFILE": "test", "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, "-c", READER, str(ROOT), str(notebook)], cwd=here,
                          capture_output=True, text=True, check=False, env=os.environ | settings)
    return done.returncode, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_a_notebook_runs_where_it_lies_in_a_read_only_checkout(tmp_path):
    code, said = read_only(ROOT / "notebooks" / "00_start_here.ipynb", ROOT / "notebooks", tmp_path)
    assert code == 0 and f"tried [] {ROOT / 'gantutor' / '__init__.py'}" in said, said


@pytest.mark.slow
def test_a_copy_runs_in_a_readers_own_folder(tmp_path):
    copy = shutil.copy(ROOT / "notebooks" / "03_cyclegan.ipynb", tmp_path)
    code, said = read_only(copy, tmp_path, tmp_path)
    assert code == 0 and f"tried [] {ROOT / 'gantutor' / '__init__.py'}" in said, said


def test_a_cell_that_writes_beside_the_package_is_stopped(tmp_path):
    """So the two tests above can fail."""
    cell = "import gantutor\nopen(gantutor.__file__ + '.log', 'a')"
    notebook = {"cells": [{"cell_type": "code", "id": "log", "source": cell}]}
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    code, said = read_only(tmp_path / "n.ipynb", tmp_path, tmp_path)
    assert code == 1 and "cell log: [Errno 30]" in said
    assert not (ROOT / "gantutor" / "__init__.py.log").exists()
