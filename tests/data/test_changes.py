"""The changes of the photographs, by hand and against loops in numpy."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gantutor.data import ink, retro, to_float
from gantutor.data.changes import blurred, kuwahara
from gantutor.data.photographs import crops


def noise(*shape, seed=0):
    """Numbers in 0..1."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def no_grain(monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))


def grey(value, *shape):
    """Images in [-1, 1] of one value in 0..1."""
    return torch.full(shape, 2.0 * value - 1)


def colour_at(images, k, i, j):
    """The RGB of one pixel in 0..1."""
    return images[k, :, i, j].add(1).div(2).numpy()


# ---------------------------------------------------------------------- retro

# Grey 0.5 stays grey when it gets paler; then red .16 + .84/2, green .09 + .81/2, blue .17 + .49/2.
FADED = np.array([0.58, 0.495, 0.415])


def test_retro_by_hand(no_grain):
    # The vignette takes 0.2 (u^2 + v^2): 0 in the middle, 0.4 in a corner.
    clean = retro(grey(0.5, 2, 3, 5, 7), torch.Generator())
    assert colour_at(clean, 1, 2, 3) == pytest.approx(FADED, abs=1e-6)
    assert colour_at(clean, 1, 0, 0) == pytest.approx(FADED * 0.6, abs=1e-6)
    assert colour_at(clean, 0, 4, 6) == pytest.approx(FADED * 0.6, abs=1e-6)
    # u = -1 at the left edge, 0 in the middle row; v = -1 at the top, -1/2 in the row below
    assert colour_at(clean, 0, 2, 0) == pytest.approx(FADED * 0.8, abs=1e-6)
    assert colour_at(clean, 0, 1, 3) == pytest.approx(FADED * 0.95, abs=1e-6)


def test_retro_makes_colours_paler(no_grain):
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(2, 3, 3, 5)
    # luma .299; .299 + .6 x (1 - .299) = .7196; .299 x .4 = .1196; then the curves
    expected = [0.16 + 0.84 * 0.7196, 0.09 + 0.81 * 0.1196, 0.17 + 0.49 * 0.1196]
    assert colour_at(retro(red, torch.Generator()), 1, 1, 2) == pytest.approx(expected, abs=1e-5)


def test_the_grain_is_one_value_for_all_channels_and_grows_with_the_strength(monkeypatch):
    image = grey(0.5, 4, 3, 64, 48)
    grainy = [retro(image, torch.Generator().manual_seed(5), strength) for strength in (1.0, 2.0)]
    monkeypatch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
    once, twice = ((found - retro(image, torch.Generator(), strength))[..., 12:36].div(2)
                   for found, strength in zip(grainy, (1.0, 2.0), strict=True))
    assert torch.allclose(once[:, 0], once[:, 2], atol=1e-6)
    assert once.std().item() == pytest.approx(0.01, rel=0.05)  # of full scale
    assert not torch.allclose(once[0], once[1], atol=1e-4)
    at = twice[:, :2].abs() < 0.01  # where nothing is clipped
    torch.testing.assert_close(twice[:, :2][at], 2 * once[:, :2][at], rtol=1e-3, atol=1e-5)


def test_retro_at_strength_0_is_the_photograph():
    images = noise(2, 3, 8, 12) * 2 - 1
    found = retro(images, torch.Generator().manual_seed(1), strength=0.0)
    torch.testing.assert_close(found, images, rtol=0, atol=1e-6)


def test_the_dial_is_a_straight_line_through_the_photograph_and_its_retro_version(no_grain):
    image = grey(0.5, 2, 3, 5, 7)
    half, twice = (retro(image, torch.Generator(), strength) for strength in (0.5, 2.0))
    # from 0.5 half way to the slide, or twice as far: 2 x .58 - .5, 2 x .495 - .5, 2 x .415 - .5
    assert colour_at(half, 1, 2, 3) == pytest.approx([0.54, 0.4975, 0.4575], abs=1e-6)
    assert colour_at(twice, 1, 2, 3) == pytest.approx([0.66, 0.49, 0.33], abs=1e-6)
    # in a corner the slide is .348, .297, .249, and blue 2 x .249 - .5 = -.002 is clipped
    assert colour_at(half, 0, 0, 6) == pytest.approx([0.424, 0.3985, 0.3745], abs=1e-6)
    assert colour_at(twice, 0, 0, 6) == pytest.approx([0.196, 0.094, 0.0], abs=1e-6)


def test_the_slide_of_the_negative_by_hand(no_grain):
    # Grey 0.25 is 0.75 in the negative: .16 + .84 x .75, .09 + .81 x .75, .17 + .49 x .75
    found = retro(grey(0.25, 2, 3, 5, 7), torch.Generator(), inverted=True)
    expected = np.array([0.79, 0.6975, 0.5375])
    assert colour_at(found, 1, 2, 3) == pytest.approx(expected, abs=1e-6)
    assert colour_at(found, 0, 4, 0) == pytest.approx(0.6 * expected, abs=1e-6)
    shades = torch.cat([grey(v, 1, 3, 5, 7) for v in (0.1, 0.9)])
    dark, light = retro(shades, torch.Generator(), inverted=True).mean((1, 2, 3))
    assert dark > light


@pytest.mark.parametrize("setting", [{}, {"strength": 2.0}, {"inverted": True}])
def test_retro_is_deterministic_and_in_range(setting):
    images = to_float(crops(["life"], 4, 24))
    before = images.clone()
    one, two, other = (retro(images, torch.Generator().manual_seed(s), **setting)
                       for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and torch.equal(images, before)
    assert one.shape == images.shape and one.min() >= -1 and one.max() <= 1


# ----------------------------------------------------------- the filters of ink


def blur_by_sums(images, sigma):
    """Every pixel a weighted sum of its neighbours; beyond the rim the rim's pixel. (N, C, H, W)"""
    half = int(3 * sigma + 0.5)
    steps = range(-half, half + 1)
    weights = {(a, b): np.exp(-(a * a + b * b) / (2 * sigma**2)) for a in steps for b in steps}
    h, w = images.shape[2:]
    found = np.zeros(images.shape)
    for (a, b), weight in weights.items():
        rows, columns = np.clip(np.arange(h) + a, 0, h - 1), np.clip(np.arange(w) + b, 0, w - 1)
        found += weight * images[:, :, rows][:, :, :, columns]
    return found / sum(weights.values())


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.7])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_blur_is_a_sum_over_a_gaussian(sigma, channels):
    images = noise(2, channels, 5, 7)
    expected = blur_by_sums(images.double().numpy(), sigma)
    np.testing.assert_allclose(blurred(images, sigma).numpy(), expected, atol=1e-6)


def test_the_blur_preserves_mass_and_has_its_width():
    dot = torch.zeros(2, 3, 41, 47)
    dot[0, :, 20, 23], dot[1, 1, 19, 24] = 1.0, 3.0
    soft = blurred(dot, 3.0).double()
    torch.testing.assert_close(soft.sum((2, 3)), dot.double().sum((2, 3)), rtol=1e-5, atol=1e-6)
    column = torch.arange(47).double()
    variance = (soft[0, 0].sum(0) * (column - 23).square()).sum()
    assert variance.item() == pytest.approx(9, rel=0.05)  # the tails beyond 3 sigma are cut
    flat = torch.full((2, 3, 5, 7), 0.7)
    torch.testing.assert_close(blurred(flat, 2.0), flat)
    assert torch.equal(blurred(flat, 0.1), flat)  # too narrow to reach a neighbour


def kuwahara_by_loops(images, radius):
    """(N, C, H, W): for each pixel four squares by slices, the most even one's mean."""
    n, _, h, w = images.shape
    found = np.zeros(images.shape)
    wide = np.pad(images, ((0, 0), (0, 0), (radius, radius), (radius, radius)), mode="edge")
    for k in range(n):
        for i in range(h):
            for j in range(w):
                squares = [wide[k, :, a:a + radius + 1, b:b + radius + 1]
                           for a in (i, i + radius) for b in (j, j + radius)]
                even = min(squares, key=lambda square: square.var((1, 2)).sum())
                found[k, :, i, j] = even.mean((1, 2))
    return found


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_kuwahara_is_the_loop_over_four_squares(radius):
    images = noise(2, 3, 6, 9, seed=radius)
    expected = kuwahara_by_loops(images.double().numpy(), radius)
    np.testing.assert_allclose(kuwahara(images, radius).numpy(), expected, atol=1e-5)


def test_kuwahara_keeps_an_edge_that_a_mean_would_blur():
    edge = torch.zeros(2, 3, 8, 10)
    edge[..., 5:] = 1.0
    torch.testing.assert_close(kuwahara(edge, 2), edge, rtol=0, atol=1e-6)


# ------------------------------------------------------------------------ ink

PAPER, LUMA = np.array([1.0, 0.97, 0.9]), np.array([0.299, 0.587, 0.114])
FAINT = 1 - 0.85 / (1 + np.exp(1.8))  # the pen where nothing is darker: 60 x -.03 = -1.8


def drawn_flat(colour):
    """What an even colour (RGB in 0..1) becomes."""
    luma = LUMA @ colour
    wash = luma + 0.2 * (colour - luma)
    return PAPER * (0.35 + 0.65 * wash**0.8) * FAINT


def test_an_even_picture_stays_even_and_gets_paper_and_wash():
    colours = np.array([[0.5, 0.5, 0.5], [0.9, 0.2, 0.1], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    flat = torch.tensor(colours).float().mul(2).sub(1).view(4, 3, 1, 1).expand(4, 3, 64, 80)
    found = ink(flat).add(1).div(2)
    for image, colour in zip(found, colours, strict=True):
        expected = torch.tensor(drawn_flat(colour)).float().view(3, 1, 1).expand_as(image)
        torch.testing.assert_close(image, expected, rtol=0, atol=2e-5)


def test_a_dark_line_gets_black_and_a_light_one_does_not():
    light, dark = 0.9, 0.4
    picture = grey(light, 2, 3, 64, 80)
    picture[0, :, :, 40:42] = 2 * dark - 1       # a dark line on a light ground
    picture[1] = 2 * dark - 1
    picture[1, :, :, 40:42] = 2 * light - 1      # and the other way round
    found = ink(picture).add(1).div(2)
    ground = drawn_flat(np.full(3, light)), drawn_flat(np.full(3, dark))
    assert found[0, :, 10:50, 40:42].max() < 0.2 < ground[1].min()  # darker than its own wash
    for k in range(2):  # far from the line nothing happens
        torch.testing.assert_close(found[k, :, 20, 5], torch.tensor(ground[k]).float(), rtol=0,
                                   atol=1e-4)
    assert found[1, :, 10:50, 40:42].min() > ground[1].max()
    assert (found[0, 0, 20] - found[0, 0, 50]).abs().max() < 1e-5  # it is the same all along


def ink_by_sums(images):
    """The whole drawing in numpy, from images in [-1, 1]."""
    scale = min(images.shape[2:]) / 64
    rgb = (images + 1) / 2
    weigh = LUMA.reshape(1, 3, 1, 1)
    luma = (rgb * weigh).sum(1, keepdims=True)
    darker = blur_by_sums(luma, 3.0 * scale) - blur_by_sums(luma, 0.6 * scale)
    pen = 1 / (1 + np.exp(-60 * (darker - 0.03)))
    flat = kuwahara_by_loops(blur_by_sums(rgb, 0.5 * scale), max(1, round(scale)))
    luma = (flat * weigh).sum(1, keepdims=True)
    wash = 0.8 * luma + 0.2 * flat
    drawn = PAPER.reshape(1, 3, 1, 1) * (0.35 + 0.65 * wash**0.8) * (1 - 0.85 * pen)
    return 2 * np.clip(drawn, 0, 1) - 1


@pytest.mark.parametrize("size", [(40, 48), (66, 32)])
def test_ink_is_the_whole_process_in_numpy(size):
    images = F.interpolate(noise(2, 3, 9, 7), size, mode="bicubic").clamp(0, 1) * 2 - 1
    found, expected = ink(images).numpy(), ink_by_sums(images.double().numpy())
    differ = np.abs(found - expected).max(1)
    # Two squares may be even to the last digit; float32 then may take the other one.
    assert np.median(differ) < 1e-5 and (differ > 1e-4).mean() < 0.01


def test_the_same_drawing_at_twice_the_size():
    small = to_float(crops(["life", "coffee", "kleiber"], 3, 64))
    large = F.interpolate(small, scale_factor=2, mode="bilinear")
    expected = F.interpolate(ink(small), scale_factor=2, mode="bilinear")
    change = (large - expected).abs().mean()
    assert (ink(large) - expected).abs().mean() < 0.25 * change


def test_ink_draws_nothing_at_random_and_stays_in_range():
    images = to_float(crops(["life", "rocket"], 4, 24))
    before = images.clone()
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    one, two = ink(images), ink(images, generator)
    assert torch.equal(one, two) and torch.equal(generator.get_state(), state)
    assert torch.equal(images, before)
    assert one.shape == images.shape and one.min() >= -1 and one.max() <= 1
    alone = torch.cat([ink(image[None]) for image in images])
    torch.testing.assert_close(alone, one, rtol=0, atol=1e-5)
