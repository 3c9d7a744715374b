"""Probes with a known answer."""

import numpy as np
import pytest
import torch
from torch import nn

from gantutor.data import AVATARS, avatars
from gantutor.evaluate import held_out_pairs, probes


def test_a_probe_reads_what_is_there_and_guesses_what_is_not():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(800, 2, 3, 4, generator=generator)
    there, not_there = (codes[:, 1, 2, 3] > 0).long(), torch.randint(
        2, (800,), generator=generator)
    train, test = slice(0, 600), slice(600, None)
    read = probes.fit_probe(codes[train], there[train])(codes[test])
    assert (read == there[test]).float().mean() > 0.9
    read = probes.fit_probe(codes[train], not_there[train])(codes[test])
    assert abs((read == not_there[test]).float().mean() - 0.5) < 0.12


def test_a_probe_reads_small_numbers_as_well_and_leaves_the_random_state_alone():
    codes = torch.randn(600, 10)
    labels = (codes[:, 0] > 0).long()
    codes[:, 0] *= 1e-4
    before = torch.get_rng_state()
    read = probes.fit_probe(codes, labels)(codes)
    assert (read == labels).float().mean() > 0.95
    assert torch.equal(before, torch.get_rng_state())


def test_the_domain_is_read_where_codes_differ_and_not_below_the_noise():
    torch.manual_seed(0)
    codes = {name: torch.randn(n, 4, 2, 2) for name, n in
             (("x", 600), ("y", 600), ("held-out x", 200), ("held-out y", 200))}
    assert abs(probes.domain_read(codes) - 0.5) < 0.1
    apart = {name: z + (0.5 if name.endswith("y") else 0) * torch.ones(4, 2, 2)
             for name, z in codes.items()}
    assert probes.domain_read(apart) > 0.75
    assert probes.domain_read(apart, noise=20.0) < 0.65


def test_attributes_are_read_within_a_domain_and_across(monkeypatch):
    """Codes that *are* the record, in the same places or, in Y, in reversed ones."""
    def one_hot(records):
        return torch.cat([torch.nn.functional.one_hot(column, n).float() for column, n in
                          zip(records.T, avatars.ATTRIBUTES.values(), strict=True)], 1)

    held_out = one_hot(avatars.records("held_out"))
    codes = {"x": one_hot(avatars.records("train_x")), "held-out x": held_out,
             "held-out y": held_out.flip(1)}
    within, across = probes.attributes_read(codes)
    assert list(within) == list(avatars.ATTRIBUTES) and min(within.values()) > 0.99
    assert np.mean(list(across.values())) < 0.6
    same = codes | {"held-out y": held_out}
    assert probes.attributes_read(same, "x", ("y",)) == [within]


class Pixels(nn.Module):
    """A "common space" whose code is a sixteenth of the picture itself."""

    def E_x(self, x):
        return nn.functional.avg_pool2d(x, 8)

    def E_y(self, y):
        return 2 * nn.functional.avg_pool2d(y, 8)

    def translate(self, x):
        return x


def test_codes_are_those_of_the_training_images_and_of_the_held_out_people():
    found = probes.codes(Pixels())
    assert {name: len(z) for name, z in found.items()} == {
        "x": 2500, "y": 2500, "held-out x": 300, "held-out y": 300}
    x, y, _ = held_out_pairs(AVATARS)
    torch.testing.assert_close(found["held-out x"], Pixels().E_x(x))
    torch.testing.assert_close(found["held-out y"], Pixels().E_y(y))


def test_readings_take_the_domain_from_noisy_codes_and_from_means(monkeypatch):
    """D_z sees samples: a domain that noise of 1 covers must not count as read."""
    torch.manual_seed(0)
    faint = {name: 0.01 * torch.randn(n, 4) + (0.05 if name.endswith("y") else 0)
             for name, n in (("x", 600), ("y", 600), ("held-out x", 300), ("held-out y", 300))}
    monkeypatch.setattr(probes, "codes", lambda method, pack: faint)
    monkeypatch.setattr(probes, "attributes_read", lambda found: ["own", "across"])
    found = probes.readings(Pixels())
    assert found["domain read off the means"] > 0.95 > 0.65 > found["domain read"]
    assert found["attributes read"] == "own" and found["read across"] == "across"
    assert list(found["confusion"]) == list(avatars.ATTRIBUTES)
    assert all(np.sum(counts) == 300 for counts in found["confusion"].values())
    assert found["domain read"] == pytest.approx(probes.domain_read(faint, noise=1.0))
