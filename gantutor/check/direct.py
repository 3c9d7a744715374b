"""The exercises of notebook 01: the losses of two players, and one step of each."""

import numpy as np
import torch

from gantutor.check.answers import (
    Affine,
    PatchScore,
    call,
    close,
    compare,
    gradients,
    images,
    kind,
    number,
    same,
    scalar,
)
from gantutor.check.verdict import Wrong, exercise
from gantutor.losses import (
    bce_discriminator_loss,
    bce_generator_loss,
    lsgan_discriminator_loss,
    lsgan_generator_loss,
)

SIGMOID = ("There is a sigmoid before the loss: this one takes D's raw scores, and a sigmoid "
           "squashes them and their gradient.")
SUM = "This is a sum, not a mean: the loss now grows with the batch and the image size."


@exercise
def picture(answer):
    """my_picture(image): (3, H, W) in [-1, 1] -> (H, W, 3) in [0, 1]."""
    image = torch.linspace(-1, 1, 3 * 4 * 6).view(3, 4, 6)
    found = call(answer, image=image)
    if not isinstance(found, torch.Tensor | np.ndarray):
        raise Wrong(f"expected a tensor or an array, found {kind(found)}.")
    found = torch.as_tensor(found).detach()
    if found.shape == (6, 4, 3):
        raise Wrong("H and W are swapped: an image 4 high and 6 wide came out 6 high and 4 wide. "
                    "A square picture would only have been mirrored, and nobody would have seen.")
    if found.shape != (4, 6, 3):
        raise Wrong(f"for an image of shape (3, 4, 6) the shape is {tuple(found.shape)}, expected "
                    "(4, 6, 3): the channels belong last.")
    layouts = {"": image.permute(1, 2, 0),
               "reshape or view: it keeps the order of the numbers in memory and so mixes the "
               "pixels of the channels; the axes have to be permuted. ": image.reshape(4, 6, 3),
               "the picture is upside down. ": image.permute(1, 2, 0).flip(0),
               "left and right are swapped. ": image.permute(1, 2, 0).flip(1)}
    ranges = {"": lambda i: (i + 1) / 2,
              "the range is still [-1, 1]: matplotlib cuts off all below 0.": lambda i: i,
              "the values were halved but not moved up: the range is [-0.5, 0.5].": lambda i: i / 2,
              "the dark half was cut off: clamp does not bring [-1, 1] to [0, 1].":
              lambda i: i.clamp(0, 1),
              "the range is [0, 255], expected [0, 1].": lambda i: (i + 1) * 127.5,
              "1 was added, but the range is [0, 2]: halve it.": lambda i: i + 1}
    for layout, pixels in layouts.items():
        for span, values in ranges.items():
            rounding = 1.0 if "255" in span else 1e-3
            if torch.allclose(found.double(), values(pixels).double(), atol=rounding):
                if layout or span:
                    raise Wrong(f"{layout}{span}".strip())
                return "4 high, 6 wide, colours in their places, from 0 to 1."
    raise Wrong(f"the values are not right: the first pixel is {found[0, 0].tolist()}, expected "
                f"{((image[:, 0, 0] + 1) / 2).tolist()}.")


@exercise
def bce_loss(answer):
    """my_bce(fake_scores): mean of -log sigmoid(score)."""
    scores = torch.tensor([-1.0, 2.0]).view(2, 1, 1, 1).repeat(1, 1, 2, 3).requires_grad_()
    loss, right = scalar(call(answer, fake_scores=scores)), bce_generator_loss(scores)
    squashed, n = torch.sigmoid(scores), scores.numel()
    compare(loss, right, [
        (right * n, SUM),
        (bce_generator_loss(squashed), "There is a sigmoid before a loss on logits: softplus and "
         "the *_with_logits losses have it inside already."),
        (bce_generator_loss(-scores), "The label is swapped: this is the loss of telling fakes "
         "from real (label 0); the generator wants to hear 1."),
        (-bce_generator_loss(-scores), "This is log(1 - sigmoid(s)), the saturating loss: it has "
         "almost no slope where D is sure, just when the generator needs it most."),
        (-right, "The sign is wrong: a loss is lowered."),
        (lsgan_generator_loss(scores), "This is the least-squares loss."),
        (squashed.mean(), "This is a mean of probabilities; the logarithm is missing."),
        (-squashed.mean(), "This is a mean of probabilities; the logarithm is missing.")])
    surely_fake = torch.full((2, 1), -200.0, requires_grad=True)
    far = call(answer, fake_scores=surely_fake)
    if torch.isinf(far).any():
        raise Wrong("right for small scores, but infinite at -200: sigmoid(-200) is 0 in float32, "
                    "and log(0) overflows. Use the form without sigmoid.")
    compare(scalar(far, "the loss at score -200"), 200, [
        (100, "Right for small scores, but cut off at 100 (binary_cross_entropy after a sigmoid "
              "does that): no gradient is left there. Use the form without sigmoid.")])
    if not far.requires_grad:
        raise Wrong("the value is right, but no gradient reaches the scores: something detaches.")
    return "also where the sigmoid would be 0."


def _toys():
    return Affine(0.5, 0.1), PatchScore(0.8, 0.3), images(0.6, -0.2), images(-0.4, 1.0)


@exercise
def discriminator_loss(answer):
    """my_discriminator_loss(D, real, fake): halved least squares; fake comes with G's graph."""
    G, D, x, y = _toys()
    fake = G(x)
    loss = scalar(call(answer, D=D, real=y, fake=fake))
    r, f = D(y).detach(), D(fake).detach()
    right, n = lsgan_discriminator_loss(r, f), r.numel()
    compare(loss, right, [
        (2 * right, "It is not halved."),
        (lsgan_discriminator_loss(f, r), "Real and fake are swapped: this D learns to say 0 to "
         "real images and 1 to fakes."),
        (2 * lsgan_discriminator_loss(f, r), "Real and fake are swapped, and it is not halved."),
        (right * n, SUM), (2 * right * n, SUM + " And it is not halved."),
        (lsgan_discriminator_loss(r.sigmoid(), f.sigmoid()), SIGMOID),
        (2 * lsgan_discriminator_loss(r.sigmoid(), f.sigmoid()), SIGMOID + " And not halved."),
        (bce_discriminator_loss(r, f), "This is the cross-entropy; least squares was asked for."),
        *((half * lsgan_generator_loss(r), "Only the real images are in it.") for half in (0.5, 1)),
        *((half * (f**2).mean(), "Only the fakes are in it.") for half in (0.5, 1))])
    to_G, to_D = gradients(loss, G, D)
    if to_G is not None:
        raise Wrong("the value is right, but D's loss reaches G: a detach of the fake is missing. "
                    "G would be pushed to be found out.")
    if not same(to_D, gradients(lsgan_discriminator_loss(D(y), D(fake.detach())), D)[0]):
        raise Wrong("the value is right, but not all of the gradient reaches D: detach the fake "
                    "before D sees it, not D's scores.")
    return "halved, all of it reaches D, nothing reaches G."


@exercise
def generator_loss(answer):
    """my_generator_loss(D, G, x): least squares, not halved."""
    G, D, x, _ = _toys()
    loss = scalar(call(answer, D=D, G=G, x=x))
    scores = D(G(x))
    right = lsgan_generator_loss(scores)
    compare(loss, right, [
        ((scores**2).mean(), "The label is that of a fake, 0: this G learns to be found out. It "
         "wants D to say 1."),
        (right / 2, "Only D's loss is halved."), (right * scores.numel(), SUM),
        (lsgan_generator_loss(scores.sigmoid()), SIGMOID),
        (lsgan_generator_loss(D(x)), "D was shown x instead of its translation."),
        (lsgan_generator_loss(G(D(x))), "G and D come in the wrong order."),
        (bce_generator_loss(scores), "This is the cross-entropy; least squares was asked for.")])
    found, expected = gradients(loss, G)[0], gradients(right, G)[0]
    if found is None:
        raise Wrong("the value is right, but no gradient reaches G: the fake was detached (or made "
                    "under no_grad). The detach belongs into D's loss only.")
    if not same(found, expected):
        raise Wrong(f"the value is right, but G's gradient is {found.tolist()}, expected "
                    f"{expected.tolist()}: a part of the path is detached.")
    return "and the gradient reaches G through D."


def _sgd(net, steps, name):
    """SGD that notes its steps in a list; an earlier step's gradient still lies in the weights."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    optimiser.register_step_post_hook(lambda *_: steps.append(name))
    for p in net.parameters():
        p.grad = torch.full_like(p, 5.0)
    return optimiser


@exercise
def two_steps(answer):
    """my_step(G, D, optimiser_G, optimiser_D, x, y) -> (loss_G, loss_D), G first."""
    G, D, x, y = _toys()
    steps, reached_G = [], []
    G.scale.register_hook(lambda _: reached_G.append(True))
    try:
        losses = call(answer, G=G, D=D, optimiser_G=_sgd(G, steps, "G"),
                      optimiser_D=_sgd(D, steps, "D"), x=x, y=y)
    except Wrong as error:
        if "G" in steps and not D.weight.requires_grad:
            raise Wrong("D is still frozen when its own turn comes: requires_grad_(True) is "
                        f"missing. ({error})") from None
        if any(sign in str(error) for sign in ("second time", "inplace operation")):
            raise Wrong("D's loss goes back into the graph that G's step has used up: a detach of "
                        f"the fake is missing. ({error})") from None
        raise
    if not (isinstance(losses, tuple | list) and len(losses) == 2):
        raise Wrong(f"expected the pair (loss_G, loss_D), found {kind(losses)}.")
    if not all(p.requires_grad for p in D.parameters()):
        raise Wrong("D is left frozen: it will never learn. requires_grad_(True) is missing.")
    if steps != ["G", "D"]:
        raise Wrong(f"the optimisers stepped in the order {' '.join(steps) or '(none)'}, expected "
                    "G D: one step each, G first.")
    if len(reached_G) > 1:
        raise Wrong("D's loss reaches G: a detach of the fake is missing.")
    if D.through_fakes:
        raise Wrong("D was not frozen in G's step: G's loss, which wants D to be fooled, computed "
                    "gradients for D's weights too. requires_grad_(False) is missing.")
    _judge_step(G, D, x, y, losses)
    return "G moved through a frozen D, then D on detached fakes."


def _judge_step(G, D, x, y, losses):
    """The weights and losses after the step against those of a step by hand."""
    G0, D0, _, _ = _toys()
    fake = G0(x)
    loss_G, loss_D = lsgan_generator_loss(D0(fake)), lsgan_discriminator_loss(D0(y), D0(fake))
    for name, net, start, loss in (("G", G, G0, loss_G), ("D", D, D0, loss_D)):
        gradient = gradients(loss, start)[0]
        moved = (torch.stack(list(start.parameters())) - torch.stack(list(net.parameters()))) / 0.1
        if same(moved.detach(), gradient + 5):
            raise Wrong(f"{name} also went along the gradient of an earlier step: "
                        f"optimiser_{name}.zero_grad() is missing (or comes after backward).")
        again = gradients(lsgan_discriminator_loss(D0(y), D0(G(x).detach())), D0)[0]
        if name == "D" and same(moved.detach(), again):
            raise Wrong("D saw fakes that G made anew after its step: use those of G's step, "
                        "detached; it saves a pass.")
        if not same(moved.detach(), gradient):
            raise Wrong(f"{name}'s weights moved along {moved.tolist()}, but the gradient of its "
                        f"loss is {gradient.tolist()}.")
    if not (close(number(losses[0], "loss_G"), loss_G) and close(losses[1], loss_D)):
        raise Wrong(f"the steps are right, but the losses returned are not loss_G = {loss_G:.4f}, "
                    f"loss_D = {loss_D:.4f} in this order.")


@exercise
def even_players(answer):
    """(loss_D, loss_G) where D says 0.5 to everything."""
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        raise Wrong(f"expected two numbers, (D's loss, G's loss), found {kind(answer)}.")
    loss_D, loss_G = number(answer[0], "D's loss"), number(answer[1], "G's loss")
    if close(loss_D, 0.5):
        raise Wrong("D's loss: 0.25 for the real ones plus 0.25 for the fakes, and then it is "
                    "halved.")
    if close(loss_G, 0.125):
        raise Wrong("G's loss is not halved, only D's is.")
    for name, found in (("D's", loss_D), ("G's", loss_G)):
        if close(found, 0.5):
            raise Wrong(f"{name} loss is the squared distance from the label, not the distance.")
        if not close(found, 0.25):
            raise Wrong(f"{name} loss is not {found:.4g}: put 0.5 into the two formulas above.")
    return "0.25 each: near it, the two are even."
