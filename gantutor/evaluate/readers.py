"""A fixed network that reads X, trained on X's labels: DTN's f and XGAN's teacher."""

import torch
from torch import nn
from torch.nn import functional as F

from gantutor.autoencoders import Encoder, encoder_stages
from gantutor.data.avatars import ATTRIBUTES, AVATARS, records
from gantutor.data.batches import to_float
from gantutor.evaluate.judges import train_classifier
from gantutor.losses import softened


def roughened(images):
    """Images (N, 3, H, W) in [-1, 1], each shifted, scaled, blurred and tinted at random.

    Strong enough that a reader of pixel art cannot rely on where exactly a pixel lies; hues stay.
    """
    n = len(images)
    scale, shift = 1 + 0.3 * (torch.rand(n) - 0.5), 0.3 * (torch.rand(n, 2) - 0.5)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :, 2] = shift
    moved = F.grid_sample(images, F.affine_grid(matrix, images.shape, False), "bilinear", "border",
                          False)
    moved = torch.lerp(moved, softened(moved), torch.rand(n, 1, 1, 1))
    grey = moved.mean(1, keepdim=True)
    pale = grey + (0.6 + 0.6 * torch.rand(n, 1, 1, 1)) * (moved - grey)
    light = (0.7 + 0.5 * torch.rand(n, 1, 1, 1)) * pale + 0.4 * (torch.rand(n, 1, 1, 1) - 0.5)
    return (light + 0.05 * torch.randn(light.shape)).clamp(-1, 1)


def reader(rough, pack=AVATARS, steps=600, *, both=False):
    """(encoder, heads) of a classifier of X's attributes, trained on X's labels, in eval mode.

    rough: with `roughened` images. pack: the avatars, or one of `data.varied` with the same people
    in X. both: on Y's pictures and labels as well. encoder: (N, 3, 32, 32) -> (N, 16, 4, 4).
    """
    domains = "xy" if both else "x"
    images = torch.cat([pack.unpaired(32).stacks[domain] for domain in domains])
    labels = torch.cat([records(f"train_{domain}") for domain in domains])
    net = nn.ModuleList([Encoder(encoder_stages(32, 16, 24)), nn.ModuleList(
        nn.Linear(256, count) for count in ATTRIBUTES.values())])

    def loss_of():
        index = torch.randint(len(images), (32,))
        seen = to_float(images[index])
        code = net[0](roughened(seen) if rough else seen).flatten(1)
        return sum(F.cross_entropy(head(code), labels[index, k]) for k, head in enumerate(net[1]))

    return train_classifier(net, loss_of, steps, 1e-3)


def share_read(net, images, people):
    """How many of the attributes a `reader` reads right."""
    return (read_by(net, images) == people).float().mean().item()


def read_by(net, images):
    """What a `reader` reads: (N, 8) attribute values."""
    with torch.no_grad():
        code = net[0](images).flatten(1)
    return torch.stack([head(code).argmax(1) for head in net[1]], 1)
