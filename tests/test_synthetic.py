"""Synthetic people and mice keep the properties that everything else is tested against."""

import hashlib
import math
import subprocess
import sys

import pytest
import torch

from motionbook.synthetic.actor import HINGES, hinge_angle
from motionbook.synthetic.people import (
    ACTIONS,
    ACTOR,
    mouse,
    person,
    person_markers,
    place,
    two_people,
)

torch.set_num_threads(1)  # small tensors: threads cost more than they give
SEEDS = (0, 3, 17)
EVERYONE = [(a, s) for a in ACTIONS for s in SEEDS]


def feet(m):
    "Positions [t 4 3] of heels and toes, and [t 4] whether each is in contact."
    return m.positions[:, m.skeleton.indices(m.meta["contact_joints"])], m.meta["contacts"]


def slide(m):
    "Fastest horizontal speed of a contact between two frames in which it holds, m/s."
    points, down = feet(m)
    still = down[1:] & down[:-1]
    return ((points.diff(dim=0)[..., [0, 2]].norm(dim=-1) * m.fps)[still]).max().item()


@pytest.mark.parametrize("action,seed", EVERYONE)
def test_body(action, seed):
    height = 1.5 + 0.05 * seed / 2
    m = person(action, 5, 60, seed, height)
    assert m.positions.dtype == m.rotations.dtype == torch.float32
    assert m.positions.shape == (300, 24, 3) and m.observed.all()
    bones = (m.positions[:, 1:] - m.positions[:, list(m.skeleton.parents[1:])]).norm(dim=-1)
    assert (bones - m.skeleton.rest_offsets[1:].norm(dim=-1)).abs().max() < 1e-5
    assert (m.joint("pelvis")[0, [0, 2]].norm() < 0.06) and m.joint("pelvis")[0, 1] > 0.4 * height
    assert m.rotations[0, 0, 2, 2] > 0.9  # faces +z
    assert not m.joint("left_hip")[0, 0] < m.joint("right_hip")[0, 0]  # left is +x


@pytest.mark.parametrize("action,seed", EVERYONE)
def test_feet(action, seed):
    m = person(action, 5, 60, seed)
    points, down = feet(m)
    assert slide(m) < 0.01
    assert points[..., 1][down].abs().max() < 1e-3
    assert points[..., 1].min() > -2e-3
    assert down.float().mean() > 0.2


def test_slide_is_seen_where_there_is_some():
    m = person("walk", 5, 60, 0)
    drift = torch.linspace(0, 0.5, 300)[:, None, None] * torch.tensor([1.0, 0, 0])
    assert slide(m.replace(positions=m.positions + drift)) > 0.05


@pytest.mark.parametrize("action,seed", EVERYONE)
def test_joints_stay_within_their_limits(action, seed):
    m = person(action, 5, 60, seed)
    for joint in HINGES:
        angle, other = hinge_angle(m, joint)
        assert angle.min() > math.radians(3) and angle.max() < math.radians(145), joint
        assert other.max() < 2e-3, joint
    side = m.rotations[:, m.skeleton.indices(["left_ankle", "right_ankle"])]
    down = torch.atan2(side[..., 2, 1], side[..., 2, 2]).rad2deg()  # toes down positive
    assert -46 < down.min() and down.max() < 50


@pytest.mark.parametrize("action", ACTIONS)
def test_speeds_are_continuous(action):
    "A jump in speed would not shrink with the time between frames."
    kick = lambda fps: (
        person(action, 4, fps, 2).positions.double().diff(dim=0).diff(dim=0).norm(dim=-1).max()
        * fps
    )
    assert kick(960) < 0.6 * kick(480)


@pytest.mark.parametrize(
    "action,top", dict(walk=7, run=11, jump=14, wave=5, sit=4, turn=7, dance=6).items()
)
def test_nothing_goes_faster_than_a_body_can(action, top):
    for seed in SEEDS:
        m = person(action, 5, 60, seed)
        assert m.positions.diff(dim=0).norm(dim=-1).max() * 60 < top


@pytest.mark.parametrize("seed", range(10))
def test_walk_is_a_walk(seed):
    m = person("walk", 10, 60, seed)
    pelvis = m.joint("pelvis")
    speed = pelvis[:, [0, 2]].diff(dim=0).norm(dim=-1).mean() * 60
    contacts = m.meta["contacts"]
    steps = (contacts[1:, [0, 2]] & ~contacts[:-1, [0, 2]]).sum() / 10
    assert 1.0 < speed < 1.65 and 1.5 < steps < 2.2
    assert 0.02 < pelvis[:, 1].max() - pelvis[:, 1].min() < 0.08
    assert contacts.any(-1).all()  # never both feet in the air
    arm = m.joint("left_wrist") - m.joint("left_shoulder")
    leg = m.joint("left_ankle") - m.joint("left_hip")
    ahead = torch.linalg.cross(m.rotations[:, 0, :, 0], torch.tensor([[0.0, 1.0, 0.0]]))
    swing = [((x * ahead).sum(-1) - (x * ahead).sum(-1).mean()) for x in (arm, leg)]
    assert torch.corrcoef(torch.stack(swing))[0, 1] < -0.5  # arms swing against legs


@pytest.mark.parametrize("seed", SEEDS)
def test_run_flies(seed):
    m = person("run", 5, 120, seed)
    air = ~m.meta["contacts"].any(-1)
    assert 0.2 < air.float().mean() < 0.5
    fall = m.joint("pelvis")[:, 1].double().diff().diff() * 120**2
    assert -11 < fall.min() < -8.5


@pytest.mark.parametrize("seed", SEEDS)
def test_jump_is_ballistic(seed):
    m = person("jump", 6, 60, seed)
    air = ~m.meta["contacts"].any(-1)
    inside = air[2:] & air[1:-1] & air[:-2]
    fall = m.joint("pelvis").double().diff(dim=0).diff(dim=0) * 60**2
    assert inside.sum() > 40
    assert (fall[inside][:, 1] + 9.81).abs().max() < 0.01
    assert feet(m)[0][..., 1].max() > 0.1  # it does leave the ground


@pytest.mark.parametrize("seed", SEEDS)
def test_sit_and_turn(seed):
    sit = person("sit", 5, 60, seed)
    hip, knee = sit.joint("left_hip"), sit.joint("left_knee")
    assert (hip[-1, 1] - knee[-1, 1]).abs() < 0.1 and hip[0, 1] - knee[0, 1] > 0.35
    turn = person("turn", 6, 60, seed)
    assert turn.rotations[-1, 0, 2, 2] < -0.9


def test_seeds():
    for action in ACTIONS:
        a, b, c = (person(action, 2, 30, s).positions for s in (5, 5, 6))
        assert torch.equal(a, b) and not torch.equal(a, c)
    state = torch.random.get_rng_state()
    mouse(2), two_people(2, 30)
    assert torch.equal(state, torch.random.get_rng_state())  # the global generator is left alone


def test_same_bytes_in_another_process():
    code = (
        "import hashlib; from motionbook.synthetic.people import *;"
        "print(hashlib.sha256(b''.join(x.numpy().tobytes() for x in ("
        "person('dance', 2, 30, 7).rotations, mouse(2, seed=7).actors[0].positions))).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = person("dance", 2, 30, 7).rotations, mouse(2, seed=7).actors[0].positions
    assert (
        there.stdout.strip()
        == hashlib.sha256(b"".join(x.numpy().tobytes() for x in here)).hexdigest()
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_frame_rate_only_samples_the_motion(action):
    fast, slow = person(action, 4, 120, 1), person(action, 4, 30, 1)
    assert (fast.positions[::4] - slow.positions).abs().max() < 0.01


def test_height_scales_the_body():
    small, tall = person("wave", 1, 30, height=1.2), person("wave", 1, 30, height=1.8)
    assert (tall.skeleton.rest_offsets / 1.5 - small.skeleton.rest_offsets).abs().max() < 1e-6
    assert tall.skeleton != ACTOR and person("wave", 1, 30).skeleton == ACTOR


@pytest.mark.parametrize("seed", SEEDS)
def test_two_people(seed):
    passing, shaking = two_people(4, 30, seed), two_people(4, 30, seed, "handshake")
    a, b = passing.actors
    gap = (a.joint("pelvis") - b.joint("pelvis")).norm(dim=-1)
    assert 0.6 < gap.min() < 1.2 and gap[0] > 3 and gap[-1] > 3
    a, b = (m.joint("right_wrist") for m in shaking.actors)
    assert (a - b).norm(dim=-1)[40:85].max() < 0.16 and (a - b).norm(dim=-1)[0] > 0.3


def test_place_turns_and_moves():
    m = person("walk", 1, 30, 2)
    there = place(m, 1.0, -2.0, math.pi / 2)
    want = m.positions[..., [2, 1, 0]] * torch.tensor([1.0, 1, -1]) + torch.tensor([1.0, 0, -2])
    torch.testing.assert_close(there.positions, want, atol=1e-5, rtol=0)
    assert slide(there) < 0.01


def test_markers_ride_on_the_body():
    m = person("run", 2, 60, 1)
    marks = person_markers(m)
    assert marks.positions[..., 1].min() > -0.01
    for side, letter in (("left", "L"), ("right", "R")):
        toe = (marks.joint(f"{letter}BigToe") - m.joint(f"{side}_foot")).norm(dim=-1)
        assert toe.max() - toe.min() < 1e-5
        out = marks.joint(f"{letter}SmallToe") - marks.joint(f"{letter}BigToe")
        assert ((out * m.rotations[:, 0, :, 0]).sum(-1).mean() > 0) == (side == "left")


@pytest.mark.parametrize("seed", range(12))
def test_mouse(seed):
    true, seen = mouse(30, 30, seed, noise=0).actors[0], mouse(30, 30, seed).actors[0]
    x = true.positions
    assert (x > 0).all() and (x < torch.tensor([640.0, 480.0])).all()
    assert seen.confidence.min() >= 0 and seen.confidence.max() <= 1
    assert (seen.confidence > 0.95).float().mean() > 0.85
    assert 0.45 < (seen.positions - x).std() < 0.6
    length = (true.joint("nose") - true.joint("tail_base")).norm(dim=-1)
    assert 35 < length.min() and length.max() < 100
    speed = x.diff(dim=0).norm(dim=-1)[:, 4] * 30
    assert (speed < 15).float().mean() > 0.05 and 50 < speed.max() < 350  # it stops, and it goes
    ahead = true.joint("neck") - true.joint("tail_base")
    left = true.joint("left_hip") - true.joint("right_hip")
    assert (
        ahead[:, 0] * left[:, 1] - ahead[:, 1] * left[:, 0] < 0
    ).float().mean() > 0.99  # y is down


def test_animals_differ():
    a, b = mouse(5, animals=2, seed=1).actors
    assert not torch.equal(a.positions, b.positions) and (a.name, b.name) == ("mouse1", "mouse2")


@pytest.mark.parametrize(
    "call,says",
    [
        (lambda: person("fly"), "walk, run, jump, wave, sit, turn, dance"),
        (lambda: person(seconds=0), "at least one frame"),
        (lambda: person(fps=0), "at least one frame"),
        (lambda: person(fps=float("nan")), "at least one frame"),
        (lambda: person(height=170), "between 0.4 and 2.6 m"),
        (lambda: two_people(action="fight"), "'pass' or 'handshake'"),
        (lambda: mouse(0), "1 frame"),
        (lambda: mouse(arena=(100, 100)), "arena of 400 px"),
    ],
)
def test_bad_arguments(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_short_clips():
    for action in ACTIONS:
        assert len(person(action, 1 / 60, 60)) == 1
        assert person(action, 0.5, 60).rotations[0, 0, 2, 2] > 0.9  # faces +z
    assert len(mouse(1 / 30)) == 1
