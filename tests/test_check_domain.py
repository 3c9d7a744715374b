"""Notebook 06's checks against sums done by hand, and what they say of answers without a name."""

from math import exp, log1p

import pytest

from gantutor.check import domain
from gantutor.check.verdict import no_trace


def test_the_two_losses_by_hand():
    """D_z scores 0.9 code + 0.3. A score's loss is log(1 + e^-s) as X, log(1 + e^s) as Y."""
    s_x, s_y = (0.777, 1.866, -0.114), (0.255, -0.816, 0.507)

    def loss(ones, zeros):
        return (sum(log1p(exp(-s)) for s in ones) + sum(log1p(exp(s)) for s in zeros)) / 6

    def only_D_is_zero(*a):
        encoders, own = domain.losses()(*a)
        return encoders, 0 * own

    zero = domain.domain_loss(lambda *a: [0 * part for part in domain.losses()(*a)]).reason
    assert f"(the encoders' loss: found 0, expected {loss(s_y, s_x):.4g} " in zero
    assert f"(D_z's loss: found 0, expected {loss(s_x, s_y):.4g} " in domain.domain_loss(
        only_D_is_zero).reason


def test_the_readings_by_hand():
    """Of 9 codes of X 6 have a logit above 0, of 5 of Y 4 one below.

    59 = 15 + 18 + 16 + 10 are right if X's four classes are read as 2, 0, 1, 3; 32 as it stands.
    """
    with no_trace():
        probe, table = (e.rights[0] for e in (domain.probe_accuracy, domain.permutation))
    assert list(probe.values()) == pytest.approx([10 / 14, 4 / 14])
    assert [table["first"], table["second"]] == pytest.approx([32 / 161, 59 / 161])
    three, two = table["others"].values()
    assert [*three, *two] == pytest.approx([22 / 31, 22 / 31, 3 / 16, 13 / 16])


def test_a_frozen_D_z_is_right_for_the_encoders_and_not_for_itself():
    def frozen(D_z, z_x, z_y, then=True):
        D_z.requires_grad_(False)
        encoders, _ = domain.losses()(D_z, z_x, z_y)
        D_z.requires_grad_(then)
        return encoders, domain.losses()(D_z, z_x, z_y)[1]

    assert domain.domain_loss(frozen).state == "right"
    assert "reaches D_z" in domain.domain_loss(lambda *a: frozen(*a, then=False)).reason


@pytest.mark.parametrize("exercise,answer,words", [
    (domain.domain_loss, domain.losses(encoders=lambda x, y: domain.bce(y, x) / 3),
     "The value is not right. (the encoders' loss: found 0.335, expected 1.005"),
    (domain.reversal, lambda z: 2 * z, "the forward pass changes the value"),
    (domain.reversal, lambda z: 4 * z.detach() - 3 * z, "comes back times -3"),
    (domain.reversal, lambda z: domain.hook(z, lambda g: -2 * g), "comes back times -2"),
    (domain.ramp, domain.rising(ten=-5.0), "at p=0.07 the ramp is 0.1732, expected 0.3364"),
    (domain.probe_accuracy, lambda *a: 0.7, "found 0.7, expected 0.7143"),
    (domain.permutation, lambda table: (0.3, 0.5), "The first is 0.3, expected 0.1988"),
    (domain.permutation, lambda table: (32 / 161, 0.5), "The second is 0.5, expected 0.3665")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict
