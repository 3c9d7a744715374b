"""A fresh classifier's verdict: half where nothing differs, 1 where everything does."""

from statistics import mean

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gantutor.evaluate import two_sample
from gantutor.evaluate.two_sample import style, told_apart
from gantutor.vgg import vgg_features


def scenes(n=60, seed=0):
    """(N, 3, 16, 24): a horizon, anywhere, between two colours of any kind."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(n, 3, 16, 24)
    for image in images:
        above, below = torch.rand(2, 3, 1, 1, generator=generator) * 1.2 - 0.6
        row = int(torch.randint(3, 13, (), generator=generator))
        image[:, :row], image[:, row:] = above, below
    return images


def grain(images, amount, seed):
    return images + amount * torch.randn(images.shape,
                                         generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------- style


def test_style_is_means_and_deviations_of_colours_and_of_vgg_channels():
    images = grain(scenes(3), 0.1, 1)
    seen = vgg_features("text", "relu1_2")(images).numpy()
    found = style(images)
    assert found.shape == (3, 3 + 3 + 64 + 64)
    expected = np.concatenate([s(h.reshape(3, h.shape[1], -1), axis=2, **more)
                               for h in (images.numpy(), seen)
                               for s, more in ((np.mean, {}), (np.std, {"ddof": 1}))], 1)
    expected /= np.sqrt((expected**2).mean(1, keepdims=True))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)
    assert not found.requires_grad
    torch.testing.assert_close(style(images[1:2]), found[1:2])  # each image by itself


# ------------------------------------------------------------------- the area


def test_the_area_under_the_curve_by_hand():
    """One feature, trained so that larger is more real; then counted pair by pair."""
    fake, real = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    tested = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0], [2.0]])
    # real above fake: 1 > 0, 3 > 0, 3 > 2, 2 > 0; 2 = 2 counts a half; 1 < 2: 4.5 of 6
    area = two_sample._area(*(s.double() for s in (fake, real, *tested)), ridge=1.0)
    assert area == pytest.approx(0.75)
    turned = two_sample._area(*(s.double() for s in (real, fake, *tested)), ridge=1.0)
    assert turned == pytest.approx(0.25)  # a classifier can be wrong, too


def test_where_nothing_differs_it_guesses():
    images = scenes()
    assert told_apart(images, images.clone()) == pytest.approx(0.5)
    areas = [told_apart(grain(scenes(seed=k), 0.1, k), grain(scenes(seed=k), 0.1, 100 + k))
             for k in range(8)]
    assert mean(areas) == pytest.approx(0.5, abs=0.07)
    assert all(0.3 < area < 0.7 for area in areas)


@pytest.mark.parametrize("change", [
    lambda x: x - torch.tensor([0.0, 0.0, 1.2]).view(3, 1, 1),                       # a cast
    lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1),  # a blur
    lambda x: grain(x, 0.1, 5)])                                                    # a texture
def test_where_everything_differs_it_is_never_wrong(change):
    images = grain(scenes(), 0.02, 1)
    assert told_apart(change(images), images) > 0.99
    assert told_apart(images, change(images)) > 0.99


def test_a_little_is_told_apart_a_little():
    images = grain(scenes(80), 0.1, 1)
    areas = [told_apart(grain(scenes(80), amount, 51), images) for amount in (0.1, 0.11, 0.15)]
    assert areas[0] < 0.65 < areas[1] < 0.95 < areas[2]


def test_what_the_images_show_does_not_matter():
    """Night in the first ten scenes of twenty, day in the others, the same in both sets."""
    night = (torch.arange(60) // 10 % 2 == 0).view(-1, 1, 1, 1)
    images = scenes() + torch.where(night, -0.4, 0.4)
    same = told_apart(grain(images, 0.1, 1), grain(images, 0.1, 2))
    assert same == pytest.approx(0.5, abs=0.15)
    # ... and what differs is still found, although it is much smaller
    assert told_apart(grain(images, 0.1, 1) + 0.05, grain(images, 0.02, 2)) > 0.9


def test_it_is_tested_on_other_images_than_it_was_trained_on(monkeypatch):
    """With as many features as images, a classifier knows its own images by heart."""
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(two_sample, "style", lambda images: images.flatten(1))
    fake, real = torch.randn(2, 40, 3, 8, 10, generator=generator)
    assert told_apart(fake, real, ridge=1e-6) == pytest.approx(0.5, abs=0.15)
    asked, usual = [], two_sample._area
    monkeypatch.setattr(two_sample, "_area", lambda *sets: asked.append(sets[:4]) or usual(*sets))
    told_apart(fake, real)
    first = torch.tensor([*range(10), *range(20, 30)])  # ten by ten
    other = first + 10
    for sets, halves in zip(asked, ((first, other), (other, first)), strict=True):
        for found, (images, half) in zip(sets, [(s, h) for h in halves for s in (fake, real)],
                                         strict=True):
            assert torch.equal(found.float(), images[half].flatten(1))


def test_sets_that_are_too_small_or_of_two_sizes_are_refused():
    images = scenes(20)
    with pytest.raises(ValueError, match="at least 20 images, found 20 and 19"):
        told_apart(images, images[:19])
    with pytest.raises(ValueError, match="equally large.*found 19 and 19"):
        told_apart(images[:19], images[:19])
    assert told_apart(images, images) == pytest.approx(0.5)
