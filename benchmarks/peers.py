"""Other people's code, run from a folder of the reader's: none of it is in this repository.

Each peer is driven through its own class: it builds the networks, the losses and the optimisers,
and its own function does the step.
"""

import argparse
import contextlib
import copy
import importlib
import os
import sys
import types
import warnings
from pathlib import Path

import torch
from steps import CODES, Same, batch_of, blocks, built

from gantutor.official import official_cyclegan_state
from gantutor.saving import seed_everything
from gantutor.training import fit

NEVER = 10**9  # every so many steps: what a training script does beside training


class Unable(Exception):
    """Why a peer cannot run here. The table says it."""


# ------------------------------------------------------------------ a folder of somebody's


def peer(text):
    """"NAME=FOLDER" of the command line -> (name, folder). ArgumentTypeError."""
    name, _, folder = text.partition("=")
    if name not in PEERS or not folder:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=FOLDER, NAME one of "
                                         f"{', '.join(PEERS)}")
    file, where, _ = PEERS[name]
    if not (Path(folder) / file).is_file():
        raise argparse.ArgumentTypeError(f"{folder}: has no {file}; expected a checkout of {where}")
    return name, Path(folder).resolve()


@contextlib.contextmanager
def quiet():
    """In the block nothing is printed, and nothing warned of that today's torch has to say."""
    with contextlib.redirect_stdout(open(os.devnull, "w")), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def importing(folder):
    """In the block `import` finds the folder's modules first. After it they are forgotten again.

    Peers call their modules `data`, `models` and `utils`, each its own. The official CycleGAN also
    sets cuDNN's benchmark switch, for everybody: it is set back.
    """
    switch = torch.backends.cudnn.benchmark
    names = {path.stem for path in folder.iterdir()}
    hidden = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] in names}
    sys.path.insert(0, str(folder))
    try:
        with quiet():  # they print their networks
            yield
    except Unable:
        raise
    except Exception as error:  # whatever today's torch and Python make of old code
        raise Unable(f"{folder}: cannot be run ({type(error).__name__}: {error})") from None
    finally:
        torch.backends.cudnn.benchmark = switch
        sys.path.remove(str(folder))
        for key in [key for key in sys.modules if key.split(".")[0] in names]:
            del sys.modules[key]
        sys.modules.update(hidden)


def step_of(name, folder, row, width, device):
    """A function that does one step of the peer `name` on the row's batch. Unable."""
    flags = torch.backends.cudnn
    with importing(folder):
        step = PEERS[name][2](row, width, device)
        wanted = flags.benchmark

    def alone():
        before, flags.benchmark = flags.benchmark, wanted
        try:
            step()
        finally:
            flags.benchmark = before

    return alone


# ------------------------------------------------------------------ CycleGAN


def cyclegan_model(row, width, device):
    """The official CycleGANModel, of 2019 or later, with its own default settings."""
    module = importlib.import_module("models.cycle_gan_model")
    generator, on_gpu = f"resnet_{blocks(row.size)}blocks", torch.device(device).type == "cuda"
    options = argparse.Namespace(
        isTrain=True, continue_train=False, verbose=False, checkpoints_dir=".", name="benchmark",
        gpu_ids=[torch.device(device).index or 0] if on_gpu else [], device=torch.device(device),
        preprocess="none", direction="AtoB", input_nc=3, output_nc=3, ngf=width, ndf=width,
        netG=generator, netD="basic", n_layers_D=3, norm="instance", no_dropout=True,
        init_type="normal", init_gain=0.02, gan_mode="lsgan", pool_size=50, lr=2e-4, beta1=0.5,
        lambda_A=10.0, lambda_B=10.0, lambda_identity=0.5)
    return module.CycleGANModel(options)


def cyclegan_step(row, width, device):
    model, batch = cyclegan_model(row, width, device), batch_of(row, device)

    def step():
        model.set_input({"A": batch["x"], "B": batch["y"], "A_paths": [], "B_paths": []})
        model.optimize_parameters()

    return step


def our_losses(model, row, steps):
    """[{name: float}, ...]: the parts of our losses in each step, from the peer's weights."""
    method, found = built(row), []
    for name, net in (("G_xy", model.netG_A), ("G_yx", model.netG_B), ("D_x", model.netD_B),
                      ("D_y", model.netD_A)):  # their D_A judges what G_A draws
        own = getattr(method, name)
        own.load_state_dict(official_cyclegan_state(own, net.state_dict()))

    def noting(loss):
        def noted(batch):
            total, parts = loss(batch)
            found.append({name: float(value) for name, value in parts.items()})
            return total, parts
        return noted

    method.generator_loss = noting(method.generator_loss)
    method.discriminator_loss = noting(method.discriminator_loss)
    fit(method, Same(batch_of(row)), steps, progress=False, **row.settings)
    return [G | D for G, D in zip(found[::2], found[1::2], strict=True)]


def their_losses(model, row, steps, factor=1.0):
    """The same of the peer, by our names. factor: what its images are multiplied by."""
    batch, found = batch_of(row), []
    for _ in range(steps):
        with quiet():
            model.set_input({"A": factor * batch["x"], "B": factor * batch["y"], "A_paths": [],
                             "B_paths": []})
            model.optimize_parameters()
            said = {name: float(value) for name, value in model.get_current_losses().items()}
        found.append({"G_xy": said["G_A"], "G_yx": said["G_B"], "D_x": said["D_B"],
                      "D_y": said["D_A"], "cycle_x": said["cycle_A"] / 10,
                      "cycle_y": said["cycle_B"] / 10,
                      "identity": (said["idt_A"] + said["idt_B"]) / 5})
    return found


def largest_difference(one, other):
    """The largest relative difference of two lists of losses, as (difference, name, step)."""
    return max((abs(a[name] - b[name]) / abs(b[name]), name, step)
               for step, (a, b) in enumerate(zip(one, other, strict=True), 1) for name in b)


def equal_losses(folder, row, width, steps=3):
    """Two `largest_difference`: ours from the official CycleGAN's, and the latter from itself.

    From the same weights (seed 0), on the same images, in float32 on the CPU. The second one, with
    images that differ by 1e-7, says how much rounding does by itself: Adam's first steps have the
    size of the learning rate, however small a gradient is.
    """
    with importing(folder):
        seed_everything(0)
        model = cyclegan_model(row, width, "cpu")
        again = copy.deepcopy(model)
    ours = our_losses(model, row, steps)
    theirs = their_losses(model, row, steps)
    return (largest_difference(ours, theirs),
            largest_difference(their_losses(again, row, steps, 1 + 1e-7), theirs))


# ------------------------------------------------------------------ StarGAN


class Endless:
    """A data loader of theirs that always has the same images and labels."""

    def __init__(self, *pair):
        self.pair = pair

    def __iter__(self):
        return self

    def __next__(self):
        return self.pair


def stargan_step(row, width, device):
    """The official Solver.train, which does row.plays steps of D and one of G at each call."""
    batch = {name: value.cpu() for name, value in batch_of(row).items()}
    layers = row.size.bit_length() - 2
    solver = importlib.import_module("solver").Solver(
        Endless(batch["x"], batch["code"]), None, argparse.Namespace(
            c_dim=CODES, c2_dim=0, image_size=row.size, g_conv_dim=width, d_conv_dim=width,
            g_repeat_num=6, d_repeat_num=layers, lambda_cls=1, lambda_rec=10, lambda_gp=10,
            dataset="CelebA", batch_size=row.batch_size, num_iters=row.plays, num_iters_decay=0,
            g_lr=1e-4, d_lr=1e-4, n_critic=row.plays, beta1=0.5, beta2=0.999, resume_iters=None,
            selected_attrs=["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"],
            test_iters=0, use_tensorboard=False, log_dir="", sample_dir="", model_save_dir="",
            result_dir="", log_step=NEVER, sample_step=NEVER, model_save_step=NEVER,
            lr_update_step=NEVER))
    solver.device = torch.device(device)  # it takes a GPU wherever there is one
    solver.G.to(device)
    solver.D.to(device)

    def step():
        with quiet():
            solver.train()

    return step


# ------------------------------------------------------------------ UNIT


def unit_step(row, width, device):
    """The official UNIT_Trainer with the settings that lie beside it."""
    if torch.device(device).type != "cuda":
        raise Unable("the official UNIT runs on a GPU alone: its code asks for .cuda()")
    import yaml  # of the `lab` extra; the settings are a .yaml

    gone = types.ModuleType("torch.utils.serialization")
    gone.load_lua = None  # torch has dropped it; UNIT imports it for an old VGG
    sys.modules.setdefault("torch.utils.serialization", gone)
    trainer = importlib.import_module("trainer")
    place = Path(trainer.__file__).parent / "configs/unit_summer2winter_yosemite256_folder.yaml"
    settings = yaml.safe_load(place.read_text())
    for part in ("gen", "dis"):
        settings[part]["dim"] = width
    model, batch = trainer.UNIT_Trainer(settings).to(device), batch_of(row, device)

    def step():
        model.dis_update(batch["x"], batch["y"], settings)
        model.gen_update(batch["x"], batch["y"], settings)

    return step


# {name: (a file that a checkout has, where it comes from, what makes its step)}
PEERS = {
    "cyclegan": ("models/cycle_gan_model.py", "github.com/junyanz/pytorch-CycleGAN-and-pix2pix",
                 cyclegan_step),
    "stargan": ("solver.py", "github.com/yunjey/stargan", stargan_step),
    "unit": ("trainer.py", "github.com/mingyuliutw/UNIT", unit_step),
}
