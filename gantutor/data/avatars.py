"""The packs *avatars* (pixel art -> voxel art) and *monochromes* (pixel art -> black and white)."""

import functools
import json

import torch

from gantutor.data.batches import Paired, Unpaired, to_float, to_uint8
from gantutor.data.packs import Pack, Question, grainy, load_sheet, not_quite_y
from gantutor.saving import data_folder

# How many values each attribute of a record has.
ATTRIBUTES = {"skin": 4, "hair": 6, "shirt": 5, "background": 4, "long_hair": 2, "glasses": 2,
              "beard": 2, "mouth": 2}


@functools.lru_cache(maxsize=1)
def _table():
    return json.loads((data_folder() / "avatars" / "records.json").read_text())


def records(part):
    """(N, 8) int64 attribute values of "train_x", "train_y", "held_out" or "validation"."""
    return torch.tensor(_table()[part])


def sheet(name, size, count=None):
    """The first `count` avatars of one sheet, "train_x" or another, at `size` px, uint8.

    By default all of them. ValueError for a size other than 32 and 64.
    """
    if size not in (32, 64):
        raise ValueError(f"size={size}: the avatars are drawn at 32 and at 64 px")
    if count is None:
        part = {"hidden_x": "held_out", "hidden_y": "held_out", "hidden_train": "train_x",
                "validation_x": "validation", "validation_y": "validation"}
        count = len(records(part.get(name, name)))
    return load_sheet(data_folder() / "avatars" / f"{name}_{size}.webp", count, size)


def unpaired(size=32, batch_size=16, seed=0):
    """Unpaired pixel art (X) and voxel art (Y), 2,500 each, from disjoint records.

    `size` is 32 or 64 px. The attribute labels are not part of a batch.
    """
    return Unpaired(sheet("train_x", size), sheet("train_y", size), batch_size, seed)


def paired(size=32, batch_size=16, seed=0):
    """The training faces of X with their counterparts in Y, only for the supervised ceiling."""
    return Paired(sheet("train_x", size), sheet("hidden_train", size), batch_size, seed)


def questions(size=32):
    """300 people that neither domain trains on, drawn in both styles, with their records."""
    return _translate("held_out", "hidden", size)


def validation(size=32):
    """300 more people, for choosing: neither trained on nor among those of `questions`."""
    return _translate("validation", "validation", size)


def _translate(part, drawn, size):
    """One question about the people of a part, drawn on the sheets `drawn`_x and `drawn`_y."""
    people = records(part)
    x, y = (to_float(sheet(f"{drawn}_{domain}", size)) for domain in "xy")
    return [Question(x, y, people, people)]


def judged(size, generator):
    """Draws the judge's batches: 64 real voxel-art faces, and 64 images that are not quite Y.

    The real ones are Y's own and X's hidden counterparts. Only these have attribute values.
    """
    x, y, more = (sheet(name, size) for name in ("train_x", "hidden_train", "train_y"))
    people = records("train_x"), records("train_y")

    def draw():
        index, other = (torch.randint(len(stack), (32,), generator=generator)
                        for stack in (y, more))
        real_x, real_y = to_float(x[index]), to_float(y[index])
        real = torch.cat([real_y, to_float(more[other])])
        fake = torch.cat([real_x, not_quite_y(real_x, real_y, generator, True)])
        is_y = torch.arange(len(real) + len(fake)) < len(real)
        values = torch.cat([people[0][index], people[1][other]])
        return grainy(torch.cat([real, fake])), is_y, values

    return draw


AVATARS = Pack("avatars", 32, unpaired, paired, questions, ATTRIBUTES, judged, jury=True,
               validation=validation)


# -------------------------------------------------------------- monochromes


def monochrome(images):
    """(N, 3, H, W) -> the same shape, each channel replaced by the mean of the three."""
    return images.mean(1, keepdim=True).expand_as(images)


def monochromes(size=32, batch_size=8, seed=0):
    """Unpaired pixel-art faces in colour (X) and other pixel-art faces in black and white (Y).

    1,250 faces each. Many faces share one monochrome picture, so the way back has to guess.
    """
    colour, others = sheet("train_x", size).chunk(2)
    return Unpaired(colour, to_uint8(monochrome(to_float(others))), batch_size, seed)


def paired_monochromes(size=32, batch_size=8, seed=0):
    """The faces of X in colour and in black and white, only for the supervised pair."""
    x = monochromes(size).stacks["x"]
    return Paired(x, to_uint8(monochrome(to_float(x))), batch_size, seed)


def monochrome_questions(size=32):
    """The held-out people's pixel-art faces, in colour and in black and white."""
    x = to_float(sheet("hidden_x", size))
    return [Question(x, monochrome(x))]


MONOCHROMES = Pack("monochromes", 32, monochromes, paired_monochromes, monochrome_questions)
