"""Any repair of a small file is written and read back, and nothing else moves."""

import string
import warnings

import numpy as np
import pytest
import torch
from helpers import same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import examples, put

from motionbook.core.kinematics import refit
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.acclaim.asf_amc import solve_angles
from motionbook.formats.registry import read, write

pytestmark = pytest.mark.usefixtures("one_thread")
SEEDS = st.integers(0, 2**31)


def some(count: int):
    "Few examples, each of which solves for angles or writes a file."
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, deadline=None, suppress_health_check=slow, derandomize=True)


def opened(fmt: str, label: str, folder) -> tuple[Scene, Motion, bytes]:
    path = put(examples(fmt)[label], folder)
    scene = read(path)
    return scene, scene.actors[0], path.read_bytes()


def one_motion(fmt: str, suffix: str):
    "The examples of a format with that suffix that hold one actor, and are not our own writer's."
    return st.sampled_from(
        sorted(k for k, f in examples(fmt).items() if next(iter(f)) == f"x{suffix}" and suffix not in k)
    )  # fmt: skip


def above_seen(m: Motion) -> torch.Tensor:
    "[t j] joints with a seen one below them: a BVH places children from their parents, so it cannot lose these."
    above = torch.zeros_like(m.observed)
    for j in reversed(range(len(m.skeleton))):
        if (parent := m.skeleton.parents[j]) >= 0:
            above[:, parent] |= above[:, j] | m.observed[:, j]
    return above


@some(25)
@given(one_motion("bvh", ".bvh"), SEEDS)
def test_bvh(tmp_path, label, seed):
    "Random points are moved and lost; what is written agrees with the repair, and other frames are the same bytes."
    g = torch.Generator().manual_seed(seed)
    scene, m, old = opened("bvh", label, tmp_path)
    changed = torch.rand(m.positions.shape[:2], generator=g) < 0.2
    changed[[0, 3]] = False
    known = torch.where(m.positions.isfinite(), m.positions, m.positions.nanmedian(0).values)
    target = known + 0.1 * torch.randn(m.positions.shape, generator=g)
    target[torch.rand(changed.shape, generator=g) < 0.1] = torch.nan
    target = torch.where(changed[..., None], target, m.positions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fixed, residual = refit(m, target, changed)
        out = write(scene.replace(actors=(fixed,)), tmp_path / "y.bvh")
    back = read(out).actors[0]
    can_be_missing = ~above_seen(fixed)
    assert torch.equal(back.observed[can_be_missing], fixed.observed[can_be_missing])
    assert back.observed[fixed.observed].all()
    assert (back.positions - fixed.positions).nan_to_num().abs().max() < 1e-3
    lines = zip(old.split(b"\n")[-7:-1], out.read_bytes().split(b"\n")[-7:-1])
    assert all(a == b for f, (a, b) in enumerate(lines) if f in (0, 3))
    assert residual.isfinite().any()


@some(15)
@given(one_motion("asf_amc", ".amc"), SEEDS)
def test_asf_amc(tmp_path, label, seed):
    "Random points are moved; what is written is what was solved, other frames are the same bytes, and nothing warns."
    g = torch.Generator().manual_seed(seed)
    scene, m, _ = opened("asf_amc", label, tmp_path)
    changed = torch.rand(m.positions.shape[:2], generator=g) < 0.2
    changed[[0, 3]] = False
    target = m.positions + 0.1 * torch.randn(m.positions.shape, generator=g) * changed[..., None]
    target[changed & (torch.rand(changed.shape, generator=g) < 0.2)] = torch.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = m.replace(positions=target) if seed % 2 else refit(m, target, changed).motion
        edited = scene.replace(actors=(new,))
        found, out = solve_angles(edited), write(edited, tmp_path / "x.amc")
    assert not found.changed[[0, 3]].any() and found.residual[[0, 3]].max() == 0
    back = read(out).actors[0]
    gap = (back.positions - new.positions).norm(dim=-1)
    gap[:, scene.meta["original"].body.helpers] = 0
    assert (gap.nan_to_num() - found.residual).abs().max() < 1e-4
    assert torch.equal(back.positions[[0, 3]], m.positions[[0, 3]])


@some(40)
@given(one_motion("c3d", ".c3d"), SEEDS, st.sampled_from(["mm", "m"]))
def test_c3d(tmp_path, label, seed, units):
    "Random points are moved, removed and filled; the file has its length, all other points are the same to the bit."
    from test_c3d import by_ezc3d, contents

    g = torch.Generator().manual_seed(seed)
    path = put(examples("c3d")[label], tmp_path)
    if units == "m":
        path = by_ezc3d(path, units="m")
    scene = read(path)
    (m,) = scene.actors
    which = torch.rand(m.positions.shape[:2], generator=g) < 0.3
    noise = 0.1 * torch.randn(m.positions.shape, generator=g)
    points = torch.where(m.observed[..., None], m.positions, 0.5) + noise
    points[torch.rand(which.shape, generator=g) < 0.3] = torch.nan
    points = torch.where(which[..., None], points, m.positions)
    out = write(scene.replace(actors=(m.replace(positions=points),)), tmp_path / "y.c3d")
    assert out.stat().st_size == path.stat().st_size
    back = read(out).actors[0]
    assert same(back.positions[~which], m.positions[~which])
    assert torch.equal(back.observed, points.isfinite().all(-1))
    exact = "True" in label or units == "m"  # floats, or 16-bit steps
    assert (back.positions - points).nan_to_num().abs().max() < (1e-6 if exact else 5.1e-5)
    assert np.array_equal(contents(path)[3], contents(out)[3])


ODD = st.text(string.ascii_letters + string.digits + ' _-/.,"é', min_size=1, max_size=8)


@some(80)
@given(
    st.lists(ODD.filter(lambda s: s.strip() == s), min_size=1, max_size=5, unique=True),
    st.integers(1, 3),
    st.sampled_from([2, 3]),
    st.integers(0, 2**32 - 1),
)
def test_any_names_and_numbers_of_tracks_come_back(tmp_path, names, actors, dims, seed):
    "What is written is read: odd names, missing points, one frame or several, csv and h5."
    rng = np.random.default_rng(seed)
    shape = (actors, rng.integers(1, 6), len(names), dims)
    pos = rng.normal(0, 10.0 ** rng.integers(-3, 6), shape).astype(np.float32)
    pos[rng.random(pos.shape[:3]) < 0.3] = np.nan
    body = Skeleton("s", tuple(names))
    who = [Motion(torch.from_numpy(p), body, 30, name=f"m{i}") for i, p in enumerate(pos)]
    for suffix in (".csv", ".h5"):
        (tmp_path / f"x{suffix}").unlink(missing_ok=True)
        path = write(Scene(tuple(who)), tmp_path / f"x{suffix}", format="dlc")
        for a, b in zip(who, read(path, format="dlc").actors, strict=True):
            assert a.skeleton.joints == b.skeleton.joints
            assert same(a.positions, b.positions)
