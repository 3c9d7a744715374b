"""The panel on translations whose worth is known: the truth, nothing at all, one picture for all.

The fixed classifiers are shipped files; these tests also tell when they and the code disagree.
"""

import pytest
import torch

from gantutor import data, evaluate
from gantutor.evaluate import AVATAR_SIZES, confusion, held_out_pairs, panel

PACKS = [("landscapes", 64), ("avatars", 32), ("avatars", 64)]
KEYS = {"hidden-pair L1", "PSNR", "SSIM", "domain reached", "KID x1000", "diversity"}
AVATAR_KEYS = {"translated right", "content kept", "by attribute"}


def truth(pack, size):
    """translate = looking the true counterpart up."""
    x, y, _ = held_out_pairs(pack, size)
    table = {image.numpy().tobytes(): k for k, image in enumerate(x)}
    return lambda batch: y[[table[image.numpy().tobytes()] for image in batch]]


@pytest.fixture(scope="module", params=PACKS, ids=lambda p: f"{p[0]}-{p[1]}")
def pack(request):
    return request.param


@pytest.fixture(scope="module")
def panels(pack):
    """The panels of the truth (with a way back), of nothing and of one picture."""
    _, y, _ = held_out_pairs(*pack)
    return (panel(truth(*pack), *pack, back=lambda fake: torch.zeros_like(fake)),
            evaluate.do_nothing(*pack),
            panel(lambda batch: y[:1].expand(len(batch), -1, -1, -1), *pack))


def test_hidden_pairs(pack):
    x, y, records = held_out_pairs(*pack)
    for images in (x, y):
        assert images.shape == (300, 3, pack[1], pack[1]) and images.dtype == torch.float32
        assert images.min() >= -1 and images.max() <= 1
    assert (records is None) == (pack[0] == "landscapes")
    again = [t.clone() for t in (x, y)]
    held_out_pairs.cache_clear()
    assert all(torch.equal(a, b) for a, b in zip(again, held_out_pairs(*pack), strict=False))


def test_the_truth_is_perfect(pack, panels):
    result = panels[0]
    assert result["hidden-pair L1"] == 0
    assert result["SSIM"] == pytest.approx(1)
    assert result["PSNR"] > 100
    assert result["diversity"] == pytest.approx(1)
    assert abs(result["KID x1000"]) < abs(panels[1]["KID x1000"]) / 10
    if pack[0] == "avatars":
        assert result["content kept"] >= 0.98 and result["translated right"] >= 0.98
        assert result["domain reached"] >= 0.98


def test_nothing_is_worth_nothing(pack, panels):
    result = panels[1]
    x, y, _ = held_out_pairs(*pack)
    assert result["hidden-pair L1"] == pytest.approx((x - y).abs().mean().item())
    assert result["domain reached"] <= 0.02
    if pack[0] == "avatars":
        assert result["translated right"] <= 0.02


def test_one_picture_for_all_is_seen(pack, panels):
    result = panels[2]
    assert result["diversity"] == 0
    if pack[0] == "avatars":  # one true record for everyone: as good as guessing its values
        records = held_out_pairs(*pack)[2]
        shares = (records == records[0]).float().mean(0)
        assert list(result["by attribute"].values()) == pytest.approx(shares.tolist(), abs=1e-6)
        assert result["content kept"] == pytest.approx(shares.mean().item(), abs=1e-6)


def test_the_same_numbers_for_every_method(pack, panels):
    expected = KEYS | (AVATAR_KEYS if pack[0] == "avatars" else set())
    assert set(panels[1]) == expected and set(panels[0]) == expected | {"cycle L1"}
    x = held_out_pairs(*pack)[0]
    assert panels[0]["cycle L1"] == pytest.approx(x.abs().mean().item())  # back to zeros


@pytest.mark.parametrize("size", [32, 64])
def test_the_judge_reads_every_avatar_attribute(size):
    accuracy = evaluate.judge_accuracy("avatars", size)
    assert list(accuracy) == ["domain", *data.ATTRIBUTES]
    assert min(accuracy.values()) >= 0.98, accuracy


def test_the_judge_tells_photographs_from_retro():
    accuracy = evaluate.judge_accuracy("landscapes", 64)
    assert set(accuracy) == {"domain"} and accuracy["domain"] >= 0.9


def test_the_judges_are_fixed():
    judge = evaluate.load_judge("avatars", 32)
    assert judge is evaluate.load_judge("avatars", 32)
    assert not judge.training and not any(p.requires_grad for p in judge.parameters())


@pytest.mark.parametrize("attribute", ["hair", "glasses"])
def test_confusion_of_the_truth_is_diagonal_and_rows_are_counts(attribute):
    k = data.ATTRIBUTES.index(attribute)
    counts = data.avatar_records("held_out")[:, k].bincount()
    right = confusion(truth("avatars", 32), attribute)
    assert right.shape == (AVATAR_SIZES[k],) * 2
    assert right.diag().sum() >= 0.98 * 300
    y = held_out_pairs("avatars", 32)[1]
    wrong = confusion(lambda batch: y[:1].expand(len(batch), -1, -1, -1), attribute)
    assert torch.equal(right.sum(1), counts) and torch.equal(wrong.sum(1), counts)
    value = data.avatar_records("held_out")[0, k]
    assert torch.equal(wrong[:, value], counts) and wrong.sum() == 300  # one column only


def test_chance_is_a_count():
    columns = zip(*data.avatar_records("held_out").tolist(), strict=True)
    by_hand = [max(c.count(v) for v in set(c)) / 300 for c in columns]
    assert list(evaluate.chance()) == list(data.ATTRIBUTES)
    assert list(evaluate.chance().values()) == pytest.approx(by_hand)


def test_wrong_shapes_and_packs_are_refused():
    with pytest.raises(ValueError, match=r"\(300, 3, 32, 32\).*\(300, 3, 16, 32\)"):
        panel(lambda x: x[:, :, ::2], "avatars", 32)
    with pytest.raises(ValueError, match=r"\(300, 1, 32, 32\)"):
        panel(lambda x: x[:, :1], "avatars", 32)
    with pytest.raises(ValueError, match="'faces'.*landscapes.*avatars"):
        evaluate.do_nothing("faces", 32)
    with pytest.raises(FileNotFoundError, match=r"landscapes_48\.safetensors.*judges"):
        evaluate.load_judge("landscapes", 48)


def test_the_panel_keeps_no_graph_and_little_memory():
    seen = []

    def translate(batch):
        seen.append((len(batch), torch.is_grad_enabled()))
        return batch

    panel(translate, "avatars", 32)
    assert seen == [(100, False)] * 3


@pytest.mark.parametrize("name", ["avatars", "landscapes"])
def test_the_ceiling_trains_on_true_pairs(name):
    pack = evaluate.paired_training_set(name, 32, batch_size=50)
    unpaired = data.avatars(32) if name == "avatars" else data.landscapes(32)
    assert torch.equal(pack.stacks["x"], unpaired.stacks["x"])
    batch = pack.next_batch()
    if name == "avatars":
        read = evaluate.read_attributes(batch["y"], 32)
        stacked = data.to_uint8(batch["x"])
        where = [(pack.stacks["x"] == image).flatten(1).all(1).nonzero()[0, 0].item()
                 for image in stacked]
        records = data.avatar_records("train_x")[where]
        assert (read == records).float().mean() >= 0.98
    else:  # y is x's own retro version, up to its grain: mean |N(0, 0.02^2)| = 0.016
        clean = data.retro(batch["x"], torch.Generator().manual_seed(0))
        assert (batch["y"] - clean).abs().mean((1, 2, 3)).max() < 0.03
    seen = [tuple(image.flatten()[:60].tolist()) for _ in range(len(pack.stacks["x"]) // 50 - 1)
            for image in pack.next_batch()["x"]]
    assert len(seen) + 50 == len(pack.stacks["x"])


def test_supervised_is_L1_on_the_pairs():
    method = evaluate.Supervised(torch.nn.Conv2d(3, 3, 1))
    batch = {name: torch.rand(2, 3, 4, 6) for name in "xy"}
    total, parts = method.generator_loss(batch)
    expected = (method.G_xy(batch["x"]) - batch["y"]).abs().sum() / batch["y"].numel()
    assert total.item() == pytest.approx(expected.item())
    assert set(parts) == {"L1"} and not parts["L1"].requires_grad
    assert method.players() == ([method.G_xy], [])
    assert torch.equal(method.translate(batch["x"]), method.G_xy(batch["x"]))
