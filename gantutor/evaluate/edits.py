"""A method without codes, judged beside StarGAN: a CycleGAN between two of the faces' looks."""

from torch import nn

from gantutor.data import faces


class Coded(nn.Module):
    """A CycleGAN as a method with codes: there where a code asks for Y's hair colour, else back."""

    def __init__(self, method, colour_y):
        super().__init__()
        self.method, self.place = method, faces.APPEARANCE.index(colour_y)

    def translate(self, x, code):
        return self.method.translate(x) if code[0, self.place] else self.method.back(x)
