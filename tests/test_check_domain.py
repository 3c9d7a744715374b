"""Notebook 06's checks against the mistakes they exist for, and against other right answers."""

import math
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F

from gantutor.check import domain
from gantutor.losses import bce_discriminator_loss as bce
from gantutor.losses import gradient_reversal


def cut(z):
    return z.detach()


def keep(z):
    return z


def losses(own=bce, encoders=lambda x, y: bce(y, x), x_own=cut, y_own=cut, x=keep, y=keep,
           order=lambda a, b: (a, b)):
    """(the encoders' loss, D_z's) with one thing replaced; `own` and `encoders` of s_x, s_y."""
    def answer(D_z, z_x, z_y):
        return order(encoders(D_z(x(z_x)), D_z(y(z_y))), own(D_z(x_own(z_x)), D_z(y_own(z_y))))
    return answer


def with_labels(label_x, label_y):
    def loss(x, y):
        labels = torch.cat([torch.full_like(x, label_x), torch.full_like(y, label_y)])
        return F.binary_cross_entropy_with_logits(torch.cat([x, y]), labels)
    return loss


def hook(z):
    turned = z.clone()
    turned.register_hook(lambda g: -g)
    return turned


def hook_on_z(z):
    z.register_hook(lambda g: -g)
    return z


class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("unfinished")


def rising(shift=-1.0, ten=-10.0, top=2.0):
    return lambda p: top / (1 + math.exp(ten * p)) + shift


def accuracy(at=0.0, hit_y=torch.le, of=lambda z: z, total=lambda x, y: torch.cat([x, y]).mean()):
    def answer(logits_x, logits_y):
        x, y = of(logits_x) > at, hit_y(of(logits_y), at)
        return total(x.float(), y.float())
    return answer


def best_of(table):
    return max(table[range(len(table)), list(order)].sum() for order in
               permutations(range(len(table))))


def relabeled(first=torch.trace, second=best_of, first_by=torch.sum, second_by=torch.sum):
    def answer(confusion):
        return (first(confusion) / first_by(confusion), second(confusion) / second_by(confusion))
    return answer


def one(table):
    return 1


def row_maxima(table):
    return table.amax(1).sum()


def column_maxima(table):
    return table.amax(0).sum()


def greedy(table):
    left, total = table.clone(), 0
    for _ in table:
        row, column = divmod(int(left.argmax()), len(table))
        total += table[row, column]
        left[row], left[:, column] = -1, -1
    return total


def turned_round(logits_x, logits_y):
    right = accuracy()(logits_x, logits_y)
    return max(right, 1 - right)


MISTAKES = [  # (exercise, mistake, broken answer, words of the reason)
    (domain.domain_loss, "D's labels", losses(own=lambda x, y: bce(y, x)), "labels are swapped"),
    (domain.domain_loss, "true labels", losses(encoders=bce), "would help D_z"),
    (domain.domain_loss, "order", losses(order=lambda a, b: (b, a)), "wrong order"),
    (domain.domain_loss, "no detach", losses(x_own=keep, y_own=keep), "through z_x"),
    (domain.domain_loss, "y not detached", losses(y_own=keep), "through z_y"),
    (domain.domain_loss, "encoders detached", losses(x=cut, y=cut), "reaches E_x"),
    (domain.domain_loss, "E_y detached", losses(y=cut), "E_y would never learn"),
    (domain.domain_loss, "only x", losses(encoders=lambda x, y: F.softplus(x).mean() / 2),
     "encoders' loss only one"),
    (domain.domain_loss, "only y", losses(encoders=lambda x, y: F.softplus(-y).mean()),
     "encoders' loss only one"),
    (domain.domain_loss, "D: only x", losses(own=lambda x, y: F.softplus(-x).mean()),
     "D_z's loss only one"),
    (domain.domain_loss, "not halved", losses(encoders=lambda x, y: 2 * bce(y, x)),
     "encoders' loss the half is missing"),
    (domain.domain_loss, "D not halved", losses(own=lambda x, y: 2 * bce(x, y)),
     "D_z's loss the half is missing"),
    (domain.domain_loss, "minimax", losses(encoders=lambda x, y: -bce(x, y)), "gradient reversal"),
    (domain.domain_loss, "labels one half", losses(encoders=with_labels(0.5, 0.5)), "one half"),
    (domain.domain_loss, "sigmoid twice",
     losses(own=lambda x, y: bce(x.sigmoid(), y.sigmoid())), "sigmoid before"),
    (domain.domain_loss, "least squares",
     losses(own=lambda x, y: ((x - 1) ** 2).mean() / 2 + (y**2).mean() / 2), "LSGAN"),
    (domain.domain_loss, "summed", losses(own=lambda x, y: len(x) * bce(x, y)), "summed"),
    (domain.domain_loss, "D_z detached", losses(own=lambda x, y: bce(x, y).detach()),
     "reaches D_z"),
    (domain.domain_loss, "one loss", lambda D_z, z_x, z_y: bce(D_z(z_y), D_z(z_x)), "pair"),
    (domain.reversal, "minus z", lambda z: -z, "returns -z"),
    (domain.reversal, "not turned", lambda z: z * 1, "not turned"),
    (domain.reversal, "turned twice", lambda z: gradient_reversal(gradient_reversal(z)), "twice"),
    (domain.reversal, "cut", lambda z: z.detach(), "cut"),
    (domain.reversal, "value changed", lambda z: 2 * z.detach() + z * -2, "changes the value"),
    (domain.reversal, "scaled", lambda z: 1.5 * z.detach() - 0.5 * z, "times -0.5"),
    (domain.reversal, "hook on z", hook_on_z, "everything else"),
    (domain.reversal, "backward fails", lambda z: Broken.apply(z), "ValueError: unfinished"),
    (domain.ramp, "no minus one", rising(shift=0), "starts at 1"),
    (domain.ramp, "no ten", rising(ten=-1.0), "10 is missing"),
    (domain.ramp, "sign", rising(ten=10.0), "falls, to -1"),
    (domain.ramp, "sign, no minus one", rising(ten=10.0, shift=0), "from 1 to 0"),
    (domain.ramp, "straight", lambda p: p, "straight"),
    (domain.ramp, "one for two", rising(top=1.0), "2 is missing"),
    (domain.ramp, "sigmoid", rising(top=1.0, shift=0), "sigmoid"),
    (domain.ramp, "brackets", lambda p: 2 / (1 + math.exp(-10 * p) - 1), "brackets"),
    (domain.ramp, "exponential", lambda p: 1 - math.exp(-10 * p), "twice as fast"),
    (domain.ramp, "five", rising(ten=-5.0), "at p=0.07"),
    (domain.probe_accuracy, "y's side", accuracy(hit_y=torch.gt), "wrong side"),
    (domain.probe_accuracy, "a half on logits", accuracy(at=0.5), "0.5, on logits"),
    (domain.probe_accuracy, "zero on probabilities", accuracy(of=torch.sigmoid), "taken for X"),
    (domain.probe_accuracy, "only x", accuracy(total=lambda x, y: x.mean()), "Only X"),
    (domain.probe_accuracy, "only y", accuracy(total=lambda x, y: y.mean()), "Only Y"),
    (domain.probe_accuracy, "mean of means", accuracy(total=lambda x, y: (x.mean() + y.mean()) / 2),
     "counts once"),
    (domain.probe_accuracy, "added", accuracy(total=lambda x, y: x.mean() + y.mean()), "added"),
    (domain.probe_accuracy, "count", accuracy(total=lambda x, y: x.sum() + y.sum()), "a count"),
    (domain.probe_accuracy, "exchanged", lambda x, y: 1 - accuracy()(x, y), "exchanged"),
    (domain.probe_accuracy, "soft", lambda x, y: torch.cat([x.sigmoid(), 1 - y.sigmoid()]).mean(),
     "count decisions"),
    (domain.probe_accuracy, "turned round", turned_round, "max\\(a, 1 - a\\)"),
    (domain.permutation, "rows' argmax", relabeled(first=row_maxima), "first is the sum of each"),
    (domain.permutation, "both the best", relabeled(first=best_of), "relabeled already"),
    (domain.permutation, "order", lambda c: relabeled()(c)[::-1], "wrong order"),
    (domain.permutation, "mean recall", relabeled(
        first=lambda c: (c.diagonal() / c.sum(1)).mean(), first_by=one), "mean over the rows"),
    (domain.permutation, "by classes", relabeled(first_by=len), "first is divided"),
    (domain.permutation, "best by classes", relabeled(second_by=len), "second is divided"),
    (domain.permutation, "row maxima", relabeled(second=row_maxima), "each row's largest"),
    (domain.permutation, "column maxima", relabeled(second=column_maxima), "each column's"),
    (domain.permutation, "counts", relabeled(first_by=one, second_by=one), "first is a count"),
    (domain.permutation, "second a count", relabeled(second_by=one), "second is a count"),
    (domain.permutation, "greedy", relabeled(second=greedy), "spoil"),
    (domain.permutation, "no relabeling", relabeled(second=torch.trace), "accuracy itself"),
    (domain.permutation, "only four", lambda c: relabeled()(c) if len(c) == 4 else (0.5, 0.5),
     "3 x 3"),
    (domain.permutation, "one number", lambda c: c.trace() / c.sum(), "two numbers"),
]

OTHER_WAYS = {
    domain.domain_loss: [losses(), losses(own=with_labels(1.0, 0.0),
                                          encoders=with_labels(0.0, 1.0), order=lambda *a: [*a])],
    domain.reversal: [gradient_reversal, lambda z: 2 * z.detach() - z, hook],
    domain.ramp: [rising(), lambda p: math.tanh(5 * p),
                  lambda p: 2 * torch.sigmoid(torch.tensor(10 * p)) - 1],
    domain.probe_accuracy: [
        accuracy(), accuracy(at=0.5, of=torch.sigmoid),
        lambda x, y: (int((x > 0).sum()) + int((y < 0).sum())) / (len(x) + len(y))],
    domain.permutation: [relabeled(), lambda c: (
        (c.trace() / c.sum()).item(),
        max(c[:, list(order)].trace() for order in permutations(range(len(c)))) / c.sum())],
}


@pytest.mark.parametrize("exercise,answer",
                         [(e, a) for e, ways in OTHER_WAYS.items() for a in ways],
                         ids=lambda v: getattr(v, "__name__", "answer"))
def test_other_right_ways_are_right(exercise, answer):
    verdict = exercise(answer)
    assert verdict.state == "right" and verdict.reason, verdict
