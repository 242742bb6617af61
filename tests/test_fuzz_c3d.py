"C3D with anything wrong in it: a scene or one clear line, what reads is written back as it was, and the process lives."

import struct

import numpy as np
import pytest
import torch
from hostile import FUZZ, mutated, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from test_c3d import POINTS, by_ezc3d, by_hand, contents

from motionbook.formats.markers.c3d import read, write

MISSING = np.random.default_rng(1).random((4, 6)) < 0.2
FEW = dict(points=POINTS[:4, :6], missing=MISSING)
LABELS = ("LFHD", "RFHD", "C7", "LANK", "RANK", "*9")
VALID = {
    f"{processor} {'floats' if floats else 'integers'}": by_hand(processor=processor, floats=floats, labels=LABELS, longer=processor == 84, **FEW)
    for processor in (84, 85, 86) for floats in (True, False)
}  # fmt: skip
WORDS = (
    b"\xff", b"\x00", b"\x7f", b"\x80", b"\xff\xff", b"\xff\x7f", b"\x00\x80", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff", b"\x00\x00\xc0\x7f", b"POINT", b"ANALOG", b"LABELS",
    b"SCALE", b"USED", b"RATE", b"FRAMES", b"\x02\x50", b"\x54", b"\x56", b"\xff\x02\xff\xff", b"\x04\x07\xff\xff\xff\xff\xff\xff\xff", b"\x05\x01POINT\x00\x00",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("c3d")


def _read_and_written(folder, data: bytes) -> bool:
    scene = survives(read, folder / "x.c3d", data)
    if scene is not None:
        assert write(scene, folder / "y.c3d").read_bytes() == data
    return scene is not None


@settings(FUZZ, max_examples=300)
@given(st.sampled_from(sorted(VALID)).flatmap(lambda k: mutated(VALID[k], WORDS)))
def test_hostile_c3d(folder, data):
    _read_and_written(folder, data)


@settings(FUZZ, max_examples=300)
@given(
    st.sampled_from(sorted(VALID)),
    st.lists(st.tuples(st.integers(0, 1100), st.sampled_from(WORDS)), min_size=1, max_size=3),
)
def test_hostile_header_and_parameters(folder, kind, changes):
    "Bytes replaced, so that everything else stays in its place."
    data = bytearray(VALID[kind])
    for at, word in changes:
        data[at : at + len(word)] = word
    _read_and_written(folder, bytes(data))


@settings(FUZZ, max_examples=200)
@given(st.binary(max_size=600), st.sampled_from([84, 85, 86]))
def test_hostile_chain(folder, params, processor):
    head = bytes([2, 0x50]) + struct.pack("<HHHHHfHHf", 2, 0, 1, 3, 10, -1.0, 4, 0, 100.0)
    data = (
        head.ljust(512, b"\0")
        + (bytes([1, 0x50, 2, processor]) + params).ljust(1024, b"\0")
        + bytes(96)
    )
    _read_and_written(folder, data)


def test_valid_files_are_read(folder):
    "What is mutated is good to begin with, so that the fuzz reaches the end of the reader."
    for data in VALID.values():
        assert _read_and_written(folder, data)


@settings(FUZZ, max_examples=40)
@given(st.sampled_from(sorted(VALID)), st.integers(0, 2**31), st.sampled_from(["mm", "m"]))
def test_any_repair_is_read_back(folder, kind, seed, units):
    "Random points are moved, removed and filled; the file has its length, all other points are the same to the bit."
    g = torch.Generator().manual_seed(seed)
    path = folder / "x.c3d"
    path.write_bytes(VALID[kind]) if units == "mm" else by_ezc3d(path, units="m")
    scene = read(path)
    (m,) = scene.actors
    which = torch.rand(m.positions.shape[:2], generator=g) < 0.3
    points = torch.where(m.observed[..., None], m.positions, 0.5) + 0.1 * torch.randn(
        m.positions.shape, generator=g
    )
    points[torch.rand(which.shape, generator=g) < 0.3] = torch.nan
    points = torch.where(which[..., None], points, m.positions)
    out = write(scene.replace(actors=(m.replace(positions=points),)), folder / "y.c3d")
    assert out.stat().st_size == path.stat().st_size
    back = read(out).actors[0]
    assert torch.equal(back.positions[~which].nan_to_num(), m.positions[~which].nan_to_num())
    assert torch.equal(back.observed, points.isfinite().all(-1))
    assert (back.positions - points).nan_to_num().abs().max() < (
        1e-6 if "floats" in kind or units == "m" else 5.1e-5
    )
    a, b = contents(path), contents(out)
    assert np.array_equal(a[3], b[3])
