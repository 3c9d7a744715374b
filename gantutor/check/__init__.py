"""Exercise checks: they say what is wrong, and they never raise.

    check.cyclegan.cycle_loss(my_cycle_loss)    # the last line of an exercise's cell
    check.cyclegan.cycle_loss.hint()            # a hint; hint(2) is the second
    check.cyclegan.cycle_loss.solve()           # the solution, explained

`predict` keeps what a reader expects of a table: no exercise, see there. Otherwise:
One module a notebook, and beside it the prose of its hints and solutions (cyclegan.py and
cyclegan.md). How an exercise is written: machine.py. What a learner sees: verdict.py.
"""

from gantutor.check import (
    compare,
    cyclegan,
    direct,
    domain,
    faults,
    hiding,
    loop,
    predict,
    semantics,
    shared_space,
    stargan,
    theory,
    vgg,
)
from gantutor.check.verdict import Verdict

__all__ = ["Verdict", "compare", "cyclegan", "direct", "domain", "faults", "hiding", "loop",
           "predict", "semantics", "shared_space", "stargan", "theory", "vgg"]
