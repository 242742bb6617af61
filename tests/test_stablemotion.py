"The diffusion transformer and what is made of it: gradients, padding, masks, and the promises of the cleaner."

import pytest
import torch

from motionbook.models.stablemotion.network import DiTConfig, StableMotionDiT

torch.set_num_threads(1)
SIZE = dict(layers=2, heads=2, width=16)


def network(**more):
    torch.manual_seed(0)
    return StableMotionDiT(5, 3, DiTConfig(**SIZE, **more))


def batch(frames=12, n=2):
    g = torch.Generator().manual_seed(1)
    x, c = torch.randn(n, frames, 5, generator=g), torch.randn(n, frames, 3, generator=g)
    asked = torch.rand(n, frames, 2, generator=g) < 0.5
    return x, torch.tensor([3, 40])[:n], asked, None, c


def test_every_weight_gets_a_gradient():
    net = network(zero_init=False)
    net(*batch()).square().sum().backward()
    dry = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dry == []


def test_zero_init_is_the_identity_and_learns():
    net = network(zero_init=True)
    x, times, asked, _, c = batch()
    assert torch.equal(net(x, times, asked, None, c), torch.zeros_like(x))
    six = net.six(net.condition(times, asked)).unflatten(-1, (6, -1))
    h = torch.randn(2, 12, 16)
    assert torch.equal(net.blocks[1](h, six, None), h)
    rule = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        rule.zero_grad()
        loss = (net(x, times, asked, None, c) - x.roll(1, 1)).square().mean()
        loss.backward()
        rule.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0] and all(float(b.table.abs().max()) > 0 for b in net.blocks)


def test_checkpointing_changes_nothing():
    grads = []
    for again in (False, True):
        net = network(zero_init=False, checkpointing=again).train()
        y = net(*batch())
        y.square().sum().backward()
        grads.append([y.detach(), *(p.grad for p in net.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*grads))


@pytest.mark.parametrize("frames", [1, 7])
def test_padding_is_not_looked_at(frames):
    net = network(zero_init=False).eval()
    x, times, asked, _, c = batch()
    there = torch.arange(12) < torch.tensor([[12], [frames]])
    with torch.no_grad():
        y = net(x, times, asked, there, c)
        alone = net(x[1:, :frames], times[1:], asked[1:, :frames], None, c[1:, :frames])
    assert torch.allclose(y[1:, :frames], alone, atol=1e-5)


def test_the_published_size():
    from motionbook.models.layers import count_parameters
    from motionbook.models.stablemotion.network import PUBLISHED

    with torch.device("meta"):
        net = StableMotionDiT(233, 0, DiTConfig(**PUBLISHED))
    assert count_parameters(net) == pytest.approx(35.94e6, rel=2e-3)
