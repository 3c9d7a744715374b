"""The rows of comparison: the rules of fairness, what is added to a method, what differs where."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gantutor import added, comparison, recipes
from gantutor.comparison import COMPARED, STEPS
from gantutor.data import AVATARS, Unpaired, to_float, varied
from gantutor.data.avatars import records, sheet
from gantutor.evaluate import readers
from gantutor.saving import seed_everything
from gantutor.training import fit

LABELLED = [name for name in COMPARED if "DTN" in name or "teacher" in name]


@pytest.fixture(autouse=True)
def _untaught(monkeypatch):
    """The readers, and what learns at 32 px before a run at 64, learn for two steps only."""
    monkeypatch.setattr(readers.reader, "__defaults__", (AVATARS, 2))
    monkeypatch.setattr(comparison.on_small_codes, "__defaults__", (2,))


def made(name):
    seed_everything(0)
    return COMPARED[name].recipe.make()


def of_translation(method):
    """The networks that make y' of x."""
    inner = getattr(method, "method", method) if isinstance(method, added.Added) else method
    names = {"G_xy"} if hasattr(inner, "G_xy") else {"E_x", "G_y"} if hasattr(inner, "E_x") else {
        "f", "g"}
    return [getattr(inner, name) for name in names]


@pytest.mark.parametrize("name", [name for name in COMPARED if name not in comparison.DRAWN])
def test_the_rules_of_fairness(name):
    row = COMPARED[name].recipe
    steps = {"choose: DTN": STEPS // 2, f"{comparison.BEST}, 64 px": 2 * STEPS,
             "choose: 64 px, 4000": 2 * STEPS, "registered, supervised, 64 px": 2 * STEPS}
    assert row.lr == 1e-3 and row.steps == next(
        (count for start, count in steps.items() if name.startswith(start)), STEPS)
    assert row.settings == {} and row.precision == "float32"
    count = sum(p.numel() for net in of_translation(made(name)) for p in net.parameters())
    if "64 px" in name or "small codes" in name:
        return  # networks that draw four times as many pixels
    usual = sum(p.numel() for p in comparison.Drawer().parameters())
    assert count == pytest.approx(usual, rel=0.1)
    pairs = int(name.split()[0]) if name.endswith(" pairs") and "and" not in name else 16
    assert row.batch_size == min(pairs, 16)


def test_the_best_row_is_the_recipe_that_ships():
    row = COMPARED[comparison.BEST]
    assert row.recipe is recipes.RECIPES[row.ships] and row.recipe.steps == STEPS


@pytest.mark.parametrize("name", ["CycleGAN, shuffled", "CycleGAN through codes", "texture, both",
                                  "XGAN's teacher", "DTN, f taught rough X",
                                  "DTN, f taught X and Y", "CycleGAN, and 5 pairs",
                                  "all remedies, and 5 pairs", "choose: mouth, detail 4",
                                  "choose: mouth, features", "direct, shuffled", "1 pairs"])
def test_a_row_trains_and_is_judged(name):
    row = COMPARED[name].recipe
    method = made(name)
    fit(method, row.batches(min(row.batch_size, 4), 0), 2, lr=row.lr, progress=False)
    panel = row.judge(method.eval(), 0)
    assert 0 <= panel["content kept"] <= 1 and panel["hidden-pair L1"] > 0
    assert ("cycle L1" in panel) == hasattr(method, "back")


def test_step_by_step_one_thing_changes():
    said = {name: {"shared": None} | comparison.CYCLE | weights
            for name, weights in comparison.STEPWISE.items()}
    names = list(said)
    for one, other in pairwise(names):
        different = {key for key in {**said[one], **said[other]}
                     if said[one].get(key) != said[other].get(key)}
        assert different == {"CycleGAN through codes": {"lambda_rec", "late"},
                             "and auto-encoders first": {"shared"},
                             "and shared layers": {"lambda_dom"}, "and D_z": {"lambda_sem"},
                             "and semantic": {"shuffle"}}[one]
    assert said["and shuffling"].items() >= recipes.REMEDIES.items()


def test_the_four_cells_differ_in_the_two_terms_alone():
    weights = {name: {key: getattr(made(f"texture, {name}"), key) for key in recipes.REMEDIES}
               for name in comparison.CELLS}
    assert weights["both"] == recipes.REMEDIES
    for name, cell in weights.items():
        assert cell["lambda_gan"] and cell["lambda_dom"] and cell["shuffle"]
        off = {"lambda_cyc", "lambda_sem"} - set(comparison.CELLS[name])
        assert cell == recipes.REMEDIES | dict.fromkeys(off, 0.0)


def batch(n=40):
    generator = torch.Generator().manual_seed(0)
    return {k: torch.rand(n, 3, 8, 12, generator=generator) * 2 - 1 for k in "xy"}


class Spy(nn.Module):
    ships = ()
    seen = ()

    def generator_loss(self, batch):
        self.seen = {name: value.clone() for name, value in batch.items()}
        return torch.zeros((), requires_grad=True), {}

    def discriminator_loss(self, batch):
        self.judged = batch["x"]
        return torch.zeros((), requires_grad=True), {}

    def translate(self, x):
        return 0.5 * x


def test_colours_are_shuffled_early_for_any_method_and_D_sees_the_same():
    method, images = added.WithShuffledColours(Spy(), 1.0), batch()
    for progress, share in ((0.0, 1.0), (0.25, 1.0), (0.4, 0.4), (0.5, 0.0), (1.0, 0.0)):
        method.progress = progress
        given = dict(images)
        method.generator_loss(given)
        method.discriminator_loss(given)
        moved = (method.method.seen["x"] != images["x"]).flatten(1).any(1).float().mean()
        assert moved == pytest.approx(share * 5 / 6, abs=0.25) and (share or not moved)
        assert torch.equal(method.method.judged, method.method.seen["x"])
        assert torch.equal(method.method.seen["x"].sum(1), images["x"].sum(1)) or share
    assert not hasattr(method, "back") and method.translate(images["x"]).shape == (40, 3, 8, 12)


def test_pairs_add_their_error():
    x, y = (torch.randint(256, (5, 3, 8, 12), dtype=torch.uint8) for _ in "xy")
    method = added.WithPairs(Spy(), x, y, weight=3.0)
    total, parts = method.generator_loss(batch())
    expected = (0.5 * to_float(x) - to_float(y)).abs().mean()
    torch.testing.assert_close(total, 3 * expected)
    torch.testing.assert_close(parts["pairs"], expected)


def test_detail_weighs_a_small_mouth_more_than_a_large_cheek():
    face = torch.zeros(2, 3, 16, 24)
    face[:, 0, 8, 10:13] = 1
    without = torch.zeros_like(face)
    assert comparison.by_detail(face, face) == 0
    plain = F.l1_loss(face, without)
    assert comparison.by_detail(face, without) > 3 * plain
    assert comparison.by_detail(face, without, weight=0.0) == pytest.approx(plain.item())


def test_squares_are_added_to_l1():
    there, drawn = torch.zeros(2, 3, 4, 5), torch.full((2, 3, 4, 5), 0.5)
    assert comparison.with_squares(there, drawn) == pytest.approx(0.5 + 2 * 0.25)


def test_roughened_pictures_are_moved_and_tinted_and_stay_pictures():
    torch.manual_seed(0)
    images = to_float(sheet("hidden_x", 32)[:50])
    rough = readers.roughened(images)
    assert rough.shape == images.shape and rough.abs().max() <= 1
    assert F.l1_loss(rough, images) > 0.1
    assert not torch.equal(rough, readers.roughened(images))


@pytest.mark.train
def test_a_rough_reader_reads_more_of_y_than_a_plain_one(monkeypatch):
    monkeypatch.setattr(readers.reader, "__defaults__", (600,))
    y, people = to_float(sheet("validation_y", 32)), records("validation")
    seed_everything(0)
    plain = readers.share_read(readers.reader(False), y, people)
    seed_everything(0)
    assert readers.share_read(readers.reader(True), y, people) > plain + 0.05


def test_cogan_trains_and_is_judged():
    row = COMPARED["CoGAN, 2 shared"].recipe
    method = made("CoGAN, 2 shared")
    assert method.G_x.stages[1] is method.G_y.stages[1]
    assert method.G_x.stages[2] is not method.G_y.stages[2]
    fit(method, row.batches(4, 0), 2, lr=row.lr, progress=False)
    assert 0 <= row.judge(method.eval(), 0)["pairs agree"] <= 1


def test_varied_packs_train_unpaired():
    assert isinstance(varied.TEXTURED.unpaired(32, 2, 0), Unpaired)
    assert LABELLED  # rows whose method has read labels of X, to be marked in every table


def test_on_small_codes_the_encoder_of_the_run_at_32_px_stays_as_it_was_and_the_rest_learns():
    seed_everything(3)
    method = comparison.on_small_codes()
    encoder = {name: value.clone() for name, value in method.E_x.state_dict().items()}
    decoder = next(method.G_y.parameters()).clone()
    seed_everything(3)
    small = comparison.by_rarity()
    fit(small, varied.REGISTERED.unpaired(32, 16, 3), 2, lr=1e-3)
    torch.testing.assert_close(encoder, small.E_x.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(method.E_y.state_dict(), encoder, rtol=0, atol=0)
    fit(method, varied.REGISTERED.at(64).unpaired(64, 4, 0), 2, lr=1e-3)
    torch.testing.assert_close(method.E_x.state_dict(), encoder, rtol=0, atol=0)
    assert not torch.equal(next(method.G_y.parameters()), decoder)
    assert method.translate(torch.rand(2, 3, 64, 64)).shape == (2, 3, 64, 64)
