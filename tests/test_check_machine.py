"""The machine of the exercises, and how a verdict is shown."""

import copy
import io
import math
import sys
from functools import partial

import pytest
import torch
from torch import nn

from gantutor import check
from gantutor.check import machine
from gantutor.check.machine import LossExercise, Mistake, close_to

WORDS = """- **overflows** exp(200) is infinite.
- **halved** It is halved.
"""


class Small(LossExercise):
    """mean softplus(-s) at two scores; its words stand here, not in a .md."""

    prose = [("Right", "good."), ("Mistakes", WORDS)]  # noqa: RUF012


def scores():
    return [(case, {"s": torch.full((2,), value, requires_grad=True)})
            for case, value in (("", 0.5), ("at a score of -200", -200.0))]


def softplus(s):
    return nn.functional.softplus(-s).mean()


small = Small(scores, right=softplus, mistakes={
    "overflows": lambda s: (-s).exp().log1p().mean(), "halved": lambda s: softplus(s) / 2})


def test_the_first_stage_that_differs_decides():
    assert small(softplus).reason == "good."
    assert small(lambda s: softplus(s) / 2).reason.startswith("It is halved. (Found 0.237, exp")
    # Halved, and it overflows besides: the first stage is told.
    assert small(lambda s: (-s).exp().log1p().mean() / 2).reason.startswith("It is halved.")
    assert small(lambda s: softplus(s) * 3).reason.startswith("The value is not right. (Found")
    reason = small(lambda s: torch.where(s < -90, softplus(s) + 1, softplus(s)).mean()).reason
    assert reason == ("The value is not right. (at a score of -200: found 201, expected 200 on the "
                      "check's images.)")


def test_an_overflow_is_a_value_like_another():
    for loss in (lambda s: torch.log(1 + torch.exp(-s)), lambda s: -s.sigmoid().log()):
        assert small(lambda s, loss=loss: loss(s).mean()).reason == (
            "exp(200) is infinite. (at a score of -200: found inf, expected 200 on the check's "
            "images.)")


def test_a_right_value_with_another_gradient_names_who_gets_what():
    assert small(lambda s: softplus(s).detach()).reason == (
        "The value is right, but s gets no gradient, expected the gradient [-0.1888, -0.1888]: "
        "something is detached or under no_grad.")
    half = small(lambda s: (softplus(s) + softplus(s).detach()) / 2).reason
    assert "s gets the gradient [-0.0944, -0.0944], expected" in half
    none_wanted = Small(scores, right=lambda s: s.detach().mean(), mistakes={})
    assert "its gradient also reaches s" in none_wanted(lambda s: s.mean()).reason


def test_several_losses_are_told_apart_by_name():
    pair = Small(scores, right=lambda s: (softplus(s), s.mean()), losses=("L_A", "L_B"),
                 mistakes={"halved": lambda s: (softplus(s), s.mean() / 2)})
    assert pair(lambda s: [softplus(s), s.mean()]).state == "right"
    assert pair(softplus).reason.startswith("expected the 2 losses (L_A, L_B), found a tensor")
    assert pair(lambda s: (softplus(s), s.mean() / 2)).reason.startswith("It is halved. (L_B: fou")
    assert "L_A is a plain Python number" in pair(lambda s: (1.0, s.mean())).reason
    swapped = Small(scores, right=pair.right, losses=("L_A", "L_B"), mistakes={
        "overflows": lambda s: (s.mean(), s.mean()), "halved": lambda s: pair.right(s)[::-1]})
    assert swapped(lambda s: pair.right(s)[::-1]).reason.startswith("It is halved.")  # all stages
    assert "L_B is right, but s gets no" in pair(lambda s: (softplus(s), s.detach().mean())).reason


def test_our_own_answers_are_run_before_the_learners():
    """A dtype that the learner's code leaves behind would spoil what is remembered."""
    def spoils(*a):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return torch.zeros(())

    fresh = copy.copy(small)
    fresh.__dict__ = {k: v for k, v in vars(small).items() if k not in ("rights", "known")}
    fresh.observe = fresh._value_and_gradients
    assert fresh(spoils).state == "wrong"
    assert fresh(softplus).state == "right"


def test_a_rule_comes_first_and_words_are_filled_in():
    class Rule(machine.Exercise):
        prose = [("Right", "{_n} times."),  # noqa: RUF012
                 ("Mistakes", "- **few** only {_n} of {{4}}.")]

    def even(n):
        return {"_n": n, "even": n % 2 == 0}

    rule = Rule(even, right=4, also_right=[6], mistakes={
        "few": Mistake(1, 2, when=lambda seen: seen["_n"] < 3)})
    assert [rule(n).reason for n in (1, 8)] == ["only 1 of {4}.", "8 times."]
    assert rule(5).reason == "even is False, expected True."


def test_values_are_compared_by_kind_and_shape():
    alike = partial(close_to, b={"a": [1.0, None], "b": torch.ones(2)})
    assert alike({"a": (1, None), "b": torch.ones(2, dtype=torch.float64)})
    for other in ({"a": [1, 0], "b": torch.ones(2)}, {"a": [1.0, None], "b": torch.ones(1)},
                  {"a": [1, None]}, None, {"a": [1.0], "b": torch.ones(2)}, "a"):
        assert not alike(other)
    assert close_to(math.inf, math.inf) and close_to(math.nan, math.nan)
    assert not close_to(math.inf, -math.inf) and not close_to("1", 1)


# Verdicts ----------------------------------------------------------------------------------------

def test_an_unknown_state_cannot_be_shown():
    with pytest.raises(KeyError):
        repr(check.Verdict("perhaps", ""))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_verdict_can_be_printed_where_its_mark_cannot(encoding, monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", pipe)
    for state in ("not attempted", "wrong", "right"):
        print(check.Verdict(state, "\N{SNOWMAN} and text"))
    print(check.cyclegan.receptive_field.solve())  # which has arrows
    pipe.flush()
    assert pipe.buffer.getvalue().decode(encoding).startswith(
        "... not attempted: ? and text\nx wrong: ? and text\n+ right: ? and text\n")


def test_the_mark_is_printed_where_it_can_be(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert repr(check.Verdict("right", "so")) == "✓ right: so"


def test_torchs_own_not_implemented_error_is_no_stub():
    verdict = check.cyclegan.cycle_loss(lambda x, y, G_xy, G_yx: nn.Module()(x))
    assert verdict.state == "wrong" and "NotImplementedError" in verdict.reason


def test_a_changed_argument_is_noticed():
    def in_place(x, y, G_xy, G_yx):
        loss = (G_yx(G_xy(x)) - x).abs().mean() + (G_xy(G_yx(y)) - y).abs().mean()
        y.mul_(2)
        return loss

    assert "changes its argument y" in check.cyclegan.cycle_loss(in_place).reason


def test_the_reason_names_error_message_and_line():
    code = "def learner(x, y, G_xy, G_yx):\n    there = G_xy(x)\n    return there.nothing\n"
    names = {}
    exec(compile(code, "<cell>", "exec"), names)
    reason = check.cyclegan.cycle_loss(names["learner"]).reason
    assert "AttributeError: 'Tensor' object has no attribute 'nothing'" in reason
    assert "line 3 of learner" in reason

    def deep(x, y, G_xy, G_yx):
        return G_xy(x.view(1, 7))  # torch raises; the line is still this one

    assert "RuntimeError" in check.cyclegan.cycle_loss(deep).reason
    assert "of deep: return G_xy(x.view(1, 7))" in check.cyclegan.cycle_loss(deep).reason


def test_a_wrong_signature_says_what_it_is_called_with():
    reason = check.cyclegan.cycle_loss(lambda x, G_xy, G_yx: 0).reason
    assert "must take (x, y, G_xy, G_yx)" in reason and "too many" in reason
