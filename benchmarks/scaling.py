"""What averaging the gradients costs on 8, 64 and 512 GPUs: a calculation, not a measurement.

    python benchmarks/scaling.py        # prints the table, and puts it into docs/many_processes.md

Bytes are those of the methods' own parameters. The step's milliseconds were measured on one H100
(torch 2.11, float32). Rates and latency are assumptions, printed with the table.
"""

from math import log2
from pathlib import Path

from steps import official_cyclegan, remedies

from gantutor.saving import atomically

WITHIN, BETWEEN = 450e9, 50e9  # bytes a second and GPU: NVLink in a machine, 400 Gb/s between them
LATENCY = 20e-6                # seconds a hop of one message; hops: log2 of the GPUs
MACHINE = 8                    # GPUs in a machine
# One step on one GPU in seconds, bytes of the translations that the pools of all processes share,
# and how to make the method. The batch is that of one GPU.
ROWS = {"CycleGAN, 256 px, batch 1": (0.0527, 2 * 4 * 3 * 256**2,
                                      lambda: official_cyclegan(256, 64)),
        "all remedies, 32 px, batch 16": (0.0150, 0, remedies)}


def messages(method):
    """Bytes that a step averages: one message of float32 gradients for each player."""
    return [4 * sum(p.numel() for net in nets for p in net.parameters())
            for nets in method.players()]


def cost(sizes, pools, count):
    """Seconds that `count` GPUs need: to average messages of so many bytes in a ring, and to hand
    each other `pools` bytes of translations each.
    """
    rate, others = (WITHIN if count <= MACHINE else BETWEEN), count - 1
    return others * pools / rate + sum(2 * others / count * size / rate + LATENCY * log2(count)
                                       for size in sizes)


def table(counts=(8, 64, 512)):
    """The lines of the table."""
    heads = ["step", "alone, ms", "gradients, MB", *(f"{count} GPUs" for count in counts)]
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * (3 + len(counts))
    for name, (seconds, pools, make) in ROWS.items():
        sizes = messages(make())
        waits = [cost(sizes, pools, count) for count in counts]
        cells = [f"{1e3 * wait:.2f} ms, {seconds / (seconds + wait):.0%}" for wait in waits]
        yield f"| {name} | {1e3 * seconds:.1f} | {sum(sizes) / 1e6:.1f} | {' | '.join(cells)} |"


def page(text):
    """docs/many_processes.md with the table of today."""
    before, rest = text.split("<!-- table -->")
    return "\n".join([f"{before}<!-- table -->", "", *table(), "",
                      f"<!-- end -->{rest.split('<!-- end -->')[1]}"])


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "docs" / "many_processes.md"
    atomically(path, lambda to: to.write_text(page(path.read_text(encoding="utf-8")), "utf-8"))
    print(f"{WITHIN / 1e9:.0f} GB/s within a machine of {MACHINE}, {BETWEEN / 1e9:.0f} GB/s "
          f"between machines, {1e6 * LATENCY:.0f} µs a hop")
    print("\n".join(table()))
