"""Data sets by name: what the table says, and what is laid out, from small stand-ins."""

import gzip
import hashlib
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from makers import ROWS, make_celeba, make_mnist, make_rafd, make_usps
from PIL import Image
from torchvision.datasets import MNIST, SVHN, USPS

from gantutor.data import catalogue, real_sets
from gantutor.data.catalogue import ARCHIVES, SETS, build, data_set
from gantutor.data.downloads import Remote

pytest.importorskip("pooch")


def picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 12, 3), value, np.uint8)).save(path)
    return path


def archive(folder, top="horse2zebra", parts=("trainA", "trainB", "testA")):
    """A small zip laid out as the CycleGAN sets are."""
    path = folder / "mine.zip"
    with zipfile.ZipFile(path, "w") as file:
        for k, part in enumerate(parts):
            name = f"{top}/{part}/{k}.jpg".lstrip("/")
            file.write(picture(folder / "made" / f"{k}.jpg", 50 * k), name)
    return path


def standing_in(monkeypatch, name, files):
    """The set `name` with other files; returns it."""
    small = replace(SETS[name], files=tuple(files))
    monkeypatch.setitem(SETS, name, small)
    return small


def stated(path, name, *urls):
    data = path.read_bytes()
    return Remote(name, urls, len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")


# ------------------------------------------------------------------ the table


def test_every_file_has_addresses_and_a_checksum_or_the_reason_there_is_none():
    assert len(ARCHIVES) == 10 and {"mnist", "usps", "svhn", "celeba", "rafd"} < set(SETS)
    for name, wanted in SETS.items():
        assert wanted.name == name and wanted.what and wanted.elsewhere and wanted.use
        assert "{folder}" in wanted.use
        for file in wanted.files:
            assert file.urls and all(re.match(r"https?://\S+$", url) for url in file.urls)
            assert all(url.endswith(file.name.rpartition("/")[2]) for url in file.urls)
            lengths = {"sha256": 64, "md5": 32}
            kind, digest = file.digest.split(":")
            assert re.fullmatch(f"[0-9a-f]{{{lengths[kind]}}}", digest)
            assert file.unchecked == ""
    assert len({file.digest for wanted in SETS.values() for file in wanted.files}) == 18
    assert SETS["horse2zebra"].length == 116_867_962


def test_names_and_checksums_agree_with_torchvision():
    """An independent table: torchvision's own, md5 there."""
    assert [f"{name}" for name, _ in MNIST.resources] == [
        file.name.rpartition("/")[2] for file in SETS["mnist"].files]
    for file, (url, name, md5) in zip(SETS["usps"].files, USPS.split_list.values(), strict=True):
        assert (file.name, list(file.urls), file.digest) == (name, [url], f"md5:{md5}")
    for file, split in zip(SETS["svhn"].files, ("train", "test"), strict=True):
        url, name, _ = SVHN.split_list[split]
        assert (file.name, list(file.urls)) == (name, [url])
    for needed in ("mnist", "usps", "svhn"):
        here = {file.name.removesuffix(".gz") for file in SETS[needed].files}
        assert here == {name for split in real_sets.SPLITS
                        for name in real_sets.FILES[needed, split]}


# ------------------------------------------------------------------ laid out


def test_a_cyclegan_set_from_the_readers_archive(tmp_path, monkeypatch):
    mine = archive(tmp_path)
    standing_in(monkeypatch, "horse2zebra", [stated(mine, "horse2zebra.zip", "http://x/")])
    place = build("horse2zebra", tmp_path / "sets", mine, progress=False)
    assert place == tmp_path / "sets" / "horse2zebra"
    assert sorted(p.relative_to(place).as_posix() for p in place.rglob("*.jpg")) == [
        "testA/2.jpg", "trainA/0.jpg", "trainB/1.jpg"]
    assert [p.name for p in place.parent.iterdir()] == ["horse2zebra"]
    mine.unlink()
    assert build("horse2zebra", tmp_path / "sets", progress=False) == place  # it lies there


def test_an_archive_without_a_top_folder_and_a_folder_of_the_readers(tmp_path, monkeypatch):
    mine = archive(tmp_path, top="")
    standing_in(monkeypatch, "horse2zebra", [stated(mine, "horse2zebra.zip", "http://x/")])
    place = build("horse2zebra", tmp_path / "sets", mine, progress=False)
    assert (place / "trainB" / "1.jpg").is_file()
    assert build("horse2zebra", tmp_path / "other", place, progress=False) == place
    assert not (tmp_path / "other").exists()
    with pytest.raises(ValueError, match="made: no trainA and no trainB; expected"):
        build("horse2zebra", tmp_path / "other", tmp_path / "made", progress=False)


def test_what_is_interrupted_between_two_steps_goes_on(tmp_path, monkeypatch):
    mine = archive(tmp_path)
    standing_in(monkeypatch, "horse2zebra", [stated(mine, "horse2zebra.zip", "http://x/")])
    real = catalogue._domains
    monkeypatch.setattr(catalogue.shutil, "rmtree", lambda *a, **k: None)
    monkeypatch.setattr(catalogue, "_domains", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build("horse2zebra", tmp_path / "sets", mine, progress=False)
    monkeypatch.undo()
    standing_in(monkeypatch, "horse2zebra", [stated(mine, "horse2zebra.zip", "http://x/")])
    assert (tmp_path / "sets" / ".horse2zebra.unpacked").is_dir() and real is catalogue._domains
    place = build("horse2zebra", tmp_path / "sets", mine, progress=False)
    assert (place / "trainB" / "1.jpg").is_file()
    assert [p.name for p in place.parent.iterdir()] == ["horse2zebra"]


def test_an_archive_that_is_another_one(tmp_path, monkeypatch):
    mine = archive(tmp_path)
    with pytest.raises(ValueError, match=r"mine.zip: [\d,]+ bytes; expected 116,867,962"):
        build("horse2zebra", tmp_path / "sets", mine, progress=False)
    mine = archive(tmp_path, parts=("trainA", "test"))
    standing_in(monkeypatch, "horse2zebra", [stated(mine, "horse2zebra.zip", "http://x/")])
    with pytest.raises(ValueError, match="no trainB; expected trainA and trainB"):
        build("horse2zebra", tmp_path / "sets", mine, progress=False)
    assert not list((tmp_path / "sets").iterdir())


def test_a_dead_link_says_where_else_to_look(tmp_path, monkeypatch):
    mine = archive(tmp_path)
    dead = stated(mine, "horse2zebra.zip", "http://127.0.0.1:9/a", "http://127.0.0.1:9/b")
    standing_in(monkeypatch, "horse2zebra", [dead])
    with pytest.raises(OSError) as caught:
        build("horse2zebra", tmp_path / "sets", progress=False, patience=1)
    text = str(caught.value)
    assert "none of 2 addresses" in text and "Elsewhere: github.com/junyanz" in text
    assert "`gantutor data build horse2zebra --from PATH` takes what you have" in text
    assert "\n" not in text


def test_mnist_is_unpacked_as_torchvision_wants_it(tmp_path, monkeypatch):
    raw = make_mnist(tmp_path / "mine") / "MNIST" / "raw"
    files = []
    for path in sorted(raw.iterdir()):
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        files.append(stated(packed, f"MNIST/raw/{packed.name}"))
        path.unlink()
    standing_in(monkeypatch, "mnist", files)
    folder = build("mnist", tmp_path / "sets", tmp_path / "mine", progress=False)
    assert len(real_sets.digit_sheet("mnist", "train", folder)[0]) == 6
    for packed in raw.glob("*.gz"):
        packed.unlink()
    assert build("mnist", folder, progress=False) == folder  # unpacked already
    next(raw.iterdir()).unlink()
    with pytest.raises(FileNotFoundError, match=r"ubyte\.gz: no such file"):
        build("mnist", tmp_path / "sets", tmp_path / "mine", progress=False)


def test_usps_that_the_reader_has(tmp_path, monkeypatch):
    make_usps(tmp_path / "mine")
    standing_in(monkeypatch, "usps", [stated(tmp_path / "mine" / name, name)
                                      for name in ("usps.bz2", "usps.t.bz2")])
    assert build("usps", tmp_path, tmp_path / "mine", progress=False) == tmp_path / "mine"
    (tmp_path / "mine" / "usps.bz2").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"usps.bz2: 5 bytes; expected"):
        build("usps", tmp_path, tmp_path / "mine", progress=False)


def test_rafd_becomes_a_folder_an_expression(tmp_path):
    with pytest.raises(FileNotFoundError, match="rafd: cannot be fetched; rafd.socsci.ru.nl"):
        build("rafd", tmp_path / "sets", progress=False)
    mine = make_rafd(tmp_path / "mine")
    place = build("rafd", tmp_path / "sets", mine, progress=False)
    found = sorted(place.rglob("*.png"))
    assert len(found) == 11 and {p.parent.name for p in found} <= set(real_sets.RAFD)
    for path in found:
        assert f"_{path.parent.name}_" in path.name
        with Image.open(path) as image:
            assert image.size == (256, 256) and image.format == "PNG"
    assert build("rafd", tmp_path / "sets", progress=False) == place


def test_celeba_is_the_readers(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="celeba: cannot be fetched; mmlab.*put img_align"):
        build("celeba", tmp_path / "nowhere", progress=False)
    make_celeba(tmp_path / "sets", ROWS, monkeypatch)
    assert build("celeba", tmp_path / "sets") == tmp_path / "sets"
    assert build("celeba", "elsewhere", tmp_path / "sets") == tmp_path / "sets"


def test_unknown_names_and_paths(tmp_path):
    with pytest.raises(ValueError, match="data set 'zebra2horse': expected one of apple2orange"):
        data_set("zebra2horse")
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        build("facades", tmp_path, tmp_path / "nowhere")
