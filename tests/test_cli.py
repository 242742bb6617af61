"The commands as people run them: forms, exit codes, one clear line for bad input, nothing lost."

import json
import subprocess
import sys

import pytest

from motionbook import Scene, read, write
from motionbook.core.animals import mouse
from motionbook.core.synthetic import person
from motionbook.filters.corruption import add_jumps


def motionbook(*args, cwd=None):
    run = [sys.executable, "-m", "motionbook.cli", *map(str, args)]
    return subprocess.run(run, capture_output=True, text=True, cwd=cwd)


def refused(done, *words):
    "Exit code 2, one line on stderr, no traceback, and the words that help."
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "mouse.csv"
    write(add_jumps(mouse(seconds=8, seed=1), rate=0.02, generator=1).scene, path)
    return path


def test_clean_writes_recording_corrections_and_report(broken, tmp_path):
    out = tmp_path / "out.csv"
    done = motionbook("clean", broken, "-o", out, "--report", tmp_path / "r.html", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["changed"] > 0 and made["method"].startswith("auto")
    assert (
        out.exists()
        and (tmp_path / "out.csv.corrections.csv").exists()
        and (tmp_path / "r.html").exists()
    )
    again = motionbook(
        "clean", broken, "-o", tmp_path / "b.csv", "--apply", tmp_path / "out.csv.corrections.csv"
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "b.csv").read_bytes() == out.read_bytes()


def test_folder_in_tree_out(broken, tmp_path):
    day = tmp_path / "in" / "day 1"
    day.mkdir(parents=True)
    (day / "a.csv").write_bytes(broken.read_bytes())
    write(Scene((person("walk", seconds=1, fps=30),)), tmp_path / "in" / "w.bvh")
    (tmp_path / "in" / "bad.trc").write_text("not a trc")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    done = motionbook("clean", tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert {f["path"]: f["status"] for f in json.loads(done.stdout)["files"]} == {
        "bad.trc": "failed",
        "day 1/a.csv": "cleaned",
        "w.bvh": "cleaned",
    }
    assert (tmp_path / "out" / "day 1" / "a.csv").exists() and (tmp_path / "out" / "w.bvh").exists()
    assert "bad.trc" in (tmp_path / "out" / "quarantine.jsonl").read_text()


@pytest.mark.parametrize(
    "content, words",
    [
        (None, ["absent.csv"]),
        (b"", ["empty"]),
        (b"\x00\x01\x02", []),
        (b"hello world\n", []),
        (b"scorer,a,a,a\nbodyparts,n,n,n\ncoords,x,y,likelihood\n", []),
    ],
)
def test_bad_input_is_one_line(content, words, tmp_path):
    path = tmp_path / "absent.csv"
    if content is not None:
        path.write_bytes(content)
    out = tmp_path / "out.csv"
    out.write_text("precious")
    for args in (
        ("clean", path, "-o", out),
        ("info", path),
        ("view", path, "-o", tmp_path / "v.html"),
    ):
        refused(motionbook(*args), *words)
    assert out.read_text() == "precious"


def test_odd_arguments(broken, tmp_path):
    refused(motionbook("clean", broken, "-o", broken), "input itself")
    refused(
        motionbook("clean", broken, "-o", tmp_path / "x.csv", "--method", "magic"), "magic", "pchip"
    )
    refused(motionbook("clean", broken, "-o", tmp_path / "x.doc"), "ends in")
    refused(motionbook("clean", broken, "-o", tmp_path / "x.csv", "--fps", "0"), "0")
    refused(motionbook("info", tmp_path), "fold")
    refused(motionbook("clean", tmp_path / "nowhere", "-o", tmp_path / "out"))
    assert motionbook("clean", broken).returncode == 2


def test_help_shows_an_example():
    for command in ("demo", "info", "clean", "view"):
        done = motionbook(command, "--help")
        assert done.returncode == 0 and f"example: motionbook {command}" in done.stdout


def test_info_and_view(broken, tmp_path):
    facts = json.loads(motionbook("info", broken, "--json").stdout)
    assert (facts["frames"], facts["fps_stated"]) == (240, False)
    assert (
        motionbook("view", broken, cwd=tmp_path).returncode == 0
        and (tmp_path / "mouse.html").exists()
    )
    assert len(read(broken)) == 240
