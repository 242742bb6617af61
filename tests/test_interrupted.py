"Runs that are killed, stopped, repeated and run at the same time: whole files, no leftovers, the same bytes."

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from copies import finish, start_copy

from motionbook import write
from motionbook.cleanup.folder import clean_folder
from motionbook.cli import main
from motionbook.core.landing import LEFT, clear_leftovers, landing
from motionbook.core.processes import is_alive
from motionbook.filters.corrupt.corruption import add_jumps
from motionbook.synthetic.animals import mouse

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def three_recordings(box, seconds):
    for k in range(3):
        scene = add_jumps(mouse(seconds=seconds, seed=k), rate=0.02, generator=k).scene
        write(scene, box / f"d{k}" / "m.csv")
    return box


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    "A folder of three short recordings."
    return three_recordings(tmp_path_factory.mktemp("days"), 4)


@pytest.fixture
def moments(tmp_path):
    "The same, shorter, with few faults: most of a report's time goes into pictures of them."
    return three_recordings(tmp_path / "moments", 1)


def start(*words, cwd):
    line = [sys.executable, "-m", "motionbook.cli", *map(str, words)]
    return subprocess.Popen(
        line, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def seen(folder):
    "Every file that is not a receipt, with its hash."
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and ".motionbook" not in p.parts)
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def left(folder):
    return [p for p in folder.rglob("*") if LEFT.fullmatch(p.name)]


def test_receipts_look_at_everything(moments, tmp_path):
    out = tmp_path / "out"
    run = lambda **more: [
        o.status for o in clean_folder(moments, out, reports=True, method="hold", **more)
    ]
    assert run() == ["cleaned"] * 3 and run() == ["kept"] * 3
    assert run(max_gap=0.5) == ["cleaned"] * 3 and run() == ["cleaned"] * 3
    (out / "d0" / "m.csv.corrections.csv").unlink()
    (out / "d1" / "m.csv.html").unlink()
    (out / "d2" / "m.csv").write_text("edited")
    assert run() == ["cleaned"] * 3
    for damage in ("", "null", "[]", '{"input": 3}', "\x00\xff"):
        (out / ".motionbook" / "d1" / "m.csv.json").write_text(damage)
        assert run() == ["kept", "cleaned", "kept"]
    table = out / "d0" / "m.csv.corrections.csv"
    table.write_text(table.read_text() + "\n")
    assert run() == ["kept"] * 3, "a person may edit the table"


def test_weights_and_skeletons_count(tmp_path, monkeypatch):
    from motionbook.cleanup import folder

    (tmp_path / "a.amc").write_text("x")
    (tmp_path / "a.asf").write_text("one")
    before = folder.make_receipt(tmp_path / "a.amc", False, {})
    (tmp_path / "a.asf").write_text("two")
    assert folder.make_receipt(tmp_path / "a.amc", False, {}) != before
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_text("1")
    options = {"method": str(tmp_path / "model")}
    before = folder.make_receipt(tmp_path / "a.amc", False, options)
    (tmp_path / "model" / "w").write_text("2")
    folder.hash_weights.cache_clear()
    assert folder.make_receipt(tmp_path / "a.amc", False, options) != before


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(days, tmp_path):
    out = tmp_path / "out"
    (out / "d0").mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = out / "d0" / f".m.{gone.pid}-0123456789ab.tmp.csv"
    living = out / "d0" / f".m.{os.getpid()}-0123456789ab.tmp.csv"
    stage = out / f".landing-{gone.pid}-0123456789ab"
    stage.mkdir()
    for p in (dead, living, stage / "m.csv"):
        p.write_text("half")
    assert [o.status for o in clean_folder(days, out, method="hold")] == ["cleaned"] * 3
    assert not dead.exists() and not stage.exists() and living.exists()
    assert "m.csv" not in {o.path for o in clean_folder(out, tmp_path / "again", method="hold")}


@pytest.mark.parametrize("fails", [1, 3, 5, 7])  # the waits between are for folders
def test_a_disk_that_fills_at_any_file_leaves_all_three_as_they_were(
    days, tmp_path, monkeypatch, fails
):
    from motionbook.cleanup.pipeline import clean_file

    out, page = tmp_path / "o.csv", tmp_path / "o.html"
    clean_file(days / "d0" / "m.csv", out, "hold", report=page)
    before, calls, plain = seen(tmp_path), [], os.fsync

    def full(fd):
        calls.append(fd)
        if len(calls) == fails:
            raise OSError(28, "No space left on device")
        plain(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match="full disk"):
        clean_file(days / "d0" / "m.csv", out, "pchip", report=page)
    assert seen(tmp_path) == before and not left(tmp_path)


@pytest.mark.parametrize("fails", range(1, 8))
def test_a_rename_that_fails_brings_everything_back(tmp_path, monkeypatch, fails):
    names = [tmp_path / n for n in ("m.csv", "m.table", "m.html")]
    for p in names:
        p.write_text("old")
    calls, plain = [], os.replace

    def broken(a, b):
        calls.append(a)
        if len(calls) == fails:
            raise OSError(5, "Input/output error")
        plain(a, b)

    try:
        with landing(*names) as where:
            for p in where:
                p.write_text("new")
            monkeypatch.setattr(os, "replace", broken)
        assert fails == 7
    except ValueError:
        assert fails < 7
    assert {p.read_text() for p in names} == {"new" if fails == 7 else "old"}
    assert sorted(tmp_path.iterdir()) == sorted(names)


COMMAND = "import sys; from motionbook.cli import main; sys.exit(main())"


def test_two_runs_on_one_folder(days, tmp_path):
    out = tmp_path / "out"
    words = ("clean", days, "-o", out, "--report", "--method")
    runs = [start_copy(COMMAND, *words, m) for m in ("hold", "linear")]
    for p in runs:
        said = finish(p)
        assert p.returncode == 0 and "Traceback" not in said, said
    assert not left(out)
    whole = {}
    for m in ("hold", "linear"):
        clean_folder(days, tmp_path / m, reports=True, method=m)
        whole[m] = seen(tmp_path / m)
    mixed = seen(out)
    for k in range(3):
        pair = [f"d{k}/m.csv", f"d{k}/m.csv.corrections.csv"]
        assert [mixed[n] for n in pair] in [[w[n] for n in pair] for w in whole.values()]


@POSIX
@pytest.mark.parametrize("wait", [0.05, 0.6, 1.5, 4.0])
def test_ctrl_c_ends_in_one_line(days, tmp_path, wait):
    p = start("compare", days / "d0" / "m.csv", "--minutes", "5", cwd=tmp_path)
    time.sleep(wait + 0.3)
    p.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = p.communicate(timeout=30)
    if wait > 0.5:
        assert p.returncode == 130 and "stopped" in err and err.count("\n") == 1, err
    assert time.monotonic() - began < 5  # a busy machine; alone it is well under a second


TRAINS = """
import os, time
import torch
from motionbook.core.skeleton import Skeleton
from motionbook.models.corrector.breaking import Breaking, BrokenWindows
from motionbook.models.corrector.network import BiLSTMConfig, SkeletonCorrector
from motionbook.models.corrector.recordings import Clip
body = Skeleton("two", ("a", "b"), (-1, 0))
model = SkeletonCorrector(body, BiLSTMConfig(hidden=4, layers=1, width=4))
data = BrokenWindows(model, [Clip(torch.rand(90, 2, 3), "a")], Breaking(), draws=8, workers=1)
data.set_epoch(0)
print(data.ahead.pool.submit(os.getpid).result(), flush=True)
time.sleep(60)
"""


@POSIX
def test_no_worker_of_a_training_outlives_its_parent():
    p = start_copy(TRAINS)
    worker = int(p.stdout.readline())
    assert is_alive(worker)
    p.send_signal(signal.SIGKILL)
    p.wait()
    for _ in range(60):
        if not is_alive(worker):
            break
        time.sleep(0.05)
    assert not is_alive(worker)


def begin(words) -> int:
    "A copy of this process, which has loaded everything, runs a command; its number."
    if pid := os.fork():
        return pid
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        os._exit(main([str(w) for w in words]))


def seconds_of_a_run(words):
    "Seconds of a whole run."
    began = time.monotonic()
    assert os.waitpid(begin(words), 0)[1] == 0
    return time.monotonic() - began


def check_pairs(there, pairs):
    "No recording lies beside another one's table."
    for name, made in there.items():
        table = there.get(f"{name}.corrections.csv")
        hidden = ".landing-" in name or ".tmp" in name
        assert hidden or not name.endswith("m.csv") or not table or (made, table) in pairs, name


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("kind", ["single", "folder", "report"])
def test_killed_at_random_moments(days, tmp_path, kind):
    "Two methods in turn, so that old and new files differ; each run is killed once and then left alone."
    src, out = (days, "out") if kind == "folder" else (days / "d0" / "m.csv", "m.csv")
    words = ["clean", src, "-o", tmp_path / out, "--json"] + ["--report"] * (kind == "report")
    lines = {m: [*words, "--method", m] for m in ("hold", "linear")}
    main([str(w) for w in [*lines["hold"], "--report"]])  # loads what the copies need
    for p in list(tmp_path.iterdir()):
        shutil.rmtree(p) if p.is_dir() else p.unlink()
    seconds, whole, pairs = {}, {}, set()
    for m, line in lines.items():
        seconds[m] = seconds_of_a_run(line)
        whole[m] = seen(tmp_path)
        mains = [n for n in whole[m] if n.endswith("m.csv")]
        pairs |= {(whole[m][n], whole[m][f"{n}.corrections.csv"]) for n in mains}
    rng, early = random.Random(kind), 0
    for k in range(int(os.environ.get("MOTIONBOOK_KILLS", "34"))):
        m = ("hold", "linear")[k % 2]
        pid = begin(lines[m])
        time.sleep(rng.uniform(0, 1.1) * seconds[m])
        os.kill(pid, signal.SIGKILL)
        early += os.waitpid(pid, 0)[1] == signal.SIGKILL
        check_pairs(seen(tmp_path), pairs)
        seconds_of_a_run(lines[m])
        assert not left(tmp_path) and seen(tmp_path) == whole[m]
    print(kind, "killed before the end:", early)
    assert early > 0


def test_clear_leftovers_of_a_folder_that_is_not_there(tmp_path):
    assert clear_leftovers(tmp_path / "none") == []


def seconds_of(pid):
    "Processor time that a process has used."
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


LINES = (
    "clean m.csv",
    "info m.csv",
    "train bilstm . --out x",
    "view m.csv",
    "features dlc . --out x",
)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("used", [0.15, 0.8])  # of processor time: PyTorch is being loaded
@pytest.mark.parametrize("line", LINES)
def test_ctrl_c_ends_any_command_in_one_line(days, tmp_path, line, used):
    shutil.copy(days / "d0" / "m.csv", tmp_path / "m.csv")
    p = start(*line.split(), cwd=tmp_path)
    while p.poll() is None and seconds_of(p.pid) < used:
        time.sleep(0.01)
    before = seconds_of(p.pid)
    p.send_signal(signal.SIGINT)
    _, status, spent = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert (p.returncode, p.stderr.read().count("\n")) == (130, 1)
    assert spent.ru_utime + spent.ru_stime - before < 1


def test_several_processes_leave_the_same(days, tmp_path):
    one = clean_folder(days, tmp_path / "one", method="hold")
    two = clean_folder(days, tmp_path / "two", method="hold", workers=2)
    assert one == two
    files = [p for p in (tmp_path / "one").rglob("*") if p.is_file()]
    assert len(files) > 3
    for p in files:
        assert p.read_bytes() == (tmp_path / "two" / p.relative_to(tmp_path / "one")).read_bytes()
    again = clean_folder(days, tmp_path / "two", method="hold", workers=2)
    assert {o.status for o in again} == {"kept"}


def test_outputs_of_earlier_repairs_are_not_recordings(days, tmp_path):
    "NAME.clean.SUFFIX, any name with a table beside it, frames to label, and whole folders."
    src = tmp_path / "raw"
    shutil.copytree(days, src)
    here = src / "d0"
    line = [
        "clean",
        here / "m.csv",
        "--method",
        "hold",
        "--report",
        "--export-frames",
        here / "f.csv",
    ]
    assert main([str(w) for w in line]) == 0
    assert (
        main(["clean", str(here / "m.csv"), "-o", str(here / "fixed.csv"), "--method", "hold"]) == 0
    )
    assert main(["clean", str(src / "d1"), "--method", "hold"]) == 0
    made = {p.relative_to(src).as_posix() for p in src.rglob("*.csv")}
    assert {"d0/m.clean.csv", "d0/fixed.csv", "d0/f.csv", "d1.clean/m.csv"} < made
    found = {o.path: o.status for o in clean_folder(src, tmp_path / "out", method="hold")}
    assert {p for p, s in found.items() if s == "cleaned"} == {f"d{k}/m.csv" for k in range(3)}
    assert set(found.values()) == {"cleaned", "passed"}
    again = clean_folder(tmp_path / "out", tmp_path / "again", method="hold")  # all have tables
    assert [o.status for o in again] == ["cleaned"] * 3
    (tmp_path / "house.clean.csv").write_bytes((here / "m.csv").read_bytes())  # nothing beside it
    assert main(["clean", str(tmp_path / "house.clean.csv"), "--method", "hold"]) == 0
