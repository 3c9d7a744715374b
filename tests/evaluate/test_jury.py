"""Three judges and the zoo of wrong pictures: what each is, who is shown what, and the majority."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gantutor.data import AVATARS
from gantutor.data.batches import Paired, to_uint8
from gantutor.data.packs import Pack
from gantutor.evaluate import jury
from gantutor.evaluate.jury import LEFT_OUT, augmented, jury_path, jury_reaches, train_jury, zoo
from gantutor.saving import data_folder, read_metadata

KINDS = ["untranslated", "noise", "blur", "speckle", "half translated", "tint", "pieces"]


@pytest.fixture(scope="module")
def pair():
    """x and y of 60 images, H != W; y varies from pixel to pixel."""
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(60, 3, 8, 12, generator=generator) * 1.2 - 0.6
    return -y.flip(1) - 0.2, y


@pytest.fixture(scope="module")
def wrong(pair):
    return zoo(*pair, torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------- the zoo


def test_the_zoo_has_seven_kinds_in_range_and_repeats(pair, wrong):
    x, y = (images.clone() for images in pair)
    assert list(wrong) == KINDS and set(LEFT_OUT) < set(KINDS) and len(set(LEFT_OUT)) == 3
    again, other = (zoo(*pair, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    for kind, images in wrong.items():
        assert images.shape == y.shape and images.abs().max() <= 1, kind
        assert torch.equal(images, again[kind])
        assert torch.equal(images, other[kind]) == (kind in ("untranslated", "blur", "pieces"))
        assert ((images - y).abs().mean((1, 2, 3)) > 0.02).all(), kind  # no picture is right
    assert torch.equal(x, pair[0]) and torch.equal(y, pair[1])


def test_what_is_not_translated_or_by_half(pair, wrong):
    x, y = pair
    assert torch.equal(wrong["untranslated"], x)
    share = ((wrong["half translated"] - x) / (y - x))[:, 0, 0, 0]
    torch.testing.assert_close(wrong["half translated"], x + share[:, None, None, None] * (y - x))
    assert 0 <= share.min() and share.max() <= 0.7 + 1e-4 and share.std() > 0.15


def test_blur_is_a_box_of_three_sizes(pair, wrong):
    y = np.pad(pair[1].numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="edge")
    for k in range(9):
        half = (1, 2, 3)[k % 3]
        for i, j in ((0, 0), (4, 7), (7, 11)):
            box = y[k, :, i + 3 - half:i + 4 + half, j + 3 - half:j + 4 + half]
            np.testing.assert_allclose(wrong["blur"][k, :, i, j].numpy(), box.mean((1, 2)),
                                       atol=1e-5)


def test_speckle_has_colours_of_the_same_image_at_other_places(pair, wrong):
    y, images = pair[1], wrong["speckle"]
    share = (images != y).any(1).float().mean((1, 2))
    assert 0.02 < share.min() and share.max() < 0.65 and 0.2 < share.mean() < 0.4
    for k in range(5):
        known = {tuple(c) for c in y[k].flatten(1).T.tolist()}
        assert {tuple(c) for c in images[k].flatten(1).T.tolist()} <= known


def test_tint_and_pieces_and_noise(pair, wrong):
    y = pair[1]
    gain = ((wrong["tint"] + 1) / (y + 1)).clamp(max=1.5)
    inside = wrong["tint"] < 1
    assert set(gain[inside].mul(100).round().int().tolist()) == {50, 150}
    pieces = wrong["pieces"]
    for k in range(60):  # quarters of this image and of the three before it, row by row
        for back, part in enumerate(((slice(0, 4), slice(0, 6)), (slice(0, 4), slice(6, 12)),
                                     (slice(4, 8), slice(0, 6)), (slice(4, 8), slice(6, 12)))):
            assert torch.equal(pieces[k][:, *part], y[k - back][:, *part])
    noise = wrong["noise"]
    torch.testing.assert_close(noise.mean((2, 3)), y.mean((2, 3)), rtol=0, atol=0.03)
    torch.testing.assert_close(noise.std((2, 3)), y.std((2, 3)), rtol=0, atol=0.05)


def test_each_judge_has_its_own_augmentation():
    images = torch.linspace(-0.8, 0.8, 12).expand(200, 3, 8, 12).contiguous()
    faint, mirrored, light = (augmented(images, k, torch.Generator().manual_seed(0))
                              for k in range(3))
    assert (faint - images).std().item() == pytest.approx(0.03, rel=0.05)
    turned = (mirrored == images.flip(-1)).flatten(1).all(1)
    assert 0.35 < turned.float().mean() < 0.65
    assert torch.equal(mirrored[~turned], images[~turned])
    gain = ((light + 1) / (images + 1))[..., :9].flatten(1)  # the brightest may be clipped
    assert (gain - gain[:, :1]).abs().max() < 1e-4
    assert 0.9 <= gain.min() and gain.max() <= 1.1 and gain.std() > 0.04


# -------------------------------------------------------------------- the judges


@pytest.fixture
def pack(pair, tmp_path):
    def paired(size, batch_size, seed):
        assert size == 16
        x, y = (to_uint8(nn.functional.interpolate(images, 16)) for images in pair)
        return Paired(x, y, batch_size, seed)

    return Pack("tiny", 16, None, paired, None, judges=tmp_path, jury=True)


def test_a_jury_is_trained_on_pairs_and_repeats_and_the_majority_counts(pack, pair, monkeypatch):
    shown = []
    usual = jury.augmented

    def watched(images, k, generator):
        shown.append((k, len(images)))
        return usual(images, k, generator)

    monkeypatch.setattr(jury, "augmented", watched)
    train_jury(pack, steps=2)
    assert shown == [(k, 64) for k in (0, 0, 1, 1, 2, 2)]  # 32 real ones and as many wrong ones
    path = jury_path(pack)
    assert path == pack.judges / "tiny_16_jury.safetensors" and path.is_file()
    assert read_metadata(path)["command"] == "gantutor judges tiny_16"
    train_jury(pack, pack.judges / "again.safetensors", steps=2)
    first, again = (load_file(file) for file in (path, pack.judges / "again.safetensors"))
    assert first.keys() == again.keys() and len(first) > 3
    assert all(torch.equal(first[key], again[key]) for key in first)
    y = nn.functional.interpolate(pair[1], 16)
    says = jury.jury_says_y(y, pack)
    assert says.shape == (60, 3) and says.dtype == torch.bool
    table = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1]]).bool()
    monkeypatch.setattr(jury, "jury_says_y", lambda images, pack: table)
    assert jury_reaches(y, pack) == pytest.approx(3 / 5)


def test_what_a_judge_has_never_been_shown_is_what_it_says(pack, monkeypatch):
    """A zoo of one colour for each kind: which of them came along in a judge's batches?"""
    colours = dict(zip(KINDS, torch.linspace(-0.9, 0.9, len(KINDS)).tolist(), strict=True))
    monkeypatch.setattr(jury, "zoo", lambda x, y, generator: {
        kind: torch.full_like(y, value) for kind, value in colours.items()})
    seen = {k: set() for k in range(3)}

    def watched(images, k, generator):
        for image in images:
            found = {kind for kind, value in colours.items()
                     if (image - value).abs().max() < 1e-6}
            seen[k] |= found
        return images

    monkeypatch.setattr(jury, "augmented", watched)
    train_jury(pack, steps=1)
    assert {k: set(KINDS) - found for k, found in seen.items()} == {
        k: {kind} for k, kind in enumerate(("blur", "speckle", "half translated"))}


def test_the_jury_of_the_avatars_lies_beside_their_judge():
    assert jury_path(AVATARS.at(64)) == data_folder() / "judges" / "avatars_64_jury.safetensors"
