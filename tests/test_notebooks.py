"""What every notebook promises its reader: shown code is the package's, no stored outputs, a setup.

The notebooks themselves are run by nbval (see pyproject.toml).
"""

import ast
import importlib
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import sync
import torch
import torchvision
from makers import ROWS, make_celeba, make_mnist, make_rafd, make_svhn
from PIL import Image

import gantutor
import notebooks as lengths
from conftest import unprinted, written
from gantutor import data, training, vgg
from gantutor.data import folders, real_sets
from gantutor.evaluate import digits

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 40
LONGEST = {"words": 4000, "lines of code": 400}  # docs/notebooks.md has the table
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def cells(path, kind=None):
    """[(number, cell)] of a notebook, the cell's source joined to one string."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    found = [(k, cell | {"source": "".join(cell["source"])})
             for k, cell in enumerate(notebook["cells"])]
    return [(k, cell) for k, cell in found if kind in (None, cell["cell_type"])]


def resolve(dotted):
    """The object of a dotted name, "gantutor.losses.ImagePool.forward"."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[n:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(dotted)


def shown(path):
    """[(cell number, dotted name, source)] of the cells that show the package's code."""
    found = []
    for k, cell in cells(path, "code"):
        match = re.match(r"\s*#\s*shown\b:?\s*(\S*)", cell["source"])
        if match:
            found.append((k, match[1], cell["source"]))
    return found


def drifted(path):
    """The shown cells that do not hold the source of what they name, as messages."""
    return [f"{path.name}, cell {k}: not the source of {name}" for k, name, source in shown(path)
            if inspect.getsource(resolve(name)).strip("\n") not in source]


def gpu_cells(path):
    return [k for k, cell in cells(path, "code") if "gpu" in cell["metadata"].get("tags", [])]


def definitions_before(path, number):
    """The imports and the shown classes and functions before cell `number`, as one module."""
    body = [statement for k, cell in cells(path, "code") if k < number
            for statement in ast.parse(cell["source"]).body
            if isinstance(statement, ast.Import | ast.ImportFrom)
            or cell["source"].startswith("# shown:")]
    return ast.Module(body, type_ignores=[])


def stored_results(path):
    return [f"{path.name}, cell {k}" for k, cell in cells(path, "code")
            if cell["outputs"] or cell["execution_count"] is not None]


def too_long(path):
    return [f"{path.name}, cell {k}: {len(cell['source'].splitlines())} lines"
            for k, cell in cells(path, "code")
            if len(cell["source"].splitlines()) > LONGEST_CELL * (
                1.5 if cell["source"].startswith("# shown:") else 1)]  # its docstring included


def length(path):
    """What docs/notebooks.md says of it, too."""
    return {"words": lengths.words(path), "lines of code": lengths.code_lines(path)}


def missing_setup(path, name):
    """What of badge and setup cell is missing, or is not what sync.py writes for address `name`."""
    text = "".join(cell["source"] for _, cell in cells(path, "markdown")[:1])
    code = [cell["source"] for _, cell in cells(path, "code")]
    minutes = sync.MINUTES.search(code[0] if code else "")
    written = sync.setup_cell(minutes[1] if minutes else 0, address=f"https://github.com/{name}")
    wanted = {"Colab badge": text.startswith(sync.badge(name, path.name)),
              "setup cell of today, first of all code": code[:1] == [written]}
    return [f"{path.name}: no {what}" for what, there in wanted.items() if not there]


@every_notebook
def test_shown_code_is_the_packages(path):
    assert drifted(path) == []


@pytest.mark.parametrize("start", ["01", "02", "03", "04", "05", "06", "07"])
def test_the_teaching_notebooks_show_their_method(start):
    found = [p for p in NOTEBOOKS if p.name.startswith(start)]
    if not found:
        pytest.skip(f"notebooks/{start}_* is not written yet")
    assert any(name.startswith("gantutor.methods.") for _, name, _ in shown(found[0]))


@pytest.fixture
def two_steps_on_the_cpu(monkeypatch):
    """The calls of a gpu cell, at two steps of two images each on the CPU; returns what it fits."""
    trained, usual, usual_folders = [], training.fit, folders.unpaired

    def fit(method, batches, steps, **settings):
        history = usual(method, batches, 2, **settings | {"device": "cpu", "precision": "float32"})
        assert steps > 100 and history["step"] == [2]
        trained.append((method, batches))
        return history

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(folders, "unpaired",
                        lambda *a, **k: usual_folders(*a, **k | {"batch_size": 2}))
    usual_batches = data.Labelled.__init__
    monkeypatch.setattr(data.Labelled, "__init__",
                        lambda self, sets, batch_size, **k: usual_batches(self, sets, 2, **k))
    usual_digits, usual_classifier = real_sets.digits, digits.train_digit_classifier
    monkeypatch.setattr(real_sets, "digits",
                        lambda *a, **k: usual_digits(*a, **k | {"batch_size": 2}))
    monkeypatch.setattr(digits, "train_digit_classifier", lambda images, labels, steps=0, *a, **k:
                        usual_classifier(images, labels, 2, *a, **k))
    monkeypatch.setenv("GANTUTOR_PROFILE", "gpu")
    # torchvision's VGG16 without its weights, which would be downloaded
    usual_vgg = torchvision.models.vgg16
    monkeypatch.setattr(torchvision.models, "vgg16", lambda weights: usual_vgg(weights=None))
    vgg._imagenet_convolutions.cache_clear()
    yield trained
    vgg._imagenet_convolutions.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("path,number", [(p, k) for p in NOTEBOOKS for k in gpu_cells(p)],
                         ids=lambda v: getattr(v, "stem", v))
def test_gpu_cells_run_on_the_readers_folders(path, number, tmp_path, monkeypatch,
                                              two_steps_on_the_cpu):
    """Each gpu cell at its real size on two folders of small pictures, as a reader has them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("photographs", "paintings"):
        (tmp_path / "my" / folder).mkdir(parents=True)
        for k in range(9):
            picture = rng.integers(0, 256, (150, 190, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "my" / folder / f"{k}.jpg")
    make_celeba(tmp_path / "my" / "datasets", ROWS, monkeypatch)
    make_rafd(tmp_path / "my" / "datasets" / "rafd")
    make_svhn(make_mnist(tmp_path / "my" / "digits"), monkeypatch)
    names = {}
    exec(compile(definitions_before(path, number), path.name, "exec"), names)
    source = dict(cells(path))[number]["source"]
    exec(compile(source, path.name, "exec"), names)
    method, batches = two_steps_on_the_cpu[0]
    size = 32 if "import digits" in source else 128
    assert batches.next_batch()["x"].shape[2:] == (size, size)
    assert all(torch.isfinite(p).all() for p in method.parameters())
    assert list(tmp_path.rglob("*.pt")), "a long run is saved as it goes"


@every_notebook
def test_no_outputs_are_stored(path):
    assert stored_results(path) == []


@every_notebook
def test_badge_and_setup_cell(path):
    assert missing_setup(path, sync.repository(ROOT)) == []


@every_notebook
def test_cells_fit_a_screen(path):
    assert too_long(path) == []


@every_notebook
def test_a_notebook_is_read_in_one_sitting(path):
    assert {what: n for what, n in length(path).items() if n > LONGEST[what]} == {}


def sentences(text):
    """The sentences of a Markdown text, without code, formulas, tables and references."""
    text = text.split("## References")[0]
    for noise in (r"```.*?```", r"\$\$.*?\$\$"):
        text = re.sub(noise, " ", text, flags=re.S)
    text = re.sub(r"\$[^$]*\$|`[^`]*`", " M ", text)
    text = re.sub(r"^\s*\|.*$", "", text, flags=re.M)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    end = r"(?<=[.!?:;])[\"”)*]*\s+(?=[A-Z*\"(0-9])"
    for paragraph in re.split(r"\n\s*\n|^\s*[*#-]+ |^\d+\. ", text, flags=re.M):
        yield from re.split(end, " ".join(paragraph.split()))


def thrown_away(source):
    """Calls of `show` whose figure or table nobody sees: neither last in a cell nor displayed."""
    body = ast.parse(source).body
    return [ast.unparse(inner.value)[:60] for k, statement in enumerate(body)
            for inner in ast.walk(statement)
            if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call)
            and ast.unparse(inner.value.func).startswith("show.")
            and not (inner is statement and k == len(body) - 1)]


@every_notebook
def test_every_figure_and_table_that_is_made_is_shown(path):
    assert thrown_away("show.grid(x)\nfor _ in y: show.bars(z)\ndisplay(show.grid(x))\nshow.over(y)"
                       ) == ["show.grid(x)", "show.bars(z)"]
    assert [found for _, cell in cells(path, "code") if cell["source"].lstrip()[:1] != "%"
            for found in thrown_away(cell["source"])] == []


@every_notebook
def test_no_sentence_has_more_than_35_words(path):
    long = [(k, sentence) for k, cell in cells(path, "markdown")
            for sentence in sentences(cell["source"]) if len(sentence.split()) > 35]
    assert long == []


@every_notebook
def test_no_number_is_left_to_fill_in(path):
    left = re.findall(r"\{MINUTES\}|\bTODO\b|\bXXX\b", path.read_text(encoding="utf-8"))
    assert left == []


def test_a_sentence_ends_where_a_reader_would_say():
    text = ("One two, `a. B` and $x. Y$ three. Four!\n\n* five\n* six\n\n| a | table |\n"
            "$$no. Thing$$\n## References\n* Somebody. A title.")
    assert [s for s in sentences(text) if s] == [
        "One two, M and M three.", "Four!", "five", "six"]


def test_a_number_of_the_text_is_one_that_a_cell_prints():
    """The check itself is the last item of every notebook: see conftest.py."""
    text = ("It keeps .91 (0.35 before), 32 % of all, 7%. `x = .5`, $.6$, section 3.2, 64 px."
            "<details><summary>Solution</summary>\n\n.8\n</details>")
    assert written(text + "\n## References\n.7") == {".91", "0.35", "32 %", "7%"}
    assert unprinted(written(text), "a .91 b 0.35 c 0.319 d 7 %") == []
    assert unprinted(written(text), "a .9 b 0.350 c 32 d 7") == [".91", "0.35", "32 %", "7%"]


def test_these_checks_find_what_they_look_for(tmp_path):
    """Each check on a notebook with just its mistake, and on one without."""
    source = inspect.getsource(resolve("gantutor.losses.cycle_consistency_loss"))
    badge = ("[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]("
             "https://colab.research.google.com/github/a/gantutor/blob/"
             f"v{gantutor.__version__}/notebooks/n.ipynb)")
    setup = sync.setup_cell(2, address="https://github.com/a/gantutor")

    def notebook(code, **named):
        made = [{"cell_type": "markdown", "metadata": {}, "source": named.get("badge", badge)}]
        for text in (named.get("setup", setup), code):
            made.append({"cell_type": "code", "metadata": {}, "source": [text],
                         "outputs": named.get("outputs", []), "execution_count": None})
        path = tmp_path / "n.ipynb"
        path.write_text(json.dumps({"cells": made}))
        return path

    head = "# shown: gantutor.losses.cycle_consistency_loss\nimport torch\n\n\n"
    good = notebook(head + source.rstrip("\n"))
    assert [name for _, name, _ in shown(good)] == ["gantutor.losses.cycle_consistency_loss"]
    assert drifted(good) == stored_results(good) == too_long(good) == []
    assert missing_setup(good, "a/gantutor") == []
    assert len(missing_setup(good, "b/gantutor")) == 2
    assert len(drifted(notebook(head + source.replace("l1_loss", "mse_loss")))) == 1
    with pytest.raises(AttributeError):
        drifted(notebook("# shown: gantutor.losses.no_such_loss\n"))
    assert len(stored_results(notebook("1", outputs=[{"output_type": "stream"}]))) == 2
    assert too_long(notebook("1\n" * 40)) == [] and len(too_long(notebook("1\n" * 41))) == 1
    badge_words = len(badge.split())
    assert length(notebook("# a comment\n\nx = 1\n    # another\ny = '#'")) == {
        "words": badge_words, "lines of code": 2}
    assert len(missing_setup(notebook("1", badge="# Title"), "a/gantutor")) == 1
    assert len(missing_setup(notebook("1", setup="import torch"), "a/gantutor")) == 1
    old = sync.setup_cell(2, "0.0.1", "https://github.com/a/gantutor")
    assert len(missing_setup(notebook("1", setup=old), "a/gantutor")) == 1
