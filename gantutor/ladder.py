"""The ladder of notebooks 05 to 07, every rung over several seeds (room: training).

    python -m gantutor.ladder                # what is missing in data/sweeps/common_space.json

A rung is a short training run (1 to 2 minutes on one core, what a notebook does live; 10 minutes
where it is CONVERGED), judged by the panel and by fresh probes on its codes; only these numbers are
kept. A run that is stopped goes on with the next missing point; `python -m gantutor.ladder NAME
...` makes some rungs only.
"""

import argparse
import json
from itertools import chain, combinations

from gantutor import data, evaluate, probes, recipes
from gantutor.methods.common_space import ReversedSpace
from gantutor.training import atomically, fit, seed_everything

STEPS = 1000  # how often the encoders play
SHORT = 700  # so in the ablation, whose terms cost more a step
D_Z_STEPS = 4  # how often D_z plays for one step of the encoders, in "aligned"
# name: (stages shared, weights, seeds). Notebooks 05 and 06: a flag tells the encoders the domain.
TOLD = {"told": True}
RUNGS = {
    "unlinked": (0, TOLD, 5),
    "1 shared": (1, TOLD, 3),
    "2 shared": (2, TOLD, 3),
    "3 shared": (3, TOLD, 3),
    "4 shared": (4, TOLD, 5),
    "aligned": (4, TOLD | {"lambda_dom": 2.0}, 5),
    "reversed": (4, TOLD | {"lambda_dom": 2.0}, 3),
    "aligned, not told": (4, {"lambda_dom": 2.0}, 3),
    # Liu, Breuel, Kautz, NeurIPS 2017, section 3: their weights, on this course's networks.
    "UNIT": (2, {"lambda_kl": 0.01, "lambda_gan": 1.0, "lambda_cyc": 10.0}, 3),
}
# Notebook 07: encoders that are not told, and every subset of three remedies on top of sharing.
TERMS = {"D_z": "lambda_dom", "cycle": "lambda_cyc", "semantic": "lambda_sem"}
ABLATION = {}
for chosen in chain.from_iterable(combinations(TERMS, count) for count in range(4)):
    weights = {TERMS[term]: recipes.REMEDIES[TERMS[term]] for term in chosen}
    ABLATION[" + ".join(["sharing", *chosen])] = (4, {"lambda_kl": 0.0} | weights, 3)
UNHELPED = recipes.REMEDIES | {"lambda_near": 0.0}
ABLATION["all, and D_x, D_y"] = (4, UNHELPED, 3)
# As long as the shipped run: do colours change places, with the term against it and without?
CONVERGED = {"all remedies": (4, recipes.REMEDIES, 5), "all but lambda_near": (4, UNHELPED, 5),
             "lambda_near 0.3": (4, recipes.REMEDIES | {"lambda_near": 0.3}, 3)}
RUNGS |= ABLATION | CONVERGED


def path():
    return data.data_folder() / "sweeps" / "common_space.json"


def load():
    """The points measured so far: [{"rung", "seed", "panel", "domain read", ...}, ...]."""
    return json.loads(path().read_text(encoding="utf-8")) if path().is_file() else []


def save(points):
    """Writes all points, one a line, with four decimals: no share of 300 people needs more."""
    lines = (json.dumps(json.loads(json.dumps(point), parse_float=lambda v: round(float(v), 4)),
                        separators=(",", ":")) for point in points)
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    atomically(path(), lambda to: to.write_text(text))


def rung(name):
    """The measured points of one rung, by seed."""
    return sorted((p for p in load() if p["rung"] == name), key=lambda p: p["seed"])


def make(name, steps=STEPS):
    """The untrained method of a rung."""
    shared, weights, _ = RUNGS[name]
    method = recipes.make_common_space(shared, steps, **weights)
    if name == "reversed":
        return ReversedSpace(*method.players()[0], D_z=method.D_z, steps=steps,
                             lambda_kl=method.lambda_kl, lambda_dom=method.lambda_dom)
    return method


def train(name, seed=0, steps=None, **options):
    """A trained rung. Where "aligned", D_z plays four times for one step of the encoders."""
    if steps is None:
        long = recipes.RECIPES["avatars_remedies"][0]
        steps = SHORT if name in ABLATION else long if name in CONVERGED else STEPS
    seed_everything(seed)
    method = make(name, steps)
    if name.startswith("aligned"):
        options |= {"n_critic": D_Z_STEPS, "lr_d": 3e-3}
    fit(method, data.avatars(32, 16, seed), steps * options.get("n_critic", 1), **options)
    return method.eval().requires_grad_(False)


def measure(method):
    """The panel, and what fresh probes read off the codes (as decoders see them: with noise)."""
    found = probes.codes(method)
    return {"panel": evaluate.panel(method.translate, "avatars", 32, method.back),
            "domain read": probes.domain_read(found, noise=1.0),
            "domain read off the means": probes.domain_read(found),
            "attributes read": probes.attributes_read(found, "x", "x"),
            "read across": probes.attributes_read(found, "x", "y"),
            "confusion": {name: evaluate.confusion(method.translate, name).tolist()
                          for name in data.ATTRIBUTES}}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m gantutor.ladder")
    parser.add_argument("rungs", nargs="*", choices=[[], *RUNGS])
    wanted = parser.parse_args(arguments).rungs or list(RUNGS)
    for seed in range(max(RUNGS[name][2] for name in wanted)):
        for name in wanted:
            known = {(p["rung"], p["seed"]) for p in load()}
            if seed >= RUNGS[name][2] or (name, seed) in known:
                continue
            point = {"rung": name, "seed": seed} | measure(train(name, seed))
            save([*load(), point])
            print(name, seed, f"{point['panel']['content kept']:.3f}", flush=True)


if __name__ == "__main__":
    main()
