"""Clocks of boards: an oscillator's frequency becomes the engine's by a phase-locked loop.

With ``vendorclock.v`` this belongs to the corner that knows vendors' cells (:mod:`hdl.vendor`).
"""

from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from amaranth import *

__all__ = ["PLLS", "Pll", "ecp5_pll", "ice40_pll"]


@dataclass(frozen=True, kw_only=True)
class Pll:
    """A phase-locked loop and how it is set.

    Parameters
    ----------
    block : str
        Module of ``vendorclock.v``.
    source_mhz, mhz : Fraction
        What goes in, and what comes out.
    settings : mapping of str to int
        The block's parameters.
    """

    block: str
    source_mhz: Fraction
    mhz: Fraction
    settings: MappingProxyType

    def add(self, m, platform, source):
        """Add the loop to a module; return its clock, and whether it has locked.

        In Amaranth's simulator, as in Verilog's, the clock is the source, and it locks after 15
        cycles.
        """
        clock, locked = Signal(name="pll_clk"), Signal(name="pll_locked")
        if platform is None:
            m.domains.source = ClockDomain("source", local=True, reset_less=True)
            count = Signal(4)
            m.d.comb += [ClockSignal("source").eq(source), clock.eq(source),
                         locked.eq(count == 15)]
            with m.If(~locked):
                m.d.source += count.eq(count + 1)
            return clock, locked
        m.submodules.pll = Instance(
            self.block, **{f"p_{name}": value for name, value in self.settings.items()},
            i_source=source, o_clk=clock, o_locked=locked)
        return clock, locked


def ecp5_pll(source_mhz, mhz):
    """Return the :class:`Pll` of ECP5 that makes exactly ``mhz`` of ``source_mhz``.

    Its phase detector is for 3.125 MHz and more, its oscillator for 400 to 800 MHz; the middle of
    that is preferred.

    Raises
    ------
    ValueError
        If there is none.
    """
    source, wanted = Fraction(source_mhz), Fraction(mhz)
    choices = []
    for before in range(1, 129):
        feedback = wanted * before / source
        if source / before < Fraction(25, 8) or feedback.denominator > 1 or not (
                1 <= feedback <= 80):
            continue
        choices += [(abs(wanted * after - 600), before, int(feedback), after)
                    for after in range(2, 129) if 400 <= wanted * after <= 800]
    if not choices:
        raise _impossible(source_mhz, mhz, "ECP5")
    _, before, feedback, after = min(choices)
    return Pll(block="celosia_ecp5_pll", source_mhz=source, mhz=wanted, settings=MappingProxyType({
        "SOURCE_DIVIDER": before, "FEEDBACK_DIVIDER": feedback, "OUTPUT_DIVIDER": after}))


def ice40_pll(source_mhz, mhz):
    """Return the :class:`Pll` of iCE40 that makes exactly ``mhz`` of ``source_mhz``.

    Its phase detector is for 10 to 133 MHz, its oscillator for 533 to 1066 MHz, and its
    output for 16 MHz and more.

    Raises
    ------
    ValueError
        If there is none.
    """
    source, wanted = Fraction(source_mhz), Fraction(mhz)
    for before in range(1, 17) if wanted >= 16 else ():
        detector = source / before
        for shift in range(1, 7):
            feedback = wanted * 2 ** shift / detector
            if (10 <= detector <= 133 and feedback.denominator == 1 and 1 <= feedback <= 128
                    and 533 <= wanted * 2 ** shift <= 1066):
                return Pll(block="celosia_ice40_pll", source_mhz=source, mhz=wanted,
                           settings=MappingProxyType({
                               "SOURCE_DIVIDER": before, "FEEDBACK_DIVIDER": int(feedback),
                               "OUTPUT_SHIFT": shift, "FILTER": _filter(detector)}))
    raise _impossible(source_mhz, mhz, "iCE40")


def _filter(detector):
    """The loop filter's range for a frequency of the phase detector."""
    limits = (17, 26, 44, 66, 101)
    return 1 + sum(detector >= limit for limit in limits)


def _impossible(source_mhz, mhz, family):
    return ValueError(f"{family}'s phase-locked loop does not make exactly {float(mhz):g} MHz of "
                      f"{float(source_mhz):g} MHz")


#: What makes a :class:`Pll`, by the device's family.
PLLS = MappingProxyType({"ecp5": ecp5_pll, "ice40": ice40_pll})
