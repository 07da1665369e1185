"""Walks over a layer's output pixels and over the taps of each."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .isa import ADDRESS_WIDTH, TAP_SPAN, Instruction

__all__ = ["COORDINATE_WIDTH", "Pixel", "PixelWalker", "TapWalker"]


#: Bits of an input coordinate, which may lie in the padding on either side.
COORDINATE_WIDTH = 14


class Pixel(data.StructLayout):
    """An output pixel, seen from the input: address and coordinates of its first tap."""

    def __init__(self):
        super().__init__({
            "address": ADDRESS_WIDTH,
            "y": signed(COORDINATE_WIDTH),
            "x": signed(COORDINATE_WIDTH),
            "live": 1,
        })


class PixelWalker(wiring.Component):
    """Walks over the output pixels of a layer: columns, then rows, then frames.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts.
    restart : ``In(1)``
        Go to the first pixel; ``origin`` is its address.
    advance : ``In(1)``
        Go to the next one. After the last, ``pixel.live`` is low.
    origin : ``In(ADDRESS_WIDTH)``
    pixel : ``Out(Pixel())``
    last : ``Out(1)``
        This is the last one.
    """

    def __init__(self):
        super().__init__({
            "layer": In(Instruction()),
            "restart": In(1),
            "advance": In(1),
            "origin": In(ADDRESS_WIDTH),
            "pixel": Out(Pixel()),
            "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layer, pixel = self.layer, self.pixel
        row_start = Signal(ADDRESS_WIDTH)
        frame_start = Signal(ADDRESS_WIDTH)
        x_left = Signal.like(layer.out_width)
        y_left = Signal.like(layer.out_height)
        frames_left = Signal.like(layer.frames)
        next_row = Signal(ADDRESS_WIDTH)
        next_frame = Signal(ADDRESS_WIDTH)
        m.d.comb += [
            next_row.eq(row_start + layer.y_step),
            next_frame.eq(frame_start + layer.frame_step),
            self.last.eq((x_left == 0) & (y_left == 0) & (frames_left == 0)),
        ]
        first_x, first_y = -layer.pad_left, -layer.pad_top
        with m.If(self.restart):
            m.d.sync += [
                pixel.eq(Cat(self.origin, Const(0, 2 * COORDINATE_WIDTH), C(1, 1))),
                pixel.x.eq(first_x), pixel.y.eq(first_y),
                row_start.eq(self.origin), frame_start.eq(self.origin),
                x_left.eq(layer.out_width), y_left.eq(layer.out_height),
                frames_left.eq(layer.frames),
            ]
        with m.Elif(self.advance):
            with m.If(x_left != 0):
                m.d.sync += [
                    x_left.eq(x_left - 1),
                    pixel.x.eq(pixel.x + layer.stride_x),
                    pixel.address.eq(pixel.address + layer.x_step),
                ]
            with m.Else():
                m.d.sync += [x_left.eq(layer.out_width), pixel.x.eq(first_x)]
                with m.If(y_left != 0):
                    m.d.sync += [
                        y_left.eq(y_left - 1),
                        pixel.y.eq(pixel.y + layer.stride_y),
                        pixel.address.eq(next_row), row_start.eq(next_row),
                    ]
                with m.Else():
                    m.d.sync += [
                        y_left.eq(layer.out_height), pixel.y.eq(first_y),
                        frames_left.eq(frames_left - 1),
                        pixel.address.eq(next_frame), row_start.eq(next_frame),
                        frame_start.eq(next_frame),
                    ]
                    with m.If(frames_left == 0):
                        m.d.sync += pixel.live.eq(0)
        return m


class TapWalker(wiring.Component):
    """Walks over the words of an output pixel: words of a tap, kernel columns, kernel rows.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts.
    restart, advance : ``In(1)``
        Go to the first word; go to the next one, from the last to the first.
    offset : ``Out(ADDRESS_WIDTH)``
        Address from the pixel's first tap.
    y, x : ``Out``
        Coordinates from the pixel's first tap.
    first, last : ``Out(1)``
        Whether this is the first word, and the last.
    """

    def __init__(self):
        super().__init__({
            "layer": In(Instruction()),
            "restart": In(1),
            "advance": In(1),
            "offset": Out(ADDRESS_WIDTH),
            "y": Out(range(TAP_SPAN)),
            "x": Out(range(TAP_SPAN)),
            "first": Out(1),
            "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        word = Signal.like(layer.tap_words)
        column = Signal.like(layer.kernel_width)
        row = Signal.like(layer.kernel_height)
        tap_start = Signal(ADDRESS_WIDTH)
        row_start = Signal(ADDRESS_WIDTH)
        next_tap = Signal(ADDRESS_WIDTH)
        next_row = Signal(ADDRESS_WIDTH)
        last_word, last_column, last_row = Signal(), Signal(), Signal()
        m.d.comb += [
            next_tap.eq(tap_start + layer.tap_x_step),
            next_row.eq(row_start + layer.tap_y_step),
            last_word.eq(word == layer.tap_words),
            last_column.eq(column == layer.kernel_width),
            last_row.eq(row == layer.kernel_height),
            self.last.eq(last_word & last_column & last_row),
        ]
        with m.If(self.restart | (self.advance & self.last)):
            m.d.sync += [signal.eq(0) for signal in (
                word, column, row, tap_start, row_start, self.offset, self.x, self.y)]
            m.d.sync += self.first.eq(1)
        with m.Elif(self.advance):
            m.d.sync += [self.first.eq(0), word.eq(word + 1), self.offset.eq(self.offset + 1)]
            with m.If(last_word):
                m.d.sync += [
                    word.eq(0), column.eq(column + 1), self.x.eq(self.x + layer.dilation_x),
                    self.offset.eq(next_tap), tap_start.eq(next_tap),
                ]
                with m.If(last_column):
                    m.d.sync += [
                        column.eq(0), self.x.eq(0),
                        row.eq(row + 1), self.y.eq(self.y + layer.dilation_y),
                        self.offset.eq(next_row), tap_start.eq(next_row), row_start.eq(next_row),
                    ]
        return m
