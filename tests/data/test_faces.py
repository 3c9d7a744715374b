"""The faces: two half-labelled sets, codes as documented, every held-out edit with its truth."""

from itertools import pairwise

import pytest
import torch
from PIL import Image

from gantutor.data import FACES, faces, to_float
from gantutor.data.faces import ATTRIBUTES, IDENTITY, LOOKS, code_vector
from gantutor.evaluate import read_attributes

COLUMNS = (*LOOKS, *IDENTITY)

# ------------------------------------------------------------------------- pack


def records():
    return {part: faces.records(part) for part in ("appearance", "expression", "held_out")}


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
    sheet = faces.sheet("appearance", size)
    assert sheet.shape == (2500, 3, size, size) and sheet.dtype == torch.uint8
    s = size // 16
    coarse = sheet[:, :, ::s, ::s]
    assert torch.equal(sheet, coarse.repeat_interleave(s, 2).repeat_interleave(s, 3))
    assert torch.equal(coarse, faces.sheet("appearance", 32)[:, :, ::2, ::2])
    with pytest.raises(ValueError, match="size=48"):
        faces.sheet("appearance", 48)


def test_no_picture_shows_two_records():
    images, _ = faces.held_out(32)
    assert len(images.flatten(1).unique(dim=0)) == 2880


def test_training_opens_the_two_sets_alone(monkeypatch):
    opened = []
    usual = Image.open
    monkeypatch.setattr(Image, "open", lambda path, *a: opened.append(path.name) or usual(path, *a))
    batch = faces.unpaired(32, 4).next_batch()
    assert set(batch) == {"x", "code"} and set(opened) == {"appearance.webp", "expression.webp"}


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
    batch = faces.unpaired(32, 6).next_batch()
    assert batch["x"].shape == (6, 3, 32, 32) and batch["code"].shape == (6, 11)
    assert batch["x"].dtype == batch["code"].dtype == torch.float32 and batch["x"].abs().max() <= 1
    assert batch["code"][:, -2:].tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    assert (batch["code"][:3, 5:9] == 0).all() and (batch["code"][3:, :5] == 0).all()
    assert (batch["code"][:3, :3].sum(1) == 1).all() and (batch["code"][3:, 5:9].sum(1) == 1).all()
    merged = faces.unpaired(32, 6, mask=False).next_batch()
    assert torch.equal(merged["code"], batch["code"][:, :9])
    alone = faces.appearance(32, 6).next_batch()
    assert alone["code"].shape == (6, 5)


def test_pictures_keep_their_labels():
    """What the fixed classifier reads off a batch is what the batch's code says."""
    batch = faces.unpaired(32, 64, seed=5).next_batch()
    read = read_attributes(batch["x"], FACES)
    assert torch.equal(faces.appearance_labels(read[:32]), batch["code"][:32, :5])
    assert torch.equal(faces.expression_labels(read[32:]), batch["code"][32:, 5:9])


def test_two_hair_colours_are_those_faces_alone():
    pack = faces.two_hair_colours("brown hair", "black hair")
    for name, value in (("x", 2), ("y", 0)):
        read = read_attributes(to_float(pack.stacks[name][:200]), FACES)
        assert (read[:, 0] == value).all()


# ------------------------------------------------------------ hidden: edits, pairs


def test_a_readers_change_of_the_held_out_faces_stays_with_the_reader():
    images, people = faces.held_out()
    images.zero_(), people.zero_()
    images, people = faces.held_out()
    assert images.abs().max() > 0.5 and people.any()


def test_edits_change_one_attribute_and_every_other_value_is_asked_for():
    table = faces.records("held_out")
    found = faces.edit_places(50)
    names = ["hair"] * 2 + ["long_hair", "glasses"] + ["expression"] * 3
    assert [attribute for attribute, *_ in found] == names
    asked = {}
    for attribute, source, target in found:
        k = COLUMNS.index(attribute)
        differs = table[source] != table[target]
        assert differs[:, k].all() and differs.sum() == len(source) == 50
        asked.setdefault(attribute, []).append(table[target][:, k])
    for name, values in asked.items():
        every = torch.stack([table[found[0][1]][:, COLUMNS.index(name)], *values])
        assert (every.sort(0).values == torch.arange(LOOKS[name])[:, None]).all()


def test_questions_are_the_edits_with_pictures_and_records():
    images, people = faces.held_out(32)
    asked, places = FACES.questions(32), faces.edit_places()
    assert len(asked) == 7
    for question, (attribute, source, target) in zip(asked, places, strict=True):
        assert question.attribute == attribute and len(question.x) == 200
        assert torch.equal(question.x, images[source]) and torch.equal(question.y, images[target])
        assert torch.equal(question.records_x, people[source])
        assert torch.equal(question.records_y, people[target])
    some = faces.questions(32, ("glasses",))
    assert [question.attribute for question in some] == ["glasses"]
    assert FACES.at(64).questions(64)[0].x.shape == (200, 3, 64, 64)


def test_hair_questions_go_there_and_back():
    there, back = faces.hair_questions("brown hair", "black hair", count=50)
    for question, (before, after) in ((there, (2, 0)), (back, (0, 2))):
        assert len(question.x) == 50 and question.attribute == "hair"
        assert (question.records_x[:, 0] == before).all()
        assert (question.records_y[:, 0] == after).all()
        assert torch.equal(question.records_x[:, 1:], question.records_y[:, 1:])


def test_the_two_sets_label_everything_that_can_be_edited_and_nothing_twice():
    assert [name for names in FACES.labelled_apart for name in names] == list(LOOKS)
    assert list(FACES.attributes) == list(ATTRIBUTES) == list(COLUMNS)


def test_the_ceilings_pairs_are_one_person_with_the_code_of_the_other_look():
    batch = faces.paired(32, 32).next_batch()
    assert batch["x"].shape == batch["y"].shape == (32, 3, 32, 32)
    before, after = (read_attributes(batch[k], FACES) for k in "xy")
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert torch.equal(before[:16, 3], after[:16, 3])
    assert torch.equal(before[16:, :3], after[16:, :3])
    assert torch.equal(faces.appearance_labels(after[:16]), batch["code"][:16, :5])
    assert torch.equal(faces.expression_labels(after[16:]), batch["code"][16:, 5:9])
