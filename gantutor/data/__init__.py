"""Packs and folders in, batches out: batches first, then one module per pack.

Training sees only batches. The hidden pairs of a pack are its `questions` and its `paired` batches:
`gantutor.evaluate` asks the ones, the supervised ceiling alone trains on the others.
"""

from gantutor.data.avatars import AVATARS, MONOCHROMES, monochrome
from gantutor.data.batches import Labelled, Unpaired, to_float, to_uint8
from gantutor.data.faces import FACES
from gantutor.data.landscapes import LANDSCAPES, retro

__all__ = ["AVATARS", "FACES", "LANDSCAPES", "MONOCHROMES", "Labelled", "Unpaired", "monochrome",
           "retro", "to_float", "to_uint8"]
