"""A reader's folder that does not fit in memory, as a stack that batches are drawn from.

    batches = own_pictures("photographs", "paintings", size=128, batch_size=8)

A picture is decoded once. Workers read ahead while the training already runs. The decoded squares
lie in memory, or in a file where they are more than a stated budget.
"""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from contextlib import suppress
from pathlib import Path

import torch
from tqdm.auto import tqdm

from gantutor.data import images
from gantutor.data.batches import Unpaired
from gantutor.data.folders import few, list_images, refuse_shared_files
from gantutor.data.squares import Squares
from gantutor.machine import allowed_cores
from gantutor.parallel import own_rows

BUDGET = 256 * 2**20  # bytes of decoded pictures that are held in memory
LARGER = 286 / 256    # the official CycleGAN scales to 286 px and crops 256
FEW = 64              # so many pictures are read where they are asked for, without workers
CROPS = ("random", "centre")


def own_pictures(folder_x, folder_y, size=128, batch_size=8, seed=0, flip=True, crop="random",
                 budget=BUDGET, cache=None, progress=True):
    """Two folders of any number of pictures -> `Unpaired` batches of (batch_size, 3, size, size).

    Arguments and errors as `Folder`; budget: bytes for both folders together. ValueError also if
    a folder has fewer pictures than a batch, or if a file belongs to both folders.
    """
    listed = [list_images(folder)[0] for folder in (folder_x, folder_y)]
    for folder, paths in zip((folder_x, folder_y), listed, strict=True):
        if len(paths) < batch_size:
            raise ValueError(f"{folder}: {len(paths)} pictures; expected at least {batch_size=}")
    refuse_shared_files(*listed)
    needed = [len(paths) * _stored_side(size, crop) ** 2 * 3 for paths in listed]
    x, y = (Folder(folder, size, crop, budget * share / sum(needed), cache, progress)
            for folder, share in zip((folder_x, folder_y), needed, strict=True))
    return Unpaired(x, y, batch_size, seed, flip)


class Folder:
    """The pictures below a folder as a stack: folder[(n,) indices] -> uint8 (n, 3, size, size).

    crop: "centre" scales each picture's centre square to `size`. "random" scales it to 286 / 256
    of `size`; `draw`, which batches call, cuts a square out at a random place, and folder[...] at
    the centre. budget: bytes of squares that may lie in memory; more go to a file in the folder
    `cache` (by default GANTUTOR_CACHE, or gantutor in the user's cache), which the next run finds.
    paths: take these files, in this order, instead of all below the folder.

    A picture that cannot be read is replaced by the next one that can. A warning names it, and
    `bad` holds {path: reason}.
    Raises FileNotFoundError or NotADirectoryError for the folder; ValueError if it has no
    pictures, if no picture can be read, or for another size or crop; OSError if the cache has no
    room.
    """

    dtype = torch.uint8

    def __init__(self, path, size, crop="random", budget=BUDGET, cache=None, progress=True,
                 paths=None):
        self.side = _stored_side(size, crop)
        self.path, self.size, self.crop = Path(path).expanduser(), int(size), crop
        self.progress = progress
        self.paths, others = (list(map(Path, paths)), []) if paths else list_images(path)
        if others:
            warnings.warn(f"{path}: ignored {len(others)} other files, {others[:3]}", stacklevel=2)
        self.shape = torch.Size((len(self.paths), 3, self.size, self.size))
        self._bytes = [_described(p) for p in self.paths]
        length = Squares.length(len(self.paths), self.side)
        file = None if length <= budget else _cache_file(
            cache, f"{self.path.resolve()} {self.side}", self._listing(times=True), length)
        self.rows = Squares(len(self.paths), self.side, file)
        self.bad, self.notes, self._told, self._filling = {}, {}, 0, None

    def __len__(self):
        return len(self.paths)

    def dim(self):
        return 4

    def digest(self):
        """A digest of names, lengths in bytes and sizes. Reading all the files takes too long."""
        return _digest(f"{self._listing(times=False)} {self.size} {self.crop}")

    def _listing(self, times):
        names = (os.path.relpath(p, self.path) for p in self.paths)
        return "\n".join(f"{name} {length} {time if times else ''}"
                         for name, (length, time) in zip(names, self._bytes, strict=True))

    def __getitem__(self, index):
        """uint8 (n, 3, size, size) for n indices, cut out at the centre."""
        offset = (self.side - self.size) // 2
        return self._cut(index, torch.full((len(index), 2), offset))

    def draw(self, index, generator):
        """This process's own of folder[index], cut out at places that the generator draws."""
        room = self.side - self.size + 1
        places = torch.randint(room, (len(index), 2), generator=generator)
        return self._cut(own_rows(index), own_rows(places))

    def _cut(self, index, places):
        self._fill()
        squares, out = self.rows.view(), torch.empty(len(index), *self.shape[1:], dtype=self.dtype)
        for k, (top, left), image in zip(index.tolist(), places.tolist(), out, strict=True):
            square = torch.from_numpy(self._square(k, squares))                # (side, side, 3)
            image.copy_(square[top:top + self.size, left:left + self.size].permute(2, 0, 1))
        self._tell()
        return out

    def _square(self, k, squares):
        """The decoded square of picture k, or of the next one that can be read."""
        for j in itertools.chain(range(k, len(self)), range(k)):
            if self.paths[j] in self.bad:
                continue
            square = self.rows.get(j, squares)
            if square is None:  # no worker has come to it
                square = self._read(j)
            if square is not None:
                return square.copy()  # a view of a file must not outlive the file
        raise ValueError(f"{self.path}: none of {len(self)} pictures can be used"
                         f"{few(list(self.bad.values()))}")

    def _read(self, j):
        """Decodes picture j here and now; None where it is bad."""
        try:
            square, notes = images.read_square(self.paths[j], self.side)
        except (OSError, ValueError) as error:
            self.bad[self.paths[j]] = str(error)
            return None
        _keep(self.paths[j], notes, self.notes)
        with suppress(OSError):  # the disk is full: it will be decoded again
            self.rows.put(j, square)
        return square

    def _tell(self):
        """Warns of bad pictures and remarks, each time that they have doubled in number."""
        found = [*self.bad.values(), *(note for notes in list(self.notes.values())
                                       for note in notes)]
        if len(found) > 2 * self._told:
            self._told = len(found)
            warnings.warn(f"{self.path}: {len(self.bad)} pictures cannot be used, the next by name "
                          f"takes their place; {len(found) - len(self.bad)} remarks{few(found)}",
                          stacklevel=4)

    def _fill(self):
        """Starts the workers, once, if there is much to read."""
        if self._filling is None:
            missing = self.rows.missing()
            self._filling = _Filling(self, missing) if len(missing) > FEW else ()
            if self._filling:
                weakref.finalize(self, self._filling.stop)

    def wait(self):
        """Returns when the workers have read everything; used to measure, and by the tests."""
        self._fill()
        for thread in self._filling and self._filling.threads:
            thread.join()


class _Filling:
    """Workers that read ahead: a process each, and a thread that asks it.

    Threads alone would share Pillow's limits, Python's warnings and the interpreter's lock. The
    processes run one file of this package, so they start without torch and without the reader's
    own script.
    """

    def __init__(self, folder, missing):
        self.rows, self.side, self.paths = folder.rows, folder.side, folder.paths
        self.bad, self.notes = folder.bad, folder.notes  # not the folder: it would never be freed
        self.stopped, self.lock, self.processes = threading.Event(), threading.Lock(), {}
        self.bar = tqdm(total=len(self.paths), initial=len(self.paths) - len(missing), leave=False,
                        desc=f"reading {folder.path.name}", unit="picture",
                        disable=not folder.progress)
        self.left, count = iter(missing), min(8, max(1, allowed_cores() - 1))
        self.busy = count
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopped.set()
        for process in list(self.processes.values()):
            process.kill()

    def _work(self):
        try:
            while not self.stopped.is_set():
                with self.lock:
                    k = next(self.left, None)
                if k is None:
                    break
                self._read(k)
                with self.lock:
                    self.bar.update()
        except OSError:  # no process can be started, or the disk is full: read as asked for
            pass
        finally:
            process = self.processes.pop(threading.get_ident(), None)
            if process:
                _end(process)
            with self.lock:
                self.busy -= 1
                if not self.busy:
                    self.bar.close()

    def _read(self, k):
        path = self.paths[k]
        if path in self.bad or self.rows.has(k):  # the training was faster
            return
        process = self._process()
        try:
            process.stdin.write(json.dumps([str(path), self.side]).encode() + b"\n")
            process.stdin.flush()
            fine, said = json.loads(process.stdout.readline())
            square = process.stdout.read(self.rows.width) if fine else None
            if fine and len(square) != self.rows.width:
                raise EOFError
        except (OSError, ValueError, EOFError):
            _end(self.processes.pop(threading.get_ident()))
            if not self.stopped.is_set():  # a decoder may crash, or be killed for its memory
                self.bad[path] = f"{path}: the process that decoded it died"
            return
        if fine:
            _keep(path, said, self.notes)
            self.rows.put(k, square)
        else:
            self.bad[path] = said

    def _process(self):
        """This thread's process, started where there is none."""
        me = threading.get_ident()
        if me not in self.processes:
            self.processes[me] = subprocess.Popen(
                [sys.executable, "-P", images.__file__], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self.processes[me]


def _end(process):
    process.kill()  # it holds nothing that could be lost
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # a question that was never read
            pipe.close()
    process.wait()


def _keep(path, notes, kept):
    if notes:
        kept[path] = notes


def _stored_side(size, crop):
    if crop not in CROPS:
        raise ValueError(f"crop={crop!r}: expected one of {', '.join(CROPS)}")
    if not (isinstance(size, int) and size >= 8):
        raise ValueError(f"size={size!r}: expected a whole number of pixels, at least 8")
    return round(size * LARGER) if crop == "random" else size


def _digest(text):
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def _described(path):
    """(length in bytes, time of its last change); a link to nothing has neither."""
    with suppress(OSError):
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    return -1, 0


def _cache_file(cache, whose, listing, length):
    """The open file of `length` bytes for a folder as it is now. Older ones are removed.

    OSError where it cannot be made.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(cache or os.environ.get("GANTUTOR_CACHE") or Path(home, "gantutor")).expanduser()
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{_digest(whose)}_{_digest(listing)}.pictures"
    for older in place.glob(f"{_digest(whose)}_*.pictures"):
        if older != path:
            with suppress(OSError):  # Windows: another process has it open
                older.unlink()
    held = path.stat().st_size if path.exists() else 0
    free = shutil.disk_usage(place).free
    if held != length and length > free:
        raise OSError(f"{place}: the decoded pictures take {length / 1e9:.1f} GB, {free / 1e9:.1f} "
                      "GB are free; name a larger disk in GANTUTOR_CACHE, or take a smaller size")
    file = open(path, "r+b" if path.exists() else "w+b", buffering=0)
    if held != length:
        file.truncate(0)
        file.truncate(length)  # sparse: it takes room as pictures come
    return file
