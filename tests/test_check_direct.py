"""Notebook 01's checks against sums done by hand, and what they say of answers without a name."""

import math

import pytest
import torch

from gantutor.check import direct
from gantutor.check.verdict import no_trace
from gantutor.losses import lsgan_generator_loss


def test_expected_values_by_hand():
    """G(i) = 0.5 i + 0.1 and D(i) = 0.8 mean(i) + 0.3; x is 0.6 and -0.2, real -0.4 and 1."""
    fakes, real = [0.8 * 0.4 + 0.3, 0.3], [0.8 * -0.4 + 0.3, 0.8 + 0.3]
    loss_G = sum((s - 1) ** 2 for s in fakes) / 2
    loss_D = (sum((s - 1) ** 2 for s in real) / 2 + sum(s**2 for s in fakes) / 2) / 2
    zero = torch.zeros((), requires_grad=True)
    assert f"expected {loss_G:.4g} " in direct.generator_loss(lambda D, G, x: zero).reason
    assert f"expected {loss_D:.4g} " in direct.discriminator_loss(lambda D, r, f: zero).reason
    assert f"expected {loss_G:.4f}" in direct.two_steps(lambda *a: (
        0.0, direct.step()(*a)[1])).reason
    bce = (math.log(1 + math.e) + math.log(1 + math.exp(-2))) / 2
    assert f"expected {bce:.4g} " in direct.bce_loss(lambda s: 0 * s.mean()).reason


def test_the_steps_by_hand():
    """G(x) is 0.4 and 0. G's loss goes by 2 (D - 1) 0.8, D's by half of 2 (D - target)."""
    with no_trace():
        seen = direct.two_steps.rights[0]
    to_G = [2 * 0.8 * (s - 1) / 2 for s in (0.62, 0.3)]  # of each fake, at its mean
    to_D = [(s - target) / 2 for s, target in ((-0.02, 1), (1.1, 1), (0.62, 0), (0.3, 0))]
    for found, expected in (
            (seen["G"]["G's scale"], 0.6 * to_G[0] - 0.2 * to_G[1]),
            (seen["G"]["G's shift"], sum(to_G)), (seen["D"]["D's bias"], sum(to_D)),
            (seen["D"]["D's weight"], -0.4 * to_D[0] + to_D[1] + 0.4 * to_D[2])):
        assert abs(found - expected) < 1e-5


def test_a_step_that_never_needed_to_freeze():
    """backward(inputs=...) leaves D's weights alone without requires_grad_."""
    def answer(G, D, optimiser_G, optimiser_D, x, y):
        fake = G(x)
        loss_G = lsgan_generator_loss(D(fake))
        optimiser_G.zero_grad()
        loss_G.backward(inputs=list(G.parameters()))
        optimiser_G.step()
        optimiser_D.zero_grad()
        real, fakes = 0.5 * ((D(y) - 1) ** 2).mean(), 0.5 * (D(fake.detach()) ** 2).mean()
        real.backward()
        fakes.backward()
        optimiser_D.step()
        return loss_G, real + fakes

    assert direct.two_steps(answer).state == "right"


@pytest.mark.parametrize("exercise,answer,words", [
    (direct.picture, lambda i: i.permute(1, 2, 0)[:2], "the shape is (2, 6, 3), expected"),
    (direct.picture, lambda i: (1 - i.permute(1, 2, 0)) / 2, "brightest numbers of the image are"),
    (direct.picture, lambda i: (i.permute(1, 2, 0) + 2) / 2, "number are [0.5, 1.5], expected"),
    (direct.picture, lambda i: ((i.permute(1, 2, 0) + 1) / 2) ** 2, "first pixel is tensor([0.00"),
    (direct.bce_loss, lambda s: torch.log(1 + torch.exp(-s)).mean(), "found inf, expected 200"),
    (direct.generator_loss, lambda D, G, x: (lsgan_generator_loss(D(G(x))) + lsgan_generator_loss(
        D(G(x).detach()))) / 2, "The value is right, but G gets the gradient"),
    (direct.two_steps, lambda G, D, *a: direct.step("zero_grad D", "zero_grad G")(G, D, *a),
     "G also went along"),
    (direct.even_players, (0.25, 0.7), "G's loss is not 0.7: put")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict
