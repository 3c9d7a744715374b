"""The pack *faces*: pixel-art faces in two sets that label different things, for StarGAN.

Set A labels the appearance (hair colour, long hair, glasses), as CelebA does. Set B labels the
expression, as RaFD does. Neither set has the labels of the other one. A code is
[A's 5 | B's 4 | mask 2]. The mask says which of the two blocks is known.

A held-out person is drawn with all of the 48 looks, so that an edit has exactly one right answer.
"""

import functools
import json

import torch
from torch.nn import functional as F

from gantutor.data.batches import EditedPairs, Labelled, Unpaired, to_float
from gantutor.data.packs import Pack, Question, load_sheet
from gantutor.saving import data_folder

APPEARANCE = ("black hair", "blond hair", "brown hair", "long hair", "glasses")
EXPRESSION = ("neutral", "happy", "sad", "surprised")
BLOCKS = (len(APPEARANCE), len(EXPRESSION))

# A face's record: what can be edited, then what must stay. name: number of values
LOOKS = {"hair": 3, "long_hair": 2, "glasses": 2, "expression": 4}
IDENTITY = {"skin": 4, "shirt": 5, "background": 4, "beard": 2, "collar": 3}
ATTRIBUTES = LOOKS | IDENTITY
STRIDES = {"hair": 16, "long_hair": 8, "glasses": 4, "expression": 1}  # index step per value


def records(part):
    """(N, 9) int64 values of LOOKS and IDENTITY: "appearance", "expression" or "held_out"."""
    return torch.tensor(json.loads((data_folder() / "faces" / "records.json").read_text())[part])


def sheet(name, size, count=None):
    """The first `count` faces of one sheet at `size` px, uint8. By default all of them.

    ValueError for a size other than 32 and 64.
    """
    if size not in (32, 64):
        raise ValueError(f"size={size}: the faces are drawn at 32 and at 64 px")
    count = len(records(name)) if count is None else count
    # The faces are drawn and stored at 16 x 16 px, and magnified without loss.
    images = load_sheet(data_folder() / "faces" / f"{name}.webp", count, 16)
    return images.repeat_interleave(size // 16, 2).repeat_interleave(size // 16, 3)


def appearance_labels(people):
    """(N, 9) records -> A's labels (N, 5): one hair colour of three, long hair, glasses."""
    hair = F.one_hot(people[:, 0], 3)
    return torch.cat([hair, people[:, 1:3]], 1).float()


def expression_labels(people):
    """(N, 9) records -> B's labels (N, 4), one of them 1."""
    return F.one_hot(people[:, 3], 4).float()


def code_vector(labels, block, blocks=BLOCKS):
    """Labels of one set -> the joint code (N, sum(blocks) + len(blocks)).

    labels: (N, blocks[block]). The other blocks are zeros, which mean "unknown". The one-hot mask
    at the end says which block is known. Choi et al., "StarGAN", CVPR 2018, section 3.3, eq. 7.
    ValueError for labels of another shape.
    """
    if labels.ndim != 2 or labels.shape[1] != blocks[block]:
        raise ValueError(f"labels: expected shape (N, {blocks[block]}) for block {block}, "
                         f"found {tuple(labels.shape)}")
    code = labels.new_zeros(len(labels), sum(blocks) + len(blocks))
    start = sum(blocks[:block])
    code[:, start:start + blocks[block]] = labels
    code[:, sum(blocks) + block] = 1
    return code


def labelled_set(part, size):
    """(images uint8, labels) of set "appearance" (A) or "expression" (B), 2,500 faces each."""
    people = records(part)
    read = {"appearance": appearance_labels, "expression": expression_labels}[part]
    return sheet(part, size), read(people)


def appearance(size=32, batch_size=16, seed=0):
    """Only set A, with its 5 labels as the code: StarGAN on one data set."""
    return Labelled([labelled_set("appearance", size)], batch_size, seed)


def unpaired(size=32, batch_size=16, seed=0, mask=True):
    """Both sets, half a batch each, with the joint code of 11 numbers; mask=False: the first 9.

    Without a mask, labels that a set does not have are zeros. They look like "no".
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


# -------------------------------------------------------------------- codes


def joint_code(people, attribute):
    """The code (N, 11) that asks the joint model for `attribute` as in `people`.

    people: (N, 9) records of the wanted faces. Only the block with `attribute` is known.
    """
    if attribute == "expression":
        return code_vector(expression_labels(people), 1)
    return code_vector(appearance_labels(people), 0)


def unmasked_code(people, attribute):
    """The joint code without its mask, (N, 9): unknown labels are zeros."""
    return joint_code(people, attribute)[:, :-2]


def appearance_code(people, attribute):
    """The code (N, 5) for a model that is trained on set A only."""
    return appearance_labels(people)


# ------------------------------------------------------- hidden: edits and pairs


@functools.lru_cache(maxsize=2)
def _held_out(size):
    people = records("held_out")
    return to_float(sheet("held_out", size)), people


def held_out(size=32):
    """(images (2880, 3, size, size) in [-1, 1], records (2880, 9)): 60 people, 48 looks each."""
    return tuple(tensor.clone() for tensor in _held_out(size))


def counterpart(source, attribute, value):
    """The indices of the same faces with `attribute` at `value` (a number, or one per face).

    source: (N,) indices of held-out faces.
    """
    now = _held_out(32)[1][source, list(ATTRIBUTES).index(attribute)]
    return source + (value - now) * STRIDES[attribute]


def edit(attribute, source, target, size=32):
    """The question that turns the held-out faces at `source` into those at `target`: (N,) each."""
    images, people = _held_out(size)
    return Question(images[source], images[target], people[source], people[target], attribute)


def edit_places(count=200, seed=0):
    """Every edit that changes one attribute of `count` held-out faces, a list of 7.

    Each is (attribute, source, target). source and target are (N,) indices of faces that differ
    only in `attribute`.
    """
    people = _held_out(32)[1]
    source = torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))[:count]
    return [(attribute, source,
             counterpart(source, attribute, (people[source, k] + shift) % values))
            for k, (attribute, values) in enumerate(LOOKS.items()) for shift in range(1, values)]


def questions(size=32, attributes=tuple(LOOKS)):
    """The edits of `edit_places` that change one of `attributes`, as questions."""
    return [edit(*places, size) for places in edit_places() if places[0] in attributes]


def hair_questions(colour_x, colour_y, size=32, count=200):
    """Faces with one hair colour into another, "brown hair" into "black hair", and back."""
    people, found = _held_out(32)[1], []
    order = edit_places(len(people))[0][1]  # all of them, in the edits' order
    pair = [APPEARANCE.index(colour) for colour in (colour_x, colour_y)]
    for here, there in (pair, pair[::-1]):
        source = order[people[order, 0] == here][:count]
        found.append(edit("hair", source, counterpart(source, "hair", there), size))
    return found


def paired(size=32, batch_size=16, seed=0):
    """Sets A and B. Each face is paired with another random look that its own set labels."""
    sets = []
    for k, part in enumerate(("appearance", "expression")):
        people = records(f"hidden_{part}")
        images = [sheet(name, size) for name in (part, f"hidden_{part}")]
        sets.append((torch.cat(images, 1), joint_code(people, ("hair", "expression")[k])))
    return EditedPairs(sets, batch_size, seed)


def judged(size, generator):
    """Draws the judge's batches: 64 training faces and their records. It judges no domain.

    Noise of up to a tenth of the range is added, so that the judge cannot rely on faint spots.
    """
    parts = [name for part in ("appearance", "expression") for name in (part, f"hidden_{part}")]
    people = torch.cat([records(part) for part in parts])
    images = torch.cat([sheet(part, size) for part in parts])

    def draw():
        index = torch.randint(len(images), (64,))
        x = to_float(images[index])
        x = x + 0.2 * torch.rand(64, 1, 1, 1) * torch.randn_like(x)
        return x, None, people[index]

    return draw


FACES = Pack("faces", 32, unpaired, paired, questions, ATTRIBUTES, judged, 1500, joint_code,
             labelled_apart=(("hair", "long_hair", "glasses"), ("expression",)))
