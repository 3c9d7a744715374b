"""The avatars with one thing changed: how far Y is, what is frequent, what only X has, how many.

Every pack is judged on the same 300 people as `AVATARS`, at 32 px. The labels are read only to say
who trains; they are in no batch.
"""

import functools
import json

import torch
from torch.nn import functional as F

from gantutor.data.avatars import ATTRIBUTES, AVATARS, records, sheet
from gantutor.data.batches import Paired, Unpaired, to_float, to_uint8
from gantutor.data.packs import Question, grainy, load_sheet, not_quite_y
from gantutor.losses import softened
from gantutor.saving import data_folder

SIZE = 32


def _made(x, y, true_y, **rest):
    """`AVATARS` with other training images. x, y, true_y: () -> uint8 (N, 3, 32, 32)."""
    return AVATARS._replace(unpaired=lambda size, batch_size=16, seed=0: Unpaired(
        x(), y(), batch_size, seed), paired=lambda size, batch_size=16, seed=0: Paired(
            x(), true_y(), batch_size, seed), **rest)


def _usual(name):
    """() -> a sheet of the avatars."""
    return lambda: sheet(name, SIZE)


# ------------------------------------------------------------------ how far Y is


def outlined(images):
    """A pixel whose right or lower neighbour has another colour gets dark: uint8 (N, 3, H, W)."""
    edge = torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.bool)
    edge[..., :-1] |= (images[..., 1:] != images[..., :-1]).any(1, keepdim=True)
    edge[..., :-1, :] |= (images[..., 1:, :] != images[..., :-1, :]).any(1, keepdim=True)
    return torch.where(edge, images // 3, images)


@functools.cache
def _recoloured(name, drawn):
    """Pixel art in voxel art's colours, with an outline or without: uint8 (N, 3, 32, 32)."""
    part = {"train_y": "train_y", "hidden_train": "train_x"}.get(name)
    count = len(records(part)) if part else 300
    images = load_sheet(data_folder() / "avatars" / f"palette_{name}_32.webp", count, SIZE)
    return drawn(images)


def _dial(name, drawn):
    """The pack of one step of the dial. drawn: what is done to the recoloured pixel art."""
    def asked(x, y, part):
        people = records(part)
        return lambda size: [Question(to_float(sheet(x, SIZE)), to_float(_recoloured(y, drawn)),
                                      people, people)]

    def judged(size, generator):
        x, y = sheet("train_x", SIZE), _recoloured("hidden_train", drawn)
        people = records("train_x")

        def draw():
            index = torch.randint(len(x), (64,), generator=generator)
            real_x, real_y = to_float(x[index]), to_float(y[index])
            fake = torch.cat([real_x[:32], not_quite_y(real_x, real_y, generator, True)[32:]])
            return grainy(torch.cat([real_y, fake])), torch.arange(128) < 64, people[index]

        return draw

    return _made(_usual("train_x"), lambda: _recoloured("train_y", drawn),
                 lambda: _recoloured("hidden_train", drawn), name=name, jury=False, judged=judged,
                 questions=asked("hidden_x", "hidden_y", "held_out"),
                 validation=asked("validation_x", "validation_y", "validation"))


# Other colours; then dark outlines too; the whole change, another style, is that of `AVATARS`.
RECOLOURED = {"palette": _dial("palette", lambda images: images),
              "outline": _dial("outline", outlined)}

# ------------------------------------------------------------------ what only X has


def background(images):
    """(N, 1, H, W) bool: where an image of pixel art has the colour of its upper left corner."""
    return (images == images[..., :1, :1]).all(1, keepdim=True)


def texture(count, strength=0.3, seed=0):
    """Smooth random brightness, (count, 1, 32, 32): mean 0, standard deviation `strength`."""
    coarse = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, SIZE, mode="bicubic")
    return strength * (smooth - smooth.mean((2, 3), True)) / smooth.std((2, 3), keepdim=True)


def texture_of(name):
    """The textures of a sheet, (N, 1, 32, 32)."""
    seed = ("train_x", "hidden_x", "validation_x").index(name)
    return texture(len(sheet(name, SIZE)), seed=seed)


@functools.cache
def textured(name):
    """A sheet of pixel art whose backgrounds have a random texture, each its own: uint8."""
    images = sheet(name, SIZE)
    return to_uint8(to_float(images) + background(images) * texture_of(name))


def patterns(part):
    """(textures, where they lie) of the people "train_x" or "held_out": (N, 1, 32, 32), bool."""
    name = {"train_x": "train_x", "held_out": "hidden_x"}[part]
    return texture_of(name), background(sheet(name, SIZE))


def _asked(drawn, name, true, part):
    """The questions of a pack whose x are drawn otherwise. drawn: (sheet, size) -> images."""
    return lambda size: [Question(to_float(drawn(name, size)), to_float(sheet(true, size)),
                                  records(part), records(part))]


def _textured(name, size):
    return textured(name)


# Y has plain backgrounds, and nothing in it says which texture X had.
TEXTURED = _made(lambda: textured("train_x"), _usual("train_y"), _usual("hidden_train"),
                 questions=_asked(_textured, "hidden_x", "hidden_y", "held_out"),
                 validation=_asked(_textured, "validation_x", "validation_y", "validation"))

# ------------------------------------------------------------------ faces in the same place


def edge_map(images):
    """(H, W): where the images (N, 3, H, W), uint8, have edges on average. It needs no labels."""
    brightness = to_float(images).mean(1, keepdim=True)
    return (brightness - softened(brightness)).abs().mean((0, 1))


def registration(x, y, most=None):
    """(down, right): by how many pixels x must be moved so that its edges lie where y's do.

    x, y: uint8 (N, 3, H, W) and (M, 3, H, W). The highest correlation of the two `edge_map`s, of
    all moves of at most `most` pixels, by default a fifth of the width. The rim is left out, so
    that no move gains by it.
    """
    most = x.shape[-1] // 5 if most is None else most
    ours, theirs = edge_map(x), edge_map(y)[most:-most, most:-most].flatten()
    found = {}
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            there = ours.roll((down, right), (0, 1))[most:-most, most:-most].flatten()
            found[down, right] = torch.corrcoef(torch.stack([there, theirs]))[0, 1].item()
    return max(found, key=found.get)


def moved(images, down, right):
    """uint8 (N, 3, H, W), moved; what comes in at a rim has the colours of the old rim."""
    pad = max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)
    wide = F.pad(images.float(), pad, "replicate").to(torch.uint8)
    top, left = max(-down, 0), max(-right, 0)
    return wide[..., top:top + images.shape[-2], left:left + images.shape[-1]]


@functools.cache
def registered(name, size=SIZE):
    """A sheet of pixel art, moved to where the voxel art's faces are: uint8."""
    return moved(sheet(name, size), *registration(sheet("train_x", size), sheet("train_y", size)))


def _registered_batches(kind, y):
    return lambda size, batch_size=16, seed=0: kind(registered("train_x", size), sheet(y, size),
                                                    batch_size, seed)


# The same people, at 32 or 64 px. A face of X lies where a face of Y does.
REGISTERED = AVATARS._replace(
    unpaired=_registered_batches(Unpaired, "train_y"),
    paired=_registered_batches(Paired, "hidden_train"),
    questions=_asked(registered, "hidden_x", "hidden_y", "held_out"),
    validation=_asked(registered, "validation_x", "validation_y", "validation"))

# ------------------------------------------------------------------ what is frequent, how many


def unequal_records():
    """The records of `UNEQUAL`'s people, {"train_x", "train_y"}, as `avatars.records` has them."""
    return json.loads((data_folder() / "avatars" / "unequal.json").read_text())


def _unequal(name):
    count = len(unequal_records()["train_x"])
    return load_sheet(data_folder() / "avatars" / f"unequal_{name}_32.webp", count, SIZE)


# 1,000 faces a domain. The most frequent colours come two and a half to three times as often as
# the rarest; no two are equally frequent.
UNEQUAL = _made(*(functools.partial(_unequal, name)
                  for name in ("train_x", "train_y", "hidden_train")))


def few(count):
    """The first `count` faces of X and of Y only."""
    return _made(*(functools.partial(sheet, name, SIZE, count)
                   for name in ("train_x", "train_y", "hidden_train")))


def _some_with(attribute, shares, count):
    """`count` faces a domain, of which shares = (in X, in Y) have value 1 of the attribute."""
    def some(name, part, share):
        has_it = records(part)[:, list(ATTRIBUTES).index(attribute)] == 1
        many = round(share * count)
        chosen = [kind.nonzero()[:, 0][:number]
                  for kind, number in ((has_it, many), (~has_it, count - many))]
        return sheet(name, SIZE)[torch.cat(chosen).sort().values]

    in_x, in_y = shares
    return _made(lambda: some("train_x", "train_x", in_x), lambda: some("train_y", "train_y", in_y),
                 lambda: some("hidden_train", "train_x", in_x))


def glasses_in_y(share):
    """1,050 faces a domain. Half of X has glasses, and `share` of Y (at most .9)."""
    return _some_with("glasses", (0.5, share), 1050)


def frowning(share):
    """1,600 faces a domain, of which `share` frown (.3 to .7), in X as in Y."""
    return _some_with("mouth", (share, share), 1600)
