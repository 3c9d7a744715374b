"""CycleGAN, one-way and two-way, against its formula; and what it shares with `Direct`."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import generator

from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct


def discriminator(seed):
    torch.manual_seed(seed)
    return nn.Conv2d(3, 1, 4, stride=2, padding=1)


@pytest.fixture
def batch():
    torch.manual_seed(9)
    return {name: torch.rand(2, 3, 6, 8) * 2 - 1 for name in "xy"}


def direct(**named):
    return Direct(generator(0), discriminator(1), **named)


def oneway(**named):
    return OneWayCycleGAN(generator(0), generator(2), discriminator(1), **named)


def cyclegan(**named):
    return CycleGAN(generator(0), generator(2), discriminator(3), discriminator(1), **named)


ALL = [direct, oneway, cyclegan]


def says(scores, target):
    return F.mse_loss(scores, torch.full_like(scores, target))


def lsgan_D(D, real, fake):
    return (says(D(real), 1.0) + says(D(fake.detach()), 0.0)) / 2


def test_one_way_cyclegan_by_hand(batch):
    m = oneway(lambda_cyc=7.0, pool_size=0)
    x, fake = batch["x"], m.G_xy(batch["x"])
    total, parts = m.generator_loss(batch)
    cycle = F.l1_loss(m.G_yx(fake), x)
    assert total.item() == pytest.approx((says(m.D_y(fake), 1.0) + 7 * cycle).item())
    assert parts["cycle_x"].item() == pytest.approx(cycle.item())
    assert parts["G_xy"].item() == pytest.approx(says(m.D_y(fake), 1.0).item())
    total, parts = m.discriminator_loss(batch)
    assert total.item() == pytest.approx(lsgan_D(m.D_y, batch["y"], fake).item())
    assert set(parts) == {"D_y"}


def by_hand(m, batch, lambda_cyc, lambda_idt):
    x, y = batch["x"], batch["y"]
    fake_y, fake_x = m.G_xy(x), m.G_yx(y)
    adversarial = says(m.D_y(fake_y), 1.0) + says(m.D_x(fake_x), 1.0)
    cycle = F.l1_loss(m.G_yx(fake_y), x) + F.l1_loss(m.G_xy(fake_x), y)
    identity = F.l1_loss(m.G_xy(y), y) + F.l1_loss(m.G_yx(x), x)
    return adversarial + lambda_cyc * cycle + lambda_cyc * lambda_idt * identity


@pytest.mark.parametrize("lambda_cyc, lambda_idt", [(10.0, 0.0), (10.0, 0.5), (3.0, 2.0)])
def test_cyclegan_by_hand(batch, lambda_cyc, lambda_idt):
    m = cyclegan(lambda_cyc=lambda_cyc, lambda_idt=lambda_idt, pool_size=0)
    total, parts = m.generator_loss(batch)
    assert total.item() == pytest.approx(by_hand(m, batch, lambda_cyc, lambda_idt).item())
    names = {"G_xy", "G_yx", "cycle_x", "cycle_y"} | ({"identity"} if lambda_idt else set())
    assert set(parts) == names
    sums = (parts["G_xy"] + parts["G_yx"] + lambda_cyc * (parts["cycle_x"] + parts["cycle_y"])
            + lambda_cyc * lambda_idt * parts.get("identity", 0))
    assert sums.item() == pytest.approx(total.item())
    total, parts = m.discriminator_loss(batch)
    D_x = lsgan_D(m.D_x, batch["x"], m.G_yx(batch["y"]))
    D_y = lsgan_D(m.D_y, batch["y"], m.G_xy(batch["x"]))
    assert total.item() == pytest.approx((D_x + D_y).item())
    assert parts["D_x"].item() == pytest.approx(D_x.item())
    assert parts["D_y"].item() == pytest.approx(D_y.item())


def test_gradients_are_the_formulas_too(batch):
    m = cyclegan(lambda_idt=0.5, pool_size=0)
    own = [*m.G_xy.parameters(), *m.G_yx.parameters()]
    found = torch.autograd.grad(m.generator_loss(batch)[0], own)
    expected = torch.autograd.grad(by_hand(m, batch, 10.0, 0.5), own)
    for a, b in zip(found, expected, strict=True):
        assert b.abs().max() > 0
        assert torch.allclose(a, b, atol=1e-6)


class Tint(nn.Module):
    """A generator whose output says which one it was: always the same colour."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        return images * 0 + self.value


def test_identity_gives_each_generator_its_own_output_domain(batch):
    m = CycleGAN(Tint(0.25), Tint(-0.5), discriminator(0), discriminator(1), lambda_idt=0.5)
    batch = {"x": torch.full((2, 3, 6, 8), -0.5), "y": torch.full((2, 3, 6, 8), 0.25)}
    _, parts = m.generator_loss(batch)
    assert parts["identity"] == 0  # the other way round it would be 0.75 twice
    both = torch.cat([batch["x"], batch["y"]])
    assert torch.equal(m.G_xy.seen[0], both) and torch.equal(m.G_yx.seen[0], both.flip(0))
    assert len(m.G_xy.seen) == len(m.G_yx.seen) == 2  # x and y at once, then the way back
    m.lambda_idt, m.G_xy.seen = 0.0, []
    m.generator_loss(batch)
    assert len(m.G_xy.seen) == 2 and m.G_xy.seen[0] is batch["x"]  # no pass for a term that is off


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("pool_size", [0, 3])
def test_the_discriminators_loss_moves_no_generator(batch, make, pool_size):
    m = make(pool_size=pool_size)
    m.generator_loss(batch)
    m.zero_grad()
    m.discriminator_loss(batch)[0].backward()
    generators, discriminators = m.players()
    assert all(p.grad is None for G in generators for p in G.parameters())
    assert all(p.grad.abs().max() > 0 for D in discriminators for p in D.parameters())


@pytest.mark.parametrize("make", ALL)
def test_the_generators_loss_reaches_every_generator(batch, make):
    m = make()
    m.generator_loss(batch)[0].backward()
    assert all(p.grad.abs().max() > 0 for G in m.players()[0] for p in G.parameters())


@pytest.mark.parametrize("make", ALL)
def test_parts_are_detached_scalars(batch, make):
    m = make()
    for loss in (m.generator_loss, m.discriminator_loss):
        total, parts = loss(batch)
        assert total.requires_grad and total.shape == ()
        assert parts and all(not v.requires_grad and v.shape == () for v in parts.values())


@pytest.mark.parametrize("make", ALL)
def test_players_are_every_network_once(make):
    m = make()
    generators, discriminators = m.players()
    listed = [p for net in generators + discriminators for p in net.parameters()]
    assert len(listed) == len({id(p) for p in listed}) == len(list(m.parameters()))
    assert m.G_xy in generators and m.D_y in discriminators


@pytest.mark.parametrize("make", ALL)
def test_translate_and_back(batch, make):
    m = make()
    assert torch.equal(m.translate(batch["x"]), m.G_xy(batch["x"]))
    assert hasattr(m, "back") == (make is not direct)
    if make is not direct:
        assert torch.equal(m.back(batch["y"]), m.G_yx(batch["y"]))


@pytest.mark.parametrize("make", ALL)
def test_D_is_shown_earlier_translations(batch, make):
    m = make(pool_size=2)
    torch.manual_seed(0)
    shown, earlier = [], []
    m.D_y.register_forward_hook(lambda module, inputs, output: shown.append(inputs[0]))
    for _ in range(8):
        batch["x"] = torch.rand_like(batch["x"]) * 2 - 1
        m.generator_loss(batch)
        shown.clear()
        m.discriminator_loss(batch)
        real, fake = shown
        assert torch.equal(real, batch["y"])
        now = batch["fake_y"].detach()
        earlier += [not any(torch.equal(image, new) for new in now) for image in fake]
    assert earlier[:2] == [False, False]  # the pool is filled first
    assert 3 <= sum(earlier) <= 11        # then about half of the 14 come out of it
    assert len(m.pool_y.images) == 2
