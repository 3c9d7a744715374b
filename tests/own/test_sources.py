"""Where pictures and labels come from: folders of several layouts, CSVs, CelebA's list."""

import numpy as np
import pytest
from PIL import Image

from gantutor.own import sources
from gantutor.own.sources import Drawn, domains_of, read_labels

DRAWN = Drawn(size=8, batch_size=2, seed=0, flip=False, crop="centre", budget=2**20)


def pictures(folder, values, suffix=".png"):
    """One picture of H != W per grey value."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, value in enumerate(values):
        Image.fromarray(np.full((9, 12, 3), value, np.uint8)).save(folder / f"{k}{suffix}")
    return folder


def names(folders):
    return [folder.name for folder in folders]


# ------------------------------------------------------------------ folders


def test_two_folders_or_one_with_trainA_and_trainB_or_one_per_domain(tmp_path):
    for name in ("trainA", "trainB", "testA", "testB", ".hidden"):
        (tmp_path / "horse2zebra" / name).mkdir(parents=True)
    for name in ("angry", "happy", "sad"):
        (tmp_path / "moods" / "train" / name).mkdir(parents=True)
        (tmp_path / "flat" / name).mkdir(parents=True)
    (tmp_path / "moods" / "test").mkdir()
    given = domains_of(tmp_path / "flat" / "sad", tmp_path / "flat" / "happy")
    assert names(given) == ["sad", "happy"]
    assert names(domains_of(data=tmp_path / "horse2zebra")) == ["trainA", "trainB"]
    assert names(domains_of(data=tmp_path / "moods")) == ["angry", "happy", "sad"]
    assert names(domains_of(data=tmp_path / "flat")) == ["angry", "happy", "sad"]


@pytest.mark.parametrize("given, said", [
    ({}, "--x DIR --y DIR, or --data DIR"), ({"x": "here"}, "--x DIR --y DIR, or --data DIR"),
    ({"x": "here", "y": "nowhere"}, "--y nowhere: no such folder"),
    ({"data": "here", "x": "here"}, "--data goes without"),
    ({"data": "here"}, "--data here: 0 folders"), ({"data": "file"}, "--data file: a file")])
def test_what_is_wrong_with_the_folders_is_said(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises((ValueError, OSError), match=said):
        domains_of(**given)


def test_only_stargan_has_more_than_two_domains(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    with pytest.raises(ValueError, match=r"3 domains \(a, b, c\); cyclegan translates between two"):
        sources.two_domains(folders, "cyclegan")


# ------------------------------------------------------------------ codes


def test_a_pictures_code_is_its_folders(tmp_path):
    folders = [pictures(tmp_path / "a", [10, 20, 30]), pictures(tmp_path / "b", [200]),
               pictures(tmp_path / "c", [90, 95])]
    batches, found = sources.one_folder_per_domain(folders, DRAWN)
    assert found == ["a", "b", "c"]
    seen = set()
    for _ in range(9):
        batch = batches.next_batch()
        assert batch["x"].shape == (2, 3, 8, 8) and batch["code"].shape == (2, 3)
        for x, code in zip(batch["x"], batch["code"], strict=True):
            grey = round((x.mean().item() + 1) * 127.5)
            assert code.tolist() == [float(grey < 50), float(grey > 150), float(50 < grey < 150)]
            seen.add(grey)
    assert seen == {10, 20, 30, 200, 90, 95}


def test_labels_by_file_name_and_by_path_below_the_folder(tmp_path, capsys):
    folder = pictures(tmp_path / "faces", [10, 20])
    pictures(folder / "more", [200, 210, 220])
    labels = tmp_path / "labels.csv"
    labels.write_text("file,Smiling,Young\n0.png,1,0\n1.png,-1,1\nmore/0.png,0,0\n")
    batches, found = sources.labelled(folder, labels, None, DRAWN)
    assert found == ["Smiling", "Young"] and "1 of 5 pictures" in capsys.readouterr().out
    codes = {}
    for _ in range(8):
        batch = batches.next_batch()
        for x, code in zip(batch["x"], batch["code"], strict=True):
            codes[round((x.mean().item() + 1) * 127.5)] = code.tolist()
    # more/0.png by its path, more/1.png by its name
    assert codes == {10: [1, 0], 20: [0, 1], 200: [0, 0], 210: [0, 1]}
    _, found = sources.labelled(folder, labels, ["Young"], DRAWN)
    assert found == ["Young"]


def test_celebas_list_and_a_csv_say_the_same(tmp_path):
    (tmp_path / "list.txt").write_text("2\nBald Young\n000001.jpg -1  1 \n000002.jpg  1 -1 \n")
    (tmp_path / "list.csv").write_text("\ufeffimage, Bald ,Young\n000001.jpg,no,Yes\n\n"
                                       "000002.jpg,1.0,\n")
    known = (["Bald", "Young"], {"000001.jpg": [0.0, 1.0], "000002.jpg": [1.0, 0.0]})
    assert read_labels(tmp_path / "list.txt") == known == read_labels(tmp_path / "list.csv")


@pytest.mark.parametrize("text, said", [
    ("", "no labels"), ("file,Bald\n", "no labels"), ("file,Bald\na.jpg,2\n", "line 2: '2'"),
    ("file,Bald\na.jpg,1\nb.jpg\n", "line 3: 0 labels; expected 1"),
    ("2\nBald Young\na.jpg 1 -1\nb.jpg 1\n", "line 4: 1 labels; expected 2")])
def test_a_wrong_line_is_named(text, said, tmp_path):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=f"labels.csv.*{said}"):
        read_labels(tmp_path / "labels.csv")


def test_what_is_no_list_of_labels_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="--labels .*nothing.csv"):
        read_labels(tmp_path / "nothing.csv")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="a.jpg: not a text file"):
        read_labels(tmp_path / "a.jpg")


@pytest.mark.parametrize("text, attributes, said", [
    ("file,Bald\nz.png,1\ny.png,0\n", None, "names none of the 2 pictures"),
    ("file,Bald\n0.png,1\n1.png,0\n", ["Old"], "--attributes Old: .* has Bald"),
    ("file,Bald\n0.png,1\n1.png,1\n", None, "Bald is 1 for every picture"),
    ("file," + ",".join(f"a{k}" for k in range(11)) + "\n0.png" + ",1" * 11 + "\n", None,
     "11 attributes; say with --attributes")])
def test_labels_that_nothing_can_be_learnt_from(text, attributes, said, tmp_path):
    folder = pictures(tmp_path / "faces", [10, 20])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        sources.labelled(folder, tmp_path / "labels.csv", attributes, DRAWN)


def test_unpaired_batches_of_two_folders(tmp_path):
    folders = pictures(tmp_path / "a", [10, 20]), pictures(tmp_path / "b", [200, 210, 220])
    batch = sources.unpaired(folders, DRAWN).next_batch()
    assert batch["x"].shape == batch["y"].shape == (2, 3, 8, 8)
    assert batch["x"].max() < 0 < batch["y"].min()
    assert {round((x.item() + 1) * 127.5) for x in batch["x"].unique()} == {10, 20}
