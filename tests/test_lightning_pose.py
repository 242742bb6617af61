"Lightning Pose csv: told from DeepLabCut's, the further columns read and kept word for word."

import numpy as np
import pandas as pd
import pytest
import torch

import motionbook
import motionbook.formats.dlc.lightning_pose
from motionbook.core.files import BadFile
from motionbook.formats.dlc.lightning_pose import (
    is_lightning_pose,
    read_lightning_pose,
    write_lightning_pose,
)
from motionbook.formats.registry import find_format
from motionbook.synthetic.people import mouse

torch.set_num_threads(1)
PARTS = ("nose", "paw_l", "paw_r")
EKS = "x y likelihood x_ens_median y_ens_median x_ens_var y_ens_var x_posterior_var y_posterior_var".split()


def frame(scorer="ensemble-kalman_tracker", coords=EKS, frames=30, seed=0):
    names = ["scorer", "bodyparts", "coords"]
    columns = pd.MultiIndex.from_product([[scorer], PARTS, coords], names=names)
    x = np.random.default_rng(seed).uniform(0, 1, (frames, len(columns)))
    x[:, [c[-1] in ("x", "y") for c in columns]] *= 500
    return pd.DataFrame(x, columns=columns)


@pytest.fixture
def path(tmp_path):
    frame().to_csv(tmp_path / "clip_view0.csv")
    return tmp_path / "clip_view0.csv"


def styled(text, how):
    return {
        "plain": text.encode(),
        "crlf": text.replace("\n", "\r\n").encode(),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "semicolons": text.replace(",", ";").encode(),
        "utf16": text.encode("utf-16"),
    }[how]


@pytest.mark.parametrize("how", ["plain", "crlf", "bom", "semicolons", "utf16"])
def test_reads_and_stays_byte_identical(how, path, tmp_path):
    path.write_bytes(styled(path.read_text(), how))
    scene = motionbook.read(path)
    table = frame()
    m = scene.actors[0]
    assert scene.meta["format"] == "lightning_pose" and not scene.meta["fps_stated"]
    assert m.skeleton.joints == PARTS
    for word in EKS[3:]:
        want = table.xs(word, axis=1, level="coords").to_numpy(np.float32)
        assert torch.equal(m.meta[word], torch.from_numpy(want.copy()))
    assert torch.equal(
        m.positions[..., 1],
        torch.from_numpy(table.xs("y", axis=1, level="coords").to_numpy(np.float32).copy()),
    )
    assert motionbook.write(scene, tmp_path / "same.csv").read_bytes() == path.read_bytes()


def test_one_change_keeps_every_other_token(path, tmp_path):
    scene = motionbook.read(path)
    m = scene.actors[0]
    pos = m.positions.clone()
    pos[7, 1] = torch.tensor([12.5, 13.25])
    out = motionbook.write(scene.replace(actors=(m.replace(positions=pos),)), tmp_path / "new.csv")
    cells = [[line.split(",") for line in p.read_text().split("\n")] for p in (path, out)]
    changed = [
        (i, k)
        for i, (a, b) in enumerate(zip(*cells, strict=True))
        for k, (p, q) in enumerate(zip(a, b, strict=True))
        if p != q
    ]
    assert changed == [(10, 10), (10, 11)]
    assert torch.equal(motionbook.read(out).actors[0].meta["x_ens_var"], m.meta["x_ens_var"])


def test_train_set_column_and_partial_columns(tmp_path):
    "Predictions on labelled frames have image names as index and a `set` column; older smoothers write fewer columns."
    table = frame("heatmap_mhcrnn_tracker", ["x", "y", "likelihood", "zscore"])
    table = table.drop(columns=[("heatmap_mhcrnn_tracker", "paw_l", "zscore")])
    table.index = [f"labeled-data/v/img{i:03d}.png" for i in range(len(table))]
    table[("set", "", "")] = "train"
    path = tmp_path / "predictions.csv"
    table.to_csv(path)
    scene = motionbook.read(path, fps=25)
    m = scene.actors[0]
    assert (
        scene.fps == 25 and m.skeleton.joints == PARTS and scene.meta["format"] == "lightning_pose"
    )
    assert m.meta["zscore"][:, 1].isnan().all() and m.meta["zscore"][:, 0].isfinite().all()
    assert write_lightning_pose(scene, tmp_path / "same.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("scorer, mine", [
    ("heatmap_tracker", True), ("heatmap_mhcrnn_tracker", True), ("regression_tracker", True),
    ("heatmap_multiview_transformer_tracker", True), ("ensemble-kalman_tracker", True),
    ("DLC_resnet50_mayMay1shuffle1_1030000", False), ("anna", False), ("tracker", False),
])  # fmt: skip
def test_the_scorer_tells(scorer, mine, tmp_path):
    path = tmp_path / "a.csv"
    frame(scorer, ["x", "y", "likelihood"]).to_csv(path)
    assert is_lightning_pose(path, path.read_bytes()) == mine
    assert find_format(path).name == ("lightning_pose" if mine else "dlc")


def test_the_columns_tell(tmp_path):
    path = tmp_path / "a.csv"
    frame("anna", ["x", "y", "likelihood", "x_ens_var", "y_ens_var"]).to_csv(path)
    assert find_format(path).name == "lightning_pose"


def test_real_dlc_files_stay_dlc(real_data):
    files = sorted(p for p in (real_data / "dlc").glob("*/*") if p.suffix in (".csv", ".h5"))
    assert len(files) >= 8
    for p in files:
        assert not is_lightning_pose(p, p.read_bytes()[:65536])
        assert find_format(p).name == "dlc" and motionbook.read(p).meta["format"] == "dlc"


def test_new_files(tmp_path):
    scene = mouse(0.5, seed=2)
    path = write_lightning_pose(scene, tmp_path / "new.csv")
    back = motionbook.read(path)
    assert back.meta["format"] == "lightning_pose"
    assert torch.equal(
        back.actors[0].positions.nan_to_num(-7), scene.actors[0].positions.nan_to_num(-7)
    )


def test_bad_files(path, tmp_path):
    good = path.read_text()
    for text in (
        good[:900],
        good[:-40],
        "\n".join(good.split("\n")[:3]) + "\n",
        good.replace(",0.", ",oops.", 9),
    ):
        path.write_text(text)
        with pytest.raises(BadFile, match="clip_view0.csv: ") as err:
            read_lightning_pose(path)
        assert "\n" not in str(err.value)
    with pytest.raises(BadFile, match="a folder"):
        read_lightning_pose(tmp_path)
