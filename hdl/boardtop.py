"""What a board's bitstream holds: the engine behind a serial line, its clock and its reset."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .serialtop import SerialEngine

__all__ = ["BoardTop"]


class BoardTop(wiring.Component):
    """The engine behind a serial line, with a clock made of the board's oscillator.

    The engine is in reset until the loop has locked, and for RESET cycles more.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`
    pll : :class:`hdl.clocks.Pll`
        Makes the engine's clock.
    divisor : :class:`int`, 4 to 65535
        Cycles of that clock of a bit on the line.
    led_low : :class:`bool`
        Whether the light is lit by a low pin.

    Members
    -------
    oscillator : ``In(1)``
    rx : ``In(1)``
        From the host, high when idle.
    tx : ``Out(1)``
        To the host.
    led : ``Out(1)``
        Lit while the engine is out of reset; it flickers with what goes over the line.
    """

    #: Cycles of reset after the loop has locked.
    RESET = 16

    def __init__(self, config, *, pll, divisor, led_low=False):
        self.config = config
        self.pll = pll
        self.divisor = divisor
        self.led_low = led_low
        self.engine = SerialEngine(config, divisor=divisor)
        super().__init__({
            "oscillator": In(1), "rx": In(1, init=1), "tx": Out(1, init=1), "led": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain(local=True)
        clock, locked = self.pll.add(m, platform, self.oscillator)
        m.d.comb += ClockSignal().eq(clock)
        # All zeros after configuration; ones come in from below once the loop has locked.
        released = Signal(self.RESET, reset_less=True)
        m.d.sync += released.eq(Mux(locked, Cat(1, released[:-1]), 0))
        m.d.comb += ResetSignal().eq(~released[-1])

        m.submodules.engine = engine = self.engine
        m.d.comb += [
            engine.rx.eq(self.rx), self.tx.eq(engine.tx),
            self.led.eq((released[-1] & self.rx & engine.tx) ^ self.led_low),
        ]
        return m
