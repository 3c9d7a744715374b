"""What each METHOD trains: networks that fit the size, losses that are finite, models that load."""

import pytest
import torch

from gantutor.methods.common_space import ShuffledColours
from gantutor.methods.cyclegan import CycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.methods.stargan import StarGAN
from gantutor.own.plans import METHODS, plan
from gantutor.portable import load_model, save_model

KINDS = {"direct": Direct, "vgg": Perceptual, "cyclegan": CycleGAN, "discogan": DiscoGAN,
         "dualgan": DualGAN, "stargan": StarGAN, "common-space": ShuffledColours}


def batch(size):
    torch.manual_seed(1)
    x, y = (torch.rand(2, 3, size, size) * 2 - 1 for _ in range(2))
    return {"x": x, "y": y, "code": torch.eye(3)[:2]}


def made(name, size, device):
    torch.manual_seed(0)
    return plan(name, size, device, 3 if name == "stargan" else None).make()


def test_every_method_has_a_plan():
    assert METHODS.keys() == KINDS.keys()


@pytest.mark.parametrize("name, size, device", [
    *((name, 16, "cpu") for name in KINDS), ("cyclegan", 128, "cpu"),
    ("direct", 32, "cuda"), ("cyclegan", 32, "cuda"), ("discogan", 32, "cuda:1"),
    ("dualgan", 32, "cuda"), ("stargan", 64, "cuda"), ("common-space", 32, "cuda")])
def test_both_players_have_a_loss_and_the_model_loads_again(name, size, device, tmp_path):
    method = made(name, size, device)
    assert type(method) is KINDS[name]
    if hasattr(method, "progress"):
        method.progress = 0.9  # with the terms that start late
    drawn = batch(size)
    for player in ("generator", "discriminator"):
        total, parts = getattr(method, f"{player}_loss")(drawn)
        assert torch.isfinite(total) and parts
    save_model(tmp_path / "model.safetensors", method, {"size": size})
    again, x, code = load_model(tmp_path / "model.safetensors"), drawn["x"], torch.eye(3)[1]
    with torch.no_grad():
        known = method.translate(x, code.expand(2, -1)) if name == "stargan" else (
            method.translate(x))
    found = again.translate(x, code) if name == "stargan" else again.translate(x)
    assert torch.allclose(found, known, atol=1e-4)  # another memory layout rounds otherwise


def test_a_gpu_gets_the_papers_settings_and_a_cpu_the_courses():
    here, there = plan("cyclegan", 64, "cpu"), plan("cyclegan", 256, "cuda")
    assert (here.lr, here.batch_size, here.precision, here.settings) == (1e-3, 8, "float32", {})
    assert (there.lr, there.precision, there.settings) == (2e-4, "auto", {"betas": (0.5, 0.999)})
    star = plan("stargan", 128, "cuda", 5)
    assert star.settings == {"betas": (0.5, 0.999), "n_critic": 5}
    assert len(made("cyclegan", 256, "cuda").G_xy.blocks) == 9
    assert len(made("cyclegan", 128, "cuda").G_xy.blocks) == 6


@pytest.mark.parametrize("name, size, device, said", [
    ("cyclegan", 66, "cpu", "--size 66: cyclegan needs a multiple of 4, at least 16"),
    ("direct", 12, "cpu", "--size 12: direct needs a multiple of 4, at least 16"),
    ("direct", 16, "cuda", "--size 16: direct needs a multiple of 4, at least 24"),
    ("stargan", 96, "cpu", "--size 96: stargan needs a power of two, at least 16"),
    ("stargan", 16, "cuda", "--size 16: stargan needs a multiple of 4, at least 32"),
    ("common-space", 8, "cpu", "--size 8: common-space needs a power of two, at least 16")])
def test_sizes_that_the_networks_cannot_have_are_named(name, size, device, said):
    with pytest.raises(ValueError) as error:
        plan(name, size, device)
    assert str(error.value) == said
