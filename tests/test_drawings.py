"""The drawings: names that the code has, nothing outside the frame, and words that say it."""

import inspect
import re
import xml.etree.ElementTree as ET

import pytest

from gantutor import show
from gantutor.drawings import HALF, Drawing, Node, svg
from gantutor.drawings.lecture import DRAWINGS
from gantutor.methods.common_space import AlignedCodes, CommonSpace, TwoAutoencoders
from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.dtn import DTN
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.stargan import StarGAN

CLASSES = {"direct": Direct, "vgg": Perceptual, "one-way": OneWayCycleGAN, "cyclegan": CycleGAN,
           "common space": TwoAutoencoders, "stargan": StarGAN,
           "auto-encoders": TwoAutoencoders, "shared": TwoAutoencoders, "domain": AlignedCodes,
           "combogan": CommonSpace, "xgan": CommonSpace, "dtn": DTN}
every_drawing = pytest.mark.parametrize("name", DRAWINGS)
SVG = "{http://www.w3.org/2000/svg}"


@every_drawing
def test_networks_have_the_names_of_the_code(name):
    known = set()
    for base in CLASSES[name].__mro__:
        if base.__module__.startswith("gantutor"):
            known |= set(inspect.signature(base.__init__).parameters)
    drawn = {node.label for node in DRAWINGS[name].nodes.values()
             if node.kind in ("net", "D", "frozen")}
    assert drawn and drawn - {"shared"} <= known
    frozen = {node.label for node in DRAWINGS[name].nodes.values() if node.kind == "frozen"}
    assert frozen == {"vgg": {"embed"}, "dtn": {"f"}}.get(name, set())


@every_drawing
def test_everything_lies_in_the_frame_and_is_named_in_words(name):
    drawing = DRAWINGS[name]
    root = ET.fromstring(svg(drawing))
    left, top, wide, tall = map(float, root.get("viewBox").split())
    for rect in root.findall(f"{SVG}rect"):
        x, y = float(rect.get("x")), float(rect.get("y"))
        assert left <= x and x + float(rect.get("width")) <= left + wide + 1
        assert top <= y and y + float(rect.get("height")) <= top + tall + 1
    assert root.get("role") == "img" and root.find(f"{SVG}title").text == drawing.title
    assert root.find(f"{SVG}desc").text == drawing.text and len(drawing.text) > 80
    for node in drawing.nodes.values():
        if node.kind in ("net", "D", "frozen") and node.label != "shared":
            assert node.label in drawing.text, node.label
    used = set(re.findall(r"[\w]+", " ".join(drawing.arrows))) | {
        end for a, b, *_ in drawing.losses for end in (a, b)}
    assert used == set(drawing.nodes)  # nothing hangs in the air


def test_an_arrow_without_gradient_has_two_bars_and_a_bent_loss_leaves_the_line():
    nodes = {"x": Node("x", 0, 0, "x"), "z": Node("code", 1, 0, "z"), "a": Node("code", 2, 0, "<")}
    plain = svg(Drawing("t", "words", nodes, ("x > z > a",)))
    cut = svg(Drawing("t", "words", nodes, ("x | z > a",)))
    assert cut.count("<line") == plain.count("<line") + 2 and "&lt;</text>" in plain
    straight, bent = (svg(Drawing("t", "w", nodes, (), (("x", "a", "equal", bend),)))
                      for bend in (0, -1))
    assert float(ET.fromstring(bent).get("viewBox").split()[1]) < float(
        ET.fromstring(straight).get("viewBox").split()[1]) - 50
    assert set(HALF) == {"x", "y", "code", "net", "D", "frozen", "word"}


def test_a_notebook_shows_it_by_name():
    assert show.drawing("cyclegan").data == svg(DRAWINGS["cyclegan"])
    with pytest.raises(ValueError, match=r"'cycle': expected one of direct, vgg"):
        show.drawing("cycle")
