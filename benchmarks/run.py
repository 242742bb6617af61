"""Every benchmark beside its peers, in one command: a table with the machine that it was made on.

    python benchmarks/run.py DATA_DIR [--full] [--only NAME ...] [-o benchmarks/last.json]

DATA_DIR holds the recordings that the single benchmarks name; a benchmark without its recordings says so in its row. The short
form takes about half an hour on two cores: fewer clips, frames and minutes of training than the tables that the pages quote.
`--full` takes each benchmark's own defaults, and hours. Benchmarks run one after the other, on one thread each. What they
print is kept as it stands, with their processor time and exit code; rows of `--only` replace those of the same name in the file.
The docs show the file on the page *Benchmarks*.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
G1 = "DATA/motionlib/asap_g1_pkl"
PACKAGES = ("torch", "numpy", "scipy", "numba", "pandas", "smplx", "sentence-transformers")

# name: (what is beside what, the short form, the full form)
RUNS = {
    "body": (
        "joints of an SMPL body beside smplx",
        "bench_body.py --frames 2000 --rounds 3",
        "bench_body.py",
    ),
    "bvh": (
        "reading a BVH beside bvhio",
        "bench_bvh.py --frames 4000 --rounds 3",
        "bench_bvh.py",
    ),
    "features": (
        "keypoint and animal features beside a copy of as many numbers",
        "bench_features.py --real DATA --rounds 3 --only encoding",
        "bench_features.py --real DATA",
    ),
    "ik263": (
        "263 numbers a frame beside HumanML3D's way",
        "bench_ik263.py DATA --clips 20 --repeats 3 --workers 0",
        "bench_ik263.py DATA",
    ),
    "ms272": (
        "272 numbers a frame beside 263",
        "bench_ms272.py --clips 20 --repeats 3",
        "bench_ms272.py",
    ),
    "rifke": (
        "StableMotion's 232 numbers beside the published way",
        "bench_rifke.py --repeats 15 --data DATA",
        "bench_rifke.py --data DATA",
    ),
    "rts": (
        "the Kalman smoother beside the textbook's loop over joints",
        "bench_rts.py --frames 5000",
        "bench_rts.py",
    ),
    "training": (
        "the training loop beside a bare loop",
        "bench_training.py",
        "bench_training.py",
    ),
    "clean_speed": (
        "`clean` beside a median filter and a threshold: processor time and memory",
        "clean_speed.py --share 0.02",
        "clean_speed.py",
    ),
    "mocap": (
        "filling gaps of people: classical methods beside each other",
        "mocap.py DATA --windows 30 --tuning 12",
        "mocap.py DATA",
    ),
    "bilstm": (
        "the corrector beside the best classical methods",
        "bilstm.py DATA --minutes 1 --test 40",
        "bilstm.py DATA",
    ),
    "tracks": (
        "animal tracks: `clean` beside median, Hampel, thresholds and the oracle",
        "tracks.py DATA --repeats 1 --plan short",
        "tracks.py DATA",
    ),
    "dropouts": (
        "dropouts, jumps and swaps of animals: `clean` beside the two ways of a lab",
        "dropouts.py DATA --shares 0.05 --frames 500",
        "dropouts.py DATA",
    ),
    "gaps": (
        "gaps of animals: coupled smoother and trained cleaner beside lines and a recurrent imputer",
        "gaps.py DATA --only maze --frames 1200 --steps 40",
        "gaps.py DATA",
    ),
    "swaps": (
        "exchanged names: found, undone, invented",
        "swaps.py DATA --frames 500",
        "swaps.py DATA",
    ),
    "compare": (
        "does `compare` name the method that is truly best?",
        "compare.py DATA --minutes 0.15 --group held-out",
        "compare.py DATA",
    ),
    "stablemotion": (
        "a track cleaner learned from one corrupted file beside filters and the oracle",
        "stablemotion.py DATA --frames 1000 --steps 150 --only fly",
        "stablemotion.py DATA",
    ),
    "bodies": (
        "which frames of a body are bad: beside gradient boosting",
        "bodies.py DATA --train 20 --test 8 --classical 2",
        "bodies.py DATA",
    ),
    "bodies_people": (
        "bodies of people nobody learned from: what is found beside boosting, and mended",
        "bodies_people.py DATA --clips 5 --train 0",
        "bodies_people.py DATA --clips 12 --train 36",
    ),
    "bodies_joints": (
        "hidden joints: the corrector, the body model and a classical filler",
        "bodies_joints.py DATA --windows 2",
        "bodies_joints.py DATA",
    ),
    "bodies_speed": (
        "checking and repairing a body beside the published way",
        "bodies_speed.py --repeats 2",
        "bodies_speed.py --repeats 5",
    ),
    "vae": (
        "the motion VAE beside principal components and a convolutional twin",
        "vae.py DATA --minutes 0.7 --rates 960 120",
        "vae.py DATA",
    ),
    "quantiser": (
        "a step of the quantiser beside vector-quantize-pytorch",
        "bench_vqvae.py quantiser",
        "bench_vqvae.py quantiser",
    ),
    "codes_speed": (
        "motion to codes and back beside real time",
        "bench_vqvae.py speed",
        "bench_vqvae.py speed",
    ),
    "codes": (
        "a robot's motion as codes beside the published schemes, at equal bits",
        f"bench_vqvae.py robots {G1} --folds 10 --only 2 --steps 60",
        f"bench_vqvae.py robots {G1}",
    ),
    "robots": (
        "`clean` on robot motion beside a tuned smoother",
        f"robots.py {G1}",
        f"robots.py {G1} --seeds 2",
    ),
    "canonical": (
        "conversion: memory over the number of clips",
        "canonical.py memory --clips 200 2000",
        "canonical.py memory",
    ),
    "store_open": (
        "opening a training set beside a list of dicts",
        "store.py open --samples 20000",
        "store.py open",
    ),
    "store_windows": (
        "random windows of a training set beside a copy of their bytes",
        "store.py windows --samples 20000 --rounds 30",
        "store.py windows",
    ),
    "embed": (
        "embedding sentences beside the model's own encode",
        "store.py embed --captions 300 --rounds 2",
        "store.py embed",
    ),
    "retrieval": (
        "sentences that look for motion beside chance and nearest sentences",
        "retrieval.py DATA --steps 120",
        "retrieval.py DATA",
    ),
    "refiner": (
        "the refiner beside a tuned smoother",
        "refiner.py DATA --minutes 0.5",
        "refiner.py DATA",
    ),
    "stickgen": (
        "the generator of stick figures on trials that it did not see",
        "stickgen.py DATA --requests 24 --tries 1",
        "stickgen.py DATA",
    ),
    "stickgen_halves": (
        "made motion beside real and nearest motion, under a judge that learned from other clips",
        "stickgen_halves.py DATA --steps 80 --judge-steps 80 --draws 400 --encoder hash",
        "stickgen_halves.py DATA",
    ),
    "stickgen_metadata": (
        "five uses of metadata, each beside a generator without it",
        "stickgen_metadata.py DATA --recordings 20 --steps 40",
        "stickgen_metadata.py DATA",
    ),
}


def describe_machine() -> dict:
    "The machine and the versions of what computes."
    lines = Path("/proc/cpuinfo")
    names = lines.read_text().splitlines() if lines.is_file() else []
    chip = next((x.split(":")[1].strip() for x in names if x.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": chip or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory": f"{memory:.0f} GiB",
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {p: importlib.metadata.version(p) for p in PACKAGES},
    }


def run(name: str, data: str, full: bool) -> dict:
    "One benchmark in a process of its own: what it printed, and what that cost."
    about, short, long = RUNS[name]
    line = long if full else short
    words = [w.replace("DATA", data) for w in line.split()]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, HERE / words[0], *words[1:]], capture_output=True, text=True, env=env
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = [x.rstrip().replace(data, "DATA") for x in done.stdout.splitlines()]
    if done.returncode:
        said += [x.replace(data, "DATA") for x in done.stderr.splitlines()[-3:]]
    return {
        "about": about,
        "command": f"python benchmarks/{line}",
        "date": datetime.date.today().isoformat(),
        "cpu_seconds": round(cpu, 1),
        "load": round(os.getloadavg()[0], 1),
        "exit": done.returncode,
        "printed": said,
    }


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("data", type=Path)
    p.add_argument("--full", action="store_true")
    p.add_argument("--only", nargs="+", choices=tuple(RUNS), metavar="NAME", help=", ".join(RUNS))
    p.add_argument("-o", "--out", type=Path, default=HERE / "last.json")
    a = p.parse_args()
    kept = json.loads(a.out.read_text()) if a.only and a.out.is_file() else {"runs": {}}
    kept["machine"] = describe_machine()
    for name in a.only or RUNS:
        kept["runs"][name] = found = run(name, str(a.data), a.full)
        print(
            f"{name}: exit {found['exit']}, {found['cpu_seconds']} s of the processor", flush=True
        )
        kept["runs"] = {n: kept["runs"][n] for n in RUNS if n in kept["runs"]}
        a.out.write_text(json.dumps(kept, indent=1) + "\n")
