"""The exercises of notebook 05: the sampled code, its KL term, shared stages, blur."""

import copy
from itertools import islice

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import Affine, again, call, gradients, kind, number
from gantutor.check.machine import Mistake, exercise, loss_exercise
from gantutor.check.verdict import Wrong, describe
from gantutor.evaluate.metrics import high_frequency_energy
from gantutor.losses import kl_loss


def noisy(draw=lambda mu: torch.randn_like(mu), code=lambda mu: mu):
    """A sampled code with one thing replaced."""
    return lambda mu: code(mu) + draw(mu)


def seeded(mu):
    return torch.randn(mu.shape, generator=torch.Generator().manual_seed(0))


@exercise(
    right=noisy(), also_right=[lambda mu: torch.distributions.Normal(mu, 1.0).rsample()],
    mistakes={
        "no noise": noisy(torch.zeros_like), "multiplied": lambda mu: mu * torch.randn_like(mu),
        "noise alone": torch.randn_like, "one number": noisy(lambda mu: torch.randn(())),
        "same for images": noisy(lambda mu: torch.randn_like(mu[:1])),
        "same for channels": noisy(lambda mu: torch.randn_like(mu[:, :1])),
        "same for places": noisy(lambda mu: torch.randn_like(mu[..., :1, :1])),
        "uniform": Mistake(noisy(torch.rand_like),
                           noisy(lambda mu: 12**0.5 * (torch.rand_like(mu) - 0.5))),
        "another deviation": noisy(lambda mu: 2 * torch.randn_like(mu)), "seed": noisy(seeded),
        "detached": Mistake(noisy(code=torch.detach), lambda mu: torch.normal(mu.detach(), 1.0)),
        "scaled": noisy(code=lambda mu: 2 * mu - mu.detach())})
def sampled(answer):
    """my_sampled(mu) -> mu + standard normal noise, differentiable in mu."""
    mu = torch.linspace(-3, 3, 60 * 8 * 4 * 6).view(60, 8, 4, 6).requires_grad_()
    mu = mu.index_fill(0, torch.arange(20, 40), 0.0)
    z, other = call(answer, mu=mu), again(answer, "at a second call", mu=mu)
    if not isinstance(z, torch.Tensor) or z.shape != mu.shape:
        raise Wrong(f"expected a tensor of mu's shape {tuple(mu.shape)}, found {kind(z)}.")
    if not z.is_floating_point() or not z.isfinite().all():
        raise Wrong("the code should hold finite real numbers.")
    noise = (z - mu).detach()
    low, high, mean, std = (f(noise).item() for f in (torch.min, torch.max, torch.mean, torch.std))
    (gradient,) = gradients(z.sum(), mu)
    return {
        "_low": low, "_high": high, "_mean": mean, "_std": std,
        "noise": noise.any().item(), "at 0": z[20:40].any().item(),
        "mu": ((z - z.mean()) * mu).mean().abs().item() > 0.1,
        "varies": [(noise.std(d) > 1e-4).any().item() for d in (0, 1, (2, 3))],
        "normal": max(-low, high) >= 2, "standard": abs(mean) < 0.05 and abs(std - 1) < 0.05,
        "anew": not torch.equal(z, other),
        "derivative": None if gradient is None else (gradient - 1).abs().max().item() < 1e-4}


def term(factor=0.5, each=torch.square, total=torch.mean):
    """The KL term with one thing replaced."""
    return lambda mu: factor * total(each(mu))


def half_or_not(**replaced):
    return Mistake(term(**replaced), term(1, **replaced))


@loss_exercise(
    right=term(), also_right=[kl_loss], mistakes={
        "sign": Mistake(term(-0.5), term(-1)), "no half": term(1),
        "sum": half_or_not(total=torch.sum),
        "sum over the code": half_or_not(total=lambda s: s.sum() / 3),
        "square of the mean": half_or_not(each=torch.mean, total=torch.square),
        "absolute": half_or_not(each=torch.abs),
        "a stray 1": Mistake(*(term(each=lambda mu, k=k: mu**2 + k) for k in (1, -1))),
        "detached": lambda mu: term()(mu.detach())})
def kl():
    """my_kl(mu): KL(N(mu, 1) || N(0, 1)), a mean over every number of the code."""
    return {"mu": torch.linspace(-1.1, 1.9, 72).view(3, 4, 2, 3).requires_grad_()}


def overwritten(xs, ys, k):
    for x, y in zip(xs[4 - k:], ys[4 - k:], strict=True):
        y.load_state_dict(x.state_dict())
    return list(ys)


def changed(xs, ys, k):
    ys[4 - k:] = xs[4 - k:]
    return ys


@exercise(
    right=lambda xs, ys, k: [*ys[:4 - k], *xs[4 - k:]],
    also_right=[lambda xs, ys, k: nn.ModuleList(ys[:len(ys) - k]).extend(xs[len(xs) - k:])],
    mistakes={
        "first stages": lambda xs, ys, k: [*xs[:k], *ys[k:]],
        "copies": lambda xs, ys, k: [*ys[:4 - k], *copy.deepcopy(xs[4 - k:])],
        "overwritten": overwritten, "nothing": lambda xs, ys, k: list(ys),
        "everything": lambda xs, ys, k: list(xs),
        "exchanged": lambda xs, ys, k: [*xs[:4 - k], *ys[4 - k:]],
        "reversed": lambda xs, ys, k: [*ys[:4 - k], *xs[4 - k:][::-1]],
        "too long": lambda xs, ys, k: [*ys, *xs[4 - k:]],
        "minus zero": Mistake(lambda xs, ys, k: [*ys[:-k], *xs[-k:]],
                              lambda xs, ys, k: [*ys[:4 - k], *xs[-k:]]),
        "empty": lambda xs, ys, k: [*ys[:-k], *xs[4 - k:]], "changed list": changed})
def share(answer):
    """my_share(stages_x, stages_y, k) -> Y's stages, the last k of them X's own modules."""
    seen, kept = {}, True
    for k in (1, 2, 4, 0):
        x, y = [Affine(n) for n in range(4)], [Affine(n + 10) for n in range(4)]
        lists = list(x), list(y)
        found = call(answer, stages_x=lists[0], stages_y=lists[1], k=k)
        if not isinstance(found, list | tuple | nn.ModuleList):
            raise Wrong(f"expected a list of stages, found {kind(found)}.")
        who = {id(s): f"{name}{n}" for name, own in (("x", x), ("y", y)) for n, s in enumerate(own)}
        seen[f"k={k}"] = ", ".join(who.get(id(s), "a new one") for s in found) or "none"
        if [s.scale.item() for s in (*x, *y)] != [0, 1, 2, 3, 10, 11, 12, 13]:
            seen[f"k={k}"] += " with other numbers in them"
        kept = kept and lists == (x, y)
    return seen | {"kept": kept}


def every(networks):
    return [p for net in networks for p in net.parameters()]


def once(networks, key=id):
    found = {}
    for p in every(networks):
        found.setdefault(key(p), p)
    return list(found.values())


@exercise(
    right=once, also_right=[lambda networks: nn.ModuleList(networks).parameters()],
    mistakes={
        "copies": lambda networks: [p.detach().clone() for p in once(networks)], "twice": every,
        "by value": lambda networks: once(networks, torch.Tensor.item),
        "first only": lambda networks: every(networks[:1]),
        "unshared only": lambda networks: every([networks[0][0], networks[1][0], networks[2]]),
        "a set": lambda networks: once(networks)[::-1]})
def parameters_once(answer):
    """my_parameters(networks) -> every parameter of the networks once, in their order."""
    # Made last to first, so that the order in memory is not the order asked for. The second
    # network's first scale has the same value as the first one's, and is another parameter.
    third, second, shared, first = Affine(1.7, 0.4), Affine(1, 0.3), Affine(2, 0.5), Affine(1, 0.1)
    nets = {"first": first, "shared": shared, "second": second, "third": third}
    names = {id(p): f"{net}.{name}" for net in nets for name, p in nets[net].named_parameters()}
    found = call(answer, networks=[*(nn.Sequential(n, shared) for n in (first, second)), third])
    if isinstance(found, dict):
        raise Wrong("expected a list of parameters, found a dict.")
    try:
        who = [names.get(id(p)) for p in islice(found, 100)]
    except Exception as error:
        raise Wrong(f"expected parameters, found {kind(found)}: {describe(error)}") from None
    twice = {name: 0 for name in who if who.count(name) > 1}
    return {"own": None not in who, "once": not twice, "_twice": ", ".join(map(str, twice)),
            "missing": ", ".join(name for name in names.values() if name not in who),
            "order": who == list(names.values())}


def laplacian(centre=-4.0, side=1.0, corner=0.0, each=torch.square, total=torch.mean):
    """The energy with one thing replaced."""
    kernel = torch.full((3, 3), corner)
    kernel[1], kernel[:, 1], kernel[1, 1] = side, side, centre

    def answer(images):
        return total(each(F.conv2d(images, kernel.expand(3, 1, 3, 3), groups=3)))
    return answer


def padded(mode):
    return lambda images: laplacian()(F.pad(images, (1, 1, 1, 1), mode))


@exercise(right=laplacian(), also_right=[high_frequency_energy], mistakes={
    "padded": Mistake(*map(padded, ("constant", "replicate", "reflect", "circular"))),
    "not squared": laplacian(each=lambda r: r), "absolute": laplacian(each=torch.abs),
    "square of the mean": laplacian(each=torch.mean, total=torch.square),
    "root": laplacian(total=lambda r: r.mean().sqrt()), "sign": laplacian(4.0),
    "another centre": Mistake(laplacian(-5.0), laplacian(-1.0)), "averaged": laplacian(-1.0, 0.25),
    "eight neighbours": laplacian(-8.0, corner=1.0), "sum": laplacian(total=torch.sum),
    "sum over an image": laplacian(total=lambda r: r.sum() / 2),
    "channels": Mistake(*(laplacian(each=lambda r, f=f: f(r, 1).square())
                          for f in (torch.sum, torch.mean)))})
def blur(answer):
    """my_high_frequency(images): the mean squared response to the 4-neighbour Laplacian."""
    places = torch.arange(2 * 3 * 5 * 7.0).view(2, 3, 5, 7)
    images = (places * 0.41).sin() * 0.5 + (places % 7 - 2) ** 2 * 0.03
    return {"the energy": number(call(answer, images=images), "the energy")}
