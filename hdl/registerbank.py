"""Registers on a bus: what every front end drives, and the bank made from a register map."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .registers import OFFSET_WIDTH, Access, check_registers

__all__ = ["RegisterBank", "RegisterBus"]




class RegisterBus(wiring.Signature):
    """One access after the other, each answered :attr:`LATENCY` cycles later; the next one may
    begin after that. As seen by the front end:

    Members
    -------
    address : ``Out(10)``
        Word: the byte offset without its lowest two bits.
    read, write : ``Out(1)``
        An access begins in this cycle; at most one of both.
    data, strobe : ``Out(32)``, ``Out(4)``
        What to write, and which of its bytes. They stay for a cycle after ``write``.
    value : ``In(32)``
        What was read.
    error : ``In(1)``
        No register lies there, or the access is a write and nothing there can be written.
    """

    #: One cycle to find the register, in the next it is read or written.
    LATENCY = 2

    def __init__(self):
        super().__init__({
            "address": Out(OFFSET_WIDTH - 2),
            "read": Out(1),
            "write": Out(1),
            "data": Out(32),
            "strobe": Out(4),
            "value": In(32),
            "error": In(1),
        })


class RegisterBank(wiring.Component):
    """The registers of a map, behind a :class:`RegisterBus`.

    Parameters
    ----------
    registers : sequence of :class:`hdl.registers.Register`
    together : :class:`int`, optional
        Registers whose words become one in a cycle.

    Members
    -------
    bus : ``In(RegisterBus())``
    REGISTER_FIELD : of the field's width, its name and its register's in lower case
        READ: ``In``, what is read. READ_WRITE: ``Out``, what was written. PULSE: ``Out``, high two
        cycles after the write of a one began. CLEAR: ``Out``, what is read.
    REGISTER_FIELD_set : ``In``, for each CLEAR field
        Bits that become one; this wins over a write in the same cycle.
    REGISTER_taken : ``Out(1)``
        The register is read, with the value of this cycle.
    """

    def __init__(self, registers, *, together=4):
        check_registers(registers)
        self.together = together
        self.registers = tuple(registers)
        members = {"bus": In(RegisterBus())}
        for register in self.registers:
            members[f"{register.name.lower()}_taken"] = Out(1)
            for field in register.fields:
                name = self.member(register, field)
                members[name] = (In(field.width) if field.access is Access.READ
                                 else Out(field.width, init=field.reset))
                if field.access is Access.CLEAR:
                    members[f"{name}_set"] = In(field.width)
        super().__init__(members)

    @staticmethod
    def member(register, field):
        """Return the name of a field's member."""
        return f"{register.name.lower()}_{field.name}"

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        mask = Signal(32)       # Bits that are written, and those of them that are one.
        ones = Signal(32)
        m.d.comb += [
            mask.eq(Cat(bit.replicate(8) for bit in bus.strobe)),
            ones.eq(bus.data & mask),
        ]
        words, accepted = [], []
        write = Signal()
        m.d.sync += write.eq(bus.write)
        for register in self.registers:
            name = register.name.lower()
            here = Signal(name=f"here_{name}")
            selected, written = Signal(name=f"select_{name}"), Signal(name=f"written_{name}")
            taken = Signal(name=f"taken_{name}")
            m.d.comb += [here.eq(bus.address == register.offset // 4),
                         getattr(self, f"{name}_taken").eq(taken)]
            m.d.sync += [selected.eq(here), written.eq(here & bus.write),
                         taken.eq(here & bus.read)]
            for field in register.fields:
                self._write(m, register, field, written, ones, mask)
            words.append(Mux(selected, self._word(register), 0))
            accepted.append(selected & (~write if not register.writable else 1))
        # Words come together in two steps.
        parts = []
        for index in range(0, len(words), self.together):
            part = Signal(32, name=f"part{index}", reset_less=True)
            m.d.sync += part.eq(reduce(or_, words[index:index + self.together]))
            parts.append(part)
        m.d.comb += bus.value.eq(reduce(or_, parts))
        m.d.sync += bus.error.eq(~Cat(accepted).any())
        return m

    def _word(self, register):
        """What is read of a register."""
        parts, end = [], 0
        for field in register.fields:
            value = getattr(self, self.member(register, field))
            parts += [Const(0, field.low - end),
                      Const(0, field.width) if field.access is Access.PULSE else value]
            end = field.low + field.width
        return Cat(parts)

    def _write(self, m, register, field, written, ones, mask):
        bits = slice(field.low, field.low + field.width)
        name = self.member(register, field)
        value = getattr(self, name)
        if field.access is Access.READ_WRITE:
            with m.If(written):
                m.d.sync += value.eq((value & ~mask[bits]) | ones[bits])
        elif field.access is Access.PULSE:
            m.d.sync += value.eq(Mux(written, ones[bits], 0))
        elif field.access is Access.CLEAR:
            cleared = Mux(written, ones[bits], 0)
            m.d.sync += value.eq((value & ~cleared) | getattr(self, f"{name}_set"))
