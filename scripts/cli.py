"""The ``celosia`` command."""

import click

from scripts.console import Commands

__all__ = ["main"]


#: Module and help of every command, in the order in which one comes to need them.
COMMANDS = {
    "demo": ("scripts.demo",
             "Classify handwritten digits on the simulated engine; place and route a small one."),
    "fetch": ("scripts.fetch", "Fetch MLPerf Tiny's four int8 networks."),
    "check": ("scripts.check", "Say what of a model maps to the engine, what does not, and what to "
                               "do about it."),
    "estimate": ("scripts.estimate", "Predict the cycles of a network, and say where they go."),
    "compile": ("scripts.compile",
                "Compile a model to Verilog, program, weights and manifest."),
    "run": ("scripts.run", "Run a model on frames in an .npy file."),
    "fuzz": ("scripts.fuzz", "Compare random models with TFLite's reference kernels and ONNX "
                             "Runtime; damage files."),
    "configs": ("scripts.configs", "List the named configurations."),
    "generate": ("scripts.hardware",
                 "Write the engine's Verilog, the C header of its registers, and a manifest."),
    "synth": ("scripts.hardware",
              "Synthesise, place and route the engine, or its pipeline; report area and speed."),
    "bench": ("scripts.bench", "Place and route engines with several seeds; say what networks "
                               "would do on them."),
}


@click.group(cls=Commands, modules=COMMANDS,
             context_settings={"help_option_names": ["-h", "--help"]}, epilog="""
\b
Examples:
  celosia demo
  celosia fetch
  celosia check build/models/image_classification.tflite
  celosia compile model.onnx --config ecp5-25f -o build/model
  celosia run model.tflite --input x.npy --output y.npy --engine rtl
  celosia generate --config ecp5-85f -o build/ecp5-85f
  celosia synth --config ecp5-85f -o build/ecp5-85f --report build/ecp5-85f.json

Exit status: 0 done; 1 a check failed, such as timing or fit; 2 bad input, or not supported.
""")
@click.version_option(package_name="celosia", prog_name="celosia")
def main():
    """Turn a convolutional network into a verified accelerator for a small FPGA.

    Every command explains itself: celosia COMMAND --help.
    """
