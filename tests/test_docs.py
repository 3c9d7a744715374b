"""The pages of docs: what a command writes is what lies there."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import scaling
import torch
from PIL import Image

from gantutor import show

DOCS = Path(__file__).parent.parent / "docs"


def script(name):
    """docs/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def claims():
    return script("claims")


@pytest.fixture(scope="module")
def notebooks():
    return script("notebooks")


def test_the_page_of_the_lectures_claims_is_what_the_shipped_numbers_say(claims):
    assert (DOCS / "claims.md").read_text(encoding="utf-8") == claims.page()


def test_every_claim_names_a_notebook_that_is_there(claims):
    folder = DOCS.parent / "notebooks"
    for _, number, _ in claims.CLAIMS:
        assert len(list(folder.glob(f"{number}_*.ipynb"))) == 1, number


def test_few_runs_are_named_as_few(claims):
    assert claims.told([0.5]) == ".50 (one run)"
    assert claims.told([0.25, 0.75]) == ".50 (.25 to .75, two runs)"
    assert claims.told([0.9, 1.0, 0.1]) == ".90 (.10 to 1.00)"


def test_the_page_on_many_processes_has_the_table_of_today():
    text = (DOCS / "many_processes.md").read_text(encoding="utf-8")
    assert scaling.page(text) == text


def test_a_ring_sends_every_byte_twice_and_pools_send_theirs_to_all_others():
    hops = scaling.LATENCY * 3  # log2(8)
    assert scaling.cost([450e9], 0, 8) == pytest.approx(2 * 7 / 8 + hops)  # one second of bytes
    assert scaling.cost([0, 0], 450e9, 8) == pytest.approx(7 + 2 * hops)
    assert scaling.cost([50e9], 0, 16) == pytest.approx(2 * 15 / 16 + scaling.LATENCY * 4)


def test_every_players_gradients_are_counted_once():
    method = scaling.ROWS["CycleGAN, 256 px, batch 1"][2]()
    generators, discriminators = scaling.messages(method)
    assert generators == 2 * 4 * 11_378_179 and discriminators == 2 * 4 * 2_764_737


def test_the_page_on_the_notebooks_is_that_of_today(notebooks):
    """Otherwise: python docs/notebooks.py"""
    assert (DOCS / "notebooks.md").read_text(encoding="utf-8") == notebooks.page()


def test_words_and_lines_are_counted_as_a_reader_would(notebooks, tmp_path):
    path = tmp_path / "09_made.ipynb"
    made = [("markdown", "# 09 · Made\n\n**Two** words"), ("code", "# a comment\n\nx = 1  # one"),
            ("code", "machine.expect(minutes=1.5)\n    # indented\n    y = 2"),
            ("markdown", "## Exercises\n\n### Exercise 1 · One (5 minutes)"),
            ("markdown", "### Exercise 2 · Two (5 minutes)")]
    path.write_text(json.dumps({"cells": [{"cell_type": kind, "source": text.splitlines(True)}
                                          for kind, text in made]}))
    assert notebooks.words(path) == 6 + 9 + 7 and notebooks.code_lines(path) == 3
    assert notebooks.row(path).split(" | ") == [
        "| [09 · Made](../notebooks/09_made.ipynb)", "22", "3", "5", "2", "1.5 |\n"]


@pytest.mark.parametrize("page", ["your_own_pictures", "how_it_is_measured"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """On two folders of small pictures, as a reader has them."""
    monkeypatch.chdir(tmp_path)
    pictures = torch.rand(6, 3, 70, 90, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for folder in ("photographs", "paintings"):
        (tmp_path / "my" / folder).mkdir(parents=True)
        for k, picture in enumerate(pictures):
            Image.fromarray(show.grid_array(picture[None])).save(
                tmp_path / "my" / folder / f"{k}.png")
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text("utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    assert page != "your_own_pictures" or (tmp_path / "runs" / "mine.pt").is_file()
