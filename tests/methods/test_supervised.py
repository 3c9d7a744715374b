"""The ceilings: L1 on true pairs, in one direction, in both, and on edits."""

import pytest
import torch

from gantutor.methods.supervised import Supervised, SupervisedEdits, SupervisedPair


def test_supervised_is_L1_on_the_pairs():
    method = Supervised(torch.nn.Conv2d(3, 3, 1))
    batch = {name: torch.rand(2, 3, 4, 6) for name in "xy"}
    total, parts = method.generator_loss(batch)
    expected = (method.G_xy(batch["x"]) - batch["y"]).abs().sum() / batch["y"].numel()
    assert total.item() == pytest.approx(expected.item())
    assert set(parts) == {"L1"} and not parts["L1"].requires_grad
    assert method.players() == ([method.G_xy], [])
    assert torch.equal(method.translate(batch["x"]), method.G_xy(batch["x"]))


def test_a_supervised_pair_learns_each_direction_from_its_own_input():
    """G_xy: x -> y as 2 x + .5, G_yx: y -> x as the way back; fed with x it would not fit."""
    there, back = (torch.nn.Conv2d(3, 3, 1) for _ in range(2))
    with torch.no_grad():
        for net, scale, shift in ((there, 2.0, 0.5), (back, 0.5, -0.25)):
            net.weight.copy_(scale * torch.eye(3).view(3, 3, 1, 1))
            net.bias.fill_(shift)
    method, x = SupervisedPair(there, back), torch.rand(2, 3, 4, 6)
    batch = {"x": x, "y": 2 * x + 0.5}
    total, parts = method.generator_loss(batch)
    assert total.item() == pytest.approx(0, abs=1e-6) and set(parts) == {"L1", "L1 back"}
    torch.testing.assert_close(method.back(method.translate(x)), x)
    shifted = batch | {"y": batch["y"] + 0.2}  # |2 x + .5 - y| = .2, and |y / 2 - .25 - x| = .1
    total, parts = method.generator_loss(shifted)
    assert parts["L1"].item() == pytest.approx(0.2, rel=1e-4)
    assert parts["L1 back"].item() == pytest.approx(0.1, rel=1e-4)
    assert total.item() == pytest.approx(0.3, rel=1e-4)
    assert method.players() == ([there, back], [])


def test_the_ceilings_loss_weighs_what_changes_as_much_as_all_the_rest():
    class Grey(torch.nn.Module):
        def forward(self, x, code):
            return x + 0.1

    x = torch.zeros(2, 3, 4, 6)
    y = x.clone()
    y[0, 1, 2, 3] = 0.5  # one channel of one pixel: that pixel is to change, 47 others to stay
    total, parts = SupervisedEdits(Grey()).generator_loss({"x": x, "y": y, "code": None})
    assert parts["changed"].item() == pytest.approx((0.1 + 0.4 + 0.1) / 3)
    assert parts["elsewhere"].item() == pytest.approx(0.1)
    assert total.item() == pytest.approx(0.2 + 0.1)
    nothing, _ = SupervisedEdits(Grey()).generator_loss({"x": x, "y": x, "code": None})
    assert nothing.item() == pytest.approx(0.1)
