"""DeepLabCut from beginning to end: the lines of the quick start, as a person types them, on animals nobody recorded."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import real_files

from motionbook.cleanup.track_evaluation import (
    evaluate_dlc_cleanup,
    generate_evaluation_report,
    verdict,
)
from motionbook.cli import main
from motionbook.features.points.dlc_dataframe import dlc_dataframe_to_features
from motionbook.formats.registry import read, write
from motionbook.synthetic.people import mouse


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "Four good recordings of two mice, and one that is to be cleaned."
    lab = tmp_path_factory.mktemp("lab")
    for seed in range(4):
        write(mouse(seconds=5, fps=30, seed=seed, animals=2), lab / "tracks" / f"pair{seed}.csv")
    write(mouse(seconds=6, fps=30, seed=9, animals=2), lab / "whole.csv")
    return lab


def run(line, *more):
    assert main([*line.split(), *map(str, more)]) == 0, line


def test_every_line_of_the_quick_start(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(lab)
    run("corrupt whole.csv -o your_corrupted_data.csv --mode test --seed 3 --fps 30")
    before = (lab / "your_corrupted_data.csv").read_bytes()
    # 1. Setup pipeline
    run("setup dlc tracks --out dataset/dlc_motion --likelihood-threshold 0.6 --fps 30")
    ready = json.loads((lab / "dataset/dlc_motion/setup.json").read_text())
    assert (ready["likelihood_threshold"], ready["fps"]) == (0.6, 30)
    assert [t["side"] for t in ready["tracks"]].count("train") == 3
    # 3. Clean your data
    run("clean your_corrupted_data.csv -o your_cleaned_data.csv --fps 30")
    assert (lab / "your_corrupted_data.csv").read_bytes() == before
    # Evaluation metrics
    capsys.readouterr()
    run("evaluate dlc your_corrupted_data.csv your_cleaned_data.csv --likelihood-threshold 0.6 --fps 30 --labels your_corrupted_data.csv.labels.npz -o figures.json")  # fmt: skip
    said = capsys.readouterr().out
    for words in ("Acceleration reduction", "Trajectory correlation", "Mean displacement"):
        assert words in said
    figures = json.loads((lab / "figures.json").read_text())
    assert figures["error_broken"] < 0.7 * figures["error_broken_before"]
    assert figures["verdict"][0] in "✅⚠"


@pytest.mark.slow
def test_the_lines_that_train_and_use_what_was_trained(lab, monkeypatch):
    "2. Train model, with a network and steps so few that only the way is tested."
    monkeypatch.chdir(lab)
    tiny = "--layers 1 --heads 2 --width 16 --window 32 --stretch 64 --holes 1 --doubts 1 --draws 8"
    run(
        f"train stablemotion tracks -o save/stablemotion_dlc --batch-size 4 --num-steps 2 --likelihood-threshold 0.6 --fps 30 {tiny}"
        " --zero-init --diffusion-steps 25 --noise-schedule linear --predict-xstart --lr 1e-4 --weight-decay 0.01 --gradient-clip 1.0 --model-ema 0.9"  # fmt: skip
    )
    told = (lab / "save/stablemotion_dlc/model/config.json").read_text()
    assert json.loads(told)["noise"]["noise_schedule"] == "linear"
    run("corrupt tracks/pair0.csv -o corrupted.csv --mode test --fps 30")
    run("clean corrupted.csv -o cleaned.csv --method save/stablemotion_dlc --fps 30")
    run(
        "clean corrupted.csv -o every.csv --method save/stablemotion_dlc --fps 30 --ProbDetNum 1 --ProbDetTh 0.7 --ensemble --num-ensemble 2 --enable-sits"
    )
    assert read(lab / "every.csv", fps=30).actors[0].observed.all()
    assert read(lab / "cleaned.csv", fps=30).actors[0].observed.all()


def test_the_examples_in_python(lab):
    table = pd.read_csv(lab / "whole.csv", header=[0, 1, 2, 3], index_col=0)
    assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
    result = dlc_dataframe_to_features(table, likelihood_threshold=0.6)
    assert result["metadata"]["animal_names"] == ["mouse1", "mouse2"]
    assert len(result["features"]) == len(table)
    metrics = evaluate_dlc_cleanup(table, table, likelihood_threshold=0.6)
    assert "Nothing was changed" in generate_evaluation_report(metrics)


def smooth(m):
    "A mean over one second: calm, and wrong wherever the animal turns."
    x = torch.nn.functional.pad(m.positions.flatten(1).T[None], (15, 15), mode="replicate")
    return m.replace(positions=x[0].unfold(1, 31, 1).mean(-1).T.reshape(m.positions.shape))


def test_harm_overturns_good_figures(lab):
    before = read(lab / "whole.csv", fps=30)
    metrics = evaluate_dlc_cleanup(before, before.map(smooth))
    assert metrics["acceleration_reduction"] > 50 and metrics["trajectory_correlation"] > 0.98
    assert verdict(metrics).startswith("❌ Harmful") and metrics["good_moved_far"] > 0.3
    tremor = before.map(lambda m: m.replace(positions=m.positions + 0.3))
    assert evaluate_dlc_cleanup(before, tremor)["good_moved_far"] == 0.0


def test_what_cannot_be_known_is_not_a_good_verdict(lab):
    "A recording in which nothing can be vouched for is doubted, not praised."
    before = read(lab / "whole.csv", fps=30)
    before = before.map(lambda m: m.replace(positions=m.positions[:6], confidence=m.confidence[:6]))
    gone = before.map(lambda m: m.replace(positions=m.positions * torch.nan))
    for a, b in ((before, gone), (gone, before)):
        assert verdict(evaluate_dlc_cleanup(a, b))[0] != "✅"


@pytest.mark.parametrize("ending", ["csv", "analysis.h5", "npz"])
def test_other_trackers_go_the_same_way(ending, tmp_path, capsys):
    name = {"csv": "dlc", "analysis.h5": "sleap", "npz": "npz"}[ending]
    for seed in range(2):
        write(mouse(seconds=3, fps=30, seed=seed, animals=2), tmp_path / "in" / f"a{seed}.{ending}")
    run(f"corrupt {tmp_path}/in -o {tmp_path}/broken --mode test --seed 1")
    run(f"setup {name} {tmp_path}/broken --out {tmp_path}/ready --bodyparts nose neck spine --bone-pairs nose:neck neck:spine --reference-bodyparts spine")  # fmt: skip
    ready = json.loads((tmp_path / "ready" / "setup.json").read_text())
    assert ready["bodyparts"] == ["nose", "neck", "spine"] and ready["reference"][1] == "spine"
    assert ready["bone_pairs"] == [["nose", "neck"], ["neck", "spine"]] * 2
    with np.load(tmp_path / "ready" / "stats.npz") as stats:
        assert all(np.isfinite(stats[k]).all() for k in stats if stats[k].dtype.kind == "f")
    run(f"clean {tmp_path}/broken/a0.{ending} -o {tmp_path}/clean.{ending} --method pchip")
    run(
        f"evaluate dlc {tmp_path}/broken/a0.{ending} {tmp_path}/clean.{ending} --bone-pairs nose:neck"
    )


def test_other_choices_are_not_taken_for_those_of_an_earlier_run(lab, tmp_path, capsys):
    line = f"setup dlc {lab}/tracks --out {tmp_path}/ready --fps 30"
    run(line)
    kept = (tmp_path / "ready" / "setup.json").read_bytes()
    run(line)
    assert main([*line.split(), "--bodyparts", "nose", "neck", "spine"]) == 2
    assert "other options" in capsys.readouterr().err
    assert (tmp_path / "ready" / "setup.json").read_bytes() == kept


@pytest.mark.parametrize("path", real_files("dlc/**/test2*.h5"), ids=str)
def test_real_tables_are_made_ready(path, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(path, tmp_path / "in")
    run(f"setup dlc {tmp_path}/in --out {tmp_path}/ready --likelihood-threshold 0.6 --fps 30")
    (row,) = json.loads((tmp_path / "ready" / "setup.json").read_text())["tracks"]
    assert row["frames"] == 100 and 0 <= row["corrupted"] <= 1
