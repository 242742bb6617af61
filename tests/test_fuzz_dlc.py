"Mutated DeepLabCut files give a scene or one clear error, never another exception, never a hang."

import io
import string

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.dlc.dlc import edit_csv, fresh_csv, is_dlc, parse_csv
from motionbook.formats.dlc.dlc_h5 import edit_h5, fresh_h5, parse_h5
from motionbook.formats.dlc.dlc_table import table_to_scene

torch.set_num_threads(1)
QUICK = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)


def small(actors=2):
    g = torch.Generator().manual_seed(0)
    mouse = Skeleton("mouse", ("nose", "left_ear", "right_ear"))
    pos = torch.rand(actors, 12, 3, 2, generator=g) * 300
    pos[0, 4, 1] = torch.nan
    conf = torch.rand(actors, 12, 3, generator=g)
    return Scene(
        tuple(
            Motion(p, mouse, 30, confidence=c, name=f"m{i}")
            for i, (p, c) in enumerate(zip(pos, conf))
        )
    )


CSV = fresh_csv(small())
TOKENS = st.sampled_from(
    [b",", b";", b"\t", b"\n", b"\r", b"\r\n", b'"', b'""', b"'", b"x", b"y", b"z", b"likelihood", b"scorer", b"individuals", b"coords", b"nan", b"inf",
     b"-1", b"0", b"1e400", b"-", b".", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"", b" ", b"99999999999999999999999", b"#", b"\\", b"0x1F", b"1_0", b"True"]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, len(CSV)), st.integers(0, 40), TOKENS), min_size=1, max_size=6
)


def mutated(raw, edits):
    for at, cut, new in edits:
        raw = raw[:at] + new + raw[at + cut :]
    return raw


def check_csv(raw):
    try:
        doc = parse_csv(raw, "f.csv")
        scene = table_to_scene(doc.table, original=doc, source="f.csv")
    except ValueError as err:
        assert isinstance(err, BadFile) and "\n" not in str(err), err
        return None
    assert edit_csv(doc, scene) == raw
    moved = scene.map(
        lambda m: m.replace(positions=torch.where(m.positions.isnan(), 7.5, m.positions))
    )
    again = table_to_scene(parse_csv(edit_csv(doc, moved)).table)
    assert all(m.observed.all() for m in again.actors)
    return scene


@QUICK
@given(EDITS)
def test_mutated_csv(edits):
    check_csv(mutated(CSV, edits))


@QUICK
@given(st.integers(1, len(CSV) - 1))
def test_cut_csv(n):
    check_csv(CSV[:n])


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_as_rows(tail):
    check_csv(CSV[: CSV.index(b"\n0,") + 1] + tail)


@QUICK
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "x",
                    "y",
                    "z",
                    "likelihood",
                    "nose",
                    "m1",
                    "single",
                    "",
                    "scorer",
                    "coords",
                    "bodyparts",
                ]
            ),
            max_size=7,
        ),
        max_size=6,
    )
)
def test_any_header(rows):
    check_csv("\n".join(",".join(r) for r in rows).encode() + b"\n0,1.5,2.5,0.5,3.5,4.5,0.5\n")


@settings(QUICK, max_examples=80)
@given(
    st.lists(
        st.text(string.ascii_letters + string.digits + ' _-/.,"é', min_size=1, max_size=8).filter(
            lambda s: s.strip() == s
        ),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    st.integers(1, 3),
    st.sampled_from([2, 3]),
    st.integers(0, 2**32 - 1),
)
def test_any_names_and_numbers_come_back(names, actors, dims, seed):
    "What is written is read: odd names, missing points, one frame or several, csv and h5."
    rng = np.random.default_rng(seed)
    pos = rng.normal(
        0, 10.0 ** rng.integers(-3, 6), (actors, rng.integers(1, 6), len(names), dims)
    ).astype(np.float32)
    pos[rng.random(pos.shape[:3]) < 0.3] = np.nan
    scene = Scene(
        tuple(
            Motion(torch.from_numpy(p), Skeleton("s", tuple(names)), 30, name=f"m{i}")
            for i, p in enumerate(pos)
        )
    )
    for table in (parse_csv(fresh_csv(scene)).table, parse_h5(fresh_h5(scene)).table):
        for a, b in zip(scene.actors, table_to_scene(table).actors, strict=True):
            assert a.skeleton.joints == b.skeleton.joints
            assert torch.equal(a.positions.nan_to_num(-7), b.positions.nan_to_num(-7))


def table_layout():
    "pandas' table layout, made with h5py."
    import pickle

    columns = [("net", p, c) for p in ("nose", "tail") for c in ("x", "y", "likelihood")]
    file = io.BytesIO()
    with h5py.File(file, "w") as f:
        g = f.create_group("df_with_missing")
        g.attrs.update(
            pandas_type=np.bytes_("frame_table"),
            non_index_axes=np.bytes_(pickle.dumps([(1, columns)], 0)),
            info=np.bytes_(
                pickle.dumps(
                    {1: {"names": ["scorer", "bodyparts", "coords"], "type": "MultiIndex"}}, 0
                )
            ),
        )
        rows = np.zeros(9, [("index", "<i8"), ("values_block_0", "<f8", (6,))])
        rows["index"], rows["values_block_0"] = (
            np.arange(9),
            np.random.default_rng(0).uniform(1, 300, (9, 6)),
        )
        d = g.create_dataset("table", data=rows, chunks=(4,))
        d.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(columns, 0))
    return file.getvalue()


H5 = {"fixed": fresh_h5(small()), "table": table_layout()}


def check_h5(raw):
    try:
        doc = parse_h5(raw, path="f.h5")
        scene = table_to_scene(doc.table, original=doc, source="f.h5")
    except ValueError as err:
        assert isinstance(err, BadFile) and "\n" not in str(err), err
        return None
    assert edit_h5(doc, scene) == raw
    return scene


@pytest.mark.parametrize("layout", H5)
def test_the_originals_read(layout):
    assert check_h5(H5[layout]) is not None and check_csv(CSV) is not None


@pytest.mark.parametrize("layout", H5)
@QUICK
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_mutated_h5(layout, edits):
    raw = bytearray(H5[layout])
    for at, byte in edits:
        raw[int(at * len(raw))] = byte
    check_h5(bytes(raw))


@pytest.mark.parametrize("layout", H5)
@QUICK
@given(st.floats(0, 1))
def test_cut_h5(layout, share):
    check_h5(H5[layout][: int(share * len(H5[layout]))])


@QUICK
@given(st.binary(max_size=300))
def test_sniffing_never_fails(tmp_path_factory, head):
    assert is_dlc(tmp_path_factory.getbasetemp() / "absent", head) in (True, False)
