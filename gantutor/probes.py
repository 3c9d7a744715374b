"""What can be read off a code: fresh classifiers trained on codes, judged on held-out ones.

A discriminator that was fooled during training says little: it has been chased. A probe is
trained from nothing on the finished codes (room: evaluate).
"""

import torch
from torch import nn
from torch.nn import functional as F

from gantutor import data
from gantutor.evaluate import held_out_pairs, in_batches


def fit_probe(codes, labels, steps=400, seed=0):
    """A classifier of `codes`, trained from nothing: one hidden layer of 64, Adam, batches of 256.

    codes (N, ...), labels (N,) int64. Returns a function: codes -> label read, (M,). Every number
    of a code is standardised first, so that small numbers are read as well as large ones.
    """
    codes = codes.flatten(1)
    mean, std = codes.mean(0), codes.std(0) + 1e-6
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(codes.shape[1], 64), nn.ReLU(),
                            nn.Linear(64, int(labels.max()) + 1))
        optimiser = torch.optim.Adam(net.parameters(), 3e-3, weight_decay=1e-4)
        for _ in range(steps):
            rows = torch.randint(len(codes), (256,), generator=generator)
            loss = F.cross_entropy(net((codes[rows] - mean) / std), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.requires_grad_(False)
    return lambda other: net((other.flatten(1) - mean) / std).argmax(1)


def codes(method, size=32):
    """Codes of the avatars: {"x", "y": the training images', "held-out x", "held-out y"}.

    The held-out ones are of the same 300 people, in order; codes are means, without noise.
    """
    stacks = data.avatars(size).stacks
    images = {"x": data.to_float(stacks["x"]), "y": data.to_float(stacks["y"])}
    images["held-out x"], images["held-out y"], _ = held_out_pairs("avatars", size)
    return {name: in_batches(method.E_x if name.endswith("x") else method.E_y, stack)
            for name, stack in images.items()}


def domain_read(found, seed=0, noise=0.0):
    """Share of held-out codes whose domain a fresh probe reads right; 0.5 is guessing.

    found: what `codes` returns. noise: standard deviation of what is added to every code first, as
    a VAE's decoder and D_z see it.
    """
    generator = torch.Generator().manual_seed(seed)
    noisy = {name: z + noise * torch.randn(z.shape, generator=generator)
             for name, z in found.items()}
    train, test = (torch.cat([noisy[a], noisy[b]])
                   for a, b in (("x", "y"), ("held-out x", "held-out y")))
    truth = (torch.arange(len(train)) >= len(noisy["x"])).long()
    read = fit_probe(train, truth, seed=seed)(test)
    return (read == (torch.arange(len(test)) >= len(test) // 2)).float().mean().item()


def attributes_read(found, train="x", test="x", seed=0):
    """Accuracy, by attribute, of probes trained on one domain's codes: name -> share.

    test: the domain whose held-out codes are read. The same domain says whether a code holds the
    attribute at all; the other one, whether it stands in the same place there.
    """
    labels, (_, _, records) = data.avatar_records(f"train_{train}"), held_out_pairs("avatars", 32)
    shares = {}
    for k, name in enumerate(data.ATTRIBUTES):
        read = fit_probe(found[train], labels[:, k], seed=seed)(found[f"held-out {test}"])
        shares[name] = (read == records[:, k]).float().mean().item()
    return shares
