"""The training loop for two players. A run can be saved, and resumed bit for bit.

`fit` knows only the interface that `gantutor.methods` describes, not the method itself.
"""

import math
import time

import torch
from tqdm.auto import tqdm

from gantutor import parallel
from gantutor.graphs import prepared
from gantutor.interrupts import alone, signals_wait, sigterm_exits
from gantutor.saving import plain, random_state, require_writable, set_random_state, target
from gantutor.state import checked_settings, fingerprint, whole_number

MOST_SKIPS = 20  # steps in a row that float16's scaler may skip before the run is stopped
PATIENCE = 5  # seconds that a signal waits for a stopped run to be saved


class TrainingDiverged(RuntimeError):
    """A loss, a gradient or a weight is not finite. Attributes: step, player, name, value, kept.

    kept: the step before, or on a GPU up to ten before. The weights are those after it.
    """

    def __init__(self, step, player, name, value, kept=None):
        kept = step - 1 if kept is None else kept
        super().__init__(
            f"step {step}: the {player}'s {name} is {value}. The weights are those after step "
            f"{kept}. Usual remedies: a lower learning rate, a smaller loss weight, float32. "
            'With a save_path, `fit(..., resume="weights")` goes on from these weights with other '
            "settings.")
        self.step, self.player, self.name, self.value = step, player, name, value
        self.kept = kept


def linear_decay(step, steps, decay_from=0.5):
    """Factor on the learning rate at `step` of `steps`: 1, then down to (almost) 0.

    Constant for the first `decay_from` (0 to 1) of the run, then linear, and above 0 in every
    step. It depends only on the step, so a resumed run gets the same factors.
    """
    start = decay_from * steps
    return 1.0 if step < start else (steps - step) / (steps - start)


# ----------------------------------------------------------------- one step


def _update(run, player, batch):
    """One optimiser step of one player; returns the named parts of its loss."""
    optimiser, parameters = run.optimisers[player], run.parameters[player]
    with run.autocast():
        total, parts = getattr(run.method, f"{player}_loss")(batch)
    optimiser.zero_grad(set_to_none=True)
    scaler, norm = run.scalers[player], torch.nn.utils.get_total_norm
    scaler.scale(total).backward()
    run.watch(player, {**parts, "total loss": total.detach()})
    parallel.average(parameters)
    if not scaler.is_enabled():
        gradients = [p.grad for p in parameters if p.grad is not None]
        run.watch(player, {"gradient norm": norm(gradients)})
    scale = scaler.get_scale()
    scaler.step(optimiser)  # float16 skips the step, and lowers the scale, for such a gradient
    scaler.update()
    run.skipped[player] = run.skipped[player] + 1 if scaler.get_scale() < scale else 0
    if run.skipped[player] >= MOST_SKIPS:
        run.watch(player, {f"gradient norm ({MOST_SKIPS} steps in a row)": math.nan})
    run.watch(player, {"weights' norm": norm([p.detach() for p in parameters])})
    return parts


def _play(run, player, batch):
    return run.graphs.play(player, batch) if run.graphs else _update(run, player, batch)


def _require_finite(run):
    """Looks at all that was watched. TrainingDiverged names the first that is not finite."""
    found = parallel.first(run.first_bad())
    if found:
        raise TrainingDiverged(*found, kept=run.kept["step"])
    run.watched = []


def _one_step(run):
    """Trains the generators with D frozen (its gradients are not needed), then trains D."""
    settings, method = run.settings, run.method
    discriminator = [p for p in run.parameters["discriminator"] if p.requires_grad]
    factor = linear_decay(run.step, settings["steps"], settings["decay_from"])
    for player in run.optimisers:
        decays = player == "generator" or settings["decay_d"]
        run.rate(player, factor if decays else 1.0)
    if hasattr(method, "progress"):  # for methods whose terms start late
        method.progress = run.step / settings["steps"]
    batch = run.data.next_batch()
    if not getattr(run.data, "divides", False):
        batch = {k: parallel.own_rows(v) for k, v in batch.items()}
    on_gpu = torch.device(run.device).type == "cuda"  # pinned memory: the host need not wait
    batch = {k: (v.pin_memory() if on_gpu and not v.is_cuda else v).to(
        run.device, non_blocking=on_gpu) for k, v in batch.items()}
    count = len(next(iter(batch.values()))) * parallel.count()
    if run.step % settings["n_critic"] == 0:
        for p in discriminator:
            p.requires_grad_(False)
        try:
            run.parts = run.parts | _play(run, "generator", batch)
        finally:
            for p in discriminator:
                p.requires_grad_(True)
    if discriminator:
        run.parts = run.parts | _play(run, "discriminator", batch)
    run.step += 1
    return count


def _train_mode(method):
    """Training mode, except for networks that are frozen as a whole: these are in eval mode."""
    method.train()
    for net in method.modules():
        parameters = list(net.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            net.eval()


def _call(callback, run):
    """Calls the callback. It may draw random numbers, so the random state is restored after it."""
    if parallel.rank():
        return  # process 0 alone talks
    state = random_state()
    try:
        callback(run.step, run.method, run.history)
    finally:
        with signals_wait():
            set_random_state(state)
            _train_mode(run.method)
            if run.graphs:
                run.graphs.forget_if_moved()


# ----------------------------------------------------------------- fit


def fit(method, data, steps, *, lr=1e-3, lr_d=None, betas=(0.5, 0.99), decay_from=0.5, decay_d=True,
        n_critic=1, device="cpu", precision="float32", save_path=None, save_every=200,
        resume="state", callback=None, callback_every=50, progress=True, graphs=False):
    """Trains `method` on `data` for `steps` steps and returns the `History` of its losses.

    After `gantutor.parallel.join` many processes do this together, each on its part of a batch.
    method: see `gantutor.methods`. Frozen parameters stay frozen. Networks that are frozen as a
    whole stay in eval mode. data: has next_batch() -> dict of tensors, state_dict() and
    load_state_dict(). Its fingerprint() -> dict, or else its constructor's arguments, identify it.
    lr, lr_d (None: lr), betas: Adam's rates for generators and discriminators, and its betas. The
    rates are constant for `decay_from` of the run, then fall linearly to 0 (not lr_d if
    decay_d=False). n_critic: discriminators train in every step, generators in every n_critic-th.
    device: where to run. precision: the number type of the networks, "float32", "bfloat16",
    "float16", or "auto" (bfloat16 if `device` has it natively, float16 on older GPUs, else
    float32). `History.precision` says what was used.
    save_path: file of the training state, written every `save_every` steps and at the end. If the
    run diverges, fails or is interrupted (Ctrl-C, SIGTERM), its last whole step is saved. If the
    file exists, training goes on from it. On the CPU the result is bit for bit that of an
    uninterrupted run.
    With resume="weights" a new run starts from the file's weights and overwrites the file. Its
    steps, learning rate and data may differ.
    graphs: on a GPU, record both players' steps as CUDA graphs, which spares small networks the
    wait for Python (`gantutor.graphs`). Where that cannot be done, a line says why.
    callback(step, method, history): called first, every `callback_every` steps, and at the end.

    Raises TrainingDiverged if a loss, a gradient or a weight is not finite; ValueError for an
    argument out of range, or a state that is not readable or has another method, data or settings;
    OSError if save_path cannot be written or another process trains into it; TypeError if
    data.state_dict() cannot be stored.
    """
    settings = checked_settings(steps, lr, lr if lr_d is None else lr_d, betas, decay_from, decay_d,
                                n_critic, precision)
    save_every, callback_every = (whole_number(name, value, 1) for name, value in (
        ("save_every", save_every), ("callback_every", callback_every)))
    if resume not in ("state", "weights") or (resume == "weights" and save_path is None):
        raise ValueError(f'resume={resume!r}: expected "state", or with a save_path "weights"')
    if save_path is not None:
        parallel.from_first(lambda: require_writable(save_path))
    with alone(None if parallel.rank() else save_path), sigterm_exits():
        run = prepared(method, data, settings, device, _update, graphs)
        if save_path is not None:
            _go_on(run, save_path, resume)
        _train_mode(method)
        quiet = not progress or parallel.rank() > 0
        with tqdm(total=settings["steps"], initial=run.step, disable=quiet, unit="step",
                  mininterval=0.3, smoothing=0.1) as bar:
            _loop(run, bar, save_path, save_every, callback, callback_every)
    return run.history


def _go_on(run, save_path, resume):
    """Loads what lies in save_path. What cannot be saved is found now, not at the first save."""
    run.belongs = fingerprint(run)
    plain(run.state())
    if resume == "weights" or parallel.from_first(lambda: target(save_path).exists()):
        run.load(save_path, weights_only=resume == "weights")
        if run.step == run.settings["steps"] and not parallel.rank():
            print(f"{save_path}: this run has finished all of its {run.step} steps; nothing "
                  'was trained. resume="weights" starts a new run from its weights.')


def _loop(run, bar, save_path, save_every, callback, callback_every):
    steps, saved, images = run.settings["steps"], run.step, 0
    began, before = time.perf_counter(), run.seconds
    try:
        if callback and run.step < steps:
            _call(callback, run)
        while run.step < steps:
            with signals_wait():
                run.begin()
                images += _one_step(run)
                if run.step == steps or not all(run.step % every for every in (
                        run.every, save_every, callback_every, 10)):
                    _require_finite(run)
                run.seconds = before + time.perf_counter() - began
                if run.step % 10 == 0 or run.step == steps:
                    _log(run, bar, images / (time.perf_counter() - began))
                run.half = False  # the step is whole
                bar.update()
            if save_path is not None and (run.step % save_every == 0 or run.step == steps):
                run.save(save_path)
                saved = run.step
            if callback and (run.step % callback_every == 0 or run.step == steps):
                _call(callback, run)
    except BaseException as error:
        with signals_wait(PATIENCE):
            _stop(run, save_path, saved, error)
        raise


def _stop(run, save_path, saved, error):
    """Goes back to the last whole step and saves it. If that fails, `error` gets a note."""
    if run.half or run.first_bad():
        run.undo()
    if save_path is not None and run.step > saved:
        try:
            run.save(save_path)
        except Exception as failure:
            error.add_note(f"{save_path}: step {run.step} could not be saved ({failure})")


def _log(run, bar, images_per_second):
    """Copies the losses to the host: every tenth step, because a copy waits for the GPU."""
    values = parallel.mean({name: float(value) for name, value in run.parts.items()})
    for name, value in {"step": run.step, "seconds": run.seconds, **values}.items():
        before = len(run.history["step"]) - 1  # a term that starts late is NaN before
        run.history.setdefault(name, [float("nan")] * before).append(value)
    # Four of them: more leave no room for the bar itself. The history has all.
    shown = {name: f"{value:.2f}" for name, value in list(values.items())[:4]}
    bar.set_postfix(shown | {"images/s": f"{images_per_second:.0f}"}, refresh=False)
