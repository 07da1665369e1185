from pathlib import Path

import pytest

from compiler.errors import ModelError
from compiler.reader import read_model, survey
from scripts.digits import model_path
from scripts.fuzzing.tflite_cases import drawn
from tests.golden.refusal import refuses


@pytest.fixture
def content():
    return drawn(1)[1]


@pytest.mark.parametrize("name", ["model.tflite", "MODEL.TFLITE", "model.bin", "model"])
def test_tflite_by_name_or_content(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert read_model(path).file == survey(str(path)).file == name


@pytest.mark.parametrize("name", ["digits.onnx", "digits.bin"])
def test_onnx_by_name_or_content(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(Path(model_path()).read_bytes())
    assert read_model(path).file == survey(path).file == name


def test_mislabelled_files_are_refused(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with refuses(ModelError, "model.onnx: the file holds a TFLite model; name it *.tflite"):
        read_model(path)
    path = tmp_path / "digits.tflite"
    path.write_bytes(Path(model_path()).read_bytes())
    with refuses(ModelError, "digits.tflite: this is not a TFLite model, or it is damaged; export "
                 "the model again"):
        read_model(path)


def test_refuses_what_cannot_be_read(content, tmp_path):
    with refuses(ModelError, "none.tflite: cannot be read: No such file or directory; check the "
                 "path"):
        survey(tmp_path / "none.tflite")
    with refuses(ModelError, f"{tmp_path.name}: cannot be read: Is a directory; check the path"):
        survey(tmp_path)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with refuses(ModelError, "model.tflite: a TFLite model is quantised already; calibrate float "
                 "ONNX models only"):
        survey(path, calibration=object())


def test_the_first_fault_is_raised(content, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(content[:-4])
    with pytest.raises(ModelError):
        read_model(path)
