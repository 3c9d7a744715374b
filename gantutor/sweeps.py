"""One setting varied, everything else held: the curves of notebook 02 (room: training).

    python -m gantutor.sweeps                # what is missing in data/sweeps/vgg_constraint.json

Every point is one training run (1 to 5 minutes on one core) judged by the panel; only its panel
is kept. A run that is stopped goes on with the next missing point.
"""

import json

from gantutor import data, recipes
from gantutor.training import atomically, fit, seed_everything

# constraint, layer, weights of the term tried with it
POINTS = [
    ("pixel", None, (0.1, 0.3, 1.0, 3.0)),
    ("random", "relu3_3", (0.3, 1.0, 3.0)),
    ("text", "relu1_2", (0.3, 1.0, 3.0)),
    ("text", "relu2_2", (0.3, 1.0, 3.0, 10.0)),
    ("text", "relu3_3", (0.3, 1.0, 3.0)),
]


def path():
    return data.data_folder() / "sweeps" / "vgg_constraint.json"


def load():
    """The points measured so far: a list of {"constraint", "layer", "weight", "panel"}."""
    return json.loads(path().read_text(encoding="utf-8")) if path().is_file() else []


def measure(constraint, layer, weight, seed=0):
    """Trains one point like the recipe "landscapes_deep", only the constraint added; its panel."""
    seed_everything(seed)
    method = recipes.constrained(constraint, layer, weight)
    steps, lr, _ = recipes.RECIPES["landscapes_deep"]
    fit(method, recipes.batches("landscapes_deep", seed), steps, lr=lr)
    return recipes.judge(method, "landscapes_deep")


def main():
    done = load()
    known = {(p["constraint"], p["layer"], p["weight"]) for p in done}
    for constraint, layer, weights in POINTS:
        for weight in weights:
            if (constraint, layer, weight) in known:
                continue
            panel = measure(constraint, layer, weight)
            done.append({"constraint": constraint, "layer": layer, "weight": weight,
                         "panel": panel})
            print(constraint, layer, weight, f"{panel['hidden-pair L1']:.3f}", flush=True)
            atomically(path(), lambda to: to.write_text(json.dumps(done, indent=1) + "\n"))


if __name__ == "__main__":
    main()
