"""A reader's first run, watched: README's command, then notebook 00 by JupyterLab's own menu.

    python docs/first_run.py data/pictures/first_run.webp

Clones this checkout into a new folder, does there what README says to open the course, and watches
notebook 00 in headless Chromium: the progress bar must move and the first picture must change. The
screen is kept as the picture that README shows. Needs the network (pip), and git.
"""

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from check import CHROMIUM
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TOKEN, SCREEN = "first-run", {"width": 1280, "height": 860}

# How far the newest progress bar is, and the pictures of the outputs, as they are now.
LOOK = """() => {
  const bars = [...document.querySelectorAll('.widget-hprogress .progress-bar')];
  return {bar: bars.length ? parseFloat(bars[0].style.width) || 0 : null,
          pictures: [...document.querySelectorAll('.jp-OutputArea-output img')].map(
            image => image.src.length + image.src.slice(-60)),
          text: document.querySelector('.jp-Notebook')?.innerText.slice(0, 20000) || ''};
}"""


def command():
    """What README says to open the course, from the folder of the clone on."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    whole = re.search(r"<!-- open -->\n```sh\n(.*?)\n```", text, re.S)[1]
    return whole.split("&& cd gantutor && ")[1]


@contextlib.contextmanager
def jupyter(folder, typed):
    """Runs the command line in `folder`; gives JupyterLab's address once it answers.

    RuntimeError with what was printed, if the command ends instead.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    typed += f" --no-browser --allow-root --port={port} --IdentityProvider.token={TOKEN}"
    log = folder / "jupyter.log"
    # A reader's shell has none of these; that of the tests asks for short runs.
    shell = {k: v for k, v in os.environ.items() if not k.startswith(("GANTUTOR_", "PYTHONPATH"))}
    with open(log, "w") as said:
        run = subprocess.Popen(typed, shell=True, cwd=folder, stdout=said, stderr=said, env=shell,
                               start_new_session=True)
    try:
        while True:
            if run.poll() is not None:
                raise RuntimeError(f"{typed}\nended with {run.returncode}:\n"
                                   + log.read_text()[-3000:])
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={TOKEN}", timeout=5)
                break
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/lab/tree/notebooks/00_start_here.ipynb?token={TOKEN}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGTERM)
        run.wait(30)


def watch(address, until=100.0, limit=900):
    """Runs the notebook at `address` by its menu until the first bar stands at `until` percent.

    Returns ({"bar": [percent], "pictures": how many different ones the first output showed,
    "seconds": from the menu to the last look, "text": of the page}, the screen as an image).
    """
    from playwright.sync_api import TimeoutError, sync_playwright

    bars, pictures = [], []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SCREEN)
        page.set_default_timeout(300_000)  # a busy machine takes long to draw JupyterLab
        page.goto(address)
        page.locator(".jp-NotebookPanel [data-status=idle]").wait_for()
        with contextlib.suppress(TimeoutError):
            page.get_by_role("button", name="No", exact=True).click(timeout=5000)  # no news
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        began = time.monotonic()
        while not bars or bars[-1] < until:
            if time.monotonic() - began > limit:
                break
            seen = page.evaluate(LOOK)
            if seen["bar"] is not None and (not bars or seen["bar"] != bars[-1]):
                bars.append(seen["bar"])
            if seen["pictures"] and seen["pictures"][0] not in pictures:
                pictures.append(seen["pictures"][0])
            time.sleep(0.5)
        page.locator(".jp-OutputArea-output img").first.scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        screen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        found = {"bar": bars, "pictures": len(pictures), "seconds": time.monotonic() - began,
                 "text": page.evaluate(LOOK)["text"]}
        browser.close()
    return found, screen


def main(picture):
    """Keeps the screen as `picture`, and returns what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "gantutor"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        with jupyter(clone, command()) as address:
            found, screen = watch(address)
    print(f"{len(found['bar'])} places of the bar, {found['pictures']} different pictures, "
          f"{found['seconds']:.0f} s")
    screen.save(picture, quality=85, method=6)
    return found


if __name__ == "__main__":
    main(sys.argv[1])
