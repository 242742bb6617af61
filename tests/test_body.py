"SMPL-family joints: against the smplx library, against a slow twin, against recordings; model files read safely."

import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.transform import Rotation

from motionbook.body.body25 import smpl_to_body25
from motionbook.body.model_files import shape_columns
from motionbook.body.smpl import (
    KINDS,
    BodyModel,
    approximate_body,
    body_joints,
    body_mesh,
    default_body,
    find_body,
    fit_smpl22,
    load_body,
    pose_rotations,
    rest_joints,
    rest_offsets,
    smpl22_rotations,
    smplx_layer,
)
from motionbook.core.archives import extract_archive
from motionbook.core.files import BadFile
from motionbook.core.kinematics import global_rotations
from motionbook.core.motion import fk
from motionbook.core.pickles import load_pickle
from motionbook.core.rotation import rotation_angle, rotvec_to_matrix
from motionbook.core.skeletons import BODY25, COCO17, SMPL22, SMPL24
from motionbook.synthetic.people import person

VERTICES = {
    "smpl": 6890,
    "smplh": 6890,
    "smplx": 10475,
}  # smplx looks up face and foot vertices by number
COLUMNS = {"smpl": 10, "smplh": 16, "smplx": 20}  # of shapedirs; of SMPL-X ten are expressions


def small_model(
    kind: str, seed: int = 0, columns: int | None = None, v: int | None = None
) -> dict[str, np.ndarray]:
    "The arrays of a model file with made-up numbers; most vertices are at the origin."
    rng, v, j = np.random.default_rng(seed), v or VERTICES[kind], len(KINDS[kind])
    used, columns = rng.choice(v, min(v, 400), replace=False), columns or COLUMNS[kind]

    def some(*shape, scale):
        x = np.zeros((v, *shape), np.float32)
        x[used] = rng.normal(0, scale, (len(used), *shape))
        return x

    weights, regressor = np.zeros((v, j), np.float32), np.zeros((j, v))
    weights[np.arange(v), rng.integers(0, j, v)] = 1
    for row in regressor:
        row[rng.choice(used, 8, replace=False)] = 1 / 8
    tree = np.array([KINDS[kind].parents, range(j)])
    arrays = dict(
        v_template=some(3, scale=0.4), shapedirs=some(3, columns, scale=0.03), posedirs=some(3, 9 * (j - 1), scale=0.01),
        J_regressor=regressor, kintree_table=np.where(tree < 0, 2**32 - 1, tree).astype(np.uint32), weights=weights,
        f=rng.integers(0, v, (30, 3)).astype(np.uint32),
    )  # fmt: skip
    if kind != "smpl":
        for side in "lr":
            arrays |= {
                f"hands_components{side}": np.eye(45),
                f"hands_mean{side}": rng.normal(size=45),
            }
    if kind == "smplx":
        arrays |= dict(
            lmk_faces_idx=np.zeros(51, np.int64), lmk_bary_coords=np.ones((51, 3)) / 3,
            dynamic_lmk_faces_idx=np.zeros((79, 17), np.int64), dynamic_lmk_bary_coords=np.ones((79, 17, 3)) / 3,
        )  # fmt: skip
    return arrays


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = {k: folder / k / f"{k.upper()}_NEUTRAL.npz" for k in KINDS}
    for k, path in paths.items():
        path.parent.mkdir()
        np.savez(path, **small_model(k))
    return paths


def recording(kind: str, frames: int = 12, seed: int = 1, columns: int | None = None):
    g = torch.Generator().manual_seed(seed)
    betas = COLUMNS[kind] // (2 if kind == "smplx" else 1) if columns is None else columns
    poses = 0.6 * torch.randn(frames, 3 * len(KINDS[kind]), generator=g)
    return poses, torch.randn(betas, generator=g), torch.randn(frames, 3, generator=g)


@pytest.mark.parametrize("kind", KINDS)
def test_joints_are_those_of_smplx(kind, models):
    poses, betas, trans = recording(kind)
    body = load_body(models[kind])
    assert body.kind == kind and not body.approximate and body.shape.shape[-1] == len(betas)
    layer = smplx_layer(body, len(poses))
    assert layer.num_betas == len(betas)
    assert not hasattr(layer, "use_pca") or not layer.use_pca
    vertices, faces = body_mesh(poses, betas, trans, body)
    joints = body_joints(poses, betas, trans, body)
    with torch.no_grad():
        from motionbook.body.smpl import _SPLIT

        parts = {k: poses[:, 3 * a : 3 * b] for k, (a, b) in _SPLIT[kind].items()}
        out = layer(betas=betas.expand(len(poses), -1), transl=trans, **parts)
    torch.testing.assert_close(joints, out.joints[:, : len(KINDS[kind])], atol=2e-6, rtol=0)
    assert torch.equal(vertices, out.vertices) and faces.shape == (30, 3)


def test_smplx_takes_all_betas_and_no_mean_hand(models):
    poses, betas, _ = recording("smplh")
    moved = body_joints(poses, betas, model=models["smplh"]) - body_joints(
        poses, betas[:10], model=models["smplh"]
    )
    assert moved.abs().max() > 1e-3
    still, _ = body_mesh(torch.zeros(1, 156), model=load_body(models["smplh"]))
    np.testing.assert_allclose(still[0], np.load(models["smplh"])["v_template"], atol=1e-5)


def test_expressions_are_not_betas(models):
    assert [shape_columns("smplx", n) for n in (400, 20, 10, 300)] == [300, 10, 10, 300]
    assert shape_columns("smplh", 20) == 20
    with pytest.raises(ValueError, match="at most 10 betas"):
        body_joints(torch.zeros(1, 165), torch.ones(11), model=load_body(models["smplx"]))


def slow_joints(poses, betas, trans, arrays, kind):
    "The same in plain loops and double precision, from the mesh itself."
    mesh = (
        arrays["v_template"].astype(float)
        + arrays["shapedirs"][..., : len(betas)].astype(float) @ betas
    )
    rest, parents = arrays["J_regressor"] @ mesh, KINDS[kind].parents
    out = np.zeros((len(poses), len(rest), 3))
    for t, pose in enumerate(poses.reshape(len(poses), -1, 3)):
        turn = {}
        for j, up in enumerate(parents):
            local = Rotation.from_rotvec(pose[j])
            turn[j] = local if up < 0 else turn[up] * local
            out[t, j] = (
                rest[j] + trans[t] if up < 0 else out[t, up] + turn[up].apply(rest[j] - rest[up])
            )
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_joints_are_those_of_the_slow_twin(kind, models):
    poses, betas, trans = (x.double() for x in recording(kind, seed=3))
    want = slow_joints(
        poses.numpy(), betas.numpy(), trans.numpy(), dict(np.load(models[kind])), kind
    )
    body = load_body(models[kind])
    np.testing.assert_allclose(body_joints(poses, betas, trans, body), want, atol=1e-12)
    np.testing.assert_allclose(body_joints(poses.float(), betas, trans, body), want, atol=5e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(list(KINDS)), st.integers(0, 2**16))
def test_turning_the_root_turns_the_body(kind, seed):
    g = torch.Generator().manual_seed(seed)
    poses = torch.randn(4, 3 * len(KINDS[kind]), generator=g, dtype=torch.float64)
    body, shift = approximate_body(kind), torch.randn(3, generator=g, dtype=torch.float64)
    turn = rotvec_to_matrix(torch.randn(3, generator=g, dtype=torch.float64))
    rotated = poses.clone()
    rotated[:, :3] = torch.from_numpy(
        (
            Rotation.from_matrix(turn.numpy()) * Rotation.from_rotvec(poses[:, :3].numpy())
        ).as_rotvec()
    )
    a, b = (
        body_joints(poses, None, None, body),
        body_joints(rotated, None, shift.expand(4, 3), body),
    )
    torch.testing.assert_close((a - a[:, :1]) @ turn.T, b - b[:, :1], atol=1e-9, rtol=0)
    torch.testing.assert_close(b[:, 0], a[:, 0] + shift, atol=1e-12, rtol=0)


def test_the_width_tells_the_kind():
    for n, kind in ((66, "smpl"), (72, "smpl"), (156, "smplh"), (165, "smplx")):
        assert body_joints(torch.zeros(2, n)).shape == (2, len(KINDS[kind]), 3)
    assert body_joints(torch.zeros(2, 66), kind="smplx").shape == (2, 55, 3)
    assert body_joints(np.zeros((2, 72))).dtype == torch.float64
    with pytest.raises(ValueError, match="66 or 156"):
        body_joints(torch.zeros(2, 72), kind="smplh")
    with pytest.raises(ValueError, match="got 69"):
        body_joints(torch.zeros(2, 69))
    with pytest.raises(ValueError, match="smplx"):
        rest_joints("smal")


def test_the_setting_leads_to_the_files(models, monkeypatch, tmp_path):
    monkeypatch.setenv("MOTIONBOOK_BODY_MODELS", str(models["smplh"].parents[1]))
    body = default_body("smplh", "female")
    assert body.source == str(models["smplh"]) and body.gender == "neutral"
    assert not torch.equal(
        body_joints(torch.zeros(1, 156)),
        body_joints(torch.zeros(1, 156), model=approximate_body("smplh")),
    )
    monkeypatch.setenv("MOTIONBOOK_BODY_MODELS", str(models["smplh"]))  # a file of one kind
    assert default_body("smplx").approximate and not default_body("smplh").approximate
    monkeypatch.setenv("MOTIONBOOK_BODY_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(BadFile, match="MOTIONBOOK_BODY_MODELS"):
        default_body("smpl")
    monkeypatch.delenv("MOTIONBOOK_BODY_MODELS")
    assert default_body("smpl").approximate


def test_gender_first_then_neutral(tmp_path):
    for name in (
        "smplh/male/model.npz",
        "smplh/neutral/model.npz",
        "smpl/basicmodel_f_lbs_10_207_0_v1.1.0.pkl",
        "readme.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert find_body(tmp_path, "smplh", "male").parent.name == "male"
    assert find_body(tmp_path, "smplh", "female").parent.name == "neutral"
    assert find_body(tmp_path, "smpl", "male").name.startswith("basicmodel_f")
    assert find_body(tmp_path, "smplx") is None


# ---- the original pickles


@pytest.fixture
def chumpy(monkeypatch):
    "A class with the name and the state of chumpy's, gone before anything is read."
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x):
            self.x, self._dirty_vars, self._itr = x, set(), None

        def __setstate__(self, state):
            raise AssertionError("chumpy's code ran")

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    for name in ("chumpy", "chumpy.ch"):
        monkeypatch.setitem(sys.modules, name, module)
    yield Ch


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_original_pickles_without_chumpy(chumpy, protocol, tmp_path):
    arrays = small_model("smpl", v=500)
    old = {
        k: chumpy(arrays[k].astype(float))
        for k in ("v_template", "shapedirs", "posedirs", "weights")
    }
    old |= {k: arrays[k] for k in ("kintree_table", "f")} | {
        "bs_style": "lbs",
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
    }
    (tmp_path / "basicModel_m_lbs_10_207_0_v1.0.0.pkl").write_bytes(pickle.dumps(old, protocol))
    np.savez(tmp_path / "SMPL_FEMALE.npz", **arrays)
    a, b = load_body(tmp_path, gender="male"), load_body(tmp_path, gender="female")
    assert (a.gender, b.gender, a.shape.shape[-1]) == ("male", "female", 10)
    torch.testing.assert_close(a.template, b.template, atol=1e-12, rtol=0)
    torch.testing.assert_close(a.shape, b.shape, atol=1e-12, rtol=0)


def test_a_mesh_from_an_original_pickle_runs_no_code(chumpy, tmp_path):
    arrays = small_model("smpl")
    old = {
        k: chumpy(v) if k in ("v_template", "shapedirs", "posedirs", "weights") else v
        for k, v in arrays.items()
    }
    old["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(old, 2))
    np.savez(tmp_path / "SMPL_MALE.npz", **arrays)
    poses, betas, trans = recording("smpl")
    a = body_mesh(poses, betas, trans, tmp_path / "SMPL_NEUTRAL.pkl")[0]
    torch.testing.assert_close(a, body_mesh(poses, betas, trans, tmp_path / "SMPL_MALE.npz")[0])


class Evil:
    def __init__(self, how):
        self.how = how

    def __reduce__(self):
        return self.how


def test_nothing_in_a_model_file_is_run(tmp_path):
    flag = tmp_path / "ran"
    for how in ((eval, (f"open({str(flag)!r}, 'w')",)), (subprocess.call, (["touch", str(flag)],))):
        (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps({"v_template": Evil(how)}))
        with pytest.raises(BadFile, match="plain arrays"):
            load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    assert not flag.exists()


def test_model_files_that_do_not_fit(tmp_path):
    good = small_model("smpl", v=60)

    def said(**change) -> str:
        np.savez(tmp_path / "m.npz", **{k: v for k, v in (good | change).items() if v is not None})
        with pytest.raises(BadFile) as err:
            load_body(tmp_path / "m.npz")
        assert "\n" not in str(err.value) and "m.npz" in str(err.value)
        return str(err.value)

    assert "24, 52 or 55" in said(J_regressor=good["J_regressor"][:16])
    assert "60 vertices" in said(v_template=good["v_template"][:50])
    assert "other parents" in said(kintree_table=good["kintree_table"][:, ::-1])
    assert "no shapedirs" in said(shapedirs=None)
    assert "finite" in said(v_template=np.full((60, 3), np.nan))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:500])
    for bad in ("cut.npz", "gone.npz"):
        with pytest.raises(BadFile):
            load_body(tmp_path / bad)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_model_pickles_are_refused_in_one_line(tmp_path_factory, data):
    from hostile import mutated

    path = tmp_path_factory.getbasetemp() / "fuzz.pkl"
    held = small_model("smpl", v=30)
    held["J_regressor"] = sparse.csc_matrix(held["J_regressor"])
    good = pickle.dumps(
        {k: held[k] for k in ("v_template", "shapedirs", "kintree_table", "J_regressor")}, 2
    )
    path.write_bytes(
        data.draw(
            mutated(good, (b"csc_matrix", b"indptr", b"cnumpy.core.multiarray\n_reconstruct\n"))
        )
    )
    try:
        assert isinstance(load_body(path), BodyModel)
    except ValueError as err:
        assert str(err) and "\n" not in str(err)


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "SMPL_NEUTRAL.npz"
    np.savez(path, **small_model("smpl", v=60))
    first = load_body(path)
    assert load_body(path) is first
    np.savez(path, **small_model("smpl", v=61, seed=9))
    assert not torch.equal(load_body(path).template, first.template)


def test_smplx_is_imported_for_meshes_only(tmp_path):
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **small_model("smpl", v=60))
    code = (
        "import sys, torch; from motionbook.body.smpl import *; from motionbook.body.body25 import smpl_to_body25;"
        f"smpl_to_body25(body_joints(torch.zeros(2, 72), torch.ones(10), model={str(tmp_path)!r})); print('smplx' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "False"
    )


# ---- without a file


def bone(joint: str) -> torch.Tensor:
    "Of the approximate body, from the parent."
    b = approximate_body("smplh")
    j = b.skeleton.index(joint)
    return b.template[j] - b.template[b.skeleton.parents[j]]


def test_limbs_and_fingers_are_as_published():
    published = {  # metres at 1.70 m: mean of women's and men's shares in de Leva (1996), table 4
        "left_knee": (368.5 / 1735 + 422.2 / 1741) / 2 * 1.7, "left_ankle": (432.3 / 1735 + 434.0 / 1741) / 2 * 1.7,
        "left_elbow": (275.1 / 1735 + 281.7 / 1741) / 2 * 1.7, "left_wrist": (264.3 / 1735 + 268.9 / 1741) / 2 * 1.7,
    }  # fmt: skip
    fingers = dict(  # millimetres: proximal and middle bone; of the thumb metacarpal and proximal; Buryanov and Kotiuk (2010), table I
        index=(39.78, 22.38), middle=(44.63, 26.33), ring=(41.37, 25.65), pinky=(32.57, 18.11), thumb=(46.22, 31.57)
    )  # fmt: skip
    for name, bones in fingers.items():
        published |= {f"left_{name}{k}": x / 1000 for k, x in zip((2, 3), bones)}
    for name, length in published.items():
        for side in ("left", "right"):
            got = bone(name.replace("left", side)).norm().item()
            assert abs(got - length) < 6e-4, (name, got, length)


def test_trunk_and_feet_are_as_in_cmu(real_data, tmp_path):
    found = [
        p
        for p in extract_archive(real_data / "asf_amc/cmu_subjects_01_02.tar.gz", tmp_path)
        if p.suffix == ".asf"
    ]
    assert len(found) == 2
    flip = torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    both = [asf_bones(p) for p in sorted(found)]
    middle = lambda n: sum(b[n].norm() for b in both) / 2
    side = lambda n: sum(b["l" + n] + b["r" + n] * flip for b in both) / 4
    spine = dict(
        spine1="lowerback", spine2="upperback", spine3="thorax", neck="lowerneck", head="upperneck"
    )
    for ours, theirs in spine.items():
        assert abs(bone(ours).norm() - middle(theirs)) < 6e-4, ours
    assert (bone("left_foot") - side("foot")).abs().max() < 6e-4
    assert (bone("left_hip") - side("hipjoint"))[:2].abs().max() < 6e-4  # z is 0 with us
    rise = torch.tensor([0, 0.03, 0], dtype=torch.float64)  # the arms are held out
    assert (
        bone("left_collar") + bone("left_shoulder") - rise - side("clavicle")
    ).abs().max() < 6e-4


def asf_bones(path) -> dict[str, torch.Tensor]:
    "The bones of a CMU skeleton in metres, by name."
    words, found, name, way = path.read_text().split(), {}, "", None
    for k, w in enumerate(words):
        if w == "name":
            name = words[k + 1]
        elif w == "direction":
            way = torch.tensor([float(x) for x in words[k + 1 : k + 4]], dtype=torch.float64)
        elif w == "length" and way is not None:
            found[name] = way * float(words[k + 1]) * 0.0254 / 0.45
    return found


def test_the_approximate_body_adds_up_to_its_height():
    p = approximate_body().template
    at = {n: p[i] for i, n in enumerate(SMPL24.joints)}
    ankle, crown = (
        0.039 * 1.7,
        0.13,
    )  # of the ankle above the floor (Drillis and Contini), of the crown above the head joint
    tall = (at["head"] - at["left_ankle"])[1] + ankle + crown
    assert abs(tall - 1.70) < 0.06, tall
    span = (at["left_wrist"] - at["right_wrist"])[0] + 2 * 0.108 * 1.7  # and two hands
    assert abs(span - 1.70) < 0.12, span
    for left, right in SMPL24.mirror_pairs:
        assert torch.equal(p[left] * torch.tensor([-1.0, 1, 1]), p[right])


def test_the_approximate_body_is_a_person():
    for kind in KINDS:
        body = approximate_body(kind)
        p, s = body.template, body.skeleton
        assert body.approximate
        left, right = (torch.tensor(x) for x in zip(*s.mirror_pairs))
        torch.testing.assert_close(p[left] * torch.tensor([-1.0, 1, 1], dtype=p.dtype), p[right])
        assert 1.40 < p[s.index("head"), 1] - p[s.index("left_foot"), 1] < 1.60
        assert (rest_offsets(p, s.parents)[1:].norm(dim=-1) > 0.015).all()
        assert (
            p[s.index("left_hip"), 0] > 0
            and p[s.index("left_foot"), 2] > p[s.index("left_ankle"), 2]
        )
        assert torch.equal(body.rest_joints(torch.ones(16)), p)
        assert torch.equal(p[:22], approximate_body("smpl").template[:22])


def test_body25_has_what_smpl_has():
    joints = body_joints(0.3 * torch.randn(5, 72, generator=torch.Generator().manual_seed(0)))
    points = smpl_to_body25(joints)
    known = points.isfinite().all(-1)
    assert known.sum(1).eq(14).all()
    for name in ("left_elbow", "right_ankle"):
        assert torch.equal(points[:, BODY25.index(name)], joints[:, SMPL24.index(name)])
    torch.testing.assert_close(points[:, BODY25.index("mid_hip")], joints[:, [1, 2]].mean(1))
    torch.testing.assert_close(points[:, BODY25.index("neck")], joints[:, [16, 17]].mean(1))
    flip = torch.tensor([-1.0, 1, 1])
    torch.testing.assert_close(
        smpl_to_body25(joints[:, SMPL24.mirror] * flip),
        points[:, BODY25.mirror] * flip,
        equal_nan=True,
    )
    with pytest.raises(ValueError, match="22, 24, 52, 55"):
        smpl_to_body25(torch.zeros(3, 17, 3))


# ---- positions only


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**16), st.floats(0.1, 0.8))
def test_known_rotations_come_back_up_to_twist(seed, size):
    g = torch.Generator().manual_seed(seed)
    true = rotvec_to_matrix(size * torch.randn(20, 22, 3, generator=g, dtype=torch.float64))
    rest = approximate_body().template[:22]
    x = fk(
        true,
        rest_offsets(rest, SMPL22.parents),
        torch.randn(20, 3, generator=g, dtype=torch.float64),
        SMPL22.parents,
    )[0]
    fit = fit_smpl22(x, rest)
    assert fit.residual.max() < 1e-5
    made = fk(fit.rotations, fit.offsets, fit.root, SMPL22.parents)[0]
    torch.testing.assert_close(made, x, atol=1e-5, rtol=0)
    apart = rotation_angle(
        global_rotations(true, SMPL22.parents), global_rotations(fit.rotations, SMPL22.parents)
    )
    assert apart[:, [0, 9]].max() < 1e-3  # the fans of pelvis and upper trunk
    own = fit_smpl22(x)  # without the rest pose: other fans, the same places
    assert own.residual.max() < 1e-4
    kept = fit_smpl22(x, rest, true)
    torch.testing.assert_close(kept.rotations, true, atol=1e-6, rtol=0)


def test_positions_of_the_synthetic_people():
    for action in ("run", "jump", "sit", "turn", "dance"):
        x = person(action, seconds=1.0, seed=2).positions[:, :22]
        rotations, root = smpl22_rotations(x)
        offsets = fit_smpl22(x).offsets
        torch.testing.assert_close(
            fk(rotations, offsets, root, SMPL22.parents)[0], x, atol=1e-4, rtol=0
        )
        assert torch.equal(root, x[:, 0])
        torch.testing.assert_close(
            rotations @ rotations.mT, torch.eye(3).expand_as(rotations), atol=1e-5, rtol=0
        )


def test_positions_with_holes():
    x = person("walk", seconds=1.0).positions[:, :22].clone()
    whole = fit_smpl22(x)
    holed = x.clone()
    holed[5:9, 18], holed[20, 0], holed[:, 15] = (
        torch.nan,
        torch.nan,
        torch.nan,
    )  # an elbow, a pelvis, the head always
    fit = fit_smpl22(holed)
    made = fk(fit.rotations, fit.offsets, fit.root, SMPL22.parents)[0]
    given = holed.isfinite().all(-1)
    assert made.isfinite().all() and (made - x).norm(dim=-1)[given].max() < 1e-3
    torch.testing.assert_close(
        fit.rotations[30:, :12], whole.rotations[30:, :12], atol=1e-3, rtol=0
    )
    holed[3] = torch.nan
    with pytest.raises(ValueError, match="none in 1 of 60"):
        fit_smpl22(holed)
    with pytest.raises(ValueError, match="infinite"):
        fit_smpl22(
            x.masked_fill(
                torch.zeros_like(x, dtype=torch.bool).index_fill_(0, torch.tensor([2]), True),
                torch.inf,
            )
        )


# ---- recordings


def test_joints_of_another_encoder(real_data):
    "Joints that another program computed from a model that is not here: their own offsets give all frames back."
    with np.load(real_data / "golden" / "rifke232_reference.npz") as z:
        for name in sorted({k.split("/")[0] for k in z.files}):
            poses, joints = (
                torch.from_numpy(z[f"{name}/poses"]),
                torch.from_numpy(z[f"{name}/joints"]),
            )
            world = global_rotations(pose_rotations(poses), SMPL24.parents)
            up = torch.tensor(SMPL24.parents)
            apart = (world[0, up].mT @ (joints[0] - joints[0, up])[..., None])[..., 0]
            rest = torch.zeros(24, 3, dtype=torch.float64)
            for j in range(1, 24):
                rest[j] = rest[up[j]] + apart[j]
            body = BodyModel("smpl", rest, torch.zeros(24, 3, 0, dtype=torch.float64))
            torch.testing.assert_close(
                body_joints(poses, None, joints[:, 0], body), joints, atol=2e-6, rtol=0
            )


LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def test_the_approximate_body_dances_where_the_cameras_saw_it(real_data, capsys):
    "Twelve joints against points triangulated from nine cameras; the approximate body alone costs a few centimetres."
    names = [n for n in COCO17.joints if n.split("_")[-1] in LIMBS]
    gaps = []
    for path in sorted((real_data / "aistpp" / "motions").glob("*.pkl")):
        m, k = load_pickle(path), load_pickle(real_data / "aistpp" / "keypoints3d" / path.name)
        scale = float(m["smpl_scaling"][0])
        joints = body_joints(m["smpl_poses"], None, m["smpl_trans"] / scale, approximate_body())
        seen = torch.from_numpy(k["keypoints3d"]).float()[:, COCO17.indices(names)] / scale
        gaps.append((joints[:, SMPL24.indices(names)] - seen).norm(dim=-1).flatten())
    gap = torch.cat(gaps)
    with capsys.disabled():
        print(
            f" [approximate body on AIST++: {1000 * gap.nanmean():.1f} mm from the triangulated joints]",
            end="",
        )
    assert gap.nanmean() < 0.060


def hinged(frames: int) -> torch.Tensor:
    "A first guess in which knees and elbows are bent by 60 degrees about SMPL's hinges."
    guess = torch.zeros(frames, 22, 3, dtype=torch.float64)
    for joint, axis in dict(
        left_knee=(1, 0, 0), right_knee=(1, 0, 0), left_elbow=(0, -1, 0), right_elbow=(0, 1, 0)
    ).items():
        guess[:, SMPL22.index(joint)] = torch.pi / 3 * torch.tensor(axis, dtype=torch.float64)
    return rotvec_to_matrix(guess)


def test_twist_of_real_dances(real_data, capsys):
    "How far rotations from positions are from those of the fit; bending limbs about hinges does not help."
    plain, bent = [], []
    for path in sorted((real_data / "aistpp" / "motions").glob("*.pkl"))[:2]:
        true = pose_rotations(load_pickle(path)["smpl_poses"]).double()[::3, :22]
        rest = approximate_body().template[:22]
        x = fk(
            true,
            rest_offsets(rest, SMPL22.parents),
            torch.zeros(len(true), 3, dtype=torch.float64),
            SMPL22.parents,
        )[0]
        for off, guess in ((plain, None), (bent, hinged(len(x)))):
            fit = fit_smpl22(x, rest, guess)
            assert fit.residual.max() < 1e-5
            off.append(
                rotation_angle(
                    global_rotations(true, SMPL22.parents),
                    global_rotations(fit.rotations, SMPL22.parents),
                )
            )
    mean, other = (torch.rad2deg(torch.cat(off)).mean(0) for off in (plain, bent))
    with capsys.disabled():
        names = ("left_hip", "left_knee", "left_collar", "left_shoulder", "left_elbow")
        said = ", ".join(
            f"{j} {mean[i]:.0f} ({other[i]:.0f} as hinges)"
            for j in names
            for i in [SMPL22.index(j)]
        )
        print(f" [twist that positions do not tell, degrees: {said}]", end="")
    assert mean[[0, 9]].max() < 0.01 and mean[[1, 2, 4, 5]].max() < 15
    assert (mean[[1, 2, 16, 17]] < other[[1, 2, 16, 17]]).all()


def test_rotations_of_a_humanml3d_clip(real_data):
    x = torch.from_numpy(np.load(real_data / "humanml3d" / "new_joints_012314.npy"))
    fit = fit_smpl22(x)
    assert fit.residual.max() < 1e-4
    assert fit.skeleton.joints == SMPL22.joints
