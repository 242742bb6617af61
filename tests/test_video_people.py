"People from videos, dancers as points, and datasets with tensors in their pickles."

import pickle

import numpy as np
import pytest
import torch
from recordings import examples

import motionbook
from motionbook.converters.mvhumannet import load_mvh
from motionbook.core.files import BadFile
from motionbook.core.tensors import load_tensors
from motionbook.formats.registry import find_format


@pytest.mark.parametrize("what", ["wham", "tram"])
def test_results_of_tools_are_found_by_their_content(tmp_path, what):
    ((name, data),) = examples("video_smpl")[what].items()
    (tmp_path / name).write_bytes(data)
    assert find_format(tmp_path / name).name == "video_smpl"
    scene = motionbook.read(tmp_path / name, fps=25)
    assert (len(scene), scene.fps) == (20, 25) and all(m.observed.all() for m in scene.actors)
    with pytest.raises(ValueError, match="a name that ends in"):
        motionbook.write(scene, tmp_path / "x.pt")


def test_results_are_known_however_they_are_packed(tmp_path):
    "VIBE's words in a plain pickle, and TRAM's in an archive."
    rng = np.random.default_rng(0)
    vibe = {"pred_cam": np.zeros((12, 3)), "verts": np.zeros((12, 6890, 3), np.float32)}
    vibe |= {"pose": rng.normal(0, 0.1, (12, 72)), "betas": np.zeros((12, 10))}
    (tmp_path / "vibe.pkl").write_bytes(pickle.dumps({1: vibe | {"frame_ids": np.arange(12)}}))
    tram = {"pred_rotmat": np.tile(np.eye(3), (12, 24, 1, 1)), "pred_shape": np.zeros((12, 10))}
    np.savez(tmp_path / "tram.npz", pred_trans=np.zeros((12, 1, 3)), **tram)
    for name, tool in (("vibe.pkl", "VIBE"), ("tram.npz", "TRAM")):
        scene = motionbook.read(tmp_path / name)
        assert (scene.meta["tool"], len(scene), len(scene.actors)) == (tool, 12, 1)


def test_frames_of_tensors_read_as_frames_of_arrays(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 1, 45, 3)).astype(np.float32)
    for kind, make in (("arrays", np.asarray), ("tensors", torch.from_numpy)):
        folder = tmp_path / kind / "smpl_param"
        folder.mkdir(parents=True)
        for t, joints in enumerate(x):
            frame = {"joints": make(joints), "betas": make(joints[0, :1]), "scale": 1.0}
            (folder / f"{t:04d}.pkl").write_bytes(pickle.dumps(frame))
    a, b = (load_mvh(str(tmp_path / k / "smpl_param")).actors[0] for k in ("arrays", "tensors"))
    assert torch.equal(a.positions, b.positions)


def test_real_keypoints_of_aist(real_data, tmp_path):
    for path in sorted((real_data / "aistpp").glob("keypoints*/*.pkl")):
        scene = motionbook.read(path)
        assert scene.fps == 60 and scene.actors[0].skeleton.name == "COCO17"
        assert motionbook.write(scene, tmp_path / "b.pkl").read_bytes() == path.read_bytes()
    pixels = motionbook.read(path.parents[1] / "keypoints2d" / "gBR_sBM_cAll_d04_mBR2_ch08.pkl", view=3)  # fmt: skip
    assert scene.actors[0].positions.shape[-1] == 3 and pixels.meta["units"] == "px"


def test_tensors_that_lie(tmp_path):
    good = pickle.dumps({"joints": torch.zeros(2, 3)}, 2)
    far = good.replace(b"K\x02K\x03\x86", b"K\x02K\x09\x86")
    assert far != good
    with pytest.raises(BadFile, match="beyond its storage"):
        load_tensors(far)
    with pytest.raises(BadFile, match="nothing in it was run"):
        load_tensors(pickle.dumps(print))


def test_arrays_of_a_video_have_no_rate(tmp_path):
    rng, n = np.random.default_rng(0), 12
    person = {"pose": rng.normal(0, 0.1, (n, 72)), "trans": np.zeros((n, 3))}
    person |= {"betas": np.zeros((n, 10)), "frame_ids": np.arange(n)}
    np.savez(tmp_path / "a.npz", **person)
    np.savez(tmp_path / "b.npz", **person, mocap_framerate=120)
    names = [find_format(tmp_path / f"{k}.npz").name for k in "ab"]
    scenes = [motionbook.read(tmp_path / f"{k}.npz") for k in "ab"]
    assert names == ["video_smpl", "smpl_npz"] and [s.fps for s in scenes] == [30, 120]
    assert [s.meta["fps_stated"] for s in scenes] == [False, True]
    assert "30 frames per second are assumed" in scenes[0].meta["notes"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ["tensors", "arrays"])
def test_a_pt_with_the_keys_of_aist_is_read(tmp_path, kind, zipped):
    rng, keep = np.random.default_rng(0), torch.from_numpy if kind == "tensors" else np.asarray
    motion = {"smpl_poses": rng.normal(0, 0.1, (9, 72)), "smpl_trans": rng.normal(0, 90, (9, 3))}
    motion["smpl_scaling"] = np.array([90.0])
    points = {"keypoints3d": rng.normal(0, 50, (9, 17, 3))}
    amass = {"poses": motion["smpl_poses"], "trans": motion["smpl_trans"] / 90}
    for name, x in (("motion", motion), ("points", points), ("amass", amass)):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(x))
        new = {k: keep(v) for k, v in x.items()}
        torch.save(new, tmp_path / f"{name}.pt", _use_new_zipfile_serialization=zipped)
    for name in ("motion", "points", *(["amass"] if zipped else [])):
        more = {"fps": 60} if name == "amass" else {}
        format = (
            "smpl_npz" if name == "amass" else None
        )  # a pickle of AMASS is not told by its head
        a = motionbook.read(tmp_path / f"{name}.pkl", format=format, **more)
        b = motionbook.read(tmp_path / f"{name}.pt", **more)
        assert torch.equal(a.actors[0].positions, b.actors[0].positions)
        assert a.meta["format"] == b.meta["format"]


def test_people_far_apart_in_time_are_refused_at_once(tmp_path):
    "Twenty frames that claim half a million take no gigabyte."
    ((name, data),) = examples("video_smpl")["wham"].items()
    people = load_tensors(data, name)
    people[0]["frame_ids"] = people[0]["frame_ids"] * 25_000
    (tmp_path / name).write_bytes(pickle.dumps(people))
    with pytest.raises(BadFile, match="seen in a hundredth of the frames"):
        motionbook.read(tmp_path / name)
