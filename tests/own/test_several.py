"""A rehearsal of several domains: parts without overlap, one code a domain, its own table."""

import json

import pytest
import torch
from PIL import Image
from test_rehearsal import pictures, rehearsal_options

from gantutor.data import to_float, to_uint8
from gantutor.own import rehearsal, several
from gantutor.own.known_pairs import Task

CHANGES = {"negative": lambda images, generator: -images,
           "yellow": lambda images, generator: images * torch.tensor([1., 1, 0])[:, None, None]}


def test_no_picture_is_in_two_parts_and_all_domains_share_x_and_judge():
    tasks = several.make_tasks(pictures(51), CHANGES)
    one, other = tasks["negative"], tasks["yellow"]
    assert [len(part) for part in one] == [13, 13, 13, 12, 12]
    assert torch.equal(one.x, other.x) and torch.equal(one.test_x, other.test_x)
    numbers = [set(part[:, 0, 0, 0].tolist())
               for part in (one.x, one.test_x, to_uint8(-to_float(one.y)), other.y)]
    assert sum(map(len, numbers)) == 51 == len(set.union(*numbers))
    for name, task in tasks.items():
        for x, y in ((task.x, task.true_y), (task.test_x, task.test_y)):
            assert torch.equal(y, to_uint8(CHANGES[name](to_float(x), None)))
    with pytest.raises(ValueError, match="39 pictures.*at least 40"):
        several.make_tasks(pictures(39), CHANGES)


def test_each_domain_is_judged_with_its_own_code():
    """A translator that adds what its code says, and tasks that are exactly that."""
    class Adds(torch.nn.Module):
        ships = ()

        def translate(self, x, code):
            return x + (code @ torch.tensor([0.5, 0.25, 0.125]))[:, None, None, None]

    x = torch.zeros(3, 3, 4, 6)
    tasks = {name: Task(None, None, None, to_uint8(x), to_uint8(x + shift))
             for name, shift in (("quarter", 0.25), ("eighth", 0.125))}
    watch = several.WatchAll(tasks)
    watch(7, several.Averaged(Adds()), {})
    for name in tasks:
        assert watch.watches[name].steps == [7]
        assert watch.watches[name].errors[0] < 0.01  # bytes are rounded
        assert watch.watches[name].errors == watch.watches[name].last


def test_the_command_has_a_table_of_its_own_for_stargan(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for k, image in enumerate(pictures(45, 32, 40).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(tmp_path / "x" / f"{k}.png")
    options = rehearsal_options(["--x", "x", "--methods", "stargan", "--size", "16",
                                 "--steps", "8"])
    assert rehearsal.act(options) == 0
    said = capsys.readouterr().out
    assert "One of three domains" in said and "stargan: the error stopped" in said
    assert "best first" not in said
    found = json.loads((tmp_path / "runs/rehearsal/rehearsal.json").read_text())["changes"]
    assert set(found) == {"dusk of three", "relief of three"}
    rows = found["dusk of three"]["rows"]
    assert set(rows) == {"do nothing", "six colour numbers", "stargan", "supervised ceiling"}


@pytest.mark.train
def test_stargan_learns_both_domains():
    """On plain colours: nearer than doing nothing to both, after a sixth of a full run."""
    stack = torch.randint(60, 256, (200, 3, 1, 1), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(0)).expand(-1, -1, 16, 16)
    found = several.rehearse_several(stack.contiguous(), 16, say=lambda text: None)
    for case in found.values():
        assert case["rows"]["stargan"] < case["rows"]["do nothing"]
