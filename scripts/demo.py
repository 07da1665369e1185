"""The main job: real images, classified by the simulated hardware, and the hardware's own size."""

import contextlib
import io
from pathlib import Path

import click
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from compiler.onnx_reader import read_onnx
from compiler.program import compile_network
from hdl.config import CONFIGURATIONS
from hdl.isa import Opcode
from hdl.pipeline import ConvPipeline
from scripts.console import CheckFailed, Refused, running
from scripts.devices import device_of
from scripts.digits import float_model_path, input_codes, load_images, model_path
from scripts.report import table
from scripts.synth import synthesise
from scripts.tools import Toolchain
from sim.cycles import layer_cycles
from sim.engine import EngineSimulation
from sim.pipeline import PipelineSimulation

__all__ = ["demo"]


#: Images of one kind shown as pictures.
SHOWN = 6
#: Cycles without input or output after which the engine has failed; no layer takes as many.
PATIENCE = 100_000


@click.command(epilog="""
\b
Examples:
  celosia demo
  celosia demo --images 20 --config ecp5-85f-8x8 --no-synth
""")
@click.option("--images", "count", default=200, show_default=True, metavar="N",
              type=click.IntRange(1, 200), help="Test images to classify.")
@click.option("--config", "name", default="ecp5-85f", show_default=True, metavar="NAME",
              type=click.Choice(list(CONFIGURATIONS)), help="Array to simulate.")
@click.option("--synth-config", default="tiny", show_default=True, metavar="NAME",
              type=click.Choice(list(CONFIGURATIONS)), help="Configuration to place and route.")
@click.option("--synth/--no-synth", default=True, help="Whether to place and route.")
@click.option("-o", "--output", metavar="DIR", default="build/demo", show_default=True,
              type=click.Path(path_type=Path), help="Folder for synthesis results.")
def demo(count, name, synth_config, synth, output):
    """Classify handwritten digits on the simulated engine; place and route a small one.

    A network of five convolutions, trained on MNIST and quantised, reads images that it was not
    trained on. Verilator computes every convolution, BatchNorm and ReLU from the generated
    Verilog, layer by layer and then all in one; each code is compared with the golden model's.
    Exit status 1 if one differs.
    """
    console = Console(highlight=False, soft_wrap=True)
    images, labels = load_images()
    # Evenly over the shipped images, which are in order of their labels.
    chosen = np.linspace(0, len(images) - 1, count).round().astype(int)
    images, labels = images[chosen], labels[chosen]
    model = read_onnx(model_path())
    config = CONFIGURATIONS[name]

    codes, network = input_codes(model, images), model.network
    try:
        program = compile_network(network, config)
    except ValueError as error:
        raise Refused(str(error)) from None

    console.print(f"[bold]1. Layer by layer[/]: the pipeline of {name}, {config.rows}×"
                  f"{config.columns} processing elements and {config.lanes} scale-shift lanes")
    pipeline = PipelineSimulation(config)
    with running("Compiling the pipeline's Verilog with Verilator"):
        pipeline.build()
    rows, golden_logits = _run_layers(network, pipeline, codes)
    console.print(_layer_table(rows, count))
    console.print("[bold]2. The whole network[/]: frames go into the engine, classes come out")
    engine = EngineSimulation(config)
    with running("Compiling the engine's Verilog with Verilator"):
        engine.build()
    with running(f"Running {count} frames"):
        logits, timing = engine.run(program, codes, patience=PATIENCE)
    console.print(_frame_table(network, program, timing))

    with running("Running the float network"):
        float_logits = _float_logits(images)
    predictions = logits[:, :, 0, 0].argmax(axis=1)
    console.print(f"[bold]3. What it read[/] in {count} images that it was not trained on")
    console.print(_pictures(images, labels, predictions))
    console.print(_accuracy_table(labels, {
        "float network (ONNX reference)": float_logits,
        "golden model, int8": golden_logits,
        "engine in Verilog, int8": logits}))

    wrong = sum(row["differ"] for row in rows) + np.count_nonzero(logits != golden_logits)
    if wrong:
        raise CheckFailed(f"{wrong} codes differ between the Verilog and the golden model")
    console.print(f"All {sum(row['codes'] for row in rows):,} codes of the pipeline and all "
                  f"{logits.size:,} of the engine equal the golden model's.\n")
    if synth:
        _synthesise(console, synth_config, output)


def _run_layers(network, simulation, codes):
    """Feed each layer what the Verilog made of the one before; return a row for each."""
    rows, golden = [], codes
    with running("Simulating", steps=len(network.nodes)) as advance:
        for layer in (node.layer for node in network.nodes):
            outputs, cycles = simulation.run([(layer, codes)])
            golden = layer(golden)
            rows.append({
                "layer": layer, "output": outputs[0].shape,
                "macs": layer.macs(codes.shape), "cycles": cycles, "codes": golden.size,
                "differ": int(np.count_nonzero(outputs[0] != golden))})
            codes = outputs[0]
            advance()
    return rows, golden


def _table(**options):
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True,
                 **options)


def _layer_table(rows, count):
    grid = _table(show_footer=True)
    cycles, macs = (sum(row[key] for row in rows) for key in ("cycles", "macs"))
    for heading, footer in (
            ("layer", f"{count} frames"), ("output", ""), ("kernel", ""),
            ("MMAC", f"{macs / 1e6:.2f}"), ("cycles", f"{cycles:,}"),
            ("MAC/cycle", f"{macs / cycles:.1f}"),
            ("codes", f"{sum(row['codes'] for row in rows):,}"),
            ("differ", f"{sum(row['differ'] for row in rows):,}")):
        grid.add_column(heading, footer, justify="left" if heading == "layer" else "right",
                        no_wrap=True)
    for row in rows:
        layer = row["layer"]
        grid.add_row(
            layer.name, "×".join(map(str, row["output"][1:])),
            "×".join(map(str, layer.weight.shape[2:])) + f"/{layer.stride[0]}",
            f"{row['macs'] / 1e6:.2f}", f"{row['cycles']:,}", f"{row['macs'] / row['cycles']:.1f}",
            f"{row['codes']:,}", f"{row['differ']:,}")
    return grid


def _frame_table(network, program, timing):
    """What the cycle model says of a frame beside what the last frame took."""
    fields = [each for each in program.instructions if each["opcode"] == Opcode.CONV]
    measured = (timing.done - timing.begun)[-1]
    # Of the last frame: the first one had to be waited for.
    period = int(np.diff(timing.done[:, -1], prepend=0)[-1])
    shapes = network.shapes()
    macs = [node.layer.macs(*((1, *shapes[name]) for name in node.inputs))
            for node in network.nodes]
    grid = _table(show_footer=True)
    for heading, footer in (("layer", "frame to frame"), ("MACs", f"{sum(macs):,}"),
                            ("predicted cycles", ""), ("cycles", f"{period:,}"),
                            ("MAC/cycle", f"{sum(macs) / period:.1f}")):
        grid.add_column(heading, footer, justify="left" if heading == "layer" else "right",
                        no_wrap=True)
    for node, each, count, cycles in zip(network.nodes, fields, macs, measured, strict=True):
        grid.add_row(node.layer.name, f"{count:,}",
                     f"{layer_cycles(each, program.config, count).total:,}", f"{cycles:,}",
                     f"{count / cycles:.1f}")
    return grid


def _float_logits(images):
    model = onnx.load(float_model_path())
    # The reference evaluator prints a note for each operator it has no special code for.
    with contextlib.redirect_stdout(io.StringIO()):
        outputs = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: images})
    return np.asarray(list(outputs)[0])


def _accuracy_table(labels, logits):
    grid = _table()
    grid.add_column("computed by")
    grid.add_column("right", justify="right")
    grid.add_column("accuracy", justify="right")
    for name, values in logits.items():
        right = int((values.reshape(len(labels), -1).argmax(axis=1) == labels).sum())
        grid.add_row(name, f"{right} of {len(labels)}", f"{right / len(labels):.1%}")
    return grid


def _pictures(images, labels, predictions):
    """The first images read rightly and wrongly, two rows of pixels to a line of text."""
    right, wrong = np.flatnonzero(labels == predictions), np.flatnonzero(labels != predictions)
    spread = right[np.linspace(0, len(right) - 1, min(SHOWN, len(right))).astype(int)]
    panels = []
    for index in (*spread, *wrong[:SHOWN]):
        wrong_label = predictions[index] != labels[index]
        panels.append(Panel(_picture(images[index, 0]), title=f"reads {predictions[index]}",
                            subtitle=f"is {labels[index]}" if wrong_label else None,
                            border_style="red" if wrong_label else "none",
                            expand=False, padding=0))
    return Columns(panels)


def _picture(pixels):
    # Every other row and column of the 28×28 pixels, and without the empty margin.
    ink = np.maximum.reduce([pixels[y::2, x::2] for y in (0, 1) for x in (0, 1)])[1:-1, 1:-1]
    ink = np.pad(ink, ((0, len(ink) % 2), (0, 0))) > 0.4
    return "\n".join("".join(" ▀▄█"[top + 2 * bottom] for top, bottom in zip(*pair, strict=True))
                     for pair in zip(ink[::2].tolist(), ink[1::2].tolist(), strict=True))


def _synthesise(console, name, output):
    config = CONFIGURATIONS[name]
    device = device_of(config)
    console.print(f"[bold]4. The pipeline of {name}[/], {config.rows}×{config.columns} processing "
                  f"elements, placed and routed on {device.name}")
    figures = synthesise(ConvPipeline(config), config, output, toolchain=Toolchain(native=False))
    console.print(table(device, figures))
    console.print(f"Fmax {figures['fmax_mhz']:.1f} MHz; peak {figures['peak_gops']:.2f} GOPS")
