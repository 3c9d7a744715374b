"""The pages of docs: what a command writes is what lies there."""

import importlib.util
from pathlib import Path

import pytest
import scaling

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def claims():
    spec = importlib.util.spec_from_file_location("claims", DOCS / "claims.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
