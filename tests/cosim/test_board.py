"""The host's program with a simulated board, and a bad line between them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from compiler.program import compile_network
from compiler.reader import read_model
from hdl.config import load
from hdl.isa import Destination
from scripts.board import Board, BoardError
from scripts.cli import main
from scripts.link import Link
from scripts.serialport import opened
from sim.engine import frame_packets
from tests.cosim.simulated_board import simulated_board
from tests.golden.tflite_models import run_reference
from tests.scripts.small_models import IMAGE, convolutions

#: Of each fault, for a byte.
RATE = 0.0007
#: What the host waits for follows from it; the simulation is slower than a line.
BAUD = 50_000


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(convolutions())
    return path


@pytest.fixture(scope="module")
def good_line(tmp_path_factory):
    """A board at a line without faults, for several tests."""
    with simulated_board("tiny", tmp_path_factory.mktemp("board")) as port:
        yield port


def run(model, port, folder, frames, config="tiny"):
    codes = np.random.default_rng(2).integers(-128, 128, (frames, *IMAGE)).astype(np.int8)
    np.save(folder / "x.npy", codes)
    result = CliRunner().invoke(main, [
        "run", str(model), "--config", config, "--input", str(folder / "x.npy"), "--output",
        str(folder / "y.npy"), "--engine", "board", "--port", port, "--baud", str(BAUD),
        "--report", str(folder / "run.json")])
    return codes, result


def check(codes, result, folder):
    assert result.exit_code == 0, result.output
    expected = np.concatenate([run_reference(convolutions(), frame[None]) for frame in codes])
    np.testing.assert_array_equal(np.load(folder / "y.npy"), expected)
    assert "The engine equals golden, bit for bit." in result.stdout
    assert json.loads((folder / "run.json").read_text())["exact"] is True


@pytest.mark.parametrize("seed", [1, 2])
def test_inference_over_a_line_that_loses_repeats_and_changes_bytes(model, tmp_path, seed):
    print(f"faults of seed {seed}")
    with simulated_board("tiny", tmp_path, seed=seed, rate=RATE) as port:
        codes, result = run(model, port, tmp_path, 6)
        check(codes, result, tmp_path)
    faults = json.loads((tmp_path / "line.json").read_text())
    assert sum(faults.values()) - faults["passed"] >= 3, faults
    assert "what was missing was repeated" in result.stdout


def test_a_session_that_was_cut_off_leaves_nothing_behind(model, good_line, tmp_path):
    """In the middle of a packet that goes in, and of one that comes out, of a running program."""
    program = compile_network(read_model(model).network, load("tiny"))
    codes = read_model(model).encode(np.zeros((1, *IMAGE), np.int8))
    frame = np.ascontiguousarray(frame_packets([program.pack(codes)])[:, :4]).view("<u4")[:, 0]
    for cut in ("loading", "frame", "results"):
        with opened(good_line, BAUD) as line:
            board = Board(Link(line, baud=BAUD))
            board.open(program.config)
            board.reset()
            board.load(program, advance=lambda: None)
            if cut == "loading":
                board.link.send([Destination.WEIGHTS, 10, 1], last=False)
            else:
                board.link.send([Destination.START, 2], last=True)
            if cut == "frame":
                board.link.send(frame[:5], last=False)
            if cut == "results":
                assert board.link.send(frame, last=True) == len(frame)
                while not len(board.link.receive(2)[0]):
                    pass
        check(*run(model, good_line, tmp_path, 1), tmp_path)


def test_an_engine_of_another_configuration_is_refused(model, good_line, tmp_path):
    _, result = run(model, good_line, tmp_path, 1, config="icebreaker")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"celosia: {good_line}: its engine is not that of icebreaker: rows 2, not 4; columns 2, "
        "not 4; channels 2, not 4; activation_words 512, not 16384; weight_words 512, not 16384; "
        "coefficient_words 64, not 256; program_words 256, not 512; "
        "give --config as when the bitstream was built")
    assert not (tmp_path / "y.npy").exists()


def test_a_fault_of_the_engine_is_told(model, good_line):
    program = compile_network(read_model(model).network, load("tiny"))
    with opened(good_line, BAUD) as line:
        board = Board(Link(line, baud=BAUD))
        board.open(program.config)
        board.reset()
        board.link.send([9, 9, 9], last=True)
        with pytest.raises(BoardError, match="its engine stopped: ILLEGAL_PACKET. A packet has"):
            board.load(program, advance=lambda: None)
