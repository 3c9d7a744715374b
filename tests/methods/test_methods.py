"""What holds for every method: who learns, what is fixed, nothing left behind, resume, copies."""

import copy

import pytest
import torch
from toys import METHODS, Interrupt, assert_same, batches_for, saved, stop_at

from gantutor import methods, saving
from gantutor.methods import Frozen
from gantutor.training import fit

every = pytest.mark.parametrize("name", METHODS)
WITH_D = [name for name, make in METHODS.items() if make().players()[1]]


def run(name, path=None, method=None, **settings):
    """(method, history) of nine steps; the generators play in steps 0, 3 and 6."""
    saving.seed_everything(2)
    method = method or METHODS[name]()
    history = fit(method, batches_for(name), 9, n_critic=3, save_path=path, save_every=100,
                  progress=False, **settings)
    return method, history


@every
def test_n_critic_and_a_resume_in_the_middle_of_its_cycle(name, tmp_path):
    run(name, tmp_path / "straight")
    for step in (1, 2, 5):  # behind each place of the cycle; the generators sit out next, or play
        with pytest.raises(Interrupt):
            run(name, tmp_path / "stopped", callback=stop_at(step), callback_every=1)
        assert saved(tmp_path / "stopped")["step"] == step
    run(name, tmp_path / "stopped")
    assert_same(saved(tmp_path / "straight"), saved(tmp_path / "stopped"))


@pytest.mark.parametrize("name", WITH_D)
def test_where_the_generators_sit_out_D_judges_translations_of_its_own_batch(name):
    """Its loss on a batch does not depend on whatever the generators translated before."""
    method, data = METHODS[name]().train(), batches_for(name)
    earlier, batch = data.next_batch(), data.next_batch()
    fresh = copy.deepcopy(method)
    torch.manual_seed(4)
    alone = fresh.discriminator_loss(dict(batch))[0]
    method.generator_loss(dict(earlier))
    torch.manual_seed(4)
    torch.testing.assert_close(method.discriminator_loss(dict(batch))[0], alone)


@pytest.mark.parametrize("name", [n for n in WITH_D if not n.endswith("StarGAN")])
def test_where_the_generators_play_D_judges_the_very_same_translations(name, monkeypatch):
    """Then D's step translates nothing: with other generators its loss would be the same."""
    method, batch = METHODS[name]().train(), batches_for(name).next_batch()
    twin = copy.deepcopy(method)
    method.generator_loss(batch)
    keys = [k for k in batch if k.startswith(("fake", "drawn"))]
    if name == "AlignedCodes":  # D_z encodes anew
        assert not keys
        return
    assert keys

    def never():
        raise AssertionError("translated again")

    found = {k: methods.kept(batch, k, never) for k in keys}
    assert not any(v.requires_grad for v in found.values())
    torch.manual_seed(4)
    loss = method.discriminator_loss(dict(batch))[0]
    torch.manual_seed(4)
    again = twin.discriminator_loss({k: v for k, v in batch.items() if k not in found} | {
        k: v + 0.5 for k, v in found.items()})[0]
    assert abs(loss - again) > 1e-6  # what lies in the batch is what D judges


@pytest.mark.parametrize("name", WITH_D)
def test_a_pool_takes_every_translation_once(name):
    method, _ = run(name)
    for module in method.modules():
        if isinstance(module, type(getattr(method, "pool_y", None))) and module.size:
            assert len({image.sum().item() for image in module.images}) == len(module.images) == 6


@every
def test_it_can_be_copied_in_a_callback_and_after_fit(name):
    copies = []

    def keep(step, method, history):
        copies.append(copy.deepcopy(method))

    method, _ = run(name, callback=keep, callback_every=1)
    copies.append(copy.deepcopy(method))
    assert len(copies) == 11
    assert_same(dict(copies[-1].state_dict()), dict(method.state_dict()))
    start, end = (torch.cat([p.flatten() for p in m.parameters()]) for m in (copies[0], copies[-1]))
    assert not torch.equal(start, end)
    held = [k for m in method.modules() for k, v in vars(m).items() if isinstance(v, torch.Tensor)]
    assert held == []  # no translation stays behind


@every
def test_each_player_moves_its_own_weights_alone_and_what_is_fixed_never_moves(name):
    method = METHODS[name]()
    _, discriminators = method.players()
    before = copy.deepcopy(method.state_dict())
    fit(method, batches_for(name), 4, lr=0.0, lr_d=0.01, progress=False)
    moved = {k for k, v in method.state_dict().items()
             if isinstance(v, torch.Tensor) and not torch.equal(v, before[k])}
    own = {id(p) for net in discriminators for p in net.parameters()}
    for key, parameter in method.named_parameters():
        assert key not in moved or id(parameter) in own, key
    assert bool(moved) == bool(discriminators)
    fixed = [m for m in method.modules() if isinstance(m, Frozen)]
    for module in (m for f in fixed for m in f.modules()):
        assert not module.training and not any(p.requires_grad for p in module.parameters())


def test_a_fixed_network_is_in_eval_mode_from_construction_on_and_stays():
    for name, part in (("Perceptual", "embed"), ("DTN", "f")):
        method = METHODS[name]()
        fixed, seen = getattr(method, part), []
        assert not any(m.training for m in fixed.modules())
        before = copy.deepcopy(fixed.state_dict())
        for layer in fixed.net:
            layer.register_forward_hook(lambda net, *_, seen=seen: seen.append(net.training))
        fit(method, batches_for(name), 3, progress=False,
            callback=lambda step, method, history: method.train())
        assert seen and not any(seen)
        assert_same(dict(before), dict(fixed.state_dict()))
        assert method.players()[0][0].training


@every
def test_parts_are_detached_scalars_and_the_total_is_finite(name):
    method, batch = METHODS[name](), batches_for(name).next_batch()
    for player in ("generator", "discriminator") if name in WITH_D else ("generator",):
        loss = getattr(method, f"{player}_loss")
        total, parts = loss(batch)
        assert total.requires_grad and total.shape == () and total.isfinite()
        assert parts and all(not v.requires_grad and v.shape == () for v in parts.values())


@every
def test_a_method_names_what_ships(name):
    method = METHODS[name]()
    nets = {ship: getattr(method, ship) for ship in method.ships}
    generators, discriminators = method.players()
    assert all(isinstance(net, torch.nn.Module) for net in nets.values())
    assert not {id(d) for d in discriminators} & {id(net) for net in nets.values()}
    shipped = {id(p) for net in nets.values() for p in net.parameters()}
    if name != "ReversedCodes":  # D_z is no discriminator there, and does not ship
        assert {id(p) for g in generators for p in g.parameters()} <= shipped


@every
def test_under_mixed_precision_every_loss_is_computed_in_float32(name):
    method, batch = METHODS[name](), batches_for(name).next_batch()
    with torch.autocast("cpu", torch.bfloat16):
        for player in ("generator", "discriminator") if name in WITH_D else ("generator",):
            total, parts = getattr(method, f"{player}_loss")(batch)
            assert {v.dtype for v in [total, *parts.values()]} == {torch.float32}
