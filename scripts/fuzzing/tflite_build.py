"""TFLite files from tensors and operators, whatever is in them."""

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

__all__ = ["Op", "T", "build"]


@dataclass
class T:
    """A tensor; constant if it has data.

    ``extra`` are fields of the table Tensor: values, or functions that build them.
    """

    shape: tuple
    type: str = "INT8"
    scale: Any = ()
    zero_point: Any = ()
    axis: int = 0
    data: Any = None
    signature: tuple | None = None
    name: str | None = None
    extra: dict = field(default_factory=dict)


@dataclass
class Op:
    """An operator; inputs and outputs are indices of tensors.

    ``options`` are fields of the table, values that are strings padding modes or activations;
    ``extra`` those of the table Operator, as in `T`.
    """

    name: str
    inputs: list
    outputs: list
    table: str | None = None
    options: dict = field(default_factory=dict)
    version: int = 1
    custom: bytes | None = None
    extra: dict = field(default_factory=dict)


def build(tensors, operators, inputs, outputs, *, version=3, subgraphs=1):
    """The bytes of a model file."""
    builder = flatbuffers.Builder(1024)
    buffers = [_buffer(builder, None)]
    made = []
    for index, tensor in enumerate(tensors):
        if tensor.data is not None:
            buffers.append(_buffer(builder, tensor.data))
        made.append(_tensor(builder, tensor, index,
                            0 if tensor.data is None else len(buffers) - 1))
    codes = [_code(builder, operator) for operator in operators]
    steps = [_operator(builder, operator, index) for index, operator in enumerate(operators)]
    lists = [_offsets(builder, tflite.SubGraphStartTensorsVector, made),
             _offsets(builder, tflite.SubGraphStartOperatorsVector, steps),
             *(builder.CreateNumpyVector(np.array(each, np.int32)) for each in (inputs, outputs))]
    graph = _table(builder, "SubGraph", dict(zip(("Tensors", "Operators", "Inputs", "Outputs"),
                                                 lists, strict=True)))
    vectors = {name: _offsets(builder, getattr(tflite, f"ModelStart{name}Vector"), items)
               for name, items in (("OperatorCodes", codes), ("Subgraphs", [graph] * subgraphs),
                                   ("Buffers", buffers))}
    builder.Finish(_table(builder, "Model", {"Version": version, **vectors}),
                   file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder, kind, fields):
    # What a field leads to is built before its table.
    fields = {name: value(builder) if callable(value) else value
              for name, value in fields.items()}
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(builder, value)
    return getattr(tflite, f"{kind}End")(builder)


def _buffer(builder, data):
    if data is None:
        return _table(builder, "Buffer", {})
    raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    return _table(builder, "Buffer", {"Data": builder.CreateNumpyVector(raw)})


def _tensor(builder, tensor, index, buffer):
    name = builder.CreateString(f"t{index}" if tensor.name is None else tensor.name)
    fields = {"Shape": builder.CreateNumpyVector(np.array(tensor.shape, np.int32)),
              "Type": getattr(tflite.TensorType, tensor.type), "Buffer": buffer, "Name": name}
    if len(tensor.scale) or len(tensor.zero_point):
        vectors = {"Scale": builder.CreateNumpyVector(np.array(tensor.scale, np.float32)),
                   "ZeroPoint": builder.CreateNumpyVector(np.array(tensor.zero_point, np.int64))}
        fields["Quantization"] = _table(builder, "QuantizationParameters", {
            **vectors, "QuantizedDimension": tensor.axis})
    if tensor.signature is not None:
        fields["ShapeSignature"] = builder.CreateNumpyVector(np.array(tensor.signature, np.int32))
    return _table(builder, "Tensor", {**fields, **tensor.extra})


def _code(builder, operator):
    number = getattr(tflite.BuiltinOperator, operator.name)
    fields = {} if operator.custom is None else {
        "CustomCode": builder.CreateString(operator.custom)}
    return _table(builder, "OperatorCode", {
        **fields, "DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number,
        "Version": operator.version})


def _operator(builder, operator, code):
    vectors = {name: builder.CreateNumpyVector(np.array(indices, np.int32)) for name, indices in
               (("Inputs", operator.inputs), ("Outputs", operator.outputs))}
    fields = {}
    if operator.table:
        fields = {"BuiltinOptionsType": getattr(tflite.BuiltinOptions, operator.table),
                  "BuiltinOptions": _table(builder, operator.table, _options(builder, operator))}
    return _table(builder, "Operator", {"OpcodeIndex": code, **vectors, **fields,
                                        **operator.extra})


def _options(builder, operator):
    enumerations = {"Padding": tflite.Padding,
                    "FusedActivationFunction": tflite.ActivationFunctionType}
    options = {}
    for name, value in operator.options.items():
        if isinstance(value, str):
            value = getattr(enumerations[name], value)
        elif isinstance(value, list):
            value = builder.CreateNumpyVector(np.array(value, np.int32))
        options[name] = value
    return options


def _offsets(builder, start, offsets):
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
