"""Conversion at scale: peak memory of putting the file together, and what a second process is worth.

    python benchmarks/canonical.py memory [--clips 200 2000 10000]   # peak memory of `assemble_canonical`, each in a process of its own
    python benchmarks/canonical.py workers [--clips 48] [--rounds 3]  # processor-bound conversion by one process and by two, in turns

    python benchmarks/canonical.py kills [--clips 24] [--rounds 50]   # convert, and put in shards, killed at so many random moments and gone on with

`kills` compares all files of each folder with those of a run that nobody broke. `memory` also says how many files are open at a time. `workers` by the clock means something on a machine with two free cores alone: the load is printed with it. What the busier
of two processes computes beside what one alone computes says how much there is to gain, whatever else runs.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from motionbook.core.motion import Scene
from motionbook.data.canonical import (
    assemble_canonical,
    canonical_samples,
    convert_dataset,
    open_shard,
    pack_samples,
)
from motionbook.data.sample_sets import open_samples
from motionbook.data.store import write_store
from motionbook.synthetic.people import person
from motionbook.synthetic.raw_style100 import write_style100

SELF, CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN


def processor(who: int) -> float:
    "Seconds of the processor; children count when they have ended."
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def assemble(folder: str, clips: int):
    "In a process of its own: the peak before and after."
    index = [{"files": {f"{k:05}.safetensors": 1}} for k in range(clips)]
    open_shard(Path(folder) / "00000.safetensors")
    before, start = megabytes(), time.perf_counter()
    made = assemble_canonical(folder, index)
    took, size = time.perf_counter() - start, made.stat().st_size / 2**20
    print(
        f"{clips:6} clips, {size:7.1f} MB: peak {before:.0f} -> {megabytes():.0f} MB, {took:.1f} s"
    )


def memory(sizes: list[int]):
    scene = Scene((person("walk", 10.0, 60.0, seed=1),), text=("a person walks",))
    shard = pack_samples(canonical_samples(scene, "amass", key="x"))
    for clips in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for k in range(clips):
                Path(folder, f"{k:05}.safetensors").write_bytes(shard)
            subprocess.run([sys.executable, __file__, "assemble", folder, str(clips)], check=True)


def workers(clips: int, rounds: int):
    print("load of the machine:", *os.getloadavg())
    with tempfile.TemporaryDirectory() as folder:
        styles = [f"Style{chr(65 + k // 26)}{chr(97 + k % 26)}" for k in range(clips // 2)]
        raw = write_style100(Path(folder) / "raw", styles, ("FW", "ID"), seconds=12.0)
        times: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for k in range(rounds):
            for n in times:
                start, mine, theirs = time.perf_counter(), processor(SELF), processor(CHILDREN)
                convert_dataset(raw, Path(folder) / f"out{k}{n}", workers=n)
                clock = time.perf_counter() - start
                busy = max(processor(SELF) - mine, processor(CHILDREN) - theirs)
                times[n].append((clock, busy))
        for what, k in (("by the clock", 0), ("by the busier one's processor", 1)):
            one, two = (statistics.median(t[k] for t in times[n]) for n in (1, 2))
            print(
                f"{clips} clips, {what}: one process {one:.1f} s, two {two:.1f} s: {one / two:.2f} times"
            )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def in_child(job, seconds: float | None = None) -> bool:
    "Run a job in a forked process, killed after some seconds; whether it was."
    pid = os.fork()
    if pid == 0:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
            job()
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a job failed that nobody killed")
    return os.WIFSIGNALED(status)


def kills(clips: int, rounds: int):
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        styles = [f"Style{chr(65 + k)}" for k in range(clips // 2)]
        raw = write_style100(here / "raw", styles, ("FW", "ID"), seconds=2.0)
        (raw / "StyleA" / "StyleA_BR.bvh").write_bytes(b"no motion")
        jobs = {
            "convert": partial(convert_dataset, raw),
            "shards": lambda out: write_store(out, open_samples(here / "whole-convert"), rows=300),
        }
        for name, job in jobs.items():
            start, whole = time.perf_counter(), here / f"whole-{name}"
            in_child(partial(job, whole))
            took = time.perf_counter() - start
            want, broken, same = contents(whole), 0, 0
            for k in range(rounds):
                run = partial(job, here / f"{name}{k}")
                broken += in_child(run, rng.uniform(0, took))
                in_child(run)
                same += contents(here / f"{name}{k}") == want
                shutil.rmtree(here / f"{name}{k}")
            print(
                f"{name} of {clips} clips: {broken} of {rounds} runs killed within {took:.1f} s; after another run {same} of {rounds} folders hold the same bytes as one that was never broken ({len(want)} files)"
            )


def main():
    args = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    args.add_argument("what", choices=("memory", "workers", "kills", "assemble"))
    args.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    args.add_argument("--clips", type=int, nargs="+", default=None)
    args.add_argument("--rounds", type=int, default=None)
    options = args.parse_args()
    if options.what == "assemble":
        assemble(options.rest[0], int(options.rest[1]))
    elif options.what == "memory":
        memory(options.clips or [200, 2000, 10000])
    elif options.what == "kills":
        kills((options.clips or [24])[0], options.rounds or 50)
    else:
        workers((options.clips or [48])[0], options.rounds or 3)


if __name__ == "__main__":
    main()
