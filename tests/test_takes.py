"A rest pose in the first frame and cuts between takes: said, left alone, and nothing is bent towards them."

import pytest
import torch

from motionbook.cleanup.clean import clean
from motionbook.core.motion import Scene
from motionbook.filters.cleaner import REASON
from motionbook.filters.takes import cut_motion, find_takes
from motionbook.formats.registry import read
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person


def points(m, positions):
    return Scene((m.replace(positions=positions),))


@pytest.fixture(scope="module")
def walk():
    return person("walk", seconds=4, fps=60, seed=3)


def changed(done):
    return done.changed()[0]


def test_a_lone_first_frame_is_left_alone_and_said(walk):
    x = walk.positions.clone()
    x[0] = 2 * x[0] + 1
    done = clean(points(walk, x))
    assert not changed(done).any()
    assert any("the first frame is a pose far from the next one" in n for n in done.notes)


def test_faults_after_a_rest_pose_are_still_mended(walk):
    x = walk.positions.clone()
    x[0] += 1
    x[100:103, 5] += 0.5
    done = clean(points(walk, x))
    assert changed(done)[100:103, 5].all() and changed(done).sum() == 3
    assert (done.scene.actors[0].positions - walk.positions)[100:103, 5].norm(dim=-1).max() < 0.05


def test_a_joint_that_jumps_in_the_first_frames_is_no_rest_pose(walk):
    x = walk.positions.clone()
    x[0, 5] += 1
    assert find_takes(points(walk, x)) == (0, [0])


def test_a_cut_is_no_outlier_and_no_gap_is_bridged_over_it(walk):
    x = walk.positions.clone()
    x[120:] += 2
    whole = clean(points(walk, x))
    assert not changed(whole).any() and any("cut at frame 120" in n for n in whole.notes)
    x[115:120, 7] = torch.nan
    filled = clean(points(walk, x)).scene.actors[0].positions[115:120, 7]
    assert (filled - walk.positions[115:120, 7]).norm(dim=-1).max() < 0.3


def test_a_body_that_comes_back_is_still_a_fault(walk):
    x = walk.positions.clone()
    x[100:110] += 2
    done = clean(points(walk, x))
    assert changed(done)[100:110].all() and not changed(done)[:95].any()


def test_animals_that_trade_tracks_are_not_cut():
    a, b = (mouse(seconds=10, seed=s).actors[0] for s in (1, 2))
    x, y = a.positions, b.positions + 300
    traded = [torch.cat([p[:150], q[150:200], p[200:]]) for p, q in ((x, y), (y, x))]
    done = clean(Scene(tuple(m.replace(positions=p) for m, p in zip((a, b), traded))))
    assert not any("cut at" in n for n in done.notes)
    assert done.counts() == {"swap": 50 * 16}
    assert all(torch.equal(m.positions, p) for m, p in zip(done.scene.actors, (x, y)))


@pytest.mark.parametrize("name", ["salsa_01", "martial_03"])
def test_real_rest_poses(real_data, name):
    m = read(real_data / f"bvh/samples/{name}.bvh").actors[0]
    done = clean(Scene((cut_motion(m, 0, 300),)))
    assert not changed(done)[:6].any()
    assert any("the first frame is a pose" in n for n in done.notes)
    assert not (done.reason[0][:6] == REASON["jump"]).any()
