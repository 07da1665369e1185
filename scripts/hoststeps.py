"""Steps of the host behind the network, as JSON and back."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from compiler import model, onnx_host, tflite_host
from golden.quantisation import Quantisation

__all__ = ["described", "restored"]


#: Classes of steps, and of what they hold, by name.
CLASSES: dict[Any, Any] = {
    name: value for module in (model, onnx_host, tflite_host)
    for name, value in vars(module).items()
    if name in module.__all__ and is_dataclass(value) and "__call__" in vars(value)
} | {"Quantisation": Quantisation}


def described(value):
    """Return ``value``, a step or a part of one, as JSON has it.

    An object becomes a dictionary of its fields, with its class as ``step``; an array one of
    ``array`` and ``dtype``.
    """
    if is_dataclass(value):
        name = type(value).__name__
        if CLASSES.get(name) is not type(value):
            raise TypeError(f"{name} is no step of the host that can be written down")
        return {"step": name, **{field.name: described(getattr(value, field.name))
                                 for field in fields(value)}}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, (tuple, list)):
        return [described(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def restored(value):
    """Return what :func:`described` was given.

    Raises
    ------
    ValueError
        If a step is of no known class, or its fields are others.
    """
    if isinstance(value, list):
        return tuple(map(restored, value))
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"], value["dtype"])
    known = CLASSES.get(value.get("step"))
    names = value.keys() - {"step"}
    if known is None or names != {field.name for field in fields(known)}:
        raise ValueError(f"{value.get('step')!r} with fields {', '.join(sorted(names))} is no step "
                         "of the host; compile the model again")
    return known(**{name: restored(value[name]) for name in names})
