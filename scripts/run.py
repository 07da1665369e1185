"""``celosia run``: a model on frames of the user's, by golden, the simulated engine, or a board."""

import time
from pathlib import Path

import click
import numpy as np

from compiler.program import compile_network
from scripts.arrays import array_bytes, load_frames
from scripts.board import BAUD, run_on_board
from scripts.console import CheckFailed, Refused, columns, output, printable, running
from scripts.figures import layer_figures, utilisation
from scripts.files import check_writable, write_whole
from scripts.models import load_model
from scripts.options import (
    calibration_option,
    config_option,
    model_argument,
    report_option,
    writing,
)
from scripts.report import json_of
from sim.cosim import SimulationError
from sim.engine import EngineSimulation

__all__ = ["run"]


#: Elements of its largest feature map that golden computes at a time.
AT_ONCE = 1 << 22
#: Frames that the simulator runs at a time: more are quicker, fewer show progress.
FRAMES = 4
#: Cycles in which nothing moves after which the engine has failed, beside two of the longest layer.
LEAST_PATIENCE = 100_000
#: Most characters of a layer's name in the table.
NAME = 32


@click.command(epilog="""
\b
Examples:
  celosia run model.tflite --input x.npy --output y.npy
  celosia run model.onnx --input x.npy --output y.npy --engine rtl --report build/run.json
  celosia run float.onnx --calibration images.npy --input x.npy --output y.npy
  celosia run model.tflite --config ecp5-25f --input x.npy --output y.npy \\
    --engine board --port /dev/ttyUSB0

\b
An input to try:
  python -c "import numpy; numpy.save('x.npy', numpy.zeros((1, 32, 32, 3), numpy.int8))"
""")
@model_argument
@config_option(required=False)
@click.option("--input", "source", metavar="X.npy", required=True,
              type=click.Path(path_type=Path),
              help="Frames along the first axis, in the model's own layout and type.")
@click.option("--output", "target", metavar="Y.npy", required=True,
              type=click.Path(path_type=Path),
              help="Receives the results, likewise.")
@click.option("--engine", type=click.Choice(["golden", "rtl", "board"]), default="golden",
              show_default=True,
              help="The golden model, or the engine's Verilog under Verilator as well, or a "
                   "board's engine as well.")
@click.option("--port", metavar="PORT", help="The board's serial port, such as /dev/ttyUSB0.")
@click.option("--baud", metavar="N", type=click.IntRange(1), default=BAUD, show_default=True,
              help="Bits a second of that port.")
@calibration_option
@report_option
def run(model, config, source, target, engine, port, baud, calibration, report):
    """Run a model on frames in an .npy file.

    X and Y hold frames along the first axis, in the model's own layout and type: for instance NHWC
    and int8 for TFLite, NCHW for ONNX, float32 where the model's input is float. Every frame is a
    run of its own.

    With --engine rtl the Verilog of the configuration's engine runs the frames too, simulated
    cycle by cycle, and what it makes is written; exit status 1 if that is not bit for bit what
    golden makes. The report then has the cycles measured: of the first frame from the start of the
    program to the last result, those of them since the frame has come in, of each layer, and
    between the last two frames. With --engine golden nothing is measured, and these are null;
    predicted cycles are there if the model fits the configuration.

    With --engine board the engine on the board at --port runs the frames: exit status 1 as above,
    2 if nobody answers or the engine is another one. Nothing is measured.
    """
    if (engine == "board") != (port is not None):
        raise click.UsageError("--engine board and --port belong together")
    with writing():
        check_writable(target, report)
    loaded = load_model(model, calibration)
    frames = load_frames(source, loaded.input)
    program, misfit = None, None
    try:
        program = compile_network(loaded.network, config)
    except ValueError as error:
        # What golden computes does not depend on whether it fits.
        misfit = f"{loaded.file}: {error}"
        if engine != "golden":
            raise Refused(misfit) from None
    codes = loaded.encode(frames)
    golden = _golden(loaded.network, codes)
    measured, result, remarks = None, golden, []
    if engine == "rtl":
        measured = _simulated(program, codes, loaded)
        result = measured.codes
    elif engine == "board":
        result, remarks = run_on_board(program, codes, port=port, baud=baud)
    wrong = int(np.count_nonzero(result != golden))
    figures = _report(loaded, config, engine, len(codes), program, measured, wrong)
    with writing():
        write_whole(target, array_bytes(loaded.decode(result)))
        if report:
            write_whole(report, json_of(figures))
    for line in remarks:
        click.echo(line)
    _say(target, figures)
    if misfit:
        click.echo(f"It does not fit {config.name}: {misfit}")
    if wrong:
        raise CheckFailed(f"{loaded.file}: {wrong} of {golden.size} codes of the engine differ "
                          "from the golden model's")


def _golden(network, codes):
    """Output codes of the golden model."""
    largest = max(int(np.prod(shape)) for shape in network.shapes().values())
    size = max(1, AT_ONCE // largest)
    parts = range(0, len(codes), size)
    with running(f"Computing {len(codes)} frames by golden", steps=len(parts)) as advance:
        results = []
        for start in parts:
            results.append(network(codes[start:start + size]))
            advance()
    return np.concatenate(results)


class _Measured:
    """What the simulated engine made of frames, and how long it took.

    Members
    -------
    codes : array, shape (N, C, H, W)
    first : sim.engine.Timing
        Of a program that runs for the first frame alone.
    period : int or None
        Cycles from the last frame but one to the last one; None if there is one frame.
    speed : float
        Cycles simulated in a second.
    """

    def __init__(self, runs, seconds):
        self.codes = np.concatenate([codes for codes, _ in runs])
        self.first, last = runs[0][1], runs[-1][1]
        self.period = int(np.diff(last.done[:, -1])[-1]) if len(last.done) > 1 else None
        self.speed = sum(timing.stopped for _, timing in runs) / seconds


def _simulated(program, codes, model):
    """Run the engine's Verilog; return what is :class:`_Measured`."""
    name = program.config.name
    longest = max(layer.predicted_cycles for layer in layer_figures(model.network, program))
    with running(f"Generating the Verilog of {name}"):
        simulation = EngineSimulation(program.config)
    try:
        with running(f"Compiling the Verilog of {name} with Verilator"):
            simulation.build()
        parts, runs = _parts(len(codes)), []
        begun = time.perf_counter()
        with running(f"Simulating {len(codes)} frames", steps=len(parts)) as advance:
            for start, fresh, stop in parts:
                made, timing = simulation.run(program, codes[start:stop],
                                               patience=LEAST_PATIENCE + 2 * longest)
                runs.append((made[fresh - start:], timing))
                advance()
    except SimulationError as error:
        raise CheckFailed(f"{model.file}: the simulated engine of {name} failed: {error}") from None
    return _Measured(runs, time.perf_counter() - begun)


def _parts(count):
    """Frames to run together, as (first, first that has not been run before, end): the first one
    alone, the others one after the other, so that the last part tells the period."""
    rest = [(start, start, min(start + FRAMES, count)) for start in range(1, count, FRAMES)]
    if rest and rest[-1][2] - rest[-1][0] == 1:
        rest[-1] = (count - 2, count - 1, count)
    return [(0, 0, 1), *rest]


def _report(model, config, engine, frames, program, measured, wrong):
    layers = [] if program is None else [
        layer for layer in layer_figures(model.network, program) if layer.instructions]
    macs = model.network.macs()
    cycles = None if measured is None else measured.first.stopped
    return {
        "model": model.file, "config": config.name, "engine": engine, "rows": config.rows,
        "columns": config.columns, "frames": frames, "cycles": cycles, "macs": macs,
        "utilisation": None if cycles is None else utilisation(macs, cycles, config),
        "exact": None if engine == "golden" else not wrong,
        "cycles_per_second": None if measured is None else round(measured.speed),
        "layers": [{"name": layer.name, "op": layer.op, "macs": layer.macs,
                    "cycles": None if measured is None else _taken(layer, measured.first),
                    "predicted_cycles": layer.predicted_cycles} for layer in layers],
        "compute_cycles": None if measured is None else _computing(measured.first),
        "period": None if measured is None else measured.period,
    }


def _computing(timing):
    """Cycles from the first activation asked for, when the frame has come, to the last result."""
    return int(timing.stopped - timing.begun[0].min())


def _taken(layer, timing):
    """Cycles of a layer, from its first activation asked for to its last result written."""
    chosen = list(layer.instructions)
    return int(timing.done[0, chosen].max() - timing.begun[0, chosen].min())


def _say(target, figures):
    console = output()
    frames = "1 frame" if figures["frames"] == 1 else f"{figures['frames']:,} frames"
    if figures["engine"] == "rtl":
        console.print(_table(figures))
        console.print()
        period = figures["period"]
        console.print(f"{figures['cycles']:,} cycles from the start to the last result of a frame, "
                      f"{figures['compute_cycles']:,} of them since the frame has come in"
                      + (f"; {period:,} from one frame to the next" if period else ""))
    if figures["exact"] is not None:
        console.print("The engine equals golden, bit for bit." if figures["exact"] else
                      "The engine does not equal golden.")
    console.print(printable(f"{target}: results of {frames}"))


def _table(figures):
    grid = columns("layer", "computes", ">MACs", ">predicted", ">cycles", ">utilisation")
    elements = figures["rows"] * figures["columns"]
    rows = [*figures["layers"], {}, {
        "name": "all", "op": "", "macs": figures["macs"], "cycles": figures["cycles"],
        "predicted_cycles": sum(layer["predicted_cycles"] for layer in figures["layers"])}]
    for row in rows:
        if not row:
            grid.add_row()
            continue
        macs, cycles = row["macs"], row["cycles"]
        grid.add_row(printable(row["name"], NAME), row["op"], f"{macs:,}" if macs else "",
                     f"{row['predicted_cycles']:,}", f"{cycles:,}",
                     f"{macs / (cycles * elements):.1%}" if macs else "")
    return grid
