"SMPL, AMASS and AIST++ recordings: every layout, the way back to the bit, cleaning from the command line."

import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_body import small_model

from motionbook.body.smpl import KINDS, approximate_body, load_body
from motionbook.cli import main
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene, resample
from motionbook.core.pickles import load_pickle
from motionbook.core.rotation import axis_rotation, matrix_to_rotvec, rotvec_to_matrix
from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import SMPL22
from motionbook.formats import registry
from motionbook.formats.smpl.smpl_npz import read, write
from motionbook.synthetic.people import person

TO_Z = axis_rotation("x", torch.tensor(torch.pi / 2, dtype=torch.float64))


def amass(frames=40, kind="smplh", seed=0, **more) -> dict:
    "The arrays of an AMASS file: somebody sways, stored with z up."
    rng, j = np.random.default_rng(seed), len(KINDS[kind])
    drift = np.cumsum(rng.normal(0, 0.01, (frames, j, 3)), 0) + 0.1 * rng.normal(size=(j, 3))
    drift[:, 0] *= 0.2
    root = TO_Z @ rotvec_to_matrix(torch.from_numpy(drift[:, 0]))
    drift[:, 0] = matrix_to_rotvec(root).numpy()
    trans = np.cumsum(rng.normal(0, 0.005, (frames, 3)), 0) + [0, 0, 1.2]
    return dict(
        trans=trans, gender=np.array("male"), mocap_framerate=np.array(120.0), betas=rng.normal(size=16),
        dmpls=rng.normal(size=(frames, 8)), poses=drift.reshape(frames, -1),
    ) | more  # fmt: skip


def saved(path, save=np.savez, **arrays):
    save(path, **arrays)
    return path


def edited(scene: Scene, frames, joints, by=0.05) -> Scene:
    m = scene.actors[0]
    p = m.positions.clone()
    p[frames[:, None], m.skeleton.indices(joints)] += torch.tensor([0.0, by, 0.02])
    return scene.replace(actors=(m.replace(positions=p),))


SPLITS = {
    "smpl": dict(root_orient=(0, 3), pose_body=(3, 72)),
    "smplh": dict(root_orient=(0, 3), pose_body=(3, 66), pose_hand=(66, 156)),
    "smplx": dict(root_orient=(0, 3), pose_body=(3, 66), pose_jaw=(66, 69), pose_eye=(69, 75), pose_hand=(75, 165)),
}  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.sampled_from(list(KINDS)), st.sampled_from(["<f4", "<f8"]), st.sampled_from(["whole", "pieces", "both"]), st.booleans(),
    st.sampled_from(["mocap_framerate", "mocap_frame_rate"]), st.integers(0, 999),
)  # fmt: skip
def test_only_touched_frames_and_joints_change(
    tmp_path_factory, kind, dtype, layout, pack, key, seed
):
    tmp = tmp_path_factory.mktemp("s")
    arrays = amass(kind=kind, seed=seed)
    rate, poses = arrays.pop("mocap_framerate"), arrays.pop("poses").astype(dtype)
    pieces = {k: poses[:, a:b] for k, (a, b) in SPLITS[kind].items()}
    arrays |= (
        ({} if layout == "pieces" else {"poses": poses})
        | ({} if layout == "whole" else pieces)
        | {key: rate}
    )
    arrays["labels"] = np.array([{"marker": 1}], object)  # stays packed
    path = saved(tmp / "a.npz", np.savez_compressed if pack else np.savez, **arrays)
    scene = read(path)
    assert scene.fps == 120 and scene.meta["up"] == "z" and scene.meta["approximate"]
    assert scene.actors[0].skeleton.joints == KINDS[kind].joints
    assert write(scene, tmp / "same.npz").read_bytes() == path.read_bytes()

    rng = np.random.default_rng(seed)
    frames = torch.from_numpy(np.sort(rng.choice(40, rng.integers(1, 8), replace=False)))
    change = edited(scene, frames, ["left_wrist"] if seed % 2 else ["right_elbow", "right_wrist"])
    with zipfile.ZipFile(write(change, tmp / "b.npz")) as b, zipfile.ZipFile(path) as a:
        assert [(i.filename, i.compress_type) for i in a.infolist()] == [
            (i.filename, i.compress_type) for i in b.infolist()
        ]
        names = [n for n in a.namelist() if a.read(n) != b.read(n)]
    owners = {"poses"} if layout == "whole" else {"pose_body", "pose_hand", "poses"} & set(arrays)
    assert {n.removesuffix(".npy") for n in names} <= owners and names
    with np.load(tmp / "b.npz", allow_pickle=True) as new:
        for k in owners:
            assert new[k].dtype == dtype
            rows = (new[k] != arrays[k]).any(1)
            assert set(np.flatnonzero(rows)) <= set(frames.tolist())
        if layout == "both":
            for k, (a, b) in SPLITS[kind].items():
                np.testing.assert_array_equal(new[k], new["poses"][:, a:b])
    back = read(tmp / "b.npz").actors[0]
    still = torch.ones(40, dtype=torch.bool)
    still[frames] = False
    assert torch.equal(back.positions[still], scene.actors[0].positions[still])
    gap = (back.positions - change.actors[0].positions).norm(dim=-1)[:, :22]
    assert (
        gap.max() < 0.06 and gap[:, :16].max() < 1e-4
    )  # bones keep their length; legs and trunk did not move


def test_the_root_moves_alone(tmp_path):
    arrays = amass()
    scene = read(saved(tmp_path / "a.npz", **arrays))
    m = scene.actors[0]
    p = m.positions.clone()
    p[7:9] += torch.tensor([0.1, 0.0, -0.05])
    write(scene.replace(actors=(m.replace(positions=p),)), tmp_path / "b.npz")
    new = np.load(tmp_path / "b.npz")
    moved = new["trans"] - arrays["trans"]
    np.testing.assert_allclose(
        moved[7:9], [[0.1, 0.05, 0.0]] * 2, atol=2e-4
    )  # y up: (x, y, z) = (x, -z, y)
    assert not moved[[*range(7), *range(9, 40)]].any()
    assert np.abs(new["poses"] - arrays["poses"]).max() < 0.01


def test_given_rotations_are_written_as_they_are(tmp_path):
    arrays = amass()
    scene = read(saved(tmp_path / "a.npz", **arrays))
    m = scene.actors[0]
    rotations = m.rotations.clone()
    rotations[3, 16] = rotvec_to_matrix(torch.tensor([0.3, -0.2, 1.0]))
    from motionbook.core.motion import fk

    positions = fk(rotations, m.skeleton.rest_offsets, m.positions[:, 0], m.skeleton.parents)[0]
    write(
        scene.replace(actors=(m.replace(positions=positions, rotations=rotations),)),
        tmp_path / "b.npz",
    )
    new = np.load(tmp_path / "b.npz")["poses"]
    assert np.argwhere(new != arrays["poses"]).tolist() == [[3, 48], [3, 49], [3, 50]]
    np.testing.assert_allclose(new[3, 48:51], [0.3, -0.2, 1.0], atol=1e-6)


@pytest.mark.parametrize("up", ["y", "z"])
def test_up_is_turned_at_the_door(tmp_path, up):
    walk = person("walk", seconds=1.0).positions[:, :22]
    write(Scene((Motion(walk, SMPL22, 60),)), tmp_path / "z.npz")
    z = dict(np.load(tmp_path / "z.npz"))
    if up == "y":
        root = TO_Z.T @ rotvec_to_matrix(torch.from_numpy(z["poses"][:, :3]))
        z["poses"][:, :3] = matrix_to_rotvec(root).numpy()
        rest = approximate_body().template[0].numpy()
        z["trans"] = (z["trans"] + rest) @ TO_Z.numpy() - rest
    np.savez(tmp_path / "a.npz", **z)
    scene = read(tmp_path / "a.npz")
    assert scene.meta["up"] == up
    torch.testing.assert_close(scene.actors[0].positions[:, 0], walk[:, 0], atol=1e-5, rtol=0)
    assert scene.actors[0].joint("head")[:, 1].min() > 1.2
    given_up = read(tmp_path / "a.npz", up="z" if up == "y" else "y")
    assert given_up.meta["up"] != up


def test_betas_count_where_there_is_a_model(tmp_path, monkeypatch):
    np.savez(tmp_path / "SMPLH_MALE.npz", **small_model("smplh", v=300))
    path = saved(tmp_path / "a.npz", **amass())
    plain, own = read(path), read(path, model=tmp_path / "SMPLH_MALE.npz")
    assert plain.meta["approximate"] and not own.meta["approximate"]
    body = load_body(tmp_path / "SMPLH_MALE.npz")
    rest = body.rest_joints(torch.from_numpy(amass()["betas"]))
    torch.testing.assert_close(own.actors[0].skeleton.rest_offsets[4], (rest[4] - rest[1]).float())
    assert write(own, tmp_path / "same.npz").read_bytes() == path.read_bytes()
    write(edited(own, torch.tensor([4]), ["left_wrist"]), tmp_path / "b.npz")
    assert set(
        np.flatnonzero((np.load(tmp_path / "b.npz")["poses"] != amass()["poses"]).any(1))
    ) == {4}
    monkeypatch.setenv("MOTIONBOOK_BODY_MODELS", str(tmp_path))
    assert torch.equal(read(path).actors[0].positions, own.actors[0].positions)
    (tmp_path / "few").mkdir()
    np.savez(tmp_path / "few" / "SMPLH_MALE.npz", **small_model("smplh", v=300, columns=10))
    with pytest.raises(BadFile, match="a.npz: expected at most 10 betas"):
        read(path, model=tmp_path / "few")
    with pytest.raises(ValueError, match="of one kind"):
        read(saved(tmp_path / "x.npz", **amass(kind="smplx")), model=body)


def test_betas_that_change(tmp_path):
    np.savez(tmp_path / "SMPLH_MALE.npz", **small_model("smplh", v=300))
    betas = np.linspace(0, 1, 40)[:, None] * np.ones(16)
    path = saved(tmp_path / "a.npz", **amass(betas=betas))
    scene = read(path, model=tmp_path / "SMPLH_MALE.npz")
    assert scene.actors[0].offsets is not None
    assert write(scene, tmp_path / "b.npz").read_bytes() == path.read_bytes()
    same = read(
        saved(tmp_path / "c.npz", **amass(betas=np.ones((40, 16)))),
        model=tmp_path / "SMPLH_MALE.npz",
    )
    assert same.actors[0].offsets is None


def test_gaps_and_single_frames(tmp_path):
    arrays = amass()
    arrays["poses"][5] = np.nan
    arrays["poses"][6, 54:57] = np.inf  # the left elbow
    arrays["trans"][7] = np.nan
    scene = read(saved(tmp_path / "a.npz", **arrays))
    seen, names = scene.actors[0].observed, scene.actors[0].skeleton.joints
    assert seen[5].tolist() == [n == "pelvis" for n in names]
    assert [n for n, o in zip(names, seen[6]) if not o][:2] == ["left_wrist", "left_index1"]
    assert not seen[7].any() and seen[8:].all() and seen[:5].all()
    assert write(scene, tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()
    one = read(
        saved(
            tmp_path / "one.npz", **{k: v[:1] if np.ndim(v) == 2 else v for k, v in amass().items()}
        )
    )
    assert len(one) == 1 and one.meta["up"] == "z"


def test_a_gap_in_a_limb_is_closed_by_clean(tmp_path):
    from motionbook.filters.auto import clean

    arrays = amass(frames=60)
    whole = read(saved(tmp_path / "whole.npz", **arrays)).actors[0].positions
    torn = arrays["poses"].copy()
    torn[20:26, 48:60] = np.nan
    scene = read(saved(tmp_path / "torn.npz", **arrays | {"poses": torn}))
    done = clean(scene, "auto", "missing")
    write(done.scene, tmp_path / "done.npz")
    new = np.load(tmp_path / "done.npz")["poses"]
    assert np.isfinite(new).all()
    same = ~np.isin(np.arange(60), range(20, 26))
    np.testing.assert_array_equal(new[same], torn[same])
    gap = (read(tmp_path / "done.npz").actors[0].positions - whole).norm(dim=-1)
    assert gap[:20].max() == 0 and gap[26:].max() == 0 and gap[:, :22].max() < 0.08


def test_clean_on_the_command_line(tmp_path, capsys):
    arrays = amass(frames=60, kind="smpl")
    arrays["poses"][24:30] = np.nan
    arrays["poses"][48, 51:54] += 2.0  # the right shoulder leaps
    path = saved(tmp_path / "in.npz", **arrays)
    assert main(["clean", str(path), "-o", str(tmp_path / "out.npz")]) == 0
    capsys.readouterr()
    new = np.load(tmp_path / "out.npz")
    assert list(new) == list(arrays) and [new[k].dtype for k in new] == [
        np.asarray(v).dtype for v in arrays.values()
    ]
    assert np.isfinite(new["poses"]).all()
    rows = set(np.flatnonzero((new["poses"] != arrays["poses"]).any(1)))
    assert {*range(24, 30), 48} <= rows and len(rows) < 20
    for k in ("gender", "betas", "dmpls", "mocap_framerate"):
        np.testing.assert_array_equal(new[k], arrays[k])
    bare = saved(
        tmp_path / "bare.npz", **{k: v for k, v in amass().items() if k != "mocap_framerate"}
    )
    assert main(["clean", str(bare), "-o", str(tmp_path / "x.npz")]) == 2
    said = capsys.readouterr().err
    assert "mocap_framerate" in said and "--fps" in said and said.count("\n") == 1
    assert (
        main(
            [
                "clean",
                str(bare),
                "-o",
                str(tmp_path / "x.npz"),
                "--fps",
                "120",
                "--fidelity",
                "missing",
            ]
        )
        == 0
    )


def test_missing_points_are_written_as_missing(tmp_path):
    scene = read(saved(tmp_path / "a.npz", **amass()))
    m = scene.actors[0]
    p = m.positions.clone()
    p[4:6] = torch.nan
    arm = [m.skeleton.index("left_wrist"), *range(22, 37)]
    p[9, arm] = torch.nan
    write(scene.replace(actors=(m.replace(positions=p),)), tmp_path / "b.npz")
    new = np.load(tmp_path / "b.npz")
    assert np.isnan(new["trans"]).all(1).nonzero()[0].tolist() == [4, 5]
    back = read(tmp_path / "b.npz").actors[0]
    assert torch.equal(back.observed, p.isfinite().all(-1))
    assert torch.equal(back.positions[back.observed], m.positions[back.observed])


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_dances(tmp_path, protocol):
    a = amass(kind="smpl")
    dance = {
        "smpl_loss": 1.0,
        "smpl_poses": a["poses"].astype("f4"),
        "smpl_scaling": np.array([90.0], "f4"),
        "smpl_trans": (90 * a["trans"]).astype("f4"),
    }
    path = tmp_path / "d.pkl"
    path.write_bytes(pickle.dumps(dance, protocol))
    scene = registry.read(path)
    assert (scene.meta["format"], scene.fps, scene.meta["fps_stated"], scene.meta["up"]) == (
        "smpl_npz",
        60.0,
        False,
        "z",
    )
    assert write(scene, tmp_path / "same.pkl").read_bytes() == path.read_bytes()
    write(edited(scene, torch.tensor([3]), ["left_wrist"]), tmp_path / "e.pkl")
    new = load_pickle(tmp_path / "e.pkl")
    assert list(new) == list(dance) and new["smpl_poses"].dtype == np.float32
    assert set(np.flatnonzero((new["smpl_poses"] != dance["smpl_poses"]).any(1))) == {3}
    np.testing.assert_array_equal(new["smpl_trans"], dance["smpl_trans"])
    back = read(write(scene, tmp_path / "as.npz")).actors[0]
    torch.testing.assert_close(back.positions, scene.actors[0].positions, atol=1e-5, rtol=0)
    with pytest.raises(BadFile, match="write .npz"):
        write(read(saved(tmp_path / "a.npz", **amass())), tmp_path / "f.pkl")


def test_other_recordings_become_smpl_files(tmp_path):
    walk = person("walk", seconds=1.0)
    plain = Scene((Motion(walk.positions[:, :22], SMPL22, 60),))
    write(plain, tmp_path / "a.npz")
    scene = read(tmp_path / "a.npz")
    assert sorted(np.load(tmp_path / "a.npz")) == [
        "betas",
        "gender",
        "mocap_framerate",
        "poses",
        "trans",
    ]
    heights = scene.actors[0].joint("left_ankle")[:, 1], plain.actors[0].joint("left_ankle")[:, 1]
    assert np.corrcoef(*heights)[0, 1] > 0.95
    slow = scene.map(lambda m: resample(m, 20.0))
    again = read(write(slow, tmp_path / "slow.npz"))
    assert again.fps == 20
    torch.testing.assert_close(
        again.actors[0].positions, slow.actors[0].positions, atol=1e-5, rtol=0
    )
    with pytest.raises(ValueError, match="one person"):
        write(Scene((walk, walk)), tmp_path / "b.npz")
    with pytest.raises(ValueError, match="SMPL's 22"):
        write(
            Scene((Motion(torch.zeros(3, 2, 3), Skeleton("x", ("a", "b")), 30),)),
            tmp_path / "b.npz",
        )
    assert not (tmp_path / "b.npz").exists()


def test_the_registry_tells_npz_files_apart(tmp_path):
    walk = Scene((person("walk", seconds=0.5),))
    assert registry.find_format(registry.write(walk, tmp_path / "a.npz")).name == "npz"
    path = saved(tmp_path / "b.npz", **amass())
    scene = registry.read(path)
    assert scene.meta["format"] == "smpl_npz"
    assert registry.write(scene, tmp_path / "c.npz").read_bytes() == path.read_bytes()
    assert (
        registry.find_format(registry.write(walk, tmp_path / "d.npz", format="smpl_npz")).name
        == "smpl_npz"
    )


def test_bad_files_say_what_is_wrong(tmp_path):
    good = amass()

    def said(**change) -> str:
        arrays = {k: v for k, v in (good | change).items() if v is not None}
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(BadFile) as err:
            read(tmp_path / "x.npz")
        assert "\n" not in str(err.value) and str(err.value).startswith("x.npz: ")
        return str(err.value)

    assert "give fps=" in said(mocap_framerate=None)
    assert "a frame rate above 0" in said(mocap_framerate=np.array(0.0))
    assert "one frame rate" in said(mocap_frame_rate=np.array(60.0))
    assert "got 70" in said(poses=good["poses"][:, :70])
    assert "[40, 3]" in said(trans=good["trans"][:30])
    assert "`trans`" in said(trans=None)
    assert "at least one frame" in said(poses=good["poses"][:0])
    assert "Python objects" in said(poses=np.array([[{}] * 156], object))
    assert "floating point" in said(poses=good["poses"].astype(int))
    assert "betas [s]" in said(betas=np.zeros((3, 16)))
    assert "finite" in said(betas=np.full(16, np.nan))
    assert "NaN" in said(poses=np.full((40, 156), np.nan))
    assert "as many frames" in said(pose_body=good["poses"][:20, 3:66])
    assert "63 numbers" in said(pose_body=good["poses"][:, 3:60])
    whole = saved(tmp_path / "y.npz", **good).read_bytes()
    for cut in (3, 100, len(whole) // 2, len(whole) - 5):
        (tmp_path / "y.npz").write_bytes(whole[:cut])
        with pytest.raises(BadFile):
            registry.read(tmp_path / "y.npz")
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.smpl_poses")
    with pytest.raises(BadFile, match="system"):
        registry.read(tmp_path / "evil.pkl")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps(["smpl_poses"]))
    with pytest.raises(BadFile, match="dict"):
        registry.read(tmp_path / "list.pkl")


def test_gender_as_an_object_is_read_without_running_it(tmp_path):
    np.savez(tmp_path / "a.npz", **amass(gender=np.array("female", object)))
    assert read(tmp_path / "a.npz").meta["gender"] == "female"


# ---- recordings


def test_real_dances(real_data, tmp_path):
    for path in sorted((real_data / "aistpp" / "motions").glob("*.pkl")):
        scene = registry.read(path)
        assert (scene.meta["format"], scene.meta["up"], scene.fps) == ("smpl_npz", "y", 60.0)
        assert write(scene, tmp_path / "a.pkl").read_bytes() == path.read_bytes()
        write(edited(scene, torch.arange(50, 53), ["left_wrist"]), tmp_path / "b.pkl")
        old, new = load_pickle(path), load_pickle(tmp_path / "b.pkl")
        assert (tmp_path / "b.pkl").stat().st_size == path.stat().st_size
        assert set(np.flatnonzero((new["smpl_poses"] != old["smpl_poses"]).any(1))) == {50, 51, 52}
        assert (
            np.array_equal(new["smpl_trans"], old["smpl_trans"])
            and new["smpl_loss"] == old["smpl_loss"]
        )


def test_real_robot_recordings(real_data, tmp_path):
    paths = sorted((real_data / "motionlib" / "asap_smpl_npz").glob("*.npz"))
    assert paths
    for path in paths:
        scene = registry.read(path)
        assert (scene.meta["format"], scene.meta["up"], scene.fps, scene.meta["gender"]) == (
            "smpl_npz",
            "z",
            30.0,
            "neutral",
        )
        assert write(scene, tmp_path / "a.npz").read_bytes() == path.read_bytes()
