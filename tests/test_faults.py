"""Trainings with one fault each: a fault is one change, and the command makes what ships."""

import json
import math

import pytest
import torch
from torch import nn

from gantutor import __main__ as command_line
from gantutor import faults, runs
from gantutor.check.answers import Affine, PatchScore
from gantutor.faults import CASES, FAULTS, SOUND
from gantutor.methods.cyclegan import CycleGAN

X = torch.tensor([-0.6, 0.2]).view(2, 1, 1, 1).repeat(1, 3, 4, 6)
Y = torch.tensor([0.4, 0.8]).view(2, 1, 1, 1).repeat(1, 3, 4, 6)


def toy(make):
    """A method of toy networks: G_xy halves, G_yx does nothing, D_x and D_y score the mean."""
    return make(Affine(0.5), Affine(1.0), PatchScore(1.0), PatchScore(1.0))


def losses(method):
    """(total, parts) of both players on X and Y."""
    torch.manual_seed(0)
    batch = {"x": X, "y": Y}
    return method.generator_loss(batch), method.discriminator_loss(batch)


def number(value):
    return pytest.approx(value, abs=1e-6)


# ------------------------------------------------------------------ one change each


def test_the_sound_run_is_cyclegan():
    """To the bit, and so are its gradients."""
    found = []
    for make in (faults.Sound, CycleGAN):
        method = toy(make)
        (g, g_parts), (d, d_parts) = losses(method)
        (g + d).backward()
        g_parts.pop("right", None)
        found.append([g, d, *g_parts.values(), *d_parts.values(),
                      *(p.grad for p in method.parameters())])
    assert len(found[0]) == len(found[1]) > 10
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_change_of_the_sound_run(fault):
    changed = [field for field in SOUND._fields
               if getattr(FAULTS[fault], field) != getattr(SOUND, field)]
    assert len(changed) == 1
    settings = FAULTS[fault].settings
    assert len(settings.items() ^ SOUND.settings.items()) == (changed == ["settings"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_loss_leaves_the_other_losses_as_they_are(fault):
    usual, found = (losses(toy(training.make)) for training in (SOUND, FAULTS[fault]))
    parts = [usual[k][1].keys() == found[k][1].keys() for k in (0, 1)]
    assert all(parts)
    differ = {name for k in (0, 1) for name, value in usual[k][1].items()
              if not torch.equal(value, found[k][1][name])}
    assert differ == {"labels swapped": {"D_x", "D_y"},
                      "wrong target": {"cycle_x", "cycle_y"}}.get(fault, set())
    assert (usual[0][0] == found[0][0]) == (
        fault not in ("wrong target", "cycle weight 0", "cycle weight 1000"))
    assert (usual[1][0] == found[1][0]) == (fault != "labels swapped")


def test_swapped_labels_by_hand():
    """Scores are means: of y .4 and .8, of G_xy(x) -.3 and .1; real should be 0, fakes 1."""
    _, (_, parts) = losses(toy(FAULTS["labels swapped"].make))
    expected = ((0.4**2 + 0.8**2) / 2 + (1.3**2 + 0.9**2) / 2) / 2
    assert parts["D_y"].item() == number(expected)


def test_the_wrong_target_by_hand():
    """G_yx(G_xy(x)) is x / 2, of values -.3 and .1: it is compared with y, .4 and .8."""
    (_, parts), _ = losses(toy(FAULTS["wrong target"].make))
    assert parts["cycle_x"].item() == number(((0.4 + 0.3) + (0.8 - 0.1)) / 2)
    (_, usual), _ = losses(toy(faults.Sound))
    assert usual["cycle_x"].item() == number((0.3 + 0.1) / 2)


def test_the_weights_and_rates_of_the_others():
    weights = [toy(FAULTS[f"cycle weight {w}"].make).lambda_cyc for w in (0, 1000)]
    assert weights == [0, 1000] and toy(SOUND.make).lambda_cyc == 10
    rates = [FAULTS[name].settings["lr_d"] for name in ("D not trained", "D too fast")]
    assert rates == [0, pytest.approx(30 * faults.LR)] and "lr_d" not in SOUND.settings


def test_D_is_right_in_a_share_of_the_patches():
    """Scores of y: .4 (wrong) and .8. Scores of G_xy(x): -.3 and .1, both below 1/2."""
    (_, parts), _ = losses(toy(faults.Sound))
    assert parts["right"].item() == 0.75


class Counts:
    """Batches of one x and one y: 1, 2, 3, ... scaled into [-1, 1]."""

    def __init__(self):
        self.k = 0

    def next_batch(self):
        self.k += 1
        return {"x": torch.full((1, 3, 2, 2), -self.k / 10), "y": torch.full((1, 3, 2, 2), -0.2)}

    def state_dict(self):
        return {"k": self.k}

    def load_state_dict(self, state):
        self.k = state["k"]


def test_the_same_batch_comes_again_and_again():
    data = FAULTS["same batch"].data(Counts())
    first = data.next_batch()
    first["fake_y"] = None  # as a method leaves it there
    second = data.next_batch()
    assert second.keys() == {"x", "y"} and second["x"].mean() == number(-0.1)
    assert SOUND.data(Counts()).next_batch()["x"].mean() == number(-0.1)


def test_half_the_range_for_y_alone():
    data = FAULTS["wrong range"].data(Counts())
    batch = data.next_batch()
    assert batch["x"].mean() == number(-0.1) and batch["y"].mean() == number(0.4)
    assert data.next_batch()["x"].mean() == number(-0.2)


# ------------------------------------------------------------------ what is recorded


class There(nn.Module):
    """G_xy adds 1, G_yx takes .75 away: x comes back .25 too bright."""

    def __init__(self):
        super().__init__()
        self.G, self.D = nn.Linear(1, 2, bias=False), nn.Linear(1, 1, bias=False)
        self.G.weight.grad, self.D.weight.grad = torch.tensor([[3.0], [4.0]]), torch.ones(1, 1)

    def translate(self, x):
        return x + 1

    def back(self, y):
        return y - 0.75

    def players(self):
        return [self.G], [self.D]


def test_a_watch_measures_the_round_trip_and_both_gradients():
    watch = faults.Watch(torch.zeros(2, 3, 4, 4))
    watch(0, There(), {})  # before the first step there are no gradients
    watch(10, There(), {})
    assert watch.curves == {"cycle, unseen x": [0.25], "gradient of G": [5.0],
                            "gradient of D": [1.0]}


def test_the_end_of_a_curve_is_its_last_ten_values():
    assert faults.end({"a": [100.0, *range(10)]}) == {"a": 4.5}


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match=r"fault='typo': expected None or one of cycle weight 0"):
        faults.trained("typo")


# ------------------------------------------------------------------ what ships


def test_every_run_ships_once_with_forty_numbers_a_curve():
    assert [(run["fault"], run["seed"]) for run in faults.made()] == faults.RUNS
    for run in faults.made():
        assert {len(values) for values in run["curves"].values()} == {40}
        assert run["curves"]["step"] == list(range(10, 401, 10))
        assert all(math.isfinite(v) for values in run["curves"].values() for v in values)


def test_the_files_are_small_and_listed():
    files = sorted(faults.folder().iterdir())
    assert {f"faults/{file.name}" for file in files} == {
        name for name in runs.shipped() if name.startswith("faults/")}
    assert len(files) == 1 + 1 + len(CASES) and sum(f.stat().st_size for f in files) < 400_000


@pytest.mark.parametrize("fault", [None, *CASES.values()])
def test_the_pictures_are_those_of_the_run(fault):
    run, (there, back) = faults.run(fault), faults.pictures(fault)
    assert there.shape == back.shape == (5, 3, 48, 48)
    moved, darkest = (there - faults.unseen_x()).abs().mean(), there.flatten(1).quantile(0.05, 1)
    assert run["moved"] == pytest.approx(moved.item(), abs=0.005)
    assert run["darkest"] == pytest.approx(darkest.mean().item(), abs=0.01)


def test_the_order_of_the_cases_is_not_that_of_the_source():
    order = [list(FAULTS).index(fault) for fault in CASES.values()]
    assert order not in (sorted(order), sorted(order)[::-1]) and len(set(order)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("fault,seed", [(None, 0), *((fault, 0) for fault in FAULTS), (None, 1)])
def test_a_run_begins_again_as_it_shipped(fault, seed):
    """Two numbers of every curve. Another processor rounds otherwise."""
    _, curves = faults.trained(fault, seed, steps=20, progress=False)
    shipped = faults.run(fault, seed)["curves"]
    assert curves.keys() == shipped.keys()
    for name, values in curves.items():
        assert values == pytest.approx(shipped[name][:2], rel=5e-3, abs=1e-3), name


def test_a_run_is_the_same_to_the_bit():
    found = [faults.trained("same batch", steps=10, progress=False) for _ in range(2)]
    assert found[0][1] == found[1][1] and len(found[0][1]["cycle"]) == 1
    pairs = zip(*(method.parameters() for method, _ in found), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


# ------------------------------------------------------------------ the command


def test_the_command_makes_what_is_missing_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained, usual = [], faults.trained
    monkeypatch.setattr(faults, "RUNS", [(None, 0), ("same batch", 0), ("D too fast", 0)])
    monkeypatch.setattr(faults, "trained", lambda fault, seed: trained.append((fault, seed)) or (
        usual(fault, seed, steps=10, progress=False)))
    faults.store("same batch", 0, 1.0, {"step": [10]}, faults.pictures("same batch"), ship=False)
    command_line.main(["faults"])
    assert trained == [(None, 0), ("D too fast", 0)]
    assert "D too fast seed 0" in capsys.readouterr().out
    folder = tmp_path / "runs" / "faults"
    assert sorted(p.name for p in folder.iterdir()) == ["runs.json", "same_batch.webp",
                                                        "sound.webp"]
    made = json.loads((folder / "runs.json").read_text())
    assert made == faults.made(ship=False) and made[0]["curves"] == {"step": [10]}
    command_line.main(["faults"])
    assert len(trained) == 2
