"""The retro process by hand, the crops, and no photograph on two sides."""

from collections import Counter

import numpy as np
import pytest
import torch

from gantutor.data import LANDSCAPES, landscapes, retro, to_float
from gantutor.data.landscapes import PHOTOGRAPHS, SPLIT, crops
from gantutor.saving import data_folder


def test_no_photograph_is_on_two_sides():
    count = Counter(name for part in SPLIT.values() for name in part)
    assert set(count) == set(PHOTOGRAPHS) and set(count.values()) == {1}
    pictures = [(data_folder() / "landscapes" / f"{name}.jpg").read_bytes() for name in count]
    assert len(set(pictures)) == len(PHOTOGRAPHS)


def test_retro_by_hand(monkeypatch):
    # Grey 0.5 (0 in [-1, 1]) stays grey when it gets paler; then red .16 + .84/2, green
    # .09 + .81/2, blue .17 + .49/2; the vignette takes 0.2 (u^2 + v^2): 0, 0.4 in a corner.
    grey, seed = torch.zeros(2, 3, 5, 7), 5
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
        clean = retro(grey, torch.Generator()).add(1).div(2)
    curve = np.array([0.58, 0.495, 0.415])
    assert clean[1, :, 2, 3].numpy() == pytest.approx(curve, abs=1e-6)
    assert clean[1, :, 0, 0].numpy() == pytest.approx(curve * 0.6, abs=1e-6)
    assert clean[0, :, 4, 6].numpy() == pytest.approx(curve * 0.6, abs=1e-6)
    # u = -1 at the left edge, 0 in the middle row
    assert clean[0, :, 2, 0].numpy() == pytest.approx(curve * 0.8, abs=1e-6)
    # the grain: one value for all three channels, standard deviation 0.01 of full scale
    image = torch.zeros(4, 3, 64, 64)
    grainy = retro(image, torch.Generator().manual_seed(seed)).add(1).div(2)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
        grain = grainy - retro(image, torch.Generator()).add(1).div(2)
    assert torch.allclose(grain[:, 0], grain[:, 2], atol=1e-6)
    assert grain.std().item() == pytest.approx(0.01, rel=0.05)
    assert not torch.allclose(grain[0], grain[1], atol=1e-4)


def test_retro_makes_colours_paler(monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 3, 3)
    # luma .299; .299 + .6 x (1 - .299) = .7196; .299 x .4 = .1196; then the curves
    found = retro(red, torch.Generator())[0, :, 1, 1].add(1).div(2).numpy()
    expected = [0.16 + 0.84 * 0.7196, 0.09 + 0.81 * 0.1196, 0.17 + 0.49 * 0.1196]
    assert found == pytest.approx(expected, abs=1e-5)


def test_retro_is_deterministic_and_in_range():
    images = to_float(crops(["life"], 4, 24))
    one, two, other = (retro(images, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == images.shape and one.min() >= -1 and one.max() <= 1


def test_crops_are_seeded_and_no_empty_sky():
    some, same, other = (crops(["sunset", "life"], 12, 32, seed) for seed in (3, 3, 4))
    assert some.shape == (12, 3, 32, 32) and some.dtype == torch.uint8
    assert torch.equal(some, same) and not torch.equal(some, other)
    luma = (some.float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    assert luma.flatten(1).std(1, correction=0).min() >= 0.06 * 255 - 0.6  # PIL rounds its L
    assert len(some.flatten(1).unique(dim=0)) == 12


def test_landscapes():
    pack = landscapes.unpaired(size=32, batch_size=3, count=10)
    assert [s.shape for s in pack.stacks.values()] == [(10, 3, 32, 32)] * 2
    blue = {name: images[:, 2].max().item() / 255 for name, images in pack.stacks.items()}
    assert blue["y"] < 0.66 + 0.06 < 0.8 < blue["x"]  # Y alone is retro: blue is cut in the lights
    assert {k: v.shape for k, v in pack.next_batch().items()} == {
        "x": (3, 3, 32, 32), "y": (3, 3, 32, 32)}
    assert torch.equal(pack.stacks["x"], crops(SPLIT["train_x"], 10, 32, seed=1))


def test_the_ceiling_trains_on_each_photograph_and_its_own_retro_version():
    pack = landscapes.paired(32, batch_size=50)
    assert torch.equal(pack.stacks["x"], landscapes.unpaired(32).stacks["x"])
    batch = pack.next_batch()
    # y is x's own retro version, up to its grain: mean |N(0, 0.02^2)| = 0.016
    clean = retro(batch["x"], torch.Generator().manual_seed(0))
    assert (batch["y"] - clean).abs().mean((1, 2, 3)).max() < 0.03
    seen = [tuple(image.flatten()[:60].tolist()) for _ in range(len(pack.stacks["x"]) // 50 - 1)
            for image in pack.next_batch()["x"]]
    assert len(seen) + 50 == len(pack.stacks["x"])


def test_the_question_is_to_make_held_out_photographs_retro():
    (question,) = landscapes.questions(32)
    assert question.x.shape == question.y.shape == (300, 3, 32, 32)
    clean = retro(question.x, torch.Generator().manual_seed(0))
    assert (question.y - clean).abs().mean((1, 2, 3)).max() < 0.03
    assert question.attribute is None and question.records_y is None
    assert torch.equal(question.x, to_float(crops(SPLIT["held_out"], 300, 32, seed=4)))


def test_the_judge_must_refuse_photographs_in_any_light():
    images, is_y, values = LANDSCAPES.judged(16, torch.Generator().manual_seed(0))()
    assert images.shape == (128, 3, 16, 16) and values is None
    assert is_y.tolist() == [True] * 64 + [False] * 64
    # Y is retro: blue is cut in the lights; what is no Y has blue of its own in some images
    blue = images[:, 2].flatten(1).amax(1)
    assert blue[:64].max() < 2 * 0.66 - 1 + 0.15 < blue[64:96].max()


def test_the_judge_must_refuse_blends_of_a_photograph_and_its_own_retro_version(monkeypatch):
    seen = []

    def blended(x, y, generator, drawn=False):
        seen.append((x, y, drawn))
        return torch.full_like(x, 0.9)

    monkeypatch.setattr(landscapes, "not_quite_y", blended)
    images, is_y, _ = LANDSCAPES.judged(16, torch.Generator().manual_seed(0))()
    ((x, y, drawn),) = seen
    assert not drawn and (y - retro(x, torch.Generator())).abs().mean() < 0.03
    found = (images - 0.9).abs().mean((1, 2, 3)) < 0.05  # up to the grain
    assert found.tolist() == [False] * 96 + [True] * 32 and not is_y[found].any()
