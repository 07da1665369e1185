"""Issue: when a step of the reduction begins, and when a finished tile may leave the array."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fifo import StreamRegister
from .layouts import STEP_WIDTH, Tile

__all__ = ["StepIssuer"]


class StepIssuer(wiring.Component):
    """Walks through the steps of each tile.

    A step is ``channels`` cycles of all rows and columns, and it is not interrupted: it starts
    when all its operands are known to be there, and a tile's first step only when the sums of
    the tile before have been captured, or are in that very cycle unless there is a gap. Stalls
    of any input are so turned into idle cycles between steps, and nothing behind this point ever
    waits.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Cycles of a step.
    registered : :class:`bool`
        Whether tiles pass a register first.
    gap : :class:`bool`
        Whether a cycle without operands, that of the capture, lies between two tiles. Only for
        steps of two cycles or more.

    Members
    -------
    tiles : ``In(stream.Signature(Tile()))``
        Tiles to compute. One can begin in the cycle after it went into the register.
    operands_ready : ``In(1)``
        Whether all operands of one more step are there; read between steps.
    capture : ``In(1)``
        The finished tile is captured in this cycle.
    start : ``Out(1)``
        A step begins.
    active, running : ``Out(1)``
        A cycle of a step, the first one included, or left out.
    first : ``Out(1)``
        The first cycle of a tile.
    clear : ``Out(1)``
        There is a gap: a tile is captured, or none is under way.
    unsigned : ``Out(1)``
        Of the tile to which the last started step belongs, in that step.
    finished, renew : ``Out(1)``
        A tile waits to be captured, and whether it wants new coefficients.
    """

    def __init__(self, *, channels, registered=True, gap=False):
        check_range("Channels", channels, 1, 64)
        self.channels = channels
        self.registered = registered
        self.gap = gap
        super().__init__({
            "tiles": In(stream.Signature(Tile())),
            "operands_ready": In(1),
            "capture": In(1),
            "start": Out(1),
            "active": Out(1),
            "running": Out(1),
            "first": Out(1),
            "clear": Out(1),
            "unsigned": Out(1),
            "finished": Out(1),
            "renew": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        waiting = self._waiting(m)
        tile, one_step = waiting.p.tile, waiting.p.one_step
        inside = Signal()                   # Between the first step of a tile and its last.
        steps_left = Signal(STEP_WIDTH, reset_less=True)    # After the step that runs.
        renew, unsigned = Signal(reset_less=True), Signal(reset_less=True)
        phase = Signal(range(max(2, self.channels)), reset_less=True)

        begin_tile = Signal()
        m.d.comb += [
            begin_tile.eq(waiting.valid & (~self.finished | (0 if self.gap else self.capture))),
            self.start.eq(~self.running & self.operands_ready & (inside | begin_tile)),
            self.first.eq(self.start & ~inside),
            self.active.eq(self.start | self.running),
            self.clear.eq(self.capture | ~(inside | self.active | self.finished)),
        ]
        last_phase = Signal(reset_less=True)
        if self.channels > 1:
            # The phase matters only while a step runs, so it need not wait for one to start.
            m.d.sync += [
                phase.eq(Mux(self.running, phase + 1, 1)),
                self.running.eq(self.active & ~last_phase),
                last_phase.eq(Mux(self.running, phase == self.channels - 2,
                                  self.start & (self.channels == 2))),
            ]

        # What is not needed before the next step is done a cycle later, if there is one.
        begun, stepped, changing = self.first, self.start, self.first
        if self.channels > 2:
            begun, stepped = Signal(), Signal()
            m.d.sync += [begun.eq(self.first), stepped.eq(self.start)]
            # Between steps it does not matter whether one starts.
            changing = begun | ~(inside | self.running)

        # `inside` is cleared as the last step starts, so that it tells between steps whether the
        # next one opens a tile.
        running_last = Signal()
        one_left = Signal(reset_less=True)
        with m.If(stepped):
            m.d.sync += [inside.eq(Mux(begun, ~one_step, ~one_left)),
                         running_last.eq(Mux(begun, one_step, one_left))]
        with m.If(begun):
            m.d.sync += [steps_left.eq(tile.last_step), one_left.eq(waiting.p.two_steps),
                         renew.eq(tile.renew), unsigned.eq(tile.unsigned)]
        with m.Elif(stepped):
            m.d.sync += [steps_left.eq(steps_left - 1), one_left.eq(steps_left == 2)]
        m.d.comb += [
            waiting.ready.eq(begun),
            self.unsigned.eq(Mux(changing, tile.unsigned, unsigned)),
        ]

        # A step of one cycle ends in the one in which it starts.
        if self.channels > 1:
            self._finish(m, last_phase & running_last, renew)
        else:
            self._finish(m, self.start & Mux(inside, one_left, one_step),
                         Mux(inside, renew, tile.renew))
        return m

    def _finish(self, m, ends, renew):
        """Tell of a tile that ``ends`` in this cycle until it is captured."""
        last, ending_renew = Signal(), Signal()
        m.d.comb += [last.eq(ends), ending_renew.eq(renew)]
        m.d.sync += self.finished.eq(last | (self.finished & ~self.capture))
        with m.If(last):
            m.d.sync += self.renew.eq(ending_renew)

    def _waiting(self, m):
        """Return the stream of tiles, each with whether it has one step, or two: found out before
        it is looked at, if there is a register."""
        shape = data.StructLayout({"tile": Tile(), "one_step": 1, "two_steps": 1})
        comes = stream.Signature(shape).create()
        m.d.comb += [
            comes.valid.eq(self.tiles.valid), self.tiles.ready.eq(comes.ready),
            comes.p.tile.eq(self.tiles.payload),
            comes.p.one_step.eq(self.tiles.p.last_step == 0),
            comes.p.two_steps.eq(self.tiles.p.last_step == 1),
        ]
        if not self.registered:
            return comes
        m.submodules.tile = register = StreamRegister(shape)
        wiring.connect(m, comes, register.i)
        return register.o
