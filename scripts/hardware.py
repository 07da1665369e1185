"""``celosia generate`` and ``celosia synth``: Verilog of a configuration, placed and routed."""

import click

from hdl.config import load
from hdl.top import CONTROLS
from scripts.bitstream import bitstream
from scripts.boards import BOARDS
from scripts.console import CheckFailed, output, running
from scripts.devices import device_of
from scripts.files import write_whole
from scripts.generate import generate as write_engine
from scripts.options import (
    config_option,
    directory_option,
    jobs_option,
    refusing,
    report_option,
    writing,
)
from scripts.refine import ROUNDS
from scripts.report import json_of, table
from scripts.synth import PARTS, synthesise
from scripts.tools import Toolchain
from scripts.units import by_unit, map_units
from scripts.units import table as unit_table

__all__ = ["generate", "synth"]


@click.command(epilog="""
\b
Examples:
  celosia generate --config tiny -o build/tiny
  celosia generate --config tiny --control wishbone -o build/tiny
  celosia generate --config my-array.toml -o build/mine
""")
@config_option(required=True)
@directory_option
@click.option("--control", default="axi", show_default=True, type=click.Choice(list(CONTROLS)),
              help="Bus of the registers: AXI4-Lite or Wishbone B4.")
def generate(config, directory, control):
    """Write the engine's Verilog, the C header of its registers, and a manifest.

    DIR receives NAME.v, celosia_registers.h and manifest.json: the configuration, the project's
    version, the SHA-256 of the Verilog, its top module and its ports. The Verilog passes
    Verilator's lint first, and the same configuration gives the same bytes on every machine.
    """
    with writing(), running(f"Generating and linting {config.name}"):
        contents = write_engine(config, control, directory)
    click.echo(f"{directory / contents['verilog']}: top module {contents['top']}, "
               f"{len(contents['ports'])} ports")


@click.command(epilog="""
\b
Examples:
  celosia synth --config ecp5-85f -o build/ecp5 --seeds 5 --report build/ecp5.json
  celosia synth --config icebreaker --part pipeline -o build/icebreaker
  celosia synth --config tiny --part pipeline -o build/tiny --target 20
  celosia synth --config ecp5-85f --units -o build/units
  celosia synth --board ulx3s-25f -o build/ulx3s
""")
@config_option(required=False, default=None)
@directory_option
@click.option("--board", "name", type=click.Choice(list(BOARDS)),
              help="Make the bitstream of a board, with the configuration that is meant for it.")
@click.option("--clock", metavar="MHZ", type=click.IntRange(4, 400),
              help="Clock of the board's engine, if not the usual one.")
@click.option("--part", type=click.Choice(list(PARTS)), default="engine", show_default=True,
              help="All of it, or the pipeline of array and lanes without memories and bus.")
@click.option("--units", is_flag=True,
              help="Count what each unit of the engine takes, by Yosys, and place nothing.")
@click.option("--seeds", metavar="N", default=1, show_default=True,
              type=click.IntRange(1, 1000), help="Placements to try; the report has the median.")
@jobs_option
@click.option("--refine", "rounds", metavar="N", type=click.IntRange(0, 100),
              help="On ECP5, times that cells on long paths are moved and routed again, until "
              f"three have not helped; by default {ROUNDS}, and 0 with --board.")
@click.option("--resume", is_flag=True,
              help="Keep the netlist and the placements in DIR that were made from the same.")
@report_option
@click.option("--target", metavar="MHZ", type=click.FloatRange(1, 1000),
              help="Exit with status 1 if the median is below this frequency.")
@click.option("--native", is_flag=True,
              help="Take yosys and nextpnr from PATH, in place of those from PyPI.")
def synth(config, directory, name, clock, part, units, seeds, jobs, rounds, resume, report,
          target, native):
    """Synthesise, place and route the engine, or its pipeline; report area and speed.

    DIR receives the netlist, and the log and report of every tool and seed. Cells are counted
    after packing. ECP5 places the block out of context; other families place it in a wrapper of a
    shift register and exclusive ors, whose own cells are shown beside.

    With --board the engine is placed and routed behind the board's own pins, with its serial line
    and clock, and DIR receives the bitstream too, made of the fastest seed; exit status 1 if that
    is slower than the clock. How to load and use it is in docs/boards.md.
    """
    board = BOARDS[name] if name else None
    _check_usage(config, board, clock, part, units, rounds)
    tools = Toolchain(native=native)
    if units:
        _units(config, directory, tools, report)
        return
    if board:
        config = config or load(board.config)
        with writing(), refusing():
            figures = bitstream(board, config, directory, seeds=seeds, mhz=clock, jobs=jobs,
                                resume=resume, toolchain=tools)
    else:
        with refusing():
            component = PARTS[part](config)
        with writing():
            figures = synthesise(component, config, directory, seeds=seeds, target=target,
                                 jobs=jobs, resume=resume, toolchain=tools,
                                 rounds=ROUNDS if rounds is None else rounds)
    with writing():
        figures["part"] = part
        if report:
            write_whole(report, json_of(figures))
    _show(config, figures)
    if board:
        _show_board(board, figures)
    if target and figures["fmax_mhz"] < target:
        raise CheckFailed(f"{config.name} reaches {figures['fmax_mhz']} MHz, "
                          f"below the target of {target:g} MHz")


def _units(config, directory, tools, report):
    with writing(), refusing():
        found = by_unit(map_units(config, directory, tools))
        if report:
            write_whole(report, json_of({"config": config.name, "device": config.device,
                                         "units": found}))
    output().print(unit_table(config, found))


def _check_usage(config, board, clock, part, units, rounds):
    if config is None and board is None:
        raise click.UsageError("Missing option '--config', or '--board'")
    if clock is not None and board is None:
        raise click.UsageError("--clock is for --board")
    if units and (board is not None or part != "engine"):
        raise click.UsageError("--units is for the engine of a --config")
    if part != "engine" and board is not None:
        raise click.UsageError(f"--part {part} is not for --board, which takes the engine")
    if rounds and (board is not None or units or device_of(config).family != "ecp5"):
        raise click.UsageError("--refine is for placements of a --config on a device of ECP5")


def _show_board(board, figures):
    if figures["bitstream"] is None:
        raise CheckFailed(f"{board.title}: {max(figures['fmax_mhz_seeds']):.2f} MHz are reached, "
                          f"below its clock of {figures['clock_mhz']:g} MHz; take more --seeds, or "
                          "a lower --clock")
    click.echo(f"\n{figures['bitstream']}: for {board.title}, clock {figures['clock_mhz']:g} MHz, "
               f"serial line {figures['baud']:,} baud\n"
               f"Load it: {board.load.format(figures['bitstream'])}")


def _show(config, figures):
    console = output()
    console.print(table(device_of(config), figures))
    seeds = ", ".join(f"{mhz:.2f}" for mhz in figures["fmax_mhz_seeds"])
    path = figures["critical_path"]
    if max(figures["fmax_mhz_routed"]) > max(figures["fmax_mhz_seeds"]):
        seeds += f", cut to the data sheet's {figures['ceiling_mhz']:g}"
    if any(figures["refined"]):
        seeds += "; before refinement: " + ", ".join(
            f"{refined['before_mhz']:.2f}" for refined in figures["refined"])
    console.print(f"\nFmax {figures['fmax_mhz']:.2f} MHz, the median of: {seeds}\n"
                  f"Peak {figures['peak_gops']:.3f} GOPS, from {config.rows * config.columns} "
                  "multiply-accumulates a cycle\n"
                  f"Critical path of seed {path['seed']}: {path['logic_ns']:.2f} ns of logic, "
                  f"{path['routing_ns']:.2f} ns of routing\n"
                  f"  from {path['from']}\n  to   {path['to']}", markup=False)
