from dataclasses import replace

import numpy as np
import pytest

from compiler.model import Model, Port
from compiler.onnx_reader import read_onnx
from golden.elementwise import ElementwiseLayer
from golden.network import Network
from scripts.digits import model_path
from tests.golden.onnx_oracle import run_node
from tests.golden.refusal import refuses


@pytest.fixture(scope="module")
def digits():
    """The demo's model, with reals at both ends."""
    model = read_onnx(model_path())
    return replace(model, input=replace(model.input, dtype=np.float32),
                   output=replace(model.output, dtype=np.float32))


def identity(unsigned):
    """A network of (2, 3, 4) that changes nothing."""
    layer = ElementwiseLayer(name="same", tables=np.arange(256)[None].astype(np.uint8).view(
        np.uint8 if unsigned else np.int8), input_unsigned=(unsigned,), output_unsigned=unsigned)
    return Network.chain([layer], (2, 3, 4))


@pytest.mark.parametrize(("unsigned", "zero_point"), [(False, -128), (False, 3), (True, 200)])
def test_encode_is_quantize_linear(unsigned, zero_point):
    rng = np.random.default_rng(0)
    # A scale of 24 significant bits: in float64 the ties below would be none.
    scale = np.float32(0.06732655)
    frames = rng.normal(0, 4, (5, 2, 3, 4)).astype(np.float32)
    frames[:2] = (np.arange(48).reshape(2, 2, 3, 4) - 24.5).astype(np.float32) * scale
    frames[4, 0, 0, :2] = 1e38, -1e38
    port = Port(name="x", shape=(2, 3, 4), dtype=np.float32, channels_last=False,
                scale=float(scale), zero_point=zero_point)
    model = Model(file="", network=identity(unsigned), input=port, output=port)
    dtype = np.uint8 if unsigned else np.int8
    expected = run_node("QuantizeLinear", {"x": frames, "scale": np.array(scale),
                                           "zero": np.array(zero_point, dtype)},
                        output_type=2 if unsigned else 3)[0]
    codes = model.encode(frames)
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, expected)


def test_decode_is_dequantize_linear(digits):
    codes = np.arange(-128, 127).astype(np.int8)[:250].reshape(-1, 10, 1, 1)
    expected = run_node("DequantizeLinear", {
        "x": codes, "scale": np.array(digits.output.scale, np.float32),
        "zero": np.array(digits.output.zero_point, np.int8)})[0]
    np.testing.assert_array_equal(digits.decode(codes), expected)


def test_every_grey_level_has_a_code_of_its_own(digits):
    levels = np.zeros((1, 1, 28, 28), np.float32)
    levels.reshape(-1)[:256] = np.arange(256, dtype=np.float32) / np.float32(255)
    np.testing.assert_array_equal(digits.encode(levels).reshape(-1)[:256], np.arange(256) - 128)


def test_channels_last_are_transposed_at_both_ends():
    port = Port(name="x", shape=(3, 4, 2), dtype=np.int8, channels_last=True, scale=1.0,
                zero_point=0)
    model = Model(file="", network=identity(False), input=port, output=port)
    frames = np.arange(48).reshape(2, 3, 4, 2).astype(np.int8)
    np.testing.assert_array_equal(model.encode(frames), frames.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(model.run(frames), frames)


def test_steps_of_the_host_follow_in_order(digits):
    codes = np.arange(20).astype(np.int8).reshape(2, 10, 1, 1)
    steps = (lambda y: y[:, ::-1], lambda y: y.reshape(len(y), 10))
    flat = replace(digits, host=steps)
    expected = digits.decode(codes)[:, ::-1].reshape(2, 10)
    np.testing.assert_array_equal(flat.decode(codes), expected)


def test_encode_refuses(digits):
    with refuses(TypeError, "Input 'codes' must be float32, not uint8"):
        digits.encode(np.zeros((1, 1, 28, 28), np.uint8))
    with refuses(ValueError, "Input 'codes' must have shape (N, 1, 28, 28), not (28, 28)"):
        digits.encode(np.zeros((28, 28)))
    with refuses(ValueError, "Input 'codes' must have shape (N, 1, 28, 28), not (1, 3, 28, 28)"):
        digits.encode(np.zeros((1, 3, 28, 28)))
    with refuses(ValueError, "Input 'codes' must be finite"):
        digits.encode(np.full((1, 1, 28, 28), np.nan))
