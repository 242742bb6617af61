"A real trial of CMU as AMC and as BVH, with its real caption; a trial whose body is not there."

import json
import shutil
import warnings

import pytest
import torch
from helpers import real_files

from motionbook.body.stick import stick_joints
from motionbook.converters.base import find_source
from motionbook.converters.cmu import _captions, cmu_items, load_cmu
from motionbook.core.skeletons import STICK16
from motionbook.data.canonical import convert_dataset
from motionbook.schema.sample import load_canonical

TABLE, TRIAL = (real_files(f"{n}") for n in ("cmu_more/captions.csv", "asf_amc/01*"))
pytestmark = pytest.mark.skipif(len(TRIAL) < 3 or not TABLE, reason="CMU's files are not there")
FRAMES = 240  # of the trial, which is longer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("cmu")
    (root / "01").mkdir()
    for p in TRIAL:
        text = p.read_text()
        if p.suffix == ".amc":
            text = text.partition(f"\n{FRAMES + 1}\n")[0] + "\n"
        if p.suffix == ".bvh":
            head, _, rest = text.partition("Frames:")
            number, time, *rows = rest.splitlines()
            text = "\n".join([f"{head}Frames: {FRAMES + 1}", time, *rows[: FRAMES + 1], ""])
        (root / "01" / p.name).write_text(text)
    (root / "13").mkdir()
    shutil.copy(root / "01" / "01_01.amc", root / "13" / "13_29.amc")
    shutil.copy(TABLE[0], root)
    return root


def test_both_forms_are_one_clip_with_one_caption(folder):
    assert find_source(folder).name == "cmu"
    assert {(i.subject, i.clip) for i in cmu_items(folder)} == {("01", "01_01"), ("13", "13_29")}
    amc, bvh = (load_cmu(str(folder / f"01/01_01{e}")) for e in (".amc", ".bvh"))
    assert amc.text == bvh.text == ("playground - forward jumps, turn around",)
    assert amc.fps == 120 and amc.meta["fps_stated"] and abs(bvh.fps - 120) < 0.1
    assert len(amc) == len(bvh) == FRAMES  # the rest pose in front of the BVH is gone
    ends = STICK16.indices([f"{s}_{j}" for s in "lr" for j in ("knee", "ankle")])
    points = (stick_joints(s.actors[0])[:, ends] for s in (amc, bvh))
    assert torch.allclose(*points, atol=0.01)


def test_a_trial_without_its_body_costs_no_other(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = convert_dataset(folder, tmp_path)
    (row,) = map(json.loads, (tmp_path / "quarantine.jsonl").read_text().splitlines())
    assert row["key"] == "13/13_29" and "its skeleton beside it" in row["reason"]
    samples = load_canonical(tmp_path / "canonical.pt")
    assert made["samples"] == len(samples) == 2
    assert [s["actions"].unique().tolist() for s in samples] == [[4], [4]]


def test_the_real_table():
    rows = _captions(TABLE[0], 0)
    assert len(rows) == 2435 and {c.fps for c in rows.values()} == {60.0, 120.0}
    assert sum(c.fps == 60 for c in rows.values()) == 326
