"""The frames worth labelling again: which, in what form, and how they are found back."""

import numpy as np
import pandas as pd
import pytest
import torch

from motionbook.cleanup.frames import (
    export_frames,
    frame_numbers,
    frame_trouble,
    image_names,
    labels_table,
    worst_frames,
    write_pictures,
)
from motionbook.core.motion import Scene
from motionbook.filters.auto import clean
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.formats.registry import read, write
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person


@pytest.fixture(scope="module")
def cleaned():
    plan = {"dropout": {"rate": 0.04, "likelihood": "low"}, "add_jumps": {"rate": 0.01}}
    return clean(corrupt(mouse(seconds=40, seed=5), plan, 1).scene)


@pytest.mark.parametrize("n", [1, 7, 40])
def test_chosen_frames_are_in_doubt_and_apart(cleaned, n):
    frames = worst_frames(cleaned, n)
    assert len(set(frames)) == n and frames == sorted(frames)
    assert (frame_trouble(cleaned)[frames] > 0).all()
    if n > 1:
        assert np.diff(frames).min() >= len(cleaned.scene) / n / 20


def test_the_worst_frame_comes_first(cleaned):
    assert worst_frames(cleaned, 1) == [int(frame_trouble(cleaned).argmax())]


def test_no_more_frames_than_are_in_doubt(cleaned):
    few = int((frame_trouble(cleaned) > 0).sum())
    assert len(worst_frames(cleaned, few + 100)) == few


def test_table_holds_the_tracker_s_own_numbers(cleaned):
    frames = worst_frames(cleaned, 5)
    table = labels_table(cleaned, frames, "mouse")
    m = cleaned.original.actors[0]
    for j, name in enumerate(m.skeleton.joints):
        mine = table.xs(name, axis=1, level="bodyparts").to_numpy()
        assert np.array_equal(
            mine[:, :2].astype(np.float32), m.positions[frames, j].numpy(), equal_nan=True
        )


@pytest.mark.parametrize("animals", [1, 2])
def test_csv_reads_back_with_frame_numbers(tmp_path, animals):
    scene = corrupt(
        mouse(seconds=10, seed=2, animals=animals), {"dropout": {"rate": 0.06}}, 3
    ).scene
    done = clean(scene)
    path = tmp_path / "labeled-data" / "film" / "machinelabels.csv"
    frames = export_frames(done, path, n=6)
    levels = 4 if animals > 1 else 3
    back = pd.read_csv(path, header=list(range(levels)), index_col=[0, 1, 2])
    assert frame_numbers(back) == frames
    assert [i[:2] for i in back.index] == [("labeled-data", "film")] * len(frames)
    want = (
        ["scorer", "individuals", "bodyparts", "coords"]
        if levels == 4
        else ["scorer", "bodyparts", "coords"]
    )
    assert list(back.columns.names) == want
    assert set(back.columns.get_level_values("coords")) == {"x", "y", "likelihood"}


def test_collected_data_is_a_person_s(tmp_path, cleaned):
    path = tmp_path / "CollectedData_anna.csv"
    export_frames(cleaned, path, n=3)
    back = pd.read_csv(path, header=[0, 1, 2], index_col=[0, 1, 2])
    assert set(back.columns.get_level_values(0)) == {"anna"}
    assert set(back.columns.get_level_values("coords")) == {"x", "y"}


def test_video_name_comes_from_deeplabcut_s_file_name(tmp_path):
    src = tmp_path / "clip1DLC_resnet50_openMay1shuffle1_1000.csv"
    write(corrupt(mouse(seconds=10, seed=2), {"dropout": {"rate": 0.06}}, 3).scene, src)
    path = tmp_path / "frames.csv"
    export_frames(clean(read(src)), path, n=2)
    assert "labeled-data,clip1,img" in path.read_text()


def test_numbers_have_as_many_digits_as_deeplabcut_gives():
    assert image_names([3], 1000) == ["img003.png"] and image_names([3], 1001) == ["img0003.png"]


def test_bad_input_is_one_clear_error(tmp_path, cleaned):
    with pytest.raises(ValueError, match="ends in .csv"):
        export_frames(cleaned, tmp_path / "x.txt")
    with pytest.raises(ValueError, match="above 0"):
        worst_frames(cleaned, 0)
    walk = clean(Scene((person("walk", seconds=1),)), fidelity="missing")
    with pytest.raises(ValueError, match="2-D"):
        export_frames(walk, tmp_path / "x.csv")
    with pytest.raises(ValueError, match="no file"):
        export_frames(cleaned, tmp_path / "y.csv", n=2, video=tmp_path / "none.mp4")
    assert not list(tmp_path.iterdir())


def test_pictures_are_the_frames_of_the_video(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    film = tmp_path / "film.mp4"
    shades = (np.arange(12) * 20).astype(np.uint8)
    out = ffmpeg.write_frames(film, (64, 48), fps=10, quality=10, macro_block_size=1)
    out.send(None)
    for s in shades:
        out.send(np.full((48, 64, 3), s, np.uint8))
    out.close()
    from matplotlib.image import imread

    made = write_pictures(film, [2, 9], tmp_path, 1200)
    assert [p.name for p in made] == ["img0002.png", "img0009.png"]
    for k, p in zip((2, 9), made):
        assert abs(imread(p)[..., :3].mean() * 255 - shades[k]) < 6
    with pytest.raises(ValueError, match="at least 51 frames"):
        write_pictures(film, [50], tmp_path, 1200)


def test_real_recordings_export(real_data, tmp_path):
    for src in sorted(real_data.glob("dlc/multi_animal/*madlc.csv")) + sorted(
        real_data.glob("dlc/single_animal/*.csv")
    ):
        done = clean(read(src))
        frames = export_frames(done, tmp_path / f"{src.stem}.csv", n=5)
        levels = 4 if done.original.meta.get("levels") == 4 else 3
        back = pd.read_csv(
            tmp_path / f"{src.stem}.csv", header=list(range(levels)), index_col=[0, 1, 2]
        )
        assert frame_numbers(back) == frames and torch.tensor(frames).max() < len(done.original)
