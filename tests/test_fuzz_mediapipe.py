"Mutated MediaPipe files give a scene or one clear error, never another exception, never a hang."

import json

import numpy as np
import pytest
import torch
from hostile import mutated, survives
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionbook.core.skeleton import MEDIAPIPE33
from motionbook.formats.mediapipe.mediapipe import edit_mediapipe, is_mediapipe, read_mediapipe

torch.set_num_threads(1)
QUICK = settings(max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))  # fmt: skip
X = np.random.default_rng(0).uniform(0, 1, (5, 33, 4)).round(3)
NAMES = MEDIAPIPE33.joints
C = ("x", "y", "z", "visibility")
WIDE = ",".join(["frame", *(f"{n}_{c}" for n in NAMES for c in C)]) + "\n"
WIDE += "".join(f"{t},{','.join(map(str, X[t].ravel()))}\n" for t in (0, 1, 3, 4))
LONG = "frame,landmark,x,y,z,visibility\n"
LONG += "".join(
    f"{t},{n},{','.join(map(str, X[t, i]))}\n" for t in (0, 1, 3, 4) for i, n in enumerate(NAMES)
)
MARKS = [[dict(zip(C, p)) for p in f] for f in X.tolist()]
JSON = json.dumps(
    {"fps": 25, "frames": [{"pose_landmarks": [f] if t != 2 else []} for t, f in enumerate(MARKS)]}
)
FILES = {"wide.csv": WIDE.encode(), "long.csv": LONG.encode(), "p.json": JSON.encode()}
WORDS = (
    b"frame",
    b"nose",
    b"x",
    b"world_",
    b"null",
    b"[]",
    b"{}",
    b"[",
    b"]",
    b"1e5",
    b";",
    b"landmark",
    b'"x"',
    b"time",
    b":",
    b"type",
)


def check(path, data):
    scene = survives(read_mediapipe, path, data)
    if scene is not None:
        assert edit_mediapipe(scene.meta["original"], scene, path) == data
    return scene


@pytest.mark.parametrize("name", FILES)
def test_the_originals_read(name, tmp_path):
    assert len(check(tmp_path / name, FILES[name])) == 5


@pytest.mark.parametrize("name", FILES)
@QUICK
@given(st.data())
def test_mutated(name, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / name
    raw = data.draw(mutated(FILES[name], WORDS))
    scene = check(path, raw)
    if scene is not None and all(m.observed.any() for m in scene.actors):
        full = scene.map(lambda m: m.replace(positions=m.positions.nan_to_num(0.5)))
        try:
            path.write_bytes(edit_mediapipe(scene.meta["original"], full, path))
        except ValueError as err:
            assert "a place for the landmarks" in str(err)
        else:
            doc = scene.meta["original"]
            again = read_mediapipe(path, kind=doc.kind, size=doc.size)
            assert len(again) == len(scene) and all(m.observed.all() for m in again.actors)


LEAF = st.one_of(st.none(), st.booleans(), st.integers(-3, 10), st.floats(), st.text(max_size=3), st.just(MARKS[0]), st.just(MARKS[0][0]))  # fmt: skip
KEYS = st.sampled_from(["frames", "landmarks", "landmark", "pose_landmarks", "pose_world_landmarks", "fps", "width", "height", "x", "0", "nose", "metadata"])  # fmt: skip
TREE = st.recursive(LEAF, lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(KEYS, x, max_size=3)), max_leaves=8)  # fmt: skip


@QUICK
@given(TREE)
def test_any_json(tmp_path_factory, tree):
    check(tmp_path_factory.getbasetemp() / "t.json", json.dumps(tree).encode())


@QUICK
@given(st.lists(st.sampled_from(["frame", "time", "x", "y", "z", "visibility", "landmark", "nose_x", "nose_y", "x0", "y0", "id", "type", "x33", ""]), max_size=9))  # fmt: skip
def test_any_header(tmp_path_factory, names):
    text = (
        ",".join(names)
        + "\n"
        + ",".join("1" * len(names))
        + "\n"
        + ",".join("2" * len(names))
        + "\n"
    )
    check(tmp_path_factory.getbasetemp() / "t.csv", text.encode())


@QUICK
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_sniffing_never_fails(tmp_path_factory, head):
    assert is_mediapipe(tmp_path_factory.getbasetemp(), head) in (True, False)
