"""The exercises of notebook 09: which fault is it, and an alarm that looks at curves alone."""

import functools
import numbers

import numpy as np
import torch

from gantutor import faults
from gantutor.check.answers import again, call, kind
from gantutor.check.machine import exercise
from gantutor.check.verdict import Wrong
from gantutor.faults import CASES, FAULTS


@functools.cache
def signs(fault=None, seed=0):
    """The numbers of a shipped run that tell it from the others, by name."""
    one = faults.run(fault, seed)
    end, loss = faults.end(one["curves"]), one["curves"]["loss of D_y"]
    return {"right": end["D_y is right"], "cycle": end["cycle"], "unseen": end["cycle, unseen x"],
            "gradient": end["gradient of G"], "loss": end["loss of D_y"], "first": loss[0],
            "largest": max(loss), "darkest": one["darkest"], "moved": one["moved"]}


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
    """Makes an exercise of the function that observes the answer for a case."""
    right = CASES[letter]
    return exercise(right=right, mistakes={fault: fault for fault in FAULTS if fault != right})


def named(answer, letter):
    """The fault that is named, and the numbers of the case for the words."""
    if not isinstance(answer, str):
        raise Wrong(f'expected the name of a fault, e.g. "cycle weight 0", found {kind(answer)}.')
    return {"the fault": answer} | {f"_{k}": v for k, v in signs(CASES[letter]).items()}


@case("A")
def case_a(answer):
    """my_case_a: the name of case A's fault."""
    return named(answer, "A")


@case("B")
def case_b(answer):
    """my_case_b: the name of case B's fault."""
    return named(answer, "B")


@case("C")
def case_c(answer):
    """my_case_c: the name of case C's fault."""
    return named(answer, "C")


@case("D")
def case_d(answer):
    """my_case_d: the name of case D's fault."""
    return named(answer, "D")


@case("E")
def case_e(answer):
    """my_case_e: the name of case E's fault."""
    return named(answer, "E")


# An alarm ----------------------------------------------------------------------------------------

PALE = "wrong range"  # its curves are too like those of a sound run
SEEDS = (0, 1)


def end(values):
    return sum(values[-10:]) / 10


def sure(curves):
    return not 0.3 < end(curves["D_y is right"]) < 0.9 or end(curves["cycle"]) > 0.2


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
    "the loss of G": lambda curves: end(curves["loss of G_xy"]) > curves["loss of G_xy"][0],
    "D wins": lambda curves: end(curves["D_y is right"]) > 0.9,
    "D loses": lambda curves: end(curves["D_y is right"]) < 0.5,
    "the cycle": lambda curves: end(curves["cycle"]) > 0.2})
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
