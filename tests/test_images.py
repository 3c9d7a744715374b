"""Own images: real files of every kind, pixels against values worked out by hand."""

import os
import re
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from gantutor.images import EXTENSIONS, load_folder, load_two_folders, read_image

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)  # H != W; noise compresses badly


def save(path, array, mode=None, **options):
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def pixels(path, **options):
    image = read_image(path, **options)
    assert image.mode == "RGB"
    return np.asarray(image)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=b""):
    """A PNG written by hand: what Pillow cannot write, or should never have to decode."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


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


def test_ten_bit_pgm(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 1023\n" + struct.pack(">3H", 0, 341, 1023))
    assert (pixels(tmp_path / "a.pgm") == np.array([[0, 85, 255]])[..., None]).all()


def test_float_and_integer_tiff(tmp_path):
    values = np.array([[0, 0.2, 1], [0.6, 0.4, 0.8]], np.float32)
    expected = np.array([[0, 51, 255], [153, 102, 204]])[..., None]
    assert (pixels(save(tmp_path / "a.tif", values)) == expected).all()
    refused(save(tmp_path / "b.tif", values * 255), "0.0 to 255.0")
    refused(save(tmp_path / "c.tif", -values), "-1.0")
    refused(save(tmp_path / "d.tif", values * np.float32("nan")), "nan")
    refused(save(tmp_path / "e.tif", np.array([[3, 70000]], np.int32)), "3 to 70000")


def test_cmyk_jpeg(tmp_path):
    """Pillow writes Adobe's inverted CMYK. Ink (255, 0, 0, 0) is cyan; K = 255 is black."""
    for ink, expected in (((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 0), (255, 255, 255)),
                          ((0, 0, 0, 255), (0, 0, 0)), ((0, 255, 255, 0), (255, 0, 0))):
        Image.new("CMYK", (24, 16), ink).save(tmp_path / "a.jpg", quality=95)
        assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
        assert np.abs(pixels(tmp_path / "a.jpg").astype(int) - expected).max() <= 2
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert (pixels(tmp_path / "a.tif") == (255, 0, 0)).all()


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


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (5, 3), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert (pixels(tmp_path / name) == (255, 0, 0)).all(), name


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
    refused(empty, "0 bytes")
    refused(tmp_path, "a folder")
    refused(tmp_path / "missing.png", "no such file", kind=FileNotFoundError)
    refused(text / "a.png", "no such file", kind=FileNotFoundError)


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
    images = load_folder(tmp_path, 16)
    assert images.shape == (1, 3, 16, 16)
    assert (images[0] == torch.tensor([10, 20, 30])[:, None, None]).all()


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


# ------------------------------------------------------------------ folders


def test_folder_order_and_extensions(tmp_path):
    (tmp_path / "b").mkdir()
    names = [f"a{i}{e.upper() if i % 2 else e}" for i, e in enumerate(EXTENSIONS)]
    names += ["b/a.JPG", "c.Png"]
    for i, name in enumerate(reversed(names)):  # written in the other order
        save(tmp_path / name, np.full((9, 11, 3), 20 * i, np.uint8))
    images = load_folder(tmp_path, 8)
    assert images.shape == (11, 3, 8, 8) and images.dtype == torch.uint8
    means = images.float().mean((1, 2, 3)).round().int().tolist()
    assert means == [20 * i for i in reversed(range(11))]
    assert torch.equal(load_folder(tmp_path, 8, limit=4), images[:4])
    assert torch.equal(load_folder(str(tmp_path), 8, limit=400), images)


def test_square_crop_keeps_the_centre(tmp_path):
    save(tmp_path / "wide.png", NOISE)
    save(tmp_path / "x_tall.png", NOISE.swapaxes(0, 1))
    odd = NOISE[:, :43]
    save(tmp_path / "y_odd.png", odd)  # no half pixels: nothing may blur
    found = load_folder(tmp_path, 40).numpy()
    assert (found[0] == NOISE[:, 8:48].transpose(2, 0, 1)).all()
    assert (found[1] == NOISE[:, 8:48].transpose(2, 1, 0)).all()
    assert (found[2] == odd[:, 1:41].transpose(2, 0, 1)).all()


def test_resize_is_antialiased(tmp_path):
    """Stripes of one pixel become their mean; nearest or plain bilinear would keep stripes."""
    stripes = np.zeros((64, 80, 3), np.uint8)
    stripes[:, ::2] = 200
    save(tmp_path / "a.png", stripes)
    assert (load_folder(tmp_path, 16).int() - 100).abs().max() <= 3
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = 255
    save(tmp_path / "a.png", halves)
    image = load_folder(tmp_path, 16)[0]
    assert (image[:, :6] >= 250).all() and (image[:, 10:] <= 5).all()


def test_large_picture_is_reduced_correctly(tmp_path):
    """A ramp of 1024 to 16 px: each pixel is the mean of the 64 columns it stands for."""
    ramp = np.repeat(np.arange(1024)[None] / 1023 * 255, 1024, 0).round().astype(np.uint8)
    save(tmp_path / "a.png", ramp)
    expected = ramp[0].reshape(16, 64).mean(1)
    found = load_folder(tmp_path, 16)[0].numpy()
    assert np.abs(found - expected)[..., 1:-1].max() <= 1.5


def test_small_is_enlarged_tiny_is_refused(tmp_path):
    save(tmp_path / "a.png", np.full((8, 9, 3), 77, np.uint8))
    assert (load_folder(tmp_path, 32) == 77).all()
    save(tmp_path / "b.png", np.zeros((1, 1, 3), np.uint8))
    save(tmp_path / "c.png", np.zeros((7, 90, 3), np.uint8))
    with pytest.raises(ValueError, match=r"2 of 3 (.|\n)*b.png: \(1, 1\)(.|\n)*c.png: \(90, 7\)"):
        load_folder(tmp_path, 32)
    assert load_folder(tmp_path, 32, min_side=1).shape == (3, 3, 32, 32)


def test_hidden_files_and_litter(tmp_path):
    folder = tmp_path / ".cache" / "mine"  # hidden above the folder does not matter
    folder.mkdir(parents=True)
    save(folder / "a.png", NOISE)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._a.png"):
        (folder / name).write_text("litter")
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (folder / name).mkdir()
        save(folder / name / "a.png", NOISE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_folder(folder, 8)) == 1


def test_other_files_are_counted_in_one_warning(tmp_path):
    save(tmp_path / "a.png", NOISE)
    for name in ("e.csv", "b.txt", "d.heic", "c"):
        (tmp_path / name).write_text("x")
    with pytest.warns(UserWarning) as caught:
        load_folder(tmp_path, 8)
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert str(tmp_path) in text and "4 other files" in text and "e.csv" not in text
    assert "'b.txt', 'c', 'd.heic'" in text


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "real").mkdir()
    save(tmp_path / "real" / "a.png", NOISE)
    try:
        (tmp_path / "x" / "link").symlink_to(tmp_path / "real")
        (tmp_path / "x" / "circle").symlink_to(tmp_path / "x")
    except OSError:
        pytest.skip("no links on this system")
    assert len(load_folder(tmp_path / "x", 8)) == 1
    (tmp_path / "x" / "lost.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"lost\.png: no such file"):
        load_folder(tmp_path / "x", 8)


def test_folder_errors(tmp_path):
    missing, file, empty = tmp_path / "missing", tmp_path / "a.png", tmp_path / "empty"
    save(file, NOISE)
    empty.mkdir()
    for folder, kind in ((missing, FileNotFoundError), (file, NotADirectoryError),
                         (empty, ValueError)):
        with pytest.raises(kind) as caught:
            load_folder(folder, 8)
        text = str(caught.value)
        assert str(folder) in text and all(e in text for e in EXTENSIONS), text
    (empty / "a.heic").touch()
    with pytest.raises(ValueError, match=r"no images, 1 other files \['a.heic'\]"):
        load_folder(empty, 8)
    for arguments in ({"size": 0}, {"size": 8, "limit": 0}, {"size": 8, "limit": -1}):
        with pytest.raises(ValueError, match="at least 1"):
            load_folder(tmp_path, **arguments)


def test_all_bad_files_are_found_before_failing(tmp_path):
    for i in range(30):
        save(tmp_path / f"{i:02}.png", NOISE[:8, :9])
    whole = (tmp_path / "00.png").read_bytes()
    (tmp_path / "17.png").write_bytes(whole[:100])
    with pytest.raises(ValueError, match="1 of 30") as caught:
        load_folder(tmp_path, 8)
    assert str(tmp_path / "17.png") in str(caught.value)
    for i in range(20, 26):
        (tmp_path / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="7 of 30") as caught:
        load_folder(tmp_path, 8)
    named = re.findall(r"(\d\d)\.png:", str(caught.value))
    assert named == ["17", "20", "21", "22", "23"]


# ------------------------------------------------------------------ two folders


@pytest.fixture
def two(tmp_path):
    for name, count, value in (("x", 3, 10), ("y", 4, 200)):
        (tmp_path / name).mkdir()
        for i in range(count):
            save(tmp_path / name / f"{i}.png", np.full((9, 12, 3), value + i, np.uint8))
    return tmp_path / "x", tmp_path / "y"


def test_two_folders(two):
    x, y = load_two_folders(*two, size=16, batch_size=3)
    assert x.shape == (3, 3, 16, 16) and y.shape == (4, 3, 16, 16)
    assert x.dtype == y.dtype == torch.uint8
    assert x[:, 0, 0, 0].tolist() == [10, 11, 12]
    assert y[:, 2, 15, 7].tolist() == [200, 201, 202, 203]


def test_too_few_for_a_batch(two):
    with pytest.raises(ValueError, match=re.escape(f"{two[0]}: 3 images") + ".*batch_size=4"):
        load_two_folders(*two, size=16, batch_size=4)
    with pytest.raises(ValueError, match=re.escape(f"{two[0]}: 3 images")):
        load_two_folders(two[1], two[0], size=16, batch_size=4)


def test_same_or_nested_folders(two, monkeypatch):
    x, y = two
    monkeypatch.chdir(x.parent)
    for a, b in ((x, x), (x, "x"), (x, y / ".." / "x"), (x.parent, y), (y, x.parent)):
        with pytest.raises(ValueError, match="same folder, or one inside") as caught:
            load_two_folders(a, b, size=16, batch_size=2)
        assert str(x.parent) in str(caught.value)
    monkeypatch.chdir(x)
    with pytest.raises(ValueError, match="same folder, or one inside"):
        load_two_folders(".", x.parent, size=16, batch_size=2)


def test_two_folders_name_the_missing_one(two):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_two_folders(two[0], two[1] / "nowhere", size=16, batch_size=2)
