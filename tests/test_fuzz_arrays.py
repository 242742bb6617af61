"Plain arrays with anything wrong in them: a scene or one clear line."

import io

import numpy as np
from hostile import FUZZ, mutated_npz, survives
from hypothesis import given
from hypothesis import strategies as st

from motionbook.formats.plain.npz import read, write


def packed(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


POSITIONS = np.random.default_rng(0).normal(size=(5, 2, 3, 3))
JOINTS = ["hip", "knee", "ankle"]
VALID = [
    packed(
        positions=POSITIONS[:, 0],
        joints=JOINTS,
        fps=30,
        confidence=np.ones((5, 3)),
        parents=[-1, 0, 1],
        units="mm",
        up="z",
    ),
    packed(
        positions=POSITIONS,
        joints=JOINTS,
        fps=np.float32(60),
        actors=["a", "b"],
        present=np.ones((2, 3), bool),
        edges=[[0, 1]],
        text=["x"],
    ),
    packed(positions=POSITIONS[:, 0, :, :2].astype(np.float16), joints=JOINTS, fps=25),
]


@FUZZ
@given(st.sampled_from(VALID).flatmap(mutated_npz))
def test_hostile_npz(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("npz")
    scene = survives(read, folder / "x.npz", data)
    if scene is not None:
        assert write(scene, folder / "y.npz").read_bytes() == data
