"""Interactive controls: `FaceEditor` for StarGAN, `CodeExplorer` for a common space."""

import io

import ipywidgets as widgets
import torch
from PIL import Image

from gantutor import data, evaluate, show
from gantutor.data import avatars, faces
from gantutor.evaluate.metrics import in_batches

EDIT_TITLES = ("input", "edit", "hidden truth", "error × 3")
CODE_TITLES = ("input", "decoded in X", "decoded in Y", "hidden truth in Y")
STEPS, LABELLED = 7, 1000  # pictures from person to person; labelled images behind a direction


def png(array):
    """(H, W, 3) uint8 -> the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def titled(titles, tile):
    """A line of titles, each over its own picture of `tile` px in a row."""
    spans = "".join(f"<div style='width:{tile}px;text-align:center'>{name}</div>"
                    for name in titles)
    return widgets.HTML(f"<div style='display:flex;width:{len(titles) * tile}px'>{spans}</div>")


def code_text(code):
    """A joint code as the lecture writes it: "10011 0000 10"."""
    digits = "".join(str(round(value)) for value in code.flatten().tolist())
    return f"{digits[:5]} {digits[5:9]} {digits[9:]}"


def edit_in_turn(translate, x, now, wanted):
    """Edits one face into the record `wanted`, one set at a time. Returns the face and the codes.

    No training code had both blocks. So first the appearance is edited (set A's code), then the
    expression (set B's), if they differ. x (1, 3, H, W); now, wanted: (9,) records.
    """
    asked = []
    for columns, attribute in ((slice(0, 3), "hair"), (slice(3, 4), "expression")):
        if not torch.equal(now[columns], wanted[columns]):
            asked.append(faces.joint_code(wanted[None], attribute))
            x = in_batches(translate, x, asked[-1])
    return x, asked


class FaceEditor(widgets.VBox):
    """A slider for the face, a control for every attribute, and the picture they make.

    translate: (images, joint codes) -> images; size: 32 or 64 px. The picture shows input, edit,
    hidden truth and error side by side. The line below it shows codes and L1 to the truth.
    Another face starts with its own attributes.
    """

    def __init__(self, translate, size=32):
        self.translate = translate
        self.images, self.records = faces.held_out(size)
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
        self.controls = [self.hair, self.long_hair, self.glasses, self.expression]
        self.face.observe(self._another_face, "value")
        for control in self.controls:
            control.observe(self._redraw, "value")
        super().__init__([self.face, self.hair, widgets.HBox([self.long_hair, self.glasses]),
                          self.expression, titled(EDIT_TITLES, 160), self.picture, self.text])
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
            place = faces.counterpart(place, attribute, wanted[k])
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


def attribute_direction(codes, values, value):
    """Mean code of the images whose attribute is `value` minus that of all others: (c, h, w).

    Larsen, Sonderby, Larochelle, Winther, ICML 2016: "visual attribute vectors".
    codes: (N, c, h, w); values: (N,). ValueError where one of the two groups is empty.
    """
    chosen = values == value
    if chosen.all() or not chosen.any():
        raise ValueError(f"value {value}: {int(chosen.sum())} of {len(chosen)} images have it, "
                         "expected some with it and some without")
    return codes[chosen].mean(0) - codes[~chosen].mean(0)


def attribute_choices():
    """[(label, (column of the records, value))]: "hair 3", or "glasses" for value 1 of two."""
    choices = []
    for k, (name, count) in enumerate(avatars.ATTRIBUTES.items()):
        name = name.replace("_", " ")
        choices += ([(name, (k, 1))] if count == 2 else
                    [(f"{name} {value}", (k, value)) for value in range(count)])
    return choices


class CodeExplorer(widgets.VBox):
    """Mixes the codes of two people and adds an amount of an attribute's direction.

    z = (1 - mix) z_person + mix z_towards + amount * direction. method: a trained `CommonSpace`,
    or a method with E_x, G_x and G_y; size: 32 or 64 px. The people are held-out X images; a
    direction comes from labelled training X images. The strip below goes from one person to the
    other in both styles, with the same amount added. The line is what the fixed classifier reads
    off the picture in Y.
    """

    def __init__(self, method, size=32):
        self.method, self.size = method, size
        self.pack = data.AVATARS.at(size)
        self.x, self.truth, self.records = evaluate.held_out_pairs(self.pack)
        self.people = self._encoded(self.x)
        labelled = data.to_float(avatars.sheet("train_x", size, LABELLED))
        self.codes = self._encoded(labelled)
        self.values = avatars.records("train_x")[:LABELLED]
        self.directions = {}  # (column, value): its direction, once it has been asked for
        choices = attribute_choices()
        quiet = {"continuous_update": False}  # one new picture per move, not per pixel
        last = len(self.x) - 1
        self.person = widgets.IntSlider(value=0, min=0, max=last, description="person", **quiet)
        self.attribute = widgets.Dropdown(options=choices, value=dict(choices)["glasses"],
                                          description="attribute")
        self.amount = widgets.FloatSlider(value=0.0, min=-2.0, max=2.0, step=0.1,
                                          description="amount", **quiet)
        self.towards = widgets.IntSlider(value=1, min=0, max=last, description="towards", **quiet)
        self.mix = widgets.FloatSlider(value=0.0, min=0.0, max=1.0, step=0.05, description="mix",
                                       **quiet)
        # JupyterLab stretches a picture without a width; whole multiples keep the pixels square
        tile, step = (max(1, target // size) * size for target in (160, 96))
        width, strip = f"{len(CODE_TITLES) * tile}px", f"{STEPS * step}px"
        self.picture = widgets.Image(format="png", layout={"width": width})
        self.strip = widgets.Image(format="png", layout={"width": strip})
        self.text = widgets.HTML()
        caption = widgets.HTML(
            f"<div style='display:flex;justify-content:space-between;width:{strip}'>"
            "<span>mix 0: person</span><span>in X, and in Y below it</span>"
            "<span>mix 1: towards</span></div>")
        for control in (self.person, self.attribute, self.amount, self.towards, self.mix):
            control.observe(self._redraw, "value")
        super().__init__([
            widgets.HBox([self.person, self.attribute, self.amount]),
            widgets.HBox([self.towards, self.mix]), titled(CODE_TITLES, tile), self.picture,
            self.text, caption, self.strip])
        self._redraw()

    def _encoded(self, images):
        """The codes of X images, on the CPU."""
        return in_batches(self.method.E_x, images)

    def direction(self):
        """The direction of the chosen attribute value."""
        column, value = chosen = self.attribute.value
        if chosen not in self.directions:
            self.directions[chosen] = attribute_direction(self.codes, self.values[:, column], value)
        return self.directions[chosen]

    def code(self, mix):
        """(len(mix), c, h, w): the codes at each mix, plus the amount of the attribute."""
        mix = torch.as_tensor(mix).view(-1, 1, 1, 1)
        z = (1 - mix) * self.people[self.person.value] + mix * self.people[self.towards.value]
        return z + self.amount.value * self.direction()

    def decoded(self, z):
        """The pictures of the codes z in X and in Y."""
        return tuple(in_batches(G, z) for G in (self.method.G_x, self.method.G_y))

    def _redraw(self, change=None):
        person, (column, _) = self.person.value, self.attribute.value
        in_x, in_y = self.decoded(self.code([self.mix.value]))
        row = torch.cat([self.x[person][None], in_x, in_y, self.truth[person][None]])
        self.picture.value = png(show.upscaled(show.grid_array(row), max(1, 160 // self.size)))
        rows = self.decoded(self.code(torch.linspace(0, 1, STEPS)))
        self.strip.value = png(show.upscaled(show.grid_array(*rows), max(1, 96 // self.size)))
        read = evaluate.read_attributes(in_y, self.pack)[0, column].item()
        name, own = list(avatars.ATTRIBUTES)[column], self.records[person, column].item()
        name = name.replace("_", " ")
        self.text.value = (f"read off the picture in Y: <b>{name} {read}</b>; "
                           f"the person's own: {name} {own}")
