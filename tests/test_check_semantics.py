"""Notebook 07's checks against the mistakes they exist for, and against other right answers."""

import pytest
import torch
import torch.nn.functional as F

from gantutor.check import semantics


def cut(z):
    return z.detach()


def keep(z):
    return z


def mean_abs(difference):
    return difference.abs().mean()


def mean_square(difference):
    return (difference**2).mean()


def cycle(way="x y Y X", there=keep, code=keep, total=mean_abs):
    """way: whose encoder, decoder, encoder, decoder; capitals for the way back."""
    def answer(x, E_x, G_y, E_y, G_x):
        E, G = {"x": E_x, "y": E_y}, {"x": G_x, "y": G_y}
        a, b, c, d = way.lower().split()
        return total(x - G[d](E[c](there(G[b](code(E[a](x)))))))
    return answer


def semantic(target=cut, code=keep, there=keep, again=keep, total=mean_abs):
    def answer(x, E_x, G_y, E_y):
        return total(target(E_x(x)) - again(E_y(there(G_y(code(E_x(x)))))))
    return answer


def classes(*order, by=F.cross_entropy, of=keep, total=sum):
    def answer(*logits):
        return total([by(of(z), torch.full((len(z),), k)) for z, k in
                      zip(logits, order, strict=True) if k is not None])
    return answer


def all_at_once(source, target, real):
    labels = torch.arange(3).repeat_interleave(len(source))
    return F.cross_entropy(torch.cat([source, target, real]), labels)


def by_hand(source, target, real):
    return -sum(z.log_softmax(1)[:, k].mean() for k, z in enumerate((source, target, real)))


def dtn(const=lambda f, g, x, y: mean_square(f(x) - f(g(f(x)))),
        tid=lambda f, g, x, y: mean_abs(y - g(f(y))), order=lambda a, b: (a, b)):
    return lambda f, g, x, y: order(const(f, g, x, y), tid(f, g, x, y))


def between(have=lambda c: c.mean(0), lack=lambda c: c.mean(0), total=torch.sub):
    return lambda codes, has_it: total(have(codes[has_it]), lack(codes[~has_it]))


def as_numbers(codes, has_it):
    return codes[has_it.long()].mean(0) - codes[(~has_it).long()].mean(0)


def weighted(codes, has_it):
    a = has_it.float().view(-1, 1, 1, 1)
    return (codes * a).sum(0) / a.sum() - (codes * (1 - a)).sum(0) / (1 - a).sum()


def no_grad_const(f, g, x, y):
    with torch.no_grad():
        again = f(g(f(x)))
    return mean_square(f(x) - again) + 0 * sum(p.sum() for p in f.parameters())


def codes_alone(x, E_x, G_y, E_y, G_x):
    return mean_abs(E_x(x) - E_y(G_y(E_x(x))))


MISTAKES = [  # (exercise, mistake, broken answer, words of the reason)
    (semantics.combo_cycle, "E_x on the way back", cycle("x y X X"), "encoded by E_x"),
    (semantics.combo_cycle, "G_y at the end", cycle("x y Y Y"), "last decoder is G_y"),
    (semantics.combo_cycle, "the way there twice", cycle("x y X Y"), "those of the way there"),
    (semantics.combo_cycle, "G_x first", cycle("x x Y X"), "first decoder is G_x"),
    (semantics.combo_cycle, "E_y first", cycle("y y Y X"), "encoded by E_y"),
    (semantics.combo_cycle, "y's cycle", cycle("y x X Y"), "y's cycle"),
    (semantics.combo_cycle, "reconstruction",
     lambda x, E_x, G_y, E_y, G_x: mean_abs(x - G_x(E_x(x))), "reconstruction"),
    (semantics.combo_cycle, "no way back",
     lambda x, E_x, G_y, E_y, G_x: mean_abs(x - G_y(E_x(x))), "way back is missing"),
    (semantics.combo_cycle, "codes", codes_alone, "codes are compared"),
    (semantics.combo_cycle, "squared", cycle(total=mean_square), "squared"),
    (semantics.combo_cycle, "sum", cycle(total=lambda d: d.abs().sum()), "a sum"),
    (semantics.combo_cycle, "sum an image", cycle(total=lambda d: d.abs().sum() / len(d)),
     "Summed over an image"),
    (semantics.combo_cycle, "no absolute value", cycle(total=torch.mean), "absolute value"),
    (semantics.combo_cycle, "translation detached", cycle(there=cut), "no gradient reaches E_x"),
    (semantics.combo_cycle, "code detached", cycle(code=cut), "no gradient reaches E_x"),
    (semantics.semantic_loss, "target not detached", semantic(target=keep), "not detached"),
    (semantics.semantic_loss, "wrong side detached", semantic(target=keep, again=cut),
     "wrong side"),
    (semantics.semantic_loss, "translation detached", semantic(there=cut), "reaches G_y"),
    (semantics.semantic_loss, "code detached", semantic(code=cut), "only the target"),
    (semantics.semantic_loss, "pixels", lambda x, E_x, G_y, E_y: mean_abs(x - G_y(E_x(x))),
     "Pixels"),
    (semantics.semantic_loss, "E_x on the translation",
     lambda x, E_x, G_y, E_y: mean_abs(E_x(x).detach() - E_x(G_y(E_x(x)))), "encoded by E_x"),
    (semantics.semantic_loss, "E_y on x",
     lambda x, E_x, G_y, E_y: mean_abs(E_y(x).detach() - E_y(G_y(E_x(x)))), "x is encoded by E_y"),
    (semantics.semantic_loss, "not translated",
     lambda x, E_x, G_y, E_y: mean_abs(E_x(x).detach() - E_y(x)), "never translated"),
    (semantics.semantic_loss, "squared", semantic(total=mean_square), "squared"),
    (semantics.semantic_loss, "sum", semantic(total=lambda d: d.abs().sum()), "a sum"),
    (semantics.three_classes, "order", classes(1, 0, 2), "another order"),
    (semantics.three_classes, "real first", classes(1, 2, 0), "another order"),
    (semantics.three_classes, "two classes", classes(0, 0, 2), "one class"),
    (semantics.three_classes, "two classes, 0 and 1", classes(0, 0, 1), "one class"),
    (semantics.three_classes, "all real", classes(2, 2, 2), "G's wish"),
    (semantics.three_classes, "G's loss", classes(2, 2, None), "G's loss"),
    (semantics.three_classes, "mean", all_at_once, "mean of the three"),
    (semantics.three_classes, "sum over the batch", classes(
        0, 1, 2, by=lambda z, k: F.cross_entropy(z, k, reduction="sum")), "sum over the batch"),
    (semantics.three_classes, "softmax twice", classes(0, 1, 2, of=lambda z: z.softmax(1)),
     "softmax before"),
    (semantics.three_classes, "nll", classes(0, 1, 2, by=F.nll_loss), "nll_loss"),
    (semantics.three_classes, "no real", classes(0, 1, None), "real targets are not"),
    (semantics.three_classes, "no G(target)", classes(0, None, 2), "class 1, is not"),
    (semantics.three_classes, "no G(source)", classes(None, 1, 2), "class 0, is not"),
    (semantics.three_classes, "sign", lambda *z: -by_hand(*z), "sign"),
    (semantics.three_classes, "detached", lambda a, b, c: by_hand(a.detach(), b, c), "no gradient"),
    (semantics.dtn_terms, "swapped", dtn(order=lambda a, b: (b, a)), "wrong order"),
    (semantics.dtn_terms, "identity on x", dtn(tid=lambda f, g, x, y: mean_abs(x - g(f(x)))),
     "L_TID is taken on x"),
    (semantics.dtn_terms, "constancy in pixels",
     dtn(const=lambda f, g, x, y: mean_square(x - g(f(x)))), "L_CONST is taken on pixels"),
    (semantics.dtn_terms, "constancy in pixels, L1",
     dtn(const=lambda f, g, x, y: mean_abs(x - g(f(x)))), "pixels, and L1"),
    (semantics.dtn_terms, "constancy L1",
     dtn(const=lambda f, g, x, y: mean_abs(f(x) - f(g(f(x))))), "not L1"),
    (semantics.dtn_terms, "constancy of y",
     dtn(const=lambda f, g, x, y: mean_square(f(y) - f(g(f(y))))), "taken on y"),
    (semantics.dtn_terms, "identity squared",
     dtn(tid=lambda f, g, x, y: mean_square(y - g(f(y)))), "not a mean square"),
    (semantics.dtn_terms, "norms mixed up",
     dtn(lambda f, g, x, y: mean_abs(f(x) - f(g(f(x)))),
         lambda f, g, x, y: mean_square(y - g(f(y)))), "not L1"),
    (semantics.dtn_terms, "identity in codes",
     dtn(tid=lambda f, g, x, y: mean_abs(f(y) - f(g(f(y))))), "L_TID is taken on codes"),
    (semantics.dtn_terms, "as a pair", dtn(tid=lambda f, g, x, y: mean_abs(y - g(f(x)))),
     "as if they were a pair"),
    (semantics.dtn_terms, "no_grad", dtn(const=no_grad_const), "no gradient of L_CONST"),
    (semantics.dtn_terms, "identity detached",
     dtn(tid=lambda f, g, x, y: mean_abs(y - g(f(y)).detach())), "no gradient of L_TID"),
    (semantics.dtn_terms, "one", lambda f, g, x, y: mean_abs(y - g(f(y))), "pair"),
    (semantics.direction, "sign", lambda codes, has_it: -between()(codes, has_it), "sign"),
    (semantics.direction, "sums", between(lambda c: c.sum(0), lambda c: c.sum(0)), "sums"),
    (semantics.direction, "sums by all", between(lambda c: c.sum(0) / 7, lambda c: c.sum(0) / 7),
     "all 7 codes"),
    (semantics.direction, "only those who have", lambda codes, has_it: codes[has_it].mean(0),
     "only the mean"),
    (semantics.direction, "only the others", lambda codes, has_it: codes[~has_it].mean(0),
     "have it not"),
    (semantics.direction, "added", between(total=torch.add), "added"),
    (semantics.direction, "minus everyone", lambda codes, has_it: codes[has_it].mean(0)
     - codes.mean(0), "everyone"),
    (semantics.direction, "places averaged",
     between(lambda c: c.mean((0, 2, 3)), lambda c: c.mean((0, 2, 3))), "places"),
    (semantics.direction, "one number", between(torch.mean, torch.mean), "shape"),
    (semantics.direction, "unit length", between(total=lambda a, b: (a - b) / (a - b).norm()),
     "length"),
    (semantics.direction, "as numbers", as_numbers, "as numbers"),
]

OTHER_WAYS = {
    semantics.combo_cycle: [cycle(), lambda x, E_x, G_y, E_y, G_x: F.l1_loss(
        G_x(E_y(G_y(E_x(x)))), x)],
    semantics.semantic_loss: [semantic(), lambda x, E_x, G_y, E_y: F.l1_loss(
        E_y(G_y(E_x(x))), E_x(x.detach()).detach())],
    semantics.three_classes: [classes(0, 1, 2), by_hand, lambda *z: 3 * all_at_once(*z)],
    semantics.dtn_terms: [dtn(), dtn(lambda f, g, x, y: F.mse_loss(f(g(f(x))), f(x).detach()),
                                     lambda f, g, x, y: F.l1_loss(g(f(y)), y))],
    semantics.direction: [between(), weighted],
}


@pytest.mark.parametrize("exercise,answer",
                         [(e, a) for e, ways in OTHER_WAYS.items() for a in ways],
                         ids=lambda v: getattr(v, "__name__", "answer"))
def test_other_right_ways_are_right(exercise, answer):
    verdict = exercise(answer)
    assert verdict.state == "right" and verdict.reason, verdict
