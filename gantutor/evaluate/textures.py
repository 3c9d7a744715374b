"""What became of a texture that only X has: shown in the translation, hidden, or forgotten."""

import torch
from torch.nn import functional as F

from gantutor.data import varied
from gantutor.data.batches import to_float
from gantutor.data.changes import luma_of
from gantutor.evaluate import held_out_pairs, in_batches


def correlation(images, texture, where):
    """Mean correlation of an image's brightness with its texture, over the pixels `where`.

    images (N, 3, H, W), texture (N, 1, H, W), where (N, 1, H, W) bool. 1: the texture is there,
    whatever its strength; 0: it is not.
    """
    found = []
    for image, pattern, mask in zip(luma_of(images), texture, where, strict=True):
        pair = torch.stack([image[mask], pattern[mask]]).double()
        found.append(torch.corrcoef(pair + 1e-9 * torch.randn(pair.shape).double())[0, 1])
    return torch.stack(found).mean().item()


def deviation(images, where):
    """Mean standard deviation of an image's brightness over the pixels `where`."""
    return torch.stack([image[mask].std() for image, mask in zip(luma_of(images), where,
                                                                 strict=True)]).mean().item()


def _coarse(texture, where):
    """(N, 16): the texture's mean in each of 4 x 4 places, over its visible pixels."""
    seen = where.to(texture)
    return (F.avg_pool2d(texture * seen, 8) / F.avg_pool2d(seen, 8).clamp_min(0.2)).flatten(1)


def read_off(codes, values, held_out_codes, held_out_values, ridge=1.0):
    """How much of `values` a linear reader finds in codes it was not fitted to: R^2, 0 for nothing.

    codes (N, ...), values (N, K). The codes are standardised; ridge: the penalty per image.
    """
    codes, others = codes.flatten(1).double(), held_out_codes.flatten(1).double()
    mean, std = codes.mean(0), codes.std(0) + 1e-6
    codes, others = ((part - mean) / std for part in (codes, others))
    codes, others = (torch.cat([part, part.new_ones(len(part), 1)], 1) for part in (codes, others))
    values, truth = values.double(), held_out_values.double()
    gram = codes.T @ codes + ridge * len(codes) / 100 * torch.eye(codes.shape[1]).double()
    error = others @ torch.linalg.solve(gram, codes.T @ values) - truth
    return (1 - error.square().sum() / (truth - truth.mean(0)).square().sum()).item()


def readings(method):
    """Where the texture of `varied.TEXTURED` went, on the held-out people: a dict.

    "texture shown": correlation of the translation's background with x's texture. "background's
    deviation": of its brightness, and "in truth". "texture after the round trip": correlation in
    back(translate(x)). "texture in the code": R^2 of a linear reader, where there is a code.
    """
    x, true, _ = held_out_pairs(varied.TEXTURED)
    pattern, where = zip(*(varied.patterns(part) for part in ("train_x", "held_out")), strict=True)
    both = where[1] & varied.background(true)
    drawn = in_batches(method.translate, x)
    found = {"texture shown": correlation(drawn, pattern[1], both),
             "background's deviation": deviation(drawn, both), "in truth": deviation(true, both)}
    if hasattr(method, "back"):
        again = in_batches(method.back, drawn)
        found["texture after the round trip"] = correlation(again, pattern[1], where[1])
    encode = getattr(method, "E_x", None) or getattr(method, "f", None)
    if encode:
        trained_on = to_float(varied.TEXTURED.unpaired(varied.SIZE).stacks["x"])
        codes = [in_batches(encode, stack) for stack in (trained_on, x)]
        values = [_coarse(*pair) for pair in zip(pattern, where, strict=True)]
        found["texture in the code"] = read_off(codes[0], values[0], codes[1], values[1])
    return found
