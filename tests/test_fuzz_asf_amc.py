"ASF/AMC with anything wrong in either file: a scene or one clear line, and what reads is written back as it was."

import warnings

import pytest
import torch
from hostile import FUZZ, mutated, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from test_asf_amc import amc_text, asf_text

from motionbook.core.kinematics import refit
from motionbook.formats.acclaim.asf_amc import amc_bytes, read, solve_angles

KINDS = {
    "CMU": ({}, {}),
    "plain": (dict(newline="\n"), dict(newline="\n", number="%.4f")),
    "radians": (dict(radians=True), dict(radians=True)),
    "other order": (dict(order="RZ RX RY TZ TX TY"), dict(order="RZ RX RY TZ TX TY")),
}
ASF = {k: asf_text(**a).encode() for k, (a, _) in KINDS.items()}
AMC = {k: amc_text(frames=5, **b).encode() for k, (_, b) in KINDS.items()}
WORDS = (
    b"root",
    b"ltibia 1",
    b"lfemur",
    b"1",
    b"6",
    b":DEGREES",
    b":RADIANS",
    b":FULLY-SPECIFIED",
    b"#",
    b"1.#QNAN",
    b"-nan(ind)",
    b"1e38",
    b"-1e300",
    b"1.5.2",
    b"3.64024e-015",
)
ASF_WORDS = (
    b":units", b":root", b":bonedata", b":hierarchy", b"begin", b"end", b"name lfemur", b"name root", b"length 0", b"length 1e30", b"direction 0 0 0",
    b"axis 0 0 20 XYZ", b"axis 1e300 0 0 ZZZ", b"dof rx ry rz", b"dof tx", b"dof", b"root lfemur", b"lfemur lfemur", b"order RX", b"order TX TX", b"angle rad", b"length 1e-300",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("amc")


@settings(FUZZ, max_examples=250)
@given(
    st.sampled_from(sorted(KINDS)).flatmap(lambda k: st.tuples(st.just(k), mutated(AMC[k], WORDS)))
)
def test_hostile_motion(folder, case):
    kind, data = case
    (folder / "x.asf").write_bytes(ASF[kind])
    scene = survives(read, folder / "x.amc", data)
    if scene is not None:
        assert amc_bytes(scene) == data


@settings(FUZZ, max_examples=400)
@given(
    st.sampled_from(sorted(KINDS)).flatmap(
        lambda k: st.tuples(st.just(k), mutated(ASF[k], ASF_WORDS))
    )
)
def test_hostile_skeleton(folder, case):
    kind, data = case
    (folder / "x.asf").write_bytes(data)
    scene = survives(read, folder / "x.amc", AMC[kind])
    if scene is not None:
        assert amc_bytes(scene) == AMC[kind]


@FUZZ
@given(st.binary(max_size=300))
def test_hostile_bytes(folder, data):
    (folder / "x.asf").write_bytes(ASF["CMU"])
    survives(read, folder / "x.amc", b":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 0 0 0 0 0\n" + data)
    (folder / "x.asf").write_bytes(b":root\n:bonedata\n" + data + b":hierarchy\n" + data[::-1])
    survives(read, folder / "x.amc", AMC["CMU"])


@settings(FUZZ, max_examples=15)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**31))
def test_any_repair_is_read_back(folder, kind, seed):
    "Random points are moved; what is written is what was solved, other frames are the same bytes, and nothing warns."
    g = torch.Generator().manual_seed(seed)
    (folder / "x.asf").write_bytes(ASF[kind])
    (folder / "x.amc").write_bytes(AMC[kind])
    scene = read(folder / "x.amc")
    (m,) = scene.actors
    changed = torch.rand(m.positions.shape[:2], generator=g) < 0.2
    changed[[0, 3]] = False
    target = m.positions + 0.1 * torch.randn(m.positions.shape, generator=g) * changed[..., None]
    target[changed & (torch.rand(changed.shape, generator=g) < 0.2)] = torch.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edited = scene.replace(
            actors=(m.replace(positions=target) if seed % 2 else refit(m, target, changed).motion,)
        )
        found, new = solve_angles(edited), amc_bytes(edited)
    assert not found.changed[[0, 3]].any() and found.residual[[0, 3]].max() == 0
    (folder / "x.amc").write_bytes(new)
    back = read(folder / "x.amc").actors[0]
    gap = (back.positions - edited.actors[0].positions).norm(dim=-1)
    gap[:, scene.meta["original"].body.helpers] = 0
    assert (gap.nan_to_num() - found.residual).abs().max() < 1e-4
    assert torch.equal(back.positions[[0, 3]], m.positions[[0, 3]])
