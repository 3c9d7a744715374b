"""Trainings with one fault each, and the sound one: the cases of notebook 09.

    gantutor faults

A fault is `SOUND` with one field replaced. Where that is a class, its changed lines end in "the
fault". Five of them are shown in notebook 09 as the cases A to E: first look at the figures there.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch

from gantutor import evaluate, runs
from gantutor.data import RETRO, to_float, to_uint8
from gantutor.data.packs import load_sheet, save_sheet
from gantutor.losses import (
    cycle_consistency_loss,
    lsgan_discriminator_loss,
    lsgan_generator_loss,
)
from gantutor.methods import detached
from gantutor.methods.cyclegan import CycleGAN
from gantutor.models import SmallDiscriminator, SmallGenerator
from gantutor.rows import fast
from gantutor.saving import atomically, data_folder, seed_everything
from gantutor.training import fit

SIZE, BATCH, STEPS, EVERY, LR = 48, 4, 400, 10, 1e-3
PACK = RETRO.split(0).at(SIZE)
LOOK = [0, 6, 2, 3, 4]  # the validation crops that are shown: one of each photograph


class Sound(CycleGAN):
    """`CycleGAN` that also returns in how many patches D_y is right, from 0 to 1."""

    def generator_loss(self, batch):
        total, parts = super().generator_loss(batch)
        return total, parts | detached(right=self.right(batch["y"], batch["fake_y"]))

    @torch.no_grad()
    def right(self, y, fake_y):
        """The share of patches that D_y puts on the right side of 1/2."""
        return torch.cat([self.D_y(y) > 0.5, self.D_y(fake_y) < 0.5]).float().mean()


# ------------------------------------------------------------------ faults in a loss


class LabelsSwapped(Sound):
    """D's loss takes the translations for real and the real images for translations."""

    def discriminator_loss(self, batch):
        fake_x, fake_y = self.fakes(batch)
        D_x = lsgan_discriminator_loss(self.D_x(self.pool_x(fake_x)), self.D_x(batch["x"]))  # the
        D_y = lsgan_discriminator_loss(self.D_y(self.pool_y(fake_y)), self.D_y(batch["y"]))  # fault
        return D_x + D_y, detached(D_x=D_x, D_y=D_y)


class WrongTarget(Sound):
    """The round trip of x is compared with y, and that of y with x."""

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        batch["fake_y"], batch["fake_x"] = fake_y, fake_x = self.G_xy(x), self.G_yx(y)
        G_xy = lsgan_generator_loss(self.D_y(fake_y))
        G_yx = lsgan_generator_loss(self.D_x(fake_x))
        cycle_x = cycle_consistency_loss(y, self.G_yx(fake_y))  # the fault
        cycle_y = cycle_consistency_loss(x, self.G_xy(fake_x))  # the fault
        total = G_xy + G_yx + self.lambda_cyc * (cycle_x + cycle_y)
        return total, detached(G_xy=G_xy, G_yx=G_yx, cycle_x=cycle_x, cycle_y=cycle_y,
                               right=self.right(y, fake_y))


# ------------------------------------------------------------------ faults in the data


class Batches:
    """Batches of another kind, made of those of `inner`."""

    def __init__(self, inner):
        self.inner = inner

    def next_batch(self):
        return self.inner.next_batch()

    def state_dict(self):
        return self.inner.state_dict()

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)


class SameBatch(Batches):
    """The first batch again and again: the loop takes `next(iter(loader))` in every step."""

    def __init__(self, inner):
        super().__init__(inner)
        self.first = inner.next_batch()

    def next_batch(self):
        return dict(self.first)  # the fault


class HalfRange(Batches):
    """Y's images lie in [0, 1], X's in [-1, 1]: one of the two loaders forgets `2 * y - 1`."""

    def next_batch(self):
        batch = self.inner.next_batch()
        return batch | {"y": (batch["y"] + 1) / 2}  # the fault


# ------------------------------------------------------------------ the table


class Training(NamedTuple):
    """make: networks -> method. data: batches -> batches. settings: more arguments of `fit`."""

    make: Callable
    data: Callable = lambda batches: batches
    settings: dict = {"decay_from": 1.0}  # noqa: RUF012 - nobody writes to it


SOUND = Training(Sound)
FAULTS = {
    "cycle weight 0": SOUND._replace(make=partial(Sound, lambda_cyc=0.0)),
    "cycle weight 1000": SOUND._replace(make=partial(Sound, lambda_cyc=1000.0)),
    "D not trained": SOUND._replace(settings=SOUND.settings | {"lr_d": 0.0}),
    "D too fast": SOUND._replace(settings=SOUND.settings | {"lr_d": 30 * LR}),
    "labels swapped": SOUND._replace(make=LabelsSwapped),
    "same batch": SOUND._replace(data=SameBatch),
    "wrong range": SOUND._replace(data=HalfRange),
    "wrong target": SOUND._replace(make=WrongTarget),
}
CASES = {"A": "cycle weight 1000", "B": "wrong range", "C": "labels swapped", "D": "wrong target",
         "E": "same batch"}
# (fault, seed) of every run that ships, None: the sound one. Other seeds are for the alarm's check.
RUNS = [(None, 0), *((fault, 0) for fault in FAULTS), (None, 1), (None, 2),
        *((fault, 1) for fault in CASES.values())]


# ------------------------------------------------------------------ one run


class Watch:
    """What the losses do not tell. Pass an instance to `fit` as its callback.

    x: (N, 3, H, W) in [-1, 1], which nobody trains on. `curves`: {name: [a number every 10 steps]}.
    """

    def __init__(self, x):
        self.x, self.curves = x, {"cycle, unseen x": [], "gradient of G": [], "gradient of D": []}

    def __call__(self, step, method, history):
        if step == 0:
            return
        with torch.no_grad():
            error = cycle_consistency_loss(self.x, method.back(method.translate(self.x)))
        found = [float(error)]
        for nets in method.players():
            gradients = [p.grad for net in nets for p in net.parameters()]
            found.append(float(torch.nn.utils.get_total_norm(gradients)))
        for values, value in zip(self.curves.values(), found, strict=True):
            values.append(value)


def unseen_x():
    """The photographs that are shown, of validation: (5, 3, 48, 48) in [-1, 1]."""
    return evaluate.held_out_pairs(PACK.on_validation())[0][LOOK]


def trained(fault=None, seed=0, steps=STEPS, progress=True, look=None):
    """(method, curves) after a run. fault: a key of FAULTS, or None for the sound run.

    curves: {name: list}, a number every 10 steps. look: a further callback of `fit`. ValueError
    for an unknown fault.
    """
    if fault is not None and fault not in FAULTS:
        raise ValueError(f"fault={fault!r}: expected None or one of {', '.join(FAULTS)}")
    training, watch = FAULTS.get(fault, SOUND), Watch(unseen_x())
    seed_everything(seed)
    G_xy, G_yx = SmallGenerator(16, 1), SmallGenerator(16, 1)
    D_x, D_y = SmallDiscriminator(16), SmallDiscriminator(16)
    method = fast(training.make(G_xy, G_yx, D_x, D_y))

    def callback(*state):
        watch(*state)
        if look:
            look(*state)

    history = fit(method, training.data(PACK.unpaired(SIZE, BATCH, seed)), steps, lr=LR,
                  callback=callback, callback_every=EVERY, progress=progress, **training.settings)
    return method.eval(), {
        "step": history["step"], "loss of G_xy": history["G_xy"], "loss of D_y": history["D_y"],
        "D_y is right": history["right"], "cycle": history["cycle_x"], **watch.curves}


def end(curves):
    """{name: the mean of a curve over the last 100 steps}."""
    return {name: sum(values[-10:]) / len(values[-10:]) for name, values in curves.items()}


@torch.no_grad()
def drawn(method):
    """What a method makes of `unseen_x`: the translations, and the way back from them."""
    there = method.translate(unseen_x())
    return there, method.back(there)


def rows(pair):
    """{label: stack} of `drawn`, under x: for `figures.one_training`."""
    return dict(zip(("x", "G_xy(x)", "G_yx(G_xy(x))"), (unseen_x(), *pair), strict=True))


# ------------------------------------------------------------------ what ships


def folder(ship=True):
    """Where the runs lie: shipped, or a reader's own."""
    return (data_folder() if ship else runs.OWN) / "faults"


def made(ship=True):
    """The runs that are there: [{"fault", "seed", "minutes", "darkest", "moved", "curves"}]."""
    path = folder(ship) / "runs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def run(fault=None, seed=0, ship=True):
    """One of `made`. Its "darkest": the tone below which 5 % of a translation lies, -1 is black.
    "moved": mean |G_xy(x) - x|. Both are means over `unseen_x`, after the run.
    """
    return next(one for one in made(ship) if (one["fault"], one["seed"]) == (fault, seed))


def strip_path(fault, ship=True):
    """Where what the run of seed 0 draws lies."""
    return folder(ship) / f"{(fault or 'sound').replace(' ', '_')}.webp"


def pictures(fault=None, ship=True):
    """What the run of seed 0 draws, as `drawn`."""
    return to_float(load_sheet(strip_path(fault, ship), 2 * len(LOOK), SIZE)).chunk(2)


def make_missing(ship=False):
    """Trains what is missing of RUNS, and prints a line for each. It goes on where it stopped."""
    for fault, seed in RUNS:
        done = made(ship)
        if (fault, seed) not in [(one["fault"], one["seed"]) for one in done]:
            began = time.process_time()
            method, curves = trained(fault, seed)
            store(fault, seed, (time.process_time() - began) / 60, curves, drawn(method), ship)
            print(fault or "the sound run", f"seed {seed}", flush=True)


def store(fault, seed, minutes, curves, pair, ship):
    """Adds one run to `made`. Of seed 0 the pictures of the cases, and of the sound run, stay."""
    there, back = pair
    numbers = {"minutes": minutes, "moved": (there - unseen_x()).abs().mean(),
               "darkest": there.flatten(1).quantile(0.05, 1).mean()}
    one = {"fault": fault, "seed": seed} | {k: float(f"{v:.4g}") for k, v in numbers.items()} | {
        "curves": {k: [float(f"{v:.4g}") for v in values] for k, values in curves.items()}}
    if seed == 0 and fault in (None, *CASES.values()):
        sheet = to_uint8(torch.cat([there, back])).movedim(1, 3).numpy()
        atomically(strip_path(fault, ship), lambda to: save_sheet(to, sheet, len(LOOK)))
    lines = ",\n".join(json.dumps(run, separators=(",", ":")) for run in [*made(ship), one])
    atomically(folder(ship) / "runs.json", lambda to: to.write_text(f"[\n{lines}\n]\n"))
    if ship:
        runs.list_what_ships()
