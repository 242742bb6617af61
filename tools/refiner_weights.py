"""Train the refiner of stick figures that the package ships, on the motion that its generator learned from.

    python tools/refiner_weights.py train DATA_DIR OUT_DIR [--minutes 10] [--set name=value ...]
    python tools/refiner_weights.py ship OUT_DIR            # into motionbook/assets/refiner, as half floats
    python tools/refiner_weights.py response DATA_DIR       # of the package's, how it follows a style on trials that it has not seen

DATA_DIR as for tools/stickgen_weights.py: trials of the CMU Graphics Lab Motion Capture Database (free for any use) and synthetic
actors, seen from three sides. Every eighth trial is kept out, the same as for the generator: `kept_out` tells which.
"""

import argparse
from pathlib import Path

import torch
from stickgen_weights import LICENCES, known_clips, sides

from motionbook.data.splits import Sides
from motionbook.evaluation.style import STYLES, measured_styles
from motionbook.models.refiner.evaluate import style_response
from motionbook.models.refiner.module import load_refiner, save_refiner
from motionbook.models.refiner.recipe import (
    LEAST,
    MODEL,
    FoundFigures,
    RefinerClip,
    RefinerTraining,
    train_on_figures,
)
from motionbook.models.stickgen.poses import figures_to_segments, seen_from
from motionbook.models.stickgen.windows import StickClip

HERE = Path(__file__).parents[1] / "motionbook" / "assets" / "refiner"
USUAL = {"progress": False, "rank": 192, "strongest": 0.6, "valid_share": 0.0}


def figures(clip: StickClip, config: RefinerTraining) -> list[RefinerClip]:
    "A clip in space as figures, one a view."
    found = []
    for view in config.views:
        poses = figures_to_segments(seen_from(clip.joints[:, :1], view)).contiguous()
        y = poses[:, 1::2]
        height = float((y.amax(1) - y.amin(1)).quantile(0.95))
        told = (clip.weight, float(clip.signals[1].nan_to_num(0.5)), height, clip.name, clip.name)
        found.append(RefinerClip(poses, clip.signals, *told, config.fps))
    return [k for k in found if len(k.poses) >= LEAST]


def train(clips: list[StickClip], out: Path, options: dict):
    "A refiner in a folder, with what it must tell."
    config = RefinerTraining(**USUAL | options)
    split = sides(clips)
    learn = [k for c in split.train for k in figures(c, config)]
    print(
        f"{len(learn)} figures of {len(split.train)} clips, {len(split.valid)} kept out", flush=True
    )
    done = train_on_figures(FoundFigures(tuple(learn)), out, config, split=Sides(learn, []))
    done.model.about |= {"licences": LICENCES, "kept_out": [c.name for c in split.valid]}
    save_refiner(done.model, out / MODEL, **done.model.about)
    last = done.fitted.history.rows[-1]
    print(done.fitted.step, "steps;", {k: v for k, v in last.items() if isinstance(v, float)})


def ship(out: Path):
    "Into the package; large tensors as half floats."
    module = load_refiner(out / MODEL)
    kept = (
        "minutes",
        "steps",
        "seed",
        "batch_size",
        "lr",
        "strongest",
        "rank",
        "kinds",
        "channels",
    )
    settings = {k: v for k, v in module.about.pop("training").items() if k in kept}
    command = "python tools/refiner_weights.py train DATA_DIR OUT_DIR"
    small = {k: getattr(module.prior, k).clone() for k in ("values", "rest")}
    module.half()
    for name, value in small.items():  # variances are too small for half floats
        setattr(module.prior, name, value)
    save_refiner(module, HERE, **module.about | {"command": command, "settings": settings})
    print(f"{sum(p.stat().st_size for p in HERE.iterdir()) / 1e6:.1f} MB in {HERE.name}")


def response(clips: list[StickClip]):
    "What asking for 0.9 of a signal instead of 0.1 does to twelve clips of three seconds, in six steps."
    module, config = load_refiner(HERE, 48), RefinerTraining(views=("front",))
    held = [figures(c, config) for c in sides(clips).valid[::2]]
    some = torch.stack([k.poses[:75] for f in held for k in f if len(k.poses) >= 75][:12])
    for strength in (0.3, 0.6):
        for name in STYLES:
            measure = lambda x, name=name: float(measured_styles([x], config.fps)[name][0])
            found = style_response(module, some, name, measure, strength=strength)
            print(strength, name, {k: round(v, 3) for k, v in found.items()}, flush=True)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("train", "ship", "response"))
    p.add_argument("paths", nargs="+", type=Path)
    p.add_argument("--minutes", type=float, default=10.0)
    p.add_argument("--cache", type=Path, help="keep the clips here")
    p.add_argument("--set", nargs="*", default=[], help="settings of the training, name=value")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.what == "train":
        data, out = a.paths
        train(
            known_clips(data, a.cache),
            out,
            {"minutes": a.minutes} | dict(s.split("=", 1) for s in a.set),
        )
    elif a.what == "response":
        response(known_clips(*a.paths, a.cache))
    else:
        ship(*a.paths)


if __name__ == "__main__":
    main()
