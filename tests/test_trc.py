"TRC: real recordings byte for byte, and the habits of the programs that write them."

import re
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import motionbook.formats.registry as registry
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import MARKER20
from motionbook.formats.markers.trc import read, write

HEAD = "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
NAMES = ("LFHD", "RFHD", "C7", "LASI", "RASI", "LKNE", "RKNE", "LHEE", "RHEE")
HEIGHTS = np.array([1.72, 1.72, 1.5, 1.0, 1.0, 0.5, 0.5, 0.04, 0.04])


def walk(frames=40, seed=0) -> np.ndarray:
    "[t m 3] metres, y up: nine markers that travel."
    rng = np.random.default_rng(seed)
    body = np.stack([np.tile([0.1, -0.1], 5)[:9], HEIGHTS, rng.normal(0, 0.05, 9)], -1)
    path = np.cumsum(rng.normal(0, 0.004, (frames, 9, 3)), 0)
    return body + path + np.linspace(0, 2, frames)[:, None, None] * [0, 0, 1]


def nexus(points, eol="\r\n") -> str:
    "Vicon Nexus: millimetres, z up, subject prefix, trailing tabs, CRLF, blanks for gaps."
    p = points[..., [0, 2, 1]] * [1, -1, 1] * 1000
    n = len(NAMES)
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tD:\\Vicon\\Ann\\Walk 01.trc\t",
        HEAD + "\t", f"100\t100\t{len(p)}\t{n}\tmm\t100\t1\t{len(p)}\t",
        "Frame#\tTime\t" + "".join(f"Ann:{m}\t\t\t" for m in NAMES),
        "\t\t" + "".join(f"X{i}\tY{i}\tZ{i}\t" for i in range(1, n + 1)),
    ]  # fmt: skip
    rows = [
        f"{t + 1}\t{t / 100:.3f}\t" + "".join(f"{v:.4f}\t" if v == v else "\t" for v in r.ravel())
        for t, r in enumerate(p)
    ]
    return eol.join(lines + rows) + eol


def cortex(points) -> str:
    "Cortex: an empty line, blanks at row ends left out, frame numbers that start later."
    n = len(NAMES)
    head = f"PathFileType\t4\t(X/Y/Z)\tC:\\Cortex\\trial.trc\n{HEAD}\n120.00\t120.00\t{len(points)}\t{n}\tmm\t120.00\t1\t{len(points)}\n"
    head += (
        "Frame#\tTime\t"
        + "\t\t\t".join(NAMES)
        + "\t\t\n\t\t"
        + "\t".join(f"{a}{i + 1}" for i in range(n) for a in "XYZ")
        + "\n\n"
    )
    cells = lambda r: "\t".join(f"{v * 1000:.5f}" if v == v else "" for v in r.ravel()).rstrip("\t")
    return head + "".join(
        f"{t + 200}\t{(t + 199) / 120:.6f}\t{cells(r)}\n" for t, r in enumerate(points)
    )


def motive(points) -> str:
    "OptiTrack Motive: metres written with many decimals, a trailing tab, names with spaces."
    names = [f"Skeleton 001_{m}" for m in NAMES]
    n = len(names)
    head = f"PathFileType\t4\t(X/Y/Z)\tTake 1.trc\n{HEAD}\n240\t240\t{len(points)}\t{n}\tm\t240\t1\t{len(points)}\n"
    head += (
        "Frame#\tTime\t"
        + "\t\t\t".join(names)
        + "\t\t\t\n\t\t"
        + "\t".join(f"{a}{i + 1}" for i in range(n) for a in "XYZ")
        + "\t\n\n"
    )
    return head + "".join(
        f"{t}\t{t / 240:.6f}\t"
        + "".join(f"{v:.9f}\t" if v == v else "\t" for v in r.ravel())
        + "\n"
        for t, r in enumerate(points)
    )


def pose2sim(points) -> str:
    "Pose2Sim: pandas output, full precision, nothing or 'nan' for gaps."
    n = len(NAMES)
    head = f"PathFileType\t4\t(X/Y/Z)\tS00_P00_0-40.trc\n{HEAD}\n60\t60\t{len(points)}\t{n}\tm\t60\t0\t{len(points)}\n"
    head += (
        "Frame#\tTime\t"
        + "\t\t\t".join(NAMES)
        + "\t\t\n\t\t"
        + "\t".join(f"{a}{i + 1}" for i in range(n) for a in "XYZ")
        + "\t\n"
    )
    return head + "".join(
        f"{t}\t{t / 60!r}\t" + "\t".join("" if v != v else repr(float(v)) for v in r.ravel()) + "\n"
        for t, r in enumerate(points)
    )


def matlab(points) -> str:
    "A laboratory's script: doubled tabs in the header, padded numbers, spaces between fields, NaN."
    n = len(NAMES)
    head = f"PathFileType  4 (X/Y/Z) out\n{HEAD}\n{100:7.1f}\t\t{100:7.1f}\t\t{len(points):7d}\t\t{n:7d}\t\t mm\t{100:7.1f}\t{1:7d}\t{len(points):7d}\n"
    head += (
        "Frame#\tTime\t"
        + "".join(f"{m}\t\t\t" for m in NAMES)
        + "\n\t\t"
        + "".join(f"X{i:2d}\tY{i:2d}\tZ{i:2d}\t" for i in range(1, n + 1))
        + "\n\n"
    )
    return head + "".join(
        f"{t + 1:6d} {t / 100:10.5f} " + " ".join(f"{v * 1000:12.5f}" for v in r.ravel()) + "\n"
        for t, r in enumerate(points)
    )


def excel(points) -> str:
    "Opened and saved in a spreadsheet with a German locale: decimal commas, trimmed zeros, UTF-16."
    n = len(NAMES)
    number = lambda v: "" if v != v else f"{v * 1000:.3f}".rstrip("0").rstrip(".").replace(".", ",")
    head = f"\ufeffPathFileType\t4\t(X/Y/Z)\tGehen Ännchen.trc\r\n{HEAD}\r\n100\t100\t{len(points)}\t{n}\tmm\t100\t1\t{len(points)}\r\n"
    head += (
        "Frame#\tTime\t"
        + "\t\t\t".join(NAMES)
        + "\r\n\t\t"
        + "\t".join(f"{a}{i + 1}" for i in range(n) for a in "XYZ")
        + "\r\n"
    )
    return head + "".join(
        f"{t + 1}\t{str(t / 100).replace('.', ',')}\t" + "\t".join(map(number, r.ravel())) + "\r\n"
        for t, r in enumerate(points)
    )


PROGRAMS = {f.__name__: f for f in (nexus, cortex, motive, pose2sim, matlab, excel)}
RATES = dict(nexus=100, cortex=120, motive=240, pose2sim=60, matlab=100, excel=100)
ENCODINGS = dict(nexus="latin-1", excel="utf-16-le")


@pytest.fixture(params=PROGRAMS)
def program(request):
    return request.param


def made(tmp_path, program, points):
    path = tmp_path / f"{program}.trc"
    path.write_bytes(PROGRAMS[program](points).encode(ENCODINGS.get(program, "utf-8")))
    return path


@pytest.fixture
def gappy():
    points = walk()
    points[5:9, 2] = np.nan
    points[20:, 8] = np.nan  # the last marker: rows end early
    points[:3, 0] = np.nan
    return points


def test_programs_agree(tmp_path, program, gappy):
    scene = registry.read(made(tmp_path, program, gappy))
    m = scene.actors[0]
    assert (m.fps, len(m), len(m.skeleton)) == (RATES[program], 40, 9)
    np.testing.assert_array_equal(m.positions.isnan().numpy(), np.isnan(gappy))
    np.testing.assert_allclose(m.positions.numpy(), gappy, atol=2e-6)
    assert scene.meta["up"] == ("z" if program == "nexus" else "y")


def test_unchanged_is_byte_identical(tmp_path, program, gappy):
    path = made(tmp_path, program, gappy)
    assert write(read(path), tmp_path / "copy.trc").read_bytes() == path.read_bytes()


def test_only_changed_lines_differ(tmp_path, program, gappy):
    path = made(tmp_path, program, gappy)
    scene = read(path)
    new = scene.actors[0].positions.clone()
    new[6, 2] = torch.tensor([0.1, 1.5, 0.3])  # fill a gap
    new[30, 8] = torch.tensor([0.1, 0.04, 0.5])  # behind the end of the row
    new[12, 4, 0] += 0.02  # one coordinate
    new[15, 5] = torch.nan  # lose one
    write(scene.replace(actors=(scene.actors[0].replace(positions=new),)), tmp_path / "new.trc")
    old_lines, new_lines = (
        p.read_bytes().decode(ENCODINGS.get(program, "utf-8")).split("\n")
        for p in (path, tmp_path / "new.trc")
    )
    first = next(i for i, s in enumerate(old_lines) if re.match(r"\s*(0|1|200)[\t ]", s))
    assert [i - first for i, (a, b) in enumerate(zip(old_lines, new_lines)) if a != b] == [
        6,
        12,
        15,
        30,
    ]
    assert [s.endswith("\r") for s in old_lines] == [s.endswith("\r") for s in new_lines]
    assert (
        sum(a != b for a, b in zip(old_lines[first + 12].split(), new_lines[first + 12].split()))
        == 1
    )
    back = read(tmp_path / "new.trc").actors[0].positions
    np.testing.assert_array_equal(back.isnan().numpy(), new.isnan().numpy())
    np.testing.assert_allclose(back.numpy(), new.numpy(), atol=1e-4 if program == "excel" else 2e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(PROGRAMS)), st.integers(0, 999))
def test_untouched_points_come_back_to_the_bit(tmp_path_factory, program, seed):
    tmp = tmp_path_factory.mktemp("trc")
    rng = np.random.default_rng(seed)
    points = walk(seed=seed)
    points[rng.random((40, 9)) < 0.1] = np.nan
    scene = read(made(tmp, program, points))
    p = scene.actors[0].positions
    flagged = torch.from_numpy(rng.random((40, 9)) < 0.1)
    new = torch.where(flagged[..., None], p.nan_to_num(0.3) + 0.01, p)
    back = (
        read(
            write(scene.replace(actors=(scene.actors[0].replace(positions=new),)), tmp / "new.trc"),
            up=scene.meta["up"],
            units=scene.meta["units"],
        )
        .actors[0]
        .positions
    )
    same = torch.equal(back[~flagged].nan_to_num(7.0), p[~flagged].nan_to_num(7.0))
    assert same
    np.testing.assert_allclose(back[flagged], new[flagged], atol=1e-4)


def test_real_files_are_byte_identical(real_data, tmp_path):
    found = sorted((real_data / "trc").glob("*.trc"))
    assert found
    for path in found:
        scene = registry.read(path)
        m = scene.actors[0]
        assert m.skeleton == MARKER20 and m.fps == 60 and scene.meta["notes"] == ()
        assert (scene.meta["units"], scene.meta["up"]) == ("m", "y")
        assert m.observed.all()
        assert registry.write(scene, tmp_path / path.name).read_bytes() == path.read_bytes()


def test_real_files_map_by_name(real_data):
    path = real_data / "trc" / "squats.trc"
    lines = path.read_text().split("\n")
    names = [c for c in lines[3].split("\t")[2:] if c]
    row = np.array(lines[6 + 100].split("\t")[2:62], float).reshape(-1, 3)
    m = read(path).actors[0]
    for name, xyz in zip(names, row):
        np.testing.assert_array_equal(m.joint(name)[100].numpy(), xyz.astype(np.float32))
    assert (m.joint("Neck")[:, 1] > m.joint("LAnkle")[:, 1]).all()


def test_real_file_with_edits(real_data, tmp_path):
    path = real_data / "trc" / "drop_vertical_jump.trc"
    scene = read(path)
    new = scene.actors[0].positions.clone()
    new[50:60, MARKER20.index("RWrist")] += 0.123
    write(scene.replace(actors=(scene.actors[0].replace(positions=new),)), tmp_path / "new.trc")
    a, b = path.read_text().split("\n"), (tmp_path / "new.trc").read_text().split("\n")
    differ = [
        (i, k)
        for i, (x, y) in enumerate(zip(a, b))
        for k, (u, v) in enumerate(zip(x.split("\t"), y.split("\t")))
        if u != v
    ]
    column = a[3].split("\t").index("RWrist")
    assert differ == [(i, column + c) for i in range(56, 66) for c in range(3)]
    assert all(len(v.split(".")[1]) == 7 for v in b[56].split("\t")[2:62])


# bad input


def good(**changes) -> str:
    text = cortex(walk(12))
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "empty file"),
        ("\x89HDF\r\n", "begins with Frame#"),
        (cortex(walk(12)).split("200\t")[0], "at least one frame"),
        (cortex(walk(12))[:-40], "cut off"),
        (cortex(walk(12)).replace("120.00", "0").replace("\t1.6", "\tx"), "a number, got 'x"),
        (
            re.sub(r"(?m)^(\d+)\t[\d.]+\t", r"\1\t0.0\t", cortex(walk(12)).replace("120.00", "0")),
            "DataRate above 0",
        ),
        (
            cortex(walk(12)).replace("C7", "\t\t\t".join(f"m{i}" for i in range(5000))),
            "5,008 names",
        ),
    ],
)
def test_bad_files(tmp_path, text, why):
    path = tmp_path / "bad.trc"
    path.write_text(text, newline="")
    with pytest.raises(BadFile, match=re.escape(why)) as err:
        registry.read(path)
    assert (
        "\n" not in str(err.value)
        and str(err.value).startswith("bad.trc: ")
        and err.value.path == path
    )


def test_folder(tmp_path):
    with pytest.raises(BadFile, match="a folder; give a file"):
        registry.read(tmp_path)


def test_absurd_counts_cost_nothing(tmp_path):
    path = tmp_path / "x.trc"
    path.write_text(cortex(walk(12)).replace("\t12\t9\tmm", "\t1000000000\t1000000000\tmm"))
    tracemalloc.start()
    scene = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 and len(scene) == 12
    assert scene.meta["notes"] == (
        "NumFrames says 1000000000, the file has 12",
        "NumMarkers says 1000000000, the file has 9",
    )


def test_all_missing_one_frame_constant_and_duplicates(tmp_path):
    points = walk(12)
    points[:, 3] = np.nan
    points[:, 8] = np.nan
    m = read(made(tmp_path, "cortex", points)).actors[0]
    assert len(m.skeleton) == 9 and not m.observed[:, [3, 8]].any() and m.observed[:, :3].all()
    assert len(read(made(tmp_path, "cortex", walk(1)))) == 1
    still = np.repeat(walk(1), 12, 0)
    assert read(made(tmp_path, "cortex", still)).actors[0].positions.std(0).max() == 0
    path = made(tmp_path, "cortex", walk(12))
    path.write_text(path.read_text().replace("RFHD", "LFHD"))
    scene = read(path)
    assert scene.actors[0].skeleton.joints[:2] == ("LFHD", "LFHD_2")
    assert write(scene, tmp_path / "y.trc").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("names", ["\t\t{}", "\t{}", "\t\t\t{}"])
def test_numbers_stay_in_their_columns_wherever_the_names_begin(tmp_path, names):
    "A header one empty cell longer, or with names at other distances, moves no coordinate."
    path = made(tmp_path, "cortex", walk(12))
    want = read(path).actors[0].positions
    lines = path.read_text().split("\n")
    for between in ("\t", "\t\t", "\t\t\t", "\t\t\t\t"):
        lines[3] = "Frame#\tTime" + names.format(between.join(NAMES))
        path.write_text("\n".join(lines))
        scene = read(path)
        assert scene.actors[0].skeleton.joints == tuple(NAMES)
        assert torch.equal(scene.actors[0].positions, want)
        assert any("names in column" in n for n in scene.meta["notes"]) == (names != "\t{}")


def test_numbers_one_column_late(tmp_path):
    path = made(tmp_path, "cortex", walk(12))
    want = read(path).actors[0].positions
    late = re.sub(r"(?m)^(\d+\t[\d.]+\t)", r"\1\t", path.read_text().replace("120.00", "120"))
    path.write_text(late)
    scene = read(path)
    assert torch.equal(scene.actors[0].positions, want) and "column 4" in scene.meta["notes"][0]
    new = want.clone()
    new[3, 0, 0] += 0.5
    write(scene.replace(actors=(scene.actors[0].replace(positions=new),)), tmp_path / "new.trc")
    pairs = zip(late.split("\n"), (tmp_path / "new.trc").read_text().split("\n"))
    changed = [(a.split("\t"), b.split("\t")) for a, b in pairs if a != b]
    ((old, now),) = changed
    assert [i for i, (a, b) in enumerate(zip(old, now)) if a != b] == [3]


def test_rows_without_a_time(tmp_path):
    "A header that names Time over rows that have none moves no coordinate."
    path = made(tmp_path, "cortex", walk(12))
    want = read(path).actors[0].positions
    path.write_text(re.sub(r"(?m)^(\d+\t)[\d.]+\t(?=[-\d])", r"\1", path.read_text()))
    scene = read(path)
    assert "\t0.008" not in path.read_text() and torch.equal(scene.actors[0].positions, want)
    assert "column 2" in scene.meta["notes"][0]
    assert write(scene, tmp_path / "new.trc").read_bytes() == path.read_bytes()


def test_tracks_without_a_name_are_left_out(tmp_path):
    path = made(tmp_path, "cortex", walk(12))
    text = path.read_text().replace("\t\t\t".join(NAMES), "\t\t\t".join(NAMES[:6]))
    path.write_text(text)
    scene = read(path)
    assert scene.actors[0].skeleton.joints == tuple(NAMES[:6])
    assert "3 tracks without a name: left out of the scene" in scene.meta["notes"]
    new = scene.actors[0].positions + 0.1
    write(scene.replace(actors=(scene.actors[0].replace(positions=new),)), tmp_path / "new.trc")
    ends = [
        [row.split("\t")[20:] for row in p.read_text().split("\n")[6:]]
        for p in (path, tmp_path / "new.trc")
    ]
    assert ends[0] == ends[1]
    assert read(tmp_path / "new.trc").actors[0].positions.allclose(new, atol=1e-5)


@pytest.mark.parametrize("word", ["naN", "NAN", "-nan", "nan(ind)", "1.#QNAN", "N/A", "null", "--"])
def test_every_spelling_of_not_a_number(tmp_path, word):
    path = made(tmp_path, "cortex", walk(12))
    lines = path.read_text().split("\n")
    lines[8] = "\t".join([*lines[8].split("\t")[:2], *[word] * 3, *lines[8].split("\t")[5:]])
    path.write_text("\n".join(lines))
    scene = read(path)
    assert (~scene.actors[0].observed).nonzero().tolist() == [[2, 0]]
    assert write(scene, tmp_path / "same.trc").read_bytes() == path.read_bytes()


def test_half_a_point_is_missing(tmp_path):
    "One blank coordinate makes the point missing; the others stay in the file until it is filled."
    path = made(tmp_path, "cortex", walk(12))
    lines = path.read_text().split("\n")
    cells = lines[9].split("\t")
    lines[9] = "\t".join([*cells[:3], "", *cells[4:]])
    path.write_text("\n".join(lines))
    scene = read(path)
    m = scene.actors[0]
    assert m.positions.isnan().all(-1).sum() == m.positions.isnan().any(-1).sum() == 1
    assert write(scene, tmp_path / "same.trc").read_bytes() == path.read_bytes()
    filled = m.positions.nan_to_num(0.5)
    write(scene.replace(actors=(m.replace(positions=filled),)), tmp_path / "new.trc")
    new = (tmp_path / "new.trc").read_text().split("\n")[9].split("\t")
    assert new[2:5] == ["500.00000"] * 3 and new[5:] == cells[5:]


def test_write_failure_keeps_the_old_file(tmp_path):
    path = made(tmp_path, "cortex", walk(12))
    before = path.read_bytes()
    flat = Scene((Motion(torch.zeros(3, 1, 2), Skeleton("dot", ("dot",)), 30),))
    with pytest.raises(ValueError, match="3-D"):
        registry.write(flat, path)
    assert path.read_bytes() == before


# new files


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(1, 6),
    st.integers(1, 30),
    st.integers(1, 3),
    st.sampled_from([12.5, 29.97, 30, 59.94, 119.88, 1000]),
    st.integers(0, 99),
)
def test_new_files_read_back(tmp_path_factory, joints, frames, actors, fps, seed):
    rng = np.random.default_rng(seed)
    skeleton = Skeleton("s", tuple(f"left knee {i}" for i in range(joints)))
    motions = []
    for a in range(actors):
        p = torch.from_numpy(rng.normal(0, 1, (frames, joints, 3)))
        p[torch.from_numpy(rng.random((frames, joints)) < 0.2)] = torch.nan
        motions.append(Motion(p, skeleton, fps, name=f"p{a}"))
    path = write(Scene(tuple(motions)), tmp_path_factory.mktemp("n") / "n.trc")
    back = read(path)
    several = actors > 1 and joints >= 3
    assert len(back.actors) == (actors if several else 1) and back.fps == fps
    want = torch.cat([m.positions for m in motions], 1)
    got = torch.cat([m.positions for m in back.actors], 1)
    np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-6)


def test_speed(tmp_path):
    "20,000 frames of 40 markers."
    rng = np.random.default_rng(0)
    row = "\t".join(f"{v:.5f}" for v in rng.normal(size=120))
    head = (
        cortex(walk(1))
        .split("200\t")[0]
        .replace("\t\t\t".join(NAMES), "\t\t\t".join(f"M{i}" for i in range(40)))
    )
    path = tmp_path / "long.trc"
    path.write_text(head + "".join(f"{t}\t{t / 120:.6f}\t{row}\n" for t in range(20_000)))
    assert len(read(path)) == 20_000
