"""MeshCat: every joint and bone where the recording has it, in a real browser, from one file and live."""

import re
import time

import numpy as np
import pytest
import torch
from browser import browser

from motionbook.core.motion import Motion
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import MARKER20
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person, person_markers, two_people
from motionbook.viz.meshcat import Live, meshcat_html, save_meshcat, show
from motionbook.viz.meshcat_tree import ROOT, meshcat_commands, node_path

READY = "window.viewer && viewer.animator.actions.length > 0"
FIND = "viewer.scene_tree.find(arguments[0].split('/').filter(x => x)).object"


def chain(joints=60, frames=300, fps=120.0, seed=0):
    "A body of many joints that wanders."
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, joints, 3, generator=g).cumsum(0) * 0.01 + torch.randn(
        joints, 3, generator=g
    )
    names = tuple(f"j{k}" for k in range(joints))
    return Motion(x, Skeleton("chain", names, tuple(range(-1, joints - 1))), fps)


def world(page, path, end=(0, 0, 0)):
    "Where a point of a node is, in MeshCat's axes."
    page.eval("viewer.scene.updateMatrixWorld(true)")
    m = np.array(page.eval(f"{FIND}.matrixWorld.elements", path)).reshape(4, 4).T
    x, y, z = (m @ [*end, 1])[:3]
    return np.array([x, -z, y])  # three.js has y up


def origin(commands):
    "Where the recordings' own origin was moved to."
    return np.array(
        next(c for c in commands if c["path"] == ROOT and "matrix" in c)["matrix"][12:15]
    )


def seek(page, seconds):
    page.eval("viewer.animator.pause(), viewer.animator.play(), viewer.animator.pause()")
    page.eval("viewer.animator.seek(arguments[0])", seconds)


def test_every_joint_and_bone_is_where_the_recording_has_it(tmp_path):
    walk = person_markers(person("walk", seconds=1.5, fps=60))
    at = origin(meshcat_commands(walk))
    with browser() as page:
        page.open(save_meshcat(walk, tmp_path / "walk.html"))
        page.wait(READY)
        assert page.eval("viewer.animator.duration") == pytest.approx(walk.duration)
        for frame in (0, 31, 77):
            seek(page, frame / 60)
            truth = walk.positions[frame][:, [2, 0, 1]].numpy() + at  # ahead, left, up
            for j, name in enumerate(MARKER20.joints):
                assert world(page, node_path(walk.name, name, j)) == pytest.approx(
                    truth[j], abs=1e-4
                )
            for a, b in MARKER20.edges:
                bone = f"{node_path(walk.name, MARKER20.joints[a], a)}/to {b}"
                assert world(page, bone, (0, 1, 0)) == pytest.approx(truth[b], abs=5e-4)


def test_the_page_plays_by_itself_in_a_loop_without_a_network(tmp_path):
    path = save_meshcat(person("dance", seconds=0.8, fps=60), tmp_path / "dance.html")
    with browser() as page:
        page.open(path)
        page.wait(READY)
        first = page.screenshot(tmp_path / "a.png")[100:].astype(int)
        times, changed = [], 0
        until = time.monotonic() + 60  # a busy machine draws few pictures a second
        began_again = False
        while (changed <= 500 or not began_again) and time.monotonic() < until:
            time.sleep(0.3)
            times.append(page.eval("viewer.animator.time"))
            began_again = bool((np.diff(times) < 0).any())
            changed = max(changed, (abs(page.screenshot()[100:] - first).max(-1) > 60).sum())
        assert changed > 500  # pixels of bodies
        assert began_again and max(times) <= 0.81
        assert page.eval("viewer.animator.playing")
        assert page.eval("performance.getEntriesByType('resource').length") == 0
        assert not [e for e in page.errors() if "GPU stall" not in e]
        assert "MeshCat" in page.eval("Object.keys(window).join()")


def test_nothing_in_the_page_may_connect():
    page = meshcat_html(person("wave", seconds=0.5))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert (
        policy.startswith("default-src 'none'")
        and "http" not in policy
        and "connect-src" not in policy
    )
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page.split("<script>")[0])


def test_missing_joints_are_hidden_while_they_are_missing(tmp_path):
    walk = person_markers(person("walk", seconds=1.5, fps=60))
    gap, knee, hip = walk.positions.clone(), MARKER20.index("LKnee"), MARKER20.index("LHip")
    gap[20:50, knee] = torch.nan
    gap[:10, hip] = torch.nan
    seen = lambda path: page.eval(f"{FIND}.visible", path)
    joint = lambda j: node_path(walk.name, MARKER20.joints[j], j)
    with browser() as page:
        page.open(save_meshcat(walk.replace(positions=gap), tmp_path / "gap.html"))
        page.wait(READY)
        for frame, knee_there, hip_there in (
            (2, True, False),
            (12, True, True),
            (30, False, True),
            (48, False, True),
            (60, True, True),
        ):
            seek(page, (frame + 0.5) / 60)
            assert seen(joint(knee)) == knee_there and seen(joint(hip)) == hip_there, frame
            assert seen(f"{joint(hip)}/to {knee}") == knee_there  # and with its hip


def test_padding_is_never_drawn():
    names = ("hip", "knee", "pad0", "pad_1", "paddle", "never")
    s = Skeleton(
        "padded", names, (-1, 0, 0, 1, 1, 0), edges=((0, 1), (1, 2), (1, 3), (1, 4), (0, 5))
    )
    x = torch.randn(20, 6, 3)
    x[:, 2:4] = 0
    x[:, 5] = torch.nan
    made = [c["path"] for c in meshcat_commands(Motion(x, s, 30))]
    drawn = {p.split("/")[-1] for p in made if "padded/" in p}
    assert drawn == {"0 hip", "1 knee", "4 paddle", "to 1", "to 4"}


def test_colours_say_which_is_which():
    walk = person("walk", seconds=0.5)
    commands = meshcat_commands({"reference": walk, "corrupted": walk, "rebuilt": walk})
    color = {
        c["path"].split("/")[3]: c["object"]["materials"][0]["color"]
        for c in commands
        if c["type"] == "set_object" and "floor" not in c["path"]
    }
    red, green, blue = (
        np.array([c >> 16, c >> 8 & 255, c & 255])
        for c in (color["corrupted"], color["rebuilt"], color["reference"])
    )
    assert color["reference"] == 0xFFFFFF
    assert red.argmax() == 0 and green.argmax() == 1
    mine = meshcat_commands({"reference": walk}, colors={"reference": "black"})
    assert any(
        c["type"] == "set_object" and c["object"]["materials"][0]["color"] == 0 for c in mine
    )


def test_300_frames_of_60_joints_take_megabytes():
    assert len(meshcat_html({"reference": chain(), "corrupted": chain(seed=1)})) < 5e6


def test_an_hour_is_thinned_to_fit():
    x = torch.randn(60 * 60 * 30, 8, 2)
    page = meshcat_html(Motion(x, mouse(seconds=1).actors[0].skeleton, 30.0))
    assert len(page) < 14e6
    assert re.search(r"one in \d+ is shown", page)


@pytest.mark.parametrize("recording", [
    mouse(seconds=0.5, animals=2), two_people(seconds=0.5), chain(1, 1), chain(2, 1), chain(3, 2),
    Motion(torch.zeros(4, 2, 3), Skeleton("two", ("a/b", "__proto__"), (-1, 0)), 30, name="x/y"),
    Motion(torch.full((4, 2, 2), 1e6), Skeleton("far", ("a", "b"), (-1, 0)), 30),
], ids=["mice", "people", "point", "pose", "short", "odd names", "far"])  # fmt: skip
def test_odd_recordings_are_shown(recording, tmp_path):
    for c in meshcat_commands(recording):
        assert np.isfinite(c.get("matrix", [0])).all()
    meshcat_html(recording)


def test_a_page_of_odd_names_opens(tmp_path):
    odd = Motion(
        torch.randn(30, 3, 3),
        Skeleton("odd", ("a/b", "__proto__", "</script>"), (-1, 0, 1)),
        30,
        name="x/<b>",
    )
    with browser() as page:
        page.open(save_meshcat(odd, tmp_path / "odd.html", title="<script>"))
        page.wait(READY)
        assert page.eval("viewer.animator.actions.length") == 3 + 2
        assert "x/<b>" in page.eval("document.title") or "<script>" in page.eval("document.title")
        assert not [e for e in page.errors() if "SEVERE" in e]


def test_readers_who_want_less_motion_get_a_page_that_waits(tmp_path):
    path = save_meshcat(person("wave", seconds=1), tmp_path / "wave.html")
    with browser() as page:
        page.emulate(prefers_reduced_motion="reduce")
        page.open(path)
        page.wait(READY)
        assert not page.eval("viewer.animator.playing")


def test_once_means_once():
    (moves,) = (
        c for c in meshcat_commands(chain(2, 9), loop=False) if c["type"] == "set_animation"
    )
    assert moves["options"]["repetitions"] == 1


def test_nothing_to_show_is_said_and_no_file_is_left(tmp_path):
    nothing = chain(3, 4).replace(positions=torch.full((4, 3, 3), torch.nan))
    with pytest.raises(ValueError, match="every point is missing"):
        save_meshcat(nothing, tmp_path / "no.html")
    assert not list(tmp_path.iterdir())


def test_live_in_a_browser():
    walk = person_markers(person("walk", seconds=1, fps=60))
    path = node_path(walk.name, "Neck", 0)
    with show(walk) as live, browser() as page:
        process = live.visualizer.window.server_proc
        assert live.url in live.jupyter_cell().data
        page.open(live.url)
        page.wait("typeof viewer === 'object' && viewer.animator.actions.length > 0", 15)
        seen = set()
        for _ in range(6):
            seen.add(tuple(world(page, path).round(3)))
            time.sleep(0.1)
        assert len(seen) > 2  # it moves
        live.show({"reference": walk, "corrupted": walk})  # replaces it
        page.wait("viewer.animator.actions.length > 80", 15)
        labels = page.eval(
            "Object.keys(viewer.scene_tree.find(['meshcat', 'motionbook']).children).join()"
        )
        assert "corrupted" in labels and walk.name not in labels
    assert process.poll() is not None  # the server has ended


def test_a_server_that_has_ended_is_said():
    live = Live(patience=1)
    live.close()
    with pytest.raises(ValueError, match="start another"):
        live.show(chain(2, 2))
