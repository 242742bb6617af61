"""Metrics against mathematics, numpy and scipy, and their properties under masks, frame rates and moves."""

import math
from itertools import permutations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbook.core.motion import Motion, Scene, resample
from motionbook.core.rotation import axis_rotation
from motionbook.core.skeleton import Skeleton
from motionbook.evaluation.keypoints import (
    error_percentiles,
    evaluate_tracks,
    identity_assignment,
    pck,
    share_identity_swapped,
    side_swaps,
    swap_aware_error,
    track_agreement,
)  # fmt: skip
from motionbook.evaluation.repair_errors import (
    body_length,
    bone_length_variation,
    changed_points,
    confidence_scores,
    coverage,
    derivative,
    detection_scores,
    distances,
    evaluate_cleanup,
    motion_rates,
    point_error,
    rate_ratios,
    share_changed,
)  # fmt: skip
from motionbook.filters.corrupt.corruption import PLANS, corrupt
from motionbook.synthetic.people import mouse, person

W = 2 * math.pi


def gen(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def holed(x: torch.Tensor, share=0.2, seed=0) -> torch.Tensor:
    return x.masked_fill(torch.rand(x.shape[:2], generator=gen(seed))[..., None] < share, torch.nan)


@pytest.fixture(scope="module")
def walk() -> Scene:
    return Scene((person("walk", seconds=4, fps=60, seed=0),))


@pytest.fixture(scope="module")
def broken(walk):
    return corrupt(walk, PLANS["capture"], generator=0)


# points and masks


@given(seed=st.integers(0, 999), c=st.sampled_from([2, 3]), share=st.floats(0, 0.9))
@settings(max_examples=30, deadline=None)
def test_point_error_is_numpy_s(seed, c, share):
    x, y = (
        holed(torch.randn(30, 4, c, generator=gen(seed + k)), 0.2, seed + 5 + k) for k in (0, 1)
    )
    mask = torch.rand(30, 4, generator=gen(seed + 2)) < share
    d = np.sqrt(((x - y).double().numpy() ** 2).sum(-1))[mask.numpy()]
    want = np.nan if np.isnan(d).all() else np.nanmean(d)
    assert point_error(x, y, mask) == pytest.approx(want, rel=1e-5, nan_ok=True)
    known = mask & y.isfinite().all(-1)
    have = x.isfinite().all(-1).numpy()[known.numpy()]
    assert coverage(x, y, mask) == pytest.approx(have.mean() if len(have) else np.nan, nan_ok=True)


def test_what_is_outside_the_mask_does_not_matter():
    x, y = torch.randn(50, 4, 3, generator=gen(0)), torch.randn(50, 4, 3, generator=gen(1))
    mask = torch.rand(50, 4, generator=gen(2)) < 0.5
    wild = torch.where(mask[..., None], x, 1e6)
    lost = torch.where(mask[..., None], x, torch.nan)
    for f in (
        lambda a: point_error(a, y, mask),
        lambda a: motion_rates(a, 60, mask),
        lambda a: rate_ratios(a, y, 60, mask),
    ):
        assert f(x) == f(wild) == f(lost)
    for f in (
        lambda a: error_percentiles(a, y, mask),
        lambda a: pck(a, y, 5.0, 0.3, mask),
        lambda a: track_agreement(a, y, mask),
    ):
        assert f(x) == f(wild) == f(lost)


def test_nothing_to_score_is_nan_not_zero():
    x, none = torch.randn(5, 2, 3), torch.zeros(5, 2, dtype=torch.bool)
    assert (
        math.isnan(point_error(x, x, none))
        and math.isnan(coverage(x, x, none))
        and math.isnan(share_changed(x, x, none))
    )
    assert all(math.isnan(v) for v in error_percentiles(x, x, none).values())
    assert all(math.isnan(v) for v in motion_rates(x[:1], 30).values())
    assert math.isnan(pck(x, x * torch.nan, 1.0))


def test_root_relative_error_ignores_travel():
    x = torch.randn(40, 5, 3, generator=gen())
    assert distances(x + torch.randn(40, 1, 3), x, root=2).amax() < 1e-5
    assert point_error(x + 3.0, x) == pytest.approx(3 * math.sqrt(3), rel=1e-5)


@given(seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_changed_points(seed):
    x = holed(torch.randn(20, 3, 2, generator=gen(seed)), 0.2, seed)
    pick = torch.rand(20, 3, generator=gen(seed + 1)) < 0.3
    y = torch.where(pick[..., None], torch.where(x.isnan(), torch.zeros(()), torch.nan), x)
    assert torch.equal(changed_points(x, y), pick) and torch.equal(changed_points(y, x), pick)
    assert not changed_points(x, x.clone()).any()
    assert share_changed(x, y) == pytest.approx(
        int(pick.sum()) / int((x.isfinite() | y.isfinite()).all(-1).sum())
    )


# bodies


def test_a_rigid_body_has_no_variation(walk):
    m = walk.actors[0]
    assert float(bone_length_variation(m.positions, m.skeleton.edges).max()) < 1e-4
    stretched = m.positions * torch.linspace(1, 2, len(m))[:, None, None]
    cv = bone_length_variation(stretched, m.skeleton.edges)
    scale = np.linspace(1, 2, len(m))
    assert cv.numpy() == pytest.approx(scale.std() / scale.mean(), rel=1e-4)


def test_bone_variation_is_scipy_s():
    x = holed(torch.randn(200, 5, 3, generator=gen()))
    edges = [(0, 1), (1, 4), (2, 3)]
    length = [np.linalg.norm((x[:, a] - x[:, b]).double().numpy(), axis=-1) for a, b in edges]
    assert bone_length_variation(x, edges).numpy() == pytest.approx(
        [scipy.stats.variation(v, nan_policy="omit") for v in length], rel=1e-5
    )
    assert bone_length_variation(x, []).shape == (0,)


def test_body_length_resists_stray_points():
    p = torch.zeros(101, 3, 2)
    p[:, 1, 0], p[:, 2, 0] = 40.0, 100.0
    p[:40, 0] = -5000.0
    p[50:60, 2] = torch.nan
    s = Skeleton("s", ("a", "b", "c"))
    assert body_length(Motion(p, s, 30)) == 100.0
    assert math.isnan(body_length(Motion(torch.full((9, 3, 2), torch.nan), s, 30)))


# rates


def sine(fps, amplitude=0.3, hertz=1.5, seconds=8.0):
    t = torch.arange(int(seconds * fps), dtype=torch.float64) / fps
    x = amplitude * torch.sin(W * hertz * t)
    return torch.stack([0.6 * x, 0 * x, 0.8 * x], -1)[:, None]


@pytest.mark.parametrize("fps", [100.0, 120.0, 250.0])
def test_a_sine_has_the_rates_that_mathematics_gives(fps):
    rates = motion_rates(sine(fps), fps)
    want = [2 / math.pi * 0.3 * (W * 1.5) ** n for n in (1, 2, 3)]
    assert list(rates) == ["velocity_m_s", "acceleration_m_s2", "jerk_m_s3"]
    assert list(rates.values()) == pytest.approx(want, rel=0.01)


def test_derivatives_of_polynomials_are_exact():
    t = torch.arange(50, dtype=torch.float64) / 40
    x = torch.stack([t, t**2, t**3], -1)[:, None]
    assert derivative(x, 40, 1)[:, 0, 0].numpy() == pytest.approx(1.0)
    assert derivative(x, 40, 2)[:, 0, 1].numpy() == pytest.approx(2.0, rel=1e-6)
    assert derivative(x, 40, 3)[:, 0, 2].numpy() == pytest.approx(6.0, rel=1e-4)
    assert derivative(x, 40, 3)[:, 0, :2].abs().amax() < 1e-6


def test_rates_do_not_depend_on_the_frame_rate(walk):
    fast, slow = (motion_rates(sine(f), f) for f in (240.0, 80.0))
    assert list(fast.values()) == pytest.approx(list(slow.values()), rel=0.01)
    a, b = person("walk", seconds=4, fps=120, seed=0), person("walk", seconds=4, fps=60, seed=0)
    v, w = (motion_rates(m.positions, m.fps)["velocity_m_s"] for m in (a, b))
    assert v == pytest.approx(w, rel=0.02)
    half = resample(a, 40.0)
    assert motion_rates(half.positions, half.fps)["velocity_m_s"] == pytest.approx(v, rel=0.03)


def test_ratios(walk):
    x = walk.actors[0].positions
    assert list(rate_ratios(x, x, 60).values()) == [1.0, 1.0, 1.0]
    assert list(rate_ratios(3 * x, x, 60).values()) == pytest.approx([3.0, 3.0, 3.0], rel=1e-4)
    assert rate_ratios(x, x, 30) == rate_ratios(x, x, 120)
    still = torch.zeros_like(x)
    assert rate_ratios(still, x, 60)["jerk_ratio"] == 0.0
    assert math.isnan(rate_ratios(x, still, 60)["jerk_ratio"])
    gap = holed(x)
    assert list(rate_ratios(gap, x, 60).values()) == [1.0, 1.0, 1.0]


# detection and confidence


@given(seed=st.integers(0, 9999), a=st.floats(0, 1), b=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_detection_counts(seed, a, b):
    said, wrong, known = (
        torch.rand(12, 5, generator=gen(seed + k)) < r for k, r in ((0, a), (1, b), (2, 0.8))
    )
    s = detection_scores(said, wrong, known)
    div = lambda x, y: x / y if y else math.nan
    for prefix, u, v in (
        ("", said & known, wrong & known),
        ("frame_", (said & known).any(1), (wrong & known).any(1)),
    ):
        tp, fp, fn = (int(z.sum()) for z in (u & v, u & ~v, v & ~u))
        want = [div(tp, tp + fp), div(tp, tp + fn), div(2 * tp, 2 * tp + fp + fn)]
        assert [s[prefix + k] for k in ("precision", "recall", "f1")] == pytest.approx(
            want, nan_ok=True
        )


@given(seed=st.integers(0, 9999), levels=st.integers(2, 50))
@settings(max_examples=40, deadline=None)
def test_confidence_scores_are_scipy_s(seed, levels):
    conf = (torch.rand(30, 4, generator=gen(seed)) * levels).round() / levels  # many ties
    error = torch.rand(30, 4, generator=gen(seed + 1)) + (1 - conf)
    error[0] = torch.nan
    s = confidence_scores(conf, error, 0.9)
    c, e = conf[1:].flatten().double().numpy(), error[1:].flatten().double().numpy()
    good, bad = c[e <= 0.9], c[e > 0.9]
    if len(good) and len(bad):
        want = scipy.stats.mannwhitneyu(good, bad).statistic / (len(good) * len(bad))
        assert s["confidence_auroc"] == pytest.approx(want, abs=1e-9)
    assert s["confidence_rank_correlation"] == pytest.approx(
        scipy.stats.spearmanr(c, -e).statistic, abs=1e-9, nan_ok=True
    )


def test_a_constant_confidence_says_nothing():
    s = confidence_scores(torch.ones(9, 2), torch.rand(9, 2), 0.5)
    assert s["confidence_auroc"] == 0.5 and math.isnan(s["confidence_rank_correlation"])


# the score card


def test_the_truth_is_the_best_repair(walk, broken):
    s = evaluate_cleanup(walk, broken.scene, walk, broken.mask)
    assert all(v == 0.0 for k, v in s.items() if k.startswith("error_"))
    assert (s["coverage_hidden"], s["precision"], s["recall"], s["share_good_changed"]) == (
        1.0,
        1.0,
        1.0,
        0.0,
    )
    assert s["jerk_ratio"] == 1.0 and s["bone_cv"] == s["bone_cv_reference"] < 1e-4
    assert s["input_error_corrupted_m"] > 0 and s["share_changed"] == pytest.approx(
        s["share_corrupted"]
    )
    assert all(type(v) is float for v in s.values())


def test_doing_nothing_is_seen(walk, broken):
    s = evaluate_cleanup(walk, broken.scene, broken.scene, broken.mask)
    assert s["error_corrupted_m"] == s["input_error_corrupted_m"] > 0
    assert s["coverage_hidden"] == 0.0 and math.isnan(s["error_hidden_m"]) and s["recall"] == 0.0


def test_the_groups_do_not_mix(walk):
    p = walk.actors[0].positions.clone()
    p[10:20, 3] = torch.nan
    p[30:40, 4, 0] += 1.0
    mask = (changed_points(walk.actors[0].positions, p),)
    before = walk.map(lambda m: m.replace(positions=p))
    fixed = walk.actors[0].positions.clone()
    fixed[10:20, 3, 1] += 0.2  # hidden
    fixed[30:40, 4, 1] += 0.3  # corrupted
    fixed[50:60, 5, 1] += 0.4  # good points, harmed
    s = evaluate_cleanup(walk, before, walk.map(lambda m: m.replace(positions=fixed)), mask)
    good = 240 * 24 - 20
    assert (s["error_hidden_m"], s["error_corrupted_m"]) == pytest.approx((0.2, 0.3), rel=1e-4)
    assert s["error_untouched_m"] == pytest.approx(0.4 * 10 / good, rel=1e-4)
    assert s["share_good_changed"] == pytest.approx(10 / good)
    assert (s["precision"], s["recall"]) == pytest.approx((2 / 3, 1.0))
    s = evaluate_cleanup(
        walk, before, walk, mask, flagged=(torch.zeros(240, 24, dtype=torch.bool),)
    )
    assert s["recall"] == 0.0


def test_turning_everything_changes_nothing(walk, broken):
    turn = axis_rotation("y", torch.tensor(0.8))
    move = lambda s: s.map(lambda m: m.replace(positions=m.positions @ turn.T + 1.0))
    hold = broken.scene.map(lambda m: m.replace(positions=m.positions.nan_to_num(0.9)))
    flagged = broken.mask
    a = evaluate_cleanup(walk, broken.scene, hold, broken.mask, flagged)
    b = evaluate_cleanup(*map(move, (walk, broken.scene, hold)), broken.mask, flagged)
    for k in a:
        if k not in ("bone_cv_reference", "share_changed", "share_good_changed"):
            assert a[k] == pytest.approx(b[k], rel=2e-3, nan_ok=True), k


def test_actors_are_scored_together():
    two = mouse(seconds=4, fps=30, seed=0, animals=2)
    made = corrupt(two, PLANS["tracks"], generator=0)
    s = evaluate_tracks(
        two, made.scene, made.scene, made.mask, confidence=[m.confidence for m in made.scene.actors]
    )
    x, y, mask = (
        torch.cat(v, 1)
        for v in (
            [m.positions for m in two.actors],
            [m.positions for m in made.scene.actors],
            made.mask,
        )
    )
    assert s["error_corrupted_px"] == pytest.approx(point_error(y, x, mask), rel=1e-6)
    assert s["confidence_auroc"] > 0.5 and "bone_cv" not in s
    with pytest.raises(ValueError, match="expected masks of"):
        evaluate_cleanup(two, made.scene, made.scene, made.mask[:1])


# keypoints


def test_percentiles_are_numpy_s():
    x, y = holed(torch.randn(300, 4, 2, generator=gen())), torch.randn(300, 4, 2, generator=gen(1))
    d = (x - y).norm(dim=-1).double().numpy()
    got = error_percentiles(x, y, levels=(0, 12.5, 50, 99, 100))
    assert list(got) == [
        "error_p0_px",
        "error_p12.5_px",
        "error_p50_px",
        "error_p99_px",
        "error_p100_px",
    ]
    assert list(got.values()) == pytest.approx(list(np.nanpercentile(d, [0, 12.5, 50, 99, 100])))


def test_pck_counts_what_is_lost_as_wrong():
    x = torch.randn(100, 4, 2, generator=gen()) * 50
    moved = x + torch.tensor([3.0, 4.0])
    assert pck(moved, x, 100.0, [0.04, 0.051]) == [0.0, 1.0]
    moved[:25] = torch.nan
    assert pck(moved, x, 100.0, 0.1) == 0.75
    assert pck(x, moved, 100.0, 0.1) == 1.0  # what has no truth is not asked
    near = pck(x + torch.randn(x.shape), x, 10.0, np.linspace(0, 1, 20))
    assert near == sorted(near)


def test_swaps_of_sides():
    x = torch.randn(200, 5, 2, generator=gen()) * 50
    y = x + 0.1 * torch.randn(x.shape, generator=gen(1))
    y[40:60, [1, 2]] = y[40:60, [2, 1]]
    y[150:, 3] = torch.nan
    pairs = [(1, 2), (3, 4)]
    swapped = side_swaps(y, x, pairs, margin=1.0)
    assert int(swapped[40:60, 0].sum()) >= 19 and not swapped[:, 1].any() and not swapped[:40].any()
    s = swap_aware_error(y, x, pairs, margin=1.0)
    assert s["share_sides_swapped"] == pytest.approx(int(swapped.sum()) / 350)
    assert s["error_swaps_undone_px"] < 0.3 < s["error_px"]
    assert not side_swaps(y, x, pairs, margin=1e4).any() and not side_swaps(x, x, pairs).any()
    only = torch.zeros(200, 5, dtype=torch.bool)
    only[:, 0] = True
    assert (
        swap_aware_error(y, x, pairs, only)["error_px"]
        == swap_aware_error(y, x, pairs, only)["error_swaps_undone_px"]
    )


@given(seed=st.integers(0, 999), a=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_identities_are_the_obvious_search_s(seed, a):
    truths = [holed(torch.randn(6, 3, 2, generator=gen(seed + k)), 0.1, seed + k) for k in range(a)]
    guess = [
        holed(torch.randn(6, 3, 2, generator=gen(seed + 50 + k)), 0.1, seed + 50 + k)
        for k in range(a)
    ]
    best = identity_assignment(guess, truths)

    def cost(way, t, seen):
        return sum(
            float((guess[e][t, j] - truths[k][t, j]).norm())
            for k, e in enumerate(way)
            for j in seen
        )

    for t in range(6):
        seen = [
            j for j in range(3) if all(bool(x[t, j].isfinite().all()) for x in (*truths, *guess))
        ]
        least = min(cost(way, t, seen) for way in permutations(range(a)))
        assert cost(best[t].tolist(), t, seen) == pytest.approx(least, abs=1e-5)
        assert seen or best[t].tolist() == list(range(a))


def test_identity_share():
    two = mouse(seconds=4, fps=30, seed=1, animals=2)
    made = corrupt(two, {"swap_actors": {"rate": 0.25}}, generator=0)
    truths, tracks = ([m.positions for m in s.actors] for s in (two, made.scene))
    assert share_identity_swapped(tracks, truths) == pytest.approx(0.25, abs=0.02)
    s = evaluate_tracks(two, made.scene, two, made.mask)
    assert s["share_identity_swapped"] == 0.0 and s[
        "share_identity_swapped_before"
    ] == pytest.approx(0.25, abs=0.02)


def test_one_track_has_no_identities():
    one = mouse(seconds=2, fps=30, seed=1)
    made = corrupt(one, PLANS["tracks"], generator=0)
    assert math.isnan(evaluate_tracks(one, made.scene, one, made.mask)["share_identity_swapped"])
