"""What reading and writing gives, as hashes: `python benchmarks/roundtrip.py DATA [--most N] > new.jsonl`.

For every recording below DATA, also inside its tar archives (N of each), one line: the sha256 of the file written back
untouched, and of the file with one point moved by a hand's breadth. Run it with PYTHONPATH on two checkouts and compare
the two outputs: they must be the same. The seconds of reading and writing stand beside, for what they are worth.
"""

import argparse
import hashlib
import json
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch

import motionbook.formats.registry as registry

ENDINGS = (".bvh", ".amc", ".trc", ".c3d", ".csv", ".h5", ".slp", ".nwb", ".json", ".npz", ".pkl")


def recordings(root: Path, box: Path, most: int):
    "Names and paths of what could be a recording; archives are unpacked one at a time."
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        if path.name.lower().endswith(ENDINGS):
            yield name, path
        elif ".tar" in path.name:
            where = box / path.name.split(".")[0]
            with tarfile.open(path) as archive:
                archive.extractall(where, filter="data")
            inside = [p for p in sorted(where.rglob("*")) if p.name.lower().endswith(ENDINGS)]
            for p in inside[:: max(len(inside) // most, 1)]:
                yield f"{name}/{p.relative_to(where).as_posix()}", p


def moved(scene):
    "The scene with one point that is there moved by 8 cm, or 80 pixels."
    m = scene.actors[0]
    t, j = m.observed.nonzero()[len(m.observed.nonzero()) // 2].tolist()
    x = m.positions.clone()
    x[t, j, 0] += 0.08 if x.shape[-1] == 3 else 80.0
    return scene.replace(actors=(m.replace(positions=x), *scene.actors[1:]))


def line(path: Path, box: Path) -> dict:
    "Hashes and seconds of one recording."
    sha = lambda p: hashlib.sha256(p.read_bytes()).hexdigest()[:16]
    try:
        at = [time.perf_counter()]
        scene = registry.read(path)
        at.append(time.perf_counter())
        out = box / path.name
        same = sha(registry.write(scene, out)) == sha(path)
        at.append(time.perf_counter())
        edited = sha(registry.write(moved(scene), out))
        at.append(time.perf_counter())
    except Exception as err:  # a file that is none, or a fault worth seeing
        return {"error": f"{type(err).__name__}: {err}"[:160]}
    found = torch.cat([m.positions.flatten() for m in scene.actors]).nan_to_num(-7)
    points = hashlib.sha256(found.numpy().tobytes()).hexdigest()[:16]
    seconds = [round(b - a, 4) for a, b in zip(at, at[1:])]
    return {"same": same, "edited": edited, "points": points, "fps": scene.fps, "s": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--most", type=int, default=10, help="recordings of one archive")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as box:
        work = Path(box, "out")
        work.mkdir()
        for name, path in recordings(args.data, Path(box), args.most):
            own = Path(tempfile.mkdtemp(dir=work))  # an .amc shares its skeleton with its folder
            print(json.dumps({"file": name} | line(path, own)), flush=True)
    sys.exit(0)
