"Marker features and layouts: round trips, equivariance, masks, both widths, synthetic and real; tables of datasets."

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import motionbook.formats.marker_h5.marker_h5  # noqa: F401 (registers)
from motionbook.converters.facts import dataset_facts, dataset_table, facts_lines
from motionbook.core.motion import Motion, Scene, resample
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import MARKER20
from motionbook.evaluation.repair_errors import bone_length_variation
from motionbook.features.points.markers import (
    MarkerFeatures,
    columns_to_features,
    hip_origin,
    vertical_extent,
)
from motionbook.features.representation import Representation
from motionbook.formats import registry
from motionbook.formats.marker_h5.marker_files import write_marker_h5
from motionbook.formats.marker_h5.marker_h5 import marker_index, marker_scenes
from motionbook.formats.marker_h5.marker_layout import (
    LAYOUTS,
    MARKER16,
    WIDTHS,
    MarkerColumns,
    bone_variation,
    detect_layout,
    join_columns,
    side_asymmetry,
    split_columns,
)
from motionbook.synthetic.people import ACTIONS, person, person_markers, two_people

torch.set_num_threads(1)
CLIPS = torch.stack(
    [person_markers(person(a, 1.0, seed=s)).positions for a in ACTIONS for s in range(2)]
)  # [14 60 20 3]
SHAPES = st.sampled_from([(1, 1), (1, 7), (3, 12), (2, 60)])


@st.composite
def sequences(draw, joints=20):
    "Positions [n t j 3] with points missing: some, whole frames, whole joints, all."
    n, t = draw(SHAPES)
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    at = torch.randint(0, len(CLIPS), (n,), generator=g)
    p = CLIPS[at, :t, :joints].clone()
    p += draw(st.sampled_from([0.0, 2.0, 50.0])) * torch.randn(n, 1, 1, 3, generator=g)
    kind = draw(st.sampled_from(["none", "some", "frames", "joints", "hips", "all"]))
    if kind == "some":
        p[torch.rand(p.shape[:-1], generator=g) < 0.3] = torch.nan
    if kind == "frames":
        p[torch.rand(n, t, generator=g) < 0.5] = torch.nan
    if kind == "joints":
        p[:, :, torch.rand(joints, generator=g) < 0.5] = torch.nan
    if kind == "hips":
        p[:, :, 3:6] = torch.nan
    return p if kind != "all" else torch.full_like(p, torch.nan)


QUICK = settings(max_examples=120, deadline=None, derandomize=True)


@QUICK
@given(sequences(), st.sampled_from([None, 20, 27]), st.sampled_from(["given", "extent"]), st.sampled_from([None, 1.7, float("nan")]))  # fmt: skip
def test_round_trip(p, kmax, scale, height):
    f = MarkerFeatures(kmax=kmax, scale=scale)
    x = f.pack(p, height, 70.0)
    assert x.shape == (*p.shape[:2], f.layout.width) and x.isfinite().all()
    back = f.unpack(x)
    assert torch.equal(back.isfinite().all(-1), p.isfinite().all(-1))
    size = p.nan_to_num().abs().max().clamp_min(1)
    assert (back - p).abs().nan_to_num().max() < 1e-6 * size
    parts = f.layout.split(x)
    seen = p.isfinite().all(-1)
    assert torch.equal(parts["seen"][..., :20] > 0.5, seen)
    assert (parts["seen"][..., 20:] == 0).all() and (parts["joints"][..., 60:] == 0).all()
    assert (parts["joints"].unflatten(-1, (-1, 3))[..., :20, :][~seen] == 0).all()
    assert (parts["height"] == (1.7 if height == 1.7 else 0)).all()


@QUICK
@given(sequences(), st.integers(0, 99))
def test_a_batch_is_its_sequences_and_seen_points_do_not_depend_on_the_rest(p, seed):
    f = MarkerFeatures()
    x = f.pack(p, 1.7)
    for one, many in zip(p, x):
        assert torch.equal(f.pack(one, 1.7), many)
    g = torch.Generator().manual_seed(seed)
    gone = torch.rand(p.shape[:-1], generator=g) < 0.3
    gone[..., 3:6] = False  # the hip says where everything is
    fewer = f.layout.split(f.pack(p.masked_fill(gone[..., None], torch.nan), 1.7))
    there = p.isfinite().all(-1)
    hip = (there[..., 5] | (there[..., 3] & there[..., 4])).any(-1)
    kept = ~gone & there & hip[:, None, None]
    joints = lambda parts: parts["joints"].unflatten(-1, (20, 3))
    assert torch.equal(joints(fewer)[kept], joints(f.layout.split(x))[kept])


@QUICK
@given(sequences(), st.floats(0.3, 3), st.integers(0, 99), st.sampled_from(["given", "extent"]))
def test_equivariance(p, factor, seed, scale):
    f = MarkerFeatures(scale=scale)
    shift = 3 * torch.randn(3, generator=torch.Generator().manual_seed(seed))
    here, moved, larger = (
        f.layout.split(f.pack(q, h))
        for q, h in ((p, 1.7), (p + shift, 1.7), (p * factor, 1.7 * factor))
    )
    size = p.nan_to_num().abs().max() + 10
    seen_any = p.isfinite().all(-1).any(-1).any(-1)  # else there is nothing to move
    tolerance = 2e-6 * float(size)
    for k in ("joints", "seen", "scale"):
        torch.testing.assert_close(moved[k][seen_any], here[k][seen_any], atol=tolerance, rtol=1e-5)
    torch.testing.assert_close(
        moved["origin"][seen_any], here["origin"][seen_any] + shift, atol=tolerance, rtol=1e-5
    )
    for k in ("joints", "seen"):
        torch.testing.assert_close(
            larger[k][seen_any], here[k][seen_any], atol=3 * tolerance, rtol=1e-4
        )
    torch.testing.assert_close(
        larger["scale"][seen_any], factor * here["scale"][seen_any], atol=tolerance, rtol=1e-5
    )


def test_float64_agrees_with_float32():
    f = MarkerFeatures()
    torch.testing.assert_close(f.pack(CLIPS.double(), 1.7).float(), f.pack(CLIPS, 1.7), atol=1e-6, rtol=1e-5)  # fmt: skip


def test_the_hip_is_bridged_in_a_straight_line():
    p = CLIPS[:1].clone()
    line = torch.linspace(0, 1, 60)[:, None] * torch.tensor([2.0, 0.1, -1.0])
    p[0] = line[:, None]
    p[0, 5:50] = torch.nan
    torch.testing.assert_close(hip_origin(p)[0], line, atol=1e-6, rtol=0)
    slow = p.clone()
    slow[0, :, 5] = torch.nan
    torch.testing.assert_close(hip_origin(slow)[0], line, atol=1e-6, rtol=0)  # from the two hips


def test_the_middle_of_two_hips_stands_for_a_missing_one():
    p = CLIPS.clone()
    p[:, :, 5] = torch.nan
    middle = (CLIPS[:, :, 3] + CLIPS[:, :, 4]) / 2
    torch.testing.assert_close(hip_origin(p), middle, atol=1e-6, rtol=0)
    assert (CLIPS[:, :, 3] - CLIPS[:, :, 4]).norm(dim=-1).min() > 0.1


def test_what_the_scale_is():
    extent = vertical_extent(CLIPS - CLIPS[:, :, 5:6])
    scale = lambda f, height: f.layout.split(f.pack(CLIPS, height))["scale"][:, 0, 0]
    given, always = MarkerFeatures(), MarkerFeatures(scale="extent")
    assert (scale(given, 1.7) == torch.tensor(1.7)).all()
    for height in (None, 0.0, -1.7, float("nan"), float("inf")):
        torch.testing.assert_close(scale(given, height), extent)
        assert (given.layout.split(given.pack(CLIPS, height))["height"] == 0).all()
    torch.testing.assert_close(scale(always, 1.7), extent)
    some = torch.full((len(CLIPS),), torch.nan)
    some[3] = 1.5
    want = extent.clone()
    want[3] = 1.5
    torch.testing.assert_close(scale(given, some), want)


def test_encode_and_decode_by_name():
    assert isinstance(MarkerFeatures(), Representation)
    f = MarkerFeatures(fps=50)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)).tolist()
    names = tuple(MARKER20.joints[i] for i in order)
    extra = torch.cat([CLIPS[0][:, order], torch.zeros(60, 1, 3)], 1)
    m = Motion(extra, Skeleton("mine", (*names, "Sacrum")), 50, meta={"height": 1.7})
    back = f.decode(f.encode(m))
    assert back.skeleton == MARKER20 and back.fps == 50
    torch.testing.assert_close(back.positions, CLIPS[0], atol=1e-6, rtol=0)
    legs = f.decode(f.encode(m), MARKER16)
    torch.testing.assert_close(legs.positions, CLIPS[0][:, :16], atol=1e-6, rtol=0)
    small = MarkerFeatures(MARKER16, 20, fps=m.fps)
    assert len(MarkerFeatures().encode(m)) == len(resample(m, 60))
    torch.testing.assert_close(small.decode(small.encode(m)).positions, CLIPS[0][:, :16], atol=1e-6, rtol=0)  # fmt: skip
    with pytest.raises(ValueError, match="expected points of MARKER20 in 3-D"):
        f.encode(Motion(CLIPS[0][..., :2], MARKER20, 60))
    with pytest.raises(ValueError, match="expected features"):
        f.decode(torch.zeros(60, 85))


def test_extent_is_what_the_seed_computes():
    p = CLIPS - CLIPS[:, :, 5:6]
    want = p[..., 1].flatten(1).amax(1) - p[..., 1].flatten(1).amin(1)
    torch.testing.assert_close(vertical_extent(p), want)
    assert (vertical_extent(torch.zeros(2, 5, 20, 3)) == 0.1).all()
    assert (vertical_extent(torch.full((2, 5, 20, 3), torch.nan)) == 1).all()


def columns(p, width, layout):
    body = torch.ones(p.shape[:2])
    rest = (1.7 * body, 70 * body) if width % 3 else (None, None)
    return join_columns(MarkerColumns(p[:, :, : len(WIDTHS[width])], *rest), layout)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_columns_come_apart_and_together(width, layout):
    x = columns(CLIPS, width, layout)
    apart = split_columns(x, layout)
    assert torch.equal(apart.positions, CLIPS[:, :, : len(WIDTHS[width])])
    assert torch.equal(join_columns(apart, layout), x)
    want = x.numpy()[..., : 3 * len(WIDTHS[width])]
    want = want.reshape(14, 60, -1, 3) if layout == "interleaved" else np.stack(np.split(want, 3, -1), -1)  # fmt: skip
    np.testing.assert_array_equal(apart.positions, want)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("noise, gone", [(0, 0), (0.02, 0), (0.05, 0), (0.02, 0.3)])
def test_layout_of_synthetic_sequences(width, layout, noise, gone):
    g = torch.Generator().manual_seed(0)
    p = CLIPS + noise * torch.randn(CLIPS.shape, generator=g)
    p[torch.rand(p.shape[:-1], generator=g) < gone] = torch.nan
    found = detect_layout(columns(p, width, layout))
    assert found.layout == layout and found.margin > {0: 8, 0.02: 2.8, 0.05: 1.8}[noise]
    feet = found.variation if layout == "interleaved" else found.variation[::-1]
    assert noise == 0.05 or feet[0] < feet[1]
    features = columns_to_features(columns(p, width, layout))
    back = MarkerFeatures().unpack(features, len(WIDTHS[width]))
    assert (back - p[:, :, : len(WIDTHS[width])]).abs().nan_to_num().max() < 2e-6


def test_bone_variation_is_the_metric_of_evaluation():
    g = torch.Generator().manual_seed(0)
    p = CLIPS.masked_fill((torch.rand(CLIPS.shape[:-1], generator=g) < 0.3)[..., None], torch.nan)
    many = bone_variation(p, MARKER20.edges)
    for one, row in zip(p, many):
        torch.testing.assert_close(bone_length_variation(one, MARKER20.edges), row.float(), equal_nan=True)  # fmt: skip


def test_asymmetry_of_a_mirrored_body_is_zero():
    p = CLIPS[:, :, MARKER20.mirror] * torch.tensor([-1.0, 1, 1])
    both = (CLIPS + p) / 2  # symmetric in every frame
    assert side_asymmetry(both, MARKER20).max() < 1e-6
    longer = both.clone()
    longer[:, :, 18] = both[:, :, 16] + 3 * (both[:, :, 18] - both[:, :, 16])  # the right forearm
    assert side_asymmetry(longer, MARKER20).min() > 0.04


# Real recordings


@pytest.fixture(scope="module")
def trials(real_data):
    "[n 60 20 3] the TRC trials in windows, points by name."
    found = []
    for path in sorted((real_data / "trc").glob("*.trc")):
        m = registry.read(path).actors[0]
        p = m.positions[:, m.skeleton.indices(MARKER20.joints)]
        found.append(p[: len(p) // 60 * 60].unflatten(0, (-1, 60)))
    assert len(found) >= 2
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_real_recordings(trials, width, layout):
    for p in trials:
        x = columns(p, width, layout)
        assert detect_layout(x).layout == layout and detect_layout(x).margin > 2.5
        alone = [detect_layout(x[k : k + 1]) for k in range(len(x))]
        assert all(d.layout == layout and d.margin > 2 for d in alone)
        frame = detect_layout(x[:, ::30])
        assert frame.layout == layout


def test_figures_that_the_layout_page_states(trials):
    jump, squats = (p[:, :, :16] for p in trials)
    found = detect_layout(columns(squats, 48, "interleaved"))
    assert [round(v, 3) for v in found.variation] == [0.025, 0.030]
    margins = [detect_layout(columns(p, w, la)).margin for p in trials for w in (60, 48) for la in LAYOUTS]  # fmt: skip
    assert (round(min(margins), 1), round(max(margins), 1)) == (2.7, 9.1)
    alone = [
        detect_layout(columns(p, 48, "interleaved")[k : k + 1])
        for p in (jump, squats)
        for k in range(len(p))
    ]
    wrong = sum(d.variation[0] > d.variation[1] for d in alone)
    assert (wrong, len(alone)) == (3, 14)


def test_real_recordings_survive_the_features(trials):
    for p in trials:
        for kmax in (20, 24):
            f = MarkerFeatures(kmax=kmax)
            assert (f.unpack(f.pack(p, 1.96)) - p).abs().max() < 1e-6


def test_real_recordings_as_a_dataset(trials, tmp_path):
    people = [Scene((Motion(p.flatten(0, 1), MARKER20, 60, meta={"height": 1.96, "weight": 78.2}),), meta={"subject": k}) for k, p in enumerate(trials)]  # fmt: skip
    for layout in LAYOUTS:
        for width in (62, 50):
            write_marker_h5(tmp_path / f"{layout}{width}", people, layout, width)
    table = dataset_table(tmp_path)
    assert list(table["layout"]) == ["interleaved"] * 4 + ["stacked"] * 4
    assert table["bone_variation"].between(0.02, 0.06).all() and (table["margin"] > 2.5).all()
    assert (table["missing"] == 0).all() and (table["height"].round(2) == 1.96).all()
    for k, scene in enumerate(marker_scenes(tmp_path / "stacked62", subject=1)):
        assert torch.equal(scene.actors[0].positions, trials[1][k])


def test_real_folder_table(real_data):
    table = dataset_table(real_data / "trc")
    assert len(table) == 2 and table["bone_variation"].between(0.02, 0.07).all()
    assert "problem" not in table


# Tables


@pytest.fixture
def root(tmp_path):
    m = lambda k: Motion(CLIPS[k], MARKER20, 60, meta={"height": 1.7, "weight": 70})
    gone = m(3).replace(positions=m(3).positions.masked_fill(torch.arange(20)[None, :, None] < 5, torch.nan))  # fmt: skip
    scenes = [Scene((m(k),), meta={"subject": s, "scale": c}) for k, (s, c) in enumerate([(10, 1), (2, 1), (2, 0.9)])]  # fmt: skip
    write_marker_h5(tmp_path / "r" / "dataset0", [*scenes, Scene((gone,), meta={"subject": 2, "scale": 0.9})])  # fmt: skip
    write_marker_h5(tmp_path / "r" / "dataset1", [m(5)] * 3, "stacked", 48)
    return tmp_path / "r"


def test_table_of_a_root(root):
    table = dataset_table(root)
    who = list(zip(table["dataset"], table["subject"], table["scale"], table["sequences"]))
    assert who == [("dataset0", "2", 0.9, 2), ("dataset0", "2", 1.0, 1), ("dataset0", "10", 1.0, 1)] + [("dataset1", str(k), 1.0, 1) for k in range(3)]  # fmt: skip
    assert table["missing"].tolist() == pytest.approx([0.125, 0, 0, 0, 0, 0])
    assert table["frames"].tolist() == [120, 60, 60, 60, 60, 60]
    by = dataset_table(root, by=["dataset"])
    assert by[["subjects", "sequences", "columns"]].values.tolist() == [[2, 4, 62], [3, 3, 48]]
    assert by["scale"].tolist() == ["0.9, 1", "1"]
    assert "height" not in dataset_table(root / "dataset1")  # 48 columns do not say it
    one = dataset_table(root, by=["scale"])
    assert one["dataset"].tolist() == ["dataset0", "dataset0, dataset1"] and one["sequences"].sum() == 7  # fmt: skip
    few = dataset_table(root, most=1)
    assert few["missing"].notna().sum() == 2 and few["sequences"].sum() == 7


def test_facts_are_json_and_text(root, tmp_path):
    facts = dataset_facts(root)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert [d["scales"] for d in facts["datasets"]] == [[0.9, 1.0], [1.0]]
    lines = facts_lines(facts)
    assert lines[1].startswith("  dataset0: 2 subjects, 4 sequences of 60 frames at 60 fps, scaled by 0.9, 1")  # fmt: skip
    assert all("nan" not in line for line in lines)
    lab = tmp_path / "lab"
    registry.write(two_people(1.0), lab / "two.npz")
    registry.write(Scene((person(seconds=0.5),)), lab / "a" / "one.bvh")
    (lab / "bad.bvh").write_text("HIERARCHY\nROOT")
    (lab / "readme.md").write_text("words")
    (lab / ".hidden.bvh").write_text("HIERARCHY")
    facts = dataset_facts(lab)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert [r["file"] for r in facts["recordings"]] == ["a/one.bvh", "two.npz", "two.npz"]
    assert [p["file"] for p in facts["problems"]] == ["bad.bvh"]
    assert len(facts_lines(facts)) == 5


def test_all_missing_and_unknown_give_a_table(tmp_path):
    m = Motion(torch.full((60, 20, 3), torch.nan), MARKER20, 60)
    write_marker_h5(tmp_path / "d", [m])
    table = dataset_table(tmp_path)
    assert table["missing"].tolist() == [1.0] and "bone_variation" not in table
    assert "unknown" in facts_lines(dataset_facts(tmp_path))[3]
    assert marker_index(tmp_path)[0].found.margin == 1.0
