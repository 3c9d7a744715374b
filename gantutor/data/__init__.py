"""Packs and folders in, batches out: batches first, then one module per pack.

Training sees only batches. A pack's hidden pairs are its `questions`, which only
`gantutor.evaluate` reads, and its `paired` batches, which only the supervised ceiling trains on.
"""

from gantutor.data.avatars import AVATARS, MONOCHROMES, monochrome
from gantutor.data.batches import Labelled, Unpaired, to_float, to_uint8
from gantutor.data.changes import ink, retro
from gantutor.data.faces import FACES
from gantutor.data.photographs import DIAL, INK, RETRO

__all__ = ["AVATARS", "DIAL", "FACES", "INK", "MONOCHROMES", "RETRO", "Labelled", "Unpaired", "ink",
           "monochrome", "retro", "to_float", "to_uint8"]
