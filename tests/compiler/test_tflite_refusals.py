"""What is refused of a TFLite file, word for word."""

from types import SimpleNamespace

import numpy as np
import pytest
import tflite

from compiler import tflite_file, tflite_node
from compiler.errors import ModelError
from compiler.tflite_reader import survey_tflite
from scripts.fuzzing.tflite_build import Op, T, build
from tests.golden.refusal import refuses

CODES = [0.5], [3]
#: Indices of the tensors of :func:`parts`.
INPUT, WEIGHT, BIAS, MAP, POOLED, TWICE, SHAPE, FLAT, MATRIX, CLASSES, SHARES = range(11)
#: Indices of its operators.
CONV, POOL, ADD, RESHAPE, DENSE, SOFTMAX = range(6)


def parts():
    """A small network with every kind of part, to be changed before it is built."""
    def codes(*shape):
        return T(shape, "INT8", *CODES)

    def zeros(shape, kind, scale, zero_point, axis=0):
        return T(shape, kind, scale, zero_point, axis, np.zeros(shape, kind.lower()))

    tensors = [
        codes(1, 4, 4, 2), zeros((3, 3, 3, 2), "INT8", [0.1, 0.2, 0.3], [0, 0, 0]),
        zeros((3,), "INT32", [0.05, 0.1, 0.15], [0, 0, 0]), codes(1, 4, 4, 3), codes(1, 4, 4, 3),
        codes(1, 4, 4, 3), T((2,), "INT32", data=np.array([1, 48], np.int32)), codes(1, 48),
        zeros((5, 48), "INT8", [0.1], [0]), codes(1, 5), T((1, 5), "INT8", [1 / 256], [-128])]
    window = {"StrideH": 1, "StrideW": 1, "Padding": "SAME"}
    operators = [
        Op("CONV_2D", [INPUT, WEIGHT, BIAS], [MAP], "Conv2DOptions", {**window}, 3),
        Op("MAX_POOL_2D", [MAP], [POOLED], "Pool2DOptions",
           {**window, "FilterHeight": 2, "FilterWidth": 2}, 2),
        Op("ADD", [MAP, POOLED], [TWICE], "AddOptions", {}, 2),
        Op("RESHAPE", [TWICE, SHAPE], [FLAT]),
        Op("FULLY_CONNECTED", [FLAT, MATRIX], [CLASSES], "FullyConnectedOptions", {}, 4),
        Op("SOFTMAX", [CLASSES], [SHARES], "SoftmaxOptions", {"Beta": 1.0}, 2)]
    return SimpleNamespace(tensors=tensors, operators=operators, inputs=[INPUT], outputs=[SHARES],
                           keywords={})


@pytest.fixture
def survey_of(tmp_path):
    """The survey of a model after a change to its parts."""
    def survey(change):
        model = parts()
        change(model)
        path = tmp_path / "model.tflite"
        path.write_bytes(build(model.tensors, model.operators, model.inputs, model.outputs,
                               **model.keywords))
        return survey_tflite(path)
    return survey


def tensor(index, **fields):
    def change(model):
        for name, value in fields.items():
            setattr(model.tensors[index], name, value)
    return change


def operator(index, **fields):
    def change(model):
        for name, value in fields.items():
            setattr(model.operators[index], name, value)
    return change


def option(index, **options):
    return lambda model: model.operators[index].options.update(options)


def put(index, array):
    return tensor(index, data=array, shape=array.shape)


def instead(index, name, *, made=None, constants=(), options=None, table=None, version=1):
    """Another operator in place of one, with constants behind its first input."""
    def change(model):
        old = model.operators[index]
        inputs = [old.inputs[0]]
        for constant in constants:
            model.tensors.append(constant)
            inputs.append(len(model.tensors) - 1)
        model.operators[index] = Op(name, inputs, old.outputs, table, options or {}, version)
        if made is not None:
            model.tensors[old.outputs[0]].shape = made
    return change


def ints(*values, shape=None):
    data = np.array(values, np.int32)
    data = data if shape is None else data.reshape(shape)
    return T(data.shape, "INT32", data=data)


def sparsity(builder):
    """An empty table of how a tensor is sparse."""
    tflite.SparsityParametersStart(builder)
    return tflite.SparsityParametersEnd(builder)


def vector(values):
    return lambda builder: builder.CreateNumpyVector(values)


def both(*changes):
    def change(model):
        for each in changes:
            each(model)
    return change


def test_the_model_itself_is_read(survey_of):
    found = survey_of(both())
    assert found.faults == ()
    assert [row.layer_names for row in found.rows] == [
        ("conv_2d_0",), ("max_pool_2d_1",), ("add_2",), (), ("fully_connected_4",), ()]


CONV_NODE = "node 0 't3' (CONV_2D)"
POOL_NODE = "node 1 't4' (MAX_POOL_2D)"
ADD_NODE = "node 2 't5' (ADD)"
RESHAPE_NODE = "node 3 't7' (RESHAPE)"
DENSE_NODE = "node 4 't9' (FULLY_CONNECTED)"
SOFTMAX_NODE = "node 5 't10' (SOFTMAX)"
AGAIN = "convert the model again"
DAMAGED = "convert the model again: the file is damaged"
SCALES = "scales must be positive, finite and not denormal: calibrate again"
FIXED = "convert with static sizes; only the first one may vary"

CASES = {
    # The file and its graph.
    "schema version": (lambda model: model.keywords.update(version=2),
                       "schema version 2 is not 3; convert the model with a current converter"),
    "subgraphs": (lambda model: model.keywords.update(subgraphs=2), "there are 2 subgraphs, not "
                  "one; export a model without control flow, with one signature"),
    "no operators": (lambda model: model.operators.clear(),
                     "graph: there are no operators; export the model again"),
    "two inputs": (lambda model: model.inputs.append(BIAS),
                   "graph: there are 2 inputs, not one; export a model with one input"),
    "no output": (lambda model: model.outputs.clear(),
                  "graph: there are 0 outputs, not one; export a model with one output"),
    "dangling index": (operator(POOL, inputs=[99]), "operator 1 (MAX_POOL_2D): tensor 99 does not "
                       "exist; export the model again: the file is damaged"),
    "dangling output": (lambda model: model.outputs.__setitem__(0, -1), "graph output: tensor -1 "
                        "does not exist; export the model again: the file is damaged"),
    "dangling buffer": (tensor(POOLED, extra={"Buffer": 77}), "tensor 4 't4': buffer 77 does not "
                        "exist; export the model again: the file is damaged"),
    "too large": (tensor(POOLED, shape=(1, 2**15, 2**15, 2)), "tensor 4 't4': its shape is (1, "
                  "32768, 32768, 2); export with static sizes of at least 1, at most 8 of them, "
                  "and at most 268435456 elements"),
    "size of zero": (tensor(POOLED, shape=(1, 0, 4, 3)), "tensor 4 't4': its shape is (1, 0, 4, "
                     "3); export with static sizes of at least 1, at most 8 of them, and at most "
                     "268435456 elements"),
    "dynamic input": (tensor(INPUT, signature=(-1, 4, -1, 2)),
                      f"input 't0': its shape (-1, 4, -1, 2) is not fixed; {FIXED}"),
    "dynamic map": (tensor(MAP, signature=(1, -1, 4, 3)),
                    f"{CONV_NODE}: its output's shape (1, -1, 4, 3) is not fixed; {FIXED}"),
    "constant input": (put(INPUT, np.zeros((1, 4, 4, 2), np.int8)),
                       f"input 't0': it is a constant; {DAMAGED}"),
    "float input": (tensor(INPUT, type="FLOAT32", scale=(), zero_point=()),
                    f"{CONV_NODE}: input 0 't0' is float32, not int8 or uint8; quantise the model "
                    "in full, inputs and operators alike"),
    "int16 input": (tensor(INPUT, type="INT16"), "input 't0': it is int16, not int8, uint8 or "
                    "float32; convert the model with an input of one of these"),
    "input without scale": (tensor(INPUT, scale=()), "input 't0': it has 0 scales and 1 zero "
                            "points, not one of each; quantise the model in full"),
    "input zero point": (tensor(INPUT, zero_point=[128]),
                         "input 't0': its zero point is 128, outside int8; calibrate again"),
    "cycle": (operator(POOL, inputs=[TWICE]), f"{POOL_NODE}: input 0 't5' is used before it is "
              "made; make it of the model's input"),
    "own input": (operator(POOL, inputs=[POOLED]), f"{POOL_NODE}: input 0 't4' is used before it "
                  "is made; make it of the model's input"),
    "made twice": (operator(ADD, outputs=[POOLED]),
                   f"node 2 't4' (ADD): tensor 't4' is made twice, or a constant; {DAMAGED}"),
    "makes its input": (operator(POOL, outputs=[INPUT]), "node 1 't0' (MAX_POOL_2D): tensor 't0' "
                        f"is made twice, or a constant; {DAMAGED}"),
    "unused": (operator(ADD, inputs=[MAP, MAP]),
               f"{POOL_NODE}: nobody uses what it makes; remove it from the model"),
    "output not made": (lambda model: model.outputs.__setitem__(0, INPUT), f"{SOFTMAX_NODE}: "
                        "nobody uses what it makes; remove it from the model"),
    "declared shape": (tensor(POOLED, shape=(1, 4, 3, 4)), f"{POOL_NODE}: it makes int8 of shape "
                       f"(1, 4, 4, 3), but declares int8 of shape (1, 4, 3, 4); {AGAIN}"),

    # Operators.
    "unknown operator": (instead(POOL, "TANH"), "node 1 't4' (TANH): the operator is not "
                         "supported; replace it with one that docs/support.md lists, or cut the "
                         "model before it"),
    "custom operator": (operator(POOL, name="CUSTOM", custom=b"Mystery\n"), "node 1 't4' (custom "
                        "operator 'Mystery\\n'): the operator is not supported; replace it with "
                        "one that docs/support.md lists, or cut the model before it"),
    "unknown version": (operator(POOL, version=4), f"{POOL_NODE}: version 4 of the operator is "
                        "not supported; convert the model to version 3 or older"),
    "version zero": (operator(POOL, version=0), f"{POOL_NODE}: version 0 of the operator is not "
                     "supported; convert the model to version 3 or older"),
    "too many inputs": (operator(POOL, inputs=[MAP, MAP]),
                        f"{POOL_NODE}: it has 2 input(s) and 1 output(s); {DAMAGED}"),
    "input not given": (operator(POOL, inputs=[-1]),
                        f"{POOL_NODE}: input 0 is not given; connect it"),
    "options of another": (operator(POOL, table="AddOptions", options={}),
                           f"{POOL_NODE}: it has AddOptions, not Pool2DOptions; {AGAIN}"),
    "no options": (operator(POOL, table=None),
                   f"{POOL_NODE}: its Pool2DOptions are not given; {AGAIN}"),
    "newer options": (operator(POOL, extra={"BuiltinOptions2Type": 1}),
                      f"{POOL_NODE}: it has options of a newer kind; convert the model with "
                      "standard operators only"),
    "variable": (tensor(POOLED, extra={"IsVariable": True}), f"{POOL_NODE}: tensor 't4' is a "
                 "variable; convert a model without state"),
    "sparse": (tensor(WEIGHT, extra={"Sparsity": sparsity}), f"{CONV_NODE}: tensor 't1' is sparse; "
               "convert the model with dense weights"),
    "custom options": (operator(POOL, extra={"CustomOptions": vector(np.uint8([7]))}),
                       f"{POOL_NODE}: it has custom options; convert the model with standard "
                       "operators only"),
    "changed inputs": (operator(POOL, extra={"MutatingVariableInputs": vector(np.array([True]))}),
                       f"{POOL_NODE}: it changes its inputs; convert the model with standard "
                       "operators only"),
    "intermediates": (operator(POOL, extra={"Intermediates": vector(np.int32([1]))}),
                      f"{POOL_NODE}: it has intermediate tensors; convert the model with standard "
                      "operators only"),
    "no buffer": (tensor(WEIGHT, extra={"Buffer": 0}), f"{CONV_NODE}: input 1 't1' is not a "
                  "constant; export it as a constant of the model"),
    "float map": (tensor(MAP, type="FLOAT32", scale=(), zero_point=()), f"{CONV_NODE}: tensor 't3' "
                  "is float32, not int8 or uint8; quantise the model in full to 8 bits"),
    "int32 output": (tensor(CLASSES, type="INT32"), f"{DENSE_NODE}: tensor 't9' is int32, not int8 "
                     "or uint8; quantise the model in full to 8 bits"),
    "activation": (option(CONV, FusedActivationFunction="TANH"), f"{CONV_NODE}: option "
                   "FusedActivationFunction = TANH is not supported; use one of NONE, RELU, "
                   "RELU_N1_TO_1, RELU6"),
    "no such activation": (option(CONV, FusedActivationFunction=77), f"{CONV_NODE}: option "
                           "FusedActivationFunction = activation 77 is not supported; use one of "
                           "NONE, RELU, RELU_N1_TO_1, RELU6"),
    "padding": (option(CONV, Padding=2), f"{CONV_NODE}: option Padding = 2 is not in [0, 1]; "
                f"{AGAIN}"),
    "stride": (option(CONV, StrideW=0), f"{CONV_NODE}: option StrideW = 0 is not in [1, 1048576]; "
               f"{AGAIN}"),
    "dilation": (option(CONV, DilationHFactor=0), f"{CONV_NODE}: option DilationHFactor = 0 is "
                 f"not in [1, 1048576]; {AGAIN}"),
    "kernel beyond the map": (option(CONV, Padding="VALID", DilationHFactor=2), f"{CONV_NODE}: "
                              "The dilated kernel spans 5, more than the padded input's 4; reduce "
                              "kernel or dilation, or use Padding = SAME"),
    "absurd padding": (option(CONV, DilationHFactor=2**20, DilationWFactor=99), f"{CONV_NODE}: "
                       "with padding (1048576, 99, 1048576, 99), its input has 2097156 rows and "
                       "202 columns; reduce kernel, dilation or padding"),
    "padded too far": (instead(POOL, "PAD", constants=[ints(0, 0, 0, 2**24, 0, 2, 0, 0,
                                                            shape=(4, 2))]),
                       "node 1 't4' (PAD): with padding (0, 0, 16777216, 2), its input has "
                       "16777220 rows and 6 columns; reduce kernel, dilation or padding"),

    # Quantisation.
    "no weight scale": (tensor(WEIGHT, scale=(), zero_point=()), f"{CONV_NODE}: tensor 't1' has 0 "
                        "scales, not 1 or 3; quantise the weights per tensor or per output "
                        "channel"),
    "wrong number of scales": (tensor(WEIGHT, scale=[0.1, 0.2]), f"{CONV_NODE}: tensor 't1' has 2 "
                               "scales, not 1 or 3; quantise the weights per tensor or per output "
                               "channel"),
    "scale NaN": (tensor(WEIGHT, scale=[0.1, np.nan, 0.3]),
                  f"{CONV_NODE}: tensor 't1': the scale of channel 1 is nan; {SCALES}"),
    "scale zero": (tensor(WEIGHT, scale=[0.0]),
                   f"{CONV_NODE}: tensor 't1': the scale is 0.0; {SCALES}"),
    "scale infinite": (tensor(MAP, scale=[np.inf]),
                       f"{CONV_NODE}: tensor 't3': the scale is inf; {SCALES}"),
    "scale negative": (tensor(MAP, scale=[-0.5]),
                       f"{CONV_NODE}: tensor 't3': the scale is -0.5; {SCALES}"),
    "scale denormal": (tensor(MAP, scale=[1e-40]), f"{CONV_NODE}: tensor 't3': the scale is "
                       f"{np.float32(1e-40)}; {SCALES}"),
    "no map scale": (tensor(MAP, scale=()), f"{CONV_NODE}: tensor 't3' has 0 scales and 1 zero "
                     "points, not one of each; quantise activations per tensor"),
    "several map scales": (tensor(MAP, scale=[1, 2, 3], zero_point=[0, 0, 0], axis=3),
                           f"{CONV_NODE}: tensor 't3' has 3 scales and 3 zero points, not one of "
                           "each; quantise activations per tensor"),
    "weight zero point": (tensor(WEIGHT, zero_point=[0, 0, 5]), f"{CONV_NODE}: input 1 't1': the "
                          "zero point of channel 2 is 5, not 0; quantise weights symmetrically"),
    "weight zero points": (tensor(WEIGHT, zero_point=[0, 0]), f"{CONV_NODE}: input 1 't1' has 2 "
                           "zero points and 3 scales; give one zero point for each scale"),
    "quantized_dimension": (tensor(WEIGHT, axis=2), f"{CONV_NODE}: tensor 't1' has "
                            "quantized_dimension 2, not 0; quantise the weights per output "
                            "channel"),
    "no such dimension": (tensor(WEIGHT, axis=4), f"{CONV_NODE}: tensor 't1' has "
                          "quantized_dimension 4, which is no axis of it; convert the model again"),
    "bias scale": (tensor(BIAS, scale=[0.05, 0.2, 0.15]), f"{CONV_NODE}: tensor 't2': the scale "
                   f"of channel 1 is 0.2, not the input's times the weights', 0.1; {AGAIN}"),
    "bias type": (both(tensor(BIAS, type="INT8"), put(BIAS, np.zeros(3, np.int8))),
                  f"{CONV_NODE}: input 2 't2' has type int8, not int32; quantise the model to "
                  "int8"),
    "bias size": (both(put(BIAS, np.zeros(2, np.int32))),
                  f"{CONV_NODE}: input 2 't2' has 2 values, not 3; give one bias per output "
                  "channel"),
    "bias zero point": (tensor(BIAS, zero_point=[0, 7, 0]), f"{CONV_NODE}: input 2 't2' has zero "
                        "point 7, not 0; quantise biases symmetrically"),
    "bias too large": (both(put(BIAS, np.array([0, 2**31 - 1, 0], np.int32)),
                            put(WEIGHT, np.ones((3, 3, 3, 2), np.int8))), None),
    "weights float": (both(tensor(WEIGHT, type="FLOAT32"),
                           put(WEIGHT, np.zeros((3, 3, 3, 2), np.float32))),
                      f"{CONV_NODE}: input 1 't1' has type float32, not int8; quantise the model "
                      "to int8"),
    "weights cut off": (tensor(WEIGHT, data=np.zeros(53, np.int8)), f"{CONV_NODE}: input 1 't1' of "
                        f"shape (3, 3, 3, 2) holds 53 bytes; {DAMAGED}"),
    "weights not constant": (operator(CONV, inputs=[INPUT, INPUT, BIAS]), f"{CONV_NODE}: input 1 "
                             "'t0' is not a constant; export it as a constant of the model"),
    "weights of two sizes": (put(WEIGHT, np.zeros((3, 18), np.int8)), f"{CONV_NODE}: input 1 't1' "
                             f"has shape (3, 18), not 4 sizes; {AGAIN}"),
    "groups": (put(WEIGHT, np.zeros((3, 3, 3, 1), np.int8)), f"{CONV_NODE}: weights of shape (3, "
               "3, 3, 1) do not divide 2 input channels into groups; make weights and input "
               "agree"),
    "scale too small": (tensor(MAP, scale=[1e-12]), None),
    "pool's scales": (tensor(POOLED, scale=[0.25]), f"{POOL_NODE}: input 0 't3' and the output "
                      "differ in scale, zero point or type; quantise both sides alike, as "
                      "TFLite's converter does"),
    "types": (tensor(TWICE, type="UINT8"),
              f"{ADD_NODE}: inputs and output differ in type; {AGAIN}"),
    "broadcasting": (both(instead(POOL, "MEAN", made=(1, 1, 1, 3), constants=[ints(1, 2)],
                                  table="ReducerOptions", options={"KeepDims": True})),
                     f"{ADD_NODE}: shapes (1, 4, 4, 3) and (1, 1, 1, 3) differ; add maps of one "
                     "shape: broadcasting is not supported"),
    "constant operand": (operator(ADD, inputs=[MAP, MATRIX]), f"{ADD_NODE}: input 1 't8' is a "
                         "constant; make it of the model's input"),
    "sum beyond the output": (tensor(TWICE, scale=[2.0**-21]), None),

    # Layout.
    "reshape's scale": (tensor(FLAT, zero_point=[4]), f"{RESHAPE_NODE}: input and output differ "
                        f"in scale or zero point; {AGAIN}"),
    "reshape's size": (put(SHAPE, np.array([1, 47], np.int32)), f"{RESHAPE_NODE}: shape (1, 4, 4, "
                       "3) cannot become (1, 47); make the numbers of elements agree"),
    "reshape's frames": (put(SHAPE, np.array([4, 12], np.int32)), f"{RESHAPE_NODE}: shape (1, 4, "
                         "4, 3) becomes (4, 12): the first axis, of frames, is lost; keep 1 as "
                         "the first size"),
    "no new shape": (operator(RESHAPE, inputs=[TWICE]), f"{RESHAPE_NODE}: the new shape is not "
                     "given; export it as a vector"),
    "dense size": (put(MATRIX, np.zeros((5, 24), np.int8)), f"{DENSE_NODE}: weights for 24 inputs "
                   "do not match an input of shape (1, 48); flatten the input to (N, inputs), or "
                   "set KeepNumDims"),
    "weights format": (option(DENSE, WeightsFormat=1), f"{DENSE_NODE}: option WeightsFormat = 1 "
                       f"is not in [0, 0]; {AGAIN}"),
    "moved data": (instead(ADD, "TRANSPOSE", constants=[ints(0, 2, 1, 3)], made=(1, 4, 4, 3)),
                   "node 2 't5' (TRANSPOSE): order [0, 2, 1, 3] of shape (1, 4, 4, 3) moves data; "
                   "transpose on the host, before or after the model"),
    "reshaped map": (both(instead(ADD, "RESHAPE", constants=[ints(1, 2, 8, 3)], made=(1, 2, 8, 3)),
                          instead(RESHAPE, "MAX_POOL_2D", made=(1, 2, 8, 3), version=2,
                                  table="Pool2DOptions",
                                  options={"FilterHeight": 1, "FilterWidth": 1, "StrideH": 1,
                                           "StrideW": 1, "Padding": "SAME"})),
                     "node 3 't7' (MAX_POOL_2D): input 0 't5' is reshaped or transposed in a way "
                     "that moves data: from (4, 4, 3) to (2, 8, 3); keep height, width and "
                     "channels between layers as they are"),

    # Windows, padding, the ends.
    "average of edges": (instead(POOL, "AVERAGE_POOL_2D", version=2, table="Pool2DOptions",
                                 options={"FilterHeight": 3, "FilterWidth": 3, "StrideH": 1,
                                          "StrideW": 1, "Padding": "SAME"}),
                         "node 1 't4' (AVERAGE_POOL_2D): Padding = SAME leaves between 4 and 9 "
                         "codes under a window; use Padding = VALID, or a kernel that divides the "
                         "input"),
    "mean of channels": (instead(POOL, "MEAN", constants=[ints(3)], table="ReducerOptions",
                                 options={"KeepDims": True}),
                         "node 1 't4' (MEAN): axes [3] of shape (1, 4, 4, 3) are not height and "
                         "width; average over height and width, both of them and nothing else"),
    "padded channels": (instead(POOL, "PAD", constants=[ints(0, 0, 0, 0, 0, 0, 0, 1,
                                                             shape=(4, 2))]),
                        "node 1 't4' (PAD): it pads frames or channels; pad height and width "
                        "only"),
    "negative padding": (instead(POOL, "PAD", constants=[ints(0, 0, -1, 0, 0, 0, 0, 0,
                                                              shape=(4, 2))]),
                         "node 1 't4' (PAD): input 1 't11' is [0, 0, -1, 0, 0, 0, 0, 0]; give "
                         "(before, after) of four axes, none of them negative"),
    "concatenated rows": (instead(POOL, "CONCATENATION", table="ConcatenationOptions",
                                  options={"Axis": 1}),
                          "node 1 't4' (CONCATENATION): option Axis = 1 of 4 is not that of the "
                          "channels; concatenate channels, the last axis"),
    "softmax's output": (tensor(SHARES, scale=[1 / 128]), f"{SOFTMAX_NODE}: its output has scale "
                         "0.0078125 and zero point -128, not 1/256 and -128; quantise it as "
                         "TFLite's converter does"),
    "softmax's beta": (option(SOFTMAX, Beta=float("nan")), f"{SOFTMAX_NODE}: option Beta = nan is "
                       "not positive and finite; convert it again"),
    "softmax inside": (both(lambda model: model.operators.append(
        Op("RELU", [SHARES], [len(model.tensors)])),
        lambda model: model.tensors.append(T((1, 5), "INT8", [1 / 256], [-128])),
        lambda model: model.outputs.__setitem__(0, len(model.tensors) - 1)),
        "node 6 't11' (RELU): input 0 't10' is made on the host; let SOFTMAX and DEQUANTIZE be "
        "the last operators"),
    "input quantised twice": (both(
        tensor(INPUT, type="FLOAT32", scale=(), zero_point=()),
        lambda model: model.tensors.extend([T((1, 4, 4, 2), "INT8", *CODES),
                                            T((1, 4, 4, 2), "INT8", [0.5], [4])]),
        lambda model: model.operators.insert(0, Op("QUANTIZE", [INPUT], [11])),
        lambda model: model.operators.insert(1, Op("QUANTIZE", [INPUT], [12]))),
        "node 1 't12' (QUANTIZE): the model's input is quantised in two ways; quantise it once, "
        "for all of its readers"),
    "float operator": (both(
        lambda model: model.operators.insert(2, Op("DEQUANTIZE", [POOLED], [len(model.tensors)])),
        lambda model: model.tensors.append(T((1, 4, 4, 3), "FLOAT32")),
        lambda model: model.operators[3].inputs.__setitem__(1, len(model.tensors) - 1)),
        "node 3 't5' (ADD): input 1 't11' is float32, not int8 or uint8; quantise the model in "
        "full, inputs and operators alike"),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses(case, survey_of):
    change, message = CASES[case]
    try:
        found = survey_of(change)
        assert found.model is None
        fault = found.faults[0]
    except ModelError as error:
        fault = error
    text = str(fault)
    assert text.startswith("model.tflite: ")
    assert text.isprintable()
    if message is not None:
        assert text == f"model.tflite: {message}"


def test_out_of_range_arithmetic_is_refused_by_name(survey_of):
    """Cases whose messages are long: what they say first."""
    for case, start in (
            ("bias too large", f"{CONV_NODE}: the accumulator of channel 1 spans [2147481289, "
             "2147485879], of which TFLite takes 32 bits; "),
            ("scale too small", f"{CONV_NODE}: scales of input, weights and output: scale "),
            ("sum beyond the output", f"{ADD_NODE}: Layer add_2: the inputs' scales, 0.5 and 0.5")):
        assert str(survey_of(CASES[case][0]).faults[0]).startswith(f"model.tflite: {start}")


def test_refuses_files_that_are_none(tmp_path):
    path = tmp_path / "model.tflite"
    with refuses(ModelError, "model.tflite: cannot be read: No such file or directory; check the "
                 "path"):
        survey_tflite(path)
    path.write_bytes(b"")
    with refuses(ModelError, "model.tflite: the file is empty; export the model again"):
        survey_tflite(path)
    path.write_bytes(b"\x08\x08\x12\x07example")
    with refuses(ModelError, "model.tflite: this is not a TFLite model, or it is damaged; export "
                 "the model again"):
        survey_tflite(path)
    with path.open("wb") as file:
        file.truncate((1 << 29) + 1)
    with refuses(ModelError, "model.tflite: the file has 536870913 bytes; keep models to 536870912 "
                 "bytes"):
        survey_tflite(path)


def test_the_greater_operator_code_counts(tmp_path):
    """As in TFLite: the byte, and the number that replaced it when a byte was not enough."""
    model = parts()
    content = bytearray(build(model.tensors, model.operators, model.inputs, model.outputs))
    root = tflite.Model.GetRootAs(content, 0)
    code = root.OperatorCodes(POOL)
    offset = code._tab.Offset(10)
    content[code._tab.Pos + offset] = tflite.BuiltinOperator.TRANSPOSE_CONV
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert survey_tflite(path).rows[POOL].operator == "TRANSPOSE_CONV"


def test_what_is_too_much_is_refused(survey_of, monkeypatch):
    monkeypatch.setattr(tflite_file, "MAX_OPERATORS", 5)
    with refuses(ModelError, "model.tflite: there are 6 operators; keep them to 5"):
        survey_of(both())
    monkeypatch.setattr(tflite_file, "MAX_ITEMS", 10)
    with refuses(ModelError, "model.tflite: there are 11 tensors; keep them to 10"):
        survey_of(both())


def test_constants_may_be_shared_but_not_without_end(survey_of, monkeypatch):
    """Each reading of a constant is a copy of it."""
    monkeypatch.setattr(tflite_node, "MAX_CONSTANT_BYTES", 54 + 12 + 8 + 240 - 1)
    assert str(survey_of(both()).faults[0]) == (
        f"model.tflite: {DENSE_NODE}: the constants read so far have more than 313 bytes; share no "
        "large constant")
    monkeypatch.setattr(tflite_node, "MAX_CONSTANT_BYTES", 54 + 12 + 8 + 240)
    assert survey_of(both()).faults == ()
