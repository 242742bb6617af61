"Marker datasets: files made as the public ones are, in both layouts and widths; edits that touch one row; hostile files."

import os
import pickle
import subprocess

import h5py
import numpy as np
import pytest
import torch

import motionbook.formats.marker_h5.marker_h5 as marker_h5
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import MARKER20
from motionbook.formats import registry
from motionbook.formats.marker_h5.marker_files import H5_NAME, INFO_NAME, write_marker_h5
from motionbook.formats.marker_h5.marker_h5 import (
    marker_index,
    marker_scenes,
    read_marker_h5,
    write,
    write_back,
)
from motionbook.formats.marker_h5.marker_layout import MARKER16
from motionbook.synthetic.people import person, person_markers

torch.set_num_threads(1)
WALKS = np.stack(
    [
        person_markers(person(a, 1.0, seed=s)).positions.numpy()
        for s in range(2)
        for a in ("walk", "sit", "jump")
    ]
)  # [6 60 20 3]


def dataset(folder, x=WALKS, layout="interleaved", body=(1.7, 70.0), dtype="f4", subjects=None, info=None, storage=None, labels=True):  # fmt: skip
    "A folder as the public ones are: NumPy's own pickle, h5py's own layout, nothing of this library."
    folder.mkdir(parents=True, exist_ok=True)
    n, t = x.shape[:2]
    xyz = x if layout == "interleaved" else x.transpose(0, 1, 3, 2)
    columns = [xyz.reshape(n, t, -1)] + [np.full((n, t, 1), v) for v in body]
    with h5py.File(folder / H5_NAME, "w") as f:
        f.attrs["made"] = "by hand"
        f.create_dataset(
            "data/features", data=np.concatenate(columns, -1).astype(dtype), **(storage or {})
        )
        if labels:
            f["data/labels"] = np.arange(n * t * 9, dtype="f2").reshape(n, t, 9)
    subjects = np.arange(n) // 3 if subjects is None else subjects
    if info is None:
        info = {
            "subjects": subjects,
            "scalefactors": np.tile([0.9, 1.0, 1.1], n)[:n],
            "indexes": np.arange(n),
        }
    np.save(folder / INFO_NAME, info, allow_pickle=True)
    return folder / H5_NAME


def moved(scene, where, by=0.1):
    m = scene.actors[0]
    p = m.positions.clone()
    p[where] += by
    return scene.replace(actors=(m.replace(positions=p),))


@pytest.mark.parametrize("arms", [True, False])
@pytest.mark.parametrize("layout", ["interleaved", "stacked"])
@pytest.mark.parametrize("body", [(1.7, 70.0), ()])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_every_kind_reads_and_keeps_what_it_does_not_change(tmp_path, arms, layout, body, dtype):
    x = WALKS if arms else WALKS[:, :, :16]
    path = dataset(tmp_path / "d0", x, layout, body, dtype)
    data = marker_index(tmp_path)[0]
    assert data.layout == layout and data.found.margin > 4
    scene = read_marker_h5(path, subject=1, seq=1)
    m = scene.actors[0]
    assert m.skeleton == (MARKER20 if arms else MARKER16) and scene.meta["row"] == 4
    np.testing.assert_allclose(m.positions, x[4], atol=2e-3 if dtype == "f2" else 1e-6)
    assert m.meta.get("height") == (pytest.approx(1.7, abs=1e-3) if body else None)
    assert write(scene, tmp_path / "same" / H5_NAME).read_bytes() == path.read_bytes()

    where = (slice(10, 14), 8)
    out = write(moved(scene, where), tmp_path / "out" / H5_NAME)
    assert (tmp_path / "out" / INFO_NAME).read_bytes() == path.with_name(INFO_NAME).read_bytes()
    with h5py.File(path) as a, h5py.File(out) as b:
        before, after = a["data/features"][()], b["data/features"][()]
        assert before.dtype == after.dtype and dict(b.attrs) == dict(a.attrs)
        np.testing.assert_array_equal(a["data/labels"], b["data/labels"])
    assert (before != after).sum() == 12 and (before[4] != after[4]).sum() == 12
    back = read_marker_h5(out, subject=1, seq=1).actors[0].positions
    np.testing.assert_allclose(
        back, moved(scene, where).actors[0].positions, atol=2e-3 if dtype == "f2" else 1e-6
    )


@pytest.mark.parametrize("storage", [dict(chunks=(2, 60, 62), compression="gzip"), dict(chunks=(6, 7, 5)), dict(maxshape=(None, 60, 62), fillvalue=3.0)])  # fmt: skip
def test_storage_stays(tmp_path, storage):
    path = dataset(tmp_path / "d", storage=storage)
    scenes = [moved(s, (5, 3)) for s in marker_scenes(path)]
    out = write_back(scenes, tmp_path / "o" / H5_NAME)
    with h5py.File(path) as a, h5py.File(out) as b:
        a, b = a["data/features"], b["data/features"]
        for what in ("chunks", "compression", "maxshape", "fillvalue", "dtype"):
            assert getattr(a, what) == getattr(b, what)
        assert (a[()] != b[()]).sum() == 6 * 3


def test_a_file_in_other_units_and_axes(tmp_path):
    z_up = WALKS[..., [0, 2, 1]] * [1000, -1000, 1000]  # millimetres: our y is its z, our z its -y
    path = dataset(tmp_path / "mm", z_up)
    scene = read_marker_h5(path)
    assert (scene.meta["units"], scene.meta["up"]) == ("mm", "z")
    np.testing.assert_allclose(scene.actors[0].positions, WALKS[0], atol=1e-5)
    out = write(moved(scene, (3, 2)), tmp_path / "o" / H5_NAME)
    with h5py.File(out) as f:
        np.testing.assert_allclose(
            f["data/features"][0, 3, 6:9] - z_up[0, 3, 2], [100, -100, 100], atol=0.1
        )
    with pytest.raises(ValueError, match="expected units among m, mm"):
        read_marker_h5(path, units="miles")
    given = read_marker_h5(path, units="m", up="y", layout="stacked", fps=100)
    assert given.meta["layout"] == "stacked" and given.fps == 100 and given.meta["fps_stated"]


def test_subjects_stay_apart(tmp_path):
    dataset(tmp_path / "root" / "dataset2", subjects=np.array([3.0] * 6))
    dataset(tmp_path / "root" / "dataset10", subjects=[b"3", "3", 3, 7, 7, 7])
    both = {"subjects": np.array([3] * 6), "datasets": np.array([5, 5, 5, 9, 9, 9])}
    dataset(tmp_path / "root" / "more" / "mixed", info=both)
    index = marker_index(tmp_path / "root")
    assert [d.name for d in index] == ["dataset2", "dataset10", "more/mixed"]
    assert [d.people for d in index] == [("3",), ("3", "7"), ("5/3", "9/3")]
    scenes = list(marker_scenes(tmp_path / "root"))
    people = [s.meta["person"] for s in scenes]
    assert len(scenes) == 18 and sorted(set(people)) == [
        "dataset10/3", "dataset10/7", "dataset2/3", "more/mixed/5/3", "more/mixed/9/3",
    ]  # fmt: skip
    assert [s.meta["sequence"] for s in scenes] == [0, 1, 2, 3, 4, 5] + [0, 1, 2] * 4
    assert np.isnan(scenes[-1].meta["scale"]) and scenes[1].meta["scale"] == 1.0
    assert read_marker_h5(tmp_path / "root", subject="9/3", seq=2).meta["row"] == 5
    assert read_marker_h5(tmp_path / "root", dataset="dataset10", subject=3).meta["row"] == 0
    with pytest.raises(ValueError, match=r"several datasets; give one of dataset2/3, dataset10/3"):
        read_marker_h5(tmp_path / "root", subject=3)
    assert [s.meta["row"] for s in marker_scenes(tmp_path / "root", subject="dataset10/7")] == [
        3,
        4,
        5,
    ]


def test_missing_points(tmp_path):
    x = WALKS.copy()
    x[0, 5, 3, 1] = np.nan  # one coordinate
    x[0, 6, 4] = np.inf
    x[0, 7, 6] = 0.0
    x[1] -= x[1][:, 5:6]  # centred: midHip is zero in all frames
    x[2, :, 16:] = 0.0  # filled up
    path = dataset(tmp_path / "d", x)
    a, b, c = (read_marker_h5(path, seq=k).actors[0] for k in range(3))
    assert (~a.observed).nonzero().tolist() == [[5, 3], [6, 4], [7, 6]]
    assert b.observed.all() and (~c.observed).any(0).nonzero().flatten().tolist() == [
        16,
        17,
        18,
        19,
    ]
    scene = read_marker_h5(path)
    m = scene.actors[0]
    p = m.positions.clone()
    p[7, 6], p[20, 2] = m.positions[8, 6], torch.nan
    out = write(
        scene.replace(actors=(m.replace(positions=p),)), tmp_path / "o" / H5_NAME
    )  # one filled, one erased
    with h5py.File(path) as f, h5py.File(out) as g:
        old, new = f["data/features"][()], g["data/features"][()]
    assert np.isnan(new[0, 20, 6:9]).all() and np.isinf(new[0, 6, 12:15]).all()
    assert ((old != new) & ~(np.isnan(old) & np.isnan(new))).sum() == 6


@pytest.mark.parametrize("height, note", [(np.nan, "not stated"), (170.0, "170, expected 0.3 to 2.6"), (0.0, "0, expected"), (np.inf, "not stated")])  # fmt: skip
def test_odd_heights_are_noted_not_used(tmp_path, height, note):
    scene = read_marker_h5(dataset(tmp_path / "d", body=(height, 70)))
    assert "height" not in scene.actors[0].meta and note in scene.meta["notes"][1]
    assert scene.actors[0].meta["weight"] == 70


class Attack:
    def __reduce__(self):
        return os.system, ("touch /tmp/motionbook_attack_worked",)


BAD_INFO = {
    "absent": (None, "expected infoData.npy beside it, got none"),
    "empty": (b"", "empty file"),
    "no array": (b"subjects", "expected a NumPy array"),
    "a pickle that runs code": ({"subjects": [Attack()] * 6}, "nothing in it was run"),
    "a list": ([1, 2, 3], "expected a dict with subjects and scalefactors"),
    "no subjects": ({"people": [1] * 6}, "got a dict of people"),
    "too few": ({"subjects": [1] * 5}, "expected 6 values in 'subjects'"),
    "ragged": ({"subjects": [[1], [1, 2]]}, "lists of different lengths"),
    "objects": ({"subjects": [None, 1, 2, 3, 4, 5]}, "numbers or names"),
    "nan": ({"subjects": [1.0, np.nan, 2, 2, 2, 2]}, "a subject for every sequence"),
    "few scales": ({"subjects": [1] * 6, "scalefactors": [1.0]}, "6 values in 'scalefactors'"),
}


@pytest.mark.parametrize("kind", BAD_INFO)
def test_bad_info(tmp_path, kind):
    content, message = BAD_INFO[kind]
    path = dataset(tmp_path / "d")
    path.with_name(INFO_NAME).unlink()
    if isinstance(content, bytes):
        path.with_name(INFO_NAME).write_bytes(content)
    elif content is not None:
        np.save(path.with_name(INFO_NAME), np.array(content, dtype=object), allow_pickle=True)
    with pytest.raises(BadFile) as err:
        read_marker_h5(tmp_path)
    assert message in str(err.value) and "\n" not in str(err.value)
    assert not os.path.exists("/tmp/motionbook_attack_worked")


def test_the_attack_would_have_worked(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    monkeypatch.setattr(
        Attack, "__reduce__", lambda self: (eval, ("__import__('os').system('x')",))
    )
    pickle.loads(pickle.dumps(Attack()))
    assert ran == ["x"]


def _features(f, x, **more):
    f.create_dataset("data/features", data=x, **more)


BAD_H5 = {
    "not HDF5": (b"PK\x03\x04 something else", "readable HDF5 file"),
    "no data": (lambda f: None, "expected the dataset data/features, got an empty file"),
    "no features": (lambda f: f.create_group("data"), "expected the dataset data/features, got data"),
    "a group": (lambda f: f.create_group("data/features"), "expected the dataset data/features"),
    "data is no group": (lambda f: f.create_dataset("data", data=1.0), "expected the dataset data/features"),
    "wrong F": (lambda f: _features(f, np.zeros((6, 60, 63))), "expected 62 (20 points + height and weight), 60"),
    "two axes": (lambda f: _features(f, np.zeros((360, 62))), "[360, 62]"),
    "text": (lambda f: _features(f, np.full((6, 60, 62), b"x")), "as real numbers"),
    "zero sequences": (lambda f: _features(f, np.zeros((0, 60, 62))), "at least one sequence"),
    "zero frames": (lambda f: _features(f, np.zeros((6, 0, 62))), "at least one sequence of one frame"),
    "a billion frames": (lambda f: f.create_dataset("data/features", (6, 10**9, 62), "f4", chunks=(1, 60, 62)), "no larger than their file"),
    "elsewhere": (lambda f: f.__setitem__("data", h5py.ExternalLink("other.h5", "/data")), "expected the dataset data/features"),
    "raw bytes of another file": (lambda f: f.create_dataset("data/features", (6, 60, 62), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]), "expected the dataset data/features"),
    "cut": (lambda f: _features(f, np.zeros((6, 60, 62))), "the file may be"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_H5)
def test_bad_h5(tmp_path, kind):
    make, message = BAD_H5[kind]
    path = dataset(tmp_path / "d")
    if isinstance(make, bytes):
        path.write_bytes(make)
    else:
        with h5py.File(path, "w") as f:
            make(f)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-5000])
    for call in (read_marker_h5, lambda p: list(marker_scenes(p)), registry_read):
        with pytest.raises(BadFile) as err:
            call(path)
        assert message in str(err.value) and "\n" not in str(err.value), str(err.value)


def registry_read(path):
    return registry.FORMATS["marker_h5"].read(path)


def test_wrong_places(tmp_path):
    with pytest.raises(BadFile, match="expected time_sequences.h5, or folders that hold one, got none"):  # fmt: skip
        marker_index(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / INFO_NAME).write_bytes(b"x")
    with pytest.raises(BadFile, match="got d "):
        marker_index(tmp_path)
    with pytest.raises(BadFile, match="expected an existing file, got none"):
        read_marker_h5(tmp_path / "nowhere" / H5_NAME)


def test_an_interrupted_write_changes_nothing(tmp_path, monkeypatch):
    path = dataset(tmp_path / "d")
    scene = moved(read_marker_h5(path), (3, 2))
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}

    def broken(*args):
        raise KeyboardInterrupt

    for folder in (path.parent, tmp_path / "new"):
        with monkeypatch.context() as m:
            m.setattr(marker_h5, "_edit", broken)
            with pytest.raises(KeyboardInterrupt):
                write(scene, folder / H5_NAME)
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before
    assert list((tmp_path / "new").iterdir()) == []
    with monkeypatch.context() as m:
        m.setattr("motionbook.formats.marker_h5.marker_files._fill", broken)
        with pytest.raises(KeyboardInterrupt):
            write_marker_h5(path.parent, [scene.actors[0]])
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


def test_a_full_disk(tmp_path):
    path = dataset(tmp_path / "d")
    scene = moved(read_marker_h5(path), (3, 2))
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True)  # fmt: skip
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    try:
        with pytest.raises(BadFile, match="full disk"):
            write(scene, mount / H5_NAME)
        with pytest.raises(BadFile, match="full disk|No space left"):
            write_marker_h5(mount, [scene.actors[0]] * 20)
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", mount], check=True)


def test_write_back_refuses(tmp_path):
    a, b = dataset(tmp_path / "a"), dataset(tmp_path / "b", subjects=[1] * 6)
    scene = read_marker_h5(a)
    with pytest.raises(ValueError, match="sequences of one file"):
        write_back([scene, read_marker_h5(b)], tmp_path / "o.h5")
    with pytest.raises(BadFile, match="another dataset's infoData.npy"):
        write(moved(scene, 0), b)
    short = scene.replace(actors=(scene.actors[0].replace(positions=scene.actors[0].positions[:30]),))  # fmt: skip
    with pytest.raises(ValueError, match="reshaped"):
        write_back([short], tmp_path / "o.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    with h5py.File(a, "r+") as f:
        f["data/features"][0, 0, 0] += 1
    with pytest.raises(BadFile, match="has changed since"):
        write(moved(scene, 0), tmp_path / "o" / H5_NAME)
    assert not (tmp_path / "o" / INFO_NAME).exists()


def test_write_back_in_place_of_the_original(tmp_path):
    path = dataset(tmp_path / "d")
    scene = moved(read_marker_h5(path, seq=2), (3, 2))
    write(scene, path)
    assert torch.equal(read_marker_h5(path, seq=2).actors[0].positions, scene.actors[0].positions)


@pytest.mark.parametrize("features", [62, 60, 50, 48])
def test_new_files_open_as_upstream_opens_them(tmp_path, features):
    joints = 20 if features > 50 else 16
    m = Motion(WALKS.reshape(-1, 20, 3), MARKER20, 60, meta={"height": 1.8, "weight": 81})
    path = write_marker_h5(tmp_path / "n", [m, Scene((m,), meta={"subject": 7, "scale": 0.9})], features=features)  # fmt: skip
    info = np.load(path.with_name(INFO_NAME), allow_pickle=True).item()
    assert info["subjects"].tolist() == [0] * 6 + [7] * 6
    assert info["scalefactors"].tolist() == [1.0] * 6 + [0.9] * 6
    with h5py.File(path) as f:
        x = f["data/features"][:]
    assert x.shape == (12, 60, features) and x.dtype == np.float32
    np.testing.assert_array_equal(x[:6, :, : 3 * joints].reshape(6, 60, joints, 3), WALKS[:, :, :joints])  # fmt: skip
    if features % 3 == 2:
        assert (x[..., -2:] == np.float32([1.8, 81])).all()
    again = write_marker_h5(tmp_path / "again", marker_scenes(path), features=features)
    with h5py.File(again) as f:
        np.testing.assert_array_equal(f["data/features"][:], x)


def test_a_generator_that_fails_leaves_nothing(tmp_path):
    def scenes():
        yield Motion(WALKS[0], MARKER20, 60)
        yield Motion(WALKS[0], MARKER20, 30)

    with pytest.raises(ValueError, match="one frame rate, got 60 and 30"):
        write_marker_h5(tmp_path / "n", scenes())
    with pytest.raises(BadFile, match="at least one sequence to write"):
        write_marker_h5(tmp_path / "n", [])
    assert list((tmp_path / "n").iterdir()) == []


def test_the_rate_is_assumed_unless_the_file_says_it(tmp_path):
    assert not read_marker_h5(dataset(tmp_path / "d")).meta["fps_stated"]
    m = Motion(WALKS[0], MARKER20, 100)
    scene = read_marker_h5(write_marker_h5(tmp_path / "n", [m]))
    assert (scene.fps, scene.meta["fps_stated"]) == (100, True)


def test_a_damaged_sequence_does_not_stop_the_others(tmp_path):
    x = WALKS.astype("f8")
    x[1] = np.nan
    x[2] = 1e300
    scenes = list(marker_scenes(dataset(tmp_path / "d", x, dtype="f8")))
    assert [bool(s.actors[0].observed.any()) for s in scenes] == [True, False, False] + [True] * 3


def test_in_the_registry(tmp_path):
    path = dataset(tmp_path / "root" / "d")
    assert registry.find_format(path).name == "marker_h5"
    other = path.rename(path.with_name("sequences.h5"))
    assert registry.find_format(other).name == "marker_h5"
    scene = registry.read(other, subject=1, seq=2)
    assert scene.meta["row"] == 5
    out = registry.write(moved(scene, 3), tmp_path / "o" / "cleaned.h5")
    assert registry.read(out, subject=1, seq=2).meta["format"] == "marker_h5"
    assert marker_h5.is_marker_h5(path.parent) is False
    assert marker_h5.is_marker_h5(out.rename(out.with_name(H5_NAME)).parent)


def test_a_note_says_that_there_are_more(tmp_path):
    path = dataset(tmp_path / "d")
    assert read_marker_h5(path).meta["notes"][0].startswith("the first of 6 sequences")
    assert read_marker_h5(path, seq=0).meta["notes"] == ()
    assert read_marker_h5(path).meta["sequences"] == 6


def test_another_motion_becomes_a_dataset_of_one(tmp_path):
    m = Motion(WALKS[0], Skeleton("mine", MARKER20.joints[::-1]), 50)
    back = read_marker_h5(write(Scene((m,)), tmp_path / "one"))
    np.testing.assert_array_equal(back.actors[0].positions, WALKS[0][:, ::-1])
    legs = Motion(WALKS[0][:, :16], MARKER16, 50)
    assert read_marker_h5(write(Scene((legs,)), tmp_path / "legs")).actors[0].skeleton == MARKER16
    with pytest.raises(ValueError, match="got one without"):
        write(Scene((person(seconds=1.0),)), tmp_path / "none")
    with pytest.raises(BadFile, match="a folder of its own"):
        write(Scene((m,)), tmp_path / "one" / "second.h5")


def test_memory_stays_small(tmp_path):
    "A sequence is read on its own: a file of 60 MB costs a few."
    import tracemalloc

    folder = tmp_path / "big"
    folder.mkdir()
    with h5py.File(folder / H5_NAME, "w") as f:
        d = f.create_dataset("data/features", (2000, 60, 62), "f8")
        d[:] = 1.0
    np.save(folder / INFO_NAME, {"subjects": np.arange(2000) % 50, "scalefactors": np.ones(2000)}, allow_pickle=True)  # fmt: skip
    read_marker_h5(folder, subject=3, seq=5)
    tracemalloc.start()
    read_marker_h5(folder, subject=3, seq=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6
