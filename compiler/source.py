"""Files that are read: plain ones, since a pipe may never end and a device never does."""

import errno
from pathlib import Path
from stat import S_ISDIR, S_ISREG

__all__ = ["open_plain", "read_limited"]


def open_plain(path):
    """Open a plain file, and nothing else, to read bytes.

    Raises
    ------
    OSError
        If it cannot be opened, or is a folder, a pipe, a device, ...
    """
    # Before it is opened, for that alone may wait for ever.
    kind = Path(path).stat().st_mode
    if not S_ISREG(kind) and not S_ISDIR(kind):
        raise OSError(errno.EINVAL, "Not a plain file", str(path))
    return Path(path).open("rb")


def read_limited(path, place, limit):
    """Return the bytes of a model file.

    Parameters
    ----------
    path : str or path
    place : Place
        Where to report faults.
    limit : int
        The most bytes that it may have.

    Raises
    ------
    ModelError
        If the file cannot be read, has more bytes, or none.
    """
    try:
        with open_plain(path) as file:
            size = Path(path).stat().st_size
            if size > limit:
                raise place.fault(f"the file has {size} bytes", f"keep models to {limit} bytes")
            content = file.read(limit)
    except OSError as error:
        raise place.fault(f"cannot be read: {error.strerror}", "check the path") from error
    if not content:
        raise place.fault("the file is empty", "export the model again")
    return content
