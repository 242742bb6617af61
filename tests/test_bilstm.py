"The corrector: what it must not depend on, how far it may go, and its folder."

import json

import pytest
import torch

from motionbook.core.skeleton import Skeleton
from motionbook.core.skeletons import COCO17, MARKER20
from motionbook.models.corrector.body import learn_body
from motionbook.models.corrector.estimates import classical_estimates
from motionbook.models.corrector.loss import (
    LOSS_WEIGHTS,
    corrector_losses,
)
from motionbook.models.corrector.network import (
    BiLSTMConfig,
    SkeletonCorrector,
    correct,
    places_for,
    seed,
)
from motionbook.models.corrector.rigid import (
    body_scale,
    keep_lengths,
    learned_pairs,
    near_pairs,
    pair_lengths,
)
from motionbook.models.corrector.window import VIEWS, body_heights
from motionbook.models.layers import (
    CONFIG,
    MANIFEST,
    SKELETON,
    WEIGHTS,
    BiLSTM,
    count_parameters,
)
from motionbook.synthetic.people import person
from motionbook.training.loop import weigh_terms

torch.set_num_threads(1)
WALK = person("walk", 2.0, 30, seed=3)
BODY = WALK.skeleton
SMALL = dict(hidden=16, layers=2, width=32)


def shaken(config=None, skeleton=BODY, scale=0.3):
    "A model whose head says something: random weights everywhere."
    torch.manual_seed(0)
    model = SkeletonCorrector(skeleton, config or BiLSTMConfig(**SMALL))
    torch.nn.init.normal_(model.head.weight, std=scale)
    return model.eval()


def windows(n=3, holes=True, skeleton=None, noise=0.01):
    g = torch.Generator().manual_seed(1)
    x = torch.stack([person("walk", 2.0, 30, seed=s).positions for s in range(n)])
    truth = x - x[:, :, :1] * torch.tensor([1.0, 0, 1.0])
    x = truth + noise * torch.randn(truth.shape, generator=g)
    gone = torch.rand(x.shape[:3], generator=g) < 0.15
    gone[:, 20:29] = True
    gone[:, 5:30, 7] = True
    return (x.masked_fill(gone[..., None], torch.nan) if holes else x), truth


MODEL = shaken()
BOTH = [MODEL, shaken(seed(**SMALL))]


@pytest.mark.parametrize("model", BOTH, ids=["mixture", "direct"])
def test_everything_is_finite_although_most_is_missing(model):
    x, truth = windows()
    x[1, 1:] = torch.nan  # one frame left
    x[2] = torch.nan  # none
    p = model.prepare(x)
    assert all(v.isfinite().all() for v in p)
    y = model(p)
    assert all(v.isfinite().all() for v in y)
    out = correct(model, x).positions
    assert out[0].isfinite().all() and out[2].isnan().all()
    assert (out[1].isnan().any(0).any(-1) == x[1].isnan().all(0).any(-1)).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 61, 200])
def test_any_length(frames):
    x = person("walk", frames / 30 + 0.1, 30).positions[:frames]
    x[frames // 2, 3] = torch.nan
    y = correct(MODEL, x)
    assert y.positions.shape == x.shape and (frames == 1 or y.positions.isfinite().all())


def test_what_is_behind_a_hole_does_not_matter():
    x, _ = windows()
    half = x.clone()
    half[..., 1:] = torch.where(x[..., :1].isnan(), 1e6, x[..., 1:])  # one coordinate NaN is enough
    assert torch.equal(correct(MODEL, x).positions, correct(MODEL, half).positions)
    assert not torch.equal(
        correct(MODEL, x).positions, correct(MODEL, windows(holes=False)[0]).positions
    )


@pytest.mark.parametrize("model", BOTH, ids=["mixture", "direct"])
def test_moved_and_scaled(model):
    x, _ = windows()
    y, shift = correct(model, x), torch.tensor([3.0, -2.0, 5.0])
    assert torch.allclose(correct(model, x + shift).positions, y.positions + shift, atol=2e-4)
    big = correct(model, 1000 * x)
    assert torch.allclose(big.positions, 1000 * y.positions, atol=0.2)
    assert torch.allclose(big.sigma, 1000 * y.sigma, rtol=1e-2)


def test_turned():
    x, _ = windows()
    a = torch.tensor(2.0)
    r = torch.tensor([[a.cos(), 0, a.sin()], [0, 1, 0], [-a.sin(), 0, a.cos()]])
    y = correct(MODEL, x)
    turned = correct(MODEL, x @ r.T)
    assert torch.allclose(turned.positions, y.positions @ r.T, atol=5e-4)
    assert torch.allclose(turned.residual, y.residual @ r.T, atol=5e-4)
    fixed = shaken(BiLSTMConfig(turn=False, **SMALL))
    assert not torch.allclose(
        correct(fixed, x @ r.T).positions, correct(fixed, x).positions @ r.T, atol=5e-4
    )


@pytest.mark.parametrize("form", ["mixture", "direct"])
def test_padding_changes_nothing(form):
    x, truth = windows()
    k = len(BODY)
    wide = shaken(BiLSTMConfig(form=form, kmax=k + 4, **SMALL))
    padded = torch.nn.functional.pad(x, (0, 0, 0, 4), value=7.0)
    assert torch.equal(correct(wide, padded).positions[:, :, :k], correct(wide, x).positions)
    p = wide.prepare(x)
    out = wide(p)
    loss = corrector_losses(wide, out, p, truth)
    junk = out._replace(positions=out.positions.clone())
    junk.positions[:, :, k:] = 1e3
    again = corrector_losses(wide, junk, p, truth)
    assert all(torch.equal(loss[n], again[n]) for n in loss)
    assert not wide.prepare(x).present[:, k:].any()


def test_estimates_do_not_see_absent_joints():
    x, _ = windows(noise=0)
    given = x.clone()
    given[:, :, 5] = torch.nan
    rest = [i for i in range(x.shape[2]) if i != 5]
    a, b = (classical_estimates(w / 1.7, 30.0).values for w in (given, x[:, :, rest]))
    assert torch.allclose(a[:, :, :, rest], b, atol=1e-5)


def test_a_window_does_not_see_its_batch():
    x, _ = windows()
    assert torch.allclose(correct(MODEL, x).positions[1], correct(MODEL, x[1]).positions, atol=1e-5)


def test_correction_is_bounded():
    x, _ = windows()
    wild = shaken(BiLSTMConfig(limit=0.05, **SMALL), scale=1e3)
    p = wild.prepare(x)
    y = wild(p)
    assert y.residual.abs().amax() <= 0.05 * (1 + 1e-6) and y.residual.abs().amax() > 0.04
    lo, hi = p.estimates.amin(1) - 0.05 - 1e-5, p.estimates.amax(1) + 0.05 + 1e-5
    assert ((y.positions >= lo) & (y.positions <= hi)).all()
    assert torch.allclose(y.weights.sum(-1), torch.ones(()), atol=1e-5)


def test_untrained_believes_the_coupled_smoother():
    x, _ = windows()
    model = SkeletonCorrector(BODY, BiLSTMConfig(**SMALL)).eval()
    y = model(model.prepare(x))
    assert y.residual.abs().amax() == 0
    assert (y.weights.argmax(-1) == len(VIEWS) - 1).all() and y.weights[..., -1].min() > 0.7


def test_same_seed_same_numbers():
    x, truth = windows()

    def trained(s):
        torch.manual_seed(s)
        model = SkeletonCorrector(BODY, BiLSTMConfig(**SMALL | dict(dropout=0.3)))
        opt = torch.optim.Adam(model.parameters(), 1e-2)
        p = model.prepare(x)
        for _ in range(3):
            opt.zero_grad()
            losses = corrector_losses(model, model(p), p, truth)
            weigh_terms(losses, {k: LOSS_WEIGHTS[k] for k in losses}).backward()
            opt.step()
        return correct(model, x).positions

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))


@pytest.mark.parametrize("model", BOTH, ids=["mixture", "direct"])
def test_gradients_reach_hidden_frames(model):
    x, truth = windows()
    p = model.prepare(x)
    out = model(p)
    y = out.positions.detach().requires_grad_()
    seen = out._replace(positions=y, sigma=out.sigma.detach())
    losses = corrector_losses(model, seen, p, truth)
    weigh_terms(losses, {k: LOSS_WEIGHTS[k] for k in losses}).backward()
    hidden = ~p.known
    assert hidden[:, 20:29].all()
    assert (y.grad.norm(dim=-1)[hidden] > 0).all()
    losses = corrector_losses(model, out, p, truth)
    assert set(losses) <= set(LOSS_WEIGHTS) and losses["hidden"] > 0
    losses["hidden"].backward()
    lstm = [q for n, q in model.named_parameters() if "lstm.weight" in n]
    assert all(q.grad.abs().sum() > 0 for q in lstm)
    model.zero_grad()


def test_missing_truth_is_left_out():
    x, truth = windows()
    p = MODEL.prepare(x)
    out = MODEL(p)
    cut = truth.clone()
    cut[:, 20:25] = torch.nan
    losses = corrector_losses(MODEL, out, p, cut)
    assert all(v.isfinite() for v in losses.values())
    assert losses["hidden"] != corrector_losses(MODEL, out, p, truth)["hidden"]
    nothing = corrector_losses(MODEL, out, p, torch.full_like(truth, torch.nan))
    assert all(v.isfinite() for v in nothing.values()) and nothing["hidden"] == 0


def lstm_numbers(i, h):
    return 2 * 4 * h * (i + h + 1)


@pytest.mark.parametrize(
    ("merge", "read", "published"), [("concat", 512, 3.946), ("sum", 256, 2.832)]
)
def test_seed_has_the_parameters_of_the_first_network(merge, read, published):
    n = lstm_numbers(60, 256) + 2 * lstm_numbers(read, 256) + (read + 1) * 256 + 257 * 60
    assert count_parameters(SkeletonCorrector(MARKER20, seed(merge_mode=merge))) == n
    assert round(n / 1e6, 3) == published


@pytest.mark.parametrize("dims", [2, 3])
def test_default_has_the_parameters_of_its_formula(dims):
    c, k, e = BiLSTMConfig(dims=dims, kmax=25), 25, len(VIEWS)
    inputs = k * ((e + 1) * dims + 6) + 1
    n = (
        (inputs + 1) * c.width
        + lstm_numbers(c.width, c.hidden)
        + lstm_numbers(2 * c.hidden, c.hidden)
    )
    n += (2 * c.hidden + c.width + 1) * c.width + (c.width + 1) * k * (e + dims + 1)
    assert count_parameters(SkeletonCorrector(MARKER20, c)) == n


def test_two_dimensions():
    x, _ = windows()
    flat = shaken(BiLSTMConfig(dims=2, **SMALL))
    y = correct(flat, 400 * x[..., :2] + 300)
    assert y.positions.shape[-1] == 2 and y.positions.isfinite().all()
    with pytest.raises(ValueError, match=r"expected windows \[b t 24 2\]"):
        correct(flat, x)


def test_stated_height_sets_the_bound():
    x, _ = windows()
    tall = correct(MODEL, x, torch.full((3,), 3.4))
    assert not torch.allclose(tall.positions, correct(MODEL, x).positions, atol=1e-4)
    assert 1.2 < float(body_heights(x)[0]) < 2.0


def test_learned_coupling_travels(tmp_path):
    x, truth = windows()
    model = learn_body(shaken(), truth)
    assert abs(float(model.coupling.trace()) - 1) < 1e-5
    assert not torch.allclose(correct(model, x).positions, correct(MODEL, x).positions, atol=1e-4)
    back = SkeletonCorrector.from_pretrained(model.save_pretrained(tmp_path))
    assert torch.equal(correct(back, x).positions, correct(model, x).positions)
    with pytest.raises(ValueError, match="window without gaps"):
        learn_body(shaken(), x)


def saved(tmp_path, config=None):
    model = shaken(config)
    model.about = {"data": "synthetic", "score": 1.5}
    return model, model.save_pretrained(tmp_path / "m")


@pytest.mark.parametrize("form", ["mixture", "direct"])
def test_folder_and_back(tmp_path, form):
    model, folder = saved(tmp_path, BiLSTMConfig(form=form, merge_mode="sum", kmax=30, **SMALL))
    assert {f.name for f in folder.iterdir()} == {WEIGHTS, CONFIG, SKELETON, MANIFEST}
    back = SkeletonCorrector.from_pretrained(folder)
    x, _ = windows()
    assert torch.equal(correct(back, x).positions, correct(model, x).positions)
    assert back.config == model.config and back.about == model.about
    assert back.skeleton.joints == BODY.joints and back.skeleton.mirror_pairs == BODY.mirror_pairs


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, SKELETON, MANIFEST])
@pytest.mark.parametrize("how", ["gone", "empty", "cut", "flipped"])
def test_spoiled_folder_names_the_file(tmp_path, name, how):
    _, folder = saved(tmp_path)
    data = (folder / name).read_bytes()
    if how == "gone":
        (folder / name).unlink()
    else:
        flipped = data[:40] + bytes([data[40] ^ 1]) + data[41:]
        (folder / name).write_bytes({"empty": b"", "cut": data[:-20], "flipped": flipped}[how])
    with pytest.raises(ValueError) as err:
        SkeletonCorrector.from_pretrained(folder)
    text = str(err.value)
    assert "\n" not in text
    assert name in text or (name == MANIFEST and how == "flipped")


def rewritten(folder, name, change):
    "A file changed with a manifest to match: not damage, but another content."
    import hashlib

    d = json.loads((folder / name).read_text())
    change(d)
    (folder / name).write_text(json.dumps(d))
    m = json.loads((folder / MANIFEST).read_text())
    m[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(m))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (CONFIG, lambda d: d["config"].update(hidden=17), WEIGHTS),
        (CONFIG, lambda d: d["config"].update(hidden="many"), CONFIG),
        (CONFIG, lambda d: d["config"].update(surprise=1), CONFIG),
        (CONFIG, lambda d: d.update(model="vae"), "'vae'"),
        (CONFIG, lambda d: d["config"].update(kmax=3), CONFIG),
        (SKELETON, lambda d: d["joints"].pop(), SKELETON),
        (SKELETON, lambda d: d.pop("parents"), SKELETON),
    ],
)
def test_contradicting_folder_is_refused(tmp_path, name, change, says):
    _, folder = saved(tmp_path)
    rewritten(folder, name, change)
    with pytest.raises(ValueError, match=says) as err:
        SkeletonCorrector.from_pretrained(folder)
    assert "\n" not in str(err.value)


def test_nothing_where_a_folder_should_be(tmp_path):
    with pytest.raises(ValueError, match="a folder with a saved model"):
        SkeletonCorrector.from_pretrained(tmp_path / "nowhere")


def test_places_by_name():
    model = SkeletonCorrector(MARKER20, BiLSTMConfig(**SMALL))
    order = tuple(reversed(MARKER20.joints[:16]))
    assert places_for(model, Skeleton("some", order)) == list(range(15, -1, -1))
    for skeleton, dims in ((COCO17, 3), (Skeleton("few", MARKER20.joints[:4]), 3), (MARKER20, 2)):
        with pytest.raises(ValueError, match="expected") as err:
            places_for(model, skeleton, dims)
        assert "\n" not in str(err.value)


def test_kmax_below_the_skeleton():
    with pytest.raises(ValueError, match="kmax of at least 20 for MARKER20, got 16"):
        SkeletonCorrector(MARKER20, BiLSTMConfig(kmax=16))


def test_hidden_and_observed_points_have_their_own_loss():
    x, truth = windows()
    p = MODEL.prepare(x)
    out = MODEL(p)
    before = corrector_losses(MODEL, out, p, truth)
    for mine, other, where in (("hidden", "observed", ~p.known), ("observed", "hidden", p.known)):
        worse = out._replace(positions=out.positions + 0.1 * where[..., None])
        after = corrector_losses(MODEL, worse, p, truth)
        assert after[mine] > 1.5 * before[mine] and after[other] == before[other]


def test_learned_coupling_does_not_tie_to_absent_joints():
    x, truth = windows(noise=0)
    given = x / 1.7
    given[:, :, 5] = torch.nan
    rest = [i for i in range(x.shape[2]) if i != 5]
    prior = learn_body(shaken(), truth).coupling.double()
    some = torch.tensor([3 * i + c for i in rest for c in range(3)])
    a = classical_estimates(given, 30.0, prior).values[:, -1][:, :, rest]
    b = classical_estimates(given[:, :, rest], 30.0, prior[some][:, some]).values[:, -1]
    assert torch.allclose(a, b, atol=1e-5)


def test_dropout_hits_the_same_inputs_in_all_frames():
    torch.manual_seed(0)
    layer = BiLSTM(40, 8, dropout=0.5)
    seen = []
    layer.lstm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    layer.train()(torch.ones(4, 9, 40))
    layer.eval()(torch.ones(4, 9, 40))
    gone = seen[0] == 0
    assert (gone == gone[:, :1]).all() and 0.3 < gone.float().mean() < 0.7
    assert set(seen[0].unique().tolist()) == {0.0, 2.0} and (seen[1] == 1).all()


def bodies():
    "Clean windows of several movements, and the pairs that stay as far apart."
    clips = [person(a, 2.0, 30, seed=s) for s in range(3) for a in ("walk", "wave", "dance", "sit")]
    x = torch.stack([m.positions for m in clips])
    return x, learned_pairs(x, body_heights(x))


def test_rigid_pairs_are_symmetric_and_none_joins_the_feet():
    x, learned = bodies()
    joints = person("walk", 1.0, 30).skeleton.joints
    assert torch.equal(learned, learned.mT)
    assert learned[0, joints.index("left_hip"), joints.index("right_hip")] > 0
    assert learned[0, joints.index("left_ankle"), joints.index("right_ankle")] == 0


def test_learned_lengths_do_not_depend_on_where_and_how_large(tmp_path):
    x, learned = bodies()
    g = torch.Generator().manual_seed(0)
    spin = torch.linalg.qr(torch.randn(3, 3, generator=g)).Q
    moved = 4 * x @ spin.T + torch.randn(3, generator=g)
    again = learned_pairs(moved, body_heights(moved))
    assert torch.allclose(again, learned, atol=1e-4)
    model = learn_body(shaken(), x[:, :, : len(shaken().skeleton)])
    back = SkeletonCorrector.from_pretrained(model.save_pretrained(tmp_path / "m"))
    assert torch.equal(back.rigid, model.rigid) and model.rigid.any()


def test_keeping_lengths_moves_what_is_uncertain_and_nothing_that_is_gone():
    x, learned = bodies()
    x = x[:2] / 1.7
    g = torch.Generator().manual_seed(0)
    noisy = x + 0.02 * torch.randn(x.shape, generator=g)
    noisy[:, :, 5] = 9.0
    pairs = pair_lengths(learned, noisy, torch.full((2,), 0.02))
    there = torch.ones(2, x.shape[2], dtype=torch.bool)
    there[:, 5] = False
    sigma = torch.full(x.shape[:3], 0.02)
    sigma[:, :, 3] = 0.0
    kept = keep_lengths(noisy, sigma, pairs, there)
    assert torch.equal(kept[:, :, 3], noisy[:, :, 3]) and torch.equal(kept[:, :, 5], noisy[:, :, 5])
    a, b = pairs.ends.unbind(1)
    use = there[0, a] & there[0, b]
    off = lambda y: (
        ((y[:, :, a] - y[:, :, b]).norm(dim=-1) - pairs.length[:, None])[..., use].abs().mean()
    )
    assert off(kept) < 0.35 * off(noisy)


def test_lengths_are_measured_where_people_differ():
    x, learned = bodies()
    y = x[:1].clone() / 1.7
    joints = person("walk", 1.0, 30).skeleton.joints
    elbow, wrist = joints.index("left_elbow"), joints.index("left_wrist")
    y[:, :, wrist] += 0.25 * (y[:, :, wrist] - y[:, :, elbow])
    pairs = pair_lengths(learned, y, torch.zeros(1))
    at = [tuple(sorted(e)) for e in pairs.ends.tolist()].index(tuple(sorted((elbow, wrist))))
    true = (y[0, 0, wrist] - y[0, 0, elbow]).norm()
    assert abs(float(pairs.length[0, at] - true)) < 0.02 * float(true)
    gone = y.clone()
    gone[:, :, wrist] = torch.nan
    usual = pair_lengths(learned, gone, torch.zeros(1)).length[0, at]
    assert usual.isfinite() and abs(float(usual / true) - 0.8) < 0.05


def test_feet_that_never_leave_the_floor_are_not_tied_together():
    still = person("wave", 2.0, 30)
    body, x = still.skeleton, still.positions[None]
    feet = body.index("left_ankle"), body.index("right_ankle")
    assert learned_pairs(x, body_heights(x))[0][feet] > 0
    assert learned_pairs(x, body_heights(x), near_pairs(body.edges, len(body)))[0][feet] == 0
    model = learn_body(SkeletonCorrector(body, BiLSTMConfig(hidden=4, layers=1, width=8)), x)
    assert model.rigid[0][feet] == 0 and model.rigid.any()


def test_the_size_of_a_body_is_that_of_its_bones():
    _, truth = windows(4, holes=False)
    model = learn_body(shaken(), truth)
    up = truth.clone()
    wrists = [BODY.index("left_wrist"), BODY.index("right_wrist")]
    up[:, :, wrists, 1] += 1.3  # the arms are raised, and the extent grows
    rigid = model.rigid.clone()
    model.rigid[:, wrists], model.rigid[:, :, wrists] = 0.0, 0.0
    bones, extent = (f(up) / f(truth) for f in (model.sizes, body_heights))
    model.rigid = rigid
    assert (bones - 1).abs().max() < 1e-3 < 0.05 < (extent - 1).max()
    bigger = model.sizes(1.2 * truth) / model.sizes(truth)
    assert (bigger - 1.2).abs().max() < 1e-4
    assert torch.equal(body_scale(torch.zeros_like(rigid), truth, torch.zeros(4)), torch.ones(4))


def test_lengths_are_kept_as_one_joint_after_the_other_would():
    "The matrix products against a loop over pairs."
    _, truth = windows(2, holes=False)
    model = learn_body(shaken(), truth)
    p = model.prepare(
        truth + 0.01 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    )
    y, sigma = p.estimates[:, 0].double(), torch.full(p.known.shape, 0.02).double()
    pairs = model.pairs(p.lengths)
    got = keep_lengths(y, sigma, pairs, p.present, steps=1)
    want, count = y.clone(), torch.zeros(y.shape[2])
    for a, b in pairs.ends.tolist():
        count[a] += 1
        count[b] += 1
    for k, (a, b) in enumerate(pairs.ends.tolist()):
        d = y[:, :, b] - y[:, :, a]
        far = d.norm(dim=-1)
        pull = (far - pairs.length[:, k : k + 1]) / (2 * 0.02**2 + pairs.slack[k] ** 2)
        push = 1.3 * 0.02**2 * (pull / far)[..., None] * d
        want[:, :, a] += push / count[a]
        want[:, :, b] -= push / count[b]
    assert (got - want).abs().max() < 1e-7


@pytest.mark.parametrize("given", [False, True])
def test_the_mirror_image_gets_the_mirrored_answer(given):
    x, truth = windows()
    model = learn_body(shaken(), truth)
    flip, swap = torch.tensor([-1.0, 1.0, 1.0]), torch.tensor(BODY.mirror)
    lengths = model.prepare(x).lengths if given else None
    height = model.sizes(x)
    one = correct(model, x, height, lengths)
    if given:  # the same body seen in the mirror
        ends = model.rigid[0].triu().nonzero()
        full = torch.full((len(x), len(BODY), len(BODY)), torch.nan)
        full[:, ends[:, 0], ends[:, 1]] = full[:, ends[:, 1], ends[:, 0]] = lengths
        lengths = full[:, swap[ends[:, 0]], swap[ends[:, 1]]]
    other = correct(model, x[:, :, swap] * flip, height, lengths)
    assert torch.allclose(other.positions[:, :, swap] * flip, one.positions, atol=2e-4)
    assert torch.allclose(other.sigma[:, :, swap], one.sigma, atol=2e-4)
    assert torch.allclose(other.residual[:, :, swap] * flip, one.residual, atol=2e-4)
