"""How much memory a large folder takes: a batch, not the folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gantutor
from gantutor.data.squares import Squares

linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")

TRAINING = """
import sys, time
from pathlib import Path

from gantutor.data.large import own_pictures
from gantutor.methods.cyclegan import CycleGAN
from gantutor.models import SmallDiscriminator, SmallGenerator
from gantutor.training import fit


def peak(process):  # ru_maxrss would count what the process's parent held
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


batches = own_pictures(sys.argv[1], sys.argv[2], 128, 8, progress=False)
method = CycleGAN(SmallGenerator(width=24, blocks=2, downs=1),
                  SmallGenerator(width=24, blocks=2, downs=1),
                  SmallDiscriminator(), SmallDiscriminator())
fit(method, batches, int(sys.argv[3]), progress=False)
fillings, peaks = [stack._filling for stack in batches.stacks.values() if stack._filling], {}
while any(thread.is_alive() for filling in fillings for thread in filling.threads):
    for filling in fillings:
        for process in list(filling.processes.values()):
            try:
                peaks[process.pid] = peak(process.pid)
            except (OSError, IndexError):  # it has just ended
                pass
    time.sleep(0.1)
for _ in range(200):
    batches.next_batch()
assert not any(stack.rows.missing() or stack.bad for stack in batches.stacks.values())
print(peak("self"), *peaks.values())
"""


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@linux
def test_reading_a_file_of_squares_holds_none_of_it(tmp_path):
    file = open(tmp_path / "a.pictures", "w+b", buffering=0)
    file.truncate(Squares.length(1500, 143))
    store, square = Squares(1500, 143, file), np.full((143, 143, 3), 7, np.uint8)
    for k in range(1500):
        store.put(k, square)
    before, most = resident(), 0
    for start in range(0, 1500, 500):
        view = store.view()
        assert all(store.get(k, view) is not None for k in range(start, start + 500))
        most = max(most, resident() - before)
        del view
    assert 25 < most < 60              # MB: the 500 rows of 61 KB that one view has read
    assert resident() - before < 15


@linux
@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, 20_000])
def test_training_on_a_large_folder_takes_less_than_1500_mb(tmp_path, count):
    """Two folders, `count` pictures in all; the same few pictures under many names."""
    rng = np.random.default_rng(0)
    for name in "xy":
        (tmp_path / name).mkdir()
        for k in range(20):
            pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
            Image.fromarray(pixels).save(tmp_path / name / f"{k}.jpg", quality=80)
        for k in range(20, count // 2):
            os.link(tmp_path / name / f"{k % 20}.jpg", tmp_path / name / f"{k}.jpg")
    environment = os.environ | {"GANTUTOR_CACHE": str(tmp_path / "cache"),
                                "PYTHONPATH": str(Path(gantutor.__file__).parent.parent)}
    out = subprocess.run([sys.executable, "-c", TRAINING, tmp_path / "x", tmp_path / "y", "2"],
                         capture_output=True, text=True, env=environment)
    assert out.returncode == 0, out.stderr
    peaks = list(map(float, out.stdout.split()))
    assert len(peaks) == 3 and sum(peaks) < 1500, out.stdout
    print(f"{count} pictures: {peaks[0]:.0f} MB, its workers {peaks[1]:.0f} and {peaks[2]:.0f} MB")
