"""`gantutor train`: the folder it leaves, the same command again, other settings, and damage."""

import csv
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image
from toys import assert_same, saved, toy, toy_fit

from gantutor import __main__ as command_line
from gantutor import runs
from gantutor.data.batches import Labelled
from gantutor.own import results, training
from gantutor.own.average import Averaged
from gantutor.portable import load_model
from gantutor.saving import load_state
from gantutor.state import VERSION, Run, checked_settings, fingerprint
from gantutor.training import TrainingDiverged

FILES = {"curve.png", "history.csv", "model.safetensors", "preview.png", "previews", "run.json",
         "state.pt"}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No measuring of threads, a working folder of its own, and Ctrl-C as in a terminal."""
    monkeypatch.setattr(training, "choose_threads", lambda: None)
    monkeypatch.chdir(tmp_path)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def folders(tmp_path):
    """Two folders of small pictures of H != W, and a third."""
    rng = np.random.default_rng(0)
    for name, low in (("photos", 0), ("ink", 128), ("oil", 60)):
        (tmp_path / name).mkdir()
        for k in range(9):
            pixels = rng.integers(low, low + 128, (20, 26, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{k}.jpg")
    return tmp_path


def train(*more, method="direct"):
    """The exit code of `gantutor train`, on the two folders unless --data is given."""
    given = () if "--data" in more or "--labels" in more else ("--x", "photos", "--y", "ink")
    usual = ("--size", "16", "--batch-size", "2", "--steps", "12", "--device", "cpu")
    try:
        command_line.main(["train", method, *given, *usual, *more])
    except SystemExit as stopped:
        return stopped.code
    return 0


def networks(path):
    return {name: dict(net.state_dict()) for name, net in load_model(path).networks.items()}


def interrupted_at(step, monkeypatch):
    """The callback at this step gets a Ctrl-C, once."""
    plain, done = results.Record.__call__, []

    def call(record, now, method, history):
        plain(record, now, method, history)
        if now == step and not done:
            done.append(now)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)  # the signal comes now

    monkeypatch.setattr(results.Record, "__call__", call)


# ------------------------------------------------------------------ what a run leaves


def test_a_run_leaves_a_folder_that_a_person_can_read(folders, capsys):
    assert train("--keep-every", "5") == 0
    run = folders / "runs" / "direct_photos_ink"
    assert {path.name for path in run.iterdir()} == FILES | {"kept"}
    assert {p.name for p in (run / "kept").iterdir()} == {"step_000005.safetensors",
                                                          "step_000010.safetensors"}
    said = json.loads((run / "run.json").read_text())
    assert said["command"].startswith("gantutor train direct --x photos --y ink --size 16")
    assert said["asked"]["x"] == str(folders / "photos") and said["asked"]["lr"] == 1e-3
    assert (said["state"], said["step"], said["domains"]) == ("finished", 12, ["photos", "ink"])
    assert said["versions"]["torch"] == torch.__version__ and said["seconds"] > 0
    rows = list(csv.DictReader((run / "history.csv").open()))
    assert [row["step"] for row in rows] == ["10", "12"] and float(rows[0]["D_y"]) > 0
    model = load_model(run)
    assert model.about["domains"] == ["photos", "ink"] and model.about["size"] == 16
    assert_same(networks(run)["G_xy"], {
        key.removeprefix("average.G_xy."): value
        for key, value in saved(run / "state.pt")["method"].items()
        if key.startswith("average.G_xy.")})
    for picture in [run / "preview.png", run / "curve.png", *(run / "previews").iterdir()]:
        assert Image.open(picture).size[0] > 100
    assert "gantutor translate runs/direct_photos_ink" in capsys.readouterr().out


def test_asked_for_graphs_it_says_why_there_are_none_and_trains(folders, capsys):
    assert train("--graphs") == 0
    assert "CUDA graphs are off: they need a GPU of CUDA" in capsys.readouterr().out
    assert load_model(folders / "runs" / "direct_photos_ink").about["size"] == 16


def test_the_same_command_again_trains_nothing_more(folders, capsys):
    train()
    run = folders / "runs" / "direct_photos_ink"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert train() == 0 and "has finished its 12 steps" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}


@pytest.mark.parametrize("more", [(), ("--no-ema",)])
def test_interrupted_it_goes_on_as_if_nothing_had_happened(more, folders, monkeypatch, capsys):
    train("--out", "whole", *more)
    with monkeypatch.context() as m:
        interrupted_at(6, m)
        assert train("--out", "cut", "--keep-every", "3", *more) == 130
    assert "the same command goes on in cut" in capsys.readouterr().out
    run = json.loads((folders / "cut" / "run.json").read_text())
    assert run["state"] == "interrupted" and saved(folders / "cut" / "state.pt")["step"] == 6
    assert train("--out", "cut", "--keep-every", "3", *more) == 0
    assert_same(networks("whole"), networks("cut"))
    assert json.loads((folders / "cut" / "run.json").read_text())["state"] == "finished"


def test_killed_it_goes_on(folders, monkeypatch):
    """SIGKILL in a process of its own, once before the first state and once after some."""
    monkeypatch.setattr(training, "SAVE_EVERY", 5)
    train("--out", "whole", "--steps", "30", "--lr", "1e-4")
    for kept in ("step_000002", "step_000016"):
        process = os.fork()
        if process == 0:
            torch.set_num_threads(1)
            with suppress(BaseException):
                train("--out", "cut", "--steps", "30", "--lr", "1e-4", "--keep-every", "2")
            os._exit(0)
        for _ in range(6000):
            if (folders / "cut" / "kept" / f"{kept}.safetensors").exists():
                break
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    assert train("--out", "cut", "--steps", "30", "--lr", "1e-4", "--keep-every", "2") == 0
    assert_same(networks("whole"), networks("cut"))


@pytest.mark.parametrize("more", [(), ("--go-on", "--lr", "1e-4")])
def test_a_second_run_in_the_folder_of_a_first_is_refused_and_changes_nothing(more, folders,
                                                                               monkeypatch):
    train("--out", "alone")
    plain, said = results.Record.__call__, []
    monkeypatch.setattr(training, "SAVE_EVERY", 2)

    def call(record, now, method, history):
        plain(record, now, method, history)
        if now == 6 and not said:
            files = {path: path.read_bytes() for path in record.folder.glob("*.*")}
            said.append(train("--out", "mine", *more))
            assert files == {path: path.read_bytes() for path in record.folder.glob("*.*")}

    monkeypatch.setattr(results.Record, "__call__", call)
    assert train("--out", "mine", "--keep-every", "3") == 0
    assert f"run.json: process {os.getpid()} is training" in said[0]
    assert_same(networks("alone"), networks("mine"))


# ------------------------------------------------------------------ other settings


@pytest.mark.parametrize("more, said", [
    (("--steps", "20"), "--steps 12, asked for is 20"), (("--lr", "1e-4"), "--lr 0.001"),
    (("--seed", "1"), "--seed 0"), (("--no-flip",), "--flip True"), (("--no-ema",), "--ema True"),
    (("--crop", "centre"), "--crop random")])
def test_other_settings_are_not_mixed_into_a_run(more, said, folders):
    train("--out", "mine")
    before = networks("mine")
    error = train("--out", "mine", *more)
    assert error.startswith("gantutor train: mine: holds a run with ") and said in error
    assert "--go-on" in error and "\n" not in error
    assert_same(before, networks("mine"))


def test_go_on_trains_further_from_the_weights_of_a_finished_run(folders, monkeypatch):
    train("--out", "mine")
    before = saved(folders / "mine" / "state.pt")["method"]
    assert train("--out", "mine", "--go-on", "--steps", "14", "--lr", "0") == 0
    run = folders / "mine"
    assert (run / "history_before.csv").exists() and (run / "state_before.pt").exists()
    after = saved(run / "state.pt")
    assert after["step"] == 14
    for key in before:
        if key.startswith("method.") and not key.endswith("extra_state"):
            assert torch.equal(before[key], after["method"][key]), key
    assert train("--out", "mine", "--go-on", "--steps", "14", "--lr", "0") == 0  # finished


def test_go_on_that_is_interrupted_at_once_still_begins_with_the_old_weights(folders, monkeypatch):
    train("--out", "whole")
    train("--out", "cut")
    assert train("--out", "whole", "--go-on", "--lr", "2e-3") == 0
    with monkeypatch.context() as m:
        m.setattr(training, "fit", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        train("--out", "cut", "--go-on", "--lr", "2e-3")
    assert not (folders / "cut" / "state.pt").exists()
    assert train("--out", "cut", "--go-on", "--lr", "2e-3") == 0
    assert_same(networks("whole"), networks("cut"))


def test_another_folder_content_is_refused(folders):
    train()
    (folders / "photos" / "0.jpg").unlink()
    json_file = folders / "runs" / "direct_photos_ink" / "run.json"
    json_file.write_text(json_file.read_text().replace('"finished"', '"running"'))
    assert "cannot go on" in train()


def test_from_another_model(folders):
    train("--out", "first")
    assert train("--out", "second", "--from", "first", "--lr", "0") == 0
    assert_same(networks("first"), networks("second"))
    assert "trains G_xy, G_yx" in train("--from", "first", method="cyclegan")
    assert "nowhere" in train("--out", "third", "--from", "nowhere")


def test_the_last_step_ships_where_no_average_is_wanted(folders):
    train("--no-ema", "--out", "mine")
    state, found = saved(folders / "mine" / "state.pt")["method"], networks("mine")["G_xy"]
    assert all(torch.equal(value, state[f"G_xy.{key}"]) for key, value in found.items())


def test_an_average_is_what_ships(folders):
    train("--out", "mine")
    state, found = saved(folders / "mine" / "state.pt")["method"], networks("mine")["G_xy"]
    for key, value in found.items():
        assert torch.equal(value, state[f"average.G_xy.{key}"])
    assert any(not torch.equal(value, state[f"method.G_xy.{key}"]) for key, value in found.items())


# ------------------------------------------------------------------ many domains


def test_stargan_on_one_folder_per_domain(folders):
    (folders / "all").mkdir()
    for name in ("photos", "ink", "oil"):
        (folders / name).rename(folders / "all" / name)
    assert train("--data", "all", method="stargan") == 0
    run = folders / "runs" / "stargan_ink_oil_photos"
    model = load_model(run)
    assert list(model.codes) == ["ink", "oil", "photos"] and model.fixed_size == 16
    assert model.translate(torch.zeros(2, 3, 16, 16), "oil").shape == (2, 3, 16, 16)
    assert "3 domains (ink, oil, photos)" in train("--data", "all", method="cyclegan")
    assert "a model for ink, oil, photos" in train(
        "--data", "all", "--from", str(_renamed(run, folders)), "--out", "x", method="stargan")


def _renamed(run, folders):
    """The same model, after a domain's folder got another name."""
    (folders / "all" / "oil").rename(folders / "all" / "water")
    return run


def test_stargan_on_labels(folders):
    lines = ["file,Dark,Old", *(f"{k}.jpg,{k % 2},{k // 2 % 2}" for k in range(9))]
    (folders / "labels.csv").write_text("\n".join(lines))
    assert train("--x", "photos", "--labels", "labels.csv", "--attributes", "Old",
                 method="stargan") == 0
    assert list(load_model(folders / "runs" / "stargan_Old").codes) == ["Old"]
    assert train("--data", "photos", "--labels", "labels.csv", "--out", "same",
                 "--attributes", "Old", method="stargan") == 0
    assert_same(networks("runs/stargan_Old"), networks("same"))
    assert "--labels goes with --x" in train("--y", "ink", "--labels", "labels.csv",
                                             method="stargan")
    assert "--labels: direct has no attributes" in train("--x", "photos", "--labels", "labels.csv")


def test_a_preview_asks_for_each_domain_and_for_the_other_value_of_each_attribute():
    stack = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    batches = Labelled([(stack, torch.tensor([[0.0, 1]] * 4))], batch_size=2)
    names = {"codes": ["a", "b"]}
    domains = training.preview_of(batches, names | {"exclusive": True}).asked
    assert [(label, code.tolist()[0]) for label, code in domains] == [("a", [1, 0]), ("b", [0, 1])]
    others = training.preview_of(batches, names | {"exclusive": False}).asked
    assert [(label, code.tolist()[0]) for label, code in others] == [("other a", [1, 1]),
                                                                     ("other b", [0, 0])]


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("arguments, code, said", [
    (["train", "cyclegan"], 2, "which pictures? Give --x DIR and --y DIR"),
    (["train", "cycelgan", "--x", "a", "--y", "b"], 2, "for example cyclegan"),
    (["train", "direct", "--x", "photos", "--y", "nowhere"], 1, "--y nowhere: no such folder"),
    (["train", "direct", "--x", "photos"], 1, "--x DIR --y DIR"),
    (["train", "direct", "--x", "photos", "--y", "ink", "--size", "18"], 1, "--size 18"),
    (["train", "direct", "--x", "photos", "--y", "ink", "--steps", "0"], 2, "at least 1"),
    (["train", "direct", "--x", "photos", "--y", "ink", "--device", "abacus"], 1,
     "--device abacus"),
    (["train", "direct", "--x", "photos", "--y", "photos"], 1, "same file")])
def test_errors_are_one_line_that_names_the_option(arguments, code, said, folders, capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.main(arguments)
    if code == 2:
        assert stopped.value.code == 2 and said in capsys.readouterr().err
    else:
        assert stopped.value.code.startswith("gantutor train: ") and said in stopped.value.code


def test_a_run_that_diverges_says_how_to_go_on(folders, monkeypatch):
    def diverge(*_, **__):
        raise TrainingDiverged(7, "generator", "total loss", float("nan"))

    monkeypatch.setattr(training, "fit", diverge)
    assert ("step 7: the generator's total loss is nan. --go-on with a lower --lr than 0.001"
            in train())


def test_a_recipes_name_without_folders_is_the_old_command(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(runs, "train", lambda *run, **more: asked.append((run, more)) or {"L1": 1})
    command_line.main(["train", "retro_cyclegan", "--seed", "3", "--steps", "2"])
    command_line.main(["reproduce", "retro_cyclegan", "--seed", "3", "--steps", "2"])
    assert asked == [(("retro_cyclegan", 3, 2), {"ship": False})] * 2
    assert json.loads(capsys.readouterr().out.partition("}")[0] + "}") == {"L1": 1}


# ------------------------------------------------------------------ damaged files


def damaged(data, rng):
    """The bytes with one accident: a bit, the end, zeros, more bytes, or two pieces exchanged."""
    data, i = bytearray(data), rng.randrange(len(data))
    kind = rng.choice(["bit", "end", "zeros", "more", "exchanged"])
    if kind == "bit":
        data[i] ^= 1 << rng.randrange(8)
    elif kind == "end":
        del data[i:]
    elif kind == "zeros":
        j = min(len(data), i + rng.randrange(1, 2000))
        data[i:j] = bytes(j - i)
    elif kind == "more":
        data[i:i] = rng.randbytes(rng.randrange(1, 50))
    else:
        j = rng.randrange(len(data) - 64)
        i = min(i, len(data) - 64)
        data[i:i + 64], data[j:j + 64] = data[j:j + 64], data[i:i + 64]
    return bytes(data)


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_damaged_state_is_named_or_is_the_same_state(count, tmp_path):
    toy_fit(tmp_path / "good.pt", steps=6)
    data, rng, bad = (tmp_path / "good.pt").read_bytes(), random.Random(count), tmp_path / "bad.pt"
    good, named = load_state(tmp_path / "good.pt", VERSION)["method"], 0
    method, batches = toy()
    run = Run(method, batches, checked_settings(6, 1e-3, 1e-3, (0.5, 0.99), 0.3, True, 1,
                                                "float32"), "cpu")
    run.belongs = fingerprint(run)
    for _ in range(count):
        bad.write_bytes(damaged(data, rng))
        try:
            run.load(bad, weights_only=False)
            training.load_weights_of(bad, method)
        except ValueError as error:
            assert str(bad) in str(error) and "\n" not in str(error)
            named += 1
        else:
            assert_same(dict(good), dict(method.state_dict()))
    assert named > count / 2


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_damaged_run_json_is_named(count, tmp_path):
    results.write_json(tmp_path / "run.json", {"state": "running", "go_on": False,
                                               "asked": {"steps": 12, "lr": 0.001, "x": "/a"}})
    data, rng = (tmp_path / "run.json").read_bytes(), random.Random(count)
    for _ in range(count):
        (tmp_path / "run.json").write_bytes(damaged(data + bytes(64), rng).rstrip(b"\0"))
        try:
            assert isinstance(training.read_run(tmp_path)["asked"], dict)
        except ValueError as error:
            assert "run.json: damaged" in str(error)


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_code_of_a_state_is_run(tmp_path):
    state, touched = tmp_path / "state.pt", tmp_path / "touched"
    torch.save({"gantutor": VERSION, "method": Touch(touched)}, state)
    with pytest.raises(ValueError, match=r"state\.pt: not a gantutor training state"):
        training.load_weights_of(state, toy()[0])
    state.write_bytes(pickle.dumps(Touch(touched)))
    with pytest.raises(ValueError, match=r"state\.pt: not a gantutor training state"):
        training.load_weights_of(state, toy()[0])
    assert not touched.exists()


def test_the_weights_of_other_networks_are_named(tmp_path):
    toy_fit(tmp_path / "state.pt", steps=1)
    for other in (toy(width=5)[0], Averaged(toy()[0])):
        with pytest.raises(ValueError, match=r"state\.pt: the state of other networks"):
            training.load_weights_of(tmp_path / "state.pt", other)


def test_a_history_as_a_table(tmp_path):
    results.write_history(tmp_path / "h.csv", {"step": [10, 20], "late": [float("nan"), 0.125]})
    assert (tmp_path / "h.csv").read_text() == "step,late\n10,\n20,0.125\n"


# ------------------------------------------------------------------ many processes


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cyclegan", "stargan"])
def test_two_processes_of_torchrun_leave_what_one_leaves(folders, method):
    given = (["--data", "sets"] if method == "stargan" else ["--x", "photos", "--y", "ink"])
    if method == "stargan":
        for name in ("photos", "ink"):
            shutil.copytree(folders / name, folders / "sets" / name)
    command = ["-m", "gantutor", "train", method, *given, "--size", "16", "--batch-size", "4",
               "--steps", "12", "--device", "cpu"]
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = {}
    for out, launcher in (("one", []), ("two", many)):
        found = subprocess.run([sys.executable, *launcher, *command, "--out", out], cwd=folders,
                               env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True,
                               text=True, timeout=300)
        assert found.returncode == 0, found.stderr
        said[out] = found.stdout
    assert said["two"].count("is done: gantutor translate two") == 1
    assert {p.name for p in (folders / "one").iterdir()} == {
        p.name for p in (folders / "two").iterdir()}
    one, two = networks(folders / "one"), networks(folders / "two")
    for name, weights in one.items():
        for key, weight in weights.items():
            torch.testing.assert_close(two[name][key], weight, rtol=1e-4, atol=1e-4, msg=key)
    assert json.loads((folders / "two" / "run.json").read_text())["processes"] == 2
