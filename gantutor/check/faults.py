"""The exercises of notebook 09: which fault is it, and an alarm that looks at curves alone."""

import functools
import numbers

import numpy as np
import torch

from gantutor import faults
from gantutor.check.answers import again, call, kind
from gantutor.check.machine import exercise
from gantutor.check.verdict import Wrong
from gantutor.faults import CASES, FAULTS, end


@functools.cache
def signs(fault=None, seed=0):
    """The numbers of a shipped run that tell it from the others, by name."""
    one = faults.run(fault, seed)
    last, loss = end(one["curves"]), one["curves"]["loss of D_y"]
    return {"right": last["D_y is right"], "cycle": last["cycle"],
            "unseen": last["cycle, unseen x"], "gradient": last["gradient of G"],
            "loss": last["loss of D_y"], "first": loss[0], "largest": max(loss),
            "darkest": one["darkest"], "moved": one["moved"]}


# What only this fault's run shows. faults.md says it in words.
SIGNS = {
    "cycle weight 0": lambda s: s["cycle"] > 0.2 and s["unseen"] < s["cycle"] + 0.1,
    "cycle weight 1000": lambda s: s["gradient"] > 200 and s["moved"] < 0.1,
    "D not trained": lambda s: s["loss"] > 0.4,
    "D too fast": lambda s: s["largest"] > 5,
    "labels swapped": lambda s: s["right"] < 0.25,
    "same batch": lambda s: s["right"] > 0.98 and s["unseen"] > 1.5 * s["cycle"],
    "wrong range": lambda s: s["darkest"] > -0.3,
    "wrong target": lambda s: s["cycle"] > 0.2 and s["unseen"] > s["cycle"] + 0.1,
}


def case(letter):
    """The exercise of a case: which fault is it?"""
    right = CASES[letter]

    def observe(answer):
        if not isinstance(answer, str):
            raise Wrong('expected the name of a fault, e.g. "cycle weight 0", found '
                        f"{kind(answer)}.")
        return {"the fault": answer} | {f"_{k}": v for k, v in signs(right).items()}

    observe.__name__ = f"case_{letter.lower()}"
    observe.__doc__ = f"my_{observe.__name__}: the name of case {letter}'s fault."
    return exercise(right=right, mistakes={f: f for f in FAULTS if f != right})(observe)


case_a, case_b, case_c, case_d, case_e = map(case, CASES)


# An alarm ----------------------------------------------------------------------------------------

PALE = "wrong range"  # its curves are too like those of a sound run
SEEDS = (0, 1)


def sure(curves):
    last = end(curves)
    return not 0.3 < last["D_y is right"] < 0.9 or last["cycle"] > 0.2


def truth(value):
    """The learner's True or False, of Python, numpy or torch."""
    one = isinstance(value, torch.Tensor) and value.numel() == 1 and value.dtype == torch.bool
    if not one and not isinstance(value, bool | np.bool_):
        found = f"the number {float(value):g}" if isinstance(value, numbers.Real) else kind(value)
        raise Wrong(f"the alarm should return True or False, found {found}.")
    return bool(value)


@exercise(right=sure, mistakes={
    "always": lambda curves: True,
    "never": lambda curves: False,
    "the loss of G": lambda curves: end(curves)["loss of G_xy"] > curves["loss of G_xy"][0],
    "D wins": lambda curves: end(curves)["D_y is right"] > 0.9,
    "D loses": lambda curves: end(curves)["D_y is right"] < 0.5,
    "the cycle": lambda curves: end(curves)["cycle"] > 0.2})
def alarm(answer):
    """my_alarm(curves): True for a broken run, False for a sound one, from its curves alone."""
    rung = {}
    for part, group in (("sound", [(None, seed) for seed in (0, 1, 2)]), ("broken", [
            (fault, seed) for fault in CASES.values() if fault != PALE for seed in SEEDS])):
        rung[part] = {}
        for fault, seed in group:
            curves = {k: list(v) for k, v in faults.run(fault, seed)["curves"].items()}
            letter = next((k for k, name in CASES.items() if name == fault), None)
            what = f"case {letter}, seed {seed}" if letter else f"the sound run of seed {seed}"
            value = again(answer, f"for {what}", curves=curves) if rung["sound"] else call(
                answer, curves=curves)
            rung[part][what] = truth(value)
    return rung | {"_false": sum(rung["sound"].values()), "_caught": sum(rung["broken"].values()),
                   "_broken": len(rung["broken"])}
