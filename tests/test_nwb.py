"Pose in NWB files: files of other writers, edits in place, new files, hostile ones."

import datetime
import io
import warnings

import h5py
import numpy as np
import pytest
import torch
from helpers import same, survives
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motionbook
import motionbook.formats.nwb.nwb
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.nwb.nwb import read_nwb, write_nwb
from motionbook.synthetic.people import mouse, person

torch.set_num_threads(1)
pytest.importorskip("pynwb", reason="pip install 'motionbook[sleap]'")
pytest.importorskip("ndx_pose", reason="pip install 'motionbook[sleap]'")
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))  # fmt: skip


def gappy(seed=3):
    scene = mouse(1.0, animals=2, seed=seed)
    pos = scene.actors[0].positions.clone()
    pos[5:9, 2], pos[20, 4] = torch.nan, torch.nan
    return scene.replace(actors=(scene.actors[0].replace(positions=pos), scene.actors[1]))


def by_sleap_io(path, scene):
    import sleap_io

    from motionbook.formats.sleap.slp import fresh_labels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sleap_io.save_nwb(fresh_labels(scene, path), str(path))
    return path


def by_pynwb(path, times=None, rate=None, unit="pixels", c=2, conversion=1.0, frames=40):
    "A file with an experiment around the tracks; `behavior` is where most writers put them."
    import ndx_pose
    import pynwb

    rng = np.random.default_rng(0)
    nwb = pynwb.NWBFile("session", "id", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    nwb.add_acquisition(
        pynwb.TimeSeries(name="voltage", data=rng.normal(size=5000), unit="V", rate=1000.0)
    )
    x = rng.uniform(0, 500, (frames, 3, c))
    clock = dict(timestamps=times) if times is not None else dict(rate=rate, starting_time=2.0)
    series = [
        ndx_pose.PoseEstimationSeries(name=n, description=n, data=x[:, j], unit=unit, conversion=conversion, reference_frame="corner", confidence=rng.random(frames), **clock)
        for j, n in enumerate(("snout", "left_ear", "right_ear"))
    ]  # fmt: skip
    body = ndx_pose.Skeleton(
        name="mouse",
        nodes=["snout", "left_ear", "right_ear"],
        edges=np.array([[0, 1], [0, 2]], np.uint8),
    )
    module = nwb.create_processing_module("behavior", "pose")
    module.add(ndx_pose.Skeletons(skeletons=[body]))
    module.add(
        ndx_pose.PoseEstimation(name="PoseEstimation", pose_estimation_series=series, skeleton=body)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(str(path), "w") as file:
            file.write(nwb)
    return path, x


def datasets(path):
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda k, d: found.update({k: (str(d.dtype), np.asarray(d[()]).tobytes() if d.dtype.kind != "O" else str(d[()]), sorted(d.attrs))}) if isinstance(d, h5py.Dataset) else None)  # fmt: skip
    return found


def test_files_of_sleap_io(tmp_path):
    scene = gappy()
    path = by_sleap_io(tmp_path / "a.nwb", scene)
    back = motionbook.read(path)
    assert back.meta["format"] == "nwb" and not back.meta["fps_stated"]
    for a, b in zip(scene.actors, back.actors, strict=True):
        assert (a.name, a.skeleton.joints, set(a.skeleton.edges)) == (
            b.name,
            b.skeleton.joints,
            set(b.skeleton.edges),
        )
        assert same(a.positions, b.positions)
        assert torch.allclose(a.confidence[a.observed], b.confidence[b.observed])
    assert motionbook.write(back, tmp_path / "b.nwb").read_bytes() == path.read_bytes()


def test_filling_adds_rows_to_the_series_that_lack_them(tmp_path):
    path = by_sleap_io(tmp_path / "a.nwb", gappy())
    scene = read_nwb(path)
    full = scene.map(
        lambda m: m.replace(positions=torch.where(m.positions.isnan(), 99.5, m.positions))
    )
    out = write_nwb(full, tmp_path / "b.nwb")
    assert all(same(a.positions, b.positions) for a, b in zip(full.actors, read_nwb(out).actors))
    a, b = datasets(path), datasets(out)
    changed = {k for k in a if a[k] != b.get(k)} | (set(b) - set(a))
    assert {k.split("/")[-2] for k in changed} == {"right_ear", "spine"}
    assert {k.split("/")[-1] for k in changed} <= {"data", "confidence", "timestamps"}
    assert all(a[k][2] == b[k][2] for k in a)


@pytest.mark.parametrize("clock", [{"rate": 25.0}, {"times": np.arange(40) / 25 + 7}])
def test_an_experiment_around_the_tracks(clock, tmp_path):
    path, x = by_pynwb(tmp_path / "a.nwb", **clock)
    scene = read_nwb(path)
    assert (scene.fps, scene.meta["fps_stated"], scene.meta["module"]) == (25, True, "behavior")
    m = scene.actors[0]
    assert m.skeleton.joints == ("snout", "left_ear", "right_ear") and m.skeleton.edges == (
        (0, 1),
        (0, 2),
    )
    assert torch.equal(m.positions, torch.from_numpy(x).float())
    pos, sure = m.positions.clone(), m.confidence.clone()
    pos[3, 1], sure[3, 1], pos[8, 0] = torch.tensor([1.5, 2.5]), 0.125, torch.nan
    out = write_nwb(
        scene.replace(actors=(m.replace(positions=pos, confidence=sure),)), tmp_path / "b.nwb"
    )
    a, b = datasets(path), datasets(out)
    assert set(a) == set(b)
    assert {"/".join(k.split("/")[-2:]) for k in a if a[k] != b[k]} == {
        "left_ear/data",
        "left_ear/confidence",
        "snout/data",
    }
    back = read_nwb(out).actors[0]
    assert same(back.positions, pos) and back.confidence[3, 1] == 0.125


def test_a_part_that_appears_late(small, tmp_path):
    path = tmp_path / "a.nwb"
    path.write_bytes(small)
    with h5py.File(path, "r+") as f:
        g = f["processing/behavior/mouse/tail"]
        tail = g["data"][5:]
        for k in ("data", "confidence", "timestamps"):
            x = g[k][5:]
            del g[k]
            g[k] = x
    m = read_nwb(path).actors[0]
    assert len(m) == 20 and m.observed[:, 1].tolist() == [False] * 5 + [True] * 15
    assert torch.equal(m.positions[5:, 1], torch.from_numpy(tail).float())


def test_three_dimensions_in_millimetres(tmp_path):
    path, x = by_pynwb(tmp_path / "a.nwb", rate=50.0, unit="mm", c=3)
    scene = read_nwb(path)
    assert scene.meta["units"] == "m" and scene.meta["up"] in "yz"
    assert torch.allclose(
        scene.actors[0].positions.norm(dim=-1), torch.from_numpy(x / 1000).norm(dim=-1).float()
    )
    assert write_nwb(scene, tmp_path / "b.nwb").read_bytes() == path.read_bytes()
    pos = scene.actors[0].positions.clone()
    pos[3, 1, 0] += 0.01
    out = write_nwb(
        scene.replace(actors=(scene.actors[0].replace(positions=pos),)), tmp_path / "b.nwb"
    )
    with h5py.File(path) as f, h5py.File(out) as g:
        where = "processing/behavior/PoseEstimation/left_ear/data"
        assert (f[where][()] != g[where][()]).sum() == 1
        assert abs((g[where][()] - f[where][()]).sum() - 10) < 1e-3


@pytest.mark.parametrize(
    "scene", [gappy(), Scene((person("walk", 0.4).replace(rotations=None),))], ids=["2-D", "3-D"]
)
def test_new_files_read_back_and_are_valid(scene, tmp_path):
    import pynwb

    path = motionbook.write(scene, tmp_path / "new.nwb")
    back = motionbook.read(path)
    assert back.fps == scene.fps
    assert all(
        same(a.positions, b.positions) for a, b in zip(scene.actors, back.actors, strict=True)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not [
            e
            for e in pynwb.validate(path=str(path))
            if "ndx-pose" not in str(e) and "Skeleton" not in str(e)
        ]


def test_refusals(tmp_path):
    path = by_sleap_io(tmp_path / "a.nwb", gappy())
    scene = read_nwb(path)
    before = path.read_bytes()
    with pytest.raises(BadFile, match="the animals, parts and frames of the original"):
        write_nwb(scene.map(lambda m: m.replace(positions=m.positions[:5], confidence=None)), path)
    assert path.read_bytes() == before
    odd = Scene((Motion(torch.zeros(3, 1, 2), Skeleton("s", ("a/b",)), 30),))
    with pytest.raises(BadFile, match="names without /"):
        write_nwb(odd, tmp_path / "b.nwb")
    with pytest.raises(BadFile, match="'nothing'"):
        read_nwb(path, module="nothing")
    for data in (before[:1000], before[: len(before) // 2], b"\x89HDF\r\n\x1a\n" + bytes(900)):
        (tmp_path / "bad.nwb").write_bytes(data)
        with pytest.raises(BadFile, match="bad.nwb: "):
            read_nwb(tmp_path / "bad.nwb")


def test_training_labels_are_named(small, tmp_path):
    path = tmp_path / "t.nwb"
    path.write_bytes(small)
    with h5py.File(path, "r+") as f:
        f["processing/behavior/mouse"].attrs["neurodata_type"] = "PoseTraining"
    with pytest.raises(BadFile, match="training labels"):
        read_nwb(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("nwb") / "a.nwb"
    with h5py.File(path, "w") as f:
        f.attrs["neurodata_type"], f.attrs["nwb_version"] = "NWBFile", "2.7.0"
        home = f.create_group("processing/behavior/mouse")
        home.attrs["neurodata_type"] = "PoseEstimation"
        for n in ("nose", "tail"):
            g = home.create_group(n)
            g.attrs["neurodata_type"] = "PoseEstimationSeries"
            g["data"], g["confidence"] = (
                np.random.default_rng(0).uniform(0, 9, (20, 2)),
                np.ones(20),
            )
            g["timestamps"] = np.arange(20) / 10
    return path.read_bytes()


@QUICK
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_mutated(small, tmp_path_factory, edits):
    raw = bytearray(small)
    for at, byte in edits:
        raw[int(at * len(raw))] = byte
    scene = survives(read_nwb, tmp_path_factory.getbasetemp() / "f.nwb", bytes(raw))
    if scene is not None:
        original = scene.meta["original"]
        assert not any(original.changes(scene)) and original.data == bytes(raw)


@QUICK
@given(st.sampled_from(["data", "confidence", "timestamps"]), st.lists(st.integers(0, 25), max_size=3), st.sampled_from(["f4", "f8", "i4", "S2", "?"]), st.floats())  # fmt: skip
def test_any_dataset(small, tmp_path_factory, name, shape, kind, value):
    file = io.BytesIO(small)
    with h5py.File(file, "r+") as f:
        g = f["processing/behavior/mouse/nose"]
        del g[name]
        with np.errstate(all="ignore"):
            g[name] = np.full(shape, value).astype(kind)
    survives(read_nwb, tmp_path_factory.getbasetemp() / "f.nwb", file.getvalue())


def linked_clocks(path, elsewhere=False, outside=False):
    "The parts share one clock by links: that of the first part, or one of another module, or of another file."
    by_pynwb(path, times=np.delete(np.arange(41), 20) / 30.0)
    with h5py.File(path, "r+") as f:
        home = "processing/behavior/PoseEstimation/"
        target = f"/{home}snout/timestamps"
        if elsewhere:
            target = "/acquisition/voltage/timestamps"
            f[target] = f[f"{home}snout/timestamps"][()]
            f[target].attrs["unit"] = "seconds"
        for part in ("snout", "left_ear", "right_ear")[not elsewhere :]:
            del f[f"{home}{part}/timestamps"]
            far = h5py.ExternalLink("other.nwb", target)
            f[f"{home}{part}/timestamps"] = far if outside else h5py.SoftLink(target)
    return path, home


def links(path, home):
    with h5py.File(path) as f:
        parts = ("snout", "left_ear", "right_ear")
        return [type(f[home + p].get("timestamps", getlink=True)).__name__ for p in parts], [len(f[f"{home}{p}/timestamps"]) for p in parts]  # fmt: skip


@pytest.mark.parametrize("elsewhere", [False, True])
def test_linked_timestamps_are_followed_and_stay_links(tmp_path, elsewhere):
    path, home = linked_clocks(tmp_path / "a.nwb", elsewhere)
    scene = read_nwb(path)
    assert (len(scene), scene.fps) == (41, 30)
    assert write_nwb(scene, tmp_path / "b.nwb").read_bytes() == path.read_bytes()
    x = scene.actors[0].positions.clone()
    x[3, 1] = torch.tensor([1.0, 2.0])
    moved = scene.replace(actors=(scene.actors[0].replace(positions=x),))
    out = write_nwb(moved, tmp_path / "b.nwb")
    assert links(out, home) == links(path, home)
    x[20, 1] = torch.tensor([3.0, 4.0])  # a frame that has no row in the file
    out = write_nwb(scene.replace(actors=(scene.actors[0].replace(positions=x),)), tmp_path / "c.nwb")  # fmt: skip
    assert same(read_nwb(out).actors[0].positions, x)
    kinds, rows = links(out, home)
    if elsewhere:  # another's clock is not made longer
        assert (kinds, rows) == (["SoftLink", "HardLink", "SoftLink"], [40, 41, 40])
    else:
        assert (kinds, rows) == (["HardLink", "SoftLink", "SoftLink"], [41] * 3)


def test_timestamps_of_another_file_are_refused(tmp_path):
    path, _ = linked_clocks(tmp_path / "a.nwb", outside=True)
    (tmp_path / "other.nwb").write_bytes(path.read_bytes())
    with pytest.raises(BadFile, match="timestamps, or starting_time"):
        read_nwb(path)
