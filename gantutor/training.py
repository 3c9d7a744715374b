"""The loop: two players, step by step, saved whole and resumed bit for bit.

`fit` knows two players and nothing of the method: see `gantutor.methods` for what it calls.
"""

import os
import random
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is not finite. Attributes: step, player, name, value."""

    def __init__(self, step, player, name, value):
        super().__init__(
            f"step {step}: the {player}'s {name} is {value}. The weights are those of the last "
            "good step. Usual remedies: a lower learning rate, a smaller loss weight, no mixed "
            "precision.")
        self.step, self.player, self.name, self.value = step, player, name, value


class History(dict):
    """Losses by name, "step" and "seconds": equally long lists, one entry every few steps.

    A term that joins during the run is NaN before that.
    """


def seed_everything(seed):
    """Seeds torch (all devices), numpy and `random`."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what a reader's own transforms draw from
    random.seed(seed)


def linear_decay(step, steps, decay_from=0.5):
    """Factor on the learning rate at `step` of `steps`: 1, then down to (almost) 0.

    Constant for the first `decay_from` of the run, then linear; above 0 as long as a step
    remains. A function of the step alone, so a resumed run cannot get it wrong.
    """
    start = decay_from * steps
    return 1.0 if step < start else (steps - step) / (steps - start)


def _parameters(networks):
    """Every parameter once: shared layers listed twice would be stepped twice."""
    return list({id(p): p for net in networks for p in net.parameters()}.values())


# ------------------------------------------------------------ saving, whole


def atomically(path, write):
    """Calls write(temporary path), then moves the file into place: whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # safetensors makes files that only their owner can read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_weights(path, modules, metadata=None, half=False):
    """Writes the networks {"G_xy": net, ...} as one safetensors file with string `metadata`.

    `half` stores float16 (half the size, about 1e-3 relative precision). A tensor that several
    networks share is written once, under the first one's name.
    """
    named = {f"{name}.{key}": t for name, net in modules.items()
             for key, t in net.state_dict().items()}
    once = {t.data_ptr(): key for key, t in reversed(named.items())}
    tensors = {key: (t.half() if half and t.is_floating_point() else t).detach().cpu().clone()
               for key, t in named.items() if once[t.data_ptr()] == key}
    tensors = {key: t.contiguous() for key, t in tensors.items()}
    atomically(path, lambda temporary: save_file(tensors, temporary, metadata or {}))


def load_weights(path, modules):
    """Loads what `save_weights` wrote into the networks given; returns the metadata.

    FileNotFoundError, or ValueError naming the file and the key that is missing or misshapen.
    Networks of the file that are not asked for are left alone.
    """
    with _open_weights(path) as file:
        keys = set(file.keys())
        shared = set()  # places in memory that an earlier network has filled
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
            net.load_state_dict(own)
        return file.metadata() or {}


def read_metadata(path):
    """The metadata of a safetensors file: a dict of strings."""
    with _open_weights(path) as file:
        return file.metadata() or {}


def _open_weights(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        return safe_open(path, "pt")
    except Exception as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None


def random_state():
    """The state of every random generator a run draws from, as plain tensors and lists."""
    name, keys, position, gauss, cached = np.random.get_state()  # noqa: NPY002
    return {"torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, gauss, cached],
            "python": random.getstate()}


def set_random_state(state):
    """Sets what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


# ----------------------------------------------------------------- the loop


class _Run:
    """Everything a training state holds; `fit` owns one."""

    def __init__(self, method, data, settings, device):
        self.autocast, self.scaler = _precision(device, settings["amp"])
        generators, discriminators = method.players()
        self.method, self.data, self.settings, self.device = method, data, settings, device
        self.parameters = {"generator": _parameters(generators),
                           "discriminator": _parameters(discriminators)}
        rates = {"generator": settings["lr"], "discriminator": settings["lr_d"]}
        self.optimisers = {player: torch.optim.Adam(p, rates[player], tuple(settings["betas"]))
                           for player, p in self.parameters.items() if p}
        self.step, self.history, self.seconds = 0, History(step=[], seconds=[]), 0.0
        self.parts = {}  # the latest of both players: G may sit out the steps that are logged

    def save(self, path):
        state = {"gantutor": 1, "settings": self.settings, "step": self.step,
                 "seconds": self.seconds, "history": dict(self.history),
                 "parts": {name: float(value) for name, value in self.parts.items()},
                 "method": self.method.state_dict(), "data": self.data.state_dict(),
                 "optimisers": {k: o.state_dict() for k, o in self.optimisers.items()},
                 "scaler": self.scaler.state_dict(), "random": random_state()}
        atomically(path, lambda temporary: torch.save(state, temporary))

    def load(self, path):
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            version = state["gantutor"]
        except Exception as error:
            raise ValueError(f"{path}: not a gantutor training state ({error}); move it away to "
                             "start afresh") from None
        if version != 1:
            raise ValueError(f"{path}: training state of version {version}, expected 1")
        for name, value in self.settings.items():
            if state["settings"].get(name) != value:
                raise ValueError(f"{path}: was started with {name}={state['settings'].get(name)},"
                                 f" cannot go on with {name}={value}")
        try:
            self.method.load_state_dict(state["method"])
            self.data.load_state_dict(_to_cpu(state["data"]))
            for player, optimiser in self.optimisers.items():
                optimiser.load_state_dict(state["optimisers"][player])
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: the state of another method or other data ({error})"
                             ) from None
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.parts = state["step"], state["seconds"], state["parts"]
        self.history = History(state["history"])
        set_random_state(_to_cpu(state["random"]))


def _to_cpu(value):
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {k: _to_cpu(v) for k, v in value.items()}
    return [_to_cpu(v) for v in value] if isinstance(value, list) else value


def _play(run, player, batch, factor):
    """One optimiser step of one player; returns the named parts of its loss."""
    optimiser, parameters = run.optimisers[player], run.parameters[player]
    if player == "discriminator" and not run.settings["decay_d"]:
        factor = 1.0
    for group in optimiser.param_groups:
        group["lr"] = run.settings["lr" if player == "generator" else "lr_d"] * factor
    loss_of = getattr(run.method, f"{player}_loss")
    with run.autocast():
        total, parts = loss_of(batch)
    for name, value in {**parts, "total loss": total.detach()}.items():
        if not torch.isfinite(value):
            raise TrainingDiverged(run.step + 1, player, name, value.item())
    optimiser.zero_grad(set_to_none=True)
    scaler = run.scaler
    scaler.scale(total).backward()
    if scaler.is_enabled():  # its own guard skips a step with infinite gradients
        scaler.step(optimiser)
        scaler.update()
    else:
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(norm):
            raise TrainingDiverged(run.step + 1, player, "gradient norm", norm.item())
        optimiser.step()
    return parts


def _one_step(run):
    """G first, with D frozen (its weight gradients would be thrown away), then D."""
    settings = run.settings
    factor = linear_decay(run.step, settings["steps"], settings["decay_from"])
    batch = {k: v.to(run.device) for k, v in run.data.next_batch().items()}
    frozen = run.parameters["discriminator"]
    if run.step % settings["n_critic"] == 0:
        for p in frozen:
            p.requires_grad_(False)
        try:
            run.parts |= _play(run, "generator", batch, factor)
        finally:
            for p in frozen:
                p.requires_grad_(True)
    if frozen:
        run.parts |= _play(run, "discriminator", batch, factor)
    run.step += 1
    return len(next(iter(batch.values())))


@contextmanager
def _whole_step():
    """Ctrl-C waits for the end of the block: half a step cannot be resumed bit for bit."""
    if threading.current_thread() is not threading.main_thread():  # gets no Ctrl-C
        yield
        return
    asked = []
    usual = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual or signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt


def _call(callback, run):
    """A preview may draw random numbers (dropout); the run's own must not move with it."""
    state = random_state()
    callback(run.step, run.method, run.history)
    set_random_state(state)


def _precision(device, amp):
    """(autocast context, gradient scaler): bfloat16 where the device has it, else float16."""
    kind = torch.device(device).type
    native = kind == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    dtype = torch.bfloat16 if native else torch.float16
    scaler = torch.amp.GradScaler(kind, enabled=amp and dtype == torch.float16)
    return lambda: torch.autocast(kind, dtype, enabled=amp), scaler


def fit(method, data, steps, *, lr=1e-3, lr_d=None, betas=(0.5, 0.99), decay_from=0.5, decay_d=True,
        n_critic=1, device="cpu", amp=False, save_path=None, save_every=200, callback=None,
        callback_every=50, progress=True):
    """Trains `method` on `data` for `steps` steps and returns the `History` of its losses.

    method: see `gantutor.methods`; data: has next_batch() -> dict of tensors, state_dict() and
    load_state_dict(). One Adam for all generators (lr), one for all discriminators (lr_d, by
    default the same), both constant for `decay_from` of the run and then linear towards 0; with
    decay_d=False the discriminators' stays, so that they keep up to the end.
    n_critic: the generator plays in every n_critic-th step only, the first among them (the others
    are the discriminator's alone, which needs a method whose discriminator_loss translates anew).
    device, amp: where to run, and whether in mixed precision.

    save_path: a training state, written every `save_every` steps, at the end, when the run
    diverges (the last good weights) and when it is interrupted (at the end of that step); where
    the file exists already, training goes on from it, on the CPU bit for bit as if it had never
    stopped.
    callback(step, method, history) is called first, every `callback_every` steps, and at the end.

    Raises TrainingDiverged where a loss or gradient is not finite, before the step is taken;
    ValueError for a foreign state file or one started with other settings.
    """
    settings = {"steps": steps, "lr": lr, "lr_d": lr if lr_d is None else lr_d,
                "betas": list(betas), "decay_from": decay_from, "decay_d": decay_d,
                "n_critic": n_critic, "amp": amp}
    method.to(device).train()
    run = _Run(method, data, settings, device)
    if save_path is not None and Path(save_path).exists():
        run.load(save_path)
    bar = tqdm(total=steps, initial=run.step, disable=not progress, unit="step",
               mininterval=0.3, smoothing=0.1)
    if callback and run.step < steps:
        _call(callback, run)
    began, seconds_before, images = time.perf_counter(), run.seconds, 0
    try:
        while run.step < steps:
            with _whole_step():
                images += _one_step(run)
                run.seconds = seconds_before + time.perf_counter() - began
                if run.step % 10 == 0 or run.step == steps:
                    _log(run, bar, images / (time.perf_counter() - began))
                bar.update()
            if save_path is not None and (run.step % save_every == 0 or run.step == steps):
                run.save(save_path)
            if callback and (run.step % callback_every == 0 or run.step == steps):
                _call(callback, run)
    except (TrainingDiverged, KeyboardInterrupt):
        if save_path is not None:
            run.save(save_path)
        raise
    finally:
        bar.close()
    return run.history


def _log(run, bar, images_per_second):
    """Copies the losses to the host: every tenth step, because a copy waits for the GPU."""
    values = {name: float(value) for name, value in run.parts.items()}
    for name, value in {"step": run.step, "seconds": run.seconds, **values}.items():
        before = len(run.history["step"]) - 1  # a term that comes in late starts with blanks
        run.history.setdefault(name, [float("nan")] * before).append(value)
    shown = {name: f"{value:.3f}" for name, value in values.items()}
    bar.set_postfix(shown | {"images/s": f"{images_per_second:.0f}"}, refresh=False)
