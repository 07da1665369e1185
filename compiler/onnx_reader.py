"""ONNX models of QLinearConv nodes as layers of the arithmetic contract."""

from compiler.errors import quoted
from compiler.model import QuantisedModel
from compiler.onnx_conv import read_conv
from compiler.onnx_file import read_chain, run_checker
from compiler.onnx_tensor import read_tensor, type_name

__all__ = ["read_onnx"]


def read_onnx(path):
    """Read a quantised model.

    Supported is a chain of ``QLinearConv`` nodes (opset 10 or newer) from one input to one output:
    int8 or uint8 activations with any zero point; int8 weights with zero points 0 and one scale
    per tensor or per output channel; any stride, dilation, group and explicit padding; ``auto_pad``
    in all four modes, save SAME with a dilation or with a stride that exceeds the kernel by two or
    more. ReLU is the saturation at the output's lowest code. Everything else is refused; nothing is
    ignored but documentation, metadata, unused initialisers and intermediate value infos.

    Parameters
    ----------
    path : str or path
        ONNX file of at most 512 MiB with all weights inside.

    Returns
    -------
    QuantisedModel
        Layers round half to even: exactly, where ONNX Runtime multiplies in float32. The two differ
        by at most one step, and only where accumulator times scale lies within float32 rounding
        (2⁻²³ of itself) of a tie.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or asks for something not supported. Every fault
        of a file comes out as this.
    """
    chain = read_chain(path)
    model = _model(chain)
    run_checker(chain)
    return model


def _model(chain):
    place = chain.place.at(f"input {quoted(chain.input.name)}")
    shape = _frame_shape(chain.input, place)
    input_shape, elem_type = shape, chain.input.elem_type
    layers, names = [], set()
    for node in chain.nodes:
        # Node names are optional and may repeat; the names of what nodes make are neither.
        name = node.name if node.name and node.name not in names else node.output[0]
        names.add(name)
        layer, shape, elem_type = read_conv(node, chain, name, shape, elem_type)
        layers.append(layer)

    place = chain.place.at(f"output {quoted(chain.output.name)}")
    if chain.output.elem_type != elem_type:
        raise place.fault(f"it is declared {type_name(chain.output.elem_type)} but made as "
                          f"{type_name(elem_type)}", "declare the type that is made")
    declared = chain.output.shape
    made = (chain.input.shape[0], *shape)
    if len(declared) != 4 or any(None not in pair and pair[0] != pair[1]
                                 for pair in zip(declared, made, strict=True)):
        raise place.fault(f"it is declared with shape {_text(declared)} but made with shape "
                          f"{_text(made)}", "declare the shape that is made")
    return QuantisedModel(
        layers=tuple(layers), input_shape=input_shape, output_shape=shape,
        input_scale=_scale(chain, chain.nodes[0].input[1], place),
        input_zero_point=layers[0].input_zero_point, input_unsigned=layers[0].input_unsigned,
        output_scale=_scale(chain, chain.nodes[-1].input[6], place),
        output_zero_point=layers[-1].output_zero_point,
        output_unsigned=layers[-1].output_unsigned)


def _frame_shape(port, place):
    """(channels, height, width) of the model's input; the batch size is free."""
    shape = port.shape
    if len(shape) != 4:
        raise place.fault(f"it has shape {_text(shape)}, not (N, channels, height, width)",
                          "export a 2D network with a shape for its input")
    if any(size is None or size < 1 for size in shape[1:]) or (
            shape[0] is not None and shape[0] < 1):
        raise place.fault(f"its shape {_text(shape)} is not fixed and positive",
                          "export with fixed channels, height and width; only the batch may vary")
    return shape[1:]


def _scale(chain, name, place):
    """A scale that `read_conv` has checked."""
    return float(read_tensor(chain.constants[name], place).reshape(-1)[0])


def _text(shape):
    """``shape`` as text, with ? for symbolic sizes."""
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
