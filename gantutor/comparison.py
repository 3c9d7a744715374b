"""What notebooks 05, 07 and 08 compare: rows that differ in one thing, numbers only.

The rules, held by a test: every method's network for x -> y has, within a tenth, as many
parameters as the others'; every run has `STEPS` steps of its generators, batches of 16 and the
rate 1e-3; a trick that one method uses is a row of its own for the others.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from gantutor.added import WithPairs, WithShuffledColours
from gantutor.autoencoders import Decoder, coders, decoder_stages
from gantutor.data import AVATARS, varied
from gantutor.evaluate import held_out_pairs, textures
from gantutor.evaluate.beyond import agreeing, beyond_the_panel, glasses
from gantutor.evaluate.readers import reader, share_read
from gantutor.losses import rare_detail_loss, softened, weighed_l1
from gantutor.methods.common_space import CoGAN
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.dtn import DTN, Taught
from gantutor.methods.supervised import Supervised
from gantutor.models import SmallDiscriminator, SmallGenerator
from gantutor.recipes import RECIPES, REMEDIES, common_space
from gantutor.rows import Drawer64, Rung, constrained, fast, first_twelve, row
from gantutor.saving import seed_everything
from gantutor.training import fit
from gantutor.vgg import vgg_features

STEPS = 2000
WIDTH = 34  # gives the direct family's generator as many parameters as an encoder and a decoder
Drawer = partial(SmallGenerator, width=WIDTH, blocks=2, downs=2, skip=False)
D = SmallDiscriminator
Group = partial(SmallDiscriminator, group=4)


def compared(make, pack=AVATARS, seeds=5, more=None, *, steps=STEPS, batch_size=16, **rest):
    """A `Rung` under the rules of this file."""
    return Rung(row(pack, make, steps, 1e-3, batch_size, **rest), seeds, more,
                faces=first_twelve(pack))


# ------------------------------------------------------------------ a fixed network that reads X


def three_classes(width=24):
    """DTN's discriminator: images (N, 3, 32, 32) -> logits (N, 3), without norm layers."""
    layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for k in range(3):
        layers += [nn.Conv2d(width << k, width << k + 1, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear((width << 3) * 4, 3))


def dtn_of(net, const=0.01, tid=60.0):
    """A DTN whose f is the encoder of a `reader`. The weights were chosen on validation people."""
    return DTN(net[0], Decoder(decoder_stages(32, 16, 24), 1.0), three_classes(),
               lambda_const=const, lambda_tid=tid)


def dtn(rough, *weights, pack=AVATARS, both=False):
    """A DTN and its f. `reads`: how much f reads of held-out X and Y."""
    net = reader(rough, pack, both=both)
    method = dtn_of(net, *weights)
    x, y, people = held_out_pairs(pack)
    method.reads = {f"f reads of {name}": share_read(net, images, people)
                    for name, images in (("x", x), ("y", y))}
    return method


def taught(**weights):
    """All remedies but the shuffling, and XGAN's teacher: a `reader`'s code of x."""
    teacher = reader(False)[0]
    start = common_space()
    return fast(Taught(*start.players()[0], D_x=start.D_x, D_y=start.D_y, D_z=start.D_z,
                       teacher=nn.Sequential(teacher, nn.Flatten()), d=256, **weights))


# ------------------------------------------------------------------ a distance that sees mouths


def by_detail(images, drawn, weight=1.0):
    """L1, and more of it where a pixel differs from its neighbourhood.

    images, drawn: (N, 3, H, W). A pixel counts by its contrast, the distance to the mean of the
    3 x 3 pixels around it. So flat pixels count as in L1. See also `rare_detail_loss`.
    """
    contrast = (images - softened(images)).abs().mean(1, keepdim=True)
    return weighed_l1(images, drawn, contrast, weight)


def with_squares(images, drawn, weight=2.0):
    """L1, plus `weight` times the squared error.

    Where two equally frequent values differ, L1 alone is as content with one as with anything
    between them. The square is not.
    """
    return F.l1_loss(drawn.float(), images) + weight * F.mse_loss(drawn.float(), images)


class ByFeatures(nn.Module):
    """L1 on pixels, and L1 on features of the course's VGG."""

    def __init__(self, weight=0.5):
        super().__init__()
        self.vgg, self.weight = vgg_features("text", "relu2_2"), weight

    def forward(self, images, drawn):
        pixels = F.l1_loss(drawn.float(), images)
        return pixels + self.weight * F.l1_loss(self.vgg(drawn).float(), self.vgg(images).float())


# ------------------------------------------------------------------ the rows


def supervised():
    return fast(Supervised(Drawer()))


def cyclegan():
    return fast(CycleGAN(Drawer(), Drawer(), D(), D()))


def changing():
    """A CycleGAN whose generators add to their input, as those of the photographs do."""
    return fast(CycleGAN(Drawer(skip=True), Drawer(skip=True), D(), D()))


def direct():
    return fast(Direct(Drawer(), Group(), pool_size=0))


def vgg():
    return fast(constrained(vgg_features, 1.0, Drawer, Group, pool_size=0))


# A CycleGAN turned into "all remedies", one change after the other. They start at the network.
CYCLE = {"lambda_kl": 0.0, "lambda_gan": 1.0, "lambda_cyc": REMEDIES["lambda_cyc"]}
STEPWISE = {
    "CycleGAN through codes": {"shared": 0, "lambda_rec": 0.0, "late": (0.0, 0.0)},
    "and auto-encoders first": {"shared": 0},
    "and shared layers": {},
    "and D_z": {"lambda_dom": REMEDIES["lambda_dom"]},
    "and semantic": {"lambda_dom": REMEDIES["lambda_dom"], "lambda_sem": REMEDIES["lambda_sem"]},
    "and shuffling": REMEDIES}
MAKERS = {
    "direct": direct, "VGG": vgg, "CycleGAN": cyclegan,
    **{name: partial(common_space, **{**CYCLE, **weights}) for name, weights in STEPWISE.items()},
    **{f"{name}, shuffled": lambda make=make: WithShuffledColours(make())
       for name, make in (("direct", direct), ("VGG", vgg), ("CycleGAN", cyclegan))},
    "XGAN's teacher": partial(taught, **{name: value for name, value in REMEDIES.items()
                                         if name != "shuffle"}),
    "DTN, f taught X": partial(dtn, False), "DTN, f taught rough X": partial(dtn, True),
    "DTN, f taught X and Y": partial(dtn, True, both=True)}
METHODS = {"supervised": compared(supervised, more=beyond_the_panel, paired=True)} | {
    name: compared(make, more=beyond_the_panel) for name, make in MAKERS.items()}

# Notebook 05: CoGAN, which cannot translate. Do the two pictures of one z show the same person?


def cogan(shared):
    _, _, G_x, G_y = coders(shared, 32, 16, 24)
    return fast(CoGAN(G_x, G_y, *(Group(layers=4) for _ in range(2))))


def pairs_drawn(method):
    """Six x, and beside them the y of the same z: (12, 3, 32, 32)."""
    seed_everything(0)
    return torch.cat(method.sample(6))


DRAWN = {f"CoGAN, {shared} shared": Rung(compared(partial(cogan, shared)).recipe._replace(
    judge=agreeing, lr=5e-4, steps=2 * STEPS), 3, faces=pairs_drawn) for shared in (0, 2)}

# Notebook 07: cycle x semantic, with D_x, D_y and D_z in every cell, on a texture that only X has.
CELLS = {"neither": (), "cycle": ("lambda_cyc",), "semantic": ("lambda_sem",),
         "both": ("lambda_cyc", "lambda_sem")}
ALWAYS = {name: value for name, value in REMEDIES.items()
          if name not in ("lambda_cyc", "lambda_sem")}
TEXTURES = {f"texture, {cell}": compared(
    partial(common_space, **ALWAYS, **{name: REMEDIES[name] for name in names}),
    varied.TEXTURED, more=textures.readings) for cell, names in CELLS.items()}
# An auto-encoder that must draw x again cannot forget its texture, whatever the codes' terms say.
TEXTURES |= {f"texture, {cell}, only Y redrawn": compared(
    partial(common_space, **ALWAYS, only_y=True, **{name: REMEDIES[name] for name in CELLS[cell]}),
    varied.TEXTURED, more=textures.readings) for cell in ("cycle", "semantic")}
TEXTURES |= {f"texture, {name}": compared(make, varied.TEXTURED, more=textures.readings,
                                          paired=make is supervised)
             for name, make in (("CycleGAN", cyclegan), ("supervised", supervised),
                                ("DTN", partial(dtn, True, pack=varied.TEXTURED)))}

all_remedies = partial(common_space, **REMEDIES)
unshuffled = partial(all_remedies, shuffle=0.0)
by_rarity = partial(all_remedies, distance=rare_detail_loss)
BOTH = {"CycleGAN": cyclegan, "all remedies": all_remedies}  # one of each family
# Notebook 08.
ON_X = {"CycleGAN on x": changing, "supervised on x": lambda: fast(Supervised(Drawer(skip=True)))}
DIALLED = {f"{step}, {name}": compared(make, pack, paired="supervised" in name)
           for step, pack in (varied.RECOLOURED | {"full": AVATARS}).items()
           for name, make in (BOTH | {"supervised": supervised} | ON_X).items()
           if step != "full" or name in ON_X}  # the others are those of METHODS
PAIRS = {f"{count} pairs": compared(supervised, varied.few(count), paired=True,
                                    batch_size=min(count, 16))
         for count in (1, 5, 20, 100, 500)}


def with_pairs(make, count):
    stacks = varied.few(count).paired(32, 1, 0).stacks
    return WithPairs(make(), stacks["x"], stacks["y"])


PAIRS |= {f"{name}, and 5 pairs": compared(partial(with_pairs, make, 5))
          for name, make in BOTH.items()}
FREQUENT = {f"{how}, {name}": compared(make, pack) for how, pack in (
    ("1000 faces, equal", varied.few(1000)), ("1000 faces, unequal", varied.UNEQUAL))
    for name, make in (("all remedies", all_remedies), ("no shuffling", unshuffled))}
SHIFTED = {f"{share:.0%} of Y with glasses, {name}": compared(make, varied.glasses_in_y(share),
                                                            more=glasses)
           for share in (0.1, 0.5, 0.9) for name, make in BOTH.items()}
FEWER = {f"{count} faces, {name}": compared(make, varied.few(count), 3)
         for count in (25, 100, 400) for name, make in BOTH.items()}

# Chosen on validation: DTN's weights, the reconstruction that keeps mouths.
VALIDATION = AVATARS.on_validation()
CHOSEN = {f"choose: DTN {const:g}, {tid:g}": compared(partial(dtn, True, const, tid), VALIDATION, 1,
                                                      steps=1000)
          for const in (0.001, 0.01, 0.1, 1.0, 15.0) for tid in (15.0, 60.0, 240.0)}
DISTANCES: dict[str, Callable] = {
    "L1": lambda: F.l1_loss, "detail 1": lambda: by_detail,
    "detail 2": lambda: partial(by_detail, weight=2.0),
    "detail 4": lambda: partial(by_detail, weight=4.0), "rarity 1": lambda: rare_detail_loss,
    "rarity 4": lambda: partial(rare_detail_loss, weight=4.0), "squares": lambda: with_squares,
    "features": ByFeatures}
CHOSEN |= {f"choose: mouth, {place}{name}": compared(
    lambda distance=distance: common_space(**REMEDIES, distance=distance()), pack, 2)
    for place, pack, tried in (
        ("", VALIDATION, ("L1", "detail 1", "detail 4", "features")),
        ("registered, ", varied.REGISTERED.on_validation(),
         ("L1", "detail 1", "detail 2", "rarity 1", "rarity 4", "squares")))
    for name, distance in ((name, DISTANCES[name]) for name in tried)}
at_64 = partial(by_rarity, size=64, encoder_size=32)
CHOSEN |= {f"choose: 64 px, {steps} steps": compared(
    at_64, varied.REGISTERED.on_validation().at(64), 1, steps=steps)
    for steps in (STEPS, 2 * STEPS)}


def on_small_codes(steps=STEPS):
    """A decoder for 64 px on the codes of a run at 32 px: nothing can be exchanged any more.

    `by_rarity` first learns at 32 px, for `steps` steps. Both domains share its encoder. It then
    reads the pictures at half their size and no longer learns. So D_z and the shuffling have
    nothing left to do. Small pictures first, then large ones: Karras et al., "Progressive Growing
    of GANs for Improved Quality, Stability, and Variation", ICLR 2018.
    """
    small = by_rarity()
    fit(small, varied.REGISTERED.unpaired(32, 16, torch.initial_seed()), steps, lr=1e-3)
    method = at_64(lambda_dom=0.0, shuffle=0.0)
    method.E_x.load_state_dict(small.E_x.state_dict())
    method.E_x.requires_grad_(False)
    return method


CHOSEN["choose: 64 px, on small codes"] = compared(
    on_small_codes, varied.REGISTERED.on_validation().at(64), 1)

# X moved to where Y's faces lie (`varied.registration`): does likeness then tell more names?
MOVED = {f"registered, {name}": compared(make, varied.REGISTERED)
         for name, make in (
             ("CycleGAN", cyclegan), ("all remedies", all_remedies),
             ("all remedies by rarity", by_rarity), ("no shuffling", unshuffled))}
BEST = "registered, all remedies by rarity"
MOVED[BEST] = MOVED[BEST]._replace(recipe=RECIPES["avatars_registered"], ships="avatars_registered")
MOVED[f"{BEST}, 64 px"] = compared(at_64, varied.REGISTERED.at(64),
                                   steps=2 * STEPS)._replace(faces=None)
MOVED[f"{BEST}, on small codes"] = compared(on_small_codes, varied.REGISTERED.at(64))
CEILINGS = {
    "registered, supervised": compared(supervised, varied.REGISTERED, paired=True),
    "registered, supervised, 64 px": compared(lambda: fast(Supervised(Drawer64())),
                                              varied.REGISTERED.at(64), 3, steps=2 * STEPS,
                                              paired=True)}

# Mouths in the code, not registered: which is which, where both are equally frequent or not?
MOUTHS = {f"{share:.0%} frown, by rarity": compared(by_rarity, varied.frowning(share), 3)
          for share in (0.5, 0.7)}

# No faces are kept.
NUMBERS = CHOSEN | DIALLED | PAIRS | FREQUENT | SHIFTED | FEWER | MOUTHS | CEILINGS
COMPARED = METHODS | DRAWN | TEXTURES | MOVED | {
    name: rung._replace(faces=None) for name, rung in NUMBERS.items()}
