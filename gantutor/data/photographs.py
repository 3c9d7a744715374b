"""Photographs (X) and changed photographs of other places (Y): the packs *retro* and *ink*."""

import functools
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from gantutor.data.batches import Paired, Unpaired, to_float, to_uint8
from gantutor.data.changes import ink, retro
from gantutor.data.packs import Pack, Question
from gantutor.saving import data_folder

# Where they come from, who made them and under which licence: data/README.md.
PHOTOGRAPHS = ("aitzgorri", "bridge", "brushes", "bythewater", "chelsea", "china", "clock",
               "coffee", "coldripple", "cups", "dragonfly", "eveningglow", "fallenleaf", "fig",
               "flower", "free", "friends", "grey", "kite", "kleiber", "life", "onestandsout",
               "path", "picosdeeuropa", "rocket", "seeding", "summer", "sunset", "volna", "wine")
FIXED = 2026  # draws the validation photographs, before and apart from every split
SEEDS = {"train_x": 1, "train_y": 2, "validation": 3, "test": 4}  # of the crops, part by part
GRAIN = {"train_y": 3, "paired": 11, "validation": 5, "test": 7}  # of what a change draws at random


class Split(NamedTuple):
    """Names of photographs; no photograph is in two parts."""

    train_x: tuple
    train_y: tuple
    validation: tuple
    test: tuple


def split(seed):
    """Divides the photographs at random: 10 train X, 10 train Y, 5 validate, 5 test.

    The five of validation are the same in every split, and never in another part of any: what is
    chosen by them is chosen without a look at any split's results on test photographs. The
    course's splits are 0 to 4. They were fixed by their number before anything was trained on them.
    """
    order = np.random.default_rng(FIXED).permutation(PHOTOGRAPHS)
    validation, rest = order[:5].tolist(), sorted(order[5:].tolist())
    rest = np.random.default_rng(seed).permutation(rest).tolist()
    return Split(*map(tuple, (rest[:10], rest[10:20], validation, rest[20:])))


@functools.cache
def photograph(name):
    """One shipped photograph, as a PIL image in RGB."""
    return Image.open(data_folder() / "photographs" / f"{name}.jpg").convert("RGB")


def crops(photographs, count, size=64, seed=0):
    """`count` square crops of the shipped photographs named, uint8 (count, 3, size, size).

    Whole scenes: a crop's side is 45 to 100 % of the photograph's short side, then it is scaled
    down. Half of them are mirrored. Every photograph has its turn.
    """
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        picture = photograph(photographs[k % len(photographs)])
        side = int(min(picture.size) * rng.uniform(0.45, 1.0))
        left = int(rng.integers(0, picture.width - side + 1))
        top = int(rng.integers(0, picture.height - side + 1))
        box = (left, top, left + side, top + side)
        crop = picture.resize((size, size), Image.BICUBIC, box=box)
        if rng.random() < 0.5:
            crop = crop.transpose(Image.FLIP_LEFT_RIGHT)
        found.append(np.asarray(crop))
    return torch.from_numpy(np.stack(found).transpose(0, 3, 1, 2).copy())


def changed(images, change, seed):
    """uint8 photographs -> their true Y, uint8. change: (images in [-1, 1], generator) -> Y."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([to_uint8(change(to_float(part), generator)) for part in images.split(100)])


@functools.lru_cache(maxsize=8)
def stack(part, split_seed, size, count, change=None, grain=None):
    """Crops of one part of a split, as they are or changed. Nobody writes to the result."""
    names = getattr(split(split_seed), part)
    images = crops(names, count, size, SEEDS[part])
    return images if change is None else changed(images, change, GRAIN[grain or part])


def unpaired(size=64, batch_size=8, seed=0, *, change=retro, split=0, count=1500):
    """Unpaired photographs (X) and changed photographs (Y): crops of different photographs."""
    return Unpaired(stack("train_x", split, size, count),
                    stack("train_y", split, size, count, change), batch_size, seed)


def paired(size=64, batch_size=8, seed=0, *, change=retro, split=0, count=1500):
    """The photographs of X with their own changed versions, only for the supervised ceiling."""
    return Paired(stack("train_x", split, size, count),
                  stack("train_x", split, size, count, change, "paired"), batch_size, seed)


def questions(size=64, *, change=retro, split=0, part="test"):
    """300 crops of the photographs of one part, with their true changed versions."""
    x, y = stack(part, split, size, 300), stack(part, split, size, 300, change)
    return [Question(to_float(x), to_float(y))]


@functools.cache
def photographs(name, change, split):
    """The pack of one change and one split. The same arguments give the same value.

    name: of the pack. change: (images (N, 3, H, W) in [-1, 1], generator) -> the true Y. split: any
    whole number; see `split`.
    """
    given = {"change": change, "split": split}
    return Pack(name, 64, partial(unpaired, **given), partial(paired, **given),
                partial(questions, **given), validation=partial(questions, part="validation",
                                                                **given),
                divide=partial(photographs, name, change))


RETRO = photographs("retro", retro, 0)
INK = photographs("ink", ink, 0)
# The dial: the same process weaker, stronger, and on the negative.
DIAL = {"retro x 0": photographs("retro x 0", partial(retro, strength=0.0), 0),
        "retro x 0.5": photographs("retro x 0.5", partial(retro, strength=0.5), 0),
        "retro": RETRO,
        "retro x 2": photographs("retro x 2", partial(retro, strength=2.0), 0),
        "inverted": photographs("inverted", partial(retro, inverted=True), 0),
        "ink": INK}
