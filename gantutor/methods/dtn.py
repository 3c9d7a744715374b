"""A fixed network says what the meaning is: DTN's encoder, and XGAN's teacher."""

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.methods import Frozen, detached, kept
from gantutor.methods.common_space import CommonSpace

FAKE_X, FAKE_Y, REAL_Y = 0, 1, 2  # D's three classes


class DTN(nn.Module):
    """G = g(f(x)): f was trained on X beforehand and is frozen. Only g learns.

    Taigman, Polyak, Wolf, "Unsupervised Cross-Domain Image Generation", ICLR 2017, eq. 3 to 7.
    D has three classes: G(x), G(y) and real y. g wants D to take both of its outputs for real y.

    lambda_const  f(G(x)) = f(x), squared error: f must see the same in G(x) as in x (L_CONST)
    lambda_tid    G(y) = y, squared error: images that are already in Y do not change (L_TID)

    The paper writes distances. That they are squared here follows yunjey/domain-transfer-network,
    which has two classes, not three. The paper's term for smooth images, L_TV, is left out.

    f: images (N, 3, H, W) -> codes. It is frozen here and stays in eval mode, because an f that
    learns could make all codes alike. g: codes -> images. D: images -> (N, 3) logits. For digits
    the paper uses the weights 15 and 15.
    """

    ships = ("f", "g")

    def __init__(self, f, g, D, lambda_const=15.0, lambda_tid=15.0):
        super().__init__()
        self.f, self.g, self.D = Frozen(f), g, D
        self.lambda_const, self.lambda_tid = lambda_const, lambda_tid

    def players(self):
        return [self.g], [self.D]

    def translate(self, x):
        return self.g(self.f(x))

    def judged(self, images, label):
        """Cross-entropy of D's logits with one class for all images."""
        return F.cross_entropy(self.D(images).float(), torch.full((len(images),), label,
                                                          device=images.device))

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        code = self.f(x)
        batch["fake_x"], batch["fake_y"] = fake_x, fake_y = self.g(code), self.translate(y)
        gan = self.judged(fake_x, REAL_Y) + self.judged(fake_y, REAL_Y)
        const = F.mse_loss(self.f(fake_x).float(), code.float())
        tid = F.mse_loss(fake_y.float(), y)
        total = gan + self.lambda_const * const + self.lambda_tid * tid
        return total, detached(gan=gan, const=const, tid=tid)

    def discriminator_loss(self, batch):
        fake_x = kept(batch, "fake_x", lambda: self.translate(batch["x"]))
        fake_y = kept(batch, "fake_y", lambda: self.translate(batch["y"]))
        loss = (self.judged(fake_x, FAKE_X) + self.judged(batch["y"], REAL_Y)
                + self.judged(fake_y, FAKE_Y))
        return loss, detached(D=loss)


class Taught(CommonSpace):
    """`CommonSpace` plus XGAN's fifth term: the code of x must hold what a fixed teacher sees in x.

    Royer et al., "XGAN: Unsupervised Image-to-Image Translation for Many-to-Many Mappings", 2020,
    L_teach, optional there: a distance of T(x) and the code, left open; here the mean absolute
    difference. As our code is a small picture, `head` reads T(x) off it, one linear layer that
    learns too. Only X has a teacher.

    teacher: images (N, 3, H, W) -> (N, d), frozen here. code: how many numbers a code has.
    """

    def __init__(self, *coders, teacher, d, code=256, lambda_teach=1.0, **weights):
        super().__init__(*coders, **weights)
        self.T, self.head, self.lambda_teach = Frozen(teacher), nn.Linear(code, d), lambda_teach

    def players(self):
        generators, discriminators = super().players()
        return [*generators, self.head], discriminators

    def generator_loss(self, batch):
        total, parts = super().generator_loss(batch)
        teach = F.l1_loss(self.head(batch["mu_x"].flatten(1)).float(), self.T(batch["x"]).float())
        return total + self.lambda_teach * teach, parts | detached(teach=teach)
