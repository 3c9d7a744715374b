"""What a code contains: new classifiers are trained on codes and tested on held-out codes.

A discriminator that was fooled during training says little, because the encoders learned to fool
exactly this one. A probe is trained from scratch on the finished codes.
"""

import torch
from torch import nn
from torch.nn import functional as F

from gantutor.data import AVATARS, avatars
from gantutor.data.batches import to_float
from gantutor.evaluate import confusion, held_out_pairs, in_batches
from gantutor.evaluate.judges import train_classifier


def fit_probe(codes, labels, steps=400, seed=0):
    """A classifier of `codes`, trained from scratch: one hidden layer of 64, Adam, batches of 256.

    codes (N, ...), labels (N,) int64. Returns a function: codes -> label read, (M,). Every number
    of a code is standardised first, so that small numbers are read as well as large ones.
    """
    codes = codes.flatten(1)
    mean, std = codes.mean(0), codes.std(0) + 1e-6
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(codes.shape[1], 64), nn.ReLU(),
                            nn.Linear(64, int(labels.max()) + 1))

    def loss_of():
        rows = torch.randint(len(codes), (256,), generator=generator)
        return F.cross_entropy(net((codes[rows] - mean) / std), labels[rows])

    train_classifier(net, loss_of, steps, 3e-3, weight_decay=1e-4, decay=False)
    return lambda other: net((other.flatten(1) - mean) / std).argmax(1)


def codes(method, pack=AVATARS):
    """Codes of a pack: {"x", "y": the training images', "held-out x", "held-out y"}, on the CPU.

    The held-out ones are of the same 300 people, in order; codes are means, without noise.
    """
    stacks = pack.unpaired(pack.size, 1, 0).stacks
    images = {"x": to_float(stacks["x"]), "y": to_float(stacks["y"])}
    images["held-out x"], images["held-out y"], _ = held_out_pairs(pack)
    return {name: in_batches(method.E_x if name.endswith("x") else method.E_y, stack)
            for name, stack in images.items()}


def domain_read(found, seed=0, noise=0.0):
    """Share of held-out codes whose domain a fresh probe reads right; 0.5 is guessing.

    found: what `codes` returns. noise: standard deviation of the noise that is added to every code
    first, because a VAE's decoder and D_z see noisy codes.
    """
    generator = torch.Generator().manual_seed(seed)
    noisy = {name: z + noise * torch.randn(z.shape, generator=generator)
             for name, z in found.items()}
    train, test = (torch.cat([noisy[a], noisy[b]])
                   for a, b in (("x", "y"), ("held-out x", "held-out y")))
    truth = (torch.arange(len(train)) >= len(noisy["x"])).long()
    read = fit_probe(train, truth, seed=seed)(test)
    return (read == (torch.arange(len(test)) >= len(test) // 2)).float().mean().item()


def attributes_read(found, train="x", tests=("x", "y"), seed=0):
    """Accuracy per attribute of probes trained on one domain's codes: [{name: share}, ...].

    tests: the domains whose held-out codes are read. With the same domain: do codes contain the
    attribute? With the other domain: do its codes contain it in the same form?
    """
    labels, (_, _, records) = avatars.records(f"train_{train}"), held_out_pairs(AVATARS)
    shares = [{} for _ in tests]
    for k, name in enumerate(avatars.ATTRIBUTES):
        read = fit_probe(found[train], labels[:, k], seed=seed)
        for share, test in zip(shares, tests, strict=True):
            right = read(found[f"held-out {test}"]) == records[:, k]
            share[name] = right.float().mean().item()
    return shares


def readings(method, pack=AVATARS):
    """What notebooks 05 and 06 measure on codes, and the confusion counts: a dict.

    The domain is read twice: with noise of standard deviation 1, as decoders see it, and without.
    """
    found = codes(method, pack)
    own, across = attributes_read(found)
    return {"domain read": domain_read(found, noise=1.0),
            "domain read off the means": domain_read(found),
            "attributes read": own, "read across": across,
            "confusion": {attribute: confusion(method.translate, attribute, pack).tolist()
                          for attribute in pack.attributes}}
