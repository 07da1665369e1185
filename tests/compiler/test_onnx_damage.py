"""Damaged files: a clear error or a model that runs, never a traceback."""

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.onnx_reader import read_onnx
from scripts.digits import model_path
from scripts.fuzzing import onnx_cases
from scripts.fuzzing.sandbox import Sandbox
from tests.compiler.models import small_model


def survives(content, save):
    """Whether the bytes are read as a model, which then runs; an error must be one line."""
    try:
        model = read_onnx(save(content))
    except ModelError as error:
        message = str(error)
        assert message.startswith("model.onnx: ")
        assert "; " in message
        assert message.isprintable()
        assert len(message) < 500
        return False
    frames = np.zeros((1, *model.input.shape), model.input.dtype)
    # A flipped bit of a size can ask for much; running that is not the question here.
    if all(np.prod(shape) < 1 << 16 for shape in model.network.shapes().values()):
        assert model.run(frames).shape == (1, *model.output.shape)
    return True


@pytest.fixture(scope="module")
def small():
    return small_model().SerializeToString()


def test_every_truncation_is_refused(small, save):
    lengths = np.unique(np.linspace(0, len(small) - 1, 300).astype(int))
    whole = [length for length in lengths if survives(small[:length], save)]
    # What is cut after the graph may be the version of the opset only, never weights or nodes.
    assert whole == []


@pytest.mark.parametrize("block", range(8))
def test_flipped_bits(block, small, save):
    """Half of the flips are among the first bytes, where there are nodes rather than weights."""
    rng = np.random.default_rng(block)
    outcomes = set()
    for case in range(100):
        content = bytearray(small)
        for _ in range(rng.integers(1, 4)):
            reach = len(content) if case % 2 else 1000
            content[rng.integers(reach)] ^= 1 << rng.integers(8)
        outcomes.add(survives(bytes(content), save))
    assert outcomes == {True, False}


def test_replaced_removed_and_inserted_bytes(small, save):
    rng = np.random.default_rng(99)
    outcomes = set()
    for _ in range(300):
        start, length = rng.integers(len(small)), rng.integers(1, 9)
        filling = rng.bytes(rng.integers(0, 9))
        outcomes.add(survives(small[:start] + filling + small[start + length:], save))
    assert outcomes == {True, False}


def test_flipped_bits_of_the_demo(save):
    content = model_path().read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        survives(bytes(damaged), save)


@pytest.mark.usefixtures("exact_runtime")
@pytest.mark.parametrize("block", range(5))
def test_damaged_models_are_refused_or_equal_onnx_runtime(block, save):
    """A sample of ``celosia fuzz --format onnx --readers``."""
    path, files = save(b""), onnx_cases.bases()
    outcomes = set()
    with Sandbox(onnx_cases.RUNTIME) as sandbox:
        for number in range(block * 60, block * 60 + 60):
            _, check = onnx_cases.wreck(number, files)
            outcomes.add(check(path, sandbox))
    assert outcomes >= {"refused", "equal"}


def test_damaged_float_models_are_refused_or_quantised(save):
    """Every eighth one is a float model."""
    path, outcomes = save(b""), set()
    for number in range(7, 960, 8):
        _, check = onnx_cases.wreck(number, ())
        outcomes.add(check(path, None))
    assert outcomes >= {"refused", "quantised"}


def test_noise(save):
    rng = np.random.default_rng(3)
    for _ in range(100):
        assert not survives(rng.bytes(rng.integers(1, 200)), save)
