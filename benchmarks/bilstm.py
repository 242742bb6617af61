"""The corrector beside the best classical methods, on real motion capture it did not see.

    python benchmarks/bilstm.py DATA_DIR [--minutes 10] [--fold test] [--seed-preset 10]

DATA_DIR holds bvh/bandai.tar.gz (Bandai-Namco, CC BY-NC 4.0: to measure on, not to ship weights from). Windows, faults and
figures are those of `mocap.py`: 60 frames at 30 fps, root-relative, 1.70 m, mean distance in cm on hidden points (column
noise: on all points). Content x style decides the split: two thirds of the labels to train and to tune the classical
methods on, a third to test. `--fold dev` holds out another third, for choosing settings.
"""

import argparse
import tempfile
import time
from pathlib import Path

import mocap
import numpy as np
import torch

from motionbook.core.archives import extract_archive
from motionbook.core.skeleton import Skeleton
from motionbook.formats.registry import read
from motionbook.models.corrector.network import correct, load_corrector
from motionbook.models.corrector.recipe import CorrectorTraining, train_on_clips
from motionbook.models.corrector.recordings import Clip, Clips

TARGETS = {"noise": 1.0, "frames": 1.40, "drop": 0.14, "joints": 2.2, "all": 2.1}
PARENTS = tuple(
    mocap.JOINTS.index(p) if p else -1
    for p in "_ Hips Spine Chest Neck Chest Shoulder_L UpperArm_L LowerArm_L Chest Shoulder_R UpperArm_R LowerArm_R "
    "Hips UpperLeg_L LowerLeg_L Foot_L Hips UpperLeg_R LowerLeg_R Foot_R".replace(
        "_ ", " ", 1
    ).split(" ")
)
BODY = Skeleton("bandai", mocap.JOINTS, PARENTS)


def clips(archive: Path) -> list[tuple[str, torch.Tensor]]:
    "Every recording with its content and style: root-relative, metres."
    found = []
    with tempfile.TemporaryDirectory() as tmp:
        for path in sorted(p for p in extract_archive(archive, tmp) if p.suffix == ".bvh"):
            m = read(path).actors[0]
            x = m.positions[:, [m.skeleton.joints.index(j) for j in mocap.JOINTS]]
            found.append(
                ("_".join(path.stem.split("_")[:3]), ((x - x[:, :1]) * mocap.SCALE).clone())
            )
    return found


def folds(labels: list[str], seed: int, fold: str) -> set[str]:
    "The labels that are held out."
    names = sorted(set(labels))
    order = np.random.default_rng(seed).permutation(len(names))
    third = len(names) // 3
    return {names[i] for i in (order[:third] if fold == "dev" else order[-third:])}


def windows(found, held: set[str], inside: bool) -> torch.Tensor:
    cut = [
        x[i : i + 60] for n, x in found if (n in held) == inside for i in range(0, len(x) - 59, 60)
    ]
    return torch.stack(cut)


def classical(train: torch.Tensor, test, seed: int) -> dict[str, dict[str, float]]:
    "Each method, tuned column by column on training windows."
    tuning = mocap.problems(train, np.ones(len(train), bool), 40, seed)
    rows = {}
    for name, settings in mocap.METHODS.items():
        rows[name] = {}
        for c in mocap.COLUMNS:
            best = min(settings, key=lambda f, c=c: mocap.errors(mocap.quick(f), tuning, c))
            rows[name][c] = mocap.errors(mocap.quick(best), test, c)
    rows["auto"] = {c: mocap.errors(mocap.auto, test, c) for c in mocap.COLUMNS}
    return rows


def learned(model, test) -> dict[str, float]:
    "The corrector's figures."
    row = {}
    for c in mocap.COLUMNS:
        given = torch.stack([parts[c] for _, parts in test])
        y = torch.cat([correct(model, g).positions for g in given.split(16)])
        e = 100 * (y - torch.stack([t for t, _ in test])).norm(dim=-1)
        row[c] = float((e if c == "noise" else e[given.isnan().any(-1)]).nanmean())
    return row


def show(name: str, row: dict[str, float]):
    print(f"{name:20}" + "".join(f"{row[c]:9.2f}" for c in mocap.COLUMNS), flush=True)


def trained(found, held, minutes: float, **options):
    "A corrector trained on what is not held out; the clock includes the preparation."
    parts = tuple(
        Clip(x, f"{n}/{i}") for i, (n, x) in enumerate(found) if n not in held and len(x) >= 60
    )
    limit = {"minutes": minutes} if minutes else {}
    config = CorrectorTraining(**limit | {"valid_share": 0} | options)
    with tempfile.TemporaryDirectory() as tmp:
        done = train_on_clips(Clips(BODY, 30.0, parts), Path(tmp) / "run", config)
    print(f"# {done.fitted.step} steps", flush=True)
    return done.model


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path)
    p.add_argument("--minutes", type=float, default=10.0)
    p.add_argument(
        "--seed-preset",
        type=float,
        default=0.0,
        help="minutes for the seed's network; 0 = not at all",
    )
    p.add_argument("--test", type=int, default=0, help="windows to test on; 0 = all")
    p.add_argument("--fold", choices=("test", "dev"), default="test")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--no-classical", action="store_true")
    p.add_argument("--set", nargs="*", default=[], help="settings of the training, name=value")
    p.add_argument("--save", type=Path, help="a folder for the trained model")
    p.add_argument("--model", type=Path, help="measure this one, trained on the same fold before")
    a = p.parse_args()
    torch.set_num_threads(1)
    found = clips(a.data / "bvh" / "bandai.tar.gz")
    held = folds([n for n, _ in found], a.seed, a.fold)
    train, rest = windows(found, held, False), windows(found, held, True)
    test = mocap.problems(rest, np.ones(len(rest), bool), a.test or len(rest), a.seed)
    print(f"{len(train)} windows to train on, {len(test)} of {len(rest)} to test on; cm")
    print(" " * 20 + "".join(f"{c:>9}" for c in mocap.COLUMNS))
    show("target", TARGETS)
    rows = {} if a.no_classical else classical(train, test, a.seed)
    for name, row in rows.items():
        show(name, row)
    begun = time.perf_counter()
    options = dict(s.split("=", 1) for s in a.set)
    model = load_corrector(a.model) if a.model else trained(found, held, a.minutes, **options)
    if a.save:
        model.save_pretrained(a.save)
    row = learned(model, test)
    show(f"corrector, {(time.perf_counter() - begun) / 60:.1f} min", row)
    if a.seed_preset:
        show("seed's network", learned(trained(found, held, a.seed_preset, preset="seed"), test))
    if rows:
        best = {c: min(r[c] for r in rows.values()) for c in mocap.COLUMNS}
        show("of best classical", {c: row[c] / best[c] for c in mocap.COLUMNS})
    show("of target", {c: row[c] / TARGETS[c] for c in mocap.COLUMNS})


if __name__ == "__main__":
    main()
