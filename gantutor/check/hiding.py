"""The exercise of notebook 03's hiding lab."""

import math

import torch

from gantutor.check import Wrong, exercise
from gantutor.check.answers import Affine, call, gradients, scalar


@exercise
def noisy_cycle(answer):
    """my_noisy_cycle(x, G_xy, G_yx, noise): the cycle loss of x, noise before the way back."""
    G_xy, G_yx, noise = Affine(0.5), Affine(2.0), 0.3
    x = torch.linspace(-1, 1, 2 * 3 * 60 * 90).view(2, 3, 60, 90)
    loss = scalar(call(answer, x=x, G_xy=G_xy, G_yx=G_yx, noise=noise))
    value = loss.item()
    size = noise * math.sqrt(2 / math.pi)  # mean |normal noise|; the way back doubles it
    for wrong, text in (
            (0.0, "no noise reaches the reconstruction."),
            (size, "the noise is not between the two generators: it was added to x, or after the "
             "way back."),
            (noise, "this noise is uniform; take normal noise of standard deviation `noise`."),
            (4 * noise**2, "the difference is squared; the cycle loss is L1."),
            (2 * math.sqrt(noise) * math.sqrt(2 / math.pi), "`noise` is a standard deviation, not "
             "a variance: no square root.")):
        if abs(value - wrong) < 0.02:
            raise Wrong(f"{text} (Found {value:.3f}, expected about {2 * size:.3f}.)")
    if abs(value - 2 * size) > 0.02:
        raise Wrong(f"the value is not right: found {value:.3f}, expected about {2 * size:.3f} "
                    "with a G_xy that halves and a G_yx that doubles.")
    to_xy, to_yx = gradients(loss, G_xy, G_yx)
    if to_xy is None:
        raise Wrong("The value is right, but no gradient reaches G_xy: the translation was "
                    "detached, and G_xy would never learn to write what survives the noise.")
    if to_yx is None:
        raise Wrong("The value is right, but no gradient reaches G_yx.")
    return "between the two generators, and both learn from it."
