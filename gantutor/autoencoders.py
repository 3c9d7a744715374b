"""Encoders and decoders of two domains, and how much of them is shared (room: models).

Images are (N, 3, H, W) in [-1, 1], codes (N, c, H/8, W/8) with H = W = 32 (at 64 px the code stays
4 x 4). A code is a small picture, not a vector: *where* something is need not be encoded.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.models import SmallBlock, require_images, with_coordinates

STAGES = 4  # of an encoder, and of a decoder, at 32 px; one more at 64 px


def with_flag(h, flag):
    """(N, C, H, W) -> (N, C + 1, H, W): the domain as one more plane, -1 for X and 1 for Y."""
    return torch.cat([h, h.new_full((len(h), 1, *h.shape[2:]), flag)], 1)


class Down(nn.Module):
    """One stage of an encoder: half the height and width, then `blocks` residual blocks."""

    def __init__(self, c_in, c_out, blocks):
        super().__init__()
        self.conv = nn.Conv2d(c_in + 1, c_out, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(*[SmallBlock(c_out) for _ in range(blocks)])

    def forward(self, h, flag):
        return F.relu(self.blocks(F.relu(self.conv(with_flag(h, flag)))))


class Up(nn.Module):
    """One stage of a decoder: every pixel `scale` times, a convolution, residual blocks."""

    def __init__(self, c_in, c_out, blocks, scale=2):
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(c_in + 1, c_out, 3, padding=1)
        self.blocks = nn.Sequential(*[SmallBlock(c_out) for _ in range(blocks)])

    def forward(self, h, flag):
        h = F.interpolate(h, scale_factor=float(self.scale))
        return F.relu(self.blocks(F.relu(self.conv(with_flag(h, flag)))))


class ToCode(nn.Module):
    """The encoder's last stage: features -> code, without an activation."""

    def __init__(self, c_in, channels):
        super().__init__()
        self.conv = nn.Conv2d(c_in + 1, channels, 3, padding=1)

    def forward(self, h, flag):
        return self.conv(with_flag(h, flag))


class ToImage(nn.Module):
    """The decoder's last stage: four pixels a place, in (-1, 1).

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016: a quarter of the work of a convolution at full size.
    """

    def __init__(self, c_in):
        super().__init__()
        self.conv = nn.Conv2d(c_in + 1, 12, 3, padding=1)

    def forward(self, h, flag):
        return F.pixel_shuffle(self.conv(with_flag(h, flag)), 2).tanh()


class Encoder(nn.Module):
    """x -> code, for one domain: its stages, and the flag that tells them the domain.

    Input (N, 3, size, size) in [-1, 1]; output (N, channels, 4, 4).
    """

    def __init__(self, stages, flag):
        super().__init__()
        self.stages, self.flag = nn.ModuleList(stages), flag

    def forward(self, x):
        require_images(x, 3, 2 ** (len(self.stages) - 1), 2 ** (len(self.stages) - 1))
        h = with_coordinates(x)
        for stage in self.stages:
            h = stage(h, self.flag)
        return h


class Decoder(nn.Module):
    """Code -> image of one domain. Input (N, channels, 4, 4); output in (-1, 1)."""

    def __init__(self, stages, flag):
        super().__init__()
        self.stages, self.flag = nn.ModuleList(stages), flag

    def forward(self, z):
        for stage in self.stages:
            z = stage(z, self.flag)
        return z


def encoder_stages(size=32, channels=8, width=32):
    """The stages of one encoder, the image's first: 16, 8, 4 places a side, then the code."""
    halvings = {32: 3, 64: 4}[size]
    widths = [5, width] + [2 * width] * (halvings - 1)
    downs = [Down(before, after, blocks=int(k > 0))
             for k, (before, after) in enumerate(pairwise(widths))]
    return [*downs, ToCode(widths[-1], channels)]


def decoder_stages(size=32, channels=8, width=32):
    """The stages of one decoder, the code's first: 4, 8, 16 places a side, then the image."""
    doublings = {32: 2, 64: 3}[size]
    widths = [2 * width] * (doublings + 1) + [width]
    ups = [Up(before, after, blocks=1)
           for before, after in pairwise(widths[1:])]
    return [Up(channels, widths[0], blocks=0, scale=1), *ups, ToImage(width)]


def coders(shared, size=32, channels=8, width=32):
    """(E_x, E_y, G_x, G_y) that share their `shared` stages next to the code, 0 to all.

    0: nothing. 2: the encoders' last and the decoders' first two stages are the same modules, as
    in CoGAN (Liu, Tuzel, NeurIPS 2016) and UNIT (Liu, Breuel, Kautz, NeurIPS 2017). All of them:
    one encoder and one decoder, which know the domain by its flag alone.
    ValueError for a `shared` that is not possible.
    """
    first, second = encoder_stages(size, channels, width), encoder_stages(size, channels, width)
    depth = len(first)
    if not 0 <= shared <= depth:
        raise ValueError(f"shared={shared}: expected 0 to {depth} at {size} px")
    second[depth - shared:] = first[depth - shared:]
    draw, draw_y = decoder_stages(size, channels, width), decoder_stages(size, channels, width)
    draw_y[:shared] = draw[:shared]
    return Encoder(first, -1.0), Encoder(second, 1.0), Decoder(draw, -1.0), Decoder(draw_y, 1.0)


class CodeDiscriminator(nn.Module):
    """D_z: which domain does this code come from? Two hidden layers of 128.

    Input (N, channels, h, w); output one score (N, 1), without a sigmoid, high for X's codes.
    """

    def __init__(self, channels=8, places=16, width=128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * places, width), nn.LeakyReLU(0.2),
            nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, z):
        return self.net(z)
