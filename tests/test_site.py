"""The site: what becomes of notebooks and docstrings, and what the check finds on its pages."""

import json
import re
import subprocess
import sys
from pathlib import Path

import check as browser
import docstrings
import executing
import pages
import pytest
from test_notebooks import sentences

import gantutor

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRITTEN = ["glossary", "index", "machines", "two_folders"]

# ------------------------------------------------------------------------- notebooks

PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0="}}


def markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def code(*outputs):
    return {"cell_type": "code", "metadata": {}, "source": ["draw()"], "outputs": list(outputs),
            "execution_count": 1}


def described(*cells):
    """The alternative texts of the pictures of these cells, as a page has them."""
    made = pages.page({"cells": list(cells), "metadata": {}})["cells"]
    return [c["metadata"]["mystnb"]["image"]["alt"] for c in made if "mystnb" in c["metadata"]]


def test_the_badge_goes_and_the_title_stays():
    badge = "[![Open in Colab](https://a/badge.svg)](https://b)\n\n# 03 CycleGAN\n"
    given = {"cells": [markdown(badge)], "metadata": {}}
    assert pages.page(given)["cells"][0]["source"] == "# 03 CycleGAN\n"
    assert "badge" in "".join(given["cells"][0]["source"])  # the argument stays as it is


def test_a_picture_is_described_by_its_caption():
    caption = ("**Figure 1.** Top: `x`. Bottom: $G_{xy}$ of *x*, see [03](03.ipynb).\n\n"
               "Something else.")
    assert described(markdown("# T"), code(PICTURE), markdown(caption)) == [
        "Figure 1. Top: x. Bottom: G_{xy} of x, see 03."]
    assert described(markdown("# T"), code(PICTURE), markdown("*Figures 2 and 3. Two.* Three.")
                     ) == ["Figures 2 and 3. Two. Three."]
    assert described(markdown("# T"), code(PICTURE), markdown("*Y in grey.* To the left, x.")) == [
        "Y in grey. To the left, x."]


def test_a_long_caption_ends_with_a_sentence():
    caption = "**Figure 1.** " + " ".join(f"Sentence {k} is here." for k in range(100))
    told, = described(markdown("# T"), code(PICTURE), markdown(caption))
    assert told.startswith("Figure 1. Sentence 0 is here. Sentence 1") and told.endswith("here.")
    assert 450 < len(told) <= pages.LONGEST


@pytest.mark.parametrize("below", [[], [markdown("* a list")], [markdown("**Bold** words.")],
                                   [code()], [markdown("## Figure skating")]])
def test_a_picture_without_caption_is_named_after_what_stands_above(below):
    above = markdown("## The *idea*\n\nFirst. Then we look.\n\n$$a = b$$")
    assert described(markdown("# T"), above, code(PICTURE), *below) == [
        "Picture in the section “The idea”: Then we look."]


def widget(name, **state):
    return {"model_name": name, "state": state}


def shown(state, top="1"):
    view = {"output_type": "display_data", "metadata": {},
            "data": {pages.WIDGET: {"model_id": top}, "text/plain": "IntSlider()"}}
    given = {"cells": [markdown("# T\n\nMove it."), code(view)],
             "metadata": {"widgets": {pages.STATE: {"state": state}}}}
    made = pages.page(given)
    assert "widgets" not in made["metadata"]
    return made["cells"][1]["outputs"]


def test_a_control_becomes_the_picture_that_it_shows():
    image = widget("ImageModel", format="png") | {
        "buffers": [{"path": ["value"], "data": "iVBORw0="}]}
    choice = widget("DropdownModel", description="hair", index=1,
                    _options_labels=["black", "blond"])
    outputs = shown({"1": widget("VBoxModel", children=["IPY_MODEL_2", "IPY_MODEL_3", "4", "5"]),
                     "2": widget("IntSliderModel", description="face", value=21), "3": image,
                     "4": choice, "5": widget("OutputModel", outputs=[PICTURE])})
    assert "(face 21, hair blond)" in outputs[0]["data"]["text/plain"]
    assert [o["data"] for o in outputs[1:]] == [{"image/png": "iVBORw0="}] * 2


def test_a_notebook_is_executed_once_and_its_control_shows_a_picture(tmp_path):
    pytest.importorskip("nbclient", reason="needs: pip install -e '.[site]'")
    draw = code()
    draw["source"] = ("import ipywidgets, matplotlib.pyplot as plt\n\n\ndef draw(share):\n"
                      "    plt.plot([0, share])\n    plt.show()\n\n\n"
                      "ipywidgets.interact(draw, share=(0.0, 1.0, 0.25));")
    given = {"cells": [markdown("# T\n\nMove it."), draw], "metadata": {"kernelspec": {
        "name": "python3", "display_name": "Python 3"}}, "nbformat": 4, "nbformat_minor": 5}
    for k, cell in enumerate(given["cells"]):
        cell["id"] = f"cell-{k}"
    draw["execution_count"] = None
    notebook, done = tmp_path / "a.ipynb", tmp_path / "done.ipynb"
    notebook.write_text(json.dumps(given))
    for other in (done, notebook):  # not there; without outputs
        assert not executing.is_executed(notebook, other)
    executing.execute(notebook, done)
    assert executing.is_executed(notebook, done)
    outputs = pages.page(executing.read(done))["cells"][1]["outputs"]
    assert "(share 0.5)" in outputs[0]["data"]["text/plain"]
    assert "image/png" in outputs[1]["data"]
    draw["source"] += "  # changed"
    notebook.write_text(json.dumps(given))
    assert not executing.is_executed(notebook, done)


def test_a_progress_bar_leaves_nothing():
    assert shown({"1": widget("HBoxModel", children=["2"]),
                  "2": widget("FloatProgressModel", value=1.0)}) == []


# ------------------------------------------------------------------------- docstrings


@pytest.mark.parametrize("text, expected", [
    ("|G(x) - x|, `x_` and *y*", r"\|G(x) - x\|, ``x_`` and \*y\*"),
    ("First.\n\nSecond, in\ntwo lines.", "First.\n\nSecond, in\ntwo lines."),
    ("Use:\n\n    fit(x)  # two\n    y", "Use:\n\n::\n\n        fit(x)  # two\n        y"),
    ("name   one\n       two", "::\n\n    name   one\n           two"),
    ("  * one_ and\n    more\n  * two", "* one\\_ and more\n* two")])
def test_a_docstring_looks_on_the_page_as_it_looks_in_the_code(text, expected):
    assert docstrings.rewritten(text) == expected


def test_every_module_with_a_name_in_the_packages_docstring_has_a_page():
    rooms = docstrings.rooms(gantutor)
    assert rooms[:3] == ["losses", "models", "autoencoders"] and rooms[-1] == "machine"
    assert len(rooms) == len(set(rooms))
    files = {path.stem for path in (ROOT / "gantutor").iterdir()
             if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert set(rooms) == files - {"__init__", "__main__"}
    assert docstrings.modules(gantutor, "methods")[:2] == [
        "gantutor.methods", "gantutor.methods.common_space"]
    assert docstrings.modules(gantutor, "losses") == ["gantutor.losses"]
    inside = docstrings.modules(gantutor, "check")  # without the exercises
    assert "gantutor.check.machine" in inside and "gantutor.check.cyclegan" not in inside


# ------------------------------------------------------------------------- pages


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_page_takes_from_the_readme_is_there(name):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for first, last in re.findall(r':start-after: "(.*)"\n(?::end-before: "(.*)"\n)?', page):
        assert readme.index(f"{first}\n") < (readme.index(f"{last}\n") if last else len(readme))


@pytest.mark.parametrize("name", WRITTEN)
def test_no_sentence_of_a_page_has_more_than_35_words(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    page = re.sub(r":::\{(?:include|toctree)\}.*?:::", "", page, flags=re.S)
    assert [s for s in sentences(page) if len(s.split()) > 35] == []


def glossary():
    """[(English, Chinese or "", sentence)] of docs/glossary.md."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    return re.findall(r"^([^\s:#].*?)(?: \((.+)\))?\n  (\S.*)$", text, re.M)


def test_the_glossary_has_each_term_once_in_one_sentence():
    terms = [english for english, _, _ in glossary()]
    assert len(terms) > 50 and len(set(terms)) == len(terms)
    assert [s for _, _, s in glossary() if not s.endswith(".") or s.count(". ")] == []


def test_the_glossarys_terms_are_those_of_the_course():
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text("utf-8"))["cells"]]
    texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    said = " ".join([*texts, (ROOT / "README.md").read_text(encoding="utf-8")])
    said = " ".join(said.replace("*", "").replace("-", " ").lower().split())
    unused = [word for english, _, _ in glossary() for word in english.split(", ")
              if word.replace("-", " ").lower() not in said]
    assert unused == []


def test_terms_have_their_chinese_name_and_methods_keep_theirs():
    for english, chinese, _ in glossary():
        methods = any(letter.isupper() for letter in english.split(", ")[0][1:])
        assert re.search("[\u4e00-\u9fff]", chinese) or methods, english


# ------------------------------------------------------------------------- the check


needs_chromium = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine")
PAGE = """<!doctype html><html><head><meta name="viewport" content="width=device-width">
<title>t</title></head><body><main>{}</main></body></html>"""
GOOD = """<h1 id="top">T</h1><a href="#top">up</a> <a href="other.html#there">there</a>
<div style="overflow-x:auto"><div style="width:900px">wide, in a box that scrolls</div></div>
<svg role="img" width="9" height="9"><desc>a line</desc></svg>"""


WRONG = {  # what stands on a page: what the check says
    "": None,
    '<div style="width:900px">wide</div>': "sticks out to 9",
    '<p style="overflow:hidden"><b style="display:inline-block;width:900px">cut</b></p>':
        "sticks out to 9",
    '<a href="nowhere.html">x</a>': "no file: ",
    '<a href="other.html#nowhere">x</a>': "no anchor: ",
    '<img src="nothing.png" alt="x">': "no picture: ",
    '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">':
        "no alternative text",
    '<svg role="img" width="9" height="9"></svg>': "a drawing without a description",
    '<span class="math">\\(x\\)</span>': "not drawn: ",
    '<script>console.error("oh no")</script>': "oh no",
    '<script>nothing.at.all</script>': "nothing is not defined",
    '<img src="http://localhost:9/a.png" alt="x">': "asks http://localhost:9/a.png"}


@needs_chromium
def test_the_check_finds_what_it_looks_for(tmp_path):
    pytest.importorskip("playwright.sync_api", reason="needs: pip install -e '.[site]'")
    (tmp_path / "other.html").write_text(PAGE.format('<p id="there">x</p>'))
    for k, wrong in enumerate(WRONG):
        (tmp_path / f"{k}.html").write_text(PAGE.format(GOOD + wrong))
    found, count, _ = browser.inspect(tmp_path)
    assert count == len(WRONG) + 1
    for k, (wrong, told) in enumerate(WRONG.items()):
        problems = [problem for page, problem in found if page == f"{k}.html"]
        assert problems == [] if told is None else any(told in p for p in problems), wrong


# ------------------------------------------------------------------------- the whole site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of the notebooks as they ship: they look executed, and have a picture each."""
    pytest.importorskip("sphinx_book_theme", reason="needs: pip install -e '.[site]'")
    folder = tmp_path_factory.mktemp("site")
    (folder / "executed").mkdir()
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            cell["execution_count"] = 1
        cells[1]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {
            "text/html": "<table><tr>" + 40 * "<td>a wide table</td>" + "</tr></table>"}}]
        (folder / "executed" / path.name).write_text(json.dumps(notebook), encoding="utf-8")
    done = subprocess.run([sys.executable, str(DOCS / "build.py"), "--out", str(folder / "out"),
                           "--executed", str(folder / "executed")],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "executing" not in done.stdout
    return folder / "out"


@pytest.mark.slow
@needs_chromium
def test_every_page_is_whole_without_network_and_fits_a_phone(site):
    found, count, equations = browser.inspect(site)
    assert found == []
    assert count > len(NOTEBOOKS) + len(list(DOCS.glob("*.md"))) and equations > 100


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebooks_page_has_its_buttons_and_folds_its_solutions(site, path):
    html = (site / "notebooks" / path.name).with_suffix(".html").read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    badge = re.search(r"\]\((https://colab[^)]*\.ipynb)\)", text)[1]
    assert f'href="{badge}"' in html and "colab-badge.svg" not in html
    assert f'href="../_sources/notebooks/{path.name}"' in html
    assert (site / "_sources" / "notebooks" / path.name).read_bytes() == path.read_bytes()
    assert html.count("<details><summary>Solution") == text.count("<details><summary>Solution")
    assert "prev-next" in html
