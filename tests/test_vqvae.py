"Motion as codes: the first system's example, real robots, several processes, exact resume, hostile files."

import runpy
import textwrap

import numpy as np
import pytest
import torch
from copies import finish, start_copy

from motionbook.core.files import BadFile
from motionbook.models.vqvae.angle_body import robot_to_read
from motionbook.models.vqvae.codebook import Codebook
from motionbook.models.vqvae.coding import decode_clip, encode_clip, read_codes, write_codes
from motionbook.models.vqvae.convolutions import VQVAEConfig
from motionbook.models.vqvae.grids import Form, make_quantiser
from motionbook.models.vqvae.judge import judge_library, scheme_config
from motionbook.models.vqvae.motions import library_split, load_library, motion_family
from motionbook.models.vqvae.network import MotionVQVAE, decode, encode
from motionbook.models.vqvae.recipe import (
    VQVAETraining,
    build_network,
    load_vqvae,
    train_on_library,
)


def trajectory(path, joints=23, seconds=12, fps=50, flags=True):
    "A file as the first system reads it: time, root, quaternion wxyz, joints, transition flag."
    t = np.arange(seconds * fps) / fps
    half = 0.2 * np.sin(t / 3)
    waves = [0.2 * np.sin(2 * t + (0.3 + 0.02 * t) * k) + 0.02 * t for k in range(joints)]
    flag = (t % 3 > 2.8) * 1.0 if flags else 0 * t
    root = [0.3 * t, 0 * t, 0.75 + 0.01 * np.sin(4 * t), np.cos(half), 0 * t, 0 * t, np.sin(half)]
    np.save(path, np.stack([t, *root, *waves, flag], 1))
    return path


EXAMPLE = """
from motionbook.models.vqvae.agent import MVQVAEAgent
from motionbook.core.config import ConfigLoader

# Load configuration from YAML
config_loader = ConfigLoader('configs/agent.yaml')
config = config_loader.to_dict()
config["agent"]["config"].update(SMALLER)

# Create agent
agent = MVQVAEAgent(config=config)

# Setup with motion file
agent.setup_from_file(MOTION)

# Start training
agent.fit()
"""


def test_the_first_systems_example_runs(tmp_path, monkeypatch):
    "Only the sizes are changed, so that it takes seconds; num_joints 24 counts the root of a G1."
    monkeypatch.chdir(tmp_path)
    motion = trajectory(tmp_path / "motion.npy")
    small = dict(batch_size=4, total_iter=3, width=16, code_dim=8, warm_up_iter=1)
    script = tmp_path / "example.py"
    script.write_text(EXAMPLE.replace("SMALLER", repr(small)).replace("MOTION", repr(str(motion))))
    done = runpy.run_path(str(script))
    assert done["agent"].model is not None
    assert (tmp_path / "output" / "vqvae" / "last" / "checkpoint.json").is_file()
    assert done["config"]["agent"]["config"]["nb_code"] == 512


@pytest.mark.parametrize("flag", ("--motion_file", "--motion-file", None))
def test_train_from_a_motion_file(tmp_path, flag):
    from motionbook.cli import main

    motion = trajectory(tmp_path / "motion.npy")
    words = [motion] if flag is None else [flag, motion]
    small = "--preset tiny --steps 2 --batch-size 4 --draws 8 --window 32".split()
    words = ["train", "vqvae", *words, "-o", tmp_path / "run", *small]
    assert main([str(w) for w in words]) == 0
    model = load_vqvae(tmp_path / "run")
    assert model.about["held_out"] and not set(model.about["held_out"]) & set(
        model.about["trained_on"]
    )


def crane(path):
    "A robot that nobody knows by name: six joints, one after another."
    limit = '<limit lower="-2" upper="2" velocity="20"/>'
    links = [f'<link name="part{k}"/>' for k in range(7)]
    joints = [
        f'<joint name="turn{k}" type="revolute"><parent link="part{k}"/><child link="part{k + 1}"/>'
        f'<origin xyz="0 0 0.2"/><axis xyz="{int(k % 2 == 0)} {k % 2} 0"/>{limit}</joint>'
        for k in range(6)
    ]
    path.write_text(f'<robot name="crane">{"".join(links + joints)}</robot>')
    return path


def test_a_robot_from_its_own_file(tmp_path, capsys):
    from motionbook.cli import main

    robot, data = crane(tmp_path / "crane.urdf"), tmp_path / "takes"
    data.mkdir()
    motion = trajectory(data / "motion.npy", joints=6)
    (data / "notes.csv").write_text("frame,nose_x,nose_y\n0,1,2\n")
    words = lambda *w: [str(x) for x in w]
    small = "--preset tiny --steps 2 --batch-size 4 --draws 8 --window 32".split()
    run = tmp_path / "run"
    assert main(words("train", "vqvae", data, "-o", run, "--robot", robot, *small)) == 0
    model = load_vqvae(run)
    assert model.about["joints"] == [f"turn{k}" for k in range(6)]
    robot.unlink()  # the checkpoint knows the robot
    assert main(words("evaluate", "vqvae", run, motion)) == 0
    assert "mm" in capsys.readouterr().out
    again = load_library([motion], robot=robot_to_read(model.about))
    assert again.joints == ("turn0", "turn1", "turn2", "turn3", "turn4", "turn5")
    assert main(words("train", "vqvae", data, "-o", tmp_path / "no", "--robot", "g1_24")) == 2
    assert "did you mean" in capsys.readouterr().err


def test_statistics_are_those_of_the_training_clips(tmp_path):
    lib = load_library([trajectory(tmp_path / "motion.npy")])
    c = VQVAETraining(preset="tiny", steps=2, batch_size=4, draws=8, window=32, valid_share=0.3)
    done = train_on_library(lib, tmp_path / "run", c)
    frames = torch.cat([lib.clips[i].frames for i in done.split.train])
    assert torch.equal(load_vqvae(tmp_path / "run").mean, frames.mean(0))


def test_a_run_that_was_cut_goes_on_to_the_bit(tmp_path):
    lib = load_library([trajectory(tmp_path / "motion.npy")])
    small = dict(preset="tiny", batch_size=4, draws=16, window=32, warmup_steps=2)
    whole = train_on_library(lib, tmp_path / "a", VQVAETraining(steps=7, **small)).model
    train_on_library(lib, tmp_path / "b", VQVAETraining(steps=3, **small))
    cut = train_on_library(lib, tmp_path / "b", VQVAETraining(steps=7, **small)).model
    same = [
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), cut.state_dict().values())
    ]
    assert all(same)


@pytest.mark.parametrize("form", Form.__args__)
def test_everything_is_in_the_state(form):
    torch.manual_seed(0)
    q = make_quantiser(form, 24, nb_code=32).train()
    for _ in range(3):
        q(torch.randn(50, 24))
    again = make_quantiser(form, 24, nb_code=32).train()
    again.load_state_dict(q.state_dict())
    x = torch.randn(50, 24)
    for b in (q, again):
        torch.manual_seed(1)
        b(x)
    assert all(
        torch.equal(a, b) for a, b in zip(q.state_dict().values(), again.state_dict().values())
    )


def test_restarts_are_random_and_last():
    "An entry that starts anew stays where it was put, and is not always the batch's first vector."
    torch.manual_seed(0)
    book = Codebook(4, 2).train()
    book(torch.zeros(64, 2))
    batch = torch.randn(500, 2) + 5
    book(batch)
    firsts = (book.entries[:, None] == batch[None, :4]).all(-1).any()
    assert not firsts
    before = book.entries.clone()
    book(batch)
    assert (book.entries - before).norm(dim=-1).max() < 2


PROCESS = textwrap.dedent("""
    import sys, torch, torch.distributed as dist
    from motionbook.models.vqvae.codebook import Codebook
    from motionbook.models.vqvae.grids import Grid, Narrow
    rank, place = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    torch.manual_seed(5)
    book, grid, narrow = Codebook(16, 3).train(), Grid((4, 3), 3).train(), Narrow(16, 3, 2).train()
    for step in range(6):
        torch.manual_seed(100 * step + rank)
        x = torch.randn(40, 3) + 3 * rank
        book(x); grid(x); narrow(x)
    torch.save([book.state_dict(), grid.tally, narrow.state_dict()], f"{place}/{rank}.pt")
    dist.destroy_process_group()
""")


def test_two_processes_have_one_codebook(tmp_path):
    both = [start_copy(PROCESS, r, tmp_path) for r in (0, 1)]
    for p in both:
        said = finish(p)
        assert p.returncode == 0, said[-2000:]
    (a, tally_a, c), (b, tally_b, d) = (torch.load(tmp_path / f"{r}.pt") for r in (0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a) and torch.equal(tally_a, tally_b)
    assert all(torch.equal(c[k], d[k]) for k in c)
    assert int(a["tally"].sum()) == 2 * 6 * 40
    assert a["entries"][:, 0].min() < 1 and a["entries"][:, 0].max() > 2  # from both batches


def test_codes_agree_with_the_oracle():
    vq = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    theirs = vq.VectorQuantize(dim=64, codebook_size=128, decay=0.99, threshold_ema_dead_code=0)
    ours = Codebook(128, 64, "ema").train()
    x = torch.randn(1000, 64)
    ours(x)
    theirs._codebook.embed.data.copy_(ours.entries[None])
    theirs._codebook.initted.fill_(True)
    assert torch.equal(theirs.eval()(x[None])[1][0], ours.eval()(x).codes[:, 0])


def test_seams():
    "In whole or in pieces, and 88 frames from a seam, codes are the same with the published sizes."
    torch.manual_seed(0)
    parts = dict(step=3, turn=1, dof=5, dof_velocity=5)
    model = MotionVQVAE(parts, VQVAEConfig(width=32, code_dim=16))
    a, b = torch.randn(500, 14).cumsum(0), torch.randn(600, 14).cumsum(0)
    model.train()(a[None])
    both = encode(model, torch.cat([a, b]))
    assert torch.equal(encode(model, torch.cat([a, b]), 128), both)
    far = 88 // 4
    assert torch.equal(both[: 125 - far], encode(model, a)[: 125 - far])
    assert torch.equal(both[125 + far :], encode(model, b)[far:])


@pytest.fixture(scope="module")
def g1(request):
    real = request.getfixturevalue("real_data")
    return load_library([real / "motionlib" / "asap_g1_pkl"])


def test_real_robots_stay_in_one_family(g1):
    split = library_split(g1, 0.2)
    family = lambda side: {motion_family(g1.clips[i].name) for i in side.tolist()}
    assert len(g1) == 42 and not family(split.train) & family(split.valid)
    assert len({motion_family(c.name) for c in g1.clips}) < 22


def test_real_robots_there_and_back(g1, tmp_path):
    "Bits by need beat the published scheme before any training, and nothing leaves the joints' limits."
    split = library_split(g1, 0.2)
    frames = [g1.clips[i].frames for i in split.train]
    held = g1.take(split.valid.tolist()[:3])
    from motionbook.models.vqvae.recipe import describe_library

    about = describe_library(g1, split, VQVAETraining())
    model = build_network(frames, g1.parts, scheme_config("blocks", bits=62)).eval()
    model.about = about
    found = judge_library(model, held)
    still = torch.cat(frames).mean(0)[4:27]
    pose = torch.cat([c.frames[:, 4:27] - still for c in held.clips]).abs().mean().rad2deg()
    assert found["degrees"] < 0.5 * pose and found["mm_root"] < 80
    limits = held.clips[0].like.meta["robot"].limits
    for c in held.clips:
        dof = decode_clip(model, encode_clip(model, c.clip)).clip.dof
        assert (dof >= limits[:, 0] - 1e-6).all() and (dof <= limits[:, 1] + 1e-6).all()
    coded = encode_clip(model, held.clips[0].clip)
    back = read_codes(write_codes(tmp_path / "x.npz", model, coded), model)
    assert torch.equal(decode_clip(model, back).clip.dof, decode_clip(model, coded).clip.dof)


def test_export_a_robots_file(g1, real_data, tmp_path):
    "A robot's pickle to codes and to a file for the robot; the source stays as it was."
    from motionbook.cli import main

    folder = real_data / "motionlib" / "asap_g1_pkl"
    source = folder / "walk_level2_filter_amass.pkl"
    before = source.read_bytes()
    small = VQVAETraining(network=dict(preset="blocks", width=16), steps=2, batch_size=4, draws=8)
    train_on_library(g1, tmp_path / "run", small)
    words = ["export", source, "-o", tmp_path / "codes.npz", "--checkpoint", tmp_path / "run"]
    assert main([str(w) for w in words]) == 0
    for out in ("walk.csv", "walk.npz", "walk.npy"):
        words = ["export", tmp_path / "codes.npz", "-o", tmp_path / ("back_" + out)]
        assert main([str(w) for w in [*words, "--checkpoint", tmp_path / "run"]]) == 0
        again = load_library([tmp_path / ("back_" + out)])
        assert len(again.clips[0].frames) == len(load_library([source]).clips[0].frames)
    assert source.read_bytes() == before


def test_bodies_that_differ_in_end_sites_are_one_library(real_data, tmp_path):
    "Bandai-Namco gives some clips tips of hands and feet; a network reads files of both kinds."
    from motionbook.cli import main

    names = ("dataset-1_walk_normal_002.bvh", "dataset-1_kick_normal_001.bvh")
    files = [real_data / "bvh" / "samples" / n for n in names]
    alone = [load_library([f]) for f in files]
    assert len(alone[0].joints) == 63 and len(alone[1].joints) == 48
    lib = load_library(files)
    assert lib.joints == alone[0].joints and load_library(files[::-1]).joints == lib.joints
    truth = load_library(files[1:], joints=lib.joints).clips[0].clip
    assert truth.dof[:, [n not in alone[1].joints for n in lib.joints]].abs().max() > 0.01
    small = VQVAETraining(network=dict(preset="tiny"), steps=1, batch_size=2, draws=4, window=32)
    train_on_library(lib, tmp_path / "run", small)
    words = lambda *w: [str(x) for x in w]
    assert main(words("evaluate", "vqvae", tmp_path / "run", *files)) == 0
    for k, f in enumerate(files):
        out = tmp_path / f"back{k}.bvh"
        assert main(words("export", f, "-o", out, "--checkpoint", tmp_path / "run")) == 0
        assert len(load_library([out]).clips[0].frames) == len(alone[k].clips[0].frames)


def wrong_file(what, folder):
    "A file of robot motion with one thing wrong."
    rows = np.load(trajectory(folder / "motion.npy"))
    if what == "not unit":
        rows[:, 4:8] *= 1.2
    if what == "time stands":
        rows[50, 0] = rows[49, 0]
    if what == "flags never fall":
        rows[:, -1] = 1
    if what == "too short":
        rows = rows[:20]
    np.save(folder / "motion.npy", rows)
    return folder / "motion.npy"


WRONG = {
    "not unit": "expected unit quaternions",
    "time stands": "a time that increases",
    "flags never fall": "a transition flag that falls",
    "too short": "make the window shorter",
}


@pytest.mark.parametrize("what", WRONG)
def test_one_wrong_thing_is_one_line(tmp_path, capsys, what):
    "Nothing is written; what cleaning can work with, it takes."
    from motionbook.cli import main

    path = wrong_file(what, tmp_path)
    words = ["train", "vqvae", path, "-o", tmp_path / "run", "--preset", "tiny", "--steps", "2"]
    assert main([str(w) for w in words]) == 2
    said = capsys.readouterr().err.strip()
    assert WRONG[what] in said and "\n" not in said and not (tmp_path / "run").exists()
    if what != "too short":
        assert main(["clean", str(path), "-o", str(tmp_path / "out.pkl")]) == 2
        assert WRONG[what] in capsys.readouterr().err and not (tmp_path / "out.pkl").exists()


def test_bad_input(tmp_path):
    lib = load_library([trajectory(tmp_path / "motion.npy")])
    with pytest.raises(ValueError, match="window"):
        train_on_library(lib, tmp_path / "none", VQVAETraining(window=5000))
    assert not (tmp_path / "none").exists()
    trajectory(tmp_path / "two" / "a.npy") if (tmp_path / "two").mkdir() is None else None
    trajectory(tmp_path / "two" / "b.npy", joints=29)
    with pytest.raises(BadFile, match="joint angles as in"):
        load_library([tmp_path / "two"])
    with pytest.raises(BadFile, match="a network between motion and codes|checkpoint"):
        load_vqvae(tmp_path)
    model = build_network([c.frames for c in lib.clips], lib.parts, VQVAEConfig(preset="tiny"))
    with pytest.raises(ValueError, match="whole numbers"):
        decode(model, torch.full((4, 1), 512))
