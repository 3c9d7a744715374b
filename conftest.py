"""Options and the notebooks' manners: the test profile, `gpu` cells, stop at the first error."""

import os

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


def pytest_collection_modifyitems(config, items):
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
