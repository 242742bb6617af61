"""Films: true speed at any rate, whole files or none, and a clear word when the encoder is missing."""

import builtins

import numpy as np
import pytest
import torch
from PIL import Image

from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.viz.video import save_gif, save_mp4

PAIR = Skeleton("pair", ("left_a", "right_b"), (-1, 0))


def slider(seconds=2.0, fps=60.0):
    "The left end crosses 100 pixels a second; the right end stands still."
    t = torch.arange(round(seconds * fps)) / fps
    x = torch.zeros(len(t), 2, 2)
    x[:, 0, 0] = 100 * t
    x[:, 1] = torch.tensor([100.0, 60.0])
    return Motion(x, PAIR, fps, name="slider")


def gif_pictures(path):
    film = Image.open(path)
    out = []
    for k in range(film.n_frames):
        film.seek(k)
        out.append((film.info["duration"], np.asarray(film.convert("RGB"))))
    return out


def blue_column(picture):
    p = picture.astype(int)
    blob = (p[..., 2] - p[..., 0] > 100) & (p[..., 2] > 150)
    return np.argwhere(blob)[:, 1].min() if blob.any() else np.nan


@pytest.mark.parametrize("fps", [120.0, 59.94, 50.0, 29.97, 23.976, 10.0, 7.0])
def test_a_gif_runs_at_true_speed(tmp_path, fps):
    m = slider(fps=fps)
    made = gif_pictures(save_gif(m, tmp_path / "a.gif", size=(300, 240), dpi=60))
    total = sum(d for d, _ in made) / 1000
    assert total == pytest.approx(m.duration, abs=1 / min(fps, 25) + 0.005)
    assert all(d >= 20 for d, _ in made)  # shorter ones are slowed down by browsers


def test_the_speed_that_is_seen_is_the_speed_that_was(tmp_path):
    def speed(fps):
        made = gif_pictures(save_gif(slider(fps=fps), tmp_path / "a.gif", size=(300, 240), dpi=60))
        when = np.cumsum([0, *[d for d, _ in made]])[:-1] / 1000
        return np.polyfit(when[2:-2], [blue_column(p) for _, p in made][2:-2], 1)[0]

    assert speed(120.0) == pytest.approx(speed(20.0), rel=0.04)


@pytest.mark.parametrize("fps", [120.0, 59.94, 23.976, 12.5])
def test_an_mp4_runs_at_true_speed(tmp_path, fps):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    m = slider(fps=fps)
    path = save_mp4(m, tmp_path / "a.mp4", size=(161, 121), dpi=40)
    n, seconds = ffmpeg.count_frames_and_secs(path)
    rate = min(fps, 60)
    assert n == pytest.approx(m.duration * rate, abs=1.5)
    assert seconds == pytest.approx(m.duration, abs=1.1 / rate + 0.01)


def test_size_in_pixels(tmp_path):
    made = Image.open(save_gif(slider(), tmp_path / "a.gif", size=(210, 140), dpi=70))
    assert made.size == (210, 140)


def test_overlays_and_several_actors(tmp_path):
    s = Scene((slider(), slider().replace(name="second")))
    flags = {"before": torch.ones(120, 2, dtype=torch.bool)}
    for what, more in (
        (s, {}),
        ({"before": slider(), "after": slider(fps=30.0)}, {"flags": flags}),
    ):
        assert (
            len(gif_pictures(save_gif(what, tmp_path / "a.gif", fps=5, size=(160, 120), **more)))
            == 10
        )


def test_without_the_encoder_the_error_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def no_ffmpeg(name, *args, **kwargs):
        if name.startswith("imageio_ffmpeg"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_ffmpeg)
    with pytest.raises(ValueError, match=r"motionbook\[video\]"):
        save_mp4(slider(), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("save", [save_gif, save_mp4])
def test_an_interrupted_film_leaves_the_old_file(tmp_path, save, monkeypatch):
    import motionbook.viz.video as video

    path = tmp_path / "film"
    path.write_bytes(b"old")
    real = video._pictures

    def breaks(*args):
        for k, picture in enumerate(real(*args)):
            if k == 3:
                raise RuntimeError("stop")
            yield picture

    monkeypatch.setattr(video, "_pictures", breaks)
    with pytest.raises(RuntimeError, match="stop"):
        save(slider(), path, size=(160, 120))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["film"]
