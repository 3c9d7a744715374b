"""A pack: one data set of the course and all questions about it, as one value."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F


class Question(NamedTuple):
    """One task on held-out images: turn each x into its own y.

    x, y: (N, 3, H, W) in [-1, 1], the hidden pairs; records_x, records_y: (N, K) attribute values,
    or None. attribute: the one in which x and y differ, for an edit; None for a translation.
    """

    x: torch.Tensor
    y: torch.Tensor
    records_x: torch.Tensor | None = None
    records_y: torch.Tensor | None = None
    attribute: str | None = None


class Pack(NamedTuple):
    """One data set at one size: what training gets, what is hidden, what its judge must know.

    name, size: its judge's file is named after them. attributes: {name: number of values}, empty
    if nothing is labelled.
    unpaired, paired: (size, batch_size, seed) -> batches; only the supervised ceiling gets pairs.
    questions: size -> [Question], on held-out images. Only `gantutor.evaluate` asks for them.
    judged: (size, generator) -> a function that draws the judge's next training batch,
    (images, is a real Y or None, attribute values of the first of them or None). The batch holds
    real Y and images that the judge must refuse. None: this pack has no judge.
    judge_steps, judges: its judge's training steps and folder, by default the course's folder.
    validation: as questions, on other images. What is chosen (a weight, a layer) is chosen here.
    divide: split -> the same pack with its images divided otherwise into training and test.
    jury: three more judges of the domain are asked (`gantutor.evaluate.jury`).
    code: (records, attribute) -> codes, for methods that get a code.
    labelled_apart: for each set, a tuple of the attributes that only this set labels.
    """

    name: str
    size: int
    unpaired: Callable
    paired: Callable
    questions: Callable
    attributes: dict = {}  # noqa: RUF012 - nobody writes to it
    judged: Callable | None = None
    judge_steps: int = 1200
    code: Callable | None = None
    labelled_apart: tuple = ()
    judges: Path | None = None
    validation: Callable | None = None
    divide: Callable | None = None
    jury: bool = False

    def at(self, size):
        """The same pack at another size in pixels."""
        return self._replace(size=size)

    def split(self, number):
        """The same pack, its images divided by `number`; itself if it has one division only."""
        return self if self.divide is None else self.divide(number).at(self.size)

    def on_validation(self):
        """The same pack, judged on its validation images instead of its test images."""
        if self.validation is None:
            raise ValueError(f"{self}: this pack has no validation images")
        return self._replace(questions=self.validation, divide=self.divide and (
            lambda number: self.divide(number).on_validation()))

    def __str__(self):
        return f"{self.name} at {self.size} px"


def load_sheet(path, count, size):
    """The first `count` images of a sheet, uint8 (count, 3, size, size). Errors name the file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: pack file not found; rebuild with "
                                "`python data/build.py --out data`")
    try:
        sheet = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:  # Pillow names no file when one is cut short
        raise ValueError(f"{path}: not a complete image ({error}); rebuild with "
                         "`python data/build.py --out data`") from None
    rows, columns = sheet.shape[0] // size, sheet.shape[1] // size
    if rows * columns < count:
        raise ValueError(f"{path}: holds {rows * columns} images of {size} px, expected {count}")
    images = sheet.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    images = images.reshape(rows * columns, size, size, 3)[:count]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def save_sheet(path, images, columns=50):
    """Writes (N, s, s, 3) uint8 images as one lossless WebP sheet, row by row."""
    n, size = images.shape[:2]
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, size, size, 3), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    picture = Image.fromarray(sheet.reshape(rows * size, columns * size, 3))
    picture.save(path, "WEBP", lossless=True, quality=100, method=6, exact=True)


def tinted(images, generator):
    """Images in [-1, 1] whose channels are each, at random, half too strong or half too weak."""
    gain = 1 + 0.5 * (torch.rand(len(images), 3, 1, 1, generator=generator) - 0.5).sign()
    return ((images + 1) * gain - 1).clamp(-1, 1)


def not_quite_y(x, y, generator, drawn=False):
    """Images that are not quite Y, for a domain judge to refuse: (N, 3, H, W) in [-1, 1].

    Half of them are blends of x with its counterpart y (at most 60 % y). Half are Y images in a
    clearly wrong tint. drawn: Y are drawings, so half of all images are replaced by blurred or
    noisy Y images. Photographs can be soft or noisy themselves.
    """
    n = len(y)
    amount = torch.rand(n, 1, 1, 1, generator=generator)
    blend = y + (0.4 + 0.6 * amount) * (x - y)
    fake = torch.cat([blend[: n // 2], tinted(y, generator)[n // 2:]])
    if drawn:
        soft = F.avg_pool2d(F.pad(y, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        fake[::4] = soft[::4]
        noise = torch.randn(y.shape, generator=generator)
        fake[1::4] = (y + (0.2 + 0.5 * amount) * noise).clamp(-1, 1)[1::4]
    return fake


def grainy(images, amount=0.03):
    """Adds noise of standard deviation `amount`. So the judge cannot decide by grain only."""
    return images + amount * torch.randn(images.shape)
