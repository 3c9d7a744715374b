"""StarGAN's own two data sets, for readers who have them: CelebA and RaFD (room: data).

    sets = [celebrities.celeba("datasets"), celebrities.rafd("datasets/rafd")]

Each gives (images, labels); images are decoded when a batch asks for them.
"""

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gantutor.images import read_image

CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # the paper's five
RAFD = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
RAFD_NAME = re.compile(r"Rafd(\d{3})_\d+_[^_]+_[^_]+_([a-z]+)_(left|frontal|right)\.jpe?g", re.I)
BLOCKS = (len(CELEBA), len(RAFD))


class LazyImages:
    """Image files as a stack that `Labelled` can draw from: decoded, cropped, scaled when asked.

    square: (width, height) -> (left, top, side) of the square that is kept.
    images[(n,) indices] -> uint8 (n, 3, size, size). A damaged file is a ValueError that names it.
    """

    def __init__(self, paths, square, size):
        self.paths, self.square, self.size = list(paths), square, size

    def __len__(self):
        return len(self.paths)

    def _read(self, path):
        image = read_image(path)
        left, top, side = self.square(*image.size)
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((self.size, self.size), Image.BICUBIC, box, 3))

    def __getitem__(self, index):
        images = np.stack([self._read(self.paths[k]) for k in index.tolist()])
        return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def centre_square(side):
    """The square of `side` pixels at the centre, smaller where the image is."""
    def square(width, height):
        s = min(side, width, height)
        return (width - s) // 2, (height - s) // 2, s
    return square


def face_square(width, height):
    """RaFD's photographs are upright: a square as wide as they are, a little above the middle."""
    side = min(width, height)
    return (width - side) // 2, int(0.45 * (height - side)), side


def celeba(root, size=128, split="train"):
    """(LazyImages, labels (N, 5) in {0, 1}) of CelebA through torchvision's loader.

    `root` holds the folder `celeba` with `img_align_celeba/` and the five lists, as torchvision
    expects; nothing is downloaded. Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the
    Wild", ICCV 2015. Its list says -1 and 1, torchvision's loader makes 0 and 1 of them; a -1
    taken for a label would give a cross-entropy without a lower bound. Cropped to the centre 178
    pixels as in StarGAN. FileNotFoundError where the files are not there or not the original ones.
    """
    from torchvision.datasets import CelebA

    try:
        found = CelebA(root, split, "attr", download=False)
    except RuntimeError as error:
        raise FileNotFoundError(
            f"{Path(root) / 'celeba'}: {error}; expected img_align_celeba/ and, unchanged, "
            "list_attr_celeba.txt, list_eval_partition.txt, identity_CelebA.txt, "
            "list_bbox_celeba.txt and list_landmarks_align_celeba.txt") from None
    labels = found.attr[:, [found.attr_names.index(name) for name in CELEBA]].float()
    if not set(labels.unique().tolist()) <= {0.0, 1.0}:
        raise ValueError(f"{root}: labels {labels.unique().tolist()}, expected 0 and 1")
    folder = Path(root) / "celeba" / "img_align_celeba"
    return LazyImages([folder / name for name in found.filename], centre_square(178), size), labels


def rafd(folder, size=128, angles=("045", "090", "135")):
    """(LazyImages, labels (N, 8), one of them 1) of the Radboud Faces Database, by file name.

    Names such as Rafd090_01_Caucasian_female_angry_frontal.jpg; StarGAN takes three of the five
    camera angles. Langner et al., "Presentation and Validation of the Radboud Faces Database",
    Cognition & Emotion 24(8), 2010. FileNotFoundError for no such folder; ValueError for a name of
    another pattern, an unknown expression, or no file of these angles.
    """
    folder, chosen = Path(folder), []
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected RaFD's photographs")
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
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
