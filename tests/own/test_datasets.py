"""`gantutor data`: what a reader sees, and the exit codes."""

import argparse

import numpy as np
import pytest
from makers import save

from gantutor.data.catalogue import SETS
from gantutor.own import datasets


def command(*arguments):
    parser = argparse.ArgumentParser()
    datasets.add_command(parser.add_subparsers(dest="command"))
    options = parser.parse_args(["data", *map(str, arguments)])
    return options.act(options)


def some(folder, count=3, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        rng = np.random.default_rng(k + first)
        save(folder / f"{k}.png", rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    return folder


def test_list_names_every_set_its_length_and_whether_it_is_here(tmp_path, capsys):
    (tmp_path / "facades").mkdir()
    (tmp_path / "usps.bz2").touch()
    (tmp_path / "usps.t.bz2").touch()
    (tmp_path / "train_32x32.mat").touch()
    assert command("list", "--to", tmp_path) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert set(SETS) <= set(lines)
    assert "117 MB" in lines["horse2zebra"] and "horses, zebras" in lines["horse2zebra"]
    here = {name for name in SETS if " here " in lines[name]}
    assert here == {"facades", "usps"} and " yours " in lines["celeba"]


def test_build_says_what_to_type_next(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "build", lambda *a, **k: asked.append((a, k)) or tmp_path / "f")
    assert command("build", "facades", "--to", tmp_path, "--from", "a.zip") == 0
    assert asked == [(("facades", str(tmp_path), "a.zip"), {"patience": 30})]
    assert f"gantutor train cyclegan --data {tmp_path / 'f'}" in capsys.readouterr().out
    monkeypatch.undo()
    with pytest.raises(ValueError, match="data set 'zebra': expected one of"):
        command("build", "zebra")


def test_check_of_sound_folders(tmp_path, capsys):
    some(tmp_path / "all" / "trainA", 3)
    some(tmp_path / "all" / "trainB", 4, first=3)
    assert command("check", tmp_path / "all") == 0
    out = capsys.readouterr().out
    assert f"{tmp_path / 'all'}: 7 of 7 pictures can be used\n  trainA: 3\n  trainB: 4\n" == out


@pytest.mark.parametrize("count", [3, 70])  # read here, and read by workers
def test_check_lists_bad_files_and_pictures_that_are_in_both(tmp_path, capsys, count):
    some(tmp_path / "x", count)
    some(tmp_path / "y", 2, first=1000)
    (tmp_path / "y" / "copy.png").write_bytes((tmp_path / "x" / "1.png").read_bytes())
    (tmp_path / "x" / "bad.jpg").write_bytes(b"nothing")
    (tmp_path / "x" / "words.txt").write_text("x")
    with pytest.warns(UserWarning, match="ignored 1 other files"):
        assert command("check", tmp_path) == 1
    out = capsys.readouterr().out
    assert f"{count + 3} of {count + 4} pictures can be used\n  x: {count}\n  y: 3\n" in out
    assert f"1 cannot be used:\n  {tmp_path / 'x' / 'bad.jpg'}: none of these formats" in out
    assert f"{tmp_path / 'x' / '1.png'} = {tmp_path / 'y' / 'copy.png'}" in out


def test_check_where_nothing_can_be_used_and_of_several_folders(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    for k in range(2):
        (tmp_path / "x" / f"{k}.png").write_bytes(b"")
    assert command("check", some(tmp_path / "y"), tmp_path / "x") == 1
    out = capsys.readouterr().out
    assert "y: 3 of 3" in out and "x: 0 of 2" in out and out.count("an empty file") == 2
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        command("check", tmp_path / "nowhere")


def test_a_sets_name_is_looked_for_where_sets_lie(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    some(tmp_path / "datasets" / "maps" / "trainA")
    assert command("check", "maps") == 0
    assert "maps: 3 of 3" in capsys.readouterr().out


def test_check_of_the_packs_that_ship(tmp_path, capsys, monkeypatch):
    assert command("check") == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr(datasets, "shipped", lambda: {"sha256.json": "0" * 64, "no/file": "1" * 64})
    assert command("check") == 1
    out = capsys.readouterr().out
    assert "0 of 2 files are whole" in out and "damaged or missing" in out and "no/file" in out
    assert "damaged" not in whole
