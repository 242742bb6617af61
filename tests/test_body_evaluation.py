"""Figures of repaired bodies: no shift, turn or rate gets into them that should not; the results file is whole."""

import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from motionbook.cleanup.body_evaluation import Case, evaluate_bodies, evaluation_results, score_case
from motionbook.core.motion import Motion, Scene
from motionbook.evaluation.bodies import average_precision, body_errors, body_quality
from motionbook.evaluation.feet import find_feet
from motionbook.evaluation.reconstruction import fit_pose
from motionbook.synthetic.people import person

WALK = person("walk", seconds=3, fps=20, seed=2)


def test_rigid_fit_is_scipys():
    g = np.random.default_rng(0)
    x, y = g.normal(size=(40, 3)), g.normal(size=(40, 3))
    a, b = x - x.mean(0), y - y.mean(0)
    turn, _ = Rotation.align_vectors(b, a)
    made = fit_pose(torch.from_numpy(x), torch.from_numpy(y), scale=False).numpy()
    assert np.allclose(made, turn.apply(a) + y.mean(0), atol=1e-9)


def test_average_precision_is_scikit_learns():
    from sklearn import metrics  # comes with sentence-transformers

    g = np.random.default_rng(1)
    for levels in (5, 1000):
        score, bad = g.integers(0, levels, 300) / levels, g.random(300) < 0.3
        wanted = metrics.average_precision_score(bad, score)
        assert average_precision(torch.from_numpy(score), torch.from_numpy(bad)) == pytest.approx(
            wanted
        )


def test_figures_do_not_depend_on_where_and_which_way():
    x, noise = (
        WALK.positions,
        torch.randn(WALK.positions.shape, generator=torch.Generator().manual_seed(0)),
    )
    y = x + 0.02 * noise
    turn = torch.from_numpy(Rotation.from_euler("y", 70, degrees=True).as_matrix()).float()
    place = lambda p: p @ turn.T + torch.tensor([3.0, 0.0, -2.0])
    here, there = body_errors(y, x, 20), body_errors(place(y), place(x), 20)
    assert here == pytest.approx(there, rel=1e-3)
    feet = find_feet(WALK.skeleton)
    assert body_quality(y, feet, 20) == pytest.approx(
        body_quality(place(y), feet, 20), rel=1e-3, abs=1e-3
    )


def test_a_lying_body_and_a_missing_joint_have_figures():
    lies = WALK.positions[..., [1, 0, 2]] * torch.tensor([1.0, 1.0, -1.0])
    case = Case(
        "lies",
        "jitter",
        Motion(lies, WALK.skeleton, 20),
        Motion(lies, WALK.skeleton, 20),
        torch.arange(60) < 9,
    )
    holed = lies.clone()
    holed[20, 3] = torch.nan
    figures = score_case(case, Motion(holed, WALK.skeleton, 20), case.label)
    assert figures["filled"] == pytest.approx(59 / 60) and figures["mpjpe_global_mm"] < 1e-2
    assert figures["skating_mm_s"] == 0 and figures["f1"] == 1


def test_results_can_be_read_back_and_compared():
    broken = Motion(
        WALK.positions + 0.1 * (torch.arange(60) < 20)[:, None, None], WALK.skeleton, 20
    )
    case = Case("walk", "jump", WALK, broken, torch.arange(60) < 20)
    right = lambda s, m=None: (Scene((WALK,)), torch.arange(60) < (10 if m is None else 20))
    table = evaluate_bodies([case], {"mine": right})
    told = json.loads(json.dumps(evaluation_results([case], table, scaling="published")))
    rows = told["figures"]["jump"]
    assert rows["mine, own mask"]["recall"] == 0.5 and rows["mine, own mask"]["precision"] == 1
    assert rows["input"]["mpjpe_global_mm"] == pytest.approx(100 * 3**0.5, rel=1e-3)
    assert rows["input"]["mpjpe_global_mm_published"] == pytest.approx(
        100 * 3**0.5 * 0.3048, rel=1e-3
    )
    assert (told["cases"], told["bad_frames"]) == ({"jump": 1}, {"jump": 20})
