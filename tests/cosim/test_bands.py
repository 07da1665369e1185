"""Layers in bands on the engine in Verilog: codes, at any pace, and cycles of every band."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.program import compile_network
from golden.network import Network
from hdl.isa import Opcode
from tests.compiler.layers import conv, pool
from tests.cosim.engines import ENGINES, engine
from tests.cosim.networks import random_network
from tests.cosim.small_memory import is_cut, squeezed
from tests.cosim.test_cycles import check

PATIENCE = 300_000
SAME = {"padding": (1, 1, 1, 1)}


@pytest.mark.parametrize("name", ENGINES)
def test_random_networks_in_little_memory(name):
    simulation = engine(name)
    config = simulation.config
    print("seed 800")
    rng, left = np.random.default_rng(800), 8
    while left:
        drawn, frames = random_network(rng, config, macs=200 * config.rows * config.columns, most=5)
        batch = int(rng.choice([1, 1, 2]))
        program = squeezed(rng, drawn, config, 1 if config.lean else batch)
        if program is None or program.config.activation_words > config.activation_words:
            continue
        stall = int(rng.choice([0, 100]))
        outputs, _ = simulation.run(program, frames, stall=stall, seed=left, patience=PATIENCE)
        np.testing.assert_array_equal(outputs, drawn(frames))
        left -= 1


@pytest.mark.parametrize(("name", "layer", "words", "opcode"), [
    ("4x4", conv("b", (4, 4, 3, 3), **SAME), 190, Opcode.CONV),
    ("8x8", conv("b", (20, 4, 3, 3), **SAME), 560, Opcode.CONV),
    # Two instructions a band.
    ("4x4", conv("b", (12, 2, 3, 3), group=2, **SAME), 520, Opcode.CONV),
    ("8x8", conv("b", (12, 4, 3, 3), stride=(2, 2), **SAME), 180, Opcode.CONV),
    ("2x3 of 4 channels", conv("b", (4, 4, 5, 5), padding=(2, 2, 2, 2)), 200, Opcode.CONV),
    ("4x4", conv("b", (4, 1, 3, 3), group=4, **SAME), 190, Opcode.DEPTHWISE),
    ("8x8", conv("b", (4, 1, 3, 3), group=4, stride=(2, 1), **SAME), 180, Opcode.DEPTHWISE),
    ("4x4", pool("b", (3, 3), **SAME), 190, Opcode.VECTOR),
    ("8x8", pool("b", (2, 2), kind="sum"), 180, Opcode.VECTOR),
])
def test_every_band_takes_what_the_model_says(name, layer, words, opcode):
    """Of frames of 12x12 pixels, two at a time in turn with one, behind a layer that copies."""
    simulation = engine(name)
    network = Network.chain([conv("a", (4, 4, 1, 1)), layer], (4, 12, 12))
    rng = np.random.default_rng(810)
    frames = rng.integers(-128, 128, (4, 4, 12, 12), dtype=np.int8)
    for batch in (1, 2):
        program = compile_network(network, replace(
            simulation.config, activation_words=batch * words), batch=batch)
        bands = [fields for fields, index in zip(
            [fields for fields in program.instructions if "out_groups" in fields],
            program.layer_of, strict=True) if index == 1]
        assert {fields["opcode"] for fields in bands} == {opcode}
        assert is_cut(program)
        assert len(bands) > 1
        assert check(network, program, frames, simulation) >= 3
