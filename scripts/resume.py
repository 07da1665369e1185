"""Results of tools that need not be made again: what each was made from is kept beside it."""

import hashlib

from scripts.files import write_whole

__all__ = ["digest", "is_current", "keep_key"]


def digest(*parts):
    """Return a key for all that decides a result, given as texts and bytes."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(b"%d " % len(content))
        found.update(content)
    return found.hexdigest()


def is_current(path, key):
    """Return whether the file ``path`` is whole, and was made from what ``key`` stands for."""
    note = _note(path)
    return path.exists() and note.exists() and (
        note.read_text(encoding="ascii") == _text(path, key))


def keep_key(path, key):
    """Note that the file ``path``, as it is now, was made from what ``key`` stands for.

    If there is none, because its making was stopped, there is nothing to note.
    """
    if path.exists():
        write_whole(_note(path), _text(path, key))


def _note(path):
    return path.with_name(f"{path.name}.key")


def _text(path, key):
    return f"{key}\n{digest(path.read_bytes())}\n"
