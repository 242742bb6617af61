"KIT-ML on what of it may be had: texts, lists and published means, but no motion."

import json
import re

import numpy as np
import pytest
from helpers import real_files

from motionbook.converters.base import dataset_items, scenes
from motionbook.converters.kit_ml import KIT_FPS
from motionbook.converters.sides import named_side
from motionbook.core.skeletons import MMM21
from motionbook.features.humanml3d.kit251 import KIT251, joints_to_kit251, kit251_to_joints
from motionbook.synthetic.raw_kit_ml import write_kit_ml

TABLE, MEANS = (
    real_files(f"{p}")
    for p in ("kit_ml/annotations.json", "humanml3d/evaluator_stats/kit_mean.npy")
)
needs_table = pytest.mark.skipif(not TABLE, reason="KIT-ML's annotations are not there")


@needs_table
def test_real_sentences_on_clips_of_their_length(tmp_path):
    "Real ids, sentences, seconds and lists; the motion of each clip is synthetic and as long as it says."
    told = json.loads(TABLE[0].read_text())
    names = [n for n in told if 2 < told[n]["duration"] < 12][::600]
    root = write_kit_ml(
        tmp_path, KIT251().joints_of, joints_to_kit251, kit251_to_joints, ("walk",), 13.0
    )
    long = np.load(root / "new_joint_vecs/00001.npy")
    for old in root.glob("new_joint*/*.npy"):
        old.unlink()
    for n in names:
        frames = int(told[n]["duration"] * KIT_FPS)
        np.save(root / f"new_joint_vecs/{n}.npy", long[:frames])
    (root / "annotations.json").write_bytes(TABLE[0].read_bytes())
    for side in ("train", "val", "test"):
        (root / f"{side}.txt").write_bytes((TABLE[0].parent / f"splits/{side}.txt").read_bytes())
    for t in (root / "texts").iterdir():
        t.unlink()
    found = {s.actors[0].name: s for s in scenes(root, "kit_ml")}
    assert sorted(found) == sorted(names)
    for n, s in found.items():
        assert (
            s.text == tuple(a["text"].strip() for a in told[n]["annotations"]) and s.fps == KIT_FPS
        )
    sides = {i.key: i.split for i in dataset_items(root, "kit_ml")[1]}
    assert set(sides.values()) <= {"train", "val", "test", ""} and len(set(sides.values())) > 1


@needs_table
def test_how_many_sentences_name_one_side():
    "The numbers in the page about left and right."
    told = json.loads(TABLE[0].read_text())
    texts = [a["text"] for v in told.values() for a in v["annotations"]]
    words = lambda t: {w for w in ("left", "right") if re.search(rf"\b{w}\b", t, re.I)}
    one = [t for t in texts if len(words(t)) == 1]
    assert (len(texts), len(one)) == (12164, 3778)
    assert sum(bool(re.search(r"\b(hand|arm|wav)", t, re.I)) for t in one) == 824
    assert sum(bool(re.search(r"\b(turn|circle|curve|rotat)", t, re.I)) for t in one) == 1628
    assert all(named_side(t) == words(t).pop() for t in one if not re.search(r"wards?\b|handed", t))


@pytest.mark.skipif(not MEANS, reason="the published means are not there")
def test_what_the_published_means_say_of_sides():
    mean = np.load(MEANS[0])
    at = dict(zip(MMM21.joints[1:], mean[4:64].reshape(20, 3), strict=True))
    assert round(float(at["left_hip"][0])) == -45 and round(float(at["right_hip"][0])) == 45
    assert (
        round(float(at["left_shoulder"][0])) == -97 and round(float(at["right_shoulder"][0])) == 97
    )
    assert round(float(at["left_toe"][2] - at["left_ankle"][2])) == 54
    for j, x in at.items():  # every clip is there with its mirror image
        if j.startswith("left"):
            twin = at[j.replace("left", "right")] * [-1, 1, 1]
            assert np.allclose(x, twin, atol=0.01)
