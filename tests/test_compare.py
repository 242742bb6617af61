"""What a recording vouches for, what is planted in it, and whether the card says what is true."""

import json
import random
import sys
from types import SimpleNamespace

import pytest
import torch

from motionbook.cleanup.compare.compare import (
    auto_method,
    bootstrap_means,
    compare,
    crossed,
    decide,
    interval,
)
from motionbook.cleanup.compare.planting import FAMILIES, find_runs, plant, shown_failures
from motionbook.cleanup.compare.scorecard import ScoreCard, apply_line, headline
from motionbook.cleanup.compare.trials import Contender, contenders, open_case, run_trial, windows
from motionbook.cleanup.compare.vouch import vouch
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.filters.auto import chosen_detector, make_cleaner
from motionbook.filters.cleaner import REASON, detect
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person

PLAN = {
    "add_jumps": {"rate": 0.01, "size": 0.6},
    "dropout": {"rate": 0.03, "likelihood": "low", "max_len": 40},
}


@pytest.fixture(scope="module")
def truth() -> Scene:
    return mouse(seconds=30, seed=2)


@pytest.fixture(scope="module")
def broken(truth) -> Scene:
    return corrupt(truth, PLAN, 7).scene


@pytest.fixture(scope="module")
def card(broken) -> ScoreCard:
    return compare(broken, trials=4, progress=False)


# ---------------------------------------------------------------- vouching


@pytest.mark.parametrize(
    "plan", [{"add_jumps": {"rate": 0.03, "size": 0.5}}, {"freeze": {"rate": 0.05}}]
)
def test_wrong_points_are_rarely_vouched_for(truth, plan):
    bad, (wrong,) = corrupt(truth, plan, 3)
    ok = vouch(bad.actors[0]).mask
    assert ok[wrong].float().mean() < 0.1 and ok[~wrong].float().mean() > 0.8


def test_the_likelihood_is_not_asked(broken):
    m = broken.actors[0]
    other = m.replace(confidence=torch.rand(m.confidence.shape))
    assert torch.equal(vouch(m).mask, vouch(other).mask)


def test_fast_stretches_are_vouched_for_too(truth):
    m = truth.actors[0]
    speed = torch.diff(m.positions, dim=0).norm(dim=-1)
    assert vouch(m).mask[1:][speed > speed.quantile(0.95)].float().mean() > 0.7


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_vouching_does_not_depend_on_the_unit(truth, scale):
    m = truth.actors[0]
    same = vouch(m).mask == vouch(m.replace(positions=m.positions * scale)).mask
    assert same.float().mean() > 0.999


def test_gaps_that_a_tool_filled_are_not_measurements(truth):
    m = truth.actors[0]
    x = m.positions.clone()
    w = torch.linspace(0, 1, 31)[:, None]
    x[100:131, 2] = x[100, 2] * (1 - w) + x[130, 2] * w
    assert not vouch(m.replace(positions=x)).mask[102:129, 2].any()


# ---------------------------------------------------------------- planting


def test_runs_tell_gaps_from_wrong_places():
    reason = torch.zeros(60, 3, dtype=torch.uint8)
    reason[3:8, 0] = REASON["missing"]
    reason[20:50, 1] = REASON["low likelihood"]
    reason[30:32, 2] = REASON["jump"]
    runs = find_runs(reason > 0, reason, 30.0)
    got = {FAMILIES[f]: (int(b), int(e)) for f, b, e in zip(runs.family, runs.start, runs.stop)}
    assert got == {"short gap": (3, 8), "long gap": (20, 50), "wrong place": (30, 32)}
    assert len(runs.event.unique()) == 3


@pytest.mark.parametrize("seed", range(4))
def test_only_vouched_points_are_broken(broken, seed):
    m = broken.actors[0]
    shown = shown_failures(m, detect(m, chosen_detector))
    ok = vouch(m).mask
    made = plant(m, ok, shown.failed, shown, 0.05, torch.Generator().manual_seed(seed))
    new = made.family >= 0
    same = (made.motion.positions == m.positions).all(-1) | ~m.observed
    assert new.any() and not (new & (shown.failed | ~ok)).any() and same[~new].all()
    assert 0.02 < new.float().mean() < 0.1


def test_planted_offsets_are_those_of_the_recording(broken):
    m = broken.actors[0]
    shown = shown_failures(m, detect(m, chosen_detector))
    made = plant(m, vouch(m).mask, shown.failed, shown, 0.05, torch.Generator().manual_seed(0))
    moved = (made.motion.positions - m.positions)[(made.family == 2)]
    seen = shown.offset[shown.failed]
    seen = seen[seen.isfinite().all(-1)]
    gap = (moved[:, None] - seen).norm(dim=-1).amin(1)
    assert len(moved) and gap.max() < 1e-3


# ---------------------------------------------------------------- trials and judgement


def test_halves_do_not_share_frames(broken):
    for scene in (broken, Scene((person("dance", seconds=8, seed=1),))):
        frames = [set(), set()]
        for w in windows(scene):
            frames[w.half] |= set(range(w.start + w.low, w.start + w.high))
        assert not frames[0] & frames[1] and len(frames[0] | frames[1]) == len(scene)


def test_a_trial_repeats_to_the_bit(broken):
    case, some = open_case(broken), contenders(("pchip", "coupled"), tune=False)
    a, b = (run_trial(case, windows(broken)[0], some, 5) for _ in range(2))
    assert torch.equal(a.errors, b.errors) and torch.equal(a.family, b.family)


def test_nobody_is_scored_on_what_he_was_tuned_on():
    several = [Contender("m"), Contender("m", (("k", 1),))]
    errors = torch.tensor([[5.0, 1], [5, 1], [5, 9], [5, 9]])
    assert crossed(several, errors, torch.tensor([0, 0, 1, 1]))[:, 0].tolist() == [5, 5, 9, 9]


class Clock:
    "Stands still unless somebody works."

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("each", (1.6, 4.0, 9.0))
def test_the_time_asked_for_is_kept_to_within_a_fifth(broken, monkeypatch, each):
    "Trials of uneven length, and the repairs that come after them, on a clock of their own."
    page = sys.modules["motionbook.cleanup.compare.compare"]
    clock, draw = Clock(), random.Random(0)

    def trial(*_):
        wall = each * draw.uniform(0.7, 1.3)
        clock.now += wall
        return SimpleNamespace(seconds=torch.tensor([0.8 * wall]), wall=wall)

    monkeypatch.setattr(page, "time", clock)
    monkeypatch.setattr(page, "run_trial", trial)
    made = page.all_trials(SimpleNamespace(scene=broken), [], minutes=1.0)
    clock.now += page.AFTER * sum(float(t.seconds) for t in made) / len(made)
    assert 48 <= clock.now <= 72, (len(made), clock.now)


def test_equal_methods_are_ties_and_the_simpler_one_wins():
    e = torch.rand(50, 1, generator=torch.Generator().manual_seed(0)).expand(50, 3) * torch.tensor(
        [1.5, 1.0, 1.0]
    )
    winner, tied, _ = decide(e, torch.ones(50))
    assert winner == 1 and tied == [1, 2]


def test_the_interval_covers_the_mean_of_the_population():
    g, inside = torch.Generator().manual_seed(0), 0
    for seed in range(100):
        x = torch.randn(60, 1, generator=g).exp()
        low, high = interval(bootstrap_means(x, torch.ones(60), seed))
        inside += bool(low <= torch.e**0.5 <= high)
    assert 84 <= inside <= 99


class Oracle:
    "Knows the recording before it was broken by a trial."

    name = "oracle"

    def __init__(self, truth):
        self.truth = truth

    def clean(self, scene, fidelity="outliers"):
        from dataclasses import replace

        done = make_cleaner("hold").clean(scene, fidelity)
        x = self.truth.actors[0].positions
        n = len(scene)
        now = scene.actors[0].positions
        at = max(range(0, len(x) - n + 1), key=lambda k: int((x[k : k + n] == now).sum()))
        m = done.scene.actors[0].replace(positions=x[at : at + n])
        return replace(done, scene=done.scene.replace(actors=(m,)))


def test_a_cleaner_that_knows_the_truth_wins(broken):
    won = compare(broken, {"oracle": Oracle(broken)}, trials=2, progress=False, tune=False)
    assert won.winner == "oracle" and won.rows["oracle"].error < 1e-4 and not won.tied
    assert isinstance(won.cleaner(), Oracle)


def test_the_named_method_is_truly_good(truth, broken, card):
    from motionbook.evaluation.repair_errors import point_error

    x, y = truth.actors[0], broken.actors[0]
    mask = ~(x.positions == y.positions).all(-1)
    error = lambda c: point_error(c.clean(broken).scene.actors[0].positions, x.positions, mask)
    least = min(error(make_cleaner(n)) for n in ("linear", "pchip", "rts", "pca", "coupled"))
    assert card.winner is not None and error(card.cleaner()) <= 1.05 * least


def test_the_card_is_complete(card, tmp_path):
    assert card.rows[card.winner].error <= 1.02 * min(r.error for r in card.rows.values())
    assert card.unit == "px" and card.spans > 20 and 0 < card.detector["found"] <= 1
    made = json.loads(json.dumps(card.to_dict()))
    assert made["winner"] == card.winner and made["headline"] == headline(card)
    assert card.winner in repr(card) and card.winner in card._repr_html_()
    page = card.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert card.winner in page and "http" not in page
    assert len(card.plot().axes) == 1


def test_the_answer_is_a_command(card, broken):
    words = apply_line(card, "my mouse.csv").split("'")
    assert words[:2] == ["motionbook clean ", "my mouse.csv"]
    assert apply_line(compare(broken.map(lambda m: cut(m, 40)), progress=False), "m.csv") == ""


def test_auto_on_the_card_is_what_clean_does(broken):
    from motionbook.filters.auto import chosen_filler

    case = open_case(broken)
    x = broken.actors[0].positions.masked_fill(case.failed[0][..., None], torch.nan)
    a = case.auto[0](x, broken.fps, errors=False).positions
    assert torch.equal(a, chosen_filler(False)(x, broken.fps, errors=False).positions)


def cut(m: Motion, n: int) -> Motion:
    return m.replace(positions=m.positions[:n], confidence=m.confidence[:n])


def test_the_same_seed_is_the_same_card(broken):
    some = ("linear", "rts", "pca")
    a, b = (compare(broken, some, trials=2, progress=False) for _ in range(2))
    assert {k: r.error for k, r in a.rows.items()} == {k: r.error for k, r in b.rows.items()}


def test_two_animals_and_people_are_compared():
    two = corrupt(
        mouse(seconds=20, seed=3, animals=2), {"dropout": {"rate": 0.04, "likelihood": "low"}}, 1
    ).scene
    walk = corrupt(
        Scene((person("dance", seconds=8, seed=1),)), {"drop_joints": {"prob": 0.05}}, 1
    ).scene
    for scene, unit in ((two, "px"), (walk, "cm")):
        made = compare(scene, ("linear", "pchip", "rts"), trials=2, progress=False, tune=False)
        assert made.winner in ("linear", "pchip", "rts") and made.unit == unit


# ---------------------------------------------------------------- nothing to go by


def bare(x, **more) -> Scene:
    return Scene((Motion(x, Skeleton("s", tuple("abcdef"[: x.shape[1]])), 30.0, **more),))


WALK = torch.randn(400, 5, 2, generator=torch.Generator().manual_seed(0)).cumsum(0)
HOPELESS = {
    "one frame": WALK[:1],
    "ten frames": WALK[:10],
    "all missing": torch.full((300, 5, 2), torch.nan),
    "constant": torch.ones(300, 5, 2) * torch.arange(5.0)[:, None],
    "one point": WALK[:, :1],
    "white noise": torch.randn(300, 5, 2, generator=torch.Generator().manual_seed(1)) * 100,
    "one seen frame": torch.where(torch.arange(300)[:, None, None] == 7, WALK[7], torch.nan),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_abstains_with_a_reason(name, tmp_path):
    made = compare(bare(HOPELESS[name].clone()), progress=False, trials=2)
    assert made.winner is None and len(made.reasons[0]) > 10 and "\n" not in made.reasons[0]
    assert "no judgement" in repr(made) and json.dumps(made.to_dict())
    made.report(tmp_path / "r.html")
    with pytest.raises(ValueError, match="expected a winner"):
        made.cleaner()


def test_bad_arguments_are_one_clear_error(broken):
    for wrong, says in (
        (dict(methods=("cubist",)), "cubist"),
        (dict(minutes=0), "minutes"),
        (dict(trials=1), "trials"),
    ):
        with pytest.raises(ValueError, match=says):
            compare(broken, **wrong)
    with pytest.raises(ValueError, match="Scene"):
        compare("mouse.csv")


def test_auto_method_says_what_it_did(broken):
    method, note = auto_method(broken, seconds=0.5)
    assert method is None and "time" in note
    method, note = auto_method(bare(WALK[:20]), seconds=60)
    assert method is None and "too short" in note
    method, note = auto_method(broken, seconds=25)
    assert method in ("auto", *[c.method for c in contenders()]) and "compare" in note


# ---------------------------------------------------------------- real recordings


@pytest.mark.slow
def test_the_four_minute_file_is_judged_in_a_minute_of_trials(real_data):
    from motionbook.formats.registry import read

    scene = read(next((real_data / "dlc/openfield").glob("*.csv")))
    made = compare(scene, progress=False)
    assert made.winner is not None and made.trials >= 4


def test_real_recordings_are_judged_or_abstained_from(real_data):
    from motionbook.formats.registry import read

    for src in (*real_data.glob("trc/squats.trc"), *real_data.glob("dlc/multi_animal/*madlc.csv")):
        made = compare(read(src), ("linear", "pchip"), trials=2, progress=False)
        assert made.winner in ("linear", "pchip") or made.reasons
