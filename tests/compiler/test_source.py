"""What is no plain file is refused before it is opened, for a pipe or a device has no end."""

import os

import pytest

from compiler.errors import ModelError
from compiler.reader import read_model
from scripts.arrays import load_calibration
from scripts.console import Refused
from tests.golden.refusal import refuses


@pytest.fixture(params=["pipe", "device"])
def endless(request, tmp_path):
    """Make a file that never ends, of a name; its path."""
    def make(name):
        path = tmp_path / name
        if request.param == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        return path
    return make


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model"])
def test_models_are_plain_files(endless, name):
    with refuses(ModelError, f"{name}: cannot be read: Not a plain file; check the path"):
        read_model(endless(name))


def test_arrays_are_plain_files(endless):
    path = endless("x.npy")
    with refuses(Refused, f"{path}: Not a plain file"):
        load_calibration(path)
