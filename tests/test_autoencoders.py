"""Encoders and decoders: sizes, what is shared, what the flag does, and how they are stored."""

import copy

import pytest
import torch
import torch.nn.functional as F

from gantutor.autoencoders import CodeDiscriminator, coders, decoder_stages, encoder_stages
from gantutor.saving import load_weights, save_weights
from gantutor.state import _parameters


def batch(n=3, h=32, w=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.rand(n, 3, h, w, generator=generator) * 2 - 1 for k in "xy"}


@pytest.mark.parametrize("size", [8, 32, 64])
def test_codes_are_4_by_4_and_images_come_back_in_their_size(size):
    E_x, E_y, G_x, G_y = coders(2, size, channels=5, width=4)
    z = E_x(batch(2, size, size)["x"])
    assert z.shape == E_y(batch(2, size, size)["y"]).shape == (2, 5, 4, 4)
    assert G_x(z).shape == G_y(z).shape == (2, 3, size, size)
    assert G_y(100 * z).abs().max() <= 1


def test_encoders_may_be_shown_less_than_decoders_draw():
    E_x, _, _, G_y = coders((4, 5), 64, channels=5, width=4, encoder_size=32)
    assert len(E_x.stages) == 4 and len(G_y.stages) == 5
    x = batch(2, 64, 96)["x"]
    assert G_y(E_x(x)).shape == x.shape
    half = F.avg_pool2d(x, 2)
    E_x.shrink = 1
    torch.testing.assert_close(E_x(half), coders_like(E_x, 2)(x))
    with pytest.raises(ValueError, match="multiples of 16, got H=64, W=72"):
        coders_like(E_x, 2)(torch.zeros(1, 3, 64, 72))
    with pytest.raises(ValueError, match="encoder_size=48: expected a divisor of size=64"):
        coders(4, 64, encoder_size=48)
    with pytest.raises(ValueError, match="expected 0 to 4 at 64 px"):
        coders(5, 64, encoder_size=32)


def coders_like(E, shrink):
    """The same encoder with another `shrink`."""
    other = copy.deepcopy(E)
    other.shrink = shrink
    return other


def test_a_wide_image_keeps_its_shape():
    E_x, _, _, G_y = coders(4, channels=5, width=4)
    assert E_x(batch(2, 32, 48)["x"]).shape == (2, 5, 4, 6)
    assert G_y(E_x(batch(2, 32, 48)["x"])).shape == (2, 3, 32, 48)


def test_an_image_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="multiples of 8, got H=32, W=36"):
        coders(0, width=4)[0](torch.zeros(1, 3, 32, 36))


@pytest.mark.parametrize("k", range(5))
def test_the_stages_next_to_the_code_are_the_shared_ones(k):
    E_x, E_y, G_x, G_y = coders(k, width=4)
    assert [a is b for a, b in zip(E_x.stages, E_y.stages, strict=True)] == (
        [False] * (4 - k) + [True] * k)
    assert [a is b for a, b in zip(G_x.stages, G_y.stages, strict=True)] == (
        [True] * k + [False] * (4 - k))
    own = sum(p.numel() for net in (E_x, G_x) for p in net.parameters())
    each = sum(p.numel() for stages in (encoder_stages(width=4)[:4 - k],
                                        decoder_stages(width=4)[k:])
               for stage in stages for p in stage.parameters())
    assert sum(p.numel() for p in _parameters([E_x, E_y, G_x, G_y])) == own + each


@pytest.mark.parametrize("k", [-1, 5])
def test_a_number_of_shared_stages_that_is_not_possible_is_named(k):
    with pytest.raises(ValueError, match=f"shared={k}: expected 0 to 4 at 32 px"):
        coders(k)


@pytest.mark.parametrize("sees_flag", [False, True])
def test_the_decoder_knows_the_domain_by_its_flag_and_the_encoder_where_it_sees_it(sees_flag):
    E_x, E_y, G_x, G_y = coders(4, width=4, encoder_sees_flag=sees_flag)
    x = batch()["x"]
    assert ((E_x(x) - E_y(x)).abs().max().item() > 1e-3) == sees_flag
    assert torch.equal(E_x(x), E_y(x)) != sees_flag
    assert (G_x(E_x(x)) - G_y(E_x(x))).abs().max() > 1e-3


def test_shared_layers_are_written_once_and_read_into_both(tmp_path):
    names = ("E_x", "E_y", "G_x", "G_y")
    nets = dict(zip(names, coders(4, width=4), strict=True))
    apart = dict(zip(names, coders(0, width=4), strict=True))
    save_weights(tmp_path / "shared", nets)
    save_weights(tmp_path / "apart", apart)
    sizes = [(tmp_path / name).stat().st_size for name in ("shared", "apart")]
    assert sizes[0] < 0.6 * sizes[1]
    again = dict(zip(names, coders(4, width=4), strict=True))
    load_weights(tmp_path / "shared", again)
    x = batch()["x"]
    assert torch.equal(again["G_y"](again["E_x"](x)), nets["G_y"](nets["E_x"](x)))
    with pytest.raises(ValueError, match=r"no tensor E_y.stages.0.conv.weight"):
        load_weights(tmp_path / "shared", apart)


def test_the_code_discriminator_gives_one_score_a_code():
    assert CodeDiscriminator(4)(torch.zeros(3, 4, 4, 4)).shape == (3, 1)
