"""A small block of multiply-accumulate elements, to synthesise in seconds."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Grid"]


class Grid(wiring.Component):
    """``rows`` by ``columns`` products of 8 by 8 bits, each added to a 20-bit sum.

    The sums leave one row at a time. For area alone: nothing waits for ``ready``.
    """

    def __init__(self, *, rows=2, columns=2):
        self.rows = rows
        self.columns = columns
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "x": data.ArrayLayout(signed(8), rows),
                "w": data.ArrayLayout(signed(8), columns),
                "row": range(rows)}))),
            "o": Out(stream.Signature(data.ArrayLayout(signed(20), columns))),
        })

    @property
    def flip_flops(self):
        """Registers of the block: sums, products, the row that leaves, and its flag."""
        return self.rows * self.columns * (20 + 16) + self.columns * 20 + 1

    def elaborate(self, _platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        m.d.sync += self.o.valid.eq(self.i.valid)
        for row in range(self.rows):
            for column in range(self.columns):
                product = Signal(signed(16), name=f"product_{row}_{column}")
                total = Signal(signed(20), name=f"total_{row}_{column}")
                m.d.sync += [product.eq(self.i.p.x[row] * self.i.p.w[column]),
                             total.eq(total + product)]
                with m.If(self.i.p.row == row):
                    m.d.sync += self.o.p[column].eq(total)
        return m
