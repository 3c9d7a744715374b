"""CycleGAN: a translation into Y must lead back to the x that it came from."""

import torch

from gantutor.losses import (
    ImagePool,
    cycle_consistency_loss,
    identity_loss,
    lsgan_discriminator_loss,
    lsgan_generator_loss,
)
from gantutor.methods import detached, kept
from gantutor.methods.direct import Direct


class OneWayCycleGAN(Direct):
    """x -> G_xy -> y' -> G_yx -> x again: `Direct` plus the cycle term.

    Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent
    Adversarial Networks", ICCV 2017, the forward half of eq. 3. G_yx has no discriminator here:
    it only has to undo G_xy.
    """

    ships = ("G_xy", "G_yx")

    def __init__(self, G_xy, G_yx, D_y, lambda_cyc=10.0, pool_size=50):
        super().__init__(G_xy, D_y, pool_size)
        self.G_yx, self.lambda_cyc = G_yx, lambda_cyc

    def players(self):
        return [self.G_xy, self.G_yx], [self.D_y]

    def back(self, y):
        return self.G_yx(y)

    def generator_loss(self, batch):
        adversarial, parts = super().generator_loss(batch)  # leaves G_xy(x) in the batch
        cycle = cycle_consistency_loss(batch["x"], self.G_yx(batch["fake_y"]))
        return adversarial + self.lambda_cyc * cycle, parts | detached(cycle_x=cycle)


class CycleGAN(OneWayCycleGAN):
    """Both directions at once, each with its discriminator, its cycle and its identity term.

    Zhu et al., ICCV 2017, eq. 3, and section 5.2 for the identity loss:
    adversarial(G_xy, D_y) + adversarial(G_yx, D_x) + lambda_cyc (|G_yx(G_xy(x)) - x|
    + |G_xy(G_yx(y)) - y| + lambda_idt (|G_xy(y) - y| + |G_yx(x) - x|)), all means.

    lambda_idt multiplies lambda_cyc, as in the authors' code (lambda_cyc=10, lambda_idt=0.5). With
    0 it is left out. Otherwise x and y go through a generator in one batch, so it must not
    normalise over batches.
    """

    def __init__(self, G_xy, G_yx, D_x, D_y, lambda_cyc=10.0, lambda_idt=0.0, pool_size=50):
        super().__init__(G_xy, G_yx, D_y, lambda_cyc, pool_size)
        self.D_x, self.lambda_idt, self.pool_x = D_x, lambda_idt, ImagePool(pool_size)

    def players(self):
        return [self.G_xy, self.G_yx], [self.D_x, self.D_y]

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        if self.lambda_idt:
            fake_y, same_y = self.G_xy(torch.cat([x, y])).split([len(x), len(y)])
            fake_x, same_x = self.G_yx(torch.cat([y, x])).split([len(y), len(x)])
        else:
            fake_y, fake_x = self.G_xy(x), self.G_yx(y)
        batch["fake_y"], batch["fake_x"] = fake_y, fake_x
        G_xy = lsgan_generator_loss(self.D_y(fake_y))
        G_yx = lsgan_generator_loss(self.D_x(fake_x))
        cycle_x = cycle_consistency_loss(x, self.G_yx(fake_y))
        cycle_y = cycle_consistency_loss(y, self.G_xy(fake_x))
        total = G_xy + G_yx + self.lambda_cyc * (cycle_x + cycle_y)
        parts = detached(G_xy=G_xy, G_yx=G_yx, cycle_x=cycle_x, cycle_y=cycle_y)
        if self.lambda_idt:
            identity = identity_loss(y, same_y) + identity_loss(x, same_x)
            total = total + self.lambda_cyc * self.lambda_idt * identity
            parts |= detached(identity=identity)
        return total, parts

    def fakes(self, batch):
        """(fake_x, fake_y): the generators' translations of this batch, detached."""
        return (kept(batch, "fake_x", lambda: self.G_yx(batch["y"])),
                kept(batch, "fake_y", lambda: self.G_xy(batch["x"])))

    def between(self, batch):
        fake_x, fake_y = self.fakes(batch)
        batch["shown_x"], batch["shown_y"] = self.pool_x(fake_x), self.pool_y(fake_y)

    def discriminator_loss(self, batch):
        if "shown_y" not in batch:
            self.between(batch)
        D_x = lsgan_discriminator_loss(self.D_x(batch["x"]), self.D_x(batch.pop("shown_x")))
        D_y = lsgan_discriminator_loss(self.D_y(batch["y"]), self.D_y(batch.pop("shown_y")))
        return D_x + D_y, detached(D_x=D_x, D_y=D_y)
