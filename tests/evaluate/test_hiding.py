"""The lab finds a message that we hide ourselves, and none where there is none."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from gantutor.data import monochrome
from gantutor.evaluate import hiding, metrics
from gantutor.evaluate.hiding import NOISE_LEVELS


def images(n=3, h=16, w=24, seed=0):
    """Smooth pictures, as photographs are, within [-0.8, 0.8]."""
    coarse = torch.rand(n, 3, 4, 6, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, (h, w), mode="bilinear")


class Honest:
    """There: halved contrast; back: doubled. Nothing needs hiding."""

    def translate(self, x):
        return x / 2

    def back(self, y):
        return y * 2


class Hider:
    """There: grey, plus the colours two hundred times fainter; back: amplified again."""

    gain = 200

    def translate(self, x):
        return monochrome(x) + (x - monochrome(x)) / self.gain

    def back(self, y):
        return monochrome(y) + (y - monochrome(y)) * self.gain


def test_noise_has_the_size_asked_for_in_grey_levels():
    x = torch.zeros(4, 3, 40, 60)
    noisy = hiding.add_noise(x, 4)
    # 4 of 256 levels from black to white, and black to white is 2
    assert noisy.std().item() == pytest.approx(2 * 4 / 256, rel=0.02)
    assert torch.equal(noisy, hiding.add_noise(x, 4)) and torch.equal(hiding.add_noise(x, 0), x)
    assert not torch.equal(noisy, hiding.add_noise(x, 4, seed=1))


def test_eight_bit_by_hand():
    x = torch.tensor([-1.2, -1.0, 0.0, 0.003, 1.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    levels = torch.tensor([0, 0, 128, 128, 255]) / 127.5 - 1  # 127.5 rounds to even, 128
    torch.testing.assert_close(hiding.eight_bit(x)[0, 0, 0], levels)


def test_jpeg_is_pillows():
    x = images()
    file = io.BytesIO()
    array = ((x[1] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(file, "JPEG", quality=50, subsampling=0)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(hiding.jpeg(x, 50)[1], expected)
    losses = [metrics.l1(hiding.jpeg(x, quality), x) for quality in (95, 75, 30)]
    assert losses == sorted(losses) and losses[0] > 0


def test_blur_keeps_the_mean_and_takes_detail():
    x = torch.zeros(2, 3, 21, 31)
    x[:, :, 10, 15] = 1.0
    soft = hiding.blur(x, 1.0)
    assert soft.sum().item() == pytest.approx(6.0, rel=1e-3)
    # the centre of a Gaussian of sigma 1 is 1 / (2 pi)
    assert soft[0, 0, 10, 15].item() == pytest.approx(1 / (2 * np.pi), rel=0.02)


def test_equalised_is_pillows_and_shows_a_faint_pattern():
    x = images()
    array = ((x[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    expected = np.array(ImageOps.equalize(Image.fromarray(array)))
    found = ((hiding.equalised(x)[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(found, expected)
    faint = 0.05 * images(1)
    assert hiding.equalised(faint).std() > 10 * faint.std()


def test_residue_by_hand():
    x = torch.zeros(1, 3, 9, 11)
    x[0, :, 4, 5] = 0.05
    r = hiding.residue(x, gain=10, radius=1)
    assert r[0, 0, 4, 5].item() == pytest.approx(10 * 0.05 * 8 / 9, rel=1e-5)
    assert r[0, 0, 3, 4].item() == pytest.approx(-10 * 0.05 / 9, rel=1e-5)
    assert hiding.residue(torch.full((1, 3, 9, 11), 0.7)).abs().max() < 1e-5  # borders too
    assert hiding.residue(x, gain=1000).max() == 1


def test_the_lab_tells_a_hider_from_an_honest_pair():
    x = images()
    honest, hider = (hiding.noise_curve(m, x) for m in (Honest(), Hider()))
    assert honest[0] < 1e-6 and hider[0] < 1e-5             # both close their cycle
    # doubled noise of 4 levels: mean |N(0, 2 * 2 * 4 / 256)| = 0.0625 sqrt(2 / pi)
    assert honest[3] == pytest.approx(0.0625 * (2 / np.pi) ** 0.5, rel=0.05)
    assert hider[3] > 30 * honest[3]
    assert hiding.sensitivity_to_noise(hider) > 30 * hiding.sensitivity_to_noise(honest)
    x_grey = monochrome(x)
    assert hiding.reconstruction_honesty(Honest(), x_grey) == pytest.approx(0, abs=1e-6)
    assert hiding.reconstruction_honesty(Hider(), x) == pytest.approx(
        metrics.l1(x, x_grey), rel=1e-3)                    # all of the colour was hidden
    rounded = hiding.reconstruction_error(Hider(), x, hiding.eight_bit)
    assert rounded > 0.1                                    # 8 bits are too coarse for the message


def test_sensitivity_by_hand():
    """Rise 0, 1, 3 at levels 0, 2, 4: area 1 + 4 = 5, over a range of 4."""
    assert hiding.sensitivity_to_noise([2.0, 3.0, 5.0], (0, 2, 4)) == pytest.approx(1.25)
    assert hiding.sensitivity_to_noise([0.3] * 6) == 0
    assert NOISE_LEVELS[0] == 0 and NOISE_LEVELS[-1] == 16


def with_a_plain_square(places, height=24, width=32):
    """Noise with one even 9 x 9 square an image, at these centres."""
    images = torch.rand(len(places), 3, height, width, generator=torch.Generator().manual_seed(0))
    for image, (v, u) in zip(images, places, strict=True):
        image[:, v - 4:v + 5, u - 4:u + 5] = 0.5
    return images


def test_the_plainest_place_is_found_in_each_image_by_itself():
    places = [(7, 20), (14, 9)]
    rows, columns = hiding.plainest(with_a_plain_square(places))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == places


def test_the_plainest_place_keeps_away_from_the_rim():
    plain = with_a_plain_square([(4, 4)])  # its square touches two borders
    (row,), (column,) = hiding.plainest(plain, rim=3)
    assert row >= 7 and column >= 7
    (row,), (column,) = hiding.plainest(plain, rim=0)
    assert (row, column) == (4, 4)


def test_a_mark_darkens_its_square_and_nothing_else():
    images = torch.zeros(2, 3, 8, 10)
    images[1] = -0.9  # there is not room for all of it: black is -1
    at = torch.tensor([2, 5]), torch.tensor([7, 3])
    change = images - hiding.marked(images, at, depth=0.4, side=3)
    expected = torch.zeros(2, 3, 8, 10)
    expected[0, :, 1:4, 6:9] = 0.4
    expected[1, :, 4:7, 2:5] = 0.1
    torch.testing.assert_close(change, expected)


def test_how_much_of_a_mark_is_shown_by_hand():
    images = torch.full((2, 3, 8, 10), 0.5)
    at = torch.tensor([2, 5]), torch.tensor([7, 3])
    there = hiding.marked(images, at, depth=0.4)
    assert hiding.mark_shown(there, images, at) == pytest.approx(0.4, abs=1e-6)
    assert hiding.mark_shown(images, images, at) == 0
    half = images.clone()
    half[0] = there[0]  # the mark survives in one of the two
    assert hiding.mark_shown(half, images, at) == pytest.approx(0.2, abs=1e-6)
    halo = there.clone()
    halo[..., 0, 0] = -1  # what happens elsewhere does not count
    assert hiding.mark_shown(halo, images, at) == pytest.approx(0.4, abs=1e-6)
