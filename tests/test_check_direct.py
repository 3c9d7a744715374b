"""Notebook 01's checks against the mistakes they exist for, and against sums done by hand."""

import pytest
import torch
import torch.nn.functional as F

from gantutor import check
from gantutor.losses import lsgan_discriminator_loss, lsgan_generator_loss

direct = check.direct


def step(G, D, optimiser_G, optimiser_D, x, y, without=(), fakes_anew=False, D_first=False):
    """One step of each player, right but for what is left out."""
    if "freeze" not in without:
        D.requires_grad_(False)
    fake = G(x)
    loss_G = lsgan_generator_loss(D(fake))
    if "zero_grad G" not in without:
        optimiser_G.zero_grad()
    loss_G.backward(retain_graph="retain" in without)
    if not D_first:
        optimiser_G.step()
    if "unfreeze" not in without:
        D.requires_grad_(True)
    fake = G(x) if fakes_anew else fake
    loss_D = lsgan_discriminator_loss(D(y), D(fake if "detach" in without else fake.detach()))
    if "zero_grad D" not in without:
        optimiser_D.zero_grad()
    loss_D.backward()
    optimiser_D.step()
    if D_first:
        optimiser_G.step()
    if "freeze again" in without:
        D.requires_grad_(False)
    return loss_G.detach(), loss_D.detach()


def broken_step(**mistake):
    return lambda G, D, optimiser_G, optimiser_D, x, y: step(
        G, D, optimiser_G, optimiser_D, x, y, **mistake)


def dcgan_step(G, D, optimiser_G, optimiser_D, x, y):
    """D's turn first, as in the DCGAN tutorial."""
    fake = G(x)
    loss_D = lsgan_discriminator_loss(D(y), D(fake.detach()))
    optimiser_D.zero_grad()
    loss_D.backward()
    optimiser_D.step()
    loss_G = lsgan_generator_loss(D(fake))
    optimiser_G.zero_grad()
    loss_G.backward()
    optimiser_G.step()
    return loss_G, loss_D


def under_no_grad(D, G, x):
    with torch.no_grad():
        fake = G(x)
    return lsgan_generator_loss(D(fake))


def d_loss(real_target=1.0, fake_target=0.0, scale=0.5, squash=lambda s: s, reduce=torch.mean,
           cut=lambda fake: fake.detach(), cut_scores=lambda s: s):
    return lambda D, real, fake: scale * (
        reduce((squash(D(real)) - real_target) ** 2)
        + reduce((squash(cut_scores(D(cut(fake)))) - fake_target) ** 2))


def g_loss(target=1.0, scale=1.0, squash=lambda s: s, reduce=torch.mean, cut=lambda fake: fake):
    return lambda D, G, x: scale * reduce((squash(D(cut(G(x)))) - target) ** 2)


MISTAKES = [  # (exercise, mistake, broken answer, a word of the reason)
    (direct.picture, "H and W swapped", lambda i: (i.permute(2, 1, 0) + 1) / 2, "H and W"),
    (direct.picture, "T swaps them too", lambda i: (i.T + 1) / 2, "H and W"),
    (direct.picture, "reshape", lambda i: (i.reshape(4, 6, 3) + 1) / 2, "mixes the pixels"),
    (direct.picture, "view", lambda i: i.view(4, 6, 3), "mixes the pixels"),
    (direct.picture, "channels first", lambda i: (i + 1) / 2, "channels belong last"),
    (direct.picture, "range untouched", lambda i: i.permute(1, 2, 0), "still [-1, 1]"),
    (direct.picture, "halved only", lambda i: i.permute(1, 2, 0) / 2, "not moved up"),
    (direct.picture, "clamped", lambda i: i.permute(1, 2, 0).clamp(0, 1), "clamp"),
    (direct.picture, "bytes", lambda i: ((i.permute(1, 2, 0) + 1) * 127.5).byte(), "[0, 255]"),
    (direct.picture, "upside down", lambda i: (i.permute(1, 2, 0).flip(0) + 1) / 2, "upside"),
    (direct.bce_loss, "sigmoid before logits", lambda s: F.softplus(-s.sigmoid()).mean(),
     "sigmoid before a loss on logits"),
    (direct.bce_loss, "label swapped", lambda s: F.softplus(s).mean(), "label is swapped"),
    (direct.bce_loss, "sum", lambda s: F.softplus(-s).sum(), "sum, not a mean"),
    (direct.bce_loss, "saturating", lambda s: (1 - s.sigmoid()).log().mean(), "saturating"),
    (direct.bce_loss, "sign", lambda s: s.sigmoid().log().mean(), "sign"),
    (direct.bce_loss, "overflows", lambda s: -s.sigmoid().log().mean(), "overflows"),
    (direct.bce_loss, "clamped", lambda s: F.binary_cross_entropy(
        s.sigmoid(), torch.ones_like(s)), "cut off at 100"),
    (direct.bce_loss, "one a score", lambda s: F.softplus(-s), "the mean over"),
    (direct.bce_loss, "item", lambda s: F.softplus(-s).mean().item(), "no gradient"),
    (direct.bce_loss, "detached", lambda s: F.softplus(-s.detach()).mean(), "no gradient"),
    (direct.discriminator_loss, "missing detach", d_loss(cut=lambda f: f), "detach"),
    (direct.discriminator_loss, "not halved", d_loss(scale=1), "not halved"),
    (direct.discriminator_loss, "labels swapped", d_loss(0, 1), "swapped"),
    (direct.discriminator_loss, "swapped, not halved", d_loss(0, 1, 1), "swapped, and it is not"),
    (direct.discriminator_loss, "sum", d_loss(reduce=torch.sum), "sum, not a mean"),
    (direct.discriminator_loss, "sigmoid before LSGAN", d_loss(squash=torch.sigmoid), "sigmoid"),
    (direct.discriminator_loss, "scores detached", d_loss(cut_scores=lambda s: s.detach()),
     "not D's scores"),
    (direct.discriminator_loss, "no fakes", lambda D, real, fake: ((D(real) - 1) ** 2).mean(),
     "Only the real"),
    (direct.discriminator_loss, "no real ones", lambda D, real, fake: (D(fake.detach()) ** 2)
     .mean() / 2, "Only the fakes"),
    (direct.generator_loss, "detached fake", g_loss(cut=lambda f: f.detach()), "detached"),
    (direct.generator_loss, "under no_grad", under_no_grad, "no gradient reaches G"),
    (direct.generator_loss, "label swapped", g_loss(target=0), "label is that of a fake"),
    (direct.generator_loss, "halved", g_loss(scale=0.5), "Only D's loss is halved"),
    (direct.generator_loss, "sum", g_loss(reduce=torch.sum), "sum, not a mean"),
    (direct.generator_loss, "sigmoid before LSGAN", g_loss(squash=torch.sigmoid), "sigmoid"),
    (direct.generator_loss, "D sees x", lambda D, G, x: lsgan_generator_loss(D(x)), "shown x"),
    (direct.two_steps, "D not frozen", broken_step(without=["freeze"]), "not frozen in G's step"),
    (direct.two_steps, "D not frozen, D's zero_grad missing", broken_step(
        without=["freeze", "zero_grad D"]), "not frozen in G's step"),
    (direct.two_steps, "frozen forever", broken_step(without=["unfreeze"]), "still frozen"),
    (direct.two_steps, "frozen forever, silently", broken_step(
        without=["unfreeze", "detach"], fakes_anew=True), "left frozen"),
    (direct.two_steps, "frozen at the end", broken_step(without=["freeze again"]), "left frozen"),
    (direct.two_steps, "missing detach", broken_step(without=["detach"]), "detach"),
    (direct.two_steps, "missing detach, graph retained", broken_step(
        without=["detach", "retain"]), "detach"),
    (direct.two_steps, "missing detach, fakes anew", broken_step(
        without=["detach"], fakes_anew=True), "D's loss reaches G"),
    (direct.two_steps, "G's zero_grad missing", broken_step(without=["zero_grad G"]),
     "optimiser_G.zero_grad() is missing"),
    (direct.two_steps, "D's zero_grad missing", broken_step(without=["zero_grad D"]),
     "optimiser_D.zero_grad() is missing"),
    (direct.two_steps, "fakes anew", broken_step(fakes_anew=True), "anew"),
    (direct.two_steps, "D first", broken_step(D_first=True), "the order D G"),
    (direct.two_steps, "D first, as in DCGAN", dcgan_step, "the order D G"),
    (direct.two_steps, "no step", lambda *a: (torch.zeros(()), torch.zeros(())), "(none)"),
    (direct.two_steps, "losses swapped", lambda *a: step(*a)[::-1], "in this order"),
    (direct.even_players, "not halved", (0.5, 0.25), "halved"),
    (direct.even_players, "G halved", (0.25, 0.125), "not halved, only D's"),
    (direct.even_players, "not squared", (0.25, 0.5), "squared distance"),
    (direct.even_players, "something else", (0.25, 0.7), "G's loss is not 0.7"),
    (direct.even_players, "one number", 0.25, "two numbers"),
]


@pytest.mark.parametrize("exercise,answer,words", [(e, a, w) for e, _, a, w in MISTAKES],
                         ids=[f"{e.__name__}-{name}" for e, name, _, _ in MISTAKES])
def test_the_reason_points_at_the_mistake(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict


OTHER_WAYS = {  # right, and not as in the folded solution
    "picture": lambda i: ((i.movedim(0, -1) + 1) / 2).numpy(),
    "bce_loss": lambda s: F.binary_cross_entropy_with_logits(s, torch.ones_like(s)),
    "discriminator_loss": lambda D, real, fake: (F.mse_loss(D(real), torch.ones(2, 1, 2, 3))
                                                 + D(fake.detach()).square().mean()).div(2),
    "generator_loss": lambda D, G, x: (1 - D(G(x))).pow(2).mean().view(1),
    "two_steps": lambda *a: [loss.item() for loss in step(*a)],
    "even_players": [torch.tensor(0.25), 1 / 4],
}


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_other_right_ways_are_right(name):
    verdict = getattr(direct, name)(OTHER_WAYS[name])
    assert verdict.state == "right", verdict


def test_a_step_that_never_needed_to_freeze():
    """backward(inputs=...) leaves D's weights alone without requires_grad_."""
    def answer(G, D, optimiser_G, optimiser_D, x, y):
        fake = G(x)
        loss_G = lsgan_generator_loss(D(fake))
        optimiser_G.zero_grad()
        loss_G.backward(inputs=list(G.parameters()))
        optimiser_G.step()
        optimiser_D.zero_grad()
        real, fakes = 0.5 * ((D(y) - 1) ** 2).mean(), 0.5 * (D(fake.detach()) ** 2).mean()
        real.backward()
        fakes.backward()
        optimiser_D.step()
        return loss_G, real + fakes

    assert direct.two_steps(answer).state == "right"


def test_expected_values_by_hand():
    """G(i) = 0.5 i + 0.1 and D(i) = 0.8 mean(i) + 0.3; x is 0.6 and -0.2, real -0.4 and 1."""
    fakes, real = [0.8 * 0.4 + 0.3, 0.3], [0.8 * -0.4 + 0.3, 0.8 + 0.3]
    loss_G = sum((s - 1) ** 2 for s in fakes) / 2
    loss_D = (sum((s - 1) ** 2 for s in real) / 2 + sum(s**2 for s in fakes) / 2) / 2
    zero = torch.zeros((), requires_grad=True)
    assert f"expected {loss_G:.4g} " in direct.generator_loss(lambda D, G, x: zero).reason
    assert f"expected {loss_D:.4g} " in direct.discriminator_loss(lambda D, r, f: zero).reason
