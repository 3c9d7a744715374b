"""Predict, then run: what a reader expects of a table is kept, and laid beside it afterwards.

    my_ranking = ...  # names, best first
    check.predict.ranking("07 steps", my_ranking, ["CycleGAN", "and D_z"])        # before the table
    check.predict.outcome("07 steps", {"CycleGAN": [.35], "and D_z": [.8, .9]}, best="highest")

    my_number = ...
    check.predict.number("06 probe", my_number)
    check.predict.measured("06 probe", [.56, .59])

The first prediction stays, with its date, in predictions.json beside a reader's own runs. A later
one is kept, too, and both are shown; `forget` removes them. A prediction is not right or wrong like
an exercise, and there is no solution. Whatever a reader writes, nothing here raises: `...` is no
prediction, and the table opens all the same.
"""

import json
from datetime import datetime
from itertools import combinations
from numbers import Real
from statistics import mean

from gantutor import runs
from gantutor.check.machine import Prose
from gantutor.saving import atomically

NONE = "No prediction was written, so there is nothing to compare."
_ASKED = {}  # {name: the rows that a ranking was asked for}, to compare with the table's
_SESSION = {}  # {(file, name): predictions}: what cannot be written lasts as long as the session


def ranking(name, my_ranking, rows):
    """Keeps a ranking of `rows` (names of a table's rows, best first) as prediction `name`.

    Says what is unknown or missing in it. Rows that are missing are left out of the comparison; a
    list with an unknown or a repeated name is not kept.
    """
    rows = _ASKED[name] = list(rows)
    if my_ranking is None or my_ranking is ...:
        return _unanswered(name, f"a list of these names, best first: {_quoted(rows)}")
    if not issubclass(type(my_ranking), list | tuple):
        return _refused(f"expected a list of names, found {_kind(my_ranking)}")
    odd = [one for one in my_ranking if not issubclass(type(one), str)]
    if odd:
        left = "a ... is left in the list" if odd[0] is ... else f"the list holds {_kind(odd[0])}"
        return _refused(f"{left}, expected names in quotation marks")
    unknown = [one for one in my_ranking if one not in rows]
    if unknown:
        return _refused(f"no row is called {_quoted(unknown)}; the rows are {_quoted(rows)}")
    twice = [one for one in rows if my_ranking.count(one) > 1]
    if twice:
        return _refused(f"{_quoted(twice)} stands there more than once")
    if len(my_ranking) < 2:
        return _refused("a ranking needs two names at least")
    missing = [one for one in rows if one not in my_ranking]
    note = f" Not in it, and therefore not compared: {_quoted(missing)}." if missing else ""
    return _kept_now(name, list(my_ranking), note)


def number(name, my_number):
    """Keeps a number as prediction `name`."""
    if my_number is None or my_number is ...:
        return _unanswered(name, "a number")
    if type(my_number) is bool or not issubclass(type(my_number), Real):
        return _refused(f"expected a number, found {_kind(my_number)}")
    if not -1e300 < my_number < 1e300:  # nan neither
        return _refused("expected a finite number")
    return _kept_now(name, float(my_number))


def outcome(name, rows, *, best, paired=False):
    """The ranking `name` beside the result: pairs in the right order, and the largest surprise.

    rows: {row: [its number, one per seed]}. best: "highest" or "lowest". Two rows have no order,
    and either is right, where the ranges of their seeds overlap; with paired=True (seed k of every
    row shares its data) where their differences have both signs. ValueError for other rows than
    `ranking` asked for.
    """
    if best not in ("highest", "lowest"):
        raise ValueError(f"best={best!r}: expected 'highest' or 'lowest'")
    if set(_ASKED.get(name, rows)) != set(rows):
        raise ValueError(f"{name}: the prediction was asked about {_ASKED[name]}, the table has "
                         f"{list(rows)}")
    sign = 1 if best == "highest" else -1
    rows = {row: [sign * value for value in seeds] for row, seeds in rows.items()}
    order = sorted(rows, key=lambda row: -mean(rows[row]))
    found = [one for one in _look(name) if isinstance(one["value"], list)]
    if not found:
        return Prose(NONE)
    columns = {f"your {'later ' if at else ''}ranking, {one['when']}": one["value"]
               for at, one in enumerate(found)}
    head = ["place", *columns, "the table", f"measured, {best} first"]
    lines = [head, ["---"] * len(head)]
    for at, row in enumerate(order):
        written = [one[at] if at < len(one) else "–" for one in columns.values()]
        lines.append([f"{at + 1}", *written, row, _with_range([sign * v for v in rows[row]])])
    parts = ["\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
                       for line in lines)]
    for at, one in enumerate(found):
        said = _compared(one["value"], rows, sign, paired)
        parts.append(f"**Your {'later ' if at else ''}ranking.** {said}")
    return Prose("\n\n".join(parts))


def measured(name, values):
    """The number `name` beside what was measured: a number, or one per seed."""
    values = list(values) if isinstance(values, list | tuple) else [values]
    found = [one for one in _look(name) if not isinstance(one["value"], list)]
    if not found:
        return Prose(NONE)
    low, high, lines = min(values), max(values), []
    for at, one in enumerate(found):
        wrote, later = one["value"], "later " if at else ""
        apart = f"too high by {wrote - high:.3f}" if wrote > high else (
            f"too low by {low - wrote:.3f}" if wrote < low else "within what was measured")
        shown = _with_range(values).removesuffix(" (one value)")
        lines.append(f"Your {later}number of {one['when']}: {wrote:g}. Measured: {shown}. "
                     f"Yours is {apart}.")
    return Prose("\n\n".join(lines))


def forget(name=None):
    """Removes prediction `name`, or without a name all of them."""
    try:
        kept = {} if name is None else {k: v for k, v in _read().items() if k != name}
        if _path().exists():
            _write(kept)
    except (OSError, ValueError) as error:
        return Prose(f"{_path()}: nothing was removed ({error}).")
    for key in [key for key in _SESSION if name in (None, key[1])]:
        del _SESSION[key]
    return Prose("Forgotten." if name is None else f"The prediction {name!r} is forgotten.")


# ------------------------------------------------------------------ comparing


def agreement(order, rows, paired=False):
    """(pairs in the right order, those of them that have none, pairs, the wrong pairs).

    order: names, best first. rows: {name: [a number per seed]}, where more is better. A wrong pair
    is (by how much, its first, its second), the means' difference. Without ties, Kendall's tau is
    twice the share of right pairs, minus one.
    """
    right, tied, wrong = 0, 0, []
    for first, second in combinations(order, 2):
        a, b = rows[first], rows[second]
        if paired:
            gaps = [one - other for one, other in zip(a, b, strict=True)]
            ahead, behind = min(gaps) > 0, max(gaps) < 0
        else:
            ahead, behind = min(a) > max(b), max(a) < min(b)
        right += not behind
        tied += not (ahead or behind)
        if behind:
            wrong.append((mean(b) - mean(a), first, second))
    return right, tied, right + len(wrong), sorted(wrong, reverse=True)


def _compared(order, rows, sign, paired):
    """One or two sentences: how many pairs are in the right order, and the largest surprise."""
    right, tied, pairs, wrong = agreement([row for row in order if row in rows], rows, paired)
    why = "their differences have both signs" if paired else "the ranges of their seeds overlap"
    text = f"You had {right} of {pairs} pairs in the right order."
    if tied:
        text += (f" Of these, {tied} {'counts' if tied == 1 else 'count'} in either order, because "
                 f"{why}.")
    if not wrong:
        return f"{text} No pair is in the wrong order."
    _, first, second = wrong[0]
    shown = {row: _with_range([sign * value for value in rows[row]]) for row in (first, second)}
    return (f"{text} The largest surprise: you put *{first}* before *{second}*. The table has "
            f"{shown[first]} for *{first}* and {shown[second]} for *{second}*.")


def _with_range(values):
    """"0.850 (0.800 to 0.900)", the mean and the range over seeds; of one value the value."""
    if len(values) == 1:
        return f"{values[0]:.3f} (one value)"
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


# ------------------------------------------------------------------ what a reader hears


def _kind(value):
    return f"an object of type {type(value).__name__}"


def _quoted(names):
    return ", ".join(f"'{name}'" for name in names)


def _in_words(value):
    return " > ".join(value) if isinstance(value, list) else f"{value:g}"


def _refused(reason):
    return Prose(f"Not kept: {reason}.")


def _unanswered(name, wanted):
    found = _look(name)
    if found:
        return Prose(f"Kept on {found[0]['when']}: {_in_words(found[0]['value'])}.")
    return Prose(f"No prediction; the table opens all the same. To make one, write {wanted}.")


def _kept_now(name, value, note=""):
    """Keeps a prediction and says so."""
    found, trouble = _keep(name, value)
    first, last = found[0], found[-1]
    text = f"Kept on {first['when']}: {_in_words(first['value'])}."
    if last is not first:
        text = (f"Your first prediction stays, of {first['when']}: {_in_words(first['value'])}. "
                f"Kept beside it: {_in_words(last['value'])}.")
    return Prose(text + note + trouble)


# ------------------------------------------------------------------ the file


def _path():
    return runs.OWN / "predictions.json"


def _read():
    """{name: [{"when": date, "value": ranking or number}, ...]}; ValueError for another file."""
    if not _path().exists():
        return {}
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
        sound = all(isinstance(one["when"], str) and (
            isinstance(one["value"], int | float) or all(isinstance(row, str)
                                                         for row in one["value"]))
            for predictions in found.values() for one in predictions)
    except (ValueError, AttributeError, TypeError, KeyError):
        sound = False
    if not sound:
        raise ValueError("it is damaged; move it away")
    return found


def _write(kept):
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    atomically(_path(), lambda to: to.write_text(text, encoding="utf-8"))


def _look(name):
    """The first prediction of that name, and the last one where it is another; [] for none."""
    here = _SESSION.get((str(_path().resolve()), name), [])
    try:
        found = _read().get(name) or here
    except (OSError, ValueError):
        found = here
    return found if len(found) < 2 else [found[0], *([found[-1]] if found[-1]["value"]
                                                     != found[0]["value"] else [])]


def _keep(name, value):
    """(what `_look` gives afterwards, a sentence about what hindered writing, or "")."""
    found, trouble = _look(name), ""
    if not found or found[-1]["value"] != value:
        found = [*found[:1], {"when": datetime.now().isoformat(" ", "minutes"), "value": value}]
        _SESSION[str(_path().resolve()), name] = found
        try:
            _write(_read() | {name: found})
        except (OSError, ValueError) as error:
            trouble = f" It lasts for this session only: {_path()} was not written ({error})."
    return _look(name), trouble
