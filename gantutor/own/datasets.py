"""`gantutor data list|build|check`: the papers' data sets by name, and a look at one's own."""

import hashlib
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import torch

from gantutor.data.catalogue import SETS, build
from gantutor.data.large import Folder
from gantutor.runs import shipped
from gantutor.saving import data_folder

HOME = "datasets"
THUMB = 8    # px of the squares by which equal pictures are found
SHOWN = 20   # bad files that are listed


def add_command(commands):
    """`data` with its three actions; each function returns the exit code."""
    data = commands.add_parser("data", help="data sets by name: list, build, check",
                               description="The data sets of the papers by name, and a look at "
                                           "your own folders before you train on them.")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what there is, how large, and whether it is here")
    listing.set_defaults(act=list_sets)
    building = actions.add_parser("build", help="fetch a set, check it and lay it out in folders",
                                  epilog=f"NAME is one of: {', '.join(SETS)}")
    building.add_argument("name", metavar="NAME", help="see below")
    building.add_argument("--from", dest="local", metavar="PATH", help="the archive or the folder "
                          "that you have: nothing is fetched then")
    building.add_argument("--patience", type=float, default=30, metavar="SECONDS", help="after so "
                          "long without an answer the next address is tried (default 30)")
    building.set_defaults(act=build_set)
    checking = actions.add_parser("check", help="read every picture below folders, and list those "
                                                "that cannot be used; without a folder: the "
                                                "packs that ship with the course")
    checking.add_argument("folders", nargs="*", metavar="DIR", help="a folder of pictures, or the "
                                                                    "name of a set")
    checking.set_defaults(act=check_folders)
    for command in (listing, building, checking):
        command.add_argument("--to", default=HOME, metavar="DIR", help="where sets lie (default: "
                                                                       f"{HOME})")
    return data


def list_sets(options):
    """Prints a line per set: name, what it is, how much is fetched, whether it is here."""
    for name, wanted in SETS.items():
        here = "here" if _is_here(wanted, Path(options.to).expanduser()) else ""
        size = f"{wanted.length / 1e6:,.0f} MB" if wanted.length else "small" if wanted.files else \
            "yours"
        print(f"{name:23} {size:>8}  {here:5} {wanted.what}")
    print("\nyours: cannot be fetched, `gantutor data build NAME` says where to ask. Read each "
          "set's terms.\nThe course's own packs ship with it: `gantutor data check` looks whether "
          "they are whole.")
    return 0


def _is_here(wanted, folder):
    files = [folder / file.name.removesuffix(".gz") for file in wanted.files]
    return (folder / wanted.name).is_dir() or (bool(files) and all(f.is_file() for f in files))


def build_set(options):
    """Fetches and lays out one set, then says how to use it."""
    folder = build(options.name, options.to, options.local, patience=options.patience)
    wanted = SETS[options.name]
    print(f"{options.name}: {wanted.what}\nin {folder}\nnext: {wanted.use.format(folder=folder)}")
    return 0


def check_folders(options):
    """Reads everything and prints what is found. 1 if a file cannot be used, or is not whole."""
    if not options.folders:
        return _check_packs()
    codes = []
    for text in options.folders:
        named = Path(options.to).expanduser() / text
        codes.append(check_folder(named if text in SETS and not Path(text).exists() else text))
    return max(codes)


def _check_packs():
    listed, folder = shipped(), data_folder()
    wrong = [file for file, digest in listed.items() if not (folder / file).is_file()
             or hashlib.sha256((folder / file).read_bytes()).hexdigest() != digest]
    print(f"{folder}: {len(listed) - len(wrong)} of {len(listed)} files are whole")
    for file in wrong[:SHOWN]:
        print(f"  damaged or missing: {folder / file}")
    return int(bool(wrong))


def check_folder(path, progress=True):
    """Reads every picture below a folder and prints counts, bad files and equal pictures.

    Returns 1 if a picture cannot be used, else 0. Errors as `Folder`.
    """
    folder = Folder(path, THUMB, crop="centre", progress=progress)
    thumbs = list(_thumbs(folder))
    parts = Counter(file.relative_to(folder.path).parts[:-1][:1] for _, file in thumbs)
    print(f"{folder.path}: {len(thumbs)} of {len(folder)} pictures can be used")
    for part, count in sorted(parts.items()):
        if part:
            print(f"  {part[0]}: {count}")
    _print_some("cannot be used", list(folder.bad.values()))
    _print_some("remarks", [note for notes in folder.notes.values() for note in notes])
    by_thumb = {}
    for thumb, file in thumbs:
        by_thumb.setdefault(thumb, []).append(file)
    equal = [files for files in by_thumb.values() if len(files) > 1]
    _print_some(f"look alike at {THUMB} px; where one is in X and one in Y, the two are no longer "
                "apart", [" = ".join(map(str, files)) for files in equal])
    return int(bool(folder.bad))


def _thumbs(folder):
    """(bytes of a small square, path) of every picture that can be used."""
    with warnings.catch_warnings(), suppress(ValueError):  # where none can be used
        warnings.simplefilter("ignore")  # all of it is printed below
        folder.wait()
        for k, file in enumerate(folder.paths):
            thumb = folder[torch.tensor([k])].numpy().tobytes()
            if file not in folder.bad:  # or it is that of another picture
                yield thumb, file


def _print_some(what, texts):
    if texts:
        more = f", the first {SHOWN}" if len(texts) > SHOWN else ""
        print(f"{len(texts)} {what}{more}:", *texts[:SHOWN], sep="\n  ")
