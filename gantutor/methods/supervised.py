"""The ceiling: the same generators, trained on true pairs, which no unpaired method may see."""

from torch import nn
from torch.nn import functional as F

from gantutor.methods import detached


class Supervised(nn.Module):
    """The generator trained with an L1 loss on the pairs: batches are {"x", "y"} pair by pair."""

    ships = ("G_xy",)

    def __init__(self, G_xy):
        super().__init__()
        self.G_xy = G_xy

    def players(self):
        return [self.G_xy], []

    def translate(self, x):
        return self.G_xy(x)

    def generator_loss(self, batch):
        loss = F.l1_loss(self.G_xy(batch["x"]).float(), batch["y"])
        return loss, detached(L1=loss)


class SupervisedPair(Supervised):
    """Both directions on the pairs, each alone: a way back that had nothing to hide from."""

    ships = ("G_xy", "G_yx")

    def __init__(self, G_xy, G_yx):
        super().__init__(G_xy)
        self.G_yx = G_yx

    def players(self):
        return [self.G_xy, self.G_yx], []

    def back(self, y):
        return self.G_yx(y)

    def generator_loss(self, batch):
        there, parts = super().generator_loss(batch)
        back = F.l1_loss(self.G_yx(batch["y"]).float(), batch["x"])
        return there + back, parts | {"L1 back": back.detach()}


class SupervisedEdits(nn.Module):
    """StarGAN's generator trained on true edited pictures: batches are {"x", "y", "code"}.

    L1 where an edit changes the picture plus L1 elsewhere, each a mean of its own: in a mean over
    the whole picture a mouth of a few pixels is lost, and some seeds never learn to change it.
    """

    ships = ("G",)

    def __init__(self, G):
        super().__init__()
        self.G = G

    def players(self):
        return [self.G], []

    def translate(self, x, code):
        return self.G(x, code).clamp(-1, 1)

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        error = (self.G(x, batch["code"]).float() - y).abs()
        changed = (x != y).any(1, keepdim=True).expand_as(x)
        there, elsewhere = (error[part].sum() / part.sum().clamp_min(1)
                            for part in (changed, ~changed))
        return there + elsewhere, detached(changed=there, elsewhere=elsewhere)
