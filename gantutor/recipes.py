"""The runs of the course, one row each: data, untrained method, judge, how long.

    gantutor train retro_cyclegan --seed 0

A row reads like a sentence: on this pack, train this method, for so many steps. No code parses the
names. RECIPES ship as checkpoints. For the rungs of the LADDER and the points of FURTHER only the
numbers are kept, of PICTURED also what they draw. `gantutor.runs` trains and judges rows.
"""

from functools import partial

from torch import nn

from gantutor.autoencoders import CodeDiscriminator, coders, halvings
from gantutor.data import AVATARS, FACES, INK, MONOCHROMES, faces, varied
from gantutor.evaluate import panel, sharpness
from gantutor.evaluate.edits import Coded
from gantutor.evaluate.probes import readings
from gantutor.losses import rare_detail_loss
from gantutor.methods.common_space import ReversedCodes, ShuffledColours
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.relatives import DualGAN
from gantutor.methods.stargan import (
    JointStarGAN,
    SmallStarGenerator,
    StarGAN,
    StarGANDiscriminator,
)
from gantutor.methods.supervised import Supervised, SupervisedEdits, SupervisedPair
from gantutor.models import SmallDiscriminator, SmallGenerator, TextureDiscriminator
from gantutor.rows import (  # noqa: F401 - what a row is made of, for whoever reads recipes
    DEPTH,
    EMBED,
    FURTHER,
    LONGER,
    NEGATIVE,
    PHOTOGRAPHS,
    REFERENCED,
    SETTINGS,
    SWEEP,
    TUNING,
    WEIGHTS,
    D,
    Deep,
    Drawer,
    Drawer64,
    Medium,
    Pixel,
    Recipe,
    Rung,
    Shallow,
    constrained,
    drawn,
    fast,
    first_twelve,
    larger,
    row,
)
from gantutor.vgg import vgg_features

A, B = faces.BLOCKS


def star_networks(size, codes, classes):
    """(G, D) for faces of `size` px. G works on a 16 x 16 grid, D's scores are 2 x 2."""
    levels = {32: 1, 64: 2}[size]
    D = StarGANDiscriminator(classes, size, width=32, layers=levels + 3)
    return SmallStarGenerator(codes, downs=levels), D


def joint(size=32):
    """StarGAN on both sets of faces, with the mask."""
    return JointStarGAN(*star_networks(size, A + B + 2, A + B), faces.BLOCKS)


class UnmaskedGenerator(nn.Module):
    """A generator that does not see the mask, the code's last two numbers: for the ablation."""

    def __init__(self, G):
        super().__init__()
        self.G = G

    def forward(self, x, code):
        return self.G(x, code[:, :-2])


def joint_without_mask_in_G():
    """The loss knows which labels are known, G does not."""
    G, D = star_networks(32, A + B, A + B)
    return JointStarGAN(UnmaskedGenerator(G), D, faces.BLOCKS)


def judge_pair(method, seed=0):
    """The panel of a CycleGAN between brown and black hair, on these two edits only."""
    found = panel(Coded(method, "black hair").translate, FACES,
                  questions=faces.hair_questions("brown hair", "black hair"))
    return {name: value for name, value in found.items() if name != "by attribute"}


# Every remedy at once, on codes without noise.
REMEDIES = {"lambda_kl": 0.0, "lambda_dom": 2.0, "lambda_gan": 1.0, "lambda_cyc": 5.0,
            "lambda_sem": 1.0, "shuffle": 0.5}


def common_space(shared=None, size=32, channels=16, width=24, encoder_sees_flag=False,
                 encoder_size=None, lambda_kl=0.1, **weights):
    """`ShuffledColours` with the CPU's networks. shared: how many stages, None for all."""
    if shared is None:
        shared = halvings(encoder_size or size) + 1, halvings(size) + 1
    networks = coders(shared, size, channels, width, encoder_sees_flag, encoder_size)
    layers = halvings(size) + 1  # D's scores are 2 x 2
    D_x, D_y = (SmallDiscriminator(width=24, layers=layers) for _ in range(2))
    method = ShuffledColours(*networks, D_x=D_x, D_y=D_y, D_z=CodeDiscriminator(channels),
                             lambda_kl=lambda_kl, **weights)
    return fast(method)


def reversed_codes(lambda_kl, lambda_dom):
    """One encoder, one decoder, and D_z behind a gradient reversal layer."""
    start = common_space(4, lambda_kl=lambda_kl)  # the same weights as the rungs beside it
    return ReversedCodes(*start.players()[0], D_z=start.D_z, lambda_kl=lambda_kl,
                         lambda_dom=lambda_dom)


# -------------------------------------------------------- the table: what ships

avatars = partial(row, AVATARS)
avatars64 = partial(row, AVATARS.at(64))
ink128 = partial(row, INK.at(128), steps=800, batch_size=8)
monochromes = partial(row, MONOCHROMES, steps=4000, lr=2e-3, batch_size=4)
edits = partial(row, FACES, steps=5000)

RECIPES = {
    **PHOTOGRAPHS,
    # For looking at, in README and 03: 128 px, split 0, one stage more in each network.
    "ink128_direct": ink128(lambda: fast(Direct(Deep(), TextureDiscriminator(layers=4)))),
    "ink128_vgg": ink128(lambda: fast(constrained(EMBED["relu2_2"], WEIGHTS["ink"]["relu2_2"], Deep,
                                                  partial(TextureDiscriminator, layers=4)))),
    "ink128_cyclegan": ink128(partial(larger, TextureDiscriminator, 3.0)),
    # Notebook 01: faces without a constraint.
    # D sees one image at a time, so it cannot notice that all outputs are alike.
    "avatars_collapsed": avatars(lambda: Direct(Drawer(), D()), 1500, 5e-4),
    # D sees the spread over a group of images. No pool: its older images would look diverse.
    "avatars_direct": avatars(
        lambda: Direct(Drawer(), D(group=4), pool_size=0), 2400, batch_size=32),
    # As many steps as the longest run of the avatars in any table.
    "avatars_supervised": avatars(lambda: Supervised(Drawer()), 4000, paired=True),

    # Notebook 02: a VGG where shapes change.
    "avatars_vgg": avatars(partial(constrained, vgg_features, 1.0, Drawer, partial(D, group=4),
                                   pool_size=0), 1000),
    "avatars_vggheavy": avatars(partial(constrained, vgg_features, 10.0, Drawer,
                                        partial(D, group=4), pool_size=0), 1000),

    # Notebooks 03 and 03b: cycles, and what they hide.
    "avatars_cyclegan": avatars(lambda: CycleGAN(Drawer(), Drawer(), D(), D()), 2500),
    "monochromes_hider": monochromes(lambda: DualGAN(Pixel(), Pixel(), D(), D(), lambda_rec=3.0)),
    "monochromes_defended": monochromes(
        lambda: DualGAN(Pixel(), Pixel(), D(), D(), lambda_rec=3.0, noise=16 / 256)),
    "monochromes_nocycle": monochromes(lambda: DualGAN(Pixel(), Pixel(), D(), D(), lambda_rec=0.0)),
    "monochromes_cyclegan": monochromes(
        lambda: CycleGAN(Pixel(), Pixel(), D(), D(), lambda_cyc=3.0, pool_size=0)),
    "monochromes_supervised": monochromes(lambda: SupervisedPair(Pixel(), Pixel()), paired=True),

    # Notebook 04: two half-labelled sets of faces; the weights are those of StarGAN's paper.
    "faces_joint": edits(joint),
    "faces64_joint": row(FACES.at(64), partial(joint, 64), 5000),
    # One table with zeros for "unknown", and plain StarGAN.
    "faces_merged": edits(lambda: StarGAN(*star_networks(32, A + B, A + B)),
                          code=faces.unmasked_code, load=partial(faces.unpaired, mask=False)),
    "faces_nomask": edits(joint_without_mask_in_G),
    "faces_supervised": edits(lambda: SupervisedEdits(star_networks(32, A + B + 2, A + B)[0]),
                              steps=8000, paired=True),
    # One pair of the 48 domains.
    "faces_brownblack": Recipe(
        partial(faces.two_hair_colours, "brown hair", "black hair", 32),
        lambda: CycleGAN(*(SmallGenerator(width=32, blocks=3, downs=1) for _ in range(2)),
                         D(), D()),
        judge_pair, 2500, 1e-3, 16),

    # Notebook 07.
    "avatars_remedies": avatars(partial(common_space, encoder_size=32, **REMEDIES), 4000,
                                precision="auto"),
    # X moved to where Y's faces lie, and a reconstruction that sees mouths: notebook 08.
    "avatars_registered": row(varied.REGISTERED, partial(
        common_space, distance=rare_detail_loss, **REMEDIES), 2000),
    "avatars64_remedies": avatars64(partial(common_space, None, 64, encoder_size=32, **REMEDIES),
                                    4000, precision="auto"),
    "avatars64_supervised": avatars64(lambda: Supervised(Drawer64()), 1000, paired=True),
}

# -------------------------------------- the ladder of notebooks 05 to 07: only numbers are kept

# Number of encoder steps in notebooks 05 and 06.
STEPS, ALIGNED_STEPS = 1000, 2000
# Where codes are aligned, D_z trains twice per encoder step, with a constant learning rate.
D_Z_PLAYS = {"n_critic": 2, "decay_d": False}

all_shared = partial(common_space, 4)


def rung(steps, seeds, more=None, *, make=all_shared, settings=None, **weights):
    """A `Rung` on the avatars. steps: number of encoder steps."""
    settings = settings or {}
    return Rung(avatars(partial(make, **weights), steps * settings.get("n_critic", 1),
                        precision="auto", settings=settings), seeds, more)


# Notebook 05: the encoder sees a flag that names the domain.
SHARING = {
    "unlinked": rung(STEPS, 5, readings, make=partial(common_space, 0),
                     encoder_sees_flag=True),
    "1 shared": rung(STEPS, 3, readings, make=partial(common_space, 1),
                     encoder_sees_flag=True),
    "2 shared": rung(STEPS, 3, readings, make=partial(common_space, 2),
                     encoder_sees_flag=True),
    "3 shared": rung(STEPS, 3, readings, make=partial(common_space, 3),
                     encoder_sees_flag=True),
    "4 shared": rung(STEPS, 5, readings, make=partial(common_space, 4),
                     encoder_sees_flag=True),
    # Liu, Breuel, Kautz, NeurIPS 2017, section 3: their weights, on this course's networks. Every
    # term is on from the first step, as in their code.
    "UNIT": rung(STEPS, 5, readings, make=partial(common_space, 2), lambda_kl=0.01,
                 lambda_gan=1.0, lambda_cyc=10.0, late=(0.0, 0.0)),
}
# Notebook 06: encoders that do not see the domain, and codes under stronger noise.
NOISY = {"lambda_kl": 0.5}
ALIGNMENT = {
    "4 shared, noisy": rung(ALIGNED_STEPS, 3, readings, **NOISY),
    "aligned": rung(ALIGNED_STEPS, 5, readings, settings=D_Z_PLAYS, lambda_dom=2.0, **NOISY),
    "reversed": rung(ALIGNED_STEPS, 3, readings, make=reversed_codes, lambda_dom=2.0, **NOISY),
}
sharp = partial(sharpness, pack=AVATARS.at(64))
# The shipped runs, with more seeds than ship.
CONVERGED = {name: Rung(RECIPES[ships], seeds, more, ships) for name, ships, seeds, more in (
    ("all remedies", "avatars_remedies", 5, None),
    ("all remedies, 64 px", "avatars64_remedies", 1, sharp),
    ("supervised, 64 px", "avatars64_supervised", 2, sharp))}
LADDER = SHARING | ALIGNMENT | CONVERGED

# README's first picture: without a constraint, and with a cycle, at 64 px.
PICTURED = {name: Rung(found, 1, faces=first_twelve(AVATARS.at(64))) for name, found in {
    "direct, 64 px": avatars64(
        lambda: fast(Direct(Drawer64(), D(layers=4, group=4), pool_size=0)), 2400, 5e-4,
        batch_size=32),
    "CycleGAN, 64 px": avatars64(
        lambda: fast(CycleGAN(Drawer64(), Drawer64(), D(layers=4), D(layers=4))), 2500)}.items()}
