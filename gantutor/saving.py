"""Files that are whole or not there: weights, training states, and what a state belongs to.

The ground floor: this module imports nothing of gantutor, and every other may import it.
"""

import hashlib
import inspect
import os
import random
import stat
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
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
    """`path` with ~ expanded and links followed: the file that a write really changes."""
    return Path(os.path.realpath(Path(path).expanduser()))


def atomically(path, write):
    """Calls write(temporary path), then moves the file into place: whole or not at all.

    A link stays a link: the file it points to is replaced. The file's mode is the old file's, or
    what the umask says. OSError where the folder cannot be written.
    """
    path = target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # two threads may save the same path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.touch()
        mode = stat.S_IMODE((path if path.exists() else temporary).stat().st_mode)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        with suppress(OSError):  # safetensors makes files for their owner alone; vfat has no modes
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path):
    """OSError naming `path` unless `atomically` could write it now. Makes missing folders."""
    where = target(path)
    try:
        if where.is_dir():
            raise IsADirectoryError("is a folder, expected a file")
        where.parent.mkdir(parents=True, exist_ok=True)
        probe = where.with_name(f".{where.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise type(error)(f"{path}: cannot be written ({error})") from None


# ------------------------------------------------------------------ weights


def save_weights(path, modules, metadata=None, half=False):
    """Writes the networks {"G_xy": net, ...} as one safetensors file with string `metadata`.

    `half` stores float16 (half the size, about 1e-3 relative precision). A tensor that several
    networks share is written once, under the first one's name. ValueError, and no file, where a
    weight is not finite (in float16: above 65,504).
    """
    named = {f"{name}.{key}": t for name, net in modules.items()
             for key, t in net.state_dict().items()}
    once = {t.data_ptr(): key for key, t in reversed(named.items())}
    tensors = {key: (t.half() if half and t.is_floating_point() else t).detach().cpu().clone()
               for key, t in named.items() if once[t.data_ptr()] == key}
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: not written, because {key} holds a number that is not finite"
                             + (" in float16" if half else ""))
    tensors = {key: t.contiguous() for key, t in tensors.items()}
    atomically(path, lambda temporary: save_file(tensors, temporary, metadata or {}))


def load_weights(path, modules):
    """Loads what `save_weights` wrote into the networks given; returns the metadata.

    All or nothing: FileNotFoundError, or ValueError naming the file and the key that is missing or
    misshapen, before the first network is changed. Networks of the file that are not asked for are
    left alone.
    """
    with _open_weights(path) as file:
        keys = set(file.keys())
        shared, found = set(), []  # shared: places in memory that an earlier network has filled
        for name, net in modules.items():
            own = net.state_dict()
            for key, tensor in own.items():
                place = tensor.data_ptr()
                if f"{name}.{key}" not in keys and place in shared:
                    continue
                shared.add(place)
                if f"{name}.{key}" not in keys:
                    raise ValueError(f"{path}: no tensor {name}.{key}")
                stored = file.get_tensor(f"{name}.{key}")
                if stored.shape != tensor.shape:
                    raise ValueError(f"{path}: {name}.{key} has shape {tuple(stored.shape)}, "
                                     f"expected {tuple(tensor.shape)}")
                own[key] = stored.to(tensor.dtype)
            found.append((net, own))
        for net, own in found:
            net.load_state_dict(own)
        return file.metadata() or {}


def read_metadata(path):
    """The metadata of a safetensors file: a dict of strings."""
    with _open_weights(path) as file:
        return file.metadata() or {}


def _open_weights(path):
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        return safe_open(path, "pt")
    except Exception as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None


# ------------------------------------------------------------------ training states


def save_state(path, state):
    """Writes a training state of plain values, tensors and arrays, which `load_state` reads.

    TypeError, and no file, where a value is of another kind: the message says where it stands.
    """
    plain = _plain(state, "state")
    atomically(path, lambda temporary: torch.save(plain, temporary))


def load_state(path, version, device="cpu"):
    """What `save_state` wrote, its tensors on `device`. No code of the file is run.

    ValueError naming the file where it is no training state, or one of another `version`.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        found = state["gantutor"]
    except Exception as error:
        raise ValueError(f"{path}: not a gantutor training state ({error}); move it away to start "
                         "afresh") from None
    if found != version:
        raise ValueError(f"{path}: training state of version {found}, expected {version}; move it "
                         "away to start afresh")
    return _with_arrays(state)


ARRAY = "numpy array"  # how an array is stored: {ARRAY: tensor}


def _plain(value, where):
    """`value` with numpy's numbers as Python's and its arrays as tensors: safe to load again."""
    if isinstance(value, dict):
        return {_plain(k, where): _plain(v, f"{where}[{k!r}]") for k, v in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        items = [_plain(v, f"{where}[{k}]") for k, v in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {ARRAY: torch.from_numpy(np.array(value))}
    if value is None or isinstance(value, torch.Tensor | torch.Size | torch.dtype | torch.device
                                   | bool | int | float | complex | str | bytes):
        return value
    raise TypeError(f"{where}: {type(value).__name__} cannot be stored in a training state; "
                    "expected numbers, text, tensors, arrays of numbers, lists or dicts of them")


def _with_arrays(value):
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return value[ARRAY].cpu().numpy()
        return {k: _with_arrays(v) for k, v in value.items()}
    return type(value)(map(_with_arrays, value)) if type(value) in (list, tuple) else value


def to_cpu(value):
    """`value` with every tensor in its dicts and lists on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {k: to_cpu(v) for k, v in value.items()}
    return [to_cpu(v) for v in value] if isinstance(value, list) else value


# ------------------------------------------------------------------ whose state it is


def hyperparameters(method):
    """What a method was made with: {"class": name, "lambda_cyc": 10.0, ..., "G_xy": digest, ...}.

    The numbers are those constructor arguments (of its class and of the classes it extends) that
    the method keeps under their own names. Of each network it holds a digest of the layers, their
    settings and the shapes of their parameters, not of the weights.
    """
    found = {"class": type(method).__name__} | _settings(method)
    return found | {name: _architecture(net) for name, net in method.named_children()}


def _settings(module):
    """The plain constructor arguments that `module` keeps as attributes of the same name."""
    names = [name for kind in type(module).__mro__ if "__init__" in vars(kind)
             for name in inspect.signature(kind.__init__).parameters]
    held = vars(module)
    return {name: held[name] for name in dict.fromkeys(names)
            if isinstance(held.get(name), bool | int | float | str | tuple)}


def _architecture(net):
    text = "\n".join(f"{name} {type(module).__name__} {_settings(module)}"
                     for name, module in net.named_modules())
    shapes = "\n".join(f"{name} {tuple(p.shape)}" for name, p in net.named_parameters())
    return hashlib.blake2b(f"{text}\n{shapes}".encode(), digest_size=8).hexdigest()


# ------------------------------------------------------------------ randomness


def seed_everything(seed):
    """Seeds torch (all devices), numpy and `random`."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what a reader's own transforms draw from
    random.seed(seed)


def random_state():
    """The state of every random generator a run draws from, as plain tensors and lists."""
    name, keys, position, gauss, cached = np.random.get_state()  # noqa: NPY002
    return {"torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, gauss, cached],
            "python": random.getstate()}


def set_random_state(state):
    """Sets what `random_state` gave, its tensors on the CPU. Warns where the GPUs are fewer."""
    torch.set_rng_state(state["torch"])
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if here < len(state["cuda"]):
        warnings.warn(f"the state holds random generators of {len(state['cuda'])} GPUs, here are "
                      f"{here}: random numbers on a GPU will be others", stacklevel=2)
    for device, generator in enumerate(state["cuda"][:here]):
        torch.cuda.set_rng_state(generator, device)
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
