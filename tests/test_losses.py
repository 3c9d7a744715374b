"""Losses on cases worked out by hand or with numpy; the pool by its bookkeeping."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gantutor import losses
from gantutor.losses import ImagePool, gradient_penalty

REAL = torch.tensor([[1.0], [3.0], [0.0], [-2.0]])
FAKE = torch.tensor([[2.0], [-1.0], [0.5], [0.0]])


def shapes_of(scores):
    """The same four scores as (N, 1) and as two images with a 1x2 patch map each."""
    return [scores, scores.reshape(2, 1, 1, 2)]


@pytest.mark.parametrize("form", [0, 1])
def test_adversarial_losses_by_hand(form):
    real, fake = shapes_of(REAL)[form], shapes_of(FAKE)[form]
    # (1 + 4 + 0.25 + 1) / 4, then ((0 + 4 + 1 + 9) / 4 + (4 + 1 + 0.25 + 0) / 4) / 2
    assert losses.lsgan_generator_loss(fake).item() == pytest.approx(1.5625)
    assert losses.lsgan_discriminator_loss(real, fake).item() == pytest.approx(2.40625)
    assert losses.wgan_generator_loss(fake).item() == pytest.approx(-0.375)
    assert losses.wgan_discriminator_loss(real, fake).item() == pytest.approx(0.375 - 0.5)

    r, f = (1 / (1 + np.exp(-s.numpy().astype(float))) for s in (real, fake))
    assert losses.bce_generator_loss(fake).item() == pytest.approx(-np.log(f).mean())
    expected = -(np.log(r).mean() + np.log(1 - f).mean()) / 2
    assert losses.bce_discriminator_loss(real, fake).item() == pytest.approx(expected)


def test_rare_detail_weighs_more_than_common_detail():
    faces = torch.zeros(4, 3, 8, 8)
    faces[:, :, 1, 2] = 1.0  # an eye that all have
    faces[0, :, 6, 5] = 1.0  # a mouth that one has
    no_eye, no_mouth = faces.clone(), faces.clone()
    no_eye[0, :, 1, 2] = no_mouth[0, :, 6, 5] = 0.0
    plain = losses.cycle_consistency_loss(no_mouth, faces)
    assert losses.rare_detail_loss(faces, no_mouth) > 3 * plain
    assert losses.rare_detail_loss(faces, no_eye) == pytest.approx(plain.item(), rel=1e-4)
    assert losses.rare_detail_loss(faces, faces) == 0


HALF = {
    "lsgan_generator_loss": 1, "lsgan_discriminator_loss": 2, "bce_generator_loss": 1,
    "bce_discriminator_loss": 2, "wgan_generator_loss": 1, "wgan_discriminator_loss": 2,
    "kl_loss": 1, "cycle_consistency_loss": 2, "identity_loss": 2, "semantic_consistency_loss": 2}


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "count"), HALF.items())
def test_half_precision_scores_give_the_float32_mean(name, count, dtype, autocast):
    """A Wasserstein distance of -.5 for -.414: that was a mean in bfloat16."""
    generator = torch.Generator().manual_seed(1)
    scores = [torch.randn(16, 1, 2, 2, generator=generator).to(dtype) for _ in range(count)]
    with torch.autocast("cpu", dtype, enabled=autocast):
        loss = getattr(losses, name)(*scores)
    assert loss.dtype == torch.float32
    assert loss.item() == getattr(losses, name)(*[s.float() for s in scores]).item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_give_the_float32_mean(dtype):
    real, fake = (images(4, seed=k).to(dtype) for k in range(2))
    found = losses.feature_matching_loss([real], [fake])
    assert found.item() == losses.feature_matching_loss([real.float()], [fake.float()]).item()
    found = losses.perceptual_loss(lambda t: t.to(dtype), real.float(), fake.float())
    assert found.item() == losses.perceptual_loss(nn.Identity(), real.float(), fake.float()).item()
    assert found.dtype == torch.float32


def test_the_penalty_under_autocast_is_taken_in_float32():
    torch.manual_seed(0)
    D = nn.Linear(72, 1)
    alpha = torch.tensor([0.25, 0.75])
    exact = gradient_penalty(lambda x: D(x.flatten(1)), images(), images(seed=1), alpha)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = gradient_penalty(lambda x: D(x.flatten(1)), images(), images(seed=1).bfloat16(),
                                   alpha)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(exact.item(), rel=0.02)


def test_real_and_fake_batches_of_different_sizes_weigh_the_same():
    real, fake = torch.tensor([[0.0]]), torch.tensor([[1.0], [1.0], [1.0]])
    assert losses.lsgan_discriminator_loss(real, fake).item() == 1.0
    assert losses.wgan_discriminator_loss(real, fake).item() == 1.0


def test_undecided_and_perfect_discriminators():
    zero, one = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    assert losses.bce_generator_loss(zero).item() == pytest.approx(math.log(2))
    assert losses.bce_discriminator_loss(zero, zero).item() == pytest.approx(math.log(2))
    assert losses.lsgan_discriminator_loss(one / 2, one / 2).item() == pytest.approx(0.25)
    assert losses.lsgan_discriminator_loss(one, zero).item() == 0
    assert losses.lsgan_generator_loss(one).item() == 0


def test_generator_bce_is_finite_and_does_not_saturate():
    score = torch.tensor([[-200.0]], requires_grad=True)  # D is certain that it is a fake
    loss = losses.bce_generator_loss(score)
    loss.backward()
    assert loss.item() == pytest.approx(200)
    assert score.grad.item() == pytest.approx(-1)  # the saturating loss would give 0


def images(n=2, h=4, w=6, seed=0):
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_penalty_of_a_linear_critic():
    """D(x) = sum(w x) has the gradient w everywhere: (|w| - 1)^2, whatever alpha is."""
    weight = images(1, seed=3)
    penalty = gradient_penalty(lambda x: (weight * x).sum(dim=(1, 2, 3)), images(), images(seed=1))
    assert penalty.item() == pytest.approx((np.linalg.norm(weight.numpy()) - 1) ** 2, rel=1e-5)


def test_penalty_takes_one_alpha_and_one_norm_an_image():
    """D(x) = |x|^2 / 2 has the gradient x: numpy can write the penalty down."""
    real, fake, alpha = images(3), images(3, seed=1), torch.tensor([0.0, 0.3, 1.0])
    penalty = gradient_penalty(lambda x: (x**2).sum(dim=(1, 2, 3)) / 2, real, fake, alpha)
    norms = [np.linalg.norm(a * r + (1 - a) * f)
             for a, r, f in zip(alpha.numpy(), real.numpy(), fake.numpy(), strict=True)]
    assert np.ptp(norms) > 0.1  # else a mean of norms could not be told from a norm of means
    assert penalty.item() == pytest.approx(np.mean((np.array(norms) - 1) ** 2), rel=1e-5)


def test_penalty_sums_the_patches_of_an_image():
    """Scores x[:, :1] / 2: each red pixel has gradient 1/2, so the norm is sqrt(4 * 6) / 2."""
    penalty = gradient_penalty(lambda x: x[:, :1] / 2, images(), images(seed=1))
    assert penalty.item() == pytest.approx((math.sqrt(24) / 2 - 1) ** 2, rel=1e-5)


def test_random_alpha_is_uniform_one_an_image_and_follows_the_seed():
    seen = []

    def D(x):
        seen.append(x.detach())
        return x.sum(dim=(1, 2, 3))

    real, fake = torch.ones(400, 3, 2, 4), torch.zeros(400, 3, 2, 4)
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        gradient_penalty(D, real, fake)
    alpha = seen[0][:, 0, 0, 0]
    assert (seen[0] == alpha.reshape(-1, 1, 1, 1)).all()
    assert alpha.min() >= 0 and alpha.max() <= 1
    assert alpha.mean() == pytest.approx(0.5, abs=0.06)  # four standard errors
    assert alpha.std() == pytest.approx(math.sqrt(1 / 12), abs=0.04)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_penalty_trains_the_critic_and_only_the_critic():
    torch.manual_seed(0)
    D = nn.Linear(24, 1, bias=False).double()
    real, fake = (torch.randn(2, 3, 2, 4, dtype=torch.float64) for _ in range(2))
    fake.requires_grad_()
    gradient_penalty(lambda x: D(x.flatten(1)), real, fake).backward()
    w = D.weight.detach()
    expected = 2 * (w.norm() - 1) * w / w.norm()  # d/dw (|w| - 1)^2
    torch.testing.assert_close(D.weight.grad, expected)
    assert fake.grad is None


def test_penalty_of_a_flat_critic_has_a_finite_gradient():
    D = nn.Linear(24, 1)
    nn.init.zeros_(D.weight)
    penalty = gradient_penalty(lambda x: D(x.flatten(1)), images(2, 2, 4), images(2, 2, 4, 1))
    penalty.backward()
    assert penalty.item() == 1
    assert D.weight.grad.isfinite().all()


def test_penalty_can_be_measured_without_grad():
    with torch.no_grad():
        penalty = gradient_penalty(lambda x: x[:, :1] / 2, images(), images(seed=1))
    assert penalty.item() == pytest.approx((math.sqrt(24) / 2 - 1) ** 2, rel=1e-5)


def test_penalty_refuses():
    with pytest.raises(ValueError, match=r"real and fake .* \(2, 3, 4, 6\) and \(1, 3, 4, 6\)"):
        gradient_penalty(torch.sum, images(2), images(1))
    with pytest.raises(ValueError, match="one value for each of 2 images, got 3"):
        gradient_penalty(torch.sum, images(), images(), alpha=torch.rand(3))


@pytest.mark.parametrize("loss", [losses.cycle_consistency_loss, losses.identity_loss])
def test_l1_losses(loss):
    a, b = images(), images(seed=1)
    assert loss(a, b).item() == pytest.approx(np.abs(a.numpy() - b.numpy()).mean(), rel=1e-5)
    assert loss(a, a).item() == 0
    assert loss(a, a + 0.5).item() == pytest.approx(0.5)
    for other in (images(1), images()[:, :1], images(h=6, w=4)):  # the first two would broadcast
        with pytest.raises(ValueError, match="same shape"):
            loss(a, other)


def numbered(*numbers):
    """Images whose every pixel holds their number, so that they can be told apart."""
    return torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 4)


def numbers_of(batch):
    assert batch.shape[1:] == (3, 2, 4) and (batch == batch[:, :1, :1, :1]).all()
    return batch[:, 0, 0, 0].tolist()


def stored_numbers(pool):
    return sorted(image[0, 0, 0].item() for image in pool.images)


def test_pool_fills_first():
    pool = ImagePool(4)
    assert numbers_of(pool(numbered(0, 1, 2))) == [0, 1, 2]
    assert stored_numbers(pool) == [0, 1, 2]
    pool(numbered(3, 4, 5))
    assert len(pool.images) == 4


def test_full_pool_swaps_half_of_the_images():
    torch.manual_seed(0)
    pool, size, steps = ImagePool(10), 10, 2000
    pool(numbered(*range(size)))
    swapped, slots = 0, []
    for number in range(size, size + steps, 2):
        for new in (number, number + 1):
            before = [image[0, 0, 0].item() for image in pool.images]
            (out,) = numbers_of(pool(numbered(new)))
            if out == new:
                assert stored_numbers(pool) == sorted(before)  # returned and not stored
            else:
                swapped += 1
                slots.append(before.index(out))
                assert stored_numbers(pool) == sorted({*before, new} - {out})
    assert swapped / steps == pytest.approx(0.5, abs=0.045)  # four standard errors
    counts = np.bincount(slots, minlength=size)
    assert counts.min() > 60 and counts.max() < 145  # about 100 each, four standard errors


def test_pool_detaches_and_keeps_copies():
    pool = ImagePool(2)
    batch = numbered(1, 2).clone().requires_grad_()
    out = pool(batch * 1)
    assert not out.requires_grad and not any(image.requires_grad for image in pool.images)
    out.fill_(9)  # the caller may do with the result what it likes
    with torch.no_grad():
        batch.fill_(7)
    assert stored_numbers(pool) == [1, 2]
    assert all(image.untyped_storage().nbytes() == 3 * 2 * 4 * 4 for image in pool.images)


def test_pool_of_size_zero_passes_images_through():
    batch = numbered(1, 2).clone().requires_grad_()
    out = ImagePool(0)(batch)
    assert torch.equal(out, batch) and not out.requires_grad


def test_pool_survives_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    method = nn.ModuleDict({"pool": ImagePool(5)})
    for n in range(8):
        method["pool"](numbered(2 * n, 2 * n + 1))
    torch.save(method.state_dict(), tmp_path / "state.pt")

    resumed = nn.ModuleDict({"pool": ImagePool(5)})
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    new = numbered(*range(100, 130))
    torch.manual_seed(1)
    expected = method["pool"](new)
    torch.manual_seed(1)
    assert torch.equal(resumed["pool"](new), expected)
    assert min(numbers_of(expected)) < 16  # something from before the checkpoint came back


def test_a_state_taken_earlier_does_not_change_with_the_pool():
    torch.manual_seed(0)
    pool = ImagePool(2)
    pool(numbered(1, 2))
    state = pool.state_dict()
    pool(numbered(*range(10, 30)))
    assert min(stored_numbers(pool)) >= 10
    for _ in range(2):  # nor with a pool that loaded it
        other = ImagePool(2)
        other.load_state_dict(state)
        assert stored_numbers(other) == [1, 2]
        other(numbered(*range(10, 30)))


def test_pool_refuses():
    with pytest.raises(ValueError, match="size must be 0 or more, got -1"):
        ImagePool(-1)
    pool = ImagePool(3)
    pool(numbered(1))
    with pytest.raises(ValueError, match=r"shape \(3, 2, 4\), got \(3, 4, 4\)"):
        pool(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="size 3, this one 5"):
        ImagePool(5).load_state_dict(pool.state_dict())


def test_perceptual_loss_by_hand():
    """phi = 2x: |2 * 0.5 - 2 * 1| over |2 * 1| is a half; halves of the pixels changed: .25."""
    x = torch.ones(2, 3, 4, 6)
    assert losses.perceptual_loss(lambda t: 2 * t, x, 0.5 * x).item() == pytest.approx(0.5)
    half = x.clone()
    half[..., :3] = 0.5
    assert losses.perceptual_loss(nn.Identity(), x, half).item() == pytest.approx(0.25)
    assert losses.perceptual_loss(nn.Identity(), x, x).item() == 0


def test_perceptual_loss_compares_features_not_pixels():
    """The mean of each image as phi: pixels may move as they like."""
    x = images()
    moved = x.roll(2, -1)
    assert losses.perceptual_loss(lambda t: t.mean((2, 3)), x, moved).item() < 1e-6
    assert losses.perceptual_loss(nn.Identity(), x, moved).item() > 0.5
    with pytest.raises(ValueError, match=r"x and G_xy_of_x must have the same shape"):
        losses.perceptual_loss(nn.Identity(), x, x[:1])


def test_perceptual_gradient_reaches_the_translation_only():
    torch.manual_seed(0)
    phi = nn.Conv2d(3, 5, 3).requires_grad_(False)
    x, fake = images().requires_grad_(), images(seed=1).requires_grad_()
    losses.perceptual_loss(phi, x, fake).backward()
    assert x.grad is None and fake.grad.abs().sum() > 0
    target = phi(x).detach()
    by_hand = (phi(fake) - target).sign() / target.numel() / target.abs().mean()
    expected = torch.nn.grad.conv2d_input(fake.shape, phi.weight, by_hand)
    torch.testing.assert_close(fake.grad, expected)


def test_feature_matching_by_hand():
    """Layer 1: batch means (2, 0) and (0, 0), so (4 + 0) / 2; layer 2: 1 and 3, so 4."""
    real = [torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[1.0], [1.0]])]
    fake = [torch.tensor([[-1.0, 5.0], [1.0, -5.0]]), torch.tensor([[3.0], [3.0]])]
    assert losses.feature_matching_loss(real, fake).item() == pytest.approx((2 + 4) / 2)
    real[0].requires_grad_()
    fake[0].requires_grad_()
    losses.feature_matching_loss(real, fake).backward()
    assert real[0].grad is None and fake[0].grad.abs().sum() > 0


def test_feature_matching_refuses():
    one = [torch.zeros(2, 3)]
    for real, fake in ((one, []), ([], []), (one, one * 2)):
        with pytest.raises(ValueError, match=r"as many real as fake layers"):
            losses.feature_matching_loss(real, fake)
    with pytest.raises(ValueError, match=r"same shape"):
        losses.feature_matching_loss(one, [torch.zeros(2, 4)])


# ------------------------------------------------------------------ codes


def test_the_kl_is_torchs_own():
    mu = torch.randn(4, 3, 2, 5)
    q, p = (torch.distributions.Normal(m, 1.0) for m in (mu, torch.zeros_like(mu)))
    torch.testing.assert_close(losses.kl_loss(mu), torch.distributions.kl_divergence(q, p).mean())


def test_a_sample_is_the_mean_and_unit_noise_and_lets_the_gradient_through():
    mu = torch.full((4, 500), 3.0, requires_grad=True)
    z = losses.sampled(mu)
    assert abs(z.mean() - 3) < 0.1 and abs(z.std() - 1) < 0.1
    z.sum().backward()
    assert torch.equal(mu.grad, torch.ones_like(mu))
    assert not torch.equal(z[0], z[1])


def test_semantic_consistency_moves_only_the_second_code():
    z, again = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    loss = losses.semantic_consistency_loss(z, again)
    loss.backward()
    assert loss == 1 and z.grad is None
    torch.testing.assert_close(again.grad, torch.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match="same shape"):
        losses.semantic_consistency_loss(z, again[:1])


def test_the_reversed_gradient_has_the_other_sign():
    z = torch.randn(5, requires_grad=True)
    turned = losses.gradient_reversal(z)
    assert torch.equal(turned, z)
    (turned * torch.arange(5.0)).sum().backward()
    assert torch.equal(z.grad, -torch.arange(5.0))
