"""Likeness: small stacks whose answer is known, and what it says of the course's people."""

import pytest
import torch

from gantutor.data import to_float, varied
from gantutor.data.avatars import ATTRIBUTES, records, sheet
from gantutor.evaluate.likeness import likeness


def lit(labels, places, strength=1.0, grey=0.0):
    """(N, 3, 2, 3): all `grey`, and the pixel places[label] brighter."""
    images = torch.full((len(labels), 3, 2, 3), grey)
    for image, label in zip(images, labels, strict=True):
        image.flatten(1)[:, places[label]] += strength
    return images


LABELS = torch.tensor([0, 1, 2, 2, 1, 0, 0])


def test_other_strengths_and_another_ground_change_nothing():
    found = likeness(lit(LABELS, (0, 3, 5)), LABELS, lit(LABELS[2:], (0, 3, 5), 0.2, -0.7),
                     LABELS[2:], 3)
    assert found["true names"] == pytest.approx(1)
    # two of three values exchanged: (1 - 1/3) * 1 + 2 * (-1/3) over 3 * (1 - 1/3)
    assert found["other names"] == pytest.approx(0, abs=1e-6)


def test_a_domain_that_draws_it_the_other_way_round():
    found = likeness(lit(LABELS, (0, 3, 5)), LABELS, lit(LABELS, (3, 0, 5)), LABELS, 3)
    assert found["true names"] == pytest.approx(0, abs=1e-6)
    assert found["other names"] == pytest.approx(1) and found["permuted"] == (1, 0, 2)


def told_of_the_avatars(size, x):
    """{attribute: by how much the true names are ahead of the best others}."""
    y, margins = to_float(sheet("train_y", size)), {}
    for k, (name, values) in enumerate(ATTRIBUTES.items()):
        found = likeness(to_float(x), records("train_x")[:, k], y, records("train_y")[:, k], values)
        margins[name] = found["true names"] - found["other names"]
    return margins


@pytest.mark.parametrize("size", [32, 64])
def test_pixels_tell_every_name_of_the_avatars_but_the_mouths(size):
    told = told_of_the_avatars(size, sheet("train_x", size))
    assert [name for name, margin in told.items() if margin < 0] == ["mouth"]
    assert min(told, key=lambda name: abs(told[name])) == "hair"


def test_where_faces_lie_in_the_same_place_pixels_tell_the_mouths_too():
    before = told_of_the_avatars(32, sheet("train_x", 32))
    after = told_of_the_avatars(32, varied.registered("train_x"))
    assert min(after.values()) > 0 and after["mouth"] > 0.5 > before["mouth"]
    assert after["beard"] > before["beard"] + 0.5 and after["hair"] > before["hair"]
