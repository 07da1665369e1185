"""Addition, pooling and requantisation against ONNX Runtime: equal but for near ties."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from golden.onnx_ops import (
    onnx_add,
    onnx_average_pool,
    onnx_global_average_pool,
    onnx_requantise,
)
from golden.pool import PoolLayer, clip_layer, window_taps
from golden.quantisation import Quantisation
from tests.golden.conv_cases import SEARCH
from tests.golden.onnx_oracle import run_graph, run_node, run_quantised
from tests.golden.refusal import refuses

BYTES = np.arange(256, dtype=np.uint8)
PAIRS = [codes.reshape(1, 1, 256, 256) for codes in np.meshgrid(BYTES, BYTES)]

# QLinear..., DequantizeLinear and QuantizeLinear that the runtime fuses, and the same as it stands.
AS_IT_STANDS = {"fused": False, "optimise": False}
FORMS = [{"fused": True}, {"fused": False}, AS_IT_STANDS]


@st.composite
def quantisations(draw, unsigned, exact):
    """Scales that are powers of two if ``exact``."""
    scale = 2.0**draw(st.integers(-6, 2)) if exact else draw(st.one_of(
        st.floats(2.0**-10, 2.0**6, width=32), st.floats(2.0**-6, 2.0**-3, width=32)))
    return Quantisation(scale, draw(st.integers(-128, 127)) + 128 * unsigned, unsigned)


@st.composite
def sides(draw, count, exact):
    unsigned = draw(st.booleans())
    return [draw(quantisations(unsigned, exact)) for _ in range(count)]


def assert_near(output, expected, exact, bound):
    """Equal, but for one step where the exact result is within ``bound`` of a tie."""
    difference = np.abs(output.astype(int) - expected)
    assert difference.max(initial=0) <= 1
    distance = np.abs(exact - np.floor(exact) - 0.5)
    assert (distance[difference > 0] <= bound).all()


@pytest.mark.parametrize("form", FORMS)
@settings(SEARCH, max_examples=60)
@given(sides(3, exact=False))
def test_sums_of_all_pairs_are_near_onnx_runtime(form, triple):
    codes = [pair.view(side.dtype) for pair, side in zip(PAIRS, triple, strict=False)]
    first, second, output = triple
    exact = sum((pair.astype(np.int64) - side.zero_point) * side.scale / output.scale
                for pair, side in zip(codes, triple, strict=False))
    actual = onnx_add("add", *triple, fused=form != AS_IT_STANDS)(*codes)
    expected = run_quantised("Add", list(zip(codes, triple, strict=False)), output, **form)
    reach = abs(output.zero_point) + 255 * (first.scale + second.scale) / output.scale
    assert_near(actual, expected, exact, 2.0**-20 * reach)


@pytest.mark.parametrize("form", FORMS)
@settings(SEARCH, max_examples=60)
@given(sides(3, exact=True))
def test_sums_at_scales_of_powers_of_two_equal_onnx_runtime(form, triple):
    codes = [pair.view(side.dtype) for pair, side in zip(PAIRS, triple, strict=False)]
    np.testing.assert_array_equal(
        onnx_add("add", *triple, fused=form != AS_IT_STANDS)(*codes),
        run_quantised("Add", list(zip(codes, triple, strict=False)), triple[2], **form))


def test_tables_hold_as_many_bits_as_fit():
    def bits(first, second=0):
        return onnx_add("add", Quantisation(first, -128), Quantisation(second or first, -128),
                        Quantisation(1, 0)).shift

    # 255 + 255 < 512; 255 + 257.0 is not.
    assert (bits(1), bits(1, 258 / 255), bits(2), bits(0.5)) == (22, 21, 21, 23)
    assert (bits(2.0**-60), bits(2.0**22)) == (62, 0)
    # 2^-24 less than 256 each: with 22 bits both would round up, to 2^31 together.
    layer = onnx_add("add", *[Quantisation(0.9698181748390198, -128)] * 2,
                     Quantisation(0.9660298228263855, 0))
    assert (layer.shift, layer.tables.max()) == (21, 2**29)
    with refuses(ValueError, "Layer add: the inputs' scales, 4194304.0 and 8388608.0, are too "
                             "large for the output's, 1.0"):
        bits(2.0**22, 2.0**23)


@st.composite
def pools(draw):
    """(codes as bytes, window parameters), padding smaller than the kernel."""
    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, stride = pair(1, 4), pair(1, 3)
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    size = tuple(max(1, k - before - after) + draw(st.integers(0, 6))
                 for k, before, after in zip(kernel, padding, padding[2:], strict=False))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (rng.integers(0, 256, (2, 3, *size), np.uint8),
            {"kernel": kernel, "stride": stride, "padding": padding})


def attributes(window):
    return {"kernel_shape": window["kernel"], "strides": window["stride"],
            "pads": window["padding"]}


@pytest.mark.parametrize("unsigned", [False, True])
@SEARCH
@given(case=pools(), dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_maximum_pooling_equals_onnx_runtime(unsigned, case, dilation):
    codes, window = case
    repeats = [k * d // size + 1 for k, d, size in
               zip(window["kernel"], dilation, codes.shape[2:], strict=True)]
    codes = np.tile(codes.view(np.uint8 if unsigned else np.int8), (1, 1, *repeats))
    layer = PoolLayer(name="pool", kind="max", input_unsigned=unsigned, output_unsigned=unsigned,
                      dilation=dilation, **window)
    expected, = run_node("MaxPool", {"x": codes}, dilations=dilation, **attributes(window),
                         output_type=helper.np_dtype_to_tensor_dtype(codes.dtype))
    np.testing.assert_array_equal(layer(codes), expected)


def average(codes, source, output, window, taps):
    """Exact averages in steps of the output, in float64, divided by ``taps``."""
    acc = PoolLayer(name="sum", kind="sum", pad_code=source.zero_point, **window,
                    bias=-source.zero_point * int(np.prod(window["kernel"])),
                    input_unsigned=source.unsigned).accumulate(codes)
    return acc * source.scale / (taps * output.scale)


@pytest.mark.parametrize("form", FORMS)
@SEARCH
@given(case=pools(), pair=sides(2, exact=False), counted=st.booleans())
def test_averages_are_near_onnx_runtime(form, case, pair, counted):
    """Where windows hold different numbers of codes, those of each number by a layer of its own."""
    codes, window = case
    source, output = pair
    assume(source.scale / output.scale < 256)  # The runtime refuses more where the output is 1x1.
    codes = codes.view(source.dtype)
    size = int(np.prod(window["kernel"]))
    counts = np.full((1, 1, 1, 1), size) if counted else PoolLayer(
        name="count", kind="sum", **window).accumulate(np.ones_like(codes, np.int8))
    expected = run_quantised("AveragePool", [(codes, source)], output, **form,
                             count_include_pad=int(counted), **attributes(window))
    taps = (size,) if counted else window_taps(codes.shape[2:], **window)
    actual = np.select([counts == count for count in taps], [
        onnx_average_pool("pool", source, output, taps=count, fused=form != AS_IT_STANDS,
                          **window)(codes) for count in taps])
    bound = (size + 4) * 2.0**-24 * (abs(output.zero_point) + 255 * source.scale / output.scale)
    assert_near(actual, expected, average(codes, source, output, window, counts), bound)


@pytest.mark.parametrize("form", FORMS)
@SEARCH
@given(pair=sides(2, exact=True), height=st.sampled_from([1, 2, 4]), width=st.sampled_from([2, 8]),
       seed=st.integers(0, 2**32 - 1))
def test_exact_averages_equal_onnx_runtime(form, pair, height, width, seed):
    """Many ties: 4 codes at equal scales give one in every four averages."""
    source, output = pair
    codes = np.random.default_rng(seed).integers(0, 256, (2, 3, 12, 12)).astype(source.dtype)
    window = {"kernel": (height, width), "stride": (2, 1), "padding": (0, 0, 0, 0)}
    layer = onnx_average_pool("pool", source, output, fused=form != AS_IT_STANDS, **window)
    np.testing.assert_array_equal(layer(codes), run_quantised(
        "AveragePool", [(codes, source)], output, **form, **attributes(window)))


@pytest.mark.parametrize("form", FORMS)
@SEARCH
@given(pair=sides(2, exact=False), seed=st.integers(0, 2**32 - 1), exact=st.booleans(),
       size=st.tuples(st.integers(1, 16), st.integers(1, 16)))
def test_global_averages_are_near_onnx_runtime(form, pair, seed, exact, size):
    """Of 8x8 codes with scales that are powers of two they are equal."""
    source, output = pair
    if exact:
        size = (8, 8)
        source, output = (Quantisation(2.0**round(np.log2(side.scale)), side.zero_point,
                                       side.unsigned) for side in pair)
    assume(source.scale / output.scale < 256)  # The runtime refuses more.
    codes = np.random.default_rng(seed).integers(0, 256, (2, 50, *size)).astype(source.dtype)
    expected = run_quantised("GlobalAveragePool", [(codes, source)], output, **form)
    actual = onnx_global_average_pool("pool", source, output, size=size)(codes)
    if exact:
        np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(actual, run_quantised(
            "AveragePool", [(codes, source)], output, kernel_shape=size, **form))
    taps = size[0] * size[1]
    assert_near(actual, expected, average(codes, source, output, {"kernel": size}, taps),
                (taps + 4) * 2.0**-24 * (abs(output.zero_point)
                                         + 255 * source.scale / output.scale))


FUNCTIONS = {"Relu": (lambda x: np.maximum(x, 0), {}),
             "LeakyRelu": (lambda x: np.where(x < 0, x * np.float32(0.1), x), {"alpha": 0.1}),
             "Identity": (None, {})}


@pytest.mark.parametrize("name", FUNCTIONS)
@SEARCH
@given(types=st.tuples(st.booleans(), st.booleans()), data=st.data())
def test_requantisation_equals_onnx_runtime(name, types, data):
    source, output = (data.draw(quantisations(unsigned, exact=False)) for unsigned in types)
    codes = BYTES.view(source.dtype).reshape(1, 1, 16, 16)
    function, options = FUNCTIONS[name]
    np.testing.assert_array_equal(
        onnx_requantise("unary", source, output, function=function)(codes),
        run_quantised(name, [(codes, source)], output, fused=False, optimise=False, **options))


@SEARCH
@given(st.integers(-128, 127), st.integers(-128, 127))
def test_clip_equals_onnx_runtime(first, second):
    low, high = sorted((first, second))
    codes = BYTES.view(np.int8).reshape(1, 1, 16, 16)
    inputs = {"x": codes, "low": np.array(low, np.int8), "high": np.array(high, np.int8)}
    node = helper.make_node("Clip", list(inputs), ["y"])
    expected, = run_graph([node], inputs, ["y"],
                          output_type=helper.np_dtype_to_tensor_dtype(codes.dtype))
    np.testing.assert_array_equal(clip_layer("clip", low=low, high=high)(codes), expected)


def test_a_bound_of_the_output_is_applied():
    side = Quantisation(1, 0)
    codes = BYTES.view(np.int8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(onnx_requantise("q", side, side, low=-3, high=9)(codes),
                                  np.clip(codes, -3, 9))
    np.testing.assert_array_equal(onnx_add("a", side, side, side, low=0)(codes, codes),
                                  np.clip(2 * codes.astype(int), 0, 127))


def test_window_taps():
    assert window_taps((5, 5), (3, 3), padding=(1, 1, 1, 1)) == (4, 6, 9)
    assert window_taps((4, 4), (2, 2), stride=(2, 2)) == (4,)
    # One window of 4x4 on 2x2 codes; a padding that is never reached.
    assert window_taps((2, 2), (4, 4), padding=(1, 1, 1, 1)) == (4,)
    assert window_taps((4, 4), (2, 2), stride=(2, 2), padding=(0, 0, 1, 1)) == (4,)
    assert window_taps((3, 1), (2, 1), padding=(1, 0, 0, 0), dilation=(2, 1)) == (1, 2)
