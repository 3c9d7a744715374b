"""The one command line of the course: `gantutor`, or `python -m gantutor`.

  with your own pictures   train, translate, evaluate, rehearse, export, data
  with a class             release
  with the course's runs   reproduce, points, faults; for its developers: references, judges,
                           rejudge, pictures

Exit codes: 0 done, 1 it failed (one line says why), 2 the command line is not right,
130 interrupted.
"""

import argparse
import difflib
import json
import shlex
import sys
import warnings
from itertools import chain

from gantutor import data, evaluate, faults, pictures, runs
from gantutor.data import varied
from gantutor.evaluate.judges import train_judge
from gantutor.evaluate.jury import train_jury
from gantutor.labs import edition
from gantutor.own import datasets, exporting, judging, rehearsal, training, translating
from gantutor.own.plans import METHODS
from gantutor.recipes import RECIPES
from gantutor.saving import atomically, data_folder
from gantutor.training import TrainingDiverged

JUDGED = [pack.at(size) for pack in (data.AVATARS, data.FACES) for size in (32, 64)]
JUDGED += varied.RECOLOURED.values()


def retrain_judges(wanted, jury_only=False):
    """Trains the fixed classifiers again, those whose file names are `wanted`, by default all.

    jury_only: the judge that reads attributes stays as it is.
    """
    for pack in JUDGED:
        if not wanted or f"{pack.name}_{pack.size}" in wanted:
            if not jury_only:
                train_judge(pack)
            if pack.jury:
                train_jury(pack)
            accuracy = evaluate.judge_accuracy(pack)
            print(pack, {name: round(value, 3) for name, value in accuracy.items()}, flush=True)
    runs.list_what_ships()


def similar(name, names, usual):
    """Names like a wrong one, for its error."""
    return " or ".join(difflib.get_close_matches(name, names)) or usual


def recipe_name(text):
    """A name on the command line; the error suggests a similar one."""
    if text in RECIPES:
        return text
    raise argparse.ArgumentTypeError(f"no recipe {text!r}; for example "
                                     f"{similar(text, RECIPES, 'retro_cyclegan')} (`gantutor "
                                     "reproduce --help` lists all)")


def count(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 0")
    return int(text)


def parser():
    top = argparse.ArgumentParser(prog="gantutor", description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = training.add_command(commands)
    translating.add_command(commands)
    judge = judging.add_command(commands)
    for module in (rehearsal, exporting, datasets, edition):
        module.add_command(commands)
    # These two also take a recipe's name: stored checkpoints say `gantutor train NAME`.
    judge.add_argument("--seed", type=count, default=0, help=argparse.SUPPRESS)
    judge.add_argument("--file", help=argparse.SUPPRESS)
    reproduce = commands.add_parser("reproduce", help="train a recipe of the course again; the "
                                                      "checkpoint goes to the folder runs",
                                    epilog=f"NAME is one of: {', '.join(RECIPES)}")
    reproduce.add_argument("name", type=recipe_name, metavar="NAME", help="a row of recipes.py")
    reproduce.add_argument("--seed", type=count, default=0, help="of all random numbers (default "
                                                                 "0)")
    reproduce.add_argument("--steps", type=count, help="instead of the recipe's number")
    train.add_argument("--ship", action="store_true", help=argparse.SUPPRESS)
    points = commands.add_parser("points", help="measure what is missing of the ladder and the "
                                                "sweep: runs of which only the numbers are kept")
    points.add_argument("rungs", nargs="*", choices=[[], *chain(*runs.TABLES.values())],
                        metavar="RUNG")
    broken = commands.add_parser("faults", help="train what is missing of notebook 09's runs")
    for command in (reproduce, points, broken):
        command.add_argument("--ship", action="store_true", help="for the course's developers: "
                             "write into data/, where it replaces what ships")
    commands.add_parser("references", help="for developers: measure the reference rows that are "
                                           "missing in data/")
    judges = commands.add_parser("judges", help="for developers: train the fixed classifiers again")
    names = [f"{pack.name}_{pack.size}" for pack in JUDGED]
    judges.add_argument("packs", nargs="*", choices=[[], *names], metavar="PACK_SIZE")
    judges.add_argument("--jury-only", action="store_true", help="the judge that reads attributes "
                                                                 "stays as it is")
    commands.add_parser("rejudge", help="for developers: write all shipped panels again")
    commands.add_parser("pictures", help="for developers: draw README.md's pictures, and write "
                                         "the lines over them")
    return top


def old_command(top, options):
    """`train NAME` and `evaluate NAME` without folders mean a recipe; other names are an error."""
    if options.command == "train" and not (options.x or options.y or options.data):
        if options.method in METHODS:
            top.error(f"train {options.method}: which pictures? Give --x DIR and --y DIR, or "
                      "--data DIR")
        options.command, options.name = "reproduce", options.method
    elif options.command == "train" and options.method not in METHODS:
        top.error(f"no METHOD {options.method!r}; for example "
                  f"{similar(options.method, METHODS, 'cyclegan')} (`gantutor train --help` lists "
                  "all)")
    elif options.command == "evaluate" and not (options.x or options.y):
        if options.model not in RECIPES:
            top.error(f"evaluate {options.model}: which pictures? Give --x DIR and --y DIR")
        options.command, options.name = "evaluate a recipe", options.model
    else:
        return
    names = [*METHODS, *RECIPES]
    if options.name not in RECIPES:
        top.error(f"no METHOD and no recipe {options.name!r}; for example "
                  f"{similar(options.name, names, 'cyclegan')}")
    options.act = act


def note(message, *_, **__):
    """A warning as one line, without the source line that gave it."""
    print(f"note: {message}", file=sys.stderr)


def main(arguments=None):
    top = parser()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = top.parse_args(arguments)
    old_command(top, options)
    options.typed = shlex.join(["gantutor", *arguments])
    with warnings.catch_warnings():
        warnings.showwarning = note
        try:
            code = (getattr(options, "act", None) or act)(options)
        except (OSError, ValueError, ImportError, TrainingDiverged) as error:
            sys.exit(f"gantutor {options.command}: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
    if code:
        sys.exit(code)


def act(options):
    """Does what the command line asks for, with the runs of the course."""
    match options.command:
        case "reproduce":
            where = runs.checkpoint_path(options.name, options.seed, options.ship)
            if where.exists():
                print(f"{where} exists and will be replaced", file=sys.stderr)
            panel = runs.train(options.name, options.seed, options.steps, ship=options.ship)
            print(f"saved {where}", file=sys.stderr)
            print(json.dumps(panel, indent=1))
        case "evaluate a recipe":
            print(json.dumps(runs.judge(options.name, options.seed, options.file), indent=1))
        case "points":
            runs.measure_points(options.rungs, options.ship)
        case "faults":
            faults.make_missing(options.ship)
        case "references":
            runs.measure_references(ship=True)
        case "judges":
            retrain_judges(options.packs, options.jury_only)
        case "rejudge":
            for name in RECIPES:
                for seed in runs.seeds(name):
                    print(f"{name}_{seed}", runs.rejudge(name, seed), flush=True)
        case "pictures":
            lines, readme = pictures.draw(), data_folder().parent / "README.md"
            text = pictures.in_readme(readme.read_text(encoding="utf-8"), lines)
            atomically(readme, lambda to: to.write_text(text, encoding="utf-8"))
            runs.list_what_ships()


if __name__ == "__main__":
    main()
