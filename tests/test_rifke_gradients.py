"Gradients through StableMotion's features, both ways."

import warnings

import pytest
import torch

from motionbook.body.smpl import approximate_body, body_joints
from motionbook.core.rotation import axis_rotation, matrix_to_rotvec, rotvec_to_matrix
from motionbook.features.rifke.rifke import RIFKE_LAYOUT, rifke_to_smpl, smpl_to_rifke

MODEL = approximate_body("smpl")


def clip(t=6, seed=0, dtype=torch.float64):
    "Poses and joints of a body that bends and turns, z up."
    g = torch.Generator().manual_seed(seed)
    s = torch.linspace(0, 1, t, dtype=torch.float64)
    poses = 0.3 * torch.sin(4 * s[:, None] + 6 * torch.rand(66, generator=g, dtype=torch.float64))
    upright = axis_rotation("x", torch.tensor(torch.pi / 2, dtype=torch.float64))
    lean = rotvec_to_matrix(0.5 * poses[:, :3])
    poses[:, :3] = matrix_to_rotvec(axis_rotation("z", 2 * s + seed) @ upright @ lean)
    joints = body_joints(poses, model=MODEL, kind="smpl")
    path = torch.stack([2 * s, s**2, 0.9 + 0.1 * s], -1)
    return poses.to(dtype), (joints - joints[:, :1] + path[:, None]).to(dtype)


@pytest.mark.parametrize("foot_frame", ["stablemotion", "global"])
def test_encode_passes_gradcheck(foot_frame):
    x = [v.requires_grad_() for v in clip(4)]
    assert torch.autograd.gradcheck(
        lambda p, j: smpl_to_rifke(p, None, j, foot_frame=foot_frame), x
    )


@pytest.mark.parametrize("heading", ["compatible", "steady"])
def test_decode_passes_gradcheck(heading):
    poses, joints = clip(4)
    f = smpl_to_rifke(poses, None, joints, heading=heading)[:2]
    f = torch.cat([f, torch.zeros(2, 1, dtype=f.dtype)], -1).requires_grad_()  # with the label
    assert torch.autograd.gradcheck(lambda f: rifke_to_smpl(f, heading)[:3], f)


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 2e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("foot_frame", ["stablemotion", "global"])
def test_gradients_change_no_number(dtype, limit, foot_frame):
    clips = [clip(20, seed, dtype) for seed in range(3)]
    poses, joints = (torch.stack(x) for x in zip(*clips))
    plain = smpl_to_rifke(poses, None, joints, foot_frame=foot_frame)
    poses.requires_grad_(), joints.requires_grad_()
    graded = smpl_to_rifke(poses, None, joints, foot_frame=foot_frame)
    assert graded.requires_grad and graded.dtype == dtype
    assert (graded - plain).abs().max() < limit
    back, again = rifke_to_smpl(plain), rifke_to_smpl(graded)
    assert again.joints.requires_grad and again.joints.shape == back.joints.shape
    for a, b in zip(back[:3], again[:3]):
        assert (a - b).abs().max() < 3 * limit
    with torch.no_grad():
        assert torch.equal(smpl_to_rifke(poses, None, joints, foot_frame=foot_frame), plain)
    assert not smpl_to_rifke(poses.detach(), None, joints.detach()).requires_grad


def test_a_network_learns_joints_through_its_features():
    "What StableMotion's users want: a loss on decoded joints reaches the weights."
    poses, joints = clip(12)
    known = smpl_to_rifke(poses, None, joints).float()
    truth = rifke_to_smpl(known).joints
    torch.manual_seed(0)
    net = torch.nn.Linear(232, 232)
    with torch.no_grad():
        net.weight.copy_(torch.eye(232) + 0.01 * torch.randn(232, 232))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(40):
        loss = (rifke_to_smpl(net(known)).joints - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_gradients_go_through_the_body():
    "Joints that are computed from poses carry gradients to all angles above the feet."
    poses, joints = clip(8)
    poses.requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f = smpl_to_rifke(poses, joints[:, 0], model=MODEL)
    f[:, RIFKE_LAYOUT["feet"]].square().sum().backward()
    moved = poses.grad.abs().amax(0).unflatten(-1, (22, 3)).amax(-1) > 1e-9
    assert moved[[0, 1, 2, 4, 5, 7, 8]].all() and not moved[[3, 10, 11, 15, 21]].any()


def test_no_gradient_is_infinite_where_a_root_is_zero():
    "Angles of zero, and rows and headings of zero, as a network's first output has them."
    _, joints = clip(5)
    poses = torch.zeros(5, 66, dtype=torch.float64, requires_grad=True)
    from motionbook.features.rifke.rifke_gradients import encode_with_gradients

    encode_with_gradients(poses, joints).square().sum().backward()
    assert poses.grad.isfinite().all()
    f = torch.zeros(5, 232, requires_grad=True)
    rifke_to_smpl(f).joints.square().sum().backward()
    assert f.grad.isfinite().all()


def test_bad_input_is_refused_with_gradients_too():
    poses, joints = (v.requires_grad_() for v in clip(20))
    for bad, word in (
        ((poses, None, joints * torch.nan), "finite joints"),
        ((poses[:2], None, joints[:2]), "at least 3 frames"),
        ((poses, None, 100 * joints), "metres"),
        ((0 * poses, None, joints), "belong together"),
    ):
        with pytest.raises(ValueError, match=word):
            smpl_to_rifke(*bad)
    with pytest.raises(ValueError, match="detach"):
        smpl_to_rifke(poses, None, joints, heading="steady")
    with pytest.raises(ValueError, match="finite features"):
        rifke_to_smpl(torch.full((4, 232), torch.nan, requires_grad=True))
