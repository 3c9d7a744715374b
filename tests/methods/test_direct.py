"""Direct transformation and the VGG constraint, against their formulas written out by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import generator

from gantutor.methods.direct import Direct
from gantutor.methods.perceptual import Perceptual


def discriminator(seed):
    torch.manual_seed(seed)
    return nn.Conv2d(3, 1, 4, stride=2, padding=1)


@pytest.fixture
def batch():
    torch.manual_seed(9)
    return {name: torch.rand(2, 3, 6, 8) * 2 - 1 for name in "xy"}


def direct(**named):
    return Direct(generator(0), discriminator(1), **named)


def says(scores, target):
    return F.mse_loss(scores, torch.full_like(scores, target))


def lsgan_D(D, real, fake):
    return (says(D(real), 1.0) + says(D(fake.detach()), 0.0)) / 2


def test_direct_by_hand(batch):
    m = direct(pool_size=0)
    total, parts = m.generator_loss(batch)
    fake = m.G_xy(batch["x"])
    assert total.item() == pytest.approx(says(m.D_y(fake), 1.0).item())
    assert set(parts) == {"G_xy"} and parts["G_xy"] == total
    total, parts = m.discriminator_loss(batch)
    assert total.item() == pytest.approx(lsgan_D(m.D_y, batch["y"], fake).item())
    assert set(parts) == {"D_y"} and parts["D_y"] == total


# ---------------------------------------------------------------- a fixed network as constraint


def perceptual(embed=None, **named):
    return Perceptual(generator(0), discriminator(1), embed or nn.Conv2d(3, 2, 3), **named)


def test_perceptual_is_direct_and_one_term_more(batch):
    embed = nn.Conv2d(3, 2, 3)
    with_term, without = perceptual(embed, lambda_vgg=3.0), Direct(generator(0), discriminator(1))
    total, parts = with_term.generator_loss(batch)
    base, _ = without.generator_loss(batch)
    before, after = embed(batch["x"]), embed(with_term.G_xy(batch["x"]))
    content = (after - before).abs().mean() / before.abs().mean()
    assert total.item() == pytest.approx(base.item() + 3 * content.item(), rel=1e-5)
    assert parts["content"].item() == pytest.approx(content.item(), rel=1e-5)


def test_the_embedding_is_no_player(batch):
    m = perceptual()
    listed = {id(p) for player in m.players() for net in player for p in net.parameters()}
    assert not any(id(p) in listed for p in m.embed.parameters())
    m.generator_loss(batch)[0].backward()
    assert all(p.grad is None for p in m.embed.parameters())
    assert all(p.grad.abs().max() > 0 for p in m.G_xy.parameters())
