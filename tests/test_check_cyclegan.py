"""Notebook 03's checks against the mistakes they exist for, and against sums done by hand."""

from itertools import chain

import pytest
import torch
from torch import nn

from gantutor import check
from gantutor.losses import ImagePool

cyclegan, loop = check.cyclegan, check.loop


def l1(a, b):
    return (a - b).abs().mean()


def cycle(x, y, G_xy, G_yx, distance=l1, cut=lambda i: i):
    return distance(G_yx(cut(G_xy(x))), x) + distance(G_xy(cut(G_yx(y))), y)


def identity(x, y, G_xy, G_yx, distance=l1):
    return distance(G_xy(y), y) + distance(G_yx(x), x)


def wrong_identity(x, y, G_xy, G_yx):
    return l1(G_xy(x), x) + l1(G_yx(y), y)


def cycle_to_the_other(x, y, G_xy, G_yx):
    return l1(G_yx(G_xy(x)), y) + l1(G_xy(G_yx(y)), x)


def cycle_of(distance):
    return lambda *a: cycle(*a, distance=distance)


def identity_of(distance):
    return lambda *a: identity(*a, distance=distance)


def the_identity_under_no_grad(x, y, G_xy, G_yx):
    with torch.no_grad():
        same_y = G_xy(y)
    return l1(same_y, y) + l1(G_yx(x), x)


def l1_sum(a, b):
    return (a - b).abs().sum()


def l2(a, b):
    return ((a - b) ** 2).mean()


def generator(cycle=cycle, identity=identity, target=1.0, cut=lambda fake: fake, swap=False,
              weigh=lambda cyc, idt, c, i: c * cyc + c * i * idt, squash=lambda s: s):
    """The whole generator loss with one thing replaced."""
    def answer(x, y, G_xy, G_yx, D_x, D_y, lambda_cyc, lambda_idt):
        D_x, D_y = (D_y, D_x) if swap else (D_x, D_y)
        adversarial = sum(((squash(D(cut(fake))) - target) ** 2).mean()
                          for D, fake in ((D_y, G_xy(x)), (D_x, G_yx(y))))
        terms = cycle(x, y, G_xy, G_yx), identity(x, y, G_xy, G_yx)
        return adversarial + weigh(*terms, lambda_cyc, lambda_idt)
    return answer


def adam(*nets, lr=3e-4):
    return torch.optim.Adam(nn.ModuleList(nets).parameters(), lr)


def optimisers(G=lambda G_xy, G_yx, D_x, D_y: [G_xy, G_yx],
               D=lambda G_xy, G_yx, D_x, D_y: [D_x, D_y], lr=1.0):
    return lambda *a: (adam(*G(*a[:4]), lr=a[4] * lr), adam(*D(*a[:4]), lr=a[4] * lr))


def listed(first, second):
    """G's parameters as two lists, added."""
    return lambda *a: (torch.optim.Adam([*a[first].parameters(), *a[second].parameters()], a[4]),
                       adam(a[2], a[3]))


def swap(detach=True, coin=lambda: bool(torch.rand(()) < 0.5), put=True, give="old",
         place=lambda size: int(torch.randint(size, ())), full=lambda stored, size: len(stored)
         >= size, fill="new", keep=False):
    """The pool's swap with one thing replaced."""
    def answer(image, stored, size):
        image = image.detach() if detach else image
        if not full(stored, size):
            stored.append(image)
            return image if fill == "new" else stored[0]
        if coin():
            if keep:
                stored[place(size)] = image
            return image
        k = place(size)
        old = stored[k]
        if put:
            stored[k] = image
        return old if give == "old" else image
    return answer


def pool_without_return(image, stored, size):
    stored.append(image.detach())
    if len(stored) <= size:
        return stored[-1]


def batch(draw_x, draw_y=None):
    """draw(n_x, n_y, N) -> indices; the same for y where draw_y is None."""
    def answer(X, Y, n):
        i = draw_x(len(X), len(Y), n)
        j = i if draw_y is None else draw_y(i, len(X), len(Y), n)
        return {"x": X[i], "y": Y[j]}
    return answer


def below_n_x(n_x, n_y, n):
    return torch.randint(n_x, (n,))


MISTAKES = [  # (exercise, mistake, broken answer, a word of the reason)
    (cyclegan.cycle_loss, "identity for cycle", identity, "This is the identity loss"),
    (cyclegan.cycle_loss, "compared with y", cycle_to_the_other, "compared with y"),
    (cyclegan.cycle_loss, "one way only", wrong_identity, "Wrong domain"),
    (cyclegan.cycle_loss, "wrong order", lambda x, y, a, b: cycle(x, y, b, a), "Wrong order"),
    (cyclegan.cycle_loss, "one cycle each", lambda *a: cycle(*a, cut=lambda i: i.detach()),
     "only one of the two cycles"),
    (cyclegan.cycle_loss, "x's cycle only", lambda x, y, a, b: l1(b(a(x)), x),
     "Only the cycle of x"),
    (cyclegan.cycle_loss, "y's cycle only", lambda x, y, a, b: l1(a(b(y)), y),
     "Only the cycle of y"),
    (cyclegan.cycle_loss, "sum", cycle_of(l1_sum), "sum"),
    (cyclegan.cycle_loss, "sum an image", cycle_of(lambda a, b: l1_sum(a, b) / 2), "sum"),
    (cyclegan.cycle_loss, "squared", cycle_of(l2), "squared"),
    (cyclegan.cycle_loss, "no abs", cycle_of(lambda a, b: (a - b).mean()), "absolute value"),
    (cyclegan.cycle_loss, "averaged", lambda *a: cycle(*a) / 2, "not averaged"),
    (cyclegan.cycle_loss, "detached", lambda *a: cycle(*a).detach(), "no gradient"),
    (cyclegan.identity_loss, "cycle for identity", cycle, "This is the cycle loss"),
    (cyclegan.identity_loss, "x through G_xy", wrong_identity, "sends x once through G_xy"),
    (cyclegan.identity_loss, "compared with x", lambda x, y, a, b: l1(a(y), x) + l1(b(x), y),
     "compared with the same y"),
    (cyclegan.identity_loss, "half", lambda x, y, a, b: l1(a(y), y), "Only G_xy's half"),
    (cyclegan.identity_loss, "sum", identity_of(l1_sum), "sum"),
    (cyclegan.identity_loss, "squared", identity_of(l2), "squared"),
    (cyclegan.identity_loss, "no_grad", the_identity_under_no_grad, "G_xy gets no gradient"),
    (cyclegan.identity_weight, "not multiplied", (0.5, 0.5), "multiplied by lambda_cyc"),
    (cyclegan.identity_weight, "added", (10.5, 0.5), "not added"),
    (cyclegan.identity_weight, "the second", (5, 0.5), "it is 0"),
    (cyclegan.identity_weight, "the first", (10.0, 0.0), "the first weight"),
    (cyclegan.generator_loss, "identity for cycle", generator(cycle=identity), "where the cycle"),
    (cyclegan.generator_loss, "cycle for identity", generator(identity=cycle),
     "where the identity"),
    (cyclegan.generator_loss, "the two swapped", generator(cycle=identity, identity=cycle),
     "The identity loss stands where the cycle loss belongs"),
    (cyclegan.generator_loss, "cycle compared with y", generator(cycle=cycle_to_the_other),
     "compared with y"),
    (cyclegan.generator_loss, "x through G_xy", generator(identity=wrong_identity), "through G_xy"),
    (cyclegan.generator_loss, "weight not multiplied", generator(
        weigh=lambda cyc, idt, c, i: c * cyc + i * idt), "not multiplied by lambda_cyc"),
    (cyclegan.generator_loss, "lambda_idt left out", generator(
        weigh=lambda cyc, idt, c, i: c * (cyc + idt) if i else c * cyc), "does not get lambda_idt"),
    (cyclegan.generator_loss, "identity left out", generator(weigh=lambda cyc, idt, c, i: c * cyc),
     "identity term is missing"),
    (cyclegan.generator_loss, "detached fakes", generator(cut=lambda f: f.detach()), "detached"),
    (cyclegan.generator_loss, "one cycle each", generator(
        cycle=lambda *a: cycle(*a, cut=lambda i: i.detach())), "only one of the two cycles"),
    (cyclegan.generator_loss, "x's cycle only", generator(
        cycle=lambda x, y, a, b: l1(b(a(x)), x)), "only one of the two cycles"),
    (cyclegan.generator_loss, "Ds swapped", generator(swap=True), "discriminators are swapped"),
    (cyclegan.generator_loss, "label of a fake", generator(target=0.0), "label is that of a fake"),
    (cyclegan.generator_loss, "sigmoid", generator(squash=torch.sigmoid), "sigmoid"),
    (cyclegan.receptive_field, "forwards", 28, "start at the score"),
    (cyclegan.receptive_field, "without strides", 16, "strides"),
    (cyclegan.receptive_field, "a layer short", 34, "one layer short"),
    (cyclegan.receptive_field, "anything", 71, "not 71"),
    (loop.optimisers, "G_xy twice", listed(0, 0), "G_yx and some parameters are listed twice"),
    (loop.optimisers, "shared layer twice", listed(0, 1), "both generators share"),
    (loop.optimisers, "all in G's", optimisers(G=lambda *a: a), "also steps D_x and D_y"),
    (loop.optimisers, "D_x in G's", optimisers(G=lambda *a: a[:3]), "also steps D_x"),
    (loop.optimisers, "only D_y", optimisers(D=lambda *a: a[3:]), "not hold all of D_x"),
    (loop.optimisers, "swapped", lambda *a: optimisers()(*a)[::-1], "wrong order"),
    (loop.optimisers, "lr not passed", lambda *a: [torch.optim.Adam(o.param_groups[0]["params"])
                                                   for o in optimisers()(*a)], "rate 0.001"),
    (loop.optimisers, "chain", lambda *a: [torch.optim.Adam(chain(
        a[k].parameters(), a[k + 1].parameters()), a[4]) for k in (0, 2)], "share is listed twice"),
    (loop.lr_factor, "0 one epoch early", lambda e, c, d: min(1, (c + d - 1 - e) / (d - 1)),
     "one epoch early"),
    (loop.lr_factor, "off by one", lambda e, c, d: 1 - max(0, e + 1 - c) / d, "Off by one"),
    (loop.lr_factor, "late", lambda e, c, d: 1 - max(0, e - 1 - c) / d, "one epoch late"),
    (loop.lr_factor, "the authors'", lambda e, c, d: 1 - max(0, e + 1 - c) / (d + 1), "authors'"),
    (loop.lr_factor, "from the beginning", lambda e, c, d: 1 - e / (c + d), "from the beginning"),
    (loop.lr_factor, "above 1", lambda e, c, d: (c + d - e) / d, "above 1"),
    (loop.lr_factor, "integer", lambda e, c, d: min(1, (c + d - e) // d), "rounds down"),
    (loop.lr_factor, "constant", lambda e, c, d: 1.0, "never falls"),
    (loop.lr_factor, "one branch", lambda e, c, d: 1.0 if e < c else None, "None at epoch 3"),
    (loop.lr_factor, "squared", lambda e, c, d: min(1, (c + d - e) / d) ** 2, "at epoch 4"),
    (loop.pool_swap, "only old ones", swap(coin=lambda: False), "shows only old images"),
    (loop.pool_swap, "never swaps", swap(coin=lambda: True), "never swaps"),
    (loop.pool_swap, "keeps the graph", swap(detach=False), "graph"),
    (loop.pool_swap, "new one not stored", swap(put=False), "first images for ever"),
    (loop.pool_swap, "new one shown, stored", swap(give="new"), "never swaps"),
    (loop.pool_swap, "both", swap(keep=True), "shown and stored at once"),
    (loop.pool_swap, "one place", swap(place=lambda size: 0), "at random"),
    (loop.pool_swap, "grows", swap(full=lambda stored, size: len(stored) > 2 * size), "grows"),
    (loop.pool_swap, "old while filling", swap(fill="old"), "while the pool fills"),
    (loop.pool_swap, "one in ten", swap(coin=lambda: bool(torch.rand(()) < 0.9)), "expected half"),
    (loop.pool_swap, "a branch without return", pool_without_return, "return"),
    (loop.unpaired_batch, "same index", batch(below_n_x), "paired by index"),
    (loop.unpaired_batch, "y from X's length", batch(
        below_n_x, lambda i, n_x, n_y, n: torch.randint(n_x, (n,))), "of 12 of Y"),
    (loop.unpaired_batch, "paired with an offset", batch(
        lambda a, b, n: torch.arange(n) + int(torch.randint(a - n + 1, ())),
        lambda i, n_x, n_y, n: (i + torch.randint(3, ())) % n_y), "still depends on x"),
    (loop.unpaired_batch, "the first ones", batch(
        lambda a, b, n: torch.arange(n), lambda i, *n: i + 1), "same batch"),
    (loop.unpaired_batch, "domains swapped", lambda X, Y, n: batch(below_n_x, lambda i, a, b, n: (
        torch.randint(b, (n,))))(Y[:10], X, n), "x has to come from X"),
    (loop.unpaired_batch, "H and W swapped", lambda X, Y, n: {
        "x": X[:n].transpose(2, 3), "y": Y[:n].transpose(2, 3)}, "(4, 3, 6, 4)"),
]


@pytest.mark.parametrize("exercise,answer,words", [(e, a, w) for e, _, a, w in MISTAKES],
                         ids=[f"{e.__name__}-{name}" for e, name, _, _ in MISTAKES])
def test_the_reason_points_at_the_mistake(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict


def test_the_helpers_are_right_where_nothing_is_replaced():
    """Otherwise the table would prove nothing."""
    for exercise, answer in ((cyclegan.cycle_loss, cycle), (cyclegan.identity_loss, identity),
                             (cyclegan.generator_loss, generator()), (loop.pool_swap, swap()),
                             (loop.optimisers, optimisers()),
                             (loop.unpaired_batch, batch(below_n_x, lambda i, a, b, n:
                                                         torch.randint(b, (n,))))):
        assert exercise(answer).state == "right", exercise(answer)


def test_other_right_ways_are_right():
    def groups(G_xy, G_yx, D_x, D_y, lr):
        once = {p: None for net in (G_xy, G_yx) for p in net.parameters()}
        groups = [{"params": [p]} for p in once]
        return torch.optim.AdamW(groups, lr), torch.optim.Adam([*D_x.parameters(),
                                                                *D_y.parameters()], lr)

    def the_packages_pool(image, stored, size):
        pool = ImagePool(size)
        pool.images = stored
        return pool(image[None])[0]

    def shuffled(X, Y, n):
        return {"y": Y[torch.randperm(len(Y))[:n]], "x": X[torch.randperm(len(X))[:n]]}

    assert loop.optimisers(groups).state == "right"
    assert loop.pool_swap(the_packages_pool).state == "right"
    assert loop.unpaired_batch(shuffled).state == "right"
    assert loop.lr_factor(lambda e, c, d: 1 - max(0, e - c) / d).state == "right"
    assert cyclegan.receptive_field(torch.tensor(70)).state == "right"
    assert cyclegan.identity_weight([5, 0]).state == "right"


def test_expected_values_by_hand():
    """G_xy(i) = 0.6 i + 0.3, G_yx(i) = 0.8 i - 0.2; x is 0.4 and -0.8, y is 0.6 and 0.2.

    There and back, x ends at 0.232 and -0.344, y at 0.468 and 0.276. Once through, G_xy makes
    0.66 and 0.42 of y, G_yx 0.12 and -0.84 of x.
    """
    cycles = (0.168 + 0.456) / 2 + (0.132 + 0.076) / 2
    identities = (0.06 + 0.22) / 2 + (0.28 + 0.04) / 2

    def zero(x, y, G_xy, G_yx):
        return 0 * G_xy(x).mean()

    assert f"expected {cycles:.4g} " in cyclegan.cycle_loss(zero).reason
    assert f"expected {identities:.4g} " in cyclegan.identity_loss(zero).reason
    fakes_y, fakes_x = (0.54, -0.18), (0.28, -0.04)
    by_hand = (sum((-0.6 * f + 0.2 - 1) ** 2 for f in fakes_y) / 2
               + sum((0.8 * f + 0.3 - 1) ** 2 for f in fakes_x) / 2)
    for right, weights in ((by_hand, (0, 0)), (by_hand + 10 * cycles, (10, 0)),
                           (by_hand + 10 * cycles + 5 * identities, (10, 0.5))):
        def only_before(*a, weights=weights):
            return 0 * a[2](a[0]).mean() if a[6:] == weights else generator()(*a)

        assert f"expected {right:.4g} " in cyclegan.generator_loss(only_before).reason
