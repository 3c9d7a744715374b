"""Notebook 02's checks against the mistakes they exist for."""

import pytest
import torch

from gantutor import check

vgg = check.vgg
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def share(phi, x, t, size=None, power=1, reduce=torch.mean, target=lambda f: f.detach()):
    before = target(phi(x))
    denominator = before if size is None else size(phi, x, t)
    return reduce((phi(t) - before).abs() ** power) / denominator.abs().mean()


def content(phi, G, x, freeze=True, evaluate=True, cut=lambda f: f, also=None):
    if freeze:
        phi.requires_grad_(False)
    if evaluate:
        phi.eval()
    if also:
        also(G)
    return (cut(phi(G(x))) - phi(x).detach()).abs().mean()


def no_grad_content(phi, G, x):
    with torch.no_grad():
        loss = content(phi, G, x)
    return loss


def pick(points, floor, key="hidden-pair L1", choose=min, keep=lambda reached, f: reached >= f,
         empty=float("nan")):
    left = [p for p in points if keep(p["panel"]["domain reached"], floor)]
    return choose(left, key=lambda p: p["panel"][key])["weight"] if left else empty


def variant(function, **mistake):
    return lambda *a: function(*a, **mistake)


MISTAKES = [  # (exercise, mistake, broken answer, words of the reason)
    (vgg.perceptual_loss, "share missing", lambda p, x, t: (p(t) - p(x).detach()).abs().mean(),
     "share is missing"),
    (vgg.perceptual_loss, "the translation's size", variant(share, size=lambda p, x, t: p(t)),
     "translation's features"),
    (vgg.perceptual_loss, "pixels", lambda p, x, t: (t - x).abs().mean() / x.abs().mean(),
     "phi is missing"),
    (vgg.perceptual_loss, "squared", variant(share, power=2), "squared"),
    (vgg.perceptual_loss, "sum", variant(share, reduce=torch.sum), "a sum"),
    (vgg.perceptual_loss, "detached", lambda p, x, t: share(p, x, t).detach(), "G learns nothing"),
    (vgg.perceptual_loss, "gradient into the target", variant(share, target=lambda f: f),
     "flows into the target"),
    (vgg.perceptual_loss, "wrong domain", lambda p, x, t: share(p, t, t), "with themselves"),
    (vgg.normalise, "still -1 to 1", lambda i: (i - MEAN) / STD, r"still in \[-1, 1\]"),
    (vgg.normalise, "0 to 255", lambda i: ((i + 1) * 127.5 - MEAN) / STD, "255"),
    (vgg.normalise, "BGR", lambda i: ((i.flip(1) + 1) / 2 - MEAN.flip(1)) / STD.flip(1), "RGB"),
    (vgg.normalise, "statistics in BGR", lambda i: ((i + 1) / 2 - MEAN.flip(1)) / STD.flip(1),
     "order BGR"),
    (vgg.normalise, "no deviation", lambda i: (i + 1) / 2 - MEAN, "not divided"),
    (vgg.normalise, "the batch's own", lambda i: (i - i.mean((0, 2, 3), keepdim=True))
     / i.std((0, 2, 3), keepdim=True), "batch's own"),
    (vgg.normalise, "H and W swapped", lambda i: (((i + 1) / 2 - MEAN) / STD).mT, "swapped"),
    (vgg.frozen_content, "phi not frozen", variant(content, freeze=False), "weights get a grad"),
    (vgg.frozen_content, "no_grad", no_grad_content, "no gradient reaches G_xy"),
    (vgg.frozen_content, "detached", variant(content, cut=lambda f: f.detach()),
     "no gradient reaches G_xy"),
    (vgg.frozen_content, "G frozen", variant(content, also=lambda G: G.requires_grad_(False)),
     "frozen now too"),
    (vgg.frozen_content, "training mode", variant(content, evaluate=False), "training mode"),
    (vgg.frozen_content, "pixels", lambda p, G, x: (G(x) - x).abs().mean(), "phi is missing"),
    (vgg.receptive_fields, "swapped", (40, 14), "swapped"),
    (vgg.receptive_fields, "no maximum", (9, 15), "maximum"),
    (vgg.receptive_fields, "two convolutions in block 3", (14, 32), "three convolutions"),
    (vgg.receptive_fields, "one number", 14, "two whole numbers"),
    (vgg.best_weight, "condition ignored", variant(pick, keep=lambda r, f: True), "ignored"),
    (vgg.best_weight, "by domain reached", variant(pick, key="domain reached", choose=max),
     "reaches the domain best"),
    (vgg.best_weight, "largest error", variant(pick, choose=max), "largest error"),
    (vgg.best_weight, "cycle error", variant(pick, key="cycle L1"), "cycle error"),
    (vgg.best_weight, "strictly above", variant(pick, keep=lambda r, f: r > f), "at the floor"),
    (vgg.best_weight, "an answer where there is none", variant(pick, empty=0.0), "nan"),
]


OTHER_WAYS = {
    vgg.perceptual_loss: lambda p, x, t: (p(t) - p(x.detach())).abs().mean()
    / p(x.detach()).mean(),
    vgg.normalise: lambda i: (i * 0.5 + 0.5).sub(MEAN).div(STD),
    vgg.frozen_content: content, vgg.receptive_fields: [14, 40], vgg.best_weight: pick,
}


@pytest.mark.parametrize("exercise", OTHER_WAYS, ids=lambda e: e.__name__)
def test_other_right_ways_are_right(exercise):
    verdict = exercise(OTHER_WAYS[exercise])
    assert verdict.state == "right", verdict
