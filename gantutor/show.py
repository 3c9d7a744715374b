"""Pictures: grids, curves, tables, heatmaps and the live preview."""

import html

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display

from gantutor.data import to_uint8
from gantutor.drawings import svg
from gantutor.drawings.lecture import DRAWINGS

INK, ACCENT = "#222222", "#c44e52"
PALETTE = ["#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860"]


def grid_array(*rows):
    """Stacks (N, 3, H, W) images in [-1, 1] as rows; returns (rows * H, N * W, 3) uint8."""
    lines = []
    for images in rows:
        lines.append(np.concatenate(list(to_uint8(images).permute(0, 2, 3, 1).numpy()), 1))
    return np.concatenate(lines, 0)


def upscaled(array, factor):
    """Repeats every pixel `factor` times: pixel art must not be blurred by a viewer."""
    return array.repeat(factor, 0).repeat(factor, 1)


def draw_rows(axis, rows, labels, factor, fontsize=10):
    """Draws stacks of images (N, 3, H, W), one below the other, on an axis, labels at their left.

    factor: how often a pixel is repeated. Returns the height of a row, in the axis's units.
    """
    array = upscaled(grid_array(*rows), factor)
    step = array.shape[0] / len(rows)
    axis.imshow(array, interpolation="none")
    axis.set_xticks([])
    axis.set_yticks([(k + 0.5) * step for k in range(len(rows))] if labels else [],
                    labels or [], fontsize=fontsize)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return step


def grid(*rows, labels=None, title=None, width=10.0):
    """A figure with one row of pictures per stack, the label at the row's left.

    rows: image stacks (N, 3, H, W) in [-1, 1]. ValueError if shapes differ. Returns the figure.
    """
    shapes = {tuple(r.shape) for r in rows}
    if len(shapes) != 1:
        raise ValueError(f"grid: every row needs the same shape, found {sorted(shapes)}")
    n, _, h, w = rows[0].shape
    figure, axis = plt.subplots(figsize=(width, width * len(rows) * h / (n * w)), dpi=110)
    step = draw_rows(axis, rows, labels, max(1, 128 // h))
    for k in range(1, len(rows)):
        axis.axhline(k * step - 0.5, color="white", lw=2)
    if title:
        axis.set_title(title, fontsize=11, loc="left")
    figure.tight_layout(pad=0.3)
    plt.close(figure)  # the caller displays it; otherwise the inline backend shows it twice
    return figure


def captioned(rows, titles, labels=(), width=10.0, family="sans-serif"):
    """Figure of pictures with a title over each: rows of images (3, H, W) or of maps (H, W).

    Images lie in [-1, 1]. A map is drawn from black, 0, to pale yellow, its largest value.
    titles: a list for each row; rows after the last list have none. labels: the rows' names.
    """
    side = width / len(rows[0])
    figure, axes = plt.subplots(len(rows), len(rows[0]), squeeze=False, layout="constrained",
                                figsize=(width, side * len(rows) + 0.3 * len(titles)), dpi=110)
    for k, (line, pictures) in enumerate(zip(axes, rows, strict=True)):
        for axis, picture in zip(line, pictures, strict=True):
            image = picture.numpy() if picture.ndim == 2 else grid_array(picture[None])
            axis.imshow(image, interpolation="nearest", cmap="magma", vmin=0)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for axis, title in zip(line, titles[k] if k < len(titles) else (), strict=False):
            axis.set_title(title, fontsize=9, family=family)
    for line, label in zip(axes, labels, strict=False):
        line[0].set_ylabel(label, fontsize=9)
    plt.close(figure)
    return figure


def _finished(figure):
    """The figure, laid out, and closed: it is shown where somebody displays it, and only there."""
    figure.tight_layout(pad=0.4)
    plt.close(figure)
    return figure


def curves(history, title=None, width=8.0):
    """The named losses of a `History` against the step, one line each. Returns the figure."""
    figure, axis = plt.subplots(figsize=(width, 2.8), dpi=110)
    names = [name for name in history if name not in ("step", "seconds")]
    for k, name in enumerate(names):
        axis.plot(history["step"], history[name], label=name, lw=1.3,
                  color=PALETTE[k % len(PALETTE)], ls="-" if k < len(PALETTE) else "--")
    axis.set_xlabel("step")
    axis.set_ylabel("loss")
    axis.legend(fontsize=8, ncols=3, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    if title:
        axis.set_title(title, fontsize=11, loc="left")
    return _finished(figure)


class LivePreview:
    """A picture that changes while `fit` runs: pass an instance as its callback.

    Shows the translations of a few fixed images under the images themselves, in one display
    handle that is updated in place. x: (N, 3, H, W) in [-1, 1]; truth, where given, is a third
    row that only the reader sees. code: (N, c), where the method's translate takes one.
    """

    def __init__(self, x, truth=None, label="translated", code=None):
        self.x, self.truth, self.label, self.handle = x, truth, label, None
        self.asked = [x] if code is None else [x, code]

    @torch.no_grad()
    def __call__(self, step, method, history):
        device = next(method.parameters()).device
        rows = [self.x, method.translate(*(tensor.to(device) for tensor in self.asked)).cpu()]
        labels = ["input", self.label]
        if self.truth is not None:
            rows, labels = [*rows, self.truth], [*labels, "hidden truth"]
        figure = grid(*rows, labels=labels, title=f"step {step}")
        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)


def number(value):
    """Three decimals, one from 10 on, as a panel prints them. A dash if there is no number."""
    if value is None or isinstance(value, str):
        return value or "–"
    return f"{value:.{_decimals(value)}f}"


def _decimals(value):
    return 3 if abs(value) < 10 else 1


def mean_and_spread(panels, key):
    """"mean ± half the range" of one panel number over seeds, or a single run's number."""
    values = [p[key] for p in panels if key in p]
    if not values:
        return None
    if len(values) == 1:
        return number(values[0])
    decimals = _decimals(np.mean(values))
    return f"{np.mean(values):.{decimals}f} ± {(max(values) - min(values)) / 2:.{decimals}f}"


def panel_table(rows, keys=None, caption=""):
    """Displays a panel: {row name: one panel dict, or a list of them (seeds)}.

    With several seeds a cell is their mean ± half the range, and the row's name ends in brackets
    with how many they are. Columns default to every plain number that some row has, in the panel's
    order.
    """
    lists = {name: p if isinstance(p, list) else [p] for name, p in rows.items()}
    if keys is None:
        keys = list(dict.fromkeys(k for ps in lists.values() for p in ps for k, v in p.items()
                                  if not isinstance(v, dict)))
    head = "".join(f"<th>{html.escape(k)}</th>" for k in ["", *keys])
    body = ""
    for name, panels in lists.items():
        cells = "".join("<td style='text-align:right;white-space:nowrap'>"
                        f"{number(mean_and_spread(panels, k))}</td>" for k in keys)
        seeds = f" ({len(panels)})" if len(panels) > 1 else ""
        body += f"<tr><td style='text-align:left'>{html.escape(name)}{seeds}</td>{cells}</tr>"
    note = f"<caption style='caption-side:bottom;text-align:left'>{html.escape(caption)}</caption>"
    return HTML(f"<table>{note if caption else ''}<thead><tr>{head}</tr></thead>"
                f"<tbody>{body}</tbody></table>")


def points(rows, key="hidden-pair L1", references=()):
    """Figure of every run's number: {row: [panel of each split or seed]}, a line per split.

    A run and the run beside it that shares its split are joined, so one sees differences within a
    split, not only means (the bars). references: names of rows that are no methods; drawn in grey.
    """
    figure, axis = plt.subplots(figsize=(max(5.0, 0.8 * len(rows) + 1), 3.4), dpi=110)
    values = {name: [panel[key] for panel in panels if key in panel]
              for name, panels in rows.items()}
    values = {name: found for name, found in values.items() if found}
    for k in range(max(map(len, values.values()))):
        line = [(at, found[k]) for at, found in enumerate(values.values()) if k < len(found)]
        axis.plot(*zip(*line, strict=True), color=INK, lw=0.6, alpha=0.35)
    for at, (name, found) in enumerate(values.items()):
        color = "#888888" if name in references else PALETTE[0]
        axis.scatter([at] * len(found), found, s=22, color=color, zorder=3)
        axis.hlines(np.mean(found), at - 0.28, at + 0.28, color=color, lw=2)
    axis.set_xticks(range(len(values)), values, rotation=35, ha="right", fontsize=8)
    axis.set(ylabel=key, ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(pad=0.5)
    plt.close(figure)
    return figure


def over(panels, key, *, at, flat=(), log=True, width=5.0):
    """Figure of one number against another: {label: {x: [a run's number, one per seed]}}.

    A line joins the medians, a dot is a seed. key: the name of the number. at: the name of x.
    flat: {label: number} of what does not depend on x, dotted or dashed. log: whether x is so.
    """
    figure, axis = plt.subplots(figsize=(width + 1.8, 3), dpi=110)
    for (label, found), color in zip(panels.items(), PALETTE, strict=False):
        axis.plot(list(found), [np.median(seeds) for seeds in found.values()], color=color,
                  label=label, lw=1.3)
        for x, seeds in found.items():
            axis.plot([x] * len(seeds), seeds, ".", color=color)
    colors = [(color, style) for style in (":", "--") for color in PALETTE][len(panels):]
    for (label, value), (color, style) in zip(dict(flat).items(), colors, strict=False):
        axis.axhline(value, color=color, lw=1.3, ls=style, label=label)
    axis.set(xlabel=at, ylabel=key)
    if log:
        axis.set_xscale("log")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return _finished(figure)


def scatter(points, x, y, width=5.0, line=()):
    """Figure of named dots: {family: {name: (x, y)}}, a colour per family. x, y: axes' names.

    The dots have numbers, and the legend says whose. line: two points (x, y), joined in grey.
    """
    figure, axis = plt.subplots(figsize=(width + 2.6, 4), dpi=110)
    colors = (color for color, found in zip(PALETTE, points.values(), strict=False) for _ in found)
    named = [(name, at) for found in points.values() for name, at in found.items()]
    for number, ((name, at), color) in enumerate(zip(named, colors, strict=True), 1):
        axis.plot(*at, "o", ms=5, color=color, label=f"{number}  {name}")
        axis.annotate(str(number), at, fontsize=7, xytext=(3, 3), textcoords="offset points")
    if line:
        axis.plot(*zip(*line, strict=True), color="#cccccc", lw=1, zorder=0)
    axis.set(xlabel=x, ylabel=y)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5),
                handlelength=1)
    return _finished(figure)


def shaded(rows, worst=0.6, width=8.0):
    """Figure of a table of shares: {row: {column: share, or None}}. `worst` and more is darkest."""
    columns = list(next(iter(rows.values())))
    cells = np.array([[found[c] for c in columns] for found in rows.values()], float)  # None: nan
    figure, axis = plt.subplots(figsize=(width, 0.3 * len(rows) + 0.7), dpi=110)
    axis.imshow(np.nan_to_num(cells), cmap="Reds", vmin=0, vmax=worst, aspect="auto")
    for (row, column), value in np.ndenumerate(cells):
        axis.text(column, row, "–" if np.isnan(value) else f"{value:.2f}", ha="center", fontsize=7,
                  va="center", color="white" if value > 0.7 * worst else INK)
    axis.set_xticks(range(len(columns)), columns, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    return _finished(figure)


def bars(rows, title=None, width=8.0):
    """Figure of lying bars, cut into shares: {row: {share's name: number, the sum is 1}}.

    A row may be a list of such dicts, one per seed: then their mean is drawn, and a dot where the
    first share of each seed ends. Of at most three shares the last is grey.
    """
    lists = {name: found if isinstance(found, list) else [found] for name, found in rows.items()}
    figure, axis = plt.subplots(figsize=(width, 0.34 * len(rows) + 0.9), dpi=110)
    names = list(next(iter(lists.values()))[0])
    colors = [PALETTE[2], PALETTE[1], "#cccccc"]
    left = np.zeros(len(lists))
    for name, color in zip(names, colors, strict=False):
        shares = np.array([np.mean([one[name] for one in found]) for found in lists.values()])
        axis.barh(range(len(lists)), shares, left=left, color=color, label=name, height=0.7)
        left += shares
    for at, found in enumerate(lists.values()):
        if len(found) > 1:
            axis.scatter([one[names[0]] for one in found], [at] * len(found), s=9, color=INK,
                         zorder=3)
    axis.set_yticks(range(len(lists)), lists, fontsize=8)
    axis.set(xlim=(0, 1), ylim=(len(lists) - 0.4, -0.6))
    axis.legend(fontsize=8, ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    axis.spines[["top", "right"]].set_visible(False)
    if title:
        axis.set_title(title, fontsize=11, loc="right")
    return _finished(figure)


def heatmaps(matrices, names=None, width=10.0):
    """Figure of confusion matrices side by side, rows normalised: {title: (n, n) counts}."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(width, width / len(matrices) + 0.3),
                                dpi=110, squeeze=False)
    for axis, (title, counts) in zip(axes[0], matrices.items(), strict=True):
        share = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(share.numpy()):
            if value >= 0.05:
                axis.text(column, row, f"{value:.2f}".lstrip("0"), ha="center", va="center",
                          fontsize=8, color="white" if value > 0.5 else INK)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("read off the translation", fontsize=9)
        axis.set_xticks(range(len(share)))
        axis.set_yticks(range(len(share)))
    axes[0, 0].set_ylabel("true value", fontsize=9)
    figure.tight_layout(pad=0.5)
    plt.close(figure)
    return figure


def drawing(name):
    """The data flow of a method, a key of `gantutor.drawings.lecture.DRAWINGS`, to be displayed."""
    if name not in DRAWINGS:
        raise ValueError(f"{name!r}: expected one of {', '.join(DRAWINGS)}")
    return HTML(svg(DRAWINGS[name]))
