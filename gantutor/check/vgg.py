"""The exercises of notebook 02: the perceptual loss, its network, and an honest choice."""

import math

import torch

from gantutor.check.answers import (
    Affine,
    call,
    compare,
    gradients,
    images,
    kind,
    number,
    same,
    scalar,
)
from gantutor.check.verdict import Wrong, exercise
from gantutor.vgg import MEAN, STD

SUM = "This is a sum, not a mean: the loss now grows with the batch and the image size."


class Squares(Affine):
    """An embedding: (scale * image + shift)^2, so that features are no pixels."""

    def forward(self, image):
        return super().forward(image).square()


@exercise
def perceptual_loss(answer):
    """my_perceptual_loss(phi, x, translated): mean |difference of features|, as a share of x's."""
    phi = Squares(1.0, 1.0).requires_grad_(False)
    x, translated = (images(*v).requires_grad_() for v in ((0.6, -0.2), (0.3, 0.5)))
    loss = scalar(call(answer, phi=phi, x=x, translated=translated))
    before, after = phi(x), phi(translated)
    off, size = (after - before).abs().mean(), before.abs().mean()
    compare(loss, off / size, [
        (off, "The share is missing: divide by the mean size of x's features, so that one weight "
         "serves every layer."),
        (off / after.abs().mean(), "Divided by the size of the translation's features: G could "
         "lower this loss by making everything louder. Divide by x's."),
        ((translated - x).abs().mean() / x.abs().mean(), "This compares pixels: phi is missing."),
        ((after - before).square().mean() / size, "The difference is squared; take the absolute "
         "value."),
        ((after - before).square().mean() / before.square().mean(), "Both are squared; take "
         "absolute values."),
        (off * before.numel() / size, SUM),
        ((after - before).abs().sum() / before.abs().sum() * 2, SUM),
        (0.0, "The features are compared with themselves."),
    ])
    to_translated, to_x = (torch.autograd.grad(loss, image, retain_graph=True, allow_unused=True)[0]
                           if loss.requires_grad else None for image in (translated, x))
    if to_translated is None:
        raise Wrong("The value is right, but no gradient reaches the translation, so G learns "
                    "nothing: only the target belongs under torch.no_grad().")
    if to_x is not None:
        raise Wrong("The value is right, but a gradient flows into the target as well: phi(x) is "
                    "what to aim at; make it under torch.no_grad().")
    return "a share of the features' size, and only the translation gets a gradient."


@exercise
def normalise(answer):
    """my_normalise(images): [-1, 1] -> what torchvision's networks were trained on."""
    given = torch.linspace(-1, 1, 2 * 3 * 4 * 6).view(2, 3, 4, 6)
    found = call(answer, images=given)
    if not isinstance(found, torch.Tensor):
        raise Wrong(f"expected a tensor, found {kind(found)}.")
    if found.shape == (2, 3, 6, 4):
        raise Wrong("H and W are swapped: images 4 high and 6 wide came out 6 high and 4 wide.")
    if found.shape != given.shape or not found.is_floating_point():
        raise Wrong(f"expected images of shape {tuple(given.shape)}, found {kind(found)}.")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    unit = (given + 1) / 2
    wrong = {
        "": (unit - mean) / std,
        "the images are still in [-1, 1]: bring them to [0, 1] first.": (given - mean) / std,
        "the range before the mean was [0, 255], expected [0, 1].": (unit * 255 - mean) / std,
        "the mean was taken away, but the standard deviation not divided by.": unit - mean,
        "multiplied by the standard deviation; divide by it.": (unit - mean) * std,
        "red and blue are swapped: these networks read RGB.": ((unit - mean) / std).flip(1),
        "mean and deviation are in the order BGR; the images are RGB.":
            (unit - mean.flip(1)) / std.flip(1),
        "mean and deviation are this batch's own: VGG expects those it was trained with.":
            (given - given.mean((0, 2, 3), keepdim=True)) / given.std((0, 2, 3), keepdim=True),
        "brought to [0, 1], and no more: mean and deviation are missing.": unit,
        "1 was added, but the range is [0, 2]: halve it.": (given + 1 - mean) / std,
    }
    for text, values in wrong.items():
        if torch.allclose(found.float(), values, atol=1e-3):
            if text:
                raise Wrong(text)
            return "the range, the channels and their order are those VGG was trained on."
    raise Wrong(f"the values are not right: the first pixel is "
                f"{[round(v, 3) for v in found[0, :, 0, 0].tolist()]}, expected "
                f"{[round(v, 3) for v in wrong[''][0, :, 0, 0].tolist()]}.")


@exercise
def frozen_content(answer):
    """my_frozen_content(phi, G_xy, x): the content loss, phi frozen and not in the way."""
    phi, G_xy, x = Squares(1.0, 1.0), Affine(0.5, 0.1), images(0.6, -0.2)
    loss = scalar(call(answer, phi=phi, G_xy=G_xy, x=x))
    with torch.no_grad():
        right = (phi(G_xy(x)) - phi(x)).abs().mean()
        compare(loss.detach(), right, [
            ((G_xy(x) - x).abs().mean(), "This compares pixels: phi is missing."),
            ((phi(G_xy(x)) - phi(x)).square().mean(), "The difference is squared; take the "
             "absolute value."),
            (phi(G_xy(x)).mean(), "phi(x) is missing: what should G_xy(x) look like?"),
            ((phi(G_xy(G_xy(x))) - phi(x)).abs().mean(), "G_xy was used twice."),
        ])
    if not all(p.requires_grad for p in G_xy.parameters()):
        raise Wrong("The value is right, but G_xy is frozen now too: it would never learn again.")
    (to_G,) = gradients(loss, G_xy)
    to_phi = gradients(loss, phi)[0] if all(p.requires_grad for p in phi.parameters()) else None
    if to_G is None:
        raise Wrong("The value is right, but no gradient reaches G_xy: torch.no_grad() or a detach "
                    "stands around phi(G_xy(x)). Freezing is requires_grad_(False).")
    if to_phi is not None:
        raise Wrong("The value is right, but phi's weights get a gradient: an optimiser that holds "
                    "them would teach phi to see nothing. phi.requires_grad_(False).")
    if phi.training:
        raise Wrong("The value is right, but phi is in training mode: where a network has dropout "
                    "or batch norm its verdict would change from call to call. phi.eval().")
    reference = (Squares(1.0, 1.0)(G_xy(x)) - phi(x)).abs().mean()
    if not same(to_G, gradients(reference, G_xy)[0]):
        raise Wrong("The value is right, but G_xy's gradient is not: a part of the loss was "
                    "detached.")
    return "phi is frozen, and the gradient passes through it to G_xy."


@exercise
def receptive_fields(answer):
    """The patch, in pixels, that one feature of relu2_2 and one of relu3_3 sees."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong(f"expected two whole numbers, found {kind(answer)}.")
    first, second = number(answer[0], "the first"), number(answer[1], "the second")
    if (first, second) == (40, 14):
        raise Wrong("the two are swapped: the deeper layer sees more.")
    reasons = {13: "that leaves out what the maximum adds", 9: "that counts four convolutions as "
               "if nothing stood between them: the maximum doubles what comes after it",
               5: "those are the two convolutions of its own block alone",
               12: "that counts the maximum as stride 2 without its own width"}
    if first != 14:
        raise Wrong(f"relu2_2: {first:g} is not right" + (
            f": {reasons[first]}." if first in reasons else
            "; go backwards from one feature: two convolutions, a maximum, two convolutions."))
    if second != 40:
        raise Wrong(f"relu2_2 is right. relu3_3: {second:g} is not" + (
            ": block 3 has three convolutions." if second == 32 else
            "; three convolutions, a maximum, two convolutions, a maximum, two convolutions."))
    return "1, 3, 5, 10, 12, 14; and 1, 3, 5, 7, 14, 16, 18, 36, 38, 40."


@exercise
def best_weight(answer):
    """my_best_weight(points, floor): smallest hidden-pair L1 where the domain is reached."""
    table = ((0.1, 0.20, 0.5, 0.3), (0.3, 0.12, 0.7, 0.1), (1.0, 0.15, 0.9, 0.2),
             (3.0, 0.10, 0.4, 0.4), (10.0, 0.25, 0.6, 0.05))
    points = [{"weight": weight, "panel": {"hidden-pair L1": error, "domain reached": reached,
                                           "cycle L1": cycle}}
              for weight, error, reached, cycle in table]
    found = number(call(answer, points=points, floor=0.55), "the weight")
    reasons = {3.0: "that point has the smallest error of all, but its domain reached is below the "
                    "floor: the condition is ignored.",
               1.0: "that point reaches the domain best; among those above the floor the smallest "
                    "hidden-pair error decides.",
               10.0: "that is the largest error, or the smallest cycle error, above the floor; the "
                     "smallest hidden-pair error decides.",
               0.12: "that is the error of the best point; return its weight."}
    if found != 0.3:
        raise Wrong(f"found {found:g}, expected 0.3: " + reasons.get(
            found, "filter by domain reached, then take the smallest hidden-pair L1."))
    edge = number(call(answer, points=points, floor=0.7), "the weight")
    if edge != 0.3:
        raise Wrong("a point exactly at the floor counts: at least, not more than.")
    nothing = call(answer, points=points, floor=0.95)
    if not (isinstance(nothing, float) and math.isnan(nothing)):
        raise Wrong(f"where no point reaches the floor, expected float('nan'), found "
                    f"{kind(nothing)}: an answer that looks like one would be believed.")
    return "the condition first, then the error; and no answer where there is none."
