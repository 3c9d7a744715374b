"""Rows of `gantutor.recipes`: trained, judged, stored, loaded.

A reader's own runs go to the folder ``runs``. What ships lies in ``data`` and is listed in
``data/sha256.json``. The course's tables read only what is listed there. `ship=True` writes to
``data``.
"""

import hashlib
import json
import re
import time
from itertools import chain
from pathlib import Path

import torch

import gantutor
from gantutor.comparison import COMPARED
from gantutor.data.batches import to_float, to_uint8
from gantutor.data.packs import load_sheet, save_sheet
from gantutor.evaluate.references import references
from gantutor.recipes import FURTHER, LADDER, PICTURED, RECIPES, REFERENCED
from gantutor.saving import (
    atomically,
    data_folder,
    hyperparameters,
    load_weights,
    read_metadata,
    require_writable,
    save_weights,
    seed_everything,
)
from gantutor.training import fit

OWN = Path("runs")  # a reader's runs, in the folder they work in

# ------------------------------------------------------------------ what ships


def shipped():
    """{file below data/: sha256} of everything that ships."""
    return json.loads((data_folder() / "sha256.json").read_text())


def list_what_ships(folder=None):
    """Writes data/sha256.json again from the files that lie in `folder`, by default data/."""
    folder = folder or data_folder()
    files = sorted(p for p in folder.glob("*/*") if p.is_file() and not p.name.startswith("."))
    listed = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
              for p in files if p.parent.name != "__pycache__"}
    text = json.dumps(listed, indent=1) + "\n"
    atomically(folder / "sha256.json", lambda to: to.write_text(text))


def seeds(name):
    """The seeds of which recipe `name` ships checkpoints, in order."""
    stems = [Path(file).stem.rpartition("_") for file in shipped()
             if file.startswith("checkpoints/")]
    return sorted(int(seed) for stem, _, seed in stems if stem == name)


def checkpoint_path(name, seed, ship=True):
    """Where the checkpoint of a run lies: shipped, or a reader's own."""
    folder = data_folder() / "checkpoints" if ship else OWN
    return folder / f"{name}_{seed}.safetensors"


# ------------------------------------------------------------------ one run


def recipe(name):
    """The row of that name. ValueError for an unknown one."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r}: expected one of {', '.join(RECIPES)}")
    return RECIPES[name]


def make(name):
    """The untrained method of recipe `name`."""
    return recipe(name).make()


def batches(name, seed=0):
    """The training batches of recipe `name`; pairs only for a supervised ceiling."""
    return recipe(name).batches(recipe(name).batch_size, seed)


def networks(method):
    """The networks of a method that a checkpoint holds, by name."""
    return {name: getattr(method, name) for name in method.ships}


def described(row, method, steps=None):
    """What a row and its method were set to, as plain values: stored with every checkpoint."""
    return {"steps": row.steps if steps is None else steps, "lr": row.lr,
            "batch_size": row.batch_size, "precision": row.precision, **row.settings,
            "method": hyperparameters(method)}


def trained(row, seed=0, steps=None, **options):
    """(method, history) of a row after its run. The networks are rounded as they ship, to float16.

    steps: instead of the row's own. options: further arguments of `fit`.
    """
    seed_everything(seed)
    method, data = row.make(), row.batches(row.batch_size, seed)
    steps = row.steps if steps is None else steps
    history = fit(method, data, steps, lr=row.lr, precision=row.precision, **row.settings,
                  **options)
    for net in networks(method).values():  # the judge gets what ships: float16 precision
        net.half().float()
    return method.eval().requires_grad_(False), history


def train(name, seed=0, steps=None, progress=True, ship=False):
    """Trains recipe `name`, saves its networks and the run's metadata, and returns its panel.

    The file goes to ``runs``. With ship=True it replaces the checkpoint that the course ships.
    """
    row, began = recipe(name), time.perf_counter()
    require_writable(checkpoint_path(name, seed, ship))
    about = json.dumps(described(row, row.make(), steps))
    method, history = trained(row, seed, steps, progress=progress)
    minutes, steps = (time.perf_counter() - began) / 60, row.steps if steps is None else steps
    cut = f" --steps {steps}" if steps != row.steps else ""
    panel = row.judge(method, seed)
    save_weights(checkpoint_path(name, seed, ship), networks(method), half=True, metadata={
        "command": f"gantutor train {name} --seed {seed}{cut}", "hyperparameters": about,
        "seed": str(seed), "steps": str(steps), "minutes": f"{minutes:.2f}",
        "threads": str(torch.get_num_threads()), "precision": history.precision,
        "versions": json.dumps({"gantutor": gantutor.__version__, "torch": torch.__version__}),
        "history": json.dumps({k: [round(v, 4) for v in values[:: max(1, steps // 500)]]
                               for k, values in history.items()}),
        "panel": json.dumps(panel)})
    if ship:
        list_what_ships()
    return panel


def load(name, seed=0, path=None, frozen=True):
    """The trained method of a shipped checkpoint, in eval mode; discriminators are untrained.

    path: another file of recipe `name`, such as a run of your own. frozen=False: its parameters
    may learn, for fine-tuning with `fit`.
    """
    method = make(name)
    if path is None and seed not in seeds(name):
        raise FileNotFoundError(f"{name}: no run of seed {seed} ships; expected one of "
                                f"{', '.join(map(str, seeds(name))) or 'none'}")
    path = path or checkpoint_path(name, seed)
    try:
        load_weights(path, networks(method))
    except ValueError as error:
        raise ValueError(f"{error}; expected a checkpoint of {name}") from None
    return method.eval().requires_grad_(False) if frozen else method.eval()


def judge(name, seed=0, path=None):
    """The panel of a checkpoint, measured now."""
    return recipe(name).judge(load(name, seed, path), seed)


def rejudge(name, seed=0):
    """Writes the panel of a shipped checkpoint again, after a judge has changed."""
    path, method = checkpoint_path(name, seed), load(name, seed)
    metadata = read_metadata(path) | {"panel": json.dumps(recipe(name).judge(method, seed))}
    # Only if they are missing: the stored ones describe the run, even if the row has changed.
    metadata.setdefault("hyperparameters", json.dumps(described(recipe(name), make(name))))
    save_weights(path, networks(method), metadata, half=True)
    list_what_ships()
    return json.loads(metadata["panel"])


def shipped_metadata(name, seed=0):
    """What is stored with a shipped checkpoint: command, seed, steps, minutes, panel, ..."""
    return read_metadata(checkpoint_path(name, seed))


def shipped_panel(name, seed=0):
    """The panel stored with a shipped checkpoint (a test derives it again)."""
    return json.loads(shipped_metadata(name, seed)["panel"])


def shipped_panels(name):
    """The panels of every shipped seed of recipe `name`, in order."""
    return [shipped_panel(name, seed) for seed in seeds(name)]


# --------------------------------------------- points: runs of which only the numbers are kept


# The tables of numbers alone, by the file that holds them.
TABLES = {"common_space": LADDER, "direct": FURTHER, "compared": COMPARED, "pictured": PICTURED}


def points_path(file, ship=True):
    """Where the points of a table lie. file: a key of TABLES, or "references"."""
    return (data_folder() / "sweeps" if ship else OWN) / f"{file}.json"


def points(file, ship=True):
    """The points measured so far: [{"rung", "seed", "panel", ...}, ...]."""
    path = points_path(file, ship)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def file_of(rung):
    """Which table a rung belongs to."""
    for file, table in TABLES.items():
        if rung in table:
            return file
    raise ValueError(f"rung {rung!r}: expected one of {', '.join(chain(*TABLES.values()))}")


def rung(name):
    """The measured points of one rung, by seed."""
    return sorted((p for p in points(file_of(name)) if p["rung"] == name),
                  key=lambda p: p["seed"])


def measured(name):
    """The panels of one rung, by seed, each with the point's further numbers ("minutes", ...)."""
    return [{k: v for k, v in point.items() if k not in ("rung", "seed", "panel")} | point["panel"]
            for point in rung(name)]


def add_point(file, point, ship):
    """Stores one point, every number with four decimals (enough for shares of 300 people)."""
    done = [*points(file, ship), point]
    lines = (json.dumps(json.loads(json.dumps(p), parse_float=lambda v: round(float(v), 4)),
                        separators=(",", ":")) for p in done)
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    atomically(points_path(file, ship), lambda to: to.write_text(text))
    if ship:
        list_what_ships()


def faces_path(name, ship=True):
    """Where what a rung's seed 0 draws of the first twelve held-out people lies."""
    stem = re.sub("[^a-z0-9]+", "_", name.lower())
    return (data_folder() if ship else OWN) / "drawn" / f"{stem}.webp"


def faces(name, ship=True, size=32):
    """What a rung's seed 0 drew of the first twelve held-out people: (12, 3, size, size)."""
    return to_float(load_sheet(faces_path(name, ship), 12, size))


def measure_rung(name, seed=0, steps=None, ship=None, **options):
    """Trains one rung, or loads it if it ships. Returns its panel and its further numbers.

    "minutes": of processor time, of the run. ship: where to keep what seed 0 draws, None: nowhere.
    """
    rung, began, spent = TABLES[file_of(name)][name], time.process_time(), {}
    if rung.ships and seed in seeds(rung.ships):
        method = load(rung.ships, seed)
    else:
        method, _ = trained(rung.recipe, seed, steps, **options)
        spent = {"minutes": (time.process_time() - began) / 60}
    if ship is not None and seed == 0 and rung.faces:
        with torch.no_grad():
            drawn = to_uint8(rung.faces(method)).movedim(1, 3).numpy()
        atomically(faces_path(name, ship), lambda to: save_sheet(to, drawn, 12))
    found = {"panel": rung.recipe.judge(method, seed), **spent}
    return found | (rung.more(method) if rung.more else {})


def reference_panels(name):
    """{row: [its panel in each split]} of a pack of `REFERENCED`: what any method should beat."""
    found = sorted((p for p in points("references") if p["pack"] == name), key=lambda p: p["seed"])
    return {row: [p["panels"][row] for p in found] for row in (found[0]["panels"] if found else ())}


def measure_references(ship=False):
    """Measures the reference rows that are missing, pack by pack and split by split."""
    known = {(p["pack"], p["seed"]) for p in points("references", ship)}
    for name, (pack, untrained, splits) in REFERENCED.items():
        for seed in range(splits):
            if (name, seed) not in known:
                seed_everything(seed)
                panels = references(pack.split(seed), untrained())
                add_point("references", {"pack": name, "seed": seed, "panels": panels}, ship)
                print(name, seed, {k: round(p["hidden-pair L1"], 3) for k, p in panels.items()},
                      flush=True)


def differences(one, other, key="hidden-pair L1"):
    """By how much recipe `one`'s number is above recipe `other`'s, seed by seed: {seed: number}.

    The two runs of a seed share their data, so what is common to both falls out.
    """
    return {seed: shipped_panel(one, seed)[key] - shipped_panel(other, seed)[key]
            for seed in seeds(one) if seed in seeds(other)}


def missing_points(names=(), ship=True):
    """[(name of the rung, seed)] of all points not measured yet, seed by seed."""
    known = {(p["rung"], p["seed"]) for file in TABLES for p in points(file, ship)}
    wanted = {name: TABLES[file_of(name)][name].seeds for name in names or chain(*TABLES.values())}
    return [(name, seed) for seed in range(max(wanted.values())) for name, count in wanted.items()
            if seed < count and (name, seed) not in known]


def measure_points(names=(), ship=False):
    """Measures all missing points of the rungs `names`, or of every table. Prints each.

    If it is stopped, the next call continues with the next missing point.
    """
    for name, seed in missing_points(names, ship):
        point = {"rung": name, "seed": seed} | measure_rung(name, seed, ship=ship)
        add_point(file_of(name), point, ship)
        panel = point["panel"]
        print(name, seed, *(f"{k} {panel[k]:.3f}" for k in ("content kept", "hidden-pair L1")
                            if k in panel), flush=True)
