"""What a case must hold, and what is said if it does not."""

import numpy as np

from compiler.errors import ModelError

__all__ = ["MismatchError", "refused_in_one_line", "require", "require_equal"]

#: Most characters of a refusal.
LONGEST = 1000


class MismatchError(Exception):
    """A case gives something else than it must."""


def require(condition, message):
    """Raise a :class:`MismatchError` unless the condition holds."""
    if not condition:
        raise MismatchError(message)


def require_equal(name, ours, theirs):
    """Raise a :class:`MismatchError` unless two arrays have the same type, shape and values."""
    require(ours.dtype == theirs.dtype and ours.shape == theirs.shape,
            f"{name} is {ours.dtype} of shape {ours.shape}, not {theirs.dtype} of {theirs.shape}")
    # NaN equals NaN, and no two numbers are close enough.
    wrong = ~((ours == theirs) | ((ours != ours) & (theirs != theirs)))
    if wrong.any():
        first = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise MismatchError(f"{name}: {np.count_nonzero(wrong)} of {wrong.size} values differ, the "
                            f"first at {first}: {ours[first]}, not {theirs[first]}")


def refused_in_one_line(faults, name):
    """Raise a :class:`MismatchError` unless every fault is one clear line of file ``name``."""
    for fault in faults:
        text = str(fault)
        require(isinstance(fault, ModelError) and text.startswith(f"{name}: ") and "; " in text
                and text.isprintable() and len(text) < LONGEST, f"it is refused with {text!r}")
