"""The theory set of notebook 10: formulas, checked by their values in worlds that can be counted.

A world has a few places. p and q, float64 tensors (n,), say how likely a place is among real
pictures and among fakes.
"""

import math
from collections import Counter

import torch

from gantutor.check.answers import call, kind, number
from gantutor.check.machine import Mistake, exercise
from gantutor.check.verdict import Wrong

REAL, FAKE = (0.5, 0.3, 0.2), (0.1, 0.3, 0.6)
WORLDS = {"three places": (REAL, FAKE), "no place in common": ((0.4, 0.6, 0, 0), (0, 0, 0.7, 0.3))}
INFINITE = "not a finite number"


def world(p, q):
    """The two distributions as arguments, {"p", "q"}."""
    return {"p": torch.tensor(p, dtype=torch.float64), "q": torch.tensor(q, dtype=torch.float64)}


def value(found, what):
    """A learner's number; nan and inf become a text, so that a mistake can be named for them."""
    try:
        infinite = not math.isfinite(float(found))
    except Exception:
        infinite = False
    return INFINITE if infinite else round(number(found, what), 6)


# ------------------------------------------------------------------ the two-player games


def best_D(p, q, a, b):
    return (b * p + a * q) / (p + q)


@exercise(right=best_D, mistakes={
    "labels exchanged": lambda p, q, a, b: best_D(p, q, b, a),
    "not divided": lambda p, q, a, b: b * p + a * q,
    "divided by two": lambda p, q, a, b: (b * p + a * q) / 2,
    "odds": lambda p, q, a, b: b * p / q + a,
    "labels ignored": lambda p, q, a, b: p / (p + q),
    "fakes forgotten": lambda p, q, a, b: b * p / (p + q)})
def best_discriminator(answer):
    """my_best_D(p, q, a, b): the best score of each place; a is the label of fakes, b of reals."""
    seen = {}
    for a, b in ((0.0, 1.0), (0.2, 0.9), (-1.0, 1.0)):
        found = call(answer, **world(REAL, FAKE), a=a, b=b)
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            raise Wrong(f"expected a tensor with one score for each place, found {kind(found)}.")
        if found.shape != (3,):
            raise Wrong(f"expected one score for each of the 3 places, found shape "
                        f"{tuple(found.shape)}.")
        seen[f"a = {a:g}, b = {b:g}"] = [round(score.item(), 6) for score in found.detach()]
    return seen


def half_chi_square(p, q):
    return 0.5 * ((p - q) ** 2 / (p + q)).sum()


def left_with(a, b, c, reals=0.5, fakes=0.5):
    """What is left for G against the best D, with other labels or other weights."""
    return lambda p, q: ((reals * p + fakes * q) * (best_D(p, q, a, b) - c) ** 2).sum()


@exercise(right=half_chi_square, also_right=[left_with(-1, 1, 0)], mistakes={
    "no half": left_with(-1, 1, 0, 1, 1), "fakes only": left_with(-1, 1, 0, 0, 0.5),
    "c is 1": left_with(-1, 1, 1), "labels of the course": left_with(0, 1, 1),
    "divided by q": lambda p, q: 0.5 * ((p - q) ** 2 / q).sum(),
    "not squared": lambda p, q: 0.5 * ((p - q).abs() / (p + q)).sum(),
    "squared after": lambda p, q: 0.5 * ((p - q) / (p + q)).square().sum()})
def left_for_G(answer):
    """my_left_for_G(p, q): what G's least-squares loss is against the best D; -1, 1 and 0."""
    return {at: value(call(answer, **world(*two)), "the loss") for at, two in WORLDS.items()}


def at_the_best_D(p, q):
    total = p + q
    return (torch.special.xlogy(p, p / total) + torch.special.xlogy(q, q / total)).sum()


@exercise(right=at_the_best_D, mistakes={
    "sign": lambda p, q: -at_the_best_D(p, q), "half": lambda p, q: at_the_best_D(p, q) / 2,
    "without log 4": lambda p, q: at_the_best_D(p, q) + math.log(4),
    "one JS": lambda p, q: at_the_best_D(p, q) / 2 + math.log(2),
    "base 2": lambda p, q: at_the_best_D(p, q) / math.log(2),
    "reals only": lambda p, q: torch.special.xlogy(p, p / (p + q)).sum(),
    "empty places": lambda p, q: (p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum()})
def plain_gan(answer):
    """my_value(p, q): V(D, G) of the plain GAN against the best D."""
    return {at: value(call(answer, **world(*two)), "the value") for at, two in WORLDS.items()}


@exercise(right=lambda distance, lambda_gp: 1 + distance / (2 * lambda_gp), mistakes={
    "exactly one": lambda distance, lambda_gp: 1.0,
    "no half": lambda distance, lambda_gp: 1 + distance / lambda_gp,
    "minus": lambda distance, lambda_gp: 1 - distance / (2 * lambda_gp),
    "weight above": lambda distance, lambda_gp: 1 + distance * lambda_gp / 2,
    "without one": lambda distance, lambda_gp: distance / (2 * lambda_gp)})
def critic_slope(answer):
    """my_slope(distance, lambda_gp): the best critic's slope between two points."""
    return {f"distance {d:g}, lambda_gp {w:g}": number(call(answer, distance=d, lambda_gp=w),
            "the slope") for d, w in ((2.0, 10.0), (8.0, 0.5))}


# ------------------------------------------------------------------ what no loss can see


def orders(shares):
    """In how many ways values of equal share can be ordered: 1 where no two are equal."""
    return math.prod(math.factorial(many) for many in Counter(shares).values())


def count_renamings(frequencies):
    return math.prod(orders(shares) for shares in frequencies)


def with_attributes(frequencies):
    """Also counts exchanges of attributes that have the same shares."""
    return count_renamings(frequencies) * orders(tuple(sorted(s)) for s in frequencies)


def records(frequencies):
    """The probability of every record of independent attributes, as a list."""
    found = [1.0]
    for shares in frequencies:
        found = [round(one * share, 12) for one in found for share in shares]
    return found


def exchanges(frequencies):
    """Only exchanges of two values, and the identity."""
    return 1 + sum(math.comb(many, 2) for shares in frequencies
                   for many in Counter(shares).values())


RENAMED = {"2 and 3 equal values": [[0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]],
           "shares of 40, 30, 20 and 10 %": [[0.4, 0.3, 0.2, 0.1]],
           "shares of 30, 30, 20 and 20 %": [[0.3, 0.3, 0.2, 0.2]],
           "two attributes with 2 equal values": [[0.5, 0.5], [0.5, 0.5]]}


@exercise(right=count_renamings, mistakes={
    "without the identity": lambda frequencies: count_renamings(frequencies) - 1,
    "added": lambda frequencies: sum(orders(shares) for shares in frequencies),
    "values, not orders": lambda frequencies: math.prod(len(shares) for shares in frequencies),
    "only exchanges": exchanges,
    "shares ignored": lambda frequencies: math.prod(math.factorial(len(s)) for s in frequencies),
    "attributes too": with_attributes,
    "whole records": lambda frequencies: orders(records(frequencies))})
def renamings(answer):
    """my_renamings(frequencies): how many renamings of values leave the distribution as it is."""
    return {at: number(call(answer, frequencies=[list(s) for s in frequencies]), "the count")
            for at, frequencies in RENAMED.items()}


def twin(G_xy, G_yx, T, T_inverse):
    return lambda x: T(G_xy(x)), lambda y: G_yx(T_inverse(y))


@exercise(right=twin, also_right=[lambda G_xy, G_yx, T, back: twin(G_xy, G_yx, back, T)], mistakes={
    "nothing changed": lambda G_xy, G_yx, T, back: (G_xy, G_yx),
    "way back unchanged": lambda G_xy, G_yx, T, back: (lambda x: T(G_xy(x)), G_yx),
    "not undone": lambda G_xy, G_yx, T, back: twin(G_xy, G_yx, T, T),
    "undone too late": lambda G_xy, G_yx, T, back: (lambda x: T(G_xy(x)), lambda y: back(G_yx(y))),
    "before G_xy": lambda G_xy, G_yx, T, back: (lambda x: G_xy(T(x)), lambda y: back(G_yx(y))),
    "exchanged": lambda G_xy, G_yx, T, back: twin(G_xy, G_yx, T, back)[::-1]})
def twins(answer):
    """my_twins(G_xy, G_yx, T, T_inverse): other translators with the same losses, as a pair."""
    away = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    back = torch.tensor([[0.5, -0.4], [0.1, 1.0]])  # not quite the inverse: the cycle has a loss
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # y is normal, so a turn changes nothing
    given = {name: lambda points, matrix=matrix: points @ matrix.T for name, matrix in (
        ("G_xy", away), ("G_yx", back), ("T", quarter), ("T_inverse", quarter.T))}
    pair = call(answer, **given)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise Wrong(f"expected two functions, the new G_xy and the new G_yx, found {kind(pair)}.")
    x, y = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([[0.5, -2.0], [1.0, 4.0]])
    there = points_of(pair[0], x=x)
    return {"G_xy(x)": there, "there and back": points_of(pair[1], y=there),
            "G_yx(y)": points_of(pair[1], y=y)}


def points_of(translate, **points):
    """What a learner's translator makes of two points: (2, 2)."""
    found = call(translate, **points)
    if not isinstance(found, torch.Tensor) or found.shape != (2, 2):
        raise Wrong(f"a translator of two points should give two points, found {kind(found)}.")
    return found.detach().float()


# ------------------------------------------------------------------ messages and codes


def hidden(height, width, eps, sigma, colours=3, half=0.5, log=math.log2, power=2):
    """The capacity of a picture with noise, or one of the formulas that are taken for it."""
    return colours * height * width * half * log(1 + (eps / sigma) ** power)


@exercise(right=hidden, mistakes={
    "one colour": lambda *a: hidden(*a, colours=1), "no half": lambda *a: hidden(*a, half=1),
    "natural logarithm": lambda *a: hidden(*a, log=math.log),
    "not squared": lambda *a: hidden(*a, power=1),
    "without one": lambda *a: hidden(*a, log=lambda r: math.log2(r - 1)),
    "noise over message": lambda *a: hidden(*a, power=-2),
    "variance": lambda h, w, eps, sigma: hidden(h, w, eps, sigma**0.5)})
def hidden_bits(answer):
    """my_bits(height, width, eps, sigma): how many bits a message below the noise can carry."""
    cases = (4, 6, 3.0, 1.0), (64, 64, 1.0, 16.0)
    return {f"{h} x {w} pixels, eps {e:g}, sigma {s:g}": number(call(
        answer, height=h, width=w, eps=e, sigma=s), "the number of bits") for h, w, e, s in cases}


@exercise(right=lambda alpha, beta, gamma: (alpha - gamma) ** 2 + beta**2, mistakes={
    "r forgotten": lambda alpha, beta, gamma: (alpha - gamma) ** 2,
    "squared after adding": lambda alpha, beta, gamma: (alpha + beta - gamma) ** 2,
    "gamma apart": lambda alpha, beta, gamma: alpha**2 + beta**2 + gamma**2,
    "not squared": lambda alpha, beta, gamma: abs(alpha - gamma) + abs(beta),
    "root": lambda alpha, beta, gamma: math.hypot(alpha - gamma, beta),
    "r arrives": Mistake(lambda alpha, beta, gamma: (alpha - gamma) ** 2 + (beta - gamma) ** 2)})
def semantic_loss(answer):
    """my_semantic(alpha, beta, gamma): the mean squared distance of the two codes."""
    cases = (3.0, 0.5, 1.0), (2.0, 3.0, 2.0), (0.0, 0.0, 0.0)
    return {f"alpha {a:g}, beta {b:g}, gamma {g:g}": number(call(
        answer, alpha=a, beta=b, gamma=g), "the loss") for a, b, g in cases}
