"""TFLite's reference kernels, tensor by tensor."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

__all__ = ["assert_equals_reference", "reference"]


def reference(content, frames):
    """What the reference kernels make of frames: (outputs, dict of every tensor by index).

    A model for one frame is resized to as many as there are.
    """
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    port = interpreter.get_input_details()[0]
    if tuple(port["shape"]) != frames.shape:
        interpreter.resize_tensor_input(port["index"], frames.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(port["index"], frames)
    interpreter.invoke()
    tensors = {}
    for detail in interpreter.get_tensor_details():
        try:
            tensors[detail["index"]] = detail["name"], interpreter.get_tensor(detail["index"])
        except ValueError:  # Temporary ones have no data.
            continue
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), tensors


def assert_equals_reference(model, content, frames):
    """Every tensor of a model's network, and its output, equal the reference kernels'.

    Returns
    -------
    int
        Tensors compared.
    """
    output, tensors = reference(content, frames)
    ours = model.network.run(model.encode(frames))
    names = {}
    for index, (name, values) in tensors.items():
        names[name] = names[f"{name}#{index}"] = values
    for name, codes in ours.items():
        turned = name == model.network.input and not model.input.channels_last
        last = codes if turned else codes.transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(last.reshape(names[name].shape), names[name], err_msg=name)
    result = model.decode(ours[model.network.output])
    assert result.dtype == output.dtype
    np.testing.assert_array_equal(result, output)
    return len(ours)
