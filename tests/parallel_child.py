"""What each process of a run of many does: `torchrun ... parallel_child.py WHAT OUT`, or alone."""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from toys import METHODS, batches_for, toy

from gantutor import parallel
from gantutor.saving import seed_everything
from gantutor.training import TrainingDiverged, fit


def weights_of_every_method(out):
    found = {}
    for name, make in METHODS.items():
        seed_everything(3)
        method = make()
        history = fit(method, batches_for(name), 20, lr=1e-3, progress=False, n_critic=2)
        found[name] = {"weights": {k: v for k, v in method.state_dict().items()
                                   if isinstance(v, torch.Tensor)},
                       "history": {k: v for k, v in history.items() if k != "seconds"},
                       "random": torch.rand(3)}
    torch.save(found, out / f"{parallel.count()}_{parallel.rank()}.pt")


def divergence_in_process_1(out):
    seed_everything(3)
    method = METHODS["CycleGAN"]()
    usual, calls = method.generator_loss, []

    def generator_loss(batch):
        total, parts = usual(batch)
        calls.append(1)
        bad = len(calls) == 6 and parallel.rank() == 1
        return (total * float("nan"), parts | {"cycle_x": total.new_tensor(float("nan"))}
                ) if bad else (total, parts)

    method.generator_loss = generator_loss
    try:
        fit(method, batches_for("CycleGAN"), 20, progress=False, save_path=out / "state.pt")
    except TrainingDiverged as error:
        print(parallel.rank(), error.step, error.player, error.name)


def a_run_that_loses_process_1_once(out):
    method, data = toy()
    usual, calls, flag = data.next_batch, [], out / "killed"

    def next_batch():
        calls.append(1)
        if parallel.rank() == 1 and len(calls) == 11 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return usual()

    data.next_batch = next_batch
    fit(method, data, 30, progress=False, save_path=out / "state.pt", save_every=7)


def a_batch_that_cannot_be_divided(out):
    try:
        fit(*toy(), 3, progress=False)
    except ValueError as error:
        print(error)


def process_0_ends_with_a_message_under_way(out):
    if parallel.rank():
        time.sleep(1)
    message = torch.distributed.all_reduce(torch.ones(200_000), async_op=True)
    if parallel.rank():
        message.wait()


torch.set_num_threads(1)
parallel.join()
globals()[sys.argv[1]](Path(sys.argv[2]))
