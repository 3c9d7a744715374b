"""The loop: killed anywhere it resumes bit for bit; two players; saves whole or not at all."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gantutor import training
from gantutor.data import Unpaired
from gantutor.methods.direct import Direct
from gantutor.training import (
    TrainingDiverged,
    fit,
    linear_decay,
    load_weights,
    read_metadata,
    save_weights,
    seed_everything,
)

ROOT = Path(__file__).parent.parent
STEPS = 60


class Toy(Direct):
    """Two small players with everything that a state can lose: dropout, a pool, two Adams."""

    def __init__(self, width=4):
        G_xy = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Dropout(0.3),
                             nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())
        D_y = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
                            nn.Conv2d(width, 1, 3))
        super().__init__(G_xy, D_y, pool_size=6)


def toy(seed=0, **settings):
    """(method, data): 8x8 images, epochs of 5 and 7 batches."""
    seed_everything(seed)
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randint(0, 256, (n, 3, 8, 8), generator=generator).to(torch.uint8)
            for n in (20, 28))
    return Toy(**settings), Unpaired(x, y, batch_size=4, seed=seed, flip=True)


def toy_fit(path=None, method=None, data=None, **settings):
    if method is None:
        method, data = toy()
    history = fit(method, data, settings.pop("steps", STEPS), save_path=path,
                  **{"save_every": 7, "progress": False, "decay_from": 0.3} | settings)
    return method, history


def weights(method):
    return {name: p.detach().clone() for name, p in method.named_parameters()}


def assert_same(a, b, where="state"):
    """Equal in structure, and torch.equal in every tensor; wall-clock seconds apart."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a.keys() - {"seconds"}:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for k, (u, v) in enumerate(zip(a, b, strict=True)):
            assert_same(u, v, f"{where}[{k}]")
    else:
        assert a == b, where


def saved(path):
    return torch.load(path, weights_only=True)


# ------------------------------------------------------- killed and resumed


def announce(word):
    """The child's side: says where it is, then waits there for its end."""
    print(word, flush=True)
    time.sleep(60)


def child(path, moment):
    """Runs in a process of its own, which is killed at `moment`."""
    torch.set_num_threads(1)
    method, data = toy()
    if moment == "in the middle of a step":  # G has stepped, D has not
        whole, calls = method.discriminator_loss, []

        def half(batch):
            calls.append(1)
            return announce("kill me") if len(calls) == 10 else whole(batch)

        method.discriminator_loss = half
    if moment == "half a state written":
        write = torch.save

        def torn(state, target):
            write(state, target)
            if state["step"] == 28:
                os.truncate(target, os.path.getsize(target) // 2)
                announce("kill me")

        training.torch.save = torn
    if moment == "written but not in place":
        move = os.replace

        def late(source, target):
            if saved(source)["step"] == 35:
                announce("kill me")
            move(source, target)

        training.os.replace = late

    def report(step, method, history):
        if moment == "any time" and step >= 45:
            print("kill me", flush=True)  # ... and runs on meanwhile

    toy_fit(path, method, data, callback=report, callback_every=1)
    print("done", flush=True)


def run_child(path, moment):
    """Starts `child` and, unless it is to finish, kills it with SIGKILL at its word."""
    code = f"import test_training as t; t.child({str(path)!r}, {moment!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    word = process.stdout.readline().strip()
    if moment != "none":
        process.send_signal(signal.SIGKILL)
    process.stdout.close()
    return word, process.wait(timeout=60)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_again_and_again_it_ends_bit_for_bit_like_a_run_never_stopped(tmp_path):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        toy_fit(straight)
    finally:
        torch.set_num_threads(threads)
    last_save = {"in the middle of a step": 7, "half a state written": 21,
                 "written but not in place": 28}
    for moment in [*last_save, "any time", "none"]:
        word, code = run_child(stopped, moment)
        if moment == "none":
            assert (word, code) == ("done", 0)
            break
        assert word == "kill me", moment
        assert code == (-signal.SIGKILL if moment in last_save else code), moment
        step = saved(stopped)["step"]  # readable and whole after every kill
        assert step == last_save.get(moment, step) and step % 7 in (0, STEPS % 7), moment
    assert saved(stopped)["step"] == STEPS
    assert_same(saved(straight), saved(stopped))


def test_ctrl_c_in_the_middle_of_a_step_saves_and_resumes_bit_for_bit(tmp_path):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight)
    method, data = toy()
    whole, calls = method.discriminator_loss, []

    def interrupted(batch):
        calls.append(1)
        if len(calls) == 10:
            signal.raise_signal(signal.SIGINT)
        return whole(batch)

    method.discriminator_loss = interrupted
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        toy_fit(stopped, method, data)
    assert signal.getsignal(signal.SIGINT) is handler
    assert saved(stopped)["step"] == 10  # neither the 7 of the last save nor half of a step
    toy_fit(stopped)
    assert_same(saved(straight), saved(stopped))


def test_ctrl_c_in_a_callback_saves(tmp_path):
    def callback(step, method, history):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_fit(tmp_path / "s.pt", callback=callback, callback_every=5)
    assert saved(tmp_path / "s.pt")["step"] == 5


def test_trains_in_another_thread():
    thread = threading.Thread(target=lambda: result.append(toy_fit(steps=3)[1]["step"]))
    result = []
    thread.start()
    thread.join()
    assert result == [[3]]


def test_a_preview_with_dropout_changes_nothing(tmp_path):
    def preview(step, method, history):
        method.translate(torch.zeros(1, 3, 8, 8))

    plain, watched = toy_fit()[0], toy_fit(callback=preview, callback_every=9)[0]
    assert_same(weights(plain), weights(watched))


def test_finished_run_returns_at_once(tmp_path):
    path = tmp_path / "s.pt"
    first, history = toy_fit(path)
    bytes_before = path.read_bytes()
    method, data = toy(seed=5)

    def never(batch):
        raise AssertionError("a finished run took another step")

    method.generator_loss = never
    _, again = toy_fit(path, method, data)
    assert_same(weights(first), weights(method))
    assert again == history and path.read_bytes() == bytes_before


def test_history_and_callbacks():
    steps = []
    _, history = toy_fit(steps=25, callback=lambda s, m, h: steps.append(s), callback_every=10)
    assert steps == [0, 10, 20, 25]
    assert history["step"] == [10, 20, 25]
    assert set(history) == {"step", "seconds", "G_xy", "D_y"}
    assert all(len(values) == 3 for values in history.values())
    assert all(isinstance(v, float) and math.isfinite(v) for v in history["D_y"])


# ------------------------------------------------------------- two players


def requires(net):
    return [p.requires_grad for p in net.parameters()]


def test_D_is_frozen_while_G_steps_and_G_first():
    method, data = toy()
    seen = []

    def watch(player, loss):
        def watched(batch):
            seen.append((player, any(requires(method.D_y))))
            return loss(batch)
        return watched

    method.generator_loss = watch("G", method.generator_loss)
    method.discriminator_loss = watch("D", method.discriminator_loss)
    toy_fit(method=method, data=data, steps=3)
    assert seen == [("G", False), ("D", True)] * 3
    assert all(requires(method.D_y)) and all(requires(method.G_xy))


def test_D_is_unfrozen_after_an_exception():
    method, data = toy()

    def broken(batch):
        raise RuntimeError("no")

    method.generator_loss = broken
    with pytest.raises(RuntimeError, match="^no$"):
        toy_fit(method=method, data=data)
    assert all(requires(method.D_y))


def test_each_player_moves_its_own_weights_alone():
    method, data = toy()
    before, grads = weights(method), []
    generator_loss = method.generator_loss

    def watched(batch):
        grads.append([p.grad for p in method.D_y.parameters()])
        return generator_loss(batch)

    method.generator_loss = watched
    toy_fit(method=method, data=data, steps=1, lr=0.0, lr_d=1e-2)
    after = weights(method)
    for name in before:
        assert torch.equal(before[name], after[name]) == name.startswith("G_xy"), name
    assert grads == [[None] * 4]


def test_no_discriminator_no_discriminator_step():
    class Alone(Toy):
        def players(self):
            return [self.G_xy], []

        def generator_loss(self, batch):
            loss = (self.G_xy(batch["x"]) - batch["y"]).abs().mean()
            return loss, {"L1": loss.detach()}

    _, data = toy()
    _, history = toy_fit(method=Alone(), data=data, steps=10)
    assert set(history) == {"step", "seconds", "L1"}


def test_shared_layers_are_stepped_once():
    shared = nn.Linear(2, 2)
    a, b = nn.Sequential(shared, nn.Linear(2, 3)), nn.Sequential(shared, nn.Linear(2, 4))
    parameters = training._parameters([a, b, a])
    assert len(parameters) == 6
    assert len({id(p) for p in parameters}) == 6

    class Shared(nn.Module):
        """Loss = sum of one weight through two "networks" that both own it."""

        def __init__(self):
            super().__init__()
            self.G_a, self.G_b = nn.Sequential(nn.Linear(1, 1, bias=False)), nn.Sequential()
            self.G_b.append(self.G_a[0])

        def players(self):
            return [self.G_a, self.G_b], []

        def generator_loss(self, batch):
            loss = self.G_a[0].weight.sum() + self.G_b[0].weight.sum()
            return loss, {"loss": loss.detach()}

    method = Shared()
    before = method.G_a[0].weight.item()
    fit(method, toy()[1], 1, lr=0.01, progress=False)
    # Adam's first step is lr whatever the gradient's size; twice in the list would be 2 lr
    assert before - method.G_a[0].weight.item() == pytest.approx(0.01, rel=1e-4)


def test_linear_decay_by_hand():
    factors = [linear_decay(step, 8, 0.5) for step in range(8)]
    assert factors == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [linear_decay(s, 4, 0.0) for s in range(4)] == [1, 0.75, 0.5, 0.25]
    assert [linear_decay(s, 3, 1.0) for s in range(3)] == [1, 1, 1]
    for steps in (1, 2, 3, 7, 600):
        for decay_from in (0, 0.3, 0.5, 0.99, 1):
            assert 0 < linear_decay(steps - 1, steps, decay_from) <= 1


def test_the_learning_rates_reach_both_optimisers(tmp_path, monkeypatch):
    seen = {"generator": [], "discriminator": []}
    play = training._play

    def watched(run, player, batch, factor):
        parts = play(run, player, batch, factor)
        seen[player].append(run.optimisers[player].param_groups[0]["lr"])
        return parts

    monkeypatch.setattr(training, "_play", watched)
    toy_fit(steps=4, lr=0.1, lr_d=0.2, decay_from=0.5)
    assert seen["generator"] == pytest.approx([0.1, 0.1, 0.1, 0.05])
    assert seen["discriminator"] == pytest.approx([0.2, 0.2, 0.2, 0.1])
    seen["generator"], seen["discriminator"] = [], []
    toy_fit(steps=4, lr=0.1, lr_d=0.2, decay_from=0.5, decay_d=False)
    assert seen["generator"] == pytest.approx([0.1, 0.1, 0.1, 0.05])
    assert seen["discriminator"] == pytest.approx([0.2] * 4)


def test_mixed_precision_on_the_cpu(tmp_path):
    method, data = toy()
    types, loss = [], method.generator_loss

    def watched(batch):
        result = loss(batch)
        types.append(method.fake_y.dtype)
        return result

    method.generator_loss = watched
    before = weights(method)
    toy_fit(tmp_path / "s.pt", method, data, steps=5, amp=True)
    assert set(types) == {torch.bfloat16}
    after = weights(method)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in after.values())
    assert not any(torch.equal(before[k], after[k]) for k in before)
    toy_fit(tmp_path / "s.pt", amp=True, steps=5)  # its state loads


# --------------------------------------------------------------- diverging


def diverging(player, kind, at=9):
    """A toy whose `player` has a loss or a gradient that is not finite from step `at` on."""
    method, data = toy()
    loss_of, calls = getattr(method, f"{player}_loss"), []
    net = method.G_xy if player == "generator" else method.D_y

    def bad(batch):
        total, parts = loss_of(batch)
        calls.append(weights(method))
        if len(calls) >= at and kind == "gradient norm":  # sqrt(0): value 0, gradient infinite
            total = total + (next(net.parameters()) * 0).abs().sum().sqrt()
        elif len(calls) >= at and kind == "total loss":
            total = total * math.inf
        elif len(calls) >= at:
            parts = {kind: torch.tensor(math.nan)} | parts
        return total, parts

    setattr(method, f"{player}_loss", bad)
    return method, data, calls


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("kind", ["some part", "total loss", "gradient norm"])
def test_divergence_is_caught_before_the_step(tmp_path, player, kind):
    method, data, calls = diverging(player, kind)
    path = tmp_path / "s.pt"
    with pytest.raises(TrainingDiverged, match=f"step 9.*{player}'s {kind}.*(nan|inf)") as caught:
        toy_fit(path, method, data)
    error = caught.value
    assert (error.step, error.player, error.name) == (9, player, kind)
    assert not math.isfinite(error.value)
    assert_same(weights(method), calls[-1])
    assert all(p.isfinite().all() for p in method.parameters())
    state = saved(path)
    assert state["step"] == 8
    for name, value in calls[-1].items():
        assert torch.equal(state["method"][name], value)


# ----------------------------------------------------------- training state


def test_state_needs_no_pickled_code(tmp_path):
    toy_fit(tmp_path / "s.pt", steps=10)
    state = torch.load(tmp_path / "s.pt", weights_only=True)
    assert state["step"] == 10 and len(state["method"]["pool_y._extra_state"]["images"]) == 6


@pytest.mark.parametrize("name, value", [
    ("steps", 50), ("lr", 0.5), ("lr_d", 0.5), ("betas", (0.9, 0.99)), ("decay_from", 0.7),
    ("decay_d", False), ("amp", True)])
def test_other_settings_are_refused_by_name(tmp_path, name, value):
    path = tmp_path / "s.pt"
    if not path.exists():
        toy_fit(path, steps=7)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"s.pt: was started with {name}="):
        toy_fit(path, **{"steps": 7} | {name: value})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["truncated", "text", "empty", "other", "pickle", "version"])
def test_a_damaged_or_foreign_state_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "s.pt"
    toy_fit(path, steps=7)
    if content == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif content == "other":
        torch.save({"model": torch.zeros(3)}, path)
    elif content == "pickle":
        torch.save({"gantutor": 1, "code": Unpaired}, path)
    elif content == "version":
        torch.save(saved(path) | {"gantutor": 2}, path)
    else:
        path.write_text("hello" if content == "text" else "")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"s\.pt: .*training state"):
        toy_fit(path, steps=7)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["s.pt"]


def test_the_state_of_another_method_is_refused(tmp_path):
    path = tmp_path / "s.pt"
    toy_fit(path, steps=7)
    with pytest.raises(ValueError, match=r"(?s)s\.pt: .*another method.*G_xy\.0\.weight"):
        toy_fit(path, *toy(width=5), steps=7)


# ------------------------------------------------------------------ weights


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))  # has an integer buffer too


def test_weights_round_trip(tmp_path):
    path, nets = tmp_path / "new" / "w.safetensors", {"G_xy": small_net(), "G_yx": small_net(1)}
    save_weights(path, nets, {"seed": "7"})
    fresh = {"G_xy": small_net(2), "G_yx": small_net(3)}
    assert load_weights(path, fresh) == {"seed": "7"} == read_metadata(path)
    for name in nets:
        assert_same(dict(nets[name].state_dict()), dict(fresh[name].state_dict()))
    alone = small_net(4)
    load_weights(path, {"G_yx": alone})  # the other network is left alone
    assert_same(dict(nets["G_yx"].state_dict()), dict(alone.state_dict()))
    assert os.listdir(path.parent) == ["w.safetensors"]


def test_half_precision(tmp_path):
    path, net, fresh = tmp_path / "w.safetensors", small_net(), small_net(1)
    save_weights(path, {"G": net}, half=True)
    stored = load_file(path)
    assert stored["G.0.weight"].dtype == torch.float16
    assert stored["G.1.num_batches_tracked"].dtype == torch.int64
    load_weights(path, {"G": fresh})
    assert fresh[0].weight.dtype == torch.float32
    assert torch.equal(fresh[0].weight, net[0].weight.half().float())
    assert net[0].weight.dtype == torch.float32  # saving leaves the network as it was


def test_weights_errors_name_file_and_key(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"w\.safetensors"):
        load_weights(path, {"G": small_net()})
    path.write_text("<!DOCTYPE html>")
    for read in (read_metadata, lambda p: load_weights(p, {"G": small_net()})):
        with pytest.raises(ValueError, match=r"w\.safetensors.*not a readable"):
            read(path)
    tensors = {f"G.{k}": v for k, v in small_net().state_dict().items()}
    save_file({k: v for k, v in tensors.items() if k != "G.0.bias"}, path)
    with pytest.raises(ValueError, match=r"w\.safetensors: no tensor G\.0\.bias"):
        load_weights(path, {"G": small_net()})
    save_file(tensors | {"G.0.weight": torch.zeros(4, 1, 3, 3)}, path)
    net, before = small_net(), small_net()
    with pytest.raises(ValueError, match=r"G\.0\.weight.*\(4, 1, 3, 3\).*\(4, 3, 3, 3\)"):
        load_weights(path, {"G": net})
    assert_same(dict(before.state_dict()), dict(net.state_dict()))  # not loaded by half


@pytest.mark.parametrize("what", ["state", "weights"])
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, what):
    path = tmp_path / "file"
    if what == "state":
        toy_fit(path, steps=7)
    else:
        save_weights(path, {"G": small_net()})
    before = path.read_bytes()

    def full(*arguments):
        target = next(a for a in arguments if isinstance(a, Path))
        target.write_bytes(b"half")
        raise OSError("No space left on device")

    if what == "state":
        monkeypatch.setattr(training.torch, "save", full)
        (before_path := tmp_path / "other").mkdir()
        with pytest.raises(OSError, match="No space left"):
            toy_fit(before_path / "file", steps=7)
        assert os.listdir(before_path) == []
        before_path.rmdir()
    monkeypatch.setattr(training, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(path, {"G": small_net(1)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["file"]
