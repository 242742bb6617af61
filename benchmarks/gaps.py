"""Gaps alone, as a recurrent imputer of animals' tracks is scored: root mean squared error over linear interpolation's.

python benchmarks/gaps.py DATA_DIR [--only NAME] [--frames 3000] [--steps 200] [--seconds 60] [--seed 0]

DATA_DIR is that of benchmarks/dropouts.py, and so are the recordings. A recording is split by time: methods that learn see its first
60 %. Gaps are drawn from its own statistics (lengths, which points vanish together) and hide a twentieth of the points of
the rest; scored are hidden points that the recording vouches for. *GRU* has the shape of disk-impute's recurrent network (windows of 60 frames,
positions and mask in, positions out, gaps drawn from the recording); it is written anew here, and learns for as many seconds of the
processor as the StableMotion model took, or for `--seconds` where `--steps` is 0 and there is no such model.
"""

import argparse
import time
from pathlib import Path

import dropouts
import torch
from torch import nn

from motionbook.core.motion import Motion, Scene
from motionbook.filters.auto import chosen_filler
from motionbook.filters.corrupt.own_gaps import hide_like_own
from motionbook.filters.fill.classical import linear, pchip
from motionbook.filters.fill.coupled import coupled
from motionbook.filters.fill.mixed import mixed_with_best
from motionbook.filters.takes import cut_motion
from motionbook.models.stablemotion.cleaner import learned_filler
from motionbook.models.stablemotion.recipe import (
    StableMotionTraining,
    Tracks,
    as_source,
    train_tracks,
)

TRAIN, WINDOW, HIDDEN = 0.6, 60, 0.05


class Imputer(nn.Module):
    "Positions and a mask of 60 frames in, positions out."

    def __init__(self, numbers: int, points: int, width: int = 128):
        super().__init__()
        self.gru = nn.GRU(numbers + points, width, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, numbers)

    def forward(self, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        "[b t j c] with zeros where not known, [b t j] -> [b t j c]."
        h, _ = self.gru(torch.cat([x.flatten(2), known.float()], -1))
        return self.out(h).view_as(x)


def hidden_points(m: Motion, seed: int) -> torch.Tensor:
    "[t j] bool: gaps like the recording's own."
    made = hide_like_own(Scene((m,)), rate=HIDDEN, generator=seed)
    return made.mask[0] & m.observed


def learn_gru(m: Motion, good: torch.Tensor, seconds: float, seed: int):
    "A filler that learned from the windows in which everything is good."
    torch.manual_seed(seed)
    x = m.positions.masked_fill(~good[..., None], torch.nan)
    middle = x.flatten(0, 1).nanmedian(0).values
    scale = float((x - middle).abs().nan_to_num().flatten().quantile(0.9)) + 1e-9
    y, masks = (x - middle) / scale, torch.stack([hidden_points(m, 100 + k) for k in range(8)])
    net = Imputer(y[0].numel(), y.shape[1])
    rule, clock, steps = torch.optim.Adam(net.parameters(), 1e-3), time.process_time(), 0
    while time.process_time() - clock < seconds:
        at = torch.randint(len(y) - WINDOW + 1, (32, 1)) + torch.arange(WINDOW)
        truth, hide = y[at], masks[torch.randint(8, (32, 1)), at]
        there = truth.isfinite().all(-1)
        known = there & ~hide
        made = net(truth.nan_to_num() * known[..., None], known)
        off = (made - truth.nan_to_num()).square().sum(-1)
        loss = (off * (there & hide)).sum() / (there & hide).sum().clamp_min(1)
        rule.zero_grad(), loss.backward(), rule.step()
        steps += 1
    ramp = torch.hann_window(WINDOW + 2, periodic=False)[1:-1, None, None]

    @torch.no_grad()
    def fill(given: torch.Tensor) -> torch.Tensor:
        z, known = (given - middle) / scale, given.isfinite().all(-1)
        total, weight = torch.zeros_like(z), torch.zeros(len(z), 1, 1)
        for a in sorted({*range(0, len(z) - WINDOW, 15), len(z) - WINDOW}):
            part = slice(a, a + WINDOW)
            made = net((z.nan_to_num() * known[..., None])[part][None], known[part][None])[0]
            total[part] += ramp * made
            weight[part] += ramp
        return torch.where(known[..., None], given, total / weight * scale + middle)

    return fill, steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=200, help="of StableMotion; 0 = none")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("root mean squared error over that of linear interpolation")
    for name, whole in dropouts.recordings(args.data).items():
        if args.only not in name:
            continue
        m = cut_motion(whole, 0, min(args.frames, len(whole)))
        cut = round(TRAIN * len(m))
        first, rest = cut_motion(m, 0, cut), cut_motion(m, cut, len(m))
        source, seconds = as_source(first), args.seconds
        if isinstance(source, str):
            print(f"{name}: {source}")
            continue
        fillers = {"linear": linear(), "PCHIP": pchip(), "coupled": coupled()}
        if args.steps:
            clock = time.process_time()
            c = StableMotionTraining(steps=args.steps, seed=args.seed, progress=False)
            model = train_tracks(Tracks((source,)), None, c).model
            seconds = time.process_time() - clock
            own = learned_filler(model, m.skeleton, m.positions.shape[-1])
            fillers["stablemotion"] = mixed_with_best(own, "stablemotion")
        gru, steps = learn_gru(first, source.good, seconds, args.seed)
        hide = hidden_points(rest, args.seed)
        given = rest.positions.masked_fill((hide | ~rest.observed)[..., None], torch.nan)
        fillers["default"] = chosen_filler(False)
        vouched = dropouts.trusted_points(rest) & hide
        rmse = lambda y, v=vouched, t=rest: float((y - t.positions)[v].square().sum(-1).mean().sqrt())  # fmt: skip
        rows = {k: rmse(f(given, m.fps).positions) for k, f in fillers.items()}
        rows["GRU"] = rmse(gru(given))
        cells = ", ".join(f"{k} {v / rows['linear']:.2f}" for k, v in rows.items())
        print(f"{name}: {cells}; {int(vouched.sum())} points, {steps} steps of the GRU in {seconds:.0f} s of the processor", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
