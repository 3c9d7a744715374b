"""Notebook 04's widget: pick a face, toggle attributes, see edit and truth (room: show)."""

import io

import ipywidgets as widgets
import torch
from PIL import Image

from gantutor import edits, faces, show

LABELS = ("input", "edit", "hidden truth", "error × 3")


def code_text(code):
    """A joint code as the lecture writes it: "10011 0000 10"."""
    digits = "".join(str(round(value)) for value in code.flatten().tolist())
    return f"{digits[:5]} {digits[5:9]} {digits[9:]}"


def edit_in_turn(translate, x, now, wanted):
    """One face edited into the record `wanted`, a set at a time; also the codes asked for.

    Only blocks that differ are asked for, because no training code had both: first the appearance
    (set A's code), then the expression (set B's). x (1, 3, H, W); now, wanted: (9,) records.
    """
    asked = []
    for columns, attribute in ((slice(0, 3), "hair"), (slice(3, 4), "expression")):
        if not torch.equal(now[columns], wanted[columns]):
            asked.append(edits.joint_code(wanted[None], attribute))
            with torch.no_grad():
                x = translate(x, asked[-1])
    return x, asked


def png(array):
    """(H, W, 3) uint8 -> the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


class FaceEditor(widgets.VBox):
    """A slider for the face, a control for every attribute, and the picture they make.

    translate: (images, joint codes) -> images; size: 32 or 64 px. The picture shows input, edit,
    hidden truth and error side by side; the line below it the codes and the L1 to the truth.
    Another face starts with its own attributes.
    """

    def __init__(self, translate, size=32):
        self.translate = translate
        self.images, self.records = edits.held_out_faces(size)
        self.face = widgets.IntSlider(value=21, min=0, max=len(self.images) - 1,
                                      description="face", continuous_update=False)
        self.hair = widgets.ToggleButtons(
            options=[(name.removesuffix(" hair"), k)
                     for k, name in enumerate(faces.APPEARANCE[:3])], description="hair")
        self.long_hair = widgets.ToggleButton(description="long hair")
        self.glasses = widgets.ToggleButton(description="glasses")
        self.expression = widgets.ToggleButtons(
            options=[(name, k) for k, name in enumerate(faces.EXPRESSION)],
            description="expression")
        # JupyterLab stretches a picture without a width; the titles stand over its quarters
        self.picture = widgets.Image(format="png", layout={"width": "640px"})
        self.text = widgets.HTML()
        titles = "".join(f"<div style='width:160px;text-align:center'>{name}</div>"
                         for name in LABELS)
        titles = widgets.HTML(f"<div style='display:flex;width:640px'>{titles}</div>")
        self.controls = [self.hair, self.long_hair, self.glasses, self.expression]
        self.face.observe(self._another_face, "value")
        for control in self.controls:
            control.observe(self._redraw, "value")
        super().__init__([self.face, self.hair, widgets.HBox([self.long_hair, self.glasses]),
                          self.expression, titles, self.picture, self.text])
        self._another_face()

    def _another_face(self, change=None):
        self.quiet = True  # one picture for four new values
        for control, value in zip(self.controls, self.records[self.face.value], strict=False):
            control.value = type(control.value)(value)
        self.quiet = False
        self._redraw()

    def _redraw(self, change=None):
        if self.quiet:
            return
        now = self.records[self.face.value]
        wanted = now.clone()
        wanted[:4] = torch.tensor([int(control.value) for control in self.controls])
        place = torch.tensor([self.face.value])
        for k, attribute in enumerate(faces.LOOKS):
            place = edits.counterpart(place, attribute, wanted[k])
        x, truth = self.images[self.face.value][None], self.images[place]
        edit, asked = edit_in_turn(self.translate, x, now, wanted)
        error = 3 * (edit - truth).abs().mean(1, keepdim=True).expand_as(x) - 1  # black: none
        array = show.grid_array(torch.cat([x, edit, truth, error]))
        self.picture.value = png(show.upscaled(array, 160 // x.shape[-1]))
        codes = " then ".join(f"<code>{code_text(code)}</code>" for code in asked) or "none"
        self.text.value = (
            f"code: {codes}<br>L1 to the truth "
            f"{(edit - truth).abs().mean():.3f}, of the unedited face "
            f"{(x - truth).abs().mean():.3f}")
