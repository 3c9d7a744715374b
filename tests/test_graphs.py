"""Steps as CUDA graphs. Without a GPU, a stand-in runs the recorded step again and again.

The stand-in freezes what a graph freezes: Python's part of the method is as it was when the step
was recorded. So a step that reads more than its inputs, the held weights and the networks ends
elsewhere, or fails.
"""

import pytest
import torch
from toys import (
    METHODS,
    Interrupt,
    batches_for,
    discriminator,
    generator,
    saved,
    stop_at,
    toy,
    toy_fit,
)

from gantutor import graphs, parallel
from gantutor.added import WithPairs, WithShuffledColours
from gantutor.losses import ImagePool
from gantutor.methods.direct import Direct
from gantutor.own.average import Averaged
from gantutor.ramps import Ramped
from gantutor.training import TrainingDiverged, fit

STEPS = 24
WRAPPED = METHODS | {
    "Averaged": lambda: Averaged(METHODS["CommonSpace"]()),
    "WithShuffledColours": lambda: WithShuffledColours(METHODS["CycleGAN"](), 0.8),
    "WithPairs": lambda: WithPairs(METHODS["ShuffledColours"](),
                                   *(torch.zeros(2, 3, 8, 8, dtype=torch.uint8),) * 2)}
DRAWING = ("DualGAN", "VAEGAN", "CoGAN", "StarGAN", "ShuffledColours", "WithShuffledColours",
           "WithPairs", "Averaged", "Perceptual")  # they draw random numbers, replays others
CAN = [name for name in WRAPPED if name != "JointStarGAN"]  # its masks choose rows by their number


class Again:
    """In place of `graphs.Recorded`: `replay` runs the step with Python's part as it was."""

    method, made, replays = None, 0, 0

    def __init__(self, step, stream):
        Again.made += 1
        self.step, self.result = step, None
        self.frozen = self.seen()

    def seen(self):
        return [(module, module.progress, module.held) for module in Again.method.modules()
                if isinstance(module, Ramped)]

    def replay(self):
        Again.replays += 1
        now, usual, ImagePool.forward = self.seen(), ImagePool.forward, forbidden
        self.put(self.frozen)
        try:
            result = self.step()
        finally:
            ImagePool.forward = usual
            self.put(now)
        self.result = self.result or result
        for name, value in result[0].items():
            self.result[0][name].copy_(value)
        self.result[3].copy_(result[3])

    def put(self, states):
        for module, progress, held in states:
            module.progress, module.held = progress, held


def forbidden(pool, images):
    raise AssertionError("a recorded step must not ask a pool, which lies on the host")


@pytest.fixture
def standing_in(monkeypatch):
    monkeypatch.setattr(graphs, "Recorded", Again)
    monkeypatch.setattr(graphs, "ADAM", {"fused": True})
    monkeypatch.setattr(graphs, "why_not", lambda *rest: None)


def run(name, recorded, **settings):
    """(method, history) after `STEPS` steps of fit."""
    torch.manual_seed(7)
    Again.method, Again.replays = WRAPPED[name](), 0
    for module in Again.method.modules():
        if hasattr(module, "late"):
            module.late = (0.1, 1.0)  # so that the weight still changes in recorded steps
    history = fit(Again.method, batches_for(name), STEPS, graphs=recorded, progress=False,
                  **settings)
    return Again.method, history


def assert_close(one, other):
    for (name, p), q in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        if isinstance(p, torch.Tensor):
            assert torch.allclose(p.float(), q.float(), rtol=1e-4, atol=1e-6), name
        elif isinstance(p, dict):  # a pool
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in
                       zip(p["images"], q["images"], strict=True)), name


@pytest.mark.parametrize("n_critic", [1, 2])
@pytest.mark.parametrize("name", CAN)
def test_recorded_steps_end_where_the_others_end(name, n_critic, standing_in, capsys):
    plain, numbers = run(name, False, n_critic=n_critic)
    recorded, history = run(name, True, n_critic=n_critic)
    assert capsys.readouterr().out == ""  # nothing was given up
    assert Again.replays >= STEPS // 3  # the first steps of every phase are ordinary ones
    assert_close(plain, recorded)
    for key in numbers.keys() - {"seconds"}:
        assert history[key] == pytest.approx(numbers[key], rel=1e-3, abs=1e-5, nan_ok=True), key
    assert all(module.held is None for module in recorded.modules() if isinstance(module, Ramped))


def test_a_run_goes_on_from_a_state_with_and_without_graphs(tmp_path, standing_in):
    ends = {}
    for first in (False, True):
        for then in (False, True):
            path = tmp_path / f"{first}{then}.pt"
            Again.method, data = toy()
            with pytest.raises(Interrupt):
                toy_fit(path, Again.method, data, steps=30, graphs=first, callback=stop_at(14),
                        callback_every=14)
            Again.method, data = toy(seed=3)
            ends[first, then] = toy_fit(path, Again.method, data, steps=30, graphs=then)[0]
            assert saved(path)["step"] == 30
    for method in ends.values():
        assert_close(ends[False, False], method)


def test_what_is_not_finite_is_found_in_a_recorded_step_too(tmp_path, standing_in):
    Again.method, data = toy()
    usual, batches = data.next_batch, []

    def next_batch():
        batches.append(1)
        batch = usual()
        return batch | {"y": batch["y"] * torch.nan} if len(batches) == 9 else batch

    data.next_batch = next_batch
    with pytest.raises(TrainingDiverged, match="step 9: the discriminator's D_y is nan"):
        toy_fit(tmp_path / "s.pt", Again.method, data, graphs=True)
    assert saved(tmp_path / "s.pt")["step"] == 8


def test_after_a_callback_that_moves_weights_steps_are_recorded_anew(standing_in):
    ends = []
    for recorded in (False, True):
        Again.method, data = toy()

        def moved(step, method, history):
            for p in method.parameters():
                p.data = p.data.clone() * 0.9  # other memory

        recordings = Again.made
        ends.append(toy_fit(None, Again.method, data, steps=30, graphs=recorded, callback=moved,
                            callback_every=10)[0])
    assert_close(*ends)
    assert Again.made - recordings == 6  # two players, three times


def test_where_nothing_can_be_recorded_a_line_says_why_and_the_run_is_the_usual_one(capsys):
    plain, _ = run("CycleGAN", False)
    asked, _ = run("CycleGAN", True)
    assert capsys.readouterr().out == (
        "CUDA graphs are off: they need a GPU of CUDA, and this run is on cpu.\n")
    assert all(torch.equal(p, q) for p, q in zip(plain.parameters(), asked.parameters(),
                                                 strict=True))


def test_a_step_that_reads_on_the_host_ends_the_recording(standing_in, capsys):
    plain, _ = run("JointStarGAN", False)
    asked, _ = run("JointStarGAN", True)
    assert capsys.readouterr().out.startswith(
        "CUDA graphs are off: the generator's step reads or copies on the host (nonzero). ")
    assert_close(plain, asked)


def test_a_step_that_cannot_be_recorded_is_played_as_usual(standing_in, capsys, monkeypatch):
    def refuse(step, stream):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    plain, _ = run("CycleGAN", False)
    monkeypatch.setattr(graphs, "Recorded", refuse)
    asked, _ = run("CycleGAN", True)
    assert capsys.readouterr().out.startswith(
        "CUDA graphs are off: operation not permitted when stream is capturing. ")
    assert_close(plain, asked)


class Own(Direct):
    """A reader's method that reads `progress` itself."""

    progress = 1.0


def test_why_not():
    method = WRAPPED["Averaged"]()
    assert graphs.why_not(method, "cuda", "bfloat16") is None
    assert "this run is on cpu" in graphs.why_not(method, "cpu", "float32")
    assert "scale" in graphs.why_not(method, "cuda:1", "float16")
    own = Own(generator(), discriminator())
    assert graphs.why_not(own, "cuda", "float32").startswith("Own reads `progress` itself")
    for make in WRAPPED.values():
        assert graphs.why_not(make(), "cuda", "float32") is None


def test_many_processes_are_not_recorded(monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: 2)
    assert "processes" in graphs.why_not(METHODS["Direct"](), "cuda", "float32")


# ------------------------------------------------------------------ no step waits for the device


@pytest.mark.parametrize("progress", [0.1, 0.9])
@pytest.mark.parametrize("name", WRAPPED)
def test_no_step_of_a_method_reads_or_copies_on_the_host(name, progress):
    """On torch's device "meta", which has no numbers that could be read."""
    method = WRAPPED[name]().to("meta")
    if hasattr(method, "progress"):
        method.progress = progress
    batch = {k: v.to("meta") for k, v in batches_for(name).next_batch().items()}
    if name == "JointStarGAN":  # masks choose rows
        with pytest.raises((RuntimeError, NotImplementedError)):
            method.generator_loss(batch)
        return
    with graphs.HostReads("meta") as reads:
        method.generator_loss(batch)[0].backward()
    if hasattr(method, "between"):
        batch |= {"shown_x": batch["x"], "shown_y": batch["y"]}
    if method.players()[1]:
        with reads:
            method.discriminator_loss(batch)[0].backward()
    assert reads.found == []


def test_what_reads_on_the_host_is_noticed():
    numbers = torch.rand(4, 3)
    for read in (lambda: float(numbers[0, 0]), lambda: numbers[numbers > 0.5],
                 lambda: numbers.nonzero(), lambda: bool((numbers > 2).any())):
        with graphs.HostReads("cpu") as reads:
            read()
        assert reads.found
    with graphs.HostReads("meta") as reads:
        torch.rand(3, device="meta")[torch.randperm(3)]
    assert reads.found == ["index"]
    with graphs.HostReads("cpu") as reads:
        numbers[torch.randperm(4)].sum(), torch.where(numbers > 0.5, numbers, 0)
    assert reads.found == []


# ------------------------------------------------------------------ with a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CAN)
def test_on_a_gpu_recorded_steps_end_where_the_others_end(name, precision, capsys):
    (plain, numbers), (recorded, history) = (
        run(name, on, device="cuda", precision=precision) for on in (False, True))
    assert capsys.readouterr().out == ""
    for key in numbers.keys() - {"seconds"}:
        assert history[key] == pytest.approx(numbers[key], rel=0.05, abs=0.02, nan_ok=True), key
    if precision == "float32" and name not in DRAWING:
        assert_close(plain, recorded)
