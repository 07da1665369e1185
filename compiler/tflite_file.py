"""TFLite files: from bytes to tensors and operators, without trusting a byte of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from flatbuffers.number_types import Int32Flags

from compiler.errors import Place, quoted
from compiler.flatbuffer import DamagedBufferError, verify
from compiler.source import read_limited
from compiler.tflite_schema import SCHEMA

__all__ = ["IDENTIFIER", "MAX_ELEMENTS", "Model", "Operator", "Tensor", "read_model_file"]

IDENTIFIER = b"TFL3"
"""What a TFLite file has in its bytes 4 to 7."""

MAX_BYTES = 1 << 29
"""The largest file accepted."""

MAX_ITEMS = 1 << 14
"""The most tensors, buffers and other parts of a kind accepted."""

MAX_OPERATORS = 1 << 12
"""The most operators accepted."""

MAX_RANK = 8
"""The most dimensions of a tensor."""

MAX_ELEMENTS = 1 << 28
"""The largest tensor accepted, in elements."""

_DAMAGED = "export the model again: the file is damaged"
_TYPES = {value: name.lower() for name, value in vars(tflite.TensorType).items()
          if not name.startswith("_")}
_OPERATORS = {value: name for name, value in vars(tflite.BuiltinOperator).items()
              if not name.startswith("_")}
_OPTIONS = {value: name for name, value in vars(tflite.BuiltinOptions).items()
            if not name.startswith("_")}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor as the file declares it.

    Members
    -------
    place : Place
        Tensor and file, for reporting faults.
    index : int
    name : str
        May be empty, and need not be the only one of its kind.
    type : str
        "int8", "float32" and so on; "type 99" if there is none.
    shape : tuple of ints
        Each positive; () for a scalar.
    signature : tuple of ints
        The shape, with -1 for a size that may vary.
    scale, zero_point : arrays of float32 and int64, shape (k,)
        Quantisation, unchecked; of length 0 if it is not given.
    axis : int
        The axis that scales are counted along, if there are several.
    data : array of uint8, or None
        The constant's bytes; None if the tensor is made by an operator or given by the user.
    odd : (str, str) or None
        What else there is about the tensor that is not supported, and the remedy.
    """

    place: Place
    index: int
    name: str
    type: str
    shape: tuple
    signature: tuple
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    data: np.ndarray | None
    odd: tuple | None


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator as the file declares it.

    Members
    -------
    index : int
        Its position in the file, which is the order of execution.
    name : str
        "CONV_2D" and so on; "custom operator" and "operator 999" for others.
    version : int
    inputs, outputs : tuples of ints
        Indices of tensors, all of them valid; -1 for an input that is not given.
    options : object or None
        The accessor of :mod:`tflite` for ``options_type``, checked.
    options_type : str
        "Conv2DOptions" and so on; "NONE" if there are none.
    odd : str
        What else there is about the operator that is not supported; empty if there is nothing.
    """

    index: int
    name: str
    version: int
    inputs: tuple
    outputs: tuple
    options: Any
    options_type: str
    odd: str


@dataclass(frozen=True)
class Model:
    """The only graph of a file.

    Members
    -------
    place : Place
    tensors : tuple of Tensor
    operators : tuple of Operator
    inputs, outputs : tuples of ints
        Indices of tensors, all of them valid.
    """

    place: Place
    tensors: tuple
    operators: tuple
    inputs: tuple
    outputs: tuple


def read_model_file(path):
    """Read a TFLite file.

    Every offset, length and index in it is checked. Ignored are names of the graph and of its
    signatures, the description, the metadata, and the range that a tensor was calibrated with.

    Parameters
    ----------
    path : str or path
        File of at most 512 MiB with one graph.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, is of another format, or has several graphs.
    """
    place = Place(Path(path).name)
    content = read_limited(path, place, MAX_BYTES)
    if content[4:8] != IDENTIFIER:
        raise place.fault("this is not a TFLite model, or it is damaged",
                          "export the model again")
    try:
        verify(content, SCHEMA, "Model")
    except DamagedBufferError as error:
        raise place.fault(f"{error}", f"{_DAMAGED}, or newer than TensorFlow 2.18") from error
    return _Reader(content, place).model()


class _Reader:
    """Walks the tables of a file that has been verified."""

    def __init__(self, content, place):
        self.content, self.place, self.characters = content, place, 0

    def model(self):
        root = tflite.Model.GetRootAs(self.content, 0)
        if root.Version() != 3:
            raise self.place.fault(f"schema version {root.Version()} is not 3",
                                   "convert the model with a current converter")
        if root.SubgraphsLength() != 1:
            raise self.place.fault(f"there are {root.SubgraphsLength()} subgraphs, not one",
                                   "export a model without control flow, with one signature")
        buffers = [self.buffer(buffer) for buffer in self.items(root, "Buffers")]
        codes = [self.code(code) for code in self.items(root, "OperatorCodes")]
        graph = next(self.items(root, "Subgraphs"))
        tensors = tuple(self.tensor(index, tensor, buffers)
                        for index, tensor in enumerate(self.items(graph, "Tensors")))
        operators = tuple(self.operator(index, operator, codes, len(tensors))
                          for index, operator in enumerate(self.items(graph, "Operators")))
        if len(operators) > MAX_OPERATORS:
            raise self.place.fault(f"there are {len(operators)} operators",
                                   f"keep them to {MAX_OPERATORS}")
        if not operators:
            raise self.place.at("graph").fault("there are no operators", "export the model again")
        ends = (self.indices(graph.InputsAsNumpy(), len(tensors), self.place.at("graph input")),
                self.indices(graph.OutputsAsNumpy(), len(tensors), self.place.at("graph output")))
        return Model(self.place, tensors, operators, *ends)

    def items(self, message, name):
        """The tables of a vector."""
        count = getattr(message, f"{name}Length")()
        if count > MAX_ITEMS:
            raise self.place.fault(f"there are {count} {name.lower()}",
                                   f"keep them to {MAX_ITEMS}")
        for index in range(count):
            yield getattr(message, name)(index)

    def buffer(self, buffer):
        """Bytes of a constant; empty if it has none; None if they are not inside the model."""
        if buffer.Offset() > 1 or buffer.Size() > 1:
            return None
        return self.vector(buffer.DataAsNumpy(), np.uint8)

    def code(self, code):
        """(operator, version) of an operator code."""
        # Once a byte was enough. The package's own BuiltinCode() believes the byte; TFLite takes
        # the greater number.
        offset = code._tab.Offset(10)
        number = code._tab.Get(Int32Flags, code._tab.Pos + offset) if offset else 0
        number = max(number, code.DeprecatedBuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            return f"custom operator {quoted(self.text(code.CustomCode()))}", code.Version()
        return _OPERATORS.get(number, f"operator {number}"), code.Version()

    def tensor(self, index, tensor, buffers):
        name = self.text(tensor.Name())
        place = self.place.at(f"tensor {index} {quoted(name)}")
        number = tensor.Buffer()
        if number >= len(buffers):
            raise place.fault(f"buffer {number} does not exist", _DAMAGED)
        shape = self.sizes(tensor.ShapeAsNumpy(), place, low=1)
        signature = self.sizes(tensor.ShapeSignatureAsNumpy(), place, low=-1) or shape
        if len(signature) != len(shape):
            raise place.fault(f"its shape {shape} and its signature {signature} differ in length",
                              _DAMAGED)
        odd = [(what, remedy) for flag, what, remedy in (
            (tensor.IsVariable(), "is a variable", "convert a model without state"),
            (tensor.Sparsity(), "is sparse", "convert the model with dense weights"),
            (tensor.VariantTensorsLength(), "is a variant", "convert a model without lists"),
            (buffers[number] is None, "has its values outside the model",
             "convert it to a file that holds its weights")) if flag]
        scale, zero_point, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        quantisation = tensor.Quantization()
        if quantisation is not None:
            scale = self.vector(quantisation.ScaleAsNumpy(), np.float32)
            zero_point = self.vector(quantisation.ZeroPointAsNumpy(), np.int64)
            axis = quantisation.QuantizedDimension()
            if scale.size and not 0 <= axis < max(len(shape), 1):
                odd.append((f"has quantized_dimension {axis}, which is no axis of it",
                            "convert the model again"))
            if quantisation.DetailsType():
                odd.append(("has a quantisation of its own kind", "quantise it to int8"))
        data = buffers[number] if number else None
        return Tensor(
            place, index, name, _TYPES.get(tensor.Type(), f"type {tensor.Type()}"), shape,
            signature, scale, zero_point, axis, None if data is None or not data.size else data,
            odd[0] if odd else None)

    def operator(self, index, operator, codes, tensors):
        place = self.place.at(f"operator {index}")
        if operator.OpcodeIndex() >= len(codes):
            raise place.fault(f"operator code {operator.OpcodeIndex()} does not exist", _DAMAGED)
        name, version = codes[operator.OpcodeIndex()]
        place = place.at(f"operator {index} ({name})")
        inputs = self.indices(operator.InputsAsNumpy(), tensors, place, low=-1)
        outputs = self.indices(operator.OutputsAsNumpy(), tensors, place)
        kind = operator.BuiltinOptionsType()
        options_type, options = _OPTIONS.get(kind, f"options {kind}"), None
        table = operator.BuiltinOptions()
        if table is not None and options_type in SCHEMA:
            options = getattr(tflite, options_type)()
            options.Init(table.Bytes, table.Pos)
        odd = [text for flag, text in (
            (operator.CustomOptionsLength() or operator.LargeCustomOptionsSize(),
             "it has custom options"),
            (operator.BuiltinOptions2Type(), "it has options of a newer kind"),
            (np.any(self.vector(operator.MutatingVariableInputsAsNumpy(), np.bool_)[:MAX_ITEMS]),
             "it changes its inputs"),
            (operator.IntermediatesLength(), "it has intermediate tensors")) if flag]
        return Operator(index, name, version, inputs, outputs, options, options_type,
                        odd[0] if odd else "")

    def indices(self, values, count, place, *, low=0):
        """Indices of tensors as a tuple, checked."""
        values = self.vector(values, np.int32)
        if values.size > MAX_ITEMS or np.any((values < low) | (values >= count)):
            wrong = values[(values < low) | (values >= count)][:1]
            raise place.fault(f"tensor {wrong[0]} does not exist" if wrong.size
                              else f"there are {values.size} tensors", _DAMAGED)
        return tuple(values.tolist())

    def sizes(self, values, place, *, low):
        """A shape as a tuple, checked."""
        values = self.vector(values, np.int32)
        if values.size > MAX_RANK or np.any(values < low) or np.any(
                np.cumprod(np.maximum(values, 1).astype(np.float64)) > MAX_ELEMENTS):
            raise place.fault(f"its shape is {tuple(values[:MAX_RANK].tolist())}",
                              f"export with static sizes of at least 1, at most {MAX_RANK} of "
                              f"them, and at most {MAX_ELEMENTS} elements")
        return tuple(values.tolist())

    def vector(self, values, dtype):
        """What an accessor ``...AsNumpy`` returned, as an array: 0 stands for none."""
        return np.zeros(0, dtype) if isinstance(values, int) else values.view(dtype)

    def text(self, name):
        """A name, whatever its bytes."""
        name = name or b""
        self.characters += len(name)
        # In a sound file few names overlap; in a hostile one all may be as long as the file.
        if self.characters > len(self.content):
            raise self.place.fault("its names overlap", _DAMAGED)
        return name.decode("utf-8", "replace")
