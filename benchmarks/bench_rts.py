"""RTS over 20,000 frames x 30 joints beside a per-joint loop of the textbook form, in one process.

python benchmarks/bench_rts.py [--frames 20000] [--joints 30] [--repeats 2]
"""

import argparse
import time

import numpy as np
import torch

from motionbook.filters.fill.kalman import motion_model, rts, rts_batched, rts_textbook


def problem(frames: int, joints: int, shared: bool):
    "Random walks with holes: a pattern per joint, or one for the whole body."
    rng = np.random.default_rng(0)
    z = rng.normal(size=(frames, joints, 3)).cumsum(0) * 0.01
    known = rng.random((frames, 1 if shared else joints)) < 0.9
    ratio = np.full(joints, 1e-2) if shared else 10.0 ** rng.uniform(-3, 1, joints)
    return z, np.broadcast_to(known, (frames, joints)).copy(), ratio


def once(z, known, ratio):
    "Seconds of both forms, and their largest difference."
    f, q = motion_model("acceleration")
    joints, s = z.shape[1], len(f)
    mean, cov = np.zeros((s, joints, 3)), np.repeat(np.eye(s)[..., None] * 1e3, joints, axis=2)
    t0 = time.perf_counter()
    fast, _ = rts_batched(z, known, f, q, ratio, mean, cov)
    t1 = time.perf_counter()
    each = [
        rts_textbook(z[:, j], known[:, j], f, q * ratio[j], 1.0, mean[:, j], cov[..., j])[0]
        for j in range(joints)
    ]
    t2 = time.perf_counter()
    return t1 - t0, t2 - t1, np.abs(fast - np.stack(each, 1)).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--joints", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for shared in (False, True):
        z, known, ratio = problem(args.frames, args.joints, shared)
        runs = [once(z, known, ratio) for _ in range(args.repeats)]
        fast, slow = min(r[0] for r in runs), min(r[1] for r in runs)
        kind = "one pattern of holes" if shared else "holes of its own in every joint"
        print(
            f"{args.frames} frames x {args.joints} joints, {kind}: batched {fast:.2f} s, "
            f"per-joint loop {slow:.2f} s, ratio {slow / fast:.1f} (target 10), "
            f"largest difference {max(r[2] for r in runs):.1e}"
        )
    x = torch.from_numpy(z).float().masked_fill(~torch.from_numpy(known)[..., None], float("nan"))
    t0 = time.perf_counter()
    rts()(x, 60.0)
    print(
        f"the whole filler, noise learned and errors calibrated: {time.perf_counter() - t0:.2f} s"
    )


if __name__ == "__main__":
    main()
