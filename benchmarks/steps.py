"""What is timed: one training step of a method, as `fit` does it, with all its checks and copies.

A peer's step runs in between, in the same process, on the same images, with the same threads.
"""

import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from gantutor import recipes
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.stargan import StarGAN, StarGANDiscriminator, StarGANGenerator
from gantutor.models import PatchDiscriminator, ResnetGenerator
from gantutor.saving import seed_everything
from gantutor.training import fit

WARM = 2  # turns that are not counted: memory is taken, kernels are chosen
WIDTH = 64  # channels of the first layer of the authors' networks
CODES = 5  # numbers in a StarGAN code, as for CelebA


class Row(NamedTuple):
    """A line of the table. make: () -> untrained method; settings: of `fit`; peer: whose code
    stands beside it, a key of `peers.PEERS`, or None. size in pixels.
    """

    name: str
    make: object
    size: int
    batch_size: int
    settings: dict
    peer: str | None = None
    note: str = ""

    @property
    def plays(self):
        """Steps of `fit` that are one of the table: with n_critic=5, five of D and one of G."""
        return self.settings.get("n_critic", 1)


def blocks(size):
    """How many residual blocks CycleGAN's generator has for images of `size` px."""
    return 9 if size >= 256 else 6


def official_cyclegan(size, width):
    """CycleGAN with its authors' networks and weights, identity loss and pools on."""
    G_xy, G_yx = (ResnetGenerator(width=width, blocks=blocks(size)) for _ in range(2))
    D_x, D_y = (PatchDiscriminator(width=width) for _ in range(2))
    return CycleGAN(G_xy, G_yx, D_x, D_y, lambda_cyc=10.0, lambda_idt=0.5, pool_size=50)


def official_stargan(size, width):
    """StarGAN with its authors' networks and weights."""
    layers = size.bit_length() - 2  # 6 at 128 px, as theirs
    return StarGAN(StarGANGenerator(CODES, width), StarGANDiscriminator(CODES, size, width, layers))


def remedies(late=(0.0, 0.0), **sizes):
    """The course's common space. Every term is on from the first step, so all steps cost alike."""
    return recipes.common_space(**recipes.REMEDIES, late=late, **sizes)


def rows(width=WIDTH):
    """Every row. width: of the authors' networks; less than `WIDTH` is only for trying this out."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "decay_from": 1.0}
    star = adam | {"lr": 1e-4, "n_critic": 5}
    authors = "the authors' networks"
    table = [Row(f"CycleGAN, {size} px, batch {count}", partial(official_cyclegan, size, width),
                 size, count, adam, "cyclegan", f"{authors}, identity and pool on")
             for size, count in ((64, 1), (64, 4), (128, 1), (256, 1), (256, 8))]
    table += [Row(f"StarGAN, 128 px, batch {count}", partial(official_stargan, 128, width), 128,
                  count, star, "stargan", f"{authors}; a step is five of D and one of G")
              for count in (4, 16)]
    course = "the course's networks"
    return [*table,
            Row("common space, 32 px, batch 16", partial(remedies, encoder_size=32), 32, 16,
                {"lr": 1e-3}, None, f"{course}, all remedies"),
            Row("common space, 128 px, batch 1",
                partial(remedies, size=128, channels=32, width=64, encoder_size=64), 128, 1,
                {"lr": 4e-4}, "unit", f"{course} of 07's gpu cell, all remedies; UNIT has others")]


def batch_of(row, device="cpu"):
    """{"x", "y": (N, 3, size, size) in [-1, 1], "code": (N, CODES)}: noise, the same every time."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.rand(row.batch_size, 3, row.size, row.size, generator=generator) * 2 - 1
            for _ in range(2))
    code = torch.randint(0, 2, (row.batch_size, CODES), generator=generator).float()
    return {name: value.to(device) for name, value in (("x", x), ("y", y), ("code", code))}


class Same:
    """Batches for `fit` that are always the same one, already on its device."""

    def __init__(self, batch):
        self.batch = batch

    def next_batch(self):
        return dict(self.batch)

    def fingerprint(self):
        return {"class": "Same"}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def built(row):
    """The row's untrained method, from seed 0."""
    seed_everything(0)
    return row.make()


# ------------------------------------------------------------------ time


def clock(device):
    """Seconds, after all that was asked of the device is done."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(row, method, batch, other=None, *, repeats=5, steps=1, **how):
    """(ours, other's): lists of `repeats` numbers, seconds per step, measured in turn.

    other: does one step of a peer, or None. steps: how many steps each number is a mean of.
    how: `fit`'s device, precision and graphs.
    """
    device = how.get("device", "cpu")
    ours, others, began = [], [], None

    def turn(step, method, history):  # `fit` calls it before the first step, then after each turn
        nonlocal began
        if began is not None:
            ours.append((clock(device) - began) / steps)
        if other:
            began = clock(device)
            for _ in range(steps):
                other()
            others.append((clock(device) - began) / steps)
        began = clock(device)

    every = steps * row.plays
    fit(method, Same(batch), (WARM + repeats) * every, callback=turn, callback_every=every,
        progress=False, **how, **row.settings)
    return ours[WARM:], others[WARM + 1:]


# ------------------------------------------------------------------ memory


def peak_memory(device):
    """The most memory that this process has held so far, in MB: of the card, or else resident.

    resource's number is no good on Linux: a child begins with its parent's.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6


def memory_of_two_steps(row, other, device, precision, graphs):
    """The peak in MB of a process that does two steps of `other`, or if it is None of ours.

    With CUDA graphs it is some more steps, so that the graphs are recorded and replayed.
    """
    if other:
        other()
        other()
    else:
        fit(built(row), Same(batch_of(row, device)), (2 + 5 * graphs) * row.plays, device=device,
            precision=precision, graphs=graphs, progress=False, **row.settings)
    return peak_memory(device)
