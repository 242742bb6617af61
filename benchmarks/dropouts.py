"""Every animal recording with planted dropouts, jumps and swaps: the default beside the two ways of a lab.

python benchmarks/dropouts.py DATA_DIR [--fold test|development] [--shares 0 0.05 0.15] [--frames 900] [--only mouse]

DATA_DIR holds dlc, sleap and animals_more. Shares of the points (0 to 15 %) are replaced by *dropouts*: a
likelihood below 0.4 and a wild value anywhere in the picture, for 1 to 30 frames. A further hundredth jumps by
half a body for 1 to 3 frames and keeps its likelihood, and mirror pairs, where the names tell of some, are
exchanged for 3 to 20 frames in another hundredth. A recording that has no likelihood is given one that knows:
0.95 to 1 wherever a point is seen. Points that the recording itself vouches for are scored (`tracks.py` says
which): *mean* error of those that were changed, *harm* to those that were not, both in hundredths of the body.

Nothing here is tuned on what it reports: settings are chosen on the development fold (the first half of each
recording and seeds of its own), figures come from the other half.
"""

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch

import motionbook
from motionbook.core.motion import Motion, Scene
from motionbook.core.pickles import load_pickle
from motionbook.core.size import body_size
from motionbook.core.skeleton import Skeleton
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.filters.detect.outliers import combine, hampel, likelihood_gate
from motionbook.filters.fill.classical import linear, pchip

sys.path.insert(0, str(Path(__file__).parent))
from tracks import repaired, trusted_points  # noqa: E402

FOLDS = {"development": (0, 100), "test": (1, 0)}  # which half, first seed
NAN = float("nan")
WAYS = {
    "threshold + linear": lambda m: repaired(m, likelihood_gate(), linear())[0],
    "Hampel + PCHIP": lambda m: repaired(m, combine(likelihood_gate(), hampel()), pchip())[0],
    "default": lambda m: motionbook.clean(Scene((m,))).scene.actors[0].positions,
}


def bare(name: str, x, fps: float) -> Motion:
    "A motion of points without names."
    x = torch.as_tensor(np.asarray(x)).float()
    return Motion(x, Skeleton(name, tuple(f"p{k}" for k in range(x.shape[1]))), fps)


def actors(path: Path, name: str) -> dict[str, Motion]:
    "The animals of a file that motionbook reads."
    found = [m for m in motionbook.read(path).actors if len(m.skeleton) >= 3]
    return {name if len(found) == 1 else f"{name} {k + 1}": m for k, m in enumerate(found)}


def recordings(root: Path) -> dict[str, Motion]:
    "Every animal recording of at least 400 frames, by name."
    one = lambda where, pattern: next(iter(sorted((root / where).glob(pattern))))
    out = actors(one("dlc/openfield", "*.csv"), "open field")
    out |= actors(one("dlc/epm", "*.csv"), "maze")
    out |= actors(one("dlc/single_animal", "*.csv"), "one mouse")
    out |= actors(one("dlc/multi_animal", "*madlc.csv"), "two mice")
    out |= actors(one("sleap", "*.slp"), "flies, scores")
    out |= actors(one("sleap", "*analysis.h5"), "flies")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(root / "animals_more/animals.tar.bz2") as t:
            t.extractall(folder, filter="data")
        more = Path(folder) / "animals"
        out |= actors(next(more.glob("mice_dlc_ethome/*DLC*.csv")), "home cage")
        out |= actors(next(more.glob("rat3d_stac/*.nwb")), "rat, 3-D")
        with h5py.File(next(more.glob("mouse3d_stac/*.h5"))) as f:
            out["mouse, 3-D"] = bare("mouse", f["tracks"][:, 0], 50.0)
        with np.load(next(more.glob("fly3d_flygym/*.npz"))) as f:
            key = next(k for k in f.files if f[k].ndim == 3 and f[k].shape[-1] == 3)
            out["fly, 3-D"] = bare("fly", f[key], 330.0)
        out |= actors(next(more.glob("mouse3d_maushaus/*.h5")), "mouse, 3-D, cameras")
        legs = load_pickle(next(more.glob("fly3d_seqikpy/*.pkl")).read_bytes())
        legs = [x for x in legs.values() if len(x) > 1]  # its neck does not move
        out["fly's forelegs, 3-D"] = bare("fly", np.concatenate(legs, 1), 100.0)
        out |= actors(next(more.glob("mouse_dlc_deepof/*square_arena.h5")), "arena")
    return {n: m for n, m in out.items() if len(m) >= 400}


def fold(m: Motion, which: str, frames: int) -> Motion:
    "The half of a recording that belongs to a fold, its busiest frames last."
    a = FOLDS[which][0] * (len(m) // 2)
    b = min(a + min(frames, len(m) // 2), len(m))
    conf = torch.empty_like(m.positions[..., 0]) if m.confidence is None else m.confidence
    if m.confidence is None:
        conf.uniform_(0.95, 1, generator=torch.Generator().manual_seed(0))
    return Motion(m.positions[a:b], m.skeleton, m.fps, confidence=conf[a:b])


def with_dropouts(m: Motion, share: float, g: torch.Generator) -> Motion:
    "Wild values of low likelihood in a share of the points."
    x, conf = m.positions.clone(), m.confidence.clone()
    flat = x.flatten(0, 1)
    flat = flat[flat.isfinite().all(-1)]
    low, high = flat.amin(0), flat.amax(0)
    gone = torch.zeros(conf.shape, dtype=torch.bool)
    draw = lambda n: int(torch.randint(n, (1,), generator=g))
    while gone.float().mean() < share:
        t, j, n = draw(len(x)), draw(x.shape[1]), 1 + draw(30)
        x[t : t + n, j] = low + (high - low) * torch.rand(x.shape[-1], generator=g)
        x[t : t + n, j] += 0.01 * (high - low) * torch.randn(x[t : t + n, j].shape, generator=g)
        conf[t : t + n, j] = 0.4 * torch.rand(len(conf[t : t + n, j]), generator=g)
        gone[t : t + n, j] = True
    return m.replace(positions=x, confidence=conf)


def planted(m: Motion, share: float, seed: int) -> tuple[Motion, torch.Tensor, torch.Tensor]:
    "The motion with mistakes, which points they changed, and which of these are exchanged and no more."
    g = torch.Generator().manual_seed(seed)
    steps = {"add_jumps": dict(rate=0.01, min_len=1, max_len=3, size=0.5)}
    if m.skeleton.mirror_pairs:
        steps["swap_sides"] = dict(rate=0.01, min_len=3, max_len=20)
    given = corrupt(Scene((m,)), steps, g).scene.actors[0]
    bad, mine = with_dropouts(given, share, g), torch.zeros(m.observed.shape, dtype=torch.bool)
    for a, b in m.skeleton.mirror_pairs:
        both = (given.positions[:, a] == m.positions[:, b]) & (
            given.positions[:, b] == m.positions[:, a]
        )
        mine[:, a] = mine[:, b] = both.all(-1)
    mine &= (bad.positions == given.positions).all(-1)
    changed = ((bad.positions != m.positions) & m.positions.isfinite()).any(-1)
    return bad, changed, mine & changed


def vouched(m: Motion) -> torch.Tensor:
    "[t j] where the recording can serve as truth; likelihoods that are never high are not asked."
    sure = float(m.confidence.nanmedian()) >= 0.95
    return trusted_points(m if sure else m.replace(confidence=None))


def errors(m: Motion, share: float, seed: int) -> dict[str, tuple[float, float]]:
    "Mean error of the planted points and harm to the others, for each way."
    bad, mask, mine = planted(m, share, seed)
    trusted, size, out = vouched(m), body_size(m.positions), {}
    told = m.positions.masked_fill((mask & ~mine)[..., None], NAN)
    for name, way in (WAYS | {"oracle": lambda _: pchip()(told, m.fps).positions}).items():
        e = 100 / size * (way(bad) - m.positions).norm(dim=-1)
        out[name] = (float(e[mask & trusted].nanmean()), float(e[~mask & trusted].nanmean()))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fold", choices=sorted(FOLDS), default="test")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.02, 0.05, 0.1, 0.15])
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = [*WAYS, "oracle"]
    head = "".join(f"{n:>20}" for n in names)
    print(f"{'':20}{'share':>6}{head}    (mean / harm)  closed")
    worse = n = 0
    for name, whole in recordings(args.data).items():
        if args.only not in name:
            continue
        m = fold(whole, args.fold, args.frames)
        for share in args.shares:
            seeds = [FOLDS[args.fold][1] + k for k in range(args.repeats)]
            runs = [errors(m, share, s) for s in seeds]
            row = {w: np.mean([r[w] for r in runs], 0) for w in names}
            best = min(row[w][0] for w in WAYS if w != "default")
            behind = round(row["default"][0], 2) > round(best, 2)
            worse, n = worse + behind, n + 1
            cells = "".join(f"{a:13.2f} /{b:5.2f}" for a, b in row.values())
            high, low = row["Hampel + PCHIP"][0], row["oracle"][0]
            closed = f"{(high - row['default'][0]) / (high - low):.0%}" if high > low else "no gap"
            print(
                f"{name:20}{share:6.0%}{cells}{closed:>10}{'   worse' if behind else ''}",
                flush=True,
            )
    print(f"the default is worse than one of the two in {worse} of {n}")


if __name__ == "__main__":
    main()
