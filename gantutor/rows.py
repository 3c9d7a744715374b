"""What a row is, the small networks, and the rows of the photographs (notebooks 01 to 03)."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from gantutor.data import AVATARS, DIAL, INK, RETRO, varied
from gantutor.evaluate import held_out_pairs, panel
from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.methods.supervised import Supervised
from gantutor.models import (
    PixelGenerator,
    SmallDiscriminator,
    SmallGenerator,
    TextureDiscriminator,
    with_coordinates,
)
from gantutor.vgg import vgg_features


class Recipe(NamedTuple):
    """One run. batches: (batch_size, seed) -> what `fit` draws from; make: () -> the untrained
    method; judge: (trained method, seed) -> its panel. The rest are `fit`'s arguments, in
    `settings` the less common ones. Where a pack can be divided, the seed is also its split.
    """

    batches: Callable
    make: Callable
    judge: Callable
    steps: int
    lr: float
    batch_size: int
    precision: str = "float32"
    settings: dict = {}  # noqa: RUF012 - nobody writes to it


def row(pack, make, steps, lr=1e-3, batch_size=16, *, paired=False, code=None, load=None, **rest):
    """A `Recipe` on a pack, judged by its panel. load: other batches than the pack's own."""
    def judge(method, seed=0):
        return panel(method.translate, pack.split(seed), getattr(method, "back", None), code)

    draw = partial(drawn, pack, paired, load)
    return Recipe(draw, make, judge, steps, lr, batch_size, **rest)


def drawn(pack, paired, load, batch_size, seed):
    """The batches of a row's run of this seed."""
    here = pack.split(seed)
    return (load or (here.paired if paired else here.unpaired))(pack.size, batch_size, seed)


class Rung(NamedTuple):
    """A recipe for `seeds` seeds. more: trained method -> more numbers. ships: as which recipe.
    faces: trained method -> what it draws, (12, 3, 32, 32), kept beside the numbers of seed 0.
    """

    recipe: Recipe
    seeds: int
    more: Callable | None = None
    ships: str | None = None
    faces: Callable | None = None


def first_twelve(pack):
    """A `Rung`'s `faces`: what a method draws of the first twelve held-out people of a pack."""
    return lambda method: method.translate(held_out_pairs(pack)[0][:12])


# ------------------------------------------------------------------ networks
# Generators of photographs change their input. Those of avatars draw anew, because shapes change.

D = SmallDiscriminator
Shallow = partial(SmallGenerator, width=24, blocks=0, downs=1)
Medium = partial(SmallGenerator, width=24, blocks=2, downs=1)
Deep = partial(SmallGenerator, width=24, blocks=3, downs=2)
Drawer = partial(SmallGenerator, width=24, blocks=2, downs=2, skip=False)
Drawer64 = partial(SmallGenerator, width=24, blocks=2, downs=3, skip=False)
Pixel = PixelGenerator


def constrained(embed, weight, G=Deep, D_y=D, **settings):
    """A `Perceptual` method. embed: () -> the network whose features must stay similar."""
    G_xy, D_y = G(), D_y()  # made first: same start as the unconstrained run of this seed
    return Perceptual(G_xy, D_y, embed(), weight, **settings)


def fast(method):
    """The method in a memory layout in which a CPU convolves a third faster."""
    return method.to(memory_format=torch.channels_last)


# ------------------------------------------------------- notebooks 01 to 03: photographs


def on_photographs(pack, D, lr, lambda_cyc, weights):
    """{kind: row}: every direct method on one change of the photographs.

    All rows have the same steps, batches and rate, and unless they are named after their depth the
    same generator, the supervised ceiling too. A run's seed is also its split. weights: of the
    constraint, by what embeds; they were chosen on validation (see `SWEEP`).
    """
    def here(make, **rest):
        return row(pack, lambda: fast(make()), 600, lr, 8, **rest)

    def two(kind, **settings):
        return here(lambda: kind(Medium(), Medium(), D(), D(), **settings))

    return {
        # Notebook 01: three depths of the same generator.
        "shallow": here(lambda: Direct(Shallow(), D())),
        "medium": here(lambda: Direct(Medium(), D())),
        "deep": here(lambda: Direct(Deep(), D())),
        "supervised": here(lambda: Supervised(Medium()), paired=True),
        # Notebook 02: what embeds x and G_xy(x).
        "pixel": here(partial(constrained, nn.Identity, weights["pixel"], Medium, D)),
        "vgg": here(partial(constrained, EMBED["relu2_2"], weights["relu2_2"], Medium, D)),
        "vggdeep": here(partial(constrained, EMBED["relu3_3"], weights["relu3_3"], Medium, D)),
        # Notebook 03: cycles.
        "oneway": here(lambda: OneWayCycleGAN(Medium(), Medium(), D(), lambda_cyc)),
        "cyclegan": two(CycleGAN, lambda_cyc=lambda_cyc),
        "identity": two(CycleGAN, lambda_cyc=lambda_cyc, lambda_idt=0.5),
        "discogan": two(DiscoGAN),
        "dualgan": two(DualGAN, lambda_rec=lambda_cyc)}


def larger(D, lambda_cyc):
    """A CycleGAN for 128 px: one stage more in each network."""
    networks = Deep(), Deep(), D(layers=4), D(layers=4)
    return fast(CycleGAN(*networks, lambda_cyc=lambda_cyc))


EMBED = {"pixel": nn.Identity, "relu2_2": partial(vgg_features, "text", "relu2_2"),
         "relu3_3": partial(vgg_features, "text", "relu3_3")}
# Chosen on validation, in a split of its own. D sees coordinates where Y has darker corners.
WEIGHTS = {"retro": {"pixel": 1.0, "relu2_2": 3.0, "relu3_3": 3.0},
           "ink": {"pixel": 1.0, "relu2_2": 1.0, "relu3_3": 1.0},
           "inverted": {"pixel": 0.1, "relu2_2": 0.3, "relu3_3": 1.0}}
SETTINGS = {"retro": (RETRO, D, 1e-3, 10.0), "ink": (INK, TextureDiscriminator, 1e-3, 3.0),
            "inverted": (DIAL["inverted"], D, 1e-3, 10.0)}
PHOTOGRAPHS = {f"{name}_{kind}": found for name in ("retro", "ink")
               for kind, found in on_photographs(*SETTINGS[name], WEIGHTS[name]).items()}

# ------------------- notebooks 01 to 03: what is chosen, and further experiments, numbers only

TUNING = 100  # the split in which weights are chosen, on validation; no table shows it


def tried(change, kind, weight):
    """A point of the sweep: half of the row's steps, judged on validation."""
    pack, D, lr, _ = SETTINGS[change]
    alone = pack.split(TUNING).on_validation()._replace(divide=None)
    return Rung(row(alone, lambda: fast(constrained(EMBED[kind], weight, Medium, D)), 300, lr, 8),
                1)


SWEEP = {f"{change}, {kind}, {weight:g}": tried(change, kind, weight)
         for change in SETTINGS for kind, weights in (
             ("pixel", (0.1, 0.3, 1.0, 3.0)), ("relu2_2", (0.3, 1.0, 3.0, 10.0)),
             ("relu3_3", (0.3, 1.0, 3.0, 10.0))) for weight in weights}

# Depth alone: every generator sees one pixel and starts at the same map, the identity.


class PixelDrawer(PixelGenerator):
    """A `PixelGenerator` without the skip: tanh(f(x)). It draws every colour anew."""

    def forward(self, x):
        return torch.tanh(self.out(self.net(with_coordinates(x))))  # (N, 3, H, W)


def handing_back(G, steps=1500, lr=3e-3):
    """Trains G, in place, to hand back colours drawn uniformly from [-0.95, 0.95]. Returns G."""
    optimiser = torch.optim.Adam(G.parameters(), lr)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        colours = torch.rand(8, 3, 16, 16) * 1.9 - 0.95
        optimiser.zero_grad()
        (G(colours) - colours).abs().mean().backward()
        optimiser.step()
    return G


def of_depth(kind, layers):
    """Notebook 01's method with a generator that differs from its neighbours only in depth."""
    return fast(Direct(handing_back(kind(layers=layers)), D()))


DEPTH = {f"depth {layers}, {how}": Rung(row(RETRO, partial(of_depth, kind, layers), 600, 1e-3, 8),
                                        5)
         for how, kind in (("skip", PixelGenerator), ("no skip", PixelDrawer))
         for layers in (1, 3, 6)}


# The negative keeps every edge and turns every colour round: does a VGG help there?
NEGATIVE = {f"inverted, {kind}": Rung(found, 5) for kind, found in
            on_photographs(*SETTINGS["inverted"], WEIGHTS["inverted"]).items()
            if kind in ("supervised", "medium", "vgg", "vggdeep", "cyclegan")}
# Twice the steps, with the same schedule: does a CycleGAN of drawings get better?
LONGER = {"ink, cyclegan, 1200 steps": Rung(PHOTOGRAPHS["ink_cyclegan"]._replace(steps=1200), 5)}
FURTHER = SWEEP | DEPTH | NEGATIVE | LONGER

# Whose reference rows are kept: {name: (pack, the untrained network of its rows, splits)}.
REFERENCED = {"retro": (RETRO, Medium, 5), "ink": (INK, Medium, 5), "avatars": (AVATARS, Drawer, 1)}
REFERENCED |= {name: (pack, Medium, 5) for name, pack in DIAL.items() if name not in REFERENCED}
REFERENCED |= {name: (pack, Drawer, 1)
               for name, pack in (varied.RECOLOURED | {"registered": varied.REGISTERED}).items()}
REFERENCED["registered, 64 px"] = (varied.REGISTERED.at(64), Drawer64, 1)
