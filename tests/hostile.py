"""Files that are almost right: mutations of valid ones, one mutator for each kind of file."""

import io
import json
import pickle
import random
import re
import warnings
import zipfile
from collections.abc import Callable

import h5py
import numpy as np
from hypothesis import strategies as st

TOKENS = [
    b"", b"NaN", b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"1000000000", b"99999999999999999999", b"0x1F",
    b"1_000", b"1,5", b".", b"-", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\t", b"\r", b"\n", b"\r\n", b" ", b'"', b"{", b"}",
    b"\x1a", b"\xc3\x28", "Kn\u00f6chel".encode(), "\u2028".encode(), b"x" * 300, b"\t" * 200, b"\n" * 50, b"[", b"]", b":",
    b"null", b"true", b"1.#QNAN", b"-nan(ind)", b"1e38", b"-1e300", b"1.5.2", b"#", b"\\", b"''", b";", b"1e-300",
]  # fmt: skip
RECORDS = [
    b"\xff", b"\x00", b"\x7f", b"\x80", b"\xff\xff", b"\xff\x7f", b"\x00\x80", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff",
    b"\x00\x00\xc0\x7f", b"\x02\x50", b"\x54", b"\x56", b"\xff\x02\xff\xff", b"\x04\x07\xff\xff\xff\xff\xff\xff\xff",
    b"cos\nsystem\n", b"R", b"b", b"(", b".", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04",
]  # fmt: skip
ODD = [
    None,
    True,
    -1,
    0,
    3,
    10**12,
    float("nan"),
    float("inf"),
    1e300,
    "",
    "x",
    "mm",
    [],
    {},
    [[]],
    [1, [2]],
    {"x": 1},
]
Mutate = Callable[[random.Random, bytes], bytes]


# text and records


def mutate(rng: random.Random, data: bytes, words: tuple[bytes, ...] = ()) -> bytes:
    "One to four things wrong; `words` are the format's own, to put in odd places."
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, max(len(data) - 1, 0))
        end = min(len(data), at + rng.choice([1, 2, 7, 40, 400, 5000]))
        what = rng.choice(["cut", "drop", "repeat", "token", "word", "byte", "lines", "field"])
        if what == "cut":
            data = data[:at]
        elif what == "drop":
            data = data[:at] + data[end:]
        elif what == "repeat":
            data = data[:end] + data[at:end] * rng.randint(1, 3) + data[end:]
        elif what == "byte":
            data = data[:at] + bytes([rng.randint(0, 255)]) + data[at + 1 :]
        elif what == "lines":
            data = swap_lines(rng, data)
        elif what == "field":
            data = change_field(data, at, rng.choice(TOKENS))
        else:
            pool = [*words, *TOKENS] if what == "word" else TOKENS
            data = data[:at] + rng.choice(pool) + data[at:]
    return data


def swap_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def change_field(data: bytes, at: int, token: bytes) -> bytes:
    "Exchange the whole field around a place."
    blanks = b" \t\r\n,"
    start = max(data.rfind(bytes([c]), 0, at) for c in blanks) + 1
    end = min((i for c in blanks if (i := data.find(bytes([c]), at)) >= 0), default=len(data))
    return data[:start] + token + data[end:]


def change_text(rng: random.Random, data: bytes) -> bytes:
    "Words of the file itself in odd places; or its head, and then anything."
    own = re.findall(rb"[^\s,;:{}\[\]]+", data[:4000])
    if rng.random() < 0.1:
        return data[: rng.randint(0, 400)] + rng.randbytes(rng.randint(0, 300))
    return mutate(rng, data, tuple(rng.sample(own, min(len(own), 12))))


def change_record(rng: random.Random, data: bytes) -> bytes:
    "Bytes replaced, so that everything else stays in its place; most of them near the start."
    if rng.random() < 0.3:
        return mutate(rng, data, tuple(RECORDS))
    data, reach = bytearray(data), rng.choice([200, 1200, len(data)])
    for _ in range(rng.randint(1, 8)):
        at, word = rng.randrange(min(len(data), reach)), rng.choice([*RECORDS, rng.randbytes(1)])
        data[at : at + len(word)] = word
    return bytes(data)


def change_json(rng: random.Random, data: bytes) -> bytes:
    "Another value at some place of the tree, or text as any other."
    if rng.random() < 0.5:
        return change_text(rng, data)
    tree = json.loads(data)
    for _ in range(rng.randint(1, 3)):
        node = tree
        while isinstance(node, dict | list) and node:
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if rng.random() < 0.4 or not isinstance(node[key], dict | list):
                node[key] = rng.choice([*ODD, node])
                break
            node = node[key]
        try:
            data = json.dumps(tree).encode()
        except (ValueError, RecursionError):  # it holds itself
            return data
    return data


# arrays


def odd_array(rng: random.Random) -> np.ndarray:
    "A small array of any type and shape."
    kind = np.dtype(
        rng.choice(
            ["f2", "f4", ">f8", "g", "i1", "u2", ">i4", "i8", "U3", "S3", "?", "c16", "M8[s]"]
        )
    )
    shape = [rng.randint(0, 4) for _ in range(rng.randint(0, 5))]
    count = int(np.prod(shape))
    raw = (
        rng.randbytes(count * kind.itemsize) if kind.kind in "fiu" else bytes(count * kind.itemsize)
    )
    return np.frombuffer(raw, kind).reshape(shape)  # fmt: skip


def change_npz(rng: random.Random, data: bytes) -> bytes:
    "Something wrong inside one of the arrays, the zip itself intact; or an array that is gone; or any bytes."
    if rng.random() < 0.3:
        return change_record(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        members = {n: z.read(n) for n in z.namelist()}
    name = rng.choice(sorted(members))
    what = rng.choice(["bytes", "array", "gone"])
    if what == "gone":
        del members[name]
    else:
        members[name] = mutate(rng, members[name]) if what == "bytes" else pack_npy(odd_array(rng))
    return pack_zip(members)


def pack_npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, x)
    return out.getvalue()


def pack_zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in members.items():
            z.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def change_pickle(rng: random.Random, data: bytes) -> bytes:
    "A pickle, or an array with one inside, that holds something else."
    if rng.random() < 0.6:
        return change_record(rng, data)
    what = {
        rng.choice(["subjects", "scalefactors", "datasets", "smpl_poses", "x"]): rng.choice(ODD)
        for _ in range(3)
    }
    if data[:6] != b"\x93NUMPY":
        return pickle.dumps(what, rng.randint(0, 5))
    out = io.BytesIO()
    np.save(out, np.array(what, dtype=object), allow_pickle=True)
    return out.getvalue()  # fmt: skip


# HDF5


def change_h5(rng: random.Random, data: bytes) -> bytes:
    "Other bytes, an early end, or a file in order that holds something else than it should."
    what = rng.choice(["record", "cut", "dataset", "number", "attribute", "gone"])
    if what in ("record", "cut"):
        return data[: rng.randint(1, len(data))] if what == "cut" else change_record(rng, data)
    file, names = io.BytesIO(data), []
    with h5py.File(file, "r+") as f:
        f.visititems(lambda n, o: names.append((n, isinstance(o, h5py.Dataset))))
        name, is_dataset = rng.choice(names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if what == "attribute" or (what == "number" and not is_dataset):
                change_attribute(rng, f[name])
            elif what == "number":
                change_number(rng, f[name])
            else:
                del f[name]
                x = odd_array(rng)
                if what == "dataset" and x.dtype.kind not in "UMg":
                    f[name] = x
    return file.getvalue()


def change_attribute(rng: random.Random, node) -> None:
    keys = [*node.attrs, *node.file.attrs, "dims"]
    value = rng.choice(["", "x", "[1]", "{", -1, 2**40, 0.5, np.bytes_("(1"), np.zeros(3)])
    owner = node if rng.random() < 0.7 else node.file
    owner.attrs[rng.choice(keys)] = value


def change_number(rng: random.Random, node) -> None:
    "One number of a dataset or of a table's column."
    x = np.array(node[()], ndmin=1)
    if not x.size or node.dtype.kind == "O":
        return
    at = np.unravel_index(rng.randrange(x.size), x.shape)
    column = x[rng.choice(x.dtype.names)] if x.dtype.names else x
    if column.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            value = rng.choice([-(2**40), -1, 0, 1, 2, 7, 30, 255, 2**31, 2**40])
            column[(*at, *[0] * (column.ndim - x.ndim))] = np.array(value).astype(column.dtype)
        node[...] = x.reshape(node.shape)


MUTATORS: dict[str, Mutate] = {  # suffix -> what goes wrong in such files; text where none is named
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".slp", ".nwb"), change_h5),
    **dict.fromkeys((".pkl", ".npy", ".pt"), change_pickle),
    ".npz": change_npz,
    ".json": change_json,
    ".c3d": change_record,
}


@st.composite
def mutated(draw, data: bytes, words: tuple[bytes, ...] = ()) -> bytes:
    "`mutate` for hypothesis."
    return mutate(random.Random(draw(st.integers(0, 2**32))), data, words)
