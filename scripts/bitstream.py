"""Bitstreams of boards."""

from pathlib import Path

from scripts.boards import BAUD
from scripts.console import running
from scripts.synth import synthesise

__all__ = ["PACKERS", "bitstream"]


#: Tool that packs a bitstream, and how its file ends, by family.
PACKERS = {"ecp5": ("ecppack", "bit"), "ice40": ("icepack", "bin")}


def bitstream(board, config, directory, *, toolchain, seeds=1, mhz=None, jobs=None, resume=False):
    """Make the bitstream of an engine for a board; return the report.

    That of :func:`scripts.synth.synthesise`, with ``board``, ``clock_mhz``, ``baud``, and the path
    of the ``bitstream``, which is made of the fastest seed, or None if that is slower than the
    clock.

    Parameters
    ----------
    board : Board
    config : Configuration
    directory : path
        Where the files go.
    toolchain : Toolchain
    seeds : int, at least 1
    mhz : float, optional
        Another clock than the board's.
    jobs, resume
        As there.

    Raises
    ------
    ValueError
        If configuration, board and clock do not go together.
    CheckFailed, Refused
        As there.
    """
    directory = Path(directory)
    device = board.device_for(config)
    packer, ending = PACKERS[device.family]
    toolchain.locate(packer)
    top = board.top(config, mhz)
    clock = float(top.pll.mhz)
    figures = synthesise(top, config, directory, toolchain=toolchain, seeds=seeds, target=clock,
                         jobs=jobs, resume=resume, board=board)
    fastest = max(figures["fmax_mhz_seeds"])
    path = directory / f"{board.name}.{ending}"
    figures |= {"board": board.name, "clock_mhz": clock, "baud": BAUD, "bitstream": None}
    if fastest >= clock:
        seed = figures["fmax_mhz_seeds"].index(fastest) + 1
        with running(f"Packing {path.name}"):
            toolchain.run(packer, [*board.pack, f"nextpnr-{seed}.bits", path.name],
                          log=directory / f"{packer}.log")
        figures["bitstream"] = str(path)
    return figures
