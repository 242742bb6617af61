"Canonical files: bad recordings among good ones, killed runs, and real datasets."

import json
import os
import pickle
import random
import signal
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from copies import start_copy

from motionbook.converters.base import scenes
from motionbook.converters.labels import labels_of
from motionbook.converters.style100 import load_style100
from motionbook.data.canonical import CanonicalOptions, convert_dataset
from motionbook.schema.sample import load_canonical
from motionbook.synthetic.raw_style100 import write_style100

STYLES, MOVES = ("Aeroplane", "Zombie", "Robot"), ("FW", "BR", "ID")


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_style100(tmp_path_factory.mktemp("style100"), STYLES, MOVES, seconds=1.5)


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory) -> dict[str, bytes]:
    "What a run that nobody disturbs leaves."
    out = tmp_path_factory.mktemp("whole")
    convert_dataset(raw, out)
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


class Evil:
    def __reduce__(self):
        return os.mkdir, ("/tmp/motionbook-evil",)


BAD = {
    "cut": lambda good: good[: len(good) // 2],
    "empty": lambda good: b"",
    "another kind": lambda good: b"PK\x03\x04 nothing of the kind",
    "not a number": lambda good: (
        good.replace(b"\n0.", b"\nx.", 1) if b"\n0." in good else good + b"x"
    ),
    "one frame": lambda good: (
        good[: good.index(b"Frames:")]
        + b"Frames: 1\nFrame Time: 0.016667\n"
        + good.splitlines(keepends=True)[-1]
    ),
    "a pickle that runs code": lambda good: pickle.dumps(Evil()),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_recordings_cost_no_other(kind, raw, whole, tmp_path):
    for k, data in contents(raw).items():
        (tmp_path / "raw" / k).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / k).write_bytes(data)
    bad = tmp_path / "raw" / "Zombie" / "Zombie_SW.bvh"
    bad.write_bytes(BAD[kind]((raw / "Zombie" / "Zombie_FW.bvh").read_bytes()))
    made = convert_dataset(tmp_path / "raw", tmp_path / "out")
    assert made["left_out"] == 1
    assert (tmp_path / "out" / "canonical.pt").read_bytes() == whole["canonical.pt"]
    (row,) = map(json.loads, (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines())
    assert row["path"] == "Zombie_SW.bvh" and row["rule"] and row["reason"]
    assert not Path("/tmp/motionbook-evil").exists()


def test_two_workers_give_the_same_bytes(raw, whole, tmp_path):
    convert_dataset(raw, tmp_path, workers=2)
    assert contents(tmp_path) == whole


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_and_resumed_ends_in_the_same_bytes(raw, whole, tmp_path):
    code = (
        "import sys; from motionbook.data.canonical import convert_dataset; "
        "print('go', flush=True); convert_dataset(sys.argv[1], sys.argv[2])"
    )
    began = time.monotonic()
    convert_dataset(raw, tmp_path / "unbroken")
    took = time.monotonic() - began
    pick, killed = random.Random(5), 0
    for _ in range(int(os.environ.get("MOTIONBOOK_KILLS", "4"))):
        p = start_copy(code, raw, tmp_path / "killed")
        p.stdout.readline()
        time.sleep(pick.uniform(0, took / 3))  # the next one goes on from there
        killed += p.poll() is None
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
    convert_dataset(raw, tmp_path / "killed")
    assert contents(tmp_path / "killed") == whole
    assert killed


def test_other_options_go_to_another_folder(raw, tmp_path):
    convert_dataset(raw, tmp_path, limit=1)
    with pytest.raises(ValueError, match="choose another folder"):
        convert_dataset(raw, tmp_path, limit=1, options=CanonicalOptions(fps=20.0))


@pytest.mark.parametrize(
    "name, dataset, least",
    [
        ("aistpp", "aist", 3),
        ("motionlib/asap_smpl_npz", "amass", 38),
        ("bvh/samples", "recordings", 12),
    ],
)
def test_real_recordings_stand(real_data, tmp_path, name, dataset, least):
    "People of real datasets stand upright in the picture, with limbs of human length."
    made = convert_dataset(real_data / name, tmp_path)
    assert made["dataset"] == dataset and made["samples"] >= least
    tall = []
    for s in load_canonical(tmp_path / "canonical.pt"):
        y = s["motion"][:, 1::2]
        assert torch.isfinite(s["motion"]).all()
        tall.append(float((y.amax(1) - y.amin(1)).quantile(0.9)))
    assert 1.1 < np.median(tall) < 2.1, tall


def test_dances_have_their_music(real_data, tmp_path):
    convert_dataset(real_data / "aistpp", tmp_path)
    for s in load_canonical(tmp_path / "canonical.pt"):
        music = s["enhanced_meta"]["music"]
        assert 80 <= music["bpm"] <= 135 and music["genre"] and len(music["beat_frames"]) > 3
        assert s["description"].startswith("a person dances")


def test_dancers_stand_on_the_floor(real_data, tmp_path):
    convert_dataset(real_data / "aistpp", tmp_path)
    for s in load_canonical(tmp_path / "canonical.pt"):
        assert abs(float(s["motion"][:, 1::2].amin(1).quantile(0.02))) < 0.12


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs motionbook[dask]")
def test_a_dask_cluster_gives_the_same_bytes(raw, whole, tmp_path):
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        convert_dataset(raw, tmp_path / "client", workers=client)
        convert_dataset(raw, tmp_path / "address", workers=cluster.scheduler_address)
        used = client.run(lambda: "motionbook.data.canonical" in sys.modules)
    assert contents(tmp_path / "client") == contents(tmp_path / "address") == whole
    assert all(used.values())  # both have worked


def test_samples_know_their_side(tmp_path):
    "Of the dataset's own lists, in the sample and in the table that is exchanged."
    from motionbook.synthetic.raw_joints import write_humanml3d

    root = write_humanml3d(tmp_path / "raw", seconds=3.0)
    convert_dataset(root, tmp_path / "out")
    sides = {
        s["meta"]["key"]: s["meta"]["split"] for s in load_canonical(tmp_path / "out/canonical.pt")
    }
    assert sides == dict.fromkeys(["000000", "M000000", "000001", "M000001"], "train") | {
        "000002": "val",
        "M000002": "test",
    }
    only = convert_dataset(root, tmp_path / "val", split="val")
    assert only["recordings"] == 1
    (root / "train.txt").write_text("M000002\n")
    (root / "test.txt").write_text("000000\n")
    convert_dataset(root, tmp_path / "out")  # what has changed is made again
    sides = {
        s["meta"]["key"]: s["meta"].get("split")
        for s in load_canonical(tmp_path / "out/canonical.pt")
    }
    assert (sides["M000002"], sides["000000"], sides["000001"]) == ("train", "test", None)


def test_a_changed_text_or_cut_is_read_again(tmp_path):
    from motionbook.synthetic.raw_joints import text_line, write_humanml3d

    root = write_humanml3d(tmp_path / "raw", ("walk",), seconds=3.0)
    convert_dataset(root, tmp_path / "out")
    (root / "texts" / "000000.txt").write_text(
        text_line("he strolls") + text_line("he ambles") + text_line("he turns", 0.5, 2.0)
    )
    convert_dataset(root, tmp_path / "out")
    first, part = load_canonical(tmp_path / "out/canonical.pt")[:2]
    assert first["description"] == "he strolls." and first["meta"]["texts"] == [
        "he strolls.",
        "he ambles.",
    ]
    assert part["description"] == "he turns." and part["meta"]["span"] == [0.5, 2.0]
    assert len(part["motion"]) == 37  # 30 frames at 20 a second, at 25


def test_nothing_good_leaves_no_file(raw, tmp_path):
    bad = tmp_path / "raw" / "Robot"
    bad.mkdir(parents=True)
    (bad / "Robot_FW.bvh").write_bytes(b"")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/canonical.pt").write_bytes(b"of an earlier run")
    made = convert_dataset(tmp_path / "raw", tmp_path / "out")
    assert made["samples"] == 0 and not (tmp_path / "out/canonical.pt").exists()
    assert "Robot_FW" in (tmp_path / "out/quarantine.jsonl").read_text()


@pytest.mark.parametrize("view", ["side", "three_quarter", "auto", 30.0])
def test_samples_are_taken_again_as_they_are(raw, tmp_path, view):
    "A picture has no other side: whatever view is asked for, every sample comes out as it went in."
    first = CanonicalOptions(views=(view,))
    assert convert_dataset(raw, tmp_path / "one", options=first)["samples"] == 9
    more = CanonicalOptions(views=("front", "auto"))
    again = convert_dataset(tmp_path / "one" / "canonical.pt", tmp_path / "two", options=more)
    assert (again["samples"], again["left_out"]) == (9, 0), again["first"]
    one, two = (load_canonical(tmp_path / n / "canonical.pt") for n in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a["motion"], b["motion"]) and a["meta"]["view"] == b["meta"]["view"]


def test_dances_stay_on_the_floor_when_taken_again(real_data, tmp_path):
    convert_dataset(real_data / "aistpp", tmp_path / "one")
    convert_dataset(tmp_path / "one" / "canonical.pt", tmp_path / "two")
    one, two = (load_canonical(tmp_path / n / "canonical.pt") for n in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a["motion"], b["motion"]) and torch.equal(a["camera"], b["camera"])


def test_a_canonical_file_is_mapped_and_not_read(raw, tmp_path):
    convert_dataset(raw, tmp_path)
    path = tmp_path / "canonical.pt"
    plain = load_canonical(path)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(path) in maps.read_text(), "its pages belong to the file"
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as b:
        for name in a.namelist():
            b.writestr(name, a.read(name))
    for x, y in zip(plain, load_canonical(packed), strict=True):
        assert torch.equal(x["motion"], y["motion"]), "an archive that is packed is read as ever"


@pytest.mark.parametrize("root", ["Root", "Chest0", "J\u00f6int", "reference", "b_root"])
def test_a_style_may_call_its_root_anything(tmp_path, root):
    home = write_style100(tmp_path, ("Aeroplane",), ("FW",), seconds=1.5)
    file = home / "Aeroplane" / "Aeroplane_FW.bvh"
    usual = load_style100(str(file))
    text = file.read_text(encoding="utf-8").replace("ROOT Hips", f"ROOT {root}")
    file.write_text(text, encoding="utf-8")
    odd = load_style100(str(file))
    assert odd.actors[0].skeleton == usual.actors[0].skeleton
    assert torch.equal(odd.actors[0].positions, usual.actors[0].positions)
    assert any(repr(root) in n for n in odd.meta["notes"])
    assert not any("root" in n for n in usual.meta["notes"])


def test_basic_dances_last_whole_phrases(real_data, tmp_path):
    "What the name says of the tempo fits the sequence's length: sixteen beats or a multiple of it."
    for scene in scenes(real_data / "aistpp"):
        beats = len(scene) / scene.fps * labels_of(scene).bpm / 60
        assert abs(beats - 16 * round(beats / 16)) < 0.05


@pytest.mark.parametrize("ending", (".motion", ".bvh", ".npz", ".csv", ".trc"))
def test_a_sample_with_labels_goes_into_every_form(raw, tmp_path, ending):
    "Its labels are no rows of a table."
    from motionbook.formats.registry import read, write

    convert_dataset(raw, tmp_path / "out", limit=1)
    scene = read(tmp_path / "out" / "canonical.pt")
    assert labels_of(scene).plain()
    back = read(write(scene, tmp_path / f"sample{ending}"))
    assert len(back) == len(scene)


def test_a_table_of_tracks_has_no_labels_of_actions(tmp_path):
    from motionbook.formats.registry import read, write
    from motionbook.synthetic.animals import mouse

    path = write(mouse(seconds=2, seed=1), tmp_path / "mouse.csv")
    *head, first, second = path.read_text().splitlines()[:5]
    later = [f"{int(w) + 40},{rest}" for w, _, rest in (r.partition(",") for r in (first, second))]
    path.write_text("\n".join([*head, *later]) + "\n")
    scene = read(path)
    assert scene.meta["frame_labels"] == ("40", "41")
    assert labels_of(scene).plain() == {}


def test_a_conversion_without_a_sample_has_failed(tmp_path, capsys):
    from motionbook.cli import main

    (tmp_path / "x.bvh").write_text("junk")
    assert (
        main(["convert", "recordings", str(tmp_path / "x.bvh"), "-o", str(tmp_path / "out")]) == 2
    )
    said = capsys.readouterr().err
    assert "none of 1 (unreadable 1)" in said and said.count("\n") == 1
    assert (tmp_path / "out" / "quarantine.jsonl").read_text().count("\n") == 1
    assert not (tmp_path / "out" / "canonical.pt").exists()
