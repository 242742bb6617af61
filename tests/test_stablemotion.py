"The diffusion transformer and what is made of it: gradients, padding, masks, and the promises of the cleaner."

import pytest
import torch

import motionbook.models.registry  # noqa: F401 (adds the recipes)
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
    six = net.told.six(net.told.condition(times, asked)).unflatten(-1, (6, -1))
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
    assert losses[-1] < 0.5 * losses[0] and all(
        float(b.table.detach().abs().max()) > 0 for b in net.blocks
    )


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


TINY = dict(
    steps=6, layers=1, width=16, heads=2, window=32, stretch=64, holes=1, doubts=1, draws=16
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    import motionbook
    from motionbook.synthetic.animals import mouse
    from motionbook.training.command import train

    folder = tmp_path_factory.mktemp("tracks")
    scene = mouse(seconds=4.2, seed=2)
    motionbook.write(scene, folder / "mouse.csv")
    fields = TINY | dict(batch_size=8, mixed_precision="no", progress=False)
    made = train("stablemotion", [folder / "mouse.csv"], folder / "run", fields)
    return folder, scene, made, fields


def test_one_file_becomes_a_method(trained):
    import motionbook
    from motionbook.synthetic.animals import mouse

    folder, _, made, _ = trained
    assert made["steps"] == 6 and made["ended_by"] == "steps"
    broken = mouse(seconds=2.0, seed=4)
    x = broken.actors[0].positions.clone()
    x[20:30, 1] = torch.nan
    scene = broken.replace(actors=(broken.actors[0].replace(positions=x),))
    done = motionbook.clean(scene, method=folder / "run", fidelity="missing")
    flagged = done.flagged[0]
    assert torch.equal(done.scene.actors[0].positions[~flagged], x[~flagged])
    assert done.scene.actors[0].positions.isfinite().all() and (done.sigma[0][flagged] > 0).all()


def test_training_goes_on_and_refuses_other_settings(trained):
    from motionbook.training.command import train

    folder, _, _, fields = trained
    again = train("stablemotion", [folder / "mouse.csv"], folder / "run", fields | {"steps": 8})
    assert again["steps"] == 8
    with pytest.raises(ValueError, match="width"):
        train("stablemotion", [folder / "mouse.csv"], folder / "run", fields | {"width": 32})


def test_other_points_and_altered_weights_are_refused(trained, tmp_path):
    import shutil

    import motionbook
    from motionbook.core.motion import Motion, Scene
    from motionbook.core.skeleton import Skeleton

    folder, scene, _, _ = trained
    other = Scene((Motion(torch.zeros(40, 2, 2), Skeleton("fly", ("wing", "eye")), 30.0),))
    with pytest.raises(ValueError, match="wing"):
        motionbook.clean(other, method=folder / "run")
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run/model/model.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="checksum"):
        motionbook.clean(scene, method=tmp_path / "run")


def test_nothing_to_trust_is_said(tmp_path):
    import motionbook
    from motionbook.synthetic.animals import mouse
    from motionbook.training.command import train

    scene = mouse(seconds=4.0)
    m = scene.actors[0]
    x = m.positions.clone()
    x[:, 1:] = torch.nan
    motionbook.write(scene.replace(actors=(m.replace(positions=x),)), tmp_path / "bad.csv")
    with pytest.raises(ValueError, match="can be trusted"):
        train("stablemotion", [tmp_path / "bad.csv"], tmp_path / "run")
