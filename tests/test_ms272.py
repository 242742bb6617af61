"""The 272 numbers: held against MotionStreamer's own sample, clips beside each other, and rates that do not fit."""

import numpy as np
import pytest
import torch

from motionbook.core.motion import Scene, resample
from motionbook.core.rotation import matrix_to_rotvec, rotation_angle, rotvec_to_matrix
from motionbook.core.skeletons import SMPL22
from motionbook.features.ms272.motion135 import Motion135, motion135_to_joints
from motionbook.features.ms272.ms272 import MS272, take_every
from motionbook.features.ms272.ms272_vectors import (
    MS272_LAYOUT,
    mirror_ms272,
    ms272_disagreement,
    ms272_rotations,
    ms272_to_joints,
    smpl_to_ms272,
)
from motionbook.features.shared.normalize import Normalizer
from motionbook.synthetic.people import ACTIONS, person

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def reference(real_data):
    stored = np.load(real_data / "golden/ms272_reference.npz")
    return {k: torch.from_numpy(stored[k]) for k in stored}


def pose(m):
    at = m.skeleton.indices(SMPL22.joints)
    return matrix_to_rotvec(m.rotations[:, at]).flatten(1), m.positions[:, at]


def test_the_published_numbers_in_every_slice(reference):
    made = smpl_to_ms272(reference["poses"], reference["joints"])
    for name, off in MS272_LAYOUT.split((made - reference["features"]).abs()).items():
        assert off.max() < 1e-6, name


def test_both_decoders_give_the_published_joints(reference):
    "From the published numbers in double precision; what is left is their own rounding, summed over 43 s."
    joints = reference["joints"].double()
    home = joints - joints[0, 0] * torch.tensor([1.0, 0, 1])
    home[..., 1] -= joints[..., 1].min()
    for dtype, bound in ((torch.float64, 1e-6), (torch.float32, 4e-5)):
        x = smpl_to_ms272(reference["poses"].to(dtype), reference["joints"].to(dtype))
        for source in ("positions", "rotations"):
            found = ms272_to_joints(x, source).double()
            assert (found - home).abs().max() < bound, (dtype, source)
    assert ms272_disagreement(reference["features"]).max() < 1e-5


def test_the_published_rotations_come_back(reference):
    found = ms272_rotations(reference["features"])
    wanted = rotvec_to_matrix(reference["poses"].unflatten(-1, (22, 3)))
    assert rotation_angle(found[:, 1:].double(), wanted[:, 1:].double()).max() < 1e-5


def test_a_clip_does_not_know_what_is_beside_it():
    clips = [
        pose(person(a, s, fps=30, seed=k)) for k, (a, s) in enumerate(zip(ACTIONS, (1, 3, 2, 4)))
    ]
    together = smpl_to_ms272([p for p, _ in clips], [j for _, j in clips])
    for x, (p, j) in zip(together, clips):
        assert torch.equal(x, smpl_to_ms272(p, j))
    p, j = clips[0]
    batch = smpl_to_ms272(p[None].repeat(3, 1, 1), j[None].repeat(3, 1, 1, 1))
    assert torch.equal(batch[2], smpl_to_ms272(p, j))
    joints = ms272_to_joints(together)
    assert all(torch.equal(a, ms272_to_joints(x)) for a, x in zip(joints, together))


def test_gradients_take_the_same_way():
    p, j = (x.double() for x in pose(person("wave", 1, fps=30)))
    plain = smpl_to_ms272(p, j)
    p.requires_grad_()
    assert (smpl_to_ms272(p, j) - plain).abs().max() < 1e-12


def test_cutting_a_clip_changes_the_floor_and_the_first_frame_alone():
    p, j = pose(person("jump", 3, fps=30))
    whole, part = smpl_to_ms272(p, j), smpl_to_ms272(p[20:60], j[20:60])
    off = (part - whole[20:60]).abs()
    off[:, MS272_LAYOUT["positions"]].unflatten(-1, (22, 3))[..., 1] = 0
    assert off[1:].max() < 1e-6


def test_mirrored_twice_is_the_clip():
    x = MS272().encode(person("dance", 2, fps=30))
    assert torch.equal(mirror_ms272(mirror_ms272(x)), x) and not torch.equal(mirror_ms272(x), x)


def test_frames_are_thinned_out_as_published_only_on_request():
    hundred = person("walk", 3, fps=100)
    assert len(MS272().encode(hundred)) == 90
    assert len(MS272(published_rate=True).encode(hundred)) == 100
    assert torch.equal(take_every(hundred).positions[1], hundred.positions[3])


def test_statistics_of_another_rate_are_refused():
    made = MS272(fps=20.0)
    stats = Normalizer.fit([made.encode(person("walk", 3, fps=60))], made)
    with pytest.raises(ValueError, match="20 frames per second, got 30"):
        stats(MS272().encode(person("walk", 3, fps=60)), fps=30.0)


def test_135_numbers_of_any_shape_and_any_body(reference):
    dance = person("dance", 2, fps=60)
    own = Motion135.of(Scene((dance,)))
    x = own.encode(dance)
    turned, joints = motion135_to_joints(x.reshape(2, 30, 135), own.offsets)
    thirty = resample(dance, 30.0)
    wanted = thirty.positions[:, thirty.skeleton.indices(SMPL22.joints)]
    assert (joints.flatten(0, 1) - wanted).abs().max() < 2e-3  # between frames bones are shorter
    assert turned.shape == (2, 30, 22, 3, 3)
