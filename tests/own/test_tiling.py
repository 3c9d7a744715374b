"""Pictures of any size: the same size out, and tiles that nobody sees."""

import pytest
import torch
from torch import nn

from gantutor.models import PixelGenerator, ResnetGenerator, SmallGenerator, with_coordinates
from gantutor.own import tiling
from gantutor.own.tiling import draw, margin, of_planes

NETS = {"shallow": lambda: SmallGenerator(6, 0), "medium": lambda: SmallGenerator(6, 2),
        "deep": lambda: SmallGenerator(6, 3, 2), "no skip": lambda: SmallGenerator(4, 1, 3, False),
        "pixel": lambda: PixelGenerator(6, 2)}


def strong(net):
    """Weights with which a pixel depends on all that the network can look at."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=0.1)
    return net.eval().requires_grad_(False)


def picture(height, width):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize("name", NETS)
def test_planes_are_what_the_network_computes_itself(name):
    net, x = strong(NETS[name]()), torch.cat([picture(24, 40), picture(24, 40).flip(3)])
    assert torch.equal(of_planes(net, with_coordinates(x)), net(x))


@pytest.mark.parametrize("name", NETS)
def test_the_margin_is_what_a_pixel_depends_on(name):
    """Measured by changing one pixel: what changes lies within the margin, and not far inside."""
    net, x = strong(NETS[name]()), picture(176, 160)
    reach = 0
    for row, column in ((80, 80), (83, 85), (87, 79), (81, 86)):
        other = x.clone()
        other[0, :, row, column] *= -3
        changed = (net(other) - net(x)).abs().amax((0, 1)) > 0
        rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
        reach = max(reach, row - int(rows.min()), int(rows.max()) - row,
                    column - int(columns.min()), int(columns.max()) - column)
    cell = getattr(net, "downs", 0)
    assert reach <= margin(net) <= reach + 3 * 2**cell


@pytest.mark.parametrize(("name", "height", "width", "tile"), [
    ("shallow", 75, 100, 32), ("medium", 100, 75, 32), ("deep", 131, 97, 64),
    ("no skip", 90, 130, 40), ("pixel", 33, 70, 16), ("medium", 60, 61, 7)])
def test_tiles_give_the_whole_picture(name, height, width, tile):
    net, x = strong(NETS[name]()), picture(height, width)
    whole, tiled = draw(net, x), draw(net, x, tile)
    assert whole.shape == tiled.shape == x.shape
    assert (whole - tiled).abs().max() < 1e-4  # borders of the picture included


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(300, 400), (767, 1023)])
@pytest.mark.parametrize("name", ["medium", "deep"])
def test_no_seams_at_the_sizes_of_the_issue(name, height, width):
    net, x = strong(NETS[name]()), picture(height, width)
    whole, tiled = draw(net, x), draw(net, x, 128)
    assert whole.shape == tiled.shape == x.shape
    assert (whole - tiled).abs().max() < 1 / 255


def test_without_a_margin_there_would_be_seams(monkeypatch):
    net, x = strong(NETS["medium"]()), picture(96, 96)
    monkeypatch.setattr(tiling, "margin", lambda net: 2)
    assert (draw(net, x) - draw(net, x, 32)).abs().max() > 1 / 255


def test_tiles_get_their_true_coordinates(monkeypatch):
    net, x = strong(NETS["pixel"]()), picture(40, 64)
    monkeypatch.setattr(tiling, "with_coordinates", lambda x: with_coordinates(x) * 0.5)
    assert (draw(net, x) - draw(net, x, 16)).abs().max() > 1 / 255


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 50), (17, 23), (40, 8)])
def test_any_size_comes_back_as_it_was(height, width):
    for net in (*NETS.values(), lambda: ResnetGenerator(width=2, blocks=1)):
        y = draw(strong(net()), picture(height, width))
        assert y.shape == (1, 3, height, width) and y.isfinite().all()


def test_what_is_filled_up_is_the_last_row_and_column():
    net, x = strong(NETS["medium"]()), picture(9, 12)
    filled = torch.cat([x, x[:, :, -1:]], 2)
    assert torch.equal(draw(net, x), net(filled)[:, :, :9])


def test_instance_normalisation_says_what_memory_it_needs():
    net, x = ResnetGenerator(width=4, blocks=1), picture(40, 60)
    assert torch.equal(draw(net, x, tile=16), net(x))  # never in tiles
    with pytest.raises(ValueError, match=r"60 x 40 px need about 0\.0 GB at once, 0\.0 GB are "
                                         r"allowed \(instance.*--at PX"):
        draw(net, x, memory=100)
    assert tiling.needed(ResnetGenerator(), 3000, 4000) == pytest.approx(13.8e9, rel=0.01)
    assert tiling.free_memory("cpu") > 1e7
