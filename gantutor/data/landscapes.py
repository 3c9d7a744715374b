"""The pack *landscapes*: photographs (X) and retro photographs of other places (Y)."""

import numpy as np
import torch
from PIL import Image

from gantutor.data.batches import Paired, Unpaired, to_float, to_uint8
from gantutor.data.packs import Pack, Question, grainy, not_quite_y
from gantutor.saving import data_folder

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
GRAIN = {"train_y": 3, "paired": 11, "held_out": 7}  # seeds of the retro process's grain


def retro(images, generator):
    """Makes photographs look like old slides: a documented colour-and-grain process.

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

    A crop is 1.5 to 4 times `size` wide before it is scaled down. Half of them are mirrored. Empty
    sky is left out: the luminance's standard deviation must be at least 6 % of full scale.
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


def crops_of(part, size=64, count=1500):
    """`count` crops of one part of the photographs, "train_x", "train_y" or "held_out", uint8."""
    return crops(SPLIT[part], count, size, seed={"train_x": 1, "train_y": 2, "held_out": 4}[part])


def retro_of(images, seed):
    """uint8 photographs -> their retro versions, uint8."""
    return to_uint8(retro(to_float(images), torch.Generator().manual_seed(seed)))


def unpaired(size=64, batch_size=8, seed=0, count=1500):
    """Unpaired photographs (X) and retro photographs (Y): crops of different photographs."""
    y = retro_of(crops_of("train_y", size, count), GRAIN["train_y"])
    return Unpaired(crops_of("train_x", size, count), y, batch_size, seed)


def paired(size=64, batch_size=8, seed=0):
    """The photographs of X with their own retro versions, only for the supervised ceiling."""
    x = crops_of("train_x", size)
    return Paired(x, retro_of(x, GRAIN["paired"]), batch_size, seed)


def questions(size=64):
    """300 crops of photographs that neither domain trains on, with their retro versions."""
    x = to_float(crops_of("held_out", size, 300))
    return [Question(x, retro(x, torch.Generator().manual_seed(GRAIN["held_out"])))]


# ------------------------------------------------------------------ its judge


def other_light(x, generator):
    """Photographs in another light: each channel gets a random gain and gamma.

    Two photographs per domain are few. Without this the judge would learn their colours instead.
    """
    gain = 0.6 + 0.6 * torch.rand(len(x), 3, 1, 1, generator=generator)
    gamma = (torch.rand(len(x), 3, 1, 1, generator=generator) - 0.5).mul(1.6).exp()
    return ((x + 1) / 2).pow(gamma).mul(gain).clamp(0, 1).mul(2).sub(1)


def judged(size, generator):
    """Draws the judge's batches: 64 retro photographs, and as many that are not quite retro."""
    pairs = crops_of("train_x", size), crops_of("train_y", size)

    def draw():
        photographs = torch.cat([to_float(stack[torch.randint(
            len(stack), (32,), generator=generator)]) for stack in pairs])
        photographs = other_light(photographs, generator)
        y = retro(photographs, generator)
        x = photographs[:32]
        fake = torch.cat([x, not_quite_y(x, y[:32], generator)])
        is_y = torch.arange(len(y) + len(fake)) < len(y)
        return grainy(torch.cat([y, fake])), is_y, None

    return draw


LANDSCAPES = Pack("landscapes", 64, unpaired, paired, questions, judged=judged)
