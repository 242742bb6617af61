"The reins: one set of settings for Python, the command line and a YAML file, and what they hold back."

from dataclasses import fields

import pytest
import torch
from helpers import same

from motionbook import Scene, clean, read, write
from motionbook.cleanup.clean import make_cleaner
from motionbook.cleanup.command import CLEAN
from motionbook.cli import main
from motionbook.filters.corrupt.corruption import corrupt
from motionbook.filters.settings import CleanSettings
from motionbook.synthetic.animals import mouse
from motionbook.synthetic.people import person

pytestmark = pytest.mark.usefixtures("one_thread")
PLAN = {
    "add_jumps": {"rate": 0.02, "size": 0.4},
    "dropout": {"rate": 0.03, "likelihood": "low", "max_len": 12},
}


@pytest.fixture(scope="module")
def broken() -> Scene:
    return corrupt(mouse(seconds=8, seed=1), PLAN, 3).scene


@pytest.fixture(scope="module")
def usual(broken):
    return clean(broken, "pchip")


@pytest.fixture
def track(broken, tmp_path):
    return write(broken, tmp_path / "mouse.csv")


def changed(done):
    return done.changed()[0]


# ---------------------------------------------------------------- one set of settings


def test_every_field_is_an_option_and_none_is_said_twice():
    flags = [f for o in CLEAN.options for f in o.flags]
    assert {"--" + f.name.replace("_", "-") for f in fields(CleanSettings)} <= set(flags)
    assert len(flags) == len(set(flags))
    assert all(f.metadata["about"] for f in fields(CleanSettings))


def test_python_the_command_line_and_a_file_mean_the_same(broken, track, tmp_path):
    reins = dict(likelihood=0.3, trust=0.9, max_gap=0.2, not_joints=("nose", "neck"))
    words = "--likelihood 0.3 --trust 0.9 --max-gap 0.2 --not-joints nose,neck".split()
    lines = "likelihood: 0.3\ntrust: 0.9\nmax_gap: 0.2\nnot_joints: [nose, neck]\n"
    (tmp_path / "lab.yaml").write_text(lines)
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    common = ["clean", str(track), "--method", "pchip", "-o"]
    assert main([*common, str(a), *words]) == 0
    assert main([*common, str(b), "--config", str(tmp_path / "lab.yaml")]) == 0
    write(clean(read(track), "pchip", **reins).scene, tmp_path / "c.csv")
    by_file = clean(read(track), "pchip", settings=tmp_path / "lab.yaml")
    write(by_file.scene, tmp_path / "d.csv")
    assert len({(tmp_path / f"{n}.csv").read_bytes() for n in "abcd"}) == 1


def test_what_is_typed_wins_over_the_file(track, tmp_path):
    (tmp_path / "lab.yaml").write_text("joints: [nose]\nfill_only: true\n")
    done = clean(read(track), "pchip", settings=tmp_path / "lab.yaml", fill_only=False)
    moved = changed(done).any(0)
    assert moved.nonzero().flatten().tolist() == [done.scene.actors[0].skeleton.index("nose")]


# ---------------------------------------------------------------- what is held back


def test_joints_and_their_opposite_part_the_changes(broken, usual):
    only = clean(broken, "pchip", joints=("nose", "tail"))  # one by name, one by role
    rest = clean(broken, "pchip", not_joints=("nose", "tail"))
    a, b = changed(only), changed(rest)
    s = broken.actors[0].skeleton
    named = {s.index("nose"), s.index("tail")}
    assert set(a.any(0).nonzero().flatten().tolist()) == named
    assert not set(b.any(0).nonzero().flatten().tolist()) & named
    assert torch.equal(a | b, changed(usual))
    held = ~changed(rest)
    assert same(rest.scene.actors[0].positions[held], broken.actors[0].positions[held])


def test_what_is_trusted_is_never_touched(broken, usual):
    sure = broken.actors[0].observed & (broken.actors[0].confidence > 0.9)
    assert (changed(usual) & sure).any()
    for fidelity in ("outliers", "all"):
        done = clean(broken, "median", fidelity, trust=0.9)
        assert changed(done).any() and not (changed(done) & sure).any()


def test_more_candidates_are_more_flags(broken):
    few, some, many = (
        int(sum(clean(broken, "hold", likelihood=p).counts().values())) for p in (0.0, 0.6, 0.97)
    )
    assert few < some <= many


def test_sensitivity_moves_the_bar(broken, usual):
    n = [
        int(clean(broken, "hold", sensitivity=s).flagged[0].sum())
        for s in (0.1, 0.4, 1.0, 4.0, 20.0)
    ]
    assert n == sorted(n) and len(set(n)) >= 4, n
    assert torch.equal(clean(broken, "pchip", sensitivity=1).flagged[0], usual.flagged[0])


def test_fill_only_and_smooth_are_the_two_ends(broken):
    filled, smoothed = (clean(broken, "median", **{k: True}) for k in ("fill_only", "smooth"))
    assert not (changed(filled) & broken.actors[0].observed).any()
    assert smoothed.flagged[0].all() and changed(smoothed).float().mean() > 0.5
    assert (filled.fidelity, smoothed.fidelity) == ("missing", "all")


def test_the_first_frame_can_be_kept():
    walk = person("walk", seconds=2, fps=30, seed=1)
    x = walk.positions.clone()
    x[0, 3] += 0.5
    x[30, 3] += 0.5
    broken = Scene((walk.replace(positions=x),))
    assert changed(clean(broken, "pchip"))[0, 3]
    done = clean(broken, "pchip", keep_first_frame=True)
    assert not changed(done)[0].any() and changed(done)[30, 3]
    assert "the first frame is left as it is" in done.notes
    alone = Scene((walk.replace(positions=x[:1]),))
    assert not changed(clean(alone, "pchip", keep_first_frame=True)).any()


def test_joints_of_a_tree_keep_their_angles(tmp_path):
    walk = Scene((person("walk", seconds=2, fps=60, seed=1),))
    bad = corrupt(walk, {"add_jumps": {"rate": 0.02, "joints": "all"}}, 1).scene
    write(bad, tmp_path / "w.bvh")
    held = ("left_wrist", "right_wrist", "left_elbow", "right_elbow")
    before = read(tmp_path / "w.bvh")
    done = clean(before, "pchip", joints=("left_knee",))
    new, old = done.scene.actors[0], before.actors[0]
    knee = new.skeleton.index("left_knee")
    turned = (new.rotations != old.rotations).flatten(2).any(-1).any(0)
    assert changed(clean(before, "pchip", not_joints=held)).any()
    ups = {new.skeleton.parents[knee], knee}
    assert set(turned.nonzero().flatten().tolist()) <= ups | {new.skeleton.parents[min(ups)]}


def test_a_method_with_settings_can_be_typed(broken, track, tmp_path):
    out = tmp_path / "out.csv"
    assert main(["clean", str(track), "-o", str(out), "--method", "pca:rank=4"]) == 0
    mine = make_cleaner("pca:rank=4").clean(read(track))
    write(mine.scene, tmp_path / "mine.csv")
    assert out.read_bytes() == (tmp_path / "mine.csv").read_bytes() and mine.method == "pca:rank=4"


# ---------------------------------------------------------------- bad input

SLIPS = {
    "--likelihood 1.5": "from 0 to 1, got '1.5'",
    "--trust nan": "from 0 to 1, got 'nan'",
    "--sensitivity 0": "from 0.01 to 100",
    "--max-gap 0": "seconds above 0",
    "--likelihood 0.9 --trust 0.5": "contradiction: trust 0.5 is below likelihood 0.9",
    "--fill-only --smooth": "contradiction",
    "--fill-only --fidelity all": "contradiction",
    "--fill-only --likelihood 0.5": "contradiction",
    "--joints nose --not-joints nose": "both name 'nose'",
    "--joints noze": "nearest: nose",
    "--not-joints nose,tale": "got 'tale'; nearest: tail",
    "--method pca:rnk=4": "did you mean rank?",
    "--method pca:rank=none": "valid integer",
    "--method pca:rank=0": "at least 1",
    "--method linear:rank=4": "linear has no settings",
    "--config m.yaml": "m.yaml: expected settings of a repair",
    "--config n.yaml": "n.yaml: likelihood: expected a number from 0 to 1, got 60",
    "--apply mouse.csv --likelihood 0.5": "--apply takes the table as it stands",
    "--prefixes B_,W_": "body parts that begin with 'B_'",
}


@pytest.mark.parametrize("line", SLIPS)
def test_slips_are_one_line(line, track, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("epochs: 10\nhidden: 256\n")
    (tmp_path / "n.yaml").write_text("likelihood: 60\n")
    try:
        code = main(["clean", track.name, "-o", "out.csv", *line.split()])
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2 and SLIPS[line] in err and err.count("\n") == 1, err
    assert not (tmp_path / "out.csv").exists()


def test_a_likelihood_that_is_not_there_is_refused(tmp_path, capsys):
    path = write(Scene((person("walk", seconds=1, fps=30),)), tmp_path / "walk.bvh")
    for word in ("--likelihood", "--trust"):
        assert main(["clean", str(path), word, "0.5"]) == 2
        assert "walk.bvh" in (err := capsys.readouterr().err) and "a file that has none" in err
    assert main(["clean", str(path), "--prefixes", "B_"]) == 2


# ---------------------------------------------------------------- DeepLabCut's project and prefixes


def test_a_project_gives_lines_and_cutoff(track, tmp_path, capsys):
    config = "bodyparts: [nose, left_ear, right_ear, neck, spine]\nskeleton:\n- [nose, neck]\n"
    (tmp_path / "config.yaml").write_text(config + "pcutoff: 0.05\n")
    scene = read(track)
    assert (scene.meta["pcutoff"], scene.actors[0].skeleton.edges) == (0.05, ((0, 3),))
    by_project, typed = clean(scene, "hold"), clean(scene, "hold", likelihood=0.05)
    assert torch.equal(by_project.flagged[0], typed.flagged[0])
    assert not torch.equal(clean(scene, "hold", likelihood=0.6).flagged[0], typed.flagged[0])
    (tmp_path / "config.yaml").write_text("bodyparts: [wing, beak]\npcutoff: 0.6\n")
    assert main(["clean", str(track)]) == 2
    assert "another project" in capsys.readouterr().err


def test_prefixes_are_animals_and_go_back_to_their_columns(broken, tmp_path):
    m = broken.actors[0]
    s = m.skeleton.__class__("dlc", ("B_nose", "W_nose", "B_neck", "W_neck", "corner"))
    one = Scene(
        (m.replace(positions=m.positions[:, :5], confidence=m.confidence[:, :5], skeleton=s),)
    )
    path = write(one, tmp_path / "two.csv")
    scene = read(path, prefixes=("B_", "W_"))
    assert [(a.name, a.skeleton.joints) for a in scene.actors] == [
        ("B", ("nose", "neck")),
        ("W", ("nose", "neck")),
        ("", ("corner",)),
    ]
    write(scene, tmp_path / "same.csv")
    assert (tmp_path / "same.csv").read_bytes() == path.read_bytes()
    moved = scene.actors[1].positions.clone()
    moved[5, 0] += 1
    write(
        scene.replace(
            actors=(scene.actors[0], scene.actors[1].replace(positions=moved), scene.actors[2])
        ),
        tmp_path / "new.csv",
    )
    differ = (read(tmp_path / "new.csv").actors[0].positions != read(path).actors[0].positions).any(
        -1
    )
    assert differ.nonzero().tolist() == [[5, 1]]
    write(one, tmp_path / "two.h5")
    assert len(read(tmp_path / "two.h5", prefixes="B_,W_").actors) == 3


# ---------------------------------------------------------------- gaps that nobody could fill


@pytest.fixture(scope="module")
def gappy() -> Scene:
    (m,) = mouse(seconds=40, seed=2).actors
    x = m.positions.clone()
    x[:10] = x[-6:] = torch.nan  # not there
    x[100:110] = x[500:740] = torch.nan  # the body for a third of a second, and for eight
    x[900:915, 2] = torch.nan
    return Scene((m.replace(positions=x, confidence=None),))


def test_what_nobody_could_fill_stays_open(gappy):
    done = clean(gappy, "pchip", fill_only=True)
    there = done.scene.actors[0].observed
    assert there[100:110].all() and there[900:915].all()
    assert not there[500:740].any() and not there[:10].any() and not there[-6:].any()
    said = " ".join(done.notes)
    assert "16 frames before the body enters" in said and "--max-gap inf" in said
    filled = clean(gappy, "pchip", fill_only=True, max_gap=float("inf")).scene.actors[0]
    assert filled.observed.all()


def test_nothing_is_drawn_outside_of_what_was_seen(gappy):
    x = gappy.actors[0].positions
    done = clean(gappy, "cubic", fill_only=True, max_gap=float("inf")).scene.actors[0].positions
    low, high = (
        x.flatten(0, 1).nan_to_num(torch.inf).amin(0),
        x.flatten(0, 1).nan_to_num(-torch.inf).amax(0),
    )
    assert (done >= low).all() and (done <= high).all()
