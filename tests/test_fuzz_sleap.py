"Mutated SLEAP files give a scene or one clear error, never another exception, never a hang."

import io

import h5py
import numpy as np
import pytest
import torch
from hostile import survives
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionbook.formats.sleap.sleap import edit_analysis, fresh_analysis, parse_analysis, read_sleap
from motionbook.synthetic.people import mouse

torch.set_num_threads(1)
QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))  # fmt: skip
SCENE = mouse(0.4, animals=2, seed=1)
RAW = fresh_analysis(SCENE)
EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
)


def mutated(raw, edits):
    raw = bytearray(raw)
    for at, byte in edits:
        raw[int(at * len(raw))] = byte
    return bytes(raw)


@QUICK
@given(EDITS)
def test_mutated_analysis(tmp_path_factory, edits):
    path = tmp_path_factory.getbasetemp() / "f.h5"
    data = mutated(RAW, edits)
    scene = survives(read_sleap, path, data)
    if scene is not None:
        assert edit_analysis(parse_analysis(data), scene) == data


@QUICK
@given(st.floats(0, 1))
def test_cut_analysis(tmp_path_factory, share):
    survives(
        read_sleap, tmp_path_factory.getbasetemp() / "f.h5", RAW[: int(share * len(RAW))] or b"x"
    )


SHAPES = st.lists(st.integers(0, 4), min_size=0, max_size=5).map(tuple)
KINDS = st.sampled_from(["f4", "f8", "i4", "u1", "S3", "?", "c16"])
NAMES = st.sampled_from(["tracks", "node_names", "track_names", "point_scores", "instance_scores", "edge_inds", "video_path", "track_occupancy"])  # fmt: skip


@QUICK
@given(st.dictionaries(NAMES, st.tuples(SHAPES, KINDS), min_size=1), st.sampled_from([None, "[1]", '["track","xy","node","frame"]', "{", '["frame","track","node","xy"]']))  # fmt: skip
def test_any_datasets(tmp_path_factory, datasets, dims):
    file = io.BytesIO(RAW)
    with h5py.File(file, "r+") as f:
        for name, (shape, kind) in datasets.items():
            if name in f:
                del f[name]
            f[name] = np.zeros(shape, kind)
        if dims and "tracks" in f:
            f["tracks"].attrs["dims"] = dims
    survives(read_sleap, tmp_path_factory.getbasetemp() / "f.h5", file.getvalue())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    from motionbook.formats.sleap.slp import write_slp

    return write_slp(SCENE, tmp_path_factory.mktemp("slp") / "p.slp").read_bytes()


@settings(QUICK, max_examples=60)
@given(EDITS)
def test_mutated_project(project, tmp_path_factory, edits):
    from motionbook.formats.sleap.slp import edit_slp, read_slp

    data = mutated(project, edits)
    scene = survives(read_slp, tmp_path_factory.getbasetemp() / "f.slp", data)
    if scene is not None:
        assert edit_slp(scene.meta["original"], scene) == (data, [])


@settings(QUICK, max_examples=60)
@given(
    st.sampled_from(["frames", "instances"]), st.integers(0, 9), st.integers(0, 12),
    st.sampled_from([-(2**40), -1, 0, 1, 2, 7, 30, 255, 2**31, 2**40]),
)  # fmt: skip
def test_any_number_in_the_tables(project, tmp_path_factory, table, column, row, value):
    from motionbook.formats.sleap.slp import read_slp

    file = io.BytesIO(project)
    with h5py.File(file, "r+") as f:
        x = f[table][()]
        name = x.dtype.names[column % len(x.dtype.names)]
        kind = x.dtype[name]
        x[name][row % len(x)] = np.array(value).astype(kind)
        f[table][...] = x
    survives(read_slp, tmp_path_factory.getbasetemp() / "f.slp", file.getvalue())
