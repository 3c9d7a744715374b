"""The exercises of notebook 05: the sampled code, its KL term, shared stages, blur."""

from itertools import islice

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import Affine, call, compare, kind, number, scalar
from gantutor.check.verdict import Wrong, describe, exercise
from gantutor.evaluate.metrics import high_frequency_energy
from gantutor.losses import kl_loss


def _noise(answer, mu):
    """What the answer adds to mu, and its result with the graph."""
    z = call(answer, mu=mu)
    if not isinstance(z, torch.Tensor) or z.shape != mu.shape:
        raise Wrong(f"expected a tensor of mu's shape {tuple(mu.shape)}, found {kind(z)}.")
    if not z.is_floating_point() or not z.isfinite().all():
        raise Wrong("the code should hold finite real numbers.")
    return (z - mu).detach(), z


@exercise
def sampled(answer):
    """my_sampled(mu) -> mu + standard normal noise, differentiable in mu."""
    leaf = torch.linspace(-3, 3, 60 * 8 * 4 * 6).view(60, 8, 4, 6).requires_grad_()
    mu = leaf * torch.ones(60).index_fill(0, torch.arange(20, 40), 0.0).view(-1, 1, 1, 1)
    noise, z = _noise(answer, mu)
    if not noise.any():
        raise Wrong("there is no noise: the code is mu itself.")
    if not z[20:40].any():
        raise Wrong("where mu is 0 the code is 0: the noise multiplies mu; it has to be added.")
    if (z - z.mean()).mul(mu).mean().abs() < 0.1:
        raise Wrong("the code has nothing to do with mu: it is noise alone.")
    if torch.allclose(noise, noise.flatten()[0], atol=1e-5):
        raise Wrong("one random number (or none) for the whole batch: each number of each code "
                    "has its own.")
    if torch.allclose(noise, noise[:1], atol=1e-5):
        raise Wrong("every image gets the same noise: draw it in the shape of the whole batch.")
    if torch.allclose(noise, noise[:, :1], atol=1e-5):
        raise Wrong("all channels of a code get the same noise: draw it in mu's shape.")
    if torch.allclose(noise, noise[..., :1, :1], atol=1e-5):
        raise Wrong("all places of a code get the same noise: draw it in mu's shape.")
    if noise.abs().max() < 2:
        raise Wrong(f"the noise never leaves [{noise.min():.1f}, {noise.max():.1f}]: uniform noise "
                    "(rand)? It should be normal (randn).")
    if abs(noise.mean()) > 0.05 or abs(noise.std() - 1) > 0.05:
        raise Wrong(f"the noise has mean {noise.mean():.2f} and standard deviation "
                    f"{noise.std():.2f}, expected 0 and 1.")
    if torch.equal(noise, _noise(answer, mu)[0]):
        raise Wrong("a second call draws the same noise: leave the seed alone.")
    gradient = _gradient_of_sum(z, leaf)
    if gradient is None:
        raise Wrong("the numbers are right, but no gradient reaches mu: torch.normal, no_grad and "
                    "detach cut it. Draw the noise beside mu, and add.")
    if not torch.allclose(gradient, _gradient_of_sum(mu, leaf)):
        raise Wrong("the numbers are right, but the derivative of the code by mu is not 1.")
    return "normal noise, another for every number, and the gradient passes."


def _gradient_of_sum(value, leaf):
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value.sum(), leaf, allow_unused=True, retain_graph=True)[0]


@exercise
def kl(answer):
    """my_kl(mu): KL(N(mu, 1) || N(0, 1)), a mean over every number of the code."""
    mu = torch.linspace(-1.1, 1.9, 3 * 4 * 2 * 3).view(3, 4, 2, 3).requires_grad_()
    loss = scalar(call(answer, mu=mu))
    squared = mu.detach().square()
    compare(loss.detach(), kl_loss(mu).detach(), [
        (-0.5 * squared.mean(), "The sign is turned: this rewards codes far from zero."),
        (squared.mean(), "The factor 1/2 is missing."),
        (-squared.mean(), "The sign is turned and the factor 1/2 is missing."),
        (0.5 * squared.sum(), "This is a sum over every number; take the mean."),
        (squared.sum(), "This is a sum over every number, and the factor 1/2 is missing."),
        (0.5 * squared.sum() / 3, "Summed over a code and averaged over the batch: take the mean "
         "over every number, so that the weight does not depend on the code's size."),
        (squared.sum() / 3, "Summed over a code, averaged over the batch, and the factor 1/2 is "
         "missing."),
        (0.5 * mu.mean() ** 2, "The mean is squared: square each number first, or large codes of "
         "both signs cost nothing."),
        (mu.mean() ** 2, "The mean is squared (square each number first), and the factor 1/2 is "
         "missing."),
        (0.5 * mu.abs().mean(), "This is the absolute value, not the square."),
        (mu.abs().mean(), "This is the mean absolute value: square, and half."),
        (0.5 * (squared + 1).mean(), "The + 1 of the variance stands without its - 1."),
        (0.5 * (squared - 1).mean(), "The - 1 stands without the variance, which is 1 too.")])
    if _gradient_of_sum(loss, mu) is None:
        raise Wrong("the value is right, but no gradient reaches mu.")
    return "half the mean square: 0 only for codes of zeros."


@exercise
def share(answer):
    """my_share(stages_x, stages_y, k) -> Y's stages, the last k of them X's own modules."""
    for k in (1, 2, 4, 0):
        x, y = [Affine(n) for n in range(4)], [Affine(n + 10) for n in range(4)]
        lists = list(x), list(y)
        found = call(answer, stages_x=lists[0], stages_y=lists[1], k=k)
        if not isinstance(found, list | tuple | nn.ModuleList):
            raise Wrong(f"expected a list of stages, found {kind(found)}.")
        found = list(found)
        _shared(found, x, y, k)
        if any(lists[n][m] is not old for n in (0, 1) for m, old in enumerate((x, y)[n])):
            raise Wrong("your code changes the list it was given, where somebody else may need "
                        "the stages as they were: return a new list.")
    return "the same modules at the end, Y's own before them; and nothing for k = 0."


def _shared(found, x, y, k):
    """Wrong unless found's last k of four stages are x's and the others y's."""
    right = [*y[:4 - k], *x[4 - k:]]
    who = [next((name + str(n) for name, own in (("x", x), ("y", y)) for n, stage in
                 enumerate(own) if stage is s), "new") for s in found]
    wanted = [f"{'x' if n >= 4 - k else 'y'}{n}" for n in range(4)]
    if who == wanted and [s.scale.item() for s in right] == [int(w[1]) + 10 * (w[0] == "y")
                                                             for w in wanted]:
        return
    if not found:
        raise Wrong(f"for k={k} the list is empty: stages[:-0] is stages[:0], nothing. Count from "
                    "the front.")
    if len(found) != 4:
        raise Wrong(f"for k={k} there are {len(found)} stages, expected 4, as many as before.")
    if "new" in who:
        raise Wrong(f"for k={k} a stage is neither X's nor Y's own: a copy starts alike and parts "
                    "at the first step. Put the very same module into the list.")
    if [s.scale.item() for s in y] != [10, 11, 12, 13]:
        raise Wrong("X's numbers were copied into Y's modules: they start alike and part at the "
                    "first step. Put X's module itself into the list.")
    if k == 0 and who == ["x0", "x1", "x2", "x3"]:
        raise Wrong("for k=0 everything is shared: stages[-0:] is the whole list, not nothing. "
                    "Count from the front.")
    if who == [*(f"x{n}" for n in range(k)), *(f"y{n}" for n in range(k, 4))] and k:
        raise Wrong(f"for k={k} the first {k} are shared, which look at the image. The last ones, "
                    "next to the code, should be.")
    if who == [f"{'y' if n >= 4 - k else 'x'}{n}" for n in range(4)] and k:
        raise Wrong(f"for k={k} X and Y are exchanged: the last {k} should be X's.")
    count = sum(w[0] == "x" for w in who)
    if count == 4:
        raise Wrong(f"for k={k} everything is shared.")
    if count != k:
        raise Wrong(f"for k={k} {count or 'none'} of the stages {'is' if count < 2 else 'are'} "
                    "X's.")
    raise Wrong(f"for k={k} the stages are {', '.join(who)}, expected {', '.join(wanted)}.")


@exercise
def parameters_once(answer):
    """my_parameters(networks) -> every parameter of the networks once, in their order."""
    # Made last to first, so that the order in memory is not the order asked for. The second
    # network's first scale has the same value as the first one's, and is another parameter.
    third, second, shared, first = (Affine(1.7, 0.4), Affine(1.0, 0.3), Affine(2.0, 0.5),
                                    Affine(1.0, 0.1))
    networks = [nn.Sequential(first, shared), nn.Sequential(second, shared), third]
    right = [p for net in (first, shared, second, third) for p in net.parameters()]
    found = call(answer, networks=networks)
    if isinstance(found, dict) or not hasattr(type(found), "__iter__"):
        raise Wrong(f"expected a list of parameters, found {kind(found)}.")
    try:
        found = list(islice(found, 100))
    except Exception as error:
        raise Wrong(f"your code raised {describe(error)}") from None
    for p in found:
        if isinstance(p, nn.Module):
            raise Wrong("the list holds networks, expected their parameters.")
        if not isinstance(p, torch.Tensor):
            raise Wrong(f"the list holds {kind(p)}, expected parameters alone.")
    places = [next((n for n, q in enumerate(right) if p is q), None) for p in found]
    if None in places:
        raise Wrong("the list holds tensors that are not the networks' own parameters: copies, or "
                    "p.data. An optimiser would step those, not the networks.")
    _once(places)
    return "every parameter once, shared or not."


def _once(places):
    """Wrong unless the places are 0 to 7: 2 each of first, shared, second, third."""
    if len(set(places)) < len(places):
        twice = {p for p in places if places.count(p) > 1}
        which = "the shared layer's parameters are" if twice == {2, 3} else "a parameter is"
        raise Wrong(f"{which} listed twice: an optimiser would step them twice.")
    missing = set(range(8)) - set(places)
    if missing == {4}:
        raise Wrong("two different parameters with equal values were merged: `in` and == compare "
                    "values; two parameters are one only if they are the same object (`is`, id).")
    if missing == {2, 3}:
        raise Wrong("the shared layer's parameters are missing altogether: they belong there, "
                    "once.")
    if missing == {4, 5, 6, 7}:
        raise Wrong("only the first network's parameters are there.")
    if missing:
        raise Wrong(f"{len(missing)} of the 8 parameters are missing: what is not in the list is "
                    "never trained.")
    if places != sorted(places):
        raise Wrong("every parameter is there once, but not in the networks' order (a set has "
                    "none): an optimiser's saved state goes by the order.")


@exercise
def blur(answer):
    """my_high_frequency(images): the mean squared response to the 4-neighbour Laplacian."""
    places = torch.arange(2 * 3 * 5 * 7.0).view(2, 3, 5, 7)
    images = (places * 0.37).sin() * 0.5 + (places % 7 - 2) ** 2 * 0.03
    found = number(call(answer, images=images), "the energy")
    middle = images[:, :, 1:-1, 1:-1]

    def around(a):
        return a[:, :, :-2, 1:-1] + a[:, :, 2:, 1:-1] + a[:, :, 1:-1, :-2] + a[:, :, 1:-1, 2:]

    def padded(mode):
        wide = F.pad(images, (1, 1, 1, 1), mode)
        return (around(wide) - 4 * images).square().mean()

    near = around(images)
    response = near - 4 * middle
    corners = (images[:, :, :-2, :-2] + images[:, :, :-2, 2:] + images[:, :, 2:, :-2]
               + images[:, :, 2:, 2:])
    squared = response.square()
    border = "The images were padded, so the border's pixels, which lack neighbours, count too."
    compare(found, high_frequency_energy(images), [
        *((padded(mode), border) for mode in ("constant", "replicate", "reflect", "circular")),
        (response.mean(), "The response is not squared: positive and negative cancel."),
        (response.abs().mean(), "This is the mean absolute response: square it."),
        (response.mean() ** 2, "The mean is squared: square each response first."),
        (squared.mean().sqrt(), "There is a root too many."),
        ((near + 4 * middle).square().mean(), "The kernel's centre has the wrong sign: four "
         "neighbours *minus* four times the pixel."),
        ((near - 5 * middle).square().mean(), "The kernel's centre is -5; its numbers have to "
         "sum to 0, or a plain picture responds."),
        ((near - middle).square().mean(), "The kernel's centre is -1; its numbers have to sum to "
         "0, or a plain picture responds."),
        (squared.mean() / 16, "The neighbours are averaged; the Laplacian sums the four."),
        ((near + corners - 8 * middle).square().mean(), "These are eight neighbours; take the four "
         "that share a side."),
        (squared.sum(), "This is a sum; take the mean."),
        (squared.sum() / len(images), "Summed over an image: take the mean over its pixels too."),
        (response.sum(1).square().mean(), "The channels are summed before the square: treat each "
         "one alone (groups=3)."),
        (response.mean(1).square().mean(), "The channels are averaged before the square: treat "
         "each one alone.")])
    return "each pixel against its neighbours: blur makes this small."
