"""The exercises of notebook 06: the game for the codes, its gradient reversal, and its readings."""

import math
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import again, call, images, kind, number, two_numbers
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.check.verdict import Wrong
from gantutor.losses import bce_discriminator_loss as bce
from gantutor.losses import gradient_reversal, lsgan_discriminator_loss

# The two losses ----------------------------------------------------------------------------------

keep, cut = torch.clone, torch.detach  # what an answer does with a code


def losses(own=bce, encoders=lambda x, y: bce(y, x), x_own=cut, y_own=cut, x=keep, y=keep):
    """Both losses, of X's scores and Y's; x_own and y_own: what D_z's does with the codes."""
    return lambda D_z, z_x, z_y: (encoders(D_z(x(z_x)), D_z(y(z_y))),
                                  own(D_z(x_own(z_x)), D_z(y_own(z_y))))


def either(*slips):
    """A slip in either loss, made of the scores whose label is 1 and of those whose label is 0."""
    return Mistake(*(losses(encoders=lambda x, y, slip=slip: slip(y, x)) for slip in slips),
                   *(losses(own=slip) for slip in slips))


def at_once(ones, zeros):
    labels = torch.cat([torch.ones_like(ones), torch.zeros_like(zeros)])
    return F.binary_cross_entropy_with_logits(torch.cat([ones, zeros]), labels)


@loss_exercise(
    right=losses(), losses=("the encoders' loss", "D_z's loss"),
    also_right=[lambda *a: [*losses(at_once, lambda x, y: at_once(y, x))(*a)]],
    watch={"the encoders' loss": ("z_x", "z_y"), "D_z's loss": ("z_x", "z_y", "D_z")}, mistakes={
        "D_z's labels": losses(own=lambda x, y: bce(y, x)), "true labels": losses(encoders=bce),
        "order": Mistake(losses(lambda x, y: bce(y, x), bce), *(
            lambda *a, at=at: losses(x_own=at, y_own=at)(*a)[::-1] for at in (cut, keep))),
        "minus D_z's": losses(encoders=lambda x, y: -bce(x, y)),
        "one half": losses(encoders=lambda x, y: (bce(x, y) + bce(y, x)) / 2),
        "not halved": either(lambda ones, zeros: 2 * bce(ones, zeros)),
        "one domain": either(*(lambda ones, zeros, k=k, half=half: half * F.softplus(
            (-ones, zeros)[k]).mean() for k in (0, 1) for half in (1, 0.5))),
        "summed": either(*(lambda ones, zeros, k=k: k * bce(ones, zeros) for k in (3, 6))),
        "sigmoid": either(*(lambda ones, zeros, k=k: k * bce(ones.sigmoid(), zeros.sigmoid())
                            for k in (1, 2))),
        "squared": either(lsgan_discriminator_loss),
        "D_z reaches E_x": Mistake(losses(x_own=keep, y_own=keep), losses(x_own=keep)),
        "D_z reaches E_y": losses(y_own=keep),
        "E_x detached": Mistake(losses(x=cut, y=cut), losses(x=cut)),
        "E_y detached": losses(y=cut),
        "D_z detached": losses(own=lambda x, y: bce(x, y).detach()),
        "one loss": lambda D_z, z_x, z_y: bce(D_z(z_y), D_z(z_x))})
def domain_loss():
    """my_domain_losses(D_z, z_x, z_y) -> (the encoders' loss, D_z's loss); X's label is 1."""
    D_z = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))  # 0.9 mean + 0.3
    for parameter in D_z.parameters():
        nn.init.constant_(parameter, 0.3)
    return {"D_z": D_z, "z_x": images(0.53, 1.74, -0.46).requires_grad_(),
            "z_y": images(-0.05, -1.24, 0.23).requires_grad_()}


# The reversal and its ramp -----------------------------------------------------------------------

def hook(z, turn=torch.neg):
    z.register_hook(turn)
    return z


def gradient_at(leaf, image):
    """The gradient that `leaf` gets where the loss is the sum of the image's pixels; or None."""
    if not image.requires_grad:
        return None
    return call(lambda: list(torch.autograd.grad(
        image.sum(), leaf, retain_graph=True, allow_unused=True)))[0]


@exercise(
    right=gradient_reversal, also_right=[lambda z: 2 * z.detach() - z, lambda z: hook(z.clone())],
    mistakes={
        "minus z": lambda z: -z, "another value": lambda z: 2 * z.detach() + z * -2,
        "cut": cut, "not turned": Mistake(lambda z: z * 1, lambda z: gradient_reversal(
            gradient_reversal(z))),
        "another factor": lambda z: 1.5 * z.detach() - 0.5 * z, "hook on z": hook,
        "backward fails": lambda z: hook(z.clone(), lambda gradient: gradient / "2")})
def reversal(answer):
    """my_reversal(z) -> z; the gradient comes back with the other sign."""
    leaf = torch.linspace(-1.3, 2.1, 24).view(2, 3, 2, 2).requires_grad_()
    z, weight = leaf * 1, torch.linspace(0.5, 1.5, 24).view_as(leaf)
    out = call(answer, z=z)
    if not isinstance(out, torch.Tensor) or out.shape != z.shape:
        raise Wrong(f"expected a tensor of z's shape {tuple(z.shape)}, found {kind(out)}.")
    back = gradient_at(leaf, out * weight)
    return {"value": out.detach(), "gradient": back, "elsewhere": gradient_at(leaf, z * weight),
            "_factor": math.nan if back is None else (back / weight).mean().item()}


def rising(shift=-1.0, ten=-10.0, top=2.0):
    return lambda p: top / (1 + math.exp(ten * p)) + shift


@exercise(
    right=rising(), also_right=[lambda p: math.tanh(5 * p),
                                lambda p: 2 * torch.sigmoid(torch.tensor(10 * p)) - 1],
    mistakes={
        "no - 1": rising(shift=0), "no 10": rising(ten=-1.0), "falls to -1": rising(ten=10.0),
        "falls to 0": rising(shift=0, ten=10.0), "straight": lambda p: p, "no 2": rising(top=1.0),
        "sigmoid": rising(shift=0, top=1.0),
        "brackets": lambda p: 2 / (1 + math.exp(-10 * p) - 1),
        "1 - e^(-10 p)": lambda p: 1 - math.exp(-10 * p)})
def ramp(answer):
    """my_ramp(p): 2 / (1 + e^(-10 p)) - 1 for p in [0, 1]."""
    at = {p: f"at p={p}" for p in (0.0, 0.07, 0.2, 0.5, 1.0)}
    return {"ramp": {here: number(again(answer, here, p=p) if p else call(answer, p=p),
                                  f"the ramp {here}") for p, here in at.items()}}


# The readings ------------------------------------------------------------------------------------

def accuracy(at=0.0, hit_y=torch.le, of=keep, total=lambda x, y: torch.cat([x, y]).mean()):
    """Which decisions are right, of X's logits and of Y's, and what is made of them."""
    def answer(logits_x, logits_y):
        right_x, right_y = of(logits_x) > at, hit_y(of(logits_y), at)
        return total(right_x.float(), right_y.float())
    return answer


@exercise(
    right=accuracy(), also_right=[accuracy(at=0.5, of=torch.sigmoid), lambda x, y: (
        int((x > 0).sum()) + int((y < 0).sum())) / (len(x) + len(y))],
    mistakes={
        "Y's side": accuracy(hit_y=torch.gt), "exchanged": lambda *a: 1 - accuracy()(*a),
        "0.5 on logits": accuracy(at=0.5), "0 on probabilities": accuracy(of=torch.sigmoid),
        "only X": accuracy(total=lambda x, y: x.mean()),
        "only Y": accuracy(total=lambda x, y: y.mean()),
        "mean of shares": accuracy(total=lambda x, y: (x.mean() + y.mean()) / 2),
        "added": accuracy(total=lambda x, y: x.mean() + y.mean()),
        "count": accuracy(total=lambda x, y: x.sum() + y.sum()),
        "probabilities": lambda x, y: torch.cat([x.sigmoid(), 1 - y.sigmoid()]).mean(),
        "turned round": lambda *a: max(accuracy()(*a), 1 - accuracy()(*a))})
def probe_accuracy(answer):
    """my_probe_accuracy(logits_x, logits_y): the share read right; logits (N, 1), high for X."""
    x = torch.tensor([2.1, 1.4, 0.4, 0.3, 0.2, 0.1, -0.6, -1.5, -0.2]).view(-1, 1)
    y = torch.tensor([-2.0, -1.1, -0.7, -0.3, 0.9]).view(-1, 1)
    turned = {"logits_x": -x, "logits_y": -y}
    return {"the accuracy": number(call(answer, logits_x=x, logits_y=y), "the accuracy"),
            "below chance": number(again(answer, "for other logits", **turned), "the accuracy")}


def relabeled(table, choose=max):
    """What the best renaming of the columns reads right, or the worst."""
    return choose(sum(table[k, order[k]] for k in range(len(table)))
                  for order in permutations(range(len(table))))


def greedy(table):
    left, total = table.clone(), 0
    for _ in table:
        row, column = divmod(int(left.argmax()), len(table))
        total += table[row, column]
        left[row], left[:, column] = -1, -1
    return total


def shares(first=torch.trace, second=relabeled, first_by=torch.sum, second_by=torch.sum):
    """The two counts, and what each is divided by."""
    return lambda table: (first(table) / first_by(table), second(table) / second_by(table))


@exercise(right=shares(), also_right=[lambda table: [float(part) for part in shares()(table)]],
          mistakes={
    "order": lambda table: shares()(table)[::-1],
    "first: count": shares(first_by=lambda table: 1),
    "first: largest of each row": shares(first=lambda table: table.amax(1).sum()),
    "first: relabeled": shares(first=relabeled),
    "first: mean over rows": shares(lambda table: (table.diagonal() / table.sum(1)).sum(),
                                    first_by=len),
    "first: by classes": shares(first_by=len),
    "first: other diagonal": shares(first=lambda table: table.flip(1).trace()),
    "second: count": shares(second_by=lambda table: 1), "second: by classes": shares(second_by=len),
    "second: largest of each row": shares(second=lambda table: table.amax(1).sum()),
    "second: largest of each column": shares(second=lambda table: table.amax(0).sum()),
    "second: greedy": shares(second=greedy), "second: not relabeled": shares(second=torch.trace),
    "second: worst": shares(second=lambda table: relabeled(table, min)),
    "only 4 x 4": lambda table: shares()(table) if len(table) == 4 else (0.5, 0.5),
    "one number": lambda table: table.trace() / table.sum()})
def permutation(answer):
    """my_best_permutation_accuracy(confusion) -> (accuracy, the best over all relabelings)."""
    unequal = torch.tensor([[1, 1, 15, 4], [18, 17, 8, 10], [15, 16, 4, 2], [18, 4, 18, 10]])
    others = torch.tensor([[9, 1, 2], [2, 8, 0], [3, 1, 5]]), torch.tensor([[1, 6], [7, 2]])
    first, second = two_numbers(call(answer, confusion=unequal), "accuracy")
    return {"first": first, "second": second, "others": {
        f"a table of {len(table)} x {len(table)}": two_numbers(
            again(answer, "for another table", confusion=table), "accuracy") for table in others}}
