"A verdict needs evidence: each rule alone, and hardly a verdict that depends on what lies far away."

import pytest
import torch

from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.filters.auto import clean
from motionbook.filters.cleaner import NUMBERS, REASON
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.filters.detect.evidence import confirmed, find_evidence, how_sure, overlooked
from motionbook.filters.detect.paths import best_detector, path_gate
from motionbook.filters.takes import cut_motion
from motionbook.synthetic.animals import mouse

pytestmark = pytest.mark.usefixtures("one_thread")
FPS, J = 30.0, 2
PLAN = {
    "add_jumps": dict(rate=0.01, size=0.6),
    "dropout": dict(rate=0.01, likelihood="high", min_len=3, max_len=20),
}


@pytest.fixture(scope="module")
def animal():
    return mouse(seconds=20, seed=11).actors[0]


@pytest.fixture(scope="module")
def broken(animal):
    return corrupt(Scene((animal,)), PLAN, generator=3).scene.actors[0]


def moved(m: Motion, frames: slice, by: float) -> tuple[torch.Tensor, torch.Tensor]:
    "Positions with one joint elsewhere, and where."
    x, at = m.positions.clone(), torch.zeros(m.positions.shape[:2], dtype=torch.bool)
    x[frames, J] += by
    at[frames, J] = True
    return x, at


def test_a_leap_away_and_back_is_evidence_and_a_small_one_is_none(animal):
    for by, proven in ((80.0, True), (0.3, False)):
        x, at = moved(animal, slice(100, 103), by)
        assert bool(confirmed(x, at, FPS)[at].all()) == proven, by


def test_a_long_stand_needs_more_than_a_leap(animal):
    x, at = moved(animal, slice(100, 140), 10.0)
    e = find_evidence(x, at)
    assert not e.doubted.any() and not confirmed(x, at, FPS).any()
    x, at = moved(animal, slice(100, 140), 200.0)
    assert confirmed(x, at, FPS)[at].all()


def test_low_likelihood_convicts_only_with_another_sign(animal):
    x, at = moved(animal, slice(100, 130), 10.0)
    sure, low = torch.ones(at.shape), torch.ones(at.shape)
    low[at] = 0.2
    leaps = bool((find_evidence(x, at).leap[at] > 2).all())
    assert not confirmed(x, at, FPS, sure).any()
    assert bool(confirmed(x, at, FPS, low)[at].all()) == leaps
    still, at = animal.positions, at  # nothing but the likelihood speaks against these
    assert not confirmed(still, at, FPS, low).any()


def test_a_high_likelihood_speaks_for_a_point_where_likelihood_knows(animal):
    "One sign is enough against a point that the tracker doubts, two against one that it is sure of."
    x, at = moved(animal, slice(100, 102), 7.0)
    e = find_evidence(x, at)
    signs = sum(map(bool, (e.leap[100, J] > 2, e.line[100, J] > 3, e.doubted[100, J])))
    assert signs == 1, (e.leap[100, J], e.line[100, J], e.body[100, J])
    wrong = at.clone()
    wrong[300:340, 4] = True  # suspected and of low likelihood: likelihood predicts
    conf = torch.full(at.shape, 0.99)
    conf[300:340, 4] = 0.1
    assert confirmed(x, at, FPS)[at].all()
    assert not confirmed(x, wrong, FPS, conf)[at].any()
    conf = torch.full(at.shape, 0.99)  # the same for all: it says nothing
    assert confirmed(x, wrong, FPS, conf)[at].all()


def test_the_first_and_the_last_frame_are_judged(animal):
    for t in (0, len(animal) - 1):
        x, at = moved(animal, slice(t, t + 1), 80.0)
        assert torch.equal(overlooked(x, torch.zeros_like(at), FPS), at)


def test_numbers_and_certainty_go_with_every_jump(broken):
    found = path_gate()(broken)
    wrong = found.reason > 0
    assert found.numbers.shape == (*wrong.shape, len(NUMBERS))
    assert (found.numbers[wrong].amax(-1) > 0.5).all() and (found.numbers[~wrong] == 0).all()
    e = find_evidence(broken.positions, wrong, ends=True)
    assert torch.equal(found.score[wrong], how_sure(e)[wrong])
    done = clean(Scene((broken,)))
    jumps = done.reason[0] == REASON["jump"]
    assert jumps.any() and (done.numbers[0][jumps].amax(-1) > 0).float().mean() > 0.95


# what lies far away hardly counts


def verdicts(m: Motion) -> torch.Tensor:
    return best_detector(m)[0](m).reason > 0


def few(a: torch.Tensor, b: torch.Tensor) -> bool:
    "At most one verdict in ten differs: what is usual is learned from the whole recording."
    return int((a != b).sum()) <= int((a | b).sum()) / 10


def test_cutting_and_appending_hardly_change_a_verdict_elsewhere(broken):
    whole, cut, away = verdicts(broken), 400, 90
    assert whole.sum() > 50
    assert few(verdicts(cut_motion(broken, 0, cut))[: cut - away], whole[: cut - away])
    assert few(verdicts(cut_motion(broken, 200, 600))[away:], whole[200 + away :])


def test_a_good_marker_more_hardly_changes_a_verdict(broken):
    more = broken.positions[:, [0, 1]].mean(1, keepdim=True)
    s = Skeleton("more", (*broken.skeleton.joints, "added"))
    plain = Motion(broken.positions, Skeleton("plain", broken.skeleton.joints), broken.fps)
    rich = Motion(torch.cat([broken.positions, more], 1), s, broken.fps)
    assert few(verdicts(rich)[:, :-1], verdicts(plain))
