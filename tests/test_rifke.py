"StableMotion's features: golden vectors, real recordings, invariances, bad input."

import tarfile
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbook.body.arrays import motion_to_smpl, smpl_to_motion
from motionbook.body.body_measures import usual
from motionbook.body.plausible import check_body
from motionbook.body.smpl import approximate_body, body_joints, pose_rotations
from motionbook.core.axes import from_y_up, to_y_up
from motionbook.core.motion import Motion, mirror, resample
from motionbook.core.rotation import axis_rotation, matrix_to_rotvec, rotvec_to_matrix
from motionbook.core.skeletons import SMPL22, SMPL24
from motionbook.features.representation import Representation
from motionbook.features.rifke.heading import compatible_heading, steady_heading
from motionbook.features.rifke.rifke import (
    CONSTANT,
    RIFKE,
    RIFKE_LAYOUT,
    mirror_rifke,
    rifke_names,
    rifke_to_smpl,
    smpl_to_rifke,
)
from motionbook.features.shared.rotation_rows import rotvecs_to_rows
from motionbook.formats.registry import read
from motionbook.synthetic.people import ACTIONS, person, place

CLIPS = (
    "kick_level1_filter",
    "squat_level1_filter",
    "jump_degree_level2_filter",
    "walk_level2_filter",
)


def matrices(poses):
    return rotvec_to_matrix(poses.unflatten(-1, (22, 3)).double())


def body(t=40, seed=0, dtype=torch.float64, swing=0.25):
    "Smooth poses of an upright body with the approximate body's joints, z up."
    g = torch.Generator().manual_seed(seed)
    s = torch.linspace(0, 1, t, dtype=torch.float64)[:, None]
    waves = torch.sin(6.3 * s * torch.rand(66, generator=g, dtype=torch.float64) + torch.arange(66))
    poses = swing * waves
    upright = axis_rotation("x", torch.tensor(np.pi / 2))
    yaw = axis_rotation("z", 1.5 * s[:, 0] + seed)
    poses[:, :3] = matrix_to_rotvec(yaw @ upright.double() @ rotvec_to_matrix(0.3 * waves[:, :3]))
    path = torch.cat([2 * s, s**2, 0.9 + 0.05 * torch.sin(9 * s)], 1)
    joints = body_joints(poses, model=approximate_body("smpl"), kind="smpl")
    joints = joints - joints[:, :1] + path[:, None]
    return [x.to(dtype) for x in (poses, path, joints)]


@pytest.fixture(scope="session")
def golden(real_data):
    path = real_data / "golden" / "rifke232_reference.npz"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the real recordings")
    z = np.load(path)
    names = (
        "poses",
        "trans",
        "joints",
        "features",
        "decoded_poses",
        "decoded_trans",
        "decoded_joints",
    )
    return {c: {n: torch.from_numpy(z[f"{c}/{n}"]) for n in names} for c in CLIPS}


@pytest.mark.parametrize("clip", CLIPS)
def test_golden_vectors(golden, clip):
    x = golden[clip]
    features = smpl_to_rifke(x["poses"], x["trans"], x["joints"])
    assert features.dtype == torch.float64
    assert (features - x["features"]).abs().max() < 1e-9
    single = smpl_to_rifke(x["poses"].float(), x["trans"].float(), x["joints"].float())
    assert single.dtype == torch.float32
    assert (single - x["features"]).abs().max() < 1e-6


@pytest.mark.parametrize("clip", CLIPS)
def test_golden_decoded(golden, clip):
    x = golden[clip]
    found = rifke_to_smpl(x["features"])
    assert (found.joints - x["decoded_joints"]).abs().max() < 1e-6
    assert (found.trans - x["decoded_trans"]).abs().max() < 1e-9
    assert (matrices(found.poses) - matrices(x["decoded_poses"])).abs().max() < 1e-9
    again = smpl_to_rifke(*found[:3])
    assert (again - x["features"]).abs().max() < 1e-9


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("clip", CLIPS)
def test_round_trip_of_real_clips(golden, clip, dtype, limit):
    poses, trans, joints = (golden[clip][k].to(dtype) for k in ("poses", "trans", "joints"))
    back = rifke_to_smpl(smpl_to_rifke(poses, trans, joints))
    before, after = matrices(poses), matrices(back.poses)
    assert (after[:, 1:] - before[:, 1:]).abs().max() < limit
    home = compatible_heading(before[0, 0]).conj()
    turn = axis_rotation("z", home.angle())
    assert (after[:, 0] - turn @ before[:, 0]).abs().max() < limit
    ground = torch.cat([trans[0, :2], joints[..., 2].min()[None]]).double()
    assert (back.joints - (joints.double() - ground) @ turn.T).abs().max() < max(limit, 1e-9)


def smpl_clips(real_data):
    "Poses, trans and joints of AMASS-style files and of AIST++, in double precision, z up."
    from motionbook.core.pickles import load_pickle

    clips = []
    for path in sorted((real_data / "motionlib" / "asap_smpl_npz").rglob("*.npz"))[:8]:
        z = np.load(path)
        clips.append(tuple(torch.from_numpy(z[k]).double() for k in ("poses", "trans")))
    for path in sorted((real_data / "aistpp").rglob("motions/*.pkl"))[:4]:
        x = load_pickle(path)
        trans = np.asarray(x["smpl_trans"]) / np.asarray(x["smpl_scaling"])
        r = pose_rotations(torch.from_numpy(np.asarray(x["smpl_poses"])).double())[:, :22].clone()
        r[:, 0] = from_y_up(r[:, 0].mT).mT
        clips.append((matrix_to_rotvec(r).flatten(1), from_y_up(torch.from_numpy(trans).double())))
    for poses, trans in clips:
        joints = body_joints(poses[:, :66], model=approximate_body("smpl"), kind="smpl")
        yield poses[:, :66], trans, joints - joints[:, :1] + trans[:, None]


@pytest.mark.parametrize("away", [0.0, 7.0])
def test_single_precision_of_real_clips(golden, real_data, away):
    "Against double precision on the same numbers, also metres away from the origin."
    clips = [tuple(x[k] for k in ("poses", "trans", "joints")) for x in golden.values()]
    for poses, trans, joints in [*clips, *smpl_clips(real_data)]:
        x = [v.float() for v in (poses, trans + away, joints + away)]
        exact = smpl_to_rifke(*(v.double() for v in x))
        single = smpl_to_rifke(*x)
        assert single.dtype == torch.float32
        assert (single - exact).abs().max() < 7e-7
        back, known = rifke_to_smpl(single), rifke_to_smpl(single.double())
        assert (back.joints - known.joints).abs().max() < 7e-7
        assert (matrices(back.poses) - matrices(known.poses)).abs().max() < 7e-7


def test_single_precision_of_a_long_path():
    "Eight metres and millimetre steps: places are as good as their type, steps much better."
    for seed in range(10):
        poses, trans, joints = body(t=200, seed=seed)
        along = torch.zeros(200, 1, 3, dtype=torch.float64)
        along[:, 0, 0] = torch.linspace(0, 5.5, 200)
        x = [v.float() for v in (poses, trans + along[:, 0], joints + along)]
        off = (smpl_to_rifke(*x) - smpl_to_rifke(*(v.double() for v in x))).abs()
        worst = {k: float(off[:, s].max()) for k, s in RIFKE_LAYOUT.items()}
        assert worst["trajectory"] < 2.5e-7, seed  # half of the last digit
        assert worst["trajectory_velocity"] < 1e-8, seed
        assert worst["feet_velocity"] < 3e-7, seed


def test_single_precision_of_any_rotation():
    "Up to a half turn; poses of recordings have no more."
    g = torch.Generator().manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(4000, 22, 3, generator=g), dim=-1)
    v = axis * (torch.pi * torch.rand(4000, 22, 1, generator=g))
    out = np.empty((4000, 22, 6), np.float32)
    rotvecs_to_rows(np.ascontiguousarray(v.permute(2, 0, 1).numpy()), out.transpose(2, 0, 1))
    exact = rotvec_to_matrix(v.double())[..., :2, :].flatten(-2)
    assert (torch.from_numpy(out) - exact).abs().max() < 6e-7


def test_constant_feature_is_named(golden):
    at = [rifke_names().index(n) for n in CONSTANT]
    assert at == [8]
    for x in golden.values():
        assert x["features"][:, at].abs().max() < 1e-12
        assert smpl_to_rifke(x["poses"], x["trans"], x["joints"])[:, at].abs().max() == 0


def test_global_feet_are_the_feet(golden):
    for x in golden.values():
        features = smpl_to_rifke(x["poses"], x["trans"], x["joints"], foot_frame="global")
        feet = features[:, RIFKE_LAYOUT["feet"]].unflatten(-1, (4, 3))
        joints = rifke_to_smpl(features).joints[:, [8, 11, 7, 10]]
        assert (feet - joints).abs().max() < 1e-12


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    yaw=st.floats(-4, 4),
    away=st.tuples(*[st.floats(-20, 20)] * 3),
    heading=st.sampled_from(["compatible", "steady"]),
)
def test_place_and_direction_leave_no_trace(seed, yaw, away, heading):
    poses, trans, joints = body(seed=seed)
    features = smpl_to_rifke(poses, trans, joints, heading=heading)
    turn = axis_rotation("z", torch.tensor(yaw, dtype=torch.float64))
    r = matrices(poses)
    r[:, 0] = turn @ r[:, 0]
    moved = joints @ turn.T + torch.tensor(away, dtype=torch.float64)
    x = matrix_to_rotvec(r).flatten(1), moved[:, 0], moved
    assert (smpl_to_rifke(*x, heading=heading) - features).abs().max() < 1e-9
    single = smpl_to_rifke(*(v.float() for v in x), heading=heading)
    assert (single - features).abs().max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 50),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    foot_frame=st.sampled_from(["stablemotion", "global"]),
)
def test_mirror_is_exact(seed, dtype, foot_frame):
    poses, trans, joints = body(seed=seed, dtype=dtype)
    flip = torch.tensor([-1, 1, 1], dtype=dtype)
    p = (poses.unflatten(-1, (22, 3))[:, SMPL22.mirror] * -flip).flatten(1)
    m = smpl_to_rifke(p, trans * flip, joints[:, SMPL24.mirror] * flip, foot_frame=foot_frame)
    f = smpl_to_rifke(poses, trans, joints, foot_frame=foot_frame)
    assert torch.equal(mirror_rifke(f), m)
    assert torch.equal(mirror_rifke(mirror_rifke(f)), f)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), heading=st.sampled_from(["compatible", "steady"]))
def test_any_orientation_comes_back(seed, heading):
    "Tumbling bodies, half turns among them, in single precision."
    poses, trans, joints = body(seed=seed, dtype=torch.float64)
    g = torch.Generator().manual_seed(seed)
    poses = poses.unflatten(-1, (22, 3)).clone()
    axis = torch.nn.functional.normalize(
        torch.randn(40, 22, 3, generator=g, dtype=torch.float64), dim=-1
    )
    angle = torch.pi * torch.rand(40, 22, 1, generator=g, dtype=torch.float64)
    angle[::7] = torch.pi
    poses = (axis * angle).flatten(1)
    joints = body_joints(poses, model=approximate_body("smpl"), kind="smpl")
    joints = joints - joints[:, :1] + trans[:, None]
    from motionbook.features.rifke.rifke_vectors import _encode_clip

    f = _encode_clip(poses.float(), joints.float(), "stablemotion", heading)
    back = rifke_to_smpl(f, heading=heading)
    r, found = matrices(poses), matrices(back.poses)
    assert (found[:, 1:] - r[:, 1:]).abs().max() < 1e-5
    yaw = found[:, 0] @ r[:, 0].mT  # one turn about the vertical
    assert (yaw - yaw[:1]).abs().max() < 2e-5
    assert (yaw[:, 2, 2] - 1).abs().max() < 1e-5


def test_steady_heading_never_jumps():
    s = torch.linspace(0, 1, 80, dtype=torch.float64)
    upright = axis_rotation("x", torch.tensor(np.pi / 2, dtype=torch.float64))
    for axes in ("y", "x", "yx", "xy"):
        turn = upright.expand(80, 3, 3)
        for a in axes:
            turn = axis_rotation(a, 2 * np.pi * s) @ turn
        h = steady_heading(axis_rotation("z", 0.02 * torch.sin(9 * s)) @ turn)
        step = (h[1:] * h[:-1].conj()).angle().abs().max()
        assert step < 2 * len(axes) * 2 * np.pi / 79, axes
    h = compatible_heading(axis_rotation("y", 2 * np.pi * s) @ upright)
    assert (h[1:] * h[:-1].conj()).angle().abs().max() > 1


def test_batches_are_their_clips():
    clips = [body(seed=k) for k in range(4)]
    stacked = [torch.stack(x).unflatten(0, (2, 2)) for x in zip(*clips)]
    features = smpl_to_rifke(*stacked)
    assert features.shape == (2, 2, 40, 232)
    for k, clip in enumerate(clips):
        assert torch.equal(features[k // 2, k % 2], smpl_to_rifke(*clip))
    back = rifke_to_smpl(features)
    assert torch.equal(back.poses[1, 0], rifke_to_smpl(features[1, 0]).poses)
    assert back.joints.shape == (2, 2, 40, 24, 3)


def test_labels_travel():
    x, labels = body(), torch.arange(40) % 2
    features = smpl_to_rifke(*x, labels=labels)
    assert features.shape == (40, 233) and torch.equal(features[:, :232], smpl_to_rifke(*x))
    assert torch.equal(rifke_to_smpl(features).labels, labels.double())


def test_joints_are_computed_and_said_to_be_approximate(monkeypatch):
    poses, trans, joints = body()
    with pytest.warns(UserWarning, match="approximate"):
        features = smpl_to_rifke(poses, trans, model=approximate_body("smpl"))
    assert (features - smpl_to_rifke(poses, trans, joints)).abs().max() < 1e-12
    m = person("walk", 1.0, fps=20)
    tagged = m.replace(meta={"approximate": True})
    assert motion_to_smpl(tagged).meta["approximate"]
    assert RIFKE().arrays(tagged).meta["approximate"]
    assert RIFKE(fps=10.0).arrays(tagged).meta["approximate"]


def test_smpl_translation_will_do():
    "A constant between trans and the pelvis, as SMPL's own translation has it."
    poses, trans, joints = body()
    off = torch.tensor([-0.0018, -0.2233, 0.0282], dtype=torch.float64)
    assert torch.equal(
        smpl_to_rifke(poses, trans - off, joints), smpl_to_rifke(poses, trans, joints)
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_motions_come_back(action):
    m = person(action, 2.0, fps=20)
    assert isinstance(RIFKE(), Representation)
    for r in (RIFKE(), RIFKE(heading="steady"), RIFKE(foot_frame="global")):
        features = r.encode(m)
        again = r.decode(features)
        assert again.rotations is not None and again.fps == 20
        assert (again.positions[0, 0, [0, 2]]).abs().max() == 0
        second = r.encode(again)
        assert (second - features).abs().max() < 1e-5
        moved = r.encode(place(m, x=3.0, z=2.0, yaw=-1.0))
        assert (moved - features).abs().max() < 1e-5
        assert (mirror_rifke(features) - r.encode(mirror(m))).abs().max() < 1e-5


def test_axes_turn_without_rounding():
    x = torch.randn(50, 3)
    assert torch.equal(to_y_up(from_y_up(x)), x)
    assert torch.equal(from_y_up(torch.tensor([0.0, 1.0, 0.0])), torch.tensor([0.0, 0.0, 1.0]))


def bones_vary(joints):
    edges = torch.tensor(SMPL24.edges)
    length = (joints[:, edges[:, 1]] - joints[:, edges[:, 0]]).norm(dim=-1)
    return ((length.amax(0) - length.amin(0)) / length.mean(0)).max()


def real_round_trip(m: Motion, fps=20.0):
    "Features of a real recording, and the largest error of joints (m) and rotations after the way back."
    r = RIFKE(fps=fps)
    arrays = r.arrays(m)
    features = r.encode(m)
    assert features.isfinite().all()
    back = rifke_to_smpl(features)
    before, after = matrices(arrays.poses), matrices(back.poses)
    turns = (after[:, 1:] - before[:, 1:]).abs().max()
    home = axis_rotation("z", compatible_heading(before[0, 0]).conj().angle())
    ground = torch.cat([arrays.trans[0, :2], arrays.joints[..., 2].min()[None]]).double()
    gap = (back.joints - (arrays.joints.double() - ground) @ home.T).abs().max()
    again = r.decode(features)
    assert len(again) == len(features)
    return float(gap), float(turns)


def test_real_smpl_files(real_data):
    "AMASS's key names, SMPL poses with 72 numbers, z up, 30 fps."
    folder = real_data / "motionlib" / "asap_smpl_npz"
    paths = sorted(folder.rglob("*.npz"))[:8]
    if not paths:
        pytest.skip("no SMPL recordings")
    for path in paths:
        z = np.load(path)
        poses, trans = (torch.from_numpy(z[k]).double() for k in ("poses", "trans"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            features = smpl_to_rifke(poses, trans)
        back = rifke_to_smpl(features)
        r, found = matrices(poses[:, :66]), matrices(back.poses)
        assert (found[:, 1:] - r[:, 1:]).abs().max() < 1e-9, path.name
        lift = back.trans[:, 2] - trans[:, 2]
        assert (lift - lift[0]).abs().max() < 1e-9


def test_real_aist(real_data):
    "60 fps, y up, centimetres scaled by the body: one turn at the door."
    from motionbook.core.pickles import load_pickle

    paths = sorted((real_data / "aistpp").rglob("motions/*.pkl"))
    if not paths:
        pytest.skip("no AIST++ motions")
    for path in paths:
        x = load_pickle(path)
        poses = torch.from_numpy(np.asarray(x["smpl_poses"])).double()
        trans = torch.from_numpy(
            np.asarray(x["smpl_trans"]) / np.asarray(x["smpl_scaling"])
        ).double()
        rotations = pose_rotations(poses)
        rotations[:, 0] = from_y_up(rotations[:, 0].mT).mT
        turned = matrix_to_rotvec(rotations[:, :22]).flatten(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            features = smpl_to_rifke(turned, from_y_up(trans))
        height = features[:, 0]
        assert 0.5 < height.median() < 1.3
        again = smpl_to_rifke(*rifke_to_smpl(features)[:3])
        assert (again - features).abs().max() < 1e-9


def test_real_bvh_by_inverse_kinematics(real_data, tmp_path):
    paths = sorted((real_data / "bvh" / "samples").rglob("*.bvh"))
    with tarfile.open(real_data / "bvh" / "bandai.tar.gz") as tar:
        wanted = [m for m in tar.getmembers() if m.name.endswith(".bvh")][::60]
        for m in wanted:
            out = tmp_path / m.name.split("/")[-1]
            out.write_bytes(tar.extractfile(m).read())
            paths.append(out)
    for path in paths:
        m = read(path).actors[0]
        m = m if m.fps < 100 else m.replace(positions=m.positions[1:], confidence=None)
        joints, turns = real_round_trip(m)
        assert joints < 1e-5 and turns < 1e-5, path.name


def test_real_trc_by_inverse_kinematics(real_data):
    for path in sorted((real_data / "trc").glob("*.trc")):
        joints, turns = real_round_trip(read(path).actors[0])
        assert joints < 1e-5 and turns < 1e-5, path.name


def test_real_bodies_pass_and_their_faults_are_found(golden, real_data):
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    for clip, x in golden.items():
        poses, joints = x["poses"], x["joints"]
        check_body(joints, SMPL24, "z", name=clip)
        check_body(joints[:, SMPL24.mirror] * flip, SMPL24, "z")
        for bad, word in (
            (joints[:, SMPL24.mirror], "exchanged"),
            (joints * flip, "exchanged"),
            (to_y_up(joints), "stands along y"),
            (joints.roll(1, 1), "not in the order"),
            (100 * joints, "multiply by 0.01"),
        ):
            with pytest.raises(ValueError, match=word):
                smpl_to_rifke(poses, None, bad)


def test_real_clips_of_others_pass(real_data):
    z = np.load(real_data / "golden" / "ik263_reference.npz")
    for k in (k for k in z if k.startswith("joints/")):
        joints = torch.from_numpy(z[k])
        check_body(joints, SMPL22, name=k)
        with pytest.raises(ValueError, match="exchanged"):
            check_body(joints[:, SMPL22.mirror], SMPL22)
        with pytest.raises(ValueError, match="stands along"):
            check_body(from_y_up(joints), SMPL22)


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda p, t, j: (p, t, j.index_fill(0, torch.tensor([3]), torch.nan)), "frame 3"),
        (lambda p, t, j: (p[:1], t[:1], j[:1]), "at least 3 frames, got 1"),
        (lambda p, t, j: (p[:2], t[:2], j[:2]), "at least 3 frames, got 2"),
        (lambda p, t, j: (p, t, j[:, :1].expand_as(j)), "length zero"),
        (lambda p, t, j: (p, t, j[:, :22]), r"\[40, 22, 3\]"),
        (lambda p, t, j: (p, t, j[:, SMPL24.mirror]), "exchanged"),
        (lambda p, t, j: (p, None, to_y_up(j)), "stands along y"),
        (lambda p, t, j: (p, 100 * t, 100 * j), "metre"),
        (lambda p, t, j: (p, t * 1.2, j), "move with the pelvis"),
        (lambda p, t, j: (0 * p, t, j), "do not belong together"),
        (lambda p, t, j: (p[:, :60], t, j), r"\[40, 60\]"),
        (lambda p, t, j: (p * torch.inf, t, j), "finite poses"),
        (lambda p, t, j: (p[:20], t, j), "joints for poses"),
        (lambda p, t, j: (p, None, None), "trans or joints"),
        (lambda p, t, j: (p, t[:, :2], j), "expected trans"),
        (lambda p, t, j: (p[:0], t[:0], j[:0]), "at least 3 frames, got 0"),
        (lambda p, t, j: (p, t, swapped(j, "hip", "knee", "ankle", "foot")), "exchanged"),
        (lambda p, t, j: (p, t, swapped(j, "knee", "ankle", "foot")), "exchanged"),
        (lambda p, t, j: (p, t, swapped(j, "ankle", "foot")), "exchanged"),
        (lambda p, t, j: (p, t, swapped(j, *ARM)), "exchanged"),
        (lambda p, t, j: (p, None, j * j.new_tensor([-1, 1, 1])), "exchanged"),
        (lambda p, t, j: (p, None, j.roll(1, -1)), "stands along x"),
        (lambda p, t, j: (p, None, -j), "stands along minus z|exchanged"),
        (lambda p, t, j: (p, None, j * j.new_tensor([1, -1, -1])), "stands along minus z"),
        (lambda p, t, j: (p, 1000 * t, 1000 * j), "by 0.001 where it is the millimetre"),
        (lambda p, t, j: (p, t, collapsed(j, "left_knee", "left_hip")), "length zero"),
        (lambda p, t, j: (p, t, collapsed(j, "head", "neck")), "length zero"),
        (lambda p, t, j: (p, t, j[:, torch.randperm(24, generator=GENERATOR)]), "order|exchanged"),
        (lambda p, t, j: (p, t * torch.nan, j), "move with the pelvis"),
        (lambda p, t, j: (p, t, j.long()), "floating-point"),
        (lambda p, t, j: (p, t, j.numpy()), "as a floating-point tensor"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bad_input_gets_one_clear_line(change, word, dtype):
    with pytest.raises(ValueError, match=word) as err:
        smpl_to_rifke(*change(*body(dtype=dtype)))
    assert "\n" not in str(err.value)


ARM = ("collar", "shoulder", "elbow", "wrist", "hand")
GENERATOR = torch.Generator().manual_seed(3)


def swapped(joints, *names):
    "Joints with some of the left side exchanged for those of the right."
    order = list(range(24))
    for n in names:
        left, right = SMPL24.indices((f"left_{n}", f"right_{n}"))
        order[left], order[right] = right, left
    return joints[:, order]


def collapsed(joints, child, parent):
    joints = joints.clone()
    joints[:, SMPL24.index(child)] = joints[:, SMPL24.index(parent)]
    return joints


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("check", [True, False])
def test_a_hole_is_found_wherever_it_is(bad, check):
    "One number of one joint or angle of any frame, also of those that no other question looks at."
    poses, trans, joints = body()
    for t in range(len(poses)):
        holes, broken = joints.clone(), poses.clone()
        holes[t, (5 * t) % 24, t % 3] = bad
        broken[t, (7 * t) % 66] = bad
        with pytest.raises(ValueError, match=f"finite joints.* at frame {t};"):
            smpl_to_rifke(poses, None, holes, check=check)
        with pytest.raises(ValueError, match=f"finite poses.* at frame {t};"):
            smpl_to_rifke(broken, None, joints, check=check)


def test_a_quick_look_and_all_questions_agree(golden):
    "What passes at one look passes all questions, and no fault passes at one look."
    faults = [
        lambda j: j[:, SMPL24.mirror],
        lambda j: j * j.new_tensor([-1, 1, 1]),
        lambda j: swapped(j, "hip", "knee", "ankle", "foot"),
        lambda j: swapped(j, *ARM),
        lambda j: j.roll(1, 1),
        lambda j: j.roll(1, -1),
        lambda j: 100 * j,
        lambda j: collapsed(j, "left_knee", "left_hip"),
    ]
    for x in golden.values():
        assert usual(x["joints"], SMPL24, 2)
        for fault in faults:
            assert not usual(fault(x["joints"]), SMPL24, 2)


def test_bad_features_are_refused():
    f = smpl_to_rifke(*body())
    for bad, word in ((f[:, :231], "232"), (f * torch.nan, "finite"), (torch.tensor(1.0), "232")):
        with pytest.raises(ValueError, match=word):
            rifke_to_smpl(bad)
    with pytest.raises(ValueError, match="steady"):
        rifke_to_smpl(f, heading="other")
    with pytest.raises(ValueError, match="give fps"):
        RIFKE(fps=None).decode(f)


def test_predicted_features_decode():
    "A network's output is no consistent motion; zeros are the worst of it."
    for f in (torch.zeros(5, 232), torch.randn(5, 232, generator=torch.Generator().manual_seed(0))):
        for heading in ("compatible", "steady"):
            found = rifke_to_smpl(f, heading=heading)
            assert all(x.isfinite().all() for x in found[:3])
    smooth = smpl_to_rifke(*body(dtype=torch.float32))
    noisy = smooth + 0.02 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(1))
    m = smpl_to_motion(rifke_to_smpl(noisy), 20.0)
    assert m.offsets is not None and m.rotations is not None


def test_lying_bodies_pass_where_they_are_said_to_lie():
    poses, trans, joints = body()
    down = axis_rotation("x", torch.tensor(-np.pi / 2)).double()
    r = matrices(poses)
    r[:, 0] = down @ r[:, 0]
    x = matrix_to_rotvec(r).flatten(1), None, joints @ down.T
    with pytest.raises(ValueError, match="lying=True"):
        smpl_to_rifke(*x)
    f = smpl_to_rifke(*x, lying=True)
    assert (smpl_to_rifke(*rifke_to_smpl(f)[:3], lying=True) - f).abs().max() < 1e-9
    smpl_to_rifke(*x, heading="steady")


def test_rates_are_resampled():
    m = person("walk", 2.0, fps=60)
    assert len(RIFKE().encode(m)) == len(resample(m, 20)) == 40
    assert len(RIFKE(fps=None).encode(m)) == 120
    assert torch.equal(RIFKE(fps=None).encode(resample(m, 20)), RIFKE().encode(m))
