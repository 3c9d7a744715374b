"""StarGAN's panel: every edit of a held-out face against the true picture (room: evaluate).

    python -m gantutor.edits judge       # trains the fixed classifiers of the faces again

A held-out person is drawn with all of the 48 looks, so an edit has exactly one right answer.
"""

import argparse
import functools
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gantutor import data, faces
from gantutor.evaluate import in_batches
from gantutor.faces import IDENTITY, LOOKS
from gantutor.models import Judge
from gantutor.training import load_weights, save_weights, seed_everything

ATTRIBUTES = (*LOOKS, *IDENTITY)
VALUES = (*LOOKS.values(), *IDENTITY.values())
STRIDES = {"hair": 16, "long_hair": 8, "glasses": 4, "expression": 1}  # how far a look is away


# -------------------------------------------------------------- held-out edits


class Edit(NamedTuple):
    """One attribute of some faces changed: their places among the held-out faces, and the truth's.

    source, target: (N,) places; the faces at `target` differ from those at `source` in
    `attribute` alone.
    """

    attribute: str
    source: torch.Tensor
    target: torch.Tensor


@functools.lru_cache(maxsize=2)
def held_out_faces(size=32):
    """(images (2880, 3, size, size) in [-1, 1], records (2880, 9)): 60 people, 48 looks each."""
    records = faces.face_records("held_out")
    return data.to_float(faces.face_sheet("held_out", len(records), size)), records


def counterpart(source, attribute, value):
    """The places of the same faces with `attribute` at `value` (a number, or one a face)."""
    _, records = held_out_faces()
    now = records[source, ATTRIBUTES.index(attribute)]
    return source + (value - now) * STRIDES[attribute]


def held_out_edits(count=200, seed=0):
    """Every edit that changes one attribute of `count` held-out faces: a list of 7 `Edit`."""
    _, records = held_out_faces()
    source = torch.randperm(len(records), generator=torch.Generator().manual_seed(seed))[:count]
    result = []
    for k, (attribute, values) in enumerate(LOOKS.items()):
        for shift in range(1, values):
            target = counterpart(source, attribute, (records[source, k] + shift) % values)
            result.append(Edit(attribute, source, target))
    return result


# ------------------------------------------------------------------------ codes


def joint_code(records, attribute):
    """What asks the joint model for `attribute` as in `records`: (N, 11), the right block known."""
    if attribute == "expression":
        return faces.code_vector(faces.expression_labels(records), 1)
    return faces.code_vector(faces.appearance_labels(records), 0)


def unmasked_code(records, attribute):
    """The joint code without its mask, (N, 9): what a set does not know reads as zeros."""
    return joint_code(records, attribute)[:, :-2]


def appearance_code(records, attribute):
    """The code (N, 5) of a model that knows set A alone."""
    return faces.appearance_labels(records)


# ------------------------------------------------------------------------ judge


def train_judge(size, steps=1500, seed=0):
    """Trains and saves the fixed classifier of the faces; returns its held-out accuracy.

    Noise of up to a tenth of the range on its training images, so that faint spots are no
    evidence for it.
    """
    seed_everything(seed)
    parts = [name for part in ("appearance", "expression") for name in (part, f"hidden_{part}")]
    records = [faces.face_records(part) for part in parts]
    images = torch.cat([faces.face_sheet(part, len(r), size)
                        for part, r in zip(parts, records, strict=True)])
    records = torch.cat(records)
    judge = Judge(size, VALUES)
    optimiser = torch.optim.Adam(judge.parameters(), 2e-3)
    for step in tqdm(range(steps), desc=f"judge faces {size}"):
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
        index = torch.randint(len(images), (64,))
        x = data.to_float(images[index])
        x = x + 0.2 * torch.rand(64, 1, 1, 1) * torch.randn_like(x)
        loss = sum(F.cross_entropy(logits, records[index, k])
                   for k, logits in enumerate(judge(x)[1]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    save_weights(judge_path(size), {"judge": judge}, half=True, metadata={
        "command": f"python -m gantutor.edits judge {size}", "seed": str(seed),
        "steps": str(steps), "torch": torch.__version__})
    load_judge.cache_clear()
    return judge_accuracy(size)


def judge_path(size):
    return data.data_folder() / "judges" / f"faces_{size}.safetensors"


@functools.lru_cache(maxsize=2)
def load_judge(size):
    """The shipped classifier of the faces at `size` px, in eval mode and frozen."""
    judge = Judge(size, VALUES)
    load_weights(judge_path(size), {"judge": judge})
    return judge.eval().requires_grad_(False)


def read_attributes(images):
    """(N, 3, s, s) -> (N, 9) values of LOOKS and IDENTITY that the fixed classifier reads."""
    judge = load_judge(images.shape[-1])
    return in_batches(lambda b: torch.stack([a.argmax(1) for a in judge(b)[1]], 1), images)


def judge_accuracy(size):
    """Accuracy of the fixed classifier on the held-out faces: name -> share."""
    images, records = held_out_faces(size)
    right = (read_attributes(images) == records).float().mean(0)
    return dict(zip(ATTRIBUTES, right.tolist(), strict=True))


# ------------------------------------------------------------------------ panel


def _apply(translate, images, code):
    """`translate(images, code)` a hundred at a time, without gradients."""
    with torch.no_grad():
        return torch.cat([translate(x, c) for x, c in
                          zip(images.split(100), code.split(100), strict=True)])


def judge_edit(translate, edit, size=32, code=joint_code):
    """The numbers of one `Edit`; see `edit_panel`."""
    images, records = held_out_faces(size)
    x, truth = images[edit.source], images[edit.target]
    fake = _apply(translate, x, code(records[edit.target], edit.attribute))
    again = _apply(translate, fake, code(records[edit.source], edit.attribute))
    if fake.shape != truth.shape:
        raise ValueError(f"translate: expected images of shape {tuple(truth.shape)}, "
                         f"found {tuple(fake.shape)}")
    right = read_attributes(fake) == records[edit.target]
    k = ATTRIBUTES.index(edit.attribute)
    others = [i for i in range(len(ATTRIBUTES)) if i != k]
    unknown = [3] if k < 3 else [0, 1, 2]  # what the set that labels this attribute does not know
    changed = (x != truth).any(1, keepdim=True).expand_as(x)
    error = (fake - truth).abs()
    return {"edit success": right[:, k].float().mean().item(),
            "others kept": right[:, others].float().mean().item(),
            "other set's kept": right[:, unknown].float().mean().item(),
            "L1 where it changes": error[changed].mean().item(),
            "of do nothing": (error[changed].mean() / (x - truth)[changed].abs().mean()).item(),
            "L1 elsewhere": error[~changed].mean().item(),
            "hidden-pair L1": error.mean().item(),
            "reconstruction L1": (again - x).abs().mean().item()}


def edit_panel(translate, size=32, code=joint_code, attributes=tuple(LOOKS)):
    """Every edit of `attributes` on held-out faces, averaged over the attributes.

    translate: (images (N, 3, size, size), codes) -> images; code: (records, attribute) -> codes.
    "edit success": share read as asked. "others kept": share of the eight other attributes read as
    before, and "other set's kept" of those that the set of this attribute does not label.
    "L1 where it changes": to the truth, on pixels where truth and source differ; "of do nothing":
    the same as a multiple of the source's own error there. "L1 elsewhere": damage.
    "reconstruction L1": there and back. L1 in units of the [-1, 1] range. "by attribute": the
    same for each, a dict of dicts.
    """
    found = {}
    for edit in held_out_edits():
        if edit.attribute in attributes:
            found.setdefault(edit.attribute, []).append(judge_edit(translate, edit, size, code))
    by_attribute = {name: _mean(panels) for name, panels in found.items()}
    return _mean(list(by_attribute.values())) | {"by attribute": by_attribute}


def coded(method, colour_y):
    """A CycleGAN as a `translate` with codes: there where a code asks for Y's hair, else back."""
    place = faces.APPEARANCE.index(colour_y)
    return lambda x, code: method.translate(x) if code[0, place] else method.back(x)


def pair_panel(translate, colour_x, colour_y, size=32):
    """The numbers of `edit_panel` for two hair colours alone, both directions averaged."""
    x, y = (faces.APPEARANCE.index(colour) for colour in (colour_x, colour_y))
    return _mean([judge_edit(translate, hair_edit(*pair), size) for pair in ((x, y), (y, x))])


def hair_edit(here, there, count=200):
    """The `Edit` of the first held-out faces with hair colour `here` into hair colour `there`."""
    _, records = held_out_faces()
    source = held_out_edits(len(records))[0].source  # all of them, in its order
    source = source[records[source, 0] == here][:count]
    return Edit("hair", source, counterpart(source, "hair", there))


def _mean(panels):
    return {key: sum(p[key] for p in panels) / len(panels) for key in panels[0]}


def do_nothing(size=32, attributes=tuple(LOOKS)):
    """The first reference row: the output is the input, whatever the code."""
    return edit_panel(lambda x, code: x, size, attributes=attributes)


# -------------------------------------------------------------- supervised ceiling


class SupervisedEdits(nn.Module):
    """The ceiling: the same generator, trained on true edited pictures.

    L1 where an edit changes the picture plus L1 elsewhere, each a mean of its own: in a mean over
    the whole picture a mouth of a few pixels is lost, and some seeds never learn to change it.
    """

    def __init__(self, G):
        super().__init__()
        self.G = G

    def players(self):
        return [self.G], []

    def translate(self, x, code):
        return self.G(x, code).clamp(-1, 1)

    def generator_loss(self, batch):
        x, y = batch["x"], batch["y"]
        error = (self.G(x, batch["code"]) - y).abs()
        changed = (x != y).any(1, keepdim=True).expand_as(x)
        there, elsewhere = (error[part].sum() / part.sum().clamp_min(1)
                            for part in (changed, ~changed))
        return there + elsewhere, {"changed": there.detach(), "elsewhere": elsewhere.detach()}


class EditedPairs(faces.Labelled):
    """The training faces with a code and the true picture of it: for the ceiling alone."""

    def next_batch(self):
        batch = super().next_batch()
        x, y = batch["x"].chunk(2, 1)  # a picture and its counterpart, one over the other
        return {"x": x, "y": y, "code": batch["code"]}


def edited_pairs(size=32, batch_size=16, seed=0):
    """Sets A and B, each face with one other look of its own set's, drawn at random."""
    sets = []
    for k, part in enumerate(("appearance", "expression")):
        records = faces.face_records(f"hidden_{part}")
        images = [faces.face_sheet(name, len(records), size) for name in (part, f"hidden_{part}")]
        code = joint_code(records, ("hair", "expression")[k])
        sets.append((torch.cat(images, 1), code))
    return EditedPairs(sets, batch_size, seed)


def main(arguments=None):
    """``python -m gantutor.edits judge [SIZE]``."""
    parser = argparse.ArgumentParser(prog="python -m gantutor.edits")
    parser.add_argument("command", choices=["judge"])
    parser.add_argument("size", nargs="?", type=int, choices=(32, 64))
    options = parser.parse_args(arguments)
    for size in [options.size] if options.size else (32, 64):
        print(size, {k: round(v, 3) for k, v in train_judge(size).items()}, flush=True)


if __name__ == "__main__":
    main()
