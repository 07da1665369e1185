"""Activation reader: turns a layer's geometry into reads of activation memory."""

from enum import IntEnum

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction, Opcode
from .layouts import OPERAND_WIDTH
from .walkers import Pixel, PixelWalker, TapWalker, countdown

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
        Steady while the walk lasts, and for a cycle more.
    clear, restart : ``In(1)``
        A layer begins, the latter from the cycle after the former on.
    end_block : ``In(1)``
        A walk over the pixels ends.
    pixel, last_pixel : ``In(1)``
        A pixel is passed, and it is the last one of the walk.
    step, last_word : ``In(1)``
        A word of all rows is passed, and it is the last one of their taps.
    last_tile : ``In(1)``
        That word belongs to the last tile.
    wrong : ``Out(1)``
        They differ, found out two cycles later. Stays high until a reset.
    """

    def __init__(self):
        super().__init__({
            "layer": In(Instruction()),
            "clear": In(1),
            "restart": In(1),
            "end_block": In(1),
            "pixel": In(1),
            "last_pixel": In(1),
            "step": In(1),
            "last_word": In(1),
            "last_tile": In(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        restart, end_block, pixel, last_pixel, step, last_word, last_tile = (
            Signal(name=name) for name in ("restart1", "end_block1", "pixel1", "last_pixel1",
                                           "step1", "last_word1", "last_tile1"))
        finished = Signal()     # The last pixel has been passed.
        new_pixel, finishing = Signal(), Signal()
        m.d.comb += [new_pixel.eq(pixel & ~finished),
                     finishing.eq(finished | (pixel & last_pixel))]
        m.d.sync += [
            restart.eq(self.restart), pixel.eq(self.pixel), last_pixel.eq(self.last_pixel),
            step.eq(self.step), last_word.eq(self.last_word), last_tile.eq(self.last_tile),
            end_block.eq(self.end_block), finished.eq(finishing & ~restart & ~end_block),
        ]
        all_steps, all_pixels = (
            countdown(m, name, start, clear=self.clear, step=restart | count)
            for name, start, count in (("steps", self.layer.last_step, step),
                                       ("pixels", self.layer.pixels, new_pixel)))
        with m.If((new_pixel & (last_pixel != all_pixels)) | (step & (last_word != all_steps))
                  | (step & last_word & (last_tile != finishing))):
            m.d.sync += self.wrong.eq(1)
        return m


class ActivationReader(wiring.Component):
    """Requests the activation words of a layer in the order in which the array takes them.

    For each block of output channels, for each tile of ``rows`` output pixels, for each word of
    a pixel's taps, one request a row. The pixels of a tile are found one by one during its first
    step and kept for the others, so one request begins every cycle from the first to the last,
    whatever the stride, padding, dilation or batch.

    Whether a request may begin is known a cycle ahead, and from then on it need not wait for
    anything: so what takes it can, with :attr:`credit`, let begin only what it has room for.

    ::

        cycle  0 begun: rows, taps, tiles and blocks are counted
               1 moved: the pixel, or that of the step before; and the tap
               2 added: the pixel's address and coordinates, and the tap's
               3 seen: whether they are in the input
               4 requested

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Rows of the array.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        What to read. Only its fields about activations matter.
    credit : ``In(1)``
        A request may begin in the next cycle.
    begun : ``Out(1)``
        One begins.
    requests : ``Out(stream.Signature(ReadRequest()))``
        The first is offered :attr:`LATENCY` cycles after its layer was accepted.
    idle : ``Out(1)``
        No request is still to leave.
    wrong : ``Out(1)``
        The counts of an instruction contradict each other (:class:`CountCheck`).
    """

    LATENCY = 6

    def __init__(self, *, rows):
        check_range("Rows", rows, 1, 64)
        self.rows = rows
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "credit": In(1, init=1),
            "begun": Out(1),
            "requests": Out(stream.Signature(ReadRequest())),
            "idle": Out(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # All stages move on together, or none does.
        advance = ~self.requests.valid | self.requests.ready
        pixels, taps, check = PixelWalker(), TapWalker(), CountCheck()
        m.submodules.pixels = EnableInserter(advance)(pixels)
        m.submodules.taps = EnableInserter(advance)(taps)
        m.submodules.check = check
        layer = Signal(Instruction(), reset_less=True)
        free, busy = Signal(init=1), Signal()   # Either, as both have far to go.
        begin, restart = Signal(), Signal()     # A layer begins; it does so in this cycle.
        # Nor is a layer taken meanwhile, since what is on its way still looks at the one before.
        m.d.comb += self.layers.ready.eq(free & advance)
        with m.If(self.layers.ready):
            m.d.sync += layer.eq(self.layers.payload)

        # Whether a request begins; and whether it is that of the last row, or of the first step.
        go, go_last, go_first = (Signal(name=name) for name in ("go", "go_last", "go_first"))
        row = Signal(range(max(2, self.rows)))
        last_row, first_step = Signal(init=self.rows == 1), Signal()
        step, end_row = go & advance, go_last & advance
        last_step, end_layer = self._count(m, layer, free, restart, end_row, go_first & advance,
                                           last_row, pixels, taps, check)
        m.d.comb += [restart.eq(begin & advance), self.begun.eq(step), self.wrong.eq(check.wrong)]
        busy_next, go_next, last_row_next, first_step_next = (
            Signal(name=name) for name in ("busy_next", "go_next", "last_row_next",
                                           "first_step_next"))
        m.d.comb += [
            busy_next.eq(Mux(busy, ~end_layer, self.layers.valid & advance)),
            go_next.eq(Mux(go & ~advance, 1,
                           self.credit & busy & ~end_layer & (~begin | advance))),
            last_row_next.eq(Mux(step, row == self.rows - 2, last_row) if self.rows > 1 else 1),
            first_step_next.eq(Mux(restart | end_row, restart | last_step, first_step)),
        ]
        m.d.sync += [
            busy.eq(busy_next), free.eq(~busy_next),
            begin.eq(Mux(advance, self.layers.valid & free, begin)),
            go.eq(go_next), last_row.eq(last_row_next), first_step.eq(first_step_next),
            go_last.eq(go_next & last_row_next), go_first.eq(go_next & first_step_next),
        ]
        with m.If(step):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))

        waiting = self._requests(m, layer, pixels, taps, row, step, first_step, advance)
        m.d.comb += self.idle.eq(~busy & ~waiting & ~self.requests.valid)
        return m

    def _count(self, m, layer, free, restart, end_row, new_pixel, last_row, pixels, taps, check):
        """Count steps, tiles and blocks, and walk; return whether this is the last step of a tile,
        and whether the last request of the layer begins."""
        end_tile, end_block, end_layer = Signal(), Signal(), Signal()
        # Steps are counted as the layer says; the words that it means are what is checked.
        last_step, last_tile, last_block = (
            countdown(m, name, start, clear=free, step=restart | step)
            for name, start, step in (("steps", layer.last_step, end_row),
                                      ("tiles", layer.tiles, end_tile),
                                      ("blocks", layer.blocks, end_block)))
        for unit in (pixels, taps, check):
            m.d.comb += [unit.layer.eq(layer), unit.clear.eq(free), unit.restart.eq(restart)]
        m.d.comb += [
            end_tile.eq(end_row & last_step), end_block.eq(end_tile & last_tile),
            end_layer.eq(end_block & last_block),
            pixels.advance.eq(new_pixel), pixels.jump.eq(last_row & last_tile),
            taps.advance.eq(end_row),
            check.pixel.eq(new_pixel), check.last_pixel.eq(pixels.last),
            check.step.eq(end_row), check.last_word.eq(taps.last),
            check.last_tile.eq(last_tile), check.end_block.eq(end_block),
        ]
        return last_step, end_layer

    def _requests(self, m, layer, pixels, taps, row, step, first_step, advance):
        """What follows when a request has begun; return whether any is on its way."""
        valid = Signal(3)
        first1, row1 = Signal(), Signal.like(row)
        kept = self._kept(m, pixels.pixel, row, row1, valid[0] & first1, advance)
        pixel2, pixel3 = (Signal(Pixel(), name=name, reset_less=True)
                          for name in ("pixel2", "pixel3"))
        offset2, y2, x2 = (Signal.like(value, name=name, reset_less=True) for name, value in (
            ("offset2", taps.offset), ("y2", taps.y), ("x2", taps.x)))
        # What is needed of the layer at the end: by then there may be another one.
        shape = data.StructLayout({"height": 12, "width": 12, "pad_code": OPERAND_WIDTH,
                                   "route": Route})
        limits, limits1, limits2 = (Signal(shape, name=name, reset_less=True)
                                    for name in ("limits", "limits1", "limits2"))
        m.d.comb += [limits.height.eq(layer.in_height), limits.width.eq(layer.in_width),
                     limits.pad_code.eq(layer.pad_code)]
        with m.Switch(layer.opcode):
            for opcode, route in _ROUTES.items():
                with m.Case(opcode):
                    m.d.comb += limits.route.eq(route)
        request = self.requests.payload
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(step, valid[:-1])), self.requests.valid.eq(valid[-1]),
                first1.eq(first_step), row1.eq(row), limits1.eq(limits), limits2.eq(limits1),
                Value.cast(pixel2).eq(Mux(first1, pixels.pixel, kept)),
                offset2.eq(taps.offset), y2.eq(taps.y), x2.eq(taps.x),
                pixel3.address.eq(pixel2.address + offset2), pixel3.live.eq(pixel2.live),
                pixel3.y.eq(pixel2.y + y2), pixel3.x.eq(pixel2.x + x2),
                request.address.eq(pixel3.address), request.live.eq(pixel3.live),
                request.inside.eq((pixel3.y >= 0) & (pixel3.y < limits2.height)
                                  & (pixel3.x >= 0) & (pixel3.x < limits2.width)),
                request.pad_code.eq(limits2.pad_code), request.route.eq(limits2.route),
            ]
        return valid.any()

    def _kept(self, m, pixel, row, row1, keep, advance):
        """Keep ``pixel`` of ``row1`` if it is to be kept; return that of the ``row`` of the cycle
        before."""
        pixel = Value.cast(pixel)
        if self.rows == 1:
            kept = Signal.like(pixel, reset_less=True)
            with m.If(keep & advance):
                m.d.sync += kept.eq(pixel)
            return kept
        # A row's pixel is read two steps after it was written, or later.
        m.submodules.kept = kept = memory.Memory(shape=len(pixel), depth=self.rows, init=[])
        write, read = kept.write_port(), kept.read_port()
        m.d.comb += [
            write.addr.eq(row1), write.data.eq(pixel), write.en.eq(keep & advance),
            read.addr.eq(row), read.en.eq(advance),
        ]
        return read.data
