"Detectors: planted mistakes on synthetic and real recordings, clean recordings, symmetries, odd input."

import h5py
import pytest
import torch

import motionbook
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.evaluation.repair_errors import detection_scores
from motionbook.filters.cleaner import REASON
from motionbook.filters.corrupt.corruption import (
    add_jumps,
    corrupt,
    freeze,
    swap_actors,
    swap_sides,
)
from motionbook.filters.detect.exchanges import swap_viterbi
from motionbook.filters.detect.outliers import (
    bone_gate,
    combine,
    frozen,
    hampel,
    innovation_gate,
    likelihood_gate,
)
from motionbook.filters.detect.paths import best_detector, gate_pays, path_gate
from motionbook.filters.detect.swaps import identity_swaps
from motionbook.formats.registry import read
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person

NAN = float("nan")
DETECTORS = dict(
    likelihood=likelihood_gate(),
    hampel=hampel(),
    innovation=innovation_gate(),
    bones=bone_gate(),
    frozen=frozen(),
    swaps=swap_viterbi(),
    paths=path_gate(),
    best=lambda m: best_detector(m)[0](m),
)
MIXED = {
    "add_jumps": dict(rate=0.02, size=0.5),
    "dropout": dict(rate=0.02, likelihood="high", min_len=3, max_len=40),
    "swap_sides": dict(rate=0.02, max_len=40),
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def animal():
    return mouse(seconds=20, seed=11)


@pytest.fixture(scope="module")
def broken(animal):
    return corrupt(animal, MIXED, generator=3)


def share(found):
    return float((found.reason > 0).float().mean())


def flags(detect, motion):
    return detect(motion).reason > 0


# planted mistakes


def test_best_on_a_mouse(animal, broken):
    found = DETECTORS["best"](broken.scene.actors[0])
    s = detection_scores(found.reason > 0, broken.mask[0])
    assert s["precision"] > 0.95 and s["recall"] > 0.7, s  # the missed ones lie a few pixels off
    back = (found.reason == REASON["swap"]) & broken.mask[0]
    assert back.sum() > 30
    same = (found.positions == animal.actors[0].positions).all(-1)
    assert same[back].float().mean() > 0.95


@pytest.mark.parametrize("action", ["walk", "dance", "sit"])
def test_best_on_people(action):
    scene = Scene((person(action, seconds=5, fps=60, seed=2),))
    bad, (mask,) = corrupt(scene, MIXED, generator=1)
    s = detection_scores(flags(DETECTORS["best"], bad.actors[0]), mask)
    assert s["precision"] > 0.85 and s["recall"] > 0.85, s


@pytest.mark.parametrize("length", [1, 3, 10, 30])
def test_paths_find_excursions_of_every_length(animal, length):
    bad, (mask,) = add_jumps(
        animal, rate=0.03, size=0.8, min_len=length, max_len=length, generator=5
    )
    s = detection_scores(flags(path_gate(), bad.actors[0]), mask)
    assert s["precision"] > 0.85 and s["recall"] > 0.88, s


def test_swaps(animal):
    bad, (mask,) = swap_sides(animal, rate=0.08, min_len=4, max_len=50, generator=2)
    s = detection_scores(flags(swap_viterbi(), bad.actors[0]), mask)
    assert s["f1"] > 0.97, s


def test_swaps_take_the_confidence_along(animal):
    bad, (mask,) = swap_sides(animal, rate=0.08, min_len=6, max_len=50, generator=2)
    found, truth = swap_viterbi()(bad.actors[0]), animal.actors[0]
    right = (found.reason > 0) & mask
    assert right.any()
    assert torch.equal(found.confidence[right], truth.confidence[right])


@pytest.mark.parametrize("animals", [2, 3])
def test_identities(animals):
    scene = mouse(seconds=15, seed=4, animals=animals)
    bad, masks = swap_actors(scene, rate=0.2, min_len=8, generator=1)
    for found, mask, truth in zip(identity_swaps(bad), masks, scene.actors):
        s = detection_scores(found.reason > 0, mask)
        assert s["f1"] > 0.95 or not mask.any(), s
        right = (found.reason > 0) & mask
        assert torch.equal(found.positions[right], truth.positions[right])
    assert all(share(f) == 0 for f in identity_swaps(scene))


def test_frozen_points():
    walk = Scene((person("walk", seconds=6, fps=60, seed=1),))
    bad, (mask,) = freeze(walk, rate=0.05, min_len=20, max_len=60, generator=2)
    s = detection_scores(flags(frozen(), bad.actors[0]), mask)
    assert s["precision"] > 0.95 and s["recall"] > 0.9, s


# clean recordings


@pytest.mark.parametrize("seed", range(4))
def test_clean_mouse(seed):
    m = mouse(seconds=20, seed=seed).actors[0]
    assert share(DETECTORS["best"](m)) < 0.002


@pytest.mark.parametrize("action", ["walk", "run", "jump", "wave", "sit", "turn", "dance"])
def test_clean_person(action):
    m = person(action, seconds=4, fps=60, seed=3)
    assert share(DETECTORS["best"](m)) < 0.003


def test_arena_corners_may_stand_still(animal):
    m = animal.actors[0]
    corners = torch.tensor([[0.0, 0], [640, 0], [0, 480], [640, 480]]).expand(len(m), 4, 2)
    shaky = corners + 0.2 * torch.randn(corners.shape, generator=torch.Generator().manual_seed(0))
    for four in (corners, shaky):
        s = Skeleton("arena", (*m.skeleton.joints, "tl", "tr", "bl", "br"))
        both = Motion(torch.cat([m.positions, four], 1), s, m.fps)
        for name, detect in DETECTORS.items():
            found = detect(both)
            assert not (found.reason[:, -4:] == REASON["frozen"]).any(), name
            assert (found.reason[:, -4:] > 0).float().mean() < 0.003, name


# symmetries


@pytest.mark.parametrize("name", DETECTORS)
def test_scale_and_place_do_not_matter(name, broken):
    m, detect = broken.scene.actors[0], DETECTORS[name]
    other = m.replace(positions=m.positions * 0.01 + 2)
    assert (flags(detect, m) == flags(detect, other)).float().mean() > 0.998


@pytest.mark.parametrize("name", [n for n in DETECTORS if n != "frozen"])
def test_time_may_run_backward(name, broken):
    m, detect = broken.scene.actors[0], DETECTORS[name]
    back = m.replace(positions=m.positions.flip(0), confidence=m.confidence.flip(0))
    assert (flags(detect, m) == flags(detect, back).flip(0)).float().mean() > 0.99


@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_under_a_missing_point_does_not_matter(name, broken):
    m, detect = broken.scene.actors[0], DETECTORS[name]
    gone = torch.rand(m.observed.shape, generator=torch.Generator().manual_seed(1)) < 0.1
    whole = m.positions.masked_fill(gone[..., None], NAN)
    half = m.positions.clone()
    half[..., 0] = half[..., 0].masked_fill(gone, NAN)  # the other coordinate is left behind
    a, b = (detect(m.replace(positions=x)) for x in (whole, half))
    assert torch.equal(a.reason, b.reason)
    if name != "swaps" and name != "best":
        assert not (a.reason[gone] > 0).any()


def test_order_of_joints_does_not_matter(broken):
    m = broken.scene.actors[0]
    order = torch.randperm(len(m.skeleton), generator=torch.Generator().manual_seed(0)).tolist()
    s = Skeleton("shuffled", tuple(m.skeleton.joints[i] for i in order))
    other = Motion(m.positions[:, order], s, m.fps, confidence=m.confidence[:, order])
    a, b = (flags(DETECTORS["best"], x) for x in (m, other))
    assert (a[:, order] == b).float().mean() > 0.998


# the parts


def test_gate_is_left_out_where_likelihood_says_nothing(animal):
    m = animal.actors[0]
    g = torch.Generator().manual_seed(0)
    noise = m.replace(confidence=torch.rand(m.observed.shape, generator=g))
    assert not gate_pays(noise)
    assert "weighed" in best_detector(noise)[1]
    assert share(DETECTORS["best"](noise)) < 0.01


def test_gate_is_used_where_likelihood_knows(animal):
    bad, _ = corrupt(
        animal, {"dropout": dict(rate=0.35, likelihood="low", min_len=3, max_len=10)}, generator=1
    )
    assert gate_pays(bad.actors[0])
    assert "left out" in best_detector(bad.actors[0])[1]


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_wild_points_are_left_out_though_most_unlikely_ones_are_right(animal, share):
    m, g = animal.actors[0], torch.Generator().manual_seed(0)
    draw = lambda s: torch.rand(m.observed.shape, generator=g) < s
    doubted, wild = draw(0.15), draw(share)
    conf = torch.full(m.observed.shape, 0.99).masked_fill(doubted, 0.3).masked_fill(wild, 0.2)
    x = torch.where(wild[..., None], 600 * torch.rand(m.positions.shape, generator=g), m.positions)
    found = DETECTORS["best"](m.replace(positions=x, confidence=conf))
    assert (found.reason > 0)[wild].float().mean() > 0.95
    assert (found.reason > 0)[~wild & ~doubted].float().mean() < 0.01


def test_a_recording_or_a_part_that_is_never_certain_keeps_its_points(animal):
    m, g = animal.actors[0], torch.Generator().manual_seed(1)
    low = 0.3 * torch.rand(m.observed.shape, generator=g)
    assert share(DETECTORS["best"](m.replace(confidence=low))) < 0.01
    part = torch.full_like(low, 0.99)
    part[:, 2] = low[:, 2]
    assert share(DETECTORS["best"](m.replace(confidence=part))) < 0.01


def test_combine_keeps_reasons_in_order(broken):
    m = broken.scene.actors[0].replace(confidence=torch.zeros(broken.mask[0].shape))
    found = combine(likelihood_gate(), hampel())(m)
    assert set(found.reason.unique().tolist()) == {REASON["low likelihood"]}


def test_combine_does_not_duplicate_half_missing_pairs(animal):
    bad, (mask,) = swap_sides(animal, rate=0.1, min_len=30, max_len=50, generator=0)
    m = bad.actors[0]
    left = m.skeleton.mirror_pairs[0][0]
    x = m.positions.clone()
    x[::7, left] = NAN
    found = DETECTORS["best"](m.replace(positions=x))
    assert torch.equal(found.positions.isfinite().sum((1, 2)), x.isfinite().sum((1, 2)))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("joints", [1, 2, 6])
def test_odd_recordings(name, frames, joints):
    g = torch.Generator().manual_seed(0)
    s = Skeleton("s", ("left_a", "right_a", "b", "left_c", "right_c", "d")[:joints])
    x = torch.randn(frames, joints, 3, generator=g)
    some = x.masked_fill((torch.rand(frames, joints, generator=g) < 0.5)[..., None], NAN)
    for y in (x, x * 0, x[:1].expand_as(x), x * NAN, some):
        for conf in (None, torch.rand(frames, joints, generator=g)):
            found = DETECTORS[name](Motion(y, s, 30.0, confidence=conf))
            assert found.reason.shape == found.score.shape == (frames, joints)
            assert ((found.score >= 0) & (found.score <= 1)).all()


# real recordings


def real_fly(root):
    with h5py.File(root / "sleap/predictions.analysis.h5") as f:
        x, names = f["tracks"][0], tuple(n.decode() for n in f["node_names"][:])
    return Motion(torch.from_numpy(x.transpose(2, 1, 0)).float(), Skeleton("fly", names), 30.0)


def test_real_fly_sides(real_data):
    fly = Scene((real_fly(real_data),))
    assert share(swap_viterbi()(fly.actors[0])) < 0.001
    bad, (mask,) = swap_sides(fly, rate=0.05, min_len=4, max_len=60, generator=0)
    s = detection_scores(flags(swap_viterbi(), bad.actors[0]), mask)
    assert s["precision"] > 0.95 and s["f1"] > 0.85, s


def test_real_mouse(real_data):
    m = motionbook.read(next((real_data / "dlc/openfield").glob("*.csv"))).actors[0]
    sure = m.confidence > 0.99
    # of twenty flagged stretches looked at, fifteen were mistakes of the tracker
    before = flags(DETECTORS["best"], m)
    assert before[sure].float().mean() < 0.015
    plan = {"add_jumps": dict(rate=0.02, size=0.5), "swap_sides": dict(rate=0.02)}
    bad, (mask,) = corrupt(Scene((m,)), plan, generator=0)
    s = detection_scores(flags(DETECTORS["best"], bad.actors[0]), mask, sure & ~before)
    assert s["precision"] > 0.85 and s["recall"] > 0.85, s


@pytest.mark.parametrize("name", ["squats", "drop_vertical_jump"])
def test_real_markers(real_data, name):
    scene = motionbook.read(real_data / f"trc/{name}.trc")
    assert share(DETECTORS["best"](scene.actors[0])) < 0.005
    plan = {k: v for k, v in MIXED.items()}
    bad, (mask,) = corrupt(scene, plan, generator=0)
    s = detection_scores(flags(DETECTORS["best"], bad.actors[0]), mask)
    assert s["precision"] > 0.9 and s["recall"] > 0.9, s


def test_real_individuals_are_not_confused(real_data):
    from motionbook.formats.registry import read

    for path in sorted((real_data / "dlc/multi_animal").glob("*multi.csv")):
        scene = read(path)
        assert all(share(f) < 0.02 for f in identity_swaps(scene))


@pytest.mark.parametrize("name", ["dataset-1_walk_normal_001", "dataset-1_kick_normal_001"])
def test_real_mocap_is_left_alone(real_data, name):
    m = motionbook.read(real_data / f"bvh/samples/{name}.bvh").actors[0]
    assert share(DETECTORS["best"](m)) < 0.003


def test_a_paw_that_stands_is_no_mistake_whatever_leaps_it_made(real_data):
    "A likely paw of the open-field mouse steps, stands for a second, and steps back."
    m = read(next((real_data / "dlc" / "openfield").glob("*.csv"))).actors[0]
    half = slice(3600, 4050)
    m = m.replace(positions=m.positions[half], confidence=m.confidence[half])
    wrong = flags(path_gate(), m) & (m.confidence > 0.99)
    assert not wrong[300:347, 3:5].any() and not wrong[225:253, 4].any()


def test_swaps_are_found_where_a_tracker_is_never_sure(animal):
    "Scores that are low throughout are no reason to look away."
    pairs = animal.actors[0].skeleton.mirror_pairs
    assert pairs
    bad, (mask,) = swap_sides(animal, rate=0.05, generator=3)
    low = torch.full(bad.actors[0].positions.shape[:2], 0.3)
    unsure = bad.actors[0].replace(confidence=low)
    plain = swap_viterbi()(bad.actors[0].replace(confidence=None)).reason > 0
    assert plain.any() and torch.equal(swap_viterbi()(unsure).reason > 0, plain)
