"""How fast a training step is, how much memory it takes, and how soon a run is good.

    python benchmarks/speed.py                                     every row, on the CPU
    python benchmarks/speed.py --rows "64 px" --repeats 9          some rows
    python benchmarks/speed.py --peer cyclegan=FOLDER              the authors' code beside ours
    python benchmarks/speed.py --device cuda --precision auto --graphs
    python benchmarks/speed.py --quality                           time to quality of the live runs
    python benchmarks/speed.py --auto                              the live runs in float32, and now

Time: milliseconds per step, the median of the repeats, then the fastest and the slowest. Ours and
the peer's take turns. "ratio": the peer's median divided by ours, above 1 where ours is faster.
Memory: MB, the peak of a process of its own that does two steps.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys

import peers
import quality
import steps
import torch

import gantutor
from gantutor.own.training import positive
from gantutor.state import CPUINFO, PRECISIONS

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16", "asimd")
HEAD = ("row", "whose", "median ms", "from", "to", "ratio", "peak MB", "what")


# ------------------------------------------------------------------ the machine


def machine_lines(device):
    """What a reader must know to compare: versions, threads, load, and the CPU's flags or card."""
    words = CPUINFO.read_text().split("\n") if CPUINFO.is_file() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in words)}
    flags = set(said.get("flags", said.get("Features", "")).split())
    model = said.get("model name") or platform.processor() or platform.machine()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    lines = [f"gantutor {gantutor.__version__}, torch {torch.__version__}, Python "
             f"{platform.python_version()}, {platform.system()}",
             f"{torch.get_num_threads()} threads of {os.cpu_count()} cores; load when it began: "
             f"{load}",
             f"CPU: {model}; {', '.join(f for f in FLAGS if f in flags) or 'no flags known'}; "
             f"torch uses {torch.backends.cpu.get_cpu_capability()}",
             f"a process that has only imported this: {steps.peak_memory('cpu'):.0f} MB resident"]
    if torch.device(device).type == "cuda":
        found = torch.cuda.get_device_properties(device)
        lines.append(f"card: {found.name}, {found.total_memory / 1e9:.0f} GB, CUDA "
                     f"{torch.version.cuda}")
    return lines


# ------------------------------------------------------------------ the table


def table(lines):
    """Plain text: every column as wide as its longest entry, numbers to the right."""
    cells = [[str(cell) for cell in line] for line in lines]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(
        cell.rjust(width) if 2 <= k < len(wide) - 1 else cell.ljust(width)
        for k, (cell, width) in enumerate(zip(line, wide, strict=True))).rstrip()
        for line in cells)


def line(name, whose, seconds, ratio, memory, what):
    """One line of the table. seconds: of every repeat, per step; memory: in MB."""
    middle, low, high = (1000 * f(seconds) for f in (statistics.median, min, max))
    return [name, whose, *(f"{value:.1f}" for value in (middle, low, high)), ratio,
            f"{memory:.0f}", what]


def lines_of(row, options):
    """The table's lines of one row: ours, and the peer's where its folder was named."""
    folder, other, note = dict(options.peer).get(row.peer), None, ""
    if folder:
        try:
            other = peers.step_of(row.peer, folder, row, options.width, options.device)
        except peers.Unable as reason:
            note = f"; {reason}"
    ours, others = steps.timed(row, steps.built(row), steps.batch_of(row, options.device), other,
                               repeats=options.repeats, steps=options.steps,
                               device=options.device, precision=options.precision,
                               graphs=options.graphs)
    ratio = f"{statistics.median(others) / statistics.median(ours):.2f}" if others else "-"
    found = [line(row.name, "ours", ours, ratio, memory(row, "ours", options), row.note + note)]
    if others:
        found.append(line(row.name, row.peer, others, "1",
                          memory(row, "peer", options), f"in {folder}"))
    return found


def memory(row, whose, options):
    """The peak in MB of a process of its own that does two steps of this row."""
    command = [sys.executable, __file__, "--memory", whose, "--rows", row.name,
               "--device", options.device, "--precision", options.precision,
               "--width", str(options.width), "--threads", str(torch.get_num_threads())]
    command += ["--graphs"] * options.graphs
    for name, folder in options.peer:
        command += ["--peer", f"{name}={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{row.name}: the process that measures memory failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def tell_memory(row, options):
    """What `memory` starts: prints its own peak."""
    other = None
    if options.memory == "peer":
        folder = dict(options.peer)[row.peer]
        other = peers.step_of(row.peer, folder, row, options.width, options.device)
    print(steps.memory_of_two_steps(row, other, options.device, options.precision, options.graphs))


def tell_steps(rows, options):
    """Measures the rows one after the other and prints the table."""
    print(f"{options.repeats} repeats of {options.steps} steps, in turn; peers are float32, ours "
          f"{options.precision}{' as CUDA graphs' * options.graphs}")
    if options.width != steps.WIDTH:
        print(f"the authors' networks are {options.width} wide instead of {steps.WIDTH}: this is "
              "no measurement of them")
    lines = [HEAD]
    for row in rows:
        print(row.name, "...", file=sys.stderr, flush=True)
        lines += lines_of(row, options)
    print(table(lines), flush=True)
    if folder := dict(options.peer).get("cyclegan"):
        print(tell_equal_losses(folder, options.width))


def tell_equal_losses(folder, width):
    """The sentence about the official CycleGAN's losses and ours."""
    try:
        (ours, loss, step), (floor, *_) = peers.equal_losses(folder, steps.rows(width)[0], width)
    except peers.Unable as reason:
        return f"losses not compared: {reason}"
    return (f"CycleGAN, 64 px, batch 1, equal weights and images, float32, 3 steps: the losses "
            f"differ from the peer's by at most {ours:.1e} (relative; {loss}, step {step}). The "
            f"peer's differ from its own by {floor:.1e} where its images are changed by 1e-07.")


# ------------------------------------------------------------------ the command line


def chosen(table, wanted):
    """The entries whose name holds one of the texts, all if there is none. SystemExit."""
    found = [one for one in table if not wanted or any(text in one.name for text in wanted)]
    if not found:
        raise SystemExit(f"--rows {' '.join(wanted)}: in no name; expected a part of\n  "
                         + "\n  ".join(one.name for one in table))
    return found


def parser():
    top = argparse.ArgumentParser(description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--rows", nargs="+", default=[], metavar="TEXT",
                     help="only the rows whose name holds one of these texts")
    top.add_argument("--peer", action="append", type=peers.peer, default=[], metavar="NAME=FOLDER",
                     help="a checkout to stand beside ours; NAME: " + ", ".join(
                         f"{name} ({where})" for name, (_, where, _) in peers.PEERS.items()))
    top.add_argument("--repeats", type=positive, default=5, metavar="N", help="default 5")
    top.add_argument("--steps", type=positive, metavar="N",
                     help="steps per repeat (default 1, on a GPU 20)")
    top.add_argument("--threads", type=positive, metavar="N", help="of torch; default: its own")
    top.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    top.add_argument("--precision", default="float32", choices=PRECISIONS,
                     help="of our networks (default float32)")
    top.add_argument("--graphs", action="store_true", help="ours as CUDA graphs (on a GPU)")
    top.add_argument("--width", type=positive, default=steps.WIDTH, metavar="N",
                     help=f"of the authors' networks (theirs: {steps.WIDTH}); less to try it out")
    top.add_argument("--quality", action="store_true", help="time to quality instead of steps")
    top.add_argument("--auto", action="store_true", help="every live run, whole, in float32 and as "
                     "it trains now: seconds and panel")
    top.add_argument("--memory", choices=["ours", "peer"], help=argparse.SUPPRESS)
    return top


def main(arguments=None):
    options = parser().parse_args(arguments)
    options.steps = options.steps or (1 if options.device == "cpu" else 20)
    if options.threads:
        torch.set_num_threads(options.threads)
    live = options.quality or options.auto
    rows = chosen(quality.LIVE if live else steps.rows(options.width), options.rows)
    if options.memory:
        tell_memory(next(row for row in rows if row.name == options.rows[0]), options)
        return
    print("\n".join(machine_lines(options.device)), flush=True)
    if options.quality:
        print(table([quality.HEAD, *(quality.line(live, options.device) for live in rows)]))
    elif options.auto:
        print(table([quality.AUTO_HEAD, *map(quality.auto_line, rows)]))
    else:
        tell_steps(rows, options)


if __name__ == "__main__":
    main()
