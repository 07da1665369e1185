"""``celosia bench``: speed, area and frame rates of configurations, kept with their dates."""

from datetime import date
from pathlib import Path

import click

from compiler.planner import plan_network
from compiler.simplify import simplified
from hdl.config import CONFIGURATIONS
from scripts.benchmarks import changes, last_of, read_entries, write_entries
from scripts.console import CheckFailed, Refused, columns, output
from scripts.devices import device_of
from scripts.figures import frame_cycles, utilisation
from scripts.files import check_writable
from scripts.options import configuration, jobs_option, refusing, writing
from scripts.report import summary
from scripts.shapes import read_shapes
from scripts.synth import PARTS, synthesise
from scripts.tools import Toolchain

__all__ = ["NETWORKS", "bench"]


#: MLPerf Tiny's.
NETWORKS = ("anomaly_detection", "image_classification", "keyword_spotting", "visual_wake_words")


@click.command(epilog="""
\b
Examples:
  celosia bench --config ecp5-85f-8x8 --config ecp5-85f --jobs 2
  celosia bench --seeds 9 --record docs/benchmarks.json
  celosia bench --config ecp5-85f --first-seed 6 --record docs/benchmarks.json
""")
@click.option("--config", "configs", metavar="NAME", multiple=True,
              callback=lambda _context, _option, names: [configuration(name) for name in names],
              help="A configuration, as often as you like; by default all that are named.")
@click.option("--seeds", metavar="N", default=5, show_default=True, type=click.IntRange(1, 1000),
              help="Placements to try of each.")
@click.option("--first-seed", "first", metavar="K", default=1, show_default=True,
              type=click.IntRange(1, 1_000_000), help="Seed of the first of them.")
@jobs_option
@click.option("-o", "--output", "directory", metavar="DIR", default="build/bench",
              show_default=True, type=click.Path(path_type=Path),
              help="Folder for the tools' files; what is there from the same is not made again.")
@click.option("--record", metavar="R.json", type=click.Path(path_type=Path),
              help="Keep the figures in this file, and write the page of them, R.md.")
@click.option("--native", is_flag=True,
              help="Take yosys and nextpnr from PATH, in place of those from PyPI.")
def bench(configs, seeds, first, jobs, directory, record, native):
    """Place and route engines with several seeds; say what networks would do on them.

    For each configuration: the median and the best frequency, area, and what its array does at
    the median at most; and for each of MLPerf Tiny's networks cycles, frames a second, and the
    share of the array. What has changed since the last entry in R.json is said, and an entry is
    added after each configuration; one of the same day is replaced.

    A large engine takes minutes a seed. A run that was cut off goes on where it was: DIR keeps
    the netlist and the report of each seed. And seeds may be measured a few at a time, on any
    machine: an entry of the very same design and tools receives those that it has not.
    Exit status 1 if one cannot be placed and routed.
    """
    if record:
        if record.suffix != ".json":
            raise Refused(f"{record}: the name of a file of benchmarks must end in .json")
        with writing():
            check_writable(record, record.with_suffix(".md"))
    entries = read_entries(record) if record else []
    failed = []
    for config in configs or CONFIGURATIONS.values():
        before = last_of(entries, config.name)
        entry = _measured(config, directory / config.name, before, seeds=seeds, first=first,
                          jobs=jobs, native=native)
        _show(entry)
        if before:
            output().print("\n".join([f"\nSince {before['date']}:",
                                      *(changes(before, entry) or ["no change"])]), markup=False)
        if "error" in entry:
            failed.append(config.name)
        if record:
            entries = [*(each for each in entries if not _replaces(entry, each)), entry]
            with writing():
                write_entries(record, entries)
    if failed:
        raise CheckFailed(f"Not placed and routed: {', '.join(failed)}")


def _replaces(entry, other):
    """Whether ``entry`` is kept in place of ``other``, an older one."""
    return entry["config"] == other["config"] and (
        entry["date"] == other["date"] or _same(entry, other))


def _same(figures, entry):
    """Whether ``figures`` are of what was measured for ``entry``, which may be None."""
    made_from = (entry or {}).get("made_from")
    return made_from is not None and figures.get("made_from") == made_from


def _measured(config, directory, before, *, seeds, first, jobs, native):
    """The entry of a configuration, with the seeds of the last one, ``before``, if that is of the
    same."""
    device = device_of(config)
    entry = {"date": date.today().isoformat(), "config": config.name, "device": device.name,
             "speed": device.speed, "rows": config.rows, "columns": config.columns}
    try:
        with writing(), refusing():
            report = synthesise(PARTS["engine"](config), config, directory, seeds=seeds,
                                first=first, jobs=jobs, resume=True,
                                toolchain=Toolchain(native=native))
    except CheckFailed as failure:
        # Without the log's name, which is of this machine.
        return entry | {"error": failure.message.partition("; log: ")[0]}
    seeds_mhz = dict(enumerate(report["fmax_mhz_seeds"], first))
    if _same(report, before):
        seeds_mhz = {int(seed): mhz for seed, mhz in before["seeds_mhz"].items()} | seeds_mhz
    counts = {name: report[name] for name in ("lut", "ff", "dsp", "bram")}
    figures = summary(config, device, list(seeds_mhz.values()), counts)
    fmax, blocks = figures["fmax_mhz"], figures["dsp"]
    return entry | {
        "seeds": len(seeds_mhz), "fmax_mhz": fmax, "best_mhz": max(seeds_mhz.values()),
        **counts, "peak_gops": figures["peak_gops"],
        "gops_per_dsp": _per(figures["peak_gops"], blocks),
        "networks": {name: _on_network(name, config, fmax, blocks) for name in NETWORKS},
        "tools": report["tools"], "made_from": report["made_from"],
        "seeds_mhz": {str(seed): mhz for seed, mhz in sorted(seeds_mhz.items())}}


def _on_network(name, config, fmax, blocks):
    """Figures of a network on a configuration at a frequency in MHz; None if it does not fit."""
    network = read_shapes(name)
    try:
        plan = plan_network(simplified(network), config, 1)
    except ValueError:
        return None
    cycles, macs = frame_cycles(plan), network.macs()
    rate = fmax * 1e6 / cycles
    gops = 2 * macs * rate / 1e9
    return {"cycles": cycles, "frames_per_second": round(rate, 1),
            "utilisation": round(utilisation(macs, cycles, config), 4), "gops": round(gops, 3),
            "gops_per_dsp": _per(gops, blocks)}


def _per(gops, blocks):
    return round(gops / blocks, 4) if blocks else None


def _show(entry):
    """Print an entry as two tables."""
    console = output()
    where = f"{entry['config']} on {entry['device']}, speed grade {entry['speed']}"
    if "error" in entry:
        console.print(f"\n{where}: {entry['error']}", markup=False)
        return
    grid = columns(">Fmax", ">best", ">seeds", ">LUT", ">FF", ">DSP", ">BRAM", ">peak GOPS",
                   ">GOPS/DSP", title=f"\n{where}")
    grid.add_row(f"{entry['fmax_mhz']:.2f} MHz", f"{entry['best_mhz']:.2f} MHz",
                 *(f"{entry[key]:,}" for key in ("seeds", "lut", "ff", "dsp", "bram")),
                 f"{entry['peak_gops']:.2f}", _shown(entry["gops_per_dsp"]))
    console.print(grid)
    grid = columns("network", ">cycles", ">frames/s", ">utilisation", ">GOPS", ">GOPS/DSP",
                   title=f"\n{where}, at {entry['fmax_mhz']:.2f} MHz, by the cycle model")
    for name, figures in entry["networks"].items():
        cells = ["does not fit"] if figures is None else [
            f"{figures['cycles']:,}", f"{figures['frames_per_second']:,.1f}",
            f"{figures['utilisation']:.1%}", f"{figures['gops']:.2f}",
            _shown(figures["gops_per_dsp"])]
        grid.add_row(name, *cells)
    console.print(grid)


def _shown(ratio):
    return "" if ratio is None else f"{ratio:.3f}"
