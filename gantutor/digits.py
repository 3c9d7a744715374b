"""The digits that the papers are measured on, for readers who have them (rooms: data, evaluate).

    batches = digits.digits("svhn", "mnist", "datasets", download=True)

Two measures: `label_kept` of DTN, and `adaptation_accuracy` of CoGAN, UNIT and CyCADA. Both need
labels; training does not see them.
"""

import importlib.util
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gantutor.data import Unpaired, to_float, to_uint8
from gantutor.evaluate import in_batches

DIGITS = ("mnist", "usps", "svhn")
SPLITS = ("train", "test")
MNIST_FILES = tuple(f"MNIST/raw/{part}-{kind}-ubyte" for part in ("train", "t10k")
                    for kind in ("images-idx3", "labels-idx1"))  # torchvision wants all four
FILES = {("mnist", "train"): MNIST_FILES, ("mnist", "test"): MNIST_FILES,
         ("usps", "train"): ("usps.bz2",), ("usps", "test"): ("usps.t.bz2",),
         ("svhn", "train"): ("train_32x32.mat",), ("svhn", "test"): ("test_32x32.mat",)}

# Percent, on the target's test images, as other people printed them: to stand beside, not to
# reproduce, for the classifiers, image sizes and amounts of training data differ.
# "second-hand": quoted by a later paper; "from memory": UNVERIFIED, check before printing it.
_CYCADA = "Hoffman et al., CyCADA, ICML 2018"
_DTN = "Taigman, Polyak, Wolf, DTN, ICLR 2017"
PUBLISHED = [
    {"measure": measure, "method": method, "x": x, "y": y, "percent": percent, "source": source,
     "status": status}
    for measure, source, status, table in (
        ("adaptation_accuracy", _CYCADA, "second-hand", {
            "source only": ("82.2", "69.6", "67.1"),
            "CoGAN (Liu, Tuzel 2016)": ("91.2", "89.1", None),
            "UNIT (Liu, Breuel, Kautz 2017)": ("96.0", "93.6", "90.5"),
            "CyCADA": ("95.6", "96.5", "90.4"),
            "target only": ("96.5", "99.2", "99.2")}),
        ("label_kept", _DTN, "from memory, unverified", {
            "DTN": (None, None, "90.66"),
            "DTN without L_CONST": (None, None, "74.55"),
            "baseline of the DTN paper": (None, None, "13.71"),
            "no translation": (None, None, "40.06")}),
        # that it fails here is the expected result
        ("label_kept", "several papers, none at hand", "from memory, unverified", {
            "CycleGAN": (None, None, "25-26")}))
    for method, row in table.items()
    for (x, y), percent in zip((("mnist", "usps"), ("usps", "mnist"), ("svhn", "mnist")), row,
                               strict=True) if percent is not None]


# -------------------------------------------------------------------- data


def _load(name, split, folder, download):
    """(images (N, 1 or 3, h, w) uint8, labels) as torchvision reads them from the sets' files."""
    from torchvision.datasets import MNIST, SVHN, USPS

    if name == "svhn" and importlib.util.find_spec("scipy") is None:
        raise ModuleNotFoundError("svhn: its .mat files are read with scipy, which is not "
                                  "installed: `pip install scipy`")
    missing = [file for file in FILES[name, split] if not (Path(folder) / file).is_file()]
    if missing and not download:
        raise FileNotFoundError(f"{folder}: no {', '.join(missing)} of {name}; download=True "
                                "fetches it")
    try:
        if name == "svhn":
            found = SVHN(folder, split, download=download)
            return torch.from_numpy(found.data), found.labels         # (N, 3, 32, 32)
        found = (MNIST if name == "mnist" else USPS)(folder, split == "train", download=download)
        return torch.as_tensor(found.data)[:, None], found.targets    # (N, 1, 28, 28) or 16 px
    except Exception as error:  # damaged files make torchvision raise nearly anything
        if missing:
            raise  # the download failed, and says why
        raise ValueError(f"{folder}: {name}'s files ({', '.join(FILES[name, split])}) are damaged "
                         f"or not the original ones ({type(error).__name__}: {error})") from error


def digit_sheet(name, split, folder, download=False, size=32, limit=None):
    """(images uint8 (N, 3, size, size) in 0..255, labels int64 (N,) in 0..9) of one real set.

    name: "mnist" (LeCun, Cortes, Burges 1998; 28 px), "usps" (Hull 1994; 16 px) or "svhn" (Netzer
    et al. 2011; 32 px, colour), split: "train" or "test", through torchvision's loaders: `folder`
    holds MNIST/raw/*-ubyte, usps.bz2 and usps.t.bz2, train_32x32.mat and test_32x32.mat. Grey is
    repeated in three channels; all are scaled bilinearly, with antialiasing. SVHN needs scipy.
    limit: the first so many (those of MNIST's test part are its easier half).

    Raises ValueError for an unknown name or split, a limit or size below 1, and damaged files;
    FileNotFoundError where the files are not there and download is False.
    """
    for value, kind, choices in ((name, "name", DIGITS), (split, "split", SPLITS)):
        if value not in choices:
            raise ValueError(f"{kind}={value!r}: expected one of {choices}")
    if min(size, size if limit is None else limit) < 1:
        raise ValueError(f"{size=}, {limit=}; expected at least 1")
    found, labels = _load(name, split, folder, download)
    found, labels = found[:limit], torch.as_tensor(labels[:limit]).long()
    if found.shape[2:] != (size, size):
        found = torch.cat([
            F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
            .round_().clamp_(0, 255).byte() for part in found.split(1000)])
    return (found.repeat(1, 3, 1, 1) if found.shape[1] == 1 else found.contiguous()), labels


def digits(x, y, folder, size=32, batch_size=16, seed=0, download=False, limit=None):
    """Unpaired training images of the sets named `x` and `y`, without their labels.

    limit: at most so many of each. Errors as `digit_sheet`, and as `Unpaired` for too few images.
    """
    stacks = (digit_sheet(name, "train", folder, download, size, limit)[0] for name in (x, y))
    return Unpaired(*stacks, batch_size, seed)


# ---------------------------------------------------------------- measures


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
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    with torch.enable_grad(), tqdm(range(steps), "classifier", disable=not progress) as bar:
        for step in bar:
            optimiser.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
            index = torch.randint(len(images), (64,), generator=rows)
            logits = net(to_float(images[index].to(device)))
            loss = F.cross_entropy(logits, labels[index].long().to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 50 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return net.eval().requires_grad_(False)


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
