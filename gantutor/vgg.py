"""VGG16 as a fixed embedding: the constraint of notebook 02.

The shipped weights come from a VGG16 that was tuned to find text in photographs. data/README.md
says whose weights they are and how `data/vgg/vgg16_text.safetensors` was made.
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.models import require_images
from gantutor.saving import data_folder, load_weights

# The shipped part of VGG16: {layer: channels}. 2 x 2 max pooling before blocks 2 and 3.
LAYERS = {"relu1_1": 64, "relu1_2": 64, "relu2_1": 128, "relu2_2": 128,
          "relu3_1": 256, "relu3_2": 256, "relu3_3": 256}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's, per channel of RGB


class VGG16Features(nn.Module):
    """The first convolutions of VGG16, up to and with the ReLU named `layer`.

    Simonyan, Zisserman, "Very Deep Convolutional Networks", ICLR 2015, configuration D.
    Input (N, 3, H, W) in [-1, 1], H and W at least 4. It is normalised as torchvision's networks
    expect. Output (N, C, h, w) >= 0, with h = H / 2 from relu2_1 on and H / 4 from relu3_1 on.
    Frozen: gradients pass through it to the input, but its weights get none. ValueError for
    smaller images or an unknown layer.
    """

    def __init__(self, layer="relu3_3"):
        super().__init__()
        if layer not in LAYERS:
            raise ValueError(f"layer={layer!r}: expected one of {', '.join(LAYERS)}")
        names = list(LAYERS)[: list(LAYERS).index(layer) + 1]
        widths = [3] + [LAYERS[name] for name in names]
        self.convs = nn.ModuleDict({
            name.replace("relu", "conv"): nn.Conv2d(widths[k], widths[k + 1], 3, padding=1)
            for k, name in enumerate(names)})
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x):
        require_images(x, 3, 4)
        h = ((x + 1) / 2 - self.mean) / self.std          # (N,   3, H,   W)
        for name, conv in self.convs.items():
            if name in ("conv2_1", "conv3_1"):
                h = F.max_pool2d(h, 2)                    # (N,   C, H/2, W/2), then H/4, W/4
            h = F.relu(conv(h))                           # (N,   C, h,   w)
        return h


def vgg_features(weights="text", layer="relu3_3", seed=0):
    """A `VGG16Features` with the `weights` named, in eval mode.

    "text" (shipped): a VGG16 trained on ImageNet, then tuned to find text in photographs.
    "random": untrained, He et al., ICCV 2015, eq. 10 (normal, zero bias), drawn from `seed`. Its
    features are about as large as a trained network's. Only the learned content differs.
    "imagenet": torchvision's weights, a download of about 530 MB the first time.
    ValueError for other names.
    """
    net = VGG16Features(layer)
    if weights == "text":
        load_weights(data_folder() / "vgg" / "vgg16_text.safetensors", {"vgg": net})
    elif weights == "random":
        generator = torch.Generator().manual_seed(seed)
        for conv in net.convs.values():
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(conv.bias)
    elif weights == "imagenet":
        ours, theirs = net.convs.values(), _imagenet_convolutions()
        for conv, trained in zip(ours, theirs, strict=False):
            conv.load_state_dict(trained.state_dict())
    else:
        raise ValueError(f"weights={weights!r}: expected 'text', 'random' or 'imagenet'")
    return net.eval()


@functools.lru_cache(maxsize=1)
def _imagenet_convolutions():
    from torchvision.models import VGG16_Weights, vgg16

    features = vgg16(weights=VGG16_Weights.IMAGENET1K_V1).features
    return [layer for layer in features if isinstance(layer, nn.Conv2d)]
