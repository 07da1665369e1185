"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from errno import EACCES, EINVAL, EISDIR, ENOTDIR
from pathlib import Path

__all__ = ["check_writable", "publishing", "write_whole"]


@contextmanager
def publishing(directory):
    """Yield an empty folder whose files move into ``directory`` if the block ends without error.

    ``directory`` is made if need be, and removed again if the block fails and it is empty.

    Raises
    ------
    OSError
        If ``directory`` cannot be made or written; it names a file or the folder.
    """
    directory = Path(directory)
    existed = directory.is_dir()
    directory.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".celosia-", dir=directory))
    try:
        yield staging
        for path in sorted(staging.iterdir()):
            os.replace(path, directory / path.name)
    except OSError as error:
        # What goes wrong in writing, such as a full disk, does not say where.
        if error.filename is None:
            error.filename = str(directory)
        raise
    finally:
        shutil.rmtree(staging)
        if not existed and not any(directory.iterdir()):
            directory.rmdir()


def write_whole(path, content):
    """Write text or bytes to ``path`` in one step: a reader sees the old file or the new one."""
    path = Path(path)
    _check_plain(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with publishing(path.parent) as staging:
        if isinstance(content, str):
            content = content.encode("utf-8")
        (staging / path.name).write_bytes(content)


def check_writable(*paths):
    """Find out, without writing anything, whether files can be written; None is no file.

    Raises
    ------
    OSError
        If one cannot, as far as can be seen.
    """
    for path in paths:
        if path is None:
            continue
        _check_plain(Path(path))
        folder = Path(path).absolute().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), str(folder))


def _check_plain(path):
    """Refuse what a file cannot take the place of; a device would be gone."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "Not a plain file", str(path))
