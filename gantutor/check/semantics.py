"""The exercises of notebook 07: cycles through codes, semantic consistency, DTN, directions."""

from itertools import permutations

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import call, close, compare, gradients, images, kind, same, scalar
from gantutor.check.verdict import Wrong, exercise


class _Half(nn.Module):
    """scale * input + shift, at another size."""

    def __init__(self, scale, shift):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.shift = nn.Parameter(torch.tensor(float(shift)))


class Encode(_Half):
    """An encoder: image (N, 3, 4, 6) -> code (N, 3, 2, 3)."""

    def forward(self, image):
        return self.scale * F.avg_pool2d(image, 2) + self.shift


class Decode(_Half):
    """A decoder: code (N, 3, 2, 3) -> image (N, 3, 4, 6)."""

    def forward(self, code):
        return self.scale * F.interpolate(code, scale_factor=2.0) + self.shift


def _coders():
    """E_x, G_y, E_y, G_x, in the order in which a cycle meets them."""
    return Encode(0.8, 0.15), Decode(1.3, -0.35), Encode(0.6, 0.4), Decode(1.7, 0.25)


def _mean(difference):
    return difference.abs().mean()


@exercise
def combo_cycle(answer):
    """my_combo_cycle(x, E_x, G_y, E_y, G_x): from x to Y and back, through both codes."""
    x, (E_x, G_y, E_y, G_x) = images(0.9, -0.7, 0.25), _coders()
    loss = scalar(call(answer, x=x, E_x=E_x, G_y=G_y, E_y=E_y, G_x=G_x))
    there = G_y(E_x(x))
    difference = x - G_x(E_y(there))
    right = _mean(difference)
    compare(loss, right, [
        (_mean(x - G_x(E_x(there))), "On the way back the translation is encoded by E_x; it is an "
         "image of Y, so E_y has to."),
        (_mean(x - G_y(E_y(there))), "The last decoder is G_y; the way back ends in X, so G_x has "
         "to draw."),
        (_mean(x - G_y(E_x(there))), "On the way back both networks are those of the way there."),
        (_mean(x - G_x(E_y(G_x(E_x(x))))), "The first decoder is G_x: nothing was translated."),
        (_mean(x - G_x(E_y(G_y(E_y(x))))), "x is encoded by E_y; it is an image of X."),
        (_mean(x - G_y(E_x(G_x(E_y(x))))), "This is y's cycle, and x is put into it."),
        (_mean(x - G_x(E_x(x))), "This is the reconstruction G_x(E_x(x)), which never visits Y."),
        (_mean(x - there), "x is compared with its translation: the way back is missing."),
        (_mean(E_x(x) - E_y(there)), "The codes are compared, the semantic loss. The cycle loss "
         "compares images."),
        (difference.square().mean(), "The difference is squared; it is L1."),
        (difference.abs().sum(), "This is a sum; take the mean."),
        (difference.abs().sum() / 3, "Summed over an image: take the mean over its pixels too."),
        (difference.mean(), "The absolute value is missing.")])
    networks = {"E_x": E_x, "G_y": G_y, "E_y": E_y, "G_x": G_x}
    for name, gradient in zip(networks, gradients(loss, *networks.values()), strict=True):
        if gradient is None:
            raise Wrong(f"the value is right, but no gradient reaches {name}: something is "
                        "detached, and all four networks learn from a cycle.")
    return "there through X's encoder, back through Y's, and all four learn."


@exercise
def semantic_loss(answer):
    """my_semantic_loss(x, E_x, G_y, E_y): the translation's code should be x's code."""
    x, (E_x, G_y, E_y, _) = images(0.9, -0.7, 0.25), _coders()
    loss = scalar(call(answer, x=x, E_x=E_x, G_y=G_y, E_y=E_y))
    z = E_x(x)
    there = G_y(z)
    difference = z.detach() - E_y(there)
    compare(loss, _mean(difference), [
        (_mean(x - there), "Pixels are compared; compare codes. The translation should *look* "
         "different and mean the same."),
        (_mean(z - E_x(there)), "The translation is encoded by E_x; it is an image of Y, so E_y "
         "has to."),
        (_mean(E_y(x) - E_y(there)), "x is encoded by E_y; it is an image of X."),
        (_mean(z - E_y(x)), "x itself is encoded twice: it was never translated."),
        (difference.square().mean(), "The difference is squared; it is L1."),
        (difference.abs().sum(), "This is a sum; take the mean."),
        (difference.abs().sum() / 3, "Summed over a code: take the mean over its numbers too."),
        (difference.mean(), "The absolute value is missing.")])
    found = gradients(loss, E_x, G_y, E_y)
    if same(found[0], gradients(_mean(z - E_y(there)), E_x)[0]):
        raise Wrong("the value is right, but the target E_x(x) is not detached: the cheapest way "
                    "to agree would be to make all codes alike.")
    if found[2] is None:
        raise Wrong("the value is right, but no gradient reaches E_y: the wrong side is detached. "
                    "The target is E_x(x).")
    if found[1] is None:
        raise Wrong("the value is right, but no gradient reaches G_y: the translation is "
                    "detached, and G_y would never learn to keep the meaning.")
    if found[0] is None:
        raise Wrong("the value is right, but no gradient reaches E_x: only the target is detached, "
                    "not the code that G_y draws from.")
    if not same(found[0], gradients(_mean(difference), E_x)[0]):
        raise Wrong("the value is right, but the gradient of E_x is not: it should come through "
                    "the translation alone.")
    return "codes are compared, and the target stands still."


@exercise
def three_classes(answer):
    """my_three_class_loss(logits_source, logits_target, logits_real): DTN's D; logits (N, 3)."""
    numbers = torch.tensor([[1.31, -0.42, 0.2, 0.77, 0.1, -1.1], [-0.6, 0.95, 0.53, 0.3, 1.6, 0.0],
                            [0.25, -0.8, 1.14, -0.3, 0.69, 2.0]])
    source, target, real = (row.view(2, 3).requires_grad_() for row in numbers)
    loss = scalar(call(answer, logits_source=source, logits_target=target, logits_real=real))

    def total(*classes, of=lambda logits: logits, by=F.cross_entropy):
        return sum(by(of(logits), torch.tensor([k, k])) for logits, k in
                   zip((source, target, real), classes, strict=True) if k is not None)

    right = total(0, 1, 2)
    two = "Both fakes are one class: DTN's D tells three apart, what G made of a source image too."
    compare(loss, right, [
        *((total(*order), "The classes are in another order: 0 is G(source), 1 is G(target), 2 is "
           "a real target.") for order in permutations(range(3)) if order != (0, 1, 2)),
        *((total(*classes), two) for classes in ((0, 0, 2), (0, 0, 1), (1, 1, 2), (1, 1, 0))),
        (total(2, 2, 2), "All three are called real: that is G's wish, not D's."),
        (total(2, 2, None), "This is G's loss, which calls its fakes real."),
        (right / 3, "This is the mean of the three terms (as one cross-entropy over all of them "
         "together gives); DTN's loss is their sum."),
        (right * 2, "This is a sum over the batch: each term is a mean."),
        (total(0, 1, 2, of=lambda logits: logits.softmax(1)), "There is a softmax before "
         "cross-entropy, which takes logits."),
        (total(0, 1, 2, by=F.nll_loss), "nll_loss takes log-probabilities; for logits take "
         "cross_entropy."),
        (total(0, 1, None), "The real targets are not judged."),
        (total(0, None, 2), "G(target), class 1, is not judged."),
        (total(None, 1, 2), "G(source), class 0, is not judged."),
        (-right, "The sign is turned.")])
    if not loss.requires_grad or None in torch.autograd.grad(loss, (source, target, real),
                                                             allow_unused=True):
        raise Wrong("the value is right, but no gradient arrives at some of the logits.")
    return "three classes, three means, added."


@exercise
def dtn_terms(answer):
    """my_dtn_terms(f, g, x, y) -> (L_CONST, L_TID); f is frozen, G is g(f(.))."""
    f, g = Encode(0.8, 0.15).requires_grad_(False), Decode(1.9, -0.35)
    x, y = images(0.9, -0.7, 0.25), images(-0.2, 0.6, 0.75)
    pair = call(answer, f=f, g=g, x=x, y=y)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise Wrong(f"expected the pair (L_CONST, L_TID), found {kind(pair)}.")
    const, tid = (scalar(term, name) for term, name in zip(pair, ("L_CONST", "L_TID"), strict=True))
    G_x, G_y = g(f(x)), g(f(y))
    code_x, code_y = f(x) - f(G_x), f(y) - f(G_y)
    right, right_tid = code_x.square().mean(), _mean(y - G_y)
    if close(const, right_tid) and close(tid, right):
        raise Wrong("the two are in the wrong order: L_CONST comes first.")
    compare(const, right, [
        (_mean(code_x), "L_CONST is a mean square of codes, not L1; the L1 is L_TID's."),
        ((x - G_x).square().mean(), "L_CONST is taken on pixels: compare f(x) with f of the "
         "translation."),
        (_mean(x - G_x), "L_CONST is taken on pixels, and L1: compare codes, squared."),
        (code_y.square().mean(), "L_CONST is taken on y; it belongs to x, which is translated."),
        ((f(x) - f(G_y)).square().mean(), "L_CONST compares x's code with that of G(y)."),
        (code_x.square().sum(), "L_CONST is a sum; take the mean."),
        (code_x.square().sum() / 3, "L_CONST is summed over a code; take the mean."),
        (right_tid, "L_CONST is L_TID: constancy compares codes of x.")])
    compare(tid, right_tid, [
        ((y - G_y).square().mean(), "L_TID is L1 on pixels, not a mean square; the square is "
         "L_CONST's."),
        (_mean(x - G_x), "L_TID is taken on x: only a y should pass unchanged, an x has to "
         "change."),
        ((x - G_x).square().mean(), "L_TID is taken on x, and squared: it is L1 on y."),
        (_mean(code_y), "L_TID is taken on codes: compare the pixels of y and G(y)."),
        (code_y.square().mean(), "L_TID is taken on codes, and squared: it is L1 on pixels."),
        (_mean(y - G_x), "L_TID compares y with the translation of x, as if they were a pair."),
        ((y - G_y).abs().sum(), "L_TID is a sum; take the mean."),
        ((y - G_y).abs().sum() / 3, "L_TID is summed over an image; take the mean."),
        (right, "L_TID is L_CONST: the identity compares y's pixels.")])
    for term, name in ((const, "L_CONST"), (tid, "L_TID")):
        if gradients(term, g)[0] is None:
            raise Wrong(f"the values are right, but no gradient of {name} reaches g: f is frozen, "
                        "which needs no no_grad and no detach around g.")
    return "constant in codes, identical in pixels."


@exercise
def direction(answer):
    """my_direction(codes, has_it): codes (N, c, h, w), has_it (N,) bool -> (c, h, w)."""
    codes = (torch.arange(7 * 24.0) * 0.7).sin().view(7, 4, 2, 3) + torch.arange(
        7.0).view(-1, 1, 1, 1) / 3
    has_it = torch.tensor([False, True, True, False, False, True, False])
    found = call(answer, codes=codes, has_it=has_it)
    if not isinstance(found, torch.Tensor):
        raise Wrong(f"expected a tensor, found {kind(found)}.")
    have, lack = codes[has_it], codes[~has_it]
    right = have.mean(0) - lack.mean(0)
    if found.shape in ((4,), (4, 1, 1), (1, 4)):
        raise Wrong(f"the places are averaged too: it has shape {tuple(found.shape)}, expected "
                    "(4, 2, 3). Where something is belongs to the direction.")
    if found.shape != right.shape:
        raise Wrong(f"it has shape {tuple(found.shape)}, expected one code's, (4, 2, 3).")
    found = found.detach().float()
    picked = codes[has_it.long()].mean(0) - codes[(~has_it).long()].mean(0)
    for wrong, text in (
            (-right, "the sign is turned: those who have it minus those who have not."),
            (have.sum(0) - lack.sum(0), "these are sums: 3 codes against 4. Take each group's "
             "mean."),
            ((have.sum(0) - lack.sum(0)) / 7, "both sums are divided by all 7 codes: each group "
             "has its own mean."),
            (have.mean(0), "this is only the mean of those who have it: most of it is what all "
             "faces share."),
            (lack.mean(0), "this is only the mean of those who have it not."),
            (have.mean(0) + lack.mean(0), "the means are added, not subtracted."),
            (have.mean(0) - codes.mean(0), "the mean of everyone is subtracted, those who have it "
             "among them: too short a direction."),
            (right / right.norm(), "its length is set to 1; the length says how far it is from "
             "one group to the other."),
            (picked, "has_it was used as numbers: codes[0] and codes[1] are picked again and "
             "again. A bool tensor picks rows.")):
        if torch.allclose(found, wrong, atol=1e-4):
            raise Wrong(text)
    if not torch.allclose(found, right, atol=1e-4):
        raise Wrong(f"the values are not right: the first is {found[0, 0, 0]:.3f}, expected "
                    f"{right[0, 0, 0]:.3f}.")
    return "the way from the mean code without to the mean code with."
