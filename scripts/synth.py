"""Synthesis, placement and routing of a configuration's engine, with an honest report."""

import json
from pathlib import Path

from hdl.pipeline import ConvPipeline
from hdl.scan import ScanWrapper
from hdl.top import CONTROLS
from scripts.console import running
from scripts.devices import device_of
from scripts.floorplan import DSP, RAM, plan, plan_memories, sites
from scripts.generate import TOP, verilog_of
from scripts.netlist import cells_of, enable_locally, open_carries, pin, repeat_addresses, trim
from scripts.placing import Placer, log_of
from scripts.refine import ROUNDS
from scripts.report import ceiling, cells, critical_path, fmax, summary, totals
from scripts.resume import digest, is_current, keep_key
from scripts.shorten import shorten

__all__ = ["PARTS", "PREPARE", "map_cells", "synthesise"]


#: What can be synthesised of a configuration: the engine with its AXI ports, or its core alone,
#: which also fits devices that are too small for the rest.
PARTS = {"engine": CONTROLS["axi"], "pipeline": ConvPipeline}
#: What of this package decides what becomes of Verilog, and what of a design that is routed.
_SOURCES = "devices.py", "floorplan.py", "netlist.py", "shorten.py", "synth.py"
_REFINING = ("placing.py", "refine/costs.py", "refine/delays.py", "refine/handover.py",
             "refine/legaliser.py", "refine/moves.py", "refine/rounds.py", "refine/slices.py",
             "refine/timing.py")

#: Yosys commands after which short counters and comparisons are gates. They would become carry
#: chains, which take a wire more on the way from what is before to what is behind, since no logic
#: can be merged with them. Widths are known once constants have been.
_SHORT = ("opt; wreduce; opt_clean; "
          "select -set short t:$add t:$sub %u r:Y_WIDTH<=5 %i r:B_WIDTH<=1 %i "
          "t:$lt t:$le t:$gt t:$ge %u %u %u r:A_WIDTH<=6 %i r:B_WIDTH<=6 %i %u; "
          "techmap @short; opt_clean")

#: Yosys commands that map to tables, where not its own for the family. On ECP5 a wire takes more
#: than Yosys supposes, and logic that becomes flatter between two passes of mapping leaves far
#: fewer paths through four tables, for hardly more of them.
_TABLES = {"ecp5": 'abc9 -W 1000 -script "+&scorr;,&sweep;,&if,{W},{D};,&st;,&syn2;,'
                   '&if,{W},{D},{R};,&mfs"; clean'}

#: What is done to a mapped netlist, by family.
PREPARE = {"ecp5": (shorten, trim, repeat_addresses, enable_locally), "nexus": (open_carries,)}


def synthesise(component, config, directory, *, toolchain, seeds=1, first=1, target=None,
               jobs=None, resume=False, board=None, rounds=ROUNDS):
    """Place and route ``component`` on the device of ``config``; return the report.

    All files of the run are kept in ``directory``: ``design.v``, ``netlist.json``, and for each
    tool and seed its log and report.

    Parameters
    ----------
    component : wiring.Component
        Design with one clock domain.
    config : Configuration
        Names the device, and the multipliers that peak throughput counts.
    directory : path
        Where the files go.
    toolchain : Toolchain
        Where the tools come from.
    seeds : int, at least 1
        Placements to try.
    first : int, at least 1
        Seed of the first; each of the others has the seed after.
    target : float, optional
        MHz to ask nextpnr for, if more than what the device's table asks for.
    jobs : int, optional
        Placements at a time; by default as many as there are cores.
    resume : bool
        Whether to take a netlist, and placements, that are in ``directory`` already and were made
        from the same.
    board : Board, optional
        Whose pins and device the design is for; its bits are then in ``nextpnr-SEED.bits``.
    rounds : int
        Rounds of refinement of each placement, on ECP5 and without a board.

    Raises
    ------
    ValueError
        If the device is not known.
    Refused
        If a tool is missing.
    CheckFailed
        If a tool fails, or the design does not fit or has nothing to time.
    """
    device = board.device_for(config) if board else device_of(config)
    for tool in ("yosys", device.router):
        toolchain.locate(tool)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    wrapper = None if board or device.out_of_context else ScanWrapper(block=component)

    with running("Starting the tools (their first run compiles them, for up to 30 s)"):
        versions = {tool: toolchain.version(tool) for tool in ("yosys", device.router)}
    with running("Generating Verilog"):
        verilog = verilog_of(wrapper or component)
        (directory / "design.v").write_text(verilog, encoding="utf-8")
    key = digest(verilog, repr((config, versions)), *map(_source, _SOURCES))
    made_from = digest(key, *map(_source, _REFINING))
    pinned = _netlist(device, config, directory, toolchain, key=key, resume=resume)
    asked = max(device.ask, target or 0)
    if device.family != "ecp5" or board:
        rounds = 0
    with running(f"Placing and routing {config.name} with {device.router} for {device.name}",
                 steps=seeds * (1 + rounds)) as advance:
        placer = Placer(device, config, directory, toolchain, asked=asked, resume=resume,
                        board=board, rounds=rounds, netlist_key=key, report_key=made_from,
                        advance=advance)
        runs = placer.run(range(first, first + seeds), jobs)

    slowest = min(runs, key=fmax)
    counts = totals(device, runs[0], log_of(directory, first).read_text(encoding="utf-8"))
    return {
        **summary(config, device, [fmax(run) for run in runs], counts),
        "fmax_mhz_routed": [round(fmax(run), 2) for run in runs],
        "ceiling_mhz": ceiling(device, counts),
        "refined": [run.get("refined") for run in runs],
        "asked_mhz": asked,
        "pinned": pinned,
        "wrapper": wrapper and {"lut": wrapper.gates, "ff": wrapper.registers},
        "cells": cells(runs[0]),
        "critical_path": {"seed": first + runs.index(slowest), **critical_path(slowest)},
        "tools": versions,
        "made_from": made_from,
    }


def _source(name):
    return (Path(__file__).parent / name).read_bytes()


def _netlist(device, config, directory, toolchain, *, key, resume):
    """Make ``netlist.json``, unless it may be kept; return how many cells of it have places."""
    path = directory / "netlist.json"
    if resume and is_current(path, key):
        modules = json.loads(path.read_text(encoding="utf-8"))["modules"]
        return sum("BEL" in cell["attributes"] for module in modules.values()
                   for cell in module["cells"].values())
    path.unlink(missing_ok=True)
    with running(f"Synthesising {config.name} with Yosys"):
        map_cells(device, config, directory, toolchain)
    pinned = _prepare(device, config, directory, toolchain)
    keep_key(path, key)
    return pinned


def map_cells(device, config, directory, toolchain, *, flatten=True):
    """Map ``design.v`` in ``directory`` to the device's cells: ``netlist.json``.

    ``flatten`` says whether it becomes one module, as it is placed, or keeps its hierarchy.
    """
    # Whole nets and their single bits may end up with one name in ABC9, which Yosys then cannot
    # read back (its issue 4349); nets of one bit cannot.
    synthesis = f"{device.synthesis} -top {TOP}{'' if flatten else ' -noflatten'}"
    # Where the design has DSP blocks of its own, Yosys (0.69) would take them for products of its
    # finding, and clear their modes and registers.
    if device.family == "ice40" and config.multiplier == "portable":
        synthesis += " -dsp"
    # In a module by itself no longer path says which tables may be saved.
    tables = _TABLES.get(device.family) if flatten else None
    script = (f"read_verilog design.v; {synthesis} -run :coarse; "
              f"proc; {'flatten; ' if flatten else ''}{_SHORT}; "
              f"{synthesis} -run coarse:map_ffs; {device.flip_flops}; "
              f"{synthesis} -run map_ffs:map_luts; splitnets; "
              f"{tables or f'{synthesis} -run map_luts:map_cells'}; "
              f"{synthesis} -run map_cells: -json netlist.json")
    toolchain.run("yosys", ["-p", script], log=directory / "yosys.log")


def _prepare(device, config, directory, toolchain):
    """Make of ``netlist.json`` what nextpnr takes, and give its blocks places of the floorplan;
    return how many."""
    steps = PREPARE.get(device.family)
    if not steps:
        return 0
    path = directory / "netlist.json"
    netlist = json.loads(path.read_text(encoding="utf-8"))
    for step in steps:
        step(netlist)
    # Refinement reads the sites too.
    places = sites(device, directory, toolchain) if device.family == "ecp5" else {}
    pinned = 0
    if config.family == "ecp5":
        pinned = pin(netlist, plan(config, places[DSP])
                     | plan_memories(cells_of(netlist, RAM), places[RAM]))
    path.write_text(json.dumps(netlist), encoding="utf-8")
    return pinned
