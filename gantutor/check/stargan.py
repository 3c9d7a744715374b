"""The exercises of notebook 04: codes, targets, the class loss, the gradient penalty."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import call, kind, two_numbers
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.check.verdict import Wrong
from gantutor.data.faces import BLOCKS, code_vector
from gantutor.losses import gradient_penalty
from gantutor.methods.stargan import JointStarGAN


def labels_of_both():
    """Labels of sets A and B, no two rows alike; made anew, for an answer may spoil them."""
    return (torch.tensor([[1.0, 0, 0, 1, 1], [0, 1, 0, 0, 1], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0]]),
            torch.eye(4)[[0, 2, 3]])


def mixed():
    """Codes of both sets, (7, 11), A's rows first."""
    return torch.cat([code_vector(labels, block) for block, labels in enumerate(labels_of_both())])


def rows(value, n, what):
    """A tensor of n rows as n texts."""
    if not isinstance(value, torch.Tensor) or value.ndim != 2 or len(value) != n:
        raise Wrong(f"{what} should be a tensor with {n} rows, found {kind(value)}.")
    return [f"[{', '.join(f'{v + 0.0:.4g}' for v in row)}]" for row in value.detach().tolist()]



def joint(unknown=0.0, order=lambda a, b, m: [a, b, m], place=lambda block: block):
    """The joint code with one thing replaced; m: the mask."""
    def answer(labels, block):
        a, b = (torch.full((len(labels), width), unknown) for width in BLOCKS)
        (a, b)[place(block)][:, :labels.shape[1]] = labels[:, :BLOCKS[place(block)]]
        return torch.cat(order(a, b, torch.eye(2)[[block] * len(labels)]), 1)
    return answer


@exercise(right=joint(), also_right=[code_vector], mistakes={
    "no mask": joint(order=lambda a, b, m: [a, b]),
    "mask inverted": joint(order=lambda a, b, m: [a, b, 1 - m]),
    "mask first": joint(order=lambda a, b, m: [m, a, b]),
    "mask of zeros": joint(order=lambda a, b, m: [a, b, 0 * m]),
    "unknown": Mistake(joint(unknown=-1.0), joint(unknown=0.5)),
    "another block": Mistake(joint(place=lambda block: 1 - block), joint(place=lambda _: 0)),
    "transposed": lambda *a: joint()(*a).T})
def code(answer):
    """my_code(labels, block): (N, 5) with block 0, or (N, 4) with block 1 -> (N, 11)."""
    return {f"set {name}": rows(call(answer, labels=labels, block=block), len(labels),
                                f"the code of set {name}")
            for block, (name, labels) in enumerate(zip("AB", labels_of_both(), strict=True))}


def edited(clear=True, hair=lambda old: 1, switch=lambda old: 1 - old):
    def answer(labels, k):
        found = labels.clone()
        if clear and k < 3:
            found[:, :3] = 0
        found[:, k] = (hair if k < 3 else switch)(labels[:, k])
        return found
    return answer


@exercise(right=edited(), mistakes={
    "two hair colours": Mistake(edited(clear=False), edited(clear=False, hair=lambda old: 1 - old)),
    "no hair colour": edited(hair=lambda old: 1 - old),
    "nothing": lambda labels, k: labels.clone(), "only hair": edited(switch=lambda old: old),
    "set": edited(switch=lambda old: 1), "in place": lambda labels, k: labels.mul_(0)})
def edit(answer):
    """my_edit(labels, k): A's labels (N, 5) with attribute k edited; k = 0, 1, 2 are hair."""
    (labels, _), hair, seen = labels_of_both(), [], {}
    for k in range(5):
        found = call(answer, labels=labels, k=k)
        after = rows(found, len(labels), f"for k={k} the result")
        hair += found[:, :3].sum(1).tolist()
        seen[f"k={k}"] = {f"for k={k} the labels {old}": new
                          for old, new in zip(rows(labels, 4, ""), after, strict=True)}
    return {"at most one": max(hair) <= 1, "at least one": min(hair) > 0} | seen


def shuffled(parts=lambda code: (code[:, 9] == 1, code[:, 10] == 1), columns=(slice(None),),
             draw=torch.randperm):
    """Targets drawn within each of the parts, all columns together or one after the other."""
    def answer(code):
        target = code.clone()
        for part in parts(code):
            place = part.nonzero()[:, 0]
            for k in columns:
                target[place, k] = code[place[draw(len(place))], k]
        return target
    return answer


def random_bits(first):
    return lambda code: torch.cat([code[:, :first], torch.randint(2, (len(code), 9 - first)),
                                   code[:, 9:]], 1)


@exercise(
    right=shuffled(), also_right=[shuffled(draw=lambda n: torch.randint(n, (n,)))], mistakes={
        "two hair colours": Mistake(shuffled(columns=range(11)), random_bits(0)),
        "across the sets": shuffled(parts=lambda code: (code[:, 9] >= 0,)),
        "not in the batch": random_bits(3),
        "its own": Mistake(torch.clone, shuffled(parts=lambda code: (code[:, 9] == 1,))),
        "one for all": shuffled(draw=lambda n: torch.zeros(n).long())})
def targets(answer):
    """my_targets(code): for each code of a mixed batch another one of its own set."""
    codes = mixed()[torch.randint(7, (60,))]
    target = call(answer, code=codes)
    found, own = (rows(c, 60, "the targets") for c in (target, codes))
    set_of = dict(zip(own, codes[:, 9].tolist(), strict=True))
    pairs = list(zip(found, own, strict=True))
    sets = [[(f, o) for f, o in pairs if set_of[o] == k] for k in (1, 0)]
    return {"one hair colour": (target[:, :3].sum(1) <= 1).all().item(),
            "within a set": all(set_of.get(f, set_of[o]) == set_of[o] for f, o in pairs),
            "in the batch": set(found) <= set(own),
            "another's": all(any(f != o for f, o in one) for one in sets),
            "different": all(len({f for f, _ in one}) > 1 for one in sets)}


bce = partial(F.binary_cross_entropy_with_logits, reduction="sum")


def ce(z, y):
    return F.cross_entropy(z, y.argmax(1), reduction="sum")


def judged(a=bce, b=ce, total=lambda a, b, n_a, n_b: (a + b) / (n_a + n_b)):
    """The class loss with one thing replaced; a, b: the losses of the two sets' rows."""
    def answer(logits, code):
        rows = code[:, 9] == 1
        return total(a(logits[rows, :5], code[rows, :5]), b(logits[~rows, 5:], code[~rows, 5:9]),
                     rows.sum(), (~rows).sum())
    return answer


@loss_exercise(
    right=judged(), also_right=[lambda *a: JointStarGAN(
        nn.Identity(), nn.Identity(), BLOCKS).classification_loss(*a)],
    mistakes={
        "unknown": Mistake(lambda z, code: bce(z, code[:, :9]) / len(z),
                           lambda z, code: bce(z, code[:, :9], reduction="mean")),
        "mean over attributes": judged(a=lambda z, y: bce(z, y) / 5),
        "means added": judged(total=lambda a, b, n_a, n_b: a / n_a + b / n_b),
        "sum": judged(total=lambda a, b, *n: a + b),
        "no B": judged(b=lambda *a: 0), "no A": judged(a=lambda *a: 0),
        "sigmoid twice": judged(a=lambda z, y: bce(z.sigmoid(), y)),
        "softmax twice": judged(b=lambda z, y: ce(z.softmax(1), y)), "four sigmoids": judged(b=bce),
        "detached": lambda *a: judged()(*a).detach()})
def class_loss():
    """my_class_loss(logits, code): logits (N, 9), codes (N, 11) of both sets mixed."""
    logits = torch.linspace(-1.6, 1.9, 7 * 9).view(7, 9).sin().mul(2).requires_grad_()
    return {"logits": logits, "code": mixed()}


def penalised(at=lambda real, fake, a: a * real + (1 - a) * fake, score=torch.sum,
              norm=lambda g: g.flatten(1).norm(dim=1), loss=lambda n: (n - 1).square().mean(),
              graph=True):
    """The gradient penalty with one thing replaced."""
    def answer(D, real, fake, alpha):
        x = at(real, fake, alpha.view(-1, 1, 1, 1)).detach().requires_grad_()
        (g,) = torch.autograd.grad(score(D(x)), x, create_graph=graph)
        return loss(norm(g))
    return answer


@loss_exercise(
    right=penalised(),
    also_right=[gradient_penalty, penalised(lambda real, fake, a: a * fake + (1 - a) * real)],
    mistakes={
        "one norm": penalised(norm=torch.norm),
        "no root": penalised(loss=lambda n: (n**2 - 1).square().mean()),
        "towards 0": penalised(loss=lambda n: n.square().mean()),
        "not squared": penalised(loss=lambda n: (n - 1).abs().mean()),
        "sum": penalised(loss=lambda n: (n - 1).square().sum()),
        "not between": Mistake(penalised(lambda r, f, a: r), penalised(lambda r, f, a: f)),
        "patches averaged": penalised(score=lambda s: s.mean((1, 2, 3)).sum()),
        "all averaged": penalised(score=torch.mean),
        "norm of a pixel": penalised(norm=lambda g: g.norm(dim=1)),
        "no create_graph": penalised(graph=False)})
def penalty():
    """my_penalty(D, real, fake, alpha): D's scores (N, 1, h, w), alpha (N,).

    A pair's two images are real and fake in turn, with one alpha: to exchange them is as good.
    """
    torch.manual_seed(19)  # a D whose gradient is not of length 1 anyway
    D, real = nn.Sequential(nn.Conv2d(3, 1, 2), nn.Tanh()), torch.rand(4, 3, 4, 6) * 2 - 1
    return {"D": D, "real": real, "fake": real[[1, 0, 3, 2]],
            "alpha": torch.tensor([0.2, 0.2, 0.7, 0.7])}


@exercise(right=(2256, 1), also_right=[[48 * 47, 1.0]], mistakes={
    "into itself": (2304, 1), "CycleGANs": (1128, 1), "one source": (47, 1), "one a look": (48, 1),
    "places": (110, 1), "not one": (2256, 48), "one number": 2256})
def networks(answer):
    """(generators for all pairs of the 48 looks by CycleGANs, by StarGAN)."""
    return dict(zip(("first", "second"), two_numbers(answer, "number"), strict=True))
