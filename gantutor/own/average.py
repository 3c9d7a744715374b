"""A moving average of the generators, which some find steadier than the last step's weights."""

import copy

import torch
from torch import nn


class Averaged(nn.Module):
    """A method that also keeps the moving average of the networks it ships.

    `fit` trains `method` as ever. The average is part of the training state, so a resumed run
    keeps it. In the first steps it follows faster: at step n the decay is
    min(decay, (1 + n) / (10 + n)). `shipped(averaged)` is what to translate with.
    Yazıcı, Foo, Winkler, Yap, Piliouras, Chandrasekhar, "The Unusual Effectiveness of Averaging in
    GAN Training", ICLR 2019.
    """

    def __init__(self, method, decay=0.999):
        super().__init__()
        self.method, self.decay, self.ships = method, decay, method.ships
        # Copied in one go: layers that two networks share stay shared.
        networks = copy.deepcopy({name: getattr(method, name) for name in method.ships})
        self.average = nn.ModuleDict(networks).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @property
    def progress(self):
        return getattr(self.method, "progress", 1.0)

    @progress.setter
    def progress(self, share):
        if hasattr(self.method, "progress"):
            self.method.progress = share

    def players(self):
        return self.method.players()

    def generator_loss(self, batch):
        self.update()  # with the weights that the step before has left
        return self.method.generator_loss(batch)

    def between(self, batch):
        if hasattr(self.method, "between"):
            self.method.between(batch)

    def discriminator_loss(self, batch):
        return self.method.discriminator_loss(batch)

    @torch.no_grad()
    def update(self):
        """Moves the average a little towards the networks' weights and buffers."""
        share = (9 / (10 + self.updates)).clamp_min(1 - self.decay)  # 1 - decay, on the device
        now = nn.ModuleDict({name: getattr(self.method, name) for name in self.ships})
        for mean, value in zip(self.average.parameters(), now.parameters(), strict=True):
            mean.lerp_(value, share.to(mean.dtype))
        for mean, value in zip(self.average.buffers(), now.buffers(), strict=True):
            mean.copy_(value)
        self.updates += 1


def shipped(method):
    """The method to translate with: of an `Averaged` one its average, else the method itself."""
    if not isinstance(method, Averaged):
        return method
    found = copy.copy(method.method)
    found._modules = found._modules | dict(method.average.items())
    return found
