"""Train the judge of sentences and stick figures that the package ships, on captioned motion that allows any use.

    python tools/retrieval_weights.py train DATA_DIR OUT_DIR [--set name=value ...]
    python tools/retrieval_weights.py ship OUT_DIR          # into motionbook/assets/retrieval, as half floats

DATA_DIR as for tools/stickgen_weights.py: captioned trials of the CMU Graphics Lab Motion Capture Database (free for any use) and
synthetic actors, as figures from three sides. Every eighth trial is kept out, the same as for the generator; on those, seen from
the front, `train` prints recall beside chance. A caption that is asked about may have been read, of another trial: the table
counts them.
"""

import argparse
from pathlib import Path

import torch
from stickgen_weights import LICENCES, known_clips, sides

from motionbook.data.splits import Sides
from motionbook.models.retrieval.captions import CaptionedClip, embed_clips
from motionbook.models.retrieval.evaluator import load_retrieval, save_retrieval
from motionbook.models.retrieval.judge import clip_figures, retrieval_lines
from motionbook.models.retrieval.recipe import (
    RetrievalTraining,
    named_encoder,
    train_on_captions,
)
from motionbook.models.stickgen.poses import figures_to_segments, seen_from
from motionbook.models.stickgen.windows import StickClip, phrasings

HERE = Path(__file__).parents[1] / "motionbook" / "assets" / "retrieval"
VIEWS = ("front", "three_quarter", "side")


def figure_clips(clips: list[StickClip], views=VIEWS, several: bool = False) -> list[CaptionedClip]:
    "As a judge of figures reads them, without embeddings."
    seen = lambda c, v: figures_to_segments(seen_from(c.joints[:, :1], v)).contiguous()
    told = lambda c: tuple(phrasings(c.text)) if several else (c.text,)
    none = torch.zeros(1, 0)
    return [CaptionedClip(seen(c, v), told(c), none, c.name, c.name) for c in clips for v in views]


def train(clips: list[StickClip], out: Path, options: dict):
    "A judge in a folder, and its table."
    config = RetrievalTraining(**{"encoder": "hash", "valid_share": 0, "progress": False} | options)
    embed, known = named_encoder(config.encoder)
    split = sides(clips)
    learn = embed_clips(figure_clips(split.train, several=True), embed)
    held = embed_clips(figure_clips(split.valid, ["front"]), embed)
    print(f"{len(learn)} figures of {len(split.train)} clips, {len(held)} kept out", flush=True)
    model = train_on_captions(Sides(learn, []), out, config, known).model
    model.about |= {"licences": LICENCES, "kept_out": [c.name for c in split.valid]}
    save_retrieval(model, out / "model")
    print("\n".join(retrieval_lines(clip_figures(model, held))))


def ship(out: Path):
    "Into the package, in half floats."
    model = load_retrieval(out)
    model.about |= {"command": "python tools/retrieval_weights.py train DATA_DIR OUT_DIR"}
    save_retrieval(model.half(), HERE)
    print(f"{sum(p.stat().st_size for p in HERE.iterdir()) / 1e6:.1f} MB in {HERE.name}")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("train", "ship"))
    p.add_argument("paths", nargs="+", type=Path)
    p.add_argument("--cache", type=Path, help="keep the clips here")
    p.add_argument("--set", nargs="*", default=[], help="settings of the training, name=value")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.what == "train":
        data, out = a.paths
        train(known_clips(data, a.cache), out, dict(s.split("=", 1) for s in a.set))
    else:
        ship(*a.paths)


if __name__ == "__main__":
    main()
