"""DiscoGAN and DualGAN, without and with noise, against their formulas written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import generator

from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.models import SmallDiscriminator


def discriminator(seed):
    torch.manual_seed(seed)
    return SmallDiscriminator(width=4, layers=2)


@pytest.fixture
def batch():
    torch.manual_seed(9)
    return {name: torch.rand(2, 3, 8, 12) * 2 - 1 for name in "xy"}


def two_way(kind, **named):
    return kind(generator(0), generator(2), discriminator(3), discriminator(1), **named)


TWO_WAY = [DiscoGAN, DualGAN]


def means(D, images):
    """Batch means after each LeakyReLU, from the layers themselves."""
    from gantutor.models import with_coordinates

    h, found = with_coordinates(images), []
    for conv in (layer for layer in D.net if isinstance(layer, nn.Conv2d)):
        h = F.leaky_relu(conv(h), 0.2)
        found.append(h.mean(0))
    return found


def test_discogan_by_hand(batch):
    m, x, y = two_way(DiscoGAN, rate=0.25), batch["x"], batch["y"]
    total, _ = m.generator_loss(batch)
    expected = 0.0
    for real, start, G, G_back, D in ((y, x, m.G_xy, m.G_yx, m.D_y), (x, y, m.G_yx, m.G_xy, m.D_x)):
        fake = G(start)
        one = torch.ones_like(D(fake))
        adversarial = F.binary_cross_entropy_with_logits(D(fake), one)
        matching = sum(F.mse_loss(a, b) for a, b in zip(means(D, real), means(D, fake),
                                                        strict=True)) / 2
        cycle = F.mse_loss(G_back(fake), start)
        expected = expected + 0.75 * (0.1 * adversarial + 0.9 * matching) + 0.25 * cycle
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    total, _ = m.discriminator_loss(batch)
    expected = 0.0
    for real, fake, D in ((y, batch["fake_y"], m.D_y), (x, batch["fake_x"], m.D_x)):
        one = torch.ones_like(D(real))
        expected = expected + 0.5 * (F.binary_cross_entropy_with_logits(D(real), one)
                                     + F.binary_cross_entropy_with_logits(D(fake), 0 * one))
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_dualgan_by_hand(batch):
    m, x, y = two_way(DualGAN, lambda_rec=7.0), batch["x"], batch["y"]
    total, _ = m.generator_loss(batch)
    expected = (-m.D_y(m.G_xy(x)).mean() - m.D_x(m.G_yx(y)).mean()
                + 7 * ((m.G_yx(m.G_xy(x)) - x).abs().mean() + (m.G_xy(m.G_yx(y)) - y).abs().mean()))
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    total, parts = m.discriminator_loss(batch)
    distance = (m.D_y(batch["fake_y"]).mean() - m.D_y(y).mean() + m.D_x(batch["fake_x"]).mean()
                - m.D_x(x).mean())
    assert (parts["D_x"] + parts["D_y"]).item() == pytest.approx(distance.item(), abs=1e-6)
    penalty = parts["gp_D_x"] + parts["gp_D_y"]
    assert penalty > 0 and total.item() == pytest.approx((distance + 10 * penalty).item())


def test_noise_stands_before_the_way_back_only(batch):
    """Each generator sees clean images going there, and noise of the size asked coming back."""
    m = two_way(DualGAN, noise=0.25)
    seen = {"G_xy": [], "G_yx": []}
    for name, images in seen.items():
        getattr(m, name).register_forward_pre_hook(
            lambda module, inputs, images=images: images.append(inputs[0]))
    torch.manual_seed(1)
    total, _ = m.generator_loss(batch)
    assert seen["G_xy"][0] is batch["x"] and seen["G_yx"][0] is batch["y"]
    for back, clean in ((seen["G_yx"][1], batch["fake_y"]), (seen["G_xy"][1], batch["fake_x"])):
        assert (back - clean).std().item() == pytest.approx(0.25, rel=0.1)
        assert (back - clean).mean().abs() < 0.05
    assert two_way(DualGAN).generator_loss(batch)[0].item() != total.item()


@pytest.mark.parametrize("kind", TWO_WAY)
def test_each_loss_moves_its_own_player(batch, kind):
    m = two_way(kind)
    generators, discriminators = m.players()
    total, parts = m.generator_loss(batch)
    assert all(not v.requires_grad and v.shape == () for v in parts.values())
    total.backward()
    assert all(p.grad.abs().max() > 0 for G in generators for p in G.parameters())
    m.zero_grad()
    m.discriminator_loss(batch)[0].backward()
    assert all(p.grad is None for G in generators for p in G.parameters())
    # a Wasserstein critic's last bias cancels between real and fake
    for D in discriminators:
        assert all(p.grad.abs().max() > 0 for name, p in D.named_parameters()
                   if name != "score.bias")


@pytest.mark.parametrize("kind", TWO_WAY)
def test_x_and_y_may_be_shuffled_apart(batch, kind):
    """Unpaired: the order of y within the batch changes nothing (a popular port is paired)."""
    total = two_way(kind).generator_loss(batch)[0]
    shuffled = {"x": batch["x"], "y": batch["y"].flip(0)}
    assert two_way(kind).generator_loss(shuffled)[0].item() == pytest.approx(total.item(), rel=1e-5)
