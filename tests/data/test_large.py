"""A large folder as a stack: the right pixels, from memory and from a file, and what is bad."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from makers import NOISE, save
from PIL import Image
from toys import assert_same

from gantutor.data import Labelled, images, large
from gantutor.data.batches import content_digest
from gantutor.data.folders import load_folder
from gantutor.data.images import read_square, serve
from gantutor.data.large import Folder, own_pictures


def fill(folder, count, first=0, side=40):
    """`count` pictures of (side + 16) x side px whose red is their number, green a ramp."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        pixels = np.zeros((side, side + 16, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = first + k, np.arange(side + 16)
        pixels[..., 2] = np.arange(side)[:, None]
        save(folder / f"{k:03}.png", pixels)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTUTOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stack(path, size=16, **settings):
    return Folder(path, size, **{"crop": "centre", "progress": False} | settings)


@pytest.fixture(params=["memory", "file"])
def budget(request):
    return {"memory": 2**30, "file": 0}[request.param]


# ------------------------------------------------------------------ pixels


def test_pixels_are_those_of_a_folder_in_memory(tmp_path, budget):
    fill(tmp_path / "x", 5)
    folder, expected = stack(tmp_path / "x", budget=budget), load_folder(tmp_path / "x", 16)
    assert len(folder) == 5 and folder.shape == (5, 3, 16, 16) and folder.dim() == 4
    index = torch.tensor([3, 0, 3, 4])
    assert folder[index].dtype == torch.uint8 == folder.dtype
    assert torch.equal(folder[index], expected[index])
    assert torch.equal(folder[index], expected[index])  # now from the store
    assert torch.equal(folder.draw(index, torch.Generator()), expected[index])


def test_workers_give_the_same_pixels(tmp_path, budget, monkeypatch):
    monkeypatch.setattr(large, "FEW", 3)
    fill(tmp_path / "x", 9)
    folder = stack(tmp_path / "x", budget=budget)
    folder.wait()
    assert folder.rows.missing() == [] and not folder._filling.processes
    monkeypatch.setattr(images, "read_square", None)  # nothing is left to be decoded here
    assert torch.equal(folder[torch.arange(9)], load_folder(tmp_path / "x", 16))


def test_random_crops_are_squares_of_the_286_256th_at_every_place(tmp_path):
    fill(tmp_path / "x", 2, side=36)                             # 52 x 36, its centre 36 x 36
    folder = stack(tmp_path / "x", 32, crop="random")
    assert folder.side == 36                                     # 32 * 286 / 256 = 35.75
    generator, places = torch.Generator().manual_seed(0), set()
    for _ in range(60):
        for number, image in enumerate(folder.draw(torch.tensor([0, 1]), generator)):
            left, top = image[1, 0, 0].item() - 8, image[2, 0, 0].item()
            places.add((left, top))
            assert (image[0] == number).all()
            assert (image[1] == left + 8 + torch.arange(32)).all()
            assert (image[2] == top + torch.arange(32)[:, None]).all()
    assert {p[0] for p in places} == {p[1] for p in places} == {0, 1, 2, 3, 4}
    assert len(places) > 18                                      # of 25, down and across apart
    centre = folder[torch.tensor([1])][0]
    assert centre[1, 0, 0] == 8 + 2 and centre[2, 0, 0] == 2


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(tmp_path):
    ramp = np.add.outer(np.arange(896), np.arange(1200))[..., None] * [0.1, 0.05, 0.12]
    waves = 40 * np.sin(np.arange(1200) / 30)[None, :, None]
    path = tmp_path / "a.jpg"
    save(path, np.clip(ramp + waves, 0, 255).astype(np.uint8), quality=95)
    found = read_square(path, 32)[0].astype(int)
    assert images.read_with_notes(path, 10**7, 64)[0].size == (150, 112)  # an eighth
    assert images.read_with_notes(path, 10**7, 113)[0].size == (300, 224)
    with Image.open(path) as image:
        whole = image.resize((32, 32), Image.LANCZOS, (152, 0, 1048, 896))
    assert np.abs(found - np.asarray(whole)).max() <= 3
    assert np.abs(found - np.asarray(whole)).mean() < 0.5


# ------------------------------------------------------------------ batches


def test_own_pictures_are_unpaired_batches_that_go_on_identically(tmp_path, budget):
    fill(tmp_path / "x", 7)
    fill(tmp_path / "y", 9, first=100)

    def made(**settings):
        return own_pictures(tmp_path / "x", tmp_path / "y", 32, 3, budget=budget, progress=False,
                            **settings)

    batches = made(seed=4)
    for _ in range(3):
        batch = batches.next_batch()
    assert set(batch) == {"x", "y"}
    for name, pictures in batch.items():
        assert pictures.shape == (3, 3, 32, 32) and pictures.dtype == torch.float32
        numbers = ((pictures[:, 0] + 1) * 127.5).round()
        assert (numbers == numbers[:, :1, :1]).all()
        assert all((number >= 100) == (name == "y") for number in numbers[:, 0, 0])
    state = batches.state_dict()
    following = [batches.next_batch() for _ in range(5)]
    other = made(seed=8)
    other.next_batch()
    other.load_state_dict(state)
    assert_same([other.next_batch() for _ in range(5)], following)
    assert len({batch["x"][0, 1, 0].min().item() for batch in following}) > 2  # crops vary
    assert made().fingerprint() == made(seed=1).fingerprint()


def test_a_fingerprint_tells_other_pictures_sizes_and_crops_apart(tmp_path):
    fill(tmp_path / "x", 4)
    fill(tmp_path / "y", 4, first=9)

    def fingerprint(size=16, **settings):
        return own_pictures(tmp_path / "x", tmp_path / "y", size, 2, progress=False,
                            **settings).fingerprint()

    first = fingerprint()
    assert fingerprint() == first == fingerprint(budget=0)
    os.utime(tmp_path / "x" / "000.png", (1, 1))  # copied to another machine
    assert fingerprint() == first
    assert fingerprint(size=17) != first and fingerprint(crop="centre") != first
    (tmp_path / "x" / "000.png").rename(tmp_path / "x" / "009.png")
    assert fingerprint() != first
    (tmp_path / "x" / "009.png").rename(tmp_path / "x" / "000.png")
    assert fingerprint() == first
    save(tmp_path / "x" / "000.png", NOISE)
    assert fingerprint() != first


def test_labelled_batches_draw_from_a_folder_too(tmp_path):
    fill(tmp_path / "x", 6)
    chosen = [tmp_path / "x" / f"{k:03}.png" for k in (4, 1, 3)]
    folder = stack(tmp_path / "x", paths=chosen, crop="random")
    batches = Labelled([(folder, torch.tensor([[4.0], [1.0], [3.0]]))], 3)
    batch = batches.next_batch()
    assert torch.equal(((batch["x"][:, 0, 0, 0] + 1) * 127.5).round(), batch["code"][:, 0])
    assert content_digest(folder) == folder.digest() != stack(tmp_path / "x").digest()


# ------------------------------------------------------------------ the file


def test_the_next_run_finds_the_file(tmp_path, cache, monkeypatch):
    fill(tmp_path / "x", 4)
    expected = stack(tmp_path / "x", budget=0)[torch.arange(4)]
    files = list(cache.iterdir())
    assert len(files) == 1 and files[0].stat().st_size == 4096 + 4 * 3 * 16 * 16
    real, read = images.read_square, []
    monkeypatch.setattr(images, "read_square", lambda *a: read.append(a) or real(*a))
    assert torch.equal(stack(tmp_path / "x", budget=0)[torch.arange(4)], expected) and not read
    with open(files[0], "r+b") as file:  # damaged: it is decoded again, and mended
        file.seek(4096 + 3 * 16 * 16 + 5)
        file.write(b"\x80\x81")
    for _ in range(2):
        assert torch.equal(stack(tmp_path / "x", budget=0)[torch.arange(4)], expected)
    assert [path.name for path, _ in read] == ["001.png"]
    with open(files[0], "r+b") as file:
        file.truncate(300)
    assert torch.equal(stack(tmp_path / "x", budget=0)[torch.arange(4)], expected)


def test_a_changed_folder_gets_a_new_file_and_the_old_one_goes(tmp_path, cache):
    fill(tmp_path / "x", 4)
    stack(tmp_path / "x", budget=0)[torch.arange(4)]
    old = set(cache.iterdir())
    stack(tmp_path / "x", 17, budget=0)  # another size is another file
    both = set(cache.iterdir())
    assert len(both) == 2 and old < both
    save(tmp_path / "x" / "000.png", NOISE)
    found = stack(tmp_path / "x", budget=0)[torch.tensor([0])]
    assert torch.equal(found[0], load_folder(tmp_path / "x", 16)[0])
    now = set(cache.iterdir())
    assert len(now) == 2 and not old & now


def test_what_fits_the_budget_is_not_written(tmp_path, cache):
    fill(tmp_path / "x", 4)
    length = 4096 + 4 * 3 * 16 * 16
    stack(tmp_path / "x", budget=length)[torch.arange(4)]
    assert not cache.exists()
    stack(tmp_path / "x", budget=length - 1)[torch.arange(4)]
    assert len(list(cache.iterdir())) == 1


def test_a_full_disk_is_said_before_or_survived(tmp_path, monkeypatch):
    fill(tmp_path / "x", 4)
    monkeypatch.setattr(large.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 100))
    with pytest.raises(OSError, match=r"cache: the decoded pictures take 0.0 GB.*GANTUTOR_CACHE"):
        stack(tmp_path / "x", budget=0)
    monkeypatch.undo()
    folder = stack(tmp_path / "x", budget=0, cache=tmp_path / "other")

    def full(k, square):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.rows, "put", full)
    assert torch.equal(folder[torch.arange(4)], load_folder(tmp_path / "x", 16))
    assert folder.bad == {}


# ------------------------------------------------------------------ what is bad


@pytest.mark.parametrize("few", [64, 3])
def test_a_bad_picture_is_named_and_the_next_takes_its_place(tmp_path, monkeypatch, few):
    monkeypatch.setattr(large, "FEW", few)
    fill(tmp_path / "x", 6)
    for k in (2, 3, 5):
        (tmp_path / "x" / f"{k:03}.png").write_bytes(b"no picture")
    save(tmp_path / "x" / "001.png", np.zeros((7, 90, 3), np.uint8))
    folder = stack(tmp_path / "x")
    with pytest.warns(UserWarning) as caught:
        folder.wait()
        found = folder[torch.arange(6)]
    assert found[:, 0, 0, 0].tolist() == [0, 4, 4, 4, 4, 0]
    assert sorted(p.name for p in folder.bad) == ["001.png", "002.png", "003.png", "005.png"]
    assert "(90, 7) pixels; expected min_side=8" in folder.bad[tmp_path / "x" / "001.png"]
    assert len(caught) == 1 and "4 pictures cannot be used" in str(caught[0].message)
    assert "002.png: none of these formats" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder[torch.arange(6)]  # it is said once


def test_no_usable_picture_is_an_error(tmp_path):
    (tmp_path / "x").mkdir()
    for k in range(3):
        (tmp_path / "x" / f"{k}.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"x: none of 3 pictures can be used(.|\n)*0.jpg: an emp"):
        stack(tmp_path / "x")[torch.tensor([1])]


def test_a_decoder_that_dies_costs_one_picture(tmp_path, monkeypatch):
    """A stand-in for images.py that dies on one name, as a crash in a decoder's C code would."""
    monkeypatch.setattr(large, "FEW", 3)
    monkeypatch.setattr(large, "allowed_cores", lambda: 2)
    fill(tmp_path / "x", 6)
    source = ("import sys, os, json, runpy\n"
              f"real = runpy.run_path({images.__file__!r})\n"
              "def lines():\n"
              "    for line in sys.stdin.buffer:\n"
              "        if b'002' in line: os.abort()\n"
              "        yield line\n"
              "real['serve'](lines(), sys.stdout.buffer)\n")
    (tmp_path / "dying.py").write_text(source)
    monkeypatch.setattr(images, "__file__", str(tmp_path / "dying.py"))
    folder = stack(tmp_path / "x")
    with pytest.warns(UserWarning, match=r"002.png: the process that decoded it died"):
        folder.wait()
        found = folder[torch.arange(6)]
    assert found[:, 0, 0, 0].tolist() == [0, 1, 3, 3, 4, 5]


def test_errors_name_what_is_wrong(tmp_path):
    fill(tmp_path / "x", 3)
    fill(tmp_path / "y", 2)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        stack(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="crop='middle': expected one of random, centre"):
        stack(tmp_path / "x", crop="middle")
    for size in (7, 16.5, "16"):
        with pytest.raises(ValueError, match="size=.*expected a whole number of pixels"):
            stack(tmp_path / "x", size)
    with pytest.raises(ValueError, match=r"y: 2 pictures; expected at least batch_size=3"):
        own_pictures(tmp_path / "x", tmp_path / "y", 16, 3)
    with pytest.raises(ValueError, match="are the same file"):
        own_pictures(tmp_path / "x", tmp_path / "x", 16, 3)
    (tmp_path / "x" / "list.txt").write_text("x")
    with pytest.warns(UserWarning, match=r"ignored 1 other files, \['list.txt'\]"):
        stack(tmp_path / "x")


def test_a_process_answers_lines(tmp_path):
    save(tmp_path / "ü a.png", NOISE)
    questions = [[str(tmp_path / "ü a.png"), 8], [str(tmp_path / "no.png"), 8],
                 [str(tmp_path / "ü a.png"), 9]]
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    out = subprocess.run([sys.executable, "-P", images.__file__], input=lines.encode(),
                         capture_output=True, check=True).stdout
    first, rest = out.split(b"\n", 1)
    assert json.loads(first) == [True, []] and rest[:192] == read_square(
        tmp_path / "ü a.png", 8)[0].tobytes()
    second, third = rest[192:].split(b"\n", 2)[:2]
    fine, text = json.loads(second)
    assert not fine and "no.png: no such file" in text and json.loads(third) == [True, []]
    assert serve([], None) is None


def test_workers_stop_when_the_folder_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "FEW", 3)
    fill(tmp_path / "x", 40)
    folder = stack(tmp_path / "x")
    folder[torch.tensor([0])]
    filling = folder._filling
    del folder
    assert filling.stopped.is_set()
    for thread in filling.threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not filling.processes


def test_the_first_batch_does_not_wait_for_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "FEW", 3)
    fill(tmp_path / "x", 30)
    read = images.read_square
    monkeypatch.setattr(large.subprocess, "Popen", lambda *a, **k: time.sleep(2) or 1 / 0)
    monkeypatch.setattr(large._Filling, "_work", lambda self: time.sleep(1))
    count = []
    monkeypatch.setattr(images, "read_square", lambda *a: count.append(a) or read(*a))
    start = time.perf_counter()
    stack(tmp_path / "x")[torch.arange(4)]
    assert len(count) == 4 and time.perf_counter() - start < 1
