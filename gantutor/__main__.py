"""python -m gantutor train NAME [--seed S] | evaluate NAME [--seed S] | rejudge | picture"""

import argparse
import json

from PIL import Image

from gantutor import data, evaluate, recipes, show

PICTURED = (1, 18, 9, 3, 57, 76, 29, 46, 7)  # held-out crops with something to see in them


def draw_picture(path):
    """Held-out photographs, their translation by the shipped CycleGAN, and the hidden truth."""
    x, y, _ = evaluate.held_out_pairs("landscapes", 64)
    x, y = x[list(PICTURED)], y[list(PICTURED)]
    rows = x, recipes.load("landscapes_converged").translate(x), y
    Image.fromarray(show.upscaled(show.grid_array(*rows), 2)).save(path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m gantutor")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a recipe and save its checkpoint")
    train.add_argument("name", choices=sorted(recipes.RECIPES))
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--steps", type=int, help="instead of the recipe's number")
    judge = commands.add_parser("evaluate", help="judge a shipped checkpoint again")
    judge.add_argument("name", choices=sorted(recipes.RECIPES))
    judge.add_argument("--seed", type=int, default=0)
    commands.add_parser("rejudge", help="write the panels of all shipped checkpoints again")
    commands.add_parser("picture", help="draw the picture of README.md, data/picture.png")
    options = parser.parse_args(arguments)
    if options.command == "picture":
        return draw_picture(data.data_folder() / "picture.png")
    if options.command == "rejudge":
        panel = {f"{name}_{seed}": recipes.rejudge(name, seed)
                 for name in recipes.RECIPES for seed in recipes.seeds(name)}
    elif options.command == "train":
        panel = recipes.train(options.name, options.seed, options.steps)
    else:
        panel = recipes.judge(recipes.load(options.name, options.seed), options.name)
    print(json.dumps(panel, indent=1))


if __name__ == "__main__":
    main()
