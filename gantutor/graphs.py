"""The players' steps as CUDA graphs: recorded once, then replayed without Python.

Small networks on a GPU wait for Python, which starts some two thousand kernels a step. A graph
starts them all at once. It repeats what was recorded to the letter: the same memory, the same
branches. So a step must read nothing but its inputs, the weights of `Ramped.held` and the
networks, and whatever the host does (a pool of pictures, the learning rate) stays outside.
"""

import inspect
import warnings
from collections import Counter
from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gantutor import parallel
from gantutor.ramps import Ramped
from gantutor.state import Run, precision_of

WARM = 3  # ordinary steps before one is recorded: cuDNN chooses, Adam makes its averages
ADAM = {"capturable": True, "fused": True}  # how Adam must be made for it


def why_not(method, device, precision):
    """Why the steps of this run cannot be recorded, or None.

    precision: the networks' number type in this run.
    """
    if torch.device(device).type != "cuda":
        return f"they need a GPU of CUDA, and this run is on {device}"
    if precision == "float16":
        return "float16's scale is decided by the host after every step"
    if parallel.count() > 1:
        return "the processes of this run exchange numbers within a step"
    for module in method.modules():
        found = inspect.getattr_static(module, "progress", None)  # a wrapper's is a property
        if isinstance(found, int | float) and not isinstance(module, Ramped):
            return (f"{type(module).__name__} reads `progress` itself; a method of "
                    "`gantutor.ramps.Ramped` gives its weights by name")
    return None


def prepared(method, data, settings, device, played, asked):
    """The `Run` before its first step. If asked and possible, `played` becomes CUDA graphs."""
    reason = asked and why_not(method, device, precision_of(device, settings["precision"])[0])
    if reason:
        print(f"CUDA graphs are off: {reason}.")
    recorded = asked and not reason
    run = Run(method.to(device), data, settings, device, ADAM if recorded else None)
    run.graphs = Graphs(run, played) if recorded else None
    return run


class HostReads(TorchDispatchMode):
    """Notes in `found` what makes the host wait for the device, or brings data from the host.

    A number that is read, rows that are chosen by a mask, a tensor on another device.
    """

    READS = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal")

    def __init__(self, device):
        super().__init__()
        self.kind, self.found = torch.device(device).type, []

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name, named = function.overloadpacket.__name__, named or {}
        masked = "index" in name and any(
            t.dtype in (torch.bool, torch.uint8) for t in _tensors(arguments[1:2]))
        elsewhere = any(t.ndim and t.device.type != self.kind for t in _tensors((arguments, named)))
        if name in self.READS or masked or elsewhere:
            self.found.append(name)
        return function(*arguments, **named)


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Recorded:
    """What step() would do, recorded on a stream. `replay` does it; `result` is what it returns."""

    def __init__(self, step, stream):
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            self.result = step()

    def replay(self):
        self.graph.replay()


class Graphs:
    """The recorded steps of a run: one for each player and phase of the method's ramps.

    played: (run, player, batch) -> parts, the step itself. If it cannot be recorded, the run goes
    on without, and a line says why.
    """

    def __init__(self, run, played):
        self.run, self.played = run, played
        on_cuda = torch.device(run.device).type == "cuda"
        self.stream = torch.cuda.Stream(run.device) if on_cuda else None
        self.held = [(module, {name: torch.zeros((), device=run.device) for name in module.ramps()})
                     for module in run.method.modules() if isinstance(module, Ramped)]
        self.forget()

    def forget(self):
        """Everything is recorded anew: the run's tensors lie elsewhere now."""
        self.turns, self.recorded, self.places = Counter(), {}, self._places()

    def forget_if_moved(self):
        """After a reader's callback, which may have given a parameter other memory."""
        if self._places() != self.places:
            self.forget()

    def _places(self):
        return [p.data_ptr() for p in self.run.method.parameters()]

    def play(self, player, batch):
        """One step of a player on {name: tensor}; returns the named parts of its loss."""
        if player == "discriminator" and hasattr(self.run.method, "between"):
            self.run.method.between(batch)
        key = (player, *(module.on(name) for module, held in self.held for name in held),
               *((name, value.shape, value.dtype) for name, value in sorted(batch.items())))
        if key not in self.recorded:
            self.turns[key] += 1
            if self.turns[key] <= WARM:
                return self._warm(player, batch, last=self.turns[key] == WARM)
            try:
                self.recorded[key] = self._record(player, batch)
            except RuntimeError as error:
                self._end(str(error).strip().partition("\n")[0])
                return self.played(self.run, player, batch)
        return self._replay(player, batch, *self.recorded[key])

    def _warm(self, player, batch, last):
        """A step of the usual kind, on the stream that will record. The last one is watched."""
        reads = HostReads(self.run.device)
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*capturable=True.*")  # it is not recorded yet
            with reads if last else nullcontext():
                parts = self.played(self.run, player, batch)
        if self.stream:
            torch.cuda.current_stream().wait_stream(self.stream)
        if reads.found:
            self._end(f"the {player}'s step reads or copies on the host ({reads.found[0]})")
        return parts

    def _record(self, player, batch):
        """(inputs, recorded): tensors to be filled, and the step that reads them."""
        inputs = {name: value.detach().clone() for name, value in batch.items()}

        def step():
            added, before = dict(inputs), len(self.run.watched)
            parts = self.played(self.run, player, added)
            watched = self.run.watched[before:]
            del self.run.watched[before:]
            numbers = [*parts.values(), *(value for *_, value in watched)]
            return ({k: v.detach() for k, v in added.items() if v is not inputs.get(k)},
                    [*parts], [name for *_, name, _ in watched],
                    torch.stack([number.detach().float() for number in numbers]))

        for module, held in self.held:
            module.held = held
        try:
            return inputs, Recorded(step, self.stream)
        finally:
            for module, _ in self.held:
                del module.held

    def _replay(self, player, batch, inputs, recorded):
        for name, value in inputs.items():
            value.copy_(batch[name].detach())
        for module, held in self.held:
            for name, weight in module.ramps().items():
                held[name].fill_(weight)
        recorded.replay()
        added, parts, watched, numbers = recorded.result
        numbers = numbers.clone().unbind()  # the next replay overwrites them
        batch |= added
        self.run.watch(player, dict(zip(watched, numbers[len(parts):], strict=True)))
        return dict(zip(parts, numbers[:len(parts)], strict=False))

    def _end(self, reason):
        print(f"CUDA graphs are off: {reason}. The run goes on, step by step.")
        self.run.graphs = None
