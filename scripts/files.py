"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

__all__ = ["publishing", "write_whole"]


@contextmanager
def publishing(directory):
    """Yield an empty folder whose files move into ``directory`` if the block ends without error.

    ``directory`` is made if need be, and removed again if the block fails and it is empty.

    Raises
    ------
    OSError
        If ``directory`` cannot be made or written.
    """
    directory = Path(directory)
    existed = directory.is_dir()
    directory.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".celosia-", dir=directory))
    try:
        yield staging
        for path in sorted(staging.iterdir()):
            os.replace(path, directory / path.name)
    finally:
        shutil.rmtree(staging)
        if not existed and not any(directory.iterdir()):
            directory.rmdir()


def write_whole(path, text):
    """Write ``text`` to ``path`` in one step: a reader sees the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with publishing(path.parent) as staging:
        (staging / path.name).write_text(text, encoding="utf-8")
