"""Measure what real people do, for the ranks of `motionbook.schema.enrich`.

python tools/style.py quantiles DATA   # the table QUANTILES, from the CMU recordings below DATA (mocap.cs.cmu.edu, free for any use)
python tools/style.py spread DATA      # how the ranks spread on CMU and on Bandai-Namco clips (CC BY-NC: measured, never kept)

DATA holds `cmu_more/cmu_amc_*.tar.bz2` and `bvh/bandai.tar.gz` as they were downloaded; they are unpacked into a temporary folder.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from motionbook.core.motion import Motion, resample
from motionbook.formats.registry import read
from motionbook.schema.enrich import (
    QUANTILES,
    known_joints,
    marker_noise,
    rank_among_people,
    stoop_angle,
    style_measures,
)

SECONDS = 4.0  # of a piece


def recordings(archives, endings, folder):
    "The recordings in archives, first frames that only show the rest pose left out."
    import tarfile

    for archive in archives:
        with tarfile.open(archive) as t:
            t.extractall(folder / archive.name, filter="data")
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings):
        try:
            yield read(path).actors[0]
        except ValueError as err:
            print(f"left out: {err}", file=sys.stderr)


def pieces(motion: Motion):
    "Stretches of some seconds, one after another."
    n = round(SECONDS * motion.fps)
    for start in range(1, max(2, len(motion) - n + 1), n):
        part = motion.positions[start : start + n]
        if len(part) >= n // 2:
            yield motion.replace(positions=part)


def measures(motions):
    "One row of measures for every piece, at the rate of the recording, and the same at 25 frames a second."
    rows = []
    for m in motions:
        for p in pieces(m):
            x = known_joints(p)
            row = style_measures(x, p.fps) | {"noise": marker_noise(x, p.fps)}
            low = known_joints(resample(p, 25.0))
            row, few = row | {"stoop": stoop_angle(x)}, style_measures(low, 25.0)
            rows.append((row, few | {"stoop": stoop_angle(low)}))
    return rows


def main(verb, data):
    data = Path(data)
    sources = {"CMU": (sorted(data.glob("cmu_more/cmu_amc_*.tar.bz2")), (".amc",))}
    if verb == "spread":
        sources["Bandai-Namco"] = ([data / "bvh" / "bandai.tar.gz"], (".bvh",))
    for name, (archives, endings) in sources.items():
        with tempfile.TemporaryDirectory() as d:
            rows = measures(recordings(archives, endings, Path(d)))
        print(f"{name}: {len(rows)} pieces")
        for key in QUANTILES:
            known = [r for r in rows if r[0][key] is not None and r[1].get(key, 0.0) is not None]
            x = np.array([r[0][key] for r in known])
            if verb == "quantiles":
                marks = ", ".join(f"{q:.4g}" for q in np.quantile(x, np.linspace(0, 1, 11)))
                print(f'    "{key}": ({marks}),')
                continue
            ranks = np.array([rank_among_people(key, v) for v in x])
            line = f"  {key:10} mean {ranks.mean():.2f}, standard deviation {ranks.std():.2f}"
            if key != "noise":
                low = np.array([rank_among_people(key, r[1][key]) for r in known])
                line += (
                    f"; at 25 frames a second off by {np.abs(low - ranks).mean():.3f} in the mean"
                )
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
