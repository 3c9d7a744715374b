"""The fixed embedding: torchvision's VGG16 layer for layer, frozen, and the shipped weights."""

import pytest
import torch
import torchvision
from torch import nn

from gantutor import vgg
from gantutor.vgg import LAYERS, VGG16Features, vgg_features

# the ReLU's place in torchvision's vgg16().features
PLACES = {"relu1_1": 1, "relu1_2": 3, "relu2_1": 6, "relu2_2": 8, "relu3_1": 11, "relu3_2": 13,
          "relu3_3": 15}


@pytest.fixture(scope="module")
def theirs():
    """torchvision's network without its weights: nothing is downloaded."""
    torch.manual_seed(0)
    net = torchvision.models.vgg16(weights=None, num_classes=2)
    for layer in net.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.bias, std=0.1)
    return net.eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, 20, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("layer", LAYERS)
def test_imagenet_weights_give_torchvisions_features(layer, theirs, images, monkeypatch):
    monkeypatch.setattr(torchvision.models, "vgg16", lambda weights: theirs)
    vgg._imagenet_convolutions.cache_clear()
    net = vgg_features("imagenet", layer)
    vgg._imagenet_convolutions.cache_clear()
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        expected = theirs.features[: PLACES[layer] + 1](normalise((images + 1) / 2))
    assert expected.shape[1] == LAYERS[layer] and expected.std() > 0
    torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)


def test_frozen_but_the_input_gets_its_gradient(images):
    net = vgg_features("text", "relu2_2")
    assert not any(p.requires_grad for p in net.parameters()) and not net.training
    images.requires_grad_()
    net(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None for p in net.parameters())


def test_the_shipped_weights_are_trained_ones():
    """Neighbouring taps of a trained filter agree; those of a random one do not."""
    def smoothness(net):
        w = net.convs["conv1_2"].weight
        w = w - w.mean()
        return (w[..., 1:] * w[..., :-1]).sum() / (w * w).sum()

    assert smoothness(vgg_features("text", "relu1_2")) > 0.1
    assert abs(smoothness(vgg_features("random", "relu1_2"))) < 0.02


def test_random_weights_are_seeded_and_as_loud_in_every_layer(images):
    first, again = (vgg_features("random", "relu3_3", seed=4)(images) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, vgg_features("random", "relu3_3", seed=5)(images))
    energies = [vgg_features("random", layer)(images).square().mean() for layer in LAYERS]
    assert max(energies) < 4 * min(energies)


def test_unknown_names_and_shapes_are_refused(images):
    with pytest.raises(ValueError, match=r"layer='relu9_1': expected one of relu1_1"):
        VGG16Features("relu9_1")
    with pytest.raises(ValueError, match=r"weights='vgg19': expected 'text'"):
        vgg_features("vgg19")
    net = vgg_features("random", "relu1_1")
    for wrong in (images[0], images[:, :1], images[..., :3]):
        with pytest.raises(ValueError, match=r"expected images of shape|H and W"):
            net(wrong)
