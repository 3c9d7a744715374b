"""Photographs: who is in which part of which split, the crops, and Y as the change of X."""

import hashlib
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from gantutor.data import (
    AVATARS,
    DIAL,
    INK,
    MONOCHROMES,
    RETRO,
    ink,
    photographs,
    retro,
    to_float,
    to_uint8,
)
from gantutor.data.photographs import PHOTOGRAPHS, crops, split
from gantutor.saving import data_folder

VALIDATION = ("bythewater", "friends", "summer", "life", "onestandsout")
SPLITS = [*range(10), 100]

# --------------------------------------------------------------------- splits


@pytest.mark.parametrize("seed", SPLITS)
def test_no_photograph_is_in_two_parts(seed):
    parts = split(seed)
    assert [len(part) for part in parts] == [10, 10, 5, 5]
    names = list(chain(*parts))
    assert sorted(names) == sorted(PHOTOGRAPHS) and len(set(names)) == 30


def test_the_photographs_of_validation_are_the_same_five_in_every_split_and_nowhere_else():
    assert {split(seed).validation for seed in SPLITS} == {VALIDATION}
    others = {name for seed in SPLITS for part in ("train_x", "train_y", "test")
              for name in getattr(split(seed), part)}
    assert others == set(PHOTOGRAPHS) - set(VALIDATION)


def test_the_splits_of_the_course_are_the_documented_ones():
    """Another permutation of another numpy would be another experiment."""
    assert split(0).test == ("kleiber", "free", "dragonfly", "bridge", "grey")
    assert split(4).train_x == ("dragonfly", "kleiber", "aitzgorri", "cups", "coldripple", "grey",
                                "volna", "eveningglow", "sunset", "path")
    text = repr([tuple(split(seed)) for seed in range(5)])
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "47afea686371a8e8d07c0d3890f52ffe5be9b332ea8bd45d3c0a23848b1746df")
    assert len({split(seed) for seed in SPLITS}) == len(SPLITS)


def test_every_photograph_is_a_file_of_its_own():
    files = {path.stem: path.read_bytes() for path in (data_folder() / "photographs").iterdir()}
    assert set(files) == set(PHOTOGRAPHS) and len(PHOTOGRAPHS) == len(set(PHOTOGRAPHS)) == 30
    assert len(set(files.values())) == 30
    for name in PHOTOGRAPHS:
        picture = photographs.photograph(name)
        assert picture.mode == "RGB" and 200 <= min(picture.size) <= 420, name
        assert picture.width != picture.height, name


def test_no_two_photographs_are_the_same_scene():
    """Their small grey versions are no two alike, mirrored or not."""
    small = {name: np.asarray(photographs.photograph(name).convert("L").resize((16, 16))).astype(
        float) for name in PHOTOGRAPHS}
    flat = {name: (image - image.mean()) / image.std() for name, image in small.items()}
    alike = [(a, b) for a in flat for b in flat if a < b
             and max((flat[a] * flat[b]).mean(), (flat[a][:, ::-1] * flat[b]).mean()) > 0.9]
    assert alike == []


# ---------------------------------------------------------------------- crops


def test_crops_are_seeded():
    some, same, other = (crops(["sunset", "life"], 12, 32, seed) for seed in (3, 3, 4))
    assert some.shape == (12, 3, 32, 32) and some.dtype == torch.uint8
    assert torch.equal(some, same) and not torch.equal(some, other)
    assert len(some.flatten(1).unique(dim=0)) == 12


def test_a_crop_is_most_of_a_photograph_each_has_its_turn_and_half_are_mirrored(monkeypatch):
    """On pictures whose colours say where a pixel is: red its column, green its row, blue whose."""
    def picture(name):
        width, height, blue = {"wide": (240, 100, 50), "tall": (120, 200, 150)}[name]
        pixels = np.full((height, width, 3), blue, np.uint8)
        pixels[..., 0] = np.arange(width)
        pixels[..., 1] = np.arange(height)[:, None]
        return Image.fromarray(pixels)

    monkeypatch.setattr(photographs, "photograph", picture)
    n, size = 400, 20
    found = crops(["wide", "tall"], n, size).numpy().astype(float)
    assert set(found[::2, 2].ravel()) == {50} and set(found[1::2, 2].ravel()) == {150}
    mirrored = found[:, 0, 0, 0] > found[:, 0, 0, -1]
    assert 0.4 < mirrored.mean() < 0.6
    found[mirrored] = found[mirrored, :, :, ::-1]
    # From the middle of a pixel of the crop to that of another it is side / size of the picture.
    inner = slice(5, 15)
    steps = [np.diff(found[:, 0, 10, inner]).mean(1), np.diff(found[:, 1, inner, 10]).mean(1)]
    assert np.abs(steps[0] - steps[1]).max() < 0.25  # square
    sides = (steps[0] + steps[1]) / 2 * size
    for k, short in enumerate((100, 120)):
        shares = sides[k::2] / short
        assert 0.42 < shares.min() < 0.48 and 0.97 < shares.max() < 1.03
        assert shares.mean() == pytest.approx(0.725, abs=0.03)  # all sizes alike
    for channel, length in ((0, 240), (1, 100)):  # and all places that there are
        middle = found[::2, channel].mean((1, 2))
        room = (length - sides[::2]) / 2
        where = (middle - length / 2) / room.clip(1)
        assert np.abs(where[room > 5]).max() < 1.1 and where[room > 5].std() > 0.45


# -------------------------------------------------------------------- batches


def to_change(images, change, seed=0):
    """The change of uint8 images, uint8, with some grain."""
    return to_uint8(change(to_float(images), torch.Generator().manual_seed(seed)))


def apart(a, b):
    """The largest mean difference of two images, in grey levels."""
    return (a.float() - b.float()).abs().mean((1, 2, 3)).max()


def test_unpaired_batches_are_photographs_and_changed_photographs_of_other_places():
    for number in (0, 3):
        batches = photographs.unpaired(32, 3, split=number, count=20)
        x, y = batches.stacks["x"], batches.stacks["y"]
        parts = split(number)
        assert torch.equal(x, crops(parts.train_x, 20, 32, seed=1))
        raw = crops(parts.train_y, 20, 32, seed=2)
        # retro up to its grain: mean |N(0, 2 x .01^2)| of 255 levels is 2.9
        assert apart(y, to_change(raw, retro)) < 5 < apart(y, raw)
        assert {k: v.shape for k, v in batches.next_batch().items()} == {
            "x": (3, 3, 32, 32), "y": (3, 3, 32, 32)}
    drawn = photographs.unpaired(32, 3, change=ink, split=3, count=20).stacks
    assert torch.equal(drawn["x"], x) and torch.equal(drawn["y"], to_change(raw, ink))


def test_the_ceiling_trains_on_each_photograph_and_its_own_changed_version():
    batches = photographs.paired(32, batch_size=6, split=2, count=30)
    assert torch.equal(batches.stacks["x"], crops(split(2).train_x, 30, 32, seed=1))
    seen = [batches.next_batch() for _ in range(5)]
    x, y = (torch.cat([batch[name] for batch in seen]) for name in "xy")
    # mean |N(0, 2 x 0.02^2)| = 0.023 in [-1, 1]
    clean = retro(x, torch.Generator().manual_seed(0))
    assert (y - clean).abs().mean((1, 2, 3)).max() < 0.04
    assert len(x.flatten(1).unique(dim=0)) == 30
    drawn = photographs.paired(32, 6, change=ink, split=2, count=30).next_batch()
    torch.testing.assert_close(drawn["y"], ink(drawn["x"]), rtol=0, atol=0.005)  # 8 bits


@pytest.mark.parametrize("part, seed", [("test", 4), ("validation", 3)])
def test_the_question_is_to_change_the_photographs_of_one_part(part, seed):
    for number in (0, 1):
        (question,) = photographs.questions(32, split=number, part=part)
        x = crops(getattr(split(number), part), 300, 32, seed)
        assert question.x.dtype == question.y.dtype == torch.float32
        assert torch.equal(question.x, to_float(x))
        clean = retro(question.x, torch.Generator().manual_seed(0))
        assert (question.y - clean).abs().mean((1, 2, 3)).max() < 0.04
        assert question.attribute is None and question.records_y is None is question.records_x
    (drawn,) = photographs.questions(32, change=ink, split=1, part=part)
    assert torch.equal(drawn.x, question.x)
    torch.testing.assert_close(drawn.y, ink(drawn.x), rtol=0, atol=0.005)


def test_the_grain_of_no_two_parts_is_the_same():
    seeds = photographs.GRAIN.values()
    assert len(set(seeds)) == len(seeds) == 4
    assert len(set(photographs.SEEDS.values())) == 4


def test_a_change_gets_a_generator_that_goes_on_from_part_to_part():
    grey = torch.full((150, 3, 4, 6), 128, dtype=torch.uint8)
    one, same, other = (photographs.changed(grey, retro, seed) for seed in (1, 1, 2))
    assert one.dtype == torch.uint8 and one.shape == grey.shape
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert not torch.equal(one[:50], one[100:])


# ---------------------------------------------------------------------- packs


def test_retro_and_ink_are_packs_of_split_0():
    for pack, change, name in ((RETRO, retro, "retro"), (INK, ink, "ink")):
        assert (pack.name, pack.size, pack.attributes, pack.judged) == (name, 64, {}, None)
        (asked,), (expected,) = pack.questions(16), photographs.questions(16, change=change)
        assert torch.equal(asked.x, expected.x) and torch.equal(asked.y, expected.y)
        (asked,) = pack.validation(16)
        (expected,) = photographs.questions(16, change=change, part="validation")
        assert torch.equal(asked.x, expected.x) and torch.equal(asked.y, expected.y)
        for given, made in ((pack.unpaired, photographs.unpaired),
                            (pack.paired, photographs.paired)):
            assert given.func is made and given.keywords == {"change": change, "split": 0}


def test_a_pack_of_another_split_shows_its_photographs_at_its_own_size():
    other = RETRO.at(32).split(3)
    assert other.size == 32 and RETRO.split(3).size == 64 and other.name == "retro"
    (question,) = other.questions(32)
    assert torch.equal(question.x, to_float(crops(split(3).test, 300, 32, seed=4)))
    stacks = other.unpaired(16, 4, 0).stacks
    assert torch.equal(stacks["x"], crops(split(3).train_x, 1500, 16, seed=1))
    assert torch.equal(other.paired(16, 4, 0).stacks["x"], stacks["x"])
    assert INK.split(3).questions.keywords == {"change": ink, "split": 3}
    assert RETRO.split(3).split(0) == RETRO  # numbers do not add up


def test_the_same_arguments_give_the_same_pack():
    assert photographs.photographs("retro", retro, 0) is RETRO
    assert RETRO.split(2) == RETRO.split(2) != RETRO.split(1)
    assert RETRO.split(0) == RETRO and RETRO.split(2).at(32) == RETRO.at(32).split(2)
    assert AVATARS.split(7) is AVATARS  # a pack that has one division only


def test_a_pack_on_validation_asks_nothing_of_the_test_photographs():
    chosen = RETRO.on_validation()
    assert chosen.questions is RETRO.validation and chosen.size == 64
    assert chosen.unpaired is RETRO.unpaired and chosen.name == "retro"
    later = RETRO.at(32).on_validation().split(3)  # ... in another split, too
    assert later.size == 32 and later.questions is RETRO.split(3).validation
    assert later.unpaired is RETRO.split(3).unpaired
    assert later.split(1).questions is RETRO.split(1).validation
    assert RETRO.split(3).at(32).on_validation().questions is RETRO.split(3).validation
    alone = RETRO._replace(divide=None).on_validation()
    assert alone.divide is None and alone.split(3) is alone
    (question,) = later.questions(16)
    assert torch.equal(question.x, to_float(crops(VALIDATION, 300, 16, seed=3)))
    with pytest.raises(ValueError, match="monochromes at 32 px: this pack has no validation"):
        MONOCHROMES.on_validation()


# ------------------------------------------------------------------- the dial


def test_the_dial_goes_further_and_further():
    assert list(DIAL) == ["retro x 0", "retro x 0.5", "retro", "retro x 2", "inverted", "ink"]
    assert DIAL["retro"] is RETRO and DIAL["ink"] is INK
    assert all(pack.name == name and pack.judged is None for name, pack in DIAL.items())
    far = {}
    for name, pack in DIAL.items():
        (question,) = pack.questions(16)
        assert torch.equal(question.x, RETRO.questions(16)[0].x)
        far[name] = (question.y - question.x).abs().mean().item()
    assert far["retro x 0"] < 1e-6
    assert far["retro x 0.5"] == pytest.approx(far["retro"] / 2, rel=0.05)
    assert 1.6 < far["retro x 2"] / far["retro"] < 2  # some of it is clipped
    assert far["inverted"] > 1.5 * far["retro"]


@pytest.mark.parametrize("name, change", [
    ("retro x 0.5", partial(retro, strength=0.5)), ("retro x 2", partial(retro, strength=2.0)),
    ("inverted", partial(retro, inverted=True))])
def test_every_position_of_the_dial_is_its_change_in_every_split(name, change):
    for pack, number in ((DIAL[name], 0), (DIAL[name].split(1), 1)):
        (question,) = pack.questions(16)
        assert torch.equal(question.x, to_float(crops(split(number).test, 300, 16, seed=4)))
        clean = change(question.x, torch.Generator().manual_seed(0))
        assert (question.y - clean).abs().mean((1, 2, 3)).max() < 0.07
