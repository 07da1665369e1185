"""A board that is simulated: its serial line ends in a pseudo-terminal of this machine."""

import json
import multiprocessing
import os
import time
from contextlib import contextmanager
from pathlib import Path

from hdl.boardtop import BoardTop
from hdl.clocks import ecp5_pll
from hdl.config import load
from sim.bench import run_bench

__all__ = ["DIVISOR", "simulated_board"]


#: Cycles of a bit: few, because every byte has to be simulated.
DIVISOR = 4
#: Seconds that a build may take.
_BUILD = 200


@contextmanager
def simulated_board(config, directory, *, seed=1, rate=0.0):
    """Yield the name of a serial port, behind which is a board with that configuration's engine.

    The board and its line end with the block.

    Parameters
    ----------
    config : str
    directory : path
        For files of the run: ``line.json`` says at the end what happened to the bytes.
    seed, rate : int, float
        Of faults: each byte, either way, is lost, repeated, or changed with that probability each.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=_simulate, args=(config, str(directory), seed, rate))
    process.start()
    port, stop = Path(directory, "port"), Path(directory, "stop")
    try:
        end = time.monotonic() + _BUILD
        while not port.exists():
            assert process.is_alive(), "the simulation has ended"
            assert time.monotonic() < end, "the simulation does not begin"
            time.sleep(0.05)
        yield port.read_text(encoding="utf-8")
    finally:
        stop.touch()
        process.join(30)
        if process.is_alive():
            process.kill()
    assert process.exitcode == 0


def _simulate(config, directory, seed, rate):
    os.environ["CELOSIA_LINE"] = json.dumps({"divisor": DIVISOR, "seed": seed, "rate": rate})
    top = BoardTop(load(config), pll=ecp5_pll(25, 50), divisor=DIVISOR)
    run_bench(top, "tests.cosim.board_bench", directory)
