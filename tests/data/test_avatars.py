"""The avatars are drawn from disjoint records; the monochromes are made of other faces than X."""

import pytest
import torch

from gantutor.data import AVATARS, MONOCHROMES, avatars, monochrome, to_float, to_uint8
from gantutor.evaluate import read_attributes

PARTS = ("train_x", "train_y", "held_out", "validation")


@pytest.mark.parametrize("size", [32, 64])
def test_avatars_shapes(size):
    pack = avatars.unpaired(size, batch_size=5)
    for name in "xy":
        images = pack.stacks[name]
        assert images.shape == (2500, 3, size, size) and images.dtype == torch.uint8
        assert len(images.flatten(1).unique(dim=0)) > 2400  # no record drawn twice, no blanks
        assert pack.next_batch()[name].shape == (5, 3, size, size)
    records = {part: avatars.records(part) for part in PARTS}
    assert [len(r) for r in records.values()] == [2500, 2500, 300, 300]
    for r in records.values():
        assert r.dtype == torch.int64 and r.shape[1] == len(avatars.ATTRIBUTES)
        assert r.amin(0).tolist() == [0] * 8
        assert r.amax(0).tolist() == [3, 5, 4, 3, 1, 1, 1, 1]
        assert r.amax(0).tolist() == [values - 1 for values in avatars.ATTRIBUTES.values()]


def test_no_person_is_in_two_parts():
    sets = [{tuple(r) for r in avatars.records(part).tolist()} for part in PARTS]
    assert [len(s) for s in sets] == [2500, 2500, 300, 300]
    assert len(set.union(*sets)) == 5600


def test_validation_is_like_the_test_and_is_what_choices_are_made_on():
    tested, chosen = AVATARS.questions(32)[0], AVATARS.on_validation().questions(32)[0]
    assert chosen.attribute is None and len(chosen.x) == len(tested.x) == 300
    assert torch.equal(chosen.records_x, avatars.records("validation"))
    assert torch.equal(chosen.records_y, chosen.records_x)
    for column in (5, 6):  # glasses and beards are uneven in the training crowds
        assert (tested.records_x[:, column] == 1).sum() == (chosen.records_x[:, column] == 1).sum()
    assert (read_attributes(chosen.y, AVATARS) == chosen.records_y).float().mean() >= 0.98
    assert AVATARS.at(64).on_validation().questions(64)[0].y.shape == (300, 3, 64, 64)


def test_a_readers_change_of_the_records_stays_with_the_reader():
    avatars.records("held_out").zero_()
    assert avatars.records("held_out").any()


def test_avatars_are_drawn_at_two_sizes():
    with pytest.raises(ValueError, match="size=48.*32 and at 64"):
        avatars.unpaired(48)
    assert torch.equal(avatars.sheet("train_x", 32, 7), avatars.sheet("train_x", 32)[:7])


def test_the_ceiling_trains_on_true_pairs():
    pack = avatars.paired(32, batch_size=50)
    assert torch.equal(pack.stacks["x"], avatars.unpaired(32).stacks["x"])
    batch = pack.next_batch()
    read = read_attributes(batch["y"], AVATARS)
    stacked = to_uint8(batch["x"])
    where = [(pack.stacks["x"] == image).flatten(1).all(1).nonzero()[0, 0].item()
             for image in stacked]
    records = avatars.records("train_x")[where]
    assert (read == records).float().mean() >= 0.98
    seen = [tuple(image.flatten()[:60].tolist()) for _ in range(len(pack.stacks["x"]) // 50 - 1)
            for image in pack.next_batch()["x"]]
    assert len(seen) + 50 == len(pack.stacks["x"])


def test_the_question_is_the_same_person_in_voxel_art():
    (question,) = AVATARS.questions(32)
    assert question.attribute is None
    assert torch.equal(question.records_x, avatars.records("held_out"))
    assert torch.equal(question.records_y, avatars.records("held_out"))
    assert (read_attributes(question.y, AVATARS) == question.records_y).float().mean() >= 0.98


def test_the_judge_learns_attributes_from_real_ones_of_both_crowds():
    images, is_y, values = AVATARS.judged(32, torch.Generator().manual_seed(0))()
    assert is_y.tolist() == [True] * 64 + [False] * 64 and images.shape == (128, 3, 32, 32)
    assert values.shape == (64, 8)
    assert (read_attributes(images[:64], AVATARS) == values).float().mean() >= 0.98


# -------------------------------------------------------------- monochromes


def test_monochromes_are_made_of_other_faces_than_x():
    """Made of the same ones, every x would have its own y among the batches: a leak."""
    stacks = MONOCHROMES.unpaired(32, 8, 0).stacks
    assert [len(stack) for stack in stacks.values()] == [1250, 1250]
    faces = avatars.sheet("train_x", 32)
    own = to_uint8(monochrome(to_float(faces)))
    assert torch.equal(stacks["x"], faces[:1250]) and torch.equal(stacks["y"], own[1250:])
    # and no more of x's own black and white pictures than different faces happen to share
    ours, theirs = ({image.numpy().tobytes() for image in stack} for stack in
                    (own[:1250], stacks["y"]))
    assert len(ours & theirs) < 0.02 * len(ours)


def test_monochrome_by_hand():
    x = torch.tensor([[0.9, -0.6, 0.3]]).view(1, 3, 1, 1).expand(2, 3, 2, 5)
    torch.testing.assert_close(monochrome(x), torch.full((2, 3, 2, 5), 0.2))


def test_the_supervised_pair_sees_each_face_in_colour_and_in_black_and_white():
    batch = MONOCHROMES.paired(32, 8, 0).next_batch()
    assert (monochrome(batch["x"]) - batch["y"]).abs().max() <= 1 / 127.5
    (question,) = MONOCHROMES.questions(32)
    assert torch.equal(question.y, monochrome(question.x)) and len(question.x) == 300
    assert torch.equal(question.x, AVATARS.questions(32)[0].x)
    assert MONOCHROMES.judged is None and question.records_y is None
