"""What the panel does not say: blur, hiding, invention; and of pairs that a method draws itself."""

import torch

from gantutor.data import AVATARS
from gantutor.data.avatars import ATTRIBUTES
from gantutor.evaluate import (
    confusion,
    counts,
    held_out_pairs,
    read_attributes,
    says_y,
    sharpness,
)
from gantutor.evaluate.hiding import noise_curve, sensitivity_to_noise
from gantutor.evaluate.metrics import cramers_v, spread
from gantutor.evaluate.readers import read_by, reader
from gantutor.saving import seed_everything


def glasses(method):
    """{"invented": share of the people without glasses who are drawn with them; "taken off"}."""
    table = confusion(method.translate, "glasses", AVATARS).double()
    shares = table / table.sum(1, keepdim=True)
    return {"invented": shares[0, 1].item(), "taken off": shares[1, 0].item()}


def beyond_the_panel(method):
    """`glasses`, "sharpness", and where there is a way back "sensitivity to noise"."""
    found = glasses(method) | sharpness(method, AVATARS) | getattr(method, "reads", {})
    if hasattr(method, "back"):
        errors = noise_curve(method, held_out_pairs(AVATARS)[0])
        found["sensitivity to noise"] = sensitivity_to_noise(errors)
    return found


def agreeing(method, seed=0):
    """How often the pictures of a pair agree, attribute by attribute, and two references.

    X is read by a `reader`, Y by the panel's judge. "pairs agree": on 300 pairs that the method
    draws. "strangers agree": x of one pair, y of the next. "real pairs agree": both readers on the
    held-out people. "information": mean of Cramér's V of what is read of x and of y. "domain
    reached": the share of the drawn y that the judge takes for Y.
    """
    seed_everything(seed)
    with torch.no_grad():
        x, y = method.sample(300)
    net, (x_real, y_real, _) = reader(False), held_out_pairs(AVATARS)
    read, seen = read_by(net, x), read_attributes(y, AVATARS)
    same = (read == seen).float().mean(0)
    true = read_by(net, x_real) == read_attributes(y_real, AVATARS)
    told = [cramers_v(counts(read[:, k], seen[:, k], size))
            for k, size in enumerate(ATTRIBUTES.values())]
    return {"pairs agree": same.mean().item(),
            "strangers agree": (read == seen.roll(1, 0)).float().mean().item(),
            "real pairs agree": true.float().mean().item(),
            "information": sum(told) / len(told),
            "domain reached": says_y(y, AVATARS).float().mean().item(),
            "diversity": spread(y) / spread(y_real),
            "by attribute": dict(zip(ATTRIBUTES, same.tolist(), strict=True))}
