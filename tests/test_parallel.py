"""Two processes against one: the same weights; one that fails or dies takes nothing with it."""

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys import METHODS, assert_same, saved

from gantutor import parallel

HERE = Path(__file__).parent
# The last one: a restarted run shall not find the addresses of the one before (pytorch 135712).
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE),
                            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def launched(what, out, processes=2):
    """[(exit code, output)] of the processes, started as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = ENVIRONMENT | {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
                            "MASTER_PORT": str(port)}
    started = [subprocess.Popen([sys.executable, HERE / "parallel_child.py", what, out], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=common | {"RANK": str(k), "LOCAL_RANK": str(k)})
               for k in range(processes)]
    return [(process.wait(300), process.stdout.read()) for process in started]


@pytest.fixture(scope="module")
def runs_of_all(tmp_path_factory):
    """{(processes, rank): {method: weights, history, random numbers left}} after 20 steps."""
    out = tmp_path_factory.mktemp("parallel")
    for processes in (1, 2):
        for code, said in launched("weights_of_every_method", out, processes):
            assert code == 0, said
    return {(n, r): torch.load(out / f"{n}_{r}.pt") for n, r in ((1, 0), (2, 0), (2, 1))}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_end_where_one_does(runs_of_all, name):
    one, first, second = (runs_of_all[key][name] for key in ((1, 0), (2, 0), (2, 1)))
    assert all(torch.equal(first["weights"][k], second["weights"][k]) for k in one["weights"])
    assert torch.equal(one["random"], first["random"])
    assert torch.equal(first["random"], second["random"])
    for key, weight in one["weights"].items():
        torch.testing.assert_close(first["weights"][key], weight, rtol=1e-5, atol=1e-5, msg=key)
    for key, values in one["history"].items():
        assert first["history"][key] == pytest.approx(values, rel=1e-4, abs=1e-5, nan_ok=True), key


@pytest.mark.slow
def test_a_divergence_in_one_process_stops_all_at_the_same_step(tmp_path):
    said = [out.strip() for _, out in launched("divergence_in_process_1", tmp_path)]
    assert said == ["0 6 generator cycle_x", "1 6 generator cycle_x"]
    assert saved(tmp_path / "state.pt")["step"] == 5


@pytest.mark.slow
def test_a_killed_process_is_restarted_and_the_run_ends_as_if_undisturbed(tmp_path):
    (tmp_path / "straight").mkdir()
    (tmp_path / "straight" / "killed").touch()  # so that nobody is killed
    child = [HERE / "parallel_child.py", "a_run_that_loses_process_1_once"]
    for folder, restarts in ((tmp_path / "straight", 0), (tmp_path, 1)):
        found = subprocess.run([*TORCHRUN, "--max-restarts", str(restarts), *child, folder],
                               env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
        assert found.returncode == 0, found.stderr
    assert (tmp_path / "killed").exists()
    assert_same(saved(tmp_path / "straight" / "state.pt"), saved(tmp_path / "state.pt"))


@pytest.mark.slow
def test_a_batch_that_cannot_be_divided_is_refused(tmp_path):
    for _, said in launched("a_batch_that_cannot_be_divided", tmp_path, processes=3):
        assert "cannot be divided among 3 processes" in said


@pytest.mark.slow
def test_a_process_that_ends_first_waits_for_its_messages(tmp_path):
    for code, said in launched("process_0_ends_with_a_message_under_way", tmp_path):
        assert code == 0, said


def test_alone_nothing_is_cut_or_sent():
    stack = torch.arange(5.0)
    assert (parallel.count(), parallel.rank()) == (1, 0) and parallel.join("cpu") == "cpu"
    assert torch.equal(parallel.own_rows(stack), stack)
    assert torch.equal(parallel.whole_batch(stack), stack)
    assert parallel.average([]) is None and parallel.first(None) is None
    assert parallel.first((3, "generator", "G", math.nan))[:2] == (3, "generator")
    assert parallel.mean({"D": 2.0}) == {"D": 2.0} and parallel.from_first(lambda: 3) == 3


@pytest.mark.parametrize(("rank", "mine"), [(0, [0, 3]), (1, [1, 4]), (2, [2, 5])])
def test_rows_go_round(monkeypatch, rank, mine):
    monkeypatch.setattr(parallel, "count", lambda: 3)
    monkeypatch.setattr(parallel, "rank", lambda: rank)
    assert parallel.own_rows(torch.arange(6)).tolist() == mine
    torch.manual_seed(0)
    whole = torch.rand(6, 2)
    torch.manual_seed(0)
    assert torch.equal(parallel.draw_rows(torch.rand, 2, 2), whole[mine])
    torch.manual_seed(0)
    whole = torch.randn(6, 3, 2, 4)
    torch.manual_seed(0)
    assert torch.equal(parallel.noise_like(torch.zeros(2, 3, 2, 4)), whole[mine])
    with pytest.raises(ValueError, match="batch of 4 cannot be divided among 3"):
        parallel.own_rows(torch.arange(4))
