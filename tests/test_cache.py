"Caches of features: killed and resumed, any number of workers, validation, splits that cannot leak, statistics, datasets."

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from copies import finish, start_copy
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbook.converters.base import Item, dataset_items, find_source, scenes
from motionbook.converters.mvhumannet import load_mvh
from motionbook.converters.split_lists import find_split, read_split, select
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene, mirror
from motionbook.core.rotation import axis_rotation
from motionbook.core.skeletons import SMPL22
from motionbook.data import engine
from motionbook.data import workers as processes
from motionbook.data.cache import precompute, representation_of
from motionbook.data.clips import FeatureClips, validate_cache
from motionbook.data.engine import read_index
from motionbook.data.split_files import make_splits
from motionbook.data.stats import blended_stats
from motionbook.data.to_features import features_command, features_lines
from motionbook.features.points.body_points import Keypoints
from motionbook.features.points.markers import MarkerFeatures
from motionbook.features.representation import REPRESENTATIONS, Layout, describe, rebuild
from motionbook.features.shared.normalize import Normalizer
from motionbook.formats.registry import read, write
from motionbook.synthetic.people import ACTIONS, person, person_markers

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def takes(tmp_path_factory) -> Path:
    "A folder of sixteen recordings by four people, and one that is broken."
    root = tmp_path_factory.mktemp("takes")
    for i in range(16):
        m = person_markers(person(ACTIONS[i % 7], 1.0 + i / 8, seed=i))
        write(Scene((m,)), root / f"p{i % 4}" / f"take{i:02}.trc")
    (root / "p0" / "broken.trc").write_text("PathFileType\t4\n")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def whole(takes, tmp_path_factory) -> dict[str, bytes]:
    "What a run that nobody disturbs leaves."
    out = tmp_path_factory.mktemp("whole")
    features_command("markers", takes, out, validate=True, split="make", stats=True)
    return contents(out)


def test_any_number_of_workers_gives_the_same_bytes(takes, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(
        processes.threading, "active_count", lambda: 2
    )  # new processes, as in a notebook
    features_command("markers", takes, tmp_path, workers=2, validate=True, split="make", stats=True)
    assert contents(tmp_path) == whole


COMMAND = "import sys; from motionbook.cli import main; sys.exit(main())"


def test_two_workers_on_the_command_line_give_the_same_bytes(takes, whole, tmp_path):
    line = f"features markers {takes} --out {tmp_path} --workers 2 --validate --split make --stats"
    run = start_copy(COMMAND, *line.split())
    said = finish(run)
    assert run.returncode == 0, said
    assert contents(tmp_path) == whole


SLOW = """
import sys, time
from motionbook.data import to_features
from motionbook.data import cache, workers
plain = cache.encode_scene
def slowly(*a):
    time.sleep(0.05)
    return plain(*a)
cache.encode_scene = slowly
print("go", flush=True)
to_features.features_command("markers", sys.argv[1], sys.argv[2], validate=True, split="make", stats=True)
"""


def test_killed_and_started_again_ends_in_the_same_bytes(takes, whole, tmp_path):
    p = start_copy(SLOW, takes, tmp_path)
    assert p.stdout.readline() == "go\n"
    while p.poll() is None and len(list((tmp_path / ".notes").glob("*.json"))) < 2:
        time.sleep(0.01)
    os.kill(p.pid, signal.SIGKILL)
    p.wait()
    p.stdout.close()
    assert contents(tmp_path) != whole, "it was done before it was killed"
    features_command("markers", takes, tmp_path, validate=True, split="make", stats=True)
    assert contents(tmp_path) == whole


def test_what_is_there_is_kept_and_what_changed_is_made_again(takes, tmp_path):
    import shutil

    src, out = tmp_path / "src", tmp_path / "out"
    shutil.copytree(takes, src)
    features_command("markers", src, out)
    before = {k: (out / k).stat().st_mtime_ns for k in contents(out) if k.endswith(".npy")}
    shutil.copy(src / "p1" / "take01.trc", src / "p2" / "take02.trc")
    features_command("markers", src, out)
    after = {k: (out / k).stat().st_mtime_ns for k in before}
    assert [k for k in before if before[k] != after[k]] == ["p2/take02.npy"]
    assert np.array_equal(np.load(out / "p2" / "take02.npy"), np.load(out / "p1" / "take01.npy"))


def test_the_files_hold_what_encode_gives(takes, tmp_path):
    features_command("markers", takes, tmp_path)
    r = representation_of(tmp_path)
    for e in read_index(tmp_path):
        for name, frames in e["files"].items():
            x = np.load(tmp_path / name)
            m = read(takes / f"{e['key']}.trc").actors[0]
            assert x.dtype == np.float32 and len(x) == frames
            assert np.array_equal(x, r.encode(m).numpy())


def test_skipped_recordings_have_a_reason_and_are_printed(takes, tmp_path):
    facts = features_command("markers", takes, tmp_path)
    assert [s["key"] for s in facts["skipped"]] == ["p0/broken"]
    assert any(
        "skipped:  p0/broken: broken.trc: expected" in line for line in features_lines(facts)
    )
    rows = [json.loads(r) for r in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert rows[0]["key"] == "p0/broken" and "expected" in rows[0]["reason"]


@pytest.fixture(scope="module")
def bodies(tmp_path_factory) -> Path:
    "A folder of 24 short recordings of whole bodies, one of two people, and one that is too short."
    root = tmp_path_factory.mktemp("bodies")
    for i in range(24):
        write(Scene((person(ACTIONS[i % 7], 0.5 + i / 12, seed=i),)), root / f"take{i:02}.bvh")
    two = [person(a, 1.5, fps=30.0, seed=3) for a in ("walk", "wave")]
    write(Scene(tuple(m.replace(name=f"p{i}") for i, m in enumerate(two))), root / "two.npz")
    write(Scene((person("walk", 0.05),)), root / "short.bvh")
    return root


def test_batches_and_workers_change_no_bit(bodies, tmp_path, monkeypatch):
    made = {}
    for portion, loaded, workers in ((1, 1, 1), (16, 20_000, 1), (16, 200, 2), (7, 20_000, 3)):
        monkeypatch.setattr(engine, "PORTION", portion)
        monkeypatch.setattr(engine, "LOADED", loaded)
        out = tmp_path / f"{portion}_{loaded}_{workers}"
        facts = features_command("ik263", bodies, out, workers=workers)
        assert facts["made"] == 25 and facts["files"] == 26
        assert [s["key"] for s in facts["skipped"]] == ["short"]
        made[out] = contents(out)
    first, *others = made.values()
    assert len(first) == 26 + 3 and all(m == first for m in others)
    r = representation_of(out)
    for k, m in enumerate(read(bodies / "two.npz").actors):
        assert np.array_equal(np.load(out / f"two.{k}.npy"), r.encode(m).numpy())


def test_threads_are_given_back(bodies, tmp_path):
    torch.set_num_threads(2)
    features_command("ik263", bodies, tmp_path, limit=3)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


FIRST = os.getpid()  # a copy of this process keeps the number; a new one has its own


def fragile(path: str) -> Scene:
    "A recording; a process that is not the first one dies of it."
    import multiprocessing

    if os.getpid() != FIRST or multiprocessing.parent_process() is not None:
        os._exit(1)
    time.sleep(0.2)
    return read(path)


DIES = """
import sys
sys.path.insert(0, "tests")
import test_cache as t
from pathlib import Path
good = [i for i in t.dataset_items(sys.argv[1])[1] if "broken" not in i.key]
if sys.argv[3] == "new":
    t.processes.threading.active_count = lambda: 2
try:
    t.precompute(good, t.MarkerFeatures(), sys.argv[2], t.fragile, workers=2)
except Exception as err:
    print("stopped:", err)
index = t.precompute(good, t.MarkerFeatures(), sys.argv[2], workers=2)
print(len(index), all(e["files"] for e in index))
"""


@pytest.mark.parametrize("kind", ["copies", "new"])
def test_a_worker_that_dies_is_an_error_and_not_the_end(takes, tmp_path, kind):
    run = [sys.executable, "-c", DIES, takes, tmp_path, kind]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "stopped: A" in done.stdout and "terminated" in done.stdout
    assert done.stdout.endswith("16 True\n")


SLEEPS = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from motionbook.data import cache
from motionbook.converters.base import dataset_items
from motionbook.features.points.markers import MarkerFeatures
def slowly(path):
    os.write(1, b"go\\n")
    time.sleep(60)
good = dataset_items(sys.argv[1])[1]
if sys.argv[3] == "new":
    from motionbook.data import workers
    workers.threading.active_count = lambda: 2
    from motionbook.formats.registry import read as slowly
    cache.encode_scenes = lambda *a: (os.write(1, b"go\\n"), time.sleep(60))
try:
    cache.precompute(good, MarkerFeatures(), sys.argv[2], slowly, workers=3)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def start_sleeping(takes, out, kind: str, go: int):
    "A run that is at work, and the processes that belong to it."
    p = start_copy(SLEEPS, takes, out, kind)
    for _ in range(go):
        assert p.stdout.readline() == "go\n"
    deadline = time.time() + 60
    while len(mine := children(p.pid)) < (2 if kind == "copies" else 1) and time.time() < deadline:
        time.sleep(0.05)
    assert mine, "there are no workers"
    return p, mine


def children(pid: int) -> set[int]:
    found = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in found.splitlines()[1:]]
    return {c for c, parent in pairs if parent == pid}


def alive(pids: set[int], seconds: float) -> set[int]:
    "Those that still live after so long."
    deadline = time.time() + seconds
    while (left := {p for p in pids if running(p)}) and time.time() < deadline:
        time.sleep(0.05)
    return left


def running(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", ["copies", "new"])
def test_no_worker_outlives_a_parent_that_is_killed(takes, tmp_path, kind):
    p, mine = start_sleeping(takes, tmp_path, kind, 3 if kind == "copies" else 1)
    os.kill(p.pid, signal.SIGKILL)
    p.wait()
    p.stdout.close()
    assert not alive(mine, 5 if kind == "copies" else 30)  # a new one may still be importing


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", ["copies", "new"])
def test_ctrl_c_ends_everything_within_a_second(takes, tmp_path, kind):
    p, mine = start_sleeping(takes, tmp_path, kind, 3 if kind == "copies" else 1)
    begin = time.time()
    os.kill(p.pid, signal.SIGINT)
    while (line := p.stdout.readline()) not in ("interrupted\n", ""):
        pass
    took = time.time() - begin  # tasks of a minute are running
    assert line and p.wait(30) == 0
    p.stdout.close()
    assert took < 3 and not alive(mine, 3 if kind == "copies" else 30), took


def test_a_full_disk_names_the_file_and_keeps_what_is_done(takes, whole, tmp_path, monkeypatch):
    import errno

    from motionbook.core import files

    fill, written = files._fill, []

    def full(temp, data):
        if temp.suffix == ".npy":
            written.append(temp)
            if len(written) > 5:
                raise OSError(errno.ENOSPC, "No space left on device", str(temp))
        fill(temp, data)

    with monkeypatch.context() as m:
        m.setattr(files, "_fill", full)
        m.setattr(engine, "LOADED", 1)
        with pytest.raises(BadFile, match=r"\.npy.*a full disk.*5 of 17 recordings are done"):
            features_command("markers", takes, tmp_path)
    assert len(list(tmp_path.rglob("*.npy"))) == 5 and not list(tmp_path.rglob(".*.tmp*"))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")}
    features_command("markers", takes, tmp_path, validate=True, split="make", stats=True)
    assert contents(tmp_path) == whole and all(p.stat().st_mtime_ns == t for p, t in before.items())


def test_two_runs_on_one_folder_do_not_hurt_each_other(takes, whole, tmp_path):
    line = f"features markers {takes} --out {tmp_path} --validate --split make --stats"
    both = [start_copy(COMMAND, *line.split()) for _ in range(2)]
    for p in both:
        said = finish(p)
        assert p.returncode == 0, said
    assert contents(tmp_path) == whole


@pytest.mark.parametrize(
    "name", ["features.json", "index.jsonl", "quarantine.jsonl", ".notes/x.json"]
)
@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\x00", b"[1]\n", b'{"key": 1}\n'])
def test_damaged_receipts_heal(takes, whole, tmp_path, name, damage):
    for k, data in whole.items():
        (tmp_path / k).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / k).write_bytes(data)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(damage)
    (tmp_path / "p0" / ".take00.0a1b.tmp.npy").write_bytes(b"half")
    features_command("markers", takes, tmp_path, validate=True, split="make", stats=True)
    assert contents(tmp_path) == whole


def test_another_reader_makes_again_what_it_would_read_otherwise(takes, tmp_path):
    _, items = dataset_items(takes)
    precompute(items, MarkerFeatures(), tmp_path)
    assert {e["reader"] for e in read_index(tmp_path) if e["files"]} == {"read"}
    precompute(items, MarkerFeatures(), tmp_path, load=twice_as_fast)
    assert {e["reader"] for e in read_index(tmp_path) if e["files"]} == {"twice_as_fast"}


def twice_as_fast(path: str) -> Scene:
    "A reader that leaves out every other frame."
    scene = read(path)
    return scene.map(lambda m: Motion(m.positions[::2], m.skeleton, m.fps))


DAMAGE = {
    "nan": (
        lambda x: np.where(np.arange(len(x))[:, None] == 4, np.nan, x),
        "nan in joints[0] at frame 4",
    ),
    "inf": (
        lambda x: np.where(np.arange(len(x))[:, None] == 2, np.inf, x),
        "inf in joints[0] at frame 2",
    ),
    "narrow": (lambda x: x[:, :-1], "expected features [t, 86], got float32"),
    "short": (lambda x: x[:2], "frames, got 2"),
    "whole numbers": (lambda x: x.astype(np.int32), "got int32"),
    "flat": (lambda x: x[0], "got float32 [86]"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_validation_finds(takes, tmp_path, damage):
    features_command("markers", takes, tmp_path, limit=4)
    change, reason = DAMAGE[damage]
    path = tmp_path / "p0" / "take04.npy"
    np.save(
        path, change(np.load(path)).astype(np.float32 if damage != "whole numbers" else np.int32)
    )
    bad = validate_cache(tmp_path)
    assert [b.file for b in bad] == ["p0/take04.npy"] and reason in bad[0].reason
    assert (tmp_path / "bad.txt").read_text() == "p0/take04.npy\n"


@pytest.mark.parametrize("cut", [0, 5, 60, 200])
def test_validation_finds_cut_files(takes, tmp_path, cut):
    features_command("markers", takes, tmp_path, limit=3)
    path = tmp_path / "p0" / "take00.npy"
    path.write_bytes(path.read_bytes()[:cut])
    assert [b.file for b in validate_cache(tmp_path)] == ["p0/take00.npy"]


def test_a_pickle_in_disguise_is_not_run(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print], dtype=object), allow_pickle=True)
    assert "array of numbers" in validate_cache(tmp_path, Layout(x=3))[0].reason


# --- splits ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), min_size=8, max_size=60),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.2]),
)
def test_no_clip_and_no_person_is_on_two_sides(drawn, seed, test):
    items = [Item(f"k{i}", "", f"s{s}", f"c{c}") for i, (s, c) in enumerate(drawn)]
    try:
        sides, apart = make_splits(items, 0.2, test, seed)
    except ValueError as err:
        assert "groups that share no key" in str(err)
        return
    at = {i.key: i for i in items}
    assert sorted(k for keys in sides.values() for k in keys) == sorted(at)
    columns = ["clip", "subject"] if apart == "persons and clips" else ["clip"]
    for column in columns:
        seen = [{getattr(at[k], column) for k in keys} for keys in sides.values()]
        assert sum(map(len, seen)) == len(set().union(*seen))


def test_mirrored_twins_stay_together(tmp_path):
    for k, (name, twin) in enumerate(
        (("000001", "M000001"), ("000002", "M000002"), ("walk", "walk_mirrored"))
    ):
        m = person_markers(person(ACTIONS[k], 2.0, seed=k))
        write(Scene((m,)), tmp_path / f"{name}.trc")
        write(Scene((mirror(m),)), tmp_path / f"{twin}.trc")
    _, items = dataset_items(tmp_path)
    sides, _ = make_splits(items, valid=0.34)
    for keys in sides.values():
        bare = {k.lstrip("M").removesuffix("_mirrored") for k in keys}
        assert len(keys) == 2 * len(bare)


def copied(folder: Path, n: int = 24) -> dict[str, str]:
    "Recordings of people, and copies of every other one: renamed, scaled, turned, cut; copy -> original."
    turn = axis_rotation("y", torch.tensor(2.0))
    for k in range(n):
        m = person(ACTIONS[k % 7], 3.0, fps=30.0, seed=k)
        m = Motion(m.positions[:, m.skeleton.indices(SMPL22.joints)], SMPL22, 30.0)
        write(Scene((m,)), folder / f"p{k:02}" / f"take{k:02}.npz")
        if k % 2:
            x = ((0.8 + k / 60) * m.positions[k:] @ turn.mT + 1.0).contiguous()
            write(Scene((m.replace(positions=x),)), folder / f"q{k:02}" / f"old{k:02}.npz")
    return {f"q{k:02}/old{k:02}": f"p{k:02}/take{k:02}" for k in range(1, n, 2)}


def leaked(sides: dict[str, list[str]], copies: dict[str, str]) -> int:
    side = {k: s for s, keys in sides.items() for k in keys}
    return sum(side[a] != side[b] for a, b in copies.items())


def test_copies_under_other_names_never_leak(tmp_path):
    copies = copied(tmp_path / "src")
    _, items = dataset_items(tmp_path / "src")
    by_name = [leaked(make_splits(items, 0.3, seed=s, movements=None)[0], copies) for s in range(5)]
    read_from_files = [make_splits(items, 0.3, 0.2, seed=s) for s in range(5)]
    assert min(by_name) > 0  # or this proves nothing
    assert [leaked(sides, copies) for sides, _ in read_from_files] == [0] * 5
    assert {apart for _, apart in read_from_files} == {"persons, clips and movements"}
    assert all({len(k) for k in sides.values()} != {0} for sides, _ in read_from_files)
    for name in ("ik263", "keypoints"):
        out = tmp_path / name
        facts = features_command(name, tmp_path / "src", out, split="make", fps=20.0)
        assert facts["apart"] == "persons, clips and movements" and facts["splits"]["val"] > 0
        sides = {s: read_split(out / "splits" / f"{s}.txt") for s in facts["splits"]}
        assert leaked(sides, copies) == 0


def test_public_split_files_are_read(real_data):
    for side, n in (("train", 23384), ("val", 1460), ("test", 4384)):
        path = find_split(side, real_data / "humanml3d")
        names = read_split(path)
        assert path.name == f"{side}.txt" and abs(len(names) - n) < 200, len(names)
    twins = [Item(k, "") for k in names[:3]]
    assert len(select(twins, names)[0]) == 3


def test_every_actor_is_a_clip_without_a_cache(bodies, tmp_path):
    _, items = dataset_items(bodies)
    features_command("ik263", bodies, tmp_path)
    cached = FeatureClips(tmp_path)
    r, seen = cached.representation, []

    def load(path):
        seen.append(path)
        return read(path)

    fly = FeatureClips(None, [i for i in items if i.key != "short"], r, load=load)
    assert len(fly) == len(cached) == 26 and [i.key for i, _ in fly.clips].count("two") == 2
    seen.clear()
    assert all(torch.equal(a, b) for a, b in zip(fly, cached, strict=True))
    assert len(seen) == 25  # two people are read once
    whole = FeatureClips(None, [i for i in items if i.key == "short"], r)
    assert len(whole) == 1
    with pytest.raises(ValueError, match="3 frames or more"):
        whole[0]


# --- statistics --------------------------------------------------------------------------------


def test_statistics_come_from_the_training_side_alone(takes, tmp_path):
    features_command("markers", takes, tmp_path, split="make", stats=True)
    clips = FeatureClips(tmp_path, split="train")
    x = torch.cat([clips[i] for i in range(len(clips))]).double()
    n = Normalizer.load(tmp_path / "stats.npz", representation_of(tmp_path))
    s = n.layout["joints"]
    torch.testing.assert_close(n.mean[s], x[:, s].mean(0), atol=1e-9, rtol=0)
    assert n.frames == len(x) < sum(sum(e["files"].values()) for e in read_index(tmp_path))
    held = FeatureClips(tmp_path, split="val")
    assert {i.subject for i in clips.items} & {i.subject for i in held.items} == set()


def test_blending_two_datasets_is_pooling_their_frames(takes, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    _, items = dataset_items(takes)
    good = [i for i in items if "broken" not in i.key]
    r = MarkerFeatures()
    precompute(good[:5], r, a)
    precompute(good[5:], r, b)
    both = blended_stats([a, b], split=None).normalizer
    assert torch.allclose(
        both.std, blended_stats([b, a], split=None, workers=2).normalizer.std, atol=1e-12
    )
    x = torch.cat([torch.from_numpy(np.load(p)) for f in (a, b) for p in sorted(f.rglob("*.npy"))])
    s = r.layout["joints"]
    std = x.double().std(0, correction=0).clamp_min(1e-3)
    torch.testing.assert_close(both.std[s], std[s], atol=1e-9, rtol=0)


# --- datasets ----------------------------------------------------------------------------------


def test_mvhumannet_from_pickles(tmp_path):
    walk = person("walk", 4.0, fps=5.0, seed=2)
    joints = walk.positions[:, walk.skeleton.indices(SMPL22.joints)]
    for seq in ("100001", "100002"):
        folder = tmp_path / "part" / seq / "smpl_param"
        folder.mkdir(parents=True)
        for t, p in enumerate(joints):
            x = np.zeros((1, 45, 3), np.float32)
            x[0, :22] = torch.stack([p[:, 2], -p[:, 0], -p[:, 1]], -1)
            if seq == "100002" and t == 3:
                x[0, 5] = np.nan
            (folder / f"{t}.pkl").write_bytes(pickle.dumps({"joints": x, "shapes": x[:, :1]}))
    assert find_source(tmp_path).name == "mvhumannet"
    a, b = scenes(tmp_path)
    assert torch.allclose(a.actors[0].positions, joints, atol=1e-6) and a.fps == 5.0
    assert int((~b.actors[0].observed).sum()) == 1
    out = tmp_path / "cache"
    facts = features_command("keypoints", tmp_path / "part", out, stats=True)
    assert facts["made"] == 2
    x = np.load(out / "100002" / "smpl_param.npy")
    assert x[:, -1].nonzero()[0].tolist() == [3]
    (tmp_path / "part" / "100001" / "smpl_param" / "2.pkl").write_bytes(
        b"cos\nsystem\n(S'true'\ntR."
    )
    with pytest.raises(BadFile, match="2.pkl"):
        load_mvh(str(tmp_path / "part" / "100001" / "smpl_param"))


def test_real_bvh_folder_to_features_and_back(real_data, tmp_path):
    root = real_data / "bvh" / "samples"
    _, items = dataset_items(root)
    facts = features_command(
        "keypoints", root, tmp_path, validate=True, split="make", stats=True, workers=2
    )
    assert facts["made"] >= 5 and facts["bad"] == []
    for s in facts["skipped"]:
        assert "expected the joints of" in s["reason"], s
    clips = FeatureClips(tmp_path)
    r = clips.representation
    stats = Normalizer.load(tmp_path / "stats.npz", r)
    at = {i.key: i.path for i in items}
    for i in range(min(len(clips), 4)):
        m = read(at[clips.items[i].key]).actors[0]
        back = r.decode(stats.undo(stats(clips[i])), r.encode_placed(m)[1])
        same = m.skeleton.indices(back.skeleton.joints)
        assert (back.positions - m.positions[:, same]).abs().max() < 2e-5


def test_real_dlc_folder(real_data, tmp_path):
    facts = features_command("dlc", real_data / "dlc" / "openfield", tmp_path, validate=True)
    assert facts["made"] == 2 and facts["bad"] == []
    csv, h5 = (np.load(p) for p in sorted(tmp_path.glob("*.npy")))
    assert np.abs(csv - h5).max() < 1e-3


def test_real_aist(real_data, tmp_path):
    root = real_data / "aistpp"
    assert find_source(root).name == "aist"
    _, items = dataset_items(root)
    assert sorted({i.subject for i in items}) == ["d02", "d04", "d06"]
    facts = features_command("keypoints", root, tmp_path, fps=20.0)
    assert facts["made"] == 3 and facts["fps"] == [20.0], facts["skipped"]


@pytest.mark.parametrize("make", [
    lambda: MarkerFeatures(kmax=24),
    lambda: Keypoints(SMPL22, fps=20.0, up="z"),
    lambda: Keypoints(person("walk", 1.0).skeleton, joints=("pelvis", "head"), velocity_joints=("head",)),
])  # fmt: skip
def test_descriptions_make_the_same_representation(make):
    r = make()
    again = rebuild(json.loads(json.dumps(describe(r))))
    assert again == r and again.layout == r.layout


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_named_representation_is_there(name):
    from dataclasses import fields

    from motionbook.features.representation import representation_class

    cls = representation_class(name)
    assert {"encode", "decode", "layout"} <= set(dir(cls)) and "fps" in {
        f.name for f in fields(cls)
    }
