"""Runs: every shipped number is derived again, and a reader's run changes nothing that ships."""

import functools
import hashlib
import json
import re
import shutil

import pytest
import torch
from safetensors import safe_open
from torch import nn

from gantutor import __main__ as command_line
from gantutor import runs
from gantutor.comparison import COMPARED
from gantutor.data import AVATARS, INK
from gantutor.evaluate import probes
from gantutor.recipes import FURTHER, LADDER, PHOTOGRAPHS, PICTURED, RECIPES
from gantutor.saving import data_folder, read_metadata

DATA = data_folder()
SHIPPED = [(name, seed) for name in RECIPES for seed in runs.seeds(name)]
every_checkpoint = pytest.mark.parametrize("name, seed", SHIPPED,
                                           ids=[f"{name}_{seed}" for name, seed in SHIPPED])
# A photograph's panel takes seconds: of those, the ones of seed 0, unless --train asks for all.
every_panel = pytest.mark.parametrize("name, seed", [
    pytest.param(name, seed, marks=[pytest.mark.train] if name in PHOTOGRAPHS and seed else [],
                 id=f"{name}_{seed}") for name, seed in SHIPPED])
made = functools.cache(runs.make)  # untrained methods to look at, not to change


def flat(panel, before=""):
    """A panel with its inner dicts laid out: {"by attribute, hair, ...": number}."""
    result = {}
    for key, value in panel.items():
        result |= flat(value, f"{before}{key}, ") if isinstance(value, dict) else {
            before + key: value}
    return result


# -------------------------------------------------------- each file by itself


def test_every_shipped_checkpoint_is_a_run_of_some_recipe():
    files = {file for file in runs.shipped() if file.startswith("checkpoints/")}
    assert files == {f"checkpoints/{name}_{seed}.safetensors" for name, seed in SHIPPED}
    assert {name for name, _ in SHIPPED} == set(RECIPES) - {"avatars64_supervised"}  # numbers only


@every_panel
def test_the_stored_panel_is_what_the_weights_give(name, seed):
    stored = flat(runs.shipped_panel(name, seed))
    found = flat(runs.judge(name, seed))
    assert stored.keys() == found.keys()
    wrong = {k: (stored[k], found[k]) for k in found
             if found[k] != pytest.approx(stored[k], rel=2e-3, abs=5e-3)}
    assert not wrong, f"(stored, found): {wrong}; gantutor rejudge"


@every_checkpoint
def test_a_checkpoint_says_where_it_comes_from(name, seed):
    metadata = read_metadata(runs.checkpoint_path(name, seed))
    assert re.fullmatch(rf"(python -m )?gantutor train {name} --seed {seed}", metadata["command"])
    assert metadata["seed"] == str(seed)
    assert int(metadata["steps"]) == RECIPES[name].steps  # no run cut short
    assert 0 < float(metadata["minutes"]) < 60
    versions = json.loads(metadata["versions"])
    assert re.match(r"\d+\.\d+", versions["gantutor"]) and re.match(r"2\.\d+", versions["torch"])
    history = json.loads(metadata["history"])
    assert history["step"][0] == 10 and history["step"][-1] <= int(metadata["steps"])
    assert len({len(values) for values in history.values()}) == 1


@every_checkpoint
def test_a_checkpoint_was_trained_with_what_its_row_says(name, seed):
    stored = json.loads(runs.shipped_metadata(name, seed)["hyperparameters"])
    assert stored == json.loads(json.dumps(runs.described(RECIPES[name], made(name))))


@every_checkpoint
def test_a_checkpoint_holds_what_its_method_ships_in_half_precision(name, seed):
    networks = runs.networks(made(name))
    with safe_open(runs.checkpoint_path(name, seed), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    once = {}  # what E_x and E_y share is written once
    for net in networks:
        for key, tensor in networks[net].state_dict().items():
            once.setdefault(tensor.data_ptr(), f"{net}.{key}")
    assert set(tensors) == set(once.values())
    assert not any(name.startswith("D") for name in networks)  # the generators alone
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert all(t.isfinite().all() for t in tensors.values())


def test_packs_and_checkpoints_stay_below_40_megabytes():
    total = sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file())
    assert total < 40e6


# ------------------------------------------------------------- a reader's runs


def digests(folder):
    return {p: hashlib.blake2b(p.read_bytes()).digest() for p in sorted(folder.rglob("*"))
            if p.is_file() and p.parent.name != "__pycache__"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A reader's folder; afterwards nothing below data/ may have changed."""
    before = digests(DATA)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert digests(DATA) == before


def test_train_then_evaluate_from_the_command_line(here, capsys):
    tables = runs.seeds("avatars_cyclegan"), runs.shipped_panels("avatars_cyclegan")
    command_line.main(["train", "avatars_cyclegan", "--seed", "7", "--steps", "2"])
    printed = capsys.readouterr()
    trained, path = json.loads(printed.out), here / "runs" / "avatars_cyclegan_7.safetensors"
    assert "saved runs/avatars_cyclegan_7.safetensors" in printed.err
    assert [p.relative_to(here).as_posix() for p in here.rglob("*") if p.is_file()] == [
        "runs/avatars_cyclegan_7.safetensors"]
    command_line.main(["evaluate", "avatars_cyclegan", "--file", str(path)])
    judged = json.loads(capsys.readouterr().out)
    assert judged["hidden-pair L1"] == pytest.approx(trained["hidden-pair L1"], rel=1e-4)

    metadata = read_metadata(path)
    assert json.loads(metadata["panel"]) == trained
    assert metadata["command"] == "gantutor train avatars_cyclegan --seed 7 --steps 2"
    assert (metadata["steps"], metadata["seed"], metadata["precision"]) == ("2", "7", "float32")
    row = RECIPES["avatars_cyclegan"]
    expected = runs.described(row, row.make()) | {"steps": 2}
    assert json.loads(metadata["hyperparameters"]) == json.loads(json.dumps(expected))

    # and the course's tables do not know about it
    assert (runs.seeds("avatars_cyclegan"), runs.shipped_panels("avatars_cyclegan")) == tables
    with pytest.raises(FileNotFoundError, match="avatars_cyclegan: no run of seed 7 .* 0, 1, 2"):
        runs.load("avatars_cyclegan", 7)
    mine = runs.load("avatars_cyclegan", path=path)
    assert not any(p.requires_grad for p in mine.parameters()) and not mine.training
    free = runs.load("avatars_cyclegan", path=path, frozen=False)
    assert all(p.requires_grad for p in free.parameters())


@pytest.fixture
def judged_at_once(monkeypatch):
    """Recipes whose panels cost nothing."""
    for name in ("avatars_cyclegan", "avatars_supervised"):
        monkeypatch.setitem(RECIPES, name, RECIPES[name]._replace(
            judge=lambda method, seed: {"L1": 0.5}))


def test_a_run_of_no_steps_says_so(here, judged_at_once):
    runs.train("avatars_supervised", steps=0, progress=False)
    metadata = read_metadata(runs.checkpoint_path("avatars_supervised", 0, ship=False))
    assert metadata["steps"] == "0" and metadata["command"].endswith("--seed 0 --steps 0")
    assert json.loads(metadata["hyperparameters"])["steps"] == 0


def test_a_run_that_could_not_be_saved_does_not_begin(here, monkeypatch):
    (here / "runs").write_text("a file in the way")
    monkeypatch.setattr(runs, "fit", lambda *a, **k: pytest.fail("minutes of training, in vain"))
    with pytest.raises(OSError, match="runs/avatars_cyclegan_0"):
        runs.train("avatars_cyclegan", progress=False)


def test_fit_is_told_what_the_row_says_and_what_the_reader_asks(here, monkeypatch):
    told = []
    monkeypatch.setattr(runs, "fit", lambda method, data, steps, **named: told.append(
        (steps, len(data.next_batch()["x"]), named)))
    for row in (RECIPES["avatars_remedies"], LADDER["aligned"].recipe):
        runs.trained(row, seed=3, progress=False)
    runs.trained(RECIPES["monochromes_hider"], steps=9)
    assert told == [
        (4000, 16, {"lr": 1e-3, "precision": "auto", "progress": False}),
        (4000, 16, {"lr": 1e-3, "precision": "auto", "progress": False,
                    "n_critic": 2, "decay_d": False}),
        (9, 4, {"lr": 2e-3, "precision": "float32"})]


def test_what_is_judged_is_what_ships(here, monkeypatch):
    """Half precision is on disk, so the panel is taken of weights rounded to it."""
    judged = []
    monkeypatch.setitem(RECIPES, "avatars_supervised", RECIPES["avatars_supervised"]._replace(
        judge=lambda method, seed: judged.append(method) or {}))
    runs.train("avatars_supervised", steps=1, progress=False)
    stored = runs.load("avatars_supervised",
                       path=runs.checkpoint_path("avatars_supervised", 0, ship=False))
    for ours, theirs in zip(judged[0].parameters(), stored.parameters(), strict=True):
        assert torch.equal(ours, theirs)


# ------------------------------------------------------- a developer's: what ships


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A small data folder in place of the course's, whose own is not to change."""
    before = digests(DATA)
    data = tmp_path / "data"
    (data / "checkpoints").mkdir(parents=True)
    (data / "README.md").write_text("not listed: it lies in no folder")
    (data / "checkpoints" / ".hidden").write_text("nor is this")
    monkeypatch.setattr(runs, "data_folder", lambda: data)
    monkeypatch.chdir(tmp_path)
    runs.list_what_ships()
    yield data
    assert digests(DATA) == before and not (tmp_path / "runs").exists()


def test_the_judge_is_told_the_seed_of_the_run(shop, monkeypatch):
    """On photographs it is the split whose test photographs the panel is about."""
    told = []
    for name in ("retro_shallow", "avatars_supervised"):
        monkeypatch.setitem(RECIPES, name, RECIPES[name]._replace(
            batches=lambda batch_size, seed: RECIPES["avatars_direct"].batches(batch_size, 0),
            judge=lambda method, seed: told.append(seed) or {"L1": 0.5}))
        runs.train(name, 3, steps=1, progress=False, ship=True)
        runs.judge(name, 3)
        runs.rejudge(name, 3)
        runs.judge(name, 4, runs.checkpoint_path(name, 3))
    assert told == [3, 3, 3, 4] * 2


def test_only_ship_writes_into_data_and_lists_the_file(shop, judged_at_once):
    assert runs.shipped() == {} and runs.seeds("avatars_cyclegan") == []
    runs.train("avatars_cyclegan", 7, steps=1, progress=False, ship=True)
    path = shop / "checkpoints" / "avatars_cyclegan_7.safetensors"
    assert runs.shipped() == {"checkpoints/avatars_cyclegan_7.safetensors": hashlib.sha256(
        path.read_bytes()).hexdigest()}
    assert runs.seeds("avatars_cyclegan") == [7]
    assert runs.shipped_panels("avatars_cyclegan") == [{"L1": 0.5}]


def test_the_flag_is_handed_on(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(runs, "train", lambda *a, **named: asked.append((a, named)) or {})
    command_line.main(["train", "avatars_cyclegan"])
    command_line.main(["train", "avatars_cyclegan", "--ship"])
    assert asked == [(("avatars_cyclegan", 0, None), {"ship": ship}) for ship in (False, True)]
    assert "saved runs/" in capsys.readouterr().err


def test_a_stray_file_in_data_joins_no_table(shop, judged_at_once):
    runs.train("avatars_cyclegan", 1, steps=1, progress=False, ship=True)
    shipped = shop / "checkpoints" / "avatars_cyclegan_1.safetensors"
    shutil.copy(shipped, shipped.with_name("avatars_cyclegan_7.safetensors"))
    shutil.copy(shipped, shipped.with_name("avatars_cyclegan_best.safetensors"))
    assert runs.seeds("avatars_cyclegan") == [1] and len(runs.shipped()) == 1


def test_a_new_judge_writes_panels_again_but_not_what_the_run_was_made_with(shop, judged_at_once,
                                                                            monkeypatch):
    runs.train("avatars_cyclegan", 1, steps=1, progress=False, ship=True)
    before = runs.shipped_metadata("avatars_cyclegan", 1)
    weights = runs.load("avatars_cyclegan", 1).state_dict()
    monkeypatch.setitem(RECIPES, "avatars_cyclegan", RECIPES["avatars_cyclegan"]._replace(
        judge=lambda method, seed: {"L1": 0.25}, lr=5.0))
    assert runs.rejudge("avatars_cyclegan", 1) == {"L1": 0.25}
    after = runs.shipped_metadata("avatars_cyclegan", 1)
    assert after == before | {"panel": '{"L1": 0.25}'}
    (name, digest), = runs.shipped().items()
    assert hashlib.sha256((shop / name).read_bytes()).hexdigest() == digest
    again = runs.load("avatars_cyclegan", 1).state_dict()
    assert all(torch.equal(weights[key], again[key]) for key in weights if key.startswith("G"))


# ------------------------------------------------------- points: numbers alone


@pytest.fixture
def measured(monkeypatch):
    """Rungs and points measured at once: [(what, seed), ...]."""
    found = []

    def measure(what, seed=0, ship=None):
        found.append((what, seed))
        return {"panel": {"content kept": 0.123456, "hidden-pair L1": seed}}

    monkeypatch.setattr(runs, "measure_rung", measure)
    return found


def test_a_readers_points_go_to_runs_and_go_on_where_they_stopped(here, measured, capsys):
    tables = runs.rung("supervised, 64 px")
    command_line.main(["points", "supervised, 64 px", "aligned"])
    assert measured == [("supervised, 64 px", 0), ("aligned", 0), ("supervised, 64 px", 1),
                        ("aligned", 1), ("aligned", 2), ("aligned", 3), ("aligned", 4)]
    assert "aligned 4 content kept 0.123 hidden-pair L1 4.000" in capsys.readouterr().out
    assert [p.name for p in (here / "runs").iterdir()] == ["common_space.json"]
    found = runs.points("common_space", ship=False)
    assert found[0] == {"rung": "supervised, 64 px", "seed": 0,
                        "panel": {"content kept": 0.1235, "hidden-pair L1": 0}}
    measured.clear()
    (here / "runs" / "common_space.json").write_text(json.dumps(found[:3] + found[4:]))
    command_line.main(["points", "supervised, 64 px", "aligned"])
    assert measured == [("aligned", 1)] and runs.rung("supervised, 64 px") == tables


def test_all_points_are_those_of_the_tables(here, measured):
    runs.measure_points()
    every = LADDER | FURTHER | COMPARED | PICTURED
    assert measured == [(name, seed) for seed in range(5) for name in every
                        if seed < every[name].seeds]
    assert {p.name for p in (here / "runs").iterdir()} == {
        "common_space.json", "direct.json", "compared.json", "pictured.json"}
    stored = {file: {p["rung"] for p in runs.points(file, ship=False)} for file in runs.TABLES}
    assert stored == {"common_space": set(LADDER), "direct": set(FURTHER),
                      "compared": set(COMPARED), "pictured": set(PICTURED)}
    assert runs.missing_points(ship=False) == []
    one = runs.points("direct", ship=False)
    (here / "runs" / "direct.json").write_text(json.dumps(one[:3] + one[4:]))
    assert runs.missing_points(ship=False) == [(one[3]["rung"], 0)]
    assert runs.missing_points(["UNIT"], ship=False) == []


def test_each_rung_is_in_one_table_only():
    assert runs.TABLES == {"common_space": LADDER, "direct": FURTHER, "compared": COMPARED,
                           "pictured": PICTURED}
    assert len(LADDER | FURTHER | COMPARED | PICTURED) == sum(map(len, runs.TABLES.values()))
    assert runs.file_of("UNIT") == "common_space"
    assert runs.file_of("retro, pixel, 0.3") == "direct"


@pytest.fixture
def referenced(monkeypatch):
    """Reference rows of two packs at once: [(pack, kind of the untrained network), ...]."""
    asked = []

    def references(pack, untrained):
        asked.append((pack, type(untrained).__name__))
        return {"do nothing": {"hidden-pair L1": 0.123456}, "random real Y": {"hidden-pair L1": 1}}

    monkeypatch.setattr(runs, "references", references)
    monkeypatch.setattr(runs, "REFERENCED", {"ink": (INK, torch.nn.Identity, 3),
                                             "avatars": (AVATARS, torch.nn.Identity, 1)})
    return asked


def test_reference_rows_are_measured_split_by_split_and_go_on_where_they_stopped(
        here, referenced, capsys):
    runs.measure_references()
    assert referenced == [(INK.split(seed), "Identity") for seed in range(3)] + [
        (AVATARS, "Identity")]
    assert "ink 2 {'do nothing': 0.123, 'random real Y': 1}" in capsys.readouterr().out
    stored = runs.points("references", ship=False)
    assert [(p["pack"], p["seed"]) for p in stored] == [("ink", 0), ("ink", 1), ("ink", 2),
                                                        ("avatars", 0)]
    assert stored[0]["panels"]["do nothing"] == {"hidden-pair L1": 0.1235}
    referenced.clear()
    (here / "runs" / "references.json").write_text(json.dumps(stored[:1] + stored[2:]))
    runs.measure_references()
    assert referenced == [(INK.split(1), "Identity")]


def test_reference_panels_are_rows_over_the_splits_in_order(shop, referenced):
    assert runs.reference_panels("ink") == {}
    for seed in (1, 0):
        runs.add_point("references", {"pack": "ink", "seed": seed, "panels": {
            row: {"hidden-pair L1": seed + k} for k, row in enumerate("ab")}}, ship=True)
    assert runs.reference_panels("ink") == {
        row: [{"hidden-pair L1": seed + k} for seed in (0, 1)] for k, row in enumerate("ab")}
    assert runs.reference_panels("avatars") == {}
    assert list(runs.shipped()) == ["sweeps/references.json"]


def test_differences_are_taken_run_by_run(monkeypatch):
    table = {("one", 0): 0.5, ("one", 1): 0.75, ("one", 2): 9.0, ("other", 1): 0.5,
             ("other", 0): 0.75}
    monkeypatch.setattr(runs, "seeds", lambda name: sorted(s for n, s in table if n == name))
    monkeypatch.setattr(runs, "shipped_panel", lambda name, seed: {
        "hidden-pair L1": table[name, seed], "SSIM": 1.0})
    assert runs.differences("one", "other") == {0: -0.25, 1: 0.25}
    assert runs.differences("other", "one", key="SSIM") == {0: 0.0, 1: 0.0}


def test_nothing_is_missing_of_what_ships():
    assert runs.missing_points() == []
    measured = {(p["pack"], p["seed"]) for p in runs.points("references")}
    assert measured == {(name, seed) for name, (_, _, splits) in runs.REFERENCED.items()
                        for seed in range(splits)}


def test_shipped_points_are_listed(shop, measured):
    runs.measure_points(["UNIT"], ship=True)
    assert list(runs.shipped()) == ["sweeps/common_space.json"]
    assert [point["seed"] for point in runs.rung("UNIT")] == [0, 1, 2, 3, 4]


def test_a_rung_is_made_and_measured(monkeypatch):
    told = []
    usual = runs.fit

    def fit(method, data, steps, **named):
        told.append(named)
        return usual(method, data, steps, **named)

    monkeypatch.setattr(runs, "fit", fit)
    monkeypatch.setattr(probes, "train_classifier", lambda net, *arguments, **named: net)
    point = runs.measure_rung("aligned", steps=1, progress=False)
    assert set(point) == set(runs.rung("aligned")[0]) - {"rung", "seed"} | {"minutes"}
    assert 0 < point["minutes"] < 5
    assert (told[0]["n_critic"], told[0]["decay_d"]) == (2, False)


def test_what_seed_0_draws_is_kept_beside_its_numbers(here, monkeypatch):
    monkeypatch.setattr(runs, "trained", lambda row, seed, steps: (nn.Module(), {}))
    name = "5 pairs"
    recipe = COMPARED[name].recipe._replace(judge=lambda method, seed: {})
    shades = torch.linspace(-1, 1, 12).view(12, 1, 1, 1).expand(12, 3, 32, 32)
    monkeypatch.setitem(COMPARED, name, COMPARED[name]._replace(
        recipe=recipe, faces=lambda method: shades))
    for seed, ship in ((1, False), (0, None)):
        assert set(runs.measure_rung(name, seed, ship=ship)) == {"panel", "minutes"}
        assert not (here / "runs").exists()
    runs.measure_rung(name, 0, ship=False)
    assert (runs.faces(name, ship=False) - shades).abs().max() < 1 / 127
    assert [p.name for p in (here / "runs").rglob("*.*")] == ["5_pairs.webp"]


def test_a_point_of_the_sweep_is_trained_and_judged(monkeypatch):
    name = "ink, relu2_2, 3"
    recipe = FURTHER[name].recipe._replace(
        batches=lambda *asked: asked,
        judge=lambda method, seed: {"weight": method.lambda_vgg, "seed": seed})
    monkeypatch.setitem(FURTHER, name, FURTHER[name]._replace(recipe=recipe))
    monkeypatch.setattr(runs, "fit", lambda method, data, steps, **named: [data, steps])
    assert runs.measure_rung(name, 2)["panel"] == {"weight": 3.0, "seed": 2}
    assert runs.trained(recipe, seed=2)[1] == [(8, 2), 300]


def test_the_ladder_takes_what_ships_and_trains_the_seeds_that_do_not(monkeypatch):
    rung, calls = LADDER["all remedies"], []
    recipe = rung.recipe._replace(judge=lambda method, seed: {"method": method})
    monkeypatch.setitem(LADDER, "all remedies", rung._replace(recipe=recipe))
    monkeypatch.setattr(runs, "trained", lambda row, seed, steps: calls.append(row) or ("new", {}))
    shipped = runs.seeds("avatars_remedies")
    found = runs.measure_rung("all remedies", shipped[0])
    assert found["panel"]["method"].translate and "minutes" not in found and calls == []
    assert runs.measure_rung("all remedies", 1 + max(shipped))["panel"] == {"method": "new"}
    assert calls == [recipe]
