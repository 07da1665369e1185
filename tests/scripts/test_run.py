"""``celosia run``: golden and the simulated engine, arrays in and out, reports."""

import json
import os

import numpy as np
import pytest

import scripts.run
from compiler.calibrate import read_float
from compiler.program import compile_network
from compiler.reader import read_model
from hdl.config import CONFIGURATIONS
from scripts.digits import float_model_path, load_images, model_path
from scripts.files import check_writable, write_whole
from scripts.run import _parts
from sim.engine import EngineSimulation
from tests.golden.tflite_models import run_reference
from tests.scripts.small_models import IMAGE, convolutions

KEYS = ["model", "config", "engine", "rows", "columns", "frames", "cycles", "macs", "utilisation",
        "exact", "cycles_per_second", "layers"]


@pytest.fixture
def frames(tmp_path):
    codes = np.random.default_rng(2).integers(-128, 128, (3, *IMAGE)).astype(np.int8)
    np.save(tmp_path / "x.npy", codes)
    return codes


@pytest.fixture
def run(celosia, save, tmp_path):
    """Run the small model on ``x.npy``."""
    path = save(convolutions())

    def call(*arguments):
        return celosia("run", path, "--config", "tiny", "--input", tmp_path / "x.npy", "--output",
                       tmp_path / "y.npy", "--report", tmp_path / "run.json", *arguments)
    return call


def reference(codes):
    return np.concatenate([run_reference(convolutions(), frame[None]) for frame in codes])


def test_golden_gives_what_tflite_gives(run, frames, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), reference(frames))
    assert result.stdout == f"{tmp_path}/y.npy: results of 3 frames\n"
    figures = json.loads((tmp_path / "run.json").read_text())
    assert list(figures)[:len(KEYS)] == KEYS
    assert (figures["engine"], figures["frames"], figures["macs"]) == ("golden", 3, 1152)
    for key in ("cycles", "utilisation", "exact", "cycles_per_second", "compute_cycles", "period"):
        assert figures[key] is None
    assert [layer["cycles"] for layer in figures["layers"]] == [None, None]
    assert all(layer["predicted_cycles"] > 0 for layer in figures["layers"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_engine_gives_what_tflite_gives(run, frames, tmp_path, count):
    np.save(tmp_path / "x.npy", frames[:count])
    result = run("--engine", "rtl")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), reference(frames[:count]))
    assert "The engine equals golden, bit for bit." in result.stdout
    figures = json.loads((tmp_path / "run.json").read_text())
    assert list(figures)[:len(KEYS)] == KEYS
    assert (figures["model"], figures["config"]) == ("small.tflite", "tiny")
    assert (figures["rows"], figures["columns"], figures["frames"]) == (2, 2, count)
    assert figures["exact"] is True
    assert figures["utilisation"] == 1152 / (figures["cycles"] * 4)
    assert figures["cycles_per_second"] > 0
    layers = figures["layers"]
    assert [layer["op"] for layer in layers] == ["conv", "conv"]
    assert sum(layer["macs"] for layer in layers) == figures["macs"]
    for layer in layers:
        assert layer["cycles"] == layer["predicted_cycles"]
    model = read_model(tmp_path / "small.tflite")
    _, timing = EngineSimulation(CONFIGURATIONS["tiny"]).run(
        compile_network(model.network, CONFIGURATIONS["tiny"]), model.encode(frames[:1]))
    assert figures["cycles"] == timing.stopped > timing.done[-1, -1]
    assert figures["compute_cycles"] == timing.stopped - timing.begun[0, 0]
    assert figures["compute_cycles"] < figures["cycles"]
    if count == 1:
        assert figures["period"] is None
    else:
        assert sum(layer["cycles"] for layer in layers) <= figures["period"] < figures["cycles"]


def test_an_engine_that_is_wrong_is_found(run, frames, tmp_path, monkeypatch):
    """Exit status 1, and what the engine made is there to be looked at."""
    class Wrong(scripts.run.EngineSimulation):
        def run(self, program, codes, **options):
            made, timing = super().run(program, codes, **options)
            made[0, 1, 2, 2] ^= 1
            return made, timing

    monkeypatch.setattr(scripts.run, "EngineSimulation", Wrong)
    monkeypatch.setattr(scripts.run, "FRAMES", 1)
    np.save(tmp_path / "x.npy", frames[:1])
    result = run("--engine", "rtl")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == ("celosia: small.tflite: 1 of 45 codes of the engine "
                                              "differ from the golden model's")
    assert np.count_nonzero(np.load(tmp_path / "y.npy") != reference(frames[:1])) == 1
    assert json.loads((tmp_path / "run.json").read_text())["exact"] is False


@pytest.mark.usefixtures("frames")
def test_an_engine_that_hangs_is_a_failed_check(run, monkeypatch):
    def hang(*_arguments, **_options):
        raise scripts.run.SimulationError("nothing moved in 7 cycles")

    monkeypatch.setattr(scripts.run.EngineSimulation, "run", hang)
    result = run("--engine", "rtl")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "celosia: small.tflite: the simulated engine of tiny failed: nothing moved in 7 cycles")


@pytest.mark.parametrize("count", [*range(1, 12), 50])
def test_parts_cover_all_frames_once_and_tell_the_period(count):
    parts = _parts(count)
    assert [index for _, fresh, stop in parts for index in range(fresh, stop)] == [*range(count)]
    assert parts[0] == (0, 0, 1)
    assert count == 1 or parts[-1][2] - parts[-1][0] >= 2


def test_golden_runs_what_does_not_fit(celosia, save, frames, tmp_path):
    """Its results do not depend on the configuration; cycles are not predicted then."""
    path = save(convolutions(add=True))
    call = ("run", path, "--config", "tiny", "--input", tmp_path / "x.npy", "--output",
            tmp_path / "y.npy", "--report", tmp_path / "run.json")
    result = celosia(*call)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), read_model(path).run(frames))
    assert json.loads((tmp_path / "run.json").read_text())["layers"] == []
    assert "does not fit tiny" in result.stdout


def test_float_model_is_quantised_with_frames(celosia, tmp_path):
    images, _ = load_images()
    np.save(tmp_path / "c.npy", images[::4])
    np.save(tmp_path / "x.npy", images[:3])
    result = celosia("run", float_model_path(), "--calibration", tmp_path / "c.npy", "--input",
                     tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "Quantising digits_float.onnx with 50 frames"
    made = np.load(tmp_path / "y.npy")
    assert made.dtype == np.float32
    np.testing.assert_array_equal(
        made, read_float(float_model_path(), images[::4]).run(images[:3]))


def test_calibration_is_for_float_onnx_models(refused, save, tmp_path):
    np.save(tmp_path / "c.npy", np.zeros((1, 1, 28, 28), np.float32))
    files = ("--calibration", tmp_path / "c.npy", "--input", tmp_path / "c.npy", "--output",
             tmp_path / "y.npy")
    assert refused("run", save(convolutions()), *files) == (
        "small.tflite: a TFLite model is quantised already; calibrate float ONNX models only")
    assert refused("run", model_path(), *files) == (
        "digits_int8.onnx: the model is quantised already; leave out the calibration images")
    assert refused("run", float_model_path(), "--input", tmp_path / "c.npy", "--output",
                   tmp_path / "y.npy").startswith("digits_float.onnx: node 'conv1' (Conv): ")


@pytest.mark.usefixtures("frames")
def test_engine_refuses_what_does_not_fit(refused, save, tmp_path):
    line = refused("run", save(convolutions(add=True)), "--config", "tiny", "--input",
                   tmp_path / "x.npy", "--output", tmp_path / "y.npy", "--engine", "rtl")
    assert line.startswith("small.tflite: Layer add_2: ")
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros((1, *IMAGE)), "its type is float64, and that of input '' is int8; "
                            "save x.astype(numpy.int8)"),
    (np.zeros(IMAGE, np.int8), "its shape is (6, 5, 3), and that of input '' is (N, 6, 5, 3); "
                               "save x[None]"),
])
def test_frames_of_another_kind_are_refused(refused, save, tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    line = refused("run", save(convolutions()), "--config", "tiny", "--input", tmp_path / "x.npy",
                   "--output", tmp_path / "y.npy")
    assert line == f"{tmp_path}/x.npy: {message}"
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize("option", ["--output", "--report"])
@pytest.mark.usefixtures("frames")
def test_files_that_cannot_be_written_are_refused_first(refused, save, tmp_path, option):
    (tmp_path / "file").touch()
    targets = {"--output": tmp_path / "y.npy", "--report": tmp_path / "run.json",
               option: tmp_path / "file" / "y"}
    line = refused("run", save(convolutions()), "--config", "tiny", "--input", tmp_path / "x.npy",
                   *(text for pair in targets.items() for text in pair))
    assert line == f"{tmp_path}/file: Not a directory"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "small.tflite", "x.npy"}


@pytest.mark.parametrize("option", ["--output", "--report"])
@pytest.mark.usefixtures("frames")
def test_what_is_no_plain_file_is_not_replaced(refused, save, tmp_path, option):
    """To a superuser a device like /dev/null could be."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    targets = {"--output": tmp_path / "y.npy", option: pipe}
    line = refused("run", save(convolutions()), "--config", "tiny", "--input", tmp_path / "x.npy",
                   *(text for pair in targets.items() for text in pair))
    assert line == f"{pipe}: Not a plain file"
    with pytest.raises(OSError, match="Not a plain file"):
        write_whole(pipe, "text")
    assert pipe.is_fifo()
    assert not (tmp_path / "y.npy").exists()


def test_folders_without_permission_are_refused(tmp_path, monkeypatch):
    """Of the nearest folder that is there; to a superuser all are open."""
    asked = []
    monkeypatch.setattr("os.access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(PermissionError) as error:
        check_writable(None, tmp_path / "a" / "b" / "y.npy")
    assert error.value.filename == str(tmp_path)
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]
