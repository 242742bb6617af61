"""The 272 numbers beside the 263: encoding on one thread, clip by clip and ragged, in turns.

python benchmarks/bench_ms272.py [--clips 65] [--repeats 9]

Synthetic clips of 2 to 9 seconds at 30 frames a second. Both ways get the same joints, and both ask whether they are a
body. The best run of each call counts, in CPU time.
"""

import argparse

import torch
from bench_ik263 import best

from motionbook.core.rotation import matrix_to_rotvec
from motionbook.features.humanml3d.ik263 import smpl_to_ik263
from motionbook.features.ms272.ms272 import ms272_to_joints, smpl_to_ms272
from motionbook.synthetic.people import ACTIONS, person


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--clips", type=int, default=65)
    words.add_argument("--repeats", type=int, default=9)
    given = words.parse_args()
    torch.set_num_threads(1)
    people = [
        person(ACTIONS[k % len(ACTIONS)], seconds=2 + k * 0.37 % 7, fps=30.0, seed=k)
        for k in range(given.clips)
    ]
    joints = [m.positions[:, :22].contiguous() for m in people]
    poses = [matrix_to_rotvec(m.rotations[:, :22]).flatten(1) for m in people]
    made = smpl_to_ms272(poses, joints)
    took = best(
        {
            "263, one clip at a time": [lambda j=j: smpl_to_ik263(j) for j in joints],
            "272, one clip at a time": [
                lambda p=p, j=j: smpl_to_ms272(p, j) for p, j in zip(poses, joints)
            ],
            "263, ragged": [lambda: smpl_to_ik263(joints)],
            "272, ragged": [lambda: smpl_to_ms272(poses, joints)],
            "272, decoded": [lambda: [ms272_to_joints(x) for x in made]],
            "272, decoded by rotations": [lambda: [ms272_to_joints(x, "rotations") for x in made]],
        },
        given.repeats,
    )
    frames = sum(map(len, joints))
    for name, seconds in took.items():
        print(f"{name:26s}{1e6 * seconds / frames:7.2f} µs a frame")
    for way in ("one clip at a time", "ragged"):
        print(
            f"{way}: 272 runs at {took[f'263, {way}'] / took[f'272, {way}']:.2f} of the speed of 263"
        )


if __name__ == "__main__":
    main()
