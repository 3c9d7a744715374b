"""The faces: two half-labelled sets, codes as documented, every held-out edit with its truth."""

import importlib.util
from itertools import pairwise

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from gantutor import data, edits, faces, recipes
from gantutor.faces import IDENTITY, LOOKS, Labelled, code_vector

COLUMNS = (*LOOKS, *IDENTITY)

# ------------------------------------------------------------------------- pack


def records():
    return {part: faces.face_records(part) for part in ("appearance", "expression", "held_out")}


def test_sets_are_disjoint_and_hold_every_value():
    found = {part: {tuple(r) for r in table.tolist()} for part, table in records().items()}
    assert [len(s) for s in found.values()] == [2500, 2500, 2880]
    assert not set.intersection(*found.values())
    for a, b in pairwise([*found.values(), found["appearance"]]):
        assert a.isdisjoint(b)
    for table in records().values():
        assert table.amax(0).tolist() == [n - 1 for n in (*LOOKS.values(), *IDENTITY.values())]


def test_held_out_people_are_nobody_in_training_and_have_every_look_in_order():
    tables = records()
    people = {tuple(r) for part in ("appearance", "expression")
              for r in tables[part][:, 4:].tolist()}
    held = tables["held_out"]
    assert people.isdisjoint({tuple(r) for r in held[:, 4:].tolist()})
    shaped = held.view(60, 3, 2, 2, 4, 9)
    assert (shaped[..., 4:] == shaped[:, :1, :1, :1, :1, 4:]).all()
    for k, axis in enumerate(LOOKS):
        index = torch.arange(LOOKS[axis]).view([-1 if i == k + 1 else 1 for i in range(5)])
        assert (shaped[..., k] == index).all()


@pytest.mark.parametrize("size", [32, 64])
def test_sheets_are_the_grid_of_16_magnified(size):
    sheet = faces.face_sheet("appearance", 2500, size)
    assert sheet.shape == (2500, 3, size, size) and sheet.dtype == torch.uint8
    s = size // 16
    coarse = sheet[:, :, ::s, ::s]
    assert torch.equal(sheet, coarse.repeat_interleave(s, 2).repeat_interleave(s, 3))
    assert torch.equal(coarse, faces.face_sheet("appearance", 2500, 32)[:, :, ::2, ::2])
    with pytest.raises(ValueError, match="size=48"):
        faces.face_sheet("appearance", 2500, 48)


def test_no_picture_shows_two_records():
    images, _ = edits.held_out_faces(32)
    assert len(images.flatten(1).unique(dim=0)) == 2880


def test_training_opens_the_two_sets_alone(monkeypatch):
    opened = []
    usual = Image.open
    monkeypatch.setattr(Image, "open", lambda path, *a: opened.append(path.name) or usual(path, *a))
    batch = faces.faces(32, 4).next_batch()
    assert set(batch) == {"x", "code"} and set(opened) == {"appearance.webp", "expression.webp"}


@pytest.mark.skipif(not importlib.util.find_spec("dicebear") or PIL.__version__ != "13.0.0",
                    reason="redrawing needs the extra `data`: pip install -e .[data]")
def test_faces_drawn_again_are_the_same_to_the_pixel():
    from gantutor import build

    again = dict(zip(("appearance", "expression", "held_out"), build.face_records(), strict=True))
    for part, table in records().items():
        assert np.array_equal(table.numpy(), again[part])
        some = torch.arange(8) * (len(table) // 8) + 5
        stored = faces.face_sheet(part, len(table), 32)[some, :, ::2, ::2]
        assert np.array_equal(stored.permute(0, 2, 3, 1).numpy(),
                              build.draw_faces(table[some].numpy()))
    for part, kept in (("appearance", slice(3, 9)), ("expression", [0, 1, 2, *range(4, 9)])):
        other = faces.face_records(f"hidden_{part}")
        assert torch.equal(other[:, kept], records()[part][:, kept])
        assert (other != records()[part]).any(1).float().mean() > 0.7


# ------------------------------------------------------------------------ codes


def test_labels_of_a_record_by_hand():
    table = torch.tensor([[2, 1, 0, 3, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0, 0]])
    assert faces.appearance_labels(table).tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]
    assert faces.expression_labels(table).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]


def test_the_lectures_code_vector():
    """10011 00000 10: A's labels, B's unknown, the mask (with the lecture's widths 5 and 5)."""
    code = code_vector(torch.tensor([[1.0, 0, 0, 1, 1]]), 0, blocks=(5, 5))
    assert code.tolist() == [[1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0]]
    code = code_vector(torch.tensor([[0.0, 1, 0, 0]]), 1)
    assert code.tolist() == [[0] * 5 + [0, 1, 0, 0] + [0, 1]]
    with pytest.raises(ValueError, match=r"labels: expected shape \(N, 4\) for block 1.*\(2, 5\)"):
        code_vector(torch.zeros(2, 5), 1)


def test_a_batch_is_half_of_each_set_with_its_own_labels_only():
    batch = faces.faces(32, 6).next_batch()
    assert batch["x"].shape == (6, 3, 32, 32) and batch["code"].shape == (6, 11)
    assert batch["x"].dtype == batch["code"].dtype == torch.float32 and batch["x"].abs().max() <= 1
    assert batch["code"][:, -2:].tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    assert (batch["code"][:3, 5:9] == 0).all() and (batch["code"][3:, :5] == 0).all()
    assert (batch["code"][:3, :3].sum(1) == 1).all() and (batch["code"][3:, 5:9].sum(1) == 1).all()
    merged = faces.faces(32, 6, mask=False).next_batch()
    assert torch.equal(merged["code"], batch["code"][:, :9])
    alone = faces.appearance(32, 6).next_batch()
    assert alone["code"].shape == (6, 5)


def test_pictures_keep_their_labels():
    """What the fixed classifier reads off a batch is what the batch's code says."""
    batch = faces.faces(32, 64, seed=5).next_batch()
    read = edits.read_attributes(batch["x"])
    assert torch.equal(faces.appearance_labels(read[:32]), batch["code"][:32, :5])
    assert torch.equal(faces.expression_labels(read[32:]), batch["code"][32:, 5:9])


def toy_set(n, first):
    images = torch.zeros(n, 3, 4, 6, dtype=torch.uint8)
    images += (torch.arange(n) + first).to(torch.uint8).view(-1, 1, 1, 1)
    return images, (torch.arange(n) + first).float().view(-1, 1)


def test_labelled_gives_every_picture_once_an_epoch_with_its_own_code_and_resumes():
    sets = [toy_set(6, 0), toy_set(4, 100)]
    batches = Labelled(sets, batch_size=4, seed=1)
    seen = [batches.next_batch() for _ in range(3)]
    for batch in seen:
        assert torch.equal(data.to_uint8(batch["x"])[:, 0, 0, 0].float(), batch["code"][:, 0])
    first = torch.cat([b["code"][:2, 0] for b in seen])
    assert sorted(first.tolist()) == [0, 1, 2, 3, 4, 5]
    state = batches.state_dict()
    following = batches.next_batch()
    other = Labelled(sets, batch_size=4, seed=9)
    other.load_state_dict(state)
    again = other.next_batch()
    assert all(torch.equal(following[k], again[k]) for k in following)


def test_labelled_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="batch_size=5: expected a multiple of 2 sets"):
        Labelled([toy_set(6, 0), toy_set(6, 0)], 5)
    with pytest.raises(ValueError, match="set 1: 3 images and 3 codes.*at least 4"):
        Labelled([toy_set(6, 0), toy_set(3, 0)], 8)
    with pytest.raises(ValueError, match="set 0: 6 images and 5 codes"):
        Labelled([(toy_set(6, 0)[0], toy_set(5, 0)[1])], 2)


def test_two_hair_colours_are_those_faces_alone():
    pack = faces.two_hair_colours("brown hair", "black hair")
    for name, value in (("x", 2), ("y", 0)):
        read = edits.read_attributes(data.to_float(pack.stacks[name][:200]))
        assert (read[:, 0] == value).all()


# ------------------------------------------------------------------------ panel


@pytest.mark.parametrize("size", [32, 64])
def test_the_fixed_classifier_reads_the_held_out_faces(size):
    accuracy = edits.judge_accuracy(size)
    assert tuple(accuracy) == COLUMNS and min(accuracy.values()) >= 0.99


def test_edits_change_one_attribute_and_every_other_value_is_asked_for():
    _, table = edits.held_out_faces()
    found = edits.held_out_edits(50)
    names = ["hair"] * 2 + ["long_hair", "glasses"] + ["expression"] * 3
    assert [e.attribute for e in found] == names
    asked = {}
    for edit in found:
        k = COLUMNS.index(edit.attribute)
        differs = table[edit.source] != table[edit.target]
        assert differs[:, k].all() and differs.sum() == len(edit.source) == 50
        asked.setdefault(edit.attribute, []).append(table[edit.target][:, k])
    for name, values in asked.items():
        every = torch.stack([table[found[0].source][:, COLUMNS.index(name)], *values])
        assert (every.sort(0).values == torch.arange(LOOKS[name])[:, None]).all()


def truth(x, code):
    """The perfect editor: finds the person of `x` and draws what `code` asks for."""
    images, table = edits.held_out_faces(32)
    place = (images.flatten(1)[None] - x.flatten(1)[:, None]).abs().sum(2).argmin(1)
    goal = table[place].clone()
    a, b = code[:, -2] == 1, code[:, -1] == 1
    goal[a, 0], goal[a, 1], goal[a, 2] = code[a, :3].argmax(1), *code[a, 3:5].long().T
    goal[b, 3] = code[b, 5:9].argmax(1)
    for k, name in enumerate(LOOKS):
        place = edits.counterpart(place, name, goal[:, k])
    return images[place]


def test_the_panel_of_a_perfect_editor_and_of_doing_nothing():
    edit = edits.held_out_edits(20)[0]
    perfect = edits.judge_edit(truth, edit)
    assert perfect["edit success"] == perfect["others kept"] == 1
    assert all(perfect[k] == 0 for k in perfect if "L1" in k or k == "of do nothing")
    nothing = edits.judge_edit(lambda x, code: x, edit)
    assert nothing["edit success"] == 0 and nothing["others kept"] == 1
    assert nothing["of do nothing"] == pytest.approx(1) and nothing["L1 elsewhere"] == 0
    x, y = (edits.held_out_faces()[0][place] for place in (edit.source, edit.target))
    assert nothing["hidden-pair L1"] == pytest.approx(F.l1_loss(x, y).item(), rel=1e-5)
    moved = ((x - y).abs().amax(1, keepdim=True) > 0).expand_as(x)
    by_hand = (x - y).abs().sum() / moved.sum()
    assert nothing["L1 where it changes"] == pytest.approx(by_hand.item(), rel=1e-5)


def test_damage_elsewhere_and_the_way_back_are_seen():
    edit = edits.held_out_edits(20)[0]
    found = edits.judge_edit(lambda x, code: (truth(x, code) + 0.01), edit)
    assert found["L1 elsewhere"] == pytest.approx(0.01, rel=1e-3)
    assert found["reconstruction L1"] == pytest.approx(0.01, rel=1e-2)
    half = edits.judge_edit(lambda x, code: (x + truth(x, code)) / 2, edit)
    assert half["of do nothing"] == pytest.approx(0.5, rel=1e-4)


def test_the_ceilings_pairs_are_one_person_with_the_code_of_the_other_look():
    batch = edits.edited_pairs(32, 32).next_batch()
    assert batch["x"].shape == batch["y"].shape == (32, 3, 32, 32)
    before, after = (edits.read_attributes(batch[k]) for k in "xy")
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert torch.equal(before[:16, 3], after[:16, 3])
    assert torch.equal(before[16:, :3], after[16:, :3])
    assert torch.equal(faces.appearance_labels(after[:16]), batch["code"][:16, :5])
    assert torch.equal(faces.expression_labels(after[16:]), batch["code"][16:, 5:9])


def test_the_ceilings_loss_weighs_what_changes_as_much_as_all_the_rest():
    class Grey(torch.nn.Module):
        def forward(self, x, code):
            return x + 0.1

    x = torch.zeros(2, 3, 4, 6)
    y = x.clone()
    y[0, 1, 2, 3] = 0.5  # one channel of one pixel: that pixel is to change, 47 others to stay
    total, parts = edits.SupervisedEdits(Grey()).generator_loss({"x": x, "y": y, "code": None})
    assert parts["changed"].item() == pytest.approx((0.1 + 0.4 + 0.1) / 3)
    assert parts["elsewhere"].item() == pytest.approx(0.1)
    assert total.item() == pytest.approx(0.2 + 0.1)
    nothing, _ = edits.SupervisedEdits(Grey()).generator_loss({"x": x, "y": x, "code": None})
    assert nothing.item() == pytest.approx(0.1)


def test_a_cyclegan_is_judged_in_both_directions():
    class Two:
        translate = staticmethod(lambda x: x + 0.5)
        back = staticmethod(lambda x: x - 0.25)

    found = edits.pair_panel(edits.coded(Two, "black hair"), "brown hair", "black hair")
    assert found["reconstruction L1"] == pytest.approx(0.25, rel=1e-4)
    assert found["L1 elsewhere"] == pytest.approx((0.5 + 0.25) / 2, rel=1e-4)
    _, table = edits.held_out_faces()
    edit = edits.hair_edit(2, 0, 50)
    assert (table[edit.source, 0] == 2).all() and (table[edit.target, 0] == 0).all()
    assert torch.equal(table[edit.source, 1:], table[edit.target, 1:]) and len(edit.source) == 50


@pytest.mark.parametrize("name", [n for n in recipes.RECIPES if n.startswith("faces")])
def test_every_recipe_of_the_faces_trains_on_its_batches(name):
    method, batches = recipes.make(name), recipes.batches(name, 0)
    batch = batches.next_batch()
    total, parts = method.generator_loss(batch)
    assert total.isfinite() and all(v.isfinite() for v in parts.values())
    if method.players()[1]:
        assert method.discriminator_loss(batch)[0].isfinite()
    assert recipes.generators(method)
