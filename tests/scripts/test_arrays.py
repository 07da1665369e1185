"""Files of frames: what is wrong with them is said in one line, before anything is read."""

import io

import numpy as np
import pytest

from compiler.model import Port
from scripts.arrays import array_bytes, load_calibration, load_frames
from scripts.console import Refused
from tests.golden.refusal import refuses

CODES = Port(name="x", shape=(2, 3), dtype=np.int8, channels_last=False, scale=0.5, zero_point=0)
REALS = Port(name="x", shape=(2, 3), dtype=np.float32, channels_last=False, scale=0.5,
             zero_point=0)


def saved(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


CONTENT = array_bytes(np.zeros((4, 2, 3), np.int8))


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_what_numpy_writes(tmp_path, version, order):
    array = np.asarray(np.random.default_rng(1).integers(-128, 128, (4, 2, 3)), np.int8, order)
    (tmp_path / "x.npy").write_bytes(saved(array, version=version))
    np.testing.assert_array_equal(load_frames(tmp_path / "x.npy", CODES), array)


def test_reads_any_order_of_bytes(tmp_path):
    array = np.random.default_rng(1).normal(size=(4, 2, 3)).astype(">f4")
    np.save(tmp_path / "x.npy", array)
    frames = load_frames(tmp_path / "x.npy", REALS)
    assert frames.dtype == np.float32
    assert frames.dtype.isnative
    np.testing.assert_array_equal(frames, array)


def header(shape, kind="|i1"):
    """An .npy file without data."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


@pytest.mark.parametrize(("content", "message"), [
    (b"", "not an .npy file; give an array written by numpy.save"),
    (b"PK\x03\x04" + bytes(60), "not an .npy file; give an array written by numpy.save"),
    (b"\x93NUMPY\x03\x00" + CONTENT[8:],
     ".npy files of version 3.0 are not supported; give an array written by numpy.save"),
    (CONTENT[:40], "its header is damaged; give an array written by numpy.save"),
    (CONTENT.replace(b"'fortran_order'", b"__import__('os')"),
     "its header is damaged; give an array written by numpy.save"),
    (header("((((" * 500 + "))))" * 500),
     "its header is damaged; give an array written by numpy.save"),
    (header("(4, 2, 3)" + " " * 10_000) + bytes(24),
     "its header is damaged; give an array written by numpy.save"),
    (CONTENT[:-1], "it has 23 bytes of data, not the 24 that its header says; save it again, the "
                   "file is damaged"),
    (CONTENT + b"0", "it has 25 bytes of data, not the 24 that its header says; save it again, "
                     "the file is damaged"),
    (header(f"({2**60}, 2, 3)"),
     f"it has 0 bytes of data, not the {6 * 2**60} that its header says; save it again, the file "
     "is damaged"),
    (saved(np.array([None, b"code"]), allow_pickle=True),
     "its type is object, and that of input 'x' is int8; save x.astype(numpy.int8)"),
    (array_bytes(np.zeros((4, 2, 3), np.uint8)),
     "its type is uint8, and that of input 'x' is int8; save x.astype(numpy.int8)"),
    (array_bytes(np.zeros((4, 2, 3), [("a", "i1")])),
     "its type is [('a', 'i1')], and that of input 'x' is int8; save x.astype(numpy.int8)"),
    (array_bytes(np.zeros((2, 3), np.int8)),
     "its shape is (2, 3), and that of input 'x' is (N, 2, 3); save x[None]"),
    (array_bytes(np.zeros((4, 3, 2), np.int8)),
     "its shape is (4, 3, 2), and that of input 'x' is (N, 2, 3); save frames along the first "
     "axis, in the model's own layout"),
    (array_bytes(np.int8(0)), "its shape is (), and that of input 'x' is (N, 2, 3); save frames "
                              "along the first axis, in the model's own layout"),
    (array_bytes(np.zeros((0, 2, 3), np.int8)), "it holds no frame; save at least one"),
])
def test_refuses(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with refuses(Refused, f"{path}: {message}"):
        load_frames(path, CODES)


def test_refuses_what_is_not_a_file(tmp_path):
    with refuses(Refused, f"{tmp_path}: Is a directory"):
        load_frames(tmp_path, CODES)
    with refuses(Refused, f"{tmp_path}/x: No such file or directory"):
        load_frames(tmp_path / "x", CODES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_no_number(tmp_path, value):
    frames = np.zeros((4, 2, 3), np.float32)
    frames[2, 1, 1] = value
    np.save(tmp_path / "x.npy", frames)
    with refuses(Refused, f"{tmp_path}/x.npy: frame 2 holds NaN or infinity; the values must be "
                          "finite"):
        load_frames(tmp_path / "x.npy", REALS)


def test_float64_is_not_silently_narrowed(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 2, 3)))
    with refuses(Refused, f"{tmp_path}/x.npy: its type is float64, and that of input 'x' is "
                          "float32; save x.astype(numpy.float32)"):
        load_frames(tmp_path / "x.npy", REALS)


def test_frames_to_calibrate_with(tmp_path):
    """Of any shape, but float32."""
    path = tmp_path / "c.npy"
    for shape in ((1, 2), (3, 4, 5, 6)):
        array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        np.save(path, array)
        np.testing.assert_array_equal(load_calibration(path), array)
    np.save(path, np.zeros((1, 2)))
    with refuses(Refused, f"{path}: its type is float64, and frames to calibrate with are "
                          "float32; save x.astype(numpy.float32)"):
        load_calibration(path)
    for shape in ((), (0, 2)):
        np.save(path, np.zeros(shape, np.float32))
        with refuses(Refused, f"{path}: it holds no frame; save frames along the first axis"):
            load_calibration(path)
    np.save(path, np.full((2, 2), np.nan, np.float32))
    with refuses(Refused, f"{path}: frame 0 holds NaN or infinity; the values must be finite"):
        load_calibration(path)


def test_damage_is_refused_or_harmless(tmp_path):
    """Bytes changed, removed and put in, most of them in the header."""
    rng = np.random.default_rng(5)
    path = tmp_path / "x.npy"
    outcomes = set()
    for _ in range(500):
        content = bytearray(CONTENT)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(80 if rng.integers(4) else len(content)))
            content[at:at + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
        path.write_bytes(bytes(content))
        try:
            frames = load_frames(path, CODES)
        except Refused:
            outcomes.add(False)
        else:
            outcomes.add(True)
            assert (frames.dtype, frames.shape[1:]) == (np.int8, (2, 3))
    assert outcomes == {True, False}
