"""What a rehearsal is worth: ranks and one case by hand, and the table behind the text."""

import itertools
import math

import pytest

from gantutor import runs
from gantutor.own import rehearsal, worth


def test_rank_correlation_by_hand():
    assert worth.rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert worth.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # 1 - 6 x 4 / 60
    assert worth.rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(0.6)
    # Ties share their mean rank: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    tied = worth.rank_correlation([1, 5, 5, 9], [1, 2, 3, 4])
    assert tied == pytest.approx(4.5 / math.sqrt(22.5))
    assert math.isnan(worth.rank_correlation([1, 1], [1, 2]))


def made_up(truth, said):
    """Points of one case and seed. truth, said: {method: errors at steps 0, 50, 100}."""
    rows = {"do nothing": 0.8, "six colour numbers": 0.4}

    def run(errors):
        return {"steps": [0, 50, 100], "errors": errors, "last": errors}

    points = [{"case": "ink", "method": method, "seed": 0, "rows": rows} | run(errors)
              for method, errors in (truth | {"supervised ceiling": [0.8, 0.1, 0.1]}).items()]
    other = {"rows": rows | dict.fromkeys(said, 0.1), "likeness": [0.9, 0.9],
             "runs": {method: run([0.1] * 3) for method in said}}
    alike = {"rows": rows | {method: errors[-1] for method, errors in said.items()},
             "likeness": [0.1, 0.2],
             "runs": {method: run(errors) for method, errors in said.items()}}
    return [*points, {"pictures": "photographs", "seed": 0, "cases": {"ink": [0.11, 0.25]},
                      "changes": {"dusk": other, "relief": alike}}]


def test_one_case_by_hand():
    truth = {"direct": [0.8, 0.6, 0.5], "vgg": [0.8, 0.3, 0.3], "cyclegan": [0.8, 0.25, 0.2],
             "discogan": [0.8, 0.3, 0.39]}
    said = {"direct": [0.8, 0.5, 0.5], "vgg": [0.8, 0.4, 0.1], "cyclegan": [0.8, 0.3, 0.2],
            "discogan": [0.8, 0.5, 0.45]}
    found = worth.compared("ink", 0, made_up(truth, said))
    assert found["alike"] == "relief"
    assert found["order"] == pytest.approx(0.8)  # vgg and cyclegan exchanged: 1 - 6 x 2 / 60
    assert found["farther"] == pytest.approx(0.5)  # it says vgg: .3 against .2
    assert found["usual"] == 0 and found["by lot"] == pytest.approx((1.5 + 0.5 + 0 + 0.95) / 4)
    assert found["beats"] == [(False, False), (True, True), (True, True), (False, True)]
    assert found["stop"] == [(0.5, 1), (1, 0.5), (1, 1), (1, 0.5)]
    assert found["stopped"] == pytest.approx([1.2, 1, 1, 1])


def test_every_point_ships():
    points = runs.points(worth.FILE)
    for wanted in worth.wanted():
        assert sum(wanted.items() <= point.items() for point in points) == 1, wanted
    assert len(points) == len(worth.wanted())


def test_what_rehearse_prints_of_its_worth_is_what_was_measured():
    said, means = " ".join(rehearsal.WORTH.split()), worth.summary()
    shares = {name: f"{means[name]:.0%}".replace("%", " %")
              for name in ("farther", "usual", "by lot", "beats, right", "beats, by guessing")}
    assert (f"{shares['farther']} farther from the truth than the best one; always taking CycleGAN "
            f"{shares['usual']}, drawing lots {shares['by lot']}") in said
    assert f"rank correlation of {means['order']:+.2f}" in said
    assert f"right in {shares['beats, right']}" in said
    assert f"{means['stop']:+.2f}" in said


def test_the_truth_runs_as_train_does_and_the_forecast_a_sixth_of_it():
    lengths = {point["method"]: point["steps"][-1] for point in runs.points(worth.FILE)
               if "case" in point}
    assert set(lengths.values()) == {1200}
    forecast = next(point for point in runs.points(worth.FILE) if "pictures" in point)
    runs_of = itertools.chain(*(change["runs"].values() for change in forecast["changes"].values()))
    assert {run["steps"][-1] for run in runs_of} == {200}


def test_the_average_of_the_weights_is_nearer_than_the_last_step():
    """Why `gantutor train` translates with it: over all full runs of methods that see no pairs."""
    full = [point for point in runs.points(worth.FILE) if point.get("method") in worth.METHODS]
    shares = [point["errors"][-1] / point["last"][-1] for point in full]
    assert len(shares) == 72 and sum(share < 1 for share in shares) / 72 > 0.7
    assert sum(shares) / 72 < 0.99
