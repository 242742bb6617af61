"""What `motionbook clean FILE` costs, in CPU seconds and memory, beside the ways that laboratories use.

    python benchmarks/speed_clean.py --data ../shared/data [--frames 36000] [--only dlc bvh c3d]

Three files are made from real recordings, which are played forwards and backwards until they are long enough:
a DeepLabCut table of two mice with eight points each at 30 frames a second, a BVH of 57 joints at 120, and a
C3D of 50 markers at 120. Faults are planted all along: jumps, lost points, and exchanged sides. Every
length is asked for twice, whole and a quarter of it, so that the table shows how the cost grows.

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


def table(path: Path) -> np.ndarray:
    "[t n] every number of a file, by the plainest reader."
    import pandas as pd

    if path.suffix == ".csv":
        return pd.read_csv(path, header=[0, 1, 2, 3], index_col=0).to_numpy(float)
    if path.suffix == ".bvh":
        rows = path.read_text().split("Frame Time:")[1].split("\n", 1)[1]
        return np.array(rows.split(), float).reshape(len(rows.strip().splitlines()), -1)
    import ezc3d

    points = ezc3d.c3d(str(path))["data"]["points"][:3]
    return points.reshape(-1, points.shape[-1]).T


def medfilt(x: np.ndarray) -> np.ndarray:
    "What DeepLabCut's `filterpredictions` does with every column."
    from scipy.signal import medfilt

    return np.stack([medfilt(c, 5) for c in x.T], 1)


def rolling(x: np.ndarray) -> np.ndarray:
    "Straight lines over what is missing, then a rolling median."
    import pandas as pd

    return pd.DataFrame(x).interpolate().rolling(5, center=True, min_periods=1).median().to_numpy()


def hampel_pchip(x: np.ndarray) -> np.ndarray:
    "What lies five deviations from the rolling median is left out, then curves are drawn."
    import pandas as pd
    from scipy.interpolate import PchipInterpolator

    d, y = pd.DataFrame(x), x.copy()
    middle = d.rolling(11, center=True, min_periods=1).median()
    off = (d - middle).abs()
    spread = off.rolling(11, center=True, min_periods=1).median() * 1.4826
    keep = (off <= 5 * spread.clip(lower=1e-9)).to_numpy() & np.isfinite(x)
    t = np.arange(len(x))
    for c in range(x.shape[1]):
        if keep[:, c].sum() > 1:
            y[:, c] = PchipInterpolator(t[keep[:, c]], x[keep[:, c], c])(t)
    return y


PEERS = {
    "median filter": medfilt,
    "lines and rolling median": rolling,
    "Hampel and PCHIP": hampel_pchip,
}


def cost(*words) -> tuple[float, float]:
    "CPU seconds and GB of a process on one thread."
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, *map(str, words)], env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"failed: {words}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def main(data: Path, frames: int, only: list[str]):
    "Print the table."
    with tempfile.TemporaryDirectory() as folder:
        for kind in only:
            make, ending = MAKERS[kind]
            part, whole = (Path(folder) / f"{kind}{n}{ending}" for n in (frames // 4, frames))
            make(data, frames // 4, part)
            make(data, frames, whole)
            clean = lambda p: cost(
                "-m", "motionbook.cli", "clean", p, "-o", p.with_name("out_" + p.name)
            )
            clean(part)  # compiles
            short, (cpu, memory) = clean(part)[0], clean(whole)
            print(
                f"{kind}: {frames:,} frames, {cpu:.1f} s CPU, {memory:.2f} GB; a quarter {short:.1f} s, so {(cpu - short) / (0.75 * frames) * 36_000:.1f} s for 36,000 frames more"
            )
            for name in PEERS:
                other, _ = cost(__file__, "--peer", name, whole)
                print(f"  {name:26} {other:6.1f} s; we take {cpu / other:.1f} times that")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--frames", type=int, default=36_000)
    parser.add_argument("--only", nargs="+", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--peer", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        out = PEERS[args.peer[0]](table(Path(args.peer[1])))
        np.savetxt(args.peer[1] + ".peer", out, "%.4f")
    else:
        main(args.data, args.frames, args.only)
