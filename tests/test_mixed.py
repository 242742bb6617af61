"""Fillers weighed by a trial on the recording itself: properties that hold for any of them."""

import torch

from motionbook.core.rotation import rotvec_to_matrix
from motionbook.filters.cleaner import Filled
from motionbook.filters.fill.classical import known_points
from motionbook.filters.fill.mixed import (
    classical_partners,
    mixed,
    mixed_with_best,
    mixing_weights,
    tenths,
    trial_errors,
)
from motionbook.models.corrector.cleaner import learned_filler
from motionbook.models.corrector.method import human_model
from motionbook.synthetic.people import mouse, person

truth = person("dance", seconds=8, fps=30, seed=5).positions


def holed(x, whole=True, single=True):
    gone = torch.zeros(x.shape[:2], dtype=torch.bool)
    if whole:
        gone[60:72] = gone[150:162] = True
    if single:
        for j in range(0, x.shape[1], 2):
            gone[20 + j : 34 + j, j] = gone[100 + j : 114 + j, j] = True
    return x.masked_fill(gone[..., None], torch.nan), gone


def knows(single: float, whole: float, x=truth):
    "A filler that knows the truth and is off by so much in holes of each kind."

    def fill(given, fps, errors=True):
        known = known_points(given)
        off = torch.where((~known).double().mean(1) > 0.8, whole, single)[:, None, None]
        g = torch.Generator().manual_seed(0)
        y = x[: len(given)] + off * torch.randn(x[: len(given)].shape, generator=g)
        return Filled(torch.where(known[..., None], given, y), torch.full(known.shape, 0.01))

    return fill


def test_weights_are_tenths_that_add_up_to_one():
    w = tenths(3)
    assert len(w) == 66 and torch.allclose(w.sum(1), torch.ones(66, dtype=w.dtype))
    assert w.unique(dim=0).shape == w.shape


def test_weights_do_not_depend_on_unit_order_or_turn():
    g = torch.Generator().manual_seed(1)
    e = torch.randn(3, 200, 3, generator=g) * torch.tensor([1.0, 0.7, 2.0])[:, None, None]
    turn = torch.linalg.qr(torch.randn(3, 3, generator=g)).Q
    w = mixing_weights(e)
    assert torch.equal(mixing_weights(1000 * e), w)
    assert torch.equal(mixing_weights(e[:, torch.randperm(200, generator=g)]), w)
    assert torch.equal(mixing_weights(e @ turn), w)
    assert torch.equal(mixing_weights(e[[0, 2, 1]]), w[[0, 2, 1]])


def test_weights_lower_the_error_that_they_were_chosen_by():
    g = torch.Generator().manual_seed(2)
    e = torch.randn(2, 5000, 3, generator=g)
    w = mixing_weights(e).float()
    assert float((w[:, None, None] * e).sum(0).norm(dim=-1).mean()) < 0.8 * float(
        e[0].norm(dim=-1).mean()
    )


def test_each_kind_of_hole_has_its_own_weights():
    given, gone = holed(truth)
    y = mixed(knows(0.0, 0.5), "model")(given, 30.0)
    far = (y.positions - truth).norm(dim=-1)
    body = gone.all(1)
    assert float(far[~body].max()) < 1e-5
    assert float(far[body].mean()) < 0.1
    assert "for the whole body" in y.note and "single joints" not in y.note
    other = mixed(knows(0.5, 0.0), "model")(given, 30.0)
    assert "for single joints" in other.note
    assert float((other.positions - truth).norm(dim=-1)[body].max()) < 1e-5


def test_what_is_known_is_the_first_fillers():
    given, gone = holed(truth)
    smooth = lambda x, fps, errors=True: Filled(truth + 0.01, torch.full(x.shape[:2], 0.01))
    y = mixed(smooth, "model")(given, 30.0).positions
    assert torch.equal(y[~gone], (truth + 0.01)[~gone])


def test_a_joint_that_is_never_seen_stays_missing():
    given, _ = holed(truth)
    given[:, 3] = torch.nan
    first = lambda x, fps, errors=True: Filled(
        knows(0.3, 0.3)(x, fps).positions.masked_fill(~known_points(x).any(0)[:, None], torch.nan),
        torch.full(x.shape[:2], 0.01),
    )
    y = mixed(first, "model")(given, 30.0).positions
    assert y[:, 3].isnan().all() and y[:, :3].isfinite().all()


def test_short_recordings_and_those_without_trial_are_left_to_the_first_filler():
    given, _ = holed(truth)
    for n in (1, 2, 5):
        x = given[68 : 68 + n]
        y = mixed(knows(0.1, 0.1), "model")(x, 30.0)
        assert y.note == "" and y.positions.shape == x.shape
    empty = torch.full((40, 4, 3), torch.nan)
    assert trial_errors([knows(0, 0)], empty, 30.0)[0].shape == (1, 0, 3)


def test_two_dimensions_and_pixels():
    x = mouse(seconds=6, fps=30, seed=1).actors[0].positions
    given, gone = holed(x)
    far = knows(40.0, 40.0, x)
    y = mixed(far, "model")(given, 30.0).positions
    off = lambda p: float((p - x).norm(dim=-1)[gone].mean())
    assert off(y) < 0.5 * off(far(given, 30.0).positions)


def test_weights_for_people_are_no_worse_than_the_best_partner_on_real_keypoints(real_data):
    from motionbook.body.human import as_human
    from motionbook.formats.registry import read

    paths = sorted((real_data / "trc").glob("*.trc"))
    m = as_human(read(paths[0]).actors[0])
    x = m.positions[: len(m) // 2 * 2 : 2]
    seen = known_points(x).any(0)
    network = learned_filler(human_model(), m.skeleton)
    fillers = {"mixed": mixed(network, "network"), **classical_partners()}
    total = dict.fromkeys(fillers, 0.0)
    for turn in range(4):
        gone = torch.zeros(x.shape[:2], dtype=torch.bool)
        for s in (25 + 5 * turn, 85 + 5 * turn):
            gone[s : s + 15, seen] = True
        given = x.masked_fill(gone[..., None], torch.nan)
        for name, f in fillers.items():
            rows = given if name == "mixed" else given[:, seen]
            y = f(rows, 30.0, errors=False).positions
            y = y[:, seen] if name == "mixed" else y
            total[name] += float((y - x[:, seen]).norm(dim=-1)[gone[:, seen]].mean())
    assert total["mixed"] < 1.02 * min(v for n, v in total.items() if n != "mixed"), total


def test_the_filler_that_the_trial_names_takes_part():
    "A rigid patch of markers that tumbles: none of the usual partners knows that its distances stay."
    g = torch.Generator().manual_seed(3)
    patch, spin = 0.2 * torch.randn(8, 3, generator=g), torch.randn(240, 3, generator=g)
    turn = rotvec_to_matrix(torch.nn.functional.avg_pool1d(spin.T, 41, 1, 20).T * 30)
    place = torch.nn.functional.avg_pool1d(torch.randn(3, 240, generator=g), 31, 1, 15).T
    x = patch @ turn.mT + place[:, None]
    given, gone = holed(x, whole=False)
    bad = knows(0.5, 0.5, x)
    off = lambda f: float((f(bad, "model")(given, 30.0).positions - x).norm(dim=-1)[gone].mean())
    assert off(mixed_with_best) < 0.5 * off(mixed)
