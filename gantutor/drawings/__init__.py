"""The data flow of each method as a drawing: SVG with alternative text, in one visual language.

Squares are pictures, blue in X and red in Y. Circles are codes. Boxes are networks, named as in the
code; discriminators are grey, frozen networks hatched. Arrows are what is computed. A green dashed
line is a loss: it pulls its two ends together, or says what a discriminator asks. Two bars across
an arrow: no gradient gets through.
"""

from html import escape
from typing import NamedTuple

X, Y, INK, LOSS, GREY = "#2a6f97", "#c0503a", "#222222", "#2d7a4f", "#eeeeee"
WIDE, TALL, MARGIN = 112, 84, 46
HALF = {"x": (21, 21), "y": (21, 21), "code": (15, 15), "net": (38, 17), "D": (38, 17),
        "frozen": (38, 17), "word": (30, 10)}  # half of each kind's width and height


class Node(NamedTuple):
    """Something at (column, row), which may be fractions. kind: a key of HALF."""

    kind: str
    column: float
    row: float
    label: str = ""


class Drawing(NamedTuple):
    """nodes: {name: Node}. arrows: "a > b", "a | b" where no gradient passes, "a > b > c" for more.

    losses: (a, b, what) or (a, b, what, bend), which leaves the straight line by `bend` rows, up if
    negative. `text` says the same in words, for those who cannot see the drawing.
    """

    title: str
    text: str
    nodes: dict
    arrows: tuple
    losses: tuple = ()


def _place(node):
    return MARGIN + node.column * WIDE, MARGIN + node.row * TALL


def _half(node):
    wide, tall = HALF[node.kind]
    return (3.2 * len(node.label) if node.kind == "word" else wide), tall


def _edge(node, towards):
    """Where the line from the node's middle to a point leaves the node, and a little air."""
    (x, y), (wide, tall) = _place(node), _half(node)
    dx, dy = towards[0] - x, towards[1] - y
    if not (dx or dy):
        return x, y
    share = min((wide + 4) / abs(dx) if dx else 9e9, (tall + 4) / abs(dy) if dy else 9e9)
    if node.kind == "code":
        share = (wide + 4) / (dx * dx + dy * dy) ** 0.5
    return x + dx * share, y + dy * share


def _text(x, y, words, size=12, color=INK, family="sans-serif", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="middle" '
            f'font-family="{family}" font-weight="{weight}">{escape(words)}</text>')


def _node(node):
    (x, y), (wide, tall), label = _place(node), _half(node), node.label
    box = f'x="{x - wide:.1f}" y="{y - tall:.1f}" width="{2 * wide}" height="{2 * tall}"'
    mono = "ui-monospace, Menlo, Consolas, monospace"
    match node.kind:
        case "x" | "y":
            color = X if node.kind == "x" else Y
            return (f'<rect {box} rx="5" fill="{color}" fill-opacity="0.22" stroke="{color}" '
                    f'stroke-width="2"/>' + _text(x, y + 4, label, 12, INK, mono))
        case "code":
            return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{wide}" fill="#f6d55c" '
                    f'stroke="{INK}"/>' + _text(x, y + 4, label, 11, INK, mono))
        case "word":
            return _text(x, y + 4, label, 11, LOSS)
        case _:
            fill = {"net": "white", "D": GREY, "frozen": "url(#hatch)"}[node.kind]
            return (f'<rect {box} rx="8" fill="{fill}" stroke="{INK}" stroke-width="1.3"/>'
                    + _text(x, y + 4, label, 12, INK, mono, "bold"))


def _arrow(a, b, detached):
    start, end = _edge(a, _place(b)), _edge(b, _place(a))
    line = (f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
            f'stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>')
    if not detached:
        return line
    dx, dy = end[0] - start[0], end[1] - start[1]
    size = (dx * dx + dy * dy) ** 0.5
    bars = ""
    for share in (0.4, 0.52):  # two bars across the arrow
        x, y = start[0] + share * dx, start[1] + share * dy
        bars += (f'<line x1="{x - 7 * dy / size:.1f}" y1="{y + 7 * dx / size:.1f}" '
                 f'x2="{x + 7 * dy / size:.1f}" y2="{y - 7 * dx / size:.1f}" stroke="{INK}" '
                 'stroke-width="2"/>')
    return line + bars


def _loss(a, b, what, bend=0.0):
    middle = [(p + q) / 2 for p, q in zip(_place(a), _place(b), strict=True)]
    control = middle[0], middle[1] + 2 * bend * TALL  # the curve's middle is `bend` rows off
    start, end = _edge(a, control if bend else _place(b)), _edge(b, control if bend else _place(a))
    line = (f'<path d="M{start[0]:.1f},{start[1]:.1f} Q{control[0]:.1f},{control[1]:.1f} '
            f'{end[0]:.1f},{end[1]:.1f}" fill="none" stroke="{LOSS}" stroke-width="2" '
            'stroke-dasharray="5 4"/>')
    if not what:
        return line
    x, y = (0.25 * start[k] + 0.5 * control[k] + 0.25 * end[k] for k in (0, 1))
    wide = 6.4 * len(what) + 6
    return (line + f'<rect x="{x - wide / 2:.1f}" y="{y - 9:.1f}" width="{wide:.1f}" height="17" '
            'fill="white"/>' + _text(x, y + 4, what, 11, LOSS))


def _bounds(drawing):
    """(left, top, width, height) of everything drawn."""
    sides = []
    for node in drawing.nodes.values():
        (x, y), (wide, tall) = _place(node), _half(node)
        sides.append((x - wide, y - tall, x + wide, y + tall))
    for a, b, _, *bend in drawing.losses:
        y = (_place(drawing.nodes[a])[1] + _place(drawing.nodes[b])[1]) / 2 + TALL * sum(bend)
        sides.append((_place(drawing.nodes[a])[0], y - 16, _place(drawing.nodes[b])[0], y + 16))
    left, top = (min(side[k] for side in sides) for k in (0, 1))
    right, low = (max(side[k] for side in sides) for k in (2, 3))
    return left - 8, top - 8, right - left + 16, low - top + 16


def svg(drawing):
    """The drawing as one SVG element with a title and a description. Its background is white."""
    nodes, parts = drawing.nodes, []
    for a, b, what, *bend in drawing.losses:
        parts.append(_loss(nodes[a], nodes[b], what, *bend))
    for chain in drawing.arrows:
        words = chain.split()
        for a, how, b in zip(words[::2], words[1::2], words[2::2], strict=False):
            parts.append(_arrow(nodes[a], nodes[b], how == "|"))
    parts += [_node(node) for node in nodes.values()]
    left, top, wide, tall = _bounds(drawing)
    if drawing.losses:
        y = top + tall + 6
        parts.append(f'<line x1="{left + 8:.1f}" y1="{y:.1f}" x2="{left + 36:.1f}" y2="{y:.1f}" '
                     f'stroke="{LOSS}" stroke-width="2" stroke-dasharray="5 4"/>'
                     + _text(left + 60, y + 4, "a loss", 11, LOSS))
        tall += 20
    return (f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{left:.0f} {top:.0f} '
            f'{wide:.0f} {tall:.0f}" width="{wide:.0f}" style="max-width:100%;height:auto">'
            f'<title>{escape(drawing.title)}</title><desc>{escape(drawing.text)}</desc>'
            '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="3" '
            f'orient="auto"><path d="M0,0 L6,3 L0,6 z" fill="{INK}"/></marker>'
            '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect width="7" height="7" fill="white"/>'
            '<line x1="0" y1="0" x2="0" y2="7" stroke="#bbbbbb" stroke-width="3"/></pattern></defs>'
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{tall:.0f}" '
            f'fill="white"/>{"".join(parts)}</svg>')
