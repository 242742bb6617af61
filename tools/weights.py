"""Train the weights that the package ships for people, and measure them on recordings that they did not see.

    python tools/weights.py train DATA_DIR OUT_DIR [--minutes 30]
    python tools/weights.py measure DATA_DIR [FOLDER]     # 15-frame gaps, beside the classical methods
    python tools/weights.py ship OUT_DIR                  # into motionbook/assets/human, as half floats

DATA_DIR holds only what allows any use: bvh/cmu.tar.gz and asf_amc/cmu_subjects_01_02.tar.gz (CMU Graphics Lab Motion
Capture Database: free for any use), motionlib/asap_smpl_npz (ASAP, MIT), aistpp/motions (AIST++ annotations, CC BY 4.0,
Google LLC), trc/*.trc (marker-enhancer, Apache-2.0). Every fourth CMU recording, one AIST++ sequence and one TRC trial are
kept for the measurement.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from motionbook.core.archives import extract_archive
from motionbook.filters.fill.classical import cubic, linear
from motionbook.filters.fill.coupled import coupled
from motionbook.filters.fill.kalman import rts
from motionbook.filters.fill.lowrank import best_filler, low_rank, pca_prior
from motionbook.filters.fill.mixed import mixed
from motionbook.models.corrector.cleaner import learned_filler, load_model
from motionbook.models.corrector.network import SkeletonCorrector
from motionbook.models.corrector.recipe import MODEL, CorrectorTraining, train_on_clips
from motionbook.models.corrector.recordings import Clip, Clips, load_clips

HERE = Path(__file__).parents[1] / "motionbook" / "assets" / "human"
LICENCES = {
    "CMU Graphics Lab Motion Capture Database": "free for any use, mocap.cs.cmu.edu",
    "ASAP (SMPL recordings)": "MIT, github.com/LeCAR-Lab/ASAP",
    "AIST++ (annotations)": "CC BY 4.0, Google LLC, google.github.io/aistplusplus_dataset",
    "marker-enhancer (keypoint trials)": "Apache-2.0, github.com/stanfordnmbl/marker-enhancer",
}


def recordings(data: Path, tmp: Path) -> dict[str, tuple[list[Path], list[Path]]]:
    "Source -> recordings to train on, and those kept for measuring."
    bvh = sorted(
        p for p in extract_archive(data / "bvh/cmu.tar.gz", tmp / "bvh") if p.suffix == ".bvh"
    )
    amc = sorted(
        p
        for p in extract_archive(data / "asf_amc/cmu_subjects_01_02.tar.gz", tmp / "amc")
        if p.suffix == ".amc"
    )
    fourth = lambda ps: ([p for i, p in enumerate(ps) if i % 4 != 3], ps[3::4])
    dance, trials = (
        sorted((data / "aistpp/motions").glob("*.pkl")),
        sorted((data / "trc").glob("*.trc")),
    )
    return {
        "CMU, BVH": fourth(bvh),
        "CMU, AMC": fourth(amc),
        "AIST++": (dance[:-1], dance[-1:]),
        "TRC": (trials[1:], trials[:1]),
        "ASAP": (sorted((data / "motionlib/asap_smpl_npz").glob("*.npz")), []),
    }


def people(paths: list[Path]) -> list[Clip]:
    return list(load_clips(paths, 30.0, 60, body="human", gaps="skip").clips) if paths else []


SMALL, TWICE = 0.05, 2  # of all frames; shown more often, a few recordings are learned by heart


def even(parts: dict[str, list[Clip]]) -> tuple[Clip, ...]:
    "All clips; those of small sources twice."
    size = {k: sum(len(c.positions) for c in v) for k, v in parts.items()}
    times = {k: TWICE if n < SMALL * sum(size.values()) else 1 for k, n in size.items()}
    return tuple(c for k, v in parts.items() for c in v * times[k])


def train(data: Path, out: Path, minutes: float, options: dict):
    with tempfile.TemporaryDirectory() as tmp:
        parts = {k: people(t) for k, (t, _) in recordings(data, Path(tmp)).items()}
    for k, v in parts.items():
        print(f"{k}: {len(v)} clips, {sum(len(c.positions) for c in v) / 1800:.1f} min", flush=True)
    from motionbook.body.people import HUMAN

    usual = {"minutes": minutes, "valid_share": 0.05, "body": "human", "progress": False}
    usual["prior_frames"] = 0  # so few and dissimilar recordings do not tell how people move
    usual |= {
        "hole_share": 0.35,
        "noise_share": 0.4,
    }  # often one kind of hole alone, as in real files
    config = CorrectorTraining(**usual | options)
    done = train_on_clips(
        Clips(HUMAN, 30.0, even(parts)), out, config, about={"licences": LICENCES}
    )
    print(f"{done.fitted.step} steps; error bars times {float(done.model.error_scale):.2f}")


def gaps(x: torch.Tensor, kind: str, turn: int = 0, length: int = 15) -> torch.Tensor:
    "One gap in every 60 frames, of the whole body or of a fifth of the joints, each at its own time: [t j] bool."
    t, j = torch.arange(len(x))[:, None], x.shape[1]
    g = torch.Generator().manual_seed(1000 * turn + len(x))
    start = 8 + (37 * torch.rand(j if kind == "joints" else 1, generator=g)).long().expand(j)
    chosen = torch.rand(j, generator=g) < (0.2 if kind == "joints" else 1.1)
    at = t % 60
    return (at >= start) & (at < start + length) & (t < len(x) - 8) & chosen & x.isfinite().all(-1)


FILLERS = {
    "linear": linear(),
    "cubic": cubic(),
    "rts": rts(),
    "rts velocity": rts("velocity"),
    "pca": pca_prior(),
    "low rank": low_rank(),
    "coupled": coupled(),
    "auto": lambda x, fps, errors: best_filler(x, fps)[0](x, fps, errors=errors),
}


def stretch_errors(model, x: torch.Tensor, kind: str, turn: int) -> dict[str, torch.Tensor]:
    "Each method's errors in the gaps of a stretch, metres."
    gone, seen = gaps(x, kind, turn), x.isfinite().all(-1).any(0)
    given = x.masked_fill(gone[..., None], torch.nan)
    made = {n: f(given[:, seen], 30.0, errors=False).positions for n, f in FILLERS.items()}
    network = learned_filler(model, model.skeleton)
    for name, f in {"network alone": network, "learned": mixed(network, "network")}.items():
        made[name] = f(given, 30.0, errors=False).positions[:, seen]
    return {n: (y - x[:, seen]).norm(dim=-1)[gone[:, seen]] for n, y in made.items()}


def measure(data: Path, folder: Path):
    'Mean error in cm over 15-frame gaps at 30 a second, source by source; "learned" is what `clean --method` answers.'
    model = load_model(folder)
    with tempfile.TemporaryDirectory() as tmp:
        kept = {k: people(v) for k, (_, v) in recordings(data, Path(tmp)).items() if v}
    for source, clips in kept.items():
        parts = [
            c.positions[s : s + 300]
            for c in clips[:12]
            for s in range(0, min(len(c.positions), 1200) - 59, 300)
        ]
        turns = range(max(1, 2400 // sum(map(len, parts))))  # short sources several times
        for kind in ("body", "joints"):
            found = [stretch_errors(model, x, kind, turn) for turn in turns for x in parts]
            mean = {n: 100 * float(torch.cat([e[n] for e in found]).nanmean()) for n in found[0]}
            best = min(v for n, v in mean.items() if n in FILLERS)
            told = ", ".join(f"{n} {v:.2f}" for n, v in mean.items())
            ratio = f"network / best {mean['network alone'] / best:.2f}, learned / best {mean['learned'] / best:.2f}"
            print(f"{source}, {kind}: {told}; {ratio}", flush=True)


def ship(out: Path):
    "Into the package, in half floats."
    model = load_model(out / MODEL)
    model.about = {k: v for k, v in model.about.items() if k != "training"} | {
        "command": "python tools/weights.py train DATA_DIR OUT_DIR",
        "settings": {
            k: v
            for k, v in model.about["training"].items()
            if k in ("hidden", "width", "layers", "minutes", "seed")
        },
    }
    SkeletonCorrector.half(model).save_pretrained(HERE)
    print(f"{sum(p.stat().st_size for p in HERE.iterdir()) / 1e6:.1f} MB in {HERE}")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("train", "measure", "ship"))
    p.add_argument("paths", nargs="+", type=Path)
    p.add_argument("--minutes", type=float, default=30.0)
    p.add_argument("--set", nargs="*", default=[], help="settings of the training, name=value")
    a = p.parse_args()
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    if a.what == "train":
        train(*a.paths, a.minutes, dict(s.split("=", 1) for s in a.set))
    elif a.what == "measure":
        measure(a.paths[0], a.paths[1] if len(a.paths) > 1 else HERE)
    else:
        ship(*a.paths)


if __name__ == "__main__":
    main()
