"""Small players, data and methods that the tests of training and methods share."""

import os
import time

import torch
from torch import nn

from gantutor import saving
from gantutor.autoencoders import CodeDiscriminator, coders
from gantutor.data.batches import Unpaired
from gantutor.methods.common_space import (
    VAEGAN,
    AlignedCodes,
    CoGAN,
    CommonSpace,
    ReversedCodes,
    ShuffledColours,
    TwoAutoencoders,
)
from gantutor.methods.cyclegan import CycleGAN, OneWayCycleGAN
from gantutor.methods.direct import Direct
from gantutor.methods.dtn import DTN
from gantutor.methods.perceptual import Perceptual
from gantutor.methods.relatives import DiscoGAN, DualGAN
from gantutor.methods.stargan import JointStarGAN, SmallStarGenerator, StarGAN
from gantutor.methods.supervised import Supervised, SupervisedEdits, SupervisedPair
from gantutor.models import SmallDiscriminator
from gantutor.saving import seed_everything
from gantutor.training import fit

STEPS = 60


class Toy(Direct):
    """Two small players with everything that a state can lose: dropout, a pool, two Adams."""

    def __init__(self, width=4):
        G_xy = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Dropout(0.3),
                             nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())
        D_y = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
                            nn.Conv2d(width, 1, 3))
        super().__init__(G_xy, D_y, pool_size=6)


def stacks(count_x=20, count_y=28, seed=3):
    """(x, y): uint8 images of 8 x 8 px."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (n, 3, 8, 8), generator=generator).to(torch.uint8)
            for n in (count_x, count_y)]


def toy(seed=0, **settings):
    """(method, data): epochs of 5 and 7 batches."""
    seed_everything(seed)
    return Toy(**settings), Unpaired(*stacks(), batch_size=4, seed=seed, flip=True)


def toy_fit(path=None, method=None, data=None, **settings):
    """(method, history) after `fit`, by default of a fresh `toy()`."""
    if method is None:
        method, data = toy()
    history = fit(method, data, settings.pop("steps", STEPS), save_path=path,
                  **{"save_every": 7, "progress": False, "decay_from": 0.3} | settings)
    return method, history


def weights(method):
    return {name: p.detach().clone() for name, p in method.named_parameters()}


def assert_same(a, b, where="state"):
    """Equal in structure, and torch.equal in every tensor; wall-clock seconds apart."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a.keys() - {"seconds"}:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for k, (u, v) in enumerate(zip(a, b, strict=True)):
            assert_same(u, v, f"{where}[{k}]")
    else:
        assert a == b, where


def saved(path):
    return torch.load(path, weights_only=True)


class Interrupt(BaseException):
    """Like KeyboardInterrupt, and pytest does not take it for one."""


def stop_at(step):
    """A callback that ends the run there."""
    def callback(now, method, history):
        if now == step:
            raise Interrupt
    return callback


# ------------------------------------------------------------------ a process that is killed


def announce(word):
    """Says where the run is, then waits there for its end."""
    print(word, flush=True)
    time.sleep(60)


def child(path, moment):
    """Runs in a process of its own, which is killed at `moment`."""
    torch.set_num_threads(1)
    method, data = toy()
    if moment == "in the middle of a step":  # G has stepped, D has not
        whole, calls = method.discriminator_loss, []

        def half(batch):
            calls.append(1)
            return announce("kill me") if len(calls) == 10 else whole(batch)

        method.discriminator_loss = half
    if moment == "half a state written":
        write = torch.save

        def torn(state, target):
            write(state, target)
            if state["step"] == 28:
                target.truncate(target.tell() // 2)
                announce("kill me")

        saving.torch.save = torn
    if moment == "written but not in place":
        move = os.replace

        def late(source, target):
            if saved(source)["step"] == 35:
                announce("kill me")
            move(source, target)

        saving.os.replace = late

    def report(step, method, history):
        if moment == "any time" and step == 45:
            print("kill me", flush=True)  # ... and runs on meanwhile

    toy_fit(path, method, data, callback=report, callback_every=1)
    print("done", flush=True)


# ------------------------------------------------------------------ every method, on 8 x 8 px


def generator(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 3, padding=1),
                         nn.Tanh())


def discriminator(seed=1):
    torch.manual_seed(seed)
    return SmallDiscriminator(width=4, layers=2)


class TwoHeads(nn.Module):
    """A two-headed discriminator of a few weights."""

    def __init__(self, classes):
        super().__init__()
        self.src, self.cls = nn.Conv2d(3, 1, 4, stride=2), nn.Linear(3, classes)

    def forward(self, x):
        return self.src(x).tanh(), self.cls(x.mean((2, 3)))


def shaky():
    """A fixed network that would answer differently, and move, in training mode."""
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))


def star(kind, codes, classes, *more, **weights):
    torch.manual_seed(3)
    return kind(SmallStarGenerator(codes, 4, 1), TwoHeads(classes), *more, **weights)


def space(kind, shared=2, **weights):
    torch.manual_seed(0)
    nets = coders(shared, 8, channels=4, width=4)
    Ds = {"D_x": discriminator(1), "D_y": discriminator(2)} if issubclass(kind, CommonSpace) else {}
    D_z = {} if kind is TwoAutoencoders else {"D_z": CodeDiscriminator(4, width=8)}
    return kind(*nets, **Ds, **D_z, **weights)


def dtn():
    f = shaky()
    torch.manual_seed(8)
    g = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 3, 1, 1), nn.Tanh())
    D = nn.Sequential(nn.Conv2d(3, 5, 4, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                      nn.Linear(5, 3))
    return DTN(f, g, D)


def vaegan(**weights):
    torch.manual_seed(0)
    E, _, _, G = coders(0, 8, channels=4, width=4)
    return VAEGAN(E, G, discriminator(), **{"lambda_kl": 0.1, "lambda_gan": 1.0} | weights)


def cogan():
    torch.manual_seed(0)
    _, _, G_x, G_y = coders(1, 8, channels=4, width=4)
    return CoGAN(G_x, G_y, discriminator(1), discriminator(2), (4, 4, 4))


TERMS = {"lambda_dom": 1.0, "lambda_cyc": 1.0, "lambda_sem": 1.0, "lambda_gan": 1.0}
METHODS = {
    "Direct": lambda: Direct(generator(), discriminator(), pool_size=6),
    "Perceptual": lambda: Perceptual(generator(), discriminator(), shaky(), pool_size=6),
    "OneWayCycleGAN": lambda: OneWayCycleGAN(generator(), generator(2), discriminator(),
                                             pool_size=6),
    "CycleGAN": lambda: CycleGAN(generator(), generator(2), discriminator(3), discriminator(),
                                 lambda_idt=0.5, pool_size=6),
    "DiscoGAN": lambda: DiscoGAN(generator(), generator(2), discriminator(3), discriminator()),
    "DualGAN": lambda: DualGAN(generator(), generator(2), discriminator(3), discriminator(),
                               noise=0.1),
    "StarGAN": lambda: star(StarGAN, 3, 3),
    "JointStarGAN": lambda: star(JointStarGAN, 7, 5, (3, 2)),
    "VAEGAN": vaegan,
    "CoGAN": cogan,
    "TwoAutoencoders": lambda: space(TwoAutoencoders, lambda_kl=0.1),
    "AlignedCodes": lambda: space(AlignedCodes, lambda_kl=0.1),
    "ReversedCodes": lambda: space(ReversedCodes, lambda_kl=0.1),
    "CommonSpace": lambda: space(CommonSpace, lambda_kl=0.1, **TERMS),
    "ShuffledColours": lambda: space(ShuffledColours, lambda_kl=0.0, shuffle=0.8, **TERMS),
    "DTN": dtn,
    "Supervised": lambda: Supervised(generator()),
    "SupervisedPair": lambda: SupervisedPair(generator(), generator(2)),
    "SupervisedEdits": lambda: SupervisedEdits(SmallStarGenerator(7, 4, 1)),
}
JOINT = torch.tensor([[1.0, 0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1, 0],
                      [0.0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0, 1]])


class Batches:
    """Everything that any method wants, pictures of 8 x 8 px and codes; and torch's own draws."""

    def __init__(self, codes=JOINT):
        self.codes, self.generator = codes, torch.Generator().manual_seed(5)

    def next_batch(self):
        x, y = (torch.rand(4, 3, 8, 8, generator=self.generator) * 2 - 1 for _ in range(2))
        return {"x": x, "y": y, "code": self.codes}

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def batches_for(name):
    return Batches(JOINT[:, [0, 1, 2]] if name == "StarGAN" else JOINT)
