"Training files: the first system's own snippets on converted clips, encoders that are models, and what cannot be mixed."

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from copies import finish, start_copy

from motionbook.cli import main
from motionbook.core.files import sha256
from motionbook.core.motion import Scene
from motionbook.data.canonical import convert_dataset
from motionbook.data.datasets import StickFigureDataset, collate_with_metadata
from motionbook.data.text import (
    MINILM_SHA256,
    examine_texts,
    find_minilm,
    load_encoder,
    model_digest,
)
from motionbook.schema.sample import load_canonical, make_sample, save_canonical
from motionbook.synthetic.people import person
from motionbook.synthetic.raw_style100 import write_style100


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    here = tmp_path_factory.mktemp("converted")
    raw = write_style100(here / "raw", ("Aeroplane", "Zombie"), ("FW", "ID"), seconds=2.0)
    convert_dataset(raw, here / "out")
    return here / "out"


@pytest.fixture(scope="module")
def train(converted, tmp_path_factory):
    out = tmp_path_factory.mktemp("train") / "train_data.pt"
    line = ("embed", converted / "canonical.pt", "--out", out, "--encoder", "hash")
    assert main([*map(str, line), "--cache", str(out.parent / "cache")]) == 0
    return out


SNIPPETS = """
def collate_with_metadata(samples):
    batch = default_collate(samples)

    # Extract motion style for conditioning
    energy_levels = [s["enhanced_meta"]["motion_style"]["energy_level"]
                     for s in samples if s.get("enhanced_meta")]
    batch["energy_condition"] = torch.tensor(energy_levels)
    return batch

def get_sample_weight(sample):
    meta = sample.get("enhanced_meta", {})
    quality = meta.get("quality", {})
    marker_quality = quality.get("marker_quality", 1.0) or 1.0
    return marker_quality  # 0-1 scale

def augment_motion(motion, enhanced_meta):
    energy = enhanced_meta["motion_style"]["energy_level"]
    noise_scale = 0.01 * (1 + energy)  # More noise for athletic motion
    return motion + torch.randn_like(motion) * noise_scale

EMOTION_TOKENS = {
    "happy": "<HAPPY>",
    "sad": "<SAD>",
    "neutral": "<NEUTRAL>",
    "excited": "<EXCITED>",
}

def add_emotion_prompt(description, enhanced_meta):
    emotion = enhanced_meta.get("emotion", {}).get("emotion_label", "neutral")
    return f"{EMOTION_TOKENS.get(emotion, '')} {description}"

def safe_get_energy(sample):
    meta = sample.get("enhanced_meta") or {}
    style = meta.get("motion_style") or {}
    return style.get("energy_level", 0.5)  # Default to medium energy
"""  # the first system's, word for word


def test_the_first_systems_snippets_run_and_ours_agree(train):
    from torch.utils.data import default_collate

    from motionbook.data import datasets as ours

    theirs = {"torch": torch, "default_collate": default_collate}
    exec(SNIPPETS, theirs)
    data = StickFigureDataset(train, frames=32)
    items = [data[k] for k in range(len(data))]
    a, b = theirs["collate_with_metadata"](items), ours.collate_with_metadata(items)
    for key in ("motion", "actions", "physics", "camera", "embedding", "energy_condition"):
        assert torch.equal(a[key], b[key]), key
    assert a["description"] == b["description"] and a["source"] == b["source"]
    for s in items:
        known = s["enhanced_meta"]
        for name in ("get_sample_weight", "safe_get_energy"):
            assert theirs[name](s) == getattr(ours, name)(s)
        prompt = theirs["add_emotion_prompt"](s["description"], known)
        assert prompt.strip() == ours.add_emotion_prompt(s["description"], known)
        torch.manual_seed(0)
        first = theirs["augment_motion"](s["motion"], known) - s["motion"]
        second = ours.augment_motion(s["motion"], known) - s["motion"]
        assert float(first.std() / second.std()) == pytest.approx(1, abs=0.08)
    assert theirs["EMOTION_TOKENS"].items() <= ours.EMOTION_TOKENS.items()


def test_the_first_systems_metadata_example_trains(tmp_path):
    "Its example of section 5, with our module names."
    from motionbook.schema.metadata import (
        EnhancedSampleMetadata,
        MotionStyleMetadata,
        TemporalMetadata,
    )

    enhanced = EnhancedSampleMetadata(
        motion_style=MotionStyleMetadata(tempo=0.6, energy_level=0.8, smoothness=0.7),
        temporal=TemporalMetadata(
            original_fps=120, original_duration_sec=5.2, original_num_frames=624
        ),
    )
    sample = {
        "description": "A person running quickly",
        "motion": torch.zeros(130, 48),
        "physics": torch.zeros(130, 6),
        "actions": torch.full((130,), 2),
        "camera": torch.zeros(130, 3),
        "source": "amass",
        "meta": {"file": "CMU/01/01_01.npz"},
        "enhanced_meta": enhanced.model_dump(),
    }
    torch.save([sample], tmp_path / "canonical.pt")
    line = ("embed", tmp_path / "canonical.pt", "--out", tmp_path / "t.pt", "--encoder", "hash")
    assert main([*map(str, line), "--cache", str(tmp_path)]) == 0
    batch = collate_with_metadata([StickFigureDataset(tmp_path / "t.pt")[0]])
    assert batch["energy_condition"].tolist() == [pytest.approx(0.8)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    "A sentence-transformers model in a folder: a BERT of a few words."
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    here = tmp_path_factory.mktemp("model")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a person walks jumps < > happy excited neutral".split()
    words += [*"bcdefghijklmnoqrstuvwxyz", *("##" + c for c in "abcdefghijklmnopqrstuvwxyz")]
    (here / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(here / "bert")
    BertTokenizerFast(str(here / "vocab.txt")).save_pretrained(here / "bert")
    bert = models.Transformer(str(here / "bert"), max_seq_length=32)
    made = SentenceTransformer(modules=[bert, models.Pooling(32), models.Normalize()], device="cpu")
    made.save(str(here / "tiny"))
    return here / "tiny", made


def test_a_model_in_a_folder_is_an_encoder(model, converted, tmp_path):
    folder, made = model
    encoder = load_encoder(str(folder))
    assert (encoder.name, encoder.width, encoder.most) == ("tiny", 32, 32)
    assert encoder.sha256 == model_digest(made)
    texts = ["a person walks", "a person jumps a person jumps", "x"]
    assert torch.allclose(encoder.encode(texts), torch.tensor(made.encode(texts)), atol=1e-6)
    out = tmp_path / "t.pt"
    line = ("embed", converted, "--out", out, "--encoder", folder, "--cache", tmp_path, "--json")
    assert main([*map(str, line)]) == 0
    (s, *_) = load_canonical(out)
    want = torch.tensor(made.encode([s["description"]]))[0]
    assert torch.allclose(s["embedding"][:32], want, atol=1e-6)
    assert not s["embedding"][32:].any()
    assert s["meta"]["encoder"]["sha256"] == encoder.sha256


def test_other_numbers_are_another_encoder(model):
    folder, made = model
    before = model_digest(made)
    with torch.no_grad():
        weight = next(made.parameters())
        weight[0, 0] += 1
        assert model_digest(made) != before
        weight[0, 0] -= 1
        made.max_seq_length = 16
        assert model_digest(made) != before
        made.max_seq_length = 32
    assert model_digest(made) == before


def test_what_a_model_does_not_read_is_said(model):
    encoder = load_encoder(str(model[0]))
    texts = ["a person walks", "", "人が 歩く", "a person walks " * 20, "café"]
    assert examine_texts(texts, encoder) == {"empty": 1, "cut": 1, "unread": 1}


def test_a_folder_without_a_model_is_named(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="a model of sentence-transformers"):
        load_encoder(str(tmp_path / "m"))


def test_without_a_network_the_offline_encoder_is_named(converted, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = ("embed", converted, "--out", tmp_path / "t.pt", "--encoder", "nobody/no-such-model")
    assert main([*map(str, line)]) == 2
    said = capsys.readouterr().err
    assert "--encoder minilm" in said and said.count("\n") == 1 and not (tmp_path / "t.pt").exists()


def test_what_cannot_be_embedded_is_refused_at_once(tmp_path):
    "Before libraries of models are loaded: an unknown name, a model that only a network has, a recording."
    (tmp_path / "m.csv").write_text("scorer,n,n\nbodyparts,a,a\ncoords,x,y\n0,1,2\n1,2,3\n")
    lines = {
        "--encoder minilmm": "did you mean minilm?",
        "--encoder nobody/no-such-model": "--encoder minilm",
        "--encoder hash": "expected a canonical file of motionbook, got another kind of file",
    }
    code = (
        "import sys, socket; socket.socket.connect = socket.socket.connect_ex = lambda *_: 1/0\n"
        "from motionbook.cli import main; code = main(sys.argv[1:])\n"
        "sys.exit(9 if 'sentence_transformers' in sys.modules else code)"
    )
    for more, says in lines.items():
        path = "m.csv" if "hash" in more else "canonical.pt"
        if path == "canonical.pt":
            save_canonical(tmp_path / path, [make_sample(Scene((person("walk", seconds=1),)), "x")])
        run = subprocess.run(
            [sys.executable, "-c", code, "embed", path, *more.split()],
            cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"HF_HOME": str(tmp_path)},
        )  # fmt: skip
        assert run.returncode == 2 and says in run.stderr and run.stderr.count("\n") == 1, (
            run.stderr
        )


@pytest.fixture(scope="module")
def minilm():
    "The offline encoder with its published weights."
    try:
        return load_encoder("minilm")
    except ImportError as err:
        pytest.skip(f"no weights of MiniLM: {err}")


def test_minilm_has_the_published_weights_and_knows_meaning(minilm):
    assert sha256(find_minilm() / "model.safetensors") == MINILM_SHA256
    a, b, c = torch.nn.functional.normalize(
        minilm.encode(
            [
                "a person walks slowly",
                "somebody strolls at a leisurely pace",
                "a man does a cartwheel",
            ]
        ),
        dim=-1,
    )
    assert (minilm.width, a.shape) == (384, (384,)) and a @ b > max(a @ c, b @ c) + 0.1


def test_minilms_embeddings_are_filled_with_zeros_and_say_whose_they_are(
    minilm, converted, tmp_path
):
    out = tmp_path / "t.pt"
    line = ("embed", converted / "canonical.pt", "--out", out, "--encoder", "minilm")
    assert main([*map(str, line), "--cache", str(tmp_path / "cache")]) == 0
    samples = load_canonical(out)
    told = minilm.encode([samples[0]["description"]])[0]
    assert samples[0]["embedding"].shape == (1024,) and not samples[0]["embedding"][384:].any()
    assert torch.allclose(samples[0]["embedding"][:384], told, atol=1e-5) and told.any()
    assert all(s["meta"]["encoder"] == minilm.identity() for s in samples)


@pytest.mark.parametrize(
    "text", ["", " \n", "人が歩く", "Человек идёт", "\ud800", "\0", "word " * 200_000, "👋🏽" * 50]
)
def test_any_text_is_embedded(text, converted, tmp_path, capsys):
    s = dict(load_canonical(converted / "canonical.pt")[0], description=text)
    if text != "\ud800":
        torch.save([s], tmp_path / "c.pt")
    from motionbook.data.embed import embed_samples
    from motionbook.data.sample_sets import samples_of
    from motionbook.data.text import hash_encoder

    made, counts = embed_samples(samples_of([s]), hash_encoder(), tmp_path)
    assert made[0]["embedding"].isfinite().all() and made[0]["embedding"].shape == (1024,)
    assert bool(made[0]["embedding"].any()) == bool(text.strip())
    assert counts["empty"] == (not text.strip())
    assert json.dumps(made[0]["meta"])


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_store_that_was_killed_goes_on_to_the_same_bytes(train, tmp_path):
    "Embedding and sharding in one line, killed at any moment, any number of times."
    many = tmp_path / "many.pt"
    assert main(["mix", *[str(train)] * 30, "--out", str(many)]) == 0
    code = (
        "import sys; from motionbook.data.sample_sets import open_samples; "
        "from motionbook.data.store import write_store; from motionbook.data.embed import embed_samples; "
        "from motionbook.data.text import hash_encoder; print('go', flush=True); "
        "made, _ = embed_samples(open_samples(sys.argv[1]), hash_encoder(), sys.argv[3]); "
        "write_store(sys.argv[2], made, rows=1000); print('done', flush=True)"
    )
    began = time.monotonic()
    p = start_copy(code, many, tmp_path / "whole", tmp_path / "c0")
    assert finish(p).endswith("done\n") and p.returncode == 0
    took = time.monotonic() - began
    whole = contents(tmp_path / "whole")
    assert len(whole) > 5
    pick, killed = random.Random(3), 0
    for _ in range(int(os.environ.get("MOTIONBOOK_KILLS", "3"))):
        p = start_copy(code, many, tmp_path / "out", tmp_path / "c1")
        p.stdout.readline()
        time.sleep(pick.uniform(0, took))
        killed += p.poll() is None
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / f".shard-00000.{p.pid}-0123456789ab.tmp").write_bytes(b"half")
    p = start_copy(code, many, tmp_path / "out", tmp_path / "c1")
    assert finish(p).endswith("done\n") and p.returncode == 0
    assert contents(tmp_path / "out") == whole
    assert killed


def test_workers_share_a_store(train, tmp_path):
    "Items that worker processes read, forked or started anew, are those of the file."
    from torch.utils.data import DataLoader

    assert main(["mix", str(train), "--out", str(tmp_path / "store")]) == 0
    want = [s["motion"] for s in load_canonical(train)]
    data = StickFigureDataset(tmp_path / "store", frames=20, crop="first")
    for how in ("fork", "spawn") if os.name != "nt" else ("spawn",):
        loader = DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context=how)
        found = torch.cat([b["motion"] for b in loader])
        assert torch.equal(found, torch.stack([x[:20] for x in want]))


def test_training_reads_a_store(train, tmp_path):
    "The engine of `training` takes the dataset and its batches."
    from motionbook.training.feed import Feed

    data = StickFigureDataset(train, frames=20)
    feed = Feed(data, 2, collate=collate_with_metadata)
    batches = [b for parts in feed.steps(0) for b, _ in parts]
    assert sum(len(b["motion"]) for b in batches) == len(data)
    again = [b for parts in feed.steps(0) for b, _ in parts]
    assert all(torch.equal(a["motion"], b["motion"]) for a, b in zip(batches, again))


def test_two_encoders_cannot_be_mixed(train, converted, model, tmp_path, capsys):
    other = tmp_path / "other.pt"
    line = ("embed", converted, "--out", other, "--encoder", model[0], "--cache", tmp_path)
    assert main([*map(str, line)]) == 0
    capsys.readouterr()
    assert main(["mix", str(train), str(other), "--out", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert "expected embeddings of one encoder" in said and said.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_truncated_shard_is_one_line(train, tmp_path, capsys):
    assert main(["mix", str(train), "--out", str(tmp_path / "store")]) == 0
    shard = tmp_path / "store" / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    capsys.readouterr()
    assert main(["mix", str(tmp_path / "store"), "--out", str(tmp_path / "x.pt")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("motionbook mix: shard-00000.safetensors: expected a shard of")
    assert said.count("\n") == 1
