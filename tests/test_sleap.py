"SLEAP analysis files and projects: real recordings, every order of axes, what is kept and what is refused."

import io
import sys

import h5py
import numpy as np
import pytest
import torch
from helpers import edited, same

import motionbook
import motionbook.formats.sleap.sleap
import motionbook.formats.sleap.slp
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.dlc.dlc import is_dlc
from motionbook.formats.registry import find_format
from motionbook.formats.sleap.sleap import ORDERS, read_sleap, write_sleap
from motionbook.formats.sleap.sleap import sniff as is_sleap
from motionbook.synthetic.people import mouse

torch.set_num_threads(1)


@pytest.fixture
def analysis(real_data):
    return real_data / "sleap" / "predictions.analysis.h5"


@pytest.fixture
def project(real_data):
    pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    return real_data / "sleap" / "predictions.slp"


def filled(scene):
    "Every missing point put somewhere."
    return scene.map(
        lambda m: m.replace(positions=torch.where(m.positions.isnan(), 123.25, m.positions))
    )


# real recordings


def test_real_analysis_file(analysis):
    scene = motionbook.read(analysis, fps=100)
    assert scene.meta["format"] == "sleap" and scene.meta["fps_stated"] and scene.fps == 100
    assert [m.name for m in scene.actors] == ["track_0", "track_1"]
    assert [tuple(m.positions.shape) for m in scene.actors] == [(3000, 13, 2)] * 2
    with h5py.File(analysis) as f:
        want = torch.from_numpy(f["tracks"][()].transpose(0, 3, 2, 1)).float()
    assert same(torch.stack([m.positions for m in scene.actors]), want)
    assert 0.01 < (~scene.actors[0].observed).float().mean() < 0.04
    assert not read_sleap(analysis).meta["fps_stated"]


def test_real_analysis_round_trip(analysis, tmp_path):
    scene = read_sleap(analysis)
    out = write_sleap(scene, tmp_path / "same.h5")
    assert out.read_bytes() == analysis.read_bytes()


def test_real_analysis_edit_touches_nothing_else(analysis, tmp_path):
    scene = read_sleap(analysis)
    new = edited(scene, 7, 3, to=[10.5, 20.25])
    out = motionbook.write(new, tmp_path / "out.analysis.h5")
    with h5py.File(analysis) as a, h5py.File(out) as b:
        assert list(a) == list(b)
        for k in a:
            assert (a[k].dtype, a[k].shape, a[k].chunks, a[k].compression) == (b[k].dtype, b[k].shape, b[k].chunks, b[k].compression)  # fmt: skip
        diff = ~(
            (a["tracks"][()] == b["tracks"][()])
            | (np.isnan(a["tracks"][()]) & np.isnan(b["tracks"][()]))
        )
        assert diff.sum() == 2 and diff[0, :, 3, 7].all()
        for k in set(a) - {"tracks"}:
            assert np.array_equal(a[k][()], b[k][()])
    assert same(read_sleap(out).actors[0].positions, new.actors[0].positions)


def test_real_analysis_filled_and_emptied(analysis, tmp_path):
    scene = read_sleap(analysis)
    back = read_sleap(write_sleap(filled(scene), tmp_path / "out.h5"))
    assert all(same(a.positions, b.positions) for a, b in zip(filled(scene).actors, back.actors))
    gone = edited(scene, 5, 2, to=[float("nan")] * 2, actor=1)
    assert not read_sleap(write_sleap(gone, tmp_path / "out.h5")).actors[1].observed[5, 2]


def test_real_project_agrees_with_analysis_and_sleap_io(project, analysis):
    import sleap_io

    scene, dense = motionbook.read(project), read_sleap(analysis)
    assert scene.meta["format"] == "slp"
    x = torch.from_numpy(sleap_io.load_slp(str(project), open_videos=False).numpy()).float()
    for i, (a, b) in enumerate(zip(scene.actors, dense.actors, strict=True)):
        assert (a.name, a.skeleton.joints) == (b.name, b.skeleton.joints)
        assert same(a.positions, b.positions) and same(a.positions, x[:, i])
        assert a.confidence[a.observed].min() > 0 and (a.confidence[~a.observed] == 0).all()
    assert len(scene.actors[0].skeleton.edges) == 12
    assert scene.actors[0].skeleton.mirror_pairs


def test_real_project_round_trip_and_edit(project, tmp_path):
    from motionbook.formats.sleap.slp import read_slp

    scene = read_slp(project)
    assert motionbook.write(scene, tmp_path / "same.slp").read_bytes() == project.read_bytes()
    new = edited(scene, 11, 4, to=[33.5, 44.25], actor=1)
    out = motionbook.write(new, tmp_path / "out.slp")
    a, b = project.read_bytes(), out.read_bytes()
    assert len(a) == len(b) and 0 < sum(x != y for x, y in zip(a, b)) <= 16
    assert same(read_slp(out).actors[1].positions, new.actors[1].positions)


def test_real_project_filled(project, tmp_path):
    "Every gap filled, as a cleaner does: all animals are in all frames, so it all goes in place."
    import sleap_io

    from motionbook.formats.sleap.slp import read_slp

    scene = read_slp(project)
    out = motionbook.write(filled(scene), tmp_path / "out.slp")
    assert out.stat().st_size == project.stat().st_size
    x = sleap_io.load_slp(str(out), open_videos=False).numpy()
    was = np.stack([m.positions.numpy() for m in scene.actors], 1)
    assert np.isfinite(x).all() and (x[np.isnan(was)] == 123.25).all()
    assert np.array_equal(x[~np.isnan(was)].astype(np.float32), was[~np.isnan(was)])


def test_formats_do_not_steal_each_others_files(real_data):
    for p in sorted((real_data / "dlc").glob("*/*")):
        if p.suffix in (".csv", ".h5"):
            head = p.read_bytes()[:65536]
            assert is_dlc(p, head) and not is_sleap(p, head)
            assert not motionbook.formats.sleap.slp.sniff(p, head)
            assert find_format(p).name == "dlc"
    for name, fmt in (("predictions.analysis.h5", "sleap"), ("predictions.slp", "slp")):
        p = real_data / "sleap" / name
        assert find_format(p).name == fmt and not is_dlc(p, p.read_bytes()[:65536])


# analysis files of every kind


def analysis_file(path, order=ORDERS[0], tracks=2, nodes=5, frames=40, dtype="f8", **more):
    rng = np.random.default_rng(1)
    own = ("frame", "track", "node", "xy")
    x = rng.uniform(0, 500, (frames, tracks, nodes, 2)).astype(dtype)
    x[rng.random(x.shape[:3]) < 0.1] = np.nan
    with h5py.File(path, "w") as f:
        f.create_dataset(
            "tracks", data=x.transpose([own.index(k) for k in order]), compression="gzip"
        )
        f["node_names"] = np.array([f"n{i}".encode() for i in range(nodes)])
        f["track_names"] = np.array([f"t{i}".encode() for i in range(tracks)])
        for k, v in more.items():
            f[k] = v
    return path, x


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_orders_and_types(order, dtype, tmp_path):
    path, x = analysis_file(tmp_path / "a.h5", order, dtype=dtype)
    scene = read_sleap(path)
    want = torch.from_numpy(x.transpose(1, 0, 2, 3)).float()
    assert same(torch.stack([m.positions for m in scene.actors]), want)
    out = write_sleap(filled(scene), tmp_path / "b.h5")
    with h5py.File(path) as a, h5py.File(out) as b:
        assert a["tracks"].dtype == b["tracks"].dtype == np.dtype(dtype)
        was, now = a["tracks"][()], b["tracks"][()]
        assert (
            np.array_equal(was[~np.isnan(was)], now[~np.isnan(was)])
            and (now[np.isnan(was)] == 123.25).all()
        )


@pytest.mark.parametrize("preset", ["matlab", "standard"])
def test_files_of_sleap_io(preset, tmp_path):
    sio = pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    from motionbook.formats.sleap.slp import fresh_labels

    scene = mouse(1.0, animals=2, seed=3)
    path = tmp_path / "s.analysis.h5"
    sio.save_analysis_h5(fresh_labels(scene, path), str(path), preset=preset)
    back = motionbook.read(path)
    for a, b in zip(scene.actors, back.actors, strict=True):
        assert (a.name, a.skeleton.joints, set(a.skeleton.edges)) == (
            b.name,
            b.skeleton.joints,
            set(b.skeleton.edges),
        )
        assert torch.allclose(a.positions, b.positions, equal_nan=True)
        assert torch.allclose(a.confidence[a.observed], b.confidence[b.observed], atol=1e-6)
    assert write_sleap(back, tmp_path / "t.h5").read_bytes() == path.read_bytes()
    whole = write_sleap(filled(back), tmp_path / "t.h5")
    again = sio.load_analysis_h5(str(whole)).numpy()
    assert np.isfinite(again).all()


def test_sleap_io_reads_ours(tmp_path):
    sio = pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    scene = mouse(1.0, animals=2, seed=4)
    path = write_sleap(scene, tmp_path / "ours.analysis.h5")
    with h5py.File(path, "r+") as f:  # the two that sleap-io insists on
        f["instance_scores"] = np.zeros((2, 30))
        f["tracking_scores"] = np.zeros((2, 30))
    x = torch.from_numpy(sio.load_analysis_h5(str(path)).numpy()).float()
    assert torch.allclose(
        x.transpose(0, 1), torch.stack([m.positions for m in scene.actors]), equal_nan=True
    )


def test_the_switch_for_axes_settles_what_shapes_cannot(tmp_path):
    path, x = analysis_file(tmp_path / "a.h5", ORDERS[2], tracks=2, nodes=2, frames=2)
    with h5py.File(path, "r+") as f:
        f.attrs["transpose"] = False
    want = torch.from_numpy(x.transpose(1, 0, 2, 3).copy()).float()
    want = torch.where(want.isnan().any(-1, keepdim=True), torch.nan, want)
    assert same(torch.stack([m.positions for m in read_sleap(path).actors]), want)


def test_one_animal_without_tracks(tmp_path):
    path, x = analysis_file(tmp_path / "a.h5", tracks=1)
    with h5py.File(path, "r+") as f:
        del f["track_names"]
        f["track_names"] = np.zeros(0)
    scene = read_sleap(path)
    assert len(scene.actors) == 1 and scene.actors[0].name == ""


def test_edges_and_scores(tmp_path):
    path, x = analysis_file(
        tmp_path / "a.h5", edge_inds=np.array([[0, 1], [1, 2], [3, 4]]), point_scores=np.full((2, 5, 40), 0.5), instance_scores=np.arange(80.0).reshape(2, 40),
    )  # fmt: skip
    scene = read_sleap(path)
    assert scene.actors[0].skeleton.edges == ((0, 1), (1, 2), (3, 4))
    m = scene.actors[1]
    assert m.meta["instance_scores"].tolist() == list(range(40, 80))
    assert (m.confidence[m.observed] == 0.5).all() and (m.confidence[~m.observed] == 0).all()
    sure = m.confidence.clone()
    sure[3, 1] = 0.25
    new = scene.replace(actors=(scene.actors[0], m.replace(confidence=sure)))
    out = write_sleap(new, tmp_path / "b.h5")
    with h5py.File(path) as a, h5py.File(out) as b:
        assert (a["point_scores"][()] != b["point_scores"][()]).sum() == 1 and b["point_scores"][
            1, 1, 3
        ] == 0.25
        assert np.array_equal(a["tracks"][()], b["tracks"][()], equal_nan=True)


def test_refusals(tmp_path):
    three = Scene((Motion(torch.zeros(4, 2, 3), Skeleton("s", ("a", "b")), 30),))
    with pytest.raises(ValueError, match="2-D points"):
        write_sleap(three, tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()
    good = write_sleap(mouse(0.5, seed=1), tmp_path / "x.h5").read_bytes()
    for data in (b"", good[:50], good[:-200], b"\x89HDF\r\n\x1a\n" + b"0" * 500):
        (tmp_path / "bad.h5").write_bytes(data)
        with pytest.raises(BadFile, match="bad.h5: "):
            read_sleap(tmp_path / "bad.h5")
    with pytest.raises(BadFile, match="a folder"):
        read_sleap(tmp_path)
    with pytest.raises(ValueError, match="frame rate above 0"):
        read_sleap(tmp_path / "x.h5", fps=0)


def test_a_failed_write_leaves_the_old_file(analysis, tmp_path, monkeypatch):
    import os

    path = tmp_path / "a.h5"
    path.write_bytes(analysis.read_bytes())
    new = edited(read_sleap(path), 0, 0, to=[1.0, 2.0])
    monkeypatch.setattr(
        os, "replace", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(BadFile, match="room on the disk"):
        write_sleap(new, path)
    assert path.read_bytes() == analysis.read_bytes() and [p.name for p in tmp_path.iterdir()] == [
        "a.h5"
    ]


# projects


def labels(frames=10, gaps=()):
    "Two tracked animals; `gaps` are (frame, track) without an instance."
    sio = pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    rng = np.random.default_rng(2)
    skeleton = sio.Skeleton(["nose", "tail"], edges=[("nose", "tail")])
    tracks, video = [sio.Track("a"), sio.Track("b")], sio.Video("v.mp4", open_backend=False)
    made = []
    for t in range(frames):
        seen = [
            sio.PredictedInstance.from_numpy(rng.uniform(0, 99, (2, 2)), skeleton, point_scores=rng.random(2), score=0.5, track=k)
            for i, k in enumerate(tracks)
            if (t, i) not in gaps
        ]  # fmt: skip
        made.append(sio.LabeledFrame(video=video, frame_idx=t, instances=seen))
    return sio.Labels(
        made, videos=[video], skeletons=[skeleton], tracks=tracks, provenance={"by": "test"}
    )


def saved(labels, path):
    import sleap_io as sio

    sio.save_slp(labels, str(path), verbose=False)
    return path


def test_new_instances_keep_the_rest(tmp_path):
    import sleap_io as sio

    old = labels(gaps=[(3, 1), (4, 1), (6, 0), (6, 1)])
    path = saved(old, tmp_path / "p.slp")
    scene = motionbook.read(path)
    out = motionbook.write(filled(scene), tmp_path / "q.slp")
    new = sio.load_slp(str(out), open_videos=False)
    assert [t.name for t in new.tracks] == ["a", "b"] and new.provenance["by"] == "test"
    assert new.videos[0].filename == "v.mp4" and new.skeletons[0].edge_inds == [(0, 1)]
    x, y = old.numpy(), new.numpy()
    assert (
        np.array_equal(x[np.isfinite(x)], y[np.isfinite(x)])
        and (y[~np.isfinite(x)] == 123.25).all()
    )
    assert all(len(f.predicted_instances) == 2 for f in new.labeled_frames)


def test_user_and_untracked_instances(tmp_path):
    sio = pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    made = labels(frames=4)
    skeleton, frames = made.skeletons[0], made.labeled_frames
    user = sio.Instance.from_numpy(
        np.array([[1.0, 2.0], [3.0, 4.0]]), skeleton, track=made.tracks[1]
    )
    frames[2].instances.append(user)
    for t in (1, 2):
        for _ in range(2):
            frames[t].instances.append(
                sio.PredictedInstance.from_numpy(np.full((2, 2), 50.0 + t), skeleton, score=0.3)
            )
    scene = motionbook.read(saved(made, tmp_path / "p.slp"))
    assert [m.name for m in scene.actors] == ["a", "b", "untracked1", "untracked2"]
    assert (
        scene.actors[1].positions[2].tolist() == [[1, 2], [3, 4]]
        and (scene.actors[1].confidence[2] == 1).all()
    )
    assert scene.actors[3].observed.any(1).tolist() == [False, True, True, False]
    assert "order" in scene.meta["notes"][0]
    new = edited(scene, 2, 0, to=[9.0, 8.0], actor=1)
    out = sio.load_slp(str(motionbook.write(new, tmp_path / "q.slp")), open_videos=False)
    assert out.labeled_frames[2].user_instances[0].numpy().tolist() == [[9, 8], [3, 4]]
    assert np.allclose(
        out.labeled_frames[2].predicted_instances[1].numpy(), frames[2].instances[1].numpy()
    )


def test_hidden_points_of_a_person_become_visible(tmp_path):
    sio = pytest.importorskip("sleap_io", reason="pip install 'motionbook[sleap]'")
    made = labels(frames=4)
    user = sio.Instance.from_numpy(
        np.array([[1.0, 2.0], [3.0, 4.0]]), made.skeletons[0], track=made.tracks[0]
    )
    user.points["visible"][1] = False
    made.labeled_frames[2].instances = [user]
    scene = motionbook.read(saved(made, tmp_path / "p.slp"))
    assert scene.actors[0].observed[2].tolist() == [True, False]
    new = edited(scene, 2, 1, to=[7.0, 8.0])
    out = motionbook.write(new, tmp_path / "q.slp")
    back = sio.load_slp(str(out), open_videos=False).labeled_frames[2].user_instances[0]
    assert back.points["visible"].all() and back.numpy().tolist() == [[1, 2], [7, 8]]
    gone = motionbook.write(edited(scene, 2, 0, to=[float("nan")] * 2), tmp_path / "r.slp")
    back = sio.load_slp(str(gone), open_videos=False).labeled_frames[2].user_instances[0]
    assert not back.points["visible"][0]


def test_corner_pixels_of_old_files(tmp_path):
    path = saved(labels(), tmp_path / "p.slp")
    scene = motionbook.read(path)
    with h5py.File(path, "r+") as f:
        f["metadata"].attrs["format_id"] = 1.0
        names = [n for n in f["instances"].dtype.names if n != "tracking_score"]
        x = f["instances"][()][names].copy()
        del f["instances"]
        f["instances"] = x.astype([(n, x.dtype[n]) for n in names])
    old = motionbook.read(path)
    assert torch.allclose(old.actors[0].positions, scene.actors[0].positions - 0.5)
    assert motionbook.write(old, tmp_path / "q.slp").read_bytes() == path.read_bytes()
    new = edited(old, 2, 1, to=[7.0, 8.0])
    out = motionbook.write(new, tmp_path / "q.slp")
    with h5py.File(path) as a, h5py.File(out) as b:
        moved = np.flatnonzero(a["pred_points"][()] != b["pred_points"][()])
        assert len(moved) == 1 and b["pred_points"][moved[0]]["x"] == 7.5


def test_several_videos(tmp_path):
    import sleap_io as sio

    made = labels()
    other = sio.Video("w.mp4", open_backend=False)
    frame = sio.LabeledFrame(
        video=other, frame_idx=5, instances=list(made.labeled_frames[0].instances)
    )
    path = saved(
        sio.Labels(
            [*made.labeled_frames, frame],
            videos=[made.videos[0], other],
            skeletons=made.skeletons,
            tracks=made.tracks,
        ),
        tmp_path / "p.slp",
    )
    assert len(motionbook.read(path)) == 10
    second = motionbook.read(path, video=1)
    assert len(second) == 6 and second.actors[0].observed.any(1).tolist() == [False] * 5 + [True]
    new = edited(second, 5, 0, to=[1.0, 2.0])
    out = motionbook.write(new, tmp_path / "q.slp")
    assert motionbook.read(out, video=1).actors[0].positions[5, 0].tolist() == [1, 2]
    assert same(motionbook.read(out).actors[0].positions, motionbook.read(path).actors[0].positions)
    whole = filled(second)
    out = motionbook.write(whole, tmp_path / "r.slp")
    assert same(motionbook.read(out, video=1).actors[1].positions, whole.actors[1].positions)
    assert same(motionbook.read(out).actors[0].positions, motionbook.read(path).actors[0].positions)


def test_without_sleap_io(monkeypatch, tmp_path):
    path = saved(labels(), tmp_path / "p.slp")
    scene = motionbook.read(path)
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    for act in (
        lambda: motionbook.read(path),
        lambda: motionbook.write(scene.replace(meta={}), tmp_path / "q.slp"),
    ):
        with pytest.raises(ValueError, match=r"pip install 'motionbook\[sleap\]'"):
            act()
    assert not (tmp_path / "q.slp").exists()


def test_web_tables(tmp_path):
    "Tables without column types, as the web tools write them."
    path = saved(labels(), tmp_path / "p.slp")
    scene = motionbook.read(path)
    with h5py.File(path, "r+") as f:
        for name in ("frames", "instances", "points", "pred_points"):
            x = f[name][()]
            del f[name]
            flat = (
                np.stack([x[n].astype(float) for n in x.dtype.names], 1)
                if len(x)
                else np.zeros((0, len(x.dtype.names)))
            )
            f[name] = flat
            f[name].attrs["field_names"] = '["' + '", "'.join(x.dtype.names) + '"]'
    again = motionbook.read(path)
    assert all(same(a.positions, b.positions) for a, b in zip(scene.actors, again.actors))
    new = edited(again, 4, 1, to=[5.0, 6.0])
    out = motionbook.write(new, tmp_path / "q.slp")
    assert motionbook.read(out).actors[0].positions[4, 1].tolist() == [5, 6]
    with h5py.File(path) as a, h5py.File(out) as b:
        assert (a["pred_points"][()] != b["pred_points"][()]).any(1).sum() == 1


def test_empty_project(tmp_path):
    path = saved(labels(frames=0), tmp_path / "p.slp")
    with pytest.raises(BadFile, match="at least one animal in video 0"):
        motionbook.read(path)
    assert io.BytesIO(path.read_bytes()).getvalue()


def test_added_instances_cost_their_rows_and_are_the_same_twice(tmp_path):
    import sleap_io as sio

    gaps = [(t, 1) for t in range(100, 400)] + [(t, 0) for t in range(500, 600)]
    path = saved(labels(800, gaps), tmp_path / "a.slp")
    scene = filled(motionbook.read(path))
    out = motionbook.write(scene, tmp_path / "b.slp")
    assert motionbook.write(scene, tmp_path / "c.slp").read_bytes() == out.read_bytes()
    share = out.stat().st_size / path.stat().st_size
    assert 1 < share < 1.6, share
    old, new = (sio.load_slp(str(p), open_videos=False) for p in (path, out))
    assert [len(f.instances) for f in new.labeled_frames] == [2] * 800
    for a, b in zip(old.labeled_frames, new.labeled_frames, strict=True):
        for x, y in zip(a.instances, b.instances):
            assert np.array_equal(x.numpy(), y.numpy()) and x.track.name == y.track.name
    assert same(motionbook.read(out).actors[1].positions, scene.actors[1].positions)


def test_a_project_without_a_version_reads_and_keeps_its_bytes(project, tmp_path):
    path = tmp_path / "old.slp"
    path.write_bytes(project.read_bytes())
    with h5py.File(path, "r+") as f:
        del f["metadata"].attrs["format_id"]
    scene = motionbook.read(path)
    new = motionbook.read(project)
    assert torch.allclose(scene.actors[0].positions + 0.5, new.actors[0].positions, equal_nan=True)
    assert motionbook.write(scene, tmp_path / "b.slp").read_bytes() == path.read_bytes()


def test_one_of_several_videos(tmp_path):
    import sleap_io as sio

    one, two = labels(4), labels(7)
    skeleton, tracks = two.skeletons[0], two.tracks
    empty = sio.Video("none.mp4", open_backend=False)
    for lf in one.labeled_frames:
        for i, x in enumerate(lf.instances):
            x.skeleton, x.track = skeleton, tracks[i]
    frames = [*one.labeled_frames, *two.labeled_frames]
    videos = [empty, *one.videos, *two.videos]
    path = saved(sio.Labels(frames, videos=videos, skeletons=[skeleton], tracks=tracks), tmp_path / "a.slp")  # fmt: skip
    first, last = motionbook.read(path), motionbook.read(path, video=2)
    assert (len(first), len(last), first.meta["video"]) == (4, 7, 1)
    assert any("video 1 of 3" in n for n in first.meta["notes"])
    back = motionbook.write(edited(last, 5, 1, to=[1.0, 2.0]), tmp_path / "b.slp")
    assert same(motionbook.read(back, video=2).actors[0].positions[5, 1], torch.tensor([1.0, 2.0]))
    assert same(motionbook.read(back).actors[0].positions, first.actors[0].positions)
    with pytest.raises(BadFile, match="in video 0, got animals in 1, 2"):
        motionbook.read(path, video=0)


@pytest.mark.parametrize("kind", ["analysis", "project"])
def test_soft_links_of_a_file_are_followed_and_stay(kind, request, tmp_path):
    old = request.getfixturevalue(kind)
    path, moved = tmp_path / old.name, []
    path.write_bytes(old.read_bytes())
    with h5py.File(path, "r+") as f:
        for k in set(f) & {"tracks", "node_names", "track_names", "frames", "pred_points"}:
            f.move(k, f"data/{k}")
            f[k] = h5py.SoftLink(f"/data/{k}")
            moved.append(k)
    scene = motionbook.read(path)
    for a, b in zip(scene.actors, motionbook.read(old).actors, strict=True):
        assert same(a.positions, b.positions) and a.skeleton == b.skeleton
    assert motionbook.write(scene, tmp_path / "same" / path.name).read_bytes() == path.read_bytes()
    new = edited(scene, frame=5, joint=3, to=[12.5, 13.5])
    out = motionbook.write(new, tmp_path / "new" / path.name)
    assert motionbook.read(out).actors[0].positions[5, 3].tolist() == [12.5, 13.5]
    with h5py.File(out) as f:
        assert {type(f.get(k, getlink=True)) for k in moved} == {h5py.SoftLink}
        f_tracks = f.get("tracks", getlink=True)
        assert f_tracks is None or f_tracks.path == "/data/tracks"
    with h5py.File(path, "r+") as f:
        k = "tracks" if kind == "analysis" else "frames"
        del f[k]
        f[k] = h5py.ExternalLink("other.h5", "/data")
    with pytest.raises(BadFile):
        motionbook.read(path, format=scene.meta["format"])
