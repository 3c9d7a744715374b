"""A zip archive of pictures that a stranger made, unpacked whole or not at all.

Refused as a whole: paths that lead out of the folder, links, devices, passwords, the same path
twice, and more bytes than were agreed. Only pictures and lists are taken.
"""

import errno
import gzip
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from gantutor.data.folders import EXTENSIONS, is_system_name
from gantutor.saving import atomically

LISTS = (".txt", ".csv")
ENTRIES = 500_000
CHUNK = 2**20


def unpack(archive, folder, limit, progress=True):
    """Unpacks the zip `archive` into the new `folder`; returns the number of files.

    limit: bytes, unpacked. Raises FileExistsError if the folder is there, and ValueError that
    names the archive, the entry, what was found and what was expected; then no folder is left.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder}: is there already; expected a new folder")
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(opened.infolist(), limit)
            scratch.mkdir(parents=True)
            for entry, parts in tqdm(entries, desc=f"unpacking {folder.name}", leave=False,
                                     disable=not progress):
                _copy(opened, entry, scratch.joinpath(*parts))
        scratch.rename(folder)
        return len(entries)
    except FileExistsError:
        raise
    except Exception as error:  # damaged archives make zipfile raise nearly anything
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk; EINVAL: a place in the archive that cannot be
        raise ValueError(f"{archive}: not unpacked ({error})") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def gunzip(packed, path, limit):
    """Unpacks one .gz file to `path`. ValueError if it is damaged or holds more than `limit`."""
    def write(temporary):
        left = limit
        with gzip.open(packed) as source, open(temporary, "wb") as target:
            while data := source.read(CHUNK):
                left -= len(data)
                if left < 0:
                    raise ValueError(f"more than {limit:,} bytes unpacked")
                target.write(data)

    try:
        atomically(path, write)
    except (ValueError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{packed}: not unpacked ({error})") from None


def _checked(entries, limit):
    """[(entry, its path in parts)] of what is taken. ValueError for an entry nobody should send."""
    if len(entries) > ENTRIES:
        raise ValueError(f"{len(entries):,} entries; expected at most {ENTRIES:,}")
    taken, seen, total = [], set(), 0
    for entry in entries:
        parts = _parts(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"{entry.filename!r} is a link or a device; expected files")
        if entry.flag_bits & 1:
            raise ValueError(f"{entry.filename!r} needs a password")
        total += entry.file_size
        if total > limit:
            raise ValueError(f"more than {limit:,} bytes unpacked, at {entry.filename!r}")
        if entry.is_dir():
            continue
        plain = tuple(part.casefold() for part in parts)  # as Windows and macOS compare
        if plain in seen:
            raise ValueError(f"{entry.filename!r} comes twice")
        seen.add(plain)
        wanted = PurePosixPath(parts[-1]).suffix.lower() in (*EXTENSIONS, *LISTS)
        if wanted and not any(map(is_system_name, parts)):
            taken.append((entry, parts))
    for entry, parts in taken:
        if any(tuple(p.casefold() for p in parts[:k]) in seen for k in range(1, len(parts))):
            raise ValueError(f"{entry.filename!r} lies below a file")
    return taken


def _parts(name):
    parts = tuple(name.rstrip("/").split("/"))
    strange = any(ord(letter) < 32 or letter in '\\:<>"|?*' for letter in name)
    if strange or any(part in ("", ".", "..") or part != part.rstrip(" .") for part in parts):
        raise ValueError(f"{name!r} is no path below the folder")
    return parts


def _copy(opened, entry, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, open(path, "xb") as target:
        shutil.copyfileobj(source, target, CHUNK)  # zipfile stops at the stated length
    if path.stat().st_size != entry.file_size:
        raise ValueError(f"{entry.filename!r} has {path.stat().st_size:,} bytes, expected "
                         f"{entry.file_size:,}")
