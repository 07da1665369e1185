"""Pooling, of codes and of reals that are codes."""

from dataclasses import dataclass, replace
from fractions import Fraction

from onnx import TensorProto

from compiler.onnx_file import MICROSOFT
from compiler.onnx_node import INT, INTS, operator
from compiler.onnx_values import Codes, Deferred, Layout, Real
from compiler.onnx_window import POOL_WINDOW, Window, read_window
from golden.onnx_ops import onnx_average_pool
from golden.pool import PoolLayer
from golden.quantisation import Quantisation

__all__ = ["Average"]

AVERAGE = "sum over a window, scaled"
MAXIMUM = "maximum over a window"
LIMITS = "less padding than kernel; SAME only without dilation"
EVEN = ("as many elements in every window: count_include_pad 1 where there is padding, ceil_mode 1 "
        "only where no window goes beyond it")
EQUAL = "calculate with count_include_pad = 1, or without padding"


@dataclass(frozen=True, eq=False, kw_only=True)
class Average(Deferred):
    """Means over windows, to be quantised.

    Members
    -------
    source : Codes
        What is averaged, a feature map.
    quantisation : Quantisation
        Of ``source``.
    window : Window
    taps : int
        What every sum is divided by.
    windowed : bool
        Whether ONNX Runtime's QLinearAveragePool computes it, or would: that adds the zero point
        before it rounds half to even.
    """

    source: Codes
    quantisation: Quantisation
    window: Window
    taps: int
    windowed: bool = False

    def settle(self, output, quantisation):
        """Add the pooling that makes the codes to the network, as tensor ``output``."""
        layer = onnx_average_pool(
            self.node.layer_name(), self.quantisation, quantisation,
            kernel=self.window.kernel, **self.window.fields(), taps=self.taps,
            **self.bounds(quantisation))
        if self.windowed and self.is_fused(quantisation, self.quantisation):
            layer = _with_even_codes(layer, self.taps * Fraction(quantisation.scale)
                                     / Fraction(self.quantisation.scale))
        return self.node.network.add(self.node, layer, (self.source,), output,
                                     layout=self.layout, quantisation=quantisation)


def _with_even_codes(layer, step):
    """A layer whose ties go to the even code, rather than an even number of steps away from the
    zero point: an odd zero point goes into the bias by one step of the output.

    ``step`` is that step in accumulators. If it is no integer, the layer stays as it is.
    """
    if layer.output_zero_point % 2 == 0 or step.denominator != 1:
        return layer
    return replace(layer, bias=layer.bias + int(step),
                   output_zero_point=layer.output_zero_point - 1)


@operator("MaxPool", "X", mapped=MAXIMUM, limits=f"{LIMITS}; storage_order 0; one output",
          **POOL_WINDOW, storage_order=INT)
def max_pool(node):
    """Maxima of windows; of reals, they are those of their codes."""
    node.must_be("storage_order", 0, "leave it out")
    value = node.value("X")
    if isinstance(value, Codes):
        return _maximum(node, value, _map_window(node, value)[0])
    real = node.affine("X")
    window = _map_window(node, real.codes)[0]
    codes = _maximum(node, real.codes, window, real.quantisation)
    return Real.dequantised(codes, real.quantisation)


@operator("GlobalMaxPool", "X", mapped=MAXIMUM)
def global_max_pool(node):
    """Maxima of whole maps."""
    real = node.affine("X")
    size = node.network.map_shape(node, real.codes)[1:]
    codes = _maximum(node, real.codes, _whole(size), real.quantisation)
    return Real.dequantised(codes, real.quantisation)


@operator("AveragePool", "X", mapped=AVERAGE, limits=f"{LIMITS}; {EVEN}", **POOL_WINDOW,
          count_include_pad=INT)
def average_pool(node):
    """Means of windows."""
    return _average(node, node.affine("X"))


@operator("QLinearAveragePool", "X x_scale x_zero_point? y_scale y_zero_point?", domain=MICROSOFT,
          mapped=AVERAGE, limits=f"{LIMITS}; {EVEN}; channels_last 0, no dilations",
          **{key: kind for key, kind in POOL_WINDOW.items() if key != "dilations"},
          count_include_pad=INT, channels_last=INT)
def qlinear_average_pool(node):
    """Means of windows of codes, quantised."""
    node.must_be("channels_last", 0, "export in the layout (N, C, H, W)")
    real = Real.dequantised(*node.quantised("X", "x_scale", "x_zero_point"))
    made = node.quantisation("y_scale", "y_zero_point")
    return _average(node, real).settle(node.output, made)


@operator("GlobalAveragePool", "X", mapped=AVERAGE)
def global_average_pool(node):
    """Means of whole maps."""
    return _global_average(node, node.affine("X"))


@operator("QLinearGlobalAveragePool", "X x_scale x_zero_point y_scale y_zero_point",
          domain=MICROSOFT, mapped=AVERAGE, limits="channels_last 0", channels_last=INT)
def qlinear_global_average_pool(node):
    """Means of whole maps of codes, quantised."""
    node.must_be("channels_last", 0, "export in the layout (N, C, H, W)")
    real = Real.dequantised(*node.quantised("X", "x_scale", "x_zero_point"))
    made = node.quantisation("y_scale", "y_zero_point")
    return _global_average(node, real).settle(node.output, made)


@operator("ReduceMean", "data axes?", mapped=AVERAGE, axes=INTS, keepdims=INT,
          noop_with_empty_axes=INT, limits="over height and width")
def reduce_mean(node):
    """Means over height, width or both."""
    node.must_be("noop_with_empty_axes", 0, "give axes")
    real = node.affine("data")
    channels, *size = node.network.map_shape(node, real.codes)
    axes = node.axes("axes")
    if node.given("axes"):
        axes = tuple(map(int, node.constant("axes", TensorProto.INT64).reshape(-1)))
    axes = tuple(axis + 4 if axis < 0 else axis for axis in axes or ())
    if not axes or not set(axes) <= {2, 3} or len(set(axes)) != len(axes):
        raise node.fault(f"axes {list(axes[:8])} are not 2, 3 or both",
                         "reduce over height and width only")
    kernel = tuple(size[axis - 2] if axis in axes else 1 for axis in (2, 3))
    made = tuple(1 if axis in axes else size[axis - 2] for axis in (2, 3))
    window = Window(kernel, (1, 1), (1, 1), (0, 0, 0, 0), made)
    shape = (channels, *made)
    if not node.flag("keepdims", 1):
        shape = (channels, *(size for axis, size in zip((2, 3), made, strict=True)
                             if axis not in axes))
    return Average(node=node, layout=Layout(shape), source=real.codes,
                   quantisation=real.quantisation, window=window, taps=kernel[0] * kernel[1])


def _map_window(node, codes):
    """A node's window, and the height and width that it slides over."""
    shape = node.network.map_shape(node, codes)
    window, size = read_window(node, shape), shape[1:]
    for side, (pad, taps) in enumerate(zip(window.padding, window.kernel * 2, strict=True)):
        # As ONNX Runtime has it: there would be windows of nothing but padding.
        if pad - window.beyond[side % 2] * (side > 1) >= taps:
            raise node.fault(f"padding of {pad} is not less than the kernel's {taps}",
                             "pad less")
    return window, size


def _maximum(node, codes, window, quantisation=None):
    """Add the layer; its codes stand for what those of its input do."""
    layer = PoolLayer(name=node.layer_name(), kind="max", kernel=window.kernel, **window.fields(),
                      input_unsigned=codes.unsigned, output_unsigned=codes.unsigned)
    known = quantisation or node.network.quantisation(codes.tensor)
    return node.network.add(node, layer, (codes,), node.output, quantisation=known,
                            provisional=quantisation is not None)


def _average(node, real):
    window, size = _map_window(node, real.codes)
    if window.beyond != (0, 0):
        raise node.fault("attribute 'ceil_mode' = 1 adds windows that go beyond the padding",
                         "leave it out, or pad the map")
    taps = window.kernel[0] * window.kernel[1]
    if not node.flag("count_include_pad"):
        taps = window.valid_taps(size)
        if not taps:
            raise node.fault("its windows hold different numbers of elements", EQUAL)
    channels = node.network.shapes[real.codes.tensor][0]
    return Average(node=node, layout=Layout((channels, *window.size)), source=real.codes,
                   quantisation=real.quantisation, window=window, taps=taps, windowed=True)


def _whole(size):
    return Window(tuple(size), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1))


def _global_average(node, real):
    channels, *size = node.network.map_shape(node, real.codes)
    return Average(node=node, layout=Layout((channels, 1, 1)), source=real.codes,
                   quantisation=real.quantisation, window=_whole(size), taps=size[0] * size[1])
