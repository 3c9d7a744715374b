"""The rows of the course, number by number; and names are only names."""

import functools
import inspect

import pytest
import torch
from torch import nn

from gantutor import recipes, runs
from gantutor.data import AVATARS, FACES, LANDSCAPES, MONOCHROMES, avatars, faces, landscapes
from gantutor.data.batches import Labelled, Paired, Unpaired
from gantutor.methods.supervised import Supervised, SupervisedEdits
from gantutor.models import PixelGenerator, SmallGenerator
from gantutor.recipes import LADDER, RECIPES, SWEEP
from gantutor.vgg import vgg_features

PACKS = {"landscapes": LANDSCAPES, "avatars": AVATARS, "avatars64": AVATARS.at(64),
         "monochromes": MONOCHROMES, "faces": FACES, "faces64": FACES.at(64)}
WITH_CODES = [name for name in RECIPES if name.startswith("faces")]
ROWS = RECIPES | {rung: LADDER[rung].recipe for rung in LADDER} | SWEEP

# Each row once more, as plain numbers: (steps, learning rate, batch size, class, what it is made
# with). Weights that are not named have the class's own value, which test_losses.py and the tests
# of the methods look at.
COMMON = {"lambda_rec": 10.0, "lambda_gp": 10.0}
REMEDIES = COMMON | {"lambda_kl": 0.0, "lambda_dom": 2.0, "lambda_gan": 1.0, "lambda_cyc": 5.0,
                     "lambda_sem": 1.0, "shuffle": 0.5}
CYCLE = {"lambda_cyc": 10.0, "lambda_idt": 0.0}
STAR = {"lambda_cls": 1.0, "lambda_rec": 10.0, "lambda_gp": 10.0}
TABLE = {
    "landscapes_shallow": (600, 1e-3, 8, "Direct", {}),
    "landscapes_medium": (600, 1e-3, 8, "Direct", {}),
    "landscapes_deep": (600, 1e-3, 8, "Direct", {}),
    "landscapes_supervised": (600, 1e-3, 8, "Supervised", {}),
    "avatars_collapsed": (1500, 5e-4, 16, "Direct", {}),
    "avatars_direct": (2400, 1e-3, 32, "Direct", {}),
    "avatars_supervised": (1500, 1e-3, 16, "Supervised", {}),
    "landscapes_pixel": (600, 1e-3, 8, "Perceptual", {"lambda_vgg": 0.1}),
    "landscapes_randomvgg": (600, 1e-3, 8, "Perceptual", {"lambda_vgg": 0.3}),
    "landscapes_vgg": (600, 1e-3, 8, "Perceptual", {"lambda_vgg": 3.0}),
    "avatars_vgg": (1000, 1e-3, 16, "Perceptual", {"lambda_vgg": 1.0}),
    "avatars_vggheavy": (1000, 1e-3, 16, "Perceptual", {"lambda_vgg": 10.0}),
    "landscapes_oneway": (600, 1e-3, 8, "OneWayCycleGAN", {"lambda_cyc": 10.0}),
    "landscapes_cyclegan": (600, 1e-3, 8, "CycleGAN", CYCLE),
    "landscapes_converged": (1200, 1e-3, 8, "CycleGAN", CYCLE),
    "landscapes_identity": (600, 1e-3, 8, "CycleGAN", CYCLE | {"lambda_idt": 0.5}),
    "landscapes_discogan": (600, 1e-3, 8, "DiscoGAN", CYCLE | {"rate": 0.5}),
    "landscapes_dualgan": (600, 1e-3, 8, "DualGAN", CYCLE | {"lambda_gp": 10.0, "noise": 0.0}),
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
    "avatars64_remedies": (4000, 1e-3, 16, "ShuffledColours", REMEDIES),
    "avatars64_supervised": (1000, 1e-3, 16, "Supervised", {}),
}
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
    without = {"avatars_direct", "avatars_vgg", "avatars_vggheavy", "landscapes_discogan",
               "landscapes_dualgan", "monochromes_hider", "monochromes_defended",
               "monochromes_nocycle", "monochromes_cyclegan"}
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

    assert depth("landscapes_shallow") == (1, 0, True)
    assert depth("landscapes_medium") == depth("landscapes_cyclegan") == (1, 2, True)
    assert depth("landscapes_deep") == depth("landscapes_vgg") == (2, 3, True)
    assert depth("avatars_direct") == depth("avatars_cyclegan") == (2, 2, False)
    assert depth("avatars64_supervised") == (3, 2, False)
    assert isinstance(made("monochromes_hider").G_xy, PixelGenerator)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_what_embeds_is_the_network_that_the_row_names():
    embeds = {name: made(name).embed.net for name in RECIPES
              if TABLE[name][3] == "Perceptual"}
    assert isinstance(embeds["landscapes_pixel"], nn.Identity)
    for name, embed in (("landscapes_randomvgg", vgg_features("random", "relu3_3")),
                        ("landscapes_vgg", vgg_features("text", "relu2_2")),
                        ("avatars_vgg", vgg_features("text", "relu3_3")),
                        ("avatars_vggheavy", vgg_features("text", "relu3_3"))):
        assert same_weights(embeds[name], embed), name


def test_a_constrained_generator_starts_as_the_unconstrained_one_of_its_seed():
    torch.manual_seed(3)
    free = RECIPES["landscapes_deep"].make()
    for name in ("landscapes_randomvgg", "landscapes_vgg", "landscapes_pixel"):
        torch.manual_seed(3)
        held = RECIPES[name].make()
        assert same_weights(free.G_xy, held.G_xy) and same_weights(free.D_y, held.D_y)


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
    for pack in ("landscapes", "avatars", "monochromes"):
        networks = [made(f"{pack}_{kind}").G_xy for kind in ("supervised", "cyclegan")]
        shapes = [{k: v.shape for k, v in G.state_dict().items()} for G in networks]
        assert shapes[0] == shapes[1]
    joint, ceiling = (made(f"faces_{kind}").G for kind in ("joint", "supervised"))
    assert str(joint) == str(ceiling)
    assert isinstance(made("avatars64_supervised").G_xy, SmallGenerator)


def test_the_ceilings_alone_see_pairs():
    """Of all rows, rungs and points: whoever gets true pairs is called supervised."""
    paired = {avatars.paired, avatars.paired_monochromes, landscapes.paired, faces.paired}
    for name, row in ROWS.items():
        supervised = isinstance(made(name), Supervised | SupervisedEdits)
        assert (row.batches.func in paired) == supervised, name


def test_batches_are_drawn_at_the_packs_size_from_what_the_row_names():
    drawn = {name: (row.batches.func, row.batches.args, row.batches.keywords)
             for name, row in RECIPES.items()}
    assert drawn["landscapes_vgg"] == (landscapes.unpaired, (64,), {})
    assert drawn["avatars_direct"] == (avatars.unpaired, (32,), {})
    assert drawn["avatars64_remedies"] == (avatars.unpaired, (64,), {})
    assert drawn["avatars64_supervised"] == (avatars.paired, (64,), {})
    assert drawn["monochromes_hider"] == (avatars.monochromes, (32,), {})
    assert drawn["faces64_joint"] == (faces.unpaired, (64,), {})
    assert drawn["faces_merged"] == (faces.unpaired, (32,), {"mask": False})
    assert drawn["faces_brownblack"] == (faces.two_hair_colours, ("brown hair", "black hair", 32),
                                         {})
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
    monkeypatch.setattr(recipes, "panel", lambda translate, pack, back, code: asked.append(
        (pack, (code or pack.code)(faces.records("held_out")[:2], "hair").shape[1])))
    RECIPES[name].judge(made(name))
    assert asked == [(FACES, width)]


def test_a_way_back_is_judged_where_there_is_one(monkeypatch):
    monkeypatch.setattr(recipes, "panel", lambda translate, pack, back, code: (pack, back))
    for name, has_back in (("avatars_cyclegan", True), ("avatars_direct", False),
                           ("avatars_remedies", True), ("monochromes_supervised", True)):
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
    with pytest.raises(ValueError, match="landscapes_nothing.*landscapes_cyclegan"):
        runs.make("landscapes_nothing")


def test_a_recipe_says_all_that_fit_is_told():
    """A new setting of `fit` that changes a run has to come from the row."""
    told = set(recipes.Recipe._fields) - {"batches", "make", "judge", "settings"} - {"batch_size"}
    assert told == {"steps", "lr", "precision"} <= set(inspect.signature(runs.fit).parameters)
