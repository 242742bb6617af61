"""Diffusion: schedules and samplers step by step beside the diffusers library, and what does not depend on a network."""

import pytest
import torch

from motionbook.models.diffusion.sampling import STEPS, Known, Step, sample
from motionbook.models.diffusion.schedule import Schedule, add_noise, fewer_steps, training_target

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = {"x0": "sample", "noise": "epsilon", "v": "v_prediction"}


def network(x, t):
    "Some smooth function of noisy motion and time; no sampler asks more of it."
    return torch.tanh(0.7 * x + 0.3 * x.roll(1, -1)) * (1 + t.view(-1, 1, 1) / 1000)


@pytest.fixture(scope="module")
def peers():
    return pytest.importorskip("diffusers")


@pytest.fixture
def start():
    return torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "theirs"), [("cosine", "squaredcos_cap_v2"), ("linear", "linear")]
)
def test_schedules_are_theirs(peers, name, theirs):
    made = peers.DDPMScheduler(1000, beta_schedule=theirs)
    ours = Schedule.named(name, 1000)
    assert (made.alphas_cumprod - ours.left).abs().max() < 2e-6  # theirs are single precision


def test_noise_is_added_and_predicted_as_theirs(peers, start):
    made = peers.DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
    ours, t = Schedule.named("cosine", 1000), torch.tensor([3, 500, 990])
    noise = torch.randn_like(start)
    assert (made.add_noise(start, noise, t) - add_noise(start, t, ours, noise)).abs().max() < 1e-4
    theirs = made.get_velocity(start, noise, t)
    assert (theirs - training_target(start, t, ours, noise, "v")).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_ancestral_sampling_is_theirs(peers, start, kind, monkeypatch):
    "Every step with the same fresh noise, over all steps of a short schedule."
    made = peers.DDPMScheduler(
        50, beta_schedule="squaredcos_cap_v2", prediction_type=KINDS[kind], clip_sample=False
    )
    made.set_timesteps(50)
    noises = [torch.randn_like(start) for _ in range(50)]
    x = start
    for k, t in enumerate(made.timesteps):
        monkeypatch.setattr(
            "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, k=k, **o: noises[k]
        )
        x = made.step(network(x, t.expand(3)), t, x).prev_sample
    queue = iter(noises)
    monkeypatch.setattr(torch, "randn", lambda *a, **o: next(queue))
    ours = sample(network, start, Schedule.named("cosine", 50), sampler="ddpm", kind=kind)
    assert (ours - x).abs().max() < 1e-4 * x.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("steps", "eta"), [(50, 0.0), (10, 0.0), (10, 0.5)])
def test_ddim_is_theirs(peers, start, kind, steps, eta, monkeypatch):
    made = peers.DDIMScheduler(
        1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=KINDS[kind],
        clip_sample=False,
        timestep_spacing="trailing",
    )
    made.set_timesteps(steps)
    noises = [torch.randn_like(start) for _ in range(steps)]
    x = start
    for t, noise in zip(made.timesteps, noises):
        x = made.step(network(x, t.expand(3)), t, x, eta=eta, variance_noise=noise).prev_sample
    schedule = Schedule.named("cosine", 1000)
    assert fewer_steps(schedule, steps).times.flip(0).tolist() == made.timesteps.tolist()
    queue = iter(noises)
    monkeypatch.setattr(torch, "randn", lambda *a, **o: next(queue))
    plain = STEPS["ddim"]
    monkeypatch.setitem(STEPS, "ddim", lambda x, s, d: plain(x, s, d, eta))
    ours = sample(network, start, schedule, steps, "ddim", kind)
    assert (ours - x).abs().max() < 1e-4 * x.abs().max()


def test_the_second_order_is_theirs(peers, start):
    "Step by step at their own times: the same guess before, the same curve."
    made = peers.DPMSolverMultistepScheduler(
        1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="trailing",
        final_sigmas_type="zero",
        lower_order_final=True,
    )
    made.set_timesteps(20)
    x = start
    for t in made.timesteps:
        x = made.step(network(x, t.expand(3)), t, x).prev_sample
    ours = sample(network, start, Schedule.named("cosine", 1000), 20, "dpm++")
    assert (ours - x).abs().max() < 1e-4 * x.abs().max()


@pytest.mark.parametrize("sampler", STEPS)
def test_a_network_that_knows_is_believed(start, sampler):
    "If the guess is always the same, it is what comes out."
    truth = torch.randn_like(start)
    for steps in (1, 2, 7, 50):
        out = sample(lambda x, t: truth, start, Schedule.named("cosine", 50), steps, sampler)
        assert torch.equal(out, truth)


@pytest.mark.parametrize("sampler", STEPS)
@pytest.mark.parametrize("noised", [True, False])
def test_what_is_known_comes_out_as_it_went_in(start, sampler, noised):
    mask = torch.rand(start.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    values = torch.randn_like(start)
    seen = []
    watch = lambda x, t: (seen.append(x.clone()), network(x, t))[1]
    known = Known(values, mask, noised)
    out = sample(watch, start, Schedule.named("cosine", 50), 10, sampler, known=known)
    assert torch.equal(out[mask], values[mask]) and out.isfinite().all()
    clean = [torch.equal(x[mask], values[mask]) for x in seen]
    assert not any(clean) if noised else all(clean)


def test_the_same_seed_is_the_same_motion(start):
    draw = lambda seed: sample(
        network,
        start,
        Schedule.named("cosine", 50),
        10,
        "ddpm",
        generator=torch.Generator().manual_seed(seed),
    )
    assert torch.equal(draw(3), draw(3)) and not torch.equal(draw(3), draw(4))


def test_clips_do_not_know_each_other(start):
    one = sample(network, start[:1], Schedule.named("cosine", 50), 10, "dpm++")
    assert torch.equal(sample(network, start, Schedule.named("cosine", 50), 10, "dpm++")[:1], one)


def test_no_step_leaves_more_noise_than_it_should():
    "With a guess that is right, the noise left has the variance of the next step, in every sampler."
    g = torch.Generator().manual_seed(0)
    schedule = fewer_steps(Schedule.named("cosine", 1000), 12)
    truth = torch.randn(20000, 1, generator=g, dtype=torch.float64)
    for step in STEPS.values():
        for i in (11, 6, 1):
            left, after = schedule.left[i], schedule.before[i]
            noise = torch.randn(truth.shape, generator=g, dtype=torch.float64)
            x = left.sqrt() * truth + (1 - left).sqrt() * noise
            draw = lambda: torch.randn(truth.shape, generator=g, dtype=torch.float64)
            out = step(x, Step(left, after, truth), draw)
            spread = (out - after.sqrt() * truth).std()
            assert abs(spread / (1 - after).sqrt() - 1) < 0.03
