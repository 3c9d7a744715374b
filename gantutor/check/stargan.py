"""The exercises of notebook 04: codes, targets, the class loss, the gradient penalty."""

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.answers import (
    call,
    close,
    compare,
    gradients,
    kind,
    scalar,
    two_numbers,
)
from gantutor.check.verdict import Wrong, exercise
from gantutor.data.faces import BLOCKS, code_vector
from gantutor.losses import gradient_penalty as true_penalty
from gantutor.methods.stargan import JointStarGAN

A, B = BLOCKS
MANY = 48  # looks


def _tensor(value, shape, what):
    """The learner's tensor as float32, of the shape expected."""
    if not isinstance(value, torch.Tensor):
        raise Wrong(f"{what} should be a tensor, found {kind(value)}.")
    if value.shape != shape:
        raise Wrong(f"{what} has shape {tuple(value.shape)}, expected {tuple(shape)}.")
    return value.detach().float()


def _labels():
    """Four rows of A's labels and three of B's, no two alike."""
    a = torch.tensor([[1.0, 0, 0, 1, 1], [0, 1, 0, 0, 1], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0]])
    return a, torch.eye(B)[[0, 2, 3]]


def _mixed():
    """Codes of both sets, (7, 11), A's rows first."""
    a, b = _labels()
    return torch.cat([code_vector(a, 0), code_vector(b, 1)])


@exercise
def code(answer):
    """my_code(labels, block): (N, 5) with block 0, or (N, 4) with block 1 -> (N, 11)."""
    for block, labels in enumerate(_labels()):
        right = code_vector(labels, block)
        of = f"of set {'AB'[block]}"
        found = call(answer, labels=labels, block=block)
        if isinstance(found, torch.Tensor) and found.shape == (len(labels), A + B):
            raise Wrong(f"the code {of} has 9 numbers: the mask is missing, and zeros for "
                        "'unknown' cannot be told from zeros for 'no'.")
        found = _tensor(found, right.shape, f"the code {of}")
        if torch.equal(found, right):
            continue
        middle, mask = found[:, :A + B], found[:, A + B:]
        if torch.equal(mask, 1 - right[:, A + B:]):
            raise Wrong(f"the mask {of} is the wrong way round: 1 stands for the block that is "
                        "known.")
        if torch.equal(found[:, 2:], right[:, :A + B]):
            raise Wrong("the mask stands in front; the lecture writes it last.")
        if torch.equal(mask, right[:, A + B:]):
            unknown = right[:, :A + B] == 0
            unknown[:, A * block:A + B * block] = False
            if (middle[unknown] != 0).any() and torch.equal(middle[~unknown],
                                                            right[:, :A + B][~unknown]):
                raise Wrong(f"the block that set {'AB'[block]} does not know holds "
                            f"{middle[unknown].unique().tolist()}, expected zeros.")
            raise Wrong(f"the mask {of} is right, but the labels do not stand in places "
                        f"{'0 to 4' if block == 0 else '5 to 8'}.")
        if not mask.any():
            raise Wrong("the mask is all zeros: it has to say which block is known.")
        raise Wrong(f"the first code {of} is {found[0].tolist()}, expected {right[0].tolist()}.")
    return "labels in their own block, zeros in the other, and the mask says which is which."


@exercise
def edit(answer):
    """my_edit(labels, k): A's labels (N, 5) with attribute k edited; k = 0, 1, 2 are hair."""
    labels, _ = _labels()
    for k in range(A):
        right = labels.clone()
        if k < 3:
            right[:, :3] = 0
            right[:, k] = 1
        else:
            right[:, k] = 1 - right[:, k]
        found = _tensor(call(answer, labels=labels.clone(), k=k), right.shape, f"for k={k} it")
        if torch.equal(found, right):
            continue
        hair = found[:, :3].sum(1)
        if k < 3 and (hair > 1).any():
            raise Wrong(f"for k={k} a face has two hair colours: the old one has to go.")
        if k < 3 and (hair == 0).any():
            raise Wrong(f"for k={k} a face has no hair colour left: asking for a colour sets it, "
                        "even where it is there already.")
        if k >= 3 and torch.equal(found[:, k], torch.ones(len(labels))):
            raise Wrong(f"for k={k} the attribute is set, not switched: glasses on also have to "
                        "come off.")
        if torch.equal(found, labels):
            raise Wrong(f"for k={k} nothing has changed.")
        raise Wrong(f"for k={k} the first labels {labels[0].tolist()} become {found[0].tolist()}, "
                    f"expected {right[0].tolist()}.")
    return "one hair colour of three, and the rest are switches."


@exercise
def targets(answer):
    """my_targets(code): for each code of a mixed batch another one of its own set."""
    codes = _mixed().repeat(8, 1)
    found = _tensor(call(answer, code=codes), codes.shape, "the targets")
    rows = {tuple(row) for row in codes.tolist()}
    if (found[:, :3].sum(1) > 1).any():
        raise Wrong("a target has two hair colours. Numbers that belong together have to come from "
                    "one picture: shuffle whole rows, not columns, and draw no bits at random.")
    if not torch.equal(found[:, A + B:], codes[:, A + B:]):
        raise Wrong("some images of set A are asked for a code of set B, or the other way round. "
                    "Shuffle within a set: the class loss there would have to judge labels that "
                    "the picture's own set does not know.")
    if not all(tuple(row) in rows for row in found.tolist()):
        raise Wrong("a target does not occur in the batch: shuffle whole rows.")
    if torch.equal(found, codes):
        raise Wrong("every image is asked for its own code: nothing would ever be translated.")
    if sorted(map(tuple, found.tolist())) != sorted(map(tuple, codes.tolist())):
        raise Wrong("some codes come more often than in the batch: a permutation gives each of "
                    "them once, so that rare domains stay as rare as they are.")
    return "whole rows, within a set."


def _logits(n):
    return torch.linspace(-1.6, 1.9, n * (A + B)).view(n, A + B).sin().mul(2).requires_grad_()


@exercise
def class_loss(answer):
    """my_class_loss(logits, code): logits (N, 9), codes (N, 11) of both sets mixed."""
    codes = _mixed()
    logits = _logits(len(codes))
    loss = scalar(call(answer, logits=logits, code=codes))
    method = JointStarGAN(nn.Identity(), nn.Identity(), BLOCKS)
    right = method.classification_loss(logits, codes)
    rows = codes[:, A + B].bool()
    a, b, labels_a, labels_b = (logits[rows, :A], logits[~rows, A:], codes[rows, :A],
                                codes[~rows, A:A + B])
    bce = F.binary_cross_entropy_with_logits(a, labels_a, reduction="none")
    ce = F.cross_entropy(b, labels_b.argmax(1), reduction="none")
    n = len(codes)
    everything = F.binary_cross_entropy_with_logits(logits, codes[:, :A + B], reduction="none")
    sigmoid_twice = F.binary_cross_entropy_with_logits(a.sigmoid(), labels_a, reduction="sum")
    softmax_twice = F.cross_entropy(b.softmax(1), labels_b.argmax(1), reduction="sum")
    compare(loss, right, [
        (everything.sum() / n, "Unknown labels are judged as if they were 0: the discriminator "
         "learns that a face of set A has no expression. Slice each set's own block."),
        (everything.mean(), "Unknown labels are judged as if they were 0, and averaged."),
        ((bce.mean() * rows.float().mean() + ce.sum() / n), "A's cross-entropies are averaged over "
         "the attributes; they are summed, so that five attributes weigh five times one."),
        (bce.sum() / len(bce) + ce.mean(), "The two sets' means are added: divide by all N "
         "images, so that each image counts once."),
        (bce.sum() + ce.sum(), "This is a sum over the images: divide by N."),
        (bce.sum() / n, "Set B's expressions are not judged."),
        (ce.sum() / n, "Set A's attributes are not judged."),
        ((sigmoid_twice + ce.sum()) / n, "There is a sigmoid before a loss that takes logits."),
        ((bce.sum() + softmax_twice) / n, "There is a softmax before cross-entropy, which takes "
         "logits."),
        ((bce.sum() + F.binary_cross_entropy_with_logits(b, labels_b, reduction="sum")) / n,
         "B's four expressions exclude each other: one softmax, not four sigmoids.")])
    if not loss.requires_grad:
        raise Wrong("the value is right, but no gradient arrives at the logits.")
    return "each image by what its own set knows, summed over A's attributes, a mean over images."


class _Bent(nn.Module):
    """A discriminator whose gradient depends on the image: tanh of a weighted sum a patch."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.4, -0.25, 3).view(1, 3, 1, 1))

    def forward(self, image):
        return (F.avg_pool2d((image * self.weight).sum(1, keepdim=True), 2) * 3).tanh()


@exercise
def penalty(answer):
    """my_penalty(D, real, fake, alpha): D's scores (N, 1, h, w), alpha (N,)."""
    D = _Bent()
    torch.manual_seed(1)
    real, fake = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6) * 2 - 1
    alpha = torch.tensor([0.2, 0.7])
    loss = scalar(call(answer, D=D, real=real, fake=fake, alpha=alpha))
    right = true_penalty(D, real, fake, alpha)
    other_way = true_penalty(D, fake, real, alpha)  # as good: alpha is uniform

    def gradient(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(D(x).sum(), x)[0]

    a = alpha.view(2, 1, 1, 1)
    mixed = gradient(a * real + (1 - a) * fake)
    norm = mixed.flatten(1).norm(dim=1)
    patches = D(real).shape[2] * D(real).shape[3]
    if not close(loss, other_way):
        compare(loss, right, [
            ((mixed.norm() - 1) ** 2, "One norm over the whole batch: every image has its own."),
            ((norm**2 - 1).pow(2).mean(), "The norm's root is missing: (||g|| - 1)^2, not "
             "(||g||^2 - 1)^2."),
            ((norm**2).mean(), "The norm is pulled to 0; Wasserstein's critic wants it near 1."),
            ((norm - 1).abs().mean(), "The difference to 1 is not squared."),
            ((norm - 1).pow(2).sum(), "This is a sum over the images, not a mean."),
            ((gradient(real).flatten(1).norm(dim=1) - 1).pow(2).mean(), "The gradient is taken at "
             "the real images, not between real and fake."),
            ((gradient(fake).flatten(1).norm(dim=1) - 1).pow(2).mean(), "The gradient is taken at "
             "the fakes, not between real and fake."),
            ((norm / patches - 1).pow(2).mean(), "An image's patch scores are averaged before the "
             "gradient is taken; they are summed (and averaging over the batch as well would make "
             "the penalty depend on its size)."),
            ((norm / patches / 2 - 1).pow(2).mean(), "D's scores are averaged over patches and "
             "images before the gradient is taken: sum them, or every gradient shrinks."),
            ((mixed.norm(dim=1) - 1).pow(2).mean(), "One norm a pixel: flatten an image's channels "
             "and pixels, and take one norm an image.")])
    (found,) = gradients(loss, D)
    if found is None:
        raise Wrong("the value is right, but D learns nothing from it: the penalty is itself "
                    "differentiated, so autograd.grad needs create_graph=True (and no detach).")
    return "one norm an image, between real and fake, and D can learn from it."


@exercise
def networks(answer):
    """(generators for all pairs of the 48 looks by CycleGANs, by StarGAN)."""
    pairs, star = two_numbers(answer, "number")
    known = {MANY**2: "a look needs no generator into itself.",
             MANY * (MANY - 1) // 2: "that many CycleGANs, and each has two generators.",
             MANY - 1: "that is one source; every look can be a source.",
             MANY: "one generator a look is not enough: it would have to know the source.",
             11 * 10: "the domains are the 48 looks, not the 11 places of the code."}
    if not close(pairs, MANY * (MANY - 1)):
        raise Wrong("the first number: " + known.get(round(pairs), f"it is not {pairs:.4g}. Count "
                    "ordered pairs: from every look into every other."))
    if not close(star, 1):
        raise Wrong(f"the first is right. The second is not {star:.4g}: who else but G(x, code)?")
    return "2256 and 1."
