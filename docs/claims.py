"""Writes docs/claims.md: what the lecture says, where the course asks, and what it measured.

    python docs/claims.py

Every number and every verdict is computed from what ships. tests/test_docs.py says when the page
is out of date.
"""

from pathlib import Path
from statistics import mean, median

from gantutor import evaluate, runs
from gantutor.data import AVATARS, MONOCHROMES
from gantutor.evaluate import hiding
from gantutor.saving import atomically

PAGE = Path(__file__).with_name("claims.md")
ERROR, KEPT, RIGHT, REACHED = "hidden-pair L1", "content kept", "translated right", "domain reached"
HEAD = """# The lecture's claims, measured

What Hung-yi Lee's lecture on unsupervised conditional generation says, in this course's words, and
what the runs that ship with the course say about it. `python docs/claims.py` writes this page; no
number in it is typed. A number is the median of its runs, and in brackets are the lowest and the
highest. A verdict on one or two runs may still change. *Holds here*: in these runs, on these drawn
faces and thirty photographs, at these sizes.

* **kept**: which share of the eight attributes is read right off the translation (guessing:
  {chance})
* **translated right**: read right, in a picture that the judge takes for Y
* **error**: L1 to the hidden counterpart; on photographs as a share of that of doing nothing
* **domain reached**: which share of the translations the judge takes for Y

| | The lecture says | Notebook | Measured | Verdict |
|---|---|---|---|---|
"""


def shipped(recipe, key):
    """One number of every shipped run of a recipe."""
    return [panel[key] for panel in runs.shipped_panels(recipe)]


def row(name, key):
    """One number of every measured run of a row, from its panel or beside it."""
    return [found[key] for found in runs.measured(name)]


def told(values):
    """The median, and the range: ".32 (.30 to .35)". With few runs it says how many."""
    middle, low, high = (f"{value:.2f}".replace("0.", ".") for value in (
        median(values), min(values), max(values)))
    if len(values) == 1:
        return f"{middle} (one run)"
    return f"{middle} ({low} to {high}{', two runs' if len(values) == 2 else ''})"


def each(rows):
    """{name: a row's numbers} in words: "CycleGAN .57 (.44 to .97); DiscoGAN ..."."""
    return "; ".join(f"{name} {told(values)}" for name, values in rows.items())


def of_nothing(recipe):
    """A photograph recipe's errors, split by split, as shares of those of doing nothing."""
    untouched = [p[ERROR] for p in runs.reference_panels(recipe.split("_")[0])["do nothing"]]
    return [error / nothing for error, nothing in zip(shipped(recipe, ERROR), untouched,
                                                      strict=True)]


def hair(name):
    """The share of hair colours read right, run by run."""
    return [found["hair"] for found in row(name, "by attribute")]


def beats(better, worse):
    """Whether every run of the one is below every run of the other."""
    return max(better) < min(worse)


def in_each(better, worse):
    """Whether the one is below the other in every split."""
    return all(a < b for a, b in zip(better, worse, strict=True))


# Each claim: what the lecture says, the notebook, and () -> (what was measured, does it hold).


def without_pairs():
    found, ceiling = (shipped(f"avatars_{kind}", RIGHT) for kind in ("remedies", "supervised"))
    return (f"translated right {told(found)} without a pair, {told(ceiling)} with 2,500",
            min(found) > 0.8)


def discriminator_alone_looks_right():
    found, collapsed = (shipped(f"avatars_{kind}", REACHED) for kind in ("direct", "collapsed"))
    return (f"faces: domain reached {told(found)}; where D sees one picture at a time "
            f"{told(collapsed)}", min(found) > 0.8)


def discriminator_alone_ignores_x():
    found, chance = shipped("avatars_direct", KEPT), mean(evaluate.chance(AVATARS).values())
    spread = shipped("avatars_collapsed", "diversity")
    return (f"kept {told(found)}, a guess {chance:.2f}; where D sees one picture at a time, the "
            f"outputs' spread is {told(spread)} of the real one",
            abs(median(found) - chance) < 0.1)


def shallow_keeps_more():
    found = {depth: row(f"depth {depth}, skip", ERROR) for depth in (1, 3, 6)}
    return ("error with 1, 3, 6 blocks: " + "; ".join(map(told, found.values())),
            in_each(found[1], found[3]) and in_each(found[1], found[6]))


def vgg_holds_content():
    vgg, bare = of_nothing("ink_vgg"), of_nothing("ink_medium")
    return f"ink: error {told(vgg)} with a VGG, {told(bare)} without", in_each(vgg, bare)


def vgg_where_shapes_change():
    found = shipped("avatars_vgg", RIGHT)
    return f"faces to another style: translated right {told(found)}", min(found) > 0.5


def one_cycle_keeps_content():
    one, bare = of_nothing("ink_oneway"), of_nothing("ink_medium")
    return f"ink: error {told(one)} with one cycle, {told(bare)} without", in_each(one, bare)


def two_cycles():
    two, one = of_nothing("ink_cyclegan"), of_nothing("ink_oneway")
    return f"ink: error {told(two)} with two cycles, {told(one)} with one", in_each(two, one)


def a_closed_cycle_is_no_proof():
    closed, error = (shipped("avatars_cyclegan", key) for key in ("cycle L1", ERROR))
    return (f"faces: there and back {told(closed)}, to the hidden counterpart {told(error)}",
            beats(closed, error))


def hides():
    x, _, _ = evaluate.held_out_pairs(MONOCHROMES)

    def growth(kind):
        curves = [hiding.noise_curve(runs.load(f"monochromes_{kind}", seed), x, levels=(0, 4))
                  for seed in runs.seeds(f"monochromes_{kind}")]
        return [after / before for before, after in curves]

    hider, control = growth("hider"), growth("nocycle")
    return (f"faint noise on the translation multiplies the way back's error by {told(hider)}; "
            f"without a cycle by {told(control)}", beats(control, hider))


def three_are_one():
    found = {name: of_nothing(f"ink_{name.lower()}")
             for name in ("CycleGAN", "DiscoGAN", "DualGAN")}
    return ("ink: error " + each(found),
            max(map(median, found.values())) < 1.5 * min(map(median, found.values())))


def one_generator_for_all():
    edited = shipped("faces_joint", "edit success")
    return (f"48 looks: {48 * 47:,} generators against one; edits succeed {told(edited)}",
            min(edited) > 0.9)


def the_rest_is_kept():
    found = shipped("faces_joint", "others kept")
    return f"attributes that were not asked for stay {told(found)}", min(found) > 0.9


def a_mask_joins_two_sets():
    mask, merged = (shipped(f"faces_{kind}", "other set's kept") for kind in ("joint", "merged"))
    return (f"the other set's attributes stay {told(mask)} with the mask, {told(merged)} where "
            "unknown is 0", beats(merged, mask))


def apart_they_mean_nothing():
    found = row("unlinked", KEPT)
    read = [mean(values.values()) for values in row("unlinked", "attributes read")]
    return (f"kept {told(found)}, although a probe reads {told(read)} of the attributes off the "
            "codes", median(found) < 0.45 < min(read))


def shared_layers_link():
    found = {name: row(name, KEPT) for name in ("unlinked", "2 shared", "4 shared")}
    return ("kept with 0, 2, all 4 stages shared: " + "; ".join(map(told, found.values())),
            beats(found["unlinked"], found["2 shared"]) and beats(found["unlinked"],
                                                                  found["4 shared"]))


def one_z_two_pictures():
    agree, strangers, told_of = (row("CoGAN, 2 shared", key) for key in (
        "pairs agree", "strangers agree", "information"))
    return (f"attributes that agree: {told(agree)}, of two strangers {told(strangers)}; the two "
            f"pictures tell {told(told_of)} of each other, so most is linked under other names",
            min(agree) > max(strangers) + 0.2)


def shared_is_not_enough():
    found, domain = row("4 shared", RIGHT), row("4 shared", "domain read")
    return (f"all shared: a probe still reads the domain off the codes ({told(domain)}), and only "
            f"{told(found)} is translated right", max(found) < 0.6 < min(domain))


def domain_discriminator_aligns():
    found, before = (row(name, "domain read") for name in ("aligned", "4 shared, noisy"))
    kept = {name: told(row(name, KEPT)) for name in ("4 shared, noisy", "aligned")}
    return (f"domain read off the codes {told(before)} before, {told(found)} after; kept "
            + ", then ".join(kept.values()), beats(found, before))


def equal_clouds_do_not_say_which():
    found = hair("aligned")
    return f"hair colours right: {told(found)}; the others are exchanged", min(found) > 0.9


def cycle_through_the_code():
    codes, plain = (row(name, KEPT) for name in ("CycleGAN through codes", "CycleGAN"))
    return f"kept {told(codes)}; a plain CycleGAN {told(plain)}", beats(plain, codes)


def pixels_want_appearance():
    found = row("texture, CycleGAN", "texture after the round trip")
    return ("a texture that only X has is in what a CycleGAN brings back (correlation "
            f"{told(found)})", min(found) > 0.5)


def codes_want_meaning():
    found = {name: row(f"texture, {name}", "texture in the code") for name in (
        "cycle", "semantic", "semantic, only Y redrawn", "DTN")}
    return ("how much of that texture the code holds (R²): "
            + each(found) + ". What decides is whether x must be drawn again",
            max(found["semantic"]) < min(found["cycle"]) - 0.1)


def a_fixed_encoder():
    names = {"X only": "DTN, f taught X", "roughened X": "DTN, f taught rough X",
             "both": "DTN, f taught X and Y"}
    found = {name: row(rung, RIGHT) for name, rung in names.items()}
    return ("translated right, by what f was taught on: "
            + each(found),
            min(map(median, found.values())) > 0.6)


def a_teacher():
    found, without = (row(name, KEPT) for name in ("XGAN's teacher", "and semantic"))
    return f"kept {told(found)} with the teacher, {told(without)} without", beats(without, found)


def all_remedies():
    found, plain = (shipped(f"avatars_{kind}", ERROR) for kind in ("remedies", "cyclegan"))
    return f"error {told(found)}; CycleGAN {told(plain)}", beats(found, plain)


def families():
    found = {step: [row(f"{step}, CycleGAN on x", ERROR), row(common, ERROR)]
             for step, common in (("palette", "palette, all remedies"),
                                  ("outline", "outline, all remedies"), ("full", "and shuffling"))}
    kept = [row(f"palette, {name}", KEPT) for name in ("CycleGAN on x", "all remedies")]
    return ("error of a CycleGAN that changes x, and of a common space: " + "; ".join(
        f"{step} {told(direct)}, {told(common)}" for step, (direct, common) in found.items())
        + f". Kept at palette: {told(kept[0])}, {told(kept[1])}",
        beats(*found["palette"]) and beats(*reversed(found["full"])))


CLAIMS = [
    ("Two sets of pictures without pairs suffice", "07", without_pairs),
    ("Change the input where little changes, go through a common space where much does", "08",
     families),
    ("With D_y, the output looks like a picture of Y", "01", discriminator_alone_looks_right),
    ("... and may have nothing to do with the input", "01", discriminator_alone_ignores_x),
    ("A shallower generator keeps more of the input", "01", shallow_keeps_more),
    ("A pretrained network's features tie the output to the input", "02", vgg_holds_content),
    ("... also where shapes change", "02", vgg_where_shapes_change),
    ("A cycle keeps the generator from ignoring the input", "03", one_cycle_keeps_content),
    ("Two cycles are better than one", "03", two_cycles),
    ("A closed cycle does not make the translation right", "03b", a_closed_cycle_is_no_proof),
    ("A cycle can be closed by a hidden message", "03b", hides),
    ("CycleGAN, DiscoGAN and DualGAN are one idea", "03", three_are_one),
    ("For many domains, one generator with a code instead of one for each pair", "04",
     one_generator_for_all),
    ("A cycle back to the original code leaves the rest alone", "04", the_rest_is_kept),
    ("A mask lets two differently labelled sets train one network", "04", a_mask_joins_two_sets),
    ("Two auto-encoders trained apart have codes that mean nothing to each other", "05",
     apart_they_mean_nothing),
    ("Shared layers link the two codes", "05", shared_layers_link),
    ("CoGAN: shared first layers give one z two pictures of one person", "05",
     one_z_two_pictures),
    ("Sharing alone does not make the codes alike", "06", shared_is_not_enough),
    ("A domain discriminator makes the two clouds of codes alike", "06",
     domain_discriminator_aligns),
    ("... and then the same code means the same", "06", equal_clouds_do_not_say_which),
    ("ComboGAN: the cycle goes through both encoders and decoders", "07", cycle_through_the_code),
    ("A cycle compares appearance: all of x has to come back", "07", pixels_want_appearance),
    ("Semantic consistency compares meaning: the code may forget the rest", "07",
     codes_want_meaning),
    ("DTN: an encoder that was trained before and stands still", "07", a_fixed_encoder),
    ("XGAN: a teacher says what the code must hold", "07", a_teacher),
    ("All remedies together do what a cycle on pictures cannot", "07", all_remedies)]


def page():
    """The page's text."""
    chance = f"{mean(evaluate.chance(AVATARS).values()):.2f}"
    lines = []
    for number, (claim, notebook, ask) in enumerate(CLAIMS, 1):
        said, holds = ask()
        verdict = "holds here" if holds else "does not hold here"
        lines.append(f"| {number} | {claim} | {notebook} | {said} | {verdict} |")
    return HEAD.format(chance=chance) + "\n".join(lines) + "\n"


if __name__ == "__main__":
    atomically(PAGE, lambda to: to.write_text(page(), encoding="utf-8"))
