"""The runs behind the shipped checkpoints: which networks, which data, how many steps.

    python -m gantutor train landscapes_cyclegan --seed 0

trains one, judges it and saves its generators with command, seed, versions, minutes and panel.
Room: training.
"""

import json
import time
from functools import partial

import torch
from torch import nn

import gantutor
from gantutor import data, edits, evaluate, faces
from gantutor.autoencoders import CodeDiscriminator, coders, halvings
from gantutor.methods.common_space import ShuffledSpace
from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.methods.stargan import (
    JointStarGAN,
    SmallStarGenerator,
    StarGAN,
    StarGANDiscriminator,
    UnmaskedGenerator,
)
from gantutor.models import PixelGenerator, SmallDiscriminator, SmallGenerator
from gantutor.training import fit, load_weights, read_metadata, save_weights, seed_everything
from gantutor.vgg import vgg_features

SIZES = {"landscapes": 64, "avatars": 32, "avatars64": 64, "monochromes": 32}
FACES = {"faces": 32, "faces64": 64}  # notebook 04: packs with codes, judged by gantutor.edits
# Notebook 01: three depths of the same generator, (stride-2 stages, residual blocks).
DEPTHS = {"shallow": (1, 0), "medium": (1, 2), "deep": (2, 3)}
# Notebook 02: what embeds x and G_xy(x), its layer, and the term's weight.
CONSTRAINTS = {"pixel": ("pixel", None, 0.1), "randomvgg": ("random", "relu3_3", 0.3),
               "vgg": ("text", "relu2_2", 3.0)}


def generator(pack, depth="medium"):
    """Landscapes change their input; avatars are drawn from nothing, because shapes change."""
    if pack in ("avatars", "avatars64"):
        return SmallGenerator(width=24, blocks=2, downs=halvings(SIZES[pack]) - 1, skip=False)
    if pack == "monochromes":
        return PixelGenerator()
    downs, blocks = DEPTHS[depth]
    return SmallGenerator(width=24, blocks=blocks, downs=downs, skip=True)


def constrained(constraint, layer, weight):
    """The deep generator under a constraint: "pixel", or the weights of a VGG16 at `layer`."""
    # Networks first: they start as the unconstrained ones of the same seed do.
    G, D = generator("landscapes", "deep"), SmallDiscriminator()
    embed = nn.Identity() if constraint == "pixel" else vgg_features(constraint, layer)
    return Perceptual(G, D, embed, weight)


def star_networks(size, codes, classes):
    """(G, D) for faces of `size` px. G works on a 16 x 16 grid, D's scores are 2 x 2."""
    levels = {32: 1, 64: 2}[size]
    D = StarGANDiscriminator(classes, size, width=32, layers=levels + 3)
    return SmallStarGenerator(codes, downs=levels), D


def make_faces(kind, size):
    """The untrained method of a recipe on the faces, with the weights of StarGAN's paper."""
    everything = sum(faces.BLOCKS)
    match kind:
        case "joint":
            return JointStarGAN(*star_networks(size, everything + 2, everything), faces.BLOCKS)
        case "merged":  # one table with zeros for "unknown", and StarGAN as it is
            return StarGAN(*star_networks(size, everything, everything))
        case "nomask":  # the loss knows which labels are known, G does not
            G, D = star_networks(size, everything, everything)
            return JointStarGAN(UnmaskedGenerator(G), D, faces.BLOCKS)
        case "supervised":
            return edits.SupervisedEdits(star_networks(size, everything + 2, everything)[0])
        case "brownblack":  # one pair of domains of the 48
            G = partial(SmallGenerator, width=32, blocks=3, downs=1)
            return CycleGAN(G(), G(), SmallDiscriminator(), SmallDiscriminator())


# Every remedy at once, on codes without noise.
REMEDIES = {"lambda_kl": 0.0, "lambda_dom": 2.0, "lambda_gan": 1.0, "lambda_cyc": 5.0,
            "lambda_sem": 1.0, "shuffle": 0.5}


def make_common_space(shared=None, steps=0, size=32, channels=16, width=24, told=False, seen=None,
                      lambda_kl=0.1, **weights):
    """`ShuffledSpace` with the CPU's networks. shared: how many stages, None for all.

    steps: how often the encoders will play, for the ramps. seen: see `coders`.
    """
    if shared is None:
        shared = halvings(seen or size) + 1, halvings(size) + 1
    networks = coders(shared, size, channels, width, told, seen)
    layers = halvings(size) + 1  # D's scores are 2 x 2
    D_x, D_y = (SmallDiscriminator(width=24, layers=layers) for _ in range(2))
    method = ShuffledSpace(*networks, D_x=D_x, D_y=D_y, D_z=CodeDiscriminator(channels),
                           steps=steps, lambda_kl=lambda_kl, **weights)
    return method.to(memory_format=torch.channels_last)  # a tenth faster on a CPU


def make(name):
    """The untrained method of recipe `name`, "PACK_METHOD". ValueError for an unknown name."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r}: expected one of {', '.join(RECIPES)}")
    pack, _, kind = name.partition("_")
    if pack in FACES:
        return make_faces(kind, FACES[pack])
    if kind == "remedies":
        return make_common_space(None, RECIPES[name][0], SIZES[pack], seen=32, **REMEDIES)
    G, D = partial(generator, pack), SmallDiscriminator
    if kind in DEPTHS:
        return Direct(G(kind), D())
    if pack == "landscapes" and kind in CONSTRAINTS:
        return constrained(*CONSTRAINTS[kind])
    match kind:
        case "direct":
            # D sees the spread of a batch; no pool, whose older images would look diverse.
            return Direct(G(), D(group=4), pool_size=0)
        case "vgg" | "vggheavy":  # as "direct", and the constraint
            weight = 1.0 if kind == "vgg" else 10.0
            return Perceptual(G(), D(group=4), vgg_features("text", "relu3_3"), weight, pool_size=0)
        case "collapsed":  # D sees one image at a time: nothing says that they must differ
            return Direct(G(), D())
        case "oneway":
            return OneWayCycleGAN(G(), G(), D())
        case "cyclegan" if pack == "monochromes":
            return CycleGAN(G(), G(), D(), D(), lambda_cyc=3.0, pool_size=0)
        case "cyclegan" | "converged":
            return CycleGAN(G(), G(), D(), D())
        case "discogan":
            return DiscoGAN(G(), G(), D(), D())
        case "dualgan":
            return DualGAN(G(), G(), D(), D())
        case "identity":
            return CycleGAN(G(), G(), D(), D(), lambda_idt=0.5)
        case "hider":
            return DualGAN(G(), G(), D(), D(), lambda_rec=3.0)
        case "defended":
            return DualGAN(G(), G(), D(), D(), lambda_rec=3.0, noise=16 / 256)
        case "nocycle":
            return DualGAN(G(), G(), D(), D(), lambda_rec=0.0)
        case "supervised" if pack == "monochromes":
            return evaluate.SupervisedPair(G(), G())
        case "supervised":
            return evaluate.Supervised(G())


# name: (steps, learning rate, batch size)
RECIPES = {
    "landscapes_shallow": (600, 1e-3, 8),
    "landscapes_medium": (600, 1e-3, 8),
    "landscapes_deep": (600, 1e-3, 8),
    "landscapes_pixel": (600, 1e-3, 8),
    "landscapes_randomvgg": (600, 1e-3, 8),
    "landscapes_vgg": (600, 1e-3, 8),
    "landscapes_oneway": (600, 1e-3, 8),
    "landscapes_cyclegan": (600, 1e-3, 8),
    "landscapes_identity": (600, 1e-3, 8),
    "landscapes_discogan": (600, 1e-3, 8),
    "landscapes_dualgan": (600, 1e-3, 8),
    "landscapes_supervised": (600, 1e-3, 8),
    "landscapes_converged": (1200, 1e-3, 8),
    "avatars_collapsed": (1500, 5e-4, 16),
    "avatars_direct": (2400, 1e-3, 32),
    "avatars_vgg": (1000, 1e-3, 16),
    "avatars_vggheavy": (1000, 1e-3, 16),
    "avatars_cyclegan": (2500, 1e-3, 16),
    "avatars_supervised": (1500, 1e-3, 16),
    "avatars_remedies": (4000, 1e-3, 16),
    "avatars64_remedies": (4000, 1e-3, 16),
    "avatars64_supervised": (1000, 1e-3, 16),
    "monochromes_hider": (4000, 2e-3, 4),
    "monochromes_defended": (4000, 2e-3, 4),
    "monochromes_cyclegan": (4000, 2e-3, 4),
    "monochromes_nocycle": (4000, 2e-3, 4),
    "monochromes_supervised": (4000, 2e-3, 4),
    "faces_joint": (5000, 1e-3, 16),
    "faces_merged": (5000, 1e-3, 16),
    "faces_nomask": (5000, 1e-3, 16),
    "faces_supervised": (8000, 1e-3, 16),
    "faces_brownblack": (2500, 1e-3, 16),
    "faces64_joint": (5000, 1e-3, 16),
}


def batches(name, seed):
    """The data of recipe `name`: unpaired, or for the supervised ceiling alone the pairs."""
    pack, _, kind = name.partition("_")
    batch_size = RECIPES[name][2]
    if pack in FACES:
        return face_batches(kind, FACES[pack], batch_size, seed)
    size = SIZES[pack]
    if kind == "supervised":
        return evaluate.paired_training_set(pack.removesuffix("64"), size, batch_size, seed)
    return getattr(data, pack.removesuffix("64"))(size, batch_size, seed)


def face_batches(kind, size, batch_size, seed):
    """The faces as a recipe's method needs them."""
    match kind:
        case "brownblack":
            return faces.two_hair_colours("brown hair", "black hair", size, batch_size, seed)
        case "supervised":
            return edits.edited_pairs(size, batch_size, seed)
    return faces.faces(size, batch_size, seed, mask=kind != "merged")


def generators(method):
    """The networks of a method that ship: generators, encoders, decoders by their names."""
    return {name: net for name, net in method.named_children() if name[0] in "EG"}


def judge(method, name):
    """The panel of a trained method on its pack's held-out pairs."""
    pack, _, kind = name.partition("_")
    if kind == "brownblack":
        translate = edits.coded(method, "black hair")
        return edits.pair_panel(translate, "brown hair", "black hair", FACES[pack])
    if pack in FACES:
        code = edits.unmasked_code if kind == "merged" else edits.joint_code
        return edits.edit_panel(method.translate, FACES[pack], code)
    back = getattr(method, "back", None)
    return evaluate.panel(method.translate, pack.removesuffix("64"), SIZES[pack], back)


def checkpoint_path(name, seed):
    return data.data_folder() / "checkpoints" / f"{name}_{seed}.safetensors"


def trained(name, seed=0, steps=None, progress=True):
    """(method, metadata) of recipe `name` after its run, as it would ship: in half precision."""
    seed_everything(seed)
    method, unpaired = make(name), batches(name, seed)
    steps = RECIPES[name][0] if steps is None else steps
    began = time.perf_counter()
    amp = name.endswith("_remedies")  # a third faster where a CPU has bfloat16, and as good
    history = fit(method, unpaired, steps, lr=RECIPES[name][1], amp=amp, progress=progress)
    minutes = (time.perf_counter() - began) / 60
    for net in generators(method).values():  # what ships is what is judged: float16 precision
        net.half().float()
    return method.eval().requires_grad_(False), {
        "command": f"python -m gantutor train {name} --seed {seed}",
        "seed": str(seed), "steps": str(steps), "minutes": f"{minutes:.2f}",
        "threads": str(torch.get_num_threads()),
        "versions": json.dumps({"gantutor": gantutor.__version__, "torch": torch.__version__}),
        "history": json.dumps({k: [round(v, 4) for v in values[:: max(1, steps // 500)]]
                               for k, values in history.items()}),
    }


def train(name, seed=0, steps=None, progress=True):
    """Trains recipe `name`, saves its generators into data/checkpoints, returns its panel."""
    method, metadata = trained(name, seed, steps, progress)
    metadata["panel"] = json.dumps(judge(method, name))
    save_weights(checkpoint_path(name, seed), generators(method), metadata, half=True)
    return json.loads(metadata["panel"])


def load(name, seed=0):
    """The trained method of a shipped checkpoint, in eval mode; discriminators are untrained."""
    method = make(name)
    load_weights(checkpoint_path(name, seed), generators(method))
    return method.eval().requires_grad_(False)


def rejudge(name, seed=0):
    """Writes the panel of a shipped checkpoint again, after the judges have changed."""
    path, method = checkpoint_path(name, seed), load(name, seed)
    metadata = read_metadata(path) | {"panel": json.dumps(judge(method, name))}
    save_weights(path, generators(method), metadata, half=True)
    return json.loads(metadata["panel"])


def shipped_panel(name, seed=0):
    """The panel stored with a shipped checkpoint (a test derives it again)."""
    return json.loads(read_metadata(checkpoint_path(name, seed))["panel"])


def shipped_panels(name):
    """The panels of every shipped seed of recipe `name`, in order."""
    return [shipped_panel(name, seed) for seed in seeds(name)]


def seeds(name):
    """The seeds of which recipe `name` ships checkpoints, in order."""
    paths = (data.data_folder() / "checkpoints").glob(f"{name}_*.safetensors")
    return sorted(int(path.stem.rpartition("_")[2]) for path in paths)
