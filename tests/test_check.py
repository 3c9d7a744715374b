"""Every exercise of the notebooks: what it states holds, and its check keeps its promises.

The exercises of gantutor/check state their right answers and their mistakes; these tests give
each of them to its check. Stubs and solutions are read out of the notebooks and run as they stand
there. Values worked out by hand are in test_check_cyclegan.py and its like, the machine itself in
test_check_machine.py.
"""

import importlib.util
import math
import random
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from test_notebooks import NOTEBOOKS, cells, definitions_before
from torch import nn

from gantutor import check
from gantutor.check import machine
from gantutor.check.machine import close_to
from gantutor.check.verdict import no_trace, seed_everything

CHECKED = ("01", "02", "03", "03b", "04", "05", "06", "07", "08", "09", "10")  # with checks
HEADING = re.compile(r"^### Exercise (\d+) · \S.* \((\d+) minutes\)$", re.M)


@dataclass(frozen=True)
class Shown:
    """One exercise as it stands in a notebook: heading, stub, and the folded hints and solution."""

    path: Path
    number: int  # of the stub's cell
    heading: str
    stub: str
    folded: str

    def last_line(self):
        """(module, name, my_answer) of `check.module.name(my_answer)`, the stub's last line."""
        line = self.stub.splitlines()[-1]
        match = re.fullmatch(r"check\.(\w+)\.(\w+)\((my_\w+)\)", line)
        assert match, f"{self}: expected a call of its check, found {line!r}"
        return match.groups()

    @property
    def check(self):
        module, name, _ = self.last_line()
        return getattr(getattr(check, module), name)

    @property
    def solution(self):
        """The python block under the folded "Solution"."""
        return re.search(r"<summary>Solution</summary>\s*```python\n(.*?)```", self.folded, re.S)[1]

    def answer(self, code):
        """What the learner's name holds once `code` ran where the stub stands."""
        names = {"check": check}
        exec(compile(definitions_before(self.path, self.number), self.path.name, "exec"), names)
        exec(code, names)
        return names[self.last_line()[2]]

    def __str__(self):
        return f"{self.path.name.partition('_')[0]}-{self.stub.splitlines()[-1]}"


def exercises(path):
    every = cells(path)
    return [Shown(path, k + 1, cell["source"], every[k + 1][1]["source"],
                     every[k + 2][1]["source"])
            for k, cell in every if cell["source"].startswith("### Exercise")]


spec = importlib.util.spec_from_file_location("sync", NOTEBOOKS[0].with_name("sync.py"))
sync = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sync)
PATHS = [p for p in NOTEBOOKS if p.name.startswith(CHECKED)]
ALL = [exercise for path in PATHS for exercise in exercises(path)]
every_exercise = pytest.mark.parametrize("exercise", ALL, ids=str)
asks_for_code = pytest.mark.parametrize("exercise", [e for e in ALL if "def " in e.stub], ids=str)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_notebooks_exercises_are_numbered_in_order(path):
    numbers = [int(HEADING.match(e.heading)[1]) for e in exercises(path)]
    assert numbers == list(range(1, len(numbers) + 1)) and numbers


def test_every_lesson_has_at_least_five_exercises():
    """03 and 03b are one lesson; 08 compares, and has one."""
    found = Counter(exercise.path.name[:2] for exercise in ALL)
    assert set(found) == {name[:2] for name in CHECKED} and found.pop("08") == 1
    assert min(found.values()) >= 5


def test_every_listed_notebook_is_there():
    assert len(PATHS) == len(CHECKED)


@every_exercise
def test_every_exercise_has_minutes_a_check_hints_and_a_solution(exercise):
    assert HEADING.match(exercise.heading)
    assert exercise.check.__doc__ and exercise.solution
    assert len(re.findall(r"<summary>Hint \d</summary>", exercise.folded)) >= 2
    tags = [exercise.folded.count(tag) for tag in ("<details>", "</details>", "<summary>")]
    assert len(set(tags)) == 1


@every_exercise
def test_the_stub_is_not_attempted_and_the_solution_is_right(exercise):
    answer = exercise.answer(exercise.stub)  # the stub's own last line runs too
    assert exercise.check(answer).state == "not attempted"
    verdict = exercise.check(exercise.answer(exercise.solution))
    assert verdict.state == "right" and verdict.reason, verdict


@every_exercise
def test_the_folded_text_is_what_stands_beside_the_module(exercise):
    """Otherwise: python notebooks/sync.py"""
    if isinstance(exercise.check, machine.Exercise):
        assert exercise.folded == sync.folded(exercise.check)


# What the exercises state ------------------------------------------------------------------------

STATED = [e.check for e in ALL if isinstance(e.check, machine.Exercise)]
every_stated = pytest.mark.parametrize("exercise", STATED, ids=lambda e: e.__name__)
BROKEN = [pytest.param(exercise, name, broken, id=f"{exercise.__name__}-{name}-{n}")
          for exercise in STATED for name, mistake in exercise.mistakes.items()
          for n, broken in enumerate(mistake.broken)]


@pytest.mark.parametrize("exercise,name,broken", BROKEN)
def test_a_broken_answer_is_told_its_mistake(exercise, name, broken):
    verdict = exercise(broken)
    assert verdict.state == "wrong"
    for words in re.split(r"\{.*?\}", exercise.words[name]):  # between what is filled in
        assert words in verdict.reason, verdict


@every_stated
def test_right_answers_are_right(exercise):
    for answer in (exercise.right, *exercise.also_right):
        verdict = exercise(answer)
        assert verdict.state == "right" and verdict.reason, verdict


@every_stated
def test_an_exercise_has_three_mistakes_or_more_and_words_for_each(exercise):
    assert len(exercise.mistakes) >= 3 and all(m.broken for m in exercise.mistakes.values())
    own = re.findall(r"^- \*\*(.+?)\*\*", exercise.section("Mistakes"), re.M)
    assert {name for name in own if not name.startswith("otherwise")} <= set(exercise.mistakes)
    assert set(exercise.mistakes) <= set(exercise.words)


@every_stated
def test_no_two_mistakes_look_alike(exercise):
    """In the stage in which they are recognised, or at least in a later value."""
    def far(a, b, stage):
        return not (exercise.alike(a[stage], b[stage]) or close_to(a[stage], b[stage], 2e-3))

    with no_trace():
        right, known = exercise.rights[0], exercise.known
    at = [(name, exercise.departs(seen, right), seen) for name, seen in known]
    assert [name for name, stage, _ in at if stage is None] == []
    for (one, here, a), (other, there, b) in combinations(at, 2):
        apart = here != there or far(a, b, here) or any(
            far(a, b, stage) for stage in right if not stage.startswith(("_", "the gradient of ")))
        assert apart or exercise.words[one] == exercise.words[other], (one, other)


@every_stated
def test_hints_and_solution_can_be_asked_for(exercise):
    assert len(exercise.hints) >= 2 and exercise.hint()._repr_markdown_() == exercise.hint(1)
    assert exercise.hints[1] in exercise.hint(2) and "hint(1) to hint(" in exercise.hint(9)
    assert exercise.solution in exercise.solve() and exercise.explanation in exercise.solve()


# What every check promises -----------------------------------------------------------------------

class Hostile:
    """Everything one may do with it fails."""

    def __getattribute__(self, name):
        raise RuntimeError("no attribute for you")

    __call__ = __repr__ = __eq__ = __len__ = __iter__ = __bool__ = __getattribute__
    __hash__ = None


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("and not even printable")


def raises(error):
    def learner(*inputs):
        raise error
    return learner


GARBAGE = {
    "3": 3, "a string": "x", "nan": math.nan, "a huge number": 10**400, "True": True, "a list": [],
    "a dict": {}, "a module": math, "a class": Hostile, "an int class": int, "a network":
    nn.Linear(2, 2), "a tensor": torch.zeros(2, 3), "numpy": np.zeros(3), "hostile": Hostile(),
    "a generator": (i for i in range(2)), "nested": ((1, 2), [None]), "pair of text": ("a", "b"),
    "a builtin": len, "no arguments": lambda: 1 / 0, "fails": lambda *a: 1 / 0,
    "gives nan": lambda *a: torch.tensor(math.nan), "gives a shape": lambda *a: torch.zeros(2, 3),
    "gives integers": lambda *a: torch.tensor(3), "gives complex": lambda *a: torch.tensor(1j),
    "gives text": lambda *a: "0.2", "gives its input": lambda *a: a[0], "gives them all":
    lambda *a: a, "gives hostile": lambda *a: Hostile(),
    "gives a dict": lambda *a: {"x": 0, "y": 0}, "gives a pair": lambda *a: (1, None),
    "gives infinity": lambda *a: math.inf, "gives meta": lambda *a: torch.zeros((), device="meta"),
    "exits": raises(SystemExit(1)), "unprintable": raises(Unprintable()),
    "half an emoji": raises(ValueError("\ud83d <b>")),
    "endless": raises(ValueError("x" * 10**6)), "recursion": lambda *a: GARBAGE["recursion"](*a),
}


@every_exercise
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_wrong_and_never_raises(exercise, name, capsys):
    verdict = exercise.check(GARBAGE[name])
    assert verdict.state == "wrong" and 5 < len(verdict.reason) < 1000
    assert repr(verdict).endswith(f"wrong: {verdict.reason}")
    box = verdict._repr_html_()
    assert box.encode().startswith(b"<div") and box.count("<b") == 1  # messages are escaped
    assert capsys.readouterr().out == ""


@every_exercise
@pytest.mark.parametrize("stub", [
    None, ..., lambda *a: None, lambda *a: ..., lambda *a: (None, None),
    raises(NotImplementedError), raises(NotImplementedError("to do"))], ids=[
        "None", "Ellipsis", "gives None", "gives Ellipsis", "gives a pair of None",
        "NotImplementedError", "NotImplementedError with words"])
def test_what_a_stub_gives_is_not_attempted(exercise, stub):
    a_number_is_asked = callable(stub) and "def " not in exercise.stub
    assert exercise.check(stub).state == ("wrong" if a_number_is_asked else "not attempted")
    assert exercise.check().state == "not attempted"


@asks_for_code
def test_keyboard_interrupt_passes(exercise):
    with pytest.raises(KeyboardInterrupt):
        exercise.check(raises(KeyboardInterrupt()))


def draws():
    return (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())  # noqa: NPY002


@every_exercise
def test_a_check_leaves_no_trace(exercise):
    """Neither its own seeding nor what the learner's code leaves behind is seen afterwards."""
    def learner(*inputs):
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        random.seed(5)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        warnings.simplefilter("error")
        return torch.zeros(())

    for answer in (learner, (0.1, 0.2), "x"):
        seed_everything(3)
        expected = draws()
        seed_everything(3)
        filters = list(warnings.filters)
        exercise.check(answer)
        assert draws() == expected
        assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
        assert warnings.filters == filters
        with torch.no_grad():
            exercise.check(answer)
            assert not torch.is_grad_enabled()


@every_exercise
def test_the_verdict_does_not_depend_on_the_state_around_it(exercise):
    answer = exercise.answer(exercise.solution)
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            assert exercise.check(answer).state == "right"


@every_exercise
def test_the_answer_is_not_changed(exercise):
    net, numbers, stack = nn.BatchNorm2d(3), [0.25, 0.25], torch.ones(2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for answer in (net, numbers, stack):
        exercise.check(answer)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert numbers == [0.25, 0.25] and torch.equal(stack, torch.ones(2))
