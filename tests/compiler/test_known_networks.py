"""The networks of MLPerf Tiny fit the large configuration, and their programs are exact."""

import numpy as np
import pytest

from compiler.estimate import instruction_cycles
from compiler.program import compile_network
from hdl.config import CONFIGURATIONS
from tests.compiler.checker import check_memory
from tests.compiler.test_random_networks import outputs
from tests.cosim.known_networks import KNOWN_NETWORKS

LARGE = CONFIGURATIONS["ecp5-85f"]
#: Cycles from frame to frame, without filling and draining, that must not become more.
CYCLES = {"resnet8": 106_100, "mobilenet": 90_800, "ds_cnn": 26_100}


@pytest.mark.parametrize("name", KNOWN_NETWORKS)
def test_known_networks(name):
    build, macs = KNOWN_NETWORKS[name]
    network = build(1)
    assert network.macs() == macs
    program = compile_network(network, LARGE)
    cycles = sum(instruction_cycles(fields, LARGE) for fields in program.instructions)
    assert cycles <= CYCLES[name]
    check_memory(program, batches=2)
    frames = np.random.default_rng(2).integers(-128, 128, (2, *network.input_shape), dtype=np.int8)
    np.testing.assert_array_equal(outputs(program, frames), network(frames))
