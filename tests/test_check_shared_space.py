"""Notebook 05's checks against values by hand, and what they say of answers without a name."""

import pytest
import torch

from gantutor.check import shared_space
from gantutor.check.verdict import no_trace


def test_expected_values_by_hand():
    """72 numbers from -1.1 to 1.9: their mean is 0.4, their variance step^2 (72^2 - 1) / 12."""
    with no_trace():
        term, stages, energy = (exercise.rights[0] for exercise in (
            shared_space.kl, shared_space.share, shared_space.blur))
    assert term["the value"].item() == pytest.approx(
        (0.4**2 + (3 / 71) ** 2 * (72**2 - 1) / 12) / 2)
    assert stages == {"k=1": "y0, y1, y2, x3", "k=2": "y0, y1, x2, x3", "k=4": "x0, x1, x2, x3",
                      "k=0": "y0, y1, y2, y3", "kept": True}
    shown = []
    shared_space.blur(lambda images: shown.append(images) or 0.0)
    squares = [(a[i - 1][j] + a[i + 1][j] + a[i][j - 1] + a[i][j + 1] - 4 * a[i][j]) ** 2
               for a in shown[-1].flatten(0, 1).tolist() for i in (1, 2, 3) for j in range(1, 6)]
    assert energy["the energy"] == pytest.approx(sum(squares) / len(squares), rel=1e-5)


def test_other_ways_of_the_same():
    assert shared_space.sampled(lambda mu: mu + torch.randn(mu.shape)).state == "right"
    assert shared_space.kl(lambda mu: torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, 1.0),
        torch.distributions.Normal(torch.zeros_like(mu), 1.0)).mean()).state == "right"
    assert shared_space.parameters_once(lambda networks: list(dict.fromkeys(
        p for net in networks for p in net.parameters()))).state == "right"


@pytest.mark.parametrize("exercise,answer,words", [
    (shared_space.sampled, lambda mu: mu + torch.randn(len(mu), 1, 1, 1),
     "some numbers of the code share their noise"),
    (shared_space.sampled, lambda mu: mu + torch.randn_like(mu) + 1, "has mean 0.98"),
    (shared_space.share, lambda xs, ys, k: [*ys[:3], xs[0]],
     "for k=1 the stages are y0, y1, y2, x0, expected y0, y1, y2, x3"),
    (shared_space.parameters_once, lambda networks: shared_space.once(networks)[:-1],
     "third.shift is missing"),
    (shared_space.parameters_once, lambda networks: networks, "something else than"),
    (shared_space.parameters_once, lambda networks: 3, "expected parameters, found an object"),
    (shared_space.blur, lambda images: 0.0, "found 0, expected ")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict
