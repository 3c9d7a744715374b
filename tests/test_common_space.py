"""The common space: what is shared, each term by hand, the ramps, and that a run can go on."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from gantutor import losses, recipes, show
from gantutor.autoencoders import CodeDiscriminator, coders, decoder_stages, encoder_stages
from gantutor.data import Unpaired
from gantutor.methods.common_space import (
    VAEGAN,
    CoGAN,
    ReversedSpace,
    SharedSpace,
    domain_ramp,
    late_ramp,
)
from gantutor.training import _parameters, fit, load_weights, save_weights

REMEDIES = ("lambda_dom", "lambda_cyc", "lambda_sem", "lambda_gan")


def batch(n=3, h=32, w=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.rand(n, 3, h, w, generator=generator) * 2 - 1 for k in "xy"}


def small(shared=4, **weights):
    torch.manual_seed(0)
    weights = {"lambda_kl": 0.0} | weights  # no noise: terms can be written out
    return recipes.make_common_space(shared, channels=4, width=4, **weights)


# ------------------------------------------------------------------- networks


@pytest.mark.parametrize("size", [32, 64])
def test_codes_are_4_by_4_and_images_come_back_in_their_size(size):
    E_x, E_y, G_x, G_y = coders(2, size, channels=5, width=4)
    z = E_x(batch(2, size, size)["x"])
    assert z.shape == E_y(batch(2, size, size)["y"]).shape == (2, 5, 4, 4)
    assert G_x(z).shape == G_y(z).shape == (2, 3, size, size)
    assert G_y(100 * z).abs().max() <= 1


def test_encoders_may_be_shown_less_than_decoders_draw():
    E_x, _, _, G_y = coders((4, 5), 64, channels=5, width=4, seen=32)
    assert len(E_x.stages) == 4 and len(G_y.stages) == 5
    x = batch(2, 64, 96)["x"]
    assert G_y(E_x(x)).shape == x.shape
    half = F.avg_pool2d(x, 2)
    E_x.shrink = 1
    torch.testing.assert_close(E_x(half), coders_like(E_x, 2)(x))
    with pytest.raises(ValueError, match="multiples of 16, got H=64, W=72"):
        coders_like(E_x, 2)(torch.zeros(1, 3, 64, 72))
    with pytest.raises(ValueError, match="seen=48: expected a divisor of size=64"):
        coders(4, 64, seen=48)
    with pytest.raises(ValueError, match="expected 0 to 4 at 64 px"):
        coders(5, 64, seen=32)


def coders_like(E, shrink):
    """The same encoder with another `shrink`."""
    other = copy.deepcopy(E)
    other.shrink = shrink
    return other


def test_a_wide_image_keeps_its_shape():
    E_x, _, _, G_y = coders(4, channels=5, width=4)
    assert E_x(batch(2, 32, 48)["x"]).shape == (2, 5, 4, 6)
    assert G_y(E_x(batch(2, 32, 48)["x"])).shape == (2, 3, 32, 48)


def test_an_image_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="multiples of 8, got H=32, W=36"):
        coders(0, width=4)[0](torch.zeros(1, 3, 32, 36))


@pytest.mark.parametrize("k", range(5))
def test_the_stages_next_to_the_code_are_the_shared_ones(k):
    E_x, E_y, G_x, G_y = coders(k, width=4)
    assert [a is b for a, b in zip(E_x.stages, E_y.stages, strict=True)] == (
        [False] * (4 - k) + [True] * k)
    assert [a is b for a, b in zip(G_x.stages, G_y.stages, strict=True)] == (
        [True] * k + [False] * (4 - k))
    own = sum(p.numel() for net in (E_x, G_x) for p in net.parameters())
    each = sum(p.numel() for stages in (encoder_stages(width=4)[:4 - k],
                                        decoder_stages(width=4)[k:])
               for stage in stages for p in stage.parameters())
    assert sum(p.numel() for p in _parameters([E_x, E_y, G_x, G_y])) == own + each


@pytest.mark.parametrize("k", [-1, 5])
def test_a_number_of_shared_stages_that_is_not_possible_is_named(k):
    with pytest.raises(ValueError, match=f"shared={k}: expected 0 to 4 at 32 px"):
        coders(k)


@pytest.mark.parametrize("told", [False, True])
def test_the_decoder_knows_the_domain_by_its_flag_and_the_encoder_where_it_is_told(told):
    E_x, E_y, G_x, G_y = coders(4, width=4, told=told)
    x = batch()["x"]
    assert ((E_x(x) - E_y(x)).abs().max().item() > 1e-3) == told
    assert torch.equal(E_x(x), E_y(x)) != told
    assert (G_x(E_x(x)) - G_y(E_x(x))).abs().max() > 1e-3


def test_shared_layers_are_written_once_and_read_into_both(tmp_path):
    names = ("E_x", "E_y", "G_x", "G_y")
    nets = dict(zip(names, coders(4, width=4), strict=True))
    apart = dict(zip(names, coders(0, width=4), strict=True))
    save_weights(tmp_path / "shared", nets)
    save_weights(tmp_path / "apart", apart)
    sizes = [(tmp_path / name).stat().st_size for name in ("shared", "apart")]
    assert sizes[0] < 0.6 * sizes[1]
    again = dict(zip(names, coders(4, width=4), strict=True))
    load_weights(tmp_path / "shared", again)
    x = batch()["x"]
    assert torch.equal(again["G_y"](again["E_x"](x)), nets["G_y"](nets["E_x"](x)))
    with pytest.raises(ValueError, match=r"no tensor E_y.stages.0.conv.weight"):
        load_weights(tmp_path / "shared", apart)


# --------------------------------------------------------------------- losses


def test_the_kl_is_torchs_own():
    mu = torch.randn(4, 3, 2, 5)
    q, p = (torch.distributions.Normal(m, 1.0) for m in (mu, torch.zeros_like(mu)))
    torch.testing.assert_close(losses.kl_loss(mu), torch.distributions.kl_divergence(q, p).mean())


def test_a_sample_is_the_mean_and_unit_noise_and_lets_the_gradient_through():
    mu = torch.full((4, 500), 3.0, requires_grad=True)
    z = losses.sampled(mu)
    assert abs(z.mean() - 3) < 0.1 and abs(z.std() - 1) < 0.1
    z.sum().backward()
    assert torch.equal(mu.grad, torch.ones_like(mu))
    assert not torch.equal(z[0], z[1])


def test_code_consistency_moves_only_the_second_code():
    z, again = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    loss = losses.code_consistency_loss(z, again)
    loss.backward()
    assert loss == 1 and z.grad is None
    torch.testing.assert_close(again.grad, torch.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match="same shape"):
        losses.code_consistency_loss(z, again[:1])


def test_the_reversed_gradient_has_the_other_sign():
    z = torch.randn(5, requires_grad=True)
    turned = losses.gradient_reversal(z)
    assert torch.equal(turned, z)
    (turned * torch.arange(5.0)).sum().backward()
    assert torch.equal(z.grad, -torch.arange(5.0))


def test_the_ramps():
    assert domain_ramp(0) == 0 and domain_ramp(1) == pytest.approx(0.99990920, abs=1e-7)
    assert domain_ramp(0.1) == pytest.approx(0.46211716, abs=1e-7)
    assert [late_ramp(p) for p in (0, 0.5, 0.575, 0.65, 1)] == pytest.approx([0, 0, 0.5, 1, 1])


# --------------------------------------------------------------------- method


def test_without_weights_only_the_reconstruction_is_left():
    method, images = small(), batch()
    total, parts = method.generator_loss(images)
    expected = (F.l1_loss(method.G_x(method.E_x(images["x"])), images["x"])
                + F.l1_loss(method.G_y(method.E_y(images["y"])), images["y"]))
    torch.testing.assert_close(total, 10 * expected)
    assert set(parts) == {"rec"}
    coders_alone = SharedSpace(*method.players()[0])
    assert coders_alone.generator_loss(images)[0] == total and coders_alone.players()[1] == []


def terms(method, images):
    """Every term by its definition, written out once more."""
    x, y = images["x"], images["y"]
    E_x, E_y, G_x, G_y = method.players()[0][:4]
    z_x, z_y = E_x(x), E_y(y)
    to_y, to_x = G_y(z_x), G_x(z_y)
    d_x, d_y = method.D_z(z_x), method.D_z(z_y)
    zeros, ones = torch.zeros_like(d_x), torch.ones_like(d_x)
    swapped = (F.binary_cross_entropy_with_logits(d_x, zeros)
               + F.binary_cross_entropy_with_logits(d_y, ones)) / 2
    return {"lambda_dom": swapped,
            "lambda_cyc": (G_x(E_y(to_y)) - x).abs().mean() + (G_y(E_x(to_x)) - y).abs().mean(),
            "lambda_sem": (E_y(to_y) - z_x).abs().mean() + (E_x(to_x) - z_y).abs().mean(),
            "lambda_gan": -method.D_x(to_x).mean() - method.D_y(to_y).mean()}


@pytest.mark.parametrize("weight", REMEDIES)
def test_a_remedy_adds_its_own_term_and_nothing_else(weight):
    images = batch()
    plain = small().generator_loss(images)[0]
    method = small(**{weight: 3.0})
    total, parts = method.generator_loss(images)
    torch.testing.assert_close(total - plain, 3 * terms(method, images)[weight],
                               rtol=1e-4, atol=1e-5)
    name = weight.removeprefix("lambda_")
    assert set(parts) == {"rec", name}
    torch.testing.assert_close(parts[name], terms(method, images)[weight].detach())


@pytest.mark.parametrize("weight", ["lambda_cyc", "lambda_sem", "lambda_gan"])
def test_terms_that_translate_come_in_late(weight):
    method, images = small(**{weight: 1.0}, steps=100), batch()
    plain = small().generator_loss(images)[0]
    for step, share in ((0, 0.0), (50, 0.0), (56, 0.4), (80, 1.0)):
        method.step.fill_(step)
        total, _ = method.generator_loss(images)
        torch.testing.assert_close(total - plain, share * terms(method, images)[weight],
                                   rtol=1e-4, atol=1e-5)


def test_colours_are_shuffled_at_first_and_no_more_once_the_late_terms_are_in():
    method, images = small(shuffle=1.0, lambda_cyc=1.0, steps=100), batch(60)
    for step, share in ((0, 1.0), (25, 1.0), (40, 0.4), (50, 0.0), (80, 0.0)):
        method.step.fill_(step)
        shown = method.shuffled(images)
        moved = (shown["x"] != images["x"]).flatten(1).any(1).float().mean()
        assert moved == pytest.approx(share * 5 / 6, abs=0.2) and (share or not moved)
    method.step.fill_(0)
    plain = small()
    torch.manual_seed(3)
    total = method.generator_loss(images)[0]
    torch.manual_seed(3)
    torch.testing.assert_close(total, plain.generator_loss(method.shuffled(images))[0])
    assert small(shuffle=1.0).shuffled(images)["x"].ne(images["x"]).any()  # no ramps: always


def test_D_z_and_the_image_discriminators_see_shuffled_pictures_too(monkeypatch):
    method, images = small(shuffle=1.0, lambda_gan=1.0, lambda_dom=1.0), batch()
    white = {k: torch.ones_like(v) for k, v in images.items()}
    monkeypatch.setattr(method, "shuffled", lambda batch: white)
    method.generator_loss(images)
    _, parts = method.discriminator_loss(images)
    method.fakes = method.G_x(method.E_y(white["y"])), method.G_y(method.E_x(white["x"]))
    expected = method.D_y(method.fakes[1]).mean() - method.D_y(white["y"]).mean()
    torch.testing.assert_close(parts["D_y"], expected.detach())


def test_the_domain_term_rises_from_nothing():
    method, images = small(lambda_dom=2.0, steps=100), batch()
    plain = small().generator_loss(images)[0]
    torch.testing.assert_close(method.generator_loss(images)[0], plain)
    method.step.fill_(10)
    added = method.generator_loss(images)[0] - plain
    torch.testing.assert_close(added, 2 * 0.46211716 * terms(method, images)["lambda_dom"],
                               rtol=1e-4, atol=1e-5)


def test_the_discriminators_see_their_own_sides_and_no_encoder():
    method, images = small(lambda_dom=1.0, lambda_gan=1.0, lambda_gp=0.0), batch()
    method.generator_loss(images)
    to_x, to_y = method.fakes
    loss, parts = method.discriminator_loss(images)
    d_x, d_y = method.D_z(method.E_x(images["x"])), method.D_z(method.E_y(images["y"]))
    right = (F.softplus(-d_x).mean() + F.softplus(d_y).mean()) / 2  # X is 1
    torch.testing.assert_close(parts["D_z"], right.detach())
    critics = [method.D_x(to_x).mean() - method.D_x(images["x"]).mean(),
               method.D_y(to_y).mean() - method.D_y(images["y"]).mean()]
    torch.testing.assert_close(loss, right + sum(critics))
    loss.backward()
    assert set(method.discriminator_loss(images)[1]) == {"D_z"}  # no fake is judged twice
    for net in (method.E_x, method.E_y, method.G_x, method.G_y):
        assert all(p.grad is None for p in net.parameters())
    for net in (method.D_x, method.D_y, method.D_z):
        assert any(p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_reversal_layer_raises_what_D_z_lowers():
    alternating, images = small(lambda_dom=1.0), batch()
    torch.manual_seed(0)
    nets = (alternating.E_x, alternating.E_y, alternating.G_x, alternating.G_y)
    turned = ReversedSpace(*nets, D_z=alternating.D_z, lambda_rec=0.0, lambda_dom=1.0)
    assert alternating.D_z in turned.players()[0] and turned.players()[1] == []
    total, _ = turned.generator_loss(images)
    plain = losses.bce_discriminator_loss(turned.D_z(turned.E_x(images["x"])),
                                          turned.D_z(turned.E_y(images["y"])))
    torch.testing.assert_close(total, plain)
    for net, sign in ((turned.D_z, 1), (turned.E_x, -1)):
        weights = [p for p in net.parameters()]
        got = torch.autograd.grad(total, weights, retain_graph=True)
        straight = torch.autograd.grad(plain, weights, retain_graph=True)
        for a, b in zip(got, straight, strict=True):
            torch.testing.assert_close(a, sign * b)


def test_a_resumed_run_goes_on_with_its_ramps(tmp_path):
    def run(method, steps, path=None):
        images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8,
                               generator=torch.Generator().manual_seed(1))
        torch.manual_seed(3)
        return fit(method, Unpaired(images, images.flip(-1), 2), steps, save_path=path,
                   save_every=2, progress=False)

    class Stop(Exception):
        pass

    weights = dict.fromkeys(REMEDIES, 1.0)
    whole = small(**weights, steps=6)
    run(whole, 6)
    half = small(**weights, steps=6)
    usual, calls = half.generator_loss, []

    def stopping(images):
        calls.append(1)
        if len(calls) == 5:
            raise Stop
        return usual(images)

    half.generator_loss = stopping
    with pytest.raises(Stop):
        run(half, 6, tmp_path / "state")
    again = small(**weights, steps=6)
    run(again, 6, tmp_path / "state")
    assert again.step == whole.step == 6
    for a, b in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_an_image_discriminator_that_waits_is_no_error():
    method = small(lambda_gan=1.0, steps=100)
    before = copy.deepcopy(method.D_y.state_dict())
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    fit(method, Unpaired(images, images, 2), 2, progress=False)
    assert all(torch.equal(before[k], v) for k, v in method.D_y.state_dict().items())


@pytest.mark.parametrize(("weights", "names"), [
    ({}, {"rec"}), ({"lambda_kl": 0.1}, {"rec", "kl"}),
    ({"lambda_kl": 0.1, "lambda_gan": 1.0}, {"rec", "kl", "G"})])
def test_auto_encoder_vae_and_vae_gan_are_one_term_more_each(weights, names):
    torch.manual_seed(0)
    _, E, _, G = coders(0, channels=4, width=4)
    method = VAEGAN(E, G, small().D_y, **weights)
    total, parts = method.generator_loss(batch())
    assert set(parts) == names
    total.backward()
    assert any(p.grad.abs().sum() > 0 for p in E.parameters())
    if "G" in names:
        real, fake = batch()["y"], method.drawn.detach()
        expected = method.D(fake).mean() - method.D(real).mean()
        torch.testing.assert_close(method.discriminator_loss(batch())[1]["D"], expected.detach())
    else:
        assert method.players()[1] == []


def test_the_code_discriminator_gives_one_score_a_code():
    assert CodeDiscriminator(4)(torch.zeros(3, 4, 4, 4)).shape == (3, 1)


def test_D_z_may_play_more_often_and_the_ramps_count_the_encoders_steps():
    method = small(lambda_dom=1.0, lambda_gan=1.0, steps=3)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    fit(method, Unpaired(images, images, 2), 12, n_critic=4, progress=False)
    assert method.step == 3 and method.progress() == 1


def test_a_vae_hands_the_decoders_and_D_z_a_sample():
    method, images = small(lambda_kl=0.1, lambda_dom=1.0), batch(40)
    method.generator_loss(images)
    assert abs((method.z_x - method.mu_x).std() - 1) < 0.1
    assert torch.equal(method.translate(images["x"]), method.translate(images["x"]))  # no noise


def test_cogan_draws_both_pictures_from_one_z():
    torch.manual_seed(0)
    _, _, G_x, G_y = coders(2, channels=4, width=4)
    D_x, D_y = small().D_x, small().D_y
    method, images = CoGAN(G_x, G_y, D_x, D_y, (4, 4, 4)), batch(2)
    torch.manual_seed(5)
    z = torch.randn(2, 4, 4, 4)
    torch.manual_seed(5)
    total, parts = method.generator_loss(images)
    torch.testing.assert_close(total, -D_x(G_x(z)).mean() - D_y(G_y(z)).mean())
    loss, parts = method.discriminator_loss(images)
    gap = (D_x(G_x(z)).mean() - D_x(images["x"]).mean()
           + D_y(G_y(z)).mean() - D_y(images["y"]).mean())
    torch.testing.assert_close(parts["D_x"] + parts["D_y"], gap.detach())
    torch.testing.assert_close(loss.detach(), gap.detach() + 10 * (parts["gp_x"] + parts["gp_y"]))
    loss.backward()
    assert all(p.grad is None for p in G_x.parameters())


def test_terms_that_come_in_late_are_blank_in_the_history_before():
    method = small(lambda_cyc=1.0, steps=40)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    history = fit(method, Unpaired(images, images, 2), 40, progress=False)
    assert {len(values) for values in history.values()} == {4}
    assert [math.isnan(v) for v in history["cyc"]] == [True, True, False, False]
    assert show.curves(history).axes
