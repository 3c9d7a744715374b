"""Notebook 05's checks against the mistakes they exist for, and against other right answers."""

import copy

import pytest
import torch
import torch.nn.functional as F

from gantutor.check import shared_space

LAPLACE = torch.tensor([[0, 1.0, 0], [1, -4, 1], [0, 1, 0]])


def share(k_of=lambda k: k, stage=lambda s: s, first=False):
    def answer(xs, ys, k):
        n = len(xs) - k_of(k)
        if first:
            return [*xs[:k], *ys[k:]]
        return [*ys[:n], *map(stage, xs[n:])]
    return answer


def blur(kernel=LAPLACE, padding=0, total=lambda r: r.square().mean()):
    return lambda images: total(F.conv2d(images, kernel.expand(3, 1, 3, 3), groups=3,
                                         padding=padding))


def by_value(networks):
    found = []
    for net in networks:
        for p in net.parameters():
            if not any(p.shape == q.shape and torch.equal(p, q) for q in found):
                found.append(p)
    return found


def centre(value, around=None):
    kernel = LAPLACE.clone() if around is None else torch.full((3, 3), around)
    kernel[1, 1] = value
    return kernel


MISTAKES = [  # (exercise, mistake, broken answer, words of the reason)
    (shared_space.sampled, "no noise", lambda mu: mu * 1, "there is no noise"),
    (shared_space.sampled, "uniform", lambda mu: mu + torch.rand_like(mu), "uniform noise"),
    (shared_space.sampled, "detached", lambda mu: mu.detach() + torch.randn_like(mu),
     "no gradient"),
    (shared_space.sampled, "torch.normal", lambda mu: torch.normal(mu.detach(), 1.0),
     "no gradient"),
    (shared_space.sampled, "one noise a batch", lambda mu: mu + torch.randn_like(mu[:1]),
     "same noise"),
    (shared_space.sampled, "multiplied", lambda mu: mu * torch.randn_like(mu), "has to be added"),
    (shared_space.sampled, "variance two", lambda mu: mu + 2 * torch.randn_like(mu),
     "standard deviation (2.0|1.9)"),
    (shared_space.sampled, "noise alone", torch.randn_like, "noise alone"),
    (shared_space.sampled, "gradient scaled", lambda mu: 2 * mu - mu.detach()
     + torch.randn_like(mu), "derivative"),
    (shared_space.sampled, "one noise for all channels",
     lambda mu: mu + torch.randn_like(mu[:, :1]), "channel|same noise"),
    (shared_space.sampled, "centred uniform",
     lambda mu: mu + 12**0.5 * (torch.rand_like(mu) - 0.5), "uniform"),
    (shared_space.kl, "a stray one", lambda mu: 0.5 * (mu.square() + 1).mean(), "."),
    (shared_space.kl, "sign", lambda mu: -0.5 * mu.square().mean(), "sign"),
    (shared_space.kl, "sum", lambda mu: 0.5 * mu.square().sum(), "sum over every number"),
    (shared_space.kl, "sum over the code", lambda mu: 0.5 * mu.square().flatten(1).sum(1).mean(),
     "averaged over the batch"),
    (shared_space.kl, "no half", lambda mu: mu.square().mean(), "1/2"),
    (shared_space.kl, "square of the mean", lambda mu: 0.5 * mu.mean() ** 2, "each number first"),
    (shared_space.kl, "absolute", lambda mu: 0.5 * mu.abs().mean(), "absolute value"),
    (shared_space.kl, "detached", lambda mu: 0.5 * mu.detach().square().mean(), "no gradient"),
    (shared_space.share, "first stages", share(first=True), "next to the code"),
    (shared_space.share, "copies", share(stage=copy.deepcopy), "neither"),
    (shared_space.share, "minus zero",
     lambda xs, ys, k: [*ys[:len(ys) - k], *xs[-k:]][-4:], "whole list"),
    (shared_space.share, "nothing", lambda xs, ys, k: list(ys), "none of the stages"),
    (shared_space.share, "everything", lambda xs, ys, k: list(xs), "everything is shared"),
    (shared_space.share, "too long", lambda xs, ys, k: [*ys, *xs[4 - k:]], "5 stages"),
    (shared_space.share, "reversed", lambda xs, ys, k: [*ys[:4 - k], *xs[4 - k:][::-1]],
     "expected y0"),
    (shared_space.parameters_once, "twice",
     lambda networks: [p for net in networks for p in net.parameters()], "listed twice"),
    (shared_space.parameters_once, "by value", by_value, "equal values"),
    (shared_space.parameters_once, "first only",
     lambda networks: list(networks[0].parameters()), "only the first"),
    (shared_space.parameters_once, "unshared only",
     lambda networks: [p for net in networks for p in net[0].parameters()], "missing"),
    (shared_space.parameters_once, "a set", lambda networks: sorted(
        {p for net in networks for p in net.parameters()}, key=lambda p: -p.numel()), "order"),
    (shared_space.parameters_once, "copies", lambda networks: [
        p.detach().clone() for p in networks[0].parameters()], "copies"),
    (shared_space.blur, "padded", blur(padding=1), "padded"),
    (shared_space.blur, "no square", blur(total=torch.mean), "not squared"),
    (shared_space.blur, "absolute", blur(total=lambda r: r.abs().mean()), "absolute"),
    (shared_space.blur, "sum", blur(total=lambda r: r.square().sum()), "a sum"),
    (shared_space.blur, "sign", blur(centre(4.0)), "sign"),
    (shared_space.blur, "five", blur(centre(-5.0)), "-5"),
    (shared_space.blur, "eight neighbours", blur(centre(-8.0, 1.0)), "eight"),
    (shared_space.blur, "root", blur(total=lambda r: r.square().mean().sqrt()), "root"),
]

OTHER_WAYS = {
    shared_space.sampled: [lambda mu: mu + torch.randn(mu.shape),
                           lambda mu: torch.distributions.Normal(mu, 1.0).rsample()],
    shared_space.kl: [lambda mu: torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, 1.0),
        torch.distributions.Normal(torch.zeros_like(mu), 1.0)).mean()],
    shared_space.share: [share(), lambda xs, ys, k: [
        x if i >= len(xs) - k else y for i, (x, y) in enumerate(zip(xs, ys, strict=True))]],
    shared_space.parameters_once: [lambda networks: list(dict.fromkeys(
        p for net in networks for p in net.parameters())),
        lambda networks: torch.nn.ModuleList(networks).parameters()],
    shared_space.blur: [blur(), lambda images: blur()(images).item()],
}


@pytest.mark.parametrize("exercise,answer",
                         [(e, a) for e, ways in OTHER_WAYS.items() for a in ways],
                         ids=lambda v: getattr(v, "__name__", "answer"))
def test_other_right_ways_are_right(exercise, answer):
    verdict = exercise(answer)
    assert verdict.state == "right" and verdict.reason, verdict
