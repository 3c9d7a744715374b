"""The panel on translations whose worth is known: the truth, nothing at all, one picture for all.

The fixed classifiers are shipped files; these tests also tell when they and the code disagree.
"""

import pytest
import torch
from torch import nn

from gantutor import evaluate
from gantutor.data import AVATARS, FACES, INK, MONOCHROMES, RETRO, avatars
from gantutor.data.avatars import ATTRIBUTES
from gantutor.evaluate import confusion, held_out_pairs, metrics, panel
from gantutor.evaluate.two_sample import style

PACKS = [RETRO, INK.at(32), AVATARS, AVATARS.at(64)]
KEYS = {"hidden-pair L1", "PSNR", "SSIM", "KID x1000", "diversity"}
AVATAR_KEYS = {"domain reached", "translated right", "content kept", "by attribute",
               "information kept", "information by attribute", "two of three judges"}


def truth(pack):
    """translate = looking the true counterpart up."""
    x, y, _ = held_out_pairs(pack)
    table = {image.numpy().tobytes(): k for k, image in enumerate(x)}
    return lambda batch: y[[table[image.numpy().tobytes()] for image in batch]]


@pytest.fixture(scope="module", params=PACKS, ids=str)
def pack(request):
    return request.param


@pytest.fixture(scope="module")
def panels(pack):
    """The panels of the truth (with a way back), of nothing and of one picture."""
    _, y, _ = held_out_pairs(pack)
    return (panel(truth(pack), pack, back=lambda fake: torch.zeros_like(fake)),
            evaluate.do_nothing(pack),
            panel(lambda batch: y[:1].expand(len(batch), -1, -1, -1), pack))


def test_hidden_pairs(pack):
    x, y, records = held_out_pairs(pack)
    for images in (x, y):
        assert images.shape == (300, 3, pack.size, pack.size) and images.dtype == torch.float32
        assert images.min() >= -1 and images.max() <= 1
    assert (records is None) == (not pack.attributes)
    evaluate._questions.cache_clear()
    assert all(torch.equal(a, b) for a, b in zip((x, y), held_out_pairs(pack), strict=False))


def test_what_a_reader_does_to_the_hidden_pairs_stays_with_the_reader(pack):
    for tensor in held_out_pairs(pack):
        if tensor is not None:
            tensor.zero_()
    assert all(tensor.any() for tensor in held_out_pairs(pack) if tensor is not None)


def test_the_truth_is_perfect(pack, panels):
    result = panels[0]
    assert result["hidden-pair L1"] == 0
    assert result["SSIM"] == pytest.approx(1)
    assert result["PSNR"] > 100
    assert result["diversity"] == pytest.approx(1)
    assert abs(result["KID x1000"]) < abs(panels[1]["KID x1000"]) / 10
    if pack.attributes:
        assert result["content kept"] >= 0.98 and result["translated right"] >= 0.98
        assert result["domain reached"] >= 0.98
        assert result["information kept"] >= 0.95
        assert list(result["information by attribute"]) == list(pack.attributes)


def test_nothing_is_worth_nothing(pack, panels):
    result = panels[1]
    x, y, _ = held_out_pairs(pack)
    assert result["hidden-pair L1"] == pytest.approx((x - y).abs().mean().item())
    if pack.attributes:
        assert result["domain reached"] <= 0.02 and result["translated right"] <= 0.02


def test_one_picture_for_all_is_seen(pack, panels):
    result = panels[2]
    assert result["diversity"] == 0
    if pack.attributes:  # one true record for everyone: as good as guessing its values
        records = held_out_pairs(pack)[2]
        shares = (records == records[0]).float().mean(0)
        assert list(result["by attribute"].values()) == pytest.approx(shares.tolist(), abs=1e-6)
        assert result["content kept"] == pytest.approx(shares.mean().item(), abs=1e-6)
        assert set(result["information by attribute"].values()) == {0} == {
            result["information kept"]}  # guessing tells nothing


def test_the_same_numbers_for_every_method(pack, panels):
    expected = KEYS | (AVATAR_KEYS if pack.attributes else set())
    assert set(panels[1]) == expected and set(panels[0]) == expected | {"cycle L1"}
    x = held_out_pairs(pack)[0]
    assert panels[0]["cycle L1"] == pytest.approx(x.abs().mean().item())  # back to zeros


def test_information_is_that_of_the_confusion(monkeypatch):
    """Everybody drawn as the next person of the list, as whom the judge then reads them."""
    x, y, records = held_out_pairs(AVATARS)
    place = {image.numpy().tobytes(): k for k, image in enumerate(x)}

    def translate(batch):
        return y[[(place[image.numpy().tobytes()] + 1) % 300 for image in batch]]

    found = panel(translate, AVATARS)
    told = {name: metrics.cramers_v(confusion(translate, name, AVATARS)) for name in ATTRIBUTES}
    assert found["information by attribute"] == pytest.approx(told)
    assert found["information kept"] == pytest.approx(sum(told.values()) / len(told))
    assert found["information kept"] < 0.1  # the next person is somebody else
    exchanged = 3 - records[:, list(ATTRIBUTES).index("skin")]  # skin is renamed, and no more
    monkeypatch.setattr(evaluate, "read_attributes", lambda images, pack: torch.stack(
        [exchanged if name == "skin" else records[:, k] for k, name in enumerate(ATTRIBUTES)], 1))
    found = panel(lambda batch: batch, AVATARS)
    assert found["by attribute"]["skin"] == 0
    assert list(found["information by attribute"].values()) == pytest.approx([1] * len(ATTRIBUTES))


def test_without_a_judge_the_kid_is_that_of_style(pack, panels):
    if pack.judged is None:
        x, y, _ = held_out_pairs(pack)
        expected = 1000 * metrics.kid(style(x), style(y))
        assert panels[1]["KID x1000"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("attribute", ["hair", "glasses"])
def test_confusion_of_the_truth_is_diagonal_and_rows_are_counts(attribute):
    k = list(ATTRIBUTES).index(attribute)
    counts = avatars.records("held_out")[:, k].bincount()
    right = confusion(truth(AVATARS), attribute, AVATARS)
    assert right.shape == (ATTRIBUTES[attribute],) * 2
    assert right.diag().sum() >= 0.98 * 300
    y = held_out_pairs(AVATARS)[1]
    wrong = confusion(lambda batch: y[:1].expand(len(batch), -1, -1, -1), attribute, AVATARS)
    assert torch.equal(right.sum(1), counts) and torch.equal(wrong.sum(1), counts)
    value = avatars.records("held_out")[0, k]
    assert torch.equal(wrong[:, value], counts) and wrong.sum() == 300  # one column only


def test_chance_is_a_count():
    columns = zip(*avatars.records("held_out").tolist(), strict=True)
    by_hand = [max(c.count(v) for v in set(c)) / 300 for c in columns]
    assert list(evaluate.chance(AVATARS)) == list(ATTRIBUTES)
    assert list(evaluate.chance(AVATARS).values()) == pytest.approx(by_hand)


def test_wrong_shapes_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(300, 3, 32, 32\).*\(300, 3, 16, 32\)"):
        panel(lambda x: x[:, :, ::2], AVATARS)
    with pytest.raises(ValueError, match=r"\(300, 1, 32, 32\)"):
        panel(lambda x: x[:, :1], AVATARS)
    with pytest.raises(ValueError, match=r"\(200, 3, 32, 32\).*\(200, 3, 16, 32\)"):
        panel(lambda x, code: x[:, :, ::2], FACES)
    with pytest.raises(FileNotFoundError, match=r"avatars_48\.safetensors.*judges"):
        evaluate.load_judge(AVATARS.at(48))


def test_the_panel_keeps_no_graph_and_little_memory():
    seen = []

    def translate(batch):
        seen.append((len(batch), torch.is_grad_enabled()))
        return batch

    panel(translate, AVATARS)
    assert seen == [(100, False)] * 3


class InPlace(nn.Module):
    """A learner's method that writes into the images it is given."""

    def translate(self, x, *code):
        for tensor in code:
            tensor.zero_()
        return x.mul_(0.5)

    back = translate


@pytest.mark.parametrize("pack", [AVATARS, MONOCHROMES, FACES], ids=str)
def test_a_method_that_writes_into_its_input_spoils_no_later_table(pack):
    before = evaluate.do_nothing(pack)
    stored = [[None if t is None or isinstance(t, str) else t.clone() for t in question]
              for question in evaluate._questions(pack.questions, pack.size)]
    method = InPlace()
    panel(method.translate, pack, method.back)
    panel(lambda x, *code: x.mul_(0.5), pack, lambda y: y.mul_(0.5))  # by no method at all
    if pack.attributes and pack.code is None:
        confusion(method.translate, "hair", pack)
    assert evaluate.do_nothing(pack) == before
    for question, old in zip(evaluate._questions(pack.questions, pack.size), stored, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(question, old, strict=True)
                   if b is not None)


def test_sharpness_is_a_share_of_the_real_ones():
    class Same(nn.Module):
        translate = staticmethod(truth(AVATARS))

    assert evaluate.sharpness(Same(), AVATARS) == {"sharpness": 1}
    grey = nn.Module()
    grey.translate = torch.zeros_like
    assert evaluate.sharpness(grey, AVATARS) == {"sharpness": 0}


def test_what_became_of_the_content_by_hand():
    """Four values: .25 is guessing. Two values: .5 is."""
    pack = AVATARS._replace(attributes={"a": 4, "b": 2, "c": 2, "d": 2})
    found = evaluate.fates({"by attribute": {"a": 0.625, "b": 0.0, "c": 0.5, "d": 1.0},
                            "information by attribute": {"a": 0.75, "b": 0.9, "c": 0.0, "d": 0.98}},
                           pack)
    # a: half kept, a quarter told under other names. b: renamed. c: lost. d: kept.
    assert found == pytest.approx({"kept": 1.5 / 4, "permuted": 1.15 / 4, "lost": 1.35 / 4})
    truth = evaluate.panel(lambda x: evaluate.held_out_pairs(AVATARS)[1][: len(x)], AVATARS)
    assert sum(evaluate.fates(truth, AVATARS).values()) == pytest.approx(1)
