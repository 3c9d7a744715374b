"""What a rehearsal is worth: its forecast against what full runs found where the pairs are known.

`python -m gantutor.own.worth` measures what is missing of data/sweeps/rehearsal.json, about four
minutes of one core a point, and prints the table. Stopped, it goes on. Its cases are data of the
course and none of the changes that a rehearsal makes.
"""

import argparse

import torch

from gantutor import runs
from gantutor.data import AVATARS, DIAL, INK, MONOCHROMES, RETRO, to_float, to_uint8
from gantutor.evaluate import held_out_pairs
from gantutor.own.known_pairs import CEILING, SIX, Task, references, run, stopped_falling
from gantutor.own.plans import plan
from gantutor.own.rehearsal import described, nearest, ranking, rehearse
from gantutor.own.sources import evenly

FILE = "rehearsal"
CASES = {"retro": RETRO, "retro x 2": DIAL["retro x 2"], "negative": DIAL["inverted"], "ink": INK,
         "avatars": AVATARS, "monochrome": MONOCHROMES}
METHODS = ("direct", "vgg", "cyclegan", "discogan")
SEEDS, SIZE, SHORT, MANY = 3, 32, 200, 500


def pictures_of(case):
    """Which pictures a case begins with. Cases that share them share a rehearsal."""
    return "photographs" if CASES[case].divide else "faces"


def known_task(case, seed=0):
    """The `Task` of a case: its own training images, and its held-out pairs to judge by."""
    pack = CASES[case].split(seed).at(SIZE)
    x, y = (pack.unpaired(SIZE).stacks[name] for name in "xy")
    held_out = [to_uint8(images) for images in held_out_pairs(pack)[:2]]
    return Task(x, y, pack.paired(SIZE).stacks["y"], *held_out)


# ------------------------------------------------------------------ measuring


def measure_truth(case, method, seed):
    """What a full run of `gantutor train`'s plan finds."""
    task = known_task(case, seed)
    steps = plan("direct" if method == CEILING else method, SIZE, "cpu").steps
    found = run(task, method, SIZE, steps, seed=seed)
    return {"rows": references(task), **{k: found[k] for k in ("steps", "errors", "last")}}


def measure_forecast(pictures, seed):
    """A rehearsal with the first pictures of the cases, and what each case's Y looks like."""
    cases = [case for case in CASES if pictures_of(case) == pictures]
    stacks = {case: known_task(case, seed) for case in cases}
    x = evenly(stacks[cases[0]].x, MANY)
    found = rehearse(x, METHODS, SIZE, SHORT, seed=seed)
    return {"changes": {name: {"rows": case["rows"],
                               "likeness": likeness(case["task"].x, case["task"].y),
                               "runs": {row: {k: made[k] for k in ("steps", "errors", "last")}
                                        for row, made in case["runs"].items()}}
                        for name, case in found.items()},
            "cases": {case: likeness(evenly(task.x, MANY), evenly(task.y, MANY))
                      for case, task in stacks.items()}}


def likeness(x, y):
    return described(to_float(x), to_float(y))


def wanted():
    """Every point, forecasts first: [{"pictures", "seed"} or {"case", "method", "seed"}, ...]."""
    kinds = sorted({pictures_of(case) for case in CASES})
    return [{"pictures": name, "seed": seed} for seed in range(SEEDS) for name in kinds] + [
        {"case": case, "method": method, "seed": seed}
        for seed in range(SEEDS) for case in CASES for method in (*METHODS, CEILING)]


def measure(ship=False):
    """Measures the points that are missing, one by one, and prints which."""
    for point in wanted():
        if any(point.items() <= known.items() for known in runs.points(FILE, ship)):
            continue
        measured = (measure_forecast if "pictures" in point else measure_truth)(*point.values())
        runs.add_point(FILE, point | measured, ship)
        print(*point.values(), flush=True)


# ------------------------------------------------------------------ what it is worth


def rank_correlation(one, other):
    """Spearman's: Pearson's correlation of the ranks, ties at their mean rank. NaN if one is flat.

    one, other: equally many numbers.
    """
    def ranks(values):
        values = torch.tensor(values, dtype=torch.float64)
        return (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) - 1) / 2

    return torch.corrcoef(torch.stack([ranks(one), ranks(other)]))[0, 1].item()


def compared(case, seed, points=None):
    """One case and seed: what the forecast said, and what full runs found, a dict.

    "alike": the change that looks most like this case. "order": rank correlation of the methods'
    errors, of the forecast on that change and the truth; "order of all": of the forecast's mean
    over all changes. "farther": by how much the method that the forecast puts first is farther
    from the truth than the best, as a share of the best's error; "usual": the same for CycleGAN,
    always; "by lot": the mean over the methods. "beats": a pair of bools a method, forecast and
    truth: nearer than six colour numbers? "stop": a pair a method, the shares of the run after
    which the error stopped falling. "stopped": the error where the forecast stops, as a share of
    that at the end. "errors": of the full runs, with their references.
    """
    points = runs.points(FILE) if points is None else points
    truth = {p["method"]: p for p in points if p.get("case") == case and p["seed"] == seed}
    forecast = next(p for p in points if p.get("pictures") == pictures_of(case)
                    and p["seed"] == seed)
    changes = forecast["changes"]
    alike = nearest(forecast["cases"][case], {k: v["likeness"] for k, v in changes.items()})
    rows = {name: found["rows"] for name, found in changes.items()}
    errors = {method: truth[method]["errors"][-1] for method in METHODS}
    six, best = truth["direct"]["rows"][SIX], min(errors.values())
    orders = {"order": ranking(rows, [alike]), "order of all": ranking(rows)}
    stop, stopped = [], []
    for method in METHODS:
        short, full = changes[alike]["runs"][method], truth[method]
        stop.append(tuple(stopped_falling(run["steps"], run["errors"]) / run["steps"][-1]
                          for run in (short, full)))
        index = round(stop[-1][0] * (len(full["errors"]) - 1))
        stopped.append(full["errors"][index] / full["errors"][-1])
    farther = {method: error / best - 1 for method, error in errors.items()}
    return {"alike": alike, "farther": farther[orders["order"][0]], "usual": farther["cyclegan"],
            "by lot": sum(farther.values()) / len(farther), "stop": stop, "stopped": stopped,
            "beats": [(rows[alike][method] < rows[alike][SIX], errors[method] < six)
                      for method in METHODS],
            "errors": truth["direct"]["rows"] | errors | {CEILING: truth[CEILING]["errors"][-1]},
            **{name: rank_correlation([order.index(method) for method in METHODS],
                                      list(errors.values())) for name, order in orders.items()}}


def summary(points=None):
    """What the cases say together: a dict of means over all cases and seeds."""
    found = [compared(case, seed, points) for case in CASES for seed in range(SEEDS)]

    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    beats, stop = ([pair for f in found for pair in f[name]] for name in ("beats", "stop"))
    return {**{name: mean(f[name] for f in found)
               for name in ("order", "order of all", "farther", "usual", "by lot")},
            "beats, right": mean(said == true for said, true in beats),
            "beats, by guessing": max(share := mean(true for _, true in beats), 1 - share),
            "stop": rank_correlation(*map(list, zip(*stop, strict=True))),
            "stopped": mean(value for f in found for value in f["stopped"])}


def table(points=None):
    """The table as lines of text: a row a case, the seeds' numbers side by side; then the means."""
    def numbers(found, name, form):
        return " ".join(format(f[name], form) for f in found)

    lines = [f"{'case':12}{'order, alike':>18}{'order, all':>18}{'first by forecast':>20}"
             f"{'always CycleGAN':>18}{'by lot':>16}"]
    for case in CASES:
        found = [compared(case, seed, points) for seed in range(SEEDS)]
        lines.append(f"{case:12}{numbers(found, 'order', '+.1f'):>18}"
                     f"{numbers(found, 'order of all', '+.1f'):>18}"
                     f"{numbers(found, 'farther', '.0%'):>20}{numbers(found, 'usual', '.0%'):>18}"
                     f"{numbers(found, 'by lot', '.0%'):>16}")
    means = summary(points)
    lines += [f"{'mean':12}{means['order']:>+18.2f}{means['order of all']:>+18.2f}"
              f"{means['farther']:>20.0%}{means['usual']:>18.0%}{means['by lot']:>16.0%}",
              "order: rank correlation of four methods' errors, three seeds; percent: farther from "
              "the truth than the best method.",
              f"Nearer than six colour numbers or not: right in {means['beats, right']:.0%} of all "
              f"cases (the commoner answer alone: {means['beats, by guessing']:.0%}).",
              f"When to stop: rank correlation {means['stop']:+.2f}; stopped there, a full run has "
              f"{means['stopped']:.0%} of its error at the end."]
    return "\n".join(lines)


def errors(points=None):
    """The full runs behind the table, as lines of text: every row, three seeds."""
    lines = []
    for case in CASES:
        found = [compared(case, seed, points)["errors"] for seed in range(SEEDS)]
        lines += [case, *(f"  {row:20}" + " ".join(f"{f[row]:.3f}" for f in found)
                          for row in found[0])]
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(prog="python -m gantutor.own.worth", description=__doc__)
    options.add_argument("--ship", action="store_true", help="for the course's developers: write "
                                                             "into data/")
    measure(ship := options.parse_args().ship)
    print(errors(points := runs.points(FILE, ship)))
    print(table(points))


if __name__ == "__main__":
    main()
