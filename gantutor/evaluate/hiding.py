"""The hiding lab: does the way back use a pattern that people cannot see?

Chu, Zhmoginov, Sandler, "CycleGAN, a Master of Steganography", 2017: a translation can carry a
faint pattern from which G_yx restores what the translation itself no longer shows. A disturbance
too small to see then ruins the reconstruction.
"""

import io

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

from gantutor.data.avatars import monochrome
from gantutor.data.batches import to_float, to_uint8
from gantutor.evaluate import metrics
from gantutor.evaluate.metrics import in_batches

NOISE_LEVELS = (0, 1, 2, 4, 8, 16)  # standard deviations, in 1/256 of the range from black to white


def add_noise(images, levels, seed=0):
    """Gaussian noise with a standard deviation of `levels` / 256 of the range; not clipped."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator)
    return images + 2 * levels / 256 * noise.to(images)


def eight_bit(images):
    """What a PNG would keep: rounded to 256 levels and clipped to [-1, 1]."""
    return to_float(to_uint8(images))


def _through_pillow(images, change):
    pictures = [change(Image.fromarray(array)) for array in
                to_uint8(images).permute(0, 2, 3, 1).numpy()]
    stack = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return to_float(torch.from_numpy(stack.transpose(0, 3, 1, 2).copy()))


def jpeg(images, quality):
    """Saved as JPEG of this `quality` (1 to 95) with full-size colour, and opened again."""
    def change(picture):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, subsampling=0)
        return Image.open(file)

    return _through_pillow(images, change)


def blur(images, sigma):
    """Gaussian blur, `sigma` in pixels."""
    return v2.functional.gaussian_blur(images, 2 * int(3 * sigma + 0.5) + 1, sigma)


def equalised(images):
    """Each channel's histogram flattened (Pillow's ImageOps.equalize): shows faint patterns."""
    return _through_pillow(images, ImageOps.equalize)


def residue(images, gain=16, radius=2):
    """The image minus its own local mean, times `gain`, clipped: only its finest detail."""
    size = 2 * radius + 1
    soft = torch.nn.functional.avg_pool2d(images, size, 1, radius, count_include_pad=False)
    return ((images - soft) * gain).clamp(-1, 1)


def reconstruction_errors(method, x, disturbances):
    """L1 between x and G_yx(disturb(G_xy(x))) for each of `disturbances`, a list of floats.

    x: (N, 3, H, W) in [-1, 1]. A disturbance is images -> images; None leaves them as they are.
    """
    translated = in_batches(method.translate, x)
    return [metrics.l1(in_batches(method.back, disturb(translated) if disturb else translated), x)
            for disturb in disturbances]


def reconstruction_error(method, x, disturb=None):
    """`reconstruction_errors` of one disturbance, a float."""
    return reconstruction_errors(method, x, [disturb])[0]


def noise_curve(method, x, levels=NOISE_LEVELS):
    """The reconstruction error at each noise level, a list: the curve of Bashkirova et al."""
    return reconstruction_errors(method, x, [lambda t, k=k: add_noise(t, k) for k in levels])


def sensitivity_to_noise(errors, levels=NOISE_LEVELS):
    """Mean rise of the reconstruction error over the noise levels, trapezoid rule.

    Sensitivity to noise, Bashkirova, Usman, Saenko, "Adversarial Self-Defense for
    Cycle-Consistent GANs", NeurIPS 2019, section 5: the area under the error curve. We subtract the
    error without noise and divide by the range of levels, so the unit is L1. 0: not sensitive.
    """
    rise = torch.tensor(errors, dtype=torch.float64) - errors[0]
    area = torch.trapezoid(rise, torch.tensor(levels, dtype=torch.float64))
    return area.item() / (levels[-1] - levels[0])


def reconstruction_honesty(method, x, legal=monochrome):
    """Rise of the reconstruction error (L1) if the translation keeps only what Y may contain.

    After the reconstruction honesty of Bashkirova et al., NeurIPS 2019, section 5, who map a
    translation to the nearest legal label colours before the way back. `legal` is that map.
    0: honest. Large: the reconstruction uses something that does not belong in Y.
    """
    spoilt, whole = reconstruction_errors(method, x, [legal, None])
    return spoilt - whole


# ------------------------------------------------------------------ the mark on the roof


def plainest(images, size=9, rim=2):
    """The centre of each image's evenest square: (rows, columns), two (N,) integer tensors.

    images: (N, C, H, W). The square is `size` pixels wide, an odd number, and at least `rim`
    pixels away from the border. Evenest: the smallest variance, summed over the channels.
    """
    inside = images[..., rim:images.shape[-2] - rim, rim:images.shape[-1] - rim]
    mean = torch.nn.functional.avg_pool2d(inside, size, 1)
    variance = torch.nn.functional.avg_pool2d(inside.square(), size, 1) - mean.square()
    places = variance.sum(1)                                            # (N, h, w)
    at = places.flatten(1).argmin(1)
    width = places.shape[-1]
    return at // width + size // 2 + rim, at % width + size // 2 + rim


def _window(shape, at, side):
    """(N, 1, H, W): True in a square of `side` pixels (an odd number) around each place."""
    v, u = (torch.arange(n) for n in shape[-2:])
    near = [(axis - centre[:, None]).abs() <= side // 2
            for axis, centre in zip((v, u), at, strict=True)]           # (N, H), (N, W)
    return (near[0][:, :, None] & near[1][:, None, :])[:, None]


def marked(images, at, depth=0.3, side=3):
    """The images with a square at `at` that is darker by `depth`, of a range of 2."""
    return (images - depth * _window(images.shape, at, side)).clamp(-1, 1)


def mark_shown(with_mark, without, at, side=3):
    """How much darker the mark's square is with the mark than without, mean over all images.

    The two stacks (N, 3, H, W) went the same way, one of them with the mark on x. 0: it is gone.
    """
    inside = _window(without.shape, at, side).expand_as(without)
    return (without - with_mark)[inside].mean().item()
