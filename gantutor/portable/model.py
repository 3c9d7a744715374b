"""Trained networks that translate, whatever method has trained them."""

import torch


class Model:
    """Trained networks that translate. They are in eval mode and frozen.

    method: the class that trained them. networks: {"G_xy": net, ...}. about: what was said when the
    file was written: "size" in px, "domains", "codes". multiple: H and W of images must be
    multiples of it, and at least `smallest`. fixed_size: images should have this height and width
    (StarGAN, common space); None where every H and W goes.
    """

    def __init__(self, method, networks, described, about, device="cpu"):
        self.method, self.described, self.about = method, described, about
        self.device = torch.device(device)
        fast = torch.channels_last  # in this memory layout a CPU convolves a third faster
        self.networks = {name: net.to(self.device, memory_format=fast).eval().requires_grad_(False)
                         for name, net in networks.items()}
        if "coders" in described:
            self.fixed_size = self.multiple = self.smallest = described["coders"]["size"]
        else:
            self.multiple = max(_multiple(of) for of in described.values())  # powers of two
            eight = any(of["class"] in ("ResnetGenerator", "StarGANGenerator")
                        for of in described.values())
            self.smallest = max(self.multiple, 8 if eight else 1)
            self.fixed_size = about.get("size", 128) if "G" in described else None

    @torch.no_grad()
    def translate(self, x, to=None):
        """Images of X (N, 3, H, W) in [-1, 1] -> their translations, the same shape and range.

        to: for StarGAN, the domain: as `code` takes it. ValueError where it is missing, or where
        there are no codes; ValueError for H or W that the networks do not take.
        """
        x, nets = x.to(self.device), self.networks
        if "G" in nets:
            return nets["G"](x, self.code(to).expand(len(x), -1)).clamp(-1, 1)
        if to is not None:
            raise ValueError(f"to={to!r}: a {self.method} has no codes; only StarGAN has")
        if "G_xy" in nets:
            return nets["G_xy"](x)
        return nets["G_y"](nets["E_x"](x))

    @torch.no_grad()
    def back(self, y):
        """The way from Y to X, as `translate`. ValueError where the model has none."""
        y, nets = y.to(self.device), self.networks
        if "G_yx" in nets:
            return nets["G_yx"](y)
        if "E_y" in nets:
            return nets["G_x"](nets["E_y"](y))
        raise ValueError(f"a {self.method} with the networks {', '.join(nets)} has no way back")

    @property
    def codes(self):
        """The names that `to` can have, in the order of the code. () without codes."""
        count = self.described["G"]["codes"] if "G" in self.described else 0
        count -= len(self.about.get("blocks", ()))  # the mask has no names
        return tuple(self.about.get("codes") or map(str, range(count)))

    def code(self, to):
        """The code (1, c) of "blond", of "blond,male" or ["blond", "male"], or of the numbers.

        The names get a 1, all others a 0. Where a model joins two sets (`JointStarGAN`), all names
        must be of one set; the mask says which. ValueError for anything else.
        """
        count, expected = self.described["G"]["codes"], f"expected of {', '.join(self.codes)}"
        if isinstance(to, torch.Tensor):
            if to.numel() != count:
                raise ValueError(f"to: {to.numel()} numbers, expected {count}")
            return to.reshape(1, -1).to(self.device, torch.float32)
        names = [name.strip() for name in to.split(",")] if isinstance(to, str) else to
        if not names:
            raise ValueError(f"to={to!r}: a {self.method} needs a domain; {expected}")
        code = torch.zeros(1, count, device=self.device)
        for name in names:
            if name not in self.codes:
                raise ValueError(f"to={name!r}: no such domain; {expected}")
            code[0, self.codes.index(name)] = 1
        if "blocks" in self.about:
            first = self.about["blocks"][0]
            sets = {int(self.codes.index(name) >= first) for name in names}
            if len(sets) > 1:
                raise ValueError(f"to={to!r}: names of both sets of labels; expected of "
                                 f"{', '.join(self.codes[:first])} or of "
                                 f"{', '.join(self.codes[first:])}")
            code[0, len(self.codes) + sets.pop()] = 1
        return code


def _multiple(of):
    """H and W of a network's images are multiples of this."""
    fixed = {"ResnetGenerator": 4, "StarGANGenerator": 4, "PixelGenerator": 1}
    return fixed.get(of["class"]) or 2 ** of["downs"]


def checked(about, described):
    """`about` where its entries that `Model` reads fit the networks. ValueError."""
    size, blocks, codes = about.get("size"), about.get("blocks", []), about.get("codes", [])
    first = next(iter(described.values()))
    count = first.get("codes", 0) - len(blocks)
    if first.get("channels") not in (None, 3) and "coders" not in described:
        raise ValueError(f"a network of {first['channels']} channels, expected 3")
    if size is not None and (type(size) is not int or size < 8):
        raise ValueError(f"about: size={size!r}, expected px, at least 8")
    if blocks and not (len(blocks) == 2 and all(type(n) is int for n in blocks)
                       and sum(blocks) == count):
        raise ValueError(f"about: {blocks=}, expected two numbers that sum to {count}")
    if codes and not (all(isinstance(name, str) for name in codes)
                      and len(set(codes)) == len(codes) == count):
        raise ValueError(f"about: codes={codes!r}, expected {count} different names")
    return about


def require_finite(networks):
    for name, net in networks.items():
        for key, tensor in net.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name}.{key} holds a number that is not finite")


def device_of(device, called=None):
    """"auto" is a GPU where there is one. ValueError for a device that cannot be used.

    called: what the error calls it, by default the argument.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{called or f'device={device!r}'}: cannot be used here ({reason}); "
                         "expected cpu, or auto") from None
    return device
