"""A StableMotion cleaner that learned from one corrupted file alone, beside the filters and the oracle.

python benchmarks/stablemotion.py DATA_DIR [--only NAME] [--frames 2000] [--steps 600] [--seed 0] [--json FILE]

DATA_DIR is that of benchmarks/tracks.py, and so are the recordings, the planted mistakes (its short plan), the trusted points and
the scores. The corrupted recording is split by time: the model learns from the first 60 %, as they are, and every row is scored on
the rest, which it has not seen. `--steps` of training and the processor's minutes that they took are printed: the budget.

Three tables. *Clean*: mean and median error of planted points in pixels, and harm, the mean change of the others. *Gaps*: the true mask is
given, and the mean error of what each filler puts there; the share of errors inside the 90 % band that the model promises. *Sampler*: the
median error on hidden points of the few-step path over that of the path with all 50 steps, ten paired draws.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from tracks import METHODS, NAN, PLANS, planted, recordings, scored, trusted_points

from motionbook.core.motion import Scene
from motionbook.filters.fill.classical import linear, pchip
from motionbook.filters.fill.coupled import coupled
from motionbook.filters.takes import cut_motion
from motionbook.models.stablemotion.answers import fill_view, soft_labels
from motionbook.models.stablemotion.cleaner import TrackCleaner, learned_filler
from motionbook.models.stablemotion.recipe import (
    StableMotionTraining,
    Tracks,
    as_source,
    train_tracks,
)
from motionbook.models.stablemotion.tracks import repair_view
from motionbook.models.stablemotion.trial import BAND

TRAIN = 0.6  # share of the time that is learned from


def average_precision(label: torch.Tensor, wrong: torch.Tensor) -> float:
    "Of points ranked by how wrong they look."
    hits = wrong[label.argsort(descending=True)].float()
    return float(
        (hits.cumsum(0) / torch.arange(1, len(hits) + 1) * hits).sum() / hits.sum().clamp_min(1)
    )


def clean_table(truth, bad, mask, trusted, model) -> dict:
    "Every method on the held-out time."

    def learned(m, _):
        done = TrackCleaner(model).clean(Scene((m,)))
        print("  notes:", *done.notes)
        return done.scene.actors[0].positions, done.flagged[0]

    names = ("likelihood + linear", "Hampel + PCHIP", "best detector + PCHIP", "true mask + PCHIP")
    rows = {n: METHODS[n] for n in names} | {"stablemotion": learned}
    print(f"{'clean':24s}{'mean':>9s}{'median':>9s}{'harm':>9s}{'recall':>9s}{'s':>9s}")
    made = {}
    for name, method in rows.items():
        r = made[name] = scored(truth, bad, mask, trusted, method)
        print(
            f"{name:24s}{r['mean']:9.2f}{r['median']:9.2f}{r['harm']:9.3f}{r['recall']:9.2f}{r['seconds']:9.1f}",
            flush=True,
        )
    low, high = made["true mask + PCHIP"]["mean"], made["Hampel + PCHIP"]["mean"]
    for name in ("best detector + PCHIP", "stablemotion"):
        print(
            f"{name}: closes {(high - made[name]['mean']) / (high - low):.0%} of the gap between Hampel + PCHIP and the oracle"
        )
    return made


def gap_table(truth, mask, trusted, model) -> dict:
    "What belongs into the true holes."
    x, hit = truth.positions.masked_fill(mask[..., None], NAN), mask & trusted
    own = learned_filler(model, truth.skeleton, x.shape[-1])
    made, filled = {}, {}
    for name, f in {
        "linear": linear(),
        "PCHIP": pchip(),
        "coupled": coupled(),
        "stablemotion": own,
    }.items():
        filled[name] = f(x, truth.fps)
        made[name] = float((filled[name].positions - truth.positions).norm(dim=-1)[hit].mean())
        print(
            f"gaps, {name:18s}{made[name]:9.3f} px, {made[name] / made['linear']:.2f} of linear",
            flush=True,
        )
    e = (filled["stablemotion"].positions - truth.positions).norm(dim=-1)[hit]
    made["inside"] = float((e <= BAND * filled["stablemotion"].sigma[hit]).float().mean())
    print(f"inside the 90 % band: {made['inside']:.1%} of {int(hit.sum())} points")
    return made


def sampler_table(truth, mask, trusted, model, steps: int = 5) -> dict:
    "Few steps against all of them."
    x, hit = truth.positions.masked_fill(mask[..., None], NAN), mask & trusted
    view = repair_view(x, truth.fps, model.levels)
    error = lambda n, k: float(
        (fill_view(model, view, 1, n, seed=k).mean - truth.positions).norm(dim=-1)[hit].median()
    )
    ratio = torch.tensor([error(steps, k) / error(50, k) for k in range(10)])
    half = 2.262 * float(ratio.std()) / 10**0.5
    print(
        f"sampler: {steps} steps over 50: {float(ratio.mean()):.3f} ± {half:.3f} (95 %, ten paired draws)"
    )
    return {"ratio": float(ratio.mean()), "half": half}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = {}
    for name, whole in recordings(args.data).items():
        if args.only not in name:
            continue
        m = cut_motion(whole, 0, min(args.frames, len(whole)))
        bad, mask = planted(m, args.seed, PLANS["short"])
        trusted, cut = trusted_points(m), round(TRAIN * len(m))
        print(f"\n{name}: learned from {cut} frames, scored on {len(m) - cut}", flush=True)
        clock = time.process_time()
        source = as_source(cut_motion(bad, 0, cut))
        print(
            f"detector for training: {time.process_time() - clock:.0f} s of the processor",
            flush=True,
        )
        model = train_tracks(
            Tracks((source,)),
            None,
            StableMotionTraining(steps=args.steps, seed=args.seed, progress=False),
        ).model
        print(
            f"budget: {args.steps} steps, {(time.process_time() - clock) / 60:.1f} processor minutes in all; {model.about}",
            flush=True,
        )
        truth, broken = (cut_motion(v, cut, len(m)) for v in (m, bad))
        told = (mask[cut:], trusted[cut:], model)
        label = soft_labels(model, broken.positions, m.fps, broken.confidence)
        seen = broken.observed & (trusted[cut:] | mask[cut:])
        ap = average_precision(label[seen], mask[cut:][seen])
        print(
            f"the network's detector alone: average precision {ap:.2f}, of chance {float(mask[cut:][seen].float().mean()):.2f}",
            flush=True,
        )
        made[name] = {
            "average precision": ap,
            "gaps": gap_table(truth, *told),
            "sampler": sampler_table(truth, *told),
        }
        made[name]["clean"] = clean_table(truth, broken, *told)
    if args.json:
        args.json.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
