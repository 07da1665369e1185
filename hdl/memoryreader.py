"""What the readers of operands have in common: how they take layers, and a memory."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import StreamedMemory
from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction
from .singleport import HeldMemory

__all__ = ["MemoryReader", "begin_layer"]


def begin_layer(m, layers, active, end, waiting=None):
    """Take a layer when there is none, until ``end``. Return whether there is none, when what is
    needed of ``layers`` is to be copied; whether the layer that was taken begins; and whether it
    is active in the next cycle: ``active`` is then.

    A lean engine copies nothing: the layer is accepted when it has come to its end, and nothing of
    it is ``waiting`` for somebody."""
    free, begin, active_next = Signal(init=1), Signal(), Signal()
    if layers.p.shape().lean:
        accepted = ~(free | begin | active | waiting)
        m.d.comb += layers.ready.eq(accepted)
        m.d.sync += free.eq(Mux(free, ~layers.valid, accepted))
    else:
        m.d.comb += layers.ready.eq(free)
        m.d.sync += free.eq(Mux(free, ~layers.valid, end))
    m.d.comb += active_next.eq(begin | (active & ~end))
    m.d.sync += [begin.eq(layers.valid & free), active.eq(active_next)]
    return free, begin, active_next


class MemoryReader(wiring.Component):
    """Common to the readers of weights and of coefficients: a memory, and its write port.

    Parameters
    ----------
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        Accepted as soon as the layer before has been read to its end; by a lean engine, which keeps
        no copy, when this one has.
    write_en, write_address, write_data : ``In``
        Port that fills the memory, perhaps part by part.
    o : ``Out(stream.Signature(...))``
    beyond : ``Out(1)``
        An address beyond the memory was read in the cycle before.
    """

    def __init__(self, *, width, depth, shape, family, instruction, flags=(), parts=1):
        check_range("Depth", depth, 2, 1 << ADDRESS_WIDTH)
        self.width = width
        self.depth = depth
        self.parts = parts
        self.family = family
        self.instruction = instruction or Instruction()
        super().__init__({
            "layers": In(stream.Signature(self.instruction)),
            "write_en": In(parts),
            "write_address": In(ADDRESS_WIDTH),
            "write_data": In(width),
            "o": Out(stream.Signature(shape)),
            "beyond": Out(1),
            **{flag: Out(1) for flag in flags},
        })

    def read(self, m, address, active, active_next, side, wide=()):
        """Read ``address`` in the cycles of ``active``, of which ``active_next`` tells ahead, with
        the view ``side`` beside it, of which the fields ``wide`` decide nothing; return a pulse
        for each address taken, the word and what came beside it."""
        taken = Signal()
        if self.family == "ice40":
            storage = HeldMemory(width=self.width, depth=self.depth, side=side.shape(),
                                 parts=self.parts, family=self.family)
            out = storage
            m.d.comb += [storage.i.valid.eq(active), taken.eq(active & storage.i.ready)]
        else:
            storage = out = StreamedMemory(width=self.width, depth=self.depth, side=side.shape(),
                                           parts=self.parts, family=self.family, wide=wide)
            # A register, since nested counters hang on it.
            m.d.sync += taken.eq(active_next & storage.i_ready_next)
            m.d.comb += storage.i.valid.eq(taken)
        m.submodules.storage = storage
        m.d.comb += [
            storage.write_address.eq(self.write_address), storage.write_en.eq(self.write_en),
            storage.write_data.eq(self.write_data),
            storage.i.p.address.eq(address), storage.i.p.side.eq(side),
            self.o.valid.eq(out.o.valid), out.o.ready.eq(self.o.ready),
        ]
        m.d.sync += self.beyond.eq(taken & (address >= self.depth))
        return taken, out.o.p.word, out.o.p.side
