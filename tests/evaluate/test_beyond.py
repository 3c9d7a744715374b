"""What is measured beyond the panel, on "methods" whose answer is known."""

import pytest
import torch

from gantutor.data import AVATARS, to_float
from gantutor.data.avatars import ATTRIBUTES, records, sheet
from gantutor.evaluate import beyond, held_out_pairs


class Fixed:
    """A "method" that answers the held-out people, in order, with given pictures."""

    def __init__(self, answers):
        self.answers, self.at = answers, 0

    def translate(self, x):
        start, self.at = self.at, (self.at + len(x)) % len(self.answers)
        return self.answers[start:start + len(x)]


def test_glasses_invented_and_taken_off():
    _, y, people = held_out_pairs(AVATARS)
    has = people[:, list(ATTRIBUTES).index("glasses")] == 1
    without, with_them = (~has).nonzero()[:, 0], has.nonzero()[:, 0]
    assert beyond.glasses(Fixed(y)) == {"invented": 0, "taken off": 0}
    answers = y.clone()
    answers[without[:30]] = y[with_them[0]]  # 30 people get them
    answers[with_them[:12]] = y[without[0]]  # 12 lose them
    found = beyond.glasses(Fixed(answers))
    assert found["invented"] == pytest.approx(30 / len(without))
    assert found["taken off"] == pytest.approx(12 / len(with_them))


def test_blur_noise_and_hiding_of_the_truth_and_of_one_that_hides():
    x, y, _ = held_out_pairs(AVATARS)
    method = Fixed(y)
    method.back = torch.zeros_like
    found = beyond.beyond_the_panel(method)
    assert found["sharpness"] == pytest.approx(1) and found["invented"] == 0
    assert found["sensitivity to noise"] == 0
    hides = Fixed(x / 100)
    hides.back = lambda y: (y * 100).clamp(-1, 1)
    assert beyond.beyond_the_panel(hides)["sensitivity to noise"] > 0.1


def test_two_pictures_of_one_z_agree_where_they_show_one_person(monkeypatch):
    """A "method" that draws real pairs, and one that draws strangers."""
    x, y = (to_float(sheet(f"hidden_{domain}", 32)) for domain in "xy")
    monkeypatch.setattr(beyond, "reader", lambda rough: None)
    monkeypatch.setattr(beyond, "read_by", lambda net, images: records("held_out"))

    class Drawer:
        def __init__(self, turn):
            self.sample = lambda count: (x[:count], y.roll(turn, 0)[:count])

    pairs, strangers = beyond.agreeing(Drawer(0)), beyond.agreeing(Drawer(7))
    assert pairs["pairs agree"] == pairs["real pairs agree"] > 0.99
    assert pairs["information"] > 0.97 and pairs["domain reached"] > 0.95
    assert pairs["strangers agree"] == pytest.approx(strangers["pairs agree"], abs=0.05)
    assert 0.3 < strangers["pairs agree"] < 0.5 and strangers["information"] < 0.1
    assert pairs["diversity"] == pytest.approx(1)
