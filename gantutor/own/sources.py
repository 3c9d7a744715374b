"""Where a reader's pictures come from: two folders, one folder per domain, or a list of labels."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import torch

from gantutor.data.batches import Labelled
from gantutor.data.folders import is_system_name, list_images
from gantutor.data.large import Folder, own_pictures

MANY = 10  # a list with more attributes than this needs --attributes
TRUE, FALSE = {"1", "1.0", "true", "yes"}, {"-1", "0", "-1.0", "0.0", "", "false", "no"}


class Drawn(NamedTuple):
    """How batches are drawn: pixels, images per batch, seed, mirrored or not, crop, memory."""

    size: int
    batch_size: int
    seed: int
    flip: bool
    crop: str
    budget: int


def evenly(stack, most):
    """At most `most` pictures of a stack, evenly spread over it."""
    return stack[torch.linspace(0, len(stack) - 1, min(most, len(stack))).long()]


def _folders_in(folder):
    return sorted(path for path in folder.iterdir()
                  if path.is_dir() and not is_system_name(path.name))


def existing(folder, option):
    """The folder as a path. FileNotFoundError or NotADirectoryError naming the option."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        error = NotADirectoryError if folder.exists() else FileNotFoundError
        raise error(f"{option} {folder}: {'a file' if folder.exists() else 'no such folder'}; "
                    "expected a folder of pictures")
    return folder


def domains_of(x=None, y=None, data=None):
    """The folders that --x and --y or --data name, one per domain: [Path, ...].

    In `data` these are trainA and trainB (as in CycleGAN's sets), or else its sub-folders, or
    those of its folder `train` where there is one. ValueError, FileNotFoundError or
    NotADirectoryError that names the option.
    """
    if data is None:
        if x is None or y is None:
            raise ValueError("two folders of pictures are needed: --x DIR --y DIR, or --data DIR "
                             "with one folder per domain")
        return [existing(x, "--x"), existing(y, "--y")]
    if x is not None or y is not None:
        raise ValueError("--data goes without --x and --y")
    data = existing(data, "--data")
    inside = _folders_in(data)
    pair = [folder for folder in inside if folder.name in ("trainA", "trainB")]
    if len(pair) == 2:
        return pair
    if "train" in (folder.name for folder in inside):
        inside = _folders_in(data / "train")
    if len(inside) < 2:
        raise ValueError(f"--data {data}: {len(inside)} folders of pictures in it; expected trainA "
                         "and trainB, or one folder per domain")
    return inside


def two_domains(folders, method):
    """The two folders. ValueError where there are more: only StarGAN has many domains."""
    if len(folders) != 2:
        names = ", ".join(folder.name for folder in folders[:5])
        raise ValueError(f"{len(folders)} domains ({names}); {method} translates between two, "
                         "stargan between many")
    return folders


def unpaired(folders, drawn):
    """Endless batches {"x", "y"} of two folders."""
    return own_pictures(*folders, **drawn._asdict())


# ------------------------------------------------------------------ pictures with codes


def one_folder_per_domain(folders, drawn):
    """(batches {"x", "code"}, names): each picture's code is 1 at its domain, 0 elsewhere."""
    listed = [list_images(folder)[0] for folder in folders]
    paths = [path for files in listed for path in files]
    stack = Folder(os.path.commonpath(folders), drawn.size, drawn.crop, drawn.budget, paths=paths)
    codes = torch.eye(len(folders)).repeat_interleave(torch.tensor([*map(len, listed)]), 0)
    batches = Labelled([(stack, codes)], drawn.batch_size, drawn.seed, drawn.flip)
    return batches, [folder.name for folder in folders]


def labelled(folder, labels, attributes, drawn):
    """(batches {"x", "code"}, names) of one folder of pictures and a list of labels.

    labels: a file as `read_labels` takes. attributes: the names of the columns to learn, by
    default all of up to MANY. Pictures that the list does not name are left out; a line says how
    many. ValueError where the list names none, or an attribute is the same for all.
    """
    if folder is None:
        raise ValueError("--labels goes with --x DIR, the folder of the pictures it names")
    folder = existing(folder, "--x")
    names, rows = read_labels(labels)
    chosen = list(attributes or names)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(f"--attributes {unknown[0]}: {labels} has {', '.join(names[:45])}")
    if len(chosen) > MANY and not attributes:
        raise ValueError(f"{labels}: {len(names)} attributes; say with --attributes which ones to "
                         f"learn, for example --attributes {' '.join(names[:3])}")
    files = list_images(folder)[0]
    known = {path: rows[name] for path in files for name in
             (path.name, path.relative_to(folder).as_posix()) if name in rows}
    if not known:
        raise ValueError(f"{labels}: names none of the {len(files)} pictures of {folder}; expected "
                         f"file names such as {files[0].name}")
    if len(known) < len(files):
        print(f"{len(files) - len(known)} of {len(files)} pictures are not in {labels}: left out",
              flush=True)
    columns = [names.index(name) for name in chosen]
    codes = torch.tensor([[row[column] for column in columns] for row in known.values()])
    for name, column in zip(chosen, codes.T, strict=True):
        if column.min() == column.max():
            raise ValueError(f"{labels}: {name} is {column[0]:.0f} for every picture; expected "
                             "both 0 and 1, or other --attributes")
    stack = Folder(folder, drawn.size, drawn.crop, drawn.budget, paths=list(known))
    return Labelled([(stack, codes)], drawn.batch_size, drawn.seed, drawn.flip), chosen


def read_labels(path):
    """(names, {file name: [0.0 or 1.0 per name]}) of a CSV, or of a list such as CelebA's.

    A CSV begins with a line of names; its first column holds file names. CelebA's
    list_attr_celeba.txt has the number of pictures in its first line and no name for the first
    column. Labels are 0 and 1, or -1 and 1. FileNotFoundError; ValueError naming the line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"--labels {path}: no such file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"--labels {path}: not a text file; expected a CSV, or a list such as "
                         "CelebA's list_attr_celeba.txt") from None
    counted = bool(lines) and lines[0].strip().isdecimal()
    table = [line.split() for line in lines[1:]] if counted else list(csv.reader(lines))
    rows = [(k + 1 + counted, row) for k, row in enumerate(table) if row]
    if len(rows) < 2:
        raise ValueError(f"--labels {path}: no labels; expected a line of names and one line per "
                         "picture")
    names = rows[0][1] if counted else [name.strip() for name in rows[0][1][1:]]
    found = {}
    for number, (file, *values) in rows[1:]:
        if len(values) != len(names):
            raise ValueError(f"--labels {path}, line {number}: {len(values)} labels; expected "
                             f"{len(names)}, one per name in the first line")
        found[file.strip()] = [_truth(value, path, number) for value in values]
    return names, found


def _truth(value, path, number):
    word = value.strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError(f"--labels {path}, line {number}: {value!r}; expected 1, 0 or -1")
    return float(word in TRUE)
