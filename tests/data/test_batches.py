"""Batches are unpaired, every image once an epoch, and a state goes on where it was."""

from collections import Counter

import numpy as np
import pytest
import torch

from gantutor.data import Labelled, Unpaired, to_float, to_uint8
from gantutor.data.batches import EditedPairs, Paired, content_digest


def stack(n, size=4, seed=0):
    """uint8 images that carry their index in every pixel of the first channel."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, size, size + 2), generator=generator).to(torch.uint8)
    images[:, 0] = torch.arange(n).view(n, 1, 1).to(torch.uint8)
    return images


def indices(images):
    return to_uint8(images)[:, 0, 0, 0].tolist()


def test_batches_are_float_images():
    batch = Unpaired(stack(9), stack(7, seed=1), batch_size=3).next_batch()
    assert set(batch) == {"x", "y"}
    for images in batch.values():
        assert images.dtype == torch.float32 and images.shape == (3, 3, 4, 6)
        assert -1 <= images.min() < -0.9 and 0.9 < images.max() <= 1


def test_every_epoch_is_a_permutation_of_each_domain():
    x, y = stack(12), stack(20, seed=1)
    pack = Unpaired(x, y, batch_size=4)
    drawn = {"x": [], "y": []}
    for _ in range(15):
        for name, images in pack.next_batch().items():
            drawn[name] += indices(images)
    for name, n in (("x", 12), ("y", 20)):
        epochs = [drawn[name][k:k + n] for k in range(0, 60, n)]
        assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_images_are_not_changed_on_their_way():
    x = stack(5)
    pack = Unpaired(x.clone(), stack(5, seed=1), batch_size=5)
    images = pack.next_batch()["x"]
    assert torch.equal(to_uint8(images), x[indices(images)])
    assert torch.equal(pack.stacks["x"], x)


def test_flip_mirrors_some_images_left_to_right():
    x = stack(8)
    pack = Unpaired(x, stack(8, seed=1), batch_size=8, flip=True)
    seen = Counter()
    for _ in range(10):
        images = to_uint8(pack.next_batch()["x"])
        for image in images:
            original = x[image[0, 0, 0].item()]
            mirrored = torch.equal(image, original.flip(-1)) and not torch.equal(image, original)
            assert mirrored or torch.equal(image, original)
            seen[mirrored] += 1
    assert 20 < seen[True] < 60 and sum(seen.values()) == 80


def test_x_and_y_are_drawn_without_regard_to_each_other():
    n = 200
    pack = Unpaired(stack(n), stack(n, seed=1), batch_size=8)
    pairs = []
    for _ in range(250):  # ten epochs
        batch = pack.next_batch()
        pairs += zip(indices(batch["x"]), indices(batch["y"]), strict=True)
    a, b = np.array(pairs).T
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.08  # 2,000 pairs: standard deviation 0.022
    assert (a == b).mean() < 0.02               # chance: 0.005; same-index pairing: 1


def test_seeds():
    def first(seed):
        return Unpaired(stack(50), stack(50, seed=1), 8, seed).next_batch()["x"]

    assert torch.equal(first(3), first(3)) and not torch.equal(first(3), first(4))


def test_a_state_continues_identically():
    x, y = stack(10), stack(13, seed=1)
    pack = Unpaired(x, y, batch_size=4, seed=1, flip=True)
    for _ in range(4):
        pack.next_batch()
    state = pack.state_dict()
    later = [pack.next_batch() for _ in range(9)]
    again = Unpaired(x, y, batch_size=4, seed=99, flip=True)
    again.next_batch()
    again.load_state_dict(state)
    for batch in later:
        other = again.next_batch()
        assert torch.equal(batch["x"], other["x"]) and torch.equal(batch["y"], other["y"])


def test_unusable_stacks_are_refused():
    good = stack(8)
    with pytest.raises(ValueError, match="y: 3 images are fewer than a batch of 8"):
        Unpaired(good, stack(3), batch_size=8)
    with pytest.raises(ValueError, match="x: expected uint8.*float32"):
        Unpaired(to_float(good), good)
    with pytest.raises(ValueError, match=r"y: expected.*\(8, 4, 6, 3\)"):
        Unpaired(good, good.permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match=r"x: expected.*\(3, 4, 6\)"):
        Unpaired(good[0], good)
    with pytest.raises(ValueError, match="one size"):
        Unpaired(good, stack(8, size=5))


def test_uint8_round_trip_is_exact():
    every = torch.arange(256).to(torch.uint8).repeat(3).view(1, 3, 16, 16)
    floats = to_float(every)
    assert (floats.min(), floats.max()) == (-1, 1) and torch.equal(to_uint8(floats), every)
    assert to_uint8(torch.tensor([-3.0, -1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]
    assert every.sum() == torch.arange(256).sum() * 3  # to_float works on a copy


# ------------------------------------------------------------ labelled, paired


def toy_set(n, first):
    images = torch.zeros(n, 3, 4, 6, dtype=torch.uint8)
    images += (torch.arange(n) + first).to(torch.uint8).view(-1, 1, 1, 1)
    return images, (torch.arange(n) + first).float().view(-1, 1)


def test_labelled_gives_every_picture_once_an_epoch_with_its_own_code_and_resumes():
    sets = [toy_set(6, 0), toy_set(4, 100)]
    batches = Labelled(sets, batch_size=4, seed=1)
    seen = [batches.next_batch() for _ in range(3)]
    for batch in seen:
        assert torch.equal(to_uint8(batch["x"])[:, 0, 0, 0].float(), batch["code"][:, 0])
    first = torch.cat([b["code"][:2, 0] for b in seen])
    assert sorted(first.tolist()) == [0, 1, 2, 3, 4, 5]
    state = batches.state_dict()
    following = batches.next_batch()
    other = Labelled(sets, batch_size=4, seed=9)
    other.load_state_dict(state)
    again = other.next_batch()
    assert all(torch.equal(following[k], again[k]) for k in following)


def test_labelled_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="batch_size=5: expected a multiple of 2 sets"):
        Labelled([toy_set(6, 0), toy_set(6, 0)], 5)
    with pytest.raises(ValueError, match="set 1: 3 images and 3 codes.*at least 4"):
        Labelled([toy_set(6, 0), toy_set(3, 0)], 8)
    with pytest.raises(ValueError, match="set 0: 6 images and 5 codes"):
        Labelled([(toy_set(6, 0)[0], toy_set(5, 0)[1])], 2)


def both_ways(images, originals):
    """For each image whether it is the mirrored original of its index; it must be one of both."""
    mirrored = []
    for image in to_uint8(images):
        original = originals[image[0, 0, 0].item()]
        turned = torch.equal(image, original.flip(-1)) and not torch.equal(image, original)
        assert turned or torch.equal(image, original)
        mirrored.append(turned)
    return mirrored


def test_labelled_images_are_mirrored_where_that_is_asked_for():
    images = stack(8)
    codes = torch.arange(8).float().view(-1, 1)
    for flip, least, most in ((True, 20, 60), (False, 0, 0)):
        batches = Labelled([(images, codes)], batch_size=8, flip=flip)
        mirrored = [turned for _ in range(10)
                    for turned in both_ways(batches.next_batch()["x"], images)]
        assert least <= sum(mirrored) <= most


def test_pairs_stay_pairs_also_where_they_are_mirrored():
    x, y = stack(8), stack(8, seed=1)
    batches, mirrored = Paired(x, y, batch_size=4, flip=True), []
    for _ in range(20):
        batch = batches.next_batch()
        assert indices(batch["x"]) == indices(batch["y"])
        turned = both_ways(batch["x"], x)
        assert turned == both_ways(batch["y"], y)
        mirrored += turned
    assert 20 < sum(mirrored) < 60
    with pytest.raises(ValueError, match="8 images x and 9 images y: expected pairs"):
        Paired(x, stack(9), batch_size=4)


def test_edited_pairs_are_mirrored_together():
    x, y = stack(8), stack(8, seed=1)
    batches = EditedPairs([(torch.cat([x, y], 1), torch.zeros(8, 1))], batch_size=4, flip=True)
    mirrored = []
    for _ in range(20):
        batch = batches.next_batch()
        assert batch["x"].shape == batch["y"].shape == (4, 3, 4, 6)
        turned = both_ways(batch["x"], x)
        assert turned == both_ways(batch["y"], y)
        mirrored += turned
    assert 20 < sum(mirrored) < 60


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "4", None, True])
def test_a_batch_size_is_a_whole_number(batch_size):
    with pytest.raises(ValueError, match=f"batch_size={batch_size!r}: expected a whole number"):
        Unpaired(stack(8), stack(8), batch_size)
    with pytest.raises(ValueError, match="batch_size"):
        Labelled([(stack(8), torch.zeros(8, 1))], batch_size)


def test_a_batch_size_of_numpys_is_one_as_well():
    batches = Unpaired(stack(8), stack(8), np.int64(4))
    assert len(batches.next_batch()["x"]) == 4
    assert type(batches.fingerprint()["batch_size"]) is int


def test_the_fingerprint_is_that_of_the_images():
    """Another picture, count, batch size or flip is another run; seed and position are not."""
    def fingerprint(x, batch_size=4, seed=0, flip=False, steps=0):
        batches = Unpaired(x, stack(9, seed=1), batch_size, seed, flip)
        for _ in range(steps):
            batches.next_batch()
        return batches.fingerprint()

    x = stack(8)
    other = x.clone()
    other[5, 2, 3, 1] += 1
    first = fingerprint(x)
    assert fingerprint(x.clone(), seed=3, steps=2) == first
    for changed in (fingerprint(other), fingerprint(x[:7]), fingerprint(x, 2),
                    fingerprint(x, flip=True)):
        assert changed != first
    codes = torch.zeros(8, 2)
    labelled = Labelled([(x, codes)], 4).fingerprint()
    assert Labelled([(x, codes + 1)], 4).fingerprint() != labelled != first
    assert content_digest(x.permute(0, 1, 3, 2)) != content_digest(x)
