"DeepLabCut tables: real files, pandas as the independent reader, every dialect, hostile and broken files."

import contextlib
import os
import pickle
import time
from importlib.util import find_spec

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import edited, real_files, same

import motionbook
from motionbook.core.files import BadFile
from motionbook.core.motion import Motion, Scene
from motionbook.core.skeleton import Skeleton
from motionbook.formats.dlc.dlc import find_header, is_dlc, parse_csv, read_dlc, write_dlc
from motionbook.formats.dlc.dlc_h5 import has_tables

FILES = real_files("dlc/*/*.csv", "dlc/*/*.h5")


@pytest.fixture(autouse=True)
def pytables(monkeypatch):
    "Where PyTables is missing, tests that ask pandas for HDF5 are skipped, and the others run."
    if find_spec("tables") is None:
        skip = lambda *_, **__: pytest.skip("pandas reads HDF5 through PyTables: motionbook[dlc]")
        for owner, name in ((pd, "read_hdf"), (pd, "HDFStore"), (pd.DataFrame, "to_hdf")):
            monkeypatch.setattr(owner, name, skip)


@pytest.fixture
def path(request):
    if request.param is None:
        pytest.skip("no real recordings: set MOTIONBOOK_REAL_DATA")
    return request.param


def pandas_frame(path):
    if path.suffix == ".h5":
        return pd.read_hdf(path)
    levels = 4 if b"\nindividuals," in path.read_bytes()[:100_000] else 3
    return pd.read_csv(path, header=list(range(levels)), index_col=0)


# real recordings


@pytest.mark.parametrize("path", FILES or [None], indirect=True)
def test_unchanged_is_byte_identical(path, tmp_path):
    out = write_dlc(read_dlc(path), tmp_path / path.name)
    assert out.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", FILES or [None], indirect=True)
def test_agrees_with_pandas(path):
    scene, frame = read_dlc(path), pandas_frame(path)
    level = frame.columns.names.index("bodyparts")
    assert list(dict.fromkeys(frame.columns.get_level_values(level))) == list(
        dict.fromkeys(j for m in scene.actors for j in m.skeleton.joints)
    )
    got = torch.cat(
        [torch.cat([m.positions, m.confidence[..., None]], -1).flatten(1) for m in scene.actors], 1
    )
    want = torch.tensor(frame.to_numpy(np.float32))
    assert torch.equal(got[got.isfinite()], want[got.isfinite()])
    holes = got.isnan().reshape(len(got), -1, 3)[..., 0]
    assert (want.reshape(len(got), -1, 3)[holes] == 0).all()  # the only mark in these files


# the csv and h5 of single_animal are two recordings of one project
TWINS = [p for p in FILES if p.suffix == ".h5" and p.parent.name != "single_animal"]


@pytest.mark.parametrize("path", TWINS or [None], indirect=True)
def test_csv_and_h5_of_one_recording_agree(path):
    twin = path.with_name(path.name.replace("_h5_", "_csv_")).with_suffix(".csv")
    a, b = read_dlc(path), read_dlc(twin)
    frames = min(len(a), len(b))
    for m, n in zip(a.actors, b.actors, strict=True):
        assert (m.name, m.skeleton.joints) == (n.name, n.skeleton.joints)
        assert same(m.positions[:frames], n.positions[:frames])  # some csv stop a few frames early
        assert torch.equal(m.confidence[:frames], n.confidence[:frames])


def test_the_third_mark_counts_679_points():
    path = next((p for p in FILES if p.name.endswith("csv_table_madlc.csv")), None)
    if path is None:
        pytest.skip("no real recordings: set MOTIONBOOK_REAL_DATA")
    scene = read_dlc(path)
    assert sum(int((~m.observed).sum()) for m in scene.actors) == 679
    assert all((m.confidence[~m.observed] == 0).all() for m in scene.actors)


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".csv"] or [None], indirect=True)
def test_one_change_touches_two_tokens(path, tmp_path):
    scene = read_dlc(path)
    joint = int(scene.actors[0].observed[1].float().argmax())
    new = edited(scene, joint=joint)
    out = write_dlc(new, tmp_path / "out.csv")
    a, b = (p.read_bytes().split(b"\n") for p in (path, out))
    lines = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    assert len(lines) == 1
    assert sum(x != y for x, y in zip(*[line.split(b",") for line in lines[0]], strict=True)) == 2
    back = read_dlc(out)
    for m, n in zip(new.actors, back.actors):
        assert torch.allclose(m.positions, n.positions, atol=6e-4, equal_nan=True)


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".h5"] or [None], indirect=True)
def test_one_change_touches_two_numbers(path, tmp_path):
    new = edited(read_dlc(path))
    out = write_dlc(new, tmp_path / "out.h5")
    a, b = path.read_bytes(), out.read_bytes()
    assert len(a) == len(b) and 0 < sum(x != y for x, y in zip(a, b)) <= 16
    old, frame = pd.read_hdf(path), pd.read_hdf(out)
    assert (old.to_numpy() != frame.to_numpy()).sum() == 2
    assert all(same(m.positions, n.positions) for m, n in zip(new.actors, read_dlc(out).actors))


@pytest.mark.parametrize("path", FILES or [None], indirect=True)
def test_the_front_door_knows_them(path):
    scene = motionbook.read(path, fps=25)
    assert scene.meta["format"] == "dlc" and scene.fps == 25 and scene.meta["fps_stated"]


# every dialect

COLUMNS = {
    3: pd.MultiIndex.from_product(
        [["net"], ["nose", "tail"], ["x", "y", "likelihood"]],
        names=["scorer", "bodyparts", "coords"],
    ),
    4: pd.MultiIndex.from_product(
        [["net"], ["m1", "m2"], ["nose", "tail"], ["x", "y", "likelihood"]],
        names=["scorer", "individuals", "bodyparts", "coords"],
    ),
}


def table(levels=3, frames=20, seed=0, columns=None):
    columns = COLUMNS[levels] if columns is None else columns
    x = np.random.default_rng(seed).uniform(1, 500, (frames, len(columns)))
    frame = pd.DataFrame(x, columns=columns)
    p = columns.get_level_values(-1) == "likelihood"
    frame.loc[:, p] /= 501
    return frame


def positions(frame):
    "All coordinates in the file's order, as float32."
    keep = [c for c in frame.columns if c[-1] in ("x", "y", "z")]
    return torch.tensor(frame[keep].to_numpy(np.float32))


def doubtful(scene):
    "The scene with another likelihood for the last point of its last actor, the last cell of a row."
    m = scene.actors[-1]
    conf = m.confidence.clone()
    conf[3, -1] = 0.125
    return scene.replace(actors=(*scene.actors[:-1], m.replace(confidence=conf)))


def all_positions(scene):
    return torch.cat([m.positions.flatten(1) for m in scene.actors], 1)


def as_saved(frame, how, path):
    text = frame.to_csv(lineterminator="\n")
    if how == "crlf":
        text = text.replace("\n", "\r\n")
    elif how == "cr":
        text = text.replace("\n", "\r")
    elif how == "bom":
        text = "\ufeff" + text
    elif how == "semicolons":
        text = text.replace(",", ";")
    elif how == "german":
        text = text.replace(",", ";").replace(".", ",")
    elif how == "tabs":
        text = text.replace(",", "\t")
    elif how == "quotes":
        text = (
            "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines())
            + "\n"
        )
    elif how == "blanks":
        text = text.replace(",", ", ")
    elif how == "trailing commas":
        text = text.replace("\n", ",,\n") + ",,,\n" * 3
    elif how == "no last newline":
        text = text[:-1]
    elif how == "blank lines":
        text = text + "\n\n"
    elif how == "numbered scorers":
        lines = text.split("\n")
        first = lines[0].split(",")
        lines[0] = ",".join([*first[:2], *(f"{c}.{i + 1}" for i, c in enumerate(first[2:]))])
        text = "\n".join(lines)
    elif how == "pandas":
        path.write_text(text)
        text = pd.read_csv(path, dtype=str).to_csv(lineterminator="\n")
    elif how == "separator line":
        text = "sep=,\n" + text
    elif how == "a title":
        text = "tracked by,us,on Monday\n" + text
    elif how == "utf-16":
        path.write_bytes(text.encode("utf-16"))
        return path
    elif how == "latin-1":
        path.write_bytes(text.replace("nose", "Schnäuzchen").encode("latin-1"))
        return path
    elif how == "fixed digits":
        text = frame.to_csv(lineterminator="\n", float_format="%.4f")
    path.write_bytes(text.encode())
    return path


DIALECTS = (
    "plain,crlf,cr,bom,semicolons,german,tabs,quotes,blanks,trailing commas,no last newline,blank lines,"
    "numbered scorers,pandas,separator line,a title,utf-16,latin-1,fixed digits"
).split(",")


@pytest.mark.parametrize("levels", [3, 4])
@pytest.mark.parametrize("how", DIALECTS)
def test_dialects(how, levels, tmp_path):
    frame = table(levels)
    frame.iloc[3, 0:2] = np.nan
    path = as_saved(frame, how, tmp_path / "in.csv")
    scene = read_dlc(path)
    assert is_dlc(path, path.read_bytes()[:65536])
    assert scene.meta["levels"] == levels and scene.meta["scorer"] == "net"
    want = positions(frame)
    atol = 1.2e-4 if how == "fixed digits" else 0
    assert torch.allclose(all_positions(scene), want, atol=atol, rtol=0, equal_nan=True)
    assert scene.actors[0].confidence[3, 0] == 0
    assert write_dlc(scene, tmp_path / "same.csv").read_bytes() == path.read_bytes()
    new = doubtful(edited(edited(scene), frame=3))
    out = write_dlc(new, tmp_path / "out.csv")
    assert read_dlc(out).actors[-1].confidence[3, -1] == 0.125
    assert torch.allclose(
        all_positions(read_dlc(out)), all_positions(new), atol=1.2e-4, rtol=0, equal_nan=True
    )
    assert len(out.read_bytes().splitlines()) == len(path.read_bytes().splitlines())
    if how == "fixed digits":
        assert {
            len(c.partition(".")[2])
            for c in out.read_text().splitlines()[levels + 3].split(",")[1:]
        } == {4}
    if how in ("crlf", "quotes"):
        assert out.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\r\n")
        assert out.read_bytes().count(b'"') == path.read_bytes().count(b'"')


@pytest.mark.parametrize("layout", ["fixed", "table"])
@pytest.mark.parametrize("key", ["df_with_missing", "keypoints", "tracks", "deep/inside/a/group"])
@pytest.mark.parametrize("levels", [3, 4])
def test_h5_layouts(layout, key, levels, tmp_path):
    frame = table(levels)
    frame.iloc[3, 0:2] = np.nan
    frame.to_hdf(tmp_path / "in.h5", key=key, mode="w", format=layout)
    scene = read_dlc(tmp_path / "in.h5")
    assert torch.allclose(all_positions(scene), positions(frame), atol=0, rtol=0, equal_nan=True)
    assert write_dlc(scene, tmp_path / "same.h5").read_bytes() == (tmp_path / "in.h5").read_bytes()
    new = edited(scene, frame=3)
    again = pd.read_hdf(write_dlc(new, tmp_path / "out.h5"), key=key)
    assert torch.allclose(positions(again), all_positions(new), atol=0, rtol=0, equal_nan=True)
    assert again.columns.equals(frame.columns)


@pytest.mark.parametrize(
    "case",
    [
        "float32",
        "mixed dtypes",
        "zlib",
        "integers",
        "numeric parts",
        "images",
        "no likelihood",
        "3-D",
        "with a set column",
    ],
)
@pytest.mark.parametrize("layout", ["fixed", "table"])
@pytest.mark.filterwarnings("ignore")
def test_h5_kinds(case, layout, tmp_path):
    frame, args = table(), {}
    if case == "float32":
        frame = frame.astype(np.float32)
    elif case == "mixed dtypes":
        frame = frame.astype({c: np.float32 for c in frame.columns[2::3]})
    elif case == "zlib":
        args = dict(complib="zlib", complevel=5)
    elif case == "integers":
        frame = frame.astype({c: np.int64 for c in frame.columns if c[-1] != "likelihood"})
    elif case == "numeric parts":
        names = frame.columns.names
        frame.columns = pd.MultiIndex.from_product(
            [["net"], [1, "b"], ["x", "y", "likelihood"]], names=names
        )
    elif case == "images":
        frame.index = [f"labeled-data/video/img{i:03}.png" for i in range(len(frame))]
    elif case == "no likelihood":
        frame = frame[[c for c in frame.columns if c[-1] != "likelihood"]]
    elif case == "3-D":
        frame = frame.rename(columns={"likelihood": "z"}, level="coords")
    elif case == "with a set column":
        frame[("set", "", "")] = "train"
    frame.to_hdf(tmp_path / "in.h5", key="df", mode="w", format=layout, **args)
    scene = read_dlc(tmp_path / "in.h5")
    assert torch.equal(all_positions(scene), positions(frame))
    assert (scene.actors[0].confidence is None) == (case in ("no likelihood", "3-D"))
    if case == "numeric parts":
        assert scene.actors[0].skeleton.joints == ("1", "b")
    if case == "images":
        assert scene.meta["frame_labels"][2] == "labeled-data/video/img002.png"
    new = edited(scene, by=2.0)
    out = write_dlc(new, tmp_path / "out.h5")
    again = pd.read_hdf(out)
    assert torch.equal(positions(again), all_positions(new))
    assert (again.dtypes == frame.dtypes).all()


def test_the_key_option_and_the_first_that_fits(tmp_path):
    with pd.HDFStore(tmp_path / "in.h5", "w") as store:
        store.put("a_bones", pd.DataFrame({"length": [1.0, 2.0]}))
        store.put("tracks", table(3, frames=7))
        store.put("zzz", table(4, frames=9))
    assert len(read_dlc(tmp_path / "in.h5")) == 7
    assert len(read_dlc(tmp_path / "in.h5", key="zzz")) == 9
    with pytest.raises(BadFile, match="/a_bones, /tracks, /zzz"):
        read_dlc(tmp_path / "in.h5", key="other")
    with pytest.raises(BadFile):
        read_dlc(tmp_path / "in.h5", key="a_bones")


def test_other_programs_tables(tmp_path):
    "Flat names (SimBA, anipose), labelled frames with three index columns, extra coordinates (Lightning Pose)."
    p = tmp_path / "t.csv"
    imported = ["IMPORTED_POSE"] * 3
    p.write_text(
        f",{','.join(imported)}\n,{','.join(imported)}\n,Ear_left_1_x,Ear_left_1_y,Ear_left_1_p\n0,5.5,6.5,0.9\n1,0.0,0.0,0.0\n"
    )
    m = read_dlc(p).actors[0]
    assert m.skeleton.joints == ("Ear_left_1",) and m.observed[:, 0].tolist() == [True, False]
    p.write_text(
        "nose_x,nose_y,nose_z,nose_error,nose_ncams,nose_score,fnum\n1.5,2.5,3.5,0.1,3,0.8,0\n,,,,,,1\n"
    )
    scene = read_dlc(p)
    assert scene.actors[0].positions.shape == (2, 1, 3) and scene.meta["units"] == "file"
    assert scene.actors[0].observed[:, 0].tolist() == [True, False]
    p.write_text(
        "scorer,,,anna,anna\nbodyparts,,,1,1\ncoords,,,x,y\nlabeled-data,v,img1.png,1.5,2.5\nlabeled-data,v,img2.png,,\n"
    )
    scene = read_dlc(p)
    assert (
        scene.actors[0].skeleton.joints == ("1",)
        and scene.meta["frame_labels"][1] == "labeled-data/v/img2.png"
    )
    p.write_text(
        "scorer,n,n,n,n,set\nbodyparts,a,a,a,a,\ncoords,x,y,likelihood,x_var,\nimg1.png,1,2,0.5,9,train\nimg2.png,3,4,0.5,9,test\n"
    )
    scene = read_dlc(p)
    write_dlc(edited(scene), p)
    assert p.read_text().splitlines()[-1] == "img2.png,4.5,5.5,0.5,9,test"


def test_frame_numbers_and_index_names(tmp_path):
    p = tmp_path / "t.csv"
    head = "scorer,n,n\nbodyparts,a,a\ncoords,x,y\n"
    p.write_text(head + "frame,,\n10,1,2\n11,3,4\n")
    assert read_dlc(p).meta["frame_labels"] == ("10", "11")
    p.write_text(head + "img_a.png,,\nimg_b.png,3,4\n")
    assert read_dlc(p).actors[0].observed[:, 0].tolist() == [False, True]


def test_missing_marks_stay_and_are_followed(tmp_path):
    "A point that goes missing gets the mark that the file uses."
    p = tmp_path / "t.csv"
    head = "scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n"
    for mark, new in (
        ("-1.0,-1.0,-1.0", "-1.0,-1.0,0.9"),
        ("0.0,0.0,0.0", "0.0,0.0,0.0"),
        (",,", ",,0.9"),
        ("nan,nan,1.0", "nan,nan,0.9"),
    ):
        p.write_text(head + f"0,5.25,6.25,0.9\n1,{mark}\n2,7.25,8.25,0.9\n")
        scene = read_dlc(p)
        m = scene.actors[0]
        pos = m.positions.clone()
        pos[2] = torch.nan
        write_dlc(scene.replace(actors=(m.replace(positions=pos),)), p)
        assert p.read_text().splitlines()[4:] == [f"1,{mark}", f"2,{new}"]
        assert read_dlc(p).actors[0].observed[:, 0].tolist() == [True, False, False]


def test_a_filled_point_says_what_the_scene_says(tmp_path):
    p = tmp_path / "t.csv"
    p.write_text(
        "scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,5.125,6.25,0.95\n1,,,1.0\n"
    )
    scene = read_dlc(p)
    m = scene.actors[0]
    for conf, text in ((0.0, "0.0"), (0.5, "0.5")):
        c = m.confidence.clone()
        c[1] = conf
        new = scene.replace(
            actors=(m.replace(positions=m.positions.nan_to_num(3.5), confidence=c),)
        )
        write_dlc(new, tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_text().splitlines()[-1] == f"1,3.5,3.5,{text}"
        assert read_dlc(tmp_path / "out.csv").actors[0].confidence[1, 0] == conf


def test_a_point_that_lands_on_a_mark_stays_a_point(tmp_path):
    p = tmp_path / "t.csv"
    p.write_text(
        "scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,5.125,6.125,0.0\n1,3.5,2.5,0.0\n"
    )
    scene = read_dlc(p)
    for value in (0.0, -1.0):
        pos = scene.actors[0].positions.clone()
        pos[0] = value
        write_dlc(
            scene.replace(actors=(scene.actors[0].replace(positions=pos),)), tmp_path / "out.csv"
        )
        assert read_dlc(tmp_path / "out.csv").actors[0].observed.all()


# new files


@pytest.mark.parametrize("suffix", [".csv", ".h5"])
@pytest.mark.parametrize("actors", [1, 3])
def test_fresh_files_open_in_pandas(suffix, actors, tmp_path):
    g = torch.Generator().manual_seed(3)
    parts = Skeleton("odd", ("a, b", 'say "hi"', "Butt/Proximal Tail", "12"))
    pos = torch.rand(actors, 30, 4, 2, generator=g) * 500
    pos[:, 4, 1] = torch.nan
    scene = Scene(
        tuple(Motion(p, parts, 25.0, name=n) for p, n in zip(pos, ("m1", "m1", "single")))
    )
    path = write_dlc(scene, tmp_path / f"new{suffix}")
    assert path.read_bytes() == write_dlc(scene, tmp_path / f"again{suffix}").read_bytes()
    levels = 3 if actors == 1 else 4
    frame = (
        pd.read_hdf(path)
        if suffix == ".h5"
        else pd.read_csv(path, header=list(range(levels)), index_col=0)
    )
    assert frame.columns.names == (
        ["scorer", "bodyparts", "coords"]
        if levels == 3
        else ["scorer", "individuals", "bodyparts", "coords"]
    )
    assert frame.index.tolist() == list(range(30))
    assert torch.allclose(positions(frame), all_positions(scene), atol=0, rtol=0, equal_nan=True)
    back = read_dlc(path)
    assert [m.skeleton.joints for m in back.actors] == [parts.joints] * actors
    assert len({m.name for m in back.actors}) == actors
    assert (back.actors[0].confidence == back.actors[0].observed.float()).all()


def test_csv_to_h5_and_back(tmp_path):
    frame = table(4)
    frame.iloc[2:4, :2] = np.nan
    frame.to_csv(tmp_path / "in.csv")
    scene = read_dlc(tmp_path / "in.csv")
    h5 = read_dlc(write_dlc(scene, tmp_path / "out.h5"))
    csv = read_dlc(write_dlc(h5, tmp_path / "out.csv"))
    for other in (h5, csv):
        assert other.meta["scorer"] == "net"
        for a, b in zip(scene.actors, other.actors):
            assert (
                a.name == b.name
                and same(a.positions, b.positions)
                and torch.equal(a.confidence, b.confidence)
            )


def test_other_frames_make_a_fresh_file(tmp_path):
    table().to_csv(tmp_path / "in.csv")
    scene = read_dlc(tmp_path / "in.csv")
    half = scene.map(lambda m: m.replace(positions=m.positions[::2], confidence=m.confidence[::2]))
    assert len(read_dlc(write_dlc(half, tmp_path / "out.csv"))) == 10


# bad and hostile files


HEAD = "scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n"


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "empty"),
        ("scorer,n,n\n", "header"),
        (HEAD, "at least one frame"),
        (HEAD + "0,1,2,0.5\n1,3\n2,3,4,0.5\n", "line 5"),
        (HEAD + "0,1,2,0.5,7,7\n", "expected 4 cells, got 6 (line 4)"),
        (HEAD + "0,1,2,0.5\n1,1,2,0.5,9\n", "line 5"),
        (HEAD + "0,1,2,0.5\n1,1,two,0.5\n", "'two' (line 5, column 3)"),
        (HEAD.replace("coords,x,y", "coords,x,x"), "header"),
        ("scorer,n,n,n,n\nbodyparts,a,a,a,a\ncoords,x,y,x,y\n0,1,2,3,4\n", "'a' twice"),
        ("scorer,n,n,n,n\nbodyparts,a,a,b,b\ncoords,x,y,x,likelihood\n0,1,2,3,4\n", "no y"),
        (HEAD + "0,1,2,0.5\n\0\0\0\n", "binary"),
        ("length,width\n1,2\n", "DeepLabCut header"),
    ],
)
def test_bad_csv(text, says, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode())
    with pytest.raises(BadFile) as err:
        read_dlc(path)
    assert says in str(err.value) and "\n" not in str(err.value)


def test_a_last_row_that_ends_early(tmp_path):
    "Missing, as pandas has it; a number that the end of the file cut through is missing too."
    path = tmp_path / "short.csv"
    path.write_text(HEAD + "0,1,2,0.5\n1,3\n")
    scene = read_dlc(path)
    assert scene.actors[0].observed[:, 0].tolist() == [True, False]
    assert "the last row has 2 cells of 4" in scene.meta["notes"][0]
    assert write_dlc(scene, tmp_path / "same.csv").read_bytes() == path.read_bytes()
    x = scene.actors[0].positions.clone()
    x[1, 0] = torch.tensor([3.0, 4.0])
    m = scene.actors[0].replace(positions=x, confidence=torch.full((2, 1), 0.5))
    write_dlc(scene.replace(actors=(m,)), tmp_path / "full.csv")
    assert read_dlc(tmp_path / "full.csv").actors[0].positions[1, 0].tolist() == [3, 4]
    path.write_text(HEAD + "0,1,2,0.5\n1,3,4")
    assert read_dlc(path).actors[0].observed[:, 0].tolist() == [True, False]


def test_an_empty_likelihood_is_not_zero(tmp_path):
    path = tmp_path / "movement.csv"
    rows = "".join(f"{i},{i}.5,2.5,\n" for i in range(9))
    path.write_text(HEAD + rows)
    scene = read_dlc(path)
    assert scene.actors[0].confidence is None and scene.actors[0].observed.all()
    assert write_dlc(scene, tmp_path / "same.csv").read_bytes() == path.read_bytes()
    path.write_text(HEAD + rows + "9,1.5,2.5,0.25\n")
    assert read_dlc(path).actors[0].confidence[:, 0].tolist() == [1.0] * 9 + [0.25]


def test_an_index_that_leaves_frames_out_leaves_a_hole(tmp_path):
    path = tmp_path / "hole.csv"
    path.write_text(HEAD + "".join(f"{i},{i}.5,2.5,0.9\n" for i in (10, 11, 12, 17, 18)))
    scene = read_dlc(path)
    m = scene.actors[0]
    assert m.observed[:, 0].tolist() == [True] * 3 + [False] * 4 + [True] * 2
    assert m.positions[7, 0, 0] == 17.5 and scene.meta["frame_labels"][3] == "13"
    assert "leaves out 4 frames" in scene.meta["notes"][0]
    assert write_dlc(scene, tmp_path / "same.csv").read_bytes() == path.read_bytes()
    x = m.positions.clone()
    x[7, 0, 0] = 20.0
    write_dlc(scene.replace(actors=(m.replace(positions=x),)), tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text() == path.read_text().replace("17,17.5", "17,20.0")
    path.write_text(HEAD + "".join(f"{i},{i}.5,2.5,0.9\n" for i in (0, 5, 10)))
    assert len(read_dlc(path)) == 3


@pytest.mark.parametrize("places", [0, 3])
def test_an_index_in_milliseconds_says_the_rate(places, tmp_path):
    path, frame = tmp_path / "stamps.csv", table(3).iloc[:12]
    stamps = [f"{1000 * t / 30:.{places}f}" for t in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13)]
    frame.set_axis(stamps, axis=0).to_csv(path)
    scene = read_dlc(path)
    assert (len(scene), scene.fps, scene.meta["fps_stated"]) == (14, 30, True)
    assert not scene.actors[0].observed[6:8].any() and scene.actors[0].observed[8].any()
    assert any("milliseconds: 30 frames per second" in n for n in scene.meta["notes"])
    write_dlc(scene, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".h5"])
def test_an_index_in_seconds_says_the_rate(suffix, tmp_path):
    path, frame = tmp_path / f"seconds{suffix}", table(3).iloc[:12]
    at = [*range(9), 11, 12, 13]
    frame.index = [round(t / 30, 3) for t in at]
    frame.to_csv(path) if suffix == ".csv" else frame.to_hdf(path, key="df")
    scene = read_dlc(path)
    assert (scene.fps, scene.meta["fps_stated"], len(scene)) == (30.0, True, 14)
    assert any("seconds: 30 frames per second" in n for n in scene.meta["notes"])
    assert any("leaves out 2 frames" in n for n in scene.meta["notes"])
    assert not scene.actors[0].observed[9:11].any() and scene.meta["frame_labels"][9] == "0.300"
    assert read_dlc(path, fps=50).fps == 50
    assert write_dlc(scene, tmp_path / f"same{suffix}").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "index, says",
    [
        ((0, 2, 1, 3), "not sorted"),
        ((0, 1, 1, 2), "repeats numbers (1 rows)"),
        ((0, 1, 0, 1), "not sorted (it steps back 1 times) and repeats numbers (2 rows)"),
        ((0.0, 0.1, 0.35, 0.4), "no even times"),
        ((0.0, 0.033, 0.033, 0.067), "repeats numbers (1 rows)"),
    ],
)
def test_an_index_that_contradicts_itself_is_said(index, says, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(HEAD + "".join(f"{k},{i}.5,2.5,0.9\n" for i, k in enumerate(index)))
    scene = read_dlc(path)
    assert len(scene) == 4 and scene.actors[0].positions[:, 0, 0].tolist() == [0.5, 1.5, 2.5, 3.5]
    (note,) = scene.meta["notes"]
    assert says in note and "in their order" in note
    assert (scene.fps, scene.meta["fps_stated"]) == (30.0, False)


def test_likelihood_in_percent(tmp_path):
    path = tmp_path / "percent.csv"
    path.write_text(HEAD + "0,1.5,2.5,99.5\n1,1.5,2.5,50.0\n2,1.5,2.5,0.5\n")
    scene = read_dlc(path)
    assert scene.actors[0].confidence[:, 0].allclose(torch.tensor([0.995, 0.5, 0.005]))
    assert "percent" in scene.meta["notes"][0]
    m = scene.actors[0]
    c = m.confidence.clone()
    c[1] = 0.25
    write_dlc(
        scene.replace(actors=(Motion(m.positions, m.skeleton, m.fps, confidence=c),)),
        tmp_path / "new.csv",
    )
    assert (tmp_path / "new.csv").read_text() == path.read_text().replace("50.0", "25.0")


def test_labels_by_hand_say_so(tmp_path):
    path = tmp_path / "CollectedData.csv"
    path.write_text(HEAD + "labeled/img003.png,1,2,0.5\nlabeled/img001.png,1,3,0.5\n")
    scene = read_dlc(path)
    assert scene.meta["hand_labels"] and "not a track" in scene.meta["notes"][0]


@pytest.mark.parametrize("word", ["naN", "-NAN", "1.#IND", "N/A", "null"])
def test_every_spelling_of_not_a_number(word, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(HEAD + f"0,1,2,0.5\n1,{word},{word},0.5\n")
    assert read_dlc(path).actors[0].observed[:, 0].tolist() == [True, False]


@pytest.mark.parametrize(
    "parts", [["NA", "nan", "None", "null"], ["=1+1", "+nose", "@tail", "-ear"]]
)
def test_names_that_a_table_could_take_for_something_else(parts, tmp_path):
    path = tmp_path / "names.csv"
    head = [",".join(["scorer", *["n"] * 12])]
    head += [",".join(["bodyparts", *(p for p in parts for _ in range(3))])]
    head += [",".join(["coords", *["x", "y", "likelihood"] * 4]), "0" + ",1.5,2.5,0.9" * 4]
    path.write_text("\n".join(head) + "\n")
    scene = read_dlc(path)
    assert scene.actors[0].skeleton.joints == tuple(parts)
    for name in ("same.csv", "other.h5"):
        back = read_dlc(write_dlc(scene, tmp_path / name))
        assert back.actors[0].skeleton.joints == tuple(parts)


def test_a_line_without_end_is_refused_soon(tmp_path):

    path = tmp_path / "long.csv"
    for text in ("scorer," + "a" * (20 << 20), "scorer," + "a," * 2_000_000):
        path.write_text(text + "\n")
        start = time.process_time()
        with pytest.raises(BadFile) as err:
            read_dlc(path)
        assert time.process_time() - start < 5 and len(str(err.value)) < 400


def test_two_people_in_one_file(tmp_path):
    "Their scorers numbered by pandas."
    path = tmp_path / "two.csv"
    path.write_text("scorer,anna,anna.1,ben,ben.1\nbodyparts,a,a,a,a\ncoords,x,y,x,y\n0,1,2,3,4\n")
    assert [(m.name, m.positions.tolist()) for m in read_dlc(path).actors] == [
        ("anna", [[[1, 2]]]),
        ("ben", [[[3, 4]]]),
    ]


def test_strange_but_sensible_csv(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(HEAD + "0,1,2,0.5\n")
    assert len(read_dlc(path)) == 1
    path.write_text(HEAD + "0,inf,2,0.5\n1,1e300,2,0.5\n2,3,4,7\n3,3,4,\n4,0,0,0.5\n")
    m = read_dlc(path).actors[0]
    assert m.observed[:, 0].tolist() == [False, False, True, True, True]
    assert m.confidence[:, 0].tolist() == [0, 0, 1, 1, 0.5]  # nobody said anything of the fourth
    path.write_text(HEAD + "".join(f"{i},,,\n" for i in range(5)))
    assert not read_dlc(path).actors[0].observed.any()
    for bad in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="frame rate"):
            read_dlc(path, fps=bad)
    with pytest.raises(BadFile):
        read_dlc(tmp_path)
    with pytest.raises(BadFile):
        read_dlc(tmp_path / "absent.csv")


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def test_pickles_in_h5_do_not_run(tmp_path):
    "In every place where pandas or PyTables would unpickle; the last check shows that they do."
    marker = tmp_path / "marker"
    evil = np.bytes_(pickle.dumps(Payload(marker), 0))
    table().to_hdf(tmp_path / "t.h5", key="df", mode="w", format="table")
    table().to_hdf(tmp_path / "f.h5", key="df", mode="w")
    for attr, where in (
        ("non_index_axes", "df"),
        ("info", "df"),
        ("values_block_0_kind", "df/table"),
        ("FLAVOR", "df/table"),
        ("CLASS", "df/table"),
        ("TITLE", "/"),
    ):
        path = tmp_path / "evil.h5"
        path.write_bytes((tmp_path / "t.h5").read_bytes())
        with h5py.File(path, "r+") as f:
            f[where].attrs[attr] = evil
        try:
            read_dlc(path)
        except BadFile as err:
            assert "\n" not in str(err)
        assert not marker.exists(), attr
    path = tmp_path / "evil_level.h5"
    path.write_bytes((tmp_path / "f.h5").read_bytes())
    with h5py.File(path, "r+") as f:
        for axis in ("axis0", "block0_items"):
            name = f"df/{axis}_level1"
            old = dict(f[name].attrs)
            del f[name]
            d = f.create_dataset(name, (1,), dtype=h5py.vlen_dtype(np.uint8))
            d[0] = np.frombuffer(pickle.dumps(Payload(marker)), np.uint8)
            d.attrs.update(
                {k: v for k, v in old.items() if isinstance(v, bytes)}
                | {"CLASS": np.bytes_("VLARRAY"), "PSEUDOATOM": np.bytes_("object")}
            )
            d.attrs["kind"] = np.bytes_("object")
    with pytest.raises(BadFile, match="nothing in it was run"):
        read_dlc(path)
    assert not marker.exists()
    path = tmp_path / "evil.h5"
    path.write_bytes((tmp_path / "t.h5").read_bytes())
    with h5py.File(path, "r+") as f:
        f["df"].attrs["non_index_axes"] = evil
    with contextlib.suppress(Exception):
        pd.read_hdf(path)
    assert marker.exists()


@pytest.mark.parametrize(
    "case, says",
    [
        ("link", "a table saved by pandas"),
        ("external", "expected a dataset 'block0_values'"),
        ("huge", "no larger than their file"),
    ],
)
def test_h5_stays_inside_its_file(case, says, tmp_path):
    "External links, data in other files, and claims of half a terabyte."
    table().to_hdf(tmp_path / "t.h5", key="df", mode="w")
    path = tmp_path / f"{case}.h5"
    if case == "link":
        with h5py.File(path, "w") as f:
            f["df"] = h5py.ExternalLink(str(tmp_path / "t.h5"), "/df")
        assert not has_tables(path)
    else:
        path.write_bytes((tmp_path / "t.h5").read_bytes())
        with h5py.File(path, "r+") as f:
            del f["df/block0_values"]
            if case == "external":
                f["df"].create_dataset(
                    "block0_values", (20, 6), "f8", external=[(str(tmp_path / "t.h5"), 0, 960)]
                )
            else:
                f["df"].create_dataset("block0_values", (10**10, 6), "f8", chunks=(1000, 6))
            f["df/block0_values"].attrs["transposed"] = np.uint8(1)
    with pytest.raises(BadFile, match=says):
        read_dlc(path)


def test_blocks_that_lie_the_other_way(tmp_path):
    "pandas stores a block transposed and says so; without the mark it lies as [column, frame]."
    frame = table()
    frame.to_hdf(tmp_path / "in.h5", key="df", mode="w")
    with h5py.File(tmp_path / "in.h5", "r+") as f:
        x = f["df/block0_values"][:]
        old = {k: v for k, v in f["df/block0_values"].attrs.items() if isinstance(v, bytes)}
        del f["df/block0_values"]
        f["df"].create_dataset("block0_values", data=x.T).attrs.update(old)
    assert torch.equal(positions(pd.read_hdf(tmp_path / "in.h5")), positions(frame))
    scene = edited(read_dlc(tmp_path / "in.h5"))
    assert torch.equal(
        all_positions(read_dlc(write_dlc(scene, tmp_path / "out.h5"))), all_positions(scene)
    )


@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_truncated_h5(layout, tmp_path):
    table().to_hdf(tmp_path / "t.h5", key="df", mode="w", format=layout)
    raw = (tmp_path / "t.h5").read_bytes()
    for n in (8, 100, 1000, len(raw) // 2, len(raw) - 1):
        (tmp_path / "cut.h5").write_bytes(raw[:n])
        with pytest.raises(BadFile):
            read_dlc(tmp_path / "cut.h5")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    table().to_csv(tmp_path / "in.csv")
    scene = read_dlc(tmp_path / "in.csv")
    before = (tmp_path / "in.csv").read_bytes()
    monkeypatch.setattr("motionbook.formats.dlc.dlc.format_number", lambda x, habit: "12345")
    with pytest.raises(BadFile, match="nothing was replaced"):
        write_dlc(edited(scene), tmp_path / "in.csv")
    assert (tmp_path / "in.csv").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_header_is_found_in_the_beginning_alone():
    raw = table(4).to_csv().encode()
    assert find_header(raw[:400]).columns == parse_csv(raw).header.columns


@pytest.mark.parametrize(
    "head",
    [
        "bodyparts,nose,nose.1,nose.2,tail,tail.1,tail.2\ncoords,x,y,likelihood,x,y,likelihood",
        "scorer,net,net.1,net.2,net.3,net.4,net.5\nbodyparts,nose,nose,nose,tail,tail,tail\n"
        "coords,x,y,likelihood,x,y,likelihood",
        ",nose,nose.1,nose.2,tail,tail.1,tail.2\n0,x,y,likelihood,x,y,likelihood",
        "individuals,m,m.1,m.2,m.3,m.4,m.5\nbodyparts,nose,nose,nose,tail,tail,tail\n"
        "coords,x,y,likelihood,x,y,likelihood",
    ],
)
def test_names_that_pandas_numbered(head, tmp_path):
    "One header row was read as names: `nose`, `nose.1`, `nose.2` are one body part."
    path = tmp_path / "a.csv"
    rows = [f"{t},{t}.25,20,0.9,{30 + t},40,0.8" for t in range(12)]
    path.write_text("\n".join([head, *rows]) + "\n")
    scene = motionbook.read(path)
    (m,) = scene.actors
    assert m.skeleton.joints == ("nose", "tail")
    assert m.positions[3].tolist() == [[3.25, 20], [33, 40]]
    assert m.confidence[3].tolist() == pytest.approx([0.9, 0.8])
    out = motionbook.write(edited(scene, frame=3, joint=0), tmp_path / "b.csv").read_text()
    assert out.startswith(head) and motionbook.write(scene, path).read_text() == "\n".join(
        [head, *rows, ""]
    )


def test_numbered_body_parts_stay_apart(tmp_path):
    "`tail` and `tail.1` with two columns each are two body parts."
    (tmp_path / "a.csv").write_text(
        "bodyparts,tail,tail,tail.1,tail.1\ncoords,x,y,x,y\n" + "0,1,2,3,4\n1,2,3,4,5\n"
    )
    assert motionbook.read(tmp_path / "a.csv").actors[0].skeleton.joints == ("tail", "tail.1")


def test_one_odd_word_in_a_large_table_costs_seconds(tmp_path):
    frame = table(levels=3, frames=20_000)
    path = tmp_path / "a.csv"
    frame.to_csv(path)
    text = path.read_text()
    at = text.rindex(",", 0, len(text) - 100)
    path.write_text(text[: at + 1] + " n/a " + text[text.index(",", at + 1) :])
    began = time.process_time()
    motionbook.read(path)
    assert time.process_time() - began < 4
    path.write_text(text[: at + 1] + "odd" + text[text.index(",", at + 1) :])
    with pytest.raises(BadFile, match="expected a number or an empty cell, got 'odd'"):
        motionbook.read(path)
