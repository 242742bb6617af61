"BVH with anything wrong in it: a scene or one clear line, and what reads is written back as it was."

import warnings

import torch
from hostile import FUZZ, mutated, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bvh import DIALECTS, recording, with_value

from motionbook.core.kinematics import refit
from motionbook.formats.bvh.bvh import bvh_bytes, read, write

VALID = {n: recording(frames=6, **options).encode() for n, options in DIALECTS.items()}
VALID["line ends"] = VALID["Mixamo"].replace(b"\n", b"\r\n", 50)
for frame, column in (
    (1, 14),
    (2, 101),
    (4, 0),
    (4, 40),
):  # a joint, a leaf, the root, and a place below it
    text = VALID.get("missing", VALID["Xsens"]).decode()
    VALID["missing"] = with_value(text, frame, column, "nan").encode()
WORDS = (
    b"HIERARCHY", b"ROOT", b"ROOT a\n{\nOFFSET 0 0 0\n}\n", b"JOINT", b"JOINT Hips\n{", b"End Site", b"OFFSET", b"OFFSET 1 2 3\n", b"CHANNELS",
    b"CHANNELS 3 Zrotation Xrotation Yrotation\n", b"CHANNELS 6", b"CHANNELS 1000000000", b"Xposition", b"Zrotation", b"MOTION", b"Frames: 0",
    b"Frames:", b"Frame Time: 0", b"Frame Time:", b"1.#QNAN", b"-nan(ind)", b"1e38", b"-1e300", b"1.5.2",
)  # fmt: skip


@settings(FUZZ, max_examples=500)
@given(st.sampled_from(sorted(VALID)).flatmap(lambda n: mutated(VALID[n], WORDS)))
def test_hostile_bvh(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bvh")
    scene = survives(read, folder / "x.bvh", data)
    if scene is not None:
        assert write(scene, folder / "y.bvh").read_bytes() == data


@FUZZ
@given(st.binary(max_size=300).map(lambda b: b"HIERARCHY\nROOT a\n{\n" + b))
def test_hostile_header(tmp_path_factory, data):
    survives(read, tmp_path_factory.mktemp("bvh") / "x.bvh", data)


@settings(FUZZ, max_examples=25)
@given(st.sampled_from(sorted(VALID)), st.integers(0, 2**31))
def test_any_repair_is_read_back(tmp_path_factory, name, seed):
    "Random points are moved and lost; what is written agrees with the repair, and other frames are the same bytes."
    folder, g = tmp_path_factory.mktemp("bvh"), torch.Generator().manual_seed(seed)
    (folder / "x.bvh").write_bytes(VALID[name])
    scene = read(folder / "x.bvh")
    (m,) = scene.actors
    changed = torch.rand(m.positions.shape[:2], generator=g) < 0.2
    changed[[0, 3]] = False
    known = torch.where(m.positions.isfinite(), m.positions, m.positions.nanmedian(0).values)
    target = known + 0.1 * torch.randn(m.positions.shape, generator=g)
    target[torch.rand(changed.shape, generator=g) < 0.1] = torch.nan
    target = torch.where(changed[..., None], target, m.positions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fixed, residual = refit(m, target, changed)
        new = bvh_bytes(scene.replace(actors=(fixed,)))
    (folder / "y.bvh").write_bytes(new)
    back = read(folder / "y.bvh").actors[0]
    assert torch.equal(back.observed, fixed.observed)
    assert (back.positions - fixed.positions).nan_to_num().abs().max() < 1e-3
    lines = zip(VALID[name].split(b"\n")[-7:-1], new.split(b"\n")[-7:-1])
    assert all(a == b for f, (a, b) in enumerate(lines) if f in (0, 3))
    assert residual.isfinite().any()
