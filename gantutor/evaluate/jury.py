"""Three domain judges of different upbringing, and a zoo of wrong pictures to judge them by.

A single classifier has blind spots: the first judge of this course takes one speckled picture, the
answer of `avatars_collapsed` 1 to everybody, for real Y. So three are asked, and two of them must
agree. Each was trained without one kind of wrong picture and with its own augmentation; the zoo
says how often each of them errs. They have blind spots too: that picture passes two of the three.
"""

import functools

import torch
from torch.nn import functional as F

from gantutor.data.batches import to_float
from gantutor.data.packs import tinted
from gantutor.evaluate.judges import Judge, judge_path, train_classifier
from gantutor.evaluate.metrics import in_batches
from gantutor.saving import load_weights, save_weights, seed_everything

LEFT_OUT = ("blur", "speckle", "half translated")  # what each judge has never been shown


def zoo(x, y, generator):
    """{kind: wrong pictures, (N, 3, H, W) in [-1, 1]} from images x and their true counterparts y.

    "untranslated": x itself. "noise": uniform, smoothed at random, with Y's mean and deviation of
    colours. "blur": y seen through a box of 3 to 7 pixels. "speckle": a tenth to a half of y's
    pixels replaced by colours of other pixels. "half translated": blends of x and y, at most 70 %
    y. "tint": each of y's channels half too strong or half too weak. "pieces": y cut into quarters
    that come from four images.
    """
    n, _, h, w = y.shape

    def random(*shape):
        return torch.rand(*shape, generator=generator)

    noise = random(n, 3, h, w)
    for kernel in (3, 5):
        soft = F.avg_pool2d(noise, kernel, 1, kernel // 2, count_include_pad=False)
        noise = torch.where(random(n, 1, 1, 1) < 0.5, soft, noise)
    noise = (noise - noise.mean((2, 3), keepdim=True)) / noise.std((2, 3), keepdim=True)
    noise = noise * y.std((2, 3), keepdim=True) + y.mean((2, 3), keepdim=True)
    blur = y.clone()
    for k, kernel in enumerate((3, 5, 7)):
        padded = F.pad(y[k::3], (kernel // 2,) * 4, mode="replicate")
        blur[k::3] = F.avg_pool2d(padded, kernel, 1)
    other = y.flatten(2)[:, :, torch.randperm(h * w, generator=generator)].view_as(y)
    speckle = torch.where(random(n, 1, h, w) < 0.1 + 0.4 * random(n, 1, 1, 1), other, y)
    tint = tinted(y, generator)
    pieces = y.clone()
    for k, (rows, columns) in enumerate(((0, 1), (1, 0), (1, 1)), 1):
        part = (..., slice(rows * h // 2, (rows + 1) * h // 2),
                slice(columns * w // 2, (columns + 1) * w // 2))
        pieces[part] = y.roll(k, 0)[part]
    return {"untranslated": x, "noise": noise.clamp(-1, 1), "blur": blur, "speckle": speckle,
            "half translated": x + 0.7 * random(n, 1, 1, 1) * (y - x),
            "tint": tint, "pieces": pieces}


def augmented(images, k, generator):
    """Judge number k's augmentation: 0 faint noise, 1 mirrored, 2 another brightness."""
    if k == 1:
        flip = torch.rand(len(images), generator=generator) < 0.5
        return torch.where(flip[:, None, None, None], images.flip(-1), images)
    if k == 2:
        light = 0.9 + 0.2 * torch.rand(len(images), 1, 1, 1, generator=generator)
        return ((images + 1) * light - 1).clamp(-1, 1)
    return images + 0.03 * torch.randn(images.shape, generator=generator)


def jury_path(pack):
    """Where the three judges of `pack` lie."""
    return judge_path(pack).with_name(f"{pack.name}_{pack.size}_jury.safetensors")


def train_jury(pack, path=None, steps=500):
    """Trains the three judges of `pack` on its paired training images and saves them."""
    stacks = pack.paired(pack.size, 1, 0).stacks
    judges = {}
    for k, left_out in enumerate(LEFT_OUT):
        seed_everything(k)
        generator, judge = torch.Generator().manual_seed(k), Judge(pack.size)

        def loss_of(k=k, judge=judge, generator=generator, left_out=left_out):
            rows = torch.randint(len(stacks["x"]), (32,), generator=generator)
            x, y = (to_float(stacks[name][rows]) for name in "xy")
            wrong = zoo(x, y, generator)
            del wrong[left_out]
            fake = torch.cat([images[i::len(wrong)] for i, images in enumerate(wrong.values())])
            images = augmented(torch.cat([y, fake]), k, generator)
            is_y = (torch.arange(len(images)) < len(y)).float()
            return F.binary_cross_entropy_with_logits(judge(images)[0], is_y)

        judges[f"judge{k}"] = train_classifier(judge, loss_of, steps, 2e-3,
                                               progress=f"judge {k} of {pack}")
    save_weights(path or jury_path(pack), judges, half=True, metadata={
        "command": f"gantutor judges {pack.name}_{pack.size}", "steps": str(steps),
        "torch": torch.__version__})
    _load.cache_clear()


@functools.lru_cache(maxsize=4)
def _load(path, size):
    judges = {f"judge{k}": Judge(size) for k in range(len(LEFT_OUT))}
    load_weights(path, judges)
    return [judge.eval().requires_grad_(False) for judge in judges.values()]


def jury_says_y(images, pack):
    """(N, 3) bool: which of the three judges of `pack` takes which image for real Y."""
    judges = _load(jury_path(pack), pack.size)
    return in_batches(lambda b: torch.stack([judge(b)[0] > 0 for judge in judges], 1), images)


def jury_reaches(images, pack):
    """The share of images that at least two of the three judges take for real Y."""
    return (jury_says_y(images, pack).sum(1) >= 2).float().mean().item()
