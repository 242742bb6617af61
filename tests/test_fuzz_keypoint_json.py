"Mutated keypoint JSON gives a scene or one clear error, never another exception, never a hang."

import json

import torch
from hostile import mutated, survives
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionbook.formats.plain.keypoint_json import (
    edit_keypoints,
    fresh_keypoints,
    is_keypoints,
    parse,
    read_keypoints,
)
from motionbook.synthetic.people import mouse

torch.set_num_threads(1)
QUICK = settings(max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))  # fmt: skip
SCENE = mouse(0.2, animals=2, seed=1)
SCENE = SCENE.map(
    lambda m: m.replace(positions=m.positions.index_fill(0, torch.tensor([2]), torch.nan))
)
RAW = fresh_keypoints(SCENE)
WORDS = (
    b"null",
    b"true",
    b"[",
    b"]",
    b"[]",
    b"NaN",
    b"Infinity",
    b"-",
    b'"fps"',
    b'"up": "z",',
    b'"units": "in",',
    b"1e5",
    b"{}",
    b":",
)


def check(path, data):
    scene = survives(read_keypoints, path, data)
    if scene is None:
        return
    assert edit_keypoints(scene.meta["original"], scene) == data
    full = scene.map(
        lambda m: m.replace(positions=torch.where(m.positions.isnan(), 7.5, m.positions))
    )
    path.write_bytes(edit_keypoints(scene.meta["original"], full))
    doc = scene.meta["original"]
    units = {} if doc.units == "px" else {"units": doc.units, "up": doc.up}
    assert all(m.observed.all() for m in read_keypoints(path, **units).actors)


@QUICK
@given(mutated(RAW, WORDS))
def test_mutated(tmp_path_factory, data):
    check(tmp_path_factory.getbasetemp() / "f.json", data)


LEAF = st.one_of(st.none(), st.booleans(), st.integers(-3, 10), st.floats(), st.text(max_size=3), st.sampled_from(["m", "mm", "z", "nose"]))  # fmt: skip
TREE = st.recursive(LEAF, lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(st.text(max_size=3), x, max_size=2)), max_leaves=8)  # fmt: skip
KEYS = st.sampled_from(
    ["format", "version", "fps", "joints", "parents", "edges", "units", "up", "actors"]
)


@QUICK
@given(st.dictionaries(KEYS, TREE, min_size=1, max_size=3))
def test_any_value_for_any_key(tmp_path_factory, changes):
    check(tmp_path_factory.getbasetemp() / "f.json", json.dumps(json.loads(RAW) | changes).encode())


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["name", "positions", "confidence", "joints", "parents", "edges"]),
        TREE,
        min_size=1,
    )
)
def test_any_value_in_an_actor(tmp_path_factory, changes):
    tree = json.loads(RAW)
    tree["actors"][0] |= changes
    check(tmp_path_factory.getbasetemp() / "f.json", json.dumps(tree).encode())


@QUICK
@given(st.binary(max_size=200))
def test_sniffing_never_fails(tmp_path_factory, head):
    assert is_keypoints(tmp_path_factory.getbasetemp(), head) in (True, False)


def test_the_original_reads(tmp_path):
    assert parse(RAW)[0].at[0].shape == (6, 8, 2)
    check(tmp_path / "f.json", RAW)
