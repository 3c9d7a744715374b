"""How Sphinx turns the course into pages. `python docs/build.py` runs it."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs"), str(ROOT / "notebooks")]

import docstrings  # noqa: E402
import sync  # noqa: E402

import gantutor  # noqa: E402

BADGE = re.search(r"/blob/([^/]+)/notebooks", sync.NOTEBOOKS[0].read_text(encoding="utf-8"))

project, author, copyright = "gantutor", "the gantutor authors", "the gantutor authors"
version = release = gantutor.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]
exclude_patterns = ["README.md", "CONTRIBUTING.md", "docs/index.md", "benchmarks"]
suppress_warnings = ["mystnb.unknown_mime_type"]

nb_execution_mode = "off"  # build.py has done it
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

viewcode_follow_imported_members = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
add_module_names = False
highlight_language = "none"  # an indented block of a docstring; cells and fences name theirs

html_theme = "sphinx_book_theme"
html_title = "gantutor"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sourcelink_suffix = ""  # the download is NOTEBOOK.ipynb
html_show_sphinx = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
mathjax_path = "mathjax/tex-chtml.js"  # build.py puts it there
html_theme_options = {
    "repository_url": f"https://github.com/{sync.repository(ROOT)}",
    "repository_branch": BADGE[1],  # the button leads where the notebooks' badges lead
    "use_repository_button": True,
    "use_download_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "show_toc_level": 2,
    "navbar_persistent": [],  # the search field stands above the list of pages
}


def setup(app):
    app.connect("autodoc-process-docstring", docstrings.as_paragraphs)
    app.connect("autodoc-skip-member", docstrings.says_nothing)
