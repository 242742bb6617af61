"Robot motion: files of every dialect, orders settled by the tree, hostile ones refused, real ones repaired."

import io
import pickle
import re
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from motionbook.cleanup.clean import clean
from motionbook.cleanup.pipeline import clean_file
from motionbook.cli import main
from motionbook.core.files import BadFile
from motionbook.core.motion import Scene
from motionbook.core.robot import broken_limits, clip_to_motion, joint_orders, level_order, robot_fk
from motionbook.core.robot_files import read_robot
from motionbook.core.robots import G1_23DOF, G1_29DOF
from motionbook.data.motion_library import load_motion_library
from motionbook.features.dof.dof_vectors import decode_dof, encode_dof, start_of
from motionbook.formats.kit.raw_arrays import exchange_arrays_in
from motionbook.formats.motionlib.settle import settle
from motionbook.formats.motionlib.stored import Stored, Style, clip_to_numbers
from motionbook.formats.motionlib.trajectories import body_arrays
from motionbook.formats.registry import find_format, read, write
from motionbook.synthetic.people import person
from motionbook.synthetic.robots import robot_walk

pytestmark = pytest.mark.usefixtures("one_thread")
WALK = robot_walk(G1_23DOF, seconds=3, seed=5)
LEVELS = tuple(joint_orders(G1_23DOF)["breadth-first"])


@pytest.fixture
def pickles(real_data):
    folder = real_data / "motionlib" / "asap_g1_pkl"
    if not folder.exists():
        pytest.skip("no G1 motions here")
    return sorted(folder.glob("*.pkl"))


def motion_scene(clip=WALK, robot=G1_23DOF) -> Scene:
    return Scene((clip_to_motion(robot, clip),), meta={"format": "motionlib"})


def saved(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def entry(**more) -> dict:
    made = {k: getattr(WALK, k).numpy() for k in ("root_pos", "root_rot")}
    return made | {"fps": 30, "dof_pos": WALK.dof.numpy()} | more


# the robot


def test_the_known_robot_is_the_described_one(real_data):
    folder = real_data / "motionlib" / "robot"
    pose = (WALK.root_pos, WALK.root_rot, WALK.dof)
    mine = robot_fk(G1_23DOF, *pose)
    for name in ("g1_29dof_anneal_23dof.urdf", "g1_29dof_anneal_23dof_fitmotionONLY.xml"):
        robot = read_robot(folder / name)
        assert robot.joints == G1_23DOF.joints and torch.equal(robot.limits, G1_23DOF.limits)
        placed = robot_fk(robot, *pose).positions
        found = placed[:, [robot.bodies.index(b) for b in G1_23DOF.bodies]]
        assert (found - mine.positions).abs().max() < 1e-5


@pytest.mark.parametrize(
    "text, why",
    (
        ("<robot name='x'><link name='a'/></robot>", "joints that move"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><robot/>", "without DOCTYPE"),
        ("<robot><link name='a'/><link name='b'/></robot>", "one root body"),
        ("<mujoco><worldbody/></mujoco>", "bodies in <worldbody>"),
        ("<mujoco><worldbody><body name='a'><body name='b'><joint type='ball'/></body></body></worldbody></mujoco>", "got a ball joint"),
        ("<mujoco><worldbody><body name='a'><body name='b' pos='0 0'><joint/></body></body></worldbody></mujoco>", "3 numbers in pos"),
        ("not xml", "no XML"),
    ),
)  # fmt: skip
def test_a_wrong_description_is_one_error(tmp_path, text, why):
    path = tmp_path / "robot.xml"
    path.write_text(text)
    with pytest.raises(BadFile, match=why) as err:
        read_robot(path)
    assert "\n" not in str(err.value)


# files


def test_every_dialect_says_the_same(tmp_path):
    for end in (".pkl", ".npz", ".npy", ".csv"):
        path = write(motion_scene(), tmp_path / f"walk{end}")
        assert find_format(path).name == "motionlib"
        back = read(path)
        assert (back.meta["clips"][0].dof - WALK.dof).abs().max() < 1e-5, end
        assert (back.actors[0].positions - motion_scene().actors[0].positions).abs().max() < 1e-4
        other = write(back, tmp_path / f"from{end}.pkl")
        assert (read(other).meta["clips"][0].dof - WALK.dof).abs().max() < 1e-5


@pytest.mark.parametrize("robot", (G1_23DOF, G1_29DOF))
def test_orders_are_settled_by_places(tmp_path, robot):
    clip = robot_walk(robot, seconds=1)
    levels = tuple(joint_orders(robot)["breadth-first"])
    arrays = body_arrays(clip, robot, levels, level_order(robot.parents))
    scene = read(saved(tmp_path / "isaac.npz", fps=np.array([30]), **arrays))
    assert (scene.meta["clips"][0].dof - clip.dof).abs().max() < 1e-6
    assert any("level by level" in n for n in scene.meta["notes"])


@pytest.mark.parametrize("robot", (G1_23DOF, G1_29DOF))
@pytest.mark.parametrize("seed, speed", ((0, 0.3), (3, 0.7), (6, 1.0), (7, 0.7), (11, 1.5)))
def test_a_walk_stands_in_every_file(tmp_path, robot, seed, speed):
    clip = robot_walk(robot, seed=seed, speed=speed)
    torso = robot.bodies.index("torso_link")
    feet = [i for i, b in enumerate(robot.bodies) if "ankle" in b]
    for end in (None, ".pkl", ".npz", ".csv"):
        back = clip
        if end:
            path = write(motion_scene(clip, robot), tmp_path / f"walk{end}")
            back = read(path).meta["clips"][0]
            assert (back.root_rot * clip.root_rot).sum(-1).abs().min() > 0.999, end
        heights = robot_fk(robot, back.root_pos, back.root_rot, back.dof).positions[..., 2]
        assert (heights[:, torso] - heights[:, feet].amax(1)).min() > 0.4, end


def test_commands_take_the_robot_from_its_file(tmp_path, capsys, real_data):
    robot = real_data / "motionlib" / "robot" / "g1_29dof_anneal_23dof.urdf"
    if not robot.exists():
        pytest.skip("no robot here")
    text = robot.read_text()
    one = re.search(r'<joint name="waist_yaw_joint" type="revolute">', text)[0]
    other = tmp_path / "other.urdf"
    other.write_text(text.replace(one, one.replace("revolute", "fixed")))
    body = read_robot(other)
    assert len(body) == 22
    walk = write(motion_scene(robot_walk(body, seconds=2), body), tmp_path / "walk.pkl")
    assert main(["info", str(walk)]) == 2
    assert "--robot FILE" in capsys.readouterr().err
    told = ["--robot", str(other)]
    assert main(["info", str(walk), *told]) == 0
    assert main(["clean", str(walk), "-o", str(tmp_path / "mended.pkl"), *told]) == 0
    assert (tmp_path / "mended.pkl").exists()
    assert main(["view", str(walk), "-o", str(tmp_path / "walk.html"), *told]) == 0
    assert main(["compare", str(walk), "--methods", "hold", *told]) == 0
    assert main(["features", "dof", str(walk), "--out", str(tmp_path / "dof"), *told]) == 0
    assert main(["features", "dof", str(walk), "--out", str(tmp_path / "no")]) == 2
    assert "--robot FILE" in capsys.readouterr().err
    assert main(["info", str(walk), "--robot", "g1_24"]) == 2
    assert "did you mean" in capsys.readouterr().err
    write(Scene((person(seconds=1),)), tmp_path / "person.bvh")
    assert main(["info", str(tmp_path / "person.bvh"), *told]) == 2
    assert "robot, which bvh files do not need" in capsys.readouterr().err


def test_a_body_that_comes_apart_is_refused(tmp_path):
    arrays = body_arrays(WALK, G1_23DOF, None, range(24))
    arrays["body_pos_w"] = 1.2 * arrays["body_pos_w"]
    path = saved(tmp_path / "long.npz", fps=np.array([30]), **arrays)
    with pytest.raises(BadFile, match="in every order of quaternions"):
        read(path)


def test_compressed_pickles_keep_their_numbers(tmp_path):
    path = tmp_path / "library.pkl"
    joblib.dump({"a": entry(), "b": entry()}, path, compress=3)
    scene = read(path)
    assert [len(c) for c in scene.meta["clips"]] == [90, 90]
    assert write(scene, tmp_path / "same.pkl").read_bytes() == path.read_bytes()
    dof = torch.cat([WALK.dof, WALK.dof])
    dof[100, 3] += 0.2
    whole = scene.meta["original"].whole.replace(dof=dof)
    new = scene.replace(actors=(clip_to_motion(G1_23DOF, whole),))
    found = read(write(new, tmp_path / "new.pkl"), motion="b").meta["clips"][0]
    assert (found.dof - WALK.dof).nonzero().tolist() == [[10, 3]]


def test_identical_arrays_are_told_apart():
    a = np.arange(5.0)
    data = pickle.dumps([a, a.copy()], 4)
    new = exchange_arrays_in(data, [(a, a), (a, a + 1)])
    assert [x.tolist() for x in pickle.loads(new)] == [a.tolist(), (a + 1).tolist()]


class Runs:
    def __reduce__(self):
        return (print, ("a pickle ran",))


@pytest.mark.parametrize(
    "content, why",
    (
        (entry(root_rot=1.2 * WALK.root_rot.numpy()), "unit quaternions"),
        (entry(dof_pos=WALK.dof.numpy()[:, :9]), "give robot=FILE.urdf"),
        (entry(dof_pos=WALK.dof.numpy()[:50]), "as many frames in each table"),
        (entry(fps=0), "a frame rate above 0"),
        ({"a": entry(), "b": entry(dof_pos=WALK.dof.numpy()[:, :20])}, "23 joints in 'a' and 20 in 'b'"),
        ({"a": entry(), "b": entry(fps=60)}, "one frame rate, got 30 and 60"),
        ({"a": {"root_pos": 1, "root_rot": Runs()}}, "nothing in it was run"),
        ({"loop_mode": 0, "fps": 30, "frames": [[0.0] * 29, [0.0] * 28]}, "frames \\[t, 6 \\+ n\\] of place"),
    ),
)  # fmt: skip
def test_a_wrong_pickle_is_one_error(tmp_path, capsys, content, why):
    path = tmp_path / "wrong.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(BadFile, match=why) as err:
        read(path)
    assert "\n" not in str(err.value) and "ran" not in capsys.readouterr().out


def test_mimickits_table_is_read_and_mended(tmp_path):
    "Place, rotation vector and joints in one list of lists."
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_quat(WALK.root_rot.numpy()).as_rotvec()
    rows = np.concatenate([WALK.root_pos.numpy(), turn, WALK.dof.numpy()], 1)
    path = tmp_path / "walk.pkl"
    path.write_bytes(pickle.dumps({"loop_mode": 0, "fps": 30, "frames": rows.tolist()}))
    scene = read(path)
    (clip,) = scene.meta["clips"]
    assert (clip.dof - WALK.dof).abs().max() < 1e-6 and clip.fps == 30
    assert (clip.root_rot * WALK.root_rot).sum(-1).abs().min() > 0.999999
    assert write(scene, tmp_path / "same.pkl").read_bytes() == path.read_bytes()
    dof = clip.dof.clone()
    dof[20, 3] += 0.2
    new = scene.replace(actors=(clip_to_motion(G1_23DOF, clip.replace(dof=dof)),))
    found = pickle.loads(write(new, tmp_path / "new.pkl").read_bytes())
    assert np.argwhere(np.array(found["frames"]) != rows).tolist() == [[20, 9]]
    assert main(["export", str(path), "-o", str(tmp_path / "walk.npz")]) == 0
    assert (read(tmp_path / "walk.npz").meta["clips"][0].dof - WALK.dof).abs().max() < 1e-5


def test_one_motion_of_a_library_becomes_a_file(tmp_path, capsys):
    path = tmp_path / "library.pkl"
    joblib.dump({"a": entry(), "b": entry(dof_pos=0.5 * WALK.dof.numpy())}, path)
    assert main(["export", str(path), "-o", str(tmp_path / "b.csv")]) == 2
    assert "--motion NAME" in capsys.readouterr().err
    for end in (".csv", ".npz", ".pkl"):
        out = tmp_path / f"b{end}"
        assert main(["export", str(path), "-o", str(out), "--motion", "b"]) == 0
        (clip,) = read(out).meta["clips"]
        assert (clip.dof - 0.5 * WALK.dof).abs().max() < 1e-5
    assert main(["export", str(path), "-o", str(tmp_path / "c.csv"), "--motion", "c"]) == 2
    assert not (tmp_path / "c.csv").exists()


def test_a_library_takes_motions_of_several_rates(tmp_path):
    path = tmp_path / "two.pkl"
    path.write_bytes(pickle.dumps({"a": entry(), "b": entry(fps=60)}))
    assert load_motion_library(path).fps.tolist() == [30, 60]


# real ones


def test_real_pickles_come_back_to_the_bit(pickles, tmp_path):
    for path in pickles[::6]:
        scene = read(path)
        assert write(scene, tmp_path / path.name).read_bytes() == path.read_bytes()
        assert not broken_limits(G1_23DOF, scene.meta["clips"][0]).limit.any()


def written_by_hand(kind: str, clip, path: Path, turned: bool, order) -> Path:
    "A file of a kind whose quaternions, or joints, stand in another order than the kind has."
    first = ["rows", "timed", "qpos", "bodies", "isaac"]  # of these w comes first
    q = clip.root_rot.numpy()
    q = q[:, [3, 0, 1, 2]] if (kind in first) != turned else q
    dof = clip.dof.numpy() if order is None else clip.dof.numpy()[:, order]
    place, rows = clip.root_pos.numpy(), np.concatenate([clip.root_pos, q, dof], 1)
    zero = np.zeros((len(q), 1))
    if kind == "csv":
        np.savetxt(path.with_suffix(".csv"), rows, "%.7f", ",")
        return path.with_suffix(".csv")
    if kind in ("rows", "timed"):
        time = np.arange(len(q))[:, None] / 30
        x = rows if kind == "rows" else np.concatenate([time, rows, zero], 1)
        np.save(path.with_suffix(".npy"), x)
        return path.with_suffix(".npy")
    if kind == "qpos":
        return saved(path.with_suffix(".npz"), qpos=rows, fps=np.array([30]))
    if kind == "bodies":
        arrays = body_arrays(clip, G1_23DOF, order, range(len(G1_23DOF.bodies)))
        arrays["body_quat_w"][:, 0] = q
        return saved(path.with_suffix(".npz"), fps=np.array([30]), **arrays)
    keys = {
        "gmr": dict(fps=30, root_pos=place, root_rot=q, dof_pos=dof),
        "phc": {"take": dict(fps=30, root_trans_offset=place, root_rot=q, dof=dof)},
        "isaac": dict(fps=30, base_pos_w=place, base_quat_w=q, joint_pos=dof),
    }
    joblib.dump(keys[kind], path.with_suffix(".pkl"))
    return path.with_suffix(".pkl")


KINDS = ("gmr", "phc", "isaac", "csv", "rows", "timed", "qpos", "bodies")


@pytest.mark.parametrize("kind", KINDS)
def test_no_wrong_order_is_taken_in_silence(pickles, tmp_path, kind):
    "Real motions in each kind of file: read as they are, and said where they stand otherwise."
    for clip in load_motion_library(pickles[3::13]):
        clip = clip.replace(**{k: getattr(clip, k)[:90] for k in ("root_pos", "root_rot", "dof")})
        for turned in (False, True):
            for order in (None, list(LEVELS)):
                path = written_by_hand(kind, clip, tmp_path / "motion", turned, order)
                scene = read(path)
                got = scene.meta["clips"][0]
                said = [n for n in scene.meta["notes"] if "root quaternions" in n or "stand" in n]
                assert (got.root_rot * clip.root_rot).sum(-1).abs().min() > 0.999, (turned, order)
                assert (got.dof - clip.dof).abs().max() < 1e-5, (turned, order)
                assert len(said) == turned + (order is not None), scene.meta["notes"]


def test_what_nothing_tells_is_said():
    "Upright and facing x, without a step: both orders stand."
    still = WALK.replace(
        root_pos=torch.tensor([0, 0, 0.76]).expand(90, 3),
        root_rot=torch.tensor([0.0, 0, 0, 1]).expand(90, 4),
        dof=torch.zeros(90, 23),
    )
    for told in ("xyzw", "wxyz"):
        got, _, notes = settle(Stored(clip_to_numbers(still, Style()), 30), Style(told), G1_23DOF)
        assert got.quaternion == told and "nothing in the motion tells" in notes[0]
    sure = settle(Stored(clip_to_numbers(WALK, Style()), 30), Style(), G1_23DOF)
    assert sure[2] == ()


def test_characters_in_another_order_are_refused(real_data, tmp_path):
    "DeepMimic's and poselib's quaternions, every joint's."
    import json

    folder = real_data / "motionlib" / "deepmimic"
    if not folder.exists():
        pytest.skip("no characters here")
    for name in ("humanoid3d_walk.txt", "humanoid3d_crawl.txt"):
        clip = json.loads((folder / name).read_text())
        at, rows = [4], clip["Frames"]  # where quaternions begin: root, chest, neck, then the rest
        for width in (4, 4, 4, 4, 1, 4, 4, 1, 4, 1, 4, 4, 1):
            at.append(at[-1] + width)
        for row in rows:
            for a, b in zip(at, at[1:]):
                if b - a == 4:
                    row[a:b] = [*row[a + 1 : b], row[a]]
        (tmp_path / name).write_text(json.dumps(clip))
        with pytest.raises(BadFile, match="xyzw where wxyz is expected"):
            read(tmp_path / name)


def test_real_clips_go_to_features_and_back(pickles):
    for c in load_motion_library(pickles[::5]):
        x = encode_dof(c.root_pos, c.root_rot, c.dof, c.fps, tilt=True)
        back = decode_dof(x, c.fps, start_of(c.root_pos, c.root_rot), tilt=True)
        assert (back.root_pos - c.root_pos).abs().max() < 1e-5
        assert ((back.root_rot * c.root_rot).sum(-1).abs() - 1).abs().max() < 1e-5
        assert torch.equal(back.dof, c.dof)


def test_a_broken_real_file_is_mended_in_place(pickles, tmp_path):
    scene = read(pickles[10])
    file = scene.meta["original"]
    dof = file.whole.dof.clone()
    dof[40, 3] += 0.5
    dof[60:66] = dof[59]
    broken = write(
        scene.replace(actors=(clip_to_motion(G1_23DOF, file.whole.replace(dof=dof)),)),
        tmp_path / "broken.pkl",
    )
    done = clean_file(broken, tmp_path / "mended.pkl")
    new, old = (read(p).meta["clips"][0] for p in (tmp_path / "mended.pkl", broken))
    truth = file.whole
    assert (new.dof - truth.dof)[40, 3].abs() < 0.05
    assert (new.dof - truth.dof)[60:66].abs().mean() < 0.5 * (old.dof - truth.dof)[
        60:66
    ].abs().mean()
    kept = ~done.flagged[0].any(1)
    assert torch.equal(new.dof[kept], old.dof[kept]) and kept.float().mean() > 0.7
    assert torch.equal(new.root_rot[kept], old.root_rot[kept])


def test_a_mended_robot_stays_within_its_limits():
    dof = WALK.dof.clone()
    dof[30, 3], dof[50:52, 8] = 4.0, -4.0
    done = clean(motion_scene(WALK.replace(dof=dof)))
    assert done.method == "robot"
    from motionbook.core.robot import motion_to_clip

    clip = motion_to_clip(G1_23DOF, done.scene.actors[0])
    found = broken_limits(G1_23DOF, clip)
    assert not found.limit.any() and not found.speed.any()
    assert (clip.dof - WALK.dof).abs().max() < 0.1


def test_the_report_names_broken_limits():
    dof = WALK.dof.clone()
    dof[:, 3] = 3.2
    notes = clean(motion_scene(WALK.replace(dof=dof))).notes
    assert any("left_knee_joint: outside its range in 90 frames" in n for n in notes)


def test_a_take_is_cut_where_its_flag_falls(tmp_path):
    path = write(motion_scene(), tmp_path / "take.npy")
    rows = np.load(path)
    rows[20:30, -1] = 1
    np.save(path, rows)
    scene = read(path)
    assert scene.meta["starts"] == (0, 30) and len(scene) == 90
    rows[50, 0] = rows[49, 0]
    array = io.BytesIO()
    np.save(array, rows)
    path.write_bytes(array.getvalue())
    with pytest.raises(BadFile, match="a time that increases"):
        read(path)
