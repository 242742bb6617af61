"The list of bad inputs, through the front door: one clear line and exit code 2, or a sensible result; never a lost file."

import pickle
import shutil

import numpy as np
import pytest
import torch

from motionbook import Motion, Scene, Skeleton, clean, compare, read, write
from motionbook.cli import main
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person

FORMATS = ("bvh", "trc", "csv", "h5", "npz", "c3d", "analysis.h5", "json")


def scene(fmt, frames=40):
    "A small recording that the format can hold."
    if fmt in ("csv", "h5", "analysis.h5"):
        return mouse(seconds=frames / 30, fps=30, seed=1)
    return Scene((person("walk", seconds=frames / 30, fps=30, seed=1),))


def saved(tmp_path, fmt, recording=None):
    path = tmp_path / f"in.{fmt}"
    write(recording or scene(fmt), path)
    return path


def run(capsys, path, out):
    "Exit code and the error line of `motionbook clean`."
    code = main(["clean", str(path), "-o", str(out)])
    err = capsys.readouterr().err
    assert code in (0, 2)
    if code == 2:
        assert err.count("\n") == 1 and "Traceback" not in err, err
        assert path.name in err or "motionbook clean" in err
    return code, err


def refused(capsys, path, *words):
    "Refused in one line, and what stood at the output still stands."
    out = path.with_name("out" + path.name.removeprefix("in"))
    out.write_text("precious")
    code, err = run(capsys, path, out)
    assert code == 2
    assert out.read_text() == "precious"
    for w in words:
        assert w in err, err


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.97])
def test_truncated(fmt, share, tmp_path, capsys):
    path = saved(tmp_path, fmt)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    code, _ = run(capsys, path, tmp_path / f"out.{fmt}")
    if code == 0:  # a table that ends early is a shorter table
        assert fmt in ("csv", "trc") and len(read(path)) < 40
    else:
        assert not (tmp_path / f"out.{fmt}").exists()


@pytest.mark.parametrize("fmt", FORMATS)
def test_directory_in_place_of_a_file(fmt, tmp_path, capsys):
    path = tmp_path / f"in.{fmt}"
    path.mkdir()
    refused(capsys, path)


def test_wrong_frame_count(tmp_path, capsys):
    path = saved(tmp_path, "bvh")
    path.write_text(path.read_text().replace("Frames: 40", "Frames: 41"))
    refused(capsys, path, "41", "40")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "x"])
def test_numbers_that_are_none(value, tmp_path, capsys):
    for fmt in ("bvh", "trc", "csv"):
        path = saved(tmp_path, fmt)
        lines = path.read_text().split("\n")
        cut = {"bvh": " ", "trc": "\t", "csv": ","}[fmt]
        row = lines[-5].split(cut)
        row[4] = value
        lines[-5] = cut.join(row)
        path.write_text("\n".join(lines))
        code, err = run(capsys, path, tmp_path / f"out.{fmt}")
        assert (
            code == 2
            or torch.stack([m.positions for m in read(tmp_path / f"out.{fmt}").actors])
            .isfinite()
            .all()
        )


def test_duplicate_joint_names(tmp_path, capsys):
    "A tree numbers the second one, since its place tells them apart; a table refuses."
    path = saved(tmp_path, "bvh")
    path.write_text(path.read_text().replace("JOINT left_knee", "JOINT left_hip"))
    names = read(path).actors[0].skeleton.joints
    assert "left_hip" in names and "left_hip_2" in names
    code, _ = run(capsys, path, tmp_path / "out.bvh")
    assert code == 0 and (tmp_path / "out.bvh").read_bytes() == path.read_bytes()
    path = saved(tmp_path, "csv")
    path.write_text(path.read_text().replace("left_ear", "right_ear"))
    refused(capsys, path, "right_ear")


@pytest.mark.parametrize("fmt", FORMATS)
def test_one_frame_and_two(fmt, tmp_path, capsys):
    for frames in (1, 2):
        path = saved(tmp_path, fmt, scene(fmt).map(lambda m, n=frames: cut(m, n)))
        code, _ = run(capsys, path, tmp_path / f"out.{fmt}")
        assert code == 0 and len(read(tmp_path / f"out.{fmt}")) == frames


def cut(m, frames):
    first = lambda x: None if x is None else x[:frames]
    return m.replace(
        positions=m.positions[:frames],
        rotations=first(m.rotations),
        confidence=first(m.confidence),
        offsets=first(m.offsets),
        meta={},
    )


@pytest.mark.parametrize("fmt", FORMATS)
def test_constant_track(fmt, tmp_path, capsys):
    "A recording that stands still has nothing to repair."
    still = scene(fmt).map(
        lambda m: m.replace(
            positions=m.positions[:1].expand_as(m.positions).clone(),
            confidence=m.confidence,
            rotations=None
            if m.rotations is None
            else m.rotations[:1].expand_as(m.rotations).clone(),
            meta={},
        )
    )
    path = saved(tmp_path, fmt, still)
    assert run(capsys, path, tmp_path / f"out.{fmt}")[0] == 0
    assert torch.equal(
        read(tmp_path / f"out.{fmt}").actors[0].positions, read(path).actors[0].positions
    )


@pytest.mark.parametrize("fmt", ["trc", "csv", "h5", "npz"])
def test_all_missing_joint(fmt, tmp_path, capsys):
    def gone(m):
        return m.replace(
            positions=m.positions.index_fill(1, torch.tensor([2]), float("nan")),
            confidence=m.confidence,
        )

    path = saved(tmp_path, fmt, scene(fmt).map(gone))
    assert run(capsys, path, tmp_path / f"out.{fmt}")[0] == 0
    seen = read(tmp_path / f"out.{fmt}").actors[0].observed
    assert not seen[:, 2].any() and seen.all(1).sum() == 0 and seen[:, [0, 1, 3]].all()


@pytest.mark.parametrize("fmt", ["trc", "csv", "h5", "npz"])
def test_everything_missing(fmt, tmp_path, capsys):
    empty = scene(fmt).map(
        lambda m: m.replace(
            positions=torch.full_like(m.positions, float("nan")), confidence=m.confidence
        )
    )
    try:
        path = saved(tmp_path, fmt, empty)
    except ValueError:
        return  # the writer refuses it clearly
    run(capsys, path, tmp_path / f"out.{fmt}")


def test_zero_fps(tmp_path, capsys):
    path = saved(tmp_path, "bvh")
    lines = [
        "Frame Time: 0" if "Frame Time" in line else line for line in path.read_text().split("\n")
    ]
    path.write_text("\n".join(lines))
    refused(capsys, path, "Frame Time")
    path = saved(tmp_path, "npz")
    with np.load(path) as z:
        arrays = dict(z)
    np.savez(path, **(arrays | {"fps": 0.0}))
    refused(capsys, path, "frame rate")


def test_absurd_headers(tmp_path, capsys):
    path = saved(tmp_path, "bvh")
    path.write_text(path.read_text().replace("Frames: 40", "Frames: 1000000000000"))
    refused(capsys, path, "1000000000000")
    path = saved(tmp_path, "trc")
    lines = path.read_text().split("\n")
    lines[2] = lines[2].replace("\t40\t", "\t1000000000000\t")
    path.write_text("\n".join(lines))
    assert run(capsys, path, tmp_path / "out.trc")[0] in (0, 2)


def test_full_disk(tmp_path, capsys, monkeypatch):
    "Writing fails half way: the old output stays, nothing half done is left."
    import os

    path, out = saved(tmp_path, "csv", broken()), tmp_path / "out.csv"
    out.write_text("precious")

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, err = run(capsys, path, out)
    assert code == 2 and "disk" in err
    assert out.read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"in.csv", "out.csv"}


def broken():
    from motionbook.filters.corrupt.corruption import add_jumps

    return add_jumps(scene("csv", 120), rate=0.02, generator=1).scene


class Bomb:
    def __reduce__(self):
        import os

        return (os.system, ("touch exploded",))


@pytest.mark.parametrize("name", ["in.npz", "in.h5", "in.csv", "in.bvh"])
def test_pickles_never_run(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, positions=np.array([Bomb()], dtype=object), joints=np.array(["a"]), fps=30.0)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    refused(capsys, path)
    assert not (tmp_path / "exploded").exists()


def test_clean_in_memory_survives_odd_motions():
    "One joint, two joints, large coordinates, a long gap at either end: open, or filled where that is asked for."
    for joints, scale in ((1, 1.0), (2, 1e6), (3, 1e-3)):
        t = torch.arange(90) / 30
        p = (
            torch.stack(
                [torch.stack([t.sin() + j, t.cos(), t * 0.1], -1) for j in range(joints)], 1
            )
            * scale
        )
        p[:20, 0] = p[70:, 0] = float("nan")
        m = Motion(p, Skeleton("s", tuple(f"p{j}" for j in range(joints))), 30)
        assert clean(m).scene.actors[0].observed[20:70].all()
        assert clean(m, max_gap=float("inf")).scene.actors[0].observed.all()


def test_samples_are_still_there(tmp_path):
    "The damaged samples that are shipped are cleaned without complaint."
    from pathlib import Path

    for path in sorted((Path(__file__).parents[1] / "data" / "samples").glob("*_damaged.*")):
        copy = shutil.copy(path, tmp_path)
        assert main(["clean", str(copy), "-o", str(tmp_path / f"clean_{path.name}"), "--json"]) == 0


def test_labels_by_hand_are_no_track(tmp_path, capsys):
    rows = ["scorer,me,me", "bodyparts,nose,nose", "coords,x,y"]
    rows += [f"labeled-data/v/img{k:03}.png,{k * 3.5},{k * 2.1 + 50}" for k in range(0, 60, 7)]
    path = tmp_path / "CollectedData_me.csv"
    path.write_text("\n".join(rows) + "\n")
    refused(capsys, path, "labels by hand")
    with pytest.raises(ValueError, match="labels by hand"):
        compare(read(path))


def test_an_empty_file_in_a_folder_is_told_and_stops_nothing(tmp_path, capsys):
    days = tmp_path / "days"
    write(mouse(seconds=2, seed=1), days / "a.csv")
    for name in ("b.csv", "notes.txt", "package.json"):
        (days / name).touch()
    (days / "gone.csv").symlink_to("nowhere")
    assert main(["info", str(days)]) == 0
    said = capsys.readouterr().out
    assert "a.csv: dlc" in said and "empty file" in said and "notes" not in said, said
    assert main(["clean", str(days), "-o", str(tmp_path / "out"), "--method", "hold"]) == 0
    said = capsys.readouterr().out
    assert "cleaned  a.csv" in said and "failed   b.csv" in said, said
