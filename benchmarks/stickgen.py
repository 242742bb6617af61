"""The generator of stick figures on trials that it did not see: styles, bodies, variety, speed.

    python benchmarks/stickgen.py DATA_DIR [CHECKPOINT] [--fold test] [--tries 1 4] [--refiner DIR] [--evaluator DIR]

DATA_DIR as for tools/stickgen_weights.py, which trains CHECKPOINT (default: the package's own weights) and keeps every eighth
CMU trial out. Of the trials kept out, every other is for choosing settings (`--fold dev`); the rest are the table's.
Requests are windows of three seconds: their caption with their own measured style, and again with the styles exchanged among
them. `--evaluator` is what `train retrieval` wrote; it should not have seen these trials either. Speed is the ratio of ten
seconds of motion to the processor time that drawing, and refining in 50 steps, takes on one thread, best of five.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from motionbook.models.refiner.module import (
    DDPMScheduler,
    DiffusionRefinementModule,
    load_refiner,
)
from motionbook.models.refiner.network import PoseRefinementUNet
from motionbook.models.stickgen.asking import draw_nearest, drawn_sample, make_condition
from motionbook.models.stickgen.command import generator_folder
from motionbook.models.stickgen.evaluate import (
    Requests,
    body_figures,
    evaluation_lines,
    make_requests,
    style_curve,
)
from motionbook.models.stickgen.generator import StickGenerator, draw, load_generator
from motionbook.models.stickgen.network import Condition
from motionbook.models.stickgen.poses import figures_to_segments, seen_from
from motionbook.models.stickgen.recipe import model_encoder
from motionbook.models.stickgen.windows import StickClip, with_embeddings

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from stickgen_weights import captions, read_trial, trial_files  # noqa: E402

FRAMES = 75  # three seconds; many trials of walking are hardly longer


def kept_clips(data: Path, model: StickGenerator, fold: str) -> list[StickClip]:
    "Trials that training did not see, every other one."
    names = sorted(model.about["kept_out"])[fold == "test" :: 2]
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
    "Seconds of motion for a second of one processor's work; a refiner's weights do not change its speed."
    words = torch.randn(1, model.config.embedding_width, generator=torch.Generator().manual_seed(0))
    ask = make_condition(model, words, torch.full((1, 5), 0.5), 250)
    refine = load_refiner(refiner, 48) if refiner else None
    if refine is None:
        refine = DiffusionRefinementModule(PoseRefinementUNet(48), DDPMScheduler(1000))
    took, both = [], []
    for k in range(5):
        start = time.process_time()
        sample = drawn_sample(model, draw(model, ask, seed=k))
        took.append(time.process_time() - start)
        refine.refine_poses(sample["motion"][None])
        both.append(time.process_time() - start)
    seconds = 250 / model.fps
    return {"drawn": seconds / min(took), "drawn_and_refined": seconds / min(both)}


def precision(model: StickGenerator, asked: Requests, evaluator: Path, pool: int = 16) -> dict:
    "R-precision of made and of real motions among captions that differ."
    from motionbook.models.retrieval.evaluator import load_evaluator

    judge = load_evaluator(evaluator)
    first = list({t: k for k, t in reversed(list(enumerate(asked.texts)))}.values())[:pool]
    few = Condition(*(x[first] for x in asked.condition))
    made = draw(model, few).joints
    flat = lambda xs: [figures_to_segments(seen_from(x) if x.shape[-1] == 3 else x) for x in xs]
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
    words = unit(judge.embed_text([asked.texts[k] for k in first]))
    found = {"captions": len(first)}
    for name, xs in (("made", made), ("real", [asked.real[k] for k in first])):
        near = unit(judge.embed_motion(flat(xs))) @ words.T
        rank = (near > near.diag()[:, None]).sum(1)
        found |= {f"{name}_R@{k}": float((rank < k).float().mean()) for k in (1, 3)}
    return found


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path)
    p.add_argument("checkpoint", type=Path, nargs="?")
    p.add_argument("--fold", choices=("dev", "test"), default="test")
    p.add_argument("--tries", type=int, nargs="+", default=[1, 4])
    p.add_argument("--requests", type=int, default=64)
    p.add_argument("--refiner", type=Path)
    p.add_argument("--evaluator", type=Path)
    p.add_argument("-o", "--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    model = load_generator(generator_folder(a.checkpoint))
    facts = {"speed": speed(model, a.refiner), "tables": []}
    print("seconds of motion for a second of work:", facts["speed"], flush=True)
    asked = make_requests(model, kept_clips(a.data, model, a.fold), FRAMES, a.requests)
    for tries in a.tries:
        facts["tables"].append(table(model, asked, tries))
        print(f"\nfold {a.fold}, {tries} tries")
        print("\n".join(evaluation_lines(facts["tables"][-1])), flush=True)
    if a.evaluator:
        facts["precision"] = precision(model, asked, a.evaluator)
        print(facts["precision"])
    if a.out:
        a.out.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
