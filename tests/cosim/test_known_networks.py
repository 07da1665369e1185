"""The networks of MLPerf Tiny on the engine in Verilog: codes, and cycles of each layer."""

from functools import cache

import numpy as np
import pytest

from compiler.program import compile_network
from hdl.config import CONFIGURATIONS
from hdl.sequencer import COMPUTING
from scripts.figures import frame_cycles
from sim.cycles import layer_cycles
from sim.engine import EngineSimulation
from tests.cosim.known_networks import KNOWN_NETWORKS

FRAMES = 3


@cache
def simulation(name):
    return EngineSimulation(CONFIGURATIONS[name])


@pytest.mark.parametrize(("network", "name", "most"), [
    ("resnet8", "ecp5-85f", 108_000),
    ("mobilenet", "ecp5-85f", 95_000),
    ("ds_cnn", "ecp5-85f", 28_000),
    ("resnet8", "ecp5-85f-8x8", 210_000),
])
def test_runs_within_its_cycles(network, name, most):
    """RTL = golden for every frame; the model's cycles are the RTL's for every layer; and from
    frame to frame no more pass than the array should need."""
    config = CONFIGURATIONS[name]
    build, macs = KNOWN_NETWORKS[network]
    drawn = build(7)
    program = compile_network(drawn, config)
    rng = np.random.default_rng(8)
    frames = rng.integers(-128, 128, (FRAMES, *drawn.input_shape), dtype=np.int8)
    outputs, timing = simulation(name).run(program, frames, patience=1_000_000)
    np.testing.assert_array_equal(outputs, drawn(frames))

    layers = [fields for fields in program.instructions if fields["opcode"] in COMPUTING]
    measured = timing.done - timing.begun
    for index, fields in enumerate(layers):
        cycles = layer_cycles(fields, config, macs=1)
        print(program.layer_of[index], fields["opcode"].name, measured[:, index], cycles)
        if fields["wait"]:
            assert set(measured[1:, index]) == {cycles.total}
    period = int(np.diff(timing.done[:, -1])[-1])
    predicted = frame_cycles(program)
    print(f"{network} on {name}: {period} cycles from frame to frame, predicted {predicted}, "
          f"{macs / period / config.rows / config.columns:.1%} of the array")
    assert period <= most
    assert abs(period - predicted) <= 0.01 * period
