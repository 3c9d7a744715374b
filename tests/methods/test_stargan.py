"""StarGAN: networks against the official layers, losses by hand, targets, what padding does."""

import math

import pytest
import torch
import torch.nn.functional as F
from toys import JOINT, TwoHeads

from gantutor import recipes
from gantutor.data import faces
from gantutor.methods.stargan import (
    JointStarGAN,
    SmallStarGenerator,
    StarGAN,
    StarGANDiscriminator,
    StarGANGenerator,
    attribute_loss,
    choice_loss,
    with_code,
)
from gantutor.official import official_stargan_state
from gantutor.recipes import UnmaskedGenerator
from gantutor.training import fit

# ------------------------------------------------------------- official networks


def drawn(shapes, seed):
    torch.manual_seed(seed)
    return {key: torch.randn(shape) * 0.2 for key, shape in shapes.items()}


def norm_shapes(place, c):
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{place}.{name}": (c,) for name in names} | {f"{place}.num_batches_tracked": ()}


def official_generator_state(codes, c=4, blocks=2):
    """A state dict with the names and shapes of github.com/yunjey/stargan, random values."""
    shapes = {"main.0.weight": (c, 3 + codes, 7, 7)} | norm_shapes("main.1", c)
    for place, (i, o) in {3: (c, 2 * c), 6: (2 * c, 4 * c)}.items():
        shapes |= {f"main.{place}.weight": (o, i, 4, 4)} | norm_shapes(f"main.{place + 1}", o)
    for n in range(blocks):
        for conv in (0, 3):
            shapes[f"main.{9 + n}.main.{conv}.weight"] = (4 * c, 4 * c, 3, 3)
            shapes |= norm_shapes(f"main.{9 + n}.main.{conv + 1}", 4 * c)
    for place, (i, o) in {9 + blocks: (4 * c, 2 * c), 12 + blocks: (2 * c, c)}.items():
        shapes |= {f"main.{place}.weight": (i, o, 4, 4)} | norm_shapes(f"main.{place + 1}", o)
    return drawn(shapes | {f"main.{15 + blocks}.weight": (3, c, 7, 7)}, 0)


def official_generator(s, x, code, blocks=2):
    """The official forward pass in torch.nn.functional, in training mode as the authors test."""
    def norm(h, place):
        return F.instance_norm(h, weight=s[f"{place}.weight"], bias=s[f"{place}.bias"])

    planes = code[:, :, None, None].repeat(1, 1, x.shape[2], x.shape[3])
    h = F.relu(norm(F.conv2d(torch.cat([x, planes], 1), s["main.0.weight"], padding=3), "main.1"))
    for k in (3, 6):
        h = F.conv2d(h, s[f"main.{k}.weight"], stride=2, padding=1)
        h = F.relu(norm(h, f"main.{k + 1}"))
    for n in range(blocks):
        place = f"main.{9 + n}.main"
        r = F.relu(norm(F.conv2d(h, s[f"{place}.0.weight"], padding=1), f"{place}.1"))
        h = h + norm(F.conv2d(r, s[f"{place}.3.weight"], padding=1), f"{place}.4")
    for k in (9 + blocks, 12 + blocks):
        h = F.conv_transpose2d(h, s[f"main.{k}.weight"], stride=2, padding=1)
        h = F.relu(norm(h, f"main.{k + 1}"))
    return torch.tanh(F.conv2d(h, s[f"main.{15 + blocks}.weight"], padding=3))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_official_generator_loads_and_gives_the_same_picture(prefix):
    state = official_generator_state(codes=5)
    G = StarGANGenerator(5, width=4, blocks=2)
    G.load_state_dict(official_stargan_state({prefix + k: v for k, v in state.items()}))
    torch.manual_seed(1)
    x, code = torch.rand(2, 3, 16, 24) * 2 - 1, torch.rand(2, 5)
    expected = official_generator(state, x, code)
    assert expected.std() > 0.1
    for mode in (G.train(), G.eval()):  # no running statistics: both modes give one picture
        assert torch.allclose(mode(x, code), expected, atol=1e-5)


def test_an_official_discriminator_loads_and_gives_the_same_two_heads():
    shapes = {}
    for n, (i, o) in enumerate([(3, 4), (4, 8), (8, 16)]):
        shapes |= {f"main.{2 * n}.weight": (o, i, 4, 4), f"main.{2 * n}.bias": (o,)}
    state = drawn(shapes | {"conv1.weight": (1, 16, 3, 3), "conv2.weight": (5, 16, 4, 4)}, 2)
    D = StarGANDiscriminator(5, size=32, width=4, layers=3)
    D.load_state_dict(official_stargan_state(state))
    h = x = torch.rand(2, 3, 32, 32) * 2 - 1
    for k in (0, 2, 4):
        h = F.conv2d(h, state[f"main.{k}.weight"], state[f"main.{k}.bias"], stride=2, padding=1)
        h = F.leaky_relu(h, 0.01)
    scores, logits = D(x)
    assert scores.shape == (2, 1, 4, 4) and logits.shape == (2, 5)
    assert torch.allclose(scores, F.conv2d(h, state["conv1.weight"], padding=1), atol=1e-5)
    flat = torch.einsum("nchw,kchw->nk", h, state["conv2.weight"])
    assert torch.allclose(logits, flat, atol=1e-4)


def test_the_papers_sizes():
    """Parameters of the official networks at their default settings, counted from their code."""
    def count(net):
        return sum(p.numel() for p in net.parameters())

    assert count(StarGANGenerator(5)) == 8_430_528
    D = StarGANDiscriminator(5)
    assert count(D) == 44_762_048
    with torch.no_grad():
        scores, logits = D(torch.zeros(1, 3, 128, 128))
    assert scores.shape == (1, 1, 2, 2) and logits.shape == (1, 5)


def test_reflection_padding_deletes_the_code_and_zero_padding_does_not():
    torch.manual_seed(0)
    x, code = torch.rand(2, 3, 16, 24) * 2 - 1, torch.tensor([[1.0, 0, 0], [0, 1.0, 1]])

    def change(G):
        return (G(x, code) - G(x, 1 - code)).abs().max().item()

    assert change(StarGANGenerator(3, 8, 1, padding_mode="reflect")) < 1e-4
    assert change(StarGANGenerator(3, 8, 1)) > 0.05
    assert change(SmallStarGenerator(3, 8, 1)) > 1e-3


def test_small_generator_starts_as_a_small_change_of_its_input():
    torch.manual_seed(0)
    x, code = torch.rand(2, 3, 8, 12) * 2 - 1, torch.rand(2, 4)
    for downs in (1, 2):
        out = SmallStarGenerator(4, 8, 2, downs)(x, code)
        change = out - x
        assert out.shape == x.shape and 0 < change.abs().mean() < 0.2
        s = 2**downs  # drawn on a coarser grid
        blocks = F.avg_pool2d(change, s).repeat_interleave(s, 2).repeat_interleave(s, 3)
        assert torch.allclose(change, blocks, atol=1e-6)


def test_bad_input_is_named():
    x = torch.zeros(2, 3, 16, 16)
    with pytest.raises(ValueError, match=r"code: expected shape \(2, c\).*\(3, 5\)"):
        with_code(x, torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"code: .*\(5,\)"):
        with_code(x, torch.zeros(5))
    with pytest.raises(ValueError, match="multiples of 4"):
        StarGANGenerator(5, 4, 1)(torch.zeros(1, 3, 10, 16), torch.zeros(1, 5))
    with pytest.raises(ValueError, match=r"32 x 32 px, got \(32, 48\)"):
        StarGANDiscriminator(5, 32, 4, 3)(torch.zeros(1, 3, 32, 48))
    with pytest.raises(ValueError, match="size=36"):
        StarGANDiscriminator(5, 36, 4, 3)


# --------------------------------------------------------------------- losses


def test_attribute_loss_by_hand():
    logits = torch.tensor([[0.0, 2.0], [-1.0, 0.5]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    by_hand = [math.log(1 + math.exp(-0)), math.log(1 + math.exp(2)),
               math.log(1 + math.exp(-1)), math.log(1 + math.exp(-0.5))]
    assert attribute_loss(logits, labels).item() == pytest.approx(sum(by_hand) / 2)


def test_choice_loss_is_cross_entropy():
    torch.manual_seed(0)
    logits, chosen = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    found = choice_loss(logits, F.one_hot(chosen, 4).float())
    assert found.item() == pytest.approx(F.cross_entropy(logits, chosen).item())


def make(kind, codes, classes, **weights):
    torch.manual_seed(3)
    G, D = SmallStarGenerator(codes, 4, 1), TwoHeads(classes)
    return (kind(G, D, **weights) if kind is StarGAN else kind(G, D, (3, 2), **weights))


def batch(codes, n=4):
    torch.manual_seed(4)
    return {"x": torch.rand(n, 3, 6, 8) * 2 - 1, "code": codes}


SINGLE = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1]])


def by_hand(m, x, code, target, logits_loss, weights):
    """(generator's total, discriminator's total without its penalty)."""
    fake = m.G(x, target)
    score, logits = m.D(fake)
    G = (-score.mean() + weights[0] * logits_loss(logits, target)
         + weights[1] * F.l1_loss(m.G(fake, code), x))
    real, real_logits = m.D(x)
    D = score.mean() - real.mean() + weights[0] * logits_loss(real_logits, code)
    return G, D


def bce(logits, labels):
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def single_loss(logits, code):
    return bce(logits, code).sum(1).mean()


def joint_loss(logits, code):
    """Row by row: only the block that the row's mask names is judged."""
    rows = []
    for z, c in zip(logits, code, strict=True):
        rows.append(bce(z[:3], c[:3]).sum() if c[5] else F.cross_entropy(z[3:], c[3:5]))
    return torch.stack(rows).mean()


@pytest.mark.parametrize("kind, codes, loss", [(StarGAN, SINGLE, single_loss),
                                               (JointStarGAN, JOINT, joint_loss)])
def test_both_losses_by_hand(kind, codes, loss, monkeypatch):
    m = make(kind, codes.shape[1], 3 if kind is StarGAN else 5, lambda_cls=2.0, lambda_rec=7.0,
             lambda_gp=0.0)
    b = batch(codes)
    target = codes[[1, 0, 3, 2]]
    monkeypatch.setattr(m, "targets", lambda code: target)
    G, D = by_hand(m, b["x"], codes, target, loss, (2.0, 7.0))
    total, parts = m.generator_loss(b)
    assert total.item() == pytest.approx(G.item(), rel=1e-5)
    assert set(parts) == {"G", "cls_fake", "rec"}
    total, parts = m.discriminator_loss(b)
    assert total.item() == pytest.approx(D.item(), rel=1e-5)
    assert set(parts) == {"D", "cls_real", "gp"}
    m.lambda_gp = 3.0
    again, parts = m.discriminator_loss(b)
    assert again.item() == pytest.approx(D.item() + 3 * parts["gp"].item(), rel=1e-4)
    assert parts["gp"] > 0


@pytest.mark.parametrize("kind, codes", [(StarGAN, SINGLE), (JointStarGAN, JOINT)])
def test_each_players_loss_moves_that_player(kind, codes):
    m = make(kind, codes.shape[1], 3 if kind is StarGAN else 5)
    b = batch(codes)
    m.discriminator_loss(b)[0].backward()
    assert all(p.grad is None for p in m.G.parameters())
    assert all(p.grad is not None for p in m.D.parameters())
    m.zero_grad()
    m.generator_loss(b)[0].backward()
    assert all(p.grad.abs().max() > 0 for p in m.G.parameters())
    assert m.players() == ([m.G], [m.D])


def test_the_joint_loss_does_not_see_what_a_set_does_not_know():
    m = make(JointStarGAN, 7, 5)
    logits = torch.randn(4, 5, requires_grad=True)
    m.classification_loss(logits, JOINT).backward()
    known = torch.tensor([[True] * 3 + [False] * 2] * 2 + [[False] * 3 + [True] * 2] * 2)
    assert torch.equal(logits.grad != 0, known)
    one_set = m.classification_loss(logits[:2], JOINT[:2])
    assert one_set.item() == pytest.approx(attribute_loss(logits[:2, :3], JOINT[:2, :3]).item())


def test_targets_occur_in_the_batch_and_stay_within_their_set():
    m = make(JointStarGAN, 7, 5)
    many = JOINT.repeat(10, 1)
    torch.manual_seed(0)
    target = m.targets(many)
    assert torch.equal(target[:, -2:], many[:, -2:])         # the same set
    for mask in (0, 1):
        rows = many[:, 5 + mask] == 1
        assert sorted(map(tuple, target[rows].tolist())) == sorted(map(tuple, many[rows].tolist()))
    assert (target != many).any(1).float().mean() > 0.3      # and somebody else's
    single = make(StarGAN, 3, 3).targets(SINGLE)
    assert sorted(map(tuple, single.tolist())) == sorted(map(tuple, SINGLE.tolist()))


def test_a_batch_of_one_is_never_asked_for_another_domain():
    m = make(StarGAN, 3, 3)
    for _ in range(20):
        assert torch.equal(m.targets(SINGLE[:1]), SINGLE[:1])
    joint = make(JointStarGAN, 7, 5)
    assert torch.equal(joint.targets(JOINT[[0, 2]]), JOINT[[0, 2]])  # one of each set: the same


def test_translate_stays_in_range_and_the_unmasked_generator_ignores_the_mask():
    m = make(StarGAN, 3, 3)
    with torch.no_grad():
        m.G.out.bias.fill_(5.0)
    assert m.translate(torch.zeros(2, 3, 6, 8), SINGLE[:2]).max() == 1
    G = UnmaskedGenerator(SmallStarGenerator(5, 4, 1))
    other = JOINT.clone()
    other[:, -2:] = 1 - other[:, -2:]
    x = torch.rand(4, 3, 6, 8)
    assert torch.equal(G(x, JOINT), G(x, other))


# ----------------------------------------------------------------- the loop


def test_n_critic_steps_of_D_for_one_of_G(tmp_path):
    def made():
        return recipes.RECIPES["faces_joint"].make(), faces.unpaired(32, 4)

    m, data = made()
    played = {"G": 0, "D": 0}

    def counting(player, name):
        usual = getattr(m, f"{player}_loss")

        def counted(batch):
            played[name] += 1
            return usual(batch)
        setattr(m, f"{player}_loss", counted)

    counting("generator", "G")
    counting("discriminator", "D")
    path = tmp_path / "run.pt"
    history = fit(m, data, 12, n_critic=5, save_path=path, progress=False)
    assert played == {"G": 3, "D": 12}
    assert history["step"] == [10, 12] and len(history["rec"]) == len(history["D"]) == 2
    with pytest.raises(ValueError, match="n_critic=5, cannot go on with n_critic=1"):
        fit(*made(), 12, save_path=path, progress=False)
