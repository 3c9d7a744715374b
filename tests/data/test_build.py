"""`data/build.py` makes the packs again, into a folder that has to be named."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn import functional as F

from gantutor import evaluate, runs
from gantutor.data import AVATARS, avatars, faces, to_float, varied
from gantutor.data.packs import Question, load_sheet
from gantutor.data.photographs import PHOTOGRAPHS
from gantutor.saving import data_folder, load_weights
from gantutor.vgg import VGG16Features

SCRIPT = Path(__file__).parents[2] / "data" / "build.py"
PINNED = "13.0.0"  # pillow, in pyproject's extra `data`


@pytest.fixture(scope="module")
def build():
    """The script as a module. It lies beside the packs, out of the package."""
    specification = importlib.util.spec_from_file_location("build_packs", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def tools():
    return (all(importlib.util.find_spec(m) for m in ("dicebear", "dicebear_styles", "resvg_py"))
            and PIL.__version__ == PINNED)


redrawn = pytest.mark.skipif(not tools(), reason="redrawing needs the extra `data`: "
                             "pip install -e .[data]")


@redrawn
def test_avatars_drawn_again_are_the_same_to_the_pixel(build):
    records = torch.cat([avatars.records(p) for p in ("train_x", "train_y", "held_out")])
    assert np.array_equal(build.avatar_records(), records.numpy())
    more = build.validation_records(records.numpy())
    assert np.array_equal(more, avatars.records("validation").numpy())
    sheets = {"train_x": ("train_x", "hidden_train"), "train_y": (None, "train_y"),
              "held_out": ("hidden_x", "hidden_y"),
              "validation": ("validation_x", "validation_y")}
    for part, names in sheets.items():
        table = avatars.records(part)
        some = torch.arange(7) * (len(table) // 7) + 3  # 20 pictures and one, all over the sheet
        for style, name in zip(("pixel-art", "voxel-art"), names, strict=True):
            for size in (32, 64) if name else ():
                images = avatars.sheet(name, size)
                drawn = build.draw_avatars(table[some].numpy(), style, size)
                assert np.array_equal(images[some].permute(0, 2, 3, 1).numpy(), drawn), name


@redrawn
def test_faces_drawn_again_are_the_same_to_the_pixel(build):
    records = {part: faces.records(part) for part in ("appearance", "expression", "held_out")}
    again = dict(zip(("appearance", "expression", "held_out"), build.face_records(), strict=True))
    for part, table in records.items():
        assert np.array_equal(table.numpy(), again[part])
        some = torch.arange(8) * (len(table) // 8) + 5
        stored = faces.sheet(part, 32)[some, :, ::2, ::2]
        assert np.array_equal(stored.permute(0, 2, 3, 1).numpy(),
                              build.draw_faces(table[some].numpy()))
    for part, kept in (("appearance", slice(3, 9)), ("expression", [0, 1, 2, *range(4, 9)])):
        other = faces.records(f"hidden_{part}")
        assert torch.equal(other[:, kept], records[part][:, kept])
        assert (other != records[part]).any(1).float().mean() > 0.7


# ------------------------------------------------------------------ the folder


def test_the_people_of_unequal_frequencies_are_drawn_the_same_again(build):
    again, stored = build.unequal_records(), varied.unequal_records()
    assert again.tolist() == stored["train_x"] + stored["train_y"]


def test_the_folder_has_to_be_named(build, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "build", lambda *arguments: pytest.fail("nobody said where"))
    with pytest.raises(SystemExit) as stopped:
        build.main([])
    assert stopped.value.code == 2 and "--out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_script_runs_by_itself(tmp_path):
    found = subprocess.run([sys.executable, SCRIPT, "--help"], cwd=tmp_path, capture_output=True,
                           text=True, check=True)
    assert "--out OUT" in found.stdout and "--photos" in found.stdout


def test_everything_goes_into_the_folder_and_is_listed_there(build, tmp_path, monkeypatch):
    """The drawing tools are stubbed: one grey picture for every record, and few records."""
    before = (data_folder() / "sha256.json").read_bytes()
    some = {"avatar_records": build.avatar_records()[:12], "face_records": build.face_records()}
    monkeypatch.setattr(build, "N_X", 5)
    monkeypatch.setattr(build, "N_Y", 4)
    monkeypatch.setattr(build, "avatar_records", lambda: some["avatar_records"])
    monkeypatch.setattr(build, "face_records", lambda: tuple(r[:9] for r in some["face_records"]))
    monkeypatch.setattr(build, "draw_avatars", lambda records, style, size, palette=None: np.full(
        (len(records), size, size, 3), 90, np.uint8))
    monkeypatch.setattr(build, "draw_faces", lambda records: np.full(
        (len(records), 16, 16, 3), 30, np.uint8))
    monkeypatch.setattr(build, "build_vgg", lambda folder, craft: (
        folder.mkdir(), (folder / "vgg16_text.safetensors").write_bytes(b"weights")))
    photos = tmp_path / "photos"
    sizes = {"life": (2048, 1000), "china": (640, 427), "chelsea": (451, 300)}
    for name, source in build.SOURCES.items():
        (photos / source).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", sizes.get(name, (90, 60)), (200, 60, 30)).save(photos / source)
    out = tmp_path / "out"
    build.main(["--out", str(out), "--photos", str(photos), "--craft", "unused"])
    files = {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
             for p in out.rglob("*") if p.is_file() and p.parent != out}
    assert json.loads((out / "sha256.json").read_text()) == files
    packs = ("avatars/", "faces/", "photographs/", "vgg/")
    course = json.loads(before)
    assert set(files) == {name for name in course if name.startswith(packs)}
    assert (data_folder() / "sha256.json").read_bytes() == before
    assert (load_sheet(out / "avatars" / "train_y_64.webp", 4, 64) == 90).all()
    # 420 px is the short side: 2048 x .42, and 640 x 420 / 427; what is smaller stays as it is
    for name, size in (("life", (860, 420)), ("china", (630, 420)), ("chelsea", (451, 300))):
        picture = Image.open(out / "photographs" / f"{name}.jpg")
        assert picture.size == size and picture.format == "JPEG"
        assert np.abs(np.asarray(picture).astype(int) - (200, 60, 30)).max() <= 3


def test_a_photograph_that_is_not_there_is_named(build, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"aitzgorri_by.*data/README\.md"):
        build.build_photographs(tmp_path / "out", tmp_path)


def test_every_photograph_has_one_source_of_its_own(build):
    assert tuple(build.SOURCES) == PHOTOGRAPHS
    assert len(set(build.SOURCES.values())) == len(PHOTOGRAPHS)


def wheel(path, names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, name)


def test_packages_are_unpacked_into_one_folder_and_of_a_wheel_only_photographs(
        build, tmp_path, monkeypatch):
    """apt-get, dpkg-deb and pip are stubbed: a package is an empty file, a wheel is a zip."""
    asked = []

    def run(command, cwd=None, **options):
        asked.append([str(part) for part in command])
        if command[:2] == ["apt-get", "download"]:
            (Path(cwd) / f"{command[2]}_1.0_all.deb").touch()
        if "pip" in command:
            wheel(Path(cwd) / "scikit_image-0.26.0.whl",
                  ["skimage/data/coffee.png", "skimage/io.py"])
            wheel(Path(cwd) / "scikit_learn-1.9.1.whl",
                  ["sklearn/datasets/images/china.jpg", "sklearn/svm.py"])

    monkeypatch.setattr(build.subprocess, "run", run)
    assert build.fetch_photographs(tmp_path) == tmp_path
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")}
    packages = {f"{name}_1.0_all.deb" for name in build.DEBIAN}
    assert {name for name in files if name.split(".")[-1] in ("png", "jpg", "py")} == {
        "skimage/data/coffee.png", "sklearn/datasets/images/china.jpg"}
    assert {(tmp_path / name).is_file() for name in packages} == {True}
    unpacked = [Path(c[2]).name for c in asked if c[:2] == ["dpkg-deb", "-x"]]
    assert set(unpacked) == packages and len(unpacked) == 3
    (pip,) = (c for c in asked if "pip" in c)
    assert "--no-deps" in pip and set(build.WHEELS) < set(pip)


def test_photographs_that_cannot_be_fetched_are_asked_for(build, tmp_path, monkeypatch):
    def fails(command, **options):
        raise FileNotFoundError("no apt-get here")

    monkeypatch.setattr(build.subprocess, "run", fails)
    with pytest.raises(RuntimeError, match=r"lomiri-wallpapers-16.04.*no apt-get.*--photos FOLDER"):
        build.fetch_photographs(tmp_path)


# ------------------------------------------------------------------------- VGG


def test_folding_batch_normalisation_into_the_convolution(build):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 2, 5, 4)
    weight, bias = build.folded(conv.weight, conv.bias, (
        norm.weight, norm.bias, norm.running_mean, norm.running_var))
    torch.testing.assert_close(F.conv2d(x, weight, bias, padding=1), norm.eval()(conv(x)),
                               rtol=1e-5, atol=1e-5)


def test_build_reads_the_trunk_and_nothing_else(build, tmp_path):
    """A state dict named like CRAFT's; slice5 has places of its own and must not be read."""
    torch.manual_seed(0)
    trunk = torchvision.models.vgg16_bn(weights=None, num_classes=2).features.eval()
    state = {}
    for key, value in trunk.state_dict().items():
        place = int(key.split(".")[0])
        part = 1 if place < 12 else 2 if place < 19 else 3
        state[f"module.basenet.slice{part}.{key}"] = value
    for k in (0, 3, 7):  # CRAFT's own layers reuse small places
        state[f"module.basenet.slice5.{k}.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "craft.pth")
    build.build_vgg(tmp_path / "vgg", tmp_path / "craft.pth")
    net = VGG16Features("relu3_3")
    load_weights(tmp_path / "vgg" / "vgg16_text.safetensors", {"vgg": net})
    x = torch.rand(2, 3, 16, 8) * 2 - 1
    expected = trunk[:23]((((x + 1) / 2) - net.mean) / net.std)  # relu3_3
    torch.testing.assert_close(net(x), expected, rtol=2e-2, atol=2e-3)  # float16 on disk


# ------------------------------------------------------------------ fresh people


@pytest.fixture(scope="module")
def fresh(build):
    """600 people whom no part of the course has seen, as the shipped packs would draw them."""
    seen = [avatars.records(part) for part in ("train_x", "train_y", "held_out", "validation")]
    people = build.validation_records(torch.cat(seen).numpy(), seed=1)
    x, y = (torch.from_numpy(build.draw_avatars(people, style, 32)).movedim(3, 1)
            for style in ("pixel-art", "voxel-art"))
    return x, to_float(y), torch.from_numpy(people).long()


@redrawn
@pytest.mark.parametrize("name", ["supervised", "cyclegan", "remedies", "registered"])
def test_fresh_people_give_the_published_numbers(fresh, name):
    x, y, people = fresh
    pack = varied.REGISTERED if name == "registered" else AVATARS
    if name == "registered":
        sheets = (avatars.sheet(f"train_{domain}", 32) for domain in "xy")
        x = varied.moved(x, *varied.registration(*sheets))
    asked = [Question(to_float(x), y, people, people)]
    for seed, published in enumerate(runs.shipped_panels(f"avatars_{name}")):
        found = evaluate.panel(runs.load(f"avatars_{name}", seed).translate, pack, questions=asked)
        for number in ("content kept", "translated right", "information kept", "hidden-pair L1"):
            assert found[number] == pytest.approx(published[number], abs=0.03), (seed, number)
