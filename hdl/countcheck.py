"""A check of an instruction's counts against the walk that it describes."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .isa import Instruction
from .walkers import countdown

__all__ = ["CountCheck"]


class CountCheck(wiring.Component):
    """Compares an instruction's products, which other units count by, with the walk itself.

    ``last_step`` must agree with the words of a tap and the size of the kernel, ``pixels`` with
    the size of the output, and ``tiles`` with both ``pixels`` and the rows of the array; else
    the units would wait for each other for ever.

    Parameters
    ----------
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.

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
        They differ, found out three cycles later, or two if lean. Stays high until a reset.
    """

    def __init__(self, instruction=None):
        instruction = instruction or Instruction()
        self.lean = instruction.lean
        super().__init__({
            "layer": In(instruction),
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
            countdown(m, name, start, clear=self.clear, step=restart | count, lean=self.lean)
            for name, start, count in (("steps", self.layer.last_step, step),
                                       ("pixels", self.layer.pixels, new_pixel)))
        found = Signal()
        domain = m.d.comb if self.lean else m.d.sync
        domain += found.eq((new_pixel & (last_pixel != all_pixels)) | (step & (
            (last_word != all_steps) | (last_word & (last_tile != finishing)))))
        with m.If(found):
            m.d.sync += self.wrong.eq(1)
        return m
