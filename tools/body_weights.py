"""Train a model that finds and repairs what is wrong with bodies, and measure it on people that it did not see.

    python tools/body_weights.py train DATA_DIR OUT_DIR [--minutes 3] [--files N]
    python tools/body_weights.py measure DATA_DIR FOLDER [--clips 6]   # beside `clean` as it is without weights
    python tools/body_weights.py ship OUT_DIR FOLDER                   # half floats, with where they come from

DATA_DIR holds only what allows any use: bvh/cmu.tar.gz, asf_amc/cmu_subjects_01_02.tar.gz and cmu_more/*.tar.bz2 (CMU Graphics
Lab Motion Capture Database), motionlib/asap_smpl_npz (ASAP, MIT), aistpp/motions (AIST++ annotations, CC BY 4.0, Google LLC).
People are split: those in TEST are never trained on, and a few of the others are held out to choose thresholds and to calibrate.
"""

import argparse
import random
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from weights import LICENCES

import motionbook
from motionbook.body.arrays import SmplArrays, smpl_to_motion
from motionbook.core.archives import extract_archive
from motionbook.core.motion import Scene
from motionbook.filters.corrupt.broken_amass import BODY_KINDS
from motionbook.models.stablemotion.body_model import load_body_model, save_body_model
from motionbook.models.stablemotion.body_practice import (
    break_clip,
    shift_path,
    tear_holes,
    widen_frames,
)
from motionbook.models.stablemotion.body_recipe import train_bodies
from motionbook.models.stablemotion.body_recordings import Bodies, add_scene
from motionbook.models.stablemotion.recipe import StableMotionTraining

TEST = ("02", "35", "49", "16", "d06")  # CMU's subjects and a dancer
ARCHIVES = (
    "bvh/cmu.tar.gz",
    "asf_amc/cmu_subjects_01_02.tar.gz",
    "cmu_more/cmu_amc_other_subjects.tar.bz2",
    "cmu_more/cmu_amc_subjects_14_29.tar.bz2",
    "cmu_more/cmu_bvh.tar.bz2",
)
USED = [k for k in LICENCES if not k.startswith("marker")]
SMALL = dict(
    layers=3, heads=4, width=96, body_window=64, body_kinds=4000, body_faults=300, body_holes=150
)
SMALL |= dict(batch_size=16, draws=2048, valid_share=0.08, progress=False)


def who_moves(path: Path) -> str:
    "CMU's subject, the dancer, or the first word of the name."
    words = path.stem.split("_")
    return next((w for w in words if w[:1] == "d" and w[1:].isdigit()), words[0])


def clips(data: Path, test: bool, most: int | None = None) -> list:
    "The clips of all people to train on, or of those to measure on; of `most` recordings, drawn at random."
    with tempfile.TemporaryDirectory() as tmp:
        files = [
            p for k, a in enumerate(ARCHIVES) for p in extract_archive(data / a, Path(tmp) / str(k))
        ]
        files = [p for p in files if p.suffix in (".bvh", ".amc") and "twins" not in str(p)]
        files += [
            *(data / "aistpp/motions").glob("*.pkl"),
            *(data / "motionlib/asap_smpl_npz").glob("*.npz"),
        ]
        files = [p for p in sorted(files) if (who_moves(p) in TEST) == test]
        random.Random(0).shuffle(files)
        return [replace(c, person=who_moves(p)) for p in files[:most] for c in read_clips(p)]


def read_clips(path: Path) -> list:
    "The clips of a file; none where it cannot be read."
    try:
        return add_scene(motionbook.read(path), 64)[0]
    except ValueError as err:
        print(f"left out {path.name}: {err}"[:160], flush=True)
        return []


def train(data: Path, out: Path, minutes: float, files: int | None):
    found = clips(data, False, files)
    print(f"{len(found)} clips, {sum(map(len, found)) / 1200:.1f} min", flush=True)
    about = {"licences": {k: LICENCES[k] for k in USED}, "never seen": list(TEST)}
    done = train_bodies(
        Bodies(tuple(found)), out, StableMotionTraining(**SMALL, minutes=minutes), about=about
    )
    print(done.model.about)


def as_motion(clip):
    return smpl_to_motion(SmplArrays(clip.poses, clip.joints[:, 0], clip.joints), clip.fps)


def measure(found: list, folder: Path, most: int):
    "Good frames, holes and each family, with `clean` as usual and with the model."
    ways = {"usual": "auto", "model": str(folder)}
    long = sorted((c for c in found if len(c) >= 120), key=lambda c: (-len(c), c.name))[:most]
    long = [c.cut(0, 120) for c in long]
    print(f"{len(long)} clips of {len({c.person for c in long})} people", flush=True)
    for name, method in ways.items():
        done = [motionbook.clean(Scene((as_motion(c),)), method=method) for c in long]
        share = torch.cat([d.flagged[0].any(1) for d in done]).float().mean()
        print(f"frames of good recordings flagged, {name}: {share:.3f}", flush=True)
    measure_holes(long, ways)
    for kind in BODY_KINDS:
        measure_family(long, ways, kind)


def measure_holes(found: list, ways: dict):
    "Mean error in holes that are torn."
    off = {k: [] for k in ways}
    for i, clip in enumerate(found):
        good = as_motion(clip)
        hidden = tear_holes(len(clip), torch.Generator().manual_seed(i))
        torn = good.replace(positions=good.positions.masked_fill(hidden[..., None], torch.nan))
        for name, method in ways.items():
            done = motionbook.clean(Scene((torn,)), method=method, fidelity="missing")
            off[name].append((done.scene.actors[0].positions - good.positions).norm(dim=-1)[hidden])
    told = ", ".join(f"{n} {100 * float(torch.cat(e).nanmean()):.2f}" for n, e in off.items())
    print(f"holes: cm {told}", flush=True)


def measure_family(found: list, ways: dict, kind: str):
    "Mean error on broken frames of the file as it is, repaired as usual, and by the model; and F1 of both detectors."
    off, hits = {k: [] for k in ("as it is", *ways)}, {k: torch.zeros(3) for k in ways}
    frames = 0
    for i, good in enumerate(found):
        g = torch.Generator().manual_seed(i)
        broken = break_clip(good, g, families=kind, mode="test", spared=0.0)
        bad = broken.label
        frames += len(bad)
        truth = as_motion(shift_path(good, broken, widen_frames(bad), False)).positions
        given = as_motion(broken)
        error = lambda m, bad=bad, truth=truth: (m.positions - truth).norm(dim=-1)[bad]
        off["as it is"].append(error(given))
        for name, method in ways.items():
            done = motionbook.clean(Scene((given,)), method=method)
            said = done.flagged[0].any(1)
            off[name].append(error(done.scene.actors[0]))
            hits[name] += torch.stack([(said & bad).sum(), said.sum(), bad.sum()])
    told = ", ".join(f"{n} {100 * float(torch.cat(e).mean()):.2f}" for n, e in off.items())
    f1 = {n: float(2 * h[0] / (h[1] + h[2]).clamp_min(1)) for n, h in hits.items()}
    wrong = float(hits["model"][2])
    f1["flagging all"] = 2 * wrong / (frames + wrong)
    print(f"{kind}: cm {told}; F1 {', '.join(f'{n} {v:.2f}' for n, v in f1.items())}", flush=True)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("train", "measure", "ship"))
    p.add_argument("paths", nargs=2, type=Path)
    p.add_argument("--minutes", type=float, default=3.0)
    p.add_argument(
        "--files", type=int, help="to train on, drawn at random; all where none is given"
    )
    p.add_argument("--clips", type=int, default=6, help="to measure on")
    a = p.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if a.what == "train":
        train(*a.paths, a.minutes, a.files)
    elif a.what == "measure":
        measure(clips(a.paths[0], test=True), a.paths[1], a.clips)
    else:
        save_body_model(load_body_model(a.paths[0]), a.paths[1], half=True)


if __name__ == "__main__":
    main()
