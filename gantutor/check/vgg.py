"""The exercises of notebook 02: the perceptual loss, its network, and an honest choice."""

import math
from functools import partial

import torch

from gantutor.check.answers import (
    Affine,
    again,
    call,
    gradients,
    images,
    kind,
    number,
    scalar,
    two_numbers,
)
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.check.verdict import Wrong
from gantutor.vgg import MEAN, STD


class Squares(Affine):
    """An embedding: (scale * image + shift)^2, so that features are no pixels."""

    def forward(self, image):
        return super().forward(image).square()


def share(phi=lambda phi, image: phi(image), power=1, size_power=1, reduce=torch.mean,
          target=lambda features: features.detach(), size=lambda before, after: before):
    """The perceptual loss with one thing replaced."""
    def answer(network, x, translated):
        before, after = target(phi(network, x)), phi(network, translated)
        whole = (size(before, after).abs() ** size_power).mean()
        return reduce((after - before).abs() ** power) / whole
    return answer


@loss_exercise(right=share(), also_right=[lambda phi, x, t: share()(phi, x.detach(), t)], mistakes={
    "no share": share(size=lambda before, after: torch.ones(())),
    "the translation's size": share(size=lambda before, after: after),
    "pixels": share(phi=lambda phi, image: image),
    "squared": share(power=2), "both squared": share(power=2, size_power=2),
    "sum": Mistake(share(reduce=torch.sum), share(reduce=lambda d: d.sum(0).mean())),
    "with themselves": Mistake(lambda phi, x, t: share()(phi, t, t),
                               lambda phi, x, t: share()(phi, x, x)),
    "detached": lambda *a: share()(*a).detach(),
    "gradient into the target": share(target=lambda features: features)})
def perceptual_loss():
    """my_perceptual_loss(phi, x, translated): mean |difference of features|, as a share of x's."""
    return {"phi": Squares(1.0, 1.0).requires_grad_(False), "x": images(0.6, -0.2).requires_grad_(),
            "translated": images(0.3, 0.5).requires_grad_()}


def normal(unit=lambda images: (images + 1) / 2, mean=MEAN, std=STD,
           by=lambda deviation, std: deviation / std):
    """Normalised images with one thing replaced."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std))
    return lambda images: by(unit(images) - mean, std)


@exercise(right=normal(), also_right=[normal(lambda i: i * 0.5 + 0.5)], mistakes={
    "H and W swapped": lambda i: normal()(i).mT,
    "range untouched": normal(lambda i: i), "bytes": normal(lambda i: (i + 1) * 127.5),
    "no deviation": normal(by=lambda deviation, std: deviation),
    "multiplied": normal(by=lambda deviation, std: deviation * std),
    "BGR": lambda i: normal()(i).flip(1),
    "statistics in BGR": normal(mean=MEAN[::-1], std=STD[::-1]), "the batch's own": lambda i: (
        (i - i.mean((0, 2, 3), keepdim=True)) / i.std((0, 2, 3), keepdim=True)),
    "only the range": lambda i: (i + 1) / 2, "not halved": normal(lambda i: i + 1)})
def normalise(answer):
    """my_normalise(images): [-1, 1] -> what torchvision's networks were trained on."""
    found = call(answer, images=torch.linspace(-1, 1, 2 * 3 * 4 * 6).view(2, 3, 4, 6))
    if not isinstance(found, torch.Tensor) or not found.is_floating_point():
        raise Wrong(f"expected images as floats, found {kind(found)}.")
    return {"shape": str(tuple(found.shape)), "first pixel": found.flatten()[:72:24],
            "pixels": found}


def distance(phi, G_xy, x):
    return (phi(G_xy(x)) - phi(x)).abs().mean()


def content(loss=distance, freeze=True, evaluate=True):
    def answer(phi, G_xy, x):
        return loss(phi.requires_grad_(not freeze).train(not evaluate), G_xy, x)
    return answer


@exercise(right=content(), mistakes={
    "pixels": content(lambda phi, G, x: (G(x) - x).abs().mean()),
    "squared": content(lambda phi, G, x: (phi(G(x)) - phi(x)).square().mean()),
    "no target": content(lambda phi, G, x: phi(G(x)).mean()),
    "twice": content(lambda phi, G, x: distance(phi, lambda i: G(G(i)), x)),
    "G_xy frozen": lambda phi, G, x: content()(phi, G.requires_grad_(False), x),
    "no gradient": Mistake(torch.no_grad()(content()), lambda *a: content()(*a).detach()),
    "phi not frozen": content(freeze=False), "training mode": content(evaluate=False)})
def frozen_content(answer):
    """my_frozen_content(phi, G_xy, x): the content loss, phi frozen and not in the way."""
    phi, G_xy = Squares(1.0, 1.0), Affine(0.5, 0.1)
    loss = scalar(call(answer, phi=phi, G_xy=G_xy, x=images(0.6, -0.2)))
    to_G, to_phi = gradients(loss, G_xy, phi)
    return {"loss": loss.detach(), "G_xy is frozen": not G_xy.scale.requires_grad, "to G_xy": to_G,
            "phi is frozen": to_phi is None, "phi is in training": phi.training}


@exercise(right=(14, 40), also_right=[[14, 40]], mistakes={
    "swapped": Mistake((40, 14), when=lambda seen: list(seen.values()) == [40, 14]),
    "the maximum's own": (13, 40), "no maximum": (9, 15), "one block": (5, 40),
    "the maximum's width": (12, 40), "two convolutions in block 3": (14, 32), "one number": 14})
def receptive_fields(answer):
    """The patch, in pixels, that one feature of relu2_2 and one of relu3_3 sees."""
    return dict(zip(("relu2_2", "relu3_3"), two_numbers(answer, "field"), strict=True))


def pick(points, floor, key="hidden-pair L1", best=min, reaches=float.__ge__, result="weight",
         empty=math.nan):
    """The choice with one thing replaced."""
    left = [p for p in points if reaches(p["panel"]["SSIM"], floor)]
    if not left:
        return empty
    chosen = best(left, key=lambda p: p["panel"][key])
    return (chosen | chosen["panel"])[result]


@exercise(right=pick, mistakes={
    "condition ignored": partial(pick, reaches=lambda reached, floor: True),
    "by SSIM": partial(pick, key="SSIM", best=max),
    "largest error": Mistake(partial(pick, best=max), partial(pick, key="cycle L1")),
    "the error itself": partial(pick, result="hidden-pair L1"),
    "strictly above": partial(pick, reaches=float.__gt__),
    "an answer where there is none": Mistake(partial(pick, empty=0.0), partial(pick, empty=None))})
def best_weight(answer):
    """my_best_weight(points, floor): smallest hidden-pair L1 where SSIM is high enough."""
    table = ((0.1, 0.20, 0.5, 0.3), (0.3, 0.12, 0.7, 0.1), (1.0, 0.15, 0.9, 0.2),
             (3.0, 0.10, 0.4, 0.4), (10.0, 0.25, 0.6, 0.05))
    points = [{"weight": weight, "panel": {"hidden-pair L1": error, "SSIM": reached,
                                           "cycle L1": cycle}}
              for weight, error, reached, cycle in table]
    weights = [number(call(answer, points=points, floor=floor), "the weight")
               for floor in (0.55, 0.7)]  # one point reaches exactly 0.7
    try:
        nothing = again(answer, "where no point reaches the floor", points=points, floor=0.95)
        found = f"found {kind(nothing)}"
    except Wrong as error:
        nothing, found = None, str(error).rstrip(".")
    return {"weight": weights[0], "at the floor": weights[1], "_found": found,
            "none": isinstance(nothing, float) and math.isnan(nothing)}
