"""One-operator int8 TFLite models, and TFLite's reference kernels to run them."""

import flatbuffers
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType


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
    builder = flatbuffers.Builder(1024)
    buffers = [_buffer(builder, data) for data in (None, weight, np.asarray(bias, np.int32))]
    bias_scale = np.float32(input_quantisation[0]) * np.asarray(weight_scale, np.float32)
    channels = len(bias_scale)
    axis = 0 if depth_multiplier is None else 3
    int8, int32 = tflite.TensorType.INT8, tflite.TensorType.INT32
    tensors = [
        _tensor(builder, input_shape, int8, 0, [input_quantisation[0]], [input_quantisation[1]]),
        _tensor(builder, weight.shape, int8, 1, weight_scale, [0] * channels, axis),
        _tensor(builder, (channels,), int32, 2, bias_scale, [0] * channels),
        _tensor(builder, (input_shape[0], *output_size, channels), int8, 0,
                [output_quantisation[0]], [output_quantisation[1]])]
    operator = _operator(builder, stride, dilation, padding, activation, depth_multiplier)
    return _model(builder, tensors, operator, buffers, depthwise=depth_multiplier is not None)


def run_reference(model, codes):
    """Output codes of TFLite's reference kernels; no optimised kernel, no delegate."""
    interpreter = Interpreter(model_content=bytes(model), num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _buffer(builder, data):
    content = None if data is None else builder.CreateNumpyVector(
        np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8))
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return tflite.BufferEnd(builder)


def _tensor(builder, shape, kind, buffer, scales, zero_points, axis=0):
    shape = builder.CreateNumpyVector(np.asarray(shape, np.int32))
    scales = builder.CreateNumpyVector(np.asarray(scales, np.float32))
    zero_points = builder.CreateNumpyVector(np.asarray(zero_points, np.int64))
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scales)
    tflite.QuantizationParametersAddZeroPoint(builder, zero_points)
    tflite.QuantizationParametersAddQuantizedDimension(builder, axis)
    quantisation = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, kind)
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddQuantization(builder, quantisation)
    return tflite.TensorEnd(builder)


def _operator(builder, stride, dilation, padding, activation, depth_multiplier):
    name = "Conv2DOptions" if depth_multiplier is None else "DepthwiseConv2DOptions"
    fields = {"Padding": getattr(tflite.Padding, padding),
              "StrideH": stride[0], "StrideW": stride[1],
              "DilationHFactor": dilation[0], "DilationWFactor": dilation[1],
              "FusedActivationFunction": getattr(tflite.ActivationFunctionType, activation)}
    if depth_multiplier is not None:
        fields["DepthMultiplier"] = depth_multiplier
    inputs, outputs = (builder.CreateNumpyVector(np.array(indices, np.int32))
                       for indices in ([0, 1, 2], [3]))
    getattr(tflite, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, value)
    options = getattr(tflite, f"{name}End")(builder)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 0)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, name))
    tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


def _model(builder, tensors, operator, buffers, *, depthwise):
    kind = tflite.BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else tflite.BuiltinOperator.CONV_2D
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, kind)
    tflite.OperatorCodeAddBuiltinCode(builder, kind)
    tflite.OperatorCodeAddVersion(builder, 3)
    code = tflite.OperatorCodeEnd(builder)
    vectors = [_offsets(builder, *items) for items in (
        (tflite.SubGraphStartTensorsVector, tensors),
        (tflite.SubGraphStartOperatorsVector, [operator]))]
    inputs, outputs = (builder.CreateNumpyVector(np.array([i], np.int32)) for i in (0, 3))
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, vectors[0])
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, vectors[1])
    subgraph = tflite.SubGraphEnd(builder)
    codes, subgraphs, buffers = (_offsets(builder, *items) for items in (
        (tflite.ModelStartOperatorCodesVector, [code]),
        (tflite.ModelStartSubgraphsVector, [subgraph]),
        (tflite.ModelStartBuffersVector, buffers)))
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return builder.Output()


def _offsets(builder, start, offsets):
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
