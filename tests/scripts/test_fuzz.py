"""``celosia fuzz``: cases that hold, cases that fail, and repeating them."""

import re
import time

import numpy as np
import pytest

import scripts.fuzz
from compiler.errors import ModelError
from compiler.reader import read_model
from golden.layer import ConvLayer
from golden.network import Network
from scripts.fuzzing import onnx_cases, onnx_oracle, tflite_cases
from scripts.fuzzing.checks import MismatchError, refused_in_one_line, require_equal
from scripts.fuzzing.sandbox import Sandbox
from scripts.fuzzing.watch import bounded
from tests.golden.refusal import refuses

CASES = {".tflite": tflite_cases, ".onnx": onnx_cases}


@pytest.fixture
def fuzz(celosia, tmp_path):
    def call(*arguments):
        return celosia("fuzz", "-o", tmp_path, *arguments)
    return call


@pytest.fixture(autouse=True)
def exact_runtime():
    if onnx_oracle.runtime_saturates():
        pytest.skip("ONNX Runtime's int8 products saturate at 16 bits on x86 without VNNI")


def rows(result):
    """Cells of the table by their first one."""
    lines = (re.split(r"\s{2,}", line.rstrip()) for line in result.stdout.splitlines())
    return {cells[0]: cells[1:] for cells in lines}


def test_random_models_and_damaged_files(fuzz, tmp_path):
    """A smaller draw of what the command does by the thousand."""
    result = fuzz("--count", 60, "--readers", 60, "--seed", 5000)
    assert result.exit_code == 0, result.output
    table = rows(result)
    assert table["TFLite's reference kernels"][::2] == ["30", "0"]
    assert table["ONNX Runtime"][0] == "30"
    assert int(table["ONNX Runtime"][1].replace(",", "")) > 10_000
    for name in ("tflite", "onnx"):
        outcomes = {label: int(cells[0]) for label, cells in table.items()
                    if label.startswith(f"damaged {name} files: ")}
        assert sum(outcomes.values()) == 30
        assert outcomes[f"damaged {name} files: refused"] > 10
    assert not list(tmp_path.iterdir())


def test_cases_run_on_the_engine(fuzz):
    result = fuzz("--count", 20, "--rtl", 3, "--config", "tiny", "--seed", 12)
    assert result.exit_code == 0, result.output
    assert rows(result)["Verilog of tiny"][0] == "3"


def test_one_format_alone(fuzz):
    table = rows(fuzz("--count", 4, "--format", "onnx"))
    assert table["ONNX Runtime"][0] == "4"
    assert "TFLite's reference kernels" not in table


@pytest.mark.parametrize(("number", "suffix"), [(40, ".tflite"), (41, ".onnx")])
def test_a_wrong_code_is_found_and_its_case_kept(fuzz, tmp_path, monkeypatch, number, suffix):
    """One code of one tensor, in a case that is repeated by its number."""
    right = fuzz("--seed", number, "--count", 1)
    assert right.exit_code == 0, right.output
    run = Network.run

    def wrong(self, codes):
        tensors = run(self, codes)
        tensors[self.output].flat[0] ^= 64
        return tensors

    def wrong_layers(layer):
        def apply(self, codes):
            made = layer(self, codes)
            made.flat[0] ^= 64
            return made
        return apply

    monkeypatch.setattr(Network, "run", wrong)
    for kind in {type(node.layer) for node in
                 model_of(number, suffix, tmp_path).network.nodes}:
        monkeypatch.setattr(kind, "_apply", wrong_layers(kind._apply))
    result = fuzz("--seed", number, "--count", 1)
    assert result.exit_code == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"celosia: Case {number} fails: Tensor ")
    path = tmp_path / f"case-{number}{suffix}"
    assert line.endswith(f"; its file: {path}; repeat it: celosia fuzz --seed {number} --count 1")
    assert path.read_bytes() == CASES[suffix].drawn(number // 2)[1]


def model_of(number, suffix, folder):
    path = folder / f"drawn{suffix}"
    path.write_bytes(CASES[suffix].drawn(number // 2)[1])
    model = read_model(path)
    path.unlink()
    return model


def test_a_wrong_engine_is_found(fuzz, tmp_path, monkeypatch):
    stops_of = scripts.fuzz.stops_of

    def wrong(simulation, jobs):
        stops = stops_of(simulation, jobs)
        beats = stops[1].beats.copy()
        beats[0, 0] ^= 1
        return [stops[0], type(stops[1])(beats, stops[1].statuses)]

    monkeypatch.setattr(scripts.fuzz, "stops_of", wrong)
    result = fuzz("--count", 20, "--rtl", 2, "--config", "tiny", "--seed", 12)
    assert result.exit_code == 1
    line = result.stderr.splitlines()[-1]
    number = int(re.match(r"celosia: Case (\d+) fails: The engine's output: 1 of ", line)[1])
    assert line.endswith(f" --seed {number} --count 1 --rtl 1 --config tiny")
    assert [path.stem for path in tmp_path.iterdir()] == [f"case-{number}"]


@pytest.mark.parametrize("suffix", CASES)
@pytest.mark.parametrize(("error", "message"), [
    (RecursionError("too deep"), "RecursionError: too deep"),
    (MismatchError("read wrongly"), "read wrongly"),
])
def test_a_reader_that_fails_is_found(fuzz, tmp_path, monkeypatch, suffix, error, message):
    def fail(_path):
        raise error

    number = 8 + list(CASES).index(suffix)
    monkeypatch.setattr(CASES[suffix], "read_damaged", fail)
    result = fuzz("--count", 0, "--readers", 1, "--seed", number)
    assert result.exit_code == 1
    path = tmp_path / f"case-{number}{suffix}"
    assert result.stderr.splitlines()[-1] == (
        f"celosia: Case {number} fails: {message}; its file: {path}; repeat it: celosia fuzz "
        f"--seed {number} --count 0 --readers 1")
    assert path.is_file()


def test_what_is_missing_is_said(fuzz, monkeypatch):
    monkeypatch.setattr(scripts.fuzz.importlib.util, "find_spec", lambda _: None)
    result = fuzz("--count", 1)
    assert result.exit_code == 2
    assert result.stderr == (
        "celosia: Cases are compared with TFLite's reference kernels and ONNX Runtime, not "
        "installed here; install what the tests need: pip install -e '.[test]'\n")
    result = fuzz("--count", 1, "--format", "tflite")
    assert "with TFLite's reference kernels, not installed here" in result.stderr


def test_a_processor_whose_runtime_saturates(fuzz, monkeypatch):
    monkeypatch.setattr(onnx_oracle, "runtime_saturates", lambda: True)
    result = fuzz("--count", 1)
    assert result.exit_code == 2
    assert "saturate at 16 bits on this processor" in result.stderr
    assert fuzz("--count", 1, "--format", "tflite").exit_code == 0


def test_arrays_must_be_equal():
    zero = np.zeros((2, 2), np.float32)
    require_equal("x", np.full_like(zero, np.nan), np.full_like(zero, np.nan))
    other = zero.copy()
    other[1, 0] = 3
    with refuses(MismatchError, "x: 1 of 4 values differ, the first at (1, 0): 3.0, not 0.0"):
        require_equal("x", other, zero)
    with refuses(MismatchError, "x is float32 of shape (2, 2), not float64 of (2, 2)"):
        require_equal("x", zero, zero.astype(float))
    with refuses(MismatchError, "x is float32 of shape (2, 2), not float32 of (4,)"):
        require_equal("x", zero, zero.ravel())


@pytest.mark.parametrize("fault", [
    ValueError("model.onnx: it; mend it"), ModelError("other.onnx", "", "it", "mend it"),
    ModelError("model.onnx", "", "x" * 1000, "mend it")])
def test_refusals_are_one_clear_line(fault):
    refused_in_one_line([ModelError("model.onnx", "node 'x'", "it", "mend it")], "model.onnx")
    with pytest.raises(MismatchError, match="^it is refused with "):
        refused_in_one_line([fault], "model.onnx")


def test_reading_is_bounded():
    with refuses(MismatchError, "Reading has taken more than 0.05 s"), bounded(0.05, "Reading"):
        time.sleep(5)
    with bounded(5, "Reading"):
        pass


@pytest.mark.parametrize("change", [0, 1, 2])
def test_what_is_not_next_to_a_tie_must_be_equal(tmp_path, monkeypatch, change):
    """ONNX Runtime's codes of a convolution, changed where the exact quotient is a whole number."""
    content = onnx_cases.drawn(0)[1]
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    model = read_model(path)
    frames = np.zeros((1, *model.input.shape), model.input.dtype)
    tensors = model.network.run(model.encode(frames))
    node = next(node for node in model.network.nodes if isinstance(node.layer, ConvLayer)
                and node.inputs == (model.network.input,))
    layer, codes = node.layer, tensors[node.output]
    exact = layer.accumulate(tensors[node.inputs[0]]) * np.ldexp(
        layer.multiplier.astype(float), -layer.shift)[:, None, None]
    distance = np.abs(exact - np.floor(exact) - 0.5)
    place = np.unravel_index(np.argmax(distance * (codes < layer.high - 2)), codes.shape)

    def changed(*arguments, **options):
        output, theirs = runtime_tensors(*arguments, **options)
        wrong = theirs[node.output].copy()
        wrong.reshape(codes.shape)[place] += change
        return output, {**theirs, node.output: wrong}

    runtime_tensors = onnx_oracle.runtime_tensors
    monkeypatch.setattr(onnx_oracle, "runtime_tensors", changed)
    if change == 0:
        assert onnx_cases.compare(model, content, frames)[1] > 0
        return
    message = {1: "a code differs by one step", 2: "codes differ, by up to 2"}[change]
    with pytest.raises(MismatchError, match=message):
        onnx_cases.compare(model, content, frames)


@pytest.mark.parametrize(("cases", "index"), [(tflite_cases, 2), (onnx_cases, 3)])
def test_the_sandbox_outlives_what_it_runs(tmp_path, cases, index):
    draw, content = cases.drawn(index)
    path = tmp_path / f"model{cases.SUFFIX}"
    path.write_bytes(content)
    frames = cases.frames_of(draw, read_model(path))
    with Sandbox(cases.RUNTIME) as sandbox:
        assert sandbox.run(content, frames) is not None
        assert sandbox.run(b"nothing", frames) is None
        sandbox._process.kill()
        assert sandbox.run(content, frames) is None
        assert sandbox.run(content, frames) is not None
