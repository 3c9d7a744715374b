"""The exercises of notebook 06: the game for the codes, its gradient reversal, and its readings."""

import math
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import (
    Affine,
    again,
    call,
    close,
    compare,
    gradients,
    kind,
    number,
    scalar,
)
from gantutor.check.answers import two_numbers as pair_of
from gantutor.check.verdict import Wrong, describe, exercise
from gantutor.losses import bce_discriminator_loss as bce


class CodeScore(nn.Module):
    """A D_z: weight * the code's mean + bias, (N, 1)."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(weight)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self, z):
        return self.weight * z.mean((1, 2, 3)).view(-1, 1) + self.bias


def _codes(*values):
    """One plain (2, 2, 3) code for each value."""
    return torch.tensor(values).view(-1, 1, 1, 1).repeat(1, 2, 2, 3)


@exercise
def domain_loss(answer):
    """my_domain_losses(D_z, z_x, z_y) -> (the encoders' loss, D_z's loss); X's label is 1."""
    D_z, E_x, E_y = CodeScore(0.9, 0.3), Affine(1.1, 0.2), Affine(0.7, -0.4)
    z_x, z_y = E_x(_codes(0.3, 1.4, -0.6)), E_y(_codes(0.5, -1.2, 0.9))
    pair = call(answer, D_z=D_z, z_x=z_x, z_y=z_y)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise Wrong(f"expected the pair (encoder_loss, D_loss), found {kind(pair)}.")
    encoders, own = (scalar(loss, what) for loss, what in
                     zip(pair, ("the encoders' loss", "D_z's loss"), strict=True))
    s_x, s_y = D_z(z_x).detach(), D_z(z_y).detach()
    right, right_D = bce(s_y, s_x), bce(s_x, s_y)
    if close(encoders, right_D) and close(own, right):
        raise Wrong("the two are in the wrong order (or the labels are: X is 1). The encoders' "
                    "loss comes first.")
    compare(own, right_D, [
        (right, "D_z's labels are swapped: D_z learns the right ones, 1 for X and 0 for Y."),
        *_slips(s_x, s_y, "D_z's loss")])
    compare(encoders, right, [
        (right_D, "The encoders' loss has the true labels, D_z's own: the encoders would help D_z "
         "to tell the domains apart. Swap them."),
        (-right_D, "This is minus D_z's loss, the game of gradient reversal. It fades where D_z is "
         "sure; here the labels are swapped instead."),
        ((F.softplus(s_x) - s_x / 2).mean() / 2 + (F.softplus(s_y) - s_y / 2).mean() / 2,
         "The labels are one half; here they are swapped."),
        *_slips(s_y, s_x, "the encoders' loss")])
    from_D = gradients(own, E_x, E_y, D_z)
    if from_D[2] is None:
        raise Wrong("the values are right, but no gradient of D_z's loss reaches D_z.")
    for gradient, name in zip(from_D, ("z_x", "z_y"), strict=False):
        if gradient is not None:
            raise Wrong("the values are right, but D_z's loss reaches the encoder through "
                        f"{name}: it would learn to help D_z. Detach the codes there.")
    for gradient, name in zip(gradients(encoders, E_x, E_y), "xy", strict=True):
        if gradient is None:
            raise Wrong("the values are right, but no gradient of the encoders' loss reaches "
                        f"E_{name}: z_{name} is detached there, and E_{name} would never learn.")
    return "swapped labels for the encoders, the right ones for D_z, which sees detached codes."


def _slips(ones, zeros, whose):
    """What both losses can get wrong; ones: the scores whose label is 1."""
    one, zero = F.softplus(-ones).mean(), F.softplus(zeros).mean()
    scored = bce(ones.sigmoid(), zeros.sigmoid())
    return [
        (one + zero, f"In {whose} the half is missing."),
        *((value, f"In {whose} only one of the two domains is judged.")
          for value in (one, zero, one / 2, zero / 2)),
        (3 * (one + zero) / 2, f"In {whose} the images are summed; take the mean."),
        (3 * (one + zero), f"In {whose} the images are summed; take the mean, and half."),
        (scored, f"In {whose} there is a sigmoid before a loss that takes logits."),
        (2 * scored, f"In {whose} there is a sigmoid before a loss that takes logits, and the half "
         "is missing."),
        (((ones - 1).square().mean() + zeros.square().mean()) / 2,
         f"In {whose} the scores are squared, as LSGAN does; take cross-entropy.")]


@exercise
def reversal(answer):
    """my_reversal(z) -> z; the gradient comes back with the other sign."""
    leaf = torch.linspace(-1.3, 2.1, 24).view(2, 3, 2, 2).requires_grad_()
    z = leaf * 1
    out = call(answer, z=z)
    if not isinstance(out, torch.Tensor) or out.shape != z.shape:
        raise Wrong(f"expected a tensor of z's shape {tuple(z.shape)}, found {kind(out)}.")
    if torch.allclose(out, -z):
        raise Wrong("it returns -z: the forward pass should give z itself, only the gradient is "
                    "turned.")
    if not torch.allclose(out, z, atol=1e-5):
        raise Wrong("the forward pass changes the value: it should give z itself.")
    weight = torch.linspace(0.5, 1.5, 24).view_as(z)
    gradient = _gradient((out * weight).sum(), leaf)
    if gradient is None:
        raise Wrong("the value is right, but no gradient arrives at z: it is cut, not turned.")
    if torch.allclose(gradient, weight):
        raise Wrong("the gradient comes back with the sign it had: it is not turned, or it is "
                    "turned twice.")
    if not torch.allclose(gradient, -weight, atol=1e-5):
        factor = (gradient / weight).mean().item()
        raise Wrong(f"the gradient comes back times {factor:.3g}, expected times -1.")
    if not torch.allclose(_gradient((z * weight).sum(), leaf), weight):
        raise Wrong("a hook on z itself also turns the gradients of everything else that uses z, "
                    "the decoder's among them. Turn it on something of your own.")
    return "z on the way there, minus the gradient on the way back."


def _gradient(value, leaf):
    if not value.requires_grad:
        return None
    try:
        return torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True)[0]
    except Exception as error:
        raise Wrong(f"the backward pass raised {describe(error)}") from None


@exercise
def ramp(answer):
    """my_ramp(p): 2 / (1 + e^(-10 p)) - 1 for p in [0, 1]."""
    e, at = math.exp, (0.0, 0.07, 0.2, 0.5, 1.0)
    found = [number(again(answer, f"at p={p}", p=p) if k else call(answer, p=p), f"the ramp at {p}")
             for k, p in enumerate(at)]
    mistakes = {
        "The - 1 is missing: it starts at 1.": lambda p: 2 / (1 + e(-10 * p)),
        "The 10 is missing: it ends at 0.46.": lambda p: 2 / (1 + e(-p)) - 1,
        "The exponent's sign is turned: it falls, to -1.": lambda p: 2 / (1 + e(10 * p)) - 1,
        "The exponent's sign is turned and the - 1 is missing: it falls from 1 to 0.":
        lambda p: 2 / (1 + e(10 * p)),
        "This is a straight line.": lambda p: p,
        "The 2 is missing: it starts at -1/2 and ends at 0.": lambda p: 1 / (1 + e(-10 * p)) - 1,
        "This is the sigmoid itself, which starts at 1/2.": lambda p: 1 / (1 + e(-10 * p)),
        "The - 1 stands in the denominator: check the brackets.": lambda p: 2 * e(10 * p),
        "This is 1 - e^(-10 p), which rises twice as fast at the start.":
        lambda p: 1 - e(-10 * p)}
    for text, wrong in mistakes.items():
        if all(close(value, wrong(p)) for p, value in zip(at, found, strict=True)):
            raise Wrong(text)
    for p, value in zip(at, found, strict=True):
        right = 2 / (1 + e(-10 * p)) - 1
        if not close(value, right):
            raise Wrong(f"at p={p} the ramp is {value:.4g}, expected {right:.4g}.")
    return "0 at the start, when D_z knows nothing yet; nearly 1 from the middle on."


@exercise
def probe_accuracy(answer):
    """my_probe_accuracy(logits_x, logits_y): the share read right; logits (N, 1), high for X."""
    def accuracy(x, y, right_y=torch.le, at=0.0):
        return ((x > at).sum() + right_y(y, at).sum()) / (len(x) + len(y))

    x = torch.tensor([2.1, 1.4, 0.4, 0.3, 0.2, 0.1, -0.6, -1.5, -0.2]).view(-1, 1)
    y = torch.tensor([-2.0, -1.1, -0.7, -0.3, 0.9]).view(-1, 1)
    found = number(call(answer, logits_x=x, logits_y=y), "the accuracy")
    right_x, right_y = (x > 0).float(), (y < 0).float()
    both = torch.cat([right_x, right_y])
    compare(found, accuracy(x, y), [
        (accuracy(x, y, torch.gt), "Y's codes are counted on the wrong side: theirs are right "
         "where the logit is low."),
        (1 - accuracy(x, y), "The domains are exchanged: this is the share read wrong."),
        (accuracy(x, y, at=0.5), "The threshold is 0.5, on logits: a logit of 0 is a probability "
         "of one half."),
        (len(x) / len(both), "Everything is taken for X: a probability is always above 0. Compare "
         "logits with 0, or probabilities with 0.5."),
        (right_x.mean(), "Only X's codes are counted."),
        (right_y.mean(), "Only Y's codes are counted."),
        ((right_x.mean() + right_y.mean()) / 2, "The two domains' shares are averaged: divide by "
         "all codes, so that each code counts once."),
        (right_x.mean() + right_y.mean(), "The two domains' shares are added: divide by all "
         "codes."),
        (both.sum(), "This is a count: divide by the number of codes."),
        (torch.cat([x.sigmoid(), 1 - y.sigmoid()]).mean(), "This is the mean probability of the "
         "right domain; count decisions.")])
    found = number(again(answer, "for other logits", logits_x=-x, logits_y=-y), "the accuracy")
    compare(found, 1 - both.mean(), [
        (both.mean(), "A probe below chance is turned round, max(a, 1 - a): one that is wrong more "
         "often than right has not found the domain.")])
    return "each code once, and 0 is the border between the domains."


@exercise
def permutation(answer):
    """my_best_permutation_accuracy(confusion) -> (accuracy, the best over all relabelings)."""
    unequal = torch.tensor([[1, 1, 15, 4], [18, 17, 8, 10], [15, 16, 4, 2], [18, 4, 18, 10]])
    pair = pair_of(call(answer, confusion=unequal), "accuracy")
    total = unequal.sum()
    right, best, greedy = unequal.trace() / total, _best(unequal) / total, _greedy(unequal) / total
    by_row, by_column = (unequal.amax(d).sum() / total for d in (1, 0))
    if close(pair[0], best) and close(pair[1], right):
        raise Wrong("the two are in the wrong order: the accuracy comes first.")
    compare(pair[0], right, [
        (unequal.trace(), "The first is a count: divide by all counts."),
        (by_row, "The first is the sum of each row's largest count. Without relabeling only the "
         "diagonal is right."),
        (best, "The first is relabeled already: it should be the diagonal's share."),
        ((unequal.diagonal() / unequal.sum(1)).mean(), "The first is a mean over the rows, where a "
         "rare class weighs as much as a common one: divide the diagonal's sum by all counts."),
        (unequal.trace() / 4, "The first is divided by the number of classes: divide by all "
         "counts."),
        (unequal.flip(1).trace() / total, "The first is the other diagonal's share.")])
    compare(pair[1], best, [
        (best * total, "The second is a count: divide by all counts."),
        (best * total / 4, "The second is divided by the number of classes: divide by all counts."),
        (by_row, "The second sums each row's largest count: two rows may want the same column, and "
         "a relabeling gives each column to one row."),
        (by_column, "The second sums each column's largest count: two columns may want the same "
         "row, and a relabeling gives each row one column."),
        (greedy, "The second takes the largest count that is left, again and again: the first "
         "choice may spoil the others. Try all permutations."),
        (right, "The second is the accuracy itself: no other relabeling is tried."),
        (_worst(unequal) / total, "The second is the worst relabeling: take max.")])
    for other in (torch.tensor([[9, 1, 2], [2, 8, 0], [3, 1, 5]]), torch.tensor([[1, 6], [7, 2]])):
        pair = again(answer, "for another table", confusion=other)
        for found, expected in zip(pair_of(pair, "accuracy"), (other.trace(), _best(other)),
                                   strict=True):
            if not close(found, expected / other.sum()):
                raise Wrong(f"for a table of {len(other)} x {len(other)} it finds {found:.4g}, "
                            f"expected {expected / other.sum():.4g}.")
    return "how much is wrong, and how much of that is only a wrong name."


def _relabeled(table):
    return [sum(table[k, column] for k, column in enumerate(order))
            for order in permutations(range(len(table)))]


def _best(table):
    return max(_relabeled(table))


def _worst(table):
    return min(_relabeled(table))


def _greedy(table):
    left, total = table.clone(), 0
    for _ in table:
        row, column = divmod(int(left.argmax()), len(table))
        total += table[row, column]
        left[row], left[:, column] = -1, -1
    return total
