"""Options and the notebooks' manners: the test profile, `gpu` cells, stop at the first error."""

import os
import re

import pytest

os.environ.setdefault("GANTUTOR_PROFILE", "test")
# The kernels inherit it: two threads in each of two processes starve each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="also run the cells tagged gpu")
    parser.addoption("--train", action="store_true",
                     help="also run the proofs that train from scratch (an hour)")
    parser.addoption("--install", action="store_true",
                     help="also install the package into new virtual environments (by the network)")
    parser.addoption("--mutants", action="store_true",
                     help="also prove that tests notice changes of the package (tests/mutants.py)")


def pytest_collect_file(file_path, parent):
    wanted = file_path.name == "mutants.py" and parent.config.getoption("--mutants")
    if wanted and not parent.session.isinitpath(file_path):  # pytest itself takes what is named
        return pytest.Module.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_make_scheduler(config, log):
    """Whole notebooks and modules, the largest first; parametrised tests one by one after them.

    The cells of a notebook share a kernel, the tests of a module its fixtures.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return nodeid if "[" in nodeid else nodeid.split("::")[0]

    return Scheduling(config, log)


def written(text):
    """The measured numbers of a text, as it writes them: decimals, and percentages like "32 %".

    Without code, formulas, links, sections of papers and references, and without the folded words
    of exercises: those are gantutor/check's, and the tests of the checks hold them.
    """
    text = text.split("## References")[0]
    folded = r"<details><summary>(?:Hint|Solution).*?</details>|section \d+(?:\.\d+)+"
    text = re.sub(folded, " ", text, flags=re.S)
    noise = r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|<[^>]*>"
    text = re.sub(noise, " ", text, flags=re.S)
    return set(re.findall(r"(?<![\w.])\d*\.\d+(?!\.?\d)(?! ?%)|[\d.]+ ?%", text))


def unprinted(said, printed):
    """Those of the numbers `said` that a text `printed` does not have. "32 %" may be .32 there."""
    percents = {number.rstrip(" %") for number in re.findall(r"[\d.]+ ?%", printed)}
    decimals = {number.lstrip("0") for number in re.findall(r"\d*\.\d+", printed)}
    percents |= {f"{float(number):.0%}".rstrip("%") for number in decimals if len(number) > 2}
    return sorted(n for n in said if n.rstrip(" %") not in (percents if "%" in n else ())
                  and n.lstrip("0") not in decimals)


class Numbers(pytest.Item):
    """The last test of a notebook: what its text says in numbers, one of its cells prints.

    Numbers from elsewhere (a paper's) stand in the notebook's metadata, with their source:
    "from elsewhere": {"0.36": "Smith et al. 2017, table 1"}.
    """

    def runtest(self):
        cells, elsewhere = self.parent.nb.cells, self.parent.nb.metadata.get("from elsewhere", {})
        printed = " ".join(cell.source for cell in cells if cell.cell_type == "code")
        for item in self.session.items:
            if item.parent is self.parent:
                for output in getattr(item, "test_outputs", None) or []:
                    data = output.get("data", {})  # not the pictures
                    printed += " ".join(("", output.get("text", ""), data.get("text/plain", ""),
                                         data.get("text/html", "")))
        said = set().union(*(written(c.source) for c in cells if c.cell_type == "markdown"))
        missing = unprinted(said - set(elsewhere), printed)
        assert not missing, f"{self.parent.name} says {missing}, and no cell prints these numbers"

    def reportinfo(self):
        return self.path, None, f"numbers of {self.parent.name}"


def pytest_collection_modifyitems(config, items):
    notebooks = dict.fromkeys(item.parent for item in items if hasattr(item, "cell"))
    for notebook in notebooks:
        last = max(k for k, item in enumerate(items) if item.parent is notebook)
        items.insert(last + 1, Numbers.from_parent(notebook, name="numbers of the text"))
    for item in items:
        cell = getattr(item, "cell", None)
        tags = cell.metadata.get("tags", []) if cell is not None else []
        if "gpu" in tags and not config.getoption("--gpu"):
            item.add_marker(pytest.mark.skip(reason="gpu cell: ask with --gpu"))
        if item.get_closest_marker("train") and not config.getoption("--train"):
            item.add_marker(pytest.mark.skip(reason="trains from scratch: ask with --train"))
        if item.get_closest_marker("install") and not config.getoption("--install"):
            item.add_marker(pytest.mark.skip(reason="installs the package: ask with --install"))


def pytest_configure(config):
    config.addinivalue_line("markers", "train: trains from scratch, only with --train")
    config.addinivalue_line("markers", "install: installs the package, only with --install")
    config.addinivalue_line("markers", "slow: takes over ten seconds on two quiet cores")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if getattr(item, "cell", None) is not None and outcome.get_result().failed:
        item.parent.first_bad = getattr(item.parent, "first_bad", item.name)


def pytest_runtest_setup(item):
    first = getattr(item.parent, "first_bad", None)
    if getattr(item, "cell", None) is not None and first:
        pytest.skip(f"{first} failed before this cell")
