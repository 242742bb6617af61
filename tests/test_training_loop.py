"The training loop: killed and resumed = unbroken, and every promise beside it."

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from copies import finish, start_copy
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from motionbook.core.files import BadFile
from motionbook.data.splits import leaks, linked, split_by
from motionbook.training.checkpoints import (
    load_weights,
    model_weights,
    read_checkpoint,
    replace_folder,
    write_checkpoint,
)
from motionbook.training.config import TrainConfig
from motionbook.training.feed import Feed
from motionbook.training.history import read_history
from motionbook.training.loop import fit

ROOT = Path(__file__).resolve().parents[1]
STEPS = 24

# What the runs below share; the subprocess tests import it from here.


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.GELU(), nn.Linear(16, 6)
        )

    def forward(self, x):
        return self.net(x)


class Noisy:
    "Samples drawn anew each time they are asked for, with all three kinds of random numbers."

    def __init__(self, n=38):
        self.n, self.epoch = n, -1

    def __len__(self):
        return self.n

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __getitem__(self, i):
        draws = torch.randn(6) + float(np.random.rand()) + random.random()
        return {"x": draws * 0.1 + i / self.n + 0.01 * self.epoch}


def loss(model, batch):
    x = batch["x"]
    off = model(x + 0.1 * torch.randn_like(x)) - x
    return {"square": off.square().mean(), "abs": off.abs().mean()}


def plain(model, batch):
    return {"square": (model(batch) - batch).square().mean()}


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 6))


def config(**fields):
    base = dict(
        steps=STEPS, batch_size=4, accum_steps=2, lr=1e-2, warmup_steps=3, ema=0.9,
        save_steps=5, validate_steps=4, cpu=True, weights={"abs": 0.1}, log_steps=3,
    )  # fmt: skip
    return TrainConfig(**(base | fields))


def same(a, b):
    "The same names and the same bits."
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def contents(folder):
    "All that a checkpoint says, without the clock."
    parts, state = read_checkpoint(folder)
    return parts, {k: v for k, v in state.items() if k not in ("seconds", "config")}


def rows(folder):
    return [
        {k: v for k, v in r.items() if k != "seconds"}
        for r in read_history(folder / "history.jsonl")
    ]


X = torch.linspace(-1, 1, 6 * 37).reshape(37, 6).sin()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    fit(net(), Noisy(), loss, config(), Noisy(9), folder)
    return folder


def assert_same_run(a, b):
    for name in ("last", "best"):
        (pa, sa), (pb, sb) = contents(a / name), contents(b / name)
        assert pa.keys() == pb.keys() and all(same(pa[k], pb[k]) for k in pa), name
        assert sa == sb, name
    assert rows(a) == rows(b)


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_training_loop import *
def kill(event, run):
    if event == "step" and run.step == 13:
        os.kill(os.getpid(), signal.{signal})
fit(net(), Noisy(), loss, config(), Noisy(9), {folder!r}, hooks=[kill])
print("came through")
"""


def script(tmp_path, text, **values):
    "A script beside the run's folder, and the environment to run it in."
    path = tmp_path / "script.py"
    path.write_text(text.format(tests=str(ROOT / "tests"), **values))
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return path, env


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("how, code, left", [("SIGKILL", -9, 10), ("SIGTERM", 143, 13)])
def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path, unbroken, how, code, left):
    run = tmp_path / "run"
    died = start_copy(SCRIPT.format(tests=str(ROOT / "tests"), signal=how, folder=str(run)))
    said = finish(died)
    assert died.returncode == code and "came through" not in said, said
    assert read_checkpoint(run / "last").state["step"] == left
    torch.manual_seed(99)  # another time, another place
    fit(net(seed=5), Noisy(), loss, config(), Noisy(9), run)
    assert_same_run(run, unbroken)


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 5, 12, 23])
def test_resume_from_any_step(tmp_path, unbroken, at):
    def kill(event, run):
        if event == "step" and run.step == at:
            raise Stop

    with pytest.raises(Stop):
        fit(net(), Noisy(), loss, config(), Noisy(9), tmp_path, hooks=[kill])
    fit(net(), Noisy(), loss, config(), Noisy(9), tmp_path)
    assert_same_run(tmp_path, unbroken)


def test_the_comparison_can_fail(tmp_path, unbroken):
    fit(net(), Noisy(), loss, config(seed=1), Noisy(9), tmp_path)
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path, unbroken)


def test_workers_and_validation_change_no_weight(tmp_path, unbroken):
    made = fit(net(), Noisy(), loss, config(workers=2, validate_steps=None), Noisy(5), tmp_path)
    assert same(model_weights(made.model), read_checkpoint(unbroken / "last").parts["model"])


def test_a_finished_run_is_not_run_again(tmp_path, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    before = rows(tmp_path / "run")
    steps = []
    made = fit(
        net(3),
        Noisy(),
        loss,
        config(),
        Noisy(9),
        tmp_path / "run",
        hooks=[lambda *e: steps.append(e)],
    )
    assert (made.step, made.reason, steps) == (STEPS, "steps", [])
    assert rows(tmp_path / "run") == before
    assert same(model_weights(made.model), read_checkpoint(unbroken / "last").parts["model"])


def test_a_longer_run_continues_a_shorter_one(tmp_path):
    kw = dict(schedule="constant", validate_steps=None, log_steps=4)
    fit(net(), Noisy(), loss, config(steps=8, **kw), folder=tmp_path / "a")
    a = fit(net(1), Noisy(), loss, config(steps=20, **kw), folder=tmp_path / "a")
    b = fit(net(), Noisy(), loss, config(steps=20, **kw), folder=tmp_path / "b")
    assert same(model_weights(a.model), model_weights(b.model))


def test_another_run_in_the_same_folder_is_refused(tmp_path, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    for change, data, word in (
        (dict(lr=0.5), Noisy(), "a run with lr 0.5, got 0.01"),
        (dict(batch_size=3), Noisy(), "batch_size"),
        (dict(seed=3), Noisy(), "seed"),
        ({}, Noisy(12), "samples 12, got 38"),
    ):
        with pytest.raises(BadFile, match=word):
            fit(net(), data, loss, config(**change), Noisy(9), tmp_path / "run")
    with pytest.raises(BadFile, match="a folder without a run"):
        fit(net(), Noisy(), loss, config(), folder=tmp_path / "run", resume=False)
    with pytest.raises(ValueError, match="expected the weights of Sequential"):
        fit(linear(), Noisy(), loss, config(), folder=tmp_path / "run")
    with pytest.raises(BadFile, match="weights alone"):
        fit(net(), Noisy(), loss, config(), resume=tmp_path / "run" / "best")
    assert before == {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}


def test_training_leaves_the_callers_random_numbers_and_model(tmp_path):
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    model = linear()
    torch.manual_seed(3)
    made = fit(model, X, plain, config(weights={}, mixed_precision="bf16", ema=0.0))
    assert (torch.rand(1), random.random(), np.random.rand()) == expected
    assert made.model is model and "forward" not in vars(model) and not model.training
    assert model(X).dtype == torch.float32


# What a step does


def sgd(**fields):
    return TrainConfig(
        **(
            dict(
                optimizer="sgd",
                lr=0.1,
                schedule="constant",
                weight_decay=0,
                cpu=True,
                steps=1,
                clip=None,
            )
            | fields
        )
    )


@pytest.mark.parametrize("n", [37, 32, 5])
@pytest.mark.parametrize("batch, accum", [(4, 4), (2, 8), (3, 7), (1, 16)])
def test_accumulation_equals_the_big_batch(n, batch, accum):
    steps = dict(epochs=3, steps=None)
    small = fit(linear(), X[:n], plain, sgd(batch_size=batch, accum_steps=accum, **steps))
    big = fit(linear(), X[:n], plain, sgd(batch_size=batch * accum, **steps))
    assert small.step == big.step
    for k, v in model_weights(big.model).items():
        torch.testing.assert_close(model_weights(small.model)[k], v, atol=1e-6, rtol=1e-5)


def test_a_step_is_the_textbooks(tmp_path):
    clip = 0.05
    model, mine = linear(), linear()
    order = Feed(X, 8).order(0)
    made = fit(model, X, plain, sgd(batch_size=8, clip=clip, ema=0.7, steps=2), folder=tmp_path)
    average, momentum = [p.detach().clone() for p in mine.parameters()], None
    for step in range(2):
        grads = torch.autograd.grad(
            plain(mine, X[order[8 * step : 8 * step + 8]])["square"], list(mine.parameters())
        )
        norm = sum(g.square().sum() for g in grads).sqrt()
        assert norm > clip
        grads = [g * clip / norm for g in grads]
        momentum = grads if momentum is None else [0.9 * m + g for m, g in zip(momentum, grads)]
        d = min(0.7, (1 + step) / (10 + step))
        with torch.no_grad():
            for p, m, a in zip(mine.parameters(), momentum, average):
                p -= 0.1 * m
                a.mul_(d).add_(p, alpha=1 - d)
    for p, q in zip(model.parameters(), mine.parameters()):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-4)
    for p, a in zip(made.model.parameters(), average):
        torch.testing.assert_close(p, a, atol=1e-6, rtol=1e-4)
    row = made.history.rows[-1]
    assert row["grad_norm"] == pytest.approx(float(norm), rel=1e-3)
    loaded = load_weights(linear(4), tmp_path)  # the average
    assert loaded["step"] == 2 and same(
        model_weights(made.model), read_checkpoint(tmp_path).parts["model"]
    )


def test_learning_rate_and_history(tmp_path):
    c = sgd(steps=20, warmup_steps=4, schedule="cosine", final_lr=0.1, log_steps=1, batch_size=8)
    made = fit(linear(), X, plain, c, X[:7], tmp_path)
    lr = made.history.series("lr")[1]
    assert lr[0] == pytest.approx(0.025) and max(lr) < 0.1 and lr[-1] < 0.012
    assert lr[4:] == sorted(lr[4:], reverse=True)
    assert made.history.series("loss")[0] == list(range(1, 21))
    assert made.history.series("loss", "valid")[0] == [5, 10, 15, 20]
    table = (tmp_path / "history.csv").read_text().splitlines()
    assert table[0].startswith("step,epoch,split,loss,square,lr") and len(table) == 25
    start = plain(linear(), X[Feed(X, 8).order(0)[:8]])["square"].item()
    assert made.history.rows[0]["loss"] == pytest.approx(start, rel=1e-5)
    end = plain(made.model, X[:7])["square"].item()
    assert made.history.series("square", "valid")[1][-1] == pytest.approx(end, rel=1e-5)


def test_early_stopping_keeps_the_best(tmp_path):
    "The validated loss falls, then rises: training pulls past the place where validation is best."
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)

    def pull(model, batch):
        return {"off": (model.weight - batch.mean()).square().mean()}

    c = TrainConfig(
        epochs=200,
        optimizer="sgd",
        lr=0.005,
        schedule="constant",
        weight_decay=0,
        patience=3,
        cpu=True,
        clip=None,
    )
    made = fit(model, torch.full((8, 1), 2.0), pull, c, torch.full((8, 1), 1.0), tmp_path)
    series = made.history.series("loss", "valid")
    best = min(range(len(series[1])), key=series[1].__getitem__)
    assert made.reason == "patience" and made.step == series[0][best] + 3 == made.best_step + 3
    load_weights(model, tmp_path)
    assert (
        abs(model.weight.item() - 1)
        < 0.1
        < abs(made.history.series("loss", "valid")[1][-1]) ** 0.5 * 10
    )
    assert (
        fit(model, torch.full((8, 1), 2.0), pull, c, torch.full((8, 1), 1.0), tmp_path).reason
        == "patience"
    )


def test_minutes_limit_counts_all_parts_of_a_run(tmp_path):
    slow = [lambda event, run: event == "step" and time.sleep(0.02)]
    t = time.monotonic()
    made = fit(
        linear(), X, plain, TrainConfig(minutes=0.6 / 60, cpu=True), folder=tmp_path, hooks=slow
    )
    assert made.reason == "minutes" and 0.55 < time.monotonic() - t < 3 and 3 < made.step <= 31
    assert made.history.rows[-1]["lr"] < 2e-4  # the cosine followed the clock
    again = fit(
        linear(), X, plain, TrainConfig(minutes=0.6 / 60, cpu=True), folder=tmp_path, hooks=slow
    )
    assert again.step == made.step
    more = fit(
        linear(), X, plain, TrainConfig(minutes=0.8 / 60, cpu=True), folder=tmp_path, hooks=slow
    )
    assert made.step < more.step <= made.step + 11


def test_checkpoints_kept(tmp_path):
    fit(
        linear(),
        X,
        plain,
        sgd(steps=20, batch_size=8, keep_epochs=2, keep_steps=7),
        folder=tmp_path,
    )
    kept = {
        "epoch-00002": 10,
        "epoch-00004": 20,
        "step-00000007": 7,
        "step-00000014": 14,
        "last": 20,
    }
    found = {p.name: read_checkpoint(p).state["step"] for p in tmp_path.iterdir() if p.is_dir()}
    assert found == kept
    a = fit(linear(2), X, plain, sgd(steps=20, batch_size=8), resume=tmp_path / "step-00000007")
    assert same(model_weights(a.model), read_checkpoint(tmp_path / "last").parts["model"])


def test_bad_losses_are_named(tmp_path):
    bad = X.clone()
    bad[20, 3] = torch.nan
    c = sgd(steps=20, batch_size=8, save_steps=1)
    with pytest.raises(ValueError, match="expected finite losses, got loss nan, square nan"):
        fit(linear(), bad, plain, c, folder=tmp_path)
    weights = read_checkpoint(tmp_path / "last").parts["model"]
    assert all(v.isfinite().all() for v in weights.values())
    with pytest.raises(ValueError, match="weights: expected among square, got sqare"):
        fit(linear(), X, plain, sgd(weights={"sqare": 1.0}))
    with pytest.raises(ValueError, match="monitor: expected one of loss, square"):
        fit(linear(), X, plain, sgd(monitor="x"), X)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_trackers_that_are_not_installed(monkeypatch, name, tmp_path):
    monkeypatch.setattr("motionbook.training.loop.find_spec", lambda n: None)
    with pytest.raises(ValueError, match=f"expected the package '{name}'.*motionbook\\[track\\]"):
        fit(linear(), X, plain, sgd(trackers=(name,)), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard_is_written(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra `track` is not installed")
    fit(linear(), X, plain, sgd(trackers=("tensorboard",), steps=12), folder=tmp_path)
    assert list(tmp_path.rglob("*tfevents*"))


def test_hub_models_open_with_from_pretrained(tmp_path):
    from huggingface_hub import PyTorchModelHubMixin

    class Hub(nn.Module, PyTorchModelHubMixin):
        def __init__(self, d: int = 6):
            super().__init__()
            self.net = nn.Linear(d, d)

        def forward(self, x):
            return self.net(x)

    made = fit(Hub(d=6), X, plain, sgd(ema=0.5, steps=9), X[:5], tmp_path, meta={"fps": 30})
    again = Hub.from_pretrained(tmp_path / "last")
    assert same(model_weights(again), model_weights(made.model))
    assert read_checkpoint(tmp_path / "last").state["meta"] == {"fps": 30}


# Folders that are damaged, and writes that are killed


def damage(kind, path):
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "altered"])
@pytest.mark.parametrize(
    "name", ["model.safetensors", "live.safetensors", "training.safetensors", "checkpoint.json"]
)
def test_a_damaged_checkpoint_names_the_file(tmp_path, unbroken, kind, name):
    shutil.copytree(unbroken, tmp_path / "run")
    damage(kind, tmp_path / "run" / "last" / name)
    with pytest.raises(BadFile, match=name) as err:
        fit(net(), Noisy(), loss, config(), Noisy(9), tmp_path / "run")
    assert "\n" not in str(err.value) and "last" in str(err.value)


@given(
    st.dictionaries(
        st.sampled_from(["seal", "files", "state", "version", "x"]), st.none() | st.integers()
    )
)
@settings(max_examples=40, deadline=None)
def test_hostile_cards(tmp_path_factory, change):
    folder = tmp_path_factory.mktemp("hostile")
    write_checkpoint(folder / "last", {"model": {"a": torch.ones(2)}}, {"step": 1})
    card = folder / "last" / "checkpoint.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    if change:
        with pytest.raises(BadFile, match="checkpoint.json"):
            read_checkpoint(folder)
    else:
        read_checkpoint(folder)


KILLER = """
import os, sys
sys.path.insert(0, {tests!r})
import torch
from motionbook.training import checkpoints as c
calls, real = [0], {{k: getattr(os, k) for k in ("rename", "fsync")}}
def counted(name):
    def call(*args):
        calls[0] += 1
        if calls[0] == {at}:
            os._exit(7)
        return real[name](*args)
    return call
for name in real:
    setattr(os, name, counted(name))
c.write_checkpoint({folder!r}, {{"model": {{"a": torch.ones(3)}}}}, {{"step": 2}})
"""


@pytest.mark.parametrize("at", [1, 2, 3, 4])  # two files forced out, two renames
def test_a_killed_write_leaves_the_old_checkpoint(tmp_path, at):
    last = tmp_path / "last"
    write_checkpoint(last, {"model": {"a": torch.zeros(3)}}, {"step": 1})
    died = start_copy(KILLER.format(tests=str(ROOT / "tests"), at=at, folder=str(last)))
    said = finish(died)
    assert died.returncode == 7, said
    assert read_checkpoint(last).state["step"] == 1
    write_checkpoint(last, {"model": {"a": torch.ones(3)}}, {"step": 3})
    assert read_checkpoint(last).state["step"] == 3
    assert {p.name for p in tmp_path.iterdir()} == {"last"}


def test_a_full_disk_leaves_the_old_folder(tmp_path):
    def full(new):
        (new / "a").write_text("x")
        raise OSError(28, "No space left on device")

    replace_folder(tmp_path / "a", lambda p: (p / "a").write_text("old"))
    with pytest.raises(BadFile, match="No space left"):
        replace_folder(tmp_path / "a", full)
    assert (tmp_path / "a" / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


# Splits

KEYS = st.lists(
    st.tuples(st.integers(0, 12) | st.none(), st.integers(0, 30)), min_size=1, max_size=60
)


@given(
    KEYS, st.floats(0.05, 0.4), st.sampled_from([0.0, 0.1, 0.3]), st.integers(0, 5), st.randoms()
)
@settings(max_examples=150, deadline=None)
def test_no_split_leaks(pairs, valid, test, seed, rng):
    subjects, clips = map(list, zip(*pairs))
    needed = 2 + (test > 0)
    if len(linked(subjects, clips).unique()) < needed:
        with pytest.raises(ValueError, match=f"at least {needed} groups"):
            split_by(subjects, clips, valid=valid, test=test, seed=seed)
        return
    split = split_by(subjects, clips, valid=valid, test=test, seed=seed)
    assert leaks(split, subjects, clips) == []
    assert sorted(torch.cat(split).tolist()) == list(range(len(pairs)))
    assert len(split.train) and len(split.valid) and (len(split.test) > 0) == (test > 0)
    if None not in subjects:  # the order in which samples are read does not matter
        order = rng.sample(range(len(pairs)), len(pairs))
        moved = split_by(
            [subjects[i] for i in order],
            [clips[i] for i in order],
            valid=valid,
            test=test,
            seed=seed,
        )
        assert sorted(order[i] for i in moved.valid.tolist()) == split.valid.tolist()


def test_shares_are_met():
    clips = [i // 10 for i in range(2000)]
    split = split_by(clips, valid=0.1, test=0.2)
    assert [len(s) for s in split] == [1400, 200, 400]


# Processes

SPREAD = """
import sys
sys.path.insert(0, {tests!r})
from test_training_loop import *
c = config(batch_size=int(sys.argv[1]), steps=12)
for part in ("a", "b"):  # twice in one process
    made = fit(linear(), Noisy(), deterministic, c, Noisy(9), {folder!r} + "/" + sys.argv[2] + part, resume=True)
"""


def deterministic(model, batch):
    off = model(batch["x"]) - batch["x"]
    return {"square": off.square().mean(), "abs": off.abs().mean()}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_launch_that_started_one_process_says_so(tmp_path):
    "On a CPU `accelerate launch --cpu --num_processes 2` starts one process, without a word."
    path, env = script(tmp_path, SPREAD, folder=str(tmp_path))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += [
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        str(path),
        "2",
        "x",
    ]
    found = subprocess.run(launch, env=env, capture_output=True, text=True, timeout=240)
    assert (
        found.returncode
        and "expected several processes" in found.stderr
        and "--multi_gpu" in found.stderr
    )


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    "About 15 s. Losses agree to 1e-5 of their size, weights to 1e-5: sums are taken in another order."
    path, env = script(tmp_path, SPREAD, folder=str(tmp_path))
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_machines",
        "1",
    ]
    launch += [
        "--num_processes",
        "2",
        "--main_process_port",
        str(free_port()),
        "--mixed_precision",
        "no",
    ]
    launch += ["--dynamo_backend", "no", str(path), "2", "two"]
    two = subprocess.run(launch, env=env, capture_output=True, text=True, timeout=240)
    assert two.returncode == 0, two.stderr[-3000:]
    one = start_copy(path.read_text(), "4", "one")
    said = finish(one)
    assert one.returncode == 0, said[-3000:]
    (a, sa), (b, sb) = (read_checkpoint(tmp_path / k / "last") for k in ("onea", "twoa"))
    assert (sa["processes"], sb["processes"]) == (1, 2)
    for part in ("model", "live"):
        for k, v in a[part].items():
            torch.testing.assert_close(b[part][k], v, atol=1e-5, rtol=1e-5)
    for x, y in zip(rows(tmp_path / "onea"), rows(tmp_path / "twoa"), strict=True):
        assert x.pop("split") == y.pop("split") and x == pytest.approx(y, rel=1e-5)
    assert rows(tmp_path / "twoa") == rows(tmp_path / "twob")
