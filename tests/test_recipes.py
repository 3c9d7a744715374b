"""The rows of the course, number by number; and names are only names."""

import functools
import inspect

import pytest
import torch
from torch import nn

from gantutor import recipes, rows, runs
from gantutor.data import (
    AVATARS,
    FACES,
    INK,
    MONOCHROMES,
    RETRO,
    avatars,
    faces,
    photographs,
)
from gantutor.data.batches import Labelled, Paired, Unpaired
from gantutor.methods.supervised import Supervised, SupervisedEdits, SupervisedPair
from gantutor.models import (
    PixelGenerator,
    SmallDiscriminator,
    SmallGenerator,
    TextureDiscriminator,
)
from gantutor.recipes import FURTHER, LADDER, RECIPES
from gantutor.vgg import vgg_features

PACKS = {"retro": RETRO, "ink": INK, "ink128": INK.at(128),
         "avatars": AVATARS, "avatars64": AVATARS.at(64), "monochromes": MONOCHROMES,
         "faces": FACES, "faces64": FACES.at(64)}
WITH_CODES = [name for name in RECIPES if name.startswith("faces")]
ROWS = RECIPES | {rung: found.recipe for rung, found in (LADDER | FURTHER).items()}

# Each row once more, as plain numbers: (steps, learning rate, batch size, class, what it is made
# with). Weights that are not named have the class's own value, which test_losses.py and the tests
# of the methods look at.
COMMON = {"lambda_rec": 10.0, "lambda_gp": 10.0}
REMEDIES = COMMON | {"lambda_kl": 0.0, "lambda_dom": 2.0, "lambda_gan": 1.0, "lambda_cyc": 5.0,
                     "lambda_sem": 1.0, "shuffle": 0.5}
CYCLE = {"lambda_cyc": 10.0, "lambda_idt": 0.0}
STAR = {"lambda_cls": 1.0, "lambda_rec": 10.0, "lambda_gp": 10.0}


def photograph_rows(change, lr, cycle, pixel, vgg, vggdeep):
    """The twelve rows of one change. cycle: lambda_cyc; pixel, vgg, vggdeep: lambda_vgg."""
    held = CYCLE | {"lambda_cyc": cycle}
    kinds = {"shallow": ("Direct", {}), "medium": ("Direct", {}), "deep": ("Direct", {}),
             "supervised": ("Supervised", {}),
             "pixel": ("Perceptual", {"lambda_vgg": pixel}),
             "vgg": ("Perceptual", {"lambda_vgg": vgg}),
             "vggdeep": ("Perceptual", {"lambda_vgg": vggdeep}),
             "oneway": ("OneWayCycleGAN", {"lambda_cyc": cycle}),
             "cyclegan": ("CycleGAN", held), "identity": ("CycleGAN", held | {"lambda_idt": 0.5}),
             "discogan": ("DiscoGAN", CYCLE | {"rate": 0.5}),
             "dualgan": ("DualGAN", held | {"lambda_gp": 10.0, "noise": 0.0})}
    return {f"{change}_{kind}": (600, lr, 8, *made_with) for kind, made_with in kinds.items()}


# lr, lambda_cyc, and the weights that were chosen on validation: pixel, vgg, vggdeep.
PHOTOGRAPHS = (photograph_rows("retro", 1e-3, 10.0, 1.0, 3.0, 3.0)
               | photograph_rows("ink", 1e-3, 3.0, 1.0, 1.0, 1.0))
TABLE = {
    **PHOTOGRAPHS,
    "ink128_direct": (800, 1e-3, 8, "Direct", {}),
    "ink128_vgg": (800, 1e-3, 8, "Perceptual", {"lambda_vgg": 1.0}),
    "ink128_cyclegan": (800, 1e-3, 8, "CycleGAN", CYCLE | {"lambda_cyc": 3.0}),
    "avatars_collapsed": (1500, 5e-4, 16, "Direct", {}),
    "avatars_direct": (2400, 1e-3, 32, "Direct", {}),
    "avatars_supervised": (4000, 1e-3, 16, "Supervised", {}),
    "avatars_vgg": (1000, 1e-3, 16, "Perceptual", {"lambda_vgg": 1.0}),
    "avatars_vggheavy": (1000, 1e-3, 16, "Perceptual", {"lambda_vgg": 10.0}),
    "avatars_cyclegan": (2500, 1e-3, 16, "CycleGAN", CYCLE),
    "monochromes_hider": (4000, 2e-3, 4, "DualGAN", CYCLE | {
        "lambda_cyc": 3.0, "lambda_gp": 10.0, "noise": 0.0}),
    "monochromes_defended": (4000, 2e-3, 4, "DualGAN", CYCLE | {
        "lambda_cyc": 3.0, "lambda_gp": 10.0, "noise": 0.0625}),
    "monochromes_nocycle": (4000, 2e-3, 4, "DualGAN", CYCLE | {
        "lambda_cyc": 0.0, "lambda_gp": 10.0, "noise": 0.0}),
    "monochromes_cyclegan": (4000, 2e-3, 4, "CycleGAN", CYCLE | {"lambda_cyc": 3.0}),
    "monochromes_supervised": (4000, 2e-3, 4, "SupervisedPair", {}),
    "faces_joint": (5000, 1e-3, 16, "JointStarGAN", STAR | {"blocks": (5, 4)}),
    "faces64_joint": (5000, 1e-3, 16, "JointStarGAN", STAR | {"blocks": (5, 4)}),
    "faces_merged": (5000, 1e-3, 16, "StarGAN", STAR),
    "faces_nomask": (5000, 1e-3, 16, "JointStarGAN", STAR | {"blocks": (5, 4)}),
    "faces_supervised": (8000, 1e-3, 16, "SupervisedEdits", {}),
    "faces_brownblack": (2500, 1e-3, 16, "CycleGAN", CYCLE),
    "avatars_remedies": (4000, 1e-3, 16, "ShuffledColours", REMEDIES),
    "avatars_registered": (2000, 1e-3, 16, "ShuffledColours", REMEDIES),
    "avatars64_remedies": (4000, 1e-3, 16, "ShuffledColours", REMEDIES),
    "avatars64_supervised": (1000, 1e-3, 16, "Supervised", {}),
}
KINDS = [name.removeprefix("retro_") for name in PHOTOGRAPHS if name.startswith("retro_")]
MIXED = {"avatars_remedies", "avatars64_remedies"}  # mixed precision, where it is native


@functools.cache
def made(name):
    """The untrained method of a row, a rung or a point: to look at, not to change."""
    return ROWS[name].make()


def numbers(found):
    """The plain numbers among a method's hyperparameters: no digests of networks."""
    return {name: tuple(value) if isinstance(value, list) else value
            for name, value in found.items() if name != "class" and not isinstance(value, str)}


def pool(method):
    return {module.size for name, module in method.named_children() if name.startswith("pool")}


# ---------------------------------------------------------------- number by number


def test_the_table_names_every_row():
    assert list(TABLE.keys() - RECIPES.keys()) == list(RECIPES.keys() - TABLE.keys()) == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_row_says_what_the_course_says(name):
    steps, lr, batch_size, kind, made_with = TABLE[name]
    row = RECIPES[name]
    assert (row.steps, row.lr, row.batch_size) == (steps, lr, batch_size)
    assert row.precision == ("auto" if name in MIXED else "float32") and row.settings == {}
    found = runs.described(row, made(name))
    method = found.pop("method")
    assert found == {"steps": steps, "lr": lr, "batch_size": batch_size,
                     "precision": row.precision}
    assert method["class"] == kind and numbers(method) == made_with


def test_pools_are_left_out_where_older_images_would_look_diverse():
    sizes = {name: pool(made(name)) for name in RECIPES}
    without = {"avatars_direct", "avatars_vgg", "avatars_vggheavy", "retro_discogan",
               "retro_dualgan", "ink_discogan", "ink_dualgan", "monochromes_hider",
               "monochromes_defended", "monochromes_nocycle", "monochromes_cyclegan"}
    assert {name for name, found in sizes.items() if found == {0}} == without
    assert all(found in ({0}, {50}, set()) for found in sizes.values())


def test_D_sees_groups_of_four_where_a_generator_could_collapse():
    groups = {name: made(name).D_y.group for name in RECIPES if hasattr(made(name), "D_y")}
    four = {"avatars_direct", "avatars_vgg", "avatars_vggheavy"}
    assert groups == {name: 4 if name in four else 1 for name in groups}
    assert groups["avatars_collapsed"] == 1


def test_three_depths_of_one_generator():
    """Stages of stride 2 and residual blocks: none, two, three."""
    def depth(name):
        G = made(name).G_xy
        return G.downs, sum(type(layer).__name__ == "SmallBlock" for layer in G.trunk), G.skip

    for change in ("retro", "ink"):
        assert depth(f"{change}_shallow") == (1, 0, True)
        assert depth(f"{change}_deep") == (2, 3, True)
        for kind in set(KINDS) - {"shallow", "deep"}:  # the same network for every method
            assert depth(f"{change}_{kind}") == (1, 2, True), kind
    assert depth("avatars_direct") == depth("avatars_cyclegan") == (2, 2, False)
    assert depth("avatars64_supervised") == (3, 2, False)
    assert isinstance(made("monochromes_hider").G_xy, PixelGenerator)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_what_embeds_is_the_network_that_the_row_names():
    embeds = {name: made(name).embed.net for name in RECIPES
              if TABLE[name][3] == "Perceptual"}
    assert len(embeds) == 2 * 3 + 3
    for change in ("retro", "ink"):
        assert isinstance(embeds[f"{change}_pixel"], nn.Identity)
        for kind, layer in (("vgg", "relu2_2"), ("vggdeep", "relu3_3")):
            assert same_weights(embeds[f"{change}_{kind}"], vgg_features("text", layer)), kind
    for name, embed in (("ink128_vgg", vgg_features("text", "relu2_2")),
                        ("avatars_vgg", vgg_features("text", "relu3_3")),
                        ("avatars_vggheavy", vgg_features("text", "relu3_3"))):
        assert same_weights(embeds[name], embed), name


@pytest.mark.parametrize("change", ["retro", "ink"])
def test_a_constrained_generator_starts_as_the_unconstrained_one_of_its_seed(change):
    torch.manual_seed(3)
    free = RECIPES[f"{change}_medium"].make()
    for kind in ("pixel", "vgg", "vggdeep"):
        torch.manual_seed(3)
        held = RECIPES[f"{change}_{kind}"].make()
        assert same_weights(free.G_xy, held.G_xy) and same_weights(free.D_y, held.D_y)
    for kind in ("supervised", "oneway", "cyclegan", "identity", "discogan", "dualgan"):
        torch.manual_seed(3)
        assert same_weights(free.G_xy, RECIPES[f"{change}_{kind}"].make().G_xy), kind


# ---------------------------------------------------------------- photographs: all alike


def test_both_changes_of_the_photographs_have_the_same_rows():
    assert list(recipes.PHOTOGRAPHS) == list(PHOTOGRAPHS) == list(RECIPES)[:24]


@pytest.mark.parametrize("change", ["retro", "ink"])
def test_all_rows_of_a_change_get_the_same_steps_batches_rate_and_networks(change):
    found = [(RECIPES[f"{change}_{kind}"], made(f"{change}_{kind}")) for kind in KINDS]
    assert len({(row.steps, row.lr, row.batch_size, row.precision, str(row.settings))
                for row, _ in found}) == 1
    for name in ("D_x", "D_y", "G_yx"):
        assert len({str(getattr(method, name)) for _, method in found
                    if hasattr(method, name)}) == 1, name
    for _, method in found:  # the memory layout in which a CPU convolves faster
        assert all(p.is_contiguous(memory_format=torch.channels_last)
                   for p in method.G_xy.parameters() if p.ndim == 4)


def test_D_sees_coordinates_where_Y_has_darker_corners():
    kinds = {"retro": SmallDiscriminator, "ink": TextureDiscriminator}
    for change, kind in kinds.items():
        judges = [net for name in KINDS for net in (
            getattr(made(f"{change}_{name}"), "D_x", None),
            getattr(made(f"{change}_{name}"), "D_y", None)) if net is not None]
        assert len(judges) == 11 + 4  # D_y of all but the ceiling, D_x of those with two
        assert {type(net) for net in judges} == {kind}
        assert {net.coordinates for net in judges} == {change == "retro"}
    large = made("ink128_cyclegan")  # one stage more for twice the size
    for net in (large.D_x, large.D_y):
        assert type(net) is TextureDiscriminator
        assert len(net.net) == len(made("ink_cyclegan").D_y.net) + 2
    assert large.G_xy.downs == large.G_yx.downs == 2


@pytest.mark.parametrize("change, pack", [("retro", RETRO), ("ink", INK)])
def test_the_seed_of_a_run_on_photographs_is_its_split(change, pack, monkeypatch):
    asked = []
    monkeypatch.setattr(rows, "panel", lambda translate, pack, back, code: asked.append(pack))
    for kind in KINDS:
        row = RECIPES[f"{change}_{kind}"]
        assert row.batches.func is recipes.drawn
        assert row.batches.args == (pack, kind == "supervised", None), kind
        for seed in (0, 3):
            row.judge(made(f"{change}_{kind}"), seed)
    assert asked == [pack.split(0), pack.split(3)] * len(KINDS)
    told = []

    def small(which, size, batch_size, seed):
        told.append((which, size, batch_size, seed))
        return which

    own = pack._replace(divide=lambda number: pack._replace(
        unpaired=functools.partial(small, f"unpaired {number}"),
        paired=functools.partial(small, f"paired {number}")))
    for paired in (False, True):
        assert recipes.drawn(own, paired, None, 8, 3) == f"{'' if paired else 'un'}paired 3"
    assert told == [("unpaired 3", 64, 8, 3), ("paired 3", 64, 8, 3)]


# ---------------------------------------------------------------- methods and batches


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in WITH_CODES])
def test_every_recipe_makes_a_method_for_its_pack(name):
    method, size = RECIPES[name].make(), PACKS[name.partition("_")[0]].size
    x = torch.rand(4, 3, size, size) * 2 - 1  # a multiple of the group that avatars_direct needs
    with torch.no_grad():
        fake = method.translate(x)
        total, parts = method.generator_loss({"x": x, "y": x.flip(0)})
    assert fake.shape == x.shape and fake.abs().max() <= 1
    assert total.isfinite() and all(v.isfinite() for v in parts.values())
    assert {"G_xy", "G_y"} & set(method.ships) and set(runs.networks(method)) == set(method.ships)


@pytest.mark.parametrize("name", WITH_CODES)
def test_every_recipe_of_the_faces_trains_on_its_batches(name):
    method, batch = RECIPES[name].make(), runs.batches(name).next_batch()
    total, parts = method.generator_loss(batch)
    assert total.isfinite() and all(v.isfinite() for v in parts.values())
    if method.players()[1]:
        assert method.discriminator_loss(batch)[0].isfinite()
    assert runs.networks(method)


def test_the_ceiling_has_the_same_generator_as_the_cyclegan():
    for pack in ("retro", "ink", "avatars", "monochromes"):
        networks = [made(f"{pack}_{kind}").G_xy for kind in ("supervised", "cyclegan")]
        shapes = [{k: v.shape for k, v in G.state_dict().items()} for G in networks]
        assert shapes[0] == shapes[1]
    joint, ceiling = (made(f"faces_{kind}").G for kind in ("joint", "supervised"))
    assert str(joint) == str(ceiling)
    assert isinstance(made("avatars64_supervised").G_xy, SmallGenerator)


def test_the_ceilings_alone_see_pairs():
    """Of all rows, rungs and points: whoever gets true pairs is called supervised."""
    ceilings = Supervised | SupervisedPair | SupervisedEdits
    for name, row in ROWS.items():
        if row.batches.func is recipes.drawn:
            _, paired, load = row.batches.args
            assert load is None or load.func is faces.unpaired, name
        else:
            assert row.batches.func is faces.two_hair_colours, name
            paired = False
        assert paired == isinstance(made(name), ceilings), name


def test_batches_are_drawn_at_the_packs_size_from_what_the_row_names():
    told = {name: row.batches.args for name, row in RECIPES.items()}
    assert told["retro_vgg"] == (RETRO, False, None)
    assert told["ink_supervised"] == (INK, True, None)
    assert told["ink128_cyclegan"] == (INK.at(128), False, None)
    assert told["avatars_direct"] == (AVATARS, False, None)
    assert told["avatars64_remedies"] == (AVATARS.at(64), False, None)
    assert told["avatars64_supervised"] == (AVATARS.at(64), True, None)
    assert told["monochromes_hider"] == (MONOCHROMES, False, None)
    assert told["faces64_joint"] == (FACES.at(64), False, None)
    pack, paired, load = told["faces_merged"]
    assert (pack, paired, load.func, load.keywords) == (FACES, False, faces.unpaired,
                                                        {"mask": False})
    assert told["faces_brownblack"] == ("brown hair", "black hair", 32)
    for pack, functions in ((AVATARS, (avatars.unpaired, avatars.paired)),
                            (MONOCHROMES, (avatars.monochromes, avatars.paired_monochromes)),
                            (FACES, (faces.unpaired, faces.paired))):
        assert (pack.unpaired, pack.paired) == functions
    assert (RETRO.unpaired.func, RETRO.paired.func) == (photographs.unpaired, photographs.paired)
    assert type(runs.batches("avatars_supervised")) is Paired
    assert type(runs.batches("faces_merged")) is Labelled
    batches = runs.batches("monochromes_hider", seed=5)
    assert type(batches) is Unpaired and len(batches.next_batch()["x"]) == 4
    again = runs.batches("monochromes_hider", seed=5)
    again.next_batch()
    assert torch.equal(batches.next_batch()["y"], again.next_batch()["y"])


@pytest.mark.parametrize("name, width", [("faces_merged", 9), ("faces_joint", 11),
                                         ("faces_nomask", 11), ("faces_supervised", 11)])
def test_the_panel_asks_with_the_codes_that_training_had(name, width, monkeypatch):
    asked = []
    monkeypatch.setattr(rows, "panel", lambda translate, pack, back, code: asked.append(
        (pack, (code or pack.code)(faces.records("held_out")[:2], "hair").shape[1])))
    RECIPES[name].judge(made(name), 2)
    assert asked == [(FACES, width)]


def test_a_way_back_is_judged_where_there_is_one(monkeypatch):
    monkeypatch.setattr(rows, "panel", lambda translate, pack, back, code: (pack, back))
    for name, has_back in (("avatars_cyclegan", True), ("avatars_direct", False),
                           ("avatars_remedies", True), ("monochromes_supervised", True),
                           ("ink_dualgan", True), ("ink_oneway", True), ("retro_deep", False)):
        method = made(name)
        pack, back = RECIPES[name].judge(method)
        assert pack == PACKS[name.partition("_")[0]]
        assert back == (method.back if has_back else None)


# ---------------------------------------------------------------- names are only names


def test_a_row_under_another_name_is_the_same_row(monkeypatch):
    monkeypatch.setitem(RECIPES, "mine", RECIPES["avatars64_remedies"])
    assert type(runs.make("mine")).__name__ == "ShuffledColours"
    assert runs.checkpoint_path("mine", 3, ship=False).name == "mine_3.safetensors"
    assert runs.described(RECIPES["mine"], runs.make("mine")) == runs.described(
        RECIPES["avatars64_remedies"], runs.make("avatars64_remedies"))


def test_unknown_recipe_is_named():
    with pytest.raises(ValueError, match="retro_nothing.*retro_cyclegan"):
        runs.make("retro_nothing")


def test_a_recipe_says_all_that_fit_is_told():
    """A new setting of `fit` that changes a run has to come from the row."""
    told = set(recipes.Recipe._fields) - {"batches", "make", "judge", "settings"} - {"batch_size"}
    assert told == {"steps", "lr", "precision"} <= set(inspect.signature(runs.fit).parameters)
