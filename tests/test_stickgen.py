"The generator of stick figures: what the notebooks do not prove."

import pytest
import torch

from motionbook.core.files import BadFile
from motionbook.models.layers import CONFIG
from motionbook.models.stickgen.asking import make_condition
from motionbook.models.stickgen.generator import (
    StickGenerator,
    draw,
    load_generator,
    save_generator,
)
from motionbook.models.stickgen.network import StickGenConfig

SMALL = dict(embedding_width=8, width=32, layers=1, heads=2)


@pytest.fixture(scope="module", params=["diffusion", "autoregressive"])
def model(request):
    torch.manual_seed(0)
    made = StickGenerator(StickGenConfig(form=request.param, actors=2, **SMALL)).eval()
    for layer in (made.net.six, made.net.leave, made.net.rest):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return made


def ask(model, n=2, frames=20, actors=2):
    words = torch.randn(n, 8, generator=torch.Generator().manual_seed(1))
    return make_condition(model, words, torch.rand(n, 5), frames, actors)


def test_signals_that_are_absent_are_not_zero(model):
    one = ask(model, 1)
    zero = one._replace(signals=torch.zeros(1, 5))
    none = one._replace(signals=torch.full((1, 5), torch.nan))
    a, b = (draw(model, c, guidance=1.0, seed=0).joints for c in (zero, none))
    assert a.isfinite().all() and b.isfinite().all()
    assert (a - b).abs().max() > 1e-4


def test_float64_says_the_same(model):
    x = torch.randn(2, 20, model.config.frame, generator=torch.Generator().manual_seed(2))
    times, c = torch.tensor([3, 500]), ask(model)
    with torch.no_grad():
        once = model.net(x, times, c).motion
        twin = StickGenerator(model.config).double().eval()
        twin.load_state_dict(model.state_dict())
        exact = c._replace(embedding=c.embedding.double(), signals=c.signals.double())
        twice = twin.net(x.double(), times.double(), exact).motion
    assert torch.allclose(once.double(), twice, atol=1e-4)


def test_an_altered_folder_is_refused(model, tmp_path):
    folder = save_generator(model, tmp_path / "model")
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace("stickgen", "vae"))
    with pytest.raises(BadFile, match="manifest"):
        load_generator(folder)


def test_weights_of_the_other_size_are_refused(model, tmp_path):
    folder = save_generator(model, tmp_path / "model")
    other = StickGenerator(StickGenConfig(**model.config.model_dump() | {"dims": 3}))
    from motionbook.core.skeletons import STICK16
    from motionbook.models.layers import save_folder

    told = {"model": "stickgen", "config": other.config.model_dump(), "fps": 25.0, "about": {}}
    save_folder(folder, model.state_dict(), told, STICK16)
    with pytest.raises(BadFile, match="weights that fit"):
        load_generator(folder)


def test_two_actors_are_drawn_and_one_is_left_out(model):
    both, one = (draw(model, ask(model, 1, 20, n), seed=0) for n in (2, 1))
    assert both.joints.shape == one.joints.shape == (1, 20, 2, 16, 2)
    assert both.actions.shape == (1, 20, 2)


def test_without_weights_the_error_says_how_to_train(monkeypatch):
    from motionbook.models.stickgen import command

    monkeypatch.setattr(command, "SHIPPED", "assets/nothing")
    with pytest.raises(ValueError, match="motionbook train stickgen"):
        command.generator_folder()


def test_the_shipped_weights_follow_energy_and_stay_whole():
    from motionbook.body.stick import check_connected
    from motionbook.models.stickgen.asking import generate_figures
    from motionbook.models.stickgen.command import generator_folder
    from motionbook.models.stickgen.recipe import model_encoder
    from motionbook.models.stickgen.windows import measure_style

    shipped = load_generator(generator_folder())
    assert shipped.about["licences"] and shipped.about["kept_out"]
    signals = torch.full((8, 5), torch.nan)
    signals[:, 1] = torch.tensor([0.1, 0.9]).repeat(4)
    made = generate_figures(
        shipped, ["a person walks"] * 8, model_encoder(shipped), signals, 3.0, steps=10
    )
    for sample in made.samples:
        check_connected(sample["motion"])
    energy = torch.stack(
        [measure_style(s.actors[0].positions[:, None], s.fps)[1] for s in made.scenes]
    )
    assert energy[1::2].mean() > energy[::2].mean() + 0.2


def test_generate_refines_with_a_trained_refiner(tmp_path, monkeypatch):
    "From sentence to file, with what `train refiner` wrote; no strength changes nothing."
    from motionbook.core.command import call
    from motionbook.core.motion import Scene
    from motionbook.models.refiner.recipe import RefinerTraining, train_refiner
    from motionbook.models.stickgen.command import GENERATE
    from motionbook.schema.projection import figure_physics
    from motionbook.schema.sample import load_canonical, make_sample, save_canonical
    from motionbook.synthetic.people import person

    walk = [Scene((person("walk", 3.0, 25.0, seed=s),), text=("a person walks",)) for s in range(2)]
    samples = [make_sample(s, "made", "front", key=str(k)) for k, s in enumerate(walk)]
    save_canonical(tmp_path / "canonical.pt", samples)
    small = dict(steps=2, minutes=None, channels=(8, 8), kinds=1, window=32, valid_share=0.0)
    config = RefinerTraining(**small, batch_size=2, progress=False, cpu=True)
    train_refiner([tmp_path], tmp_path / "run", config)

    def drawn(name, *words):
        out = tmp_path / f"{name}.pt"
        ask = ("a person walks", "-o", out, "--seconds", 2, "--steps", 4, "--tempo", 0.7, *words)
        assert call(GENERATE, *ask) == 0
        return load_canonical(out)[0]

    plain, still, refined = (
        drawn("plain"),
        drawn("still", "--refine", tmp_path / "run", "--strength", 0),
        drawn("refined", "--refine", tmp_path / "run", "--strength", 0.05),
    )
    assert torch.equal(plain["motion"], still["motion"])
    apart = (refined["motion"] - plain["motion"]).abs().max()
    assert 1e-4 < apart < 0.3
    physics = figure_physics(refined["motion"], 25.0)
    torch.testing.assert_close(refined["physics"], physics)


@pytest.fixture(scope="module")
def other_models(tmp_path_factory):
    "Folders of a refiner of five segments, and of one whose network is not a generator's."
    from motionbook.models.refiner.module import DiffusionRefinementModule, save_refiner
    from motionbook.models.refiner.network import PoseRefinementUNet

    box = tmp_path_factory.mktemp("models")
    for width in (20, 48):
        unet = PoseRefinementUNet(width, channels=(8, 8))
        save_refiner(DiffusionRefinementModule(unet), box / f"refiner{width}")
    return box


@pytest.mark.parametrize(
    "words, told",
    [
        (("",), "expected a sentence"),
        (("   ",), "expected a sentence"),
        (("walks " * 500,), "at most 2,000 letters"),
        (("walks", "--tempo", "nan"), "expected tempo from 0 to 1"),
        (("walks", "--energy", 1.5), "expected energy_level from 0 to 1"),
        (("walks", "--valence", -2), "expected valence from -1 to 1"),
        (("walks", "--arousal", "inf"), "expected arousal from 0 to 1"),
        (("walks", "--seconds", "nan"), "seconds"),
        (("walks", "--seconds", -1), "frames"),
        (("walks", "--guidance", "nan"), "expected guidance from 0"),
        (("walks", "--temperature", -1), "expected temperature from 0"),
        (("walks", "--tries", 0), "one try"),
        (("walks", "--steps", 0), "expected steps from 1"),
        (("walks", "--view", "above"), "--view"),
        (("walks", "--actors", 2), "actors"),
        (("walks", "--refine", "refiner20"), "a refiner of 48 numbers a frame"),
        (("walks", "--refine", "refiner48", "--strength", 2), "strength from 0 to 1"),
        (("walks", "--refine", "nothing"), "nothing"),
        (("walks", "--checkpoint", "refiner48"), "a generator of stick figures"),
    ],
)
def test_what_cannot_be_asked_is_one_line_at_the_terminal(
    words, told, other_models, tmp_path, monkeypatch, capsys
):
    from motionbook.core.command import call
    from motionbook.models.stickgen.command import GENERATE

    monkeypatch.chdir(other_models)
    out = tmp_path / "out.html"
    assert call(GENERATE, *words, "-o", out) == 2
    said = capsys.readouterr().err.strip()
    assert told in said and "\n" not in said and "Traceback" not in said
    assert not out.exists()


@pytest.mark.parametrize(
    "facts, told",
    [
        ([dict(embedding=torch.ones(512))] * 2, "embedding"),
        ([dict(embedding=torch.full((1024,), torch.nan))] * 2, "embedding"),
        ([dict(embedding=torch.ones(1024))] + [{}], "embedding"),
    ],
)
def test_embeddings_that_do_not_fit_are_one_line_at_the_terminal(facts, told, tmp_path, capsys):
    from motionbook.core.command import call
    from motionbook.core.motion import Scene
    from motionbook.models.command import TRAIN
    from motionbook.schema.sample import make_sample
    from motionbook.synthetic.people import person

    scene = Scene((person("walk", 2.0, 25.0, seed=0),), text=("a person walks",))
    made = [make_sample(scene, "made", "front", key=str(k)) | f for k, f in enumerate(facts)]
    torch.save(made, tmp_path / "train_data.pt")
    words = ("stickgen", tmp_path / "train_data.pt", "-o", tmp_path / "run", "--steps", 1)
    assert call(TRAIN, *words) == 2
    said = capsys.readouterr().err.strip()
    assert told in said and "\n" not in said


def test_the_shipped_refiner_follows_a_style_and_knows_what_it_has_not_seen():
    from motionbook.core.motion import Scene
    from motionbook.evaluation.style import measured_styles
    from motionbook.models.refiner.conditions import StyleCondition
    from motionbook.models.refiner.module import load_refiner
    from motionbook.models.stickgen.command import PACKAGED, generator_folder, refiner_folder
    from motionbook.schema.projection import stick_figure
    from motionbook.synthetic.people import person

    refiner, generator = (
        load_refiner(refiner_folder(PACKAGED), 48),
        load_generator(generator_folder()),
    )
    assert refiner.about["licences"] and refiner.about["kept_out"] == generator.about["kept_out"]
    poses = stick_figure(Scene((person("walk", 3.0, 25.0, seed=3),)), "side").motion[None]

    def energy(asked, scale):
        g = torch.Generator().manual_seed(0)
        made = refiner.refine_poses(
            poses, StyleCondition(energy_level=asked), scale, 4, 0.6, generator=g
        )
        return float(measured_styles(made, 25.0)["energy_level"])

    gap = [energy(0.9, s) - energy(0.1, s) for s in (1.0, 4.0)]
    assert 0.01 < gap[0] < gap[1]
