"""The panel: how right a translation or an edit is, on held-out pairs that nobody trained on.

    panel(method.translate, AVATARS, method.back)      # a translation
    panel(method.translate, FACES)                     # edits, asked for by codes

This is the only part of the package that asks a pack for its hidden pairs.
"""

import functools

import torch

from gantutor.evaluate.judges import load_judge, read_attributes, says_y, unit_features
from gantutor.evaluate.jury import jury_reaches
from gantutor.evaluate.metrics import (
    cramers_v,
    high_frequency_energy,
    in_batches,
    kid,
    l1,
    psnr,
    spread,
    ssim,
)
from gantutor.evaluate.two_sample import style, told_apart

__all__ = ["chance", "confusion", "counts", "do_nothing", "edit_numbers", "fates",
           "held_out_pairs", "in_batches", "judge_accuracy", "load_judge", "panel",
           "read_attributes", "says_y", "sharpness", "told_apart", "translation_numbers"]


@functools.lru_cache(maxsize=8)
def _questions(ask, size):
    return ask(size)


@functools.lru_cache(maxsize=8)
def _style_of_truth(ask, size):
    return in_batches(style, _questions(ask, size)[0].y)


def held_out_pairs(pack):
    """(x, y, records) of a pack's 300 held-out pairs: (N, 3, size, size) in [-1, 1], copies.

    records: (N, K) attribute values, None where nothing is labelled.
    """
    x, y, _, records, _ = _questions(pack.questions, pack.size)[0]
    return x.clone(), y.clone(), None if records is None else records.clone()


def panel(translate, pack, back=None, code=None, questions=None):
    """Every number for `translate` on the held-out images of `pack`: a dict.

    translate: x (N, 3, H, W) -> its translation into Y. back: the way back. For a pack with codes,
    translate is (x, code) -> the edited x. code: (records, attribute) -> codes, by default the
    pack's. questions: instead of the pack's own. The images go to the method's device.

    A translation: "hidden-pair L1" (range 0..2), "PSNR" (dB), "SSIM", "domain reached" (share)
    where the pack has a judge, "two of three judges" (share) where it has a jury, "KID x1000" in
    the judge's features, or without one in those of `style`, "diversity" (spread over inputs, 1 =
    the true targets'), and where there is a way `back`: "cycle L1". Where attributes are labelled,
    first of all "translated right" and "content kept" (shares), "information kept" (mean of
    `metrics.cramers_v`: 0 lost, 1 kept or renamed), and two dicts, "by attribute" and "information
    by attribute".
    Edits: see `edit_numbers`, averaged over the attributes, and "by attribute", a dict of dicts.
    ValueError where a translation has another shape than its truth.
    """
    code, found = code or pack.code, {}
    for question in questions or _questions(pack.questions, pack.size):
        ask = () if code is None else (code(question.records_y, question.attribute),)
        fake = in_batches(translate, question.x, *ask)
        if fake.shape != question.y.shape:
            raise ValueError(f"translate: expected images of shape {tuple(question.y.shape)}, "
                             f"found {tuple(fake.shape)}")
        if question.attribute is None:
            again = None if back is None else in_batches(back, fake)
            return translation_numbers(question, fake, again, pack)
        again = in_batches(translate, fake, code(question.records_x, question.attribute))
        numbers = edit_numbers(question, fake, again, pack)
        found.setdefault(question.attribute, []).append(numbers)
    by_attribute = {name: _mean(panels) for name, panels in found.items()}
    return _mean(list(by_attribute.values())) | {"by attribute": by_attribute}


def _mean(panels):
    return {key: sum(p[key] for p in panels) / len(panels) for key in panels[0]}


def translation_numbers(question, fake, again, pack):
    """The panel of the translations `fake`, and of their way back `again` if it is not None."""
    x, y, records = question.x, question.y, question.records_y
    numbers = {"hidden-pair L1": l1(fake, y), "PSNR": psnr(fake, y), "SSIM": ssim(fake, y)}
    if pack.judged is not None:
        reached = says_y(fake, pack)
        if records is not None:
            read = read_attributes(fake, pack)
            right = read == records
            kept = right.float().mean(0).tolist()
            told = {name: cramers_v(counts(records[:, k], read[:, k], size))
                    for k, (name, size) in enumerate(pack.attributes.items())}
            numbers = {"translated right": (right & reached[:, None]).float().mean().item(),
                       "content kept": right.float().mean().item(),
                       "information kept": sum(told.values()) / len(told),
                       "by attribute": dict(zip(pack.attributes, kept, strict=True)),
                       "information by attribute": told} | numbers
        numbers["domain reached"] = reached.float().mean().item()
        if pack.jury:
            numbers["two of three judges"] = jury_reaches(fake, pack)
        features = [unit_features(images, pack) for images in (fake, y)]
    else:
        features = in_batches(style, fake), _style_of_truth(pack.questions, pack.size)
    numbers |= {"KID x1000": 1000 * kid(*features), "diversity": spread(fake) / spread(y)}
    return numbers if again is None else numbers | {"cycle L1": l1(again, x)}


def edit_numbers(question, fake, again, pack):
    """The numbers of one edit that changes question.attribute; again: the edit taken back.

    "edit success": share read as asked. "others kept": share of the other attributes read as
    before. "other set's kept": the same for the attributes that another set labels, if there are
    any.
    "L1 where it changes": error on the pixels where truth and source differ. "of do nothing": this
    error divided by that of the unedited source. "L1 elsewhere": error on the other pixels.
    "reconstruction L1": error after edit and reverse edit. L1 in units of the [-1, 1] range.
    """
    x, truth, names = question.x, question.y, list(pack.attributes)
    right = read_attributes(fake, pack) == question.records_y
    k = names.index(question.attribute)
    others = [i for i in range(len(names)) if i != k]
    unknown = [names.index(name) for labelled in pack.labelled_apart
               if question.attribute not in labelled for name in labelled]
    kept = right[:, unknown].float().mean().item()
    changed = (x != truth).any(1, keepdim=True).expand_as(x)
    error = (fake - truth).abs()
    return {"edit success": right[:, k].float().mean().item(),
            "others kept": right[:, others].float().mean().item(),
            **({"other set's kept": kept} if unknown else {}),
            "L1 where it changes": error[changed].mean().item(),
            "of do nothing": (error[changed].mean() / (x - truth)[changed].abs().mean()).item(),
            "L1 elsewhere": error[~changed].mean().item(),
            "hidden-pair L1": error.mean().item(),
            "reconstruction L1": (again - x).abs().mean().item()}


def do_nothing(pack, **which):
    """The panel's first reference row: the output is the input, whatever is asked."""
    return panel(lambda x, *code: x, pack, **which)


def chance(pack):
    """Accuracy per attribute of always guessing the most frequent value: name -> share."""
    records = held_out_pairs(pack)[2]
    return {name: (column.bincount().max() / len(column)).item()
            for name, column in zip(pack.attributes, records.T, strict=True)}


def judge_accuracy(pack):
    """Accuracy of the fixed classifier on real held-out images: name -> share.

    "domain" only if the pack's judge knows domains. The panel's numbers on an attribute below 0.98
    are unreliable.
    """
    asked, accuracy = _questions(pack.questions, pack.size), {}
    y = torch.cat([question.y for question in asked])
    if pack.code is None:
        found = torch.cat([~says_y(torch.cat([q.x for q in asked]), pack), says_y(y, pack)])
        accuracy["domain"] = found.float().mean().item()
    if pack.attributes:
        right = read_attributes(y, pack) == torch.cat([q.records_y for q in asked])
        accuracy |= dict(zip(pack.attributes, right.float().mean(0).tolist(), strict=True))
    return accuracy


def fates(panel, pack):
    """What became of the content: {"kept", "permuted", "lost"}, shares that add up to 1.

    panel: a dict of `panel` on a pack with attributes; means over these. Kept: how far the share
    read right lies above guessing, as a share of what there is above it. Permuted: what Cramér's V
    says is told beyond that: kept apart, but under another value's name. Lost: the rest.
    """
    kept = permuted = 0.0
    for name, values in pack.attributes.items():
        right, told = panel["by attribute"][name], panel["information by attribute"][name]
        share = min(max((right - 1 / values) / (1 - 1 / values), 0.0), 1.0)
        kept += share
        permuted += min(max(told - share, 0.0), 1 - share)
    count = len(pack.attributes)
    return {"kept": kept / count, "permuted": permuted / count,
            "lost": 1 - (kept + permuted) / count}


def confusion(translate, attribute, pack):
    """(values, values) counts: true value of `attribute` (rows) against the value read.

    A permutation off the diagonal is a wrong translation that no cycle loss can detect.
    """
    x, _, records = held_out_pairs(pack)
    k, n = list(pack.attributes).index(attribute), pack.attributes[attribute]
    return counts(records[:, k], read_attributes(in_batches(translate, x), pack)[:, k], n)


def counts(truth, read, values):
    """(values, values): how often each true value (row) was read as each value (column)."""
    return torch.bincount(truth * values + read, minlength=values * values).view(values, values)


def sharpness(method, pack):
    """{"sharpness": high-frequency energy of the translations, as a share of the real Y's}."""
    x, y, _ = held_out_pairs(pack)
    drawn = high_frequency_energy(in_batches(method.translate, x))
    return {"sharpness": drawn / high_frequency_energy(y)}
