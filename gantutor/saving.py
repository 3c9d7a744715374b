"""Atomic files (complete or absent): weights, training states, and what a state belongs to.

This module imports nothing of gantutor. Every other module may import it.
"""

import hashlib
import inspect
import os
import random
import stat
import threading
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file


def data_folder():
    """The folder with the packs: ``data/`` of the checkout, or the copy inside the wheel."""
    for folder in (Path(__file__).parent.parent / "data", Path(__file__).parent / "_data"):
        if (folder / "sha256.json").is_file():
            return folder
    raise FileNotFoundError(f"no data packs beside {Path(__file__).parent}: expected "
                            "data/sha256.json (a checkout has it, and so has the wheel)")


# ------------------------------------------------------------------ whole files


def target(path):
    """`path` with ~ expanded and links followed: the file that a write changes."""
    return Path(os.path.realpath(Path(path).expanduser()))


def _temporary(place):
    """A name beside `place` that no other process and no other thread writes to."""
    return place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}.tmp")


def atomically(path, write):
    """Calls write(temporary path), then moves the file into place: whole or not at all.

    A link stays a link: the file it points to is replaced. The new file keeps the old file's mode;
    without an old file the umask decides. OSError that names `path` where the system refuses: no
    space, no permission. Then the old file is still there.
    """
    place = target(path)
    temporary = _temporary(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = stat.S_IMODE((place if place.exists() else temporary).stat().st_mode)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        with suppress(OSError):  # safetensors: mode 600; vfat has no modes
            os.chmod(temporary, mode)
        os.replace(temporary, place)
    except Exception as error:
        number = getattr(error, "errno", None)
        if number or isinstance(error, SafetensorError):
            said = f"{path}: cannot be written ({getattr(error, 'strerror', error)})"
            raise OSError(*filter(None, (number, said))) from None
        error.add_note(f"while writing {path}")
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def require_writable(path):
    """OSError naming `path` unless `atomically` could write it now. Makes missing folders."""
    place = target(path)
    try:
        if place.exists() and not place.is_file():
            kind = IsADirectoryError if place.is_dir() else OSError
            raise kind("there is a folder or a device of that name, expected a file")
        place.parent.mkdir(parents=True, exist_ok=True)
        _temporary(place).touch()
        _temporary(place).unlink()
    except OSError as error:
        raise type(error)(f"{path}: cannot be written ({error})") from None


# ------------------------------------------------------------------ weights


def _tensors(modules):
    """(key, tensor, place in memory) of every tensor. Networks that share one share its place."""
    for name, net in modules.items():
        for key, t in net.state_dict().items():
            if isinstance(t, torch.Tensor):
                yield f"{name}.{key}", t, (t.data_ptr(), t.shape, t.stride())


def save_weights(path, modules, metadata=None, half=False):
    """Writes the networks {"G_xy": net, ...} as one safetensors file with string `metadata`.

    `half` stores float16 (half the size, about 1e-3 relative precision). A tensor that several
    networks share is written once, under the first one's name. ValueError, and no file, where a
    weight is not finite (in float16: above 65,504).
    """
    stored, places = {}, set()
    for key, tensor, place in _tensors(modules):
        if place not in places:
            places.add(place)
            tensor = tensor.half() if half and tensor.is_floating_point() else tensor
            stored[key] = tensor.cpu().clone(memory_format=torch.contiguous_format)
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{path}: not written, because {key} holds a number that is not "
                                 f"finite{' in float16' if half else ''}")
    atomically(path, lambda temporary: save_file(stored, temporary, metadata or {}))


def load_weights(path, modules):
    """Loads what `save_weights` wrote into the networks given; returns the metadata.

    FileNotFoundError, or ValueError naming the file and the key that is missing or has another
    shape. On an error no network is changed. Networks of the file that are not asked for are
    ignored.
    """
    with _open_weights(path) as file:
        keys, places, found = set(file.keys()), set(), []
        for key, tensor, place in _tensors(modules):
            if key in keys:
                found.append((tensor, file.get_tensor(key)))
                if found[-1][1].shape != tensor.shape:
                    raise ValueError(f"{path}: {key} has shape {tuple(found[-1][1].shape)}, "
                                     f"expected {tuple(tensor.shape)}")
            elif place not in places:  # no earlier network has filled it
                raise ValueError(f"{path}: no tensor {key}")
            places.add(place)
        with torch.no_grad():
            for tensor, stored in found:
                tensor.copy_(stored)
        return file.metadata() or {}


def read_metadata(path):
    """The metadata of a safetensors file: a dict of strings."""
    with _open_weights(path) as file:
        return file.metadata() or {}


def _open_weights(path):
    if not target(path).is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        return safe_open(target(path), "pt")
    except Exception as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None


# ------------------------------------------------------------------ training states

ARRAY = "numpy array"  # an array is stored as {ARRAY: tensor}


def save_state(path, state):
    """Writes a training state, which `load_state` reads. TypeError as `plain`, and no file."""
    stored = plain(state)

    def write(temporary):
        with open(temporary, "wb") as file:
            try:
                torch.save(stored, file)
            except RuntimeError as error:  # torch's own, which does not say that the disk is full
                cause = error.__context__
                raise cause if isinstance(cause, OSError) else error from None

    atomically(path, write)


def load_state(path, version):
    """What `save_state` wrote, its tensors on the CPU. No code of the file is run.

    FileNotFoundError; ValueError where it is no training state, or one of another `version`.
    """
    if not target(path).exists():
        raise FileNotFoundError(f"{path}: no such training state")
    try:
        with zipfile.ZipFile(target(path)) as file:  # torch does not compare the checksums
            if damaged := file.testzip():
                raise ValueError(f"{damaged} is damaged")
        state = torch.load(target(path), map_location="cpu", weights_only=True)
        if state["gantutor"] != version:
            raise ValueError(f"version {state['gantutor']}, expected {version}")
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a gantutor training state ({reason}); move it away to start "
                         "afresh") from None
    return _with_arrays(state)


def plain(value, where="state"):
    """`value` in types that can be read again: Python's numbers, text, dicts, lists, and tensors.

    numpy's numbers and arrays are converted; `load_state` makes arrays again. TypeError that says
    where a value of another type stands.
    """
    if isinstance(value, dict):
        return {plain(k, where): plain(v, f"{where}[{k!r}]") for k, v in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(v, f"{where}[{k}]") for k, v in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, torch.Tensor):
        return value.detach().as_subclass(torch.Tensor)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        with suppress(TypeError):  # torch has no long double
            return {ARRAY: torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))}
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return "".join(value)  # also of a class derived from str
    for kind in (bool, int, float, complex, bytes):
        if isinstance(value, kind):
            return kind(value)
    if value is None or isinstance(value, torch.dtype | torch.device):
        return value
    raise TypeError(f"{where}: {type(value).__name__} cannot be stored in a training state; "
                    "expected numbers, text, tensors, arrays of numbers, lists or dicts of them")


def _with_arrays(value):
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return value[ARRAY].numpy()
        return {k: _with_arrays(v) for k, v in value.items()}
    return type(value)(map(_with_arrays, value)) if type(value) in (list, tuple) else value


# ------------------------------------------------------------------ whose state it is


def hyperparameters(method):
    """What a method was made with: {"class": name, "lambda_cyc": 10.0, ..., "G_xy": digest, ...}.

    The numbers are the constructor arguments (also those of its base classes) that the method
    stores under the same names. Of each network there is a digest of the layers, their settings
    and the shapes of their parameters, not of the weights.
    """
    found = {"class": type(method).__name__} | settings_of(method)
    return found | {name: _architecture(net) for name, net in method.named_children()}


def settings_of(thing):
    """The constructor arguments that `thing` keeps as attributes of the same name, as plain values.

    None and networks are left out. Arrays become a digest, functions and objects their name.
    """
    names = [name for kind in type(thing).__mro__ if "__init__" in vars(kind)
             for name in inspect.signature(kind.__init__).parameters]
    return {name: _setting(vars(thing)[name]) for name in dict.fromkeys(names)
            if getattr(thing, "__dict__", {}).get(name) is not None}


def _setting(value):
    if isinstance(value, list | tuple):
        return tuple(map(_setting, value))
    if isinstance(value, dict):
        return {str(k): _setting(v) for k, v in value.items()}
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else _digest(
            repr(value.shape).encode() + value.tobytes())
    if isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__name__", type(value).__name__)


def _architecture(net):
    text = "\n".join(f"{name} {type(module).__name__} {settings_of(module)}"
                     for name, module in net.named_modules())
    shapes = "\n".join(f"{name} {tuple(p.shape)}" for name, p in net.named_parameters())
    return _digest(f"{text}\n{shapes}".encode())


def _digest(data):
    return hashlib.blake2b(data, digest_size=8).hexdigest()


# ------------------------------------------------------------------ randomness


def seed_everything(seed):
    """Seeds torch (all devices), numpy and `random`."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what a reader's own transforms draw from
    random.seed(seed)


def random_state():
    """The state of every random generator that a run draws from."""
    return {"torch": torch.get_rng_state(), "numpy": np.random.get_state(),  # noqa: NPY002
            "python": random.getstate(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def set_random_state(state):
    """Sets what `random_state` gave. Warns where the state knows more GPUs than there are."""
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if here < len(state["cuda"]):
        warnings.warn(f"the state holds random generators of {len(state['cuda'])} GPUs, here are "
                      f"{here}: random numbers on a GPU will be others", stacklevel=2)
    for device, generator in enumerate(state["cuda"][:here]):
        torch.cuda.set_rng_state(generator, device)
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    random.setstate(state["python"])
