"""Safe files: interrupted writes, full disks, hostile pickles and archives."""

import errno
import io
import os
import pickle
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import TOKENS, mutated
from hypothesis import given, settings
from hypothesis import strategies as st

import motionbook.core.files as files
from motionbook.core.archives import extract_archive, load_npy, load_npz
from motionbook.core.files import BadFile, atomic_write, decode, read_bytes  # fmt: skip
from motionbook.core.pickles import load_pickle


@pytest.fixture
def old(tmp_path) -> Path:
    path = tmp_path / "walk.bvh"
    path.write_bytes(b"the only copy")
    return path


def kept(path: Path) -> bool:
    "The old content is there and nothing else is in the folder."
    return path.read_bytes() == b"the only copy" and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failing_system_call_keeps_old(old, monkeypatch, step):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(BadFile, match="full disk"):
        atomic_write(old, b"new")
    monkeypatch.undo()
    assert kept(old)


def test_interrupt_keeps_old(old):
    def interrupted(temp):
        temp.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(old, interrupted)
    assert kept(old)


def test_killed_writer_keeps_old(old):
    "A process that dies in the middle leaves the old file; its temporary one is not mistaken for it."
    code = (
        "import os, sys; from motionbook.core.files import atomic_write\n"
        "def half(temp): temp.write_bytes(b'half'); os._exit(9)\n"
        f"atomic_write({str(old)!r}, half)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=files.__file__.rsplit("motionbook", 1)[0]
    )
    assert done.returncode == 9
    assert old.read_bytes() == b"the only copy"
    left = [p for p in old.parent.iterdir() if p != old]
    assert [p.name.startswith(".") and ".tmp" in p.name for p in left] == [True]


def test_really_full_disk(tmp_path):
    "A file system of 64 kB."
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True
    )
    if mount.returncode:
        pytest.skip(f"cannot mount a small file system: {mount.stderr.decode().strip()}")
    try:
        path = tmp_path / "walk.bvh"
        path.write_bytes(b"the only copy")
        with pytest.raises(BadFile, match="full disk"):
            atomic_write(path, bytes(200_000))
        with pytest.raises(BadFile, match="full disk"):
            atomic_write(path, lambda temp: temp.write_bytes(bytes(200_000)))
        assert kept(path)
        h5py = pytest.importorskip("h5py")

        def write_h5(temp):
            with h5py.File(temp, "w") as f:
                f["x"] = np.random.default_rng(0).normal(size=50_000)

        with pytest.raises(BadFile, match="full disk"):
            atomic_write(path, write_h5)
        assert kept(path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_new_file_has_the_users_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"x")
    assert atomic_write(tmp_path / "new", b"x").stat().st_mode == plain.stat().st_mode


def test_old_permissions_stay(old):
    old.chmod(0o604)
    atomic_write(old, b"new")
    assert old.stat().st_mode & 0o777 == 0o604


def test_check_sees_the_new_content_before_the_old_is_gone(old):
    def check(temp):
        assert (
            temp.read_bytes() == b"new"
            and old.read_bytes() == b"the only copy"
            and temp.suffix == ".bvh"
        )

    assert atomic_write(old, "new", check).read_bytes() == b"new"


def test_dangling_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    atomic_write(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_bytes() == b"x"


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/self/mem"])
def test_devices_are_refused(path):
    if os.path.exists(path):
        with pytest.raises(BadFile):
            read_bytes(path)


@given(st.binary(max_size=200))
def test_decode_loses_nothing(data):
    text, encoding = decode(data)
    assert text.encode(encoding) == data


# pickles


class Marks:
    "Leaves a trace when it runs."

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


GLOBALS = [
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"c__builtin__\nexec\n", b"csubprocess\nPopen\n", b"cnumpy\nload\n", b"cnumpy\nfromfile\n",
    b"cnumpy.testing._private.utils\nrunstring\n", b"cbuiltins\ngetattr\n", b"coperator\nattrgetter\n", b"ccopyreg\n_reconstructor\n",
    b"cfunctools\npartial\n", b"cnumpy.core.multiarray\nfromfile\n", b"ctorch\nload\n", b"cpickle\nloads\n", b"cshutil\nrmtree\n",
]  # fmt: skip


@pytest.mark.parametrize("name", GLOBALS)
def test_names_outside_the_list(name):
    with pytest.raises(BadFile, match="the name"):
        load_pickle(name + b"(S'x'\ntR.")
    with pytest.raises(BadFile, match="the name"):
        load_pickle(b"(S'x'\ni" + name[1:] + b".")  # the old INST instruction


@pytest.mark.parametrize("protocol", range(6))
def test_payload_does_not_run(tmp_path, protocol):
    data = pickle.dumps([np.ones(3), {"x": Marks(tmp_path / "ran")}], protocol)
    with pytest.raises(BadFile, match="mkdir"):
        load_pickle(data)
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)  # the test can fail: a plain load does run it
    assert (tmp_path / "ran").exists()


def test_forged_object_arrays():
    "Raw bytes must never be taken for object pointers."
    x = pickle.dumps(np.arange(4), 2)
    forged = x.replace(b"X\x02\x00\x00\x00i8", b"X\x01\x00\x00\x00O")
    assert forged != x
    with pytest.raises(BadFile):
        load_pickle(forged)
    state = b"cnumpy\nndarray\n}b."  # state for the class itself
    with pytest.raises(BadFile):
        load_pickle(state)
    from_buffer = (
        b"cnumpy.core.numeric\n_frombuffer\n(C\x08AAAAAAAAcnumpy\ndtype\n(S'O'\ntR(K\x01tS'C'\ntR."
    )
    with pytest.raises(BadFile, match="raw bytes"):
        load_pickle(from_buffer)
    scalar = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O'\ntRC\x08AAAAAAAAtR."
    with pytest.raises(BadFile, match="raw bytes"):
        load_pickle(scalar)


def test_shared_types_are_not_changed():
    "A state that a pickle sets on a dtype must not reach NumPy's own."
    before = np.dtype("f8").__reduce__()
    for protocol in range(5):
        assert load_pickle(pickle.dumps(np.arange(3.0).astype(">f8"), protocol)).tolist() == [
            0,
            1,
            2,
        ]
    assert np.dtype("f8").__reduce__() == before


def test_allow_names_a_stand_in():
    class Stub:
        def __setstate__(self, state):
            self.state = state

    data = b"\x80\x02cchumpy.ch\nCh\n)\x81}X\x01\x00\x00\x00xK\x05sb."
    with pytest.raises(BadFile, match="chumpy.ch.Ch"):
        load_pickle(data)
    assert load_pickle(data, allow={"chumpy.ch.Ch": Stub}).state == {"x": 5}


PICKLES = [
    pickle.dumps({"a": np.arange(5.0), "n": ["x", 1, None], "o": np.array([1, "a"], object)}, p)
    for p in (0, 2, 4, 5)
]


@settings(max_examples=400, deadline=2000, derandomize=True)
@given(
    st.sampled_from(PICKLES).flatmap(
        lambda d: mutated(d, (b"cos\nsystem\n", b"R", b"b", b"(", b"."))
    )
)
def test_damaged_pickles(data):
    try:
        load_pickle(data)
    except BadFile as err:
        assert "\n" not in str(err)


def test_real_pickles(real_data):
    "Every pickle of AIST++, which Python 2 and old NumPy wrote."
    found = sorted((real_data / "aistpp").rglob("*.pkl"))
    assert found
    for path in found:
        ours, theirs = load_pickle(path), pickle.loads(path.read_bytes(), encoding="latin1")
        assert ours.keys() == theirs.keys()
        for k, v in theirs.items():
            np.testing.assert_array_equal(ours[k], v)


# arrays


def test_npy_agrees_with_numpy(tmp_path):
    for x in (
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.ones((3, 2, 2), ">f4")),
        np.array("text"),
        np.zeros((0, 3)),
        np.array(5.0),
    ):
        np.save(tmp_path / "x.npy", x)
        back = load_npy(tmp_path / "x.npy")
        np.testing.assert_array_equal(back, x)
        assert back.dtype == x.dtype and back.flags.writeable


def test_absurd_headers_allocate_nothing(tmp_path):
    for shape in ((10**12,), (10**6, 10**6, 3), (-1, 3), (2**62, 4)):
        out = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            out, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        (tmp_path / "x.npy").write_bytes(out.getvalue() + bytes(64))
        tracemalloc.start()
        with pytest.raises(BadFile):
            load_npy(tmp_path / "x.npy")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1e6


@settings(max_examples=200, deadline=2000, derandomize=True)
@given(st.data())
def test_damaged_npz(tmp_path_factory, data):
    out = io.BytesIO()
    np.savez_compressed(out, x=np.arange(20.0), who="anna")
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    path.write_bytes(data.draw(mutated(out.getvalue(), tuple(TOKENS))) or b"x")
    try:
        load_npz(path)
    except BadFile as err:
        assert "\n" not in str(err)


def test_zip_that_lies_about_its_size(tmp_path):
    "The directory says 10 bytes, the data unpack to 16 MB: no more than it says is unpacked."
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x.npy", bytes(2**24))
    raw = out.getvalue().replace((2**24).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(BadFile):
        load_npz(tmp_path / "x.npz")


# archives


def tar(path: Path, *entries, mode="w:gz") -> Path:
    with tarfile.open(path, mode) as t:
        for name, kind, what in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (
                kind,
                what if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "",
            )
            data = what.encode() if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_unpack(tmp_path, mode):
    path = tar(
        tmp_path / "x.tar",
        ("a", tarfile.DIRTYPE, ""),
        ("a/b.txt", tarfile.REGTYPE, "b"),
        ("./c.txt", tarfile.REGTYPE, "c"),
        mode=mode,
    )
    got = extract_archive(path, tmp_path / "out")
    assert [p.relative_to(tmp_path / "out").as_posix() for p in got] == ["a/b.txt", "c.txt"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "c.txt"]


def test_link_then_file_below_it(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tar(
        tmp_path / "x.tar", ("d", tarfile.SYMTYPE, str(outside)), ("d/f.txt", tarfile.REGTYPE, "x")
    )
    with pytest.raises(BadFile, match="link"):
        extract_archive(path, tmp_path / "out")
    assert not list(outside.iterdir())


def test_zip_link(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        z.writestr(info, "/etc/passwd")
    with pytest.raises(BadFile, match="link"):
        extract_archive(tmp_path / "x.zip", tmp_path / "out")


def test_failed_unpacking_leaves_old_files(tmp_path):
    path = tar(
        tmp_path / "x.tar.gz",
        ("a.txt", tarfile.REGTYPE, "new"),
        ("b.bin", tarfile.REGTYPE, os.urandom(3000).hex()),
    )
    path.write_bytes(path.read_bytes()[:-500])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    with pytest.raises(BadFile):
        extract_archive(path, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.txt"]
    assert (tmp_path / "out" / "a.txt").read_text() == "old"


def test_real_archive(real_data, tmp_path):
    got = extract_archive(real_data / "asf_amc" / "cmu_subjects_01_02.tar.gz", tmp_path / "out")
    with tarfile.open(real_data / "asf_amc" / "cmu_subjects_01_02.tar.gz") as t:
        assert len(got) == sum(m.isreg() for m in t)
    assert all(p.stat().st_size for p in got)


def test_a_full_disk_is_told_behind_the_error_of_a_library_that_closes_its_file(tmp_path):
    def put(temp):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("failed writing central directory")

    (tmp_path / "x.pt").write_bytes(b"old")
    with pytest.raises(BadFile, match="room on the disk, got a full disk"):
        atomic_write(tmp_path / "x.pt", put)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]
    with pytest.raises(RuntimeError, match="something else"):
        atomic_write(
            tmp_path / "x.pt", lambda temp: (_ for _ in ()).throw(RuntimeError("something else"))
        )
