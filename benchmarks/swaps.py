"""Swapped names planted in real recordings: are they found, undone exactly, and is none invented?

python benchmarks/swaps.py DATA_DIR [--fold test|development] [--only rat] [--clean] [--repeats 1] [--kinds]

DATA_DIR holds dlc, sleap, animals_more, accad, uiprmd and biomech. Exchanges are planted between tracks that are
both seen at their borders: *pairs* (mirror pairs by name, neighbours, two within
three steps of each other, any two), *rings* of three, whole
*limbs* (three pairs at once), whole *animals*, and rings of three animals. A fifth lasts 1 or 2 frames, half 3 to
20, the rest 20 to 100, at most a third of the recording (nobody can tell which half of one is right). Three animals are one recording three times, at other moments; their tracks begin and end.
With three animals or more, an animal may be away at a border.

An exchange is *found* when at least 80 % of its points are again what they were, to the bit. Moved points with
one beginning and one end are one *claim*; it is wrong unless most of its points were put right. Both are *far*
where the points lie more than three frame steps apart at both borders (distance moved over the median step of the
faster track within a quarter of a second; the median over the tracks of a group), else *near*. Exchanges and claims
shorter than three frames are reported apart. *Left* is the mean distance to the truth over all points that were
exchanged (pixels; millimetres for markers; hundredths of the body for animals in 3-D), *invented* counts claims on the recording as it was. Animals' recordings hold mistakes of their own, so that
not every claim on them is wrong.

Nothing here is tuned on what it reports: settings are chosen on the development fold (first halves; odd subjects of
UI-PRMD), figures come from the other half.
"""

import argparse
import io
import json
import lzma
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import motionbook
from motionbook.core.motion import Motion, Scene
from motionbook.core.size import body_size
from motionbook.core.skeleton import Skeleton
from motionbook.filters.cleaner import REASON, detect, unswapped
from motionbook.filters.detect.exchanges import swap_viterbi
from motionbook.filters.detect.swaps import identity_swaps

sys.path.insert(0, str(Path(__file__).parent))
import dropouts  # noqa: E402

FOLDS = {"development": (0, 100), "test": (1, 0)}  # which half, first seed
FAR, SHORT, RIGHT = 3.0, 3, 0.8
Rows = dict[str, list[Scene]]


class Event(NamedTuple):
    "Tracks that carry each other's points from `start` to `stop`."

    kind: str
    tracks: tuple[int, ...]
    onto: tuple[int, ...]  # the track whose points each of them carries
    start: int
    stop: int


# ----------------------------------------------------------------------------------------------- recordings


def half(m: Motion, which: int, frames: int) -> Motion:
    a = which * (len(m) // 2)
    b = min(a + min(frames, len(m) // 2), len(m))
    conf = None if m.confidence is None else m.confidence[a:b]
    return Motion(m.positions[a:b], m.skeleton, m.fps, confidence=conf, name=m.name)


def animals(root: Path, which: int, frames: int) -> Rows:
    "One animal, or two that were filmed together."
    found = dropouts.recordings(root)
    out: Rows = {}
    for name, m in found.items():
        if not name.startswith(("flies", "home cage", "two mice")):
            out[name] = [Scene((half(m, which, frames),))]
    for name in ("flies", "home cage"):
        both = (half(found[f"{name} {k}"], which, frames) for k in (1, 2))
        out[f"{name}, two"] = [Scene(tuple(both))]
    for name, body in (("rat, 3-D", 0.5), ("open field", 0.0)):
        out[f"{name}, three"] = [three_of(half(found[name], which, 10**6), frames, body)]
    return out


def three_of(m: Motion, frames: int, apart: float) -> Scene:
    "Three moments of one animal as three animals, each of them away for a while."
    n = min(frames, int(len(m) * 0.6))
    shift = (len(m) - n) // 2
    size = float(m.positions[m.observed].std(0).max())
    actors = []
    for k in range(3):
        x = m.positions[k * shift : k * shift + n].clone()
        x[..., 0] += apart * size * k
        for a in (n // 5, n // 2):
            x[a + 60 * k : a + 60 * k + 45] = torch.nan
        conf = None if m.confidence is None else m.confidence[k * shift : k * shift + n]
        actors.append(Motion(x, m.skeleton, m.fps, confidence=conf, name=f"animal {k + 1}"))
    return Scene(tuple(actors))


def unpacked(path: Path, folder: str) -> Path:
    with tarfile.open(path) as t:
        t.extractall(folder, filter="data")
    return Path(folder)


def accad(root: Path, which: int, frames: int) -> Rows:
    "Ten recordings of surface markers; metres."
    scenes = []
    with tempfile.TemporaryDirectory() as folder:
        for p in sorted(unpacked(root / "accad/accad_markers.tar.bz2", folder).rglob("*.txt")):
            if p.stem == "connections":
                continue
            head = p.read_text(errors="replace").splitlines()[0].split("\t")
            x = np.genfromtxt(p, delimiter="\t", skip_header=1)[:, 2 : 2 + 3 * (len(head) // 3)]
            names = [h.rsplit(":", 1)[0].rsplit(":")[-1] for h in head[2::3] if h.strip()]
            x = torch.from_numpy(x[:, : 3 * len(names)].reshape(len(x), -1, 3)).float() / 1000
            m = Motion(x, Skeleton("markers", tuple(names)), 120.0, name=p.stem)
            scenes.append(Scene((half(m, which, frames),)))
    return {"ACCAD": scenes}


def uiprmd(root: Path, which: int, clips: int = 12) -> Rows:
    "Clips of rehabilitation movements; metres. The folds are subjects."
    scenes = []
    raw = lzma.decompress((root / "uiprmd/vicon_positions_int16_delta.tar.xz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(raw)) as t:
        for s in (1, 3, 5) if which == 0 else (2, 4, 6):
            facts = json.load(t.extractfile(f"vicon_s{s:02d}.json"))
            d = np.load(io.BytesIO(t.extractfile(f"vicon_s{s:02d}.npy").read()))
            bounds = [b for b in facts["clips"].values() if b[1] - b[0] >= 150]
            for a, b in bounds[:: len(bounds) // (clips // 3)][: clips // 3]:
                x = np.cumsum(d[:, a:b].T.astype(np.int32), 0).reshape(b - a, -1, 3) / 1e4
                x[(x == 0).all(-1)] = np.nan
                s39 = Skeleton("markers", tuple(facts["markers"]))
                scenes.append(Scene((Motion(torch.from_numpy(x).float(), s39, 100.0),)))
    return {"UI-PRMD": scenes}


def biomech(root: Path, which: int, frames: int) -> Rows:
    "C3D and TRC files of at least 200 frames with few gaps."
    scenes = []
    with tempfile.TemporaryDirectory() as folder:
        for p in sorted(
            unpacked(root / "biomech/biomech_c3d_trc.tar.bz2", folder).rglob("*.[ct3]*")
        ):
            if p.suffix in (".c3d", ".trc"):
                m = motionbook.read(p).actors[0]
                if len(m) >= 200 and m.observed.float().mean() > 0.9:
                    scenes.append(Scene((half(m, which, frames),)))
    return {"C3D and TRC": scenes}


def recordings(root: Path, fold: str, frames: int) -> Rows:
    which = FOLDS[fold][0]
    out = animals(root, which, frames) | accad(root, which, frames)
    return out | uiprmd(root, which) | biomech(root, which, frames)


# ------------------------------------------------------------------------------------------------- planting


def flat(scene: Scene) -> tuple[torch.Tensor, torch.Tensor]:
    "[t n c] the tracks of all animals, [t n] whether each is seen and believed."
    x = torch.cat([m.positions for m in scene.actors], 1)
    knows = [m.confidence is not None and m.confidence.nanmedian() >= 0.95 for m in scene.actors]
    sure = [m.confidence >= 0.6 if k else m.observed for k, m in zip(knows, scene.actors)]
    return x, torch.cat(sure, 1) & x.isfinite().all(-1) & (x != 0).any(-1)


def reordered(scene: Scene, index: torch.Tensor) -> Scene:
    "The scene whose tracks carry the points of the tracks that `index` [t n] names."
    x = flat(scene)[0]
    x = x.gather(1, index[..., None].expand_as(x))
    conf = [m.confidence for m in scene.actors]
    conf = None if conf[0] is None else torch.cat(conf, 1).gather(1, index)
    out, a = [], 0
    for m in scene.actors:
        part = slice(a, a := a + len(m.skeleton))
        c = None if conf is None else conf[:, part]
        out.append(Motion(x[:, part], m.skeleton, m.fps, confidence=c, name=m.name))
    return Scene(tuple(out))


def kinds_of(scene: Scene) -> dict[str, float]:
    "What can be planted, and how often."
    n, j = len(scene.actors), len(scene.actors[0].skeleton)
    kinds = {"pair": 3.0} | ({"ring": 1.0, "limb": 1.0} if j >= 10 else {})
    return kinds | ({"animal": 4.0} if n > 1 else {}) | ({"animal ring": 1.5} if n > 2 else {})


def drawn_tracks(kind: str, scene: Scene, x: torch.Tensor, rng) -> tuple[list[int], list[int]]:
    "Tracks, and the tracks whose points they carry; x [n c] is where they are."
    n, j = len(scene.actors), len(scene.actors[0].skeleton)
    who = int(rng.integers(n)) * j
    if kind.startswith("animal"):
        a = rng.permutation(n)[: 3 if kind == "animal ring" else 2]
        t = a[:, None] * j + np.arange(j)
        return t.flatten().tolist(), np.roll(t, 1, 0).flatten().tolist()
    apart = torch.cdist(x[who : who + j], x[who : who + j]).nan_to_num(np.inf)
    near = lambda a, k: apart[a].argsort()[1 : 1 + k]
    names = scene.actors[0].skeleton.mirror_pairs
    if kind == "limb":
        if len(names) >= 3:
            p = torch.tensor(names)
            first = int(rng.integers(len(p)))
            pick = p[apart[p[first, 0], p[:, 0]].argsort()[:3]]
            a, b = (pick + who).T.tolist()
        else:
            a = [int(rng.integers(j))]
            order = apart[a[0]].argsort().tolist()
            a += order[1:3]
            b = order[-3:]
            a, b = [who + k for k in a], [who + k for k in b]
        return [*a, *b], [*b, *a]
    way = rng.integers(3)
    size = 3 if kind == "ring" else 2
    if way == 0 and names and size == 2:
        t = list(names[rng.integers(len(names))])
    elif way == 1:
        a = int(rng.integers(j))
        t = [a, *near(a, 3)[torch.from_numpy(rng.permutation(3)[: size - 1])].tolist()]
    else:
        t = rng.permutation(j)[:size].tolist()
    return [who + k for k in t], [who + k for k in np.roll(t, 1)]


def close_pairs(scene: Scene, x: torch.Tensor) -> torch.Tensor:
    "[m 3] frame and two tracks of one animal that are within three steps of each other."
    steps, a, found = usual_steps(x, scene.actors[0].fps).nan_to_num(0), 0, []
    for m in scene.actors:
        part = slice(a, b := a + len(m.skeleton))
        step = steps[::3, part]
        near = torch.cdist(x[::3, part], x[::3, part]) < FAR * torch.maximum(
            step[:, :, None], step[:, None]
        )
        found.append(near.triu(1).nonzero() * torch.tensor([3, 1, 1]) + torch.tensor([0, a, a]))
        a = b
    return torch.cat(found)


def planted(scene: Scene, seed: int, every: int = 45) -> tuple[Scene, list[Event], torch.Tensor]:
    "The scene with exchanges, one for every so many frames, and what each track carries [t n]."
    rng = np.random.default_rng(seed)
    x, seen = flat(scene)
    t, n = seen.shape
    index, busy = torch.arange(n).repeat(t, 1), torch.zeros(t, n, dtype=torch.bool)
    kinds, events, close = kinds_of(scene), [], close_pairs(scene, x)
    kinds |= {"close pair": 1.5} if len(close) else {}
    away = len(scene.actors) > 2
    for _ in range(20 * (t // every)):
        if len(events) == t // every:
            break
        kind = rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values()))
        low, high = ((1, 2), (3, 20), (20, 100))[rng.choice(3, p=(0.2, 0.5, 0.3))]
        length = min(int(rng.integers(low, high + 1)), t // 3)
        if length + 12 >= t:
            continue
        a = int(rng.integers(6, t - length - 5))
        if kind == "close pair":
            a, *tracks = close[rng.integers(len(close))].tolist()
            a, onto = min(max(a, 6), t - length - 6), tracks[::-1]
        b = a + length
        if kind != "close pair":
            tracks, onto = drawn_tracks(kind, scene, x[a], rng)
        span = slice(max(a - 6, 0), b + 6)
        edges = torch.tensor([a - 2, a - 1, a, a + 1, b - 2, b - 1, b, b + 1]).clamp(0, t - 1)
        there = seen[edges][:, tracks]
        group = kind.startswith("animal")
        ok = there.float().mean() > (0.3 if away else 0.7) if group else there.all()
        if not ok or busy[span][:, tracks].any():
            continue
        index[a:b, tracks] = torch.tensor(onto)
        busy[span, tracks] = True
        same = (x[a:b, tracks] == x[a:b, onto]).all(-1) | (
            ~x[a:b, tracks].isfinite().all(-1) & ~x[a:b, onto].isfinite().all(-1)
        )
        if not same.all():
            events.append(Event(kind, tuple(tracks), tuple(onto), a, b))
    return reordered(scene, index), events, index


# -------------------------------------------------------------------------------------------------- scoring


def undone(scene: Scene) -> list:
    "What the detectors of exchanges say of each animal."
    given = unswapped(scene, identity_swaps)
    return [detect(m, swap_viterbi(), g) for m, g in zip(scene.actors, given)]


def answer(scene: Scene, whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
    "[t n c] positions put back, [t n] points that were moved."
    if whole:
        done = motionbook.clean(scene)
        x, reason = [m.positions for m in done.scene.actors], done.reason
    else:
        found = undone(scene)
        x, reason = [f.positions for f in found], [f.reason for f in found]
    x = torch.cat(x, 1)
    moved = torch.cat(list(reason), 1) == REASON["swap"]
    return x, moved | (~equal(x, flat(scene)[0]) & (not whole))


def equal(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a == b).all(-1) | (~a.isfinite().all(-1) & ~b.isfinite().all(-1))


def usual_steps(x: torch.Tensor, fps: float) -> torch.Tensor:
    "[t n] the median step within a quarter of a second."
    w = max(2, round(0.25 * fps))
    step = (x[1:] - x[:-1]).norm(dim=-1)
    step = torch.cat([step.new_full((w, x.shape[1]), np.nan), step]).nan_to_num(np.nan)
    step = torch.cat([step, step.new_full((w + 1, x.shape[1]), np.nan)])
    return step.unfold(0, 2 * w + 1, 1).nanmedian(-1).values


def is_far(apart: torch.Tensor, steps: torch.Tensor, tracks, start: int, stop: int) -> bool:
    "Whether the points of an event lie more than three steps from where they belong, at both borders."
    ratios = []
    for k in (start, stop - 1):
        step = steps[k, tracks].nan_to_num(0).max().clamp_min(1e-9)
        ratios.append((apart[k, tracks] / step).nanmedian())
    ratios = torch.stack(ratios)
    return bool((ratios[ratios.isfinite()] > FAR).all())


def claims(moved: torch.Tensor) -> list[tuple[list[int], int, int]]:
    "Moved points with one beginning and one end."
    edge = torch.nn.functional.pad(moved.T.int(), (1, 1)).diff(dim=1)
    first, last = (edge == 1).nonzero(), (edge == -1).nonzero()
    groups: dict[tuple[int, int], list[int]] = {}
    for (j, a), (_, b) in zip(first.tolist(), last.tolist()):
        groups.setdefault((a, b), []).append(j)
    return [(tracks, a, b) for (a, b), tracks in groups.items()]


def bins(length: int, far: bool) -> str:
    return "short" if length < SHORT else "far" if far else "near"


def judged(scene: Scene, seed: int, whole: bool) -> dict:
    "Counts by class: planted, found, claims that are right and wrong; errors left; events by kind."
    truth, fps = flat(scene)[0], scene.actors[0].fps
    bad, events, _ = planted(scene, seed)
    given, steps = flat(bad)[0], usual_steps(truth, fps)
    x, moved = answer(bad, whole)
    good, was = equal(x, truth), equal(given, truth)
    count = {f"{a} {b}": 0 for a in ("far", "near", "short") for b in ("all", "hit", "yes", "no")}
    kinds: dict[str, list[int]] = {}
    off = (given - truth).norm(dim=-1)
    for e in events:
        tracks, span = list(e.tracks), slice(e.start, e.stop)
        which = bins(e.stop - e.start, is_far(off, steps, tracks, e.start, e.stop))
        hit = bool(good[span][:, tracks].float().mean() >= RIGHT)
        count[f"{which} all"] += 1
        count[f"{which} hit"] += hit
        k = kinds.setdefault(f"{e.kind} {which}", [0, 0])
        k[0], k[1] = k[0] + hit, k[1] + 1
    shift = (x - given).norm(dim=-1)
    for tracks, a, b in claims(moved):
        which = bins(b - a, is_far(shift, steps, tracks, a, b))
        put_right = (good & ~was)[a:b][:, tracks].float().mean() > 0.5
        count[f"{which} {'yes' if put_right else 'no'}"] += 1
    left = (x - truth).norm(dim=-1)[~was]
    invented = claims(answer(scene, whole)[1])
    points = sum((b - a) * len(t) for t, a, b in invented)
    return dict(count=count, kinds=kinds, left=left[left.isfinite()], invented=len(invented), points=points, size=truth[..., 0].numel())  # fmt: skip


def f1(c: dict, which: str) -> float:
    "Harmonic mean of recall over what was planted and precision over what was claimed."
    hit, n, yes, no = (c[f"{which} {k}"] for k in ("hit", "all", "yes", "no"))
    recall, precision = hit / max(n, 1), yes / max(yes + no, 1)
    return 2 * recall * precision / max(recall + precision, 1e-9) if n else float("nan")


def row(name: str, runs: list[dict], unit: float) -> dict:
    c = {k: sum(r["count"][k] for r in runs) for k in runs[0]["count"]}
    left = torch.cat([r["left"] for r in runs])
    cells = "".join(
        f"{f1(c, w):7.2f} {c[w + ' hit']:4d}/{c[w + ' all']:<4d}{c[w + ' no']:4d}"
        for w in ("far", "near", "short")  # fmt: skip
    )
    made, points = sum(r["invented"] for r in runs), sum(r["points"] for r in runs)
    share = points / sum(r["size"] for r in runs)
    error = float(left.mean()) * unit if len(left) else 0.0
    print(f"{name:22}{cells}{error:9.2f}{made:7d} {share:8.3%}", flush=True)
    return c


def unit_of(name: str, m: Motion) -> float:
    "Pixels; millimetres for markers; hundredths of the body for animals in 3-D."
    if m.positions.shape[-1] == 2:
        return 1.0
    return 100 / float(body_size(m.positions)) if "3-D" in name else 1000.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fold", choices=sorted(FOLDS), default="test")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    parser.add_argument("--clean", action="store_true", help="the whole of `clean`")
    parser.add_argument("--kinds", action="store_true", help="found / planted by kind too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    head = "".join(f"{w + ' F1':>7} {'found':>7}{'wrong':>6}" for w in ("far", "near", "short"))
    print(f"{'':22}{head}   left  invented (share)")
    several, kinds = [], {}
    for name, scenes in recordings(args.data, args.fold, args.frames).items():
        if args.only not in name:
            continue
        seeds = [FOLDS[args.fold][1] + k for k in range(args.repeats)]
        runs = [
            judged(s, 10 * seed + i, args.clean) for seed in seeds for i, s in enumerate(scenes)
        ]
        several.append(row(name, runs, unit_of(name, scenes[0].actors[0])))
        for r in runs:
            for k, (hit, n) in r["kinds"].items():
                a, b = kinds.get(k, (0, 0))
                kinds[k] = (a + hit, b + n)
    total = {k: sum(c[k] for c in several) for k in several[0]}
    print("all: " + ", ".join(f"{w} F1 {f1(total, w):.3f}" for w in ("far", "near", "short")))
    if args.kinds:
        print("; ".join(f"{k} {a}/{b}" for k, (a, b) in sorted(kinds.items())))


if __name__ == "__main__":
    main()
