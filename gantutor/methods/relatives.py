"""DiscoGAN and DualGAN: other losses on CycleGAN's own two-way cycle."""

from torch.nn import functional as F

from gantutor.losses import (
    bce_discriminator_loss,
    bce_generator_loss,
    cycle_consistency_loss,
    feature_matching_loss,
    wgan_generator_loss,
)
from gantutor.methods import critics_loss, detached
from gantutor.methods.cyclegan import CycleGAN
from gantutor.parallel import noise_like


class DiscoGAN(CycleGAN):
    """CycleGAN with cross-entropy, a squared cycle error and feature matching.

    Kim, Cha, Kim, Lee, Kim, "Learning to Discover Cross-Domain Relations with Generative
    Adversarial Networks", ICML 2017, eq. 5 and 6, with the weights of the authors' code:
    (1 - rate) (0.1 adversarial + 0.9 feature matching) + rate squared cycle error, each direction.
    Three differences from that code (SKTBrain/DiscoGAN). Its rate is 0.01 for 10,000 iterations,
    then 0.5; here it is fixed. It sums the feature matching over D's layers; here we average. Of
    three of its iterations two train the generators and one trains D; here each step trains both.

    D_x, D_y must have `features(images)`, as `SmallDiscriminator` has. No pool, as in the paper.
    """

    def __init__(self, G_xy, G_yx, D_x, D_y, rate=0.5):
        super().__init__(G_xy, G_yx, D_x, D_y, pool_size=0)
        self.rate = rate

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        batch["fake_y"], batch["fake_x"] = fake_y, fake_x = self.G_xy(x), self.G_yx(y)
        G_xy = bce_generator_loss(self.D_y(fake_y))
        G_yx = bce_generator_loss(self.D_x(fake_x))
        matching = (feature_matching_loss(self.D_y.features(y), self.D_y.features(fake_y))
                    + feature_matching_loss(self.D_x.features(x), self.D_x.features(fake_x)))
        cycle_x = F.mse_loss(self.G_yx(fake_y).float(), x)
        cycle_y = F.mse_loss(self.G_xy(fake_x).float(), y)
        total = ((1 - self.rate) * (0.1 * (G_xy + G_yx) + 0.9 * matching)
                 + self.rate * (cycle_x + cycle_y))
        return total, detached(G_xy=G_xy, G_yx=G_yx, matching=matching,
                               cycle_x=cycle_x, cycle_y=cycle_y)

    def discriminator_loss(self, batch):
        fake_x, fake_y = self.fakes(batch)
        D_x = bce_discriminator_loss(self.D_x(batch["x"]), self.D_x(fake_x))
        D_y = bce_discriminator_loss(self.D_y(batch["y"]), self.D_y(fake_y))
        return D_x + D_y, detached(D_x=D_x, D_y=D_y)


class DualGAN(CycleGAN):
    """CycleGAN with Wasserstein critics.

    Yi, Zhang, Tan, Gong, "DualGAN: Unsupervised Dual Learning for Image-to-Image Translation",
    ICCV 2017, eq. 1-3: -D(fake) + lambda_rec |cycle - original|, both directions. The paper clips
    D's weights and adds dropout noise. The authors' code (duxingren14/DualGAN) has by default what
    is here: a gradient penalty (Gulrajani et al., 2017) of weight 10, and no dropout. Its
    lambda_rec is 500 and its optimiser RMSProp; here they are those of CycleGAN.

    noise: standard deviation (images in [-1, 1]) of the noise added to a translation before the
    way back. It destroys faint patterns. This is the defence of Bashkirova, Usman, Saenko,
    "Adversarial Self-Defense for Cycle-Consistent GANs", NeurIPS 2019.
    """

    def __init__(self, G_xy, G_yx, D_x, D_y, lambda_rec=10.0, lambda_gp=10.0, noise=0.0):
        super().__init__(G_xy, G_yx, D_x, D_y, lambda_cyc=lambda_rec, pool_size=0)
        self.lambda_gp, self.noise = lambda_gp, noise

    def noisy(self, images):
        return images + self.noise * noise_like(images) if self.noise else images

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        batch["fake_y"], batch["fake_x"] = fake_y, fake_x = self.G_xy(x), self.G_yx(y)
        G_xy = wgan_generator_loss(self.D_y(fake_y))
        G_yx = wgan_generator_loss(self.D_x(fake_x))
        cycle_x = cycle_consistency_loss(x, self.G_yx(self.noisy(fake_y)))
        cycle_y = cycle_consistency_loss(y, self.G_xy(self.noisy(fake_x)))
        total = G_xy + G_yx + self.lambda_cyc * (cycle_x + cycle_y)
        return total, detached(G_xy=G_xy, G_yx=G_yx, cycle_x=cycle_x, cycle_y=cycle_y)

    def discriminator_loss(self, batch):
        fake_x, fake_y = self.fakes(batch)
        return critics_loss([("D_x", self.D_x, batch["x"], fake_x),
                             ("D_y", self.D_y, batch["y"], fake_y)], self.lambda_gp)
