"""Archives that a stranger made: pictures come out, nothing else does, and nothing half."""

import gzip
import io
import stat
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from gantutor.data import archives
from gantutor.data.archives import gunzip, unpack


def jpeg(value=9):
    out = io.BytesIO()
    Image.fromarray(np.full((9, 12, 3), value, np.uint8)).save(out, "JPEG")
    return out.getvalue()


PICTURE = jpeg()


def make(path, entries, method=zipfile.ZIP_DEFLATED):
    """entries: (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries:
            file.writestr(name, data)
    return path


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")
                  if path.is_file())


def refused(tmp_path, entries, words, limit=10**6):
    archive = entries if not isinstance(entries, list) else make(tmp_path / "a.zip", entries)
    before = {path for path in tmp_path.parent.rglob("*") if path.name != "a.zip"}
    with pytest.raises(ValueError, match=words) as caught:
        unpack(archive, tmp_path / "new", limit, progress=False)
    assert str(archive) in str(caught.value) and "\n" not in str(caught.value)
    assert {path for path in tmp_path.parent.rglob("*") if path.name != "a.zip"} == before


def test_pictures_and_lists_come_out_other_files_do_not(tmp_path):
    archive = make(tmp_path / "a.zip", [
        ("set/", b""), ("set/trainA/1.jpg", PICTURE), ("set/trainA/2.JPG", jpeg(7)),
        ("set/trainB/ü 1.jpg", PICTURE), ("set/list.txt", b"words"), ("set/run.sh", b"rm"),
        ("set/a.exe", b"MZ"), ("set/.DS_Store", b"x"), ("__MACOSX/set/._1.jpg", b"x"),
        (entry("set/trainB/2.png", stat.S_IFREG | 0o777), PICTURE)])
    assert unpack(archive, tmp_path / "new", 10**6, progress=False) == 5
    assert below(tmp_path / "new") == ["set/list.txt", "set/trainA/1.jpg", "set/trainA/2.JPG",
                                       "set/trainB/2.png", "set/trainB/ü 1.jpg"]
    assert (tmp_path / "new/set/trainA/2.JPG").read_bytes() == jpeg(7)
    assert not (tmp_path / "new/set/trainB/2.png").stat().st_mode & 0o111
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "new"]
    with pytest.raises(FileExistsError, match="new: is there already"):
        unpack(archive, tmp_path / "new", 10**6, progress=False)
    assert len(below(tmp_path / "new")) == 5


@pytest.mark.parametrize("name", ["../a.jpg", "x/../../a.jpg", "/tmp/a.jpg", "x//a.jpg", "./a.jpg",
                                  "C:/a.jpg", "C:a.jpg", "..\\a.jpg", "x\\a.jpg", "x/.. /a.jpg",
                                  "x./a.jpg", "a\n.jpg", "x/../run.sh", "x|y.jpg", "../"])
def test_paths_that_lead_elsewhere(tmp_path, name):
    (tmp_path / "deep").mkdir()
    refused(tmp_path / "deep", [("ok.jpg", PICTURE), (name, PICTURE)], "is no path below")


def test_a_name_cut_off_by_a_zero_byte(tmp_path):
    archive = make(tmp_path / "a.zip", [("a.jpgX..jpg", PICTURE)])
    archive.write_bytes(archive.read_bytes().replace(b"a.jpgX", b"a.jpg\0"))
    unpack(archive, tmp_path / "new", 10**6, progress=False)
    assert below(tmp_path / "new") == ["a.jpg"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO,
                                  stat.S_IFSOCK])
def test_links_and_devices(tmp_path, kind):
    refused(tmp_path, [(entry("x.jpg", kind | 0o777), "/etc/passwd"), ("x.jpg/a.jpg", PICTURE)],
            "'x.jpg' is a link or a device")


def test_bombs(tmp_path):
    zeros = bytes(10_000_000)
    refused(tmp_path, [("a.png", zeros)], "more than 1,000,000 bytes unpacked, at 'a.png'")
    refused(tmp_path, [(f"{k}.png", zeros[:300_000]) for k in range(4)], "at '3.png'")
    refused(tmp_path, [("readme.md", zeros)], "more than 1,000,000")  # also what is not taken
    assert (tmp_path / "a.zip").stat().st_size < 20_000


def test_a_bomb_that_states_a_small_length(tmp_path):
    """The lengths in the directory are a lie: 1,000 bytes stated, ten million packed."""
    archive = make(tmp_path / "a.zip", [("a.png", bytes(10_000_000))])
    data = archive.read_bytes()
    archive.write_bytes(data.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 1000)))
    refused(tmp_path, archive, "not unpacked")


def test_too_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ENTRIES", 20)
    refused(tmp_path, [(f"{k}.png", b"") for k in range(21)], "21 entries; expected at most 20")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_path_twice(tmp_path):
    refused(tmp_path, [("a.png", PICTURE), ("a.png", PICTURE)], "'a.png' comes twice")
    refused(tmp_path, [("x/a.png", PICTURE), ("X/A.png", PICTURE)], "'X/A.png' comes twice")
    refused(tmp_path, [("x.png", PICTURE), ("x.png/a.png", PICTURE)], "'x.png/a.png' lies below")


def test_passwords_damage_and_what_is_no_archive(tmp_path):
    archive = make(tmp_path / "a.zip", [("a.png", PICTURE), ("b.png", PICTURE)])
    whole = archive.read_bytes()
    locked = bytearray(whole)
    locked[whole.index(b"PK\1\2") + 8] |= 1
    for data, words in ((bytes(locked), "needs a password"), (whole[:-30], "not a zip file"),
                        (b"", "not a zip file"), (b"<html>", "not a zip file"),
                        (whole[:60] + b"\xff\xff" + whole[62:], "not unpacked")):
        archive.write_bytes(data)
        refused(tmp_path, archive, words)


def test_random_damage_is_refused_or_unpacked(tmp_path):
    archive = make(tmp_path / "a.zip", [(f"x/{k}.png", jpeg(k)) for k in range(3)])
    whole, rng, outcomes = archive.read_bytes(), np.random.default_rng(0), set()
    for k in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), k % 3):
            data[place] = rng.integers(256)
        archive.write_bytes(data[: rng.integers(len(data)) if k % 4 == 0 else None])
        try:
            unpack(archive, tmp_path / f"new{k}", 10**6, progress=False)
            outcomes.add("unpacked")
        except ValueError as error:
            assert str(archive) in str(error)
            outcomes.add("refused")
            assert not (tmp_path / f"new{k}").exists()
    assert outcomes == {"unpacked", "refused"}
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_an_oserror_and_leaves_nothing(tmp_path, monkeypatch):
    archive = make(tmp_path / "a.zip", [("a.png", PICTURE)])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(archive, tmp_path / "new", 10**6, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_gunzip(tmp_path):
    packed, path = tmp_path / "a.gz", tmp_path / "a"
    packed.write_bytes(gzip.compress(b"word" * 100))
    gunzip(packed, path, 400)
    assert path.read_bytes() == b"word" * 100
    path.unlink()
    whole = packed.read_bytes()
    for data, limit, words in ((whole, 399, "more than 399 bytes"), (whole[:-5], 999, "ended"),
                               (b"no gzip", 999, "gzip"), (whole[:15] + b"\0\0" + whole[17:], 999,
                                                           "decompressing|CRC")):
        packed.write_bytes(data)
        with pytest.raises(ValueError, match=rf"a\.gz: not unpacked .*{words}"):
            gunzip(packed, path, limit)
        assert [p.name for p in tmp_path.iterdir()] == ["a.gz"]
