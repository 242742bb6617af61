"""Mutated files of every format: a scene or one named error of one line, quickly and in little memory.

What reads is written back as it was. MOTIONBOOK_MUTATIONS sets how many files each format gets;
`pytest -m slow` runs 10,000.
"""

import os
import random
import resource
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers import survives
from hostile import MUTATORS, change_text
from recordings import examples, put

from motionbook.core.files import BadFile
from motionbook.formats.registry import find_format, format_named, formats, read, write

pytestmark = pytest.mark.usefixtures("one_thread")
MUTATIONS = int(os.environ.get("MOTIONBOOK_MUTATIONS", 120))
SECONDS, MEMORY = 10, 1 << 20  # a file's limits: time of the processor, and memory in kB
WAIT = 120  # seconds by the clock, for what hangs without work
NAMES = [f.name for f in formats()]


class Hang(BaseException):
    "A file that takes too long; no reader may take it for a damaged one."


@contextmanager
def within_limits(what: str):
    "Time and memory of a block; a hang is interrupted."

    def late(*_):
        raise Hang(f"{what}: more than {SECONDS} s")

    unit = 1024 if sys.platform == "darwin" else 1  # macOS counts bytes
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
    clocks = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}
    before, old = peak(), [signal.signal(s, late) for s in clocks.values()]
    for clock, seconds in zip(clocks, (SECONDS, WAIT)):
        signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        for (clock, s), handler in zip(clocks.items(), old):
            signal.setitimer(clock, 0)
            signal.signal(s, handler)
    assert peak() - before < MEMORY, f"{what}: {peak() - before} kB"


def mutant(name: str, number: int) -> tuple[str, dict[str, bytes]]:
    "The file with this number: which example it was, and its files, one of them changed."
    rng = random.Random(f"{name} {number}")
    label = rng.choice(sorted(examples(name)))
    files = dict(examples(name)[label])
    part = rng.choice(list(files))
    files[part] = MUTATORS.get(Path(part).suffix, change_text)(rng, files[part])
    return f"{name} {number} ({label}, {part})", files


def check(name: str, number: int, folder: Path) -> bool:
    "Whether a mutant was read; all that must hold of it."
    label, files = mutant(name, number)
    path = put(files, folder)
    try:
        with within_limits(label):
            scene = survives(lambda p: read(p, format=name), path, files[path.name])
            if scene is None:
                return False
            shutil.rmtree(folder / "out", ignore_errors=True)
            (folder / "out").mkdir()
            if not format_named(name).writes:
                return True
            out = write(scene, folder / "out" / path.name, format=name)
            assert out.read_bytes() == files[path.name], "untouched, but other bytes"
            if number % 4 == 0:
                fill(name, scene, out)
    except Exception as err:
        err.add_note(f"mutant {label}")
        raise
    return True


def fill(name: str, scene, out: Path) -> None:
    "Missing points get a place: what is written is read, or refused in one line."
    full = scene.map(
        lambda m: m.replace(positions=torch.where(m.positions.isfinite(), m.positions, 0.5))
    )
    try:
        write(full, out, format=name)
    except ValueError as err:
        assert str(err) and "\n" not in str(err)
        return
    assert len(read(out, format=name)) == len(scene)


@pytest.mark.parametrize("name", NAMES)
def test_mutated_files(name, tmp_path):
    large = min(len(b) for f in examples(name).values() for b in f.values()) > 100_000
    count = MUTATIONS // 4 if large else MUTATIONS
    lived = sum(check(name, n, tmp_path) for n in range(count))
    assert 0 < lived < count, "the mutations reach the reader, and some of them its checks"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_mutated_files(name, tmp_path):
    for n in range(MUTATIONS, 10_000):
        check(name, n, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_read(name, tmp_path):
    "What is mutated is good to begin with, so that the fuzz reaches the end of the reader."
    for label, files in examples(name).items():
        path = put(files, tmp_path)
        assert survives(lambda p: read(p, format=name), path, files[path.name]), label


@pytest.mark.parametrize("name, number", [("marker_h5", 514)])  # a coordinate near float32's end
def test_mutants_that_once_failed(name, number, tmp_path):
    assert check(name, number, tmp_path)


def test_a_type_of_more_bits_than_bytes_is_refused(tmp_path):
    "HDF5 reads it, and dies in writing."
    assert not check("sleap", 1672, tmp_path)


def test_looking_into_a_file_never_fails(tmp_path):
    "Any head under any name: a format, or the one error."
    rng = random.Random(0)
    suffixes = sorted({s for f in formats() for s in f.suffixes})
    heads = [h for n in NAMES for f in examples(n).values() for h in f.values()]
    for suffix in suffixes:
        for n in range(20):
            path = tmp_path / f"x{suffix}"
            start = rng.choice(heads)[: rng.randint(0, 500)] if n % 2 else b""
            path.write_bytes(start + rng.randbytes(rng.randint(1, 200)))
            try:
                assert find_format(path) in formats()
            except BadFile as err:
                assert "\n" not in str(err)


def test_the_walk_sees_a_fault(tmp_path, monkeypatch):
    "A reader that raises something else is caught, with the number that shows it again."

    def broken(path, **_):
        raise KeyError("format_id")

    import test_fuzz

    monkeypatch.setattr(test_fuzz, "read", broken)
    with pytest.raises(KeyError) as caught:
        check("npz", 0, tmp_path)
    assert "mutant npz 0" in caught.value.__notes__[0]
