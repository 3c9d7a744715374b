"""StarGAN's data: pixel-art faces in two sets that label different things (room: data).

Set A knows the appearance (hair colour, long hair, glasses; as CelebA does), set B the expression
(as RaFD does), and neither knows what the other one labels. A code is
[A's 5 | B's 4 | mask 2], the mask saying which of the two blocks is known.
"""

import json

import torch

from gantutor.data import Epochs, Unpaired, data_folder, load_sheet, to_float

APPEARANCE = ("black hair", "blond hair", "brown hair", "long hair", "glasses")
EXPRESSION = ("neutral", "happy", "sad", "surprised")
BLOCKS = (len(APPEARANCE), len(EXPRESSION))

# A face's record: what can be edited, then what must stay. name: number of values
LOOKS = {"hair": 3, "long_hair": 2, "glasses": 2, "expression": 4}
IDENTITY = {"skin": 4, "shirt": 5, "background": 4, "beard": 2, "collar": 3}


def face_records(part):
    """(N, 9) int64 values of LOOKS and IDENTITY: "appearance", "expression" or "held_out"."""
    return torch.tensor(json.loads((data_folder() / "faces" / "records.json").read_text())[part])


def face_sheet(name, count, size):
    """The first `count` faces of one sheet of the pack at `size` px (32 or 64), uint8."""
    if size not in (32, 64):
        raise ValueError(f"size={size}: the faces are drawn at 32 and at 64 px")
    # Drawn on a grid of 16 x 16: stored so, and magnified without loss.
    sheet = load_sheet(data_folder() / "faces" / f"{name}.webp", count, 16)
    return sheet.repeat_interleave(size // 16, 2).repeat_interleave(size // 16, 3)


def appearance_labels(records):
    """(N, 9) records -> A's labels (N, 5): one hair colour of three, long hair, glasses."""
    hair = torch.nn.functional.one_hot(records[:, 0], 3)
    return torch.cat([hair, records[:, 1:3]], 1).float()


def expression_labels(records):
    """(N, 9) records -> B's labels (N, 4), one of them 1."""
    return torch.nn.functional.one_hot(records[:, 3], 4).float()


def code_vector(labels, block, blocks=BLOCKS):
    """Labels of one set -> the joint code (N, sum(blocks) + len(blocks)).

    labels: (N, blocks[block]). The other blocks are zeros, which say nothing: the mask at the end,
    one-hot, says which block to read. Choi et al., "StarGAN", CVPR 2018, section 3.3, eq. 7.
    ValueError where the labels are not blocks[block] wide.
    """
    if labels.ndim != 2 or labels.shape[1] != blocks[block]:
        raise ValueError(f"labels: expected shape (N, {blocks[block]}) for block {block}, "
                         f"found {tuple(labels.shape)}")
    code = labels.new_zeros(len(labels), sum(blocks) + len(blocks))
    start = sum(blocks[:block])
    code[:, start:start + blocks[block]] = labels
    code[:, sum(blocks) + block] = 1
    return code


class Labelled(Epochs):
    """Endless batches of labelled images, as many from each set: {"x": images, "code": codes}.

    sets: a list of (images uint8 (N, 3, H, W), codes float (N, c)). A batch's first part comes
    from the first set, and so on; batch_size must be a multiple of the number of sets, and each
    set at least its share (ValueError otherwise).
    """

    def __init__(self, sets, batch_size=16, seed=0, flip=False):
        self.share, rest = divmod(batch_size, len(sets))
        if rest:
            raise ValueError(f"batch_size={batch_size}: expected a multiple of {len(sets)} sets")
        for k, (images, codes) in enumerate(sets):
            if len(images) != len(codes) or len(images) < self.share:
                raise ValueError(f"set {k}: {len(images)} images and {len(codes)} codes; expected "
                                 f"as many of each, at least {self.share}")
        super().__init__({k: len(images) for k, (images, _) in enumerate(sets)}, seed, flip)
        self.sets = sets

    def _draw(self, k):
        images, codes = self.sets[k]
        index = self._indices(k, self.share)
        return to_float(images[index]), codes[index]

    def next_batch(self):
        """{"x": (B, 3, H, W) float32 in [-1, 1], "code": (B, c) float32}."""
        images, codes = (torch.cat(parts) for parts in zip(*map(self._draw, range(len(self.sets))),
                                                           strict=True))
        return {"x": self._mirrored(images), "code": codes}


def labelled_set(part, size):
    """(images uint8, labels) of set "appearance" (A) or "expression" (B), 2,500 faces each."""
    records = face_records(part)
    read = {"appearance": appearance_labels, "expression": expression_labels}[part]
    return face_sheet(part, len(records), size), read(records)


def appearance(size=32, batch_size=16, seed=0):
    """Set A alone, with its 5 labels for a code: StarGAN on one data set."""
    return Labelled([labelled_set("appearance", size)], batch_size, seed)


def faces(size=32, batch_size=16, seed=0, mask=True):
    """Both sets, half a batch each, with the joint code of 11; without `mask` its first 9 places.

    Without a mask what a set does not know reads as zeros, that is, as "no".
    """
    sets = []
    for k, part in enumerate(("appearance", "expression")):
        images, labels = labelled_set(part, size)
        code = code_vector(labels, k)
        sets.append((images, code if mask else code[:, :sum(BLOCKS)]))
    return Labelled(sets, batch_size, seed)


def two_hair_colours(colour_x, colour_y, size=32, batch_size=16, seed=0):
    """Set A's faces with one hair colour (X) and with another (Y), unpaired, as CycleGAN needs."""
    images, labels = labelled_set("appearance", size)
    x, y = (images[labels[:, APPEARANCE.index(colour)] == 1] for colour in (colour_x, colour_y))
    return Unpaired(x, y, batch_size, seed)
