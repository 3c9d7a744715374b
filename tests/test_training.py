"""The loop: killed anywhere it resumes bit for bit; two players; whole steps or none."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toys import (
    STEPS,
    Interrupt,
    Toy,
    assert_same,
    child,
    saved,
    stacks,
    stop_at,
    toy,
    toy_fit,
    weights,
)

from gantutor import runs, saving, state, training
from gantutor.data import Unpaired
from gantutor.training import TrainingDiverged, fit, linear_decay

# ------------------------------------------------------- killed and resumed


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """A shell starts background jobs with Ctrl-C ignored, and `fit` respects that."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def run_child(path, moment):
    """Runs `child` in a process of its own and, unless it is to finish, kills it at its word."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        sys.stdout = os.fdopen(write, "w")
        try:
            child(path, moment)
        finally:
            os._exit(0 if moment == "none" else 1)
    os.close(write)
    with os.fdopen(read) as words:
        word = words.readline().strip()
        if moment != "none":
            os.kill(process, signal.SIGKILL)
    return word, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork and no SIGKILL")
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


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt),
                                               (signal.SIGTERM, SystemExit)])
def test_a_signal_in_the_middle_of_a_step_saves_and_resumes_bit_for_bit(tmp_path, number, error):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight)
    method, data = toy()
    whole, calls = method.discriminator_loss, []

    def interrupted(batch):
        calls.append(1)
        if len(calls) == 10:
            signal.raise_signal(number)
        return whole(batch)

    method.discriminator_loss = interrupted
    handler = signal.getsignal(number)
    with pytest.raises(error) as stop:
        toy_fit(stopped, method, data)
    assert signal.getsignal(number) is handler
    assert getattr(stop.value, "code", 143) == 143
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


@pytest.mark.slow
def test_a_terminated_process_saves_and_says_so_in_its_exit_code(tmp_path):
    path = tmp_path / "s.pt"
    path_of_tests = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    script = ("import time; from toys import toy_fit\n"
              f"toy_fit({str(path)!r}, callback=lambda step, *_: step and (print(step, flush=True),"
              " time.sleep(60)), callback_every=5)")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": path_of_tests})
    assert process.stdout.readline() == "5\n"
    process.terminate()
    assert process.wait(30) == 143
    assert saved(path)["step"] == 5


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


def test_the_progress_bar_names_four_losses_and_has_room_for_itself(capsys):
    class Many(Toy):
        def generator_loss(self, batch):
            total, parts = super().generator_loss(batch)
            return total, parts | dict.fromkeys(("a", "b", "c", "d"), torch.tensor(0.125))

    method = Many()
    toy_fit(method=method, data=toy()[1], steps=10, progress=True)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "G_xy=" in last and "c=0.12" in last and "images/s=" in last
    assert "d=" not in last and "D_y=" not in last
    assert "10/10" in last and len(last.rstrip()) < 140


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
    parameters = state._parameters([a, b, a])
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

    def watched(run, player, batch):
        parts = play(run, player, batch)
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
        types.append(batch["fake_y"].dtype)
        return result

    method.generator_loss = watched
    before = weights(method)
    toy_fit(tmp_path / "s.pt", method, data, steps=5, precision="bfloat16")
    assert set(types) == {torch.bfloat16}
    after = weights(method)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in after.values())
    assert not any(torch.equal(before[k], after[k]) for k in before)
    toy_fit(tmp_path / "s.pt", precision="bfloat16", steps=5)  # its state loads


# ------------------------------------------------------- half precision


def unhealthy(player, first, last):
    """A toy, one player of which has a finite loss and a NaN gradient in these steps, from 1."""
    method, data = counting_toy()
    loss_of = getattr(method, f"{player}_loss")
    weight = next((method.G_xy if player == "generator" else method.D_y).parameters())

    def poisoned(batch):
        total, parts = loss_of(batch)
        if first <= data.count <= last:  # the value of 0 * sqrt(0) is 0, its gradient NaN
            total = total + 0 * (0 * weight).abs().sum().sqrt()
        return total, parts

    setattr(method, f"{player}_loss", poisoned)
    return method, data


def test_float16_on_the_cpu():
    method, data = toy()
    before = weights(method)
    _, history = toy_fit(None, method, data, steps=30, precision="float16")
    assert history.precision == "float16"
    after = weights(method)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in after.values())
    assert not any(torch.equal(before[k], after[k]) for k in before)


def test_float16_resumes_bit_for_bit_with_its_scales_and_skips(tmp_path):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    settings = {"steps": 30, "precision": "float16"}
    toy_fit(straight, *unhealthy("discriminator", 5, 16), **settings)
    with pytest.raises(Interrupt):
        toy_fit(stopped, *unhealthy("discriminator", 5, 16), **settings, callback=stop_at(12),
                callback_every=1)
    state = saved(stopped)
    assert state["skipped"] == {"generator": 0, "discriminator": 8}
    assert state["scalers"]["discriminator"]["scale"] == 65536 / 2**8
    assert state["scalers"]["generator"]["scale"] == 65536
    toy_fit(stopped, *unhealthy("discriminator", 5, 16), **settings)
    assert_same(saved(straight), saved(stopped))
    assert saved(stopped)["skipped"] == {"generator": 0, "discriminator": 0}


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_float16_stops_a_player_whose_gradient_stays_nan_and_leaves_the_other_alone(tmp_path,
                                                                                    player):
    path = tmp_path / "s.pt"
    method, data = unhealthy(player, 5, 999)
    most = training.MOST_SKIPS
    with pytest.raises(TrainingDiverged, match=f"the {player}'s gradient norm.*in a row") as caught:
        toy_fit(path, method, data, precision="float16")
    assert (caught.value.player, caught.value.step) == (player, 4 + most)
    state = saved(path)
    assert state["step"] == 4 + most - 1
    other = "generator" if player == "discriminator" else "discriminator"
    assert state["skipped"] == {player: most - 1, other: 0}
    assert state["scalers"][other]["scale"] == 65536
    assert all(v.isfinite().all() for v in state["method"].values() if isinstance(v, torch.Tensor))
    assert_same({k: state["method"][k] for k in weights(method)}, weights(method))


# ------------------------------------------------------- a step is whole or not there


class Counting(Unpaired):
    """Batches that know how many of them were drawn: a run's step, from 1, also after a resume."""

    count = 0

    def next_batch(self):
        self.count += 1
        return super().next_batch()

    def state_dict(self):
        return super().state_dict() | {"count": self.count}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.count = state["count"]


def counting_toy():
    method, _ = toy()
    return method, Counting(*stacks(), batch_size=4, flip=True)


class Fault(Exception):
    pass


PLACES = [f"{player}'s {part}" for player in ("generator", "discriminator")
          for part in ("loss", "backward", "optimiser")]


def break_once(monkeypatch, place, step, error):
    """(method, data) of a toy: in that step the place raises, after it has done its work."""
    method, data = counting_toy()

    def then_raise(work):
        def worked(*arguments):
            result = work(*arguments)
            if data.count == step:
                raise error
            return result
        return worked

    player, _, part = place.partition("'s ")
    if place == "next_batch":
        data.next_batch = then_raise(data.next_batch)
    elif part == "loss":
        setattr(method, f"{player}_loss", then_raise(getattr(method, f"{player}_loss")))
    elif part == "backward":
        net = method.G_xy if player == "generator" else method.D_y
        next(net.parameters()).register_hook(then_raise(lambda gradient: None))
    elif part == "optimiser":
        usual = torch.optim.Adam.step
        own = {id(p) for p in (method.G_xy if player == "generator" else method.D_y).parameters()}

        def stepped(self):
            usual(self)
            if data.count == step and id(self.param_groups[0]["params"][0]) in own:
                raise error

        monkeypatch.setattr(torch.optim.Adam, "step", stepped)
    else:
        monkeypatch.setattr(training, "_log", then_raise(training._log))
    return method, data


@pytest.mark.parametrize("error", [Fault(), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("place", ["next_batch", *PLACES, "log"])
def test_whatever_fails_in_a_step_the_last_whole_step_is_saved(tmp_path, monkeypatch, place, error):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, *counting_toy(), steps=20)
    with monkeypatch.context() as patched:
        method, data = break_once(patched, place, 10, error)
        with pytest.raises(type(error)) as caught:
            toy_fit(stopped, method, data, steps=20)
    assert caught.value is error
    state = saved(stopped)
    assert state["step"] == data.count == 9
    assert_same({k: state["method"][k] for k in weights(method)}, weights(method))
    assert {len(values) for values in state["history"].values()} == {0}
    assert all(requires(method.D_y))
    toy_fit(stopped, *counting_toy(), steps=20)
    assert_same(saved(straight), saved(stopped))


def test_a_run_that_failed_goes_on_with_the_same_objects_too(tmp_path, monkeypatch):
    """As in a notebook, where the cell is run again."""
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, *counting_toy(), steps=20)
    with monkeypatch.context() as patched:
        method, data = break_once(patched, "discriminator's optimiser", 10, Fault())
        with pytest.raises(Fault):
            toy_fit(stopped, method, data, steps=20)
    toy_fit(stopped, method, data, steps=20)
    assert_same(saved(straight), saved(stopped))


class InPlace(Counting):
    """Batches whose state is the very list that they go on writing to."""

    def __init__(self, *stacks, **settings):
        super().__init__(*stacks, **settings)
        self.seen = []

    def next_batch(self):
        self.seen.append(len(self.seen))
        return super().next_batch()

    def state_dict(self):
        return super().state_dict() | {"seen": self.seen}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.seen = state["seen"]


def test_a_run_whose_batches_change_in_place_is_undone(tmp_path):
    method, data = toy()[0], InPlace(*stacks(), batch_size=4)

    def broken(batch):
        raise Fault

    def callback(step, method, history):
        if step == 5:
            method.discriminator_loss = broken

    with pytest.raises(Fault):
        toy_fit(tmp_path / "s.pt", method, data, callback=callback, callback_every=1)
    assert saved(tmp_path / "s.pt")["data"]["seen"] == data.seen == [0, 1, 2, 3, 4]


def test_a_full_disk_leaves_the_last_state_that_could_be_written(tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, steps=20)
    usual = torch.save

    def full(state, file):
        usual(state, file)
        if state["step"] > 7:
            file.truncate(100)
            raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(saving.torch, "save", full)
        with pytest.raises(OSError, match="No space left") as caught:
            toy_fit(stopped, steps=20)
        assert any(str(stopped) in note for note in caught.value.__notes__)
    assert saved(stopped)["step"] == 7 and sorted(os.listdir(tmp_path)) == ["stopped.pt",
                                                                            "straight.pt"]
    toy_fit(stopped, steps=20)
    assert_same(saved(straight), saved(stopped))


def test_a_failure_to_save_does_not_hide_what_stopped_the_run(tmp_path, monkeypatch):
    def callback(step, method, history):
        if step == 5:
            monkeypatch.setattr(saving.torch, "save", lambda *_: 1 / 0)
            raise Fault

    with pytest.raises(Fault) as caught:
        toy_fit(tmp_path / "s.pt", callback=callback, callback_every=5)
    assert "step 5 could not be saved (division by zero)" in "".join(caught.value.__notes__)


def test_an_exception_in_a_callback_leaves_no_random_draw_behind(tmp_path):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, steps=20)

    def preview(step, method, history):
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        method.eval()
        if step == 10:
            raise Fault

    method, data = toy()
    with pytest.raises(Fault):
        toy_fit(stopped, method, data, steps=20, callback=preview, callback_every=5)
    assert saved(stopped)["step"] == 10 and method.training
    toy_fit(stopped, steps=20)
    assert_same(saved(straight), saved(stopped))


def test_the_random_numbers_of_numpy_and_python_go_on_after_a_resume(tmp_path):
    """A reader's own batches may draw from them."""
    class Drawing(Unpaired):
        def next_batch(self):
            batch = super().next_batch()
            return batch | {"x": batch["x"] * np.random.rand() + 0.01 * random.random()}  # noqa: NPY002

    def made():
        return toy()[0], Drawing(*stacks(), batch_size=4)

    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, *made(), steps=20)
    with pytest.raises(Interrupt):
        toy_fit(stopped, *made(), steps=20, callback=stop_at(9), callback_every=1)
    method, data = made()
    saving.seed_everything(99)  # another process: its generators stand elsewhere
    toy_fit(stopped, method, data, steps=20)
    assert_same(saved(straight), saved(stopped))


# ------------------------------------------------------- Ctrl-C


@pytest.fixture
def handler():
    """Sets a handler for the test, and the usual one after it."""
    usual = signal.getsignal(signal.SIGINT)
    yield lambda new: signal.signal(signal.SIGINT, new)
    signal.signal(signal.SIGINT, usual)


def interrupting(times, step=10, then=lambda: None):
    """A toy whose batch of that step takes long: Ctrl-C comes `times` times meanwhile."""
    method, data = counting_toy()
    usual = data.next_batch

    def hanging():
        batch = usual()
        if data.count == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
            then()
        return batch

    data.next_batch = hanging
    return method, data


def test_a_second_ctrl_c_gets_through_and_further_ones_do_no_harm(tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, *counting_toy(), steps=20)

    def swallowed():
        raise AssertionError("two Ctrl-C did not get through")

    usual_undo, usual_save = state.Run.undo, state.Run.save

    def undo(self):
        signal.raise_signal(signal.SIGINT)
        usual_undo(self)
        signal.raise_signal(signal.SIGINT)

    def save(self, path):
        if self.step == 9:
            signal.raise_signal(signal.SIGINT)
        usual_save(self, path)

    with monkeypatch.context() as patched:
        patched.setattr(state.Run, "undo", undo)
        patched.setattr(state.Run, "save", save)
        with pytest.raises(KeyboardInterrupt):
            toy_fit(stopped, *interrupting(5, then=swallowed), steps=20)
    assert saved(stopped)["step"] == 9
    toy_fit(stopped, *counting_toy(), steps=20)
    assert_same(saved(straight), saved(stopped))


def test_where_ctrl_c_is_ignored_it_stays_so(handler):
    handler(signal.SIG_IGN)
    _, history = toy_fit(None, *interrupting(5), steps=20)
    assert history["step"] == [10, 20] and signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize(("times", "at_once"), [(1, 0), (2, 1), (4, 3)])
def test_a_handler_of_the_readers_own_is_called_and_the_run_goes_on(handler, times, at_once):
    seen, during = [], []

    def own(number, frame):
        seen.append(number)

    handler(own)
    method, data = interrupting(times, then=lambda: during.extend(seen))
    _, history = toy_fit(None, method, data, steps=20)
    assert during == [signal.SIGINT] * at_once and seen == [signal.SIGINT] * times
    assert history["step"] == [10, 20] and signal.getsignal(signal.SIGINT) is own


def test_ctrl_c_between_two_steps_and_in_a_save(tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight.pt", tmp_path / "stopped.pt"
    toy_fit(straight, steps=20)
    usual, asked = torch.save, []

    def save(plain, path):
        usual(plain, path)
        if plain["step"] == 14 and not asked:
            asked.append(1)
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(saving.torch, "save", save)
        with pytest.raises(KeyboardInterrupt):
            toy_fit(stopped, steps=20)
    assert saved(stopped)["step"] == 14
    toy_fit(stopped, steps=20)
    assert_same(saved(straight), saved(stopped))


# ------------------------------------------------------- what the reader froze


class Normed(Toy):
    """A toy whose players have batch normalisation too."""

    def __init__(self):
        super().__init__()
        self.G_xy.insert(1, nn.BatchNorm2d(4))
        self.D_y.insert(1, nn.BatchNorm2d(4))


def test_what_the_reader_froze_stays_frozen_in_both_players():
    _, data = toy()
    method = Normed()
    for net in (method.G_xy, method.D_y):
        net[0].requires_grad_(False)
    method.D_y[1].weight.requires_grad_(False)  # one parameter alone
    before = weights(method)
    toy_fit(None, method, data, steps=5)
    after, frozen = weights(method), {"G_xy.0.weight", "G_xy.0.bias", "D_y.0.weight", "D_y.0.bias",
                                      "D_y.1.weight"}
    for name, parameter in method.named_parameters():
        assert parameter.requires_grad == (name not in frozen), name
        assert torch.equal(before[name], after[name]) == (name in frozen), name


def test_a_network_that_is_frozen_as_a_whole_stays_in_eval_mode():
    """Batch normalisation would move its statistics though its weights stand still."""
    _, data = toy()
    method = Normed()
    method.D_y.requires_grad_(False)
    method.G_xy[1].requires_grad_(False)
    before = {k: v.clone() for k, v in method.state_dict().items() if "running" in k}
    _, history = toy_fit(None, method, data, steps=5,
                         callback=lambda s, m, h: m.train(), callback_every=1)
    assert all(torch.equal(v, method.state_dict()[k]) for k, v in before.items())
    assert not any(m.training for m in method.D_y.modules()) and method.G_xy.training
    assert set(history) == {"step", "seconds", "G_xy"}  # D has nothing to learn: no player


def test_a_callback_may_freeze_a_part_of_D_for_the_rest_of_the_run():
    method, data = toy()
    kept = []

    def freeze(step, method, history):
        if step == 2:
            method.D_y[0].requires_grad_(False)
            kept.append(weights(method))

    toy_fit(None, method, data, steps=6, callback=freeze, callback_every=2)
    assert not any(requires(method.D_y[0])) and all(requires(method.D_y[2]))
    assert torch.equal(kept[0]["D_y.0.weight"], method.D_y[0].weight)
    assert not torch.equal(kept[0]["D_y.2.weight"], method.D_y[2].weight)


def test_a_loaded_method_says_how_it_can_be_tuned():
    batches = Unpaired(*stacks(), batch_size=4)
    with pytest.raises(ValueError, match=r"frozen.*requires_grad_\(True\).*frozen=False"):
        fit(runs.load("retro_shallow"), batches, 2, progress=False)
    method = runs.load("retro_shallow", frozen=False)
    before = weights(method)
    fit(method, batches, 2, progress=False)
    assert not any(torch.equal(before[k], v) for k, v in weights(method).items())


# --------------------------------------------------------------- diverging


def diverging(player, kind, at=9):
    """A toy whose `player` has a loss or a gradient that is not finite from step `at` on.

    The list holds the weights at the beginning of each step.
    """
    method, data = toy()
    loss_of, calls = getattr(method, f"{player}_loss"), []
    net = method.G_xy if player == "generator" else method.D_y
    usual = data.next_batch

    def next_batch():
        calls.append(weights(method))
        return usual()

    def bad(batch):
        total, parts = loss_of(batch)
        if len(calls) >= at and kind == "gradient norm":  # sqrt(0): value 0, gradient infinite
            total = total + (next(net.parameters()) * 0).abs().sum().sqrt()
        elif len(calls) >= at and kind == "total loss":
            total = total * math.inf
        elif len(calls) >= at:
            parts = {kind: torch.tensor(math.nan)} | parts
        return total, parts

    data.next_batch = next_batch
    setattr(method, f"{player}_loss", bad)
    return method, data, calls


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("kind", ["some part", "total loss", "gradient norm"])
def test_divergence_is_caught_before_the_step(tmp_path, player, kind):
    method, data, calls = diverging(player, kind)
    path, straight = tmp_path / "s.pt", tmp_path / "straight.pt"
    with pytest.raises(TrainingDiverged, match=f"step 9.*{player}'s {kind}.*(nan|inf)") as caught:
        toy_fit(path, method, data, steps=20)
    error = caught.value
    assert (error.step, error.player, error.name) == (9, player, kind)
    assert not math.isfinite(error.value)
    assert_same(weights(method), calls[-1])
    assert all(p.isfinite().all() for p in method.parameters())
    state = saved(path)
    assert state["step"] == 8
    for name, value in calls[-1].items():
        assert torch.equal(state["method"][name], value)
    toy_fit(straight, steps=20)
    toy_fit(path, steps=20)  # a whole step: a healthy run goes on from it bit for bit
    assert_same(saved(straight), saved(path))


@pytest.fixture
def looked_at_seldom(monkeypatch):
    """Runs whose numbers are looked at every tenth step, as on a GPU."""
    usual = state.Run.__init__

    def seldom(self, *arguments):
        usual(self, *arguments)
        self.every = 10

    monkeypatch.setattr(state.Run, "__init__", seldom)


def test_looking_seldom_changes_no_number(tmp_path, looked_at_seldom, monkeypatch):
    looks, usual = [], training._require_finite
    monkeypatch.setattr(training, "_require_finite",
                        lambda run: looks.append(run.step) or usual(run))
    toy_fit(tmp_path / "seldom.pt", steps=33)
    assert looks == [7, 10, 14, 20, 21, 28, 30, 33]  # before each save too
    monkeypatch.undo()
    toy_fit(tmp_path / "always.pt", steps=33)
    assert_same(saved(tmp_path / "seldom.pt"), saved(tmp_path / "always.pt"))


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("kind", ["some part", "total loss", "gradient norm"])
def test_a_late_look_names_the_step_and_nothing_bad_is_on_disk(tmp_path, player, kind,
                                                               looked_at_seldom):
    path, straight = tmp_path / "s.pt", tmp_path / "straight.pt"
    method, data, _ = diverging(player, kind)
    words = f"step 9.*{player}'s {kind}.*after step 7"
    with pytest.raises(TrainingDiverged, match=words) as caught:
        toy_fit(path, method, data, steps=20)
    assert (caught.value.step, caught.value.kept, saved(path)["step"]) == (9, 7, 7)
    assert all(p.isfinite().all() for p in method.parameters())
    toy_fit(straight, steps=20)
    toy_fit(path, steps=20)
    assert_same(saved(straight), saved(path))


def test_ctrl_c_after_a_step_that_nobody_has_looked_at_saves_nothing_bad(tmp_path,
                                                                         looked_at_seldom):
    method, data, _ = diverging("generator", "total loss")
    usual, batches = data.next_batch, []

    def next_batch():
        batches.append(1)
        if len(batches) == 10:  # step 9 was bad, and step 10 is under way
            signal.raise_signal(signal.SIGINT)
        return usual()

    data.next_batch = next_batch
    with pytest.raises((KeyboardInterrupt, TrainingDiverged)):
        toy_fit(tmp_path / "s.pt", method, data, steps=20)
    assert saved(tmp_path / "s.pt")["step"] == 7


def test_what_the_error_advises_can_be_done(tmp_path):
    path = tmp_path / "s.pt"
    method, data, _ = diverging("discriminator", "total loss")
    with pytest.raises(TrainingDiverged, match='resume="weights"'):
        toy_fit(path, method, data)
    kept = saved(path)["method"]
    method, data = toy(seed=5)
    started = []
    _, history = toy_fit(path, method, data, lr=1e-5, resume="weights",
                         callback=lambda s, m, h: started.append(weights(m)), callback_every=100)
    assert all(torch.equal(kept[k], v) for k, v in started[0].items())
    assert history["step"][-1] == STEPS == saved(path)["step"]


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    path = tmp_path / "s.pt"
    with pytest.raises(TrainingDiverged, match="step 1: the generator's weights' norm"):
        toy_fit(path, lr=1e38)
    assert not path.exists()
    method, data = toy()

    def callback(step, method, history):  # the reader's own doing
        if step == 10:
            with torch.no_grad():
                method.D_y[0].weight[0, 0, 0, 0] = math.nan

    with pytest.raises(TrainingDiverged):
        toy_fit(path, method, data, callback=callback, callback_every=10)
    assert saved(path)["step"] == 7
    assert all(saved(path)["method"][k].isfinite().all() for k in weights(method))
