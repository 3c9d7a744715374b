"""A model in one file that says what it is. It loads without the recipe that made it.

    save_model("model.safetensors", method, {"size": 64, "domains": ["photo", "ink"]})
    model = load_model("model.safetensors")      # also gantutor.load
    y = model.translate(x)

The file is a safetensors file: tensors, and a header of text. No code of it is ever run. The
networks are rebuilt from the shapes of the tensors. What the header says must agree with them.
"""

import hashlib
import json
from pathlib import Path

from safetensors import safe_open

import gantutor
from gantutor.portable.authors import from_official
from gantutor.portable.model import Model, checked, device_of, require_finite
from gantutor.portable.shapes import (
    CLASSES,
    CODERS,
    TRANSLATORS,
    digests,
    rebuilt,
    shapes_of,
)
from gantutor.saving import load_weights, read_metadata, save_weights, target

__all__ = ["Model", "from_official", "load_model", "save_model"]

VERSION = 1  # of the header


def save_model(path, method, about):
    """Writes the networks that a trained method ships, and what they are, as one file.

    about: {"size": px of training, "domains": ["X", "Y"], ...}, for StarGAN also "codes": the
    names of the code's numbers. Text, numbers, and lists and dicts of them. ValueError, and no
    file, for networks that `load_model` could not rebuild, and for weights that are not finite.
    """
    networks = {name: getattr(method, name) for name in getattr(method, "ships", ())}
    about = about | ({"blocks": list(method.blocks)} if hasattr(method, "blocks") else {})
    if set(networks) not in TRANSLATORS:
        raise ValueError(f"{path}: a {type(method).__name__} with the networks "
                         f"{', '.join(networks)} cannot be stored as a translator")
    try:
        described, again = rebuilt(shapes_of(networks))
        checked(about, described)
    except ValueError as error:
        raise ValueError(f"{path}: not written, it could not be loaded again ({error})") from None
    theirs, ours = digests(networks), digests(again)
    for name in networks:
        if theirs[name] != ours[name]:
            raise ValueError(f"{path}: not written, {name} is a {type(networks[name]).__name__} "
                             "that could not be rebuilt; expected the default layers of one of "
                             f"{', '.join(CLASSES)}, or `coders`")
    _write(path, type(method).__name__, networks, described, about)


def _write(path, method, networks, described, about):
    try:
        text = json.dumps({"version": VERSION, "gantutor": gantutor.__version__, "method": method,
                           "networks": described, "about": about}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: about={about!r} cannot be written ({error})") from None
    save_weights(path, networks, {"model": text, "digest": _digest(text, networks)})


def _digest(text, networks):
    """Of the header's text and of every number: a changed bit anywhere changes it."""
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name, net in networks.items():
        for key, tensor in net.state_dict().items():
            found.update(f"{name}.{key} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return found.hexdigest()


def load_model(path, device="cpu"):
    """The `Model` of a file that `save_model` wrote, or of a checkpoint of the course.

    path: the file, or a run's folder with a model.safetensors. device: "auto" is a GPU where there
    is one. FileNotFoundError, or ValueError that names the file: damaged, of another kind, or of
    a later version. ValueError for a device that is not there.
    """
    place = Path(path).expanduser()
    place = place / "model.safetensors" if place.is_dir() else place
    metadata = read_metadata(place)  # its errors name the file
    try:
        parts = _load(place, metadata)
    except Exception as error:  # a damaged header can say anything
        reason = str(error).removeprefix(f"{place}: ").partition("\n")[0] or type(error).__name__
        raise ValueError(f"{place}: not a whole model of gantutor ({reason})") from None
    return Model(*parts, device_of(device))


def _load(place, metadata):
    """(method, networks, description, about) of a file. Exceptions of any kind."""
    with safe_open(target(place), "pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}
    described, networks = rebuilt(_in_order(shapes))
    if set(networks) not in TRANSLATORS:
        raise ValueError(f"networks {', '.join(networks)}: not those of a translator")
    stated, found = "model" in metadata, described
    if stated:
        method, about, said = _stated(metadata["model"])
    else:
        method, about, said = _of_the_course(metadata)
        about, found = _sized(about, described), digests(networks)
    for name, one in found.items():
        if one != said.get(name):
            raise ValueError(f"{name}: found {one}, its header says {said.get(name)}")
    networks = {name: net.to_empty(device="cpu") for name, net in networks.items()}
    load_weights(place, networks)
    require_finite(networks)
    if stated and _digest(metadata["model"], networks) != metadata.get("digest"):
        raise ValueError("its digest is another one: some of its bytes have changed")
    return method, networks, described, checked(about, described)


def _in_order(shapes):
    """The tensors network by network: first encoders, then decoders, as a method ships them."""
    order = {name: k for k, name in enumerate((*CODERS, "G", "G_xy", "G_yx"))}
    return dict(sorted(shapes.items(), key=lambda item: order.get(item[0].partition(".")[0], 99)))


def _stated(text):
    """(method, about, networks) of a header that `save_model` wrote."""
    header = json.loads(text)
    if header["version"] != VERSION:
        raise ValueError(f"version {header['version']}, expected {VERSION}; a newer gantutor "
                         "wrote it")
    return str(header["method"]), dict(header["about"]), dict(header["networks"])


def _of_the_course(metadata):
    """(method, about, digests of the networks) of a checkpoint that `gantutor.runs` wrote."""
    if not {"hyperparameters", "command"} <= metadata.keys():
        raise ValueError("its header has no entry 'model'")
    method = json.loads(metadata["hyperparameters"])["method"]
    about = {"command": metadata["command"]}
    return method["class"], about | {k: method[k] for k in ("blocks",) if k in method}, method


def _sized(about, described):
    """The size of the course's StarGANs: their generators work on a grid of 16 x 16."""
    return about | ({"size": 16 << described["G"]["downs"]} if "G" in described else {})
