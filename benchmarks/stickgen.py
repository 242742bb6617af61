"""The generator of stick figures on trials that it did not see: styles, bodies, variety, speed.

    python benchmarks/stickgen.py DATA_DIR [CHECKPOINT] [--fold test] [--tries 1 4] [--refiner DIR]
    python benchmarks/stickgen.py DATA_DIR [CHECKPOINT] --judge DIR [--cache FILE.pt] [--overlap] [--draws 4]

DATA_DIR as for tools/stickgen_weights.py, which trains CHECKPOINT (default: the package's own weights) and keeps every eighth
CMU trial out. Of the trials kept out, every other is for choosing settings (`--fold dev`); the rest are the table's.
Requests are windows of three seconds: their caption with their own measured style, and again with the styles exchanged among
them. Speed is the ratio of ten seconds of motion to the processor time that drawing, and refining in 50 steps towards a style,
takes on one thread, best of five; `--speed` measures nothing else.

With `--judge` only R-precision and variety are asked, of a judge of motion and text that is trained in DIR unless it is there:
on Bandai-Namco's labelled recordings and the other fold of the trials kept out, thus on nothing that the generator learned from
or is asked about. `--overlap` adds the generator's own training trials: a judge that knows the words of CMU's captions, but
shares clips with the generator and with the nearest neighbours. Sentences differ; each has several windows,
real, made, or retrieved. `--fold both` asks about all trials kept out.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from motionbook.data.splits import Sides
from motionbook.data.text import load_encoder
from motionbook.models.refiner.conditions import StyleCondition
from motionbook.models.refiner.module import load_refiner
from motionbook.models.retrieval.captions import embed_clips
from motionbook.models.retrieval.evaluator import load_evaluator, sentence_embedder
from motionbook.models.retrieval.judge import judge_made, nearest_clips
from motionbook.models.retrieval.recipe import RetrievalTraining, train_on_captions
from motionbook.models.stickgen.asking import draw_nearest, drawn_sample, make_condition
from motionbook.models.stickgen.command import PACKAGED, generator_folder, refiner_folder
from motionbook.models.stickgen.evaluate import (
    Requests,
    body_figures,
    evaluation_lines,
    flat_figure,
    judge_requests,
    make_requests,
    style_curve,
)
from motionbook.models.stickgen.generator import StickGenerator, draw, load_generator
from motionbook.models.stickgen.recipe import model_encoder
from motionbook.models.stickgen.windows import StickClip, with_embeddings

sys.path.append(str(Path(__file__).parents[1] / "tools"))
sys.path.append(str(Path(__file__).parent))
from retrieval import VIEWS, cached  # noqa: E402
from stickgen_weights import captions, read_trial, trial_files  # noqa: E402

FRAMES = 75  # three seconds; many trials of walking are hardly longer


def fold_names(model: StickGenerator, fold: str) -> list[str]:
    "Trials kept out: every other one, or all."
    kept = sorted(model.about["kept_out"])
    return kept if fold == "both" else kept[fold == "test" :: 2]


def kept_clips(data: Path, model: StickGenerator, fold: str) -> list[StickClip]:
    "Trials that training did not see."
    names = fold_names(model, fold)
    texts = captions(data)
    with tempfile.TemporaryDirectory() as tmp:
        files = trial_files(data, Path(tmp))
        clips = [read_trial(k, files[k], texts[k]) for k in names]
    return with_embeddings(clips, model_encoder(model))


def table(model: StickGenerator, asked: Requests, tries: int) -> dict:
    "Curves and bodies."
    facts = {"requests": len(asked.texts), "frames": len(asked.real[0]), "tries": tries}
    facts["own"] = style_curve(model, asked, tries=tries)
    facts["exchanged"] = style_curve(model, asked.exchanged(), tries=tries)
    made = draw_nearest(model, asked.condition, tries)
    facts["bodies"] = body_figures(list(made.joints), asked.real, model.fps)
    return facts


def speed(model: StickGenerator, refiner: Path | None) -> dict[str, float]:
    "Seconds of motion for a second of one processor's work."
    words = torch.randn(1, model.config.embedding_width, generator=torch.Generator().manual_seed(0))
    ask = make_condition(model, words, torch.full((1, 5), 0.5), 250)
    refine = load_refiner(refiner or refiner_folder(PACKAGED), 48)
    took, both = [], []
    for k in range(5):
        start = time.process_time()
        sample = drawn_sample(model, draw(model, ask, seed=k))
        took.append(time.process_time() - start)
        refine.refine_poses(sample["motion"][None], StyleCondition(tempo=0.5), 2.5)
        both.append(time.process_time() - start)
    seconds = 250 / model.fps
    return {"drawn": seconds / min(took), "drawn_and_refined": seconds / min(both)}


def train_judge(folder: Path, clips, encoder: str, steps: int, seed: int):
    "A judge of sentences and figures."
    known = load_encoder(encoder).identity() | {"name": encoder}
    sides = Sides(embed_clips(clips, sentence_embedder(known)), [])
    config = RetrievalTraining(steps=steps, seed=seed, valid_share=0, progress=False)
    train_on_captions(sides, folder, config, known)


def nearest_known(model: StickGenerator, texts: list[str], known, count: int) -> list[list]:
    "Middle windows of the training clips whose sentences are nearest to each of some, by the model's encoder."
    embed = model_encoder(model)
    long = embed_clips([c for c in known if len(c) >= FRAMES], embed)
    middle = lambda x: x[(len(x) - FRAMES) // 2 :][:FRAMES]
    return [[middle(c.features) for c in row] for row in nearest_clips(embed(texts), long, count)]


def precision(model: StickGenerator, asked: Requests, judge, known, draws: int) -> dict:
    "R-precision and variety of made motions, of real ones, and of retrieved ones, among sentences that differ."
    silent = asked.condition._replace(signals=torch.full_like(asked.condition.signals, torch.nan))
    plain, loud = asked._replace(condition=silent), {"text_guidance": 2.5}
    rows = {
        "made from the sentence": judge_requests(model, plain, judge, draws),
        "sentence twice and a half as strong": judge_requests(model, plain, judge, draws, **loud),
        "made from sentence and style": judge_requests(model, asked, judge, draws),
    }
    texts = list(dict.fromkeys(asked.texts))
    windows = [[flat_figure(x) for x, t in zip(asked.real, asked.texts) if t == u] for u in texts]
    real = [[w[k % len(w)] for k in range(draws)] for w in windows]
    near = nearest_known(model, texts, known, draws)
    others = {"real": real, "nearest training clips": near}
    first = [w[0] for w in windows]
    return rows | {k: judge_made(judge, texts, first, clips) for k, clips in others.items()}


def judged(model: StickGenerator, asked: Requests, a) -> dict:
    "The table of a judge, which is trained where it is not there yet; what it learned from is told."
    clips, kept = cached(a.data, a.cache), set(model.about["kept_out"])
    tested = set(fold_names(model, a.fold))
    trial = lambda c: c.name.removeprefix("cmu/") if c.name.startswith("cmu/") else ""
    known = [c for c in clips if trial(c) and trial(c) not in kept]
    bandai = [c for c in clips if c.name.startswith("bandai")]
    others = [*bandai, *(c for c in clips if trial(c) in kept - tested)]
    if not a.judge.exists():
        train_judge(
            a.judge, others + known * a.overlap, a.judge_encoder, a.judge_steps, a.judge_seed
        )
    judge = load_evaluator(a.judge)
    print(f"\njudge of {judge.about['clips']} clips, {judge.about['sentences']} sentences")
    rows = precision(model, asked, judge, known[:: len(VIEWS)], a.draws)
    print_precision(rows, a.draws)
    return rows


def print_precision(rows: dict, draws: int):
    "A table of R-precision and variety."
    real = rows["real"]
    print(f"{real['sentences']} sentences, {draws} clips of each; chance {real['chance R@1']:.2f}")
    print(f"{'':38}{'R@1':>6}{'R@3':>6}{'R@3 of real':>13}{'diversity':>11}{'of one':>8}{'FID':>8}")
    for name, r in rows.items():
        print(
            f"{name:38}{r['R@1']:6.2f}{r['R@3']:6.2f}{r['R@3'] / max(real['R@3'], 1e-9):13.2f}{r['diversity']:11.2f}{r['multimodality']:8.2f}{r['FID']:8.1f}"
        )


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path)
    p.add_argument("checkpoint", type=Path, nargs="?")
    p.add_argument("--fold", choices=("dev", "test", "both"), default="test")
    p.add_argument("--tries", type=int, nargs="+", default=[1, 4])
    p.add_argument("--requests", type=int, default=64)
    p.add_argument(
        "--refiner", type=Path, help="of which the speed is measured (default: the package's)"
    )
    p.add_argument("--speed", action="store_true", help="measure the speed alone")
    p.add_argument("--judge", type=Path)
    p.add_argument("--judge-encoder", default="minilm")
    p.add_argument("--judge-steps", type=int, default=400)
    p.add_argument("--judge-seed", type=int, default=0)
    p.add_argument("--overlap", action="store_true")
    p.add_argument("--draws", type=int, default=4)
    p.add_argument("--cache", type=Path, help="keep the judge's clips here, unembedded")
    p.add_argument("-o", "--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    model = load_generator(generator_folder(a.checkpoint))
    if a.speed:
        print("seconds of motion for a second of work:", speed(model, a.refiner))
        return
    asked = make_requests(model, kept_clips(a.data, model, a.fold), FRAMES, a.requests)
    if a.judge:
        facts = judged(model, asked, a)
        if a.out:
            a.out.write_text(json.dumps(facts, indent=1))
        return
    facts = {"speed": speed(model, a.refiner), "tables": []}
    print("seconds of motion for a second of work:", facts["speed"], flush=True)
    for tries in a.tries:
        facts["tables"].append(table(model, asked, tries))
        print(f"\nfold {a.fold}, {tries} tries")
        print("\n".join(evaluation_lines(facts["tables"][-1])), flush=True)
    if a.out:
        a.out.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
