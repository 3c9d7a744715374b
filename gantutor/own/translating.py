"""Translates pictures of any size under their own names, one file or a folder with sub-folders.

Size and shape stay. Pictures are turned upright as their EXIF says, and their colours are those of
sRGB. Transparency stays. What is there already is skipped, so an interrupted run, typed again, does
the rest. Bad files are listed at the end. Then the exit code is 1, and all others are done.
"""

import os
import sys
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from gantutor.data.batches import to_float, to_uint8
from gantutor.data.folders import EXTENSIONS, list_images
from gantutor.data.images import MAX_PIXELS, read_with_notes
from gantutor.own.tiling import TILE, draw
from gantutor.portable import from_official, load_model
from gantutor.saving import atomically

# How a file is written, by its suffix: Pillow's format and options. Others become PNG.
WRITTEN = {**dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), (
               "JPEG", {"quality": 95, "subsampling": 0})),
           ".png": ("PNG", {}), ".webp": ("WEBP", {"quality": 95}), ".bmp": ("BMP", {}),
           **dict.fromkeys((".tif", ".tiff"), ("TIFF", {"compression": "tiff_deflate"})),
           **dict.fromkeys((".ppm", ".pnm"), ("PPM", {}))}
TRANSPARENT = ("PNG", "WEBP", "TIFF")  # the formats of WRITTEN that keep transparency


class Translator:
    """A model and how to use it. back: from Y to X. to: StarGAN's domain. at: px of the shorter
    side at which direct models translate; the result is scaled to the picture's own size.

    ValueError, before any picture is read, where the model has no way back or no such domain.
    """

    def __init__(self, model, back=False, to=None, at=None, tile=TILE, memory=None):
        self.model, self.back, self.to, self.at = model, back, to, at
        self.tile, self.memory = tile, memory
        name = "G_yx" if back else "G_xy"
        self.net = model.networks.get(name)  # of the direct family, which takes any size
        if self.net is not None and to is not None:
            raise ValueError(f"--to {to}: a {model.method} has no codes; only StarGAN has")
        if self.net is None:
            size = model.fixed_size or model.smallest
            self._whole(torch.zeros(1, 3, size, size))  # its errors say what is missing
        if at is not None and at < 8:
            raise ValueError(f"--at {at}: expected at least 8 px")

    def _whole(self, x):
        return (self.model.back(x) if self.back else self.model.translate(x, self.to)).cpu()

    def says(self):
        """One line on what happens to the pictures' size, or None where nothing does."""
        if self.net is None:
            size = self.model.fixed_size
            return (f"this model works at {size} x {size} px: pictures are resized to that and "
                    "back, fine detail is lost")
        return self.at and f"pictures are translated with {self.at} px on the shorter side"

    def __call__(self, image):
        """PIL RGB -> PIL RGB of the same size. ValueError where memory is short."""
        size = image.size
        if self.net is None:
            side = self.model.fixed_size
            image = image.resize((side, side), Image.LANCZOS)
        elif self.at and min(size) != self.at:
            scale = self.at / min(size)
            image = image.resize([max(1, round(side * scale)) for side in size], Image.LANCZOS)
        x = to_float(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])  # (1, 3, H, W)
        y = self._whole(x) if self.net is None else draw(self.net, x, self.tile, self.memory)
        found = Image.fromarray(to_uint8(y)[0].permute(1, 2, 0).numpy())
        return found if found.size == size else found.resize(size, Image.LANCZOS)


# ------------------------------------------------------------------ one file


def translate_file(translator, source, place):
    """Reads, translates and writes one picture: whole or not at all. Returns remarks.

    place: see `written_as`. FileNotFoundError, ValueError or OSError that names the file.
    """
    image, notes = read_with_notes(source, MAX_PIXELS)
    alpha = _alpha(source, image)
    if alpha is not None:
        image = _over_nothing(image, alpha)
    found = translator(image)
    kind, options = WRITTEN[place.suffix.lower()]
    if alpha is not None and kind in TRANSPARENT:
        found.putalpha(alpha)
    elif alpha is not None:
        white = Image.new("RGB", found.size, "white")
        white.paste(found, mask=alpha)
        found, notes = white, [*notes, f"{source}: {kind} has no transparency; laid over white"]
    for left in place.parent.glob(f".{_plain(place.name)}.*.tmp"):  # of a run that was killed
        left.unlink(missing_ok=True)
    atomically(place, lambda temporary: found.save(temporary, kind, **options))
    return notes


def _plain(name):
    """A name in which `glob` sees no pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _alpha(source, upright):
    """The transparency of a picture that has some, turned as `upright` is; else None."""
    try:
        with warnings.catch_warnings():  # they have been said when it was read
            warnings.simplefilter("ignore")
            with Image.open(Path(source).expanduser()) as image:
                if not image.has_transparency_data:
                    return None
                alpha = image.convert("RGBA").getchannel("A")
                with suppress(Exception):  # no EXIF, or broken EXIF beside sound pixels
                    alpha.getexif()[274] = image.getexif()[274]  # Orientation
    except Exception as error:  # Pillow raises nearly anything
        raise ValueError(f"{source}: its transparency cannot be read ({error})") from None
    alpha = ImageOps.exif_transpose(alpha)
    low, high = alpha.getextrema()
    seen = high > 0 or upright.getextrema() == ((255, 255),) * 3  # or the reader took it as opaque
    return alpha if low < 255 and seen and alpha.size == upright.size else None


def _over_nothing(image, alpha):
    """A picture that was laid over white -> its own colours; white where nothing is seen.

    The generator must not see a white veil over a glass: the viewer lays it over once more.
    """
    laid, share = np.asarray(image, np.float32), np.asarray(alpha, np.float32)[:, :, None] / 255
    own = 255 - (255 - laid) / np.maximum(share, 1 / 255)
    return Image.fromarray(np.where(share > 0, own, 255).round().clip(0, 255).astype(np.uint8))


def written_as(path):
    """The name under which a picture is written: its own. What cannot be written becomes PNG:
    a.gif is written as a.gif.png."""
    return path if path.suffix.lower() in WRITTEN else path.with_name(f"{path.name}.png")


# ------------------------------------------------------------------ many files


def tasks(source, out):
    """[(picture, where its translation goes)] of a file or a folder. ValueError, OSError.

    A file goes to `out` itself where that has a suffix, else into the folder `out`.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    if not source.is_dir():
        if not source.exists():
            raise FileNotFoundError(f"{source}: no such file or folder")
        into = out.is_dir() or not out.suffix
        place = out / written_as(source).name if into else out
        if place.suffix.lower() not in WRITTEN:
            raise ValueError(f"{place}: cannot be written; expected one of {' '.join(WRITTEN)}")
        if place.resolve() == source.resolve():
            raise ValueError(f"{place}: the translation would replace its own picture")
        return [(source, place)]
    here, there = source.resolve(), out.resolve()
    if there == here or there.is_relative_to(here):
        raise ValueError(f"{out}: lies in {source}, and the next run would translate the "
                         "translations; expected a folder elsewhere")
    if out.is_file():
        raise NotADirectoryError(f"{out}: a file; expected a folder for the translations")
    found = [(path, out / written_as(path.relative_to(source))) for path in list_images(source)[0]]
    twice, times = Counter(place for _, place in found).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{twice}: two pictures of {source} would be written there")
    return found


def translate_all(translator, pairs, overwrite=False, progress=True):
    """Does `tasks`. Returns {"done": [path], "skipped": [path], "bad": {path: reason}, "notes"}."""
    found = {"done": [], "skipped": [], "bad": {}, "notes": []}
    for source, place in tqdm(pairs, unit="picture", disable=None if progress else True):
        if place.exists() and not overwrite:
            found["skipped"].append(source)
            continue
        try:
            found["notes"] += translate_file(translator, source, place)
            found["done"].append(source)
        except (OSError, ValueError, MemoryError, RuntimeError) as error:  # RuntimeError: torch's
            reason = str(error).partition("\n")[0] or type(error).__name__
            found["bad"][source] = reason
    return found


def report(found, out):
    """The lines that say what was done, what was not, and why."""
    lines = [f"note: {text}" for text in found["notes"]]
    lines += [f"not translated: {text if str(path) in text else f'{path}: {text}'}"
              for path, text in found["bad"].items()]
    total = sum(len(found[name]) for name in ("done", "skipped", "bad"))
    counts = [f"{len(found['done'])} of {total} translated into {out}"]
    if found["skipped"]:
        counts.append(f"{len(found['skipped'])} were there already (--overwrite does them again)")
    if found["bad"]:
        counts.append(f"{len(found['bad'])} could not be translated")
    return [*lines, "; ".join(counts)]


# ------------------------------------------------------------------ the command


def open_model(options):
    """The model that the command line names. Errors as `load_model` and `from_official`."""
    load = from_official if options.from_official else load_model
    try:
        return load(options.model, options.device)
    except ValueError as error:
        official = Path(options.model).suffix.lower() in (".pth", ".pt", ".ckpt")
        hint = "; weights of CycleGAN's or StarGAN's authors need --from-official" if (
            official and not options.from_official) else ""
        raise ValueError(f"{error}{hint}") from None


def add_model_arguments(command):
    """MODEL, --from-official and --device: what `translate` and `export` share."""
    command.add_argument("model", metavar="MODEL", help="a model.safetensors, a run's folder with "
                                                        "one, or a checkpoint of the course")
    command.add_argument("--from-official", action="store_true",
                         help="MODEL is a generator that the authors of CycleGAN (.pth) or StarGAN "
                              "(.ckpt) have released")
    command.add_argument("--device", default="auto", help="cpu, cuda, ... (default: a GPU where "
                                                          "there is one)")


def add_command(commands):
    """`gantutor translate MODEL IN OUT`."""
    command = commands.add_parser(
        "translate", help="translate a picture, or a folder of pictures", description=__doc__,
        epilog="Exit codes: 0 all done, 1 some could not be translated (listed), 2 the command "
               f"line is not right. Pictures: {' '.join(EXTENSIONS)}.")
    add_model_arguments(command)
    command.add_argument("source", metavar="IN", help="a picture, or a folder")
    command.add_argument("out", metavar="OUT", help="a folder, or for one picture a file")
    command.add_argument("--back", action="store_true", help="from Y to X")
    command.add_argument("--to", metavar="CODE", help="StarGAN's domain: a name, or several with "
                                                      "commas between them")
    command.add_argument("--at", type=int, metavar="PX", help="translate with the shorter side "
                         "scaled to PX, for instance the size of training; the result is scaled "
                         "back to the picture's own size")
    command.add_argument("--memory", type=float, metavar="GB", help="what one picture may take "
                                                                    "(default: what is free)")
    command.add_argument("--overwrite", action="store_true", help="also pictures that are there")
    command.set_defaults(act=act)
    return command


def act(options):
    """Does `gantutor translate`; returns the exit code."""
    pairs = tasks(options.source, options.out)  # a wrong folder is said before a model is loaded
    memory = None if options.memory is None else options.memory * 1e9
    translator = Translator(open_model(options), options.back, options.to, options.at,
                            memory=memory)
    if translator.says():
        print(translator.says(), file=sys.stderr)
    found = translate_all(translator, pairs, options.overwrite)
    for line in report(found, options.out):
        print(os.fsencode(line).decode(errors="replace"), file=sys.stderr)
    return 1 if found["bad"] else 0
