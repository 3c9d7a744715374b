"""Full disk, read-only folder, cut file, SIGKILL: a clear error, and the older state is kept."""

import builtins
import errno
import itertools
import mmap
import os
import random
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from toys import Interrupt, assert_same, saved, stop_at, toy_fit

from gantutor import saving
from gantutor.saving import save_weights

resource = pytest.importorskip("resource")  # Windows has neither it nor SIGKILL
NOBODY = 65534
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def whole_files(folder):
    """The names in a folder."""
    return sorted(os.listdir(folder))


# ------------------------------------------------------------------ a full disk


class Full:
    """A file on a disk that has space for `left` bytes more."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def write(self, data):
        data = memoryview(data).cast("B")
        written = self.file.write(data[: max(self.left, 0)])
        self.left -= len(data)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@contextmanager
def stub(share, size):
    """Every file that `saving` writes ends after a share of `size` bytes."""
    def opened(path, mode="r", *more):
        file = builtins.open(path, mode, *more)
        return Full(file, int(share * size)) if "w" in mode else file

    saving.open = opened
    try:
        yield
    finally:
        del saving.open


@contextmanager
def limit(share, size):
    """The system itself refuses to let any file grow beyond a share of `size` bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("how, said", [(stub, "No space left on device"),
                                       (limit, "File too large")])
def test_a_full_disk_is_named_and_the_older_state_goes_on(tmp_path, how, said, share):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, steps=20)
    with pytest.raises(Interrupt):
        toy_fit(stopped, steps=20, callback=stop_at(9), callback_every=1)
    before = stopped.read_bytes()
    with how(share, len(before)), pytest.raises(OSError, match=said) as caught:
        toy_fit(stopped, steps=20)
    assert str(stopped) in str(caught.value) and caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert stopped.read_bytes() == before
    assert whole_files(tmp_path) == ["stopped.pt", "straight.pt"]
    toy_fit(stopped, steps=20)
    assert_same(saved(straight), saved(stopped))


def test_weights_too_are_named_where_the_disk_is_full(tmp_path):
    path, net = tmp_path / "w.safetensors", torch.nn.Linear(50, 50)
    save_weights(path, {"G": net})
    before = path.read_bytes()
    with limit(0.5, len(before)), pytest.raises(OSError, match=r"w\.safetensors: cannot be writ"):
        save_weights(path, {"G": net})
    assert path.read_bytes() == before and whole_files(tmp_path) == ["w.safetensors"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 kB, where this process may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]
    if not ROOT or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_small_disk_that_fills_up(tiny_disk, tmp_path_factory):
    """Room for one state (44 kB), none for the next beside it."""
    straight, stopped = tmp_path_factory.mktemp("other") / "straight.pt", tiny_disk / "stopped.pt"
    toy_fit(straight, steps=20)
    with pytest.raises(OSError, match=r"stopped\.pt: cannot be written \(No space left") as caught:
        toy_fit(stopped, steps=20)
    assert caught.value.errno == errno.ENOSPC
    assert whole_files(tiny_disk) == ["stopped.pt"] and saved(stopped)["step"] == 7
    with pytest.raises(OSError), open(tiny_disk / "filled", "wb", buffering=0) as file:
        while file.write(bytes(1000)):  # to the last byte
            pass
    with pytest.raises(OSError, match=r"stopped\.pt: cannot be written \(No space left"):
        toy_fit(stopped, steps=20)
    assert whole_files(tiny_disk) == ["filled", "stopped.pt"] and saved(stopped)["step"] == 7
    (tiny_disk / "filled").unlink()
    subprocess.run(["mount", "-o", "remount,size=1m", tiny_disk], check=True)
    toy_fit(stopped, steps=20)
    assert_same(saved(straight), saved(stopped))


# ------------------------------------------------------------------ a read-only folder


@pytest.fixture
def folder():
    """A folder of a user who is not root. The test is this user."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        if ROOT:
            os.chown(place, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield place
        finally:
            place.chmod(0o700)
            if ROOT:
                os.seteuid(0)


def test_a_read_only_folder_is_named_before_the_first_step(folder):
    path, steps = folder / "s.pt", []
    toy_fit(path, steps=7)
    before = path.read_bytes()
    folder.chmod(0o500)
    with pytest.raises(PermissionError, match=r"s\.pt: cannot be written"):
        toy_fit(path, steps=20, resume="weights", callback=lambda *_: steps.append(1))
    assert steps == [] and path.read_bytes() == before and whole_files(folder) == ["s.pt"]


def test_a_folder_that_becomes_read_only_keeps_its_last_state(folder):
    path, straight = folder / "s.pt", folder / "straight.pt"
    toy_fit(straight, steps=20)

    def lock(step, method, history):
        if step == 9:
            folder.chmod(0o500)

    with pytest.raises(PermissionError, match=r"s\.pt: cannot be written \(Permission denied"):
        toy_fit(path, steps=20, callback=lock, callback_every=1)
    assert saved(path)["step"] == 7
    folder.chmod(0o700)
    toy_fit(path, steps=20)
    assert_same(saved(straight), saved(path))
    assert whole_files(folder) == ["s.pt", "straight.pt"]


# ------------------------------------------------------------------ a file that was cut


@pytest.mark.parametrize("where", [0, 1, 4, 100, 0.25, 0.5, 0.75, 0.99, -23, -22, -2, -1])
def test_a_state_cut_at_any_byte_is_named_and_left_as_it_is(tmp_path, where):
    """The last 22 bytes are the end of the archive's list of contents."""
    path = tmp_path / "s.pt"
    toy_fit(path, steps=7)
    size = path.stat().st_size
    length = int(where * size) if isinstance(where, float) else where % size
    os.truncate(path, length)
    before = path.read_bytes()
    for resume in ("state", "weights"):
        with pytest.raises(ValueError, match=r"s\.pt: not a gantutor training state .*move it aw"):
            toy_fit(path, steps=7, resume=resume)
    assert path.read_bytes() == before and len(before) == length
    assert whole_files(tmp_path) == ["s.pt"]


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_what_a_killed_run_was_writing_is_not_read_and_removed(tmp_path, share):
    """Its own half file, not that of the run beside it, nor of another name that begins alike."""
    path, others = tmp_path / "s.pt", [".t.pt.1.2.tmp", "s.pt.1.2.tmp", ".s.pt2.1.2.tmp"]
    toy_fit(path, steps=7)
    written = path.read_bytes()
    (tmp_path / ".s.pt.4194304.140.tmp").write_bytes(written[: int(share * len(written))])
    for name in others:
        (tmp_path / name).touch()
    toy_fit(path, steps=7)
    assert whole_files(tmp_path) == sorted(["s.pt", *others])
    assert path.read_bytes() == written


# ------------------------------------------------------------------ killed at any time

KILLS, LENGTH = 50, 1500


def run_to_the_end(path, callback=None):
    torch.set_num_threads(1)
    toy_fit(path, steps=LENGTH, callback=callback, callback_every=1)


def killed_after(steps, path, writing):
    """Runs in a process of its own, killed after so many steps: seconds depend on the machine.

    writing: it is killed in the next moment when it writes. Returns whether it was killed before
    it was done.
    """
    made = mmap.mmap(-1, 2)  # both processes see it
    process = os.fork()
    if process == 0:
        code, called = 1, itertools.count()
        try:  # the first call is made before the first step
            run_to_the_end(path, lambda *_: made.__setitem__(
                slice(None), next(called).to_bytes(2, "big")))
            code = 0
        finally:
            os._exit(code)
    ended = partial(os.waitid, os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    while int.from_bytes(made[:], "big") < steps and not ended():
        time.sleep(0.0005)
    while writing and not any(path.parent.glob(".*.tmp")) and not ended():
        pass
    os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork and no SIGKILL")
def test_killed_fifty_times_at_random_it_ends_bit_for_bit_like_a_run_never_stopped(tmp_path):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "cut" / "stopped.pt"
    threads = torch.get_num_threads()
    try:
        run_to_the_end(straight)
        draw, steps, kills = random.Random(0), [0], 0
        while kills < KILLS:
            if killed_after(draw.randint(1, LENGTH // 40), stopped, draw.random() < 0.5):
                kills += 1
                steps.append(saved(stopped)["step"] if stopped.exists() else 0)
                assert steps[-1] >= steps[-2]
            else:  # done before it was killed: once more
                assert_same(saved(straight), saved(stopped))
                stopped.unlink()
                steps.append(0)
        run_to_the_end(stopped)
    finally:
        torch.set_num_threads(threads)
    assert len(set(steps)) > 10  # it got on from kill to kill
    assert_same(saved(straight), saved(stopped))
    assert whole_files(stopped.parent) == ["stopped.pt"]
