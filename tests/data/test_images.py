"""One image file: real files of every kind, pixels against values worked out by hand."""

import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from makers import (
    DISPLAY_P3,
    NOISE,
    chunk,
    cmyk_profile,
    grey_profile,
    png,
    rgb_profile,
    save,
    tiff,
)
from PIL import Image, ImageFile, PngImagePlugin

from gantutor.data import images
from gantutor.data.images import read_image


def pixels(path, **options):
    image = read_image(path, **options)
    assert image.mode == "RGB"
    return np.asarray(image)


def refused(path, *found, kind=ValueError, **options):
    """The error names the file and what was found, and carries no trace of Pillow's."""
    with pytest.raises(kind) as caught:
        read_image(path, **options)
    text = str(caught.value)
    assert str(path) in text and "expected" in text, text
    for word in found:
        assert word in text, text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def warned(path, *words):
    """The pixels of a file that is read with exactly one warning, which names the file."""
    with pytest.warns(UserWarning) as caught:
        found = pixels(path)
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert all(word in text for word in (str(path), *words)), text
    return found


def silent(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pixels(path)


# ------------------------------------------------------------------ colour modes


def test_rgb_is_left_alone(tmp_path):
    for name in ("a.png", "a.bmp", "a.ppm", "a.tif"):
        assert (pixels(save(tmp_path / name, NOISE)) == NOISE).all()
    assert (pixels(save(tmp_path / "a.webp", NOISE, lossless=True)) == NOISE).all()


def test_grey_and_one_bit(tmp_path):
    grey = np.array([[0, 7, 255], [100, 3, 9]], np.uint8)
    expected = np.repeat(grey[..., None], 3, -1)
    assert (pixels(save(tmp_path / "a.png", grey)) == expected).all()
    assert (pixels(save(tmp_path / "a.pgm", grey)) == expected).all()
    bits = np.array([[True, False, True], [False, False, True]])
    for name in ("b.png", "b.tif"):
        assert (pixels(save(tmp_path / name, bits)) == 255 * bits[..., None]).all()


def test_palette(tmp_path):
    image = Image.new("P", (3, 2))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1, 0, 1, 1, 0])
    colours = np.array([[10, 20, 30], [200, 100, 50]])
    index = np.array([[0, 1, 0], [1, 1, 0]])
    image.save(tmp_path / "a.png")
    assert (pixels(tmp_path / "a.png") == colours[index]).all()
    # one alpha a palette entry: 0 (all white), 51 = 1/5: 200/5 + 4/5 255 = 244, 224, 214
    image.save(tmp_path / "b.png", transparency=b"\x00\x33")
    expected = np.array([[255, 255, 255], [244, 224, 214]])
    assert np.abs(pixels(tmp_path / "b.png").astype(int) - expected[index]).max() <= 1
    for name in ("c.png", "c.gif"):  # one transparent entry
        image.save(tmp_path / name, transparency=1)
        expected = np.array([[10, 20, 30], [255, 255, 255]])
        assert (pixels(tmp_path / name) == expected[index]).all()


def test_alpha_over_white(tmp_path):
    la = np.array([[[0, 255], [0, 0], [0, 51]], [[100, 51], [255, 7], [40, 255]]], np.uint8)
    expected = [[0, 255, 204], [224, 255, 40]]  # v a/255 + 255 (1 - a/255)
    found = pixels(save(tmp_path / "la.png", la))
    assert (found == np.array(expected)[..., None]).all()
    rgba = np.array([[[255, 0, 100, 51], [1, 2, 3, 0], [1, 2, 3, 255]]], np.uint8)
    for name, options in (("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})):
        found = pixels(save(tmp_path / name, rgba, **options))
        assert (found == [[[255, 204, 224], [255, 255, 255], [1, 2, 3]]]).all()


def test_one_transparent_colour(tmp_path):
    rows = b"\0" + bytes([1, 2, 3, 4, 5, 6])
    (tmp_path / "a.png").write_bytes(
        png(2, 1, 8, 2, rows, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))))
    assert (pixels(tmp_path / "a.png") == [[[255, 255, 255], [4, 5, 6]]]).all()
    rows = b"\0" + struct.pack(">2H", 1000, 25700)
    (tmp_path / "b.png").write_bytes(
        png(2, 1, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 1000))))
    assert (pixels(tmp_path / "b.png") == [[[255] * 3, [100] * 3]]).all()


@pytest.mark.parametrize("bits, row, grey", [(1, 0b10000000, 255), (2, 0b10000000, 170),
                                             (4, 0b10100000, 170)])
def test_one_transparent_grey_of_few_bits(tmp_path, bits, row, grey):
    """The first pixel has the transparent grey, the second is 0 and the third is visible."""
    data = b"\0" + bytes([row, 0, 0])
    opaque, key = png(2, 1, bits, 0, data), row >> (8 - bits)
    (tmp_path / "a.png").write_bytes(opaque)
    assert (pixels(tmp_path / "a.png")[0, :, 0] == (grey, 0)).all()
    transparent = png(2, 1, bits, 0, data, chunk(b"tRNS", struct.pack(">H", key)))
    (tmp_path / "b.png").write_bytes(transparent)
    assert (pixels(tmp_path / "b.png")[0, :, 0] == (255, 0)).all()
    black = png(2, 1, bits, 0, data, chunk(b"tRNS", struct.pack(">H", 0)))
    (tmp_path / "c.png").write_bytes(black)
    assert (pixels(tmp_path / "c.png")[0, :, 0] == (grey, 255)).all()


def test_16_bits_and_transparency(tmp_path):
    row = b"\0" + struct.pack(">4H", 25700, 65535, 1000, 0)  # grey with alpha
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 4, row))
    assert (pixels(tmp_path / "a.png")[0, :, 0] == (100, 255)).all()
    row = b"\0" + struct.pack(">8H", 65535, 257, 0, 0x3333, 5, 5, 5, 0)  # alpha 1/5, alpha 0
    (tmp_path / "b.png").write_bytes(png(2, 1, 16, 6, row))
    assert (pixels(tmp_path / "b.png") == [[(255, 204, 204), (255, 255, 255)]]).all()
    row = b"\0" + struct.pack(">3H", 1000, 25700, 65535)
    key = chunk(b"tRNS", struct.pack(">3H", 1000, 25700, 65535))
    (tmp_path / "c.png").write_bytes(png(1, 1, 16, 2, row, key))
    refused(tmp_path / "c.png", "16-bit colour with a transparent colour")


def bmp32(rgba):
    """A BMP of one row with the mask of an alpha channel, as Windows' own screenshots have it."""
    pixels = b"".join(bytes([b, g, r, a]) for r, g, b, a in rgba)
    header = struct.pack("<IiiHHIIiiII", 108, len(rgba), 1, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return (b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + header + masks
            + bytes(52) + pixels)


def test_an_alpha_channel_that_nobody_set(tmp_path):
    colours = [(200, 60, 30), (1, 2, 3)]
    (tmp_path / "a.bmp").write_bytes(bmp32([(*c, 0) for c in colours]))
    assert (warned(tmp_path / "a.bmp", "alpha is 0 everywhere", "opaque") == colours).all()
    (tmp_path / "b.bmp").write_bytes(bmp32([(200, 60, 30, 0), (0, 255, 0, 51)]))
    assert (silent(tmp_path / "b.bmp") == [(255, 255, 255), (204, 255, 204)]).all()  # set: meant
    data = bytes([200, 60, 30, 0, 1, 2, 3, 0])
    (tmp_path / "a.tif").write_bytes(tiff(2, 1, (8, 8, 8, 8), data, photometric=2))
    found = warned(tmp_path / "a.tif", "alpha is 0 everywhere") if has_alpha(
        tmp_path / "a.tif") else silent(tmp_path / "a.tif")
    assert (found == colours).all()
    for extra, expected in ((0, colours), (2, [(255, 255, 255)] * 2)):  # unspecified; alpha
        (tmp_path / "b.tif").write_bytes(
            tiff(2, 1, (8, 8, 8, 8), data, photometric=2, more=[(338, extra)]))
        assert (silent(tmp_path / "b.tif") == expected).all()


def has_alpha(path):
    with Image.open(path) as image:
        return image.mode == "RGBA"


def test_transparent_everywhere_is_white_where_the_format_means_it(tmp_path):
    clear = np.array([[[200, 60, 30, 0], [1, 2, 3, 0]]], np.uint8)
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True, "exact": True})):
        assert (silent(save(tmp_path / name, clear, **options)) == 255).all()


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 128, 129], [257, 25700, 65535]], np.uint16)
    expected = np.array([[0, 0, 1], [1, 100, 255]])[..., None]  # v / 257, rounded
    for name in ("a.png", "a.tif", "a.pgm"):
        assert (pixels(save(tmp_path / name, values)) == expected).all(), name
    Image.frombytes("I;16B", (3, 2), values.astype(">u2").tobytes()).save(tmp_path / "b.tif")
    assert (pixels(tmp_path / "b.tif") == expected).all()
    save(tmp_path / "c.tif", values, tiffinfo={262: 0})  # WhiteIsZero
    assert (pixels(tmp_path / "c.tif") == 255 - expected).all()


def test_16_bit_colour(tmp_path):
    rows = b"\0" + struct.pack(">6H", 0, 25700, 65535, 51400, 257, 0)
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, rows))
    assert (pixels(tmp_path / "a.png") == [[[0, 100, 255], [200, 1, 0]]]).all()


# ------------------------------------------------------------------ fewer bits in 16


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_fewer_bits_in_16_are_scaled_and_it_is_said(tmp_path, bits, name):
    white = 2**bits - 1
    values = np.array([[0, white // 3, white // 5], [white // 2, 1, white]], np.uint16)
    found = warned(save(tmp_path / name, values), f"largest value is {white}", f"{bits} bits")
    assert (found[..., 0] == np.floor(values / white * 255 + 0.5)).all()
    # One bright pixel, and the file holds 16 bits: nothing is scaled, nothing said.
    values[0, 0] = 2**14
    assert (silent(save(tmp_path / name, values))[..., 0] == np.rint(values / 257)).all()


def test_a_dark_16_bit_image_is_not_made_bright(tmp_path):
    for name in ("a.png", "a.tif", "a.pgm"):  # 8 bits widened to 16: certainly dark
        grey = np.array([[0, 1, 30], [63, 9, 8]], np.uint16)
        assert (silent(save(tmp_path / name, grey * 257))[..., 0] == grey).all()
        assert (silent(save(tmp_path / name, grey * 0)) == 0).all()
        for largest in (1, 1000, 4094, 4096, 16382):  # dark, or 12 bits: nobody knows
            refused(save(tmp_path / name, np.array([[0, largest]], np.uint16)),
                    f"no value above {largest} of 65535", "8 bits")


def test_a_stated_depth_needs_no_guess(tmp_path):
    for kind, values in (("P5", struct.pack(">3H", 0, 341, 1023)), ("P2", b"0 341 1023")):
        (tmp_path / "a.pgm").write_bytes(f"{kind} 3 1 1023\n".encode() + values)
        assert (silent(tmp_path / "a.pgm")[..., 0] == [[0, 85, 255]]).all()
    (tmp_path / "b.pgm").write_bytes(b"P5 2 1 4095\n" + struct.pack(">2H", 0, 100))
    assert (silent(tmp_path / "b.pgm")[..., 0] == [[0, 6]]).all()  # dark, and stated
    packed = int("".join(f"{v:012b}" for v in (0, 819, 1638, 273)), 2).to_bytes(6, "big")
    (tmp_path / "a.tif").write_bytes(tiff(4, 1, 12, packed))
    assert (silent(tmp_path / "a.tif")[..., 0] == [[0, 51, 102, 17]]).all()
    (tmp_path / "c.pgm").write_bytes(b"P2 2 1 65535\n0 4000")  # this maximum states nothing
    refused(tmp_path / "c.pgm", "4000")


def test_fewer_bits_in_16_bit_colour_are_refused(tmp_path):
    """Pillow keeps 8 of the 16 bits; what a scale would need is gone."""
    for top in (255, 1023, 4095, 16383):
        values = struct.pack("<6H", 0, top, 7, 100, 0, 0)
        rows = b"\0" + struct.pack(">6H", 0, top, 7, 100, 0, 0)
        (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, rows))
        (tmp_path / "a.ppm").write_bytes(b"P6 2 1 65535\n" + rows[1:])
        (tmp_path / "a.tif").write_bytes(tiff(2, 1, (16, 16, 16), values, photometric=2))
        (tmp_path / "b.png").write_bytes(
            png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 0, 65535, top, 65535)))
        for name in ("a.png", "a.ppm", "a.tif", "b.png"):
            refused(tmp_path / name, "16 bits per sample", "no value above")
    (tmp_path / "c.tif").write_bytes(
        tiff(1, 1, (16, 16, 16), struct.pack("<3H", 0, 16384, 257), photometric=2))
    assert (silent(tmp_path / "c.tif") == (0, 64, 1)).all()


def test_float_and_integer_tiff(tmp_path):
    values = np.array([[0, 0.2, 1], [0.6, 0.4, 0.8]], np.float32)
    expected = np.array([[0, 51, 255], [153, 102, 204]])[..., None]
    assert (pixels(save(tmp_path / "a.tif", values)) == expected).all()
    refused(save(tmp_path / "b.tif", values * 255), "0.0 to 255.0")
    refused(save(tmp_path / "c.tif", -values), "-1.0")
    refused(save(tmp_path / "d.tif", values * np.float32("nan")), "nan")
    refused(save(tmp_path / "e.tif", np.array([[3, 70000]], np.int32)), "3 to 70000")
    (tmp_path / "f.tif").write_bytes(tiff(3, 2, 32, values.tobytes(), 3, photometric=0))
    assert (pixels(tmp_path / "f.tif") == 255 - expected).all()  # WhiteIsZero
    (tmp_path / "g.tif").write_bytes(tiff(2, 1, 8, b"\x80\x7f", 2))
    refused(tmp_path / "g.tif", "with a sign")


def test_cmyk_jpeg(tmp_path):
    """Pillow writes Adobe's inverted CMYK. Ink (255, 0, 0, 0) is cyan; K = 255 is black."""
    for ink, expected in (((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 0), (255, 255, 255)),
                          ((0, 0, 0, 255), (0, 0, 0)), ((0, 255, 255, 0), (255, 0, 0))):
        Image.new("CMYK", (24, 16), ink).save(tmp_path / "a.jpg", quality=95)
        assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
        assert np.abs(pixels(tmp_path / "a.jpg").astype(int) - expected).max() <= 2
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert (pixels(tmp_path / "a.tif") == (255, 0, 0)).all()


def test_lab_and_ycbcr_tiff(tmp_path):
    """L 54.3, a 80.8, b 69.9 is pure red (CIE, D50); so is Y 76, Cb 85, Cr 255 (JPEG)."""
    (tmp_path / "a.tif").write_bytes(
        tiff(1, 1, (8, 8, 8), bytes([138, 81, 70]), photometric=8))
    assert np.abs(pixels(tmp_path / "a.tif").astype(int) - (255, 0, 0)).max() <= 6
    Image.new("YCbCr", (4, 4), (76, 85, 255)).save(tmp_path / "b.tif")
    try:
        found = pixels(tmp_path / "b.tif")
    except ValueError as error:  # Pillow 10 does not read what it wrote
        assert "truncated" in str(error)
    else:
        assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 2


# ------------------------------------------------------------------ colour profiles

LINEAR = rgb_profile(values=(1,))  # sRGB's primaries without its curve: 55 becomes 128
# (55 / 255) ^ (1 / 2.4) * 1.055 - 0.055 = 0.502 = 128 / 255


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg", "a.avif"])
def test_display_p3_becomes_srgb(tmp_path, name):
    if Path(name).suffix not in Image.registered_extensions():
        pytest.skip("this Pillow writes no such file")
    options = {"a.webp": {"lossless": True}, "a.jpg": {"quality": 100}}.get(name, {})
    colour = np.full((16, 24, 3), (200, 60, 30), np.uint8)
    path = save(tmp_path / name, colour, icc_profile=rgb_profile(DISPLAY_P3), **options)
    assert np.abs(silent(path).astype(int) - (217, 42, 0)).max() <= (1 if name < "a.j" else 4)
    assert "icc_profile" not in read_image(path).info  # or the next reader converts again


def test_a_profile_and_transparency(tmp_path):
    rgba = np.array([[[55, 55, 55, 255], [55, 55, 55, 51], [55, 55, 55, 0]]], np.uint8)
    expected = [[128, 230, 255]]  # 128 / 5 + 255 * 4 / 5 = 229.6
    for name, mode in (("a.png", "RGBA"), ("b.png", "LA"), ("a.tif", "RGBA")):
        path = save(tmp_path / name, rgba, mode, icc_profile=LINEAR)
        assert np.abs(silent(path)[..., 0].astype(int) - expected).max() <= 1, name
    image = Image.new("P", (2, 1))
    image.putpalette([55, 55, 55, 0, 0, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "p.png", icc_profile=LINEAR, transparency=1)
    assert (silent(tmp_path / "p.png") == np.array([[128, 255]])[..., None]).all()


def test_grey_with_a_profile(tmp_path):
    grey, expected = np.array([[0, 55, 255]], np.uint8), np.array([[0, 128, 255]])[..., None]
    for profile in (grey_profile(1), LINEAR):  # some writers put an RGB profile beside grey
        for name in ("a.png", "a.tif"):
            path = save(tmp_path / name, grey, icc_profile=profile)
            assert np.abs(silent(path).astype(int) - expected).max() <= 1
            path = save(tmp_path / name, grey.astype(np.uint16) * 257, icc_profile=profile)
            assert np.abs(silent(path).astype(int) - expected).max() <= 1
        path = save(tmp_path / "b.png", grey, "LA", icc_profile=profile)
        assert np.abs(silent(path).astype(int) - expected).max() <= 1
        bits = save(tmp_path / "c.png", np.array([[True, False]]), icc_profile=profile)
        assert (silent(bits)[0, :, 0] == (255, 0)).all()
    row = b"\0" + struct.pack(">4H", 55 * 257, 65535, 65535, 65535)  # Pillow opens it as RGBA
    compressed = b"x\0\0" + zlib.compress(grey_profile(1))
    (tmp_path / "d.png").write_bytes(png(2, 1, 16, 4, row, chunk(b"iCCP", compressed)))
    assert np.abs(silent(tmp_path / "d.png")[0, :, 0].astype(int) - (128, 255)).max() <= 1


def test_cmyk_with_a_profile(tmp_path):
    """A press whose cyan is L 50, neutral grey, in place of the naive (0, 255, 255)."""
    def lab(c, m, y, k):
        return (0 if k or m or y else 128 if c else 255, 128, 128)

    for name, options in (("a.jpg", {"quality": 100}), ("a.tif", {})):
        image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
        image.paste((0, 0, 0, 0), (8, 0, 16, 16))
        image.save(tmp_path / name, icc_profile=cmyk_profile(lab), **options)
        found = silent(tmp_path / name).astype(int)
        assert np.abs(found[:, :8] - 119).max() <= 3  # L 50 is 119 in sRGB
        assert found[:, 8:].min() >= 252


def test_srgbs_own_profile_changes_nothing(tmp_path):
    found = silent(save(tmp_path / "a.png", NOISE, icc_profile=rgb_profile()))
    assert np.abs(found.astype(int) - NOISE).max() <= 1


def test_a_profile_that_cannot_be_used_is_ignored_with_a_warning(tmp_path):
    def lab(*ink):
        return (128, 128, 128)

    good = rgb_profile(DISPLAY_P3)
    for bad in (b"junk", good[:100], good[:300], grey_profile(1), cmyk_profile(lab)):
        for name in ("a.png", "a.tif"):
            path = save(tmp_path / name, NOISE, icc_profile=bad)
            assert (warned(path, "profile is ignored", "sRGB") == NOISE).all()
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "c.tif", icc_profile=good)
    assert (warned(tmp_path / "c.tif", "it is for RGB, the image is CMYK") == (255, 0, 0)).all()
    row = b"\0" + bytes([1, 2, 3])
    (tmp_path / "b.png").write_bytes(png(1, 1, 8, 2, row, chunk(b"iCCP", b"x\0\0no zlib")))
    assert (warned(tmp_path / "b.png", "colour profile is damaged") == (1, 2, 3)).all()


def test_colours_said_without_a_profile_are_at_least_mentioned(tmp_path):
    row = b"\0" + bytes([1, 2, 3])
    for gamma, words in ((100000, ("gamma of 1 ",)), (45455, None)):
        (tmp_path / "a.png").write_bytes(
            png(1, 1, 8, 2, row, chunk(b"gAMA", struct.pack(">I", gamma))))
        found = warned(tmp_path / "a.png", *words) if words else silent(tmp_path / "a.png")
        assert (found == (1, 2, 3)).all()
    # EXIF: one entry, the Exif IFD; in it one entry, the Interoperability IFD; in it index "R03"
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8)
    exif += struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    exif += struct.pack("<HHHIII", 1, 0xA005, 4, 1, 44, 0)
    exif += struct.pack("<HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    warned(save(tmp_path / "a.jpg", NOISE, exif=exif), "Adobe RGB")


# ------------------------------------------------------------------ orientation

# numpy's own words for what a viewer has to do (EXIF 2.3, tag 274)
UPRIGHT = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
           5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1),
           7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}


def oriented(path, array, value, **options):
    exif = Image.Exif()
    exif[274] = value
    Image.fromarray(array).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("value", UPRIGHT)
def test_orientation(tmp_path, value):
    small = NOISE[:3, :5]
    for name, options in (("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})):
        found = read_image(oriented(tmp_path / name, small, value, **options))
        assert np.array_equal(np.asarray(found), UPRIGHT[value](small)), name
        assert found.getexif().get(274, 1) == 1  # or the next reader turns it again
        assert "exif" not in found.info


@pytest.mark.parametrize(("value", "row", "column"), [(3, 1, 1), (6, 0, 1), (8, 1, 0)])
def test_jpeg_orientation_moves_the_corner(tmp_path, value, row, column):
    """A white top-left quarter, 16 x 32: where it has to lie after 180, 90 right, 90 left."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :16] = 255
    path = oriented(tmp_path / "a.jpg", stored, value, quality=95)
    found = pixels(path)
    assert found.shape == ((16, 32, 3) if value == 3 else (32, 16, 3))
    expected = np.zeros(found.shape)
    h, w = found.shape[0] // 2, found.shape[1] // 2
    expected[row * h:(row + 1) * h, column * w:(column + 1) * w] = 255
    assert np.abs(found - expected).max() <= 8


@pytest.mark.parametrize("exif", [b"MM\0*\xff\xff\xff\xff cut", b"XX no TIFF header", b"MM"])
def test_broken_exif_does_not_cost_the_image(tmp_path, exif):
    for kind in ("jpg", "png"):  # Pillow swallows the first error in a JPEG, not in a PNG
        save(tmp_path / f"a.{kind}", NOISE, exif=b"Exif\0\0" + exif)
        save(tmp_path / f"b.{kind}", NOISE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pixels(tmp_path / f"a.{kind}")
        assert (found == pixels(tmp_path / f"b.{kind}")).all()


# ------------------------------------------------------------------ pages and frames


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif", "b.tif", "a.jpg", "a.avif"])
def test_pages_and_frames_are_counted_and_the_first_is_taken(tmp_path, name):
    if Path(name).suffix not in Image.registered_extensions():
        pytest.skip("this Pillow writes no such file")
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"a.jpg": {"format": "MPO"}, "a.webp": {"lossless": True},  # MPO: as phones do
               "b.tif": {"compression": "tiff_lzw"}}.get(name, {})
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    if name == "a.jpg" and Image.open(tmp_path / name).format != "MPO":
        pytest.skip("this Pillow writes damaged MPO")
    found = warned(tmp_path / name, "3 pages or frames", "first")
    assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 3
    frames[0].save(tmp_path / name)
    silent(tmp_path / name)


def test_a_broken_chain_of_pages_does_not_cost_the_first(tmp_path):
    data = tiff(3, 1, 8, bytes([1, 2, 3]))
    end = 8 + 2 + 12 * 10  # where the place of the next page is written
    (tmp_path / "a.tif").write_bytes(data[:end] + struct.pack("<I", 12) + data[end + 4:])
    assert (warned(tmp_path / "a.tif")[0, :, 0] == (1, 2, 3)).all()


# ------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.ppm", "a.tif", "a.webp", "a.gif"])
def test_truncated(tmp_path, name):
    whole = save(tmp_path / name, NOISE)
    data, expected = whole.read_bytes(), pixels(whole)
    cut = tmp_path / f"cut_{name}"
    for part in (0.1, 0.3, 0.5, 0.7, 0.9):
        cut.write_bytes(data[:int(len(data) * part)])
        refused(cut)
    for missing in range(1, 16):  # the last bytes may carry no pixels; then nothing may differ
        cut.write_bytes(data[:-missing])
        try:
            found = pixels(cut)
        except ValueError:
            continue
        assert (found == expected).all()


def test_progressive_jpeg_truncated(tmp_path):
    data = save(tmp_path / "a.jpg", NOISE, progressive=True).read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[:len(data) * 2 // 3])
    refused(tmp_path / "b.jpg", "truncated")


def test_not_an_image(tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("<!DOCTYPE html><p>404")
    refused(text, "21 bytes", "<!DOCTYPE html>", "JPEG")
    empty = tmp_path / "empty.png"
    empty.touch()
    refused(empty, "an empty file, 0 bytes")
    refused(tmp_path, "a folder")
    refused(tmp_path / "missing.png", "no such file", kind=FileNotFoundError)
    refused(text / "a.png", "no such file", kind=FileNotFoundError)


def test_links_that_lead_nowhere(tmp_path):
    for name, target in (("lost.png", "gone.png"), ("loop.png", "loop.png")):
        try:
            (tmp_path / name).symlink_to(tmp_path / target)
        except OSError:
            pytest.skip("no links on this system")
        refused(tmp_path / name, "no such file, a link to", target, kind=FileNotFoundError)


def test_the_real_reason_is_told(tmp_path):
    whole = png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"tEXt", b"a\0b"))
    (tmp_path / "a.png").write_bytes(whole.replace(b"a\0b", b"a\0c"))  # its CRC no longer fits
    refused(tmp_path / "a.png", "PNG", "bad header checksum in b'tEXt'")
    for bits, kind, words in ((64, 3, "64 bits, float"), (16, 3, "16 bits, float"),
                              (64, 1, "64 bits, unsigned")):
        (tmp_path / "a.tif").write_bytes(tiff(2, 1, bits, bytes(bits // 4), kind))
        refused(tmp_path / "a.tif", "TIFF", words)
    (tmp_path / "b.tif").write_bytes(tiff(1, 1, (32, 32, 32), bytes(12), 3, photometric=2))
    refused(tmp_path / "b.tif", "samples of 32/32/32 bits, float/float/float")
    (tmp_path / "a.jpg").write_bytes(save(tmp_path / "b.jpg", NOISE).read_bytes()[:30])
    refused(tmp_path / "a.jpg", "runcated")
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    refused(tmp_path / "a.gif", "GIF that cannot be read: ")


def test_no_permission(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", NOISE)

    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)  # the tests may run as root, who may read it
    refused(path, "Permission denied")


@pytest.mark.parametrize("name", ["ünï 漢字 \U0001f600.png", "two\nlines.png", "a%s{x}.png"])
def test_unusual_names(tmp_path, name):
    try:
        save(tmp_path / name, NOISE)
    except OSError:
        pytest.skip("no such names on this system")
    assert (pixels(tmp_path / name) == NOISE).all()
    (tmp_path / name).write_bytes(b"nothing")
    refused(tmp_path / name, "b'nothing'")


def test_home_is_expanded(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    save(tmp_path / "a.png", NOISE)
    assert (pixels("~/a.png") == NOISE).all()
    with pytest.raises(FileNotFoundError, match="b.png: no such file"):
        read_image("~/b.png")


def test_what_pillow_says_is_told_with_the_files_name(tmp_path, monkeypatch):
    def warns(*arguments):
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        raise KeyError(274)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "getexif", warns)
    warned(save(tmp_path / "a.png", NOISE), "Corrupt EXIF data")


def test_truncated_files_are_refused_whatever_another_library_has_set(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = save(tmp_path / "a.jpg", NOISE).read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:len(data) // 2])
    refused(tmp_path / "a.jpg", "truncated")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


# ------------------------------------------------------------------ HEIC and AVIF


def box(brand, *more):
    return struct.pack(">I", 16 + 4 * len(more)) + b"ftyp" + brand + bytes(4) + b"".join(more)


@pytest.mark.parametrize("head, words", [
    (box(b"heic", b"mif1", b"heic"), "pip install pillow-heif"),
    (box(b"mif1", b"mif1", b"heic"), "pip install pillow-heif"),
    (box(b"avif", b"mif1", b"avif"), "pip install -U pillow")])
def test_a_missing_plug_in_is_named(tmp_path, monkeypatch, head, words):
    for kind in ("HEIF", "AVIF"):
        monkeypatch.delitem(Image.OPEN, kind, raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images, "_formats", images._formats.__wrapped__)
    path = tmp_path / "IMG_1.heic"
    path.write_bytes(head + bytes(100))
    refused(path, words, "convert")


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_avif_and_heif_are_read_where_they_can_be(tmp_path, kind):
    name = "a.avif" if kind == "AVIF" else "a.heic"
    if kind not in images._formats():
        pytest.skip(f"no {kind} here")
    flat = np.full((32, 48, 3), (200, 60, 30), np.uint8)
    flat[:16, :24] = 255
    path = save(tmp_path / name, flat)
    assert np.abs(pixels(path).astype(int) - flat).mean() < 6
    if kind == "AVIF":
        found = pixels(oriented(path, flat, 6))
        assert found.shape == (48, 32, 3) and found[:20, 20:].min() > 230
    path.write_bytes(path.read_bytes()[:200])
    refused(path)


def test_wrong_extension_is_read_by_content(tmp_path):
    (tmp_path / "a.jpg").write_bytes(save(tmp_path / "a.png", NOISE).read_bytes())
    assert (pixels(tmp_path / "a.jpg") == NOISE).all()


def test_postscript_is_not_run(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "%!PS-Adobe")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    refused(tmp_path / "a.png")


# ------------------------------------------------------------------ very large files


def test_panorama(tmp_path):
    Image.new("RGB", (20_000, 500), (10, 20, 30)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").size == (20_000, 500)
    assert (pixels(tmp_path / "a.png")[250] == (10, 20, 30)).all()


def test_too_large_is_refused_from_the_header(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(20_000, 20_000, 8, 2, b""))  # 400 million pixels, none of them there
    refused(path, "20000 x 20000 = 400,000,000", "max_pixels=200,000,000")
    small = save(tmp_path / "b.png", NOISE)
    refused(small, "56 x 40 = 2,240", "max_pixels=2,239", max_pixels=2239)
    assert (pixels(small, max_pixels=2240) == NOISE).all()


def test_pillows_own_limit_is_lifted_and_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (pixels(save(tmp_path / "a.png", NOISE)) == NOISE).all()
    (tmp_path / "a.png").write_bytes(b"")
    refused(tmp_path / "a.png")
    assert Image.MAX_IMAGE_PIXELS == 100
