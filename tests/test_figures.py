"""The figures of single notebooks: the right numbers at the right places, and closed."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from gantutor import figures, show


@pytest.fixture(autouse=True)
def every_figure_is_closed():
    yield
    assert plt.get_fignums() == []


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def translate(self, x):
        return self.weight * x


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def points(axis):
    return [collection.get_offsets().tolist()[0] for collection in axis.collections]


# ---------------------------------------------------------------------- 00 and 02


def test_losses_stand_beside_pictures_and_the_axis_follows_the_largest():
    rows = {"x": torch.zeros(2, 3, 4, 4), "trained": torch.ones(2, 3, 4, 4)}
    for top, scale in ((9.0, "linear"), (11.0, "log")):
        history = {"step": [1, 2], "seconds": [0.1, 0.2], "D_y": [0.5, 0.2], "cycle": [top, 1.0]}
        left, right = figures.losses_and_pictures("healthy", history, rows).axes
        assert legend(left) == ["D_y", "cycle", "0.25: D knows nothing"]
        assert left.get_yscale() == scale
        assert left.lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.2]]
        assert set(left.lines[2].get_ydata()) == {0.25}
        assert [text.get_text() for text in right.get_yticklabels()] == ["x", "trained"]


def test_the_ring_is_at_the_smallest_error():
    curves = {"retro": {"pixel": {0.1: 0.3, 1.0: 0.2, 10.0: 0.25}}, "ink": {"pixel": {1.0: 0.4}}}
    levels = {change: {"do nothing": 0.5} for change in curves}
    left, right = figures.over_weights(curves, levels).axes
    assert points(left) == [[1.0, 0.2]] and points(right) == [[1.0, 0.4]]
    assert set(left.lines[0].get_ydata()) == {0.5}
    assert left.lines[1].get_xydata().tolist() == [[0.1, 0.3], [1.0, 0.2], [10.0, 0.25]]
    assert [text.get_text() for text in left.get_xticklabels()] == ["0.1", "1", "10"]


def test_every_row_has_a_bar_an_attribute_and_luck_a_line():
    numbers = {"content kept": {"do nothing": {"hair": 0.5, "skin": 0.2},
                                "VGG": {"skin": 0.8, "hair": 0.7}},
               "information kept": {"do nothing": {"hair": 0.1, "skin": 0.3},
                                    "VGG": {"hair": 0.6, "skin": 0.4}}}
    luck = {"content kept": {"hair": 0.25, "skin": 0.5},
            "information kept": {"hair": 0.0, "skin": 0.1}}
    above, below = figures.by_attribute(numbers, luck).axes
    assert [bar.get_height() for bar in above.patches] == [0.5, 0.2, 0.7, 0.8]
    assert [bar.get_x() + bar.get_width() / 2 for bar in above.patches] == pytest.approx(
        [-0.2, 0.8, 0.2, 1.2])
    assert [part[0][1] for part in below.collections[0].get_segments()] == [0.0, 0.1]
    assert sorted(legend(above)) == ["VGG", "by luck", "do nothing"]
    assert [text.get_text() for text in below.get_xticklabels()] == ["hair", "skin"]


# ---------------------------------------------------------------------- 03


def test_a_watch_shows_some_images_and_measures_all(monkeypatch):
    shown = []
    monkeypatch.setattr(show, "display", lambda figure, display_id: shown.append(figure))
    x = torch.stack([torch.full((3, 4, 6), value) for value in (1.0, -0.8, 0.4)])
    watch = figures.Watch(x, x, look=[2])
    watch(0, Halves(), {})
    assert watch.x.shape == watch.truth.shape == (1, 3, 4, 6) and len(shown) == 1
    assert watch.steps == [0]
    assert watch.errors == [pytest.approx((0.5 + 0.4 + 0.2) / 3)]  # half of each is missing


def test_the_errors_of_a_run_stand_at_their_steps_and_other_rows_are_level_lines():
    watch = figures.Watch(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), [0])
    watch.steps, watch.errors = [0, 50], [0.4, 0.3]
    (axis,) = figures.errors_of_a_run(watch, {"do nothing": 0.5, "six numbers": 0.25}).axes
    run, nothing, six = axis.lines
    assert run.get_xydata().tolist() == [[0, 0.4], [50, 0.3]]
    assert set(nothing.get_ydata()) == {0.5} and set(six.get_ydata()) == {0.25}
    assert legend(axis) == ["your run", "do nothing", "six numbers"]


@pytest.mark.parametrize("values,verdict", [
    ((-0.2, -0.1), "lower in all 2"), ((0.2, 0.1), "higher in all 2"),
    ((-0.3, 0.1), "lower in 1 of 2: no claim")])
def test_a_difference_says_whether_the_splits_agree(values, verdict):
    line = figures.difference("ink: one minus other", dict(enumerate(values)))
    assert line.startswith("ink: one minus other") and line.endswith(f"   {verdict}")
    assert f"mean {sum(values) / 2:+.4f}" in line
    assert f"by split {values[0]:+.3f} {values[1]:+.3f}" in line


def test_the_error_of_a_pixel_is_the_mean_of_its_channels():
    x = torch.zeros(3, 4, 6)
    translated, truth = x.clone(), x.clone()
    translated[0, 1, 2], truth[1, 1, 2] = 0.3, -0.15
    axes = figures.with_error(x, translated, truth).axes
    assert [axis.get_title() for axis in axes] == ["x", "G_xy(x)", "hidden truth", "error"]
    error = axes[3].images[0].get_array()
    assert error[1, 2] == pytest.approx((0.3 + 0.15) / 3) and error.sum() == error[1, 2]


# --------------------------------------------------------------------- 03b


def test_every_run_has_two_bars_an_attribute():
    panels = [{"by attribute": {"hair": right, "long_hair": 0.9},
               "information by attribute": {"hair": 0.8, "long_hair": told}}
              for right, told in ((0.1, 0.7), (0.2, 0.6))]
    chance, ceiling = {"hair": 0.25, "long_hair": 0.5}, {"long_hair": 0.95, "hair": 0.99}
    axes = figures.right_and_told(panels, chance, ceiling).axes
    heights = [[bar.get_height() for bar in axis.patches] for axis in axes]
    assert heights == [[0.1, 0.9, 0.8, 0.7], [0.2, 0.9, 0.8, 0.6]]  # read right, then told
    levels = [[part[0][1] for part in lines.get_segments()] for lines in axes[0].collections]
    assert levels == [[0.25, 0.5], [0.99, 0.95]]
    assert [text.get_text() for text in axes[1].get_xticklabels()] == ["hair", "long hair"]
    assert len(legend(axes[0])) == 4 and axes[1].get_legend() is None


def test_content_is_full_and_information_hollow():
    panels = {"seed 0": {"cycle L1": 0.1, "content kept": 0.3, "information kept": 0.6},
              "seed 1": {"cycle L1": 0.12, "content kept": 0.5, "information kept": 0.7}}
    (axis,) = figures.cycle_and_content(panels, 0.4).axes
    assert points(axis) == [[0.1, 0.3], [0.1, 0.6], [0.12, 0.5], [0.12, 0.7]]
    assert [len(c.get_facecolors()) for c in axis.collections] == [1, 0, 1, 0]
    assert set(axis.lines[0].get_ydata()) == {0.4}
    assert legend(axis)[:2] == ["seed 0", "seed 1"]


def test_noise_is_drawn_a_line_a_run_and_two_points_a_method():
    curves = {"hides": [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1, 0.1, 0.1, 0.2, 0.3, 0.4]],
              "no cycle": [[0.3] * 6]}
    wrong = {"hides": [0.7, 0.8], "no cycle": [0.9]}
    left, right = figures.noise_and_translation(curves, wrong).axes
    assert [line.get_ydata().tolist() for line in left.lines] == [
        *curves["hides"], *curves["no cycle"]]
    assert [text.get_text() for text in left.get_xticklabels()] == ["0", "1", "2", "4", "8", "16"]
    found = [collection.get_offsets().tolist() for collection in right.collections]
    assert found == [[[0.7, 0.1], [0.8, 0.1]], [[0.7, 0.4], [0.8, 0.2]], [[0.9, 0.3]], [[0.9, 0.3]]]
    assert legend(right) == ["hides", "no cycle"]


# ---------------------------------------------------------------------- 09


def test_a_curve_is_smoothed_over_itself_and_two_neighbours_on_either_side():
    assert figures.smoothed([0, 10, 20, 30, 100]) == [10, 15, 32, 40, 50]


def test_a_training_is_four_panels_over_its_pictures():
    names = [line for lines, _ in figures.PANELS.values() for line in lines]
    curves = {"step": [10, 20], **{name: [0.5, 2.0] for name in names}}
    rows = {"x": torch.zeros(2, 3, 8, 8), "G_xy(x)": torch.ones(2, 3, 8, 8)}
    figure = figures.one_training(curves, {"one": rows, "other": rows}, curves)
    panels, strips = figure.axes[:4], figure.axes[4:]
    assert [axis.get_title("left") for axis in panels] == list(figures.PANELS)
    assert [axis.get_title("left") for axis in strips] == ["one", "other"]
    assert sorted(name for axis in panels for name in legend(axis)) == sorted(names)
    assert panels[0].get_ylim() == (0, 2.0) and panels[3].get_yscale() == "log"
    assert len(panels[0].lines) == 6  # grey, thin and thick of each
    assert [t.get_text() for t in strips[0].get_yticklabels()] == ["x", "G_xy(x)"]
    assert panels[0].get_yscale() == "linear"
    curves["loss of D_y"] = [150.0, 0.2]
    figure = figures.one_training(curves, {"one": rows})
    assert figure.axes[0].get_yscale() == "symlog" and figure.axes[1].get_yscale() == "linear"
