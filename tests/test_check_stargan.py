"""Notebook 04's checks against values by hand, and what they say of answers without a name."""

import math

import pytest
import torch

from gantutor.check import stargan
from gantutor.check.verdict import no_trace


def test_codes_and_edits_by_hand():
    with no_trace():
        codes, edits = stargan.code.rights[0], stargan.edit.rights[0]
    assert codes["set A"][0] == "[1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0]"
    assert codes["set B"] == ["[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]",
                              "[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1]",
                              "[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]"]
    assert edits["k=1"]["for k=1 the labels [1, 0, 0, 1, 1]"] == "[0, 1, 0, 1, 1]"
    assert edits["k=4"]["for k=4 the labels [1, 0, 0, 1, 1]"] == "[1, 0, 0, 1, 0]"


def test_the_class_loss_by_hand():
    given = stargan.class_loss.arguments()
    logits, codes = given["logits"].tolist(), given["code"].tolist()
    total = 0.0
    for z, c in zip(logits, codes, strict=True):
        if c[9]:
            total += sum(math.log(1 + math.exp(s)) - y * s
                         for s, y in zip(z[:5], c[:5], strict=True))
        else:
            total += math.log(sum(map(math.exp, z[5:]))) - z[5 + c[5:9].index(1)]
    reason = stargan.class_loss(lambda logits, code: 0 * logits.sum()).reason
    assert f"expected {total / 7:.4g} " in reason


@pytest.mark.parametrize("another", [False, True], ids=["anybody's", "another one"])
def test_a_target_may_be_any_code_of_the_same_set(another):
    """The exercise asks for somebody else's code; it does not ask for a permutation."""
    def somebody_elses(code):
        drawn = [[c for c in code if c[9] == own[9] and not (another and torch.equal(c, own))]
                 for own in code]
        return torch.stack([them[int(torch.randint(len(them), ()))] for them in drawn])

    assert stargan.targets(somebody_elses).state == "right"


@pytest.mark.parametrize("name", stargan.penalty.mistakes)
def test_the_penalty_with_real_and_fake_exchanged_is_told_the_same(name):
    broken = stargan.penalty.mistakes[name].broken[0]
    verdict = stargan.penalty(lambda D, real, fake, alpha: broken(D, fake, real, alpha))
    assert verdict.state == "wrong" and stargan.penalty.words[name] in verdict.reason


@pytest.mark.parametrize("exercise,answer,words", [
    (stargan.code, stargan.joint(unknown=0.25),
     "one code of set A is [1, 0, 0, 1, 1, 0.25, 0.25, 0.25, 0.25, 1, 0], expected [1, 0, 0, 1,"),
    (stargan.edit, lambda labels, k: stargan.edited()(labels, k) * 0.5,
     "for k=0 the labels [1, 0, 0, 1, 1] become [0.5, 0, 0, 0.5, 0.5], expected [1, 0, 0, 1, 1]"),
    (stargan.networks, (3, 1), "it is not 3. Count ordered pairs"),
    (stargan.networks, (2256, 5), "The second is not 5")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict
