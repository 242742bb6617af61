"""Joints of an SMPL-family body: forward kinematics on rest joints beside the smplx library's mesh, in one process.

    python benchmarks/bench_body.py [--frames 500] [--rounds 5]

A made-up model file of full size is posed by both, in turns, on one thread; medians and ratios are printed. The joints
have to agree. A whole recording is read from its .npz as well, beside loading it with NumPy and posing smplx's mesh. Rotations from positions (`fit_smpl22`) are timed as well; they have no peer that installs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from test_body import recording, small_model

from motionbook.body.smpl import body_joints, fit_smpl22, load_body, smplx_layer
from motionbook.formats.registry import read
from motionbook.synthetic.people import person


def seconds(run, rounds: int) -> float:
    "Median of several runs, in the processor's time, which on one thread is the clock's on a machine that is free."
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main():
    args = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    args.add_argument("--frames", type=int, default=500)
    args.add_argument("--rounds", type=int, default=5)
    options = args.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("smpl", "smplh"):
            path = Path(folder) / f"{kind.upper()}_NEUTRAL.npz"
            np.savez(path, **small_model(kind))
            poses, betas, trans = recording(kind, options.frames)
            body = load_body(path)
            layer, shape = smplx_layer(body, options.frames), betas.expand(options.frames, -1)
            hands = (
                {}
                if kind == "smpl"
                else dict(left_hand_pose=poses[:, 66:111], right_hand_pose=poses[:, 111:])
            )
            end = 72 if kind == "smpl" else 66

            def peer(layer=layer, shape=shape, poses=poses, trans=trans, hands=hands, end=end):
                with torch.no_grad():
                    return layer(
                        betas=shape,
                        global_orient=poses[:, :3],
                        body_pose=poses[:, 3:end],
                        transl=trans,
                        **hands,
                    ).joints

            def ours(poses=poses, betas=betas, trans=trans, body=body):
                return body_joints(poses, betas, trans, body)

            gap = float((peer()[:, : len(body.skeleton)] - ours()).abs().max())
            a, b = seconds(ours, options.rounds), seconds(peer, options.rounds)
            file = Path(folder) / "recording_poses.npz"
            arrays = {"poses": poses, "trans": trans, "betas": betas.reshape(-1)}
            np.savez(
                file, mocap_framerate=120.0, **{k: np.asarray(v, float) for k, v in arrays.items()}
            )
            c = seconds(lambda file=file, body=body: read(file, model=body, up="z"), options.rounds)
            d = seconds(lambda file=file, peer=peer: (dict(np.load(file)), peer()), options.rounds)
            print(
                f"{kind:6} npz to joints {options.frames / c:9,.0f} frames/s   smplx {options.frames / d:7,.0f} frames/s   ratio {d / c:5.0f}"
            )
            print(
                f"{kind:6} joints {options.frames / a:9,.0f} frames/s   smplx {options.frames / b:7,.0f} frames/s   ratio {b / a:5.0f}   largest difference {gap:.1e} m"
            )
    x = person("dance", seconds=10.0).positions[:, :22]
    t = seconds(lambda: fit_smpl22(x), options.rounds)
    print(f"rotations from positions: {len(x) / t:,.0f} frames/s")


if __name__ == "__main__":
    main()
