"Bodies through the diffusion transformer: what goes in comes out, and what is not repaired stays to the bit."

import numpy as np
import pytest
import torch

import motionbook
import motionbook.models.registry  # noqa: F401 (adds the recipes)
from motionbook.cleanup.pipeline import clean_file
from motionbook.core.motion import Motion, Scene
from motionbook.filters.corrupt.broken_amass import BODY_KINDS
from motionbook.models.stablemotion.body_cleaner import BodyCleaner, BodyCleaning, body_filler
from motionbook.models.stablemotion.body_model import BodyLook, BodyModel, save_body_model
from motionbook.models.stablemotion.network import DiTConfig
from motionbook.synthetic.people import person
from motionbook.synthetic.raw_smpl import amass_arrays

torch.set_num_threads(1)
SMALL = DiTConfig(layers=1, heads=2, width=16)
FEW = {"steps": 2, "layers": 1, "width": 16, "heads": 2, "body_window": 32, "body_faults": 4}
FEW |= {"body_kinds": 4, "body_holes": 3, "draws": 8, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def walkers(tmp_path_factory):
    "Two short recordings of two people as BVH."
    folder = tmp_path_factory.mktemp("walkers")
    for k, who in enumerate("ab"):
        motionbook.write(Scene((person("walk", 3.0, fps=30.0, seed=k),)), folder / f"{who}_1.bvh")
    return folder


@pytest.fixture(scope="module")
def checkpoint(walkers, tmp_path_factory):
    "What a few steps leave, trained from the command's own function."
    from motionbook.training.command import train

    folder = tmp_path_factory.mktemp("bodies") / "run"
    made = train("stablemotion", [walkers], folder, FEW)
    return folder, made


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return BodyModel(32, SMALL).eval()


def test_the_finder_learns_a_few_windows_by_heart():
    from motionbook.models.stablemotion.body_cleaner import clip_at_rate
    from motionbook.models.stablemotion.body_finder import Finder
    from motionbook.models.stablemotion.body_practice import kind_bank, kinds_loss, set_evidence

    bank = kind_bank([clip_at_rate(person("walk", 8.0, fps=20.0, seed=1))], 8, 64, 0)
    assert 0.2 < (bank.kind > 0).float().mean() < 0.9
    torch.manual_seed(0)
    finder = Finder(32)
    set_evidence(finder, bank)
    optimizer = torch.optim.AdamW(finder.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        kinds_loss(finder, (bank.evidence.float(), bank.kind))["detect"].backward()
        optimizer.step()
    assert (finder(bank.evidence.float()).argmax(-1) == bank.kind).float().mean() > 0.95


def test_a_finder_is_asked_with_what_it_practised_with(model):
    from motionbook.models.stablemotion.body_answers import body_kinds_found
    from motionbook.models.stablemotion.body_cleaner import clip_at_rate
    from motionbook.models.stablemotion.body_finder import body_evidence
    from motionbook.models.stablemotion.body_windows import encode_windows

    clip = clip_at_rate(person("walk", 3.0, fps=20.0, seed=0)).cut(0, model.window)
    torch.nn.init.normal_(model.finder.leave.weight)
    said = model.finder(body_evidence(encode_windows([clip])[0])).softmax(-1)[0]
    torch.testing.assert_close(body_kinds_found(model, clip), said.detach())
    torch.nn.init.zeros_(model.finder.leave.weight)


def test_a_detector_no_better_than_flagging_all_is_not_used(monkeypatch):
    import motionbook.models.stablemotion.body_recipe as page
    from motionbook.models.stablemotion.body_cleaner import clip_at_rate

    model = BodyModel(40, SMALL)
    clips = [clip_at_rate(person("walk", 8.0, fps=20.0, seed=1))]
    told = page.judge_bodies(model, clips, tries=4)  # untrained: it says the same of all
    assert told["threshold"] > 1 and told["f1"] < told["f1 of flagging all"] + page.BETTER
    monkeypatch.setattr(page, "body_labels", lambda m, clip: 0.1 + 0.88 * clip.label.float())
    told = page.judge_bodies(model, clips, tries=4)
    assert told["f1"] == 1.0 and told["threshold"] == pytest.approx(0.98)
    noisy = lambda m, clip: 0.95 - 0.05 * clip.label.float()  # good frames look worse
    monkeypatch.setattr(page, "body_labels", noisy)
    assert page.judge_bodies(model, clips, tries=4)["threshold"] > 1


def test_a_folder_of_bvh_is_learned_as_bodies(checkpoint):
    from motionbook.models.registry import kind_in

    folder, made = checkpoint
    assert made["steps"] == 2 and made["held_out"] == 1
    assert kind_in(folder) == "stablemotion bodies"


def test_bvh_comes_back_with_what_was_wrong_changed_only(checkpoint, walkers, tmp_path):
    folder, _ = checkpoint
    scene = motionbook.read(walkers / "a_1.bvh")
    m = scene.actors[0]
    x = m.positions.clone()
    x[30:45] = torch.nan
    broken = scene.replace(actors=(m.replace(positions=x),))
    method = f"{folder}:sample_steps=2,ProbDetTh=1.0"
    done = motionbook.clean(broken, method=method, fidelity="missing")
    y = done.scene.actors[0].positions
    assert y.isfinite().all() and torch.equal(y[:30], x[:30]) and torch.equal(y[45:], x[45:])
    assert (done.sigma[0][30:45] > 0).all() and not done.sigma[0][:30].any()
    motionbook.write(scene.replace(actors=(m,)), tmp_path / "same.bvh")
    assert (tmp_path / "same.bvh").read_bytes() == (walkers / "a_1.bvh").read_bytes()


def test_an_npz_keeps_its_keys_and_its_good_frames(model, tmp_path):
    motion = person("walk", 3.0, fps=20.0, seed=1)
    np.savez(tmp_path / "walk_poses.npz", **amass_arrays(motion))
    scene = motionbook.read(tmp_path / "walk_poses.npz")
    folder = save_body_model(model, tmp_path / "m")
    m = scene.actors[0]
    x = m.positions.clone()
    x[20:26] = torch.nan
    holes = scene.replace(actors=(m.replace(positions=x),))
    done = motionbook.clean(holes, method=f"{folder}:sample_steps=1", fidelity="missing")
    assert done.scene.actors[0].positions.isfinite().all()
    clean_file(tmp_path / "walk_poses.npz", tmp_path / "out.npz", method=f"{folder}:ProbDetTh=0.99")
    was, now = (dict(np.load(tmp_path / n)) for n in ("walk_poses.npz", "out.npz"))
    assert list(was) == list(now) and all(was[k].dtype == now[k].dtype for k in was)
    assert all(np.array_equal(was[k], now[k]) for k in was)


def test_a_detector_that_sees_everything_leaves_the_rest(model):
    model.about = {}
    walk = person("walk", 3.0, fps=20.0, seed=3)
    cleaner = BodyCleaner(model, cleaning=BodyCleaning(sample_steps=1))
    with torch.no_grad():
        model.finder.leave.bias[0] = -9.0  # no frame looks good
    done = cleaner.clean(Scene((walk,)))
    with torch.no_grad():
        model.finder.leave.bias[0] = 9.0
    assert done.counts().get("noise", 0) > 0.9 * walk.positions[..., 0].numel()
    assert (done.sigma[0][done.changed()[0]] > 0).all()
    same = cleaner.clean(Scene((walk,)))
    assert not same.changed()[0].any()


def test_any_rate_and_more_joints(model):
    walk = person("walk", 2.0, fps=60.0, seed=2)
    x = walk.positions.clone()
    x[40:70] = torch.nan
    y = body_filler(model, walk.skeleton, BodyCleaning(sample_steps=1))(x, 60.0)
    assert torch.equal(y.positions[:40], walk.positions[:40])
    step = y.positions.diff(dim=0).norm(dim=-1).mean(1)
    assert max(step[39], step[69]) < 2 * step.median()


def test_who_is_no_body_is_told(model):
    from motionbook.core.skeleton import Skeleton

    other = Scene((Motion(torch.zeros(40, 2, 3), Skeleton("fly", ("wing", "eye")), 30.0),))
    with pytest.raises(ValueError, match="left_hip"):
        BodyCleaner(model).clean(other)
    nobody = person("walk", 2.0, fps=20.0)
    gone = nobody.replace(positions=torch.full_like(nobody.positions, torch.nan))
    with pytest.raises(ValueError, match="visible"):
        BodyCleaner(model).clean(Scene((gone,)))


def test_a_lying_body_and_two_people(model):
    from motionbook.core.rotation import axis_rotation

    walk = person("walk", 2.0, fps=20.0, seed=4)
    down = axis_rotation("x", torch.tensor(torch.pi / 2))
    lying = Motion(walk.positions @ down.mT + torch.tensor([0.0, 0.2, 0.0]), walk.skeleton, 20.0)
    scene = Scene((lying, walk.replace(positions=walk.positions + 1.0)))
    x = lying.positions.clone()
    x[15:20] = torch.nan
    scene = scene.replace(actors=(lying.replace(positions=x), scene.actors[1]))
    done = BodyCleaner(model, cleaning=BodyCleaning(sample_steps=1)).clean(scene, "missing")
    y = done.scene.actors[0].positions
    assert y.isfinite().all() and (y - lying.positions).norm(dim=-1).max() < 0.5
    assert torch.equal(done.scene.actors[1].positions, scene.actors[1].positions)


def test_options_of_a_checkpoint_are_options_of_the_line(model, tmp_path):
    from argparse import ArgumentParser

    from motionbook.cleanup.command import add_model_options, given_model_options

    folder = save_body_model(model, tmp_path / "m")
    p = ArgumentParser()
    p.add_argument("--method")
    line = ["--method", str(folder), "--ProbDetNum", "3", "--ensemble", "--enable_sits"]
    add_model_options(p, line)
    given = given_model_options(p.parse_args(line))
    assert given == {"ProbDetNum": "3", "ensemble": True, "enable_sits": True}
    q = ArgumentParser()
    add_model_options(q, ["--method", "auto"])
    with pytest.raises(SystemExit):
        q.parse_args(["--ensemble"])


def test_the_published_preset():
    from motionbook.models.layers import count_parameters
    from motionbook.models.stablemotion.recipe import StableMotionTraining

    c = StableMotionTraining(preset="published", num_steps=5)
    assert (c.layers, c.heads, c.width, c.batch_size, c.ema) == (8, 8, 512, 128, 0.995)
    assert (c.diffusion_steps, c.noise_schedule, c.predict_xstart) == (50, "cosine", True)
    look = BodyLook(features=c.features, estimates=c.estimates, heading=c.heading)
    with torch.device("meta"):
        net = BodyModel(100, c.network, c.noise, look).net
    assert count_parameters(net) == pytest.approx(35.94e6, rel=2e-3)


def test_published_statistics_are_taken_as_they_are(tmp_path):
    from motionbook.models.stablemotion.body_practice import Faults
    from motionbook.models.stablemotion.body_recipe import set_statistics

    mean, std = np.linspace(-1, 1, 233), np.full(233, 0.5)
    std[8] = 0.0
    np.save(tmp_path / "mean.npy", mean), np.save(tmp_path / "std.npy", std)
    for floor, least in ((0.0, 1e-12), (1e-3, 1e-3)):
        model = BodyModel(32, SMALL)
        set_statistics(model, Faults(*[torch.zeros(1)] * 7), str(tmp_path), floor)
        assert torch.allclose(model.mean[:232], torch.tensor(mean[:232]).float())
        assert float(model.std[8]) == pytest.approx(least)
        assert (float(model.mean[232]), float(model.std[232])) == (0.5, 0.5)


def test_the_first_scripts_options_are_options_of_train():
    from argparse import ArgumentParser

    from motionbook.models.stablemotion.recipe import StableMotionTraining
    from motionbook.training.command import add_options, given_fields

    p = ArgumentParser()
    add_options(p, StableMotionTraining)
    line = "--layers 8 --heads 8 --zero-init false --diffusion-steps 50 --noise-schedule linear"
    line += " --predict-xstart true --batch-size 64 --lr 1e-4 --weight-decay 0 --gradient-clip 1"
    line += " --model-ema 0.995 --num-steps 1000 --statistics meta --trackers tensorboard"
    c = StableMotionTraining(**given_fields(p.parse_args(line.split())))
    assert (c.layers, c.steps, c.ema, c.clip) == (8, 1000, 0.995, 1.0)
    assert (c.zero_init, c.noise_schedule, c.statistics) == (False, "linear", "meta")


def test_what_follows_a_drift_is_moved_only_on_request(model):
    walk = person("walk", 3.0, fps=20.0, seed=3)

    def cleaned(**more):
        cleaner = BodyCleaner(model, cleaning=BodyCleaning(sample_steps=1, **more))
        kinds = torch.eye(9)[[0] * 20 + [1 + list(BODY_KINDS).index("drift")] * 12 + [0] * 28]
        import motionbook.models.stablemotion.body_cleaner as page

        was, page.body_kinds_found = page.body_kinds_found, lambda *a: kinds
        try:
            return cleaner.clean(Scene((walk,)))
        finally:
            page.body_kinds_found = was

    usual, moved = cleaned(), cleaned(shift_following=True)
    assert torch.equal(usual.scene.actors[0].positions[33:], walk.positions[33:])
    away = (moved.scene.actors[0].positions - walk.positions)[33:]
    assert away.abs().max() > 0 and away[..., 1].abs().max() < 1e-6
    assert (away - away[:1, :1]).abs().max() < 1e-5
    assert moved.flagged[0][33:].all() and any("are moved by" in n for n in moved.notes)


def test_known_frames_are_mended_and_no_others(model):
    walk = person("walk", 4.0, fps=20.0, seed=3)
    import motionbook.models.stablemotion.body_cleaner as page
    from motionbook.filters.corrupt.broken_amass import break_motion

    for family, most in (("over-smoothing", 0.5), ("jitter", 0.8)):
        case = break_motion(walk, mode="test", families=family, generator=4)
        kinds = torch.eye(9)[[1 + list(BODY_KINDS).index(family)] * 80]
        model.shares.zero_(), model.trust.zero_()
        was, page.body_kinds_found = page.body_kinds_found, lambda *a, kinds=kinds: kinds
        try:
            done = BodyCleaner(model).knowing(case.label).clean(Scene((case.body,)))
        finally:
            page.body_kinds_found = was
        model.shares.fill_(1.0), model.trust.fill_(1.0)
        y, off = done.scene.actors[0].positions, lambda x: (x - walk.positions).norm(dim=-1).mean()
        assert torch.equal(y[~case.label], case.body.positions[~case.label])
        assert off(y) < most * off(case.body.positions)
    with pytest.raises(ValueError, match="mask of 80 frames"):
        BodyCleaner(model).knowing(torch.ones(7).bool()).clean(Scene((walk,)))


@pytest.mark.parametrize("seed", [2, 4, 5])
def test_the_shipped_model_mends_what_was_smoothed(seed):
    from motionbook.filters.corrupt.broken_amass import break_motion

    walk = person("walk", 5.0, fps=20.0, seed=seed)
    case = break_motion(walk, mode="test", families="over-smoothing", generator=seed)
    done = motionbook.clean(Scene((case.body,)), method="bodies")
    flagged, off = done.flagged[0].any(1), lambda x: (x - walk.positions).norm(dim=-1).mean()
    assert (flagged & case.label).sum() > 0.9 * case.label.sum()
    assert (flagged & ~case.label).sum() < 0.05 * len(flagged)
    assert off(done.scene.actors[0].positions) < 0.4 * off(case.body.positions)


def test_the_shipped_model_changes_what_it_flags_and_no_good_file(tmp_path):
    from motionbook.filters.corrupt.broken_amass import break_motion

    walk = person("walk", 5.0, fps=20.0, seed=1)
    case = break_motion(walk, mode="test", families="over-smoothing", generator=4)
    flagged = motionbook.clean(Scene((case.body,)), method="bodies").flagged[0].any(1)
    moved = {}
    for name, motion in (("good", walk), ("bad", case.body)):
        np.savez(tmp_path / f"{name}_poses.npz", **amass_arrays(motion))
        clean_file(tmp_path / f"{name}_poses.npz", tmp_path / f"{name}.npz", method="bodies")
        was, now = (dict(np.load(tmp_path / n)) for n in (f"{name}_poses.npz", f"{name}.npz"))
        assert list(was) == list(now) and was["poses"].shape == now["poses"].shape
        moved[name] = np.abs(was["poses"] - now["poses"]).max(1) > 1e-4
    assert not moved["good"].any()
    assert moved["bad"].any() and not moved["bad"][~flagged.numpy()].any()


def carried_walk(seed, fps=20.0, generator=4):
    from motionbook.filters.corrupt.broken_amass import break_motion

    walk = person("walk", 5.0, fps=fps, seed=seed)
    return walk, break_motion(walk, mode="test", families="drift", generator=generator)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_gliding_feet_say_how_a_body_is_carried(seed):
    from motionbook.core.rotation import axis_rotation
    from motionbook.evaluation.feet import find_feet
    from motionbook.filters.detect.glides import find_glides

    walk, case = carried_walk(seed, generator=seed)
    x, feet = case.body.positions.double(), find_feet(walk.skeleton)
    at = case.label.nonzero()[:, 0]
    true = (x - walk.positions)[:, feet.root].diff(dim=0)[at - 1].mean(0) * 20
    (g,) = find_glides(x, feet, 20.0)
    assert abs(g.start - at[0]) <= 1 and abs(g.stop - 1 - at[-1]) <= 1
    assert (g.velocity - true).norm() < 0.03
    turn = axis_rotation("y", torch.tensor(2.0, dtype=torch.float64))
    (turned,) = find_glides(x @ turn.mT + torch.tensor([3.0, 1.0, -2.0]), feet, 20.0)
    assert turned[:2] == g[:2] and (turned.velocity - turn @ g.velocity).norm() < 0.02
    first = int(at[0]) - 8
    (cut,) = find_glides(x[first:], feet, 20.0)
    assert (cut.start + first, cut.stop + first) == g[:2]
    assert not find_glides(walk.positions, feet, 20.0) and not find_glides(x[:3], feet, 20.0)


@pytest.mark.parametrize("fps", [20.0, 60.0])
def test_a_drift_is_told_and_taken_back_on_request_only(fps):
    from motionbook.evaluation.feet import find_feet, skating_distance

    walk, case = carried_walk(3, fps)
    told = motionbook.clean(Scene((case.body,)), method="bodies")
    assert torch.equal(told.scene.actors[0].positions, case.body.positions)
    assert any("--shift-following" in n for n in told.notes)
    assert told.counts()["drift"] > 0.9 * told.flagged[0].sum()
    flagged = told.flagged[0].any(1)
    assert flagged[case.label].all() and (flagged & ~case.label).sum() < 0.25 * fps
    done = motionbook.clean(Scene((case.body,)), method="bodies:shift_following=true")
    y, steps = done.scene.actors[0].positions, case.label[1:]
    off = lambda x: (x - walk.positions).diff(dim=0).norm(dim=-1).mean(1)[steps].mean()
    assert off(y) < 0.2 * off(case.body.positions)
    skates = lambda x: skating_distance(x, find_feet(walk.skeleton), fps)
    assert skates(y) < 1.1 * skates(walk.positions) < skates(case.body.positions)
    local = lambda x: x - x[:, :1]
    assert (local(y) - local(case.body.positions)).abs().max() < 1e-5


def test_a_drift_in_files_is_taken_back(tmp_path):
    walk, case = carried_walk(3)
    foot = lambda m, side: m.joint(f"{side}_foot")[:, [0, 2]].diff(dim=0).norm(dim=-1)
    glide = lambda m: torch.minimum(foot(m, "left"), foot(m, "right"))[case.label[1:]].mean()
    np.savez(tmp_path / "walk_poses.npz", **amass_arrays(case.body))
    motionbook.write(Scene((case.body,)), tmp_path / "walk.bvh")
    for name in ("walk_poses.npz", "walk.bvh"):
        clean_file(tmp_path / name, tmp_path / f"out_{name}", method="bodies:shift_following=true")
        was, now = (motionbook.read(tmp_path / n).actors[0] for n in (name, f"out_{name}"))
        assert glide(now) < 0.5 * glide(was)
    was, now = (dict(np.load(tmp_path / n)) for n in ("walk_poses.npz", "out_walk_poses.npz"))
    assert list(was) == list(now) and np.abs(was["poses"] - now["poses"]).max() < 1e-4


def test_a_shipped_model_is_asked_as_a_folder_is():
    from argparse import ArgumentParser

    from motionbook.cleanup.command import add_model_options, given_model_options

    p = ArgumentParser()
    p.add_argument("--method")
    line = ["--method", "bodies", "--shift-following"]
    add_model_options(p, line)
    assert given_model_options(p.parse_args(line)) == {"shift_following": True}
    with pytest.raises(ValueError, match="shift_following"):
        motionbook.clean(Scene((person("walk", 2.0, fps=20.0),)), method="bodies:shift=true")


@pytest.mark.parametrize("fps", [20.0, 60.0])
def test_clean_without_a_model_tells_that_feet_glide_and_changes_nothing(fps):
    walk, case = carried_walk(3, fps)
    said = lambda done: [n for n in done.notes if "planted feet glide" in n]
    done = motionbook.clean(Scene((case.body,)))
    assert len(said(done)) == 1 and "--method bodies" in said(done)[0]
    assert torch.equal(done.scene.actors[0].positions, case.body.positions)
    assert not said(motionbook.clean(Scene((walk,))))
    assert len(said(motionbook.clean(Scene((case.body,)), method="bodies"))) == 1
    moved = motionbook.clean(Scene((case.body,)), method="bodies:shift_following=true")
    assert not said(moved)


def test_an_hour_of_soles_fits_into_memory(monkeypatch):
    import motionbook.filters.detect.glides as page
    from motionbook.evaluation.feet import find_feet

    walk, case = carried_walk(3)
    soles = page.sole_steps(case.body.positions, find_feet(walk.skeleton), 20.0)
    whole = page.explained(soles, page.paces())
    monkeypatch.setattr(page, "AT_ONCE", 7)
    assert torch.allclose(page.explained(soles, page.paces()), whole)


def test_frames_that_shake_and_have_holes_are_filled_from_what_stands_there(model):
    import motionbook.models.stablemotion.body_cleaner as page

    walk, g = person("walk", 3.0, fps=20.0, seed=1), torch.Generator().manual_seed(0)
    x = walk.positions + 0.01 * torch.randn(walk.positions.shape, generator=g)
    x[torch.arange(60), torch.arange(60) % 24] = torch.nan  # no frame is whole
    kinds = torch.eye(9)[[1 + list(BODY_KINDS).index("jitter")] * 60]
    was, page.body_kinds_found = page.body_kinds_found, lambda *a: kinds
    try:
        cleaner = BodyCleaner(model, cleaning=BodyCleaning(sample_steps=1))
        done = cleaner.clean(Scene((walk.replace(positions=x),)))
    finally:
        page.body_kinds_found = was
    y = done.scene.actors[0].positions
    assert y.isfinite().all() and (y - walk.positions).norm(dim=-1).mean() < 0.05
