"""Activation reader: turns a layer's geometry into reads of activation memory."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction, Opcode
from .layouts import OPERAND_WIDTH

__all__ = ["ActivationReader", "ReadRequest"]


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


class ReadRequest(data.StructLayout):
    """One read of activation memory.

    Members
    -------
    address : unsigned
        Word to read.
    inside : 1 bit
        Whether the tap lies in the input; otherwise it is padding.
    live : 1 bit
        Whether the output pixel exists; otherwise it fills the last tile up.
    pad_code : 8 bits
        Code that padding stands for.
    send : 1 bit
        Whether the word goes to the output stream, not to the array.
    """

    def __init__(self):
        super().__init__({"address": ADDRESS_WIDTH, "inside": 1, "live": 1,
                          "pad_code": OPERAND_WIDTH, "send": 1})


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
    """

    def __init__(self):
        super().__init__({
            "layer": In(Instruction()),
            "restart": In(1),
            "advance": In(1),
            "origin": In(ADDRESS_WIDTH),
            "pixel": Out(Pixel()),
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
            "y": Out(COORDINATE_WIDTH - 2),
            "x": Out(COORDINATE_WIDTH - 2),
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


class ActivationReader(wiring.Component):
    """Requests the activation words of a layer in the order in which the array takes them.

    For each block of output channels, for each tile of ``rows`` output pixels, for each word of
    a pixel's taps, one request a row. The pixels of a tile are found one by one during its first
    step and go round in a ring for the others, so one request leaves every cycle from the first
    to the last, whatever the stride, padding, dilation or batch.

    The first request leaves two cycles after the layer was accepted; :attr:`LATENCY` is counted
    from there.

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Rows of the array.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        What to read. Only its fields about activations matter.
    requests : ``Out(stream.Signature(ReadRequest()))``
    done : ``Out(1)``
        The last request of a layer has been accepted.
    """

    def __init__(self, *, rows):
        check_range("Rows", rows, 1, 64)
        self.rows = rows
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "requests": Out(stream.Signature(ReadRequest())),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.pixels = pixels = PixelWalker()
        m.submodules.taps = taps = TapWalker()
        layer = Signal(Instruction())
        m.d.comb += [pixels.layer.eq(layer), taps.layer.eq(layer)]

        busy = Signal()
        begin = Signal()        # Of a block of output channels.
        row = Signal(range(max(2, self.rows)))
        tiles_left = Signal.like(layer.tiles)
        blocks_left = Signal.like(layer.blocks)
        origin = Signal(ADDRESS_WIDTH)
        advance = ~self.requests.valid | self.requests.ready
        m.d.comb += [
            self.layers.ready.eq(~busy),
            pixels.origin.eq(origin), pixels.restart.eq(begin), taps.restart.eq(begin),
        ]
        with m.If(self.layers.valid & self.layers.ready):
            m.d.sync += [
                layer.eq(self.layers.payload), busy.eq(1), begin.eq(1), row.eq(0),
                origin.eq(self.layers.p.base), tiles_left.eq(self.layers.p.tiles),
                blocks_left.eq(self.layers.p.blocks),
            ]

        # Stage 1: the pixel of this row, new in a tile's first step, else from the ring.
        step = Signal()         # A request leaves this stage.
        ring = Signal(data.ArrayLayout(Pixel(), self.rows), reset_less=True)
        pixel = Signal(Pixel())
        last_row = row == self.rows - 1
        end_tile = step & last_row & taps.last
        m.d.comb += [
            step.eq(busy & ~begin & advance),
            Value.cast(pixel).eq(Mux(taps.first, pixels.pixel, ring[0])),
            pixels.advance.eq(step & taps.first),
            taps.advance.eq(step & last_row),
        ]
        with m.If(step):
            m.d.sync += [
                Value.cast(ring).eq(Cat(*(ring[1:]), pixel)),
                row.eq(Mux(last_row, 0, row + 1)),
            ]
        with m.If(begin):
            m.d.sync += begin.eq(0)
        with m.If(end_tile):
            m.d.sync += tiles_left.eq(tiles_left - 1)
            with m.If(tiles_left == 0):
                m.d.sync += [
                    tiles_left.eq(layer.tiles), blocks_left.eq(blocks_left - 1),
                    origin.eq(origin + layer.block_step), begin.eq(blocks_left != 0),
                    busy.eq(blocks_left != 0),
                ]

        self._requests(m, layer, pixel, taps, step, advance)
        m.d.comb += self.done.eq(end_tile & (tiles_left == 0) & (blocks_left == 0))
        return m

    def _requests(self, m, layer, pixel, taps, step, advance):
        """Stages 2 and 3: add the tap to the pixel, then see whether it is in the input."""
        valid = Signal()
        live = Signal()
        address = Signal(ADDRESS_WIDTH)
        y = Signal(signed(COORDINATE_WIDTH))
        x = Signal(signed(COORDINATE_WIDTH))
        height = Signal.like(layer.in_height)
        width = Signal.like(layer.in_width)
        request = self.requests.payload
        pad_code = Signal.like(layer.pad_code)
        send = Signal()
        with m.If(advance):
            m.d.sync += [
                valid.eq(step), live.eq(pixel.live), address.eq(pixel.address + taps.offset),
                y.eq(pixel.y + taps.y), x.eq(pixel.x + taps.x),
                height.eq(layer.in_height), width.eq(layer.in_width),
                pad_code.eq(layer.pad_code), send.eq(layer.opcode == Opcode.SEND),
                request.pad_code.eq(pad_code), request.send.eq(send),
                self.requests.valid.eq(valid), request.address.eq(address), request.live.eq(live),
                request.inside.eq((y >= 0) & (y < height) & (x >= 0) & (x < width)),
            ]
