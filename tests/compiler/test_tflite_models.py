"""MLPerf Tiny's int8 networks against TFLite's reference kernels, tensor by tensor."""

import numpy as np
import pytest

from compiler.reader import read_model, survey
from compiler.tflite_host import TFLiteSoftmax
from scripts.fetch import MODELS
from scripts.fuzzing.tflite_draw import random_frames
from scripts.fuzzing.tflite_oracle import compare
from tests.compiler.tinyml import tinyml

#: Tensors of each network, the input's included; multiplications of a frame.
SIZES = {
    "anomaly_detection": (11, 264_192),
    "image_classification": (15, 12_501_632),
    "keyword_spotting": (12, 2_656_768),
    "visual_wake_words": (30, 7_489_664),
}


def smooth(frames):
    """Frames like pictures: sums over all pixels before, in random directions, at full range."""
    waves = np.cumsum(np.cumsum(frames.astype(np.float64) - frames.mean(), axis=1), axis=2)
    low, high = waves.min(axis=(1, 2, 3), keepdims=True), waves.max(axis=(1, 2, 3), keepdims=True)
    scaled = (waves - low) / (high - low) * (float(frames.max()) - float(frames.min()))
    return (scaled + float(frames.min())).astype(frames.dtype)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_tensor_of_50_frames_equals_tflite(name):
    path = tinyml(name)
    model = read_model(path)
    frames = random_frames(np.random.default_rng(0), model.input, 50)
    frames[25:] = smooth(frames[25:])
    tensors, macs = SIZES[name]
    compare(model, path.read_bytes(), frames)
    assert len(model.network.shapes()) == tensors
    assert model.network.macs() == macs


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_operator_is_mapped(name):
    found = survey(tinyml(name))
    assert found.file == f"{name}.tflite"
    assert found.faults == ()
    assert all(row.mapped_to and row.reason is None for row in found.rows)
    named = [layer for row in found.rows for layer in row.layer_names]
    assert named == [node.layer.name for node in found.model.network.nodes]


def test_ports():
    model = read_model(tinyml("image_classification"))
    assert (model.input.name, model.input.shape) == ("input_1_int8", (32, 32, 3))
    assert (model.output.name, model.output.shape) == ("Identity_int8", (10,))
    assert model.input.dtype is model.output.dtype is np.int8
    assert model.host == (TFLiteSoftmax(10, float(np.float32(0.15372044)), 1.0),)
    assert model.network.input_shape == (3, 32, 32)
    model = read_model(tinyml("anomaly_detection"))
    assert model.input.shape == model.output.shape == (5, 128, 1)
    assert model.input.dtype is model.output.dtype is np.float32
    assert model.host == ()
    # Nothing needs a map of it, so that the frame is a vector of channels.
    assert model.network.input_shape == (640, 1, 1)
