"""Does `compare` name the method that is truly best? Real recordings, real truth, other failures.

python benchmarks/compare.py DATA_DIR [--minutes 0.5] [--seed 0] [--group tuned|held-out|markers|all] [--only NAME]
                             [--trials N] [--frames N] [--json FILE]

DATA_DIR holds bvh/bandai.tar.gz, bvh/cmu.tar.gz, bvh/samples, trc, aistpp/keypoints3d, dlc/openfield, dlc/epm,
sleap/predictions.analysis.h5, biomech/biomech_c3d_trc.tar.bz2 and accad/accad_markers.tar.bz2. `--trials` takes a fixed
number of trials in place of the time, and `--frames` at most so many frames of each.

Protocol. A clean recording is broken with a plan of `filters.corrupt.corruption` (seed 77 + --seed): other code, other
seeds, other lengths, offsets and places than those that `compare` plants. `compare` sees only the broken
recording and names a method with settings. Then every method, with its own settings and with those that the card
gives, repairs the broken recording, and the truth says how far its points are off: the mean over all points that
were broken (animal tracks: over those whose truth can be trusted by likelihood and smoothness). The named method is right when its
error is within 5 % of the least. `regret` is how much larger it is. `always auto` is the regret of somebody
who never compares, and `to named` how much larger its error is than that of the method that `compare` names: the two
are not to contradict each other by more than 5 %.

The recordings marked held-out were run only after the design was settled on the others.
"""

import argparse
import json
import pickle
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch

import motionbook
from motionbook.cleanup.compare.compare import compare
from motionbook.cleanup.compare.trials import contenders
from motionbook.core.archives import extract_archive
from motionbook.core.motion import Motion, Scene, resample
from motionbook.core.skeleton import Skeleton
from motionbook.filters.auto import chosen_detector
from motionbook.filters.cleaner import REASON, detect
from motionbook.filters.corrupt.corruption import corrupt

sys.path.insert(0, str(Path(__file__).parent))
from judgement import accad  # noqa: E402
from tracks import picked, trusted_points  # noqa: E402

NAN = float("nan")
event = lambda rate, low, high, **more: dict(rate=rate, min_len=low, max_len=high, **more)
PLANS = {  # lists of corruptions, lengths in frames
    "short gaps": [
        ("dropout", event(0.06, 1, 9, likelihood="missing")),
        ("add_jumps", event(0.01, 1, 3)),
    ],
    "long gaps": [("dropout", event(0.08, 20, 60, likelihood="missing"))],
    "whole body": [
        ("drop_frames", dict(frac=0.15, span=12)),
        ("add_jumps", event(0.01, 1, 2, joints="all", size=0.6)),
    ],
    "scattered": [("drop_joints", dict(prob=0.15))],
    "tracker": [
        ("add_jumps", event(0.02, 1, 4, size=0.5)),
        ("dropout", event(0.03, 2, 30, likelihood="low")),
        ("dropout", event(0.01, 2, 20, likelihood="high")),
    ],
    "jumps": [("add_jumps", event(0.04, 1, 5, size=0.4))],
    "mixed": [
        ("dropout", event(0.04, 3, 40, likelihood="missing")),
        ("drop_frames", dict(frac=0.05, span=8)),
        ("add_jumps", event(0.01, 1, 3)),
    ],
}


def bare(m: Motion, start: int = 0, stop: int | None = None) -> Motion:
    "Positions and confidence only, a stretch of them."
    conf = None if m.confidence is None else m.confidence[start:stop]
    return Motion(m.positions[start:stop], m.skeleton, m.fps, confidence=conf, name=m.name)


def read_one(path: Path, joints: list[int] | None = None) -> Motion:
    m = motionbook.read(path).actors[0]
    return bare(m) if joints is None else picked(m, joints)


def from_archive(archive: Path, name: str) -> Motion:
    with tempfile.TemporaryDirectory() as tmp:
        path = next(
            p
            for p in sorted(extract_archive(archive, tmp))
            if name in p.name and p.suffix == ".bvh"
        )
        return read_one(path)


def aist(path: Path) -> Motion:
    "The optimised keypoints of an AIST++ sequence, metres."
    x = torch.from_numpy(pickle.loads(path.read_bytes())["keypoints3d_optim"]).float() / 100
    return Motion(x, Skeleton("coco17", tuple(f"k{i}" for i in range(17))), 60.0)


def fly(root: Path, which: int) -> Motion:
    import h5py

    with h5py.File(root / "sleap/predictions.analysis.h5") as f:
        x, nodes = f["tracks"][which], [n.decode() for n in f["node_names"][:]]
    m = Motion(torch.from_numpy(x.transpose(2, 1, 0)).float(), Skeleton("fly", tuple(nodes)), 30.0)
    return picked(m, list(range(12)))


def recordings(root: Path) -> dict:
    "name -> (how to read it, plan, held out)"
    sample = lambda n: lambda: read_one(next((root / "bvh/samples").glob(n)))
    bandai = lambda n: lambda: from_archive(root / "bvh/bandai.tar.gz", n)
    keys = sorted((root / "aistpp/keypoints3d").glob("*.pkl"))
    field, maze = (next((root / "dlc" / d).glob("*.csv")) for d in ("openfield", "epm"))
    return {
        "bandai kick": (sample("*kick_normal*"), "short gaps", False),
        "bandai walk": (sample("dataset-1_walk_normal_001*"), "scattered", False),
        "bandai turn": (sample("*turn-left_exhausted*"), "whole body", False),
        "cmu martial": (
            lambda: resample(bare(sample("martial*")(), 600, 2400), 30),
            "mixed",
            False,
        ),
        "cmu salsa": (lambda: resample(bare(sample("salsa*")(), 1), 60), "long gaps", False),
        "aist break 4": (lambda: aist(keys[0]), "mixed", False),
        "squats": (lambda: read_one(root / "trc/squats.trc"), "tracker", False),
        "mouse, first half": (lambda: bare(read_one(field), 0, 3600), "tracker", False),
        "maze": (lambda: read_one(maze, list(range(12, 25))), "short gaps", False),
        "first fly": (lambda: bare(fly(root, 0), 0, 1500), "jumps", False),
        "bandai wave": (sample("*wave-both*"), "long gaps", True),
        "bandai slash": (bandai("dataset-1_slash_normal_002"), "tracker", True),
        "bandai dance": (lambda: bare(bandai("dance-short")(), 0, 900), "jumps", True),
        "cmu indian": (
            lambda: resample(bare(from_archive(root / "bvh/cmu.tar.gz", "indian_04"), 1), 30),
            "short gaps",
            True,
        ),
        "bandai punch": (bandai("dataset-1_punch"), "mixed", True),
        "aist break 6": (lambda: aist(keys[1]), "whole body", True),
        "aist jazz": (lambda: aist(keys[2]), "scattered", True),
        "vertical jump": (
            lambda: read_one(root / "trc/drop_vertical_jump.trc"),
            "short gaps",
            True,
        ),
        "mouse, second half": (lambda: bare(read_one(field), 3600), "long gaps", True),
        "second fly": (lambda: bare(fly(root, 1), 1000, 3000), "tracker", True),
    } | marked(root)


def marked(root: Path) -> dict:
    "Optical markers."
    clip = lambda n: lambda: biomech(root, n)
    home = "nimblephysics_BSD2"
    return {
        "drop jump, markers": (clip(f"{home}/opencap_subject4/DJ1.trc"), "mixed", True),
        "run, markers": (clip(f"{home}/hamner_run/run200_markers.trc"), "short gaps", True),
        "walk, markers": (clip("bmclab_CCBY4/walk.trc"), "long gaps", True),
        "gait, markers": (clip(f"{home}/sprinter/JA1Gait35.c3d"), "mixed", True),
        "dance, markers": (lambda: next(iter(accad(root, 1).values())), "mixed", True),
    }


def biomech(root: Path, name: str) -> Motion:
    with (
        tempfile.TemporaryDirectory() as tmp,
        tarfile.open(root / "biomech/biomech_c3d_trc.tar.bz2") as t,
    ):
        t.extract(f"biomech/{name}", tmp, filter="data")
        return read_one(Path(tmp, "biomech", name))


def broken(truth: Motion, plan: list, seed: int, trusted=None) -> tuple[Motion, torch.Tensor]:
    "The broken motion, and which points to score."
    scene, g = Scene((truth,)), torch.Generator().manual_seed(seed)
    for name, options in plan:
        if options.get("likelihood") == "low" and truth.confidence is None:
            options = options | {"likelihood": "missing"}
        scene = corrupt(scene, {name: options}, g).scene
    bad = scene.actors[0]
    same = (bad.positions == truth.positions).all(-1) | (~bad.observed & ~truth.observed)
    return bad, ~same & truth.observed & (True if trusted is None else trusted)


def true_errors(truth: Motion, bad: Motion, mask, several) -> list[float]:
    "Mean error of every contender on the broken points."
    found = detect(bad, chosen_detector)
    trusted = (found.reason == 0) | (found.reason == REASON["swap"])
    x = found.positions.masked_fill(~trusted[..., None], NAN)
    size = float(
        (truth.positions - truth.positions.nanmean(1, keepdim=True)).norm(dim=-1).nanmean()
    )
    errors = []
    for c in several:
        y = torch.where(trusted[..., None], x, c.filler(x, bad.fps, errors=False).positions)
        errors.append(
            float((y - truth.positions).norm(dim=-1)[mask].nan_to_num(size).double().mean())
        )
    return errors


def judge(name: str, truth: Motion, plan: str, args) -> dict:
    "One recording: what the card says and what is true."
    trusted = None
    if truth.positions.shape[-1] == 2:
        trusted = trusted_points(truth)
    bad, mask = broken(truth, PLANS[plan], 77 + args.seed, trusted)
    t0 = time.perf_counter()
    names = tuple(dict.fromkeys(c.method for c in contenders()))  # nothing trained
    timing = dict(minutes=args.minutes, trials=args.trials)
    card = compare(bad, names, seed=args.seed, progress=False, **timing)
    seconds = time.perf_counter() - t0
    several = contenders()
    errors = true_errors(truth, bad, mask, several)
    best = min(range(len(errors)), key=errors.__getitem__)
    column = lambda m, s: next(
        i for i, c in enumerate(several) if c.method == m and dict(c.settings) == s
    )
    row = dict(
        name=name,
        plan=plan,
        frames=len(truth),
        points=int(mask.sum()),
        seconds=round(seconds, 1),
        trials=card.trials,
    )
    row |= dict(
        best=several[best].method,
        best_settings=dict(several[best].settings),
        best_error=errors[best],
        named=card.winner,
    )
    row["auto"] = errors[column("auto", {})] / errors[best] - 1
    if card.winner is None:
        return row | dict(regret=None, reason=card.reasons[0])
    own = errors[column(card.winner, dict(card.contender.settings))]
    true = {f"{c.method} {dict(c.settings) or ''}": e for c, e in zip(several, errors)}
    return row | dict(
        regret=own / errors[best] - 1,
        to_named=errors[column("auto", {})] / own - 1,
        settings=dict(card.contender.settings),
        tied=card.tied,
        true=true,
        card={k: r.error for k, r in card.rows.items()},
        vouched=card.vouched,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    groups = ("tuned", "held-out", "markers", "all")
    parser.add_argument("--group", choices=groups, default="all")
    parser.add_argument("--trials", type=int, help="a fixed number, in place of the time")
    parser.add_argument("--frames", type=int, help="of each recording, at most")
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(
        f"{'recording':20}{'plan':12}{'points':>7}  {'truly best':26}{'compare names':34}{'regret':>7}{'auto':>7}{'to named':>9}{'s':>6}"
    )
    for name, (make, plan, held) in recordings(args.data).items():
        group = "markers" if "markers" in name else "held-out" if held else "tuned"
        if args.only not in name or args.group not in ("all", group):
            continue
        r = judge(name, bare(make(), 0, args.frames), plan, args) | {"held_out": held}
        rows.append(r)
        show = lambda m, s: (
            f"{m} {' '.join(f'{k}={v}' for k, v in s.items())}"[:32] if m else "(abstains)"
        )
        regret = "–" if r["regret"] is None else f"{r['regret']:.1%}"
        apart = "–" if r["regret"] is None else f"{r['to_named']:.1%}"
        print(
            f"{name + '*' * held:20}{plan:12}{r['points']:7}  {show(r['best'], r['best_settings'])[:25]:26}"
            f"{show(r['named'], r.get('settings', {})):34}{regret:>7}{r['auto']:7.1%}{apart:>9}{r['seconds']:6.0f}",
            flush=True,
        )
    for label, some in (("all", rows), ("held out (*)", [r for r in rows if r["held_out"]])):
        named = [r for r in some if r["regret"] is not None]
        right = sum(r["regret"] <= 0.05 for r in named)
        auto = sum(r["auto"] <= 0.05 for r in some)
        close = sum(r["to_named"] <= 0.05 for r in named)
        if named:
            print(f"{label}: auto at most 5 % worse than the named on {close} of {len(named)}")
            print(
                f"{label}: within 5 % of the truly best on {right} of {len(named)} ({right / len(named):.0%}); "
                f"always auto: {auto} of {len(some)}; {len(some) - len(named)} abstained"
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
