"""What `motionbook clean FILE` costs, in CPU seconds and memory, beside the ways that laboratories use.

    python benchmarks/speed_clean.py --data ../shared/data [--frames 36000] [--only dlc bvh c3d]

Three files are made from real recordings, which are played forwards and backwards until they are long enough:
a DeepLabCut table of two mice with eight points each at 30 frames a second, a BVH of 57 joints at 120, and a
C3D of 50 markers at 120. Faults are planted all along: jumps, lost points, and exchanged sides. Every
length is asked for twice, whole and a quarter of it, so that the table shows how the cost grows: 1.0 is a cost
in proportion to the length.

Each run is a process of its own, on one thread; its CPU seconds (user and system, the start of Python
included) and its largest memory are what the operating system counts. Clock time would depend on what else
the machine does. The others read the same file with the plainest reader there is, do their work on every
column, and write what they have: DeepLabCut's `filterpredictions` (scipy's `medfilt`, 5 frames), movement's
way (points below likelihood 0.6 left out, straight lines, rolling median), and PCHIP over the gaps that
a Hampel filter leaves. They find less and say nothing; the ratio says what the rest costs.
"""

import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch

NAN = float("nan")
MICE = "mice_dlc_ethome"


def back_and_forth(x, frames: int):
    "A recording played forwards and backwards, so that it never leaps."
    once = np.concatenate([np.arange(len(x)), np.arange(len(x) - 2, 0, -1)])
    return x[np.resize(once, frames)]


def hidden(shape, share: float, shortest: int, longest: int, g) -> np.ndarray:
    "[t j] bool: runs of random lengths, at random times of random points."
    t, j = shape
    lengths = g.integers(shortest, longest + 1, int(share * t * j / (shortest + longest) * 2))
    on = np.zeros(shape, bool)
    for a, k, n in zip(g.integers(0, t, len(lengths)), g.integers(0, j, len(lengths)), lengths):
        on[a : a + n, k] = True
    return on


def make_dlc(data: Path, frames: int, path: Path):
    "Two mice of eight points: the eighth lies between neck and tail."
    import motionbook
    from motionbook.core.motion import Motion
    from motionbook.core.skeleton import Skeleton

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(data / "animals_more" / "animals.tar.bz2") as tar:
            inside = [m for m in tar if MICE in m.name and m.name.endswith("filtered.csv")]
            tar.extractall(folder, members=inside, filter="data")
        scene = motionbook.read(next(Path(folder).rglob("*.csv")))
    g, actors = np.random.default_rng(0), []
    names = (*scene.actors[0].skeleton.joints, "back")
    body = Skeleton(
        "mouse", names, tuple([-1] + [0] * 7), mirror_pairs=scene.actors[0].skeleton.mirror_pairs
    )
    for m in scene.actors:
        x, likely = m.positions.numpy(), m.confidence.numpy()
        back = (x[:, 3] + x[:, 6]) / 2 + g.normal(0, 0.5, x[:, 0].shape)
        x = back_and_forth(np.concatenate([x, back[:, None]], 1), frames).copy()
        likely = back_and_forth(
            np.concatenate([likely, likely.min(1, keepdims=True)], 1), frames
        ).copy()
        leap = hidden(likely.shape, 0.02, 1, 5, g)
        x += leap[..., None] * g.normal(0, 40, x.shape)
        lost = hidden(likely.shape, 0.02, 1, 30, g)
        x[lost], likely[lost] = g.uniform(0, 500, x[lost].shape), g.uniform(0, 0.4, lost.sum())
        gone = hidden(likely.shape, 0.01, 1, 20, g)
        x[gone], likely[gone] = NAN, NAN
        trade = hidden((frames, 1), 0.01, 3, 30, g)[:, 0]
        x[np.ix_(trade, [4, 5])] = x[np.ix_(trade, [5, 4])]
        f32 = lambda a: torch.tensor(a, dtype=torch.float32)
        actors.append(Motion(f32(x), body, 30.0, confidence=f32(likely), name=m.name))
    motionbook.write(scene.replace(actors=tuple(actors), meta={}, source=""), path)


def salsa(data: Path) -> Path:
    return data / "bvh" / "samples" / "salsa_01.bvh"


def make_bvh(data: Path, frames: int, path: Path):
    "A dancer of 57 joints, end sites included; angles leap in some frames."
    head, rows = salsa(data).read_text().split("Frame Time:")
    every, *rows = rows.strip().splitlines()
    x = np.array([r.split() for r in rows[1:]], float)  # without the pose at the beginning
    x, g = back_and_forth(x, frames).copy(), np.random.default_rng(0)
    leap = hidden((frames, x.shape[1] // 3), 0.002, 1, 4, g).repeat(3, 1)
    x += leap * g.normal(0, 40, x.shape) * (np.arange(x.shape[1]) >= 3)
    head = head[: head.rindex("Frames:")] + f"Frames: {frames}\n"
    with open(path, "w") as f:
        f.write(f"{head}Frame Time: {every.strip()}\n")
        np.savetxt(f, x, "%.5f")


def make_c3d(data: Path, frames: int, path: Path):
    "Fifty markers on the dancer's skin, some of them lost or leaping."
    import motionbook
    from motionbook.core.motion import Motion, Scene, fk
    from motionbook.core.skeleton import Skeleton

    m, g = motionbook.read(salsa(data)).actors[0], np.random.default_rng(0)
    _, turn = fk(m.rotations, m.skeleton.rest_offsets, m.positions[:, 0], m.skeleton.parents)
    skin = torch.tensor(g.normal(0, 0.04, (len(m.skeleton), 3, 1)), dtype=torch.float32)
    x = back_and_forth((m.positions + (turn @ skin)[..., 0])[1:, :50].numpy(), frames).copy()
    x += g.normal(0, 0.0003, x.shape)
    leap = hidden(x.shape[:2], 0.002, 1, 5, g)
    x += leap[..., None] * g.normal(0, 0.2, x.shape)
    x[hidden(x.shape[:2], 0.01, 1, 60, g)] = NAN
    body = Skeleton("markers", tuple(f"M{k + 1:02d}" for k in range(50)), tuple([-1] + [0] * 49))
    points = torch.tensor(x, dtype=torch.float32)
    motionbook.write(Scene((Motion(points, body, 120.0),)), path)


MAKERS = {"dlc": (make_dlc, ".csv"), "bvh": (make_bvh, ".bvh"), "c3d": (make_c3d, ".c3d")}

if __name__ == "__main__":
    kind, frames, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    MAKERS[kind][0](Path("../shared/data"), frames, Path(out))
