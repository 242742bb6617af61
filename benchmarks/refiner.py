"""The refiner beside a tuned Kalman smoother, on real clips that are made to tremble.

    python benchmarks/refiner.py DATA_DIR [--minutes 5] [--fold test] [--steps 6] [--part 1] [--response] [-o FOLDER]
    python benchmarks/refiner.py DATA_DIR --checkpoint FOLDER [--fold test] [--part 1] …

DATA_DIR holds bvh/bandai.tar.gz and bvh/cmu.tar.gz. Clips become stick figures of 48 numbers at 25 frames per second, seen from
three sides. A fifth of the groups of each dataset is held out: content × style of Bandai-Namco, recordings of CMU. A fourth of the
others is the development fold, on which the smoother's model and noise are tuned; `--fold dev` reports on it, for choosing settings.
Joints tremble by 2 % of the height, each frame anew; every way is told how much. Held-out clips are judged from the front.
`--minutes 0` leaves the network untrained: then the prior works alone. `--checkpoint` trains nothing and judges what is in a folder, such
as motionbook/assets/refiner, which has seen none of these recordings; "no network" is its prior. `--part N` takes every Nth recording. `--response` also measures how speed, tempo and smoothness
of refined motion follow a condition, over scales of guidance.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from motionbook.body.stick import segments_to_joints
from motionbook.core.archives import extract_archive
from motionbook.data.canonical import CanonicalOptions, convert_dataset
from motionbook.data.splits import Sides
from motionbook.data.windows import FeatureClip, hold_out
from motionbook.models.refiner.evaluate import (
    figures_of,
    make_trials,
    rts_figures,
    style_response,
    tune_rts,
)
from motionbook.models.refiner.module import load_refiner, save_refiner
from motionbook.models.refiner.recipe import (
    FoundFigures,
    RefinerTraining,
    sample_clips,
    start_refiner,
    train_on_figures,
)
from motionbook.models.vae.training_clips import style_of
from motionbook.schema.enrich import rank_among_people, style_measures
from motionbook.schema.sample import load_canonical


def load(data: Path, config: RefinerTraining, part: int = 1) -> dict[str, list]:
    "Clips of both datasets on three sides: train, dev, test; of every so many recordings."
    found = []
    with tempfile.TemporaryDirectory() as tmp:
        for name in ("bandai", "cmu"):
            files = extract_archive(data / "bvh" / f"{name}.tar.gz", Path(tmp) / name)
            for k, path in enumerate(sorted(p for p in files if p.suffix == ".bvh")):
                if k % part:
                    path.unlink()
            options = CanonicalOptions(fps=config.fps, views=config.views)
            convert_dataset(Path(tmp) / name, Path(tmp) / "made" / name, options=options)
            for s in load_canonical(Path(tmp) / "made" / name / "canonical.pt"):
                start = 3 * (name == "cmu")  # a T-pose
                for k in sample_clips(s, config):
                    told = style_of(Path(k.name).name)
                    k = k._replace(poses=k.poses[start:].clone())
                    group = FeatureClip(k.poses, k.name, name, told.style, told.group or k.name)
                    found.append((group, s["meta"]["view"]["name"], k))
    of = {id(g): (view, k) for g, view, k in found}
    learn, test = hold_out([g for g, _, _ in found], 0.2, 0)
    train, dev = hold_out(learn, 0.25, 1)
    clips = lambda side, front: [of[id(g)][1] for g in side if not front or of[id(g)][0] == "front"]
    return {"train": clips(train, False), "dev": clips(dev, True), "test": clips(test, True)}


def without_network(module, refined):
    "What the prior of a refiner does alone: the network's last layer is silenced meanwhile."
    leave = module.unet.net.leave

    def refine(trial):
        kept = [p.data.clone() for p in leave.parameters()]
        for p in leave.parameters():
            p.data.zero_()
        try:
            return refined(trial)
        finally:
            for p, k in zip(leave.parameters(), kept):
                p.data.copy_(k)

    return refine


def measure(name: str):
    "A style of a figure, as the metadata are calibrated."

    def of(poses: torch.Tensor) -> float:
        got = style_measures(segments_to_joints(poses), 25.0)
        key = {"energy_level": "speed", "tempo": "tempo", "smoothness": "roughness"}[name]
        rank = rank_among_people(key, got[key])
        return 1 - rank if name == "smoothness" else rank

    return of


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("--minutes", type=float, default=5.0)
    p.add_argument("--fold", choices=("test", "dev"), default="test")
    p.add_argument("--steps", type=int, default=6, help="of the refiner")
    p.add_argument("--checkpoint", type=Path, help="judge this refiner")
    p.add_argument("--part", type=int, default=1, help="take every so many recordings")
    p.add_argument("--response", action="store_true")
    p.add_argument("-o", "--out", type=Path, help="keep the refiner and the figures here")
    a = p.parse_args()
    limit = {"minutes": a.minutes or None, "steps": None if a.minutes else 1}
    fewer = {"views": ("front",)} if a.checkpoint else {}
    config = RefinerTraining(**limit | fewer, progress=False)
    sides = load(a.data, config, a.part)
    print("# clips:", {k: len(v) for k, v in sides.items()}, flush=True)
    tuned = tune_rts(make_trials(sides["dev"][::2], seed=1))
    print(f"# smoother: {tuned[0]} model, ratio {tuned[1]:.3g}", flush=True)
    begun, steps = time.process_time(), 0
    if a.checkpoint:
        module = load_refiner(a.checkpoint, config.pose_dim)
    elif a.minutes:
        split, found = Sides(sides["train"], []), FoundFigures(tuple(sides["train"]))
        with tempfile.TemporaryDirectory() as tmp:
            done = train_on_figures(found, Path(tmp) / "run", config, split=split)
        module, steps = done.model, done.fitted.step
    else:
        module = start_refiner(sides["train"], config).eval()
    print(f"# {steps} steps, {time.process_time() - begun:.0f} s of processor time", flush=True)
    if a.out:
        save_refiner(module, a.out / "model", steps=steps)
    trials = make_trials(sides[a.fold], seed=2)
    refined = lambda n: (
        lambda t: module.refine_poses(t.shaken[None], jitter=t.jitter, num_inference_steps=n)[0]
    )
    ways = {
        "as it is": lambda t: t.shaken,
        "smoothed": lambda t: rts_figures(t.shaken, t.jitter, t.fps, *tuned),
    }
    ways |= {"refined": refined(a.steps), "refined, 1 step": refined(1)}
    rows = {name: figures_of(trials, way) for name, way in ways.items()}
    if a.checkpoint:
        rows["no network"] = figures_of(trials, without_network(module, refined(a.steps)))
    print(f"{'':16} error mm  of smoothed  jerk ratio  median")
    for name, r in rows.items():
        share = r["error_mm"] / rows["smoothed"]["error_mm"]
        print(
            f"{name:16}{r['error_mm']:9.2f}{share:13.2f}{r['jerk_ratio']:12.2f}{r['jerk_ratio_median']:8.2f}",
            flush=True,
        )
    if a.response:
        some = torch.stack([t.clean[:75] for t in trials if len(t.clean) >= 75])[:32]
        for name in ("energy_level", "tempo", "smoothness"):
            rows[name] = style_response(module, some, name, measure(name))
            print(f"{name:16}", {k: round(v, 3) for k, v in rows[name].items()}, flush=True)
    if a.out:
        (a.out / "figures.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
