"""The digit sets on fixture files in their own formats, and the two measures by hand."""

import bz2
import sys

import numpy as np
import pytest
import torch
from torchvision.datasets import SVHN

from gantutor import digits
from gantutor.data import to_float
from gantutor.digits import (
    PUBLISHED,
    adaptation_accuracy,
    digit_sheet,
    label_kept,
    train_digit_classifier,
)

LABELS = [5, 0, 4, 1, 9, 2]
LEFT_BRIGHT = 200  # every fixture digit: left half bright, right half dark


def picture(side, k):
    """(side, side) uint8: left half LEFT_BRIGHT + k, right half 0, the lowest row 0."""
    image = np.zeros((side, side), np.uint8)
    image[:-1, : side // 2] = LEFT_BRIGHT + k
    return image


def idx(array):
    """LeCun's idx format: two zero bytes, type 8 (uint8), dimensions, big-endian sizes, data."""
    head = bytes([0, 0, 8, array.ndim])
    return head + b"".join(int(n).to_bytes(4, "big") for n in array.shape) + array.tobytes()


def make_mnist(folder):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, labels in (("train", LABELS), ("t10k", LABELS[:2])):
        images = np.stack([picture(28, k) for k in range(len(labels))])
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.array(labels, np.uint8)))
    return folder


def make_usps(folder):
    """libsvm lines "label 1:value ... 256:value", label 1 to 10, values -1 to 1, in bz2."""
    folder.mkdir(exist_ok=True)
    for name, labels in (("usps.bz2", LABELS), ("usps.t.bz2", LABELS[:3])):
        lines = []
        for k, label in enumerate(labels):
            values = picture(16, k).reshape(-1) / 255 * 2 - 1
            pairs = " ".join(f"{i}:{v:.6f}" for i, v in enumerate(values, 1))
            lines.append(f"{label + 1} {pairs} \n")
        (folder / name).write_bytes(bz2.compress("".join(lines).encode()))
    return folder


def make_svhn(folder, monkeypatch):
    """Matlab files with X (32, 32, 3, N) uint8 and y (N, 1), 10 for the digit 0; md5 waived."""
    savemat = pytest.importorskip("scipy.io").savemat
    folder.mkdir(exist_ok=True)
    for name, labels in (("train_32x32.mat", LABELS), ("test_32x32.mat", LABELS[:4])):
        x = np.zeros((32, 32, 3, len(labels)), np.uint8)
        for k in range(len(labels)):
            x[:, :, 0, k], x[:, :, 2, k] = picture(32, k), 255
        y = np.array([[label or 10] for label in labels], np.uint8)
        savemat(folder / name, {"X": x, "y": y})
    waived = {part: [url, name, None] for part, (url, name, _) in SVHN.split_list.items()}
    monkeypatch.setattr(SVHN, "split_list", waived)
    return folder


# -------------------------------------------------------------------- data


@pytest.mark.parametrize("name, tests", [("mnist", 2), ("usps", 3)])
def test_grey_sets_get_three_equal_channels(tmp_path, name, tests):
    {"mnist": make_mnist, "usps": make_usps}[name](tmp_path)
    images, labels = digit_sheet(name, "train", tmp_path)
    assert images.shape == (6, 3, 32, 32) and images.dtype == torch.uint8
    assert labels.tolist() == LABELS and labels.dtype == torch.int64
    assert (images[:, 0] == images[:, 1]).all() and (images[:, 0] == images[:, 2]).all()
    for k, image in enumerate(images[:, 0].float()):  # left bright, right dark: not transposed
        assert (image[:24, :12] - LEFT_BRIGHT - k).abs().max() <= 1 and image[:, 20:].max() == 0
        assert image[-1].max() < image[0].max()  # and not upside down
    images, labels = digit_sheet(name, "test", tmp_path)
    assert len(images) == tests and labels.tolist() == LABELS[:tests]


def test_scaling_is_bilinear_with_antialiasing(tmp_path):
    make_mnist(tmp_path)
    own = digit_sheet("mnist", "train", tmp_path, size=28)[0]
    assert torch.equal(own[0, 1], torch.from_numpy(picture(28, 0)))
    quarter = digit_sheet("mnist", "train", tmp_path, size=7)[0]
    assert quarter.shape == (6, 3, 7, 7)
    # A triangle 8 wide over the 14 bright columns: pixel 3 has its centre on the edge, half of it.
    assert abs(quarter[0, 0, 2, 3].item() - LEFT_BRIGHT / 2) <= 1
    # The lowest pixel's rows 22 to 27 weigh 1 3 5 7 7 5, and row 27 is dark.
    assert abs(quarter[0, 0, 6, 0].item() - LEFT_BRIGHT * 23 / 28) <= 1


def test_svhn_keeps_its_colours_and_its_label_10_is_0(tmp_path, monkeypatch):
    images, labels = digit_sheet("svhn", "train", make_svhn(tmp_path, monkeypatch))
    assert images.shape == (6, 3, 32, 32) and images.dtype == torch.uint8
    assert images.is_contiguous()
    assert labels.tolist() == LABELS and 0 in labels and labels.dtype == torch.int64
    for k, (red, green, blue) in enumerate(images):
        assert torch.equal(red, torch.from_numpy(picture(32, k)))
        assert green.max() == 0 and blue.min() == 255
    assert digit_sheet("svhn", "test", tmp_path, size=16)[0].shape == (4, 3, 16, 16)


def test_limit(tmp_path):
    make_usps(tmp_path)
    images, labels = digit_sheet("usps", "train", tmp_path, limit=4)
    assert images.shape == (4, 3, 32, 32) and labels.tolist() == LABELS[:4]
    assert len(digit_sheet("usps", "train", tmp_path, limit=100)[0]) == 6
    with pytest.raises(ValueError, match="limit=0; expected at least 1"):
        digit_sheet("usps", "train", tmp_path, limit=0)


def test_unpaired_batches_carry_no_labels(tmp_path):
    make_usps(make_mnist(tmp_path))
    batches = digits.digits("mnist", "usps", tmp_path, size=20, batch_size=4)
    assert set(batches.stacks) == {"x", "y"}
    batch = batches.next_batch()
    assert set(batch) == {"x", "y"}
    for images in batch.values():
        assert images.shape == (4, 3, 20, 20) and images.dtype == torch.float32
        assert images.min() == -1 and 0 < images.max() <= 1
    limited = digits.digits("mnist", "usps", tmp_path, batch_size=2, limit=3)
    assert [len(s) for s in limited.stacks.values()] == [3, 3]
    again = digits.digits("mnist", "usps", tmp_path, size=20, batch_size=4)
    assert torch.equal(again.next_batch()["y"], batch["y"])


# ------------------------------------------------------------------ errors


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match=r"name='emnist': expected one of \('mnist', 'usps', 's"):
        digit_sheet("emnist", "train", "nowhere")
    with pytest.raises(ValueError, match=r"split='extra': expected one of \('train', 'test'\)"):
        digit_sheet("svhn", "extra", "nowhere")


@pytest.mark.parametrize("name, file", [("mnist", "train-images-idx3-ubyte"),
                                        ("usps", "usps.bz2"), ("svhn", "train_32x32.mat")])
def test_a_set_that_is_not_there(tmp_path, name, file):
    if name == "svhn":
        pytest.importorskip("scipy")
    folder = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match=f"nowhere: no .*{file}.* of {name}; download=True"):
        digit_sheet(name, "train", folder)
    assert not folder.exists()


def test_damaged_files_are_named(tmp_path):
    make_usps(make_mnist(tmp_path))
    for name, file in (("mnist", "MNIST/raw/train-images-idx3-ubyte"), ("usps", "usps.bz2")):
        path = tmp_path / file
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ValueError, match=f"{name}'s files .*{path.name}.* are damaged"):
            digit_sheet(name, "train", tmp_path)


def test_svhn_that_is_not_the_original(tmp_path):
    pytest.importorskip("scipy")
    (tmp_path / "test_32x32.mat").write_bytes(b"<!DOCTYPE html>")  # the checksum is not waived
    with pytest.raises(ValueError, match="svhn's files .*test_32x32.mat.* are damaged or not the"):
        digit_sheet("svhn", "test", tmp_path)


def test_svhn_without_scipy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scipy"):
        digit_sheet("svhn", "train", tmp_path)


def test_download_is_handed_on_and_its_failure_is_told(tmp_path, monkeypatch):
    asked = []

    def no_network(self, folder, train, download):
        asked.append((train, download))
        raise RuntimeError("Error downloading train-images")

    monkeypatch.setattr("torchvision.datasets.MNIST.__init__", no_network)
    with pytest.raises(RuntimeError, match="^Error downloading"):
        digit_sheet("mnist", "train", tmp_path, download=True)
    assert asked == [(True, True)]


# ---------------------------------------------------------------- measures


def brightness_classifier(x):
    """Hand-made: reads digit d where the mean is nearest to -0.9 + 0.2 d."""
    return -(x.mean((1, 2, 3))[:, None] - (-0.9 + 0.2 * torch.arange(10))).abs()


def grey_digits(labels, size=(8, 6)):
    """uint8 images whose grey spells their label to `brightness_classifier`, H != W."""
    grey = ((torch.tensor(labels) * 0.2 - 0.9 + 1) * 127.5).round().to(torch.uint8)
    return grey.view(-1, 1, 1, 1).expand(-1, 3, *size).contiguous()


def test_label_kept_by_hand():
    labels = [0, 1, 2, 3, 3, 3, 8, 9]
    images, truth = grey_digits(labels), torch.tensor(labels)
    assert label_kept(lambda x: x, images, truth, brightness_classifier) == 1
    constant = label_kept(lambda x: torch.full_like(x, -0.3), images, truth, brightness_classifier)
    assert constant == 3 / 8                        # everything becomes a 3
    assert label_kept(lambda x: -x, images, truth, brightness_classifier) == 0  # d becomes 9 - d
    assert label_kept(lambda x: x, images, 9 - truth, brightness_classifier) == 0
    one_up = label_kept(lambda x: (x + 0.2).clamp(-1, 0.9), images, truth, brightness_classifier)
    assert one_up == 1 / 8                          # only the 9 has no next


def test_label_kept_counts_images_not_batches():
    labels = [1] * 100 + [2] * 50                   # batches of 100 and of 50
    kept = label_kept(lambda x: torch.full_like(x, -0.5), grey_digits(labels),
                      torch.tensor(labels), brightness_classifier)
    assert kept == pytest.approx(1 / 3)


def bars(count, seed, inverted=False):
    """A toy set with H = W = 16: the label's place of ten gets a bright 5 x 3 bar, plus noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = rng.integers(0, 40, (count, 3, 16, 16))
    for image, label in zip(images, labels, strict=True):
        top, left = divmod(int(label), 5)
        image[:, 8 * top + 1: 8 * top + 6, 3 * left: 3 * left + 3] += 200
    images = 255 - images if inverted else images
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)


def test_classifier_learns_is_frozen_and_repeats():
    images, labels = bars(400, 0)
    before = torch.get_rng_state()
    net = train_digit_classifier(images, labels, steps=60, progress=False)
    assert torch.equal(before, torch.get_rng_state())
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    unseen, truth = bars(200, 1)
    logits = net(to_float(unseen))
    assert logits.shape == (200, 10)
    assert (logits.argmax(1) == truth).float().mean() > 0.95
    assert label_kept(lambda x: x, unseen, truth, net) > 0.95
    with torch.no_grad():                           # trains there as well, and to the same weights
        again = train_digit_classifier(images, labels, steps=60, progress=False)
    other = train_digit_classifier(images, labels, steps=1, seed=1, progress=False)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True))
    assert not torch.equal(net[0].weight, other[0].weight)


@pytest.mark.parametrize("size", [(32, 32), (28, 36)])
def test_classifier_takes_other_sizes(size):
    net = train_digit_classifier(grey_digits([1, 2, 3], size), torch.tensor([1, 2, 3]), steps=1,
                                 progress=False)
    assert net(torch.zeros(2, 3, *size)).shape == (2, 10)


def test_classifier_shows_its_progress(capsys):
    train_digit_classifier(*bars(64, 0), steps=2)
    assert "classifier" in capsys.readouterr().err
    train_digit_classifier(*bars(64, 0), steps=2, progress=False)
    assert capsys.readouterr().err == ""


def test_adaptation_accuracy_needs_the_right_translation():
    x, y = bars(400, 0), bars(200, 1, inverted=True)

    def accuracy(translate):
        return adaptation_accuracy(translate, *x, *y, steps=60, progress=False)

    assert accuracy(lambda images: -images) > 0.95
    assert accuracy(None) < 0.5                     # source only
    assert accuracy(lambda images: images.flip(3).neg()) < 0.4  # looks right, labels permuted
    assert torch.equal(x[0], bars(400, 0)[0])       # and the images given are left as they were


@pytest.mark.parametrize("images, labels, message", [
    (torch.zeros(2, 3, 8, 8), torch.zeros(2).long(), "expected uint8 of shape"),
    (torch.zeros(2, 1, 8, 8).byte(), torch.zeros(2).long(), r"found torch.uint8 of shape \(2, 1"),
    (torch.zeros(2, 3, 8, 8).byte(), torch.zeros(3).long(), r"shape \(3,\) for 2 images"),
    (torch.zeros(0, 3, 8, 8).byte(), torch.zeros(0).long(), "at least one"),
    (torch.zeros(2, 3, 8, 8).byte(), torch.tensor([0, 10]), r"in 0\.\.10, expected int64 in 0"),
    (torch.zeros(2, 3, 8, 8).byte(), torch.zeros(2), "torch.float32 in"),
])
def test_wrong_stacks_are_refused(images, labels, message):
    good = grey_digits([1, 2]), torch.tensor([1, 2])
    with pytest.raises(ValueError, match=message):
        train_digit_classifier(images, labels, steps=1, progress=False)
    with pytest.raises(ValueError, match=message):
        label_kept(lambda x: x, images, labels, brightness_classifier)
    with pytest.raises(ValueError, match=message):
        adaptation_accuracy(None, *good, images, labels, steps=1, progress=False)


def test_published_rows_name_sets_measures_sources_and_doubts():
    assert len(PUBLISHED) == 5 * 3 - 1 + 4 + 1
    for row in PUBLISHED:
        assert {row["x"], row["y"]} <= set(digits.DIGITS) and hasattr(digits, row["measure"])
        assert row["source"] and row["status"] in ("second-hand", "from memory, unverified")
        assert (row["status"] == "second-hand") == (row["measure"] == "adaptation_accuracy")
    unit = [r for r in PUBLISHED if r["method"].startswith("UNIT")]
    assert [(r["x"], r["y"], r["percent"]) for r in unit] == [
        ("mnist", "usps", "96.0"), ("usps", "mnist", "93.6"), ("svhn", "mnist", "90.5")]
    assert not [r for r in PUBLISHED if r["method"].startswith("CoGAN") and r["x"] == "svhn"]
