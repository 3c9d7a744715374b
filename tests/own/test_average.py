"""The moving average: by hand, through shared layers, and through an interrupted run."""

import copy

import pytest
import torch
from toys import (
    METHODS,
    Interrupt,
    assert_same,
    batches_for,
    saved,
    stop_at,
    toy,
    toy_fit,
    weights,
)

from gantutor.own.average import Averaged, shipped
from gantutor.training import fit


def test_the_average_by_hand():
    method, _ = toy()
    averaged = Averaged(method, decay=0.25)
    weight, mean = method.G_xy[0].bias, averaged.average["G_xy"][0].bias
    values = []
    for value in (1.0, 3.0, 5.0):
        with torch.no_grad():
            weight.fill_(value)
        averaged.update()
        values.append(mean[0].item())
    # decays: 1/10, 2/11, then 3/12 = .25; the first mean was the network's own start
    start = toy()[0].G_xy[0].bias[0].item()
    first = 0.1 * start + 0.9 * 1
    second = 2 / 11 * first + 9 / 11 * 3
    assert values == pytest.approx([first, second, 0.25 * second + 0.75 * 5])
    averaged.update()  # the fourth would be 4/13, more than .25
    assert mean[0].item() == pytest.approx(0.25 * values[2] + 0.75 * 5)


@pytest.mark.parametrize("name", ["CycleGAN", "ShuffledColours", "StarGAN"])
def test_training_is_the_same_and_layers_that_are_shared_stay_shared(name):
    plain, averaged = METHODS[name](), Averaged(METHODS[name]())
    for method in (plain, averaged):
        torch.manual_seed(0)
        fit(method, batches_for(name), 4, progress=False)
    assert_same(weights(plain), weights(averaged.method))
    found = shipped(averaged)
    assert type(found) is type(plain) and shipped(plain) is plain
    for net in plain.ships:
        assert getattr(found, net) is averaged.average[net]
        assert not any(p.requires_grad for p in getattr(found, net).parameters())
    if name == "ShuffledColours":
        shared = {id(p) for p in plain.E_x.parameters()} & {id(p) for p in plain.E_y.parameters()}
        again = {id(p) for p in found.E_x.parameters()} & {id(p) for p in found.E_y.parameters()}
        assert len(again) == len(shared) > 0
        assert averaged.progress == averaged.method.progress == 0.75
    assert any(not torch.equal(a, b) for a, b in zip(
        getattr(found, plain.ships[0]).parameters(), getattr(plain, plain.ships[0]).parameters(),
        strict=True))


def test_the_trained_method_is_left_alone():
    averaged = Averaged(toy()[0])
    before = copy.deepcopy(averaged.method.state_dict())
    shipped(averaged).G_xy.requires_grad_(True)
    assert averaged.method.G_xy is not averaged.average["G_xy"]
    assert_same(dict(before), dict(averaged.method.state_dict()))


def test_a_resumed_run_has_the_same_average(tmp_path):
    whole, _ = toy_fit(tmp_path / "whole.pt", *_averaged(), steps=20)
    with pytest.raises(Interrupt):
        toy_fit(tmp_path / "cut.pt", *_averaged(), steps=20, callback=stop_at(9), callback_every=1)
    again, _ = toy_fit(tmp_path / "cut.pt", *_averaged(), steps=20)
    assert_same(dict(whole.average.state_dict()), dict(again.average.state_dict()))
    assert saved(tmp_path / "cut.pt")["method"]["updates"].item() == 20


def _averaged():
    method, data = toy()
    return Averaged(method), data
