"""StarGAN: one generator for all domains. A code names the domain."""

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.losses import (
    cycle_consistency_loss,
    gradient_penalty,
    wgan_discriminator_loss,
    wgan_generator_loss,
)
from gantutor.methods import detached
from gantutor.models import SmallBlock, require_images, with_coordinates
from gantutor.parallel import own_rows, whole_batch


def with_code(x, code):
    """(N, C, H, W), (N, c) -> (N, C + c, H, W): every number of a code as one constant plane.

    ValueError if there is not one code per image.
    """
    if code.ndim != 2 or len(code) != len(x):
        raise ValueError(f"code: expected shape ({len(x)}, c) for {len(x)} images, "
                         f"found {tuple(code.shape)}")
    return torch.cat([x, code.to(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)


class StarGANBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), zero padding, scale and shift per channel."""

    def __init__(self, width):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.InstanceNorm2d(width, affine=True), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.InstanceNorm2d(width, affine=True))

    def forward(self, x):
        return x + self.main(x)


class StarGANGenerator(nn.Module):
    """The authors' generator, layer for layer and name for name: width 64, 6 blocks at 128 px.

    Choi et al., CVPR 2018, appendix, table 4. Zero padding is needed. With reflection padding, a
    code's constant plane is still constant after the first convolution. The instance
    normalisation then subtracts it, and the code is lost.

    x (N, 3, H, W) in [-1, 1], H and W multiples of 4 and at least 8 (ValueError otherwise), code
    (N, codes); output (N, 3, H, W) in (-1, 1).
    """

    def __init__(self, codes, width=64, blocks=6, padding_mode="zeros"):
        super().__init__()

        def step(convolution, c_out):
            return [convolution, nn.InstanceNorm2d(c_out, affine=True), nn.ReLU()]

        c, down = width, {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False}
        first = nn.Conv2d(3 + codes, c, 7, padding=3, bias=False, padding_mode=padding_mode)
        self.main = nn.Sequential(
            *step(first, c),                                        # (N,  C, H,   W)
            *step(nn.Conv2d(c, 2 * c, **down), 2 * c),              # (N, 2C, H/2, W/2)
            *step(nn.Conv2d(2 * c, 4 * c, **down), 4 * c),          # (N, 4C, H/4, W/4)
            *[StarGANBlock(4 * c) for _ in range(blocks)],
            *step(nn.ConvTranspose2d(4 * c, 2 * c, **down), 2 * c),  # (N, 2C, H/2, W/2)
            *step(nn.ConvTranspose2d(2 * c, c, **down), c),         # (N,  C, H,   W)
            nn.Conv2d(c, 3, 7, padding=3, bias=False), nn.Tanh())

    def forward(self, x, code):
        require_images(x, 3, 8, 4)
        return self.main(with_code(x, code))


class StarGANDiscriminator(nn.Module):
    """The authors' discriminator, layer for layer: `size` 128, width 64, 6 layers.

    Choi et al., CVPR 2018, appendix, table 5: no normalisation, and two heads on one trunk.

    Input (N, 3, size, size) in [-1, 1], size a multiple of 2^layers (ValueError otherwise).
    Returns scores (N, 1, size / 2^layers, ...), and logits (N, classes) of the domain.
    """

    def __init__(self, classes, size=128, width=64, layers=6):
        super().__init__()
        self.size, trunk, c = size, [], 3
        if size % 2**layers:
            raise ValueError(f"size={size}: expected a multiple of {2**layers} for {layers} layers")
        for k in range(layers):
            trunk += [nn.Conv2d(c, width * 2**k, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            c = width * 2**k
        self.main = nn.Sequential(*trunk)
        self.conv1 = nn.Conv2d(c, 1, 3, padding=1, bias=False)                   # real or not
        self.conv2 = nn.Conv2d(c, classes, size // 2**layers, bias=False)        # which domain

    def forward(self, x):
        require_images(x, 3, self.size)
        if x.shape[2:] != (self.size, self.size):
            raise ValueError(f"expected images of {self.size} x {self.size} px, "
                             f"got {tuple(x.shape[2:])}")
        h = self.main(x)                                                        # (N, C, h, h)
        return self.conv1(h), self.conv2(h).flatten(1)


class SmallStarGenerator(nn.Module):
    """The CPU notebook's generator: draws a change of x, without normalisation.

    `downs` stride-2 convolutions of x, coordinates and code planes, then `blocks` residual blocks.
    The result is upsampled and added: x + f(x, code). So unchanged pixels need no learning. Values
    may leave [-1, 1] a little, and D learns to reject that. Clamp before showing or judging.

    x (N, 3, H, W) in [-1, 1], H and W multiples of 2^downs (ValueError otherwise), code
    (N, codes); output (N, 3, H, W).
    """

    def __init__(self, codes, width=32, blocks=3, downs=1):
        super().__init__()
        self.downs, layers, c = downs, [], 5 + codes
        for _ in range(downs):
            layers += [nn.Conv2d(c, width, 4, stride=2, padding=1), nn.ReLU()]
            c = width
        layers += [SmallBlock(width) for _ in range(blocks)] + [nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        with torch.no_grad():  # starts as a small change
            self.out.weight.mul_(0.1)

    def forward(self, x, code):
        require_images(x, 3, 2**self.downs, 2**self.downs)
        h = self.trunk(with_code(with_coordinates(x), code))    # (N, C, H / 2^downs, ...)
        return x + F.interpolate(self.out(h), scale_factor=2.0**self.downs)  # (N, 3, H, W)


def attribute_loss(logits, labels):
    """Binary cross-entropy, summed over the attributes and averaged over the images.

    Choi et al., "StarGAN", CVPR 2018, eq. 2 and 3, for labels that do not exclude each other, as
    the authors' code does for CelebA. logits, labels: (N, attributes), labels in {0, 1}.
    """
    return F.binary_cross_entropy_with_logits(
        logits.float(), labels, reduction="sum") / len(labels)


def choice_loss(logits, labels):
    """Cross-entropy averaged over the images, for labels of which exactly one is 1 (RaFD).

    logits, labels: (N, choices). Choi et al., CVPR 2018, eq. 2 and 3.
    """
    return -(labels * logits.float().log_softmax(1)).sum(1).mean()


class StarGAN(nn.Module):
    """One G(x, code) for all domains. D has two outputs: real or fake, and which domain.

    Choi, Choi, Kim, Ha, Kim, Choo, "StarGAN: Unified Generative Adversarial Networks for
    Multi-Domain Image-to-Image Translation", CVPR 2018, eq. 5 and 6, with Wasserstein critic and
    gradient penalty (eq. 8). Batches are {"x": (N, 3, H, W), "code": (N, c)}.

    The targets are the batch's own codes in another order. So every target occurs in the data, and
    none has two hair colours. In a batch of one image the target is always the image's own code.
    """

    ships = ("G",)

    def __init__(self, G, D, lambda_cls=1.0, lambda_rec=10.0, lambda_gp=10.0):
        super().__init__()
        self.G, self.D = G, D
        self.lambda_cls, self.lambda_rec, self.lambda_gp = lambda_cls, lambda_rec, lambda_gp

    def players(self):
        return [self.G], [self.D]

    def translate(self, x, code):
        return self.G(x, code).clamp(-1, 1)

    def targets(self, code):
        code = whole_batch(code)
        return own_rows(code[torch.randperm(len(code), device=code.device)])

    def classification_loss(self, logits, code):
        return attribute_loss(logits, code)

    def generator_loss(self, batch):
        x, code = batch["x"], batch["code"]
        target = self.targets(code)
        fake = self.G(x, target)
        scores, logits = self.D(fake)
        adversarial = wgan_generator_loss(scores)
        classification = self.classification_loss(logits, target)
        reconstruction = cycle_consistency_loss(x, self.G(fake, code))
        total = (adversarial + self.lambda_cls * classification
                 + self.lambda_rec * reconstruction)
        return total, detached(G=adversarial, cls_fake=classification, rec=reconstruction)

    def discriminator_loss(self, batch):
        x, code = batch["x"], batch["code"]
        with torch.no_grad():
            fake = self.G(x, self.targets(code))
        scores, logits = self.D(x)
        critic = wgan_discriminator_loss(scores, self.D(fake)[0])
        classification = self.classification_loss(logits, code)  # on real images only
        penalty = gradient_penalty(lambda images: self.D(images)[0], x, fake)
        total = critic + self.lambda_cls * classification + self.lambda_gp * penalty
        return total, detached(D=critic, cls_real=classification, gp=penalty)


class JointStarGAN(StarGAN):
    """StarGAN on two sets with different labels: code = [A's labels | B's labels | mask 2].

    Choi et al., CVPR 2018, section 3.3. D gets no mask. It has logits for A's and B's labels, and
    the loss uses only those that the image's own set labels. Targets stay within a set. blocks:
    the number of A's and of B's labels.
    """

    def __init__(self, G, D, blocks, **weights):
        super().__init__(G, D, **weights)
        self.blocks = self.a, self.b = tuple(blocks)

    def targets(self, code):
        code = whole_batch(code)
        target = code.clone()
        for mask in code[:, -2:].T:
            (rows,) = mask.nonzero(as_tuple=True)
            target[rows] = code[rows[torch.randperm(len(rows), device=rows.device)]]
        return own_rows(target)

    def classification_loss(self, logits, code):
        labels, mask, total = code[:, :-2], code[:, -2:].bool(), 0.0
        for k, (block, loss) in enumerate([(slice(0, self.a), attribute_loss),
                                           (slice(self.a, self.a + self.b), choice_loss)]):
            rows = mask[:, k]
            if rows.any():
                total = total + loss(logits[rows, block], labels[rows, block]) * rows.float().mean()
        return total
