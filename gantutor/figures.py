"""Figures, and printed lines, of single notebooks: 00, 02, 03, 03b, 09. What all use is in `show`.

Every function returns its figure, closed: the cell displays it.
"""

import matplotlib.pyplot as plt
import numpy as np

from gantutor import show
from gantutor.evaluate import hiding, metrics


def _finished(figure, axes):
    """The figure, closed, its axes without the lines above and to the right."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


# ------------------------------------------------------------------ 00: is it training?


def losses_and_pictures(name, history, rows):
    """The losses of a `History` on the left, rows of pictures {label: (N, 3, H, W)} on the right.

    A dotted line marks 0.25, D's loss if it knows nothing. The axis of the losses is logarithmic
    where one of them exceeds 10.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.6), dpi=110, layout="constrained",
                                         gridspec_kw={"width_ratios": [1, 1.9]})
    losses = {part: values for part, values in history.items() if part not in ("step", "seconds")}
    for (part, values), color in zip(losses.items(), show.PALETTE, strict=False):
        left.plot(history["step"], values, marker=".", label=part, color=color)
    left.axhline(0.25, color=show.INK, lw=0.8, ls=":", label="0.25: D knows nothing")
    left.set(xlabel="step", title=name,
             yscale="log" if max(map(max, losses.values())) > 10 else "linear")
    left.legend(fontsize=7, frameon=False)
    show.draw_rows(right, rows.values(), list(rows), 4)
    return _finished(figure, [left])


# ------------------------------------------------------------------ 02: weights, and what is kept


def over_weights(curves, levels):
    """Error against a term's weight, an axis a change; a ring at each curve's smallest error.

    curves: {change: {constraint: {weight: error}}}. levels: {change: {row without a run: error}}.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(10, 3.2), dpi=110, layout="constrained",
                                squeeze=False)
    for axis, (change, found) in zip(axes[0], curves.items(), strict=True):
        for style, (name, error) in zip(("--", ":"), levels[change].items(), strict=False):
            axis.axhline(error, color=show.INK, lw=1, ls=style, label=name)
        for color, (kind, errors) in zip(show.PALETTE, found.items(), strict=False):
            axis.plot(list(errors), list(errors.values()), marker="o", ms=5, lw=1, color=color,
                      label=kind)
            best = min(errors, key=errors.get)
            axis.scatter(best, errors[best], s=160, facecolors="none", edgecolors=color)
        weights = sorted({weight for errors in found.values() for weight in errors})
        axis.set(xscale="log", xlabel="weight", title=change, ylim=(0, None))
        axis.set_xticks(weights, [f"{weight:g}" for weight in weights])
    axes[0, 0].set_ylabel("hidden-pair L1, validation")
    axes[0, 0].legend(frameon=False, fontsize=8, ncols=2)
    return _finished(figure, axes[0])


def by_attribute(numbers, luck):
    """A group of bars an attribute, a bar a row, an axis a number; a black line is luck.

    numbers: {number: {row: {attribute: share}}}. luck: {number: {attribute: share}}. All 0 to 1.
    """
    figure, axes = plt.subplots(len(numbers), 1, figsize=(10, 2.6 * len(numbers)), dpi=110,
                                sharex=True, layout="constrained", squeeze=False)
    names = list(next(iter(luck.values())))
    for axis, (number, rows) in zip(axes[:, 0], numbers.items(), strict=True):
        wide = 0.8 / len(rows)
        colors = ["#aaaaaa", *show.PALETTE]
        for k, ((row, shares), color) in enumerate(zip(rows.items(), colors, strict=False)):
            places = [at + wide * (k - (len(rows) - 1) / 2) for at in range(len(names))]
            axis.bar(places, [shares[name] for name in names], 0.94 * wide, color=color, label=row)
        axis.hlines([luck[number][name] for name in names], [at - 0.42 for at in range(len(names))],
                    [at + 0.42 for at in range(len(names))], color=show.INK, lw=2, label="by luck")
        axis.set(ylim=(0, 1.02), ylabel=number)
    axes[-1, 0].set_xticks(range(len(names)), names)
    axes[0, 0].legend(ncols=6, fontsize=8, frameon=False, loc="lower center",
                      bbox_to_anchor=(0.5, 1))
    return _finished(figure, axes[:, 0])


# ------------------------------------------------------------------ 03: a live run


class Watch(show.LivePreview):
    """The live preview, and the distance to the hidden truth, which training never sees.

    x, truth: (N, 3, H, W) in [-1, 1]. look: the places of the images that are shown. After the run
    `steps` and `errors` are lists: where the callback was called, and the L1 there, 0 to 2.
    """

    def __init__(self, x, truth, look):
        super().__init__(x[look], truth[look])
        self.measured, self.steps, self.errors = (x, truth), [], []

    def __call__(self, step, method, history):
        super().__call__(step, method, history)
        x, truth = self.measured
        self.steps.append(step)
        self.errors.append(metrics.l1(metrics.in_batches(method.translate, x), truth))


def errors_of_a_run(watch, levels, title="What only the panel sees"):
    """The errors of a `Watch` against the step. levels: {name: error of a row without a run}."""
    figure, axis = plt.subplots(figsize=(8, 2.6), dpi=110, layout="constrained")
    axis.plot(watch.steps, watch.errors, color=show.ACCENT, marker="o", ms=4, label="your run")
    for style, (name, error) in zip(("--", ":"), levels.items(), strict=True):
        axis.axhline(error, color=show.INK, lw=1, ls=style, label=name)
    axis.set(xlabel="step", ylabel="L1 to the hidden pair", ylim=(0, None))
    axis.set_title(title, fontsize=11, loc="left")
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return _finished(figure, [axis])


# ------------------------------------------------------------------ 03: split by split


def difference(title, by_split):
    """A line: the mean of {split: difference of two errors}, every value, and do the signs agree?

    Below 0: the first of the two rows has the smaller error.
    """
    values = list(by_split.values())
    lower = sum(value < 0 for value in values)
    verdict = {0: f"higher in all {len(values)}", len(values): f"lower in all {len(values)}"}.get(
        lower, f"lower in {lower} of {len(values)}: no claim")
    return (f"{title:40s} mean {sum(values) / len(values):+.4f}   by split "
            + " ".join(f"{value:+.3f}" for value in values) + f"   {verdict}")


def with_error(x, translated, truth):
    """One photograph, its translation and its truth, (3, H, W) in [-1, 1], and where they differ.

    The fourth picture is the mean absolute error of a pixel: black is 0, pale yellow .3 or more.
    """
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), dpi=110, layout="constrained")
    titles = ("x", "G_xy(x)", "hidden truth")
    for axis, image, title in zip(axes, (x, translated, truth), titles, strict=False):
        axis.imshow(show.grid_array(image[None]), interpolation="nearest")
        axis.set_title(title, fontsize=10)
    axes[3].imshow((translated - truth).abs().mean(0).numpy(), cmap="magma", vmin=0, vmax=0.3)
    axes[3].set_title("error", fontsize=10)
    for axis in axes:
        axis.axis("off")
    return _finished(figure, axes)


# ------------------------------------------------------------------ 03b: renamed or lost


def right_and_told(panels, chance, ceiling):
    """For every run two bars an attribute: the share read right, and how much the reading tells.

    panels: dicts of `evaluate.panel`, one a run. chance: {attribute: share right of always guessing
    the commonest value}. ceiling: {attribute: share right of the supervised ceiling}. All 0 to 1.
    Green and orange mean here what they mean in `show.bars` of `evaluate.fates`.
    """
    bars = {"by attribute": "read right", "information by attribute": "Cramér's V"}
    figure, axes = plt.subplots(len(panels), 1, figsize=(10, 1.8 * len(panels)), dpi=110,
                                sharex=True, layout="constrained", squeeze=False)
    middle = list(range(len(chance)))
    left = [place - 0.4 for place in middle]
    for k, (axis, panel) in enumerate(zip(axes[:, 0], panels, strict=True)):
        for side, (key, label) in enumerate(bars.items()):
            heights = [panel[key][name] for name in chance]
            axis.bar([place + 0.4 * side - 0.2 for place in middle], heights, 0.36,
                     color=show.PALETTE[2 - side], label=label)
        axis.hlines(list(chance.values()), left, middle, color=show.INK, lw=2, label="chance")
        axis.hlines([ceiling[name] for name in chance], left, middle, color=show.ACCENT, lw=2,
                    ls=":", label="read right, supervised")
        axis.set(ylim=(0, 1.02), ylabel=f"run {k}")
    axes[-1, 0].set_xticks(middle, [name.replace("_", " ") for name in chance])
    axes[0, 0].legend(ncols=4, fontsize=8, frameon=False, loc="lower center",
                      bbox_to_anchor=(0.5, 1))
    return _finished(figure, axes[:, 0])


def cycle_and_content(panels, guess):
    """Content kept (full points) and information kept (hollow) against the cycle error, a run each.

    panels: {label: dict of `evaluate.panel`}. guess: share right of always guessing the commonest
    value, a dashed line.
    """
    figure, axis = plt.subplots(figsize=(7, 3.2), dpi=110, layout="constrained")
    for color, (label, panel) in zip(show.PALETTE, panels.items(), strict=False):
        axis.scatter(panel["cycle L1"], panel["content kept"], s=70, color=color, label=label)
        axis.scatter(panel["cycle L1"], panel["information kept"], s=70, facecolors="none",
                     edgecolors=color)
    axis.axhline(guess, color=show.INK, lw=1, ls="--", label="always guessing\nthe commonest value")
    axis.set(xlim=(0, 0.16), ylim=(0, 1), xlabel="cycle L1",
             ylabel="content kept (hollow: information)")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return _finished(figure, [axis])


# ------------------------------------------------------------------ 03b: hidden


def noise_and_translation(curves, wrong):
    """Reconstruction error against noise, a line a run, and against the error of the translation.

    curves: {method: [`hiding.noise_curve` of each run]}. wrong: {method: [hidden-pair L1 of each
    run]}. On the right a circle is a run without noise, a triangle the same run at noise 4/256.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), dpi=110, layout="constrained")
    levels = range(len(hiding.NOISE_LEVELS))
    strong = hiding.NOISE_LEVELS.index(4)
    for color, (label, lines) in zip(show.PALETTE, curves.items(), strict=False):
        for line in lines:
            axes[0].plot(levels, line, color=color, lw=1.4, marker="o", ms=3)
        for mark, at in (("o", 0), ("^", strong)):
            axes[1].scatter(wrong[label], [line[at] for line in lines], marker=mark, s=45,
                            color=color, label=None if at else label)
    axes[0].set_xticks(levels, hiding.NOISE_LEVELS)
    axes[0].set(xlabel="noise on the translation, in 1/256", ylabel="reconstruction L1",
                ylim=(0, None))
    axes[1].set(xlabel="hidden-pair L1: how wrong the translation is", ylabel="reconstruction L1",
                xlim=(0, None), ylim=(0, None))
    axes[1].legend(frameon=False, fontsize=8)
    return _finished(figure, axes)


# ------------------------------------------------------------------ 09: a run by its curves

# {title: ({curve: its colour}, the highest value that is shown at least)}
PANELS = {"losses": ({"loss of G_xy": 0, "loss of D_y": 1}, 1.6),
          "share of patches": ({"D_y is right": 2}, 1.03),
          "cycle error of x": ({"cycle": 3, "cycle, unseen x": 4}, 0.6),
          "gradient norm": ({"gradient of G": 0, "gradient of D": 1}, 3e4)}


def smoothed(values):
    """The mean of each value and its neighbours, two on either side where there are as many."""
    return [float(np.mean(values[max(0, k - 2):k + 3])) for k in range(len(values))]


def one_training(curves, strips, sound=None):
    """The curves of a run, thin as they are and thick as smoothed, over its pictures.

    curves: {name: list} of `faults.trained`. sound: those of another run, drawn in grey.
    strips: {title: {label of a row: (N, 3, H, W) in [-1, 1]}}, side by side.
    """
    figure = plt.figure(figsize=(11, 5.8), dpi=110, layout="constrained")
    places = figure.add_gridspec(2, 4, height_ratios=(1, 1.4))
    axes = [figure.add_subplot(places[0, k]) for k in range(4)]
    for axis, (title, (lines, top)) in zip(axes, PANELS.items(), strict=True):
        for (line, color), style in zip(lines.items(), ("-", ":"), strict=False):
            if sound:
                axis.plot(sound["step"], smoothed(sound[line]), color="#888888", lw=1.2, ls=style)
            axis.plot(curves["step"], curves[line], color=show.PALETTE[color], lw=0.6, alpha=0.4)
            axis.plot(curves["step"], smoothed(curves[line]), color=show.PALETTE[color], lw=1.8,
                      label=line)
        highest = max(top, *(value for line in lines for value in curves[line]))
        axis.set(xlabel="step", ylim=(0, highest))
        if title == "gradient norm":
            axis.set(yscale="log", ylim=(0.3, highest))
        elif highest > 5:  # a jump must not hide the rest: linear up to 1, logarithmic above
            axis.set_yscale("symlog", linthresh=1)
        axis.set_title(title, fontsize=10, loc="left")
        axis.legend(frameon=False, fontsize=8, loc="best" if len(lines) == 1 else "upper right")
    for k, (title, rows) in enumerate(strips.items()):
        axis = figure.add_subplot(places[1, 2 * k:2 * k + 2])
        show.draw_rows(axis, rows.values(), list(rows), 2, fontsize=8)
        axis.set_title(title, fontsize=10, loc="left")
    return _finished(figure, axes)
