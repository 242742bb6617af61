"The movement prior against the textbook, and what must hold whatever is hidden."

import pickle

import pytest
import torch

from motionbook.models.corrector.body import learn_movement
from motionbook.models.corrector.network import BiLSTMConfig, SkeletonCorrector, correct
from motionbook.models.corrector.prior import (
    EXACT,
    PriorFiller,
    learned_prior,
    main_patterns,
    prior_covariance,
    smoothed_by_patterns,
)
from motionbook.synthetic.people import person

FRAMES = 16


@pytest.fixture(scope="module")
def track():
    x = person("walk", seconds=20, fps=30).positions
    return ((x - x.mean(1, keepdim=True))[:, :10] / 1.7).double()


@pytest.fixture(scope="module")
def walk(track):
    return track.unfold(0, FRAMES, 2).movedim(-1, 1)


@pytest.fixture(scope="module")
def prior(walk):
    return learned_prior(walk[:200], 20)


def textbook(prior, x, known, joints, noise):
    "The mean of a Gaussian process over some joints, entry by entry."
    cov = prior_covariance(prior, torch.tensor(joints))
    seen = known[:, joints][..., None].expand(-1, -1, 3).flatten()
    inner = cov[seen][:, seen] + noise**2 * torch.eye(int(seen.sum()), dtype=cov.dtype)
    return (cov[:, seen] @ torch.linalg.solve(inner, x[:, joints].flatten()[seen])).view(
        len(x), len(joints), 3
    )


def filled(prior, x, known, noisy=False, noise=0.0):
    given = x.masked_fill(~known[..., None], torch.nan)[None]
    level, flag = torch.full((1,), noise), torch.tensor([noisy])
    start = x * known.any(0)[:, None]
    return PriorFiller(prior)(given, known[None], start[None], level, flag)[0]


def some_hidden(walk, seed=0):
    g = torch.Generator().manual_seed(seed)
    known = torch.rand(FRAMES, walk.shape[2], generator=g) > 0.4
    known[5:9] = False
    return known


def centre(prior, x):
    return (x - prior.mean.double()).mean((0, 1)) + prior.mean.double()


def test_hidden_points_follow_the_textbook(prior, walk):
    x, known = walk[230], some_hidden(walk)
    at = centre(prior, x)
    want = textbook(prior, x - at, known, list(range(10)), EXACT) + at
    got = filled(prior, x, known)
    assert torch.allclose(got[known], x[known], atol=1e-12)
    assert (got - want)[~known].abs().max() < 1e-6


def test_noisy_points_follow_the_textbook(prior, walk):
    x, known = walk[230], some_hidden(walk)
    at = centre(prior, x)
    want = textbook(prior, x - at, known, list(range(10)), 0.02) + at
    got = filled(prior, x, known, True, 0.02)
    assert (got - want).abs().max() < 1e-4


def test_a_joint_that_is_never_seen_is_as_if_it_did_not_exist(prior, walk):
    x, known = walk[230], some_hidden(walk)
    known[:, 4] = False
    rest = [0, 1, 2, 3, 5, 6, 7, 8, 9]
    at = (x - prior.mean.double())[:, rest].mean((0, 1)) + prior.mean.double()
    want = textbook(prior, x - at, known, rest, EXACT) + at[rest]
    got = filled(prior, x, known)
    hidden = ~known[:, rest]
    assert got[:, 4].abs().max() == 0
    assert (got[:, rest] - want)[hidden].abs().max() < 1e-6


def test_a_set_of_joints_changes_nothing_but_the_work(prior, walk):
    x, known = walk[230], some_hidden(walk)
    known[:, 4] = False
    given = x.masked_fill(~known[..., None], torch.nan)[None]
    start, none = (x * known.any(0)[:, None])[None], torch.zeros(1)
    one, other = PriorFiller(prior), PriorFiller(prior)
    other.expect([(0, 1, 2, 3, 5, 6, 7, 8, 9)])
    a, b = (f(given, known[None], start, none, none > 1) for f in (one, other))
    assert {len(k) for k in other.inverses} == {9} and {len(k) for k in one.inverses} == {10}
    assert (a - b).abs().max() < 1e-7


def test_hidden_values_do_not_matter(prior, walk):
    x, known = walk[230], some_hidden(walk)
    other = torch.where(known[..., None], x, 7.0)
    start, none = x[None], torch.zeros(1)
    f = PriorFiller(prior)
    a, b = (f(v[None], known[None], start, none, none > 1) for v in (x, other))
    assert torch.equal(a, b)


@pytest.mark.parametrize("length", [9, FRAMES, 23, 70])
def test_any_length(prior, track, length):
    x = track[450 : 450 + length]
    known = torch.ones(length, 10, dtype=torch.bool)
    known[3:6, 2:5] = False
    y = filled(prior, x, known)
    assert y.shape == x.shape and y.isfinite().all()
    assert torch.allclose(y[known], x[known], atol=1e-9)
    assert (y - x)[~known].norm(dim=-1).max() < 0.05


def test_people_who_lack_joints_are_learned_from_too(walk):
    some = walk[:200].clone()
    some[::2, :, 3] = torch.nan
    p = learned_prior(some, 20)
    known = torch.ones(FRAMES, 10, dtype=torch.bool)
    known[4:12, 3] = False
    err = (filled(p, walk[230], known) - walk[230])[~known].norm(dim=-1).mean()
    assert err < 0.01


def test_nothing_to_learn_from_is_said(walk):
    with pytest.raises(ValueError, match="windows without gaps"):
        learned_prior(walk[:3] * torch.nan)


def test_main_patterns_are_the_largest():
    g = torch.Generator().manual_seed(0)
    a = torch.randn(60, 60, generator=g).double()
    cov = a @ torch.diag(0.7 ** torch.arange(60).double()) @ a.T
    found = main_patterns(lambda q: cov @ q, 60, 5)
    values = torch.linalg.eigvalsh(cov).flip(0)[:5]
    assert torch.allclose(found.square().sum(0), values, rtol=1e-6)
    whole = main_patterns(lambda q: cov @ q, 60, 60)
    assert torch.allclose(whole @ whole.T, cov, atol=1e-9)


def test_no_patterns_no_change():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 30, generator=g).double()
    known = torch.zeros(2, 30, dtype=torch.bool)
    basis = torch.eye(30).double()
    y = smoothed_by_patterns(basis, torch.zeros(30), x, known, torch.ones(2))
    assert y.abs().max() == 0


def test_work_is_not_pickled(prior, walk):
    f = PriorFiller(prior)
    known = some_hidden(walk)[None]
    f(walk[230][None], known, walk[230][None], torch.zeros(1), torch.tensor([False]))
    again = pickle.loads(pickle.dumps(f))
    assert f.inverses and not again.inverses and again.sets == f.sets


def test_a_corrector_learns_and_keeps_it(tmp_path):
    m = person("walk", seconds=30, fps=30)
    windows = m.positions.unfold(0, 20, 4).movedim(-1, 1)
    settings = BiLSTMConfig(hidden=4, layers=1, width=8, prior_frames=20, prior_rank=30)
    model = SkeletonCorrector(m.skeleton, settings)
    assert model.filler is None
    x = windows[200].clone()
    x[6:14] = torch.nan
    cm = lambda y: float((y.positions - windows[200]).norm(dim=-1)[6:14].mean())
    before = cm(correct(model, x))
    after = correct(learn_movement(model, windows[:190]), x)
    assert cm(after) < 0.5 * before
    model.save_pretrained(tmp_path)
    again = correct(SkeletonCorrector.from_pretrained(tmp_path), x)
    assert torch.equal(again.positions, after.positions)


@pytest.mark.parametrize("settings", [{"prior_frames": 0}, {"form": "direct"}])
def test_a_corrector_without_one(settings):
    m = person("walk", seconds=4, fps=30)
    model = SkeletonCorrector(m.skeleton, BiLSTMConfig(hidden=4, layers=1, width=8, **settings))
    learn_movement(model, m.positions.unfold(0, 60, 10).movedim(-1, 1))
    assert model.filler is None and model.prior_times.numel() == 0


def test_too_many_joints_get_shorter_windows_or_none():
    places = lambda k: SkeletonCorrector(
        person("walk", seconds=1, fps=30).skeleton,
        BiLSTMConfig(hidden=2, layers=1, width=4, kmax=k),
    ).prior_times.shape[1]
    assert places(25) == 60 and places(60) == 25 and places(150) == 0
