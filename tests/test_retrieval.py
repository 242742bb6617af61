"The judge of text and motion: from a training file through the terminal, what it must not depend on, and what it refuses."

import json

import numpy as np
import pytest
import torch
from helpers import real_files

from motionbook.cli import main
from motionbook.core.motion import Scene
from motionbook.data.text import hash_encoder, pad_embeddings
from motionbook.evaluation.recall import cosine_table, protocol_recalls
from motionbook.features.humanml3d.ik263 import IK263
from motionbook.models.retrieval.captions import CaptionedClip, recorded_clips, split_captioned
from motionbook.models.retrieval.evaluator import MotionTextModel, load_evaluator
from motionbook.models.retrieval.judge import judge_made
from motionbook.models.retrieval.recipe import RetrievalTraining, train_retrieval
from motionbook.models.retrieval.words import HumanML3DEvaluator, load_humanml3d
from motionbook.schema.sample import make_sample, save_canonical
from motionbook.synthetic.people import ACTIONS, person

torch.set_num_threads(1)
ENCODER = hash_encoder()
TINY = dict(embedding=32, layers=1, heads=2, window=75, batch_size=28, lr=3e-3, valid_share=0.0)


def sample(action, seed, embedded=True):
    scene = Scene((person(action, 3, 25, seed=seed),), text=(f"somebody does {action}",))
    made = make_sample(scene, "synthetic", key=f"{action}_{seed}")
    if not embedded:
        return made
    row = pad_embeddings(ENCODER.encode([made["description"]]))[0]
    return made | {"embedding": row, "meta": made["meta"] | {"encoder": ENCODER.identity()}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    "A folder with train_data.pt, held_out.pt and a judge, made from the terminal."
    folder = tmp_path_factory.mktemp("retrieval")
    save_canonical(folder / "train_data.pt", [sample(a, s) for a in ACTIONS for s in range(4)])
    save_canonical(folder / "held_out.pt", [sample(a, s, False) for a in ACTIONS for s in (7, 8)])
    line = ["train", "retrieval", str(folder / "train_data.pt"), "-o", str(folder / "judge")]
    options = [w for k, v in TINY.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    assert main([*line, *options, "--steps", "60", "--json"]) == 0
    return folder


def test_a_judge_from_the_terminal_finds_held_out_clips_with_the_encoder_that_it_remembers(
    trained, capsys
):
    out = trained / "figures.json"
    line = ["evaluate", "retrieval", str(trained / "judge"), str(trained / "held_out.pt")]
    assert main([*line, "-o", str(out)]) == 0
    made = json.loads(out.read_text())
    row = made["distinct"]["text to motion"]["all"]
    assert made["sentences"] == 7 and row["R@1"] >= 3 * row["chance R@1"]
    assert "R-precision" in capsys.readouterr().out


def test_neither_place_nor_neighbours_nor_order_matter(trained):
    judge = load_evaluator(trained / "judge")
    clips = [sample(a, 9)["motion"][: 75 - 7 * k] for k, a in enumerate(ACTIONS[:4])]
    e = judge.embed_motion(clips)
    moved = [c + torch.tensor([2.5, 0.0]).repeat(24) for c in clips]
    assert torch.allclose(judge.embed_motion(moved), e, atol=1e-3)
    assert torch.allclose(judge.embed_motion(clips[::-1]).flip(0), e, atol=1e-4)
    assert not torch.allclose(judge.embed_motion([c.flip(0) for c in clips]), e, atol=1e-1)
    texts = ["somebody does walk", "somebody  does\nWALK"]
    assert torch.allclose(*judge.embed_text(texts).split(1), atol=1e-5)  # clean_text and lower case


def test_what_is_refused_is_refused_in_one_line(trained, tmp_path, capsys):
    other = [sample("walk", 0), sample("run", 0)]
    for k, s in enumerate(other):
        s["meta"] = s["meta"] | {"encoder": s["meta"]["encoder"] | {"sha256": str(k)}}
    silent = [sample("walk", 0, False) | {"description": " "}]
    files = {"two encoders": other, "silent": silent, "no embedding": [sample("walk", 0, False)]}
    for name, samples in files.items():
        path = save_canonical(tmp_path / f"{name}.pt", samples)
        assert main(["train", "retrieval", str(path), "-o", str(tmp_path / "x")]) == 2, name
        said = capsys.readouterr().err.strip()
        assert said.count("\n") == 0 and "expected" in said, name
    strange = save_canonical(tmp_path / "strange.pt", other[1:])
    assert main(["evaluate", "retrieval", str(trained / "judge"), str(strange)]) == 2
    assert "embedded by hash" in capsys.readouterr().err
    assert main(["evaluate", "retrieval", str(trained), str(strange)]) == 2
    judge = load_evaluator(trained / "judge")
    for motions, said in (
        ([torch.zeros(9, 20)], "48"),
        ([], "got none"),
        ([torch.full((9, 48), torch.inf)], "finite"),
    ):
        with pytest.raises(ValueError, match=said):
            judge.embed_motion(motions)
    with pytest.raises(ValueError, match="embeddings"):
        judge.embed_sentences(torch.zeros(1, 384))
    long = judge.embed_text(["walk " * 100_000])
    assert long.isfinite().all()


def test_a_judge_of_bodies_in_space_has_the_same_protocol(tmp_path):
    from motionbook.formats.registry import write

    for k, a in enumerate(ACTIONS[:3] * 2):
        write(
            Scene((person(a, 3, 20, seed=k).replace(rotations=None),)),
            tmp_path / f"dataset-1_{a}_normal_{k:03}.npz",
        )
    config = RetrievalTraining(
        **TINY, representation="ik263", encoder="hash", steps=3, progress=False
    )
    done = train_retrieval([tmp_path], tmp_path / "judge", config)
    judge = MotionTextModel.from_pretrained(tmp_path / "judge")
    assert (judge.width, judge.fps, judge.representation) == (263, 20.0, "ik263")
    x = IK263().encode(person("walk", 3, 20, seed=3))
    assert judge.embed_motion([x]).shape == (1, 32) and done.fitted.step == 3


def test_judging_made_clips_puts_wrong_ones_below_right_ones(trained):
    judge = load_evaluator(trained / "judge")
    texts = [f"somebody does {a}" for a in ACTIONS]
    real, made = (
        [[sample(a, s)["motion"] for s in seeds] for a in ACTIONS] for seeds in ((11,), (12, 13))
    )
    right = judge_made(judge, texts, [r[0] for r in real], made)
    wrong = judge_made(judge, texts, [r[0] for r in real], made[3:] + made[:3])
    assert right["judge"] == "motionbook retrieval" and "HumanML3D" not in json.dumps(right)
    assert right["R@3"] > wrong["R@3"] and right["MM-Dist"] < wrong["MM-Dist"]


def test_humanml3ds_statistics_are_read_with_the_evaluator(tmp_path):
    stats = real_files("humanml3d/evaluator_stats/t2m_mean.npy")
    if not stats:
        pytest.skip("no real data: humanml3d/evaluator_stats")
    net = HumanML3DEvaluator(263, 4, 4, 4, 4, 300)
    parts = {
        k: getattr(net, k).state_dict()
        for k in ("movement_encoder", "motion_encoder", "text_encoder")
    }
    torch.save(parts, tmp_path / "finest.tar")
    judge = load_humanml3d(tmp_path / "finest.tar", stats=stats[0].parent)
    clip = torch.from_numpy(np.load(real_files("humanml3d/new_joint_vecs_012314.npy")[0])).float()
    normal = (clip - judge.mean) / judge.std
    assert normal.abs().median() < 3 and judge.embed_motion([clip]).isfinite().all()


def test_a_split_by_text_has_no_sentence_on_both_sides_whatever_the_sentences_share():
    clips = [
        CaptionedClip(
            torch.zeros(1, 48), (f"t{k % 5}", f"u{k % 3}")[: 1 + k % 2], torch.zeros(1, 0), f"c{k}"
        )
        for k in range(40)
    ]
    clips += [
        CaptionedClip(torch.zeros(1, 48), (f"v{k}",), torch.zeros(1, 0), f"d{k // 2}")
        for k in range(40)
    ]
    a, b = split_captioned(clips, 0.3)
    texts = lambda side: {t for c in side for t in c.texts}
    assert a and b and not texts(a) & texts(b) and not {c.name for c in a} & {c.name for c in b}


def test_real_bandai_clips_have_their_labels_as_sentences():
    files = real_files("bvh/samples/*dataset-*.bvh", "bvh/samples/**/*dataset-*.bvh")
    if not files:
        pytest.skip("no real data: bvh/samples")
    found = recorded_clips(files[0], None, 25.0, ("front", "side"))
    assert len(found.clips) == 2 and found.clips[0].texts[0].startswith("a person does this: ")


def test_recall_of_a_judge_that_maps_all_to_one_point_is_chance():
    near = cosine_table(torch.ones(40, 3), torch.ones(40, 3))
    row = protocol_recalls(near, "all")
    assert row["R@10"] == 0.0 and row["MedR"] == pytest.approx(row["chance MedR"], abs=1)


def test_a_generator_is_judged_from_the_terminal(trained, tmp_path, capsys):
    from motionbook.models.stickgen.evaluate import judge_requests, make_requests
    from motionbook.models.stickgen.generator import load_generator
    from motionbook.models.stickgen.recipe import StickGenTraining, gather_clips, train_stickgen

    small = dict(width=32, layers=1, heads=2, window=60, draws=16, batch_size=8, valid_share=0.0)
    config = StickGenTraining(**small, steps=3, minutes=None, progress=False)
    train_stickgen([trained / "train_data.pt"], tmp_path / "early", config)
    folder, out = tmp_path / "early", tmp_path / "figures.json"
    held, judge = str(trained / "held_out.pt"), str(trained / "judge")
    line = ["evaluate", "stickgen", str(folder), held, "--evaluator", judge]
    assert main([*line, "-o", str(out)]) == 0
    row = json.loads(out.read_text())["judged"]
    assert (row["sentences"], row["clips"]) == (7, 14) and row["judge"] == "motionbook retrieval"
    assert row["real R@1"] >= 3 * row["chance R@1"] and row["real R@1"] > row["R@1"]
    assert "R-precision of 7 sentences" in capsys.readouterr().out
    assert main(["evaluate", "retrieval", judge, held, "--evaluator", judge]) == 2
    assert "leave it out" in capsys.readouterr().err
    early = load_generator(folder)
    asked = make_requests(early, gather_clips([held], StickGenTraining()).clips, 60, 14)
    other = load_evaluator(judge)
    other.about = other.about | {"fps": 20.0}
    with pytest.raises(ValueError, match="a judge of stick48 at 25"):
        judge_requests(early, asked, other)
