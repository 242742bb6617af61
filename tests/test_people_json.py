"""People found in pictures, in the JSON of other programs: a folder of one-frame files is one recording."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers import SAMPLES, edited
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


def test_a_folder_says_what_one_text_of_it_says(folder):
    from motionbook.formats.keypoints import openpose

    for t in (0, 255, 256, 700):  # nobody, with other blanks, with another number of digits
        path = folder / f"cam_{t:012d}_keypoints.json"
        path.write_text('{"version":1.3, "people":[]}' if t % 2 else path.read_text() + " \n")
    data, fields, _ = openpose.join_files(folder)
    blocks, whole = openpose.parse(data, **fields), openpose.parse(data)
    np.testing.assert_array_equal(blocks.at, whole.at)
    np.testing.assert_array_equal(blocks.parts[0].positions, whole.parts[0].positions)
    for k in ("start", "end", "values"):
        np.testing.assert_array_equal(getattr(blocks.tokens, k), getattr(whole.tokens, k))
    some = np.arange(0, len(blocks.tokens.values), 997)
    assert [float(w) for w in blocks.tokens.words(some)] == blocks.tokens.values[some].tolist()


def test_a_folder_is_parsed_in_blocks(folder):
    import tracemalloc

    from motionbook.formats.keypoints import openpose

    data, fields, _ = openpose.join_files(folder)
    tracemalloc.start()
    openpose.parse(data, **fields)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15 * len(data)  # all at once: nearly forty times the text


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
    "walk.glb": b"glTF\x02\0\0\0",
    "walk.gltf": b'{"asset": {"version": "2.0"}}',
    "walk.usdc": b"PXR-USDC\0\0",
    "dance.vmd": b"Vocaloid Motion Data 0002\0",
    "take.tak": b"\x01\x02\0",
    "gait.qtm": b"\x01\x02\0",
    "walk.mot": b"Coordinates\nversion=1\nendheader\ntime\thip\n0\t1\n",
    "forces.txt": b"nRows=1\nnColumns=2\nendheader\ntime\tvx\n0\t1\n",
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


def with_leaps(folder, frames=120):
    "A folder of frames in which one joint leaps now and then."
    folder.mkdir(parents=True)
    t, j = np.arange(frames)[:, None], np.arange(25)
    x = np.stack([300 + 50 * np.sin(t / 20) + 9 * j, 200 + 30 * np.cos(t / 17) + 5 * j], -1)
    x += np.random.default_rng(0).normal(0, 0.3, x.shape)
    x[7::29, 3] += 150
    x = np.concatenate([x, np.full((frames, 25, 1), 0.9)], -1).round(3)
    for k in range(frames):
        people = [{"person_id": [-1], "pose_keypoints_2d": x[k].ravel().tolist()}]
        text = json.dumps({"version": 1.3, "people": people})
        (folder / f"v_{k:012d}_keypoints.json").write_text(text)
    return folder


def differing(a, b):
    return [p.name for p in sorted(a.iterdir()) if p.read_bytes() != (b / p.name).read_bytes()]


def test_a_folder_of_frames_is_cleaned_into_a_folder(tmp_path, capsys):
    walk, out = with_leaps(tmp_path / "walk"), tmp_path / "walk.clean"
    assert main(["clean", str(walk), "--report"]) == 0
    assert len(capsys.readouterr().out.splitlines()) < 12
    leaps = [f"v_{k:012d}_keypoints.json" for k in range(7, 120, 29)]
    assert differing(walk, out) == leaps
    table = tmp_path / "walk.clean.corrections.csv"
    assert table.exists() and (tmp_path / "walk.clean.html").exists()
    (out / "notes.txt").write_text("mine")
    again = ["clean", str(walk), "-o", str(tmp_path / "again"), "--apply", str(table)]
    assert main(again) == 0 and differing(walk, tmp_path / "again") == leaps
    assert main(["clean", str(walk), "--method", "hold"]) == 0
    assert (out / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("precious")
    for taken in (walk / "in", walk, tmp_path / "file"):
        assert main(["clean", str(walk), "-o", str(taken)]) == 2
    assert (tmp_path / "file").read_text() == "precious" and len(list(walk.iterdir())) == 120


def test_folders_of_frames_in_a_tree(tmp_path, capsys):
    days = tmp_path / "days"
    with_leaps(days / "one"), with_leaps(days / "two")
    table = SAMPLES / "mouse.csv"
    shutil.copy(table, days / "two" / "mouse.csv")
    for word in ("cleaned", "kept"):
        assert main(["clean", str(days), "-o", str(tmp_path / "out"), "--method", "hold"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[-2] == f"in all:   3 {word}" and len(said) == 5
    path = next((days / "one").iterdir())
    path.write_text(path.read_text() + "\n")
    assert main(["clean", str(days), "-o", str(tmp_path / "out"), "--method", "hold"]) == 0
    assert "1 cleaned, 2 kept" in capsys.readouterr().out


def test_points_in_space_of_easymocap(tmp_path):
    (folder := tmp_path / "keypoints3d").mkdir()
    body = np.random.default_rng(1).normal(0, 0.2, (25, 4))
    body[:, 2:] = np.stack([np.linspace(1.7, 0, 25), np.full(25, 0.7)], 1)
    for t in range(6):
        people = [{"id": k, "keypoints3d": (body + [k, 0.1 * t, 0, 0]).tolist()} for k in (3, 1)]
        (folder / f"{t:06d}.json").write_text(json.dumps(people[: 2 - (t == 4)]))
    scene = read(folder)
    assert scene.meta["format"] == "openpose" and scene.meta["up"] == "z"
    assert [m.name for m in scene.actors] == ["person3", "person1"]
    assert [len(m.skeleton) for m in scene.actors] == [25, 25]
    assert scene.actors[1].observed.all(1).tolist() == [True] * 4 + [False, True]
    assert torch.allclose(scene.actors[0].positions[2, 0, 1], torch.tensor(1.7))
    assert main(["clean", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert differing(folder, tmp_path / "out") == ["000004.json"]


@pytest.mark.parametrize("kind", ["tidy", "by frame"])
def test_rows_of_a_tidy_table_are_found_by_their_words(kind, tmp_path):
    path = put(examples("freemocap")[kind], tmp_path)
    assert find_format(path).name == "freemocap"
    scene = read(path)
    m = scene.actors[0]
    assert m.skeleton.name == "MEDIAPIPE33" and m.positions.shape == (6, 33, 3)
    assert (~m.observed).nonzero().tolist() == [[2, 4]]
    head, *rows = path.read_text().splitlines()
    (tmp_path / "mixed.csv").write_text("\n".join([head, *rows[:33], *rows[:32:-1]]))
    mixed = read(tmp_path / "mixed.csv").actors[0]
    assert torch.equal(mixed.positions.nan_to_num(-7), m.positions.nan_to_num(-7))
    out = write(edited(scene, frame=3, by=0.01), tmp_path / "out.csv").read_text().splitlines()
    differ = [new for old, new in zip([head, *rows], out, strict=True) if old != new]
    assert len(differ) == 1 and differ[0].startswith("3,nose,")


def test_a_tidy_table_says_which_points_stand_twice(tmp_path):
    path = put(examples("freemocap")["tidy"], tmp_path)
    path.write_text(path.read_text() + "\n0,nose,1,2,3\n")
    with pytest.raises(BadFile, match="each keypoint once in a frame"):
        read(path)
