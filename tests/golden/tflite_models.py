"""TFLite models of any operators, and TFLite's reference kernels to run them."""

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

#: Highest version of each operator's code that the models need; others are 1.
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "SUB": 2, "AVERAGE_POOL_2D": 2,
            "MAX_POOL_2D": 2, "MEAN": 2, "SOFTMAX": 2, "QUANTIZE": 2, "DEQUANTIZE": 2,
            "FULLY_CONNECTED": 4, "PAD": 2, "CONCATENATION": 2, "RESHAPE": 1}

TYPES = {np.dtype(kind): getattr(tflite.TensorType, name) for kind, name in (
    (np.int8, "INT8"), (np.uint8, "UINT8"), (np.int32, "INT32"), (np.float32, "FLOAT32"))}


@dataclass
class Tensor:
    """A tensor of a model; constant if it has data. ``axis`` counts the scales."""

    shape: tuple[int, ...]
    dtype: Any = np.int8
    scales: Any = ()
    zero_points: Any = ()
    data: Any = None
    axis: int = 0


@dataclass
class Operator:
    """An operator by its name in the schema, with the indices of its tensors and its options.

    ``options`` names the options table (without "Options") and gives its fields; values that are
    strings are padding modes or activations.
    """

    name: str
    inputs: list[int]
    outputs: list[int]
    table: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def build_model(tensors, operators, inputs, outputs):
    """The bytes of a model file with one subgraph; ``inputs`` and ``outputs`` are indices."""
    builder = flatbuffers.Builder(1024)
    buffers = [_buffer(builder, None)]
    made = []
    for tensor in tensors:
        if tensor.data is not None:
            buffers.append(_buffer(builder, np.asarray(tensor.data, tensor.dtype)))
        made.append(_tensor(builder, tensor, 0 if tensor.data is None else len(buffers) - 1))
    names = sorted({operator.name for operator in operators})
    codes = [_code(builder, name) for name in names]
    steps = [_operator(builder, operator, names.index(operator.name)) for operator in operators]
    lists = [_offsets(builder, tflite.SubGraphStartTensorsVector, made),
             _offsets(builder, tflite.SubGraphStartOperatorsVector, steps),
             *(builder.CreateNumpyVector(np.array(i, np.int32)) for i in (inputs, outputs))]
    tflite.SubGraphStart(builder)
    for add, content in zip((tflite.SubGraphAddTensors, tflite.SubGraphAddOperators,
                             tflite.SubGraphAddInputs, tflite.SubGraphAddOutputs), lists,
                            strict=True):
        add(builder, content)
    subgraph = tflite.SubGraphEnd(builder)
    codes, subgraphs, buffers = (_offsets(builder, *items) for items in (
        (tflite.ModelStartOperatorCodesVector, codes),
        (tflite.ModelStartSubgraphsVector, [subgraph]),
        (tflite.ModelStartBuffersVector, buffers)))
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def convolution_model(weight, bias, *, input_shape, input_quantisation, weight_scale,
                      output_quantisation, output_size, stride=(1, 1), dilation=(1, 1),
                      padding="VALID", activation="NONE", depth_multiplier=None):
    """A CONV_2D, or with a depth multiplier a DEPTHWISE_CONV_2D, as the bytes of a file.

    Parameters
    ----------
    weight : int8, shape (Cout, kh, kw, Cin / group), or (1, kh, kw, Cout) if depthwise
    bias : int32, shape (Cout,)
    input_shape : (N, H, W, Cin)
    input_quantisation, output_quantisation : (scale, zero point)
    weight_scale : float32, shape (Cout,)
    output_size : (height, width)
    stride, dilation : (height, width)
    padding : "VALID" or "SAME"
    activation : "NONE", "RELU", "RELU6" or "RELU_N1_TO_1"
    """
    channels = len(weight_scale)
    bias_scale = np.float32(input_quantisation[0]) * np.asarray(weight_scale, np.float32)
    tensors = [
        codes_tensor(input_shape, input_quantisation),
        Tensor(weight.shape, np.int8, weight_scale, [0] * channels, weight,
               0 if depth_multiplier is None else 3),
        Tensor((channels,), np.int32, bias_scale, [0] * channels, bias),
        codes_tensor((input_shape[0], *output_size, channels), output_quantisation)]
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1],
               "DilationHFactor": dilation[0], "DilationWFactor": dilation[1],
               "FusedActivationFunction": activation}
    if depth_multiplier is None:
        operator = Operator("CONV_2D", [0, 1, 2], [3], "Conv2D", options)
    else:
        operator = Operator("DEPTHWISE_CONV_2D", [0, 1, 2], [3], "DepthwiseConv2D",
                            {**options, "DepthMultiplier": depth_multiplier})
    return build_model(tensors, [operator], [0], [3])


def codes_tensor(shape, quantisation, dtype=np.int8):
    """A tensor of codes that is not constant; ``quantisation`` is (scale, zero point)."""
    return Tensor(tuple(shape), dtype, [quantisation[0]], [quantisation[1]])


def run_reference(model, *codes):
    """Output codes of TFLite's reference kernels; no optimised kernel, no delegate."""
    interpreter = Interpreter(model_content=bytes(model), num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), codes, strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _buffer(builder, data):
    content = None if data is None else builder.CreateNumpyVector(
        np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8))
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return tflite.BufferEnd(builder)


def _tensor(builder, tensor, buffer):
    shape = builder.CreateNumpyVector(np.asarray(tensor.shape, np.int32))
    quantisation = None
    if len(tensor.scales):
        scales = builder.CreateNumpyVector(np.asarray(tensor.scales, np.float32))
        zero_points = builder.CreateNumpyVector(np.asarray(tensor.zero_points, np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scales)
        tflite.QuantizationParametersAddZeroPoint(builder, zero_points)
        tflite.QuantizationParametersAddQuantizedDimension(builder, tensor.axis)
        quantisation = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, TYPES[np.dtype(tensor.dtype)])
    tflite.TensorAddBuffer(builder, buffer)
    if quantisation is not None:
        tflite.TensorAddQuantization(builder, quantisation)
    return tflite.TensorEnd(builder)


def _code(builder, name):
    number = getattr(tflite.BuiltinOperator, name)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    tflite.OperatorCodeAddVersion(builder, VERSIONS.get(name, 1))
    return tflite.OperatorCodeEnd(builder)


def _operator(builder, operator, code):
    inputs, outputs = (builder.CreateNumpyVector(np.array(indices, np.int32))
                       for indices in (operator.inputs, operator.outputs))
    options = _options(builder, operator) if operator.table else None
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(
            builder, getattr(tflite.BuiltinOptions, f"{operator.table}Options"))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


def _options(builder, operator):
    enumerations = {"Padding": tflite.Padding,
                    "FusedActivationFunction": tflite.ActivationFunctionType}
    getattr(tflite, f"{operator.table}OptionsStart")(builder)
    for name, value in operator.options.items():
        if isinstance(value, str):
            value = getattr(enumerations[name], value)
        getattr(tflite, f"{operator.table}OptionsAdd{name}")(builder, value)
    return getattr(tflite, f"{operator.table}OptionsEnd")(builder)


def _offsets(builder, start, offsets):
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
