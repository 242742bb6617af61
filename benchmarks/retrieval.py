"""Sentences look for motions that nobody trained on: the judge of text and motion beside chance and beside nearest neighbours.

    python benchmarks/retrieval.py DATA_DIR [--encoder hash] [--steps 400] [--fold test] [--by text] [--cache FILE.pt]

DATA_DIR holds asf_amc, cmu_more and bvh. CMU's recordings come with the captions of its index, Bandai-Namco's with content and style
as a sentence, and synthetic actors with an action and a speed. All become stick figures at 25 fps, seen from the front and from the side.
A fifth of the clips is held out: with `--by text` no sentence is on both sides, with `--by recording` no recording. `--fold dev` holds out
a fourth of the others, for choosing settings. The rival is the usual one without training: the motion of the training sentence that is nearest,
and what looks like it by mean, spread and speed of every number of a frame.
"""

import argparse
import csv
import re
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from motionbook.core.archives import extract_archive
from motionbook.core.motion import Scene, resample
from motionbook.data.splits import Sides
from motionbook.data.text import load_encoder
from motionbook.evaluation.recall import (
    PLACES,
    alike_texts,
    chance_recalls,
    cosine_table,
    ranks_of_right,
    recalls,
)
from motionbook.formats.registry import read
from motionbook.models.retrieval.captions import (
    CaptionedClip,
    embed_clips,
    said_of,
    split_captioned,
)
from motionbook.models.retrieval.evaluator import sentence_embedder
from motionbook.models.retrieval.judge import nearest_clips
from motionbook.models.retrieval.network import figure_features
from motionbook.models.retrieval.recipe import RetrievalTraining, train_on_captions
from motionbook.schema.projection import stick_figure
from motionbook.synthetic.people import ACTIONS, person

FPS, VIEWS = 25.0, ("front", "side")
ARCHIVES = (
    "asf_amc/cmu_subjects_01_02.tar.gz",
    "cmu_more/cmu_amc_other_subjects.tar.bz2",
    "cmu_more/cmu_amc_subjects_14_29.tar.bz2",
    "bvh/bandai.tar.gz",
)


def figures(scene: Scene, texts, name: str, source: str) -> list[CaptionedClip]:
    "A clip for each view."
    even = scene.replace(
        actors=tuple(resample(m, FPS) for m in scene.actors[:1]), camera=None, actions=None
    )
    empty = torch.zeros(len(texts), 0)
    return [
        CaptionedClip(
            stick_figure(even, v).motion, texts, empty, f"{source}/{name}", f"{source}/{name}"
        )
        for v in VIEWS
    ]


def cmu_captions(path: Path) -> dict[tuple[int, int], str]:
    "Subject and trial -> what the index says."
    with open(path, encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    return {
        (int(r["Subject"]), int(r["Trial #"])): r["Motion Description"]
        for r in rows
        if r["Trial #"].isdigit()
    }


def load_cmu(folder: Path, data: Path) -> list[CaptionedClip]:
    told, clips = cmu_captions(data / "cmu_more/captions.csv"), []
    for path in sorted(folder.rglob("*.amc")):
        m = re.fullmatch(r"(\d+)_(\d+)", path.stem)
        text = told.get((int(m[1]), int(m[2])), "") if m else ""
        try:
            clips += (
                figures(read(path), (" ".join(text.split()),), path.stem, "cmu")
                if text.strip()
                else []
            )
        except ValueError as err:
            print(f"# left out: {path.stem}: {err}")
    return clips


def load_bandai(folder: Path) -> list[CaptionedClip]:
    clips = []
    for path in sorted(folder.rglob("dataset-*.bvh")):
        scene = read(path)
        clips += figures(scene, said_of(scene, path.stem), path.stem, "bandai")
    return clips


def make_people(seeds: int = 5) -> list[CaptionedClip]:
    "Actions at three speeds."
    clips = []
    for action in ACTIONS:
        for word, speed in (("slowly", 0.6), ("", 1.0), ("quickly", 1.6)):
            for s in range(seeds):
                m = person(action, 5.0 * speed, 60, seed=s)
                m = resample(m, FPS / speed).replace(fps=FPS)
                scene = Scene((m.replace(rotations=None),))
                clips += figures(
                    scene, (f"{m.text} {word}".strip(),), f"{action}_{word}_{s}", "synthetic"
                )
    return clips


def load(data: Path) -> list[CaptionedClip]:
    with tempfile.TemporaryDirectory() as tmp:
        for k, name in enumerate(ARCHIVES):
            extract_archive(data / name, Path(tmp) / str(k))
        clips = load_cmu(Path(tmp), data) + load_bandai(Path(tmp))
    return clips + make_people()


def cached(data: Path, cache: Path | None) -> list[CaptionedClip]:
    "Clips without embeddings, from a file where they are kept."
    if cache and cache.is_file():
        rows = torch.load(cache, weights_only=True)
        return [CaptionedClip(x, tuple(t), torch.zeros(len(t), 0), n, n) for x, t, n in rows]
    clips = load(data)
    if cache:
        torch.save([(c.features, list(c.texts), c.name) for c in clips], cache)
    return clips


def pooled(clips) -> Tensor:  # [n d]
    "Mean, spread and speed of each number of a frame."
    x = [figure_features(c.features, FPS) for c in clips]
    return torch.stack(
        [torch.cat([v.mean(0), v.std(0), v.diff(dim=0).abs().mean(0) * FPS]) for v in x]
    )


def rival_table(sides: Sides, held) -> Tensor:  # [q n]
    "The nearest training sentence's motions, and what looks like them."
    known = pooled(sides.train)
    mean, std = known.mean(0), known.std(0).clamp_min(1e-6)
    items = (pooled(held) - mean) / std
    at = {id(c): k for k, c in enumerate(sides.train)}
    found = nearest_clips(torch.stack([c.sentences[0] for c in held]), sides.train, 4)
    asked = torch.stack([((known[[at[id(c)] for c in row]] - mean) / std).mean(0) for row in found])
    return -torch.cdist(asked, items)


def halves(f, clips) -> dict[str, float]:
    "Recall of second halves by first halves."
    a, b = (f([c.features[s] for c in clips]) for s in _halves(clips))
    return recalls(ranks_of_right(cosine_table(a, b), torch.eye(len(a), dtype=torch.bool)))


def _halves(clips):
    n = min(len(c) for c in clips) // 2
    return slice(0, n), slice(n, 2 * n)


def show(name: str, row: dict[str, float]):
    cells = "".join(f"{100 * row[f'R@{k}']:7.1f}" for k in PLACES)
    print(f"{name:40}{cells}{row['MedR']:8.1f}", flush=True)


def report(model, sides: Sides, source: str):
    "Tables of one source's held-out clips, seen from the front."
    held = [c for c in sides.valid if c.name.startswith(source)][:: len(VIEWS)]
    if len(held) < 4:
        return
    texts = [c.texts[0] for c in held]
    sentences = torch.stack([c.sentences[0] for c in held])
    t, m = model.embed_sentences(sentences), model.embed_motion([c.features for c in held])
    near, rival = cosine_table(t, m), rival_table(sides, held)
    same = alike_texts(sentences, texts=texts)
    first = [texts.index(x) for x in sorted(set(texts))]
    own = torch.eye(len(first), dtype=torch.bool)
    pick = lambda x: x[first][:, first]
    print(
        f"\n{source or 'all'}: {len(held)} clips, {len(first)} sentences{'':14}"
        + "".join(f"{f'R@{k}':>7}" for k in PLACES)
        + "    MedR"
    )
    for way, turn in (("text to motion", lambda x: x), ("motion to text", lambda x: x.mT)):
        show(f"{way}, one clip a sentence", recalls(ranks_of_right(turn(pick(near)), own)))
        if way == "text to motion":
            show("  nearest neighbours", recalls(ranks_of_right(pick(rival), own)))
        show("  chance", chance_recalls(own))
        show(f"{way}, all clips (threshold)", recalls(ranks_of_right(turn(near), same)))
        if way == "text to motion":
            show("  nearest neighbours", recalls(ranks_of_right(rival, same)))
        show("  chance", chance_recalls(same))


def report_halves(model, sides: Sides):
    held = sides.valid[:: len(VIEWS)]
    mean, std = pooled(sides.train).mean(0), pooled(sides.train).std(0).clamp_min(1e-6)
    plain = lambda xs: (
        (pooled([CaptionedClip(x, ("",), torch.zeros(1, 0), "") for x in xs]) - mean) / std
    )
    print(f"\nfirst half looks for second half, {len(held)} clips")
    show("judge", halves(model.embed_motion, held))
    show("  pooled numbers", halves(plain, held))
    show("  chance", chance_recalls(torch.eye(len(held), dtype=torch.bool)))


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path)
    p.add_argument("--encoder", default="hash")
    p.add_argument("--steps", type=int, default=RetrievalTraining().loop.steps)
    p.add_argument("--fold", choices=("test", "dev"), default="test")
    p.add_argument("--by", choices=("text", "recording"), default="text")
    p.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the recipe"
    )
    p.add_argument("--cache", type=Path, help="keep the clips here, unembedded")
    a = p.parse_args()
    clips = cached(a.data, a.cache)
    encoder = load_encoder(a.encoder).identity() | {"name": a.encoder}
    clips = embed_clips(clips, sentence_embedder(encoder))
    learn, held = split_captioned(clips, 0.2, 0, a.by)
    if a.fold == "dev":
        learn, held = split_captioned(learn, 0.25, 1, a.by)
    print(
        f"# {len(clips)} clips of {len({c.name for c in clips})} recordings, {len({c.texts[0] for c in clips})} sentences; by {a.by}, {len(learn)} to learn from"
    )
    settings = dict(steps=a.steps, progress=False, log_steps=50) | dict(
        s.split("=", 1) for s in a.set
    )
    sides = Sides(learn, held)
    with tempfile.TemporaryDirectory() as tmp:
        config = RetrievalTraining(**settings)
        done = train_on_captions(Sides(learn, []), Path(tmp) / "run", config, encoder)
    print(
        "#",
        {k: round(v, 3) for k, v in done.fitted.history.rows[-1].items() if isinstance(v, float)},
    )
    for source in ("", "cmu", "bandai", "synthetic"):
        report(done.model, sides, source)
    report_halves(done.model, sides)


if __name__ == "__main__":
    main()
