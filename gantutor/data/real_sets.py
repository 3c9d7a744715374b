"""The papers' own data sets, for readers who have them: CelebA, RaFD, MNIST, USPS and SVHN.

    sets = [real_sets.celeba("datasets"), real_sets.rafd("datasets/rafd")]
    batches = real_sets.digits("svhn", "mnist", "datasets", download=True)

CelebA and RaFD come as (images, labels). An image file is read when a batch asks for it. Digits
come without labels, because training must not see them. `~` in a folder's name is expanded.
"""

import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gantutor.data.batches import Unpaired
from gantutor.data.folders import is_system_name, read_image

CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # the paper's five
RAFD = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
RAFD_NAME = re.compile(r"Rafd(\d{3})_\d+_[^_]+_[^_]+_([a-z]+)_(left|frontal|right)\.jpe?g", re.I)
BLOCKS = (len(CELEBA), len(RAFD))

DIGITS = ("mnist", "usps", "svhn")
SPLITS = ("train", "test")
MNIST_FILES = tuple(f"MNIST/raw/{part}-{kind}-ubyte" for part in ("train", "t10k")
                    for kind in ("images-idx3", "labels-idx1"))  # torchvision wants all four
FILES = {("mnist", "train"): MNIST_FILES, ("mnist", "test"): MNIST_FILES,
         ("usps", "train"): ("usps.bz2",), ("usps", "test"): ("usps.t.bz2",),
         ("svhn", "train"): ("train_32x32.mat",), ("svhn", "test"): ("test_32x32.mat",)}


class LazyImages:
    """Image files as a stack that `Labelled` can draw from. A file is read when it is drawn.

    square: (width, height) -> (left, top, side) of the square that is kept and scaled to `size`.
    images[(n,) indices] -> uint8 (n, 3, size, size). Errors and warnings as `read_image`.
    """

    def __init__(self, paths, square, size):
        self.paths, self.square, self.size = list(paths), square, size

    def __len__(self):
        return len(self.paths)

    def digest(self):
        """A digest of the names and the size. Reading all the files would take too long."""
        text = "\n".join(str(path) for path in [*self.paths, self.size])
        data = text.encode(errors="surrogateescape")  # a name need not be valid UTF-8
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    def _read(self, path):
        image = read_image(path)
        left, top, side = self.square(*image.size)
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((self.size, self.size), Image.BICUBIC, box, 3))

    def __getitem__(self, index):
        images = np.stack([self._read(self.paths[k]) for k in index.tolist()])
        return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def centre_square(side):
    """Finds the centre square of `side` pixels, or of the shorter side where that is less."""
    def square(width, height):
        s = min(side, width, height)
        return (width - s) // 2, (height - s) // 2, s
    return square


def face_square(width, height):
    """The square for RaFD's upright photographs: their full width, a little above the middle."""
    side = min(width, height)
    return (width - side) // 2, int(0.45 * (height - side)), side


def celeba(root, size=128, split="train"):
    """CelebA -> (LazyImages of (N, 3, size, size), labels (N, 5), float, 0 or 1).

    Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015, read by
    torchvision's loader. `root` holds the folder `celeba` with `img_align_celeba/` and the five
    lists. Nothing is downloaded. split: "train", "valid", "test" or "all". The centre 178 pixels
    are kept, as in StarGAN.

    The file says -1 and 1, torchvision makes 0 and 1 of them. A label of -1 would give a
    cross-entropy without a lower bound, so other labels raise ValueError. FileNotFoundError where
    files are missing or are not the original ones.
    """
    from torchvision.datasets import CelebA

    root = Path(root).expanduser()
    try:
        found = CelebA(root, split, "attr", download=False)
    except RuntimeError as error:
        raise FileNotFoundError(
            f"{root / 'celeba'}: {error}; expected img_align_celeba/ and, unchanged, "
            "list_attr_celeba.txt, list_eval_partition.txt, identity_CelebA.txt, "
            "list_bbox_celeba.txt and list_landmarks_align_celeba.txt") from None
    labels = found.attr[:, [found.attr_names.index(name) for name in CELEBA]].float()
    if not set(labels.unique().tolist()) <= {0.0, 1.0}:
        raise ValueError(f"{root}: labels {labels.unique().tolist()}, expected 0 and 1")
    folder = root / "celeba" / "img_align_celeba"
    return LazyImages([folder / name for name in found.filename], centre_square(178), size), labels


def rafd(folder, size=128, angles=("045", "090", "135")):
    """The Radboud Faces Database -> (LazyImages of (N, 3, size, size), labels (N, 8)).

    Langner et al., "Presentation and Validation of the Radboud Faces Database", Cognition &
    Emotion 24(8), 2010. Each row of labels has a 1 for the expression that the file's name states,
    as in Rafd090_01_Caucasian_female_angry_frontal.jpg. StarGAN takes three of the five camera
    angles. Hidden and system files are skipped (`is_system_name`).

    FileNotFoundError if there is no such folder. ValueError for a name of another pattern, for an
    unknown expression, and if no photograph has one of these angles.
    """
    folder, chosen = Path(folder).expanduser(), []
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected RaFD's photographs")
    for path in sorted(p for p in folder.iterdir() if not is_system_name(p.name)):
        match = RAFD_NAME.fullmatch(path.name)
        if not match or match[2].lower() not in RAFD:
            raise ValueError(f"{path}: expected a name like "
                             f"Rafd090_01_Caucasian_female_angry_frontal.jpg, with one of {RAFD}")
        if match[1] in angles:
            chosen.append((path, RAFD.index(match[2].lower())))
    if not chosen:
        raise ValueError(f"{folder}: no photograph of the angles {angles}")
    paths, moods = zip(*chosen, strict=True)
    return LazyImages(paths, face_square, size), torch.eye(len(RAFD))[list(moods)]


# ------------------------------------------------------------------ digits


def _load(name, split, folder, download):
    """One set as torchvision reads it: (images uint8 (N, 1 or 3, h, w), labels (N,))."""
    from torchvision.datasets import MNIST, SVHN, USPS

    if name == "svhn" and importlib.util.find_spec("scipy") is None:
        raise ModuleNotFoundError("svhn: its .mat files are read with scipy, which is not "
                                  "installed: `pip install scipy`")
    missing = [file for file in FILES[name, split] if not (folder / file).is_file()]
    if missing and not download:
        raise FileNotFoundError(f"{folder}: no {', '.join(missing)} of {name}; download=True "
                                "fetches it")
    try:
        if name == "svhn":
            found = SVHN(folder, split, download=download)
            return torch.from_numpy(found.data), found.labels         # (N, 3, 32, 32)
        found = (MNIST if name == "mnist" else USPS)(folder, split == "train", download=download)
        return torch.as_tensor(found.data)[:, None], found.targets    # (N, 1, 28, 28) or 16 px
    except Exception as error:  # damaged files make torchvision raise nearly anything
        if missing:
            raise  # the download failed, and says why
        raise ValueError(f"{folder}: {name}'s files ({', '.join(FILES[name, split])}) are damaged "
                         f"or not the original ones ({type(error).__name__}: {error})") from error


def digit_sheet(name, split, folder, download=False, size=32, limit=None):
    """One real set of digits -> (images uint8 (N, 3, size, size), labels int64 (N,) in 0..9).

    name: "mnist" (LeCun, Cortes, Burges 1998; 28 px), "usps" (Hull 1994; 16 px) or "svhn" (Netzer
    et al. 2011; 32 px, colour). split: "train" or "test". torchvision reads the files in `folder`:
    MNIST/raw/*-ubyte, usps.bz2 and usps.t.bz2, train_32x32.mat and test_32x32.mat. SVHN needs
    scipy. Grey images get three equal channels. Other sizes are scaled bilinearly, antialiased.
    limit: take only the first so many images (the first half of MNIST's test part is the easier).

    ValueError for an unknown name or split, a limit or size below 1, and damaged files.
    FileNotFoundError if files are missing and download is False. ModuleNotFoundError: no scipy.
    """
    for value, kind, choices in ((name, "name", DIGITS), (split, "split", SPLITS)):
        if value not in choices:
            raise ValueError(f"{kind}={value!r}: expected one of {choices}")
    if min(size, size if limit is None else limit) < 1:
        raise ValueError(f"{size=}, {limit=}; expected at least 1")
    found, labels = _load(name, split, Path(folder).expanduser(), download)
    found, labels = found[:limit], torch.as_tensor(labels[:limit]).long()
    if found.shape[2:] != (size, size):
        found = torch.cat([
            F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
            .round_().clamp_(0, 255).byte() for part in found.split(1000)])
    return (found.repeat(1, 3, 1, 1) if found.shape[1] == 1 else found.contiguous()), labels


def digits(x, y, folder, size=32, batch_size=16, seed=0, download=False, limit=None):
    """`Unpaired` training images of the sets named `x` and `y`, without their labels.

    limit: take at most so many images of each set. Errors as `digit_sheet`, and as `Unpaired` if
    a set has fewer images than a batch.
    """
    stacks = (digit_sheet(name, "train", folder, download, size, limit)[0] for name in (x, y))
    return Unpaired(*stacks, batch_size, seed)
