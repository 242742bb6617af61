"""Train the weights that the package ships for people, and measure them on people that they did not see.

    python tools/weights.py train DATA_DIR OUT_DIR [--minutes 30]
    python tools/weights.py measure DATA_DIR [FOLDER ...] [--fold test|development] [--caution 0.1 0.3]
                                                          # 15-frame gaps, beside the classical methods
    python tools/weights.py ship OUT_DIR                  # into motionbook/assets/human, as half floats

DATA_DIR holds only what allows any use: bvh/cmu.tar.gz, asf_amc/cmu_subjects_01_02.tar.gz and cmu_more/cmu_amc_*.tar.bz2 (CMU
Graphics Lab Motion Capture Database: free for any use), uiprmd/vicon_positions_int16_delta.tar.xz (UI-PRMD: public domain),
accad/accad_markers.tar.bz2 (ACCAD, CC BY 3.0), motionlib/asap_smpl_npz (ASAP, MIT), aistpp/motions (AIST++ annotations,
CC BY 4.0, Google LLC), trc/*.trc (marker-enhancer, Apache-2.0). People are split: settings are chosen on those in
DEVELOPMENT, the table comes from those in TEST, and nobody of either is trained on. Of the two oldest sources of CMU, whose
files do not all say who moves, every fourth recording is kept for the measurement.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from motionbook.core.archives import extract_archive
from motionbook.filters.fill.classical import cubic, linear
from motionbook.filters.fill.coupled import coupled
from motionbook.filters.fill.kalman import rts
from motionbook.filters.fill.lowrank import best_filler, low_rank, pca_prior
from motionbook.filters.fill.mixed import CAUTION, mixed
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
    "UI-PRMD": "public domain (ODC PDDL 1.0), doi.org/10.3390/data3010002",
    "ACCAD Open Motion Project": "CC BY 3.0, The Ohio State University, accad.osu.edu",
}
TEST = {"16", "35", "49", "s09", "s10", "per20", "perTWO07", "perTWO14", "perTWO15", "perTWO16"}
DEVELOPMENT = {"08", "39", "s08", "dance_KB3"}


def folds(paths: list[Path], who) -> tuple[list[Path], list[Path], list[Path]]:
    "Recordings to train on, to choose settings on and to measure on, by who moves."
    sides: tuple = ([], [], [])
    for p in sorted(paths):
        sides[2 if who(p) in TEST else 1 if who(p) in DEVELOPMENT else 0].append(p)
    return sides


def unpacked(data: Path, tmp: Path, archive: str, *endings: str) -> list[Path]:
    "The files of an archive with one of these endings."
    found = extract_archive(data / archive, tmp / Path(archive).name.replace(".", "_"))
    return sorted(p for p in found if p.suffix in endings)


def apart(paths: list[Path], tmp: Path) -> list[Path]:
    "A folder for each subject of UI-PRMD."
    for p in paths:
        home = tmp / "uiprmd" / p.stem.split("_")[-1]
        home.mkdir(parents=True, exist_ok=True)
        shutil.move(p, home / p.name)
    return sorted((tmp / "uiprmd").iterdir())


def recordings(data: Path, tmp: Path) -> dict[str, tuple[list[Path], list[Path], list[Path]]]:
    "Source -> recordings to train on, to choose settings on, and to measure on."
    fourth = lambda ps: ([p for i, p in enumerate(ps) if i % 4 != 3], [], ps[3::4])
    dance, trials = (
        sorted((data / "aistpp/motions").glob("*.pkl")),
        sorted((data / "trc").glob("*.trc")),
    )
    more = [
        p
        for part in ("other_subjects", "subjects_14_29")
        for p in unpacked(data, tmp, f"cmu_more/cmu_amc_{part}.tar.bz2", ".amc")
        if p.parent.name != "13"  # comes without its skeleton
    ]
    rehab = unpacked(data, tmp, "uiprmd/vicon_positions_int16_delta.tar.xz", ".npy", ".json")
    stage = unpacked(data, tmp, "accad/accad_markers.tar.bz2", ".txt")
    stage = [p for p in stage if p.stem not in ("connections", "run1")]  # the run is too short
    return {
        "CMU, BVH": fourth(unpacked(data, tmp, "bvh/cmu.tar.gz", ".bvh")),
        "CMU, AMC": fourth(unpacked(data, tmp, "asf_amc/cmu_subjects_01_02.tar.gz", ".amc")),
        "CMU, subjects": folds(more, lambda p: p.parent.name),
        "UI-PRMD": folds(apart(rehab, tmp), lambda p: p.name),
        "ACCAD": folds(stage, lambda p: p.stem),
        "AIST++": (dance[:-1], [], dance[-1:]),
        "TRC": (trials[1:], [], trials[:1]),
        "ASAP": (sorted((data / "motionlib/asap_smpl_npz").glob("*.npz")), [], []),
    }


def people(paths: list[Path]) -> list[Clip]:
    "The clips of some recordings; of what UI-PRMD's patients do, what they do right."
    found = list(load_clips(paths, 30.0, 60, body="human", gaps="skip").clips) if paths else []
    named = [replace(c, person=c.person or _who(c.name)) for c in found if "_inc" not in c.name]
    return named


def _who(name: str) -> str | None:
    "CMU's subject or UI-PRMD's, where a path tells."
    home = Path(name.partition("#")[0]).parent.name
    return home if home[-2:].isdigit() else None


SMALL, TWICE = 0.05, 2  # of all frames; shown more often, a few recordings are learned by heart


def even(parts: dict[str, list[Clip]]) -> tuple[Clip, ...]:
    "All clips; those of small sources twice."
    size = {k: sum(len(c.positions) for c in v) for k, v in parts.items()}
    times = {k: TWICE if n < SMALL * sum(size.values()) else 1 for k, n in size.items()}
    return tuple(c for k, v in parts.items() for c in v * times[k])


def train(data: Path, out: Path, minutes: float, options: dict):
    with tempfile.TemporaryDirectory() as tmp:
        parts = {k: people(t) for k, (t, _, _) in recordings(data, Path(tmp)).items()}
    for k, v in parts.items():
        print(f"{k}: {len(v)} clips, {sum(len(c.positions) for c in v) / 1800:.1f} min", flush=True)
    from motionbook.body.human import HUMAN

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


def stretch_errors(ways: dict, x: torch.Tensor, kind: str, turn: int) -> dict[str, torch.Tensor]:
    "Each method's errors in the gaps of a stretch, metres."
    gone, seen = gaps(x, kind, turn), x.isfinite().all(-1).any(0)
    given = x.masked_fill(gone[..., None], torch.nan)
    made = {n: f(given[:, seen], 30.0, errors=False).positions for n, f in FILLERS.items()}
    for name, f in ways.items():
        made[name] = f(given, 30.0, errors=False).positions[:, seen]
    return {n: (y - x[:, seen]).norm(dim=-1)[gone[:, seen]] for n, y in made.items()}


def learned_ways(folders: list[Path], cautions: list[float]) -> dict:
    "Each network alone, and mixed as `clean --method` does it, by name."
    ways = {}
    for folder in folders:
        model = load_model(folder)
        network = learned_filler(model, model.skeleton)
        ways[f"{folder.name} alone"] = network
        for c in cautions:
            named = f"{folder.name} mixed" + f", caution {c:g}" * (len(cautions) > 1)
            ways[named] = mixed(network, "network", caution=c)
    return ways


STRETCHES, CLIPS = 2, 12  # of 300 frames in a clip, and clips of a source, evenly chosen


def stretches(clips: list[Clip]) -> list[torch.Tensor]:
    "Pieces of a source's clips to tear gaps into."
    some = clips[:: max(1, -(-len(clips) // CLIPS))]
    starts = lambda c: range(0, min(len(c.positions), 300 * STRETCHES) - 59, 300)
    return [c.positions[s : s + 300] for c in some for s in starts(c)]


def measure(data: Path, folders: list[Path], fold: str, cautions: list[float], only: str):
    "Mean error in cm over 15-frame gaps at 30 a second, source by source, beside the best classical method."
    ways, side = learned_ways(folders, cautions), 1 if fold == "development" else 2
    with tempfile.TemporaryDirectory() as tmp:
        kept = {k: people(v[side]) for k, v in recordings(data, Path(tmp)).items() if v[side]}
    for source, clips in kept.items():
        if only not in source:
            continue
        parts = stretches(clips)
        turns = range(max(1, 2400 // sum(map(len, parts))))  # short sources several times
        for kind in ("body", "joints"):
            found = [stretch_errors(ways, x, kind, turn) for turn in turns for x in parts]
            mean = {n: 100 * float(torch.cat([e[n] for e in found]).nanmean()) for n in found[0]}
            best = min(v for n, v in mean.items() if n in FILLERS)
            told = ", ".join(f"{n} {v:.2f}" for n, v in mean.items())
            ratio = ", ".join(f"{n} / best {mean[n] / best:.2f}" for n in ways)
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
    p.add_argument("--fold", choices=("test", "development"), default="test")
    p.add_argument("--caution", nargs="+", type=float, default=[CAUTION], help="of the mixture")
    p.add_argument("--only", default="", help="sources whose name contains this")
    p.add_argument("--set", nargs="*", default=[], help="settings of the training, name=value")
    a = p.parse_args()
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    if a.what == "train":
        train(*a.paths, a.minutes, dict(s.split("=", 1) for s in a.set))
    elif a.what == "measure":
        measure(a.paths[0], a.paths[1:] or [HERE], a.fold, a.caution, a.only)
    else:
        ship(*a.paths)


if __name__ == "__main__":
    main()
