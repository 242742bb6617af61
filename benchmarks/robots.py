"""Retargeted G1 motions with pops, freezes and jitter put in: `clean` beside a tuned RTS smoother with a Hampel gate.

    python benchmarks/robots.py FOLDER_OF_G1_PICKLES [--seeds 2]

The smoother's window, gate and noise ratio are tuned on one half of the recordings and scored on the other, both ways.
Errors are means over the frames in which anything was put in: joint angles in degrees, places of bodies in millimetres.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch

from motionbook.core.robot import robot_fk
from motionbook.core.robots import G1_23DOF
from motionbook.data.motion_library import load_motion_library
from motionbook.filters.corrupt.corrupt_robots import break_clip
from motionbook.filters.fill.kalman import motion_model, rts_batched
from motionbook.filters.robot.joint_faults import channels_clip, clip_channels
from motionbook.filters.robot.robot_cleaner import mend_clip


def broken(clip, seed):
    "The clip with faults, and [t, n + 2] where: joints, the root's place, its turn."
    found = break_clip(clip, torch.Generator().manual_seed(seed))
    return found.clip, found.family >= 0


def gated_rts(clip, half, gate, ratio):
    "A Hampel gate on every column, then a Rauch-Tung-Striebel smoother of accelerations."
    z = clip_channels(clip)
    window = torch.nn.functional.pad(z.T[None], (half, half), mode="replicate")[0].T.unfold(
        0, 2 * half + 1, 1
    )
    middle = window.median(-1).values
    spread = 1.4826 * (window - middle[..., None]).abs().median(-1).values
    known = ((z - middle).abs() <= gate * spread.clamp_min(1e-6)).numpy()
    (f, q), columns = motion_model("acceleration"), z.shape[1]
    mean, cov = np.zeros((3, columns, 1)), np.repeat(np.eye(3)[:, :, None] * 1e3, columns, 2)
    mean[0, :, 0] = z.numpy()[known.argmax(0), np.arange(columns)]
    x = np.where(known, z, 0)[..., None]
    out = rts_batched(x, known, f, q, np.full(columns, ratio), mean, cov)[0][..., 0]
    return channels_clip(torch.from_numpy(out), clip)


def errors(made, truth, frames):
    "Degrees and millimetres, and how many frames they are the mean of."
    angle = torch.rad2deg((made.dof - truth.dof)[frames].abs().mean())
    a, b = (
        robot_fk(G1_23DOF, c.root_pos, c.root_rot, c.dof).positions[frames] for c in (made, truth)
    )
    return np.array([float(angle), 1000 * float((a - b).norm(dim=-1).mean()), int(frames.sum())])


def pooled(rows):
    rows = np.array(rows)
    return (rows[:, :2] * rows[:, 2:]).sum(0) / rows[:, 2].sum()


def main():
    say = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    say.add_argument("folder", type=Path)
    say.add_argument("--seeds", type=int, default=1)
    args = say.parse_args()
    clips = [c.replace(joints=G1_23DOF.joints) for c in load_motion_library(args.folder)]
    cases = [(c, *broken(c, 1000 * s + i)) for s in range(args.seeds) for i, c in enumerate(clips)]
    frames = [hit.any(1) for _, _, hit in cases]
    grid = list(itertools.product((3, 4), (3, 5), (1e-3, 1e-2, 1e-1)))
    table = np.array(
        [[errors(gated_rts(b, *g), c, f) for g in grid] for (c, b, _), f in zip(cases, frames)]
    )
    even = np.arange(len(cases)) % 2 == 0
    mended = [mend_clip(G1_23DOF, b) for _, b, _ in cases]
    for k, unit in enumerate(("degrees", "mm")):
        rows = []
        for half in (even, ~even):
            best = min(range(len(grid)), key=lambda g: pooled(table[~half][:, g])[k])
            rows += list(table[half][:, best])
        ours = [errors(m, c, f) for (c, _, _), (m, _), f in zip(cases, mended, frames)]
        given = [errors(b, c, f) for (c, b, _), f in zip(cases, frames)]
        a, b, c = (pooled(r)[k] for r in (given, rows, ours))
        print(f"{unit}: broken {a:.3f}, Hampel + RTS {b:.3f}, clean {c:.3f}, ratio {c / b:.3f}")
    same = [
        bool(((m.dof == b.dof) | (f.reason[:, :23] > 0)).all())
        for (_, b, _), (m, f) in zip(cases, mended)
    ]
    good = torch.cat(
        [(f.reason[:, :23] > 0)[~h[:, :23]] for (_, _, h), (_, f) in zip(cases, mended)]
    )
    print(
        f"numbers without a flag identical in {sum(same)} of {len(same)}; {float(good.double().mean()):.2%} of the good ones flagged"
    )


if __name__ == "__main__":
    main()
