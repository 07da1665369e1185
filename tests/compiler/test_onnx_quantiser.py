"""Models that ONNX Runtime's own quantiser makes of float ones."""

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from compiler.onnx_reader import read_onnx
from scripts.digits import float_model_path, load_images
from scripts.fuzzing.float_draw import FloatDraw
from scripts.fuzzing.onnx_oracle import compare, runtime_tensors
from tests.compiler.test_calibrate import frames_for

pytestmark = pytest.mark.usefixtures("exact_runtime")


class Frames(CalibrationDataReader):
    def __init__(self, name, frames):
        self._frames = iter([{name: frame[None]} for frame in frames])

    def get_next(self):
        return next(self._frames, None)


@pytest.fixture
def quantised(tmp_path):
    """Quantise a float model; the path of the result."""
    def quantise(model, frames, *, form, unsigned, per_channel):
        folded, path = tmp_path / "folded.onnx", tmp_path / "model.onnx"
        # The runtime folds BatchNorm, which its quantiser leaves in float.
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(folded)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        onnxruntime.InferenceSession(model.SerializeToString(), options,
                                     providers=["CPUExecutionProvider"])
        logging.disable(logging.WARNING)
        try:
            quantize_static(folded, path, Frames(model.graph.input[0].name, frames),
                            quant_format=form, per_channel=per_channel,
                            activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
                            weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)
        return path
    return quantise


FORMS = [(QuantFormat.QDQ, False, True), (QuantFormat.QDQ, True, False),
         (QuantFormat.QOperator, True, True), (QuantFormat.QOperator, False, False)]


@pytest.mark.parametrize(("form", "unsigned", "per_channel"), FORMS)
def test_digits(form, unsigned, per_channel, quantised):
    images, labels = load_images()
    path = quantised(onnx.load(float_model_path()), images[::4], form=form, unsigned=unsigned,
                     per_channel=per_channel)
    model = read_onnx(path)
    assert model.input.dtype is np.float32
    assert len(model.network.nodes) == 5
    content = path.read_bytes()
    for optimise in (True, False):
        differ, count = compare(model, content, images, optimise=optimise)
        assert differ < count / 10_000
    expected = runtime_tensors(content, images)[0].reshape(200, 10)
    made = model.run(images).reshape(200, 10)
    assert np.mean(made.argmax(axis=1) == labels) == np.mean(expected.argmax(axis=1) == labels)


@pytest.mark.parametrize(("form", "unsigned", "per_channel"), FORMS)
@pytest.mark.parametrize("seed", [5, 6, 9, 16, 17, 25, 26, 34])
def test_random_models(seed, form, unsigned, per_channel, quantised):
    """Those of the drawn ones that leave nothing in float, and do not end in Softmax."""
    model = FloatDraw(seed).graph(seed % 7)
    frames = frames_for(model, 8)
    path = quantised(model, frames, form=form, unsigned=unsigned, per_channel=per_channel)
    quantised_model = read_onnx(path)
    differ, count = compare(quantised_model, path.read_bytes(), frames,
                                        optimise=True, rounded_bias=True)
    # Averages of equal scales are ties by the dozen.
    assert differ < count / 50
