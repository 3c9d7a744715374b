"""A rehearsal of several domains: StarGAN on hidden pairs made from the reader's own pictures.

A third of the pictures that train stay as they are, a third gets one change, a third another. One
generator, told by a code which domain to reach, translates held-out pictures into both changes.
"""

import time

import torch

from gantutor.data.batches import Labelled
from gantutor.own.average import Averaged
from gantutor.own.changes import CHANGES
from gantutor.own.known_pairs import (
    CEILING,
    LOOKS,
    SHARE,
    Task,
    Watch,
    changed,
    references,
    run,
    shuffled,
)
from gantutor.own.plans import plan
from gantutor.saving import seed_everything
from gantutor.training import fit

DOMAINS = ("dusk", "relief")  # colour and texture


def make_tasks(pictures, changes, seed=0):
    """Divides pictures, uint8 (N, 3, H, W), at random into parts: {change: `Task`}.

    4/5 train: as many X as Y of each change, of different pictures. 1/5 judges, the same for each
    change. ValueError for fewer than 40 pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    many = 4 * len(pictures) // 5 // (len(changes) + 1)
    x, *others, test = shuffled(pictures, generator).split(
        [many] * (len(changes) + 1) + [len(pictures) - many * (len(changes) + 1)])

    return {name: Task(x, changed(other, change, generator), changed(x, change, generator), test,
                       changed(test, change, generator))
            for (name, change), other in zip(changes.items(), others, strict=True)}


class WatchAll:
    """A callback of `fit`: one `Watch` per domain."""

    def __init__(self, tasks):
        codes = torch.eye(len(tasks) + 1)[1:]
        self.watches = {name: Watch(task, code)
                        for (name, task), code in zip(tasks.items(), codes, strict=True)}

    def __call__(self, step, averaged, history):
        for watch in self.watches.values():
            watch(step, averaged, history)


def run_stargan(tasks, size, steps, device="cpu", seed=0):
    """Trains one StarGAN for all tasks of `make_tasks`: {change: as of `rehearsal.run`}."""
    found = plan("stargan", size, device, len(tasks) + 1)
    stack = torch.cat([next(iter(tasks.values())).x, *(task.y for task in tasks.values())])
    codes = torch.eye(len(tasks) + 1).repeat_interleave(len(stack) // (len(tasks) + 1), 0)
    seed_everything(seed)
    batches = Labelled([(stack, codes)], min(found.batch_size, len(stack)), seed, True)
    watch, began = WatchAll(tasks), time.perf_counter()
    fit(Averaged(found.make()), batches, steps, lr=found.lr, device=device,
        precision=found.precision, callback=watch, callback_every=max(1, steps // LOOKS),
        progress=False, **found.settings)
    seconds = (time.perf_counter() - began) / steps
    return {name: one.found(seconds) for name, one in watch.watches.items()}


def rehearse_several(pictures, size=64, steps=None, device="cpu", seed=0, say=print):
    """As `rehearsal.rehearse`, for StarGAN and the changes DOMAINS.

    The ceiling is, for each domain, a network of its own that sees the pairs.
    """
    tasks = make_tasks(pictures, {name: CHANGES[name] for name in DOMAINS}, seed)
    runs = run_stargan(tasks, size, steps or plan("stargan", size, device).steps // SHARE, device,
                       seed)
    found = {}
    for name, task in tasks.items():
        rows = references(task) | {"stargan": runs[name]["error"]}
        ceiling = run(task, CEILING, size, steps, device, seed)
        rows[CEILING] = ceiling["error"]
        say(f"one of several domains, {name}: stargan {rows['stargan']:.3f} "
            f"(do nothing {rows['do nothing']:.3f})")
        found[name] = {"rows": rows, "task": task,
                       "runs": {"stargan": runs[name], CEILING: ceiling}}
    return found
