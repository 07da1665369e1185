"""Damaged TFLite files: one clear line, or a model that gives what TFLite gives."""

from collections import Counter

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.tflite_reader import survey_tflite
from scripts.fuzzing import tflite_cases
from scripts.fuzzing.sandbox import Sandbox
from scripts.fuzzing.tflite_cases import drawn
from tests.compiler.tinyml import tinyml_if_any


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(tflite_cases.RUNTIME) as sandbox:
        yield sandbox


def test_every_truncation_is_refused(tmp_path):
    content = drawn(3)[1]
    path = tmp_path / "model.tflite"
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            survey_tflite(path)


@pytest.mark.parametrize("block", range(2))
def test_damaged_files(block, sandbox, tmp_path):
    """A sample of ``celosia fuzz --format tflite --readers``."""
    files, outcomes = tflite_cases.bases(tinyml_if_any()), Counter()
    for number in range(200 * block, 200 * block + 200):
        _, check = tflite_cases.wreck(number, files)
        outcomes[check(tmp_path / "model.tflite", sandbox)] += 1
    assert outcomes["refused"] > 100
    assert outcomes["equal"] > 5


def test_noise_behind_the_identifier_is_refused(tmp_path):
    path, rng = tmp_path / "model.tflite", np.random.default_rng(5)
    for _ in range(200):
        path.write_bytes(rng.bytes(4) + b"TFL3" + rng.bytes(rng.integers(300)))
        with pytest.raises(ModelError):
            survey_tflite(path)


def test_the_sandbox_outlives_what_it_runs(sandbox):
    draw, content = drawn(2)
    frames = np.zeros(draw.maps[0].shape, draw.maps[0].type.lower())
    assert sandbox.run(content, frames) is not None
    assert sandbox.run(b"nothing", frames) is None
    assert sandbox.run(content, frames) is not None
