"""What comes between a run and its end: Ctrl-C, SIGTERM, another process in the same file."""

import glob
import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager, suppress

from gantutor.saving import target

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# ------------------------------------------------------------------ signals


def _exit(number, frame):
    raise SystemExit(128 + number)  # the exit code that a shell gives to a signal


@contextmanager
def sigterm_exits():
    """SIGTERM would end the process at once. In the block it raises SystemExit, so `fit` saves."""
    signals = threading.current_thread() is threading.main_thread()
    if not signals or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def signals_wait(seconds=0):
    """Delays Ctrl-C and SIGTERM to the end of the block. After `seconds`, a second acts at once.

    Half a step cannot be resumed bit for bit. If the reader has set a handler, it is called. A
    signal that is ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    usual = {number: handler for number, handler in usual.items() if handler is not signal.SIG_IGN}
    otherwise = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _exit}
    act = {n: handler if callable(handler) else otherwise[n] for n, handler in usual.items()}
    asked, until = [], time.monotonic() + seconds

    def wait(number, frame):
        asked.append((number, frame))
        if len(asked) > 1 and time.monotonic() >= until:
            act[number](number, frame)

    for number in usual:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, otherwise[number] if handler is None else handler)
    if asked:
        act[asked[0][0]](*asked[0])


# ------------------------------------------------------------------ two processes, one file


def _locked(path, lock):
    """The file `lock`, opened and locked. A file that its last holder has removed is none.

    Half files that a killed holder has left beside `path` are removed.
    """
    while True:
        file = open(lock, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink:
                for half in lock.parent.glob(f"{glob.escape(lock.stem)}.*.tmp"):
                    half.unlink(missing_ok=True)  # a killed run was writing it
                return file
            file.close()
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip() or "?"
            file.close()
            raise BlockingIOError(f"{path}: process {other} is training into this file; wait "
                                  "until it has ended, or name another file") from None
        except OSError as error:
            warnings.warn(f"{path}: cannot be locked ({error}); start no second run on it",
                          stacklevel=5)
            return file


@contextmanager
def alone(path):
    """Nobody else gets into this block with the same `path`, no process and no thread.

    BlockingIOError that names the other process. The lock is a file beside `path`. The system
    frees it when its process ends, however it ends. None, or a system without such locks: no lock.
    """
    if path is None or fcntl is None:
        yield
        return
    place = target(path)
    lock = place.with_name(f".{place.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, lock) as file:
        with suppress(OSError):  # on a full disk it is a lock without a name
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        try:
            yield
        finally:
            with suppress(OSError):  # the folder may be read-only by now
                lock.unlink()
