"""What a rehearsal is worth: its forecast against what full runs found where the pairs are known.

`python -m gantutor.own.worth` measures what is missing of data/sweeps/rehearsal.json, about four
minutes of one core a point, and prints the table. Stopped, it goes on. Its cases are data of the
course and none of the changes that a rehearsal makes.
"""

import argparse

import torch

from gantutor import runs
from gantutor.data import AVATARS, DIAL, INK, MONOCHROMES, RETRO, to_float, to_uint8
from gantutor.own.hidden_pairs import CEILING, Task, references, run, stopped_falling
from gantutor.own.plans import plan
from gantutor.own.rehearsal import described, nearest, ranking, rehearse

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
    paired, question = pack.paired(SIZE).stacks, pack.questions(SIZE)[0]
    return Task(x, y, paired["y"], to_uint8(question.x), to_uint8(question.y))


def some(stack):
    """MANY pictures of a stack, spread evenly over it."""
    return stack[torch.linspace(0, len(stack) - 1, MANY).long()]


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
    x = some(stacks[cases[0]].x)
    found = rehearse(x, METHODS, SIZE, SHORT, seed=seed)
    return {"changes": {name: {"rows": case["rows"], "likeness": likeness(case["task"]),
                               "runs": {row: {k: made[k] for k in ("steps", "errors", "last")}
                                        for row, made in case["runs"].items()}}
                        for name, case in found.items()},
            "cases": {case: described(to_float(some(task.x)), to_float(some(task.y)))
                      for case, task in stacks.items()}}


def likeness(task):
    return described(to_float(task.x), to_float(task.y))


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
    """One case and seed: {"order", "order of all", "stop", "alike", "best", "loss", ...}.

    order: rank correlation of the methods' errors, on the change that looks most alike; order of
    all: by the mean over all changes. stop: pairs (forecast, truth) of the share of a run after
    which the error stopped falling. loss: how much farther, as a share of the best method's error,
    the method is that the forecast puts first.
    """
    points = runs.points(FILE) if points is None else points
    truth = {p["method"]: p for p in points if p.get("case") == case and p["seed"] == seed}
    forecast = next(p for p in points if p.get("pictures") == pictures_of(case)
                    and p["seed"] == seed)
    changes = forecast["changes"]
    alike = nearest(forecast["cases"][case], {k: v["likeness"] for k, v in changes.items()})
    errors = [truth[method]["errors"][-1] for method in METHODS]
    rows = {name: found["rows"] for name, found in changes.items()}
    orders = ranking(rows, [alike]), ranking(rows)
    stop = [tuple(stopped_falling(run["steps"], run["errors"]) / run["steps"][-1]
                  for run in (changes[alike]["runs"][method], truth[method]))
            for method in METHODS]
    best = min(errors)
    return {"order": rank_correlation([orders[0].index(m) for m in METHODS], errors),
            "order of all": rank_correlation([orders[1].index(m) for m in METHODS], errors),
            "first": orders[0][0], "best": METHODS[errors.index(best)], "alike": alike,
            "loss": truth[orders[0][0]]["errors"][-1] / best - 1, "stop": stop,
            "errors": dict(zip(METHODS, errors, strict=True)) | truth["direct"]["rows"] | {
                CEILING: truth[CEILING]["errors"][-1]}}


def table(points=None):
    """The table as lines of text: a row a case, the seeds' numbers side by side."""
    lines = [f"{'case':12}{'most alike':14}{'order, alike':>24}{'order, all':>24}"
             f"{'farther than the best':>26}"]
    for case in CASES:
        found = [compared(case, seed, points) for seed in range(SEEDS)]
        columns = [" ".join(f"{f[key]:+.2f}" for f in found) for key in ("order", "order of all")]
        lines.append(f"{case:12}{found[0]['alike']:14}{columns[0]:>24}{columns[1]:>24}"
                     f"{' '.join(format(f['loss'], '.0%') for f in found):>26}")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(prog="python -m gantutor.own.worth", description=__doc__)
    options.add_argument("--ship", action="store_true", help="for the course's developers: write "
                                                             "into data/")
    measure(ship := options.parse_args().ship)
    print(table(runs.points(FILE, ship)))


if __name__ == "__main__":
    main()
