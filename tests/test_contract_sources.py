"""Every dataset: bad recordings among good ones cost no other, and each is named with the rule that keeps it out.

A source that is registered must stand in `RAW` (how its folder is written, and how a file of it is spoilt) or in `OTHERS`.
"""

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from motionbook.converters.base import SOURCES, find_source
from motionbook.converters.doctor import examine
from motionbook.data.canonical import convert_dataset
from motionbook.data.to_features import features_command
from motionbook.features.humanml3d.kit251 import KIT251, joints_to_kit251, kit251_to_joints
from motionbook.schema.sample import load_canonical
from motionbook.synthetic.raw_babel import write_babel
from motionbook.synthetic.raw_bones_seed import write_bones_seed
from motionbook.synthetic.raw_cmu import write_cmu
from motionbook.synthetic.raw_interhuman import write_interhuman
from motionbook.synthetic.raw_joints import pack_files, write_humanml3d, write_mvhumannet
from motionbook.synthetic.raw_kinect import write_lsmb19, write_ntu_rgbd
from motionbook.synthetic.raw_kit_ml import write_kit_ml
from motionbook.synthetic.raw_markers import write_accad, write_uiprmd
from motionbook.synthetic.raw_smpl import write_aist, write_amass
from motionbook.synthetic.raw_style100 import write_style100

OTHERS = {
    "marker_h5",
    "canonical",
    "parquet",
    "store",
}  # files that hold many recordings; tests/test_marker_h5.py, test_canonical.py, test_cli.py
MARK = Path("/tmp/motionbook-evil")


class Evil:
    def __reduce__(self):
        return os.mkdir, (str(MARK),)


def packed(write, *args, **kwargs) -> bytes:
    file = io.BytesIO()
    write(file, *args, **kwargs)
    return file.getvalue()


def spoilt_npz(good: bytes) -> dict[str, bytes]:
    x = {k: v for k, v in np.load(io.BytesIO(good)).items()}
    put = lambda **new: packed(np.savez, **(x | new))
    evil = np.array([Evil()], dtype=object)
    return {
        "NaN": put(poses=x["poses"] * np.nan),
        "one frame": put(poses=x["poses"][:1], trans=x["trans"][:1]),
        "wrong joints": put(poses=x["poses"][:, :70]),
        "an order": put(
            poses=np.concatenate(
                [x["poses"][:, :3], np.roll(x["poses"][:, 3:66], -3, 1), x["poses"][:, 66:]], 1
            )
        ),
        "hostile": put(poses=evil),
        "hostile gender": put(gender=evil),
        "no rate": packed(np.savez, **{k: v for k, v in x.items() if "rate" not in k}),
    }


def spoilt_pickle(good: bytes) -> dict[str, bytes]:
    x = pickle.loads(good)
    put = lambda **new: pickle.dumps(x | new)
    cut = {k: x[k][:1] for k in ("smpl_poses", "smpl_trans")}
    return {
        "NaN": put(smpl_poses=x["smpl_poses"] * np.nan),
        "one frame": put(**cut),
        "wrong joints": put(smpl_poses=x["smpl_poses"][:, :69]),
        "an order": put(
            smpl_poses=np.concatenate(
                [
                    x["smpl_poses"][:, :3],
                    x["smpl_poses"][:, 3:66].reshape(-1, 21, 3)[:, ::-1].reshape(-1, 63),
                    x["smpl_poses"][:, 66:],
                ],
                1,
            )
        ),
        "hostile": pickle.dumps(Evil()),
    }


def spoilt_npy(good: bytes) -> dict[str, bytes]:
    x = np.load(io.BytesIO(good))
    return {
        "NaN": packed(np.save, x * np.nan),
        "one frame": packed(np.save, x[:1]),
        "wrong joints": packed(np.save, x[:, :21]),
        "hostile": packed(np.save, np.array([Evil()], dtype=object)),
    }


def spoilt_vectors(good: bytes) -> dict[str, bytes]:
    x = np.load(io.BytesIO(good))
    axes, order = x.copy(), x.copy()
    axes[:, 4:64] = x[:, 4:64].reshape(-1, 20, 3)[..., [0, 2, 1]].reshape(-1, 60)
    order[:, 4:64] = x[:, 4:64].reshape(-1, 20, 3)[:, ::-1].reshape(-1, 60)
    longer = np.concatenate([x[:, :4], x[:, 4:64] * 2, x[:, 64:]], 1)
    named = {"an axis": axes, "an order": order, "a unit": longer}
    return spoilt_npy(good) | {k: packed(np.save, v) for k, v in named.items()}


def spoilt_pair(good: bytes) -> dict[str, bytes]:
    x = pickle.loads(good)
    put = lambda **new: pickle.dumps(x | {"person2": x["person2"] | new})
    two, only = (
        x["person2"],
        lambda n: {k: v[:n] for k, v in x["person2"].items() if k[:4] in ("tran", "root", "pose")},
    )
    return {
        "NaN": put(**{k: v * np.nan for k, v in only(None).items()}),
        "one frame": put(**only(1)),
        "wrong joints": put(pose_body=two["pose_body"][:, :60]),
        "an order": put(pose_body=np.roll(two["pose_body"], -3, 1)),
        "hostile": put(betas=Evil()),
        "no rate": pickle.dumps({k: v for k, v in x.items() if "rate" not in k}),
        "an axis": put(root_orient=two["root_orient"] * 0 + [0.0, 0.0, 1.0]),
        "a unit": put(trans=two["trans"] * 1000),
        "one person": pickle.dumps({k: v for k, v in x.items() if k != "person2"}),
    }


def spoilt_amc(good: bytes) -> dict[str, bytes]:
    rows = good.decode().splitlines()
    each = lambda change: "\n".join(" ".join(change(r.split())) for r in rows).encode()
    first = next(k for k, r in enumerate(rows) if r == "2")
    root = lambda f: each(lambda w: [*w[:3], *f(w[3:])] if w[0] == "root" else w)
    return {
        "NaN": each(lambda w: [w[0], *("nan" for _ in w[1:])]),
        "one frame": "\n".join(rows[:first]).encode(),
        "wrong joints": each(lambda w: w[:-1] if w[0] == "lfemur" else w),
        "hostile": pickle.dumps(Evil()),
        "an axis": root(lambda w: [w[0], f"{float(w[1]) + 90:g}", *w[2:]]),
        "an order": each(lambda w: [w[0].replace("lfemur", "lhumerus"), *w[1:]]),
    }


def spoilt_bvh(good: bytes) -> dict[str, bytes]:
    lines = good.decode().splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("Frames:"))
    rows, width = lines[at + 2 :], len(lines[at + 2].split())
    put = lambda rows: "\n".join(
        [*lines[:at], f"Frames: {len(rows)}", lines[at + 1], *rows, ""]
    ).encode()
    return {
        "NaN": put([" ".join(["nan"] * width)] * len(rows)),
        "one frame": put(rows[:1]),
        "wrong joints": put([r.rpartition(" ")[0] for r in rows]),
        "hostile": pickle.dumps(Evil()),
    }


def spoilt_frame(good: bytes) -> dict[str, bytes]:
    x = pickle.loads(good)["joints"]
    return {
        "wrong joints": pickle.dumps({"joints": x[:, :20]}),
        "hostile": pickle.dumps({"joints": Evil()}),
    }


def spoilt_skeleton(good: bytes) -> dict[str, bytes]:
    lines = good.decode().splitlines()
    put = lambda rows: "\r\n".join([*rows, ""]).encode()
    joint = lambda row: len(row.split()) == 12
    body = 1 + 1 + 1 + 25  # the first frame has one body
    return {
        "NaN": put([" ".join(["nan"] * 12) if joint(r) else r for r in lines]),
        "one frame": put(["1", *lines[1 : 1 + body]]),
        "wrong joints": put(["24" if r == "25" else r for r in lines]),
        "mirror": put([f"-{r}".removeprefix("--") if joint(r) else r for r in lines]),
        "centimetres": put([_scaled(r, 100) if joint(r) else r for r in lines]),
        "z up": put([" ".join([r.split()[k] for k in (0, 2, 1, *range(3, 12))]) if joint(r) else r for r in lines]),
        "hostile": pickle.dumps(Evil()),
    }  # fmt: skip


def spoilt_messif(good: bytes) -> dict[str, bytes]:
    head, size, *rows = good.decode().splitlines()
    put = lambda rows: "\n".join([head, size.replace("45", str(len(rows))), *rows, ""]).encode()
    frames = [np.array(r.replace(";", ",").split(","), float).reshape(25, 3) for r in rows]
    each = lambda f: put(
        ["; ".join(", ".join(map(repr, p)) for p in f(x).tolist()) for x in frames]
    )
    return {
        "NaN": each(lambda x: x * np.nan),
        "one frame": put(rows[:1]),
        "wrong joints": each(lambda x: x[:24]),
        "mirror": each(lambda x: x * [-1, 1, 1]),
        "centimetres": each(lambda x: x * 100),
        "z up": each(lambda x: x[:, [0, 2, 1]]),
        "hostile": pickle.dumps(Evil()),
    }


def spoilt_table(good: bytes, first: int, mark: str) -> dict[str, bytes]:
    "Markers in rows of numbers, the first `first` columns no coordinates; `mark` is what is missing."
    tab = "\t" if b"\t" in good else ","
    rows = [r.split(tab) for r in good.decode().splitlines()]
    head, rows = (rows[:1], rows[1:]) if first else ([], rows)

    def put(rows):
        return "".join(tab.join(r) + "\n" for r in [*head, *rows]).encode()

    def each(change):
        "Another order or size of each point's three numbers."
        made = []
        for r in rows:
            points = [change(r[k : k + 3]) for k in range(first, len(r), 3)]
            made.append([*r[:first], *(w for p in points for w in p)])
        return put(made)

    return {
        "NaN": each(lambda p: [mark] * 3),
        "one frame": put(rows[:1]),
        "wrong joints": put([r[:-1] for r in rows]),
        "mirror": each(lambda p: [p[1], p[0], p[2]]),
        "centimetres": each(lambda p: p if p[0] == mark else [repr(float(w) / 10) for w in p]),
        "z up": each(lambda p: [p[0], p[2], p[1]]),
        "hostile": pickle.dumps(Evil()),
    }


def _scaled(row: str, by: float) -> str:
    words = row.split()
    return " ".join([*(repr(float(w) * by) for w in words[:3]), *words[3:]])


def babel_of_many(d: Path) -> Path:
    "BABEL with rows for recordings that are not there yet."
    root = write_babel(d, seconds=1.0)
    file = root / "babel_v1.0_release/extra_val.json"
    row = json.loads((file.parent / "train.json").read_text())["1"]
    path = "BioMotionLab_NTroje/BioMotionLab_NTroje/3/broken{:02}_poses.npz"
    rows = {str(100 + k): row | {"feat_p": path.format(k)} for k in range(20)}
    file.write_text(json.dumps(rows | {"99": row | {"babel_sid": 99}}))
    return root


class Raw(NamedTuple):
    write: Callable[[Path], Path]
    good: str  # a good recording's file
    bad: Callable[[int], str]  # where the n-th bad one goes
    spoil: Callable[[bytes], dict[str, bytes]]
    named: Callable[[str], str] = lambda key: key.rpartition("/")[2]  # the file of a key


NTU = {"S001C001P002R001A023": "wave", "S001C001P001R001A058": "handshake"}
STYLES = "BR BW FR ID SR SW TR1 TR2 TR3".split()
RAW = {
    "amass": Raw(
        lambda d: write_amass(d, "smplh", seconds=1.0), "KIT/3/walking_medium08_poses.npz",
        "KIT/4/walking_broken{:02}_poses.npz".format, spoilt_npz,
    ),
    "babel": Raw(
        babel_of_many, "AMASS/BMLrub/3/walking_medium08_poses.npz", "AMASS/BMLrub/3/broken{:02}_poses.npz".format, spoilt_npz,
    ),
    "aist": Raw(
        lambda d: write_aist(d, seconds=1.5), "motions/gBR_sBM_cAll_d04_mBR0_ch01.pkl",
        "motions/gPO_sBM_cAll_d10_mPO0_ch{:02}.pkl".format, spoilt_pickle,
    ),
    "humanml3d": Raw(
        lambda d: write_humanml3d(d, seconds=3.0), "new_joints/000000.npy", "new_joints/9{:05}.npy".format, spoilt_npy,
    ),
    "kit_ml": Raw(
        lambda d: write_kit_ml(d, KIT251().joints_of, joints_to_kit251, kit251_to_joints, seconds=3.0),
        "new_joint_vecs/00001.npy", "new_joint_vecs/9{:04}.npy".format, spoilt_vectors,
    ),
    "interhuman": Raw(
        lambda d: write_interhuman(d, forms=("pickles",)), "motions/1.pkl", "motions/9{:02}.pkl".format, spoilt_pair,
    ),
    "cmu": Raw(
        lambda d: write_cmu(d, seconds=1.0), "05/05_01.amc", lambda k: f"05/05_{20 + k}.amc", spoilt_amc,
    ),
    "style100": Raw(
        lambda d: write_style100(d, movements=("FW",), seconds=1.5), "Zombie/Zombie_FW.bvh",
        lambda k: f"Zombie/Zombie_{STYLES[k]}.bvh", spoilt_bvh,
    ),
    "mvhumannet": Raw(
        write_mvhumannet, "part_00/100001/smpl_param/0010.pkl", "part_00/2000{:02}/smpl_param/0010.pkl".format, spoilt_frame,
    ),
    "ntu_rgbd": Raw(
        lambda d: write_ntu_rgbd(d, NTU, seconds=1.5), "nturgb+d_skeletons/S001C001P002R001A023.skeleton",
        "nturgb+d_skeletons/S001C001P0{:02}R002A023.skeleton".format, spoilt_skeleton,
    ),
    "bones_seed": Raw(
        lambda d: write_bones_seed(d, forms=("soma_proportional",), seconds=1.0, parquet=False), "soma_proportional/bvh/221129/greet_wave_003__A036.bvh",
        "soma_proportional/bvh/221129/bad_{:02}__A001.bvh".format, spoilt_bvh,
    ),
    "lsmb19": Raw(
        lambda d: write_lsmb19(d, {"S001C001P002R001A023": "wave"}, 1.5), "actions.data", "bad{:02}.data".format, spoilt_messif,
        lambda key: key.split("/")[0],
    ),
    "uiprmd": Raw(
        lambda d: write_uiprmd(d, ("m01_s01_e01", "m05_s02_e01"), 1.5, packed=False), "Segmented Movements/Vicon/Positions/m01_s01_e01_positions.txt",
        "Segmented Movements/Vicon/Positions/m07_s03_e{:02}_positions.txt".format, lambda good: spoilt_table(good, 0, "0.0"),
    ),
    "accad": Raw(
        lambda d: write_accad(d, {"walk1": "walk", "dance_KB3": "dance"}, 1.5), "walk1.txt", "bad{:02}.txt".format, lambda good: spoilt_table(good, 2, "-9999.99"),
    ),
    "recordings": Raw(
        lambda d: write_style100(d, ("Robot",), ("FW", "ID"), seconds=1.5), "Robot/Robot_FW.bvh", "Robot/x{:02}.bvh".format, spoilt_bvh,
    ),
}  # fmt: skip
RULES = {  # what is said of each kind; a format may know better than the schema
    "NaN": {"missing points", "unreadable", "refused", "implausible"}, "one frame": {"too short", "unreadable", "implausible"}, "no rate": {"unreadable", "refused"},
    **dict.fromkeys(("mirror", "centimetres", "z up", "joints of another order"), {"implausible"}),
    **dict.fromkeys(("an axis", "an order", "a unit"), {"implausible", "unreadable"}),
}  # fmt: skip


def test_every_source_is_here():
    assert set(SOURCES) == set(RAW) | OTHERS


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("name", RAW)
def test_bad_recordings_cost_no_other(name, tmp_path):
    how = RAW[name]
    root = how.write(tmp_path / "raw")
    good = (root / how.good).read_bytes()
    first = convert_dataset(root, tmp_path / "good", name)
    assert first["left_out"] == 0 and first["samples"]
    kinds = how.spoil(good) | {
        "truncated": good[: len(good) // 2],
        "empty": b"",
        "another kind": b"\x89PNG\r\n\x1a\n" + bytes(40),
        "text": b"404: not found\n",
        "plain hostile pickle": pickle.dumps(Evil()),
    }
    if name == "style100":
        kinds.pop("text"), kinds.pop("plain hostile pickle")
    place = {kind: root / how.bad(k) for k, kind in enumerate(kinds)}
    for kind, path in place.items():
        if name == "mvhumannet":  # a whole sequence with one bad frame
            shutil.copytree((root / how.good).parent, path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kinds[kind])
    made = convert_dataset(root, tmp_path / "out", name)
    rows = [json.loads(r) for r in (tmp_path / "out/quarantine.jsonl").read_text().splitlines()]
    bad = {(p.parent if name == "mvhumannet" else p) for p in place.values()}
    names = {p.relative_to(root).as_posix().rpartition("/")[2].partition(".")[0] for p in bad}
    assert {how.named(r["key"]) for r in rows} == names
    assert len(rows) == len(kinds) == made["left_out"]
    for row in rows:
        assert row["rule"] and row["reason"] and row["path"]
    assert (tmp_path / "out/canonical.pt").read_bytes() == (
        tmp_path / "good/canonical.pt"
    ).read_bytes()
    assert not MARK.exists()


@pytest.mark.parametrize("name", RAW)
def test_each_kind_has_its_rule(name, tmp_path):
    how = RAW[name]
    root = how.write(tmp_path / "raw")
    path = root / how.good
    for kind, data in how.spoil(path.read_bytes()).items():
        path.write_bytes(data)
        convert_dataset(root, tmp_path / kind.replace(" ", "_"), name)
        rows = (tmp_path / kind.replace(" ", "_") / "quarantine.jsonl").read_text().splitlines()
        (row,) = map(json.loads, rows)
        assert row["rule"] in RULES.get(kind, {"unreadable"}), (kind, row)
    assert not MARK.exists()


@pytest.mark.parametrize("name", RAW)
def test_sources_are_known_by_what_lies_in_them(name, tmp_path):
    root = RAW[name].write(tmp_path / "raw")
    if name != "recordings":
        assert find_source(root).name == name
    found = examine(root, name, every=True)
    assert found["recordings"] and not found["unreadable"] and not found["misnamed"]


@pytest.mark.parametrize("name", RAW)
def test_people_stand_with_human_limbs(name, tmp_path):
    root = RAW[name].write(tmp_path / "raw")
    convert_dataset(root, tmp_path / "out", name)
    for s in load_canonical(tmp_path / "out/canonical.pt"):
        x = s["motion"] if s["motion"].ndim == 2 else s["motion"][:, 0]
        y = x[:, 1::2]
        tall = float((y.amax(1) - y.amin(1)).quantile(0.9))
        assert 1.2 < tall < 2.0, (s["meta"]["key"], tall)
        head, ankle = x[:, 3], x[:, 35]
        assert (head > ankle).all() and abs(float(y.amin(1).quantile(0.1))) < 0.25


def test_features_of_packed_parts(tmp_path):
    "They are unpacked as they are for `convert`, and not again."
    root = write_mvhumannet(tmp_path / "raw", packed=True)
    plain = write_mvhumannet(tmp_path / "plain")
    out = {n: tmp_path / f"{n}-out" for n in ("raw", "plain")}
    made, same = (features_command("rifke", tmp_path / n, out[n]) for n in ("raw", "plain"))
    assert made["made"] == same["made"] > 0 and made["frames"] == same["frames"]
    pages = [sorted(p.read_bytes() for p in out[n].rglob("*.npy")) for n in ("raw", "plain")]
    assert pages[0] == pages[1] and root != plain
    first = {p: p.stat().st_mtime_ns for p in out["raw"].rglob("*.pkl")}
    assert first and features_command("rifke", root, out["raw"])["made"] == made["made"]
    assert first == {p: p.stat().st_mtime_ns for p in out["raw"].rglob("*.pkl")}


def test_packed_parts_with_a_hostile_one_among_them(tmp_path):
    root = write_mvhumannet(tmp_path / "raw", packed=True)
    first = convert_dataset(root, tmp_path / "good")
    assert (first["dataset"], first["samples"]) == ("mvhumannet", 2)
    unpacked = write_mvhumannet(tmp_path / "plain")
    convert_dataset(unpacked, tmp_path / "plain-out")
    whole = (tmp_path / "good/canonical.pt").read_bytes()
    assert (tmp_path / "plain-out/canonical.pt").read_bytes() == whole
    frame = pickle.dumps({"joints": np.zeros((1, 45, 3), np.float32)})
    pack_files(root / "part_01.tar.gz", {"a/smpl_param/0000.pkl": frame, "../../out.pkl": frame})
    packed = (root / "part_00.tar.gz").read_bytes()
    (root / "part_02.tar.gz").write_bytes(packed[: len(packed) // 2])
    (root / "part_03.tar.gz").write_bytes(b"")
    made = convert_dataset(root, tmp_path / "out")
    rows = [json.loads(r) for r in (tmp_path / "out/quarantine.jsonl").read_text().splitlines()]
    assert [r["key"] for r in rows] == [f"part_0{k}.tar.gz" for k in (1, 2, 3)]
    assert made["left_out"] == 3 and "do not unpack" in rows[0]["reason"]
    assert (tmp_path / "out/canonical.pt").read_bytes() == whole
    assert not list(tmp_path.rglob("out.pkl"))
