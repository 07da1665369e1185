"""Model files, read for the commands."""

from contextlib import nullcontext

from compiler.errors import ModelError
from compiler.reader import survey
from scripts.arrays import load_calibration
from scripts.console import Refused, running

__all__ = ["load_model", "survey_model"]


def survey_model(path, calibration=None):
    """Return the :class:`compiler.survey.Survey` of the model file ``path``.

    Parameters
    ----------
    path : path
    calibration : path, or None
        An .npy file of frames with which a float ONNX model is quantised.

    Raises
    ------
    Refused
        If a file cannot be read, or is damaged.
    """
    frames = None if calibration is None else load_calibration(calibration)
    under_way = nullcontext() if frames is None else running(
        f"Quantising {path.name} with {len(frames)} frames")
    try:
        with under_way:
            return survey(path, frames)
    except ModelError as error:
        raise Refused(str(error)) from None


def load_model(path, calibration=None):
    """Return the :class:`compiler.model.Model` in the file ``path``.

    Raises
    ------
    Refused
        If it cannot be read, is damaged, or does not map to the engine; of several faults, the
        first one.
    """
    found = survey_model(path, calibration)
    if found.model is None:
        raise Refused(str(found.faults[0]))
    return found.model
