"""What notebook 08 adds to a method: shuffled colours, a few pairs, a picture twice as large."""

import torch
from torch import nn
from torch.nn import functional as F

from gantutor.data import to_float
from gantutor.losses import rare_detail_loss
from gantutor.methods.common_space import shuffled_colours
from gantutor.models import SmallBlock
from gantutor.ramps import Ramped, late_ramp


class Added(nn.Module):
    """A method with something added. Everything else is the method's own."""

    share = 1.0  # of the run that is over, set by `fit`

    def __init__(self, method):
        super().__init__()
        self.method = method

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("method"), name)

    @property
    def progress(self):
        return self.share

    @progress.setter
    def progress(self, share):
        self.share = share
        if hasattr(self.method, "progress"):
            self.method.progress = share

    def generator_loss(self, batch):
        return self.method.generator_loss(batch)

    def discriminator_loss(self, batch):
        return self.method.discriminator_loss(batch)


class WithShuffledColours(Added, Ramped):
    """Any method, with the shuffling of `common_space.ShuffledColours`, with the same schedule."""

    def __init__(self, method, shuffle=0.5):
        super().__init__(method)
        self.shuffle = shuffle

    def ramps(self):
        return {"shuffle": self.shuffle * (1 - late_ramp(self.share, 0.25, 0.5))}

    def generator_loss(self, batch):
        if self.on("shuffle"):
            batch |= {k: shuffled_colours(batch[k], self.ramp("shuffle")) for k in "xy"}
        return super().generator_loss(batch)


class WithPairs(Added):
    """Any method, and L1 on a few pairs (x, y), uint8 (N, 3, H, W), in every step."""

    def __init__(self, method, x, y, weight=10.0):
        super().__init__(method)
        self.register_buffer("x", to_float(x))
        self.register_buffer("y", to_float(y))
        self.weight = weight

    def generator_loss(self, batch):
        total, parts = super().generator_loss(batch)
        paired = F.l1_loss(self.method.translate(self.x).float(), self.y)
        return total + self.weight * paired, parts | {"pairs": paired.detach()}


class Enlarged(Added):
    """A common space of half the size, and a network `U` that draws its pictures twice as large.

    The method learns on images of half the size, as if `U` were not there. `U` learns on Y alone:
    y in half the size, through E_y and G_y, comes out in full size. No gradient of `U` reaches the
    method. So what a code means is settled on small pictures, and `U` cannot exchange it.
    Growing a picture by a network of its own: Denton et al., "Deep Generative Image Models using a
    Laplacian Pyramid of Adversarial Networks", NeurIPS 2015; here without a discriminator.
    """

    ships = ("E_x", "E_y", "G_x", "G_y", "U")
    back = None  # `U` draws Y only

    def __init__(self, method, width=24, weight=10.0):
        super().__init__(method)
        self.U = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), SmallBlock(width), SmallBlock(width),
            nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2), nn.Tanh())
        self.weight = weight

    def players(self):
        generators, discriminators = self.method.players()
        return [*generators, self.U], discriminators

    def translate(self, x):
        return self.U(self.method.translate(F.avg_pool2d(x, 2)))

    def halved(self, batch):
        """The batch for the method. What was y is then batch["large"]."""
        if "large" not in batch:
            batch |= {"large": batch["y"]} | {name: F.avg_pool2d(batch[name], 2) for name in "xy"}
        return batch

    def generator_loss(self, batch):
        batch = self.halved(batch)
        total, parts = super().generator_loss(batch)
        with torch.no_grad():
            drawn = self.method.G_y(self.method.E_y(batch["y"]))
        large = rare_detail_loss(batch["large"], self.U(drawn))
        return total + self.weight * large, parts | {"large": large.detach()}

    def discriminator_loss(self, batch):
        return super().discriminator_loss(self.halved(batch))
