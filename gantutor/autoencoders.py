"""Encoders and decoders of two domains, and how much of them is shared.

Images are (N, 3, size, size) in [-1, 1], codes (N, channels, 4, 4) for every size. A code is a
small picture, not a vector. So the networks need not learn *where* something is.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.models import SmallBlock, require_images, with_coordinates


def halvings(size):
    """How often an image of `size` px is halved to 4 px: 3 at 32 px, 4 at 64, 5 at 128.

    ValueError unless size is a power of two and at least 8.
    """
    if size < 8 or size & (size - 1):
        raise ValueError(f"size={size}: expected a power of two, at least 8")
    return size.bit_length() - 3


def with_flag(h, flag):
    """(N, C, H, W) -> (N, C + 1, H, W): adds a plane for the domain, -1 for X and 1 for Y.

    flag=None leaves h as it is, for networks that do not see the domain.
    """
    if flag is None:
        return h
    return torch.cat([h, h.new_full((len(h), 1, *h.shape[2:]), flag)], 1)


class Down(nn.Module):
    """One stage of an encoder: halves height and width, then `blocks` residual blocks."""

    def __init__(self, c_in, c_out, blocks, sees_flag=False):
        super().__init__()
        self.conv = nn.Conv2d(c_in + sees_flag, c_out, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(*[SmallBlock(c_out) for _ in range(blocks)])

    def forward(self, h, flag):
        return F.relu(self.blocks(F.relu(self.conv(with_flag(h, flag)))))


class Up(nn.Module):
    """One stage of a decoder: upsampling by `scale`, a convolution, `blocks` residual blocks."""

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

    def __init__(self, c_in, channels, sees_flag=False):
        super().__init__()
        self.conv = nn.Conv2d(c_in + sees_flag, channels, 3, padding=1)

    def forward(self, h, flag):
        return self.conv(with_flag(h, flag))


class ToImage(nn.Module):
    """The decoder's last stage: (N, c_in, h, w) -> image (N, 3, 2h, 2w) in (-1, 1).

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016. It costs a quarter of a convolution at full size.
    """

    def __init__(self, c_in):
        super().__init__()
        self.conv = nn.Conv2d(c_in + 1, 12, 3, padding=1)

    def forward(self, h, flag):
        return F.pixel_shuffle(self.conv(with_flag(h, flag)), 2).tanh()


class Encoder(nn.Module):
    """x -> code, for one domain. flag: the value of the domain's plane in every stage, or None.

    Input (N, 3, size, size) in [-1, 1]; output (N, channels, 4, 4). The stages see x at
    1 / `shrink` of its size. ValueError for a size that the stages cannot halve.
    """

    def __init__(self, stages, flag=None, shrink=1):
        super().__init__()
        self.stages, self.flag, self.shrink = nn.ModuleList(stages), flag, shrink

    def forward(self, x):
        multiple = self.shrink * 2 ** (len(self.stages) - 1)
        require_images(x, 3, multiple, multiple)
        h = with_coordinates(F.avg_pool2d(x, self.shrink))
        for stage in self.stages:
            h = stage(h, self.flag)
        return h


class Decoder(nn.Module):
    """Code -> image of the domain that the flag names.

    Input (N, channels, 4, 4); output (N, 3, size, size) in (-1, 1).
    """

    def __init__(self, stages, flag):
        super().__init__()
        self.stages, self.flag = nn.ModuleList(stages), flag

    def forward(self, z):
        for stage in self.stages:
            z = stage(z, self.flag)
        return z


def encoder_stages(size=32, channels=8, width=32, sees_flag=False):
    """The stages of one encoder, from image to code: at 32 px, 16 x 16, 8 x 8, 4 x 4, the code.

    sees_flag: every stage gets the domain's flag as one more plane. ValueError as `halvings`.
    """
    widths = [5, width] + [2 * width] * (halvings(size) - 1)
    downs = [Down(before, after, blocks=int(k > 0), sees_flag=sees_flag)
             for k, (before, after) in enumerate(pairwise(widths))]
    return [*downs, ToCode(widths[-1], channels, sees_flag)]


def decoder_stages(size=32, channels=8, width=32):
    """The stages of one decoder, from code to image: at 32 px, 4 x 4, 8 x 8, 16 x 16, the image."""
    widths = [2 * width] * (halvings(size) - 1) + [width]
    ups = [Up(before, after, blocks=1) for before, after in pairwise(widths)]
    return [Up(channels, widths[0], blocks=0, scale=1), *ups, ToImage(width)]


def coders(shared, size=32, channels=8, width=32, encoder_sees_flag=False, encoder_size=None):
    """(E_x, E_y, G_x, G_y) whose stages next to the code are shared.

    shared: (number of shared encoder stages, number of shared decoder stages), or one for both.
    0: nothing. 2: the encoders' last two and the decoders' first two stages are the same modules,
    as in CoGAN (Liu, Tuzel, NeurIPS 2016) and UNIT (Liu, Breuel, Kautz, NeurIPS 2017). All: one
    encoder and one decoder. Only the flag tells this decoder the domain.
    encoder_sees_flag: the encoder gets the flag too. encoder_size: the encoders' input in pixels
    per side, by default `size`. Smaller encoder inputs make the codes agree earlier in training.
    ValueError for a `shared` or an `encoder_size` that is not possible.
    """
    encoder_size = size if encoder_size is None else encoder_size
    if size % encoder_size:
        raise ValueError(f"encoder_size={encoder_size}: expected a divisor of size={size}")
    stages_x, stages_y = (encoder_stages(encoder_size, channels, width, encoder_sees_flag)
                          for _ in range(2))
    draw_x, draw_y = (decoder_stages(size, channels, width) for _ in range(2))
    encoding, decoding = (shared, shared) if isinstance(shared, int) else shared
    for count, stages in ((encoding, stages_x), (decoding, draw_x)):
        if not 0 <= count <= len(stages):
            raise ValueError(f"shared={shared}: expected 0 to {len(stages)} at {size} px")
    stages_y[len(stages_x) - encoding:] = stages_x[len(stages_x) - encoding:]  # E's last stages
    draw_y[:decoding] = draw_x[:decoding]                                      # G's first stages
    flags = (-1.0, 1.0) if encoder_sees_flag else (None, None)
    shrink = size // encoder_size
    return (Encoder(stages_x, flags[0], shrink), Encoder(stages_y, flags[1], shrink),
            Decoder(draw_x, -1.0), Decoder(draw_y, 1.0))


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
