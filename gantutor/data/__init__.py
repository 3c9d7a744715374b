"""Packs and folders in, batches out: batches first, then one module per pack.

Training sees only batches. A pack's hidden pairs are its `questions`, which only
`gantutor.evaluate` reads, and its `paired` batches, which only the supervised ceiling trains on.
"""

from gantutor.data.avatars import AVATARS, MONOCHROMES, monochrome
from gantutor.data.batches import Labelled, Unpaired, to_float, to_uint8
from gantutor.data.faces import FACES
from gantutor.data.landscapes import LANDSCAPES, retro

__all__ = ["AVATARS", "FACES", "LANDSCAPES", "MONOCHROMES", "Labelled", "Unpaired", "monochrome",
           "retro", "to_float", "to_uint8"]
