"""Random networks of every kind of layer: golden, and the program as the interpreter runs it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.config import Configuration
from hdl.isa import Status
from sim.interpreter import Interpreter
from tests.compiler.checker import check_memory
from tests.cosim.networks import network


def configuration(name, rows, columns, lanes, channels, activation_words, **parameters):
    """So little activation memory that many networks only just fit, or do not."""
    return Configuration(name=name, device="any", rows=rows, columns=columns, lanes=lanes,
                         channels=channels, activation_words=activation_words, weight_words=6000,
                         coefficient_words=1500, **parameters)


CONFIGURATIONS = {config.name: config for config in (
    configuration("1x1", 1, 1, 1, 1, 1000, window_width=17, vector=True),
    configuration("2x3 of 4 channels", 2, 3, 1, 4, 700, window_width=9, vector=True),
    configuration("4x4", 4, 4, 2, 4, 400, window_width=32, vector=True),
    configuration("4x4 without units", 4, 4, 2, 4, 600),
    configuration("8x4", 8, 4, 2, 8, 300, window_width=64, vector=True),
    configuration("8x16", 8, 16, 8, 8, 200, window_width=64, vector=True),
)}


def outputs(program, frames):
    """Output codes as the interpreter has them."""
    interpreter = Interpreter(program.config)
    interpreter.load_program(program)
    outcome = interpreter.run([program.pack(codes) for codes in program.batches(frames)])
    assert outcome.status == Status.DONE
    return np.concatenate([program.unpack(words) for words in outcome.sent])[:len(frames)]


@pytest.mark.parametrize("name", CONFIGURATIONS)
@settings(max_examples=60, deadline=None, print_blob=True)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([1, 3, 6, 12]))
def test_programs_compute_what_golden_does(name, seed, most):
    rng = np.random.default_rng(seed)
    drawn, program, frames = network(rng, CONFIGURATIONS[name], macs=20_000, most=most)
    golden = drawn(frames)
    np.testing.assert_array_equal(outputs(program, frames), golden)
    # The network as it was rewritten is golden's too, of frames as they were folded.
    folded = frames if program.fold is None else program.fold.fold(frames)
    np.testing.assert_array_equal(program.network(folded), golden)
    check_memory(program)
