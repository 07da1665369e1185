"""The cycle model says what the hardware counts, for every layer."""

from functools import cache

import numpy as np
import pytest

from compiler.program import compile_network
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.pool import PoolLayer
from hdl.config import CONFIGURATIONS
from hdl.sequencer import COMPUTING
from sim.cycles import layer_cycles, table_cycles
from sim.engine import EngineSimulation
from tests.cosim.engines import ENGINES, engine
from tests.cosim.networks import network

#: Layers of ResNet-8, MobileNetV1-0.25 (96×96), DS-CNN and ResNet-18: input channels, output
#: channels, kernel, stride, padding, group, and input size, the latter cut where a frame of the
#: original would not fit.
LAYERS = (
    (3, 16, (3, 3), 1, (1, 1, 1, 1), 1, (32, 32)),
    (16, 16, (3, 3), 1, (1, 1, 1, 1), 1, (32, 32)),
    (16, 32, (3, 3), 2, (0, 0, 1, 1), 1, (32, 32)),
    (32, 32, (3, 3), 1, (1, 1, 1, 1), 1, (16, 16)),
    (16, 32, (1, 1), 2, (0, 0, 0, 0), 1, (32, 32)),
    (32, 64, (3, 3), 2, (0, 0, 1, 1), 1, (16, 16)),
    (64, 64, (3, 3), 1, (1, 1, 1, 1), 1, (8, 8)),
    (64, 10, (1, 1), 1, (0, 0, 0, 0), 1, (1, 1)),
    (3, 8, (3, 3), 2, (0, 0, 1, 1), 1, (96, 96)),
    (8, 16, (1, 1), 1, (0, 0, 0, 0), 1, (48, 48)),
    (16, 16, (3, 3), 2, (0, 0, 1, 1), 16, (48, 48)),
    (64, 64, (3, 3), 1, (1, 1, 1, 1), 64, (12, 12)),
    (128, 128, (1, 1), 1, (0, 0, 0, 0), 1, (6, 6)),
    (128, 256, (1, 1), 1, (0, 0, 0, 0), 1, (3, 3)),
    (1, 64, (10, 4), 2, (4, 1, 5, 1), 1, (49, 10)),
    (64, 64, (1, 1), 1, (0, 0, 0, 0), 1, (25, 5)),
    (3, 16, (7, 7), 2, (3, 3, 3, 3), 1, (48, 48)),
)


#: Cycles from a layer's last result to the first request of one that waits for that alone.
NEXT_LAYER = 3


def check(drawn, program, frames, simulation):
    """Run it; every layer that waits for the one before must take what the model says."""
    outputs, timing = simulation.run(program, frames, patience=1_000_000)
    np.testing.assert_array_equal(outputs, drawn(frames))
    layers = [fields for fields in program.instructions if fields["opcode"] in COMPUTING]
    measured = timing.done - timing.begun
    checked = 0
    for index, fields in enumerate(layers):
        if fields["wait"]:
            predicted = layer_cycles(fields, program.config, macs=1).total
            # After a reset no set of coefficients is in use, and the first two load at once.
            steady = measured[int(index == 0):, index]
            assert steady.tolist() == [predicted] * len(steady), fields
            checked += len(steady)
    return checked


@pytest.mark.parametrize("name", ENGINES)
def test_equals_the_hardware_in_random_networks(name):
    simulation = engine(name)
    print("seed 600")
    rng = np.random.default_rng(600)
    checked = 0
    for _ in range(10):
        drawn, program, frames = network(rng, simulation.config, macs=3000)
        checked += check(drawn, program, frames, simulation)
    assert checked >= 15


def random_layer(rng, shape):
    inputs, outputs, kernel, stride, padding, group, _ = shape
    weight = rng.integers(-128, 128, (outputs, inputs // group, *kernel))
    return ConvLayer(
        name="layer", weight=weight, bias=rng.integers(-1000, 1000, outputs),
        multiplier=rng.integers(2**30, 2**31, outputs), shift=np.full(outputs, 43),
        rounding="tflite", stride=(stride, stride), padding=padding, group=group)


def test_equals_the_hardware_in_layers_of_real_networks():
    config = CONFIGURATIONS["ecp5-85f"]
    simulation = EngineSimulation(config)
    rng = np.random.default_rng(601)
    for shape in LAYERS:
        layer = random_layer(rng, shape)
        frames = rng.integers(-128, 128, (2, shape[0], *shape[-1]), dtype=np.int8)
        single = Network.chain([layer], frames.shape[1:])
        program = compile_network(single, config)
        assert check(single, program, frames, simulation) >= 1


#: The same, as far as a memory with one port goes: tiles that the lanes hold up for longer than
#: their results take to be written, for less, and not at all.
NARROW_LAYERS = (
    (32, 8, (3, 3), 1, (0, 0, 0, 0), 1, (6, 6)),
    (32, 6, (3, 3), 1, (0, 0, 0, 0), 1, (5, 6)),
    (28, 8, (3, 3), 1, (0, 0, 0, 0), 1, (6, 6)),
    (24, 8, (3, 3), 1, (0, 0, 0, 0), 1, (6, 6)),
    (12, 8, (3, 3), 1, (0, 0, 0, 0), 1, (6, 6)),
    (4, 8, (1, 1), 1, (0, 0, 0, 0), 1, (6, 6)),
    (112, 8, (1, 1), 1, (0, 0, 0, 0), 1, (4, 4)),
)


@cache
def lean_engine():
    return EngineSimulation(CONFIGURATIONS["icebreaker"])


def test_equals_the_hardware_where_results_and_operands_share_a_port():
    config, simulation = CONFIGURATIONS["icebreaker"], lean_engine()
    rng = np.random.default_rng(603)
    lost = 0
    for shape in NARROW_LAYERS:
        layer = random_layer(rng, shape)
        frames = rng.integers(-128, 128, (2, shape[0], *shape[-1]), dtype=np.int8)
        single = Network.chain([layer], frames.shape[1:])
        program = compile_network(single, config)
        assert check(single, program, frames, simulation) >= 1
        lost += layer_cycles(program.instructions[1], config, macs=1).memory
    assert lost > 100


def chain_of_vectors(rng, shape):
    """A network of two sums of two tensors, after a pooling and before another."""
    def addition(name, *inputs):
        layer = ElementwiseLayer(name=name, tables=rng.integers(-99, 99, (2, 256)),
                                 input_unsigned=(False, False))
        return Node(layer, inputs, name)

    def pooling(name, source):
        rows, columns = rng.integers(2, 4, 2).tolist()
        layer = PoolLayer(name=name, kind="max", kernel=(rows, columns),
                          padding=(rows - 1, columns - 1, 0, 0))
        return Node(layer, (source,), name)

    nodes = (pooling("a", "x"), addition("b", "x", "a"), addition("c", "a", "b"),
             pooling("d", "c"))
    return Network(input="x", input_shape=shape, input_unsigned=False, nodes=nodes, output="d")


@pytest.mark.parametrize("name", ["1x1", "4x4", "8x8"])
def test_equals_the_hardware_where_sums_wait_for_coefficients(name):
    """Few pixels of many channels, so that a block takes less than the next set, and groups of
    several blocks are on their way."""
    simulation = engine(name)
    config = simulation.config
    print("seed 604")
    rng = np.random.default_rng(604)
    for blocks, height, width in ((2, 1, 1), (5, 1, 2), (2, 3, 1), (4, 2, 2), (3, 2, 3), (2, 5, 5)):
        shape = ((blocks - 1) * config.channels + 1, height, width)
        drawn = chain_of_vectors(rng, shape)
        program = compile_network(drawn, config)
        frames = rng.integers(-128, 128, (2, *shape), dtype=np.int8)
        assert check(drawn, program, frames, simulation) >= 6


@pytest.mark.parametrize("name", ["1x1", "4x4", "8x8"])
def test_tables_take_their_time_after_another_layer_on_the_vector_unit(name):
    simulation = engine(name)
    config = simulation.config
    rng = np.random.default_rng(605)
    drawn = chain_of_vectors(rng, (config.channels, 4, 4))
    program = compile_network(drawn, config)
    frames = rng.integers(-128, 128, (2, config.channels, 4, 4), dtype=np.int8)
    _, timing = simulation.run(program, frames)
    layers = [fields for fields in program.instructions if fields["opcode"] in COMPUTING]
    between = (timing.begun[:, 1:] - timing.done[:, :-1]).tolist()
    waits = [table_cycles(*pair, config) for pair in zip(layers, layers[1:], strict=False)]
    assert [wait > 0 for wait in waits] == [True, True, False]
    expected = [wait or NEXT_LAYER for wait in waits]
    assert between == [expected, expected]


def test_a_lean_engine_multiplies_in_nine_of_ten_cycles():
    """ResNet-8's fourth layer, as the hardware does it: a tile's results take 15 cycles of 304."""
    rng = np.random.default_rng(604)
    shape = (32, 32, (3, 3), 1, (1, 1, 1, 1), 1, (8, 8))
    layer = random_layer(rng, shape)
    frames = rng.integers(-128, 128, (2, 32, 8, 8), dtype=np.int8)
    single = Network.chain([layer], frames.shape[1:])
    program = compile_network(single, CONFIGURATIONS["icebreaker"])
    assert check(single, program, frames, lean_engine()) == 1
    macs = layer.macs((1, *frames.shape[1:]))
    total = layer_cycles(program.instructions[1], program.config, macs).total
    assert 0.93 < macs / (16 * total) < 0.95


def test_tells_where_the_cycles_go():
    """ResNet-8's second layer on 8×16: only fill and drain are lost."""
    config = CONFIGURATIONS["ecp5-85f"]
    rng = np.random.default_rng(602)
    shape = (16, 16, (3, 3), 1, (1, 1, 1, 1), 1, (32, 32))
    layer = random_layer(rng, shape)
    program = compile_network(Network.chain([layer], (16, 32, 32)), config)
    cycles = layer_cycles(program.instructions[1], config, layer.macs((1, 16, 32, 32)))
    assert (cycles.compute, cycles.channels, cycles.pixels, cycles.lanes) == (18432, 0, 0, 0)
    assert cycles.total == 18432 + cycles.fill
    assert cycles.fill == 79
