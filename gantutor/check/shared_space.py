"""The exercises of notebook 05: noise, its price, shared stages, parameters, blur."""

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check import Wrong, exercise
from gantutor.check.answers import call, compare, kind, number, scalar
from gantutor.metrics import high_frequency_energy


def _codes(n=6):
    """Codes far from zero and all alike, so that noise is all that differs: (n, 2, 20, 30)."""
    return torch.full((n, 2, 20, 30), 3.0)


@exercise
def sampled(answer):
    """my_sampled(mu): mu and its own standard normal noise for every number."""
    mu = _codes().requires_grad_()
    z = call(answer, mu=mu)
    if not isinstance(z, torch.Tensor) or z.shape != mu.shape:
        raise Wrong(f"expected a code of shape {tuple(mu.shape)}, found {kind(z)}.")
    if not z.is_floating_point() or not torch.isfinite(z).all():
        raise Wrong("the code should hold finite floating-point numbers.")
    noise = (z - mu).detach()
    if noise.abs().max() < 1e-3:
        raise Wrong("the code is mu itself: the noise is missing.")
    if torch.equal(noise[0], noise[1]):
        raise Wrong("every image of the batch gets the same noise; draw it in mu's whole shape.")
    if abs(noise.mean()) > 0.1 and abs(z.detach().mean()) < 0.1:
        raise Wrong("mu is multiplied by the noise; it should be added.")
    if noise.min() >= 0:
        raise Wrong("the noise is never negative: rand is uniform in [0, 1), randn is normal.")
    if abs(noise.mean()) > 0.1:
        raise Wrong(f"the noise's mean is {noise.mean():.2f}, expected 0.")
    if abs(noise.std() - 1) > 0.1:
        raise Wrong(f"the noise's standard deviation is {noise.std():.2f}, expected 1.")
    if not z.requires_grad:
        raise Wrong("no gradient reaches mu: the code has to be computed from it, mu + noise, not "
                    "drawn around a detached copy.")
    (gradient,) = torch.autograd.grad(z.sum(), mu, allow_unused=True)
    if gradient is None or not torch.allclose(gradient, torch.ones_like(mu)):
        raise Wrong("the derivative of the code by mu should be 1 everywhere.")
    return "unit noise for every number, and the gradient passes it by."


@exercise
def kl(answer):
    """my_kl(mu): KL(N(mu, 1) || N(0, 1)), a mean over every number of the code."""
    mu = torch.tensor([[[[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]]],
                       [[[0.5, 2.5, -0.75], [-2.0, 1.25, 0.1]]]]).requires_grad_()
    loss = scalar(call(answer, mu=mu))
    half = 0.5 * mu.detach().square()
    compare(loss, half.mean(), [
        (-half.mean(), "the sign is wrong: it would pay to move away from 0."),
        (half.sum(), "this is the sum over everything; its weight would depend on the batch."),
        (half.flatten(1).sum(1).mean(), "summed over the code and averaged over the images: the "
                                        "course takes the mean over every number."),
        (2 * half.mean(), "the factor 1/2 is missing."),
        (0.5 * mu.detach().mean() ** 2, "square every number first, then take the mean."),
        (0.5 * mu.detach().abs().mean(), "the square is missing: this is the mean of |mu|."),
    ])
    if not loss.requires_grad:
        raise Wrong("no gradient reaches mu.")
    return "half of every number squared, on average."


@exercise
def share(answer):
    """my_share(stages_x, stages_y, k): a list for Y whose last k stages are X's own modules."""
    for k in (2, 0, 4, 1):
        xs, ys = ([nn.Linear(1, 1) for _ in range(4)] for _ in range(2))
        found = call(answer, stages_x=xs, stages_y=ys, k=k)
        if not isinstance(found, list | tuple | nn.ModuleList | nn.Sequential) or len(found) != 4:
            raise Wrong(f"expected a list of 4 stages for k={k}, found {kind(found)}"
                        + (f" of length {len(found)}." if isinstance(found, list | tuple) else "."))
        own, theirs = ([any(stage is s for s in stages) for stage in found] for stages in (ys, xs))
        wanted = [False] * (4 - k) + [True] * k
        if theirs == wanted and [not t for t in theirs] == own:
            if all(stage is s for stage, s in zip(found, ys[:4 - k] + xs[4 - k:], strict=True)):
                continue
            raise Wrong(f"for k={k} the right modules, but in another order.")
        if k == 0 and all(theirs):
            raise Wrong("k=0 shares every stage: stages[-0:] is the whole list.")
        if 0 < k < 4 and theirs == wanted[::-1]:
            raise Wrong(f"for k={k} the first stages are shared; the code is at the other end.")
        if not any(theirs) and all(own) and k:
            raise Wrong(f"for k={k} nothing is shared.")
        if any(not a and not b for a, b in zip(own, theirs, strict=True)):
            raise Wrong("some stages are neither X's nor Y's own modules: copies start alike and "
                        "part at the first step.")
        raise Wrong(f"for k={k} X's own modules stand at {[i for i, t in enumerate(theirs) if t]}, "
                    f"expected at {list(range(4 - k, 4))}.")
    return "the stages next to the code are the same modules, the others Y's own."


@exercise
def parameters_once(answer):
    """my_parameters(networks): every parameter of the networks once, in order."""
    shared = nn.Linear(2, 3)
    a, b = nn.Sequential(nn.Linear(4, 2), shared), nn.Sequential(nn.Linear(4, 2), shared)
    b[0].load_state_dict(a[0].state_dict())  # equal values, other parameters
    right = [*a.parameters(), *b[0].parameters()]
    found = call(answer, networks=[a, b])
    try:
        found = list(found)
    except Exception:
        raise Wrong(f"expected a list of parameters, found {kind(found)}.") from None
    if not all(isinstance(p, torch.Tensor) for p in found) or not found:
        raise Wrong("expected a list of parameters, nothing else in it.")
    places = [id(p) for p in found]
    wanted = [id(p) for p in right]
    if len(places) != len(set(places)):
        raise Wrong("a shared parameter is listed twice: an optimiser each would step it twice.")
    if set(places) < set(wanted):
        if not set(map(id, b[0].parameters())) & set(places):
            if set(places) == set(map(id, a.parameters())):
                raise Wrong("parameters of the second network with equal values were taken for the "
                            "first one's (or it was left out); compare identity, not values.")
        raise Wrong(f"{len(wanted) - len(places)} of {len(wanted)} parameters are missing.")
    if set(places) != set(wanted):
        raise Wrong("some of these are not the networks' own parameters, but copies.")
    if places != wanted:
        raise Wrong("every parameter once, but not in the order in which they are first met.")
    return "every parameter once, shared ones too."


@exercise
def blur(answer):
    """my_high_frequency(images): the mean squared response to the 4-neighbour Laplacian."""
    torch.manual_seed(1)
    images = torch.rand(2, 3, 5, 7) * 2 - 1
    found = call(answer, images=images)
    kernel = torch.tensor([[0, 1.0, 0], [1, -4, 1], [0, 1, 0]])

    def response(kernel=kernel, padding=0):
        return F.conv2d(images, kernel.expand(3, 1, 3, 3), groups=3, padding=padding)

    plus, five = kernel.clone(), kernel.clone()
    plus[1, 1], five[1, 1] = 4, -5
    around = torch.ones(3, 3)
    around[1, 1] = -8
    compare(number(found, "the energy"), high_frequency_energy(images), [
        (response(padding=1).square().mean(), "the borders are counted, where neighbours are made "
                                              "up; use only pixels with four real ones."),
        (response().mean(), "the square is missing: positive and negative responses cancel."),
        (response().abs().mean(), "this is the mean absolute response; take its square."),
        (response().square().sum(), "this is a sum; its size depends on the number of images."),
        (response(plus).square().mean(), "the centre's sign is wrong: on a flat picture the "
                                         "response must be 0."),
        (response(five).square().mean(), "the centre counts -5; four neighbours need -4."),
        (response(around).square().mean(), "all eight neighbours are taken, expected four."),
        (response().square().mean().sqrt(), "leave out the root."),
    ])
    return "the energy of what blur takes away."
