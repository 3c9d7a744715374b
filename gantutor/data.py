"""Packs and folders in, unpaired batches out.

Training sees only an `Unpaired`: two stacks of images that have nothing to do with each other.
The hidden pairs live in other files (avatars) or in other photographs (landscapes), and only
`gantutor.evaluate` opens them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ATTRIBUTES = ("skin", "hair", "shirt", "background", "long_hair", "glasses", "beard", "mouth")
AVATAR_SIZES = (4, 6, 5, 4, 2, 2, 2, 2)  # how many values each of them has

# Debian package lomiri-wallpapers-16.04; licences and authors in data/README.md.
PHOTOGRAPHS = {
    "picosdeeuropa": "picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "seeding": "seeding_by_Clements_Engelhardt.jpg",
    "life": "life_by_Aitzol_Berasategi.jpg",
    "aitzgorri": "aitzgorri_by_Aitzol_Berasategi.jpg",
    "friends": "friends_by_Aitzol_Berasategi.jpg",
    "sunset": "sunset_by_Aitzol_Berasategi.jpg",
}
SPLIT = {
    "train_x": ("picosdeeuropa", "friends"),
    "train_y": ("aitzgorri", "life"),
    "held_out": ("seeding", "sunset"),
}


def data_folder():
    """The folder with the packs: ``data/`` of the checkout, or the copy inside the wheel."""
    for folder in (Path(__file__).parent.parent / "data", Path(__file__).parent / "_data"):
        if (folder / "sha256.json").is_file():
            return folder
    raise FileNotFoundError(
        f"no data packs beside {Path(__file__).parent}: expected data/sha256.json "
        "(run `python -m gantutor.data build`)"
    )


def to_float(images):
    """uint8 (N, 3, H, W) in 0..255 -> float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images):
    """float (N, 3, H, W) in [-1, 1] -> uint8 in 0..255, rounded and clipped."""
    return images.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


# ------------------------------------------------------------------ batches


class Epochs:
    """What endless batches share: each image once an epoch, and a state that travels with a run.

    lengths: {name of a stack: number of its images}. Every epoch of a stack is a new permutation;
    an epoch's rest that is smaller than a batch is left out. flip: mirror half of the images.
    """

    def __init__(self, lengths, seed, flip):
        self.lengths, self.flip = lengths, flip
        self.generator = torch.Generator().manual_seed(seed)
        self.order = {name: torch.empty(0, dtype=torch.long) for name in lengths}

    def _indices(self, name, count):
        """The next `count` places in one stack, from a new permutation where one is used up."""
        if len(self.order[name]) < count:
            self.order[name] = torch.randperm(self.lengths[name], generator=self.generator)
        index, self.order[name] = self.order[name].split([count, len(self.order[name]) - count])
        return index

    def _mirrored(self, images):
        """Half of the images mirrored, in place, where `flip` is on."""
        if self.flip:
            chosen = torch.rand(len(images), generator=self.generator) < 0.5
            images[chosen] = images[chosen].flip(-1)
        return images

    def state_dict(self):
        return {"generator": self.generator.get_state(), "order": dict(self.order)}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])
        self.order = dict(state["order"])


class Unpaired(Epochs):
    """Endless unpaired batches: every x is drawn without regard to every y.

    `x` and `y` are uint8 stacks (N, 3, H, W), (M, 3, H, W). Each epoch is a new permutation of
    its own domain, drawn from a generator whose state travels with a training state.
    Raises ValueError where a stack has another dtype or shape, or is smaller than a batch.
    """

    def __init__(self, x, y, batch_size=8, seed=0, flip=False):
        for name, stack in (("x", x), ("y", y)):
            if stack.dtype != torch.uint8 or stack.dim() != 4 or stack.shape[1] != 3:
                raise ValueError(f"{name}: expected uint8 images of shape (N, 3, H, W), found "
                                 f"{stack.dtype} of shape {tuple(stack.shape)}")
            if len(stack) < batch_size:
                raise ValueError(f"{name}: {len(stack)} images are fewer than a batch of "
                                 f"{batch_size}")
        if x.shape[2:] != y.shape[2:]:
            raise ValueError(f"x is {tuple(x.shape[2:])} px and y {tuple(y.shape[2:])} px: "
                             "both must have one size")
        super().__init__({"x": len(x), "y": len(y)}, seed, flip)
        self.stacks, self.batch_size = {"x": x, "y": y}, batch_size

    def _draw(self, name):
        return self._mirrored(to_float(self.stacks[name][self._indices(name, self.batch_size)]))

    def next_batch(self):
        """{"x": (B, 3, H, W), "y": (B, 3, H, W)}, float32 in [-1, 1]."""
        return {"x": self._draw("x"), "y": self._draw("y")}


def shuffled_colours(images, share):
    """A random `share` of the images with red, green and blue in another order, drawn for each.

    images: (N, 3, H, W); returns the same shape. One order in six is the old one.
    """
    orders = torch.rand(len(images), 3).argsort(1)
    orders[torch.rand(len(images)) >= share] = torch.arange(3)
    return images[torch.arange(len(images))[:, None], orders]


# ------------------------------------------------------------------ avatars


def load_sheet(path, count, size):
    """The first `count` images of a lossless sheet, uint8 (count, 3, size, size)."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: pack file not found; rebuild with "
                                "`python -m gantutor.data build`")
    try:
        sheet = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:  # Pillow names no file when one is cut short
        raise ValueError(f"{path}: not a complete image ({error}); rebuild with "
                         "`python -m gantutor.data build`") from None
    rows, columns = sheet.shape[0] // size, sheet.shape[1] // size
    if rows * columns < count:
        raise ValueError(f"{path}: holds {rows * columns} images of {size} px, expected {count}")
    images = sheet.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    images = images.reshape(rows * columns, size, size, 3)[:count]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def avatar_records(part):
    """(N, 8) int64 attribute values of "train_x", "train_y" or "held_out"."""
    table = json.loads((data_folder() / "avatars" / "records.json").read_text())
    return torch.tensor(table[part])


def avatar_sheet(name, count, size):
    """The first `count` avatars of one sheet, "train_x" or another, at `size` px, uint8."""
    if size not in (32, 64):
        raise ValueError(f"size={size}: the avatars are drawn at 32 and at 64 px")
    return load_sheet(data_folder() / "avatars" / f"{name}_{size}.webp", count, size)


def avatars(size=32, batch_size=16, seed=0):
    """Unpaired pixel-art (X) and voxel-art (Y), 2,500 each, from disjoint records.

    `size` is 32 or 64 px. The attribute labels are not part of a batch.
    """
    x, y = (avatar_sheet(part, len(avatar_records(part)), size) for part in ("train_x", "train_y"))
    return Unpaired(x, y, batch_size, seed)


def monochrome(images):
    """(N, 3, H, W) -> the same shape, each channel replaced by the mean of the three."""
    return images.mean(1, keepdim=True).expand_as(images)


def monochromes(size=32, batch_size=8, seed=0):
    """Unpaired pixel-art faces in colour (X) and other pixel-art faces in black and white (Y).

    1,250 faces each. Many faces share one monochrome picture, so the way back has to guess.
    """
    colour, others = avatar_sheet("train_x", len(avatar_records("train_x")), size).chunk(2)
    return Unpaired(colour, to_uint8(monochrome(to_float(others))), batch_size, seed)


# --------------------------------------------------------------- landscapes


def retro(images, generator):
    """The documented colour-and-grain process: what an old slide does to a photograph.

    Three fifths of the saturation, faded channel curves (blue lifted in the shadows and cut in the
    lights), a vignette, and luminance grain of standard deviation 0.01.

    images: float (N, 3, H, W) in [-1, 1]; returns the same. `generator` draws the grain.
    """
    rgb = images.add(1).div(2)
    luma = (rgb * rgb.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    rgb = luma + 0.6 * (rgb - luma)                                    # paler
    low = rgb.new_tensor([0.16, 0.09, 0.17]).view(3, 1, 1)
    high = rgb.new_tensor([1.00, 0.90, 0.66]).view(3, 1, 1)
    rgb = low + (high - low) * rgb                                     # faded, warm
    h, w = images.shape[2:]
    v = torch.linspace(-1, 1, h).view(h, 1).to(rgb)
    u = torch.linspace(-1, 1, w).view(1, w).to(rgb)
    rgb = rgb * (1 - 0.20 * (u * u + v * v))                           # vignette
    grain = torch.randn(len(rgb), 1, h, w, generator=generator).to(rgb)
    return (rgb + 0.01 * grain).clamp(0, 1).mul(2).sub(1)


def crops(photographs, count, size=64, seed=0):
    """`count` crops of the shipped photographs named, uint8 (count, 3, size, size).

    A crop is 1.5 to 4 times `size` wide before it is scaled down, is mirrored half the time,
    and is no empty sky: its luminance varies by at least 6 % of full scale.
    """
    rng = np.random.default_rng(seed)
    pictures = [Image.open(data_folder() / "landscapes" / f"{name}.jpg").convert("RGB")
                for name in photographs]
    found = []
    while len(found) < count:
        picture = pictures[len(found) % len(pictures)]
        side = int(size * rng.uniform(1.5, 4.0))
        left = int(rng.integers(0, picture.width - side + 1))
        top = int(rng.integers(0, picture.height - side + 1))
        box = (left, top, left + side, top + side)
        crop = picture.resize((size, size), Image.BICUBIC, box=box)
        if rng.random() < 0.5:
            crop = crop.transpose(Image.FLIP_LEFT_RIGHT)
        if np.asarray(crop.convert("L")).std() >= 0.06 * 255:
            found.append(np.asarray(crop))
    return torch.from_numpy(np.stack(found).transpose(0, 3, 1, 2).copy())


def landscape_crops(part, size=64, count=1500):
    """`count` crops of one part of the photographs, "train_x", "train_y" or "held_out", uint8."""
    return crops(SPLIT[part], count, size, seed={"train_x": 1, "train_y": 2, "held_out": 4}[part])


def landscapes(size=64, batch_size=8, seed=0, count=1500):
    """Unpaired photographs (X) and retro photographs (Y): crops of different photographs."""
    y = to_float(landscape_crops("train_y", size, count))
    y = retro(y, torch.Generator().manual_seed(3))
    return Unpaired(landscape_crops("train_x", size, count), to_uint8(y), batch_size, seed)


def folders(folder_x, folder_y, size=64, batch_size=8, seed=0):
    """A reader's own two folders as unpaired batches; see `gantutor.images` for the errors."""
    from gantutor.images import load_two_folders

    x, y = load_two_folders(folder_x, folder_y, size, batch_size)
    return Unpaired(x, y, batch_size, seed, flip=True)


def main(arguments=None):
    """``python -m gantutor.data build``."""
    from gantutor.build import build

    parser = argparse.ArgumentParser(prog="python -m gantutor.data")
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--photos", help="folder that holds the original photographs")
    parser.add_argument("--craft", help="craft_mlt_25k.pth, the source of the VGG")
    parser.add_argument("--out", default=str(Path(__file__).parent.parent / "data"))
    options = parser.parse_args(arguments)
    build(options.out, options.photos, options.craft)


if __name__ == "__main__":
    main()
