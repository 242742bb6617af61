"""Train the generator of stick figures that the package ships, on captioned motion that allows any use.

    python tools/stickgen_weights.py train DATA_DIR OUT_DIR [--minutes 30] [--set name=value ...]
    python tools/stickgen_weights.py ship OUT_DIR            # into motionbook/assets/stickgen, as half floats

DATA_DIR holds asf_amc/cmu_subjects_01_02.tar.gz, cmu_more/cmu_amc_*.tar.bz2, cmu_more/cmu_bvh.tar.bz2 and
cmu_more/captions.csv (CMU Graphics Lab Motion Capture Database with its own index as captions: free for any use), to which
come synthetic actors with captions. Every eighth CMU trial is kept out: `held_out` tells which.
"""

import argparse
import csv
import re
import tempfile
from pathlib import Path

import torch

from motionbook.core.archives import extract_archive
from motionbook.core.motion import Scene, resample
from motionbook.data.splits import Sides
from motionbook.data.text import load_encoder
from motionbook.formats.registry import read
from motionbook.models.stickgen.generator import load_generator, save_generator
from motionbook.models.stickgen.recipe import (
    FoundClips,
    StickGenTraining,
    embedder,
    train_on_clips,
)
from motionbook.models.stickgen.windows import StickClip, scene_to_clip, with_embeddings
from motionbook.synthetic.people import person

HERE = Path(__file__).parents[1] / "motionbook" / "assets" / "stickgen"
ARCHIVES = (
    "asf_amc/cmu_subjects_01_02.tar.gz",
    "cmu_more/cmu_amc_other_subjects.tar.bz2",
    "cmu_more/cmu_amc_subjects_14_29.tar.bz2",
    "cmu_more/cmu_bvh.tar.bz2",
)
LICENCES = {
    "CMU Graphics Lab Motion Capture Database": "free for any use, mocap.cs.cmu.edu",
    "synthetic actors": "made by motionbook",
}
SAID = dict(
    walk="walks", run="runs", jump="jumps", wave="waves", sit="sits down", turn="turns", dance="dances"
)  # fmt: skip
SPEEDS = ((0.7, " slowly"), (1.0, ""), (1.35, " quickly"))
KEPT_OUT = 8  # every eighth trial


def captions(data: Path) -> dict[str, str]:
    "Trial -> what the index of the database says of it."
    found = {}
    with open(data / "cmu_more/captions.csv", encoding="utf-8", errors="replace") as f:
        for row in csv.DictReader(f):
            if row["Subject"].strip().isdigit() and row["Trial #"].strip().isdigit():
                key = f"{int(row['Subject']):02d}_{int(row['Trial #']):02d}"
                found[key] = row["Motion Description"].strip()
    return found


def trial_files(data: Path, box: Path) -> dict[str, Path]:
    "Trial -> one recording of it."
    found: dict[str, Path] = {}
    for archive in ARCHIVES:
        for p in sorted(extract_archive(data / archive, box / Path(archive).name.split(".")[0])):
            named = re.search(r"(\d+)_(\d+)", p.stem)
            fit = p.suffix in (".amc", ".bvh") and not re.search("twins|iclone", str(p))
            if named and fit:
                found.setdefault(f"{int(named[1]):02d}_{int(named[2]):02d}", p)
    return found


def read_trial(key: str, path: Path, text: str) -> StickClip:
    "A recording as a clip; its first frame may be a rest pose."
    motion = resample(read(path).actors[0], 25.0)
    motion = motion.replace(positions=motion.positions[1:], rotations=None, offsets=None)
    return scene_to_clip(Scene((motion,), text=(text,)), 25.0, key)


def cmu_clips(data: Path) -> list[StickClip]:
    "Captioned trials, without embeddings."
    texts, clips = captions(data), []
    with tempfile.TemporaryDirectory() as tmp:
        for key, path in sorted(trial_files(data, Path(tmp)).items()):
            if key not in texts:
                continue
            try:
                clips.append(read_trial(key, path, texts[key]))
            except ValueError as err:
                print(f"left out: {err}", flush=True)
    return clips


def synthetic_clips() -> list[StickClip]:
    "Actors at three speeds, with sentences that say so."
    made = []
    for action, verb in SAID.items():
        for k, (speed, adverb) in enumerate(SPEEDS):
            for seed in range(4):
                motion = person(action, 6.0, 25.0 / speed, seed=10 * k + seed)
                motion = motion.replace(fps=25.0)
                scene = Scene((motion,), text=(f"a person {verb}{adverb}",))
                made.append(scene_to_clip(scene, 25.0, f"synthetic_{action}_{k}{seed}"))
    return made


def known_clips(data: Path, cache: Path | None = None) -> list[StickClip]:
    "Captioned trials and synthetic actors, without embeddings; kept in a file for another time."
    if cache and cache.is_file():
        return [StickClip(*c) for c in torch.load(cache, weights_only=True)]
    clips = [*cmu_clips(data), *synthetic_clips()]
    if cache:
        torch.save([tuple(c) for c in clips], cache)
    return clips


def sides(clips: list[StickClip]) -> Sides:
    "What is learned from, and every eighth trial."
    cmu = sorted((c for c in clips if not c.name.startswith("synthetic")), key=lambda c: c.name)
    held = cmu[KEPT_OUT - 1 :: KEPT_OUT]
    names = {c.name for c in held}
    return Sides([c for c in clips if c.name not in names], held)


def all_clips(clips: list[StickClip], config: StickGenTraining) -> FoundClips:
    "Everything with embeddings."
    encoder = load_encoder(config.encoder)
    made = with_embeddings(clips, embedder(encoder, config.embedding_width), config.several)
    return FoundClips(tuple(made), (), encoder.identity())


def train(clips: list[StickClip], out: Path, minutes: float, options: dict):
    usual = {"dims": 3, "minutes": minutes, "layers": 4, "draws": 3000, "progress": False}
    config = StickGenTraining(**usual | options)
    found = all_clips(clips, config)
    split = sides(list(found.clips))
    seconds = sum(len(c.joints) for c in found.clips) / config.fps
    print(
        f"{len(found.clips)} clips, {seconds / 60:.1f} min, {len(split.valid)} held out", flush=True
    )
    done = train_on_clips(found, out, config, split=split)
    done.model.about |= {"licences": LICENCES, "kept_out": [c.name for c in split.valid]}
    save_generator(done.model, out / "model")
    print(f"{done.fitted.step} steps, ended by {done.fitted.reason}, best {done.fitted.best}")


def ship(out: Path):
    "Into the package, in half floats."
    model = load_generator(out)
    kept = ("minutes", "seed", "draws", "batch_size", "lr")
    settings = {k: v for k, v in model.about.pop("training").items() if k in kept}
    command = "python tools/stickgen_weights.py train DATA_DIR OUT_DIR"
    model.about |= {"command": command, "settings": settings}
    save_generator(model.half(), HERE)
    print(f"{sum(p.stat().st_size for p in HERE.iterdir()) / 1e6:.1f} MB in {HERE.name}")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("train", "ship"))
    p.add_argument("paths", nargs="+", type=Path)
    p.add_argument("--minutes", type=float, default=30.0)
    p.add_argument("--cache", type=Path, help="keep the clips here")
    p.add_argument("--set", nargs="*", default=[], help="settings of the training, name=value")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.what == "train":
        data, out = a.paths
        train(known_clips(data, a.cache), out, a.minutes, dict(s.split("=", 1) for s in a.set))
    else:
        ship(*a.paths)


if __name__ == "__main__":
    main()
