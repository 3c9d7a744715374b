"""What a learner reads, and the promise behind it: a check never raises and leaves no trace."""

import html
import sys
import sysconfig
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from gantutor.saving import random_state, seed_everything, set_random_state

# state: (mark, the mark where only ASCII can be printed, colour)
LOOKS = {"not attempted": ("…", "...", "#6b7280"), "wrong": ("✗", "x", "#b45309"),
         "right": ("✓", "+", "#15803d")}
# Frames of these folders are not the learner's code.
LIBRARIES = (str(Path(__file__).parents[1]), *(sysconfig.get_path(k) for k in
             ("stdlib", "purelib", "platlib")), str(Path(torch.__file__).parent), "<frozen")


class Wrong(Exception):
    """What the learner reads."""


class NotAttempted(Exception):
    """The stub is still there: NotAttempted(how that was seen, what else it may be)."""


@dataclass(frozen=True)
class Verdict:
    """state: "not attempted", "wrong" or "right"; reason: one plain sentence or two."""

    state: str
    reason: str

    def __repr__(self):
        mark, plain, _ = LOOKS[self.state]
        return printable(f"{mark} {self.state}: {self.reason}", {mark: plain})

    def _repr_html_(self):
        mark, _, colour = LOOKS[self.state]
        return (f'<div style="border-left:5px solid {colour};padding:4px 10px;color:#111827;'
                f'background:{colour}22;background-color:color-mix(in srgb,{colour} 12%,white)">'
                f'<b style="color:{colour}">{mark} {self.state}</b> {html.escape(self.reason)}'
                "</div>")


def printable(text, plain=None):
    """`text` as sys.stdout can print it: a pipe on Windows (cp1252) has no ✗ and would raise.

    plain: {character: what stands for it there}; any other that is lacking becomes a "?".
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
        return text
    except (UnicodeEncodeError, LookupError):
        for mark, instead in (plain or {}).items():
            text = text.replace(mark, instead)
        return text.encode("ascii", "replace").decode()


def verdict(check, answer):
    """The Verdict of check(answer). Nothing is raised, except for KeyboardInterrupt.

    check: raises Wrong or NotAttempted, or returns what to say when all is right.
    """
    try:
        if answer is None or answer is ...:
            return Verdict("not attempted", "put your answer in the place of None.")
        with no_trace():
            return Verdict("right", check(answer) or "")
    except NotAttempted as how:
        said, *more = how.args
        return Verdict("not attempted", " ".join((f"{said}: write your code in its place.", *more)))
    except Wrong as found:
        return Verdict("wrong", str(found))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a check never ends the session
        return Verdict("wrong", f"this could not be checked: {describe(error)}")


@contextmanager
def no_trace():
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
             if not f.filename.startswith(LIBRARIES)]
    if not where:
        return f"{type(error).__name__}: {message}"
    code = f": {where[-1].line}" if where[-1].line else ""
    return (f"{type(error).__name__}: {message} "
            f"(line {where[-1].lineno} of {where[-1].name}{code})")
