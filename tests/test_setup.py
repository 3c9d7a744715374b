"""The notebooks' first cell: which package it takes, what it says, and that nothing else changes.

The quick tests run the cell in an interpreter without site-packages, on folders that look like
installed packages, with a pip that writes down what it is asked. `pytest --install` does the same
with virtual environments, wheels, git and the real pip.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import sync
import torch
from packaging.requirements import Requirement

import gantutor
from gantutor import machine

ROOT = Path(gantutor.__file__).parent.parent
HERE, OTHER = "1.2.3", "1.1.9"  # the notebook's version, and another one
COLAB = dict(line.split("==") for line in (ROOT / "tests" / "colab.txt").read_text().split("\n")
             if line and not line.startswith("#"))
FAKE_PIP = """
import json, shutil, sys
from pathlib import Path
site = Path(__file__).parent.parent
(site / "asked.json").write_text(json.dumps(sys.argv[1:]))
if not (site / "to_fetch").exists():
    sys.exit("there is no such tag")
for old in site.glob("gantutor*"):
    shutil.rmtree(old)
shutil.copytree(site / "to_fetch", site, dirs_exist_ok=True)
"""


def put_package(folder, version):
    """The package's door and `machine` at `version` in `folder`."""
    (folder / "gantutor").mkdir(parents=True)
    for name in ("__init__.py", "machine.py"):
        text = (ROOT / "gantutor" / name).read_text(encoding="utf-8")
        text = text.replace(f'__version__ = "{gantutor.__version__}"', f'__version__ = "{version}"')
        (folder / "gantutor" / name).write_text(text, encoding="utf-8")


def put_record(site, name, version, needs=()):
    """The record by which a package counts as installed in `site`."""
    (site / f"{name}-{version}.dist-info").mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}",
             *(f"Requires-Dist: {text}" for text in needs)]
    (site / f"{name}-{version}.dist-info" / "METADATA").write_text("\n".join(lines) + "\n")


def install(site, version):
    put_package(site, version)
    put_record(site, "gantutor", version, ["torch>=2.6", 'jupyterlab>=4.2; extra == "lab"'])


def check_out(folder, version):
    put_package(folder, version)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "gantutor"\ndependencies = ["torch>=2.6"]\n')


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages with torch's record and the pip that writes down."""
    (tmp_path / "site" / "pip").mkdir(parents=True)
    (tmp_path / "site" / "pip" / "__init__.py").touch()
    (tmp_path / "site" / "pip" / "__main__.py").write_text(FAKE_PIP)
    put_record(tmp_path / "site", "torch", "2.6.0")
    return tmp_path / "site"


def asked(site):
    """What pip was asked, or None."""
    file = site / "asked.json"
    return json.loads(file.read_text()) if file.exists() else None


def run(site, folder, address="https://github.com/lab/gantutor"):
    """(what the cell prints, its error, the file of the package) as run in `folder`.

    Its last line, which trains for a second, is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cell = sync.setup_cell(2, HERE, address).replace("machine.expect(minutes=2)",
                                                     "print('FILE', machine.__file__)")
    done = subprocess.run([sys.executable, "-S", "-c", cell], cwd=folder, text=True, check=False,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(site)})
    printed, _, file = done.stdout.partition("FILE ")
    return printed, done.stderr, Path(file.strip()).parent


UNKNOWN = "https://github.com/OWNER.UNKNOWN/gantutor"
IN_STEP = f"gantutor {HERE}, {{}}: the version of this notebook.\n"


# ---------------------------------------------------------------- the situations


@pytest.mark.parametrize("folder, notebook", [
    ("course", "course/notebooks"), ("course", "course"),
    ("mine/gantutor", "mine"), (f"mine/gantutor-{HERE}", "mine")])  # a clone, an archive beside it
def test_the_checkout_comes_first_whatever_is_installed(site, tmp_path, folder, notebook):
    install(site, OTHER)
    check_out(tmp_path / folder, HERE)
    printed, error, used = run(site, tmp_path / notebook)
    assert (printed, error) == (IN_STEP.format("from a checkout"), "")
    assert used == tmp_path / folder / "gantutor" and asked(site) is None


def test_a_checkout_of_another_version_is_named(site, tmp_path):
    check_out(tmp_path / "course", OTHER)
    printed, error, _ = run(site, tmp_path / "course" / "notebooks")
    assert printed.startswith(
        f"This notebook is of gantutor {HERE}, but the package is {OTHER} (from a checkout, ")
    assert error == "" and asked(site) is None


def test_the_installed_package_of_the_same_version(site, tmp_path):
    install(site, HERE)
    printed, error, used = run(site, tmp_path / "mine")
    assert (printed, error) == (IN_STEP.format("installed"), "")
    assert used == site / "gantutor" and asked(site) is None


@pytest.mark.parametrize("before, said", [(OTHER, OTHER), (None, "none")])
def test_else_the_address_at_the_notebooks_own_tag(site, tmp_path, before, said):
    if before:
        install(site, before)
    install(site / "to_fetch", HERE)
    printed, error, _ = run(site, tmp_path / "mine")
    assert printed == (f"This notebook needs gantutor {HERE}. Installed here: {said}.\n"
                       + IN_STEP.format("installed"))
    assert error == "" and asked(site) == [
        "install", "-q", "--no-deps", f"git+https://github.com/lab/gantutor@v{HERE}"]


@pytest.mark.parametrize("address", [UNKNOWN, "https://github.com/lab/gantutor"])
def test_another_version_that_cannot_be_replaced_is_used_and_named(site, tmp_path, address):
    install(site, OTHER)
    printed, _, used = run(site, tmp_path / "mine", address)
    assert f"of gantutor {HERE}, but the package is {OTHER} (installed, {site}" in printed
    assert "Cells may stop, or print other numbers." in printed and used == site / "gantutor"
    assert (asked(site) is None) == (address == UNKNOWN)  # nobody is asked for what nobody has


@pytest.mark.parametrize("address", [UNKNOWN, "https://github.com/lab/gantutor"])
def test_with_nothing_the_cell_says_what_to_do(site, tmp_path, address):
    printed, error, used = run(site, tmp_path / "mine", address)
    assert printed == f"This notebook needs gantutor {HERE}. Installed here: none.\n"
    last = error.strip().splitlines()[-1]
    assert last.startswith(f"gantutor {HERE} cannot be fetched. Clone the course's repository")
    assert "unpack its archive beside this notebook" in last and used == Path()
    assert (asked(site) is None) == (address == UNKNOWN)


def test_what_the_package_lacks_is_named_and_not_installed(site, tmp_path):
    install(site, HERE)
    shutil.rmtree(site / "torch-2.6.0.dist-info")
    lacking = ('gantutor needs torch>=2.6 ({} here). The course installs none of them by itself. '
               'Type %pip install "torch>=2.6" into a new cell, run it, and restart the kernel.')
    assert lacking.format("none") in run(site, tmp_path / "mine")[0]
    put_record(site, "torch", "2.5.1+cu121")
    assert lacking.format("2.5.1+cu121") in run(site, tmp_path / "mine")[0]
    assert asked(site) is None


# ------------------------------------------------------------------------- Colab


def needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"]


def test_colabs_own_versions_meet_every_floor():
    """Then nothing of Colab's is lacking; and --no-deps keeps pip from touching any of it."""
    for text in needs():
        requirement = Requirement(text)
        assert requirement.specifier.contains(COLAB[requirement.name]), text


def test_the_package_itself_finds_nothing_lacking_on_colab(monkeypatch):
    monkeypatch.setattr(machine.metadata, "version", COLAB.__getitem__)
    assert machine.missing(needs()) == {}
    assert machine.missing(["torch>=2.12", "numpy>=2.1.3", "ipython>=7.34.1"]) == {
        "torch>=2.12": "2.11.0+cu128", "ipython>=7.34.1": "7.34.0"}


# ------------------------------------------------------------ what is written where


def test_no_stranger_can_own_the_placeholder():
    """GitHub's names: 39 letters, digits and hyphens at most; "_" where a company manages them."""
    account = re.compile(r"[A-Za-z\d](?:[A-Za-z\d_]|-(?=[A-Za-z\d])){0,38}")
    assert account.fullmatch("lab") and not account.fullmatch("OWNER.UNKNOWN")
    owner, name = sync.repository().split("/")
    assert name == "gantutor" and (owner == "OWNER.UNKNOWN" or account.fullmatch(owner))


def test_the_cell_is_short_and_names_no_package_of_an_index():
    cell = sync.setup_cell(2)
    assert len([line for line in cell.splitlines() if line.strip()]) <= 22
    arguments = re.search(r'"-m pip install (.+?)"\.split\(\), f"(\S+)"', cell)
    assert arguments[1].split() == ["-q", "--no-deps"]
    assert arguments[2] == "git+{ADDRESS}@v{VERSION}"


def test_the_citation_is_of_this_version_and_this_address():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {gantutor.__version__}" in lines
    assert f'repository-code: "https://github.com/{sync.repository()}"' in lines


def test_uv_takes_the_cpu_build_in_the_readme_and_in_the_container():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    uv = "uv venv && uv pip install --torch-backend cpu -e '.[lab]'"
    lab = ".venv/bin/jupyter lab --ServerApp.root_dir=. notebooks/00_start_here.ipynb"
    assert f"\n{uv} && {lab}\n" in readme
    assert container["postCreateCommand"] == f"pip install uv && {uv}"
    assert container["hostRequirements"]["cpus"] == 2


# --------------------------------------- with virtual environments (pytest --install)


WITHOUT_PATH = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def shell(*command, **options):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True,
                          check=False, env=WITHOUT_PATH, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A git repository of the course with a tag for each of two versions, and their wheels."""
    top = tmp_path_factory.mktemp("published")
    repository = top / "gantutor"
    for name in ("gantutor", "data"):
        shutil.copytree(ROOT / name, repository / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, repository)
    shell("git", "init", "-q", repository)
    door = repository / "gantutor" / "__init__.py"
    text, now = door.read_text(encoding="utf-8"), f'"{gantutor.__version__}"'
    for version in (OTHER, HERE):
        door.write_text(text.replace(now, f'"{version}"'), encoding="utf-8")
        git = ["git", "-C", repository, "-c", "user.name=t", "-c", "user.email=t@t"]
        shell(*git, "add", "-A")
        shell(*git, "commit", "-qm", version)
        shell(*git, "tag", f"v{version}")
        shell(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", top, repository)
    return top


@pytest.fixture
def venv(tmp_path):
    """The python of a new virtual environment that sees this one's packages, not its gantutor."""
    shell(sys.executable, "-m", "venv", tmp_path / "venv")
    seen = tmp_path / "seen"
    seen.mkdir()
    for path in Path(torch.__file__).parent.parent.iterdir():
        if not re.match(r"_?(editable_impl_)?gantutor|pip|setuptools|__pycache__", path.name):
            (seen / path.name).symlink_to(path)
    python = tmp_path / "venv" / "bin" / "python"
    folder = Path(shell(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
                  .strip())
    (folder / "seen.pth").write_text(f"{seen}\n")
    return python


def full_run(python, folder, address):
    """What the whole cell prints in a real environment, its error, and what else changed there."""
    folder.mkdir(parents=True, exist_ok=True)

    def freeze():
        return {line for line in shell(python, "-m", "pip", "freeze", cwd=folder).splitlines()
                if not line.startswith("gantutor")}

    before = freeze()
    done = subprocess.run([python, "-c", sync.setup_cell(2, HERE, address)], cwd=folder, text=True,
                          check=False, capture_output=True, env=WITHOUT_PATH)
    print(done.stdout, done.stderr)  # shown by pytest -rP
    return done.stdout, done.stderr, freeze() ^ before


MINUTES = "About 2 minutes on two quiet cores of the machine this was written on; about "
SITUATIONS = {  # (wheel installed before, address, notebook in a checkout): what is printed first
    "checkout": (None, "file://{}", True, IN_STEP.format("from a checkout")),
    "wheel of the same version": (HERE, UNKNOWN, False, IN_STEP.format("installed")),
    "wheel of another version, address known": (
        OTHER, "file://{}", False, f"This notebook needs gantutor {HERE}. Installed here: {OTHER}."
        f"\n{IN_STEP.format('installed')}"),
    "wheel of another version, address unknown": (
        OTHER, UNKNOWN, False, f"This notebook needs gantutor {HERE}. Installed here: {OTHER}.\n"
        f"This notebook is of gantutor {HERE}, but the package is {OTHER} (installed, "),
    "nothing, address known": (
        None, "file://{}", False, f"This notebook needs gantutor {HERE}. Installed here: none.\n"
        f"{IN_STEP.format('installed')}"),
}


@pytest.mark.install
@pytest.mark.parametrize("situation", SITUATIONS)
def test_in_a_real_environment(situation, course, venv, tmp_path):
    wheel, address, inside, expected = SITUATIONS[situation]
    if wheel:
        file = course / f"gantutor-{wheel}-py3-none-any.whl"
        shell(venv, "-m", "pip", "install", "-q", "--no-deps", file)
    folder = course / "gantutor" / "notebooks" if inside else tmp_path / "mine"
    printed, _, changed = full_run(venv, folder, address.format(course / "gantutor"))
    assert printed.startswith(expected) and MINUTES in printed and changed == set()


@pytest.mark.install
@pytest.mark.parametrize("address", [UNKNOWN, "file:///nowhere/gantutor"])
def test_nothing_in_a_real_environment(address, venv, tmp_path):
    printed, error, changed = full_run(venv, tmp_path / "mine", address)
    assert printed == f"This notebook needs gantutor {HERE}. Installed here: none.\n"
    assert f"\ngantutor {HERE} cannot be fetched. Clone" in f"\n{error}" and changed == set()


@pytest.mark.install
def test_beside_colabs_versions_pip_would_bring_nothing_but_the_package(course, venv, tmp_path):
    """pip's own resolver, with the package's dependencies (the cell itself asks for none)."""
    shutil.rmtree(tmp_path / "seen")
    for name, version in COLAB.items():
        put_record(tmp_path / "seen", name, version)
    report = json.loads(shell(venv, "-m", "pip", "install", "-q", "--dry-run", "--report", "-",
                              course / f"gantutor-{HERE}-py3-none-any.whl"))
    assert [item["metadata"]["name"] for item in report["install"]] == ["gantutor"]
    printed, _, changed = full_run(venv, tmp_path / "mine", f"file://{course}/gantutor")
    assert IN_STEP.format("installed") in printed and "gantutor needs" not in printed
    assert changed == set()
