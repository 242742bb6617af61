"""A StableMotion cleaner that learned from one corrupted file alone, beside the filters and the oracle.

python benchmarks/stablemotion.py DATA_DIR [--only NAME] [--frames 2000] [--steps 600] [--seed 0] [--json FILE]

DATA_DIR is that of benchmarks/tracks.py, and so are the recordings, the planted mistakes (its short plan), the trusted points and
the scores. The corrupted recording is split by time: the model learns from the first 60 %, as they are, and every row is scored on
the rest, which it has not seen. `--steps` of training and the processor's minutes that they took are printed: the budget.

Four tables. *Detection*: average precision per point of the network and of gradient boosting (scikit-learn), which
learned from the same evidence, frames to each side included, on the same broken stretches. *Clean*: mean and median error of
planted points in pixels, and harm, the mean change of the others; how many times faster than real time by the processor's clock.
*Gaps*: the true mask is given, and the mean error of what each filler puts there; the share of errors inside the 90 % band that the model promises. *Sampler*: the
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
from motionbook.models.stablemotion.doubts import EVIDENCE
from motionbook.models.stablemotion.practice import Practice, doubt_bank
from motionbook.models.stablemotion.recipe import (
    StableMotionTraining,
    Tracks,
    as_source,
    train_tracks,
)
from motionbook.models.stablemotion.tracks import detection_view, repair_view
from motionbook.models.stablemotion.trial import BAND

TRAIN = 0.6  # share of the time that is learned from


def average_precision(label: torch.Tensor, wrong: torch.Tensor) -> float:
    "Of points ranked by how wrong they look."
    hits = wrong[label.argsort(descending=True)].float()
    return float(
        (hits.cumsum(0) / torch.arange(1, len(hits) + 1) * hits).sum() / hits.sum().clamp_min(1)
    )


def boosting_rows(evidence: torch.Tensor) -> torch.Tensor:
    "[t j f] what boosting sees of each point [t k j]: what the head sees, frames around it in columns."
    e = evidence.movedim(1, -1)
    every = [e, e.mean(1, True).expand_as(e), e.amax(1, True).expand_as(e)]
    return torch.cat([*every, *(e.roll(n, 0) for n in (-8, -3, -2, -1, 1, 2, 3, 8))], -1)


def boosting_twin(source, seed: int, seen_by, seen) -> torch.Tensor:
    "How wrong the seen points look to gradient boosting that practised on the same stretches."
    from sklearn.ensemble import HistGradientBoostingClassifier

    bank, row = doubt_bank([source], Practice(), seed), slice(-len(EVIDENCE), None)
    rows = [boosting_rows(n[:, row])[v] for n, v in zip(bank.numbers, bank.valid)]
    bad = torch.cat([b[v] for b, v in zip(bank.bad, bank.valid)])
    twin = HistGradientBoostingClassifier(max_iter=60, random_state=seed)
    twin.fit(torch.cat(rows).numpy(), bad.numpy())
    return torch.from_numpy(twin.predict_proba(boosting_rows(seen_by)[seen].numpy())[:, 1])


def detection_table(truth, broken, mask, trusted, model, source, seed: int) -> dict:
    "Average precision per point, everything that was planted included."
    seen = broken.observed & (trusted | mask)
    view = detection_view(broken.positions, broken.fps, broken.confidence)
    label = soft_labels(model, broken.positions, broken.fps, broken.confidence)[seen]
    twin = boosting_twin(source, seed, view.numbers[:, -len(EVIDENCE) :], seen)
    made = {
        "network": average_precision(label, mask[seen]),
        "boosting": average_precision(twin, mask[seen]),
        "chance": float(mask[seen].float().mean()),
    }
    print(
        "average precision per point: " + ", ".join(f"{k} {v:.3f}" for k, v in made.items()),
        flush=True,
    )
    return made


def clean_table(truth, bad, mask, trusted, model) -> dict:
    "Every method on the held-out time."

    def learned(m, _):
        clock = time.process_time()
        done = TrackCleaner(model).clean(Scene((m,)))
        print("  notes:", *done.notes)
        took = time.process_time() - clock
        print(f"  {len(m) / m.fps / took:.1f} times faster than real time at {m.fps:g} fps")
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
    parser.add_argument("--detection", action="store_true", help="only the table of detection")
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
        found = detection_table(truth, broken, *told, source, args.seed)
        made[name] = {"detection": found}
        if args.detection:
            continue
        made[name] |= {"gaps": gap_table(truth, *told), "sampler": sampler_table(truth, *told)}
        made[name]["clean"] = clean_table(truth, broken, *told)
    if args.json:
        args.json.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
