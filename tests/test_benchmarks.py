"""`benchmarks/speed.py`: its table, its clock, peers from a folder, time to quality."""

import subprocess
import sys
import time
from pathlib import Path

import peers
import pytest
import quality
import speed
import steps
import torch
from toys import batches_for, generator

from gantutor import state
from gantutor.methods.supervised import Supervised
from gantutor.rows import Recipe

ROOT = Path(__file__).parent.parent
SMALL = ["--rows", "CycleGAN, 64 px, batch 1", "--width", "4", "--repeats", "2", "--threads", "1"]

# A stand-in for a checkout of the official CycleGAN, with its names: what `peers` uses of it.
STAND_IN = '''
import time
import torch
import util
from torch.nn.functional import l1_loss
from gantutor.losses import lsgan_discriminator_loss, lsgan_generator_loss
from gantutor.models import PatchDiscriminator, ResnetGenerator
from gantutor.official import official_names

class Named:
    """A network of ours whose weights have the official names."""
    def __init__(self, net):
        self.net = net
        self.names = official_names(net)

    def state_dict(self):
        return {f"{self.names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v
                for k, v in self.net.state_dict().items()}

class CycleGANModel:
    def __init__(self, opt):
        print("noise")
        torch.backends.cudnn.benchmark = True
        blocks = {"resnet_6blocks": 6, "resnet_9blocks": 9}[opt.netG]
        nets = [ResnetGenerator(width=opt.ngf, blocks=blocks) for _ in range(2)]
        nets += [PatchDiscriminator(width=opt.ndf) for _ in range(2)]
        self.netG_A, self.netG_B, self.netD_A, self.netD_B = map(Named, nets)
        self.G_A, self.G_B, self.D_A, self.D_B = nets
        self.opt, both = opt, [[*nets[0].parameters(), *nets[1].parameters()],
                               [*nets[2].parameters(), *nets[3].parameters()]]
        self.adams = [torch.optim.Adam(p, opt.lr, (opt.beta1, 0.999)) for p in both]

    def set_input(self, batch):
        self.A, self.B = batch["A"], batch["B"]

    def get_current_losses(self):
        return self.losses

    def optimize_parameters(self):
        time.sleep(util.PAUSE)
        assert torch.backends.cudnn.benchmark or not util.SWITCH
        A, B, o = self.A, self.B, self.opt
        fake_B, fake_A = self.G_A(A), self.G_B(B)
        G = {"G_A": lsgan_generator_loss(self.D_A(fake_B)),
             "G_B": lsgan_generator_loss(self.D_B(fake_A)),
             "cycle_A": o.lambda_A * l1_loss(self.G_B(fake_B), A),
             "cycle_B": util.WEIGHT * o.lambda_B * l1_loss(self.G_A(fake_A), B),
             "idt_A": o.lambda_identity * o.lambda_B * l1_loss(self.G_A(B), B),
             "idt_B": o.lambda_identity * o.lambda_A * l1_loss(self.G_B(A), A)}
        self.step(0, G)
        D = {"D_A": lsgan_discriminator_loss(self.D_A(B), self.D_A(fake_B.detach())),
             "D_B": lsgan_discriminator_loss(self.D_B(A), self.D_B(fake_A.detach()))}
        self.step(1, D)
        self.losses = G | D

    def step(self, k, losses):
        self.adams[k].zero_grad()
        sum(losses.values()).backward()
        self.adams[k].step()
'''


@pytest.fixture
def checkout(tmp_path):
    """(pause, weight, switch) -> a folder like a checkout: a step waits, has that weight of one
    cycle, and wants to find its own switch set.
    """
    def made(pause=0.0, weight=1.0, switch=True):
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "cycle_gan_model.py").write_text(STAND_IN)
        (tmp_path / "util.py").write_text(f"PAUSE, WEIGHT, SWITCH = {pause}, {weight}, {switch}")
        return tmp_path
    return made


def command(*arguments):
    found = subprocess.run([sys.executable, ROOT / "benchmarks" / "speed.py", *arguments],
                           capture_output=True, text=True)
    return found.returncode, found.stdout, found.stderr


def cells(text):
    """The table's lines after its head, cut where the head's columns begin or end."""
    lines = text.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("row  "))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[at + 1:]
            if line.count("  ") > 5]


# ------------------------------------------------------------------ the table


@pytest.mark.slow
def test_the_command_prints_where_it_ran_and_its_table(checkout):
    code, said, error = command(*SMALL, "--peer", f"cyclegan={checkout(pause=0.3, switch=False)}")
    assert code == 0, error
    assert f"torch {torch.__version__}" in said and "1 threads of" in said
    assert any(flag in said for flag in (*speed.FLAGS, "no flags known"))
    assert "4 wide instead of 64" in said and "2 repeats of 1 steps" in said
    ours, other = cells(said)
    assert ours[:2] == ["CycleGAN, 64 px, batch 1", "ours"] and other[1] == "cyclegan"
    for line in (ours, other):
        median, low, high, _, megabytes = map(float, line[2:7])
        assert 0 < low <= median <= high and 100 < megabytes < 10000
    assert float(other[2]) >= 300  # milliseconds, not seconds
    assert float(ours[5]) == pytest.approx(float(other[2]) / float(ours[2]), abs=0.02)
    assert "losses differ from the peer's by at most" in said


def test_there_is_a_row_for_whatever_the_issue_names():
    names = [row.name for row in steps.rows()]
    assert names[:5] == [f"CycleGAN, {size} px, batch {count}" for size, count in (
        (64, 1), (64, 4), (128, 1), (256, 1), (256, 8))]
    assert any("StarGAN" in name for name in names) and any("common space" in n for n in names)
    method = steps.rows()[3].make()
    assert len(method.G_xy.blocks) == 9 and method.lambda_idt == 0.5 and method.pool_x.size == 50
    assert sum(p.numel() for p in steps.rows()[0].make().G_xy.parameters()) == 7_837_699
    for row in steps.rows(4):
        batch = steps.batch_of(row)
        assert batch["x"].shape == (row.batch_size, 3, row.size, row.size)
        assert batch["x"].abs().max() <= 1 and not torch.equal(batch["x"], batch["y"])


@pytest.mark.parametrize("arguments, said", [
    (("--rows", "WaveGAN"), "--rows WaveGAN: in no name; expected a part of\n  CycleGAN, 64 px"),
    (("--peer", "cyclegan=/nowhere"), "/nowhere: has no models/cycle_gan_model.py; expected a check"
                                      "out of github.com/junyanz/pytorch-CycleGAN-and-pix2pix"),
    (("--peer", "stargan=/nowhere"), "/nowhere: has no solver.py; expected a checkout of "
                                     "github.com/yunjey/stargan"),
    (("--peer", "wavegan=."), "'wavegan=.': expected NAME=FOLDER, NAME one of cyclegan, stargan"),
    (("--peer", "cyclegan"), "'cyclegan': expected NAME=FOLDER")])
def test_a_bad_argument_is_named_with_what_was_expected(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        speed.main(list(arguments))
    assert said in str(stop.value) + " ".join(capsys.readouterr().err.split())


def test_graphs_are_asked_for_in_the_table_and_in_the_process_that_measures_memory(capfd):
    speed.main([*SMALL, "--graphs"])
    said = capfd.readouterr().out
    assert "ours float32 as CUDA graphs" in said and "CUDA graphs are off: they need a GPU" in said
    asked = speed.parser().parse_args([*SMALL, "--graphs"])
    assert steps.memory_of_two_steps(slow_row(0.001), None, "cpu", "float32", asked.graphs) > 0
    assert capfd.readouterr().out.startswith("CUDA graphs are off")


# ------------------------------------------------------------------ the clock


class Slow(Supervised):
    """A method of which a step takes `pause` seconds."""

    def __init__(self, pause):
        super().__init__(generator())
        self.pause = pause

    def generator_loss(self, batch):
        time.sleep(self.pause)
        return super().generator_loss(batch)


def slow_row(pause, **settings):
    return steps.Row("slow", lambda: Slow(pause), 8, 2, {"lr": 1e-3} | settings)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("plays", [1, 2])
def test_medians_are_those_of_real_steps_in_turn(count, plays):
    """With n_critic=2 the generator plays in every second step of `fit`: one step of the table."""
    row, order = slow_row(0.03, **({"n_critic": 2} if plays == 2 else {})), []

    def other():
        order.append("peer")
        time.sleep(0.06)

    method = row.make()
    usual = method.generator_loss
    method.generator_loss = lambda batch: (order.append("ours"), usual(batch))[1]
    ours, others = steps.timed(row, method, steps.batch_of(row), other, repeats=3, steps=count)
    assert len(ours) == len(others) == 3
    assert order[count:] == (["ours"] * count + ["peer"] * count) * (steps.WARM + 3)
    assert min(ours) >= 0.03 and min(others) >= 0.06 and sorted(ours)[1] < sorted(others)[1]
    found = speed.line("slow", "ours", [0.03, 0.05, 0.01], "2.00", 123.4, "what")
    assert found == ["slow", "ours", "30.0", "10.0", "50.0", "2.00", "123", "what"]


def test_memory_is_that_of_the_process(monkeypatch):
    before = steps.peak_memory("cpu")
    block = torch.ones(25_000_000)  # 100 MB
    after = steps.peak_memory("cpu")
    del block
    assert steps.peak_memory("cpu") == pytest.approx(after, abs=5)
    assert 100 < before <= after <= before + 130


# ------------------------------------------------------------------ peers


def test_equal_losses_are_equal_and_another_weight_is_seen(checkout):
    row, folder = steps.rows(4)[0], checkout(switch=False)
    (ours, *_), (floor, *_) = peers.equal_losses(folder, row, 4)
    assert ours < 1e-5 and 0 < floor
    (folder / "util.py").write_text("PAUSE, WEIGHT, SWITCH = 0.0, 1.1, False")
    (ours, name, step), _ = peers.equal_losses(folder, row, 4)
    assert ours > 0.05 and name == "cycle_y" and step == 1


def test_a_peers_modules_and_switches_stay_with_the_peer(checkout, capsys):
    row, before = steps.rows(4)[0], set(sys.modules)
    folder = checkout()
    step = peers.step_of("cyclegan", folder, row, 4, "cpu")
    assert str(folder) not in sys.path
    assert not torch.backends.cudnn.benchmark
    step()  # it asserts its own switch
    assert not torch.backends.cudnn.benchmark
    assert not {"models", "util"} & set(sys.modules) - before
    assert capsys.readouterr().out == ""


def test_a_peer_that_cannot_run_is_said_in_the_table(checkout, capsys, monkeypatch):
    folder = checkout()
    (folder / "util.py").write_text("import a_module_that_nobody_has")
    monkeypatch.setattr(speed, "memory", lambda *_: 1.0)
    speed.main([*SMALL[:-2], "--peer", f"cyclegan={folder}"])
    said = capsys.readouterr().out
    assert f"{folder}: cannot be run (ModuleNotFoundError: No module named 'a_module" in said
    assert "losses not compared" in said and len(cells(said)) == 1


# ------------------------------------------------------------------ time to quality


@pytest.mark.parametrize("numbers, line, said", [
    ([0.9, 0.6, 0.4, 0.1], 0.5, (0.4, 6)), ([0.9, 0.8, 0.7, 0.6], 0.5, (0.6, 8))])
def test_a_run_stops_where_it_crosses_and_judging_is_not_counted(monkeypatch, numbers, line, said):
    left = list(numbers)

    def judge(method, seed):
        assert not method.training
        time.sleep(0.3)
        return {"hidden-pair L1": left.pop(0)}

    recipe = Recipe(lambda size, seed: batches_for("Supervised"), lambda: Slow(0.01), judge, 99,
                    1e-3, 4)
    monkeypatch.setattr(quality, "recipe_and_panel", lambda name: (recipe, {}))
    live = quality.Live("00", "slow", "hidden-pair L1", 8, None)
    value, step, seconds = quality.trained_until(live, lambda v: v <= line, looks=4)
    assert (value, step) == said and 0.01 * step <= seconds < 0.3 * (len(numbers) - len(left))


def test_the_line_lies_between_do_nothing_and_what_ships(monkeypatch):
    for live in quality.LIVE:
        nothing, shipped, line = quality.aim(live)
        assert line == pytest.approx(nothing + 0.8 * (shipped - nothing)), live.name
        better = nothing - shipped if live.number != "translated right" else shipped - nothing
        assert better > 0.02, live.name  # what ships is better than doing nothing
    monkeypatch.setattr(quality, "aim", lambda live: (1.0, 0.0, 0.2))
    monkeypatch.setattr(quality, "trained_until", lambda *_: (0.3, 8, 1.5))
    found = quality.line(quality.LIVE[0])
    assert len(found) == len(quality.HEAD) and found[-1] == "did not cross it"


def test_a_live_run_in_float32_and_as_it_trains_now(monkeypatch, capsys):
    seen = []

    def fit(method, data, steps, precision, **rest):
        until = time.process_time() + (0.2 if precision == "float32" else 0.05)
        while time.process_time() < until:
            pass
        seen.append((steps, precision, method.weight.is_contiguous(
            memory_format=torch.channels_last)))
        return state.History()

    monkeypatch.setattr(quality, "fit", fit)
    recipe = Recipe(lambda *_: None, lambda: torch.nn.Conv2d(3, 3, 3),
                    lambda method, seed: {"hidden-pair L1": 0.25}, 8, 1e-3, 4)
    monkeypatch.setattr(quality, "recipe_and_panel", lambda name: (recipe, {}))
    monkeypatch.setattr(quality, "LIVE", [quality.Live("00", "slow", "hidden-pair L1", 8, None)])
    speed.main(["--auto"])
    said = capsys.readouterr().out.splitlines()[-1].split()
    assert said[:3] == ["00", "slow", "8"] and said[-3:] == ["0.250", "0.250", "float32"]
    assert 0.15 < float(said[5]) < 0.45
    assert seen == [(8, "float32", False), (8, "auto", True)]


@pytest.mark.parametrize("live", quality.LIVE, ids=lambda live: live.name)
def test_a_live_run_has_the_notebooks_steps(live):
    (path,) = (ROOT / "notebooks").glob(f"{live.notebook}_*.ipynb")
    text = path.read_text(encoding="utf-8")
    said = [f"cpu={live.steps})", *{"06": ["cpu=recipes.ALIGNED_STEPS)"],
                                    "08": ["cpu=STEPS // 4)"]}.get(live.notebook, [])]
    assert any(one in text for one in said)
