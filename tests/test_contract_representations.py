"""What every registered representation promises, on recordings that it takes.

There and back is stable; a body that is turned and moved comes back as the same body; a missing point moves
nothing outside its own frames; a description, written as JSON and read again, makes the same numbers.
"""

import json

import pytest
import torch
from helpers import same

from motionbook import Motion, Scene
from motionbook.core.motion import resample
from motionbook.core.robot import clip_to_motion
from motionbook.core.robots import G1_23DOF
from motionbook.core.rotation import axis_rotation
from motionbook.features.representation import REPRESENTATIONS, describe, rebuild, representation
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person, person_markers
from motionbook.synthetic.robots import robot_walk

pytestmark = pytest.mark.usefixtures("one_thread")
WALK = person("walk", 3, fps=20, seed=1)
ROBOT = clip_to_motion(G1_23DOF, robot_walk(G1_23DOF, seconds=3, seed=1, lean=0))
RECORDINGS = {
    "person": WALK,
    "markers": person_markers(WALK),
    "mouse": mouse(3, seed=1).actors[0],
    "robot": ROBOT,
}


@pytest.fixture(params=list(REPRESENTATIONS))
def cases(request):
    "A representation for each kind of recording that it takes, and the recording at its frame rate."
    found = []
    for m in RECORDINGS.values():
        try:
            made = representation(request.param, like=Scene((m,)))
            m = m if made.fps is None else resample(m, made.fps)
            made.encode(m)
        except ValueError as err:
            assert "\n" not in str(err)
            continue
        found.append((made, m))
    assert found, f"{request.param} takes none of {', '.join(RECORDINGS)}: add one that it takes"
    return found


def distances(m: Motion, names: tuple[str, ...] | None = None, frames: int = 30) -> torch.Tensor:
    "[n n] between all points of some frames: what turning and moving a recording leaves as it is."
    joints = m.skeleton.indices(names or m.skeleton.joints)
    points = m.positions[5:frames:7, joints].flatten(0, 1).double()
    return torch.cdist(points, points)


def size(m: Motion) -> float:
    return float(m.positions[0].std())


def turned(m: Motion) -> Motion:
    "The same motion elsewhere: turned about the vertical in space, pushed aside in a picture."
    p, turn = m.positions, axis_rotation("y", torch.tensor(0.7))
    if m.skeleton == ROBOT.skeleton:  # its angles are in its rotations
        rotations = m.rotations.clone()
        rotations[:, 0] = turn @ rotations[:, 0]
        return m.replace(positions=p @ turn.T + torch.tensor([1.0, 0.0, 2.0]), rotations=rotations)
    if p.shape[-1] == 3:
        p = p @ turn.T + torch.tensor([1.0, 0.0, 2.0])
    else:
        p = p + torch.tensor([30.0, 20.0])
    return m.replace(positions=p, rotations=None, offsets=None)


def test_there_and_back_is_the_same_body(cases):
    "Joints that keep their names keep their places, up to where the body stands; nearly, on another body."
    for made, m in cases:
        back = made.decode(made.encode(m))
        names = tuple(j for j in back.skeleton.joints if j in m.skeleton.joints)
        if names:
            error = (distances(back, names) - distances(m, names)).abs().max() / size(m)
            assert error < (1e-5 if len(names) == len(back.skeleton) else 0.1)


def test_there_and_back_is_stable(cases):
    "What came back goes there and back again to the same places."
    for made, m in cases:
        once = made.decode(made.encode(m))
        twice = made.decode(made.encode(once))
        n = min(len(once), len(twice))
        assert once.skeleton.joints == twice.skeleton.joints and n >= len(m) - 3
        assert (once.positions[:n] - twice.positions[:n]).abs().max() < 2e-3 * size(once)


def test_features_are_finite_and_as_wide_as_the_layout(cases):
    for made, m in cases:
        x = made.encode(m)
        assert x.isfinite().all() and x.dtype == torch.float32
        assert x.shape[-1] == max(s.stop for s in made.layout.values())


def test_a_body_elsewhere_is_the_same_body(cases):
    for made, m in cases:
        here, there = (distances(made.decode(made.encode(x))) for x in (m, turned(m)))
        assert (here - there).abs().max() < 2e-3 * size(m)


def test_a_missing_point_moves_nothing_outside_its_frames(cases):
    "Or it is refused, in one line that says what to do."
    for made, m in cases:
        p = m.positions.clone()
        p[20, -1] = torch.nan
        bare = m.replace(rotations=None, offsets=None)
        try:
            x = made.encode(bare.replace(positions=p))
        except ValueError as err:
            assert "\n" not in str(err) and ("gap" in str(err) or "NaN" in str(err))
            continue
        kept = torch.ones(len(x), dtype=torch.bool)
        kept[18:23] = False  # the point's frame, and those whose velocities need it
        assert x.isfinite().all() and same(x[kept], made.encode(bare)[kept])


def test_a_description_makes_the_same_representation(cases):
    for made, m in cases:
        again = rebuild(json.loads(json.dumps(describe(made))))
        assert again.layout == made.layout and again.fps == made.fps
        assert same(again.encode(m), made.encode(m))
