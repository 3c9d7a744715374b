"""Own folders: what is read, skipped and refused, and the batches that come out."""

import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from makers import NOISE, save
from PIL import Image

from gantutor.data import images
from gantutor.data.folders import EXTENSIONS, load_folder, load_two_folders, unpaired


@pytest.fixture
def two(tmp_path):
    for name, count, value in (("x", 3, 10), ("y", 4, 200)):
        (tmp_path / name).mkdir()
        for i in range(count):
            save(tmp_path / name / f"{i}.png", np.full((9, 12, 3), value + i, np.uint8))
    return tmp_path / "x", tmp_path / "y"


# ------------------------------------------------------------------ one folder


def test_folder_order_and_extensions(tmp_path):
    (tmp_path / "b").mkdir()
    names = [f"a{i}{e.upper() if i % 2 else e}" for i, e in enumerate(EXTENSIONS)]
    names += ["b/a.JPG", "c.Png"]
    for i, name in enumerate(reversed(names)):  # written in the other order
        save(tmp_path / name, np.full((9, 11, 3), 10 * i, np.uint8), format="PNG")
    images = load_folder(tmp_path, 8)
    assert images.shape == (20, 3, 8, 8) and images.dtype == torch.uint8
    means = images.float().mean((1, 2, 3)).round().int().tolist()
    assert [10 * i for i in range(20)] == sorted(means)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert means == [10 * names[::-1].index(path.relative_to(tmp_path).as_posix())
                     for path in files]
    assert torch.equal(load_folder(tmp_path, 8, limit=4), images[:4])
    assert torch.equal(load_folder(str(tmp_path), 8, limit=400), images)


def test_square_crop_keeps_the_centre(tmp_path):
    save(tmp_path / "wide.png", NOISE)
    save(tmp_path / "x_tall.png", NOISE.swapaxes(0, 1))
    odd = NOISE[:, :43]
    save(tmp_path / "y_odd.png", odd)  # no half pixels: nothing may blur
    found = load_folder(tmp_path, 40).numpy()
    assert (found[0] == NOISE[:, 8:48].transpose(2, 0, 1)).all()
    assert (found[1] == NOISE[:, 8:48].transpose(2, 1, 0)).all()
    assert (found[2] == odd[:, 1:41].transpose(2, 0, 1)).all()


def test_resize_is_antialiased(tmp_path):
    """Stripes of one pixel become their mean; nearest or plain bilinear would keep stripes."""
    stripes = np.zeros((64, 80, 3), np.uint8)
    stripes[:, ::2] = 200
    save(tmp_path / "a.png", stripes)
    assert (load_folder(tmp_path, 16).int() - 100).abs().max() <= 3
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = 255
    save(tmp_path / "a.png", halves)
    image = load_folder(tmp_path, 16)[0]
    assert (image[:, :6] >= 250).all() and (image[:, 10:] <= 5).all()


def test_large_picture_is_reduced_correctly(tmp_path):
    """A ramp of 1024 to 16 px: each pixel is the mean of the 64 columns it stands for."""
    ramp = np.repeat(np.arange(1024)[None] / 1023 * 255, 1024, 0).round().astype(np.uint8)
    save(tmp_path / "a.png", ramp)
    expected = ramp[0].reshape(16, 64).mean(1)
    found = load_folder(tmp_path, 16)[0].numpy()
    assert np.abs(found - expected)[..., 1:-1].max() <= 1.5


def test_small_is_enlarged_tiny_is_refused(tmp_path):
    save(tmp_path / "a.png", np.full((8, 9, 3), 77, np.uint8))
    assert (load_folder(tmp_path, 32) == 77).all()
    save(tmp_path / "b.png", np.zeros((1, 1, 3), np.uint8))
    save(tmp_path / "c.png", np.zeros((7, 90, 3), np.uint8))
    with pytest.raises(ValueError, match=r"2 of 3 (.|\n)*b.png: \(1, 1\)(.|\n)*c.png: \(90, 7\)"):
        load_folder(tmp_path, 32)
    assert load_folder(tmp_path, 32, min_side=1).shape == (3, 3, 32, 32)


def test_hidden_and_system_names_are_skipped(tmp_path):
    folder = tmp_path / ".cache" / "@eaDir"  # only what lies below the folder is skipped
    folder.mkdir(parents=True)
    save(folder / "a.png", NOISE)
    for name in ("Thumbs.db", "THUMBS.DB", "ehthumbs.db", ".DS_Store", "Desktop.ini", "._a.png"):
        (folder / name).write_text("of the system")
    below = (".ipynb_checkpoints", "__MACOSX", "@eaDir", "#recycle", ".Trash-1000", ".Trashes",
             "$RECYCLE.BIN", "System Volume Information", "lost+found", "@Recycle",
             ".@__thumb", "sub/@eaDir/a.png")
    for name in below:
        (folder / name).mkdir(parents=True)
        save(folder / name / "a.png", NOISE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_folder(folder, 8)) == 1
        (folder / "sub" / "Trash").mkdir()  # not a system's name: perhaps what the reader paints
        save(folder / "sub" / "Trash" / "a.png", NOISE)
        assert len(load_folder(folder, 8)) == 2
    only = tmp_path / "only"
    (only / "#recycle").mkdir(parents=True)
    save(only / "#recycle" / "a.png", NOISE)
    with pytest.raises(ValueError, match="not hidden and not in a system folder"):
        load_folder(only, 8)


def test_other_files_are_counted_in_one_warning(tmp_path):
    save(tmp_path / "a.png", NOISE)
    for name in ("e.csv", "b.txt", "d.cr2", "c"):
        (tmp_path / name).write_text("x")
    with pytest.warns(UserWarning) as caught:
        load_folder(tmp_path, 8)
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert str(tmp_path) in text and "4 other files" in text and "e.csv" not in text
    assert "'b.txt', 'c', 'd.cr2'" in text


def test_remarks_on_files_are_summed_up_in_one_warning(tmp_path):
    save(tmp_path / "a.png", NOISE)
    save(tmp_path / "b.png", np.array([[0, 4095] * 8] * 8, np.uint16))
    pages = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    for k in range(9):
        pages[0].save(tmp_path / f"c{k}.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(UserWarning) as caught:
        images = load_folder(tmp_path, 8)
    assert len(images) == 11 and len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert f"{tmp_path}: 10 remarks; the first 5:" in text
    assert f"{tmp_path / 'b.png'}: 16 bits per sample" in text
    assert f"{tmp_path / 'c0.tif'}: 2 pages" in text and "c3.tif" in text and "c4.tif" not in text


def test_heic_that_cannot_be_read_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(images, "_formats", images._formats.__wrapped__)
    save(tmp_path / "a.png", NOISE)
    (tmp_path / "IMG_7.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ValueError, match=r"IMG_7\.HEIC: .*pip install pillow-heif.*convert"):
        load_folder(tmp_path, 8)


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "real").mkdir()
    save(tmp_path / "real" / "a.png", NOISE)
    try:
        (tmp_path / "x" / "link").symlink_to(tmp_path / "real")
        (tmp_path / "x" / "circle").symlink_to(tmp_path / "x")
    except OSError:
        pytest.skip("no links on this system")
    assert len(load_folder(tmp_path / "x", 8)) == 1
    (tmp_path / "x" / "lost.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"lost\.png: no such file, a link to .*gone\.png"):
        load_folder(tmp_path / "x", 8)


def test_folder_errors(tmp_path):
    missing, file, empty = tmp_path / "missing", tmp_path / "a.png", tmp_path / "empty"
    save(file, NOISE)
    empty.mkdir()
    for folder, kind in ((missing, FileNotFoundError), (file, NotADirectoryError),
                         (empty, ValueError)):
        with pytest.raises(kind) as caught:
            load_folder(folder, 8)
        text = str(caught.value)
        assert str(folder) in text and all(e in text for e in EXTENSIONS), text
    (empty / "a.cr2").touch()
    with pytest.raises(ValueError, match=r"no images, 1 other files \['a.cr2'\]"):
        load_folder(empty, 8)
    for arguments in ({"size": 0}, {"size": 8, "limit": 0}, {"size": 8, "limit": -1}):
        with pytest.raises(ValueError, match="at least 1"):
            load_folder(tmp_path, **arguments)


def test_a_folder_may_be_called_a_png(tmp_path):
    (tmp_path / "a.png").mkdir()
    save(tmp_path / "a.png" / "b.png", NOISE)
    assert len(load_folder(tmp_path, 8)) == 1


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    save(tmp_path / "a.png", NOISE)
    (tmp_path / "closed").mkdir()
    listed = Path.iterdir

    def iterdir(path):  # the tests may run as root, who may list every folder
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(PermissionError, match="closed"):
        load_folder(tmp_path, 8)


def test_home_is_expanded(two, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(two[0].parent))
    assert len(load_folder("~/x", 8)) == 3
    assert unpaired("~/x", "~/y", 8, 2).next_batch()["y"].shape == (2, 3, 8, 8)
    with pytest.raises(ValueError, match="same file"):
        load_two_folders("~/x", two[0], 8, 2)


def test_all_bad_files_are_found_before_failing(tmp_path):
    for i in range(30):
        save(tmp_path / f"{i:02}.png", NOISE[:8, :9])
    whole = (tmp_path / "00.png").read_bytes()
    (tmp_path / "17.png").write_bytes(whole[:100])
    with pytest.raises(ValueError, match="1 of 30") as caught:
        load_folder(tmp_path, 8)
    assert str(tmp_path / "17.png") in str(caught.value)
    for i in range(20, 26):
        (tmp_path / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="7 of 30") as caught:
        load_folder(tmp_path, 8)
    named = re.findall(r"(\d\d)\.png:", str(caught.value))
    assert named == ["17", "20", "21", "22", "23"]


# ------------------------------------------------------------------ two folders


def test_two_folders(two):
    x, y = load_two_folders(*two, size=16, batch_size=3)
    assert x.shape == (3, 3, 16, 16) and y.shape == (4, 3, 16, 16)
    assert x.dtype == y.dtype == torch.uint8
    assert x[:, 0, 0, 0].tolist() == [10, 11, 12]
    assert y[:, 2, 15, 7].tolist() == [200, 201, 202, 203]


def test_too_few_for_a_batch(two):
    with pytest.raises(ValueError, match=re.escape(f"{two[0]}: 3 images") + ".*batch_size=4"):
        load_two_folders(*two, size=16, batch_size=4)
    with pytest.raises(ValueError, match=re.escape(f"{two[0]}: 3 images")):
        load_two_folders(two[1], two[0], size=16, batch_size=4)


def test_same_or_nested_folders(two, monkeypatch):
    x, y = two
    monkeypatch.chdir(x.parent)
    for a, b in ((x, x), (x, "x"), (x, y / ".." / "x"), (x.parent, y), (y, x.parent)):
        with pytest.raises(ValueError, match="same folder, or one inside") as caught:
            load_two_folders(a, b, size=16, batch_size=2)
        assert str(x.parent) in str(caught.value)
    monkeypatch.chdir(x)
    with pytest.raises(ValueError, match="same folder, or one inside"):
        load_two_folders(".", x.parent, size=16, batch_size=2)


@pytest.mark.parametrize("link", ["file", "folder", "hard", "chain", "whole", "above"])
def test_a_link_from_one_folder_into_the_other_is_refused(two, link):
    x, y = two
    try:
        if link == "file":
            (x / "link.png").symlink_to(y / "1.png")
        elif link == "folder":
            (x / "link").symlink_to(y)
        elif link == "hard":
            os.link(y / "1.png", x / "link.png")
        elif link == "chain":  # both lead to a third place
            (y / "1.png").rename(x.parent / "z.png")
            (y / "1.png").symlink_to(x.parent / "z.png")
            (x / "link.png").symlink_to(y / "1.png")
        elif link == "whole":
            x = x.parent / "link"
            x.symlink_to(y)
        else:
            (x / "link").symlink_to(x.parent)
    except OSError:
        pytest.skip("no links on this system")
    for pair in ((x, y), (y, x)):
        with pytest.raises(ValueError, match="are the same file") as caught:
            load_two_folders(*pair, size=16, batch_size=2)
        text = str(caught.value)
        assert f"{x}/" in text.replace(os.sep, "/") and f"{y}/" in text.replace(os.sep, "/"), text
    assert "link" in text


def test_equal_names_and_links_to_elsewhere_are_no_leak(two, tmp_path):
    x, y = two
    (tmp_path / "z").mkdir()
    save(tmp_path / "z" / "0.png", NOISE)
    try:
        (x / "link").symlink_to(tmp_path / "z")
    except OSError:
        pytest.skip("no links on this system")
    assert [len(stack) for stack in load_two_folders(x, y, 8, 2)] == [4, 4]


def test_two_folders_name_the_missing_one(two):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_two_folders(two[0], two[1] / "nowhere", size=16, batch_size=2)


def test_unpaired_batches(two):
    batches = unpaired(*two, size=16, batch_size=2, seed=1)
    batch = batches.next_batch()
    assert set(batch) == {"x", "y"} and batches.flip
    for stack in batch.values():
        assert stack.shape == (2, 3, 16, 16) and stack.dtype == torch.float32
    assert batch["x"].max() < -0.9 and batch["y"].min() > 0.5  # 10 to 12 and 200 to 203
    again = unpaired(*two, size=16, batch_size=2, seed=1).next_batch()
    assert torch.equal(batch["x"], again["x"]) and torch.equal(batch["y"], again["y"])
    one, other = (unpaired(*two, size=16, batch_size=3, seed=seed) for seed in (1, 2))
    assert any(not torch.equal(one.next_batch()["x"], other.next_batch()["x"]) for _ in range(5))
    with pytest.raises(ValueError, match="expected at least batch_size=4"):
        unpaired(*two, batch_size=4)


def test_flip_mirrors_half_of_the_images_and_can_be_switched_off(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        for i in range(20):
            half = np.zeros((8, 8, 3), np.uint8)
            half[:, :4] = 255
            save(tmp_path / name / f"{i}.png", half)
    for flip, low, high in ((True, 2, 18), (False, 0, 0)):
        batches = unpaired(tmp_path / "x", tmp_path / "y", 8, 20, flip=flip)
        for stack in batches.next_batch().values():
            assert low <= (stack[:, 0, 0, 0] < 0).sum() <= high
    assert unpaired(tmp_path / "x", tmp_path / "y", 8).batch_size == 8
