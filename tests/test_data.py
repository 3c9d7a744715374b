"""The packs are the ones documented, the pairs stay hidden, batches are unpaired."""

import hashlib
import importlib.util
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from gantutor import data
from gantutor.data import Unpaired, crops, load_sheet, retro, to_float, to_uint8

DATA = data.data_folder()
SHA256 = json.loads((DATA / "sha256.json").read_text())
PINNED = "13.0.0"  # pillow, in pyproject's extra `data`


def stack(n, size=4, seed=0):
    """uint8 images that carry their index in every pixel of the first channel."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, size, size + 2), generator=generator).to(torch.uint8)
    images[:, 0] = torch.arange(n).view(n, 1, 1).to(torch.uint8)
    return images


def indices(images):
    return to_uint8(images)[:, 0, 0, 0].tolist()


# -------------------------------------------------------------------- packs


@pytest.mark.parametrize("name", SHA256)
def test_pack_file_is_the_documented_one(name):
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == SHA256[name]


def test_every_pack_file_has_a_checksum():
    files = {str(p.relative_to(DATA)) for pack in ("avatars", "faces", "landscapes", "vgg")
             for p in (DATA / pack).iterdir()}
    assert files == set(SHA256)


@pytest.mark.parametrize("size", [32, 64])
def test_avatars_shapes(size):
    pack = data.avatars(size, batch_size=5)
    for name in "xy":
        images = pack.stacks[name]
        assert images.shape == (2500, 3, size, size) and images.dtype == torch.uint8
        assert len(images.flatten(1).unique(dim=0)) > 2400  # no record drawn twice, no blanks
        assert pack.next_batch()[name].shape == (5, 3, size, size)
    records = {part: data.avatar_records(part) for part in ("train_x", "train_y", "held_out")}
    assert [len(r) for r in records.values()] == [2500, 2500, 300]
    for r in records.values():
        assert r.dtype == torch.int64 and r.shape[1] == len(data.ATTRIBUTES)
        assert r.amin(0).tolist() == [0] * 8
        assert r.amax(0).tolist() == [3, 5, 4, 3, 1, 1, 1, 1]


def test_train_x_train_y_and_held_out_records_are_disjoint():
    parts = [[tuple(r) for r in data.avatar_records(part).tolist()]
             for part in ("train_x", "train_y", "held_out")]
    sets = [set(part) for part in parts]
    assert [len(s) for s in sets] == [2500, 2500, 300]
    assert sets[0].isdisjoint(sets[1] | sets[2]) and sets[1].isdisjoint(sets[2])


def test_no_photograph_is_on_two_sides():
    count = Counter(name for part in data.SPLIT.values() for name in part)
    assert set(count) == set(data.PHOTOGRAPHS) and set(count.values()) == {1}
    pictures = [(DATA / "landscapes" / f"{name}.jpg").read_bytes() for name in count]
    assert len(set(pictures)) == len(data.PHOTOGRAPHS)


@pytest.mark.parametrize("function", [data.avatars, lambda: data.landscapes(32, count=8)])
def test_training_reaches_no_hidden_pair(monkeypatch, function):
    opened = []
    open_image = Image.open

    def watched(path, *arguments, **named):
        opened.append(Path(path).name)
        return open_image(path, *arguments, **named)

    monkeypatch.setattr(Image, "open", watched)
    pack = function()
    assert set(pack.next_batch()) == {"x", "y"} == set(pack.stacks)
    expected = ({"train_x_32.webp", "train_y_32.webp"} if function is data.avatars else
                {f"{n}.jpg" for part in ("train_x", "train_y") for n in data.SPLIT[part]})
    assert set(opened) == expected
    assert not any(value for name, value in vars(pack).items()
                   if "hidden" in name or "record" in name)


def test_only_evaluate_and_build_name_the_hidden_files():
    package = Path(data.__file__).parent
    naming = {p.name for p in package.rglob("*.py") if "hidden_" in p.read_text()}
    assert naming == {"evaluate.py", "edits.py", "build.py"}


def tools():
    return (all(importlib.util.find_spec(m) for m in ("dicebear", "dicebear_styles", "resvg_py"))
            and PIL.__version__ == PINNED)


@pytest.mark.skipif(not tools(), reason="redrawing needs the extra `data`: pip install -e .[data]")
def test_avatars_drawn_again_are_the_same_to_the_pixel():
    from gantutor import build

    records = torch.cat([data.avatar_records(p) for p in ("train_x", "train_y", "held_out")])
    assert np.array_equal(build.avatar_records(), records.numpy())
    sheets = {"train_x": ("train_x", "hidden_train"), "train_y": (None, "train_y"),
              "held_out": ("hidden_x", "hidden_y")}
    for part, names in sheets.items():
        table = data.avatar_records(part)
        some = torch.arange(7) * (len(table) // 7) + 3  # 20 pictures and one, all over the sheet
        for style, name in zip(("pixel-art", "voxel-art"), names, strict=True):
            for size in (32, 64) if name else ():
                images = load_sheet(DATA / "avatars" / f"{name}_{size}.webp", len(table), size)
                drawn = build.draw_avatars(table[some].numpy(), style, size)
                assert np.array_equal(images[some].permute(0, 2, 3, 1).numpy(), drawn), name


# ------------------------------------------------------------------ batches


def test_batches_are_float_images():
    batch = Unpaired(stack(9), stack(7, seed=1), batch_size=3).next_batch()
    assert set(batch) == {"x", "y"}
    for images in batch.values():
        assert images.dtype == torch.float32 and images.shape == (3, 3, 4, 6)
        assert -1 <= images.min() < -0.9 and 0.9 < images.max() <= 1


def test_every_epoch_is_a_permutation_of_each_domain():
    x, y = stack(12), stack(20, seed=1)
    pack = Unpaired(x, y, batch_size=4)
    drawn = {"x": [], "y": []}
    for _ in range(15):
        for name, images in pack.next_batch().items():
            drawn[name] += indices(images)
    for name, n in (("x", 12), ("y", 20)):
        epochs = [drawn[name][k:k + n] for k in range(0, 60, n)]
        assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_images_are_not_changed_on_their_way():
    x = stack(5)
    pack = Unpaired(x.clone(), stack(5, seed=1), batch_size=5)
    images = pack.next_batch()["x"]
    assert torch.equal(to_uint8(images), x[indices(images)])
    assert torch.equal(pack.stacks["x"], x)


def test_flip_mirrors_some_images_left_to_right():
    x = stack(8)
    pack = Unpaired(x, stack(8, seed=1), batch_size=8, flip=True)
    seen = Counter()
    for _ in range(10):
        images = to_uint8(pack.next_batch()["x"])
        for image in images:
            original = x[image[0, 0, 0].item()]
            mirrored = torch.equal(image, original.flip(-1)) and not torch.equal(image, original)
            assert mirrored or torch.equal(image, original)
            seen[mirrored] += 1
    assert 20 < seen[True] < 60 and sum(seen.values()) == 80


def test_x_and_y_are_drawn_without_regard_to_each_other():
    n = 200
    pack = Unpaired(stack(n), stack(n, seed=1), batch_size=8)
    pairs = []
    for _ in range(250):  # ten epochs
        batch = pack.next_batch()
        pairs += zip(indices(batch["x"]), indices(batch["y"]), strict=True)
    a, b = np.array(pairs).T
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.08  # 2,000 pairs: standard deviation 0.022
    assert (a == b).mean() < 0.02               # chance: 0.005; same-index pairing: 1


def test_seeds():
    def first(seed):
        return Unpaired(stack(50), stack(50, seed=1), 8, seed).next_batch()["x"]

    assert torch.equal(first(3), first(3)) and not torch.equal(first(3), first(4))


def test_a_state_continues_identically():
    x, y = stack(10), stack(13, seed=1)
    pack = Unpaired(x, y, batch_size=4, seed=1, flip=True)
    for _ in range(4):
        pack.next_batch()
    state = pack.state_dict()
    later = [pack.next_batch() for _ in range(9)]
    again = Unpaired(x, y, batch_size=4, seed=99, flip=True)
    again.next_batch()
    again.load_state_dict(state)
    for batch in later:
        other = again.next_batch()
        assert torch.equal(batch["x"], other["x"]) and torch.equal(batch["y"], other["y"])


def test_unusable_stacks_are_refused():
    good = stack(8)
    with pytest.raises(ValueError, match="y: 3 images are fewer than a batch of 8"):
        Unpaired(good, stack(3), batch_size=8)
    with pytest.raises(ValueError, match="x: expected uint8.*float32"):
        Unpaired(to_float(good), good)
    with pytest.raises(ValueError, match=r"y: expected.*\(8, 4, 6, 3\)"):
        Unpaired(good, good.permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match=r"x: expected.*\(3, 4, 6\)"):
        Unpaired(good[0], good)
    with pytest.raises(ValueError, match="one size"):
        Unpaired(good, stack(8, size=5))


def test_uint8_round_trip_is_exact():
    every = torch.arange(256).to(torch.uint8).repeat(3).view(1, 3, 16, 16)
    floats = to_float(every)
    assert (floats.min(), floats.max()) == (-1, 1) and torch.equal(to_uint8(floats), every)
    assert to_uint8(torch.tensor([-3.0, -1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]
    assert every.sum() == torch.arange(256).sum() * 3  # to_float works on a copy


# --------------------------------------------------------------- landscapes


def test_retro_by_hand(monkeypatch):
    # Grey 0.5 (0 in [-1, 1]) stays grey when it gets paler; then red .16 + .84/2, green
    # .09 + .81/2, blue .17 + .49/2; the vignette takes 0.2 (u^2 + v^2): 0, 0.4 in a corner.
    grey, seed = torch.zeros(2, 3, 5, 7), 5
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
        clean = retro(grey, torch.Generator()).add(1).div(2)
    curve = np.array([0.58, 0.495, 0.415])
    assert clean[1, :, 2, 3].numpy() == pytest.approx(curve, abs=1e-6)
    assert clean[1, :, 0, 0].numpy() == pytest.approx(curve * 0.6, abs=1e-6)
    assert clean[0, :, 4, 6].numpy() == pytest.approx(curve * 0.6, abs=1e-6)
    # u = -1 at the left edge, 0 in the middle row
    assert clean[0, :, 2, 0].numpy() == pytest.approx(curve * 0.8, abs=1e-6)
    # the grain: one value for all three channels, standard deviation 0.01 of full scale
    image = torch.zeros(4, 3, 64, 64)
    grainy = retro(image, torch.Generator().manual_seed(seed)).add(1).div(2)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
        grain = grainy - retro(image, torch.Generator()).add(1).div(2)
    assert torch.allclose(grain[:, 0], grain[:, 2], atol=1e-6)
    assert grain.std().item() == pytest.approx(0.01, rel=0.05)
    assert not torch.allclose(grain[0], grain[1], atol=1e-4)


def test_retro_makes_colours_paler(monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(shape))
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 3, 3)
    # luma .299; .299 + .6 x (1 - .299) = .7196; .299 x .4 = .1196; then the curves
    found = retro(red, torch.Generator())[0, :, 1, 1].add(1).div(2).numpy()
    expected = [0.16 + 0.84 * 0.7196, 0.09 + 0.81 * 0.1196, 0.17 + 0.49 * 0.1196]
    assert found == pytest.approx(expected, abs=1e-5)


def test_retro_is_deterministic_and_in_range():
    images = to_float(crops(["life"], 4, 24))
    one, two, other = (retro(images, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == images.shape and one.min() >= -1 and one.max() <= 1


def test_crops_are_seeded_and_no_empty_sky():
    some, same, other = (crops(["sunset", "life"], 12, 32, seed) for seed in (3, 3, 4))
    assert some.shape == (12, 3, 32, 32) and some.dtype == torch.uint8
    assert torch.equal(some, same) and not torch.equal(some, other)
    luma = (some.float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    assert luma.flatten(1).std(1, correction=0).min() >= 0.06 * 255 - 0.6  # PIL rounds its L
    assert len(some.flatten(1).unique(dim=0)) == 12


def test_landscapes():
    pack = data.landscapes(size=32, batch_size=3, count=10)
    assert [s.shape for s in pack.stacks.values()] == [(10, 3, 32, 32)] * 2
    blue = {name: images[:, 2].max().item() / 255 for name, images in pack.stacks.items()}
    assert blue["y"] < 0.66 + 0.06 < 0.8 < blue["x"]  # Y alone is retro: blue is cut in the lights
    assert {k: v.shape for k, v in pack.next_batch().items()} == {
        "x": (3, 3, 32, 32), "y": (3, 3, 32, 32)}
    assert torch.equal(pack.stacks["x"], crops(data.SPLIT["train_x"], 10, 32, seed=1))


# ------------------------------------------------------------------- errors


def test_load_sheet_cuts_row_by_row(tmp_path):
    sheet = np.arange(2 * 3 * 3 * 3 * 3, dtype=np.uint8).reshape(6, 9, 3)  # 2 rows of 3, 3 px
    Image.fromarray(sheet).save(tmp_path / "s.png")
    images = load_sheet(tmp_path / "s.png", 5, 3)
    assert images.shape == (5, 3, 3, 3)
    for k in range(5):
        row, column = divmod(k, 3)
        cut = sheet[3 * row:3 * row + 3, 3 * column:3 * column + 3]
        assert np.array_equal(images[k].permute(1, 2, 0).numpy(), cut)


def test_load_sheet_names_the_file(tmp_path):
    path = tmp_path / "sheet.webp"
    with pytest.raises(FileNotFoundError, match=r"sheet\.webp.*gantutor\.data build"):
        load_sheet(path, 3, 8)
    Image.new("RGB", (16, 8)).save(path, lossless=True)
    with pytest.raises(ValueError, match=r"sheet\.webp: holds 2 images of 8 px, expected 3"):
        load_sheet(path, 3, 8)
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(ValueError, match=r"sheet\.webp"):
        load_sheet(path, 3, 8)
    shutil.copy(DATA / "avatars" / "hidden_x_32.webp", path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"sheet\.webp"):
        load_sheet(path, 300, 32)


def test_missing_packs_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "__file__", str(tmp_path / "gantutor" / "data.py"))
    with pytest.raises(FileNotFoundError, match=r"data/sha256\.json.*gantutor\.data build"):
        data.avatars(32)


def test_avatars_are_drawn_at_two_sizes():
    with pytest.raises(ValueError, match="size=48.*32 and at 64"):
        data.avatars(48)


def test_shuffled_colours_only_change_places():
    images = torch.rand(300, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    shuffled = data.shuffled_colours(images, 0.5)
    assert torch.equal(images, before)
    torch.testing.assert_close(shuffled.sort(1).values, images.sort(1).values)
    moved = (shuffled != images).flatten(1).any(1).float().mean()
    assert moved == pytest.approx(0.5 * 5 / 6, abs=0.1)
    assert torch.equal(data.shuffled_colours(images, 0.0), images)
    orders = {tuple(a.mean((1, 2)).argsort().argsort().tolist()) for a in
              data.shuffled_colours(images[:1].expand(200, -1, -1, -1), 1.0)}
    assert len(orders) == 6
