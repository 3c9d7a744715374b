"""The exercises of notebook 03 on the losses: which network sees which image, how heavily."""

import torch

from gantutor.check.answers import Affine, PatchScore, images, number, two_numbers
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.losses import lsgan_generator_loss


def toys():
    """Generators that do not commute, two images each; no two mistakes have the same value."""
    return {"x": images(0.4, -0.8), "y": images(0.6, 0.2), "G_xy": Affine(0.6, 0.3),
            "G_yx": Affine(0.8, -0.2)}


def l1(a, b):
    return (a - b).abs().mean()


def l1_sum(a, b):
    return (a - b).abs().sum()


def l2(a, b):
    return (a - b).square().mean()


def cycle(x, y, G_xy, G_yx, d=l1, cut=lambda image: image):
    """Both cycles; d: the distance; cut: what happens between the way there and the way back."""
    return d(G_yx(cut(G_xy(x))), x) + d(G_xy(cut(G_yx(y))), y)


def identity(x, y, G_xy, G_yx, d=l1):
    return d(G_xy(y), y) + d(G_yx(x), x)


def cut_cycle(*a):
    return cycle(*a, cut=lambda image: image.detach())


def x_cycle(x, y, G_xy, G_yx):
    return l1(G_yx(G_xy(x)), x)


def y_cycle(x, y, G_xy, G_yx):
    return l1(G_xy(G_yx(y)), y)


def identity_with_no_grad(k):
    """The identity loss with generator number k under no_grad, G_xy or G_yx."""
    def answer(x, y, *generators):
        halves = []
        for n, (image, G) in enumerate(zip((y, x), generators, strict=True)):
            with torch.set_grad_enabled(n != k):
                halves.append(l1(G(image), image))
        return sum(halves)
    return answer


WRONG = {  # what people write in the place of either loss
    "once": lambda x, y, G_xy, G_yx: l1(G_xy(x), x) + l1(G_yx(y), y),
    "compared with the other": lambda x, y, G_xy, G_yx: (
        l1(G_yx(G_xy(x)), y) + l1(G_xy(G_yx(y)), x)),
    "wrong order": lambda x, y, G_xy, G_yx: cycle(x, y, G_yx, G_xy),
    "compared with x": lambda x, y, G_xy, G_yx: l1(G_xy(y), x) + l1(G_yx(x), y)}


@loss_exercise(right=cycle, mistakes={
    "identity": identity, **WRONG, "only x": x_cycle, "only y": y_cycle,
    "halved": lambda *a: cycle(*a) / 2,
    "sum": Mistake(lambda *a: cycle(*a, l1_sum), lambda *a: cycle(*a, l1_sum) / 2),
    "squared": lambda *a: cycle(*a, l2),
    "no absolute value": lambda *a: cycle(*a, lambda p, q: (p - q).mean()),
    "absolute value of the mean": lambda *a: cycle(*a, lambda p, q: (p - q).mean().abs()),
    "cut": cut_cycle, "detached": lambda *a: cycle(*a).detach()})
def cycle_loss():
    """my_cycle_loss(x, y, G_xy, G_yx): both cycles."""
    return toys()


@loss_exercise(right=identity, mistakes={
    "cycle": cycle, **WRONG,
    "only y": lambda x, y, G_xy, G_yx: l1(G_xy(y), y),
    "only x": lambda x, y, G_xy, G_yx: l1(G_yx(x), x),
    "halved": lambda *a: identity(*a) / 2,
    "sum": Mistake(lambda *a: identity(*a, l1_sum), lambda *a: identity(*a, l1_sum) / 2),
    "squared": lambda *a: identity(*a, l2),
    "G_xy without gradient": identity_with_no_grad(0),
    "G_yx without gradient": identity_with_no_grad(1)})
def identity_loss():
    """my_identity_loss(x, y, G_xy, G_yx): both directions."""
    return toys()


@exercise(right=(5, 0), also_right=[[5, 0], (torch.tensor(5.0), 0.0)], mistakes={
    "not multiplied": (0.5, 0.5), "added": (10.5, 0.5), "the cycle's": (10.0, 0.0),
    "still there": (5, 0.5)})
def identity_weight(answer):
    """The identity term's weights at (lambda_cyc, lambda_idt) = (10, 0.5) and (0, 0.5)."""
    return dict(zip(("first", "second"), two_numbers(answer, "weight"), strict=True))


def adversarial(x, y, fake_x, fake_y, D_x, D_y, loss=lsgan_generator_loss):
    return loss(D_y(fake_y)) + loss(D_x(fake_x))


def generator(adversarial=adversarial, cycle=cycle, identity=identity,
              weigh=lambda cyc, idt, c, i: c * cyc + c * i * idt):
    """The whole generator loss with one thing replaced."""
    def answer(x, y, G_xy, G_yx, D_x, D_y, lambda_cyc, lambda_idt):
        return adversarial(x, y, G_yx(y), G_xy(x), D_x, D_y) + weigh(
            cycle(x, y, G_xy, G_yx), identity(x, y, G_xy, G_yx), lambda_cyc, lambda_idt)
    return answer


def scored(loss):
    """The whole generator loss with another adversarial loss than LSGAN's."""
    return generator(lambda *a: adversarial(*a, loss))


def with_cycle(cycle, **more):
    """`cycle` in the cycle's place, with its weight and without."""
    return [generator(cycle=cycle, **more), generator(cycle=lambda *a: cycle(*a) / 10, **more)]


def with_identity(identity):
    """`identity` in the identity's place, where lambda_cyc is a factor of it and where not."""
    return [generator(identity=identity), generator(identity=lambda *a: identity(*a) / 10)]


def one_weighted(one, other):
    """lambda_cyc before one cycle; the other has no weight, or is missing."""
    return [generator(cycle=one), generator(cycle=lambda *a: one(*a) + other(*a) / 10)]


def detached(*which):
    """Fakes that are detached before D: 0 is the fake x, 1 the fake y."""
    return generator(lambda x, y, *a: adversarial(x, y, *(
        fake.detach() if k in which else fake for k, fake in enumerate(a[:2])), *a[2:]))


@loss_exercise(right=generator(), watch=("G_xy", "G_yx"), mistakes={
    "swapped": generator(lambda x, y, fake_x, fake_y, D_x, D_y: adversarial(
        x, y, fake_x, fake_y, D_y, D_x)),
    "label of a fake": scored(lambda s: s.square().mean()),
    "real images": generator(lambda x, y, fake_x, fake_y, *D: adversarial(x, y, x, y, *D)),
    "halved": scored(lambda s: lsgan_generator_loss(s) / 2),
    "sigmoid": scored(lambda s: lsgan_generator_loss(s.sigmoid())),
    "detached": Mistake(detached(0, 1), detached(0), detached(1)),
    "identity": Mistake(*with_cycle(identity), *with_cycle(identity, identity=cycle)),
    **{name: Mistake(*with_cycle(wrong), *with_identity(wrong)) for name, wrong in WRONG.items()},
    "cycles unweighted": generator(weigh=lambda cyc, idt, c, i: (cyc if c else 0) + c * i * idt),
    "one cycle weighted": Mistake(*one_weighted(x_cycle, y_cycle), *one_weighted(y_cycle, x_cycle)),
    "no identity": generator(weigh=lambda cyc, idt, c, i: c * cyc),
    "without lambda_cyc": generator(weigh=lambda cyc, idt, c, i: c * cyc + i * idt),
    "without lambda_idt": generator(
        weigh=lambda cyc, idt, c, i: c * (cyc + idt) if i else c * cyc),
    "cycle": Mistake(*with_identity(cycle)), "cut": generator(cycle=cut_cycle)})
def generator_loss():
    """my_generator_loss(x, y, G_xy, G_yx, D_x, D_y, lambda_cyc, lambda_idt): the whole of it.

    Three settings of the weights tell the three parts apart.
    """
    settings = {"with both weights 0": (0.0, 0.0), "with lambda_cyc = 10": (10.0, 0.0),
                "with lambda_cyc = 10 and lambda_idt = 0.5": (10.0, 0.5)}
    return [(case, toys() | {"D_x": PatchScore(0.8, 0.3), "D_y": PatchScore(-0.6, 0.2),
                             "lambda_cyc": lambda_cyc, "lambda_idt": lambda_idt})
            for case, (lambda_cyc, lambda_idt) in settings.items()]


@exercise(right=70, also_right=[torch.tensor(70)], mistakes={
    "forwards": 28, "without strides": 16, "two strides": 34, "four strides": 142,
    "one without stride": 46, "added up": 20})
def receptive_field(answer):
    """The width of the patch that one score of the 70 x 70 PatchGAN sees."""
    return {"field": number(answer, "the receptive field")}
