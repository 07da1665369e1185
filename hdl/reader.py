"""Activation reader: turns a layer's geometry into reads of activation memory."""

from enum import IntEnum

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .countcheck import CountCheck
from .isa import Instruction, Opcode
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

    def __init__(self, instruction=None):
        super().__init__({"address": (instruction or Instruction()).address_width, "inside": 1,
                          "live": 1, "pad_code": OPERAND_WIDTH, "route": Route})


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
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields. With short ones a layer is not kept, but accepted only when its last
        request has left.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`. On iCE40, which has no LUT RAM, a tile's pixels are in
        block RAM.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        What to read. Only its fields about activations matter.
    taken : ``Out(1)``
        The reading of a layer begins.
    credit : ``In(1)``
        A request may begin in the next cycle.
    begun : ``Out(1)``
        One begins.
    requests : ``Out(stream.Signature(ReadRequest()))``
        The first is offered :meth:`latency` cycles after its layer was taken.
    idle : ``Out(1)``
        No request is still to leave.
    wrong : ``Out(1)``
        The counts of an instruction contradict each other (:class:`hdl.countcheck.CountCheck`).
    """

    LATENCY = 6

    @classmethod
    def latency(cls, instruction):
        """Return that of a reader of such instructions. With short ones it adds in the cycle after
        the move, and compares in that of the request, which takes longer and saves registers."""
        return cls.LATENCY - 2 * instruction.lean

    def __init__(self, *, rows, instruction=None, family="portable"):
        check_range("Rows", rows, 1, 64)
        self.rows = rows
        self.instruction = instruction or Instruction()
        self.family = family
        super().__init__({
            "layers": In(stream.Signature(self.instruction)),
            "taken": Out(1),
            "credit": In(1, init=1),
            "begun": Out(1),
            "requests": Out(stream.Signature(ReadRequest(self.instruction))),
            "idle": Out(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # All stages move on together, or none does.
        advance = ~self.requests.valid | self.requests.ready
        pixels, check = PixelWalker(self.instruction), CountCheck(self.instruction)
        taps = TapWalker(self.instruction, spaced=self.rows > 1)
        m.submodules.pixels = EnableInserter(advance)(pixels)
        m.submodules.taps = EnableInserter(advance)(taps)
        m.submodules.check = check
        free, busy = Signal(init=1), Signal()   # Either, as both have far to go.
        begin, restart = Signal(), Signal()     # A layer begins; it does so in this cycle.
        # Nor is a layer taken meanwhile, since what is on its way still looks at the one before.
        m.d.comb += self.taken.eq(self.layers.valid & free & advance)
        busy_next = Signal()
        layer = self._keep(m, free, busy_next, advance)

        # Whether a request begins; and whether it is that of the last row, or of the first step.
        go, go_last, go_first = (Signal(name=name) for name in ("go", "go_last", "go_first"))
        row = Signal(range(max(2, self.rows)))
        last_row, first_step = Signal(init=self.rows == 1), Signal()
        step, end_row = go & advance, go_last & advance
        last_step, end_layer = self._count(m, layer, free, restart, end_row, go_first & advance,
                                           last_row, pixels, taps, check)
        m.d.comb += [restart.eq(begin & advance), self.begun.eq(step), self.wrong.eq(check.wrong)]
        go_next, last_row_next, first_step_next = (
            Signal(name=name) for name in ("go_next", "last_row_next", "first_step_next"))
        m.d.comb += [
            busy_next.eq(Mux(busy, ~end_layer, self.taken if self.instruction.lean
                             else self.layers.valid & advance)),
            go_next.eq(Mux(go & ~advance, 1,
                           self.credit & busy & ~end_layer & (~begin | advance))),
            last_row_next.eq(Mux(step, row == self.rows - 2, last_row) if self.rows > 1 else 1),
            first_step_next.eq(Mux(restart | end_row, restart | last_step, first_step)),
        ]
        m.d.sync += [
            busy.eq(busy_next), *([] if self.instruction.lean else [free.eq(~busy_next)]),
            begin.eq(Mux(advance, self.layers.valid & free, begin)),
            go.eq(go_next), last_row.eq(last_row_next), first_step.eq(first_step_next),
            go_last.eq(go_next & last_row_next), go_first.eq(go_next & first_step_next),
        ]
        with m.If(step):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))

        waiting = self._requests(m, layer, pixels, taps, row, step, first_step, advance)
        m.d.comb += self.idle.eq(~busy & ~waiting & ~self.requests.valid)
        return m

    def _keep(self, m, free, busy_next, advance):
        """Return the layer that was taken: a copy, or what is still offered."""
        if not self.instruction.lean:
            layer = Signal(self.instruction, reset_less=True)
            m.d.comb += self.layers.ready.eq(free & advance)
            # Its many registers follow `free` by one that nothing else hangs on. That is not reset
            # with it, so that it stays one of its own; there is no layer in the cycle after.
            copying = Signal(init=1, reset_less=True)
            m.d.sync += copying.eq(~busy_next)
            with m.If(copying & advance):
                m.d.sync += layer.eq(self.layers.payload)
            return layer
        with m.If(self.taken):
            m.d.sync += free.eq(0)
        with m.If(self.layers.ready):
            m.d.sync += free.eq(1)
        m.d.sync += self.layers.ready.eq(~free & self.idle & ~self.layers.ready)
        return self.layers.payload

    def _count(self, m, layer, free, restart, end_row, new_pixel, last_row, pixels, taps, check):
        """Count steps, tiles and blocks, and walk; return whether this is the last step of a tile,
        and whether the last request of the layer begins."""
        end_tile, end_block, end_layer = Signal(), Signal(), Signal()
        closing, ending = Signal(), Signal()    # The step is the last of a block; of the layer.
        # So many rows leave time to find out that it is.
        lean = self.instruction.lean
        ahead = self.rows > (3 if lean else 1)
        # Steps are counted as the layer says; the words that it means are what is checked.
        last_step, last_tile, last_block = (
            countdown(m, name, start, clear=free, step=restart | step, lean=lean, spaced=ahead)
            for name, start, step in (("steps", layer.last_step, end_row),
                                      ("tiles", layer.tiles, end_tile),
                                      ("blocks", layer.blocks, end_block)))
        for unit in (pixels, taps, check):
            m.d.comb += [unit.layer.eq(layer), unit.clear.eq(free), unit.restart.eq(restart)]
        domain = m.d.sync if ahead else m.d.comb
        domain += [closing.eq(last_step & last_tile), ending.eq(last_step & last_tile & last_block)]
        m.d.comb += [
            end_tile.eq(end_row & last_step), end_block.eq(end_row & closing),
            end_layer.eq(end_row & ending),
            pixels.advance.eq(new_pixel), pixels.jump.eq(last_row & last_tile),
            taps.advance.eq(end_row),
            check.pixel.eq(new_pixel), check.last_pixel.eq(pixels.last),
            check.step.eq(end_row), check.last_word.eq(taps.last),
            check.last_tile.eq(last_tile), check.end_block.eq(end_block),
        ]
        return last_step, end_layer

    def _requests(self, m, layer, pixels, taps, row, step, first_step, advance):
        """What follows when a request has begun; return whether any is on its way."""
        lean = self.instruction.lean
        valid = Signal(1 if lean else 3)
        first1, row1 = Signal(), Signal.like(row)
        kept = self._kept(m, pixels.pixel, row, row1, valid[0] & first1, advance)
        pixel2, pixel3 = (Signal(Pixel(self.instruction), name=name, reset_less=True)
                          for name in ("pixel2", "pixel3"))
        offset2, y2, x2 = (Signal.like(value, name=name, reset_less=True) for name, value in (
            ("offset2", taps.offset), ("y2", taps.y), ("x2", taps.x)))
        # What is needed of the layer at the end: by then there may be another one, if it is kept.
        shape = data.StructLayout({"height": len(layer.in_height), "width": len(layer.in_width),
                                   "pad_code": OPERAND_WIDTH, "route": Route})
        limits, limits1, limits2 = (Signal(shape, name=name, reset_less=True)
                                    for name in ("limits", "limits1", "limits2"))
        m.d.comb += [limits.height.eq(layer.in_height), limits.width.eq(layer.in_width),
                     limits.pad_code.eq(layer.pad_code)]
        with m.Switch(layer.opcode):
            for opcode, route in _ROUTES.items():
                with m.Case(opcode):
                    m.d.comb += limits.route.eq(route)
        second = [Value.cast(pixel2).eq(Mux(first1, pixels.pixel, kept)),
                  offset2.eq(taps.offset), y2.eq(taps.y), x2.eq(taps.x)]
        if lean:
            m.d.comb += second
        request = self.requests.payload
        beside = [(limits1, limits), (limits2, limits1), (request.pad_code, limits2.pad_code),
                  (request.route, limits2.route)]
        if lean:
            m.d.comb += [register.eq(value) for register, value in beside]
            beside = []
        asked = [
            request.address.eq(pixel3.address), request.live.eq(pixel3.live),
            request.inside.eq((pixel3.y >= 0) & (pixel3.y < limits2.height)
                              & (pixel3.x >= 0) & (pixel3.x < limits2.width)),
        ]
        if lean:
            m.d.comb += asked
            asked = []
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(step, valid[:-1])), self.requests.valid.eq(valid[-1]),
                first1.eq(first_step), row1.eq(row),
                *(register.eq(value) for register, value in beside),
                *([] if lean else second),
                pixel3.address.eq(pixel2.address + offset2), pixel3.live.eq(pixel2.live),
                pixel3.y.eq(pixel2.y + y2), pixel3.x.eq(pixel2.x + x2), *asked,
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
        m.submodules.kept = kept = memory.Memory(
            shape=len(pixel), depth=self.rows, init=[],
            attrs={"ram_style": "block", "no_rw_check": 1} if self.family == "ice40" else {})
        write, read = kept.write_port(), kept.read_port()
        m.d.comb += [
            write.addr.eq(row1), write.data.eq(pixel), write.en.eq(keep & advance),
            read.addr.eq(row), read.en.eq(advance),
        ]
        return read.data
