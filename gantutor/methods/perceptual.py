"""The VGG constraint: x and G_xy(x) must have similar features in a fixed network."""

from gantutor.losses import perceptual_loss
from gantutor.methods import Frozen, detached
from gantutor.methods.direct import Direct


class Perceptual(Direct):
    """`Direct` plus one term: embed(G_xy(x)) must be close to embed(x).

    Lee, GAN lecture 3, "direct transformation", with a pretrained network as the constraint; the
    term is the content (feature reconstruction) loss of Johnson, Alahi, Fei-Fei, ECCV 2016.

    embed: images -> features of any shape, frozen, e.g. `gantutor.vgg.vgg_features()`;
    `nn.Identity()` makes it an L1 constraint on pixels. It is never trained.
    lambda_vgg: the term's weight; 0 is `Direct`.
    """

    def __init__(self, G_xy, D_y, embed, lambda_vgg=1.0, pool_size=50):
        super().__init__(G_xy, D_y, pool_size)
        self.embed, self.lambda_vgg = Frozen(embed), lambda_vgg

    def generator_loss(self, batch):
        adversarial, parts = super().generator_loss(batch)  # leaves G_xy(x) in the batch
        content = perceptual_loss(self.embed, batch["x"], batch["fake_y"])
        return adversarial + self.lambda_vgg * content, parts | detached(content=content)
