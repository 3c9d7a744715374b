"""Endless batches of images: unpaired, labelled, and paired (only for the supervised ceiling)."""

import hashlib

import torch

from gantutor.parallel import draw_rows, own_rows
from gantutor.state import whole_number


def to_float(images):
    """uint8 (N, 3, H, W) in 0..255 -> float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images):
    """float (N, 3, H, W) in [-1, 1] -> uint8 in 0..255, rounded and clipped."""
    return images.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def content_digest(stack):
    """A short digest of a stack's content. stack: a tensor, or images with their own `digest`.

    A resumed run must find the same images.
    """
    if hasattr(stack, "digest"):
        return stack.digest()
    data = stack.cpu().contiguous().view(torch.uint8).numpy()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class Epochs:
    """The base of endless batches: each image once per epoch, and a state to save with a run.

    lengths: {name of a stack: number of its images}. Every epoch of a stack is a new permutation.
    A rest that is smaller than a batch is left out. flip: mirror half of the images. Of many
    processes (`gantutor.parallel`) each draws the whole batch's numbers and takes its own images.
    """

    divides = True  # `fit` need not cut the batches

    def __init__(self, lengths, batch_size, seed, flip):
        self.batch_size = whole_number("batch_size", batch_size, 1)
        self.lengths, self.flip = lengths, flip
        self.generator = torch.Generator().manual_seed(seed)
        self.order = {name: torch.empty(0, dtype=torch.long) for name in lengths}

    def _indices(self, name, count):
        """The next `count` indices of one stack, from a new permutation if the last is used up."""
        if len(self.order[name]) < count:
            self.order[name] = torch.randperm(self.lengths[name], generator=self.generator)
        index, self.order[name] = self.order[name].split([count, len(self.order[name]) - count])
        return index

    def _taken(self, stack, index):
        """Images of a stack. One that crops at random draws where, and the state goes with it."""
        if hasattr(stack, "draw"):
            return stack.draw(index, self.generator)
        return stack[own_rows(index)]

    def _mirrored(self, images, *with_them):
        """If `flip` is on, mirrors half of the images in place, and the same ones of `with_them`.

        Returns `images`.
        """
        if self.flip:
            chosen = draw_rows(torch.rand, len(images), generator=self.generator) < 0.5
            for stack in (images, *with_them):
                stack[chosen] = stack[chosen].flip(-1)
        return images

    def fingerprint(self):
        """What a resumed run must match: counts, content, batch size and flip."""
        return {"class": type(self).__name__, "batch_size": self.batch_size, "flip": self.flip} | {
            f"images of {name}": length for name, length in self.lengths.items()} | {
            f"content of {name}": digest for name, digest in self.digests().items()}

    def state_dict(self):
        return {"generator": self.generator.get_state(), "order": dict(self.order)}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])
        self.order = dict(state["order"])


class Unpaired(Epochs):
    """Endless unpaired batches: x and y are drawn independently.

    `x` and `y` are uint8 stacks (N, 3, H, W), (M, 3, H, W). Each epoch of a domain is a new
    permutation. A training state contains the state of the random generator.
    Raises ValueError if a stack has another dtype or shape, or is smaller than a batch.
    """

    def __init__(self, x, y, batch_size=8, seed=0, flip=False):
        super().__init__({"x": len(x), "y": len(y)}, batch_size, seed, flip)
        for name, stack in (("x", x), ("y", y)):
            if stack.dtype != torch.uint8 or stack.dim() != 4 or stack.shape[1] != 3:
                raise ValueError(f"{name}: expected uint8 images of shape (N, 3, H, W), found "
                                 f"{stack.dtype} of shape {tuple(stack.shape)}")
        if x.shape[2:] != y.shape[2:]:
            raise ValueError(f"x is {tuple(x.shape[2:])} px and y {tuple(y.shape[2:])} px: "
                             "both must have one size")
        for name, stack in (("x", x), ("y", y)):
            if len(stack) < self.batch_size:
                raise ValueError(f"{name}: {len(stack)} images are fewer than a batch of "
                                 f"{self.batch_size}")
        self.stacks = {"x": x, "y": y}

    def digests(self):
        return {name: content_digest(stack) for name, stack in self.stacks.items()}

    def _draw(self, name):
        images = self._taken(self.stacks[name], self._indices(name, self.batch_size))
        return self._mirrored(to_float(images))

    def next_batch(self):
        """{"x": (B, 3, H, W), "y": (B, 3, H, W)}, float32 in [-1, 1]."""
        return {"x": self._draw("x"), "y": self._draw("y")}


class Paired(Unpaired):
    """X with its true counterparts, only for the supervised ceiling.

    Stacks and errors as `Unpaired`. ValueError also if x and y differ in number.
    """

    def __init__(self, x, y, batch_size=8, seed=0, flip=False):
        super().__init__(x, y, batch_size, seed, flip)
        if len(x) != len(y):
            raise ValueError(f"{len(x)} images x and {len(y)} images y: expected pairs")

    def next_batch(self):
        index = self._indices("x", self.batch_size)
        batch = {name: to_float(stack[own_rows(index)]) for name, stack in self.stacks.items()}
        self._mirrored(*batch.values())
        return batch


class Labelled(Epochs):
    """Endless labelled batches, the same number from each set: {"x": images, "code": codes}.

    sets: a list of (images uint8 (N, 3, H, W), codes float (N, c)). A batch's first part comes
    from the first set, and so on. ValueError unless batch_size is a multiple of the number of sets
    and each set has at least its share of a batch.
    """

    def __init__(self, sets, batch_size=16, seed=0, flip=False):
        super().__init__({k: len(images) for k, (images, _) in enumerate(sets)}, batch_size, seed,
                         flip)
        self.share, rest = divmod(self.batch_size, len(sets))
        if rest:
            raise ValueError(f"batch_size={batch_size}: expected a multiple of {len(sets)} sets")
        for k, (images, codes) in enumerate(sets):
            if len(images) != len(codes) or len(images) < self.share:
                raise ValueError(f"set {k}: {len(images)} images and {len(codes)} codes; expected "
                                 f"as many of each, at least {self.share}")
        self.sets = sets

    def digests(self):
        return {k: content_digest(images) + content_digest(codes)
                for k, (images, codes) in enumerate(self.sets)}

    def _draw(self, k):
        images, codes = self.sets[k]
        index = self._indices(k, self.share)
        return to_float(self._taken(images, index)), codes[own_rows(index)]

    def next_batch(self):
        """{"x": (B, 3, H, W) float32 in [-1, 1], "code": (B, c) float32}."""
        images, codes = (torch.cat(parts) for parts in zip(*map(self._draw, range(len(self.sets))),
                                                           strict=True))
        return {"x": self._mirrored(images), "code": codes}


class EditedPairs(Labelled):
    """Labelled images with the true picture of their code: {"x", "y", "code"}, for the ceiling.

    Each image of a set is a picture and its counterpart, stacked along the channels: (6, H, W).
    """

    def next_batch(self):
        batch = super().next_batch()
        x, y = batch["x"].chunk(2, 1)
        return {"x": x, "y": y, "code": batch["code"]}
