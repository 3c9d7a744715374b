"""CelebA and RaFD, MNIST, USPS and SVHN, on fixture files in their own formats."""

import sys

import pytest
import torch
from makers import (
    LABELS,
    LEFT_BRIGHT,
    ROWS,
    make_celeba,
    make_mnist,
    make_rafd,
    make_svhn,
    make_usps,
    picture,
)

from gantutor.data import Labelled, real_sets
from gantutor.data.faces import code_vector
from gantutor.data.real_sets import (
    LazyImages,
    celeba,
    centre_square,
    digit_sheet,
    digits,
    face_square,
    rafd,
)

# ------------------------------------------------------------------ faces


def test_celeba_through_torchvisions_loader(tmp_path, monkeypatch):
    images, labels = celeba(make_celeba(tmp_path, ROWS, monkeypatch), size=32)
    assert labels.tolist() == [list(map(float, r[1])) for r in ROWS if r[2] == 0]
    assert len(images) == 3 and [p.name for p in images.paths][-1] == "000004.jpg"
    stack = images[torch.tensor([2, 0])]
    assert stack.shape == (2, 3, 32, 32) and stack.dtype == torch.uint8
    assert stack[0].float().mean().item() == pytest.approx(60, abs=1)  # and no white border
    assert celeba(tmp_path, 32, split="test")[1].tolist() == [[0, 0, 1, 0, 0], [1, 0, 0, 0, 1]]


def test_celeba_that_is_not_there_or_not_the_original_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"celeba: .*expected img_align_celeba/"):
        celeba(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="unchanged, list_attr_celeba.txt"):
        celeba(make_celeba(tmp_path, ROWS))  # the checksums are not the originals'


def test_rafd_by_file_name(tmp_path):
    images, labels = rafd(make_rafd(tmp_path / "rafd"), size=24)
    assert len(images) == len(labels) == 11 and (labels.sum(1) == 1).all()  # 180 degrees left out
    for path, label in zip(images.paths, labels, strict=True):
        assert real_sets.RAFD[label.argmax()] in path.name and "Rafd180" not in path.name
    assert images[torch.arange(2)].shape == (2, 3, 24, 24)


def test_rafds_mistakes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        rafd(tmp_path / "nowhere")
    folder = make_rafd(tmp_path / "rafd")
    with pytest.raises(ValueError, match=r"no photograph of the angles \('000',\)"):
        rafd(folder, angles=("000",))
    (folder / "Rafd090_01_Caucasian_female_bored_frontal.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="bored_frontal.jpg: expected a name like"):
        rafd(folder)


def test_rafd_skips_what_systems_leave_behind(tmp_path):
    folder = make_rafd(tmp_path / "rafd")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._Rafd090.jpg"):
        (folder / name).write_bytes(b"")
    for name in ("@eaDir", "__MACOSX", ".Trash-0"):
        (folder / name).mkdir()
    assert len(rafd(folder)[0]) == 11


def test_home_is_expanded(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    make_rafd(tmp_path / "rafd")
    images, _ = rafd("~/rafd", 8)
    assert images[torch.arange(2)].shape == (2, 3, 8, 8)
    make_celeba(tmp_path, ROWS, monkeypatch)
    images, _ = celeba("~", 8)
    assert images[torch.arange(2)].shape == (2, 3, 8, 8)
    make_usps(make_mnist(tmp_path / "digits"))
    assert len(digit_sheet("mnist", "test", "~/digits")[0]) == 2
    assert set(digits("mnist", "usps", "~/digits", batch_size=2).next_batch()) == {"x", "y"}
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        rafd("~/nowhere")


def test_a_name_that_is_no_text_has_a_digest():
    assert LazyImages(["a\udcff.jpg"], centre_square(8), 8).digest()
    assert LazyImages(["ü.jpg"], centre_square(8), 8).digest() != LazyImages(
        ["u.jpg"], centre_square(8), 8).digest()


def test_squares():
    assert centre_square(178)(178, 218) == (0, 20, 178)
    assert centre_square(178)(100, 218) == (0, 59, 100)
    left, top, side = face_square(681, 1024)
    assert (left, side) == (0, 681) and 0 < top < (1024 - 681) / 2
    assert face_square(256, 256) == (0, 0, 256)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad.jpg"):
        LazyImages([tmp_path / "bad.jpg"], centre_square(8), 8)[torch.tensor([0])]


def test_both_make_one_batch(tmp_path, monkeypatch):
    pair = (celeba(make_celeba(tmp_path, ROWS, monkeypatch), 16),
            rafd(make_rafd(tmp_path / "rafd"), 16))
    sets = [(images, code_vector(labels, k, real_sets.BLOCKS))
            for k, (images, labels) in enumerate(pair)]
    batch = Labelled(sets, 4, flip=True).next_batch()
    assert batch["x"].shape == (4, 3, 16, 16) and batch["code"].shape == (4, 15)
    assert batch["code"][:, -2:].tolist() == [[1, 0]] * 2 + [[0, 1]] * 2


# ------------------------------------------------------------------ digits


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
    batches = digits("mnist", "usps", tmp_path, size=20, batch_size=4)
    assert set(batches.stacks) == {"x", "y"}
    batch = batches.next_batch()
    assert set(batch) == {"x", "y"}
    for images in batch.values():
        assert images.shape == (4, 3, 20, 20) and images.dtype == torch.float32
        assert images.min() == -1 and 0 < images.max() <= 1
    limited = digits("mnist", "usps", tmp_path, batch_size=2, limit=3)
    assert [len(s) for s in limited.stacks.values()] == [3, 3]
    again = digits("mnist", "usps", tmp_path, size=20, batch_size=4)
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
