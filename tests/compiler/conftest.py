import pytest

from scripts.fuzzing.onnx_oracle import runtime_saturates
from tests.compiler.models import small_model


@pytest.fixture
def model():
    return small_model()


@pytest.fixture
def save(tmp_path):
    """Write a model, or bytes, to ``model.onnx``; its path."""
    def write(content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        return path
    return write


@pytest.fixture
def exact_runtime():
    if runtime_saturates():
        pytest.skip("ONNX Runtime's int8 products saturate at 16 bits on x86 without VNNI")
