"""README's pictures and the line over each: drawn, and counted, from what ships.

    gantutor pictures

Every function returns (figure, line): the line is Markdown, and its numbers come from the same
shipped files as the figure.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

from gantutor import comparison, data, evaluate, faults, figures, runs, show
from gantutor.check.domain import shares
from gantutor.check.theory import count_renamings
from gantutor.data import AVATARS, INK, MONOCHROMES, RETRO, avatars, faces
from gantutor.evaluate import metrics
from gantutor.saving import atomically, data_folder

L1, KEPT, RIGHT = "hidden-pair L1", "content kept", "translated right"
TWELVE = slice(0, 12)
# Test crops at 128 and at 64 px, and test people, with something to see in them.
WIDE, CROPS, PEOPLE = [16, 32, 46, 13], [0, 6, 2, 3, 4, 5, 11, 12], [0, 1, 2, 3, 5, 8]


def median(panels, key):
    """The middle one of a number over runs."""
    return float(np.median([panel[key] for panel in panels]))


def below(one, other):
    """"k of n": in how many splits the first row's error is the smaller one."""
    pairs = list(zip(one, other, strict=True))
    return f"{sum(a[L1] < b[L1] for a, b in pairs)} of {len(pairs)}"


def mean_error(panels):
    """The mean hidden-pair L1 of a row's splits."""
    return np.mean([panel[L1] for panel in panels])


def on_photographs(pack, change, rows):
    """(figure of split 0, {label: the row's panels}). rows: {label: kind}, recipes CHANGE_KIND."""
    x, y = (stack[CROPS] for stack in evaluate.held_out_pairs(pack)[:2])
    drawn = [runs.load(f"{change}_{kind}").translate(x) for kind in rows.values()]
    found = {label: runs.shipped_panels(f"{change}_{kind}") for label, kind in rows.items()}
    return show.grid(x, *drawn, y, labels=["x", *rows, "hidden truth"]), found


# ------------------------------------------------------------------ the whole lecture


def lecture():
    """Faces at 64 px and photographs at 128 px: the lecture's methods from top to bottom."""
    large, wide = AVATARS.at(64), INK.at(128)
    remedies = {"all remedies": "avatars64_remedies"}
    scenes = {"no constraint": "ink128_direct", "VGG": "ink128_vgg", "CycleGAN": "ink128_cyclegan"}
    points = {"no constraint": "direct, 64 px", "CycleGAN": "CycleGAN, 64 px"}
    figure, axes = plt.subplots(1, 2, figsize=(12.4, 5.2), dpi=110, layout="constrained",
                                gridspec_kw={"width_ratios": [len(PEOPLE), len(WIDE)]})
    lines = []
    # Of the runs `kept` only pictures and numbers ship.
    for axis, pack, chosen, kept, ship in ((axes[0], large, PEOPLE, points, remedies),
                                           (axes[1], wide, WIDE, {}, scenes)):
        x, y, _ = evaluate.held_out_pairs(pack)
        drawn = {name: runs.faces(rung, size=64)[chosen] for name, rung in kept.items()}
        drawn |= {name: runs.load(run).translate(x[chosen]) for name, run in ship.items()}
        errors = {"do nothing": metrics.l1(x, y)}
        errors |= {name: runs.measured(rung)[0][L1] for name, rung in kept.items()}
        errors |= {name: runs.shipped_panel(run)[L1] for name, run in ship.items()}
        show.draw_rows(axis, [x[chosen], *drawn.values(), y[chosen]],
                       ["x", *drawn, "hidden truth"], 128 // x.shape[-1])
        lines.append(", ".join(f"{name} {error:.3f}" for name, error in errors.items()))
    plt.close(figure)
    return figure, (
        "*From top to bottom: test images that nobody trained on; a generator that only has to "
        "look like Y; the lecture's constraints, one after the other; and the truth, which was "
        "hidden from all of them. Error to the hidden truth (L1, one run each) for the faces: "
        f"{lines[0]}; for the photographs: {lines[1]}. No method ever saw a pair.*")


# ------------------------------------------------------------------ a figure a notebook


def start_here():
    """Retro, split by split: what a CycleGAN is worth beside rows that need no network."""
    rows = runs.reference_panels("retro")
    names = ("do nothing", "colour statistics (6 numbers)", "colour map (12 numbers)")
    rows = {name: rows[name] for name in names} | {
        "CycleGAN": runs.shipped_panels("retro_cyclegan"),
        "supervised": runs.shipped_panels("retro_supervised")}
    means = {name: mean_error(found) for name, found in rows.items()}
    figure = show.points(rows, references=names)
    return figure, (
        "Every number stands beside others that need no network. Photographs to *retro*, mean of "
        f"five splits: do nothing {means[names[0]]:.3f}, six numbers of colour statistics "
        f"{means[names[1]]:.3f}, a CycleGAN {means['CycleGAN']:.3f}, the same generator with the "
        f"pairs {means['supervised']:.3f}.")


def direct_transform():
    """Faces drawn without a constraint."""
    x, y, _ = evaluate.held_out_pairs(AVATARS)
    rows = {"D sees one image": "avatars_collapsed", "D sees the spread": "avatars_direct"}
    drawn = [runs.load(name).translate(x[TWELVE]) for name in rows.values()]
    alike = runs.shipped_panel("avatars_collapsed")["diversity"]
    free = median(runs.shipped_panels("avatars_direct"), RIGHT)
    stranger = median(runs.reference_panels("avatars")["random real Y"], RIGHT)
    return show.grid(x[TWELVE], *drawn, y[TWELVE], labels=["x", *rows, "hidden truth"]), (
        "Nothing asks the generator to keep its input. If D sees one image at a time, all "
        f"outputs may be alike (spread {alike:.2f} of Y's own). If D sees the spread, they are "
        f"faces, of somebody else: {free:.2f} of what changed is right; a random face of Y gets "
        f"{stranger:.2f}.")


def vgg_constraint():
    """Photographs to ink: what must stay, pixels or features?"""
    figure, found = on_photographs(INK, "ink", {
        "no constraint": "medium", "pixel L1": "pixel", "VGG relu2_2": "vgg"})
    means = {label: mean_error(panels) for label, panels in found.items()}
    return figure, (
        "Photographs to *ink*. Features of a pretrained VGG that must stay bring the error from "
        f"{means['no constraint']:.3f} to {means['VGG relu2_2']:.3f} (mean of five splits), "
        f"pixels that must stay to {means['pixel L1']:.3f}; the VGG is nearer than the pixels in "
        f"{below(found['VGG relu2_2'], found['pixel L1'])} splits.")


def cyclegan():
    """Photographs to retro, with and without the cycle."""
    figure, found = on_photographs(RETRO, "retro", {
        "no constraint": "medium", "CycleGAN": "cyclegan", "supervised": "supervised"})
    means = {label: mean_error(panels) for label, panels in found.items()}
    return figure, (
        "What must come back cannot be thrown away. *Retro*, error without a cycle "
        f"{means['no constraint']:.3f}, with one {means['CycleGAN']:.3f} (mean of five splits), "
        f"nearer to the truth in {below(found['CycleGAN'], found['no constraint'])}.")


def what_the_cycle_cannot_see():
    """A generator that hides colours in a grey picture."""
    x = evaluate.held_out_pairs(MONOCHROMES)[0]
    hider = runs.load("monochromes_hider")
    there = evaluate.in_batches(hider.translate, x)
    grey = data.monochrome(there)
    back, without = (evaluate.in_batches(hider.back, images) for images in (there, grey))
    message = (8 * (there - grey)).clamp(-1, 1)
    rows = {"x": x, "G_xy(x)": there, "there and back": back, "8 x the colour": message,
            "back, without it": without}
    return show.grid(*(row[TWELVE] for row in rows.values()), labels=list(rows)), (
        "The cycle closes, and the colours come back out of a grey picture: they were hidden in "
        f"it, {127.5 * metrics.l1(there, grey):.1f} of 256 grey levels strong. Round-trip error "
        f"{metrics.l1(back, x):.3f}; with the message wiped out {metrics.l1(without, x):.3f}.")


def stargan():
    """Every edit of one StarGAN, at 64 px."""
    star, rows, eight = runs.load("faces64_joint"), {}, slice(0, 8)
    for edit in faces.questions(64):
        x, wanted = edit.x[eight], edit.records_y[eight]
        rows.setdefault("input", x)
        drawn = star.translate(x, faces.joint_code(wanted, edit.attribute))
        rows.setdefault(edit.attribute.replace("_", " "), drawn)
    success = runs.shipped_panel("faces64_joint")["edit success"]
    return show.grid(*rows.values(), labels=list(rows)), (
        "One generator, every edit, learned from two sets of faces that label different things: "
        f"{success:.3f} of the edits of held-out faces are read as asked for.")


def shared_space():
    """Content kept against the number of shared stages."""
    rows = {stages: runs.rung(f"{stages} shared" if stages else "unlinked") for stages in range(5)}
    kept = {stages: [p["panel"][KEPT] for p in points] for stages, points in rows.items()}
    guess = evaluate.chance(AVATARS)
    guess = sum(guess.values()) / len(guess)
    figure = show.over({"content kept": kept}, KEPT, at="shared stages of 4", log=False,
                       flat={"guessing": guess})
    return figure, (
        "Two auto-encoders that were trained apart write the same attribute in different places. "
        f"Content kept, median: {np.median(kept[0]):.2f} with nothing shared (guessing: "
        f"{guess:.2f}), {np.median(kept[4]):.2f} with all four stages shared.")


def domain_discriminator():
    """Codes that nobody can tell apart, with values renamed."""
    cases = []
    for name in ("aligned", "reversed"):
        for point in runs.rung(name):
            for attribute, counts in point["confusion"].items():
                table = torch.tensor(counts)
                cases.append((f"{attribute} ({name}, seed {point['seed']})", table, point,
                              *(float(share) for share in shares()(table))))
    worst = sorted(cases, key=lambda case: case[-2] - case[-1])[:3]
    title, _, point, right, best = worst[0]
    return show.heatmaps({case[0]: case[1] for case in worst}), (
        "A discriminator can hardly tell from which domain a code comes (a fresh probe is right "
        f"on {point['domain read']:.2f}, chance is 0.50), and the code still means something else. "
        f"In {title}, {right:.2f} are right, and after the best renaming of the values {best:.2f}.")


def semantic_consistency():
    """From CycleGAN to all remedies, one step at a time."""
    rows = {name: runs.measured(name) for name in ("CycleGAN", *comparison.STEPWISE)}
    figure = show.bars({f"{name} ({len(found)})": [evaluate.fates(p, AVATARS) for p in found]
                        for name, found in rows.items()})
    kept = {name: median(found, KEPT) for name, found in rows.items()}
    return figure, (
        "Which remedy repairs what? Content kept, median, in brackets the seeds: CycleGAN "
        f"{kept['CycleGAN']:.2f}, with shared layers {kept['and shared layers']:.2f}, with a "
        f"domain discriminator {kept['and D_z']:.2f}, with all remedies "
        f"{kept['and shuffling']:.2f}.")


def compare():
    """How many pairs is all this worth?"""
    pairs = {count: runs.measured(f"{count} pairs") for count in (1, 5, 20, 100, 500)}
    pairs[2500] = runs.measured("supervised")
    others = {name: median(runs.measured(row), L1) for name, row in (
        ("CycleGAN", "CycleGAN"), ("all remedies", "and shuffling"),
        ("registered, by rarity", comparison.BEST))}
    figure = show.over({"supervised": {n: [p[L1] for p in found] for n, found in pairs.items()}},
                       L1, at="pairs", flat=others, width=6)
    worth = {name: min(n for n in pairs if median(pairs[n], L1) < error)
             for name, error in others.items()}
    return figure, (
        "How many pairs is it worth? Of the numbers of pairs that were tried, the first with "
        "which plain supervised learning is nearer to the truth: "
        + ", ".join(f"{name} {count:,}" for name, count in worth.items()) + ".")


def find_the_fault():
    """One of the five cases."""
    fault = faults.CASES["B"]
    sound = faults.run()["curves"]
    curves = faults.run(fault)["curves"]
    figure = figures.one_training(curves, {
        "case B": faults.rows(faults.pictures(fault)),
        "the sound run": faults.rows(faults.pictures())}, sound)
    right = [faults.end(found)["D_y is right"] for found in (curves, sound)]
    return figure, (
        f"Which fault is it? In the last quarter of this run D_y is right on {right[0]:.2f} of the "
        f"patches; in the sound run (grey) on {right[1]:.2f}.")


def theory():
    """Several maps with the same distribution of outputs."""
    torch.manual_seed(0)
    kind = torch.arange(400) % 2
    start = 0.25 * torch.randn(400, 2) + torch.tensor([[-1.0, 0.0], [1.0, 0.0]])[kind]
    up = torch.tensor([0.0, 2.5])
    maps = {"each kind to its own": start + up,
            "the kinds exchanged": start * torch.tensor([-1.0, 1.0]) + up,
            "each upside down": start * torch.tensor([1.0, -1.0]) + up,
            "anybody to anybody": start[torch.randperm(400)] + up}
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), dpi=110, layout="constrained")
    for axis, (name, out) in zip(axes, maps.items(), strict=True):
        for k, color in enumerate(show.PALETTE[:2]):
            axis.scatter(*start[kind == k].T, s=3, color=color)
            axis.scatter(*out[kind == k].T, s=3, color=color, alpha=0.6)
        axis.set_title(name, fontsize=9)
        axis.set_axis_off()
    plt.close(figure)
    frequencies = [[1 / values] * values for values in avatars.ATTRIBUTES.values()]
    for k, name in enumerate(avatars.ATTRIBUTES):
        if name in ("glasses", "beard"):  # unequal by design
            share = avatars.records("train_x")[:, k].float().mean().item()
            frequencies[k] = [1 - share, share]
    return figure, (
        "Why can it fail? These four maps of the lower clouds to the upper ones have the same "
        "distribution of outputs, and a discriminator sees no more than that. Of the avatars' "
        f"colours and shapes {count_renamings(frequencies):,} renamings leave it as it is.")


PICTURES = {"lecture": lecture, "00_start_here": start_here,
            "01_direct_transform": direct_transform, "02_vgg_constraint": vgg_constraint,
            "03_cyclegan": cyclegan, "03b_what_the_cycle_cannot_see": what_the_cycle_cannot_see,
            "04_stargan": stargan, "05_shared_space": shared_space,
            "06_domain_discriminator": domain_discriminator,
            "07_semantic_consistency": semantic_consistency, "08_compare": compare,
            "09_find_the_fault": find_the_fault, "10_theory_and_projects": theory}


# ------------------------------------------------------------------ drawn, and put into README


def pixels(figure):
    """The pixels of a figure: (H, W, 3) uint8."""
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        return np.asarray(Image.open(file).convert("RGB"))


def entry(name, line):
    """README's Markdown for one picture."""
    picture = f"![{PICTURES[name].__doc__}](data/pictures/{name}.webp)"
    if name == "lecture":
        return f"{picture}\n\n{line}"
    number, title = name.split("_", 1)
    return f"**{number} [{title.replace('_', ' ')}](notebooks/{name}.ipynb).** {line}\n\n{picture}"


def in_readme(text, lines):
    """README's text with the entries of {name: line} in their places."""
    for name, line in lines.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, after = text.split(start)[0], text.split(end)[1]
        text = f"{before}{start}\n{entry(name, line)}\n{end}{after}"
    return text


def draw(folder=None):
    """Draws every picture into `folder`, by default data/pictures. Returns {name: its line}."""
    folder, lines = folder or data_folder() / "pictures", {}
    folder.mkdir(exist_ok=True)
    for name, make in PICTURES.items():
        figure, lines[name] = make()
        picture = Image.fromarray(pixels(figure))
        atomically(folder / f"{name}.webp", lambda to, picture=picture: picture.save(
            to, "WEBP", quality=90, method=6))
        print(name, lines[name], flush=True)
    return lines
