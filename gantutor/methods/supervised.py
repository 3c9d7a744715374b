"""The supervised ceiling: the same generators, trained on pairs that other methods never see."""

from torch import nn
from torch.nn import functional as F

from gantutor.methods import detached


class Supervised(nn.Module):
    """G_xy trained with an L1 loss. Batches hold true pairs {"x", "y"}, both (N, 3, H, W)."""

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
    """Both directions, each trained alone on the pairs. So G_xy has no reason to hide anything."""

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

    The loss is the mean L1 where an edit changes the picture plus the mean L1 elsewhere. In one
    mean over the whole picture a small mouth counts little: some seeds never learn to change it.
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
        there, elsewhere = ((error * part).sum() / part.sum().clamp_min(1)
                            for part in (changed, ~changed))
        return there + elsewhere, detached(changed=there, elsewhere=elsewhere)
