"""Files are whole or not there; weights and states come back as they were, or by name not."""

import os
import random
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from toys import assert_same, saved, toy_fit

from gantutor import saving
from gantutor.saving import load_weights, read_metadata, save_weights

# ------------------------------------------------------------------ weights


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))  # has an integer buffer too


def test_weights_round_trip(tmp_path):
    path, nets = tmp_path / "new" / "w.safetensors", {"G_xy": small_net(), "G_yx": small_net(1)}
    save_weights(path, nets, {"seed": "7"})
    fresh = {"G_xy": small_net(2), "G_yx": small_net(3)}
    assert load_weights(path, fresh) == {"seed": "7"} == read_metadata(path)
    for name in nets:
        assert_same(dict(nets[name].state_dict()), dict(fresh[name].state_dict()))
    alone = small_net(4)
    load_weights(path, {"G_yx": alone})  # the other network is left alone
    assert_same(dict(nets["G_yx"].state_dict()), dict(alone.state_dict()))
    assert os.listdir(path.parent) == ["w.safetensors"]


def test_half_precision(tmp_path):
    path, net, fresh = tmp_path / "w.safetensors", small_net(), small_net(1)
    save_weights(path, {"G": net}, half=True)
    stored = load_file(path)
    assert stored["G.0.weight"].dtype == torch.float16
    assert stored["G.1.num_batches_tracked"].dtype == torch.int64
    load_weights(path, {"G": fresh})
    assert fresh[0].weight.dtype == torch.float32
    assert torch.equal(fresh[0].weight, net[0].weight.half().float())
    assert net[0].weight.dtype == torch.float32  # saving leaves the network as it was


def test_weights_errors_name_file_and_key(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"w\.safetensors"):
        load_weights(path, {"G": small_net()})
    path.write_text("<!DOCTYPE html>")
    for read in (read_metadata, lambda p: load_weights(p, {"G": small_net()})):
        with pytest.raises(ValueError, match=r"w\.safetensors.*not a readable"):
            read(path)
    tensors = {f"G.{k}": v for k, v in small_net().state_dict().items()}
    save_file({k: v for k, v in tensors.items() if k != "G.0.bias"}, path)
    with pytest.raises(ValueError, match=r"w\.safetensors: no tensor G\.0\.bias"):
        load_weights(path, {"G": small_net()})
    save_file(tensors | {"G.0.weight": torch.zeros(4, 1, 3, 3)}, path)
    net, before = small_net(), small_net()
    with pytest.raises(ValueError, match=r"G\.0\.weight.*\(4, 1, 3, 3\).*\(4, 3, 3, 3\)"):
        load_weights(path, {"G": net})
    assert_same(dict(before.state_dict()), dict(net.state_dict()))  # not loaded by half


@pytest.mark.parametrize(("where", "value"), [("0.weight", float("nan")), ("0.bias", float("inf")),
                                              ("1.running_var", float("nan"))])
@pytest.mark.parametrize("half", [False, True])
def test_weights_that_are_not_finite_are_refused_and_the_old_file_is_kept(tmp_path, where, value,
                                                                          half):
    path, net = tmp_path / "w.safetensors", small_net()
    save_weights(path, {"G": net})
    before = path.read_bytes()
    net.state_dict()[where].view(-1)[0] = value
    with pytest.raises(ValueError, match=rf"w\.safetensors: not written, because G\.{where} holds"):
        save_weights(path, {"G": net}, half=half)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.safetensors"]


def test_weights_too_large_for_float16_are_refused_in_float16_alone(tmp_path):
    net = small_net()
    net.state_dict()["0.bias"][0] = 1e5
    save_weights(tmp_path / "w", {"G": net})
    with pytest.raises(ValueError, match=r"G\.0\.bias holds a number .* not finite in float16"):
        save_weights(tmp_path / "w16", {"G": net}, half=True)
    assert os.listdir(tmp_path) == ["w"]


def test_tensors_that_share_memory_in_part_are_both_stored(tmp_path):
    def tied():
        net = nn.Linear(3, 4)
        net.register_buffer("a_first_row", net.weight.data[:1])
        return net

    a, b = tied(), tied()
    save_weights(tmp_path / "w", {"a": a})
    load_weights(tmp_path / "w", {"a": b})
    assert_same(dict(a.state_dict()), dict(b.state_dict()))


def test_the_second_network_is_not_changed_where_the_first_fits_and_it_does_not(tmp_path):
    path = tmp_path / "w"
    save_weights(path, {"a": small_net(), "b": small_net()})
    fits, not_fits = small_net(1), nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    before = {k: v.clone() for k, v in fits.state_dict().items()}
    with pytest.raises(ValueError, match=r"b\.0\.weight"):
        load_weights(path, {"a": fits, "b": not_fits})
    assert_same(before, dict(fits.state_dict()))


# ------------------------------------------------------------------ whole files


@pytest.mark.parametrize("what", ["state", "weights"])
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, what):
    path = tmp_path / "file"
    if what == "state":
        toy_fit(path, steps=7)
    else:
        save_weights(path, {"G": small_net()})
    before = path.read_bytes()

    def full(*arguments):
        target = arguments[1]  # an open file, or a path
        (target.write if hasattr(target, "write") else target.write_bytes)(b"half")
        raise OSError("No space left on device")

    if what == "state":
        monkeypatch.setattr(saving.torch, "save", full)
        (before_path := tmp_path / "other").mkdir()
        with pytest.raises(OSError, match="No space left"):
            toy_fit(before_path / "file", steps=7)
        assert os.listdir(before_path) == []
        before_path.rmdir()
    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(path, {"G": small_net(1)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["file"]


def write(text="new"):
    return lambda temporary: temporary.write_text(text)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="file modes and the umask are POSIX")
def test_the_mode_follows_the_umask_or_the_old_file(tmp_path):
    usual = os.umask(0o027)
    try:
        saving.atomically(tmp_path / "new", write())
        toy_fit(tmp_path / "state", steps=1)
        save_weights(tmp_path / "weights", {"G": small_net()})
        assert [mode(tmp_path / n) for n in ("new", "state", "weights")] == [0o640] * 3
        (tmp_path / "new").chmod(0o604)
        saving.atomically(tmp_path / "new", write("newer"))
        assert mode(tmp_path / "new") == 0o604 and (tmp_path / "new").read_text() == "newer"
    finally:
        os.umask(usual)


def test_a_chmod_that_fails_loses_nothing(tmp_path, monkeypatch):
    def vfat(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(saving.os, "chmod", vfat)
    toy_fit(tmp_path / "s.pt", steps=3)
    assert saved(tmp_path / "s.pt")["step"] == 3 and os.listdir(tmp_path) == ["s.pt"]


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_a_link(tmp_path, dangling):
    (tmp_path / "disk").mkdir()
    file, link = tmp_path / "disk" / "s.pt", tmp_path / "link.pt"
    link.symlink_to(Path("disk") / "s.pt")
    if not dangling:
        toy_fit(file, steps=3)
    toy_fit(link, steps=3)
    assert link.is_symlink() and file.is_file() and saved(file)["step"] == 3
    save_weights(link, {"G": small_net()})
    assert link.is_symlink() and load_weights(file, {"G": small_net()}) == {}
    assert sorted(os.listdir(tmp_path)) == ["disk", "link.pt"]
    assert os.listdir(tmp_path / "disk") == ["s.pt"]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # written, then found again
        _, history = toy_fit("~/runs/s.pt", steps=3)
        assert history["step"] == [3]
    save_weights("~/w.safetensors", {"G": small_net()}, {"seed": "1"})
    assert load_weights("~/w.safetensors", {"G": small_net(1)}) == {"seed": "1"}
    assert read_metadata("~/w.safetensors") == {"seed": "1"}
    assert sorted(os.listdir(tmp_path)) == ["runs", "w.safetensors"]


def a_folder(tmp_path):
    (tmp_path / "s.pt").mkdir()
    return tmp_path / "s.pt"


def below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "s.pt"


def below_a_file_deeper(tmp_path):
    return below_a_file(tmp_path).parent / "new" / "s.pt"


def without_permission(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    return tmp_path / "locked" / "s.pt"


def no_such_place(tmp_path):
    if not Path("/proc/self").is_dir():
        pytest.skip("this system has no /proc")
    return Path("/proc/gantutor/s.pt")


def a_device(tmp_path):
    return Path(os.devnull)


@pytest.mark.parametrize("place", [a_folder, below_a_file, below_a_file_deeper, without_permission,
                                   no_such_place, a_device])
def test_a_path_that_cannot_be_written_is_named_before_the_first_step(tmp_path, place):
    path, steps = place(tmp_path), []
    with pytest.raises(OSError) as caught:
        toy_fit(path, steps=3, callback=lambda *_: steps.append(1))
    assert str(path) in str(caught.value) and "cannot be written" in str(caught.value)
    assert steps == []


def test_a_folder_that_refuses_new_files_is_noticed_too(tmp_path, monkeypatch):
    """As without permission, which root does not feel."""
    def touch(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(saving.Path, "touch", touch)
    with pytest.raises(PermissionError, match=r"s\.pt: cannot be written"):
        toy_fit(tmp_path / "s.pt", steps=3)


def test_two_threads_may_save_one_path(tmp_path):
    path, failed, barrier = tmp_path / "file", [], threading.Barrier(4)

    def save(number):
        try:
            barrier.wait()
            for _ in range(25):
                saving.atomically(path, write(str(number) * 1000))
                text = path.read_text()
                assert len(text) == 1000 and len(set(text)) == 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and os.listdir(tmp_path) == ["file"]


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    def interrupted(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    saving.atomically(tmp_path / "file", write("old"))
    with pytest.raises(KeyboardInterrupt):
        saving.atomically(tmp_path / "file", interrupted)
    assert (tmp_path / "file").read_text() == "old" and os.listdir(tmp_path) == ["file"]


# ------------------------------------------------------------------ randomness


def draws():
    return (torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(),  # noqa: NPY002
            random.random(), random.gauss(0, 1))


def test_the_random_state_is_that_of_torch_numpy_and_python(tmp_path):
    saving.seed_everything(3)
    np.random.randn(), random.gauss(0, 1)  # noqa: NPY002 - both keep a second number for later
    state = saving.random_state()
    saving.save_state(tmp_path / "state", {"gantutor": 0, "random": state})
    expected = draws()
    for again in (state, saving.load_state(tmp_path / "state", 0)["random"]):
        saving.seed_everything(9)
        saving.set_random_state(again)
        found = draws()
        for a, b, whose in zip(found, expected, ("torch", "numpy", "numpy's normal", "python",
                                                 "python's normal"), strict=True):
            assert a == b, whose


def test_a_seed_sets_all_three():
    saving.seed_everything(5)
    first = draws()
    saving.seed_everything(5)
    assert draws() == first
    saving.seed_everything(6)
    assert not any(a == b for a, b in zip(draws(), first, strict=True))
