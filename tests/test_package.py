"""What a user of the package meets first: profiles, commands, badges, the README's commands."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gantutor
from gantutor import __main__ as command_line
from gantutor import runs
from gantutor.data import AVATARS, FACES, varied
from gantutor.recipes import FURTHER, LADDER

ROOT = Path(__file__).parent.parent


def test_profile_is_one_of_three(monkeypatch):
    monkeypatch.setenv("GANTUTOR_PROFILE", "gpu")
    assert gantutor.pick(test=1, cpu=2, gpu=3) == 3
    assert gantutor.pick(test=1, cpu=2) == 2
    monkeypatch.delenv("GANTUTOR_PROFILE")
    assert gantutor.profile() == "cpu"
    monkeypatch.setenv("GANTUTOR_PROFILE", "tpu")
    with pytest.raises(ValueError, match="tpu.*test, cpu, gpu"):
        gantutor.profile()


# -------------------------------------------------------------------- badges


@pytest.fixture(scope="module")
def sync():
    """The tool that lies beside the notebooks."""
    specification = importlib.util.spec_from_file_location("sync", ROOT / "notebooks" / "sync.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_badges_rewrite_every_address_and_nothing_else(sync):
    text = ("https://github.com/OWNER/gantutor.git https://colab.research.google.com/github/OWNER/"
            "gantutor/blob/main/a.ipynb https://github.com/OWNER/other")
    assert sync.rewrite(text, "lab/gantutor") == (
        "https://github.com/lab/gantutor.git https://colab.research.google.com/github/lab/"
        "gantutor/blob/main/a.ipynb https://github.com/OWNER/other")


def test_readme_and_notebooks_carry_the_address_of_pyproject(sync):
    name = sync.repository(ROOT)
    for path in [ROOT / "README.md", ROOT / "CITATION.cff", *(ROOT / "notebooks").glob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert sync.rewrite(text, name) == text, f"{path.name}: run python notebooks/sync.py"


def test_ci_runs_exactly_the_readme_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"<!-- tests -->\n```sh\n(.+)\n```", readme)[1]
    dry = (ROOT / ".ci" / "run").read_text().replace('exec sh -c "$command"', "")
    out = subprocess.run(["sh", "-c", dry.replace('"$(dirname "$0")/.."', str(ROOT))],
                         capture_output=True, text=True, check=True)
    assert out.stdout.strip() == command
    assert "pytest" in command and ".[test]" in command


# ---------------------------------------------------------- the one command line


def test_the_command_explains_itself():
    out = subprocess.run([sys.executable, "-m", "gantutor", "--help"], capture_output=True,
                         text=True, check=True, cwd=ROOT)
    assert out.stdout.startswith("usage: gantutor")
    for command in ("train", "translate", "evaluate", "rehearse", "export", "data", "release",
                    "reproduce", "points", "references", "judges", "rejudge", "picture"):
        assert command in out.stdout


@pytest.mark.parametrize("command", ["train", "translate", "evaluate", "rehearse", "export",
                                     "data", "release", "reproduce", "points",
                                     "judges"])
def test_commands_explain_themselves(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"usage: gantutor {command}" in capsys.readouterr().out


def test_the_command_is_installed_under_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"gantutor": "gantutor.__main__:main"}


@pytest.mark.parametrize("arguments, named", [
    (["train", "retro_nothing"], "retro_nothing"), (["train"], "METHOD"),
    (["train", "retro_cycelgan"], "for example retro_cyclegan"),
    (["reproduce", "retro_cycelgan"], "for example retro_cyclegan"), (["reproduce"], "NAME"),
    (["judges", "retro_64"], "retro_64"),
    (["points", "no such rung"], "no such rung"), (["judges", "avatars_48"], "avatars_48"),
    (["paint"], "paint")])
def test_a_wrong_command_is_named(arguments, named, capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.main(arguments)
    assert stopped.value.code == 2 and named in capsys.readouterr().err


def test_points_of_all_rungs_unless_some_are_named(monkeypatch):
    asked = []
    monkeypatch.setattr(runs, "measure_points", lambda rungs, ship: asked.append((rungs, ship)))
    command_line.main(["points"])
    command_line.main(["points", "4 shared, noisy", "ink, relu2_2, 3", "--ship"])
    assert asked == [([], False), (["4 shared, noisy", "ink, relu2_2, 3"], True)]
    assert "4 shared, noisy" in LADDER and "ink, relu2_2, 3" in FURTHER


def test_judges_are_trained_for_the_packs_that_have_one(monkeypatch, capsys):
    trained, juries, listed = [], [], []
    monkeypatch.setattr(command_line, "train_judge", trained.append)
    monkeypatch.setattr(command_line, "train_jury", juries.append)
    monkeypatch.setattr(command_line.evaluate, "judge_accuracy", lambda pack: {"domain": 0.98765})
    monkeypatch.setattr(runs, "list_what_ships", lambda: listed.append(True))
    command_line.main(["judges", "avatars_64"])
    assert trained == juries == [AVATARS.at(64)] and listed == [True]
    assert "avatars at 64 px {'domain': 0.988}" in capsys.readouterr().out
    command_line.main(["judges", "faces_32"])
    assert trained == [AVATARS.at(64), FACES] and juries == [AVATARS.at(64)]
    trained.clear(), juries.clear()
    command_line.main(["judges", "--jury-only"])
    assert trained == [] and juries == [AVATARS, AVATARS.at(64)]
    juries.clear()
    command_line.main(["judges"])
    assert trained == [AVATARS, AVATARS.at(64), FACES, FACES.at(64), *varied.RECOLOURED.values()]
    assert juries == [AVATARS, AVATARS.at(64)]


def test_every_judge_that_is_trained_ships_and_no_other():
    assert {name for name in runs.shipped() if name.startswith("judges/")} == {
        f"judges/{name}.safetensors" for name in (
            "avatars_32", "avatars_64", "faces_32", "faces_64", "avatars_32_jury",
            "avatars_64_jury", "palette_32", "outline_32")}


def test_references_are_measured_into_data(monkeypatch):
    asked = []
    monkeypatch.setattr(runs, "measure_references", lambda ship: asked.append(ship))
    command_line.main(["references"])
    assert asked == [True]


def test_panels_are_written_again_for_every_shipped_run(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(runs, "rejudge", lambda *run: asked.append(run) or {"L1": 0.5})
    command_line.main(["rejudge"])
    files = {f"checkpoints/{name}_{seed}.safetensors" for name, seed in asked}
    assert files == {name for name in runs.shipped() if name.startswith("checkpoints/")}
    assert "avatars_cyclegan_2 {'L1': 0.5}" in capsys.readouterr().out


def test_pictures_are_drawn_and_readme_gets_their_lines(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("a\n<!-- lecture -->\n<!-- end of lecture -->\nb")
    monkeypatch.setattr(command_line, "data_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(command_line.pictures, "draw", lambda: {"lecture": "*It shows this.*"})
    monkeypatch.setattr(runs, "list_what_ships", lambda: None)
    command_line.main(["pictures"])
    assert "\n\n*It shows this.*\n<!-- end" in (tmp_path / "README.md").read_text()


def test_evaluate_judges_a_shipped_run_or_a_file(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(runs, "judge", lambda *run: asked.append(run) or {"L1": 0.5})
    command_line.main(["evaluate", "avatars_cyclegan", "--seed", "2"])
    command_line.main(["evaluate", "avatars_cyclegan", "--file", "runs/mine.safetensors"])
    mine = "runs/mine.safetensors"
    assert asked == [("avatars_cyclegan", 2, None), ("avatars_cyclegan", 0, mine)]
    assert json.loads(capsys.readouterr().out.split("}")[0] + "}") == {"L1": 0.5}
