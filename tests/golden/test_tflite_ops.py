"""Addition, pooling and requantisation against TFLite's reference kernels, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.activation import clip_bounds, relu_bounds
from golden.conv import resolve_padding
from golden.pool import PoolLayer, window_taps
from golden.quantisation import Quantisation
from golden.requant import requantise
from golden.tflite_ops import (
    tflite_add,
    tflite_average_pool,
    tflite_mean,
    tflite_quantize,
    tflite_sub,
)
from tests.golden.conv_cases import SEARCH
from tests.golden.refusal import refuses
from tests.golden.tflite_models import Operator, Tensor, build_model, codes_tensor, run_reference

CLIPS = {"RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])

# Every pair of int8 codes, and every code.
PAIRS = [codes.reshape(1, 256, 256, 1).astype(np.int8)
         for codes in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))]
CODES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)

# Quotients of up to 2^18; ADD takes less than 2^19.
scales = st.one_of(st.floats(2.0**-10, 2.0**8, width=32), st.floats(2.0**-7, 2.0**-4, width=32),
                   st.sampled_from([0.5, 1.0, 0.0078125]))
quantisations = st.builds(Quantisation, scales, st.integers(-128, 127))


def tensor(shape, quantisation):
    return codes_tensor(shape, (quantisation.scale, quantisation.zero_point), quantisation.dtype)


def bounds(activation, quantisation):
    scale, zero_point, dtype = quantisation.scale, quantisation.zero_point, quantisation.dtype
    if activation == "NONE":
        return {}
    low, high = (relu_bounds(dtype, zero_point) if activation == "RELU" else
                 clip_bounds(*CLIPS[activation], scale, zero_point, dtype))
    return {"low": low, "high": high}


@pytest.mark.parametrize(("name", "table", "layer_of"), [
    ("ADD", "Add", tflite_add), ("SUB", "Sub", tflite_sub)])
@settings(SEARCH, max_examples=100)
@given(sides=st.tuples(quantisations, quantisations, quantisations), activation=ACTIVATIONS)
def test_sums_of_all_pairs_equal_tflite(name, table, layer_of, sides, activation):
    model = build_model([tensor(PAIRS[0].shape, side) for side in sides],
                        [Operator(name, [0, 1], [2], table,
                                  {"FusedActivationFunction": activation})], [0, 1], [2])
    layer = layer_of("add", *sides, **bounds(activation, sides[2]))
    assert np.abs(layer.tables.astype(np.int64)).max(axis=1).sum() < 2**28
    np.testing.assert_array_equal(layer(*PAIRS), run_reference(model, *PAIRS))


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_the_last_bits_of_sums_equal_tflite(seed, near):
    """A unit of the tables is up to half a step of the output.

    The second scale is so small that its whole table is in range, or it is so near to 1/2, 1/4 or
    1/8 of the first that a code and 2, 4 or 8 times its negative almost cancel.
    """
    rng = np.random.default_rng(seed)
    second = (2.0**-rng.integers(1, 4) * (1 + rng.uniform(-1, 1) * 2.0**-17) if near else
              2.0**rng.uniform(-19, -15))
    scales = 1, second, 2.0**rng.uniform(-18.9, -17)
    sides = [Quantisation(scale, int(rng.integers(-16, 16))) for scale in scales]
    model = build_model([tensor(PAIRS[0].shape, side) for side in sides],
                        [Operator("ADD", [0, 1], [2], "Add")], [0, 1], [2])
    output = tflite_add("add", *sides)(*PAIRS)
    assert len(np.unique(output)) > 2  # Not only the limits.
    np.testing.assert_array_equal(output, run_reference(model, *PAIRS))


@pytest.mark.parametrize("types", [(False, False), (False, True), (True, False), (True, True)])
@SEARCH
@given(pair=st.tuples(scales, scales), zero_points=st.tuples(*[st.integers(-128, 127)] * 2),
       equal=st.booleans())
def test_requantisation_equals_tflite(types, pair, zero_points, equal):
    """Equal scales and zero points 128 apart are a case of their own in TFLite."""
    source, output = (
        Quantisation(pair[0] if equal else scale, point + 128 * unsigned, unsigned)
        for scale, point, unsigned in zip(pair, zero_points if not equal else zero_points[:1] * 2,
                                          types, strict=True))
    codes = CODES.view(source.dtype)
    model = build_model([tensor(CODES.shape, source), tensor(CODES.shape, output)],
                        [Operator("QUANTIZE", [0], [1], "Quantize")], [0], [1])
    np.testing.assert_array_equal(tflite_quantize("requantise", source, output)(codes),
                                  run_reference(model, codes))


@st.composite
def pools(draw):
    """(codes, PoolLayer's window parameters, TFLite's padding mode and options)."""
    kernel, stride = (
        (draw(st.integers(1, limit)), draw(st.integers(1, limit))) for limit in (5, 3))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    least = kernel if padding == "VALID" else (1, 1)
    size = tuple(k + draw(st.integers(0, 6)) for k in least)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = rng.integers(-128, 128, (2, 3, *size)).astype(np.int8)
    window = {"kernel": kernel, "stride": stride, "padding": resolve_padding(
        padding.lower(), (0, 0, 0, 0), size=size, kernel=kernel, stride=stride)}
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1],
               "FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    return codes, window, options


def pool_reference(name, codes, quantisation, output_shape, options):
    frames = np.ascontiguousarray(codes.transpose(0, 2, 3, 1))
    shape = tuple(output_shape[axis] for axis in (0, 2, 3, 1))
    model = build_model([tensor(frames.shape, quantisation), tensor(shape, quantisation)],
                        [Operator(name, [0], [1], "Pool2D", options)], [0], [1])
    return run_reference(model, frames).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("unsigned", [False, True])
@SEARCH
@given(case=pools(), side=quantisations, activation=ACTIVATIONS)
def test_maximum_pooling_equals_tflite(unsigned, case, side, activation):
    codes, window, options = case
    quantisation = Quantisation(side.scale, side.zero_point + 128 * unsigned, unsigned)
    layer = PoolLayer(name="pool", kind="max", **window, **bounds(activation, quantisation),
                      input_unsigned=unsigned, output_unsigned=unsigned)
    codes = codes.view(quantisation.dtype)
    output = layer(codes)
    np.testing.assert_array_equal(output, pool_reference(
        "MAX_POOL_2D", codes, quantisation, output.shape,
        {**options, "FusedActivationFunction": activation}))


@pytest.mark.parametrize("unsigned", [False, True])
@SEARCH
@given(case=pools(), side=quantisations, activation=ACTIVATIONS)
def test_average_pooling_equals_tflite(unsigned, case, side, activation):
    """Where windows hold different numbers of codes, those of each number by a layer of its own."""
    codes, window, options = case
    quantisation = Quantisation(side.scale, side.zero_point + 128 * unsigned, unsigned)
    codes = codes.view(quantisation.dtype)
    taps = window_taps(codes.shape[2:], **window)
    outputs = [tflite_average_pool("pool", taps=count, unsigned=unsigned, **window,
                                   **bounds(activation, quantisation))(codes) for count in taps]
    expected = pool_reference("AVERAGE_POOL_2D", codes, quantisation, outputs[0].shape,
                              {**options, "FusedActivationFunction": activation})
    counts = PoolLayer(name="count", kind="sum", **window).accumulate(
        np.ones(codes.shape, np.int8))
    assert taps == tuple(np.unique(counts).tolist())
    output = np.select([counts == count for count in taps], outputs)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("unsigned", [False, True])
def test_average_is_the_quotient_rounded_away_from_zero(unsigned):
    """Every sum of up to 300 codes, and of some larger numbers of them."""
    for taps in [*range(1, 301), 784, 1023, 3136, 12544]:
        layer = tflite_average_pool("pool", kernel=(taps, 1), unsigned=unsigned)
        sums = np.arange(0, 255 * taps + 1) if unsigned else np.arange(-128 * taps, 127 * taps + 1)
        expected = np.sign(sums) * ((2 * np.abs(sums) + taps) // (2 * taps))
        np.testing.assert_array_equal(
            requantise(sums, layer.multiplier, layer.shift, rounding=layer.rounding,
                       low=layer.low, high=layer.high), expected)


@pytest.mark.parametrize("keep", [False, True])
@SEARCH
@given(sides=st.tuples(quantisations, quantisations), unsigned=st.booleans(),
       size=st.tuples(st.integers(1, 20), st.integers(1, 20)), seed=st.integers(0, 2**32 - 1))
def test_mean_equals_tflite(keep, sides, unsigned, size, seed):
    source, output = (Quantisation(side.scale, side.zero_point + 128 * unsigned, unsigned)
                      for side in sides)
    codes = np.random.default_rng(seed).integers(0, 256, (2, *size, 20)).astype(source.dtype)
    # Frames whose sums are large, too.
    codes[1] = np.sort(codes[1], axis=2)
    model = build_model(
        [tensor(codes.shape, source), Tensor((2,), np.int32, data=[1, 2]),
         tensor((2, 1, 1, 20) if keep else (2, 20), output)],
        [Operator("MEAN", [0, 1], [2], "Reducer", {"KeepDims": keep})], [0], [2])
    layer = tflite_mean("mean", source, output, size=size)
    np.testing.assert_array_equal(layer(codes.transpose(0, 3, 1, 2)).ravel(),
                                  run_reference(model, codes).ravel())


def test_scales_so_small_that_nothing_is_left():
    """A multiplier of zero, in TFLite too."""
    sides = [Quantisation(2.0**-40, 3), Quantisation(2.0**-41, -5), Quantisation(1.0, 7)]
    model = build_model([tensor(PAIRS[0].shape, side) for side in sides],
                        [Operator("ADD", [0, 1], [2], "Add")], [0, 1], [2])
    expected = run_reference(model, *PAIRS)
    np.testing.assert_array_equal(expected, 7)
    np.testing.assert_array_equal(tflite_add("add", *sides)(*PAIRS), expected)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: tflite_add("add", Quantisation(2.0**20, 0), Quantisation(1, 0), Quantisation(1, 0)),
     "Layer add: the inputs' scales, 1048576.0 and 1.0, are beyond 2^19 times the output's, 1.0"),
    (lambda: tflite_quantize("q", Quantisation(2.0**23, 0), Quantisation(1, 0)),
     "Layer q: the input's scale, 8388608.0, is 2^23 times the output's, 1.0, or more"),
    (lambda: tflite_mean("m", Quantisation(2.0**22, 0), Quantisation(1, 0), size=(2, 2)),
     "Layer m: the input's scale, 4194304.0, is 2^22 times the output's, 1.0, or more"),
    (lambda: tflite_average_pool("p", kernel=(1, 1), taps=0),
     "taps must be in [1, 1048576], not 0"),
])
def test_refuses(make, message):
    with refuses(ValueError, message):
        make()


def test_the_largest_scales_that_are_taken():
    half = Quantisation(2.0**18, 0), Quantisation(1, 1), Quantisation(1, 2)
    model = build_model([tensor(PAIRS[0].shape, side) for side in half],
                        [Operator("ADD", [0, 1], [2], "Add")], [0, 1], [2])
    np.testing.assert_array_equal(tflite_add("add", *half)(*PAIRS), run_reference(model, *PAIRS))
    source, output = Quantisation(2.0**23 - 1, -128), Quantisation(1, 0)
    codes = CODES.view(np.int8)
    model = build_model([tensor(CODES.shape, source), tensor(CODES.shape, output)],
                        [Operator("QUANTIZE", [0], [1], "Quantize")], [0], [1])
    np.testing.assert_array_equal(tflite_quantize("q", source, output)(codes),
                                  run_reference(model, codes))
