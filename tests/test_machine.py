"""Manners on a shared machine: threads that wait quietly, and as many as the process may use."""

import os
import subprocess
import sys

import pytest
import torch

from gantutor import machine


def imported(code, **env):
    """What a fresh interpreter prints that runs `code`; OMP and GANTUTOR variables as given."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith(("OMP_", "GOMP_", "GANTUTOR_"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env=clean | env)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


WAITS = ("import gantutor, os; print(os.environ['OMP_WAIT_POLICY'], "
         "os.environ.get('GOMP_SPINCOUNT'))")
THREADS = "import gantutor, torch; print(torch.get_num_threads())"


def test_waiting_is_passive_unless_the_user_says_otherwise():
    assert imported(WAITS) == "PASSIVE 5000"
    assert imported(WAITS, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE None"
    assert imported(WAITS, GOMP_SPINCOUNT="7") == "PASSIVE 7"


def test_importing_gantutor_does_not_import_torch():
    """Otherwise the variables would be set too late."""
    assert imported("import gantutor, sys; print('torch' in sys.modules)") == "False"


def test_threads_follow_what_the_user_asks_for():
    assert imported(THREADS, GANTUTOR_THREADS="1") == "1"
    assert imported(THREADS, GANTUTOR_THREADS="2", OMP_NUM_THREADS="1") == "2"
    assert imported(THREADS, OMP_NUM_THREADS="1") == "1"
    late = "import torch, gantutor; print(torch.get_num_threads())"
    assert imported(late, GANTUTOR_THREADS="1") == "1"


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5", ""])
def test_a_count_of_threads_that_is_none_is_refused(value):
    assert f"GANTUTOR_THREADS={value!r}: expected a whole number" in imported(
        "import gantutor", GANTUTOR_THREADS=value)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_threads_follow_the_affinity():
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); " + THREADS
    assert imported(code) == "1"


def cgroup(tmp_path, files, own="0::/lab/kernel\n"):
    """The quota read off a cgroup tree of {path: content}."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "own").write_text(own)
    return machine._quota(tmp_path, tmp_path / "own")


def test_the_quota_is_the_tightest_of_the_groups_above(tmp_path):
    assert cgroup(tmp_path, {"lab/kernel/cpu.max": "max 100000\n"}) == float("inf")
    assert cgroup(tmp_path, {"lab/cpu.max": "150000 100000\n"}) == 1.5
    assert cgroup(tmp_path, {"lab/kernel/cpu.max": "400000 100000\n"}) == 1.5


def test_the_older_cgroups_are_read_too(tmp_path):
    files = {"cpu/lab/cpu.cfs_quota_us": "200000\n", "cpu/lab/cpu.cfs_period_us": "100000\n"}
    assert cgroup(tmp_path, files, "4:cpu,cpuacct:/lab\n1:name=systemd:/x\n") == 2.0
    (tmp_path / "cpu/lab/cpu.cfs_quota_us").write_text("-1\n")
    assert machine._quota(tmp_path, tmp_path / "own") == float("inf")


def test_half_a_core_is_one_thread(monkeypatch):
    monkeypatch.setattr(machine, "_quota", lambda: 0.5)
    assert machine.allowed_cores() == 1
    monkeypatch.setattr(machine, "_quota", lambda: 1000.0)
    assert machine.allowed_cores() <= os.cpu_count()


def test_one_thread_is_chosen_where_several_are_much_slower_and_only_there(monkeypatch):
    before = torch.get_num_threads()
    seconds = {2: 0.3, 1: 0.1}
    monkeypatch.setattr(machine, "seconds_a_step", lambda: seconds[torch.get_num_threads()])
    try:
        for set_by_user, alone, expected in ((False, 0.1, 1), (False, 0.25, 2), (True, 0.1, 2)):
            monkeypatch.setattr(machine, "_SET_BY_USER", set_by_user)
            torch.set_num_threads(2)
            seconds[1] = alone
            threads, found = machine.choose_threads()
            assert threads == torch.get_num_threads() == expected
            assert found == seconds[expected]
    finally:
        torch.set_num_threads(before)


def test_the_minutes_are_scaled_by_what_was_measured(monkeypatch, capsys):
    monkeypatch.setattr(machine, "choose_threads", lambda: (1, 2 * machine.REFERENCE))
    machine.expect(5)
    said = capsys.readouterr().out
    assert "About 5 minutes on two quiet cores" in said and "about 10 here, with 1 thread." in said


def test_measuring_leaves_no_trace():
    state = torch.get_rng_state()
    assert 0 < machine.seconds_a_step(repeats=1) < 10
    assert torch.equal(state, torch.get_rng_state())
