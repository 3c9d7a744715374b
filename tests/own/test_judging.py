"""`gantutor evaluate`: numbers by hand on tiny pictures, the reference rows, the command."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from toys import star

from gantutor import __main__ as command_line
from gantutor import runs
from gantutor.evaluate.hiding import NOISE_LEVELS
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.stargan import StarGAN
from gantutor.models import SmallDiscriminator, SmallGenerator
from gantutor.own import judging
from gantutor.own.judging import Asked, Nothing, judged
from gantutor.portable import load_model, save_model


def noise(count, low, high, seed=0):
    drawn = torch.rand(count, 3, 12, 16, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * drawn


X, Y = noise(12, -0.9, 0.0, 0), noise(14, 0.0, 0.9, 1)


class Inverter:
    """x -> -x, and its own way back. On X it gives pictures like Y's."""

    def translate(self, x):
        return -x

    back = translate


class Constant:
    """Whatever the input is, the same picture; there is no way back."""

    def translate(self, x):
        return Y[:1].expand_as(x)


def test_a_right_translator_beats_doing_nothing_and_reaches_real_against_real():
    rows = judged(Inverter(), X, Y)
    assert list(rows) == ["the model", "do nothing", "real against real"]
    ours, nothing, real = rows.values()
    assert abs(ours["KID x1000"]) < 0.02 * nothing["KID x1000"]
    assert abs(real["KID x1000"]) < 0.02 * nothing["KID x1000"] and real["KID of halves"] >= 0
    assert ours["changed"] == pytest.approx((2 * X).abs().mean().item(), rel=1e-5)
    assert ours["identity"] == pytest.approx((2 * Y).abs().mean().item(), rel=1e-5)
    assert ours["cycle"] == 0 and ours["diversity"] == pytest.approx(1, abs=0.1)
    assert ours["noise"] == pytest.approx(nothing["noise"], rel=1e-4)  # it hides nothing


def test_the_reference_rows_by_hand():
    _, nothing, real = judged(Constant(), X, Y).values()
    assert nothing["changed"] == nothing["identity"] == nothing["cycle"] == 0
    # the mean of |noise| of standard deviation s is s sqrt(2 / pi), here s = 2 level / 256
    slope = 2 / 256 * (2 / torch.pi) ** 0.5
    area = sum((b - a) * (a + b) / 2 * slope for a, b in pairwise(NOISE_LEVELS))
    assert nothing["noise"] == pytest.approx(area / NOISE_LEVELS[-1], rel=0.02)
    assert real["cycle"] == pytest.approx((X - X.roll(1, 0)).abs().mean().item())
    assert real["diversity"] == 1 and "changed" not in real and "noise" not in real


def test_a_collapsed_translator_without_a_way_back():
    ours = judged(Constant(), X, Y)["the model"]
    assert ours["diversity"] == 0
    assert "cycle" not in ours and "noise" not in ours


class Hider:
    """Leaves the picture as it is, and writes its red into the lowest bits of its blue."""

    def translate(self, x):
        out = x.clone()
        out[:, 0], out[:, 2] = 0.5, (x[:, 2] * 64).round() / 64 + (x[:, 0] + 1) / 600
        return out

    def back(self, y):
        out, steps = y.clone(), (y[:, 2] * 64).floor() / 64
        out[:, 0] = (y[:, 2] - steps) * 600 - 1
        return out.clamp(-1, 1)


def test_a_translator_that_hides_is_sensitive_to_noise():
    rows = judged(Hider(), X, Y)
    assert rows["the model"]["cycle"] < 0.05
    assert rows["the model"]["noise"] > 3 * rows["do nothing"]["noise"]


def test_kid_orders_the_shipped_methods_as_the_truth_does_in_most_splits():
    """What the help text says of KID: its rank correlation with the hidden-pair error."""
    found = []
    for change in ("retro", "ink"):
        for split in range(5):
            panels = [runs.shipped_panel(f"{change}_{kind}", split) for kind in
                      ("shallow", "medium", "deep", "oneway", "cyclegan", "identity")]
            kids, errors = (torch.tensor([panel[key] for panel in panels]).argsort().argsort()
                            for key in ("KID x1000", "hidden-pair L1"))
            found.append(torch.corrcoef(torch.stack([kids, errors]).double())[0, 1].item())
    assert sum(rho > 0.6 for rho in found) >= 7 and min(found) < 0.3, found


def test_the_table_has_a_dash_where_there_is_no_number():
    lines = judging.table(judged(Constant(), X, Y)).splitlines()
    assert lines[0].split() == ["KID", "x1000", "diversity", "changed", "identity", "cycle",
                                "noise"]
    assert lines[1].split()[-2:] == ["-", "-"] and lines[2].startswith("do nothing")
    assert "±" in lines[3] and len({len(line) for line in lines}) == 1


def test_too_few_pictures_are_named():
    with pytest.raises(ValueError, match="y: 3 pictures; expected at least 4"):
        judged(Nothing(), X, Y[:3])


# ------------------------------------------------------------------ the command


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two folders of pictures of H != W, in a working folder."""
    monkeypatch.chdir(tmp_path)
    for name, stack in (("x", X), ("y", Y)):
        (tmp_path / name).mkdir()
        for k, image in enumerate(stack):
            pixels = ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{k:02}.png")
    return tmp_path


def model(path, kind, about=None):
    torch.manual_seed(0)
    small = [SmallGenerator(width=4, blocks=0, downs=1) for _ in range(2)]
    D = [SmallDiscriminator(width=4, layers=2) for _ in range(2)]
    method = {"direct": lambda: Direct(small[0], D[0]), "cyclegan": lambda: CycleGAN(*small, *D),
              "stargan": lambda: star(StarGAN, 2, 2)}[kind]()
    save_model(path, method, {"size": 16} | (about or {}))
    return method


def test_the_command_prints_the_table_and_writes_a_sheet(place, capsys):
    (place / "mine").mkdir()
    method = model(place / "mine" / "model.safetensors", "cyclegan")
    command_line.main(["evaluate", "mine", "--x", "x", "--y", "y", "--limit", "9"])
    out = capsys.readouterr().out
    assert "do nothing" in out and "real against real" in out and "No pairs were used" in out
    found = json.loads((place / "runs" / "judged_mine" / "numbers.json").read_text())
    assert found["pictures"] == {"x": 9, "y": 9} and found["size"] == 16
    stack = judging.pictures(place / "x", 16, 9)
    assert stack.shape == (9, 3, 16, 16)
    with torch.no_grad():
        changed = (method.translate(stack) - stack).abs().mean().item()
    assert found["rows"]["the model"]["changed"] == pytest.approx(changed, rel=1e-4)
    assert found["rows"]["the model"]["cycle"] > 0
    sheet = Image.open(place / "runs" / "judged_mine" / "sheet.png")
    assert sheet.size[0] > sheet.size[1] > 100


def test_stargan_is_asked_for_a_domain(place, capsys):
    model(place / "star.safetensors", "stargan", {"codes": ["calm", "wild"]})
    given = ["evaluate", "star.safetensors", "--x", "x", "--y", "y"]
    with pytest.raises(SystemExit, match="--to: say which domain Y is, of calm, wild"):
        command_line.main(given)
    with pytest.raises(SystemExit, match="no such domain"):
        command_line.main([*given, "--to", "mild"])
    command_line.main([*given, "--to", "wild", "--out", "one"])
    command_line.main([*given, "--to", "wild", "--source", "calm", "--out", "two"])
    one, two = (json.loads((place / name / "numbers.json").read_text())["rows"]["the model"]
                for name in ("one", "two"))
    assert "cycle" not in one and two["cycle"] > 0 and one["changed"] == two["changed"]


def test_there_is_a_way_back_where_the_model_has_one(tmp_path):
    model(tmp_path / "direct.safetensors", "direct")
    model(tmp_path / "cyclegan.safetensors", "cyclegan")
    assert not hasattr(Asked(load_model(tmp_path / "direct.safetensors")), "back")
    assert hasattr(Asked(load_model(tmp_path / "cyclegan.safetensors")), "back")


@pytest.mark.parametrize("arguments, code, said", [
    (["evaluate", "mine"], 2, "evaluate mine: which pictures?"),
    (["evaluate", "mine", "--x", "x"], 1, "two folders of pictures are needed"),
    (["evaluate", "nowhere", "--x", "x", "--y", "y"], 1, "nowhere"),
    (["evaluate", "m.safetensors", "--x", "x", "--y", "z"], 1, "z: no such folder"),
    (["evaluate", "m.safetensors", "--x", "x", "--y", "y", "--size", "17"], 1,
     "--size 17: this model takes multiples of 2")])
def test_errors_name_what_is_missing(arguments, code, said, place, capsys):
    model(place / "m.safetensors", "direct")
    with pytest.raises(SystemExit) as stopped:
        command_line.main(arguments)
    if code == 2:
        assert stopped.value.code == 2 and said in capsys.readouterr().err
    else:
        assert stopped.value.code.startswith("gantutor evaluate: ") and said in stopped.value.code


def test_a_model_is_called_by_its_file_or_by_its_run():
    assert judging.name_of("data/checkpoints/ink_0.safetensors") == "ink_0"
    assert judging.name_of("runs/mine/model.safetensors") == "mine"
    assert judging.name_of("runs/mine") == "mine"

