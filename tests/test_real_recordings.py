"What cleaning does to real recordings that are mostly right: hardly anything, and never nothing where points are bad."

import pytest

from motionbook import Scene, clean, read, write
from motionbook.cleanup.pipeline import clean_file
from motionbook.core.size import body_size, scenery
from motionbook.filters.corrupt.corruption import add_jumps
from motionbook.filters.detect.outliers import frozen
from motionbook.filters.detect.paths import best_detector, gate_pays

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
    assert (changed(done) & likely).sum() <= 1100  # of 18,980
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


@pytest.mark.parametrize(
    "name", ["dataset-1_kick_normal_001", "dataset-2_walk-turn-left_active_001"]
)
def test_a_table_that_nobody_edited_writes_the_same_rotations(real_data, tmp_path, name):
    broken, out, again = (tmp_path / f"{n}.bvh" for n in ("broken", "out", "again"))
    write(
        add_jumps(read(real_data / f"bvh/samples/{name}.bvh"), rate=0.01, generator=1).scene, broken
    )
    clean_file(broken, out)
    assert out.read_bytes() != broken.read_bytes()
    clean_file(broken, again, apply=f"{out}.corrections.csv")
    assert again.read_bytes() == out.read_bytes()


def test_the_corners_of_a_maze_and_a_root_at_the_origin_are_no_body(real_data):
    maze = read(next((real_data / "dlc/epm").glob("*.csv"))).actors[0]
    still = [maze.skeleton.joints[j] for j in scenery(maze.positions).nonzero()[:, 0].tolist()]
    assert still == list(maze.skeleton.joints[:12])  # six pairs of corners, then the mouse
    assert body_size(maze.positions) < 300 < 700 < body_size(maze.positions[:, :12])
    walk = read(real_data / "bvh/samples/dataset-1_walk_normal_001.bvh").actors[0]
    assert 1.5 < body_size(walk.positions) < 2.0
