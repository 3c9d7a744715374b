"""What a user of the package meets first: profiles, commands, badges, the README's commands."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gantutor
from gantutor import __main__ as command_line
from gantutor import badges, recipes

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


def test_badges_rewrite_every_address_and_nothing_else():
    text = ("https://github.com/OWNER/gantutor.git https://colab.research.google.com/github/OWNER/"
            "gantutor/blob/main/a.ipynb https://github.com/OWNER/other")
    assert badges.rewrite(text, "lab/gantutor") == (
        "https://github.com/lab/gantutor.git https://colab.research.google.com/github/lab/"
        "gantutor/blob/main/a.ipynb https://github.com/OWNER/other")


def test_readme_and_notebooks_carry_the_address_of_pyproject():
    name = badges.repository(ROOT)
    for path in [ROOT / "README.md", *(ROOT / "notebooks").glob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert badges.rewrite(text, name) == text, f"{path.name}: run python -m gantutor.badges"


def test_ci_runs_exactly_the_readme_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"<!-- tests -->\n```sh\n(.+)\n```", readme)[1]
    dry = (ROOT / ".ci" / "run").read_text().replace('exec sh -c "$command"', "")
    out = subprocess.run(["sh", "-c", dry.replace('"$(dirname "$0")/.."', str(ROOT))],
                         capture_output=True, text=True, check=True)
    assert out.stdout.strip() == command
    assert "pytest" in command and ".[test]" in command


def test_train_then_evaluate_from_the_command_line(tmp_path, monkeypatch, capsys):
    def path(name, seed):
        return tmp_path / f"{name}_{seed}.safetensors"

    monkeypatch.setattr(recipes, "checkpoint_path", path)
    command_line.main(["train", "avatars_cyclegan", "--seed", "5", "--steps", "2"])
    trained = json.loads(capsys.readouterr().out)
    command_line.main(["evaluate", "avatars_cyclegan", "--seed", "5"])
    judged = json.loads(capsys.readouterr().out)
    assert judged["hidden-pair L1"] == pytest.approx(trained["hidden-pair L1"], rel=1e-4)
    assert recipes.shipped_panel("avatars_cyclegan", 5) == trained


def test_unknown_recipe_is_named():
    with pytest.raises(ValueError, match="landscapes_nothing.*landscapes_cyclegan"):
        recipes.make("landscapes_nothing")


@pytest.mark.parametrize("module", ["gantutor", "gantutor.data", "gantutor.evaluate"])
def test_commands_explain_themselves(module):
    out = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True,
                         check=True, cwd=ROOT)
    assert "usage" in out.stdout
