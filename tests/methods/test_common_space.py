"""The common space: each term by hand, the ramps, the codes, and that a run can go on."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from gantutor import losses, recipes, show
from gantutor.autoencoders import coders
from gantutor.data import Unpaired
from gantutor.methods.common_space import (
    VAEGAN,
    CoGAN,
    ReversedCodes,
    TwoAutoencoders,
)
from gantutor.ramps import domain_ramp, late_ramp
from gantutor.training import fit

REMEDIES = ("lambda_dom", "lambda_cyc", "lambda_sem", "lambda_gan")


def batch(n=3, h=32, w=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.rand(n, 3, h, w, generator=generator) * 2 - 1 for k in "xy"}


def small(shared=4, progress=1.0, **weights):
    torch.manual_seed(0)
    weights = {"lambda_kl": 0.0} | weights  # no noise: terms can be written out
    method = recipes.common_space(shared, channels=4, width=4, **weights)
    method.progress = progress
    return method


def test_the_ramps():
    assert domain_ramp(0) == 0 and domain_ramp(1) == pytest.approx(0.99990920, abs=1e-7)
    assert domain_ramp(0.1) == pytest.approx(0.46211716, abs=1e-7)
    assert [late_ramp(p) for p in (0, 0.5, 0.575, 0.65, 1)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert late_ramp(0, 0, 0) == 1 and late_ramp(0.05, 0, 0.1) == pytest.approx(0.5)


def test_terms_can_start_at_once_and_units_cycle_pays_the_kl_of_its_codes_too(monkeypatch):
    """UNIT, eq. 6, with the noise held still: the cycle's codes are drawn noisy and pay the KL."""
    monkeypatch.setattr("gantutor.methods.common_space.sampled", lambda mu: mu + 0.5)
    images = batch()
    x, y = images["x"], images["y"]
    method = small(lambda_kl=0.25, lambda_cyc=3.0, lambda_gan=1.0, late=(0.0, 0.0), progress=0.0)
    total, parts = method.generator_loss(dict(images))
    E_x, E_y, G_x, G_y = method.players()[0][:4]
    to_y, to_x = G_y(E_x(x) + 0.5), G_x(E_y(y) + 0.5)
    codes = E_x(x), E_y(y), E_y(to_y), E_x(to_x)
    kl = sum(0.5 * code.square().mean() for code in codes)
    rec = F.l1_loss(G_x(codes[0] + 0.5), x) + F.l1_loss(G_y(codes[1] + 0.5), y)
    cyc = F.l1_loss(G_x(codes[2] + 0.5), x) + F.l1_loss(G_y(codes[3] + 0.5), y)
    gan = -method.D_x(to_x).mean() - method.D_y(to_y).mean()
    torch.testing.assert_close(total, 10 * rec + 0.25 * kl + 3 * cyc + gan, rtol=1e-4, atol=1e-4)
    assert set(parts) == {"rec", "kl", "gan", "cyc", "kl again"}
    assert "D_y" in method.discriminator_loss(dict(images))[1]


def test_without_weights_only_the_reconstruction_is_left():
    method, images = small(), batch()
    total, parts = method.generator_loss(images)
    expected = (F.l1_loss(method.G_x(method.E_x(images["x"])), images["x"])
                + F.l1_loss(method.G_y(method.E_y(images["y"])), images["y"]))
    torch.testing.assert_close(total, 10 * expected)
    assert set(parts) == {"rec"}
    coders_alone = TwoAutoencoders(*method.players()[0])
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
    method, images = small(**{weight: 1.0}), batch()
    plain = small().generator_loss(images)[0]
    for progress, share in ((0, 0.0), (0.5, 0.0), (0.56, 0.4), (0.8, 1.0)):
        method.progress = progress
        total, _ = method.generator_loss(images)
        torch.testing.assert_close(total - plain, share * terms(method, images)[weight],
                                   rtol=1e-4, atol=1e-5)


def test_colours_are_shuffled_at_first_and_no_more_once_the_late_terms_are_in():
    method, images = small(shuffle=1.0, lambda_cyc=1.0), batch(60)
    for progress, share in ((0, 1.0), (0.25, 1.0), (0.4, 0.4), (0.5, 0.0), (0.8, 0.0)):
        method.progress = progress
        shown = method.shuffled(images)
        moved = (shown["x"] != images["x"]).flatten(1).any(1).float().mean()
        assert moved == pytest.approx(share * 5 / 6, abs=0.2) and (share or not moved)
    method.progress = 0.0
    plain = small()
    torch.manual_seed(3)
    total = method.generator_loss(images)[0]
    torch.manual_seed(3)
    torch.testing.assert_close(total, plain.generator_loss(method.shuffled(images))[0])
    # A method that `fit` has not met is at the run's end: every term is in, the shuffling over.
    assert small(shuffle=1.0).shuffled(images) is images


def test_D_z_and_the_image_discriminators_see_shuffled_pictures_too(monkeypatch):
    method, images = small(shuffle=1.0, lambda_gan=1.0, lambda_dom=1.0), batch()
    white = {k: torch.ones_like(v) for k, v in images.items()}
    monkeypatch.setattr(method, "shuffled", lambda batch: white)
    method.generator_loss(images)
    _, parts = method.discriminator_loss(images)
    fake = method.G_y(method.E_x(white["x"]))
    expected = method.D_y(fake).mean() - method.D_y(white["y"]).mean()
    torch.testing.assert_close(parts["D_y"], expected.detach())


def test_the_domain_term_rises_from_nothing():
    method, images = small(lambda_dom=2.0, progress=0.0), batch()
    plain = small().generator_loss(images)[0]
    torch.testing.assert_close(method.generator_loss(images)[0], plain)
    method.progress = 0.1
    added = method.generator_loss(images)[0] - plain
    torch.testing.assert_close(added, 2 * 0.46211716 * terms(method, images)["lambda_dom"],
                               rtol=1e-4, atol=1e-5)


def test_the_discriminators_see_their_own_sides_and_no_encoder():
    method, images = small(lambda_dom=1.0, lambda_gan=1.0, lambda_gp=0.0), batch()
    method.generator_loss(images)
    to_x, to_y = images["fake_x"], images["fake_y"]
    loss, parts = method.discriminator_loss(images)
    d_x, d_y = method.D_z(method.E_x(images["x"])), method.D_z(method.E_y(images["y"]))
    right = (F.softplus(-d_x).mean() + F.softplus(d_y).mean()) / 2  # X is 1
    torch.testing.assert_close(parts["D_z"], right.detach())
    critics = [method.D_x(to_x).mean() - method.D_x(images["x"]).mean(),
               method.D_y(to_y).mean() - method.D_y(images["y"]).mean()]
    torch.testing.assert_close(loss, right + sum(critics))
    loss.backward()
    torch.testing.assert_close(method.discriminator_loss(batch())[0], loss)  # translates anew
    for net in (method.E_x, method.E_y, method.G_x, method.G_y):
        assert all(p.grad is None for p in net.parameters())
    for net in (method.D_x, method.D_y, method.D_z):
        assert any(p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_reversal_layer_raises_what_D_z_lowers():
    alternating, images = small(lambda_dom=1.0), batch()
    torch.manual_seed(0)
    nets = (alternating.E_x, alternating.E_y, alternating.G_x, alternating.G_y)
    turned = ReversedCodes(*nets, D_z=alternating.D_z, lambda_rec=0.0, lambda_dom=1.0)
    assert alternating.D_z in turned.players()[0] and turned.players()[1] == []
    total, _ = turned.generator_loss(images)
    plain = losses.bce_discriminator_loss(turned.D_z(turned.E_x(images["x"])),
                                          turned.D_z(turned.E_y(images["y"])))
    torch.testing.assert_close(total, plain)
    for net, sign in ((turned.D_z, 1), (turned.E_x, -domain_ramp(1))):
        weights = [p for p in net.parameters()]
        got = torch.autograd.grad(total, weights, retain_graph=True)
        straight = torch.autograd.grad(plain, weights, retain_graph=True)
        for a, b in zip(got, straight, strict=True):
            torch.testing.assert_close(a, sign * b)


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 0.0), (0.1, 3 * 0.46211716)])
def test_weight_and_ramp_turn_the_encoders_gradient_and_leave_D_z_its_own_rate(progress, factor):
    alternating, images = small(lambda_dom=1.0), batch()
    turned = ReversedCodes(*alternating.players()[0], D_z=alternating.D_z, lambda_rec=0.0,
                           lambda_dom=3.0)
    turned.progress = progress
    total, parts = turned.generator_loss(images)
    plain = losses.bce_discriminator_loss(turned.D_z(turned.E_x(images["x"])),
                                          turned.D_z(turned.E_y(images["y"])))
    torch.testing.assert_close(total, plain)
    torch.testing.assert_close(parts["dom"], plain.detach())
    for net, share in ((turned.D_z, 1.0), (turned.E_x, -factor)):
        weights = list(net.parameters())
        got = torch.autograd.grad(total, weights, retain_graph=True)
        straight = torch.autograd.grad(plain, weights, retain_graph=True)
        assert max(b.abs().max() for b in straight) > 0
        for a, b in zip(got, straight, strict=True):
            torch.testing.assert_close(a, share * b)


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
    whole = small(**weights)
    run(whole, 6)
    half = small(**weights)
    usual, calls = half.generator_loss, []

    def stopping(images):
        calls.append(1)
        if len(calls) == 5:
            raise Stop
        return usual(images)

    half.generator_loss = stopping
    with pytest.raises(Stop):
        run(half, 6, tmp_path / "state")
    again = small(**weights)
    run(again, 6, tmp_path / "state")
    assert again.progress == whole.progress == 5 / 6
    for a, b in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_an_image_discriminator_that_waits_is_no_error():
    method = small(lambda_gan=1.0)
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
    images = batch()
    total, parts = method.generator_loss(images)
    assert set(parts) == names
    total.backward()
    assert any(p.grad.abs().sum() > 0 for p in E.parameters())
    if "G" in names:
        real, fake = images["y"], images["drawn"].detach()
        expected = method.D(fake).mean() - method.D(real).mean()
        torch.testing.assert_close(method.discriminator_loss(images)[1]["D"], expected.detach())
    else:
        assert method.players()[1] == []


def vaegan(**weights):
    torch.manual_seed(0)
    E, _, _, G = coders(0, channels=4, width=4)
    return VAEGAN(E, G, small().D_y, **{"domain": "x"} | weights)


def test_every_term_of_the_vae_gan_has_its_sign_and_its_weight():
    method = vaegan(lambda_rec=0.5, lambda_kl=0.3, lambda_gan=2.0, lambda_gp=7.0)
    images = batch()
    torch.manual_seed(5)
    total, parts = method.generator_loss(images)
    torch.manual_seed(5)
    mu = method.E(images["x"])
    drawn = method.G(mu + torch.randn_like(mu))
    rec, kl = (drawn - images["x"]).abs().mean(), (mu ** 2).mean() / 2
    torch.testing.assert_close(total, 0.5 * rec + 0.3 * kl - 2 * method.D(drawn).mean())
    torch.testing.assert_close(parts["rec"], rec.detach())
    torch.testing.assert_close(parts["kl"], kl.detach())
    assert (drawn - method.translate(images["x"])).abs().max() > 1e-3  # noise here, and not there
    torch.manual_seed(6)
    loss, parts = method.discriminator_loss(images)
    torch.manual_seed(6)
    penalty = losses.gradient_penalty(method.D, images["x"], drawn)
    critic = method.D(drawn).mean() - method.D(images["x"]).mean()
    torch.testing.assert_close(loss, critic + 7 * penalty)
    loss.backward()
    assert all(p.grad is None for net in (method.E, method.G) for p in net.parameters())


def test_where_the_vae_gan_sits_out_D_judges_what_is_drawn_from_a_sample():
    method, images = vaegan(lambda_kl=0.3, lambda_gan=1.0, lambda_gp=0.0), batch()
    torch.manual_seed(5)
    loss, _ = method.discriminator_loss(images)
    torch.manual_seed(5)
    drawn = method.G(losses.sampled(method.E(images["x"])))
    torch.testing.assert_close(loss, method.D(drawn).mean() - method.D(images["x"]).mean())


def played(steps, **settings):
    """The progress that the encoders see in each of their steps."""
    method, seen = small(lambda_dom=1.0, lambda_gan=1.0), []
    usual = method.generator_loss

    def watched(images):
        seen.append(method.progress)
        return usual(images)

    method.generator_loss = watched
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    fit(method, Unpaired(images, images, 2), steps, progress=False, **settings)
    return seen


def test_D_z_may_play_more_often_and_the_ramps_follow_the_encoders_steps():
    assert played(12, n_critic=4) == played(3) == pytest.approx([0, 1 / 3, 2 / 3])


@pytest.mark.parametrize("steps", [3, 7, 20])
def test_the_late_terms_join_whatever_the_number_of_steps(steps):
    method, seen = small(**dict.fromkeys(REMEDIES, 1.0), shuffle=0.5), []
    usual = method.generator_loss

    def watched(images):
        total, parts = usual(images)
        seen.append("cyc" in parts and "gan" in parts and "sem" in parts)
        return total, parts

    method.generator_loss = watched
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    fit(method, Unpaired(images, images, 2), steps, progress=False)
    assert seen == [step / steps > 0.5 for step in range(steps)]


def test_a_vae_hands_the_decoders_and_D_z_a_sample():
    method, images = small(lambda_kl=0.1, lambda_dom=1.0), batch(40)
    method.generator_loss(images)
    assert abs((images["z_x"] - images["mu_x"]).std() - 1) < 0.1
    assert torch.equal(method.translate(images["x"]), method.translate(images["x"]))  # no noise


def test_D_z_judges_samples_in_both_players_steps():
    method, images, seen = small(lambda_kl=0.1, lambda_dom=1.0), batch(20), []
    method.D_z = torch.nn.Flatten()
    method.D_z.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    mu = [method.E_y(images["y"]), method.E_x(images["x"])]
    method.generator_loss(images)   # the encoders ask D_z for the other domain
    method.discriminator_loss(images)
    for code, mean in zip(seen, [*mu, *mu[::-1]], strict=True):
        assert abs((code - mean).std() - 1) < 0.1


def test_where_the_encoders_sit_out_D_y_judges_translations_of_samples(monkeypatch):
    method, images = small(lambda_kl=0.1, lambda_gan=1.0, lambda_gp=0.0), batch()
    monkeypatch.setattr(method, "code", lambda mu: mu + 1)  # a sample that can be foreseen
    _, parts = method.discriminator_loss(images)
    fake = method.G_y(method.E_x(images["x"]) + 1)
    expected = method.D_y(fake).mean() - method.D_y(images["y"]).mean()
    torch.testing.assert_close(parts["D_y"], expected.detach())


def test_cogan_draws_both_pictures_from_one_z():
    torch.manual_seed(0)
    _, _, G_x, G_y = coders(2, channels=4, width=4)
    D_x, D_y = small().D_x, small().D_y
    method, images = CoGAN(G_x, G_y, D_x, D_y, (4, 4, 4)), batch(2)
    torch.manual_seed(5)
    z = torch.randn(2, 4, 4, 4)
    torch.manual_seed(5)
    total, parts = method.generator_loss(images)
    x, y = torch.sigmoid(D_x(G_x(z))), torch.sigmoid(D_y(G_y(z)))
    torch.testing.assert_close(total, -x.log().mean() - y.log().mean())
    loss, parts = method.discriminator_loss(images)
    told = -(torch.sigmoid(D_x(images["x"])).log().mean() + (1 - x).log().mean()
             + torch.sigmoid(D_y(images["y"])).log().mean() + (1 - y).log().mean()) / 2
    torch.testing.assert_close(parts["D_x"] + parts["D_y"], told.detach())
    penalties = parts["gp_D_x"] + parts["gp_D_y"]
    torch.testing.assert_close(loss.detach(), told.detach() + 10 * penalties)
    loss.backward()
    assert all(p.grad is None for p in G_x.parameters())


def test_terms_that_come_in_late_are_blank_in_the_history_before():
    method = small(lambda_cyc=1.0)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    history = fit(method, Unpaired(images, images, 2), 40, progress=False)
    assert {len(values) for values in history.values()} == {4}
    assert [math.isnan(v) for v in history["cyc"]] == [True, True, False, False]
    assert show.curves(history).axes
