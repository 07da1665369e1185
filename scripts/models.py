"""Model files, read for the commands."""

from contextlib import suppress

from compiler.errors import ModelError
from compiler.reader import survey
from compiler.tflite_file import IDENTIFIER
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
    try:
        if calibration is None:
            return survey(path)
        if _is_tflite(path):
            raise Refused(f"{path.name}: a TFLite model has its scales already; leave out the "
                          "calibration, or give the float model as ONNX")
        frames = load_calibration(calibration)
        # ONNX is slow to import, and only few models need it.
        from compiler.calibrate import survey_float
        with running(f"Quantising {path.name} with {len(frames)} frames"):
            return survey_float(path, frames)
    except ModelError as error:
        raise Refused(str(error)) from None


def _is_tflite(path):
    with suppress(OSError), path.open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER
    return False


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
