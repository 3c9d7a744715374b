"""The exercises of notebook 07: cycles through codes, semantic consistency, DTN, directions."""

from itertools import permutations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import l1_loss as l1
from torch.nn.functional import mse_loss as l2

from gantutor.check.answers import Affine, call, images, kind
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.check.verdict import Wrong


def encoder(*scale_and_shift):
    """Image (N, 3, 4, 6) -> code (N, 3, 2, 3)."""
    return nn.Sequential(nn.AvgPool2d(2), Affine(*scale_and_shift))


def decoder(*scale_and_shift):
    """Code (N, 3, 2, 3) -> image (N, 3, 4, 6)."""
    return nn.Sequential(nn.Upsample(scale_factor=2), Affine(*scale_and_shift))


def coders():
    return {"x": images(0.9, -0.7, 0.25), "E_x": encoder(0.8, 0.15), "G_y": decoder(1.3, -0.35),
            "E_y": encoder(0.3, 0.6), "G_x": decoder(0.9, -0.6)}


keep, cut = torch.clone, torch.detach  # what an answer does on the way


def sums(d):
    """The distance d as a sum: over everything, or over one image."""
    return (lambda a, b: d(a, b) * a.numel()), (lambda a, b: d(a, b) * a[0].numel())


def distances(variant):
    """The mistakes that either loss of a round trip can have; variant(d=...) makes the answer."""
    return {"squared": variant(d=l2), "sum": Mistake(*(variant(d=d) for d in sums(l1))),
            "no absolute value": Mistake(variant(d=lambda a, b: (a - b).mean()),
                                         variant(d=lambda a, b: (b - a).mean()))}


# Cycles through codes ----------------------------------------------------------------------------

def cycle(way="xyyx", d=l1, code=keep, there=keep):
    """way: whose encoder, decoder, encoder and decoder; code, there: what is done on the way."""
    def answer(x, E_x, G_y, E_y, G_x):
        E, G = {"x": E_x, "y": E_y}, {"x": G_x, "y": G_y}
        a, b, c, e = way
        return d(x, G[e](E[c](there(G[b](code(E[a](x)))))))
    return answer


@loss_exercise(right=cycle(), also_right=[cycle(d=lambda a, b: (b - a).abs().mean())], mistakes={
    "E_x on the way back": cycle("xyxx"), "G_y at the end": cycle("xyyy"),
    "the way there twice": cycle("xyxy"), "G_x first": cycle("xxyx"), "E_y first": cycle("yyyx"),
    "y's cycle": cycle("yxxy"),
    "reconstruction": lambda x, E_x, G_y, E_y, G_x: l1(G_x(E_x(x)), x),
    "no way back": lambda x, E_x, G_y, E_y, G_x: l1(G_y(E_x(x)), x),
    "codes": lambda x, E_x, G_y, E_y, G_x: l1(E_x(x), E_y(G_y(E_x(x)))), **distances(cycle),
    "detached": Mistake(cycle(there=cut), cycle(code=cut))})
def combo_cycle():
    """my_combo_cycle(x, E_x, G_y, E_y, G_x): from x to Y and back, through both codes."""
    return coders()


def semantic(target=cut, d=l1, code=keep, there=keep, again=keep):
    """What is done with the target, and on the way to the code of the translation."""
    return lambda x, E_x, G_y, E_y: d(target(E_x(x)), again(E_y(there(G_y(code(E_x(x)))))))


@loss_exercise(right=semantic(), also_right=[
    lambda x, E_x, G_y, E_y: (E_y(G_y(E_x(x))) - E_x(x).detach()).abs().mean()], mistakes={
    "pixels": lambda x, E_x, G_y, E_y: l1(x, G_y(E_x(x))),
    "E_x on the translation": lambda x, E_x, G_y, E_y: semantic()(x, E_x, G_y, E_x),
    "E_y on x": lambda x, E_x, G_y, E_y: l1(E_y(x), E_y(G_y(E_x(x)))),
    "not translated": lambda x, E_x, G_y, E_y: l1(E_x(x), E_y(x)), **distances(semantic),
    "target not detached": Mistake(semantic(target=keep), semantic(target=keep, code=cut)),
    "wrong side detached": Mistake(semantic(target=keep, again=cut), semantic(again=cut)),
    "translation detached": Mistake(semantic(there=cut), semantic(target=keep, there=cut)),
    "code detached": semantic(code=cut)})
def semantic_loss():
    """my_semantic_loss(x, E_x, G_y, E_y): the translation's code should be x's code."""
    return {name: given for name, given in coders().items() if name != "G_x"}


# DTN ---------------------------------------------------------------------------------------------

def classes(*order, by=F.cross_entropy, of=keep, total=sum):
    """order: the class of source, target and real, None where one is left out."""
    return lambda *logits: total([by(of(one), torch.full((len(one),), k)) for one, k in
                                  zip(logits, order, strict=True) if k is not None])


def all_at_once(*logits):
    return F.cross_entropy(torch.cat(logits), torch.arange(3).repeat_interleave(len(logits[0])))


@loss_exercise(right=classes(0, 1, 2), also_right=[
    lambda *logits: -sum(one.log_softmax(1)[:, k].mean() for k, one in enumerate(logits)),
    lambda *logits: 3 * all_at_once(*logits)], mistakes={
    "order": Mistake(*(classes(*o) for o in permutations(range(3)) if o != (0, 1, 2))),
    "two classes": Mistake(*(classes(*o) for o in ((0, 0, 2), (0, 0, 1), (1, 1, 2), (1, 1, 0)))),
    "all real": classes(2, 2, 2), "G's loss": classes(2, 2, None), "mean": all_at_once,
    "sum over the batch": classes(0, 1, 2, total=lambda terms: 2 * sum(terms)),
    "softmax": classes(0, 1, 2, of=lambda logits: logits.softmax(1)),
    "nll_loss": classes(0, 1, 2, by=F.nll_loss), "no real": classes(0, 1, None),
    "no G(target)": classes(0, None, 2), "no G(source)": classes(None, 1, 2),
    "sign": classes(0, 1, 2, total=lambda terms: -sum(terms)),
    "detached": Mistake(*(lambda *logits, k=k: classes(0, 1, 2)(*(
        one.detach() if n == k else one for n, one in enumerate(logits))) for k in range(3)))})
def three_classes():
    """my_three_class_loss(logits_source, logits_target, logits_real): DTN's D; logits (N, 3)."""
    numbers = torch.tensor([[1.31, -0.42, 0.2, 0.77, 0.1, -1.1], [-0.6, 0.95, 0.53, 0.3, 1.6, 0.0],
                            [0.25, -0.8, 1.14, -0.3, 0.69, 2.0]])
    return {f"logits_{who}": row.reshape(2, 3).requires_grad_() for who, row in
            zip(("source", "target", "real"), numbers, strict=True)}


CONST, TID = (l2, "codes", "x"), (l2, "pixels", "y")


def dtn(const=CONST, tid=TID):
    """Two terms: a distance of "codes" or of "pixels", of which image, and from G of which."""
    def term(f, g, x, y, d, where, image, translated=None):
        a, b = ({"x": x, "y": y}[who] for who in (image, translated or image))
        return d(a, g(f(b))) if where == "pixels" else d(f(a), f(g(f(b))))
    return lambda *a: (term(*a, *const), term(*a, *tid))


@loss_exercise(right=dtn(), losses=("L_CONST", "L_TID"), also_right=[lambda f, g, x, y: [
    (f(g(f(x))) - f(x).detach()).square().mean(), (g(f(y)) - y).square().mean()]], mistakes={
    "order": dtn(TID, CONST), "one loss": lambda *a: dtn()(*a)[1],
    "CONST L1": Mistake(dtn((l1, "codes", "x")), dtn((l1, "codes", "x"), (l1, "pixels", "y"))),
    "CONST in pixels": dtn((l2, "pixels", "x")), "CONST in pixels, L1": dtn((l1, "pixels", "x")),
    "CONST of y": dtn((l2, "codes", "y")), "CONST with G(y)": dtn((l2, "codes", "x", "y")),
    "CONST is TID": dtn(TID), "CONST sum": Mistake(*(dtn((d, "codes", "x")) for d in sums(l2))),
    "TID L1": dtn(tid=(l1, "pixels", "y")), "TID on x": dtn(tid=(l2, "pixels", "x")),
    "TID on x, L1": dtn(tid=(l1, "pixels", "x")), "TID in codes": dtn(tid=(l2, "codes", "y")),
    "TID in codes, L1": dtn(tid=(l1, "codes", "y")), "TID is CONST": dtn(tid=CONST),
    "TID with G(x)": dtn(tid=(l2, "pixels", "y", "x")),
    "TID sum": Mistake(*(dtn(tid=(d, "pixels", "y")) for d in sums(l2))),
    "CONST detached": dtn((lambda a, b: l2(a, b).detach(), "codes", "x")),
    "TID detached": dtn(tid=(lambda a, b: l2(a, b).detach(), "pixels", "y"))})
def dtn_terms():
    """my_dtn_terms(f, g, x, y) -> (L_CONST, L_TID); f is frozen, G is g(f(.))."""
    return {"f": encoder(0.8, 0.15).requires_grad_(False), "g": decoder(1.9, -0.35),
            "x": images(0.9, -0.7, 0.25), "y": images(-0.2, 0.6, 0.75)}


# A direction -------------------------------------------------------------------------------------

def between(mean=lambda codes: codes.mean(0), total=torch.sub):
    """What is made of the codes with and without, and of the two."""
    return lambda codes, has_it: total(mean(codes[has_it]), mean(codes[~has_it]))


@exercise(right=between(), also_right=[lambda codes, has_it: torch.einsum(
    "nchw,n->chw", codes, has_it / has_it.sum() - ~has_it / (~has_it).sum())], mistakes={
    "places averaged": Mistake(*(between(lambda codes, shape=shape: codes.mean((0, 2, 3)).view(
        shape)) for shape in ((4,), (4, 1, 1), (1, 4)))),
    "one number": between(torch.mean),
    "sign": lambda *a: -between()(*a), "sums": between(lambda codes: codes.sum(0)),
    "sums by all": between(lambda codes: codes.sum(0) / 7),
    "only with": between(total=lambda those, rest: those),
    "only without": between(total=lambda those, rest: rest), "added": between(total=torch.add),
    "minus everyone": lambda codes, has_it: codes[has_it].mean(0) - codes.mean(0),
    "unit length": lambda *a: between()(*a) / between()(*a).norm(),
    "as numbers": lambda codes, has_it: codes[has_it.long()].mean(0) - codes[
        (~has_it).long()].mean(0)})
def direction(answer):
    """my_direction(codes, has_it): codes (N, c, h, w), has_it (N,) bool -> (c, h, w)."""
    codes = (torch.arange(7 * 24.0) * 0.7).sin().view(7, 4, 2, 3) + torch.arange(
        7.0).view(-1, 1, 1, 1) / 3
    has_it = torch.tensor([False, True, True, False, False, True, False])
    found = call(answer, codes=codes, has_it=has_it)
    if not isinstance(found, torch.Tensor):
        raise Wrong(f"expected a tensor, found {kind(found)}.")
    return {"shape": list(found.shape), "values": found.detach().float(),
            "_shape": tuple(found.shape)}
