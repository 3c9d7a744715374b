"""The panel: how right a translation is, on held-out pairs that nobody trained on.

    python -m gantutor.evaluate judges       # trains the fixed classifiers again

This is the only module that opens the hidden pairs.
"""

import argparse
import functools

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gantutor import data, metrics
from gantutor.data import AVATAR_SIZES
from gantutor.models import Judge
from gantutor.training import load_weights, save_weights, seed_everything

PACKS = ("landscapes", "avatars")  # those with a judge
GRAIN_SEED = 7

# ------------------------------------------------------------ hidden pairs


@functools.lru_cache(maxsize=4)
def held_out_pairs(pack, size):
    """(x, y, records) of 300 held-out pairs: float (N, 3, size, size) in [-1, 1].

    Landscapes are crops of photographs that neither domain trains on; they have no attribute
    records (None).
    """
    if pack == "avatars":
        records = data.avatar_records("held_out")
        x, y = (data.to_float(data.avatar_sheet(name, len(records), size))
                for name in ("hidden_x", "hidden_y"))
        return x, y, records
    if pack == "landscapes":
        x = data.to_float(data.landscape_crops("held_out", size, 300))
        return x, data.retro(x, torch.Generator().manual_seed(GRAIN_SEED)), None
    if pack == "monochromes":
        x, _, _ = held_out_pairs("avatars", size)
        return x, data.monochrome(x), None
    raise ValueError(f"pack={pack!r}: expected one of {(*PACKS, 'monochromes')}")


class PairedBatches(data.Unpaired):
    """X with its true counterparts: what no unpaired method may see, for the ceiling alone."""

    def next_batch(self):
        index = self._indices("x", self.batch_size)
        return {name: data.to_float(stack[index]) for name, stack in self.stacks.items()}


def paired_training_set(pack, size, batch_size, seed=0):
    """The training X of `pack` with their hidden counterparts, as `PairedBatches`."""
    if pack == "avatars":
        count = len(data.avatar_records("train_x"))
        x, y = (data.avatar_sheet(name, count, size) for name in ("train_x", "hidden_train"))
    elif pack == "monochromes":
        x = data.monochromes(size).stacks["x"]
        y = data.to_uint8(data.monochrome(data.to_float(x)))
    else:
        x = data.landscape_crops("train_x", size)
        y = data.to_uint8(data.retro(data.to_float(x), torch.Generator().manual_seed(11)))
    return PairedBatches(x, y, batch_size, seed)


class Supervised(nn.Module):
    """The ceiling: the same generator, trained on the pairs with an L1 loss."""

    def __init__(self, G_xy):
        super().__init__()
        self.G_xy = G_xy

    def players(self):
        return [self.G_xy], []

    def translate(self, x):
        return self.G_xy(x)

    def generator_loss(self, batch):
        loss = F.l1_loss(self.G_xy(batch["x"]), batch["y"])
        return loss, {"L1": loss.detach()}


class SupervisedPair(Supervised):
    """Both directions on the pairs, each alone: a way back that had nothing to hide from."""

    def __init__(self, G_xy, G_yx):
        super().__init__(G_xy)
        self.G_yx = G_yx

    def players(self):
        return [self.G_xy, self.G_yx], []

    def back(self, y):
        return self.G_yx(y)

    def generator_loss(self, batch):
        there, parts = super().generator_loss(batch)
        back = F.l1_loss(self.G_yx(batch["y"]), batch["x"])
        return there + back, parts | {"L1 back": back.detach()}


# ------------------------------------------------------------------ judges


def _nearly_y(x, y, shapes, generator):
    """Images that are not quite Y, for the domain judge to refuse.

    A half blends of x with its counterpart (at most six tenths translated), a half Y images in a
    clearly wrong tint. Where the domains differ in `shapes`, a half of all this is instead Y
    images blurred or full of noise (photographs have soft and rough parts of their own).
    """
    n = len(y)
    amount = torch.rand(n, 1, 1, 1, generator=generator)
    blend = y + (0.4 + 0.6 * amount) * (x - y)
    gain = 1 + 0.5 * (torch.rand(n, 3, 1, 1, generator=generator) - 0.5).sign()
    tint = ((y + 1) * gain - 1).clamp(-1, 1)
    fake = torch.cat([blend[: n // 2], tint[n // 2:]])
    if shapes:
        soft = F.avg_pool2d(F.pad(y, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        fake[::4] = soft[::4]
        noise = torch.randn(y.shape, generator=generator)
        fake[1::4] = (y + (0.2 + 0.5 * amount) * noise).clamp(-1, 1)[1::4]
    return fake


def _other_light(x, generator):
    """Photographs in another light: each channel's gain and gamma drawn at random.

    Two photographs a domain are few; without this the judge learns their colours, not retro.
    """
    gain = 0.6 + 0.6 * torch.rand(len(x), 3, 1, 1, generator=generator)
    gamma = (torch.rand(len(x), 3, 1, 1, generator=generator) - 0.5).mul(1.6).exp()
    return ((x + 1) / 2).pow(gamma).mul(gain).clamp(0, 1).mul(2).sub(1)


def _judge_batch(pack, stacks, index, other, generator):
    """(true pairs x, y and further real Y) for one step of `train_judges`."""
    x, y = (data.to_float(stacks[k][index]) for k in ("paired x", "paired y"))
    if pack == "avatars":
        return x, y, data.to_float(stacks["more y"][other])
    photographs = torch.cat([x, data.to_float(stacks["more y"][other])])
    photographs = _other_light(photographs, generator)
    retro = data.retro(photographs, generator)
    return photographs[: len(x)], retro[: len(x)], retro[len(x):]


def train_judges(pack, size, steps=1200, seed=0):
    """Trains and saves the fixed classifiers of `pack`; returns their held-out accuracy.

    Attributes are read off real Y images only (Y's own and X's hidden counterparts); the domain
    judge tells real Y images from X images, half-translated, blurred and tinted ones.
    """
    seed_everything(seed)
    generator = torch.Generator().manual_seed(seed)
    sizes = AVATAR_SIZES if pack == "avatars" else ()
    stacks = {f"paired {k}": v for k, v in paired_training_set(pack, size, 1).stacks.items()}
    if sizes:
        stacks["more y"] = data.avatar_sheet("train_y", len(data.avatar_records("train_y")), size)
        records = [data.avatar_records(f"train_{k}") for k in "xy"]
    else:
        stacks["more y"] = data.landscape_crops("train_y", size)  # still to be made retro
    judge = Judge(size, sizes)
    optimiser = torch.optim.Adam(judge.parameters(), 2e-3)
    for step in tqdm(range(steps), desc=f"judge {pack} {size}"):
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
        index, other = (torch.randint(len(stacks[k]), (32,), generator=generator)
                        for k in ("paired y", "more y"))
        x, y, more_y = _judge_batch(pack, stacks, index, other, generator)
        real, fake = torch.cat([y, more_y]), torch.cat([x, _nearly_y(x, y, bool(sizes), generator)])
        images = torch.cat([real, fake])  # noise, so that grain alone decides nothing
        images = images + 0.03 * torch.randn(images.shape, generator=generator)
        domain, attributes = judge(images)
        target = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))])
        loss = F.binary_cross_entropy_with_logits(domain, target)
        if sizes:
            truth = torch.cat([records[0][index], records[1][other]])
            loss = loss + sum(F.cross_entropy(logits[: len(real)], truth[:, k])
                              for k, logits in enumerate(attributes))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    save_weights(judge_path(pack, size), {"judge": judge}, half=True, metadata={
        "command": f"python -m gantutor.evaluate judges {pack} {size}", "seed": str(seed),
        "steps": str(steps), "torch": torch.__version__})
    load_judge.cache_clear()
    return judge_accuracy(pack, size)


def judge_path(pack, size):
    return data.data_folder() / "judges" / f"{pack}_{size}.safetensors"


@functools.lru_cache(maxsize=8)
def load_judge(pack, size):
    """The shipped judge of `pack` at `size` px, in eval mode and frozen."""
    judge = Judge(size, AVATAR_SIZES if pack == "avatars" else ())
    path = judge_path(pack, size)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no judge for {pack} at {size} px; train it with "
                                "`python -m gantutor.evaluate judges`")
    load_weights(path, {"judge": judge})
    return judge.eval().requires_grad_(False)


@torch.no_grad()
def in_batches(function, images, batch_size=100):
    """`function` over `images` a batch at a time, results concatenated; no gradients."""
    return torch.cat([function(part) for part in images.split(batch_size)])


def read_attributes(images, size):
    """(N, 8) attribute values that the fixed classifier reads off voxel-art images."""
    judge = load_judge("avatars", size)
    return in_batches(lambda b: torch.stack([a.argmax(1) for a in judge(b)[1]], 1), images)


def judge_accuracy(pack, size):
    """Accuracy of the fixed classifiers on real held-out images: name -> share.

    An attribute below 0.98 is unreliable: read its column with that in mind.
    """
    x, y, records = held_out_pairs(pack, size)
    judge = load_judge(pack, size)
    says_y = in_batches(lambda b: judge(b)[0] > 0, torch.cat([x, y]))
    truth = torch.arange(len(x) + len(y)) >= len(x)
    accuracy = {"domain": (says_y == truth).float().mean().item()}
    if records is not None:
        right = (read_attributes(y, size) == records).float().mean(0)
        accuracy |= dict(zip(data.ATTRIBUTES, right.tolist(), strict=True))
    return accuracy


# ------------------------------------------------------------------- panel


def unit_features(judge, images):
    """(N, 128) features of root mean square 1, so that no single large image rules the KID."""
    features = judge.features(images)
    return features / features.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)


def _judged(fake, y, records, judge, size, result):
    """`result` with what the fixed classifiers say of the translations, in the panel's order."""
    reached = in_batches(lambda b: judge(b)[0] > 0, fake)
    shares = {}
    if records is not None:
        right = read_attributes(fake, size) == records
        by_attribute = dict(zip(data.ATTRIBUTES, right.float().mean(0).tolist(), strict=True))
        shares = {"translated right": (right & reached[:, None]).float().mean().item(),
                  "content kept": right.float().mean().item(), "by attribute": by_attribute}
    features = [in_batches(lambda b: unit_features(judge, b), images) for images in (fake, y)]
    return shares | result | {"domain reached": reached.float().mean().item(),
                              "KID x1000": 1000 * metrics.kid(*features)}


@torch.no_grad()
def panel(translate, pack, size, back=None):
    """Every number of the panel for `translate`: x (N, 3, H, W) -> its translation into Y.

    Returns a dict. Per pack the same keys: "hidden-pair L1" (range 0..2), "PSNR" (dB), "SSIM",
    "domain reached" (share) and "KID x1000" where the pack has a judge, "diversity" (spread over
    inputs, 1 = the true targets'), and where there is a way `back`: "cycle L1". For the avatars
    first of all "translated right" and "content kept" (shares), and "by attribute", a dict.
    """
    x, y, records = held_out_pairs(pack, size)
    fake = in_batches(translate, x)
    if fake.shape != y.shape:
        raise ValueError(f"translate: expected images of shape {tuple(y.shape)}, "
                         f"found {tuple(fake.shape)}")
    result = {"hidden-pair L1": metrics.l1(fake, y), "PSNR": metrics.psnr(fake, y),
              "SSIM": metrics.ssim(fake, y)}
    if pack in PACKS:
        result = _judged(fake, y, records, load_judge(pack, size), size, result)
    result["diversity"] = metrics.spread(fake) / metrics.spread(y)
    if back is not None:
        result["cycle L1"] = metrics.l1(in_batches(back, fake), x)
    return result


def chance(part="held_out"):
    """Accuracy, by attribute, of always guessing the commonest value: name -> share."""
    records = data.avatar_records(part)
    return {name: (column.bincount().max() / len(column)).item()
            for name, column in zip(data.ATTRIBUTES, records.T, strict=True)}


def do_nothing(pack, size):
    """The panel's first reference row: the output is the input."""
    return panel(lambda x: x, pack, size)


def confusion(translate, attribute, size=32):
    """(values, values) counts: true value of `attribute` (rows) against the value read.

    A clean permutation off the diagonal is a wrong translation that no cycle can see.
    """
    x, _, records = held_out_pairs("avatars", size)
    k = data.ATTRIBUTES.index(attribute)
    read = read_attributes(in_batches(translate, x), size)[:, k]
    n = AVATAR_SIZES[k]
    return torch.bincount(records[:, k] * n + read, minlength=n * n).view(n, n)


def main(arguments=None):
    """``python -m gantutor.evaluate judges [PACK SIZE]``."""
    parser = argparse.ArgumentParser(prog="python -m gantutor.evaluate")
    parser.add_argument("command", choices=["judges"])
    parser.add_argument("pack", nargs="?", choices=PACKS)
    parser.add_argument("size", nargs="?", type=int, default=64)
    options = parser.parse_args(arguments)
    wanted = [("landscapes", 64), ("avatars", 32), ("avatars", 64)]
    for pack, size in [(options.pack, options.size)] if options.pack else wanted:
        accuracy = train_judges(pack, size)
        print(pack, size, {name: round(value, 3) for name, value in accuracy.items()}, flush=True)


if __name__ == "__main__":
    main()
