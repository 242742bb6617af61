"""`view`: what is chosen, what lies over it, and by which name it is drawn."""

import pytest
import torch
from browser import browser

from motionbook.core.motion import Motion, Scene
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.formats.bvh.bvh import write as write_bvh
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person, person_markers
from motionbook.viz.meshcat import Live
from motionbook.viz.player import Player
from motionbook.viz.view import MOST, chosen_scenes, in_turn, labelled, view


def marked(seed=0, seconds=1.0, fps=60.0):
    return person_markers(person("walk", seconds=seconds, fps=fps, seed=seed))


def noisy(scene):
    return corrupt(scene, {"add_noise": {}}, 0).scene


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    "Two subjects with two and one sequences, in the files of the marker dataset."
    from motionbook.formats.marker_h5.marker_files import write_marker_h5

    root = tmp_path_factory.mktemp("markers") / "dataset0"
    motions = [marked(k) for k in range(3)]
    scenes = [Scene((m,), meta={"subject": who}) for m, who in zip(motions, "337")]
    write_marker_h5(root, scenes)
    return root, motions


def same(a, b):
    return torch.allclose(a.actors[0].positions, b.positions, atol=1e-5)


def test_by_subject_by_sequence_all_in_turn(dataset):
    root, motions = dataset
    (first,) = chosen_scenes(root)
    assert same(first, motions[0])
    (second,) = chosen_scenes(root, subject=3, seq=1)
    assert same(second, motions[1])
    (seventh,) = chosen_scenes(root, subject="7")
    assert same(seventh, motions[2])
    assert [len(chosen_scenes(root, subject=3, all=True)), len(chosen_scenes(root, all=True))] == [
        2,
        3,
    ]
    with pytest.raises(ValueError, match="subject among"):
        chosen_scenes(root, subject=99)
    with pytest.raises(ValueError, match="leave one out"):
        chosen_scenes(root, seq=1, all=True)


def test_a_dataset_as_a_page(dataset, tmp_path):
    root, _ = dataset
    out = view(
        root,
        tmp_path / "all.html",
        subject=3,
        all=True,
        corrupt=noisy,
        rebuild=lambda s: s,
        meshcat=True,
    )
    with browser() as page:
        page.open(out)
        page.wait("window.viewer && viewer.animator.playing")
        assert page.eval("viewer.animator.duration") == pytest.approx(2.25)
        labels = page.eval(
            "Object.keys(viewer.scene_tree.find(['meshcat', 'motionbook']).children).join()"
        )
        assert all(w in labels for w in ("reference", "corrupted", "reconstructed"))


def test_sequences_in_turn_are_each_there_once():
    parts = [Scene((marked(k, 0.3 + 0.2 * k),)) for k in range(4)]
    x = in_turn(parts, pause=0.5).actors[0].positions
    at = 0
    for s in parts:
        assert torch.equal(x[at : at + len(s)], s.actors[0].positions)
        assert x[at + len(s) : at + len(s) + 30].isnan().all()
        at += len(s) + 30
    assert len(x) == at - 30


def test_another_rate_keeps_its_speed():
    slow = Scene((marked(0, 2.0, 30.0),))
    x = in_turn([Scene((marked(1),)), slow]).actors[0]
    assert x.fps == 60
    assert torch.allclose(x.positions[75::2][: len(slow)], slow.actors[0].positions, atol=1e-5)


def test_different_numbers_of_actors_and_joints():
    two, one = mouse(seconds=1, animals=2), mouse(seconds=1, seed=4)
    joined = in_turn([one, two])
    assert [bool(m.observed[:30].any()) for m in joined.actors] == [True, False]
    assert all(bool(m.observed[-30:].all()) for m in joined.actors)
    with pytest.raises(ValueError, match="one skeleton"):
        in_turn([Scene((person("walk", seconds=1),)), Scene((marked(),))])


def test_a_list_of_scenes_is_chosen_from():
    scenes = [Scene((marked(k),), meta={"subject": s}) for k, s in enumerate("aab")]
    assert chosen_scenes(scenes, subject="b") == [scenes[2]]
    assert chosen_scenes(scenes, subject="a", seq=-1) == [scenes[1]]
    assert chosen_scenes(scenes) == scenes
    with pytest.raises(ValueError, match="among a, b"):
        chosen_scenes(scenes, subject="c")
    with pytest.warns(UserWarning, match="the first"):
        assert len(chosen_scenes([scenes[0]] * (MOST + 5))) == MOST


def test_one_recording_has_nothing_to_choose(tmp_path):
    path = write_bvh(Scene((person("walk", seconds=0.5),)), tmp_path / "walk.bvh")
    path = path or tmp_path / "walk.bvh"
    for choice in (dict(subject=3), dict(seq=0), dict(all=True)):
        with pytest.raises(ValueError, match="this is one recording"):
            view(path, tmp_path / "no.html", **choice)
    assert view(path, tmp_path / "yes.html").exists()
    with pytest.raises(ValueError, match="absent"):
        view(tmp_path / "absent.bvh", tmp_path / "no.html")
    assert not (tmp_path / "no.html").exists()


def test_labels():
    s = [Scene((marked(),))]
    assert list(labelled(s, overlays={"mine": s[0]})) == ["reference", "mine"]
    assert list(labelled(s, noisy, lambda x: x, {"mine": s[0]})) == [
        "reference",
        "corrupted",
        "reconstructed",
        "mine",
    ]


def test_what_is_rebuilt_is_what_was_broken():
    seen = []
    labelled([Scene((marked(),))], noisy, lambda s: seen.append(s) or s)
    assert not torch.equal(seen[0].actors[0].positions, marked().positions)


@pytest.mark.parametrize("name", ["a.html", "a.gif", "a.png", "a.mp4"])
def test_overlays_in_every_kind(name, tmp_path):
    if name.endswith("mp4"):
        pytest.importorskip("imageio_ffmpeg")
    out = view(
        marked(seconds=0.2),
        tmp_path / name,
        corrupt=noisy,
        drawing=dict(size=(160, 120)) if name[-3:] in ("gif", "mp4") else None,
    )
    assert out.stat().st_size > 1000


def test_without_a_name():
    assert isinstance(view(marked()), Player)
    with view(marked(), meshcat=True) as live:
        assert isinstance(live, Live)


def test_with_a_video(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    m = mouse(seconds=1)
    sink = ffmpeg.write_frames(str(tmp_path / "m.mp4"), (640, 480), fps=30)
    sink.send(None)
    for _ in range(len(m)):
        sink.send(bytes(640 * 480 * 3))
    sink.close()
    for name in ("v.mp4", "v.png"):
        out = view(
            m,
            tmp_path / name,
            video=tmp_path / "m.mp4",
            rebuild=lambda s: s.map(lambda a: a.replace(positions=a.positions + 3)),
        )
        assert out.stat().st_size > 1000
    with pytest.raises(ValueError, match="ends in .mp4"):
        view(m, tmp_path / "v.gif", video=tmp_path / "m.mp4")
    short = Scene((Motion(m.actors[0].positions[:9], m.actors[0].skeleton, 30),))
    with pytest.raises(ValueError, match="30 in the video and 9"):
        view(short, tmp_path / "w.mp4", video=tmp_path / "m.mp4")
