"Keypoint features: exact ways back on real files, invariances, missing points, several animals, refusals."

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import motionbook.features.points.keypoints as kp
from motionbook.core.motion import Motion, Scene, mirror
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import MEDIAPIPE33
from motionbook.features.points.body_points import Keypoints, body_heading
from motionbook.features.points.dlc_dataframe import (
    dlc_dataframe_to_features,
    features_to_dlc_dataframe,
)
from motionbook.features.points.dlc_features import DLCFeatures
from motionbook.features.points.point_gaps import bridged, frame_velocity
from motionbook.features.representation import Representation
from motionbook.formats.registry import read
from motionbook.synthetic.people import ACTIONS, mouse, person

torch.set_num_threads(1)
DLC = {
    "openfield/raw_clip1DLC_resnet50_OpenFieldHighResApr8shuffle1_1030000.csv": [0, 1, 2],
    "epm/EPM_15DeepCut_resnet50_epmMay17shuffle1_1030000.csv": [0, 1, 2],
    "single_animal/test2DLC_csv_table.csv": [0, 1, 2],
    "multi_animal/test2DLC_csv_table_multi.csv": [0, 1, 2],
    "multi_animal/test2DLC_csv_table_madlc.csv": [0, 1, 2, 3],
}
SEEDS = st.integers(0, 10_000)


def turned(p, angle):
    c, s = np.cos(angle), np.sin(angle)
    return p @ torch.tensor([[c, 0, -s], [0, 1, 0], [s, 0, c]], dtype=p.dtype)


def holes(p, seed, share=0.2):
    "NaN in some points and in whole frames, never in all of a joint."
    g = torch.Generator().manual_seed(seed)
    gone = torch.rand(p.shape[:-1], generator=g) < share
    gone[:3] = False
    return p.masked_fill(gone[..., None], torch.nan)


# --- tables of animals -------------------------------------------------------------------------


@pytest.mark.parametrize("name", DLC)
def test_real_tables_come_back_to_the_bit(real_data, name):
    df = pd.read_csv(real_data / "dlc" / name, header=DLC[name], index_col=0)
    made = dlc_dataframe_to_features(df, likelihood_threshold=0.6, dtype=torch.float64)
    x, meta = made["features"], made["metadata"]
    assert x.isfinite().all() and x.shape == (len(df), meta["representation"].layout.width)
    back = features_to_dlc_dataframe(x, meta)
    assert back.columns.equals(df.columns) and back.index.equals(df.index)
    gone = np.isnan(back.to_numpy()) & np.isfinite(df.to_numpy(dtype=float))
    values = df.to_numpy(dtype=float)[gone]
    assert set(np.unique(values)) <= {-1.0, 0.0}, "only marks for missing may become NaN"
    gap = np.nanmax(np.abs(back.to_numpy() - df.to_numpy(dtype=float)))
    assert gap <= 3e-13, gap
    single = dlc_dataframe_to_features(df)
    rough = features_to_dlc_dataframe(single["features"], single["metadata"])
    assert np.nanmax(np.abs(rough.to_numpy() - df.to_numpy(dtype=float))) < 3e-4


@pytest.mark.parametrize("name", DLC)
def test_labels_are_the_seeds_rule(real_data, name):
    "Against the rule written out with pandas alone."
    df = pd.read_csv(real_data / "dlc" / name, header=DLC[name], index_col=0)
    meta = dlc_dataframe_to_features(df, 0.6)["metadata"]
    low = df.xs("likelihood", axis=1, level=-1)
    xy = df.drop("likelihood", axis=1, level=-1)
    zero = (df.xs("x", axis=1, level=-1).to_numpy() == 0) & (low.to_numpy() == 0)
    expected = (
        (~(low.astype(np.float32) >= np.float32(0.6))).any(axis=1)
        | xy.isna().any(axis=1)
        | zero.any(1)
    )
    assert meta["frame_labels"].tolist() == expected.tolist()
    f = meta["representation"]
    from_file = f.encode_scene(read(real_data / "dlc" / name))
    assert from_file[:, -1].bool().tolist() == expected.tolist()
    for t in range(0, len(df), max(1, len(df) // 7)):
        assert kp.is_frame_corrupted(df.iloc[t], 0.6) == bool(expected.iloc[t])


def test_two_mice_share_a_reference_and_have_labels_of_their_own(real_data):
    df = pd.read_csv(
        real_data / "dlc/multi_animal/test2DLC_csv_table_madlc.csv",
        header=[0, 1, 2, 3],
        index_col=0,
    )
    made = dlc_dataframe_to_features(df, labels="animal")
    meta, f = made["metadata"], made["metadata"]["representation"]
    assert meta["animal_names"] == ["mouse_black_tail", "mouse_white_tail"]
    assert (
        meta["reference_animal"] == "mouse_black_tail" and meta["reference_bodypart"] == "Spine_1"
    )
    labels = made["features"][:, f.layout["quality_labels"]]
    assert torch.equal(labels.bool(), meta["animal_labels"])
    assert torch.equal(labels.amax(1).bool(), meta["frame_labels"])
    assert not torch.equal(labels[:, 0], labels[:, 1])
    assert all(a[0] == b[0] for a, b in meta["bone_pairs"])


def test_slp_and_analysis_h5_of_flies(real_data):
    scene = read(real_data / "sleap" / "predictions.slp")
    f = DLCFeatures.of(scene, ["thorax"], labels="animal")
    assert f.points[f.reference] == ("track_0", "thorax")
    x = f.encode_scene(scene)
    assert x.isfinite().all()
    observed = torch.cat([m.observed for m in scene.actors], 1)
    back = f.decode_scene(x, observed, fps=scene.fps)
    for m, n in zip(scene.actors, back.actors):
        assert torch.equal(m.observed, n.observed) and m.skeleton.joints == n.skeleton.joints
        assert (m.positions - n.positions).nan_to_num().abs().max() < 3e-4
    other = read(real_data / "sleap" / "predictions.analysis.h5")
    same = slice(
        0, f.layout["quality_labels"].start
    )  # the h5 holds no scores, so no labels by score
    assert torch.allclose(f.encode_scene(other)[:, same], x[:, same], atol=2e-2)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 3), st.floats(-500, 500), st.sampled_from(["frame", "animal"]))
def test_animals_come_back_and_shifts_move_the_path_alone(seed, animals, shift, labels):
    scene = mouse(1.0, seed=seed, animals=animals)
    scene = scene.map(lambda m: m.replace(positions=holes(m.positions, seed)))
    f = DLCFeatures.of(scene, labels=labels)
    x = f.encode_scene(scene)
    assert x.isfinite().all()
    observed = torch.cat([m.observed for m in scene.actors], 1)
    p = torch.cat([m.positions for m in scene.actors], 1)
    assert torch.equal(f.unpack(x, observed).isfinite().all(-1), observed)
    assert (f.unpack(x, observed) - p).nan_to_num().abs().max() < 3e-4
    double = f.pack(p.double(), ~observed)
    assert torch.equal(f.unpack(double, observed).float()[observed], p[observed])
    moved = f.pack(p.double() + shift, ~observed) - double
    moved[:, f.layout["reference_trajectory"]] -= shift
    assert moved.abs().max() < 1e-9


def test_corruption_of_a_frame_stays_in_that_frame_and_the_one_before():
    scene = mouse(2.0, seed=3)
    f, m = DLCFeatures.of(scene), scene.actors[0]
    p = m.positions.clone()
    p[20, 2] += 50
    gap = (f.encode(m.replace(positions=p)) - f.encode(m)).abs().amax(1)
    assert gap.nonzero()[:, 0].tolist() == [19, 20]


def test_the_seeds_names_and_width():
    points = tuple(("mouse", f"p{i}") for i in range(27))
    f = DLCFeatures(points, tuple((i, (i + 1) % 27) for i in range(27)), 0)
    assert list(f.layout) == [
        "reference_trajectory", "trajectory_velocity", "normalized_coordinates",
        "coordinate_velocities", "bone_lengths", "bone_velocities", "quality_labels",
    ]  # fmt: skip
    assert f.layout.width == 167 and isinstance(f, Representation)


# --- bodies ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.sampled_from(ACTIONS), st.floats(-3, 3), st.floats(-20, 20), st.booleans())
def test_turn_shift_and_the_way_back(seed, action, angle, shift, gaps):
    m = person(action, 1.5, fps=20, seed=seed)
    f, p = Keypoints(m.skeleton, check=False), m.positions.double()
    p = holes(p, seed) if gaps else p
    x, place = f.pack(p)
    assert x.isfinite().all()
    seen = p.isfinite().all(-1)
    assert (f.unpack(x, place) - p)[seen].abs().max() < 1e-11
    assert torch.equal(x[:, -1].bool(), ~seen.all(1))
    moved, there = f.pack(turned(p, angle) + torch.tensor([shift, shift / 10, -shift]))
    assert (moved - x).abs().max() < 1e-9
    single = f.pack(p.float())[0]
    assert (single - x).abs().max() < 1e-5


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from(ACTIONS))
def test_a_mirror_negates_and_exchanges(seed, action):
    m = person(action, 1.0, fps=20, seed=seed)
    f = Keypoints(m.skeleton)
    a, b = (f.layout.split(f.pack(v.positions.double())[0]) for v in (m, mirror(m)))
    flip = torch.tensor([-1.0, 1, 1])
    local = a["joints_local"].unflatten(-1, (-1, 3))[:, m.skeleton.mirror] * flip
    assert (local.flatten(1) - b["joints_local"]).abs().max() < 1e-6
    assert (a["heading"] * torch.tensor([1, -1.0]) - b["heading"]).abs().max() < 1e-6
    assert (a["trajectory"] * torch.tensor([-1.0, 1]) - b["trajectory"]).abs().max() < 1e-6
    assert (a["root_height"] - b["root_height"]).abs().max() < 1e-6


def test_heading_never_jumps_through_many_turns_or_a_fall():
    spin = torch.linspace(0, 60, 600)
    left = torch.stack([spin.cos(), 0 * spin, -spin.sin()], -1)
    p = torch.stack([left, -left], 1)
    assert (body_heading(p, [0], [1]) - spin).abs().max() < 1e-4
    p[100:130] = torch.tensor([[0, 1.0, 0], [0, -1.0, 0]])  # lies on a side
    assert body_heading(p, [0], [1]).diff().abs().max() < 0.5


@pytest.mark.parametrize(
    "name", ["trc/squats.trc", "trc/drop_vertical_jump.trc", "asf_amc/01_01.bvh", "bandai"]
)
def test_real_bodies_come_back(real_data, name):
    found = sorted((real_data / "bvh" / "samples").rglob("*.bvh"))
    for path in found if name == "bandai" else [real_data / name]:
        m = read(path).actors[0]
        m = m.replace(positions=m.positions[1:400])
        f = Keypoints(m.skeleton)
        x, place = f.encode_placed(m)
        back = f.decode(x, place, fps=m.fps)
        assert (back.positions - m.positions).abs().max() < 1e-5, path.name
        away = f.pack(turned(m.positions, 1.0) + 2.0)[0]
        assert (away - x).abs().max() < 2e-5, path.name


def test_real_dance_with_missing_points(real_data):
    "AIST++ keypoints hold NaN; they are COCO's 17 points in centimetres."
    from motionbook.core.pickles import load_pickle
    from motionbook.core.skeletons import COCO17

    raw = load_pickle(sorted((real_data / "aistpp" / "keypoints3d").glob("*.pkl"))[0])
    p = torch.from_numpy(raw["keypoints3d"]).double() / 100
    f = Keypoints(COCO17, root=("left_hip", "right_hip"), check=False)
    x, place = f.pack(p)
    seen = p.isfinite().all(-1)
    assert x.isfinite().all() and (f.unpack(x, place) - p)[seen].abs().max() < 1e-10


def test_mediapipe_units_agree():
    g = torch.Generator().manual_seed(0)
    world = torch.randn(40, 33, 3, generator=g) * 0.1
    for k, (x, y) in {
        "shoulder": (0.2, -0.5),
        "hip": (0.1, 0.0),
        "knee": (0.1, 0.4),
        "ankle": (0.1, 0.8),
    }.items():
        for side, sign in (("left", 1), ("right", -1)):
            world[:, MEDIAPIPE33.index(f"{side}_{k}")] += torch.tensor([sign * x, y, 0.0])
    x = kp.mediapipe_to_stablemotion_features(world, height=1.8, kind="world")
    image = world * torch.tensor([300 / 1920, 300 / 1080, 300 / 1920]) + torch.tensor([0.4, 0.5, 0])
    y = kp.mediapipe_to_stablemotion_features(image, 1.8, (1920, 1080), kind="image")
    assert x.shape == (40, 83) and (x - y).abs().max() < 1e-4
    up = kp.landmarks_to_metres(world, 1.8, kind="world")
    assert up[:, 0, 1].mean() > up[:, MEDIAPIPE33.index("left_ankle"), 1].mean()
    assert abs(kp.body_height(up).item() - 1.8) < 1e-5


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(3, 30), st.integers(1, 4), st.sampled_from([2, 3]))
def test_bridges_are_straight_and_leave_the_rest(seed, t, j, c):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(t, j, c, generator=g, dtype=torch.float64)
    gone = torch.rand(t, j, generator=g) < 0.5
    y = bridged(x.masked_fill(gone[..., None], torch.nan)).numpy()
    for k in range(j):
        at = (~gone[:, k]).nonzero()[:, 0].numpy()
        for d in range(c):
            line = np.interp(np.arange(t), at, x[at, k, d].numpy()) if len(at) else np.zeros(t)
            np.testing.assert_allclose(y[:, k, d], line, atol=1e-12)
    v = frame_velocity(torch.from_numpy(y[:, 0]))
    assert v.shape == (t, c) and torch.isfinite(v).all()


def test_refusals_say_what_to_do():
    m = person("walk", 1.0, fps=20)
    f = Keypoints(m.skeleton)
    for bad, why in (
        (m.positions[:2], "at least 3 frames"),
        (m.positions[..., [0, 2, 1]] * torch.tensor([1.0, -1, 1]), "y up"),
        (m.positions[:, m.skeleton.mirror], "exchanged"),
        (m.positions * 1000, "metres"),
        (m.positions[:, :5], "expected keypoints"),
        (torch.full_like(m.positions, torch.nan), "never seen"),
    ):
        with pytest.raises(ValueError, match=why):
            f.pack(bad)
    with pytest.raises(ValueError, match="velocity joint 'head'"):
        Keypoints(m.skeleton, joints=("pelvis",), velocity_joints=("head",))
    with pytest.raises(KeyError, match="no joint or role 'wing'"):
        Keypoints(m.skeleton, root="wing")
    with pytest.raises(ValueError, match="at least 3 frames"):
        tail = Skeleton("dlc", ("a", "b"))
        DLCFeatures.of(Scene((Motion(torch.zeros(2, 2, 2), tail, 30.0),))).encode(
            Motion(torch.zeros(2, 2, 2), tail, 30.0)
        )
