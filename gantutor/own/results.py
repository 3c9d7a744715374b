"""What a training run leaves in its folder, written so that every file is whole or not there.

    model.safetensors   the translator as it stands, for `gantutor translate`
    state.pt            everything that is needed to go on
    history.csv         the losses, one line every ten steps
    curve.png           the same as a picture
    preview.png         a few pictures and their translations; earlier ones in previews/
    kept/               earlier translators, where they were asked for
    run.json            command, settings, versions, device, times
"""

import csv
import io
import json
import platform
import time

import torch

import gantutor
from gantutor import show
from gantutor.evaluate.metrics import in_batches
from gantutor.own.average import shipped
from gantutor.portable import save_model
from gantutor.saving import atomically


def write_text(path, text):
    atomically(path, lambda to: to.write_text(text, encoding="utf-8"))


def write_json(path, found):
    write_text(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def write_figure(path, figure):
    atomically(path, lambda to: figure.savefig(to, format="png"))


def write_history(path, history):
    """The losses as a CSV: one column per name, one line per entry; a NaN is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(history)
    for row in zip(*history.values(), strict=True):
        writer.writerow(["" if value != value else f"{value:.6g}" for value in row])
    write_text(path, text.getvalue())


def where_it_runs(device):
    """What a reader must know to compare times: {"device", "threads", "versions"}."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else (
        platform.processor() or platform.machine())
    return {"device": device, "machine": name, "threads": torch.get_num_threads(),
            "versions": {"gantutor": gantutor.__version__, "torch": torch.__version__,
                         "python": platform.python_version()}}


class Preview:
    """Fixed pictures, and what is asked for each.

    x: (N, 3, H, W) in [-1, 1]. asked: [(label, codes (N, c) or None), ...], one row each.
    """

    def __init__(self, x, asked=(("translated", None),)):
        self.x, self.asked = x, list(asked)

    def figure(self, method, title):
        rows, labels = [self.x], ["input"]
        for label, codes in self.asked:
            stacks = (self.x,) if codes is None else (self.x, codes)
            rows.append(in_batches(method.translate, *stacks))
            labels.append(label)
        if hasattr(method, "back"):
            rows.append(in_batches(method.back, rows[1]))
            labels.append("and back")
        return show.grid(*rows, labels=labels, title=title)


class Record:
    """`fit`'s callback: writes the folder of a run while it trains.

    run: what run.json says; "step", "seconds" and "state" are kept up to date. about: what the
    model says of itself. every, keep_every: steps between previews, and between kept models.
    """

    def __init__(self, folder, run, about, preview, every, keep_every=None):
        self.folder, self.run, self.about, self.preview = folder, run, about, preview
        self.every, self.keep_every, self.latest = every, keep_every, None

    def __call__(self, step, method, history):
        self.latest = method, history
        if self.keep_every and step and step % self.keep_every == 0:
            self._save_model(f"kept/step_{step:06d}.safetensors", step, method)
        if step % self.every == 0 and step < self.run["asked"]["steps"]:
            self.write(step, "running")

    def write(self, step, state):
        """Everything but the training state, which `fit` writes."""
        method, history = self.latest
        figure = self.preview.figure(shipped(method), f"step {step}")
        write_figure(self.folder / "previews" / f"step_{step:06d}.png", figure)
        write_figure(self.folder / "preview.png", figure)
        if history["step"]:
            write_history(self.folder / "history.csv", history)
            write_figure(self.folder / "curve.png", show.curves(history))
        self._save_model("model.safetensors", step, method)
        seconds = history["seconds"][-1] if history["seconds"] else 0.0
        self.run |= {"step": step, "seconds": round(seconds, 1), "state": state,
                     "written": time.strftime("%Y-%m-%d %H:%M:%S"),
                     "precision": history.precision}
        write_json(self.folder / "run.json", self.run)

    def _save_model(self, name, step, method):
        about = self.about | {"step": step}
        save_model(self.folder / name, shipped(method), about)
