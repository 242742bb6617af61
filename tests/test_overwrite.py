"No command writes over what it was given, by whatever name; two outputs never meet in one file."

import os
import shutil

import pytest

from motionbook import Scene, write
from motionbook.cli import main
from motionbook.formats.marker_h5.marker_h5 import write_marker_h5
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person, person_markers


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    "A folder of things that people give to commands."
    box = tmp_path_factory.mktemp("given")
    write(mouse(seconds=2, seed=1), box / "m.csv")
    write(mouse(seconds=2, seed=1), box / "x.csv.corrections.csv")
    write(Scene((person("walk", 1, 30),)), box / "w.bvh")
    write(Scene((person("walk", 1, 30),)), box / "many" / "w.bvh")
    (box / "walk.amc").write_text("#!OML:ASF\n:FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 0 0 0 0 0\n")
    (box / "walk.asf").write_text("# AST/ASF file\n:version 1.10\n:name VICON\n")
    walks = [Scene((person_markers(person("walk", 1, 60, seed=s)),)) for s in range(2)]
    write_marker_h5(box / "markers", walks)
    (box / "film.mp4").write_bytes(b"a film")
    (box / "table.csv").write_text("apply,actor,frame,point,after_x,after_y\n")
    (box / "run.yaml").write_text("hidden: 8\n")
    shutil.copytree(
        os.path.join(os.path.dirname(__file__), "../motionbook/assets/human"), box / "model"
    )
    os.link(box / "m.csv", box / "hard.csv")
    (box / "soft.csv").symlink_to("m.csv")
    (box / "other").symlink_to("many")
    return box


def contents(box):
    return {p: p.read_bytes() for p in box.rglob("*") if p.is_file()}


LINES = [
    "clean m.csv -o n.csv --report m.csv",
    "clean m.csv -o n.csv --export-frames m.csv",
    "compare w.bvh --report w.bvh",
    "clean x.csv.corrections.csv -o x.csv",
    "clean m.csv -o m.csv",
    "clean m.csv -o ./many/../m.csv",
    "clean m.csv -o hard.csv",
    "clean m.csv -o soft.csv",
    "clean soft.csv -o m.csv",
    "clean m.csv -o n.csv --report hard.csv",
    "clean m.csv -o n.csv --report soft.csv",
    "clean m.csv -o table.csv --apply table.csv",
    "clean m.csv -o n.csv --apply table.csv --report table.csv",
    "clean m.csv -o n.csv --apply table.csv --export-frames table.csv",
    "clean m.csv -o n.csv --apply n.csv.corrections.csv",
    "clean m.csv -o n.csv --export-frames frames.csv --video film.mp4 --report film.mp4",
    "clean m.csv -o n.csv --method model --report model/config.json",
    "clean m.csv -o n.csv --method model --export-frames model/new.csv --report model/skeleton.json",
    "clean walk.amc -o n.amc --report walk.asf",
    "clean markers/time_sequences.h5 -o markers/n.h5 --report markers/infoData.npy",
    "clean many -o many",
    "clean many -o many/clean",
    "clean many -o .",
    "clean many -o other",
    "clean other -o many",
    "clean m.csv -o n.csv --report n.csv",
    "clean m.csv -o n.csv --report N.csv",
    "clean m.csv -o n.csv --report n.csv.corrections.csv",
    "clean m.csv -o n.csv --export-frames n.csv",
    "clean m.csv -o n.csv --export-frames n.csv.corrections.csv",
    "clean m.csv -o n.csv --report frames.csv --export-frames frames.csv",
    "view w.bvh -o w.bvh",
    "view m.csv --video film.mp4 -o film.mp4",
    "view m.csv --checkpoint model -o model",
    "view markers -o markers/time_sequences.h5",
    "compare m.csv --methods hold,model --report model/manifest.json",
    "features keypoints many --out many",
    "features keypoints many --out .",
    "features keypoints many --out other",
    "features keypoints w.bvh --out .",
    "train bilstm many -o many",
    "train bilstm many -o .",
    "train bilstm many --config run.yaml -o run.yaml",
    "train bilstm many --config model/config.json -o model",
]


@pytest.mark.parametrize("line", LINES)
def test_what_was_given_is_never_written_over(line, given, monkeypatch, capsys):
    monkeypatch.chdir(given)
    if "n.csv.corrections.csv" in line and "--apply" in line:
        (given / "n.csv.corrections.csv").write_text("apply,actor,frame,point,after_x,after_y\n")
    before = contents(given)
    try:
        code = main(line.split())
    except SystemExit as e:
        code = e.code
    err = capsys.readouterr().err
    after = contents(given)
    (given / "n.csv.corrections.csv").unlink(missing_ok=True)
    assert after == before, "something was written"
    assert code == 2 and err.count("\n") == 1, err


def test_a_second_run_may_replace_its_own_results(given, tmp_path, monkeypatch):
    monkeypatch.chdir(given)
    for _ in range(2):
        assert main(["clean", "m.csv", "-o", str(tmp_path / "n.csv"), "--report", "--json"]) == 0
        assert main(["view", "m.csv", "-o", str(tmp_path / "n.html")]) == 0
        assert main(["features", "keypoints", "many", "--out", str(tmp_path / "f"), "--json"]) == 0
    assert (tmp_path / "n.csv.html").exists()


def test_a_bare_report_lies_beside_each_output(given, tmp_path, monkeypatch):
    monkeypatch.chdir(given)
    assert main(["clean", "m.csv", "--report", "-o", str(tmp_path / "n.csv")]) == 0
    assert b"<!doctype html>" in (tmp_path / "n.csv.html").read_bytes()
    assert main(["clean", "many", "-o", str(tmp_path / "many"), "--report"]) == 0
    assert b"<!doctype html>" in (tmp_path / "many" / "w.bvh.html").read_bytes()
