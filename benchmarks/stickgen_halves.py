"""R-precision of generated figures by a judge that shares no clip with their generator.

    python benchmarks/stickgen_halves.py DATA_DIR [--steps 400] [--judge-steps 400] [--encoder minilm] [--cache FILE.pt] [-o FILE.json]

DATA_DIR as for tools/stickgen_weights.py: captioned trials of CMU. Before anything is trained they are dealt out by name: every fifth
is asked about, of the others every second one is the generator's (with synthetic actors) and every second one the judge's (as figures from
three sides). So neither has seen a trial of the other, nor one that is asked about; captions may be the same, as "walk" is in each part.

Asked are different captions, a few windows of three seconds for each: real ones, made ones, and the generator's own training clips with the
nearest caption. R@k is the share of clips whose own caption is among the k nearest of all captions that are asked about.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

from motionbook.data.splits import Sides
from motionbook.data.text import load_encoder
from motionbook.models.retrieval.evaluator import load_evaluator
from motionbook.models.stickgen.evaluate import make_requests
from motionbook.models.stickgen.recipe import (
    FoundClips,
    StickGenTraining,
    embedder,
    model_encoder,
    train_on_clips,
)
from motionbook.models.stickgen.windows import StickClip, with_embeddings

sys.path += [str(Path(__file__).parents[1] / "tools"), str(Path(__file__).parent)]
from retrieval_weights import figure_clips  # noqa: E402
from stickgen import FRAMES, precision, print_precision, train_judge  # noqa: E402
from stickgen_weights import known_clips  # noqa: E402

DRAWS = 4


def deal(clips: list[StickClip]) -> tuple[list[StickClip], list[StickClip], list[StickClip]]:
    "The generator's, the judge's, and what is asked about."
    cmu = sorted((c for c in clips if not c.name.startswith("synthetic")), key=lambda c: c.name)
    rest = [c for k, c in enumerate(cmu) if k % 5 != 4]
    made = [c for c in clips if c.name.startswith("synthetic")]
    return [*rest[::2], *made], rest[1::2], cmu[4::5]


def train_half(clips: list[StickClip], a):
    "A generator that knows its half alone."
    config = StickGenTraining(
        dims=3, layers=4, draws=a.draws, steps=a.steps, minutes=None, encoder=a.encoder,
        lr=1.5e-3, seed=a.seed, progress=False,
    )  # fmt: skip
    encoder = load_encoder(a.encoder)
    embedded = with_embeddings(clips, embedder(encoder, config.embedding_width), config.several)
    found = FoundClips(tuple(embedded), (), encoder.identity())
    return train_on_clips(found, None, config, split=Sides(list(embedded), [])).model


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path)
    p.add_argument("--steps", type=int, default=400)
    p.add_argument("--judge-steps", type=int, default=400)
    p.add_argument("--draws", type=int, default=2000, help="windows that the generator learns from")
    p.add_argument("--encoder", default="minilm")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--cache", type=Path, help="keep the clips here")
    p.add_argument("-o", "--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    own, judges, asked_about = deal(known_clips(a.data, a.cache))
    print(
        f"{len(own)} clips of the generator, {len(judges)} of the judge, {len(asked_about)} to ask about",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as tmp:
        clips = figure_clips(judges)
        train_judge(Path(tmp) / "judge", clips, a.encoder, a.judge_steps, a.seed)
        judge = load_evaluator(Path(tmp) / "judge")
    print("judge trained", flush=True)
    model = train_half(own, a)
    print("generator trained", flush=True)
    held = with_embeddings(asked_about, model_encoder(model))
    asked = make_requests(model, held, FRAMES, 4 * len(held))
    real = [c for c in own if not c.name.startswith("synthetic")]
    rows = precision(model, asked, judge, figure_clips(real, ["front"]), DRAWS)
    print_precision(rows, DRAWS)
    if a.out:
        a.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
