"""The exercise of notebook 08: what a few seeds can say."""

import math

from gantutor.check.answers import again, call, number
from gantutor.check.machine import exercise


def agreeing(differences):
    """(how many differences there are, how many of them have the commoner sign)."""
    below = sum(difference < 0 for difference in differences)
    return len(differences), max(below, len(differences) - below)


def at_least(n, k):
    """The probability of k or more heads in n throws of a fair coin."""
    return sum(math.comb(n, j) for j in range(k, n + 1)) / 2**n


def sign_test_of(differences):
    return min(1.0, 2 * at_least(*agreeing(differences)))


SEEDS = {"five of five": [-0.02, -0.05, -0.01, -0.03, -0.04],
         "all five above": [0.02, 0.05, 0.01, 0.03, 0.04],
         "four of five": [-0.02, -0.05, 0.30, -0.03, -0.04],
         "three of six": [-0.02, 0.05, -0.01, 0.03, -0.04, 0.01],
         "nine of ten": [0.02, 0.05, 0.01, 0.03, 0.04, -0.01, 0.02, 0.06, 0.03, 0.01]}


def all_alike(differences):
    n, k = agreeing(differences)
    return 2 / 2**n if k == n else 1.0


def only_below(differences):
    below = sum(difference < 0 for difference in differences)
    return min(1.0, 2 * at_least(len(differences), below))


def exactly(differences):
    n, k = agreeing(differences)
    return min(1.0, 2 * math.comb(n, k) / 2**n)


@exercise(right=sign_test_of, mistakes={
    "one way": lambda differences: at_least(*agreeing(differences)),
    "exactly": exactly, "above one": lambda differences: 2 * at_least(*agreeing(differences)),
    "only below": only_below, "only where all agree": all_alike,
    "share": lambda differences: agreeing(differences)[1] / len(differences),
    "the other side": lambda differences: 1 - sign_test_of(differences)})
def sign_test(answer):
    """my_sign_test(differences): how probable so many equal signs are without a difference."""
    first, *others = SEEDS
    seen = {first: number(call(answer, differences=list(SEEDS[first])), "the probability")}
    return seen | {name: number(again(answer, f"with {name}", differences=list(SEEDS[name])),
                                "the probability") for name in others}
