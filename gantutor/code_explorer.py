"""The common space's widget: a person's code, moved by attributes and mixed (room: show)."""

import ipywidgets as widgets
import torch

from gantutor import data, evaluate, show
from gantutor.face_editor import png

LABELS = ("input", "decoded in X", "decoded in Y", "hidden truth in Y")
STEPS, LABELLED = 7, 1000  # pictures from person to person; labelled images behind a direction


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
    for k, (name, count) in enumerate(zip(data.ATTRIBUTES, data.AVATAR_SIZES, strict=True)):
        name = name.replace("_", " ")
        choices += ([(name, (k, 1))] if count == 2 else
                    [(f"{name} {value}", (k, value)) for value in range(count)])
    return choices


class CodeExplorer(widgets.VBox):
    """Two people, and how much of an attribute: their codes mixed, moved along its direction.

    z = (1 - mix) z_person + mix z_towards + amount * direction. method: a trained `CommonSpace`,
    or what else has E_x, G_x and G_y; size: 32 or 64 px. The people are held-out X images; a
    direction comes from labelled training X images. The strip below goes from one person to the
    other in both styles, with the same amount added. The line is what the fixed classifier reads
    off the picture in Y.
    """

    def __init__(self, method, size=32):
        self.method, self.size = method, size
        self.device = next(method.parameters()).device
        self.x, self.truth, self.records = evaluate.held_out_pairs("avatars", size)
        self.people = self._encoded(self.x)
        labelled = data.to_float(data.avatar_sheet("train_x", LABELLED, size))
        self.codes = self._encoded(labelled)
        self.values = data.avatar_records("train_x")[:LABELLED]
        self.directions = {}  # (column, value): its direction, once it has been asked for
        choices = attribute_choices()
        quiet = {"continuous_update": False}  # one picture a move, not one a pixel
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
        width, strip = f"{len(LABELS) * tile}px", f"{STEPS * step}px"
        self.picture = widgets.Image(format="png", layout={"width": width})
        self.strip = widgets.Image(format="png", layout={"width": strip})
        self.text = widgets.HTML()
        titles = "".join(f"<div style='width:{tile}px;text-align:center'>{name}</div>"
                         for name in LABELS)
        titles = widgets.HTML(f"<div style='display:flex;width:{width}'>{titles}</div>")
        caption = widgets.HTML(
            f"<div style='display:flex;justify-content:space-between;width:{strip}'>"
            "<span>mix 0: person</span><span>in X, and in Y below it</span>"
            "<span>mix 1: towards</span></div>")
        for control in (self.person, self.attribute, self.amount, self.towards, self.mix):
            control.observe(self._redraw, "value")
        super().__init__([
            widgets.HBox([self.person, self.attribute, self.amount]),
            widgets.HBox([self.towards, self.mix]), titles, self.picture, self.text, caption,
            self.strip])
        self._redraw()

    def _encoded(self, images):
        """The codes of X images, on the CPU."""
        return evaluate.in_batches(lambda x: self.method.E_x(x.to(self.device)).cpu(), images)

    def direction(self):
        """The direction of the chosen attribute value."""
        column, value = chosen = self.attribute.value
        if chosen not in self.directions:
            self.directions[chosen] = attribute_direction(self.codes, self.values[:, column], value)
        return self.directions[chosen]

    def code(self, mix):
        """(len(mix), c, h, w): the codes at each mix, the amount of the attribute added."""
        mix = torch.as_tensor(mix).view(-1, 1, 1, 1)
        z = (1 - mix) * self.people[self.person.value] + mix * self.people[self.towards.value]
        return z + self.amount.value * self.direction()

    @torch.no_grad()
    def decoded(self, z):
        """The pictures of the codes z in X and in Y."""
        return tuple(G(z.to(self.device)).cpu() for G in (self.method.G_x, self.method.G_y))

    def _redraw(self, change=None):
        person, (column, _) = self.person.value, self.attribute.value
        in_x, in_y = self.decoded(self.code([self.mix.value]))
        row = torch.cat([self.x[person][None], in_x, in_y, self.truth[person][None]])
        self.picture.value = png(show.upscaled(show.grid_array(row), max(1, 160 // self.size)))
        rows = self.decoded(self.code(torch.linspace(0, 1, STEPS)))
        self.strip.value = png(show.upscaled(show.grid_array(*rows), max(1, 96 // self.size)))
        read = evaluate.read_attributes(in_y, self.size)[0, column].item()
        name, own = data.ATTRIBUTES[column].replace("_", " "), self.records[person, column].item()
        self.text.value = (f"read off the picture in Y: <b>{name} {read}</b>; "
                           f"the person's own: {name} {own}")
