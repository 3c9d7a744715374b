"""Draws the two packs again, bit for bit (room: data). Needs ``pip install -e '.[data]'``.

    python -m gantutor.data build                     # both packs, photographs through apt-get
    python -m gantutor.data build --photos FOLDER     # ... or from a folder that holds them

The tools are pinned in the extra ``data``, because another JPEG or WebP encoder writes
other bytes; the packs themselves need none of them.
"""

import hashlib
import importlib.resources
import io
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from gantutor.data import ATTRIBUTES, AVATAR_SIZES, PHOTOGRAPHS

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
N_X, N_Y, N_HELD_OUT = 2500, 2500, 300


def avatar_records(seed=2018):
    """(5300, 8) uint8: distinct attribute records, X's first, then Y's, then the held-out ones."""
    rng = np.random.default_rng(seed)
    records = np.stack(np.unravel_index(np.arange(np.prod(AVATAR_SIZES)), AVATAR_SIZES), 1)
    weight = np.where(records[:, 5] == 1, P_GLASSES, 1 - P_GLASSES)
    weight = weight * np.where(records[:, 6] == 1, P_BEARD, 1 - P_BEARD)
    # Gumbel top-k is a weighted draw without replacement, so no record comes twice.
    order = np.argsort(-(np.log(weight) + rng.gumbel(size=len(weight))), kind="stable")
    chosen = order[: N_X + N_Y + N_HELD_OUT]
    return records[rng.permutation(chosen)].astype(np.uint8)


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


def _options(record, style):
    """The drawing options of one record; everything that is no attribute is held fixed."""
    skin, hair, shirt, background, long_hair, glasses, beard, mouth = (int(v) for v in record)
    k = 0 if style == "pixel-art" else 1
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


def draw_avatars(records, style, size):
    """(N, size, size, 3) uint8: the records drawn in "pixel-art" or "voxel-art"."""
    import resvg_py
    from dicebear import Avatar

    drawing, images = _style(style), []
    for record in records:
        svg = str(Avatar(drawing, _options(record, style)))
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
        images.append(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")))
    return np.stack(images)


def save_sheet(path, images, columns=50):
    """Writes (N, s, s, 3) uint8 images as one lossless WebP sheet, row by row."""
    n, size = images.shape[:2]
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, size, size, 3), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    picture = Image.fromarray(sheet.reshape(rows * size, columns * size, 3))
    picture.save(path, "WEBP", lossless=True, quality=100, method=6, exact=True)


def build_avatars(folder):
    """Draws the pack ``avatars`` into `folder`: X, Y, and apart from them the hidden pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    records = avatar_records()
    x, y, held_out = np.split(records, [N_X, N_X + N_Y])
    for size in (32, 64):
        save_sheet(folder / f"train_x_{size}.webp", draw_avatars(x, "pixel-art", size))
        save_sheet(folder / f"train_y_{size}.webp", draw_avatars(y, "voxel-art", size))
        # What no method may see: X's true counterparts (only the supervised ceiling trains on
        # them) and the held-out pairs (only the panel reads them).
        save_sheet(folder / f"hidden_train_{size}.webp", draw_avatars(x, "voxel-art", size))
        save_sheet(folder / f"hidden_x_{size}.webp", draw_avatars(held_out, "pixel-art", size))
        save_sheet(folder / f"hidden_y_{size}.webp", draw_avatars(held_out, "voxel-art", size))
    table = {"columns": ATTRIBUTES, "sizes": AVATAR_SIZES, "train_x": x.tolist(),
             "train_y": y.tolist(), "held_out": held_out.tolist()}
    (folder / "records.json").write_text(json.dumps(table, separators=(",", ":")) + "\n")


# --------------------------------------------------------------- landscapes

DEBIAN_PACKAGE = "lomiri-wallpapers-16.04"
WIDTH = 1024


def fetch_photographs(folder):
    """Downloads and unpacks the Debian package (nothing is installed); returns its folder."""
    try:
        subprocess.run(["apt-get", "download", DEBIAN_PACKAGE], cwd=folder, check=True,
                       capture_output=True)
        package = next(Path(folder).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        raise RuntimeError(
            f"the Debian package {DEBIAN_PACKAGE} could not be fetched with apt-get ({error}); "
            "unpack it elsewhere and pass --photos FOLDER"
        ) from None
    return Path(folder) / "usr/share/backgrounds"


def build_landscapes(folder, photos):
    """Scales the photographs of `photos` down to 1,024 px width into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in PHOTOGRAPHS.items():
        original = Path(photos) / source
        if not original.is_file():
            raise FileNotFoundError(f"{original}: photograph not found (see data/README.md)")
        picture = Image.open(original).convert("RGB")
        height = round(picture.height * WIDTH / picture.width)
        picture = picture.resize((WIDTH, height), Image.LANCZOS)
        picture.save(folder / f"{name}.jpg", quality=88, subsampling=0, optimize=True)


def checksums(folder):
    """Maps each file below `folder` (checkpoints apart) to its sha256."""
    files = sorted(p for pack in ("avatars", "landscapes") for p in (folder / pack).iterdir())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def build(folder, photos=None):
    """Makes every pack again below `folder` and writes ``sha256.json``."""
    folder = Path(folder)
    build_avatars(folder / "avatars")
    with tempfile.TemporaryDirectory() as scratch:
        build_landscapes(folder / "landscapes", photos or fetch_photographs(scratch))
    (folder / "sha256.json").write_text(json.dumps(checksums(folder), indent=1) + "\n")
