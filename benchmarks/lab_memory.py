"""How much memory one kernel of a notebook takes: what a server for a class has to have.

    python benchmarks/lab_memory.py --profile test           # every notebook
    python benchmarks/lab_memory.py --profile cpu 08 05      # these, as a reader runs them
    python docs/labs.py                                      # puts the numbers into docs/labs.md

Each notebook runs from its first to its last cell, in a kernel of its own. At the end Linux tells
the kernel's peak, and how much of its memory is files that all kernels share (torch's libraries).
"""

import argparse
import json
import os
import re
from pathlib import Path

from gantutor.saving import atomically

ROOT = Path(__file__).parent.parent
FOUND = ROOT / "docs" / "lab_memory.json"
ASK = 'print(open("/proc/self/status").read())'


def read(status):
    """{"peak": MB, "shared": MB} of the text of /proc/PID/status, which counts in KiB."""
    return {name: round(int(re.search(rf"^{key}:\s+(\d+) kB", status, re.M)[1]) * 1024 / 1e6)
            for name, key in (("peak", "VmHWM"), ("shared", "RssFile"))}


def measure(path):
    """Runs a notebook in the current profile; {"peak": MB, "shared": MB} of its kernel."""
    from jupyter_client.manager import start_new_kernel

    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    printed = []

    def listen(message):
        printed.append(message["content"].get("text", ""))

    manager, client = start_new_kernel(cwd=str(path.parent))
    try:
        for text in code:
            reply = client.execute_interactive(text, output_hook=lambda message: None)["content"]
            if reply["status"] != "ok":
                raise RuntimeError(f"{path.name}: {reply['ename']}: {reply['evalue']}")
        client.execute_interactive(ASK, output_hook=listen)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return read("".join(printed))


def main():
    options = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("notebooks", nargs="*", help="how their names begin (default: all)")
    options.add_argument("--profile", required=True, choices=("test", "cpu"))
    options = options.parse_args()
    os.environ |= {"GANTUTOR_PROFILE": options.profile, "OMP_NUM_THREADS": "1"}
    found = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if not options.notebooks or path.name.partition("_")[0] in options.notebooks:
            found.setdefault(options.profile, {})[path.stem] = measure(path)
            print(path.stem, found[options.profile][path.stem], flush=True)
            text = json.dumps(found, indent=1, sort_keys=True) + "\n"
            atomically(FOUND, lambda to, text=text: to.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
