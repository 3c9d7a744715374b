"""The panel's arithmetic as pure functions. Images are (N, 3, H, W) in [-1, 1]."""

import torch
from torch import nn
from torch.nn import functional as F


def device_of(function):
    """The device of the method whose translate (or back, or E_x) `function` is; else the CPU."""
    owner = getattr(function, "__self__", function)
    parameters = owner.parameters() if isinstance(owner, nn.Module) else iter(())
    return next(parameters, torch.empty(0)).device


@torch.no_grad()
def in_batches(function, *stacks, batch_size=100):
    """function(*stacks) a batch at a time, without gradients, concatenated on the CPU.

    The batches are copies, on the device of `function`: a network, or a method of one.
    """
    device = device_of(function)
    parts = zip(*(stack.split(batch_size) for stack in stacks), strict=True)
    return torch.cat([function(*(part.to(device, copy=True) for part in batch)).cpu()
                      for batch in parts])


def l1(a, b):
    """Mean absolute difference of two equally shaped stacks, in units of the [-1, 1] range."""
    if a.shape != b.shape:
        raise ValueError(f"l1: shapes differ, {tuple(a.shape)} and {tuple(b.shape)}")
    return (a - b).abs().mean().item()


def psnr(a, b):
    """Peak signal-to-noise ratio in dB, a mean over images; the peak-to-peak range is 2."""
    mse = (a - b).square().flatten(1).mean(1).clamp_min(1e-12)
    return (10 * torch.log10(4 / mse)).mean().item()


def ssim(a, b, window=7):
    """Structural similarity, a mean over images, channels and windows.

    Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004, eq. 13, with a uniform `window`,
    sample covariances and borders left out, K1 = 0.01, K2 = 0.03, data range 2: what
    scikit-image computes by default. ValueError when an image is smaller than the window.
    """
    if min(a.shape[2:]) < window:
        raise ValueError(f"ssim: images of {tuple(a.shape[2:])} px are smaller than the "
                         f"{window} px window")

    def blur(t):
        return F.avg_pool2d(t, window, stride=1)

    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    a, b = a.double(), b.double()
    mean_a, mean_b = blur(a), blur(b)
    n = window * window
    unbias = n / (n - 1)
    var_a = unbias * (blur(a * a) - mean_a**2)
    var_b = unbias * (blur(b * b) - mean_b**2)
    cov = unbias * (blur(a * b) - mean_a * mean_b)
    numerator = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    denominator = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return (numerator / denominator).mean().item()


def kid(features_a, features_b):
    """Unbiased squared maximum mean discrepancy between two sets of features, (N, d) and (M, d).

    Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", ICLR 2018: polynomial kernel
    (u.v / d + 1)^3, over the whole sets instead of random subsets. May be slightly negative.
    The features here are a small fixed network's: never compare with published KID or FID.
    """
    if min(len(features_a), len(features_b)) < 2:
        raise ValueError("kid: each set needs at least 2 images, found "
                         f"{len(features_a)} and {len(features_b)}")
    a, b = features_a.double(), features_b.double()
    d = a.shape[1]

    def kernel(u, v):
        return (u @ v.T / d + 1) ** 3

    def off_diagonal_mean(k):
        n = len(k)
        return (k.sum() - k.diagonal().sum()) / (n * (n - 1))

    return (off_diagonal_mean(kernel(a, a)) + off_diagonal_mean(kernel(b, b))
            - 2 * kernel(a, b).mean()).item()


def spread(images):
    """Mean L1 distance between the images of different inputs; 0 for a collapsed generator.

    Compares every image with the ones 1, 2, 3, 5 and 8 places further on.
    """
    if len(images) < 2:
        raise ValueError(f"spread: needs at least 2 images, found {len(images)}")
    shifts = [k for k in (1, 2, 3, 5, 8) if k < len(images)]
    return sum((images - images.roll(k, 0)).abs().mean().item() for k in shifts) / len(shifts)


def _laplacian(images):
    kernel = images.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(3, 1, 3, 3)
    return F.conv2d(images, kernel, groups=3)


def high_frequency_energy(images):
    """Mean squared response to the 4-neighbour Laplacian. Blur makes it smaller, speckle larger."""
    return _laplacian(images).square().mean().item()


def edges(images, truth):
    """(in place, speckle): how much of the truth's fine edges is drawn, and how much that is not.

    Both of the responses to the 4-neighbour Laplacian. In place: the least-squares factor of the
    truth's in the images'; 1 for the truth, 0 for blur and for noise. Speckle: the energy of the
    rest, as a share of the truth's; 0 for the truth, for blur, and for faint or strong true edges.

    images, truth: (N, 3, H, W), pairs. ValueError if their shapes differ.
    """
    if images.shape != truth.shape:
        raise ValueError(f"edges: shapes differ, {tuple(images.shape)} and {tuple(truth.shape)}")
    drawn, true = _laplacian(images), _laplacian(truth)
    factor = (drawn * true).sum() / true.square().sum()
    return factor.item(), ((drawn - factor * true).square().sum() / true.square().sum()).item()


def cramers_v(counts):
    """How much of one variable the other tells, 0..1, whatever the values are called.

    Cramér's V with Bergsma's correction ("A bias-correction for Cramér's V and Tschuprow's T",
    Journal of the Korean Statistical Society 42, 2013), so that its mean is about 0 where there is
    nothing to tell. 1: each value is read as one value of its own, the right one or another.

    counts: (K, K), true value against value read. 0 for one value, or no more images than values.
    """
    counts = counts.double()
    n, k = counts.sum(), len(counts)
    expected = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / n
    chi2 = ((counts - expected).square() / expected)[expected > 0].sum()
    if n <= k or k < 2:
        return 0.0
    by_chance = (k - 1) ** 2 / (n - 1)
    levels = k - by_chance
    return ((chi2 / n - by_chance).clamp_min(0) / (levels - 1)).sqrt().item()
