"""Small inputs that once failed, and what each must give: those of `../shared/cases` where they are, and more of each kind."""

import io
import pickle
import shutil
import subprocess
import sys
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
