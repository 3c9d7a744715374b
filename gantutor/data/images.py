"""One image file of any format and colour mode -> an upright 8-bit RGB image in sRGB.

Each file is converted correctly or refused with an error that names it. Where something in it is
ignored or assumed, a warning names the file and says what.
"""

import functools
import json
import os
import sys
import threading
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

# Pillow's names. EPS is not among them: Pillow would start Ghostscript.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "HEIF")
INSTALL = {"AVIF": "Pillow 11.3 or newer (`pip install -U pillow`)",
           "HEIF": "pillow-heif (`pip install pillow-heif`)"}
HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1",
               b"msf1")
PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
MAX_PIXELS = 200_000_000
_one_at_a_time = threading.Lock()  # Pillow's limits and Python's warnings are global


def read_image(path, max_pixels=MAX_PIXELS):
    """One file -> an upright PIL image, 8-bit RGB, in the colours of sRGB.

    A colour profile is applied. Transparency is laid over white. Floats in [0, 1] are scaled by
    255. Of several pages or frames the first is taken.

    16-bit grey: white is the value that the file states (12-bit TIFF, PGM), otherwise 65535. Only
    if no value reaches 16384, the image is either very dark or has fewer bits stored in 16:
      * All values are multiples of 257 (8 bits widened to 16): white is 65535, the image is dark.
      * The largest value is 255, 511, 1023, ... or 16383: white is this value. A warning says so.
      * Otherwise ValueError. Nothing in the file tells the two cases apart.
    16-bit colour whose values all lie below 16384 is a ValueError too.

    Warns, naming the file, of what it ignores or assumes: a profile that cannot be used, further
    pages, an alpha channel that nobody set, fewer bits stored in 16.
    Raises FileNotFoundError or ValueError: the file, what was found, what was expected.
    """
    image, notes = read_with_notes(path, max_pixels)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return image


@functools.cache
def _formats():
    """Those of FORMATS that this Pillow knows, with the plug-in pillow-heif where installed."""
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def read_with_notes(path, max_pixels, shorter_side=None):
    """(image, notes) of `read_image`. Each note names the file.

    shorter_side: pixels that are enough. A large JPEG is then decoded at a half, a quarter or an
    eighth of its size, several times as fast, and never below these pixels.
    """
    path = Path(path).expanduser()
    expected = f"expected a complete {'/'.join(_formats())} file of at most {max_pixels=:,} pixels"
    if not path.is_file():
        found = ("a folder" if path.is_dir() else "not a regular file" if path.exists() else
                 f"no such file, a link to {os.readlink(path)}" if path.is_symlink() else
                 "no such file")
        raise (ValueError if path.exists() else FileNotFoundError)(f"{path}: {found}; {expected}")
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # Pillow's own warnings name no file
        saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            image = _decode(path, max_pixels, shorter_side)
            return image, list(dict.fromkeys(  # each once
                f"{path}: {w.message}" for w in caught if issubclass(w.category, UserWarning)))
        except UnidentifiedImageError:
            found = _why_unidentified(path)
        except Exception as error:  # damaged files make Pillow raise nearly anything
            found = str(error) or type(error).__name__
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved
    raise ValueError(f"{path}: {found}; {expected}")


def read_square(path, side, min_side=8, max_pixels=MAX_PIXELS):
    """The centre square of one file, scaled -> (uint8 (side, side, 3), notes as above).

    A large JPEG is decoded smaller: its square may lie half a pixel of the result's aside at most.
    Errors as `read_image`, and ValueError for a picture with a side of fewer than min_side pixels.
    """
    image, notes = read_with_notes(path, max_pixels, max(2 * side, min_side))
    whole = min(image.size)
    if whole < min_side:
        raise ValueError(f"{path}: {image.size} pixels; expected {min_side=} or more")
    left, top = (image.width - whole) / 2, (image.height - whole) / 2
    if whole == side:  # nothing is scaled: a half pixel would blur
        left, top = int(left), int(top)
    box = (left, top, left + whole, top + whole)
    return np.asarray(image.resize((side, side), Image.LANCZOS, box, 3)), notes


def serve(questions, answers):
    """Reads squares for another process: `python images.py` starts without torch, in little memory.

    A question is a line of JSON, [path, side]. The answer is a line of JSON, [True, notes], and
    the square's bytes; or [False, the error]. Ends where the questions end.
    """
    for line in questions:
        try:
            pixels, text = read_square(*json.loads(line))
            answer, body = [True, text], pixels.tobytes()
        except Exception as error:  # whatever it is, the other process wants to know
            answer, body = [False, str(error)], b""
        answers.write(json.dumps(answer).encode() + b"\n" + body)
        answers.flush()


def _why_unidentified(path):
    """Why no reader took a file. Pillow drops the reason, so ask the reader of its format again."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
            kind = "AVIF" if b"avif" in head or b"avis" in head else "HEIF"
            if kind not in _formats() or Image.OPEN[kind][1](head[:16]) is not True:
                return (f"an image in {kind} (.{'avif' if kind == 'AVIF' else 'heic'}): install "
                        f"{INSTALL[kind]}, or convert the file to JPEG or PNG")
        for kind in _formats():
            reader, accepts = Image.OPEN[kind]
            file.seek(0)
            try:
                if accepts(head[:16]):
                    reader(file, str(path))
            except Exception as error:
                text = str(error) or type(error).__name__
                samples = _tiff_samples(path) if text == "unknown pixel mode" else ""
                return f"{kind} that cannot be read: {text}{samples}"
    if not head:
        return "an empty file, 0 bytes"
    return f"none of these formats, {path.stat().st_size} bytes that begin with {head[:16]!r}"


def _tiff_samples(path):
    with open(path, "rb") as file:
        head = file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(head + (file.read(8) if 43 in head else b""))
        file.seek(tags.next)
        tags.load(file)
    kinds = {1: "unsigned", 2: "signed", 3: "float", 5: "complex", 6: "complex float"}
    kind = "/".join(kinds.get(value, "other") for value in tags.get(339, (1,)))
    return f" (samples of {'/'.join(map(str, tags.get(258, (1,))))} bits, {kind})"


def _decode(path, max_pixels, shorter_side):
    with Image.open(path, formats=_formats()) as image:
        width, height = image.size  # from the header: nothing is decoded yet
        if width * height > max_pixels:
            raise ValueError(f"{width} x {height} = {width * height:,} pixels")
        if shorter_side:
            image.draft(None, (shorter_side, shorter_side))  # only JPEG has it
        packing = str(image.tile[0][3]) if image.tile else ""  # load() empties the list
        image.load()  # a TIFF turns itself upright here, and drops the tag
        _warn_of_more_pages(image)
        rgb = _to_rgb(image, packing)
        rgb.info = {}  # without EXIF, or the next reader turns the image a second time
        with suppress(Exception):  # no EXIF, or broken EXIF beside sound pixels
            rgb.getexif()[274] = image.getexif()[274]  # Orientation
    ImageOps.exif_transpose(rgb, in_place=True)
    return rgb


def _note(text):
    warnings.warn(text, stacklevel=2)  # `read_with_notes` collects it and adds the file's name


def _warn_of_more_pages(image):
    try:
        pages = getattr(image, "n_frames", 1)
    except Exception as error:
        _note(f"what follows its first page is damaged ({error})")
    else:
        if pages > 1:
            _note(f"{pages} pages or frames; the first is taken")


# ------------------------------------------------------------------ colours


def _to_rgb(image, packing):
    """A loaded image of any mode -> RGB in sRGB on white. packing: how the file stores a sample."""
    _mend_or_refuse_misread(image, packing)
    profile = image.info.get("icc_profile")
    if "icc_profile" not in image.info:
        _warn_of_unused_colour_tags(image)
    elif not profile:
        _note("its colour profile is damaged; colours are read as sRGB")
    if image.mode[0] in "IF":
        return _to_srgb(Image.fromarray(_deep_grey(image, packing)), profile)
    if not image.has_transparency_data:
        return _to_srgb(image, profile)
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema()[1] == 0 and _alpha_is_often_unset(image):
        _note(f"alpha is 0 everywhere, in {image.format} a sign that nobody set it; taken as "
              "opaque")
        return _to_srgb(rgba.convert("RGB"), profile)
    white = Image.new("RGB", image.size, "white")
    white.paste(_to_srgb(rgba.convert("RGB"), profile), mask=alpha)
    return white


def _alpha_is_often_unset(image):
    """BMP, and TIFF without a word on what its fourth channel is. Others say what they mean."""
    return image.format == "BMP" or (image.format == "TIFF"
                                     and image.tag_v2.get(338) not in ((1,), (2,)))  # ExtraSamples


def _to_srgb(image, profile):
    """An image without alpha -> RGB, from the colours of its ICC profile (bytes or None) to sRGB.

    A profile that is broken, or made for another kind of image, is ignored with a warning.
    """
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    plain = image.convert("RGB")
    if not profile:
        return plain
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = PROFILE_MODES.get(source.profile.xcolor_space.strip(), "another kind of colour")
        fitting = image.convert(mode) if {image.mode, mode} == {"L", "RGB"} else image
        lossless = mode != "L" or fitting.convert("RGB").tobytes() == plain.tobytes()
        if fitting.mode != mode or not lossless:
            raise ValueError(f"it is for {mode}, the image is {image.mode}")
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(fitting, source, srgb, outputMode="RGB")
    except Exception as error:  # a broken profile makes LittleCMS raise nearly anything
        _note(f"its colour profile is ignored ({error}); colours are read as sRGB")
        return plain


def _warn_of_unused_colour_tags(image):
    """Colours that a file without a profile describes in another way, which is not followed."""
    gamma = image.info.get("gamma", 1 / 2.2)  # PNG's gAMA; 1 / 2.2 is nearly sRGB's curve
    if abs(gamma - 1 / 2.2) > 0.02 and "srgb" not in image.info:
        _note(f"its gamma of {gamma:.3g} is ignored; colours are read as sRGB")
    with suppress(Exception):  # no EXIF, or broken EXIF beside sound pixels
        if image.getexif().get_ifd(0xA005).get(1) == "R03":  # Interoperability, its index
            _note("its EXIF says Adobe RGB without a profile; colours are read as sRGB")


# ------------------------------------------------------------------ samples that Pillow misreads


def _mend_or_refuse_misread(image, packing):
    """Mends a transparent grey of fewer than 8 bits. ValueError for what Pillow reads wrongly."""
    key, scale = image.info.get("transparency"), {"1": 255, "L;2": 85, "L;4": 17}.get(packing)
    if image.format == "PNG" and key is not None and scale:
        image.info["transparency"] = min(key * scale, 255)  # Pillow scales the pixels alone
    if image.format == "PNG" and key is not None and packing == "RGB;16B":
        raise ValueError("16-bit colour with a transparent colour; Pillow compares 8 bits only")
    if image.format == "TIFF" and image.mode == "L" and image.tag_v2.get(339) == (2,):
        raise ValueError("samples of 8 bits with a sign, -128 to 127")  # 339: SampleFormat
    deep = {"PNG": ";16", "TIFF": ";16", "PPM": "65535"}.get(image.format, "none") in packing
    if deep and image.mode in ("RGB", "RGBA", "RGBX"):  # the upper 8 bits of each channel are left
        largest = max(high for _, high in image.convert("RGB").getextrema())
        if largest < 64 + (image.format == "PPM"):  # Pillow rounds PPM, and cuts the others off
            raise ValueError(_too_dark(256 * largest + 255))


def _too_dark(largest):
    return (f"16 bits per sample, but no value above {largest} of 65535: a very dark image, or "
            "fewer bits stored in 16. Save it with 8 bits per sample")


def _deep_grey(image, packing):
    """16-bit, 32-bit and float grey -> uint8; Pillow's convert makes all above 255 white."""
    values = np.asarray(image)
    if image.mode == "F" and values.min() >= 0 and values.max() <= 1:  # NaN fails too
        grey = np.rint(values * 255)
    elif image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError(f"grey {values.min()} to {values.max()}, not 16-bit or floats in [0, 1]")
    else:
        key = image.info.get("transparency", -1)  # PNG's one transparent grey
        white = _white_of(values[values != key], packing)
        grey = (np.minimum(values, white).astype(np.uint32) * 255 + white // 2) // white
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # PhotometricInterpretation
        grey = 255 - grey
    elif image.mode != "F":
        grey = np.where(values == key, 255, grey)
    return grey.astype(np.uint8)


def _white_of(values, packing):
    """The value of white in 16-bit grey, by the rule that `read_image` states."""
    largest = int(values.max(initial=0))
    if "I;12" in packing:  # TIFF
        return 4095
    # PGM with a maximum of its own, which Pillow has made 65535
    stated = packing.startswith("('L'") and "65535" not in packing
    if stated or largest >= 2**14 or not (values % 257).any():
        return 65535
    if largest >= 255 and largest & (largest + 1) == 0:  # all ones in binary
        _note(f"16 bits per sample, but the largest value is {largest}; taken as white: "
              f"{largest.bit_length()} bits stored in 16")
        return largest
    raise ValueError(_too_dark(largest))


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)  # the training comes first
    serve(sys.stdin.buffer, sys.stdout.buffer)
