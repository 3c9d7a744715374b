"""Notebook 02's checks against sums done by hand, and what they say of answers without a name."""

import pytest
import torch

from gantutor.check import vgg


def test_expected_values_by_hand():
    """phi(i) = (i + 1)^2; x is 0.6 and -0.2, the translation 0.3 and 0.5, or 0.5 x + 0.1."""
    off, size = (2.56 - 1.69 + 2.25 - 0.64) / 2, (2.56 + 0.64) / 2
    content = (2.56 - 1.4**2 + 1.0**2 - 0.64) / 2
    zero = torch.zeros((), requires_grad=True)
    assert f"expected {off / size:.4g} " in vgg.perceptual_loss(lambda phi, x, t: zero).reason
    assert f"found 0, expected {content:.4g} " in vgg.frozen_content(lambda p, G, x: zero).reason
    words = vgg.frozen_content.words
    assert all(f"expected {content:.2f}.)" in words[name] for name in ("pixels", "twice"))


def test_the_normalised_picture_by_hand():
    """The image's numbers rise from -1 to 1; the first of green stands at 24 of 143."""
    expected = torch.tensor([(at / 143 - mean) / std for at, mean, std in (
        (0, 0.485, 0.229), (24, 0.456, 0.224), (48, 0.406, 0.225))])
    assert f"expected {expected}." in vgg.normalise(lambda i: torch.zeros(2, 3, 4, 6)).reason


@pytest.mark.parametrize("exercise,answer,words", [
    (vgg.normalise, lambda i: i[:1], "shape (2, 3, 4, 6), found (1, 3, 4, 6)"),
    (vgg.frozen_content, lambda phi, G, x: (vgg.content()(phi, G, x) + vgg.content()(
        phi, G, x).detach()) / 2, "The value is right, but G_xy's gradient is not"),
    (vgg.receptive_fields, (40, 50), "relu2_2: 40 is not right; go backwards"),
    (vgg.receptive_fields, (14, 41), "relu2_2 is right. relu3_3: 41 is not; three"),
    (vgg.best_weight, lambda points, floor: 0.1, "found 0.1, expected 0.3: filter"),
    (vgg.best_weight, lambda points, floor: min(
        (p for p in points if p["panel"]["SSIM"] >= floor),
        key=lambda p: p["panel"]["hidden-pair L1"])["weight"], "float('nan'); your code raised")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict
