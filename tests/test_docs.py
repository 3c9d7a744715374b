"""The pages of docs: what a command writes is what lies there."""

import doctest
import importlib.util
import json
import re
from itertools import permutations
from pathlib import Path

import pytest
import scaling
import torch
from PIL import Image
from test_notebooks import sentences

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


# ------------------------------------------------------------------ the primer


PRIMER = (DOCS / "primer.md").read_text(encoding="utf-8")


def ran(page):
    """(complaints of doctest, the names that are left) of all python blocks of a page, in order."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "a page", None, 0)
    said = []
    doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    return said, example.globs


def test_every_example_of_the_primer_prints_what_stands_there():
    assert len(re.findall("^>>> ", PRIMER, re.M)) > 20
    assert ran(PRIMER)[0] == []
    assert ran(PRIMER.replace("0.511", "0.512"))[0] != []


def test_every_section_of_the_primer_has_an_example_a_place_and_a_reference():
    sections = re.split(r"^## ", PRIMER, flags=re.M)[1:]
    assert [section[:2] for section in sections] == [f"{n}." for n in range(1, 8)]
    for section in sections:
        assert ">>> " in section and "*Used in*" in section and "*Read*" in section, section[:40]
    assert len(PRIMER.split()) <= 1800


def test_the_primer_has_no_sentence_of_more_than_35_words():
    text = re.sub(r"^#.*$", "", PRIMER, flags=re.M)
    assert [s for s in sentences(text) if len(s.split()) > 35] == []


def test_the_primers_closed_form_is_the_kl_of_two_normals():
    """Against its definition as an integral."""
    kl_normal = ran(PRIMER)[1]["kl_normal"]
    where = torch.linspace(-20, 20, 200_001, dtype=torch.float64)
    for m1, s1, m2, s2 in ((2.0, 1.0, 0.0, 1.0), (0.0, 0.5, 0.0, 1.0), (1.0, 2.0, -1.0, 1.5)):
        p, q = (torch.distributions.Normal(torch.tensor(m).double(), s).log_prob(where)
                for m, s in ((m1, s1), (m2, s2)))
        integral = torch.trapezoid(p.exp() * (p - q), where).item()
        assert kl_normal(m1, s1, m2, s2) == pytest.approx(integral, abs=1e-6)


def test_the_primers_wasserstein_distance_is_the_cheapest_of_all_pairings():
    wasserstein = ran(PRIMER)[1]["wasserstein"]
    for a, b in (([0, 1, 3], [5, 2, 2]), ([4, -1, 0, 2], [1, 1, 9, -3])):
        cheapest = min(sum(abs(x - y) for x, y in zip(a, order, strict=True))
                       for order in permutations(b))
        assert wasserstein(a, b) == pytest.approx(cheapest / len(a))


def test_every_notebook_links_the_primer():
    for path in (DOCS.parent / "notebooks").glob("*.ipynb"):
        cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        (line,) = [s for s in cell["source"] if s.startswith("**You need**")]
        assert "[primer](../docs/primer.md)" in line, path.name


def test_the_page_on_the_notebooks_is_that_of_today(notebooks):
    """Otherwise: python docs/notebooks.py"""
    assert (DOCS / "notebooks.md").read_text(encoding="utf-8") == notebooks.page()


def test_words_and_lines_are_counted_as_a_reader_would(notebooks, tmp_path):
    path = tmp_path / "09_made.ipynb"
    made = [("markdown", "# 09 · Made\n\n**Two** words"), ("code", "# a comment\n\nx = 1  # one"),
            ("code", "the = set_up\nmachine.expect(minutes=1.5)"), ("code", "    # in\n    y = 2"),
            ("markdown", "## Exercises\n\n### Exercise 1 · One (5 minutes)"),
            ("markdown", "### Exercise 2 · Two (5 minutes)")]
    path.write_text(json.dumps({"cells": [{"cell_type": kind, "source": text.splitlines(True)}
                                          for kind, text in made]}))
    assert notebooks.words(path) == 6 + 9 + 7 and notebooks.code_lines(path) == 2
    assert notebooks.row(path).split(" | ") == [
        "| [09 · Made](../notebooks/09_made.ipynb)", "22", "2", "6", "2", "1.5 |\n"]


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
