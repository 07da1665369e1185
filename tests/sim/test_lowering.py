import numpy as np
import pytest

from golden.layer import ConvLayer
from hdl.config import Configuration
from hdl.layouts import Coefficients, Rounding, Tile
from sim.lowering import lower
from tests.hdl.layers import random_layer


def configuration(rows, columns, lanes, channels, **parameters):
    return Configuration(name="of the test", device="any", rows=rows, columns=columns, lanes=lanes,
                         channels=channels, **parameters)


def layer(weight, **parameters):
    channels = len(weight)
    return ConvLayer(**{
        "name": "conv", "weight": weight, "bias": np.zeros(channels, int),
        "multiplier": np.arange(1, channels + 1), "shift": np.full(channels, 31),
        "rounding": "tflite"} | parameters)


def records(layout, payloads):
    """The payloads' fields, as dictionaries."""
    values = [layout.from_bits(int.from_bytes(row.tobytes(), "little")) for row in payloads]
    return [{name: value[name] for name in layout.members} for value in values]


def test_shapes_and_order():
    """Two groups of three channels, three pixels, two steps of two codes, on 2 × 2."""
    config = configuration(2, 2, 1, 2)
    weight = np.arange(18).reshape(6, 3, 1, 1)
    codes = np.arange(18, dtype=np.int8).reshape(1, 6, 1, 3)    # Code = 3 · channel + pixel.
    job = lower(layer(weight, group=2), codes, config)

    assert job.blocks == (2, 2, 2)    # Groups, channel blocks, pixel blocks.
    assert job.steps == 2
    assert job.words == 8 * 2 * 2
    assert job.array_cycles == 8 * 2 * 2
    assert job.output_shape == (1, 6, 1, 3)
    assert {name: rows.shape for name, rows in job.payloads.items()} == {
        "tiles": (8, 3), "activations": (8 * 2 * 2, 2), "weights": (8 * 2 * 2, 2),
        "coefficients": (8, 13)}
    assert all(rows.dtype == np.uint8 for rows in job.payloads.values())

    # The first channel block of group 0: pixels 0 and 1, then pixel 2 beside an empty row.
    tiles = job.payloads["activations"].reshape(8, 2, 2, 2)    # Tile, step, row, channel.
    assert tiles[0].tolist() == [[[0, 3], [1, 4]], [[6, 0], [7, 0]]]
    assert tiles[1].tolist() == [[[2, 5], [0, 0]], [[8, 0], [0, 0]]]
    np.testing.assert_array_equal(tiles[2:4], tiles[0:2])
    assert tiles[4].tolist() == [[[9, 12], [10, 13]], [[15, 0], [16, 0]]]
    # Channels 0 and 1, then channel 2 beside an empty column; each the same for both pixel blocks.
    tiles = job.payloads["weights"].reshape(8, 4, 2)    # Tile, cycle, column.
    assert tiles[0].tolist() == tiles[1].tolist() == [[0, 3], [1, 4], [2, 5], [0, 0]]
    assert tiles[2].tolist() == tiles[3].tolist() == [[6, 0], [7, 0], [8, 0], [0, 0]]
    assert tiles[4].tolist() == [[9, 12], [10, 13], [11, 14], [0, 0]]

    assert records(Tile(), job.payloads["tiles"]) == [
        {"last_step": 1, "renew": renew, "unsigned": 0} for renew in [1, 0] * 4]
    multipliers = [fields["multiplier"]
                   for fields in records(Coefficients(), job.payloads["coefficients"])]
    assert multipliers == [1, 2, 3, 0, 4, 5, 6, 0]


def test_coefficients_of_a_channel():
    """What the zero point adds to a sum goes into the bias, and wraps as the lane's adder does."""
    weight = np.array([[[[100]]], [[[-100]]]])
    job = lower(layer(weight, bias=[7, 2**31 - 1], multiplier=[-5, 2**31 - 1], shift=[30, 62],
                      input_unsigned=True, input_zero_point=130, output_unsigned=True,
                      output_zero_point=200, low=200, high=250),
                np.zeros((1, 1, 1, 1), np.uint8), configuration(1, 2, 1, 1))
    rest = {"zero": 200, "low": 200, "high": 250}
    assert records(Coefficients(), job.payloads["coefficients"]) == [
        {"bias": 7 - 2 * 100, "multiplier": -5, "shift": 30, "rounding": Rounding.HALF_UP, **rest,
         "last": 0},
        {"bias": -2**31 + 199, "multiplier": 2**31 - 1, "shift": 62,
         "rounding": Rounding.TFLITE, **rest, "last": 1}]
    assert records(Tile(), job.payloads["tiles"]) == [{"last_step": 0, "renew": 1, "unsigned": 1}]


def defined_sums(conv, codes):
    """Accumulators by the definition, one loop an index: golden shares its windows with `lower`."""
    frames, channels, height, width = conv.output_shape(codes.shape)
    top, left = conv.padding[:2]
    inputs = conv.weight.shape[1]
    sums = np.zeros((frames, channels, height, width), np.int64)
    for n, j, y, x in np.ndindex(sums.shape):
        sums[n, j, y, x] = conv.bias[j]
        group = j // (channels // conv.group)
        for i, ky, kx in np.ndindex(conv.weight.shape[1:]):
            row = y * conv.stride[0] + ky * conv.dilation[0] - top
            column = x * conv.stride[1] + kx * conv.dilation[1] - left
            if 0 <= row < codes.shape[2] and 0 <= column < codes.shape[3]:
                code = int(codes[n, group * inputs + i, row, column])
                sums[n, j, y, x] += int(conv.weight[j, i, ky, kx]) * (code - conv.input_zero_point)
    return sums


@pytest.mark.parametrize("config", [
    configuration(1, 1, 1, 1), configuration(2, 3, 1, 2), configuration(3, 2, 2, 5)],
    ids=lambda config: f"{config.rows}x{config.columns}")
@pytest.mark.parametrize("seed", range(20))
def test_sums_of_the_streams_are_those_defined(config, seed):
    """What an array does with the streams, in one matrix product, gives the accumulators."""
    print(f"seed {seed}")
    conv, codes = random_layer(np.random.default_rng(seed))
    job = lower(conv, codes, config)
    groups, channel_blocks, pixel_blocks = job.blocks
    tiles = groups * channel_blocks * pixel_blocks

    x = job.payloads["activations"].astype(np.int64)
    x = x - 128 if conv.input_unsigned else (x ^ 128) - 128
    x = x.reshape(tiles, job.steps, config.rows, config.channels)
    x = x.transpose(0, 2, 1, 3).reshape(tiles, config.rows, -1)
    w = job.payloads["weights"].view(np.int8).astype(np.int64).reshape(tiles, -1, config.columns)
    bias = [fields["bias"] for fields in records(Coefficients(), job.payloads["coefficients"])]
    bias = np.repeat(np.reshape(bias, (-1, 1, config.columns)), pixel_blocks, axis=0)
    sums = (x @ w + bias).reshape(groups, channel_blocks, pixel_blocks * config.rows, -1)

    # Pixels first, then the channels of all groups without the empty columns.
    sums = sums.transpose(2, 0, 1, 3).reshape(sums.shape[2], groups, -1)
    frames, channels, height, width = job.output_shape
    sums = sums[:frames * height * width, :, :channels // groups]
    sums = sums.reshape(frames, height, width, channels).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(sums, defined_sums(conv, codes))
    np.testing.assert_array_equal(sums, conv.accumulate(codes))


@pytest.mark.parametrize(("output_unsigned", "kind"), [(False, np.int8), (True, np.uint8)])
def test_assembles_words_to_the_output(output_unsigned, kind):
    """Words of two lanes: rows of a tile from the top, columns from the left, and no filler."""
    config = configuration(2, 4, 2, 2)
    job = lower(layer(np.ones((5, 1, 1, 1), int), output_unsigned=output_unsigned),
                np.zeros((1, 1, 1, 3), np.int8), config)
    words = np.arange(job.words * 2, dtype=np.uint8).reshape(-1, 2) + 200
    # Tile (channel block, pixel block) begins at 200 + 8 · number; a row has four codes.
    expected = np.array([[[200, 204, 208], [201, 205, 209], [202, 206, 210], [203, 207, 211],
                          [216, 220, 224]]], np.uint8).reshape(1, 5, 1, 3)
    actual = job.assemble(words)
    assert actual.dtype == kind
    np.testing.assert_array_equal(actual.view(np.uint8), expected)


@pytest.mark.parametrize(("weights", "fits"), [(1023, True), (1024, False)])
def test_sums_must_fit_narrow_accumulators(weights, fits):
    """128 · 1024 is 2^17, one more than 18 bits hold, though -128 · 1024 would do."""
    weight = np.array([127] * 8 + [weights - 8 * 127]).reshape(1, 9, 1, 1)
    codes = np.zeros((1, 9, 1, 1), np.int8)
    config = configuration(1, 1, 1, 1, accumulator_width=18)
    if fits:
        assert lower(layer(-weight), codes, config).steps == 9
    else:
        message = (r"^Layer conv: sums of up to 131072 do not fit the 18 bit accumulators of "
                   r"of the test$")
        with pytest.raises(ValueError, match=message):
            lower(layer(-weight), codes, config)
    assert lower(layer(weight), codes, configuration(1, 1, 1, 1)).steps == 9


@pytest.mark.parametrize(("depth", "fits"), [(65536, True), (65537, False)])
def test_a_reduction_has_a_longest(depth, fits):
    weight = np.ones((1, depth, 1, 1), int)
    codes = np.zeros((1, depth, 1, 1), np.int8)
    config = configuration(1, 1, 1, 1)
    if fits:
        job = lower(layer(weight), codes, config)
        assert records(Tile(), job.payloads["tiles"])[0]["last_step"] == 65535
    else:
        with pytest.raises(ValueError, match=r"^Layer conv: a reduction of 65537 words is longer "
                                             r"than the 65536 of a tile$"):
            lower(layer(weight), codes, config)
