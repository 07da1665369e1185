"""Arrays that users give and get: .npy files, checked before a byte of data is read."""

import io
import math
import os
import warnings

import numpy as np
from numpy.lib import format as npy

from compiler.source import open_plain
from scripts.console import Refused

__all__ = ["array_bytes", "load_calibration", "load_frames"]


#: The largest file that is read.
MAX_BYTES = 1 << 31
#: Largest header of an .npy file; those of plain arrays have some hundred bytes.
MAX_HEADER = 10_000


def load_frames(path, port):
    """Return the frames in the file ``path``, an array (N, *port.shape), N at least 1.

    Parameters
    ----------
    path : path
        A file in NumPy's .npy format. Nothing in it is ever executed.
    port : compiler.model.Port
        What the frames must be: type and shape.

    Raises
    ------
    Refused
        If the file cannot be read, is damaged, or holds something else.
    """
    return _read(path, lambda shape, dtype: _check(path, port, shape, dtype))


def load_calibration(path):
    """Return the float32 frames in the file ``path``, as a float model takes them.

    Raises
    ------
    Refused
        If the file cannot be read, is damaged, or holds something else.
    """
    def check(shape, dtype):
        if dtype.newbyteorder("=") != np.float32:
            raise Refused(f"{path}: its type is {dtype}, and frames to calibrate with are float32; "
                          "save x.astype(numpy.float32)")
        if not shape or shape[0] < 1:
            raise Refused(f"{path}: it holds no frame; save frames along the first axis")
    return _read(path, check)


def _read(path, check):
    """The array in an .npy file whose shape and type pass ``check``."""
    try:
        with open_plain(path) as file:
            shape, dtype, order = _header(path, file)
            check(shape, dtype)
            size = math.prod(shape) * dtype.itemsize
            there = os.fstat(file.fileno()).st_size - file.tell()
            if there != size:
                raise Refused(f"{path}: it has {there} bytes of data, not the {size} that its "
                              "header says; save it again, the file is damaged")
            if size > MAX_BYTES:
                raise Refused(f"{path}: {size} bytes of data are more than {MAX_BYTES}; "
                              "split it along the first axis")
            array = np.frombuffer(file.read(size), dtype).reshape(shape, order=order)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    array = array.astype(dtype.newbyteorder("="), copy=False)
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        frame = int(np.argmin(np.isfinite(array.reshape(len(array), -1)).all(axis=1)))
        raise Refused(f"{path}: frame {frame} holds NaN or infinity; the values must be finite")
    return array


def _header(path, file):
    """Shape, type and order of elements that an .npy file declares."""
    remedy = "give an array written by numpy.save"
    try:
        version = npy.read_magic(file)
    except ValueError:
        raise Refused(f"{path}: not an .npy file; {remedy}") from None
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise Refused(f"{path}: .npy files of version {version[0]}.{version[1]} are not "
                      f"supported; {remedy}")
    try:
        # NumPy parses headers as Python: there are warnings, and its tokeniser's own errors.
        with warnings.catch_warnings(action="ignore"):
            shape, fortran, dtype = readers[version](file, max_header_size=MAX_HEADER)
    except Exception:
        raise Refused(f"{path}: its header is damaged; {remedy}") from None
    return shape, dtype, "F" if fortran else "C"


def _check(path, port, shape, dtype):
    wanted = np.dtype(port.dtype)
    # The order of bytes is the file's own business.
    if dtype.newbyteorder("=") != wanted:
        raise Refused(f"{path}: its type is {dtype}, and that of input {port.name!r} is {wanted}; "
                      f"save x.astype(numpy.{wanted})")
    if shape[1:] != tuple(port.shape) or not shape:
        sizes = ", ".join(map(str, ("N", *port.shape)))
        remedy = ("save x[None]" if shape == tuple(port.shape)
                  else "save frames along the first axis, in the model's own layout")
        raise Refused(f"{path}: its shape is {shape}, and that of input {port.name!r} is "
                      f"({sizes}); {remedy}")
    if shape[0] < 1:
        raise Refused(f"{path}: it holds no frame; save at least one")


def array_bytes(array):
    """Return the content of an .npy file of ``array``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
