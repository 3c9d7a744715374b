"""Pictures and tables: what stands where, and what a cell says about several seeds."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from gantutor import show
from gantutor.state import History


def grey(*values, size=(2, 3)):
    """One image of each value in [-1, 1]."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, *size).contiguous()


def cells(table):
    """The text of every cell of an HTML table, row by row."""
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
            for row in re.findall(r"<tr>(.*?)</tr>", table.data)]


# ------------------------------------------------------------------ pictures


def test_rows_stand_below_each_other_and_images_side_by_side():
    array = show.grid_array(grey(-1.0, 0.0), grey(1.0, -0.5))
    assert array.shape == (2 * 2, 2 * 3, 3) and array.dtype == np.uint8
    expected = np.repeat(np.repeat([[0, 128], [255, 64]], 2, 0), 3, 1)
    assert (array == expected[..., None]).all()


def test_upscaling_repeats_pixels():
    array = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = show.upscaled(array, 3)
    assert large.shape == (6, 6, 3) and (large[::3, ::3] == array).all()
    assert (large[3:, :3] == array[1, 0]).all()


def test_a_grid_has_its_labels_and_refuses_rows_of_other_shapes():
    figure = show.grid(grey(0.0, 0.5), grey(1.0, -1.0), labels=["input", "output"], title="three")
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["input", "output"]
    assert axis.get_title(loc="left") == "three"
    shown = axis.images[0].get_array()
    assert shown.shape[0] * 6 == shown.shape[1] * 4  # whole multiples, square pixels
    assert not plt.fignum_exists(figure.number)
    with pytest.raises(ValueError, match=r"\(1, 3, 2, 3\), \(2, 3, 2, 3\)"):
        show.grid(grey(0.0), grey(0.0, 0.0))


def test_a_picture_has_its_title_and_a_map_begins_at_black():
    image, heat = grey(1.0)[0], torch.tensor([[0.5, 2.0, 1.0]])
    figure = show.captioned([[image, heat], [image, image]], [["x", "seen"]], labels=["a", "b"])
    assert [axis.get_title() for axis in figure.axes] == ["x", "seen", "", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["a", "", "b", ""]
    assert (figure.axes[0].images[0].get_array() == 255).all()
    shown = figure.axes[1].images[0]
    assert shown.get_array().tolist() == heat.tolist() and shown.get_clim() == (0, 2)
    assert not plt.fignum_exists(figure.number)


def test_curves_draw_every_loss_against_the_step():
    history = History(step=[10, 20], seconds=[1.0, 2.0], G=[0.5, 0.25], late=[float("nan"), 1.0])
    (axis,) = show.curves(history, title="losses").axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert set(lines) == {"G", "late"} and lines["G"] == [[10, 0.5], [20, 0.25]]


def test_heatmaps_show_shares_of_a_row():
    counts = torch.tensor([[3, 1], [0, 0]])
    (axis,) = show.heatmaps({"hair": counts}).axes
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.75, 0.25], [0, 0]])
    assert [text.get_text() for text in axis.texts] == [".75", ".25"]


def test_a_number_over_another_joins_medians_and_dots_every_seed():
    found = {"CycleGAN": {25: [0.4, 0.1, 0.2], 400: [0.1]}}
    (axis,) = show.over(found, "L1", at="faces", flat={"lookup": 0.3}).axes
    line, first, second, flat = axis.lines
    assert line.get_xydata().tolist() == [[25, 0.2], [400, 0.1]]  # the median, not the mean
    assert first.get_ydata().tolist() == [0.4, 0.1, 0.2] and second.get_ydata().tolist() == [0.1]
    assert set(flat.get_ydata()) == {0.3} and axis.get_xscale() == "log"
    assert [text.get_text() for text in axis.get_legend().texts] == ["CycleGAN", "lookup"]


def test_a_scatter_numbers_its_dots_and_says_whose_they_are():
    (axis,) = show.scatter({"a": {"one": (1, 2)}, "b": {"two": (3, 4)}}, "x", "y").axes
    assert [text.get_text() for text in axis.texts] == ["1", "2"]
    assert [text.get_text() for text in axis.get_legend().texts] == ["1  one", "2  two"]
    one, two = axis.lines
    assert two.get_xydata().tolist() == [[3, 4]] and one.get_color() != two.get_color()
    (axis,) = show.scatter({"a": {"one": (1, 2)}}, "x", "y", line=((0, 1), (2, 3))).axes
    assert axis.lines[-1].get_xydata().tolist() == [[0, 1], [2, 3]]


def test_a_shaded_table_writes_its_shares_and_a_dash_for_none():
    (axis,) = show.shaded({"direct": {"lost": 0.25, "hides": None}}, worst=0.5).axes
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.25, 0]])
    assert [text.get_text() for text in axis.texts] == ["0.25", "–"]


# -------------------------------------------------------------- live preview


class Halved(nn.Module):
    """Halves its input, or gives the code's first place; has a parameter, as every method has."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def translate(self, x, code=None):
        return self.weight * x if code is None else x * 0 + code[:, 0].view(-1, 1, 1, 1)


@pytest.fixture
def shown(monkeypatch):
    """What a preview displays: a list of (rows of pictures as their grey values, labels, title)."""
    found = []

    def grid(*rows, labels, title):
        found.append(([row[:, 0, 0, 0].tolist() for row in rows], labels, title))

    class Handle:
        def update(self, figure):
            found.append("updated")

    monkeypatch.setattr(show, "grid", grid)
    monkeypatch.setattr(show, "display", lambda figure, display_id: found.append("new") or Handle())
    return found


def test_a_preview_shows_input_translation_and_the_truth_that_only_the_reader_sees(shown):
    preview = show.LivePreview(grey(1.0, -0.5), truth=grey(0.25, 0.125), label="in Y")
    preview(0, Halved(), {})
    preview(50, Halved(), {})
    rows = [[1, -0.5], [0.5, -0.25], [0.25, 0.125]]
    labels = ["input", "in Y", "hidden truth"]
    assert shown == [(rows, labels, "step 0"), "new", (rows, labels, "step 50"), "updated"]


def test_a_preview_without_truth_has_two_rows_and_asks_by_a_code_where_there_is_one(shown):
    show.LivePreview(grey(1.0, -0.5))(7, Halved(), {})
    assert shown[0] == ([[1, -0.5], [0.5, -0.25]], ["input", "translated"], "step 7")
    show.LivePreview(grey(1.0, -0.5), code=torch.tensor([[0.75], [-1.0]]))(8, Halved(), {})
    assert shown[2][0] == [[1, -0.5], [0.75, -1]]


# -------------------------------------------------------------------- tables


def test_several_seeds_are_their_mean_and_half_their_range():
    panels = [{"L1": 0.10}, {"L1": 0.16}, {"L1": 0.40}, {}]
    assert show.mean_and_spread(panels, "L1") == "0.220 ± 0.150"  # the range is .3
    assert show.mean_and_spread(panels[:1], "L1") == "0.100"
    assert show.mean_and_spread(panels, "PSNR") is None
    assert [show.number(value) for value in (None, 0.12345, "as it is")] == [
        "–", "0.123", "as it is"]


def test_a_table_has_a_row_a_method_and_a_column_a_number():
    rows = {"do <nothing>": {"L1": 0.5, "by attribute": {"hair": 1.0}},
            "CycleGAN": [{"L1": 0.1, "KID": 2.0}, {"L1": 0.2, "KID": 4.0}]}
    table = show.panel_table(rows, caption="lower is better")
    assert cells(table) == [["", "L1", "KID"], ["do &lt;nothing&gt;", "0.500", "–"],
                            ["CycleGAN (2)", "0.150 ± 0.050", "3.000 ± 1.000"]]
    assert "lower is better</caption>" in table.data
    assert cells(show.panel_table(rows, keys=["KID"]))[0] == ["", "KID"]


# ------------------------------------------------------------------ shares


def test_bars_are_shares_end_to_end_and_dots_are_seeds():
    figure = show.bars({"one": {"kept": 0.5, "permuted": 0.3, "lost": 0.2},
                        "two": [{"kept": 0.2, "permuted": 0.0, "lost": 0.8},
                                {"kept": 0.4, "permuted": 0.2, "lost": 0.4}]})
    axis = figure.axes[0]
    found = [(round(bar.get_x(), 6), round(bar.get_width(), 6)) for bar in axis.patches]
    assert found == [(0, 0.5), (0, 0.3), (0.5, 0.3), (0.3, 0.1), (0.8, 0.2), (0.4, 0.6)]
    dots = [tuple(dot) for group in axis.collections for dot in group.get_offsets().tolist()]
    assert dots == [(0.2, 1), (0.4, 1)]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["one", "two"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["kept", "permuted",
                                                                           "lost"]
