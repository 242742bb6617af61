"""Small inputs that once failed, and what each must give: those of `../shared/cases` where they are, and more of each kind."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import pickle
import shutil
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
import torch
from helpers import ROOT

from motionbook.cli import main
from motionbook.core.command import UNSAFE
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.registry import read, write
from motionbook.synthetic.people import person

MAKE = ROOT.parent / "shared" / "cases" / "make.py"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    if not MAKE.exists():
        pytest.skip("no ../shared/cases")
    out, box = tmp_path_factory.mktemp("cases"), tmp_path_factory.mktemp("make")
    shutil.copy(MAKE.with_name("c3dmini.py"), box)
    (box / "make.py").write_text(
        MAKE.read_text().replace("range(2048)", "range(64)")
    )  # 2 GB takes minutes
    subprocess.run([sys.executable, box / "make.py", out], check=True, stdout=subprocess.DEVNULL)
    return out


def test_marker_tables(cases):
    scene = read(cases / "extra_cell.trc")
    assert scene.actors[0].positions[0, 0].tolist() == pytest.approx([0, 1.505, 0])
    assert scene.actors[0].skeleton.joints == ("C7", "LASI", "LKNE", "LHEE")
    scene = read(cases / "nan_spelling.trc")
    assert scene.actors[0].observed.tolist() == [[True], [False]]
    scene = read(cases / "ghosts.trc")
    assert scene.actors[0].skeleton.joints == ("C7", "LASI")
    assert any("without a name" in n for n in scene.meta["notes"])


@pytest.mark.parametrize(("printed", "fps"), [("0.017", 60), ("0.011", 90), ("0.016", 62.5)])
def test_frame_times(cases, printed, fps):
    assert read(cases / f"frame_time_{printed}.bvh").fps == fps


def test_names_and_blocks(cases, tmp_path):
    with pytest.raises(BadFile, match="Frame Time"):
        read(cases / "frame_time_1e-300.bvh")
    twice = read(cases / "name_twice.bvh")
    assert len(set(twice.actors[0].skeleton.joints)) == 5
    same = write(twice, tmp_path / "same.bvh")
    assert same.read_bytes() == (cases / "name_twice.bvh").read_bytes()
    points = read(cases / "blocks.c3d")
    assert (points.actors[0].positions.shape, points.fps) == ((50, 3, 3), 100)


@pytest.mark.parametrize("name", ["na_names", "formula", "escapes"])
def test_names_of_body_parts(cases, tmp_path, capsys, name):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    table = tmp_path / "one.csv.corrections.csv"
    assert main(["info", str(cases / f"{name}.csv")]) == 0
    assert main(["clean", str(cases / f"{name}.csv"), "-o", str(one)]) == 0
    assert main(["clean", str(cases / f"{name}.csv"), "-o", str(two), "--apply", str(table)]) == 0
    said = capsys.readouterr()
    assert not UNSAFE.search((said.out + said.err).replace("\n", ""))
    assert one.read_bytes() == two.read_bytes() != (cases / f"{name}.csv").read_bytes()
    cells = [c for row in table.read_text().splitlines()[1:] for c in row.split(",")[4:6]]
    assert cells and not [c for c in cells if c.strip('"')[:1] in tuple("=+-@\t\r")]


def test_arrays_of_positions(cases):
    joints = read(cases / "humanml3d_joints.npy")
    m = joints.actors[0]
    assert (m.skeleton.name, len(m), m.fps) == ("SMPL22", 40, 20)
    assert any("assumed" in n for n in joints.meta["notes"])
    m = read(cases / "joints_as_numbers.npz").actors[0]
    assert (m.positions.shape, m.fps) == ((30, 4, 3), 30)


REFUSED = ("lies_about_its_size.npz", "links_to_itself.h5", "long_line.csv", "longdouble.pkl")


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_files_are_refused_in_one_line(cases, name):
    with pytest.raises(BadFile) as said:
        read(cases / name)
    assert name in str(said.value) and "\n" not in str(said.value)


# further ones of each kind


@pytest.mark.parametrize("suffix", [".h5", ".analysis.h5", ".slp", ".nwb"])
def test_groups_that_hold_themselves(tmp_path, suffix):
    with h5py.File(tmp_path / f"x{suffix}", "w") as f:
        a = f.create_group("processing" if suffix == ".nwb" else "a")
        b = a.create_group("behavior")
        for k in range(60):
            a[f"l{k}"], b[f"m{k}"], a[f"n{k}"] = a, a, b
        f.attrs["nwb_version"] = "2.5.0"
    with pytest.raises(BadFile) as said:
        read(tmp_path / f"x{suffix}")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("member", ["positions", "poses", "joints"])
def test_members_that_swell(tmp_path, member, method):
    "An array header that declares little, and megabytes of zeros behind it."
    head = io.BytesIO()
    np.save(head, np.zeros((2, 2, 3)))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as z:
        with z.open(f"{member}.npy", "w", force_zip64=True) as f:
            f.write(head.getvalue())
            for _ in range(16):
                f.write(bytes(1 << 20))
        z.writestr("fps.npy", head.getvalue())
    with pytest.raises(BadFile) as said:
        read(tmp_path / "x.npz")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("kind", [np.longdouble, np.clongdouble, "O", "M8[s]", "S5"])
def test_pickles_of_odd_numbers(tmp_path, kind):
    what = {"smpl_poses": np.zeros((5, 72)), "smpl_trans": np.zeros((5, 3)).astype(kind)}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(what | {"smpl_scaling": np.ones(1)}))
    try:
        read(tmp_path / "x.pkl")
    except BadFile as err:
        assert "\n" not in str(err)


HEADS = {
    "dlc": "scorer,{}\n",
    "mediapipe": "frame,timestamp,landmark_0_x,{}\n",
    "sleap_csv": "track,frame_idx,instance.score,a.x,a.y,a.score,{}\n",
    "freemocap": "body_nose_x,body_nose_y,body_nose_z,{}\n",
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("filling", ["a" * (8 << 20), "a," * (1 << 20)])
def test_endless_lines(tmp_path, name, filling):
    (tmp_path / "x.csv").write_text(HEADS[name].format(filling))
    with pytest.raises(BadFile) as said:
        read(tmp_path / "x.csv")
    assert "\n" not in str(said.value) and len(str(said.value)) < 2000


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".json", ".trc", ".nwb"])
def test_an_assumed_axis_is_said(tmp_path, suffix):
    "Nothing in a cloud of points tells which way is up."
    x = torch.randn(30, 4, 3, generator=torch.Generator().manual_seed(0))
    cloud = Scene((Motion(x, Skeleton("cloud", ("p", "q", "r", "s")), 30),))
    write(cloud, tmp_path / f"x{suffix}")
    if suffix == ".npz":  # one that says nothing
        np.savez(tmp_path / "x.npz", positions=x.numpy(), joints=["p", "q", "r", "s"], fps=30.0)
    scene = read(tmp_path / f"x{suffix}")
    assert any("which way is up" in n for n in scene.meta["notes"]) or suffix == ".json"


def test_a_file_whose_body_tells_no_axis_says_that_one_is_assumed(tmp_path):
    "A chain of three joints in BVH; a body with legs says nothing."
    chain = tmp_path / "chain.bvh"
    joint = "{0} {1}\n{{\nOFFSET 10 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    chain.write_text(
        "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
        + joint.format("JOINT", "b")
        + joint.format("JOINT", "c")
        + "End Site\n{\nOFFSET 10 0 0\n}\n}\n}\n}\nMOTION\nFrames: 4\nFrame Time: 0.01\n"
        + "".join(f"{k} -5 -5 0 0 0 {9 * k} 5 0 0 {k} 0\n" for k in range(4))
    )
    said = lambda path: [n for n in read(path).meta.get("notes", ()) if "which way is up" in n]
    assert said(chain) == ["nothing tells which way is up: y is assumed"]
    assert not [n for n in read(chain, up="z").meta.get("notes", ()) if "which way is up" in n]
    body = tmp_path / "body.bvh"
    write(Scene((person("walk", seconds=1, fps=30),)), body)
    assert said(body) == []


TRC = (
    "PathFileType\t4\t(X/Y/Z)\tx.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n100\t100\t2\t2\tmm\n"
    "Frame#\tTime\tA\t\t\tB\t\t\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n\n"
)


def test_numbers_behind_the_last_marker_are_said(tmp_path):
    rows = "1\t0\t1\t2\t3\t4\t5\t6\t9\n2\t0.01\t1\t2\t3\t4\t5\t6\n"
    (tmp_path / "x.trc").write_text(TRC + rows)
    scene = read(tmp_path / "x.trc", up="y", units="m")
    assert scene.actors[0].positions[0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert "1 rows hold numbers behind the last marker: left out" in scene.meta["notes"]
    wide = "1\t0\t1\t2\t3\t\t4\t5\t6\t\n2\t0.01\t1\t2\t3\t\t4\t5\t6\t\n"
    (tmp_path / "x.trc").write_text(TRC + wide)
    with pytest.raises(BadFile, match="three columns for each of 2 markers"):
        read(tmp_path / "x.trc")


BVH = (
    "HIERARCHY\nROOT a\n{{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\nEnd Site\n{{\nOFFSET 0 1 0\n}}\n}}\n"
    "MOTION\nFrames: 2\n{}0 0 0\n1 0 0\n"
)


@pytest.mark.parametrize(
    ("printed", "fps"),
    [
        ("0.067", 15),
        ("0.013", 75),
        ("0.014", 72),
        ("0.042", 24),
        ("0.008", 120),
        ("0.03337", 29.97),
    ],
)
def test_more_frame_times(tmp_path, printed, fps):
    (tmp_path / "x.bvh").write_text(BVH.format(f"Frame Time: {printed}\n"))
    assert read(tmp_path / "x.bvh").fps == pytest.approx(fps, rel=1e-6 if fps != 29.97 else 1e-4)


def test_what_ends_a_file_of_dos(tmp_path):
    (tmp_path / "x.bvh").write_bytes(BVH.format("Frame Time: 0.01\n").encode() + b"\x1a\0")
    scene = read(tmp_path / "x.bvh")
    assert len(scene) == 2
    same = write(scene, tmp_path / "y.bvh")
    assert same.read_bytes() == (tmp_path / "x.bvh").read_bytes()
    moved = scene.map(lambda m: m.replace(positions=m.positions + 1))
    assert write(moved, tmp_path / "z.bvh").read_bytes().endswith(b"\x1a\0")


@pytest.mark.parametrize(
    ("line", "says"), [("", "no Frame Time"), ("Frame Time: 0,01\n", "a point")]
)
def test_a_frame_time_that_is_none(tmp_path, line, says):
    (tmp_path / "x.bvh").write_text(BVH.format(line))
    with pytest.raises(BadFile, match=says):
        read(tmp_path / "x.bvh")


def test_a_scale_of_c3d_that_contradicts_the_size(cases, tmp_path):
    data = bytearray((cases / "blocks.c3d").read_bytes())
    whole = read(cases / "blocks.c3d").actors[0]
    at = data.find(b"SCALE") + 5 + 2 + 2
    assert np.frombuffer(data[at : at + 4], "<f4") == -1
    data[at : at + 4] = np.float32(1).tobytes()
    (tmp_path / "sign.c3d").write_bytes(data)
    assert torch.equal(read(tmp_path / "sign.c3d").actors[0].positions, whole.positions)


def instance(t, shift=0):
    return {"keypoints": [[i + t + shift, 2 * i] for i in range(17)], "keypoint_scores": [0.5] * 17}


def test_mmposes_list_of_a_video(tmp_path):
    "What its inferencer writes for a video: frames without a word about them."
    frames = [{"frame_id": t, "instances": [instance(t)] * (t != 2)} for t in range(5)]
    (tmp_path / "x.json").write_text(json.dumps(frames))
    scene = read(tmp_path / "x.json")
    m = scene.actors[0]
    assert m.positions.shape == (5, 17, 2) and m.positions[3, 1].tolist() == [4, 2]
    assert m.observed.any(1).tolist() == [True, True, False, True, True]
    assert write(scene, tmp_path / "y.json").read_bytes() == (tmp_path / "x.json").read_bytes()
    del frames[1]
    (tmp_path / "x.json").write_text(json.dumps(frames))
    assert any("leave some out" in n for n in read(tmp_path / "x.json").meta["notes"])


def test_calms21_with_its_labels(tmp_path):
    mice = {"keypoints": np.ones((4, 2, 2, 7)).tolist(), "scores": np.ones((4, 2, 7)).tolist()}
    tree = {"annotator-id_0": {"task1/train/mouse001": mice | {"annotations": [0] * 4}}}
    (tmp_path / "x.json").write_text(json.dumps(tree))
    assert [len(m) for m in read(tmp_path / "x.json").actors] == [4, 4]


def test_pictures_with_long_numbers(tmp_path):
    row = [v for i in range(17) for v in (i, 2 * i, 0.5)]
    people = [{"image_id": 10**15 * k, "keypoints": row, "score": 1} for k in range(6)]
    (tmp_path / "x.json").write_text(json.dumps(people))
    assert [len(m) for m in read(tmp_path / "x.json").actors] == [6]
    people[3]["keypoints"] = [str(v) for v in row]
    (tmp_path / "x.json").write_text(json.dumps(people))
    with pytest.raises(BadFile, match="keypoints as numbers"):
        read(tmp_path / "x.json")


@pytest.mark.parametrize(
    "odd", ["{", '{"people": 5}', '{"people": [{"pose_keypoints_2d": ["a"]}]}', '{"people": [7]}']
)
def test_the_odd_file_of_a_folder_is_named(tmp_path, odd):
    body = {"people": [{"pose_keypoints_2d": [1.5, 2, 0.5] * 25}]}
    for t in range(4):
        (tmp_path / f"v_{t:03d}_keypoints.json").write_text(json.dumps({"version": 1.3, **body}))
    (tmp_path / "v_002_keypoints.json").write_text('{"version": 1.3, "people": null}')
    assert read(tmp_path).actors[0].observed.any(1).tolist() == [True, True, False, True]
    (tmp_path / "v_002_keypoints.json").write_text(odd)
    with pytest.raises(BadFile, match="v_002_keypoints.json") as said:
        read(tmp_path)
    assert "Error" not in str(said.value)


def packed(how: str, content: dict) -> bytes:
    "A pickle as other libraries keep it."
    import joblib

    out = io.BytesIO()
    tensors = {k: torch.from_numpy(x) for k, x in content.items()}
    if how.startswith("joblib"):
        joblib.dump(content, out, compress=(how[7:], 3) if how[7:] else 0)
    elif how == "tensors":
        pickle.dump(tensors, out)
    elif how.startswith("torch"):
        torch.save(tensors, out, _use_new_zipfile_serialization=how == "torch new")
    else:
        squeeze = {"gzip": gzip.compress, "bz2": bz2.compress, "lzma": lzma.compress}[how]
        out.write(squeeze(pickle.dumps(content)))
    return out.getvalue()


WAYS = ("joblib ", "joblib zlib", "joblib gzip", "joblib bz2", "joblib lzma", "joblib xz", "tensors", "torch old", "torch new", "gzip", "bz2", "lzma")  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
def test_poses_packed_as_other_libraries_do(tmp_path, how):
    rng = np.random.default_rng(0)
    content = {"smpl_poses": rng.normal(0, 0.1, (6, 72)), "smpl_trans": rng.normal(0, 1, (6, 3))}
    content["smpl_scaling"] = np.ones(1)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(content))
    (tmp_path / "x.pkl").write_bytes(packed(how, content))
    plain, scene = read(tmp_path / "plain.pkl"), read(tmp_path / "x.pkl")
    assert torch.equal(scene.actors[0].positions, plain.actors[0].positions)
    same = write(scene, tmp_path / "y.pkl")
    assert same.read_bytes() == (tmp_path / "x.pkl").read_bytes()
    moved = scene.map(lambda m: m.replace(positions=m.positions + 0.5))
    again = read(write(moved, tmp_path / "z.pkl"))
    assert torch.allclose(again.actors[0].positions, moved.actors[0].positions, atol=1e-5)


@pytest.mark.parametrize("likelihood", ["250", "-1"])
def test_likelihoods_that_are_no_shares_are_said(tmp_path, likelihood):
    head = "scorer,S,S,S\nbodyparts,a,a,a\ncoords,x,y,likelihood\n"
    (tmp_path / "x.csv").write_text(head + "".join(f"{t},{t},2,{likelihood}\n" for t in range(9)))
    assert any("9 likelihoods are no shares" in n for n in read(tmp_path / "x.csv").meta["notes"])


@pytest.mark.parametrize("fps", [0, 0.0, -25, float("nan"), 1e300])
@pytest.mark.parametrize("suffix", [".csv", ".json", ".npz"])
def test_a_rate_that_is_none_is_not_taken_for_no_rate(tmp_path, suffix, fps):
    cloud = Motion(torch.rand(9, 3, 2), Skeleton("cloud", ("p", "q", "r")), 25)
    write(Scene((cloud,)), tmp_path / f"x{suffix}")
    with pytest.raises(ValueError, match="fps"):
        read(tmp_path / f"x{suffix}", fps=fps)


def test_long_names_many_joints_and_many_columns_are_refused_at_once(tmp_path):
    joint = "{}{} {}\n{{\nOFFSET 0 1 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    head = lambda names: "".join(
        joint.format("" if k else "HIERARCHY\n", "JOINT" if k else "ROOT", n)
        for k, n in enumerate(names)
    )
    tail = lambda n: "}\n" * n + "MOTION\nFrames: 1\nFrame Time: 0.01\n" + "0 " * 3 * n + "\n"
    long, deep = ["H" * 5_000_000], [f"j{k}" for k in range(10_010)]
    (tmp_path / "long.bvh").write_text(head(long) + tail(1))
    (tmp_path / "deep.bvh").write_text(head(deep) + tail(len(deep)))
    cells = "1\t" * 600_000
    keys = "DataRate\tNumMarkers\tUnits\n100\t200000\tmm\n"
    names = "\t\t\t".join(f"m{k}" for k in range(200_000))
    text = f"PathFileType\t4\t(X/Y/Z)\ta.trc\n{keys}Frame#\tTime\t{names}\n\t\t\n1\t0.0\t{cells}\n"
    (tmp_path / "wide.trc").write_text(text)
    says = {
        "long.bvh": "1,000 characters",
        "deep.bvh": "10,000 joints",
        "wide.trc": "10,000 at most",
    }
    for name, words in says.items():
        began = time.process_time()
        with pytest.raises(BadFile, match=words):
            read(tmp_path / name)
        assert time.process_time() - began < 4, name


def test_rows_of_features_open_like_any_other_file(real_data, tmp_path):
    "HumanML3D's own vectors give its own joints; what a network sees, normalised, is refused with the way out."
    folder = real_data / "humanml3d"
    scene = read(folder / "new_joint_vecs_012314.npy")
    joints = read(folder / "new_joints_012314.npy").actors[0].positions
    assert (scene.meta["format"], scene.fps) == ("feature_rows", 20.0)
    n = min(len(joints), len(scene.actors[0]))
    assert (scene.actors[0].positions[:n] - joints[:n]).abs().max() < 1e-5
    rows, mean, std = (
        np.load(folder / f) for f in ("new_joint_vecs_012314.npy", "Mean.npy", "Std.npy")
    )
    np.save(tmp_path / "normal.npy", (rows - mean) / std)
    with pytest.raises(BadFile, match="multiplied by the deviation"):
        read(tmp_path / "normal.npy")


def endless(kind: str) -> tuple[str, bytes]:
    "Tens of megabytes in one line: the suffix and the bytes."
    zeros = b"0," * 12_000_000 + b"0]"
    people = b'[{"image_id": 1, "category_id": 1, "keypoints": ['
    head = (
        b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n}\nMOTION\n"
    )
    return {
        "line": (".bvh", head + b"Frames: 2\nFrame Time: 0.04\n0 0 0\n" + b"1.5 " * 12_000_000),
        "blanks": (".bvh", head + b"Frames" + b" " * 3_000_000),
        "list": (".json", people + zeros + b', "score": 0.9}]'),
        "objects": (".json", people + b"0,0,1]}" + b",{}" * 4_000_000 + b"]"),
        "digits": (".json", b'[{"image_id": "' + b"1" * 300_000 + b'a1", "keypoints": [1, 2, 1]}]'),
        "joints": (".json", people + b"1,2,1," * 20_000 + b'1,2,1], "score": 0.9}]'),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("line", "one of 12000000 numbers"),
        ("blanks", "MOTION, Frames: and Frame Time:"),
        ("list", "at most 10,000,000 values"),
        ("objects", "at most 10,000,000 values"),
        ("digits", ""),
        ("joints", "at most 10,000 joints"),
    ],
)
def test_endless_lines_and_lists_end_in_seconds(tmp_path, kind, says):
    suffix, data = endless(kind)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    began = time.process_time()
    with contextlib.suppress(BadFile) if not says else pytest.raises(BadFile, match=says):
        read(path)
    assert time.process_time() - began < 5


def test_a_long_recording_in_json_is_no_bomb(tmp_path, monkeypatch):
    "Numbers that are written out make a file as long as its recording; only bare ones are refused."
    from motionbook.formats.kit import tokens

    monkeypatch.setattr(tokens, "MAX_VALUES", 1000)
    long = b"[" + b", ".join(b"%.5f" % (k / 7) for k in range(5000)) + b"]"
    assert len(tokens.json_tokens(long)[0]) == 5000
    with pytest.raises(BadFile, match="at most 1,000 values"):
        tokens.json_tokens(b"[" + b"0," * 5000 + b"0]")


def test_a_table_of_blank_lines_costs_no_gigabytes(tmp_path):
    head = b"scorer,n,n\nbodyparts,a,a\ncoords,x,y\n"
    (tmp_path / "blank.csv").write_bytes(head + b"\n" * 20_000_000)
    (tmp_path / "quote.csv").write_bytes(head + b'0,1,"' + b"9\n" * 2_000_000)
    for name in ("blank.csv", "quote.csv"):
        began = time.process_time()
        with pytest.raises(BadFile):
            read(tmp_path / name)
        assert time.process_time() - began < 4, name
    rows = [b"", b"0,1,2", b",,", b"", b" ", b'"1","3",4', b"", b"2,5,6", b"\t"]
    for eol in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "gaps.csv").write_bytes(head.replace(b"\n", eol) + eol.join(rows) + eol)
        scene = read(tmp_path / "gaps.csv")
        assert scene.actors[0].positions[:, 0].tolist() == [[1, 2], [3, 4], [5, 6]]
        assert (
            write(scene, tmp_path / "same.csv").read_bytes() == (tmp_path / "gaps.csv").read_bytes()
        )
