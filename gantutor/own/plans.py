"""What `gantutor train METHOD` trains: networks and settings by method, size and device.

On a CPU these are the small networks of the course, with the settings of its rows. On a GPU they
are the networks and settings of the papers, as in the notebooks' cells tagged `gpu`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gantutor.autoencoders import halvings
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.methods.stargan import (
    SmallStarGenerator,
    StarGAN,
    StarGANDiscriminator,
    StarGANGenerator,
)
from gantutor.models import PatchDiscriminator, ResnetGenerator, SmallDiscriminator, SmallGenerator
from gantutor.recipes import REMEDIES, common_space
from gantutor.rows import fast
from gantutor.vgg import vgg_features

OFFICIAL = {"betas": (0.5, 0.999)}  # Adam's, in the papers of CycleGAN and StarGAN


class Plan(NamedTuple):
    """make: () -> the untrained method. settings: further arguments of `fit`.

    multiple: the size in pixels must be a multiple of it, and at least `smallest`.
    """

    make: Callable
    steps: int
    lr: float
    batch_size: int
    precision: str = "float32"
    settings: dict = {}  # noqa: RUF012 - nobody writes to it
    multiple: int = 4
    smallest: int = 16


# ------------------------------------------------------------------ direct transformation


def _small(size):
    """(G, D): makers of the CPU's networks. From 128 px on each has one stage more."""
    more = int(size >= 128)
    return (partial(SmallGenerator, width=24, blocks=2 + more, downs=1 + more),
            partial(SmallDiscriminator, layers=3 + more))


def _official(size):
    """(G, D): makers of the networks of CycleGAN's paper, with 9 blocks from 256 px on."""
    return partial(ResnetGenerator, blocks=6 if size < 256 else 9), PatchDiscriminator


def _direct(make, size, gpu, with_features=False):
    """A plan of the direct family. make: (G, D) -> method. with_features: D shows its features.

    1,200 steps at 64 px take two to five minutes on two quiet cores.
    """
    if not gpu:
        networks = _small(size)
        return Plan(lambda: fast(make(*networks)), 1200, 1e-3, 8)
    G, D = _official(size)
    D = partial(SmallDiscriminator, width=64) if with_features else D
    return Plan(lambda: make(G, D), 20_000, 2e-4, 4, "auto", OFFICIAL, smallest=24)


def _two(kind, **weights):
    """(G, D) -> a method with two generators and two discriminators."""
    return lambda G, D: kind(G(), G(), D(), D(), **weights)


def direct(size, gpu):
    """No constraint but the discriminator (notebook 01)."""
    return _direct(lambda G, D: Direct(G(), D()), size, gpu)


def vgg(size, gpu):
    """A fixed network must see the same in input and output (notebook 02)."""
    return _direct(lambda G, D: Perceptual(G(), D(), vgg_features("text", "relu2_2"), 3.0),
                   size, gpu)


def cyclegan(size, gpu):
    """There and back again. Without the identity term: it asks that Y stays as it is.

    The true change seldom does that, and in notebook 03 the term made most splits worse.
    """
    return _direct(_two(CycleGAN, lambda_cyc=10.0), size, gpu)


def discogan(size, gpu):
    """CycleGAN's relative that compares features of its discriminators."""
    return _direct(_two(DiscoGAN), size, gpu, with_features=True)


def dualgan(size, gpu):
    """CycleGAN's relative with Wasserstein critics."""
    return _direct(_two(DualGAN, lambda_rec=10.0), size, gpu)


# ------------------------------------------------------------------ many domains


def stargan(size, gpu, codes=2):
    """One generator for all domains or attributes; `codes` is their number (notebook 04)."""
    if gpu:
        layers = min(6, halvings(size) + 1)  # D's scores are 2 x 2 or more
        return Plan(lambda: StarGAN(StarGANGenerator(codes),
                                    StarGANDiscriminator(codes, size, layers=layers)),
                    200_000, 1e-4, 16, settings={**OFFICIAL, "n_critic": 5}, smallest=32)
    downs = max(1, halvings(size) - 2)  # G works on a grid of 16 x 16

    def make():
        D = StarGANDiscriminator(codes, size, width=32, layers=halvings(size) + 1)
        return fast(StarGAN(SmallStarGenerator(codes, downs=downs), D))

    return Plan(make, 5000, 1e-3, 16)


# ------------------------------------------------------------------ a common space


def common(size, gpu):
    """Two auto-encoders with one code for both domains, all remedies (notebooks 05 to 07)."""
    wide = {"channels": 32, "width": 64} if gpu else {}
    encoder_size = min(size, 64 if gpu else 32)
    make = partial(common_space, None, size, encoder_size=encoder_size, **wide, **REMEDIES)
    return Plan(make, 60_000 if gpu else 4000, 4e-4 if gpu else 1e-3, 16, "auto")


METHODS = {"direct": direct, "vgg": vgg, "cyclegan": cyclegan, "discogan": discogan,
           "dualgan": dualgan, "stargan": stargan, "common-space": common}
POWERS = (stargan, common)  # whose networks halve the picture down to 4 px


def plan(method, size, device, codes=None):
    """The `Plan` for `method` (a key of METHODS) at `size` px on `device`. codes: StarGAN's number.

    ValueError naming a size that the networks cannot have.
    """
    find = METHODS[method]
    gpu = device.partition(":")[0] != "cpu"
    if find in POWERS and (size < 16 or size & (size - 1)):
        raise ValueError(f"--size {size}: {method} needs a power of two, at least 16")
    found = find(size, gpu) if codes is None else find(size, gpu, codes)
    if size < found.smallest or size % found.multiple:
        raise ValueError(f"--size {size}: {method} needs a multiple of {found.multiple}, at least "
                         f"{found.smallest}")
    return found
