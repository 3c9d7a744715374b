"""README's pictures: what ships draws them again, and README says what they show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gantutor
from gantutor import pictures

ROOT = Path(gantutor.__file__).parent.parent
FOLDER = ROOT / "data" / "pictures"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_and_its_numbers_come_from_what_ships(name):
    figure, line = pictures.PICTURES[name]()
    drawn = Image.fromarray(pictures.pixels(figure))
    stored = Image.open(FOLDER / f"{name}.webp").convert("RGB")
    assert drawn.size == stored.size
    # Averaged over 8 x 8 pixels: letters and edges differ a little by machine and by compression.
    small = [np.asarray(image.reduce(8)).astype(int) for image in (drawn, stored)]
    difference = np.abs(small[0] - small[1])
    assert difference.mean() < 1 and difference.max() < 40, (difference.mean(), difference.max())
    assert pictures.in_readme(README, {name: line}) == README


def test_every_notebook_has_one_and_all_are_small():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(pictures.PICTURES) == notebooks | {"lecture"}
    shipped = list(FOLDER.iterdir())
    assert {path.stem for path in shipped} == set(pictures.PICTURES) | {"first_run"}
    assert sum(path.stat().st_size for path in shipped) <= 1.5e6
    assert all(f"data/pictures/{path.name}" in README for path in shipped)


def test_an_entry_of_readme_is_replaced_whole():
    text = "a\n<!-- lecture -->\nold\n<!-- end of lecture -->\nb\n"
    assert pictures.in_readme(text, {"lecture": "*New.*"}) == (
        "a\n<!-- lecture -->\n![Faces at 64 px and photographs at 128 px: the lecture's methods "
        "from top to bottom.](data/pictures/lecture.webp)\n\n*New.*\n<!-- end of lecture -->\nb\n")
