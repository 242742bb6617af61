"""The motion VAE beside principal components, the mean pose and its causal convolutional twin, at equal rates, on real motion.

    python benchmarks/vae.py DATA_DIR [--minutes 3] [--rates 960 480 120] [--fold test] [--step]

DATA_DIR holds bvh/bandai.tar.gz, bvh/cmu.tar.gz and aistpp. Clips become 263 numbers a frame at 30 fps. A fifth of the groups of
each dataset is held out: content × style of Bandai-Namco, recordings of CMU, dances of AIST++. `--fold dev` holds out a fourth
of the others, for choosing settings. Models of one rate train for the same number of steps and keep their last weights;
the prior of the first rate gets PRIOR_STEPS more. Errors are around the root, in mm, over all frames of the held-out clips.
Samples are two seconds long and stand beside the middles of held-out clips. `--step` measures a training step (64 windows of
120 frames) beside matrix products instead.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from motionbook.core.archives import extract_archive
from motionbook.data.windows import fit_to_window, hold_out
from motionbook.evaluation.reconstruction import PatchPCA
from motionbook.features.humanml3d.ik263 import FLOWMIMIC
from motionbook.models.vae.evaluate import (
    clip_figures,
    code_figures,
    mean_figures,
    model_labels,
    rivals,
)
from motionbook.models.vae.judge import (
    generation_figures,
    judge_clips,
    middles,
    sampled_like,
    swap_figures,
    train_judge,
)
from motionbook.models.vae.loss import LOSS_WEIGHTS
from motionbook.models.vae.motion_vae import MotionVAE, joint_decoder
from motionbook.models.vae.network import VAEConfig, measure_weights
from motionbook.models.vae.recipe import Sides, VAETraining, even_windows, train_on_sides, vae_loss
from motionbook.models.vae.training_clips import load_clips
from motionbook.training.loop import weigh_terms

PRIOR_STEPS = 1000
SHOWN = {
    "mpjpe_mm": 7.2,
    "mpjpe_global_mm": 7.2,
    "pa_mpjpe_mm": 7.2,
    "acceleration_error_m_s2": 7.2,
    "skating_cm_s": 6.1,
}


def load(data: Path, fold: str) -> Sides:
    "Clips of the three datasets on their sides."
    with tempfile.TemporaryDirectory() as tmp:
        for name in ("bandai", "cmu"):
            extract_archive(data / "bvh" / f"{name}.tar.gz", Path(tmp) / name)
        found = load_clips([Path(tmp) / "bandai", Path(tmp) / "cmu", data / "aistpp"], FLOWMIMIC)
    print(
        f"# {len(found.clips)} clips, {sum(map(len, found.clips)):,} frames; left out: {len(found.left_out)}"
    )
    learn, held = hold_out(found.clips, 0.2, 0)
    if fold == "dev":
        learn, held = hold_out(learn, 0.25, 1)
    fit = lambda clips: fit_to_window(clips, 120, "pad", 30)[0]
    return Sides(fit(learn), fit(held))


def train(sides: Sides, limit: dict, **options) -> MotionVAE:
    "A model trained for so many minutes or steps."
    begun = time.process_time()
    config = VAETraining(**dict(short="pad", log_steps=100, progress=False) | limit | options)
    with tempfile.TemporaryDirectory() as tmp:
        done = train_on_sides(Sides(sides.train, []), FLOWMIMIC, Path(tmp) / "run", config)
    print(
        f"# {done.fitted.step} steps in {time.process_time() - begun:.0f} s of processor time",
        flush=True,
    )
    return done.model


@torch.no_grad()
def figures(model: MotionVAE, clips, rebuild) -> dict[str, float]:
    decode = joint_decoder(FLOWMIMIC)
    return mean_figures(clip_figures(model, c, rebuild(c), decode) for c in clips)


def show(name: str, row: dict[str, float]):
    print(f"{name:34}" + "".join(f"{row[k]:{w}f}" for k, w in SHOWN.items()), flush=True)


def patches(sides: Sides, model: MotionVAE, size: int, stride: int, weighed: bool):
    "A linear code of patches, for whole clips."
    x = even_windows(sides.train, 120)
    w = (
        measure_weights(x[:: len(x) // 12][:12], joint_decoder(FLOWMIMIC), model.std)
        if weighed
        else 1 / model.std
    )
    pca = PatchPCA(x, size, stride, w)

    def rebuild(clip):
        extra = -len(clip) % stride
        full = torch.cat([clip.features, clip.features[-1:].expand(extra, -1)])
        return pca(full[None])[0, : len(clip)]

    return rebuild


def at_rate(sides: Sides, rate: int, limit: dict, everything: bool, beside: bool) -> dict:
    "All rivals at one rate."
    d_z, out = rate * 4 // 30, {}
    limit = limit | {"prior_steps": PRIOR_STEPS if everything else 0}
    model = train(sides, limit, d_z=d_z)
    limit |= {
        "steps": model.about["steps"],
        "minutes": None,
    }  # the twin has as many steps, on the same clips
    twin = train(sides, limit, size="twin", d_z=d_z) if beside else model
    other = rivals(model)
    rows = {"vae": other.pop("vae"), "twin, causal convolutions": rivals(twin)["vae"], **other}
    if not beside:
        del rows["twin, causal convolutions"]
    rows["pca, patches of 4, joints weighed"] = patches(sides, model, d_z, 4, True)
    print(f"\n{rate} numbers a second          " + "  root mm  global   PA  acc m/s² skate cm/s")
    for name, f in rows.items():
        out[name] = figures(twin if name.startswith("twin") else model, sides.valid, f)
        show(name, out[name])
    out["code"], out["twin code"] = (code_figures(m, sides.valid) for m in (model, twin))
    for k in ("code", "twin code"):
        print(k, {a: round(b, 3) for a, b in out[k].items()}, flush=True)
    domains = {
        d: figures(
            model,
            [c for c in sides.valid if c.domain == d],
            lambda c: model.reconstruct(c.features, *model_labels(model, c)),
        )
        for d in model.domains.names[1:]
    }
    print("by dataset:", {d: round(f["mpjpe_mm"], 2) for d, f in domains.items()})
    return out | (made_of_nothing(sides, model, twin) if everything else {})


def made_of_nothing(sides: Sides, model: MotionVAE, twin: MotionVAE) -> dict:
    "Swaps and samples, judged by a classifier of real clips of the training side."
    judge = train_judge(sides.train, model.mean, model.std, model.styles)
    known = [c for c in sides.valid if c.style in judge.styles.names[1:]]
    _, said = judge_clips(judge, [c.features for c in known])
    right = [float(s.argmax() == judge.styles.number(c.style)) for s, c in zip(said, known)]
    out = {
        "judge_accuracy": sum(right) / len(right),
        "judge_chance": 1 / (len(judge.styles.names) - 1),
    }
    for how in ("move", "label"):
        out[f"swap_{how}"] = swap_figures(model, sides.valid, judge, how)
    long = [c for c in sides.valid if len(c) >= 60]
    rows = (("vae", model, 1.0), ("vae, temperature 0.7", model, 0.7), ("twin", twin, 1.0))
    bank = around_root(model, middles([c for c in sides.train if len(c) >= 60], 60))
    for name, m, t in rows[: 2 if twin is model else 3]:
        out[f"samples, {name}"] = generation_figures(m, long, judge, 60, t)
        made = around_root(m, sampled_like(m, long, 60, t))
        out[f"samples, {name}"]["nearest_mm"] = nearest(made, bank)
    out["held-out windows, nearest_mm"] = nearest(around_root(model, middles(long, 60)), bank)
    for k, v in out.items():
        print(
            f"{k:26}",
            {a: round(b, 3) for a, b in v.items()} if isinstance(v, dict) else round(v, 3),
            flush=True,
        )
    return out


def around_root(model: MotionVAE, x: torch.Tensor) -> torch.Tensor:
    "Joints of windows around their root, [n numbers] in mm a joint and frame."
    joints = joint_decoder(model.representation)(x)
    local = (joints - joints[:, :, :1]).flatten(1)
    return 1000 * local / (local.shape[1] / 3) ** 0.5


def nearest(x: torch.Tensor, bank: torch.Tensor) -> float:
    "How far windows are from the nearest one that was learned from: near nothing if they are copies."
    return float(torch.cdist(x, bank).amin(1).mean())


def best_time(f, rounds: int = 5) -> float:
    "Seconds of the fastest call."
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        f()
        times.append(time.perf_counter() - begun)
    return min(times)


def step_share(config: VAEConfig, name: str, rounds_of: int = 3):
    "A training step's share of what matrix products reach in the same minute."
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    model = MotionVAE(FLOWMIMIC.layout, config).train()
    rule = torch.optim.AdamW(model.parameters(), fused=True)
    x, there, none = (
        torch.randn(64, 120, 263),
        torch.ones(64, 120, dtype=torch.bool),
        torch.zeros(64, dtype=torch.long),
    )
    loss = vae_loss(model)

    def step():
        terms = loss(model, {"x": x, "mask": there, "domain": none, "style": none})
        weigh_terms(terms, LOSS_WEIGHTS).backward()
        rule.step()
        rule.zero_grad()

    with FlopCounterMode(display=False) as counted:
        step()
    work, rounds = counted.get_total_flops(), []
    rows = 64 * 120 // config.stride
    a, b = torch.randn(rows, config.d_model), torch.randn(config.d_model, 4 * config.d_model)
    for _ in range(rounds_of):
        peak = 2 * a.numel() * b.shape[1] / best_time(lambda: a @ b, 10)
        seconds = best_time(step, 2)
        rounds.append((work / seconds / peak, work / seconds / 1e9, peak / 1e9))
    share, reached, peak = max(rounds)
    print(
        f"{name:6} {work / 1e9:8.1f} GFLOP a step, {reached:.0f} GFLOP/s of {peak:.0f} in matrix products: {share:.2f}"
    )


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("data", type=Path, nargs="?")
    p.add_argument("--minutes", type=float, default=3.0, help="for each model, on the clock")
    p.add_argument("--steps", type=int, help="for each model, instead of minutes")
    p.add_argument("--no-twin", action="store_true")
    p.add_argument("--rates", type=int, nargs="+", default=[960, 480, 120], help="numbers a second")
    p.add_argument("--fold", choices=("test", "dev"), default="test")
    p.add_argument("--step", action="store_true")
    p.add_argument("-o", "--out", type=Path)
    args = p.parse_args()
    torch.set_num_threads(1)
    if args.step:
        step_share(VAEConfig(), "cpu")
        step_share(VAEConfig(size="seed"), "seed", 1)
        return
    limit = {"steps": args.steps} if args.steps else {"minutes": args.minutes}
    sides = load(args.data, args.fold)
    print(
        f"# {len(sides.train)} clips to train on, {len(sides.valid)} held out ({args.fold})",
        flush=True,
    )
    made = {r: at_rate(sides, r, limit, r == args.rates[0], not args.no_twin) for r in args.rates}
    if args.out:
        args.out.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
