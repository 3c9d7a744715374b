"""The widgets: in Python, and clicked in JupyterLab in headless Chromium."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gantutor import evaluate, recipes
from gantutor.data import AVATARS, avatars, faces, to_uint8
from gantutor.saving import seed_everything
from gantutor.widgets import (
    CodeExplorer,
    FaceEditor,
    attribute_choices,
    attribute_direction,
    code_text,
    edit_in_turn,
)

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which(
    "google-chrome")
CHOICES = dict(attribute_choices())


def tiles(widget):
    """The four pictures on show, each (160, 160, 3) uint8."""
    array = np.asarray(Image.open(io.BytesIO(widget.picture.value)))
    assert array.shape == (160, 640, 3)
    return np.split(array, 4, 1)


# --------------------------------------------------------------- the face editor


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
    expected = to_uint8(editor.images[5 * 48 + 4]).permute(1, 2, 0).numpy()
    assert np.array_equal(truth[::5, ::5], expected)
    assert np.unique(edit).tolist() == [round((0.3 + 1) * 127.5)]  # 1 hair, glasses, 1 mask
    assert "<code>10001 0000 10</code>" in editor.text.value
    editor.expression.value = 1
    assert "<code>10001 0000 10</code> then <code>00000 0100 01</code>" in editor.text.value
    editor.face.value = 7 * 48 + 21  # another face starts with its own
    assert [int(c.value) for c in editor.controls] == editor.records[7 * 48 + 21][:4].tolist()
    assert "code: none" in editor.text.value


def test_only_what_differs_is_asked_for():
    x, records = faces.held_out()
    now, wanted = records[0], records[1].clone()
    _, asked = edit_in_turn(painted, x[:1], now, now)
    assert asked == []
    _, asked = edit_in_turn(painted, x[:1], now, wanted)
    assert [code_text(code) for code in asked] == ["00000 0100 01"]
    wanted[0] = 2
    _, asked = edit_in_turn(painted, x[:1], now, wanted)
    assert [code_text(code) for code in asked] == ["00100 0000 10", "00000 0100 01"]
    assert len(faces.APPEARANCE) == 5 and len(faces.EXPRESSION) == 4  # what code_text splits at


def test_at_64_px_the_titles_still_stand_over_their_pictures():
    editor = FaceEditor(painted, size=64)
    array = np.asarray(Image.open(io.BytesIO(editor.picture.value)))
    assert array.shape == (128, 512, 3) and editor.picture.layout.width == "640px"


class Mover(nn.Module):
    """A method on another device than the CPU ("meta" holds no numbers, so that none come back)."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.zeros(1, device="meta")), set()

    def translate(self, x, code):
        self.seen |= {x.device.type, code.device.type}
        return torch.zeros(x.shape)


def test_the_editor_asks_a_method_on_its_own_device():
    mover = Mover()
    editor = FaceEditor(mover.translate)
    editor.glasses.value = not editor.glasses.value
    assert mover.seen == {"meta"} and "L1 to the truth" in editor.text.value


# ------------------------------------------------------------- the code explorer


def untrained():
    """A small method whose decoders are steep enough for any other code to show."""
    seed_everything(0)
    method = recipes.common_space(size=32, channels=4, width=4)
    with torch.no_grad():
        for encoder in (method.E_x, method.E_y):
            encoder.stages[-1].conv.weight.mul_(100)
    return method.eval().requires_grad_(False)


@pytest.fixture
def explorer():
    return CodeExplorer(untrained())


def small(explorer):
    """`tiles` at their own size: (32, 32, 3) uint8 each."""
    return [tile[::5, ::5] for tile in tiles(explorer)]


def strip(explorer):
    """The strip's two rows of seven pictures: (2, 7, 32, 32, 3) uint8."""
    array = np.asarray(Image.open(io.BytesIO(explorer.strip.value)))
    assert array.shape == (192, 672, 3)
    return array[::3, ::3].reshape(2, 32, 7, 32, 3).swapaxes(1, 2)


def picture(image):
    """(1, 3, H, W) in [-1, 1] -> (H, W, 3) uint8."""
    return to_uint8(image)[0].permute(1, 2, 0).numpy()


def close(a, b):
    """The same picture, up to the rounding of another batch size."""
    return np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_a_direction_is_a_difference_of_two_means():
    codes = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0], [8.0, 2.0], [1.0, 1.0]])
    direction = attribute_direction(codes.view(5, 2, 1, 1), torch.tensor([2, 2, 0, 1, 0]), 2)
    assert direction.shape == (2, 1, 1)
    assert direction.flatten().tolist() == [2 - 3, 2 - 1]  # (2, 2) against (9, 3) / 3


@pytest.mark.parametrize("values, value", [([0, 1, 0], 5), ([3, 3, 3], 3)])
def test_a_direction_needs_images_with_and_without(values, value):
    with pytest.raises(ValueError, match=f"value {value}: "):
        attribute_direction(torch.zeros(3, 2, 4, 4), torch.tensor(values), value)


def test_every_attribute_value_can_be_chosen_and_has_a_direction(explorer):
    assert len(CHOICES) == 4 + 6 + 5 + 4 + 4
    assert CHOICES["hair 3"] == (1, 3) and CHOICES["long hair"] == (4, 1)
    for label, choice in CHOICES.items():
        explorer.attribute.label = label
        assert explorer.attribute.value == choice
    assert explorer.directions.keys() == set(CHOICES.values())
    column, value = CHOICES["skin 2"]
    values = avatars.records("train_x")[:1000, column]
    expected = attribute_direction(explorer.codes, values, value)
    assert torch.equal(explorer.directions[column, value], expected)


def test_without_amount_and_mix_it_shows_the_plain_reconstruction_and_translation(explorer):
    method, (x, y, _) = explorer.method, evaluate.held_out_pairs(AVATARS)
    for person in (0, 123):
        explorer.person.value = person
        shown, in_x, in_y, truth = small(explorer)
        one = x[person][None]
        assert np.array_equal(shown, picture(one))
        assert np.array_equal(truth, picture(y[person][None]))
        assert close(in_x, picture(method.G_x(method.E_x(one))))
        assert close(in_y, picture(method.translate(one)))


def test_mix_goes_from_one_person_to_the_other(explorer):
    alone = small(explorer)
    explorer.towards.value = 77
    assert all(np.array_equal(a, b) for a, b in zip(alone, small(explorer), strict=True))
    explorer.mix.value = 1.0
    mixed, between = small(explorer), strip(explorer)
    explorer.mix.value, explorer.person.value = 0.0, 77
    other = small(explorer)
    assert not close(alone[2], other[2])
    assert np.array_equal(mixed[0], alone[0]) and np.array_equal(mixed[3], alone[3])
    for k in (1, 2):
        assert np.array_equal(mixed[k], other[k])
        assert close(between[k - 1, 0], alone[k]) and close(between[k - 1, 6], other[k])
    explorer.person.value, explorer.mix.value = 0, 0.5  # the strip's fourth of seven
    assert close(strip(explorer)[1, 3], small(explorer)[2])


def test_the_amount_adds_the_direction_of_the_chosen_attribute(explorer):
    plain, before = small(explorer), strip(explorer)
    explorer.attribute.label = "hair 3"
    assert all(np.array_equal(a, b) for a, b in zip(plain, small(explorer), strict=True))
    explorer.amount.value = 2.0
    hair = small(explorer)
    z = explorer.people[:1] + 2 * explorer.directions[1, 3]
    assert close(hair[1], picture(explorer.method.G_x(z)))
    assert close(hair[2], picture(explorer.method.G_y(z)))
    assert not close(hair[2], plain[2]) and not close(strip(explorer)[1, 6], before[1, 6])
    explorer.attribute.label = "glasses"
    assert not np.array_equal(small(explorer)[2], hair[2])
    explorer.amount.value = 0.0
    assert all(np.array_equal(a, b) for a, b in zip(plain, small(explorer), strict=True))


def test_the_line_is_what_the_classifier_reads(explorer):
    _, y, records = evaluate.held_out_pairs(AVATARS)
    explorer.method.G_y.forward = lambda z: y[3:4].expand(len(z), -1, -1, -1)  # someone else's
    for label in ("hair 3", "long hair"):
        explorer.attribute.label = label
        column, _ = CHOICES[label]
        explorer.person.value = (records[:, column] != records[3, column]).nonzero()[0].item()
        read = evaluate.read_attributes(y[3:4], AVATARS)[0, column].item()
        own = records[explorer.person.value, column].item()
        name = label.removesuffix(" 3")
        assert read == records[3, column] != own
        assert explorer.text.value == (f"read off the picture in Y: <b>{name} {read}</b>; "
                                       f"the person's own: {name} {own}")


# ------------------------------------------------------------------------ browser

EXPLORER = """from gantutor import runs
from gantutor.widgets import CodeExplorer
CodeExplorer(runs.load("avatars_remedies", 0))"""


def editor_cell():
    """Notebook 04's own widget cell, behind the imports it needs."""
    cells = json.loads((ROOT / "notebooks" / "04_stargan.ipynb").read_text("utf-8"))["cells"]
    (cell,) = [c for c in cells if "FaceEditor(" in "".join(c["source"])]
    return "from gantutor import runs\n" + "".join(cell["source"])


def test_notebook_04_has_one_cell_with_the_editor():
    names = {}
    exec(editor_cell(), names)
    assert any(isinstance(value, type) and value is FaceEditor for value in names.values())


def write_notebook(path, source):
    code = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [],
            "execution_count": None, "source": source}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": [code], "metadata": kernel, "nbformat": 4,
                                "nbformat_minor": 5}))


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab on a free port; its page shows `tmp_path`/widget.ipynb. Gives the address."""
    pytest.importorskip("jupyterlab")
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


def answers(address, seconds=60):
    """Whether the server comes up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return True
        except OSError:
            time.sleep(0.3)
    return False


def run_the_first_cell(page, address):
    """Opens the notebook and runs its first cell, once the kernel is there.

    JupyterLab forgets what it is asked to run before a kernel is connected."""
    page.goto(address, wait_until="domcontentloaded")
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.locator("#jp-bottom-panel, #jp-main-statusbar").get_by_text("| Idle").wait_for(
        timeout=60_000)
    page.keyboard.press("Shift+Enter")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_click_in_jupyterlab_changes_the_picture(lab, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    write_notebook(tmp_path / "widget.ipynb", editor_cell())
    assert answers(lab), "no Lab"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        run_the_first_cell(page, lab)
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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_moving_a_control_in_jupyterlab_changes_the_picture(lab, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    write_notebook(tmp_path / "widget.ipynb", EXPLORER)
    assert answers(lab), "no Lab"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        run_the_first_cell(page, lab)
        pictures = page.locator("img.widget-image, .jupyter-widgets img")
        pictures.first.wait_for(timeout=90_000)

        def changes(action):
            """Waits until `action` has changed the picture and the strip."""
            old = [pictures.nth(k).get_attribute("src") for k in range(2)]
            action()
            for k in range(2):
                page.wait_for_function("([image, old]) => image.src !== old", timeout=30_000,
                                       arg=[pictures.nth(k).element_handle(), old[k]])

        amount = page.locator(".widget-slider:has(.widget-label:text-is('amount')) .noUi-handle")
        changes(lambda: amount.press("ArrowRight"))
        page.locator(".widget-dropdown select").select_option("hair 3")
        page.get_by_text("read off the picture in Y: hair").wait_for(timeout=30_000)
        person = page.locator(".widget-slider:has(.widget-label:text-is('person')) .noUi-handle")
        changes(lambda: person.press("ArrowRight"))
        if target := os.environ.get("GANTUTOR_SCREENSHOT"):
            page.screenshot(path=target)
        browser.close()
