"""What an hour costs: CPU and memory of `motionbook clean`, beside the filters that people use, on the same files.

python benchmarks/clean_speed.py [--share 1.0] [--only dlc|bvh|c3d] [--json FILE]

Three files are made: DeepLabCut's table of 216,000 frames x 8 points x 2 animals (an hour at 60 fps), a BVH of 36,000
frames x 57 joints and a C3D of 36,000 frames x 50 markers, each with jumps and gaps; `--share 0.1` makes them a tenth
as long. Every way runs in a process of its own with one thread, reads the file, repairs it and writes a file. CPU
seconds and peak memory are those of the process, start and imports included; `ratio` is to `motionbook clean`. The
files are made by processes too: the system counts the memory of the one that starts a process as the started one's.
The peers: DeepLabCut's `filterpredictions` (scipy's median filter over five frames) written with pandas, and a threshold
with linear interpolation as movement does it. They exist for the table only: nobody filters a C3D in these ways.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from motionbook.core.motion import Motion, Scene, fk
from motionbook.core.skeleton import Skeleton
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.formats.registry import write
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person

MEDIAN = """
import sys, pandas as pd
from scipy.signal import medfilt
table = pd.read_csv(sys.argv[1], header=list(range(int(sys.argv[3]))), index_col=0)
for c in table.columns:
    if c[-1] in ("x", "y"):
        table[c] = medfilt(table[c].to_numpy(), 5)
table.to_csv(sys.argv[2])
"""
THRESHOLD = """
import sys, pandas as pd
table = pd.read_csv(sys.argv[1], header=list(range(int(sys.argv[3]))), index_col=0)
for c in table.columns:
    if c[-1] in ("x", "y"):
        table[c] = table[c].where(table[(*c[:-1], "likelihood")] > 0.6).interpolate()
table.to_csv(sys.argv[2])
"""
FAULTS = {
    "dlc": {
        "swap_sides": {"rate": 0.005},
        "add_jumps": {"rate": 0.01},
        "dropout": {"rate": 0.03, "likelihood": "low"},
    },
    "bvh": {"add_jumps": {"rate": 0.002}},
    "c3d": {"add_jumps": {"rate": 0.005}, "dropout": {"rate": 0.03, "likelihood": "missing"}},
}


def tracked(frames: int) -> Scene:
    return mouse(seconds=frames / 60, fps=60, seed=4, animals=2)


def dancer(frames: int) -> Scene:
    "A body of 57 joints: a person with fingers, which turn as the wrists do."
    m = person("dance", seconds=frames / 120, fps=120, seed=2)
    s, more = m.skeleton, 57 - len(m.skeleton)
    wrists = [s.index(n) for n in ("left_wrist", "right_wrist")]
    g = torch.Generator().manual_seed(1)
    offsets = torch.cat([s.rest_offsets, 0.03 * torch.randn(more, 3, generator=g)])
    names = (*s.joints, *(f"finger{i}" for i in range(more)))
    parents = (*s.parents, *(wrists[i % 2] for i in range(more)))
    body = Skeleton("person57", names, parents, rest_offsets=offsets)
    turns = torch.cat([m.rotations, torch.eye(3).expand(len(m), more, 3, 3)], 1)
    x = fk(turns.double(), offsets[None].double(), m.positions[:, 0].double(), body.parents)[0]
    return Scene((Motion(x.float(), body, m.fps, turns),))


def marked(frames: int) -> Scene:
    "Fifty markers on a walking person: each keeps its place between two joints."
    m = person("walk", seconds=frames / 120, fps=120, seed=3)
    g = torch.Generator().manual_seed(0)
    a = torch.randint(len(m.skeleton), (50,), generator=g)
    parent = torch.tensor([max(p, 0) for p in m.skeleton.parents])
    way = torch.rand(50, 1, generator=g)
    x = way * m.positions[:, a] + (1 - way) * m.positions[:, parent[a]]
    x = x + 0.02 * torch.randn(50, 3, generator=g)
    return Scene((Motion(x, Skeleton("markers", tuple(f"M{i:02}" for i in range(50))), m.fps),))


FILES = {
    "dlc": ("hour.csv", tracked, 216_000),
    "bvh": ("dance.bvh", dancer, 36_000),
    "c3d": ("walk.c3d", marked, 36_000),
}


def make_file(kind: str, frames: int, path: Path):
    "Write the file of a kind, its faults included."
    write(corrupt(FILES[kind][1](frames), FAULTS[kind], 0).scene, path)


def cost(words: list[str]) -> tuple[float, float]:
    "CPU seconds and peak memory [GB] of a process; RuntimeError with its last words where it fails."
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        p = subprocess.Popen(words, env=env, stdout=said, stderr=said)
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if p.returncode:
            raise RuntimeError(said.read().decode()[-500:])
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def ways(kind: str, path: Path, out: Path) -> dict[str, list[str]]:
    "Command lines by name."
    run = "import sys; from motionbook.cli import main; sys.exit(main(sys.argv[1:]))"
    mine = [sys.executable, "-c", run, "clean", str(path), "-o", str(out), "--json"]
    found = {"motionbook clean": mine}
    if kind == "dlc":
        for name, code in (("median of 5", MEDIAN), ("threshold + linear", THRESHOLD)):
            found[name] = [sys.executable, "-c", code, str(path), str(out), "4"]
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--share", type=float, default=1.0, help="of the lengths named above")
    p.add_argument("--only", choices=tuple(FILES))
    p.add_argument("--json", type=Path)
    p.add_argument("--make", nargs=3, metavar=("KIND", "FRAMES", "PATH"), help="make one file only")
    a = p.parse_args()
    if a.make:
        return make_file(a.make[0], int(a.make[1]), Path(a.make[2]))
    rows = []
    print(f"{'file':10} {'frames':>8} {'way':20} {'CPU s':>8} {'GB':>6} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (name, _, frames) in FILES.items():
            if a.only not in (None, kind):
                continue
            n, path = round(a.share * frames), Path(folder) / name
            subprocess.run(
                [sys.executable, __file__, "--make", kind, str(n), str(path)], check=True
            )
            first = None
            for way, words in ways(kind, path, path.with_stem("out")).items():
                seconds, memory = cost(words)
                first = first or seconds
                rows.append(dict(file=name, frames=n, way=way, cpu=seconds, gb=memory))
                print(
                    f"{name:10} {n:8,} {way:20} {seconds:8.1f} {memory:6.2f} {seconds / first:6.2f}",
                    flush=True,
                )
    if a.json:
        a.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
