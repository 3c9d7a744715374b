"""Losses as pure functions, and the pool of earlier translations.

Scores are a discriminator's raw outputs (no sigmoid), one per image (N, 1) or one per patch
(N, 1, h, w). Images are (N, 3, H, W) in [-1, 1]. Every loss is a scalar tensor and a mean, so its
weight does not depend on the batch or image size. Losses are computed in float32, because means
in half precision are too coarse.
"""

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.parallel import batch_mean, draw_rows, noise_like, own_rows, whole_batch


def lsgan_generator_loss(fake_scores):
    """mean((D(fake) - 1)^2): make the discriminator say 1.

    Mao et al., "Least Squares GAN", ICCV 2017, eq. 9, without its factor 1/2, as in CycleGAN.
    """
    return ((fake_scores.float() - 1) ** 2).mean()


def lsgan_discriminator_loss(real_scores, fake_scores):
    """(mean((D(real) - 1)^2) + mean(D(fake)^2)) / 2. Mao et al., ICCV 2017, eq. 9.

    CycleGAN uses the factor 1/2 too. It slows D down relative to G.
    """
    return 0.5 * (((real_scores.float() - 1) ** 2).mean() + (fake_scores.float() ** 2).mean())


def bce_generator_loss(fake_scores):
    """-mean(log sigmoid(D(fake))), the non-saturating loss of Goodfellow et al., 2014, section 3.

    Scores are logits. softplus(-s) = -log sigmoid(s), but it stays finite for large scores.
    """
    return F.softplus(-fake_scores.float()).mean()


def bce_discriminator_loss(real_scores, fake_scores):
    """-(mean(log sigmoid(D(real))) + mean(log(1 - sigmoid(D(fake))))) / 2, scores are logits.

    Goodfellow et al., 2014, eq. 1, halved like the LSGAN loss above.
    """
    return 0.5 * (F.softplus(-real_scores.float()).mean() + F.softplus(fake_scores.float()).mean())


def wgan_generator_loss(fake_scores):
    """-mean(D(fake)). Arjovsky, Chintala, Bottou, 2017, algorithm 1."""
    return -fake_scores.float().mean()


def wgan_discriminator_loss(real_scores, fake_scores):
    """mean(D(fake)) - mean(D(real)), not halved. It is negative while D tells them apart.

    Arjovsky, Chintala, Bottou, 2017, algorithm 1. D must be Lipschitz: see gradient_penalty.
    """
    return fake_scores.float().mean() - real_scores.float().mean()


def gradient_penalty(D, real, fake, alpha=None):
    """mean((||grad D(x_hat)||_2 - 1)^2) with x_hat = alpha real + (1 - alpha) fake.

    Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, eq. 3, without its
    weight lambda_gp. Each image has its own alpha, and its own norm over all of its pixels.

    D: maps images to scores. If D has several heads, pass `lambda x: D(x)[0]`. The scores of an
    image's patches are summed before the gradient is taken, as StarGAN's authors do.
    real, fake: (N, 3, H, W); they get no gradient. ValueError if their shapes differ.
    alpha: N values in [0, 1], drawn uniformly if None. ValueError for another number of values.
    """
    require_same_shape("real", real, "fake", fake)
    n = len(real)
    if alpha is None:
        alpha = draw_rows(torch.rand, n, device=real.device)
    alpha = torch.as_tensor(alpha)
    if alpha.numel() != n:
        raise ValueError(f"alpha must hold one value for each of {n} images, got {alpha.numel()}")
    alpha = alpha.to(real).reshape(n, 1, 1, 1)
    with torch.enable_grad():  # so that it also works under no_grad
        x_hat = (alpha * real + (1 - alpha) * fake).detach().requires_grad_()
        # No image's score depends on another image, so one backward pass through the sum gives
        # every image's own gradient. create_graph: the penalty is itself differentiated.
        (gradient,) = torch.autograd.grad(D(x_hat).float().sum(), x_hat, create_graph=True)
        return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()


def cycle_consistency_loss(x, x_reconstructed):
    """mean(|x - G_yx(G_xy(x))|). Zhu et al., "CycleGAN", ICCV 2017, eq. 2 (one direction).

    x, x_reconstructed: (N, 3, H, W). ValueError if their shapes differ.
    """
    require_same_shape("x", x, "x_reconstructed", x_reconstructed)
    return F.l1_loss(x_reconstructed.float(), x.float())


def softened(images):
    """Each pixel the mean of the 3 x 3 around it; outside lies the rim again. (N, C, H, W)."""
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), "replicate"), 3, 1)


def weighed_l1(x, x_reconstructed, counts, weight=1.0):
    """mean(w |x - x_reconstructed|). w is 1 + weight * counts, counts in units of its mean.

    x, x_reconstructed: (N, 3, H, W). counts: (N, 1, H, W), not negative.
    """
    w = 1 + weight * counts / counts.mean((1, 2, 3), keepdim=True).clamp_min(1e-6)
    return (w * (x - x_reconstructed.float()).abs()).mean()


def rare_detail_loss(x, x_reconstructed, weight=1.0):
    """`cycle_consistency_loss` that counts a pixel more where its fine detail is unusual.

    This course's. Plain L1 hardly notices a mouth of eight pixels. Fine detail is a pixel less the
    mean of the 3 x 3 around it. It counts by how far it is from that of the other images of the
    batch at this place, so that what all of them share counts as in L1.
    """
    require_same_shape("x", x, "x_reconstructed", x_reconstructed)
    fine = x - softened(x)
    unusual = (fine - batch_mean(fine)).abs().mean(1, keepdim=True)
    return weighed_l1(x, x_reconstructed, unusual, weight)


def identity_loss(y, G_xy_of_y):
    """mean(|G_xy(y) - y|): G_xy should not change an image that is already in Y.

    Taigman, Polyak, Wolf, ICLR 2017; Zhu et al., "CycleGAN", ICCV 2017, section 5.2. This is not
    the cycle loss: G_xy is applied once, to an image of its *own output* domain.
    y, G_xy_of_y: (N, 3, H, W). ValueError if their shapes differ.
    """
    require_same_shape("y", y, "G_xy_of_y", G_xy_of_y)
    return F.l1_loss(G_xy_of_y.float(), y.float())


def perceptual_loss(embed, x, G_xy_of_x):
    """mean(|phi(G_xy(x)) - phi(x)|) / mean(|phi(x)|), phi = `embed`, a fixed network.

    Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
    Super-Resolution", ECCV 2016, eq. 2, but with L1 (as Wang et al., "pix2pixHD", CVPR 2018).
    The division by the features' size makes one weight fit every layer of every phi. The loss is
    0 if nothing changed and about 1 if nothing was kept.

    x, G_xy_of_x: (N, 3, H, W). ValueError if their shapes differ. The gradient flows through phi
    to G_xy_of_x only. phi's own weights should be frozen.
    """
    require_same_shape("x", x, "G_xy_of_x", G_xy_of_x)
    with torch.no_grad():
        target = embed(x).float()
        size = batch_mean(target.abs().mean()[None])
    return F.l1_loss(embed(G_xy_of_x).float(), target) / size


def feature_matching_loss(real_features, fake_features):
    """Mean over layers of mean((E[f(real)] - E[f(fake)])^2), E the mean over the batch.

    Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 3.1, over
    several layers of D, as in DiscoGAN's code. Both arguments are lists of features (N, C, H, W)
    of the same layers. Real features get no gradient. ValueError if the lists do not match.
    """
    if len(real_features) != len(fake_features) or not real_features:
        raise ValueError(f"expected as many real as fake layers, at least one, "
                         f"got {len(real_features)} and {len(fake_features)}")
    total = 0.0
    for real, fake in zip(real_features, fake_features, strict=True):
        require_same_shape("real", real[:1], "fake", fake[:1])
        real, fake = (batch_mean(part.float()) for part in (real.detach(), fake))
        total = total + (real - fake).square().mean()
    return total / len(real_features)


def sampled(mu):
    """mu + noise, noise ~ N(0, 1): a code drawn from q(z | x) = N(mu, 1), differentiable in mu.

    The reparameterisation of Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014,
    section 2.4, with the variance fixed to 1 as in UNIT (Liu, Breuel, Kautz, NeurIPS 2017).
    """
    return mu + noise_like(mu)


def kl_loss(mu):
    """KL(N(mu, 1) || N(0, 1)) = mu^2 / 2, averaged over all numbers of the code.

    Kingma, Welling, ICLR 2014, appendix B, with variance 1. Their bound has the *sum* over a code.
    We take the mean, so that the weight does not depend on the code's size. So does UNIT's code
    (mingyuliutw/UNIT), but it leaves out the factor 1/2: its weights are worth twice ours.
    """
    return 0.5 * mu.float().square().mean()


def semantic_consistency_loss(z, z_again):
    """mean(|z - z_again|), with a gradient to z_again only.

    Taigman, Polyak, Wolf, "DTN", ICLR 2017, L_CONST; Royer et al., "XGAN", 2020, L_sem. XGAN leaves
    open which distance of the codes; this one is ours, and so is the fixed target z. With a
    gradient to z, the encoder could lower the loss by making all codes alike. (ComboGAN's code has
    such a term, off by default, and detaches z, too.) ValueError if the codes differ in shape.
    """
    require_same_shape("z", z, "z_again", z_again)
    return F.l1_loss(z_again.float(), z.detach().float())


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, weight):
        ctx.weight = weight
        return z.view_as(z)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.weight * gradient, None


def gradient_reversal(z, weight=1.0):
    """Returns z unchanged. The backward pass multiplies the gradient by -weight.

    Ganin, Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.
    """
    return _Reversal.apply(z, weight)


def require_same_shape(name_a, a, name_b, b):
    """ValueError if the shapes differ. torch would broadcast them, without an error."""
    if a.shape != b.shape:
        raise ValueError(
            f"{name_a} and {name_b} must have the same shape, "
            f"got {tuple(a.shape)} and {tuple(b.shape)}"
        )


class ImagePool(nn.Module):
    """A memory of earlier translations, so that D does not forget what G made a while ago.

    Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial
    Training", CVPR 2017, section 2.3, in CycleGAN's version. Until `size` images are stored, each
    image is stored and returned. After that, each image is returned as it is with probability
    1/2. Otherwise it replaces a random stored image, and that one is returned. size=0 switches
    the pool off.

    forward: images (N, 3, H, W) -> detached images of the same shape. Draws from torch's global
    random generator. state_dict() holds the stored images, so a resumed run has the same pool.
    ValueError for a size below 0, images of another shape, or a state of another size.
    """

    def __init__(self, size=50):
        super().__init__()
        if size < 0:
            raise ValueError(f"size must be 0 or more, got {size}")
        self.size = size
        self.images = []  # each (3, H, W); never written to in place

    @torch.no_grad()
    def forward(self, images):
        if self.size == 0:
            return images.detach()
        if self.images and self.images[0].shape != images.shape[1:]:
            stored, new = tuple(self.images[0].shape), tuple(images.shape[1:])
            raise ValueError(f"the pool holds images of shape {stored}, got {new}")
        return own_rows(torch.stack([self._swap(image) for image in whole_batch(images)]))

    def _swap(self, image):
        if len(self.images) < self.size:
            self.images.append(image.clone())  # a copy: a view would keep the whole batch alive
            return image
        if torch.rand(()) < 0.5:
            return image
        k = int(torch.randint(self.size, ()))
        old, self.images[k] = self.images[k], image.clone()
        return old.to(image)  # a loaded pool may lie on another device

    def get_extra_state(self):
        return {"size": self.size, "images": list(self.images)}

    def set_extra_state(self, state):
        if state["size"] != self.size:
            raise ValueError(f"the saved pool has size {state['size']}, this one {self.size}")
        self.images = list(state["images"])
