"""Known changes for `gantutor rehearse`: colour, texture, and a small shift of shapes.

None of them is a change of the course's packs. Each takes images (N, 3, H, W) in [-1, 1] and a
random generator, and returns images of the same shape in [-1, 1].
"""

from functools import partial

import torch
from torch.nn import functional as F

from gantutor.data.changes import luma_of


def dusk(images, generator, strength=1.0):
    """Colour and grain: darker, bluer, less saturated in the lights, noise as of a small sensor."""
    rgb = images.add(1).div(2)
    luma = luma_of(rgb)
    power = rgb.new_tensor([1.9, 1.4, 0.9]).view(3, 1, 1)
    evening = rgb.clamp_min(1e-4) ** power * 0.8 + rgb.new_tensor([0.0, 0.02, 0.1]).view(3, 1, 1)
    evening = luma_of(evening) + (1 - 0.5 * luma) * (evening - luma_of(evening))
    grain = torch.randn(rgb.shape, generator=generator).to(rgb)
    changed = rgb + strength * (evening + 0.02 * grain - rgb)
    return changed.clamp(0, 1).mul(2).sub(1)


def relief(images, generator, height=1.0):
    """Texture: a plate in relief, lit from the upper left; a third of the colour is left.

    The brightness of a picture is its height, times `height`. A slope towards the light, over two
    pixels along the diagonal, is as much brighter than flat ground as it rises.
    """
    rgb = images.add(1).div(2)
    luma = luma_of(rgb)
    wide = F.pad(luma, (1, 1, 1, 1), "replicate")
    slope = wide[..., 2:, 2:] - wide[..., :-2, :-2]
    plate = 0.5 + height * slope + 0.35 * (rgb - luma) + 0.2 * (luma - 0.5)
    return plate.clamp(0, 1).mul(2).sub(1)


def bent(images, generator, amount=0.06):
    """Shape: seen through a lens that magnifies the middle, and a little warmer.

    amount: by how much of half the image's width a point between middle and rim moves.
    """
    h, w = images.shape[2:]
    v = torch.linspace(-1, 1, h).to(images).view(h, 1).expand(h, w)
    u = torch.linspace(-1, 1, w).to(images).view(1, w).expand(h, w)
    radius = (u * u + v * v).sqrt()
    inward = 1 - 4 * amount * (1 - radius.clamp(max=1)).square()
    grid = torch.stack([u * inward, v * inward], -1).expand(len(images), h, w, 2)
    seen = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=True)
    return (seen + images.new_tensor([0.12, 0.02, -0.10]).view(3, 1, 1)).clamp(-1, 1)


# The changes of a rehearsal, from easy to hard.
CHANGES = {"dusk": dusk, "half dusk": partial(dusk, strength=0.5), "relief": relief,
           "lens": bent}
