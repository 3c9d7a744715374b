"""The exercises of notebook 01: the losses of two players, and one step of each."""

import numpy as np
import torch
import torch.nn.functional as F

from gantutor.check.answers import Affine, PatchScore, call, images, kind, number, two_numbers
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.check.verdict import Wrong
from gantutor.losses import (
    bce_discriminator_loss,
    bce_generator_loss,
    lsgan_discriminator_loss,
    lsgan_generator_loss,
)


def converted(arrange=lambda i: i.permute(1, 2, 0), scale=lambda i: (i + 1) / 2):
    """The picture with another order of its axes, or another range."""
    return lambda image: scale(arrange(image))


@exercise(right=converted(), also_right=[lambda i: converted()(i).numpy()], mistakes={
    "H and W swapped": Mistake(converted(lambda i: i.permute(2, 1, 0)), converted(lambda i: i.T)),
    "channels first": converted(lambda i: i),
    "reshape": Mistake(converted(lambda i: i.reshape(4, 6, 3)), lambda i: i.view(4, 6, 3)),
    "upside down": converted(lambda i: i.permute(1, 2, 0).flip(0)),
    "mirrored": converted(lambda i: i.permute(1, 2, 0).flip(1)),
    "range untouched": converted(scale=lambda i: i),
    "only halved": converted(scale=lambda i: i / 2), "not halved": converted(scale=lambda i: i + 1),
    "bytes": converted(scale=lambda i: ((i + 1) * 127.5).byte()),
    "clamped": converted(scale=lambda i: i.clamp(0, 1))})
def picture(answer):
    """my_picture(image): (3, H, W) in [-1, 1] -> (H, W, 3) in [0, 1]."""
    found = call(answer, image=torch.linspace(-1, 1, 3 * 4 * 6).view(3, 4, 6))
    if not isinstance(found, torch.Tensor | np.ndarray):
        raise Wrong(f"expected a tensor or an array, found {kind(found)}.")
    found = torch.as_tensor(found).detach().float()
    brightest = found.flatten().argsort()[36:]  # half of them: clamp makes the others equal
    return {"shape": str(tuple(found.shape)), "places": brightest,
            "range": [round(f(found).item(), 3) for f in (torch.min, torch.max)],
            "first pixel": found.flatten()[:3], "pixels": found}


def log_sigmoid(s, epsilon=0.0):
    return -(s.sigmoid() + epsilon).log().mean()


@loss_exercise(
    right=bce_generator_loss,
    also_right=[lambda s: F.binary_cross_entropy_with_logits(s, torch.ones_like(s))],
    mistakes={
        "sum": lambda s: F.softplus(-s).sum(),
        "sigmoid before logits": lambda s: bce_generator_loss(s.sigmoid()),
        "label swapped": lambda s: bce_generator_loss(-s),
        "saturating": lambda s: -bce_generator_loss(-s),
        "sign": lambda s: -bce_generator_loss(s), "least squares": lsgan_generator_loss,
        "no logarithm": Mistake(lambda s: s.sigmoid().mean(), lambda s: -s.sigmoid().mean()),
        "detached": lambda s: bce_generator_loss(s.detach()),
        "overflows": Mistake(lambda s: (-s).exp().log1p().mean(), log_sigmoid),
        "cut off": lambda s: F.binary_cross_entropy(s.sigmoid(), torch.ones_like(s)),
        "epsilon": Mistake(*(lambda s, e=e: log_sigmoid(s, e) for e in (1e-12, 1e-8, 1e-7, 1e-6))),
        "one loss per score": lambda s: F.softplus(-s),
        "item": lambda s: bce_generator_loss(s).item()})
def bce_loss():
    """my_bce(fake_scores): mean of -log sigmoid(score)."""
    return [(case, {"fake_scores": torch.tensor(scores).view(-1, 1, 1, 1).repeat(1, 1, 2, 3)
                    .requires_grad_()})
            for case, scores in (("", (-1.0, 2.0)), ("at a score of -200", (-200.0,)))]


def toys():
    return {"G": Affine(0.5, 0.1), "D": PatchScore(0.8, 0.3), "x": images(0.6, -0.2),
            "y": images(-0.4, 1.0)}


def d_loss(loss=lsgan_discriminator_loss, times=1, cut=lambda fake: fake.detach()):
    return lambda D, real, fake: times * loss(D(real), D(cut(fake)))


NOT_ALONE = {  # halved or not
    "swapped": lambda real, fake: lsgan_discriminator_loss(fake, real),
    "sum": lambda real, fake: lsgan_discriminator_loss(real, fake) * real.numel(),
    "sigmoid": lambda *scores: lsgan_discriminator_loss(*(s.sigmoid() for s in scores))}


@loss_exercise(right=d_loss(), mistakes={
    "not halved": d_loss(times=2), **{name: d_loss(loss) for name, loss in NOT_ALONE.items()},
    **{f"{name} and not halved": d_loss(loss, 2) for name, loss in NOT_ALONE.items()},
    "cross-entropy": d_loss(bce_discriminator_loss),
    "only real": Mistake(*(d_loss(lambda r, f: (r - 1).square().mean(), k) for k in (0.5, 1))),
    "only fakes": Mistake(*(d_loss(lambda r, f: f.square().mean(), k) for k in (0.5, 1))),
    "missing detach": d_loss(cut=lambda fake: fake),
    "scores detached": lambda D, real, fake: lsgan_discriminator_loss(D(real), D(fake).detach())})
def discriminator_loss():
    """my_discriminator_loss(D, real, fake): halved least squares; fake comes with G's graph."""
    G, D, x, y = toys().values()
    return {"D": D, "real": y, "fake": G(x)}


def g_loss(loss=lsgan_generator_loss, cut=lambda fake: fake):
    return lambda D, G, x: loss(D(cut(G(x))))


@loss_exercise(
    right=g_loss(), also_right=[lambda D, G, x: g_loss()(D, G, x).view(1)], watch=("G",),
    mistakes={
        "label of a fake": g_loss(lambda s: s.square().mean()),
        "halved": g_loss(lambda s: lsgan_generator_loss(s) / 2),
        "sum": g_loss(lambda s: (s - 1).square().sum()),
        "sigmoid": g_loss(lambda s: lsgan_generator_loss(s.sigmoid())),
        "D sees x": lambda D, G, x: lsgan_generator_loss(D(x)),
        "wrong order": lambda D, G, x: lsgan_generator_loss(G(D(x))),
        "cross-entropy": g_loss(bce_generator_loss),
        "detached": Mistake(g_loss(cut=lambda fake: fake.detach()), lambda D, G, x: (
            g_loss()(D, torch.no_grad()(G.forward), x)))})
def generator_loss():
    """my_generator_loss(D, G, x): least squares, not halved."""
    return {name: toys()[name] for name in ("D", "G", "x")}


def step(*without, order="GD"):
    """One step of each player, right but for what is left out."""
    def answer(G, D, optimiser_G, optimiser_D, x, y):
        fake, losses = G(x), {}
        for player in order:
            D.requires_grad_("freeze" in without if player == "G" else "unfreeze" not in without)
            if player == "D":
                fake = G(x) if "the same fakes" in without else fake
                loss = d_loss(cut=lambda f: f if "detach" in without else f.detach())(D, y, fake)
            else:
                loss = lsgan_generator_loss(D(fake))
            optimiser = optimiser_G if player == "G" else optimiser_D
            if f"zero_grad {player}" not in without:
                optimiser.zero_grad()
            loss.backward(retain_graph="using up" in without)
            optimiser.step()
            losses[player] = loss.detach()
        D.requires_grad_("D as it was" not in without)
        return losses["G"], losses["D"]
    return answer


def _sgd(net, steps, name):
    """SGD that notes its steps in a list; an earlier step's gradient still lies in the weights."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    optimiser.register_step_post_hook(lambda *_: steps.append(name))
    for p in net.parameters():
        p.grad = torch.full_like(p, 5.0)
    return optimiser


def _moved(name, net):
    """What each weight was moved by, over the learning rate: the gradient it went along."""
    return {f"{name}'s {which}": (start - now).item() / 0.1 for (which, start), now in zip(
        toys()[name].named_parameters(), net.parameters(), strict=True)}


@exercise(right=step(), also_right=[lambda *a: [loss.item() for loss in step()(*a)]], mistakes={
    "still frozen": step("unfreeze"), "graph used up": step("detach"),
    "left frozen": Mistake(step("unfreeze", "detach", "the same fakes"), step("D as it was")),
    "D first": step(order="DG"),
    "no step": lambda *a: (torch.zeros(()), torch.zeros(())),
    "missing detach": Mistake(step("detach", "using up"), step("detach", "the same fakes")),
    "D not frozen": Mistake(step("freeze"), step("freeze", "zero_grad D")),
    "zero_grad G": step("zero_grad G"), "zero_grad D": step("zero_grad D"),
    "fakes anew": step("the same fakes"), "losses swapped": lambda *a: step()(*a)[::-1]})
def two_steps(answer):
    """my_step(G, D, optimiser_G, optimiser_D, x, y) -> (loss_G, loss_D), G first."""
    G, D, x, y = toys().values()
    steps, reached_G = [], []
    G.scale.register_hook(lambda _: reached_G.append(True))
    try:
        losses = call(answer, G=G, D=D, optimiser_G=_sgd(G, steps, "G"),
                      optimiser_D=_sgd(D, steps, "D"), x=x, y=y)
    except Wrong as error:
        if "G" in steps and not D.weight.requires_grad:
            return {"stopped": "frozen", "_error": error}
        if any(sign in str(error) for sign in ("second time", "inplace operation")):
            return {"stopped": "used up", "_error": error}
        raise
    if not (isinstance(losses, tuple | list) and len(losses) == 2):
        raise Wrong(f"expected the pair (loss_G, loss_D), found {kind(losses)}.")
    return {"stopped": "", "D can learn": all(p.requires_grad for p in D.parameters()),
            "order": " ".join(steps) or "(none)", "D's loss reaches G": len(reached_G) > 1,
            "D was frozen": not D.through_fakes, "G": _moved("G", G), "D": _moved("D", D),
            "losses": {name: number(loss, name)
                       for name, loss in zip(("loss_G", "loss_D"), losses, strict=True)}}


@exercise(right=(0.25, 0.25), also_right=[[torch.tensor(0.25), 1 / 4]], mistakes={
    "D not halved": (0.5, 0.25), "G halved": (0.25, 0.125), "not squared": (0.25, 0.5),
    "one number": 0.25})
def even_players(answer):
    """(loss_D, loss_G) where D says 0.5 to everything."""
    return dict(zip(("D's loss", "G's loss"), two_numbers(answer, "loss"), strict=True))
