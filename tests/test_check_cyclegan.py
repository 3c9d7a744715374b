"""Notebook 03's checks against sums done by hand, and what they say of answers without a name."""

import pytest
import torch
from torch import nn

from gantutor.check import cyclegan, hiding, loop
from gantutor.check.verdict import no_trace


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
            return 0 * a[2](a[0]).mean() if a[6:] == weights else cyclegan.generator()(*a)

        assert f"expected {right:.4g} " in cyclegan.generator_loss(only_before).reason


def test_the_noise_by_hand():
    """The way back doubles it, and normal noise of deviation s has mean size s sqrt(2 / pi)."""
    with no_trace():
        found = hiding.noisy_cycle.rights[0]["the loss"]
    assert abs(found - 2 * 0.3 * (2 / torch.pi) ** 0.5) < 0.01
    assert "expected about 0.479" in hiding.noisy_cycle(hiding.variant(power=2)).reason


def test_a_gradient_that_is_missing_is_named():
    def half(x, y, G_xy, G_yx):
        return cyclegan.x_cycle(x, y, G_xy, G_yx) + cyclegan.y_cycle(x, y, G_xy, G_yx).detach()

    reason = cyclegan.cycle_loss(half).reason
    assert "The value is right, but G_xy gets the gradient" in reason and "detached" in reason


def test_two_mistakes_at_once_are_told_in_the_order_of_the_settings():
    both = cyclegan.generator(identity=cyclegan.cycle,
                              adversarial=lambda x, y, fake_x, fake_y, D_x, D_y:
                              cyclegan.adversarial(x, y, fake_x, fake_y, D_y, D_x))
    assert "discriminators are swapped" in cyclegan.generator_loss(both).reason


@pytest.mark.parametrize("exercise,answer,words", [
    (cyclegan.receptive_field, 71, "it is not 71"),
    (cyclegan.identity_weight, (3, 0), "the first weight is not 3: which factors"),
    (cyclegan.identity_weight, (0.5, 0), "lambda_idt alone is not the weight"),
    (cyclegan.identity_weight, (5, 1), "The second is not 1"),
    (loop.lr_factor, lambda e, c, d: min(1, (c + d - e) / d) ** 2,
     "the factor at epoch 4 is 0.5625, expected 0.75")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict


@pytest.mark.parametrize("make,words", [
    (lambda p, lr: torch.optim.SGD(p, lr), "optimiser_G is SGD; Adam was asked for. Adam divides"),
    (lambda p, lr: torch.optim.RMSprop(p, lr), "optimiser_G is RMSprop"),
    (lambda p, lr: torch.optim.Adam(p, lr), "betas (0.9, 0.999), expected (0.5, 0.999)"),
    (lambda p, lr: torch.optim.Adam(p, lr, (0.5, 0.99)), "betas (0.5, 0.99)"),
    (lambda p, lr: torch.optim.AdamW(p, lr, (0.5, 0.999)), "is AdamW with weight_decay=0.01"),
    (lambda p, lr: torch.optim.Adam([{"params": [q], "lr": 1.0} for q in p], lr, (0.5, 0.999)),
     "learning rate 1, expected the lr it was given, 0.0003")])
@pytest.mark.parametrize("player", "GD")
def test_adam_with_the_asked_betas_and_nothing_else(make, words, player):
    def answer(G_xy, G_yx, D_x, D_y, lr):
        right = loop.players()(G_xy, G_yx, D_x, D_y, lr)
        nets = nn.ModuleList([G_xy, G_yx] if player == "G" else [D_x, D_y])
        right["GD".index(player)] = make(nets.parameters(), lr)
        return right

    verdict = loop.optimisers(answer)
    assert verdict.state == "wrong", verdict
    assert words.replace("optimiser_G", f"optimiser_{player}") in verdict.reason


def test_what_an_optimiser_holds_comes_before_how_it_is_made():
    def answer(G_xy, G_yx, D_x, D_y, lr):
        return torch.optim.SGD([*G_xy.parameters()], lr), torch.optim.SGD([*D_y.parameters()], lr)

    assert "optimiser_G does not hold all of G_yx" in loop.optimisers(answer).reason
