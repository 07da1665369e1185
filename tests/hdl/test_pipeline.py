# amaranth: UnusedElaboratable=no

import itertools

import numpy as np
import pytest

from hdl.pipeline import ConvPipeline, coefficient_delay
from sim.streams import random_gaps
from tests.hdl.layers import dense_layer, random_layer
from tests.hdl.pipeline_bench import configuration, run

SIZES = pytest.mark.parametrize("config", [
    configuration(1, 1, 1, 1), configuration(1, 4, 2, 1), configuration(3, 1, 1, 3),
    configuration(2, 3, 3, 2, multiplier="lut"), configuration(2, 4, 2, 3, lane_interval=4),
], ids=lambda config: f"{config.rows}x{config.columns}")
STREAMS = ("tiles", "activations", "weights", "coefficients", "outputs")


def check(config, work, **options):
    """Run ``work``; every output equals golden."""
    outputs, busy = run(config, work, **options)
    for (layer, codes), actual in zip(work, outputs, strict=True):
        np.testing.assert_array_equal(actual, layer(codes))
    return busy


@SIZES
def test_matches_golden_at_any_pace(config):
    """Every stream pauses at random, on its own."""
    print("seed 7")
    rng = np.random.default_rng(7)
    work = [random_layer(rng, channels=(1, 4)) for _ in range(2)]
    check(config, work, gaps={name: random_gaps(seed, longest=4)
                              for seed, name in enumerate(STREAMS)})


@pytest.mark.parametrize("starved", STREAMS)
def test_waits_for_the_slowest_stream(starved):
    """One stream comes once in 23 cycles, the others as fast as they are taken."""
    config = configuration(2, 4, 2, 2)
    rng = np.random.default_rng(1)
    work = [dense_layer(rng, depth=5, channels=6, pixels=3) for _ in range(2)]
    check(config, work, gaps={starved: itertools.repeat(22)})


@pytest.mark.parametrize("config", [
    configuration(2, 4, 2, 2), configuration(1, 2, 1, 1), configuration(2, 2, 1, 2,
                                                                        lane_interval=8)],
    ids=["2x4", "1x2", "slow lanes"])
def test_outputs_can_block_for_long(config):
    """Until everything behind them is full; then nothing is missing."""
    rng = np.random.default_rng(2)
    work = [dense_layer(rng, depth=config.channels, channels=4, pixels=24)]
    check(config, work, gaps={"outputs": itertools.chain([700], itertools.repeat(0))})
    check(config, work, gaps={"outputs": itertools.cycle([0] * 5 + [150])})


@pytest.mark.parametrize("depth", [2, 14])
@pytest.mark.parametrize("config", [configuration(2, 2, 1, 2), configuration(2, 4, 4, 2),
                                    configuration(1, 2, 2, 2, multiplier="lut")],
                         ids=["1 lane", "4 lanes", "1 row"])
def test_every_tile_can_renew_its_coefficients(config, depth):
    """Many more sets than two, as fast as they come, late, and very late."""
    rng = np.random.default_rng(depth)
    work = [dense_layer(rng, depth=depth, channels=6 * config.columns, pixels=config.rows)]
    for gaps in (itertools.repeat(0), random_gaps(3, longest=6), itertools.cycle([60, 0, 0])):
        check(config, work, gaps={"coefficients": gaps})


@pytest.mark.parametrize("config", [
    configuration(1, 1, 1, 1), configuration(1, 3, 3, 1), configuration(2, 2, 2, 2)],
    ids=lambda config: f"{config.rows}x{config.columns}")
def test_coefficients_stay_until_the_last_lane_has_read_them(config):
    """Two short tiles come at once, when both their sets are there and a third one waits."""
    rng = np.random.default_rng(4)
    work = [dense_layer(rng, depth=config.channels, channels=12 * config.columns,
                        pixels=config.rows)]
    pairs = [40, *[0] * (2 * config.channels - 1)]
    check(config, work, gaps={"weights": itertools.cycle(pairs)})


@pytest.mark.parametrize("config", [
    configuration(1, 1, 1, 1), configuration(2, 4, 2, 8, lane_interval=2),
    configuration(3, 2, 2, 4, multiplier="lut")],
    ids=lambda config: f"{config.rows}x{config.columns}")
def test_runs_after_a_reset_at_any_time(config):
    """However far the work has come that a reset cuts off, nothing of it is left."""
    print("seed 3")
    rng = np.random.default_rng(3)
    work = [dense_layer(rng, depth=11, channels=3, pixels=4)]
    for after in rng.integers(1, 120, 12).tolist():
        check(config, work, cut_offs=[30, after])


def test_bad_configuration():
    with pytest.raises(TypeError, match=r"^Configuration must be a Configuration, not 'tiny'$"):
        ConvPipeline("tiny")


def occupancy(config, depth, *, tiles=6, blocks=1):
    """Run ``tiles`` tiles of ``blocks`` channel blocks each; return which cycles are busy."""
    rng = np.random.default_rng(depth)
    layer = dense_layer(rng, depth=depth, channels=blocks * config.columns,
                        pixels=tiles * config.rows)
    # The coefficients have a head start, so that the first capture need not wait for them.
    return check(config, [layer], gaps={"weights": itertools.chain([20], itertools.repeat(0))})


def spans(busy):
    """Lengths of the runs of ones and zeros, from the first one to the last, ones first."""
    first, last = np.flatnonzero(busy)[[0, -1]]
    busy = busy[first:last + 1]
    edges = np.flatnonzero(np.diff(busy)) + 1
    return np.diff([0, *edges, len(busy)])


@pytest.mark.parametrize(("config", "depth"), [
    (configuration(1, 1, 1, 1), 1),
    (configuration(1, 1, 1, 1), 3),
    (configuration(1, 4, 1, 1), 4),
    (configuration(1, 3, 3, 2), 2),
    (configuration(4, 1, 1, 4), 8),
    (configuration(4, 1, 1, 4), 12),
    (configuration(2, 4, 2, 2), 4),
    (configuration(2, 4, 2, 2, multiplier="lut"), 6),
    (configuration(4, 4, 4, 4), 8),
    (configuration(3, 3, 1, 3), 9),
    (configuration(2, 3, 1, 3), 6),
    (configuration(2, 2, 1, 2, lane_interval=2), 8),
    (configuration(2, 2, 2, 2, lane_interval=32), 64),
], ids=lambda value: value if isinstance(value, int) else f"{value.rows}x{value.columns}")
def test_no_element_is_ever_idle(config, depth):
    """A tile of at least `drain_cycles` leaves no gap, in any element, from first MAC to last."""
    assert depth >= config.drain_cycles
    busy = occupancy(config, depth)
    for row, column in np.ndindex(busy.shape[1:]):
        assert spans(busy[:, row, column]).tolist() == [6 * depth], (row, column)


@pytest.mark.parametrize(("config", "depth"), [
    (configuration(1, 4, 1, 1), 1),
    (configuration(1, 4, 1, 1), 3),
    (configuration(4, 4, 4, 4), 4),
    (configuration(4, 4, 1, 4), 12),
    (configuration(3, 2, 1, 3), 3),
    (configuration(1, 1, 1, 1, lane_interval=4), 3),
    (configuration(2, 2, 1, 2, lane_interval=8), 2),
], ids=lambda value: value if isinstance(value, int) else f"{value.rows}x{value.columns}")
def test_shorter_tiles_take_drain_cycles(config, depth):
    """The first tile has nothing to wait for; from the second on, the period is exact."""
    assert depth < config.drain_cycles
    busy = occupancy(config, depth)
    idle = config.drain_cycles - depth
    for row, column in np.ndindex(busy.shape[1:]):
        assert spans(busy[:, row, column]).tolist() == [2 * depth, *[idle, depth] * 4]


@pytest.mark.parametrize(("config", "depth"), [
    (configuration(2, 2, 1, 2), 12), (configuration(2, 4, 4, 2), 18),
    (configuration(1, 3, 3, 1), 15)], ids=["1 lane", "4 lanes", "1 row"])
def test_renewing_coefficients_costs_nothing_in_long_tiles(config, depth):
    """A set has `columns` channels, and its bank is free again a few cycles after the capture."""
    assert depth >= config.columns + coefficient_delay(config) + 3
    busy = occupancy(config, depth, tiles=1, blocks=6)
    for row, column in np.ndindex(busy.shape[1:]):
        assert spans(busy[:, row, column]).tolist() == [6 * depth], (row, column)
