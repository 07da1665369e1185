"""Damaged files, read."""

from math import prod

from compiler.errors import ModelError
from compiler.reader import survey
from scripts.fuzzing.checks import refused_in_one_line, require
from scripts.fuzzing.watch import bounded

__all__ = ["read_damaged", "too_large"]

#: Seconds that reading may take, whatever the file.
PATIENCE = 10.0
#: Multiplications, and elements of a map, beyond which an accepted file is not run.
MOST_WORK, MOST_ELEMENTS = 1 << 26, 1 << 20


def read_damaged(path, calibration=None):
    """Read the file ``path``, which may be damaged in any way.

    Parameters
    ----------
    path : path
    calibration : array or None
        As of :func:`compiler.reader.survey`.

    Returns
    -------
    (Model, None) or (None, str)
        The model, or what has become of the file.

    Raises
    ------
    MismatchError
        If it is neither read nor refused in one line, or takes too long.
    """
    with bounded(PATIENCE, "Reading"):
        try:
            found = survey(path, calibration)
            faults, model = found.faults, found.model
        except ModelError as fault:
            faults, model = (fault,), None
    require((model is None) == bool(faults), "there is a model as well as faults, or neither")
    refused_in_one_line(faults, path.name)
    return (model, None) if model is not None else (None, "refused")


def too_large(network, frames):
    """Whether running so many frames would take long."""
    largest = max(map(prod, network.shapes().values()))
    return frames * network.macs() > MOST_WORK or frames * largest > MOST_ELEMENTS
