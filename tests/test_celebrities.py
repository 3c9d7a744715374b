"""CelebA and RaFD on fixture files in their own formats."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CelebA

from gantutor import celebrities
from gantutor.celebrities import CELEBA, LazyImages, celeba, centre_square, face_square, rafd
from gantutor.faces import Labelled, code_vector

OTHERS = ("Bald", "Eyeglasses")  # further attributes of the list, here two of the other 35


def make_celeba(root, rows, monkeypatch=None):
    """CelebA's six files with `rows` of (name, five labels, part); checksums waived."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lists = {name: [] for name in ("attr", "part", "identity", "bbox", "landmarks")}
    for k, (name, labels, part) in enumerate(rows):
        pixels = np.full((218, 178, 3), 20 * k, np.uint8)
        pixels[:20] = pixels[-20:] = 255  # cropped away
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=95)
        signs = [1 if v else -1 for v in labels]
        lists["attr"].append(f"{name} -1 " + "".join(f"{s:2d} " for s in signs) + " 1")
        lists["part"].append(f"{name} {part}")
        lists["identity"].append(f"{name} {k + 1}")
        lists["bbox"].append(f"{name} 95 71 226 313")
        lists["landmarks"].append(f"{name} " + " ".join(["69"] * 10))
    header = f"{OTHERS[0]} {' '.join(CELEBA)} {OTHERS[1]}"
    texts = {"list_attr_celeba.txt": [str(len(rows)), header, *lists["attr"]],
             "list_eval_partition.txt": lists["part"], "identity_CelebA.txt": lists["identity"],
             "list_bbox_celeba.txt": [str(len(rows)), "image_id x_1 y_1 width height",
                                      *lists["bbox"]],
             "list_landmarks_align_celeba.txt": [str(len(rows)), "lefteye_x ...",
                                                 *lists["landmarks"]]}
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    if monkeypatch:
        monkeypatch.setattr(CelebA, "file_list", [(i, None, n) for i, _, n in CelebA.file_list])
    return root


def make_rafd(folder, count=16):
    folder.mkdir(parents=True)
    for k in range(count):
        mood = celebrities.RAFD[k % 8]
        name = f"Rafd{('045', '090', '180')[k % 3]}_{k:02d}_Caucasian_female_{mood}_frontal.jpg"
        Image.fromarray(np.full((102, 68, 3), 10 * k, np.uint8)).save(folder / name)
    return folder


ROWS = [("000001.jpg", (1, 0, 0, 1, 1), 0), ("000002.jpg", (0, 1, 0, 0, 1), 0),
        ("000003.jpg", (0, 0, 1, 0, 0), 2), ("000004.jpg", (0, 0, 0, 1, 0), 0),
        ("000005.jpg", (1, 0, 0, 0, 1), 2)]


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
        assert celebrities.RAFD[label.argmax()] in path.name and "Rafd180" not in path.name
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
    sets = [(images, code_vector(labels, k, celebrities.BLOCKS))
            for k, (images, labels) in enumerate(pair)]
    batch = Labelled(sets, 4, flip=True).next_batch()
    assert batch["x"].shape == (4, 3, 16, 16) and batch["code"].shape == (4, 15)
    assert batch["code"][:, -2:].tolist() == [[1, 0]] * 2 + [[0, 1]] * 2
