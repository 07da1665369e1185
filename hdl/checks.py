"""Checks of constructor arguments."""

__all__ = ["check_lanes", "check_range"]


def check_range(name, value, low, high):
    """Raise unless ``value`` is an integer and ``low <= value <= high``.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is out of range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def check_lanes(lanes, columns):
    """Raise unless ``lanes`` divides ``columns``, as :func:`check_range` does."""
    check_range("Lanes", lanes, 1, columns)
    if columns % lanes:
        raise ValueError(f"Lanes must divide columns ({columns}), not {lanes}")
