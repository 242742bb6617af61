"Kinematics: what inverse kinematics and refitting promise, on synthetic actors and on real recordings."

import math

import pytest
import torch
from helpers import same

from motionbook.core.gaps import gap_ends
from motionbook.core.kinematics import (
    bone_lengths,
    fill_rotations,
    global_rotations,
    ik,
    local_offsets,
    local_rotations,
    refit,
    rest_pose,
)
from motionbook.core.motion import fk
from motionbook.core.rotation import axis_rotation, rotation_angle
from motionbook.core.skeleton import Skeleton
from motionbook.formats.bvh.bvh import read
from motionbook.synthetic.people import ACTIONS, person

REAL = ("salsa_01", "dataset-1_kick_normal_001", "dataset-2_wave-both-hands_active_001")


@pytest.fixture(scope="module")
def dance():
    return person("dance", seconds=3, fps=30, seed=1)


def clip(m, frames):
    "Some frames of a motion."
    offsets = None if m.offsets is None else m.offsets[frames]
    return m.replace(positions=m.positions[frames], rotations=m.rotations[frames], offsets=offsets)


def placed(m, rotations):
    "The motion with other rotations."
    offsets = m.skeleton.rest_offsets if m.offsets is None else m.offsets
    root = m.skeleton.parents.index(-1)
    positions, _ = fk(rotations, offsets, m.positions[:, root], m.skeleton.parents)
    return m.replace(positions=positions, rotations=rotations, offsets=m.offsets)


def distance(a, b):
    return (a - b).norm(dim=-1)


# measures


def test_local_and_global_are_inverse(dance):
    world = global_rotations(dance.rotations, dance.skeleton.parents)
    assert torch.allclose(
        local_rotations(world, dance.skeleton.parents), dance.rotations, atol=1e-5
    )
    offsets = local_offsets(dance.positions, world, dance.skeleton.parents)
    assert torch.allclose(offsets, dance.skeleton.rest_offsets.expand_as(offsets), atol=1e-5)


def test_lengths_do_not_depend_on_the_frame_of_reference(dance):
    turn = axis_rotation("y", torch.tensor(1.0)) @ axis_rotation("z", torch.tensor(0.3))
    a, b = (
        bone_lengths(x, dance.skeleton.edges)
        for x in (dance.positions, dance.positions @ turn.T + 3)
    )
    assert torch.allclose(a, b, atol=1e-5)


def test_neighbours():
    lo, hi, share = gap_ends(torch.tensor([0, 1, 0, 0, 1, 0]).bool())
    assert lo.tolist() == [1, 1, 1, 1, 4, 4] and hi.tolist() == [1, 1, 4, 4, 4, 4]
    assert torch.allclose(share, torch.tensor([-1.0, 0, 1 / 3, 2 / 3, 0, 1])) or share[
        2:4
    ].tolist() == pytest.approx([1 / 3, 2 / 3])
    lo, hi, share = gap_ends(torch.zeros(3, 2).bool())
    assert lo[:, 0].tolist() == hi[:, 0].tolist() == [0, 1, 2]


def test_filled_rotations_lie_between(dance):
    good = torch.ones(dance.positions.shape[:2], dtype=torch.bool)
    good[10:19] = good[:3, 2] = good[-4:, 5] = good[:, 7] = False
    filled = fill_rotations(dance.rotations, good)
    assert same(filled[good], dance.rotations[good]) and same(filled[:, 7], dance.rotations[:, 7])
    a, b, x = dance.rotations[9, 3], dance.rotations[19, 3], filled[14, 3]
    assert rotation_angle(a, x).item() == pytest.approx(rotation_angle(a, b).item() / 2, abs=1e-3)
    assert same(filled[0, 2], dance.rotations[3, 2]) and same(filled[-1, 5], dance.rotations[-5, 5])


# inverse kinematics


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("guessed", [True, False])
def test_exact_positions_are_reproduced(action, guessed):
    m = person(action, seconds=2, fps=30, seed=2)
    found = ik(m.positions, m.skeleton, m.rotations if guessed else None)
    again, _ = fk(found.rotations, m.skeleton.rest_offsets, found.root, m.skeleton.parents)
    assert distance(again, m.positions).max() < 1e-4
    assert found.residual.max() < 1e-4
    if guessed:
        assert rotation_angle(found.rotations, m.rotations).max() < 2e-3


@pytest.mark.parametrize("name", REAL)
def test_real_recordings_without_their_rotations(real_data, name):
    "Every twentieth frame of a real file from positions alone; CMU's hips are three joints in one place."
    (m,) = read(real_data / f"bvh/samples/{name}.bvh").actors
    m = clip(m, slice(0, None, 20))
    found = ik(m.positions, m.skeleton, offsets=m.offsets)
    assert found.residual.mean() < 2e-3
    assert found.residual.quantile(0.99) < 0.02


def test_coincident_hips(real_data):
    (m,) = read(real_data / "asf_amc/01_01.bvh").actors
    m = clip(m, slice(0, None, 20))
    assert (m.skeleton.rest_offsets[1:].norm(dim=-1) == 0).sum() > 3
    found = ik(m.positions, m.skeleton)
    assert found.residual.mean() < 2e-3


def test_bones_keep_their_length_under_noise(dance):
    noisy = dance.positions + 0.03 * torch.randn(
        dance.positions.shape, generator=torch.Generator().manual_seed(0)
    )
    found = ik(noisy, dance.skeleton, dance.rotations)
    made, _ = fk(found.rotations, dance.skeleton.rest_offsets, found.root, dance.skeleton.parents)
    assert torch.allclose(
        bone_lengths(made, dance.skeleton.edges),
        bone_lengths(dance.positions, dance.skeleton.edges),
        atol=1e-4,
    )
    assert distance(made, dance.positions).mean() < 0.8 * distance(noisy, dance.positions).mean()
    assert torch.allclose(found.residual, distance(made, noisy), atol=1e-4)
    gram = found.rotations @ found.rotations.mT
    assert torch.allclose(gram, torch.eye(3).expand_as(gram), atol=1e-5)


def test_more_steps_are_never_worse(dance):
    noisy = dance.positions + 0.03 * torch.randn(
        dance.positions.shape, generator=torch.Generator().manual_seed(0)
    )
    errors = [
        ik(noisy, dance.skeleton, dance.rotations, iterations=k).residual.square().sum(1)
        for k in (0, 1, 3, 10)
    ]
    for a, b in zip(errors, errors[1:]):
        assert (b <= a + 1e-6).all()
    assert errors[-1].mean() < 0.6 * errors[0].mean()


def test_frames_are_independent(dance):
    noisy = dance.positions + 0.02 * torch.randn(
        dance.positions.shape, generator=torch.Generator().manual_seed(0)
    )
    whole = ik(noisy, dance.skeleton, dance.rotations)
    for t in (0, 40, 89):
        alone = ik(noisy[[t]], dance.skeleton, dance.rotations[[t]])
        assert torch.allclose(alone.rotations[0], whole.rotations[t], atol=1e-5)


def test_turning_the_scene_turns_the_answer(dance):
    turn = axis_rotation("y", torch.tensor(2.0)) @ axis_rotation("x", torch.tensor(0.5))
    noisy = dance.positions + 0.02 * torch.randn(
        dance.positions.shape, generator=torch.Generator().manual_seed(0)
    )
    spun = dance.rotations.clone()
    spun[:, 0] = turn @ spun[:, 0]
    a = ik(noisy, dance.skeleton, dance.rotations)
    b = ik(noisy @ turn.T + torch.tensor([1.0, 2.0, 3.0]), dance.skeleton, spun)
    assert rotation_angle(turn @ a.rotations[:, 0], b.rotations[:, 0]).max() < 5e-3
    assert rotation_angle(a.rotations[:, 1:], b.rotations[:, 1:]).max() < 1e-2


def test_missing_points_are_found_again(dance):
    "An elbow, a knee and the root are hidden: the other points leave them no choice."
    s, holed = dance.skeleton, dance.positions.clone()
    hidden = s.indices(["left_elbow", "right_knee", "pelvis"])
    holed[10:40, hidden] = torch.nan
    found = ik(
        holed,
        s,
        fill_rotations(dance.rotations, (torch.arange(90) % 30 == 0)[:, None].expand(90, len(s))),
    )
    made, _ = fk(found.rotations, s.rest_offsets, found.root, s.parents)
    assert distance(made, dance.positions)[10:40, s.index("pelvis")].max() < 0.02
    assert distance(made, dance.positions)[10:40, hidden].mean() < 0.03
    assert found.residual[10:40, hidden].isnan().all()


def test_nothing_known_leaves_the_guess(dance):
    lost = dance.positions.clone()
    lost[5] = torch.nan
    found = ik(lost, dance.skeleton, dance.rotations)
    assert torch.allclose(found.rotations[5], dance.rotations[5], atol=1e-6)
    assert found.root[5].isnan().all()


def test_offsets_that_change(dance):
    offsets = dance.skeleton.rest_offsets * torch.linspace(1, 1.2, 90)[:, None, None]
    positions, _ = fk(dance.rotations, offsets, dance.positions[:, 0], dance.skeleton.parents)
    assert ik(positions, dance.skeleton, dance.rotations, offsets=offsets).residual.max() < 1e-4
    assert ik(positions, dance.skeleton, dance.rotations).residual[-1].mean() > 0.01


def test_only_the_frames_and_joints_asked_for(dance):
    noisy = dance.positions + 0.02 * torch.randn(
        dance.positions.shape, generator=torch.Generator().manual_seed(0)
    )
    frames = torch.arange(90) % 7 == 0
    active = torch.zeros(90, len(dance.skeleton), dtype=torch.bool)
    active[:, dance.skeleton.indices(["left_shoulder", "left_elbow"])] = True
    found = ik(noisy, dance.skeleton, dance.rotations, frames=frames, active=active)
    assert same(found.rotations[~frames], dance.rotations[~frames])
    assert same(found.rotations[~active], dance.rotations[~active])
    assert not same(
        found.rotations[frames & active[:, 0] | active[:, 16] & frames], dance.rotations[frames]
    )


def test_a_rest_pose_survives_missing_joints(dance):
    holed = dance.positions.clone()
    holed[:, 5] = torch.nan
    holed[::2, 9] = torch.nan
    offsets = rest_pose(holed, dance.skeleton.parents)
    assert offsets.isfinite().all()
    known = [i for i, p in enumerate(dance.skeleton.parents) if p >= 0 and 5 not in (i, p)]
    assert torch.allclose(
        offsets[known].norm(dim=-1), dance.skeleton.rest_offsets[known].norm(dim=-1), atol=1e-4
    )


def test_errors_say_what_is_wrong(dance):
    with pytest.raises(ValueError, match="a tree with one root"):
        ik(torch.zeros(2, 2, 3), Skeleton("loose", ("a", "b")))
    with pytest.raises(ValueError, match="no rest_offsets"):
        ik(torch.zeros(2, 2, 3), Skeleton("bare", ("a", "b"), (-1, 0)))
    with pytest.raises(ValueError, match=r"expected positions \[90, 24, 3\]|expected positions"):
        ik(dance.positions[:, :3], dance.skeleton)
    with pytest.raises(ValueError, match="expected rotations"):
        refit(dance.replace(positions=dance.positions + 1), dance.positions, torch.ones(90).bool())


# refitting


@pytest.mark.parametrize("name", REAL)
def test_untouched_frames_are_bit_identical(real_data, name):
    (m,) = read(real_data / f"bvh/samples/{name}.bvh").actors
    m = clip(m, slice(0, 170))
    changed = torch.rand(m.positions.shape[:2], generator=torch.Generator().manual_seed(0)) < 0.01
    changed[60:90] |= (
        torch.rand(m.positions.shape[1], generator=torch.Generator().manual_seed(1)) < 0.5
    )
    positions = torch.where(changed[..., None], m.positions + 0.02, m.positions)
    fixed, residual = refit(m, positions, changed)
    kept = ~changed.any(1)
    assert 30 < kept.sum() < 150
    for k in ("positions", "rotations", "offsets"):
        if getattr(m, k) is not None:
            assert same(getattr(fixed, k)[kept], getattr(m, k)[kept])
    assert residual[kept].max() == 0
    assert torch.allclose(residual, distance(fixed.positions, positions), atol=1e-5)


@pytest.mark.parametrize("name", REAL)
def test_broken_limbs_are_restored_from_true_positions(real_data, name):
    "Two joints turn wrongly for spans of a real recording; the true positions bring them back, and only them."
    (m,) = read(real_data / f"bvh/samples/{name}.bvh").actors
    bad, roles = m.rotations.clone(), m.skeleton.roles
    for at in range(30, len(m) - 30, 60):
        bad[at : at + 15, roles["left_shoulder"]] @= axis_rotation("z", torch.tensor(1.0))
        bad[at + 5 : at + 20, roles["right_hip"]] @= axis_rotation("x", torch.tensor(-0.8))
    broken = placed(m, bad)
    changed = distance(broken.positions, m.positions) > 1e-4
    fixed, _ = refit(broken, m.positions, changed)
    assert distance(fixed.positions, m.positions).max() < 1e-4
    assert (
        rotation_angle(fixed.rotations, m.rotations)[changed].mean()
        < 0.1 * rotation_angle(bad, m.rotations).max()
    )


def test_a_repaired_elbow_does_not_drag_the_hand(dance):
    s = dance.skeleton
    elbow, wrist = s.indices(["left_elbow", "left_wrist"])
    positions, changed = dance.positions.clone(), torch.zeros(90, len(s), dtype=torch.bool)
    positions[30:40, elbow] += 0.03 * torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    changed[30:40, elbow] = True
    fixed, _ = refit(dance, positions, changed)
    assert distance(fixed.positions, dance.positions)[30:40, wrist].mean() < 0.006
    legs = s.indices(["left_knee", "right_ankle", "pelvis"])
    assert same(fixed.positions[:, legs], dance.positions[:, legs])
    assert same(fixed.rotations[:, legs], dance.rotations[:, legs])


def test_a_repaired_root_moves_and_the_limbs_stay(dance):
    positions, changed = (
        dance.positions.clone(),
        torch.zeros(90, len(dance.skeleton), dtype=torch.bool),
    )
    positions[30:40, 0] += torch.tensor([0.02, 0.0, 0.02])
    changed[30:40, 0] = True
    fixed, _ = refit(dance, positions, changed)
    hands = dance.skeleton.indices(["left_wrist", "right_wrist", "left_ankle", "right_ankle"])
    assert distance(fixed.positions, dance.positions)[30:40, hands].max() < 0.01


def test_whole_frames_between_good_ones(dance):
    "Ten frames are rubbish. Their new positions come from elsewhere, their twist from the neighbours."
    bad = dance.rotations.clone()
    bad[40:50] = torch.linalg.qr(
        torch.randn(10, *bad.shape[1:], generator=torch.Generator().manual_seed(0))
    )[0]
    bad = bad * torch.linalg.det(bad).sign()[..., None, None]
    changed = torch.zeros(90, dtype=torch.bool)
    changed[40:50] = True
    fixed, _ = refit(placed(dance, bad), dance.positions, changed)
    assert distance(fixed.positions, dance.positions).max() < 1e-3
    steps, usual = (rotation_angle(r[1:], r[:-1]) for r in (fixed.rotations, dance.rotations))
    assert steps[38:51].max() < 2 * usual.max() + math.radians(2)


def test_missing_rotations_are_filled(dance):
    broken = dance.rotations.clone()
    broken[20:26, dance.skeleton.index("left_shoulder")] = torch.nan
    broken[50, dance.skeleton.index("left_wrist")] = (
        torch.nan
    )  # a leaf, below which nothing is missing
    gappy = placed(dance, broken)
    missing = ~gappy.observed
    assert missing.sum() == 6 * 2
    fixed, _ = refit(gappy, dance.positions, missing)
    assert fixed.rotations.isfinite().all() and fixed.observed.all()
    assert distance(fixed.positions, dance.positions).max() < 1e-3
    still, _ = refit(gappy, gappy.positions, missing)
    assert same(still.positions, gappy.positions)


def test_a_frame_that_was_lost_entirely(dance):
    lost = dance.rotations.clone()
    lost[30:33] = torch.nan
    positions = placed(dance, lost).positions.clone()
    positions[30:33] = torch.nan
    gappy = dance.replace(positions=positions, rotations=lost)
    fixed, _ = refit(gappy, dance.positions, ~gappy.observed)
    assert distance(fixed.positions, dance.positions).max() < 1e-3


def test_a_joint_that_the_file_moves_takes_the_travel(real_data):
    (m,) = read(real_data / "bvh/samples/dataset-1_walk_normal_001.bvh").actors
    changed = torch.zeros(m.positions.shape[:2], dtype=torch.bool)
    changed[50:60, 1:] = True
    positions = torch.where(
        changed[..., None], m.positions + torch.tensor([0.0, 0.0, 0.1]), m.positions
    )
    fixed, residual = refit(m, positions, changed)
    assert residual.max() < 1e-3
    assert fixed.positions[:, 0].abs().max() == 0
    hips = m.skeleton.index("Hips")
    assert torch.allclose(
        (fixed.offsets - m.offsets)[50:60, hips].norm(dim=-1), torch.tensor(0.1), atol=1e-4
    )
    others = [i for i in range(len(m.skeleton)) if i != hips]
    assert same(fixed.offsets[:, others], m.offsets[:, others])


def test_no_change_is_no_change(dance):
    fixed, residual = refit(dance, dance.positions.clone(), torch.ones(90, dtype=torch.bool))
    assert fixed is dance and residual.max() == 0


def test_sixty_joints_come_nearer(real_data):
    (m,) = read(real_data / "bvh/samples/salsa_01.bvh").actors
    m = clip(m, slice(0, 300))
    noisy = m.positions + 0.01 * torch.randn(
        m.positions.shape, generator=torch.Generator().manual_seed(0)
    )
    fixed, _ = refit(m, noisy, torch.ones(300, dtype=torch.bool))
    assert distance(fixed.positions, m.positions).mean() < 0.8 * distance(noisy, m.positions).mean()
