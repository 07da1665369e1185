"""Runs generated Verilog under Verilator and cocotb."""

import fcntl
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from amaranth.lib.wiring import In, Out
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from hdl.verilog import emit
from sim.generated import kept
from sim.harness import STREAM_FILES, FileHarness, stream_ports
from sim.verilator import environment

__all__ = ["CACHE", "Simulation", "SimulationError", "locked", "tool_environment"]


#: Where simulators are kept, under a name that depends on their sources alone.
CACHE = Path(__file__).parent.parent / "build" / "sim"


class SimulationError(RuntimeError):
    """A simulation could not be built, or a check of its bench failed."""


class Simulation:
    """A component compiled to run between files.

    Building takes seconds to minutes and is done once for the same Verilog.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
        Its members are streams.
    key : value that JSON can hold, optional
        What decides, beside the sources, what the component is: with it the Verilog is generated
        once for all (:func:`sim.generated.kept`).
    """

    def __init__(self, component, *, key=None):
        self.inputs = stream_ports(component, In)
        self.outputs = stream_ports(component, Out)
        self.verilog = (emit(FileHarness(component)) if key is None
                        else kept(key, lambda: emit(FileHarness(component))))

    def build(self):
        """Compile, unless that has been done before; return the directory of the simulator."""
        sources = self.verilog + STREAM_FILES.read_text(encoding="utf-8")
        directory = CACHE / hashlib.sha256(sources.encode()).hexdigest()[:16]
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory / "lock"):
            if not (directory / "built").exists():
                self._compile(directory)
                (directory / "built").touch()
        return directory

    def run(self, payloads, counts, *, stall=0, seed=1, reset_after=(), patience=20_000):
        """Feed every input stream and return what comes out.

        Parameters
        ----------
        payloads : dict of uint8 arrays, shape (tokens, bytes)
            Each input stream's payloads, least significant byte first; one left out has none.
        counts : dict of int, or None
            Payloads expected from each output stream. None: whatever comes until all inputs are
            accepted and no more comes; the caller then judges whether that is all.
        stall : int, 0 to 255
            Every port pauses at random in ``stall`` of 256 cycles.
        seed : int, at least 1
            Of the pauses.
        reset_after : sequence of int
            Before the run that counts, runs that are cut off after so many cycles by a reset.
        patience : int
            Cycles without a change after which the run has failed.

        Returns
        -------
        outputs : dict of uint8 arrays, shape (tokens, bytes)
        cycles : int
            From the first payload accepted to the last one written.

        Raises
        ------
        SimulationError
            If the design hangs, or gives more or fewer payloads than expected.
        """
        build_dir = self.build()
        with tempfile.TemporaryDirectory(prefix="celosia-") as run_dir:
            for name, width in self.inputs.items():
                none = np.zeros((0, -(-width // 8)), np.uint8)
                _write_payloads(Path(run_dir, name), payloads.get(name, none), width)
            job = {"counts": counts, "outputs": list(self.outputs),
                   "reset_after": list(reset_after), "patience": patience}
            plusargs = [f"+{name}={Path(run_dir, name)}" for name in (*self.inputs, *self.outputs)]
            self._bench(build_dir, Path(run_dir), job,
                        [*plusargs, f"+stall={stall}", f"+verilator+seed+{seed}"])
            outputs = {name: _read_payloads(Path(run_dir, name), width)
                       for name, width in self.outputs.items()}
            return outputs, json.loads(Path(run_dir, "cycles.json").read_text(encoding="utf-8"))

    def _bench(self, build_dir, run_dir, job, plusargs):
        log, results = run_dir / "bench.log", run_dir / "results.xml"
        with tool_environment(), suppress(SystemExit):
            get_runner("verilator").test(
                hdl_toplevel="top", hdl_toplevel_lang="verilog", test_module="sim.file_bench",
                build_dir=build_dir, test_dir=run_dir, results_xml=results, plusargs=plusargs,
                log_file=log, extra_env={"CELOSIA_JOB": json.dumps(job)})
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        if not results.exists() or get_results(results)[1]:
            reasons = [line.strip() for line in text.splitlines() if "Error" in line]
            raise SimulationError(reasons[-1] if reasons else f"the simulator failed:\n{text}")

    def _compile(self, directory):
        source = directory / "top.v"
        source.write_text(self.verilog, encoding="utf-8")
        # Only ports are public: cocotb's default keeps every net alive, which is slower.
        control = directory / "public.vlt"
        names = ["clk", "rst", "inputs", "exhausted", "cycles",
                 *(f"count_{name}" for name in self.outputs)]
        control.write_text("`verilator_config\n" + "".join(
            f'public_flat_rw -module "top" -var "{name}"\n' for name in names), encoding="utf-8")
        log = directory / "build.log"
        try:
            with tool_environment():
                get_runner("verilator").build(
                    sources=[control, STREAM_FILES, source], hdl_toplevel="top",
                    build_dir=directory, always=True, timescale=("1ns", "1ps"), log_file=log,
                    build_args=["--no-public-flat-rw", "-Wno-WIDTH", "-Wno-CASEINCOMPLETE",
                                "-O3", "-CFLAGS", "-O2"])
        except RuntimeError as error:
            text = log.read_text(encoding="utf-8") if log.exists() else ""
            reasons = [line.strip() for line in text.splitlines() if "rror" in line]
            raise SimulationError(reasons[0] if reasons else f"{error}:\n{text}") from None


@contextmanager
def tool_environment():
    """Let the runner find Verilator; it looks at this process's variables alone."""
    before = dict(os.environ)
    os.environ.update(environment())
    # Under pytest the runner would end the process instead of returning.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def locked(path):
    """Keep other processes out of the block."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_payloads(path, payloads, width):
    expected = -(-width // 8)
    payloads = np.asarray(payloads)
    if payloads.dtype != np.uint8 or payloads.ndim != 2 or payloads.shape[1] != expected:
        raise ValueError(f"Payloads of {path.name} must be uint8 of shape (tokens, {expected}), "
                         f"not {payloads.dtype} of shape {payloads.shape}")
    digits = np.ascontiguousarray(payloads[:, ::-1])
    path.write_text("".join(f"{row.tobytes().hex()}\n" for row in digits), encoding="ascii")


def _read_payloads(path, width):
    size = -(-width // 8)
    rows = [bytes.fromhex(line.rjust(2 * size, "0"))[::-1]
            for line in path.read_text(encoding="ascii").split()]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, size)
