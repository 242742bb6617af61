"ASF/AMC: CMU's own files byte for byte, positions against an independent program and the same clip as BVH, and repairs within the free angles."

import math
import re
import tarfile

import numpy as np
import pytest
import torch

from motionbook.core.files import BadFile
from motionbook.core.kinematics import refit
from motionbook.core.motion import Scene, fk, resample
from motionbook.formats.acclaim.asf_amc import amc_bytes, find_skeleton, read, solve_angles, write
from motionbook.formats.bvh.bvh import read as read_bvh
from motionbook.synthetic.people import person

UNIT = 0.0254 / 0.45  # metres
BONES = {  # name: parent, direction × length, axis, order, dof
    "lhipjoint": ("root", (1.4, -1.8, 0.8), (0, 0, 0), "XYZ", ""), "lfemur": ("lhipjoint", (2.4, -6.7, 0), (0, 0, 20), "XYZ", "rx ry rz"),
    "ltibia": ("lfemur", (2.6, -7.0, 0), (0, 0, 20), "XYZ", "rx"), "lfoot": ("ltibia", (0.2, -0.4, 2.3), (-90, 7, 20), "XYZ", "rx rz"),
    "rhipjoint": ("root", (-1.4, -1.8, 0.8), (0, 0, 0), "XYZ", ""), "rfemur": ("rhipjoint", (-2.4, -6.7, 0), (0, 0, -20), "XYZ", "rx ry rz"),
    "rtibia": ("rfemur", (-2.6, -7.0, 0), (0, 0, -20), "XYZ", "rx"), "rfoot": ("rtibia", (-0.2, -0.4, 2.3), (-90, -7, -20), "XYZ", "rx rz"),
    "lowerback": ("root", (0, 4.1, -0.2), (0, 0, 0), "XYZ", "rx ry rz"), "thorax": ("lowerback", (0, 4.1, 0), (0, 0, 0), "XYZ", "rz rx ry"),
    "head": ("thorax", (0, 4.9, 0.2), (0, 0, 0), "XYZ", "rx ry rz"), "lclavicle": ("thorax", (3.4, 1.2, -0.3), (0, 0, 0), "XYZ", "ry rz"),
    "lhumerus": ("lclavicle", (5, 0, 0), (180, -30, -90), "XYZ", "rx ry rz"), "lradius": ("lhumerus", (5.2, 0, 0), (180, -30, -90), "ZXY", "rx"),
    "rclavicle": ("thorax", (-3.4, 1.2, -0.3), (0, 0, 0), "XYZ", "rz ry"), "rhumerus": ("rclavicle", (-5, 0, 0), (180, 30, 90), "XYZ", "rx ry rz"),
    "rradius": ("rhumerus", (-5.2, 0, 0), (180, 30, 90), "YZX", "rx"),
}  # fmt: skip


def asf_text(
    order="TX TY TZ RX RY RZ",
    length=0.45,
    radians=False,
    newline="\r\n",
    bones=BONES,
    position="0 0 0",
) -> str:
    "The skeleton of a small person."
    k = math.pi / 180 if radians else 1
    rows = [
        "# made for a test",
        ":version 1.10",
        ":name VICON",
        ":units",
        "  mass 1.0",
        f"  length {length}",
    ]
    rows += [
        f"  angle {'rad' if radians else 'deg'}",
        ":documentation",
        "   none",
        ":root",
        f"   order {order}",
    ]
    rows += ["   axis XYZ", f"   position {position}", "   orientation 0 0 0", ":bonedata"]
    for i, (name, (_, v, axis, axes, dof)) in enumerate(bones.items(), 1):
        n = np.linalg.norm(v)
        rows += [
            "  begin",
            f"     id {i}",
            f"     name {name}",
            "     direction {:.9g} {:.9g} {:.9g}  ".format(*np.array(v) / n),
        ]
        rows += [
            f"     length {n * length / 0.45:.9g}",
            "     axis {:.9g} {:.9g} {:.9g}".format(*np.array(axis) * k) + f"   {axes}",
        ]
        rows += (
            [
                f"    dof {dof}",
                *["    limits (-160.0 20.0)", *["           (-70.0 70.0)"] * dof.count(" ")],
            ]
            if dof
            else []
        )
        rows.append("  end")
    rows += [":hierarchy", "  begin"]
    for p in ("root", *bones):
        children = [n for n, b in bones.items() if b[0] == p]
        rows += [f"    {p} {' '.join(children)}"] if children else []
    return newline.join([*rows, "  end", ""])


def amc_text(
    frames=40,
    order="TX TY TZ RX RY RZ",
    radians=False,
    newline="\r\n",
    seed=0,
    number="%.6g",
    bones=BONES,
    unit=1.0,
    size=25,
) -> str:
    "Smooth random angles."
    rng, t = np.random.default_rng(seed), np.arange(frames) / 30
    k = math.pi / 180 if radians else 1
    wave = lambda size: k * size * np.sin(4 * t + rng.uniform(0, 6))
    place = {"TX": unit * 10 * t, "TY": unit * (17 + 0.2 * np.sin(4 * t)), "TZ": unit * 5 * t}
    table = {"root": [place[c] if c in place else wave(15) for c in order.split()]}
    for name, (*_, dof) in reversed(bones.items()):
        if dof:
            table[name] = [wave(size) for _ in dof.split()]
    rows = ["#!OML:ASF C:\\test.ASF", ":FULLY-SPECIFIED", ":RADIANS" if radians else ":DEGREES"]
    for i in range(frames):
        rows += [
            str(i + 1),
            *(" ".join([n, *(number % c[i] for c in v)]) for n, v in table.items()),
        ]
    return newline.join([*rows, ""])


@pytest.fixture
def parse(tmp_path):
    def parse(amc=None, asf=None, **options):
        (tmp_path / "07.asf").write_bytes(
            (asf_text() if asf is None else asf).encode() if not isinstance(asf, bytes) else asf
        )
        amc = amc_text() if amc is None else amc
        (tmp_path / "07_01.amc").write_bytes(amc if isinstance(amc, bytes) else amc.encode())
        return read(tmp_path / "07_01.amc", **options)

    return parse


# an independent program in float64: its own parser, one frame after another


def turn(axis: str, angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array(
        {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


def compose(pairs) -> np.ndarray:
    "Applied one after the other about fixed axes."
    m = np.eye(3)
    for axis, angle in pairs:
        m = turn(axis, angle) @ m
    return m


def by_numpy(asf: str, amc: str, frames) -> dict[str, np.ndarray]:
    "{bone: [f 3]} ends of bones in the file's unit."
    k = 1.0 if re.search(r"angle\s+rad", asf) else math.pi / 180
    bones = {}
    for block in re.findall(r"begin\s+id(.*?)\bend\b", asf, re.DOTALL):
        get = lambda key, block=block: re.search(rf"\b{key}\s+(.*)", block)
        axis = get("axis")[1].split()
        bones[get("name")[1].strip()] = dict(
            vector=np.array([float(x) for x in get("direction")[1].split()]) * float(get("length")[1]),
            frame=compose(zip(axis[3].lower(), (k * float(x) for x in axis[:3]))), dof=get("dof")[1].split() if get("dof") else [],
        )  # fmt: skip
    links = [
        line.split()
        for line in asf[asf.index(":hierarchy") :].splitlines()[2:]
        if len(line.split()) > 1
    ]
    order = re.search(r"order\s+(.*)", asf)[1].split()
    found = {b: [] for b in ("root", *bones)}
    takes = re.split(r"^\d+\s*$", amc, flags=re.MULTILINE)[1:]
    for f in frames:
        rows = {
            r.split()[0]: [float(x) for x in r.split()[1:]]
            for r in takes[f].splitlines()
            if r.strip()
        }
        root = dict(zip(order, rows["root"]))
        where = {"root": np.array([root["TX"], root["TY"], root["TZ"]])}
        stands = {"root": compose((c[1].lower(), k * root[c]) for c in order if c[0] == "R")}
        for parent, *children in links:
            for b in children:
                c = bones[b]["frame"]
                m = compose((d[1], k * x) for d, x in zip(bones[b]["dof"], rows.get(b, [])))
                stands[b] = stands[parent] @ c @ m @ np.linalg.inv(c)
                where[b] = where[parent] + stands[b] @ bones[b]["vector"]
        for b in found:
            found[b].append(where[b])
    return {b: np.array(p) for b, p in found.items()}


def furthest(scene: Scene, want: dict[str, np.ndarray], frames, unit=UNIT) -> float:
    m = scene.actors[0]
    return max(
        np.abs(m.joint(b)[list(frames)].double().numpy() - p * unit).max() for b, p in want.items()
    )


@pytest.mark.parametrize(
    "asf, amc",
    [
        ({}, {}),
        (dict(newline="\n"), dict(newline="\n", number="%.4f")),
        (dict(radians=True), dict(radians=True)),
        (dict(order="RZ RX RY TZ TX TY"), dict(order="RZ RX RY TZ TX TY")),
        (dict(order="TX TY TZ RZ RY RX"), dict(order="TX TY TZ RZ RY RX", size=170)),
    ],
)
def test_positions_agree_with_an_independent_program(parse, asf, amc):
    a, b = asf_text(**asf), amc_text(**amc)
    assert furthest(parse(b, a), by_numpy(a, b, range(40)), range(40)) < 2e-6


def test_the_length_unit_scales(parse):
    inches = parse(amc_text(unit=1 / 0.45), asf_text(length=1.0))
    assert inches.meta["scale"] == pytest.approx(0.0254)
    assert (inches.actors[0].positions - parse().actors[0].positions).abs().max() < 1e-5
    metres = parse(
        amc_text(unit=UNIT),
        asf_text(length=0.45 * UNIT).replace(f"length {0.45 * UNIT}", "length 1.0", 1),
    )
    assert metres.meta["units"] == "m" and metres.meta["scale"] == 1
    assert (metres.actors[0].positions - parse().actors[0].positions).abs().max() < 1e-5
    assert parse(scale=0.05).actors[0].positions[0, 0, 1] == pytest.approx(0.05 * 17, abs=0.02)


def test_the_up_axis_is_found_and_kept(parse):
    swap = lambda v: (v[0], -v[2], v[1])
    turned = {n: (p, swap(v), (0, 0, 0), o, "") for n, (p, v, _, o, _) in BONES.items()}
    amc = "\n".join(
        [":FULLY-SPECIFIED", ":DEGREES", "1", "root 1 2 17 0 0 30", "2", "root 1 3 17 0 0 30", ""]
    )
    scene = parse(amc, asf_text(bones=turned))
    m = scene.actors[0]
    assert scene.meta["up"] == "z" and parse().meta["up"] == "y"
    assert torch.allclose(m.positions[0, 0], torch.tensor([1, 17, -2]) * UNIT, atol=1e-6)
    assert m.joint("head")[0, 1] > m.joint("root")[0, 1] + 0.5
    assert amc_bytes(scene) == amc.encode()
    points = m.positions.clone()
    points[1] += torch.tensor([0.0, 0.0, -UNIT])
    assert b"root 1 4 17 " in amc_bytes(scene.replace(actors=(m.replace(positions=points),)))


def test_joints_roles_and_mirror(parse):
    s = parse().actors[0].skeleton
    assert [j for j in s.joints if not j.endswith("_start")] == ["root", *_depth_first()]
    assert {j for j in s.joints if j.endswith("_start")} == {
        "lowerback_start",
        "head_start",
        "lclavicle_start",
        "rclavicle_start",
    }
    for role, joint in dict(
        root="root",
        left_hip="lhipjoint",
        left_knee="lfemur",
        right_ankle="rtibia",
        left_elbow="lhumerus",
    ).items():
        assert s.joints[s.roles[role]] == joint
    assert (s.index("lfemur"), s.index("rfemur")) in s.mirror_pairs
    assert all(s.rest_offsets[b].norm() > 0 for _, b in s.edges) and len(s.edges) == len(BONES)


def _depth_first(parent="root"):
    return [x for n, b in BONES.items() if b[0] == parent for x in (n, *_depth_first(n))]


# finding the skeleton


def test_the_skeleton_is_found_by_name(tmp_path):
    for name in ("01.asf", "10.ASF", "1.asf", "walk.asf"):
        (tmp_path / name).write_text(asf_text())
    for amc, want in {
        "01_02.amc": "01.asf",
        "10_1.amc": "10.ASF",
        "1-3.amc": "1.asf",
        "walk.amc": "walk.asf",
        "WALK_9.AMC": "walk.asf",
        "100_1.amc": None,
    }.items():
        found = find_skeleton(tmp_path / amc)
        assert (found.name if found else None) == want, amc
    (tmp_path / "100_1.amc").write_text(amc_text())
    with pytest.raises(
        BadFile,
        match=r"100_1.amc: expected its skeleton beside it, such as 100.asf, got 01.asf, .*skeleton=",
    ):
        read(tmp_path / "100_1.amc")
    assert len(read(tmp_path / "100_1.amc", skeleton=tmp_path / "01.asf")) == 40


def test_fps_is_an_option(parse):
    assert (parse().fps, parse().meta["fps_stated"]) == (120, False)
    assert (parse(fps=60).fps, parse(fps=60).meta["fps_stated"]) == (60, True)
    with pytest.raises(ValueError, match="frame rate above 0"):
        parse(fps=0)


# writing


@pytest.mark.parametrize("number", ["%.6g", "%.4f", "%.5e"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_unchanged_is_byte_identical(parse, number, newline):
    text = "\ufeff" * (newline == "\n") + amc_text(number=number, newline=newline).replace(
        " -", "   -"
    ).replace(f"{newline}5{newline}", f"{newline} 5 {newline}{newline}")
    assert amc_bytes(parse(text)) == text.encode()


def bent(scene, joint, angle=0.3, frames=slice(10, 20), axis="x"):
    "The rotation of one joint turned further about its own axis, with positions that follow."
    (m,) = scene.actors
    rotations = m.rotations.double()
    body = scene.meta["original"].body
    i = [b.name for b in body.bones].index(joint)
    c, k = body.frames[i], body.carrier[i]
    more = c @ torch.from_numpy(turn(axis, angle)) @ c.mT
    rotations[frames, k] = rotations[frames, k] @ more
    points, _ = fk(
        rotations, m.skeleton.rest_offsets.double(), m.positions[:, 0].double(), m.skeleton.parents
    )
    keep = torch.ones(len(m), dtype=torch.bool)
    keep[frames] = False
    points = torch.where(keep[:, None, None], m.positions, points.float())
    rotations = torch.where(keep[:, None, None, None], m.rotations, rotations.float())
    return scene.replace(actors=(m.replace(positions=points, rotations=rotations),))


def differing(old: bytes, new: bytes) -> list[tuple[int, str, list[str], list[str]]]:
    "(frame, bone, old words, new words) of lines that are not the same."
    a, b = old.decode().split("\r\n"), new.decode().split("\r\n")
    assert len(a) == len(b)
    lines = 1 + sum(bool(d) for *_, d in BONES.values()) + 1
    return [
        ((i - 3) // lines, x.split()[0], x.split()[1:], y.split()[1:])
        for i, (x, y) in enumerate(zip(a, b))
        if x != y
    ]


@pytest.mark.parametrize("joint", ["ltibia", "lradius", "rradius"])
def test_a_hinge_that_turns_changes_one_number_a_frame(parse, joint):
    scene = parse()
    edited = bent(scene, joint)
    found = differing(amc_text().encode(), amc_bytes(edited))
    assert [(f, b) for f, b, *_ in found] == [(f, joint) for f in range(10, 20)]
    assert all(
        float(new[0]) - float(old[0]) == pytest.approx(math.degrees(0.3), abs=1e-3)
        for *_, old, new in found
    )
    assert solve_angles(edited).residual.max() < 1e-5


@pytest.mark.parametrize(
    "joint, axis",
    [
        ("lfemur", "y"),
        ("lhumerus", "z"),
        ("thorax", "x"),
        ("lclavicle", "y"),
        ("rclavicle", "z"),
        ("lfoot", "x"),
        ("root", "z"),
    ],
)
def test_angles_of_any_bone_change_alone_and_come_back(parse, joint, axis):
    scene = parse()
    edited = bent(scene, joint, axis=axis)
    new = amc_bytes(edited)
    assert {(f, b) for f, b, *_ in differing(amc_text().encode(), new)} == {
        (f, joint) for f in range(10, 20)
    }
    back = parse(new).actors[0]
    keep = [t for t in range(40) if not 10 <= t < 20]
    assert (back.positions - edited.actors[0].positions).norm(dim=-1).max() < 2e-5 + solve_angles(
        edited
    ).residual.max()
    assert torch.equal(back.positions[keep], scene.actors[0].positions[keep])


def test_what_a_bone_cannot_do_is_done_as_well_as_it_can(parse):
    "The shin is asked to turn sideways. It has one angle; the thigh helps, and the residual is what a fine search finds too."
    scene = parse()
    edited = bent(scene, "ltibia", axis="z", angle=0.2)
    found, m = solve_angles(edited), edited.actors[0]
    names = {b for _, b, *_ in differing(amc_text().encode(), amc_bytes(edited))}
    assert "ltibia" in names and names <= {"ltibia", "lfemur"}
    s = m.skeleton
    below = s.indices(["lfemur", "ltibia", "lfoot"])
    assert found.residual[10:20][:, below].amax() < 0.04  # 8 cm without help
    body, columns = scene.meta["original"].body, scene.meta["original"].amc.columns
    from motionbook.formats.acclaim.asf_body import channel_pose

    where = [c for b in ("lfemur", "ltibia") for c in range(columns[b].start, columns[b].stop)]
    best = torch.from_numpy(found.values * scene.meta["original"].unit)[15:16]
    cost = lambda x: (
        (
            fk(
                channel_pose(body, columns, x)[0],
                s.rest_offsets.double(),
                m.positions[15:16, 0].double(),
                s.parents,
            )[0]
            - m.positions[15:16]
        )
        .square()
        .sum()
    )
    g = torch.Generator().manual_seed(0)
    for size in (0.1, 0.01, 0.001):
        for _ in range(40):
            other = best.clone()
            other[:, where] += size * torch.randn(len(where), generator=g, dtype=torch.float64)
            assert cost(other) > cost(best) - 1e-9


def test_points_edited_without_rotations(parse):
    scene = parse()
    (m,) = scene.actors
    truth = bent(scene, "lhumerus", axis="z").actors[0]
    moved = (truth.positions - m.positions).norm(dim=-1, keepdim=True) > 1e-5
    edited = scene.replace(
        actors=(m.replace(positions=torch.where(moved, truth.positions, m.positions)),)
    )
    assert edited.actors[0].rotations is None
    new = amc_bytes(edited)
    assert {b for _, b, *_ in differing(amc_text().encode(), new)} <= {
        "lhumerus",
        "lradius",
        "lclavicle",
    }
    assert (parse(new).actors[0].positions - truth.positions).norm(dim=-1).max() < 2e-3


def test_a_point_without_its_twin_start_moves_both(parse):
    "Only the top of the chest moves; the collar bones and the neck start there too and are taken along."
    scene = parse()
    (m,) = scene.actors
    points = m.positions.clone()
    points[10:20, m.skeleton.index("thorax")] += torch.tensor([0.01, 0.0, 0.01])
    edited = scene.replace(actors=(m.replace(positions=points),))
    back = parse(amc_bytes(edited)).actors[0]
    assert (back.joint("thorax") - points[:, m.skeleton.index("thorax")]).norm(dim=-1).max() < 0.015
    assert torch.equal(back.joint("thorax"), back.joint("lclavicle_start"))


def test_a_start_alone_says_nothing(parse):
    "It stands where another point stands, and follows that one."
    scene = parse()
    (m,) = scene.actors
    points = m.positions.clone()
    points[10:20, m.skeleton.index("lclavicle_start")] += 0.05
    edited = scene.replace(actors=(m.replace(positions=points),))
    assert amc_bytes(edited) == amc_text().encode()


def test_an_angle_that_stays_keeps_its_word(parse):
    "The thigh turns about its first axis: the other two angles are what they were, however oddly they are written."
    text = re.sub(r"lfemur (\S+) \S+ \S+", r"lfemur \1 +5.0e0 8.", amc_text())
    new = amc_bytes(bent(parse(text), "lfemur", axis="x"))
    found = differing(text.encode(), new)
    assert [(f, b) for f, b, *_ in found] == [(f, "lfemur") for f in range(10, 20)]
    assert all(words[1:] == ["+5.0e0", "8."] for *_, words in found)


def test_missing_points_keep_the_lines_of_their_bones(parse):
    scene = parse()
    (m,) = scene.actors
    points = m.positions.clone()
    points[5] = torch.nan
    points[7, m.skeleton.index("lradius")] = torch.nan
    new = amc_bytes(scene.replace(actors=(m.replace(positions=points),)))
    back = parse(new).actors[0]
    assert back.observed.all() and (back.positions - m.positions).norm(dim=-1).max() < 0.02
    assert {f for f, *_ in differing(amc_text().encode(), new)} <= {5, 7}


def test_angles_do_not_jump(parse):
    "A body that turns through 180° keeps turning where it is repaired."
    asf, amc = asf_text(), amc_text(frames=60)
    rows = amc.split("\r\n")
    turning = [f"root 0 17 0 0 {(100 + 4 * f + 180) % 360 - 180} 0" for f in range(60)]
    it = iter(turning)
    amc = "\r\n".join(next(it) if r.startswith("root") else r for r in rows)
    scene = parse(amc, asf)
    edited = bent(scene, "root", angle=0.01, frames=slice(10, 30), axis="x")
    doc = parse(amc_bytes(edited), asf).meta["original"]
    steps = np.abs(np.diff(doc.amc.values[:, doc.amc.columns["root"]][:, 3:], axis=0))
    assert np.minimum(steps, 360 - steps).max() < 8


def test_trimmed_resampled_and_slowed(parse):
    scene = parse()
    (m,) = scene.actors
    part = scene.replace(
        actors=(m.replace(positions=m.positions[5:20], rotations=m.rotations[5:20]),)
    )
    new = amc_bytes(part)
    assert new.startswith(amc_text().encode()[:40]) and new.count(b"\n") == new.count(b"\r\n")
    assert torch.allclose(parse(new).actors[0].positions, m.positions[5:20], atol=2e-5)
    kept = parse(new).meta["original"].amc.values
    assert np.array_equal(kept, scene.meta["original"].amc.values[5:20])
    half = resample(m, 60)
    back = parse(amc_bytes(scene.replace(actors=(half,)))).actors[0]
    assert len(back) == 20 and (back.positions - half.positions).norm(dim=-1).max() < 1e-4
    bare = scene.replace(actors=(m.replace(positions=m.positions[5:20]),))
    assert (parse(amc_bytes(bare)).actors[0].positions - m.positions[5:20]).norm(
        dim=-1
    ).median() < 0.005
    slow = scene.replace(actors=(m.replace(fps=30.0),))
    assert amc_bytes(slow) == amc_text().encode()


def test_the_skeleton_goes_along(parse, tmp_path):
    scene = parse()
    out = write(scene, tmp_path / "out/x.amc")
    assert sorted(p.name for p in out.parent.iterdir()) == ["x.amc", "x.asf"]
    assert (out.parent / "x.asf").read_bytes() == asf_text().encode()
    write(scene, tmp_path / "07_03.amc")
    assert not (tmp_path / "07_03.asf").exists()
    (tmp_path / "out/y.asf").write_text("another")
    with pytest.raises(
        BadFile, match="y.asf: expected the skeleton that this motion was read with"
    ):
        write(scene, tmp_path / "out/y.amc")
    assert (tmp_path / "out/y.asf").read_text() == "another" and not (
        tmp_path / "out/y.amc"
    ).exists()


def test_what_amc_cannot_hold_is_refused(parse, tmp_path):
    scene = parse()
    walk = person("walk", seconds=0.5)
    for other in (
        Scene((walk,)),
        scene.replace(actors=(walk,)),
        scene.replace(actors=scene.actors * 2),
    ):
        with pytest.raises(ValueError, match="write .bvh instead"):
            write(other, tmp_path / "new.amc")
    assert not (tmp_path / "new.amc").exists()


# bad input


@pytest.mark.parametrize(
    "change, says",
    [
        (
            lambda a: a.replace("lfoot ", "lfoot 1 ", 1),
            "expected 2 numbers for lfoot (rx rz), got 3",
        ),
        (lambda a: a.replace("lfoot", "lfeet", 1), "a bone of the skeleton"),
        (lambda a: a[: len(a) // 2], "the file is cut off"),
        (
            lambda a: a.replace("\r\n3\r\nroot ", "\r\n3\r\nhead 1 2 3\r\nroot ", 1),
            "root and 6 numbers, got 'head 1 2 3' (line ",
        ),
        (
            lambda a: a.replace("\r\n3\r\nroot 0.6", "\r\n3\r\nroot 0,6", 1),
            "finite number, got '0,6",
        ),
        (
            lambda a: a.replace("\r\n3\r\nroot 0.6", "\r\n3\r\nroot inf", 1),
            "finite number, got 'inf",
        ),
        (
            lambda a: a.split("\r\n1\r\n")[0],
            "frames, each beginning with a line that holds its number",
        ),
        (lambda a: asf_text(), "got a skeleton file"),
        (lambda a: a.replace("root", "hips"), "a bone of the skeleton"),
        (lambda a: "1\r\n", "one line for root"),
        (lambda a: "", "an empty file"),
    ],
)
def test_bad_motion_files(parse, change, says):
    with pytest.raises(BadFile) as err:
        parse(change(amc_text()))
    assert says in str(err.value) and "\n" not in str(err.value)


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("name lfemur", "name ltibia", "each bone once"),
        ("    lfemur ltibia", "    lfemur ltibia root", "one parent"),
        ("    ltibia lfoot", "    lfoot ltibia", "one parent"),
        ("length 0.45", "length -1", "above 0"),
        ("length 0.45", "length", "1 numbers after length"),
        ("dof rx rz", "dof rx rz l", "'l' (line"),
        ("axis 180 -30 -90", "axis 180 -30", "3 numbers after axis"),
        ("   XYZ", "   XYX", "such as XYZ"),
        (":bonedata", ":bones", ":bonedata, got none"),
        ("     direction 0.57", "     dir 0.57", "a bone with a direction"),
    ],
)
def test_bad_skeletons(parse, old, new, says):
    assert old in asf_text()
    with pytest.raises(BadFile, match=r"^07\.asf: ") as err:
        parse(asf=asf_text().replace(old, new, 1))
    assert says in str(err.value) and "\n" not in str(err.value)


def test_one_frame_and_still_motion(parse):
    one = parse(amc_text(frames=1))
    assert len(one) == 1 and amc_bytes(one) == amc_text(frames=1).encode()
    still = amc_text(size=0)
    assert amc_bytes(parse(still)) == still.encode()


def test_bones_without_lines_rest_and_are_noted(parse):
    text = re.sub(r"lradius \S+\r\n", "", amc_text())
    scene = parse(text)
    assert scene.meta["notes"] == ("no line for lradius: held at rest",)
    assert amc_bytes(scene) == text.encode()


def test_a_folder_and_a_missing_file(tmp_path):
    for path, says in ((tmp_path, "a folder"), (tmp_path / "no.amc", "an existing file")):
        with pytest.raises(BadFile, match=says):
            read(path)


# real recordings


def test_the_real_clip_agrees_with_the_independent_program(real_data):
    folder = real_data / "asf_amc"
    scene, frames = read(folder / "01_01.amc"), range(0, 2751, 250)
    assert find_skeleton(folder / "01_01.amc").name == "01.asf"
    want = by_numpy(
        (folder / "01.asf").read_bytes().decode(),
        (folder / "01_01.amc").read_bytes().decode(),
        frames,
    )
    assert len(want) == 31
    assert furthest(scene, want, frames) < 5e-6
    assert amc_bytes(scene) == (folder / "01_01.amc").read_bytes()
    assert (scene.meta["units"], scene.meta["up"]) == ("in", "y")


def test_the_real_clip_agrees_with_its_bvh(real_data):
    "The BVH's first frame is a T-pose. Its tree leaves out the lengths of the thorax and of the wrists; what hangs on them is shifted by these."
    a, b = (
        read(real_data / "asf_amc/01_01.amc").actors[0],
        read_bvh(real_data / "asf_amc/01_01.bvh").actors[0],
    )
    up = a.joint("thorax") - a.joint("upperback")
    lost = {s: up + a.joint(f"{s}wrist") - a.joint(f"{s}radius") for s in "lr"}
    same = dict(Hips="root", Spine="lowerback", Spine1="upperback")
    for s, side in (("l", "Left"), ("r", "Right")):
        same |= {
            f"{side}UpLeg": f"{s}hipjoint",
            f"{side}Leg": f"{s}femur",
            f"{side}Foot": f"{s}tibia",
            f"{side}ToeBase": f"{s}foot",
            f"{side}ToeBase_end": f"{s}toes",
        }
    higher = dict(Neck="thorax", Neck1="lowerneck", Head="upperneck", Head_end="head")
    for s, side in (("l", "Left"), ("r", "Right")):
        higher |= {
            f"{side}Shoulder": f"{s}clavicle_start",
            f"{side}Arm": f"{s}clavicle",
            f"{side}ForeArm": f"{s}humerus",
            f"{side}Hand": f"{s}radius",
        }
    hands = {
        f"{s.upper()}Fingers{e}": (s, f"{s}{n}")
        for s in "lr"
        for e, n in (("", "hand"), ("_end", "fingers"))
    } | {f"{s.upper()}Thumb_end": (s, f"{s}thumb") for s in "lr"}
    shift = (
        [(j, n, 0) for j, n in same.items()]
        + [(j, n, up) for j, n in higher.items()]
        + [(j, n, lost[s]) for j, (s, n) in hands.items()]
    )
    assert len(shift) == 31  # every bone's end but the wrists', and where the collar bones start
    for bvh, asf, by in shift:
        gap = (b.joint(bvh)[1:] + by - a.joint(asf)).norm(dim=-1).max()
        assert gap < 1e-5, f"{bvh} is {gap:.2g} m from {asf}"


def test_all_cmu_takes_are_byte_identical(real_data, tmp_path):
    with tarfile.open(real_data / "asf_amc/cmu_subjects_01_02.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    paths = sorted(tmp_path.rglob("*.amc"))
    assert len(paths) == 24
    for path in paths:
        scene = read(path)
        (m,) = scene.actors
        assert amc_bytes(scene) == path.read_bytes(), path.name
        assert scene.meta["notes"] == () and len(m.skeleton) == 39
        assert (
            0.3 < m.joint("root")[:, 1].median() < 1.6
            and m.joint("left_hip")[:, 1].isfinite().all()
        )


def test_repairing_a_real_recording_touches_only_the_repair(real_data, tmp_path):
    path = real_data / "asf_amc/01_01.amc"
    scene = read(path)
    (m,) = scene.actors
    changed = torch.zeros(m.positions.shape[:2], dtype=torch.bool)
    changed[500:520, m.skeleton.indices(["lradius", "lwrist"])] = True
    hand = m.positions + torch.tensor([0.0, 0.02, 0.02]) * changed[..., None]
    fixed = refit(m, hand, changed).motion
    edited = scene.replace(actors=(fixed,))
    new = amc_bytes(edited)
    old_lines, new_lines = path.read_bytes().split(b"\r\n"), new.split(b"\r\n")
    assert len(old_lines) == len(new_lines)
    differ = [i for i, (a, b) in enumerate(zip(old_lines, new_lines)) if a != b]
    start = old_lines.index(b"501")
    assert start < differ[0] and differ[-1] < old_lines.index(b"521")
    arm = {b"lclavicle", b"lhumerus", b"lradius", b"lwrist", b"lhand", b"lfingers", b"lthumb"}
    assert {old_lines[i].split()[0] for i in differ} <= arm
    back = read(write(edited, tmp_path / "fixed.amc")).actors[0]
    gap = (back.positions - fixed.positions).norm(dim=-1)
    assert gap.max() < solve_angles(edited).residual.max() + 2e-5 and gap.max() < 0.03
    assert torch.equal(back.positions[:500], m.positions[:500]) and torch.equal(
        back.positions[520:], m.positions[520:]
    )
