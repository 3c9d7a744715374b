"""The ladder of notebooks 05 to 07, every rung over several seeds (room: training).

    python -m gantutor.ladder                # what is missing in data/sweeps/common_space.json

A rung is a short training run (1 to 2 minutes on one core, what a notebook does live), or one of
the SHIPPED recipes, judged by the panel and, in 05 and 06, by fresh probes on its codes; only these
numbers are kept. A run that is stopped goes on with the next missing point;
`python -m gantutor.ladder NAME ...` makes some rungs only.
"""

import argparse
import json
from itertools import chain, combinations

from gantutor import data, evaluate, metrics, probes, recipes
from gantutor.methods.common_space import ReversedSpace
from gantutor.training import atomically, fit, seed_everything

# How often the encoders play: in notebooks 05, 06 and 07, and in 07's table of every subset.
STEPS, ALIGNED_STEPS, LIVE_STEPS, SHORT = 1000, 2000, 1400, 700
# In "aligned" D_z plays twice for one step of the encoders, at a rate that does not decay.
D_Z_PLAYS = {"n_critic": 2, "decay_d": False}
# name: (stages shared, weights, seeds). Notebook 05: a flag tells the encoders the domain.
TOLD = {"told": True}
SHARING = {
    "unlinked": (0, TOLD, 5),
    "1 shared": (1, TOLD, 3),
    "2 shared": (2, TOLD, 3),
    "3 shared": (3, TOLD, 3),
    "4 shared": (4, TOLD, 5),
    # Liu, Breuel, Kautz, NeurIPS 2017, section 3: their weights, on this course's networks.
    "UNIT": (2, {"lambda_kl": 0.01, "lambda_gan": 1.0, "lambda_cyc": 10.0}, 2),
}
# Notebook 06: encoders that are not told, and codes under stronger noise.
NOISY = {"lambda_kl": 0.5}
ALIGNMENT = {
    "sharing, noisy": (4, NOISY, 3),
    "aligned": (4, NOISY | {"lambda_dom": 2.0}, 5),
    "reversed": (4, NOISY | {"lambda_dom": 2.0}, 3),
}
# Notebook 07: codes without noise, and every subset of three remedies on top of sharing.
TERMS = {"D_z": "lambda_dom", "cycle": "lambda_cyc", "semantic": "lambda_sem"}
ABLATION = {}
for chosen in chain.from_iterable(combinations(TERMS, count) for count in range(4)):
    weights = {TERMS[term]: recipes.REMEDIES[TERMS[term]] for term in chosen}
    ABLATION[" + ".join(["sharing", *chosen])] = (4, {"lambda_kl": 0.0} | weights, 2)
UNSHUFFLED = recipes.REMEDIES | {"shuffle": 0.0}
ABLATION["all, and D_x, D_y"] = (4, UNSHUFFLED, 2)
# All remedies as notebook 07 trains them live, and the same without the shuffling of colours.
LIVE = {"all remedies, live": (4, recipes.REMEDIES, 5),
        "all but shuffling, live": (4, UNSHUFFLED, 3)}
RUNGS = SHARING | ALIGNMENT | ABLATION | LIVE
LENGTHS = [(SHARING, STEPS), (ALIGNMENT, ALIGNED_STEPS), (ABLATION, SHORT), (LIVE, LIVE_STEPS)]
# The shipped runs themselves, and more seeds of them than ship: name -> (recipe, seeds).
SHIPPED = {"all remedies": ("avatars_remedies", 5),
           "all remedies, 64 px": ("avatars64_remedies", 1),
           "supervised, 64 px": ("avatars64_supervised", 2)}
SEEDS = {name: rung[-1] for name, rung in (RUNGS | SHIPPED).items()}


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


def make(name, steps):
    """The untrained method of a rung."""
    shared, weights, _ = RUNGS[name]
    method = recipes.make_common_space(shared, steps, **weights)
    if name == "reversed":
        return ReversedSpace(*method.players()[0], D_z=method.D_z, steps=steps,
                             lambda_kl=method.lambda_kl, lambda_dom=method.lambda_dom)
    return method


def train(name, seed=0, steps=None, **options):
    """A trained rung. Where "aligned", D_z plays more (`D_Z_PLAYS`)."""
    if name in SHIPPED:
        recipe = SHIPPED[name][0]
        if seed in recipes.seeds(recipe):
            return recipes.load(recipe, seed)
        return recipes.trained(recipe, seed, steps, **options)[0]
    if steps is None:
        steps = next(length for rungs, length in LENGTHS if name in rungs)
    seed_everything(seed)
    method = make(name, steps)
    if name == "aligned":
        options |= D_Z_PLAYS
    fit(method, data.avatars(32, 16, seed), steps * options.get("n_critic", 1), amp=True, **options)
    return method.eval().requires_grad_(False)


def measure(name, method):
    """The panel, and besides what the notebooks ask of a rung.

    05 and 06: what fresh probes read off the codes (as decoders see them: with noise), and which
    value is drawn as which. 64 px: how sharp the translations are.
    """
    recipe = SHIPPED[name][0] if name in SHIPPED else "avatars_remedies"
    point = {"panel": recipes.judge(method, recipe)}
    if recipe.startswith("avatars64"):
        x, y, _ = evaluate.held_out_pairs("avatars", 64)
        fake = evaluate.in_batches(method.translate, x)
        point["sharpness"] = (metrics.high_frequency_energy(fake)
                              / metrics.high_frequency_energy(y))
    if name in SHARING | ALIGNMENT:
        found = probes.codes(method)
        point |= {"domain read": probes.domain_read(found, noise=1.0),
                  "domain read off the means": probes.domain_read(found),
                  "attributes read": probes.attributes_read(found, "x", "x"),
                  "read across": probes.attributes_read(found, "x", "y"),
                  "confusion": {attribute: evaluate.confusion(method.translate, attribute).tolist()
                                for attribute in data.ATTRIBUTES}}
    return point


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m gantutor.ladder")
    parser.add_argument("rungs", nargs="*", choices=[[], *SEEDS])
    wanted = parser.parse_args(arguments).rungs or list(SEEDS)
    for seed in range(max(SEEDS[name] for name in wanted)):
        for name in wanted:
            known = {(p["rung"], p["seed"]) for p in load()}
            if seed >= SEEDS[name] or (name, seed) in known:
                continue
            point = {"rung": name, "seed": seed} | measure(name, train(name, seed))
            save([*load(), point])
            print(name, seed, f"{point['panel']['content kept']:.3f}", flush=True)


if __name__ == "__main__":
    main()
