"""The widget of notebook 04: in Python, and clicked in JupyterLab in headless Chromium."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gantutor import data, edits, faces
from gantutor.face_editor import FaceEditor, code_text, edit_in_turn

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which(
    "google-chrome")


def tiles(editor):
    """The four pictures on show, each (160, 160, 3) uint8."""
    array = np.asarray(Image.open(io.BytesIO(editor.picture.value)))
    assert array.shape == (160, 640, 3)
    return np.split(array, 4, 1)


def painted(x, code):
    """An "editor" that only says what it was asked for: grey by the code's digits."""
    return torch.full_like(x, 0.0) + code.sum(1).view(-1, 1, 1, 1) / 10


def test_it_starts_with_the_faces_own_attributes_and_changes_nothing():
    editor = FaceEditor(painted)
    record = editor.records[editor.face.value]
    assert [int(c.value) for c in editor.controls] == record[:4].tolist()
    x, edit, truth, error = tiles(editor)
    assert np.array_equal(x, edit) and np.array_equal(x, truth) and error.max() == 0
    assert "code: none" in editor.text.value


def test_toggling_shows_the_edit_and_the_true_counterpart():
    editor = FaceEditor(painted)
    editor.face.value = 5 * 48  # black short hair, no glasses, neutral
    editor.glasses.value = True
    _, edit, truth, _ = tiles(editor)
    expected = data.to_uint8(editor.images[5 * 48 + 4]).permute(1, 2, 0).numpy()
    assert np.array_equal(truth[::5, ::5], expected)
    assert np.unique(edit).tolist() == [round((0.3 + 1) * 127.5)]  # 1 hair, glasses, 1 mask
    assert "<code>10001 0000 10</code>" in editor.text.value
    editor.expression.value = 1
    assert "<code>10001 0000 10</code> then <code>00000 0100 01</code>" in editor.text.value
    editor.face.value = 7 * 48 + 21  # another face starts with its own
    assert [int(c.value) for c in editor.controls] == editor.records[7 * 48 + 21][:4].tolist()
    assert "code: none" in editor.text.value


def test_only_what_differs_is_asked_for():
    x, records = edits.held_out_faces()
    now, wanted = records[0], records[1].clone()
    _, asked = edit_in_turn(painted, x[:1], now, now)
    assert asked == []
    _, asked = edit_in_turn(painted, x[:1], now, wanted)
    assert [code_text(code) for code in asked] == ["00000 0100 01"]
    wanted[0] = 2
    _, asked = edit_in_turn(painted, x[:1], now, wanted)
    assert [code_text(code) for code in asked] == ["00100 0000 10", "00000 0100 01"]
    assert len(faces.APPEARANCE) == 5 and len(faces.EXPRESSION) == 4  # what code_text splits at


# ------------------------------------------------------------------------ browser


def widget_notebook(path):
    """Notebook 04's own widget cell, behind the imports it needs, as a notebook at `path`."""
    cells = json.loads((ROOT / "notebooks" / "04_stargan.ipynb").read_text("utf-8"))["cells"]
    (cell,) = [c for c in cells if "FaceEditor(" in "".join(c["source"])]
    source = "from gantutor import recipes\n" + "".join(cell["source"])
    code = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [],
            "execution_count": None, "source": source}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": [code], "metadata": kernel, "nbformat": 4,
                                "nbformat_minor": 5}))


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab on a free port with the widget's notebook in it; gives the page's address."""
    pytest.importorskip("jupyterlab")
    widget_notebook(tmp_path / "widget.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = {name: str(tmp_path / name) for name in
             ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR",
              "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
               f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
               "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={tmp_path}",
               "--LabApp.news_url=", "--LabApp.check_for_updates_class="
               "jupyterlab.NeverCheckForUpdate"]
    with open(tmp_path / "lab.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | homes)
    yield f"http://127.0.0.1:{port}/lab/tree/widget.ipynb?reset"
    server.terminate()
    server.wait(20)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_click_in_jupyterlab_changes_the_picture(lab):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(lab, wait_until="domcontentloaded") if _answers(lab) else pytest.fail("no Lab")
        page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
        page.keyboard.press("Shift+Enter")
        picture = page.locator("img.widget-image, .jupyter-widgets img").first
        picture.wait_for(timeout=90_000)
        before, line = picture.get_attribute("src"), page.locator(".widget-html-content").last
        assert "code: none" in line.inner_text()
        page.get_by_role("button", name=re.compile("^surprised$")).click()
        page.wait_for_function("([image, old]) => image.src !== old",
                               arg=[picture.element_handle(), before], timeout=30_000)
        page.wait_for_function("line => line.innerText.includes('0001 01')",
                               arg=line.element_handle(), timeout=30_000)
        if target := os.environ.get("GANTUTOR_SCREENSHOT"):
            page.screenshot(path=target)
        browser.close()


def _answers(address, seconds=60):
    """Whether the server comes up."""
    import time
    import urllib.request

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return True
        except OSError:
            time.sleep(0.3)
    return False
