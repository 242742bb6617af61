"Mutated Lightning Pose files give a scene or one clear error, never another exception, never a hang."

import numpy as np
import torch
from hostile import mutated, survives
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionbook.formats.dlc.dlc import edit_csv
from motionbook.formats.dlc.lightning_pose import is_lightning_pose, read_lightning_pose

torch.set_num_threads(1)
QUICK = settings(max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))  # fmt: skip
COORDS = ("x", "y", "likelihood", "x_ens_var", "y_ens_var", "zscore")
HEAD = [["scorer"], ["bodyparts"], ["coords"]]
for p in ("nose", "tail"):
    for c in COORDS:
        for row, word in zip(HEAD, ("ensemble-kalman_tracker", p, c)):
            row.append(word)
ROWS = np.random.default_rng(0).uniform(0, 1, (8, 12)).round(4).tolist()
RAW = (
    "\n".join([*map(",".join, HEAD), *(",".join(map(str, [t, *r])) for t, r in enumerate(ROWS))])
    + "\n"
).encode()


@QUICK
@given(mutated(RAW, (b"x_ens_var", b"zscore", b"coords", b"x", b"likelihood", b"set", b",", b";")))
def test_mutated(tmp_path_factory, data):
    scene = survives(read_lightning_pose, tmp_path_factory.getbasetemp() / "f.csv", data)
    if scene is not None:
        assert edit_csv(scene.meta["original"], scene) == data


@QUICK
@given(st.binary(max_size=300))
def test_sniffing_never_fails(tmp_path_factory, head):
    assert is_lightning_pose(tmp_path_factory.getbasetemp(), head) in (True, False)


def test_the_original_reads(tmp_path):
    scene = survives(read_lightning_pose, tmp_path / "f.csv", RAW)
    assert set(scene.actors[0].meta) == set(COORDS[3:])
