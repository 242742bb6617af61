"""263 numbers a frame: motionbook beside HumanML3D's published way, in one process on one thread.

python benchmarks/bench_ik263.py [DATA_DIR] [--clips 65] [--repeats 9] [--workers 2]

DATA_DIR holds bvh/bandai.tar.gz; without it synthetic actors are used. Clips are at 20 frames a second and of the lengths that they
have. Both ways give every clip the bones of the same body. The published way is `published_ik263.py`, written from
its description. Ways take turns; the best run of each call counts, in CPU time, so that a busy
machine disturbs little. For the workers, each of one or two processes that are already
running encodes its share of the clips again and again; what counts is the frames a second of all of them together, best of
four turns. A machine that is busy with other things gives two processes less than two cores: so the cores that they got
are printed too, and how many times the work of one worker two would do on free cores, by the CPU time a frame.
"""

import argparse
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from motionbook.body.smpl22 import motion_to_smpl22
from motionbook.core.archives import extract_archive
from motionbook.core.motion import resample
from motionbook.features.humanml3d.ik263 import IK263_LAYOUT, smpl_to_ik263
from motionbook.formats.registry import read
from motionbook.synthetic.people import ACTIONS, person

sys.path.insert(0, str(Path(__file__).parent))
from published_ik263 import published_ik263  # noqa: E402


def recorded(root: Path, n: int) -> list[torch.Tensor]:
    "The first joints [t 22 3] of real clips, 40 frames or more."
    found = []
    with tempfile.TemporaryDirectory() as tmp:
        for path in sorted(
            p for p in extract_archive(root / "bvh/bandai.tar.gz", tmp) if p.suffix == ".bvh"
        ):
            m = resample(read(path).actors[0], 20.0)
            if len(m) >= 40:
                found.append(motion_to_smpl22(m).positions[:196].contiguous())
            if len(found) == n:
                break
    return found


def acted(n: int) -> list[torch.Tensor]:
    "Synthetic clips of 2 to 9 seconds."
    make = lambda k: person(ACTIONS[k % len(ACTIONS)], seconds=2 + k * 0.37 % 7, fps=20.0, seed=k)
    return [make(k).positions[:, :22].contiguous() for k in range(n)]


def best(ways: dict, repeats: int) -> dict[str, float]:
    "Seconds of CPU time of each way: the sum of the shortest times of its calls, all calls in turns."
    took = {name: [float("inf")] * len(calls) for name, calls in ways.items()}
    for _ in range(repeats):
        for name, calls in ways.items():
            for k, run in enumerate(calls):
                t0 = time.process_time()
                run()
                took[name][k] = min(took[name][k], time.process_time() - t0)
    return {name: sum(t) for name, t in took.items()}


def work(clips, skeleton, seconds, ready, go, frames):
    "Encode for some seconds, and say how many frames were done."
    torch.set_num_threads(1)
    smpl_to_ik263(clips, skeleton=skeleton)
    ready.release()
    go.wait()
    done, t0, c0 = 0, time.perf_counter(), time.process_time()
    n = sum(map(len, clips))
    while time.perf_counter() - t0 < seconds:
        smpl_to_ik263(clips, skeleton=skeleton)
        done += n
    frames.put((done, time.perf_counter() - t0, time.process_time() - c0))


def rate(clips, skeleton, workers: int, seconds: float) -> tuple[float, float, float]:
    "Frames a second of some processes together, frames a CPU second, and the cores that they got."
    ctx = get_context("spawn")
    ready, go, frames = ctx.Semaphore(0), ctx.Event(), ctx.Queue()
    share = [
        ([c.clone() for c in clips[k::workers]], skeleton, seconds, ready, go, frames)
        for k in range(workers)
    ]
    several = [ctx.Process(target=work, args=a) for a in share]
    for p in several:
        p.start()
    for _ in several:
        ready.acquire()
    go.set()
    got = [frames.get() for _ in several]
    for p in several:
        p.join()
    done, cpu = sum(n for n, _, _ in got), sum(c for _, _, c in got)
    return sum(n / wall for n, wall, _ in got), done / cpu, sum(c / wall for _, wall, c in got)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=65)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--workers", type=int, default=2, help="0 = without")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = recorded(args.data, args.clips) if args.data else acted(args.clips)
    arrays, frames = [c.numpy() for c in clips], sum(map(len, clips))
    skeleton = clips[-1][0].clone()
    ways = {
        "published": [lambda c=c: published_ik263(c, skeleton.numpy()) for c in arrays],
        "one clip at a time": [lambda c=c: smpl_to_ik263(c, skeleton=skeleton) for c in clips],
        "ragged batch": [lambda: smpl_to_ik263(clips, skeleton=skeleton)],
    }
    took = best(ways, args.repeats)
    kind = "real" if args.data else "synthetic"
    print(f"{len(clips)} {kind} clips, {frames} frames, {frames / len(clips):.0f} a clip")
    for name, s in took.items():
        target = {"one clip at a time": " (target 8)", "ragged batch": " (target 22)"}.get(name, "")
        print(
            f"{name:20}{frames / s / 1000:8.1f} thousand frames a second, {took['published'] / s:6.1f} times the published way{target}"
        )
    single, wide = (
        ways["ragged batch"][0](),
        smpl_to_ik263([c.double() for c in clips], skeleton=skeleton),
    )
    slow = [run() for run in ways["published"]]
    for k, s in IK263_LAYOUT.items():
        ours = max((a[:, s] - b[:, s]).abs().max().item() for a, b in zip(single, wide))
        theirs = max(np.abs(a[:, s] - b[:, s].numpy()).max() for a, b in zip(slow, wide))
        print(
            f"{k:12} float32 differs from float64 by {ours:.1e}, the published way by {theirs:.1e}"
        )
    if args.workers:
        pairs = [[rate(clips, skeleton, k, 2.5) for k in (1, args.workers)] for _ in range(4)]
        one, many = ([max(p[k][i] for p in pairs) for i in range(3)] for k in (0, 1))
        print(
            f"{args.workers} workers: {many[0] / 1000:.0f} thousand frames a second, {many[0] / one[0]:.2f} times one worker on "
            f"{many[2]:.2f} cores that were free; by the CPU time a frame {args.workers * many[1] / one[1]:.2f} times (target 1.8 for two)"
        )


if __name__ == "__main__":
    main()
