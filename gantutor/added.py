"""What notebook 08 adds to a method: shuffled colours, a few pairs."""

from torch import nn
from torch.nn import functional as F

from gantutor.data import to_float
from gantutor.methods.common_space import shuffled_colours
from gantutor.ramps import Ramped, late_ramp
from gantutor.recipes import REMEDIES


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

    def __init__(self, method, shuffle=REMEDIES["shuffle"]):
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
