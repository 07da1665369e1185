"""TFLite's reference kernels, tensor by tensor."""

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from scripts.fuzzing.checks import require_equal

__all__ = ["compare", "outcome", "reference"]


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


def compare(model, content, frames):
    """Compare every tensor of a model's network, and its output, with the reference kernels'.

    Parameters
    ----------
    model : compiler.model.Model
    content : bytes
        Of its file.
    frames : array, shape (N, ...)

    Returns
    -------
    (int, int)
        Codes that differ, which is none, and codes in all.

    Raises
    ------
    MismatchError
        If any differs.
    """
    output, tensors = reference(content, frames)
    ours = model.network.run(model.encode(frames))
    names = {}
    for index, (name, values) in tensors.items():
        names[name] = names[f"{name}#{index}"] = values
    for name, codes in ours.items():
        turned = name == model.network.input and not model.input.channels_last
        last = codes if turned else codes.transpose(0, 2, 3, 1)
        require_equal(f"Tensor {name!r}", last.reshape(names[name].shape), names[name])
    require_equal("The output", model.decode(ours[model.network.output]), output)
    return 0, sum(codes.size for codes in ours.values())


def outcome(content, frames):
    """The output for ``frames``; None if TFLite refuses the model."""
    try:
        return reference(content, frames)[0]
    except (RuntimeError, ValueError, TypeError, IndexError):
        return None
