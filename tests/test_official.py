"""The authors' weights: our networks give the official code's output, and a forward by hand."""

import pytest
import torch
import torch.nn.functional as F
from test_models import pattern

from gantutor.models import PatchDiscriminator, ResnetGenerator
from gantutor.official import official_cyclegan_state

# Outputs of the official code, which the project does not contain. They were printed by the
# classes ResnetGenerator(3, 3, ngf=8, n_blocks=2, norm_layer=norm, no_antialias=True,
# no_antialias_up=True) and NLayerDiscriminator(3, ndf=8, norm_layer=norm, no_antialias=True) of
# models/networks.py in github.com/taesungp/contrastive-unpaired-translation (CUT), with
# norm = functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=False). CUT is by
# CycleGAN's authors; with these arguments the classes are pytorch-CycleGAN-and-pix2pix's own.
# Parameter k = 1, 2, ... of .parameters() was filled with pattern(shape, k, scale), scale 0.1
# for the generator and 0.15 for the discriminator, the input with pattern(shape, 0, 1).
OFFICIAL_GENERATOR = {  # input (2, 3, 16, 24)
    (0, 0, 0, 0): 0.257486,
    (0, 1, 3, 20): 0.196278,
    (0, 2, 7, 11): -0.137329,
    (0, 0, 15, 23): -0.085892,
    (0, 1, 12, 5): 0.384315,
    (1, 0, 0, 14): 0.812489,
    (1, 1, 2, 20): 0.577442,
    (1, 2, 12, 8): -0.237250,
    (1, 0, 9, 9): -0.685026,
    (1, 2, 15, 0): -0.781771,
}
OFFICIAL_DISCRIMINATOR = {  # input (2, 3, 48, 64)
    (0, 0, 0, 0): 0.834373,
    (0, 0, 0, 5): 4.357965,
    (0, 0, 1, 0): 2.123553,
    (0, 0, 2, 4): 3.269561,
    (0, 0, 3, 5): 0.198923,
    (1, 0, 0, 2): 3.857170,
    (1, 0, 1, 3): 0.191820,
    (1, 0, 2, 2): -2.870953,
    (1, 0, 3, 0): 1.809413,
    (1, 0, 3, 5): 0.751009,
}


def generator_layers(c=64, blocks=6):
    """Official layer name -> weight shape, in the official order (transposed: in, out first)."""
    layers = {
        "model.1": (c, 3, 7, 7), "model.4": (2 * c, c, 3, 3), "model.7": (4 * c, 2 * c, 3, 3)
    }
    for n in range(blocks):
        layers[f"model.{10 + n}.conv_block.1"] = (4 * c, 4 * c, 3, 3)
        layers[f"model.{10 + n}.conv_block.5"] = (4 * c, 4 * c, 3, 3)
    layers[f"model.{10 + blocks}"] = (4 * c, 2 * c, 3, 3)
    layers[f"model.{13 + blocks}"] = (2 * c, c, 3, 3)
    layers[f"model.{17 + blocks}"] = (3, c, 7, 7)
    return layers


def discriminator_layers(c=64):
    return {
        "model.0": (c, 3, 4, 4), "model.2": (2 * c, c, 4, 4), "model.5": (4 * c, 2 * c, 4, 4),
        "model.8": (8 * c, 4 * c, 4, 4), "model.11": (1, 8 * c, 4, 4),
    }


def official_state(layers, scale, transposed=()):
    """A state dict with the official keys, filled with the pattern."""
    state = {}
    for name, shape in layers.items():
        outputs = shape[1] if name in transposed else shape[0]
        state[f"{name}.weight"] = pattern(shape, len(state) + 1, scale)
        state[f"{name}.bias"] = pattern((outputs,), len(state) + 1, scale)
    return state


def small_generator_state():
    return official_state(generator_layers(8, 2), 0.1, transposed=("model.12", "model.15"))


def instance_norm_by_hand(h):
    mean = h.mean(dim=(2, 3), keepdim=True)
    variance = ((h - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    return (h - mean) / torch.sqrt(variance + 1e-5)


def generator_by_hand(s, x):
    """Straight from the official state dict s of a netG with 6 blocks."""
    def conv(name, h, **how):
        return F.conv2d(h, s[f"{name}.weight"], s[f"{name}.bias"], **how)

    def up(name, h):
        weight, bias = s[f"{name}.weight"], s[f"{name}.bias"]
        return F.conv_transpose2d(h, weight, bias, stride=2, padding=1, output_padding=1)

    def reflect(h, p):
        return F.pad(h, (p, p, p, p), mode="reflect")

    norm = instance_norm_by_hand
    h = norm(conv("model.1", reflect(x, 3))).clamp(min=0)
    h = norm(conv("model.4", h, stride=2, padding=1)).clamp(min=0)
    h = norm(conv("model.7", h, stride=2, padding=1)).clamp(min=0)
    for n in range(10, 16):
        r = norm(conv(f"model.{n}.conv_block.1", reflect(h, 1))).clamp(min=0)
        h = h + norm(conv(f"model.{n}.conv_block.5", reflect(r, 1)))
    h = norm(up("model.16", h)).clamp(min=0)
    h = norm(up("model.19", h)).clamp(min=0)
    return torch.tanh(conv("model.23", reflect(h, 3)))


def discriminator_by_hand(s, x):
    def conv(n, h, stride):
        return F.conv2d(h, s[f"model.{n}.weight"], s[f"model.{n}.bias"], stride, padding=1)

    def leaky(h):
        return torch.where(h > 0, h, 0.2 * h)

    h = leaky(conv(0, x, 2))
    h = leaky(instance_norm_by_hand(conv(2, h, 2)))
    h = leaky(instance_norm_by_hand(conv(5, h, 2)))
    h = leaky(instance_norm_by_hand(conv(8, h, 1)))
    return conv(11, h, 1)


@torch.no_grad()
def loaded_output(net, state, x):
    net.load_state_dict(official_cyclegan_state(net, state))
    return net(x)


def assert_values(output, expected):
    found = torch.stack([output[position] for position in expected])
    torch.testing.assert_close(found, torch.tensor(list(expected.values())), rtol=0, atol=5e-5)


def test_generator_gives_the_official_output():
    net = ResnetGenerator(width=8, blocks=2)
    output = loaded_output(net, small_generator_state(), pattern((2, 3, 16, 24), 0, 1.0))
    assert_values(output, OFFICIAL_GENERATOR)


def test_discriminator_gives_the_official_output():
    state = official_state(discriminator_layers(8), 0.15)
    net = PatchDiscriminator(width=8)
    output = loaded_output(net, state, pattern((2, 3, 48, 64), 0, 1.0))
    assert output.shape == (2, 1, 4, 6)
    assert_values(output, OFFICIAL_DISCRIMINATOR)


def test_full_generator_equals_the_forward_by_hand():
    state = official_state(generator_layers(), 0.05, transposed=("model.16", "model.19"))
    x = pattern((2, 3, 64, 48), 0, 1.0)
    expected = generator_by_hand(state, x)
    assert expected.shape == x.shape and 0.3 < expected.std() < 0.9  # neither dead nor saturated
    torch.testing.assert_close(
        loaded_output(ResnetGenerator(), state, x), expected, rtol=0, atol=1e-4)


def test_full_discriminator_equals_the_forward_by_hand():
    state = official_state(discriminator_layers(), 0.05)
    x = pattern((2, 3, 64, 48), 0, 1.0)
    expected = discriminator_by_hand(state, x)
    assert expected.std() > 0.1
    torch.testing.assert_close(
        loaded_output(PatchDiscriminator(), state, x), expected, rtol=1e-4, atol=1e-4)


def test_biases_before_a_norm_land_in_their_own_layer():
    """InstanceNorm cancels them, so no output would show a mix-up."""
    state = small_generator_state()
    ours = official_cyclegan_state(ResnetGenerator(width=8, blocks=2), state)
    pairs = {
        "c7s1_in": "model.1", "down1": "model.4", "down2": "model.7",
        "blocks.0.conv1": "model.10.conv_block.1", "blocks.0.conv2": "model.10.conv_block.5",
        "blocks.1.conv1": "model.11.conv_block.1", "blocks.1.conv2": "model.11.conv_block.5",
        "up1": "model.12", "up2": "model.15", "c7s1_out": "model.19",
    }
    assert len(ours) == len(state) == 2 * len(pairs)
    for our_name, name in pairs.items():
        assert torch.equal(ours[f"{our_name}.bias"], state[f"{name}.bias"])


def test_old_checkpoints_and_dataparallel():
    state = small_generator_state()
    net = ResnetGenerator(width=8, blocks=2)
    old = {f"module.{key}": value for key, value in state.items()}
    old["module.model.2.running_mean"] = torch.zeros(8)
    old["module.model.2.running_var"] = torch.ones(8)
    old["module.model.2.num_batches_tracked"] = torch.tensor(3)
    ours, expected = official_cyclegan_state(net, old), official_cyclegan_state(net, state)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in ours)
    assert len(state) == 20 and len(old) == 23  # the caller's dicts are left as they were


def test_wrong_checkpoints_are_named():
    state, net = small_generator_state(), ResnetGenerator(width=8, blocks=2)
    missing = {k: v for k, v in state.items() if k != "model.4.bias"}
    with pytest.raises(ValueError, match=r"model\.4\.bias .* is missing"):
        official_cyclegan_state(net, missing)
    with pytest.raises(ValueError, match=r"unexpected keys.*model\.5\.weight"):  # BatchNorm
        official_cyclegan_state(net, state | {"model.5.weight": torch.ones(16)})
    with pytest.raises(ValueError, match=r"model\.1\.weight has shape \(8, 3, 7, 7\)"):
        official_cyclegan_state(ResnetGenerator(width=4, blocks=2), state)
    with pytest.raises(ValueError, match=r"model\.12\.conv_block\.1\.weight .* is missing"):
        official_cyclegan_state(ResnetGenerator(width=8, blocks=3), state)
    with pytest.raises(ValueError, match=r"model\.0\.weight .* is missing"):  # netG for a D
        official_cyclegan_state(PatchDiscriminator(width=8), state)
    with pytest.raises(TypeError, match="got Conv2d"):
        official_cyclegan_state(torch.nn.Conv2d(3, 3, 1), state)
