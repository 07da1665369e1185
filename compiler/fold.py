"""Folding of the first layer: taps of its kernel become channels of the frame.

A frame of few channels fills its words badly. The host, which packs it anyway, can put the codes
of several taps into one pixel: those of a window of ``w`` taps along an axis. A kernel of ``k``
taps is then one of fewer, wider taps, ``m <= w`` of the old ones apart, and its stride is gone:
where the stride is 2, pixels that no longer exist need not be sent either.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from compiler.estimate import array_cycles
from golden.layer import ConvLayer
from golden.network import Network, Node

__all__ = ["Fold", "folds_of"]


@dataclass(frozen=True)
class _Axis:
    """How an axis is folded: pixel j, channel i of the new frame is the old padded position
    ``j * stride + i * dilation``; new tap q begins with old tap ``q * spacing``.

    Members
    -------
    window, spacing, taps : int
        Old taps in a pixel, old taps from one new tap to the next, and new taps.
    stride, dilation : int
        Of the new kernel.
    size : int
        Pixels of the new frame.
    padding : (int, int)
        Left to the engine.
    """

    window: int
    spacing: int
    taps: int
    stride: int
    dilation: int
    size: int
    padding: tuple[int, int]

    @classmethod
    def of(cls, window, kernel, stride, dilation, padding, size, out_size):
        """The axis folded by ``window`` taps; None if the taps of the new kernel would lie
        between pixels."""
        if window == 1:
            return cls(1, 1, kernel, stride, dilation, size, padding)
        if window >= kernel:
            return cls(kernel, kernel, 1, 1, 1, out_size, (0, 0))
        for spacing in range(window, 0, -1):
            if spacing * dilation % stride == 0:
                taps = -(-(kernel - window) // spacing) + 1
                step = spacing * dilation // stride
                return cls(window, spacing, taps, 1, step, out_size + (taps - 1) * step, (0, 0))
        return None

    def tap_of(self, old):
        """New tap and place in it of an old tap."""
        tap = min(old // self.spacing, self.taps - 1)
        return tap, old - tap * self.spacing


@dataclass(frozen=True, eq=False)
class Fold:
    """A fold of a convolution without groups.

    Members
    -------
    layer : ConvLayer
        As it was.
    frame_shape : (int, int, int)
        (C, H, W) of a frame, before it is folded.
    rows, columns : _Axis
    """

    layer: ConvLayer
    frame_shape: tuple[int, int, int]
    rows: _Axis
    columns: _Axis

    @property
    def input_shape(self):
        """(C, H, W) of the folded frame."""
        channels = self.layer.weight.shape[1] * self.rows.window * self.columns.window
        return channels, self.rows.size, self.columns.size

    def folded_layer(self):
        """The layer that computes the same of folded frames."""
        old, rows, columns = self.layer, self.rows, self.columns
        outputs, inputs, height, width = old.weight.shape
        weight = np.zeros((outputs, inputs, rows.window, columns.window, rows.taps, columns.taps),
                          np.int8)
        for y, x in np.ndindex(height, width):
            (tap_y, in_y), (tap_x, in_x) = rows.tap_of(y), columns.tap_of(x)
            weight[:, :, in_y, in_x, tap_y, tap_x] = old.weight[:, :, y, x]
        return replace(
            old, weight=weight.reshape(outputs, -1, rows.taps, columns.taps),
            stride=(rows.stride, columns.stride), dilation=(rows.dilation, columns.dilation),
            padding=(rows.padding[0], columns.padding[0], rows.padding[1], columns.padding[1]))

    def apply(self, network):
        """The network whose frames are folded."""
        nodes = tuple(Node(self.folded_layer(), node.inputs, node.output)
                      if node.layer is self.layer else node for node in network.nodes)
        return replace(network, input_shape=self.input_shape, nodes=nodes)

    def fold(self, codes):
        """Fold frames (N, C, H, W)."""
        top, left = self.layer.padding[:2]
        for axis, old, before, stride, dilation in (
                (2, self.rows, top, self.layer.stride[0], self.layer.dilation[0]),
                (4, self.columns, left, self.layer.stride[1], self.layer.dilation[1])):
            codes = self._folded_axis(codes, axis, old, before, stride, dilation)
        # (N, C, H, wy, W, wx) becomes (N, C · wy · wx, H, W).
        codes = codes.transpose(0, 1, 3, 5, 2, 4)
        return codes.reshape(len(codes), *self.input_shape)

    def _folded_axis(self, codes, axis, fold, before, stride, dilation):
        """Split axis ``axis`` into pixels and places in a pixel."""
        if fold.window == 1:
            return np.expand_dims(codes, axis + 1)
        positions = (np.arange(fold.size)[:, None] * stride
                     + np.arange(fold.window) * dilation)
        after = max(0, int(positions.max()) + 1 - before - codes.shape[axis])
        widths = [(0, 0)] * codes.ndim
        widths[axis] = before, after
        padded = np.pad(codes, widths, constant_values=self.layer.input_zero_point)
        return np.take(padded, positions, axis=axis)


def folds_of(network: Network, config, batch) -> Iterator[Fold | None]:
    """Yield ways to fold the first layer, None being not at all, that no other one beats in both
    cycles of the layer and words of the frame; the one of the fewest cycles first."""
    readers = [node for node in network.nodes if network.input in node.inputs]
    layer = readers[0].layer
    options: list[tuple[int, int, Fold | None]] = []
    if len(readers) > 1 or not isinstance(layer, ConvLayer) or layer.group > 1:
        yield None
        return
    out_size = network.shapes()[readers[0].output][1:]
    tiles = -(-batch * out_size[0] * out_size[1] // config.rows)
    blocks = -(-len(layer.weight) // config.columns)
    kernel = layer.weight.shape[2:]
    for window in product(*(range(1, size + 1) for size in kernel)):
        fold = _fold(layer, window, network.input_shape, out_size)
        if fold is None:
            continue
        channels, height, width = fold.input_shape
        words = -(-channels // config.channels)
        cycles = array_cycles(config, tiles=tiles, blocks=blocks,
                              steps=words * fold.rows.taps * fold.columns.taps)
        options.append((cycles, batch * words * height * width,
                        None if window == (1, 1) else fold))
    best = None
    for _, words, fold in sorted(options, key=lambda option: option[:2]):
        if best is None or words < best:
            best = words
            yield fold


def _fold(layer, window, shape, out_size):
    top, left, bottom, right = layer.padding
    axes = [_Axis.of(taps, kernel, stride, dilation, padding, before, after)
            for taps, kernel, stride, dilation, padding, before, after in zip(
                window, layer.weight.shape[2:], layer.stride, layer.dilation,
                ((top, bottom), (left, right)), shape[1:], out_size, strict=True)]
    rows, columns = axes
    return Fold(layer, shape, rows, columns) if rows and columns else None
