"""Time to quality: how long a live run of a notebook trains until its panel crosses a line.

The line is not chosen by hand. It lies `SHARE` of the way from "do nothing" to the number of the
run that ships, on seed 0. Judging takes no time here: the clock stands still meanwhile.
"""

import time
from typing import NamedTuple

from steps import clock

from gantutor import comparison, recipes, rows, runs
from gantutor.saving import seed_everything
from gantutor.training import fit

SHARE = 0.8  # of the way from do nothing to the shipped run
LOOKS = 20  # how often the panel is taken in a run
HEAD = ("run", "number", "do nothing", "shipped", "line", "got", "at step", "of", "seconds",
        "what")


class Live(NamedTuple):
    """A live run. row: its name in `recipes` or `comparison`; number: of the panel; steps: the
    notebook's in the cpu profile; pack: whose "do nothing" is known, None where it is 1.
    """

    notebook: str
    row: str
    number: str
    steps: int
    pack: str | None

    @property
    def name(self):
        return f"{self.notebook} {self.row}"


RIGHT, ERROR, ALIGNED = "translated right", "hidden-pair L1", recipes.ALIGNED_STEPS
# The runs that have a line. Those that show a failure (a StarGAN with batches of one, unlinked
# auto-encoders) have none, nor have those of which nothing ships (05's VAEs, 07's DTN).
LIVE = [
    Live("00", "retro_cyclegan", ERROR, 250, "retro"),
    Live("01", "retro_medium", ERROR, 500, "retro"),
    Live("02", "ink_vgg", ERROR, 300, "ink"),
    Live("03", "retro_cyclegan", ERROR, 400, "retro"),
    Live("04", "faces_joint", "of do nothing", 1600, None),
    Live("05", "4 shared", RIGHT, 800, "avatars"),
    Live("06", "4 shared, noisy", RIGHT, ALIGNED, "avatars"),
    Live("06", "aligned", RIGHT, ALIGNED * recipes.D_Z_PLAYS["n_critic"], "avatars"),
    Live("06", "reversed", RIGHT, ALIGNED, "avatars"),
    Live("07", "and shuffling", RIGHT, 1400, "avatars"),
    Live("08", "20 pairs", RIGHT, comparison.STEPS // 4, "avatars"),
]


class Reached(Exception):
    """The panel has crossed the line: the run is stopped."""


def recipe_and_panel(name):
    """The `Recipe` of a row, and the panel that ships with it, of seed 0."""
    if name in recipes.RECIPES:
        return recipes.RECIPES[name], runs.shipped_panel(name, 0)
    return runs.TABLES[runs.file_of(name)][name].recipe, runs.rung(name)[0]["panel"]


def aim(live):
    """(do nothing, shipped, line) of a live run: three numbers of its panel."""
    shipped = recipe_and_panel(live.row)[1][live.number]
    known = runs.reference_panels(live.pack)["do nothing"][0] if live.pack else {live.number: 1.0}
    nothing = known[live.number]
    return nothing, shipped, nothing + SHARE * (shipped - nothing)


def untrained(live, make=lambda recipe: recipe.make()):
    """(recipe, method, its batches) of a live run before its first step, from seed 0."""
    recipe, _ = recipe_and_panel(live.row)
    seed_everything(0)
    return recipe, make(recipe), recipe.batches(recipe.batch_size, 0)


def trained_until(live, crossed, device="cpu", looks=LOOKS):
    """(number, step, seconds) when crossed(number) is true, or at the end of the run."""
    recipe, method, data = untrained(live)
    seconds, began, found = 0.0, None, None

    def look(step, method, history):
        nonlocal seconds, began, found
        if step:
            seconds += clock(device) - began
            found = recipe.judge(method.eval(), 0)[live.number], step, seconds
            if crossed(found[0]):
                raise Reached
        began = clock(device)

    try:
        fit(method, data, live.steps, lr=recipe.lr, device=device, callback=look, progress=False,
            callback_every=max(1, live.steps // looks), **recipe.settings)
    except Reached:
        pass
    return found


def line(live, device="cpu", looks=LOOKS):
    """The line of the table for one live run, trained now."""
    nothing, shipped, mark = aim(live)

    def crossed(value):
        return (value - mark) * (shipped - nothing) >= 0

    value, step, seconds = trained_until(live, crossed, device, looks)
    said = "crossed the line" if crossed(value) else "did not cross it"
    return [live.name, live.number, *(f"{v:.3f}" for v in (nothing, shipped, mark, value)), step,
            live.steps, f"{seconds:.1f}", said]


# ------------------------------------------------------------------ float32 against "auto"

AUTO_HEAD = ("run", "steps", "float32, s", "as now, s", "ratio", "number", "float32", "as now",
             "what")


def whole(live, precision, **made):
    """(number at the end, processor seconds, type of numbers) of a whole run, seed 0."""
    recipe, method, data = untrained(live, **made)
    began = time.process_time()
    history = fit(method, data, live.steps, lr=recipe.lr, precision=precision, progress=False,
                  **recipe.settings)
    seconds = time.process_time() - began
    return recipe.judge(method.eval(), 0)[live.number], seconds, history.precision


def auto_line(live):
    """The line of the table for one live run: in float32, and as the notebook trains it now."""
    before, slow, _ = whole(live, "float32")
    now, quick, precision = whole(live, "auto", make=lambda recipe: rows.fast(recipe.make()))
    return [live.name, live.steps, f"{slow:.0f}", f"{quick:.0f}", f"{quick / slow:.2f}",
            live.number, f"{before:.3f}", f"{now:.3f}", precision]
