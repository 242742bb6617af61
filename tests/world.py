"What the commands' examples name, small: a folder in which each example can be typed as it stands."

import contextlib
import io
import os
import shlex
from pathlib import Path

from motionbook import Scene, write
from motionbook.cli import main
from motionbook.core.command import COMMANDS, EVALUATIONS
from motionbook.filters.corrupt.corruption import add_jumps
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import ACTIONS, person
from motionbook.synthetic.raw_joints import write_humanml3d
from motionbook.synthetic.raw_smpl import write_aist, write_amass

ALL = dict(COMMANDS.items()) | {f"evaluate {n}": c for n, c in EVALUATIONS.items()}
SMALL_VAE = (
    "--d-z 6 --d-model 16 --layers 1 --heads 2 --window 60 --steps 2 --fps 30 --batch-size 4"
)
LESS = {  # what an example takes besides, to end soon
    "train": "--hidden 4 --layers 1 --width 4 --window 20 --draws 8 --prior-draws 8 --steps 1",
    "compare": "--minutes 0.01 --methods hold,linear",
    "generate": "--steps 2",
    "evaluate stablemotion": "--seconds 2 --kinds jitter",
}
INSTEAD = {"embed": {"minilm": "hash"}, "evaluate stablemotion": {"my_model": "classical"}}


def example(name: str) -> list[str]:
    "The words of a command's example, made small."
    words = shlex.split(ALL[name].example)[1:]
    words = [INSTEAD.get(name, {}).get(w, w) for w in words]
    return words + LESS.get(name, "").split()


def run(*words) -> tuple[int, str, str]:
    "Exit code, and what was said."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(w) for w in words])
        except SystemExit as e:
            code = e.code
    return code, out.getvalue(), err.getvalue()


def make_world(box: Path) -> Path:
    "The files, in a folder that is current while they are made."
    write(add_jumps(mouse(seconds=3, seed=1), rate=0.02, generator=1).scene, box / "mouse.csv")
    write(mouse(seconds=3, seed=1), box / "mouse_clean.csv")
    write(Scene((person("walk", 1, 30),)), box / "walk.bvh")
    for k in range(4):
        write(mouse(seconds=3, seed=k), box / "recordings" / f"m{k}.csv")
    for a in ACTIONS[:4]:
        write(Scene((person(a, 3, 30, seed=1),)), box / "held_out" / f"{a}.bvh")
    write_aist(box / "AIST++")
    write_humanml3d(box / "HumanML3D", seconds=2.0)
    write_amass(box / "AMASS")
    before = os.getcwd()
    os.chdir(box)
    try:
        assert run("train", "vae", "held_out", "-o", "my_vae", *SMALL_VAE.split())[0] == 0
        place = Path("data/motions_processed/amass")
        assert run("convert", "auto", "AMASS", "--out", place)[0] == 0
        (box / "canonical.pt").write_bytes((place / "canonical.pt").read_bytes())
        assert run("convert", "auto", "HumanML3D", "--out", "sides")[0] == 0
        for name in ("amass", "aist"):
            line = ("embed", "sides", "--out", f"{name}.pt", "--encoder", "hash")
            assert run(*line)[0] == 0
    finally:
        os.chdir(before)
    return box
