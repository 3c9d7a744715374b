"""The panel's arithmetic against scikit-image, plain numpy loops and cases worked out by hand."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from gantutor.evaluate import metrics
from gantutor.evaluate.metrics import device_of, in_batches


@pytest.fixture
def pair():
    """Two smooth-ish stacks of 3 images with H != W, unlike each other to another degree each."""
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(3, 3, 15, 22, generator=generator) * 2 - 1
    a = torch.nn.functional.avg_pool2d(a, 3, 1, 1)
    amount = torch.tensor([0.02, 0.1, 0.3]).view(3, 1, 1, 1)
    return a, (a + amount * torch.randn(a.shape, generator=generator)).clamp(-1, 1)


def oracle(function, a, b, **named):
    return np.mean([function(u.permute(1, 2, 0).numpy(), v.permute(1, 2, 0).numpy(),
                             data_range=2, **named) for u, v in zip(a.double(), b.double(),
                                                                    strict=True)])


def test_ssim_is_scikit_images(pair):
    expected = oracle(structural_similarity, *pair, channel_axis=2)
    assert 0.3 < expected < 0.95
    assert metrics.ssim(*pair) == pytest.approx(expected, abs=1e-6)
    assert metrics.ssim(*pair, window=5) == pytest.approx(
        oracle(structural_similarity, *pair, channel_axis=2, win_size=5), abs=1e-6)
    assert metrics.ssim(pair[0], pair[0]) == pytest.approx(1)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"\(6, 20\).*7 px"):
        metrics.ssim(torch.zeros(2, 3, 6, 20), torch.zeros(2, 3, 6, 20))


def test_psnr_is_scikit_images_a_mean_over_images(pair):
    assert metrics.psnr(*pair) == pytest.approx(oracle(peak_signal_noise_ratio, *pair), abs=1e-4)
    # all wrong: squared error 4 = peak^2, 0 dB; by a tenth of the range: 20 dB; mean 10 dB
    a = torch.full((2, 3, 4, 5), -1.0)
    b = torch.cat([torch.full((1, 3, 4, 5), 1.0), torch.full((1, 3, 4, 5), -0.8)])
    assert metrics.psnr(a, b) == pytest.approx(10, abs=1e-4)
    assert math.isfinite(metrics.psnr(a, a))


def test_l1():
    a, b = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
    b[1] = -0.5
    assert metrics.l1(a, b) == pytest.approx(0.75)
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\) and \(1, 3, 4, 5\)"):
        metrics.l1(a, b[:1])


def kid_by_loops(a, b):
    """Binkowski et al., 2018, eq. 4: every pair of different images once, one by one."""
    def k(u, v):
        return (float(np.dot(u, v)) / len(u) + 1) ** 3

    def within(s):
        n = len(s)
        return sum(k(s[i], s[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))

    across = sum(k(u, v) for u in a for v in b) / (len(a) * len(b))
    return within(a) + within(b) - 2 * across


def test_kid_is_the_double_loop():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 5)), rng.normal(0.5, 1.5, size=(9, 5))
    found = metrics.kid(torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))
    assert found == pytest.approx(kid_by_loops(a, b), rel=1e-5)
    assert found == pytest.approx(metrics.kid(torch.tensor(b), torch.tensor(a)), rel=1e-5)


def test_kid_is_unbiased_and_orders():
    rng = np.random.default_rng(1)
    def same():
        return torch.tensor(rng.normal(size=(60, 4)))

    null = [metrics.kid(same(), same()) for _ in range(40)]
    assert min(null) < 0 < max(null)  # a biased estimate is never negative
    shifted = [metrics.kid(same(), same() + shift) for shift in (1.0, 2.0)]
    assert max(null) < shifted[0] < shifted[1]


def test_kid_needs_two_of_each():
    with pytest.raises(ValueError, match="found 3 and 1"):
        metrics.kid(torch.zeros(3, 4), torch.zeros(1, 4))


def test_spread_by_hand():
    images = torch.tensor([0.0, 1.0, 0.0, 0.5]).view(4, 1, 1, 1).expand(4, 3, 2, 5)
    # differences to the next: 1, 1, .5, .5 (round the corner); two on: 0, .5, 0, .5; three on is
    # one back. Means .75, .25, .75
    assert metrics.spread(images) == pytest.approx((0.75 + 0.25 + 0.75) / 3)
    assert metrics.spread(images[:2]) == pytest.approx(1.0)
    assert metrics.spread(torch.full((20, 3, 4, 5), 0.3)) == 0
    with pytest.raises(ValueError, match="found 1"):
        metrics.spread(images[:1])


def test_high_frequency_energy_by_hand():
    flat = torch.full((2, 3, 5, 6), 0.7)
    assert metrics.high_frequency_energy(flat) == pytest.approx(0, abs=1e-9)
    ramp = torch.linspace(-1, 1, 6).expand(2, 3, 5, 6)  # a plane has no Laplacian
    assert metrics.high_frequency_energy(ramp) == pytest.approx(0, abs=1e-9)
    dot = torch.zeros(1, 3, 5, 7)
    dot[0, 1, 2, 3] = 0.5
    # the 3x5 inner pixels of three channels: (-2)^2 once and 0.5^2 four times
    assert metrics.high_frequency_energy(dot) == pytest.approx((4 + 4 * 0.25) / (3 * 15))
    chess = (torch.arange(6).view(6, 1) + torch.arange(7)) % 2 * 2.0 - 1
    assert metrics.high_frequency_energy(chess.expand(2, 3, 6, 7)) == pytest.approx(64)


def test_speckle_is_no_sharpness():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(4, 3, 20, 30, generator=generator) * 2 - 1
    assert metrics.edges(truth, truth) == pytest.approx((1, 0), abs=1e-6)
    assert metrics.edges(0.25 * truth + 0.5, truth) == pytest.approx((0.25, 0), abs=1e-6)
    flat = torch.zeros_like(truth)
    assert metrics.edges(flat, truth) == pytest.approx((0, 0), abs=1e-6)
    noise = torch.rand(4, 3, 20, 30, generator=generator) * 2 - 1
    in_place, speckle = metrics.edges(noise, truth)
    assert abs(in_place) < 0.05 and speckle == pytest.approx(1, abs=0.1)  # as much energy
    assert metrics.high_frequency_energy(noise) == pytest.approx(
        metrics.high_frequency_energy(truth), rel=0.1)  # which cannot tell the two apart
    in_place, speckle = metrics.edges(0.5 * truth + noise, truth)
    assert in_place == pytest.approx(0.5, abs=0.05) and speckle == pytest.approx(1, abs=0.1)
    # By hand: a dot, and a dot one pixel off. Responses -4 at the dot and 1 around it.
    dot, off = torch.zeros(2, 1, 3, 7, 9)
    dot[..., 3, 3], off[..., 3, 4] = 1, 1
    assert metrics.edges(off, dot) == pytest.approx((-8 / 20, (20 - 64 / 20) / 20), abs=1e-6)
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.edges(dot, truth)


# ------------------------------------------------------- what one variable tells


def v(*rows):
    return metrics.cramers_v(torch.tensor(rows))


def test_cramers_v_by_hand():
    # Expected 20, 20, 30, 30: chi2 = 5 + 5 + 10/3 + 10/3 = 50/3, a sixth of n. By chance 1/99.
    # sqrt((1/6 - 1/99) / (1 - 1/99)) = sqrt(31/196) = .39770
    assert v([30, 10], [20, 40]) == pytest.approx((31 / 196) ** 0.5, abs=1e-9)
    assert v([30, 10], [20, 40]) == pytest.approx(0.39770, abs=1e-5)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_cramers_v_is_1_for_the_right_values_and_for_exchanged_ones(k):
    counts = torch.diag(torch.arange(20, 20 + k))  # uneven, as attributes are
    turned = counts[:, torch.arange(k).roll(1)]
    for found in (counts, turned, turned.T):
        assert metrics.cramers_v(found) == pytest.approx(1)


def test_cramers_v_is_smaller_where_two_values_are_read_as_one():
    # chi2 / n = 1: V^2 = (1 - 4/29) / (2 - 4/29) of three values with ten people each
    merged = v([10, 0, 0], [10, 0, 0], [0, 0, 10])
    assert merged == pytest.approx(((25 / 29) / (54 / 29)) ** 0.5, abs=1e-9)
    some = v([10, 0, 0], [5, 5, 0], [0, 0, 10])
    assert 0.5 < merged < some < 1


def test_cramers_v_is_0_where_there_is_nothing_to_tell():
    assert v([10, 20], [20, 40]) == 0         # independent to the last person
    assert v([10, 0], [30, 0]) == 0           # one value is read for everybody
    assert v([10, 5], [0, 0]) == 0            # one true value
    assert v([7, 0, 5], [0, 0, 0], [0, 0, 0]) == 0
    assert v([12]) == 0


def test_cramers_v_is_about_0_on_the_average_where_reading_is_guessing():
    generator = torch.Generator().manual_seed(0)

    def average(k, correct):
        found = []
        for _ in range(300):
            truth, read = torch.randint(k, (2, 300), generator=generator)
            counts = torch.bincount(truth * k + read, minlength=k * k).view(k, k)
            if correct:
                found.append(metrics.cramers_v(counts))
            else:  # Cramer's own: biased upwards
                n = counts.double()
                expected = n.sum(1, keepdim=True) * n.sum(0) / 300
                found.append(((n - expected) ** 2 / expected / 300 / (k - 1)).sum().sqrt().item())
        return np.mean(found)

    for k in (2, 4, 6):
        assert average(k, True) < 0.04
    assert average(6, False) > 0.12


@pytest.mark.parametrize("people", range(2, 9))
def test_cramers_v_of_a_few_people_is_a_number_from_0_to_1(people):
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        truth = torch.randint(3, (people,), generator=generator)
        for read in (truth, torch.randint(3, (people,), generator=generator)):
            counts = torch.bincount(truth * 3 + read, minlength=9).view(3, 3)
            assert 0 <= metrics.cramers_v(counts) <= 1 + 1e-9, counts


# ---------------------------------------------------------- on the method's device


class Method(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 3, 1)

    def translate(self, x):
        return self.net(x)


def test_the_device_is_that_of_the_method():
    """"meta" stands for a GPU: a device whose tensors are not the CPU's."""
    method = Method().to("meta")
    for function in (method.translate, method, method.net, method.net.forward):
        assert device_of(function) == torch.device("meta")
    for function in (lambda x: x, torch.tanh, nn.Identity(), "".join):
        assert device_of(function) == torch.device("cpu")


def test_batches_go_to_the_methods_device(monkeypatch):
    method, x, code = Method().to("meta"), torch.zeros(5, 3, 4, 6), torch.zeros(5, 2)
    seen = []

    def translate(self, images, codes):
        seen.append((images.device.type, codes.device.type, len(images)))
        return torch.zeros(len(images), 3, 4, 6)  # "meta" holds no numbers that could come back

    monkeypatch.setattr(Method, "translate", translate)
    assert in_batches(method.translate, x, code, batch_size=3).device.type == "cpu"
    assert seen == [("meta", "meta", 3), ("meta", "meta", 2)]
    assert x.device.type == "cpu"


def test_what_comes_back_lies_on_the_cpu(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: asked.append(len(self)) or self)
    in_batches(lambda x: x, torch.zeros(5, 3, 4, 6), batch_size=3)
    assert asked == [3, 2]


def test_batches_are_copies_without_gradients_and_of_one_length():
    x = torch.ones(5, 3, 4, 6)
    method = Method()
    out = in_batches(lambda images: images.mul_(0.5), x, batch_size=2)
    assert (x == 1).all() and (out == 0.5).all()
    assert not in_batches(method.translate, x).requires_grad
    with pytest.raises(ValueError):
        in_batches(lambda a, b: a, x, torch.ones(3, 2), batch_size=2)
