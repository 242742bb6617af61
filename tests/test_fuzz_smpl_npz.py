"SMPL files with anything wrong in them: a scene or one clear line."

import io
import pickle

import numpy as np
from hostile import FUZZ, mutated, mutated_npz, survives
from hypothesis import given
from hypothesis import strategies as st

from motionbook.formats.smpl.smpl_npz import read, write

RNG = np.random.default_rng(0)
POSES, TRANS = 0.1 * RNG.normal(size=(4, 165)), RNG.normal(size=(4, 3))


def packed(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


VALID = [
    packed(poses=POSES[:, :156], trans=TRANS, betas=np.ones(16), gender="male", mocap_framerate=120.0),
    packed(poses=POSES[:, :72].astype("f4"), trans=TRANS.astype("f4"), gender=b"female", mocap_framerate=30),
    packed(root_orient=POSES[:, :3], pose_body=POSES[:, 3:66], pose_jaw=POSES[:, 66:69], pose_hand=POSES[:, 75:], transl=TRANS, fps=[25.0]),
    packed(poses=POSES, pose_eye=POSES[:, 69:75], trans=TRANS, betas=np.ones((4, 10)), mocap_frame_rate=60.0),
]  # fmt: skip
DANCE = {
    "smpl_loss": 1.0,
    "smpl_poses": POSES[:, :72].astype("f4"),
    "smpl_scaling": np.array([90.0], "f4"),
    "smpl_trans": TRANS.astype("f4"),
}


@FUZZ
@given(st.sampled_from(VALID).flatmap(mutated_npz))
def test_hostile_smpl_npz(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("smpl")
    scene = survives(read, folder / "x.npz", data)
    if scene is not None:
        assert write(scene, folder / "y.npz").read_bytes() == data


@FUZZ
@given(
    st.sampled_from([pickle.dumps(DANCE, p) for p in (0, 2, 4)]).flatmap(
        lambda d: mutated(d, (b"smpl_poses", b"cos\nsystem\n", b"R"))
    )
)
def test_hostile_dances(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("dance")
    scene = survives(read, folder / "x.pkl", data)
    if scene is not None and not data.startswith(b"PK"):
        assert write(scene, folder / "y.pkl").read_bytes() == data
