"""Reading a BVH file with forward kinematics, beside bvhio in the same process.

    python benchmarks/bench_bvh.py [--frames 20000] [--rounds 5]

A synthetic recording of 30 joints is read by both, in turns, on one thread, and medians are compared.
bvhio does it in two steps: `readAsBvh` parses, `readAsHierarchy` parses and builds the tree in which
joints have positions, and each frame is then posed. Parsing is timed on the whole file. The rest takes
minutes, so it is timed on a twentieth of the frames and scaled up.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import bvhio
import numpy as np
import torch

from motionbook.formats.bvh.bvh_text import Node, bvh_text, header_text
from motionbook.formats.registry import read


def recording(frames: int, joints: int = 30, seed: int = 0) -> str:
    "The text of a file with `joints` joints in chains of six below the hips."
    rng = np.random.default_rng(seed)
    nodes, first = [], 0
    for j in range(joints):
        parent = -1 if j == 0 else 0 if j % 6 == 1 else j - 1
        channels = ("xp", "yp", "zp") * (j == 0) + ("zr", "xr", "yr")
        nodes.append(
            Node(f"joint{j}", parent, tuple(rng.uniform(-20, 20, 3).round(3)), channels, first)
        )
        first += len(channels)
        if j and (j % 6 == 0 or j == joints - 1):
            nodes.append(Node("", len(nodes) - 1, (0.0, 5.0, 0.0), (), first))
    # a node's parent is counted among the nodes, end sites included
    at = [i for i, n in enumerate(nodes) if n.name]
    nodes = [
        n
        if not n.name
        else Node(n.name, -1 if n.parent < 0 else at[n.parent], *[n.offset, n.channels, n.first])
        for n in nodes
    ]
    t = np.arange(frames)[:, None] / 120
    values = 40 * np.sin(rng.uniform(0.5, 3, first) * t + rng.uniform(0, 6, first))
    return bvh_text(header_text(tuple(nodes)), values, 120)


def timed(f) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def positions_by_bvhio(path: Path, frames: int) -> float:
    "Seconds in which bvhio reads a file and places all joints in all frames."

    def place():
        root = bvhio.readAsHierarchy(str(path))
        for f in range(frames):
            root.loadPose(f, recursive=True)
            [j.PositionWorld for j, _, _ in root.layout()]

    return timed(place)


def main(frames: int = 20_000, rounds: int = 5) -> float:
    "Print the table; how many times faster we read with positions, as a ratio of medians."
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path, part = Path(folder) / "long.bvh", Path(folder) / "part.bvh"
        path.write_text(recording(frames))
        part.write_text(recording(frames // 20))
        read(part), bvhio.readAsBvh(str(part))  # warm up
        times = {"ours": [], "parse": [], "positions": []}
        for _ in range(rounds):
            times["ours"].append(timed(lambda: read(path)))
            times["parse"].append(timed(lambda: bvhio.readAsBvh(str(path))))
            times["positions"].append(20 * positions_by_bvhio(part, frames // 20))
        us, parse, positions = (statistics.median(t) for t in times.values())
        print(
            f"{frames:,} frames × 30 joints, {path.stat().st_size / 1e6:.1f} MB, one thread, medians of {rounds}"
        )
        print(f"  motionbook.read, positions included      {us:8.2f} s")
        print(
            f"  bvhio, parsing alone                     {parse:8.2f} s   {parse / us:5.1f} times ours"
        )
        print(
            f"  bvhio, positions included, scaled up     {positions:8.2f} s   {positions / us:5.1f} times ours"
        )
    return positions / us


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    ratio = main(args.frames, args.rounds)
    raise SystemExit(
        0 if ratio >= 5 else f"expected at least 5 times bvhio's speed, got {ratio:.1f}"
    )
