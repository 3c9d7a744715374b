"""Judges a method without codes like StarGAN: a CycleGAN between two looks of the faces."""

from torch import nn

from gantutor.data import faces


class Coded(nn.Module):
    """A CycleGAN as a method with codes: G_xy if the code asks for Y's hair colour, else G_yx."""

    def __init__(self, method, colour_y):
        super().__init__()
        self.method, self.place = method, faces.APPEARANCE.index(colour_y)

    def translate(self, x, code):
        return self.method.translate(x) if code[0, self.place] else self.method.back(x)
