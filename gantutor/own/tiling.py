"""A picture of any height and width through a generator, whole or in tiles that overlap.

A generator without normalisation computes a pixel from its neighbourhood and its coordinates. In
tiles that overlap by this neighbourhood, and that get their true coordinates, it draws the same
picture with little memory. Instance normalisation looks at the whole picture: tiles would get
colours of their own. Such a generator gets the picture whole.
"""

import os
from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.models import PixelGenerator, SmallBlock, SmallGenerator, with_coordinates

TILE = 1024  # px per side; larger pictures are cut. A generator needs some 500 MB for one tile
TILEABLE = (SmallGenerator, PixelGenerator)
BYTES = 18  # of memory per pixel and channel of a ResnetGenerator's width, measured at 1,024 px


def of_planes(net, h):
    """What `net` draws, from h = with_coordinates(x) (N, 5, H, W) or a part of it: (N, 3, H, W).

    net: a SmallGenerator or a PixelGenerator. net(x) is of_planes(net, with_coordinates(x)).
    """
    x = h[:, :3]
    if isinstance(net, PixelGenerator):
        return torch.tanh(x + net.out(net.net(h)))
    seen = h if net.skip else h[:, 3:]
    f = net.out(F.relu(net.mix(torch.cat([net.trunk(h), seen], 1))))
    return torch.tanh(x + f if net.skip else f)


def margin(net):
    """How many pixels beyond a pixel the generator looks at, rounded up to whole cells.

    A convolution of k x k looks k / 2 cells aside. After `downs` halvings a cell has 2^downs
    pixels. Rows and columns of a tile begin where cells of the whole picture begin.
    """
    if isinstance(net, PixelGenerator):
        return 0
    cell, aside = 1, net.out.kernel_size[0] // 2
    for layer in net.trunk:
        if isinstance(layer, SmallBlock):
            aside += cell * sum(conv.kernel_size[0] // 2 for conv in (layer.conv1, layer.conv2))
        elif isinstance(layer, nn.Conv2d):
            aside += cell * (layer.kernel_size[0] // 2)
            cell *= layer.stride[0]
        elif isinstance(layer, nn.Upsample):
            cell //= 2
    step = 2**net.downs
    return -(-(aside + step) // step) * step  # a pixel and its neighbour in one cell


@torch.no_grad()
def draw(net, x, tile=TILE, memory=None):
    """net(x) for one picture x (1, 3, H, W) of any H and W, on the CPU; the same shape.

    H and W are filled up to what the network takes, by repeating the last row and column, and cut
    back. tile: px per side of the tiles of networks that allow it. memory: bytes for those that do
    not, by default what is free. ValueError where a picture needs more, or no network can take it.
    """
    height, width = x.shape[2:]
    multiple, least = (2**net.downs, 1) if isinstance(net, SmallGenerator) else \
        (1, 1) if isinstance(net, PixelGenerator) else (4, 8)
    tall, wide = (-(-max(side, least) // multiple) * multiple for side in (height, width))
    x = F.pad(x, (0, wide - width, 0, tall - height), mode="replicate")
    device = next(net.parameters()).device
    if isinstance(net, TILEABLE) and max(tall, wide) > tile:
        y = _tiled(net, x, max(tile // multiple, 1) * multiple, device)
    else:
        if not isinstance(net, TILEABLE):
            _require_memory(net, tall, wide, device, memory)
        y = net(x.to(device)).cpu()
    return y[:, :, :height, :width]


def _tiled(net, x, tile, device):
    planes, aside, out = with_coordinates(x), margin(net), torch.empty_like(x)
    height, width = x.shape[2:]
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            up, before = max(top - aside, 0), max(left - aside, 0)
            part = planes[:, :, up:top + tile + aside, before:left + tile + aside]
            drawn = of_planes(net, part.to(device)).cpu()
            drawn = drawn[:, :, top - up:, left - before:][:, :, :tile, :tile]
            out[:, :, top:top + tile, left:left + tile] = drawn
    return out


def needed(net, height, width):
    """About how many bytes a ResnetGenerator takes for one picture of these pixels."""
    return height * width * net.c7s1_in.out_channels * BYTES


def free_memory(device):
    """Bytes that are free on a device, or None where nobody says."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with suppress(OSError, ValueError, IndexError):
        text = Path("/proc/meminfo").read_text()
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024
    with suppress(AttributeError, ValueError, OSError):  # macOS: half of what is built in
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return None


def _require_memory(net, height, width, device, memory):
    free = free_memory(device) if memory is None else memory
    if free is not None and needed(net, height, width) > free:
        raise ValueError(
            f"{width} x {height} px need about {needed(net, height, width) / 1e9:.1f} GB at once, "
            f"{free / 1e9:.1f} GB are {'free' if memory is None else 'allowed'} (instance "
            "normalisation allows no tiles); --at PX "
            "translates it smaller and scales the result up")
