"""Corruptions: the mask is exact, the rate is met, seeds fix the bytes, odd recordings do not break them."""

import inspect

import numpy as np
import pytest
import torch
from helpers import real_files
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbook.core.gaps import list_runs
from motionbook.core.motion import Motion, Scene
from motionbook.core.size import body_length
from motionbook.core.skeleton import Skeleton
from motionbook.filters.corrupt.corrupt_files import corrupt_file, labels_path
from motionbook.filters.corrupt.corrupt_tracks import KINDS, corrupt_tracks
from motionbook.filters.corrupt.corruption import CORRUPTIONS, PLANS, add_drift, corrupt, freeze
from motionbook.filters.corrupt.faults import (
    add_noise,
    draw_events,
    drop_frames,
    drop_joints,
    hide_joints,
)  # fmt: skip
from motionbook.filters.corrupt.own_gaps import find_gaps, hide_like_own
from motionbook.formats.registry import read

BODY = Skeleton("eight", ("hub", "nose", "left_a", "right_a", "left_b", "right_b", "tail", "tip"))

SHARE = {"drop_joints": "prob", "drop_frames": "frac", "hide_joints": "frac_joints"}
REAL_TRC = real_files("trc/**/*.trc")


def scene(t=200, dims=3, actors=2, seed=0, missing=0.1, confidence=True, skeleton=BODY) -> Scene:
    "Random walks around separate places, with holes."
    g, j = torch.Generator().manual_seed(seed), len(skeleton)
    scale = 1.0 if dims == 3 else 100.0

    def actor(i):
        walk = torch.randn(t, 1, dims, generator=g).cumsum(0) * 0.02
        p = (
            walk
            + torch.randn(j, dims, generator=g) * 0.4
            + 0.01 * torch.randn(t, j, dims, generator=g)
        ) * scale
        p[torch.rand(t, j, generator=g) < missing] = torch.nan
        c = torch.rand(t, j, generator=g) if confidence else None
        return Motion(p, skeleton, 50, confidence=c, name=f"a{i}")

    return Scene(tuple(actor(i) for i in range(actors)))


def raw(s: Scene) -> bytes:
    parts = [
        x.numpy().tobytes() for m in s.actors for x in (m.positions, m.confidence) if x is not None
    ]
    return b"".join(parts)


def differs(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    "An independent account of which points differ: by their bytes, all NaN alike."
    u, v = (np.nan_to_num(x.numpy(), nan=1e30).view(np.int32) for x in (a, b))
    return (u != v).any(-1)


def check(before: Scene, made: Scene, masks):
    assert len(masks) == len(before.actors) == len(made.actors)
    for a, b, mask in zip(before.actors, made.actors, masks):
        assert mask.dtype == torch.bool and mask.shape == a.positions.shape[:2]
        assert np.array_equal(mask.numpy(), differs(a.positions, b.positions))
        assert not (mask & ~a.observed).any(), "a missing point was a target"
        assert torch.equal(b.positions.isnan().any(-1), b.positions.isnan().all(-1))
        assert (b.fps, b.skeleton, b.name) == (a.fps, a.skeleton, a.name)
        if a.confidence is not None:
            assert torch.equal(a.confidence[~mask], b.confidence[~mask])
            assert bool(((b.confidence >= 0) & (b.confidence <= 1)).all())


@pytest.mark.parametrize("name", CORRUPTIONS)
@given(
    seed=st.integers(0, 10_000), share=st.floats(0, 1), t=st.integers(1, 80), dims=st.sampled_from([2, 3]),
    missing=st.sampled_from([0.0, 0.2, 0.9]), confidence=st.booleans(), whole=st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_the_mask_is_exactly_what_changed(name, seed, share, t, dims, missing, confidence, whole):
    dims = 3 if name == "err_in_depth" else dims  # a picture has no depth
    f, before = CORRUPTIONS[name], scene(t, dims, 2, seed, missing, confidence)
    params = {SHARE.get(name, "rate"): share}
    if whole and "joints" in inspect.signature(f).parameters:
        params["joints"] = "all"
    if any(m.observed.any() and not body_length(m) > 0 for m in before.actors):
        return  # too little is seen to measure the body; that error has its own test
    made, masks = f(before, generator=seed, **params)
    check(before, made, masks)
    assert raw(made) == raw(
        f(before, generator=torch.Generator().manual_seed(seed), **params).scene
    )


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seeds_and_zero(name):
    f, before = CORRUPTIONS[name], scene(t=300)
    kept = raw(before)
    first, second = f(before, generator=1).scene, f(before, generator=2).scene
    assert raw(first) != raw(before) and raw(first) != raw(second)
    nothing = f(before, generator=1, **{SHARE.get(name, "rate"): 0.0})
    assert all(a is b for a, b in zip(nothing.scene.actors, before.actors))
    assert not any(m.any() for m in nothing.mask)
    assert raw(before) == kept, "the input was changed in place"


@pytest.mark.parametrize("rate", [0.0, 0.003, 0.02, 0.3, 0.75, 1.0])
@pytest.mark.parametrize("name", ["add_jumps", "add_jitter", "add_drift", "freeze", "dropout"])
def test_the_share_asked_for_is_the_share_changed(name, rate):
    before = scene(t=1000, missing=0.1)
    _, masks = CORRUPTIONS[name](before, rate=rate, generator=5)
    for m, mask in zip(before.actors, masks):
        want, got = round(rate * int(m.observed.sum())), int(mask.sum())
        # one frozen point a joint may have nothing before it to hold
        assert want - (len(BODY) if name == "freeze" else 0) <= got <= want


def test_shares_of_noise_drops_and_swaps():
    before = scene(t=4000, missing=0.0)
    for f, key in ((add_noise, "rate"), (drop_joints, "prob")):
        for mask in f(before, generator=0, **{key: 0.17}).mask:
            assert float(mask.float().mean()) == pytest.approx(0.17, abs=0.01)
    sides, _ = CORRUPTIONS["swap_sides"](before, rate=0.1, generator=0)[1]
    assert int(sides[:, [2, 4]].sum()) == round(0.1 * 4000 * 2) and not sides[:, [0, 1, 6, 7]].any()
    who = CORRUPTIONS["swap_actors"](before, rate=0.1, generator=0).mask
    assert [int(m.all(1).sum()) for m in who] == [400, 400] and torch.equal(*who)


@given(
    n=st.integers(1, 60), j=st.integers(1, 6), rate=st.floats(0, 1), low=st.integers(1, 20),
    more=st.integers(0, 20), seed=st.integers(0, 999), holes=st.floats(0, 1),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_events_are_exact_and_apart(n, j, rate, low, more, seed, holes):
    g = torch.Generator().manual_seed(seed)
    present = torch.rand(n, j, generator=g) >= holes
    e = draw_events(present, rate, low, low + more, g)
    assert int(e.on.sum()) == round(rate * int(present.sum()))
    assert not (e.on & ~present).any()
    length = torch.bincount(e.number[e.on])
    assert (length >= 1).all() and (length <= low + more).all()
    short = int((length < low).sum())  # only where the share leaves too little to spread
    assert short <= 1
    assert (e.phase[e.on] > 0).all() and (e.phase[e.on] < 1).all()
    assert (e.source <= torch.arange(n)[:, None])[e.on].all()
    assert present.gather(0, e.source)[e.on].all()


@pytest.mark.parametrize("seed", range(8))
def test_events_are_never_shorter_than_asked(seed):
    e = draw_events(
        torch.ones(240, 8, dtype=torch.bool), 0.2, 5, 20, torch.Generator().manual_seed(seed)
    )
    length = torch.bincount(e.number[e.on])
    assert int(length.min()) >= 5 and int(length.max()) <= 20 and float(length.float().std()) > 2
    one = draw_events(
        torch.ones(1920, 1, dtype=torch.bool), 0.6, 5, 20, torch.Generator().manual_seed(seed)
    )
    runs = (torch.diff(one.on.int(), dim=0, prepend=torch.zeros(1, 1, dtype=torch.int)) == 1).sum()
    assert int(runs) == int(one.number.max()) + 1, "two events touch"


def test_untouched_points_keep_even_the_sign_of_zero():
    p = torch.where(torch.rand(200, 8, 3) < 0.5, -0.0, torch.rand(200, 8, 3))
    before = Scene((Motion(p, BODY, 30),))
    for name in ("add_jumps", "add_noise", "add_drift", "freeze", "swap_sides"):
        made, (mask,) = CORRUPTIONS[name](before, rate=0.1, generator=0)
        assert mask.any() and not mask.all()
        assert made.actors[0].positions[~mask].numpy().tobytes() == p[~mask].numpy().tobytes()


def test_events_lie_anywhere():
    "Each frame is hit about equally often."
    g = torch.Generator().manual_seed(0)
    hits = (
        sum(
            draw_events(torch.ones(60, 4, dtype=torch.bool), 0.25, 3, 8, g).on.float().mean(1)
            for _ in range(2000)
        )
        / 2000
    )
    assert hits.min() > 0.2 and hits.max() < 0.3


@given(
    t=st.integers(1, 300), frac=st.floats(0, 1), span=st.integers(1, 40), seed=st.integers(0, 99)
)
@settings(max_examples=60, deadline=None)
def test_frame_spans_hide_exactly_the_share(t, frac, span, seed):
    (mask,) = drop_frames(
        scene(t, actors=1, missing=0.0), frac=frac, span=span, generator=seed
    ).mask
    assert int(mask.all(1).sum()) == int(mask.any(1).sum()) == round(frac * t)
    if 2 * frac * t < t - t / span and frac * t >= span:
        runs = np.diff(np.flatnonzero(np.diff(np.r_[0, mask[:, 0].int(), 0])))[::2]
        assert runs.max() <= span


def test_hidden_joints_have_one_gap_each():
    before = scene(t=60, actors=1, missing=0.0)
    (mask,) = hide_joints(before, frac_joints=0.5, min_len=10, max_len=30, generator=3).mask
    gaps = mask.sum(0)
    assert int((gaps > 0).sum()) == 4
    starts = (torch.diff(mask.int(), dim=0, prepend=torch.zeros(1, 8, dtype=torch.int)) == 1).sum(0)
    assert bool((starts <= 1).all()) and bool(((gaps >= 10) & (gaps <= 30))[gaps > 0].all())


def test_a_freeze_of_a_still_point_is_no_change():
    p = torch.rand(100, 8, 3)
    p[:, :4] = p[:1, :4]
    (mask,) = freeze(Scene((Motion(p, BODY, 30),)), rate=0.9, generator=0).mask
    assert not mask[:, :4].any() and mask[:, 4:].float().mean() > 0.8


def test_a_whole_body_freeze_holds_the_frame_before():
    before = scene(t=100, actors=1, missing=0.0)
    made, (mask,) = freeze(before, rate=0.2, joints="all", generator=1)
    p, q = before.actors[0].positions, made.actors[0].positions
    start = int(mask.any(1).nonzero()[0])
    assert start > 0 and torch.equal(q[start], p[start - 1])
    assert int(mask.all(1).sum()) == 20


def test_drift_without_return_stays_through_holes():
    before = scene(t=400, actors=1, missing=0.3)
    made, (mask,) = add_drift(
        before,
        rate=0.1,
        size=0.5,
        unit="m",
        back=False,
        min_len=40,
        max_len=40,
        joints="all",
        generator=0,
    )
    p, q = before.actors[0].positions, made.actors[0].positions
    seen = before.actors[0].observed
    shift = (q - p).norm(dim=-1)
    last = int(mask.any(1).nonzero()[0]) + 45
    assert mask[last:][seen[last:]].all()
    assert shift[last:][seen[last:]].numpy() == pytest.approx(0.5, abs=2e-3)


def test_noise_is_in_centimetres_of_a_body_of_170():
    before = scene(t=3000, actors=1, missing=0.0)
    m = before.actors[0]
    for height in (1.7, 0.85):
        noisy = add_noise(before, std_cm=2.0, height=height, generator=0).scene.actors[0]
        assert float((noisy.positions - m.positions).std()) == pytest.approx(
            0.02 * height / 1.7, rel=0.01
        )
    stated = Scene((m.replace(meta={"height": 3.4}),))
    noisy = add_noise(stated, std_cm=2.0).scene.actors[0]
    assert float((noisy.positions - m.positions).std()) == pytest.approx(0.04, rel=0.01)
    assert "height" not in add_noise(before, height=1.7).scene.actors[0].meta
    flat = scene(t=3000, dims=2, actors=1, missing=0.0)
    noisy = add_noise(flat, std_px=3).scene.actors[0]
    assert float((noisy.positions - flat.actors[0].positions).std()) == pytest.approx(3, rel=0.01)


def test_sizes_scale_with_the_recording():
    "Everything ten times as large breaks ten times as far, at the same points."
    before = scene(missing=0.05)
    large = before.map(lambda m: m.replace(positions=m.positions * 8))
    for name in ("add_noise", "add_jumps", "add_jitter", "add_drift", "dropout"):
        a, b = (CORRUPTIONS[name](s, generator=3) for s in (before, large))
        for m, k, mask, other in zip(a.scene.actors, b.scene.actors, a.mask, b.mask):
            assert torch.equal(mask, other)
            ok = m.observed
            assert torch.allclose(8 * m.positions[ok], k.positions[ok], rtol=1e-4, atol=1e-4), name


ODD = {
    "one frame": scene(t=1, missing=0.0),
    "constant": Scene((Motion(torch.rand(1, 8, 3).repeat(50, 1, 1), BODY, 30),) * 2),
    "all missing": scene(t=30, missing=1.1),
    "one joint missing": scene(t=30).map(
        lambda m: m.replace(positions=m.positions.index_fill(1, torch.tensor([2]), torch.nan))
    ),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_odd_recordings(name, odd):
    check(ODD[odd], *CORRUPTIONS[name](ODD[odd], generator=0))


def test_one_point_has_no_size():
    point = Scene((Motion(torch.rand(20, 1, 2), Skeleton("p", ("p",)), 30),))
    with pytest.raises(ValueError, match="give sizes in px or m"):
        CORRUPTIONS["add_jumps"](point)
    check(point, *CORRUPTIONS["add_jumps"](point, size=5, unit="px", rate=0.5))
    check(point, *CORRUPTIONS["dropout"](point, rate=0.5))


def test_actors_of_another_kind_keep_their_names():
    "Unique body parts form an actor of their own and take no part in identity swaps."
    two = scene(t=100, dims=2, missing=0.0)
    other = Motion(torch.rand(100, 1, 2), Skeleton("corner", ("corner",)), 50)
    made, masks = CORRUPTIONS["swap_actors"](
        Scene((two.actors[0], other, two.actors[1])), rate=0.5, generator=0
    )
    assert made.actors[1] is other and masks[0].any() and masks[2].any()
    with pytest.raises(ValueError, match="two actors with the same joints"):
        CORRUPTIONS["swap_actors"](Scene((two.actors[0], other)))


def test_nobody_swaps_with_an_absent_actor():
    three = scene(t=100, actors=3, missing=0.0)
    gone = three.actors[2].replace(
        positions=three.actors[2].positions.index_fill(0, torch.arange(50), torch.nan)
    )
    made, masks = CORRUPTIONS["swap_actors"](
        three.replace(actors=(*three.actors[:2], gone)), rate=1.0, generator=0
    )
    assert all(
        torch.equal(a.observed, b.observed) for a, b in zip(made.actors, (*three.actors[:2], gone))
    )
    assert masks[2][50:].any() and not masks[2][:50].any()


@pytest.mark.parametrize("plan", PLANS)
def test_plans(plan):
    before = scene(t=400)
    made, masks = corrupt(before, PLANS[plan], generator=0)
    check(before, made, masks)
    assert raw(made) == raw(corrupt(before, PLANS[plan], generator=0).scene)
    assert raw(made) != raw(corrupt(before, PLANS[plan], generator=1).scene)


def test_a_plan_adds_up_and_knows_what_came_back():
    before = scene(t=400, missing=0.0)
    g = torch.Generator().manual_seed(7)
    one = CORRUPTIONS["add_jumps"](before, rate=0.05, generator=g)
    two = CORRUPTIONS["dropout"](one.scene, rate=0.05, generator=g)
    both = corrupt(before, {"add_jumps": {"rate": 0.05}, "dropout": {"rate": 0.05}}, generator=7)
    assert raw(both.scene) == raw(two.scene)
    assert all(torch.equal(m, a | b) for m, a, b in zip(both.mask, one.mask, two.mask))
    there = {"swap_sides": {"rate": 1.0, "joints": "all"}}
    made = CORRUPTIONS["swap_sides"](corrupt(before, there).scene, rate=1.0, joints="all").scene
    assert raw(made) == raw(before)
    assert corrupt(before, {}).scene is before


@pytest.mark.parametrize(
    "name, params, says",
    [
        ("freeze", {"rate": -0.1}, "rate to be a share"),
        ("freeze", {"rate": float("nan")}, "rate to be a share"),
        ("freeze", {"min_len": 0}, "1 <= min_len"),
        ("add_jumps", {"max_len": 2.5}, "whole numbers of frames"),
        ("add_jumps", {"size": float("inf")}, "size of 0 or more"),
        ("add_jumps", {"unit": "cm"}, "one of body, m, px"),
        ("add_jumps", {"unit": "px"}, "is 3-D"),
        ("add_noise", {"std_px": 2}, "is 3-D"),
        ("add_noise", {"std_cm": -2}, "size of 0 or more"),
        ("drop_frames", {"span": 0}, "1 <= min_len"),
        ("hide_joints", {"frac_joints": 2}, "share from 0 to 1"),
        ("dropout", {"likelihood": "none"}, "low, high, missing"),
        ("swap_sides", {"joints": "some"}, "each, all"),
        ("add_drift", {"generator": True}, "whole number as seed"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(name, params, says):
    with pytest.raises(ValueError, match=says):
        CORRUPTIONS[name](scene(t=20), **params)


def test_bad_plans_are_named():
    with pytest.raises(ValueError, match="no corruption is called 'melt'"):
        corrupt(scene(t=20), {"melt": {}})
    with pytest.raises(ValueError, match="has no parameter 'speed'"):
        corrupt(scene(t=20), {"freeze": {"speed": 2}})


@pytest.mark.skipif(not REAL_TRC, reason="no real recordings: set MOTIONBOOK_REAL_DATA")
def test_on_a_real_recording():
    before = read(REAL_TRC[0])
    for name in CORRUPTIONS:
        if name != "swap_actors":
            check(before, *CORRUPTIONS[name](before, generator=0))


# -- mixtures with labels, and files -------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000), t=st.integers(2, 90), dims=st.sampled_from([2, 3]), actors=st.integers(1, 3),
    missing=st.sampled_from([0.0, 0.3]), confidence=st.booleans(), mode=st.sampled_from(["train", "test"]),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_labels_of_a_mixture_are_exact(seed, t, dims, actors, missing, confidence, mode):
    before = scene(t, dims, actors, seed, missing, confidence)
    if any(not body_length(m) > 0 for m in before.actors):
        return
    made, label, kind = corrupt_tracks(before, mode=mode, generator=seed)
    check(before, made, label)
    assert all(torch.equal(on, k > 0) for on, k in zip(label, kind))
    assert int(max(k.max() for k in kind)) <= len(KINDS)
    assert raw(made) == raw(corrupt_tracks(before, mode=mode, generator=seed).scene)


def test_every_kind_leaves_its_own_mark():
    before = scene(t=900, dims=3, missing=0.0, skeleton=BODY)
    for number, name in enumerate(KINDS, 1):
        made, label, kind = corrupt_tracks(before, mode="test", kinds=[name], told=0.0, generator=1)
        assert {int(k) for x in kind for k in x.unique()} == {0, number}, name
        for a, b, on in zip(before.actors, made.actors, label):
            gone = not b.observed[on].any()
            low = bool((b.confidence[on] < 0.6).all())
            same = torch.equal(a.confidence[on], b.confidence[on])
            assert gone == (name == "gap"), name
            assert low == (name in ("gap", "likelihood drop")), name
            if KINDS[name].quiet and name != "tracking failure":
                assert same, name


def test_gaps_are_those_of_the_recording():
    before = scene(t=2000, dims=2, actors=1, missing=0.0, confidence=False).actors[0]
    gone = torch.zeros(before.observed.shape, dtype=torch.bool)
    for k in range(20):
        gone[20 + 90 * k : 27 + 90 * k, [1, 4]] = True
    holed = before.replace(positions=before.positions.masked_fill(gone[..., None], torch.nan))
    gaps = find_gaps(holed)
    assert gaps.events == 20 and gaps.length.tolist() == [7] * 40
    (mask,) = hide_like_own(Scene((before,)), rate=0.05, like=(gaps,), generator=0).mask
    assert mask.any(0).nonzero().flatten().tolist() == [1, 4]
    assert torch.equal(mask[:, 1], mask[:, 4])
    assert 0.05 <= mask.float().mean() <= 0.05 + 14 / mask.numel()
    assert list_runs(mask[:, 1:2]).start.diff().min() > 0
    assert min((list_runs(mask).stop - list_runs(mask).start).tolist()) >= 7


SOURCES = [
    "dlc/multi_animal/*.csv", "dlc/single_animal/*.csv", "dlc/**/*.h5", "sleap/*.slp", "sleap/*.h5", "trc/**/*.trc",
]  # fmt: skip


@pytest.mark.parametrize("path", [p for s in SOURCES for p in real_files(s)[:1]], ids=str)
def test_a_broken_file_differs_where_its_labels_say(path, tmp_path):
    if path.stat().st_size > 3_000_000:
        pytest.skip(f"{path.name} takes long to write")
    out = tmp_path / path.name
    corrupt_file(path, out, mode="test", seed=2)
    before, after = (torch.cat([m.positions for m in read(p).actors], 1) for p in (path, out))
    with np.load(labels_path(out)) as f:
        assert np.array_equal(f["label"], differs(before, after))
        assert np.array_equal(f["label"], f["kind"] > 0)
        assert f["true_positions"].tobytes() == before.numpy().tobytes()
        assert 0.01 < f["label"].mean() < 0.4
        assert f["points"].dtype.kind == "U" and len(f["points"]) == before.shape[1]
