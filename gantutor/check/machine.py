"""How an exercise is written: NAME.py holds what is run, NAME.md what is read.

An exercise is a function that observes an answer, decorated with a right answer and with the
mistakes that people make, each with a name and a broken answer that makes it. In cyclegan.py:

    @exercise(right=70, mistakes={"forwards": 28, "without strides": 16})
    def receptive_field(answer):
        '''The width of the patch that one score sees.'''
        return {"field": number(answer, "the receptive field")}

and in cyclegan.md, all that a learner reads:

    ## receptive_field
    ### Right
    hence the PatchGAN's name.
    ### Mistakes
    - **forwards** You went from the picture forwards. Start at the score.
    - **without strides** That would be right without strides.
    - **otherwise** It is not {found:.4g}: go back from the score, layer by layer.
    ### Hint
    ### Hint
    ### Solution

Words that several exercises of a file share stand once, under `## Shared`.

**Observation.** A dict {stage: value}; a value is a number, a text, a tensor, None, or a dict or
list of these. The stages are in the order in which a learner should hear of them. The machine
observes the learner's answer, the right ones and every broken one alike, and compares them stage
by stage. Equal to a right one: the words under Right. Otherwise the first stage that differs
decides: the mistake that goes wrong there first too, and in the same way, gives its words. (One
that is equal in all stages comes before.) No such mistake: the words of "otherwise STAGE" or
"otherwise", which may use {what}, {found} and {expected}.

**A stage whose name begins with _** is not compared. It is there for rules and for words: words
are templates that are filled from the observation, "{_old} of {_later}". (A plain { is {{.)

**A rule** is for mistakes that no equal observation shows, as in code that draws at random:
`"never swaps": Mistake(broken, another, when=lambda seen: not seen["_old"])`. Rules are asked in
their order, before the stages. Without `when`, Mistake only says that there are several answers.

**What `observe` itself refuses**, by raising Wrong (as `call`, `number` and `scalar` of answers.py
do), may be listed too, with a part of those words, so that the tests try it.

**A loss** needs no observation, only its arguments: see LossExercise.

tests/test_check.py gives every broken answer to its check and expects its words. `python
notebooks/sync.py` writes hints and solution into the notebook.
"""

import functools
import re
from pathlib import Path

import torch

from gantutor.check.answers import call, gradients, kind, scalar
from gantutor.check.verdict import NotAttempted, Wrong, printable, verdict
from gantutor.saving import seed_everything


def exercise(**stated):
    """Makes an Exercise of the function that observes an answer; `stated`: see Exercise."""
    return lambda observe: Exercise(observe, **stated)


def loss_exercise(**stated):
    """Makes an Exercise of the function that gives a loss's arguments: see LossExercise."""
    return lambda arguments: LossExercise(arguments, **stated)


class Mistake:
    """broken: answers that make it; when: the rule that finds it, where it needs one."""

    def __init__(self, *broken, when=None):
        self.broken, self.when = broken, when


class Exercise:
    """One exercise: call it with an answer, and it gives a Verdict.

    observe(answer) -> {stage: value}; right: a right answer; mistakes: {name: a broken answer, or
    a Mistake}; also_right: other right answers; alike(a, b): whether two values are equal.
    """

    def __init__(self, observe, *, right, mistakes, also_right=(), alike=None):
        self.observe, self.right, self.also_right = observe, right, also_right
        self.mistakes = {name: m if isinstance(m, Mistake) else Mistake(m)
                         for name, m in mistakes.items()}
        self.alike = alike or close_to
        self.__name__, self.__doc__, self.__module__ = (
            observe.__name__, observe.__doc__, observe.__module__)

    def __call__(self, answer=None):
        return verdict(self._judge, answer)

    def __repr__(self):
        return f"{self.__name__}: {self.__doc__} (hint() and solve() help.)"

    def _judge(self, answer):
        # Ours first, once: what a learner's code leaves behind, another dtype, must not reach them.
        right, *others, known = *self.rights, self.known
        seen = self.seen(answer)
        for name, mistake in self.mistakes.items():
            if mistake.when and mistake.when(seen):
                raise Wrong(self.words[name].format_map(seen))
        if any(self.departs(seen, one) is None for one in (right, *others)):
            return self.section("Right").format_map(seen)
        stage = self.departs(seen, right)
        alike = [(name, it) for name, it in known
                 if self.departs(it, right) == stage and self.alike(seen.get(stage), it[stage])]
        if alike:
            name, _ = min(alike, key=lambda one: self.departs(seen, one[1]) is not None)
            words = self.words[name].format_map(seen)
        else:
            words = self.otherwise(seen, stage, right[stage])
        raise Wrong(self.with_numbers(words, stage, seen.get(stage), right[stage]))

    def seen(self, answer):
        """The observation, with the same random numbers for everybody."""
        seed_everything(0)
        return self.observe(answer)

    def departs(self, seen, right):
        """The first stage in which the two differ, or None."""
        return next((stage for stage in right if not stage.startswith("_") and not (
            stage in seen and self.alike(seen[stage], right[stage]))), None)

    def otherwise(self, seen, stage, expected):
        """What to say where no mistake was recognised."""
        what, found, expected = difference(stage, seen.get(stage), expected, self.alike)
        words = self.words.get(f"otherwise {stage}", self.words.get(
            "otherwise", "{what} is {found}, expected {expected}."))
        return words.format_map(seen | {"what": what, "found": found, "expected": expected})

    def with_numbers(self, words, stage, found, expected):
        """The words as they are; a loss adds its two values."""
        return words

    @functools.cached_property
    def rights(self):
        """The observations of the right answers."""
        return [self.seen(right) for right in (self.right, *self.also_right)]

    @functools.cached_property
    def known(self):
        """[(name, observation)] of the broken answers that are recognised by their observation."""
        found = []
        for name, mistake in self.mistakes.items():
            for broken in mistake.broken if mistake.when is None else ():
                try:
                    found.append((name, self.seen(broken)))
                except (Wrong, NotAttempted):
                    pass  # refused by `observe`, which has its own words
        return found

    # What a learner reads, in the .md beside the module -----------------------------------------

    @property
    def prose(self):
        """[(heading, text)]: Right, Mistakes, Hint, Hint, ..., Solution; then what is Shared."""
        path = Path(__file__).with_name(self.__module__.rpartition(".")[2] + ".md")
        sections = _split("## ", path.read_text(encoding="utf-8"))
        return [part for name in (self.__name__, "Shared") for title, text in sections
                if title == name for part in _split("### ", text)]

    def section(self, heading):
        return next(text for title, text in self.prose if title == heading)

    @property
    def words(self):
        """{name of a mistake: what the learner reads}."""
        lists = [text for heading, text in self.prose if heading == "Mistakes"]
        return {name: " ".join(words.split()) for text in reversed(lists) for name, words in
                re.findall(r"^- \*\*(.+?)\*\* (.+?)(?=^- |\Z)", text, re.M | re.S)}

    @property
    def hints(self):
        return [text for heading, text in self.prose if heading == "Hint"]

    @property
    def solution(self):
        """The solution's code."""
        return self.section("Solution").removeprefix("```python\n").partition("```")[0]

    @property
    def explanation(self):
        """What is said after the solution's code; may be empty."""
        return self.section("Solution").removeprefix("```python\n").partition("```")[2].strip()

    def hint(self, number=1):
        """The hint of this number, counted from 1; a notebook shows it."""
        hints = self.hints
        if number not in range(1, len(hints) + 1):
            return Prose(f"There are {len(hints)} hints: hint(1) to hint({len(hints)}).")
        more = f"\n\n(There is another one: `hint({number + 1})`.)" if number < len(hints) else ""
        return Prose(f"**Hint {number}.** {hints[number - 1]}{more}")

    def solve(self):
        """The solution and its explanation; a notebook shows them.

        A class's copy of the package has none (gantutor/labs).
        """
        there = any(heading == "Solution" for heading, _ in self.prose)
        return Prose(self.section("Solution") if there else "Your instructor has the solution.")


def _split(mark, text):
    """[(heading, text)] of the headings that begin with `mark`."""
    parts = re.split(rf"^{mark}(\w+)\n", text, flags=re.M)
    return [(title, body.strip()) for title, body in zip(parts[1::2], parts[2::2], strict=True)]


class Prose(str):
    """Markdown: a notebook renders it, a terminal prints it."""

    def _repr_markdown_(self):
        return self[:]  # without __str__

    def __str__(self):
        return printable(self[:])

    __repr__ = __str__


class LossExercise(Exercise):
    """An exercise that asks for a loss; it is recognised by its value, then by its gradients.

    arguments() -> the arguments by name, or [(case, arguments)] where one set of them does not
    tell all mistakes apart; a case is called in words, "with both weights 0". They are made anew
    for each answer.
    watch: the arguments whose gradient counts, or {loss: these}; without it all that have one.
    losses: what the losses are called, where the answer returns several, in this order.
    """

    def __init__(self, arguments, *, watch=None, losses=None, **stated):
        super().__init__(arguments, **stated)
        self.arguments, self.watch, self.losses = arguments, watch, losses
        self.observe = self._value_and_gradients

    def _value_and_gradients(self, answer):
        cases = self.arguments()
        seen = {}
        for case, given in cases if isinstance(cases, list) else [("", cases)]:
            at = f" {case}".rstrip()
            have_one = [name for name, value in given.items() if _has_gradient(value)]
            losses = self._losses(call(answer, **given))
            for name, loss in losses.items():
                seen[name + at] = loss.detach()
            for name, loss in losses.items():
                watched = self.watch[name] if isinstance(self.watch, dict) else self.watch
                watched = watched or have_one
                found = gradients(loss, *(given[w] for w in watched))
                seen[f"the gradient of {name}{at}"] = dict(zip(watched, found, strict=True))
        return seen

    def _losses(self, result):
        if self.losses is None:
            return {"the value": scalar(result, finite=False)}
        if not isinstance(result, tuple | list) or len(result) != len(self.losses):
            raise Wrong(f"expected the {len(self.losses)} losses ({', '.join(self.losses)}), found "
                        f"{kind(result)}.")
        return {name: scalar(loss, name, finite=False)
                for name, loss in zip(self.losses, result, strict=True)}

    def otherwise(self, seen, stage, expected):
        if not isinstance(expected, dict):
            return self.words.get("otherwise", "The value is not right.")
        who, found, expected = difference(stage, seen.get(stage), expected, self.alike)
        loss = stage.removeprefix("the gradient of ")
        is_right = f"{loss[0].upper()}{loss[1:]} is right, but"
        if expected is None:
            return f"{is_right} its gradient also reaches {who}, which should get none: detach it."
        got, wanted = ("no gradient" if gradient is None else f"the gradient {_rounded(gradient)}"
                       for gradient in (found, expected))
        return (f"{is_right} {who} gets {got}, expected {wanted}: something is detached or under "
                "no_grad.")

    def with_numbers(self, words, stage, found, expected):
        if isinstance(expected, dict):
            return words
        at = stage.removeprefix("the value").strip()
        return (f"{words} ({at}{': f' if at else 'F'}ound {found:.4g}, expected {expected:.4g} on "
                "the check's images.)")


def _has_gradient(value):
    if isinstance(value, torch.nn.Module):
        return any(p.requires_grad for p in value.parameters())
    return isinstance(value, torch.Tensor) and value.requires_grad


def _rounded(gradient):
    numbers = [round(float(g), 4) for g in gradient[:6]]
    return f"{numbers}{' and more' if len(gradient) > 6 else ''}"


def close_to(a, b, tolerance=1e-4):
    """Two values of an observation are equal, up to rounding."""
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(
            close_to(a[k], b[k], tolerance) for k in b)
    if isinstance(b, list | tuple):
        return isinstance(a, list | tuple) and len(a) == len(b) and all(
            close_to(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return a == b if type(a) is type(b) else False
    a, b = (torch.as_tensor(v).detach().double() for v in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, tolerance, tolerance, equal_nan=True)


def difference(what, found, expected, alike):
    """(what, found, expected) of the first part that differs, named by the innermost text key."""
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = [(key, found.get(key), value) for key, value in expected.items()]
    elif (isinstance(expected, list | tuple) and isinstance(found, list | tuple)
          and len(found) == len(expected)):
        pairs = [(what, a, b) for a, b in zip(found, expected, strict=True)]
    else:
        return what, found, expected
    return next((difference(*pair, alike) for pair in pairs if not alike(*pair[1:])),
                (what, found, expected))
