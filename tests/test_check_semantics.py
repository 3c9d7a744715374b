"""Notebook 07's checks against sums done by hand, and what they say of answers without a name."""

from math import exp, log

import pytest
import torch

from gantutor.check import semantics
from gantutor.check.verdict import no_trace

X, Y = (0.9, -0.7, 0.25), (-0.2, 0.6, 0.75)  # the toys' plain images


def mean(values):
    return sum(values) / len(values)


def test_the_two_round_trips_by_hand():
    """Codes 0.8 x + 0.15 and 0.3 y + 0.6; images 1.3 z - 0.35 in Y and 0.9 z - 0.6 in X."""
    codes = [0.8 * x + 0.15 for x in X]
    again = [0.3 * (1.3 * z - 0.35) + 0.6 for z in codes]
    back = [0.9 * z - 0.6 for z in again]
    for exercise, a, b in ((semantics.combo_cycle, X, back),
                           (semantics.semantic_loss, codes, again)):
        by_hand = mean([abs(p - q) for p, q in zip(a, b, strict=True)])
        zero = exercise(lambda x, E_x, *others: 0 * E_x(x).mean()).reason
        assert f"expected {by_hand:.4g} " in zero


def test_dtns_terms_by_hand():
    """G(i) = 1.9 (0.8 i + 0.15) - 0.35 = 1.52 i - 0.065; a difference of codes is 0.8 of it."""
    const = mean([(0.8 * (0.52 * x - 0.065)) ** 2 for x in X])
    tid = mean([(0.52 * y - 0.065) ** 2 for y in Y])
    for k, by_hand in enumerate((const, tid)):
        def one_is_zero(*a, k=k):
            return [term * (n != k) for n, term in enumerate(semantics.dtn()(*a))]

        assert f"found 0, expected {by_hand:.4g} " in semantics.dtn_terms(one_is_zero).reason


def test_three_classes_by_hand():
    """-log of the softmax at the right class."""
    logits = [[(1.31, -0.42, 0.2), (0.77, 0.1, -1.1)], [(-0.6, 0.95, 0.53), (0.3, 1.6, 0.0)],
              [(0.25, -0.8, 1.14), (-0.3, 0.69, 2.0)]]
    by_hand = sum(mean([log(sum(map(exp, row))) - row[k] for row in rows])
                  for k, rows in enumerate(logits))
    zero = semantics.three_classes(lambda source, *others: 0 * source.mean()).reason
    assert f"expected {by_hand:.4g} " in zero


def test_the_direction_by_hand():
    """Numbers 1, 2 and 5 of seven have it; a code is sin(0.7 k) + its number / 3."""
    with no_trace():
        found = semantics.direction.rights[0]["values"]
    codes = (0.7 * torch.arange(7 * 24.0)).sin().view(7, 24) + torch.arange(7.0).view(7, 1) / 3
    by_hand = (codes[1] + codes[2] + codes[5]) / 3 - (codes[0] + codes[3] + codes[4] + codes[6]) / 4
    assert found.shape == (4, 2, 3) and torch.allclose(found.flatten(), by_hand, atol=1e-5)


def half_detached(x, E_x, G_y, E_y):
    loss = semantics.semantic()(x, E_x, G_y, E_y)
    return (loss + loss.detach()) / 2


@pytest.mark.parametrize("exercise,answer,words", [
    (semantics.combo_cycle, lambda *a: semantics.cycle()(*a) * 2, "The value is not right. (Found"),
    (semantics.semantic_loss, half_detached, "E_x gets the gradient ["),
    (semantics.direction, lambda codes, has_it: codes.mean((0, 1)),
     "it has shape (2, 3), expected one code's, (4, 2, 3)"),
    (semantics.direction, lambda codes, has_it: 2 * semantics.between()(codes, has_it),
     "the first is 0.324, expected 0.162")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict
