"""A training run as a whole: its settings, and everything that `fit` saves, loads and undoes."""

import copy
import math
import operator
import warnings
from pathlib import Path

import torch

from gantutor import parallel
from gantutor.saving import (
    hyperparameters,
    load_state,
    random_state,
    save_state,
    set_random_state,
    settings_of,
)

VERSION = 2  # of a training state
PRECISIONS = ("float32", "auto", "bfloat16", "float16")
CPUINFO = Path("/proc/cpuinfo")


class History(dict):
    """Losses by name, "step" and "seconds": equally long lists, one entry every few steps.

    A term that starts during the run is NaN before that. precision: the networks' number type.
    """

    precision = "float32"


def native_bfloat16(device="cpu"):
    """Whether `device` computes in bfloat16 itself. Where it does not, bfloat16 is slow.

    Linux lists what a CPU can do: AVX512_BF16 or AMX on x86, bf16 on ARM. Elsewhere it is False.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    words = set(CPUINFO.read_text().split()) if kind == "cpu" and CPUINFO.is_file() else set()
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def precision_of(device, precision):
    """(name of the type, autocast context); "auto" is bfloat16 where native, float16 on a GPU."""
    kind = torch.device(device).type
    if precision == "auto":
        precision = "bfloat16" if native_bfloat16(device) else (
            "float16" if kind == "cuda" else "float32")
    dtype = getattr(torch, precision)
    return precision, lambda: torch.autocast(kind, dtype, enabled=dtype != torch.float32)


# ----------------------------------------------------------------- the run


class Run:
    """One training run. `half`: a step has begun and is not finished.

    every: after how many steps the numbers of `watch` are looked at. On a GPU a look waits until
    all that was asked for is done, so there it is 10. graphs: the `graphs.Graphs` that plays the
    steps, or None. adam: how Adam is made for it.
    """

    def __init__(self, method, data, settings, device, adam=None):
        self.method, self.data, self.settings, self.device = method, data, settings, device
        self.precision, self.autocast = precision_of(device, settings["precision"])
        self.parameters = dict(zip(("generator", "discriminator"),
                                   map(_parameters, method.players()), strict=True))
        if not self.parameters["generator"]:
            raise ValueError("method: every parameter of its generators is frozen, nothing can "
                             "learn; `net.requires_grad_(True)` frees a network, and "
                             "`runs.load(name, frozen=False)` loads a method for fine-tuning")
        rates = {"generator": settings["lr"], "discriminator": settings["lr_d"]}
        if adam:  # a recorded step reads the rate on the device
            rates = {player: torch.tensor(rate, device=device) for player, rate in rates.items()}
        self.optimisers = {player: torch.optim.Adam(p, rates[player], tuple(settings["betas"]),
                                                    **(adam or {}))
                           for player, p in self.parameters.items() if p}
        self.graphs = None
        # One scale per player: the gradients of one must not stop the other.
        self.scalers = {player: torch.amp.GradScaler(torch.device(device).type, enabled=(
            self.precision == "float16")) for player in self.optimisers}
        self.skipped = dict.fromkeys(self.optimisers, 0)  # how many steps in a row
        self.step, self.seconds, self.half = 0, 0.0, False
        self.every, self.watched = 1 if torch.device(device).type == "cpu" else 10, []
        self.history = History(step=[], seconds=[])
        self.history.precision = self.precision
        self.parts = {}  # the latest of both players: G may not train in the logged steps
        self.belongs = {}  # `fingerprint(run)`, where the run is saved

    def state(self):
        """Everything that a step changes, and what the run belongs to. Tensors are not copied."""
        return {"gantutor": VERSION, "belongs": self.belongs, "precision": self.precision,
                "step": self.step, "seconds": self.seconds, "parts": self.parts,
                "history": {name: list(values) for name, values in self.history.items()},
                "skipped": dict(self.skipped),
                "method": self.method.state_dict(), "data": self.data.state_dict(),
                "optimisers": {k: o.state_dict() for k, o in self.optimisers.items()},
                "scalers": {k: s.state_dict() for k, s in self.scalers.items()},
                "random": random_state()}

    def restore(self, state):
        """Sets everything to what `state()` gave."""
        self.method.load_state_dict(state["method"])
        self.data.load_state_dict(state["data"])
        for player, optimiser in self.optimisers.items():
            _load_adam(optimiser, state["optimisers"][player])
            if state["precision"] == self.precision:
                self.scalers[player].load_state_dict(state["scalers"][player])
        self.step, self.seconds, self.parts = state["step"], state["seconds"], state["parts"]
        self.skipped = dict(state["skipped"])
        self.history.clear()
        self.history.update(state["history"])
        set_random_state(state["random"])
        if self.graphs:
            self.graphs.forget()

    def rate(self, player, factor):
        """Sets a player's learning rate for this step: `factor` times its own."""
        rate = self.settings["lr" if player == "generator" else "lr_d"] * factor
        for group in self.optimisers[player].param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def watch(self, player, numbers):
        """Remembers {name: a number or a tensor of one} of this step for `first_bad`."""
        self.watched += [(self.step + 1, player, name, value) for name, value in numbers.items()]

    def first_bad(self):
        """(step, player, name, value) of the first watched number that is not finite, or None."""
        values = [torch.as_tensor(value, dtype=torch.float32, device=self.device).detach()
                  for *_, value in self.watched]
        if not values:
            return None
        values = torch.stack(values).tolist()
        return next(((*named[:3], value) for named, value in zip(self.watched, values, strict=True)
                     if not math.isfinite(value)), None)

    def begin(self):
        """Begins a step. Keeps a copy of everything that it changes, if all before it is finite."""
        if self.watched:
            self.half = True
            return
        self.half, state = False, self.state()
        copies = {name: _cloned(state[name]) for name in ("method", "optimisers")}
        self.kept = state | copies | {"data": copy.deepcopy(state["data"])}
        self.half = True

    def undo(self):
        """Goes back to the last whole step that was found finite."""
        self.restore(self.kept)
        self.half, self.watched = False, []

    def save(self, path):
        """Writes the run as it stands. ValueError, and no file, where a weight is not finite.

        Of many processes, which all stand alike, the first writes.
        """
        for name, parameter in self.method.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ValueError(f"{path}: not written, because {name} is not finite")
        if not parallel.rank():
            save_state(path, self.state())

    def load(self, path, weights_only):
        """Continues from a state, or only from its weights. On a ValueError nothing is changed."""
        state = parallel.from_first(lambda: load_state(path, VERSION))
        before, now = state.get("belongs", {}), self.belongs
        for name in () if weights_only else {**now, **before}:
            if before.get(name) != now.get(name):
                raise ValueError(f"{path}: was started with {name}={before.get(name)}, cannot go "
                                 f"on with {name}={now.get(name)}; give another save_path, or "
                                 'resume="weights" to start a new run from its weights')
        self.begin()
        try:
            if weights_only:  # without the pools, which hold pictures of the other run
                found = {k: v for k, v in state["method"].items() if not k.endswith("extra_state")}
                state = self.kept | {"method": self.kept["method"] | found}
            self.restore(state)
        except Exception as error:
            self.undo()
            raise ValueError(f"{path}: the state of another method or other data ({error})"
                             ) from None
        self.half = False
        if state["precision"] != self.precision:
            warnings.warn(f"{path}: was saved in {state['precision']}, goes on in "
                          f"{self.precision}, and not bit for bit", stacklevel=3)


def _load_adam(optimiser, state):
    """Loads Adam's averages. How it is made (for CUDA graphs or not) stays as it is here."""
    groups = [saved | {k: v for k, v in own.items() if k != "params"} for saved, own in
              zip(state["param_groups"], optimiser.param_groups, strict=True)]
    optimiser.load_state_dict({"state": state["state"], "param_groups": groups})


def _parameters(networks):
    """Every trainable parameter once. A shared layer listed twice would be updated twice."""
    return list({id(p): p for net in networks for p in net.parameters()
                 if p.requires_grad}.values())


def _cloned(value):
    """A copy of a state. Tensors in lists (a pool's pictures) are shared, since none is changed."""
    if isinstance(value, dict):
        return {k: _cloned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [v if isinstance(v, torch.Tensor) else _cloned(v) for v in value]
    return value.clone() if isinstance(value, torch.Tensor) else value


def fingerprint(run):
    """What a resumed run must match: settings, method, frozen parts, data. {name: plain value}."""
    method, data = run.method, run.data
    if hasattr(data, "fingerprint"):
        described = data.fingerprint()
    else:  # a reader's own batches: their constructor arguments, without what a step changes
        moving = data.state_dict().keys()
        described = {"class": type(data).__name__} | {
            k: v for k, v in settings_of(data).items() if k not in moving}
    frozen = [name for name, p in method.named_parameters() if not p.requires_grad]
    return (run.settings | {"frozen": frozen}
            | {f"method.{k}": v for k, v in hyperparameters(method).items()}
            | {f"data.{k}": v for k, v in described.items()})


# ----------------------------------------------------------------- arguments


def checked_settings(steps, lr, lr_d, betas, decay_from, decay_d, n_critic, precision):
    """`fit`'s settings as plain numbers, which a training state can hold. ValueError."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    if not _is_truth(decay_d):
        raise ValueError(f"decay_d={decay_d!r}: expected True or False")
    try:
        first, second = betas
    except Exception:
        raise ValueError(f"betas={betas!r}: expected two numbers") from None
    return {"steps": whole_number("steps", steps, 0), "lr": _number("lr", lr),
            "lr_d": _number("lr_d", lr_d),
            "betas": [_number("betas", beta, " and below 1", lambda found: found < 1)
                      for beta in (first, second)],
            "decay_from": _number("decay_from", decay_from, " and at most 1", lambda d: d <= 1),
            "decay_d": bool(decay_d), "n_critic": whole_number("n_critic", n_critic, 1),
            "precision": precision}


def whole_number(name, value, least):
    """`value` as an int. ValueError naming the argument where it is none, or below `least`."""
    try:
        found = None if _is_truth(value) else operator.index(value)
    except Exception:
        found = None
    if found is None or found < least:
        raise ValueError(f"{name}={value!r}: expected a whole number of at least {least}")
    return found


def _number(name, value, limit="", allowed=lambda found: found < math.inf):
    try:
        found = math.nan if _is_truth(value) or isinstance(value, str) else float(value)
    except Exception:
        found = math.nan
    if not (found >= 0 and allowed(found)):
        raise ValueError(f"{name}={value!r}: expected a number of at least 0{limit}")
    return found


def _is_truth(value):
    """Whether it is a bool of Python, numpy or torch. `fit` does not take a bool as a number."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
