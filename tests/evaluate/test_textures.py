"""Where a texture went: on pictures that show it, hide it, hand it back, or forget it."""

import pytest
import torch
from torch.nn import functional as F

from gantutor.data import to_float, varied
from gantutor.data.avatars import sheet
from gantutor.evaluate import textures


def test_a_correlation_is_that_of_the_pixels_asked_for():
    generator = torch.Generator().manual_seed(0)
    pattern = torch.randn(4, 1, 8, 12, generator=generator)
    where = torch.zeros(4, 1, 8, 12, dtype=torch.bool)
    where[..., :5] = True
    images = torch.where(where, 0.02 * pattern, -3 * pattern).expand(-1, 3, -1, -1)
    assert textures.correlation(images, pattern, where) == pytest.approx(1, abs=1e-3)
    assert textures.correlation(-images, pattern, where) == pytest.approx(-1, abs=1e-3)
    assert textures.correlation(images, pattern, ~where) == pytest.approx(-1, abs=1e-3)
    flat = torch.zeros_like(images)
    assert abs(textures.correlation(flat, pattern, where)) < 0.3
    assert textures.deviation(images, where) == pytest.approx(
        torch.stack([0.02 * p[w].std() for p, w in zip(pattern, where, strict=True)]).mean().item(),
        rel=1e-4)


def test_a_linear_reader_reads_what_is_linear_in_held_out_codes():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(900, 6, 2, 2, generator=generator)
    values = codes.flatten(1)[:, :3] * 5 + 2
    read = textures.read_off(codes[:600], values[:600], codes[600:], values[600:])
    assert read == pytest.approx(1, abs=0.01)
    noise = torch.randn(900, 3, generator=generator)
    assert textures.read_off(codes[:600], noise[:600], codes[600:], noise[600:]) < 0.05


class Translator:
    """What a method may do with a texture, on the sheets themselves."""

    def __init__(self, there, back=None, code=None):
        self.translate = there
        if back:
            self.back = back
        if code:
            self.E_x = code


def test_shown_hidden_forgotten_and_in_the_code():
    truth, rough = to_float(sheet("hidden_y", 32)), to_float(varied.textured("hidden_x"))
    calls = {"n": 0}

    def in_order(stack):
        def take(images):
            start = calls["n"]
            calls["n"] = (start + len(images)) % len(stack)
            return stack[start:start + len(images)]
        return take

    right = textures.readings(Translator(in_order(truth)))
    assert abs(right["texture shown"]) < 0.1
    assert right["background's deviation"] == pytest.approx(right["in truth"], abs=1e-6)
    assert "texture after the round trip" not in right and "texture in the code" not in right
    shown = textures.readings(Translator(lambda x: x, lambda x: x, lambda x: F.avg_pool2d(x, 4)))
    assert shown["texture shown"] > 0.95 and shown["texture after the round trip"] > 0.95
    assert shown["background's deviation"] > 0.2 and shown["texture in the code"] > 0.8
    hidden = textures.readings(Translator(in_order(truth), in_order(rough),
                                          lambda x: x.new_zeros(len(x), 16, 4, 4)))
    assert abs(hidden["texture shown"]) < 0.1 and hidden["texture after the round trip"] > 0.95
    assert hidden["texture in the code"] < 0.05


def test_the_code_of_a_dtn_is_read_too():
    method = Translator(lambda x: x)
    method.f = lambda x: F.avg_pool2d(x, 4)
    assert textures.readings(method)["texture in the code"] > 0.8
