"Computed metadata: each grows with what it is named after, and none depends on the frame rate."

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from motionbook.core.motion import Motion, Scene, resample
from motionbook.core.skeletons import STICK16
from motionbook.data.canonical import CanonicalOptions, canonical_samples, enrich_scene
from motionbook.formats.registry import read
from motionbook.schema.enrich import (
    beat_rate,
    heard_beats,
    interaction_metadata,
    kinematic_beats,
    known_joints,
    marker_noise,
    motion_style,
    music_metadata,
    posture_valence,
    recording_quality,
    stoop_angle,
    style_measures,
    subject_metadata,
)
from motionbook.synthetic.people import person, two_people


def scene(x: torch.Tensor, fps: float) -> Scene:
    return Scene((Motion(x, STICK16, fps),))


def walk(fps: float = 120.0, seconds: float = 5.0, seed: int = 1) -> torch.Tensor:
    return known_joints(person("walk", seconds, fps, seed=seed))


def shaken(x: torch.Tensor, size: float) -> torch.Tensor:
    return x + size * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def swing(hertz: float, fps: float = 120.0) -> torch.Tensor:
    "Everything swings, on a standing person."
    t = torch.arange(int(8 * fps)) / fps
    x = known_joints(person("sit", 1.0, 60.0))[:1].expand(len(t), -1, -1).clone()
    x[..., 0] += torch.sin(2 * math.pi * hertz * t)[:, None]
    return x


GROWS = {  # what -> (its value, its causes from little to much)
    "tempo with the gait's speed": (lambda x: motion_style(x).tempo, [scene(walk(), 120 * k) for k in (0.6, 1, 1.5)]),
    "energy with the gait's speed": (lambda x: motion_style(x).energy_level, [scene(walk(), 120 * k) for k in (0.6, 1, 1.5)]),
    "smoothness with less jitter": (lambda x: motion_style(x).smoothness, [scene(shaken(walk(), k), 120) for k in (0.02, 0.01, 0.0)]),
    "marker quality with less jitter": (lambda x: recording_quality(x).marker_quality, [scene(shaken(walk(), k), 120) for k in (0.001, 0.0004, 0.0001)]),
    "arousal with energy": (lambda x: enrich_scene(x, "amass").emotion.arousal, [scene(walk(), 120 * k) for k in (0.6, 1, 1.5)]),
    "beats a minute with the swing": (lambda x: music_metadata(x).bpm, [scene(swing(k), 120) for k in (0.6, 0.8, 1.2)]),
    "height with the person": (lambda x: subject_metadata(x.actors[0]).height_cm, [Scene((person("walk", 1.0, 60.0, height=k),)) for k in (1.5, 1.7, 1.9)]),
    "confidence with the tracker's": (
        lambda x: recording_quality(x).reconstruction_confidence,
        [Scene((Motion(walk(), STICK16, 120.0, confidence=torch.full((600, 16), k)),)) for k in (0.2, 0.5, 0.9)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GROWS)
def test_grows(what):
    value, causes = GROWS[what]
    found = [value(c) for c in causes]
    assert found == sorted(found) and len(set(found)) == len(found), found


def test_valence_falls_with_stooping():
    x = walk()
    pelvis, up = STICK16.index("pelvis_center"), STICK16.indices(["neck", "head_center", "chest"])
    found = []
    for lean in (0.0, 0.1, 0.2, 0.3):  # metres that the head is ahead of the pelvis
        bowed = x.clone()
        share = (x[:, up, 1] - x[:, [pelvis], 1]) / 0.7
        bowed[:, up, 2] += lean * share
        found.append(posture_valence(scene(bowed, 120.0)))
    assert found == sorted(found, reverse=True) and found[0] > found[-1]


MEASURES = {
    "speed": lambda x, f: style_measures(x, f)["speed"],
    "tempo": lambda x, f: style_measures(x, f)["tempo"],
    "roughness": lambda x, f: style_measures(x, f)["roughness"],
    "stoop": lambda x, f: stoop_angle(x),
    "beats a minute": lambda x, f: beat_rate(kinematic_beats(x, f), f),
    "beats": lambda x, f: np.array(kinematic_beats(x, f)[1:5]) / f,
    "height": lambda x, f: subject_metadata(Motion(x, STICK16, f)).height_cm,
}


@pytest.mark.parametrize("name", MEASURES)
def test_the_frame_rate_changes_nothing(name):
    "The same walk and the same swing at 120, 60 and 30 frames a second."
    for x in (walk(), swing(0.8)):
        usual, half, quarter = (np.array(MEASURES[name](x[::k], 120 / k)) for k in (1, 2, 4))
        assert np.allclose(usual, half, rtol=0.03, atol=0.02), (usual, half)
        assert np.allclose(usual, quarter, rtol=0.08, atol=0.04), (usual, quarter)


def test_fewer_frames_are_no_noise():
    for k in (1, 2, 4):
        assert marker_noise(walk()[::k], 120 / k) < 5e-4
        found = marker_noise(shaken(walk()[::k], 0.003), 120 / k)
        assert 0.0024 < found < 0.0036


def test_who_touches_and_who_leads_at_any_rate():
    met = [
        interaction_metadata(two_people(3.0, f, seed=1, action="handshake"))
        for f in (120.0, 60.0, 30.0)
    ]
    share = [len(m.contact_frames) / (3.0 * f) for m, f in zip(met, (120.0, 60.0, 30.0))]
    assert max(share) - min(share) < 0.02 and len({m.interaction_role for m in met}) == 1


def test_ranks_of_real_people_do_not_depend_on_the_rate(real_data):
    off = []
    for path in sorted((real_data / "bvh" / "samples").rglob("*.bvh")):
        m = read(path).actors[0]
        if m.fps < 100:
            continue
        m = m.replace(positions=m.positions[1:], rotations=None)
        a, b = (motion_style(Scene((n,))) for n in (m, resample(m, m.fps / 3)))
        off += [abs(getattr(a, k) - getattr(b, k)) for k in ("tempo", "energy_level", "smoothness")]
    assert off and max(off) < 0.06 and np.mean(off) < 0.02


def test_beats_and_contacts_are_frames_of_the_sample():
    dance = scene(swing(0.8, 60.0), 60.0)
    (s,) = canonical_samples(dance, "aist")
    music = s["enhanced_meta"]["music"]
    assert max(music["beat_frames"]) < len(s["motion"]) == 200
    steps = np.diff(music["beat_frames"]) / 25  # twice a swing
    assert np.allclose(steps, 1 / 1.6, atol=0.05) and abs(music["bpm"] - 96) < 2
    (cut,) = canonical_samples(dance, "aist", CanonicalOptions(frames=50))
    assert max(cut["enhanced_meta"]["music"]["beat_frames"]) < 50
    pair = two_people(3.0, 60.0, seed=1, action="handshake")
    (s,) = canonical_samples(pair, "interhuman")
    touch = s["enhanced_meta"]["interaction"]["contact_frames"]
    assert touch and max(touch) < len(s["motion"]) == 75


@pytest.mark.skipif(find_spec("librosa") is None, reason="needs motionbook[audio]")
@pytest.mark.parametrize("bpm", [80, 100, 130])
def test_music_is_heard(bpm, tmp_path):
    import soundfile

    rate, step = 22050, 60 / bpm
    sound = np.zeros(rate * 12)
    for at in np.arange(0.25, 11.5, step):
        n = int(at * rate)
        sound[n : n + 400] += np.sin(np.arange(400) * 0.3) * np.exp(-np.arange(400) / 80)
    soundfile.write(tmp_path / "clicks.wav", sound, rate)
    found, frames = heard_beats(tmp_path / "clicks.wav", 60.0, 600)
    assert abs(found - bpm) < 0.03 * bpm
    known, frames = heard_beats(tmp_path / "clicks.wav", 60.0, 600, bpm)
    off = (np.array(frames) / 60 - 0.25 + step / 2) % step - step / 2
    assert known == bpm and np.abs(off).max() < 0.08 and max(frames) < 600
    (tmp_path / "noise.wav").write_bytes(b"no music")
    with pytest.raises(ValueError, match="noise.wav"):
        heard_beats(tmp_path / "noise.wav", 60.0, 600)
