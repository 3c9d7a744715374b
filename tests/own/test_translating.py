"""Folders translated under their own names: every good picture whole and once, bad ones named."""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from makers import DISPLAY_P3, rgb_profile
from PIL import Image
from torch import nn

from gantutor import portable
from gantutor.autoencoders import coders
from gantutor.data.images import read_image
from gantutor.methods.common_space import TwoAutoencoders
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.stargan import SmallStarGenerator, StarGAN
from gantutor.models import PixelGenerator, ResnetGenerator, SmallGenerator
from gantutor.own import translating
from gantutor.own.translating import Translator, tasks, translate_all, translate_file

ROOT = Path(__file__).parent.parent.parent
RNG = np.random.default_rng(0)


def inverting():
    """A generator that nearly inverts every pixel: what comes out can be told by hand."""
    net = PixelGenerator(8, 1)
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        for colour in range(3):  # relu(c) - relu(-c) = c
            net.net[0].weight[colour, colour], net.net[0].weight[colour + 3, colour] = 1, -1
            net.out.weight[colour, colour], net.out.weight[colour, colour + 3] = -3, 3
    return net


def by_hand(pixels):
    """What `inverting` makes of uint8 pixels: tanh(x - 3 x)."""
    x = np.asarray(pixels, np.float64) / 127.5 - 1
    return ((np.tanh(-2 * x) + 1) * 127.5).round()


def model(kind="direct", folder=None, about=None):
    torch.manual_seed(0)
    method = {"direct": lambda: Direct(inverting(), nn.Identity()),
              "cyclegan": lambda: CycleGAN(SmallGenerator(4, 1), inverting(), nn.Identity(),
                                           nn.Identity()),
              "official": lambda: Direct(ResnetGenerator(width=4, blocks=1), nn.Identity()),
              "stargan": lambda: StarGAN(SmallStarGenerator(3, 4), nn.Identity()),
              "space": lambda: TwoAutoencoders(*coders(1, 16, channels=4, width=4))}[kind]()
    portable.save_model(folder / f"{kind}.safetensors", method, about or {"size": 16})
    return folder / f"{kind}.safetensors"


@pytest.fixture
def direct(tmp_path):
    return Translator(portable.load_model(model(folder=tmp_path)))


def noise(height, width, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def command(*words):
    top = argparse.ArgumentParser()
    translating.add_command(top.add_subparsers())
    options = top.parse_args(["translate", *map(str, words)])
    return options.act(options)


# ------------------------------------------------------------------ one picture


def test_a_picture_is_what_the_generator_draws(direct, tmp_path):
    pixels = noise(21, 34)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert translate_file(direct, tmp_path / "a.png", tmp_path / "out" / "a.png") == []
    found = Image.open(tmp_path / "out" / "a.png")
    assert found.mode == "RGB" and found.size == (34, 21)
    assert np.abs(np.asarray(found) - by_hand(pixels)).max() <= 1


def test_exif_is_followed_and_not_followed_twice(direct, tmp_path):
    pixels = np.zeros((16, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    exif = Image.Exif()
    exif[274] = 6  # to be turned a quarter clockwise: left is up
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    translate_file(direct, tmp_path / "a.jpg", tmp_path / "b.jpg")
    found = Image.open(tmp_path / "b.jpg")
    assert found.size == (16, 40) and 274 not in found.getexif()
    grey = np.asarray(found.convert("L"))
    assert grey[:16].mean() > 240 and grey[-16:].mean() < 15  # inverted, upright


def test_colours_are_those_of_srgb(direct, tmp_path):
    pixels = np.full((16, 16, 3), (60, 200, 90), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=rgb_profile(DISPLAY_P3))
    translate_file(direct, tmp_path / "a.png", tmp_path / "b.png")
    srgb = np.asarray(read_image(tmp_path / "a.png"))
    assert np.abs(srgb.astype(int) - pixels).max() > 20
    found = Image.open(tmp_path / "b.png")
    assert np.abs(np.asarray(found) - by_hand(srgb)).max() <= 1 and "icc_profile" not in found.info


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparency_is_kept(direct, suffix, tmp_path):
    pixels = noise(12, 20, 4)
    pixels[..., 3] = np.linspace(0, 255, 20).astype(np.uint8)[None]
    pixels[:, 10:, :3] = (30, 120, 220)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    translate_file(direct, tmp_path / "a.png", tmp_path / f"b{suffix}")
    found = np.asarray(Image.open(tmp_path / f"b{suffix}").convert("RGBA"))
    assert np.array_equal(found[..., 3], pixels[..., 3])
    seen = by_hand(pixels[:, 14:, :3])  # the picture's own colours, no mixture with white
    assert np.abs(found[:, 14:, :3] - seen).max() <= (12 if suffix == ".webp" else 8)


def test_transparency_turns_with_the_picture(direct, tmp_path):
    pixels = noise(10, 20, 4)
    pixels[..., 3] = 255
    pixels[:, :5, 3] = 0
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    translate_file(direct, tmp_path / "a.png", tmp_path / "b.png")
    found = np.asarray(Image.open(tmp_path / "b.png"))
    assert found.shape == (20, 10, 4)
    assert (found[:5, :, 3] == 0).all() and (found[5:, :, 3] == 255).all()


def test_jpeg_has_no_transparency_and_it_says_so(direct, tmp_path):
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "a.png")
    (note,) = translate_file(direct, tmp_path / "a.png", tmp_path / "b.jpg")
    assert "a.png: JPEG has no transparency; laid over white" in note
    assert np.asarray(Image.open(tmp_path / "b.jpg")).min() > 250


@pytest.mark.parametrize(("kind", "back", "to"), [
    ("space", False, None), ("space", True, None), ("stargan", False, "b"),
    ("official", False, None), ("cyclegan", False, None), ("cyclegan", True, None)])
def test_every_family_keeps_the_size(kind, back, to, tmp_path):
    about = {"size": 16} | ({"codes": ["a", "b", "c"]} if kind == "stargan" else {})
    translator = Translator(portable.load_model(model(kind, tmp_path, about)), back, to)
    for size in ((23, 57), (400, 30), (5, 9), (1, 1)):
        assert translator(Image.new("RGB", size, "red")).size == size
    said = translator.says()
    assert ("works at 16 x 16 px: pictures are resized" in said) if kind in (
        "space", "stargan") else said is None


def test_common_space_is_resized_there_and_back(tmp_path):
    found = portable.load_model(model("space", tmp_path))
    image = Image.fromarray(noise(16, 16))
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1
    expected = ((found.translate(x)[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255)
    assert np.abs(np.asarray(Translator(found)(image)) - expected.numpy()).max() <= 1


def test_at_translates_smaller_and_scales_back(direct, tmp_path):
    seen = []

    class Watching(PixelGenerator):
        def forward(self, x):
            seen.append(tuple(x.shape[2:]))
            return super().forward(x)

    translator = Translator(direct.model, at=32)
    translator.net = Watching()
    assert translator(Image.new("RGB", (200, 100))).size == (200, 100)
    assert seen == [(32, 64)] and "32 px on the shorter side" in translator.says()


def test_what_a_model_cannot_do_is_said_before_any_picture_is_read(tmp_path):
    found = portable.load_model(model(folder=tmp_path))
    for how, what in (({"back": True}, "no way back"), ({"to": "red"}, "no codes"),
                      ({"at": 3}, "at least 8 px")):
        with pytest.raises(ValueError, match=what):
            Translator(found, **how)
    star = portable.load_model(model("stargan", tmp_path))
    with pytest.raises(ValueError, match="needs a domain; expected of 0, 1, 2"):
        Translator(star)


# ------------------------------------------------------------------ names


def test_names(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.JPG", "sub/b.png", "sub/c.gif", "d.pgm", "e.txt"):
        (tmp_path / "in" / name).write_bytes(b"x")
    found = tasks(tmp_path / "in", tmp_path / "out")
    assert sorted(str(place.relative_to(tmp_path / "out")) for _, place in found) == [
        "a.JPG", "d.pgm.png", os.path.join("sub", "b.png"), os.path.join("sub", "c.gif.png")]
    one = tmp_path / "in" / "a.JPG"
    assert tasks(one, tmp_path / "x.png") == [(one, tmp_path / "x.png")]
    assert tasks(one, tmp_path / "new") == [(one, tmp_path / "new" / "a.JPG")]
    assert tasks(one, tmp_path) == [(one, tmp_path / "a.JPG")]


def test_places_that_would_destroy_something(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.gif", "b.gif.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    for source, out, what in ((folder, folder, "translate the translations"),
                              (folder, folder / "out", "translate the translations"),
                              (folder / "a.png", folder, "replace its own picture"),
                              (folder / "a.png", tmp_path / "a.xyz", "cannot be written; expected"),
                              (folder, tmp_path / "o", "b.gif.png: two pictures")):
        with pytest.raises(ValueError, match=what):
            tasks(source, out)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError, match="file: a file; expected a folder"):
        tasks(folder, tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="nothing: no such file or folder"):
        tasks(tmp_path / "nothing", tmp_path / "o")


# ------------------------------------------------------------------ many files, some bad


def mixed(folder, good=180, bad=20):
    """Pictures of many kinds and sizes in sub-folders, some bad. Returns the names of the bad."""
    draw = random.Random(0)
    for k in range(good + bad):
        suffix, mode = draw.choice([(".jpg", "RGB"), (".JPEG", "L"), (".png", "RGBA"),
                                    (".png", "P"), (".webp", "RGB"), (".bmp", "RGB"),
                                    (".tiff", "CMYK"), (".gif", "P"), (".ppm", "RGB")])
        path = folder / draw.choice(["", "a", "a/ü b"]) / f"{k:03}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(noise(draw.randrange(8, 60), draw.randrange(8, 60))).convert(mode)
        image.save(path)
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    spoilt = draw.sample(paths, bad)
    for k, path in enumerate(spoilt):
        data = path.read_bytes()
        path.write_bytes([b"", b"no picture", data[:len(data) // 3], bytes(400)][k % 4])
    (folder / "notes.txt").write_text("no picture")
    return {str(path.relative_to(folder)) for path in spoilt}, paths


def check_all(source, out, bad, paths):
    """Every good picture is there, whole, of its own size, and nothing else."""
    written = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    expected = set()
    for path in paths:
        name = path.relative_to(source)
        if str(name) not in bad:
            place = translating.written_as(name)
            expected.add(str(place))
            with Image.open(out / place) as image:
                image.load()
                assert image.size == read_image(path).size
    assert written == expected


@pytest.mark.parametrize(("good", "bad"), [
    (27, 4), pytest.param(180, 20, marks=pytest.mark.slow)])
def test_good_ones_are_done_and_bad_ones_are_listed(good, bad, tmp_path, capsys):
    spoilt, paths = mixed(tmp_path / "in", good, bad)
    direct, out = model(folder=tmp_path), tmp_path / "out"
    assert command(direct, tmp_path / "in", out) == 1
    said = capsys.readouterr().err
    for name in spoilt:
        assert f"not translated: {tmp_path / 'in' / name}: " in said
    assert said.count("not translated: ") == bad
    assert f"{good} of {good + bad} translated into {out}; {bad} could not be translated" in said
    check_all(tmp_path / "in", out, spoilt, paths)
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert command(direct, tmp_path / "in", out) == 1
    assert f"0 of {good + bad} translated into {out}; {good} were there already" in (
        capsys.readouterr().err)
    assert times == {p: p.stat().st_mtime_ns for p in out.rglob("*")}


def test_overwrite_does_them_again(direct, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "out.png").write_bytes(b"old")
    pairs = tasks(tmp_path / "a.png", tmp_path / "out.png")
    assert translate_all(direct, pairs)["skipped"] == [tmp_path / "a.png"]
    assert (tmp_path / "out.png").read_bytes() == b"old"
    assert translate_all(direct, pairs, overwrite=True)["done"] == [tmp_path / "a.png"]
    assert Image.open(tmp_path / "out.png").size == (9, 9)


def test_the_authors_weights_translate(tmp_path, capsys):
    net = PixelGenerator()  # of no author
    torch.save(net.state_dict(), tmp_path / "a.pth")
    Image.new("RGB", (12, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.pth: not a readable.*need --from-official"):
        command(tmp_path / "a.pth", tmp_path / "a.png", tmp_path / "b.png")
    with pytest.raises(ValueError, match="a.pth: no generator of CycleGAN's or StarGAN's"):
        command("--from-official", tmp_path / "a.pth", tmp_path / "a.png", tmp_path / "b.png")
    from test_official import small_generator_state
    torch.save(small_generator_state(), tmp_path / "horse2zebra.pth")
    assert command("--from-official", tmp_path / "horse2zebra.pth", tmp_path / "a.png",
                   tmp_path / "b.png") == 0
    assert Image.open(tmp_path / "b.png").size == (12, 8)


# ------------------------------------------------------------------ killed


def started(arguments, log):
    code = ("import sys, gantutor.own.translating as t, argparse\n"
            "write = t.atomically\n"
            "def logged(place, how):\n"
            "    write(place, how)\n"
            "    print(place, file=open(sys.argv[1], 'a'), flush=True)\n"
            "t.atomically = logged\n"
            "top = argparse.ArgumentParser()\n"
            "t.add_command(top.add_subparsers())\n"
            "options = top.parse_args(['translate', *sys.argv[2:]])\n"
            "sys.exit(options.act(options))\n")
    return subprocess.Popen([sys.executable, "-c", code, str(log), *map(str, arguments)],
                            stderr=subprocess.DEVNULL, cwd=ROOT,
                            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize(("kills", "good", "bad"), [(3, 60, 6), pytest.param(
    20, 180, 20, marks=pytest.mark.train)])  # minutes: only with --train
def test_killed_at_random_moments_every_good_file_is_whole_and_done_once(kills, good, bad,
                                                                         tmp_path):
    spoilt, paths = mixed(tmp_path / "in", good, bad)
    words, log, draw = [model(folder=tmp_path), tmp_path / "in", tmp_path / "out"], (
        tmp_path / "log"), random.Random(kills)
    log.touch()
    for k in range(kills):
        done = len(log.read_text().splitlines())
        process = started(words, log)
        until = done + draw.randrange(1, max(2, (good - done) // (kills - k + 1) + 1))
        while process.poll() is None and len(log.read_text().splitlines()) < until:
            time.sleep(0.001)
        time.sleep(draw.random() * 0.03)
        assert process.poll() is None, "it has ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (tmp_path / "out").rglob("*"):  # whole or absent at any moment
            if path.is_file() and path.suffix != ".tmp":
                with Image.open(path) as image:
                    image.load()
    assert started(words, log).wait() == 1
    check_all(tmp_path / "in", tmp_path / "out", spoilt, paths)
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) <= good and len(lines) >= good - kills
