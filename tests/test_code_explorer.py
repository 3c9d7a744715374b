"""The widget of the common space: in Python, and moved in JupyterLab in headless Chromium."""

import io
import json
import os

import numpy as np
import pytest
import test_face_editor
import torch
from PIL import Image

from gantutor import data, evaluate, recipes
from gantutor.code_explorer import CodeExplorer, attribute_choices, attribute_direction
from gantutor.training import seed_everything

lab = test_face_editor.lab  # the fixture; its notebook is written over before the page opens
CHOICES = dict(attribute_choices())


def untrained():
    """A small method whose decoders are steep enough for any other code to show."""
    seed_everything(0)
    method = recipes.make_common_space(size=32, channels=4, width=4)
    with torch.no_grad():
        for encoder in (method.E_x, method.E_y):
            encoder.stages[-1].conv.weight.mul_(100)
    return method.eval().requires_grad_(False)


@pytest.fixture
def explorer():
    return CodeExplorer(untrained())


def tiles(explorer):
    """The four pictures on show, each (32, 32, 3) uint8."""
    array = np.asarray(Image.open(io.BytesIO(explorer.picture.value)))
    assert array.shape == (160, 640, 3)
    return np.split(array[::5, ::5], 4, 1)


def strip(explorer):
    """The strip's two rows of seven pictures: (2, 7, 32, 32, 3) uint8."""
    array = np.asarray(Image.open(io.BytesIO(explorer.strip.value)))
    assert array.shape == (192, 672, 3)
    return array[::3, ::3].reshape(2, 32, 7, 32, 3).swapaxes(1, 2)


def picture(image):
    """(1, 3, H, W) in [-1, 1] -> (H, W, 3) uint8."""
    return data.to_uint8(image)[0].permute(1, 2, 0).numpy()


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
    values = data.avatar_records("train_x")[:1000, column]
    expected = attribute_direction(explorer.codes, values, value)
    assert torch.equal(explorer.directions[column, value], expected)


def test_without_amount_and_mix_it_shows_the_plain_reconstruction_and_translation(explorer):
    method, (x, y, _) = explorer.method, evaluate.held_out_pairs("avatars", 32)
    for person in (0, 123):
        explorer.person.value = person
        shown, in_x, in_y, truth = tiles(explorer)
        one = x[person][None]
        assert np.array_equal(shown, picture(one))
        assert np.array_equal(truth, picture(y[person][None]))
        assert close(in_x, picture(method.G_x(method.E_x(one))))
        assert close(in_y, picture(method.translate(one)))


def test_mix_goes_from_one_person_to_the_other(explorer):
    alone = tiles(explorer)
    explorer.towards.value = 77
    assert all(np.array_equal(a, b) for a, b in zip(alone, tiles(explorer), strict=True))
    explorer.mix.value = 1.0
    mixed, between = tiles(explorer), strip(explorer)
    explorer.mix.value, explorer.person.value = 0.0, 77
    other = tiles(explorer)
    assert not close(alone[2], other[2])
    assert np.array_equal(mixed[0], alone[0]) and np.array_equal(mixed[3], alone[3])
    for k in (1, 2):
        assert np.array_equal(mixed[k], other[k])
        assert close(between[k - 1, 0], alone[k]) and close(between[k - 1, 6], other[k])
    explorer.person.value, explorer.mix.value = 0, 0.5  # the strip's fourth of seven
    assert close(strip(explorer)[1, 3], tiles(explorer)[2])


def test_the_amount_adds_the_direction_of_the_chosen_attribute(explorer):
    plain, before = tiles(explorer), strip(explorer)
    explorer.attribute.label = "hair 3"
    assert all(np.array_equal(a, b) for a, b in zip(plain, tiles(explorer), strict=True))
    explorer.amount.value = 2.0
    hair = tiles(explorer)
    z = explorer.people[:1] + 2 * explorer.directions[1, 3]
    assert close(hair[1], picture(explorer.method.G_x(z)))
    assert close(hair[2], picture(explorer.method.G_y(z)))
    assert not close(hair[2], plain[2]) and not close(strip(explorer)[1, 6], before[1, 6])
    explorer.attribute.label = "glasses"
    assert not np.array_equal(tiles(explorer)[2], hair[2])
    explorer.amount.value = 0.0
    assert all(np.array_equal(a, b) for a, b in zip(plain, tiles(explorer), strict=True))


def test_the_line_is_what_the_classifier_reads(explorer):
    _, y, records = evaluate.held_out_pairs("avatars", 32)
    explorer.method.G_y.forward = lambda z: y[3:4].expand(len(z), -1, -1, -1)  # someone else's
    for label in ("hair 3", "long hair"):
        explorer.attribute.label = label
        column, _ = CHOICES[label]
        explorer.person.value = (records[:, column] != records[3, column]).nonzero()[0].item()
        read = evaluate.read_attributes(y[3:4], 32)[0, column].item()
        own = records[explorer.person.value, column].item()
        name = label.removesuffix(" 3")
        assert read == records[3, column] != own
        assert explorer.text.value == (f"read off the picture in Y: <b>{name} {read}</b>; "
                                       f"the person's own: {name} {own}")


# ------------------------------------------------------------------------ browser

CELL = """from gantutor import recipes
from gantutor.code_explorer import CodeExplorer
CodeExplorer(recipes.load("avatars_remedies", 0))"""


@pytest.mark.skipif(test_face_editor.CHROMIUM is None, reason="no Chromium on this machine")
def test_moving_a_control_in_jupyterlab_changes_the_picture(lab, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    notebook = json.loads((tmp_path / "widget.ipynb").read_text())
    notebook["cells"][0]["source"] = CELL
    (tmp_path / "widget.ipynb").write_text(json.dumps(notebook))
    assert test_face_editor._answers(lab), "no Lab"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=test_face_editor.CHROMIUM,
                                    args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(lab, wait_until="domcontentloaded")
        page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
        page.keyboard.press("Shift+Enter")
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
