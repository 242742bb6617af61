"Cleaning touches what it flagged and nothing else: in memory to the bit, in text files to the character."

import csv

import h5py
import numpy as np
import pytest
import torch
from helpers import find_real_data

from motionbook import clean, read
from motionbook.cleanup.pipeline import clean_file
from motionbook.filters.corrupt.corruption import add_jumps
from motionbook.synthetic.people import person


def recordings():
    "Every real recording that `clean` is made for; the archives have tests of their own."
    found = find_real_data()
    if found is None:
        return [pytest.param(None, marks=pytest.mark.skip(reason="no real recordings"))]
    kinds = ("dlc/*/*.csv", "dlc/*/*.h5", "trc/*.trc", "bvh/samples/*.bvh", "asf_amc/*.bvh")
    return [pytest.param(p, id=p.name) for k in kinds for p in sorted(found.glob(k))]


def same(a, b):
    return (a == b) | (a.isnan() & b.isnan())


@pytest.mark.parametrize("path", recordings())
def test_what_is_not_flagged_stays(path, tmp_path):
    "In memory to the bit, in text to the character, in HDF5 to the number."
    out = tmp_path / path.name
    done = clean_file(path, out)
    for new, old, flags in zip(done.scene.actors, read(path).actors, done.flagged):
        kept = ~flags if old.rotations is None else ~flags.any(1, keepdim=True).expand_as(flags)
        assert same(new.positions, old.positions)[kept].all()
        if old.rotations is not None:
            frames = ~flags.any(1)
            assert torch.equal(new.rotations[frames], old.rotations[frames])
    {".bvh": check_bvh, ".h5": check_h5}.get(path.suffix, check_table)(path, out, done)


def check_table(path, out, done):
    "Cells that differ are at most those of changed points, and every line ending is kept."
    before, after = path.read_bytes(), out.read_bytes()
    assert before.count(b"\r\n") == after.count(b"\r\n")
    assert before.count(b"\n") == after.count(b"\n")
    delimiter = "\t" if path.suffix == ".trc" else ","
    rows = [list(csv.reader(b.decode().splitlines(), delimiter=delimiter)) for b in (before, after)]
    differ = sum(a != b for x, y in zip(*rows) for a, b in zip(x, y))
    assert [len(r) for r in rows[0]] == [len(r) for r in rows[1]], path
    cells = done.scene.actors[0].positions.shape[-1] + (done.scene.actors[0].confidence is not None)
    assert differ <= cells * sum(int(c.sum()) for c in done.changed()), path


def check_bvh(path, out, done):
    "Lines that differ are at most the frames with a changed point."
    before, after = (p.read_bytes().split(b"\n") for p in (path, out))
    assert len(before) == len(after)
    frames = int(torch.stack([c.any(1) for c in done.changed()]).any(0).sum())
    assert sum(a != b for a, b in zip(before, after)) <= frames, path


def dataset_names(group):
    names = []
    group.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
    return names


def check_h5(path, out, done):
    "Numbers that differ are at most those of changed points; shapes and types are kept."
    found = 0
    with h5py.File(path) as a, h5py.File(out) as b:
        for n in dataset_names(a):
            assert a[n].dtype == b[n].dtype and a[n].shape == b[n].shape
            x, y = (np.asarray(f[n]) for f in (a, b))
            x, y = ([v[k] for k in v.dtype.names] if v.dtype.names else [v] for v in (x, y))
            found += sum(
                int((p != q).sum() - ((p != p) & (q != q)).sum())
                if p.dtype.kind == "f"
                else int((p != q).sum())
                for p, q in zip(x, y)
            )
    assert found <= 3 * sum(int(c.sum()) for c in done.changed())


@pytest.mark.parametrize("fidelity", ["missing", "outliers"])
def test_a_clean_recording_stays_as_it_is(fidelity):
    "Nothing is missing and nothing jumps: hardly a point may change."
    from motionbook import Scene

    for action in ("walk", "run", "dance", "jump"):
        done = clean(Scene((person(action, seconds=4, fps=60, seed=7),)), fidelity=fidelity)
        share = float(done.changed()[0].float().mean())
        assert share <= (0 if fidelity == "missing" else 0.005), action


def test_the_check_can_fail(tmp_path):
    "The comparison used above sees a single changed number."
    from motionbook import Scene

    scene = Scene((person("walk", seconds=1, seed=1),))
    broken = add_jumps(scene, rate=0.05, generator=1)
    assert not same(broken.scene.actors[0].positions, scene.actors[0].positions).all()
