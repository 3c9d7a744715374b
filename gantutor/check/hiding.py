"""The exercise of notebook 03b's hiding lab."""

import torch

from gantutor.check.answers import Affine, call, gradients, scalar
from gantutor.check.machine import Mistake, close_to, exercise


def noisy(x, G_xy, G_yx, noise, on_x=0.0, between=1.0, after=0.0, draw=torch.randn_like, power=1,
          cut=lambda fake: fake):
    """The cycle loss of x with the noise in other places, or of another kind."""
    fake = cut(G_xy(x + on_x * noise * draw(x)))
    back = G_yx(fake + between * noise * draw(fake))
    return (back + after * noise * draw(back) - x).abs().pow(power).mean()


def variant(**replaced):
    return lambda *a: noisy(*a, **replaced)


def frozen_way_back(x, G_xy, G_yx, noise):
    G_yx.requires_grad_(False)
    return noisy(x, G_xy, G_yx, noise)


@exercise(
    right=noisy, alike=lambda a, b: close_to(a, b, 0.015),  # of a mean over 32,000 random numbers
    also_right=[lambda x, G_xy, G_yx, noise: (G_yx(torch.normal(G_xy(x), noise)) - x).abs().mean()],
    mistakes={
        "no noise": variant(between=0.0),
        "elsewhere": Mistake(variant(on_x=1.0, between=0.0), variant(after=1.0, between=0.0)),
        "uniform": variant(draw=lambda images: torch.rand_like(images) * 2 - 1),
        "squared": variant(power=2), "variance": variant(between=0.3**-0.5),
        "detached": variant(cut=lambda fake: fake.detach()), "frozen": frozen_way_back})
def noisy_cycle(answer):
    """my_noisy_cycle(x, G_xy, G_yx, noise): the cycle loss of x, noise before the way back."""
    G_xy, G_yx = Affine(0.5), Affine(2.0)
    x = torch.linspace(-1, 1, 2 * 3 * 60 * 90).view(2, 3, 60, 90)
    loss = scalar(call(answer, x=x, G_xy=G_xy, G_yx=G_yx, noise=0.3))
    arrives = [gradient is not None for gradient in gradients(loss, G_xy, G_yx)]
    return {"the loss": loss.item(), "learns": dict(zip(("G_xy", "G_yx"), arrives, strict=True))}
