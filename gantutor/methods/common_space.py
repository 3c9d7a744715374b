"""Projection to a common space: two auto-encoders, and four ways to make their codes agree."""

import torch
from torch import nn

from gantutor.losses import (
    bce_discriminator_loss,
    bce_generator_loss,
    cycle_consistency_loss,
    gradient_penalty,
    gradient_reversal,
    kl_loss,
    sampled,
    semantic_consistency_loss,
    wgan_discriminator_loss,
    wgan_generator_loss,
)
from gantutor.methods import critics_loss, detached, kept
from gantutor.parallel import draw_rows
from gantutor.ramps import Ramped, domain_ramp, late_ramp


def shuffled_colours(images, share):
    """Reorders red, green and blue in a random `share` of the images, each in its own order.

    images: (N, 3, H, W); returns the same shape. One of the six orders is the old one.
    """
    count, device = len(images), images.device
    orders = draw_rows(torch.rand, count, 3, device=device).argsort(1)
    unchanged = draw_rows(torch.rand, count, device=device) >= share
    orders = torch.where(unchanged[:, None], torch.arange(3, device=device), orders)
    return images.gather(1, orders[:, :, None, None].expand_as(images))


class VAEGAN(nn.Module):
    """An auto-encoder of one domain. With lambda_kl it is a VAE, with lambda_gan a VAE-GAN.

    Larsen, Sonderby, Larochelle, Winther, "Autoencoding beyond pixels using a learned similarity
    metric", ICML 2016. D judges the reconstructions. Three differences: the reconstruction error
    is measured on pixels, D is a Wasserstein critic with gradient penalty, and D does not judge
    pictures from random codes. batch[domain] holds the images (N, 3, H, W).
    """

    ships = ("E", "G")

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

    def code(self, mu):
        """The decoder's input: a sample if there is a KL term, otherwise mu itself."""
        return sampled(mu) if self.lambda_kl else mu

    def generator_loss(self, batch):
        x = batch[self.domain]
        mu = self.E(x)
        batch["drawn"] = drawn = self.G(self.code(mu))
        rec = cycle_consistency_loss(x, drawn)
        total, parts = self.lambda_rec * rec, detached(rec=rec)
        if self.lambda_kl:
            kl = kl_loss(mu)
            total, parts = total + self.lambda_kl * kl, parts | detached(kl=kl)
        if self.lambda_gan:
            gan = wgan_generator_loss(self.D(drawn))
            total, parts = total + self.lambda_gan * gan, parts | detached(G=gan)
        return total, parts

    def discriminator_loss(self, batch):
        real = batch[self.domain]
        fake = kept(batch, "drawn", lambda: self.G(self.code(self.E(real))))
        critic = wgan_discriminator_loss(self.D(real), self.D(fake))
        penalty = gradient_penalty(self.D, real, fake)
        return critic + self.lambda_gp * penalty, detached(D=critic, gp=penalty)


class CoGAN(nn.Module):
    """Two generators with shared first stages draw pairs (x, y) from one z, without paired data.

    Liu, Tuzel, "Coupled Generative Adversarial Networks", NeurIPS 2016, eq. 2: G_x(z) and G_y(z)
    each try to fool their own domain's D. No term compares them. Two differences: a gradient
    penalty keeps D_x and D_y smooth (Fedus et al., "Many Paths to Equilibrium", ICLR 2018), and
    they share no layers. There is no encoder, so CoGAN cannot translate a given x.
    z_shape: (channels, h, w) of the generators' input z.
    """

    ships = ("G_x", "G_y")

    def __init__(self, G_x, G_y, D_x, D_y, z_shape=(16, 4, 4), lambda_gp=10.0):
        super().__init__()
        self.G_x, self.G_y, self.D_x, self.D_y = G_x, G_y, D_x, D_y
        self.z_shape, self.lambda_gp = z_shape, lambda_gp

    def players(self):
        return [self.G_x, self.G_y], [self.D_x, self.D_y]

    def sample(self, count):
        """(x, y): two stacks (count, 3, H, W). Each pair comes from one z."""
        z = draw_rows(torch.randn, count, *self.z_shape, device=next(self.parameters()).device)
        return self.G_x(z), self.G_y(z)

    def generator_loss(self, batch):
        batch["fake_x"], batch["fake_y"] = fake_x, fake_y = self.sample(len(batch["x"]))
        G_x, G_y = bce_generator_loss(self.D_x(fake_x)), bce_generator_loss(self.D_y(fake_y))
        return G_x + G_y, detached(G_x=G_x, G_y=G_y)

    def discriminator_loss(self, batch):
        count = len(batch["x"])
        fake_x = kept(batch, "fake_x", lambda: self.sample(count)[0])
        fake_y = kept(batch, "fake_y", lambda: self.sample(count)[1])
        return critics_loss([("D_x", self.D_x, batch["x"], fake_x),
                             ("D_y", self.D_y, batch["y"], fake_y)], self.lambda_gp,
                            bce_discriminator_loss)


class TwoAutoencoders(nn.Module):
    """x -> E_x -> code -> G_y -> y': two auto-encoders, linked only by the layers they share.

    `gantutor.autoencoders.coders` decides which layers E_x and E_y share, and which G_x and G_y.
    If lambda_kl is above 0, both are VAEs with unit variance, as in UNIT (Liu, Breuel, Kautz,
    "Unsupervised Image-to-Image Translation Networks", NeurIPS 2017): the code is E(x) + noise.
    distance: (images, drawn again) -> the reconstruction loss, by default L1. only_y: True: nobody
    asks for x to be drawn again.
    """

    ships = ("E_x", "E_y", "G_x", "G_y")

    def __init__(self, E_x, E_y, G_x, G_y, *, lambda_rec=10.0, lambda_kl=0.0, distance=None,
                 only_y=None):
        super().__init__()
        self.E_x, self.E_y, self.G_x, self.G_y = E_x, E_y, G_x, G_y
        self.lambda_rec, self.lambda_kl, self.distance = lambda_rec, lambda_kl, distance
        self.only_y = only_y

    def players(self):
        return [self.E_x, self.E_y, self.G_x, self.G_y], []

    def translate(self, x):
        return self.G_y(self.E_x(x))

    def back(self, y):
        return self.G_x(self.E_y(y))

    def code(self, mu):
        """The input of the decoders and D_z: a sample if there is a KL term, otherwise mu."""
        return sampled(mu) if self.lambda_kl else mu

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        mu_x, mu_y = self.E_x(x), self.E_y(y)
        z_x, z_y = self.code(mu_x), self.code(mu_y)
        distance = self.distance or cycle_consistency_loss
        batch |= {"mu_x": mu_x, "mu_y": mu_y, "z_x": z_x, "z_y": z_y}  # for the terms to come
        rec = distance(y, self.G_y(z_y)) + (0 if self.only_y else distance(x, self.G_x(z_x)))
        total, parts = self.lambda_rec * rec, detached(rec=rec)
        if self.lambda_kl:
            kl = kl_loss(mu_x) + kl_loss(mu_y)
            total, parts = total + self.lambda_kl * kl, parts | detached(kl=kl)
        return total, parts


class AlignedCodes(Ramped, TwoAutoencoders):
    """`TwoAutoencoders` plus one term: D_z must not be able to tell E_x(x) from E_y(y).

    Lample et al., "Fader Networks", NeurIPS 2017, section 3.2, with the domain as the attribute.
    The players alternate: the encoders minimise the loss with swapped labels, D_z the loss with
    the right ones (X is 1). The encoders' term grows during the run (`domain_ramp`). D_z encodes
    its batch itself, so in `fit(..., n_critic=2)` it trains twice per encoder step.
    """

    def __init__(self, *coders, D_z, lambda_dom=2.0, **weights):
        super().__init__(*coders, **weights)
        self.D_z, self.lambda_dom = D_z, lambda_dom

    def players(self):
        return super().players()[0], [self.D_z]

    def ramps(self):
        return {"dom": self.lambda_dom * domain_ramp(self.progress)}

    def domain_loss(self, z_x, z_y):
        """The encoders' loss: low when D_z takes each code for one of the other domain."""
        return bce_discriminator_loss(self.D_z(z_y), self.D_z(z_x))

    def generator_loss(self, batch):
        total, parts = super().generator_loss(batch)
        if not self.lambda_dom:
            return total, parts
        dom = self.domain_loss(batch["z_x"], batch["z_y"])
        return total + self.ramp("dom") * dom, parts | detached(dom=dom)

    def discriminator_loss(self, batch):
        with torch.no_grad():
            z_x, z_y = self.code(self.E_x(batch["x"])), self.code(self.E_y(batch["y"]))
        loss = bce_discriminator_loss(self.D_z(z_x), self.D_z(z_y))
        return loss, detached(D_z=loss)


class ReversedCodes(AlignedCodes):
    """`AlignedCodes` without alternating steps: a gradient reversal layer.

    Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17, 2016. One backward pass
    trains D_z and the encoders. D_z minimises its loss. The layer reverses the sign of the gradient
    before it reaches the encoders, so they maximise this loss. (In `AlignedCodes` they minimise the
    loss with swapped labels.) lambda_dom and the ramp scale only the reversed gradient: D_z learns
    at its full rate from the first step on.
    """

    def players(self):
        return [*super().players()[0], self.D_z], []

    def generator_loss(self, batch):
        total, parts = TwoAutoencoders.generator_loss(self, batch)
        weight = self.ramp("dom")
        dom = bce_discriminator_loss(self.D_z(gradient_reversal(batch["z_x"], weight)),
                                     self.D_z(gradient_reversal(batch["z_y"], weight)))
        return total + dom, parts | detached(dom=dom)


class CommonSpace(AlignedCodes):
    """`AlignedCodes` plus three terms on translations, each with its own weight, by default 0.

    lambda_gan  D_y cannot tell G_y(E_x(x)) from y; same for x   Wasserstein, gradient penalty
    lambda_cyc  G_x(E_y(G_y(E_x(x)))) = x; same for y            Anoosheh et al., "ComboGAN", 2018
    lambda_sem  E_y(G_y(E_x(x))) = E_x(x); same for y            Royer et al., "XGAN", 2020

    They start after half of the run, or as `late` says. A KL term holds for the cycle's codes, too.
    """

    def __init__(self, *coders, D_x, D_y, D_z, lambda_gan=0.0, lambda_cyc=0.0, lambda_sem=0.0,
                 lambda_dom=0.0, lambda_gp=10.0, late=None, **weights):
        super().__init__(*coders, D_z=D_z, lambda_dom=lambda_dom, **weights)
        self.D_x, self.D_y, self.late = D_x, D_y, late
        self.lambda_gan, self.lambda_gp = lambda_gan, lambda_gp
        self.lambda_cyc, self.lambda_sem = lambda_cyc, lambda_sem

    def players(self):
        return super().players()[0], [self.D_z, self.D_x, self.D_y]

    def ramps(self):
        return super().ramps() | {"late": late_ramp(self.progress, *(self.late or ()))}

    def generator_loss(self, batch):
        total, parts = super().generator_loss(batch)
        if self.on("late") and (self.lambda_gan or self.lambda_cyc or self.lambda_sem):
            batch["fake_x"], batch["fake_y"] = self.G_x(batch["z_y"]), self.G_y(batch["z_x"])
            more, named = self.translated_loss(batch)
            total, parts = total + self.ramp("late") * more, parts | named
        return total, parts

    def translated_loss(self, batch):
        """(total, parts) of the three terms: their weighted sum, and the terms by name."""
        x, y, fake_x, fake_y = (batch[name] for name in ("x", "y", "fake_x", "fake_y"))
        again_x, again_y = self.E_y(fake_y), self.E_x(fake_x)  # codes of the translated x and y
        terms, distance = {}, self.distance or cycle_consistency_loss
        if self.lambda_gan:
            terms["gan"] = (wgan_generator_loss(self.D_x(fake_x))
                            + wgan_generator_loss(self.D_y(fake_y)))
        if self.lambda_cyc:
            terms["cyc"] = (distance(x, self.G_x(self.code(again_x)))
                            + distance(y, self.G_y(self.code(again_y))))
            if self.lambda_kl:
                terms["kl"] = kl_loss(again_x) + kl_loss(again_y)
        if self.lambda_sem:
            terms["sem"] = (semantic_consistency_loss(batch["mu_x"], again_x)
                            + semantic_consistency_loss(batch["mu_y"], again_y))
        total = sum(getattr(self, f"lambda_{name}") * term for name, term in terms.items())
        return total, detached(**{name.replace("kl", "kl again"): terms[name] for name in terms})

    def discriminator_loss(self, batch):
        total, parts = super().discriminator_loss(batch)
        if not self.lambda_gan or not self.on("late"):
            return total, parts  # D_x and D_y start with their term
        fake_x = kept(batch, "fake_x", lambda: self.G_x(self.code(self.E_y(batch["y"]))))
        fake_y = kept(batch, "fake_y", lambda: self.G_y(self.code(self.E_x(batch["x"]))))
        judged, named = critics_loss([("D_x", self.D_x, batch["x"], fake_x),
                                      ("D_y", self.D_y, batch["y"], fake_y)], self.lambda_gp)
        return total + judged, parts | named


class ShuffledColours(CommonSpace):
    """`CommonSpace` that reorders red, green and blue in some images early in the run.

    shuffle: the share of images with reordered channels in the first quarter of the run. It falls
    to 0 before the terms of `CommonSpace` start. Without it, a method can swap two equally frequent
    colours, and no term notices. With it, the swap must work in all six channel orders, where the
    two colours have other neighbours. Only maps from similar to similar colours pass this test.
    Galanti, Wolf, Benaim, ICLR 2018, explain why such simple maps keep the meaning.
    """

    def __init__(self, *coders, shuffle=0.0, **weights):
        super().__init__(*coders, **weights)
        self.shuffle = shuffle

    def ramps(self):
        return super().ramps() | {"shuffle": self.shuffle * (1 - late_ramp(self.progress, .25, .5))}

    def shuffled(self, batch):
        """The batch of this step: every image of X and of Y gets its own random channel order."""
        if not self.on("shuffle"):
            return batch
        return {k: shuffled_colours(batch[k], self.ramp("shuffle")) for k in ("x", "y")}

    def generator_loss(self, batch):
        return super().generator_loss(self.shuffled(batch))

    def discriminator_loss(self, batch):
        return super().discriminator_loss(self.shuffled(batch))
