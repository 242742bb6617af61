"""data/samples: written by one command, the same bytes, and as damaged as it says."""

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from motionbook.formats.registry import read

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data" / "samples"
torch.set_num_threads(1)
NAMES = sorted(p.name for p in SAMPLES.iterdir())
RECORDINGS = [
    n for n in NAMES if Path(n).suffix in (".bvh", ".trc", ".csv", ".h5", ".npz", ".c3d")
] + [n for n in NAMES if n.endswith(".json") and n != "damage.json"]
DAMAGE = json.loads((SAMPLES / "damage.json").read_text())


def samples_tool():
    spec = importlib.util.spec_from_file_location("samples", ROOT / "tools" / "samples.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["samples"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    samples_tool().write_samples(folder)
    return folder


def test_one_command_writes_exactly_these_files(fresh):
    assert sorted(p.name for p in fresh.iterdir()) == NAMES
    assert sum(p.stat().st_size for p in SAMPLES.iterdir()) < 5e6


@pytest.mark.parametrize("name", [n for n in NAMES if not n.endswith((".h5", ".npz"))])
def test_text_is_the_same_byte_for_byte(fresh, name):
    assert (fresh / name).read_bytes() == (SAMPLES / name).read_bytes()


def npz_members(path):
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as z:
        return [(i.filename, i.date_time, z.read(i)) for i in z.infolist()]


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith(".npz")])
def test_npz_is_the_same_byte_for_byte_once_unpacked(fresh, name):
    "Another zlib may pack the same bytes differently."
    assert npz_members(fresh / name) == npz_members(SAMPLES / name)


def h5_content(path):
    import h5py

    found = {}
    with h5py.File(path) as f:
        attributes = lambda node: {k: np.asarray(v).tolist() for k, v in node.attrs.items()}
        found["/"] = attributes(f)
        f.visititems(lambda k, v: found.update({k: (attributes(v), stored(v))}))
    return found


def stored(node):
    return (
        (str(node.dtype), node.shape, np.asarray(node[()]).tobytes())
        if hasattr(node, "dtype")
        else None
    )


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith(".h5")])
def test_hdf5_holds_the_same_bytes(fresh, name):
    "Every dataset, type and attribute; another HDF5 library may lay them out differently."
    assert h5_content(fresh / name) == h5_content(SAMPLES / name)


def test_two_runs_give_the_same_files(fresh, tmp_path):
    samples_tool().write_samples(tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (fresh / name).read_bytes(), name


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_recording_reads(name):
    scene = read(SAMPLES / name)
    assert len(scene) >= 120 and all(m.observed.float().mean() > 0.9 for m in scene.actors)


@pytest.mark.parametrize("stem", ["mouse", "mouse_damaged", "two_mice", "two_mice_damaged"])
def test_csv_and_h5_agree(stem):
    a, b = read(SAMPLES / f"{stem}.csv"), read(SAMPLES / f"{stem}.h5")
    assert [m.name for m in a.actors] == [m.name for m in b.actors]
    for x, y in zip(a.actors, b.actors):
        assert x.skeleton.joints == y.skeleton.joints
        torch.testing.assert_close(x.positions, y.positions, equal_nan=True, atol=2e-3, rtol=0)


def hit(event, clean):
    "[t j] the points of one actor that an event changes."
    mask = torch.zeros(clean.positions.shape[:2], dtype=torch.bool)
    mask[event["first"] : event["last"] + 1, clean.skeleton.indices(event["points"])] = True
    return mask


@pytest.mark.parametrize("name", [n for n in DAMAGE if not n.endswith(".bvh")])
def test_damage_is_what_the_table_says_and_nothing_else(name):
    clean, broken = read(SAMPLES / name.replace("_damaged", "")), read(SAMPLES / name)
    masks = [torch.zeros(m.positions.shape[:2], dtype=torch.bool) for m in clean.actors]
    floor = 0.02 if clean.actors[0].positions.shape[-1] == 3 else 4.0  # metres, pixels
    for event in DAMAGE[name]:
        if event["kind"] == "identity":
            for m in masks[:2]:
                m[event["first"] : event["last"] + 1] = True
            continue
        a = event["actor"]
        mask = hit(event, clean.actors[a])
        masks[a] |= mask
        gap = (broken.actors[a].positions - clean.actors[a].positions).norm(dim=-1)[mask]
        if event["kind"] == "missing":
            assert gap.isnan().all(), event
        else:
            assert gap.max() > floor, event
    for c, b, mask in zip(clean.actors, broken.actors, masks):
        assert torch.equal(c.positions[~mask], b.positions[~mask])


def test_damage_of_the_bvh_leaves_bones_and_other_frames_alone():
    clean, broken = (
        read(SAMPLES / "walk.bvh").actors[0],
        read(SAMPLES / "walk_damaged.bvh").actors[0],
    )
    moved = (clean.positions - broken.positions).norm(dim=-1).amax(-1)
    hurt = torch.zeros(len(clean), dtype=torch.bool)
    for event in DAMAGE["walk_damaged.bvh"]:
        at = slice(event["first"], event["last"] + 1)
        hurt[at] = True
        assert moved[at].max() > 0.05, event
    assert moved[~hurt].max() < 1e-5
    assert torch.equal(clean.skeleton.rest_offsets, broken.skeleton.rest_offsets)
