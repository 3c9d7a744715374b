"""The rehearsal: hidden pairs from a reader's own pictures, and what is read off them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gantutor.data import to_float, to_uint8
from gantutor.evaluate import metrics
from gantutor.own import rehearsal
from gantutor.own.changes import CHANGES, bent, dusk, relief
from gantutor.own.known_pairs import make_task, references, stopped_falling
from gantutor.own.rehearsal import nearest, ranking


def pictures(count=50, height=16, width=24, seed=0):
    """Different pictures whose first channel's first pixel is their number."""
    stack = torch.randint(256, (count, 3, height, width), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(seed))
    stack[:, 0, 0, 0] = torch.arange(count)
    return stack


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_keeps_shape_range_and_input(name):
    x = to_float(pictures(3))
    before = x.clone()
    y = CHANGES[name](x, torch.Generator().manual_seed(0))
    assert y.shape == x.shape and y.min() >= -1 and y.max() <= 1
    assert torch.equal(x, before) and metrics.l1(x, y) > 0.05
    assert torch.equal(y, CHANGES[name](x, torch.Generator().manual_seed(0)))


def test_dusk_by_hand():
    """White: 0.8, and 0.02 and 0.1 more of green and blue, then half of the colour gone."""
    white = torch.ones(1, 3, 400, 500)
    found = dusk(white, torch.Generator().manual_seed(0)).add(1).div(2).mean((0, 2, 3))
    evening = torch.tensor([0.8, 0.82, 0.9])
    luma = (evening * torch.tensor([0.299, 0.587, 0.114])).sum()
    torch.testing.assert_close(found, luma + 0.5 * (evening - luma), atol=1e-3, rtol=0)
    half = dusk(white, torch.Generator().manual_seed(0), 0.5).add(1).div(2).mean((0, 2, 3))
    torch.testing.assert_close(half, (1 + found) / 2, atol=1e-2, rtol=0)


def test_the_relief_by_hand():
    """Flat grey stays near the middle; a bright square has a lit rim and a dark one."""
    grey = torch.full((2, 3, 8, 12), 2 * 0.3 - 1)
    torch.testing.assert_close(relief(grey, None).add(1).div(2), torch.full_like(grey, 0.46))
    square = grey.clone()
    square[..., 3:6, 4:9] = 2 * 0.6 - 1
    plate = relief(square, None).add(1).div(2)[:, :, 1:7, 2:11]
    lit = plate[0, 0] - (0.4 + 0.2 * square[0, 0, 1:7, 2:11].add(1).div(2))
    assert lit[1, 1] == pytest.approx(0.3)   # at (2, 3): the square lies to its lower right
    assert lit[5, 7] == pytest.approx(-0.3)  # at (6, 9): it lies to its upper left
    assert lit[3, 4] == pytest.approx(0, abs=1e-6)


def test_the_lens_moves_the_middle_outward_and_leaves_the_corners():
    x = torch.zeros(1, 3, 33, 49)
    x[..., 16, 30] = 1  # right of the middle
    shift = x.new_tensor([0.12, 0.02, -0.10]).view(3, 1, 1)
    seen = bent(x, None) - shift
    places = torch.arange(49) * seen[0, 0, 16].clamp_min(0)
    assert places.sum() / seen[0, 0, 16].clamp_min(0).sum() > 30.5
    corner = 0.5 * torch.rand(1, 3, 33, 49)  # nothing is clipped
    torch.testing.assert_close((bent(corner, None, 0.06) - shift)[..., 0, 0], corner[..., 0, 0])


def test_no_picture_is_in_two_parts_and_pairs_are_pairs():
    stack = pictures(50)
    task = make_task(stack, lambda images, generator: -images)
    assert [len(part) for part in task] == [20, 20, 20, 10, 10]
    numbers = [set(part[:, 0, 0, 0].tolist()) for part in (task.x, to_uint8(-to_float(task.y)),
                                                           task.test_x)]
    assert len(set.union(*numbers)) == 50 and sum(map(len, numbers)) == 50
    assert torch.equal(task.true_y, to_uint8(-to_float(task.x)))
    assert torch.equal(task.test_y, to_uint8(-to_float(task.test_x)))
    assert not torch.equal(make_task(stack, lambda x, g: x, seed=1).x, task.x)
    with pytest.raises(ValueError, match="39 pictures.*at least 40"):
        make_task(stack[:39], lambda x, g: x)


def test_where_an_error_stops_falling():
    assert stopped_falling([10, 20, 30, 40], [0.5, 0.3, 0.2, 0.199]) == 30
    assert stopped_falling([10, 20, 30, 40], [0.5, 0.3, 0.2, 0.1]) == 40
    assert stopped_falling([10, 20, 30], [0.2, 0.3, 0.4]) == 10
    assert stopped_falling([10, 20, 30], [0.2, 0.3, 0.1]) == 30  # it fell again


def test_the_ranking_is_by_the_share_of_doing_nothing():
    rows = {"a": {"do nothing": 0.4, "six colour numbers": 0.1, "m": 0.2, "n": 0.1,
                  "supervised ceiling": 0.01},
            "b": {"do nothing": 0.1, "six colour numbers": 0.1, "m": 0.05, "n": 0.09,
                  "supervised ceiling": 0.01}}
    assert ranking(rows) == ["m", "n"]  # .5 and .5, against .25 and .9
    assert ranking(rows, ["a"]) == ["n", "m"]


def test_the_nearest_change_is_near_in_style_and_in_what_colours_explain():
    tasks = {"colour": (0.1, 0.9), "texture": (0.1, 0.2), "large": (0.9, 0.9)}
    assert nearest((0.12, 0.8), tasks) == "colour"
    assert nearest((0.12, 0.3), tasks) == "texture"
    assert nearest((0.7, 0.8), tasks) == "large"


def test_six_numbers_undo_a_change_of_colour():
    noise = torch.randn(200, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 40 + 128
    task = make_task(noise.clamp(0, 255).to(torch.uint8), lambda x, g: (0.5 * x + 0.2))
    found = references(task)
    assert found["six colour numbers"] < 0.1 * found["do nothing"]


def test_the_command_trains_every_method_and_says_what_it_cannot_tell(tmp_path, capsys,
                                                                      monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, change in (("x", lambda a: a), ("y", lambda a: a // 2)):
        (tmp_path / name).mkdir()
        for k, image in enumerate(pictures(40, 32, 40).permute(0, 2, 3, 1).numpy()):
            Image.fromarray(change(image).astype(np.uint8)).save(tmp_path / name / f"{k}.png")
    options = rehearsal_options(["--x", "x", "--y", "y", "--methods", "direct", "cyclegan",
                                 "--changes", "dusk", "lens", "--size", "32", "--steps", "8"])
    assert rehearsal.act(options) == 0
    said = capsys.readouterr().out
    for text in ("dusk: direct", "lens: supervised ceiling", "six colour numbers",
                 "stopped falling after step", "Most alike", "best first", "It cannot tell"):
        assert text in said, text
    found = json.loads((tmp_path / "runs/rehearsal/rehearsal.json").read_text())
    assert set(found["changes"]) == {"dusk", "lens"}
    run = found["changes"]["dusk"]["runs"]["cyclegan"]
    assert run["error"] == run["errors"][-1] and run["steps"][-1] == 8
    assert (tmp_path / "runs/rehearsal/rehearsal.png").is_file()


def rehearsal_options(arguments):
    import argparse

    top = argparse.ArgumentParser()
    rehearsal.add_command(top.add_subparsers())
    return top.parse_args(["rehearse", *arguments])
