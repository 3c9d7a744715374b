"""Notebook 04's checks against the mistakes they exist for, and against other right answers."""

import pytest
import torch
import torch.nn.functional as F

from gantutor.check import stargan


def code(unknown=0.0, mask=lambda m: m, order=lambda a, b, m: [a, b, m], place=lambda block: block):
    """The joint code with one thing replaced."""
    def answer(labels, block):
        n = len(labels)
        a, b = (torch.full((n, width), unknown) for width in (5, 4))
        if place(block) == 0:
            a = labels[:, :5] if labels.shape[1] >= 5 else F.pad(labels, (0, 1))
        else:
            b = labels[:, :4]
        m = torch.zeros(n, 2)
        m[:, block] = 1
        return torch.cat(order(a, b, mask(m)), 1)
    return answer


def edit(clear=True, switch=True, also=lambda found, k: found):
    def answer(labels, k):
        found = labels.clone()
        if k < 3:
            if clear:
                found[:, :3] = 0
            found[:, k] = 1
        else:
            found[:, k] = 1 - found[:, k] if switch else 1
        return also(found, k)
    return answer


def toggled_hair(labels, k):
    found = labels.clone()
    found[:, k] = 1 - found[:, k]
    return found


def toggled_and_cleared(labels, k):
    """Switches a hair colour off where it is there."""
    found = labels.clone()
    if k < 3:
        found[:, :3] = 0
    found[:, k] = 1 - labels[:, k]
    return found


def shuffled(within=True, rows=True, draw=torch.randperm):
    def answer(code):
        target = code.clone()
        for part in (code[:, 9] == 1, code[:, 10] == 1) if within else (code[:, 9] >= 0,):
            place = part.nonzero()[:, 0]
            if rows:
                target[place] = code[place[draw(len(place))]]
            else:
                for k in range(11):
                    target[place, k] = code[place[torch.randperm(len(place))], k]
        return target
    return answer


def random_bits(code):
    target = code.clone()
    target[:, :9] = (torch.rand(len(code), 9) < 0.5).float()
    return target


def one_hair_random_bits(code):
    target = code.clone()
    target[:, 3:9] = (torch.rand(len(code), 6) < 0.5).float()
    return target


def drawn_with_replacement(n):
    return torch.randint(n, (n,))


def class_loss(a=lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum"),
               b=lambda z, y: F.cross_entropy(z, y.argmax(1), reduction="sum"),
               total=lambda a, b, n_a, n_b: (a + b) / (n_a + n_b)):
    def answer(logits, code):
        rows = code[:, 9] == 1
        return total(a(logits[rows, :5], code[rows, :5]), b(logits[~rows, 5:], code[~rows, 5:9]),
                     int(rows.sum()), int((~rows).sum()))
    return answer


def bce_everywhere(reduction, divide):
    def answer(logits, code):
        loss = F.binary_cross_entropy_with_logits(logits, code[:, :9], reduction=reduction)
        return loss / (len(code) if divide else 1)
    return answer


def penalty(at=lambda real, fake, a: a * real + (1 - a) * fake, score=torch.sum,
            norm=lambda g: g.flatten(1).norm(dim=1), loss=lambda n: ((n - 1) ** 2).mean(),
            graph=True):
    def answer(D, real, fake, alpha):
        x = at(real, fake, alpha.view(-1, 1, 1, 1)).detach().requires_grad_()
        (g,) = torch.autograd.grad(score(D(x)), x, create_graph=graph)
        return loss(norm(g))
    return answer


def per_patch_mean(scores):
    return scores.mean((1, 2, 3)).sum()


MISTAKES = [
    (stargan.code, "no mask", lambda labels, block: code()(labels, block)[:, :9],
     "mask is missing"),
    (stargan.code, "mask inverted", code(mask=lambda m: 1 - m), "wrong way round"),
    (stargan.code, "mask first", code(order=lambda a, b, m: [m, a, b]), "in front"),
    (stargan.code, "unknown as minus one", code(unknown=-1.0), r"holds \[-1.0\]"),
    (stargan.code, "unknown as a half", code(unknown=0.5), r"holds \[0.5\]"),
    (stargan.code, "blocks exchanged", code(place=lambda block: 1 - block), "do not stand in"),
    (stargan.code, "mask of zeros", code(mask=torch.zeros_like), "all zeros"),
    (stargan.code, "transposed", lambda labels, block: code()(labels, block).T, "shape"),
    (stargan.edit, "two hair colours", edit(clear=False), "two hair colours"),
    (stargan.edit, "hair toggled", toggled_hair, "two hair colours|no hair colour"),
    (stargan.edit, "hair switched off", toggled_and_cleared, "no hair colour left"),
    (stargan.edit, "set, not switched", edit(switch=False), "comes? off"),
    (stargan.edit, "nothing", lambda labels, k: labels.clone(), "nothing has changed|two hair"),
    (stargan.edit, "in place", lambda labels, k: labels.mul_(0), "in place"),
    (stargan.targets, "across the sets", shuffled(within=False), "asked for a code of set B"),
    (stargan.targets, "columns", shuffled(rows=False), "two hair colours"),
    (stargan.targets, "random bits", random_bits, "two hair colours"),
    (stargan.targets, "random bits but for hair", one_hair_random_bits, "does not occur"),
    (stargan.targets, "its own", lambda code: code.clone(), "its own code"),
    (stargan.targets, "with replacement", shuffled(draw=drawn_with_replacement), "more often"),
    (stargan.class_loss, "unknown as zero", bce_everywhere("sum", True), "Unknown labels"),
    (stargan.class_loss, "unknown as zero, mean", bce_everywhere("mean", False), "and averaged"),
    (stargan.class_loss, "mean over attributes",
     class_loss(a=lambda z, y: F.binary_cross_entropy_with_logits(z, y) * len(z)), "summed"),
    (stargan.class_loss, "means added", class_loss(total=lambda a, b, n, m: a / n + b / m),
     "each image counts once"),
    (stargan.class_loss, "sum", class_loss(total=lambda a, b, n, m: a + b), "divide by N"),
    (stargan.class_loss, "no B", class_loss(b=lambda z, y: 0), "B's expressions are not"),
    (stargan.class_loss, "no A", class_loss(a=lambda z, y: 0), "A's attributes are not"),
    (stargan.class_loss, "sigmoid twice", class_loss(
        a=lambda z, y: F.binary_cross_entropy_with_logits(z.sigmoid(), y, reduction="sum")),
     "sigmoid before"),
    (stargan.class_loss, "softmax twice", class_loss(
        b=lambda z, y: F.cross_entropy(z.softmax(1), y.argmax(1), reduction="sum")),
     "softmax before"),
    (stargan.class_loss, "four sigmoids", class_loss(
        b=lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum")), "one softmax"),
    (stargan.class_loss, "detached", lambda logits, code: class_loss()(logits.detach(), code),
     "no gradient"),
    (stargan.penalty, "one norm a batch", penalty(norm=lambda g: g.norm()), "whole batch"),
    (stargan.penalty, "no root", penalty(loss=lambda n: ((n**2 - 1) ** 2).mean()), "root"),
    (stargan.penalty, "towards zero", penalty(loss=lambda n: (n**2).mean()), "pulled to 0"),
    (stargan.penalty, "absolute", penalty(loss=lambda n: (n - 1).abs().mean()), "not squared"),
    (stargan.penalty, "sum", penalty(loss=lambda n: ((n - 1) ** 2).sum()), "a sum over"),
    (stargan.penalty, "at the real", penalty(at=lambda r, f, a: r), "at the real"),
    (stargan.penalty, "at the fake", penalty(at=lambda r, f, a: f), "at the fakes"),
    (stargan.penalty, "patches averaged", penalty(score=per_patch_mean), "averaged before"),
    (stargan.penalty, "all averaged", penalty(score=torch.mean), "patches and images"),
    (stargan.penalty, "a norm a pixel", penalty(norm=lambda g: g.norm(dim=1)), "a pixel"),
    (stargan.penalty, "no create_graph", penalty(graph=False), "create_graph|no gradient"),
    (stargan.networks, "squared", (2304, 1), "into itself"),
    (stargan.networks, "CycleGANs, not generators", (1128, 1), "two generators"),
    (stargan.networks, "one source", (47, 1), "every look can be a source"),
    (stargan.networks, "places of the code", (110, 1), "48 looks"),
    (stargan.networks, "one a look", (2256, 48), "G\\(x, code\\)"),
    (stargan.networks, "one number", 2256, "two numbers"),
]


OTHER_WAYS = {
    stargan.code: [code(), lambda labels, block: F.pad(labels, (0, 6) if block == 0 else (5, 2))
                   + F.one_hot(torch.tensor(9 + block), 11)],
    stargan.edit: [edit()],
    stargan.targets: [shuffled(), shuffled(draw=lambda n: torch.arange(n).roll(1))],
    stargan.class_loss: [class_loss()],
    stargan.penalty: [penalty(), penalty(at=lambda r, f, a: a * f + (1 - a) * r)],
    stargan.networks: [(2256, 1), [48 * 47, 1.0]],
}


@pytest.mark.parametrize("exercise,answer",
                         [(e, a) for e, ways in OTHER_WAYS.items() for a in ways],
                         ids=lambda v: getattr(v, "__name__", "answer"))
def test_other_right_ways_are_right(exercise, answer):
    verdict = exercise(answer)
    assert verdict.state == "right" and verdict.reason, verdict
