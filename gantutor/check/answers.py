"""What the checks share: calling the learner's code, reading its answer, and toy networks.

The toys are so small that a loss on them can be computed by hand; their images are 4 high and 6
wide, so that a swapped H and W shows.
"""

import dis
import inspect
import numbers
import types

import torch
import torch.nn.functional as F
from torch import nn

from gantutor.check.verdict import LIBRARIES, NotAttempted, Wrong, describe


def kind(value):
    """A few words for any object: never its repr, which may be long, or fail."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, types.ModuleType | type):
        return f"the {'class' if isinstance(value, type) else 'module'} {value.__name__}"
    return f"an object of type {type(value).__name__}"


def call(answer, **arguments):
    """answer(*arguments) as the learner's code: what it raises or spoils is `Wrong`.

    NotAttempted where it returns None, Ellipsis, or a tuple of nothing else, and where it raises
    NotImplementedError.
    """
    wanted = f"({', '.join(arguments)})"
    if not callable(answer) or isinstance(answer, torch.nn.Module):
        raise Wrong(f"expected a function of {wanted}, found {kind(answer)}.")
    try:
        inspect.signature(answer).bind(*arguments.values())
    except TypeError as error:
        raise Wrong(f"the function must take {wanted}: {error}.") from None
    except ValueError:
        pass  # a builtin without a signature
    before = {k: v.detach().clone() for k, v in arguments.items() if isinstance(v, torch.Tensor)}
    try:
        result = answer(*arguments.values())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, NotImplementedError) and _raised_by_the_learner(error):
            raise NotAttempted("it raises NotImplementedError") from None
        raise Wrong(f"your code raised {describe(error)}") from None
    for name, tensor in before.items():
        if not torch.equal(tensor, arguments[name]):
            raise Wrong(f"your code changes its argument {name} in place; whoever uses {name} "
                        "afterwards gets something else.")
    parts = result if isinstance(result, tuple) and result else (result,)
    if all(part is None or part is ... for part in parts):
        raise NotAttempted("it returns None", "If you have, a `return` is missing.")
    return result


def _raised_by_the_learner(error):
    """A `raise` in the learner's own code; torch raises NotImplementedError too, for other ends."""
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    return (not code.co_filename.startswith(LIBRARIES)
            and code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"])


def again(answer, when, **arguments):
    """A later call, after one that worked: what looks like a stub now is a forgotten branch."""
    try:
        return call(answer, **arguments)
    except NotAttempted as how:
        raise Wrong(f"{how.args[0]} {when}: a `return` is missing in one branch.") from None


def number(value, what):
    """The learner's number as a float; tensors of one element count."""
    one = isinstance(value, torch.Tensor) and value.numel() == 1
    if not (one or isinstance(value, numbers.Real)) or isinstance(value, bool):
        raise Wrong(f"{what} should be a number, found {kind(value)}.")
    found = float(value)
    if not abs(found) < float("inf"):
        raise Wrong(f"{what} is {found}.")
    return found


def two_numbers(value, what):
    """The learner's pair as two floats; `what` names one of them, "weight"."""
    if not (isinstance(value, tuple | list) and len(value) == 2):
        raise Wrong(f"expected two numbers, e.g. (1.0, 2.0), found {kind(value)}.")
    return [number(v, f"the {n} {what}") for n, v in zip(("first", "second"), value, strict=True)]


def scalar(value, what="the loss", finite=True):
    """The learner's loss as a tensor of one number; `finite`: inf and nan are refused."""
    if isinstance(value, numbers.Real):
        raise Wrong(f"{what} is a plain Python number, which has no gradient: leave out .item() or "
                    "float() and return the tensor.")
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise Wrong(f"{what} should be a tensor with one number, found {kind(value)}.")
    if value.numel() != 1:
        raise Wrong(f"{what} has shape {tuple(value.shape)}, expected one number: the mean over "
                    "all images and pixels is missing.")
    if finite:
        number(value.detach(), what)
    return value.reshape(())


def images(*values):
    """One plain 3 x 4 x 6 image for each value: (N, 3, 4, 6)."""
    return torch.tensor(values).view(-1, 1, 1, 1).repeat(1, 3, 4, 6)


class Affine(nn.Module):
    """A generator: scale * image + shift."""

    def __init__(self, scale, shift=0.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.shift = nn.Parameter(torch.tensor(float(shift)))

    def forward(self, image):
        return self.scale * image + self.shift


class PatchScore(nn.Module):
    """A discriminator: weight * the patch's mean + bias, one score each 2 x 2 pixels.

    `through_fakes` counts the gradients its weight got by way of images that G's graph hangs on.
    """

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(weight)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.through_fakes = 0

    def _count(self, gradient):
        self.through_fakes += 1

    def forward(self, image):
        weight = self.weight * 1  # this pass's own, so that its gradient can be told apart
        if weight.requires_grad and image.requires_grad:
            weight.register_hook(self._count)
        return weight * F.avg_pool2d(image.mean(1, keepdim=True), 2) + self.bias  # (N, 1, 2, 3)


def gradients(loss, *sources):
    """What of the loss's gradient reaches each source, a network or a tensor: (n,), or None."""
    return [_gradient(loss, list(source.parameters()) if isinstance(source, nn.Module) else
                      [source]) for source in sources]


def _gradient(loss, tensors):
    tensors = [t for t in tensors if t.requires_grad]
    if not tensors or not loss.requires_grad:
        return None
    try:
        parts = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise Wrong("the loss's graph is used up: return the loss and leave backward() to the "
                    f"loop ({describe(error)}).") from None
    if all(part is None for part in parts):
        return None
    return torch.cat([(torch.zeros_like(t) if part is None else part).flatten()
                      for t, part in zip(tensors, parts, strict=True)])
