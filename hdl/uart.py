"""Asynchronous serial bytes: a start bit, eight data bits, lowest first, no parity, a stop bit."""

from amaranth import *
from amaranth.lib import cdc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range

__all__ = ["ReceivedByte", "UartReceiver", "UartTransmitter"]


#: Fewest and most clock cycles of a bit.
_DIVISORS = 4, 65535


class ReceivedByte(data.StructLayout):
    """A byte of the line, and whether it had no stop bit."""

    def __init__(self):
        super().__init__({"data": 8, "error": 1})


class UartReceiver(wiring.Component):
    """Bytes from a line that no clock of ours drives.

    The line goes through two flip-flops. Each bit is what at least two say of three samples
    about its middle, in successive cycles; a start bit that is high there was none. A byte is
    there as soon as its stop bit has been sampled, and the next start bit may then come. The
    sender's clock may be off by ``5 - 20 / divisor`` percent. After a byte with an error the
    line has to be high before another can start.

    Parameters
    ----------
    divisor : :class:`int`, 4 to 65535
        Clock cycles of a bit.

    Members
    -------
    rx : ``In(1)``
        The line, high when idle.
    o : ``Out(stream.Signature(ReceivedByte(), always_ready=True))``
    """

    def __init__(self, *, divisor):
        check_range("Divisor", divisor, *_DIVISORS)
        self.divisor = divisor
        super().__init__({
            "rx": In(1, init=1),
            "o": Out(stream.Signature(ReceivedByte(), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        samples = Signal(2, init=3)     # The two before the present one.
        m.submodules.synchroniser = cdc.FFSynchronizer(self.rx, line, init=1)
        vote = (samples[0] & samples[1]) | (samples[0] & line) | (samples[1] & line)
        m.d.sync += samples.eq(Cat(line, samples[0]))

        timer = Signal(range(self.divisor))
        bits = Signal(range(9))
        sampled = timer == 0
        m.d.sync += [timer.eq(Mux(sampled, self.divisor - 1, timer - 1)), self.o.valid.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                # The start bit's first cycle; its vote falls one cycle behind its middle.
                m.d.sync += [timer.eq(self.divisor // 2), bits.eq(0)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"), m.If(sampled):
                m.next = "DATA"
                with m.If(vote):
                    m.next = "IDLE"
            with m.State("DATA"), m.If(sampled):
                m.d.sync += [self.o.p.data.eq(Cat(self.o.p.data[1:], vote)), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "STOP"
            with m.State("STOP"), m.If(sampled):
                m.d.sync += [self.o.valid.eq(1), self.o.p.error.eq(~vote)]
                m.next = "IDLE"
                with m.If(~vote):
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Puts bytes on a line; one takes ten bits, and the next may follow at once.

    Parameters
    ----------
    divisor : :class:`int`, 4 to 65535
        Clock cycles of a bit.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
        The line, high when idle.
    """

    def __init__(self, *, divisor):
        check_range("Divisor", divisor, *_DIVISORS)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        shift = Signal(9, init=0x1FF)       # The bits behind the one on the line, then ones.
        bits = Signal(range(11))            # Bits that are still to end.
        timer = Signal(range(self.divisor))
        ends = timer == 0
        m.d.comb += self.i.ready.eq((bits == 0) | ((bits == 1) & ends))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.tx.eq(0), shift.eq(Cat(self.i.payload, 1)), bits.eq(10),
                         timer.eq(self.divisor - 1)]
        with m.Elif(bits != 0):
            m.d.sync += timer.eq(timer - 1)
            with m.If(ends):
                m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)),
                             bits.eq(bits - 1), timer.eq(self.divisor - 1)]
        return m
