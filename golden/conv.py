"""Integer reference for 2D convolution (cross-correlation). NumPy only; shares no code with
``hdl``.

The sums are exact although BLAS computes them in floating point: every product and every partial
sum is an integer no larger than a bound worked out beforehand, and the float type is chosen so
that all integers up to that bound are representable. The order of summation therefore cannot
matter.
"""

import numpy as np

from golden.checks import (
    INT8,
    INT32,
    UINT8,
    channel_vector,
    in_range,
    integer,
    integer_array,
    integer_tuple,
)

__all__ = ["PAD_MODES", "conv2d", "output_size", "resolve_padding", "same_padding",
           "windows"]


PAD_MODES = ("valid", "same", "pad")

# Largest im2col matrix held at once, in bytes.
BLOCK_BYTES = 1 << 26


def output_size(size, kernel, *, stride, padding, dilation):
    r"""Output height (or width) of a convolution.

    .. math:: \left\lfloor 1 + \frac{size + before + after - kernel - (kernel - 1)(dilation - 1)}
              {stride} \right\rfloor

    The formula is Conv2d's own, with the two sides of the padding told apart.

    Parameters
    ----------
    size, kernel, stride, dilation : int
        Of one axis; ``size >= 0``, the others at least 1.
    padding : (int, int)
        Zeros before (top or left) and after (bottom or right), each at least 0.

    Raises
    ------
    ValueError
        If a parameter is out of range, or the dilated kernel does not fit the padded input.
    """
    size, kernel = integer("size", size, 0), integer("kernel", kernel, 1)
    stride, dilation = integer("stride", stride, 1), integer("dilation", dilation, 1)
    padded = size + sum(integer_tuple("padding", padding, 2, 0))
    extent = kernel + (kernel - 1) * (dilation - 1)
    if extent > padded:
        raise ValueError(f"The dilated kernel spans {extent}, "
                         f"more than the padded input's {padded}")
    return 1 + (padded - extent) // stride


def same_padding(size, kernel, stride, dilation):
    """Padding (before, after) of one axis with which the output size is ⌈size / stride⌉.

    An odd element goes after, that is to the bottom or right: TensorFlow's and TFLite's SAME,
    ONNX's SAME_UPPER, MindSpore's ``same``. Parameters and errors as in :func:`output_size`.
    """
    size, kernel = integer("size", size, 0), integer("kernel", kernel, 1)
    stride, dilation = integer("stride", stride, 1), integer("dilation", dilation, 1)
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def resolve_padding(pad_mode, padding, *, size, kernel, stride=(1, 1), dilation=(1, 1)):
    """Padding (top, left, bottom, right), ONNX's order, that a pad mode stands for.

    Parameters
    ----------
    pad_mode : str
        ``"valid"``: none; ``"same"``: as in :func:`same_padding`; ``"pad"``: ``padding`` itself.
    padding : (int, int, int, int)
        (top, left, bottom, right); all zero unless ``pad_mode`` is ``"pad"``.
    size, kernel, stride, dilation : (int, int)
        (height, width) each.
    """
    padding = integer_tuple("padding", padding, 4, 0)
    if pad_mode not in PAD_MODES:
        raise ValueError(f"pad_mode must be one of {', '.join(PAD_MODES)}, not {pad_mode!r}")
    if pad_mode == "pad":
        return padding
    if any(padding):
        raise ValueError(f"padding must be zero with pad_mode {pad_mode!r}, not {padding}")
    if pad_mode == "valid":
        return padding
    top, bottom = same_padding(size[0], kernel[0], stride[0], dilation[0])
    left, right = same_padding(size[1], kernel[1], stride[1], dilation[1])
    return top, left, bottom, right


def windows(padded, kernel, *, stride, dilation):
    """Codes under the kernel: a view of shape (N, C, Hout, Wout, kh, kw) of the padded input.

    Parameters
    ----------
    padded : array, shape (N, C, H, W)
    kernel, stride, dilation : (int, int)
        (height, width) each; the dilated kernel fits the input.
    """
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    under = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(2, 3))
    return under[:, :, ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]


def conv2d(x, weight, bias=None, *, stride=(1, 1), pad_mode="valid", padding=(0, 0, 0, 0),
           dilation=(1, 1), group=1, input_zero_point=0):
    r"""Accumulators of a quantised 2D convolution.

    .. math:: acc_{n,j,y,x} = b_j + \sum_{i,k_y,k_x} w_{j,i,k_y,k_x} \cdot (x_{n,i',y',x'} - z_x)

    with :math:`y' = y \cdot stride_h + k_y \cdot dilation_h - top` and likewise for :math:`x'`.
    Padding contributes zero, that is, it holds the code :math:`z_x`. Output channel j sees only
    the input channels of its group.

    Parameters
    ----------
    x : array of integers, shape (N, Cin, H, W)
        Activation codes. int8 and uint8, or any wider integer type with values in [-128, 255].
    weight : array of integers, shape (Cout, Cin / group, kh, kw)
        Values in [-128, 127].
    bias : array of integers, shape (Cout,), or None
        Values in int32; None is zero.
    stride, dilation : (int, int)
        (height, width), each at least 1.
    pad_mode, padding
        As in :func:`resolve_padding`.
    group : int
        Divides Cin and Cout; Cin is depthwise.
    input_zero_point : int
        :math:`z_x`, in [-128, 255].

    Returns
    -------
    array of int64, shape (N, Cout, Hout, Wout)
        Accumulators, which fit int32. Partial sums may leave int32 on the way; an adder that wraps
        modulo 2^32 still ends at the same sum.

    Raises
    ------
    TypeError
        If an operand is not an integer array.
    OverflowError
        If an operand or an accumulator does not fit its width.
    ValueError
        If shapes or parameters do not go together.
    """
    x, weight, group = _operands(x, weight, group)
    stride = integer_tuple("stride", stride, 2, 1)
    dilation = integer_tuple("dilation", dilation, 2, 1)
    zero_point = integer("input_zero_point", input_zero_point, INT8[0], UINT8[1])
    top, left, bottom, right = resolve_padding(pad_mode, padding, size=x.shape[2:],
                                               kernel=weight.shape[2:], stride=stride,
                                               dilation=dilation)
    channels = weight.shape[0]
    bias = np.zeros(channels, np.int64) if bias is None else bias
    bias = channel_vector("bias", bias, channels, *INT32)
    height = output_size(x.shape[2], weight.shape[2], stride=stride[0], padding=(top, bottom),
                         dilation=dilation[0])
    width = output_size(x.shape[3], weight.shape[3], stride=stride[1], padding=(left, right),
                        dilation=dilation[1])
    if x.size == 0:
        return np.broadcast_to(bias[:, None, None], (len(x), channels, height, width)).copy()

    reach = max(int(x.max()) - zero_point, zero_point - int(x.min()))
    bound = reach * int(np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))
    real = exact_float(bound)
    padded = np.zeros((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right), real)
    np.subtract(x, real(zero_point), dtype=real,
                out=padded[:, :, top:top + x.shape[2], left:left + x.shape[3]])
    # A view: nothing is copied yet.
    under = windows(padded, weight.shape[2:], stride=stride, dilation=dilation)
    weight = weight.astype(real)
    sums = _depthwise if weight.shape[1] == 1 < group else _dense
    acc = sums(under, weight, group)
    acc += bias[:, None, None]
    if bound + int(np.abs(bias).max(initial=0)) > INT32[1]:
        in_range("accumulator", acc, *INT32, axis=1)
    return acc


def exact_float(bound):
    """Narrowest float type in which all integers up to ``bound`` in magnitude are exact."""
    if bound < 1 << 24:
        return np.float32
    if bound < 1 << 53:
        return np.float64
    raise OverflowError(f"Sums of up to {bound} are beyond the 53 bits computed exactly")


def _operands(x, weight, group):
    x, weight = integer_array("x", x), integer_array("weight", weight)
    for name, operand in (("x", x), ("weight", weight)):
        if operand.ndim != 4:
            raise ValueError(f"{name} must have 4 dimensions, not shape {operand.shape}")
    in_range("x", x, INT8[0], UINT8[1], axis=1)
    in_range("weight", weight, *INT8, axis=0)
    group = integer("group", group, 1)
    if weight.shape[0] % group:
        raise ValueError(f"group must divide the {weight.shape[0]} output channels, not be {group}")
    if x.shape[1] != weight.shape[1] * group:
        raise ValueError(f"x must have {weight.shape[1]} channels in each of {group} groups, "
                         f"not {x.shape[1]} in all")
    return x, weight, group


def _dense(under, weight, group):
    """Grouped convolution as one matrix product per group (im2col)."""
    frames, channels, height, width, *kernel = under.shape
    depth = channels // group * kernel[0] * kernel[1]
    rows = weight.reshape(group, -1, depth)
    acc = np.empty((frames, weight.shape[0], height, width), np.int64)
    row_bytes = channels * kernel[0] * kernel[1] * width * under.itemsize
    # Whole frames while they fit a block, else some output rows of one frame.
    n_step = max(1, BLOCK_BYTES // (row_bytes * height))
    y_step = max(1, min(height, BLOCK_BYTES // row_bytes))
    for n in range(0, frames, n_step):
        for y in range(0, height, y_step):
            block = under[n:n + n_step, :, y:y + y_step]
            columns = block.transpose(1, 4, 5, 0, 2, 3).reshape(group, depth, -1)
            sums = np.matmul(rows, columns).reshape(weight.shape[0], len(block), -1, width)
            acc[n:n + n_step, :, y:y + y_step] = sums.transpose(1, 0, 2, 3)
    return acc


def _depthwise(under, weight, group):
    """One input channel per group: a matrix product would be a row times a matrix for every
    group, so the taps of all groups are accumulated element by element instead."""
    frames, _, height, width, *kernel = under.shape
    rows = weight.reshape(group, -1, *kernel)
    sums = np.zeros((frames, *rows.shape[:2], height, width), under.dtype)
    product = np.empty_like(sums)
    for ky, kx in np.ndindex(*kernel):
        tap = under[:, :, None, :, :, ky, kx]
        sums += np.multiply(tap, rows[:, :, ky, kx, None, None], out=product)
    return sums.reshape(frames, -1, height, width).astype(np.int64)
