"""gantutor: unsupervised conditional generation, every claim measured."""

import os

__version__ = "0.1.0"

PROFILES = ("test", "cpu", "gpu")


def profile():
    """"test" (seconds, what pytest runs), "cpu" (the default: minutes a notebook) or "gpu".

    Set in one place, the environment variable GANTUTOR_PROFILE. ValueError for another name.
    """
    name = os.environ.get("GANTUTOR_PROFILE", "cpu")
    if name not in PROFILES:
        raise ValueError(f"GANTUTOR_PROFILE={name!r}: expected one of {', '.join(PROFILES)}")
    return name


def pick(*, test, cpu, gpu=None):
    """The value for the current profile: the same cell, other numbers. gpu defaults to cpu's."""
    return {"test": test, "cpu": cpu, "gpu": cpu if gpu is None else gpu}[profile()]
