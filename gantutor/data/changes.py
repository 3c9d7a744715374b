"""What turns a photograph X into its true Y: two documented processes, one of them with a dial."""

import torch
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)


def luma_of(rgb):
    """(N, 3, H, W) -> (N, 1, H, W): Rec. 601 luma of RGB in 0..1."""
    return (rgb * rgb.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def retro(images, generator, strength=1.0, inverted=False):
    """Makes photographs look like old slides: a documented colour-and-grain process.

    Three fifths of the saturation, faded channel curves (blue lifted in the shadows and cut in the
    lights), a vignette, and luminance grain of standard deviation 0.01.

    images: float (N, 3, H, W) in [-1, 1]; returns the same. `generator` draws the grain.
    strength: 0 changes nothing, 1 is the process, 2 goes twice as far, clipped to the range.
    inverted: the slide of the negative, so that light and dark change places.
    """
    rgb = images.add(1).div(2)
    start = 1 - rgb if inverted else rgb
    luma = luma_of(start)
    slide = luma + 0.6 * (start - luma)                                # paler
    low = rgb.new_tensor([0.16, 0.09, 0.17]).view(3, 1, 1)
    high = rgb.new_tensor([1.00, 0.90, 0.66]).view(3, 1, 1)
    slide = low + (high - low) * slide                                 # faded, warm
    h, w = images.shape[2:]
    v = torch.linspace(-1, 1, h).view(h, 1).to(rgb)
    u = torch.linspace(-1, 1, w).view(1, w).to(rgb)
    slide = slide * (1 - 0.20 * (u * u + v * v))                       # vignette
    slide = slide + 0.01 * torch.randn(len(rgb), 1, h, w, generator=generator).to(rgb)
    return (rgb + strength * (slide - rgb)).clamp(0, 1).mul(2).sub(1)


def blurred(images, sigma):
    """A Gaussian blur of standard deviation `sigma` pixels; the rim is repeated."""
    half = int(3 * sigma + 0.5)
    at = torch.arange(-half, half + 1).to(images)
    weight = torch.exp(-at.square() / (2 * sigma**2))
    weight = (weight / weight.sum()).repeat(images.shape[1], 1, 1, 1)  # (C, 1, 1, 2 half + 1)
    padded = F.pad(images, (half,) * 4, mode="replicate")
    across = F.conv2d(padded, weight, groups=images.shape[1])
    return F.conv2d(across, weight.transpose(2, 3), groups=images.shape[1])


def kuwahara(images, radius):
    """Flat areas and sharp edges: each pixel gets the mean of the most even of its four corners.

    Kuwahara et al., "Processing of RI-angiocardiographic images", 1976. A corner is a square of
    radius + 1 pixels a side that touches the pixel; even means the smallest variance, summed over
    the channels.
    """
    h, w = images.shape[2:]
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    mean = F.avg_pool2d(padded, radius + 1, 1)
    variance = (F.avg_pool2d(padded.square(), radius + 1, 1) - mean.square()).sum(1, keepdim=True)
    corners = [(i, j) for i in (0, radius) for j in (0, radius)]
    means, spread = (torch.stack([s[:, :, i:i + h, j:j + w] for i, j in corners])
                     for s in (mean, variance))
    most_even = spread.argmin(0, keepdim=True).expand(1, *means.shape[1:])
    return means.gather(0, most_even)[0]


def ink(images, generator=None):
    """Makes photographs look drawn in ink and wash: edges and texture change, not only colours.

    The wash: an edge-preserving filter flattens the areas (`kuwahara`), a fifth of the
    saturation, on warm paper. The ink, 85 % black: where the picture is darker than its
    surroundings, a difference of Gaussians through a soft threshold, after Winnemöller,
    Kyprianidis, Olsen, "XDoG: An eXtended difference-of-Gaussians compendium", Computers &
    Graphics 36(6), 2012. All lengths grow with the image: 64 and 128 px show the same drawing.

    images: float (N, 3, H, W) in [-1, 1]; returns the same. Nothing is drawn at random.
    """
    scale = min(images.shape[2:]) / 64
    rgb = images.add(1).div(2)
    luma = luma_of(rgb)
    darker = blurred(luma, 3.0 * scale) - blurred(luma, 0.6 * scale)   # than what is around it
    pen = torch.sigmoid(60 * (darker - 0.03))                          # 1 where there is ink
    flat = kuwahara(blurred(rgb, 0.5 * scale), max(1, round(scale)))
    luma = luma_of(flat)
    wash = (luma + 0.2 * (flat - luma)).clamp_min(0)
    paper = rgb.new_tensor([1.00, 0.97, 0.90]).view(3, 1, 1)
    drawn = paper * (0.35 + 0.65 * wash**0.8) * (1 - 0.85 * pen)
    return drawn.clamp(0, 1).mul(2).sub(1)
