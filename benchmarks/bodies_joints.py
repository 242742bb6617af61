"""Hidden joints of people: which of the corrector, the body model and classical filling wins where.

    python benchmarks/bodies_joints.py DATA_DIR [--windows 12] [--seed 0]

DATA_DIR holds bvh/bandai.tar.gz (Bandai-Namco, CC BY-NC 4.0), which no shipped weights were trained on. Windows of 60 frames and what is hidden in
them are those of `mocap.py`, but where they happened and not about the pelvis: a model of bodies looks at the floor.

- joints: 4 of the 20 joints other than Hips, each for 10 to 30 frames, without noise; apart for limbs, and for shorter and longer gaps.
- all: noise of 2 cm on every coordinate, frames, points and joints hidden together; methods may change everything.
- figures are mean distances in cm on hidden points. `human` is the shipped corrector, `bodies` the shipped StableMotion.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import mocap
import numpy as np
import torch

import motionbook
from motionbook.core.archives import extract_archive
from motionbook.core.gaps import run_lengths
from motionbook.core.motion import Motion, Scene
from motionbook.formats.registry import read

METHODS = ("coupled", "human", "bodies")
LIMBS = {"arms": ("Arm", "Hand", "Shoulder"), "legs": ("Leg", "Foot", "Toe"), "trunk": ()}


def load_windows(data: Path, most: int, seed: int) -> list[Motion]:
    "Windows of as many clips, drawn at random."
    with tempfile.TemporaryDirectory() as tmp:
        paths = sorted(
            p for p in extract_archive(data / "bvh/bandai.tar.gz", tmp) if p.suffix == ".bvh"
        )
        order, found = np.random.default_rng(seed).permutation(len(paths)), []
        for i in order:
            m = read(paths[i]).actors[0]
            if len(m) >= 60 and len(found) < most:
                found.append(Motion(m.positions[:60] * mocap.SCALE, m.skeleton, m.fps))
        return found


def hide(m: Motion, column: str, seed: int) -> tuple[Motion, torch.Tensor]:
    "A window with holes, and [t 21] which of `mocap.JOINTS` are hidden."
    at = m.skeleton.indices(mocap.JOINTS)
    root = m.positions[:, at[:1]]
    given = mocap.broken(m.positions[:, at] - root, seed)[column]
    x = m.positions.clone()
    x[:, at] = given + root
    return m.replace(positions=x), ~given.isfinite().all(-1)


def told_parts(off: torch.Tensor, hidden: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    "Errors on hidden points, by limb and by the length of their gaps."
    kind = lambda n: next((k for k, parts in LIMBS.items() if any(p in n for p in parts)), "trunk")
    length, found = run_lengths(hidden), {"hidden": off[hidden]}
    for limb in LIMBS:
        on = hidden & torch.tensor([kind(n) == limb for n in mocap.JOINTS])
        found[limb] = off[on]
    found["to 20 frames"], found["longer"] = (
        off[hidden & (length <= 20)],
        off[hidden & (length > 20)],
    )
    return {k: [v] for k, v in found.items()}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("--windows", type=int, default=12)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = load_windows(a.data, a.windows, a.seed)
    print(f"{len(found)} windows")
    for column in ("joints", "all"):
        rows: dict[str, dict[str, list]] = {m: {} for m in METHODS}
        for i, truth in enumerate(found):
            given, hidden = hide(truth, column, i)
            at = truth.skeleton.indices(mocap.JOINTS)
            for name in METHODS:
                fidelity = "missing" if column == "joints" else "all"
                made = motionbook.clean(Scene((given,)), name, fidelity).scene.actors[0]
                off = 100 * (made.positions - truth.positions)[:, at].norm(dim=-1)
                for k, v in told_parts(off, hidden).items():
                    rows[name].setdefault(k, []).extend(v)
        print(f"{column:<10}" + "".join(f"{k:>14}" for k in rows[METHODS[0]]))
        for name, parts in rows.items():
            means = [float(torch.cat(v).nanmean()) for v in parts.values()]
            print(f"{name:<10}" + "".join(f"{v:>14.2f}" for v in means), flush=True)


if __name__ == "__main__":
    main()
