"""Direct transformation without a constraint: the generator only has to fool D_y."""

from torch import nn

from gantutor.losses import ImagePool, lsgan_discriminator_loss, lsgan_generator_loss
from gantutor.methods import detached, kept


class Direct(nn.Module):
    """G_xy against D_y, nothing else (Lee, GAN lecture 3, "direct transformation").

    No term asks G_xy(x) to match x. But a simple network tends to change little
    (Galanti, Wolf, Benaim, ICLR 2018).

    G_xy: (N, 3, H, W) -> (N, 3, H, W) in [-1, 1]; D_y: images -> scores, one per patch.
    pool_size: number of earlier translations that are kept for D_y (0: none).
    """

    ships = ("G_xy",)

    def __init__(self, G_xy, D_y, pool_size=50):
        super().__init__()
        self.G_xy, self.D_y = G_xy, D_y
        self.pool_y = ImagePool(pool_size)

    def players(self):
        return [self.G_xy], [self.D_y]

    def translate(self, x):
        return self.G_xy(x)

    def generator_loss(self, batch):
        batch["fake_y"] = self.G_xy(batch["x"])
        adversarial = lsgan_generator_loss(self.D_y(batch["fake_y"]))
        return adversarial, detached(G_xy=adversarial)

    def between(self, batch):
        """What D_y is shown: some translations are replaced by older ones."""
        fake_y = kept(batch, "fake_y", lambda: self.G_xy(batch["x"]))  # D's step must not train G
        batch["shown_y"] = self.pool_y(fake_y)

    def discriminator_loss(self, batch):
        if "shown_y" not in batch:
            self.between(batch)
        loss = lsgan_discriminator_loss(self.D_y(batch["y"]), self.D_y(batch.pop("shown_y")))
        return loss, detached(D_y=loss)
