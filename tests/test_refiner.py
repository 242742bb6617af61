"The refiner of stick figures: the first system's lines as they were written, and what they promise."

import pytest
import torch

from motionbook.models.diffusion.sampling import sample
from motionbook.models.diffusion.schedule import add_noise
from motionbook.models.layers import count_parameters
from motionbook.models.refiner.figures import figure_map, figure_noise
from motionbook.models.refiner.module import (
    DDPMScheduler,
    DiffusionRefinementModule,
    PoseRefinementUNet,
    StyleCondition,
    extract_style_conditions_from_batch,
    load_refiner,
    save_refiner,
)
from motionbook.models.refiner.prior import MotionPrior
from motionbook.models.refiner.recipe import RefinerTraining, sample_clips, train_refiner
from motionbook.models.registry import RECIPES
from motionbook.schema.metadata import (
    EmotionMetadata,
    EnhancedSampleMetadata,
    MotionStyleMetadata,
    QualityMetadata,
)
from motionbook.schema.sample import save_canonical
from motionbook.training.command import evaluate, train

pytestmark = pytest.mark.usefixtures("one_thread")


def loud(unet):
    "The network with weights that do something, instead of the zeros it begins with."
    with torch.no_grad():
        for p in (unet.net.leave.weight, unet.net.film.both.weight):
            p.normal_(std=0.05)
    return unet.eval()


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    unet = PoseRefinementUNet(48, style_emb_dim=16, time_emb_dim=16, channels=(32, 32, 32))
    return DiffusionRefinementModule(loud(unet), DDPMScheduler(num_train_timesteps=1000))


@pytest.fixture(scope="module")
def poses():
    return torch.randn(2, 37, 48, generator=torch.Generator().manual_seed(0))


SAD = {"motion_style": {"tempo": 0.2}, "emotion": {"valence": -0.6, "arousal": 0.3}}


def test_the_seeds_conditions_as_written():
    sample = {
        "enhanced_meta": EnhancedSampleMetadata(
            motion_style=MotionStyleMetadata(tempo=0.6, energy_level=0.8, smoothness=0.7),
            emotion=EmotionMetadata(valence=-0.6),
        ).model_dump()
    }
    condition = StyleCondition.from_enhanced_meta(sample["enhanced_meta"])
    assert condition == StyleCondition(
        tempo=0.6, energy_level=0.8, smoothness=0.7, valence=-0.6, arousal=None
    )
    condition = StyleCondition(
        tempo=0.8,
        energy_level=0.6,
        smoothness=0.9,
        valence=0.2,
        arousal=0.7,
    )
    assert condition.arousal == 0.7


def test_the_seeds_refinement_as_written(poses):
    unet = PoseRefinementUNet(
        pose_dim=48,
        use_style_conditioning=True,
        style_emb_dim=128,
    )
    assert abs(count_parameters(unet) / 2.738e6 - 1) < 0.05
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    module = DiffusionRefinementModule(unet, scheduler, device="cpu")
    batch = {"enhanced_meta": [SAD, None]}
    transformer_output = clean_poses = poses[:, :9]
    style_conditions = extract_style_conditions_from_batch(batch)
    refined = module.refine_poses(
        transformer_output,
        style_conditions=style_conditions,
        guidance_scale=2.5,
        num_inference_steps=5,
    )
    assert refined.shape == transformer_output.shape
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4)
    before = [p.clone() for p in unet.parameters()]
    result = module.train_step(
        clean_poses,
        optimizer,
        style_conditions=style_conditions,
    )
    assert result["loss"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, unet.parameters()))


def test_twenty_numbers_and_any_length():
    unet = PoseRefinementUNet(20, channels=(32, 32, 32))
    module = DiffusionRefinementModule(loud(unet), DDPMScheduler())
    for frames in (1, 2, 7, 16, 33):
        x = torch.randn(1, frames, 20)
        assert module.refine_poses(x, num_inference_steps=2).shape == x.shape


def test_no_strength_changes_nothing_and_little_strength_little(module, poses):
    ask = dict(style_conditions=StyleCondition(valence=-0.6), guidance_scale=2.5)
    assert torch.equal(module.refine_poses(poses, strength=0.0, **ask), poses)
    assert torch.equal(module.refine_poses(poses, jitter=0.0, **ask), poses)
    whole = poses @ module.whole
    away = []
    for strength in (0.002, 0.02, 0.2):
        g = torch.Generator().manual_seed(0)
        y = module.refine_poses(whole, strength=strength, generator=g, num_inference_steps=8, **ask)
        away.append(float((y - whole).norm(dim=-1).mean() / whole.norm(dim=-1).mean()))
    assert 0 < away[0] < 0.05 and away[0] < away[1] < away[2]


def test_a_perfect_network_gives_the_motion_back_in_any_number_of_strided_steps():
    "The steps of a shortened schedule lead to the clean end exactly, which steps taken for adjacent ones do not."
    scheduler = DDPMScheduler(1000)
    x = torch.randn(3, 11, 48, dtype=torch.float64)
    for steps in (1, 3, 50, 400):
        visited = scheduler.visited(0.4, steps)
        t = torch.full((3,), len(visited) - 1)
        start = add_noise(x, t, visited, torch.randn_like(x))

        def says(noisy, times):
            left = scheduler.schedule.left[times].view(-1, 1, 1)
            return (noisy * left.sqrt() - x) / (1 - left).sqrt()

        for sampler in ("ddim", "dpm++", "ddpm"):
            made = sample(says, start, visited, None, sampler, "v")
            assert (made - x).abs().max() < 1e-6


def test_a_negative_valence_is_not_an_absence(module, poses):
    t = torch.tensor([40, 40])
    said = lambda **k: module.unet(poses, t, StyleCondition(**k))
    with torch.no_grad():
        sad, mild, free = said(valence=-0.6), said(valence=0.0), module.unet(poses, t)
    assert (sad - mild).abs().max() > 1e-4 and (sad - free).abs().max() > 1e-4


def test_each_sample_hears_its_own_condition(module, poses):
    x, t = poses[:1].expand(2, -1, -1), torch.tensor([40, 40])
    slow, fast = StyleCondition(tempo=0.0), StyleCondition(tempo=1.0)
    with torch.no_grad():
        both = module.unet(x, t, [slow, fast])
        torch.testing.assert_close(both[0], module.unet(x, t, slow)[0])
        torch.testing.assert_close(both[1], module.unet(x, t, fast)[1])
    assert (both[0] - both[1]).abs().max() > 1e-4


def test_padding_and_neighbours_have_no_say(module, poses):
    mask = torch.arange(37) < torch.tensor([[20], [37]])
    ask = dict(jitter=0.3, num_inference_steps=3)
    one = module.refine_poses(poses[:1, :20], **ask)
    for junk in (0.0, 1e6, float("nan")):
        x = poses.masked_fill(~mask[..., None], junk)
        y = module.refine_poses(x, mask=mask, **ask)
        torch.testing.assert_close(y[:1, :20], one, atol=1e-4, rtol=1e-4)
        assert torch.equal(y[0, 20:].nan_to_num(), x[0, 20:].nan_to_num())


def test_the_loss_does_not_see_the_padding(module, poses):
    mask = torch.arange(37) < torch.tensor([[20], [37]])
    found = []
    for junk in (0.0, 50.0):
        torch.manual_seed(3)
        found.append(
            module(poses.masked_fill(~mask[..., None], junk), None, mask)["diffusion"].item()
        )
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_actors_are_samples(module, poses):
    ask = dict(
        jitter=0.3, num_inference_steps=3, style_conditions=[StyleCondition(tempo=0.1), None]
    )
    two = torch.stack([poses, poses.flip(1)], 2)
    y = module.refine_poses(two, **ask)
    torch.testing.assert_close(y[:, :, 0], module.refine_poses(poses, **ask), atol=1e-4, rtol=1e-4)
    assert module(two, ask["style_conditions"])["diffusion"].ndim == 0


def test_conditions_are_lost_sample_by_sample(module, poses, monkeypatch):
    seen = []
    monkeypatch.setattr(
        module.unet, "forward", lambda x, t, v, *_: seen.append(v) or torch.zeros_like(x)
    )
    torch.manual_seed(0)
    for _ in range(40):
        module(poses.expand(2, -1, -1).repeat(8, 1, 1), [StyleCondition(tempo=0.5)] * 16)
    lost = torch.stack([v.isnan().all(1) for v in seen])
    assert 0.05 < float(lost.float().mean()) < 0.16
    assert (lost.any(1) & ~lost.all(1)).any()


@pytest.mark.parametrize(
    "bad, told",
    [
        (dict(strength=1.2), "strength from 0 to 1"),
        (dict(strength=float("nan")), "strength from 0 to 1"),
        (dict(jitter=-0.1), "jitter in metres"),
        (dict(guidance_scale=float("inf")), "finite guidance scale"),
        (dict(style_conditions=[None]), "for each of 2 samples, got 1"),
        (dict(mask=torch.ones(2, 5, dtype=torch.bool)), "expected a mask"),
    ],
)
def test_a_bad_request_is_one_clear_error(module, poses, bad, told):
    with pytest.raises(ValueError, match=told) as err:
        module.refine_poses(poses, **bad)
    assert "\n" not in str(err.value)


@pytest.fixture(scope="module")
def with_prior():
    "A refiner beside a prior of smooth figures, and figures that it does not know."
    g = torch.Generator().manual_seed(1)
    steps = torch.randn(40, 80, 28, generator=g).cumsum(1).cumsum(1) @ figure_map(48)
    clips = (steps - steps.mean((0, 1))) / steps.std()
    unet = PoseRefinementUNet(48, style_emb_dim=16, channels=(32, 32, 32), beside_dim=48)
    prior = MotionPrior.fit(list(clips[:38]), kinds=2, window=9)
    return DiffusionRefinementModule(unet, DDPMScheduler(), prior=prior), clips[38:]


def test_a_prior_removes_tremble_before_any_training(with_prior):
    module, clean = with_prior
    shaken = clean + 0.3 * figure_noise(tuple(clean.shape), torch.Generator().manual_seed(2))
    off = lambda x: float((x - clean).norm(dim=-1).mean())
    for steps in (1, 4):
        assert off(module.refine_poses(shaken, jitter=0.3, num_inference_steps=steps)) < 0.6 * off(
            shaken
        )


def test_a_prior_is_deaf_to_padding_and_survives_its_folder(with_prior, tmp_path):
    module, clean = with_prior
    ask = dict(jitter=0.2, num_inference_steps=2)
    mask = torch.arange(80) < torch.tensor([[33], [80]])
    y = module.refine_poses(clean.masked_fill(~mask[..., None], 1e5), mask=mask, **ask)
    alone = module.refine_poses(clean[:1, :33], **ask)
    torch.testing.assert_close(y[:1, :33], alone, atol=1e-4, rtol=1e-4)
    save_refiner(module, tmp_path / "r")
    assert torch.equal(
        load_refiner(tmp_path / "r").refine_poses(clean, **ask), module.refine_poses(clean, **ask)
    )


def test_a_network_and_a_prior_must_fit():
    with pytest.raises(ValueError, match="expected a network that takes 48 numbers"):
        DiffusionRefinementModule(PoseRefinementUNet(48), prior=MotionPrior(48, 1, 4, 5))


def test_a_bad_pose_is_one_clear_error(module, poses):
    for x in (poses[..., :20], poses[0], poses[:, :0]):
        with pytest.raises(ValueError, match="expected poses"):
            module.refine_poses(x)
    with pytest.raises(ValueError, match="finite"):
        module.refine_poses(poses.masked_fill(poses > 2, torch.nan))


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), "fast", True])
def test_a_condition_out_of_range_is_one_clear_error(bad):
    with pytest.raises(ValueError, match="expected tempo from 0 to 1") as err:
        StyleCondition(tempo=bad)
    assert "\n" not in str(err.value)


def test_a_folder_of_the_other_width_is_refused(module, poses, tmp_path):
    save_refiner(module, tmp_path / "r")
    again = load_refiner(tmp_path / "r", 48)
    ask = dict(jitter=0.3, num_inference_steps=3)
    assert torch.equal(again.refine_poses(poses, **ask), module.refine_poses(poses, **ask))
    with pytest.raises(ValueError, match="of 20 numbers a frame, got one of 48"):
        load_refiner(tmp_path / "r", 20)
    with pytest.raises(ValueError):
        load_refiner(tmp_path)


def walks(count, **facts):
    "Samples of smooth made-up figures, two views of each clip."
    g = torch.Generator().manual_seed(3)
    made = []
    for i in range(count):
        motion = (torch.randn(48, 28, generator=g).cumsum(0).cumsum(0) / 300) @ figure_map(48)
        for view in ("front", "side"):
            meta = {
                "fps": 25.0,
                "valid_frames": 48,
                "clip": f"c{i}",
                "key": f"c{i}",
                "view": {"name": view},
            }
            sample = dict(
                description="",
                motion=motion.contiguous(),
                actions=torch.zeros(48, dtype=torch.int64),
                physics=torch.zeros(48, 6),
                camera=torch.zeros(48, 3),
                source="made",
                meta=meta,
                enhanced_meta=EnhancedSampleMetadata(
                    motion_style=MotionStyleMetadata(tempo=0.5 if i else None),
                    quality=QualityMetadata(marker_quality=0.25),
                ).model_dump(),
            )
            made.append(sample | facts)
    return made


SMALL = dict(steps=3, minutes=None, channels=(8, 8), kinds=1, window=32, batch_size=4, cpu=True, progress=False)  # fmt: skip


def test_the_recipe_from_a_training_file_to_figures(tmp_path):
    save_canonical(tmp_path / "train_data.pt", walks(6, embedding=torch.ones(1024)))
    fields = SMALL | {"valid_share": 0.3}
    assert RECIPES["refiner"].config is RefinerTraining
    made = train("refiner", [str(tmp_path / "train_data.pt")], str(tmp_path / "run"), fields)
    assert made["steps"] == 3 and made["clips"] + made["held_out"] == 12 and made["held_out"] == 4
    module = load_refiner(tmp_path / "run" / "model", 48)
    assert module.about["training"]["window"] == 32 and module.scale != 1 and module.mean.any()
    found = evaluate("refiner", str(tmp_path / "run"), [str(tmp_path / "train_data.pt")])
    assert found["figures"]["refined"]["error_mm"] < found["figures"]["as it is"]["error_mm"]
    again = train(
        "refiner", [str(tmp_path / "train_data.pt")], str(tmp_path / "run"), fields | {"steps": 5}
    )
    assert again["steps"] == 5


@pytest.mark.parametrize(
    "switch", [dict(prior=False), dict(pose_dim=20), dict(style=False), dict(style_noise=0.01)]
)
def test_every_switch_trains(tmp_path, switch):
    config = RefinerTraining(**SMALL | switch)
    save_canonical(tmp_path / "canonical.pt", walks(3))
    module = train_refiner([tmp_path], tmp_path / "run", config).model
    x = torch.randn(1, 30, config.pose_dim)
    assert module.refine_poses(x, StyleCondition(tempo=0.1), 2.5, 2).isfinite().all()


def test_the_metadata_switches_do_what_they_say():
    sample = walks(1)[0]
    clip = lambda **k: sample_clips(sample, RefinerTraining(**k))[0]
    assert clip().signals.isnan().all() and clip(missing="medium").signals.tolist() == [
        0.5,
        0.5,
        0.5,
        0,
        0.5,
    ]
    assert clip().weight == 0.25 and clip(quality_weights=False).weight == 1.0
    two = sample | {"motion": torch.stack([sample["motion"]] * 2, 1)}
    assert len(sample_clips(two, RefinerTraining())) == 2


def test_nothing_to_learn_from_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="nothing at this path"):
        train_refiner([tmp_path / "none"], tmp_path / "run")
    short = [
        s | {k: s[k][:9].clone() for k in ("motion", "actions", "physics", "camera")}
        for s in walks(1)
    ]
    for s in short:
        s["meta"] = s["meta"] | {"valid_frames": 9}
    save_canonical(tmp_path / "canonical.pt", short)
    with pytest.raises(
        ValueError, match="expected clips of 21 frames or more, got none; c0: 9 frames"
    ):
        train_refiner([tmp_path], tmp_path / "run")
