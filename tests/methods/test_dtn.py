"""DTN: three classes, two consistency terms, and an f that never moves. XGAN's teacher."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gantutor import recipes
from gantutor.data import Unpaired
from gantutor.methods.dtn import DTN, Taught
from gantutor.training import fit


def made(**weights):
    torch.manual_seed(0)
    f = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4))
    g = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 3, 1, 1), nn.Tanh())
    D = nn.Sequential(nn.Conv2d(3, 5, 4, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                      nn.Linear(5, 3))
    return DTN(f, g, D, **weights).train()


def batch():
    generator = torch.Generator().manual_seed(0)
    return {k: torch.rand(3, 3, 8, 12, generator=generator) * 2 - 1 for k in "xy"}


def test_the_losses_by_their_definition():
    method, images = made(lambda_const=3.0, lambda_tid=7.0), batch()
    x, y = images["x"], images["y"]
    total, parts = method.generator_loss(images)
    to_x, to_y = method.g(method.f(x)), method.g(method.f(y))
    logs = [method.D(u).log_softmax(1) for u in (to_x, to_y, y)]
    expected = (-logs[0][:, 2].mean() - logs[1][:, 2].mean()
                + 3 * (method.f(to_x) - method.f(x)).square().mean()
                + 7 * (to_y - y).square().mean())
    torch.testing.assert_close(total, expected)
    loss, _ = method.discriminator_loss(images)
    torch.testing.assert_close(loss, -sum(logs[k][:, k].mean() for k in range(3)))
    loss.backward()
    assert all(p.grad is None for p in method.g.parameters())
    assert set(parts) == {"gan", "const", "tid"}


def test_f_keeps_its_weights_and_its_statistics_and_passes_the_gradient_on():
    method = made()
    before = copy.deepcopy(method.f.state_dict())
    images = torch.randint(0, 256, (6, 3, 8, 12), dtype=torch.uint8)
    fit(method, Unpaired(images, images, 2), 3, progress=False)
    assert all(torch.equal(before[k], v) for k, v in method.f.state_dict().items())
    assert not method.f.training and method.g.training
    images = batch()
    _, parts = method.generator_loss(images)
    const = F.mse_loss(method.f(images["fake_x"]), method.f(images["x"]))
    assert torch.autograd.grad(const, method.g[1].weight)[0].abs().sum() > 0
    assert parts["const"] == pytest.approx(const.item())


def taught(**weights):
    torch.manual_seed(0)
    start = recipes.common_space(4, channels=4, width=4, lambda_kl=0.0)
    teacher = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 6))
    return Taught(*start.players()[0], D_x=start.D_x, D_y=start.D_y, D_z=start.D_z,
                  teacher=teacher, d=6, code=64, **weights)


def test_the_teacher_adds_its_term_and_learns_nothing():
    images = {k: torch.rand(3, 3, 32, 32) * 2 - 1 for k in "xy"}
    method = taught(lambda_teach=3.0)
    plain = taught(lambda_teach=0.0).generator_loss(dict(images))[0]
    total, parts = method.generator_loss(dict(images))
    told = method.T.net[2](images["x"].unfold(2, 8, 8).unfold(3, 8, 8).mean((4, 5)).flatten(1))
    read = nn.functional.linear(method.E_x(images["x"]).flatten(1), method.head.weight,
                                method.head.bias)
    torch.testing.assert_close(total - plain, 3 * (read - told).abs().mean(), rtol=1e-4, atol=1e-5)
    assert set(parts) == {"rec", "teach"}
    before = {k: v.clone() for k, v in method.state_dict().items()}
    stack = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    fit(method, Unpaired(stack, stack, 2), 2, progress=False)
    moved = {name.split(".")[0] for name, value in method.state_dict().items()
             if not torch.equal(before[name], value)}
    assert {"head", "E_x", "G_y"} <= moved and "T" not in moved
