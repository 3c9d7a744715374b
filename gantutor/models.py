"""Networks: generators and discriminators.

Images are float32 in [-1, 1], shape (N, 3, H, W). In the shape comments C is the width.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


def init_normal(net, std=0.02):
    """Draw every convolution's weight from N(0, std^2) and set its bias to zero, in place.

    The initialisation of DCGAN (Radford, Metz, Chintala, 2016), which CycleGAN uses too.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            nn.init.zeros_(module.bias)


def require_images(x, channels, smallest, multiple=1):
    """ValueError unless x is (N, channels, H, W), H, W >= smallest and multiples of `multiple`."""
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"expected images of shape (N, {channels}, H, W), got {tuple(x.shape)}")
    height, width = x.shape[2:]
    if min(height, width) < smallest or height % multiple or width % multiple:
        rule = f" and multiples of {multiple}" if multiple > 1 else ""
        raise ValueError(f"H and W must be at least {smallest}{rule}, got H={height}, W={width}")


class ResidualBlock(nn.Module):
    """R<width> of CycleGAN: x + norm(conv(relu(norm(conv(x))))), reflection padding, no ReLU after.

    Input and output (N, width, H, W), H and W at least 2.
    """

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect")
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect")

    def forward(self, x):
        h = F.relu(F.instance_norm(self.conv1(x)))
        return x + F.instance_norm(self.conv2(h))


class ResnetGenerator(nn.Module):
    """The generator of CycleGAN: c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3, tanh.

    Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent
    Adversarial Networks", ICCV 2017, appendix (after Johnson, Alahi, Fei-Fei, 2016), as in the
    authors' PyTorch code. The paper uses 6 blocks at 128 px and 9 at 256 px and above.

    Input (N, channels, H, W) in [-1, 1], output the same shape in (-1, 1).
    Raises ValueError when H or W is not a multiple of 4 (the output would have another size) or
    is below 8 (the blocks work at H/4 x W/4, and reflecting one pixel needs at least two).
    """

    def __init__(self, channels=3, width=64, blocks=6):
        super().__init__()
        self.channels = channels
        self.c7s1_in = nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect")
        self.down1 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*[ResidualBlock(4 * width) for _ in range(blocks)])
        up = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, **up)
        self.up2 = nn.ConvTranspose2d(2 * width, width, **up)
        self.c7s1_out = nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect")
        init_normal(self)

    def forward(self, x):
        require_images(x, self.channels, smallest=8, multiple=4)
        # instance_norm has no learned scale and no running statistics here. So train() and
        # eval() give the same picture.
        h = F.relu(F.instance_norm(self.c7s1_in(x)))  # (N,  C, H,   W)
        h = F.relu(F.instance_norm(self.down1(h)))    # (N, 2C, H/2, W/2)
        h = F.relu(F.instance_norm(self.down2(h)))    # (N, 4C, H/4, W/4)
        h = self.blocks(h)                            # (N, 4C, H/4, W/4)
        h = F.relu(F.instance_norm(self.up1(h)))      # (N, 2C, H/2, W/2)
        h = F.relu(F.instance_norm(self.up2(h)))      # (N,  C, H,   W)
        return torch.tanh(self.c7s1_out(h))           # (N, channels, H, W)


class PatchDiscriminator(nn.Module):
    """The PatchGAN discriminator of pix2pix and CycleGAN: one score for each patch of the image.

    Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks",
    CVPR 2017, section 3.2.2: C64-C128-C256-C512-C1. With layers=3 each score sees 70x70 pixels.

    Input (N, channels, H, W) in [-1, 1]; output scores (N, 1, h, w), without a sigmoid, with
    h = H // 2**layers - 2: 30x30 at 256 px, 6x6 at 64 px, 2x2 at 32 px for layers=3.
    Raises ValueError for layers below 1, and if H or W is below 3 * 2**layers (no score is left).
    """

    def __init__(self, channels=3, width=64, layers=3):
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        self.channels, self.layers = channels, layers
        widths = [width * min(2**n, 8) for n in range(layers + 1)]
        self.convs = nn.ModuleList()
        for n, (c_in, c_out) in enumerate(zip([channels, *widths], [*widths, 1], strict=True)):
            stride = 2 if n < layers else 1
            self.convs.append(nn.Conv2d(c_in, c_out, 4, stride=stride, padding=1))
        init_normal(self)

    def forward(self, x):
        require_images(x, self.channels, smallest=3 * 2**self.layers)
        first, *middle, last = self.convs
        h = F.leaky_relu(first(x), 0.2)                       # (N,  C, H/2, W/2)
        # For layers=3: (N, 2C, H/4, W/4), (N, 4C, H/8, W/8), (N, 8C, H/8 - 1, W/8 - 1).
        for conv in middle:
            h = F.leaky_relu(F.instance_norm(conv(h)), 0.2)
        return last(h)                                        # (N, 1, H/8 - 2, W/8 - 2)


# ------------------------------------------------------------------ small and fast


def with_coordinates(x):
    """(N, C, H, W) -> (N, C + 2, H, W): adds each pixel's row v and column u, both in [-1, 1].

    Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the CoordConv
    Solution", NeurIPS 2018. A vignette depends on the position; plain convolutions barely know it.
    """
    n, _, h, w = x.shape
    v = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype).view(1, 1, h, 1)
    u = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype).view(1, 1, 1, w)
    return torch.cat([x, v.expand(n, 1, h, w), u.expand(n, 1, h, w)], 1)


class SmallBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))). No normalisation, because it would remove colours.

    Input and output (N, width, H, W). Starts near the identity: the last weights are 10x smaller.
    """

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)
            self.conv2.bias.zero_()

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class SmallGenerator(nn.Module):
    """The CPU notebooks' generator: no normalisation, coordinate channels, few parameters.

    It has `downs` stride-2 convolutions, `blocks` residual blocks, `downs` nearest-neighbour
    upsamplings with a convolution (no checkerboard: Odena, Dumoulin, Olah, Distill 2016), and a
    head of 16 channels at full size. With `skip` the head also sees the input and changes it:
    tanh(x + f(x)), which starts near the identity. Without `skip` it sees only the features and
    the coordinates, and draws the whole picture: tanh(f(x)).

    Input (N, 3, H, W) in [-1, 1], H and W multiples of 2^downs (ValueError otherwise). Output of
    the same shape in (-1, 1).
    """

    def __init__(self, width=24, blocks=2, downs=1, skip=True):
        super().__init__()
        self.downs, self.skip = downs, skip
        widths = [5] + [width * 2**k for k in range(downs)]
        layers = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        layers += [SmallBlock(widths[-1]) for _ in range(blocks)]
        for before, after in zip(widths[:0:-1], [*widths[-2:0:-1], 8], strict=True):
            layers += [nn.ReLU(), nn.Upsample(scale_factor=2)]
            layers += [nn.Conv2d(before, after, 3, padding=1)]
        self.trunk = nn.Sequential(*layers)
        self.mix = nn.Conv2d(8 + (5 if skip else 2), 16, 1)
        self.out = nn.Conv2d(16, 3, 3, padding=1)
        with torch.no_grad():  # starts as a small change, or as grey, where tanh is not flat
            self.out.weight.mul_(0.1)

    def forward(self, x):
        require_images(x, 3, 2**self.downs, 2**self.downs)
        h = with_coordinates(x)                                 # (N, 5, H, W)
        features = self.trunk(h)                                # (N, 8, H, W)
        seen = h if self.skip else h[:, 3:]                     # at least the coordinates
        f = self.out(F.relu(self.mix(torch.cat([features, seen], 1))))  # (N, 3, H, W)
        return torch.tanh(x + f if self.skip else f)


class PixelGenerator(nn.Module):
    """A residual generator of 1 x 1 convolutions: it sees each pixel's colour and position.

    It is fast, and enough if only colours change. It cannot draw shapes or average over
    neighbours. Input (N, 3, H, W) in [-1, 1]; output tanh(x + f(x)), same shape, in (-1, 1).
    """

    def __init__(self, width=32, layers=3):
        super().__init__()
        widths = [5] + [width] * layers
        hidden = [layer for before, after in pairwise(widths)
                  for layer in (nn.Conv2d(before, after, 1), nn.ReLU())]
        self.net = nn.Sequential(*hidden)
        self.out = nn.Conv2d(width, 3, 1)
        with torch.no_grad():  # starts as a small change
            self.out.weight.mul_(0.1)

    def forward(self, x):
        require_images(x, 3, 1)
        return torch.tanh(x + self.out(self.net(with_coordinates(x))))  # (N, 3, H, W)


class SmallDiscriminator(nn.Module):
    """The CPU notebooks' patch discriminator: `layers` stride-2 convolutions without norm.

    group: above 1, D also sees the standard deviation of its last features over `group` images of
    the batch. So D notices a generator that draws the same picture for all inputs (Karras et al.,
    "Progressive Growing of GANs", ICLR 2018, section 3, here per channel and position).

    Input (N, 3, H, W) in [-1, 1], N a multiple of `group` (ValueError otherwise); output scores
    (N, 1, H / 2^layers, W / 2^layers).
    """

    coordinates = True  # D knows where in the image it looks

    def __init__(self, width=24, layers=3, group=1):
        super().__init__()
        self.group = group
        widths = [5 if self.coordinates else 3] + [width * 2**k for k in range(layers)]
        convolutions = []
        for before, after in pairwise(widths):
            convolutions += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*convolutions)
        self.score = nn.Conv2d(widths[-1] * (1 if group == 1 else 2), 1, 3, padding=1)

    def features(self, x):
        """Each convolution's output after LeakyReLU: a list of (N, C, h, w), largest first."""
        seen = [with_coordinates(x) if self.coordinates else x]
        for convolution, relu in zip(self.net[::2], self.net[1::2], strict=True):
            seen.append(relu(convolution(seen[-1])))
        return seen[1:]

    def forward(self, x):
        features = self.features(x)[-1]                         # (N, C, h, w)
        if self.group > 1:
            if len(x) % self.group:
                raise ValueError(f"x: {len(x)} images are no multiple of group={self.group}")
            groups = features.unflatten(0, (self.group, -1))    # (group, N / group, C, h, w)
            spread = groups.var(0).add(1e-4).sqrt().repeat(self.group, 1, 1, 1)
            features = torch.cat([features, spread], 1)         # (N, 2 C, h, w)
        return self.score(features)


class TextureDiscriminator(SmallDiscriminator):
    """A `SmallDiscriminator` without coordinates: it cannot ask for Y's sky at the top."""

    coordinates = False
