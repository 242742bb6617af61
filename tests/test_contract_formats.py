"""What every registered format promises, on small files of its own and on data/samples.

Untouched: the same bytes. One point changed: its numbers alone. Missing and seen come back as they were.
A failed write keeps the old file. (Hostile bytes: test_fuzz.)
"""

import errno
import io
import os
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from helpers import SAMPLES, edited, same
from recordings import examples, put

from motionbook.core.archives import parse_npy
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion
from motionbook.core.pickles import load_pickle
from motionbook.formats.registry import find_format, formats, read, write

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [f.name for f in formats() if f.writes]
RECORDINGS = sorted(p for p in SAMPLES.iterdir() if p.suffix != ".md" and p.name != "damage.json")
REPEATS = 3  # places in a file that may say the same about a point: score, instance, occupancy


@pytest.fixture(params=NAMES)
def cases(request, tmp_path):
    "A format's name and its small files, each in a folder of its own."
    paths = []
    for label, files in examples(request.param).items():
        (folder := tmp_path / label).mkdir()
        paths.append(put(files, folder))
    return request.param, paths


def again(scene, path: Path, name: str | None = None) -> Path:
    "The scene in another folder under the same name."
    (path.parent / "out").mkdir(exist_ok=True)
    return write(scene, path.parent / "out" / path.name, format=name)


def stores_angles(m: Motion) -> bool:
    "Whether the file holds turns, so that a point moves the numbers of bones around it."
    return m.rotations is not None


# what differs


def numbers(path: Path) -> dict[str, np.ndarray]:
    "All that a file says, by where it says it."
    data = path.read_bytes()
    if data.startswith(b"\x89HDF"):
        return dict(datasets(data))
    if zipfile.is_zipfile(io.BytesIO(data)):
        with np.load(io.BytesIO(data)) as z:
            return {k: z[k] for k in z.files}
    if data.startswith(b"\x93NUMPY"):
        x = parse_npy(data, path, objects=True)
        if x.dtype != object:
            return {"array": x}
        inner = lambda v: v["arr"] if isinstance(v, dict) and "arr" in v else str(v)
        return {k: np.asarray(inner(v)) for k, v in x.item().items()}
    if path.suffix == ".pkl":
        return {k: np.asarray(v) for k, v in load_pickle(path).items()}
    if path.suffix == ".c3d":
        return {"words": np.frombuffer(data.ljust(-(-len(data) // 2) * 2, b"\0"), "u2")}
    return {"tokens": np.array(re.split(rb"([\s,;]+)", data.replace(b"\0", b"")), object)}


def datasets(data: bytes):
    found = []
    with h5py.File(io.BytesIO(data)) as f:
        f.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
        for name in found:
            x = np.asarray(f[name][()])
            for column in x.dtype.names or [""]:
                yield f"{name}/{column}", x[column] if column else x


def differing(a: Path, b: Path) -> int:
    "How many numbers of two files differ; their shapes must not."
    x, y = numbers(a), numbers(b)
    assert x.keys() == y.keys()
    return sum(unlike(x[k], y[k]) for k in x)


def unlike(x: np.ndarray, y: np.ndarray) -> int:
    assert (x.dtype, x.shape) == (y.dtype, y.shape)
    differs = x != y
    if x.dtype.kind == "f":
        differs &= ~(np.isnan(x) & np.isnan(y))
    return int(np.sum(differs))


def test_a_single_number_is_seen():
    "The comparison used below sees one, in each kind of file."
    for kind in ("f4", "i2", "S3"):
        x = np.zeros((3, 2), kind)
        y = x.copy()
        y[1, 1] = 1
        assert (unlike(x, x), unlike(x, y)) == (0, 1)
    assert unlike(np.array([np.nan, 1]), np.array([np.nan, np.nan])) == 1


# the promises


def test_untouched_is_the_same_bytes(cases):
    name, paths = cases
    for path in paths:
        assert again(read(path, format=name), path, name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name)
def test_untouched_samples_are_the_same_bytes(path, tmp_path):
    out = tmp_path / path.name
    assert write(read(path), out).read_bytes() == path.read_bytes()
    assert find_format(out).name == find_format(path).name


def test_one_point_changes_its_own_numbers(cases):
    name, paths = cases
    for path in paths:
        scene = read(path, format=name)
        m, frame, joint = scene.actors[0], 1, -1
        size = float(m.positions.nan_to_num().abs().max())
        new = edited(scene, frame, joint, by=0.03125 * size)
        out = again(new, path, name)
        back = read(out, format=name)
        most = len(m.skeleton) * 6 if stores_angles(m) else m.positions.shape[-1] + REPEATS
        assert 0 < differing(path, out) <= most * (2 if path.suffix == ".c3d" else 1), path
        assert same(*(x.actors[0].positions[others(m, frame, joint)] for x in (back, scene))), path
        for a, b in zip(scene.actors[1:], back.actors[1:], strict=True):
            assert same(a.positions, b.positions), path
        if not stores_angles(m):
            a, b = (x.actors[0].positions[frame, joint] for x in (back, new))
            assert (a - b).abs().max() < 1e-3 * size, path  # as many digits as the file has


def others(m: Motion, frame: int, joint: int) -> torch.Tensor:
    "[t j] the points that one edit leaves alone: all but its own, or where angles are stored but its frame's."
    rest = torch.ones(m.positions.shape[:2], dtype=torch.bool)
    rest[frame] = not stores_angles(m)
    rest[frame, joint] = False
    return rest


def test_missing_and_seen_points_come_back(cases):
    "A seen point is taken away, and given back; nothing else moves."
    name, paths = cases
    for path in paths:
        scene = read(path, format=name)
        m = scene.actors[0]
        if stores_angles(
            m
        ):  # they place every point; the format's own tests say what it does with gaps
            continue
        frame, joint = m.observed.nonzero()[-1].tolist()
        there, rest = m.positions[frame, joint].tolist(), others(m, frame, joint)
        lost = edited(scene, frame, joint, to=[torch.nan] * len(there))
        gone = read(again(lost, path, name), format=name)
        back = read(again(edited(gone, frame, joint, to=there), path, name), format=name)
        assert not gone.actors[0].observed[frame, joint], path
        assert back.actors[0].observed[frame, joint], path
        assert all(same(s.actors[0].positions[rest], m.positions[rest]) for s in (gone, back)), path
        found = back.actors[0].positions[frame, joint]
        assert torch.allclose(found, m.positions[frame, joint], rtol=1e-3), path


def test_a_failed_write_keeps_the_old_file(cases, monkeypatch):
    name, paths = cases

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for path in paths:
        scene, old = read(path, format=name), path.read_bytes()
        before = set(path.parent.iterdir())
        with pytest.raises(BadFile, match="full disk"):
            write(edited(scene, by=0.03), path, format=name)
        assert path.read_bytes() == old and set(path.parent.iterdir()) == before, path
