"""How fast five seconds of a body are checked and repaired, beside the straightforward way, in one process and one thread.

    python benchmarks/bodies_speed.py [--layers 3 --heads 4 --width 96] [--steps 6] [--repeats 3]

The straightforward way is the published one: 50 passes of the network to find what is wrong, 50 to repair it, one window at a
time, in fp32. Ours is what `clean` does. Both use the same network with weights drawn at random, since speed does not
depend on them; `--width 512 --layers 8 --heads 8 --published` is the published size. The two are run in turns, and the medians are compared.
"""

import argparse
import time

import torch

from motionbook.features.rifke.rifke import RifkeArrays
from motionbook.models.stablemotion.body_answers import BodyAsked, body_labels, fill_body
from motionbook.models.stablemotion.body_model import BodyLook, BodyModel
from motionbook.models.stablemotion.body_windows import body_clip
from motionbook.models.stablemotion.network import DiTConfig
from motionbook.synthetic.people import person


def without_table(net: torch.nn.Module):
    "The network that works out its modulation anew for every frame."
    told = net.told

    def each_frame(times, asked):
        each = torch.nn.functional.silu(told.condition(times, asked))
        return told.six(each).unflatten(-1, (6, -1))

    told.forward = each_frame


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in dict(layers=3, heads=4, width=96, steps=6, repeats=3).items():
        p.add_argument("--" + name, type=int, default=usual)
    p.add_argument("--published", action="store_true", help="all 233 numbers, and no estimates")
    a = p.parse_args()
    torch.set_num_threads(1)
    look = BodyLook(features="all", estimates=False) if a.published else BodyLook()
    config = DiTConfig(layers=a.layers, heads=a.heads, width=a.width, zero_init=False)
    torch.manual_seed(0)
    model, plain = (
        BodyModel(100, config, look=look).eval(),
        BodyModel(100, config, look=look).eval(),
    )
    plain.load_state_dict(model.state_dict())
    without_table(plain.net.inner)
    clip = body_clip(RifkeArrays().arrays(person("walk", seconds=5.0, seed=1)))
    wrong = torch.zeros(len(clip), dtype=torch.bool)
    wrong[40:60] = True
    asked = BodyAsked(wrong[:, None].expand(-1, 24), wrong)
    ways = {"published": (plain, 50), "ours": (model, a.steps)}
    found = {k: [] for k in ways}
    for _ in range(a.repeats):
        for name, (net, steps) in ways.items():
            # a network with estimates does not see the noise, so 50 passes are 50 draws of one
            passes = dict(steps=steps) if a.published or name == "ours" else dict(more=steps - 1)
            run = lambda net=net, steps=steps, passes=passes: (
                body_labels(net, clip, **passes),
                fill_body(net, clip, asked, steps=steps),
            )
            found[name].append(seconds(run))
    best = {k: sorted(v)[len(v) // 2] for k, v in found.items()}
    for name, s in best.items():
        print(f"{name}: {s:.3f} s for 5 s of motion")
    print(f"published / ours {best['published'] / best['ours']:.1f}")


if __name__ == "__main__":
    main()
