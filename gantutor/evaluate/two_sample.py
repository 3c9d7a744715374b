"""How far translations are from real Y in style: a distance, and a fresh classifier's verdict."""

import functools

import torch

from gantutor.evaluate.metrics import in_batches
from gantutor.vgg import vgg_features


@functools.lru_cache(maxsize=1)
def _vgg():
    return vgg_features("text", "relu1_2")


@torch.no_grad()
def style(images):
    """(N, 3, H, W) -> (N, 134): mean and deviation of each colour and of 64 VGG channels, relu1_2.

    They say how an image is drawn, not where things are. Root mean square 1 per image.
    """
    found = torch.cat([s(h.flatten(2), -1) for h in (images, _vgg()(images))
                       for s in (torch.mean, torch.std)], 1)
    return found / found.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)


def told_apart(fake, real, ridge=1.0):
    """How well a fresh linear classifier tells `fake` from `real` on images it has not seen.

    The area under its ROC curve: 0.5, it guesses; 1, it is never wrong. Two-sample tests by
    classifiers are those of Lopez-Paz, Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
    It is trained on one half of the images by ridge regression on `style`, standardised, tested
    on the other half, and the other way round; the result is the mean.

    fake, real: (N, 3, H, W) in [-1, 1], fake[k] and real[k] of the same scene, so that the
    classifier cannot go by what the images show. Images are halved ten by ten. ValueError for
    fewer than 20.
    """
    if len(fake) != len(real) or len(fake) < 20:
        raise ValueError("told_apart: expected two equally large sets of at least 20 images, "
                         f"found {len(fake)} and {len(real)}")
    a, b = (in_batches(style, images).double() for images in (fake, real))
    first = torch.arange(len(a)) // 10 % 2 == 0
    return sum(_area(a[half], b[half], a[~half], b[~half], ridge) for half in (first, ~first)) / 2


def _area(fake, real, other_fake, other_real, ridge):
    """The ROC area on the second pair of sets of a classifier trained on the first pair."""
    both = torch.cat([fake, real])
    mean, std = both.mean(0), both.std(0) + 1e-6
    design = (both - mean) / std
    target = torch.cat([-torch.ones(len(fake)), torch.ones(len(real))]).double()
    penalty = ridge * len(both) * torch.eye(design.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(design.T @ design + penalty, design.T @ target)
    scores = [(images - mean) / std @ weights for images in (other_fake, other_real)]
    above = scores[1][:, None] - scores[0][None]
    return ((above > 0).double() + 0.5 * (above == 0).double()).mean().item()
