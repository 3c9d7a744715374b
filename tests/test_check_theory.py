"""Notebook 10's answers against oracles that know no formula, and every number of its texts."""

import math
import re
import shlex
from collections import Counter
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_notebooks import cells

from gantutor import __main__ as cli
from gantutor.check import theory
from gantutor.data import avatars
from gantutor.evaluate import hiding

ROOT = Path(__file__).parent.parent
(NOTEBOOK,) = (ROOT / "notebooks").glob("10_*.ipynb")
WORLDS = [(theory.REAL, theory.FAKE), ((0.6, 0.3, 0.1), (0.25, 0.25, 0.5))]


def two(p, q):
    return theory.world(p, q).values()


# ------------------------------------------------------------------ exercises 1 to 4


def best_tried(loss, low, high, count=300_001):
    """The number between low and high with the smallest loss, of many that are tried."""
    tried = np.linspace(low, high, count)
    return tried[loss(tried).argmin()]


@pytest.mark.parametrize("p,q", WORLDS)
@pytest.mark.parametrize("a,b", [(0, 1), (-1, 1), (0.2, 0.9)])
def test_the_best_D_is_the_best_of_all_scores_that_are_tried(p, q, a, b):
    found = theory.best_discriminator.right(*two(p, q), a, b)
    for real, fake, score in zip(p, q, found.tolist(), strict=True):
        assert best_tried(lambda d, real=real, fake=fake: real * (d - b) ** 2 + fake * (d - a) ** 2,
                          -2, 2) == pytest.approx(score, abs=2e-5)


@pytest.mark.parametrize("p,q", WORLDS)
@pytest.mark.parametrize("labels,known", [((-1, 1, 0), lambda chi: chi / 2),
                                          ((0, 1, 1), lambda chi: 1 / 4 + chi / 8)])
def test_what_is_left_for_G_is_pearsons_chi_square(p, q, labels, known):
    """Pearson's sum of (observed - expected)^2 / expected, and D found by trying."""
    a, b, c = labels
    chi_square = sum((2 * fake - (real + fake)) ** 2 / (real + fake)
                     for real, fake in zip(p, q, strict=True))
    loss = 0.0
    for real, fake in zip(p, q, strict=True):
        d = best_tried(lambda d, real=real, fake=fake: real * (d - b) ** 2 + fake * (d - a) ** 2,
                       -2, 2)
        loss += (real + fake) / 2 * (d - c) ** 2
    assert known(chi_square) == pytest.approx(loss, abs=1e-4)
    assert theory.left_with(*labels)(*two(p, q)).item() == pytest.approx(loss, abs=1e-4)
    assert theory.left_for_G.right(*two(p, q)).item() == pytest.approx(chi_square / 2)


def test_the_ends_of_both_games_are_those_of_the_text():
    """Equal, and nothing in common."""
    equal, apart = two(theory.REAL, theory.REAL), two(*theory.WORLDS["no place in common"])
    equal, apart = tuple(equal), tuple(apart)
    of_the_course, curve = theory.left_with(0, 1, 1), theory.left_with(0, 1, 1, 0, 1)
    for loss, ends in ((theory.left_for_G.right, (0, 1)), (of_the_course, (0.25, 0.5)),
                       (curve, (0.25, 1)), (theory.plain_gan.right, (-math.log(4), 0))):
        assert [loss(*equal).item(), loss(*apart).item()] == pytest.approx(ends)
    p, q = two(theory.REAL, theory.FAKE)
    assert curve(p, q).item() == pytest.approx((q**3 / (p + q) ** 2).sum().item())


@pytest.mark.parametrize("p,q", WORLDS)
def test_the_plain_games_value_is_the_largest_of_all_that_are_tried(p, q):
    value = 0.0
    for real, fake in zip(p, q, strict=True):
        def turned(d, real=real, fake=fake):
            return -(real * np.log(d) + fake * np.log(1 - d))
        value -= turned(best_tried(turned, 1e-4, 1 - 1e-4))
    assert theory.plain_gan.right(*two(p, q)).item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("distance,lambda_gp", [(2.0, 10.0), (3.0, 1.5)])
def test_a_critic_of_many_pieces_ends_with_one_slope(distance, lambda_gp):
    """Twenty slopes, trained: none of them is better than the one of the formula."""
    slopes = torch.linspace(-1, 3, 20, dtype=torch.float64).requires_grad_()
    for _ in range(4000):
        loss = -distance * slopes.mean() + lambda_gp * ((slopes.abs() - 1) ** 2).mean()
        (gradient,) = torch.autograd.grad(loss, slopes)
        with torch.no_grad():
            slopes -= 0.1 * gradient
    steepest = slopes.detach()[-1].item()
    assert theory.critic_slope.right(distance, lambda_gp) == pytest.approx(steepest, abs=1e-3)


# ------------------------------------------------------------------ exercises 5 and 6


def all_maps(frequencies):
    """(records, every one-to-one map between them that keeps the distribution).

    A map is the tuple of the records to which the records go, in order.
    """
    people = list(product(*(range(len(shares)) for shares in frequencies)))
    share = {who: round(math.prod(s[v] for s, v in zip(frequencies, who, strict=True)), 9)
             for who in people}
    return people, [order for order in permutations(people) if all(
        share[one] == share[other] for one, other in zip(people, order, strict=True))]


def renames(people, order):
    """Whether a map is a renaming: each attribute's new value depends on its old one alone."""
    for k in range(len(people[0])):
        became = {}
        for one, other in zip(people, order, strict=True):
            if became.setdefault(one[k], other[k]) != other[k]:
                return False
    return True


TOYS = [([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], 8, math.factorial(8)),  # three attributes
        ([[0.5, 0.5], [0.3, 0.7], [0.5, 0.5]], 4, math.factorial(4) ** 2),
        ([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1]], 2, 2**4),
        ([[0.5, 0.5], [0.4, 0.3, 0.3]], 4, 2 * math.factorial(4)),
        ([[0.4, 0.3, 0.2, 0.1]], 1, 1), ([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5]], 12, 720)]


@pytest.mark.parametrize("frequencies,by_hand,all_by_hand", TOYS)
def test_renamings_are_those_among_all_maps_that_keep_the_distribution(frequencies, by_hand,
                                                                       all_by_hand):
    people, maps = all_maps(frequencies)
    found = sum(renames(people, order) for order in maps)
    assert theory.count_renamings(frequencies) == found == by_hand
    assert len(maps) == all_by_hand == theory.orders(theory.records(frequencies))


def test_there_are_as_many_exact_solutions_as_automorphisms():
    """All one-to-one maps of a small X to a small Y are tried, with D and both cycles."""
    share_x, share_y = (0.2, 0.2, 0.35, 0.25), (0.25, 0.2, 0.35, 0.2)
    solutions = [G for G in permutations(range(4))
                 if all(share_x[k] == share_y[G[k]] for k in range(4))]
    automorphisms = [T for T in permutations(range(4))
                     if all(share_y[k] == share_y[T[k]] for k in range(4))]
    assert len(solutions) == len(automorphisms) == 2
    G, back = solutions[0], solutions[0].index
    made = set()
    for T in automorphisms:
        new_xy, new_yx = theory.twins.right(G.__getitem__, back, T.__getitem__, T.index)
        assert [new_yx(new_xy(x)) for x in range(4)] == list(range(4))
        assert [new_xy(new_yx(y)) for y in range(4)] == list(range(4))
        made.add(tuple(new_xy(x) for x in range(4)))
    assert made == set(solutions)


def test_the_checks_T_leaves_a_normal_y_as_it_is():
    """A quarter turn, its inverse a quarter back; the cycle of the check has a loss."""
    seen = theory.twins.seen(theory.twin)
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    there = torch.tensor([[4.0, 2.0], [5.0, -1.0]])              # G_xy(x)
    torch.testing.assert_close(seen["G_xy(x)"], torch.stack([-there[:, 1], there[:, 0]], 1))
    back = torch.tensor([[0.5 * 4 - 0.4 * 2, 0.4 + 2], [0.5 * 5 + 0.4, 0.5 - 1]])
    torch.testing.assert_close(seen["there and back"], back)
    assert not torch.allclose(back, x)


# ------------------------------------------------------------------ exercises 7 and 8


@pytest.mark.parametrize("eps,sigma", [(1.0, 1.0), (3.0, 1.0), (0.5, 2.0)])
def test_the_capacity_is_the_information_that_arrives(eps, sigma):
    """I(s; s + n) of two normal numbers, added up cell by cell of a fine grid."""
    s = torch.linspace(-6 * eps, 6 * eps, 601, dtype=torch.float64)
    wide = math.hypot(eps, sigma)
    arrived = torch.linspace(-6 * wide, 6 * wide, 801, dtype=torch.float64)
    sent = torch.exp(-0.5 * (s / eps) ** 2)
    both = sent[:, None] * torch.exp(-0.5 * ((arrived - s[:, None]) / sigma) ** 2)
    both /= both.sum()
    apart = both.sum(1, keepdim=True) * both.sum(0, keepdim=True)
    bits = torch.special.xlogy(both, both / apart).sum().item() / math.log(2)
    assert theory.hidden(1, 1, eps, sigma) / 3 == pytest.approx(bits, abs=1e-3)


def test_the_semantic_loss_is_the_mean_over_a_world_of_four():
    """c and r are -1 or 1, each pair equally often."""
    for alpha, beta, gamma in ((3.0, 0.5, 1.0), (-1.0, 2.0, 0.25), (2.0, 0.0, 2.0)):
        mean = sum((alpha * c + beta * r - gamma * c) ** 2
                   for c, r in product((-1, 1), repeat=2)) / 4
        assert theory.semantic_loss.right(alpha, beta, gamma) == pytest.approx(mean)
    small, large = (theory.semantic_loss.right(2 * s, 0.3 * s, 1 * s) for s in (0.1, 1))
    assert large / small == pytest.approx(100)


# ------------------------------------------------------------------ numbers of the texts


def text(exercise):
    return exercise.section("Solution")


def test_the_numbers_of_the_solutions():
    sizes = avatars.ATTRIBUTES
    assert list(sizes.values()) == [4, 6, 5, 4, 2, 2, 2, 2]
    shares = {name: [1 / n] * n for name, n in sizes.items()}
    shares |= {"glasses": [0.6, 0.4], "beard": [0.6, 0.4]}
    assert f"{theory.count_renamings(shares.values()):,}".replace(",", "{,}") in text(
        theory.renamings)
    few = shares | {name: range(sizes[name]) for name in ("skin", "hair", "shirt", "background")}
    assert theory.count_renamings(few.values()) == 4 and "=4$ are left" in text(theory.renamings)
    many = math.prod(sizes.values())
    bits, level = math.log2(many), 3 * 64 * 64 * math.log2(3)
    noisy = theory.hidden(64, 64, 1, max(hiding.NOISE_LEVELS))
    enough = (2 ** (2 * bits / (3 * 64 * 64)) - 1) ** -0.5
    assert theory.hidden(64, 64, 1, enough) == pytest.approx(bits)
    for words in (f"{many:,}".replace(",", "{,}"), f"{bits:.1f} bits name one", f"{level:,.0f}.",
                  f"{round(level / bits, -2):,.0f} times as much", f"leaves {noisy:.1f} bits",
                  f"must be {enough:.0f} times as strong"):
        assert words in text(theory.hidden_bits), words
    assert f"from {-math.log(4):.3f} to 0" in text(theory.plain_gan)


def test_equal_by_design_is_what_builds_the_avatars():
    source = (ROOT / "data" / "build.py").read_text(encoding="utf-8")
    unequal = re.findall(r"where\(records\[:, (\d)\] == 1, P_", source)
    assert [list(avatars.ATTRIBUTES)[int(k)] for k in unequal] == ["glasses", "beard"]
    share = float(re.search(r"P_GLASSES, P_BEARD = ([\d.]+)", source)[1])
    assert share != 0.5
    colours = re.search(r"^UNEQUAL = (\{.*?\})$", source, re.M | re.S)[1]
    for shares in eval(colours).values():
        assert max(Counter(shares).values()) == 1


def test_four_groups_of_people_are_equally_likely():
    """What line 6 of the notebook takes for granted."""
    groups = {a * b for a in (0.38, 0.62) for b in (0.35, 0.65)}
    assert len(groups) == 4 and math.prod(avatars.ATTRIBUTES.values()) / 4 == 1920


@pytest.mark.parametrize("exercise,answer,words", [
    (theory.renamings, lambda frequencies: 9, "the count is 9, expected 12"),
    (theory.plain_gan, lambda p, q: 7.0, "the value is 7.0, expected"),
    (theory.best_discriminator, lambda p, q, a, b: p * 0, "one score is 0, expected 0.8333"),
    (theory.best_discriminator, lambda p, q, a, b: p.sum(), "one score for each of the 3 places"),
    (theory.twins, lambda *four: (four[0], four[1], four[2]), "expected two functions"),
    (theory.twins, lambda *four: (lambda x: x[:1], four[1]), "should give two points")])
def test_a_mistake_without_a_name(exercise, answer, words):
    verdict = exercise(answer)
    assert verdict.state == "wrong" and words in verdict.reason, verdict


# ------------------------------------------------------------------ the projects


def commands():
    """The command lines of the notebook's sh blocks, split as a shell splits them."""
    blocks = [block for _, cell in cells(NOTEBOOK, "markdown")
              for block in re.findall(r"```sh\n(.*?)```", cell["source"], re.S)]
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_each_rubric_has_twenty_points():
    whole = "\n".join(cell["source"] for _, cell in cells(NOTEBOOK, "markdown"))
    for project in whole.split("### Project ")[1:]:
        assert sum(map(int, re.findall(r"^\|(\d)\|", project, re.M))) == 20
        assert "**Task.**" in project and "**A good answer**" in project
    assert whole.count("### Project ") == 3


def test_every_command_of_a_project_can_be_typed():
    assert len(commands()) == 9
    for program, *arguments in commands():
        assert program == "gantutor"
        top = cli.parser()
        cli.old_command(top, top.parse_args(arguments))


@pytest.mark.slow
def test_the_commands_of_a_project_run(tmp_path, monkeypatch, capsys):
    """In order, on small pictures, each training two steps long."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, count in (("photos", 41), ("paintings", 41), ("pairs_x", 4)):
        (tmp_path / folder).mkdir()
        for k in range(count):
            picture = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / folder / f"{k}.png")
    for _, command, *rest in commands():
        steps = ["--steps", "2"] if command in ("rehearse", "train", "reproduce") else []
        cli.main([command, *rest, *steps])
    assert len(list((tmp_path / "pairs_made").glob("*.png"))) == 4
    assert (tmp_path / "runs" / "relief_1" / "rehearsal.json").is_file()
    assert "No pairs were used" in capsys.readouterr().out
