"""Many processes that do together what one would do: `torchrun -m gantutor train ...`.

Each process takes every n-th image of a batch, n being their number. All of them draw the same
random numbers, those of the whole batch, and keep their own. Gradients are averaged before a step.
So weights and random state stay the same everywhere, and N processes end where one would.
Without `join`, or with one process, nothing here does anything.
"""

import atexit
import os
from contextlib import contextmanager, nullcontext, redirect_stdout

import torch
from torch import distributed
from torch.distributed.nn.functional import all_reduce


def count():
    """How many processes the run has."""
    return distributed.get_world_size() if joined() else 1


def rank():
    """This process's number, from 0 on. Process 0 alone writes files and talks."""
    return distributed.get_rank() if joined() else 0


def joined():
    return distributed.is_available() and distributed.is_initialized()


def join(device="cpu"):
    """Meets the other processes that `torchrun` has started; returns this one's device.

    "cuda" becomes the card of this process's number on its machine. Without torchrun, or alone,
    nothing happens. ValueError if fewer processes came than torchrun has announced, or if a
    machine has fewer cards than processes. At its end the process takes leave by itself.
    """
    asked = int(os.environ.get("WORLD_SIZE", 1))
    if asked == 1 or joined():
        return device
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        place = int(os.environ["LOCAL_RANK"])
        if place >= torch.cuda.device_count():
            raise ValueError(f"process {place} of this machine has no GPU: it has "
                             f"{torch.cuda.device_count()}; give torchrun --nproc-per-node as many")
        device = f"cuda:{place}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    # A message that is still under way when Python ends aborts the process (pytorch 179291).
    atexit.register(leave)
    if count() != asked:
        raise ValueError(f"{asked} processes were announced, {count()} came")
    return device


def leave():
    """Waits for the messages under way and parts from the other processes."""
    if joined():
        distributed.destroy_process_group()


@contextmanager
def together():
    """What the processes do together. Process 0 talks and says why something fails, and all leave.

    A process that fails in the block takes the others with it.
    """
    try:
        with redirect_stdout(open(os.devnull, "w")) if rank() else nullcontext():
            yield
    except Exception:
        if rank():
            raise SystemExit(1) from None
        raise
    finally:
        leave()


# ------------------------------------------------------------------ the rows of a batch


def own_rows(stack):
    """Of the rows (N, ...) of a whole batch those of this process: every n-th.

    ValueError if N is no multiple of the number of processes.
    """
    if len(stack) % count():
        raise ValueError(f"a batch of {len(stack)} cannot be divided among {count()} processes; "
                         "give a batch size that is a multiple")
    return stack[rank()::count()]


@torch.no_grad()
def whole_batch(stack):
    """The whole batch that the processes' own rows (N, ...) are of, in its order, detached."""
    if count() == 1:
        return stack.detach()
    parts = [torch.empty_like(stack, memory_format=torch.contiguous_format)
             for _ in range(count())]
    distributed.all_gather(parts, stack.detach().contiguous())
    return torch.stack(parts, 1).flatten(0, 1)


def draw_rows(draw, rows, *shape, **rest):
    """draw(N, *shape, **rest) for the N rows of a whole batch; of these the process's own `rows`.

    draw: torch.rand, torch.randn, ...
    """
    return own_rows(draw(rows * count(), *shape, **rest))


def batch_mean(features):
    """The mean over the rows (N, ...) of the whole batch, with its gradient."""
    if count() == 1:
        return features.mean(0)
    return all_reduce(features.mean(0)) / count()


def noise_like(images):
    """Standard normal noise for `images`, drawn for the whole batch."""
    return own_rows(torch.randn_like(images if count() == 1 else torch.cat([images] * count())))


# ------------------------------------------------------------------ one step of all


def average(parameters):
    """Averages the gradients of `parameters` over the processes, in one message.

    So a gradient that is not finite in one process is so in all, and all notice it in one step.
    ConnectionError where a process has ended.
    """
    if count() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    try:
        distributed.all_reduce(flat)
    except RuntimeError as error:
        raise ConnectionError(f"another process of this run has ended ({error})") from None
    sizes = [g.numel() for g in gradients]
    for gradient, part in zip(gradients, (flat / count()).split(sizes), strict=True):
        gradient.copy_(part.view_as(gradient))


def first(found):
    """Of what the processes have found, tuples that begin with a step, or None, the earliest.

    Of the same step it is that of the process that found it first in the order of its step.
    """
    if count() == 1:
        return found
    flag = torch.tensor([float(found is not None)])
    if distributed.get_backend() == "nccl":
        flag = flag.cuda()
    distributed.all_reduce(flag)
    if not flag:
        return None
    each = [None] * count()
    distributed.all_gather_object(each, found)
    return min((one for one in each if one), key=lambda one: (one[0], "norm" in one[2]))


def mean(values):
    """{name: float} of this process -> the means over all of them."""
    if count() == 1:
        return values
    stack = torch.tensor(list(values.values()), dtype=torch.float64)
    if distributed.get_backend() == "nccl":
        stack = stack.to("cuda", torch.float32)
    distributed.all_reduce(stack)
    return dict(zip(values, (stack / count()).tolist(), strict=True))


def from_first(make):
    """What make() returns in process 0, in every process. An exception of its is raised in all."""
    if count() == 1:
        return make()
    box = [None]
    if rank() == 0:
        try:
            box[0] = make()
        except Exception as error:
            box[0] = error
    distributed.broadcast_object_list(box)
    if isinstance(box[0], Exception):
        raise box[0]
    return box[0]
