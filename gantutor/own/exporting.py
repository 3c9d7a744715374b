"""Writes a trained model as an ONNX file, which runs without torch: in a browser, on a phone.

The file's input x and its output are pictures (N, 3, H, W) in [-1, 1]. For direct models H and W
are free, but multiples of what the command prints. For StarGAN and common space N is 1 and the size
that of training; StarGAN has a second input, the code (1, c).
Before the file is written, onnxruntime and torch must agree on random pictures.
"""

import json
import logging
import sys
import warnings
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from torch import nn

from gantutor.own.tiling import TILEABLE, of_planes
from gantutor.own.translating import add_model_arguments, open_model
from gantutor.saving import atomically, require_writable

AGREE = 1e-4  # by how much onnxruntime's pictures may differ from torch's, which lie in [-1, 1]


class OfAnySize(nn.Module):
    """A generator with coordinates that are computed from the picture's size, as ONNX needs."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        h, w = x.shape[2:]
        v = torch.arange(h, dtype=x.dtype) * (2 / (h - 1)) - 1
        u = torch.arange(w, dtype=x.dtype) * (2 / (w - 1)) - 1
        planes = [v.view(1, 1, h, 1) + torch.zeros_like(x[:, :1]),  # (N, 1, H, W)
                  u.view(1, 1, 1, w) + torch.zeros_like(x[:, :1])]
        return of_planes(self.net, torch.cat([x, *planes], 1))


class There(nn.Module):
    """A model's translation as one network: of the direct family, of StarGAN or common space."""

    def __init__(self, model, back=False):
        super().__init__()
        nets = {name: net.cpu() for name, net in model.networks.items()}
        if "G" in nets:
            self.nets = nn.ModuleList([nets["G"]])
        elif "G_xy" in nets:
            net = nets["G_yx" if back else "G_xy"]
            self.nets = nn.ModuleList([OfAnySize(net) if isinstance(net, TILEABLE) else net])
        else:
            self.nets = nn.ModuleList([nets["E_y" if back else "E_x"],
                                       nets["G_x" if back else "G_y"]])
        self.clamps = "G" in nets

    def forward(self, x, code=None):
        y = self.nets[0](x) if code is None else self.nets[0](x, code)
        for net in self.nets[1:]:
            y = net(y)
        return y.clamp(-1, 1) if self.clamps else y


@contextmanager
def _quiet():
    """Without the exporter's own words: it prints, warns and logs about its inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def require_onnx():
    """(onnx, onnxruntime). ValueError that says how to install it and the exporter."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed; `pip install 'gantutor[onnx]'` "
                         "installs what export needs") from None
    return onnx, onnxruntime


def export(model, path, back=False):
    """Writes `model` to `path` (.onnx). Returns the largest difference from torch's pictures.

    back: the way from Y to X. ValueError, and no file, where the model has no such way, where onnx
    is not installed, and where onnxruntime does not agree with torch to 1e-4.
    """
    onnx, runtime = require_onnx()
    require_writable(path)
    multiple, fixed = model.multiple, model.fixed_size
    first = torch.zeros(1, 3, fixed or multiple * 12, fixed or multiple * 10)
    if back:
        model.back(first)  # its ValueError says that there is none
    net = There(model, back).eval()
    inputs, free = {"x": first}, None
    if fixed is None:
        least = max(2, -(-model.smallest // multiple))
        inputs["x"] = first.repeat(2, 1, 1, 1)
        free = {"x": {0: torch.export.Dim("N"), 2: multiple * torch.export.Dim("h", min=least),
                      3: multiple * torch.export.Dim("w", min=least)}}
    if model.codes:
        inputs["code"] = torch.zeros(1, model.described["G"]["codes"])
    differences = []

    def write(temporary):
        with _quiet():
            program = torch.onnx.export(
                net, tuple(inputs.values()), input_names=list(inputs), output_names=["y"],
                dynamic_shapes=free, dynamo=True, verbose=False)
            program.save(temporary, external_data=False)
        _describe(onnx, temporary, model, back)
        differences.append(_difference(runtime, temporary, net, inputs, model))
        if not differences[0] <= AGREE:
            raise ValueError(f"{path}: not written, onnxruntime's pictures differ from torch's by "
                             f"up to {differences[0]:.2g}, expected at most {AGREE}")

    atomically(path, write)
    return differences[0]


def _describe(onnx, path, model, back):
    """Writes into the ONNX file what the model is, for whoever finds it."""
    file = onnx.load(path)
    about = {"method": model.method, "about": model.about, "back": back, "range": [-1, 1],
             "multiple": model.multiple, "size": model.fixed_size, "codes": model.codes}
    onnx.helper.set_model_props(file, {"gantutor": json.dumps(about)})
    onnx.save(file, path)


@torch.no_grad()
def _difference(runtime, path, net, inputs, model):
    """The largest difference between onnxruntime and torch, on noise of several sizes."""
    session, worst = runtime.InferenceSession(str(path)), 0.0
    generator = torch.Generator().manual_seed(0)
    _, _, height, width = inputs["x"].shape
    step = model.multiple
    shapes = [(2, height, width), (1, height + 3 * step, width - 2 * step),
              (3, height - 2 * step, width + 5 * step)]
    for n, tall, wide in shapes if model.fixed_size is None else [(1, height, width)] * 3:
        x = torch.rand(n, 3, tall, wide, generator=generator) * 2 - 1
        given = [x]
        if "code" in inputs:
            codes = inputs["code"].shape[1]
            given.append(torch.rand(n, codes, generator=generator).round())
        found = session.run(None, {name: value.numpy() for name, value in zip(
            inputs, given, strict=True)})[0]
        worst = max(worst, float((torch.from_numpy(found) - net(*given)).abs().max()))
    return worst


# ------------------------------------------------------------------ the command


def add_command(commands):
    """`gantutor export MODEL OUT.onnx`."""
    command = commands.add_parser("export", help="write a model as an ONNX file",
                                  description=__doc__)
    add_model_arguments(command)
    command.add_argument("out", metavar="OUT.onnx", help="the file to write")
    command.add_argument("--back", action="store_true", help="the way from Y to X")
    command.set_defaults(act=act)
    return command


def act(options):
    """Does `gantutor export`; returns the exit code."""
    if Path(options.out).suffix.lower() != ".onnx":
        raise ValueError(f"{options.out}: expected a name that ends in .onnx")
    options.device = "cpu"  # where onnxruntime is compared
    model = open_model(options)
    difference = export(model, options.out, options.back)
    size = (f"H and W: {model.fixed_size}" if model.fixed_size else
            f"H and W: any multiples of {model.multiple}" if model.multiple > 1 else
            "H and W: any")
    codes = f", code: {', '.join(model.codes)}" if model.codes else ""
    count = "1" if model.fixed_size else "N"
    print(f"{options.out}: input x ({count}, 3, H, W) in [-1, 1], {size}{codes}; differs from "
          f"torch by at most {difference:.1g}", file=sys.stderr)
    return 0
