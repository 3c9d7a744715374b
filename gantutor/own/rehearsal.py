"""`gantutor rehearse --x DIR [--y DIR]`: which method, and when to stop, on pairs that are known.

Nobody has the pairs of your task. So this makes a task of which the pairs are known, out of your
own pictures: some stay as they are, others are changed by a known process, and methods that see
no pair translate the first into the second. Then the hidden pairs say how well each did.

It can tell which method copes with *this kind of change on your kind of picture*, how long a run
takes here, and when the error stops falling. It cannot tell whether your real change is of that
kind: another change may order the methods otherwise, and mostly does.
"""

import argparse
import math
from pathlib import Path

from gantutor import show
from gantutor.data import to_float
from gantutor.data.large import Folder
from gantutor.evaluate.metrics import in_batches, kid
from gantutor.evaluate.references import colour_statistics
from gantutor.evaluate.two_sample import style
from gantutor.own.changes import CHANGES
from gantutor.own.known_pairs import CEILING, NOTHING, SIX, make_task, references, run
from gantutor.own.plans import METHODS, plan
from gantutor.own.results import write_figure, write_json
from gantutor.own.several import rehearse_several
from gantutor.own.sources import evenly
from gantutor.own.training import found_device, positive

WORTH = """\
How far does it carry over? On six tasks of the course whose pairs are known, none of them a change
of the table above (three seeds, 32 px, `python -m gantutor.own.worth`), not far. The order of four
methods agreed with the truth with a rank correlation of +0.11. The method that a rehearsal puts
first was 27 % farther from the truth than the best one; always taking CycleGAN 21 %, drawing lots
47 %. Whether a method beats six colour numbers was right in 51 % of the cases, and when to stop did
not carry over at all (-0.05). So trust a column for the change that it names. For another change
begin with CycleGAN, and look at what it does."""
USUAL = ("direct", "vgg", "cyclegan")
MOST = 2000


# ------------------------------------------------------------------ what it says


def described(x, y):
    """What a change looks like without pairs: (KID, share of it that six colour numbers take away).

    x, y: (N, 3, H, W) in [-1, 1], unpaired. KID is that of `style`.
    """
    six = colour_statistics(x, y)(x)
    before, after = (kid(in_batches(style, images), in_batches(style, y)) for images in (x, six))
    return before, 1 - max(after, 0) / max(before, 1e-9)


def nearest(yours, tasks):
    """The name of the task whose change looks most like yours. Both: as `described`."""
    def distance(other):
        kids = [math.log(max(value[0], 1e-5)) for value in (yours, other)]
        return abs(kids[0] - kids[1]) + 2 * abs(yours[1] - other[1])

    return min(tasks, key=lambda name: distance(tasks[name]))


def ranking(results, changes=None):
    """Methods from best to worst: by their mean share of do nothing's error over `changes`.

    results: {change: {row: error}}. By default over all changes.
    """
    changes = list(results if changes is None else changes)
    methods = [row for row in results[changes[0]] if row not in (CEILING, NOTHING, SIX)]
    shares = {row: sum(results[c][row] / results[c][NOTHING] for c in changes) / len(changes)
              for row in methods}
    return sorted(shares, key=shares.get)


def table(results):
    """{change: {row: error}} as lines of text, each change a column."""
    rows = list(next(iter(results.values())))
    lines = [" " * 20 + "".join(f"{change:>14}" for change in results)]
    lines += [f"{row:20}" + "".join(f"{found[row]:14.3f}" for found in results.values())
              for row in rows]
    return "\n".join(lines)


def rehearse(pictures, methods=USUAL, size=64, steps=None, device="cpu", seed=0, changes=CHANGES,
             say=print):
    """{change: {"rows": {row: error}, "runs": {row: `run`}}} of every change.

    pictures: uint8 (N, 3, size, size). say: is told how far it is, a line a run.
    """
    found = {}
    for name, change in changes.items():
        task = make_task(pictures, change, seed)
        rows, runs = references(task), {}
        for method in (*methods, CEILING):
            runs[method] = run(task, method, size, steps, device, seed)
            rows[method] = runs[method]["error"]
            say(f"{name}: {method} {rows[method]:.3f} (do nothing {rows[NOTHING]:.3f})")
        found[name] = {"rows": rows, "runs": runs, "task": task}
    return found


# ------------------------------------------------------------------ the command line


def add_command(commands):
    """`gantutor rehearse`; returns its parser. commands: what `add_subparsers` gave."""
    parser = commands.add_parser("rehearse", help="try methods on hidden pairs made from your own "
                                                  "pictures", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--x", metavar="DIR", required=True, help="your pictures, at least 40")
    parser.add_argument("--y", metavar="DIR", help="what they shall become: then the change that "
                                                   "looks most like yours is named")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", default=list(USUAL),
                        choices=list(METHODS), help=f"default: {' '.join(USUAL)}; stargan gets a "
                                                    "task of three domains")
    parser.add_argument("--changes", nargs="+", metavar="CHANGE", choices=list(CHANGES),
                        default=list(CHANGES), help=f"of {', '.join(CHANGES)}; default: all")
    parser.add_argument("--size", type=positive, default=64, metavar="PX")
    parser.add_argument("--steps", type=positive, metavar="N", help="of every run; default: a "
                                                                    "sixth of a full run")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", metavar="DIR", default="runs/rehearsal")
    parser.set_defaults(act=act)
    return parser


def act(options):
    """Does what `gantutor rehearse` asks for; returns the exit code."""
    device, size = found_device(options.device), options.size
    pictures = evenly(Folder(options.x, size, "centre"), MOST)
    asked = {"size": size, "steps": options.steps, "device": device, "seed": options.seed,
             "say": progress_line}
    pairs = [method for method in options.methods if method != "stargan"]
    found = rehearse(pictures, pairs, changes={name: CHANGES[name] for name in options.changes},
                     **asked) if pairs else {}
    many = rehearse_several(pictures, **asked) if len(pairs) < len(options.methods) else {}
    length = f"of {options.steps} steps" if options.steps else "a sixth as long as a full one"
    print(f"\nL1 to the hidden pair, of a range of 2, on {len(pictures)} pictures at {size} px; "
          f"one run each, {length}.")
    for text, cases in (("", found), ("One of three domains, the third is the input's:\n", many)):
        if cases:
            print(f"\n{text}{table({name: case['rows'] for name, case in cases.items()})}\n")
            say_when_to_stop(cases, size, device)
    alike = say_what_is_best(options, pictures, found) if found else None
    print(f"{__doc__[__doc__.index('It can tell'):]}\n{WORTH}")
    out = Path(options.out)
    cases = found | {f"{name} of three": case for name, case in many.items()}
    write_json(out / "rehearsal.json", {"command": getattr(options, "typed", ""), "alike": alike,
               "changes": {name: {"rows": case["rows"], "runs": case["runs"]}
                           for name, case in cases.items()}})
    write_figure(out / "rehearsal.png", sheet(cases))
    return 0


def say_what_is_best(options, pictures, found):
    """Prints the order of the methods; returns the change most like the reader's own, or None."""
    results = {name: case["rows"] for name, case in found.items()}
    alike = say_what_is_alike(options, pictures, found) if options.y else None
    best = ranking(results, [alike] if alike else None)
    print(f"Order{f' on {alike}' if alike else ''}, best first: {', '.join(best)}.")
    not_better = [row for row in best if all(rows[row] >= rows[SIX] for rows in results.values())]
    if not_better:
        print(f"Nowhere better than six colour numbers: {', '.join(not_better)}.")
    return alike


def progress_line(text):
    print(text, flush=True)


def say_when_to_stop(found, size, device):
    """Prints, a line a method, when the error stopped falling and what a full run takes."""
    for method in next(iter(found.values()))["runs"]:
        if method != CEILING:
            runs = [case["runs"][method] for case in found.values()]
            full = plan(method, size, device).steps
            seconds = sum(run["seconds a step"] for run in runs) / len(runs)
            print(f"{method}: the error stopped falling after step "
                  f"{', '.join(str(run['stop']) for run in runs)} of {runs[0]['steps'][-1]}; "
                  f"{full} steps, as `gantutor train` does, take {full * seconds / 60:.0f} "
                  "minutes here.")


def say_what_is_alike(options, pictures, found):
    """Prints which change looks most like the reader's own, and returns its name."""
    y = evenly(Folder(options.y, options.size, "centre"), MOST)
    yours = described(to_float(pictures), to_float(y))
    tasks = {name: described(to_float(case["task"].x), to_float(case["task"].y))
             for name, case in found.items()}
    alike = nearest(yours, tasks)
    print(f"Your Y lies {1000 * yours[0]:.0f} (KID x1000) from X, and six colour numbers take away "
          f"{yours[1]:.0%} of that. Most alike: {alike} "
          f"({1000 * tasks[alike][0]:.0f}, {tasks[alike][1]:.0%}).")
    return alike


def sheet(found):
    """A figure: per change some pictures, and what they should become."""
    rows = {}
    for name, case in found.items():
        rows.setdefault("x", to_float(case["task"].test_x[:8]))
        rows[f"{name}, true"] = to_float(case["task"].test_y[:8])
    return show.grid(*rows.values(), labels=list(rows))
