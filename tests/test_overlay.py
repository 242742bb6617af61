"""Tracks on the user's own video: the right pixel of the right frame, and a clear word where they do not fit."""

import subprocess
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person
from motionbook.viz.contact import changes, contact_sheet, spread_peaks, worst_moments
from motionbook.viz.ink import bone_discs, discs
from motionbook.viz.movie import movie_frames, open_movie
from motionbook.viz.overlay import overlay_video

ffmpeg = pytest.importorskip("imageio_ffmpeg")
GREEN, RED = np.array([47, 158, 100]), np.array([229, 72, 77])


def film(path, scene, size=(640, 480), fps=30.0, **options):
    "A white dot at the nose of the first animal in each frame, on grey."
    sink = ffmpeg.write_frames(
        str(path), size, fps=fps, codec="libx264", quality=9, macro_block_size=2, **options
    )
    sink.send(None)
    x, y = np.arange(size[0]), np.arange(size[1])[:, None]
    for nx, ny in scene.actors[0].joint("nose").numpy():
        dot = np.hypot(x - nx, y - ny) < 7
        sink.send(np.repeat(np.where(dot, 255, 90).astype(np.uint8)[..., None], 3, -1).copy())
    sink.close()
    return path


def run(*command):
    subprocess.run(
        [ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, command)], check=True
    )


def middle(picture, color, reach=60):
    "The centre of what has a colour."
    near = np.abs(picture.astype(int) - color).max(-1) < reach
    return np.argwhere(near).mean(0)[::-1]


@pytest.fixture(scope="module")
def truth():
    return mouse(seconds=4, seed=3, noise=0)


@pytest.fixture(scope="module")
def movie(truth, tmp_path_factory):
    return film(tmp_path_factory.mktemp("film") / "mouse.mp4", truth)


def nose_only(scene):
    "The tracks with nothing but the nose."
    keep = lambda m: m.replace(
        positions=torch.where(torch.arange(8)[:, None] == 0, m.positions, torch.nan)
    )
    return scene.map(keep)


def test_each_frame_has_its_own_points(truth, movie, tmp_path):
    out = overlay_video(
        movie,
        {"after": nose_only(truth)},
        tmp_path / "a.mp4",
        colors=["#2f9e64"],
        radius=9,
        labels=False,
    )
    made = open_movie(out)
    assert (made.width, made.height, made.frames) == (640, 480, len(truth))
    assert made.fps == pytest.approx(30)
    nose = truth.actors[0].joint("nose").numpy()
    seen = np.stack([middle(p, GREEN) for p in movie_frames(made)])
    inside = ((nose > 10) & (nose < [630, 470])).all(-1)
    assert np.abs(seen - nose)[inside].max() < 0.6
    moving = np.linalg.norm(np.diff(nose, axis=0), axis=-1)
    assert moving.max() > 5  # one frame late would be seen
    assert not any((p.min(-1) > 230).any() for p in movie_frames(made))  # the dot is covered


def test_frames_that_a_camera_dropped_do_not_shift_the_rest(truth, movie, tmp_path):
    uneven = tmp_path / "uneven.mp4"
    run(
        "-i",
        movie,
        "-vf",
        "select='not(between(mod(n,10),3,6))'",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-crf",
        "10",
        uneven,
    )
    kept = [k for k in range(len(truth)) if not 3 <= k % 10 <= 6]
    seen = open_movie(uneven)
    assert seen.frames == len(kept)
    short = truth.map(lambda m: Motion(m.positions[kept], m.skeleton, m.fps, name=m.name))
    out = overlay_video(
        uneven, nose_only(short), tmp_path / "b.mp4", colors=["#2f9e64"], radius=9, labels=False
    )
    nose = short.actors[0].joint("nose").numpy()
    made = list(movie_frames(open_movie(out)))
    assert len(made) == len(kept)
    found = np.stack([middle(p, GREEN) for p in made])
    inside = ((nose > 10) & (nose < [630, 470])).all(-1)
    assert np.abs(found - nose)[inside].max() < 0.6


def test_before_is_red_and_after_green(truth, movie, tmp_path):
    away = nose_only(truth).map(
        lambda m: m.replace(positions=m.positions + torch.tensor([0.0, -40.0]))
    )
    out = overlay_video(
        movie,
        {"before": away, "after": nose_only(truth)},
        tmp_path / "c.mp4",
        radius=9,
        labels=False,
    )
    nose = truth.actors[0].joint("nose").numpy()
    for k in (5, 60, 110):
        (picture,) = movie_frames(open_movie(out), [k])
        assert middle(picture, GREEN) == pytest.approx(nose[k], abs=1)
        assert middle(picture, RED) == pytest.approx(nose[k] - [0, 40], abs=1)


def test_side_by_side(truth, movie, tmp_path):
    out = overlay_video(
        movie,
        {"before": truth, "after": truth},
        tmp_path / "d.mp4",
        side_by_side=True,
        radius=6,
        labels=False,
    )
    made = open_movie(out)
    assert (made.width, made.height) == (1280, 480)
    (picture,) = movie_frames(made, [30])
    neck = truth.actors[0].joint("neck")[30].round().int().tolist()
    assert np.abs(picture[neck[1], neck[0]].astype(int) - RED).max() < 50
    assert np.abs(picture[neck[1], neck[0] + 640].astype(int) - GREEN).max() < 50


def test_a_likelihood_makes_points_faint(truth, movie, tmp_path):
    sure = nose_only(truth).map(lambda m: m.replace(confidence=torch.ones(len(m), 8)))
    unsure = sure.map(lambda m: m.replace(confidence=torch.full((len(m), 8), 0.2)))
    x, y = truth.actors[0].joint("nose")[20].round().int().tolist()
    shade = []
    for scene in (sure, unsure):
        out = overlay_video(
            movie,
            scene,
            tmp_path / "e.mp4",
            colors=["#000000"],
            likelihood=True,
            labels=False,
            radius=9,
        )
        shade.append(int(next(movie_frames(open_movie(out), [20]))[y, x].mean()))
    assert shade[0] < 40 and shade[1] > 180


def test_a_stretch_of_the_video(truth, movie, tmp_path):
    part = nose_only(truth).map(
        lambda m: Motion(m.positions[40:70], m.skeleton, m.fps, name=m.name)
    )
    with pytest.raises(ValueError, match="got 120 in the video and 30"):
        overlay_video(movie, part, tmp_path / "f.mp4")
    out = overlay_video(
        movie, part, tmp_path / "f.mp4", first=40, colors=["#2f9e64"], radius=9, labels=False
    )
    made = list(movie_frames(open_movie(out)))
    nose = truth.actors[0].joint("nose").numpy()
    assert len(made) == 30
    for k in (0, 15, 29):
        assert middle(made[k], GREEN) == pytest.approx(nose[40 + k], abs=1)


def test_a_shrunken_and_shifted_video(truth, movie, tmp_path):
    other = tmp_path / "other.mkv"
    run(
        "-i",
        movie,
        "-vf",
        "scale=320:240,pad=371:291:30:20",
        "-pix_fmt",
        "yuv444p",
        "-c:v",
        "libx264",
        "-crf",
        "5",
        other,
    )
    shift = (30 - 0.25, 20 - 0.25)  # the middle of the first pixel stays the middle of its half
    options = dict(scale=0.5, offset=shift, colors=["#2f9e64"], radius=6, labels=False)
    made = open_movie(overlay_video(other, nose_only(truth), tmp_path / "g.mp4", **options))
    assert (made.width, made.height) == (372, 292)
    nose = truth.actors[0].joint("nose").numpy() * 0.5 + shift
    pictures = list(movie_frames(made))
    for k in (10, 60, 100):
        assert middle(pictures[k], GREEN) == pytest.approx(nose[k], abs=0.7)
        assert not (pictures[k].min(-1) > 200).any()  # the dot is covered


def test_odd_sizes(truth, tmp_path):
    odd = tmp_path / "odd.mkv"
    run(
        "-f",
        "lavfi",
        "-i",
        "color=gray:size=641x481:rate=30",
        "-frames:v",
        "120",
        "-pix_fmt",
        "yuv444p",
        "-c:v",
        "libx264",
        odd,
    )
    made = open_movie(overlay_video(odd, truth, tmp_path / "h.mp4"))
    assert (made.width, made.height, made.frames) == (642, 482, 120)


def test_one_frame_more_or_less_is_taken(truth, movie, tmp_path):
    fewer = truth.map(lambda m: Motion(m.positions[:118], m.skeleton, m.fps))
    assert open_movie(overlay_video(movie, fewer, tmp_path / "i.mp4")).frames == 118
    longer = truth.map(
        lambda m: Motion(torch.cat([m.positions, m.positions[-1:]]), m.skeleton, m.fps)
    )
    assert open_movie(overlay_video(movie, longer, tmp_path / "i.mp4")).frames == 120


def test_sound_is_left_out_and_said(truth, movie, tmp_path):
    loud = tmp_path / "loud.mp4"
    run(
        "-i",
        movie,
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=4",
        "-c:v",
        "copy",
        "-c:a",
        "aac",
        "-shortest",
        loud,
    )
    assert open_movie(loud).sound
    with pytest.warns(UserWarning, match="the sound is not copied"):
        out = overlay_video(loud, truth, tmp_path / "j.mp4")
    assert not open_movie(out).sound
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlay_video(movie, truth, tmp_path / "k.mp4")


def test_what_does_not_fit_is_said_and_nothing_is_written(truth, movie, tmp_path):
    out = tmp_path / "no.mp4"
    longer = truth.map(lambda m: Motion(m.positions.repeat(2, 1, 1), m.skeleton, m.fps))
    far = truth.map(lambda m: m.replace(positions=m.positions + 2000))
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    (tmp_path / "empty.avi").touch()
    for what, tracks, said in (
        (movie, longer, "120 in the video and 240"),
        (movie, far, "within the picture of 640 × 480"),
        (movie, person("walk", seconds=4, fps=30), "expected 2-D tracks"),
        (text, truth, "expected a video"),
        (tmp_path / "empty.avi", truth, "expected a video"),
        (tmp_path / "absent.mp4", truth, "no file"),
        (tmp_path, truth, "a folder"),
    ):
        with pytest.raises(ValueError, match=said) as e:
            overlay_video(what, tracks, out)
        assert "\n" not in str(e.value)
        assert not out.exists()
    with pytest.raises(ValueError, match="another file than the video"):
        overlay_video(movie, truth, movie)
    with pytest.raises(ValueError, match="above 0"):
        overlay_video(movie, truth, out, scale=0)


def test_the_rate_is_that_of_the_frames(movie, truth, tmp_path):
    "A copied avi may state the rate of its clock, 600, for frames at 30."
    run("-i", movie, "-c", "copy", tmp_path / "clock.avi")
    assert open_movie(tmp_path / "clock.avi").fps == pytest.approx(30, rel=0.01)


def test_a_truncated_video_leaves_no_film(truth, movie, tmp_path):
    run("-i", movie, "-c:v", "mjpeg", tmp_path / "whole.avi")
    data = (tmp_path / "whole.avi").read_bytes()
    for share in (0.3, 0.7):
        (tmp_path / "cut.avi").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ValueError, match=r"in the video and 120|damaged|expected a video"):
            overlay_video(tmp_path / "cut.avi", truth, tmp_path / "l.mp4")
        assert not (tmp_path / "l.mp4").exists()


def test_frames_are_streamed(truth, tmp_path):
    "Not more than a few frames are ever held."
    import tracemalloc

    path = tmp_path / "long.mp4"
    run(
        "-f",
        "lavfi",
        "-i",
        "color=gray:size=640x480:rate=30",
        "-frames:v",
        "240",
        "-c:v",
        "libx264",
        path,
    )
    long = truth.map(lambda m: Motion(m.positions.repeat(2, 1, 1), m.skeleton, m.fps))
    tracemalloc.start()
    overlay_video(path, long, tmp_path / "m.mp4")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25 * 640 * 480 * 3  # of 240


# ---- ink


def test_discs_have_the_area_and_the_middle_of_discs():
    g = np.random.default_rng(0)
    for _ in range(50):
        r, (x, y) = g.uniform(1, 9), g.uniform(15, 35, 2)
        cover = np.zeros((50, 50), np.float32)
        touched = discs(cover, np.array([[x, y]]), r)
        at = np.argwhere(cover > 0)
        assert cover.sum() == pytest.approx(np.pi * r**2, rel=0.12)
        assert (at * cover[cover > 0][:, None]).sum(0) / cover.sum() == pytest.approx(
            [y, x], abs=0.1
        )
        assert set(np.flatnonzero(cover)) == set(touched.tolist())
        rows, columns = np.mgrid[:50, :50]
        share = np.clip(r + 0.5 - np.hypot(columns - x, rows - y), 0, 1)
        assert np.abs(cover - share).max() < 1e-5


def test_bones_are_cut_at_the_picture_and_nowhere_else():
    g = np.random.default_rng(0)
    ends = g.normal(0, 1, (300, 2, 2)) * 10 ** g.uniform(0, 6, (300, 1, 1))
    points, bone = bone_discs(ends, (200, 100))
    assert len(points) < 300 * 350
    for k in range(300):
        a, b = ends[k]
        mine = points[bone == k]
        t = np.linspace(0, 1, 20001)[:, None]
        line = a + t * (b - a)
        seen = ((line > 0) & (line < [200, 100])).all(-1)
        assert not seen.any() or len(mine)
        for p in line[seen][::500]:
            assert np.abs(mine - p).max(-1).min() < 1.01


# ---- the contact sheet


def test_the_worst_moments_are_those_that_were_broken(truth):
    broken = corrupt(truth, {"add_jumps": {"rate": 0.004}}, 1)
    moments = worst_moments(broken.scene, truth, n=4)
    assert moments and all(bool(broken.mask[m.actor][m.frame, m.joint]) for m in moments)
    moved = changes(broken.scene.actors[0], truth.actors[0])
    best = spread_peaks(moved.amax(1), 4, 15)
    assert sorted(best) == [m.frame for m in moments]


def test_a_filled_gap_is_a_moment():
    truth = mouse(seconds=4, seed=1)
    gap = truth.actors[0].positions.clone()
    gap[50:60, 2] = torch.nan
    hidden = truth.map(lambda m: m.replace(positions=gap))
    (only,) = worst_moments(hidden, truth, n=1)
    assert 50 <= only.frame < 60 and only.joint == 2 and only.why == "filled"
    (back,) = worst_moments(truth, hidden, n=1)
    assert back.why == "removed"


def test_without_changes_the_least_sure_are_shown():
    truth = mouse(seconds=4, seed=1)
    low = truth.actors[0].confidence.clone()
    low[77, 5] = 0.01
    doubtful = truth.map(lambda m: m.replace(confidence=low))
    first = max(worst_moments(doubtful, n=3), key=lambda m: m.score)
    assert (first.frame, first.joint, first.why) == (77, 5, "likelihood 0.01")


@pytest.mark.parametrize("n", [1, 3, 12])
def test_moments_are_spread(n):
    g = torch.Generator().manual_seed(n)
    score = torch.rand(500, generator=g)
    found = spread_peaks(score, n, 25)
    assert len(found) == n and found[0] == int(score.argmax())
    assert all(abs(a - b) >= 25 for k, a in enumerate(found) for b in found[:k])
    assert [float(score[k]) for k in found] == sorted(
        (float(score[k]) for k in found), reverse=True
    )


def test_the_sheet_shows_the_video_under_the_points(truth, movie, tmp_path):
    broken = corrupt(
        nose_only(truth), {"add_jumps": {"rate": 0.01, "size": 50, "unit": "px"}}, 0
    ).scene
    moved = changes(broken.actors[0], nose_only(truth).actors[0])[:, 0]
    assert bool((moved > 0).any())
    sheet = np.asarray(
        Image.open(
            contact_sheet(movie, broken, nose_only(truth), tmp_path / "s.png", n=1, tile=300)
        ).convert("RGB")
    )
    tile = sheet[4:304, 4:304]
    green = middle(tile, GREEN, 25)
    white = np.argwhere(tile.min(-1) > 200)
    assert len(white) > 30  # the dot, around the point that covers its middle
    assert white.mean(0)[::-1] == pytest.approx(green, abs=6)


def test_the_sheet_without_a_video(truth, tmp_path):
    broken = corrupt(truth, {"add_jumps": {}}, 1).scene
    made = Image.open(contact_sheet(None, broken, truth, tmp_path / "t.png", n=5, tile=150))
    assert made.size[0] == 4 * 158
    assert np.asarray(made)[10, 10].tolist()[:3] == [255, 255, 255]
    mice = mouse(seconds=4, animals=2)
    contact_sheet(None, corrupt(mice, {"add_jumps": {}}, 0).scene, mice, tmp_path / "u.png", n=3)
    contact_sheet(None, mice, None, tmp_path / "v.png", n=3)
    walk = person("walk", seconds=2)
    contact_sheet(
        None, corrupt(Scene((walk,)), {"hide_joints": {}}, 0).scene, walk, tmp_path / "w.png", n=3
    )


def test_a_sheet_of_a_wrong_video_is_refused(truth, movie, tmp_path):
    longer = truth.map(
        lambda m: Motion(
            m.positions.repeat(2, 1, 1), m.skeleton, m.fps, confidence=m.confidence.repeat(2, 1)
        )
    )
    with pytest.raises(ValueError, match="120 in the video and 240"):
        contact_sheet(movie, longer, None, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_points_beside_the_picture_and_no_points(movie, truth, tmp_path):
    stray = truth.actors[0].positions.clone()
    stray[3] = 1e7
    stray[4] = -1e7
    stray[5] = torch.nan
    overlay_video(movie, truth.map(lambda m: m.replace(positions=stray)), tmp_path / "y.mp4")
    nothing = Motion(torch.full((120, 2, 2), torch.nan), Skeleton("s", ("a", "b"), (-1, 0)), 30)
    overlay_video(movie, nothing, tmp_path / "z.mp4")
    contact_sheet(
        movie, truth.map(lambda m: m.replace(positions=stray)), truth, tmp_path / "z.png", n=4
    )
