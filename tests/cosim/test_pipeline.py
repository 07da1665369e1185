import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from golden.layer import ConvLayer
from hdl.multiplier import multiplier_class
from hdl.product import product_latency
from hdl.scaleshift import RoundingShift
from sim.lowering import lower
from tests.cosim.layers import extreme_layers, layer_and_codes

# A run starts a process, so an example is many layers, back to back; and there are few examples.
DRAWN = settings(max_examples=8, deadline=None, print_blob=True,
                 suppress_health_check=list(HealthCheck))


def check(pipeline, work, **options):
    """Run ``work``; every output equals golden. Return the cycles."""
    outputs, cycles = pipeline.run(work, **options)
    for number, ((layer, codes), actual) in enumerate(zip(work, outputs, strict=True)):
        np.testing.assert_array_equal(actual, layer(codes), f"layer {number}, {layer.name}")
    return cycles


def test_drawn_layers_match_golden(pipeline):
    """Any layers, one after the other, at any pace, after any resets."""
    config = pipeline.config
    macs = 1500 * config.rows * min(4, config.columns)
    depth = 2 ** (config.accumulator_width - 1) // 2**14 - 1

    @DRAWN
    @given(work=st.lists(layer_and_codes(macs=macs, depth=min(depth, 2000)), min_size=6,
                         max_size=12),
           stall=st.sampled_from([0, 64, 200]), seed=st.integers(1, 2**31 - 1),
           reset_after=st.lists(st.integers(0, 3000), max_size=2))
    def matches(work, stall, seed, reset_after):
        check(pipeline, work, stall=stall, seed=seed, reset_after=reset_after)

    matches()


@pytest.mark.parametrize("stall", [0, 64, 200])
def test_extreme_layers_match_golden(pipeline, stall):
    print("seed 4")
    check(pipeline, list(extreme_layers(np.random.default_rng(4))), stall=stall, seed=stall + 1)


def random_layer(rng, *, shape, pixels):
    """A layer of kernel ``shape`` with (height, width) ``pixels`` of output, and an input."""
    channels = shape[0]
    layer = ConvLayer(
        name="random", weight=rng.integers(-128, 128, shape),
        bias=rng.integers(-2**15, 2**15, channels),
        multiplier=rng.integers(2**30, 2**31, channels), shift=np.full(channels, 38 + int(
            np.log2(np.prod(shape[1:])) / 2)), rounding="half_even", input_zero_point=-3)
    return layer, rng.integers(-128, 128, (1, shape[1], pixels[0] + shape[2] - 1,
                                           pixels[1] + shape[3] - 1)).astype(np.int8)


@pytest.mark.parametrize("name", ["4x4", "ecp5-85f", "3x2 of 7 channels"])
def test_long_reductions_match_golden(pipeline_of, name):
    """512 channels under a 3×3 kernel: 4608 products in a sum."""
    print("seed 5")
    rng = np.random.default_rng(5)
    work = [random_layer(rng, shape=(3, 512, 3, 3), pixels=(1, 3)),
            random_layer(rng, shape=(1, 1, 1, 1), pixels=(3, 3)),
            random_layer(rng, shape=(2, 512, 1, 1), pixels=(2, 2))]
    work.append((ConvLayer(
        name="all ends", weight=np.full((2, 512, 3, 3), -128), bias=[0, -4608 * 128 * 128],
        multiplier=[2**30, -2**30], shift=[50, 50], rounding="tflite"),
        np.full((1, 512, 3, 3), -128, np.int8)))
    check(pipeline_of(name), work)


def test_sums_reach_both_ends_of_narrow_accumulators(pipeline_of):
    """511 products of -128 · -128, and of -128 · 127: all that 24 bits can be trusted with."""
    pipeline = pipeline_of("narrow and slow")
    layer = ConvLayer(name="reach", weight=np.full((5, 511, 1, 1), -128), bias=np.zeros(5, int),
                      multiplier=np.full(5, 2**30), shift=np.full(5, 47), rounding="half_even")
    codes = np.array([-128, 127], np.int8).reshape(2, 1, 1, 1).repeat(511, axis=1)
    assert layer(codes).ravel().tolist() == [64] * 5 + [-63] * 5
    check(pipeline, [(layer, codes)])


def test_runs_after_a_reset_at_any_time(pipeline):
    """However far the run has come that a reset cuts off, nothing of it is left."""
    print("seed 6")
    rng = np.random.default_rng(6)
    work = [random_layer(rng, shape=(5, 3, 3, 2), pixels=(3, 5)) for _ in range(2)]
    for after in rng.integers(1, 500, 5).tolist():
        check(pipeline, work, stall=64, seed=after, reset_after=[90, after])


def test_long_tiles_cost_array_cycles(pipeline):
    """Beside the array's own cycles, there is one fill at the beginning and one drain at the end.

    The layers have tiles of at least `drain_cycles`, and need new coefficients more seldom than
    these arrive.
    """
    config = pipeline.config
    print("seed 8")
    rng = np.random.default_rng(8)
    depth = max(config.drain_cycles, 2 * (config.columns + config.lanes))
    depth = -(-depth // config.channels) * config.channels
    work = [random_layer(rng, shape=(2 * config.columns, depth, 1, 1), pixels=(3, config.rows)),
            random_layer(rng, shape=(config.columns, 2 * depth, 1, 1), pixels=(2, config.rows))]

    cycles = check(pipeline, work)

    least = sum(lower(*each, config).array_cycles for each in work)
    # A step's weights go in and through their buffer; the last tile leaves row by row, through
    # array, lane (bias, product, rounding) and buffer; control adds a register here and there.
    fill = config.channels + 8
    lane = 1 + product_latency(config.lane_interval) + RoundingShift.LATENCY
    drain = (config.drain_cycles + multiplier_class(config.multiplier).LATENCY + 1 + config.lanes
             + lane + 1)
    assert least < cycles <= least + fill + drain
