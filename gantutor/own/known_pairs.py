"""Hidden pairs made of a reader's own pictures, and a method trained and judged on them."""

import time
from typing import NamedTuple

import torch

from gantutor.data import Unpaired, to_float, to_uint8
from gantutor.data.batches import Paired
from gantutor.evaluate.metrics import in_batches, l1
from gantutor.evaluate.references import colour_statistics
from gantutor.methods.supervised import Supervised
from gantutor.own.average import Averaged, shipped
from gantutor.own.plans import plan
from gantutor.saving import seed_everything
from gantutor.training import fit

LOOKS = 8           # how often a run is judged
STILL = 0.02        # an error that falls by less than this share has stopped falling
FEWEST = 40         # pictures: with fewer, too few are left to judge by
SHARE = 6           # a run is a sixth as long as `gantutor train` makes it
CEILING, NOTHING, SIX = "supervised ceiling", "do nothing", "six colour numbers"


class Task(NamedTuple):
    """A task of which the pairs are known. Stacks are uint8 (N, 3, size, size).

    x, y: to train on, of different pictures; true_y: what x should become, for the ceiling alone;
    test_x, test_y: pairs to judge by, of pictures that are in neither.
    """

    x: torch.Tensor
    y: torch.Tensor
    true_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor


def changed(stack, change, generator):
    """A stack, uint8 (N, 3, H, W), after a change of images in [-1, 1]."""
    return torch.cat([to_uint8(change(to_float(part), generator)) for part in stack.split(100)])


def shuffled(pictures, generator):
    """The pictures in random order. ValueError for fewer than 40."""
    if len(pictures) < FEWEST:
        raise ValueError(f"{len(pictures)} pictures; a rehearsal needs at least {FEWEST}")
    return pictures[torch.randperm(len(pictures), generator=generator)]


def make_task(pictures, change, seed=0):
    """Divides pictures, uint8 (N, 3, H, W), at random: 2/5 X, 2/5 become Y, 1/5 judge.

    change: (images (N, 3, H, W) in [-1, 1], generator) -> the same shape.
    ValueError for fewer than 40 pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    many = 2 * len(pictures) // 5
    x, y, test = shuffled(pictures, generator).split([many, many, len(pictures) - 2 * many])
    true_y, y, test_y = (changed(stack, change, generator) for stack in (x, y, test))
    return Task(x, y, true_y, test, test_y)


# ------------------------------------------------------------------ one run


class Watch:
    """A callback of `fit` that judges by the hidden pairs: steps and errors, of equal length.

    errors: with the average of the weights, as `gantutor train` translates; last: with the weights
    of the last step. code: (codes,), which domain to ask for, of a method that has several.
    """

    def __init__(self, task, code=None):
        self.x, self.y = to_float(task.test_x), to_float(task.test_y)
        self.code = [] if code is None else [code.expand(len(self.x), -1)]
        self.steps, self.errors, self.last = [], [], []

    def __call__(self, step, averaged, history):
        self.steps.append(step)
        for errors, made in ((self.errors, shipped(averaged)), (self.last, averaged.method)):
            errors.append(l1(in_batches(made.translate, self.x, *self.code), self.y))

    def found(self, seconds):
        """What a run returns. seconds: a step."""
        return {"error": self.errors[-1], "steps": self.steps, "errors": self.errors,
                "last": self.last, "stop": stopped_falling(self.steps, self.errors),
                "seconds a step": seconds}


def stopped_falling(steps, errors, share=STILL):
    """The first step after which no error is lower by more than `share` of what it was there."""
    for k, step in enumerate(steps):
        if all(later >= (1 - share) * errors[k] for later in errors[k + 1:]):
            return step
    return steps[-1]


def run(task, method, size, steps=None, device="cpu", seed=0):
    """Trains one method: {"error", "steps", "errors", "last", "stop", "seconds a step"}.

    "errors" and "last" are those of `Watch`, "error" the last of "errors".
    method: a key of `plans.METHODS` of two domains, or "supervised ceiling", which sees the pairs.
    steps: by default a sixth of what `gantutor train` does.
    """
    found = plan("direct" if method == CEILING else method, size, device)
    steps = steps or found.steps // SHARE
    seed_everything(seed)
    made = found.make()
    if method == CEILING:
        made = Supervised(made.G_xy)
    stacks = (task.x, task.true_y) if method == CEILING else (task.x, task.y)
    kind = Paired if method == CEILING else Unpaired
    batches = kind(*stacks, min(found.batch_size, len(task.x)), seed, method != CEILING)
    watch, began = Watch(task), time.perf_counter()
    fit(Averaged(made), batches, steps, lr=found.lr, device=device, precision=found.precision,
        callback=watch, callback_every=max(1, steps // LOOKS), progress=False, **found.settings)
    seconds = (time.perf_counter() - began) / steps
    return watch.found(seconds)


def references(task):
    """{row: hidden-pair error} of doing nothing and of six colour numbers."""
    x, y = to_float(task.test_x), to_float(task.test_y)
    six = colour_statistics(to_float(task.x), to_float(task.y))
    return {NOTHING: l1(x, y), SIX: l1(six(x), y)}
