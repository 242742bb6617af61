"The schema as its description has it, and real people through every form of it and back."

import math

import numpy as np
import pytest
import torch

from motionbook.body.stick import joints_to_segments, segments_to_joints, stick_joints
from motionbook.core.motion import Scene
from motionbook.data.canonical import canonical_samples, convert_dataset
from motionbook.formats.registry import read, write
from motionbook.schema.actions import ACTION_TO_IDX, ActionType, FacialExpression
from motionbook.schema.metadata import (
    EnhancedSampleMetadata,
    MotionStyleMetadata,
    TemporalMetadata,
)
from motionbook.schema.projection import figure_to_scene, project, view_angle
from motionbook.schema.sample import checked_sample, load_canonical, save_canonical
from motionbook.schema.validate import DataValidator

AMASS_LIKE = "motionlib/asap_smpl_npz"


def test_the_example_of_the_description_runs():
    enhanced = EnhancedSampleMetadata(
        motion_style=MotionStyleMetadata(tempo=0.6, energy_level=0.8, smoothness=0.7),
        temporal=TemporalMetadata(
            original_fps=120, original_duration_sec=5.2, original_num_frames=624
        ),
    )
    sample = {
        "description": "A person running quickly",
        "motion": torch.zeros(250, 48),
        "physics": torch.zeros(250, 6),
        "actions": torch.full((250,), ACTION_TO_IDX[ActionType.RUN]),
        "camera": torch.zeros(250, 3),
        "source": "amass",
        "meta": {"file": "CMU/01/01_01.npz"},
        "enhanced_meta": enhanced.model_dump(),
    }
    assert checked_sample(sample).enhanced_meta["motion_style"]["energy_level"] == 0.8
    dumped = sample["enhanced_meta"]
    assert set(dumped) == set(
        "motion_style subject music interaction temporal quality emotion".split()
    )
    # what training code does with it
    quality = dumped.get("quality") or {}
    assert (quality.get("marker_quality", 1.0) or 1.0) == 1.0
    noise = 0.01 * (1 + dumped["motion_style"]["energy_level"])
    assert (sample["motion"] + torch.randn_like(sample["motion"]) * noise).shape == (250, 48)
    tokens = {"happy": "<HAPPY>", "sad": "<SAD>", "neutral": "<NEUTRAL>", "excited": "<EXCITED>"}
    assert set(tokens) <= {e.value for e in FacialExpression}
    style = (sample.get("enhanced_meta") or {}).get("motion_style") or {}
    assert torch.tensor([style.get("energy_level", 0.5)]).item() == pytest.approx(0.8)


def test_the_validator_takes_what_the_description_names():
    judge = DataValidator()
    for shape in ((30, 6), (30, 2, 6)):
        assert judge.check_physics_consistency(torch.zeros(shape)).ok
    for shape in ((30, 48), (30, 2, 48), (30, 20), (30, 2, 20), (30, 8)):
        assert judge.check_skeleton_consistency(torch.zeros(shape)).ok
    with pytest.raises(ValueError, match="multiple of 4"):
        judge.check_skeleton_consistency(torch.zeros(30, 47))
    assert len(ActionType) == 46 and ACTION_TO_IDX[ActionType.FIGHT_STANCE] == 45


def real_scenes(real_data) -> list[Scene]:
    paths = sorted((real_data / AMASS_LIKE).rglob("*.npz"))[:4]
    paths += sorted((real_data / "aistpp/motions").glob("*.pkl"))[:1]
    return [read(p) for p in paths + sorted((real_data / "bvh/samples").rglob("*.bvh"))[:4]]


def test_joints_of_real_people_come_back_exact_in_the_plane(real_data):
    for scene in real_scenes(real_data):
        joints = stick_joints(scene.actors[0])
        for view in ("front", "side", "three_quarter", 30.0, "auto"):
            flat = project(joints, view_angle(joints, view))
            assert torch.equal(segments_to_joints(joints_to_segments(flat)), flat)
            assert torch.equal(flat[..., 1], joints[..., 1])  # height stays height


def test_real_people_survive_every_form(real_data, tmp_path):
    samples = []
    for k, scene in enumerate(real_scenes(real_data)):
        samples += canonical_samples(scene, "amass", key=f"{k}")
    path = save_canonical(tmp_path / "canonical.pt", samples)
    again = load_canonical(path)
    assert save_canonical(tmp_path / "again.pt", again).read_bytes() == path.read_bytes()
    for a, b in zip(samples, again, strict=True):
        assert all(torch.equal(a[k], b[k]) for k in ("motion", "physics", "camera", "actions"))
    plain = torch.load(path, weights_only=True)
    assert isinstance(plain, list) and torch.equal(plain[0]["motion"], samples[0]["motion"])
    for k, s in enumerate(samples):
        figure = figure_to_scene(s["motion"], s["meta"]["fps"], text=(s["description"],))
        first = write(figure, tmp_path / f"{k}.motion")
        back = read(first)
        assert (back.actors[0].positions - figure.actors[0].positions).abs().max() <= 0.5e-4 + 1e-6
        second = write(read(first).replace(meta={}), tmp_path / f"{k}b.motion")
        assert torch.equal(read(second).actors[0].positions, back.actors[0].positions)


def test_parquet_of_real_people_comes_back_bit_identical(real_data, tmp_path):
    pytest.importorskip("pyarrow")
    from motionbook.data.parquet import read_parquet, write_parquet

    convert_dataset(real_data / AMASS_LIKE, tmp_path, limit=6)
    path = tmp_path / "canonical.pt"
    table = write_parquet(tmp_path / "x.parquet", load_canonical(path))
    back = save_canonical(tmp_path / "back.pt", read_parquet(table))
    assert back.read_bytes() == path.read_bytes()


def test_cameras_of_dancers_look_at_them(real_data, tmp_path):
    "The camera in front of a dancer points near the middle of his figure, and he fits into its picture."
    convert_dataset(real_data / "aistpp", tmp_path)
    for s in load_canonical(tmp_path / "canonical.pt"):
        x, y, zoom = s["camera"][0].tolist()
        points = s["motion"].unflatten(-1, (-1, 2))
        half = 1 / zoom  # metres from the middle of the picture to its upper edge
        assert ((points[..., 1] - y).abs() < half).float().mean() > 0.99
        assert abs(float(points[..., 0].mean()) - x) < 1.5 and 0.5 < half < 4
        assert s["meta"]["labels"]["camera"] == "c01" and math.isfinite(x)


def test_views_are_recorded_and_people_stand_in_all(real_data):
    scene = real_scenes(real_data)[0]
    from motionbook.data.canonical import CanonicalOptions

    made = canonical_samples(
        scene, "amass", CanonicalOptions(views=("front", "side", "auto", 30.0))
    )
    assert [s["meta"]["view"]["name"] for s in made] == ["front", "side", "auto", "azimuth"]
    for s in made:
        head, ankles = s["motion"][:, 3], s["motion"][:, [35, 43]].mean(1)
        assert np.quantile((head - ankles).numpy(), 0.1) > 0.8
