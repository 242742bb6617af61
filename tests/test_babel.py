"BABEL: real paths of AMASS meet today's, and frames get the classes of their labels."

import json
import warnings

import pytest
from helpers import real_files

from motionbook.converters.babel import amass_name
from motionbook.data.canonical import CanonicalOptions, convert_dataset
from motionbook.schema.sample import load_canonical
from motionbook.synthetic.raw_babel import write_babel

PATHS = real_files("babel/amass_to_babel.json")
NOW = {
    "BioMotionLab_NTroje": "BMLrub",
    "MPI_HDM05": "HDM05",
    "SSM_synced": "SSM",
    "DFaust_67": "DFaust",
}


@pytest.mark.skipif(not PATHS, reason="the paths of BABEL are not there")
def test_real_paths_of_both_editions_have_one_name():
    paths = json.loads(PATHS[0].read_text())
    names = {amass_name(p) for p in paths}
    assert len(names) == len(paths) == 12660
    for p in list(paths)[::97]:
        part, rest = p.split("/", 1)
        x = f"{NOW.get(part, part)}/{rest.removesuffix('_poses').replace(' ', '_')}_stageii"
        if part in NOW or not part.startswith(("MPI", "TCD", "Transitions")):
            assert amass_name(x) == amass_name(p) == amass_name(f"{part}/{p}.npz")


def test_frames_have_the_classes_of_their_labels(tmp_path):
    root = write_babel(tmp_path / "raw")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        convert_dataset(root, tmp_path / "out", options=CanonicalOptions(fps=20.0))
        val = convert_dataset(root, tmp_path / "val", split="val")
    assert (val["dataset"], val["samples"]) == ("babel", 1)
    found = {s["meta"]["key"]: s for s in load_canonical(tmp_path / "out/canonical.pt")}
    walk = found["AMASS/BMLrub/3/walking_medium08_poses"]
    assert walk["description"] == "Walk" and walk["meta"]["split"] == "train"
    assert walk["actions"].tolist() == [26] * 30 + [1] * 30  # stand, then walk
    jump = found["AMASS/BMLrub/4/jump_up02_poses"]
    assert jump["actions"].tolist() == [0] * 10 + [4] * 50  # idle until the first annotator's jump
