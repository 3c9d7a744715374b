"""Notebook 08's exercise against scipy, and by hand."""

import pytest
from scipy.stats import binomtest

from gantutor.check import compare


@pytest.mark.parametrize("name", compare.SEEDS)
def test_the_sign_test_is_that_of_scipy(name):
    differences = compare.SEEDS[name]
    n, below = len(differences), sum(d < 0 for d in differences)
    assert compare.sign_test_of(differences) == pytest.approx(binomtest(below, n).pvalue)


def test_the_words_of_the_solution_are_true():
    of = compare.sign_test_of
    assert of([1.0] * 5) == 1 / 16 and of([1.0] * 4 + [-1.0]) == 3 / 8 and of([-1.0] * 3) == 1 / 4
    assert of([1.0] * 8) < 0.01 < of([1.0] * 7)
