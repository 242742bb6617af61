"MediaPipe landmarks: every layout, what the numbers mean, what is kept and what is refused."

import json

import numpy as np
import pytest
import torch
from helpers import same

import motionbook
import motionbook.formats.mediapipe.mediapipe
import motionbook.formats.plain.keypoint_json
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeletons import MEDIAPIPE33
from motionbook.formats.dlc.dlc import is_dlc
from motionbook.formats.mediapipe.mediapipe import is_mediapipe, read_mediapipe, write_mediapipe
from motionbook.formats.registry import find_format
from motionbook.synthetic.people import mouse

torch.set_num_threads(1)
NAMES = MEDIAPIPE33.joints
T, GONE = 12, (4, 5, 9)  # frames, and those without a detection
COORDS = ("x", "y", "z", "visibility")


def numbers(kind, digits=6):
    "[t 33 4]: a standing, swaying person."
    rng = np.random.default_rng(3)
    s = rng.normal(0, 0.25, (33, 3)) + np.sin(np.arange(T) / 3)[:, None, None] * 0.01
    s -= s[:, [23, 24]].mean(1, keepdims=True)
    x = {"world": s, "image": 0.5 + s * (0.3, 0.4, 0.3), "pixels": 500 + s * (300, 400, 300)}[kind]
    return np.concatenate([x, rng.uniform(0.6, 0.99, (T, 33, 1))], -1).round(digits)


def marks(frame, keys=COORDS):
    return [dict(zip(keys, p)) for p in frame.tolist()]


def found(x, empty):
    return [empty if t in GONE else marks(f) for t, f in enumerate(x)]


def wide(x, style="{n}_{c}", coords=COORDS, missing="skip", delimiter=",", extra=True, base=0):
    names = [
        style.format(n=n, N=n.upper(), c=c, C=c.upper(), v=c[0], i=i + base)
        for i, n in enumerate(NAMES)
        for c in coords
    ]
    rows = [delimiter.join((["frame", "note"] if extra else []) + names)]
    for t, f in enumerate(x):
        cells = {
            "skip": None,
            "empty": [""] * len(names),
            "nan": ["nan"] * len(names),
            "zeros": ["0.0"] * len(names),
        }[missing]
        cells = cells if t in GONE else [str(v) for v in f[:, : len(coords)].ravel()]
        if cells is not None:
            rows.append(delimiter.join(([str(t), "ok"] if extra else []) + cells))
    return "\n".join(rows) + "\n"


def long(x, by="landmark_id", missing="skip", coords=COORDS):
    rows = [",".join(("frame", "timestamp_ms", by, *coords))]
    for t, f in enumerate(x):
        for i, p in enumerate(f):
            if t in GONE and missing == "skip":
                continue
            cells = [""] * len(coords) if t in GONE else [str(v) for v in p[: len(coords)]]
            rows.append(
                ",".join([str(t), str(t * 50), NAMES[i] if by != "landmark_id" else str(i), *cells])
            )
    return "\n".join(rows) + "\n"


W, IMG, P = numbers("world"), numbers("image"), numbers("pixels", 2)
LAYOUTS = {
    "wide, skipped": ("csv", wide(W), W),
    "wide, empty": ("csv", wide(W, missing="empty"), W),
    "wide, nan": ("csv", wide(W, missing="nan"), W),
    "wide, zeros": ("csv", wide(W, missing="zeros"), W),
    "wide, capitals": ("csv", wide(W, "{C}_{N}"), W),
    "wide, numbers": ("csv", wide(W, "{v}{i}", extra=False, missing="empty"), W),
    "wide, from one": ("csv", wide(W, "{v}_{i}", extra=False, missing="empty", base=1), W),
    "wide, landmark": ("csv", wide(W, "landmark_{i}_{c}"), W),
    "wide, semicolons": ("csv", wide(W, delimiter=";"), W),
    "wide, world": ("csv", wide(W, "world_{n}_{c}"), W),
    "wide, crlf": ("csv", wide(W).replace("\n", "\r\n"), W),
    "wide, image": ("csv", wide(IMG), IMG),
    "wide, pixels": ("csv", wide(P), P),
    "long": ("csv", long(W), W),
    "long, names": ("csv", long(W, "landmark"), W),
    "long, empty": ("csv", long(W, missing="empty"), W),
    "list": ("json", json.dumps(found(W, [])), W),
    "list, indented": ("json", json.dumps(found(W, []), indent=2), W),
    "nulls": ("json", json.dumps({"fps": 20, "frames": found(W, None)}), W),
    "landmarks": ("json", json.dumps({"fps": 20, "frames": [{"frame": t, "landmarks": f} for t, f in enumerate(found(W, []))]}), W),
    "world key": ("json", json.dumps([{"pose_world_landmarks": f} for f in found(W, [])]), W),
    "persons": ("json", json.dumps([{"pose_world_landmarks": [f] if f else []} for f in found(W, [])]), W),
    "protobuf": ("json", json.dumps([{"poseWorldLandmarks": {"landmark": f} if f else None} for f in found(W, [])]), W),
    "by name": ("json", json.dumps([dict(zip(NAMES, f)) if f else None for f in found(W, [])]), W),
    "arrays": ("json", json.dumps([[] if t in GONE else f.tolist() for t, f in enumerate(W)]), W),
    "image, sized": ("json", json.dumps({"fps": 20, "width": 1280, "height": 720, "frames": [{"pose_landmarks": f} for f in found(IMG, [])]}), IMG),
    "image": ("json", json.dumps([{"pose_landmarks": f} for f in found(IMG, [])]), IMG),
}  # fmt: skip


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    suffix, text, x = LAYOUTS[request.param]
    path = tmp_path / f"take.{suffix}"
    path.write_bytes(text.encode())
    return request.param, path, x


def wanted(name, x):
    x = x.copy()
    x[list(GONE)] = np.nan
    if name == "image, sized":
        return torch.from_numpy(x[..., :2] * (1280, 720)).float()
    if name == "wide, pixels":
        return torch.from_numpy(x[..., :2]).float()
    return torch.from_numpy(x[..., :3] * (1, -1, -1)).float()


def kind_of(name):
    return "pixels" if "pixels" in name else "image" if "image" in name else "world"


def test_every_layout_reads(layout):
    name, path, x = layout
    scene = motionbook.read(path)
    assert scene.meta["format"] == "mediapipe" and scene.meta["kind"] == kind_of(name)
    assert scene.meta["units"] == {"world": "m", "pixels": "px"}.get(
        kind_of(name), "px" if "sized" in name else "image"
    )
    m = scene.actors[0]
    assert m.skeleton is MEDIAPIPE33 and same(m.positions, wanted(name, x))
    seen = [t for t in range(T) if t not in GONE]
    assert (m.confidence[list(GONE)] == 0).all()
    if name != "wide, pixels":
        raw = m.meta[f"{kind_of(name)}_landmarks"]
        assert torch.equal(raw[seen], torch.from_numpy(x[seen][..., :3]).float())
    assert torch.equal(m.confidence[seen], torch.from_numpy(x[seen][..., 3]).float())


def test_every_layout_stays_byte_identical(layout, tmp_path):
    _, path, _ = layout
    out = motionbook.write(motionbook.read(path), tmp_path / f"same{path.suffix}")
    assert out.read_bytes() == path.read_bytes()


def test_every_layout_keeps_what_is_not_changed(layout, tmp_path):
    name, path, x = layout
    scene = motionbook.read(path)
    m = scene.actors[0]
    pos = m.positions.clone()
    pos[7, 3, 1] += 0.125
    out = motionbook.write(
        scene.replace(actors=(m.replace(positions=pos),)), tmp_path / f"new{path.suffix}"
    )
    a, b = path.read_text(), out.read_text()
    first = next(i for i, (p, q) in enumerate(zip(a, b)) if p != q)
    last = next(i for i, (p, q) in enumerate(zip(a[::-1], b[::-1])) if p != q)
    assert len(a[first : len(a) - last]) < 20
    step = 0.02 if "pixels" in name else 1e-3 if "sized" in name else 1e-6
    assert torch.allclose(
        motionbook.read(out).actors[0].positions, pos, atol=step, rtol=0, equal_nan=True
    )


def test_every_layout_takes_filled_frames(layout, tmp_path):
    "A cleaner fills the frames without a detection; the file gets them, and nothing else changes."
    name, path, x = layout
    scene = motionbook.read(path)
    m = scene.actors[0]
    pos = torch.where(m.positions.isnan(), m.positions[3], m.positions)
    out = motionbook.write(
        scene.replace(actors=(m.replace(positions=pos),)), tmp_path / f"new{path.suffix}"
    )
    back = motionbook.read(out)
    step = 0.02 if "pixels" in name else 1e-3 if "sized" in name else 1e-6
    assert len(back) == T and torch.allclose(back.actors[0].positions, pos, atol=step, rtol=0)
    assert back.meta["kind"] == scene.meta["kind"] and back.fps == scene.fps
    if path.suffix == ".csv":
        old, new = path.read_text().splitlines(), out.read_text().splitlines()
        assert [r for r in old if not r.startswith(("4,", "5,", "9,"))] and set(old) - set(new) <= {
            r for r in old if r not in new
        }
        widths = {r.count(";" if "semi" in name else ",") for r in new}
        assert len(widths) == 1
        kept = [r for r in new if r in set(old)]
        assert kept == [r for r in old if r in set(kept)] and len(kept) >= len(old) - 33 * len(GONE)
    else:
        json.loads(out.read_text())


@pytest.mark.parametrize("name", ["wide, skipped", "long"])
def test_each_column_is_read_once_however_many_frames_are_added(name, tmp_path, monkeypatch):
    from motionbook.formats.kit.tokens import Grid

    words, asked = Grid.words, []
    monkeypatch.setattr(Grid, "words", lambda g, c: asked.append(c) or words(g, c))
    path = tmp_path / "take.csv"
    path.write_text(LAYOUTS[name][1])
    scene = motionbook.read(path)
    m, before = scene.actors[0], len(asked)
    pos = torch.where(m.positions.isnan(), m.positions[3], m.positions)
    motionbook.write(scene.replace(actors=(m.replace(positions=pos),)), tmp_path / "new.csv")
    # the two columns that number a frame, and the new file's check
    assert len(asked) - before <= 2 + before + 2, (asked, before)


def test_points_that_go_missing(layout, tmp_path):
    name, path, x = layout
    scene = motionbook.read(path)
    m = scene.actors[0]
    pos = m.positions.clone()
    pos[2, 5] = torch.nan
    out = motionbook.write(
        scene.replace(actors=(m.replace(positions=pos),)), tmp_path / f"new{path.suffix}"
    )
    assert same(motionbook.read(out).actors[0].positions, pos)


def test_fps_and_size(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(long(W))
    assert read_mediapipe(path).fps == 20 and read_mediapipe(path).meta["fps_stated"]
    path.write_text(wide(IMG))
    scene = read_mediapipe(path)
    assert scene.fps == 30 and not scene.meta["fps_stated"]
    assert read_mediapipe(path, fps=60).meta["fps_stated"]
    flat = read_mediapipe(path, size=(640, 480))
    assert flat.actors[0].positions.shape[-1] == 2 and flat.meta["units"] == "px"
    assert torch.allclose(
        flat.actors[0].positions[0], torch.from_numpy(IMG[0, :, :2] * (640, 480)).float()
    )
    assert write_mediapipe(flat, tmp_path / "b.csv").read_bytes() == path.read_bytes()
    path.write_text(wide(IMG, coords=("x", "y")))
    with pytest.raises(BadFile, match="z coordinates, or the image's size"):
        read_mediapipe(path)
    assert read_mediapipe(path, size=(640, 480)).actors[0].confidence is None


def test_two_persons(tmp_path):
    other = W + (0.01, 0.02, 0, 0)
    frames = [[marks(W[t]), marks(other[t])] for t in range(T)]
    frames[3], frames[6], frames[7] = frames[3][:1], [], []
    path = tmp_path / "two.json"
    path.write_text(
        json.dumps({"fps": 25, "frames": [{"pose_world_landmarks": f} for f in frames]})
    )
    scene = motionbook.read(path)
    assert [m.name for m in scene.actors] == ["person1", "person2"]
    assert [m.observed.all(1).sum().item() for m in scene.actors] == [T - 2, T - 3]
    new = scene.map(
        lambda m: m.replace(positions=torch.where(m.positions.isnan(), m.positions[0], m.positions))
    )
    back = motionbook.read(motionbook.write(new, tmp_path / "out.json"))
    assert all(
        torch.allclose(a.positions, b.positions, atol=1e-6) for a, b in zip(new.actors, back.actors)
    )


def test_numbers_that_fill_a_hole_without_a_place_are_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps(
            [
                {"pose_world_landmarks": marks(W[0])},
                {"frame": 1},
                {"pose_world_landmarks": marks(W[2])},
            ]
        )
    )
    scene = read_mediapipe(path)
    m = scene.actors[0]
    assert m.observed.all(1).tolist() == [True, False, True]
    full = scene.replace(actors=(m.replace(positions=m.positions.nan_to_num(0.5)),))
    before = path.read_bytes()
    with pytest.raises(BadFile, match="a place for the landmarks of frame 1"):
        write_mediapipe(full, path)
    assert path.read_bytes() == before
    assert (
        motionbook.read(motionbook.write(full, tmp_path / "new.json", format="keypoint_json"))
        .actors[0]
        .observed.all()
    )


def test_subset_of_landmarks(tmp_path):
    keep = [0, 11, 12, 13, 14, 23, 24]
    head = ",".join(f"{NAMES[i]}_{c}" for i in keep for c in COORDS)
    path = tmp_path / "a.csv"
    path.write_text(head + "\n" + "\n".join(",".join(map(str, f[keep].ravel())) for f in W) + "\n")
    m = motionbook.read(path).actors[0]
    assert m.skeleton.joints == tuple(NAMES[i] for i in keep) and (1, 2) in m.skeleton.edges
    assert torch.equal(m.positions[:, 3], torch.from_numpy(W[:, 13, :3] * (1, -1, -1)).float())


def test_world_faces_z_with_left_on_x(tmp_path):
    "A person facing the camera: left hip right in the image, nose nearer to the camera than the ears."
    x = W.copy()
    x[:, 23, :3], x[:, 24, :3] = (0.1, 0, 0), (-0.1, 0, 0)
    x[:, 0, :3], x[:, 7, :3] = (0, -0.6, -0.2), (0.07, -0.6, -0.05)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"pose_world_landmarks": marks(f)} for f in x]))
    m = read_mediapipe(path).actors[0]
    assert (m.joint("left_hip") - m.joint("right_hip"))[0].tolist() == pytest.approx([0.2, 0, 0])
    assert m.joint("nose")[0, 1] > 0.5 and m.joint("nose")[0, 2] > m.joint("left_ear")[0, 2]


def test_no_other_format_is_stolen(real_data, tmp_path):
    for p in sorted((real_data / "dlc").glob("*/*.csv")):
        assert not is_mediapipe(p, p.read_bytes()[:65536]) and find_format(p).name == "dlc"
    simba = tmp_path / "simba.csv"
    simba.write_text(
        ",nose_x,nose_y,nose_p,left_ear_x,left_ear_y,left_ear_p\n0,1.5,2.5,0.9,3,4,0.8\n"
    )
    assert find_format(simba).name == "dlc"
    for name, (_, text, _) in LAYOUTS.items():
        assert not is_dlc(tmp_path / "x.csv", text.encode()[:65536]), name
    path = motionbook.write(mouse(0.2), tmp_path / "m.json", format="keypoint_json")
    assert find_format(path).name == "keypoint_json" and not is_mediapipe(path, path.read_bytes())


BAD = {
    "cut json": ("json", LAYOUTS["list"][1][:5000]),
    "cut csv": ("csv", LAYOUTS["wide, empty"][1][:-300]),
    "hands": ("json", json.dumps([marks(W[0][:21])])),
    "no frames": ("json", "[]"),
    "no landmarks": ("json", json.dumps([{"pose_landmarks": []}] * 3)),
    "text": ("csv", LAYOUTS["wide, empty"][1].replace(str(W[3, 4, 1]), "high")),
    "infinite": ("csv", LAYOUTS["wide, empty"][1].replace(str(W[3, 4, 1]), "inf")),
    "infinite json": ("json", LAYOUTS["list"][1].replace(str(W[3, 4, 1]), "Infinity")),
    "header only": ("csv", LAYOUTS["wide, empty"][1].split("\n")[0] + "\n"),
    "a billion frames": ("csv", wide(W).replace("\n11,ok", "\n1000000000,ok")),
    "frames back": ("csv", wide(W).replace("\n11,ok", "\n1,ok")),
    "twice": ("csv", long(W).replace("\n3,150,7,", "\n3,150,6,")),
    "no column": ("csv", "frame,landmark,x\n1,nose,0.5\n"),
    "nothing": ("csv", "frame,landmark,x,y,z\n1,snout,0.5,1,1\n"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files(what, tmp_path):
    suffix, text = BAD[what]
    path = tmp_path / f"bad.{suffix}"
    path.write_text(text)
    with pytest.raises(BadFile, match=rf"bad.{suffix}: ") as err:
        read_mediapipe(path)
    assert "\n" not in str(err.value)


def test_new_files_and_refusals(tmp_path):
    x = torch.from_numpy(W[..., :3] * (1, -1, -1)).float()
    scene = Scene((Motion(x, MEDIAPIPE33, 24.0),))
    for name in ("a.csv", "a.json"):
        back = read_mediapipe(write_mediapipe(scene, tmp_path / name))
        assert back.fps == 24 and same(back.actors[0].positions, x) and back.meta["kind"] == "world"
    flat = Scene((Motion(x[..., :2] * 100, MEDIAPIPE33, 24.0),))
    with pytest.raises(BadFile, match="the image's size"):
        write_mediapipe(flat, tmp_path / "b.csv")
    with pytest.raises(BadFile, match="MediaPipe's 33 joints"):
        write_mediapipe(mouse(0.2), tmp_path / "b.csv")
    with pytest.raises(BadFile, match="one person"):
        write_mediapipe(Scene((scene.actors[0], scene.actors[0])), tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()
    with pytest.raises(ValueError, match="kind among"):
        read_mediapipe(tmp_path / "a.csv", kind="moon")
