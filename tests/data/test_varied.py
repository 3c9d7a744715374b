"""The varied avatars: each differs from the usual ones in exactly what it says."""

import pytest
import torch

from gantutor.data import AVATARS, to_float, to_uint8, varied
from gantutor.data.avatars import ATTRIBUTES, records, sheet
from gantutor.evaluate import metrics

GLASSES = list(ATTRIBUTES).index("glasses")


def test_an_outline_is_dark_where_the_right_or_lower_neighbour_differs():
    flat = torch.full((2, 3, 4, 6), 90, dtype=torch.uint8)
    assert torch.equal(varied.outlined(flat), flat)
    flat[1, 2, 1, 3] = 240  # one pixel in one channel
    drawn = varied.outlined(flat)
    changed = (drawn != flat).any(1)
    assert not changed[0].any()
    assert changed[1].nonzero().tolist() == [[0, 3], [1, 2], [1, 3]]
    assert drawn[1, :, 0, 3].tolist() == [30, 30, 30] and drawn[1, :, 1, 3].tolist() == [30, 30, 80]


def test_the_dial_goes_from_colours_to_shapes():
    x = to_float(sheet("hidden_x", 32))
    palette, outline = (pack.questions(32)[0] for pack in varied.RECOLOURED.values())
    assert torch.equal(palette.x, x) and torch.equal(outline.x, x)
    distance = [metrics.l1(question.y, x) for question in (palette, outline)]
    assert 0.05 < distance[0] < distance[1] < metrics.l1(AVATARS.questions(32)[0].y, x)
    # Another palette, the same shapes: where x has one colour, so has y.
    flat = (x[..., 1:] == x[..., :-1]).all(1)
    assert (palette.y[..., 1:] == palette.y[..., :-1]).all(1)[flat].float().mean() > 0.999
    assert torch.equal(outline.y, to_float(varied.outlined(to_uint8(palette.y))))


@pytest.mark.parametrize("pack", varied.RECOLOURED.values(), ids=str)
def test_a_step_of_the_dial_serves_training_ceiling_judge_and_validation(pack):
    batch, pair = pack.unpaired(32, 3, 0).next_batch(), pack.paired(32, 3, 0).next_batch()
    assert batch["x"].shape == batch["y"].shape == (3, 3, 32, 32)
    assert 0.03 < metrics.l1(pair["x"], pair["y"]) < 0.5
    images, is_y, values = pack.judged(32, torch.Generator().manual_seed(0))()
    assert len(images) == len(is_y) == 128 and len(values) == int(is_y.sum()) == 64
    held, chosen = pack.questions(32)[0], pack.on_validation().questions(32)[0]
    assert held.y.shape == chosen.y.shape == (300, 3, 32, 32)
    assert not torch.equal(held.x, chosen.x)
    assert torch.equal(chosen.records_y, records("validation"))


def test_a_texture_lies_on_the_background_of_x_alone():
    plain, rough = sheet("hidden_x", 32), varied.textured("hidden_x")
    where = varied.background(plain)
    changed = (plain != rough).any(1, keepdim=True)
    assert not (changed & ~where).any() and changed[where].float().mean() > 0.9
    pattern = varied.texture(40, 0.3, seed=5)
    torch.testing.assert_close(pattern.mean((2, 3)), torch.zeros(40, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(pattern.std((2, 3)), torch.full((40, 1), 0.3))
    assert (pattern[1:] - pattern[:-1]).abs().mean() > 0.1  # each image has its own
    question, usual = varied.TEXTURED.questions(32)[0], AVATARS.questions(32)[0]
    assert torch.equal(question.y, usual.y) and torch.equal(question.x, to_float(rough))
    stacks = varied.TEXTURED.unpaired(32).stacks
    assert torch.equal(stacks["y"], sheet("train_y", 32))
    assert not torch.equal(varied.TEXTURED.on_validation().questions(32)[0].x, question.x)


def blocks(count, at, height=24, width=30, seed=0):
    """Grey images with a bright block at `at`, each of another brightness: uint8."""
    generator = torch.Generator().manual_seed(seed)
    bright = torch.randint(150, 250, (count, 1, 1, 1), generator=generator)
    images = torch.full((count, 3, height, width), 60)
    images[..., at[0]:at[0] + 6, at[1]:at[1] + 9] = bright
    return images.to(torch.uint8)


@pytest.mark.parametrize("shift", [(3, -1), (-4, 2), (0, 0)])
def test_registration_finds_the_move_without_labels(shift):
    x, y = blocks(5, (9, 10)), blocks(8, (9 + shift[0], 10 + shift[1]), seed=1)
    assert varied.registration(x, y) == shift
    assert torch.equal(varied.moved(x, *shift), blocks(5, (9 + shift[0], 10 + shift[1])))


def test_a_move_repeats_the_rim_and_gives_the_middle_back():
    images = torch.arange(2 * 3 * 5 * 7, dtype=torch.uint8).view(2, 3, 5, 7)
    there = varied.moved(images, 2, -3)
    assert torch.equal(there[..., 2:, :4], images[..., :3, 3:])
    assert torch.equal(there[..., 0, :4], images[..., 0, 3:])  # the old upper row, twice
    assert torch.equal(there[..., 2:, 4], images[..., :3, 6])
    assert torch.equal(varied.moved(images, 0, 0), images)


@pytest.mark.parametrize(("size", "down", "left"), [(32, 3, 1), (64, 6, 3)])
def test_registered_people_are_the_same_people_in_the_place_of_ys(size, down, left):
    stacks, usual = (pack.unpaired(size).stacks for pack in (varied.REGISTERED, AVATARS))
    assert varied.registration(usual["x"], usual["y"]) == (down, -left)
    assert torch.equal(stacks["y"], usual["y"])
    there, here = (..., slice(down, None), slice(-left)), (..., slice(-down), slice(left, None))
    assert torch.equal(stacks["x"][there], usual["x"][here])
    question, before = (pack.questions(size)[0] for pack in (varied.REGISTERED, AVATARS))
    assert torch.equal(question.y, before.y)
    assert torch.equal(question.x[there], before.x[here])
    paired = varied.REGISTERED.paired(size).stacks
    assert torch.equal(paired["x"], stacks["x"]) and not torch.equal(paired["y"], stacks["y"])


def test_some_colours_are_more_frequent_and_nobody_is_in_two_parts():
    people = {part: torch.tensor(varied.unequal_records()[part]) for part in ("train_x", "train_y")}
    apart = [set(map(tuple, part.tolist())) for part in (
        *people.values(), records("held_out"), records("validation"))]
    assert sum(map(len, apart)) == len(set.union(*apart)) == 2 * 1000 + 2 * 300
    for part in people.values():
        for k, (name, count) in enumerate(ATTRIBUTES.items()):
            if count > 2:
                shares = part[:, k].bincount(minlength=count) / len(part)
                assert shares[0] > 2.3 * shares[-1] and (shares.diff() < 0.01).all(), name
    stacks, pairs = varied.UNEQUAL.unpaired(32).stacks, varied.UNEQUAL.paired(32).stacks
    assert len(stacks["x"]) == len(stacks["y"]) == len(pairs["y"]) == 1000
    assert torch.equal(stacks["x"], pairs["x"])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_so_many_of_y_wear_glasses(share):
    glasses = {part: records(part)[:, GLASSES].float() for part in ("train_x", "train_y")}
    pack = varied.glasses_in_y(share)
    for name, part, wanted in (("x", "train_x", 0.5), ("y", "train_y", share)):
        stack = pack.unpaired(32).stacks[name]
        digests = {bytes(image.numpy().tobytes()): k for k, image in enumerate(sheet(part, 32))}
        index = [digests[bytes(image.numpy().tobytes())] for image in stack]
        assert len(set(index)) == 1050
        assert glasses[part][index].mean().item() == pytest.approx(wanted, abs=1e-3)
    pairs = pack.paired(32).stacks
    assert torch.equal(pairs["x"], pack.unpaired(32).stacks["x"])


def test_as_many_frown_in_x_as_in_y():
    mouth = list(ATTRIBUTES).index("mouth")
    for name, part in (("x", "train_x"), ("y", "train_y")):
        stack = varied.frowning(0.7).unpaired(32).stacks[name]
        digests = {bytes(image.numpy().tobytes()): k for k, image in enumerate(sheet(part, 32))}
        index = [digests[bytes(image.numpy().tobytes())] for image in stack]
        assert len(set(index)) == 1600
        assert records(part)[index, mouth].float().mean().item() == pytest.approx(0.7)


def test_a_few_are_the_first():
    stacks, pairs = varied.few(25).unpaired(32).stacks, varied.few(25).paired(32).stacks
    assert torch.equal(stacks["y"], sheet("train_y", 32)[:25])
    assert torch.equal(pairs["y"], sheet("hidden_train", 32)[:25])
    assert varied.few(25).questions is AVATARS.questions
