"""Files that are almost right: mutations of a valid one, for the readers' fuzz tests."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from motionbook.core.motion import Scene

FUZZ = settings(
    max_examples=150,
    deadline=5000,  # ms; a hang is a failure
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
TOKENS = [
    b"", b"NaN", b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"1000000000", b"99999999999999999999", b"0x1F",
    b"1_000", b"1,5", b".", b"-", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\t", b"\r", b"\n", b"\r\n", b" ", b'"', b"{", b"}",
    b"\x1a", b"\xc3\x28", "Kn\u00f6chel".encode(), "\u2028".encode(), b"x" * 300, b"\t" * 200, b"\n" * 50,
]  # fmt: skip


@st.composite
def mutated(draw, data: bytes, words: tuple[bytes, ...] = ()) -> bytes:
    "A valid file with one to four things wrong; `words` are the format's own, to put in odd places."
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        end = min(len(data), at + draw(st.sampled_from([1, 2, 7, 40, 400, 5000])))
        what = draw(
            st.sampled_from(["cut", "drop", "repeat", "token", "word", "byte", "lines", "field"])
        )
        if what == "cut":
            data = data[:at]
        elif what == "drop":
            data = data[:at] + data[end:]
        elif what == "repeat":
            data = data[:end] + data[at:end] * draw(st.integers(1, 3)) + data[end:]
        elif what == "byte":
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif what == "lines":
            data = _swap_lines(data, draw(st.randoms(use_true_random=False)))
        elif what == "field":
            data = _change_field(data, at, draw(st.sampled_from(TOKENS)))
        else:
            pool = [*words, *TOKENS] if what == "word" else TOKENS
            data = data[:at] + draw(st.sampled_from(pool)) + data[at:]
    return data


def _swap_lines(data: bytes, random) -> bytes:
    lines = data.split(b"\n")
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _change_field(data: bytes, at: int, token: bytes) -> bytes:
    "Exchange the whole field around a place."
    blanks = b" \t\r\n,"
    start = max(data.rfind(bytes([c]), 0, at) for c in blanks) + 1
    end = min((i for c in blanks if (i := data.find(bytes([c]), at)) >= 0), default=len(data))
    return data[:start] + token + data[end:]


def mutated_npz(data: bytes):
    "A valid .npz with something wrong inside one of its arrays, the zip itself intact."
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        members = {n: z.read(n) for n in z.namelist()}
    one = st.sampled_from(sorted(members)).flatmap(
        lambda n: st.one_of(mutated(members[n]), odd_arrays().map(_npy)).map(
            lambda b: _zip(members | {n: b})
        )
    )
    gone = st.sampled_from(sorted(members)).map(
        lambda n: _zip({k: b for k, b in members.items() if k != n})
    )
    return st.one_of(one, gone, mutated(data))


def odd_arrays():
    "Small arrays of any type and shape."
    from hypothesis.extra import numpy as hnp

    types = st.one_of(
        hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.unicode_string_dtypes(max_len=4), hnp.byte_string_dtypes(max_len=4),
        hnp.boolean_dtypes(), hnp.complex_number_dtypes(), hnp.datetime64_dtypes(),
    )  # fmt: skip
    return types.flatmap(
        lambda t: hnp.arrays(t, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    )


def _npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, x)
    return out.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in members.items():
            z.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def survives(read, path: Path, data: bytes) -> Scene | None:
    "Read hostile bytes: a scene, or a clean refusal of one line; any other exception fails the test."
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            scene = read(path)
        except (ValueError, OSError) as err:
            text = str(err)
            assert text and "\n" not in text, f"expected one line, got {text!r}"
            return None
    assert isinstance(scene, Scene)
    return scene
