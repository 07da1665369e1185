"""The networks of MLPerf Tiny fit the large configuration, and their programs are exact."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.estimate import instruction_cycles
from compiler.program import compile_network
from golden.network import Network
from hdl.config import CONFIGURATIONS
from scripts.figures import frame_cycles
from tests.compiler.checker import check_memory
from tests.compiler.layers import conv
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


@pytest.mark.parametrize(("name", "words", "whole", "most"), [
    ("resnet8", 4500, 6144, 1.05), ("mobilenet", 5900, 7008, 1.05), ("ds_cnn", 1500, 2000, 1.15)])
def test_known_networks_in_bands(name, words, whole, most):
    """In less memory than a layer's input and output take, and little slower than in just that."""
    network = KNOWN_NETWORKS[name][0](1)
    cycles = []
    for size, cut in ((whole, False), (whole - 1, True), (words, True)):
        program = compile_network(network, replace(LARGE, activation_words=size))
        assert (len(program.layer_of) > len(set(program.layer_of))) == cut
        cycles.append(frame_cycles(program))
    print(cycles)
    assert max(cycles[1:]) < most * cycles[0]
    check_memory(program, batches=2)
    frames = np.random.default_rng(3).integers(-128, 128, (2, *network.input_shape), dtype=np.int8)
    np.testing.assert_array_equal(outputs(program, frames), network(frames))


def test_frames_that_a_small_configuration_could_not_hold_twice():
    """48x64 pixels of a word each are 3072 of the 4096 words of ecp5-25f."""
    small = CONFIGURATIONS["ecp5-25f"]
    layers = [conv("a", (8, 3, 3, 3), padding=(1, 1, 1, 1)),
              conv("b", (8, 8, 3, 3), padding=(1, 1, 1, 1)), conv("c", (2, 8, 1, 1))]
    network = Network.chain(layers, (3, 48, 64))
    program = compile_network(network, small)
    assert 4 * program.config.activation_words < 3 * 2 * 3072
    check_memory(program, batches=2)
    frames = np.random.default_rng(4).integers(-128, 128, (2, 3, 48, 64), dtype=np.int8)
    np.testing.assert_array_equal(outputs(program, frames), network(frames))
