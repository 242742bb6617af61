"What cleaning does to real recordings that are mostly right: hardly anything, and never nothing where points are bad."

import pytest
import torch

from motionbook import Scene, clean, read
from motionbook.filters.outliers import frozen
from motionbook.filters.paths import best_detector, gate_pays


pytestmark = pytest.mark.usefixtures("one_thread")


def start(motion, frames):
    "The first frames of a motion."
    conf = None if motion.confidence is None else motion.confidence[:frames]
    return motion.replace(positions=motion.positions[:frames], rotations=None, confidence=conf)


def changed(done):
    "[t j] of the first actor: observed points that have another value now."
    new, old = done.scene.actors[0].positions, done.original.actors[0]
    return (new != old.positions).any(-1) & old.observed


def test_scores_that_know_nothing_cost_no_good_points(real_data):
    for fly in read(real_data / "sleap/predictions.slp").actors:
        low = fly.observed & (fly.confidence < 0.6)
        assert low.sum() > 0.1 * fly.observed.sum()
        assert not gate_pays(fly)
        wrong = best_detector(fly)[0](fly).reason > 0
        sure = fly.observed & (fly.confidence > 0.9)
        assert wrong[sure].float().mean() < 0.01 and wrong[low].float().mean() < 0.1


def test_a_maze_keeps_its_likely_points(real_data):
    scene = read(next((real_data / "dlc/epm").glob("*.csv")))
    done = clean(scene)
    likely = scene.actors[0].confidence >= 0.9
    assert (changed(done) & likely).sum() <= 1000  # of 18,980
    assert changed(done)[scene.actors[0].confidence < 0.6].float().mean() > 0.9


def test_halved_likelihoods_do_not_hide_the_faults(real_data):
    m = start(read(next((real_data / "dlc/openfield").glob("*.csv"))).actors[0], 1500)
    half = m.replace(confidence=m.confidence / 2)  # now every point is below 0.6
    assert (half.confidence < 0.6).all()
    usual, done = (clean(Scene((x,))) for x in (m, half))
    n = lambda d: sum(d.counts().values())
    assert 0.3 * n(usual) < n(done) < 2 * n(usual), (usual.counts(), done.counts())


def test_nothing_that_moves_is_frozen(real_data):
    paths = [p for g in ("bvh/samples/*.bvh", "asf_amc/*.bvh", "trc/*.trc") for p in sorted(real_data.glob(g))]  # fmt: skip
    assert len(paths) > 10
    for path in [*paths, real_data / "sleap/predictions.slp"]:
        for m in read(path).actors:
            assert not (frozen()(start(m, 2000)).reason > 0).any(), path.name
