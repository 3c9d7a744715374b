"""python -m gantutor train NAME [--seed S] | evaluate NAME [--seed S]"""

import argparse
import json

from gantutor import recipes


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m gantutor")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a recipe and save its checkpoint")
    train.add_argument("name", choices=sorted(recipes.RECIPES))
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--steps", type=int, help="instead of the recipe's number")
    evaluate = commands.add_parser("evaluate", help="judge a shipped checkpoint again")
    evaluate.add_argument("name", choices=sorted(recipes.RECIPES))
    evaluate.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.command == "train":
        panel = recipes.train(options.name, options.seed, options.steps)
    else:
        panel = recipes.judge(recipes.load(options.name, options.seed), options.name)
    print(json.dumps(panel, indent=1))


if __name__ == "__main__":
    main()
