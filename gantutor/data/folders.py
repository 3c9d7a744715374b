"""A reader's own two folders of images, of any size, format and colour mode, as unpaired batches.

Every image is used, or the error names it. Other files are counted in a warning. Only hidden and
system files (`is_system_name`) are skipped without a warning.
"""

import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gantutor.data.batches import Unpaired
from gantutor.data.images import MAX_PIXELS, read_image, read_with_notes

__all__ = ["EXTENSIONS", "is_system_name", "list_images", "load_folder", "load_two_folders",
           "read_image", "unpaired"]

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff",
              ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif")
# Lower case. Windows, macOS, Linux, Synology, QNAP. Names that begin with a dot are skipped too.
SYSTEM_NAMES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini",
                "$recycle.bin", "recycler", "recycled", "system volume information", "__macosx",
                "icon\r", "network trash folder", "temporary items", "lost+found", "@eadir",
                "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"}
SHOWN = 5  # how many files a summary names


def unpaired(folder_x, folder_y, size=64, batch_size=8, seed=0, flip=True):
    """A reader's own two folders as `Unpaired` batches of (batch_size, 3, size, size) each.

    flip: mirror half of the images. Switch it off where left and right differ, as in writing.
    Errors and warnings as `load_two_folders`.
    """
    x, y = load_two_folders(folder_x, folder_y, size, batch_size)
    return Unpaired(x, y, batch_size, seed, flip)


def load_two_folders(folder_x, folder_y, size, batch_size):
    """Two folders -> (x, y): uint8 (N_x, 3, size, size) and (N_y, 3, size, size).

    Raises what `load_folder` raises. ValueError if a folder has fewer images than batch_size, or
    if a file belongs to both folders, directly or by a link: X would then hold images of Y.
    """
    paths = {}
    for folder in (folder_x, folder_y):
        paths[folder] = list_images(folder)[0]
        if len(paths[folder]) < batch_size:  # before reading, which may take minutes
            raise ValueError(f"{folder}: {len(paths[folder])} images; expected at least "
                             f"{batch_size=}")
    refuse_shared_files(paths[folder_x], paths[folder_y])
    return load_folder(folder_x, size), load_folder(folder_y, size)


def load_folder(folder, size, limit=None, min_side=8, max_pixels=MAX_PIXELS):
    """All images below a folder (the first `limit` by name) -> uint8 (N, 3, size, size).

    Scales the shorter side to `size` (Lanczos) and crops the longer side at its centre. One
    warning counts the files that are no images, one sums up what `read_image` warns of.
    Raises FileNotFoundError or NotADirectoryError for the folder, another OSError where it cannot
    be listed, and ValueError if it holds no image, a bad one, or one smaller than min_side.
    """
    if min(size, size if limit is None else limit) < 1:
        raise ValueError(f"{size=}, {limit=}; expected at least 1")
    paths, others = list_images(folder)
    if others:
        warnings.warn(f"{folder}: ignored {len(others)} other files, {others[:3]}", stacklevel=2)
    bad, notes = [], []
    images = torch.empty(len(paths[:limit]), 3, size, size, dtype=torch.uint8)
    for path, out in zip(paths[:limit], images, strict=True):
        try:
            image, said = read_with_notes(path, max_pixels)
            if min(image.size) < min_side:
                raise ValueError(f"{path}: {image.size} pixels; expected {min_side=} or more")
            out.copy_(_square(image, size))
            notes += said
        except (OSError, ValueError) as error:
            bad.append(str(error))
    if bad:
        raise ValueError(f"{folder}: {len(bad)} of {len(images)} images cannot be used{few(bad)}")
    if notes:
        warnings.warn(f"{folder}: {len(notes)} remarks{few(notes)}", stacklevel=2)
    return images


def is_system_name(name):
    """True for hidden files and for what systems leave in folders, such as Thumbs.db, @eaDir."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def few(texts):
    return f"; the first {len(texts[:SHOWN])}:" + "".join(f"\n  {text}" for text in texts[:SHOWN])


def _walk(folder, above=()):
    """Files below a folder by name, without system names. Follows links, but not in circles."""
    for path in sorted(folder.iterdir()) if folder.resolve() not in above else ():
        if not is_system_name(path.name):
            yield from _walk(path, (*above, folder.resolve())) if path.is_dir() else (path,)


def list_images(folder):
    """(paths of images, names of other files) below a folder, both sorted by name.

    FileNotFoundError or NotADirectoryError for the folder; ValueError if it holds no image.
    """
    folder, expected = Path(folder).expanduser(), f"expected images ({' '.join(EXTENSIONS)})"
    if not folder.is_dir():
        error = NotADirectoryError if folder.exists() else FileNotFoundError
        raise error(f"{folder}: {'a file' if folder.exists() else 'no such folder'}; {expected}")
    files = list(_walk(folder))
    images = [path for path in files if path.suffix.lower() in EXTENSIONS]
    others = [str(p.relative_to(folder)) for p in files if p.suffix.lower() not in EXTENSIONS]
    if not images:
        raise ValueError(f"{folder}: no images, {len(others)} other files {others[:3]}; {expected}"
                         ", not hidden and not in a system folder")
    return images, others


def refuse_shared_files(paths_x, paths_y):
    """ValueError if a file is in both lists under any name: a symbolic link, a hard link."""
    def identities(paths):
        for path in paths:
            with suppress(OSError):  # a link to nothing: reading it says so
                found = path.stat()
                yield (found.st_dev, found.st_ino) if found.st_ino else path.resolve(), path

    in_y = dict(identities(paths_y))
    shared = [(path, in_y[key]) for key, path in identities(paths_x) if key in in_y]
    if shared:
        raise ValueError(f"{shared[0][0]} of X and {shared[0][1]} of Y are the same file, one of "
                         f"{len(shared)}; expected two folders that share no file (not the "
                         "same folder, or one inside the other, or links between them)")


def _square(image, size):
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2  # a half pixel would blur
    image = image.resize((size, size), Image.LANCZOS, (left, top, left + side, top + side), 3)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
