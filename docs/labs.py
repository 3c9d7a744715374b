"""Writes the tables of docs/labs.md: plans for a class, what each exercise shows, memory.

    python docs/labs.py

Minutes, points and exercises are read from the notebooks, memory from lab_memory.json, which
`python benchmarks/lab_memory.py` measures. tests/test_docs.py says when the page is out of date.
"""

import json
import re
from pathlib import Path

import notebooks as lengths
from gantutor.labs.notebooks import HEADING, counted, tasks
from gantutor.saving import atomically

PAGE = Path(__file__).with_name("labs.md")
MEMORY = Path(__file__).with_name("lab_memory.json")
SOURCES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in lengths.NOTEBOOKS}
SESSION, CLASS = 90, 30  # minutes, students
# Of each session: its notebooks, and the exercises that are done in class.
PLANS = {
    "Two sessions": [{"00": [], "03": [1, 4]}, {"05": [], "07": [1, 2], "08": []}],
    "Four sessions": [{"00": [], "01": [3, 5]}, {"03": [1, 4, 8], "03b": []},
                      {"05": [3], "06": [1, 5]}, {"07": [1, 2, 5], "08": []}],
    "Eight sessions": [{"00": []}, {"01": [1, 3, 5]}, {"02": [1, 3, 5]}, {"03": [1, 4, 5, 8]},
                       {"03b": [1], "04": [3, 5]}, {"05": [1, 2, 3, 4]}, {"06": [1, 2, 5]},
                       {"07": [1, 2, 4], "08": []}]}


def notebook(number):
    """(name, JSON) of the notebook "03b"."""
    return next((n, found) for n, found in SOURCES.items() if n.partition("_")[0] == number)


def link(number):
    return f"[{number}](../notebooks/{notebook(number)[0]}.ipynb)"


def computing(number):
    """The minutes that a notebook's cells take, as its setup cell says."""
    name, _ = notebook(number)
    return next(float(lengths.minutes(path)) for path in lengths.NOTEBOOKS if path.stem == name)


def minutes(number):
    """{number of an exercise: its minutes} of a notebook, also of those without a check."""
    text = "\n".join("".join(cell["source"]) for cell in notebook(number)[1]["cells"])
    return {int(k): int(m) for k, _, m in HEADING.findall(text)}


def of_session(session):
    """{"cells", "class", "home": minutes; "in class", "at home": {notebook: numbers}}."""
    found = {"cells": sum(map(computing, session)), "class": 0, "home": 0, "in class": {},
             "at home": {}}
    for number, chosen in session.items():
        for k, count in minutes(number).items():
            total, place = ("class", "in class") if k in chosen else ("home", "at home")
            found[total] += count
            found[place].setdefault(number, []).append(k)
    return found


def told(exercises, total):
    """"03: 1, 4 (20 minutes)"."""
    by_notebook = "; ".join(f"{number}: {', '.join(map(str, numbers))}"
                            for number, numbers in exercises.items())
    return f"{by_notebook} ({total} minutes)" if exercises else "none"


def plans():
    """A table for each plan."""
    parts = []
    for title, sessions in PLANS.items():
        parts += [f"### {title}\n", "| | notebooks | cells compute | exercises in class | left for "
                  "text and talk | exercises at home |", "|---|---|---|---|---|---|"]
        for k, session in enumerate(sessions, 1):
            found = of_session(session)
            left = SESSION - found["cells"] - found["class"]
            parts.append(f"| {k} | {', '.join(map(link, session))} | {found['cells']:g} minutes | "
                         f"{told(found['in class'], found['class'])} | {left:g} minutes | "
                         f"{told(found['at home'], found['home'])} |")
        parts.append("")
    return "\n".join(parts).rstrip()


def exercises():
    """A line for each exercise that has a check."""
    parts = ["| notebook | exercise | minutes | points | what it asks for | mistakes it names |",
             "|---|---|---|---|---|---|"]
    for name, found in SOURCES.items():
        number = name.partition("_")[0]
        parts += [f"| {link(number)} | {task.number} · {task.title} | {task.minutes} | "
                  f"{task.points} | {asked(task.exercise)} | {len(task.exercise.mistakes)} |"
                  for task in tasks(found)]
    every = [task for found in SOURCES.values() for task in tasks(found)]
    return "\n".join([*parts, f"\nTogether {counted(len(every), 'exercise')}, "
                      f"{sum(task.minutes for task in every)} minutes, "
                      f"{sum(task.points for task in every)} points."])


def asked(exercise):
    """The first line of the docstring in gantutor/check, fit for a cell of a table."""
    line = exercise.__doc__.strip().splitlines()[0].replace("|", "\\|")
    call = re.match(r"my_\w+\(.*?\)", line)
    return f"`{call[0]}`{line[call.end():]}" if call else line


def memory():
    """A line for each measured notebook, and what a class needs."""
    measured = json.loads(MEMORY.read_text(encoding="utf-8"))
    parts = ["| notebook | profile | peak of its kernel, MB | of it shared by all kernels, MB |",
             "|---|---|---|---|"]
    parts += [f"| {name} | {profile} | {found['peak']} | {found['shared']} |"
              for profile, by_name in measured.items() for name, found in by_name.items()]
    most = max((one for found in measured.values() for one in found.values()),
               key=lambda one: one["peak"])
    total = (CLASS * (most["peak"] - most["shared"]) + most["shared"]) / 1000
    return "\n".join([*parts, f"\nThe largest kernel takes {most['peak'] / 1000:.1f} GB. "
                      f"{CLASS} of them take {CLASS * most['peak'] / 1000:.0f} GB if nothing is "
                      f"shared, and {total:.0f} GB if torch's libraries are the same files for "
                      "all."])


def page(text):
    """The page with its tables written anew between <!-- NAME --> and <!-- end -->."""
    for name, made in (("plans", plans), ("exercises", exercises), ("memory", memory)):
        text, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda marks, made=made:
                              f"{marks[1]}\n{made()}\n\n{marks[2]}", text, flags=re.S)
        if count != 1:
            raise ValueError(f"{PAGE.name}: <!-- {name} --> stands there {count} times, expected "
                             "one")
    return text


def main():
    text = page(PAGE.read_text(encoding="utf-8"))
    atomically(PAGE, lambda to: to.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
