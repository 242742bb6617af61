"The names that people ask `motionbook.features` for, HumanML3D's folder, and its form of statistics."

import shutil
import subprocess
import sys

import numpy as np
import torch

import motionbook.features as features
from motionbook.converters.base import find_source, scenes
from motionbook.data.to_features import features_command
from motionbook.features.humanml3d.ik263_stats import DatasetStatistics


def test_every_name_resolves():
    assert {"smpl_to_ik263", "dlc_dataframe_to_features", "keypoints_to_features"} <= set(
        features.__all__
    )
    for name in features.__all__:
        assert getattr(features, name) is not None
    light = "import sys, motionbook.features; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light]).returncode == 0


def humanml3d(real_data, folder):
    "The published clip, twice, in the folders of the data set."
    for kind in ("new_joints", "new_joint_vecs"):
        (folder / kind).mkdir(parents=True)
        source = real_data / "humanml3d" / f"{kind}_012314.npy"
        shutil.copy(source, folder / kind / "012314.npy")
    x = np.load(folder / "new_joint_vecs" / "012314.npy")
    np.save(folder / "new_joint_vecs" / "012315.npy", x[:100])
    (folder / "texts").mkdir()
    (folder / "texts" / "012314.txt").write_text("a person walks.#a/DET#0.0#0.0\n")
    (folder / "train.txt").write_text("012314\n")
    return folder


def test_the_published_folder_is_a_dataset(real_data, tmp_path):
    root = humanml3d(real_data, tmp_path / "HumanML3D")
    assert find_source(root).name == "humanml3d"
    a, b = scenes(root)
    assert a.text == ("a person walks.",) and a.fps == b.fps == 20.0
    n = min(len(b), 99)
    assert (a.actors[0].positions[:n] - b.actors[0].positions[:n]).abs().max() < 1e-5
    facts = features_command("ik263", root, tmp_path / "out", validate=True)
    assert facts["made"] == 2 and not facts["bad"]


def test_statistics_as_humanml3d_publishes_them(real_data, tmp_path):
    root, out = humanml3d(real_data, tmp_path / "HumanML3D"), tmp_path / "out"
    features_command("ik263", root, out, stats="humanml3d")
    s = DatasetStatistics.load(out / "stats.npz")
    x = np.concatenate([np.load(p) for p in sorted(out.glob("*.npy"))]).astype(np.float64)
    std, ends = x.std(0), [0, 1, 3, 4, 67, 193, 259, 263]
    for i, j in zip(ends, ends[1:]):
        std[i:j] = std[i:j].mean()
    assert np.abs(s.mean.numpy() - x.mean(0)).max() < 1e-5
    assert np.abs(s.std.numpy() - std).max() < 1e-5
    features_command("ik263", root, out, stats=True)
    plain = DatasetStatistics.load(out / "stats.npz")
    assert torch.equal(plain.std[plain.layout["contacts"]], torch.ones(4).double())
