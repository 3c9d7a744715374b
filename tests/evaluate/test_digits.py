"""The two measures on digits, by hand and on a toy set."""

import numpy as np
import pytest
import torch

from gantutor.data import to_float
from gantutor.evaluate.digits import (
    adaptation_accuracy,
    label_kept,
    train_digit_classifier,
)


def brightness_classifier(x):
    """Hand-made: reads digit d where the mean is nearest to -0.9 + 0.2 d."""
    return -(x.mean((1, 2, 3))[:, None] - (-0.9 + 0.2 * torch.arange(10))).abs()


def grey_digits(labels, size=(8, 6)):
    """uint8 images whose grey spells their label to `brightness_classifier`, H != W."""
    grey = ((torch.tensor(labels) * 0.2 - 0.9 + 1) * 127.5).round().to(torch.uint8)
    return grey.view(-1, 1, 1, 1).expand(-1, 3, *size).contiguous()


def test_label_kept_by_hand():
    labels = [0, 1, 2, 3, 3, 3, 8, 9]
    images, truth = grey_digits(labels), torch.tensor(labels)
    assert label_kept(lambda x: x, images, truth, brightness_classifier) == 1
    constant = label_kept(lambda x: torch.full_like(x, -0.3), images, truth, brightness_classifier)
    assert constant == 3 / 8                        # everything becomes a 3
    assert label_kept(lambda x: -x, images, truth, brightness_classifier) == 0  # d becomes 9 - d
    assert label_kept(lambda x: x, images, 9 - truth, brightness_classifier) == 0
    one_up = label_kept(lambda x: (x + 0.2).clamp(-1, 0.9), images, truth, brightness_classifier)
    assert one_up == 1 / 8                          # only the 9 has no next


def test_label_kept_counts_images_not_batches():
    labels = [1] * 100 + [2] * 50                   # batches of 100 and of 50
    kept = label_kept(lambda x: torch.full_like(x, -0.5), grey_digits(labels),
                      torch.tensor(labels), brightness_classifier)
    assert kept == pytest.approx(1 / 3)


def bars(count, seed, inverted=False):
    """A toy set with H = W = 16: the label's place of ten gets a bright 5 x 3 bar, plus noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = rng.integers(0, 40, (count, 3, 16, 16))
    for image, label in zip(images, labels, strict=True):
        top, left = divmod(int(label), 5)
        image[:, 8 * top + 1: 8 * top + 6, 3 * left: 3 * left + 3] += 200
    images = 255 - images if inverted else images
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)


def test_classifier_learns_is_frozen_and_repeats():
    images, labels = bars(400, 0)
    before = torch.get_rng_state()
    net = train_digit_classifier(images, labels, steps=60, progress=False)
    assert torch.equal(before, torch.get_rng_state())
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    unseen, truth = bars(200, 1)
    logits = net(to_float(unseen))
    assert logits.shape == (200, 10)
    assert (logits.argmax(1) == truth).float().mean() > 0.95
    assert label_kept(lambda x: x, unseen, truth, net) > 0.95
    with torch.no_grad():                           # trains there as well, and to the same weights
        again = train_digit_classifier(images, labels, steps=60, progress=False)
    other = train_digit_classifier(images, labels, steps=1, seed=1, progress=False)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True))
    assert not torch.equal(net[0].weight, other[0].weight)


@pytest.mark.parametrize("size", [(32, 32), (28, 36)])
def test_classifier_takes_other_sizes(size):
    net = train_digit_classifier(grey_digits([1, 2, 3], size), torch.tensor([1, 2, 3]), steps=1,
                                 progress=False)
    assert net(torch.zeros(2, 3, *size)).shape == (2, 10)


def test_classifier_shows_its_progress(capsys):
    train_digit_classifier(*bars(64, 0), steps=2)
    assert "classifier" in capsys.readouterr().err
    train_digit_classifier(*bars(64, 0), steps=2, progress=False)
    assert capsys.readouterr().err == ""


def test_adaptation_accuracy_needs_the_right_translation():
    x, y = bars(400, 0), bars(200, 1, inverted=True)

    def accuracy(translate):
        return adaptation_accuracy(translate, *x, *y, steps=60, progress=False)

    assert accuracy(lambda images: -images) > 0.95
    assert accuracy(None) < 0.5                     # source only
    assert accuracy(lambda images: images.flip(3).neg()) < 0.4  # looks right, labels permuted
    assert torch.equal(x[0], bars(400, 0)[0])       # and the images given are left as they were


@pytest.mark.parametrize("images, labels, message", [
    (torch.zeros(2, 3, 8, 8), torch.zeros(2).long(), "expected uint8 of shape"),
    (torch.zeros(2, 1, 8, 8).byte(), torch.zeros(2).long(), r"found torch.uint8 of shape \(2, 1"),
    (torch.zeros(2, 3, 8, 8).byte(), torch.zeros(3).long(), r"shape \(3,\) for 2 images"),
    (torch.zeros(0, 3, 8, 8).byte(), torch.zeros(0).long(), "at least one"),
    (torch.zeros(2, 3, 8, 8).byte(), torch.tensor([0, 10]), r"in 0\.\.10, expected int64 in 0"),
    (torch.zeros(2, 3, 8, 8).byte(), torch.zeros(2), "torch.float32 in"),
])
def test_wrong_stacks_are_refused(images, labels, message):
    good = grey_digits([1, 2]), torch.tensor([1, 2])
    with pytest.raises(ValueError, match=message):
        train_digit_classifier(images, labels, steps=1, progress=False)
    with pytest.raises(ValueError, match=message):
        label_kept(lambda x: x, images, labels, brightness_classifier)
    with pytest.raises(ValueError, match=message):
        adaptation_accuracy(None, *good, images, labels, steps=1, progress=False)

