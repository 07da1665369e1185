"""Walks over a layer's output pixels and over the taps of each."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .fabric import counted_down, counted_on
from .isa import Instruction

__all__ = ["Pixel", "PixelWalker", "TapWalker", "countdown", "countdown_ahead"]


def countdown(m, name, start, *, clear, step, lean=False, spaced=False):
    """Return whether a count of steps is at its last one: a register, the sign of what is left; or
    where ``lean`` whether nothing is left, which takes longer to know and fewer cells to count; or
    a register of that if steps are ``spaced``, that is, at least two cycles apart.

    Parameters
    ----------
    m : Module
        Module to add to.
    name : str
        Of what is counted.
    start : Value
        Steps, less one. Looked at when the count begins, also when it does so anew.
    clear : Value, 1 bit
        Forget the count. If steps are ``spaced``, one has to begin in the cycle after.
    step : Value, 1 bit
        Count; or begin, after ``clear`` and after the last one.
    lean, spaced : bool
    """
    start = Value.cast(start)
    if lean:
        left = Signal.like(start, name=f"{name}_left", reset_less=True)
        last = Signal(name=f"{name}_last", reset_less=True)
        if spaced:
            # Less one, there is no carry if nothing is left; nor after that, until it begins anew.
            less = left + (~last).replicate(len(left))
            m.d.sync += last.eq(clear | ~(less[-1] | (step & last)))
            with m.If(step):
                m.d.sync += left.eq(Mux(last, start, less))
            return last
        m.d.comb += last.eq(left == 0)
        with m.If(clear):
            m.d.sync += left.eq(0)
        with m.Elif(step):
            m.d.sync += left.eq(counted_down(left, last, start))
        return last
    # Less one. An ECP5 register can be set to what it is configured with, and to nothing else.
    left = Signal(signed(len(start) + 1), name=f"{name}_left", init=-1,
                  reset_less=True)
    last = left[-1]
    with m.If(clear):
        m.d.sync += left.eq(-1)
    with m.Elif(step):
        m.d.sync += left.eq(Mux(last, start, left) - 1)
    return last


def countdown_ahead(m, name, start, *, restart, step, late):
    """Return whether a count of steps is at its last one: a register, for which little has to be
    known as it is set, since what it becomes after the next step has been found out before.

    Parameters
    ----------
    m, name, start
        As of :func:`countdown`.
    restart : Value, 1 bit
        Begin the count.
    step : Value, 1 bit
        Count, from the last step to the first.
    late : bool
        Steps are at least four cycles apart, and so what is behind the register may be late.
    """
    left = Signal.like(start, name=f"{name}_left", reset_less=True)
    last, last_after = (Signal(name=f"{name}_{what}") for what in ("last", "last_after"))
    move, again = restart | step, restart | last
    with m.If(move):
        m.d.sync += last.eq(Mux(again, start == 0, last_after))
    if late:
        moved, anew = (Signal(name=f"{name}_{what}") for what in ("moved", "anew"))
        m.d.sync += [moved.eq(move), anew.eq(again), last_after.eq(left == 1)]
        move, again = moved, anew
    with m.If(move):
        if late:
            m.d.sync += left.eq(counted_on(left, again, start, -1))
        else:
            m.d.sync += [left.eq(Mux(again, start, left - 1)),
                         last_after.eq(Mux(again, start == 1, left == 2))]
    return last


class Pixel(data.StructLayout):
    """An output pixel, seen from the input: address and coordinates of its first tap."""

    def __init__(self, instruction=None):
        instruction = instruction or Instruction()
        super().__init__({
            "address": instruction.address_width,
            "y": signed(instruction.coordinate_width),
            "x": signed(instruction.coordinate_width),
            "live": 1,
        })


class PixelWalker(wiring.Component):
    """Walks over the output pixels of a layer: columns, rows, frames, blocks of output channels.

    How to move is decided in one cycle and done in the next, so that neither takes long.

    Parameters
    ----------
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts, and for a cycle more.
    clear : ``In(1)``
        Forget the walk.
    restart : ``In(1)``
        Go to the first pixel, from the cycle after ``clear`` on.
    advance : ``In(1)``
        Go to the next one. After the last of a block, pixels are not live.
    jump : ``In(1)``
        If advancing, go to the first pixel of the next block, which must not be before the last
        one of this.
    last : ``Out(1)``
        This is the last one of its block.
    pixel : ``Out(Pixel())``
        The pixel of the cycle before.
    """

    def __init__(self, instruction=None):
        self.instruction = instruction or Instruction()
        super().__init__({
            "layer": In(self.instruction),
            "clear": In(1),
            "restart": In(1),
            "advance": In(1),
            "jump": In(1),
            "last": Out(1),
            "pixel": Out(Pixel(self.instruction)),
        })

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        done = Signal()         # The last pixel has been passed.
        walk, next_row, next_frame = Signal(), Signal(), Signal()
        batches = "frames" in self.instruction.members
        last_x, last_y, last_frame = (
            countdown(m, name, start, clear=self.clear, step=self.restart | step,
                      lean=self.instruction.lean)
            for name, start, step in (("x", layer.out_width, walk),
                                      ("y", layer.out_height, next_row),
                                      ("frames", layer.frames if batches else C(0, 1),
                                       next_frame)))
        next_block = self.advance & self.jump
        m.d.comb += [
            walk.eq(self.advance & ~done), next_row.eq(walk & last_x),
            next_frame.eq(walk & last_x & last_y), self.last.eq(last_x & last_y & last_frame),
        ]
        with m.If(self.restart | next_block):
            m.d.sync += done.eq(0)
        with m.Elif(walk & self.last):
            m.d.sync += done.eq(1)
        m.d.sync += self.pixel.live.eq(~done)
        self._move(m, walk, next_row, next_frame, next_block)
        return m

    def _move(self, m, *moves):
        """Do what was decided in the cycle before; a new line is also that of a frame or block."""
        layer, pixel = self.layer, self.pixel
        walk, next_row, next_frame, next_block = moves
        moving, line, frame, block = (
            Signal(name=name) for name in ("moving", "line", "frame", "block"))
        restart = self.restart | next_block
        m.d.sync += [
            moving.eq(restart | walk), line.eq(restart | next_row),
            frame.eq(restart | next_frame), block.eq(restart),
        ]

        origin, row_start, frame_start = (     # Where the block, row and frame after this begin.
            Signal.like(pixel.address, name=name, reset_less=True)
            for name in ("origin", "row_start", "frame_start"))
        start = Signal.like(pixel.address)
        batches, lean = "frames" in self.instruction.members, self.instruction.lean
        # Whether it is of the same block, and frame: registers that nothing else hangs on.
        in_block, in_frame = Signal(), Signal()
        domain = m.d.comb if lean else m.d.sync
        domain += ([in_block.eq(~block), in_frame.eq(~frame)] if lean else
                   [in_block.eq(~restart), in_frame.eq(~(restart | next_frame))])
        m.d.comb += start.eq(Mux(in_frame, row_start, Mux(in_block, frame_start, origin)) if batches
                             else Mux(in_block, row_start, origin))
        with m.If(self.restart):
            m.d.sync += origin.eq(layer.base)
        with m.Elif(block):
            m.d.sync += origin.eq(origin + layer.block_step)
        with m.If(frame):
            m.d.sync += [
                frame_start.eq(Mux(block, origin, frame_start)
                               + (layer.frame_step if batches else 0)),
                pixel.y.eq(-layer.pad_top),
            ]
        with m.Elif(line):
            m.d.sync += pixel.y.eq(pixel.y + layer.stride_y)
        next_row = start + layer.y_step
        if not lean:
            # So what is chosen from is no longer in front of an adder.
            second = self._second_row(m, in_block, origin, frame_start if batches else None)
            next_row = Mux(in_frame if batches else in_block, row_start + layer.y_step, second)
        with m.If(line):
            m.d.sync += row_start.eq(next_row)
        with m.If(moving):
            m.d.sync += [
                pixel.address.eq(Mux(line, start, pixel.address + layer.x_step)),
                pixel.x.eq(Mux(line, -layer.pad_left, pixel.x + layer.stride_x)),
            ]

    def _second_row(self, m, in_block, origin, frame_start):
        """Return where the second row begins of the frame that begins, or of the block; found out
        while it is waited for. It is late where they follow each other in each cycle, but these
        have no second row."""
        layer = self.layer
        in_origin = Signal.like(origin, name="second_of_block", reset_less=True)
        m.d.sync += in_origin.eq(Mux(self.restart, layer.base, origin) + layer.y_step)
        if frame_start is None:
            return in_origin
        in_frame = Signal.like(origin, name="second_of_frame", reset_less=True)
        m.d.sync += in_frame.eq(frame_start + layer.y_step)
        return Mux(in_block, in_frame, in_origin)


class TapWalker(wiring.Component):
    """Walks over the words of an output pixel: words of a tap, kernel columns, kernel rows.

    How to move is decided in one cycle and done in the next, so that neither takes long.

    Parameters
    ----------
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.
    spaced : :class:`bool`
        Whether it moves every other cycle at most.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts, and for a cycle more.
    clear : ``In(1)``
        Forget the walk.
    restart : ``In(1)``
        Go to the first word, from the cycle after ``clear`` on.
    advance : ``In(1)``
        Go to the next one, from the last to the first.
    last : ``Out(1)``
        Whether this is the last word.
    offset : ``Out``
        Address of the word of the cycle before, from the pixel's first tap.
    y, x : ``Out``
        Its coordinates from the pixel's first tap.
    """

    def __init__(self, instruction=None, *, spaced=False):
        self.instruction = instruction or Instruction()
        self.spaced = spaced
        span = range(self.instruction.tap_span)
        super().__init__({
            "layer": In(self.instruction),
            "clear": In(1),
            "restart": In(1),
            "advance": In(1),
            "last": Out(1),
            "offset": Out(self.instruction.address_width),
            "y": Out(span),
            "x": Out(span),
        })

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        next_column, next_row = Signal(), Signal()
        last_word, last_column, last_row = (
            countdown(m, name, start, clear=self.clear, step=self.restart | step,
                      lean=self.instruction.lean, spaced=self.spaced)
            for name, start, step in (("words", layer.tap_words, self.advance),
                                      ("columns", layer.kernel_width, next_column),
                                      ("rows", layer.kernel_height, next_row)))
        m.d.comb += [
            next_column.eq(self.advance & last_word),
            next_row.eq(self.advance & last_word & last_column),
            self.last.eq(last_word & last_column & last_row),
        ]

        # Do what was decided in the cycle before; the first word is in a new row and column.
        moving, first, column, row = (
            Signal(name=name) for name in ("moving", "to_first", "to_column", "to_row"))
        m.d.sync += [
            moving.eq(self.restart | self.advance),
            first.eq(self.restart | (self.advance & self.last)),
            column.eq(self.restart | next_column), row.eq(self.restart | next_row),
        ]
        row_start, column_start = (         # Where the row and column after this begin.
            Signal.like(self.offset, name=name, reset_less=True)
            for name in ("row_start", "column_start"))
        start = Signal.like(self.offset)
        m.d.comb += start.eq(Mux(first, 0, Mux(row, row_start, column_start)))
        with m.If(row):
            m.d.sync += [
                row_start.eq(Mux(first, 0, row_start) + layer.tap_y_step),
                self.y.eq(Mux(first, 0, self.y + layer.dilation_y)),
            ]
        with m.If(column):
            m.d.sync += [
                column_start.eq(start + layer.tap_x_step),
                self.x.eq(Mux(row, 0, self.x + layer.dilation_x)),
            ]
        with m.If(moving):
            m.d.sync += self.offset.eq(Mux(column, start, self.offset + 1) if self.instruction.lean
                                       else counted_on(self.offset, column, start, 1))
        return m
