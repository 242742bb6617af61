"263-D and 251-D features against published files, the obvious twin, mathematics and real recordings."

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbook.body.smpl import body_joints
from motionbook.body.smpl22 import motion_to_smpl22
from motionbook.core.archives import extract_archive
from motionbook.core.motion import Motion, mirror, resample
from motionbook.core.pickles import load_pickle
from motionbook.core.rotation import axis_rotation
from motionbook.core.skeletons import COCO17, SMPL22, SMPL24
from motionbook.features.humanml3d.ik263 import (
    FLOWMIMIC,
    IK263,
    IK263_LAYOUT,
    ik263_to_joints,
    mirror_ik263,
    smpl_to_ik263,
)
from motionbook.features.humanml3d.ik263_stats import (
    DatasetStatistics,
    EvaluatorStatistics,
    to_evaluator,
)
from motionbook.features.humanml3d.ik_body import HUMANML3D_BODY
from motionbook.features.humanml3d.ik_joints import canonical_joints
from motionbook.features.humanml3d.kit251 import KIT251, kit251_to_joints, mirror_kit251
from motionbook.formats.registry import read
from motionbook.synthetic.people import ACTIONS, person

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from published_ik263 import published_ik263  # noqa: E402

torch.set_num_threads(1)


def gaps(a, b):
    "The largest difference of each part."
    return {k: (a[..., s] - b[..., s]).abs().max().item() for k, s in IK263_LAYOUT.items()}


@cache
def actors(fps=20.0, seconds=4.0):
    return [person(a, seconds=seconds + 0.3 * k, fps=fps, seed=k) for k, a in enumerate(ACTIONS)]


def clips():
    return [m.positions[:, :22] for m in actors()]


def circling(turns=1.3, n=240):
    "Somebody who walks round and round, so that the heading passes 180°."
    x = person("walk", seconds=n / 20, fps=20.0, seed=7).positions[:, :22].double()
    s = torch.linspace(0, turns * 2 * torch.pi, len(x), dtype=torch.float64)
    x = x - x[:, :1] * torch.tensor([1.0, 0, 1.0])
    path = torch.stack([1.5 - 1.5 * s.cos(), 0 * s, 1.5 * s.sin()], -1)
    return (axis_rotation("y", s)[:, None] @ x[..., None])[..., 0] + path[:, None]


# published files


def test_golden_pair(real_data):
    folder = real_data / "humanml3d"
    joints, vectors = (
        torch.from_numpy(np.load(folder / f"{n}_012314.npy"))
        for n in ("new_joints", "new_joint_vecs")
    )
    assert (ik263_to_joints(vectors) - joints).abs().max() <= 1e-6
    assert torch.equal(ik263_to_joints(vectors, mend=True), ik263_to_joints(vectors))
    made = smpl_to_ik263(joints)
    stored = vectors[: len(made)]
    assert torch.equal(made[:, 259:], stored[:, 259:])
    assert max(gaps(made[:-80], stored[:-80]).values()) <= 1e-5
    late = gaps(made[-80:], stored[-80:])
    assert max(late.values()) <= 1.33e-2 and late["rot6d"] > 1e-3  # the filter sees another end
    twin = torch.from_numpy(published_ik263(joints.numpy()))
    for k, far in gaps(twin[-80:], stored[-80:]).items():  # the published way has the same gap
        assert abs(far - late[k]) <= 1e-5
    assert max(gaps(made[-80:], twin[-80:]).values()) <= 1e-5
    last = ik263_to_joints(vectors, last_frame=True)[-1:]  # the frame that the stored joints lack
    whole = gaps(smpl_to_ik263(torch.cat([joints, last])), vectors)
    assert whole.pop("contacts") == 0 and max(whole.values()) <= 1e-5  # with it nothing is left


def test_reference_outputs(real_data):
    found = np.load(real_data / "golden" / "ik263_reference.npz")
    skeleton = torch.from_numpy(found["target_joints"])
    names = [n.removeprefix("joints/") for n in found if n.startswith("joints/")]
    assert len(names) == 5
    made = smpl_to_ik263([torch.from_numpy(found[f"joints/{n}"]) for n in names], skeleton=skeleton)
    for n, x in zip(names, made):
        far = gaps(x, torch.from_numpy(found[f"vectors/{n}"]))
        assert far.pop("rot6d") <= 1e-4 and far.pop("contacts") == 0 and max(far.values()) <= 1e-5
        alone = smpl_to_ik263(torch.from_numpy(found[f"joints/{n}"]), skeleton=skeleton)
        assert torch.equal(alone, x)


def test_twin_is_the_published_way(real_data):
    found = np.load(real_data / "golden" / "ik263_reference.npz")
    for n in (n.removeprefix("joints/") for n in found if n.startswith("joints/")):
        x = published_ik263(found[f"joints/{n}"], found["target_joints"])
        far = gaps(torch.from_numpy(x), torch.from_numpy(found[f"vectors/{n}"]))
        assert far["rot6d"] <= 1e-4 and far["contacts"] == 0 and far["positions"] <= 1e-5


# the obvious twin


@pytest.mark.parametrize("facing", ["humanml3d", "correct"])
@pytest.mark.parametrize("size", [None, 1.4])
def test_twin_in_float64(facing, size):
    skeleton = None if size is None else person("walk", height=size).positions[0, :22].double()
    for x in clips():
        x = x.double()
        bones = None if skeleton is None else skeleton.numpy()
        slow = published_ik263(x.numpy(), bones, facing, np.float64)
        fast = smpl_to_ik263(x, facing=facing, skeleton=skeleton)
        assert max(gaps(fast, torch.from_numpy(slow)).values()) < 1e-8


def test_twin_where_the_heading_passes_180_degrees():
    x = circling()
    slow = torch.from_numpy(published_ik263(x.numpy(), dtype=np.float64))
    assert max(gaps(smpl_to_ik263(x), slow).values()) < 1e-8
    right = smpl_to_ik263(x, facing="correct")
    true = canonical_joints(x, HUMANML3D_BODY)
    assert (ik263_to_joints(right) - true[:-1]).abs().max() < 1e-8
    assert (ik263_to_joints(slow) - true[:-1]).norm(dim=-1).max() > 0.05
    assert (ik263_to_joints(slow, mend=True) - true[:-1]).abs().max() < 1e-8


def test_float32_is_near_float64():
    x = clips() + [circling().float()]
    skeleton = person("walk", height=1.5).positions[0, :22]
    for facing in ("humanml3d", "correct"):
        a = smpl_to_ik263(x, facing=facing, skeleton=skeleton)
        b = smpl_to_ik263([c.double() for c in x], facing=facing, skeleton=skeleton)
        assert max((p - q).abs().max() for p, q in zip(a, b)) < 2e-5


# mathematics


@settings(deadline=None, max_examples=25)
@given(st.floats(-3.1, 3.1), st.floats(-5, 5), st.floats(-2, 2), st.integers(0, 6))
def test_turning_and_moving_change_nothing(angle, shift, up, k):
    x = clips()[k].double()
    r = axis_rotation("y", torch.tensor(angle, dtype=torch.float64))
    y = x @ r.mT + torch.tensor([shift, up, -shift], dtype=torch.float64)
    assert (smpl_to_ik263(y) - smpl_to_ik263(x)).abs().max() < 1e-9
    far = gaps(smpl_to_ik263((x @ r.mT).float()), smpl_to_ik263(x.float()))
    assert (
        far.pop("rot6d") < 3e-5
    )  # rounding the turned joints alone does that, metres from the origin
    assert max(far.values()) < 1e-5


def test_mirroring_is_exact():
    for m in [*actors(), person("dance", seconds=20.0, fps=20.0, seed=9)]:
        x, y = (v.positions[:, :22] for v in (m, mirror(m)))
        assert torch.equal(smpl_to_ik263(y), mirror_ik263(smpl_to_ik263(x)))
        assert torch.equal(mirror_ik263(mirror_ik263(smpl_to_ik263(x))), smpl_to_ik263(x))


def test_real_mirror_images(real_data):
    found = np.load(real_data / "golden" / "ik263_reference.npz")
    flip = torch.tensor([-1.0, 1, 1])
    for n in (n for n in found if n.startswith("joints/")):
        x = torch.from_numpy(found[n])
        assert torch.equal(
            smpl_to_ik263(x[:, SMPL22.mirror] * flip), mirror_ik263(smpl_to_ik263(x))
        )


def test_all_forms_agree():
    x = clips()
    many = smpl_to_ik263(x * 12)  # several portions
    assert len(many) == 12 * len(x) and sum(map(len, x)) * 12 > 4096
    for k, v in enumerate(many):
        assert torch.equal(v, smpl_to_ik263(x[k % len(x)]))
        assert v.untyped_storage().nbytes() == v.numel() * 4  # a clip can be saved alone
    batch = torch.stack([c[:50] for c in x])
    assert torch.equal(smpl_to_ik263(batch)[3], smpl_to_ik263(x[3][:50]))
    kept = smpl_to_ik263(x[0], frames="repeat_last")
    assert len(kept) == len(x[0]) and torch.equal(kept[-1], kept[-2])
    assert torch.equal(kept[:-1], smpl_to_ik263(x[0]))
    assert torch.equal(smpl_to_ik263(x[0].numpy()), smpl_to_ik263(x[0]))


@pytest.mark.parametrize("facing", ["humanml3d", "correct"])
@pytest.mark.parametrize("size", [None, 1.4])
def test_neighbours_in_a_list_change_no_bit(facing, size):
    skeleton = None if size is None else person("walk", height=size).positions[0, :22]
    x = [clips()[n % 7][:n] for n in (3, 4, 5, 7, 8, 15, 16, 17, 31, 40, 63, 64, 65, 80, 17, 3)]
    x += [circling().float(), *clips()]
    encode = lambda x: smpl_to_ik263(x, facing, skeleton=skeleton)
    alone = [encode(clip) for clip in x]
    for order in (range(len(x)), range(len(x))[::-1], range(2, len(x), 3)):
        for k, among in zip(order, encode([x[k] for k in order]), strict=True):
            assert torch.equal(among, alone[k]), len(x[k])


def test_decoding_brings_everything_back():
    for x in clips():
        v, true = smpl_to_ik263(x, facing="correct"), canonical_joints(x, HUMANML3D_BODY)
        assert (ik263_to_joints(v, last_frame=True) - true).norm(dim=-1).max() < 5e-6
        assert (ik263_to_joints(v, "rotations") - true[:-1]).norm(dim=-1).max() < 2e-5
        bones = person("walk", height=1.3).positions[0, :22]
        short = ik263_to_joints(v, "rotations", bones)
        length = lambda p: (p[..., 1:, :] - p[..., HUMANML3D_BODY.parents, :]).norm(dim=-1)
        assert (length(short) - length(bones)).abs().max() < 1e-5


def test_bones_exactly_against_their_rest_direction():
    x = torch.zeros(5, 22, 3, dtype=torch.float64)
    for j, (p, r) in enumerate(zip(HUMANML3D_BODY.parents, HUMANML3D_BODY.rest), 1):
        sign = -1 if j in (18, 20) else 1  # one arm straight up
        size = 0.3 if j in (13, 14) else 0.2  # shoulders wider than hips
        x[:, j] = (
            x[:, p]
            + size * sign * (1 if r[0] == "+" else -1) * torch.eye(3).double()["xyz".index(r[1])]
        )
    v = smpl_to_ik263(x)
    assert v.isfinite().all()
    assert (
        ik263_to_joints(v, "rotations") - canonical_joints(x, HUMANML3D_BODY)[:-1]
    ).abs().max() < 1e-9


# real recordings


def recordings(root):
    yield from sorted((root / "bvh/samples").glob("*.bvh"))
    yield from (root / "asf_amc/01_01.amc", root / "asf_amc/01_01.bvh")
    yield from sorted((root / "trc").glob("*.trc"))


def test_real_recordings_come_back(real_data):
    off = {}
    for path in recordings(real_data):
        m = read(path).actors[0]
        m = Motion(
            m.positions[1:], m.skeleton, m.fps, name=path.stem
        )  # CMU's first frame is a T-pose
        true = canonical_joints(motion_to_smpl22(resample(m, 20.0)).positions, HUMANML3D_BODY)
        for ik in (IK263(), IK263(facing="correct"), FLOWMIMIC):
            x = ik.encode(m)
            assert x.shape[-1] == 263 and x.isfinite().all()
            if ik.fps == 20:
                back = ik.decode(x).positions
                off.setdefault(path.name, []).append((back - true[:-1]).norm(dim=-1).max().item())
                mended = ik263_to_joints(x, mend=True)
                assert (mended - true[:-1]).norm(dim=-1).max() < 1e-5
    assert len(off) == 17
    for name, (published, correct) in off.items():
        print(f"{name}: off by {100 * published:.4f} cm, {1e6 * correct:.1f} µm when correct")
    assert max(c for _, c in off.values()) < 1e-5
    assert sum(p > 1e-3 for p, _ in off.values()) == 1  # it passes 180°
    assert 0.2 < off["salsa_01.bvh"][0] < 0.4


def test_half_of_the_recorded_dances_slip_and_all_can_be_mended(real_data, tmp_path):
    off = []
    files = sorted(extract_archive(real_data / "bvh/cmu.tar.gz", tmp_path))
    for path in (p for p in files if p.suffix == ".bvh"):
        m = read(path).actors[0]
        m = resample(Motion(m.positions[1:], m.skeleton, m.fps), 20.0)
        true = canonical_joints(motion_to_smpl22(m).positions, HUMANML3D_BODY)[:-1]
        x = IK263().encode(m)
        far = lambda y, true=true: (y - true).norm(dim=-1).max().item()
        assert far(ik263_to_joints(x, mend=True)) < 1e-4
        off.append(far(ik263_to_joints(x)))
    print(f"{sum(o > 1e-3 for o in off)} of {len(off)} clips slip, by up to {max(off):.2f} m")
    assert len(off) == 32 and sum(o > 1e-3 for o in off) == 16 and 2 < max(off) < 2.4


def test_smpl_recordings(real_data):
    for path in sorted((real_data / "aistpp/motions").glob("*.pkl")):
        found = load_pickle(path)
        trans = torch.from_numpy(found["smpl_trans"] / found["smpl_scaling"]).float()
        poses = torch.from_numpy(found["smpl_poses"]).float()
        m = Motion(body_joints(poses, trans=trans, kind="smpl"), SMPL24, 60.0, name=path.stem)
        for ik in (IK263(facing="correct"), FLOWMIMIC):
            x = ik.encode(m)
            true = canonical_joints(resample(m, ik.fps).positions[:, :22], HUMANML3D_BODY)
            back = ik263_to_joints(x, mend=True)
            n = min(len(true), len(back)) - 1
            assert (back[:n] - true[:n]).norm(dim=-1).max() < 1e-4, path.name


def test_real_motions_in_kit_form(real_data):
    m = read(real_data / "bvh/samples/dataset-1_walk_normal_001.bvh").actors[0]
    stats = EvaluatorStatistics.read(real_data / "humanml3d/evaluator_stats", KIT251())
    z = stats(KIT251().encode(m))[:, stats.layout["positions"]]
    assert z.abs().mean() < 2 and z.abs().max() < 6


# statistics


def test_public_statistics(real_data):
    folder = real_data / "humanml3d"
    data, judge = (
        DatasetStatistics.read(folder),
        EvaluatorStatistics.read(folder / "evaluator_stats"),
    )
    kit = EvaluatorStatistics.read(folder / "evaluator_stats", KIT251())
    assert (data.fps, judge.fps, kit.fps) == (20.0, 20.0, 12.5)
    x = torch.from_numpy(np.load(folder / "new_joint_vecs_012314.npy"))
    assert (data.undo(data(x)) - x).abs().max() < 1e-5
    assert data(x).abs().mean() < 1
    assert judge(x)[:, 0].std() > 20 * data(x)[:, 0].std()
    assert (to_evaluator(data(x), data, judge) - judge(x)).abs().max() < 1e-2
    guess = data.for_evaluator()
    ratio = (guess.std / judge.std)[[0, 1, 3, 10, 100, 200, 260]]
    assert (ratio - 1).abs().max() < 0.02
    for cls, of in (
        (DatasetStatistics, judge),
        (EvaluatorStatistics, data),
        (DatasetStatistics, kit),
    ):
        with pytest.raises(ValueError, match=f"statistics of the {cls.family} family"):
            cls(of.layout, of.mean, of.std)
    with pytest.raises(ValueError, match="20 frames per second, got 30"):
        data.check(FLOWMIMIC)
    with pytest.raises(ValueError):
        DatasetStatistics.read(folder, KIT251())


# bad input


def bad(x, word):
    with pytest.raises(ValueError) as e:
        smpl_to_ik263(x)
    assert word in str(e.value) and "\n" not in str(e.value), str(e.value)


def test_bad_input_has_one_clear_error():
    x = clips()[0]
    hole, flat = x.clone(), x.clone()
    hole[9, 5] = torch.nan
    flat[20:, 18] = flat[20:, 16]
    bad(hole, "right_knee")
    bad(x.clone().fill_(torch.inf), "expected finite joints")
    bad(x[:1], "3 frames")
    bad(x[:2], "3 frames")
    bad(flat, "left_shoulder")
    bad(torch.zeros(50, 22, 3), "length")
    bad(x[:, :21], "[t 22 3]")
    bad(torch.zeros(9, 24, 3), "first 22 joints")
    bad(x[:, SMPL22.mirror], "left and right are exchanged")
    bad(x * torch.tensor([1, 1, -1]), "left and right are exchanged")
    bad(x[:, [0, 2, 1, *range(3, 22)]], "exchanged")
    for seed in range(20):
        with pytest.raises(ValueError):
            smpl_to_ik263(x[:, torch.randperm(22, generator=torch.Generator().manual_seed(seed))])
    bad(x[..., [0, 2, 1]] * torch.tensor([1, -1, 1]), "y up")
    bad(x[..., [1, 0, 2]] * torch.tensor([1, -1, 1]), "y up")
    bad(100 * x, "metres")
    bad([x, x, hole], "clip 2 of 3")
    bad([x] * 60 + [x[:, SMPL22.mirror]], "clip 60 of 61")
    bad([], "got none")
    with pytest.raises(ValueError, match="no left_toe, right_toe"):
        IK263().encode(Motion(torch.zeros(9, 17, 3), COCO17, 20.0))
    with pytest.raises(ValueError, match="one pose"):
        smpl_to_ik263(x, skeleton=x)
    assert smpl_to_ik263(x[:, SMPL22.mirror], check=False).isfinite().all()


def test_real_wrong_inputs(real_data):
    found = np.load(real_data / "golden" / "ik263_reference.npz")
    for n in (n for n in found if n.startswith("joints/")):
        x = torch.from_numpy(found[n])
        bad(x[:, SMPL22.mirror], "left and right are exchanged")
        bad(x[..., [0, 2, 1]] * torch.tensor([1, -1, 1]), "y up")
        bad(x * torch.tensor([-1, 1, 1]), "left and right are exchanged")


def test_a_lying_person_passes_when_said():
    x = clips()[3]
    lying = x[..., [0, 2, 1]] * torch.tensor([1.0, -1, 1])
    lying = lying + torch.tensor([0.0, 1.0, 0.0])
    bad(lying, "lying=True")
    assert smpl_to_ik263(lying, lying=True).isfinite().all()


# KIT-ML


def test_kit_round_trip_and_mirror():
    for m in actors(fps=50.0, seconds=5.0):
        x = KIT251().encode(m)
        assert x.shape[-1] == 251 and x.isfinite().all()
        assert (KIT251().encode(mirror(m)) - mirror_kit251(x)).abs().max() < 1e-3
        joints, m = kit251_to_joints(x), KIT251(height=1.7).decode(x)
        assert (joints * torch.tensor([-1.0, 1, 1]) * 1.7e-3 - m.positions).abs().max() < 1e-5
        assert (joints[:, 11, 0] - joints[:, 16, 0]).mean() < 0  # left on -x, as in the data set
        assert (m.joint("left_hip") - m.joint("right_hip"))[0, 0] > 0
