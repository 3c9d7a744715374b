"""`gantutor train METHOD --x DIR --y DIR`: from two folders of pictures to a translator.

The same command typed again goes on where it was interrupted. `--go-on` trains on from a run's
weights with other settings, for instance more steps or another learning rate.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch

from gantutor import parallel
from gantutor.data import to_float
from gantutor.interrupts import alone
from gantutor.machine import choose_threads
from gantutor.own import sources
from gantutor.own.average import Averaged
from gantutor.own.plans import plan
from gantutor.own.results import Preview, Record, where_it_runs, write_json
from gantutor.portable import load_model
from gantutor.portable.model import device_of
from gantutor.saving import load_state, require_writable, seed_everything
from gantutor.state import PRECISIONS, VERSION
from gantutor.training import TrainingDiverged, fit

SHOWN = 6  # pictures in a preview
SAVE_EVERY = 200  # steps between training states, at least
STATE, BEFORE, RUN = "state.pt", "state_before.pt", "run.json"
EPILOG = """\
METHOD is one of
  direct        only a discriminator: fast, and free to forget its input
  vgg           direct, and a fixed network must see the same in input and output
  cyclegan      there and back again: the usual choice where shapes stay
  discogan      its relative that compares features
  dualgan       its relative with Wasserstein critics
  stargan       many domains or attributes, one generator
  common-space  two auto-encoders with one code, all remedies: where shapes change

examples
  gantutor train cyclegan --x photographs --y paintings
  gantutor train cyclegan --data horse2zebra --size 128 --device cuda
  gantutor train stargan --data moods                   (one folder per domain)
  gantutor train stargan --x faces --labels list_attr_celeba.txt --attributes Smiling Young

Exit codes: 0 done, 1 it failed (one line says why), 2 the command line is not right,
130 interrupted: the same command goes on."""


# ------------------------------------------------------------------ the command line


def add_command(commands):
    """`gantutor train`; returns its parser. commands: what `add_subparsers` gave."""
    train = commands.add_parser("train", help="train a translator on your own pictures",
                                description=__doc__, epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    train.add_argument("method", metavar="METHOD", help="see below")
    data = train.add_argument_group("pictures")
    data.add_argument("--x", metavar="DIR", help="pictures to translate")
    data.add_argument("--y", metavar="DIR", help="pictures of what they shall become; no pairs")
    data.add_argument("--data", metavar="DIR", help="instead: a folder with trainA and trainB, or "
                                                    "with one folder per domain")
    data.add_argument("--labels", metavar="FILE", help="stargan: a CSV of 0 and 1 per picture of "
                                                       "--x, or a list such as CelebA's")
    data.add_argument("--attributes", nargs="+", metavar="NAME", help="stargan: the columns of "
                                                                      "--labels to learn")
    data.add_argument("--size", type=positive, metavar="PX", help="side of the squares that are "
                      "trained on (default 64, on a GPU 128)")
    data.add_argument("--crop", choices=["random", "centre"], default="random",
                      help="where a square is cut from a picture (default random)")
    data.add_argument("--flip", action=argparse.BooleanOptionalAction, default=True,
                      help="mirror half of the pictures (default); --no-flip where left and right "
                           "differ, as in writing")
    data.add_argument("--memory", type=float, default=0.25, metavar="GB", help="for pictures kept "
                      "in memory (default 0.25); what does not fit goes to a file")
    how = train.add_argument_group("training (defaults fit method, size and device)")
    how.add_argument("--steps", type=positive, metavar="N")
    how.add_argument("--batch-size", type=positive, metavar="N")
    how.add_argument("--lr", type=float, metavar="RATE", help="learning rate")
    how.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default: "
                                                      "a CUDA GPU where there is one)")
    how.add_argument("--precision", choices=PRECISIONS, help="the networks' number type; auto: "
                     "half precision where the device is made for it")
    how.add_argument("--graphs", action="store_true", help="on an NVIDIA GPU: start whole steps at "
                     "once (CUDA graphs); where that cannot be, a line says why")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers")
    how.add_argument("--ema", action=argparse.BooleanOptionalAction, default=True,
                     help="translate with a moving average of the generators' weights (default), "
                          "or --no-ema with those of the last step")
    out = train.add_argument_group("results")
    out.add_argument("--out", metavar="DIR", help="default: runs/METHOD_X_Y")
    out.add_argument("--from", dest="start", metavar="MODEL", help="begin with the generators of "
                                                                   "another model")
    out.add_argument("--go-on", action="store_true", help="train on from this run's weights with "
                     "other settings; --steps is then the number of further steps")
    out.add_argument("--keep-every", type=positive, metavar="N", help="keep the translator of "
                                                                      "every N-th step")
    train.set_defaults(act=act)
    return train


def positive(text):
    """A whole number of at least 1 on the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


# ------------------------------------------------------------------ one run


def act(options):
    """Does what `gantutor train` asks for, of many processes together; returns the exit code."""
    device = parallel.join(found_device(options.device))
    with parallel.together():
        return one_run(options, device)


def one_run(options, device):
    """`act` on this device."""
    size = options.size or (64 if device == "cpu" else 128)
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    if device == "cpu":
        choose_threads()
    found, batches, about = planned(options, size, device)
    seed_everything(options.seed)
    method = start_from(found.make(), options, about)
    asked = settings_of_run(options, found, size)
    folder = Path(options.out) if options.out else default_folder(options, about)
    parallel.from_first(lambda: require_writable(folder / RUN))
    with alone(None if parallel.rank() else folder / RUN):
        ours = parallel.from_first(lambda: prepared(folder, asked, options.go_on))
        if ours["weights"]:
            load_weights_of(folder / BEFORE, method)
        if ours["state"] == "finished":
            print(f"{folder}: this run has finished its {asked['steps']} steps. --go-on with "
                  "--steps N trains N steps more, --out DIR starts another run")
            return 0
        run = {"command": getattr(options, "typed", ""), "asked": asked,
               "domains": about["domains"], **where_it_runs(device), "processes": parallel.count(),
               "began": began, "state": ours["state"], "go_on": ours["go_on"]}
        preview = preview_of(batches, about)
        every = max(asked["steps"] // 20, min(asked["steps"], 50))  # a preview takes half a second
        record = Record(folder, run, about, preview, every, options.keep_every)
        if not parallel.rank():
            write_json(folder / RUN, run)
        print(f"{options.method} at {size} px, {asked['steps']} steps on {device}; "
              f"{folder / 'preview.png'} shows how far it is", flush=True)
        return trained(method, batches, asked, found.settings | {"graphs": options.graphs}, device,
                       record)


def found_device(text):
    """"auto" -> a CUDA GPU where there is one, else the CPU. ValueError for an absent device."""
    return device_of(text, f"--device {text}")


def planned(options, size, device):
    """(plan, batches, about): what is trained on which pictures, and what a model says of it."""
    folders = [] if options.labels else sources.domains_of(options.x, options.y, options.data)
    if options.method != "stargan":
        if options.labels:
            raise ValueError(f"--labels: {options.method} has no attributes; stargan has")
        sources.two_domains(folders, options.method)
    usual = plan(options.method, size, device)  # its errors before any picture is read
    drawn = sources.Drawn(size, options.batch_size or usual.batch_size, options.seed,
                          options.flip, options.crop, int(options.memory * 2**30))
    about = {"size": size, "trained": options.method, "seed": options.seed}
    if options.method != "stargan":
        batches = sources.unpaired(folders, drawn)
        return usual, batches, about | {"domains": [folder.name for folder in folders]}
    if options.labels:
        batches, codes = sources.labelled(options.x or options.data, options.labels,
                                          options.attributes, drawn)
    else:
        batches, codes = sources.one_folder_per_domain(folders, drawn)
    about |= {"codes": codes, "domains": codes, "exclusive": not options.labels}
    return plan(options.method, size, device, len(codes)), batches, about


def settings_of_run(options, found, size):
    """What was asked for, by the options' names: what a resumed run must match."""
    where = {name: os.path.abspath(value) for name in ("x", "y", "data", "labels")
             if (value := getattr(options, name))}
    return where | {
        "method": options.method, "size": size, "steps": options.steps or found.steps,
        "batch_size": options.batch_size or found.batch_size,
        "lr": found.lr if options.lr is None else options.lr,
        "precision": options.precision or found.precision, "seed": options.seed,
        "crop": options.crop, "flip": options.flip, "ema": options.ema, "from": options.start,
        "attributes": options.attributes}


def default_folder(options, about):
    """runs/METHOD_X_Y, with the seed where it is not 0."""
    names = about["domains"] if len(about["domains"]) < 4 else about["domains"][:3] + ["more"]
    seed = [f"seed{options.seed}"] if options.seed else []
    return Path("runs") / "_".join([options.method, *names, *seed]).replace(os.sep, "_")


def start_from(method, options, about):
    """The method with the generators of --from, and with a moving average unless --no-ema.

    ValueError where that model has other networks, another size or other codes.
    """
    if options.start:
        model = load_model(options.start)
        if set(model.networks) != set(method.ships):
            raise ValueError(f"--from {options.start}: a model with {', '.join(model.networks)}; "
                             f"{options.method} trains {', '.join(method.ships)}")
        if model.fixed_size not in (None, about["size"]):
            raise ValueError(f"--from {options.start}: a model for {model.fixed_size} px; expected "
                             f"--size {model.fixed_size}")
        if "codes" in about and list(model.codes) != about["codes"]:
            raise ValueError(f"--from {options.start}: a model for {', '.join(model.codes)}; these "
                             f"pictures have {', '.join(about['codes'])}")
        for name, net in model.networks.items():
            setattr(method, name, net.requires_grad_(True))
    return Averaged(method) if options.ema else method


def prepared(folder, asked, go_on):
    """Makes the folder ready for this run: {"state", "go_on", "weights"}.

    "state" is "finished" where nothing is left to do. "weights": whether the run begins with those
    of the state before. ValueError where a run with other settings is there and --go-on was not
    given.
    """
    before = read_run(folder)
    if before and before["asked"] != asked:
        if not go_on:
            name = next(k for k in {**asked, **before["asked"]}
                        if asked.get(k) != before["asked"].get(k))
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{folder}: holds a run with {option} {before['asked'].get(name)}, "
                             f"asked for is {asked.get(name)}; --go-on trains on from its weights "
                             "with the new settings, --out DIR starts another run")
        if (folder / STATE).exists():
            os.replace(folder / STATE, folder / BEFORE)
            if (folder / "history.csv").exists():
                os.replace(folder / "history.csv", folder / "history_before.csv")
    elif before and before["state"] == "finished" and (folder / STATE).exists():
        return {"state": "finished", "go_on": before["go_on"], "weights": False}
    else:
        go_on = bool(before and before["go_on"])
    old = go_on and (folder / BEFORE).exists() and not (folder / STATE).exists()
    return {"state": "running", "go_on": go_on, "weights": old}


def read_run(folder):
    """What run.json of a folder says, or None where there is none. ValueError for a damaged one."""
    if not (folder / RUN).exists():
        return None
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return {name: found[name] for name in ("state", "go_on")} | {"asked": {**found["asked"]}}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / RUN}: damaged ({error}); move the folder away to start afresh"
                         ) from None


def load_weights_of(path, method):
    """Loads the networks of a training state into the method, without its pools of pictures."""
    try:
        weights = parallel.from_first(lambda: load_state(path, VERSION))["method"]
        kept = {k: v for k, v in weights.items() if not k.endswith("extra_state")}
        method.load_state_dict(method.state_dict() | kept)
    except (KeyError, RuntimeError, AttributeError) as error:
        raise ValueError(f"{path}: the state of other networks ({str(error).splitlines()[0]}); "
                         "--size, METHOD and --ema cannot change") from None


def preview_of(batches, about):
    """The fixed pictures of the previews, spread over the first domain, and what is asked."""
    def some(count):
        return torch.linspace(0, count - 1, min(SHOWN, count)).long()

    if "codes" not in about:
        stack = batches.stacks["x"]
        return Preview(to_float(stack[some(len(stack))]))
    (stack, codes), names = batches.sets[0], about["codes"]
    index = some(len(stack))
    asked = []
    for k, name in list(enumerate(names))[:SHOWN]:
        code = torch.zeros(len(names)) if about["exclusive"] else codes[index].clone()
        code = code.expand(len(index), -1).clone()
        code[:, k] = 1 if about["exclusive"] else 1 - code[:, k]
        asked.append((name if about["exclusive"] else f"other {name}", code))
    return Preview(to_float(stack[index]), asked)


def trained(method, batches, asked, settings, device, record):
    """Trains, writes the run's folder, and returns the exit code."""
    every = math.gcd(record.every, record.keep_every or record.every)
    try:
        record.latest = method, fit(
            method, batches, asked["steps"], lr=asked["lr"], device=device,
            precision=asked["precision"], save_path=record.folder / STATE, callback=record,
            save_every=max(SAVE_EVERY, asked["steps"] // 100), callback_every=every, **settings)
    except TrainingDiverged as error:
        raise ValueError(f"step {error.step}: the {error.player}'s {error.name} is {error.value}. "
                         f"--go-on with a lower --lr than {asked['lr']:g} trains on from the last "
                         "whole step; --precision float32 may help too") from None
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command goes on in {record.folder}", flush=True)
        saved = (record.folder / STATE).exists()  # at the last whole step
        if record.latest and saved and not parallel.rank():
            record.write(load_state(record.folder / STATE, VERSION)["step"], "interrupted")
        return 130
    if not parallel.rank():
        record.write(asked["steps"], "finished")
    print(f"{record.folder / 'model.safetensors'} is done: gantutor translate {record.folder} IN "
          "OUT")
    return 0
