"""Runs notebooks, each once, and keeps them with their outputs in a folder."""

import json
import time


def sources(notebook):
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def is_executed(path, done):
    """Whether `done` is the notebook at `path`, with its outputs."""
    if not done.exists() or sources(read(done)) != sources(read(path)):
        return False
    return any(cell.get("execution_count") for cell in read(done)["cells"])


def execute(path, done):
    """Runs a notebook beside its neighbours and writes it, with outputs, to `done`."""
    import nbformat
    from nbclient import NotebookClient, output_widget

    # Otherwise a cell with `interact` can wait forever (jupyter/nbclient issue 312). What the
    # control shows is stored in the notebook all the same.
    output_widget.OutputWidget.sync_state = lambda self: None
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=None, kernel_name="python3",
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    part = done.with_suffix(".tmp")
    nbformat.write(notebook, part)
    part.replace(done)


def execute_missing(notebooks, folder):
    """Executes those of the folder `notebooks` that `folder` does not hold yet, one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(notebooks.glob("*.ipynb")):
        if not is_executed(path, folder / path.name):
            print(f"executing {path.name} ...", flush=True)
            begin = time.monotonic()
            execute(path, folder / path.name)
            print(f"executing {path.name}: {time.monotonic() - begin:.0f} s", flush=True)
