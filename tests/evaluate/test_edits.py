"""The panel of the edits: the perfect editor, nothing at all, damage, a CycleGAN as an editor."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gantutor.data import FACES, faces
from gantutor.data.faces import LOOKS
from gantutor.evaluate import do_nothing, edits, judge_accuracy, panel, read_attributes
from gantutor.recipes import judge_pair


@pytest.mark.parametrize("size", [32, 64])
def test_the_fixed_classifier_reads_the_held_out_faces(size):
    pack = FACES.at(size)
    images, people = faces.held_out(size)
    every = (read_attributes(images, pack) == people).float().mean(0)
    assert len(images) == 2880 and every.min() >= 0.99
    accuracy = judge_accuracy(pack)  # of the pictures that the panel's edits ask for
    assert tuple(accuracy) == tuple(FACES.attributes) and min(accuracy.values()) >= 0.99


def truth(x, code):
    """The perfect editor: finds the person of `x` and draws what `code` asks for."""
    images, table = faces.held_out(32)
    place = torch.cdist(x.flatten(1), images.flatten(1)).argmin(1)
    goal = table[place].clone()
    a, b = code[:, -2] == 1, code[:, -1] == 1
    goal[a, 0], goal[a, 1], goal[a, 2] = code[a, :3].argmax(1), *code[a, 3:5].long().T
    goal[b, 3] = code[b, 5:9].argmax(1)
    for k, name in enumerate(LOOKS):
        place = faces.counterpart(place, name, goal[:, k])
    return images[place]


def asked(count=20):
    """The first edit, of hair, for `count` faces."""
    return faces.edit(*faces.edit_places(count)[0])


def numbers(translate, *questions):
    """The panel's numbers for some edits of one attribute."""
    found = panel(translate, FACES, questions=list(questions))
    (attribute,) = {question.attribute for question in questions}
    assert found.pop("by attribute") == {attribute: found}
    return found


def test_the_panel_of_a_perfect_editor_and_of_doing_nothing():
    edit = asked()
    perfect = numbers(truth, edit)
    assert perfect["edit success"] == perfect["others kept"] == perfect["other set's kept"] == 1
    assert all(perfect[k] == 0 for k in perfect if "L1" in k or k == "of do nothing")
    nothing = numbers(lambda x, code: x, edit)
    assert nothing["edit success"] == 0 and nothing["others kept"] == 1
    assert nothing["of do nothing"] == pytest.approx(1) and nothing["L1 elsewhere"] == 0
    x, y = edit.x, edit.y
    assert nothing["hidden-pair L1"] == pytest.approx(F.l1_loss(x, y).item(), rel=1e-5)
    moved = ((x - y).abs().amax(1, keepdim=True) > 0).expand_as(x)
    by_hand = (x - y).abs().sum() / moved.sum()
    assert nothing["L1 where it changes"] == pytest.approx(by_hand.item(), rel=1e-5)


def test_damage_elsewhere_and_the_way_back_are_seen():
    edit = asked()
    found = numbers(lambda x, code: (truth(x, code) + 0.01), edit)
    assert found["L1 elsewhere"] == pytest.approx(0.01, rel=1e-3)
    assert found["reconstruction L1"] == pytest.approx(0.01, rel=1e-2)
    half = numbers(lambda x, code: (x + truth(x, code)) / 2, edit)
    assert half["of do nothing"] == pytest.approx(0.5, rel=1e-4)


def test_what_the_other_set_labels_is_watched():
    """Editing the hair, somebody else's mouth: set B alone knows that it has changed."""
    places = faces.edit_places(20)[0]
    edit = faces.edit(*places)
    mouths = faces.counterpart(places[2], "expression", (edit.records_y[:, 3] + 1) % 4)
    wrong = faces.held_out(32)[0][mouths]
    found = numbers(lambda x, code: wrong if torch.equal(x, edit.x) else x, edit)
    assert found["edit success"] == 1 and found["other set's kept"] == 0
    assert found["others kept"] == pytest.approx(7 / 8)


def test_an_average_is_over_attributes_whatever_their_number_of_edits():
    found = do_nothing(FACES)
    assert list(found["by attribute"]) == list(LOOKS)
    for key in ("hidden-pair L1", "L1 where it changes"):
        mean = sum(found["by attribute"][name][key] for name in LOOKS) / 4
        assert found[key] == pytest.approx(mean)
    questions = FACES.questions(32)
    moods = [F.l1_loss(q.x, q.y).item() for q in questions if q.attribute == "expression"]
    assert len(moods) == 3
    assert found["by attribute"]["expression"]["hidden-pair L1"] == pytest.approx(sum(moods) / 3)


def test_codes_are_the_packs_unless_others_are_given():
    widths = []

    def translate(x, code):
        widths.append(code.shape[1])
        return x

    edit = asked(5)
    for code in (None, faces.unmasked_code, faces.appearance_code):
        panel(translate, FACES, code=code, questions=[edit])
    assert widths == [11, 11, 9, 9, 5, 5]


class Two(nn.Module):
    """A "CycleGAN" whose two directions can be told apart."""

    def translate(self, x):
        return x + 0.5

    def back(self, x):
        return x - 0.25


def test_a_cyclegan_is_judged_in_both_directions():
    coded, x = edits.Coded(Two(), "black hair"), torch.zeros(2, 3, 4, 6)
    black, brown = torch.tensor([[1.0, 0, 0, 0, 0]]), torch.tensor([[0, 0, 1.0, 0, 0]])
    assert (coded.translate(x, black) == 0.5).all() and (coded.translate(x, brown) == -0.25).all()
    found = judge_pair(Two())
    assert found["reconstruction L1"] == pytest.approx(0.25, rel=1e-4)
    assert found["L1 elsewhere"] == pytest.approx((0.5 + 0.25) / 2, rel=1e-4)
    assert "by attribute" not in found
