"""Keypoint and animal features, statistics of a stream, and a cache by one and by two processes.

    python benchmarks/bench_features.py [--real ../shared/data] [--rounds 5]

Encoding is timed in CPU seconds on one thread, the best of the rounds, beside the floor of copying as many
numbers. Statistics stream files that were written before. The cache is timed by the clock, because two
processes are the point; the workers are started before. Without real recordings synthetic ones take part.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import motionbook.data.cache as cache
from motionbook.converters.base import dataset_items
from motionbook.core.motion import Scene
from motionbook.core.synthetic import mouse, person
from motionbook.features.body_points import Keypoints
from motionbook.features.dlc_features import DLCFeatures
from motionbook.features.layout import Layout
from motionbook.features.moments import moments, stream_moments
from motionbook.features.registry import representation
from motionbook.formats.registry import write


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


def caching(real: Path | None, rounds: int):
    with tempfile.TemporaryDirectory() as d:
        src = real / "motionlib" / "asap_smpl_npz" if real else Path(d) / "src"
        if real is None:
            for i in range(40):
                write(Scene((person("walk", 20.0, seed=i),)), src / f"{i}.bvh")
        source, items = dataset_items(src)
        items = [i._replace(key=f"{i.key}_{k}") for k in range(4) for i in items]
        r = representation("ik263")
        took = {}
        for workers in (2, 1, 2, 1):
            for k in range(rounds):
                start = time.perf_counter()
                index = cache.precompute(
                    items, r, Path(d) / f"{workers}{k}{start}", source.load, workers
                )
                took.setdefault(workers, []).append(time.perf_counter() - start)
        frames = sum(n for e in index for n in e["files"].values())
        print(
            f"{f'ik263 cache of {len(items)} recordings, 1 process':50} {frames / min(took[1]):14,.0f} frames/s"
        )
        print(f"{'  2 processes':50} {min(took[1]) / min(took[2]):13.2f}×")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--real", type=Path)
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    torch.set_num_threads(1)
    encoding(args.rounds)
    statistics(args.rounds)
    caching(args.real, args.rounds)
