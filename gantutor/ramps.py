"""Weights that change during a run, in a form that a CUDA graph can follow."""

import math


def domain_ramp(p):
    """2 / (1 + e^(-10 p)) - 1: from 0 to almost 1 while p goes from 0 to 1.

    Ganin, Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015, section 4.
    """
    return 2 / (1 + math.exp(-10 * p)) - 1


def late_ramp(p, start=0.5, end=0.65):
    """0 until p = start, 1 from p = end on, linear between them."""
    return 1.0 if p >= end else max(0.0, (p - start) / (end - start))


class Ramped:
    """A method with such weights.

    progress: the share of the run that is over, set by `fit`. 1: every weight as at the end.
    held: the same weights as tensors, {name: ()}, where a CUDA graph reads them (`graphs`).
    """

    progress = 1.0
    held = None

    def ramps(self):
        """{name: its weight now, a plain number}. What has the weight 0 is not computed."""
        raise NotImplementedError

    def ramp(self, name):
        """The weight of that name, to be multiplied with a term."""
        return (self.held or self.ramps())[name]

    def on(self, name):
        """Whether the weight of that name is above 0."""
        return self.ramps()[name] > 0
