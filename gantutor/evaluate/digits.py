"""The two measures of the papers on digits, for readers who have MNIST, USPS or SVHN.

`label_kept` is DTN's, `adaptation_accuracy` that of CoGAN, UNIT and CyCADA. Both need labels, which
training does not see. The papers' own numbers are not repeated here: their classifiers, image sizes
and amounts of data differ, so that they cannot be compared with what these functions give.
"""

import torch
from torch import nn
from torch.nn import functional as F

from gantutor.data.batches import to_float, to_uint8
from gantutor.evaluate.judges import train_classifier
from gantutor.evaluate.metrics import in_batches


def _check(images, labels):
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(f"images: expected uint8 of shape (N, 3, H, W), found {images.dtype} of "
                         f"shape {tuple(images.shape)}")
    if labels.shape != images.shape[:1] or not len(labels):
        raise ValueError(f"labels of shape {tuple(labels.shape)} for {len(images)} images: "
                         "expected one each, and at least one")
    if labels.is_floating_point() or labels.min() < 0 or labels.max() > 9:
        raise ValueError(f"labels: {labels.dtype} in {labels.min()}..{labels.max()}, expected "
                         "int64 in 0..9")


def train_digit_classifier(images, labels, steps=1500, seed=0, progress=True, device="cpu"):
    """A small CNN trained to read digits: float (N, 3, H, W) in [-1, 1] -> (N, 10) logits.

    images uint8 (N, 3, H, W), labels int64 (N,) in 0..9, else ValueError. `steps` batches of 64,
    cross-entropy, Adam 1e-3 falling linearly to 0. Returned in eval mode, frozen, on `device`.
    The same seed gives the same network on the CPU; the global random state is left alone.
    """
    _check(images, labels)
    rows = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU(),      # (N, 32, H/2, W/2)
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.ReLU(),     # (N, 64, H/4, W/4)
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(),                    # (N, 1024)
            nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10)).to(device)
    def loss_of():
        index = torch.randint(len(images), (64,), generator=rows)
        return F.cross_entropy(net(to_float(images[index].to(device))),
                               labels[index].long().to(device))

    return train_classifier(net, loss_of, steps, 1e-3, progress="classifier" if progress else None)


def label_kept(translate, images, labels, classifier, device="cpu"):
    """Share of x's translations in which a classifier of the TARGET domain reads x's own label.

    The measure of Taigman, Polyak, Wolf (DTN, ICLR 2017). translate: float (N, 3, H, W) in
    [-1, 1] -> the same; images uint8 (N, 3, H, W) and labels int64 (N,), best x's test part;
    classifier: (N, 3, H, W) in [-1, 1] -> (N, 10) logits, on `device`. ValueError for other stacks.
    """
    _check(images, labels)
    read = in_batches(
        lambda x: classifier(translate(to_float(x.to(device)))).argmax(1).cpu(), images)
    return (read == labels).float().mean().item()


def adaptation_accuracy(translate, x_images, x_labels, y_images, y_labels, steps=1500, seed=0,
                        device="cpu", progress=True):
    """Accuracy, on real y, of a classifier that learnt from translated x with x's labels.

    What CoGAN (Liu, Tuzel 2016), UNIT (Liu, Breuel, Kautz 2017) and CyCADA (Hoffman et al. 2018)
    report, here in its pixel form: y's labels are opened for the test only. translate: float
    (N, 3, H, W) in [-1, 1] -> the same, on `device`; None is "source only", x as it is. Its images
    are stored with 8 bits. x: training part, y: test part, uint8 (N, 3, H, W) and int64 (N,) each,
    else ValueError. For "target only" give y's training part as x, and None.
    """
    _check(x_images, x_labels)
    _check(y_images, y_labels)
    if translate is not None:
        x_images = in_batches(lambda x: to_uint8(translate(to_float(x.to(device)))), x_images)
    classifier = train_digit_classifier(x_images, x_labels, steps, seed, progress, device)
    return label_kept(lambda y: y, y_images, y_labels, classifier, device)
