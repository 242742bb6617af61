"The commands as people run them: forms, exit codes, one clear line for bad input, nothing lost."

import contextlib
import io
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from motionbook import Scene, read, write
from motionbook.cli import main
from motionbook.filters.corrupt.corruption import add_jumps
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person


def motionbook(*args):
    "The command in this process; a process of its own spends seconds on imports each time."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*map(str, args)])
        except SystemExit as stop:
            code = stop.code
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def motionbook_process(*args, cwd=None):
    "The command as people start it."
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
    report = tmp_path / "r.html"
    done = motionbook_process("clean", broken, "-o", out, "--report", report, "--json")
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
    (tmp_path / "empty").mkdir()
    refused(motionbook("info", tmp_path / "empty"), "fold")
    refused(motionbook("clean", tmp_path / "nowhere", "-o", tmp_path / "out"))
    assert motionbook("clean").returncode == 2


def test_help_shows_an_example():
    for command in ("demo", "info", "clean", "view"):
        done = motionbook(command, "--help")
        assert done.returncode == 0 and f"example: motionbook {command}" in done.stdout


def test_info_and_view(broken, tmp_path):
    facts = json.loads(motionbook("info", broken, "--json").stdout)
    assert (facts["frames"], facts["fps_stated"]) == (240, False)
    assert (
        motionbook_process("view", broken, cwd=tmp_path).returncode == 0
        and (tmp_path / "mouse.html").exists()
    )
    assert len(read(broken)) == 240


def test_info_draws_samples_when_it_is_asked_to(broken, tmp_path):
    from motionbook.schema.sample import make_sample, save_canonical
    from motionbook.synthetic.people import two_people

    samples = [
        make_sample(
            Scene((person("walk", 2.0, 25.0, seed=1),)), "synthetic", "side", subject="anna"
        ),
        make_sample(two_people(2.0, 25.0, seed=1), "pairs"),
    ]
    path = save_canonical(tmp_path / "canonical.pt", samples)
    for name, mark in (("a.png", b"\x89PNG"), ("b.svg", b"<?xml"), ("c.pdf", b"%PDF")):
        done = motionbook("info", path, "--pictures", tmp_path / name, "--json")
        made = json.loads(done.stdout)
        assert made["pictures"] == str(tmp_path / name) and made["datasets"][0]["samples"] == 2
        assert (tmp_path / name).read_bytes().startswith(mark)
    before = path.read_bytes()
    refused(motionbook("info", path, "--pictures", path), "the input itself")
    refused(motionbook("info", path, "--pictures", tmp_path / "x.doc"), "ends in .png", "'.doc'")
    refused(motionbook("info", broken, "--pictures", tmp_path / "x.png"), "motionbook view")
    assert path.read_bytes() == before and not list(tmp_path.glob("x.*"))
    shown = tmp_path / "anna.html"
    assert motionbook("view", path, "--subject", "anna", "-o", shown).returncode == 0
    refused(motionbook("view", path, "--subject", "bob", "-o", shown), "among anna", "bob")


def test_info_reads_a_table_of_samples(tmp_path):
    pytest.importorskip("pyarrow")
    from motionbook.schema.sample import make_sample, save_canonical
    from motionbook.synthetic.people import two_people

    made = [make_sample(two_people(1.0, 25.0, seed=k), "pairs", key=f"p{k}") for k in range(3)]
    path = save_canonical(tmp_path / "canonical.pt", made)
    table = tmp_path / "clips.parquet"
    assert motionbook("export", path, "-o", table).returncode == 0
    told = json.loads(motionbook("info", table, "--pictures", tmp_path / "t.png", "--json").stdout)
    (facts,), (same,) = (
        told["datasets"],
        json.loads(motionbook("info", path, "--json").stdout)["datasets"],
    )
    assert facts | {"name": ""} == same | {"name": ""} and facts["samples"] == 3
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
    table.write_bytes(table.read_bytes()[:500])
    refused(motionbook("info", table), "a Parquet file")


def test_info_reads_a_training_store(tmp_path):
    from motionbook.schema.sample import make_sample, save_canonical
    from motionbook.synthetic.people import two_people

    made = [make_sample(two_people(1.0, 25.0, seed=k), "pairs", key=f"p{k}") for k in range(3)]
    path = save_canonical(tmp_path / "canonical.pt", made)
    store = tmp_path / "train_store"
    assert motionbook("mix", path, "-o", store).returncode == 0
    told = json.loads(motionbook("info", store, "--json").stdout)
    (facts,) = told["datasets"]
    frames = sum(len(s["motion"]) for s in made)
    assert told["kind"] == "store" and not told.get("problems")
    assert facts["store"] | {"shards": 1} == facts["store"]
    assert (facts["store"]["samples"], facts["store"]["frames"]) == (3, frames)
    said = motionbook("info", store).stdout
    assert f"training store: 3 samples, {frames} frames, 1 shards, with no embeddings" in said
    (store / "index.safetensors").unlink()
    refused(motionbook("info", store), "a training store")


def test_compare_names_a_method_or_says_why_not(broken, tmp_path):
    page = tmp_path / "methods.html"
    long = tmp_path / "long.csv"
    write(add_jumps(mouse(seconds=60, seed=1), rate=0.02, generator=1).scene, long)
    args = ("--minutes", "0.2", "--methods", "hold,linear,pchip", "--report", page, "--json")
    done = motionbook("compare", long, *args)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["winner"] in ("linear", "pchip") and set(made["rows"]) == {
        "hold",
        "linear",
        "pchip",
    }
    assert "Which method is best" in page.read_text()
    short = tmp_path / "short.csv"
    write(mouse(seconds=1, seed=1), short)
    done = motionbook("compare", short)
    assert done.returncode == 0 and "too short" in done.stdout
    refused(motionbook("compare", broken, "--methods", "magic"), "magic")


def test_auto_compares_when_it_is_given_time(broken, tmp_path):
    done = motionbook("clean", broken, "-o", tmp_path / "o.csv", "--minutes", "0.3", "--json")
    assert done.returncode == 0, done.stderr
    notes = json.loads(done.stdout)["notes"]
    assert any("compare" in n for n in notes) and not any("not compared" in n for n in notes)


def test_frames_to_label_again(broken, tmp_path):
    table = tmp_path / "labeled-data" / "film" / "machinelabels.csv"
    done = motionbook("clean", broken, "-o", tmp_path / "o.csv", "--export-frames", table, "--json")
    assert done.returncode == 0, done.stderr
    frames = json.loads(done.stdout)["frames_to_label"]
    assert frames == sorted(frames) and 0 < len(frames) <= 20
    assert len(table.read_text().splitlines()) >= len(frames) + 3
    walk = tmp_path / "w.bvh"
    write(Scene((person("walk", seconds=1, fps=30),)), walk)
    refused(motionbook("clean", walk, "-o", tmp_path / "o.bvh", "--export-frames", table), "2-D")


def test_what_cannot_be_exported_is_refused_before_the_work(broken, tmp_path, capsys):
    from motionbook.cli import main

    out, table, film = tmp_path / "o.csv", tmp_path / "new" / "t.csv", tmp_path / "film.mp4"
    film.write_bytes(b"a film")
    cases = {
        ("--video", film): "goes with --report or --export-frames",
        ("--export-frames", table, "--video", tmp_path / "none.mp4"): "is not there",
        ("--export-frames", tmp_path / "t.txt"): "ends in .csv",
    }
    for extra, why in cases.items():
        assert main([*map(str, ("clean", broken, "-o", out, *extra))]) == 2
        err = capsys.readouterr().err
        assert why in err and err.count("\n") == 1, err
        assert not out.exists() and not table.parent.exists()


@pytest.fixture
def dataset(tmp_path):
    from motionbook.formats.marker_h5.marker_h5 import write_marker_h5
    from motionbook.synthetic.people import person_markers

    walks = [Scene((person_markers(person("walk", 1, 60, seed=s)),)) for s in range(3)]
    folder = tmp_path / "markers"
    write_marker_h5(folder, walks)
    return folder


def test_a_marker_dataset_is_listed_shown_and_cleaned(dataset, tmp_path):
    done = motionbook("info", dataset)
    assert done.returncode == 0 and "3 sequences" in done.stdout, done.stdout + done.stderr
    page = tmp_path / "m.html"
    for extra in (("--seq", "1"), ("--all", "--no-loop"), ("--corrupt", "--checkpoint", "pchip")):
        done = motionbook("view", dataset, "-o", page, "--meshcat", *extra)
        assert done.returncode == 0, done.stderr
    h5 = next(dataset.rglob("time_sequences.h5"))
    out = tmp_path / "clean" / "time_sequences.h5"
    done = motionbook("clean", h5, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert (out.parent / "infoData.npy").exists()
    (facts,) = json.loads(motionbook("info", out, "--json").stdout)["datasets"]
    assert facts["sequences"] == 3


@pytest.mark.parametrize("name", ["out.trc", "out.csv", "out", "time_sequences.npy"])
def test_a_marker_dataset_under_a_wrong_ending_is_refused(dataset, tmp_path, capsys, name):
    from motionbook.cli import main

    out = tmp_path / "clean" / name
    h5 = next(dataset.rglob("time_sequences.h5"))
    assert main(["clean", str(h5), "-o", str(out)]) == 2
    err = capsys.readouterr().err
    assert name in err and "ends in .h5" in err and err.count("\n") == 1, err
    assert not out.parent.exists()


def test_view_draws_on_a_video(tmp_path):
    import imageio_ffmpeg
    import numpy as np

    recording, movie = mouse(seconds=1, seed=1), tmp_path / "film.mp4"
    path = tmp_path / "mouse.csv"
    write(recording, path)
    film = imageio_ffmpeg.write_frames(str(movie), (640, 480), fps=30)
    film.send(None)
    for _ in range(len(recording)):
        film.send(np.zeros((480, 640, 3), np.uint8))
    film.close()
    done = motionbook("view", path, "--video", movie, "-o", tmp_path / "drawn.mp4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "drawn.mp4").stat().st_size > 1000
    write(mouse(seconds=3, seed=1), path)
    refused(motionbook("view", path, "--video", movie, "-o", tmp_path / "x.mp4"), "frames")
    refused(motionbook("view", path, "--first", 3, "-o", tmp_path / "x.html"), "--video")
