"""From the shapes of a file's tensors to the networks that have such tensors."""

import re

import torch
from torch import nn

from gantutor.autoencoders import coders, halvings
from gantutor.methods.stargan import SmallStarGenerator, StarGANGenerator
from gantutor.models import PixelGenerator, ResnetGenerator, SmallGenerator
from gantutor.saving import hyperparameters

CLASSES = {kind.__name__: kind for kind in (SmallGenerator, PixelGenerator, ResnetGenerator,
                                            SmallStarGenerator, StarGANGenerator)}
CODERS = ("E_x", "E_y", "G_x", "G_y")
TRANSLATORS = [{"G_xy"}, {"G_xy", "G_yx"}, {"G"}, set(CODERS)]  # whose networks can translate


def describe(shapes):
    """What networks have tensors of these shapes: {"G_xy": {"class": "SmallGenerator", ...}}.

    shapes: {"G_xy.trunk.0.weight": (24, 5, 4, 4), ...}, a tensor that two networks share once. For
    two encoders and two decoders it is {"coders": arguments of `gantutor.autoencoders.coders`}.
    ValueError for other networks.
    """
    names = list(dict.fromkeys(key.partition(".")[0] for key in shapes))
    if "E_x" in names:
        return {"coders": _coders(shapes)}
    parts = {name: {key.removeprefix(f"{name}."): shape for key, shape in shapes.items()
                    if key.startswith(f"{name}.")} for name in names}
    try:
        return {name: network(part) for name, part in parts.items()}
    except (KeyError, IndexError):
        raise ValueError(f"networks {', '.join(names)}: no tensors of {', '.join(CLASSES)}, and no "
                         "encoders and decoders") from None


def network(shapes):
    """Class and constructor arguments of one network, from its tensors' shapes. KeyError."""
    def count(pattern):
        return sum(bool(re.fullmatch(pattern, key)) for key in shapes)

    def halved():  # convolutions of 4 x 4 pixels
        return sum(bool(re.fullmatch(r"trunk\.\d+\.weight", key)) and shape[2:] == (4, 4)
                   for key, shape in shapes.items())

    if "c7s1_in.weight" in shapes:
        width, channels = shapes["c7s1_in.weight"][:2]
        return {"class": "ResnetGenerator", "channels": channels, "width": width,
                "blocks": count(r"blocks\.\d+\.conv1\.weight")}
    if "main.0.weight" in shapes:
        width, channels = shapes["main.0.weight"][:2]
        return {"class": "StarGANGenerator", "codes": channels - 3, "width": width,
                "blocks": count(r"main\.\d+\.main\.0\.weight")}
    if "net.0.weight" in shapes:
        return {"class": "PixelGenerator", "width": shapes["out.weight"][1],
                "layers": count(r"net\.\d+\.weight")}
    width, channels = shapes["trunk.0.weight"][:2]
    drawn = {"width": width, "blocks": count(r"trunk\.\d+\.conv1\.weight"), "downs": halved()}
    if "mix.weight" in shapes:
        return {"class": "SmallGenerator", **drawn, "skip": shapes["mix.weight"][1] == 8 + 5}
    return {"class": "SmallStarGenerator", "codes": channels - 5, **drawn}


def _coders(shapes):
    """The arguments of `coders` that give networks with these tensors."""
    def stages(name):
        return {key.split(".")[2] for key in shapes if key.startswith(f"{name}.stages.")}

    E_x, E_y, G_x, G_y = map(stages, CODERS)
    try:
        width, seen = shapes["E_x.stages.0.conv.weight"][:2]
        channels = shapes[f"E_x.stages.{len(E_x) - 1}.conv.weight"][0]
    except (KeyError, IndexError):
        raise ValueError("no tensors of an encoder E_x and its partners") from None
    return {"shared": [len(E_x) - len(E_y), len(G_x) - len(G_y)], "size": 4 << (len(G_x) - 1),
            "channels": channels, "width": width, "encoder_sees_flag": seen == 6,
            "encoder_size": 4 << (len(E_x) - 1)}


def rebuild(described):
    """Untrained networks of these descriptions, without memory for their tensors ("meta")."""
    with torch.device("meta"):
        if "coders" in described:
            halvings(described["coders"]["size"])
            return dict(zip(CODERS, coders(**described["coders"]), strict=True))
        return {name: CLASSES[of["class"]](**{k: v for k, v in of.items() if k != "class"})
                for name, of in described.items()}


def shapes_of(networks):
    """{key: shape} of the tensors of networks, as `save_weights` stores them: a shared one once."""
    found, seen = {}, set()
    for name, net in networks.items():
        for key, tensor in net.state_dict(keep_vars=True).items():
            if id(tensor) not in seen:
                found[f"{name}.{key}"] = tuple(tensor.shape)
            seen.add(id(tensor))
    return found


def rebuilt(shapes):
    """(description, networks without memory) for tensors of these shapes, all of them. ValueError.

    Nothing is allocated before every shape is known to be one of the file: a damaged number cannot
    ask for more memory than the file has bytes.
    """
    described = describe(shapes)
    networks = rebuild(described)
    found = shapes_of(networks)
    for key in sorted({*shapes, *found}):
        if shapes.get(key) != found.get(key):
            raise ValueError(f"{key}: shape {shapes.get(key)}, expected {found.get(key)}")
    return described, networks


def digests(networks):
    """{name: digest of layers and settings}, as stored with the checkpoints of the course."""
    return {name: found for name, found in hyperparameters(nn.ModuleDict(networks)).items()
            if name in networks}
