"""A reader's machine: package and notebook in step, threads that wait quietly, minutes."""

import os
import re
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

# What `seconds_a_step` gives on two quiet cores of the machine on which the notebooks' minutes were
# measured (AVX-512, torch 2.14).
REFERENCE = 0.077
MUCH = 1.5  # times as slow: several threads are then held up by somebody else's work


def allowed_cores():
    """How many cores this process may use: its affinity, and its cgroup's quota, rounded down.

    At least 1. Python's os.cpu_count() counts the whole host: on a lab's server every kernel would
    start as many threads as the host has cores.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return max(1, int(min(cores, _quota())))


def _quota(root="/sys/fs/cgroup", own="/proc/self/cgroup"):
    """The tightest CPU quota of this process's cgroup and of those above it, in cores; or inf."""
    found, root = [float("inf")], Path(root)
    try:
        paths = [line.split(":", 2) for line in Path(own).read_text().splitlines()]
    except OSError:
        return found[0]
    for _, controllers, path in paths:
        folder = root / path.lstrip("/") if not controllers else root / "cpu" / path.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # v2, v1
                try:
                    words = " ".join((place / name).read_text() for name in names).split()
                    if int(words[0]) > 0:
                        found.append(int(words[0]) / int(words[1]))
                except (OSError, ValueError, IndexError):  # no such file, or "max"
                    continue
    return min(found)


def be_polite():
    """Limits torch's threads to the cores this process may use. Waiting threads sleep.

    Called when gantutor is imported. It has its full effect only before torch is imported.
    OMP_WAIT_POLICY and OMP_NUM_THREADS stay as the user set them. GANTUTOR_THREADS overrides
    OMP_NUM_THREADS and the number of cores. ValueError if it is no whole number of at least 1.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        # GNU's OpenMP, torch's on Linux: spin for some microseconds first, or two threads are no
        # faster than one (measured: a step takes .26 s without, .19 s with it).
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    asked = os.environ.get("GANTUTOR_THREADS")
    if asked is not None and not (asked.isdecimal() and int(asked)):
        raise ValueError(f"GANTUTOR_THREADS={asked!r}: expected a whole number of at least 1")
    cores = allowed_cores()
    if asked is None and ("OMP_NUM_THREADS" in os.environ or cores == os.cpu_count()):
        return  # torch's own choice is right
    os.environ["OMP_NUM_THREADS"] = asked or str(cores)
    if "torch" in sys.modules:  # too late for the variable
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def in_step(notebook):
    """Says whether package and notebook are of one version, and what the package lacks here.

    notebook: the version that the notebook's setup cell names. It prints, and changes nothing.
    """
    from gantutor import __version__

    needed, where = _requirements()
    if notebook == __version__:
        print(f"gantutor {__version__}, {where}: the version of this notebook.")
    else:
        print(f"This notebook is of gantutor {notebook}, but the package is {__version__} "
              f"({where}, {Path(__file__).parent}). Cells may stop, or print other numbers. Take "
              "both from one clone or one archive. If you have just done so, restart the kernel.")
    lacking = missing(needed)
    if lacking:
        named = ", ".join(f"{text} ({version or 'none'} here)" for text, version in lacking.items())
        typed = " ".join(f'"{text}"' for text in lacking)
        print(f"gantutor needs {named}. The course installs none of them by itself. Type "
              f"%pip install {typed} into a new cell, run it, and restart the kernel.")


def _requirements():
    """(["torch>=2.6", ...], "from a checkout" or "installed") of this package."""
    file = Path(__file__).parent.parent / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "gantutor":
            return project["dependencies"], "from a checkout"
    try:
        needed = metadata.requires("gantutor") or []
    except metadata.PackageNotFoundError:  # only copied, with neither file
        needed = []
    return [text for text in needed if "extra ==" not in text], "installed"


def missing(requirements):
    """{"torch>=2.6": "2.4.1"} of those "NAME>=FLOOR" that are not met here; None: no such package.

    A local version, the "+cu128" of "2.11.0+cu128", does not count.
    """
    found = {}
    for text in requirements:
        name, floor = text.split(">=")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = None
        if version is None or _numbers(version) < _numbers(floor):
            found[text] = version
    return found


def _numbers(version):
    """"2.11.0+cu128" -> (2, 11, 0)."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version.split("+")[0]))


def seconds_a_step(repeats=3):
    """The median time in seconds of a training step of notebook 03's CycleGAN, weights unchanged.

    It uses the number of threads that torch uses now, and bfloat16 where the notebooks do. Random
    numbers are left alone.
    """
    import torch

    from gantutor.methods.cyclegan import CycleGAN
    from gantutor.models import SmallDiscriminator, SmallGenerator
    from gantutor.state import precision_of

    _, autocast = precision_of("cpu", "auto")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        method = CycleGAN(*(make() for make in (SmallGenerator, SmallDiscriminator)
                            for _ in range(2)))
        times = []
        for _ in range(repeats + 1):  # the first one warms up
            batch = {name: torch.rand(8, 3, 64, 64) for name in "xy"}
            began = time.perf_counter()
            for loss in (method.generator_loss, method.discriminator_loss):
                with autocast():
                    total, _ = loss(batch)
                total.backward()
            times.append(time.perf_counter() - began)
    return sorted(times[1:])[repeats // 2]


def choose_threads():
    """(threads, seconds per piece of work): one thread where several are much slower.

    Two threads wait for each other. As soon as one of them has to share its core with another busy
    process, both are slower than one thread alone. A number that the user has set stays.
    """
    import torch

    many = torch.get_num_threads()
    together = seconds_a_step()
    if many == 1 or _SET_BY_USER:
        return many, together
    torch.set_num_threads(1)
    alone = seconds_a_step()
    if together > MUCH * alone:
        return 1, alone
    torch.set_num_threads(many)
    return many, together


def expect(minutes):
    """Measures this machine for about a second; prints how long the notebook will take here.

    minutes: what it takes on two quiet cores of the reference machine.
    """
    threads, seconds = choose_threads()
    here = _rounded(minutes * seconds / REFERENCE)
    print(f"About {minutes:g} minute{'s' * (minutes != 1)} on two quiet cores of the machine this "
          f"was written on; about {here} here, with {threads} thread{'s' * (threads > 1)}.")


def _rounded(minutes):
    return f"{minutes:.1f}" if minutes < 3 else f"{minutes:.0f}"


_SET_BY_USER = bool({"GANTUTOR_THREADS", "OMP_NUM_THREADS"} & set(os.environ))
