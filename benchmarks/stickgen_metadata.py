"""What each way to train with metadata is worth: everything on, and one thing switched after another; and the other forms.

    python benchmarks/stickgen_metadata.py DATA_DIR [--recordings 120] [--steps 400] [--seeds 1] [-o FILE.json]

DATA_DIR holds bvh/bandai.tar.gz. Some recordings, evenly over contents and styles, become samples seen from the front. Every fifth content × style is
held out. Of the others a third is made to tremble by 1.5 cm before its metadata are measured, and every second one loses its metadata:
real data are like that. A small generator of figures in the plane makes as many steps in each row; the same seed, the same clips. The signals are the clips' metadata, not those of the windows.

The last rows have everything on: the form that draws frame after frame, and two actors, recordings beside each other, of which the first
is asked and measured.

correlation  of asked and measured tempo, energy and smoothness at guidance 2.5: with the style that a held-out clip has itself, and
             with that of another clip
jerk         of what is made, over that of the real held-out clips: 1 is best, more is tremble learned from bad recordings
loss         of the motion in held-out clips, without any condition dropped
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from motionbook.core.archives import extract_archive
from motionbook.core.motion import Scene
from motionbook.data.canonical import CanonicalOptions, canonical_samples
from motionbook.data.splits import Sides
from motionbook.data.text import load_encoder
from motionbook.evaluation.repair_errors import motion_rates
from motionbook.evaluation.style import STYLES, adherence
from motionbook.formats.registry import read
from motionbook.models.retrieval.captions import said_of
from motionbook.models.stickgen.asking import draw_nearest
from motionbook.models.stickgen.evaluate import drawn_styles, make_requests
from motionbook.models.stickgen.generator import stickgen_losses
from motionbook.models.stickgen.recipe import (
    FoundClips,
    StickGenTraining,
    embedder,
    known_medium,
    train_on_clips,
)
from motionbook.models.stickgen.windows import StickClip, StickWindows, samples_to_clips
from motionbook.models.vae.training_clips import style_of

FRAMES, TREMBLE = 60, 0.015
SMALL = dict(
    width=64, layers=2, measured=False, draws=600, window=100, valid_share=0, progress=False
)
ALL_ON = dict(quality_weights=True, style_noise=0.003, emotion_tokens=True, missing="absent")
ROWS = {
    "all on": {},
    "no conditioning": {"signals": False},
    "no quality weights": {"quality_weights": False},
    "no style-aware augmentation": {"style_noise": 0.0},
    "no emotion tokens": {"emotion_tokens": False},
    "missing fields called medium": {"missing": "medium"},
    "frame after frame": {"form": "autoregressive"},
    "two actors": {"actors": 2},
}


def read_samples(data: Path, most: int) -> tuple[list[dict], list[dict]]:
    "Samples to learn from, and held-out ones."
    learn, held = [], []
    g = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as tmp:
        files = [
            p
            for p in sorted(extract_archive(data / "bvh/bandai.tar.gz", Path(tmp)))
            if p.suffix == ".bvh"
        ]
        chosen = files[:: max(1, len(files) // most)][:most]
        groups = sorted({style_of(p.stem).group or p.stem for p in chosen})
        kept = set(groups[4::5])
        for k, p in enumerate(chosen):
            motion, out = read(p).actors[0], (style_of(p.stem).group or p.stem) in kept
            if k % 3 == 0 and not out:
                shake = TREMBLE * torch.randn(motion.positions.shape, generator=g)
                motion = motion.replace(
                    positions=motion.positions + shake, rotations=None, offsets=None
                )
            scene = Scene((motion,))
            scene = scene.replace(text=said_of(scene, p.stem) or (p.stem,))
            options = CanonicalOptions(views=("front",), validate=False)
            made = canonical_samples(scene, "bandai", options, clip=p.stem, key=p.stem)
            (held if out else learn).extend(made)
    blind = lambda k, s: s | {"enhanced_meta": None} if k % 2 else s
    return [blind(k, s) for k, s in enumerate(learn)], held


def as_clips(samples: list[dict], config: StickGenTraining):
    "As the recipe makes clips of a file of samples."
    encoder = load_encoder(config.encoder)
    embed = embedder(encoder, config.embedding_width)
    clips = samples_to_clips(samples, embed, config.emotion_tokens, config.quality_weights)
    clips = list(known_medium(clips)) if config.missing == "medium" else clips
    return [beside(*c) for c in zip(clips, clips[7:] + clips[:7])] if config.actors == 2 else clips


def beside(first: StickClip, second: StickClip) -> StickClip:
    "Two actors a metre apart; sentence, style and camera are the first one's."
    n = min(len(first.joints), len(second.joints))
    apart = second.joints[:n] + torch.tensor([1.0, 0.0])
    both = lambda a, b: torch.cat([a[:n], b[:n]], 1)
    return first._replace(
        joints=both(first.joints, apart),
        actions=both(first.actions, second.actions),
        camera=first.camera[:n],
    )


def held_loss(model, clips, config: StickGenTraining) -> float:
    "Of the motion, the same noise for every row."
    torch.manual_seed(0)
    with torch.no_grad():
        batch = StickWindows(clips, config.actors, config.windows(), 96, 1).batch(range(96))
        return float(stickgen_losses(model.eval(), batch)["motion"])


def jerk(clips, fps: float) -> float:
    "Mean over clips [t a 16 2]."
    flat = lambda x: torch.nn.functional.pad(x[:, 0], (0, 1))
    return sum(list(motion_rates(flat(x), fps).values())[2] for x in clips) / len(clips)


def figures(model, clips, config: StickGenTraining) -> dict[str, float]:
    "A row of the table."
    asked = make_requests(model, clips, FRAMES, 48)
    row = {}
    for kind, ask in (("own", asked), ("exchanged", asked.exchanged())):
        made = draw_nearest(model, ask.condition, 1, steps=12)
        wanted = dict(zip(STYLES, ask.condition.signals[:, :3].unbind(1)))
        found = adherence(wanted, drawn_styles(model, made, 1))
        row |= {f"{kind} {n}": found[n]["correlation"] for n in STYLES}
        if kind == "own":
            row["jerk"] = jerk(list(made.joints), model.fps) / jerk(asked.real, model.fps)
    return row | {"loss": held_loss(model, clips, config)}


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path)
    p.add_argument("--recordings", type=int, default=120)
    p.add_argument("--steps", type=int, default=400)
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("-o", "--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    learn, held = read_samples(a.data, a.recordings)
    print(f"{len(learn)} samples to learn from, {len(held)} held out", flush=True)
    names = [*(f"own {n}" for n in STYLES), *(f"exchanged {n}" for n in STYLES), "jerk", "loss"]
    print(f"{'':30}" + "".join(f"{n.replace('exchanged', 'other')[:16]:>17}" for n in names))
    table = {}
    for name, switch in ROWS.items():
        rows = []
        for seed in range(a.seeds):
            fields = SMALL | ALL_ON | switch | {"seed": seed, "minutes": None, "steps": a.steps}
            config = StickGenTraining(**fields)
            clips, other = as_clips(learn, config), as_clips(held, config)
            done = train_on_clips(
                FoundClips(tuple(clips), (), None), None, config, split=Sides(clips, [])
            )
            rows.append(figures(done.model, other, config))
        table[name] = {n: sum(r[n] for r in rows) / len(rows) for n in names}
        print(f"{name:30}" + "".join(f"{table[name][n]:17.2f}" for n in names), flush=True)
    if a.out:
        a.out.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
