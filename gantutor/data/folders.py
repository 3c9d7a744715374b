"""A reader's own images: two folders of any size, format and colour mode -> two uint8 tensors.

Each is converted correctly (no 16-bit scan clipped to white, no photograph on its side, nothing
transparent turned black) or refused with an error that names it; none is skipped in silence.
"""

import threading
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")  # EPS would start Ghostscript
LITTER = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx")  # besides .DS_Store, hidden
MAX_PIXELS = 200_000_000
_pillow_limit = threading.Lock()


def read_image(path, max_pixels=MAX_PIXELS):
    """One file -> an upright PIL image, 8-bit RGB; of an animation, its first frame.

    Transparency is laid over white, 16-bit grey scaled by 1/257, floats in [0, 1] by 255.
    Raises FileNotFoundError or ValueError: the file, what was found, what was expected.
    """
    path = Path(path).expanduser()
    expected = f"expected a complete {'/'.join(FORMATS)} file of at most {max_pixels=:,} pixels"
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise (ValueError if path.exists() else FileNotFoundError)(f"{path}: {found}; {expected}")
    with _pillow_limit:  # Pillow's own, 179 million, is below ours and its error names no file
        saved, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return _decode(path, max_pixels)
        except UnidentifiedImageError:  # the first bytes say more, for instance b'<!DOCTYPE html>'
            found = f"no image: {path.stat().st_size} bytes, {bytes(np.fromfile(path, 'B', 16))!r}"
        except Exception as error:  # damaged files make Pillow raise nearly anything
            found = str(error) or type(error).__name__
        finally:
            Image.MAX_IMAGE_PIXELS = saved
    raise ValueError(f"{path}: {found}; {expected}")


def load_folder(folder, size, limit=None, min_side=8, max_pixels=MAX_PIXELS):
    """All images below a folder (the first `limit` by name) -> uint8 (N, 3, size, size).

    Resizes the shorter side (Lanczos), crops the longer at its centre. Warns of other files. Raises
    FileNotFoundError, NotADirectoryError, or ValueError: no, bad or small (< min_side) images.
    """
    if min(size, size if limit is None else limit) < 1:
        raise ValueError(f"{size=}, {limit=}; expected at least 1")
    paths, others = _list_images(folder)
    if others:
        warnings.warn(f"{folder}: ignored {len(others)} other files, {others[:3]}", stacklevel=2)
    bad, images = [], torch.empty(len(paths[:limit]), 3, size, size, dtype=torch.uint8)
    for path, out in zip(paths[:limit], images, strict=True):
        try:
            image = read_image(path, max_pixels)
            if min(image.size) < min_side:
                raise ValueError(f"{path}: {image.size} pixels; expected {min_side=} or more")
            out.copy_(_square(image, size))
        except (OSError, ValueError) as error:
            bad.append(f"\n  {error}")
    if bad:
        raise ValueError(f"{folder}: {len(bad)} of {len(images)} images cannot be used; "
                         f"the first {len(bad[:5])}:{''.join(bad[:5])}")
    return images


def load_two_folders(folder_x, folder_y, size, batch_size):
    """Two folders -> (x, y): uint8 (N_x, 3, size, size) and (N_y, 3, size, size).

    Raises what load_folder raises, and ValueError for fewer images than batch_size or when one
    folder is, or lies inside, the other: X would then hold the images of Y.
    """
    for folder in (folder_x, folder_y):
        if (count := len(_list_images(folder)[0])) < batch_size:  # before minutes of reading
            raise ValueError(f"{folder}: {count} images; expected at least {batch_size=}")
    x, y = (Path(folder).expanduser().resolve() for folder in (folder_x, folder_y))
    if any(map(x.samefile, (y, *y.parents))) or any(map(y.samefile, x.parents)):
        raise ValueError(f"{x} and {y}: the same folder, or one inside the other; expected two")
    return load_folder(folder_x, size), load_folder(folder_y, size)


def _decode(path, max_pixels):
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size  # from the header: nothing is decoded yet
        if width * height > max_pixels:
            raise ValueError(f"{width} x {height} = {width * height:,} pixels")
        image.load()  # a TIFF turns itself upright here, and drops the tag
        rgb = _to_rgb(image)
        rgb.info = {}  # without EXIF, or the next reader turns the image a second time
        with suppress(Exception):  # no EXIF, or broken EXIF beside sound pixels
            rgb.getexif()[274] = image.getexif()[274]  # Orientation
    ImageOps.exif_transpose(rgb, in_place=True)
    return rgb


def _to_rgb(image):
    if image.mode[0] in "IF":
        return Image.fromarray(_deep_grey(image).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba)
    return white


def _deep_grey(image):
    """16-bit, 32-bit and float grey -> 0..255; Pillow's convert makes all above 255 white."""
    values = np.asarray(image)
    if image.mode == "F" and values.min() >= 0 and values.max() <= 1:  # NaN fails too
        return np.rint(values * 255)
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError(f"grey {values.min()} to {values.max()}, not 16-bit or floats in [0, 1]")
    grey = (values.astype(np.uint32) + 128) // 257  # 65535 = 257 * 255
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # PhotometricInterpretation
        grey = 255 - grey
    return np.where(values == image.info.get("transparency", -1), 255, grey)  # PNG's one grey


def _walk(folder, above=()):
    """Files below a folder by name, without hidden ones and litter; follows links, not circles."""
    for path in sorted(folder.iterdir()) if folder.resolve() not in above else ():
        if not path.name.startswith(".") and path.name.lower() not in LITTER:
            yield from _walk(path, (*above, folder.resolve())) if path.is_dir() else (path,)


def _list_images(folder):
    folder, expected = Path(folder).expanduser(), f"expected images ({' '.join(EXTENSIONS)})"
    if not folder.is_dir():
        error = NotADirectoryError if folder.exists() else FileNotFoundError
        raise error(f"{folder}: {'a file' if folder.exists() else 'no such folder'}; {expected}")
    files = list(_walk(folder))
    images = [path for path in files if path.suffix.lower() in EXTENSIONS]
    others = [str(p.relative_to(folder)) for p in files if p.suffix.lower() not in EXTENSIONS]
    if not images:
        raise ValueError(f"{folder}: no images, {len(others)} other files {others[:3]}; {expected}")
    return images, others


def _square(image, size):
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2  # a half pixel would blur
    image = image.resize((size, size), Image.LANCZOS, (left, top, left + side, top + side), 3)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
