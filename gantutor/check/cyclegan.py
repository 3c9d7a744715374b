"""The exercises of notebook 03 on the losses: which network sees which image, how heavily."""

from gantutor.check import Wrong, exercise
from gantutor.check.answers import (
    Affine,
    PatchScore,
    call,
    close,
    compare,
    gradients,
    images,
    number,
    same,
    scalar,
    two_numbers,
)
from gantutor.losses import lsgan_generator_loss
from gantutor.methods.cyclegan import CycleGAN

SUM = "This is a sum over images and pixels, not a mean: the loss now grows with the image size."


def _toys():
    """Generators that do not commute, two images each; no two mistakes have the same value."""
    return Affine(0.6, 0.3), Affine(0.8, -0.2), images(0.4, -0.8), images(0.6, 0.2)


def _l1(a, b):
    return (a - b).abs().mean()


def _terms(x, y, G_xy, G_yx):
    """(the cycle loss, the identity loss, what people write in their place)."""
    cycle = _l1(G_yx(G_xy(x)), x) + _l1(G_xy(G_yx(y)), y)
    identity = _l1(G_xy(y), y) + _l1(G_yx(x), x)
    return cycle, identity, [
        (_l1(G_xy(x), x) + _l1(G_yx(y), y), "Wrong domain: this sends x once through G_xy, and y "
         "through G_yx, and asks for no change, but changing those is what the two are for."),
        (_l1(G_yx(G_xy(x)), y) + _l1(G_xy(G_yx(y)), x), "Wrong domain: the round trip of x is "
         "compared with y, an unrelated image; it has to end where it began."),
        (_l1(G_xy(G_yx(x)), x) + _l1(G_yx(G_xy(y)), y), "Wrong order: an x goes to Y first, "
         "through G_xy, and comes back through G_yx."),
        (_l1(G_xy(y), x) + _l1(G_yx(x), y), "Wrong domain: G_xy(y) has to be compared with the "
         "same y.")]


def _both_learn(loss, expected, G_xy, G_yx, cut=None):
    """The gradients of losses of one value; `cut` has a detach between there and back."""
    found, wanted = gradients(loss, G_xy, G_yx), gradients(expected, G_xy, G_yx)
    if cut is not None and all(map(same, found, gradients(cut, G_xy, G_yx))):
        raise Wrong("the value is right, but each generator learns from only one of the two "
                    "cycles: a detach stands between the way there and the way back. Both cycles "
                    "train both generators.")
    for name, a, b in zip(("G_xy", "G_yx"), found, wanted, strict=True):
        if not same(a, b):
            raise Wrong(f"the value is right, but {name} gets "
                        f"{'no gradient' if a is None else f'the gradient {a.tolist()}'}, expected "
                        f"{b.tolist()}: something is detached or under no_grad.")


@exercise
def cycle_loss(answer):
    """my_cycle_loss(x, y, G_xy, G_yx): both cycles."""
    G_xy, G_yx, x, y = _toys()
    loss = scalar(call(answer, x=x, y=y, G_xy=G_xy, G_yx=G_yx))
    right, identity, mistakes = _terms(x, y, G_xy, G_yx)
    there_x, there_y = G_yx(G_xy(x)) - x, G_xy(G_yx(y)) - y
    compare(loss, right, [
        (identity, "This is the identity loss: it sends an image through one generator, once. "
         "The cycle goes there and back."), *mistakes,
        (there_x.abs().mean(), "Only the cycle of x is in it."),
        (there_y.abs().mean(), "Only the cycle of y is in it."),
        (right / 2, "The two cycles are added, not averaged."), (right * x.numel(), SUM),
        (right * x[0].numel(), SUM),
        ((there_x**2).mean() + (there_y**2).mean(), "The differences are squared; L1 takes their "
         "absolute value."),
        (there_x.mean() + there_y.mean(), "Errors of opposite sign cancel: the absolute value is "
         "missing."),
        (there_x.mean().abs() + there_y.mean().abs(), "Errors of opposite sign cancel: take the "
         "absolute value before the mean.")])
    cut = _l1(G_yx(G_xy(x).detach()), x) + _l1(G_xy(G_yx(y).detach()), y)
    _both_learn(loss, right, G_xy, G_yx, cut)
    return "both cycles, and both generators learn from both."


@exercise
def identity_loss(answer):
    """my_identity_loss(x, y, G_xy, G_yx): both directions."""
    G_xy, G_yx, x, y = _toys()
    loss = scalar(call(answer, x=x, y=y, G_xy=G_xy, G_yx=G_yx))
    cycle, right, mistakes = _terms(x, y, G_xy, G_yx)
    compare(loss, right, [
        (cycle, "This is the cycle loss, there and back. The identity loss sends an image through "
         "one generator, once: the one whose *output* domain it is from."), *mistakes,
        (_l1(G_xy(y), y), "Only G_xy's half is in it."),
        (_l1(G_yx(x), x), "Only G_yx's half is in it."),
        (right / 2, "The two halves are added, not averaged."), (right * x.numel(), SUM),
        (right * x[0].numel(), SUM),
        (((G_xy(y) - y)**2).mean() + ((G_yx(x) - x)**2).mean(), "The differences are squared; L1 "
         "takes their absolute value.")])
    _both_learn(loss, right, G_xy, G_yx)
    return "each generator on images of its own output domain."


@exercise
def identity_weight(answer):
    """The identity term's weights at (lambda_cyc, lambda_idt) = (10, 0.5) and (0, 0.5)."""
    first, second = two_numbers(answer, "weight")
    if close(first, 0.5):
        raise Wrong("lambda_idt alone is not the weight: it is multiplied by lambda_cyc.")
    if close(first, 10.5):
        raise Wrong("the two weights are multiplied, not added.")
    if not close(first, 5):
        raise Wrong(f"the first weight is not {first:.4g}: which factors stand before identity?")
    if not close(second, 0):
        raise Wrong(f"the first is right. The second is not {second:.4g}: lambda_cyc is a factor "
                    "there too, and it is 0.")
    return "5 and 0: whoever switches the cycle off has switched off both."


def _adversarial(D_x, D_y, fake_x, fake_y, loss=lsgan_generator_loss):
    return loss(D_y(fake_y)) + loss(D_x(fake_x))


@exercise
def generator_loss(answer):
    """my_generator_loss(x, y, G_xy, G_yx, D_x, D_y, lambda_cyc, lambda_idt): the whole of it.

    Three settings of the weights tell the three parts apart.
    """
    G_xy, G_yx, x, y = _toys()
    D_x, D_y = PatchScore(0.8, 0.3), PatchScore(-0.6, 0.2)
    method = CycleGAN(G_xy, G_yx, D_x, D_y, pool_size=0)

    def both(lambda_cyc, lambda_idt):
        found = call(answer, x=x, y=y, G_xy=G_xy, G_yx=G_yx, D_x=D_x, D_y=D_y,
                     lambda_cyc=lambda_cyc, lambda_idt=lambda_idt)
        method.lambda_cyc, method.lambda_idt = lambda_cyc, lambda_idt
        return scalar(found), method.generator_loss({"x": x, "y": y})[0]

    found, right = both(0.0, 0.0)
    fakes = G_yx(y), G_xy(x)
    compare(found, right, [
        (_adversarial(D_y, D_x, *fakes), "The discriminators are swapped: G_xy(x) is a y, so D_y "
         "has to judge it."),
        (_adversarial(D_x, D_y, *fakes, lambda s: (s**2).mean()), "With both weights 0: the label "
         "is that of a fake, 0. A generator wants to hear 1."),
        (_adversarial(D_x, D_y, x, y), "With both weights 0: the discriminators were shown the "
         "real images."),
        (right / 2, "With both weights 0: only D's losses are halved."),
        (_adversarial(D_x, D_y, *fakes, lambda s: lsgan_generator_loss(s.sigmoid())), "With both "
         "weights 0: there is a sigmoid before LSGAN, which takes raw scores.")])
    if None in (got := gradients(found, G_xy, G_yx)):
        raise Wrong(f"with both weights 0 {('G_xy', 'G_yx')[got.index(None)]} gets no gradient: "
                    "the fake is detached before D sees it. Only D's own loss wants that.")
    cycle, identity, mistakes = _terms(x, y, G_xy, G_yx)
    found, right_cyc = both(10.0, 0.0)
    compare(found, right_cyc, [(right + w * value, text) for w in (1, 10) for value, text in [
        (identity, "The identity loss stands where the cycle loss belongs."), *mistakes]] + [
        (right + cycle, "lambda_cyc is not applied to the cycles."),
        *((right + 10 * a + b * c, "lambda_cyc multiplies only one of the two cycles.")
          for c in (0, 1) for a, b in ((cycle - _l1(G_xy(G_yx(y)), y), _l1(G_xy(G_yx(y)), y)),
                                       (cycle - _l1(G_yx(G_xy(x)), x), _l1(G_yx(G_xy(x)), x))))])
    found, right_all = both(10.0, 0.5)
    compare(found, right_all, [
        (right_cyc, "With lambda_idt = 0.5: the identity term is missing."),
        (right_cyc + 0.5 * identity, "The identity weight is not multiplied by lambda_cyc: it is "
         "lambda_cyc * lambda_idt, ten times as much here."),
        (right_cyc + 10 * identity, "The identity loss does not get lambda_idt."),
        *((right_cyc + w * value, text) for w in (0.5, 5) for value, text in
          [(cycle, "The cycle loss stands where the identity loss belongs."), *mistakes])])
    cut = right + 10 * (_l1(G_yx(G_xy(x).detach()), x) + _l1(G_xy(G_yx(y).detach()), y)) \
        + 5 * identity
    _both_learn(found, right_all, G_xy, G_yx, cut)
    return "adversarial, cycle and identity, each with its weight and its gradient."


@exercise
def receptive_field(answer):
    """The width of the patch that one score of the 70 x 70 PatchGAN sees."""
    field = number(answer, "the receptive field")
    known = {28: "that is what going from the picture forwards gives; start at the score.",
             16: "that would be right without strides.", 34: "one layer short: there are three "
             "with stride 2.", 142: "one layer with stride 2 too many.",
             46: "one layer short: there are two with stride 1.",
             20: "that adds up the kernels; neighbours overlap, and strides spread them."}
    if not close(field, 70):
        raise Wrong(known.get(round(field), f"it is not {field:.4g}: go from the score back to "
                                            "the picture, layer by layer."))
    return "1, 4, 7, 16, 34, 70: hence the PatchGAN's name."
