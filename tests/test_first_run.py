"""A reader's first run, watched: only with `pytest --install`."""

import first_run
import numpy as np
import pytest


@pytest.mark.install
@pytest.mark.slow
def test_readmes_command_opens_notebook_00_and_its_picture_changes(tmp_path):
    pytest.importorskip("playwright")
    if not first_run.CHROMIUM:
        pytest.skip("no Chromium")
    found = first_run.main(tmp_path / "screen.webp")
    assert found["bar"] == sorted(found["bar"]) and len(found["bar"]) > 5
    assert found["bar"][-1] == 100
    assert found["pictures"] > 3  # one each 25 steps
    assert "from a checkout: the version of this notebook" in found["text"]
    assert "Traceback" not in found["text"]
    screen = np.asarray(first_run.Image.open(tmp_path / "screen.webp"))
    assert screen.std() > 20  # not one colour


def test_a_command_that_ends_says_what_it_said(tmp_path):
    with pytest.raises(RuntimeError, match="no such folder") as error, first_run.jupyter(
            tmp_path, "echo no such folder; exit 3 #"):
        pass
    assert "ended with 3" in str(error.value)


def test_the_command_is_readmes():
    assert first_run.command().startswith("python3 -m venv .venv && ")
    assert first_run.command().endswith("notebooks/00_start_here.ipynb")
