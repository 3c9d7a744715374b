"""The fixed classifiers that read a translation: one per pack and size, trained once."""

import functools

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gantutor.evaluate.metrics import in_batches
from gantutor.saving import data_folder, load_weights, save_weights, seed_everything


class Judge(nn.Module):
    """The panel's fixed classifier: one trunk, a logit "is a real Y", one head per attribute.

    sizes: number of values of each attribute, () for none. forward: (N, 3, size, size) ->
    (N,) logits and a list of (N, values) logits; `features` gives the trunk's (N, 128).
    """

    def __init__(self, size, sizes=()):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=1 if size <= 32 else 2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 48, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(48, 48, 4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.LazyLinear(128), nn.ReLU(),
        )
        self.domain = nn.Linear(128, 1)
        self.attributes = nn.ModuleList(nn.Linear(128, n) for n in sizes)
        self.trunk(torch.zeros(1, 3, size, size))  # gives the lazy layer its shape

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        h = self.trunk(x)                                       # (N, 128)
        return self.domain(h).squeeze(1), [head(h) for head in self.attributes]


def train_classifier(net, loss_of, steps, lr, *, weight_decay=0.0, decay=True, progress=None):
    """Trains `net` on `steps` losses with Adam; returns it in eval mode and frozen.

    loss_of: () -> the loss of the next batch. decay: the rate falls linearly to 0. progress: what
    the progress bar says, None for none. The one loop behind judges, probes and digit readers.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr, weight_decay=weight_decay)
    with torch.enable_grad():
        for step in tqdm(range(steps), progress, disable=progress is None):
            optimiser.param_groups[0]["lr"] = lr * (1 - step / steps) if decay else lr
            loss = loss_of()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval().requires_grad_(False)


def train_judge(pack, path=None, seed=0):
    """Trains the fixed classifier of `pack` and saves it, by default where the course looks for it.

    A domain judge separates real Y images from images that it must refuse. Attributes are learned
    only from real Y images. ValueError for a pack without a judge.
    """
    if pack.judged is None:
        raise ValueError(f"{pack}: this pack has no judge")
    seed_everything(seed)
    draw = pack.judged(pack.size, torch.Generator().manual_seed(seed))
    judge = Judge(pack.size, tuple(pack.attributes.values()))

    def loss_of():
        images, is_y, values = draw()
        domain, attributes = judge(images)
        loss = 0.0
        if is_y is not None:
            loss = F.binary_cross_entropy_with_logits(domain, is_y.float())
        if values is not None:
            loss = loss + sum(F.cross_entropy(logits[: len(values)], values[:, k])
                              for k, logits in enumerate(attributes))
        return loss

    train_classifier(judge, loss_of, pack.judge_steps, 2e-3, progress=f"judge of {pack}")
    save_weights(path or judge_path(pack), {"judge": judge}, half=True, metadata={
        "command": f"gantutor judges {pack.name}_{pack.size}", "seed": str(seed),
        "steps": str(pack.judge_steps), "torch": torch.__version__})
    _load_judge.cache_clear()
    return judge


def judge_path(pack):
    """Where the judge of `pack` lies."""
    return (pack.judges or data_folder() / "judges") / f"{pack.name}_{pack.size}.safetensors"


def load_judge(pack):
    """The trained judge of `pack`, in eval mode and frozen. FileNotFoundError if there is none."""
    return _load_judge(judge_path(pack), pack.size, tuple(pack.attributes.values()))


@functools.lru_cache(maxsize=8)
def _load_judge(path, size, sizes):
    judge = Judge(size, sizes)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such judge; `gantutor judges` trains the packs' own")
    load_weights(path, {"judge": judge})
    return judge.eval().requires_grad_(False)


def read_attributes(images, pack):
    """(N, attributes) values that the fixed classifier of `pack` reads off images of Y."""
    judge = load_judge(pack)
    return in_batches(lambda b: torch.stack([a.argmax(1) for a in judge(b)[1]], 1), images)


def says_y(images, pack):
    """(N,) bool: which images the fixed classifier of `pack` takes for real Y."""
    judge = load_judge(pack)
    return in_batches(lambda b: judge(b)[0] > 0, images)


def unit_features(images, pack):
    """(N, 128) features of root mean square 1, so that no single image dominates the KID."""
    features = in_batches(load_judge(pack).features, images)
    return features / features.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
