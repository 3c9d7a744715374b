"""One short file a lecture section. A method is an `nn.Module` that owns its networks and has

players()                  -> (generators, discriminators): two lists of networks
generator_loss(batch)      -> (total, parts): what the generators lower; called first
discriminator_loss(batch)  -> (total, parts): what the discriminators lower, on the same batch
translate(x)               -> the translation of x into Y

`batch` is {"x": (N, 3, H, W), "y": (N, 3, H, W)} in [-1, 1]; `parts` names the detached terms.
Nothing else in the package knows what a CycleGAN is.
"""


def detached(**parts):
    """The named parts of a loss for the progress bar: no graph, no copy to the host."""
    return {name: value.detach() for name, value in parts.items()}
