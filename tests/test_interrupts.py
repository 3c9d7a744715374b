"""Two runs on one file: the second is refused by name, and a dead one holds nothing."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from toys import toy_fit

from gantutor import interrupts
from gantutor.interrupts import alone

pytestmark = pytest.mark.skipif(interrupts.fcntl is None, reason="this system has no flock")
HOLDER = ("import sys, time; from gantutor.interrupts import alone\n"
          "with alone(sys.argv[1]): print('in', flush=True); time.sleep(60)")


@pytest.fixture
def holder(tmp_path):
    """(path, another process that holds it)."""
    path = tmp_path / "run" / "state.pt"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "in\n"
    yield path, process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_and_told_who_has_it(holder):
    path, process = holder
    with pytest.raises(BlockingIOError, match=rf"state\.pt: process {process.pid} is training"):
        toy_fit(path)
    assert not path.exists()
    os.symlink(path, path.with_name("link.pt"))  # the same file under another name
    with pytest.raises(BlockingIOError):
        toy_fit(path.with_name("link.pt"))
    toy_fit(path.with_name("other.pt"), steps=2)


def test_a_killed_run_holds_nothing(holder):
    path, process = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [p.name for p in path.parent.iterdir()] == [".state.pt.lock"]
    toy_fit(path, steps=2)
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def test_threads_are_refused_as_well_and_nothing_stays(tmp_path):
    path, refused = tmp_path / "state.pt", []

    def second():
        try:
            with alone(path):
                pass
        except BlockingIOError as error:
            refused.append(str(error))

    with pytest.raises(ZeroDivisionError), alone(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        raise ZeroDivisionError
    assert len(refused) == 1 and f"process {os.getpid()}" in refused[0]
    assert list(tmp_path.iterdir()) == []
    with alone(path), alone(None), alone(tmp_path / "another.pt"):
        pass


def test_a_file_that_the_last_holder_has_just_removed_is_no_lock(tmp_path, monkeypatch):
    lock, usual, opened = tmp_path / ".state.pt.lock", open, []

    def removed_after_opening(path, mode):
        file = usual(path, mode)
        if not opened:
            lock.unlink()
        opened.append(path)
        return file

    monkeypatch.setattr(interrupts, "open", removed_after_opening, raising=False)
    with alone(tmp_path / "state.pt"):
        assert lock.exists() and len(opened) == 2


def test_where_nothing_can_be_locked_there_is_a_warning(tmp_path, monkeypatch):
    def no_locks(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(interrupts.fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="cannot be locked"):
        toy_fit(tmp_path / "state.pt", steps=2)
