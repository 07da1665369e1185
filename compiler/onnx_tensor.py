"""ONNX tensors as NumPy arrays, without trusting a byte of them."""

import math

import numpy as np
from onnx import TensorProto

from compiler.errors import quoted

__all__ = ["MAX_ELEMENTS", "element_type", "read_tensor", "type_name"]

MAX_ELEMENTS = 1 << 26
"""The largest constant accepted, in elements."""

# ONNX type, NumPy type of the raw bytes, and the field that holds the values when they are not raw.
_TYPES = {
    TensorProto.FLOAT: (np.dtype("<f4"), "float_data"),
    TensorProto.INT8: (np.dtype("i1"), "int32_data"),
    TensorProto.UINT8: (np.dtype("u1"), "int32_data"),
    TensorProto.INT32: (np.dtype("<i4"), "int32_data"),
    TensorProto.INT64: (np.dtype("<i8"), "int64_data"),
}
_VALUE_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data",
                 "string_data")


def type_name(elem_type):
    """Return the name of an ONNX element type: "int8" for 3; "type 99" if there is none."""
    if elem_type in TensorProto.DataType.values():
        return TensorProto.DataType.Name(elem_type).lower()
    return f"type {elem_type}"


def element_type(dtype):
    """Return the ONNX element type of a NumPy type that `read_tensor` returns."""
    return next(kind for kind, (known, _) in _TYPES.items()
                if known.newbyteorder("=") == np.dtype(dtype))


def read_tensor(tensor, place):
    """Return an ONNX constant as an array of its own type and shape.

    Parameters
    ----------
    tensor : onnx.TensorProto
        float, int8, uint8, int32 or int64 (a shape); inside the model, not external; at most
        `MAX_ELEMENTS`.
    place : Place
        Where to report faults.

    Raises
    ------
    ModelError
        If the type is another, or the number or range of the values is wrong.
    """
    title = f"tensor {quoted(tensor.name)}"
    if tensor.data_type not in _TYPES:
        raise place.fault(f"{title} has type {type_name(tensor.data_type)}",
                          "export scales as float, codes as int8 or uint8 and biases as int32")
    if tensor.HasField("segment"):
        raise place.fault(f"{title} is stored in segments", "save the tensor whole")
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise place.fault(f"{title} has shape {_shape_text(shape)}",
                          f"keep sizes positive and tensors to {MAX_ELEMENTS} elements")

    dtype, field = _TYPES[tensor.data_type]
    stray = [f for f in _VALUE_FIELDS if f != field and len(getattr(tensor, f))]
    typed = getattr(tensor, field)
    if stray or (tensor.HasField("raw_data") and len(typed)):
        raise place.fault(f"{title} holds its values twice, or in a field of another type",
                          "export the model again")
    if tensor.HasField("raw_data"):
        count, rest = divmod(len(tensor.raw_data), dtype.itemsize)
    else:
        count, rest = len(typed), 0
    if rest or count != math.prod(shape):
        raise place.fault(f"{title} of shape {_shape_text(shape)} holds {count} values",
                          "export the model again: the file is damaged")
    if tensor.HasField("raw_data"):
        values = np.frombuffer(tensor.raw_data, dtype)
    else:
        values = np.array(typed, np.float64 if dtype.kind == "f" else np.int64)
        if dtype.kind != "f":
            limits = np.iinfo(dtype)
            if np.any((values < limits.min) | (values > limits.max)):
                raise place.fault(f"{title} has values outside {dtype.name}",
                                  "export the model again: the file is damaged")
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _shape_text(shape):
    return f"({', '.join(str(size) for size in shape[:6])}{', …' if len(shape) > 6 else ''})"
