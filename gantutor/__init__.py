"""gantutor: unsupervised conditional generation, every claim measured.

The course, to be read in this order:

    losses          what the players minimise, and the pool of earlier translations
    models          generators and discriminators
    autoencoders    encoders and decoders, and how much of them is shared
    vgg             a fixed, pretrained network
    methods         one file per section of the lecture: direct, perceptual, cyclegan, relatives,
                    stargan, common_space, dtn, supervised
    training        the two-player loop

The laboratory around it:

    saving, state   atomic files; what a training state holds
    interrupts      signals, and two runs on one file
    parallel        many processes that are one run
    graphs, ramps   a GPU that need not wait for Python
    official        the authors' released weights
    portable        a model in one file that says what it is
    data            packs and folders in, batches out
    evaluate        the one panel; only this part opens the hidden pairs
    rows, recipes   the runs of the course as rows of a table
    runs            train, judge, store, load a row
    added           what may be added to a method, for the comparison
    comparison      rows that differ in one thing, of which only the numbers are kept
    faults          trainings with one fault each
    show, drawings  pictures; the methods' data flow
    figures         the figures of notebooks 03, 03b and 09
    own             a reader's own pictures: train, translate, judge, export
    widgets         interactive controls
    check           the exercises
    pictures        README's pictures
    labs            editions of the notebooks for a class
    machine         threads, and how long things take here
"""

import os

from gantutor.machine import be_polite

__version__ = "0.2.0"

PROFILES = ("test", "cpu", "gpu")

be_polite()  # before torch is imported


def profile():
    """"test" (seconds, what pytest runs), "cpu" (the default: minutes per notebook) or "gpu".

    Set in one place, the environment variable GANTUTOR_PROFILE. ValueError for another name.
    """
    name = os.environ.get("GANTUTOR_PROFILE", "cpu")
    if name not in PROFILES:
        raise ValueError(f"GANTUTOR_PROFILE={name!r}: expected one of {', '.join(PROFILES)}")
    return name


def pick(*, test, cpu, gpu=None):
    """The value for the current profile: the same cell, other numbers. gpu defaults to cpu's."""
    return {"test": test, "cpu": cpu, "gpu": cpu if gpu is None else gpu}[profile()]


def load(path, device="cpu"):
    """The trained `Model` of a file: model.translate(x), model.back(y). See gantutor.portable."""
    from gantutor.portable import load_model

    return load_model(path, device)
