"""What the training loop costs on top of the bare forward and backward pass, measured in turns.

python benchmarks/bench_training.py
"""

import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from motionbook.models.corrector.breaking import BrokenWindows
from motionbook.models.corrector.recipe import CorrectorTraining, corrector_loss, train_on_clips
from motionbook.models.corrector.recordings import Clip, Clips
from motionbook.synthetic.people import ACTIONS, person
from motionbook.training.config import TrainConfig
from motionbook.training.loop import fit

STEPS, BATCH = 40, 32
data = torch.randn(512, 60, 63)  # windows of 60 frames, 21 joints


class Bidirectional(nn.Module):
    def __init__(self, hidden, layers):
        super().__init__()
        self.rnn = nn.LSTM(63, hidden, layers, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, 63)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def perceptron(hidden):
    return nn.Sequential(
        nn.Linear(63, hidden),
        nn.GELU(),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Linear(hidden, 63),
    )


def loss(model, batch):
    return {"position": (model(batch) - batch).square().mean()}


def bare(model, optimizer=False):
    "Milliseconds a step of forward and backward, with or without the optimiser."
    adam = torch.optim.AdamW(model.parameters(), fused=True)
    start = time.perf_counter()
    for i in range(STEPS):
        at = i * BATCH % len(data)
        loss(model, data[at : at + BATCH])["position"].backward()
        if optimizer:
            adam.step()
        adam.zero_grad()
    return (time.perf_counter() - start) / STEPS * 1e3


def loop(model, **fields):
    "Milliseconds a step of the loop, its start left out."
    marks = []
    config = TrainConfig(steps=STEPS + 3, batch_size=BATCH, cpu=True, **fields)
    fit(
        model,
        data,
        loss,
        config,
        hooks=[lambda e, run: e == "step" and marks.append(time.perf_counter())],
    )
    return (marks[STEPS] - marks[2]) / (STEPS - 2) * 1e3


def corrector(steps=256, precision="no"):
    "Milliseconds a step of a corrector's training on two cores, preparation of windows included; and bare."
    people = [person(a, 6, 30, seed=s) for a in ACTIONS for s in range(3)]
    found = Clips(
        people[0].skeleton, 30.0, tuple(Clip(m.positions, str(i)) for i, m in enumerate(people))
    )
    config = CorrectorTraining(steps=steps, valid_share=0, mixed_precision=precision, log_steps=64)
    marks = []
    with tempfile.TemporaryDirectory() as tmp:
        hook = lambda event, run: event == "step" and marks.append(time.perf_counter())
        model = train_on_clips(found, Path(tmp) / "run", config, hooks=[hook]).model.train()
        model.requires_grad_()
    data = BrokenWindows(model, found.clips, config.breaking, draws=64)
    loss, batches = corrector_loss(model), [data.batch(list(range(i, i + 32))) for i in (0, 32)]
    start = time.perf_counter()
    for i in range(12):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            terms = loss(model, batches[i % 2])
        sum(terms.values()).backward()
    base = (time.perf_counter() - start) / 12 * 1e3
    skip = len(marks) // 2  # the first epoch waits for its windows
    ours = (marks[-1] - marks[skip]) / (len(marks) - 1 - skip) * 1e3
    print(
        f"corrector, {precision:4}  bare {base:6.1f} ms, training {ours:6.1f} ({ours / base:.2f}x)"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    corrector()
    corrector(precision="bf16")
    cases = {
        "BiLSTM 2 x 64": lambda: Bidirectional(64, 2),
        "BiLSTM 1 x 32": lambda: Bidirectional(32, 1),
        "perceptron 128": lambda: perceptron(128),
        "perceptron 16": lambda: perceptron(16),
    }
    for name, make in cases.items():
        ways = (bare, lambda m: bare(m, True), loop, lambda m: loop(m, ema=0.99))
        rounds = [[way(make()) for way in ways] for _ in range(8)]
        base, adam, ours, ema = (min(column) for column in zip(*rounds))
        print(
            f"{name:15} bare {base:6.2f} ms, with AdamW {adam:6.2f}, loop {ours:6.2f} ({ours / base:.2f}x), "
            f"with average {ema:6.2f} ({ema / base:.2f}x)"
        )
