"""Rows of which only the numbers are kept: what varies, and what is held."""

from functools import partial

import pytest
import torch
from test_recipes import COMMON, ROWS, made, numbers, same_weights
from torch import nn

from gantutor import recipes, rows, runs
from gantutor.data import AVATARS, DIAL, RETRO, varied
from gantutor.methods.supervised import Supervised
from gantutor.recipes import (
    ALIGNMENT,
    DEPTH,
    FURTHER,
    LADDER,
    LONGER,
    NEGATIVE,
    PICTURED,
    RECIPES,
    SETTINGS,
    SHARING,
    SWEEP,
)
from gantutor.vgg import vgg_features


def made_with(rung):
    return runs.described(LADDER[rung].recipe, made(rung))["method"]


def test_only_where_codes_are_aligned_D_z_plays_twice_and_keeps_its_rate():
    for name, rung in LADDER.items():
        row = rung.recipe
        assert row.settings == ({"n_critic": 2, "decay_d": False} if name == "aligned" else {})
        if name not in recipes.CONVERGED:
            assert (row.lr, row.batch_size, row.precision) == (1e-3, 16, "auto"), name
    steps = {name: LADDER[name].recipe.steps for name in LADDER}
    assert steps["aligned"] == 2 * steps["reversed"] == 2 * 2000  # as often for the encoders
    assert {steps[name] for name in SHARING} == {1000} and steps["4 shared, noisy"] == 2000


def test_the_weights_of_every_rung():
    quiet = COMMON | dict.fromkeys(
        ("lambda_dom", "lambda_gan", "lambda_cyc", "lambda_sem", "shuffle"), 0.0)
    expected = {name: quiet | {"lambda_kl": 0.1} for name in SHARING}
    expected["UNIT"] = quiet | {"lambda_kl": 0.01, "lambda_gan": 1.0, "lambda_cyc": 10.0,
                                "late": (0.0, 0.0)}  # everything from the first step on
    expected["4 shared, noisy"] = quiet | {"lambda_kl": 0.5}
    expected["aligned"] = quiet | {"lambda_kl": 0.5, "lambda_dom": 2.0}
    expected["reversed"] = {"lambda_rec": 10.0, "lambda_kl": 0.5, "lambda_dom": 2.0}
    assert {name: numbers(made_with(name)) for name in LADDER
            if name not in recipes.CONVERGED} == expected
    assert [name for name in LADDER if made_with(name)["class"] == "ReversedCodes"] == ["reversed"]


def shared(method):
    """How many of the stages next to the code X and Y have in common: (encoders', decoders')."""
    return (sum(a is b for a, b in zip(method.E_x.stages, method.E_y.stages, strict=True)),
            sum(a is b for a, b in zip(method.G_x.stages, method.G_y.stages, strict=True)))


def test_how_many_stages_are_shared_and_who_sees_the_domain():
    counts = {"unlinked": 0, "1 shared": 1, "2 shared": 2, "3 shared": 3, "UNIT": 2}
    for name in LADDER:
        if isinstance(method := made(name), Supervised):
            continue
        stages = len(method.E_x.stages), len(method.G_x.stages)
        count = counts.get(name)
        assert shared(method) == (stages if count is None else (count, count)), name
        sees = name in SHARING and name != "UNIT"
        assert (method.E_x.flag, method.E_y.flag) == ((-1.0, 1.0) if sees else (None, None)), name


def test_a_reversed_rung_has_no_second_player():
    turned = made("reversed")
    assert turned.D_z in turned.players()[0] and turned.players()[1] == []
    assert turned.lambda_kl == 0.5
    torch.manual_seed(0)
    beside = LADDER["4 shared, noisy"].recipe.make()
    torch.manual_seed(0)
    turned = LADDER["reversed"].recipe.make()
    for name in ("E_x", "G_x", "G_y", "D_z"):  # the rungs beside it start from the same weights
        assert same_weights(getattr(beside, name), getattr(turned, name))


def test_seeds_and_further_numbers_of_the_ladder():
    seeds = {name: rung.seeds for name, rung in LADDER.items()}
    five = {"unlinked", "4 shared", "UNIT", "aligned", "all remedies"}
    assert {name for name, count in seeds.items() if count == 5} == five
    read = {name for name, rung in LADDER.items() if rung.more is recipes.readings}
    assert read == set(SHARING | ALIGNMENT)
    assert {name: rung.ships for name, rung in LADDER.items() if rung.ships} == {
        "all remedies": "avatars_remedies", "all remedies, 64 px": "avatars64_remedies",
        "supervised, 64 px": "avatars64_supervised"}
    for name in recipes.CONVERGED:
        assert LADDER[name].recipe is RECIPES[LADDER[name].ships]
        assert isinstance(LADDER[name].more, partial) == name.endswith("64 px")


def point(change, kind, weight):
    return f"{change}, {kind}, {weight}"


WEIGHTS = {"pixel": ["0.1", "0.3", "1", "3"], "relu2_2": ["0.3", "1", "3", "10"],
           "relu3_3": ["0.3", "1", "3", "10"]}


def test_the_sweep_varies_what_embeds_and_its_weight():
    assert list(SWEEP) == [point(change, kind, weight) for change in SETTINGS
                           for kind, weights in WEIGHTS.items() for weight in weights]
    assert list(SETTINGS) == ["retro", "ink", "inverted"]
    assert not FURTHER.keys() & (LADDER.keys() | RECIPES.keys())
    for change in SETTINGS:
        for kind, weights in WEIGHTS.items():
            for weight in weights:
                method = made(point(change, kind, weight))
                assert type(method).__name__ == "Perceptual"
                assert method.lambda_vgg == float(weight)
                if kind == "pixel":
                    assert isinstance(method.embed.net, nn.Identity)
                else:
                    assert same_weights(method.embed.net, vgg_features("text", kind))


def test_the_sweep_holds_everything_else():
    """Half of the shipped row's steps, and its networks, rate and batches."""
    rows_of = {"retro": "retro_{}", "ink": "ink_{}", "inverted": "inverted, {}"}
    for change, pattern in rows_of.items():
        row, beside = (find(pattern.format("vgg")) for find in (ROWS.get, made))
        for name in (name for name in SWEEP if name.startswith(f"{change},")):
            rung, method = SWEEP[name], made(name)
            assert (rung.seeds, rung.more, rung.ships) == (1, None, None)
            assert rung.recipe._replace(make=row.make, judge=row.judge, batches=row.batches,
                                        steps=600) == row
            assert rung.recipe.steps == 300
            assert (str(method.G_xy), str(method.D_y)) == (str(beside.G_xy), str(beside.D_y))
            torch.manual_seed(0)
            first = rung.recipe.make()
            torch.manual_seed(0)
            second = ROWS[pattern.format("medium")].make()  # all start from the same weights
            assert same_weights(first.G_xy, second.G_xy) and same_weights(first.D_y, second.D_y)


def test_weights_are_chosen_on_validation_in_a_split_of_their_own(monkeypatch):
    asked = []
    monkeypatch.setattr(rows, "panel", lambda translate, pack, back, code: asked.append(pack))
    for name, rung in SWEEP.items():
        there = DIAL[name.partition(",")[0]].split(100)
        for seed in (0, 3):  # another seed is no other split here
            rung.recipe.judge(made(name), seed)
            assert asked[-1].questions is there.validation and asked[-1].size == 64
        assert asked[-1] == asked[-2]
        pack, paired, load = rung.recipe.batches.args
        assert pack.split(3) is pack and pack.unpaired is there.unpaired
        assert not paired and load is None
    assert recipes.TUNING == 100 > 4  # none of the course's splits


def test_the_shipped_weights_are_points_of_the_sweep():
    for change, pattern, kinds in (("retro", "retro_{}", ("pixel", "vgg", "vggdeep")),
                                   ("ink", "ink_{}", ("pixel", "vgg", "vggdeep")),
                                   ("inverted", "inverted, {}", ("vgg", "vggdeep"))):
        for kind in kinds:
            embeds = {"pixel": "pixel", "vgg": "relu2_2", "vggdeep": "relu3_3"}[kind]
            weight = made(pattern.format(kind)).lambda_vgg
            assert point(change, embeds, f"{weight:g}") in SWEEP


# ------------------------------------------------------- depth alone, the dial, twice the steps


def test_depth_is_all_that_differs():
    assert list(DEPTH) == [f"depth {layers}, {how}" for how in ("skip", "no skip")
                           for layers in (1, 3, 6)]
    for name, rung in DEPTH.items():
        row = rung.recipe
        assert (rung.seeds, rung.more, rung.ships) == (5, None, None)
        assert (row.steps, row.lr, row.batch_size, row.settings) == (600, 1e-3, 8, {})
        assert row.batches.args[0] is RETRO  # and a run's seed is its split
        kind, layers = row.make.args
        assert name == f"depth {layers}, {'skip' if kind is rows.PixelGenerator else 'no skip'}"


@pytest.mark.parametrize("kind", [rows.PixelGenerator, rows.PixelDrawer])
def test_every_depth_sees_one_pixel_and_starts_as_a_copy(kind):
    torch.manual_seed(0)
    G = rows.handing_back(kind(layers=3))
    x = torch.rand(2, 3, 12, 20) * 1.9 - 0.95
    with torch.no_grad():
        assert (G(x) - x).abs().mean() < 0.02
        other = x.clone()
        other[:, :, 5, 7] = -other[:, :, 5, 7]
        changed = (G(other) - G(x)).abs().sum(1) > 0                     # (2, 12, 20)
    assert changed.sum() == 2 and changed[:, 5, 7].all()


def test_without_a_skip_nothing_of_x_comes_past_the_network():
    torch.manual_seed(0)
    G, x = rows.PixelDrawer(), torch.rand(2, 3, 8, 12) * 2 - 1
    with torch.no_grad():
        for parameter in G.out.parameters():
            parameter.zero_()
        assert not G(x).any()
        pair = rows.PixelGenerator()
        for parameter in pair.out.parameters():
            parameter.zero_()
        torch.testing.assert_close(pair(x), torch.tanh(x))


def test_the_rows_on_the_negative_are_those_of_the_table_on_another_change():
    assert len(NEGATIVE) == 5
    for name, rung in NEGATIVE.items():
        kind = name.partition(", ")[2]
        row, beside = rung.recipe, RECIPES[f"retro_{kind}"]
        assert rung.seeds == 5 and row.batches.args[0] is DIAL["inverted"]
        same = {"make": beside.make, "judge": beside.judge, "batches": beside.batches}
        assert row._replace(**same) == beside
        if hasattr(made(name), "lambda_vgg"):
            space = {"vgg": "relu2_2", "vggdeep": "relu3_3"}[kind]
            assert made(name).lambda_vgg == recipes.WEIGHTS["inverted"][space]


def test_the_longer_run_is_the_shipped_row_with_twice_the_steps():
    (rung,) = LONGER.values()
    assert rung.recipe == RECIPES["ink_cyclegan"]._replace(steps=1200) and rung.seeds == 5


def test_whose_reference_rows_are_kept():
    """Of every position of the photographs' dial in five splits, of the avatars' three, and of
    the moved avatars at both sizes."""
    moved = {"registered": varied.REGISTERED, "registered, 64 px": varied.REGISTERED.at(64)}
    kept = {name: (pack, splits) for name, (pack, _, splits) in recipes.REFERENCED.items()}
    assert kept == {name: (pack, 5) for name, pack in DIAL.items()} | {
        name: (pack, 1)
        for name, pack in ({"avatars": AVATARS} | varied.RECOLOURED | moved).items()}
    for name, (_, untrained, _) in recipes.REFERENCED.items():  # as its pack's rows begin
        beside = (PICTURED["CycleGAN, 64 px"].recipe.make() if name.endswith("64 px") else
                  made("retro_cyclegan" if name in DIAL else "avatars_cyclegan")).G_xy
        assert str(untrained()) == str(beside)
