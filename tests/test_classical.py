"Properties of the fillers: interpolators, smoothers, Kalman, coupled, low rank, and the choice among them."

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline, PchipInterpolator

from motionbook.filters.fill.classical import (
    NINE_OF_TEN,
    butterworth,
    cubic,
    hold,
    known_points,
    linear,
    median,
    noise_floor,
    pchip,
    savgol,
)
from motionbook.filters.fill.coupled import coupled
from motionbook.filters.fill.donors import donor, rigid
from motionbook.filters.fill.kalman import motion_model, rts, rts_batched, rts_textbook
from motionbook.filters.fill.loess import loess
from motionbook.filters.fill.lowrank import (
    PoseSpace,
    best_filler,
    by_kind,
    gap_kind,
    low_rank,
    pca_prior,
)
from motionbook.filters.fill.one_euro import one_euro
from motionbook.filters.fill.penalised import gcv_spline, whittaker
from motionbook.synthetic.people import person

NAN = float("nan")
INTERPOLATORS = {"hold": hold(), "linear": linear(), "pchip": pchip(), "cubic": cubic()}
SMOOTHERS = {
    "median": median(),
    "savgol": savgol(),
    "butterworth": butterworth(),
    "loess": loess(),
    "whittaker": whittaker(),
    "gcv spline": gcv_spline(),
}
NEIGHBOURS = {"donor": donor(), "rigid": rigid()}
MODELS = {
    "rts": rts(),
    "rts velocity": rts("velocity"),
    "coupled": coupled(),
    "low rank": low_rank(),
    "pca": pca_prior(),
}
ALL = INTERPOLATORS | SMOOTHERS | NEIGHBOURS | MODELS | {"one euro": one_euro()}
PER_JOINT = [*INTERPOLATORS, *SMOOTHERS]
TURNABLE = ["hold", "linear", "cubic", "savgol", "butterworth", "rts", "coupled", "low rank", "pca"]
TURNABLE += ["loess", "whittaker", "gcv spline", "one euro"]
STRAIGHT = ["linear", "pchip", "cubic", "rts", "rts velocity", "coupled"]
STRAIGHT += ["loess", "whittaker", "gcv spline", *NEIGHBOURS]


@pytest.fixture(scope="module")
def walk():
    "A real-looking recording with gaps of its own in every joint: truth, gappy, hidden."
    truth = person("walk", seconds=3, fps=60, seed=5).positions
    g = torch.Generator().manual_seed(1)
    hidden = torch.zeros(truth.shape[:2], dtype=torch.bool)
    for j in range(truth.shape[1]):
        for s in torch.randint(5, 150, (2,), generator=g).tolist():
            hidden[s : s + int(torch.randint(3, 25, (1,), generator=g)), j] = True
    return truth, truth.masked_fill(hidden[..., None], NAN), hidden


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    t=st.integers(2, 60),
    j=st.integers(1, 6),
    share=st.floats(0.05, 0.95),
)
def test_interpolators_agree_with_scipy(seed, t, j, share):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(t, j, 2, generator=g)
    known = torch.rand(t, j, generator=g) < share
    known[torch.randint(t, (j,), generator=g), torch.arange(j)] = True
    given_ = x.masked_fill(~known[..., None], NAN)
    found = {n: f(given_, 30.0).positions for n, f in INTERPOLATORS.items()}
    for i in range(j):
        k = np.flatnonzero(known[:, i])
        y, at = x[k, i].numpy().astype(float), np.arange(t).clip(k[0], k[-1])
        wanted = {"linear": np.stack([np.interp(at, k, y[:, c]) for c in range(2)], 1)}
        if len(k) > 1:
            wanted["pchip"] = PchipInterpolator(k, y)(at)
            wanted["cubic"] = CubicSpline(k, y, bc_type="natural")(at)
        else:
            wanted |= {"pchip": wanted["linear"], "cubic": wanted["linear"]}
        before = k[(np.searchsorted(k, np.arange(t), side="right") - 1).clip(0)]
        wanted["hold"] = x[before, i].numpy()
        for n, w in wanted.items():
            np.testing.assert_allclose(found[n][:, i], w, atol=2e-5, err_msg=n)


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_lines_cross_gaps(name):
    speed = torch.tensor([0.01, -0.02, 0.03])
    x = torch.arange(80.0)[:, None, None] * speed + torch.tensor([1.0, 2.0, -3.0])
    x = x.expand(80, 5, 3).clone()
    cut = x.clone()
    cut[30:50, 1], cut[60:64, 2], cut[10:15] = NAN, NAN, NAN
    torch.testing.assert_close(ALL[name](cut, 60.0).positions, x, atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_moving_and_scaling(name, walk):
    _, x, _ = walk
    f = ALL[name](x, 60.0)
    g = ALL[name](x * 4 + torch.tensor([3.0, -1.0, 2.0]), 60.0)
    assert torch.allclose(g.positions, f.positions * 4 + torch.tensor([3.0, -1.0, 2.0]), atol=8e-3)
    assert (g.sigma / 4 - f.sigma).abs().mean() < 0.05 * f.sigma.mean() + 1e-6


@pytest.mark.parametrize("name", TURNABLE)
def test_turning(name, walk):
    _, x, _ = walk
    r = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    assert torch.allclose(
        ALL[name](x @ r, 60.0).positions, ALL[name](x, 60.0).positions @ r, atol=2e-3
    )


@pytest.mark.parametrize("name", PER_JOINT)
def test_joints_do_not_see_each_other(name, walk):
    _, x, _ = walk
    filler = butterworth(6.0) if name == "butterworth" else ALL[name]
    alone = torch.cat([filler(x[:, j : j + 1], 60.0).positions for j in range(4)], 1)
    torch.testing.assert_close(filler(x, 60.0).positions[:, :4], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_order_of_joints_does_not_matter(name, walk):
    _, x, _ = walk
    perm = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(3))
    a, b = ALL[name](x[:, perm], 60.0).positions, ALL[name](x, 60.0).positions[:, perm]
    assert torch.allclose(a, b, atol=2e-3)


@pytest.mark.parametrize("name", ALL)
def test_partly_missing_points_are_missing(name, walk):
    "A point with one coordinate gone is gone, and its other coordinates do not matter."
    _, x, hidden = walk
    other = x.clone()
    other[..., 0] = torch.where(hidden, 99.0, x[..., 0])
    torch.testing.assert_close(ALL[name](other, 60.0).positions, ALL[name](x, 60.0).positions)


@pytest.mark.parametrize("name", [*INTERPOLATORS, *NEIGHBOURS, "coupled"])
def test_known_points_stay(name, walk):
    truth, x, hidden = walk
    f = ALL[name](x, 60.0)
    assert torch.equal(f.positions[~hidden], truth[~hidden])
    assert torch.equal(ALL[name](truth, 60.0).positions, truth)
    assert f.positions.isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_absent_joints_are_named(name, walk):
    _, x, _ = walk
    lost = x.clone()
    lost[:, 2] = NAN
    f = ALL[name](lost, 60.0)
    assert f.positions[:, 2].isnan().all() and "joints [2]" in f.note
    assert f.positions[:, [0, 1, 3]].isfinite().all() and f.sigma.isfinite().all()
    assert ALL[name](torch.full((5, 3, 2), NAN), 30.0).positions.isnan().all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7])
def test_short_recordings(name, frames, walk):
    truth = walk[0][:frames]
    f = ALL[name](truth, 60.0)
    assert f.positions.shape == truth.shape and (f.positions - truth).abs().max() < 0.1
    cut = truth.clone()
    cut[-1, 0] = NAN
    assert ALL[name](cut, 60.0).positions[:, 1:].isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_still_recordings(name):
    x = torch.full((40, 4, 2), 7.0)
    x[10:20, 1] = NAN
    f = ALL[name](x, 30.0)
    torch.testing.assert_close(f.positions, torch.full((40, 4, 2), 7.0), atol=1e-4, rtol=0)
    assert f.sigma.isfinite().all()


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("hold", "one euro")])  # both hold on
def test_errors_are_foretold(name, walk):
    truth, x, hidden = walk
    f = ALL[name](x, 60.0)
    error = (f.positions - truth).square().mean(-1).sqrt()[hidden]
    said = f.sigma[hidden]
    rank = lambda v: v.argsort().argsort().float()
    assert (f.sigma >= 0).all()
    assert torch.corrcoef(torch.stack([rank(error), rank(said)]))[0, 1] > 0.2
    assert 0.45 < (error < said).float().mean() < 0.99


@pytest.mark.parametrize("name", [*SMOOTHERS, "rts", "coupled", "pca"])
def test_noise_is_removed_and_its_remainder_foretold(name, walk):
    truth = walk[0]
    noisy = truth + 0.02 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    f = ALL[name](noisy, 60.0)
    left = (f.positions - truth).square().mean().sqrt()
    assert left < 0.7 * 0.02
    assert 0.6 < f.sigma.mean() / left < 1.6
    assert abs(noise_floor(noisy.double()) / 0.02 - 1) < 0.15


@pytest.mark.parametrize("name", ALL)
def test_single_precision_is_enough(name, walk):
    _, x, _ = walk
    a, b = ALL[name](x, 60.0).positions, ALL[name](x.double(), 60.0).positions
    assert a.dtype == torch.float32 and b.dtype == torch.float64
    assert torch.allclose(a.double(), b, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), model=st.sampled_from(["velocity", "acceleration"]))
def test_rts_is_the_textbook(seed, model):
    rng = np.random.default_rng(seed)
    f, q = motion_model(model, keep=rng.uniform(0.3, 1))
    s, j = len(f), 5
    z, known = rng.normal(size=(40, j, 2)).cumsum(0), rng.random((40, j)) < 0.7
    known[:, 3:] = known[:, :1]
    ratio = np.where(np.arange(j) < 3, 10.0 ** rng.uniform(-3, 3, j), 1.0)
    mean, cov = rng.normal(size=(s, j, 2)), np.repeat(np.eye(s)[..., None] * 10, j, axis=2)
    fast, var = rts_batched(z, known, f, q, ratio, mean, cov)
    for i in range(j):
        y, v = rts_textbook(z[:, i], known[:, i], f, q * ratio[i], 1.0, mean[:, i], cov[..., i])
        np.testing.assert_allclose(fast[:, i], y, atol=1e-6)
        np.testing.assert_allclose(var[:, i], v, rtol=1e-5, atol=1e-8)


def test_rts_is_the_mean_of_the_gaussian():
    "Against the whole problem as one linear system."
    rng = np.random.default_rng(0)
    f, q = motion_model("velocity")
    t, r, p0 = 12, 0.5, 4.0
    z, known = rng.normal(size=(t, 1, 1)), rng.random((t, 1)) < 0.6
    steps = np.eye(2 * t) - np.kron(np.eye(t, k=-1), f)
    noise = np.kron(np.eye(t), q)
    noise[:2, :2] = np.eye(2) * p0
    prior = np.linalg.inv(steps) @ noise @ np.linalg.inv(steps).T
    h = np.kron(np.eye(t), [[1.0, 0.0]])[known[:, 0]]
    gain = prior @ h.T @ np.linalg.inv(h @ prior @ h.T + r * np.eye(len(h)))
    wanted = (gain @ z[known[:, 0], 0, 0])[::2]
    spread = np.diag(prior - gain @ h @ prior)[::2]
    cov = (np.eye(2) * p0 / r)[..., None]
    y, var = rts_batched(z, known, f, q / r, np.ones(1), np.zeros((2, 1, 1)), cov)
    np.testing.assert_allclose(y[:, 0, 0], wanted, atol=1e-9)
    np.testing.assert_allclose(var[:, 0] * r, spread, atol=1e-9)


def test_coupled_uses_the_other_joints(walk):
    "A joint that follows another is found in a gap from the other one."
    g = torch.Generator().manual_seed(0)
    lead = torch.randn(200, 1, 3, generator=g).cumsum(0).cumsum(0) * 1e-3
    x = torch.cat([lead, lead * 2 + 1, lead - 1], 1)
    cut = x.clone()
    cut[80:120, 1] = NAN
    error = lambda f: (f(cut, 60.0).positions - x)[80:120, 1].norm(dim=-1).mean()
    assert error(coupled()) < 0.35 * error(cubic())


def test_kinds_of_gaps_get_their_own_filler(walk):
    truth, x, hidden = walk
    kind = gap_kind(known_points(x), 60.0)
    assert ((kind >= 0) == hidden).all()
    k = int(kind[hidden].mode().values)
    mixed = by_kind(linear(), {k: cubic()})(x, 60.0).positions
    assert torch.equal(mixed[kind == k], cubic()(x, 60.0).positions[kind == k])
    rest = hidden & (kind != k)
    assert torch.equal(mixed[rest], linear()(x, 60.0).positions[rest])


def test_the_choice_is_near_the_best(walk):
    truth, x, hidden = walk
    error = lambda f: float((f(x, 60.0).positions - truth).norm(dim=-1)[hidden].mean())
    chosen, why = best_filler(x, 60.0)
    assert error(chosen) < 1.1 * min(error(f) for f in ALL.values()), why
    assert "hidden in trial" in why


def test_the_choice_on_awkward_recordings(walk):
    truth = walk[0]
    for x in (truth[:1], truth[:2], truth, truth * NAN, torch.zeros(30, 1, 2)):
        filler, why = best_filler(x, 60.0)
        assert why.startswith("linear") and filler(x, 60.0).positions.shape == x.shape
    short = truth[:10].clone()
    short[3:5, 0] = NAN
    assert "too little" in best_filler(short, 60.0)[1]
    assert best_filler(short[:, :2], 60.0)[1].startswith("pchip")


def test_pose_space_from_other_recordings(walk):
    truth, x, hidden = walk
    others = [person("walk", seconds=4, fps=60, seed=s) for s in (21, 22)]
    space = PoseSpace.learn(others)
    error = lambda f: float((f(x, 60.0).positions - truth).norm(dim=-1)[hidden].mean())
    assert error(pca_prior(space=space)) < error(rts())
    assert "no pose space" in pca_prior(space=space)(x[:, :3], 60.0).note


@pytest.mark.parametrize("bad", [torch.zeros(0, 3, 3), torch.zeros(5, 3)])
def test_wrong_shapes_are_refused(bad):
    for filler in ALL.values():
        with pytest.raises(ValueError, match="expected positions"):
            filler(bad, 30.0)


def test_wrong_settings_are_refused():
    for make, match in (
        (lambda: median(4), "odd window"),
        (lambda: butterworth(-1.0), "above 0 Hz"),
        (lambda: whittaker(0.0), "above 0 Hz"),
        (lambda: loess(0.0), "above 0 s"),
        (lambda: one_euro(beta=-1.0), "at least 0"),
        (lambda: rts("jerk"), "'velocity' or 'acceleration'"),
        (lambda: low_rank(0), "rank of at least 1"),
    ):
        with pytest.raises(ValueError, match=match):
            make()


def test_errors_are_told_by_the_movement_beside_a_hole():
    "Holes of one length, half of them at rest: the same band would be too wide there and too narrow elsewhere."
    g = torch.Generator().manual_seed(0)
    pace = torch.where(torch.arange(1200) % 400 < 200, 1e-4, 1e-2).double()[:, None, None]
    x = (torch.randn(1200, 6, 3, generator=g).double() * pace).cumsum(0)
    lost = torch.zeros(1200, 6, dtype=torch.bool)
    for j in range(6):
        for s in torch.randint(1190, (24,), generator=g).tolist():
            lost[s : s + 6, j] = True
    made = linear()(x.masked_fill(lost[..., None], NAN), 60.0)
    rests = lost & (pace[..., 0] < 1e-3)
    assert made.sigma[lost & ~rests].median() > 5 * made.sigma[rests].median()
    inside = ((made.positions - x).norm(dim=-1) <= NINE_OF_TEN[3] * made.sigma).double()
    assert 0.85 < inside[lost & ~rests].mean() < 0.95 and inside[rests].mean() > 0.85
