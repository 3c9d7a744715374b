"""Released weights as models: the width and the blocks are read off the file."""

import random

import pytest
import torch
from test_models import pattern
from test_official import (
    OFFICIAL_GENERATOR,
    assert_values,
    discriminator_layers,
    generator_layers,
    official_state,
    small_generator_state,
)

from gantutor.methods.stargan import StarGANGenerator
from gantutor.portable import from_official


def saved(path, state):
    torch.save(state, path)
    return path


def test_cyclegans_generator_gives_the_official_output(tmp_path):
    model = from_official(saved(tmp_path / "latest_net_G_A.pth", small_generator_state()))
    assert model.described == {"G_xy": {"class": "ResnetGenerator", "channels": 3, "width": 8,
                                        "blocks": 2}}
    assert (model.multiple, model.smallest, model.fixed_size) == (4, 8, None)
    assert_values(model.translate(pattern((2, 3, 16, 24), 0, 1.0)), OFFICIAL_GENERATOR)
    with pytest.raises(ValueError, match="no way back"):
        model.back(torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize("blocks", [6, 9])
def test_prefixes_old_statistics_and_any_number_of_blocks(tmp_path, blocks):
    transposed = (f"model.{10 + blocks}", f"model.{13 + blocks}")
    state = official_state(generator_layers(4, blocks), 0.1, transposed)
    old = {f"module.{key}": value for key, value in state.items()}
    old |= {"module.model.2.running_mean": torch.ones(4),
            "module.model.2.running_var": torch.ones(4) * 3,
            "module.model.11.conv_block.2.num_batches_tracked": torch.tensor(5)}
    x = pattern((2, 3, 24, 16), 0, 1.0)
    plain, prefixed = (from_official(saved(tmp_path / "g.pth", s)).translate(x)
                       for s in (state, old))
    assert torch.equal(plain, prefixed) and plain.std() > 0.05


@pytest.mark.parametrize(("codes", "named"), [(5, "Male"), (8, "sad"), (3, "2")])
def test_stargans_generator(tmp_path, codes, named):
    torch.manual_seed(0)
    net = StarGANGenerator(codes, width=4, blocks=2)
    state = net.state_dict() | {"main.1.running_mean": torch.ones(4),
                                "main.1.running_var": torch.ones(4)}
    model = from_official(saved(tmp_path / "200000-G.ckpt", state))
    assert (model.method, model.fixed_size, len(model.codes)) == ("StarGAN", 128, codes)
    x, code = pattern((2, 3, 16, 24), 0, 1.0), torch.zeros(1, codes)
    code[0, model.codes.index(named)] = 1
    with torch.no_grad():
        expected = net(x, code.expand(2, -1))
    torch.testing.assert_close(model.translate(x, named), expected, rtol=0, atol=1e-5)


def test_other_files_are_named(tmp_path):
    def refuses(content, what):
        path = tmp_path / "w.pth"
        torch.save(content, path)
        with pytest.raises(ValueError, match=rf"w\.pth: no generator of CycleGAN.*{what}"):
            from_official(path)

    state = small_generator_state()
    refuses([1, 2], "a list, not a dict of tensors")
    refuses({}, "not a dict of tensors")
    refuses({"a": 1}, "not a dict of tensors")
    refuses(official_state(discriminator_layers(8), 0.1), r"its tensors are model\.0\.weight")
    refuses({k: v for k, v in state.items() if k != "model.4.bias"}, r"model\.4\.bias")
    refuses(state | {"model.5.weight": torch.ones(16)}, "unexpected keys")
    refuses(state | {"model.4.weight": torch.ones(2, 2)}, r"shape \(2, 2\)")
    refuses(state | {"model.4.bias": torch.full((16,), float("inf"))}, "not finite")
    refuses(official_state(generator_layers(4, 2) | {"model.1": (4, 1, 7, 7)}, 0.1,
                           ("model.12", "model.15")), "1 channels|shape")
    with pytest.raises(FileNotFoundError, match="nothing.pth: no such file"):
        from_official(tmp_path / "nothing.pth")


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_weights_are_named_or_load_as_they_were(count, tmp_path):
    state = official_state(generator_layers(2, 1), 0.1, ("model.11", "model.14"))
    data, draw = saved(tmp_path / "g.pth", state).read_bytes(), random.Random(count)
    x, path, refused = pattern((1, 3, 8, 12), 0, 1.0), tmp_path / "damaged.pth", 0
    expected = from_official(tmp_path / "g.pth").translate(x)
    for k in range(count):
        at, length = draw.randrange(len(data)), draw.choice((1, 1, 5, 200, len(data)))
        path.write_bytes(data[:at] + draw.randbytes(min(length, 200) * draw.randrange(2))
                         + data[at + length:])
        try:
            model = from_official(path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error), k
        else:
            assert torch.equal(model.translate(x), expected), k
    assert refused > count / 2
