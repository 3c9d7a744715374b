"""Exercise checks: they say what is wrong, and they never raise.

    check.cyclegan.cycle_loss(my_cycle_loss)    # the last line of an exercise's cell

A check is a function of the learner's answer, decorated with `exercise`. It raises `Wrong(reason)`
or returns what to say when all is right; the learner sees a `Verdict`.
"""

import functools
import html
import sysconfig
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from gantutor.training import random_state, seed_everything, set_random_state

LOOKS = {"not attempted": ("…", "#6b7280"), "wrong": ("✗", "#b45309"), "right": ("✓", "#15803d")}
# Frames of these folders are not the learner's code.
LIBRARIES = (str(Path(__file__).parents[1]), *(sysconfig.get_path(k) for k in
             ("stdlib", "purelib", "platlib")), str(Path(torch.__file__).parent))


class Wrong(Exception):
    """What the learner reads."""


class NotAttempted(Exception):
    """The stub is still there."""


@dataclass(frozen=True)
class Verdict:
    """state: "not attempted", "wrong" or "right"; reason: one plain sentence or two."""

    state: str
    reason: str

    def __repr__(self):
        return f"{LOOKS[self.state][0]} {self.state}: {self.reason}"

    def _repr_html_(self):
        mark, colour = LOOKS[self.state]
        return (f'<div style="border-left:5px solid {colour};padding:4px 10px;color:#111827;'
                f'background:{colour}22;background-color:color-mix(in srgb,{colour} 12%,white)">'
                f'<b style="color:{colour}">{mark} {self.state}</b> {html.escape(self.reason)}'
                "</div>")


def exercise(check):
    """Makes a check that never raises (but for KeyboardInterrupt) and leaves no trace."""
    @functools.wraps(check)
    def checked(answer=None):
        try:
            if answer is None or answer is ...:
                return Verdict("not attempted", "put your answer in the place of None.")
            with _no_trace():
                return Verdict("right", check(answer) or "")
        except NotAttempted:
            return Verdict("not attempted", "it returns None: write your code in its place (or, if "
                                            "you have, a `return` is missing).")
        except Wrong as found:
            return Verdict("wrong", str(found))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a check never ends the session
            return Verdict("wrong", f"this could not be checked: {describe(error)}")
    return checked


@contextmanager
def _no_trace():
    """Random generators, gradient mode, default dtype and warning filters come back unchanged."""
    before, dtype = random_state(), torch.get_default_dtype()
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # the reason says it
            torch.set_default_dtype(torch.float32)
            seed_everything(0)
            yield
    finally:
        torch.set_default_dtype(dtype)
        set_random_state(before)


def describe(error):
    """Type, message and the deepest line of the learner's own code."""
    try:
        message = " ".join(str(error).split())
    except Exception:
        message = ""
    message = message.encode("utf-8", "replace").decode()  # half an emoji cannot be displayed
    message = message if len(message) < 400 else message[:400] + " ..."
    where = [f for f in traceback.extract_tb(error.__traceback__)
             if not f.filename.startswith((*LIBRARIES, "<frozen"))]
    if not where:
        return f"{type(error).__name__}: {message}"
    code = f": {where[-1].line}" if where[-1].line else ""
    return (f"{type(error).__name__}: {message} "
            f"(line {where[-1].lineno} of {where[-1].name}{code})")


from gantutor.check import (  # noqa: E402, F401 - they use the names above
    cyclegan,
    direct,
    domain,
    hiding,
    loop,
    semantics,
    shared_space,
    stargan,
    vgg,
)
