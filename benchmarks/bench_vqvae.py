"""Motion as codes: how well, how fast, at how many bits.

python benchmarks/bench_vqvae.py quantiser                      # a step beside vector-quantize-pytorch
python benchmarks/bench_vqvae.py speed                          # encoding and decoding against real time, published sizes
python benchmarks/bench_vqvae.py robots DATA --folds 10 --steps 150 --schemes "ema_reset 512" blocks
python benchmarks/bench_vqvae.py bodies DATA MORE --steps 300 --codes 1024 --share 0.34
python benchmarks/bench_vqvae.py rates DATA --folds 2           # errors over bits per second

DATA of `robots` and `rates` is a folder of robot motions (ASAP's G1 pickles), of `bodies` folders of BVH files.
Folds are made by motion name, levels of one motion together. At equal bits: the form blocks gets as many as the
scheme it is compared with spends on the same held-out clips, its last, partly filled token included.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch

from motionbook.models.vqvae.codebook import Codebook
from motionbook.models.vqvae.judge import (
    SCHEMES,
    judge_clips,
    judge_library,
    scheme_config,
    shown_codes,
    used_codes,
)
from motionbook.models.vqvae.losses import LOSS_WEIGHTS, vqvae_loss
from motionbook.models.vqvae.motions import Crops, load_library, motion_family
from motionbook.models.vqvae.network import decode, encode
from motionbook.models.vqvae.recipe import (
    VQVAETraining,
    build_network,
    describe_library,
    library_split,
)
from motionbook.training.config import TrainConfig
from motionbook.training.loop import fit


def median(x):
    return sorted(x)[len(x) // 2]


def quantiser(a):
    "Forward, codebook update and backward of 4096 vectors of 512 numbers, 512 codes; interleaved."
    from vector_quantize_pytorch import VectorQuantize

    torch.manual_seed(0)
    usual = dict(decay=0.99, commitment_weight=1.0, threshold_ema_dead_code=1)
    theirs = VectorQuantize(dim=512, codebook_size=512, **usual).train()
    ours = Codebook(512, 512).train()
    x = torch.randn(4096, 512)
    ours(x)
    theirs(x[None])
    theirs._codebook.embed.data.copy_(ours.entries[None])
    same = (theirs.eval()(x[None])[1][0] == ours.eval()(x).codes[:, 0]).float().mean()
    theirs.train(), ours.train()
    times = {"theirs": [], "ours": []}
    for _ in range(a.repeats):
        x = torch.randn(4096, 512)
        for name in times:
            y = x.clone().requires_grad_()
            start = time.perf_counter()
            if name == "theirs":
                q, _, loss = theirs(y[None])
            else:
                r = ours(y)
                q, loss = r.values, r.commit
            (q.sum() + loss.sum()).backward()
            times[name].append(time.perf_counter() - start)
    t, o = (min(v) for v in times.values())
    print(f"identical codes: {100 * float(same):.2f} %")
    print(f"theirs {1000 * t:.0f} ms, ours {1000 * o:.0f} ms: {t / o:.2f}× (minima of {a.repeats})")
    print(f"medians: {median(times['theirs']) / median(times['ours']):.2f}×")


def speed(a):
    "Seconds of motion encoded and decoded in a second."
    parts = dict(step=3, turn=1, dof=23, dof_velocity=23, tilt=6)
    x = torch.randn(a.frames, 56, generator=torch.Generator().manual_seed(0)).cumsum(0)
    for preset in ("seed", "small", "blocks"):
        model = build_network([x], parts, VQVAETraining(preset=preset).network)
        model.train()(x[None, : len(x) // 32 * 32][:, :512])
        took = {"encode": [], "decode": []}
        for _ in range(3):
            at = [(time.perf_counter(), time.process_time())]
            codes = encode(model, x)
            at.append((time.perf_counter(), time.process_time()))
            decode(model, codes)
            at.append((time.perf_counter(), time.process_time()))
            for name, one, two in zip(took, at, at[1:]):
                took[name].append((two[0] - one[0], two[1] - one[1]))
        for name, seconds in took.items():
            wall, used = (a.frames / 30 / min(s[k] for s in seconds) for k in (0, 1))
            print(
                f"{preset:7} {name}: {wall:,.0f}× real time, {used:,.0f}× by the processor's own seconds",
                flush=True,
            )


def family(name):
    "The motion's name alone: two takes of one video differ in their folder."
    return motion_family(name).split("_smpl_")[-1].split("cr7_")[-1]


def make_folds(lib, k, seed=0):
    "For each fold the numbers of the held-out clips."
    groups = sorted({family(c.name) for c in lib.clips})
    random.Random(seed).shuffle(groups)
    return [
        [i for i, c in enumerate(lib.clips) if groups.index(family(c.name)) % k == f]
        for f in range(k)
    ]


def token_bits(lib, config):
    "What a scheme of fixed bits a token spends on clips."
    return sum(-(-len(c.frames) // config.stride) for c in lib.clips)


def trained(name, train, held, a, bits=None):
    "A network of a scheme, trained; blocks get the bits of the scheme they are compared with."
    more = {}
    if bits is not None and SCHEMES[name].get("form") == "blocks":
        more["bits"] = (
            bits * 30 / token_bits(held, scheme_config(name)) / scheme_config(name).stride
        )
    c = scheme_config(name, a.preset, **more)
    model = build_network([x.frames for x in train.clips], train.parts, c)
    split = library_split(train, 0.0)
    model.about = describe_library(train, split, VQVAETraining())
    if a.steps and name != "pca" and not (a.plain and c.form == "blocks"):
        window = -(-a.window // c.stride) * c.stride
        data = Crops([x.frames for x in train.clips], window, model.context, c.stride, 32 * a.batch)
        loop = TrainConfig(
            steps=a.steps, minutes=a.minutes, batch_size=a.batch, lr=a.lr, weight_decay=0.0, beta2=0.99,
            warmup_steps=min(50, a.steps // 4), schedule="constant", clip=1.0, weights=LOSS_WEIGHTS,
            progress=False,
        )  # fmt: skip
        fit(model, data, vqvae_loss(model), loop)
    return model.eval()


def interval(pairs, seed=0, draws=2000):
    "The ratio of mean errors, families drawn again and again: [2.5 %, 97.5 %]."
    groups = sorted({f for f, _, _ in pairs})
    rng, ratios = random.Random(seed), []
    for _ in range(draws):
        rows = [p for g in rng.choices(groups, k=len(groups)) for p in pairs if p[0] == g]
        ratios.append(sum(r[1] for r in rows) / sum(r[2] for r in rows))
    ratios.sort()
    return ratios[int(0.025 * draws)], ratios[int(0.975 * draws)]


def robots(a):
    "Errors on held-out motions, all schemes trained for the same steps."
    lib = load_library(a.data)
    folds = make_folds(lib, a.folds)[: a.only or None]
    reference, rows = a.schemes[0], {s: [] for s in a.schemes}
    summary = {s: [] for s in a.schemes}
    for k, out in enumerate(folds):
        train = lib.take([i for i in range(len(lib)) if i not in out])
        held = lib.take(out)
        bits = None  # of the first scheme
        for s in a.schemes:
            start = time.process_time()
            model = trained(s, train, held, a, bits)
            if s == reference:
                bits = model.bits * token_bits(held, model.config)
            got = judge_clips(model, held)
            rows[s] += [dict(r, codes=None) for r in got]
            summary[s].append(judge_library(model, held))
            f = summary[s][-1]
            print(
                f"fold {k} {s:22} {f['degrees']:.2f}°  {f.get('mm_root', 0):.1f} mm  {f['bits_per_second']:.1f} bit/s  {time.process_time() - start:.0f} s",
                flush=True,
            )
    keys = (
        "degrees",
        "mm_root",
        "mm_global",
        "drift_cm_s",
        "velocity_ratio",
        "jerk_ratio",
        "outside",
        "bits",
    )
    print(f"\nmeans over {len(rows[reference])} held-out clips, {a.steps} steps")
    for s in a.schemes:
        m = {k: sum(r.get(k, 0) for r in rows[s]) / len(rows[s]) for k in keys}
        rate = sum(r["bits"] for r in rows[s]) / sum(r["seconds"] for r in rows[s])
        print(
            f"{s:22} {m['degrees']:.2f}°  {m['mm_root']:.1f} mm root-relative  {m['mm_global']:.0f} mm global  drift {m['drift_cm_s']:.1f} cm/s  velocity ×{m['velocity_ratio']:.2f}  jerk ×{m['jerk_ratio']:.2f}  {100 * m['outside']:.2f} % moved to limits  {rate:.1f} bit/s"
        )
        if s != reference:
            pairs = [
                (family(x["name"]), x["degrees"], y["degrees"])
                for x, y in zip(rows[s], rows[reference])
            ]
            ratio = sum(p[1] for p in pairs) / sum(p[2] for p in pairs)
            low, high = interval(pairs)
            print(
                f"{'':22} {ratio:.3f} of {reference}'s joint error, 95 % interval {low:.3f} to {high:.3f}"
            )
    if a.out:
        Path(a.out).write_text(json.dumps(rows, indent=1, default=str))


def rates(a):
    "Errors over bits per second, the form blocks without training beside the published scheme."
    lib = load_library(a.data)
    for bits in a.bits:
        rows = []
        for out in make_folds(lib, a.folds)[: a.only or None]:
            train = lib.take([i for i in range(len(lib)) if i not in out])
            c = scheme_config("blocks", bits=bits)
            model = build_network([x.frames for x in train.clips], lib.parts, c).eval()
            model.about = describe_library(train, library_split(train, 0.0), VQVAETraining())
            rows.append(judge_library(model, lib.take(out)))
        m = lambda k, rows=rows: sum(r[k] for r in rows) / len(rows)
        print(
            f"{m('bits_per_second'):6.1f} bit/s  {m('degrees'):.2f}°  {m('mm_root'):.1f} mm  {m('mm_global'):.0f} mm global  drift {m('drift_cm_s'):.1f} cm/s",
            flush=True,
        )


def bodies(a):
    "How many codes are in use on held-out clips of people, and how many their frames can show."
    lib = load_library(a.data)
    split = library_split(lib, a.share, a.seed)
    train, held = lib.take(split.train.tolist()), lib.take(split.valid.tolist())
    print(
        f"{len(train)} clips to train on, {len(held)} held out, no family and no copy on both sides"
    )
    for form, mu in zip(a.forms, a.decays):
        SCHEMES["asked"] = dict(quantiser=form, nb_code=a.codes, mu=mu)
        start = time.process_time()
        model = trained("asked", train, held, a)
        seen = [(motion_family(c.name), encode(model, c.frames)[:, 0]) for c in train.clips]
        families = [torch.cat([x for f, x in seen if f == g]) for g in sorted({f for f, _ in seen})]
        rows = judge_clips(model, held)
        used = used_codes(model, rows)
        known = torch.cat(families).bincount(minlength=a.codes)
        n, possible = used["tokens"], shown_codes(families, used["tokens"])
        print(
            f"{form}, decay {mu:g}, {a.steps} steps, {time.process_time() - start:.0f} s: {sum(r['degrees'] for r in rows) / len(rows):.2f}° off\n"
            f"  training clips: {int((known > 0).sum())} of {a.codes} codes in use on {int(known.sum())} tokens\n"
            f"  held-out clips: {used['codes_used']} in use on {n} tokens, perplexity {used['perplexity'][0]:.0f}\n"
            f"  {n} tokens of training clips, whole families drawn, show {possible:.0f}: {100 * used['codes_used'] / possible:.1f} % of that\n"
            f"  {n} independent tokens, every code as likely, would show {a.codes * (1 - (1 - 1 / a.codes) ** n):.0f}",
            flush=True,
        )


if __name__ == "__main__":
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("quantiser", "speed", "robots", "bodies", "rates"))
    p.add_argument("data", nargs="*", help="folders of recordings")
    p.add_argument("--folds", type=int, default=10)
    p.add_argument("--only", type=int, default=0, help="only so many of the folds")
    p.add_argument("--steps", type=int, default=150)
    p.add_argument("--minutes", type=float, default=None, help="of training, for each network")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--window", type=int, default=64)
    p.add_argument("--lr", type=float, default=5e-4)
    p.add_argument("--preset", default="small", choices=("seed", "small", "tiny"))
    p.add_argument(
        "--schemes", nargs="*", default=["ema_reset 512", "blocks"], choices=list(SCHEMES)
    )
    p.add_argument(
        "--plain",
        action="store_true",
        help="do not train the form blocks: PCA and its levels alone",
    )
    p.add_argument("--codes", type=int, default=1024)
    p.add_argument("--forms", nargs="*", default=["ema_reset", "narrow"], help="of `bodies`")
    p.add_argument("--decays", type=float, nargs="*", default=[0.99, 0.9], help="of their averages")
    p.add_argument("--seed", type=int, default=1, help="of the bodies' split")
    p.add_argument("--share", type=float, default=0.1, help="of the bodies' clips to hold out")
    p.add_argument("--bits", type=float, nargs="*", default=[20, 34, 67.5, 135, 200, 400])
    p.add_argument("--frames", type=int, default=9000)
    p.add_argument("--repeats", type=int, default=15)
    p.add_argument("--out")
    args = p.parse_args()
    torch.set_num_threads(1)
    globals()[args.what](args)
