"""A training run as a whole: everything that `fit` saves, loads, and undoes after half a step."""

import copy
import math
import operator
import warnings
from pathlib import Path

import torch

from gantutor.saving import (
    hyperparameters,
    load_state,
    random_state,
    save_state,
    set_random_state,
    to_cpu,
)

VERSION = 2  # of a training state
PRECISIONS = ("float32", "auto", "bfloat16", "float16")


class History(dict):
    """Losses by name, "step" and "seconds": equally long lists, one entry every few steps.

    A term that joins during the run is NaN before that. precision: what the networks computed in.
    """

    precision = "float32"


def native_bfloat16(device="cpu"):
    """Whether `device` computes in bfloat16 itself; emulated it is several times slower.

    Of a CPU Linux says so: AVX512_BF16 or AMX, or ARM's bf16. Where nobody says so, it is False.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    text = Path("/proc/cpuinfo")
    words = set(text.read_text().split()) if text.is_file() else set()
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def precision_of(device, precision):
    """(name of the type, autocast context); "auto" is bfloat16 where native, float16 on a GPU."""
    kind = torch.device(device).type
    if precision == "auto":
        precision = "bfloat16" if native_bfloat16(device) else (
            "float16" if kind == "cuda" else "float32")
    dtype = getattr(torch, precision)
    return precision, lambda: torch.autocast(kind, dtype, enabled=dtype != torch.float32)


def _parameters(networks):
    """Every parameter that may learn, once: shared layers listed twice would be stepped twice."""
    return list({id(p): p for net in networks for p in net.parameters()
                 if p.requires_grad}.values())


class Run:
    """Everything a training state holds; `fit` owns one."""

    def __init__(self, method, data, settings, device):
        self.method, self.data, self.settings, self.device = method, data, settings, device
        self.precision, self.autocast = precision_of(device, settings["precision"])
        generators, discriminators = method.players()
        self.parameters = {"generator": _parameters(generators),
                           "discriminator": _parameters(discriminators)}
        if not self.parameters["generator"]:
            raise ValueError("method: every parameter of its generators is frozen, nothing can "
                             "learn; `net.requires_grad_(True)` frees a network, and "
                             "`runs.load(name, frozen=False)` loads a method for fine-tuning")
        rates = {"generator": settings["lr"], "discriminator": settings["lr_d"]}
        self.optimisers = {player: torch.optim.Adam(p, rates[player], tuple(settings["betas"]))
                           for player, p in self.parameters.items() if p}
        # One scale a player: the gradients of one must not stop the other.
        self.scalers = {player: torch.amp.GradScaler(torch.device(device).type, enabled=(
            self.precision == "float16")) for player in self.optimisers}
        self.skipped = dict.fromkeys(self.optimisers, 0)
        self.step, self.history, self.seconds = 0, History(step=[], seconds=[]), 0.0
        self.history.precision = self.precision
        self.parts = {}  # the latest of both players: G may sit out the steps that are logged
        described = getattr(data, "fingerprint", lambda: {"class": type(data).__name__})
        self.belongs = {"": settings, "method.": hyperparameters(method), "data.": described()}
        self.belongs = {before + name: value for before, values in self.belongs.items()
                        for name, value in values.items()}

    def save(self, path):
        save_state(path, {
            "gantutor": VERSION, "belongs": self.belongs, "step": self.step,
            "seconds": self.seconds, "history": dict(self.history),
            "parts": {name: float(value) for name, value in self.parts.items()},
            "method": self.method.state_dict(), "data": self.data.state_dict(),
            "optimisers": {k: o.state_dict() for k, o in self.optimisers.items()},
            "scalers": {k: s.state_dict() for k, s in self.scalers.items()},
            "random": random_state()})

    def load(self, path, weights_only):
        """Goes on from a state, or from its weights alone. All or nothing: ValueError."""
        state = load_state(path, VERSION, self.device)
        if not weights_only:
            for name in self.belongs.keys() | state["belongs"].keys():
                before, now = (_comparable(b.get(name)) for b in (state["belongs"], self.belongs))
                if before != now:
                    raise ValueError(
                        f"{path}: was started with {name}={before}, cannot go on with {name}={now};"
                        ' give another save_path, or resume="weights" to start a new run from its '
                        "weights")
        before = copy.deepcopy(self.method.state_dict()), copy.deepcopy(self.data.state_dict())
        try:
            self.method.load_state_dict(state["method"])
            if not weights_only:
                self.data.load_state_dict(to_cpu(state["data"]))
                for player, optimiser in self.optimisers.items():
                    optimiser.load_state_dict(state["optimisers"][player])
        except Exception as error:
            self.method.load_state_dict(before[0])
            self.data.load_state_dict(before[1])
            raise ValueError(f"{path}: the state of another method or other data ({error})"
                             ) from None
        if weights_only:
            return
        for player, scaler in self.scalers.items():
            if bool(state["scalers"][player]) == scaler.is_enabled():
                scaler.load_state_dict(state["scalers"][player])
            else:
                warnings.warn(f"{path}: was saved where another precision is native, goes on in "
                              f"{self.precision}: not bit for bit", stacklevel=3)
        self.step, self.seconds, self.parts = state["step"], state["seconds"], state["parts"]
        self.history.update(state["history"])
        set_random_state(to_cpu(state["random"]))

    def keep(self):
        """What half a step can change, so that `undo` makes the last whole step again."""
        adam = self.optimisers["generator"].state
        tensors = [*self.parameters["generator"], *self.method.buffers()]
        self.kept = {"tensors": [(t, t.detach().clone()) for t in tensors],
                     "adam": {p: {k: v.clone() for k, v in s.items()} for p, s in adam.items()},
                     "pools": [(m, m.get_extra_state()) for m in self.method.modules()
                               if type(m).get_extra_state is not torch.nn.Module.get_extra_state],
                     "data": self.data.state_dict(), "random": random_state(),
                     "parts": dict(self.parts)}

    def undo(self):
        with torch.no_grad():
            for tensor, before in self.kept["tensors"]:
                tensor.copy_(before)
        adam = self.optimisers["generator"].state
        adam.clear()
        adam.update(self.kept["adam"])
        for module, state in self.kept["pools"]:
            module.set_extra_state(state)
        self.data.load_state_dict(self.kept["data"])
        set_random_state(self.kept["random"])
        self.parts = self.kept["parts"]


def _comparable(value):
    return list(value) if isinstance(value, tuple) else value


# ----------------------------------------------------------------- arguments


def checked_settings(steps, lr, lr_d, betas, decay_from, decay_d, n_critic, precision):
    """`fit`'s settings as plain numbers, which a training state can hold. ValueError."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"betas={betas!r}: expected two numbers of at least 0 and below 1")
    return {"steps": whole_number("steps", steps, 0), "lr": _number("lr", lr),
            "lr_d": _number("lr_d", lr_d),
            "betas": [_number("betas", beta, most=1 - 1e-9) for beta in betas],
            "decay_from": _number("decay_from", decay_from, most=1), "decay_d": bool(decay_d),
            "n_critic": whole_number("n_critic", n_critic, 1), "precision": precision}


def whole_number(name, value, least):
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or isinstance(value, bool) or found < least:
        raise ValueError(f"{name}={value!r}: expected a whole number of at least {least}")
    return found


def _number(name, value, most=math.inf):
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not (0 <= found <= most and math.isfinite(found)):
        above = "" if most == math.inf else f" and at most {most:.0f}"
        raise ValueError(f"{name}={value!r}: expected a number of at least 0{above}")
    return found
