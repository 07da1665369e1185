"""ONNX models as networks of the arithmetic contract."""

import compiler.onnx_arithmetic
import compiler.onnx_conv
import compiler.onnx_elementwise
import compiler.onnx_host
import compiler.onnx_join
import compiler.onnx_layout
import compiler.onnx_matmul
import compiler.onnx_pool
import compiler.onnx_quantise
import compiler.onnx_sizes
from compiler.errors import ModelError
from compiler.onnx_file import read_graph, run_checker
from compiler.onnx_graph import Reader
from compiler.survey import Survey

__all__ = ["OPERATOR_MODULES", "read_onnx", "survey_graph", "survey_onnx"]

OPERATOR_MODULES = (
    compiler.onnx_conv, compiler.onnx_matmul, compiler.onnx_elementwise,
    compiler.onnx_arithmetic, compiler.onnx_pool, compiler.onnx_join, compiler.onnx_quantise,
    compiler.onnx_layout, compiler.onnx_sizes, compiler.onnx_host)
"""Modules that fill :data:`compiler.onnx_node.OPERATORS`."""


def read_onnx(path):
    """Read a quantised model; see :func:`survey_onnx`.

    Returns
    -------
    compiler.model.Model

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or asks for something not supported; of several
        faults, the first one.
    """
    found = survey_onnx(path)
    if found.model is None:
        raise found.faults[0]
    return found.model


def survey_onnx(path):
    """Read an ONNX model, and say of every node what becomes of it.

    The graph has one input and one output, opset 10 or newer, and is quantised: by operators on
    codes (QLinearConv, ONNX Runtime's QLinearAdd, ConvInteger, ...), or by DequantizeLinear and
    QuantizeLinear around operators on reals; codes are int8 or uint8 with any zero point.
    :data:`compiler.onnx_node.OPERATORS` holds the operators. Nothing is ignored but documentation,
    metadata, unused initialisers and intermediate value infos.

    Arithmetic. Results are the exact ones of the model's real numbers with its float32 scales,
    rounded once, half to even, wherever a layer's docstring does not say otherwise. ONNX Runtime
    computes in float32, and may round to the other neighbour where the exact result is near a tie:
    within 2⁻²³ of itself for convolutions and products on codes (QLinearConv, QLinearMatMul,
    QGemm, and what the runtime fuses into these); within (n + 3) · 2⁻²⁴ · Σ|x·w| of the n terms
    of a sum, in steps of the output, where its optimisations are off and it adds dequantised reals;
    for the other operators see :mod:`golden.onnx_ops`. Maxima, clips, tables, padding and layout
    are equal bit for bit, and so are ties of scales that are powers of two.

    Parameters
    ----------
    path : str or path
        File of at most 512 MiB with all weights inside.

    Returns
    -------
    compiler.survey.Survey
        Tensors of the network have the names of the file's codes; one that the file holds as
        reals only, that of the reals.

    Raises
    ------
    ModelError
        If the file cannot be read or is damaged, or its graph is not as above. What is wrong with
        its nodes is in the survey.
    """
    graph = read_graph(path)
    found = survey_graph(graph)
    if found.model is not None:
        run_checker(graph)
    return found


def survey_graph(graph, calibration=None):
    """The `Survey` of a `compiler.onnx_file.Graph`.

    ``calibration`` is a `compiler.calibrate.Calibration` for a float model; see
    :func:`survey_onnx` for others.
    """
    reader = Reader(graph, calibration)
    entries = [reader.read(proto) for proto in graph.nodes]
    faults = [entry.fault for entry in entries if entry.fault is not None]
    model = None
    if not faults:
        try:
            model = reader.finish()
        except ModelError as error:
            faults.append(error)
    return Survey(graph.place.file, tuple(entry.row() for entry in entries), model, tuple(faults))
