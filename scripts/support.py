"""What of TFLite and ONNX is supported, as a page of documentation."""

from compiler.onnx_file import MICROSOFT
from compiler.onnx_node import OPERATORS as ONNX
from compiler.onnx_reader import OPERATOR_MODULES as ONNX_MODULES
from compiler.tflite_node import OPERATORS as TFLITE
from compiler.tflite_reader import OPERATOR_MODULES as TFLITE_MODULES

__all__ = ["support_page"]


#: Modules whose import fills the tables.
MODULES = {module.__name__ for module in (*ONNX_MODULES, *TFLITE_MODULES)}


def support_page():
    """Return ``docs/support.md``."""
    assert {known.read.__module__ for known in (*TFLITE.values(), *ONNX.values())} <= MODULES
    tflite = [f"| `{name}` | {known.version} | {known.mapped} | {known.limits} |"
              for name, known in sorted(TFLITE.items())]
    onnx = [f"| `{known.title}` | {_names(known.attributes)} | {known.mapped} | {known.limits} |"
            for _, known in sorted(ONNX.items())]
    return _PAGE.format(tflite="\n".join(tflite), onnx="\n".join(onnx), microsoft=MICROSOFT)


def _names(attributes):
    return ", ".join(f"`{name}`" for name in sorted(attributes))


_PAGE = """\
# Supported models

<!-- Generated from the readers' tables by `python -m scripts.pages`. -->

What `celosia check`, `compile` and `run` take. `celosia check MODEL` says of a model of your own,
node by node, what becomes of it or why it is refused; [models](models.md) says how to get there.
Whatever is not listed here is refused with one line that names file, node, attribute and remedy:
nothing is ignored.

The tables come from the readers themselves: an operator is here because a function reads it.
"Becomes" is what computes it: the array or another unit of the engine
([instructions](instructions.md)), addresses alone, or the host behind the network. "Limits" are
what is asked of it, beyond what its definition says.

## TFLite
Quantised models: int8 or uint8 activations with a scale and a zero point per tensor, int8 weights
with a scale per tensor or per output channel. Input and output may be float32, if QUANTIZE is the
first operator and DEQUANTIZE the last one. One subgraph, one input, one output, fixed shapes but
for the first axis. Every tensor equals TFLite's reference kernels bit for bit
([arithmetic](arithmetic.md)).

| operator | newest version | becomes | limits |
| --- | --- | --- | --- |
{tflite}

## ONNX
Quantised models in either form, operators on codes (`QLinearConv` and its kin) or operators on
reals between `DequantizeLinear` and `QuantizeLinear`; and float models, which are quantised from
frames that you give with `--calibration`. int8 or uint8 activations with a scale and a zero point
per tensor, int8 weights with a scale per tensor or per output channel. All weights inside the file,
one input, one output, fixed shapes but for the first axis. `{microsoft}` is the domain of ONNX
Runtime's own operators.

| operator | attributes | becomes | limits |
| --- | --- | --- | --- |
{onnx}
"""
