"""Keypoint and animal features, statistics of a stream, and a cache by one and by two processes.

    python benchmarks/bench_features.py [--real ../shared/data] [--rounds 5]

Encoding is timed in CPU seconds on one thread, the best of the rounds, beside the floor of copying as many
numbers. Statistics stream files that were written before. The cache is timed by the clock, reading and starting of
processes included; a machine that is busy with other things gives two processes less than two cores, so what they
would do on free ones is printed too, by the CPU time a frame. Without real recordings synthetic ones take part.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import motionbook.data.cache as cache
from motionbook.converters.base import dataset_items
from motionbook.core.archives import extract_archive
from motionbook.core.motion import Scene
from motionbook.features.points.body_points import Keypoints
from motionbook.features.points.dlc_features import DLCFeatures
from motionbook.features.representation import Layout, representation
from motionbook.features.shared.moments import moments, stream_moments
from motionbook.formats.registry import write
from motionbook.synthetic.people import mouse, person


def best(f, rounds: int, clock=time.process_time) -> float:
    "Seconds of the fastest of several runs."
    took = []
    for _ in range(rounds):
        start = clock()
        f()
        took.append(clock() - start)
    return min(took)


def encoding(rounds: int):
    m = person("walk", 100.0, fps=20, seed=0)
    body = Keypoints(m.skeleton)
    unchecked = Keypoints(m.skeleton, check=False)
    x, place = body.encode_placed(m)
    scene = mouse(120.0, seed=0, animals=2)
    animals = DLCFeatures.of(scene)
    y = animals.encode_scene(scene)
    wide = x.repeat(8, 1)
    for what, frames, f in (
        (
            f"keypoints, 24 joints, {x.shape[1]} numbers: encode",
            len(x),
            lambda: body.pack(m.positions),
        ),
        ("  without looking at the body", len(x), lambda: unchecked.pack(m.positions)),
        ("  decode", len(x), lambda: body.unpack(x, place)),
        (f"dlc, 2 mice, {y.shape[1]} numbers: encode", len(y), lambda: animals.encode_scene(scene)),
        ("  decode", len(y), lambda: animals.unpack(y)),
        (f"copying {x.shape[1]} numbers", len(wide), lambda: wide.clone()),
    ):
        print(f"{what:50} {frames / best(f, rounds):14,.0f} frames/s")


def statistics(rounds: int):
    layout, g = Layout(x=263), torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as d:
        paths = []
        for i in range(200):
            x = torch.randn(500 + i, 263, generator=g) * 0.1 + 1
            np.save(Path(d) / f"{i}.npy", x.numpy())
            paths.append(Path(d) / f"{i}.npy")
        frames = sum(500 + i for i in range(200))
        took = best(lambda: stream_moments(paths, layout), rounds)
        print(f"{'statistics of 200 files of 263 numbers':50} {frames / took:14,.0f} frames/s")
        a = stream_moments(paths, layout)
        b = stream_moments(paths[::-1], layout)
        whole = moments(torch.cat([torch.from_numpy(np.load(p)) for p in paths]))
        gap = max((m.variance.sqrt() - whole.variance.sqrt()).abs().max().item() for m in (a, b))
        print(f"{'  largest difference of a spread, any order':50} {gap:14.1e}")


def sources(real: Path | None, folder: Path) -> dict[str, list]:
    "Recordings of each kind with what loads them."
    if real is None:
        for i in range(40):
            write(Scene((person("walk", 20.0, seed=i),)), folder / f"{i}.bvh")
        return {"40 synthetic recordings": dataset_items(folder)}
    extract_archive(real / "bvh/cmu.tar.gz", folder / "cmu")
    extract_archive(real / "bvh/bandai.tar.gz", folder / "bandai")
    kinds = {"AMASS": real / "motionlib/asap_smpl_npz", "AIST++": real / "aistpp"}
    kinds |= {"CMU": folder / "cmu", "Bandai-Namco": folder / "bandai"}
    found = {k: dataset_items(p) for k, p in kinds.items()}
    return {f"{len(i)} recordings of {k}": (s, i) for k, (s, i) in found.items()}


def cpu_seconds() -> float:
    "Of this process and of those that it has waited for."
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def caching(real: Path | None, rounds: int):
    "One recording at a time, in portions, and by two processes; process start included."
    r = representation("ik263")
    ways = {
        "one at a time": (1, 1),
        "in portions": (cache.PORTION, 1),
        "2 processes": (cache.PORTION, 2),
    }
    with tempfile.TemporaryDirectory() as d:
        for name, (source, items) in sources(real, Path(d) / "src").items():
            took = {k: [] for k in ways}
            for k in range(rounds):
                for way, (cache.PORTION, workers) in ways.items():
                    wall, cpu = time.perf_counter(), cpu_seconds()
                    index = cache.precompute(
                        items, r, Path(d) / f"{name}{way}{k}", source.load, workers
                    )
                    took[way].append((time.perf_counter() - wall, cpu_seconds() - cpu))
            frames = sum(n for e in index for n in e["files"].values())
            print(f"ik263 cache of {name}, {frames:,} frames")
            wall, cpu = ({k: min(t[i] for t in v) for k, v in took.items()} for i in (0, 1))
            for k in ("one at a time", "in portions"):
                print(
                    f"{'  ' + k:50} {frames / wall[k]:14,.0f} frames/s, {frames / cpu[k]:,.0f} a CPU second"
                )
            ratio, work = (
                wall["in portions"] / wall["2 processes"],
                2 * cpu["in portions"] / cpu["2 processes"],
            )
            print(f"{'  2 processes':50} {ratio:13.2f}×, by the CPU time a frame {work:.2f}×")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--real", type=Path)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--only", choices=("encoding", "statistics", "caching"))
    args = p.parse_args()
    torch.set_num_threads(1)
    if args.only in (None, "encoding"):
        encoding(args.rounds)
    if args.only in (None, "statistics"):
        statistics(args.rounds)
    if args.only in (None, "caching"):
        caching(args.real, args.rounds)
