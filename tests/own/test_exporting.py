"""ONNX files: another program draws the pictures that torch draws, at every size."""

import argparse
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from gantutor import portable
from gantutor.autoencoders import coders
from gantutor.methods.common_space import TwoAutoencoders
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.stargan import SmallStarGenerator, StarGAN, StarGANGenerator
from gantutor.models import PixelGenerator, ResnetGenerator, SmallGenerator
from gantutor.own import exporting
from gantutor.own.tiling import of_planes, with_coordinates

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

MODELS = {
    "small": lambda: CycleGAN(SmallGenerator(6, 1), SmallGenerator(6, 1, 2, skip=False),
                              nn.Identity(), nn.Identity()),
    "pixel": lambda: Direct(PixelGenerator(5, 2), nn.Identity()),
    "official": lambda: Direct(ResnetGenerator(width=4, blocks=2), nn.Identity()),
    "stargan": lambda: StarGAN(SmallStarGenerator(3, 4), nn.Identity()),
    "official stargan": lambda: StarGAN(StarGANGenerator(3, 4, 2), nn.Identity()),
    "common space": lambda: TwoAutoencoders(*coders(2, 16, channels=4, width=4)),
}


def stored(name, folder):
    torch.manual_seed(0)
    method = MODELS[name]()
    for p in method.parameters():
        nn.init.normal_(p, std=0.3)
    portable.save_model(folder / "m.safetensors", method, {"size": 16})
    return folder / "m.safetensors"


@pytest.mark.parametrize(("name", "back"), [
    ("small", False), ("small", True), ("pixel", False), ("official", False), ("stargan", False),
    ("official stargan", False), ("common space", False), ("common space", True)])
def test_onnxruntime_draws_what_torch_draws(name, back, tmp_path):
    model = portable.load_model(stored(name, tmp_path))
    path = tmp_path / "out" / "model.onnx"
    assert exporting.export(model, path, back) <= 1e-4
    session = onnxruntime.InferenceSession(str(path))
    said = json.loads(session.get_modelmeta().custom_metadata_map["gantutor"])
    assert said["multiple"] == model.multiple and said["about"] == {"size": 16}
    for n, tall, wide in ((1, 3, 5), (4, 7, 2)):
        n = 1 if model.fixed_size else n
        size = [model.fixed_size or max(model.smallest, side * model.multiple)
                for side in (tall, wide)]
        x = torch.rand(n, 3, *size) * 2 - 1
        feed, code = {"x": x.numpy()}, None
        if model.codes:
            code = torch.eye(3)[:1]
            feed["code"] = code.expand(n, -1).numpy()
        expected = model.back(x) if back else model.translate(x, code)
        found = session.run(None, feed)[0]
        assert found.shape == tuple(x.shape)
        assert np.abs(found - expected.numpy()).max() < 1e-4
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]  # whole, in one file


def test_coordinates_from_the_size_are_the_networks_own():
    net = SmallGenerator(6, 1)
    x = torch.rand(2, 3, 12, 20)
    with torch.no_grad():
        torch.testing.assert_close(exporting.OfAnySize(net)(x), net(x), rtol=0, atol=1e-5)
        assert torch.equal(of_planes(net, with_coordinates(x)), net(x))


def command(*words):
    top = argparse.ArgumentParser()
    exporting.add_command(top.add_subparsers())
    options = top.parse_args(["export", *map(str, words)])
    return options.act(options)


def test_the_command(tmp_path, capsys):
    path = stored("small", tmp_path)
    assert command(path, tmp_path / "a.onnx") == 0
    assert "H and W: any multiples of 4; differs from torch by at most" in capsys.readouterr().err
    with pytest.raises(ValueError, match="a.txt: expected a name that ends in .onnx"):
        command(path, tmp_path / "a.txt")
    with pytest.raises(ValueError, match="no way back"):
        command(stored("pixel", tmp_path), tmp_path / "b.onnx", "--back")
    with pytest.raises(FileNotFoundError, match="nothing.safetensors"):
        command(tmp_path / "nothing.safetensors", tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    model = portable.load_model(stored("pixel", tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"onnxruntime is not installed; `pip install 'gantutor\["):
        exporting.export(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_file_that_draws_something_else_is_not_written(tmp_path, monkeypatch):
    model = portable.load_model(stored("pixel", tmp_path))
    monkeypatch.setattr(exporting, "AGREE", -1.0)
    with pytest.raises(ValueError, match="a.onnx: not written, onnxruntime's pictures differ"):
        exporting.export(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
