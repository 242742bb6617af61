"The motion VAE: what it must not depend on, what it refuses, that it resumes exactly, and that it beats a linear code on real motion."

import json

import pytest
import torch

from motionbook.converters.aist import aist_name
from motionbook.core.motion import Scene
from motionbook.core.size import bone_variation
from motionbook.data.to_features import features_command
from motionbook.data.windows import (
    FeatureClip,
    LabelMap,
    Windows,
    choose_clips,
    fit_to_window,
    hold_out,
)
from motionbook.evaluation.generation import frechet_distance, tell_apart
from motionbook.evaluation.reconstruction import PatchPCA, fit_pose, frame_errors
from motionbook.features.humanml3d.ik263 import FLOWMIMIC, ik263_to_joints
from motionbook.features.rifke.rifke import RIFKE
from motionbook.formats.registry import read, write
from motionbook.models.layers import count_parameters
from motionbook.models.vae.evaluate import evaluate_vae
from motionbook.models.vae.latents import fit_prior
from motionbook.models.vae.loss import LOSS_WEIGHTS, vae_losses
from motionbook.models.vae.motion_vae import MotionVAE, with_representation
from motionbook.models.vae.network import SIZES, VAEConfig, start_linear
from motionbook.models.vae.recipe import Sides, VAETraining, gather_clips, train_on_sides, train_vae
from motionbook.models.vae.training_clips import load_clips, style_of
from motionbook.synthetic.people import ACTIONS, person
from motionbook.training.feed import Feed

torch.set_num_threads(1)
DOMAINS, STYLES = LabelMap.of("domain", ("a", "b")), LabelMap.of("style", ACTIONS)
TINY = dict(d_z=24, d_model=32, layers=1, heads=2)
CLIPS = [
    FeatureClip(FLOWMIMIC.encode(person(a, 4, 30, seed=s)), f"{a}_{s}", "ab"[s % 2], a)
    for s in range(3)
    for a in ACTIONS
]
X = torch.stack([c.features[:64] for c in CLIPS])


def model_of(**options):
    torch.manual_seed(0)
    model = MotionVAE(FLOWMIMIC.layout, VAEConfig(**TINY | options), DOMAINS, STYLES, 64)
    (
        model.mean.copy_(X.flatten(0, 1).mean(0)),
        model.std.copy_(X.flatten(0, 1).std(0).clamp_min(1e-3)),
    )
    start_linear(model, X)
    for p in model.parameters():
        if p.requires_grad and float(p.detach().abs().sum()) == 0:
            torch.nn.init.normal_(p, std=0.05)
    return with_representation(model, FLOWMIMIC).eval()


FORMS = {
    "cpu": {},
    "seed": dict(stride=1, linear=False, gated=False, positions="learned"),
    "causal": dict(causal=True),
    "twin": dict(form="convolution", causal=True, linear=False),
    "convolution with a linear way": dict(form="convolution", causal=True),
}


def labels(n):
    return torch.arange(n) % 3, torch.arange(n) % len(STYLES.names)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("junk", (0.0, 1e6, torch.nan, torch.inf))
def test_frames_that_are_not_there_never_matter(form, junk):
    model = model_of(**FORMS[form])
    mask = torch.arange(64) < torch.randint(
        1, 65, (len(X), 1), generator=torch.Generator().manual_seed(3)
    )
    domain, style = labels(len(X))
    found = []
    for x in (X, torch.where(mask[..., None], X, junk)):
        model.zero_grad()
        out = model(x, mask, domain, style)
        terms = vae_losses(model, out, style, ik263_to_joints)
        sum(terms.values()).backward()
        found.append((terms, [p.grad for p in model.parameters() if p.grad is not None]))
    (a, slope), (b, other) = found
    assert all(torch.equal(a[k], b[k]) for k in LOSS_WEIGHTS)
    assert slope and all(map(torch.equal, slope, other))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", (1, 2, 5, 63, 64, 65, 300))
def test_any_length(form, frames):
    model = model_of(**FORMS[form])
    x = X[0].repeat(5, 1)[:frames]
    y = model.reconstruct(x, "a", "walk")
    assert y.shape == x.shape and y.isfinite().all()


@pytest.mark.parametrize("form", ("causal", "twin", "convolution with a linear way"))
def test_no_token_looks_ahead(form):
    model = model_of(**FORMS[form])
    later = X[:2].clone()
    later[:, 32:] += 1
    a, b = model.encode(X[:2]), model.encode(later)
    assert torch.equal(a[:, :8], b[:, :8]) and not torch.equal(a[:, 8:], b[:, 8:])
    c = a.clone()
    c[:, 8:] += 1
    assert torch.equal(model.decode(a)[:, :32], model.decode(c)[:, :32])


def test_a_clip_does_not_depend_on_what_it_is_batched_with():
    model = model_of()
    assert torch.allclose(model.encode(X)[3], model.encode(X[3]), atol=1e-4)


def test_the_first_system_has_its_size():
    c = VAEConfig(size="seed")
    assert (c.d_model, c.layers, c.heads, c.d_z, c.stride) == (512, 8, 8, 256, 1)
    genres = LabelMap.of("style", map(str, range(10)))
    n = count_parameters(MotionVAE(FLOWMIMIC.layout, c, DOMAINS, genres))
    assert abs(n / 59.96e6 - 1) < 0.02
    assert VAEConfig(size="causal").d_z / VAEConfig(size="causal").stride * 30 == 120
    assert set(SIZES) == {"cpu", "seed", "causal", "twin"}


def test_the_condition_reaches_encoder_and_decoder():
    model = model_of()
    z = model.encode(X[0], "a", "walk")
    assert not torch.allclose(z, model.encode(X[0], "b", "walk"))
    assert not torch.allclose(model.decode(z, "a", "walk"), model.decode(z, "a", "jump"))


def test_contacts_come_back_as_yes_or_no():
    y = model_of().reconstruct(X[0])
    assert set(y[:, 259:].unique().tolist()) <= {0.0, 1.0}


def test_the_folder_gives_the_same_model(tmp_path):
    model = model_of()
    model.save_pretrained(tmp_path / "m")
    same = MotionVAE.from_pretrained(tmp_path / "m")
    assert torch.equal(model.reconstruct(X[0], "a", "walk"), same.reconstruct(X[0], "a", "walk"))
    assert same.representation.fps == 30 and same.styles == model.styles
    data = (tmp_path / "m" / "model.safetensors").read_bytes()
    (tmp_path / "m" / "model.safetensors").write_bytes(data[:-8] + b"\0" * 8)
    with pytest.raises(ValueError, match="model.safetensors"):
        MotionVAE.from_pretrained(tmp_path / "m")


def test_bones_of_samples_keep_their_length():
    model = model_of()
    codes = [model.encode(c.features) for c in CLIPS]
    styles = [STYLES.number(c.style) for c in CLIPS]
    fit_prior(model, codes, styles, [DOMAINS.number(c.domain) for c in CLIPS], None, 4)
    edges = FLOWMIMIC.decode(X[0]).skeleton.edges
    vary = lambda x: max(float(bone_variation(j, edges).max()) for j in ik263_to_joints(x))
    for frames in (7, 60, 150):  # within the prior's window, and a chain of windows
        made, loose = (model.sample(3, frames, "a", "walk", hold=h) for h in (True, False))
        assert made.shape == (3, frames, 263) and made.isfinite().all()
        assert vary(made) < 1e-3 < vary(loose)
    assert torch.equal(made, model.sample(3, 150, "a", "walk"))
    assert not torch.equal(made, model.sample(3, 150, "a", "jump"))
    assert not torch.equal(made[0], made[1])


REFUSED = {
    "an unknown style": (lambda m: m.encode(X[0], style="wlk"), "did you mean walk"),
    "an unknown domain": (lambda m: m.encode(X[0], "c"), "expected a domain: unknown, a, b"),
    "another width": (lambda m: m.encode(X[0][:, :200]), "expected features .t 263."),
    "no numbers": (lambda m: m.encode(X[0].index_fill(0, torch.tensor([7]), torch.nan)), "frame 7"),
    "another layout": (lambda m: m.check_data(RIFKE().layout), "expected features of Layout"),
    "another rate": (lambda m: m.check_data(FLOWMIMIC.layout, 20.0), "30"),
    "another code": (lambda m: m.decode(torch.zeros(3, 9)), "expected finite codes .n 24."),
    "a way to swap": (
        lambda m: m.swap_style(X[0], "walk", "jump", how="magic"),
        "'move' or 'label'",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_in_one_line(what):
    f, said = REFUSED[what]
    with pytest.raises(ValueError, match=said) as err:
        f(model_of())
    assert "\n" not in str(err.value)


def test_clips_that_do_not_fit_are_named():
    bad = X[0].clone()
    bad[5, 100] = torch.nan
    with pytest.raises(ValueError, match="expected clips of 120 frames"):
        fit_to_window([FeatureClip(X[0], "short.bvh")], 120)
    from motionbook.data.windows import check_clip

    with pytest.raises(ValueError, match="a.bvh: expected finite features, got nan at frame 5"):
        check_clip(FeatureClip(bad, "a.bvh"), 263)


def test_every_batch_is_balanced_and_epochs_differ():
    clips = [
        FeatureClip(torch.zeros(120, 3), f"{d}{i}", d)
        for d, n in (("a", 3), ("b", 50), ("c", 500))
        for i in range(n)
    ]
    data = Windows(clips, 120, draws=90)
    for [(batch, _)] in Feed(data, 30).steps(0):
        assert batch["domain"].bincount().tolist() == [0, 10, 10, 10]
    names = []
    for epoch in (0, 1):
        data.set_epoch(epoch)
        names.append(
            {clips[i].name for i in choose_clips(data, range(90)) if clips[i].domain == "c"}
        )
    assert len(names[0]) == 30 and len(names[0] & names[1]) < 12


def test_groups_stay_on_one_side():
    clips = [FeatureClip(torch.zeros(9, 3), f"{i}", "a", group=str(i // 4)) for i in range(80)]
    learn, held = hold_out(clips, 0.25, 3)
    assert len(held) == 20 and not {c.group for c in learn} & {c.group for c in held}


def test_names_tell_styles():
    assert style_of("dataset-2_walk_elderly_001")[:] == ("elderly", "walk_elderly")
    assert style_of("gJS_sFM_cAll_d02_mJS4_ch09") == ("street_jazz", "JS_FM_9")
    assert aist_name("gBR_sBM_cAll_d04_mBR2_ch08")[:] == ("BR", "BM", "All", ("d04",), "BR2", 8)
    assert style_of("anything") == ("", "")


def test_errors_are_what_they_say():
    x = person("walk", 3, 30).positions
    e = frame_errors(x + torch.tensor([1.0, 0, 0]), x, 30)
    assert e["mpjpe_global_mm"].allclose(torch.tensor(1000.0)) and float(e["mpjpe_mm"].max()) < 1e-3
    assert torch.allclose(fit_pose(2 * x + 1, x), x, atol=1e-5)
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(500, 4, generator=g), torch.randn(500, 4, generator=g)
    assert frechet_distance(a, b) < 0.1 < 3 < frechet_distance(a, b + 1)
    assert tell_apart(a, b) < 0.6 < 0.95 < tell_apart(a, b + 3)
    assert 0 <= tell_apart(a[:2], b[:3]) <= 1
    with pytest.raises(ValueError, match="two clips or more"):
        tell_apart(a[:1], b)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    box = tmp_path_factory.mktemp("people")
    for a in ACTIONS:
        for s in range(3):
            write(
                Scene((person(a, 3, 30, seed=s),)), box / ("lab" if s else "home") / f"{a}_{s}.npz"
            )
    return box


SMALL = VAETraining(
    **TINY,
    window=60,
    steps=6,
    batch_size=8,
    valid_share=0.2,
    style_pattern=r"(?P<style>[a-z]+)_\d",
    save_steps=2,
    prior_steps=4,
)


def test_a_killed_run_ends_in_the_same_bits(people, tmp_path):
    paths = [people / "lab", people / "home"]
    whole = train_vae(paths, tmp_path / "whole", SMALL)

    def die(event, run):
        if event == "save" and run.step == 4:
            raise OSError("killed")

    r = SMALL.features()
    with pytest.raises(OSError, match="killed"):
        train_on_sides(gather_clips(paths, r, SMALL)[0], r, tmp_path / "parts", SMALL, hooks=[die])
    parts = train_vae(paths, tmp_path / "parts", SMALL)
    a, b = whole.model.state_dict(), parts.model.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert {"best", "last", "model"} <= {p.name for p in (tmp_path / "whole").iterdir()}
    facts = evaluate_vae(tmp_path / "whole", [people / "home"])
    assert json.loads(json.dumps(facts))["clips"] == len(ACTIONS)
    assert [r["by"] for r in facts["rows"][:3]] == ["vae", "pca, 6 a frame", "mean pose"]


def test_a_cache_trains_like_recordings(people, tmp_path):
    features_command("ik263", people / "lab", tmp_path / "lab", fps=30.0, frames="repeat_last")
    a = load_clips([tmp_path / "lab"], FLOWMIMIC).clips
    b = load_clips([people / "lab"], FLOWMIMIC).clips
    assert [c.domain for c in a] == ["lab"] * len(b)
    assert all(torch.equal(x.features, y.features) for x, y in zip(a, b))
    with pytest.raises(ValueError, match="expected features with"):
        load_clips([tmp_path / "lab"], VAETraining(fps=20.0).features())


def test_training_ends_on_numbers_that_are_none(tmp_path):
    clips = [FeatureClip(x, str(i), "a") for i, x in enumerate(X)]
    config = SMALL.model_copy(
        update={"loop": SMALL.loop.model_copy(update={"lr": 1e30, "clip": None, "log_steps": 1})}
    )
    with pytest.raises(ValueError, match="expected finite losses"):
        train_on_sides(Sides(clips, []), FLOWMIMIC, tmp_path / "run", config)


def test_other_features_train_too(people, tmp_path):
    "A representation with a layout whose names say what they are."
    config = SMALL.model_copy(update={"representation": "kit251", "fps": 12.5, "window": 24})
    done = train_vae([people / "lab"], tmp_path / "run", config)
    assert done.model.layout.width == 251 and done.fitted.step == 6


def test_settings_of_the_first_system_are_read(tmp_path):
    old = {
        "aist_motions_dir": "a",
        "seq_len": 60,
        "train_batch_size": 8,
        "d_in": 263,
        "d_z": 16,
        "stats_path": None,
    }
    c = VAETraining(**old | {"preset": "seed"})
    assert (c.window, c.loop.batch_size, c.network.d_z, c.network.d_model) == (60, 8, 16, 512)
    assert (c.loop.weights["contact"], c.loop.weights["kl"], c.kl_warmup) == (5.0, 0.002, 40_000)


def test_real_dances_with_their_split_files(real_data, tmp_path):
    names = sorted(p.stem for p in (real_data / "aistpp" / "motions").glob("*.pkl"))
    (tmp_path / "train.txt").write_text("\n".join(names[:2]))
    (tmp_path / "val.txt").write_text(names[2])
    c = VAETraining(
        aist_motions_dir=str(real_data / "aistpp"),
        aist_split_train=str(tmp_path / "train.txt"),
        aist_split_val=str(tmp_path / "val.txt"),
    )
    sides, left = gather_clips([], c.features(), c)
    assert [len(s) for s in sides] == [2, 1] and not left
    assert {c.domain for c in sides.train} == {"aist"} and sides.valid[0].style == "street_jazz"
    whole = read(real_data / "aistpp" / "motions" / f"{names[2]}.pkl")
    assert whole.fps == 60 and abs(2 * len(sides.valid[0]) - len(whole.actors[0])) <= 2


def test_real_motion_comes_back_better_than_by_principal_components(real_data):
    "At 8 numbers a frame, trained for a moment, on clips of other contents."
    clips = load_clips([real_data / "bvh" / "samples", real_data / "aistpp"], FLOWMIMIC).clips
    long = [c for c in clips if len(c) >= 120]
    x = torch.stack([c.features[i : i + 120] for c in long for i in range(0, len(c) - 119, 120)])
    learn, judge = x[::2], x[1::2]
    model = MotionVAE(FLOWMIMIC.layout, VAEConfig(**TINY | {"d_z": 32}), window=120)
    (
        model.mean.copy_(learn.flatten(0, 1).mean(0)),
        model.std.copy_(learn.flatten(0, 1).std(0).clamp_min(1e-3)),
    )
    from motionbook.models.vae.network import measure_weights

    start_linear(model, learn, measure_weights(learn[:4], ik263_to_joints, model.std))
    far = lambda y: float(
        frame_errors(ik263_to_joints(y), ik263_to_joints(judge), 30)["mpjpe_mm"].mean()
    )
    assert far(model.eval().reconstruct(judge)) < 0.6 * far(
        PatchPCA(learn, 8, 1, 1 / model.std)(judge)
    )
