"""Which frames of a body are bad: gradient boosting, the classical detector, and a trained one, family by family.

    python benchmarks/bodies.py DATA_DIR [--method MODEL] [--train 60] [--test 20] [--classical 6] [--seed 0]

DATA_DIR holds bvh/bandai.tar.gz (Bandai-Namco, CC BY-NC 4.0). How the figures are read:

- content x style decides the split into three: clips to learn from, clips on which the thresholds are
  set (development), and clips that the table is made of. None is in two of them.
- every clip is broken as `motionbook evaluate stablemotion` does, one family of faults at a time, in
  windows of one to two seconds (the test mode of `filters.corrupt.broken_amass`).
- boosting sees each frame through the frames around it: sizes of velocity, acceleration and jerk of every
  joint seen from the pelvis, the pelvis's own over the floor, its height, the speed of the feet, each as it
  is and as mean and maximum over 5, 11 and 31 frames. Needs scikit-learn.
- the classical detector flags a frame where it flags any joint; it runs on the first `--classical` clips.
- `over all` pools the frames of all families, which is where a detector that suits one family only shows.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from motionbook.cleanup.body_evaluation import Case, make_cases, repair_with
from motionbook.core.archives import extract_archive
from motionbook.core.motion import Motion, Scene
from motionbook.evaluation.bodies import label_scores
from motionbook.evaluation.feet import find_feet
from motionbook.filters.corrupt.broken_amass import BODY_KINDS
from motionbook.formats.registry import read

WIDTHS = (5, 11, 31)  # frames


def load_groups(data: Path, seed: int) -> list[list[Motion]]:
    "Clips by content and style, the groups in a random order."
    groups: dict[str, list[Motion]] = {}
    with tempfile.TemporaryDirectory() as folder:
        extract_archive(data / "bvh" / "bandai.tar.gz", folder)
        for p in sorted(Path(folder).rglob("*.bvh")):
            motion = read(p).actors[0]
            if len(motion) >= 2.5 * motion.fps:
                groups.setdefault(p.stem.rsplit("_", 1)[0], []).append(motion)
    order = np.random.default_rng(seed).permutation(sorted(groups))
    return [groups[k] for k in order]


def split_groups(groups: list, counts: tuple[int, ...]) -> list[list[Motion]]:
    "Folds of at least so many clips; a group is in one of them."
    folds, left = [], iter(groups)
    for count in counts:
        fold: list[Motion] = []
        while len(fold) < count and (group := next(left, None)) is not None:
            fold += group
        folds.append(fold[:count])
    return folds


def frame_features(motion: Motion) -> np.ndarray:
    "[t d] what boosting sees."
    x, feet, fps = motion.positions.double(), find_feet(motion.skeleton), motion.fps
    root = x[:, feet.root]
    local = x - root[:, None]
    size = lambda p, n: np.pad(p.diff(n=n, dim=0).norm(dim=-1).numpy() * fps**n, ((n, 0), (0, 0)))
    path, soles = root[:, None] * torch.tensor([1.0, 0, 1.0]), x[:, [*feet.ankles, *feet.toes]]
    parts = [size(p, n) for p in (local, path) for n in (1, 2, 3)]
    parts += [size(soles, 1), (soles[..., 1] - x[..., 1].min()).numpy(), root[:, 1:2].numpy()]
    own = np.log1p(np.concatenate(parts, 1).clip(0))
    return np.concatenate([own, *(around(own, w, f) for w in WIDTHS for f in (np.mean, np.max))], 1)


def around(x: np.ndarray, width: int, how) -> np.ndarray:
    "A figure over the frames around each."
    padded = np.pad(x, ((width // 2, width // 2), (0, 0)), mode="edge")
    return how(np.lib.stride_tricks.sliding_window_view(padded, width, 0), -1)


def all_cases(clips: list[Motion], seed: int) -> list[Case]:
    return [c for i, m in enumerate(clips) for c in make_cases(m, f"{m.name} {i}", None, seed)]


def fit_boosting(cases: list[Case], seed: int):
    "Gradient boosting on frames."
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, bad = (np.concatenate(v) for v in zip(*((frame_features(c.broken), c.label.numpy()) for c in cases)))  # fmt: skip
    return HistGradientBoostingClassifier(max_iter=200, random_state=seed).fit(rows, bad)


def best_threshold(score: torch.Tensor, bad: torch.Tensor) -> float:
    "The threshold of the highest F1."
    tried = torch.linspace(0.05, 0.95, 19)
    return float(max(tried, key=lambda k: label_scores(score > k, bad)["f1"]))


def show(name: str, flagged: dict[str, torch.Tensor], bad: dict[str, torch.Tensor]) -> None:
    "F1 of each family, then over all."
    every = torch.cat(list(flagged.values())), torch.cat(list(bad.values()))
    f1 = [label_scores(flagged[k], bad[k])["f1"] for k in flagged]
    cells = [*f1, *(label_scores(*every)[k] for k in ("f1", "precision", "recall"))]
    print(f"{name:<14}" + "".join(f"{v:>15.2f}" for v in cells), flush=True)


def by_family(cases: list[Case], find) -> tuple[dict, dict]:
    "Flags and truth of each family, frames of all its cases in a row."
    names = [k for k in BODY_KINDS if any(c.family == k for c in cases)]
    join = lambda f: {k: torch.cat([f(c) for c in cases if c.family == k]) for k in names}
    return join(find), join(lambda c: c.label)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("--method", help="a checkpoint's folder, or a method of `motionbook clean`")
    for name, usual in (("train", 60), ("test", 20), ("classical", 6), ("seed", 0)):
        p.add_argument(f"--{name}", type=int, default=usual)
    a = p.parse_args()
    torch.set_num_threads(1)
    groups = load_groups(a.data, a.seed)
    train, dev, test = (
        all_cases(f, a.seed) for f in split_groups(groups, (a.train, a.test, a.test))
    )
    print(
        f"cases: {len(train)} to learn from, {len(dev)} for the threshold, {len(test)} in the table"
    )
    model = fit_boosting(train, a.seed)
    score = lambda c: torch.from_numpy(model.predict_proba(frame_features(c.broken))[:, 1])
    limit = best_threshold(torch.cat(list(map(score, dev))), torch.cat([c.label for c in dev]))
    flags, bad = by_family(test, lambda c: score(c) > limit)
    print(f"{'F1':<14}" + "".join(f"{k:>15}" for k in (*flags, "over all", "precision", "recall")))
    show("boosting", flags, bad)
    from motionbook.cleanup.clean import make_cleaner
    from motionbook.filters import auto

    some = [c for c in test if c.name in list(dict.fromkeys(t.name for t in test))[: a.classical]]
    if a.classical:
        classical = repair_with(auto.make_cleaner("auto"))
        show("classical", *by_family(some, lambda c: classical(Scene((c.broken,)), None)[1]))
    if a.method:
        trained = repair_with(make_cleaner(a.method))
        show("trained", *by_family(test, lambda c: trained(Scene((c.broken,)), None)[1]))


if __name__ == "__main__":
    main()
