"""The packs are the documented files, the pairs stay hidden, and a pack of one's own is a value."""

import ast
import hashlib
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import gantutor
from gantutor import recipes, runs, saving
from gantutor.data import (
    AVATARS,
    FACES,
    INK,
    MONOCHROMES,
    RETRO,
    avatars,
    ink,
    photographs,
    to_float,
)
from gantutor.data.batches import Labelled, Paired, Unpaired, to_uint8
from gantutor.data.packs import Pack, Question, grainy, load_sheet, not_quite_y
from gantutor.data.photographs import split
from gantutor.evaluate import chance, confusion, do_nothing, held_out_pairs, judge_accuracy, panel
from gantutor.evaluate.judges import judge_path, load_judge, train_judge
from gantutor.methods.supervised import Supervised
from gantutor.models import SmallGenerator

DATA = saving.data_folder()
PACKAGE = Path(gantutor.__file__).parent

# -------------------------------------------------------------------- files


@pytest.mark.parametrize("name", runs.shipped())
def test_file_is_the_documented_one(name):
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == runs.shipped()[name]


def test_every_file_in_the_folders_of_data_has_a_checksum():
    files = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*")
             if p.is_file() and p.parent != DATA and p.parent.name != "__pycache__"}
    assert files == set(runs.shipped())


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
    with pytest.raises(FileNotFoundError, match=r"sheet\.webp.*python data/build\.py --out data"):
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
    monkeypatch.setattr(saving, "__file__", str(tmp_path / "gantutor" / "saving.py"))
    with pytest.raises(FileNotFoundError, match=r"expected data/sha256\.json.*checkout.*wheel"):
        avatars.unpaired(32)


# ------------------------------------------------------------- hidden pairs

TRAINING = [  # what training draws from, and the files it may open
    (AVATARS.unpaired, {"train_x_32.webp", "train_y_32.webp"}),
    *((partial(photographs.unpaired, change=change, split=number, count=10),
       {f"{name}.jpg" for name in split(number).train_x + split(number).train_y})
      for change, number in ((photographs.retro, 0), (ink, 3))),
    (MONOCHROMES.unpaired, {"train_x_32.webp"}),
    (FACES.unpaired, {"appearance.webp", "expression.webp"})]


@pytest.mark.parametrize("unpaired, files", TRAINING, ids=["avatars", "retro", "ink", "monochromes",
                                                           "faces"])
def test_training_reaches_no_hidden_pair(monkeypatch, unpaired, files):
    opened = []
    photographs.photograph.cache_clear()
    photographs.stack.cache_clear()
    open_image = Image.open

    def watched(path, *arguments, **named):
        opened.append(Path(path).name)
        return open_image(path, *arguments, **named)

    monkeypatch.setattr(Image, "open", watched)
    pack = unpaired(32, 4, 0)
    assert set(pack.next_batch()) == ({"x", "code"} if "appearance.webp" in files else {"x", "y"})
    assert set(opened) == files
    assert not any(value for name, value in vars(pack).items()
                   if "hidden" in name or "record" in name)


def test_only_the_packs_name_the_hidden_files():
    naming = {p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py")
              if re.search("[\"']hidden_", p.read_text())}
    assert naming == {"data/avatars.py", "data/faces.py", "data/varied.py"}


def test_only_evaluate_asks_for_questions_and_only_ceilings_and_judges_for_pairs():
    asking = {"questions": set(), "paired": set(), "validation": set(), "on_validation": set()}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in asking:
                asking[node.attr].add(path.relative_to(PACKAGE).as_posix())
    assert asking == {"questions": {"evaluate/__init__.py", "pictures.py"},  # to be looked at
                      # ceilings, judges, and rows that say they see a few pairs
                      "paired": {"rows.py", "evaluate/jury.py", "comparison.py", "own/worth.py"},
                      "validation": {"data/packs.py"},
                      "on_validation": {"data/packs.py", "rows.py", "comparison.py", "faults.py"}}


# ------------------------------------------------- what a judge has to refuse


@pytest.mark.parametrize("drawn", [False, True])
def test_not_quite_y_are_blends_and_wrong_tints_and_for_drawings_blur_and_noise(drawn):
    n = 400
    x = torch.full((n, 3, 6, 8), -0.6)
    y = torch.full((n, 3, 6, 8), 0.2)
    y[..., ::2] = 0.3  # stripes, so that a blur shows
    fake = not_quite_y(x, y, torch.Generator().manual_seed(0), drawn)
    assert fake.shape == y.shape and fake.abs().max() <= 1
    rest = torch.arange(n) % 4 >= (2 if drawn else 0)
    blends, tints = fake[: n // 2][rest[: n // 2]], fake[n // 2:][rest[n // 2:]]
    share = ((blends - y[0]) / (x[0] - y[0])).flatten(1)  # how much of x is left
    assert (share - share[:, :1]).abs().max() < 1e-5
    assert share.min() >= 0.4 - 1e-5 and share.max() <= 1 + 1e-5
    assert share[:, 0].std() == pytest.approx(0.6 / 12**0.5, rel=0.15)  # uniform between them
    gain = (tints + 1) / (y[0] + 1)  # black stays black, a half more or less
    assert set(gain.flatten().mul(100).round().int().tolist()) == {50, 150}
    assert (gain - gain[:, :, :1, :1]).abs().max() < 1e-5  # one gain a channel
    if drawn:
        soft, noisy = fake[::4], fake[1::4]
        assert soft[..., 2:-2].std(-1).max() < 0.03 < y[..., 2:-2].std(-1).min()
        assert 0.1 < (noisy - y[1::4]).flatten(1).std(1).min()


def test_grain_is_faint():
    grain = grainy(torch.zeros(20, 3, 16, 24))
    assert grain.std().item() == pytest.approx(0.03, rel=0.05)


def test_judges_are_trained_on_blends():
    """Y and what is not Y side by side; a pack's own pairs make the blends."""
    images, is_y, _ = AVATARS.judged(32, torch.Generator().manual_seed(0))()
    x, y = (to_float(avatars.sheet(name, 32)) for name in ("train_x", "hidden_train"))
    place = [(x - image).flatten(1).abs().mean(1).argmin().item() for image in images[64:96]]
    blends = torch.arange(16)[torch.arange(16) % 4 >= 2]
    x, y, fake = x[place][blends], y[place][blends], images[96:112][blends]
    differ = (x - y).abs() > 0.5
    share = torch.stack([((f - b) / (a - b))[d].median() for f, a, b, d in
                         zip(fake, x, y, differ, strict=True)])
    assert not is_y[64:].any() and 0.38 < share.min() and share.max() < 1.02
    assert share.std() > 0.05


# ---------------------------------------------------------- a pack of one's own
# All that it takes: unpaired batches, pairs, a question, attributes, what its judge must know.

VALUES = {"shade": 3, "side": 2}


def people(n, seed):
    """(N, 2) records, every value of both attributes among them."""
    rows = torch.arange(n) + seed
    return torch.stack([rows % 3, rows // 3 % 2], 1)


def drawn(records, size, in_y):
    """A bar, left or right, in one of three shades; Y shows it in blue instead of in red."""
    images = torch.full((len(records), 3, size, size), -1.0)
    for image, (shade, side) in zip(images, records.tolist(), strict=True):
        half = slice(0, size // 2) if side else slice(size // 2, size)
        image[2 if in_y else 0, :, half] = shade / 2
    return images


def tiny(folder, size=16):
    """The whole pack: one value, made of six functions."""
    def unpaired(size, batch_size, seed):
        return Unpaired(to_uint8(drawn(people(24, 0), size, False)),
                        to_uint8(drawn(people(24, 1), size, True)), batch_size, seed)

    def paired(size, batch_size, seed):
        return Paired(*(to_uint8(drawn(people(24, 0), size, in_y)) for in_y in (False, True)),
                      batch_size, seed)

    def questions(size):
        records = people(30, 2)
        return [Question(*(drawn(records, size, in_y) for in_y in (False, True)), records, records)]

    def judged(size, generator):
        def draw():
            records = people(12, int(torch.randint(6, (), generator=generator)))
            x, y = drawn(records, size, False), drawn(records, size, True)
            fake = torch.cat([x, not_quite_y(x, y, generator, True)])
            return grainy(torch.cat([y, fake])), torch.arange(36) < 12, records

        return draw

    return Pack("tiny", size, unpaired, paired, questions, VALUES, judged, judge_steps=150,
                judges=folder)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    pack = tiny(tmp_path_factory.mktemp("judges"))
    train_judge(pack)
    return pack


def test_a_pack_of_ones_own_has_its_judge_where_it_says(own):
    assert judge_path(own) == own.judges / "tiny_16.safetensors" and judge_path(own).is_file()
    assert judge_path(AVATARS) == DATA / "judges" / "avatars_32.safetensors"
    accuracy = judge_accuracy(own)
    assert list(accuracy) == ["domain", "shade", "side"] and min(accuracy.values()) == 1
    with pytest.raises(FileNotFoundError, match=r"tiny_8\.safetensors"):
        load_judge(own.at(8))


def test_a_pack_of_ones_own_is_measured_like_the_courses(own):
    x, y, records = held_out_pairs(own)
    swap = panel(lambda images: images.flip(1), own, back=lambda images: images.flip(1))
    assert swap["translated right"] == swap["content kept"] == swap["domain reached"] == 1
    assert swap["hidden-pair L1"] == 0 == swap["cycle L1"]
    assert swap["by attribute"] == {"shade": 1, "side": 1}
    nothing = do_nothing(own)
    assert nothing["hidden-pair L1"] == pytest.approx(F.l1_loss(x, y).item())
    assert nothing["domain reached"] == nothing["translated right"] == 0
    mirrored = panel(lambda images: images.flip(1, 3), own)
    assert mirrored["by attribute"]["side"] == 0 and mirrored["domain reached"] == 1
    assert mirrored["information by attribute"] == {"shade": pytest.approx(1),
                                                    "side": pytest.approx(1)}  # renamed, not lost
    assert mirrored["content kept"] == 0.5 and mirrored["information kept"] == pytest.approx(1)
    blank = panel(lambda images: torch.full_like(images, -1.0), own)
    assert blank["information by attribute"] == {"shade": 0, "side": 0}
    assert chance(own) == {"shade": pytest.approx(1 / 3), "side": 0.5}
    counts = confusion(lambda images: images.flip(1), "shade", own)
    assert torch.equal(counts, torch.diag(records[:, 0].bincount()))
    turned = confusion(lambda images: images.flip(1, 3), "side", own)
    assert torch.equal(turned, torch.diag(records[:, 1].bincount()).flip(1))


def test_a_pack_of_ones_own_needs_a_row_and_no_more(own):
    row = recipes.row(own, lambda: Supervised(SmallGenerator(width=8, blocks=1)), steps=60,
                      lr=5e-3, batch_size=8, paired=True)
    method, history = runs.trained(row, progress=False)
    assert history["step"][-1] == 60 and type(row.batches(4, 0)) is Paired
    found = row.judge(method)
    assert found["hidden-pair L1"] < 0.5 * do_nothing(own)["hidden-pair L1"]
    assert type(recipes.row(own, Supervised, 1).batches(4, 0)) is Unpaired


def test_a_pack_of_ones_own_can_have_validation_and_splits(own):
    """Two more functions; whatever has one division only stays as it is."""
    assert own.split(3) is own
    with pytest.raises(ValueError, match="tiny at 16 px: this pack has no validation images"):
        own.on_validation()

    def divided(number):
        def ask(shift, size):
            records = people(30, shift + number)
            return [Question(*(drawn(records, size, in_y) for in_y in (False, True)), records,
                             records)]

        return own._replace(questions=partial(ask, 2), validation=partial(ask, 3), divide=divided)

    pack = divided(0)
    for asked, shift in ((pack, 2), (pack.split(1), 3), (pack.on_validation(), 3),
                         (pack.on_validation().split(1), 4), (pack.split(1).on_validation(), 4)):
        assert torch.equal(held_out_pairs(asked)[2], people(30, shift))
    assert divided(0).at(8).on_validation().split(1).size == 8
    row = recipes.row(pack, lambda: Supervised(SmallGenerator(width=8, blocks=1)), steps=1)
    method = runs.trained(row, progress=False)[0]
    for seed in (0, 1):  # a run of this seed is judged on this split
        assert row.judge(method, seed) == panel(method.translate, pack.split(seed))


def test_a_pack_of_edits_of_ones_own(own):
    """A method that is told by a code what to draw; no set of this pack knows less than another."""
    def code(records, attribute):
        return F.one_hot(records[:, 1], 2).float()

    def questions(size):
        records = people(30, 2)
        other = records.clone()
        other[:, 1] = 1 - other[:, 1]
        return [Question(drawn(records, size, True), drawn(other, size, True), records, other,
                         "side")]

    def unpaired(size, batch_size, seed):
        records = people(24, 0)
        return Labelled([(to_uint8(drawn(records, size, True)), code(records, "side"))],
                        batch_size, seed)

    edits = own._replace(unpaired=unpaired, questions=questions, code=code)

    def editor(x, code):
        right = (x[:, 2, :, :8].mean((1, 2)) > x[:, 2, :, 8:].mean((1, 2))) == code[:, 1].bool()
        return torch.where(right[:, None, None, None], x, x.flip(3))

    assert set(edits.unpaired(16, 4, 0).next_batch()) == {"x", "code"}
    found = panel(editor, edits)
    assert found["edit success"] == found["others kept"] == 1 and found["hidden-pair L1"] == 0
    assert set(found["by attribute"]) == {"side"} and "other set's kept" not in found
    apart = panel(editor, edits._replace(labelled_apart=(("shade",), ("side",))))
    assert apart["other set's kept"] == 1
    assert do_nothing(edits)["edit success"] == 0
    assert judge_accuracy(edits) == {"shade": 1, "side": 1}


def test_a_pack_says_what_it_is():
    assert str(RETRO) == "retro at 64 px" and str(AVATARS.at(64)) == "avatars at 64 px"
    assert str(INK.split(3).on_validation()) == "ink at 64 px"
    assert AVATARS.at(64).questions is AVATARS.questions and AVATARS.size == 32
    for pack in (MONOCHROMES, RETRO, INK):
        with pytest.raises(ValueError, match=f"{pack}: this pack has no judge"):
            train_judge(pack)
