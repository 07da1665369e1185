"""Kernels that slide over feature maps: the attributes of convolution and pooling."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.onnx_network import MAX_ELEMENTS
from compiler.onnx_node import INT, INTS, STRING

__all__ = ["AUTO_PADS", "WINDOW", "Window", "read_window"]

WINDOW: dict[str, Any] = {"auto_pad": STRING, "dilations": INTS, "kernel_shape": INTS, "pads": INTS,
          "strides": INTS}
"""Kinds of the attributes that all of these operators have."""

POOL_WINDOW: dict[str, Any] = {**WINDOW, "ceil_mode": INT}

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

MAX_TAPS = 1 << 16
"""The longest side of a window for which the padding under it is counted."""


@dataclass(frozen=True)
class Window:
    """Where a kernel goes.

    Members
    -------
    kernel, stride, dilation : (int, int)
        (height, width).
    padding : (int, int, int, int)
        (top, left, bottom, right), ONNX's own order; what ``ceil_mode`` reads beyond the model's
        padding is in here.
    size : (int, int)
        Height and width of the output.
    beyond : (int, int)
        Rows and columns of the padding that only ``ceil_mode`` adds.
    """

    kernel: tuple
    stride: tuple
    dilation: tuple
    padding: tuple
    size: tuple
    beyond: tuple = (0, 0)

    def fields(self) -> dict[str, Any]:
        """Keywords of a golden layer."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def valid_taps(self, size):
        """How many taps are not in the padding, over an input of height and width ``size``.

        None if that is not the same for all windows, or too much to find out.
        """
        taps = 1
        for axis in (0, 1):
            before, after = self.padding[axis], self.padding[axis + 2]
            kernel, count = self.kernel[axis], self.size[axis]
            if before or after:
                if max(kernel, count) > MAX_TAPS or kernel * count > 1 << 24:
                    return None
                places = (np.arange(count)[:, None] * self.stride[axis] - before
                          + np.arange(kernel) * self.dilation[axis])
                valid = np.unique(((places >= 0) & (places < size[axis])).sum(axis=1))
                if len(valid) > 1:
                    return None
                kernel = int(valid[0])
            taps *= kernel
        return taps


def read_window(node, shape, *, kernel=None):
    """Read a node's `Window` over an input of channels, height and width ``shape``.

    Parameters
    ----------
    node : Node
    shape : (int, int, int)
    kernel : (int, int), or None
        Of the weights; None where the attribute ``kernel_shape`` says it.

    Raises
    ------
    ModelError
        If an attribute is wrong or not supported, or the kernel does not fit.
    """
    stride = node.integers("strides", 2, low=1, default=(1, 1))
    dilation = node.integers("dilations", 2, low=1, default=(1, 1))
    told = node.integers("kernel_shape", 2, low=1, default=kernel)
    if told is None:
        raise node.fault("attribute 'kernel_shape' is missing", "export the model again")
    if kernel is not None and told != kernel:
        raise node.fault(f"attribute 'kernel_shape' = {list(told)} is not the weights' "
                         f"{list(kernel)}", "make them agree")
    size = shape[1:]
    padding = _padding(node, size, told, stride, dilation)
    around = [size[axis] + padding[axis] + padding[axis + 2] for axis in (0, 1)]
    if math.prod((shape[0], *around)) > MAX_ELEMENTS:
        raise node.fault(f"its padded input of shape {(shape[0], *around)} is too large",
                         f"keep feature maps to {MAX_ELEMENTS} elements")
    result, beyond = [], []
    for axis in (0, 1):
        extent = (told[axis] - 1) * dilation[axis] + 1
        if around[axis] < extent:
            raise node.fault(f"the kernel spans {extent} elements of {around[axis]}",
                             "reduce kernel or dilation, or pad more")
        count, rest = divmod(around[axis] - extent, stride[axis])
        # A window that would begin in the padding behind the map is left out.
        more = (node.flag("ceil_mode") and rest > 0
                and (count + 1) * stride[axis] < size[axis] + padding[axis])
        result.append(count + 1 + more)
        beyond.append(stride[axis] - rest if more else 0)
    top, left, bottom, right = padding
    return Window(tuple(told), stride, dilation,
                  (top, left, bottom + beyond[0], right + beyond[1]), tuple(result),
                  tuple(beyond))


def _padding(node, size, kernel, stride, dilation):
    """(top, left, bottom, right), ONNX's own order."""
    mode = node.text("auto_pad", AUTO_PADS)
    if mode != "NOTSET" and node.has("pads"):
        raise node.fault(f"attribute 'auto_pad' = '{mode}' excludes 'pads'",
                         "export with one of them")
    if mode == "NOTSET":
        return node.integers("pads", 4, low=0, default=(0, 0, 0, 0),
                             remedy="export a 2D network that pads on four sides and crops nothing")
    if mode != "NOTSET" and node.flag("ceil_mode"):
        raise node.fault(f"attribute 'auto_pad' = '{mode}' with 'ceil_mode' = 1 is not supported",
                         "export explicit 'pads'")
    if mode == "VALID":
        return (0, 0, 0, 0)
    if dilation != (1, 1):
        raise node.fault(f"attribute 'auto_pad' = '{mode}' with 'dilations' = "
                         f"{list(dilation)} is not supported", "export explicit 'pads'")
    heads, tails = [], []
    for length, taps, step in zip(size, kernel, stride, strict=True):
        total = (-(-length // step) - 1) * step + taps - length
        if total < -1:
            # ONNX Runtime would crop the first rows or columns here; others do not.
            raise node.fault(f"attribute 'auto_pad' = '{mode}' with stride {step} over a "
                             f"kernel of {taps} is ambiguous", "export explicit 'pads'")
        total = max(total, 0)
        heads.append((total + 1) // 2 if mode == "SAME_LOWER" else total // 2)
        tails.append(total - heads[-1])
    return (*heads, *tails)
