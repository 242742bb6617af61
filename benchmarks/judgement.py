"""Real recordings and what the default says about their points: false alarms, recall, stability, calibration.

python benchmarks/judgement.py DATA_DIR [--fold test|development] [--frames 400] [--only mouse] [--stable] [--bands] [--json FILE]

DATA_DIR holds dlc, sleap, animals_more, bvh, asf_amc, trc, aistpp, biomech, uiprmd and accad. Settings are chosen
on the development fold (the first half of each animal's recording, and one set of people); figures come from the
test fold (the other halves, and other people).

- *flagged*: the share of seen points called wrong as the file lies there, in hundredths of a percent, by reason.
  On recordings that people hold to be good (marked with +) this is a false alarm.
- *above .99*: of the points called wrong for another reason than a swap, the share with a likelihood above 0.99.
- *recall*, *alarms*: jumps, dropouts of high and of low likelihood and exchanged sides are planted at the rates of
  `PLANTED`; recordings with rotations get angles and places that leap instead. Recall is over planted points that
  are seen and lie further off than a tenth of the body's size at most, or 1 % of it where an angle leaps; alarms
  are over the vouched points (`tracks.py`) that were not planted, as shares in percent.
- *cut*, *marker*: how many verdicts change, in percent of those that say wrong, when the last third is cut off
  (verdicts more than 3 s before the cut are compared), and when a good marker is added.
- *sure*: how sure the detector is of the points it calls wrong, beside the share that were wrong (planted points
  and vouched ones only).
- *band*: the share of repaired planted points within 1.96 standard errors a coordinate of the truth, by reason.
"""

import argparse
import io
import json
import pickle
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import motionbook
from motionbook.core.inverse import joints_below
from motionbook.core.motion import Motion, Scene, fk
from motionbook.core.size import body_size
from motionbook.core.skeleton import Skeleton
from motionbook.filters.auto import chosen_detector
from motionbook.filters.cleaner import REASON, REASONS, Found, detect
from motionbook.filters.corrupt.faults import draw_events
from motionbook.filters.takes import cut_motion
from motionbook.filters.together import mend_rotations

sys.path.insert(0, str(Path(__file__).parent))
from dropouts import bare, recordings  # noqa: E402
from tracks import picked, planted, trusted_points  # noqa: E402

JUMP = REASON["jump"]
GOOD = ("rat, 3-D", "mouse, 3-D", "fly, 3-D", "fly's forelegs, 3-D", "mouse, 3-D, cameras")
FASTEST, JOINTS = 60.0, 16  # frames a second and joints: of more, every second or third is taken
AWAY = 3.0  # seconds from a cut
REST = 8  # frames: a rest pose, and those that a filter drew towards it
SEEN = 0.02  # of the body's size: nearer than that a planted point is not wrong
FOLDS = {"development": (0, 100), "test": (1, 0)}  # which half or set, seed


def plan(fps: float) -> tuple:
    "What to plant: shares of points and shortest and longest events."
    frames = lambda s: max(1, round(s * fps))
    event = lambda rate, low, high, **more: dict(
        rate=rate, min_len=frames(low), max_len=frames(high), **more
    )
    return (
        ("add_jumps", event(0.01, 0.03, 0.1, size=0.4)),
        ("dropout", event(0.01, 0.03, 0.4, likelihood="high")),
        ("dropout", event(0.01, 0.03, 0.4, likelihood="low")),
        ("swap_sides", event(0.01, 0.1, 0.7)),
    )


def leaping_angles(m: Motion, seed: int) -> tuple[Motion, torch.Tensor]:
    "Angles that leap by 40 to 120 degrees, and places that leap by a third of the body, for 1 to 3 frames."
    g, (t, j) = torch.Generator().manual_seed(seed), m.positions.shape[:2]
    below = joints_below(m.skeleton.parents).bool().any(1)  # an end turns nothing
    e = draw_events(below.expand(t, j), 0.004, 1, max(1, round(0.1 * m.fps)), g)
    n = int(e.number.max()) + 1
    axis = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=-1)
    angle = torch.deg2rad(40 + 80 * torch.rand(n, 1, generator=g))
    turn = torch.matrix_exp(_cross(axis * angle))[e.number]
    wrong = torch.where(e.on[..., None, None], m.rotations @ turn, m.rotations)
    root = m.skeleton.parents.index(-1)
    p = draw_events(torch.ones(t, 1, dtype=torch.bool), 0.01, 1, max(1, round(0.1 * m.fps)), g)
    way = torch.nn.functional.normalize(
        torch.randn(int(p.number.max()) + 1, 3, generator=g), dim=-1
    )
    place = m.positions[:, root] + p.on * way[p.number[:, 0]] * body_size(m.positions) / 3
    local = m.skeleton.rest_offsets if m.offsets is None else m.offsets
    x, _ = fk(wrong.double(), local.double(), place.double(), m.skeleton.parents)
    bad = m.replace(positions=x.float(), rotations=wrong, offsets=m.offsets)
    return bad, (bad.positions - m.positions).norm(dim=-1) > 1e-4


def _cross(v: torch.Tensor) -> torch.Tensor:
    "[n 3 3] the matrices of a cross product."
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))


def people(root: Path, which: int) -> dict[str, Motion]:
    "Recordings of people that are held to be good: two sets."
    one = lambda p, first=0: _from(motionbook.read(root / p).actors[0], first)
    samples = "bvh/samples"
    if which == 0:
        out = {
            "walk, BVH": one(f"{samples}/dataset-1_walk_normal_001.bvh"),
            "turn, BVH": one(f"{samples}/dataset-2_walk-turn-left_active_001.bvh"),
            "martial arts, BVH": one(f"{samples}/martial_03.bvh", REST),
            "squats, TRC": one("trc/squats.trc"),
        }
    else:
        out = {
            "kick, BVH": one(f"{samples}/dataset-1_kick_normal_001.bvh"),
            "wave, BVH": one(f"{samples}/dataset-2_wave-both-hands_active_001.bvh"),
            "salsa, BVH": one(f"{samples}/salsa_01.bvh", REST),
            "walk, AMC": one("asf_amc/01_01.amc"),
            "drop jump, TRC": one("trc/drop_vertical_jump.trc"),
        }
    dance = ("gBR_sBM_cAll_d04_mBR2_ch08", "gJS_sFM_cAll_d02_mJS4_ch09")[which]
    with open(root / f"aistpp/keypoints3d/{dance}.pkl", "rb") as f:
        out["dance, keypoints"] = bare("dancer", pickle.load(f)["keypoints3d"] / 100, 60.0)
    biomech = (
        ("opencap_subject4/walking1.trc", "misc/cmu_02_05.c3d"),
        ("hamner_run/run200_markers.trc", "sprinter/JA1Gait35.c3d"),
    )[which]
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(root / "biomech/biomech_c3d_trc.tar.bz2") as t:
            names = [f"biomech/nimblephysics_BSD2/{b}" for b in biomech]
            t.extractall(folder, [t.getmember(n) for n in names], filter="data")
        for n in names:
            m = motionbook.read(Path(folder, n)).actors[0]
            out[f"{Path(n).stem.split('_')[0]}, {n[-3:].upper()}"] = m
    return out | accad(root, which) | uiprmd(root, which)


def _from(m: Motion, first: int) -> Motion:
    return m if first == 0 else cut_motion(m, first, len(m))


def accad(root: Path, which: int) -> dict[str, Motion]:
    "Surface markers of a dance or a sprint."
    name = ("sprint", "dance_KB3")[which]
    with tarfile.open(root / "accad/accad_markers.tar.bz2") as t:
        lines = t.extractfile(f"accad_markers/{name}.txt").read().decode().splitlines()
    n = len(lines[-1].split("\t"))
    rows = [r.split("\t") for r in lines[1:]]
    x = np.array([[float(v or "nan") for v in r[2:n]] for r in rows if len(r) == n]) / 1000
    return {f"{name}, ACCAD": bare(name, x[:, : x.shape[1] // 3 * 3].reshape(len(x), -1, 3), 120.0)}


def uiprmd(root: Path, which: int) -> dict[str, Motion]:
    "Two exercises of a subject, 39 markers."
    subject, files = ("01", "02")[which], {}
    with tarfile.open(root / "uiprmd/vicon_positions_int16_delta.tar.xz") as t:
        for info in t:  # once through: going back would unpack it again
            if f"s{subject}" in info.name:
                files[info.name[-4:]] = t.extractfile(info).read()
            if len(files) == 2:
                break
    d, clips = np.load(io.BytesIO(files[".npy"])), json.loads(files["json"])["clips"]
    out = {}
    for name in sorted(clips)[1:60:40]:
        a, b = clips[name][:2]
        x = np.cumsum(d[:, a:b].T.astype(np.int32), 0).reshape(b - a, -1, 3) / 10_000
        x[(x == 0).all(-1)] = np.nan
        out[f"{name[:7]}, UI-PRMD"] = bare(name, x, 100.0)
    return out


def fold(m: Motion, half: int | None, frames: int) -> Motion:
    "The half of an animal's recording, or the start of a person's; at most so many frames."
    a = 0 if half is None else half * (len(m) // 2)
    end = len(m) if half is None else a + len(m) // 2
    every = max(1, round(m.fps / FASTEST))
    m = cut_motion(m, a, min(a + frames * every, end))
    joints = list(range(0, len(m.skeleton), -(-len(m.skeleton) // JOINTS)))
    if m.rotations is None and len(joints) < len(m.skeleton):
        m = picked(m, joints)
    if every == 1:
        return m
    parts = {k: getattr(m, k) for k in ("positions", "rotations", "offsets", "confidence")}
    thin = {k: None if v is None else v[::every] for k, v in parts.items()}
    return Motion(**thin, skeleton=m.skeleton, fps=m.fps / every, name=m.name)


def verdicts(m: Motion) -> Found:
    "What the default's detectors say, angles that leap included; missing points are no verdict."
    mended, moved = mend_rotations(m)[:2] if m.rotations is not None else (m, None)
    found = detect(mended, chosen_detector)
    reason = found.reason if moved is None else found.reason | (moved & (found.reason == 0)) * JUMP
    return found._replace(reason=reason.masked_fill(~m.observed, 0))


def with_marker(m: Motion) -> Motion:
    "The motion with one more good point: the middle of two that keep their distance best, and its noise."
    from motionbook.filters.detect.steps import pair_spread

    spread = pair_spread(m.positions)
    a, b = divmod(int(spread.argmin()), len(m.skeleton))
    more = m.positions[:, [a, b]].mean(1, keepdim=True)
    s = Skeleton(m.skeleton.name, (*m.skeleton.joints, "added"))
    conf = m.confidence
    conf = None if conf is None else torch.cat([conf, conf[:, [a, b]].amin(1, keepdim=True)], 1)
    return Motion(torch.cat([m.positions, more], 1), s, m.fps, confidence=conf)


def changed_share(a: torch.Tensor, b: torch.Tensor) -> tuple[int, int]:
    "How many verdicts differ, and how many say wrong in either."
    return int((a != b).sum()), int((a | b).sum())


def examine(m: Motion, seed: int, stable: bool, bands: bool) -> dict:
    "Everything about one recording."
    start = time.process_time()
    reason, seen, row = verdicts(m).reason, m.observed, {}
    n = torch.bincount(reason.flatten().long(), minlength=len(REASONS)).tolist()
    row["seen"], row["by"] = int(seen.sum()), {r: k for r, k in zip(REASONS[2:], n[2:]) if k}
    other = (reason > 0) & (reason != REASON["swap"])
    if m.confidence is not None:
        row["likely"] = (int((other & (m.confidence > 0.99)).sum()), int(other.sum()))
    if stable:
        cut = len(m) * 2 // 3
        stay = max(0, cut - round(AWAY * m.fps))
        part = verdicts(cut_motion(m, 0, cut)).reason
        row["cut"] = changed_share(part[:stay] > 0, reason[:stay] > 0)
        if m.rotations is None:
            more = verdicts(with_marker(m)).reason[:, :-1]
            row["marker"] = changed_share(reason > 0, more > 0)
    row |= trial(m, reason, seed, bands)
    row["seconds"] = time.process_time() - start
    return row


def trial(m: Motion, before: torch.Tensor, seed: int, bands: bool) -> dict:
    "Planted faults: found or not, and how far from the truth afterwards."
    trusted = trusted_points(m) & (before == 0)
    angles = m.rotations is not None
    bad, mask = leaping_angles(m, seed) if angles else planted(m, seed, plan(m.fps))
    found, size = verdicts(bad), body_size(m.positions)
    off = (bad.positions - m.positions).norm(dim=-1)
    wrong = mask & bad.observed & trusted & (off > SEEN * size)
    free = trusted & ~mask & bad.observed
    flag, score = found.reason > 0, found.score
    row = {"recall": (int((flag & wrong).sum()), int(wrong.sum()))}
    row["alarms"] = (int((flag & free).sum()), int(free.sum()))
    said = flag & (wrong | free)
    row["sure"] = (float(score[said].sum()), int((said & wrong).sum()), int(said.sum()))
    row["band"] = repaired(m, bad, mask & trusted, size) if bands else {}
    return row


def repaired(m: Motion, bad: Motion, at: torch.Tensor, size: float) -> dict:
    "By reason: points within the band, within 5 % of the body, said to be, and all."
    done, out = motionbook.clean(Scene((bad,))), {}
    away = (done.scene.actors[0].positions - m.positions).norm(dim=-1)
    at = at & done.changed()[0]
    inside = away <= bound(m.positions.shape[-1]) * done.sigma[0]
    for r in range(1, len(REASONS)):
        of = at & (done.reason[0] == r)
        if of.any() and r != REASON["swap"]:
            said = float(done.confidence[0][of].sum())
            near = int((away[of] <= 0.05 * size).sum())
            out[REASONS[r]] = (int(inside[of].sum()), near, said, int(of.sum()))
    return out


def bound(dims: int) -> float:
    "Within so many standard errors a coordinate lie 95 % of the points."
    from scipy.stats import chi2

    return float(chi2.ppf(0.95, dims)) ** 0.5


def percent(pair) -> str:
    return f"{100 * pair[0] / pair[1]:8.2f}" if pair and pair[1] else f"{'–':>8}"


def show(name: str, good: bool, row: dict):
    n = row["seen"]
    by = " ".join(f"{r} {1e4 * k / n:.0f}" for r, k in row["by"].items()) or "none"
    total = 1e4 * sum(row["by"].values()) / n
    s, hit, said = row["sure"]
    how = f"{s / said:.2f}/{hit / said:.2f}" if said else "–"
    cells = "".join(percent(row.get(k)) for k in ("likely", "recall", "alarms", "cut", "marker"))
    band = " ".join(
        f"{r} {b / k:.2f} ({c / k:.2f}/{right / k:.2f} of {k})"
        for r, (b, right, c, k) in row["band"].items()
    )
    print(
        f"{'+' if good else ' '}{name:24}{total:7.1f}{cells}  {how:>10}"
        f"{row['seconds']:6.1f}  {by} | {band}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fold", choices=sorted(FOLDS), default="test")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    parser.add_argument("--stable", action="store_true", help="cut recordings and add a marker too")
    parser.add_argument("--bands", action="store_true", help="repair what was planted too")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    half, seed = FOLDS[args.fold]
    animals = {n: fold(m, half, args.frames) for n, m in recordings(args.data).items()}
    human = {n: fold(m, None, args.frames) for n, m in people(args.data, half).items()}
    heads = ("above .99", "recall", "alarms", "cut", "marker")
    print(
        f"{'':25}{'flagged':>7}" + "".join(f"{h:>8}" for h in heads).replace("above .99", ">.99"),
        " sure/true  s   by reason, hundredths of a percent | band by reason (said/right)",
    )
    rows = {}
    for name, m in (animals | human).items():
        if args.only in name:
            rows[name] = examine(m, seed, args.stable, args.bands)
            show(name, name in GOOD or name in human, rows[name])
    summary(rows, {n for n in rows if n in GOOD or n in human})
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def summary(rows: dict, good: set):
    "The means."
    ratio = lambda r, k: r[k][0] / r[k][1] if r.get(k) and r[k][1] else float("nan")
    mean = lambda k: float(np.nanmean([ratio(r, k) for r in rows.values()]))
    alarm = [sum(rows[n]["by"].values()) / rows[n]["seen"] for n in good]
    total = lambda k: (
        sum(r[k][0] for r in rows.values() if k in r)
        / max(1, sum(r[k][1] for r in rows.values() if k in r))
    )
    if good:
        print(
            f"flagged on {len(good)} good recordings: {np.mean(alarm):.3%} in the mean, {max(alarm):.2%} at most"
        )
    print(
        f"recall {mean('recall'):.3f}, alarms {mean('alarms'):.3%}, above .99: {total('likely'):.1%} of all"
    )
    print(
        f"cut {total('cut'):.2%}, added marker {total('marker'):.2%} of all verdicts that say wrong"
    )
    s, hit, said = (sum(r["sure"][k] for r in rows.values()) for k in range(3))
    print(f"sure {s / max(said, 1):.3f}, right {hit / max(said, 1):.3f}")
    for r in REASONS[1:]:
        found = [row["band"][r] for row in rows.values() if r in row["band"]]
        if found:
            b, right, c, k = np.sum(found, 0)
            print(f"band, {r}: {b / k:.3f} of {k:.0f}; said {c / k:.3f}, right {right / k:.3f}")


if __name__ == "__main__":
    main()
