"""Synthesis, placement and routing of a configuration's engine, with an honest report."""

import json
from functools import partial
from pathlib import Path
from time import monotonic

from hdl.pipeline import ConvPipeline
from hdl.scan import ScanWrapper
from hdl.top import CONTROLS
from scripts.console import CheckFailed, running
from scripts.devices import device_of
from scripts.floorplan import DSP, RAM, plan, plan_memories, read_sites, sites
from scripts.generate import TOP, verilog_of
from scripts.netlist import cells_of, open_carries, pin, trim
from scripts.refine import ROUNDS, refine
from scripts.report import ceiling, cells, critical_path, fmax, shortage, summary, totals
from scripts.resume import digest, is_current, keep_key
from scripts.shorten import shorten

__all__ = ["PARTS", "PREPARE", "map_cells", "synthesise"]


#: What can be synthesised of a configuration: the engine with its AXI ports, or its core alone,
#: which also fits devices that are too small for the rest.
PARTS = {"engine": CONTROLS["axi"], "pipeline": ConvPipeline}
#: What of this package decides what becomes of Verilog.
_SOURCES = ("devices.py", "floorplan.py", "netlist.py", "shorten.py", "synth.py",
            "refine/costs.py", "refine/delays.py", "refine/handover.py", "refine/legaliser.py",
            "refine/moves.py", "refine/rounds.py", "refine/slices.py", "refine/timing.py")

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
PREPARE = {"ecp5": (shorten, trim), "nexus": (open_carries,)}

#: nextpnr's options for a file of pins, and for what a bitstream is packed from, by family.
CONSTRAINTS = {"ecp5": "--lpf {}", "ice40": "--pcf {}", "nexus": "--pdc {}",
               "gowin": "--vopt cst={}"}
BITS = {"ecp5": "--textcfg", "ice40": "--asc"}

#: How nextpnr is to place a design, by family. On ECP5 its placer by electrostatics keeps together
#: what belongs together better than its usual one, after which routing of the larger arrays did not
#: come to an end.
_PLACER = {"ecp5": ("--placer", "static")}


#: A round of refinement may route for this part of the time that placing and routing took, and for
#: so many seconds in any case. Most take a quarter; and some would never be done, since nets for
#: which there is but one way between fixed ones take it from each other.
_PATIENCE, _AT_LEAST = 0.4, 60


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
    pinned = _netlist(device, config, directory, toolchain, key=key, resume=resume)
    asked = max(device.ask, target or 0)
    if device.family != "ecp5" or board:
        rounds = 0
    with running(f"Placing and routing {config.name} with {device.router} for {device.name}",
                 steps=seeds * (1 + rounds)) as advance:
        runs = _place(device, config, directory, toolchain, seeds=range(first, first + seeds),
                      asked=asked, advance=advance, board=board, jobs=jobs, key=key,
                      resume=resume, rounds=rounds)

    slowest = min(runs, key=fmax)
    counts = totals(device, runs[0], _log(directory, first).read_text(encoding="utf-8"))
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
        "made_from": key,
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


def _log(directory, seed):
    return directory / f"nextpnr-{seed}.log"


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


def _place(device, config, directory, toolchain, *, seeds, asked, advance, board, jobs, key,
           resume, rounds):
    """Place and route with every seed whose report may not be kept; return nextpnr's reports, or
    what refinement made of them."""
    context = ["--out-of-context"] if device.out_of_context else ["--pcf-allow-unconstrained"]
    pins = board.constraints() if board else device.pins
    if pins:
        (directory / "pins").write_text(pins, encoding="utf-8")
        context = CONSTRAINTS[device.family].format("pins").split()
    common = [*device.place, *_PLACER.get(device.family, ()), *context, "--json", "netlist.json"]

    def explain(log):
        lacking = shortage(log)
        return lacking and f"{config.name} does not fit {device.name}: {lacking}"

    def pack():
        # nextpnr looks for places for minutes, or for ever, even if there are not as many as cells.
        log, arguments = directory / "pack.log", [*common, "--pack-only"]
        own = digest(key, pins, *arguments)
        if resume and is_current(log, own):
            return
        toolchain.run(device.router, arguments, log=log, explain=explain)
        reason = explain(log.read_text(encoding="utf-8"))
        if reason:
            raise CheckFailed(f"{reason}; log: {log}")
        keep_key(log, own)

    def job(seed):
        report, bits = directory / f"nextpnr-{seed}.json", directory / f"nextpnr-{seed}.bits"
        files = directory / f"routed-{seed}.json", directory / f"routed-{seed}.sdf"
        asking = ["--freq", str(asked), "--timing-allow-fail"]
        arguments = [*common, "--seed", str(seed), *asking, "--report", report.name]
        writing = ["--write", files[0].name, "--sdf", files[1].name]
        if board:
            arguments += [BITS[device.family], bits.name]
        own = digest(key, pins, str(rounds), *arguments)
        if not (resume and is_current(report, own) and (bits.exists() or not board)):
            report.unlink(missing_ok=True)
            begin = monotonic()
            toolchain.run(device.router, [*arguments, *writing] if rounds else arguments,
                          log=_log(directory, seed), explain=explain)
            took = monotonic() - begin
            advance()
            if rounds and report.exists():
                routing = [*device.place, *context, "--no-pack", "--json", files[0].name,
                           *writing]
                _refine(report, files, advance=advance, rounds=rounds,
                        rams=read_sites(directory)[RAM],
                        route=partial(toolchain.run, device.router, routing,
                                      log=directory / f"refine-{seed}.log",
                                      limit=max(took * _PATIENCE, _AT_LEAST)))
            keep_key(report, own)
        else:
            for _ in range(1 + rounds):
                advance()

    pack()
    toolchain.run_all([lambda seed=seed: job(seed) for seed in seeds], jobs)
    return [json.loads((directory / f"nextpnr-{seed}.json").read_text(encoding="utf-8"))
            for seed in seeds]


def _refine(report_path, files, *, rounds, **options):
    """Refine the routed design ``files``; its report becomes that of the best round, and there is
    none if all is being stopped."""
    report = json.loads(report_path.read_text(encoding="utf-8"))
    report_path.unlink()
    if len(report["fmax"]) == 1:
        report = refine(report, files, rounds=rounds, **options)
    if report:
        report_path.write_text(json.dumps(report), encoding="utf-8")
    for path in files:
        path.unlink(missing_ok=True)
