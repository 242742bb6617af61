"C3D: against ezc3d on files that ezc3d wrote and on files built by hand for three machines, and changed points as the only changed bytes."

import builtins
import itertools
import struct
import warnings

import ezc3d
import numpy as np
import pytest
import torch
from helpers import edited

from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeletons import COCO17
from motionbook.formats.kit.units import turned_back
from motionbook.formats.markers.c3d import read, write
from motionbook.synthetic.people import person, person_markers, two_people

WALK = person_markers(person("walk", seconds=0.5, fps=100.0, seed=0))
LABELS = WALK.skeleton.joints


def by_ezc3d(
    path,
    points=None,
    labels=LABELS,
    units="mm",
    fps=100.0,
    scale=-1.0,
    analog=10,
    first=1,
    more=(),
    residuals=None,
):
    "A laboratory's file: points [t j 3] in its units and axes, forces at ten times the rate, events, cameras, gaps."
    rng = np.random.default_rng(0)
    points = (
        turned_back(WALK.positions.double().numpy(), "z") * {"mm": 1000, "cm": 100, "m": 1}[units]
        if points is None
        else points
    )
    t, j = points.shape[:2]
    c = ezc3d.c3d()
    p = c["parameters"]["POINT"]
    p["UNITS"]["value"], p["RATE"]["value"], p["LABELS"]["value"], p["SCALE"]["value"] = (
        [units],
        [fps],
        list(labels),
        [scale],
    )
    c.add_parameter("SUBJECTS", "NAMES", ["Jane Doe"])
    c.add_parameter("MANUFACTURER", "VERSION", [1.5, 2.25])
    for name, value in more:
        c.add_parameter("POINT", name, value)
    c["data"]["points"] = np.concatenate([points, np.ones((t, j, 1))], -1).transpose(2, 1, 0)
    if residuals is None:
        residuals = np.where(rng.random((t, j)) < 0.05, -1.0, rng.integers(0, 9, (t, j)) * 1.0)
    c["data"]["meta_points"]["residuals"] = residuals.T[None]
    c["data"]["meta_points"]["camera_masks"] = rng.random((7, j, t)) < 0.5
    if analog:
        c["parameters"]["ANALOG"]["LABELS"]["value"] = ["Fz1", "Fz2", "EMG"]
        c["parameters"]["ANALOG"]["RATE"]["value"] = [analog * fps]
        c["data"]["analogs"] = rng.normal(size=(1, 3, analog * t))
    c["header"]["points"]["first_frame"] = first
    c.add_event([0, 0.13], "Left", "Foot Strike")
    c.add_event([0, 0.31], "Right", "Foot Off")
    c.write(str(path))
    return path


# files by hand, for any machine and storage

PACK = {84: "<", 85: "<", 86: ">"}


def dec_float(x: float) -> bytes:
    if x == 0:
        return bytes(4)
    low, high = struct.unpack("<HH", struct.pack("<f", 4 * x))
    return struct.pack("<HH", high, low)


def by_hand(
    points,
    processor=84,
    floats=True,
    scale=0.1,
    labels=LABELS,
    units="mm",
    fps=100.0,
    missing=None,
    analog=2,
    word=517,
    first=1,
    longer=False,
    extra=b"",
) -> bytes:
    "Points [t j 3] in the file's units; the fourth word of seen points is `word`."
    order = PACK[processor]
    number = (
        (lambda x: dec_float(x)) if processor == 85 else (lambda x: struct.pack(order + "f", x))
    )
    integer = lambda x: struct.pack(order + "h", int(x))
    t, j = points.shape[:2]

    def parameter(group, name, kind, dims, data):
        body = struct.pack("bB", kind, len(dims)) + bytes(dims) + data + bytes([3]) + b"say"
        return (
            struct.pack("bb", -len(name), group)
            + name.encode()
            + struct.pack(order + "h", 2 + len(body))
            + body
        )

    group = lambda i, name: (
        struct.pack("bb", len(name), -i) + name.encode() + struct.pack(order + "h", 3) + b"\0"
    )
    size = max((len(n.encode()) for n in labels), default=0)
    sign = -scale if floats else scale
    params = group(1, "POINT") + group(2, "ANALOG") + group(3, "TRIAL")
    for i in range(0, max(len(labels), 1), 255):
        part = labels[i : i + 255]
        params += parameter(
            1,
            "LABELS" + (str(i // 255 + 1) if i else ""),
            -1,
            (size, len(part)),
            b"".join(n.encode().ljust(size) for n in part),
        )
    params += parameter(1, "USED", 2, (), struct.pack(order + "H", j)) + parameter(
        1, "UNITS", -1, (len(units),), units.encode()
    )
    params += parameter(1, "SCALE", 4, (), number(sign)) + parameter(1, "RATE", 4, (), number(fps))
    params += parameter(1, "FRAMES", 2, (), struct.pack(order + "H", min(t, 65535))) + parameter(
        1, "DATA_START", 2, (), integer(2 + (len(params) + 5000) // 512)
    )
    params += parameter(2, "USED", 2, (), integer(1 if analog else 0)) + parameter(
        2, "RATE", 4, (), number(analog * fps)
    )
    params += (
        parameter(2, "LABELS", -1, (3, 1), b"Fz1")
        + parameter(2, "SCALE", 4, (1,), number(0.5))
        + parameter(2, "OFFSET", 2, (1,), integer(3))
    )
    params += parameter(2, "GEN_SCALE", 4, (), number(2.0))
    if longer:
        end = first + t - 1
        params += parameter(3, "ACTUAL_START_FIELD", 2, (2,), struct.pack(order + "HH", first, 0))
        params += parameter(
            3, "ACTUAL_END_FIELD", 2, (2,), struct.pack(order + "HH", end % 65536, end // 65536)
        )
    params += extra + bytes(2)
    blocks = -(-(len(params) + 4) // 512)
    words = struct.pack(order + "HHHHH", j, analog, first, min(first + t - 1, 65535), 10)
    head = (
        bytes([2, 0x50])
        + words
        + number(sign)
        + struct.pack(order + "HH", 2 + blocks, analog)
        + number(fps)
    )
    missing = np.zeros((t, j), bool) if missing is None else missing
    body = []
    for f, frame in enumerate(points):
        for k, p in enumerate(frame):
            values = (0, 0, 0, -1) if missing[f, k] else (*p, word)
            body += [
                number(x)
                if floats
                else integer(round(x / scale) if i < 3 and not missing[f, k] else x)
                for i, x in enumerate(values)
            ]
        body += [number(v) if floats else integer(v) for v in range(f, f + analog)]
    return (
        head.ljust(512, b"\0")
        + (bytes([1, 0x50, blocks, processor]) + params).ljust(512 * blocks, b"\0")
        + b"".join(body)
    )


POINTS = turned_back(WALK.positions.double().numpy()[:12], "z") * 1000
MISSING = np.random.default_rng(1).random(POINTS.shape[:2]) < 0.1
STORAGES = list(itertools.product([84, 85, 86], [True, False]))


@pytest.fixture
def put(tmp_path):
    def put(data: bytes, name="walk.c3d"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return put


def contents(path):
    "Everything that ezc3d finds in a file; of SGI's, which it does not read, what we find."
    layout = read(path).meta["original"].layout
    if layout.processor == "sgi":
        r = layout.records().astype(float)
        found = (
            np.where(r[..., 3:] < 0, np.nan, r[..., :3] * layout.scale),
            np.where(r[..., 3] < 0, -1, np.where(r[..., 3] == 0, 0, 2)),
            r[None, ..., 3].transpose(0, 2, 1),
        )
        return *found, layout.samples(), {n: p.value for n, p in layout.parameters.items()}
    c = ezc3d.c3d(str(path))
    params = {
        (g, k): v["value"]
        for g, p in c["parameters"].items()
        for k, v in p.items()
        if k != "__METADATA__"
    }
    d = c["data"]
    return (
        d["points"][:3].transpose(2, 1, 0),
        d["meta_points"]["residuals"][0].T,
        d["meta_points"]["camera_masks"],
        d["analogs"][0],
        params,
        dict(c["header"]["points"]),
        dict(c["header"]["events"]),
    )


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")


# reading


@pytest.mark.parametrize("units", ["mm", "cm", "m"])
@pytest.mark.parametrize("scale", [-1.0, -0.1, 0.1])
@pytest.mark.parametrize("first", [1, 57])
def test_what_ezc3d_writes_is_read_as_ezc3d_reads_it(tmp_path, units, scale, first):
    path = by_ezc3d(tmp_path / "a.c3d", units=units, scale=scale, first=first)
    points, residuals, _, analogs, *_ = contents(path)
    scene = read(path)
    (m,) = scene.actors
    assert (scene.meta["units"], scene.meta["up"], scene.fps, scene.meta["fps_stated"]) == (
        units,
        "z",
        100.0,
        True,
    )
    assert (
        m.skeleton.joints == LABELS
        and np.array_equal(m.observed.numpy(), residuals >= 0)
        and 0 < (residuals < 0).sum()
    )
    want = points * {"mm": 0.001, "cm": 0.01, "m": 1}[units]
    assert (
        np.nanmax(
            np.abs(m.positions.numpy() - np.stack([want[..., 0], want[..., 2], -want[..., 1]], -1))
        )
        < 1e-6
    )
    assert torch.allclose(m.positions[m.observed], WALK.positions[m.observed], atol=1e-6)
    found = scene.meta["original"].analogs()
    assert (
        np.allclose([found[k] for k in ("Fz1", "Fz2", "EMG")], analogs, atol=1e-6)
        and len(found["EMG"]) == 500
    )
    assert scene.meta["first_frame"] == first + 1  # which ezc3d counts from 0
    assert [(round(t, 6), n) for t, n in scene.meta["events"]] == [
        (0.13, "Left Foot Strike"),
        (0.31, "Right Foot Off"),
    ]


@pytest.mark.parametrize("processor, floats", STORAGES)
def test_three_machines_and_two_storages(put, processor, floats):
    path = put(by_hand(POINTS, processor, floats, missing=MISSING))
    (m,) = read(path).actors
    assert np.array_equal(m.observed.numpy(), ~MISSING)
    assert (m.positions - WALK.positions[:12])[m.observed].abs().max() < (1e-6 if floats else 6e-5)
    doc = read(path).meta["original"]
    assert np.array_equal(
        doc.analogs()["Fz1"], (np.add.outer(np.arange(12), [0, 1]).ravel() - 3.0) * 0.5 * 2
    )
    points, residuals, *_ = contents(path)
    back = turned_back(m.positions.double().numpy(), "z") * 1000
    assert np.nanmax(np.abs(back - points)) < 1e-3 and np.array_equal(residuals < 0, MISSING)


def test_long_recordings_count_their_frames_elsewhere(put):
    points = np.tile(POINTS[:1, :2], (70_000, 1, 1))
    scene = read(put(by_hand(points, labels=LABELS[:2], longer=True, analog=0)), units="mm")
    assert len(scene) == 70_000
    assert (
        len(
            read(
                put(by_hand(points[:500], labels=LABELS[:2], longer=True, first=65_000)), units="mm"
            )
        )
        == 500
    )


def test_many_points_have_their_labels_in_several_parameters(put, tmp_path):
    labels = [f"M{i:03d}" for i in range(300)]
    points = np.random.default_rng(0).random((4, 300, 3)) * 1000
    (m,) = read(put(by_hand(points, labels=labels)), up="y").actors
    assert m.skeleton.joints == tuple(labels)


def test_labels_that_are_empty_or_doubled(put):
    labels = ["A", "", "B", "A", "A", "Knöchel"]
    points = np.random.default_rng(0).random((4, 6, 3)) * 1000
    (m,) = read(put(by_hand(points, labels=labels)), up="y").actors
    assert m.skeleton.joints == ("A", "marker2", "B", "A_2", "A_3", "Knöchel")
    few = by_hand(points, labels=["A", "B"])
    assert read(put(few)).actors[0].skeleton.joints == (
        "A",
        "B",
        "marker3",
        "marker4",
        "marker5",
        "marker6",
    )


def test_no_tree_is_made_up(put):
    labels = ["LFHD", "RFHD", "C7", "LANK", "RANK"]
    (m,) = read(put(by_hand(POINTS[:, :5], labels=labels))).actors
    assert not m.skeleton.has_tree and m.skeleton.edges == ()
    (m,) = read(put(by_hand(POINTS))).actors
    assert m.skeleton.edges and m.skeleton.joints == LABELS


def test_angles_and_unnamed_tracks_are_left_out_and_stay(tmp_path):
    labels = [*LABELS, "LKneeAngles", "LKneeMoment", "*17"]
    points = np.concatenate([POINTS, np.full((12, 3, 3), 40.0)], 1)
    path = by_ezc3d(
        tmp_path / "a.c3d",
        points,
        labels,
        more=(("ANGLES", ["LKneeAngles", ""]), ("MOMENTS", ["LKneeMoment"])),
        analog=0,
    )
    scene = read(path)
    assert scene.actors[0].skeleton.joints == LABELS
    assert [n.split(" (")[0] for n in scene.meta["notes"]] == [
        "2 points are angles or forces",
        "1 tracks without a name",
    ]
    m = scene.actors[0]
    out = write(
        scene.replace(actors=(m.replace(positions=m.positions + 0.01),)), tmp_path / "b.c3d"
    )
    assert np.array_equal(contents(out)[0][:, 20:], contents(path)[0][:, 20:], equal_nan=True)


def test_subjects_become_actors(put):
    labels = [f"{s}:{n}" for s in ("Ann", "Bob") for n in LABELS]
    points = np.concatenate([POINTS, POINTS + 1000], 1)
    scene = read(put(by_hand(points, labels=labels)))
    assert [m.name for m in scene.actors] == ["Ann", "Bob"] and scene.actors[
        1
    ].skeleton.joints == LABELS


@pytest.mark.parametrize("up", ["y", "z", "x"])
def test_the_up_axis_is_stated_or_seen(put, tmp_path, up):
    points = turned_back(WALK.positions.double().numpy(), up) * 1000
    stated = by_ezc3d(
        tmp_path / "a.c3d",
        points,
        [f"P{i}" for i in range(20)],
        more=(("X_SCREEN", ["+X"]), ("Y_SCREEN", [f"+{up.upper()}"])),
    )
    assert read(stated).meta["up"] == up
    if up != "x":
        assert read(by_ezc3d(tmp_path / "b.c3d", points)).meta["up"] == up
    (m,) = read(stated).actors
    assert torch.allclose(m.positions[m.observed], WALK.positions[m.observed], atol=1e-6)


def test_units_are_checked_against_the_body(put):
    scene = read(put(by_hand(POINTS / 1000, units="mm")))
    assert (
        scene.meta["units"] == "m" and "POINT:UNITS says mm, the body says m" in scene.meta["notes"]
    )
    assert read(put(by_hand(POINTS / 1000, units="mm")), units="mm").meta["units"] == "mm"


def test_zeros_and_nan_are_missing(put):
    points = POINTS.copy()
    points[3, 4], points[5, 6] = 0, np.nan
    points[:, 7] = 0
    (m,) = read(put(by_hand(points))).actors
    want = np.ones((12, 20), bool)
    want[3, 4] = want[5, 6] = False
    assert np.array_equal(m.observed.numpy(), want)
    assert read(put(by_hand(points)), zeros="keep").actors[0].observed[3, 4]
    assert not read(put(by_hand(points)), zeros="missing").actors[0].observed[:, 7].any()


def test_bits_that_are_no_number_are_missing_and_stay(put, tmp_path):
    "Signalling NaNs and infinities neither warn nor change."
    start = read(put(GOOD)).meta["original"].layout.start
    for bits in (b"\1\0\x80\x7f", b"\xff\xff\xff\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff"):
        path = put(patched(GOOD, start, bits))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scene = read(path)
            assert not scene.actors[0].observed[0, 0] and scene.actors[0].observed[1:].all()
            assert write(scene, tmp_path / "b.c3d").read_bytes() == path.read_bytes()


def test_fps_of_television(put):
    assert read(put(by_hand(POINTS, fps=59.94))).fps == 59.94
    with pytest.raises(BadFile, match="POINT:RATE above 0.*fps="):
        read(put(by_hand(POINTS, fps=0)))
    assert read(put(by_hand(POINTS, fps=0)), fps=30).fps == 30


# writing


def changed(scene, seed=0):
    "Some points moved, some gaps filled, some points removed; which."
    (m,) = scene.actors
    g = torch.Generator().manual_seed(seed)
    which = torch.rand(m.positions.shape[:2], generator=g) < 0.3
    points = torch.where(m.observed[..., None], m.positions, WALK.positions[: len(m)])
    points = points + 0.01 * torch.randn(points.shape, generator=g)
    points[torch.rand(which.shape, generator=g) < 0.2] = torch.nan
    points = torch.where(which[..., None], points, m.positions)
    assert (which & ~m.observed & points.isfinite().all(-1)).any() and (
        which & m.observed & points.isnan().any(-1)
    ).any()
    return scene.replace(actors=(m.replace(positions=points),)), which


def check_patch(path, out, edited, which, fine, word):
    "Only the chosen points' bytes differ, ezc3d finds everything else as it was, and the scene reads back."
    old, new = (np.frombuffer(p.read_bytes(), np.uint8) for p in (path, out))
    assert len(old) == len(new)
    layout = read(path).meta["original"].layout
    differ = (layout.table(old) != layout.table(new)).nonzero()
    assert np.array_equal(old[: layout.start], new[: layout.start])
    assert all(which[f, b // (4 * word)] for f, b in zip(*differ))
    before, after = contents(path), contents(out)
    w = which.numpy()
    assert np.array_equal(before[0][~w], after[0][~w], equal_nan=True) and np.array_equal(
        before[1][~w], after[1][~w]
    )
    assert np.array_equal(before[2][:, ~w.T], after[2][:, ~w.T])
    assert all(same(a, b) for a, b in zip(before[3:], after[3:]))
    (m,), (back,) = edited.actors, read(out).actors
    valid = m.observed.numpy() & w
    touched = w & ~((before[0] == after[0]) | (np.isnan(before[0]) & np.isnan(after[0]))).all(-1)
    assert (after[1][valid & touched] == 0).all() and (
        after[1][w & ~m.observed.numpy()] == -1
    ).all()
    assert torch.equal(back.observed, m.observed)
    assert torch.equal(back.positions[~which].nan_to_num(), m.positions[~which].nan_to_num())
    assert (back.positions - m.positions).nan_to_num().abs().max() <= fine


@pytest.mark.parametrize("units", ["mm", "m"])
@pytest.mark.parametrize("scale", [-1.0, -0.1])
def test_only_changed_points_are_other_bytes(tmp_path, units, scale):
    path = by_ezc3d(tmp_path / "a.c3d", units=units, scale=scale)
    scene = read(path)
    assert write(scene, tmp_path / "same.c3d").read_bytes() == path.read_bytes()
    edited, which = changed(scene)
    check_patch(path, write(edited, tmp_path / "b.c3d"), edited, which, 1e-6, 4)


@pytest.mark.parametrize("processor, floats", STORAGES)
def test_only_changed_points_on_three_machines(put, tmp_path, processor, floats):
    path = put(by_hand(POINTS, processor, floats, missing=MISSING))
    scene = read(path)
    assert write(scene, tmp_path / "same.c3d").read_bytes() == path.read_bytes()
    edited, which = changed(scene)
    check_patch(
        path,
        write(edited, tmp_path / "b.c3d"),
        edited,
        which,
        1e-6 if floats else 5.1e-5,
        4 if floats else 2,
    )


def test_integers_that_are_too_small_are_refused(put, tmp_path):
    scene = read(put(by_hand(POINTS, floats=False, scale=0.1)))
    (m,) = scene.actors
    far = m.positions.clone()
    far[2, 3, 0] = 4.0  # 40,000 units of 0.1 mm
    with pytest.raises(ValueError, match=r"within 3276\.7 units"):
        write(scene.replace(actors=(m.replace(positions=far),)), tmp_path / "far.c3d")
    assert not (tmp_path / "far.c3d").exists()


@pytest.mark.parametrize("up", ["y", "z"])
def test_a_new_file_is_read_back_by_both(tmp_path, up):
    m = WALK.replace(
        positions=torch.where(
            torch.rand(50, 20, 1, generator=torch.Generator().manual_seed(0)) < 0.1,
            torch.nan,
            WALK.positions,
        )
    )
    out = write(Scene((m,)), tmp_path / "new.c3d")
    scene = read(out)
    assert (scene.meta["units"], scene.meta["up"], scene.fps) == ("mm", "z", 100.0)
    assert torch.allclose(scene.actors[0].positions, m.positions, atol=1e-6, equal_nan=True)
    points, residuals, *_ = contents(out)
    assert np.array_equal(residuals < 0, ~m.observed.numpy()) and np.nanmax(points[..., 2]) > 1000


def test_another_number_of_frames_is_a_new_file_in_the_same_units(tmp_path):
    scene = read(by_ezc3d(tmp_path / "a.c3d", units="m"))
    (m,) = scene.actors
    part = read(
        write(scene.replace(actors=(m.replace(positions=m.positions[10:30]),)), tmp_path / "b.c3d")
    )
    assert (len(part), part.meta["units"], part.meta["up"]) == (20, "m", "z")
    assert torch.allclose(part.actors[0].positions, m.positions[10:30], atol=1e-6, equal_nan=True)


def test_two_people_in_a_new_file(tmp_path):
    scene = two_people(seconds=0.5, fps=50.0, seed=0)
    back = read(write(scene, tmp_path / "two.c3d"))
    assert len(back.actors) == 2
    for a, b in zip(back.actors, scene.actors):
        at = [a.skeleton.index(j) for j in b.skeleton.joints]
        assert torch.allclose(a.positions[:, at], b.positions, atol=1e-6)


def test_a_name_in_capitals(tmp_path):
    assert len(read(write(Scene((WALK,)), tmp_path / "NEW.C3D"))) == 50
    assert [p.name for p in tmp_path.iterdir()] == ["NEW.C3D"]


def test_without_ezc3d_one_line_says_what_to_install(tmp_path, monkeypatch):
    path, real = by_ezc3d(tmp_path / "a.c3d"), builtins.__import__
    monkeypatch.setattr(
        builtins,
        "__import__",
        lambda name, *a, **k: (
            real(name, *a, **k) if name != "ezc3d" else real("no_such_module_ezc3d")
        ),
    )
    scene = read(path)
    assert write(scene, tmp_path / "b.c3d").read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match=r"pip install 'motionbook\[c3d\]'"):
        write(Scene((WALK,)), tmp_path / "new.c3d")


def test_two_dimensions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="2-D pixels"):
        write(Scene((Motion(torch.zeros(3, 17, 2), COCO17, 30),)), tmp_path / "a.c3d")


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize("floats", [True, False])
def test_the_fourth_word_is_signed_whoever_carries_it(put, floats):
    "65535 in a float is −1 in sixteen bits: not seen."
    data = by_hand(POINTS, floats=floats, word=517)
    layout = read(put(data)).meta["original"].layout
    raw = np.frombuffer(data, np.uint8).copy()
    word = np.array([65535.0], "<f4") if floats else np.array([65535], "<u2")
    layout.table(raw)[2, 3 * layout.word : 4 * layout.word] = word.view(np.uint8)
    m = read(put(raw.tobytes())).actors[0]
    assert (~m.observed).nonzero().tolist() == [[2, m.skeleton.index(LABELS[0])]]


@pytest.mark.parametrize("blocks", [1, 2, 200, 0])
def test_a_wrong_count_of_parameter_blocks_does_no_harm(put, blocks):
    want = read(put(by_hand(POINTS))).actors[0].positions
    wrong = patched(by_hand(POINTS), 514, bytes([blocks]))
    scene = read(put(wrong))
    assert scene.actors[0].positions.equal(want) and scene.fps == 100


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_analog_samples_counted_in_other_ways(put, count):
    "The header says another number than the two samples of a frame; the size of the file tells."
    data = by_hand(POINTS, analog=2)
    one = patched(data, 4, struct.pack("<H", count))
    for a in (data, one):
        layout = read(put(a)).meta["original"].layout
        assert (layout.analogs, layout.subframes) == (1, 2)
        assert read(put(a)).actors[0].positions.equal(read(put(data)).actors[0].positions)


def test_rotations_without_points_say_so(put):
    body = struct.pack("bB", 2, 0) + struct.pack("<h", 1) + b"\0"
    extra = struct.pack("bb", 8, -4) + b"ROTATION" + struct.pack("<h", 3) + b"\0"
    extra += struct.pack("bb", 4, 4) + b"USED" + struct.pack("<h", 2 + len(body)) + body
    with pytest.raises(BadFile, match="no points: the file holds rotations"):
        read(put(patched(by_hand(POINTS, extra=extra), 2, b"\0\0")))


# bad input


GOOD = by_hand(POINTS)


@pytest.mark.parametrize(
    "data, says",
    [
        (b"", "empty"),
        (GOOD[:700], "700 bytes"),
        (GOOD[:1500], "cut off"),
        (GOOD[:-100], "expected 12 frames of 20 points, got bytes for 11"),
        (patched(GOOD, 1, b"\x51"), "0x51"),
        (patched(GOOD, 0, b"\xff"), "block 255"),
        (patched(GOOD, 515, b"\x07"), "84, 85 or 86"),
        (patched(GOOD, 2, b"\0\0"), "no points"),
        (patched(patched(GOOD, 6, b"\5\0\4\0"), GOOD.index(b"FRAMES") + 10, b"\0\0"), "no frames"),
        (patched(GOOD, 8, b"\xff\xff"), "expected 65,535 frames"),
        (patched(GOOD, 2, b"\xff\xff"), "65,535 points"),
        (patched(GOOD, 16, b"\xff\xff"), "cut off"),
        (patched(GOOD, 16, b"\0\0"), "cut off"),
        (patched(GOOD, 4, b"\3\0") + bytes(1024), "multiple of 2 analog samples"),
        (patched(GOOD, GOOD.index(b"LABELS") + 10, b"\xff\xff"), "leads out of it"),
        (patched(GOOD, GOOD.index(b"LABELS") + 6, b"\x05\0"), "'LABELS' that leads back"),
        (patched(GOOD, GOOD.index(b"LABELS") + 8, b"\x09"), "another type"),
        (by_hand(POINTS, scale=0.0), "POINT:SCALE"),
        (GOOD.replace(b"LABELS", b"LABELS"[:5] + b"\xff", 1)[:1024], "cut off"),
        (by_hand(POINTS, longer=True, first=65_530)[:-2000] , "cut off"),
    ],
)  # fmt: skip
def test_bad_files(put, data, says):
    with pytest.raises(BadFile, match=r"^walk\.c3d: ") as err:
        read(put(data))
    assert says in str(err.value) and "\n" not in str(err.value)


def test_a_billion_frames(put):
    end = struct.pack("<HH", 1_000_000_000 % 65536, 1_000_000_000 // 65536)
    data = by_hand(POINTS, longer=True)
    at = data.index(b"ACTUAL_END_FIELD") + 16 + 2 + 3
    data = patched(patched(data, at, end), 8, b"\xff\xff")
    with pytest.raises(
        BadFile, match="expected 1,000,000,000 frames of 20 points, got bytes for 12"
    ):
        read(put(data))


def test_one_frame_still_markers_and_one_never_seen(put, tmp_path):
    assert len(read(put(by_hand(POINTS[:1])))) == 1
    never = np.zeros((12, 20), bool)
    never[:, 3] = True
    scene = read(put(by_hand(np.repeat(POINTS[:1], 12, 0), missing=never)))
    assert not scene.actors[0].observed[:, 3].any()
    assert write(scene, tmp_path / "b.c3d").read_bytes() == (tmp_path / "walk.c3d").read_bytes()


def test_a_folder_and_a_missing_file(tmp_path):
    for path, says in ((tmp_path, "a folder"), (tmp_path / "no.c3d", "an existing file")):
        with pytest.raises(BadFile, match=says):
            read(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "old.c3d").write_text("precious")
    with pytest.raises(ValueError):
        write(Scene((Motion(torch.zeros(3, 17, 2), COCO17, 30),)), tmp_path / "old.c3d")
    assert (tmp_path / "old.c3d").read_text() == "precious"


def test_tracks_with_an_empty_label_that_come_and_go_are_left_out_and_stay(tmp_path):
    "As in TRC, nothing is invented for what has no name; where nothing has a name, all are markers."
    path, gone = tmp_path / "a.c3d", np.zeros((len(POINTS), 6), bool)
    gone[3:9, 4:] = True
    path.write_bytes(by_hand(POINTS[:, :6], labels=[*LABELS[:4], "", " "], missing=gone))
    scene = read(path)
    assert scene.actors[0].skeleton.joints == tuple(LABELS[:4])
    assert "2 tracks without a name: left out of the scene" in scene.meta["notes"]
    out = write(edited(scene, joint=2), tmp_path / "b.c3d")
    old, new = contents(path)[0], contents(out)[0]
    assert np.array_equal(old[:, 4:], new[:, 4:], equal_nan=True)
    assert not np.array_equal(old[:, 2], new[:, 2])
    path.write_bytes(by_hand(POINTS[:, :6], labels=[*LABELS[:4]], missing=gone))  # fewer labels
    assert read(path).actors[0].skeleton.joints == tuple(LABELS[:4])
    path.write_bytes(by_hand(POINTS[:, :6], labels=[""] * 6, missing=gone))
    scene = read(path)
    assert scene.actors[0].skeleton.joints == tuple(f"marker{k}" for k in range(1, 7))
    assert not any("left out" in n for n in scene.meta["notes"])
