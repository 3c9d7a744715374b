"""The trained runs that ship: which networks, which data, how many steps (room: training).

Each recipe is a function seed -> (method, data); `python -m gantutor train NAME --seed S` runs
one, judges it and saves its generators with command, seed, versions, minutes and panel.
"""

import json
import time

import torch

from gantutor import data, evaluate
from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct
from gantutor.models import SmallDiscriminator, SmallGenerator
from gantutor.training import fit, load_weights, read_metadata, save_weights, seed_everything

# Depth against content (notebook 01): number of 3x3 convolutions' worth of freedom, by
# stride-2 stages and residual blocks; none of them is handed its input at the end.
DEPTHS = {1: (1, 0), 2: (2, 1), 3: (3, 4)}


def landscape_generator():
    return SmallGenerator(width=24, blocks=2, downs=1, skip=True)


def avatar_generator():
    return SmallGenerator(width=24, blocks=2, downs=2, skip=False)


def deep_generator(depth):
    downs, blocks = DEPTHS[depth]
    return SmallGenerator(width=16, blocks=blocks, downs=downs, skip=False)


RECIPES = {
    # name: (pack, size, batch size, steps, method from its networks)
    "landscapes_direct": ("landscapes", 64, 8, 800,
                          lambda: Direct(landscape_generator(), SmallDiscriminator())),
    "landscapes_oneway": ("landscapes", 64, 8, 800, lambda: OneWayCycleGAN(
        landscape_generator(), landscape_generator(), SmallDiscriminator())),
    "landscapes_cyclegan": ("landscapes", 64, 8, 800, lambda: CycleGAN(
        landscape_generator(), landscape_generator(), SmallDiscriminator(),
        SmallDiscriminator())),
}
