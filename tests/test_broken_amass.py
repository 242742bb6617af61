"""Bodies broken as in BrokenAMASS: untouched frames keep their bits, labels say what changed, any rate, any skeleton."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from helpers import real_files

from motionbook.cli import main
from motionbook.core.archives import load_npz
from motionbook.core.motion import Motion, Scene, resample
from motionbook.core.rotation import axis_rotation
from motionbook.core.skeleton import Skeleton
from motionbook.filters.corrupt.body_faults import to_angles
from motionbook.filters.corrupt.broken_amass import (
    BODY_KINDS,
    PUBLISHED,
    break_body,
    break_motion,
    draw_windows,
)
from motionbook.filters.corrupt.corrupt_files import corrupt_file, labels_path
from motionbook.formats.registry import read, write
from motionbook.models.stablemotion.body_recordings import load_bodies
from motionbook.synthetic.people import person
from motionbook.synthetic.raw_smpl import smpl_poses

WALK = person("walk", seconds=5, fps=20, seed=3)


def lying(motion: Motion) -> Motion:
    "The same on its side."
    turn = axis_rotation("z", torch.tensor(torch.pi / 2))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(positions=motion.positions @ turn.T, rotations=rotations, offsets=motion.offsets)  # fmt: skip


def worm(t: int = 100, j: int = 6) -> Motion:
    "A chain without arms and legs."
    joints = tuple(f"link{i}" for i in range(j))
    offsets = torch.tensor([0.0, 0.0, 0.2]).expand(j, 3).clone()
    s = Skeleton("worm", joints, (-1, *range(j - 1)), rest_offsets=offsets)
    positions = (offsets.cumsum(0) - offsets)[None] + torch.arange(t)[:, None, None] * 0.01
    return Motion(positions, s, 20, torch.eye(3).expand(t, j, 3, 3))


BODIES = {
    "walk": WALK,
    "run at 120": person("run", seconds=5, fps=120, seed=4),
    "lying": lying(WALK),
    "short": person("jump", seconds=0.8, fps=20, seed=5),
}


@pytest.mark.parametrize("mode", ("train", "test"))
@pytest.mark.parametrize("kind", BODY_KINDS)
@pytest.mark.parametrize("name", BODIES)
def test_labels_say_what_changed(name, kind, mode):
    m = BODIES[name]
    made = break_motion(m, mode=mode, families=kind, spared=0.0, generator=11)
    turned = (made.body.rotations != m.rotations).flatten(1).any(1)
    moved = (made.body.positions != m.positions).flatten(1).any(1)
    lasts = made.shift.abs().amax(1) > 0
    assert not (turned & ~made.label).any()
    assert not (moved & ~made.label & ~lasts).any(), "a frame without label has other bits"
    assert torch.equal(made.kind > 0, made.label)
    assert set(made.kind.tolist()) <= {0, 1 + list(BODY_KINDS).index(kind)}
    if name != "short":
        assert made.label.any() and not made.label.all()
    stays = kind in ("foot sliding", "drift")
    assert bool(lasts.any()) == (stays and bool(made.label.any()))
    if stays:
        assert not turned.any() and (made.shift[:, 1] == 0).all()
    assert torch.equal(made.body.observed, m.observed)


@pytest.mark.parametrize("compatible", (False, True))
def test_same_seed_same_bytes(compatible):
    make = lambda seed: break_motion(WALK, mode="test", compatible=compatible, generator=seed)
    a, b, c = make(5), make(5), make(6)
    assert torch.equal(a.body.positions, b.body.positions) and torch.equal(a.kind, b.kind)
    assert not torch.equal(a.body.positions, c.body.positions)


def test_windows_last_as_long_at_any_rate():
    def lengths(fps):
        g = torch.Generator().manual_seed(0)
        found = [
            w for _ in range(80) for w in draw_windows(round(8 * fps), fps, "test", g, PUBLISHED)
        ]
        return torch.tensor([(w.stop - w.start) / fps for w in found])

    slow, fast = lengths(20), lengths(120)
    assert 0.95 < slow.min() and slow.max() < 2.0 and 0.95 < fast.min() and fast.max() < 2.01
    assert torch.allclose(slow, fast, atol=0.06)  # the same draws


def test_a_body_without_limbs_cannot_change_sides():
    with pytest.raises(ValueError, match="arms or legs on both sides"):
        break_motion(worm(), mode="test", families="side swap")
    made = break_motion(worm(), mode="test", families=["jitter", "dropout", "drift"], generator=1)
    assert made.label.any()


def test_points_are_refused():
    bare = WALK.replace(positions=WALK.positions)
    with pytest.raises(ValueError, match="expected a body with rotations"):
        to_angles(bare)
    with pytest.raises(ValueError, match="train, test"):
        break_body(WALK, mode="tests")


def test_double_labels_after_resampling_stay_frames():
    fine = resample(WALK, 60)
    made = break_body(fine, mode="test", families="jitter", generator=3)
    assert len(made.label) == len(fine) and made.label.dtype == torch.bool


REAL = [
    p
    for pattern in (
        "bvh/samples/*kick*.bvh", "motionlib/asap_smpl_npz/*.npz", "aistpp/motions/*.pkl",
    )
    for p in real_files(pattern)[:1]
]  # fmt: skip


def check_file(path, out, options=None, people=1):
    "What differs between two files, against the labels of the second one."
    before, after = (read(p, **options or {}) for p in (path, out))
    told = load_npz(labels_path(out))
    label, shift = told["label"].reshape(len(before), people), told["shift"]
    for i, (a, b) in enumerate(zip(before.actors, after.actors, strict=True)):
        turned = (a.rotations != b.rotations).flatten(1).any(1).numpy()
        moved = (a.positions != b.positions).flatten(1).any(1).numpy()
        still = (shift[:, i] == 0).all(1)
        assert not (turned & ~label[:, i]).any()
        assert not (moved & ~label[:, i] & still).any()
        assert not (label[:, i] & ~turned & ~moved).any()
    truth = np.concatenate([m.positions for m in before.actors], 1)
    assert told["true_positions"].tobytes() == truth.tobytes()
    assert label.any() and not label.all()
    assert np.array_equal(told["kind"] > 0, told["label"])


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_real_files_differ_where_their_labels_say(path, tmp_path):
    src, out = tmp_path / path.name, tmp_path / f"bad{path.suffix}"
    shutil.copy(path, src)
    for beside in path.parent.glob("*.asf"):
        shutil.copy(beside, tmp_path)
    corrupt_file(src, out, mode="test", seed=2)
    check_file(src, out)


@pytest.mark.parametrize("width", (66, 72, 156, 165))
@pytest.mark.parametrize("up", ("y", "z"))
def test_smpl_files_of_every_width(width, up, tmp_path):
    poses, trans = smpl_poses(WALK, max(width, 72), up)
    np.savez(
        tmp_path / "a.npz", poses=poses[:, :width], trans=trans, mocap_framerate=20.0, kept=[7]
    )
    corrupt_file(tmp_path / "a.npz", tmp_path / "b.npz", mode="test", seed=3)
    check_file(tmp_path / "a.npz", tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert a.files == b.files and b["kept"] == 7
        assert np.array_equal(a["poses"][:, 66:], b["poses"][:, 66:])


def test_two_people_in_one_file(tmp_path):
    rng = np.random.default_rng(0)
    clip = {"beta": np.zeros(16), "gender": "neutral", "fps": 30}
    turns = lambda: rng.normal(0, 0.1, (120, 72)).cumsum(0) * 0.05
    two = {
        k: clip | {"pose_aa": turns(), "trans_orig": rng.normal(0, 0.01, (120, 3)).cumsum(0)}
        for k in "ab"
    }
    (tmp_path / "two.pkl").write_bytes(pickle.dumps(two, 4))
    with pytest.raises(ValueError, match="only read"):
        corrupt_file(tmp_path / "two.pkl", tmp_path / "bad.pkl", mode="test", seed=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two.pkl"]


def test_published_labels_need_feet_and_points_need_other_options(tmp_path, capsys):
    write(Scene((WALK,)), tmp_path / "walk.bvh")
    line = [
        "corrupt",
        str(tmp_path / "walk.bvh"),
        "-o",
        str(tmp_path / "bad.bvh"),
        "--mode",
        "test",
    ]
    assert main([*line, "--labels", "published", "--kinds", "jitter", "--json"]) == 0
    wide = load_npz(labels_path(tmp_path / "bad.bvh"))
    assert main([*line, "--kinds", "jitter", "--json"]) == 0
    assert wide["label"].sum() > load_npz(labels_path(tmp_path / "bad.bvh"))["label"].sum()
    with pytest.raises(ValueError, match="ankles, toes and a root"):
        break_motion(worm(), mode="test", labels="published")


def test_labels_beside_a_recording_reach_training(tmp_path):
    write(Scene((WALK,)), tmp_path / "walk.bvh")
    (tmp_path / "walk.labels.json").write_text('{"bad": [[30, 40]]}')
    (clip,) = load_bodies([tmp_path]).sources
    assert clip.label.nonzero()[:, 0].tolist() == list(range(30, 40))
    (tmp_path / "walk.labels.json").write_text("[0, 1]")
    with pytest.raises(ValueError, match="100 labels"):
        load_bodies([tmp_path])


def test_a_pelvis_below_a_point_that_stays_slides_too():
    s = WALK.skeleton
    joints, parents = ("origin", *s.joints), (-1, *(p + 1 for p in s.parents))
    offsets = torch.cat([torch.zeros(1, 3), s.rest_offsets]).expand(len(WALK), -1, 3).clone()
    offsets[:, 1] = WALK.positions[:, 0]
    skeleton = Skeleton("hung", joints, parents, rest_offsets=offsets[0])
    rotations = torch.cat([torch.eye(3).expand(len(WALK), 1, 3, 3), WALK.rotations], 1)
    positions = torch.cat([torch.zeros(len(WALK), 1, 3), WALK.positions], 1)
    hung = Motion(positions, skeleton, WALK.fps, rotations, offsets=offsets)
    for kind in ("foot sliding", "freeze"):
        a, b = (break_motion(m, mode="test", families=kind, generator=4) for m in (WALK, hung))
        assert a.label.any() and torch.equal(a.label, b.label)
        assert torch.allclose(a.body.positions, b.body.positions[:, 1:], atol=1e-5)
