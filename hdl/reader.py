"""Activation reader: turns a layer's geometry into reads of activation memory."""

from enum import IntEnum

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction, Opcode
from .layouts import OPERAND_WIDTH
from .walkers import COORDINATE_WIDTH, Pixel, PixelWalker, TapWalker

__all__ = ["ActivationReader", "ReadRequest", "Route"]


class Route(IntEnum):
    """Where an activation word goes."""

    ARRAY = 0
    SENDER = 1
    WINDOW = 2
    VECTOR = 3


#: Where the words of each instruction go.
_ROUTES = {Opcode.CONV: Route.ARRAY, Opcode.SEND: Route.SENDER, Opcode.DEPTHWISE: Route.WINDOW,
           Opcode.VECTOR: Route.VECTOR}


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
    route : :class:`Route`
        Where the word goes.
    """

    def __init__(self):
        super().__init__({"address": ADDRESS_WIDTH, "inside": 1, "live": 1,
                          "pad_code": OPERAND_WIDTH, "route": Route})


class CountCheck(wiring.Component):
    """Compares an instruction's products, which other units count by, with the walk itself.

    ``last_step`` must agree with the words of a tap and the size of the kernel, ``pixels`` with
    the size of the output, and ``tiles`` with both ``pixels`` and the rows of the array; else
    the units would wait for each other for ever.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts.
    restart : ``In(1)``
        A walk begins.
    pixel, last_pixel : ``In(1)``
        A pixel is passed, and it is the last one of the walk.
    step, last_word : ``In(1)``
        A word of all rows is passed, and it is the last one of their taps.
    last_tile : ``In(1)``
        That word belongs to the last tile.
    wrong : ``Out(1)``
        They differ. Stays high until a reset.
    """

    def __init__(self):
        super().__init__({
            "layer": In(Instruction()),
            "restart": In(1),
            "pixel": In(1),
            "last_pixel": In(1),
            "step": In(1),
            "last_word": In(1),
            "last_tile": In(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        steps_left = Signal.like(self.layer.last_step)
        pixels_left = Signal.like(self.layer.pixels)
        finished = Signal()     # The last pixel has been passed.
        finishing = finished | (self.pixel & self.last_pixel)
        with m.If(self.pixel & ~finished):
            m.d.sync += [pixels_left.eq(pixels_left - 1), finished.eq(self.last_pixel)]
            with m.If(self.last_pixel != (pixels_left == 0)):
                m.d.sync += self.wrong.eq(1)
        with m.If(self.step):
            m.d.sync += steps_left.eq(Mux(self.last_word, self.layer.last_step, steps_left - 1))
            with m.If(self.last_word != (steps_left == 0)):
                m.d.sync += self.wrong.eq(1)
            with m.If(self.last_word & (self.last_tile != finishing)):
                m.d.sync += self.wrong.eq(1)
        # The last step of a block of channels is that of a walk, and the next one begins with it.
        with m.If(self.restart):
            m.d.sync += [steps_left.eq(self.layer.last_step), pixels_left.eq(self.layer.pixels),
                         finished.eq(0)]
        return m


class ActivationReader(wiring.Component):
    """Requests the activation words of a layer in the order in which the array takes them.

    For each block of output channels, for each tile of ``rows`` output pixels, for each word of
    a pixel's taps, one request a row. The pixels of a tile are found one by one during its first
    step and go round in a ring for the others, so one request leaves every cycle from the first
    to the last, whatever the stride, padding, dilation or batch.

    The first request leaves four cycles after the layer was accepted.

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Rows of the array.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        What to read. Only its fields about activations matter.
    requests : ``Out(stream.Signature(ReadRequest()))``
    idle : ``Out(1)``
        No request is still to leave.
    wrong : ``Out(1)``
        The counts of an instruction contradict each other (:class:`CountCheck`).
    """

    def __init__(self, *, rows):
        check_range("Rows", rows, 1, 64)
        self.rows = rows
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "requests": Out(stream.Signature(ReadRequest())),
            "idle": Out(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.pixels = pixels = PixelWalker()
        m.submodules.taps = taps = TapWalker()
        m.submodules.check = check = CountCheck()
        layer = Signal(Instruction(), reset_less=True)
        m.d.comb += [unit.layer.eq(layer) for unit in (pixels, taps, check)]

        busy = Signal()
        begin = Signal()        # Of the layer.
        row = Signal(range(max(2, self.rows)))
        tiles_left = Signal.like(layer.tiles)
        blocks_left = Signal.like(layer.blocks)
        origin = Signal(ADDRESS_WIDTH)
        end_block = Signal()    # The walk over the pixels begins anew.
        advance = ~self.requests.valid | self.requests.ready
        m.d.comb += [
            self.layers.ready.eq(~busy),
            pixels.origin.eq(origin), taps.restart.eq(begin),
            *(unit.restart.eq(begin | end_block) for unit in (pixels, check)),
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
            check.pixel.eq(pixels.advance), check.last_pixel.eq(pixels.last),
            check.step.eq(taps.advance), check.last_word.eq(taps.last),
            check.last_tile.eq(tiles_left == 0), self.wrong.eq(check.wrong),
            end_block.eq(end_tile & (tiles_left == 0)),
        ]
        with m.If(step):
            m.d.sync += [
                Value.cast(ring).eq(Cat(*(ring[1:]), pixel)),
                row.eq(Mux(last_row, 0, row + 1)),
            ]
        # `origin` is always that of the block to be walked next.
        with m.If(begin | end_block):
            m.d.sync += [begin.eq(0), origin.eq(origin + layer.block_step)]
        with m.If(end_tile):
            m.d.sync += tiles_left.eq(tiles_left - 1)
        with m.If(end_block):
            m.d.sync += [tiles_left.eq(layer.tiles), blocks_left.eq(blocks_left - 1),
                         busy.eq(blocks_left != 0)]

        waiting = self._requests(m, layer, pixel, taps, step, advance)
        m.d.comb += self.idle.eq(~busy & ~waiting & ~self.requests.valid)
        return m

    def _requests(self, m, layer, pixel, taps, step, advance):
        """Stages 2 and 3: add the tap to the pixel, then see whether it is in the input; return
        whether a request is between them."""
        valid = Signal()
        live = Signal()
        address = Signal(ADDRESS_WIDTH)
        y = Signal(signed(COORDINATE_WIDTH))
        x = Signal(signed(COORDINATE_WIDTH))
        height = Signal.like(layer.in_height)
        width = Signal.like(layer.in_width)
        request = self.requests.payload
        pad_code = Signal.like(layer.pad_code)
        route, next_route = Signal(Route), Signal(Route)
        with m.Switch(layer.opcode):
            for opcode, unit in _ROUTES.items():
                with m.Case(opcode):
                    m.d.comb += next_route.eq(unit)
        with m.If(advance):
            m.d.sync += [
                valid.eq(step), live.eq(pixel.live), address.eq(pixel.address + taps.offset),
                y.eq(pixel.y + taps.y), x.eq(pixel.x + taps.x),
                height.eq(layer.in_height), width.eq(layer.in_width),
                pad_code.eq(layer.pad_code), route.eq(next_route),
                request.pad_code.eq(pad_code), request.route.eq(route),
                self.requests.valid.eq(valid), request.address.eq(address), request.live.eq(live),
                request.inside.eq((y >= 0) & (y < height) & (x >= 0) & (x < width)),
            ]
        return valid
