"What reaches a terminal, a spreadsheet, and a person in a hurry."

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from motionbook import Motion, Scene, Skeleton, read, write
from motionbook.cli import main
from motionbook.core.command import UNSAFE
from motionbook.synthetic.people import person

ODD = ("NA", "nan", "None", "null", "=1+1", "+x", "-y", "@SUM(A1)", "'q")


def table(path, names, frames=60, jumps=True):
    "A DeepLabCut table of these body parts, with a few leaps."
    rng = np.random.default_rng(0)
    x = (
        np.sin(np.arange(frames)[:, None, None] / 9) * 5
        + np.arange(len(names))[:, None] * 40.0
        + [3.0, 9.0]
    )
    x = x + rng.normal(0, 0.1, x.shape)
    if jumps:
        x[20 + 3 * np.arange(len(names)), np.arange(len(names))] += 90
    rows = [["scorer"] + ["me"] * 3 * len(names)]
    rows += [
        ["bodyparts"] + [n for n in names for _ in range(3)],
        ["coords"] + ["x", "y", "likelihood"] * len(names),
    ]
    rows += [[t, *(v for p in x[t] for v in (*p.round(4), 0.99))] for t in range(frames)]
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, lineterminator="\n").writerows(rows)
    return path


def shown(done):
    "Everything that a terminal would get, line ends aside."
    return UNSAFE.findall((done.out + done.err).replace("\n", ""))


def test_odd_names_survive_the_table(tmp_path):
    path = table(tmp_path / "m.csv", ODD)
    assert main(["clean", str(path), "-o", str(tmp_path / "a.csv"), "--json"]) == 0
    made = tmp_path / "a.csv.corrections.csv"
    with open(made, newline="") as f:
        rows = list(csv.DictReader(f))
    assert {r["point"].removeprefix("'") for r in rows} >= {"NA", "nan", "None", "null", "=1+1"}
    texts = [c for r in rows for k, c in r.items() if k in ("point", "why", "unit")]
    assert not [c for c in texts if c.startswith(("=", "+", "-", "@", "\t", "\r"))]
    again = ["clean", str(path), "-o", str(tmp_path / "b.csv"), "--apply", str(made), "--json"]
    assert main(again) == 0
    assert (
        (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes() != path.read_bytes()
    )


def test_poses_do_not_begin_like_a_formula(tmp_path):
    walk = Scene((person("walk", 1, 30),))
    p = walk.actors[0].positions.clone()
    write(walk, tmp_path / "w.bvh")
    text = (tmp_path / "w.bvh").read_text().splitlines()
    at = len(text) - 12
    text[at] = " ".join(str(float(v) + 70) for v in text[at].split())
    (tmp_path / "w.bvh").write_text("\n".join(text) + "\n")
    assert main(["clean", str(tmp_path / "w.bvh"), "-o", str(tmp_path / "o.bvh"), "--json"]) == 0
    with open(tmp_path / "o.bvh.corrections.csv", newline="") as f:
        cells = [r["after_pose"] for r in csv.DictReader(f)]
    assert cells and not [c for c in cells if c.startswith(("=", "+", "-", "@"))]
    given = ["--apply", str(tmp_path / "o.bvh.corrections.csv"), "--json"]
    assert main(["clean", str(tmp_path / "w.bvh"), "-o", str(tmp_path / "b.bvh"), *given]) == 0
    assert (tmp_path / "b.bvh").read_bytes() == (tmp_path / "o.bvh").read_bytes()
    assert len(p) == 30


NASTY = ("tail\x1b[2J\x1b]0;owned\x07", "nose\x9b31m", "ear\u202etxt", "del\x7f")


def test_no_control_character_reaches_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = torch.randn(90, 4, 3).cumsum(0)
    x[40:44, 1] = torch.nan
    motion = Motion(x, Skeleton("s", NASTY), 30, name="actor\x1b[31m")
    write(Scene((motion,)), "a\x1b[2Jb.npz")
    name = "a\x1b[2Jb.npz"
    lines = [["info", name], ["info", name, "--json"], ["info", "."], ["clean", name, "-o", "o\x1b.npz"],
             ["clean", name, "-o", "c.npz", "--json"], ["view", name, "-o", "v\x1b.html"], ["compare", name],
             ["info", "none\x1b.csv"], ["clean", name, "-o", "x\x1b.doc"], ["clean", name, "--method", "\x1bx"]]  # fmt: skip
    for line in lines:
        main(line)
        assert shown(capsys.readouterr()) == [], line
    (tmp_path / "t\x1b.csv").write_bytes(b"scorer,a\x1b[2J\nbodyparts\nrubbish\x1b\n")
    (tmp_path / "t\x1b.trc").write_bytes(b"PathFileType\t4\x1b[2J\n")
    for broken in ("t\x1b.csv", "t\x1b.trc"):
        assert main(["clean", broken, "-o", "y.csv"]) == 2
        assert shown(capsys.readouterr()) == []
    with pytest.raises(SystemExit):
        main(["clean", name, "--\x1bodd"])
    assert shown(capsys.readouterr()) == []
    assert json.loads(json.dumps(NASTY)) == list(NASTY)


def run(*lines, cwd, env=None):
    "Commands, one after the other in one new process, whose start takes longer than they do."
    code = (
        "import sys, os; from motionbook.cli import main; cut = sys.argv[1:].index('--then--') + 1\n"
        "for words in (sys.argv[1:cut], sys.argv[1 + cut:]):\n"
        "    if c := main(words): break\n"
        "sys.stderr.write(''); sys.exit(c)"
    )
    words = [
        w if isinstance(w, bytes) else str(w).encode() for w in (*lines[0], "--then--", *lines[1])
    ]
    line = [sys.executable, "-c", code, *words]
    return subprocess.run(line, cwd=cwd, capture_output=True, env=os.environ | (env or {}))


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
@pytest.mark.parametrize("env", [{}, {"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_names_that_are_no_utf8(tmp_path, env):
    folder = os.fsencode(tmp_path) + b"/d\xff\xe9"
    os.mkdir(folder)
    table(os.fsdecode(folder + b"/m\xff.csv"), ("näse", "ohr", "schwanz"))
    info = ("info", b"d\xff\xe9/m\xff.csv")
    cleaned = ("clean", b"d\xff\xe9", "-o", b"o\xff", "--report")
    done = run(info, cleaned, cwd=tmp_path, env=env)
    assert done.returncode == 0 and b"dlc" in done.stdout, done.stderr
    made = {p for p in os.listdir(os.fsencode(tmp_path) + b"/o\xff") if not p.startswith(b".")}
    names = {b"m\xff.csv", b"m\xff.csv.corrections.csv", b"m\xff.csv.html", b"quarantine.jsonl"}
    assert made == names


LIGHT = "import sys\nfrom motionbook.cli import main\ntry: code = main(sys.argv[1:])\nexcept SystemExit as e: code = e.code\nprint(code, *sys.modules)"
HEAVY = {"torch", "pandas", "scipy", "matplotlib", "numba", "h5py", "pydantic"}


def cost(cwd, *words):
    "Exit code, the heavy modules that were loaded, and what was said."
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words], cwd=cwd, capture_output=True, text=True
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    return int(code), HEAVY.intersection(modules), done.stderr


SLIPS = {
    "--help": "",
    "clean --help": "",
    "info nothere.csv": "nothere.csv",
    "clean nothere -o x": "nothere",
    "clean m.csv -o m.bvh": "points in pictures",
    "clean m.csv -o m.doc": "ends in",
    "view m.csv -o m.doc": "ends in",
    "clean m.csv --method pchpi": "did you mean pchip?",
    "clean m.csv --max-gap -1": "--max-gap",
    "clean m.csv --fidelity outlier": "did you mean outliers?",
    "claen m.csv": "did you mean clean?",
    "clean m.csv --fidelty all": "did you mean --fidelity?",
    "clean m.csv --video m.csv": "--export-frames",
    "compare m.csv --methods hold,lineer": "did you mean linear?",
    "features keypoints nothere": "nothere",
    "train bilstm nothere": "nothere",
    "train bilstn .": "did you mean bilstm?",
    "mix m.csv --were x=y": "did you mean --where?",
    "conver m.csv": "did you mean convert?",
    "generate walk --tepmo 1": "did you mean --tempo?",
    "features hml263 .": "did you mean ik263?",
    "clean m.csv --fps 0": "above 0",
    "features keypoints m.csv --fps 0": "above 0",
    "clean m.csv --minutes nan": "--minutes",
    "clean m.csv -o m.csv/n.csv": "below the file m.csv",
    "view m.csv -o m.csv/deep/n.html": "below the file m.csv",
    "features keypoints . --workers 0": "processes from 1",
    "features keypoints . --limit 0": "recordings from 1",
    "convert auto . --frames 0": "frames from 2",
    "clean m.csv --report page.pdf": "ends in .html",
    "compare m.csv --report .": "got a folder",
    "corrupt m.csv --seed 99999999999999999999": "--seed",
    "export m.csv --seq -1": "--seq",
}


@pytest.mark.parametrize("line", SLIPS)
def test_slips_are_told_at_once(line, tmp_path):
    table(tmp_path / "m.csv", ("nose", "tail"))
    code, heavy, err = cost(tmp_path, *line.split())
    assert code == (0 if "--help" in line else 2) and SLIPS[line] in err, err
    assert err.count("\n") == (0 if "--help" in line else 1), err
    assert not heavy
    assert os.listdir(tmp_path) == ["m.csv"]


EMPTY = (
    ["clean", ""],
    ["info", ""],
    ["clean", "m.csv", "-o", ""],
    ["clean", "m.csv", "--joints", ""],
    ["compare", "m.csv", "--methods", ""],
    ["corrupt", "m.csv", "--kinds", ""],
    ["embed", "m.csv", "--encoder", ""],
    ["train", "bilstm", ""],
    ["features", "keypoints", "m.csv", "--blend", ""],
)


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_word_names_nothing(words, tmp_path, capsys, monkeypatch):
    "It is what a script leaves of a variable that was not set."
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "m.csv", ("nose", "tail"))
    try:
        code = main(words)
    except SystemExit as end:  # a word that its option refuses
        code = end.code
    err = capsys.readouterr().err
    assert code == 2 and "got an empty word" in err and err.count("\n") == 1, err
    assert os.listdir(tmp_path) == ["m.csv"]


@pytest.mark.parametrize("line", ["features keypoints a/m.csv", "train bilstm a", "convert auto a"])
def test_a_file_where_a_folder_has_to_be(line, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    table(tmp_path / "a" / "m.csv", ("nose", "tail"))
    (tmp_path / "notes").write_text("precious")
    assert main([*line.split(), "-o", "notes"]) == 2
    err = capsys.readouterr().err
    assert "expected a folder, got a file" in err and err.count("\n") == 1, err
    assert (tmp_path / "notes").read_text() == "precious"


def test_a_sample_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "m.csv", ("nose", "tail"))
    assert main(["export", "m.csv", "--seq", "5", "-o", "n.csv"]) == 2
    assert "one recording, got 5" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["m.csv"]


def test_faults_have_suggestions_too(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "m.csv", ("nose", "tail"))
    assert main(["view", "m.csv", "--corrupt", "jump"]) == 2
    assert "did you mean add_jumps?" in capsys.readouterr().err


def test_outputs_have_names_when_nobody_gives_one(tmp_path):
    table(tmp_path / "m.csv", ("nose", "tail", "ear"))
    (tmp_path / "days").mkdir()
    table(tmp_path / "days" / "a.csv", ("nose", "tail", "ear"))
    assert main(["clean", str(tmp_path / "m.csv"), "--json"]) == 0
    assert main(["clean", str(tmp_path / "days"), "--json"]) == 0
    assert (tmp_path / "m.clean.csv").exists() and (tmp_path / "days.clean" / "a.csv").exists()


def test_counts_agree(tmp_path, capsys):
    path = table(tmp_path / "m.csv", ("nose", "tail", "ear"))
    capsys.readouterr()
    assert main(["clean", str(path), "-o", str(tmp_path / "a.csv"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    rows = (tmp_path / "a.csv.corrections.csv").read_text().count("\n") - 1
    assert made["changed"] == rows
    assert sum(made["found"].values()) - made["left"] + made["moved_along"] == made["changed"]


def test_no_returns_to_the_start_of_a_line_in_a_pipe(tmp_path):
    (tmp_path / "days").mkdir()
    table(tmp_path / "days" / "a.csv", ("nose", "tail", "ear"))
    compared = ("compare", "days/a.csv", "--minutes", "0.02")
    done = run(("clean", "days", "-o", "o"), compared, cwd=tmp_path)
    assert done.returncode == 0 and b"\r" not in done.stdout + done.stderr, done.stderr


def test_a_table_read_back_is_the_recording(tmp_path):
    path = table(tmp_path / "m.csv", ODD, jumps=False)
    assert read(path).actors[0].skeleton.joints == ODD


def test_what_libraries_log_does_not_reach_the_terminal(tmp_path):
    "One line is what a person gets, whatever a library says while it is stopped or fails."
    code = (
        "import logging, sys; from motionbook.core.command import Command, execute; from argparse import Namespace\n"
        "def run(args): logging.getLogger('a_library').warning('noise'); raise ValueError('reason')\n"
        "execute(Command('info', '', '', (), run), Namespace(json=False))\n"
        "logging.getLogger('a_library').warning('afterwards')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.stderr.splitlines() == ["motionbook info: reason", "afterwards"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_every_command_takes_and_gives_names_that_are_no_utf8(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(b"m\xe9us\xff")
    for folder in ("tracks", "bodies"):
        os.mkdir(odd + folder)
    for k in range(2):
        table(f"{odd}tracks/{odd}{k}.csv", ("nose", "left_ear", "right_ear", "tail"), frames=90)
        walk = person("walk", seconds=2, fps=30.0, seed=k)
        write(Scene((walk,)), f"{odd}bodies/{odd}{k}.bvh")
    one, body = f"{odd}tracks/{odd}0.csv", f"{odd}bodies/{odd}0.bvh"
    for line in (
        ("info", one),
        ("info", f"{odd}tracks"),
        ("clean", one, "--method", "hold", "--report", "--export-frames", f"{odd}.csv"),
        ("clean", f"{odd}bodies", "--method", "hold", "--report"),
        (
            "compare",
            one,
            "--report",
            f"c{odd}.html",
            "--methods",
            "hold,linear",
            "--minutes",
            "0.01",
        ),
        ("view", body, "-o", f"v{odd}.html"),
        ("view", body, "-o", f"v{odd}.png"),
        ("corrupt", f"{odd}tracks", "-o", f"b{odd}"),
        ("setup", "dlc", f"b{odd}", "--out", f"s{odd}"),
        ("features", "dlc", f"b{odd}", "--out", f"f{odd}", "--split", "--stats"),
        ("features", "ik263", f"{odd}bodies", "--out", f"i{odd}"),
        ("convert", "auto", f"{odd}bodies", "--out", f"k{odd}"),
        ("embed", f"k{odd}/canonical.pt", "--encoder", "hash", "--out", f"e{odd}.pt"),
        ("mix", f"k{odd}", f"k{odd}/canonical.pt", "--out", f"x{odd}"),
        ("export", body, "-o", f"e{odd}.motion"),
    ):
        assert main(list(line)) == 0, (line, capsys.readouterr().err)
    assert not shown(capsys.readouterr())
    assert any(n.startswith("m%E9us%FF0") for n in os.listdir(f"f{odd}"))
