"""The weights that the authors of CycleGAN and StarGAN released, as models."""

import re
import warnings
import zipfile
from pathlib import Path

import torch

from gantutor.official import official_cyclegan_state, official_stargan_state
from gantutor.portable.model import Model, checked, device_of, require_finite
from gantutor.portable.shapes import network, rebuild

CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # StarGAN's released weights
RAFD = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")


def from_official(path, device="cpu"):
    """The `Model` of a generator that the authors of CycleGAN or of StarGAN released.

    path: CycleGAN's *.pth, such as horse2zebra.pth or latest_net_G_A.pth, or StarGAN's
    200000-G.ckpt. Width and blocks are read off the file. The way back is another file. The codes
    of StarGAN are CelebA's five or RaFD's eight, else numbers. FileNotFoundError; ValueError that
    names the file, for one that is damaged or of another kind. No code of it is run.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    try:
        if zipfile.is_zipfile(place):  # torch does not look at the check sums
            with zipfile.ZipFile(place) as archive:
                if (damaged := archive.testzip()) is not None:
                    raise ValueError(f"{damaged} in it is damaged")
        with warnings.catch_warnings():  # of the pickle's age
            warnings.simplefilter("ignore")
            state = torch.load(place, map_location="cpu", weights_only=True)
        if not (isinstance(state, dict) and state and all(
                isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items())):
            raise ValueError(f"a {type(state).__name__}, not a dict of tensors")
        described, state, about = _official(state)
        name = "G" if "codes" in described else "G_xy"
        checked(about, {name: described})
        (net,) = rebuild({name: described}).values()
        missing = {key for key, value in net.state_dict().items()
                   if tuple(state[key].shape) != tuple(value.shape)}
        if missing or set(state) != set(net.state_dict()):
            raise ValueError(f"tensors of another network: {sorted(missing)[:3]}")
        net = net.to_empty(device="cpu")
        net.load_state_dict(state)
        require_finite({name: net})
    except Exception as error:  # a damaged file makes torch.load raise nearly anything
        reason = str(error).strip('"').partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: no generator of CycleGAN's or StarGAN's authors ({reason})"
                         ) from None
    method = "StarGAN" if name == "G" else "CycleGAN"
    return Model(method, {name: net}, {name: described}, about, device_of(device))


def _official(state):
    """(description, state with our names, about) of an official generator's state dict."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if "main.0.weight" in plain:
        state = official_stargan_state(state)
        described = network({key: tuple(value.shape) for key, value in state.items()})
        names = {len(CELEBA): CELEBA, len(RAFD): RAFD}.get(described["codes"])
        about = {"size": 128, "official": "StarGAN"} | ({"codes": list(names)} if names else {})
        return described, state, about
    if "model.1.weight" not in plain:
        raise ValueError(f"its tensors are {', '.join(list(plain)[:3])}, ...")
    width, channels = plain["model.1.weight"].shape[:2]
    blocks = sum(bool(re.fullmatch(r"model\.\d+\.conv_block\.1\.weight", key)) for key in plain)
    described = {"class": "ResnetGenerator", "channels": channels, "width": width, "blocks": blocks}
    (net,) = rebuild({"G_xy": described}).values()
    return described, official_cyclegan_state(net, state), {"size": 256, "official": "CycleGAN"}
