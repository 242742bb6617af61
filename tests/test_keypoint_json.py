"Keypoint JSON: what is written is read, what is not changed stays, what is wrong is said."

import json

import numpy as np
import pytest
import torch
from helpers import same

import motionbook
import motionbook.formats.plain.keypoint_json
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.plain.keypoint_json import fresh, read, write
from motionbook.synthetic.people import mouse, person, two_people

torch.set_num_threads(1)


def holes(scene, share=0.1, seed=0):
    g = torch.Generator().manual_seed(seed)

    def some(m):
        gone = torch.rand(m.positions.shape[:2], generator=g) < share
        return m.replace(positions=torch.where(gone[..., None], torch.nan, m.positions))

    return scene.map(some)


SCENES = {
    "mice": mouse(1.0, animals=2, seed=3),
    "walk": Scene((person("walk", 0.5),)),
    "two": two_people(0.5, seed=2),
}


@pytest.mark.parametrize("name", SCENES)
def test_what_is_written_is_read(name, tmp_path):
    scene = holes(SCENES[name])
    back = motionbook.read(motionbook.write(scene, tmp_path / "x.json", format="keypoint_json"))
    assert back.fps == scene.fps and back.meta["fps_stated"]
    for a, b in zip(scene.actors, back.actors, strict=True):
        assert (a.name, a.skeleton.joints, a.skeleton.parents, a.skeleton.edges) == (b.name, b.skeleton.joints, b.skeleton.parents, b.skeleton.edges)  # fmt: skip
        assert same(a.positions, b.positions)
        assert (a.confidence is None) == (b.confidence is None)
        assert a.confidence is None or torch.equal(a.confidence, b.confidence)
    assert write(back, tmp_path / "y.json").read_bytes() == (tmp_path / "x.json").read_bytes()


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("style", ["fresh", "indent", "compact", "crlf", "bom", "utf16", "rounded"])
def test_only_changed_tokens_change(name, style, tmp_path):
    tree = json.loads(fresh(holes(SCENES[name])))
    if style == "rounded":
        cut = lambda p: p and [round(v, 3) for v in p]
        for a in tree["actors"]:
            a["positions"] = [[cut(p) for p in f] for f in a["positions"]]
    text = json.dumps(
        tree,
        indent=1 if style == "indent" else None,
        separators=(",", ":") if style == "compact" else None,
    )
    data = {"crlf": json.dumps(tree, indent=2).replace("\n", "\r\n").encode(), "bom": b"\xef\xbb\xbf" + text.encode(), "utf16": text.encode("utf-16")}.get(style, text.encode())  # fmt: skip
    path = tmp_path / "x.json"
    path.write_bytes(data)
    scene = read(path)
    assert write(scene, tmp_path / "same.json").read_bytes() == data
    m = scene.actors[-1]
    t, j = m.observed.nonzero()[5].tolist()
    h, k = (~m.observed).nonzero()[3].tolist()
    pos = m.positions.clone()
    pos[t, j, 0] += 0.25
    pos[h, k] = pos[m.observed].mean(0)
    new = scene.replace(actors=(*scene.actors[:-1], m.replace(positions=pos)))
    out = write(new, tmp_path / "new.json")
    encoding = "utf-16" if style == "utf16" else "utf-8-sig"
    old_tree, new_tree = (json.loads(p.read_bytes().decode(encoding)) for p in (path, out))
    a, b = (x["actors"][-1]["positions"] for x in (old_tree, new_tree))
    differ = [
        (i, q) for i, (f, g) in enumerate(zip(a, b)) for q, (p, r) in enumerate(zip(f, g)) if p != r
    ]
    assert sorted(differ) == sorted([(t, j), (h, k)])
    for x in (old_tree, new_tree):
        del x["actors"][-1]["positions"]
    assert old_tree == new_tree
    got = read(out).actors[-1].positions
    assert torch.allclose(got, pos, atol=6e-4, equal_nan=True)
    if style == "fresh":
        assert same(got, pos)
    untouched = ~((got - m.positions).abs().nan_to_num(0).sum(-1) > 0)
    assert (
        same(got[untouched][: t * len(m.skeleton)], m.positions[untouched][: t * len(m.skeleton)])
        or h <= t
    )


def test_units_axes_and_names(tmp_path):
    tree = {
        "format": "motionbook-keypoints", "version": 1, "fps": 50, "units": "cm", "up": "z",
        "joints": ["hip", "knee"], "parents": [None, "hip"],
        "actors": [{"positions": [[[10, 20, 90.5], [10, 20, 45]]]}],
    }  # fmt: skip
    path = tmp_path / "x.json"
    path.write_text(json.dumps(tree))
    scene = read(path)
    assert torch.allclose(
        scene.actors[0].positions[0], torch.tensor([[0.1, 0.905, -0.2], [0.1, 0.45, -0.2]])
    )
    assert scene.actors[0].skeleton.parents == (-1, 0) and scene.meta["units"] == "cm"
    assert read(path, units="mm").actors[0].positions[0, 0, 1] == pytest.approx(0.0905)
    other = read(path, units="mm")
    assert write(other, tmp_path / "y.json").read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match="units among"):
        read(path, units="miles")


def test_one_coordinate_of_a_file_with_z_up(tmp_path):
    tree = {
        "format": "motionbook-keypoints", "fps": 50, "units": "mm", "up": "z", "joints": ["a"],
        "actors": [{"positions": [[[10.5, 20.5, 905.5]], [[11.5, 21.5, 906.5]]]}],
    }  # fmt: skip
    path = tmp_path / "x.json"
    path.write_text(json.dumps(tree))
    scene = read(path)
    pos = scene.actors[0].positions.clone()
    pos[1, 0, 1] = 1.2
    new = scene.replace(actors=(scene.actors[0].replace(positions=pos),))
    text = write(new, tmp_path / "y.json").read_text()
    assert text == path.read_text().replace("906.5", "1200.0")


def test_actors_with_bodies_of_their_own(tmp_path):
    a, b = person("walk", 0.3, fps=30), mouse(0.3, fps=30).actors[0]
    b3 = Motion(
        torch.cat([b.positions / 1000, torch.zeros(len(b), len(b.skeleton), 1)], -1)[: len(a)],
        b.skeleton,
        30,
        name="dog",
    )
    scene = Scene((a.replace(positions=a.positions[: len(b3)], rotations=None), b3))
    back = read(write(scene, tmp_path / "x.json"))
    assert [m.skeleton.joints for m in back.actors] == [m.skeleton.joints for m in scene.actors]


def test_ten_thousand_frames_read_fast(tmp_path):

    x = torch.rand(10_000, 13, 2) * 500
    path = write(
        Scene((Motion(x, Skeleton("s", tuple(f"j{i}" for i in range(13))), 30),)),
        tmp_path / "x.json",
    )
    scene = read(path)
    assert torch.equal(scene.actors[0].positions, x)


BAD = {
    "cut": lambda t: t[:200],
    "nan fps": lambda t: t.replace('"fps": 30.0', '"fps": NaN'),
    "zero fps": lambda t: t.replace('"fps": 30.0', '"fps": 0'),
    "text fps": lambda t: t.replace('"fps": 30.0', '"fps": "fast"'),
    "no actors": lambda t: json.dumps(json.loads(t) | {"actors": []}),
    "no frames": lambda t: json.dumps(json.loads(t) | {"actors": [{"positions": []}]}),
    "ragged": lambda t: t.replace("[[", "[[1, 2, 3], [", 1),
    "one coordinate": lambda t: json.dumps(json.loads(t) | {"joints": ["a"], "edges": [], "parents": [-1], "actors": [{"positions": [[[1]], [[2]]]}]}),
    "text point": lambda t: json.dumps(json.loads(t) | {"joints": ["a"], "edges": [], "parents": [-1], "actors": [{"positions": [[["x", "y"]]]}]}),
    "infinite": lambda t: json.dumps(json.loads(t) | {"joints": ["a"], "edges": [], "parents": [-1], "actors": [{"positions": [[[1, float("inf")]]]}]}),
    "lengths": lambda t: json.dumps(json.loads(t) | {"joints": ["a"], "edges": [], "parents": [-1], "actors": [{"positions": [[[1, 2]]]}, {"positions": [[[1, 2]]] * 2}]}),
    "confidence": lambda t: json.dumps(json.loads(t) | {"joints": ["a"], "edges": [], "parents": [-1], "actors": [{"positions": [[[1, 2]]], "confidence": [[1, 1]]}]}),
    "twice": lambda t: t.replace("left_ear", "right_ear"),
    "cycle": lambda t: json.dumps(json.loads(t) | {"joints": ["a", "b"], "edges": [], "parents": [1, 0], "actors": [{"positions": [[[1, 2]] * 2]}]}),
    "deep": lambda t: "[" * 100_000 + t,
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_files(what, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(BAD[what](fresh(SCENES["mice"]).decode()))
    with pytest.raises(BadFile, match="bad.json: ") as err:
        read(path)
    assert "\n" not in str(err.value)


def test_bad_places(tmp_path):
    with pytest.raises(BadFile, match="a folder"):
        read(tmp_path)
    with pytest.raises(BadFile, match="an existing file"):
        read(tmp_path / "none.json")
    (tmp_path / "empty.json").write_bytes(b"")
    with pytest.raises(BadFile, match="an empty file"):
        read(tmp_path / "empty.json")


def test_one_frame_and_all_missing(tmp_path):
    x = torch.full((1, 2, 2), torch.nan)
    back = read(write(Scene((Motion(x, Skeleton("s", ("a", "b")), 30),)), tmp_path / "x.json"))
    assert not back.actors[0].observed.any() and back.actors[0].positions.shape == (1, 2, 2)
    filled = back.map(lambda m: m.replace(positions=torch.tensor([[[1.5, 2], [3, 4]]])))
    again = read(write(filled, tmp_path / "x.json"))
    assert again.actors[0].positions.tolist() == [[[1.5, 2], [3, 4]]]
    assert np.isfinite(again.actors[0].positions.numpy()).all()
