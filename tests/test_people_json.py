"""People found in pictures, in the JSON of other programs: a folder of one-frame files is one recording."""

import json

import pytest
import torch
from helpers import edited
from recordings import examples, pixels, put

from motionbook.cli import main
from motionbook.converters.base import recording_files
from motionbook.core.files import BadFile
from motionbook.formats.registry import find_format, read, write


@pytest.fixture
def folder(tmp_path):
    "OpenPose's files of three thousand frames."
    (made := tmp_path / "walk").mkdir()
    rows = [[{"pose_keypoints_2d": p.ravel().tolist()} for p in x] for x in pixels(5, 1, 25)]
    for t in range(3000):
        text = json.dumps({"version": 1.3, "people": rows[t % 5]})
        (made / f"cam_{t:012d}_keypoints.json").write_text(text)
    return made


def test_a_folder_of_frames_is_one_recording(folder, capsys):
    assert find_format(folder).name == "openpose"
    assert recording_files(folder) == recording_files(folder.parent) == [folder]
    assert main(["info", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "3,000" in said and len(said.splitlines()) < 12
    changed = edited(read(folder), frame=7, by=1.0)
    out = write(changed, folder.parent / "out")
    differ = [p.name for p in folder.iterdir() if p.read_bytes() != (out / p.name).read_bytes()]
    assert differ == ["cam_000000000007_keypoints.json"]


@pytest.mark.parametrize("name", ["openpose", "coco_results", "people_json"])
def test_the_format_is_found_by_content(name, tmp_path):
    for label, files in examples(name).items():
        path = put(files, tmp_path)
        assert find_format(path).name == name, label
        scene = read(path)
        assert len(scene) == 5
        assert torch.equal((~scene.actors[0].observed).nonzero(), torch.tensor([[2, 3]]))


def test_only_people_who_are_there_can_be_another_length(tmp_path):
    path = put(examples("openpose")["BODY_25"], tmp_path)
    scene = read(path)
    half = scene.map(lambda m: m.replace(positions=m.positions[:3], confidence=m.confidence[:3]))
    with pytest.raises(BadFile, match="keypoint .json"):
        write(half, tmp_path / "half.json", format="openpose")


STRANGERS = {
    "mouse_full.pickle": b"\x80\x04]\x94.",
    "cage_pose_est_v5.h5": b"\x89HDF\r\n\x1a\n",
    "fly.trk": b"MATLAB 5.0 MAT-file",
    "walk.fbx": b"Kaydara FBX Binary  ",
    "data.bin": b'<?xml version="1.0"?><mvnx version="4">',
}


def test_a_stranger_is_named_with_a_way_out(tmp_path, capsys):
    from motionbook.formats.kit.known_others import known_other

    for name, head in STRANGERS.items():
        (path := tmp_path / name).write_bytes(head)
        with pytest.raises(BadFile) as said:
            read(path)
        assert known_other(path, head).way in str(said.value) and "\n" not in str(said.value)
    assert main(["info", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "mouse_full.pickle: not read" in said and "use the .h5" in said and "Blender" in said
