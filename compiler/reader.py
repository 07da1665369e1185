"""Model files of every supported format, told apart by name and content."""

from pathlib import Path

from compiler.errors import Place
from compiler.source import open_plain
from compiler.tflite_file import IDENTIFIER
from compiler.tflite_reader import survey_tflite

__all__ = ["SUFFIXES", "read_model", "survey"]

SUFFIXES = {".tflite": "TFLite", ".onnx": "ONNX"}
"""Format of a model by the end of its name."""


def survey(path, calibration=None):
    """Read a model, and say of every node what becomes of it.

    Parameters
    ----------
    path : str or path
        A TFLite or ONNX file. Another name than ``*.tflite`` and ``*.onnx`` leaves it to the
        content.
    calibration : array of float32, shape (N, ...), or None
        Frames to quantise a float ONNX model by: see :func:`compiler.calibrate.survey_float`.

    Returns
    -------
    compiler.survey.Survey

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or is not what its name says.
    """
    if _format(path) == "ONNX":
        # Slow to import, and half of the models do without.
        if calibration is not None:
            from compiler.calibrate import survey_float
            return survey_float(path, calibration)
        from compiler.onnx_reader import survey_onnx
        return survey_onnx(path)
    if calibration is not None:
        raise Place(Path(path).name).fault("a TFLite model is quantised already",
                                           "calibrate float ONNX models only")
    return survey_tflite(path)


def read_model(path, calibration=None):
    """Read a model.

    Parameters
    ----------
    path, calibration
        As in :func:`survey`.

    Returns
    -------
    compiler.model.Model

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or asks for something not supported; of several
        faults, the first one.
    """
    found = survey(path, calibration)
    if found.model is None:
        raise found.faults[0]
    return found.model


def _format(path):
    """Name of the file's format."""
    path = Path(path)
    place = Place(path.name)
    try:
        with open_plain(path) as file:
            start = file.read(8)
    except OSError as error:
        raise place.fault(f"cannot be read: {error.strerror}", "check the path") from error
    content = "TFLite" if start[4:] == IDENTIFIER else "ONNX"
    named = SUFFIXES.get(path.suffix.lower(), content)
    # Anything may be a damaged ONNX file, and so says its reader.
    if named == "ONNX" and content == "TFLite":
        raise place.fault("the file holds a TFLite model", "name it *.tflite")
    return named
