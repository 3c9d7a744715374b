"""A thousand damaged pictures: each is read, or refused with an error that names it."""

import sys
import warnings
from io import BytesIO

import numpy as np
import pytest
import torch
from makers import NOISE, rgb_profile
from PIL import Image

from gantutor.data import images
from gantutor.data.images import read_image, read_square
from gantutor.data.large import Folder

KINDS = {"jpg": {"format": "JPEG", "icc_profile": rgb_profile()},
         "progressive.jpg": {"format": "JPEG", "progressive": True},
         "png": {"format": "PNG", "icc_profile": rgb_profile()},
         "gif": {"format": "GIF"}, "bmp": {"format": "BMP"}, "ppm": {"format": "PPM"},
         "tif": {"format": "TIFF", "compression": "tiff_lzw"}, "webp": {"format": "WEBP"}}


def encoded(options):
    out = BytesIO()
    Image.fromarray(np.kron(NOISE, np.ones((2, 2, 1), np.uint8))).save(out, **options)
    return out.getvalue()


def damaged(data, rng):
    """Bytes changed, a piece cut out, doubled, filled with zeros, or the end missing."""
    data = bytearray(data)
    a, b = sorted(rng.integers(0, len(data), 2))
    match rng.integers(5):
        case 0:
            for place in rng.integers(0, len(data), rng.integers(1, 9)):
                data[place] = rng.integers(256)
        case 1:
            del data[a:min(b, a + 300)]
        case 2:
            data[a:a] = data[a:min(b, a + 300)]
        case 3:
            data[a:min(b, a + 300)] = bytes(min(b, a + 300) - a)
        case _:
            del data[a:]
    if rng.integers(2):  # headers are short, and most of the damage would miss them
        for place in rng.integers(0, min(200, len(data)) or 1, 2):
            data[place:place + 1] = bytes([rng.integers(256)])
    return bytes(data)


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_pictures_are_read_or_named(tmp_path, count):
    rng, sources, outcomes = np.random.default_rng(count), {}, {"read": 0, "refused": 0}
    for name, options in KINDS.items():
        sources[name] = encoded(options)
    for k in range(count):
        name = list(sources)[k % len(sources)]
        path = tmp_path / f"{k}.{name}"
        path.write_bytes(damaged(sources[name], rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks are allowed
            for read in (lambda p: read_image(p, max_pixels=10**7),
                         lambda p: read_square(p, 16, max_pixels=10**7)):
                try:
                    found = read(path)
                    outcomes["read"] += 1
                except ValueError as error:
                    assert str(path) in str(error) and "expected" in str(error)
                    outcomes["refused"] += 1
                    continue
                if isinstance(found, tuple):
                    assert found[0].shape == (16, 16, 3) and found[0].dtype == np.uint8
                else:
                    assert found.mode == "RGB" and found.width * found.height <= 10**7
    assert min(outcomes.values()) > count / 5, outcomes


def test_a_folder_of_damaged_pictures_gives_the_good_ones(tmp_path):
    rng = np.random.default_rng(5)
    for k in range(40):
        data = encoded(KINDS["jpg" if k % 2 else "png"])
        (tmp_path / f"{k:02}.img.png").write_bytes(damaged(data, rng) if k % 4 else data)
    folder = Folder(tmp_path, 16, "centre", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = folder[torch.arange(40)]
    assert found.shape == (40, 3, 16, 16) and 5 < len(folder.bad) <= 30
    assert not {path.name for path in folder.bad} & {f"{k:02}.img.png" for k in range(0, 40, 4)}


# ------------------------------------------------------------------ formats with a plug-in


def test_heic_is_read_where_the_plug_in_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    ramp = np.zeros((48, 64, 3), np.uint8)
    ramp[..., 0] = np.arange(64) * 4
    path = tmp_path / "IMG_0001.HEIC"
    try:
        Image.fromarray(ramp).save(path, format="HEIF", quality=95)
    except Exception as error:
        pytest.skip(f"this plug-in cannot write HEIC ({error})")
    images._formats.cache_clear()
    found = np.asarray(read_image(path)).astype(int)
    assert found.shape == (48, 64, 3) and np.abs(found - ramp).mean() < 6
    assert read_square(path, 16)[0].shape == (16, 16, 3)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"IMG_0001\.HEIC"):
        read_image(path)


def test_heic_without_the_plug_in_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(images, "_formats", images._formats.__wrapped__)
    path = tmp_path / "IMG_0001.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ValueError, match=r"HEIF \(\.heic\): install pillow-heif.*convert"):
        read_square(path, 16)


def test_avif_and_jfif(tmp_path):
    ramp = np.zeros((48, 64, 3), np.uint8)
    ramp[..., 0] = np.arange(64) * 4
    Image.fromarray(ramp).save(tmp_path / "a.jfif", format="JPEG", quality=95)
    names = ["a.jfif"]
    if "AVIF" in Image.SAVE:
        Image.fromarray(ramp).save(tmp_path / "b.avif", quality=95)
        names.append("b.avif")
    for name in names:
        found = np.asarray(read_image(tmp_path / name)).astype(int)
        assert found.shape == (48, 64, 3) and np.abs(found - ramp).mean() < 6
    assert len(Folder(tmp_path, 16, progress=False)) == len(names)
