"""Whether what the two domains look like says which value of X is which value of Y."""

from itertools import permutations

import torch


def _differences(images, labels, values):
    """(values, pixels): each value's mean image, less the mean of these."""
    means = torch.stack([images[labels == value].mean(0).flatten() for value in range(values)])
    return means - means.mean(0)


def likeness(x, labels_x, y, labels_y, values):
    """How alike X's and Y's differences are, under the true names and under the best other ones.

    x, y: images (N, 3, H, W) and (M, 3, H, W), each of another domain; labels_x (N,), labels_y (M,)
    their values 0 .. values - 1 of one attribute, each value at least once. A value's difference is
    its mean image less the mean over the values. Returns {"true names": the correlation of all
    differences in X with those in Y, "other names": the highest correlation after a permutation of
    Y's values, "permuted": that permutation, a tuple}.

    No method sees labels. But one that maps like to like prefers the names with the higher number.
    """
    ours, theirs = _differences(x, labels_x, values), _differences(y, labels_y, values)
    alike = ours @ theirs.T / (ours.norm() * theirs.norm()).clamp_min(1e-9)
    at = torch.arange(values)
    true, *others = permutations(range(values))
    found = {order: alike[at, list(order)].sum().item() for order in (true, *others)}
    best = max(others, key=found.get)
    return {"true names": found[true], "other names": found[best], "permuted": best}
