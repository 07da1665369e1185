"""``celosia compile``: a model becomes Verilog, a program, and all that a host needs."""

import hashlib

import click

from compiler.program import compile_network
from hdl.top import CONTROLS
from scripts.console import Refused, columns, output, printable, running
from scripts.figures import layer_figures, needs
from scripts.files import check_writable, publishing
from scripts.generate import engine_verilog, write_engine, write_manifest
from scripts.models import load_model
from scripts.options import (
    calibration_option,
    config_option,
    directory_option,
    model_argument,
    writing,
)
from scripts.package import description, images

__all__ = ["compile_", "write_folder"]


@click.command("compile", epilog="""
\b
Examples:
  celosia compile model.tflite -o build/model
  celosia compile model.onnx --config ecp5-25f --control wishbone -o build/model
  celosia compile float.onnx --calibration images.npy -o build/model

docs/models.md says what a host does with the folder.
""")
@model_argument
@config_option(required=False)
@directory_option
@click.option("--control", default="axi", show_default=True, type=click.Choice(list(CONTROLS)),
              help="Bus of the registers: AXI4-Lite or Wishbone B4.")
@calibration_option
def compile_(model, config, directory, control, calibration):
    """Compile a model to Verilog, program, weights and manifest.

    DIR receives what `celosia generate` writes (the engine's Verilog, the C header of its registers
    and manifest.json) and program.bin, weights.bin and coefficients.bin, the contents of its
    memories. The manifest says how to load them, how frames are laid out and quantised, how results
    are read, and the SHA-256 of every file. The same model and configuration give the same bytes on
    every machine.
    """
    with writing():
        check_writable(directory / "manifest.json")
    loaded = load_model(model, calibration)
    try:
        program = compile_network(loaded.network, config)
    except ValueError as error:
        raise Refused(f"{loaded.file}: {error}") from None
    with writing(), running(f"Writing the program and the Verilog of {config.name}"):
        contents = write_folder(loaded, program, engine_verilog(config, control), directory)
    _say(contents, directory)


def write_folder(model, program, verilog, directory):
    """Write a compiled model to ``directory``; return what its manifest holds.

    Parameters
    ----------
    model : compiler.model.Model
    program : compiler.program.Program
        Of its network.
    verilog : str
        Of the engine of the program's configuration.
    directory : path

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    with publishing(directory) as staging:
        for name, content in images(program).items():
            (staging / name).write_bytes(content)
        contents = {**write_engine(verilog, program.config, staging),
                    **description(model, program), "layers": _layers(model, program),
                    "memories": needs(program)}
        contents["files"] = {
            path.name: {"bytes": path.stat().st_size,
                        "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in sorted(staging.iterdir())}
        write_manifest(contents, staging)
    return contents


def _layers(model, program):
    return [{"name": layer.name, "op": layer.op, "macs": layer.macs,
             "predicted_cycles": layer.predicted_cycles}
            for layer in layer_figures(model.network, program) if layer.instructions]


def _say(contents, directory):
    console = output()
    grid = columns("file", ">bytes", "holds")
    packets = {packet["file"]: packet for packet in contents["packets"]}
    holds = {contents["verilog"]: f"the engine, top module {contents['top']}",
             contents["registers"]: "the engine's registers, for C",
             **{name: f"{packet['words']:,} words" for name, packet in packets.items()}}
    for name, entry in contents["files"].items():
        grid.add_row(name, f"{entry['bytes']:,}", holds[name])
    grid.add_row("manifest.json", "", "how to use them")
    console.print(grid)
    cycles = sum(layer["predicted_cycles"] for layer in contents["layers"])
    console.print()
    console.print(printable(f"{contents['model']} is in {directory}: "
                            f"{len(contents['layers'])} layers, {cycles:,} cycles predicted"))
