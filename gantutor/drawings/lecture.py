"""The drawings of the lecture, one a method. Names are those of `gantutor.methods`."""

from gantutor.drawings import Drawing, Node


def image(domain, column, row, label=""):
    return Node(domain, column, row, label or domain)


def net(name, column, row, kind="net"):
    return Node(kind, column, row, name)


def code(label, column, row):
    return Node("code", column, row, label)


def word(text, column, row):
    return Node("word", column, row, text)


DIRECT = Drawing(
    "Direct transformation",
    "x goes through G_xy and becomes y'. D_y sees y' and real y and says which is real. Nothing"
    " compares y' with x.",
    {"x": image("x", 0, 0), "G": net("G_xy", 1, 0), "fake": image("y", 2, 0, "y'"),
     "D": net("D_y", 3, 0, "D"), "y": image("y", 2, 1), "asks": word("real or made?", 4.2, 0)},
    ("x > G > fake > D", "y > D"), (("D", "asks", ""),))

VGG = Drawing(
    "A fixed network sees the same",
    "As direct transformation, with G_xy and D_y. A frozen network, embed, looks at x and at "
    "y', and its features of both shall be alike. The gradient goes through it to y' and G_xy. "
    "It never changes, and the features of x are a fixed target.",
    {"x": image("x", 0, 0), "G": net("G_xy", 1, 0), "fake": image("y", 2, 0, "y'"),
     "D": net("D_y", 3, 0, "D"), "asks": word("real or made?", 4.2, 0),
     "phi1": net("embed", 0, 1, "frozen"), "phi2": net("embed", 2, 1, "frozen"),
     "f1": code("f", 0.75, 1.75), "f2": code("f'", 2.75, 1.75)},
    ("x > G > fake > D", "x > phi1", "phi1 | f1", "fake > phi2 > f2"),
    (("D", "asks", ""), ("f1", "f2", "alike")))

ONE_WAY = Drawing(
    "One-way cycle",
    "G_xy makes y' of x, and G_yx makes x'' of y'. x'' shall be x. D_y asks whether y' is real.",
    {"x": image("x", 0, 0), "G": net("G_xy", 1, 0), "fake": image("y", 2, 0, "y'"),
     "back": net("G_yx", 3, 0), "again": image("x", 4, 0, "x''"), "D": net("D_y", 2, 1, "D"),
     "asks": word("real or made?", 3.1, 1)},
    ("x > G > fake > back > again", "fake > D"), (("D", "asks", ""), ("x", "again", "equal", -0.6)))

TWO_WAY = Drawing(
    "CycleGAN",
    "Two cycles share two generators. G_xy makes y' of x, and G_yx brings it back as x''. G_yx "
    "makes x' of y, and G_xy brings it back as y''. Both round trips shall return what went in."
    " D_y judges y', D_x judges x'.",
    {"x": image("x", 0, 0), "G": net("G_xy", 1, 0), "fake_y": image("y", 2, 0, "y'"),
     "back": net("G_yx", 3, 0), "x2": image("x", 4, 0, "x''"), "D_y": net("D_y", 2, 0.95, "D"),
     "y": image("y", 0, 2.9), "G2": net("G_yx", 1, 2.9), "fake_x": image("x", 2, 2.9, "x'"),
     "back2": net("G_xy", 3, 2.9), "y2": image("y", 4, 2.9, "y''"),
     "D_x": net("D_x", 2, 1.95, "D")},
    ("x > G > fake_y > back > x2", "y > G2 > fake_x > back2 > y2", "fake_y > D_y", "fake_x > D_x"),
    (("x", "x2", "equal", -0.6), ("y", "y2", "equal", 0.6)))

STARGAN = Drawing(
    "StarGAN's three passes",
    "One generator G gets a picture and a wanted code. First pass: x and the target code c' "
    "become y'. Second pass: y' and the old code c become x'', which shall be x. Third: D looks"
    " at y' and says whether it is real, and which code it has; for y' that shall be c'. Where "
    "only some labels are known, a mask m says which, and G gets it as a part of the code.",
    {"x": image("x", 0, 0), "c1": code("c'", 1, -0.75), "G": net("G", 1, 0),
     "fake": image("y", 2, 0, "y'"), "c": code("c", 3, -0.75), "G2": net("G", 3, 0),
     "again": image("x", 4, 0, "x''"), "D": net("D", 2, 1, "D"),
     "real": word("real or made?", 3.2, 0.85), "cls": code("c'", 3, 1.45),
     "mask": code("m", 1.4, -0.75)},
    ("x > G > fake > G2 > again", "c1 > G", "c > G2", "mask > G", "fake > D > cls"),
    (("D", "real", ""), ("x", "again", "equal", -1.25)))

COMMON_SPACE = Drawing(
    "Projection to a common space",
    "E_x encodes x, E_y encodes y, both into one space of codes z. G_x draws a code as a picture of"
    " X, G_y as a picture of Y. A translation of x takes E_x and then G_y.",
    {"x": image("x", 0, 0), "E_x": net("E_x", 1, 0), "y": image("y", 0, 1),
     "E_y": net("E_y", 1, 1), "z": code("z", 2, 0.5), "G_x": net("G_x", 3, 0),
     "x2": image("x", 4, 0, "x'"), "G_y": net("G_y", 3, 1), "y2": image("y", 4, 1, "y'")},
    ("x > E_x > z > G_y > y2", "y > E_y > z > G_x > x2"))

AUTOENCODERS = Drawing(
    "Two auto-encoders",
    "E_x and G_x draw x again, E_y and G_y draw y again. A translation takes E_x and then G_y. "
    "Nothing asks the two codes to mean the same.",
    {"x": image("x", 0, 0), "E_x": net("E_x", 1, 0), "z_x": code("z", 2, 0),
     "G_x": net("G_x", 3, 0), "x2": image("x", 4, 0, "x''"),
     "y": image("y", 0, 1.3), "E_y": net("E_y", 1, 1.3), "z_y": code("z", 2, 1.3),
     "G_y": net("G_y", 3, 1.3), "y2": image("y", 4, 1.3, "y''")},
    ("x > E_x > z_x > G_x > x2", "y > E_y > z_y > G_y > y2", "z_x > G_y"),
    (("x", "x2", "equal", -0.55), ("y", "y2", "equal", 0.55)))

SHARED = Drawing(
    "Shared layers",
    "The last stages of E_x and E_y are one network, and so are the first stages of G_x and "
    "G_y. The stages next to the pictures stay apart.",
    {"x": image("x", 0, 0), "E_x": net("E_x", 1, 0), "y": image("y", 0, 1), "E_y": net("E_y", 1, 1),
     "E": net("shared", 2, 0.5), "z": code("z", 2.85, 0.5), "G": net("shared", 3.7, 0.5),
     "G_x": net("G_x", 4.7, 0), "x2": image("x", 5.6, 0, "x''"),
     "G_y": net("G_y", 4.7, 1), "y2": image("y", 5.6, 1, "y''")},
    ("x > E_x > E > z > G > G_x > x2", "y > E_y > E", "G > G_y > y2"))

DOMAIN = Drawing(
    "A discriminator for codes",
    "D_z sees codes of x and codes of y and says which domain they come from. E_x and E_y learn"
    " to make it guess.",
    {"x": image("x", 0, 0), "E_x": net("E_x", 1, 0), "z_x": code("z", 2, 0),
     "y": image("y", 0, 1), "E_y": net("E_y", 1, 1), "z_y": code("z", 2, 1),
     "D_z": net("D_z", 3, 0.5, "D"), "asks": word("from X or from Y?", 4.35, 0.5)},
    ("x > E_x > z_x > D_z", "y > E_y > z_y > D_z"), (("D_z", "asks", ""),))

COMBOGAN = Drawing(
    "ComboGAN's four stations",
    "x goes through E_x and G_y and becomes y'. y' goes through E_y and G_x and becomes x'', "
    "which shall be x. D_y judges y'.",
    {"x": image("x", 0, 0), "E_x": net("E_x", 0.9, 0), "z": code("z", 1.7, 0),
     "G_y": net("G_y", 2.5, 0), "fake": image("y", 3.4, 0, "y'"), "E_y": net("E_y", 4.3, 0),
     "z2": code("z'", 5.1, 0), "G_x": net("G_x", 5.9, 0), "again": image("x", 6.8, 0, "x''"),
     "D_y": net("D_y", 3.4, 0.95, "D")},
    ("x > E_x > z > G_y > fake > E_y > z2 > G_x > again", "fake > D_y"),
    (("x", "again", "equal", -0.7),))

XGAN = Drawing(
    "Semantic consistency",
    "E_x gives x the code z, and G_y draws it as y'. The translation y' is encoded again, by "
    "E_y. Its code z' shall be z. z is a fixed target: no gradient reaches E_x through it.",
    {"x": image("x", 0, 0), "E_x": net("E_x", 1, 0), "z": code("z", 2, 0), "G_y": net("G_y", 3, 0),
     "fake": image("y", 4, 0, "y'"), "E_y": net("E_y", 4, 0.95), "z2": code("z'", 3, 0.95),
     "target": code("z", 2, 0.95)},
    ("x > E_x > z > G_y > fake > E_y > z2", "z | target"), (("target", "z2", "equal"),))

DTN = Drawing(
    "DTN",
    "f is frozen and reads both domains. g draws f's code of x as y'. f of y' shall be f of x. "
    "g draws f's code of y as y itself. D has three classes: g of x, g of y, and real y.",
    {"x": image("x", 0, 0), "f": net("f", 1, 0, "frozen"), "c": code("c", 2, 0),
     "g": net("g", 3, 0), "fake": image("y", 4, 0, "y'"), "f2": net("f", 4, 0.95, "frozen"),
     "c2": code("c'", 3, 0.95), "target": code("c", 2, 0.95),
     "y": image("y", 0, 1.95), "f3": net("f", 1, 1.95, "frozen"), "c3": code("c", 2, 1.95),
     "g2": net("g", 3, 1.95), "same": image("y", 4, 1.95, "y''"), "D": net("D", 5, 0, "D"),
     "asks": word("which of three?", 5, 0.75)},
    ("x > f > c > g > fake > f2 > c2", "c | target", "y > f3 > c3 > g2 > same", "fake > D"),
    (("target", "c2", "equal"), ("y", "same", "equal", 0.55), ("D", "asks", "")))

DRAWINGS = {"direct": DIRECT, "vgg": VGG, "one-way": ONE_WAY, "cyclegan": TWO_WAY,
            "common space": COMMON_SPACE, "stargan": STARGAN,
            "auto-encoders": AUTOENCODERS, "shared": SHARED, "domain": DOMAIN,
            "combogan": COMBOGAN, "xgan": XGAN, "dtn": DTN}
