"TRC with anything wrong in it: a scene or one clear line, and what reads is written back as it was."

import numpy as np
from hostile import FUZZ, mutated, survives
from hypothesis import given
from hypothesis import strategies as st
from test_trc import ENCODINGS, PROGRAMS, walk

from motionbook.formats.markers.trc import read, write

POINTS = walk(6)
POINTS[2:4, 3] = np.nan
VALID = {n: f(POINTS).encode(ENCODINGS.get(n, "utf-8")) for n, f in PROGRAMS.items()}
WORDS = (
    b"Frame#",
    b"Time",
    b"PathFileType",
    b"DataRate",
    b"NumMarkers",
    b"mm",
    b"X1",
    b"Ann:",
    b"Bob:",
    b"\t\t\t",
    b"1\t0.0\t",
)


@FUZZ
@given(st.sampled_from(sorted(VALID)).flatmap(lambda n: mutated(VALID[n], WORDS)))
def test_hostile_trc(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("trc")
    scene = survives(read, folder / "x.trc", data)
    if scene is not None:
        assert write(scene, folder / "y.trc").read_bytes() == data
