"""Exercises on what surrounds the losses: batches, the pool, the optimisers, the schedule."""

from collections import Counter
from itertools import chain
from math import isclose

import torch
from torch import nn

from gantutor.check.answers import Affine, PatchScore, again, call, kind, number
from gantutor.check.machine import Mistake, close_to, exercise
from gantutor.check.verdict import Wrong
from gantutor.losses import ImagePool

# Batches -----------------------------------------------------------------------------------------

def batch(draw_x=lambda n_x, n_y, n: torch.randint(n_x, (n,)),
          draw_y=lambda i, n_x, n_y, n: torch.randint(n_y, (n,))):
    """Two draws of indices; y's may look at x's, i."""
    def answer(X, Y, n):
        i = draw_x(len(X), len(Y), n)
        return {"x": X[i], "y": Y[draw_y(i, len(X), len(Y), n)]}
    return answer


def shuffled(X, Y, n):
    return {"y": Y[torch.randperm(len(Y))[:n]], "x": X[torch.randperm(len(X))[:n]]}


def paired_with_an_offset(X, Y, n):
    start, ahead = int(torch.randint(len(X) - n + 1, ())), torch.randint(3, ())
    i = torch.arange(n) + start
    return {"x": X[i], "y": Y[(i + ahead) % len(Y)]}


@exercise(right=batch(), also_right=[shuffled], mistakes={
    "strangers": Mistake(lambda X, Y, n: batch()(Y[:10], X, n), when=lambda seen: seen["_strange"]),
    "the same": Mistake(lambda X, Y, n: {"x": X[:n], "y": Y[1:n + 1]},
                        when=lambda seen: seen["_same"]),
    "paired": Mistake(batch(draw_y=lambda i, *n: i), when=lambda seen: seen["_paired"]),
    "other length": Mistake(batch(draw_y=lambda i, n_x, n_y, n: torch.randint(n_x, (n,))),
                            when=lambda seen: seen["_first"] < 10 or seen["_last"] < 12),
    "offset": Mistake(paired_with_an_offset, when=lambda seen: seen["_partners"] < 9),
    "H and W swapped": lambda X, Y, n: {"x": X[:n].mT, "y": Y[:n].mT}})
def unpaired_batch(answer):
    """my_batch(X, Y, batch_size) -> {"x": (N, 3, H, W), "y": ...}, drawn independently."""
    # Every image says who it is: X holds 1 to 10, Y holds 101 to 112.
    X = torch.arange(1.0, 11).view(-1, 1, 1, 1).repeat(1, 3, 4, 6)
    Y = torch.arange(101.0, 113).view(-1, 1, 1, 1).repeat(1, 3, 4, 6)
    met, batches = Counter(), set()
    for k in range(300):
        given = {"X": X, "Y": Y, "batch_size": 4}
        found = again(answer, "now and then", **given) if k else call(answer, **given)
        if not isinstance(found, dict) or set(found) != {"x", "y"}:
            raise Wrong(f'expected a dict {{"x": ..., "y": ...}}, found {kind(found)}.')
        for name in "xy":
            if not isinstance(found[name], torch.Tensor) or found[name].shape != (4, 3, 4, 6):
                raise Wrong(f"{name} should be a tensor of shape (4, 3, 4, 6), found "
                            f"{kind(found[name])}.")
        numbers = [tuple(found[name].mean((1, 2, 3)).round().int().tolist()) for name in "xy"]
        met.update(zip(*numbers, strict=True))
        batches.add((*numbers[0], *numbers[1]))
    return {"_strange": any(x > 10 or y < 101 for x, y in met), "_same": len(batches) == 1,
            "_paired": all(y - x == 100 for x, y in met),
            "_first": len({x for x, _ in met}), "_last": len({y for _, y in met}),
            "_partners": len({y for x, y in met if x == 1})}


# The pool ----------------------------------------------------------------------------------------

def swap(detach=True, coin=lambda: bool(torch.rand(()) < 0.5), put=True, give="old", keep=False,
         place=lambda size: int(torch.randint(size, ())), room=1, fill="new", store=True):
    """The pool's swap with one thing replaced."""
    def answer(image, stored, size):
        image = image.detach() if detach else image
        if len(stored) < room * size:
            if store or not stored:
                stored.append(image)
            return image if fill == "new" else stored[0]
        if coin():
            if keep:
                stored[place(size)] = image
            return image
        k = place(size)
        old = stored[k]
        if put:
            stored[k] = image
        return old if give == "old" else image
    return answer


def another_leaves(image, stored, size):
    """The image that is shown stays, and its neighbour leaves the pool."""
    shown = swap(coin=lambda: False, put=False)(image, stored, size)
    if len(stored) == size and shown is not image and torch.rand(()) < 0.5:
        k = next(n for n, one in enumerate(stored) if one is shown)
        stored[k - 1] = image.detach()
        return shown
    return image.detach()


def without_return(image, stored, size):
    stored.append(image.detach())
    if len(stored) <= size:
        return stored[-1]


def the_packages_pool(image, stored, size):
    pool = ImagePool(size)
    pool.images = stored
    return pool(image[None])[0]


def _who(image):
    if not isinstance(image, torch.Tensor) or image.shape != (3, 4, 6):
        raise Wrong(f"expected an image of shape (3, 4, 6), found {kind(image)}.")
    return round(image.detach().mean().item())


@exercise(right=swap(), also_right=[the_packages_pool], mistakes={
    "graph": Mistake(swap(detach=False), when=lambda run: run["_graph"]),
    "old while filling": Mistake(swap(fill="old"), when=lambda run: not run["_itself"]),
    "not stored": Mistake(swap(store=False), when=lambda run: run["_n"]),
    "grows": Mistake(swap(room=2), when=lambda run: run["_longest"] > run["_size"]),
    "never swaps": Mistake(swap(coin=lambda: True), swap(give="new"),
                           when=lambda run: not run["_old"]),
    "for ever": Mistake(swap(put=False), when=lambda run: run["_for_ever"]),
    "only old": Mistake(swap(coin=lambda: False), when=lambda run: run["_old"] == run["_later"]),
    "both": Mistake(swap(keep=True), when=lambda run: run["_both"]),
    "another leaves": Mistake(another_leaves, when=lambda run: run["_stays"]),
    "one place": Mistake(swap(place=lambda size: 0),
                         when=lambda run: run["_places"] < run["_size"]),
    "one in ten": Mistake(swap(coin=lambda: bool(torch.rand(()) < 0.9)),
                          when=lambda run: not 0.4 < run["_old"] / run["_later"] < 0.6),
    "a branch without return": without_return})
def pool_swap(answer):
    """my_swap(image, stored, size) -> the image D is shown; `stored` is changed in place."""
    size, n = 4, 404
    run, stored, graph, weight = [], [], False, torch.ones((), requires_grad=True)
    for k in range(1, n + 1):  # the images are numbered from 1
        before = [_who(image) for image in stored]
        given = {"image": weight * torch.full((3, 4, 6), float(k)), "stored": stored, "size": size}
        when = "while the pool fills" if k <= size else "now and then once the pool is full"
        shown = again(answer, when, **given) if k > 1 else call(answer, **given)
        run.append((k, _who(shown), before, [_who(image) for image in stored]))
        graph = graph or any(image.requires_grad for image in (shown, *stored))
    filling, later = run[:size], run[size:]
    old = [(k, shown, before, after) for k, shown, before, after in later if shown != k]
    missing = next(((k, len(after)) for k, _, _, after in filling if len(after) != k), (0, 0))
    return {"_size": size, "_graph": graph, "_later": len(later), "_old": len(old),
            "_itself": all(shown == k for k, shown, *_ in filling),
            "_n": missing[0], "_stored": missing[1],
            "_longest": max(len(after) for *_, after in later),
            "_for_ever": all(before == after for *_, before, after in later),
            "_both": any(k in after for k, shown, _, after in later if shown == k),
            "_stays": any(shown in after or k not in after for k, shown, _, after in old),
            "_places": len({before.index(shown) for _, shown, before, _ in old if shown in before})}


# The optimisers ----------------------------------------------------------------------------------

LR, BETAS = 3e-4, (0.5, 0.999)
FINE = {"foreign": "", "missing": "", "twice": False, "adam": True, "extra": "", "betas": BETAS,
        "lr": LR}
EXTRAS = "weight_decay", "amsgrad", "maximize"  # which the paper's Adam is without


def players(G=lambda G_xy, G_yx, D_x, D_y: (G_xy, G_yx),
            D=lambda G_xy, G_yx, D_x, D_y: (D_x, D_y), make=torch.optim.Adam, **options):
    """Which networks each of the two optimisers holds, and how both are made."""
    adam = issubclass(make, torch.optim.Adam | torch.optim.AdamW)
    options = ({"betas": BETAS} if adam else {}) | options
    return lambda *a: [make(nn.ModuleList(which(*a[:4])).parameters(), a[4], **options)
                       for which in (G, D)]


def listed(first, second, make=lambda p, q: [*p, *q]):
    """G's parameters as two lists, added."""
    return lambda *a: (torch.optim.Adam(make(a[first].parameters(), a[second].parameters()), a[4],
                                        BETAS), players()(*a)[1])


def in_groups(G_xy, G_yx, D_x, D_y, lr):
    once = {p: None for net in (G_xy, G_yx) for p in net.parameters()}
    return (torch.optim.Adam([{"params": [p]} for p in once], lr, BETAS),
            torch.optim.AdamW([*D_x.parameters(), *D_y.parameters()], lr, BETAS,
                              weight_decay=0))


@exercise(right=players(), also_right=[in_groups], mistakes={
    "order": Mistake(lambda *a: players()(*a)[::-1], when=lambda seen: (
        " and " in seen["foreign"] and " and " in seen["missing"])),
    "foreign": Mistake(players(G=lambda *a: a), players(G=lambda *a: a[:3]),
                       when=lambda seen: seen["foreign"]),
    "one twice": Mistake(listed(0, 0), when=lambda seen: seen["missing"] and seen["twice"]),
    "missing": Mistake(players(D=lambda *a: a[3:]), when=lambda seen: seen["missing"]),
    "shared twice": Mistake(listed(0, 1), listed(0, 1, chain), when=lambda seen: seen["twice"]),
    "not Adam": Mistake(*(players(make=make) for make in (
        torch.optim.RMSprop, torch.optim.SGD, torch.optim.NAdam)), when=lambda seen: (
            not seen["adam"])),
    "weight decay": Mistake(players(make=torch.optim.AdamW), players(weight_decay=0.01),
                            when=lambda seen: "weight_decay" in seen["extra"]),
    "another Adam": Mistake(players(amsgrad=True), players(maximize=True),
                            when=lambda seen: seen["extra"]),
    "lr": Mistake(lambda *a: players()(*a[:4], 1e-3),
                  when=lambda seen: not isclose(seen["lr"], LR, rel_tol=1e-3)),
    "betas": Mistake(players(betas=(0.9, 0.999)), players(betas=(0.5, 0.9)),
                     when=lambda seen: not close_to(seen["betas"], BETAS))})
def optimisers(answer):
    """my_optimisers(G_xy, G_yx, D_x, D_y, lr) -> (optimiser_G, optimiser_D)."""
    shared = Affine(1.0, 0.0)  # as in notebook 05: one layer, two networks
    G_xy, G_yx = nn.Sequential(Affine(0.5), shared), nn.Sequential(Affine(1.5), shared)
    nets = {"G_xy": G_xy, "G_yx": G_yx, "D_x": PatchScore(0.8), "D_y": PatchScore(-0.6)}
    pair = call(answer, **nets, lr=LR)
    if not (isinstance(pair, tuple | list) and len(pair) == 2
            and all(isinstance(o, torch.optim.Optimizer) for o in pair)):
        raise Wrong(f"expected the pair (optimiser_G, optimiser_D), found {kind(pair)}.")
    seen = [_holds(optimiser, nets, own) | _settings(optimiser) for own, optimiser in
            zip((("G_xy", "G_yx"), ("D_x", "D_y")), pair, strict=True)]
    # One player's faults at a time, and what it holds before how it is made.
    k = next((k for stages in (list(FINE)[:3], FINE) for k in (0, 1)
              if any(seen[k][stage] != FINE[stage] for stage in stages)), 1)
    return seen[k] | {"_which": "GD"[k], "_class": type(pair[k]).__name__}


def _holds(optimiser, nets, own):
    """Which networks' parameters an optimiser steps; own: the networks that it should step."""
    ids = Counter(id(p) for group in optimiser.param_groups for p in group["params"])
    inside = {name: [ids[id(p)] for p in net.parameters()] for name, net in nets.items()}
    foreign = [name for name in nets if name not in own and any(inside[name])]
    missing = [name for name in own if not all(inside[name])]
    return {"foreign": " and ".join(foreign), "missing": " and ".join(missing),
            "twice": max(ids.values()) > 1}


def _settings(optimiser):
    """What kind of Adam it is, in every group of its parameters."""
    seen = {k: FINE[k] for k in ("adam", "extra", "betas", "lr")}
    seen["adam"] = isinstance(optimiser, torch.optim.Adam | torch.optim.AdamW)
    for group in optimiser.param_groups:
        extra = [f"{name}={group[name]}" for name in EXTRAS if group.get(name)]
        seen["extra"] = ", ".join(extra) or seen["extra"]
        betas = tuple(map(float, group.get("betas", BETAS)))
        seen["betas"] = seen["betas"] if close_to(betas, BETAS) else betas
        seen["lr"] = seen["lr"] if isclose(group["lr"], LR, rel_tol=1e-3) else float(group["lr"])
    return seen


# The schedule ------------------------------------------------------------------------------------

def factor(e, c, d):
    return min(1, (c + d - e) / d)


@exercise(right=factor, also_right=[lambda e, c, d: 1 - max(0, e - c) / d], mistakes={
    "early": Mistake(lambda e, c, d: min(1, (c + d - 1 - e) / d),
                     lambda e, c, d: 1 - max(0, e + 1 - c) / d),
    "0 in the last epoch": lambda e, c, d: min(1, (c + d - 1 - e) / (d - 1)),
    "the authors'": lambda e, c, d: 1 - max(0, e + 1 - c) / (d + 1),
    "late": lambda e, c, d: 1 - max(0, e - 1 - c) / d,
    "from the beginning": lambda e, c, d: 1 - e / (c + d),
    "rounded down": lambda e, c, d: min(1, (c + d - e) // d),
    "above 1": lambda e, c, d: (c + d - e) / d,
    "never falls": lambda e, c, d: 1.0,
    "taken away": lambda e, c, d: max(0, e - c) / d,
    "one branch": lambda e, c, d: 1.0 if e < c else None})
def lr_factor(answer):
    """my_factor(epoch, constant, decay): 1, then down so that 0 comes just after the last."""
    found = []
    for e in range(7):
        given = {"epoch": e, "constant": 3, "decay": 4}
        value = again(answer, f"at epoch {e}", **given) if e else call(answer, **given)
        found.append(number(value, f"the factor at epoch {e}"))
    return {"factors": {f"the factor at epoch {e}": value for e, value in enumerate(found)},
            "_all": [round(value, 2) for value in found]}
