"""Write the recordings in data/samples: the same bytes on every run.

    python tools/samples.py            into data/samples
    python tools/samples.py FOLDER     into another folder

Every recording is synthetic (`motionbook.synthetic.people`). The damage is a table below, not chance, so
that a test, a notebook or a reader of the README knows which points are wrong and why.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from motionbook.core.motion import Motion, Scene, fk
from motionbook.core.rotation import axis_rotation
from motionbook.core.skeleton import Skeleton
from motionbook.formats.registry import write
from motionbook.synthetic.people import mouse, person, person_markers, two_people

ROOT = Path(__file__).resolve().parents[1]
NAN = float("nan")


class Damage(NamedTuple):
    "One planted failure; frames count from 0, `last` is included."

    kind: str  # missing, dropout, jump, swap, frozen, jitter
    points: tuple[str, ...]  # joints; for a swap, pairs in order
    first: int
    last: int
    by: tuple[float, ...] = ()  # jump: the offset, metres or pixels; dropout: the likelihood
    actor: int = 0
    sure: bool = False  # whether the tracker reports a high likelihood all the same


WALK_TRC = (
    Damage("missing", ("RWrist",), 20, 31),
    Damage("missing", ("LKnee", "LAnkle"), 70, 77),
    Damage("missing", ("RHeel", "RBigToe", "RSmallToe"), 150, 189),
    Damage("jump", ("LElbow",), 45, 46, (0.12, 0.25, -0.1)),
    Damage("jump", ("RKnee",), 112, 112, (-0.2, 0.0, 0.15)),
    Damage("swap", ("LAnkle", "RAnkle", "LHeel", "RHeel"), 96, 103),
    Damage("frozen", ("LWrist",), 200, 214),
)
WALK_BVH = (
    Damage("jump", ("left_shoulder",), 38, 40, (70.0,)),  # degrees about the upper arm's z axis
    Damage("jump", ("right_knee",), 66, 66, (55.0,)),
    Damage("frozen", ("right_shoulder", "right_elbow"), 80, 95),
)
MOUSE = (
    Damage("dropout", ("nose",), 60, 66, (140.0, -60.0)),
    Damage("dropout", ("left_hip", "right_hip"), 150, 153, (-45.0, 80.0)),
    Damage("jump", ("tail_base",), 100, 101, (35.0, 42.0), sure=True),
    Damage("jump", ("spine",), 210, 210, (-60.0, 10.0), sure=True),
    Damage("swap", ("left_ear", "right_ear"), 120, 133, sure=True),
    Damage("missing", ("right_ear",), 230, 247),
    Damage("frozen", ("tail_base",), 255, 270, sure=True),
)
TWO_MICE = (
    Damage("identity", ("mouse1", "mouse2"), 90, 118, sure=True),
    Damage("missing", ("nose", "left_ear", "right_ear"), 40, 52, actor=1),
    Damage("dropout", ("tail_base",), 160, 165, (-90.0, 70.0), actor=0),
)
WAVE = (
    Damage("missing", ("left_wrist", "left_elbow"), 40, 51),
    Damage("missing", ("right_ankle",), 70, 72),
    Damage("jump", ("head",), 25, 25, (0.3, 0.1, 0.0)),
    Damage("jump", ("left_knee",), 90, 93, (0.0, 0.0, 0.4), sure=True),
)


# ---- planting -----------------------------------------------------------------------------------


def frames_of(d: Damage) -> slice:
    return slice(d.first, d.last + 1)


def moved(x: torch.Tensor, d: Damage, index: list[int]) -> torch.Tensor:
    "The points [t j c] of one actor with one failure put in."
    x, at = x.clone(), frames_of(d)
    if d.kind == "missing":
        x[at, index] = NAN
    elif d.kind in ("jump", "dropout"):
        x[at, index] += torch.tensor(d.by)
    elif d.kind == "frozen":
        x[at, index] = x[d.first - 1, index]
    elif d.kind == "swap":
        x[at, index] = x[at, [index[i ^ 1] for i in range(len(index))]]
    else:
        raise ValueError(f"unknown kind of damage {d.kind!r}")
    return x


def doubted(conf: torch.Tensor, d: Damage, index: list[int]) -> torch.Tensor:
    "The likelihoods that go with it: 0 where a point is missing, low where the tracker notices."
    conf, at = conf.clone(), frames_of(d)
    if d.kind == "missing":
        conf[at, index] = 0.0
    elif not d.sure:
        conf[at, index] = (0.08 + 0.05 * torch.arange(d.last - d.first + 1) % 0.4)[:, None].round(
            decimals=3
        )
    return conf


def damaged(scene: Scene, table: tuple[Damage, ...]) -> Scene:
    "The scene with every failure of a table."
    actors = list(scene.actors)
    for d in table:
        if d.kind == "identity":
            actors[:2] = exchanged(*actors[:2], frames_of(d))
            continue
        m = actors[d.actor]
        index = m.skeleton.indices(d.points)
        conf = None if m.confidence is None else doubted(m.confidence, d, index)
        actors[d.actor] = m.replace(positions=moved(m.positions, d, index), confidence=conf)
    return scene.replace(actors=tuple(actors))


def exchanged(a: Motion, b: Motion, at: slice) -> tuple[Motion, Motion]:
    "Two animals whose names are exchanged for a while."
    mix = lambda x, y: torch.cat([x[: at.start], y[at], x[at.stop :]])
    swap = lambda m, o: m.replace(
        positions=mix(m.positions, o.positions), confidence=mix(m.confidence, o.confidence)
    )
    return swap(a, b), swap(b, a)


def misposed(motion: Motion, table: tuple[Damage, ...]) -> Motion:
    "Failures of rotations, as BVH files have them: the bones stay, the joints are wrong."
    rot = motion.rotations.double().clone()
    for d in table:
        at, index = frames_of(d), motion.skeleton.indices(d.points)
        if d.kind == "frozen":
            rot[at, index] = rot[d.first - 1, index]
        else:
            axis = "x" if "knee" in d.points[0] else "z"
            turn = axis_rotation(axis, torch.deg2rad(torch.tensor(d.by[0], dtype=torch.float64)))
            rot[at, index] = rot[at, index] @ turn
    s = motion.skeleton
    pos, _ = fk(rot, s.rest_offsets.double(), motion.joint("pelvis").double(), s.parents)
    return motion.replace(positions=pos, rotations=rot)


# ---- what is written ----------------------------------------------------------------------------


def rounded(scene: Scene) -> Scene:
    "Values as coarse as the files say them, so that the last bit of a processor does not show."
    digits = 5 if scene.actors[0].positions.shape[-1] == 3 else 3
    soft = lambda x, n: None if x is None else x.double().round(decimals=n).float()
    return scene.map(
        lambda m: m.replace(positions=soft(m.positions, digits), confidence=soft(m.confidence, 4))
    )


def arena_corners(frames: int, fps: float, arena: tuple[float, float]) -> Motion:
    "The unique body parts of a DeepLabCut project: four corners that do not move."
    w, h = arena
    at = torch.tensor([[8.0, 6.0], [w - 9, 7], [w - 7, h - 8], [6, h - 6]])
    wobble = 0.25 * torch.sin(torch.arange(frames)[:, None, None] * torch.tensor([[0.9, 1.3]]) + at)
    names = ("corner_nw", "corner_ne", "corner_se", "corner_sw")
    return Motion(
        at + wobble,
        Skeleton("arena", names),
        fps,
        confidence=torch.full((frames, 4), 0.999),
        name="single",
    )


def two_mice() -> Scene:
    scene = mouse(8, fps=30, seed=21, animals=2)
    return scene.replace(actors=(*scene.actors, arena_corners(len(scene), 30.0, (640.0, 480.0))))


def with_confidence(motion: Motion) -> Motion:
    "A pose estimator's confidence: steady, a little lower toward hands and feet."
    low = torch.tensor(
        [
            0.08 * any(w in j for w in ("wrist", "ankle", "foot", "heel"))
            for j in motion.skeleton.joints
        ]
    )
    ripple = 0.02 * torch.sin(torch.arange(len(motion))[:, None] * 0.31 + torch.arange(len(low)))
    return motion.replace(positions=motion.positions, confidence=0.95 - low + ripple)


class Sample(NamedTuple):
    "One recording, clean and damaged, and the files that hold it."

    about: str
    files: tuple[str, ...]  # of the clean recording; the damaged one adds `_damaged` to each stem
    make: Callable[[], Scene]
    table: tuple[Damage, ...] = ()


def scene_of(motion: Motion) -> Scene:
    return Scene((motion,), text=motion.text)


SAMPLES = (
    Sample("a person of 1.70 m walks; rotations", ("walk.bvh",), lambda: scene_of(person("walk", 4, 30, seed=1)), WALK_BVH),
    Sample("a person dances; rotations", ("dance.bvh",), lambda: scene_of(person("dance", 6, 30, seed=5))),
    Sample("the 20 OpenCap markers of a person who walks", ("walk.trc", "walk.c3d"), lambda: scene_of(person_markers(person("walk", 4, 60, seed=2, height=1.78))), WALK_TRC),
    Sample("one mouse, 8 body parts", ("mouse.csv", "mouse.h5", "mouse.analysis.h5"), lambda: mouse(10, fps=30, seed=11), MOUSE),
    Sample("two mice and the arena's corners, 4 header levels", ("two_mice.csv", "two_mice.h5"), two_mice, TWO_MICE),
    Sample("a person waves, with confidence", ("wave.npz", "wave.json"), lambda: scene_of(with_confidence(person("wave", 4, 30, seed=3))), WAVE),
    Sample("two people shake hands", ("handshake.npz",), lambda: two_people(4, 30, seed=4, action="handshake")),
)  # fmt: skip


def damage_of(sample: Sample, scene: Scene) -> Scene:
    "The damaged twin of a clean scene."
    if sample.files[0].endswith(".bvh"):
        return scene.map(lambda m: misposed(m, sample.table))
    return damaged(scene, sample.table)


def write_samples(folder: Path) -> list[Path]:
    "All files of data/samples; their paths."
    folder.mkdir(parents=True, exist_ok=True)
    written, planted, rows = [], {}, []
    for sample in SAMPLES:
        clean = sample.make()
        pairs = [("", clean)] + [("_damaged", damage_of(sample, clean))] * bool(sample.table)
        for tag, scene in pairs:
            for file in sample.files:
                stem, dot, suffix = file.partition(".")
                written.append(save(scene, folder / f"{stem}{tag}{dot}{suffix}"))
                if tag:
                    planted[written[-1].name] = [d._asdict() for d in sample.table]
                rows.append(row(sample, written[-1], scene, tag))
    written.append(folder / "damage.json")
    written[-1].write_bytes(json_lines(planted).encode())
    written.append(folder / "README.md")
    written[-1].write_bytes((README + "\n".join(rows) + "\n" + ENDING).encode())
    return written


def save(scene: Scene, path: Path) -> Path:
    "BVH holds rotations, which are kept; everything else holds points."
    scene = scene.replace(actors=tuple(m.replace(meta={}) for m in scene.actors), meta={})
    return write(scene if path.suffix == ".bvh" else rounded(scene), path)


def row(sample: Sample, path: Path, scene: Scene, tag: str) -> str:
    who = sum(len(m.skeleton) for m in scene.actors)
    kinds = ", ".join(dict.fromkeys(d.kind for d in sample.table)) if tag else ""
    return f"| `{path.name}` | {sample.about} | {len(scene)} | {scene.fps:g} | {who} | {kinds or '–'} |"


def json_lines(planted: dict[str, list[dict]]) -> str:
    "One failure a line."
    blocks = []
    for name, table in planted.items():
        blocks.append(
            f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(d)}" for d in table) + "\n  ]"
        )
    return "{\n" + ",\n".join(blocks) + "\n}\n"


README = """\
# Sample recordings

Synthetic people and mice in many of the formats that motionbook writes: clean, and with failures planted on
purpose. `python tools/samples.py` writes this folder, the same bytes on every run, and
`tests/test_samples.py` checks that it does.

Made by `motionbook.synthetic.people`: nobody was recorded, no body model and no dataset is involved. Public
domain (CC0 1.0); the code that makes them is Apache-2.0. Metres, y up, facing +z in `.bvh` (centimetres
in the file), `.trc`, `.c3d`, `.json` and `.npz`; pixels, y down, in `.csv` and `.h5` (`.analysis.h5`: SLEAP).

| file | what | frames | fps | points | planted |
|---|---|---|---|---|---|
"""
ENDING = """
The seeds are in `tools/samples.py`. `damage.json` lists each planted failure: its kind, the points, the
first and the last frame (from 0, both included), and `by`: the offset of a jump or a dropout in metres or
pixels, or the angle in degrees in `walk_damaged.bvh`. `sure` says that the tracker reports a high likelihood
all the same. The clean twin is the truth.

- *missing*: no point at all (a blank in TRC and csv, NaN in h5 and npz), likelihood 0 where there is one;
- *dropout*: a wrong place with a low likelihood;
- *jump*: a wrong place for a few frames; *frozen*: the last place held;
- *swap*: left and right exchanged; *identity*: two animals exchanged.
"""

if __name__ == "__main__":
    torch.set_num_threads(1)
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "data" / "samples"
    files = write_samples(out)
    for f in files:
        print(f"{f.stat().st_size:>9,}  {f.name}")
    print(f"{sum(f.stat().st_size for f in files):>9,}  bytes in {len(files)} files")
