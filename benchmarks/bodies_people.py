"""What is wrong with a body, and what a repair is worth, on people whom neither side has seen: the shipped model beside boosting.

    python benchmarks/bodies_people.py DATA_DIR [--clips 24] [--train 60] [--method bodies]

DATA_DIR is laid out as `tools/body_weights.py` has it. How the figures are read:

- the people in its TEST are in the table; boosting learns from the recordings of others, and its threshold is set on a third group,
  by people as well. The shipped weights and every setting were made without the people of the table.
- each clip (20 frames a second, six seconds at most) is broken one family at a time, in windows of one to two seconds.
- boosting sees what `bodies.py` describes: rates, soles and heights, each also as mean and maximum over 5, 11 and 31 frames.
- F1 counts frames. `error` is the mean distance from the truth on broken frames as a share of the input's; for foot sliding and drift,
  which shift everything after them, it is the error of the velocity instead (m/s, else mm), with `shift_following`. Own: the frames
  that the model finds; told: the true frames. `skating`: how low ankles travel, mm/s, of the clean clip, the input, and both repairs.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from bodies import best_threshold, by_family, fit_boosting, frame_features, show

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from body_weights import as_motion, clips  # noqa: E402

from motionbook.cleanup.body_evaluation import Case, repair_with, score_case  # noqa: E402
from motionbook.cleanup.clean import make_cleaner  # noqa: E402
from motionbook.core.motion import Scene  # noqa: E402
from motionbook.filters.corrupt.broken_amass import BODY_KINDS  # noqa: E402
from motionbook.filters.methods import method_text  # noqa: E402
from motionbook.models.stablemotion.body_practice import break_clip  # noqa: E402

LONGEST = 120  # frames
POOL = 110  # recordings from which the clips for boosting are drawn
CARRIED = ("foot sliding", "drift")


def pieces(found: list, most: int, seed: int) -> list:
    "Pieces of clips, people by turns."
    cut = [c.cut(a, a + LONGEST) for c in found for a in range(0, len(c), LONGEST)]
    order = np.random.default_rng(seed).permutation(len(cut))
    by: dict[str, list] = {}
    for c in (cut[i] for i in order if len(cut[i]) >= 64):
        by.setdefault(c.person, []).append(c)
    turns = [c for rank in range(max(map(len, by.values()))) for p in by.values() for c in p[rank : rank + 1]]  # fmt: skip
    return turns[:most]


def cases_of(found: list, seed: int) -> list[Case]:
    "Each piece, broken in every way."
    made = []
    for i, clip in enumerate(found):
        for kind in BODY_KINDS:
            g = torch.Generator().manual_seed(seed + i)
            bad = break_clip(clip, g, families=kind, mode="test", spared=0.0)
            made.append(Case(f"{clip.name} {i}", kind, as_motion(clip), as_motion(bad), bad.label))
    return [c for c in made if c.label.any()]


def boosting(found: list, seed: int):
    "Frames -> bool, learned from some people and its threshold set on others."
    people = sorted({c.person for c in found})
    third = set(people[::3])
    train, dev = (cases_of([c for c in found if (c.person in third) == k], seed) for k in (0, 1))
    model = fit_boosting(train, seed)
    score = lambda c: torch.from_numpy(model.predict_proba(frame_features(c.broken))[:, 1])
    limit = best_threshold(torch.cat(list(map(score, dev))), torch.cat([c.label for c in dev]))
    print(f"boosting: {len(train)} cases to learn from, {len(dev)} for the threshold", flush=True)
    return lambda c: score(c) > limit


def show_repairs(cases: list[Case], found: list, method: str):
    "Errors and skating of every family."
    heads = ("error", "own", "told", "skating", "in", "own", "told")
    print(f"{'':<14}" + "".join(f"{h:>9}" for h in heads))
    repair = repair_with(make_cleaner(method_text(method, {"shift_following": "true"})))
    for kind in BODY_KINDS:
        rows = []
        for c, (made, _) in zip(cases, found):
            if c.family != kind:
                continue
            each = {"clean": c.truth, "in": c.broken, "own": made.actors[0]}
            if kind in CARRIED:
                scene = Scene((c.broken,))
                each["own"] = repair(scene, None)[0].actors[0]
                each["told"] = repair(scene, c.label)[0].actors[0]
            rows.append({name: score_case(c, m) for name, m in each.items()})
        print(f"{kind:<14}" + told_row(rows, kind in CARRIED), flush=True)


def told_row(rows: list[dict], carried: bool) -> str:
    "Means over cases: the input's error, repairs as shares of it, and skating."
    mean = lambda row, k: float(np.mean([r[row][k] for r in rows])) if row in rows[0] else np.nan
    what = "velocity_error_m_s" if carried else "mpjpe_global_mm"
    off = [mean("in", what)] + [mean(k, what) / mean("in", what) for k in ("own", "told")]
    slid = [mean(k, "skating_mm_s") for k in ("clean", "in", "own", "told")]
    return (
        f"{off[0]:>9.3f}"
        + "".join(f"{v:>9.2f}" for v in off[1:])
        + "".join(f"{v:>9.1f}" for v in slid)
    )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("--method", default="bodies")
    for name, usual in (("clips", 24), ("train", 60), ("seed", 0)):
        p.add_argument(f"--{name}", type=int, default=usual)
    a = p.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    test = pieces(clips(a.data, test=True), a.clips, a.seed)
    cases = cases_of(test, a.seed)
    print(
        f"{len(test)} clips of {sorted({c.person for c in test})}, {len(cases)} cases", flush=True
    )
    find = repair_with(make_cleaner(a.method))
    found = [find(Scene((c.broken,)), None) for c in cases]
    told = {id(c): flags for c, (_, flags) in zip(cases, found)}
    flagged, bad = by_family(cases, lambda c: told[id(c)])
    good = torch.cat([find(Scene((as_motion(c),)), None)[1] for c in test])
    print(f"frames of good clips flagged: {float(good.float().mean()):.4f}", flush=True)
    print(
        f"{'F1':<14}" + "".join(f"{k:>15}" for k in (*flagged, "over all", "precision", "recall"))
    )
    show(a.method, flagged, bad)
    show_repairs(cases, found, a.method)
    if a.train:
        twin = boosting(pieces(clips(a.data, False, POOL), a.train, a.seed), a.seed)
        show("boosting", *by_family(cases, twin))
        print(f"{'':<14}frames of good clips flagged: ", end="")
        good = [twin(Case("", "", as_motion(c), as_motion(c), c.label)) for c in test]
        print(f"{float(torch.cat(good).float().mean()):.4f}")


if __name__ == "__main__":
    main()
