"""Real movement in the raw layouts of datasets that cannot be had: what a converter reads is what was recorded.

The recordings are AIST++ dancers; the writers of `synthetic` put them in the dataset's axes, unit, order and rate.
A whole clip is laid on the recording by one turn about the vertical and one shift along the floor, and by nothing
else: an axis, a unit, a side, a joint or a rate that is wrong cannot be made good by that.
"""

import json
import math
import pickle

import numpy as np
import pytest
import torch

from motionbook.converters.base import scenes
from motionbook.converters.hinges import judge_hinges
from motionbook.converters.labels import labels_of
from motionbook.core.motion import Motion, fk, resample
from motionbook.features.humanml3d.kit251 import KIT251, joints_to_kit251
from motionbook.synthetic.people import place
from motionbook.synthetic.raw_bones_seed import soma_bvh
from motionbook.synthetic.raw_interhuman import person_arrays, processed_rows
from motionbook.synthetic.raw_kinect import kinect_joints, messif_block, skeleton_text
from motionbook.synthetic.raw_smpl import smpl_poses

SECONDS = 3.0
LIMBS = "hip knee ankle shoulder elbow wrist".split()
ROLES = [f"{s}_{r}" for s in ("left", "right") for r in LIMBS]


@pytest.fixture(scope="module")
def dancers(real_data) -> list[Motion]:
    "The first seconds of three dances, 60 fps."
    found = scenes(real_data / "aistpp", "aist")
    return [cut(s.actors[0], SECONDS) for s in found]


def cut(m: Motion, seconds: float) -> Motion:
    n = round(seconds * m.fps)
    return m.replace(positions=m.positions[:n], rotations=m.rotations[:n])


def every_second(m: Motion) -> Motion:
    return m.replace(positions=m.positions[::2], rotations=m.rotations[::2], fps=m.fps / 2)


def limbs(m: Motion) -> torch.Tensor:
    "[t 12 3] the joints that every dataset has."
    return torch.stack([m.joint(r) for r in ROLES], 1).double()


def turned(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    "A clip laid on another by a turn about y and a shift along the floor."
    level = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    a, b = (v - v.mean((0, 1)) * level for v in (x, like))
    za, zb = (torch.complex(v[..., 0], v[..., 2]) for v in (a, b))
    z = za * torch.exp(1j * torch.angle((zb * za.conj()).sum()))
    return torch.stack([z.real, a[..., 1], z.imag], -1) + like.mean((0, 1)) * level


def error(found: Motion, true: Motion, floor: bool = False) -> float:
    "Metres between the joints of a clip and of a recording; the height of the floor may be another."
    x, y = limbs(found), limbs(true)
    n = min(len(x), len(y))
    assert abs(len(x) - len(y)) <= 1 and found.fps == pytest.approx(true.fps, rel=2e-3)
    x, y = x[:n], y[:n]
    if floor:
        x = x + (y - x).mean((0, 1)) * torch.tensor([0.0, 1.0, 0.0])
    return float((turned(x, y) - y).norm(dim=-1).max())


CHANGES = {
    "mirror": lambda x: x * torch.tensor([-1.0, 1.0, 1.0]),
    "two axes exchanged": lambda x: x[..., [0, 2, 1]],
    "centimetres": lambda x: x * 100,
    "a tenth larger": lambda x: x * 1.1,
    "another order": lambda x: x.roll(1, 1),
    "backwards": lambda x: x.flip(0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_measure_sees_what_is_wrong(dancers, change):
    m = dancers[0]
    assert error(m, m) < 1e-6 and error(place(m, 1.0, 2.0, 0.7), m) < 1e-5
    assert error(m.replace(positions=CHANGES[change](m.positions)), m, floor=True) > 0.05


def in_other_order(m: Motion, order: list[int]) -> Motion:
    "The rotations of joints 1 to 21 in another order, on the same bones."
    turns, tree = m.rotations.clone(), m.skeleton
    turns[:, 1:22] = m.rotations[:, order]
    places, _ = fk(turns, tree.rest_offsets, m.positions[:, 0], tree.parents)
    return m.replace(positions=places, rotations=turns)


def test_hinges_of_real_people(real_data):
    "No recording of dances and sports is taken for a wrong one; with its joints in another order each is."
    roots = (real_data / "aistpp", "aist"), (real_data / "motionlib/asap_smpl_npz", "amass")
    clips = [s.actors[0] for root, name in roots for s in scenes(root, name)]
    assert len(clips) > 40 and not any(map(judge_hinges, clips))
    for order in ([*range(2, 22), 1], [21, *range(1, 21)]):
        assert all(judge_hinges(in_other_order(m, order)) for m in clips)


def before_camera(m: Motion) -> torch.Tensor:
    "[t 25 3] somebody 3.5 m before a Kinect that stands 0.9 m high."
    return kinect_joints(place(m, 0.0, 3.5, math.pi)) - torch.tensor([0.0, 0.9, 0.0])


def test_ntu_rgbd(dancers, tmp_path):
    for k, m in enumerate(dancers):
        m = resample(m, 30.0)
        folder = tmp_path / f"{k}" / "nturgb+d_skeletons"
        folder.mkdir(parents=True)
        text = skeleton_text([(72057594037931101, before_camera(m))])
        (folder / "S001C001P002R001A026.skeleton").write_bytes(text.encode("ascii"))
        (scene,) = scenes(folder.parent, "ntu_rgbd")
        assert error(scene.actors[0], m, floor=True) < 1e-4


def test_lsmb19(dancers, tmp_path):
    motions = [resample(m, 30.0) for m in dancers]
    blocks = [
        messif_block(f"S001C001P00{k}R001A026_{k}", before_camera(m)) for k, m in enumerate(motions)
    ]
    (tmp_path / "actions.data").write_text("".join(blocks), encoding="ascii")
    found = list(scenes(tmp_path, "lsmb19"))
    assert len(found) == len(motions)
    for scene, m in zip(found, motions):
        assert error(scene.actors[0], m, floor=True) < 1e-4


def test_interhuman(dancers, tmp_path):
    pair = [resample(m, 59.94) for m in dancers[:2]]
    pair[1] = place(pair[1], 1.0, 0.5, math.pi / 3)
    held = {"mocap_framerate": 59.94, "frames": len(pair[0])}
    held |= {f"person{k}": person_arrays(m) for k, m in enumerate(pair, 1)}
    for folder in ("motions", "annots", "motions_processed/person1", "motions_processed/person2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "motions/1.pkl").write_bytes(pickle.dumps(held))
    (tmp_path / "annots/1.txt").write_text("two people dance.\n")
    for k, m in enumerate(pair, 1):
        np.save(tmp_path / f"motions_processed/person{k}/2.npy", processed_rows(m)[::2])
    (tmp_path / "annots/2.txt").write_text("two people dance.\n")
    for scene in scenes(tmp_path, "interhuman"):
        half = scene.fps < 40
        true = [every_second(m) if half else m for m in pair]
        both, want = ([limbs(m)[: len(scene)] for m in p] for p in (scene.actors, true))
        for found, m in zip(scene.actors, true, strict=True):
            assert error(found, m, floor=True) < 1e-3
        apart = [float((a[:, 0] - b[:, 0]).norm(dim=-1).mean()) for a, b in (both, want)]
        assert apart[0] == pytest.approx(apart[1], abs=1e-3)


def test_kit_ml(dancers, tmp_path):
    rep = KIT251(height=1.7)
    for k, m in enumerate(dancers):
        m = resample(m, 12.5)
        folder = tmp_path / f"{k}"
        for part in ("new_joint_vecs", "texts"):
            (folder / part).mkdir(parents=True)
        joints = rep.joints_of(m)
        np.save(folder / "new_joint_vecs/00001.npy", joints_to_kit251(joints).float().numpy())
        (folder / "texts/00001.txt").write_text(
            "a human dances#a/DET human/NOUN dance/VERB#0.0#0.0\n"
        )
        (scene,) = scenes(folder, "kit_ml")
        assert scene.text == ("a human dances",)
        assert error(scene.actors[0], rep.motion_of(joints), floor=True) < 1e-3


def test_babel(dancers, tmp_path):
    m = dancers[0]
    poses, trans = smpl_poses(m, 156)
    place_ = tmp_path / "AMASS/BMLrub/dancer"
    place_.mkdir(parents=True)
    np.savez(
        place_ / "dance_poses.npz",
        poses=poses,
        trans=trans,
        betas=np.zeros(16),
        gender="male",
        mocap_framerate=60.0,
    )
    row = {
        "babel_sid": 1, "url": "", "feat_p": "BMLrub/BioMotionLab_NTroje/dancer/dance_poses.npz", "dur": SECONDS,
        "seq_ann": {"babel_lid": "s", "anntr_id": "a", "mul_act": False, "labels": [{"raw_label": "dance", "proc_label": "dance", "seg_id": "1", "act_cat": ["dance"]}]},
        "frame_ann": {"babel_lid": "f", "anntr_id": "a", "mul_act": True, "labels": [
            {"raw_label": w, "proc_label": w, "seg_id": w, "act_cat": [w], "start_t": a, "end_t": b} for w, a, b in (("stand", 0.0, 1.0), ("dance", 1.0, 3.0))
        ]},
    }  # fmt: skip
    (tmp_path / "babel_v1.0_release").mkdir()
    (tmp_path / "babel_v1.0_release/train.json").write_text(json.dumps({"1": row}))
    (scene,) = scenes(tmp_path, "babel")
    assert error(scene.actors[0], m, floor=True) < 1e-3
    assert {(a, b) for a, b, _ in labels_of(scene).doing} == {(0.0, 1.0), (1.0, 3.0)}


def test_bones_seed(dancers, tmp_path):
    for k, m in enumerate(dancers):
        m = resample(m, 120.0)
        folder = tmp_path / f"{k}" / "soma_proportional/bvh/221129"
        folder.mkdir(parents=True)
        (folder / "dance_001__A001.bvh").write_text(soma_bvh(m), encoding="ascii")
        (scene,) = scenes(tmp_path / f"{k}", "bones_seed")
        assert error(scene.actors[0], m) < 1e-3
