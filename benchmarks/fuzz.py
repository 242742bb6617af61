"""Mutated files for each reader, with what they cost: the slow test of tests/test_fuzz.py, with figures.

python benchmarks/fuzz.py [READER ...] [--files 10000] [--start 120] [--minutes 60]

One line a reader: files, how many of them were read, seconds of the processor in all, the slowest file with its
number, the most memory that the process had, how much more that was than before, and the errors that no reader
may raise. A number shows its file again: `python benchmarks/fuzz.py bvh --start 1234 --files 1`.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from test_fuzz import NAMES, Hang, check  # noqa: E402

PEAK = 1024 * 1024 if sys.platform != "darwin" else 1 << 30  # of ru_maxrss in a GiB


def peak() -> float:
    "GiB that this process had at most."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK


def figures(name: str, numbers: range, minutes: float) -> str:
    "One line about a reader; what goes wrong is told on the way."
    before, began, read, done = peak(), time.process_time(), 0, 0
    slowest, wrong, clock = (0.0, -1), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            start = time.process_time()
            try:
                read += check(name, number, Path(folder))
            except (Exception, Hang) as err:
                wrong += 1
                told = " ".join(f"{type(err).__name__}: {err}".split())[:300]
                print(f"  {name} {number}: {told}", flush=True)
            slowest, done = max(slowest, (time.process_time() - start, number)), done + 1
            if time.monotonic() - clock > 60 * minutes:
                break
    took = time.process_time() - began
    return (
        f"{name:16}{done:8,} files {read:7,} read {took:8.0f} s   slowest {slowest[0]:6.2f} s ({slowest[1]})"
        f"   {peak():5.2f} GiB ({peak() - before:+.2f})   {wrong} unnamed"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=120, help="the number of the first")
    parser.add_argument("--minutes", type=float, default=60, help="at most, for each reader")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.readers or NAMES:
        numbers = range(args.start, args.start + args.files)
        if (pid := os.fork()) == 0:  # so that each reader's memory is its own
            print(figures(name, numbers, args.minutes), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
