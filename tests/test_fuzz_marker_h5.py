"Marker datasets with anything wrong in either file: a scene or one clear line, and what reads is written back as it was."

import io
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from hostile import FUZZ, mutated, survives
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

import motionbook.formats.marker_h5.marker_h5  # noqa: F401 (registers)
from motionbook.core.motion import Motion
from motionbook.core.skeleton import MARKER20
from motionbook.formats.marker_h5.marker_files import H5_NAME, INFO_NAME, write_marker_h5
from motionbook.formats.marker_h5.marker_h5 import marker_scenes, read_marker_h5, write

torch.set_num_threads(1)
QUICK = options(FUZZ, max_examples=100)


def small():
    "The two files of a small dataset."
    g = torch.Generator().manual_seed(0)
    p = torch.randn(6, 20, 3, generator=g)
    p[3, 4] = torch.nan
    who = [Motion(p + k, MARKER20, 60, meta={"height": 1.7, "weight": 70}) for k in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        write_marker_h5(folder, who, frames=3)
        return {n: Path(folder, n).read_bytes() for n in (H5_NAME, INFO_NAME)}


VALID = small()


def check(folder, files):
    for name, data in files.items():
        (folder / name).write_bytes(data)
    scene = survives(read_marker_h5, folder / H5_NAME, files[H5_NAME])
    if scene is not None:
        (folder / "out").mkdir(exist_ok=True)
        assert write(scene, folder / "out" / H5_NAME).read_bytes() == files[H5_NAME]
    return scene


def test_the_original_reads(tmp_path):
    assert check(tmp_path, VALID) is not None
    assert len(list(marker_scenes(tmp_path))) == 6


@QUICK
@given(mutated(VALID[H5_NAME], (b"features", b"data", b"\x89HDF\r\n\x1a\n")))
def test_hostile_h5(tmp_path_factory, raw):
    check(tmp_path_factory.mktemp("h"), VALID | {H5_NAME: raw})


@QUICK
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_changed_bytes_of_h5(tmp_path_factory, edits):
    raw = bytearray(VALID[H5_NAME])
    for at, byte in edits:
        raw[int(at * len(raw))] = byte
    check(tmp_path_factory.mktemp("b"), VALID | {H5_NAME: bytes(raw)})


WORDS = (b"subjects", b"scalefactors", b"cos\nsystem\n", b"numpy._core.multiarray")


@QUICK
@given(mutated(VALID[INFO_NAME], WORDS))
def test_hostile_info(tmp_path_factory, raw):
    check(tmp_path_factory.mktemp("i"), VALID | {INFO_NAME: raw})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4),
    lambda x: st.lists(x, max_size=6) | st.tuples(x, x) | st.dictionaries(st.text(max_size=3), x, max_size=3),
    max_leaves=8,
)  # fmt: skip


@QUICK
@given(subjects=PLAIN | st.lists(PLAIN, min_size=6, max_size=6), scales=PLAIN, extra=PLAIN)
def test_any_plain_info(tmp_path_factory, subjects, scales, extra):
    info = {"subjects": subjects, "scalefactors": scales, "datasets": extra}
    out = io.BytesIO()
    np.save(out, np.array(info, dtype=object), allow_pickle=True)
    check(tmp_path_factory.mktemp("p"), VALID | {INFO_NAME: out.getvalue()})
    check(tmp_path_factory.mktemp("q"), VALID | {INFO_NAME: pickle.dumps(info)})
