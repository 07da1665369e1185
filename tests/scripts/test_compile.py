"""``celosia compile``: a folder from which a host can run the model."""

import hashlib
import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import scripts.generate
from compiler.model import Dequantise, Model, Port
from compiler.onnx_host import Lookup, Quantise, Rearrange, Softmax
from compiler.program import compile_network
from compiler.reader import read_model
from compiler.tflite_host import Requantise, TFLiteSoftmax
from golden.concat import ConcatLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.quantisation import Quantisation
from hdl.config import CONFIGURATIONS
from hdl.isa import Destination
from scripts.hoststeps import described, restored
from scripts.package import Package, description, images
from sim.engine import frame_packets, load_packets, start_packet
from sim.interpreter import Interpreter
from tests.golden.refusal import refuses
from tests.scripts.small_models import IMAGE, convolutions

FILES = {"celosia_registers.h", "coefficients.bin", "manifest.json", "program.bin", "tiny.v",
         "weights.bin"}


@pytest.fixture
def folder(celosia, save, tmp_path):
    """The small model, compiled for the smallest engine."""
    directory = tmp_path / "out"
    result = celosia("compile", save(convolutions()), "--config", "tiny", "-o", directory)
    assert result.exit_code == 0, result.output
    return directory


def test_folder(folder, celosia, tmp_path):
    """All files, whose bytes are those that the manifest tells; the Verilog is `generate`'s."""
    assert {path.name for path in folder.iterdir()} == FILES
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"].keys() == FILES - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert celosia("generate", "--config", "tiny", "-o", tmp_path / "plain").exit_code == 0
    plain = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    assert {name: manifest[name] for name in plain} == plain
    for name in ("tiny.v", "celosia_registers.h"):
        assert (folder / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_two_compilations_give_the_same_bytes(folder, celosia, save, tmp_path):
    again = tmp_path / "again"
    assert celosia("compile", save(convolutions()), "--config", "tiny", "-o", again).exit_code == 0
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def words_of(beats):
    """The 32-bit words of beats."""
    return np.ascontiguousarray(beats[:, :4]).view("<u4").ravel()


def test_packets_are_those_that_fill_the_engine(folder, save):
    program = compile_network(read_model(save(convolutions())).network, CONFIGURATIONS["tiny"])
    package = Package(folder)
    np.testing.assert_array_equal(np.concatenate(package.load_packets()),
                                  words_of(load_packets(program)))
    np.testing.assert_array_equal(package.start_packet(7), words_of(start_packet(0, 7)))
    assert [packet["destination"] for packet in package.manifest["packets"]] == [
        Destination.PROGRAM.name, Destination.WEIGHTS.name, Destination.COEFFICIENTS.name]


def network_with_concatenation(rng):
    """A first layer that is folded, and an output whose channels lie apart."""
    def layer(name, inputs, outputs, **geometry):
        return ConvLayer(
            name=name, weight=rng.integers(-128, 128, (outputs, inputs, 3, 3)),
            bias=rng.integers(-500, 500, outputs), multiplier=np.full(outputs, 2**29),
            shift=np.full(outputs, 39), rounding="half_even", input_zero_point=-7, **geometry)

    nodes = (Node(layer("a", 3, 12, stride=(2, 1), padding=(1, 0, 1, 1)), ("x",), "a"),
             Node(layer("b", 12, 5, padding=(1, 1, 1, 1)), ("a",), "b"),
             Node(ConcatLayer(name="c", inputs=2), ("a", "b"), "c"))
    return Network(input="x", input_shape=(3, 9, 8), input_unsigned=False, nodes=nodes, output="c")


LARGE = CONFIGURATIONS["ecp5-85f"]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("config", [
    LARGE, replace(LARGE, rows=3, columns=6, lanes=3, channels=6)], ids=["8x16", "3x6"])
def test_host_needs_nothing_but_the_folder(tmp_path, config, batch):
    """Frames are folded and packed, and results unpacked, by the manifest alone; what is in
    between, the interpreter does."""
    rng = np.random.default_rng(3)
    network = network_with_concatenation(rng)
    program = compile_network(network, config, batch=batch)
    assert program.fold is not None
    model = Model(
        file="m.onnx", network=network,
        input=Port(name="x", shape=(3, 9, 8), dtype=np.float32, channels_last=False, scale=0.1,
                   zero_point=-7),
        output=Port(name="c", shape=(17, 5, 7), dtype=np.float32, channels_last=False, scale=0.2,
                    zero_point=0),
        host=(Rearrange((17, 35), np.arange(595)[::-1].copy()), Dequantise(0.2, 0),
              Softmax((1,))))
    for file, content in images(program).items():
        (tmp_path / file).write_bytes(content)
    files = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
             for path in tmp_path.iterdir()}
    (tmp_path / "manifest.json").write_text(
        json.dumps({**description(model, program), "files": files}))
    package = Package(tmp_path)
    x = rng.normal(size=(3, 3, 9, 8)).astype(np.float32)
    packets = package.frame_packets(x)
    batches = list(map(program.pack, program.batches(model.encode(x))))
    np.testing.assert_array_equal(np.concatenate(packets), words_of(frame_packets(batches)))
    engine = Interpreter(config)
    engine.load_program(program)
    sent = np.concatenate(engine.run(batches).sent)
    beats = np.pad(sent, ((0, 0), (0, -config.channels % 4))).view("<u4").ravel()
    result = package.results(beats, len(x))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, model.run(x))


@pytest.mark.parametrize("step", [
    Dequantise(0.25, -3), Rearrange((2, 3)), Rearrange((6,), np.arange(6)), Softmax((1, 2)),
    Lookup(np.linspace(0, 1, 256, dtype=np.float32)), Quantise(Quantisation(0.5, 3, True)),
    TFLiteSoftmax(3, 0.125, 1.0), Requantise(Quantisation(0.5, 3), Quantisation(0.25, 7))])
def test_steps_of_the_host_come_back(step):
    again = restored(json.loads(json.dumps(described(step))))
    assert type(again) is type(step)
    dtype = {Quantise: np.float32, TFLiteSoftmax: np.int8, Requantise: np.int8}
    values = np.arange(6, dtype=dtype.get(type(step), np.uint8))
    values = values.reshape(1, 2, 3)
    np.testing.assert_array_equal(again(values), step(values))


def test_steps_that_nobody_knows():
    with refuses(ValueError, "'Popen' with fields args is no step of the host; compile the model "
                             "again"):
        restored({"step": "Popen", "args": "true"})
    with refuses(ValueError, "'Softmax' with fields axis is no step of the host; compile the model "
                             "again"):
        restored({"step": "Softmax", "axis": 1})


def test_a_folder_that_was_changed(folder):
    (folder / "weights.bin").write_bytes(b"other")
    with refuses(ValueError, f"{folder}/weights.bin: its SHA-256 is not the one in the manifest; "
                             "compile the model again"):
        Package(folder)
    (folder / "weights.bin").unlink()
    with refuses(ValueError, f"{folder}/weights.bin: No such file or directory"):
        Package(folder)
    (folder / "manifest.json").write_text("{}")
    with refuses(ValueError, f"{folder}: its manifest is not of format 1; compile the model "
                             "again"):
        Package(folder)


def test_layout_of_the_input_is_the_models(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"] == "small.tflite"
    assert manifest["input"]["shape"] == list(IMAGE)
    assert manifest["input"]["channels_last"] is True
    assert (manifest["input"]["dtype"], manifest["input"]["zero_point"]) == ("int8", -3)
    assert [layer["op"] for layer in manifest["layers"]] == ["conv", "conv"]


def test_what_does_not_fit_writes_nothing(refused, save, tmp_path):
    line = refused("compile", save(convolutions(add=True)), "--config", "tiny", "-o",
                   tmp_path / "out")
    assert line.startswith("small.tflite: Layer add_2: ")
    assert not (tmp_path / "out").exists()


def test_verilog_that_cannot_be_made_writes_nothing(refused, save, tmp_path, monkeypatch):
    def fail(_config, control):
        raise ValueError(f"No engine with {control}")

    monkeypatch.setattr(scripts.generate, "engine", fail)
    monkeypatch.setattr(scripts.generate, "kept", lambda _key, make: make())
    line = refused("compile", save(convolutions()), "--config", "tiny", "-o", tmp_path / "out")
    assert line == "No engine with axi"
    assert not (tmp_path / "out").exists()


def test_a_yosys_that_fails_is_a_failed_check(celosia, save, tmp_path, monkeypatch):
    def fail(_component):
        raise subprocess.CalledProcessError(1, "yosys", stderr="first\nno memory\n")

    monkeypatch.setattr(scripts.generate, "verilog_of", fail)
    monkeypatch.setattr(scripts.generate, "kept", lambda _key, make: make())
    result = celosia("compile", save(convolutions()), "--config", "tiny", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "celosia: Yosys cannot write the Verilog of tiny: no memory; it takes some GB of address "
        "space: raise the limit")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_first(refused, tmp_path):
    (tmp_path / "file").touch()
    assert refused("compile", tmp_path / "no.tflite", "-o", tmp_path / "file") == (
        f"{tmp_path}/file: Not a directory")
