"""Networks described by the shapes of their layers alone, for what does not depend on weights."""

import json
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.pool import PoolLayer
from scripts.console import Refused

__all__ = ["KNOWN", "network_of_shapes", "read_shapes"]


#: The networks that come with the project.
KNOWN = tuple(sorted(path.name.removesuffix(".json") for path in files("scripts.networks").iterdir()
                     if path.name.endswith(".json")))
#: Most weights of a layer.
MOST_WEIGHTS = 1 << 28

_GEOMETRY = {"kernel": 2, "stride": 2, "padding": 4, "dilation": 2}
#: Keys of a layer beside its name, operator and inputs, and those that it must have.
_KEYS = {
    "conv": ({*_GEOMETRY, "channels", "group"}, {"channels"}),
    "max_pool": ({*_GEOMETRY}, {"kernel"}),
    "average_pool": ({*_GEOMETRY}, set()),
    "add": (set(), {"inputs"}),
}


def read_shapes(name):
    """Return the :class:`golden.network.Network` of shapes in a file, or of one in :data:`KNOWN`.

    Raises
    ------
    Refused
        If the file cannot be read, or is not what :func:`network_of_shapes` takes.
    """
    path = files("scripts.networks") / f"{name}.json" if name in KNOWN else Path(name)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Refused(f"{name}: not a JSON file") from None
    try:
        return network_of_shapes(description)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(f"{name}: {error}") from None


def network_of_shapes(description):
    """Return a :class:`golden.network.Network` whose weights are zero.

    Parameters
    ----------
    description : dict
        ``input`` is the shape (C, H, W) of a frame, ``layers`` a list of dictionaries in order of
        execution. Each has a ``name`` of its own; ``op``, one of conv, max_pool, average_pool and
        add; and ``inputs``, names of layers or ``input``, by default the layer before. Geometry
        is ``kernel``, ``stride`` and ``dilation`` (height, width) and ``padding`` (top, left,
        bottom, right), with the usual defaults: a convolution's kernel is 1x1, an average's the
        whole input. A convolution has ``channels``, its output's, and perhaps ``group``. The
        keys ``network`` and ``source`` are for who reads the file.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If it is something else; the message names the layer and the key.
    """
    if not isinstance(description, dict) or not isinstance(description.get("layers"), list):
        raise TypeError("The network must be an object with `input` and a list `layers`")
    _refuse_keys("The network", description, {"network", "source", "input", "layers"},
                 {"input", "layers"})
    frame = _integers("The network", "input", description["input"], 3)
    shapes, nodes, before = {"input": tuple(frame)}, [], "input"
    for index, given in enumerate(description["layers"]):
        name = given.get("name") if isinstance(given, dict) else None
        if not isinstance(name, str) or name in shapes:
            raise ValueError(f"Layer {index}: it needs a name of its own")
        subject = f"Layer {name}"
        inputs = given.get("inputs", [before])
        if not isinstance(inputs, list) or not inputs:
            raise TypeError(f"{subject}: inputs must be a list of names")
        for each in inputs:
            if not isinstance(each, str) or each not in shapes:
                raise ValueError(f"{subject}: no layer {each!r} before it")
        layer = _layer(subject, given, shapes[inputs[0]])
        shapes[name] = layer.output_shape(*((1, *shapes[each]) for each in inputs))[1:]
        nodes.append(Node(layer, tuple(inputs), name))
        before = name
    return Network(input="input", input_shape=tuple(frame), input_unsigned=False,
                   nodes=tuple(nodes), output=before)


def _layer(subject, given, shape):
    """The layer of an entry whose first input is of ``shape``."""
    operator = given.get("op")
    if operator not in _KEYS:
        raise ValueError(f"{subject}: op must be one of {', '.join(_KEYS)}, not {operator!r}")
    known, needed = _KEYS[operator]
    _refuse_keys(subject, given, {"name", "op", "inputs", *known}, needed)
    geometry: dict[str, Any] = {key: _integers(subject, key, given[key], count)
                                for key, count in _GEOMETRY.items() if key in given}
    name = given["name"]
    if operator == "add":
        return ElementwiseLayer(name=name, tables=np.zeros((2, 256), int),
                                input_unsigned=(False, False), rounding="half_up")
    if operator != "conv":
        kind = {"max_pool": "max", "average_pool": "sum"}[operator]
        return PoolLayer(name=name, kind=kind, **{"kernel": shape[1:], **geometry})
    outputs, = _integers(subject, "channels", [given["channels"]], 1)
    group, = _integers(subject, "group", [given.get("group", 1)], 1)
    kernel = geometry.pop("kernel", [1, 1])
    if group < 1 or shape[0] % group:
        raise ValueError(f"{subject}: group must divide the {shape[0]} input channels, "
                         f"not be {group}")
    size = outputs, shape[0] // group, *kernel
    if min(size) < 1 or prod(size) > MOST_WEIGHTS:
        raise ValueError(f"{subject}: its weights have shape {size}; there must be 1 to "
                         f"{MOST_WEIGHTS} of them")
    zeros = np.zeros(outputs, int)
    return ConvLayer(name=name, weight=np.zeros(size, np.int8), bias=zeros, multiplier=zeros,
                     shift=zeros, rounding="half_up", group=group, **geometry)


def _refuse_keys(subject, given, known, needed):
    if unknown := given.keys() - known:
        raise ValueError(f"{subject}: unknown key {min(unknown)!r}; keys: "
                         f"{', '.join(sorted(known))}")
    if missing := needed - given.keys():
        raise ValueError(f"{subject}: {min(missing)} is missing")


def _integers(subject, key, values, count):
    """A list of so many integers; True is none."""
    if not isinstance(values, list) or len(values) != count or any(
            type(value) is not int or not 0 <= value < 1 << 20 for value in values):
        raise TypeError(f"{subject}: {key} must be {count} integers from 0 on, not {values!r}"
                        if count > 1 else
                        f"{subject}: {key} must be an integer from 0 on, not {values[0]!r}")
    return values
