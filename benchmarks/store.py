"""Training sets at scale: how fast a store opens and is cut, what embedding costs, and how memory grows with the number of clips.

    python benchmarks/store.py open [--samples 100000] [--rounds 7]     # opening a store; a list of the same kind for comparison
    python benchmarks/store.py windows [--samples 100000] [--rounds 60] # random batches of 256 windows of 64 frames against a copy of as many bytes
    python benchmarks/store.py embed [--captions 1000] [--rounds 3] [--encoder minilm] # our embedding against the model's own encode, in turns; a repeated run
    python benchmarks/store.py captions [--captions 5000 45000]         # peak memory of embedding so many different captions, each in a process of its own
    python benchmarks/store.py stages [--clips 500 2000]                # convert -> embed -> store from raw files: seconds of each stage, peak memory
    python benchmarks/store.py simulate [--clips 10000 100000]          # embed -> store of so many converted clips: seconds and peak memory

Every ratio is of one run, with what it is compared to measured in turns beside it; milliseconds of a processor do not change with what else the machine does. Peak memory is that of the whole process; mapped pages count as long as the system keeps them. `embed` takes all-MiniLM-L6-v2
with `--encoder minilm`, where its package is installed; else a model in its shape with random weights, which computes as much.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from motionbook.core.motion import Scene
from motionbook.data.canonical import canonical_samples, pack_samples
from motionbook.data.embed import embed_samples, write_set
from motionbook.data.sample_sets import SampleSet, open_samples, samples_of
from motionbook.data.store import ROW, Store, random_windows, write_store
from motionbook.data.text import hash_encoder
from motionbook.synthetic.people import person

WORDS = "a person walks runs jumps slowly quickly forward backward and then turns sits stands waves the hand leg arm with both while".split()
VERSION = {
    "encoder": "hash",
    "sha256": hash_encoder().sha256,
    "native_dim": 256,
    "pad": "zeros",
    "prompt": "",
}


def peak() -> float:
    "Megabytes, the most so far."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def own_memory() -> float:
    "Megabytes that are this process's own, without pages of mapped files."
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def caption(k: int) -> str:
    "Another sentence for every number."
    rng = np.random.default_rng(k)
    return " ".join(rng.choice(WORDS, rng.integers(6, 18))) + f" {k}"


def clip(seconds: float = 4.0) -> dict:
    "A converted clip, at 25 frames per second."
    scene = Scene((person("walk", seconds, 60.0, seed=1),), text=("a person walks",))
    return canonical_samples(scene, "amass", key="x")[0]


def take_copies(one: dict, embedded: bool, a: int, b: int) -> list[dict]:
    "Copies of a clip, each with a sentence and a key of its own."
    meta = lambda k: (
        one["meta"]
        | {"key": f"clip{k}", "clip": f"clip{k}"}
        | ({"encoder": VERSION} if embedded else {})
    )
    row = {"embedding": torch.ones(1024)} if embedded else {}
    return [one | {"description": caption(k), "meta": meta(k)} | row for k in range(a, b)]


def many(n: int, embedded: bool = True) -> SampleSet:
    return SampleSet(f"{n} clips", n, partial(take_copies, clip(), embedded), lambda: f"{n}")


def in_turns(rounds: int, *jobs):
    "Seconds of each job, round after round."
    spent = [[] for _ in jobs]
    for _ in range(rounds):
        for seconds, job in zip(spent, jobs):
            start = time.perf_counter()
            job()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(s) for s in spent]


def open_(samples: int, rounds: int):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_store(Path(folder) / "store", many(samples))
        wrote = time.perf_counter() - start
        few = write_set(Path(folder) / "few.pt", many(1000))
        store, listed, plain = in_turns(
            rounds,
            lambda: Store(Path(folder) / "store"),
            lambda: open_samples(few),
            lambda: torch.load(few, mmap=True, weights_only=True),
        )
        s = Store(Path(folder) / "store")
        size = sum(x["bytes"] for x in s.shards) / 2**30
        first = in_turns(rounds, lambda: Store(Path(folder) / "store")[samples // 2])[0]
        print(
            f"store of {samples:,} samples, {s.about['frames']:,} frames, {size:.1f} GiB, {len(s.shards)} shards, written in {wrote:.0f} s"
        )
        print(
            f"opened in {1000 * store:.2f} ms; opened and a sample read {1000 * first:.2f} ms; a list of 1,000 samples opens, every one checked, in {1000 * listed:.0f} ms, by torch.load without a check in {1000 * plain:.0f}"
        )


def windows(samples: int, rounds: int):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(write_store(Path(folder) / "store", many(samples)))
        rng = np.random.default_rng(0)
        source = torch.empty(256, 64, ROW).uniform_()
        for _ in range(3):
            random_windows(store, 256, 64, generator=rng)
        far, turns = torch.empty(64, 256, 64, ROW).uniform_(), iter(range(10**9))
        pool, places = far.flatten(0, 1), torch.randperm(64 * 256).reshape(64, 256)
        cut = lambda: random_windows(store, 256, 64, generator=rng)
        batch, copy, cold, spread = in_turns(
            rounds,
            cut,
            source.clone,
            lambda: far[next(turns) % 64].clone(),
            lambda: pool[places[next(turns) % 64]],
        )
        mb = source.nbytes / 1e6
        print(f"256 windows of 64 frames, {mb:.1f} MB with all arrays: {1000 * batch:.2f} ms")
        for ms, what in (
            (cold, "another part of 243 MB of memory each time"),
            (spread, "256 random places in those 243 MB"),
            (copy, "the same place each time, which the processor holds"),
        ):
            print(
                f"a copy of as many bytes from {what}: {1000 * ms:.2f} ms, {batch / ms:.2f} times"
            )


def minilm_shape(folder: Path):
    "A model in the shape of all-MiniLM-L6-v2, with random weights and a small vocabulary."
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS[1:],
        *"abcdefghijklmnopqrstuvwxyz0123456789",
    ]
    words += [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"]
    (folder / "vocab.txt").write_text("\n".join(words))
    shape = dict(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    BertModel(BertConfig(vocab_size=30522, **shape)).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    bert = models.Transformer(str(folder / "bert"), max_seq_length=256)
    SentenceTransformer(modules=[bert, models.Pooling(384), models.Normalize()], device="cpu").save(
        str(folder / "m")
    )
    return folder / "m"


def embed(captions: int, rounds: int, encoder: str):
    from motionbook.data.text import all_threads, find_minilm, load_encoder, load_sentence_model

    with tempfile.TemporaryDirectory() as folder:
        path = find_minilm() if encoder == "minilm" else minilm_shape(Path(folder))
        model, ours_is = load_sentence_model(path), load_encoder(encoder or str(path))
        one = clip(1.0)
        samples = samples_of([one | {"description": caption(k)} for k in range(captions)])
        texts, runs = [s["description"] for s in samples], iter(range(10**6))

        def theirs():
            with all_threads():
                model.encode(texts, batch_size=64, show_progress_bar=False)

        def ours():
            embed_samples(samples, ours_is, Path(folder) / f"cache{next(runs)}")

        again = lambda: embed_samples(samples, ours_is, Path(folder) / "cache0")
        theirs()
        a, b = in_turns(rounds, theirs, ours)
        (c,) = in_turns(rounds, again)
        used = time.process_time()
        theirs()
        used = time.process_time() - used
        print(
            f"{captions:,} captions: {1000 * used / captions:.2f} ms of a processor each; encode {captions / a:.0f} a second, ours {captions / b:.0f} ({b / a:.2f} times the time); again from the cache {captions / c:.0f}"
        )


def captions_(captions: int):
    "In a process of its own."
    with tempfile.TemporaryDirectory() as folder:
        one = clip(1.0)
        samples = SampleSet("captions", captions, partial(take_copies, one, False), lambda: "")
        before, start = peak(), time.perf_counter()
        made, counts = embed_samples(samples, hash_encoder(), Path(folder) / "cache")
        took = time.perf_counter() - start
        sum(float(s["embedding"][0]) for s in made)
        print(
            f"{counts['new']:7,} captions: {counts['new'] / took:,.0f} a second; peak {before:.0f} -> {peak():.0f} MB, of its own now {own_memory():.0f} MB"
        )


def stages(clips: int):
    "In a process of its own: raw files, converted, embedded and put in shards."
    from motionbook.data.canonical import convert_dataset
    from motionbook.formats.registry import write

    with tempfile.TemporaryDirectory() as folder:
        here, rows = Path(folder), []
        (here / "raw").mkdir()
        write(Scene((person("walk", 4.0, 60.0, seed=1),)), here / "one.bvh")
        for k in range(clips):
            os.link(here / "one.bvh", here / "raw" / f"{k:06}.bvh")
        jobs = {
            "convert": lambda: convert_dataset(here / "raw", here / "out", "recordings"),
            "embed": lambda: write_store(
                here / "store",
                embed_samples(open_samples(here / "out"), hash_encoder(), here / "c")[0],
            ),
        }
        for name, job in jobs.items():
            start, used = time.perf_counter(), time.process_time()
            job()
            took, used = time.perf_counter() - start, time.process_time() - used
            rows.append(
                f"{name} {1000 * used / clips:.1f} ms of a processor a clip, {clips / took:.0f} clips a second by the clock, peak {peak():.0f} MB"
            )
        print(f"{clips:7,} clips of 240 frames at 60 Hz: " + "; ".join(rows))


def simulate(clips: int):
    "In a process of its own: a folder as convert leaves it, embedded and put in shards."
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "out" / "shards").mkdir(parents=True)
        entries, one = [], clip()
        for k in range(clips):
            name = f"{k // 1000:04}/{k:06}.safetensors"
            (here / "out" / "shards" / name).parent.mkdir(exist_ok=True)
            (here / "out" / "shards" / name).write_bytes(
                pack_samples(take_copies(one, False, k, k + 1))
            )
            entries.append({"key": f"{k:06}", "files": {name: 1}})
        (here / "out" / "shards" / "index.jsonl").write_text(
            "".join(json.dumps(e) + "\n" for e in entries)
        )
        (here / "out" / "manifest.json").write_text(
            json.dumps({"inputs": {e["key"]: "" for e in entries}})
        )
        del entries
        before, start = peak(), time.process_time()
        made, _ = embed_samples(open_samples(here / "out"), hash_encoder(), here / "cache")
        embedded = time.process_time()
        store = Store(write_store(here / "store", made))
        wrote = time.process_time()
        size = sum(s["bytes"] for s in store.shards) / 2**30
        print(
            f"{clips:7,} clips, {store.about['frames']:,} frames, {size:.2f} GiB in {len(store.shards)} shards: of a processor, sentences {1000 * (embedded - start) / clips:.2f} ms a clip, "
            f"shards {1000 * (wrote - embedded) / clips:.2f}; peak {before:.0f} -> {peak():.0f} MB, of its own now {own_memory():.0f} MB"
        )


APART = {
    "captions": (captions_, "captions", [5000, 45000]),
    "stages": (stages, "clips", [500, 2000]),
    "simulate": (simulate, "clips", [10_000, 100_000]),
}


def main():
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sub = top.add_subparsers(dest="what", required=True)
    for name, rounds in {"open": 7, "windows": 60}.items():
        p = sub.add_parser(name)
        p.add_argument("--samples", type=int, default=100_000)
        p.add_argument("--rounds", type=int, default=rounds)
    p = sub.add_parser("embed")
    p.add_argument("--captions", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--encoder", choices=("", "minilm"), default="")
    for name, (_, option, default) in APART.items():
        p = sub.add_parser(name)
        p.add_argument(f"--{option}", type=int, nargs="+", default=default)
        p.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = top.parse_args()
    torch.set_num_threads(1)
    if args.what in APART:
        job, option, _ = APART[args.what]
        for n in getattr(args, option):
            if args.here:
                job(n)
            else:
                subprocess.run(
                    [sys.executable, __file__, args.what, f"--{option}", str(n), "--here"],
                    check=True,
                )
        return
    given = {k: v for k, v in vars(args).items() if k != "what"}
    {"open": open_, "windows": windows, "embed": embed}[args.what](**given)


if __name__ == "__main__":
    main()
