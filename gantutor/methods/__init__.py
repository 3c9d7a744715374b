"""One short file per lecture section. A method is an `nn.Module` that owns its networks and has

players()                  -> (generators, discriminators): two lists of networks
generator_loss(batch)      -> (total, parts): the generators minimise `total`; called first
discriminator_loss(batch)  -> (total, parts): the same for the discriminators, on the same batch
between(batch)             what the host does before D's step, such as a pool; optional
translate(x)               -> the translation of x into Y; with codes: translate(x, code)
back(y)                    -> the way back, where there is one; the panel then has a "cycle L1"
ships                      the names of the networks that a checkpoint holds

`batch` is {"x": (N, 3, H, W), "y": (N, 3, H, W)} in [-1, 1], a new dict every step. generator_loss
stores its translations in it ("fake_y"). discriminator_loss uses these, or makes new ones. `parts`
is a dict of detached terms. A method whose terms start late is `ramps.Ramped`: `fit` sets its
`progress` to the share of the run that is over. The rest of the package knows only this.
"""

import torch
from torch import nn

from gantutor.losses import gradient_penalty, wgan_discriminator_loss


def detached(**parts):
    """The named terms of a loss, detached from the graph. They stay on their device."""
    return {name: value.detach() for name, value in parts.items()}


def kept(batch, name, make):
    """batch[name], detached: the translation that generator_loss has stored there.

    In a step without the generators (`fit(..., n_critic=5)`), make() computes it now.
    """
    if name not in batch:
        with torch.no_grad():
            batch[name] = make()
    return batch[name].detach()


def critics_loss(games, lambda_gp, loss=wgan_discriminator_loss):
    """(total, parts) of critics with gradient penalty: [(name, D, real, fake), ...].

    loss: what each plays, (scores of real, scores of fake) -> loss. By default Wasserstein's game.
    """
    total, parts = 0.0, {}
    for name, D, real, fake in games:
        critic = loss(D(real), D(fake))
        penalty = gradient_penalty(D, real, fake)
        total = total + critic + lambda_gp * penalty
        parts |= detached(**{name: critic, f"gp_{name}": penalty})
    return total, parts


class Frozen(nn.Module):
    """A network that is never trained: always in eval mode, its weights get no gradients.

    In training mode, dropout and batch normalisation would change its output from call to call.
    """

    def __init__(self, net):
        super().__init__()
        self.net = net.requires_grad_(False)
        self.eval()

    def train(self, mode=True):
        return super().train(False)

    def forward(self, x):
        return self.net(x)
