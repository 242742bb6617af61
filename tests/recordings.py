"""Small valid files of every registered format: our own writer's, and those that other programs write.

A format that is registered and can write is covered by every test that walks `examples`; one that needs
files of strangers names them in `DIALECTS`.
"""

import io
import json
import pickle
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from motionbook.core.motion import Motion, Scene
from motionbook.core.skeletons import MARKER20, MEDIAPIPE33
from motionbook.formats.registry import formats, write
from motionbook.schema.projection import figure_to_scene, stick_figure
from motionbook.schema.sample import make_sample, save_canonical
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person, person_markers, two_people

Files = dict[str, bytes]  # name -> content; the first is the one to read


@cache
def scenes() -> dict[str, Scene]:
    "One recording of each kind; most formats can hold some of them."
    walk, rng = person("walk", seconds=0.3, seed=1), np.random.default_rng(3)
    body = 0.5 + rng.normal(0, 0.1, (6, 33, 3)) + np.sin(np.arange(6))[:, None, None] * 0.01
    gaps = mouse(0.4, animals=2, seed=1).map(
        lambda m: m.replace(positions=m.positions.index_fill(0, torch.tensor([2]), torch.nan))
    )
    return {
        "person": Scene((walk,)),
        "two people": two_people(seconds=0.3),
        "figures": figure_to_scene(stick_figure(two_people(seconds=0.3)).motion, 60),
        "markers": Scene((person_markers(walk),)),
        "two mice": mouse(0.4, animals=2, seed=1),
        "mice with gaps": gaps,
        "landmarks": Scene((Motion(torch.tensor(body, dtype=torch.float32), MEDIAPIPE33, 30),)),
    }


def packed(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def canonical() -> dict[str, Files]:
    samples = [make_sample(scenes()[k], "synthetic") for k in ("person", "two people")]
    with tempfile.TemporaryDirectory() as folder:
        return {"samples": {"x.pt": save_canonical(Path(folder, "x.pt"), samples).read_bytes()}}


def bvh() -> dict[str, Files]:
    from test_bvh import DIALECTS, recording, with_value

    files = {n: recording(frames=6, **options) for n, options in DIALECTS.items()}
    files["missing"] = files["Xsens"]
    for frame, column in ((1, 14), (2, 101), (4, 0), (4, 40)):
        files["missing"] = with_value(files["missing"], frame, column, "nan")
    files["line ends"] = files["Mixamo"].replace("\n", "\r\n", 50)
    return {n: {"x.bvh": text.encode()} for n, text in files.items()}


def acclaim() -> dict[str, Files]:
    from test_asf_amc import amc_text, asf_text

    kinds = {
        "CMU": ({}, {}),
        "plain": (dict(newline="\n"), dict(newline="\n", number="%.4f")),
        "radians": (dict(radians=True), dict(radians=True)),
        "other order": (dict(order="RZ RX RY TZ TX TY"), dict(order="RZ RX RY TZ TX TY")),
    }
    text = lambda a, b: {"x.amc": amc_text(frames=5, **b).encode(), "x.asf": asf_text(**a).encode()}
    return {n: text(a, b) for n, (a, b) in kinds.items()}


def trc() -> dict[str, Files]:
    from test_trc import ENCODINGS, PROGRAMS, walk

    points = walk(6)
    points[2:4, 3] = np.nan
    text = lambda n, f: {"x.trc": f(points).encode(ENCODINGS.get(n, "utf-8"))}
    return {n: text(n, f) for n, f in PROGRAMS.items()}


def c3d() -> dict[str, Files]:
    from test_c3d import POINTS, by_hand

    labels = ("LFHD", "RFHD", "C7", "LANK", "RANK", "*9")
    missing = np.random.default_rng(1).random((4, 6)) < 0.2
    few = dict(points=POINTS[:4, :6], missing=missing, labels=labels)
    return {
        f"{p} {floats}": {"x.c3d": by_hand(processor=p, floats=floats, longer=p == 84, **few)}
        for p in (84, 85, 86)
        for floats in (True, False)
    }


def lightning_pose() -> dict[str, Files]:
    coords = ("x", "y", "likelihood", "x_ens_var", "y_ens_var", "zscore")
    head = [["scorer"], ["bodyparts"], ["coords"]]
    for part in ("nose", "tail"):
        for c in coords:
            for row, word in zip(head, ("ensemble-kalman_tracker", part, c)):
                row.append(word)
    rows = np.random.default_rng(0).uniform(0, 1, (8, 12)).round(4).tolist()
    lines = [*map(",".join, head), *(",".join(map(str, [t, *r])) for t, r in enumerate(rows))]
    return {"smoother": {"x.csv": ("\n".join(lines) + "\n").encode()}}


def dlc() -> dict[str, Files]:
    "pandas' table layout, made with h5py."
    import h5py

    columns = [("net", p, c) for p in ("nose", "tail") for c in ("x", "y", "likelihood")]
    levels = {1: {"names": ["scorer", "bodyparts", "coords"], "type": "MultiIndex"}}
    text = lambda x: np.bytes_(pickle.dumps(x, 0))
    file = io.BytesIO()
    with h5py.File(file, "w") as f:
        g = f.create_group("df_with_missing")
        g.attrs.update(
            pandas_type=np.bytes_("frame_table"),
            non_index_axes=text([(1, columns)]),
            info=text(levels),
        )
        rows = np.zeros(9, [("index", "<i8"), ("values_block_0", "<f8", (6,))])
        rows["index"] = np.arange(9)
        rows["values_block_0"] = np.random.default_rng(0).uniform(1, 300, (9, 6))
        d = g.create_dataset("table", data=rows, chunks=(4,))
        d.attrs["values_block_0_kind"] = text(columns)
    return {"table layout": {"x.h5": file.getvalue()}}


def mediapipe() -> dict[str, Files]:
    import json

    x = np.random.default_rng(0).uniform(0, 1, (5, 33, 4)).round(3)
    names, c = MEDIAPIPE33.joints, ("x", "y", "z", "visibility")
    row = lambda *cells: ",".join(map(str, cells)) + "\n"
    wide = row("frame", *(f"{n}_{k}" for n in names for k in c))
    wide += "".join(row(t, *x[t].ravel()) for t in (0, 1, 3, 4))
    long = row("frame", "landmark", *c)
    long += "".join(row(t, n, *x[t, i]) for t in (0, 1, 3, 4) for i, n in enumerate(names))
    marks = [[dict(zip(c, p)) for p in f] for f in x.tolist()]
    frames = [{"pose_landmarks": [f] if t != 2 else []} for t, f in enumerate(marks)]
    tree = json.dumps({"fps": 25, "frames": frames})
    return {
        "wide": {"x.csv": wide.encode()},
        "long": {"x.csv": long.encode()},
        "tasks": {"x.json": tree.encode()},
    }


def npz() -> dict[str, Files]:
    x, joints = np.random.default_rng(0).normal(size=(5, 2, 3, 3)), ["hip", "knee", "ankle"]
    return {
        "millimetres, z up": {
            "x.npz": packed(positions=x[:, 0], joints=joints, fps=30, confidence=np.ones((5, 3)), parents=[-1, 0, 1], units="mm", up="z")
        },
        "two actors": {
            "x.npz": packed(positions=x, joints=joints, fps=np.float32(60), actors=["a", "b"], present=np.ones((2, 3), bool), edges=[[0, 1]], text=["x"])
        },
        "flat": {"x.npz": packed(positions=x[:, 0, :, :2].astype(np.float16), joints=joints, fps=25)},
    }  # fmt: skip


def smpl() -> dict[str, Files]:
    rng = np.random.default_rng(0)
    p, t = 0.1 * rng.normal(size=(4, 165)), rng.normal(size=(4, 3))
    arrays = {
        "smplh": dict(poses=p[:, :156], trans=t, betas=np.ones(16), gender="male", mocap_framerate=120.0),
        "smpl": dict(poses=p[:, :72].astype("f4"), trans=t.astype("f4"), gender=b"female", mocap_framerate=30),
        "split": dict(root_orient=p[:, :3], pose_body=p[:, 3:66], pose_jaw=p[:, 66:69], pose_hand=p[:, 75:], transl=t, fps=[25.0]),
        "smplx": dict(poses=p, pose_eye=p[:, 69:75], trans=t, betas=np.ones((4, 10)), mocap_frame_rate=60.0),
    }  # fmt: skip
    dance = {
        "smpl_loss": 1.0,
        "smpl_poses": p[:, :72].astype("f4"),
        "smpl_scaling": np.array([90.0], "f4"),
        "smpl_trans": t.astype("f4"),
    }
    dances = {f"dance {k}": {"x.pkl": pickle.dumps(dance, k)} for k in (0, 2, 4)}
    return {n: {"x.npz": packed(**a)} for n, a in arrays.items()} | dances


def sleap_csv() -> dict[str, Files]:
    "Rows of two animals, one of them not always there, and of two without a name."
    head = "track,frame_idx,instance.score,a.x,a.y,a.score,b.x,b.y,b.score"
    row = lambda who, t: (
        f"{who},{t},0.9,{10 + t}.5,{20.25 - t},0.75,{30 + 2 * t}.0,{41.5 + t},0.875"
    )
    rows = [row(who, t) for t in range(12) for who in ("anna", "bert") if (who, t) != ("bert", 5)]
    rows[3] = rows[3].rsplit(",", 3)[0] + ",,,"
    text = "\n".join([head, *rows]) + "\n"
    loose = text.replace("anna", "").replace("bert", "").replace("\n", "\r\n")
    return {"tracks": {"t.csv": text.encode()}, "loose": {"l.analysis.csv": loose.encode()}}


def people_in_videos() -> dict[str, Files]:
    "What WHAM and TRAM save of two seconds."
    rng = np.random.default_rng(0)
    turn, place, shape = rng.normal(0, 0.1, (20, 72)), rng.normal(0, 1, (20, 3)), np.zeros((20, 10))
    one = {"pose_world": turn, "trans_world": place, "betas": shape, "frame_ids": np.arange(20)}
    track = {"pred_rotmat": np.tile(np.eye(3), (20, 24, 1, 1)), "pred_trans": place, "pred_shape": shape}  # fmt: skip
    track = {k: torch.from_numpy(v) for k, v in track.items()}
    array = io.BytesIO()
    np.save(array, np.array(track, dtype=object), allow_pickle=True)
    return {"wham": {"wham.pkl": pickle.dumps({0: one, 3: one}, 4)}, "tram": {"hps.npy": array.getvalue()}}  # fmt: skip


def people_library() -> dict[str, Files]:
    "What PHC saves of two clips, and of one without SMPL's own translation."
    rng = np.random.default_rng(0)
    clip = {"pose_aa": rng.normal(0, 0.1, (20, 72)), "beta": np.zeros(16), "gender": "neutral", "fps": 30}  # fmt: skip
    place = rng.normal(0, 1, (20, 3))
    two = {f"0-{n}": clip | {"trans_orig": place} for n in ("walk", "run")}
    bare = {"0-walk": clip | {"root_trans_offset": place}}
    return {"two": {"two.pkl": pickle.dumps(two, 4)}, "bare": {"bare.pkl": pickle.dumps(bare, 4)}}


def people_pair() -> dict[str, Files]:
    "What InterHuman keeps of two people, one of them seen for longer."
    rng = np.random.default_rng(0)
    parts = {"trans": 3, "root_orient": 3, "pose_body": 63}
    one = {k: rng.normal(0, 0.1, (20, n)) for k, n in parts.items()} | {"betas": np.zeros(10)}
    held = {
        "mocap_framerate": 59.94,
        "person1": one,
        "person2": {k: v[:18] for k, v in one.items()},
    }
    return {"pair": {"pair.pkl": pickle.dumps(held, 4)}}


def aist_keypoints() -> dict[str, Files]:
    "Points of a dancer in space, and in the pictures of nine cameras."
    rng = np.random.default_rng(0)
    space, pictures = rng.normal(0, 50, (12, 17, 3)), rng.random((9, 12, 17, 3)).astype("f4")
    space[3, 4] = np.nan
    return {
        "space": {"space.pkl": pickle.dumps({"keypoints3d": space, "keypoints3d_optim": space}, 2)},
        "pictures": {"pictures.pkl": pickle.dumps({"keypoints2d": pictures}, 2)},
    }


def pixels(frames: int, people: int, joints: int) -> np.ndarray:
    "[t n j 3] points in pictures, and scores; one was not found."
    rng = np.random.default_rng(5)
    xy = rng.uniform(100, 900, (frames, people, joints, 2)).round(2)
    x = np.concatenate([xy, rng.uniform(0.5, 1, xy[..., :1].shape).round(3)], -1)
    x[2, 0, 3] = 0
    return x


def openpose() -> dict[str, Files]:
    "A list of frames, by the body's joints, and EasyMocap's words for them."
    people = lambda x: [{"person_id": [-1], "pose_keypoints_2d": p.ravel().tolist()} for p in x]
    annots = lambda x: [{"personID": k, "keypoints": p.tolist()} for k, p in enumerate(x)]
    frames = {
        n: [{"version": 1.3, "people": people(x)} for x in pixels(5, 2, j)]
        for n, j in (("BODY_25", 25), ("COCO", 18))
    }
    frames["EasyMocap"] = [{"annots": annots(x), "isKeyframe": False} for x in pixels(5, 2, 25)]
    return {n: {"x.json": json.dumps(f).encode()} for n, f in frames.items()}


def coco_results() -> dict[str, Files]:
    "COCO's results and ground truth, and AlphaPose's list."
    x = pixels(5, 2, 17)
    entry = lambda t, k, **more: {"image_id": t, "keypoints": x[t, k].ravel().tolist(), **more}
    each = [(t, k) for t in range(5) for k in range(2)]
    results = [entry(t, k, category_id=1, score=0.9) for t, k in each]
    alpha = [entry(t, k, idx=k, score=2.9) | {"image_id": f"{t:06d}.jpg"} for t, k in each]
    truth = [entry(t, 0, num_keypoints=17) for t in range(5)]
    for e in truth:
        e["keypoints"][2::3] = [2 * (v > 0) for v in e["keypoints"][2::3]]
    files = {"results": results, "AlphaPose": alpha, "truth": {"annotations": truth}}
    return {n: {"x.json": json.dumps(f).encode()} for n, f in files.items()}


def people_json() -> dict[str, Files]:
    "MMPose's predictions, MARS's mice and CalMS21's sequences."
    x = pixels(5, 2, 7)
    person = lambda p: {"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()}
    frames = [{"frame_id": t, "instances": list(map(person, p))} for t, p in enumerate(x)]
    mice = {"keypoints": x[..., :2].swapaxes(2, 3).tolist(), "scores": x[..., 2].tolist()}
    trees = {
        "MMPose": {"meta_info": {}, "instance_info": frames},
        "MARS": mice,
        "CalMS21": {"annotator-id_0": {"task1/mouse001": mice, "task1/mouse002": mice}},
    }
    return {n: {"x.json": json.dumps(t).encode()} for n, t in trees.items()}


def freemocap() -> dict[str, Files]:
    "Tables of points in space, with and without timestamps."
    rng = np.random.default_rng(6)
    names = [f"body_{n}_{k}" for n in MEDIAPIPE33.joints for k in "xyz"]
    x = rng.uniform(-300, 300, (6, 33, 3)).round(4) + [0, 0, 900]
    words = [[repr(float(v)) for v in row] for row in x.reshape(6, -1)]
    words[2][12:15] = [""] * 3
    plain = "\n".join([",".join(names), *map(",".join, words)])
    head = ",".join(["timestamp", "timestamp_by_camera", *names])
    stamped = "\n".join([head, *(f'{t / 30},"{{}}",' + ",".join(w) for t, w in enumerate(words))])
    tidy = ["frame,keypoint,x,y,z"]
    tidy += [
        ",".join([str(t), n, *w[3 * j : 3 * j + 3]])
        for t, w in enumerate(words)
        for j, n in enumerate(MEDIAPIPE33.joints)
    ]
    more = [f"{row},mediapipe.body,3d_xyz,0.25" for row in tidy[1:]]
    by_frame = [f"{tidy[0]},model,trajectory,reprojection_error", *more]
    texts = {
        "wide": plain,
        "stamped": stamped,
        "tidy": "\n".join(tidy),
        "by frame": "\n".join(by_frame),
    }
    return {n: {"x.csv": t.encode()} for n, t in texts.items()}


def marker_h5() -> dict[str, Files]:
    "The two files of a small dataset."
    from motionbook.formats.marker_h5.marker_files import H5_NAME, INFO_NAME, write_marker_h5

    p = torch.randn(6, 20, 3, generator=torch.Generator().manual_seed(0))
    p[3, 4] = torch.nan
    meta = {"height": 1.7, "weight": 70}
    who = [Motion(p + k, MARKER20, 60, meta=meta) for k in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        write_marker_h5(folder, who, frames=3)
        return {"dataset": {n: Path(folder, n).read_bytes() for n in (H5_NAME, INFO_NAME)}}


def robots() -> dict[str, Files]:
    "A walk in a GMR pickle, rows of MuJoCo, a trajectory with flags and two kinds of csv."
    from motionbook.core.robots import G1_23DOF
    from motionbook.formats.motionlib.pickled import fresh_pickle
    from motionbook.formats.motionlib.tables import fresh_table
    from motionbook.formats.motionlib.trajectories import fresh_rows
    from motionbook.synthetic.robots import robot_walk

    clip = robot_walk(G1_23DOF, seconds=0.4, seed=2)
    rows = np.load(io.BytesIO(fresh_rows([clip, clip])))
    qpos, array = rows[:12, 1:-1], io.BytesIO()
    np.save(array, qpos)
    return {
        "GMR": {"walk.pkl": fresh_pickle([clip], G1_23DOF)},
        "qpos": {"qpos.npy": array.getvalue()},
        "flags": {"take.npy": fresh_rows([clip, clip])},
        "qpos archive": {"walk.npz": packed(qpos=qpos, fps=np.array(30))},
        "LAFAN": {"walk.csv": fresh_table(clip, G1_23DOF)},
    }


def poselib() -> dict[str, Files]:
    "An arm of three bodies that waves."
    t, q = np.arange(8) / 30, np.zeros((8, 3, 4), "f4")
    q[..., 3] = 1
    q[:, 1, 1], q[:, 1, 3] = np.sin(t), np.cos(t)
    arr = lambda x: {"arr": np.asarray(x), "context": {"dtype": "float32"}}
    tree = {"node_names": ["base", "upper", "lower"], "parent_indices": arr([-1, 0, 1])}
    tree["local_translation"] = arr(np.float32([[0, 0, 0], [0, 0, 1], [0, 0, 0.5]]))
    root = np.float32([0, 0, 1]) + np.zeros((8, 3), "f4")
    content = {"rotation": arr(q), "root_translation": arr(root), "skeleton_tree": tree}
    content |= {"is_local": True, "fps": np.array(30)}
    array = io.BytesIO()
    np.save(array, np.array(content, dtype=object), allow_pickle=True)
    return {"arm": {"arm.npy": array.getvalue()}}


def deepmimic() -> dict[str, Files]:
    "A humanoid and a dog that bend a leg."
    from motionbook.formats.motionlib.deepmimic import CHARACTERS

    found = {}
    for width, (body, each) in CHARACTERS.items():
        rows, at = np.zeros((6, width)), np.cumsum([4, *each])
        rows[:, 0], rows[:, 2] = 1 / 30, 0.85
        rows[:, at[:-1][np.array(each) == 4]] = 1
        rows[:, at[:-1][np.array(each) == 1]] = -np.linspace(0.1, 1, 6)[:, None]
        text = json.dumps({"Loop": "none", "Frames": rows.round(6).tolist()})
        found[body.name] = {"clip.txt": text.encode()}
    return found


def feature_rows() -> dict[str, Files]:
    "Rows of a person in the three representations that are kept so, and two clips in one file."
    from motionbook.features.representation import representation

    walk, found = person("walk", seconds=1.0, seed=1), {}
    for name in ("ik263", "kit251", "ms272"):
        rows = representation(name).encode(walk).numpy()
        for what, x in ((name, rows), (f"{name}, two clips", np.stack([rows, rows]))):
            np.save(out := io.BytesIO(), x)
            found[what] = {"x.npy": out.getvalue()}
    return found


def generated() -> dict[str, Files]:
    "What a text-to-motion model made of two sentences, as MDM keeps it and as one array."
    walks = [person(k, seconds=1.0, seed=1).positions.numpy() for k in ("walk", "wave")]
    x = np.stack(walks)
    made = {"motion": x.transpose(0, 2, 3, 1), "text": ["a walk", "a wave"], "lengths": [60, 41]}
    found = {}
    for what, array in (("mdm", np.array(made, object)), ("array", x)):
        np.save(out := io.BytesIO(), array, allow_pickle=True)
        found[what] = {"x.npy": out.getvalue()}
    return found


DIALECTS: dict[str, Callable[[], dict[str, Files]]] = {
    "bvh": bvh,
    "asf_amc": acclaim,
    "trc": trc,
    "c3d": c3d,
    "lightning_pose": lightning_pose,
    "dlc": dlc,
    "mediapipe": mediapipe,
    "npz": npz,
    "smpl_npz": smpl,
    "marker_h5": marker_h5,
    "motionlib": robots,
    "poselib": poselib,
    "deepmimic": deepmimic,
    "sleap_csv": sleap_csv,
    "video_smpl": people_in_videos,
    "smpl_library": people_library,
    "smpl_pair": people_pair,
    "aist_keypoints": aist_keypoints,
    "openpose": openpose,
    "canonical": canonical,
    "coco_results": coco_results,
    "people_json": people_json,
    "freemocap": freemocap,
    "feature_rows": feature_rows,
    "generated": generated,
}


@cache
def examples(name: str) -> dict[str, Files]:
    "Small valid files of a format, by a word that says what they are."
    found = dict(DIALECTS.get(name, dict)())
    (fmt,) = (f for f in formats() if f.name == name)
    for suffix in fmt.suffixes:
        for what, scene in scenes().items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, f"x{suffix}" if suffix.startswith(".") else suffix)
                try:
                    write(scene, path, format=name)
                except ValueError:  # this format does not hold such recordings, and says so
                    continue
                rest = sorted(p for p in Path(folder).iterdir() if p != path)
                files = {p.name: p.read_bytes() for p in (path, *rest)}
                if files[path.name] not in {next(iter(f.values())) for f in found.values()}:
                    found[f"{what}{suffix}"] = files
    assert found, f"no example of {name}: name one in DIALECTS"
    return found


def put(files: Files, folder: Path) -> Path:
    "The files in a folder; the one to read."
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / next(iter(files))
