"""Models in one file: what comes back is what was saved, and a damaged file says so."""

import json
import pickle
import random
import struct
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import gantutor
from gantutor import portable, runs
from gantutor.autoencoders import CodeDiscriminator, coders
from gantutor.methods.common_space import ShuffledColours, TwoAutoencoders
from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.methods.stargan import JointStarGAN, SmallStarGenerator, StarGAN, StarGANGenerator
from gantutor.methods.supervised import Supervised, SupervisedEdits, SupervisedPair
from gantutor.models import PixelGenerator, ResnetGenerator, SmallGenerator
from gantutor.portable.shapes import describe, rebuild, shapes_of
from gantutor.saving import read_metadata, save_weights

G = partial(SmallGenerator, width=4, blocks=1)
ABOUT = {"size": 32, "domains": ["photo", "ink"]}
NAMES = ["black", "blond", "male"]


def scrambled(method, seed=0):
    """The method with weights that are large and not symmetric, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in method.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
    return method.eval()


def pictures(height=24, width=16, count=2):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def space(kind=TwoAutoencoders, **how):
    size, more = how.pop("size", 16), {}
    if kind is ShuffledColours:
        more = {"D_x": nn.Identity(), "D_y": nn.Identity(), "D_z": CodeDiscriminator(4, width=8)}
    return kind(*coders(how.pop("shared", 2), size, channels=4, width=6, **how), **more)


METHODS = {
    "Direct": lambda: Direct(G(), nn.Identity()),
    "Direct, downs, no skip": lambda: Direct(G(downs=3, skip=False), nn.Identity()),
    "Direct, no blocks": lambda: Direct(G(blocks=0, downs=2), nn.Identity()),
    "Perceptual": lambda: Perceptual(PixelGenerator(7, 2), nn.Identity(), nn.Identity()),
    "OneWayCycleGAN": lambda: OneWayCycleGAN(G(), G(downs=2), nn.Identity()),
    "CycleGAN": lambda: CycleGAN(ResnetGenerator(width=4, blocks=2), ResnetGenerator(width=3),
                                 nn.Identity(), nn.Identity()),
    "DiscoGAN": lambda: DiscoGAN(G(), PixelGenerator(), nn.Identity(), nn.Identity()),
    "DualGAN": lambda: DualGAN(G(), G(), nn.Identity(), nn.Identity()),
    "Supervised": lambda: Supervised(G()),
    "SupervisedPair": lambda: SupervisedPair(G(), G()),
    "nothing shared": lambda: space(shared=0),
    "some shared": lambda: space(shared=(1, 2), encoder_sees_flag=True),
    "all shared, small encoder": lambda: space(ShuffledColours, size=32, shared=(3, 4),
                                               encoder_size=16, encoder_sees_flag=True),
    "StarGAN": lambda: StarGAN(SmallStarGenerator(3, 4, 2, 2), nn.Identity()),
    "StarGAN of the authors": lambda: StarGAN(StarGANGenerator(3, 4, 2), nn.Identity()),
    "JointStarGAN": lambda: JointStarGAN(SmallStarGenerator(7, 4), nn.Identity(), (3, 2)),
    "SupervisedEdits": lambda: SupervisedEdits(SmallStarGenerator(3, 4)),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_model_comes_back_as_it_was(name, tmp_path):
    method, path = scrambled(METHODS[name]()), tmp_path / "model.safetensors"
    portable.save_model(path, method, ABOUT)
    model = gantutor.load(path)
    assert model.method == type(method).__name__
    assert model.about["domains"] == ["photo", "ink"]
    assert set(model.networks) == set(method.ships)
    for net in model.networks.values():
        assert not net.training and not any(p.requires_grad for p in net.parameters())
    size = model.fixed_size or 24
    x = pictures(size, model.fixed_size or 16)
    close = partial(torch.testing.assert_close, rtol=0, atol=1e-5)
    with torch.no_grad():
        if "G" in model.networks:
            code = torch.randint(0, 2, (1, model.described["G"]["codes"])).float()
            close(model.translate(x, code), method.translate(x, code.expand(2, -1)))
        else:
            close(model.translate(x), method.translate(x))
            assert model.translate(x).shape == x.shape
        if hasattr(method, "back"):
            close(model.back(x), method.back(x))
        else:
            with pytest.raises(ValueError, match=f"{model.method} .* no way back"):
                model.back(x)


@pytest.mark.parametrize("name", METHODS)
def test_the_description_is_that_of_the_live_networks(name):
    method = METHODS[name]()
    networks = {name: getattr(method, name) for name in method.ships}
    again = rebuild(json.loads(json.dumps(describe(shapes_of(networks)))))
    for name, net in networks.items():
        assert str(again[name]) == str(net)  # every layer with its settings
        for key, tensor in net.state_dict().items():
            assert again[name].state_dict()[key].shape == tensor.shape
    if "E_x" in networks:
        for one, other in (("E_x", "E_y"), ("G_x", "G_y")):
            theirs, ours = ([a is b for a, b in zip(nets[one].stages, nets[other].stages,
                                                    strict=True)] for nets in (networks, again))
            assert ours == theirs
        assert [net.flag for net in again.values()] == [net.flag for net in networks.values()]
        assert again["E_x"].shrink == networks["E_x"].shrink


def test_a_network_that_could_not_be_rebuilt_is_not_written(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(ValueError, match="m.safetensors: not written.*expected (of|.*encoders)|no "
                                         "tensors of SmallGenerator"):
        portable.save_model(path, Direct(nn.Conv2d(3, 3, 3, padding=1), nn.Identity()), ABOUT)

    class Louder(SmallGenerator):  # the same tensors, another picture
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(ValueError, match="G_xy is a Louder that could not be rebuilt"):
        portable.save_model(path, Direct(Louder(4), nn.Identity()), ABOUT)
    reflecting = StarGANGenerator(3, 4, 1, padding_mode="reflect")
    with pytest.raises(ValueError, match="G is a StarGANGenerator that could not"):
        portable.save_model(path, StarGAN(reflecting, nn.Identity()), ABOUT)
    with pytest.raises(ValueError, match="a network of 1 channels, expected 3"):
        portable.save_model(path, Direct(ResnetGenerator(1, 4, 1), nn.Identity()), ABOUT)
    with pytest.raises(ValueError, match="Linear with the networks  cannot be stored"):
        portable.save_model(path, nn.Linear(2, 2), ABOUT)
    assert not path.exists()


@pytest.mark.parametrize(("about", "what"), [
    ({"size": "64"}, "size='64', expected px"), ({"size": 4}, "size=4"),
    ({"codes": ["a", "b"]}, "expected 3 different names"),
    ({"codes": ["a", "b", "b"]}, "expected 3 different names"),
    ({"thing": object()}, "cannot be written"), ({"number": float("nan")}, "cannot be written")])
def test_what_is_said_about_a_model_has_to_fit(about, what, tmp_path):
    method = StarGAN(SmallStarGenerator(3, 4), nn.Identity())
    with pytest.raises(ValueError, match=what):
        portable.save_model(tmp_path / "m.safetensors", method, about)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_run_is_its_model(tmp_path):
    portable.save_model(tmp_path / "model.safetensors", METHODS["Direct"](), ABOUT)
    assert gantutor.load(tmp_path).about == ABOUT
    with pytest.raises(FileNotFoundError, match="nothing/model.safetensors|nothing: no such"):
        gantutor.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="device='gpu9': cannot be used here"):
        gantutor.load(tmp_path, "gpu9")


def test_which_pictures_a_model_takes(tmp_path):
    def made(method, about=ABOUT):
        portable.save_model(tmp_path / "m", method, about)
        found = gantutor.load(tmp_path / "m")
        return found.multiple, found.smallest, found.fixed_size

    assert made(METHODS["Direct"]()) == (2, 2, None)
    assert made(METHODS["Direct, downs, no skip"]()) == (8, 8, None)
    assert made(METHODS["Perceptual"]()) == (1, 1, None)
    assert made(METHODS["CycleGAN"]()) == (4, 8, None)
    assert made(METHODS["OneWayCycleGAN"]()) == (4, 4, None)  # the way back is deeper
    assert made(METHODS["some shared"]()) == (16, 16, 16)
    assert made(METHODS["StarGAN"](), {"size": 48}) == (4, 4, 48)
    assert made(METHODS["StarGAN of the authors"](), {"size": 48}) == (4, 8, 48)


# ------------------------------------------------------------------ codes


def starred(tmp_path, method="StarGAN", codes=NAMES):
    portable.save_model(tmp_path / "s", scrambled(METHODS[method]()), ABOUT | {"codes": codes})
    return gantutor.load(tmp_path / "s")


def test_a_code_by_its_names(tmp_path):
    model = starred(tmp_path)
    assert model.codes == ("black", "blond", "male")
    assert model.code("blond").tolist() == [[0, 1, 0]]
    assert model.code("male, black").tolist() == model.code(["black", "male"]).tolist() == [
        [1, 0, 1]]
    x = pictures()
    assert torch.equal(model.translate(x, "blond"), model.translate(x, torch.tensor([0, 1, 0])))
    assert not torch.equal(model.translate(x, "blond"), model.translate(x, "male"))
    for to, what in ((None, "needs a domain; expected of black, blond, male"),
                     ("red", "'red': no such domain; expected of black, blond, male"),
                     ("blond,", "'': no such domain"), (torch.ones(4), "4 numbers, expected 3")):
        with pytest.raises(ValueError, match=what):
            model.translate(x, to)


def test_a_joint_code_says_which_set_is_meant(tmp_path):
    model = starred(tmp_path, "JointStarGAN", ["black", "blond", "long", "happy", "sad"])
    assert model.code("blond,long").tolist() == [[0, 1, 1, 0, 0, 1, 0]]
    assert model.code("sad").tolist() == [[0, 0, 0, 0, 1, 0, 1]]
    with pytest.raises(ValueError, match="both sets of labels; expected of black, blond, long or"):
        model.code("sad,long")


def test_only_stargan_has_codes(tmp_path):
    portable.save_model(tmp_path / "m", METHODS["CycleGAN"](), ABOUT)
    model = gantutor.load(tmp_path / "m")
    assert model.codes == ()
    with pytest.raises(ValueError, match="to='blond': a CycleGAN has no codes"):
        model.translate(pictures(), "blond")


# ------------------------------------------------------------------ the course's checkpoints


@pytest.mark.parametrize("name", ["ink_cyclegan", "retro_deep", "avatars_remedies",
                                  "monochromes_hider", "faces_joint", "faces_brownblack"])
def test_shipped_checkpoints_load_without_their_recipe(name):
    seed = runs.seeds(name)[0]
    model, method = gantutor.load(runs.checkpoint_path(name, seed)), runs.load(name, seed)
    x = pictures(model.fixed_size or 40, model.fixed_size or 24)
    if model.codes:
        code = model.code("3")
        found, expected = model.translate(x, "3"), method.translate(x, code.expand(2, -1))
        assert code.tolist() == [[0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]] and model.fixed_size == 32
    else:
        found, expected = model.translate(x), method.translate(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert model.about["command"].endswith(f"train {name} --seed {seed}")


def test_a_checkpoint_of_other_layers_is_refused(tmp_path):
    """`PixelDrawer` has the tensors of a `PixelGenerator`: the stored digest tells them apart."""
    path = tmp_path / "m.safetensors"
    said = {"method": {"class": "Direct", "G_xy": "0" * 16}}
    save_weights(path, {"G_xy": PixelGenerator(4, 2)},
                 {"command": "c", "hyperparameters": json.dumps(said)})
    with pytest.raises(ValueError, match="m.safetensors: not a whole model.*its header says 0000"):
        gantutor.load(path)


# ------------------------------------------------------------------ damaged and hostile files


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(bytes of a model's file, its translation of a picture)."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    portable.save_model(path, scrambled(CycleGAN(G(), G(), nn.Identity(), nn.Identity())), ABOUT)
    return path.read_bytes(), gantutor.load(path).translate(pictures())


def corrupted(data, draw):
    """One random damage: bytes changed, cut off, doubled, removed, or a number of the header."""
    kind, at = draw.randrange(6), draw.randrange(len(data))
    header = 8 + int.from_bytes(data[:8], "little")
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1:]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + draw.randbytes(draw.randrange(1, 40)) + data[at:]
    if kind == 3:
        return data[:at] + data[at + draw.randrange(1, 200):]
    if kind == 4:  # within the header
        at = draw.randrange(header)
        return data[:at] + draw.randbytes(1) + data[at + 1:]
    digits = [k for k in range(8, header) if data[k:k + 1].isdigit()]
    at = draw.choice(digits)
    return data[:at] + str(draw.randrange(10)).encode() + data[at + 1:]


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_damaged_file_is_named_or_loads_as_it_was(count, whole, tmp_path):
    (data, expected), draw, refused = whole, random.Random(count), 0
    path = tmp_path / "damaged.safetensors"
    for k in range(count):
        path.write_bytes(corrupted(data, draw))
        try:
            model = gantutor.load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error), k
            refused += 1
        else:
            assert torch.equal(model.translate(pictures()), expected), k
    assert refused > 0.8 * count


def test_a_changed_weight_and_a_changed_word_are_noticed(whole, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(whole[0][:-1] + bytes([whole[0][-1] ^ 1]))
    with pytest.raises(ValueError, match="its digest is another one"):
        gantutor.load(path)
    path.write_bytes(whole[0].replace(b"photo", b"phota"))
    with pytest.raises(ValueError, match="its digest is another one"):
        gantutor.load(path)


def with_header(tmp_path, whole, change):
    """A file whose header says something else, with the right digest for it."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(whole[0])
    tensors, metadata = load_file(path), read_metadata(path)
    said = json.loads(metadata["model"])
    change(said)
    model = gantutor.load(path)
    text = json.dumps(said)
    metadata |= {"model": text, "digest": portable._digest(text, model.networks)}
    save_file(tensors, path, metadata)
    return path


def test_a_header_that_lies_is_refused_before_anything_is_made(tmp_path, whole):
    def enormous(said):
        said["networks"]["G_xy"]["width"] = 10**9

    def later(said):
        said["version"] = 2

    def other(said):
        said["networks"]["G_xy"] |= {"class": "os.system"}

    for change, what in ((enormous, "'width': 1000000000"), (later, "version 2, expected 1"),
                         (other, "os.system")):
        with pytest.raises(ValueError, match=f"m.safetensors: not a whole model.*{what}"):
            gantutor.load(with_header(tmp_path, whole, change))


def test_tensors_that_ask_for_more_than_the_file_has_are_refused(tmp_path):
    """Empty tensors of a giant: a network of this width would need terabytes."""
    path = tmp_path / "m.safetensors"
    header = {"__metadata__": {"model": "{}"},
              "G_xy.net.0.weight": {"dtype": "F32", "shape": [10**6, 5, 0], "data_offsets": [0, 0]},
              "G_xy.out.weight": {"dtype": "F32", "shape": [3, 10**6, 0], "data_offsets": [0, 0]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match="m.safetensors: not a whole model.*shape"):
        gantutor.load(path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    method = METHODS["Direct"]()
    save_weights(path, {"G_xy": method.G_xy}, {"command": "c", "hyperparameters": json.dumps(
        {"method": {"class": "Direct"} | portable.digests({"G_xy": method.G_xy})})})
    gantutor.load(path)
    tensors = load_file(path) | {"G_xy.out.bias": torch.tensor([0, float("nan"), 0])}
    save_file(tensors, path, read_metadata(path))
    with pytest.raises(ValueError, match="G_xy.out.bias holds a number that is not finite"):
        gantutor.load(path)


class Touch:
    """A pickle of it writes a file when it is read without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("load", [gantutor.load, portable.from_official])
@pytest.mark.parametrize("how", ["pickle", "torch", "old torch"])
def test_no_code_of_a_file_is_run(load, how, tmp_path):
    touched, path = tmp_path / "touched", tmp_path / "hostile.pth"
    hostile = {"model.1.weight": torch.zeros(4, 3, 7, 7), "more": Touch(touched)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(hostile))
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(ValueError, match="hostile.pth: (not a readable|no generator)"):
        load(path)
    assert not touched.exists()
    if how == "pickle":  # the trap works
        pickle.loads(path.read_bytes())["more"].close()
        assert touched.exists()
