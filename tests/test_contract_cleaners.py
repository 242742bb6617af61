"""What every cleaner that has a name promises: good points stay to the bit, and long gaps stay open."""

import pytest
import torch
from helpers import same

from motionbook import Scene
from motionbook.cleanup.clean import clean, methods
from motionbook.filters.corrupt.corruption import add_jumps
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT, LONG = slice(30, 36), slice(50, 80)  # frames of two gaps of one point, at 30 fps


def broken(kind: str) -> Scene:
    "A recording with jumps, a short gap and a long one."
    truth = mouse(4, seed=2) if kind == "mouse" else Scene((person("walk", 4, fps=30, seed=2),))
    (m,) = add_jumps(truth, rate=0.01, generator=1).scene.actors
    positions = m.positions.clone()
    positions[SHORT, 2] = positions[LONG, 2] = torch.nan
    return Scene((m.replace(positions=positions, rotations=None, offsets=None),))


SCENES = {k: broken(k) for k in ("mouse", "person")}
CASES = [(k, name) for k, scene in SCENES.items() for name in ("auto", *methods(scene))]


@pytest.mark.parametrize("kind, name", CASES)
def test_a_cleaner_keeps_its_promises(kind, name):
    scene = SCENES[kind]
    old = scene.actors[0]
    for fidelity in ("missing", "outliers"):
        done = clean(scene, name, fidelity, max_gap=0.5)
        new, flagged = done.scene.actors[0], done.flagged[0]
        assert same(new.positions[~flagged], old.positions[~flagged])
        assert torch.equal(done.original.actors[0].positions.isnan(), old.positions.isnan())
        assert new.observed[SHORT, 2].all(), "a short gap is filled"
        assert not new.observed[LONG, 2].any(), "a gap longer than max_gap is not"
        assert flagged[LONG, 2].all(), "and it is listed"
        touched = done.changed()[0] & old.observed
        assert not touched.any() if fidelity == "missing" else touched.any()


@pytest.mark.parametrize("kind", SCENES)
def test_a_good_recording_is_left_alone(kind):
    "With nothing to fill and nothing that jumps, `missing` changes no bit."
    truth = mouse(2, seed=2) if kind == "mouse" else Scene((person("walk", 2, fps=30, seed=2),))
    for name in methods(truth):
        done = clean(truth, name, "missing")
        assert same(done.scene.actors[0].positions, truth.actors[0].positions), name
