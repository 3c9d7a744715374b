"""The rows that a method has to beat: each does what it says on images whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from gantutor.data.batches import Unpaired, to_float, to_uint8
from gantutor.data.packs import Pack, Question
from gantutor.evaluate import do_nothing, panel
from gantutor.evaluate.references import (
    colour_map,
    colour_map_and_mean_image,
    colour_statistics,
    nearest_y,
    random_y,
    references,
)

# Symmetric and positive: one of the maps that colour_map can find.
MIX = torch.tensor([[0.5, 0.1, 0.0], [0.1, 0.6, -0.1], [0.0, -0.1, 0.4]])
SHIFT = torch.tensor([0.1, -0.2, 0.05])


def images(n, seed, height=6, width=9):
    """(N, 3, H, W), correlated colours far from -1 and 1, so that nothing is clipped."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(n, 1, height, width, generator=generator)
    own = torch.randn(n, 3, height, width, generator=generator)
    scale = torch.tensor([0.05, 0.08, 0.04]).view(3, 1, 1)
    return scale * (base + own) + torch.tensor([0.1, -0.1, 0.05]).view(3, 1, 1)


def mixed(x, matrix=MIX, shift=SHIFT):
    """Each colour through one linear map."""
    return torch.einsum("ij,njhw->nihw", matrix, x) + shift.view(3, 1, 1)


def pixels(x):
    """(N H W, 3) float64 colours, for numpy."""
    return x.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()


# ------------------------------------------------------------- six numbers


def test_colour_statistics_give_x_the_mean_and_deviation_of_y():
    x, y = images(8, 0), mixed(images(10, 1))
    found = pixels(colour_statistics(x, y)(x))
    np.testing.assert_allclose(found.mean(0), pixels(y).mean(0), atol=1e-5)
    np.testing.assert_allclose(found.std(0, ddof=1), pixels(y).std(0, ddof=1), rtol=1e-4)


def test_colour_statistics_by_hand():
    # Red 0 and 0.4 to red 0.1 and 0.2: a quarter of the contrast about the means 0.2 and 0.15.
    x, y = torch.zeros(2, 3, 2, 4), torch.zeros(2, 3, 2, 4)
    x[1], y[0], y[1] = 0.4, 0.1, 0.2
    translate = colour_statistics(x, y)
    asked = torch.full((2, 3, 1, 2), 0.8)  # 0.15 + (0.8 - 0.2) / 4
    assert translate(asked).flatten().tolist() == pytest.approx([0.3] * 12, abs=1e-5)
    assert translate(torch.full((2, 3, 1, 2), 9.0)).max() == 1  # the range of images


# ----------------------------------------------------------- twelve numbers


def matrix_of(translate):
    """The linear map that acts on colours."""
    steps = torch.cat([torch.zeros(1, 3), 0.1 * torch.eye(3)]).view(4, 3, 1, 1)
    zero, *columns = translate(steps).flatten(1)
    return torch.stack([(column - zero) / 0.1 for column in columns], 1).double()


def test_colour_map_gives_x_the_mean_and_covariance_of_y():
    x, y = images(8, 0), mixed(images(10, 1)) ** 2 + 0.1
    found = pixels(colour_map(x, y)(x))
    np.testing.assert_allclose(found.mean(0), pixels(y).mean(0), atol=1e-5)
    np.testing.assert_allclose(np.cov(found.T), np.cov(pixels(y).T), rtol=1e-3, atol=1e-7)


def test_colour_map_is_symmetric_and_positive_so_it_moves_colours_least():
    x, y = images(8, 0), mixed(images(10, 1), MIX @ MIX + torch.tensor([0.1, 0, 0]))
    translate = colour_map(x, y)
    matrix = matrix_of(translate)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-4)
    assert torch.linalg.eigvalsh(matrix).min() > 0
    # The map by Cholesky factors has the same moments and moves the colours further.
    a, b = (np.linalg.cholesky(np.cov(pixels(s).T)) for s in (x, y))
    other = (pixels(x) - pixels(x).mean(0)) @ (b @ np.linalg.inv(a)).T + pixels(y).mean(0)
    np.testing.assert_allclose(np.cov(other.T), np.cov(pixels(y).T), rtol=1e-4)
    least, further = (((moved - pixels(x)) ** 2).sum(1).mean()
                      for moved in (pixels(translate(x)), other))
    assert least < further - 1e-6


def test_colour_map_finds_a_map_of_its_own_kind():
    x = images(8, 0)
    translate = colour_map(x, mixed(x))
    torch.testing.assert_close(matrix_of(translate), MIX.double(), rtol=0, atol=1e-3)
    other = images(5, 2, 4, 7)
    torch.testing.assert_close(translate(other), mixed(other), rtol=0, atol=1e-4)


def test_where_both_sets_are_the_same_colours_stay():
    x = images(8, 0)
    for make in (colour_map, colour_statistics, colour_map_and_mean_image):
        torch.testing.assert_close(make(x, x)(x), x, rtol=0, atol=1e-4)


def test_translations_keep_to_the_range_of_images():
    x, y = images(8, 0), 4 * images(8, 1)
    for make in (colour_map, colour_statistics, colour_map_and_mean_image):
        found = make(x, y)(6 * x)
        assert found.shape == x.shape and found.min() == -1 and found.max() == 1


def test_the_mean_image_is_that_of_y():
    """A vignette of Y, which no map of colours can draw; more images than go at once."""
    dark = torch.linspace(0, 0.3, 9).expand(3, 6, 9)
    x, y = images(230, 0), mixed(images(150, 1)) - dark
    translate = colour_map_and_mean_image(x, y)
    torch.testing.assert_close(translate(x).mean(0), y.mean(0), rtol=0, atol=1e-4)
    assert (colour_map(x, y)(x).mean(0) - y.mean(0)).abs().max() > 0.1


# ------------------------------------------------------------- real images of Y


def test_random_y_is_a_real_y_and_repeats():
    y, x = images(12, 1), images(40, 0)
    first, same, other = random_y(y), random_y(y), random_y(y, seed=1)
    found = first(x)
    place = [(y - image).flatten(1).abs().amax(1).argmin().item() for image in found]
    assert torch.equal(y[place], found) and len(set(place)) > 6
    assert torch.equal(same(torch.zeros_like(x)), found)  # whatever the input is
    assert not torch.equal(other(x), found) and not torch.equal(first(x), found)


def test_nearest_y_sees_through_a_change_of_every_pixel():
    """Y is X with another brightness and contrast at every pixel of every channel, shuffled."""
    generator = torch.Generator().manual_seed(4)
    x = 5 * images(20, 0)
    gain = 0.5 + torch.rand(3, 6, 9, generator=generator)
    order = torch.randperm(20, generator=generator)
    true = gain * x + torch.randn(3, 6, 9, generator=generator)
    translate = nearest_y(x, true[order])
    assert torch.equal(translate(x), true)
    assert torch.equal(translate(x[7:9]), true[7:9])  # each image by itself


# ------------------------------------------------------------------ all of them

ROWS = ["do nothing", "random real Y", "nearest training Y", "colour statistics (6 numbers)",
        "colour map (12 numbers)", "colour map and mean image"]


@pytest.fixture(scope="module")
def pack():
    """Y is X's colours mixed, and darker on the right: a pack without a judge."""
    dark = torch.linspace(0, 0.2, 20).expand(3, 16, 20)

    def change(x):
        return mixed(x) - dark

    def unpaired(size, batch_size, seed):
        assert size == 16
        return Unpaired(to_uint8(3 * images(400, 0, 16, 20)),
                        to_uint8(change(3 * images(400, 1, 16, 20))), batch_size, seed)

    def questions(size):
        x = to_float(to_uint8(3 * images(24, 2, 16, 20)))
        return [Question(x, change(x))]

    return Pack("dark", 16, unpaired, None, questions)


def test_references_has_every_row_in_order_and_of_the_same_numbers(pack):
    table = references(pack)
    assert list(table) == ROWS
    assert table["do nothing"] == do_nothing(pack)
    numbers = {"hidden-pair L1", "PSNR", "SSIM", "KID x1000", "diversity"}
    assert all(set(row) == numbers for row in table.values())
    error = {name: row["hidden-pair L1"] for name, row in table.items()}
    assert error["colour map and mean image"] < 0.02  # the change is of its own kind
    assert error["colour map and mean image"] < error["colour map (12 numbers)"]
    assert error["colour map (12 numbers)"] < error["colour statistics (6 numbers)"]
    assert error["colour statistics (6 numbers)"] < error["do nothing"]
    # the training images of Y themselves, in range and as varied as the true ones
    for name in ("random real Y", "nearest training Y"):
        assert error[name] > error["colour map (12 numbers)"]
    assert 0.8 < table["random real Y"]["diversity"] < 1.2


def test_an_untrained_network_is_a_row_if_there_is_one(pack):
    net = nn.Conv2d(3, 3, 1)
    table = references(pack, untrained=net)
    assert list(table) == ["do nothing", "untrained network", *ROWS[1:]]
    assert table["untrained network"] == panel(net, pack)
