"""Converts the authors' released weights to ours: the same networks, other layer names."""

from gantutor.models import PatchDiscriminator, ResnetGenerator

# Checkpoints of older versions contain these. InstanceNorm does not use them.
RUNNING = ("running_mean", "running_var", "num_batches_tracked")


def official_names(net):
    """Our layer's name -> its name in the official pytorch-CycleGAN-and-pix2pix code.

    The official networks are one nn.Sequential called `model`. Its padding, normalisation and
    activation layers have numbers too: hence the gaps. TypeError for another kind of network.
    """
    if isinstance(net, PatchDiscriminator):
        # conv, LeakyReLU, then (conv, InstanceNorm, LeakyReLU) again and again, and a last conv
        later = {f"convs.{n}": f"model.{3 * n - 1}" for n in range(1, len(net.convs))}
        return {"convs.0": "model.0", **later}
    if not isinstance(net, ResnetGenerator):
        kind = type(net).__name__
        raise TypeError(f"expected a ResnetGenerator or a PatchDiscriminator, got {kind}")
    names = {"c7s1_in": "model.1", "down1": "model.4", "down2": "model.7"}
    for n in range(len(net.blocks)):
        names[f"blocks.{n}.conv1"] = f"model.{10 + n}.conv_block.1"
        names[f"blocks.{n}.conv2"] = f"model.{10 + n}.conv_block.5"
    after = 10 + len(net.blocks)
    return names | {
        "up1": f"model.{after}", "up2": f"model.{after + 3}", "c7s1_out": f"model.{after + 7}"
    }


def official_cyclegan_state(net, state):
    """Rename an official CycleGAN state dict so that `net.load_state_dict` takes it.

    net: a ResnetGenerator (for an official netG) or a PatchDiscriminator (for a netD).
    state: the dict in e.g. latest_net_G_A.pth of github.com/junyanz/pytorch-CycleGAN-and-pix2pix.
    A "module." prefix (DataParallel) and the normalisation statistics that checkpoints of
    torch < 0.4 carry are dropped: InstanceNorm does not use them.

    Raises ValueError naming the key when one is missing, unexpected or of another shape (another
    number of blocks, another width, a network with dropout or with BatchNorm).
    """
    state = {k.removeprefix("module."): v for k, v in state.items() if not k.endswith(RUNNING)}
    names, ours = official_names(net), {}
    for key, value in net.state_dict().items():
        layer, kind = key.rsplit(".", 1)  # kind: weight or bias
        official = f"{names[layer]}.{kind}"
        if official not in state:
            unexpected = ", ".join(state) or "nothing"
            raise ValueError(f"key {official} (our {key}) is missing; left unused: {unexpected}")
        ours[key] = state.pop(official)
        if ours[key].shape != value.shape:
            found, expected = tuple(ours[key].shape), tuple(value.shape)
            raise ValueError(f"key {official} has shape {found}, our {key} needs {expected}")
    if state:
        raise ValueError(f"unexpected keys, not part of this network: {', '.join(state)}")
    return ours


def official_stargan_state(state):
    """An official StarGAN state dict for `load_state_dict`: the names are the same.

    Dropped: "module." prefixes, and the running statistics of the authors' InstanceNorm. Their own
    test does not use them: it stays in training mode. In eval mode the pictures would be wrong.
    """
    return {k.removeprefix("module."): v for k, v in state.items() if not k.endswith(RUNNING)}
