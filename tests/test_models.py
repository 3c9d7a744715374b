"""The networks: sizes, patches, initial weights, what they refuse, and who sees whom in a batch.

That the official-size ones are the authors' own is shown in test_official.py.
"""

import math

import numpy as np
import pytest
import torch

from gantutor.models import (
    PatchDiscriminator,
    ResnetGenerator,
    SmallDiscriminator,
    TextureDiscriminator,
)


def pattern(shape, index, scale):
    """Numbers without a random generator: scale * sin(0.37 i^2 + 1.7 i + index)."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (scale * torch.sin(0.37 * i * i + 1.7 * i + index)).float().reshape(shape)


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_parameter_counts():
    assert count(ResnetGenerator()) == 7_837_699  # 7.838M
    assert count(ResnetGenerator(blocks=9)) == 11_378_179  # 11.378M
    assert count(PatchDiscriminator()) == 2_764_737  # 2.765M


@pytest.mark.parametrize(
    ("size", "scores"), [((256, 256), (30, 30)), ((64, 64), (6, 6)), ((32, 32), (2, 2)),
                         ((64, 48), (6, 4)), ((24, 35), (1, 2))])
def test_discriminator_patches(size, scores):
    output = PatchDiscriminator(width=2)(pattern((2, 3, *size), 0, 1.0))
    assert output.shape == (2, 1, *scores)


def test_one_score_sees_70x70_pixels():
    torch.manual_seed(0)
    net = PatchDiscriminator(width=2).double()
    for conv in net.convs:  # all positive: no contribution cancels or dies
        torch.nn.init.uniform_(conv.weight, 0.1, 1.0)
    x = torch.ones(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    h = x
    for conv in net.convs:  # without norm, which mixes all positions
        h = conv(h)
    h[0, 0, 15, 15].backward()
    rows = x.grad[0, 0].abs().sum(dim=1).nonzero()
    columns = x.grad[0, 0].abs().sum(dim=0).nonzero()
    assert len(rows) == len(columns) == 70


def test_initial_weights():
    torch.manual_seed(0)
    for net in (ResnetGenerator(), PatchDiscriminator()):
        weights = [p.detach() for p in net.parameters() if p.ndim == 4]
        biases = [p.detach() for p in net.parameters() if p.ndim == 1]
        assert len(weights) == len(biases)
        for w in weights:
            assert w.std() == pytest.approx(0.02, rel=0.1)
            assert w.mean().abs() < 5 * 0.02 / math.sqrt(w.numel())
        assert all((b == 0).all() for b in biases)


def test_generator_treats_images_of_a_batch_alone_and_in_eval_alike():
    net = ResnetGenerator(width=8, blocks=2)
    with torch.no_grad():
        for k, parameter in enumerate(net.parameters(), 1):
            parameter.copy_(pattern(parameter.shape, k, 0.1))
    x = pattern((2, 3, 16, 24), 0, 1.0)
    both = net(x)
    torch.testing.assert_close(both[1:], net(x[1:]), rtol=0, atol=1e-5)
    torch.testing.assert_close(both, net.eval()(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (20, 8)])
def test_generator_takes_its_smallest_sizes(size):
    assert ResnetGenerator(width=2, blocks=1)(pattern((2, 3, *size), 0, 1.0)).shape[2:] == size


@pytest.mark.parametrize("size", [(4, 8), (8, 4), (18, 16), (16, 18)])
def test_generator_refuses_sizes(size):
    with pytest.raises(ValueError, match=f"multiples of 4, got H={size[0]}, W={size[1]}"):
        ResnetGenerator(width=2, blocks=1)(torch.zeros(2, 3, *size))


def test_discriminator_refuses_small_images():
    with pytest.raises(ValueError, match="at least 24, got H=23, W=32"):
        PatchDiscriminator(width=2)(torch.zeros(2, 3, 23, 32))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 1, 16, 16), (2, 16, 16, 3)])
def test_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"expected images of shape \(N, 3, H, W\)"):
        ResnetGenerator(width=2, blocks=1)(torch.zeros(shape))


def test_a_discriminator_with_a_group_sees_how_much_a_batch_varies():
    """Against numpy: images 0 and 2, 1 and 3 are a group of two of a batch of four."""
    net = SmallDiscriminator(width=4, layers=2, group=2)
    x = pattern((4, 3, 16, 24), 0, 1.0) * torch.tensor([1.0, 0.2, -0.5, 0.9]).view(4, 1, 1, 1)
    seen = []
    net.score.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    assert net(x).shape == (4, 1, 4, 6)
    features, spread = seen[0].numpy()[:, :8], seen[0].numpy()[:, 8:]
    for k in range(4):
        pair = features[[k, (k + 2) % 4]]
        expected = np.sqrt(pair.var(0, ddof=1) + 1e-4)
        np.testing.assert_allclose(spread[k], expected, rtol=1e-4, atol=1e-6)
    net(x[:1].expand(4, -1, -1, -1))  # a collapsed generator's batch
    assert seen[1][:, 8:].max() == pytest.approx(0.01)
    with pytest.raises(ValueError, match="3 images are no multiple of group=2"):
        net(x[:3])


def test_a_texture_discriminator_does_not_know_where_it_looks():
    """An image that moves by one score's step (4 pixels) moves its scores."""
    torch.manual_seed(0)
    texture, placed = (kind(width=4, layers=2) for kind in (TextureDiscriminator,
                                                            SmallDiscriminator))
    x = pattern((2, 3, 32, 40), 0, 1.0)
    moved = x.roll((4, 8), (2, 3))
    scores, shifted = texture(x), texture(moved)  # compared far from the padded rim
    torch.testing.assert_close(scores[:, :, 2:4, 2:5], shifted[:, :, 3:5, 4:7])
    scores, shifted = placed(x), placed(moved)
    assert (scores[:, :, 2:4, 2:5] - shifted[:, :, 3:5, 4:7]).abs().max() > 1e-3
    assert texture(x).shape == (2, 1, 8, 10)
    assert texture.net[0].in_channels == 3 and placed.net[0].in_channels == 5
    assert [h.shape for h in texture.features(x)] == [(2, 4, 16, 20), (2, 8, 8, 10)]
