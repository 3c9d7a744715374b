"""What a run may be started with, and which run a saved state belongs to."""

import copy
import dataclasses
import enum
import json
import math
import os
import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toys import (
    METHODS,
    Batches,
    Interrupt,
    Toy,
    assert_same,
    saved,
    stacks,
    stop_at,
    toy,
    toy_fit,
    weights,
)

from gantutor import saving, state
from gantutor.data import Unpaired, folders
from gantutor.methods.cyclegan import CycleGAN
from gantutor.training import fit

# ------------------------------------------------------------------ settings


@pytest.mark.parametrize("name, value, found", [
    ("steps", np.int64(20), 20), ("steps", torch.tensor(20), 20), ("lr", np.float64(1e-3), 1e-3),
    ("lr", np.float32(0.5), 0.5), ("lr", torch.tensor(0.5), 0.5), ("lr", np.array(0.5), 0.5),
    ("lr", Fraction(1, 2), 0.5), ("lr", 1, 1.0), ("lr_d", np.float16(0.25), 0.25), ("lr_d", 0, 0.0),
    ("betas", [0.5, 0.9], [0.5, 0.9]), ("betas", np.array([0.5, 0.75]), [0.5, 0.75]),
    ("betas", torch.tensor([0.5, 0.75]), [0.5, 0.75]), ("betas", (np.float32(0.5), 0), [0.5, 0.0]),
    ("decay_from", np.float32(0.5), 0.5), ("decay_from", 1, 1.0), ("decay_d", np.True_, True),
    ("decay_d", False, False), ("n_critic", np.uint8(2), 2), ("save_every", np.int32(5), None),
    ("callback_every", torch.tensor(5), None)])
def test_whatever_number_is_accepted_can_be_saved_and_resumed(tmp_path, name, value, found):
    path, straight, settings = tmp_path / "s.pt", tmp_path / "straight", {"steps": 20, name: value}
    toy_fit(straight, **settings)
    with pytest.raises(Interrupt):
        toy_fit(path, **{"callback_every": 5} | settings, callback=stop_at(5))
    if found is not None:
        stored = saved(path)["belongs"][name]
        assert stored == found and json.loads(json.dumps(stored)) == stored
        assert type(stored) is type(found)
    toy_fit(path, **settings)
    assert_same(saved(straight), saved(path))


WHOLE = "expected a whole number of at least "
BAD = {
    "steps": [(v, WHOLE + "0") for v in (-1, 2.5, 2.0, True, None, "20", np.float32(3),
                                         torch.tensor(2.0), torch.tensor(True), math.nan, [3])],
    "save_every": [(v, WHOLE + "1") for v in (0, -1, 2.5, False, None, np.bool_(True))],
    "callback_every": [(v, WHOLE + "1") for v in (0, -3, 1.0, "5")],
    "n_critic": [(v, WHOLE + "1") for v in (0, -1, 1.5, True, torch.tensor([1, 2]))],
    "lr": [(v, "expected a number of at least 0") for v in (
        -1e-3, math.nan, math.inf, -math.inf, "0.001", True, [1e-3], 1j, np.array([1e-3, 1e-3]),
        torch.tensor([1.0, 2.0]), np.True_, torch.tensor(math.nan))],
    "lr_d": [(v, "expected a number of at least 0") for v in (-1.0, math.nan, "fast", False)],
    "decay_from": [(v, "expected a number of at least 0 and at most 1") for v in (
        100, -0.1, 1.01, math.nan, None, "half", True)],
    "betas": [(v, "expected (two numbers$|a number of at least 0 and below 1)") for v in (
        0.5, (0.5,), (0.5, 0.9, 0.99), (0.5, 1.0), (-0.1, 0.9), (math.nan, 0.9), None, "ab",
        (True, 0.5), np.zeros((2, 2)))],
    "decay_d": [(v, "expected True or False") for v in ("no", 1, None, 0.0)],
    "precision": [(v, "expected one of float32, auto") for v in (
        "half", True, None, torch.float16, ["auto"])],
    "resume": [(v, 'expected "state"') for v in ("no", True, None, "weights")],
}


@pytest.mark.parametrize("name, value, expected", [
    pytest.param(name, value, expected, id=f"{name}={value!r}")
    for name, values in BAD.items() for value, expected in values])
def test_a_bad_argument_is_named_with_what_was_expected(name, value, expected):
    with pytest.raises(ValueError, match=rf"(?s)^{name}=.*: {expected}"):
        toy_fit(None, **{name: value})


# ------------------------------------------------------------------ whose state it is


def test_state_needs_no_pickled_code(tmp_path):
    toy_fit(tmp_path / "s.pt", steps=10)
    state = torch.load(tmp_path / "s.pt", weights_only=True)
    assert state["step"] == 10 and len(state["method"]["pool_y._extra_state"]["images"]) == 6


@pytest.mark.parametrize("name, value", [
    ("steps", 50), ("lr", 0.5), ("lr_d", 0.5), ("betas", (0.9, 0.99)), ("decay_from", 0.7),
    ("decay_d", False), ("precision", "bfloat16"), ("n_critic", 2)])
def test_other_settings_are_refused_by_name(tmp_path, name, value):
    path = tmp_path / "s.pt"
    if not path.exists():
        toy_fit(path, steps=7)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"s.pt: was started with {name}="):
        toy_fit(path, **{"steps": 7} | {name: value})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["truncated", "text", "empty", "other", "pickle", "version",
                                     "half of it", "list"])
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
        torch.save(saved(path) | {"gantutor": 99}, path)
    elif content == "half of it":
        torch.save({k: v for k, v in saved(path).items() if k in ("gantutor", "belongs")}, path)
    elif content == "list":
        torch.save([1, 2], path)
    else:
        path.write_text("hello" if content == "text" else "")
    before = path.read_bytes()
    message = "the state of another" if content == "half of it" else ".*training state"
    with pytest.raises(ValueError, match=rf"s\.pt: {message}") as caught:
        toy_fit(path, steps=7)
    assert "weights_only" not in str(caught.value)  # torch's advice to run the file's code
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["s.pt"]


class Layers(Toy):
    """A toy whose generator has other layers, each with parameters of the same shapes."""

    def __init__(self, layer):
        super().__init__()
        self.G_xy[1] = layer


class OtherToy(Toy):
    pass


class Weighted(Toy):
    def __init__(self, lambda_cyc=10.0, names=("a", "b"), activation=torch.tanh):
        super().__init__()
        self.lambda_cyc, self.names, self.activation = lambda_cyc, names, activation


def frozen(*places):
    method = Toy()
    for place in places:
        method.get_parameter(place).requires_grad_(False)
    return method


@pytest.mark.parametrize("before, now, named", [
    (Toy, OtherToy, "method.class=Toy, cannot go on with method.class=OtherToy"),
    (Toy, lambda: Toy(width=5), "method.G_xy="),
    (Weighted, lambda: Weighted(3.0), "method.lambda_cyc=10.0, .* method.lambda_cyc=3.0"),
    (Weighted, lambda: Weighted(np.float32(3)), "method.lambda_cyc=10.0, .*=3.0"),
    (Weighted, lambda: Weighted(torch.tensor(3.0)), "method.lambda_cyc=10.0, .*=3.0"),
    (Weighted, lambda: Weighted(names=["a"]), "method.names="),
    (Weighted, lambda: Weighted(activation=torch.relu), "method.activation=tanh, .*=relu"),
    (lambda: Layers(nn.LeakyReLU(0.2)), lambda: Layers(nn.LeakyReLU(0.1)), "method.G_xy="),
    (lambda: Layers(nn.ReLU()), lambda: Layers(nn.Tanh()), "method.G_xy="),
    (lambda: Layers(nn.Dropout(0.5)), lambda: Layers(nn.Dropout(0.1)), "method.G_xy="),
    (lambda: Layers(nn.Conv2d(4, 4, 3, padding=1)),
     lambda: Layers(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")), "method.G_xy="),
    (lambda: Layers(nn.Conv2d(4, 4, 3, padding=1)),
     lambda: Layers(nn.Conv2d(4, 4, 3, padding=2, dilation=2)), "method.G_xy="),
    (lambda: Layers(nn.AvgPool2d(1)), lambda: Layers(nn.AvgPool2d(3, 1, 1)), "method.G_xy="),
    (Toy, lambda: frozen("G_xy.0.weight"), "frozen="),
    (lambda: frozen("D_y.0.bias"), lambda: frozen("G_xy.0.bias"), "frozen="),
], ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("stop", [5, 7])
def test_another_method_is_refused_and_named(tmp_path, before, now, named, stop):
    refused(tmp_path, (before, toy_data), (now, toy_data), named, stop)


def refused(tmp_path, before, now, named, stop):
    """A run (half of it, or a finished one) is not gone on with by others, and nothing changes."""
    path = tmp_path / "s.pt"
    (make, data), steps = before, 7
    saving.seed_everything(0)
    try:
        toy_fit(path, make(), data(), steps=steps, callback=stop_at(stop) if stop < steps else None,
                callback_every=1)
    except Interrupt:
        assert saved(path)["step"] == stop
    content = path.read_bytes()
    method, data = now[0](), now[1]()
    method.eval()
    kept = copy.deepcopy((dict(method.state_dict()), data.state_dict()))
    torch.manual_seed(8)
    generators = copy.deepcopy(saving.random_state())
    with pytest.raises(ValueError, match=rf"s\.pt: was started with {named}.*resume=\"weights\""):
        toy_fit(path, method, data, steps=steps)
    assert_same(kept[0], dict(method.state_dict()))
    assert_same(saving.plain(kept[1]), saving.plain(data.state_dict()))
    assert_same(saving.plain(generators), saving.plain(saving.random_state()))
    assert path.read_bytes() == content and not method.training


def toy_data(x=None, y=None, batch_size=4, **settings):
    a, b = stacks()
    return Unpaired(a if x is None else x, b if y is None else y, batch_size, **settings)


class OwnBatches(Unpaired):
    pass


X, Y = stacks()


@pytest.mark.parametrize("now, named", [
    (lambda: toy_data(X[:6]), "data.images of x=20, cannot go on with data.images of x=6"),
    (lambda: toy_data(y=Y[:27]), "data.images of y=28, .*=27"),
    (lambda: toy_data(x=255 - X), "data.content of x="),
    (lambda: toy_data(y=Y.flip(0)), "data.content of y="),  # other order
    (lambda: toy_data(X.transpose(2, 3), Y.transpose(2, 3)), "data.content of x="),
    (lambda: toy_data(batch_size=5), "data.batch_size=4, .*=5"),
    (lambda: toy_data(flip=True), "data.flip=False, .*=True"),
    (lambda: OwnBatches(X, Y, 4), "data.class=Unpaired, .*=OwnBatches"),
], ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("stop", [5, 7])
def test_other_data_are_refused_and_named(tmp_path, now, named, stop):
    refused(tmp_path, (Toy, toy_data), (Toy, now), named, stop)


def test_a_folder_whose_pictures_have_changed_is_refused(tmp_path):
    for domain, images in zip("xy", stacks(), strict=True):
        (tmp_path / domain).mkdir()
        for k, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / domain / f"{k:02}.png")

    def made():
        return folders.unpaired(tmp_path / "x", tmp_path / "y", size=8, batch_size=4)

    path = tmp_path / "s.pt"
    toy_fit(path, Toy(), made(), steps=7)
    toy_fit(path, Toy(), made(), steps=7)
    (tmp_path / "x" / "00.png").rename(tmp_path / "x" / "99.png")  # another order
    with pytest.raises(ValueError, match="started with data.content of x="):
        toy_fit(path, Toy(), made(), steps=7)
    (tmp_path / "x" / "99.png").unlink()
    with pytest.raises(ValueError, match="started with data.images of x=20"):
        toy_fit(path, Toy(), made(), steps=7)


class Mine(Batches):
    """A reader's own batches, without a fingerprint."""

    def __init__(self, images, batch_size=4, position=0):
        super().__init__()
        self.images, self.batch_size, self.position = images, batch_size, position

    def next_batch(self):
        self.position += 1
        return super().next_batch()

    def state_dict(self):
        return super().state_dict() | {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]
        super().load_state_dict(state)


def test_a_readers_own_batches_are_known_by_what_they_were_made_with(tmp_path):
    path, images = tmp_path / "s.pt", np.zeros((3, 2, 2), np.uint8)
    data = Mine(images)
    with pytest.raises(Interrupt):
        toy_fit(path, Toy(), data, steps=7, callback=stop_at(5), callback_every=1)
    for other in (Mine(images + 1), Mine(images[:2]), Mine(images, batch_size=2)):
        with pytest.raises(ValueError, match=r"started with data\.(images|batch_size)="):
            toy_fit(path, Toy(), other, steps=7)
    toy_fit(path, Toy(), data, steps=7)  # its position has moved on: it is still the same data
    assert data.position == 7


def test_a_finished_run_says_so(tmp_path, capsys):
    toy_fit(tmp_path / "s.pt", steps=7)
    assert "finished" not in capsys.readouterr().out
    toy_fit(tmp_path / "s.pt", steps=7)
    assert "s.pt: this run has finished all of its 7 steps" in capsys.readouterr().out


# ------------------------------------------------------------------ from the weights alone


def test_from_the_weights_a_new_run_starts_with_other_settings_and_data(tmp_path):
    path = tmp_path / "s.pt"
    first, _ = toy_fit(path, steps=14)
    end, started = weights(first), []
    small = Unpaired(*(images[:, :, :7, :7] for images in stacks(6, 9, seed=8)), batch_size=3)
    method = toy(seed=4)[0]

    def callback(step, method, history):
        started.append((step, weights(method), len(method.pool_y.images)))

    _, history = toy_fit(path, method, small, steps=30, lr=1e-4, decay_from=0.9, resume="weights",
                         callback=callback, callback_every=100)
    step, before, pooled = started[0]
    assert (step, pooled) == (0, 0)  # the pool held pictures of the other run
    assert_same(before, end)
    assert history["step"] == [10, 20, 30] and saved(path)["step"] == 30
    toy_fit(path, toy(seed=4)[0], small, steps=30, lr=1e-4, decay_from=0.9)  # and it is a run


def test_weights_of_another_method_are_refused_and_nothing_is_changed(tmp_path):
    path = tmp_path / "s.pt"
    toy_fit(path, steps=7)
    method, data = toy(width=5)
    before = weights(method)
    with pytest.raises(ValueError, match=r"(?s)s\.pt: .*another method.*G_xy\.0\.weight"):
        toy_fit(path, method, data, steps=7, resume="weights")
    assert_same(before, weights(method))


def test_weights_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="s.pt: no such training state"):
        toy_fit(tmp_path / "s.pt", steps=7, resume="weights")


# ------------------------------------------------------------------ what a reader's data may hold


class Kind(enum.IntEnum):
    ONE = 1


class Name(str):
    __slots__ = ()


@dataclasses.dataclass
class Place:
    epoch: int = 0


class Holding(Batches):
    """Batches with something of the reader's own in their state."""

    held, back = None, None

    def state_dict(self):
        return super().state_dict() | {"held": self.held}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.back = state["held"]


def holding(held):
    data = Holding()
    data.held = held
    return data


@pytest.mark.parametrize("held", [
    np.arange(6).reshape(2, 3), np.arange(3, dtype=">i2"), np.array(2.5), np.arange(9)[::-2],
    np.array([True, False]), np.zeros(2, np.complex64), np.zeros((0, 3)), np.float32(2),
    np.bool_(True), np.int64(3), np.str_("a"), Kind.ONE, Name("a"), (1, (2, None)), 2**100,
    {"a": [np.float64(1)], 3: b"x", (1, 2): 1j}, torch.Size([2]), torch.float16,
    nn.Parameter(torch.ones(2)), torch.ones(2, dtype=torch.bfloat16), random.Random(0).getstate(),
    np.random.default_rng(0).bit_generator.state,
], ids=lambda held: type(held).__name__)
def test_what_is_written_can_be_read_again(tmp_path, held):
    path = tmp_path / "s.pt"
    with pytest.raises(Interrupt):
        toy_fit(path, Toy(), holding(held), steps=6, callback=stop_at(2), callback_every=1)
    data = holding(held)
    toy_fit(path, Toy(), data, steps=6)
    if isinstance(held, np.ndarray):
        assert isinstance(data.back, np.ndarray) and data.back.shape == held.shape
        assert np.array_equal(data.back, held) and data.back.dtype == held.dtype.newbyteorder("=")
    elif isinstance(held, torch.Tensor):
        assert torch.equal(data.back, held) and data.back.dtype == held.dtype
    else:
        assert data.back == held and not isinstance(data.back, np.generic | enum.Enum | Name)


@pytest.mark.parametrize("held", [
    {1, 2}, Place(), {"deep": [0, Place()]}, object(), np.array(["a"]), np.array([None]),
    np.datetime64("2026"), np.longdouble(1), np.ones(1, np.longdouble), random.Random(0),
    torch.Generator(), range(3), lambda: 0,
], ids=lambda held: type(held).__name__)
def test_what_cannot_be_written_is_named_before_the_first_step(tmp_path, held):
    data = holding(held)
    with pytest.raises(TypeError, match=r"state\['data'\]\['held'\].*cannot be stored"):
        toy_fit(tmp_path / "s.pt", Toy(), data)
    assert os.listdir(tmp_path) == []
    toy_fit(None, Toy(), Batches(), steps=2)


# ------------------------------------------------------------------ precision, and other machines


CPUS = {"flags : fpu avx2 avx512f avx512_bf16": True, "flags : fpu avx2 avx512f": False,
        "flags : avx2 amx_bf16 amx_tile": True, "Features : fp asimd bf16 i8mm": True,
        "Features : fp asimd": False, "model name : A bf16x CPU": False, "": False}


@pytest.mark.parametrize("text, native", CPUS.items())
def test_the_cpu_is_asked_whether_it_has_bfloat16(tmp_path, monkeypatch, text, native):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(state, "CPUINFO", tmp_path / "cpuinfo")
    assert state.native_bfloat16() is native
    assert not state.native_bfloat16("meta")
    _, history = toy_fit(steps=10, precision="auto")
    assert history.precision == ("bfloat16" if native else "float32")
    seen = []
    method, data = toy()
    method.G_xy.register_forward_hook(lambda net, inputs, output: seen.append(output.dtype))
    toy_fit(None, method, data, steps=1, precision="auto")
    assert set(seen) == {torch.bfloat16 if native else torch.float32}
    monkeypatch.setattr(state, "CPUINFO", tmp_path / "none")  # macOS, Windows
    assert not state.native_bfloat16() and state.precision_of("cpu", "auto")[0] == "float32"


@pytest.mark.parametrize("native, precision", [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_is_asked_too(monkeypatch, native, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert state.precision_of("cuda", "auto")[0] == precision
    assert state.precision_of("cuda:1", "float32")[0] == "float32"


@pytest.mark.parametrize("before, now", [("bfloat16", "float16"), ("float16", "bfloat16"),
                                         ("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_state_of_another_machine_goes_on_with_a_warning(tmp_path, monkeypatch, before, now):
    """precision="auto" is bfloat16 on an A100, float16 on a T4."""
    usual, path = state.precision_of, tmp_path / "s.pt"
    monkeypatch.setattr(state, "precision_of", lambda device, _: usual(device, before))
    with pytest.raises(Interrupt):
        toy_fit(path, steps=20, precision="auto", callback=stop_at(9), callback_every=1)
    monkeypatch.setattr(state, "precision_of", lambda device, _: usual(device, now))
    with pytest.warns(UserWarning, match=f"s.pt: was saved in {before}, goes on in {now}"):
        method, history = toy_fit(path, steps=20, precision="auto")
    assert history["step"] == [10, 20] and history.precision == now
    assert all(p.isfinite().all() for p in method.parameters())


def test_a_state_of_two_gpus_goes_on_where_there_are_none(tmp_path, monkeypatch):
    usual, path = saving.random_state, tmp_path / "s.pt"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with monkeypatch.context() as patched:
        patched.setattr(state, "random_state", lambda: usual() | {
            "cuda": [torch.zeros(16, dtype=torch.uint8)] * 2})
        patched.setattr(state, "set_random_state", lambda _: None)
        with pytest.raises(Interrupt):
            toy_fit(path, steps=20, callback=stop_at(9), callback_every=1)
    with pytest.warns(UserWarning, match="random generators of 2 GPUs, here are 0"):
        toy_fit(path, steps=20)
    toy_fit(tmp_path / "straight", steps=20)
    assert_same(saved(tmp_path / "straight"), saved(path))


# ------------------------------------------------------------------ who learns


def test_a_method_of_which_nothing_can_learn_is_refused():
    method, data = toy()
    method.G_xy.requires_grad_(False)
    with pytest.raises(ValueError, match="generators is frozen"):
        fit(method, data, 1, progress=False)


def test_every_methods_fingerprint_is_plain_and_its_own():
    prints = {name: saving.hyperparameters(make()) for name, make in METHODS.items()}
    assert len({json.dumps(found) for found in prints.values()}) == len(METHODS)
    assert prints["CycleGAN"] == saving.hyperparameters(METHODS["CycleGAN"]())
    assert prints["JointStarGAN"]["blocks"] == (3, 2)
    assert prints["CoGAN"]["z_shape"] == (4, 4, 4)
    names = {k for k in prints["CycleGAN"] if not k.startswith(("G_", "D_", "pool"))}
    assert names == {"class", "lambda_cyc", "lambda_idt"}
    pools = [saving.hyperparameters(CycleGAN(*[nn.Identity()] * 4, pool_size=n)) for n in (5, 6)]
    assert pools[0]["pool_x"] != pools[1]["pool_x"]
