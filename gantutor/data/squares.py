"""Decoded squares with a checksum each, in memory or in a memory-mapped file."""

import mmap
import threading
import zlib

import numpy as np

ABSENT = 0  # the checksum of a row that has not been written
PAGE = 4096


class Squares:
    """`count` squares uint8 (side, side, 3). file: an open one of `length` bytes, or None: memory.

    A row whose checksum does not fit counts as absent: after a crash, a full disk or a damaged
    file the picture is decoded again. So several processes may fill one file.
    """

    def __init__(self, count, side, file=None):
        self.count, self.side, self.width = count, side, 3 * side * side
        self.start = _after_the_sums(count)
        self.file, self.lock = file, threading.Lock()
        self.memory = None if file else np.zeros(self.length(count, side), np.uint8)

    @staticmethod
    def length(count, side):
        return _after_the_sums(count) + count * 3 * side * side

    def view(self):
        """All bytes as they are now. A file is mapped anew, so that what was read before is not
        counted as this process's memory for ever."""
        if self.file is None:
            return self.memory
        return np.frombuffer(mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)

    def _sums(self, view):
        return view[: 4 * self.count].view(np.uint32)

    def missing(self):
        """The numbers of the rows that are absent, in order."""
        return np.flatnonzero(self._sums(self.view()) == ABSENT).tolist()

    def has(self, k):
        return self._sums(self.view())[k] != ABSENT

    def get(self, k, view):
        """Row k of `view` as (side, side, 3), or None where it is absent or damaged."""
        stated = self._sums(view)[k]
        row = view[self.start + k * self.width:][: self.width]
        if stated == ABSENT or stated != _sum(row):
            return None
        return row.reshape(self.side, self.side, 3)

    def put(self, k, square):
        """Writes row k: an array or bytes. OSError where the disk is full."""
        data = np.ascontiguousarray(np.frombuffer(square, np.uint8)).tobytes()
        start, stated = self.start + k * self.width, np.uint32(_sum(data)).tobytes()
        for place, part in ((start, data), (4 * k, stated)):  # the sum last: then the row is there
            if self.file is None:
                self.memory[place:place + len(part)] = np.frombuffer(part, np.uint8)
                continue
            with self.lock:
                self.file.seek(place)
                if self.file.write(part) != len(part):
                    raise OSError(f"{self.file.name}: the disk is full")


def _sum(data):
    return zlib.crc32(data) or 1


def _after_the_sums(count):
    return -(-4 * count // PAGE) * PAGE
