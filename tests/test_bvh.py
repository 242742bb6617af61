"BVH: real recordings byte for byte, forward kinematics against bvhio, and the habits of the programs that write it."

import math
import os
import random
import re
import tarfile

import numpy as np
import pytest
import torch

import motionbook
from motionbook.core.files import BadFile
from motionbook.core.kinematics import refit
from motionbook.core.motion import Motion, Scene, fk
from motionbook.core.rotation import rotation_angle
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import SMPL22
from motionbook.formats.bvh.bvh import bvh_bytes, read, write
from motionbook.synthetic.people import person

ZXY, XYZ = ("Zrotation", "Xrotation", "Yrotation"), ("Xposition", "Yposition", "Zposition")
BODY = [  # name, parent, centimetres, y up
    ("Hips", None, (0, 92, 0)), ("Spine", "Hips", (0, 10, 0)), ("Chest", "Spine", (0, 22, 0)), ("Neck", "Chest", (0, 22, 0)),
    ("Head", "Neck", (0, 10, 1)), ("LeftArm", "Chest", (18, 18, 0)), ("LeftForeArm", "LeftArm", (28, 0, 0)), ("LeftHand", "LeftForeArm", (25, 0, 0)),
    ("RightArm", "Chest", (-18, 18, 0)), ("RightForeArm", "RightArm", (-28, 0, 0)), ("RightHand", "RightForeArm", (-25, 0, 0)),
    ("LeftUpLeg", "Hips", (9, -4, 0)), ("LeftLeg", "LeftUpLeg", (0, -43, 0)), ("LeftFoot", "LeftLeg", (0, -41, 0)), ("LeftToe", "LeftFoot", (0, -4, 13)),
    ("RightUpLeg", "Hips", (-9, -4, 0)), ("RightLeg", "RightUpLeg", (0, -43, 0)), ("RightFoot", "RightLeg", (0, -41, 0)), ("RightToe", "RightFoot", (0, -4, 13)),
]  # fmt: skip


def recording(
    frames=40,
    order=ZXY,
    everyone=False,
    prefix="",
    unit=1.0,
    up="y",
    frame_time="0.0333333",
    indent="  ",
    end=(0, 5, 0),
    number="%.6f",
    seed=0,
) -> str:
    "The same person walking, as different programs write it."
    turn = (lambda v: (v[0], -v[2], v[1])) if up == "z" else (lambda v: v)
    children = {n: [c for c, p, _ in BODY if p == n] for n, _, _ in BODY}
    offset = {n: [unit * x for x in turn(o)] for n, _, o in BODY}
    words, lines = [], ["HIERARCHY"]

    def put(name, depth):
        tab, channels = indent * depth, (*XYZ, *order) if everyone or depth == 0 else order
        lines.extend([f"{tab}{'JOINT' if depth else 'ROOT'} {prefix}{name}", tab + "{"])
        lines.append(f"{tab}{indent}OFFSET " + " ".join(number % x for x in offset[name]))
        lines.append(f"{tab}{indent}CHANNELS {len(channels)} {' '.join(channels)}")
        words.extend((name, c) for c in channels)
        for c in children[name]:
            put(c, depth + 1)
        if not children[name]:
            inner = [
                f"{tab}{indent}End Site",
                f"{tab}{indent}{{",
                f"{tab}{indent * 2}OFFSET " + " ".join(number % (unit * x) for x in turn(end)),
                f"{tab}{indent}}}",
            ]
            lines.extend(inner)
        lines.append(tab + "}")

    put("Hips", 0)
    rng, t = np.random.default_rng(seed), np.arange(frames) / 30
    swing = {(n, a): (rng.uniform(5, 15), rng.uniform(0, 6)) for n, _, _ in BODY for a in "XYZ"}
    columns = []
    for name, channel in words:
        axis = channel[0]
        if "position" in channel:
            travel = turn((0, 0, 100))["XYZ".index(axis)] if name == "Hips" else 0
            columns.append(offset[name]["XYZ".index(axis)] + unit * travel * t)
        else:
            old = (
                {"X": ("X", 1), "Y": ("Z", -1), "Z": ("Y", 1)}[axis] if up == "z" else (axis, 1)
            )  # z up: x, -z, y
            size, phase = swing[name, old[0]]
            columns.append(old[1] * size * np.sin(4 * t + phase))
    rows = [" ".join(number % v for v in row) + " " for row in np.stack(columns, 1)]
    return "\n".join(
        [*lines, "MOTION", f"Frames: {frames}", f"Frame Time: {frame_time}", *rows, ""]
    )


@pytest.fixture
def parse(tmp_path):
    def parse(text, **options):
        (tmp_path / "walk.bvh").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(tmp_path / "walk.bvh", **options)

    return parse


def by_bvhio(path, frames):
    "{joint: [f 3]} positions of some frames, in the file's unit, by an independent program."
    bvhio = pytest.importorskip("bvhio", reason="pip install 'motionbook[oracle]'")
    root = bvhio.readAsHierarchy(str(path))
    places = {}
    for f in frames:
        root.loadPose(int(f), recursive=True)
        for joint, _, _ in root.layout():
            places.setdefault(joint.Name, []).append(tuple(joint.PositionWorld))
    return {k: np.array(v) for k, v in places.items()}


# real recordings


@pytest.fixture(scope="module")
def samples(real_data):
    "Every small recording, read."
    paths = [*sorted((real_data / "bvh/samples").glob("*.bvh")), real_data / "asf_amc/01_01.bvh"]
    assert len(paths) > 10
    return [(path, read(path)) for path in paths]


def test_samples_are_byte_identical(samples, tmp_path):
    for path, scene in samples:
        assert write(scene, tmp_path / "copy.bvh").read_bytes() == path.read_bytes(), path.name


def test_samples_agree_with_bvhio(samples, tmp_path):
    for path, scene in samples:
        (motion,), scale = scene.actors, scene.meta["scale"]
        few = range(0, min(len(motion), 40), 13)
        for name, want in by_bvhio(beginning(path, tmp_path / "part.bvh"), few).items():
            gap = np.abs(motion.joint(name)[list(few)].numpy() / scale - want).max()
            assert gap < 1e-3, f"{path.name}: {name} is {gap:.2g} units away"


def beginning(path, to, frames=40):
    "The first frames of a file as a file, since bvhio takes seconds for a minute of motion."
    head, rows = re.match(
        r"(.*Frame Time:\s*\S+\s*?\n)(.*)", path.read_bytes().decode(), re.DOTALL
    ).groups()
    rows = rows.splitlines()[:frames]
    to.write_text(
        "\n".join([re.sub(r"(Frames:\s*)\d+", rf"\g<1>{len(rows)}", head).rstrip(), *rows, ""])
    )
    return to


def members(path):
    with tarfile.open(path) as tar:
        return sorted(m.name for m in tar if m.name.endswith(".bvh"))


@pytest.mark.parametrize("archive, count, joints", [("bandai", 432, (22, 27)), ("cmu", 32, (57,))])
def test_archives_are_byte_identical(real_data, tmp_path, archive, count, joints):
    "A few of each; all of them with MOTIONBOOK_FULL=1."
    path = real_data / f"bvh/{archive}.tar.gz"
    names = members(path)
    assert len(names) == count
    few = set(
        names
        if os.environ.get("MOTIONBOOK_FULL")
        else random.Random(0).sample(names, 40 if archive == "bandai" else 2)
    )
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name in few:
                data = tar.extractfile(member).read()
                (tmp_path / "x.bvh").write_bytes(data)
                scene = read(tmp_path / "x.bvh")
                assert bvh_bytes(scene) == data, member.name
                assert len(scene.actors[0].skeleton) in joints
                assert scene.meta["units"] == "cm" and scene.meta["up"] == "y"


def test_real_units_fps_and_travel(real_data):
    cmu = read(real_data / "asf_amc/01_01.bvh")
    assert (cmu.meta["units"], cmu.fps) == ("cmu", 120)
    assert 0.8 < cmu.actors[0].joint("root")[:, 1].median() < 1.1
    bandai = read(real_data / "bvh/samples/dataset-1_walk_normal_001.bvh").actors[0]
    assert bandai.positions[:, 0].abs().max() == 0
    assert bandai.joint("Hips")[:, 2].max() - bandai.joint("Hips")[:, 2].min() > 2
    assert bandai.skeleton.joints[bandai.skeleton.roles["root"]] == "Hips"


def test_repairing_a_real_recording_touches_only_the_repair(real_data):
    path = real_data / "bvh/samples/salsa_01.bvh"
    scene, text = read(path), path.read_bytes().decode()
    (m,) = scene.actors
    changed = torch.zeros(m.positions.shape[:2], dtype=torch.bool)
    changed[500:520, m.skeleton.indices(["lForeArm", "lHand"])] = True
    fixed, residual = refit(m, m.positions + 0.03 * changed[..., None], changed)
    new = bvh_bytes(scene.replace(actors=(fixed,))).decode()
    old_lines, new_lines = text.split("\n"), new.split("\n")
    differ = [i for i, (a, b) in enumerate(zip(old_lines, new_lines)) if a != b]
    first = next(i for i, line in enumerate(old_lines) if line.startswith("Frame Time")) + 1
    assert differ == list(range(first + 500, first + 520))
    doc = scene.meta["original"]
    columns = set()
    for name in ("lShldr", "lForeArm", "lHand"):
        node = doc.file.nodes[doc.trees[0][m.skeleton.index(name)]]
        columns |= set(range(node.first, node.first + 3))
    for i in differ:
        a, b = old_lines[i].split(" "), new_lines[i].split(" ")
        assert len(a) == len(b) and {k for k in range(len(a)) if a[k] != b[k]} <= columns
    assert (fixed.positions - m.positions)[500:520].norm(dim=-1)[
        :, m.skeleton.index("lIndex1")
    ].max() < 0.01  # trusted fingers hold
    assert residual[:500].max() == 0 and residual[changed].max() < 0.06


def test_repaired_file_reads_back_as_the_repair(real_data, tmp_path):
    for name in ("salsa_01", "dataset-1_kick_normal_001", "dataset-2_wave-both-hands_active_001"):
        scene = read(real_data / f"bvh/samples/{name}.bvh")
        (m,) = scene.actors
        changed = torch.zeros(m.positions.shape[:2], dtype=torch.bool)
        changed[50:80] = True
        fixed = refit(
            m, m.positions + torch.tensor([0.0, 0.05, 0.02]) * changed[..., None], changed
        ).motion
        back = read(write(scene.replace(actors=(fixed,)), tmp_path / "fixed.bvh")).actors[0]
        assert (back.positions - fixed.positions).norm(dim=-1).max() < 1e-4
        assert torch.equal(back.positions[:50], m.positions[:50]) and torch.equal(
            back.positions[80:], m.positions[80:]
        )


# programs


DIALECTS = {
    "Mixamo": dict(prefix="mixamorig:", frame_time="0.0333333"),
    "MotionBuilder": dict(
        prefix="BVH:",
        order=("Zrotation", "Xrotation", "Yrotation"),
        indent="\t",
        frame_time="0.0083333",
    ),
    "LAFAN1": dict(
        order=("Zrotation", "Yrotation", "Xrotation"), frame_time="0.033333", indent="\t"
    ),
    "100STYLE": dict(order=("Yrotation", "Xrotation", "Zrotation"), frame_time="0.016667"),
    "Xsens": dict(
        everyone=True, order=("Yrotation", "Xrotation", "Zrotation"), frame_time="0.004167"
    ),
    "Rokoko": dict(everyone=True, order=("Zrotation", "Xrotation", "Yrotation"), number="%.5f"),
    "Blender": dict(
        order=("Xrotation", "Yrotation", "Zrotation"), unit=0.01, frame_time="0.041667", indent="\t"
    ),
    "Blender, z up": dict(order=("Xrotation", "Yrotation", "Zrotation"), unit=0.01, up="z"),
    "iPi": dict(prefix="", frame_time="0.03333333", number="%.4f"),
    "3ds Max in inches": dict(prefix="Bip01 ", unit=1 / 2.54),
    "millimetres": dict(unit=10.0, frame_time="0.01"),
    "no end": dict(end=(0, 0, 0)),
}
RATES = {"MotionBuilder": 120, "100STYLE": 60, "Xsens": 240, "Blender": 24, "millimetres": 100}


@pytest.mark.parametrize("name", DIALECTS)
def test_programs(parse, tmp_path, name):
    options = DIALECTS[name]
    text = recording(**options)
    scene = parse(text)
    (m,) = scene.actors
    assert bvh_bytes(scene) == text.encode()
    unit, up = options.get("unit", 1.0), options.get("up", "y")
    assert scene.meta["scale"] == pytest.approx(0.01 / unit, rel=1e-6)
    assert scene.meta["up"] == up
    assert scene.fps == RATES.get(name, 30)
    assert {"left_knee", "right_elbow", "head", "root"} <= set(m.skeleton.roles)
    assert m.positions[..., 1].max() < 2 and m.positions[..., 1].min() > -0.3
    want = by_bvhio(tmp_path / "walk.bvh", [0, 17])
    for joint, x in zip(m.skeleton.joints, m.positions[[0, 17]].unbind(1)):
        if joint in want:  # bvhio ends a name at the first blank
            there = want[joint] * 0.01 / unit
            there = there[:, [0, 2, 1]] * (1, 1, -1) if up == "z" else there
            assert np.abs(x.numpy() - there).max() < 1e-5


def test_up_axis_does_not_change_the_person(parse):
    "Euler orders mean other rotations after a change of axes, so the rest pose is compared, and the travel."
    still = lambda text: re.sub(
        r"(?<=\n)(-?\d\S* \S+ \S+)( -?\d\S*)+",
        lambda m: m[1] + " 0.0" * (m[0].count(" ") - 2),
        text,
    )
    y, z = (parse(still(recording(up=up))).actors[0] for up in "yz")
    assert torch.allclose(y.positions, z.positions, atol=1e-6)
    assert torch.allclose(y.skeleton.rest_offsets, z.skeleton.rest_offsets, atol=1e-6)


def test_given_unit_and_axis_win(parse):
    text = recording()
    a, b = parse(text).actors[0], parse(text, scale=0.02).actors[0]
    assert torch.allclose(2 * a.positions, b.positions, atol=1e-5)
    z = parse(text, up="z")
    assert torch.allclose(z.actors[0].positions[..., 1], a.positions[..., 2], atol=1e-5)
    assert bvh_bytes(z) == text.encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r\n", 30),
        lambda t: t.replace(" ", "\t"),
        lambda t: (
            t.replace("HIERARCHY", "hierarchy")
            .replace("ROOT", "root")
            .replace("JOINT", "Joint")
            .replace("CHANNELS", "channels")
            .replace("position", "Position")
        ),
        lambda t: (
            t.replace("End Site", "end site")
            .replace("MOTION", "Motion")
            .replace("Frames", "frames")
            .replace("Frame Time", "frame time")
        ),
        lambda t: t.replace("Frames: ", "Frames:\t").replace("Frame Time: ", "Frame Time:"),
        lambda t: t + "\n\n   \n",
        lambda t: t.rstrip(),
        lambda t: "\ufeff" + t,
        lambda t: "\n\n" + t,
        lambda t: t.replace("\n{", " {", 3),
        lambda t: t.replace(" 0.000000", " -0").replace("Hips", "Hüfte"),
        lambda t: t.replace("End Site", "End Site LeftTip", 1),
    ],
)
def test_spelling_does_not_matter(parse, change):
    text = recording()
    a, scene = parse(text).actors[0], parse(change(text))
    assert torch.equal(a.positions, scene.actors[0].positions)
    assert bvh_bytes(scene) == change(text).encode()


def test_utf16(parse):
    text = "\ufeff" + recording().replace("Hips", "Hüfte")
    scene = parse(text.encode("utf-16-le"))
    assert scene.actors[0].skeleton.joints[0] == "Hüfte"
    assert bvh_bytes(scene) == text.encode("utf-16-le")


def test_names_with_blanks_and_colons(parse):
    joints = parse(recording(prefix="my actor: left ")).actors[0].skeleton.joints
    assert joints[0] == "my actor: left Hips"


def test_two_actors(parse):
    one = recording(frames=5)
    header, motion = one.split("MOTION")
    rows = [r for r in motion.split("\n")[3:] if r]
    double = (
        header
        + header.replace("HIERARCHY\n", "")
        + "MOTION"
        + "\n".join([*motion.split("\n")[:3], *(r + r for r in rows), ""])
    )
    scene = parse(double)
    assert len(scene.actors) == 2
    assert torch.equal(scene.actors[0].positions, scene.actors[1].positions)
    assert bvh_bytes(scene) == double.encode()
    again = parse(bvh_bytes(scene.replace(meta={})))
    assert torch.allclose(again.actors[1].positions, scene.actors[0].positions, atol=1e-5)


# numbers that are missing or odd


def with_value(text, frame, column, word):
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1 + frame
    words = lines[at].split(" ")
    words[column] = word
    lines[at] = " ".join(words)
    return "\n".join(lines)


@pytest.mark.parametrize("word", ["nan", "NaN", "-nan(ind)", "1.#QNAN", "inf", "1e999"])
def test_missing_numbers(parse, word):
    text = with_value(
        with_value(recording(), 3, 0, word), 7, 6, word
    )  # the root's x; the spine's first angle
    scene = parse(text)
    (m,) = scene.actors
    assert not m.observed[3].any()
    upper = [j for j in m.skeleton.joints if not re.search("Hips|Spine|Leg|Foot|Toe", j)]
    assert not m.observed[7, m.skeleton.indices(upper)].any()
    assert m.observed[7].sum() == len(m.skeleton) - len(upper)
    assert (
        m.observed.sum()
        == (~torch.isin(torch.arange(40), torch.tensor([3, 7]))).sum() * len(m.skeleton)
        + m.observed[7].sum()
    )
    assert bvh_bytes(scene) == text.encode()


def test_filling_a_missing_number_writes_it(parse):
    whole = parse(recording()).actors[0]
    scene = parse(with_value(recording(), 7, 6, "nan"))
    fixed = refit(scene.actors[0], whole.positions, ~scene.actors[0].observed).motion
    new = bvh_bytes(scene.replace(actors=(fixed,)))
    assert b"nan" not in new
    assert (parse(new).actors[0].positions - whole.positions).norm(dim=-1).max() < 1e-3


BAD = {
    "a file that was cut off": (lambda t: t[: len(t) * 2 // 3], "cut off"),
    "a header that was cut off": (lambda t: t[:300], "end of the file"),
    "fewer frames than lines": (
        lambda t: t.replace("Frames: 40", "Frames: 39"),
        "expected 39 frames",
    ),
    "more frames than lines": (
        lambda t: t.replace("Frames: 40", "Frames: 41"),
        "got 40 such lines",
    ),
    "an absurd number of frames": (
        lambda t: t.replace("Frames: 40", "Frames: 1000000000000"),
        "1000000000000 frames",
    ),
    "no frames": (
        lambda t: t[: t.index("Frame Time")].replace("40", "0") + "Frame Time: 0.01\n",
        "at least one frame",
    ),
    "a negative number of frames": (
        lambda t: t.replace("Frames: 40", "Frames: -40"),
        "at least one frame",
    ),
    "0 fps": (lambda t: t.replace("0.0333333", "0"), "Frame Time above 0"),
    "an infinite rate": (lambda t: t.replace("0.0333333", "nan"), "Frame Time above 0"),
    "a word among numbers": (
        lambda t: with_value(t, 4, 5, "oops"),
        "expected a number, got 'oops'",
    ),
    "two points in a number": (
        lambda t: with_value(t, 4, 5, "1.5.2"),
        "expected a number, got '1.5.2'",
    ),
    "decimal commas": (
        lambda t: t[: t.index("0.0333333") + 9] + t[t.index("0.0333333") + 9 :].replace(".", ","),
        "decimals with a point",
    ),
    "no channels": (lambda t: re.sub("CHANNELS .*", "CHANNELS 0", t), "CHANNELS on some joint"),
    "an unknown channel": (lambda t: t.replace("Xposition", "Wposition"), "names from Xposition"),
    "a missing brace": (lambda t: t.replace("}\nMOTION", "\nMOTION"), "or a brace"),
    "an absurd offset": (
        lambda t: t.replace("OFFSET 0.000000 92", "OFFSET 1e999 92"),
        "three finite numbers",
    ),
    "an absurd position": (lambda t: with_value(t, 0, 0, "1e300"), "infinite position"),
    "no motion": (lambda t: t[: t.index("MOTION")], "MOTION"),
    "another format": (lambda t: "PathFileType\t4\n" + t, "expected HIERARCHY"),
    "a picture": (lambda t: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "expected HIERARCHY"),
    "nothing": (lambda t: b"", "empty"),
    "blanks": (lambda t: b" \n ", "expected HIERARCHY"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files(parse, what):
    change, says = BAD[what]
    with pytest.raises(BadFile) as err:
        parse(change(recording()))
    assert (
        says in str(err.value)
        and str(err.value).startswith("walk.bvh")
        and "\n" not in str(err.value)
    )


def test_one_frame_and_constant_tracks(parse):
    scene = parse(recording(frames=1))
    assert len(scene) == 1 and bvh_bytes(scene) == recording(frames=1).encode()
    still = re.sub(r"(?<=\n)-?\d.*", " ".join(["1"] * (3 + 3 * len(BODY))), recording())
    assert parse(still).actors[0].positions.std(0).max() < 1e-6


# writing


def test_single_channels_keep_what_they_can_say(parse):
    text = recording().replace(
        "OFFSET 0.000000 -43.000000 0.000000\n      CHANNELS 3 Zrotation Xrotation Yrotation",
        "OFFSET 0.000000 -43.000000 0.000000\n      CHANNELS 1 Xrotation",
    )
    knees = [i for i, line in enumerate(text.split("\n")) if "CHANNELS 1" in line]
    assert len(knees) == 2
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    lines[first:-1] = [" ".join(line.split()[:-4]) for line in lines[first:-1]]
    scene = parse("\n".join(lines))
    (m,) = scene.actors
    angles = torch.linspace(0, 1, 40)
    rotations = m.rotations.clone()
    k = m.skeleton.index("LeftLeg")
    c, s = angles.cos(), angles.sin()
    rotations[:, k] = 0
    rotations[:, k, 0, 0] = 1
    rotations[:, k, 1, 1] = rotations[:, k, 2, 2] = c
    rotations[:, k, 2, 1], rotations[:, k, 1, 2] = s, -s
    pos, _ = fk(rotations, m.skeleton.rest_offsets, m.positions[:, 0], m.skeleton.parents)
    bent = scene.replace(actors=(m.replace(positions=pos, rotations=rotations),))
    assert torch.allclose(parse(bvh_bytes(bent)).actors[0].positions, pos, atol=1e-5)


def with_root_angles(text, angles):
    "The same recording with other words for the root's three angles."
    for f, words in enumerate(angles):
        for k, word in enumerate(words):
            text = with_value(text, f, 3 + k, word)
    return text


def nudged(scene, frames, by=0.001):
    "All points of some frames moved a little and refitted."
    (m,) = scene.actors
    changed = torch.zeros(m.positions.shape[:2], dtype=torch.bool)
    changed[frames] = True
    return scene.replace(actors=(refit(m, m.positions + by * changed[..., None], changed).motion,))


@pytest.mark.parametrize("wrapped", [False, True])
def test_angles_do_not_jump(parse, wrapped):
    "A turn through 180 degrees, repaired in the middle, stays as smooth as it was, and wraps only where the file does."
    turn = [100 + 4 * f for f in range(60)]
    turn = [(a + 180) % 360 - 180 if wrapped else a for a in turn]
    text = with_root_angles(
        recording(frames=60), [(f"{a:.6f}", "60.000000", f"{a:.6f}") for a in turn]
    )
    doc = parse(bvh_bytes(nudged(parse(text), slice(15, 30)))).meta["original"]
    steps = np.abs(np.diff(doc.file.values[:, 3:6], axis=0))
    steps = np.minimum(steps, 360 - steps) if wrapped else steps
    assert steps.max() < 8


def test_an_angle_that_stays_keeps_its_word(parse):
    "The root turns about its first axis: the other two angles are what they were, however oddly they are written."
    text = with_root_angles(recording(), [("10.000000", "+5.0e0", "8.")] * 40)
    scene = parse(text)
    (m,) = scene.actors
    rotations = m.rotations.clone()
    c, s = math.cos(0.3), math.sin(0.3)
    rotations[7, 0] = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ rotations[7, 0]
    pos, _ = fk(rotations, m.skeleton.rest_offsets, m.positions[:, 0], m.skeleton.parents)
    new = bvh_bytes(scene.replace(actors=(m.replace(positions=pos, rotations=rotations),))).decode()
    differ = [
        (a.split(" "), b.split(" ")) for a, b in zip(text.split("\n"), new.split("\n")) if a != b
    ]
    ((old, now),) = differ
    assert [k for k in range(len(old)) if old[k] != now[k]] == [3]
    assert float(now[3]) == pytest.approx(10 + math.degrees(0.3), abs=1e-3)


def test_positions_edited_without_rotations_are_refitted(parse):
    scene = parse(recording())
    (m,) = scene.actors
    positions = m.positions.clone()
    positions[5:8, m.skeleton.index("LeftHand")] += 0.02
    edited = scene.replace(actors=(m.replace(positions=positions),))
    assert edited.actors[0].rotations is None
    back = parse(bvh_bytes(edited)).actors[0]
    assert torch.equal(back.positions[8:], m.positions[8:])
    want = refit(m, positions, (positions != m.positions).any(-1)).motion
    assert torch.allclose(back.positions, want.positions, atol=1e-5)


def test_removed_points_become_nan_where_bvh_can_say_so(parse):
    scene = parse(recording())
    (m,) = scene.actors
    positions = m.positions.clone()
    arm = [j for j in m.skeleton.joints if j in ("LeftForeArm", "LeftHand", "LeftHand_end")]
    positions[4, m.skeleton.indices(arm)] = torch.nan
    positions[9] = torch.nan
    back = parse(bvh_bytes(scene.replace(actors=(m.replace(positions=positions),)))).actors[0]
    assert torch.equal(back.observed, positions.isfinite().all(-1))


@pytest.mark.parametrize("up", ["y", "z"])
def test_every_channel_can_change_and_come_back(parse, up):
    scene = parse(recording(up=up, everyone=True, number="%.9f"))
    (m,) = scene.actors
    other = parse(recording(up=up, everyone=True, number="%.9f", seed=1)).actors[0]
    swapped = m.replace(positions=other.positions, rotations=other.rotations)
    back = parse(bvh_bytes(scene.replace(actors=(swapped,)))).actors[0]
    assert (back.positions - other.positions).norm(dim=-1).max() < 1e-5
    assert rotation_angle(back.rotations, other.rotations).max() < 2e-3


def test_trimmed_and_resampled_recordings_keep_their_header(parse):
    text = recording(prefix="mixamorig:").replace("\n", "\r\n")
    scene = parse(text)
    (m,) = scene.actors
    short = scene.replace(
        actors=(m.replace(positions=m.positions[5:20], rotations=m.rotations[5:20]),)
    )
    new = bvh_bytes(short)
    assert new.split(b"MOTION")[0] == text.encode().split(b"MOTION")[0]
    assert new.count(b"\n") == new.count(b"\r\n")
    assert torch.allclose(parse(new).actors[0].positions, m.positions[5:20], atol=1e-5)
    slow = scene.replace(actors=(m.replace(fps=25.0),))
    assert parse(bvh_bytes(slow)).fps == 25


def test_any_tree_can_be_written(parse):
    walk = person("walk", seconds=1.0, seed=0)
    back = parse(bvh_bytes(Scene((walk,)))).actors[0]
    assert set(back.skeleton.joints) == set(walk.skeleton.joints)
    at = [back.skeleton.index(j) for j in walk.skeleton.joints]
    assert torch.allclose(back.positions[:, at], walk.positions, atol=1e-4)
    bare = Motion(
        walk.positions, Skeleton("tracked", walk.skeleton.joints, walk.skeleton.parents), walk.fps
    )
    back = parse(bvh_bytes(Scene((bare,)))).actors[0]
    assert (back.positions[:, at] - walk.positions).norm(dim=-1).max() < 5e-3


def test_what_bvh_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="2-D points"):
        bvh_bytes(Scene((Motion(torch.zeros(3, 22, 2), SMPL22, 30),)))
    with pytest.raises(ValueError, match="3 roots"):
        bvh_bytes(Scene((Motion(torch.zeros(3, 3, 3), Skeleton("dots", ("a", "b", "c")), 30),)))


def test_a_failed_write_leaves_the_old_file(parse, tmp_path):
    (tmp_path / "old.bvh").write_text("precious")
    with pytest.raises(ValueError):
        write(Scene((Motion(torch.zeros(3, 22, 2), SMPL22, 30),)), tmp_path / "old.bvh")
    assert (tmp_path / "old.bvh").read_text() == "precious"


SMALL = """HIERARCHY
ROOT Hips
{
OFFSET 0 0 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
JOINT Leg
{
OFFSET 10 -40 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{
OFFSET 0 -40 0
}
}
JOINT Leg
{
OFFSET -10 -40 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{
OFFSET 0 -40 0
}
}
}
MOTION
Frames: 20
Frame Time: 0.0333333
"""
SMALL += "".join(f"{k}.0 90.0 0.0 0 0 0 0 {k}.5 0 0 -{k}.5 0\n" for k in range(20))


def test_a_name_that_comes_twice(tmp_path):
    path = tmp_path / "twice.bvh"
    path.write_text(SMALL)
    scene = motionbook.read(path)
    joints = scene.actors[0].skeleton.joints
    assert joints == ("Hips", "Leg", "Leg_end", "Leg_2", "Leg_2_end")
    assert motionbook.write(scene, tmp_path / "same.bvh").read_bytes() == path.read_bytes()
    x = scene.actors[0].positions.clone()
    x[4, 4] += 0.05
    edited = scene.replace(actors=(scene.actors[0].replace(positions=x),))
    new = motionbook.write(edited, tmp_path / "new.bvh").read_text().split("\n")
    assert [i for i, (a, b) in enumerate(zip(SMALL.split("\n"), new)) if a != b] == [
        SMALL[: SMALL.index("\n4.0 90.0") + 1].count("\n")
    ]


@pytest.mark.parametrize(
    "printed, fps", [("0.017", 60), ("0.011", 90), ("0.016", 62.5), ("0.008", 120), ("0.0417", 24)]
)
def test_frame_times_printed_short(printed, fps, tmp_path):
    path = tmp_path / "short.bvh"
    path.write_text(SMALL.replace("0.0333333", printed))
    assert motionbook.read(path).fps == fps


@pytest.mark.parametrize("printed", ["1e-300", "1e-9", "1e300", "nan", "-0.03"])
def test_frame_times_that_no_camera_has(printed, tmp_path):
    path = tmp_path / "odd.bvh"
    path.write_text(SMALL.replace("0.0333333", printed))
    with pytest.raises(BadFile, match="Frame Time above 0"):
        motionbook.read(path)


def test_a_rest_pose_before_the_movement_is_said(tmp_path):
    path = tmp_path / "rest.bvh"
    first = "0.0 90.0 0.0 0 0 0 0 0.5 0 0 -0.5 0\n"
    path.write_text(SMALL.replace(first, "900.0 90.0 -500.0 0 0 0 0 0.0 0 0 0.0 0\n"))
    scene = motionbook.read(path)
    assert scene.meta["rest_frame"] == 0 and "left alone" in scene.meta["notes"][-1]
    path.write_text(SMALL)
    assert "rest_frame" not in motionbook.read(path).meta


def test_a_frame_time_in_milliseconds_is_said(tmp_path):
    path = tmp_path / "walk.bvh"
    motionbook.write(Scene((person("walk", 1.0, fps=30.0, seed=0),)), path)
    text = re.sub(r"Frame Time:.*", "Frame Time: 33.33", path.read_text())
    path.write_text(text)
    scene = motionbook.read(path)
    assert any("milliseconds, write 0.03333" in n for n in scene.meta["notes"])
