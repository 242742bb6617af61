"Plain arrays: types, several actors, everything else in the file untouched."

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import motionbook.formats.registry as registry
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.plain.npz import read, write

JOINTS = ["hip", "knee", "ankle"]


def example(seed=0, frames=20, **more) -> dict:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(0, 0.01, (frames, 3, 3)), 0) + [[0, 0.9, 0], [0, 0.5, 0], [0, 0.1, 0]]
    return dict(positions=x, joints=JOINTS, fps=50.0) | more


def edited(scene: Scene, flagged: torch.Tensor) -> Scene:
    m = scene.actors[0]
    p = torch.where(flagged[..., None], m.positions.nan_to_num(0.1) + 0.25, m.positions)
    return scene.replace(actors=(m.replace(positions=p), *scene.actors[1:]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(["<f2", "<f4", "<f8", ">f4", "<i4", "<i2"]), st.sampled_from([None, "m", "cm", "mm"]), st.sampled_from([None, "y", "z", "x"]),
    st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_only_flagged_numbers_change(tmp_path_factory, dtype, units, up, fortran, pack, seed):
    tmp = tmp_path_factory.mktemp("a")
    rng = np.random.default_rng(seed)
    scale = (
        {"cm": 100, "mm": 1000}.get(units, 1)
        if np.dtype(dtype).kind == "f"
        else {"cm": 100, "mm": 1000}.get(units, 100)
    )
    x = example(seed)["positions"] * scale
    if np.dtype(dtype).kind == "f":
        x[rng.random(x.shape[:2]) < 0.1] = np.nan
    x = np.asarray(x, dtype, order="F" if fortran else "C")
    words = {k: v for k, v in (("units", units), ("up", up)) if v}
    save = np.savez_compressed if pack else np.savez
    save(
        tmp / "a.npz",
        first=np.arange(4),
        **example(positions=x),
        **words,
        last=np.array([object], dtype=object),
    )
    scene = read(tmp / "a.npz")
    assert write(scene, tmp / "same.npz").read_bytes() == (tmp / "a.npz").read_bytes()

    flagged = torch.from_numpy(rng.random(x.shape[:2]) < 0.15)
    write(edited(scene, flagged), tmp / "b.npz")
    with np.load(tmp / "b.npz") as b:
        assert b.files == np.load(tmp / "a.npz").files
        y = b["positions"]
    assert y.dtype == x.dtype and y.flags.f_contiguous == x.flags.f_contiguous
    np.testing.assert_array_equal(y[~flagged.numpy()], x[~flagged.numpy()])
    with zipfile.ZipFile(tmp / "a.npz") as a, zipfile.ZipFile(tmp / "b.npz") as b:
        for i, k in zip(a.infolist(), b.infolist()):
            assert (i.filename, i.compress_type) == (k.filename, k.compress_type)
            assert i.filename == "positions.npy" or a.read(i) == b.read(k)
    back = read(tmp / "b.npz", units=scene.meta["units"], up=scene.meta["up"]).actors[0].positions
    want = edited(scene, flagged).actors[0].positions
    step = {"<f2": 2e-3, "<i4": 0.51, "<i2": 0.51}.get(dtype, 1e-6) * (
        0.01 if units == "cm" else 0.001 if units == "mm" else 1
    )
    tolerance = max(2e-3 if dtype == "<f2" else 1e-6, step)
    np.testing.assert_allclose(back[flagged].numpy(), want[flagged].numpy(), atol=tolerance)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.sampled_from([2, 3]), st.booleans(), st.integers(0, 99))
def test_new_files_give_back_the_scene(tmp_path_factory, actors, c, sure, seed):
    rng = np.random.default_rng(seed)
    motions = []
    for a in range(actors):
        j = int(rng.integers(1, 5))
        names = tuple(rng.permutation([f"j{k}" for k in range(6)])[:j])
        parents = tuple(int(rng.integers(-1, k)) if k else -1 for k in range(j))
        p = torch.from_numpy(rng.normal(0, 1, (7, j, c)))
        p[torch.from_numpy(rng.random((7, j)) < 0.2)] = torch.nan
        conf = torch.from_numpy(rng.random((7, j))) if sure and a == 0 else None
        motions.append(
            Motion(p, Skeleton(f"s{a}", names, parents), 12.5, confidence=conf, name=f"p{a}")
        )
    scene = Scene(tuple(motions), text=("a", "b"))
    back = registry.read(registry.write(scene, tmp_path_factory.mktemp("n") / "n.npz"))
    assert back.fps == 12.5 and back.text == ("a", "b") and len(back.actors) == actors
    for was, now in zip(scene.actors, back.actors):
        order = [now.skeleton.index(j) for j in was.skeleton.joints]
        assert set(was.skeleton.joints) == set(now.skeleton.joints) and now.name == was.name
        np.testing.assert_array_equal(now.positions[:, order].numpy(), was.positions.numpy())
        names = lambda s, pairs: {(s.joints[a], s.joints[b]) for a, b in pairs}
        tree = [
            names(s, ((p, i) for i, p in enumerate(s.parents) if p >= 0))
            for s in (was.skeleton, now.skeleton)
        ]
        assert tree[0] == tree[1]
        assert names(was.skeleton, was.skeleton.edges) == names(now.skeleton, now.skeleton.edges)
        if was.confidence is not None:
            np.testing.assert_array_equal(now.confidence[:, order].numpy(), was.confidence.numpy())
        else:
            assert now.confidence is None


def test_parents_survive_where_actors_agree(tmp_path):
    s = Skeleton("leg", tuple(JOINTS), (-1, 0, 1))
    m = Motion(torch.rand(4, 3, 3), s, 30, name="a")
    for scene in (Scene((m,)), Scene((m, m.replace(name="b")))):
        assert all(
            x.skeleton.parents == (-1, 0, 1) for x in read(write(scene, tmp_path / "x.npz")).actors
        )


def test_several_actors_edit(tmp_path):
    x = example()["positions"]
    np.savez(
        tmp_path / "a.npz",
        **example(
            positions=np.stack([x, x + 1], 1), actors=["ann", "bob"], confidence=np.ones((20, 2, 3))
        ),
    )
    scene = read(tmp_path / "a.npz")
    assert [m.name for m in scene.actors] == ["ann", "bob"]
    p = scene.actors[1].positions.clone()
    p[3, 2] = torch.nan
    write(
        scene.replace(actors=(scene.actors[0], scene.actors[1].replace(positions=p))),
        tmp_path / "b.npz",
    )
    a, b = np.load(tmp_path / "a.npz")["positions"], np.load(tmp_path / "b.npz")["positions"]
    assert np.argwhere(np.isnan(b)).tolist() == [[3, 1, 2, c] for c in range(3)]
    assert (a == b).sum() == a.size - 3


def test_fps_shapes(tmp_path):
    for fps in (30, 30.0, np.float32(29.97), np.array([25]), np.array([[25]]), np.int16(25), True):
        np.savez(tmp_path / "a.npz", **example(fps=fps))
        if fps is True:
            with pytest.raises(BadFile, match="bool"):
                read(tmp_path / "a.npz")
        else:
            assert read(tmp_path / "a.npz").fps == float(np.ravel(fps)[0])
    np.savez(tmp_path / "a.npz", positions=example()["positions"], joints=JOINTS)
    assert read(tmp_path / "a.npz", fps=10).fps == 10


def test_positions_alone_take_names_from_their_number(tmp_path):
    x = np.random.default_rng(0).random((9, 22, 3)) + [0, 1, 0]
    np.savez(tmp_path / "a.npz", positions=x, fps=30)
    scene = read(tmp_path / "a.npz")
    assert scene.actors[0].skeleton.joints[1] == "left_hip" and "assumed" in scene.meta["notes"][0]
    assert write(scene, tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()
    np.savez(tmp_path / "a.npz", positions=x)
    with pytest.raises(BadFile, match="--fps"):
        read(tmp_path / "a.npz")


def test_millimetres_and_z_up_are_seen(tmp_path):
    body = np.array([[0, 0, 1700], [0, 0, 1400], [100, 0, 900], [100, 50, 500], [100, 0, 60.0]])
    x = np.repeat(body[None], 5, 0)
    np.savez(
        tmp_path / "a.npz",
        positions=x,
        joints=["head", "neck", "left_hip", "left_knee", "left_ankle"],
        fps=30,
    )
    scene = read(tmp_path / "a.npz")
    assert (scene.meta["units"], scene.meta["up"]) == ("mm", "z")
    np.testing.assert_allclose(
        scene.actors[0].positions[0, :, 1].numpy(), body[:, 2] / 1000, atol=1e-6
    )
    assert write(scene, tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


def test_pickles_are_not_opened(tmp_path):
    class Marks:
        def __reduce__(self):
            return (exec, ("open('ran', 'w')",))

    np.savez(tmp_path / "a.npz", **example(positions=np.array([Marks()] * 3)))
    with pytest.raises(BadFile, match="Python objects"):
        registry.read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **example(), extra=np.array([Marks()]))
    assert len(registry.read(tmp_path / "a.npz")) == 20


def test_absurd_header(tmp_path):
    np.savez(tmp_path / "a.npz", **example())
    out, head = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 3, 3)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz") as a, zipfile.ZipFile(out, "w") as z:
        for n in a.namelist():
            z.writestr(n, head.getvalue() if n == "positions.npy" else a.read(n))
    (tmp_path / "b.npz").write_bytes(out.getvalue())
    with pytest.raises(BadFile, match="72,000,000,000 bytes"):
        read(tmp_path / "b.npz")
