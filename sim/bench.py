"""Runs cocotb benches on the Verilog of a component with plain ports."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from hdl.verilog import emit
from sim.cosim import CACHE, SimulationError, locked, tool_environment

__all__ = ["run_bench"]


def run_bench(component, bench, directory, *, test=None, cells=None, netlist=None):
    """Run the tests of module ``bench`` on ``component``; return how many passed.

    Building takes some seconds and is done once for the same Verilog.

    Parameters
    ----------
    component : wiring.Component
        Its members are plain ports.
    bench : str
        Module that the simulator's Python can import.
    directory : path
        For the run's files.
    test : str, optional
        Regular expression for the names of the tests to run; by default all.
    cells : str, optional
        Verilog of a device's cells, for the vendor blocks to be made of them; by default they are
        what simulators take in their place.
    netlist : str, optional
        Verilog of a module ``top`` with the ports of ``component``, to run in its place. It is
        compiled quickly rather than to run quickly.

    Raises
    ------
    SimulationError
        If a test fails, or none is found.
    """
    verilog = emit(component) + (cells or "") if netlist is None else netlist
    optimised = ["-O3", "-CFLAGS", "-O2" if netlist is None else "-O0"]
    build_dir = CACHE / hashlib.sha256(verilog.encode()).hexdigest()[:16]
    build_dir.mkdir(parents=True, exist_ok=True)
    runner = get_runner("verilator")
    with locked(build_dir / "lock"), tool_environment():
        if not (build_dir / "built").exists():
            source, control = build_dir / "top.v", build_dir / "public.vlt"
            source.write_text(verilog, encoding="utf-8")
            names = ["clk", "rst", *component.signature.members]
            control.write_text("`verilator_config\n" + "".join(
                f'public_flat_rw -module "top" -var "{name}"\n' for name in names),
                encoding="utf-8")
            runner.build(sources=[control, source], hdl_toplevel="top", build_dir=build_dir,
                         always=True, timescale=("1ns", "1ps"), log_file=build_dir / "build.log",
                         build_args=["--no-public-flat-rw", "-Wno-WIDTH", "-Wno-CASEINCOMPLETE",
                                     *optimised],
                         defines={"SYNTHESIS": 1} if cells else {})
            (build_dir / "built").touch()
    results, log = Path(directory, "results.xml"), Path(directory, "bench.log")
    with tool_environment(), suppress(SystemExit):
        get_runner("verilator").test(
            hdl_toplevel="top", hdl_toplevel_lang="verilog", test_module=bench,
            build_dir=build_dir, test_dir=directory, results_xml=str(results), log_file=log,
            test_filter=test, extra_env={"PYTHONPATH": os.getcwd()})
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    total, failed = get_results(results) if results.exists() else (0, 0)
    if failed or not total:
        reasons = [line.strip() for line in text.splitlines() if "Error" in line]
        raise SimulationError("\n".join([f"{failed} of {total} tests failed", *reasons]
                                        if reasons else ["the simulator failed", text]))
    return total
