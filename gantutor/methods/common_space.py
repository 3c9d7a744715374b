"""Projection to a common space: two auto-encoders, and four ways to make their codes agree."""

import math

import torch
from torch import nn

from gantutor.losses import (
    bce_discriminator_loss,
    code_consistency_loss,
    cycle_consistency_loss,
    gradient_penalty,
    gradient_reversal,
    kl_loss,
    sampled,
    wgan_discriminator_loss,
    wgan_generator_loss,
)
from gantutor.methods import detached


def domain_ramp(p):
    """2 / (1 + e^(-10 p)) - 1: from 0 to almost 1 while p goes from 0 to 1.

    Ganin, Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015, section 4.
    """
    return 2 / (1 + math.exp(-10 * p)) - 1


def late_ramp(p, start=0.35, end=0.55):
    """0 until p = start, 1 from p = end on, linear between them."""
    return min(1.0, max(0.0, (p - start) / (end - start)))


class VAEGAN(nn.Module):
    """An auto-encoder of one domain; with lambda_kl a VAE; with lambda_gan a VAE-GAN.

    Larsen, Sonderby, Larochelle, Winther, "Autoencoding beyond pixels using a learned similarity
    metric", ICML 2016: D judges what the decoder draws, from codes of images and from codes drawn
    at random. The reconstruction error is taken on pixels here, and D is a Wasserstein critic with
    gradient penalty. Batches hold the images under the key `domain`.
    """

    def __init__(self, E, G, D, domain="y", lambda_rec=10.0, lambda_kl=0.0, lambda_gan=0.0,
                 lambda_gp=10.0):
        super().__init__()
        self.E, self.G, self.D, self.domain = E, G, D, domain
        self.lambda_rec, self.lambda_kl = lambda_rec, lambda_kl
        self.lambda_gan, self.lambda_gp = lambda_gan, lambda_gp

    def players(self):
        return [self.E, self.G], [self.D] if self.lambda_gan else []

    def translate(self, x):
        return self.G(self.E(x))

    def generator_loss(self, batch):
        x = batch[self.domain]
        mu = self.E(x)
        z = sampled(mu) if self.lambda_kl else mu
        self.drawn = self.G(z)
        rec = cycle_consistency_loss(x, self.drawn)
        total, parts = self.lambda_rec * rec, detached(rec=rec)
        if self.lambda_kl:
            kl = kl_loss(mu)
            total, parts = total + self.lambda_kl * kl, parts | detached(kl=kl)
        if self.lambda_gan:
            self.drawn = torch.cat([self.drawn, self.G(torch.randn_like(mu))])
            gan = wgan_generator_loss(self.D(self.drawn))
            total, parts = total + self.lambda_gan * gan, parts | detached(G=gan)
        return total, parts

    def discriminator_loss(self, batch):
        real, fake = batch[self.domain], self.drawn.detach()
        critic = wgan_discriminator_loss(self.D(real), self.D(fake))
        penalty = gradient_penalty(self.D, real, fake[: len(real)])
        return critic + self.lambda_gp * penalty, detached(D=critic, gp=penalty)


class CommonSpace(nn.Module):
    """x -> E_x -> code -> G_y -> y': two auto-encoders and the terms that link their codes.

    With every lambda but lambda_rec at 0 nothing links them but the layers that E_x and E_y, G_x
    and G_y share (`gantutor.autoencoders.coders`; UNIT, CoGAN). Each further term is one remedy:

    lambda_dom  D_z cannot tell E_x(x) from E_y(y)           Lample et al., "Fader Networks", 2017
    lambda_cyc  G_x(E_y(G_y(E_x(x)))) = x, and so for y       Anoosheh et al., "ComboGAN", 2018
    lambda_sem  E_y(G_y(E_x(x))) = E_x(x), and so for y       Royer et al., "XGAN", 2020
    lambda_gan  D_y cannot tell G_y(E_x(x)) from y, and so for x; Wasserstein, gradient penalty

    lambda_kl makes both VAEs with unit variance, as in UNIT: z = mu + noise, KL = mean(mu^2) / 2.
    `steps` is the length of the run that the ramps are laid over: lambda_dom rises as in Ganin and
    Lempitsky, the terms that translate come in after a third of the run, when the codes agree
    roughly: a cycle that closes early holds on to whatever permutation it finds. steps=0: no ramps.
    """

    def __init__(self, E_x, E_y, G_x, G_y, D_x=None, D_y=None, D_z=None, *, lambda_rec=10.0,
                 lambda_kl=0.0, lambda_dom=0.0, lambda_cyc=0.0, lambda_sem=0.0, lambda_gan=0.0,
                 lambda_gp=10.0, steps=0):
        super().__init__()
        self.E_x, self.E_y, self.G_x, self.G_y = E_x, E_y, G_x, G_y
        self.D_x, self.D_y, self.D_z = D_x, D_y, D_z
        self.lambda_rec, self.lambda_kl, self.lambda_dom = lambda_rec, lambda_kl, lambda_dom
        self.lambda_cyc, self.lambda_sem = lambda_cyc, lambda_sem
        self.lambda_gan, self.lambda_gp = lambda_gan, lambda_gp
        self.steps = steps
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # a resumed run's ramps

    def players(self):
        discriminators = [self.D_z] if self.lambda_dom else []
        discriminators += [self.D_x, self.D_y] if self.lambda_gan else []
        return [self.E_x, self.E_y, self.G_x, self.G_y], discriminators

    def translate(self, x):
        return self.G_y(self.E_x(x))

    def back(self, y):
        return self.G_x(self.E_y(y))

    def progress(self):
        """The share of the run that is over, in [0, 1]; 1 without ramps."""
        return min(1.0, self.step.item() / self.steps) if self.steps else 1.0

    def domain_loss(self, z_x, z_y):
        """What the encoders lower: D_z taking each code for the other domain's, label 1 for X."""
        return bce_discriminator_loss(self.D_z(z_y), self.D_z(z_x))

    def generator_loss(self, batch):
        x, y, p = batch["x"], batch["y"], self.progress()
        self.step += 1
        mu_x, mu_y = self.mu_x, self.mu_y = self.E_x(x), self.E_y(y)
        z_x, z_y = self.z_x, self.z_y = [
            sampled(mu) if self.lambda_kl else mu for mu in (mu_x, mu_y)]
        rec = (cycle_consistency_loss(x, self.G_x(z_x)) + cycle_consistency_loss(y, self.G_y(z_y)))
        total, parts = self.lambda_rec * rec, detached(rec=rec)
        if self.lambda_kl:
            kl = kl_loss(mu_x) + kl_loss(mu_y)
            total, parts = total + self.lambda_kl * kl, parts | detached(kl=kl)
        if self.lambda_dom:
            dom = self.domain_loss(z_x, z_y)
            rise = domain_ramp(p) if self.steps else 1.0
            total = total + self.lambda_dom * rise * dom
            parts |= detached(dom=dom)
        late, self.fake_x, self.fake_y = late_ramp(p), None, None
        if late and (self.lambda_gan or self.lambda_cyc or self.lambda_sem):
            self.fake_x, self.fake_y = self.G_x(z_y), self.G_y(z_x)
            more, named = self.translated_loss(x, y)
            total, parts = total + late * more, parts | named
        return total, parts

    def translated_loss(self, x, y):
        """The three terms that need a translation: image discriminators, cycle, semantics."""
        total, parts = 0.0, {}
        if self.lambda_gan:
            gan = wgan_generator_loss(self.D_x(self.fake_x))
            gan = gan + wgan_generator_loss(self.D_y(self.fake_y))
            total, parts = total + self.lambda_gan * gan, parts | detached(gan=gan)
        if not (self.lambda_cyc or self.lambda_sem):
            return total, parts
        again_x, again_y = self.E_y(self.fake_y), self.E_x(self.fake_x)  # x's, y's codes, again
        if self.lambda_cyc:
            cyc = cycle_consistency_loss(x, self.G_x(again_x))
            cyc = cyc + cycle_consistency_loss(y, self.G_y(again_y))
            total, parts = total + self.lambda_cyc * cyc, parts | detached(cyc=cyc)
        if self.lambda_sem:
            sem = (code_consistency_loss(self.mu_x, again_x)
                   + code_consistency_loss(self.mu_y, again_y))
            total, parts = total + self.lambda_sem * sem, parts | detached(sem=sem)
        return total, parts

    def discriminator_loss(self, batch):
        total, parts = 0.0, {}
        if self.lambda_gan and self.fake_y is None:  # nothing to judge yet: D_x and D_y wait
            total = 0.0 * sum(p.sum() for D in (self.D_x, self.D_y) for p in D.parameters())
        if self.lambda_dom and self.D_z in self.players()[1]:
            D_z = bce_discriminator_loss(self.D_z(self.z_x.detach()),
                                         self.D_z(self.z_y.detach()))
            total, parts = total + D_z, parts | detached(D_z=D_z)
        if self.lambda_gan and self.fake_y is not None:
            for name, D, real, fake in (("D_x", self.D_x, batch["x"], self.fake_x.detach()),
                                        ("D_y", self.D_y, batch["y"], self.fake_y.detach())):
                critic = wgan_discriminator_loss(D(real), D(fake))
                penalty = gradient_penalty(D, real, fake)
                total = total + critic + self.lambda_gp * penalty
                parts |= detached(**{name: critic, f"gp_{name}": penalty})
        return total, parts


class ReversedCommonSpace(CommonSpace):
    """The same game for the codes without alternating steps: a gradient reversal layer.

    Ganin, Lempitsky, ICML 2015. D_z is trained by the encoders' own backward pass: it lowers the
    loss, and the sign of its gradient is turned before it reaches the encoders. So the encoders
    raise D_z's loss, where the alternating game lowers that of the swapped labels.
    """

    def players(self):
        generators, discriminators = super().players()
        return [*generators, self.D_z], [D for D in discriminators if D is not self.D_z]

    def domain_loss(self, z_x, z_y):
        return bce_discriminator_loss(self.D_z(gradient_reversal(z_x)),
                                      self.D_z(gradient_reversal(z_y)))
