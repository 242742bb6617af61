"""Real recordings of UI-PRMD and ACCAD: what comes out of them, and what the dataset says of itself."""

import gzip
import json
import tarfile

import numpy as np
import pytest
import torch
from helpers import real_files

from motionbook.converters.accad import accad_items, load_accad
from motionbook.converters.base import find_source
from motionbook.converters.body_checks import feet_and_knees
from motionbook.converters.marker_joints import MARKED
from motionbook.converters.uiprmd import (
    feet_move,
    kinect_motion,
    load_uiprmd,
    read_rows,
    uiprmd_items,
)
from motionbook.core.size import body_height, bone_variation


def archive_of(name: str):
    "A file of real data; the test is skipped where it is absent."
    found = real_files(name)
    return found[0] if found else pytest.skip(f"no {name} in the real recordings")


FEW = ("m01_s01_e01", "m02_s01_e01", "m05_s01_e01", "m08_s01_e01")  # clips that are unpacked


@pytest.fixture(scope="module")
def uiprmd(tmp_path_factory):
    "Some texts of UI-PRMD."
    root = tmp_path_factory.mktemp("uiprmd")
    with tarfile.open(archive_of("uiprmd/uiprmd_original_text.tar")) as t:
        some = [m for m in t if m.isfile() and any(k in m.name for k in FEW)]
        t.extractall(root, some, filter="data")
    return root


@pytest.fixture(scope="module")
def accad(tmp_path_factory):
    "Two short recordings of ACCAD; the archive is read no further than to them."
    root, wanted = (
        tmp_path_factory.mktemp("accad"),
        {"sprint.txt", "quickwalk.txt", "connections.txt"},
    )
    with tarfile.open(archive_of("accad/accad_markers.tar.bz2"), "r|bz2") as t:
        for m in t:
            if m.name.rpartition("/")[2] in wanted:
                wanted.remove(m.name.rpartition("/")[2])
                t.extract(m, root, filter="data")
            if not wanted:
                break
    return root


def test_a_squat_settles_the_order_of_the_kinects_angles(uiprmd):
    (places,) = uiprmd.rglob("Kinect/Positions/m01_s01_e01*")
    (angles,) = uiprmd.rglob("Kinect/Angles/m01_s01_e01*")
    x, a = (read_rows(p, 66).reshape(-1, 22, 3) for p in (places, angles))
    moved = {
        o: feet_move(kinect_motion(x, a, o)) for o in ("xyz", "xzy", "yxz", "yzx", "zxy", "zyx")
    }
    best = min(moved, key=moved.get)
    print({o: f"{100 * v:.0f} cm" for o, v in moved.items()})
    assert best == "zxy" and moved[best] < 0.05
    assert min(v for o, v in moved.items() if o != best) > 3 * moved[best]


def test_both_systems_see_the_same_person(uiprmd):
    assert find_source(next(uiprmd.iterdir())).name == "uiprmd"
    made = {}
    for item in uiprmd_items(uiprmd):
        scene = load_uiprmd(item.path)
        m = scene.actors[0]
        made[scene.meta["labels"].more["system"], item.clip] = m
        tall = float(body_height(m.positions, m.skeleton))
        assert item.subject == "s01" and 1.4 < tall < 1.75, (item.key, tall)
        assert feet_and_knees(m)[0] > 0.3
    assert len(made) == 2 * len(FEW)
    for clip in FEW:
        a, b = (made[s, clip] for s in ("vicon", "kinect"))
        assert (a.fps, b.fps) == (100.0, 30.0)
        assert abs(a.duration - b.duration) < 1.5  # recorded together, cut apart


def test_joints_from_markers_keep_their_bones(uiprmd):
    bones = [
        MARKED.indices([f"{s}_{a}", f"{s}_{b}"])
        for s in ("left", "right")
        for a, b in (("knee", "ankle"), ("hip", "knee"), ("shoulder", "elbow"))
    ]
    for item in uiprmd_items(uiprmd):
        if "Vicon" in item.path:
            m = load_uiprmd(item.path).actors[0]
            assert bone_variation(m.positions, bones).nan_to_num().max() < 0.1, item.key


def test_the_archive_of_differences_is_the_text(uiprmd, tmp_path):
    with tarfile.open(archive_of("uiprmd/vicon_positions_int16_delta.tar.xz")) as t:
        for m in t:
            if m.name.endswith(("vicon_s01.json", "vicon_s01.npy")):
                m.name = m.name.rpartition("/")[2]
                t.extract(m, tmp_path, filter="data")
            if len(list(tmp_path.iterdir())) == 2:
                break
    items = {i.clip: i for i in uiprmd_items(tmp_path)}
    assert len(items) > 150 and len(
        json.loads((tmp_path / "vicon_s01.json").read_text())["clips"]
    ) >= len(items)
    (path,) = uiprmd.rglob("Vicon/Positions/m05_s01_e01*")
    text, packed = (
        load_uiprmd(p).actors[0].positions for p in (str(path), items["m05_s01_e01"].path)
    )
    assert torch.allclose(text, packed, atol=5e-4, equal_nan=True)
    raw = np.loadtxt(gzip.open(path, "rt"), delimiter=",")
    assert raw.shape[0] == len(text)  # nothing was lost at the ends


def test_accad(accad):
    folder = next(accad.iterdir())
    assert find_source(folder).name == "accad"
    items = accad_items(folder)
    assert [i.key for i in items] == ["quickwalk", "sprint"] and items[0].subject
    for item in items:
        scene = load_accad(item.path)
        m = scene.actors[0]
        assert m.fps == 120.0 and 1.55 < float(body_height(m.positions, m.skeleton)) < 1.75
        hips = m.joint("pelvis")[m.observed.all(1)]
        speed = float((hips[-1] - hips[0]).norm()) / (len(m) / m.fps)
        assert 1.8 < speed < 6, (
            item.key,
            speed,
        )  # in metres a second, whatever the unit of the file
