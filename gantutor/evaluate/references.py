"""Translators that learn next to nothing: the rows a method has to beat.

Each takes training images of X and of Y, unpaired, float (N, 3, H, W) in [-1, 1], and returns a
translator of held-out images.
"""

import torch

from gantutor.data import to_float
from gantutor.evaluate import do_nothing, panel


def colour_statistics(x_train, y_train):
    """Six numbers: each channel gets the mean and the standard deviation that it has in Y.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 21(5), 2001, but in RGB.
    """
    (x_mean, x_std), (y_mean, y_std) = (
        (stack.mean((0, 2, 3), keepdim=True), stack.std((0, 2, 3), keepdim=True))
        for stack in (x_train, y_train))
    return lambda x: ((x - x_mean) / x_std * y_std + y_mean).clamp(-1, 1)


def _moments(images):
    pixels = images.double().permute(1, 0, 2, 3).flatten(1)           # (3, N H W)
    return pixels.mean(1, keepdim=True), torch.cov(pixels)


def _power(matrix, exponent):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(1e-9) ** exponent) @ vectors.T


def colour_map(x_train, y_train):
    """Twelve numbers: the linear map that gives X's colours the mean and covariance of Y's.

    Of all such maps it moves the colours least (Pitié, Kokaram, "The linear Monge-Kantorovitch
    linear colour mapping", CVMP 2007, eq. 4).
    """
    (x_mean, x_cov), (y_mean, y_cov) = _moments(x_train), _moments(y_train)
    root, back = _power(x_cov, 0.5), _power(x_cov, -0.5)
    matrix = back @ _power(root @ y_cov @ root, 0.5) @ back
    shift = (y_mean - matrix @ x_mean).float().view(1, 3, 1, 1)
    matrix = matrix.float()
    return lambda x: (torch.einsum("ij,njhw->nihw", matrix, x) + shift).clamp(-1, 1)


def colour_map_and_mean_image(x_train, y_train):
    """`colour_map`, plus what Y's mean image still differs from that of the mapped X."""
    mapped = colour_map(x_train, y_train)
    rest = y_train.mean(0) - torch.cat([mapped(part) for part in x_train.split(100)]).mean(0)
    return lambda x: (mapped(x) + rest).clamp(-1, 1)


def random_y(y_train, seed=0):
    """A real training image of Y, drawn at random, whatever the input is."""
    generator = torch.Generator().manual_seed(seed)
    return lambda x: y_train[torch.randint(len(y_train), (len(x),), generator=generator)]


def nearest_y(x_train, y_train):
    """The real training image of Y that is nearest, after each domain is standardised.

    Every pixel of every channel is centred on its domain's mean there and divided by its standard
    deviation (plus 0.05); the distance is Euclidean.
    """
    def standardised(images, domain):
        return ((images - domain.mean(0)) / (domain.std(0) + 0.05)).flatten(1)

    known = standardised(y_train, y_train)
    return lambda x: y_train[torch.cdist(standardised(x, x_train), known).argmin(1)]


def references(pack, untrained=None):
    """{row: panel} of `pack`: do nothing, and everything that a method should beat.

    untrained: a generator before its first step, or None. The unpaired training images come from
    the pack's own batches.
    """
    stacks = pack.unpaired(pack.size, 1, 0).stacks
    x, y = (to_float(stacks[name]) for name in "xy")
    rows = {"do nothing": do_nothing(pack)}
    if untrained is not None:
        rows["untrained network"] = panel(untrained, pack)
    return rows | {
        "random real Y": panel(random_y(y), pack),
        "nearest training Y": panel(nearest_y(x, y), pack),
        "colour statistics (6 numbers)": panel(colour_statistics(x, y), pack),
        "colour map (12 numbers)": panel(colour_map(x, y), pack),
        "colour map and mean image": panel(colour_map_and_mean_image(x, y), pack)}
