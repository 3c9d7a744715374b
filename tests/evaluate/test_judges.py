"""The fixed classifiers: what they read, what they refuse, and how one is trained."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gantutor.data import AVATARS, FACES
from gantutor.data.packs import Pack, Question
from gantutor.evaluate import held_out_pairs, judge_accuracy, load_judge, says_y
from gantutor.evaluate.judges import (
    Judge,
    judge_path,
    read_attributes,
    train_classifier,
    train_judge,
    unit_features,
)
from gantutor.saving import read_metadata


@pytest.mark.parametrize("size", [32, 64])
def test_the_judge_reads_every_avatar_attribute(size):
    accuracy = judge_accuracy(AVATARS.at(size))
    assert list(accuracy) == ["domain", *AVATARS.attributes]
    assert min(accuracy.values()) >= 0.98, accuracy


@pytest.mark.parametrize("pack", [AVATARS, AVATARS.at(64)], ids=str)
def test_the_judge_refuses_what_is_half_translated(pack):
    """A judge trained without blends takes much of it for Y."""
    x, y, _ = held_out_pairs(pack)
    taken = says_y((x + y) / 2, pack).float().mean()
    assert taken < 0.05
    tint = ((y + 1) * torch.tensor([1.5, 0.5, 1.5]).view(3, 1, 1) - 1).clamp(-1, 1)
    assert says_y(tint, pack).float().mean() < 0.05


def test_the_judges_are_fixed():
    judge = load_judge(AVATARS)
    assert judge is load_judge(AVATARS)
    assert not judge.training and not any(p.requires_grad for p in judge.parameters())


@pytest.mark.parametrize("pack", [p.at(s) for p in (AVATARS, FACES) for s in (32, 64)],
                         ids=str)
def test_a_judge_says_how_it_was_made(pack):
    metadata = read_metadata(judge_path(pack))
    assert metadata["steps"] == str(pack.judge_steps) and metadata["seed"] == "0"
    assert metadata["torch"]


def test_features_of_a_loud_image_weigh_as_much_as_those_of_a_faint_one():
    found = unit_features(held_out_pairs(AVATARS)[1], AVATARS)
    assert found.shape == (300, 128)
    torch.testing.assert_close(found.square().mean(1), torch.ones(300))


def colours(n, seed):
    """(images (N, 3, 8, 8), records (N, 1)): plainly red, green or blue."""
    values = torch.randint(3, (n, 1), generator=torch.Generator().manual_seed(seed))
    return F.one_hot(values[:, 0], 3).float().view(-1, 3, 1, 1).expand(-1, 3, 8, 8) * 2 - 1, values


def test_a_judge_of_attributes_alone_is_trained_and_repeats(tmp_path):
    """A pack whose judge knows no domains: the first None; labels of the first images only."""
    def judged(size, generator):
        def draw():
            images, values = colours(32, int(torch.randint(10**6, (), generator=generator)))
            return torch.cat([images, -images]), None, values
        return draw

    x, values = colours(50, 1)
    pack = Pack("colours", 8, None, None, lambda size: [Question(x, x, values, values, "colour")],
                {"colour": 3}, judged, 40, code=lambda records, attribute: records,
                judges=tmp_path)
    first, again = train_judge(pack), train_judge(pack, tmp_path / "again.safetensors")
    other = train_judge(pack, tmp_path / "other.safetensors", seed=1)
    weights = [torch.cat([p.flatten() for p in judge.parameters()])
               for judge in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert judge_accuracy(pack) == {"colour": 1}
    assert torch.equal(read_attributes(x, pack), values)
    assert read_metadata(judge_path(pack))["command"] == "gantutor judges colours_8"


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_judge_has_a_head_for_each_attribute(size):
    domain, attributes = Judge(size, (3, 5))(torch.zeros(2, 3, size, size))
    assert domain.shape == (2,) and [a.shape for a in attributes] == [(2, 3), (2, 5)]


@pytest.mark.parametrize("decay, expected", [(True, 2.5), (False, 4.0)])
def test_the_rate_falls_where_that_is_asked_for(decay, expected):
    """Four steps of Adam with one and the same gradient: each moves the weight by its rate."""
    net = nn.Linear(1, 1, bias=False)
    start = net.weight.item()
    with torch.no_grad():  # it trains here as well
        train_classifier(net, lambda: net.weight.sum(), 4, 0.1, decay=decay)
    assert start - net.weight.item() == pytest.approx(0.1 * expected, rel=1e-4)
    assert not net.training and not net.weight.requires_grad
