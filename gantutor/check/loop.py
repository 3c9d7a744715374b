"""Exercises on what surrounds the losses: batches, the pool, the optimisers, the schedule."""

from collections import Counter

import torch
from torch import nn

from gantutor.check import NotAttempted, Wrong, exercise
from gantutor.check.answers import Affine, PatchScore, call, close, kind, number


def again(answer, when, **arguments):
    """A later call: nothing returned is no stub any more."""
    try:
        return call(answer, **arguments)
    except NotAttempted:
        raise Wrong(f"it returns None {when}: a `return` is missing in one branch.") from None


@exercise
def unpaired_batch(answer):
    """my_batch(X, Y, batch_size) -> {"x": (N, 3, H, W), "y": ...}, drawn independently."""
    # Every image says who it is: X holds 1 to 10, Y holds 101 to 112.
    X = torch.arange(1.0, 11).view(-1, 1, 1, 1).repeat(1, 3, 4, 6)
    Y = torch.arange(101.0, 113).view(-1, 1, 1, 1).repeat(1, 3, 4, 6)
    met, batches = Counter(), set()
    for k in range(300):
        batch = again(answer, "now and then", X=X, Y=Y, batch_size=4) if k else call(
            answer, X=X, Y=Y, batch_size=4)
        if not isinstance(batch, dict) or set(batch) != {"x", "y"}:
            raise Wrong(f'expected a dict {{"x": ..., "y": ...}}, found {kind(batch)}.')
        for name in "xy":
            if not isinstance(batch[name], torch.Tensor) or batch[name].shape != (4, 3, 4, 6):
                raise Wrong(f"{name} should be a tensor of shape (4, 3, 4, 6), found "
                            f"{kind(batch[name])}.")
        numbers = [tuple(batch[name].mean((1, 2, 3)).round().int().tolist()) for name in "xy"]
        if max(numbers[0]) > 10 or min(numbers[1]) < 101:
            raise Wrong("x has to come from X and y from Y.")
        met.update(zip(*numbers, strict=True))
        batches.add((*numbers[0], *numbers[1]))
    if len(batches) == 1:
        raise Wrong("every call gives the same batch: draw anew each time.")
    if all(y - x == 100 for x, y in met):
        raise Wrong("x number i always comes with y number i: paired by index. Draw the two "
                    "independently.")
    first, last = (len({pair[k] for pair in met}) for k in (0, 1))
    if first < 10 or last < 12:
        raise Wrong(f"only {first} of 10 images of X and {last} of 12 of Y were ever seen in 300 "
                    "batches: draw each index from its own set's length.")
    partners = len({y for x, y in met if x == 1})
    if partners < 9:
        raise Wrong(f"x number 1 met only {partners} different y in 300 batches, of 12: what y "
                    "comes still depends on x. Draw the two independently.")
    return f"in 300 batches x number 1 met {partners} different y of 12."


def _who(image):
    if not isinstance(image, torch.Tensor) or image.shape != (3, 4, 6):
        raise Wrong(f"expected an image of shape (3, 4, 6), found {kind(image)}.")
    return round(image.detach().mean().item())


def _pool_run(answer, size, n):
    """[(new, shown to D, stored before, stored after)] of n images, numbered from 1."""
    stored, seen, weight = [], [], torch.ones((), requires_grad=True)
    for k in range(1, n + 1):
        image, before = weight * torch.full((3, 4, 6), float(k)), [_who(i) for i in stored]
        given = {"image": image, "stored": stored, "size": size}
        when = "while the pool fills" if k <= size else "now and then once the pool is full"
        shown = again(answer, when, **given) if k > 1 else call(answer, **given)
        number_shown, after = _who(shown), [_who(i) for i in stored]
        if shown.requires_grad or any(i.requires_grad for i in stored):
            raise Wrong("an image still hangs on its graph: D's loss would reach G, and fifty old "
                        "graphs stay in memory. Detach it.")
        seen.append((k, number_shown, before, after))
    return seen


@exercise
def pool_swap(answer):
    """my_swap(image, stored, size) -> the image D is shown; `stored` is changed in place."""
    size = 4
    seen = _pool_run(answer, size, 404)
    for k, shown, _, after in seen[:size]:
        if shown != k:
            raise Wrong("while the pool fills, the image itself is shown.")
        if len(after) != k:
            raise Wrong(f"after {k} of {size} images {len(after)} are stored: while it is not "
                        "full, each one is stored.")
    later = seen[size:]
    longest = max(len(after) for *_, after in later)
    if longest > size:
        raise Wrong(f"the pool grows beyond its size: {longest} images where {size} were asked "
                    "for. A new image takes the place of an old one.")
    old = [(k, shown, before, after) for k, shown, before, after in later if shown != k]
    if not old:
        raise Wrong("it never swaps: D sees only the newest images, as without a pool.")
    if all(before == after for _, _, before, after in later):
        raise Wrong("an old image is shown but the new one is not stored: the pool keeps the "
                    "first images for ever. Swap the two.")
    if len(old) == len(later):
        raise Wrong("once full it shows only old images: with probability 1/2 D has to see the "
                    "new one.")
    if any(k in after for k, shown, _, after in later if shown == k):
        raise Wrong("an image was shown and stored at once: it is one or the other.")
    if any(shown in after or k not in after for k, shown, _, after in old):
        raise Wrong("the old image that is shown has to leave the pool, and the new one to take "
                    "its place.")
    if len({before.index(shown) for _, shown, before, _ in old}) < size:
        raise Wrong("not every place of the pool is ever swapped: choose it at random.")
    if not 0.4 < len(old) / len(later) < 0.6:
        raise Wrong(f"an old image is shown in {len(old)} of {len(later)} cases, expected half.")
    return f"of {len(later)} images {len(old)} were swapped for an old one, without their graphs."


@exercise
def optimisers(answer):
    """my_optimisers(G_xy, G_yx, D_x, D_y, lr) -> (optimiser_G, optimiser_D)."""
    shared = Affine(1.0, 0.0)  # as in notebook 05: one layer, two networks
    G_xy, G_yx = nn.Sequential(Affine(0.5), shared), nn.Sequential(Affine(1.5), shared)
    nets = {"G_xy": G_xy, "G_yx": G_yx, "D_x": PatchScore(0.8), "D_y": PatchScore(-0.6)}
    pair = call(answer, **nets, lr=3e-4)
    if not (isinstance(pair, tuple | list) and len(pair) == 2
            and all(isinstance(o, torch.optim.Optimizer) for o in pair)):
        raise Wrong(f"expected the pair (optimiser_G, optimiser_D), found {kind(pair)}.")
    for which, own, optimiser in zip("GD", (("G_xy", "G_yx"), ("D_x", "D_y")), pair, strict=True):
        ids = Counter(id(p) for group in optimiser.param_groups for p in group["params"])
        inside = {name: [ids[id(p)] for p in net.parameters()] for name, net in nets.items()}
        foreign = [name for name in nets if name not in own and any(inside[name])]
        missing = [name for name in own if not all(inside[name])]
        if len(foreign) == 2 and len(missing) == 2:
            raise Wrong("the two are in the wrong order: G's optimiser comes first.")
        if foreign:
            raise Wrong(f"optimiser_{which} also steps {' and '.join(foreign)}: it would help the "
                        "other player to lose.")
        if missing:
            double = " and some parameters are listed twice" if max(ids.values()) > 1 else ""
            raise Wrong(f"optimiser_{which} does not hold all of {' and '.join(missing)}{double}: "
                        "one that nobody steps never learns.")
        if max(ids.values()) > 1:
            raise Wrong("the layer that both generators share is listed twice: it would be "
                        "stepped twice. Collect every parameter once.")
        for group in optimiser.param_groups:
            if not close(group["lr"] * 1e4, 3):
                raise Wrong(f"optimiser_{which} has learning rate {group['lr']}, expected the "
                            "lr it was given, 0.0003.")
    return "two players, every parameter once."


@exercise
def lr_factor(answer):
    """my_factor(epoch, constant, decay): 1, then down so that 0 comes just after the last."""
    c, d = 3, 4
    found = [number(call(answer, epoch=0, constant=c, decay=d), "the factor at epoch 0")]
    for e in range(1, c + d):
        value = again(answer, f"at epoch {e}", epoch=e, constant=c, decay=d)
        found.append(number(value, f"the factor at epoch {e}"))
    mistakes = {
        "Off by one: it falls one epoch early, and the last epoch trains with a learning rate of "
        "0, for nothing.": lambda e: min(1, (c + d - 1 - e) / d),
        "It reaches 0 in the last epoch that is trained, one epoch early: decay epochs have "
        "decay steps, not decay - 1.": lambda e: min(1, (c + d - 1 - e) / (d - 1)),
        "Off by one: this falls in decay + 1 steps from epoch `constant` on. (The authors' code "
        "does so and it does no harm; here epoch `constant` is still at 1.)":
        lambda e: 1 - max(0, e + 1 - c) / (d + 1),
        "Off by one: it falls one epoch late and stops short.":
        lambda e: 1 - max(0, e - 1 - c) / d,
        "It decays from the beginning: the first `constant` epochs stay at 1.":
        lambda e: 1 - e / (c + d),
        "// rounds down: between 1 and 0 there is nothing left.":
        lambda e: min(1, (c + d - e) // d),
        "It rises above 1 before the decay begins: cut it off at 1.": lambda e: (c + d - e) / d,
        "It never falls.": lambda e: 1,
        "This is the part that was taken away; subtract it from 1.":
        lambda e: max(0, e - c) / d}
    for text, factor in mistakes.items():
        if all(close(value, factor(e)) for e, value in enumerate(found)):
            raise Wrong(f"{text} (Found {[round(f, 2) for f in found]} for constant=3, decay=4.)")
    for e, value in enumerate(found):
        if not close(value, min(1, (c + d - e) / d)):
            raise Wrong(f"with constant={c}, decay={d} the factor at epoch {e} is {value:.4g}, "
                        f"expected {min(1, (c + d - e) / d):.4g}.")
    return "the last epoch still learns a little."
