"""`gantutor evaluate MODEL --x DIR --y DIR`: what can be known about a translator without pairs.

KID x1000    how far translations are from real Y, as sets; 0: not to be told apart. Measured in the
             features of the shipped VGG. Compare rows, never with numbers of other programs.
             On the course's photographs it orders methods as the hidden truth does in most
             splits, not in all: a small difference in KID decides nothing
diversity    how far apart translations of different pictures are; real Y is 1. 0: always the same
changed      mean difference between a picture and its translation
identity     mean difference between a picture of Y and its translation; Y is there already
cycle        mean difference after there and back again
noise        how much the cycle error rises where noise that is hardly seen is added on the way.
             Far above do nothing's: the way back reads something hidden in the translation

Differences are of a range of 2 (black -1, white 1). The rows beside the model's: do nothing (the
translation is the input), and real against real (one half of Y against the other; one real picture
against another).
"""

import argparse
from pathlib import Path

import torch

from gantutor import show
from gantutor.data import to_float
from gantutor.data.large import Folder
from gantutor.evaluate.hiding import noise_curve, sensitivity_to_noise
from gantutor.evaluate.metrics import in_batches, kid, l1, spread
from gantutor.evaluate.two_sample import style
from gantutor.own.results import write_figure, write_json
from gantutor.own.sources import evenly
from gantutor.own.training import found_device, positive
from gantutor.portable import load_model

HALVINGS, SHOWN, FEWEST = 10, 8, 4
COLUMNS = ("KID x1000", "diversity", "changed", "identity", "cycle", "noise")
CAVEAT = ("No pairs were used, so none of these numbers can tell a right translation from a wrong "
          "one that looks like Y. Look at the sheet.")


class Nothing:
    """The first reference: the translation is the input, and so is the way back."""

    def translate(self, x):
        return x

    back = translate


class Asked:
    """A `Model` with the codes that were asked for: translate, and back where there is a way."""

    def __init__(self, model, to=None, source=None):
        self.model, self.to, self.source = model, to, source
        if to is not None:
            model.translate(torch.zeros(1, 3, *[model.fixed_size or model.smallest] * 2), to)
        if source is not None or {"G_yx", "E_y"} & set(model.networks):
            self.back = self._back

    def translate(self, x):
        return self.model.translate(x, self.to)

    def _back(self, y):
        return self.model.back(y) if self.source is None else self.model.translate(y, self.source)


# ------------------------------------------------------------------ numbers


def judged(translator, x, y, seed=0):
    """{"the model": {column: number}, "do nothing": ..., "real against real": ...}.

    translator: has translate(x), and back(y) where there is a way back. x, y: (N, 3, H, W) and
    (M, 3, H, W) in [-1, 1], unpaired, each of at least four images (ValueError). A number that
    does not exist is left out. "KID of halves" is the standard deviation over random halves of Y.
    """
    for name, stack in (("x", x), ("y", y)):
        if len(stack) < FEWEST:
            raise ValueError(f"{name}: {len(stack)} pictures; expected at least {FEWEST}")
    real = in_batches(style, y)
    return {"the model": _numbers(translator, x, y, real),
            "do nothing": _numbers(Nothing(), x, y, real),
            "real against real": _real(x, y, real, seed)}


def _numbers(translator, x, y, real):
    fake = in_batches(translator.translate, x)
    found = {"KID x1000": 1000 * kid(in_batches(style, fake), real),
             "diversity": spread(fake) / spread(y), "changed": l1(fake, x),
             "identity": l1(in_batches(translator.translate, y), y)}
    if hasattr(translator, "back"):
        errors = noise_curve(translator, x)
        found |= {"cycle": errors[0], "noise": sensitivity_to_noise(errors)}
    return found


def _real(x, y, real, seed):
    """What two real things differ by: halves of Y, and pictures of one domain."""
    generator = torch.Generator().manual_seed(seed)
    halves, other = [], len(y) // 2
    for _ in range(HALVINGS):
        order = torch.randperm(len(y), generator=generator)
        halves.append(1000 * kid(real[order[:other]], real[order[other:]]))
    halves = torch.tensor(halves, dtype=torch.float64)
    return {"KID x1000": halves.mean().item(), "KID of halves": halves.std().item(),
            "diversity": 1.0, "identity": l1(y, y.roll(1, 0)), "cycle": l1(x, x.roll(1, 0))}


def table(rows):
    """The rows as lines of text; a dash where there is no number."""
    lines = [" " * 18 + "".join(f"{name:>14}" for name in COLUMNS)]
    for name, row in rows.items():
        cells = [f"{row[column]:.3f}" if column in row else "-" for column in COLUMNS]
        if "KID of halves" in row:
            cells[0] = f"{row['KID x1000']:.1f} ± {row['KID of halves']:.1f}"
        elif "KID x1000" in row:
            cells[0] = f"{row['KID x1000']:.1f}"
        lines.append(f"{name:18}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def sheet(translator, x, y, count=SHOWN):
    """A figure: pictures of X, their translations, the way back, and real pictures of Y."""
    index = torch.linspace(0, len(x) - 1, min(count, len(x), len(y))).long()
    shown = x[index]
    rows = {"input": shown, "translated": in_batches(translator.translate, shown)}
    if hasattr(translator, "back"):
        rows["and back"] = in_batches(translator.back, rows["translated"])
    rows["real Y"] = y[torch.linspace(0, len(y) - 1, len(index)).long()]
    return show.grid(*rows.values(), labels=list(rows))


# ------------------------------------------------------------------ the command line


def add_command(commands):
    """`gantutor evaluate`; returns its parser. commands: what `add_subparsers` gave."""
    judge = commands.add_parser("evaluate", help="judge a translator on pictures without pairs",
                                description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    judge.add_argument("model", metavar="MODEL", help="a model's file, or a run's folder")
    judge.add_argument("--x", metavar="DIR", help="pictures to translate, best ones that were not "
                                                  "trained on")
    judge.add_argument("--y", metavar="DIR", help="real pictures of Y, likewise")
    judge.add_argument("--to", metavar="CODE", help="stargan: the domain or attributes of Y")
    judge.add_argument("--source", metavar="CODE", help="stargan: those of X, for the way back")
    judge.add_argument("--size", type=positive, metavar="PX", help="default: as trained")
    judge.add_argument("--limit", type=positive, default=500, metavar="N",
                       help="of pictures per folder, spread over it (default 500)")
    judge.add_argument("--device", default="auto", help="cpu, cuda, ... (default: a CUDA GPU where "
                                                        "there is one)")
    judge.add_argument("--out", metavar="DIR", help="where sheet.png and numbers.json go (default: "
                                                    "runs/judged_NAME)")
    judge.set_defaults(act=act)
    return judge


def act(options):
    """Does what `gantutor evaluate` asks for; returns the exit code."""
    if not (options.x and options.y):
        raise ValueError("two folders of pictures are needed: --x DIR and --y DIR")
    model = load_model(options.model, found_device(options.device))
    size = options.size or model.fixed_size or model.about.get("size", 64)
    if size % model.multiple or size < model.smallest or model.fixed_size not in (None, size):
        raise ValueError(f"--size {size}: this model takes "
                         f"{model.fixed_size or f'multiples of {model.multiple}'}")
    if "G" in model.networks and options.to is None:
        raise ValueError(f"--to: say which domain Y is, of {', '.join(model.codes)}")
    translator = Asked(model, options.to, options.source)
    x, y = (pictures(folder, size, options.limit) for folder in (options.x, options.y))
    rows = judged(translator, x, y)
    folder = Path(options.out or Path("runs") / f"judged_{name_of(options.model)}")
    write_figure(folder / "sheet.png", sheet(translator, x, y))
    write_json(folder / "numbers.json", {"command": getattr(options, "typed", ""), "size": size,
                                         "pictures": {"x": len(x), "y": len(y)}, "rows": rows})
    print(f"{table(rows)}\n\n{len(x)} pictures of X and {len(y)} of Y at {size} px. {CAVEAT}\n"
          f"{folder / 'sheet.png'}")
    return 0


def pictures(folder, size, limit):
    """Up to `limit` pictures of a folder, evenly spread by name: float (N, 3, size, size)."""
    return to_float(evenly(Folder(folder, size, "centre"), limit))


def name_of(path):
    """A model's name: its file's, or its run's where the file is called model.safetensors."""
    path = Path(path)
    return path.parent.name if path.name == "model.safetensors" else path.stem
